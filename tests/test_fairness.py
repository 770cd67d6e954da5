"""No front end waits behind the flood at another."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge import model
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain, NamedChecker
from authbridge.checkers import AT_ONCE, MOST_WAITING, CheckerSettings
from authbridge.log import LoginLog, LogSettings
from authbridge.model import Reason, Verdict
from authbridge.secret import Secret
from authbridge.turns import Turns
from tests.checkers.corp import Corp
from tests.checkers.corp import read as corp_settings


class OneByOne:
    """A checker that has the test answer each who asks."""

    def __init__(self):
        self.asked = []

    async def check_password(self, jid, password, trace):
        answer = Deferred()
        self.asked.append((jid.local, answer))
        return await answer

    user_exists = None

    def answer_next(self):
        _, answer = self.asked.pop(0)
        if not answer.called:  # by the test, or cancelled
            answer.callback(model.PASSWORD_MATCHES)


@pytest.fixture
def make():
    made = []

    def house(**given):
        made.append(House(**given))
        return made[-1]

    yield house
    for one in made:
        one.finish()


class House:
    def __init__(self, at_once=2, most_waiting=100):
        self.clock = Clock()
        self.checker = OneByOne()
        self.lines = []
        named = (
            NamedChecker("c", self.checker, Turns(at_once, most_waiting), Turns(1, most_waiting)),
        )
        self.authenticator = Authenticator(
            {"e.org": Domain(named, True)},
            LoginLog(LogSettings(), self.lines.append, lambda: 0.0),
            self.clock,
            "boot",
        )

    def finish(self):
        """Answer all who are waiting."""
        while self.checker.asked:
            self.checker.answer_next()

    def login(self, front_end, user, deadline=8.0):
        outcomes = []
        self.authenticator.check_password(
            front_end, user.encode(), b"e.org", Secret(b"x"), deadline
        ).addCallback(outcomes.append)
        return outcomes


def test_who_comes_by_another_front_end_is_asked_about_next_but_one(make):
    house = make()
    for number in range(50):
        house.login("http", f"h{number}")
    e = house.login("extauth", "e")
    assert [user for user, _ in house.checker.asked] == ["h0", "h1"]
    house.checker.answer_next()
    house.checker.answer_next()
    assert [user for user, _ in house.checker.asked] == ["h2", "e"]
    assert not e
    house.checker.asked[1][1].callback(model.PASSWORD_MATCHES)
    assert e == [model.PASSWORD_MATCHES]


def test_a_full_line_is_overloaded_for_its_front_end_alone(make):
    house = make(at_once=1, most_waiting=1)
    for user in ("h0", "h1"):
        house.login("http", user)
    (outcome,) = house.login("http", "h2")
    assert (outcome.verdict, outcome.reason) == (Verdict.UNAVAILABLE, Reason.OVERLOADED)
    assert "checker=c verdict=unavailable reason=overloaded" in house.lines[0]
    assert house.login("extauth", "e") == []


def test_a_login_whose_time_is_over_has_given_up_its_place(make):
    house = make(at_once=1)
    house.login("http", "h0", deadline=20.0)
    short = house.login("http", "h1", deadline=1.0)
    last = house.login("http", "h2", deadline=20.0)
    house.clock.advance(1)
    assert short == [model.unavailable(Reason.DEADLINE_PASSED)]
    house.checker.answer_next()
    assert [user for user, _ in house.checker.asked] == ["h2"]
    house.checker.answer_next()
    assert last == [model.PASSWORD_MATCHES]


def test_a_login_whose_time_is_over_while_it_asks_makes_room(make):
    house = make(at_once=1)
    house.login("http", "h0", deadline=1.0)
    later = house.login("http", "h1")
    house.clock.advance(1)
    assert [user for user, _ in house.checker.asked] == ["h0", "h1"]
    house.checker.asked[1][1].callback(model.PASSWORD_MATCHES)
    assert later == [model.PASSWORD_MATCHES]


def test_the_id_that_a_front_end_took_is_in_the_line(make):
    house = make()
    number = house.authenticator.logins.number()
    house.authenticator.logins.turn_away("http", "-", Reason.REQUEST_MALFORMED, number=number)
    house.authenticator.logins.turn_away("http", "-", Reason.REQUEST_MALFORMED)
    assert number == "boot-1"
    assert " login id=boot-1 " in house.lines[0]
    assert " login id=boot-2 " in house.lines[1]


class Prompt:
    """Knows the answer at once, and for a password has to be waited for."""

    def __init__(self):
        self.password = Deferred()

    async def check_password(self, jid, password, trace):
        return await self.password

    async def user_exists(self, jid, trace):
        return model.USER_EXISTS


def test_who_asks_for_a_user_does_not_wait_behind_passwords(make):
    house = make(at_once=1)
    prompt = Prompt()
    named = (NamedChecker("c", prompt, Turns(1, 10), Turns(1, 10)),)
    house.authenticator._domains["e.org"] = Domain(named, named)
    for user in ("h0", "h1"):
        assert house.login("http", user) == []
    found = []
    house.authenticator.user_exists("extauth", b"bob", b"e.org", 8.0).addCallback(found.append)
    assert found == [model.USER_EXISTS]
    prompt.password.callback(model.PASSWORD_MATCHES)


class Remembering(Prompt):
    """Has kept something about bob, and asks somebody silent about anybody else."""

    def remembered(self, jid):
        return model.USER_UNKNOWN if jid.local == "bob" else None

    async def user_exists(self, jid, trace):
        return await Deferred()


def test_what_is_remembered_waits_for_nobody(make):
    house = make()
    named = (NamedChecker("c", Remembering(), Turns(1, 10), Turns(1, 10)),)
    house.authenticator._domains["e.org"] = Domain(named, named)
    found = []
    for user in (b"alice", b"carol", b"bob"):
        asking = house.authenticator.user_exists("http", user, b"e.org", 8.0)
        asking.addCallback(found.append)
    assert [outcome.reason for outcome in found] == [Reason.USER_UNKNOWN]
    assert "jid=bob@e.org checker=c verdict=rejected reason=user_unknown" in house.lines[0]
    house.clock.advance(8)
    assert [outcome.reason for outcome in found[1:]] == [Reason.DEADLINE_PASSED] * 2


def test_a_kind_says_how_many_may_ask_it_at_once(tmp_path):
    at_once = 4 * 16
    corp, _ = corp_settings(tmp_path, **Corp(tmp_path).given)
    assert (corp.at_once, corp.most_waiting) == (at_once, 20_000)
    silent: Any = None
    assert CheckerSettings(silent, silent).at_once == AT_ONCE
    assert CheckerSettings(silent, silent).most_waiting == MOST_WAITING
    assert CheckerSettings(silent, corp).at_once == at_once
