"""The checker of an OAuth provider's users: what it takes for a token, whose JID a user is, and who
is never let in."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.checkers import CheckerSettings, Probed, Surroundings, oauth
from authbridge.model import JID, NOT_A_TOKEN, Identifying, Identity, Recognising, Trace
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from tests.doubles import now
from tests.providers.world import (
    ADMIN,
    ALICE,
    BOB,
    CLIENT,
    INTROSPECT,
    ISSUER,
    NOW,
    OPAQUE,
    REQUIRED,
    TOKEN,
    USERINFO,
    World,
    claims,
    jwt,
    make,
    read,
    says,
)
from tests.tokens.mint import NOT_THERE

OTHERS = jwt(iss="https://www.example.org")
TEMPORARY = "abtt1_" + "x" * 43
BROKEN = jwt()[:-1] + "!"


@pytest.fixture
def world(tmp_path):
    """Makes a provider and its checker; nothing of it may be left behind."""
    made = []

    def begin(way="introspection", /, **given):
        made.append(World(tmp_path, way, **given).start())
        return made[-1]

    yield begin
    for one in made:
        one.end()


def active(**changes):
    return says({"active": True, "token_type": "Bearer", **claims(**changes)})


def identify(one, secret, domain="example.org"):
    asked = Deferred.fromCoroutine(one.checker.identify(Secret(secret.encode()), domain))
    one.network.settle()
    return now(asked)


# --- what is taken for a token --------------------------------------------------------------------


def test_it_is_a_checker_with_tokens_of_its_own(world, tmp_path):
    one = world("jwt")
    for protocol in (Recognising, Identifying, Probed):
        assert isinstance(one.checker, protocol)
    mistakes = Mistakes()
    data = {"kind": "oauth", "issuer": ISSUER, "tokens": "jwt", **REQUIRED}
    found = CheckerSettings.read(Table(data, "checkers.sso", mistakes, tmp_path))
    assert list(mistakes) == []
    assert (found.knows_users, found.recognises, found.own_tokens) == (False, False, True)
    assert (found.own_issuer, found.takes_all, found.at_once) == (ISSUER, False, 64)


def test_its_own_jwts_are_recognised_good_or_bad_and_those_of_others_are_not(world):
    own = (jwt(), jwt("eve"), jwt(exp=0), BROKEN, f"Bearer {jwt()}")
    foreign = (OTHERS, TEMPORARY, "abtx9_", "wonderland", "")
    for way in ("jwt", "introspection", "userinfo"):
        checker = world(way).checker
        for secret in own:
            assert checker.recognises(Secret(secret.encode())), secret
        for secret in foreign:
            assert not checker.recognises(Secret(secret.encode())), secret


def test_opaque_tokens_are_recognised_by_their_shape(world):
    one = world(token_length=43, token_prefix="opaque-")
    for secret, expected in (
        (OPAQUE, True), (OPAQUE[:-1], False), ("y" * 43, False), (OPAQUE[:-1] + " ", False),
    ):  # fmt: skip
        assert one.checker.recognises(Secret(secret.encode())) is expected
    assert not world("jwt").checker.recognises(Secret(OPAQUE.encode()))
    alone = world(token_length=None, jwt_alone=True)
    assert not alone.checker.recognises(Secret(OPAQUE.encode()))


def test_without_a_shape_all_is_a_token_that_is_nobody_elses(world):
    checker = world(token_length=None).checker
    for secret in (OPAQUE, "wonderland", "pässword", jwt(), BROKEN):
        assert checker.recognises(Secret(secret.encode()))
    for secret in (OTHERS, TEMPORARY):
        assert not checker.recognises(Secret(secret.encode()))


def test_what_is_none_of_its_tokens_is_shown_to_nobody(world):
    for given in ({}, {"password_grant": True}):
        one = world(**given)
        before = len(one.sso.asked)
        for secret in (OTHERS, TEMPORARY):
            assert one.login(secret) is NOT_A_TOKEN
            assert one.explain(secret) == [("token", f"does not look like one of {ISSUER}")]
            assert identify(one, secret) is NOT_A_TOKEN
        assert len(one.sso.asked) == before
    assert world().login("wonderland") is NOT_A_TOKEN


def test_a_token_that_cannot_be_read_is_refused(world):
    for way in ("jwt", "introspection"):
        one = world(way)
        one.sso.says[INTROSPECT] = says({"active": False})
        assert one.refused(f"Bearer {jwt()}") == "token_malformed"
        assert one.refused(jwt() + "\n") == "token_malformed"


def test_a_token_that_may_be_anybodys_is_shown_to_nobody(world):
    """Another provider's too, which that one would take."""
    parts = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.eyJ4.eyJ4.eyJ4.eyJ4"
    deep = jwt(iss="https://www.example.org", more=[[[[[[[[[1]]]]]]]]])
    for way in ("introspection", "userinfo"):
        one = world(way)
        before = len(one.sso.asked)
        for secret in (jwt(iss=NOT_THERE), OTHERS + "=", parts, deep):
            assert one.refused(secret) == "token_malformed"
            assert identify(one, secret).reason.value == "token_malformed"
            assert one.explain(secret)[-1] == (
                "refused", "it cannot be read whose it is, so that nobody is asked",
            )  # fmt: skip
        assert len(one.sso.asked) == before


def test_it_tells_nothing_of_who_exists(world):
    assert now(world().checker.user_exists(ALICE, None)) is NOT_A_TOKEN


# --- whose it is ----------------------------------------------------------------------------------


def test_a_token_is_its_users_alone(world):
    one = world()
    one.sso.says[INTROSPECT] = active()
    assert one.login(OPAQUE) == model.TOKEN_VALID
    assert one.refused(OPAQUE, BOB) == "token_user_wrong"
    assert one.login(OPAQUE, BOB).signer == ISSUER
    assert one.login(OPAQUE, JID("alice", "example.net")) == model.TOKEN_VALID  # as domains say
    assert len(one.sso.at(INTROSPECT)) == 1
    assert one.explain(OPAQUE, BOB)[-2:] == [
        ("provider's user", "'alice'"), ("refused", "it is another user's than bob@example.org"),
    ]  # fmt: skip


def test_a_name_that_xmpp_would_change_is_nobodys(world):
    one = world(cache=0)
    for name in ("Alice", "ａlice", "alice\u200b", " alice", "alice ", "ali\ud800ce", "alice/x"):
        one.sso.says[INTROSPECT] = active(preferred_username=name)
        assert one.refused(OPAQUE) == "token_user_wrong", name
    assert one.explain(OPAQUE)[-1][1].startswith(
        "whose it is cannot be a JID of example.org: the user's name holds a character"
    )


def test_a_name_that_stands_for_another_is_nobodys(world):
    one = world("jwt", password_grant=True, **CLIENT)
    for name, expected in (
        (r"o\27brien", "token_user_wrong"), (r"o\5c27brien", "token_user_wrong"),
        (r"o\brien", "token_valid"), (r"o\5cbrien", "token_user_wrong"),
    ):  # fmt: skip
        assert one.login(jwt(preferred_username=name), JID(name, "example.org")).reason.value == (
            expected
        ), name
    before = len(one.sso.asked)
    outcome = one.login("wonderland", JID(r"o\27brien", "example.org"))
    assert outcome == model.USER_UNKNOWN
    assert len(one.sso.asked) == before


def test_case_may_be_ignored_and_the_localpart_may_have_more(world):
    one = world(ignore_case=True, jid="sso-{user}")
    one.sso.says[INTROSPECT] = active(preferred_username="ALICE")
    assert one.login(OPAQUE, JID("sso-alice", "example.org")) == model.TOKEN_VALID
    assert one.refused(OPAQUE) == "token_user_wrong"


def test_a_name_with_a_domain_is_of_that_domain_alone(world):
    one = world(user="email", user_domain=True, cache=0)
    for name, expected in (
        ("alice@example.org", "token_valid"), ("alice@Example.ORG", "token_user_wrong"),
        ("alice@ex\u00adample.org", "token_user_wrong"), ("alice@example.org.", "token_user_wrong"),
        ("alice@ｅxample.org", "token_user_wrong"),
        ("alice@example.net", "token_user_wrong"), ("alice", "token_user_wrong"),
        ("alice@evil@example.org", "token_user_wrong"), ("alice@", "token_user_wrong"),
        ("@example.org", "token_user_wrong"), ("example.org", "token_user_wrong"),
        ("alice@\ud800", "token_user_wrong"),
    ):  # fmt: skip
        one.sso.says[INTROSPECT] = active(email=name)
        assert one.login(OPAQUE).reason.value == expected, name


def test_case_may_be_ignored_in_the_domain_too(world):
    one = world("jwt", user="email", user_domain=True, ignore_case=True, jid="web-{user}")
    of_alice, nobody = JID("web-alice", "example.org"), JID("web-", "example.org")
    assert one.login(jwt(email="Alice@Example.ORG"), of_alice).reason.value == "token_valid"
    for odd in ("alice@ex\u00adample.org", "alice@example.org.", "alice@Ｅxample.org"):
        assert one.refused(jwt(email=odd), of_alice) == "token_user_wrong"
    assert one.refused(jwt(email="@example.org"), nobody) == "token_user_wrong"


def test_whom_never_names_is_not_even_asked_about(world):
    one = world(token_length=None)
    one.sso.says[INTROSPECT] = active(preferred_username="admin")
    assert one.refused(OPAQUE, ADMIN) == "token_never"
    assert one.explain(OPAQUE, ADMIN)[-1] == ("refused", "`never` of example.org names admin")
    assert one.sso.at(INTROSPECT) == []


def test_whom_never_names_has_his_password(world):
    one = world(password_grant=True)
    one.sso.says[TOKEN] = says({"access_token": OPAQUE, "token_type": "bearer"})
    one.sso.says[INTROSPECT] = active(preferred_username="admin")
    assert one.login("wonderland", ADMIN) == model.PASSWORD_MATCHES


def test_who_asks_for_the_reasons_is_not_answered_from_what_is_kept(world):
    one = world()
    one.sso.says[INTROSPECT] = active()
    assert one.login(OPAQUE) == model.TOKEN_VALID
    one.sso.says[INTROSPECT] = says({"active": False})
    assert one.login(OPAQUE) == model.TOKEN_VALID
    assert one.login(OPAQUE, trace=Trace()).reason.value == "token_inactive"
    one.network.settle(5)
    assert one.refused(OPAQUE) == "token_inactive"


# --- whose it is, to who does not know the user ---------------------------------------------------


def test_a_token_says_whose_it_is(world):
    one = world("jwt")
    assert identify(one, jwt()) == Identity(ALICE, NOW + 300)
    assert identify(one, jwt(), "*") == Identity(JID("alice", "*"), NOW + 300)
    assert identify(one, jwt(aud="x")).reason.value == "token_audience_wrong"
    assert identify(one, "wonderland") is NOT_A_TOKEN
    odd = identify(one, jwt(preferred_username="Alice"))
    assert (odd.reason.value, odd.signer) == ("token_user_wrong", f"{ISSUER}#sso")


def test_or_its_provider_does_and_is_not_asked_again_at_once(world):
    one = world("userinfo")
    one.sso.says[USERINFO] = says({"preferred_username": "alice"})
    assert identify(one, OPAQUE) == Identity(ALICE, None)
    assert one.login(OPAQUE) == model.TOKEN_VALID
    assert len(one.sso.at(USERINFO)) == 1
    one.network.settle(5)
    one.sso.says[USERINFO] = says(b"", "500 Oops")
    assert identify(one, OPAQUE).verdict is model.Verdict.UNAVAILABLE


def test_a_name_with_a_domain_says_of_which_domain_it_is(world):
    one = world("jwt", user="email", user_domain=True)
    token = jwt(email="alice@example.net")
    assert identify(one, token, "*").jid == JID("alice", "example.net")
    assert identify(one, token, "example.net").jid == JID("alice", "example.net")
    assert identify(one, token).reason.value == "token_user_wrong"


# --- the daemon -----------------------------------------------------------------------------------


def test_it_begins_and_ends_with_the_daemon(world, tmp_path):
    one = world("jwt")
    settings, _ = read(tmp_path, "introspection")
    surroundings = Surroundings(one.network, None, lambda: one.wall, lambda: 0.5)
    checker = make(surroundings, settings)
    (start,), (stop,) = surroundings.at_start, surroundings.at_stop
    before = len(one.sso.asked)
    one.network.settle()
    assert len(one.sso.asked) == before
    start()
    one.network.settle()
    assert len(one.sso.asked) == before + 1
    one.sso.says[INTROSPECT] = active()
    for token, expected in ((OPAQUE, "token_never"), (TEMPORARY, "no_checker")):
        asked = Deferred.fromCoroutine(checker.check_password(ALICE, Secret(token.encode()), None))
        one.network.settle()
        assert now(asked).reason.value == expected
    asked = Deferred.fromCoroutine(checker.identify(Secret(OPAQUE.encode()), "example.org"))
    one.network.settle()
    assert now(asked) == Identity(ALICE, NOW + 300)
    stop()


def test_read_settings_reads_its_own_table(tmp_path):
    mistakes = Mistakes()
    oauth.read_settings(Table({"issuer": ISSUER}, "checkers.sso", mistakes, tmp_path))
    assert [line.partition(":")[0] for line in mistakes] == [
        f"checkers.sso.{setting}"
        for setting in ("tokens", "client_id", "client_secret_file", "audience", "scope")
    ]
