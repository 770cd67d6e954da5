"""Tokens first, and then the directory: what a directory never gets to see, and who needs none."""

from collections.abc import Callable

import pytest

from tests.tokens import mint

from . import canary, signers
from .callers import KeepAlive
from .calls import CANNOT_TELL, NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import ALICE, BOB, CAROL, EXPIRED, GONE, LOCKED, Account
from .ejabberd import Ejabberd
from .prosody import Prosody
from .signers import CHAIN, SECRETS, compact, jwt, xcauth
from .slapd import Slapd
from .test_directory_logins import REFUSED, user_binds
from .visitors import Visitors
from .xmpp import SESSION

JID = f"alice@{CHAIN}"
NOBODY = f"nobody@{CHAIN}"


def asked(slapd: Slapd, since: int) -> list[str]:
    """All binds and searches since a mark but for the daemon's own binds, which come when they
    come."""
    return [*user_binds(slapd, since), *slapd.searches(since)]


def tokens() -> dict[str, bytes]:
    """Good ones, and what only looks like one: all that a directory must not hear of."""
    good, short, bare = jwt(JID), compact(JID), xcauth(JID)
    header, payload, signature = good.split(b".")
    utf_16 = mint.b64('{"alg":"ES256"}'.encode("utf-16")).encode()
    made = {
        **{kind: signers.token(JID, kind) for kind in signers.JWT_KINDS},
        "compact": short,
        "expired": jwt(JID, iat=0, exp=1),
        "expired compact": compact(JID, -3600),
        "not yet": jwt(JID, nbf=4_000_000_000),
        "for another": jwt(BOB.jid),
        "of nobody": jwt(JID, iss="https://nobody.example"),
        "of no key": jwt(JID, header={"kid": "none"}),
        "of a stranger": jwt(JID, by=mint.key("ES256", "stranger")),
        "of a stranger, compact": compact(JID, by=secret("a stranger's, which is as long")),
        # No kinds that this chain accepts.
        "xcauth": bare,
        "expired xcauth": xcauth(JID, -3600),
        "xcauth of another": xcauth(JID, by=mint.xcauth_namesake(SECRETS["xcauth"])),
        "reserved": b"abtd1_" + short[6:],
        # Neither are these, and everybody sees what they were.
        "cut": good[:-10],
        "two parts": header + b"." + payload,
        "one part": header + b".",
        "four parts": good + b"." + signature,
        "five parts": b".".join((header, payload, signature, payload, signature)),
        "none": b".".join((mint.b64(b'{"alg":"none"}').encode(), payload, b"")),
        "spaces": b" " + good + b" ",
        "line's end": good + b"\n",
        "padded": b".".join((header + b"==", payload, signature)),
        "utf-16": b".".join((utf_16, payload, signature)),
        "long": jwt(JID, more="x" * 9000),
        "json in clear": b".".join((mint.b64(b'{ "alg" : 7 }').encode(), b"{}", signature)),
        "compact, cut": short[:30],
        "compact, longer": short + b"==",
        "compact, spaces": short + b"\r\n",
        "compact, mark alone": b"abtc1_",
    }
    return {name: canary.watched(token) for name, token in made.items()}


def test_directory_is_told_of_no_token_good_or_bad(daemon: Daemon, slapd: Slapd) -> None:
    """Neither by a bind nor by a search; of a password that comes after them it is."""
    mark = slapd.mark()
    caller = KeepAlive(daemon)
    accepted = {name for name, token in tokens().items() if caller.accepts(JID, token)}
    assert accepted == {*signers.JWT_KINDS, "compact"}
    reasons = [login["reason"] for login in daemon.logins(JID)[-len(tokens()) :]]
    assert all(reason.startswith("token_") for reason in reasons)
    assert asked(slapd, mark) == []
    shown = canary.Search(canary.registered()).places(slapd.log.read_bytes()[mark:])
    assert list(shown) == []
    assert caller.accepts(JID, ALICE.password)
    assert user_binds(slapd, mark) == [ALICE.dn]
    assert said(daemon, JID) == ("accepted", "password_matches")
    caller.close()


def test_password_that_resembles_a_token_is_the_directorys(daemon: Daemon, slapd: Slapd) -> None:
    """What has a dot, or 31 characters, or begins like a word of ours, is a password still."""
    passwords = [
        secret("first.second.third"),
        secret("eyJane. And others"),
        secret("abtc_"),
        signers.xcauth(JID, by=secret("nobody's here")),
    ]
    mark = slapd.mark()
    for password in passwords:
        assert check_password(daemon, JID, password) == NO
        assert said(daemon, JID) == ("rejected", "password_mismatch")
    assert user_binds(slapd, mark) == [ALICE.dn] * len(passwords)


@pytest.mark.parametrize("account", [LOCKED, EXPIRED, GONE], ids=lambda account: account.uid)
def test_token_lets_in_whom_the_directory_does_not(
    daemon: Daemon, slapd: Slapd, account: Account
) -> None:
    """It is not asked; who stops him is who signs, or `never`."""
    jid = f"{account.local}@{CHAIN}"
    assert check_password(daemon, jid, account.password) == NO
    assert said(daemon, jid) == ("rejected", account.right)
    assert check_password(daemon, jid, jwt(jid)) == YES


def test_token_lets_in_who_is_not_in_the_directory_and_does_not_exist(
    daemon: Daemon, slapd: Slapd
) -> None:
    """Whether he exists is for the directory to tell."""
    assert check_password(daemon, NOBODY, jwt(NOBODY)) == YES
    assert user_exists(daemon, NOBODY) == NO
    assert user_exists(daemon, JID) == YES


@pytest.mark.parametrize("token", [jwt, compact])
def test_never_stops_every_token_of_a_user_and_no_password(
    daemon: Daemon, slapd: Slapd, token: Callable[[str], bytes]
) -> None:
    """An administrator has a password, and nothing that a website could sign."""
    jid = f"{signers.NEVER}@{CHAIN}"
    mark = slapd.mark()
    assert check_password(daemon, jid, token(jid)) == NO
    assert said(daemon, jid) == ("rejected", "token_never")
    assert asked(slapd, mark) == []
    assert check_password(daemon, jid, CAROL.password) == YES
    assert check_password(daemon, JID, token(JID)) == YES


def test_tokens_work_while_the_directory_is_away(
    ejabberd: Ejabberd, prosody: Prosody, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """Good ones are accepted and bad ones refused; a password cannot be told to be right."""
    servers = (ejabberd, prosody)
    for server in servers:
        assert visitors.login(server, JID, ALICE.password) == SESSION
    slapd.kill()
    for server in servers:
        assert visitors.login(server, JID, jwt(JID)) == SESSION
        assert visitors.login(server, JID, compact(JID)) == SESSION
        assert visitors.login(server, JID, compact(JID, -3600)) == REFUSED
        assert said(daemon, JID) == ("rejected", "token_expired")
        assert visitors.login(server, JID, ALICE.password) == REFUSED
        assert said(daemon, JID) == ("unavailable", "directory_unreachable")
    assert check_password(daemon, JID, ALICE.password)[0] == CANNOT_TELL
    assert check_password(daemon, JID, jwt(JID)) == YES
    assert check_password(daemon, JID, jwt(JID, iss="https://nobody.example")) == NO
