"""What can be set about a 389 Directory Server, what may be wrong with it, and what the
administrator is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, NO, YES, check_password, explain, probe, said, user_exists
from .daemon import Daemon
from .directory import BASE, PEOPLE, group_dn
from .ds389 import Ds389, running_389
from .netscape import (
    ALICE,
    BLIND,
    BOB,
    CELIK,
    DISABLED,
    DOMAIN,
    EXPIRED,
    GRACE,
    GROUPS,
    INACTIVE,
    LOCKED,
    MIGHTY,
    MUST_CHANGE,
    POWERLESS,
    RETIRED,
    SPECIAL,
    UNIQUE_GROUP,
    ZOE,
    Account,
    checker,
)
from .pki import Pki
from .test_389 import by_uid
from .test_directory_explained import steps

ANYBODY = "(&(objectClass=*)(uid=*))"
XMPP_USERS = [group_dn(name) for name in GROUPS]

#: The domain, and its settings.
SETTINGS: dict[str, dict[str, object]] = {
    DOMAIN: {},
    "members.example": {"require_groups": XMPP_USERS},
    "memberof.example": {"require_groups": XMPP_USERS, "group_membership": "memberof"},
    "unique.example": {"require_groups": [group_dn(UNIQUE_GROUP)]},
    "unique-memberof.example": {
        "require_groups": [group_dn(UNIQUE_GROUP)],
        "group_membership": "memberof",
    },
    "deleted.example": {"require_groups": [group_dn("deleted"), group_dn("xmpp-users")]},
    "mighty-deleted.example": {
        "require_groups": [group_dn("deleted"), group_dn("xmpp-users")],
        "bind_dn": MIGHTY,
    },
    "blind.example": {"bind_dn": BLIND},
    "powerless.example": {"bind_dn": POWERLESS},
    "lost.example": {"base": f"ou=ghosts,{BASE}"},
    "mighty-lost.example": {"base": f"ou=ghosts,{BASE}", "bind_dn": MIGHTY},
}
START_TLS = "starttls.example"


def of(account: Account, domain: str) -> str:
    """The user's JID in one of the domains."""
    return f"{account.local}@{domain}"


@pytest.fixture(scope="module")
def ds389(workspace: Path, directory_pki: Pki) -> Iterator[Ds389]:
    """The directory."""
    with running_389(workspace / "netscape-settings", directory_pki) as server:
        yield server


@pytest.fixture(scope="module")
def asking(workspace: Path, ds389: Ds389, directory_pki: Pki) -> Iterator[Daemon]:
    """A daemon with a domain for each setting."""
    files = {"ca_file": directory_pki.ca, "bind_password_file": ds389.service_password_file}
    others = {
        domain: checker(domain, domain.partition(".")[0], ds389.tls_url, **{**files, **settings})
        for domain, settings in SETTINGS.items()
    }
    others[START_TLS] = checker(START_TLS, "starttls", ds389.url, **files)
    daemon = Daemon(workspace / "netscape-settings-daemon", (), others=others)
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.mark.parametrize("account", [ALICE, LOCKED, EXPIRED, INACTIVE], ids=by_uid)
def test_connection_that_began_in_clear_is_as_good(asking: Daemon, account: Account) -> None:
    """StartTLS."""
    jid = of(account, START_TLS)
    assert check_password(asking, jid, account.password) == (YES if account.accepted else NO)
    assert said(asking, jid)[1] == account.right


@pytest.mark.parametrize(
    ("domain", "members"),
    [
        ("members.example", {ALICE, LOCKED, DISABLED, CELIK, SPECIAL}),
        ("memberof.example", {ALICE, LOCKED, DISABLED, CELIK, SPECIAL}),
        ("unique.example", {BOB}),
        ("unique-memberof.example", {BOB}),
    ],
)
def test_member_of_a_group_is_let_in_and_nobody_else(
    asking: Daemon, domain: str, members: set[Account]
) -> None:
    """By the group's own entry, or by the memberOf of the plugin; both name users and DNs."""
    for account in (ALICE, BOB, CELIK, SPECIAL, ZOE, LOCKED, DISABLED):
        jid = of(account, domain)
        member = account in members
        answer = check_password(asking, jid, account.password)
        assert answer == (YES if member and account.accepted else NO)
        assert said(asking, jid)[1] == (account.right if member else "not_in_group")
        assert user_exists(asking, jid) == (YES if member and not account.gone else NO)


def test_group_that_is_gone_keeps_out_nobody_who_is_in_another(asking: Daemon) -> None:
    """Of who is in no other it cannot be told whether he was in it, where the service account
    learns that it is gone: 389 tells whom may read everything alone."""
    for domain in ("deleted.example", "mighty-deleted.example"):
        assert check_password(asking, of(ALICE, domain), ALICE.password) == YES
    assert check_password(asking, of(BOB, "deleted.example"), BOB.password) == NO
    assert said(asking, of(BOB, "deleted.example")) == ("rejected", "not_in_group")
    bob = of(BOB, "mighty-deleted.example")
    assert check_password(asking, bob, BOB.password)[0] == CANNOT_TELL
    assert said(asking, bob) == ("unavailable", "directory_refused")


def test_service_account_that_may_not_read_the_state_lets_nobody_in(asking: Daemon) -> None:
    """The bind has the word; but who is disabled exists."""
    for account in (DISABLED, RETIRED):
        jid = of(account, "blind.example")
        assert check_password(asking, jid, account.password) == NO
        assert said(asking, jid) == ("rejected", "account_disabled")
        assert user_exists(asking, jid) == YES


def test_wrong_base_is_no_wrong_password(asking: Daemon) -> None:
    """Nor are missing rights: nobody can be told, or everybody is unknown."""
    jid = of(ALICE, "mighty-lost.example")
    assert check_password(asking, jid, ALICE.password)[0] == CANNOT_TELL
    assert said(asking, jid) == ("unavailable", "directory_refused")
    for domain in ("lost.example", "powerless.example"):
        assert check_password(asking, of(ALICE, domain), ALICE.password) == NO
        assert said(asking, of(ALICE, domain)) == ("rejected", "user_unknown")


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (ALICE, "0 success"),
        (DISABLED, "53 unwillingToPerform, 'Account inactivated."),
        (RETIRED, "53 unwillingToPerform, 'Account inactivated."),
        (LOCKED, "19 constraintViolation, 'Exceed password retry limit."),
        (INACTIVE, "19 constraintViolation, 'Account inactivity limit exceeded."),
        (EXPIRED, "49 invalidCredentials, 'password expired!'"),
        (MUST_CHANGE, "0 success"),
        (GRACE, "0 success"),
    ],
    ids=by_uid,
)
def test_login_is_explained_in_the_words_of_the_directory(
    asking: Daemon, account: Account, words: str
) -> None:
    """And with what the entry says of the account."""
    told = explain(asking, account.jid, account.password)
    assert told.returncode == (0 if account.accepted else 1)
    assert account.right in told.stdout
    found = steps(told.stdout)
    assert f"(uid={account.uid})" in found["search"]
    assert found["bind"].startswith(f"{account.dn}: {words}")
    assert ("nsAccountLock true" in found.get("account", "")) == bool(account.gone)
    if account is MUST_CHANGE:
        assert found["password policy"] == "change after reset"
    if account is GRACE:
        assert "grace logins are left" in found["password policy"]


#: What may be wrong, as settings, and the words that lead to it.
MISTAKES: dict[str, tuple[dict[str, object], str]] = {
    "base": (SETTINGS["lost.example"], f"nothing is found by {ANYBODY} below ou=ghosts,{BASE}"),
    "mighty-base": (SETTINGS["mighty-lost.example"], f"below ou=ghosts,{BASE}: 32 noSuchObject"),
    "rights": (SETTINGS["powerless.example"], f"nothing is found by {ANYBODY} below {PEOPLE}"),
    "group": (
        {"require_groups": [group_dn("deleted")]},
        f"nothing is found by {group_dn('deleted')}",
    ),
    "account": (
        {"bind_dn": f"cn=ghost,ou=services,{BASE}"},
        f"service account cn=ghost,ou=services,{BASE}",
    ),
}


@pytest.mark.parametrize("mistake", ["", *MISTAKES])
def test_probe_tells_of_what_is_wrong(
    workspace: Path, ds389: Ds389, directory_pki: Pki, mistake: str
) -> None:
    """3 with words that lead to it; 0 where all is well."""
    settings, words = MISTAKES.get(mistake, ({"require_groups": XMPP_USERS}, ""))
    files = {"ca_file": directory_pki.ca, "bind_password_file": ds389.service_password_file}
    table = checker(DOMAIN, "probed", ds389.tls_url, **{**files, **settings})
    daemon = Daemon(workspace / f"netscape-{mistake or 'well'}", (), others={DOMAIN: table})
    told = probe(daemon)
    assert told.returncode == (3 if mistake else 0), told.stdout + told.stderr
    assert words in told.stdout
