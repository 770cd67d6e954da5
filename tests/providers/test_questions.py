"""What the provider is asked about tokens and passwords, and what its answers come to."""

from __future__ import annotations

import base64

from twisted.logger import LogLevel

from authbridge import model
from authbridge.model import Trace
from tests.issuers.folders import said
from tests.providers.world import (
    ALICE,
    BOB,
    INTROSPECT,
    ISSUER,
    JSON,
    NOW,
    OPAQUE,
    TOKEN,
    USERINFO,
    claims,
    form,
    jwt,
    says,
)
from tests.tokens.mint import NOT_THERE

GOOD = "token_valid"
BASIC = "Basic " + base64.b64encode(b"authbridge:s3cret+of+ours").decode()
PLAIN = "Content-Type: text/html"


def active(**changes):
    return says({"active": True, **claims(**{"token_type": "Bearer", **changes})})


def reason(one, answer, path=INTROSPECT):
    one.sso.says[path] = answer
    outcome = one.login(OPAQUE)
    # Who asks for the reasons is told the same, by another question.
    assert one.login(OPAQUE, trace=Trace()) == outcome
    return outcome.reason.value


# --- introspection --------------------------------------------------------------------------------


def test_a_token_is_sent_in_a_form_by_the_client_of_the_settings(world):
    one = world()
    one.sso.says[INTROSPECT] = active()
    outcome = one.login(OPAQUE)
    assert (outcome, outcome.signer) == (model.TOKEN_VALID, ISSUER)
    (request,) = one.sso.at(INTROSPECT)
    assert request.first == f"POST {INTROSPECT} HTTP/1.1"
    assert form(request) == {"token": OPAQUE, "token_type_hint": "access_token"}
    assert request.headers["authorization"] == BASIC
    assert request.headers["accept"] == "application/json"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_or_with_the_client_in_the_form(world):
    one = world(client_auth="post")
    one.sso.says[INTROSPECT] = active()
    assert one.login(OPAQUE) == model.TOKEN_VALID
    (request,) = one.sso.at(INTROSPECT)
    assert "authorization" not in request.headers
    assert form(request)["client_id"] == "authbridge"
    assert form(request)["client_secret"] == "s3cret of ours"


def test_a_jwt_of_the_provider_is_asked_about_too(world):
    one = world()
    one.sso.says[INTROSPECT] = active()
    assert one.login(jwt("eve")) == model.TOKEN_VALID  # it is the provider who knows its keys


def test_an_answer_is_judged_by_the_same_rules_as_a_token(world):
    one = world(cache=0)
    cases = {
        "token_expired": [{"exp": NOW - 30}],
        "token_not_yet_valid": [{"nbf": NOW + 31}],
        "token_lifetime_too_long": [{"exp": NOW + 90_000}],  # a refresh token, most likely
        "token_audience_wrong": [{"aud": "account"}, {"aud": NOT_THERE}],
        "token_scope_missing": [{"scope": "openid"}, {"scope": NOT_THERE}],
        "token_issuer_unknown": [{"iss": "https://evil.example"}, {"iss": None}],
        "token_claim_missing": [{"preferred_username": NOT_THERE}],
        "token_user_wrong": [{"preferred_username": "bob"}],
        "token_type_wrong": [
            {"token_type": "DPoP"}, {"token_type": "refresh_token"}, {"token_type": "N_A"},
            {"typ": "ID"}, {"token_use": "id_token"}, {"cnf": {}}, {"token_type": NOT_THERE},
        ],
        "provider_failed": [{"exp": "soon"}, {"aud": {}}, {"scope": 1}],
        GOOD: [
            {"exp": NOT_THERE}, {"iss": NOT_THERE}, {"token_type": "bearer"}, {"nonce": "n"},
            {"token_type": "access_token"}, {"exp": NOT_THERE, "iat": NOT_THERE},
            {"typ": "Bearer", "token_type": NOT_THERE},
            {"token_use": "access", "token_type": NOT_THERE},
        ],
    }  # fmt: skip
    for expected, changes in cases.items():
        for change in changes:
            assert reason(one, active(**change)) == expected, change


def test_an_answer_need_not_say_what_a_token_is_where_the_provider_has_one_kind(world):
    one = world(untyped_answers=True)
    assert reason(one, active(token_type=NOT_THERE)) == GOOD
    two = world()
    two.sso.says[INTROSPECT] = active(token_type=NOT_THERE)
    assert two.explain(OPAQUE)[-1] == (
        "refused", "nothing says that it is an access token (`token_type`): see untyped_answers",
    )  # fmt: skip


def test_authentiks_answers_say_nothing_of_the_kind_and_its_refresh_tokens_are_not_shown(world):
    one = world(preset="authentik", token_length=None, audience="web")
    one.sso.says[INTROSPECT] = active(token_type=NOT_THERE, aud="web", client_id="authbridge")
    assert one.login(jwt()) == model.TOKEN_VALID
    assert one.login(OPAQUE) is model.NOT_A_TOKEN


def test_a_token_that_is_not_in_force_is_refused(world):
    one = world()
    assert reason(one, says({"active": False})) == "token_inactive"
    assert reason(one, says({"active": False, **claims()})) == "token_inactive"
    assert one.explain(OPAQUE)[1:] == [
        ("introspection", "answered with 200"), ("refused", "`active` is false"),
    ]  # fmt: skip


def test_what_says_neither_yes_nor_no_is_no_answer(world):
    one = world()
    for odd in (
        says({"sub": "alice"}), says({"active": "true"}), says({"active": 1}), says(b"[]"),
        says(b'{"active": true, "active": false}'), says(b"<html>", "200 OK", PLAIN),
        says({"active": True}, "200 OK", "Content-Type: application/token-introspection+jwt"),
        says({"active": True}, "302 Found", "Location: https://sso/login", JSON),
        says({"active": True}, "201 Created"), says({}, "404 Not Found"), says({}, "500 Oops"),
        says({"error": "temporarily_unavailable"}, "503 No"), says(b"", "429 Too Many"),
        says({"error": "invalid_token"}, "400 Bad Request"),
    ):  # fmt: skip
        assert reason(one, odd) == "provider_failed", odd


def test_words_for_an_answer_hold_nothing_of_it(world):
    one = world()
    url = f"https://ldap.example.org{INTROSPECT}"
    for odd, words in (
        (says(b"s3cret", "200 OK", PLAIN),
         "answers 200, and what is there is not application/json"),
        (says(b"s3cret"), "answers 200 and what is no JSON: Expecting value"),
        (says({"active": "s3cret"}), "answers that `active` is no boolean"),
        (says({"error": "s3cret"}, "302 Found"),
         "answers 302, which points elsewhere, to a login page perhaps, and is not followed"),
        (says({"error": "server_error"}, "500 Oops"), "answers 500 (server_error)"),
        (active(exp="s"), "answers that `exp` is 's', and no number of seconds from 1970 to 9999; "
         "it is a text"),
    ):  # fmt: skip
        one.sso.says[INTROSPECT] = odd
        assert one.explain(OPAQUE)[-1] == ("fault", f"{url} {words}")


def test_a_provider_that_refuses_us_says_nothing_of_the_token(world):
    one = world()
    for odd in (
        says(b"", "401 Unauthorized"), says({"error": "x"}, "403 Forbidden"),
        says({"error": "invalid_client"}, "401 Unauthorized"),
        says({"error": "invalid_client"}, "400 Bad Request"),
        says({"error": "invalid_request"}, "400 Bad Request"),
    ):  # fmt: skip
        assert reason(one, odd) == "provider_refused", odd
    one.sso.says[INTROSPECT] = says({"error": "invalid_client"}, "401 Unauthorized")
    assert one.explain(OPAQUE)[-1][1].endswith(
        "answers 401 to our own credentials or request: invalid_client"
    )


# --- userinfo -------------------------------------------------------------------------------------


def test_userinfo_is_asked_with_the_token(world):
    one = world("userinfo")
    one.sso.says[USERINFO] = says({"sub": "f00", "preferred_username": "alice"})
    outcome = one.login(OPAQUE)
    assert (outcome, outcome.signer) == (model.TOKEN_VALID, ISSUER)
    (request,) = one.sso.at(USERINFO)
    assert request.first == f"GET {USERINFO} HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {OPAQUE}"
    assert one.login(OPAQUE, BOB).reason.value == "token_user_wrong"


def test_what_userinfo_answers(world):
    one = world("userinfo")
    scope = {"error": "insufficient_scope"}
    for answer, expected in (
        (says({"sub": "f00"}), "token_claim_missing"),
        (says(b"", "401 Unauthorized"), "token_inactive"),
        (says(scope, "403 Forbidden"), "token_scope_missing"),
        (says(b"", "403 Forbidden", PLAIN), "provider_refused"),
        (says({"preferred_username": "alice"}, "200 OK", "Content-Type: application/jwt"),
         "provider_failed"),
        (says(b"", "302 Found", "Location: /login"), "provider_failed"),
        (says({}, "500 Oops"), "provider_failed"),
    ):  # fmt: skip
        assert reason(one, answer, USERINFO) == expected, answer


def test_what_cannot_stand_in_a_header_is_sent_to_nobody(world):
    """Where every password is taken for a token."""
    for way in ("userinfo", "introspection"):
        one = world(way, token_length=None)
        before = len(one.sso.asked)
        for odd in ("two words", "x\r\nX-Evil: 1", "pässword", "x" * 8193, "a=b"):
            assert one.refused(odd) == "token_malformed"
        assert len(one.sso.asked) == before


# --- passwords ------------------------------------------------------------------------------------

GRANTED = {"access_token": OPAQUE, "token_type": "Bearer", "expires_in": 300, "id_token": "x"}


def test_a_password_is_right_where_the_provider_gives_its_user_a_token(world):
    one = world(password_grant=True)
    one.sso.says[TOKEN] = says(GRANTED)
    one.sso.says[INTROSPECT] = active()
    assert one.login("wönder land&") == model.PASSWORD_MATCHES
    (request,) = one.sso.at(TOKEN)
    expected = {
        "grant_type": "password", "username": "alice", "scope": "chat",
        "password": "wönder land&".encode().decode("latin-1"),
    }  # fmt: skip
    assert form(request) == expected
    assert request.headers["authorization"] == BASIC
    assert [form(asked)["token"] for asked in one.sso.at(INTROSPECT)] == [OPAQUE]
    steps = one.explain("wonder")
    assert steps == [
        ("password grant", "answered with 200"), ("introspection", "answered with 200"),
        ("provider's user", "'alice'"),
    ]  # fmt: skip


def test_the_token_that_is_given_is_judged_too(world):
    one = world(password_grant=True)
    one.sso.says[TOKEN] = says(GRANTED)
    for change, expected in (
        ({"aud": "account"}, "token_audience_wrong"), ({"scope": "openid"}, "token_scope_missing"),
        ({"preferred_username": "bob"}, "token_user_wrong"),
    ):  # fmt: skip
        one.sso.says[INTROSPECT] = active(**change)
        assert one.refused("wonderland") == expected
    one.sso.says[INTROSPECT] = says(b"", "500 Oops")
    assert one.unavailable("wonderland") == "provider_failed"


def test_a_token_that_is_given_and_cannot_be_judged_says_nothing_of_the_password(world, events):
    one = world("jwt", password_grant=True, client_id="authbridge", client_secret_file="secret")
    for token in ("opaque" * 8, "x" * 9000):
        one.sso.says[TOKEN] = says({"access_token": token, "token_type": "bearer"})
        assert one.unavailable("wonderland") == "provider_failed"
    assert (
        "the token that it gives for a password: not three parts" in said(events, LogLevel.warn)[0]
    )
    for token in (
        jwt(iss="https://else"), jwt(exp=1), jwt(iat=NOW + 60, nbf=NOW + 60), jwt(head="at+odd"),
        jwt("another"), jwt("another", kid="sso"),
    ):  # fmt: skip
        one.sso.says[TOKEN] = says({"access_token": token, "token_type": "bearer"})
        assert one.unavailable("wonderland") == "provider_failed"
    one.network.settle(20)  # the keys were asked for again just now, and this key is not there
    one.sso.says[TOKEN] = says({"access_token": jwt("another"), "token_type": "bearer"})
    assert one.unavailable("wonderland") in ("keys_unavailable", "provider_failed")


def test_what_is_judged_here_says_nothing_of_where_passwords_are_asked_about(world, events):
    one = world("jwt", password_grant=True, client_id="authbridge", client_secret_file="secret")
    one.sso.says[TOKEN] = says(b"", "500 Oops")
    assert one.unavailable("wonderland") == "provider_failed"
    one.network.settle(6)
    assert (one.login(jwt()).reason.value, one.refused(jwt(exp=1))) == (GOOD, "token_expired")
    assert said(events, LogLevel.info) == []
    one.sso.says[TOKEN] = says({"access_token": jwt(), "token_type": "bearer"})
    assert one.login("wonderland") == model.PASSWORD_MATCHES
    assert said(events, LogLevel.info) == [f"provider {ISSUER}: well again, after 6 s"]


def test_who_is_told_by_userinfo_asks_for_the_scopes_of_that(world):
    one = world(
        "userinfo", password_grant=True, client_id="authbridge", client_secret_file="secret"
    )
    one.sso.says[TOKEN] = says(GRANTED)
    one.sso.says[USERINFO] = says({"preferred_username": "alice"})
    assert one.login("wonderland") == model.PASSWORD_MATCHES
    assert form(one.sso.at(TOKEN)[0])["scope"] == "openid profile"


def test_what_comes_of_a_password(world):
    one = world(password_grant=True)
    for status, error, expected in (
        ("400 Bad Request", "invalid_grant", "password_mismatch"),
        ("401 Unauthorized", "invalid_grant", "password_mismatch"),  # Keycloak's
        ("401 Unauthorized", "invalid_client", "provider_refused"),
        ("400 Bad Request", "unauthorized_client", "provider_refused"),
        ("400 Bad Request", "unsupported_grant_type", "provider_refused"),
        ("400 Bad Request", "invalid_scope", "provider_refused"),
        ("401 Unauthorized", "", "provider_failed"),
        ("500 Oops", "invalid_grant", "provider_failed"),
        ("302 Found", "invalid_grant", "provider_failed"),
    ):
        one.sso.says[TOKEN] = says({"error": error}, status)
        assert one.login("wonderland").reason.value == expected, (status, error)
    for odd in (GRANTED | {"token_type": "DPoP"}, {}, GRANTED | {"access_token": None}):
        one.sso.says[TOKEN] = says(odd)
        assert one.unavailable("wonderland") == "provider_failed"
    assert one.login("wonderland", ALICE).verdict is model.Verdict.UNAVAILABLE


def test_a_password_is_asked_about_under_the_providers_name_of_the_user(world):
    one = world(password_grant=True, jid="sso-{user}", user_domain=True)
    one.sso.says[TOKEN] = says(GRANTED)
    one.sso.says[INTROSPECT] = active(preferred_username="alice@example.org")
    assert one.login("wonderland", model.JID("sso-alice", "example.org")) == model.PASSWORD_MATCHES
    assert form(one.sso.at(TOKEN)[0])["username"] == "alice@example.org"
    trace = Trace()
    assert one.login("wonderland", ALICE, trace) == model.USER_UNKNOWN
    assert trace.steps == [("user", "alice is made of nobody's name by `jid`")]
    assert one.login("wonderland", BOB) == model.USER_UNKNOWN
    assert len(one.sso.at(TOKEN)) == 1
