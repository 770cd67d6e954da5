"""Which people of a directory exist to the servers: whose mail is kept, and whose comes back."""

import pytest

from .calls import NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import (
    ALICE,
    BOB,
    CAROL,
    CELIK,
    DOMAIN,
    DOUBLE,
    MEMBERS,
    PEOPLE_OF_ALL_KINDS,
    SPECIAL,
    SPECIAL_PEOPLE,
    Account,
)
from .slapd import Slapd
from .test_directory_logins import REFUSED
from .test_users import bounce, waiting_messages
from .visitors import Server, Visitors
from .xmpp import SESSION

BOUNCED = "service-unavailable"


def member(account: Account) -> str:
    """The JID in the domain of the groups' members."""
    return f"{account.local}@{MEMBERS}"


@pytest.mark.parametrize(
    "account",
    [account for account in PEOPLE_OF_ALL_KINDS if account not in (BOB, DOUBLE)],
    ids=lambda account: account.uid,
)
def test_mail_is_kept_for_who_may_come_back(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, account: Account
) -> None:
    """Locked, with an expired password or one to be changed; not for an account that expired."""
    bob = visitors.enter(server, BOB.jid)
    assert bounce(bob, account.jid, "hello") == ("" if account.exists else BOUNCED)
    login = daemon.logins(account.jid)[-1]
    assert login["operation"] == "user_exists"
    assert login["verdict"] == ("accepted" if account.exists else "rejected")


def test_mail_is_delivered_at_the_next_login(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """Under a name with everything in it that has to be escaped."""
    text = "until you are back"
    assert bounce(visitors.enter(server, BOB.jid), SPECIAL.jid, text) == ""
    assert waiting_messages(visitors, server, SPECIAL.jid)[-1] == text


def test_mail_to_an_unknown_user_comes_back(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """A name that would find everybody is one."""
    bob = visitors.enter(server, BOB.jid)
    for name in ("ghost", "*", r"alice\20"):
        jid = f"{name}@{DOMAIN}"
        assert bounce(bob, jid, "boo") == BOUNCED
        assert said(daemon, jid)[0] == "rejected"


@pytest.mark.parametrize("account", SPECIAL_PEOPLE, ids=lambda account: account.uid)
def test_user_of_any_name_exists(daemon: Daemon, slapd: Slapd, account: Account) -> None:
    """And one with a letter more does not."""
    assert user_exists(daemon, account.jid) == YES
    assert user_exists(daemon, f"x{account.jid}") == NO


def test_ambiguous_user_does_not_exist(daemon: Daemon, slapd: Slapd) -> None:
    """It is nobody's mail."""
    assert user_exists(daemon, DOUBLE.jid) == NO


@pytest.mark.parametrize("account", [ALICE, BOB, CELIK, SPECIAL], ids=lambda account: account.uid)
def test_member_of_a_required_group_is_let_in_and_exists(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd, account: Account
) -> None:
    """One of the groups is enough, and their names and the members' may hold anything."""
    assert visitors.login(server, member(account), account.password) == SESSION
    assert visitors.login(server, member(account), secret("wrong-password")) == REFUSED
    assert said(daemon, member(account)) == ("rejected", "password_mismatch")
    assert user_exists(daemon, member(account)) == YES


def test_who_is_in_no_required_group_is_refused_and_does_not_exist(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """With the right password."""
    carol = member(CAROL)
    assert visitors.login(server, carol, CAROL.password) == REFUSED
    assert said(daemon, carol) == ("rejected", "not_in_group")
    alice = visitors.enter(server, member(ALICE), ALICE.password)
    assert bounce(alice, carol, "hello") == BOUNCED
    assert said(daemon, carol) == ("rejected", "not_in_group")
    assert check_password(daemon, CAROL.jid, CAROL.password) == YES
