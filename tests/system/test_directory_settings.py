"""What can be set about a directory, each setting tried on a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import (
    ALICE,
    BOB,
    CAROL,
    CELIK,
    EXPIRED,
    GRACE,
    LOCKED,
    MUST_RESET,
    PEOPLE,
    SPECIAL,
    SPECIAL_PEOPLE,
    UNIX_GROUP,
    UNIX_USERS,
    ZOE,
    Account,
    checker,
    group_dn,
)
from .pki import Pki
from .slapd import Slapd
from .test_directory_logins import user_binds

FILTERED, MAIL, ALIASES, MEMBEROF, UNIX, DELETED, DIRECT, CACHED = (
    f"{name}.example"
    for name in (
        *("filtered", "mail", "aliases", "memberof", "unix", "deleted", "direct", "cached"),
    )
)
#: alice's mail address as the localpart of a JID.
ALICES_MAIL = r"liddell\40example.org"

_SETTINGS: dict[str, dict[str, object]] = {
    FILTERED: {"filter": "(&(objectClass=inetOrgPerson)(mail=*))"},
    MAIL: {"login": ["uid", "mail"]},
    ALIASES: {"login": ["uid", "mail"], "aliases": True},
    MEMBEROF: {"require_groups": [group_dn("xmpp-users")], "group_membership": "memberof"},
    UNIX: {"require_groups": [group_dn(UNIX_GROUP)]},
    DELETED: {"require_groups": [group_dn("deleted"), group_dn("xmpp-users")]},
    CACHED: {"exists_cache": "1h"},
}


@pytest.fixture(scope="module")
def installed(workspace: Path, shared_slapd: Slapd, directory_pki: Pki) -> Iterator[Daemon]:
    """A daemon with a domain for each setting."""
    others = {
        domain: checker(
            domain,
            domain.partition(".")[0],
            shared_slapd.tls_url,
            ca_file=directory_pki.ca,
            bind_password_file=shared_slapd.service_password_file,
            **settings,
        )
        for domain, settings in _SETTINGS.items()
    }
    others[DIRECT] = checker(
        DIRECT,
        "direct",
        shared_slapd.tls_url,
        exists="always",
        base=None,
        bind_dn=None,
        user_dn=f"uid={{user}},{PEOPLE}",
        ca_file=directory_pki.ca,
    )
    daemon = Daemon(workspace / "settings", (), others=others)
    daemon.start()
    yield daemon
    daemon.stop()


def jid(account: Account, domain: str) -> str:
    """The user's JID in one of the domains."""
    return f"{account.local}@{domain}"


def test_filter_leaves_out_who_does_not_match(installed: Daemon, slapd: Slapd) -> None:
    """They are unknown."""
    assert check_password(installed, jid(ALICE, FILTERED), ALICE.password) == YES
    assert check_password(installed, jid(BOB, FILTERED), BOB.password) == NO
    assert said(installed, jid(BOB, FILTERED)) == ("rejected", "user_unknown")
    assert user_exists(installed, jid(BOB, FILTERED)) == NO


def test_second_name_of_a_user_is_refused_and_told_from_an_unknown_one(
    installed: Daemon, slapd: Slapd
) -> None:
    """His account would have two JIDs; his password is not even tried."""
    mark = slapd.mark()
    second = f"{ALICES_MAIL}@{MAIL}"
    assert check_password(installed, second, ALICE.password) == NO
    assert said(installed, second) == ("rejected", "not_canonical")
    assert user_exists(installed, second) == NO
    assert user_binds(slapd, mark) == []
    assert check_password(installed, jid(ALICE, MAIL), ALICE.password) == YES


def test_second_name_lets_in_where_aliases_are_allowed(installed: Daemon, slapd: Slapd) -> None:
    """With the one password."""
    for name in (ALICE.local, ALICES_MAIL):
        assert check_password(installed, f"{name}@{ALIASES}", ALICE.password) == YES
        assert check_password(installed, f"{name}@{ALIASES}", secret("wrong-password")) == NO
        assert user_exists(installed, f"{name}@{ALIASES}") == YES


@pytest.mark.parametrize(
    ("account", "outcome"),
    [
        (ALICE, ("accepted", "password_matches")),
        (CAROL, ("rejected", "not_in_group")),
        (CELIK, ("rejected", "not_in_group")),
    ],
    ids=lambda value: value.uid if isinstance(value, Account) else value[1],
)
def test_group_is_found_by_the_attribute_of_its_member(
    installed: Daemon, slapd: Slapd, account: Account, outcome: tuple[str, str]
) -> None:
    """memberOf, which the overlay keeps."""
    check_password(installed, jid(account, MEMBEROF), account.password)
    assert said(installed, jid(account, MEMBEROF)) == outcome
    assert (user_exists(installed, jid(account, MEMBEROF)) == YES) == (account is ALICE)


@pytest.mark.parametrize("account", [ALICE, ZOE, BOB, CELIK], ids=lambda account: account.uid)
def test_group_of_unix_has_its_members_by_name(
    installed: Daemon, slapd: Slapd, account: Account
) -> None:
    """memberUid, as it is spelled in the user's entry: it heeds case."""
    found = check_password(installed, jid(account, UNIX), account.password)
    assert found == (YES if account in UNIX_USERS else NO)
    assert check_password(installed, jid(account, UNIX), secret("wrong-password")) == NO


def test_group_that_is_gone_keeps_out_nobody_who_is_in_another(
    installed: Daemon, slapd: Slapd
) -> None:
    """Of who is in no other it cannot be told whether he was in it."""
    assert check_password(installed, jid(ALICE, DELETED), ALICE.password) == YES
    assert check_password(installed, jid(CAROL, DELETED), CAROL.password)[0] == CANNOT_TELL
    assert said(installed, jid(CAROL, DELETED)) == ("unavailable", "directory_refused")


@pytest.mark.parametrize(
    "account",
    [ALICE, BOB, CELIK, SPECIAL, CAROL, LOCKED, MUST_RESET, EXPIRED, GRACE, *SPECIAL_PEOPLE],
    ids=lambda account: account.uid,
)
def test_user_is_bound_without_a_service_account(
    installed: Daemon, slapd: Slapd, account: Account
) -> None:
    """Under the DN that his name is put into, escaped; nobody is searched."""
    mark = slapd.mark()
    found = check_password(installed, jid(account, DIRECT), account.password)
    assert found == (YES if account.accepted else NO)
    assert said(installed, jid(account, DIRECT))[1] == account.right
    assert check_password(installed, jid(account, DIRECT), secret("wrong-password")) == NO
    assert said(installed, jid(account, DIRECT))[1] == account.wrong
    assert slapd.searches(mark) == []
    assert len(slapd.binds(mark)) == 2


@pytest.mark.parametrize("name", [r"alice\20", r"\20alice", r"alice\20\20", r"zoe\20\20z"])
def test_dn_that_the_directory_takes_for_another_is_not_bound(
    installed: Daemon, slapd: Slapd, name: str
) -> None:
    """It would be a second JID of the account."""
    password = ZOE.password if name.startswith("zoe") else ALICE.password
    assert check_password(installed, f"{name}@{DIRECT}", password) == NO


def test_user_who_exists_is_looked_up_once_in_a_while(installed: Daemon, slapd: Slapd) -> None:
    """And so is who does not; a login is not kept from anybody by that."""
    for account, answer in ((ALICE, YES), (Account("ghost", b""), NO)):
        mark = slapd.mark()
        answers = [user_exists(installed, jid(account, CACHED)) for _ in range(3)]
        assert answers == [answer] * 3
        assert sum(f"uid={account.uid})" in search for search in slapd.searches(mark)) == 1
    assert check_password(installed, jid(ALICE, CACHED), ALICE.password) == YES
