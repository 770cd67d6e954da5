"""Who gets in, and who exists, with a real 389 Directory Server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import PEOPLE, SERVICE
from .ds389 import Ds389, running_389
from .netscape import (
    ALICE,
    BOB,
    CELIK,
    DISABLED,
    DOMAIN,
    EXPIRED,
    GRACE,
    LAST_GRACE,
    LOCKED,
    LOCKED_BY,
    MUST_CHANGE,
    NO_PASSWORD,
    PEOPLE_OF_ALL_KINDS,
    SPECIAL,
    SPECIAL_PEOPLE,
    STRICT,
    ZOE,
    Account,
    change,
    checker,
    entry,
    person,
)
from .pki import Pki
from .waiting import wait_until
from .xmpp import SESSION
from .xmpp_servers import XmppServers, running_servers

REFUSED = "not-authorized"


def by_uid(account: object) -> str | None:
    """What a test of an account is called."""
    return account.uid if isinstance(account, Account) else None


@pytest.fixture(scope="module")
def shared_ds389(workspace: Path, directory_pki: Pki) -> Iterator[Ds389]:
    """The one directory; tests take `ds389`."""
    with running_389(workspace / "netscape", directory_pki) as shared:
        yield shared


@pytest.fixture(scope="module")
def asking(workspace: Path, shared_ds389: Ds389, directory_pki: Pki) -> Iterator[Daemon]:
    """The daemon that asks it."""
    files = {"ca_file": directory_pki.ca, "bind_password_file": shared_ds389.service_password_file}
    others = {DOMAIN: checker(DOMAIN, "netscape", shared_ds389.tls_url, **files)}
    daemon = Daemon(workspace / "netscape-daemon", (), others=others)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
def ds389(shared_ds389: Ds389, asking: Daemon) -> Ds389:
    """The directory that `asking` asks."""
    return shared_ds389


@pytest.fixture(scope="module")
def servers(workspace: Path, asking: Daemon) -> Iterator[XmppServers]:
    """ejabberd and Prosody for its people."""
    with running_servers(workspace / "netscape-xmpp", [DOMAIN], asking) as both:
        yield both


def user_binds(ds389: Ds389, since: int) -> list[str]:
    """The DNs of all binds but the daemon's own, which come when they come."""
    return [dn for dn in ds389.binds(since) if dn != SERVICE]


server_names = pytest.mark.parametrize("server", ["ejabberd", "prosody"])


@pytest.mark.parametrize("account", PEOPLE_OF_ALL_KINDS, ids=by_uid)
def test_account_is_judged_as_the_directory_has_it(
    asking: Daemon, ds389: Ds389, account: Account
) -> None:
    """With his password and with a wrong one: who is disabled or locked is told before the
    password is looked at."""
    answer = check_password(asking, account.jid, account.password)
    assert answer == (YES if account.accepted else NO)
    verdict = "accepted" if account.accepted else "rejected"
    assert said(asking, account.jid) == (verdict, account.right)
    assert check_password(asking, account.jid, secret("wrong-password")) == NO
    assert said(asking, account.jid) == ("rejected", account.wrong)


@server_names
@pytest.mark.parametrize(
    "account", [ALICE, CELIK, DISABLED, LOCKED, EXPIRED, GRACE, MUST_CHANGE], ids=by_uid
)
def test_user_is_let_in_or_refused_by_the_servers(
    servers: XmppServers, asking: Daemon, server: str, account: Account
) -> None:
    """A refusal has one name, whatever its reason."""
    if account.accepted:
        client = servers.enter(server, account.jid, account.password)
        assert client.jid == f"{account.jid}/tests"
    else:
        assert servers.login(server, account.jid, account.password) == REFUSED
    assert said(asking, account.jid)[1] == account.right
    assert servers.login(server, account.jid, secret("wrong-password")) == REFUSED
    assert said(asking, account.jid)[1] == account.wrong


@pytest.mark.parametrize("account", PEOPLE_OF_ALL_KINDS, ids=by_uid)
def test_who_is_disabled_does_not_exist_and_who_will_be_back_does(
    asking: Daemon, ds389: Ds389, account: Account
) -> None:
    """Of who was inactive for too long the entry says nothing."""
    assert user_exists(asking, account.jid) == (NO if account.gone else YES)
    expected = ("rejected", account.gone) if account.gone else ("accepted", "user_exists")
    assert said(asking, account.jid) == expected


def test_unknown_user_is_refused_and_does_not_exist(asking: Daemon, ds389: Ds389) -> None:
    """Nothing is bound."""
    mark = ds389.mark()
    assert check_password(asking, f"nobody@{DOMAIN}", ALICE.password) == NO
    assert said(asking, f"nobody@{DOMAIN}") == ("rejected", "user_unknown")
    assert user_exists(asking, f"nobody@{DOMAIN}") == NO
    assert user_binds(ds389, mark) == []


def test_user_without_a_password_has_no_right_one(asking: Daemon, ds389: Ds389) -> None:
    """He exists."""
    for password in (secret("anything"), b"", b"\0"):
        assert check_password(asking, NO_PASSWORD.jid, password)[1] != b"true"
    assert user_exists(asking, NO_PASSWORD.jid) == YES


@server_names
def test_third_wrong_password_locks_an_account_and_not_an_earlier_one(
    servers: XmppServers, asking: Daemon, ds389: Ds389, server: str
) -> None:
    """Each counts once; then the right one is of no use either, until it is given anew."""
    wrong = secret("guess")
    for _ in range(LOCKED_BY - 1):
        assert servers.login(server, STRICT.jid, wrong) == REFUSED
    assert servers.login(server, STRICT.jid, STRICT.password) == SESSION
    for _ in range(LOCKED_BY):
        assert servers.login(server, STRICT.jid, wrong) == REFUSED
        assert said(asking, STRICT.jid) == ("rejected", "password_mismatch")
    for password in (STRICT.password, wrong):
        assert servers.login(server, STRICT.jid, password) == REFUSED
        assert said(asking, STRICT.jid) == ("rejected", "account_locked")
    assert user_exists(asking, STRICT.jid) == YES
    ds389.give_password(STRICT, STRICT.password)
    assert servers.login(server, STRICT.jid, STRICT.password) == SESSION


def test_wrong_password_that_locks_may_be_told_from_the_others(
    asking: Daemon, ds389: Ds389
) -> None:
    """By the policy of all, with result 19 and no word: it is refused, and no outage."""
    victim = Account("victim", secret("victim"))
    ds389.modify(person(victim), "-a")
    policy = {"passwordLockout": "on", "passwordMaxFailure": str(LOCKED_BY)}
    ds389.replace("cn=config", **policy)
    try:
        found = []
        for _ in range(LOCKED_BY):
            assert check_password(asking, victim.jid, secret("guess")) == NO
            found.append(said(asking, victim.jid)[1])
        assert found == ["password_mismatch"] * (LOCKED_BY - 1) + ["account_locked"]
        assert check_password(asking, victim.jid, victim.password) == NO
        assert said(asking, victim.jid) == ("rejected", "account_locked")
    finally:
        ds389.replace("cn=config", passwordLockout="off")


def test_grace_logins_come_to_an_end(asking: Daemon, ds389: Ds389) -> None:
    """The last one is told from one too many."""
    assert check_password(asking, LAST_GRACE.jid, LAST_GRACE.password) == YES
    assert said(asking, LAST_GRACE.jid) == ("accepted", "password_matches_grace")
    assert check_password(asking, LAST_GRACE.jid, LAST_GRACE.password) == NO
    assert said(asking, LAST_GRACE.jid) == ("rejected", "password_expired")


@server_names
def test_account_that_is_enabled_again_is_let_in_at_once(
    servers: XmppServers, ds389: Ds389, server: str
) -> None:
    """And disabled again, kept out."""
    for state, outcome in (("false", SESSION), ("true", REFUSED)):
        ds389.replace(DISABLED.dn, nsAccountLock=state)
        assert servers.login(server, DISABLED.jid, DISABLED.password) == outcome


@pytest.mark.parametrize("account", SPECIAL_PEOPLE, ids=by_uid)
def test_name_may_hold_any_character(asking: Daemon, ds389: Ds389, account: Account) -> None:
    """What means something in a filter or a DN means itself."""
    assert check_password(asking, account.jid, account.password) == YES
    assert check_password(asking, account.jid, ALICE.password) == NO
    assert said(asking, account.jid) == ("rejected", "password_mismatch")
    assert user_exists(asking, account.jid) == YES


#: Ways to write a name of which the directory's own rules make one.
SPELLINGS = {
    ALICE: [
        *("alice", "ALICE", "ａlice", "al\N{SOFT HYPHEN}ice", "ali\N{ZERO WIDTH SPACE}ce"),
        *(" alice", "alice ", r"\20alice", r"alice\20", r"alice\20\20", "alice\t", "alice\0"),
        *("\N{CYRILLIC SMALL LETTER A}lice", r"\61lice", r"alice\00", "alice\N{NO-BREAK SPACE}"),
        *("alice@netscape.example", r"alice\40netscape.example", "uid=alice", "liddell"),
        *("*", "a*", "alice)(uid=*", "alice,ou=people", r"liddell\40example.org"),
    ],
    CELIK: ["çelik", "ÇELIK", "ÇELİK", "c\N{COMBINING CEDILLA}elik", "celik"],
    ZOE: [r"zoe\20z", r"Zoe\20Z", r"zoe\20\20z", r"zoe\5c20z", "zoe z", "zoe\N{NO-BREAK SPACE}z"],
    SPECIAL: [SPECIAL.local, SPECIAL.uid, SPECIAL.local.replace(r"\20", r"\20\20")],
}


@pytest.mark.parametrize(
    ("account", "name"),
    [(account, name) for account, names in SPELLINGS.items() for name in names],
)
def test_account_has_one_jid(asking: Daemon, ds389: Ds389, account: Account, name: str) -> None:
    """However a program asks: what is accepted is the user's one JID to everybody behind."""
    before = len(asking.logins())
    status, body = check_password(asking, f"{name}@{DOMAIN}", account.password)
    (login,) = asking.logins()[before:]
    assert status in (200, 400)
    assert (body == b"true") == (login["verdict"] == "accepted")
    assert (body == b"true") == (login["jid"] == account.jid)


def test_name_with_two_spaces_is_told_from_the_one_with_one(asking: Daemon, ds389: Ds389) -> None:
    """To the directory they are the same."""
    account = Account("Mixed  Case", secret("mixed"))
    ds389.modify(person(account), "-a")
    assert check_password(asking, rf"mixed\20\20case@{DOMAIN}", account.password) == YES
    assert check_password(asking, rf"mixed\20case@{DOMAIN}", account.password) == NO
    assert said(asking, rf"mixed\20case@{DOMAIN}") == ("rejected", "not_canonical")


def test_login_is_one_bind(asking: Daemon, ds389: Ds389) -> None:
    """With the right and with a wrong password, and where the account is disabled or locked."""
    mark = ds389.mark()
    check_password(asking, ALICE.jid, ALICE.password)
    check_password(asking, BOB.jid, secret("wrong-password"))
    check_password(asking, DISABLED.jid, DISABLED.password)
    check_password(asking, LOCKED.jid, LOCKED.password)
    assert user_binds(ds389, mark) == [account.dn for account in (ALICE, BOB, DISABLED, LOCKED)]


@pytest.mark.parametrize("ending", [b"\0", b"\0x"])
def test_password_that_goes_on_behind_a_nul_is_nobodys(
    asking: Daemon, ds389: Ds389, ending: bytes
) -> None:
    """389 reads none further, and would let in."""
    mark = ds389.mark()
    assert check_password(asking, ALICE.jid, ALICE.password + ending)[1] != b"true"
    assert user_binds(ds389, mark) == []


def test_entry_that_is_elsewhere_is_nobodys(asking: Daemon, ds389: Ds389) -> None:
    """A smart referral, which searches of the people meet."""
    uid = "moved"
    url = f"ldap://127.0.0.1:1/uid={uid},{PEOPLE}"
    lines = [("uid", uid), ("ref", url)]
    ds389.modify(entry(f"uid={uid},{PEOPLE}", "referral extensibleObject", *lines), "-a")
    assert check_password(asking, f"{uid}@{DOMAIN}", secret("away")) == NO
    assert said(asking, f"{uid}@{DOMAIN}") == ("rejected", "user_unknown")
    assert check_password(asking, ALICE.jid, ALICE.password) == YES
    # `modify` itself would be sent elsewhere.
    ds389.modify(change(f"uid={uid},{PEOPLE}", ("delete", "ref", url)), "-MM")


def test_outage_is_no_refusal_and_ends(asking: Daemon, ds389: Ds389) -> None:
    """Of who is disabled, too."""
    ds389.kill()
    try:
        for account in (ALICE, DISABLED):
            assert check_password(asking, account.jid, account.password)[0] == CANNOT_TELL
    finally:
        ds389.restore()
    wait_until(
        lambda: check_password(asking, ALICE.jid, ALICE.password) == YES,
        "the directory is asked again",
    )
    assert check_password(asking, DISABLED.jid, DISABLED.password) == NO
