"""Who gets in with the password of the directory, through the servers and a real slapd."""

import select
import socket

import pytest

from . import people
from .calls import NO, YES, check_password, said
from .canary import secret
from .daemon import Daemon
from .directory import (
    ALICE,
    BOB,
    CROWD_PEOPLE,
    DOMAIN,
    HANNAH,
    LAST_GRACE,
    LOCKED,
    PEOPLE_OF_ALL_KINDS,
    SERVICE,
    SPECIAL_PEOPLE,
    STRICT,
    ZOE,
    Account,
)
from .slapd import Slapd
from .visitors import Server, Visitors
from .xmpp import SESSION

REFUSED = "not-authorized"


def user_binds(slapd: Slapd, since: int) -> list[str]:
    """The DNs of all binds but the daemon's own."""
    return [dn for dn in slapd.binds(since) if dn != SERVICE]


@pytest.mark.parametrize("account", PEOPLE_OF_ALL_KINDS, ids=lambda account: account.uid)
def test_account_is_judged_as_the_directory_has_it(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, account: Account
) -> None:
    """The user is let in or not; the log has the reason."""
    if account.accepted:
        assert visitors.enter(server, account.jid).jid == f"{account.jid}/tests"
    else:
        assert visitors.login(server, account.jid) == REFUSED
    verdict = "accepted" if account.accepted else "rejected"
    assert said(daemon, account.jid) == (verdict, account.right)
    assert visitors.login(server, account.jid, secret("wrong-password")) == REFUSED
    assert said(daemon, account.jid) == ("rejected", account.wrong)


@pytest.mark.parametrize("account", SPECIAL_PEOPLE, ids=lambda account: account.uid)
def test_name_may_hold_any_character(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, account: Account
) -> None:
    """What means something in a filter or a DN means itself; what a JID cannot hold is escaped."""
    assert visitors.enter(server, account.jid).jid == f"{account.jid}/tests"
    assert visitors.login(server, account.jid, people.password(ALICE.jid)) == REFUSED
    assert said(daemon, account.jid) == ("rejected", "password_mismatch")


def test_unknown_user_is_refused_in_the_words_of_a_wrong_password(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """Only the log knows the difference."""
    nobody = visitors.connect(server, DOMAIN)
    assert nobody.login(b"nobody", ALICE.password) == REFUSED
    unknown = nobody.failure_text
    assert said(daemon, f"nobody@{DOMAIN}") == ("rejected", "user_unknown")
    assert nobody.login(b"alice", secret("nobody")) == REFUSED
    assert nobody.failure_text == unknown


def test_passwords_of_the_file_and_of_the_directory_are_not_mixed_up(
    server: Server, visitors: Visitors, slapd: Slapd
) -> None:
    """There is an alice in both."""
    in_file = "alice@example.org"
    assert visitors.login(server, in_file) == SESSION
    assert visitors.login(server, ALICE.jid) == SESSION
    assert visitors.login(server, in_file, ALICE.password) == REFUSED
    assert visitors.login(server, ALICE.jid, people.password(in_file)) == REFUSED


def test_password_of_another_is_wrong(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """And so is what the file of the service account has."""
    for password in (BOB.password, slapd.service_password, ALICE.password.upper()):
        assert visitors.login(server, ALICE.jid, password) == REFUSED
        assert said(daemon, ALICE.jid) == ("rejected", "password_mismatch")


def test_new_password_counts_at_once(
    server: Server, visitors: Visitors, slapd: Slapd, daemon: Daemon
) -> None:
    """And the old one no more."""
    new = secret("changed")
    assert visitors.login(server, STRICT.jid) == SESSION
    slapd.give_password(STRICT, new)
    assert visitors.login(server, STRICT.jid) == REFUSED
    assert visitors.login(server, STRICT.jid, new) == SESSION
    slapd.give_password(STRICT, STRICT.password)


def test_fifth_wrong_password_locks_an_account_and_not_an_earlier_one(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """Each counts once; then the right one is of no use either."""
    wrong = secret("guess")
    assert [visitors.login(server, STRICT.jid, wrong) for _ in range(4)] == [REFUSED] * 4
    assert visitors.login(server, STRICT.jid) == SESSION
    assert [visitors.login(server, STRICT.jid, wrong) for _ in range(5)] == [REFUSED] * 5
    assert visitors.login(server, STRICT.jid) == REFUSED
    assert said(daemon, STRICT.jid) == ("rejected", "account_locked")
    slapd.give_password(STRICT, STRICT.password)
    assert visitors.login(server, STRICT.jid) == SESSION


def test_grace_logins_come_to_an_end(daemon: Daemon, slapd: Slapd) -> None:
    """The last one is told from one too many."""
    assert check_password(daemon, LAST_GRACE.jid, LAST_GRACE.password) == YES
    assert said(daemon, LAST_GRACE.jid) == ("accepted", "password_matches_grace")
    assert check_password(daemon, LAST_GRACE.jid, LAST_GRACE.password) == NO
    assert said(daemon, LAST_GRACE.jid) == ("rejected", "password_expired")


def test_login_is_one_bind(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """With the right and with a wrong password, and where the account is locked."""
    mark = slapd.mark()
    visitors.login(server, ALICE.jid)
    visitors.login(server, BOB.jid, secret("wrong-password"))
    visitors.login(server, LOCKED.jid)
    assert user_binds(slapd, mark) == [ALICE.dn, BOB.dn, LOCKED.dn]


@pytest.mark.parametrize("password", [b"", b" ", b" \t\n", b"a\0b", b"\0"])
def test_password_that_is_none_never_reaches_the_directory(
    daemon: Daemon, slapd: Slapd, password: bytes
) -> None:
    """Blank ones and those with NUL: to some directories they are no password, and a yes."""
    mark = slapd.mark()
    assert check_password(daemon, ALICE.jid, password)[1] != b"true"
    assert check_password(daemon, BOB.jid, BOB.password) == YES
    assert user_binds(slapd, mark) == [BOB.dn]


@pytest.mark.parametrize(
    "password",
    [b"\xff\xfe:" + secret(b"\x80octets"), secret("two\nlines"), secret("l" * 39_000)],
    ids=["not-utf-8", "newline", "long"],
)
def test_odd_password_is_wrong_and_no_outage(daemon: Daemon, slapd: Slapd, password: bytes) -> None:
    """One client cannot make the directory look broken for all."""
    assert check_password(daemon, ALICE.jid, password) == NO
    assert said(daemon, ALICE.jid) == ("rejected", "password_mismatch")
    assert check_password(daemon, ALICE.jid, ALICE.password) == YES


@pytest.mark.parametrize(
    "name", ["*", "a*", "alice)(uid=*", "*)(objectclass=*", "alice,ou=people", "|(uid=alice)"]
)
def test_name_is_nothing_but_a_value_of_the_filter(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, name: str
) -> None:
    """It finds who has exactly this name, and there is nobody."""
    mark = slapd.mark()
    assert visitors.login(server, f"{name}@{DOMAIN}", ALICE.password) == REFUSED
    assert said(daemon, f"{name}@{DOMAIN}") == ("rejected", "user_unknown")
    assert user_binds(slapd, mark) == []


@pytest.mark.parametrize("name", ["ALICE", "Alice", "ａｌｉｃｅ", "al\N{SOFT HYPHEN}ice"])
def test_spelling_that_the_servers_prepare_is_the_same_user(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, name: str
) -> None:
    """Under his one name in the log."""
    assert visitors.login(server, f"{name}@{DOMAIN}", ALICE.password) == SESSION
    assert said(daemon, ALICE.jid) == ("accepted", "password_matches")


@pytest.mark.parametrize("name", [r"alice\20", r"\20alice", r"\20alice\20"])
def test_name_with_blanks_at_its_ends_is_not_the_user_without(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, name: str
) -> None:
    """The directory would find the same entry."""
    mark = slapd.mark()
    assert visitors.login(server, f"{name}@{DOMAIN}", ALICE.password) == REFUSED
    assert user_binds(slapd, mark) == []


#: Ways to write a name of which the directory's own rules make one.
SPELLINGS = {
    ALICE: [
        *("alice", "ALICE", "ａlice", "al\N{SOFT HYPHEN}ice", "ali\N{ZERO WIDTH SPACE}ce"),
        *(" alice", "alice ", r"\20alice", r"alice\20", r"alice\20\20", "alice\t", "alice\0"),
        *("\N{CYRILLIC SMALL LETTER A}lice", r"\61lice", r"alice\00", "alice\N{NO-BREAK SPACE}"),
        *("alice@directory.example", r"alice\40directory.example", "uid=alice", "liddell"),
        r"liddell\40example.org",
    ],
    ZOE: [r"zoe\20z", r"Zoe\20Z", r"zoe\20\20z", r"zoe\5c20z", "zoe z", "zoe\N{NO-BREAK SPACE}z"],
    **{
        account: [account.local, account.uid, account.uid.replace("\\", r"\5c")]
        for account in SPECIAL_PEOPLE
    },
}


@pytest.mark.parametrize(
    ("account", "name"),
    [(account, name) for account, names in SPELLINGS.items() for name in names],
)
def test_account_has_one_jid(daemon: Daemon, slapd: Slapd, account: Account, name: str) -> None:
    """However a program asks: what is accepted is the user's one JID to everybody behind."""
    before = len(daemon.logins())
    status, body = check_password(daemon, f"{name}@{DOMAIN}", account.password)
    (login,) = daemon.logins()[before:]
    assert status in (200, 400)
    assert (body == b"true") == (login["verdict"] == "accepted")
    if body == b"true":
        assert login["jid"] == account.jid
    else:
        assert login["jid"] != account.jid


def test_account_with_two_names_has_one_jid_at_most(daemon: Daemon, slapd: Slapd) -> None:
    """His contacts and his mail would be at one of two, by how he logged in."""
    answers = [
        check_password(daemon, f"{name}@{DOMAIN}", HANNAH.password) for name in ("hannah", "anna")
    ]
    assert answers.count(YES) <= 1


def test_referrals_of_the_directory_are_not_followed(
    daemon: Daemon, slapd: Slapd, stranger: socket.socket
) -> None:
    """Every search of the people meets one; nobody ever comes where it leads."""
    assert check_password(daemon, ALICE.jid, ALICE.password) == YES
    assert check_password(daemon, f"nobody@{DOMAIN}", secret("nobody")) == NO
    assert select.select([stranger], [], [], 0)[0] == []


def test_who_is_not_under_the_base_is_unknown(daemon: Daemon, slapd: Slapd) -> None:
    """The crowd has an organizational unit of its own."""
    somebody = CROWD_PEOPLE[0]
    assert check_password(daemon, somebody.jid, somebody.password) == NO
    assert said(daemon, somebody.jid) == ("rejected", "user_unknown")
