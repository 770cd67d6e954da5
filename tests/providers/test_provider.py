"""`check-config --probe`: what a provider answers to tokens and users that there are not."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from authbridge.model import TOKEN_VALID, Reason, Trace, unavailable
from tests.doubles import now
from tests.ldap.certificates import NAME as HOST
from tests.providers.world import INTROSPECT, KEYS, TOKEN, USERINFO, claims, form, says

MADE_UP = "authbridge-probe-" + "72" * 16
FAILED = unavailable(Reason.PROVIDER_FAILED)


def test_keys_are_named(world):
    assert world("jwt").probe() == (TOKEN_VALID, [("keys", "'sso'")])


def test_keys_that_could_not_be_fetched_are_a_fault(world):
    one = world("jwt", issuer="https://nobody.example")
    outcome, ((step, words),) = one.probe()
    assert (outcome.reason, step) == (Reason.KEYS_UNAVAILABLE, "fault")
    assert "nobody.example" in words


def test_keys_that_are_being_fetched_are_waited_for(world):
    one = world("jwt")
    one.sso.says[KEYS] = None
    one.network.settle(900)
    probing = Deferred.fromCoroutine(one.checker.probe(Trace()))
    one.network.settle()
    assert not probing.called
    one.network.settle(10)
    assert now(probing) == TOKEN_VALID  # by those that were fetched before


def test_a_made_up_token_is_none(world):
    one = world()
    one.sso.says[INTROSPECT] = says({"active": False})
    outcome, steps = one.probe()
    assert outcome == TOKEN_VALID
    assert steps == [
        ("introspection", "answered with 200"), ("introspection", "a made-up token is none"),
    ]  # fmt: skip
    assert form(one.sso.at(INTROSPECT)[0])["token"] == MADE_UP
    two = world("userinfo")
    two.sso.says[USERINFO] = says(b"", "401 Unauthorized")
    assert two.probe()[0] == TOKEN_VALID


def test_a_provider_that_takes_any_token_is_no_provider(world):
    one = world()
    one.sso.says[INTROSPECT] = says({"active": True, "token_type": "Bearer", **claims()})
    outcome, steps = one.probe()
    assert outcome == FAILED
    assert steps[-1] == ("fault", "introspection names a user whatever the token is: 'alice'")


def test_one_that_says_something_odd_of_it_is_told(world):
    one = world()
    one.sso.says[INTROSPECT] = says({"active": True, "token_type": "Bearer"})
    outcome, steps = one.probe()
    assert outcome == FAILED
    assert steps[-1][1].startswith("introspection of a made-up token says: `aud` is not there")


def test_a_client_that_is_refused_is_told(world):
    one = world()
    one.sso.says[INTROSPECT] = says({"error": "invalid_client"}, "401 Unauthorized")
    outcome, steps = one.probe()
    assert outcome == unavailable(Reason.PROVIDER_REFUSED)
    assert steps[-1] == (
        "fault",
        f"https://{HOST}{INTROSPECT} answers 401 to our own credentials or request: invalid_client",
    )


def test_a_made_up_user_is_nobody(world):
    one = world(password_grant=True)
    one.sso.says[INTROSPECT] = says({"active": False})
    one.sso.says[TOKEN] = says({"error": "invalid_grant"}, "400 Bad Request")
    outcome, steps = one.probe()
    assert outcome == TOKEN_VALID
    assert steps[-1] == ("password grant", "a made-up user is nobody")
    assert form(one.sso.at(TOKEN)[0])["username"] == MADE_UP
    one.sso.says[TOKEN] = says({"token_type": "Bearer", "access_token": "x"})
    outcome, steps = one.probe()
    assert outcome == FAILED
    assert steps[-1][1] == "the password grant takes any password of a user that there is not"
