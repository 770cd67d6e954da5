"""Who is in a required group of an Active Directory: directly, through others, by primary group."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .active_directory import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    CELIK,
    DISABLED,
    DOMAIN_USERS,
    DORA,
    EMIL,
    FLORA,
    GROUPS_PARENT,
    HANNAH,
    MEMBERS,
    SPECIAL_GROUP,
    ZOE,
    Account,
    checker,
    group_dn,
)
from .calls import NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret
from .daemon import Daemon
from .samba import SambaAd
from .test_active_directory_logins import REFUSED, user_binds
from .test_directory_explained import steps
from .test_users import bounce
from .visitors import Server, Visitors
from .xmpp import SESSION

#: The group of Windows' own that all users of the domain are in, through Domain Users.
BUILTIN_USERS = f"CN=Users,CN=Builtin,{BASE}"
XMPP_USERS = group_dn("XMPP Users")

EVERYBODY = (ALICE, BOB, CAROL, ZOE, CELIK, DORA, EMIL, FLORA)

#: The domain, its settings, and who of them all is let in there.
SETTINGS: dict[str, tuple[dict[str, object], set[Account]]] = {
    "nested.example": ({"require_groups": [XMPP_USERS]}, {ALICE, BOB, ZOE, DORA, EMIL}),
    "staff.nested.example": ({"require_groups": [group_dn("Staff")]}, {ALICE, ZOE, EMIL}),
    "special.example": ({"require_groups": [group_dn(SPECIAL_GROUP)]}, {CELIK}),
    "either.example": (
        {"require_groups": [group_dn("Empty"), group_dn("Team"), group_dn(SPECIAL_GROUP)]},
        {ZOE, CELIK},
    ),
    "empty.example": ({"require_groups": [group_dn("Empty")]}, set()),
    "users.example": ({"require_groups": [DOMAIN_USERS]}, {*EVERYBODY} - {FLORA}),
    "guests.example": ({"require_groups": [group_dn("Domain Guests")]}, {FLORA}),
    "builtin.example": ({"require_groups": [BUILTIN_USERS]}, {*EVERYBODY} - {FLORA}),
    "memberof.example": (
        {"require_groups": [XMPP_USERS], "group_membership": "memberof"},
        {BOB},
    ),
    "search.example": ({"require_groups": [XMPP_USERS], "group_membership": "search"}, {BOB}),
    "levels.example": (
        {
            "require_groups": [XMPP_USERS],
            "group_membership": "search",
            "group_base": GROUPS_PARENT,
        },
        {ALICE, BOB, ZOE},
    ),
    "two-levels.example": (
        {
            "require_groups": [XMPP_USERS],
            "group_membership": "search",
            "group_base": GROUPS_PARENT,
            "group_depth": 2,
        },
        {ALICE, BOB},
    ),
}


@pytest.fixture(scope="module")
def installed(workspace: Path, shared_ad: SambaAd) -> Iterator[Daemon]:
    """A daemon with a domain for each setting."""
    others = {
        domain: checker(
            domain,
            shared_ad.tls_url,
            ca_file=shared_ad.pki.ca,
            bind_password_file=shared_ad.service_password_file,
            **settings,
        )
        for domain, (settings, _) in SETTINGS.items()
    }
    daemon = Daemon(workspace / "ad-groups", (), others=others)
    daemon.start()
    yield daemon
    daemon.stop()


def of(account: Account, domain: str) -> str:
    """The user's JID in one of the domains."""
    return f"{account.local}@{domain}"


@pytest.mark.parametrize("domain", SETTINGS)
@pytest.mark.parametrize("account", EVERYBODY, ids=lambda account: account.name)
def test_member_is_let_in_and_exists_and_nobody_else(
    installed: Daemon, ad: SambaAd, account: Account, domain: str
) -> None:
    """Directly, through groups of any depth, or by the primary group, as the setting has it."""
    jid = of(account, domain)
    member = account in SETTINGS[domain][1]
    assert check_password(installed, jid, account.password) == (YES if member else NO)
    reason = ("accepted", "password_matches") if member else ("rejected", "not_in_group")
    assert said(installed, jid) == reason
    assert user_exists(installed, jid) == (YES if member else NO)
    assert check_password(installed, jid, secret("wrong-password")) == NO
    assert said(installed, jid)[1] == ("password_mismatch" if member else "not_in_group")


@pytest.mark.parametrize("account", [ALICE, BOB, ZOE, CELIK, DORA, EMIL], ids=lambda one: one.name)
def test_member_enters_through_the_servers(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, account: Account
) -> None:
    """And stays outside with a wrong password."""
    assert visitors.enter(ad_server, of(account, MEMBERS)).jid == f"{of(account, MEMBERS)}/tests"
    assert visitors.login(ad_server, of(account, MEMBERS), secret("wrong-password")) == REFUSED
    assert said(ad_daemon, of(account, MEMBERS)) == ("rejected", "password_mismatch")


@pytest.mark.parametrize("account", [CAROL, HANNAH, FLORA, DISABLED], ids=lambda one: one.name)
def test_who_is_in_no_required_group_is_refused_unbound_and_does_not_exist(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, account: Account
) -> None:
    """With the right password; it is not even tried."""
    jid = of(account, MEMBERS)
    alice = visitors.enter(ad_server, of(ALICE, MEMBERS))
    mark = ad.mark()
    assert visitors.login(ad_server, jid) == REFUSED
    assert said(ad_daemon, jid) == ("rejected", "not_in_group")
    assert bounce(alice, jid, "hello") == "service-unavailable"
    assert said(ad_daemon, jid)[1] == (account.gone or "not_in_group")
    assert user_binds(ad, mark) == []


def test_membership_counts_from_the_next_login_on(
    ad_server: Server, visitors: Visitors, ad: SambaAd
) -> None:
    """In a group within the required one; and so does its end."""
    carol = of(CAROL, MEMBERS)
    for verb, outcome in (("add", SESSION), ("delete", REFUSED)):
        ad.change(group_dn("Team"), verb, "member", CAROL.dn)
        assert visitors.login(ad_server, carol) == outcome


def test_groups_are_explained(ad_daemon: Daemon, ad: SambaAd) -> None:
    """By which rule they were looked for, and the primary one as such."""
    told = explain(ad_daemon, of(ALICE, MEMBERS), ALICE.password)
    assert told.returncode == 0
    assert "nested-rule" in steps(told.stdout)["group"]
    assert f"{XMPP_USERS} or {group_dn(SPECIAL_GROUP)}: a member" in told.stdout
    told = explain(ad_daemon, of(DORA, MEMBERS), DORA.password)
    assert told.returncode == 0
    assert "primary group" in steps(told.stdout)["group"]
    assert "a member" in steps(told.stdout)["group"]
    told = explain(ad_daemon, of(CAROL, MEMBERS), CAROL.password)
    assert told.returncode == 1
    login, _, user = told.stdout.partition("\nUser:")
    for asked in (login, user):
        assert asked.count("no member") == 2
        assert "not_in_group" in asked


def test_groups_are_looked_at_by_the_probe(ad_daemon: Daemon, ad: SambaAd) -> None:
    """Whatever is in their names."""
    told = probe(ad_daemon)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{group_dn(SPECIAL_GROUP)}: found" in told.stdout
    assert f"{XMPP_USERS}: found" in told.stdout


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("C# people", "32 noSuchObject"),
        # To Samba alone it is none: it wants this = escaped.
        ("a=b", "34 invalidDNSyntax"),
    ],
)
def test_dn_of_a_group_is_taken_as_the_rfc_allows_it(
    workspace: Path, ad: SambaAd, name: str, found: str
) -> None:
    """RFC 4514, 3: it is a DN, of no group that there is, which is for the directory to say."""
    table = checker(
        "rfc.example",
        ad.tls_url,
        ca_file=ad.pki.ca,
        bind_password_file=ad.service_password_file,
        require_groups=[f"CN={name},{GROUPS_PARENT}"],
    )
    number = len(list(workspace.glob("ad-rfc*")))
    told = probe(Daemon(workspace / f"ad-rfc{number}", (), others={"rfc.example": table}))
    assert told.returncode == 3, told.stdout + told.stderr
    assert f"CN={name},{GROUPS_PARENT}: {found}" in told.stdout
