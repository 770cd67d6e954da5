"""Passwords changed in an Active Directory, by users and by administrators."""

from collections.abc import Iterator

import pytest

from .active_directory import (
    ALICE,
    CHANGES,
    DENIED,
    DISABLED,
    DOMAIN,
    LENGTHY,
    MIRA,
    MUST_CHANGE,
    SHORTEST,
    SUFFIX,
)
from .calls import NO, YES, check_password, extauth, said
from .canary import secret, unguarded
from .daemon import Daemon
from .ejabberd import Ejabberd
from .samba import SambaAd
from .test_active_directory_groups import of
from .test_active_directory_logins import REFUSED
from .visitors import Server, Visitors
from .xmpp import SESSION

#: What ejabberd's program answers to a change that is made; anything else is none.
DONE = b"\0\1"


@pytest.fixture
def mira(ad: SambaAd) -> Iterator[str]:
    """The JID of whose password is changed; it is the old one again afterwards."""
    yield of(MIRA, CHANGES)
    ad.give_password(MIRA, MIRA.password)


def change(daemon: Daemon, jid: str, password: bytes) -> bytes:
    """What ejabberd's program answers to a change."""
    local, _, domain = jid.partition("@")
    return extauth(daemon, b"setpass", local.encode(), domain.encode(), password)


def last(daemon: Daemon, jid: str) -> tuple[str, str, str]:
    """What was asked last about a user, and the verdict."""
    login = daemon.logins(jid)[-1]
    return login["operation"], login["verdict"], login["reason"]


def test_user_changes_the_password_in_band(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, mira: str
) -> None:
    """From then on it is the one that lets in, and the old one is wrong."""
    new = secret("in-band")
    client = visitors.enter(ad_server, mira)
    assert client.register("set", username="mira", password=new.decode()) == "result"
    assert last(ad_daemon, mira) == ("set_password", "accepted", "password_changed")
    assert visitors.login(ad_server, mira, new) == SESSION
    assert visitors.login(ad_server, mira, MIRA.password) == REFUSED
    assert said(ad_daemon, mira) == ("rejected", "password_mismatch")
    assert check_password(ad_daemon, of(MIRA, DOMAIN), new) == YES


def test_administrator_changes_a_password_with_ejabberdctl(
    ad_ejabberd: Ejabberd, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, mira: str
) -> None:
    """0 where it is done; what stands in a command line is no secret."""
    new = unguarded("by-command")
    status, told = ad_ejabberd.ctl("change_password", "mira", CHANGES, new.decode())
    assert status == 0, told
    assert visitors.login(ad_ejabberd, mira, new) == SESSION
    assert visitors.login(ad_ejabberd, mira, MIRA.password) == REFUSED
    status, _ = ad_ejabberd.ctl("change_password", "ghost", CHANGES, new.decode())
    assert status != 0


def test_new_password_may_hold_anything(ad_daemon: Daemon, ad: SambaAd, mira: str) -> None:
    """It is the one that lets in, octet for octet."""
    for password in (
        secret("pässwörd ✓ 密码"),
        secret("\N{GRINNING FACE} beyond 16 bits"),
        secret("\"quoted\" and 'quoted' \\ <&>"),
        secret(" blanks at the ends ") + b" ",
        secret("{SSHA}no hash").replace(b"{SSHA}", b"(SSHA)"),
        secret("x" * 200),
    ):
        assert change(ad_daemon, mira, password) == DONE
        assert check_password(ad_daemon, mira, password) == YES
        assert check_password(ad_daemon, mira, password[:-1]) == NO
        assert check_password(ad_daemon, mira, password.upper()) == NO


@pytest.mark.parametrize("password", [b"", b" \t", b"a\0b", b"\xff\xfe not utf-8"])
def test_what_is_no_password_is_not_set(ad_daemon: Daemon, ad: SambaAd, password: bytes) -> None:
    """The old one stays."""
    mira = of(MIRA, CHANGES)
    assert change(ad_daemon, mira, password) != DONE
    assert check_password(ad_daemon, mira, MIRA.password) == YES


def test_password_that_the_policy_refuses_is_not_set_and_the_user_learns_it(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """It is too short; one that is long enough is taken."""
    lengthy = of(LENGTHY, CHANGES)
    short = secret("too-short")
    client = visitors.enter(ad_server, lengthy)
    changed = client.register("set", username="lengthy", password=short.decode())
    assert changed not in ("result", "")
    assert last(ad_daemon, lengthy) == ("set_password", "rejected", "password_unacceptable")
    assert visitors.login(ad_server, lengthy, short) == REFUSED
    assert visitors.login(ad_server, lengthy) == SESSION
    new = secret("y" * SHORTEST)
    assert client.register("set", username="lengthy", password=new.decode()) == "result"
    assert visitors.login(ad_server, lengthy, new) == SESSION
    ad.give_password(LENGTHY, LENGTHY.password)


def test_policy_makes_ejabberdctl_fail(ad_ejabberd: Ejabberd, ad: SambaAd) -> None:
    """As the API does."""
    short = unguarded("too-short")
    status, _ = ad_ejabberd.ctl("change_password", "lengthy", CHANGES, short.decode())
    assert status != 0
    answer = ad_ejabberd.api(
        "change_password", user="lengthy", host=CHANGES, newpass=short.decode()
    )
    assert answer[0] != 200


def test_password_of_nobody_is_not_set(ad_daemon: Daemon, ad: SambaAd) -> None:
    """Nor under another name of somebody, nor of an account that is disabled."""
    new = secret("for-nobody")
    for local, reason in (
        ("ghost", "user_unknown"),
        (r"mira\20", "user_unknown"),
        (rf"mira\40{SUFFIX}", "user_unknown"),
        ("dc1$", "user_unknown"),
        (DISABLED.local, "account_disabled"),
    ):
        jid = f"{local}@{CHANGES}"
        assert change(ad_daemon, jid, new) != DONE
        assert last(ad_daemon, jid) == ("set_password", "rejected", reason)
    assert check_password(ad_daemon, of(MIRA, CHANGES), MIRA.password) == YES


def test_new_password_ends_that_it_must_be_changed(ad_daemon: Daemon, ad: SambaAd) -> None:
    """As one that an administrator gives and does not want changed."""
    jid, new = of(MUST_CHANGE, CHANGES), secret("as-it-must")
    assert check_password(ad_daemon, jid, MUST_CHANGE.password) == NO
    assert change(ad_daemon, jid, new) == DONE
    assert check_password(ad_daemon, jid, new) == YES
    ad.give_password(MUST_CHANGE, MUST_CHANGE.password)
    ad.replace(MUST_CHANGE.dn, "pwdLastSet", "0")


def test_service_account_that_may_only_search_changes_nothing(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """Who asks learns that it is not done, and the log why."""
    new = secret("denied")
    jid = of(MIRA, DENIED)
    client = visitors.enter(ad_server, jid)
    assert client.register("set", username="mira", password=new.decode()) not in ("result", "")
    assert last(ad_daemon, jid) == ("set_password", "unavailable", "directory_refused")
    assert visitors.login(ad_server, jid, new) == REFUSED
    assert visitors.login(ad_server, jid) == SESSION
    assert "50 insufficientAccessRights" in ad_daemon.log.read_text()


def test_without_writes_nothing_is_changed(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """Which is how it is by default."""
    new = secret("not-supported")
    client = visitors.enter(ad_server, ALICE.jid)
    assert client.register("set", username="alice", password=new.decode()) not in ("result", "")
    assert last(ad_daemon, ALICE.jid) == ("set_password", "rejected", "not_supported")
    assert visitors.login(ad_server, ALICE.jid, new) == REFUSED
    assert visitors.login(ad_server, ALICE.jid) == SESSION
