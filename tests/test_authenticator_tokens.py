"""Credentials that one checker keeps: whatever it says of them, nobody else sees them."""

from __future__ import annotations

import json
import random

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge import model
from authbridge.chains import Domain, NamedChecker
from authbridge.checkers import Surroundings
from authbridge.checkers.token import TokenSettings, make_checker
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.model import Outcome, Reason, Trace, Verdict
from authbridge.turns import Turns
from tests.doubles import House, ScriptedChecker, ScriptedRegistry, now, silent_checker
from tests.issuers.folders import NAME, SECRETS, pem, settings, write
from tests.tokens import mint

TOKEN = "token-of-alice"
YES, NO = model.TOKEN_VALID, model.rejected(Reason.TOKEN_EXPIRED)
DOWN = model.unavailable(Reason.KEYS_UNAVAILABLE)
NOT_MINE = model.NOT_A_TOKEN
PASSWORD = model.PASSWORD_MATCHES


class Keeper(ScriptedChecker):
    """Recognises what begins with "token", and answers what it is told to."""

    def __init__(self, answer, recognises=None):
        super().__init__(answer)
        self.raises = recognises

    def recognises(self, password):
        if self.raises is not None:
            raise self.raises
        return password.reveal().startswith(b"token")


def behind():
    """Who would take anything for a password."""
    return ScriptedChecker(PASSWORD)


# --- logins ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [YES, NO, DOWN, model.unavailable(Reason.OVERLOADED)])
def test_a_token_reaches_nobody_else_whatever_is_said_of_it(answer):
    house = House(Keeper(answer), directory := behind())
    assert now(house.check(password=TOKEN)) == answer
    assert directory.asked == []
    assert now(house.check(password=TOKEN, trace=Trace())) == answer
    assert directory.asked == []


@pytest.mark.parametrize("traced", [False, True])
def test_a_token_checker_that_raises_keeps_its_tokens(events, traced):
    house = House(Keeper(RuntimeError("no")), directory := behind())
    outcome = now(house.check(password=TOKEN, trace=Trace() if traced else None))
    assert outcome == model.unavailable(Reason.INTERNAL_ERROR)
    assert directory.asked == []
    assert any("log_failure" in event for event in events)


def test_a_token_for_which_there_is_no_turn_is_kept(events):
    """A checker that is asked too much at once has not looked at it."""
    waiting = Keeper(Deferred())
    named = NamedChecker("tokens", waiting, turns=Turns(1, 0), lookups=Turns(1, 0))
    directory = behind()
    house = House(directory)
    ((domain, rule),) = house.authenticator._domains.items()
    house.authenticator._domains = {domain: Domain((named, *rule.check), rule.exists)}
    first = house.check(password=TOKEN)
    assert now(house.check(password=TOKEN)) == model.unavailable(Reason.OVERLOADED)
    assert directory.asked == []
    assert now(house.check(password="wonderland")) == PASSWORD
    assert not first.called
    house.authenticator.logins.end()


def test_a_checker_that_cannot_tell_what_a_password_is_keeps_it(events):
    house = House(Keeper(DOWN, recognises=RuntimeError("wonderland")), directory := behind())
    assert now(house.check(password="wonderland")) == DOWN
    assert directory.asked == []
    assert {event["name"] for event in events if "log_failure" in event} == {"c0"}


def test_a_token_that_is_waited_for_is_kept_to_the_deadline():
    keeper = silent_checker()
    keeper.recognises = lambda password: True
    house = House(keeper, directory := behind())
    answer = house.check(password=TOKEN)
    house.clock.advance(8)
    assert now(answer) == model.unavailable(Reason.DEADLINE_PASSED)
    assert directory.asked == []


def test_an_ordinary_password_goes_on():
    for answer in (NOT_MINE, DOWN, RuntimeError()):
        house = House(Keeper(answer), directory := behind())
        assert now(house.check(password="wonderland")) == PASSWORD
        assert len(directory.asked) == 1


def test_what_nobody_recognises_goes_past_an_outage_as_before():
    house = House(ScriptedChecker(DOWN), directory := behind())
    assert now(house.check(password=TOKEN)) == PASSWORD
    assert len(directory.asked) == 1


def test_the_line_of_a_login_has_who_has_signed():
    signed = Outcome(Verdict.ACCEPTED, Reason.TOKEN_VALID, "https://www.example.org#2026")
    house = House(Keeper(signed))
    now(house.check(password=TOKEN))
    assert house.lines[0].endswith(" signer=https://www.example.org#2026")
    assert TOKEN not in house.lines[0]
    house = House(Keeper(model.rejected(Reason.TOKEN_EXPIRED, "website#a")))
    now(house.check(password=TOKEN))
    assert house.lines[0].endswith(" signer=website#a")
    assert "verdict=rejected reason=token_expired" in house.lines[0]


# --- changes --------------------------------------------------------------------------------------


def test_a_new_password_that_looks_like_a_token_is_not_taken():
    """Whoever had it would be locked out: it would be judged as a token for ever."""
    for change in ("change", "register"):
        registry = ScriptedRegistry(model.PASSWORD_CHANGED)
        house = House(Keeper(NOT_MINE), registry)
        trace = Trace()
        outcome = now(getattr(house, change)(password=TOKEN, trace=trace))
        assert outcome == model.rejected(Reason.PASSWORD_UNACCEPTABLE)
        assert registry.asked == []
        assert "looks like a token" in dict(trace.steps)["password"]
        assert not any(TOKEN in words for _, words in trace.steps)
        assert now(getattr(house, change)(password=TOKEN)) == outcome


def test_a_checker_that_cannot_tell_what_a_new_password_is_keeps_it(events):
    registry = ScriptedRegistry(model.PASSWORD_CHANGED)
    house = House(Keeper(NOT_MINE, recognises=RuntimeError()), registry)
    for change in (house.change, house.register):
        assert now(change()) == model.rejected(Reason.PASSWORD_UNACCEPTABLE)
    assert registry.asked == []


def test_an_ordinary_new_password_is_taken():
    registry = ScriptedRegistry(model.PASSWORD_CHANGED)
    house = House(Keeper(NOT_MINE), registry, exists=(registry,))
    assert now(house.change(password="a new one")) == model.PASSWORD_CHANGED
    assert registry.written == ["set_password"]


# --- with real tokens -----------------------------------------------------------------------------

NOW = 1_800_000_000


@pytest.fixture
def issuers(tmp_path):
    write(tmp_path / "www.pem", pem("www"))
    for name, secret in (("compact", SECRETS[0]), ("xcauth", SECRETS[1])):
        write(tmp_path / name, secret)
    found = [
        settings(tmp_path, name=NAME, keys=["www.pem"]),
        *(settings(tmp_path, kind, name=kind, keys=[kind]) for kind in ("compact", "xcauth")),
    ]
    issuers = Issuers(map(Issuer, found), Clock().seconds)
    issuers.start()
    return issuers


@pytest.fixture
def checker(issuers):
    surroundings = Surroundings(
        Clock(), None, lambda: NOW, random.random, issuers=issuers,
        never_token=lambda jid: jid.local == "admin",
    )  # fmt: skip
    return make_checker(TokenSettings(frozenset({"jwt", "compact", "xcauth"})), surroundings)


def jwt(user="alice", **changes):
    claims = {"iss": NAME, "sub": user, "aud": "xmpp:example.org", "exp": NOW + 60} | changes
    return mint.jwt(claims, mint.key("ES256", "www"), kid="www")


def tokens(user="alice"):
    """One of each kind."""
    jid = f"{user}@example.org"
    return [
        jwt(user), mint.compact(SECRETS[0], jid, NOW + 60), mint.xcauth(SECRETS[1], jid, NOW + 60)
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(3))
def test_real_tokens_are_judged_and_kept(checker, number):
    house = House(checker, directory := behind())
    assert now(house.check(password=tokens()[number])) == model.TOKEN_VALID
    assert now(house.check(user="ALICE", password=tokens()[number])) == model.TOKEN_VALID
    for user in ("bob", "admin"):
        assert now(house.check(user=user, password=tokens()[number])).verdict is Verdict.REJECTED
    never = now(house.check(user="admin", password=tokens("admin")[number]))
    assert never == model.rejected(Reason.TOKEN_NEVER)
    assert directory.asked == []
    assert not any(tokens()[number] in line for line in house.lines)


def test_passwords_beside_real_tokens_go_on(checker):
    house = House(checker, directory := behind())
    for user in ("alice", "admin"):
        assert now(house.check(user=user, password="a.plain.password")) == PASSWORD
    assert len(directory.asked) == 2


@pytest.mark.parametrize("change", ["change", "register"])
def test_real_tokens_are_no_new_passwords(checker, change):
    house = House(checker, registry := ScriptedRegistry(model.PASSWORD_CHANGED))
    for token in [*tokens(), "abtz9_of-a-kind-to-come", jwt()[:-40]]:
        outcome = now(getattr(house, change)(password=token))
        assert outcome == model.rejected(Reason.PASSWORD_UNACCEPTABLE)
    assert registry.asked == []


def test_an_explanation_holds_neither_the_token_nor_a_secret(checker):
    bad = [jwt(exp=NOW - 90), jwt("bob"), jwt(iss="nobody"), jwt()[:-7], f"{jwt()}\n"]
    for token in [*tokens(), *tokens("bob"), *bad]:
        trace = Trace()
        now(House(checker, behind()).check(password=token, trace=trace))
        told = json.dumps(trace.steps)
        assert "checker c0" in told
        assert token.strip() not in told
        for secret in (token.strip().rpartition(".")[2], SECRETS[0].decode(), SECRETS[1].decode()):
            assert secret not in told


def test_a_checker_of_tokens_that_is_out_of_order_keeps_them(checker, issuers, events, monkeypatch):
    def broken():
        raise RuntimeError

    house = House(checker, directory := behind())
    monkeypatch.setattr(issuers, "refresh", broken)
    assert now(house.check(password=jwt())) == model.unavailable(Reason.INTERNAL_ERROR)
    assert directory.asked == []


# --- several who recognise ------------------------------------------------------------------------


class Second(Keeper):
    """Recognises what begins with "token-of", which the first recognises too."""

    def recognises(self, password):
        if self.raises is not None:
            raise self.raises
        return password.reveal().startswith(b"token-of")


@pytest.mark.parametrize("answer", [YES, NO, DOWN, model.USER_UNKNOWN])
def test_of_those_who_recognise_a_token_the_last_alone_is_asked(answer):
    first, between, second = Keeper(NO), behind(), Second(answer)
    house = House(first, between, second, directory := behind())
    expected = model.rejected(Reason.USER_UNKNOWN) if answer == model.USER_UNKNOWN else answer
    assert now(house.check(password=TOKEN)) == expected
    assert (first.asked, between.asked, directory.asked) == ([], [], [])
    assert len(second.asked) == 1


def test_what_the_second_does_not_recognise_is_the_firsts():
    first, second = Keeper(NO), Second(YES)
    house = House(first, second, directory := behind())
    assert now(house.check(password="token, of nobody")) == NO
    assert (len(first.asked), second.asked, directory.asked) == (1, [], [])


def test_what_nobody_recognises_is_asked_of_all_in_order():
    first, second = Keeper(NOT_MINE), Second(NOT_MINE)
    house = House(first, second, directory := behind())
    assert now(house.check(password="wonderland")) == PASSWORD
    assert [len(one.asked) for one in (first, second, directory)] == [1, 1, 1]


def test_a_second_that_cannot_tell_whether_it_recognises_keeps_the_password(events):
    first, second = Keeper(YES), Second(NO, recognises=RuntimeError("wonderland"))
    house = House(first, second, directory := behind())
    assert now(house.check(password=TOKEN)) == NO
    assert (first.asked, directory.asked) == ([], [])
    assert all("wonderland" not in str(event.get("log_format")) for event in events)


FOREIGN = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2Vsc2V3aGVyZS5leGFtcGxlLm9yZyJ9."


def test_a_token_that_nobody_recognises_is_shown_to_nobody():
    for token in (FOREIGN, "abtt1_0123456789", "abtz9_of-a-later-version"):
        house = House(keeper := Keeper(NOT_MINE), directory := behind())
        assert now(house.check(password=token)) == model.rejected(Reason.NO_CHECKER)
        assert (keeper.asked, directory.asked) == ([], [])


def test_where_nobody_has_tokens_whatever_is_shown_is_a_password():
    house = House(directory := behind())
    assert now(house.check(password=FOREIGN)) == PASSWORD
    assert len(directory.asked) == 1


def test_who_recognises_every_token_is_asked_about_them_without_a_look_before():
    keeper = Keeper(NO)
    keeper.every_form = True
    house = House(keeper, directory := behind())
    ((_, rule),) = house.authenticator._domains.items()
    assert not rule.choosy
    assert now(house.check(password=TOKEN)) == NO
    assert directory.asked == []


def test_a_token_of_whoever_does_not_know_its_user_is_shown_to_nobody_else():
    keeper = Keeper(model.USER_UNKNOWN)
    keeper.every_form = True
    house = House(keeper, directory := behind())
    assert now(house.check(password=TOKEN)) == model.rejected(Reason.USER_UNKNOWN)
    assert directory.asked == []


def test_a_new_password_that_looks_like_the_token_of_somebody_else_is_not_taken():
    """Nobody would be shown it at the next login."""
    for change in ("change", "register"):
        registry = ScriptedRegistry(model.PASSWORD_CHANGED)
        house = House(Keeper(NOT_MINE), registry)
        outcome = now(getattr(house, change)(password=FOREIGN))
        assert outcome == model.rejected(Reason.PASSWORD_UNACCEPTABLE)
        assert registry.asked == []
