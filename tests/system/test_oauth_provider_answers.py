"""What a provider may answer that says neither yes nor no, or sends to a login page: nobody is let
in, and nobody is told that his token is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tokens import mint

from . import oauth_domains
from .calls import CANNOT_TELL, NO, YES, check_password, probe, said
from .canary import secret, watched
from .daemon import Daemon, write_private
from .pki import make_pki
from .provider_double import (
    FAILED,
    UNREACHABLE,
    WELL_KNOWN,
    Answers,
    ProviderDouble,
    Reply,
    document,
    good,
    no_answers,
    page,
    redirect,
    slow_answer,
    without,
)
from .waiting import wait_until

INTROSPECTION, USERINFO, GRANT = "introspection", "userinfo", "grant"
#: The same with little patience, and the last part of the path where each is asked.
HASTY = {f"hasty-{name}": name for name in (INTROSPECTION, USERINFO)} | {f"hasty-{GRANT}": "token"}
#: Providers whose metadata are wrong, by what is wrong with them.
MISPUBLISHED = (
    *("elsewhere", "page", "another-issuer", "no-endpoint", "clear-text", "no-url", "list"),
    *("twice", "missing"),
)
#: Providers whose keys judge tokens; all but the first publish something else in their place.
SIGNING = ("keys", "keys-page", "keys-elsewhere", "keys-secret", "keys-private")
JID = {name: f"alice@{name}.double.example" for name in (INTROSPECTION, USERINFO, GRANT, *HASTY)}
TOKEN, PASSWORD = secret("T0k3n"), secret("wonderland")
REFUSED = ("unavailable", "provider_refused")
ACCEPTED = ("accepted", "token_valid")


@pytest.fixture(scope="module")
def double(workspace: Path) -> Iterator[ProviderDouble]:
    pki = make_pki(workspace / "double-tls", ["localhost"], ["127.0.0.1"])
    with ProviderDouble(pki) as listening:
        yield listening


def settings(double: ProviderDouble, folder: Path, name: str, tokens: str) -> dict[str, object]:
    chosen: dict[str, object] = {
        "kind": "oauth",
        "issuer": double.issuer(name),
        "ca_file": double.pki.ca,
        "tokens": tokens,
        "timeout": oauth_domains.HASTE if name in HASTY else oauth_domains.PATIENCE,
        "cache": 0,
    }
    if tokens == "userinfo":
        return chosen | {"insecure_any_client": True}
    chosen |= {"audience": ["chat"], "scope": ["xmpp"]}
    if tokens == "jwt":
        return chosen | {"cache": None}
    return chosen | {
        "client_id": "authbridge",
        "client_secret_file": folder / "client-secret",
    }


@pytest.fixture(scope="module")
def daemon(workspace: Path, double: ProviderDouble) -> Iterator[Daemon]:
    folder = workspace / "double"
    write_private(folder / "client-secret", secret("client"))
    grants = {"password_grant": True, "token_prefix": "T0k3n"}
    checkers = {
        INTROSPECTION: settings(double, folder, INTROSPECTION, "introspection"),
        USERINFO: settings(double, folder, USERINFO, "userinfo"),
        GRANT: settings(double, folder, GRANT, "introspection") | grants,
        f"hasty-{INTROSPECTION}": settings(
            double, folder, f"hasty-{INTROSPECTION}", "introspection"
        ),
        f"hasty-{USERINFO}": settings(double, folder, f"hasty-{USERINFO}", "userinfo"),
        f"hasty-{GRANT}": settings(double, folder, f"hasty-{GRANT}", "introspection") | grants,
        **{name: settings(double, folder, name, "introspection") for name in MISPUBLISHED},
        **{name: settings(double, folder, name, "jwt") for name in SIGNING},
    }
    others = {
        f"{name}.double.example": oauth_domains.domain(f"{name}.double.example", [name])
        + oauth_domains.checker(name, **checkers[name])
        for name in checkers
    }
    others[f"{INTROSPECTION}.double.example"] += oauth_domains.PATIENT
    for name in (INTROSPECTION, USERINFO, GRANT, *HASTY, *SIGNING):
        double.publish(name)
    started = Daemon(folder / "daemon", (), others=others)
    misplace(double)
    misplace_keys(double)
    started.start()
    yield started
    started.stop()


def misplace(double: ProviderDouble) -> None:
    """What is wrong with the metadata of each of MISPUBLISHED; the rest is as it should be."""
    double.publish("truth", issuer=double.issuer("elsewhere"))
    double.publish("another-issuer", issuer=double.issuer("introspection"))
    double.publish("no-endpoint", introspection_endpoint=None)
    double.publish("clear-text", introspection_endpoint="http://192.0.2.1/introspection")
    double.publish("no-url", introspection_endpoint=["https://localhost/"])
    where = double.issuer("truth") + WELL_KNOWN
    twice = json.dumps({"issuer": double.issuer("another-issuer")})[:-1]
    double.answers |= {
        f"/elsewhere{WELL_KNOWN}": redirect(302, where),
        f"/page{WELL_KNOWN}": page(),
        f"/list{WELL_KNOWN}": document([]),
        f"/twice{WELL_KNOWN}": Reply(
            200, f'{twice}, "issuer": "{double.issuer("twice")}"}}'.encode()
        ),
    }


def misplace_keys(double: ProviderDouble) -> None:
    """What each of SIGNING publishes."""
    public, shared = mint.key("RS256", "double"), mint.key("HS256", "double")
    jwks = document(mint.jwks(public.jwk(kid="1")))
    double.answers |= {
        "/keys/keys": jwks,
        "/truth/keys": jwks,
        "/keys-page/keys": page(),
        "/keys-elsewhere/keys": redirect(302, f"{double.issuer('truth')}/keys"),
        "/keys-secret/keys": document(mint.jwks(shared.jwk(kid="1"))),
        "/keys-private/keys": document(mint.jwks(public.jwk(private=True, kid="1"))),
    }


def check_answers(
    daemon: Daemon,
    double: ProviderDouble,
    jid: str,
    path: str,
    answers: Answers,
    password: bytes = TOKEN,
) -> None:
    mark, found, statuses = len(double.asked("/login")), {}, {}
    for name, (reply, _) in answers.items():
        double.answers[path] = reply
        statuses[name] = check_password(daemon, jid, password)
        found[name] = said(daemon, jid)
    assert found == {name: outcome for name, (_, outcome) in answers.items()}
    for name, (verdict, _) in found.items():
        expected = {"accepted": YES[0], "rejected": NO[0], "unavailable": CANNOT_TELL}[verdict]
        assert statuses[name][0] == expected
        assert (statuses[name] == YES) == (verdict == "accepted")
    assert len(double.asked("/login")) == mark


def test_introspection_that_says_neither_yes_nor_no_is_an_outage(
    daemon: Daemon, double: ProviderDouble
) -> None:
    answers = no_answers(double) | {
        "good": (document(good()), ACCEPTED),
        "no word": (document(without("active")), FAILED),
        **{
            f"active is {active!r}": (document(good() | {"active": active}), FAILED)
            for active in ("true", 1, None, [True])
        },
        "our secret": (document({"error": "invalid_client"}, 401), REFUSED),
        "not for us": (page(status=403), REFUSED),
        "audience": (document(good() | {"aud": 7}), FAILED),
        "scope": (document(good() | {"scope": {"xmpp": True}}), FAILED),
        "end": (document(good() | {"exp": "soon"}), FAILED),
        "end is no number": (Reply(200, b'{"active": true, "exp": NaN}'), FAILED),
    }
    check_answers(daemon, double, JID[INTROSPECTION], f"/{INTROSPECTION}/introspection", answers)


def test_introspection_that_says_yes_to_something_else_is_a_no(
    daemon: Daemon, double: ProviderDouble
) -> None:
    said_of = {
        "inactive": ({"active": False}, "token_inactive"),
        "over": (good() | {"exp": 1}, "token_expired"),
        "early": (good() | {"nbf": 4_000_000_000}, "token_not_yet_valid"),
        "audience": (good() | {"aud": "chat "}, "token_audience_wrong"),
        "no audience": (without("aud"), "token_audience_wrong"),
        "scope": (good() | {"scope": "openid xmpp2"}, "token_scope_missing"),
        "no scope": (without("scope"), "token_scope_missing"),
        "issuer": (good() | {"iss": double.issuer(USERINFO)}, "token_issuer_unknown"),
        "refresh": (good() | {"typ": "Refresh"}, "token_type_wrong"),
        "use": (good() | {"token_use": "refresh_token"}, "token_type_wrong"),
        "no type": (without("token_type"), "token_type_wrong"),
        "type": (good() | {"token_type": "DPoP"}, "token_type_wrong"),
        "bound": (good() | {"cnf": {"jkt": "x"}}, "token_type_wrong"),
        "nobody": (without("preferred_username"), "token_claim_missing"),
        "people": (good() | {"preferred_username": ["alice"]}, "token_claim_missing"),
        "capital": (good() | {"preferred_username": "ALICE"}, "token_user_wrong"),
        "jid": (good() | {"preferred_username": "alice@double.example"}, "token_user_wrong"),
        "invisible": (good() | {"preferred_username": "al\u00adice"}, "token_user_wrong"),
        "half": (good() | {"preferred_username": "\ud800"}, "token_user_wrong"),
    }
    answers = {
        name: (document(members), ("rejected", reason))
        for name, (members, reason) in said_of.items()
    }
    check_answers(daemon, double, JID[INTROSPECTION], f"/{INTROSPECTION}/introspection", answers)


def test_userinfo_that_says_neither_yes_nor_no_is_an_outage(
    daemon: Daemon, double: ProviderDouble
) -> None:
    signed = Reply(200, b"e30.e30.e30", (("Content-Type", "application/jwt"),))
    scope = document({"error": "insufficient_scope"}, 403)
    answers = no_answers(double) | {
        "good": (document({"sub": "7", "preferred_username": "alice"}), ACCEPTED),
        "signed": (signed, FAILED),
        "not known": (document({"error": "invalid_token"}, 401), ("rejected", "token_inactive")),
        "page": (page(status=401), ("rejected", "token_inactive")),
        "scope": (scope, ("rejected", "token_scope_missing")),
        "not for us": (page(status=403), REFUSED),
        "nobody": (document({}), ("rejected", "token_claim_missing")),
        "another": (
            document({"preferred_username": "bob"}),
            ("rejected", "token_user_wrong"),
        ),
    }
    check_answers(daemon, double, JID[USERINFO], f"/{USERINFO}/userinfo", answers)
    request = double.asked(f"/{USERINFO}/userinfo")[-1]
    assert request.headers["authorization"] == f"Bearer {TOKEN.decode()}"


def test_password_grant_that_says_neither_yes_nor_no_is_an_outage(
    daemon: Daemon, double: ProviderDouble
) -> None:
    given = {"access_token": TOKEN.decode(), "token_type": "bearer", "expires_in": 300}
    double.answers[f"/{GRANT}/introspection"] = document(good())
    mismatch = ("rejected", "password_mismatch")
    refused = {
        error: (document({"error": error}, 400), REFUSED)
        for error in (
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "invalid_client",
        )
    }
    answers = (
        no_answers(double)
        | refused
        | {
            "good": (document(given), ("accepted", "password_matches")),
            "wrong": (document({"error": "invalid_grant"}, 400), mismatch),
            "wrong, as Keycloak has it": (document({"error": "invalid_grant"}, 401), mismatch),
            "wrong, in a page": (page(status=400), FAILED),
            "no token": (document({"token_type": "bearer"}), FAILED),
            "no type": (document({"access_token": TOKEN.decode()}), FAILED),
            "bound": (document(given | {"token_type": "DPoP"}), FAILED),
            "header": (document(given | {"access_token": "x\r\nX-Injected: 1"}), FAILED),
        }
    )
    # What of a yes: it is judged like a token that somebody shows.
    check_answers(daemon, double, JID[GRANT], f"/{GRANT}/token", answers, PASSWORD)
    (form,) = {json.dumps(request.form) for request in double.asked(f"/{GRANT}/token")}
    assert json.loads(form) == {
        "grant_type": ["password"],
        "username": ["alice"],
        "password": [PASSWORD.decode()],
        "scope": ["xmpp"],
    }
    double.answers[f"/{GRANT}/token"] = document(given)
    for members, reason in (
        ({"active": False}, "token_inactive"),
        (good() | {"preferred_username": "bob"}, "token_user_wrong"),
        (good() | {"aud": "mail"}, "token_audience_wrong"),
    ):
        double.answers[f"/{GRANT}/introspection"] = document(members)
        assert check_password(daemon, JID[GRANT], PASSWORD) == NO
        assert said(daemon, JID[GRANT]) == ("rejected", reason)


@pytest.mark.parametrize("name", HASTY)
def test_answer_that_comes_too_slowly_is_an_outage(
    daemon: Daemon, double: ProviderDouble, name: str
) -> None:
    answers = {"slow": (slow_answer(), UNREACHABLE)}
    password = PASSWORD if GRANT in name else TOKEN
    path = f"/{name}/{HASTY[name]}"
    check_answers(daemon, double, JID[name], path, answers, password)
    assert double.asked(path)


def test_metadata_that_are_wrong_are_an_outage_that_says_what_is_wrong(
    daemon: Daemon, double: ProviderDouble
) -> None:
    told = probe(daemon).stdout
    for name in MISPUBLISHED:
        jid = f"alice@{name}.double.example"
        assert check_password(daemon, jid, TOKEN)[0] == CANNOT_TELL
        assert said(daemon, jid) == UNREACHABLE, name
        about = told.partition(f"[checkers.{name}] ")[2].partition("[checkers.")[0]
        assert double.issuer(name) in about, about
        # Not a word of it goes where they point.
        assert not double.asked(f"/{name}/introspection")
    assert not double.asked(f"/truth{WELL_KNOWN}")


def test_keys_that_are_none_judge_no_token(daemon: Daemon, double: ProviderDouble) -> None:
    def judged(name: str, algorithm: str) -> tuple[str, str]:
        claims = good() | {"iss": double.issuer(name)}
        key = mint.key(algorithm, "double")
        token = watched(mint.jwt(claims, key, kid="1", typ="at+jwt").encode())
        check_password(daemon, f"alice@{name}.double.example", token)
        return said(daemon, f"alice@{name}.double.example")

    wait_until(lambda: judged("keys", "RS256") == ACCEPTED, "the keys are fetched")
    # A secret that is published is nobody's, and no public key is one.
    assert judged("keys", "HS256") == ("rejected", "token_algorithm_refused")
    wait_until(lambda: all(double.asked(f"/{name}/keys") for name in SIGNING), "all are fetched")
    for name in SIGNING[1:]:
        for algorithm in ("RS256", "HS256"):
            assert judged(name, algorithm) == ("unavailable", "keys_unavailable"), name
    assert not double.asked("/truth/keys")


def test_token_is_in_no_url_and_the_secret_in_one_header(
    daemon: Daemon, double: ProviderDouble
) -> None:
    double.answers[f"/{INTROSPECTION}/introspection"] = document(good())
    assert check_password(daemon, JID[INTROSPECTION], TOKEN) == YES
    request = double.asked(f"/{INTROSPECTION}/introspection")[-1]
    assert request.method == "POST"
    assert request.form == {"token": [TOKEN.decode()], "token_type_hint": ["access_token"]}
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"].startswith("Basic ")
    for earlier in double.requests:
        assert TOKEN.decode() not in earlier.path
        assert PASSWORD.decode() not in earlier.path
