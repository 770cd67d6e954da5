"""ejabberd's verbs, and the settings of what serves it."""

from __future__ import annotations

import os
import pwd

import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.frontends.extauth import ExtauthFrontEnd, ExtauthSettings
from authbridge.model import Reason, Verdict
from authbridge.settings import Mistakes, Table
from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.doubles import House, ScriptedChecker, ScriptedRegistry, silent_checker, silent_registry

ME = pwd.getpwuid(os.geteuid()).pw_name
DOWN = model.unavailable(Reason.SOURCE_UNREADABLE)


MINE = frozenset({os.geteuid()})


def settings(uids=MINE, deadline=8.0):
    return ExtauthSettings(("x",), frozenset(uids), deadline, ERROR, TRUE)


def ask(checker, frame, house=None):
    answers = []
    house = house or House(checker)
    ExtauthFrontEnd(house.authenticator, settings()).ask(frame, answers.append)
    return answers


@pytest.mark.parametrize(
    ("outcome", "auth", "isuser"),
    [
        (model.PASSWORD_MATCHES, TRUE, TRUE),
        (model.PASSWORD_MISMATCH, FALSE, FALSE),
        (model.USER_UNKNOWN, FALSE, FALSE),
        (DOWN, ERROR, TRUE),
    ],
)
def test_each_verdict_has_its_answer(outcome, auth, isuser):
    assert ask(ScriptedChecker(outcome), b"auth:alice:example.org:wonder:land") == [auth]
    assert ask(ScriptedChecker(outcome), b"isuser:alice:example.org") == [isuser]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b"setpass:alice:example.org:x", ERROR),
        (b"setpass:alice:elsewhere.test:x", ERROR),
        (b"setpass", FALSE),
        (b"setpass:alice", ERROR),
        (b"tryregister:alice:example.org:x", FALSE),
        (b"removeuser:alice:example.org", FALSE),
        (b"removeuser3:alice:example.org:x", FALSE),
        (b"certauth:alice:example.org:x", FALSE),
        (b"nonsense:alice:example.org:x", FALSE),
        (b"auth:alice", FALSE),
        (b"auth:alice:elsewhere.test:wonderland", FALSE),
        (b"isuser:alice:elsewhere.test", FALSE),
        (b"", FALSE),
    ],
)
def test_what_is_not_done_is_refused_and_logged(frame, answer):
    house = House(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    assert ask(checker, frame, house) == [answer]
    assert checker.asked == []
    assert len(house.lines) == 1
    assert "verdict=rejected" in house.lines[0]


@pytest.mark.parametrize(
    ("outcome", "setpass", "tryregister"),
    [
        (model.PASSWORD_CHANGED, TRUE, TRUE),
        (model.rejected(Reason.PASSWORD_UNACCEPTABLE), ERROR, FALSE),
        (model.rejected(Reason.USER_EXISTS), ERROR, FALSE),
        (model.USER_UNKNOWN, ERROR, FALSE),
        (model.Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED), ERROR, FALSE),
        (DOWN, ERROR, ERROR),
    ],
)
def test_a_change_that_is_not_made_is_never_reported_as_made(outcome, setpass, tryregister):
    """ejabberd takes a false to setpass for done."""
    registry = ScriptedRegistry(outcome)
    assert ask(registry, b"setpass:alice:example.org:new:pass") == [setpass]
    assert ask(registry, b"tryregister:alice:example.org:new:pass") == [tryregister]
    assert registry.asked == [
        ("set_password", "alice@example.org", b"new:pass"),
        ("user_exists", "alice@example.org", None),
        ("register", "alice@example.org", b"new:pass"),
    ]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [(b"setpass:a:example.org:x", ERROR), (b"tryregister:a:example.org:x", ERROR)],
)
def test_a_change_that_nobody_answers_is_refused_in_time(frame, answer):
    house = House(silent_registry())
    answers = ask(None, frame, house)
    house.clock.advance(7.4)
    assert answers == []
    house.clock.advance(0.2)
    assert answers == [answer]
    assert "verdict=unavailable reason=deadline_passed" in house.lines[0]


def test_a_user_is_not_removed_and_no_certificate_judged():
    registry = ScriptedRegistry(model.PASSWORD_CHANGED, model.USER_EXISTS)
    for frame in (
        b"removeuser:a:example.org",
        b"removeuser3:a:example.org:x",
        b"certauth:a:example.org:x",
    ):
        house = House(registry)
        assert ask(registry, frame, house) == [FALSE]
        assert "reason=not_supported" in house.lines[0]
    assert registry.asked == []


def test_the_password_reaches_the_checker_octet_by_octet():
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    ask(checker, b"auth:alice:example.org:a:b\n\xff\xfe:")
    assert checker.asked == [("check_password", "alice@example.org", b"a:b\n\xff\xfe:")]


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_that_cannot_be_written_is_logged_and_harms_nobody(events, late):
    def broken(_):
        raise RuntimeError("wonderland")

    waiting = Deferred()
    house = House(ScriptedChecker(waiting if late else model.PASSWORD_MATCHES))
    front_end = ExtauthFrontEnd(house.authenticator, settings())
    front_end.ask(b"auth:alice:example.org:x", broken)
    if late:
        waiting.callback(model.PASSWORD_MATCHES)
    (told,) = [event for event in events if "log_failure" in event]
    assert told["log_format"] == "an answer was not delivered"
    assert "verdict=accepted" in house.lines[0]
    answers = []
    front_end.ask(b"auth:bob:example.org:x", answers.append)
    assert answers == [TRUE]


def test_the_daemon_gives_up_before_the_connector_does():
    house = House(silent_checker())
    answers = ask(None, b"auth:alice:example.org:x", house)
    house.clock.advance(7.4)
    assert answers == []
    house.clock.advance(0.2)
    assert answers == [ERROR]


def read(data, *, serves=True):
    mistakes = Mistakes()
    table = Table(data, "extauth", mistakes, None)
    return ExtauthSettings.read(table, 8.0, serves=serves), list(mistakes)


def test_a_deadline_that_ejabberd_would_not_wait_for_is_a_mistake():
    _, mistakes = read({"users": [ME], "deadline": "26s"})
    assert mistakes == ["extauth.deadline: should be between 0.1 and 25 seconds"]


def test_users_are_names_or_uids():
    found, mistakes = read({"users": [ME, "4711"]})
    assert mistakes == []
    assert found.uids == {os.geteuid(), 4711}


def test_a_user_this_machine_does_not_know_is_a_mistake_where_there_is_a_listener():
    _, mistakes = read({"users": [ME + "x"]})
    assert f'there is no local user "{ME}x"; did you mean "{ME}"?' in mistakes[0]
    assert read({"users": [ME + "x"]}, serves=False)[1] == []


def test_the_outage_answers_are_settings_and_never_let_anybody_in():
    found, mistakes = read({"users": [ME]})
    assert (found.outage_auth, found.outage_isuser) == (ERROR, TRUE)
    found, mistakes = read({"users": [ME], "on_unavailable": {"auth": "false", "isuser": "false"}})
    assert (found.outage_auth, found.outage_isuser, mistakes) == (FALSE, FALSE, [])
    _, mistakes = read({"users": [ME], "on_unavailable": {"auth": "true"}})
    assert mistakes[0].startswith('extauth.on_unavailable.auth: "true" is not known')
