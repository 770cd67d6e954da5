"""Who gets in with a token, through a real ejabberd and a real Prosody, and who does not."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tokens import mint

from . import signers
from .calls import explain, said
from .canary import secret
from .daemon import Daemon
from .signers import ABROAD, DOMAIN, KINDS, SECRETS, SIGNERS, STRANGERS, compact, jwt, xcauth
from .test_users import bounce, waiting_messages
from .visitors import Server, Visitors
from .xmpp import SESSION

ALICE = f"alice@{DOMAIN}"
BOB = f"bob@{DOMAIN}"
REFUSED = "not-authorized"

#: What is wrong with a token, to the token and the reason in the log.
Wrong = dict[str, tuple[bytes, str]]


def from_now(seconds: int) -> int:
    """A date in a token."""
    return int(time.time()) + seconds


def tampered(token: bytes, was: str, now: str) -> bytes:
    """A token that says something else; its signature is as it was."""
    header, payload, signature = token.decode().split(".")
    says = mint.unb64(payload)
    assert was.encode() in says
    changed = mint.b64(says.replace(was.encode(), now.encode()))
    return signers.kept(f"{header}.{changed}.{signature}")


def stripped(algorithm: str) -> bytes:
    """A token that says to be signed with this algorithm, and is not."""
    header = {"alg": algorithm, "typ": "JWT", "kid": "ES256"}
    parts = (mint.b64(mint.text(part)) for part in (header, signers.claims(ALICE)))
    return signers.kept(".".join((*parts, "")))


def signed_with_the_public_key() -> bytes:
    """HS256, whose secret is what everybody may know."""
    public = mint.Key("HS256", secret=signers.key("ES256").public_pem())
    claims = signers.claims(ALICE)
    return signers.kept(mint.jwt(claims, public, kid="ES256"))


def wrong_dates() -> Wrong:
    """Not any more, not yet, for too long."""
    return {
        **{
            f"expired {algorithm}": (
                jwt(ALICE, algorithm, iat=from_now(-120), exp=from_now(-60)),
                "token_expired",
            )
            for algorithm in signers.JWT_KINDS
        },
        "nbf": (jwt(ALICE, nbf=from_now(3600)), "token_not_yet_valid"),
        "iat": (jwt(ALICE, iat=from_now(3600), exp=from_now(3660)), "token_not_yet_valid"),
        "lifetime": (jwt(ALICE, exp=from_now(3600)), "token_lifetime_too_long"),
    }


def for_others() -> Wrong:
    """Another user, domain, audience, or purpose."""
    elsewhere = f"alice@{STRANGERS}"
    return {
        "user": (jwt(BOB), "token_user_wrong"),
        "user of a domain": (jwt(elsewhere, aud=f"xmpp:{DOMAIN}"), "token_user_wrong"),
        "audience": (jwt(ALICE, aud=f"xmpp:{STRANGERS}"), "token_audience_wrong"),
        "both": (jwt(elsewhere), "token_audience_wrong"),
        "type": (jwt(ALICE, header={"typ": "at+jwt"}), "token_type_wrong"),
        "issuer of a domain": (
            jwt(ALICE, by=signers.key("ES256", "abroad"), iss=ABROAD, header={"kid": "abroad"}),
            "token_domain_refused",
        ),
    }


def wrong_signatures() -> Wrong:
    """Of a stranger, of nobody, or of what was there before."""
    stranger = {kind: mint.key(kind, "stranger") for kind in signers.PAIRS}
    return {
        **{f"key {kind}": (jwt(ALICE, kind, by=key), "token_signature_wrong")
           for kind, key in stranger.items()},
        "secret": (
            jwt(ALICE, "HS256", by=mint.Key("HS256", secret=SECRETS["compact"])),
            "token_signature_wrong",
        ),
        "issuer": (jwt(ALICE, iss="https://nobody.example"), "token_issuer_unknown"),
        "issuer's key": (jwt(ALICE, iss=ABROAD), "token_key_unknown"),
        "no such key": (jwt(ALICE, header={"kid": "none"}), "token_key_unknown"),
        "tampered": (tampered(jwt(BOB), "bob", "alice"), "token_signature_wrong"),
        "cut": (jwt(ALICE)[:-1], "token_malformed"),
        "shorter": (jwt(ALICE)[:-6], "token_signature_wrong"),
        "no signature": (stripped("ES256"), "token_signature_wrong"),
        "none": (stripped("none"), "token_algorithm_refused"),
        "None": (stripped("None"), "token_algorithm_refused"),
        "public key": (signed_with_the_public_key(), "token_algorithm_refused"),
    }  # fmt: skip


def wrong_macs() -> Wrong:
    """Compact ones and those of xcauth, wrong in all of this."""
    elsewhere = f"alice@{STRANGERS}"
    namesake = mint.xcauth_namesake(SECRETS["xcauth"])
    return {
        "expired": (compact(ALICE, -60), "token_expired"),
        "lifetime": (compact(ALICE, 3600), "token_lifetime_too_long"),
        "user": (compact(BOB), "token_signature_wrong"),
        "domain": (compact(elsewhere), "token_signature_wrong"),
        "secret": (
            compact(ALICE, by=secret("a stranger's, which is as long")),
            "token_key_unknown",
        ),
        "cut": (compact(ALICE)[:-1], "token_malformed"),
        "longer": (compact(ALICE) + b"A", "token_malformed"),
        "another form": (b"abtd1_" + compact(ALICE)[6:], "token_not_accepted"),
        "xcauth expired": (xcauth(ALICE, -60), "token_expired"),
        "xcauth lifetime": (xcauth(ALICE, 7200), "token_lifetime_too_long"),
        "xcauth user": (xcauth(BOB), "token_signature_wrong"),
        "xcauth domain": (xcauth(elsewhere), "token_signature_wrong"),
        "xcauth secret": (xcauth(ALICE, by=namesake), "token_signature_wrong"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_good_token_gets_a_session(
    server: Server, visitors: Visitors, daemon: Daemon, kind: str
) -> None:
    """Whatever has signed it; the log says who that was."""
    assert visitors.enter(server, ALICE, signers.token(ALICE, kind)).jid == f"{ALICE}/tests"
    login = daemon.logins(ALICE)[-1]
    assert (login["verdict"], login["reason"]) == ("accepted", "token_valid")
    assert login["signer"] == SIGNERS[kind]


@pytest.mark.parametrize("group", [wrong_dates, for_others, wrong_signatures, wrong_macs])
def test_wrong_token_is_refused(
    server: Server, visitors: Visitors, daemon: Daemon, group: Callable[[], Wrong]
) -> None:
    """In the words of a wrong password; the log has the reason. A good one after them gets in."""
    wrong = group()
    before = len(daemon.logins(ALICE))
    client = visitors.connect(server, DOMAIN)
    outcomes = {name: client.login(b"alice", token) for name, (token, _) in wrong.items()}
    assert outcomes == dict.fromkeys(wrong, REFUSED)
    assert client.login(b"alice", compact(ALICE)) == SESSION
    *refusals, good = daemon.logins(ALICE)[before:]
    found = {
        name: (login["verdict"], login["reason"])
        for name, login in zip(wrong, refusals, strict=True)
    }
    assert found == {name: ("rejected", reason) for name, (_, reason) in wrong.items()}
    assert good["reason"] == "token_valid"


def test_refused_token_has_its_signer_in_the_log_where_the_signature_is_right(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    """Whose fault it is can be told then; what an unsigned one says of itself is anybody's word."""
    client = visitors.connect(server, DOMAIN)
    assert client.login(b"alice", jwt(BOB)) == REFUSED
    assert daemon.logins(ALICE)[-1]["signer"] == SIGNERS["ES256"]
    assert client.login(b"alice", compact(ALICE, -60)) == REFUSED
    assert daemon.logins(ALICE)[-1]["signer"] == SIGNERS["compact"]
    assert client.login(b"alice", jwt(ALICE, by=mint.key("ES256", "stranger"))) == REFUSED
    assert "signer" not in daemon.logins(ALICE)[-1]


def test_password_is_no_token(server: Server, visitors: Visitors, daemon: Daemon) -> None:
    """Where there is nothing but tokens."""
    assert visitors.login(server, ALICE, secret("wonderland")) == REFUSED
    assert said(daemon, ALICE) == ("rejected", "no_checker")
    assert visitors.login(server, ALICE) == SESSION


@pytest.mark.parametrize("kind", ["ES256", "compact", "xcauth"])
def test_token_is_for_the_name_as_the_server_prepares_it(
    server: Server, visitors: Visitors, kind: str
) -> None:
    """However it was typed."""
    token = signers.token(f"çelik@{DOMAIN}", kind)
    assert visitors.login(server, f"ÇELIK@{DOMAIN}", token) == SESSION
    assert visitors.login(server, f"celik@{DOMAIN}", token) == REFUSED


def test_message_is_kept_for_who_has_nothing_but_tokens_where_everybody_exists(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    """exists = "always": he finds it at his next login."""
    text = "until your next token"
    assert bounce(visitors.enter(server, BOB), ALICE, text) == ""
    assert daemon.logins(ALICE)[-1]["operation"] == "user_exists"
    assert waiting_messages(visitors, server, ALICE) == [text]


def test_message_comes_back_from_who_has_nothing_but_tokens_where_nobody_exists(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    """exists = "never", although he has just been there; and it is not kept."""
    alice = f"alice@{STRANGERS}"
    assert visitors.login(server, alice) == SESSION
    assert bounce(visitors.enter(server, BOB), alice, "boo") == "service-unavailable"
    assert said(daemon, alice) == ("rejected", "user_unknown")
    assert waiting_messages(visitors, server, alice) == []


def test_explain_shows_how_a_token_was_judged_and_never_the_token(daemon: Daemon) -> None:
    """Its issuer, its key and its signature, and what was wrong then."""
    asked = (BOB, jwt(ALICE)), (ALICE, compact(ALICE))
    with ThreadPoolExecutor() as at_once:
        done = list(at_once.map(lambda question: explain(daemon, *question), asked))
    for (_, token), found in zip(asked, done, strict=True):
        for part in token.decode().split("."):
            assert part not in found.stdout + found.stderr
    for_another, good = (steps(found.stdout) for found in done)
    assert for_another["issuer"] == [signers.WEBSITE]
    assert for_another["key"][0].startswith("'ES256' is ")
    assert for_another["signature"] == good["signature"] == ["is right"]
    words = f"`sub` is '{ALICE}', and the login is for {BOB}"
    assert for_another["refused"] == [words]
    assert "(token_user_wrong)" in done[0].stdout
    assert good["issuer"] == ["forum"]
    assert good["key"][0].startswith("'forum-1' is ")
    assert "Login: accepted" in done[1].stdout


def steps(explained: str) -> dict[str, list[str]]:
    """The steps of a login, as `explain` tells them: each with what was found."""
    found: dict[str, list[str]] = {}
    for line in explained.partition("\nUser:")[0].splitlines():
        name, _, words = line.strip().partition("  ")
        found.setdefault(name, []).append(words.strip())
    return found
