"""Users bound in an Active Directory without a search, by each kind of name that it takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .active_directory import (
    ALISA,
    BASE,
    CELIK,
    HANNAH,
    LOCKED,
    NETBIOS,
    PEOPLE,
    PEOPLE_OF_ALL_KINDS,
    SPECIAL,
    SUFFIX,
    ZOE,
    Account,
    checker,
)
from .calls import NO, YES, check_password, said
from .canary import secret
from .daemon import Daemon
from .ports import free_port
from .samba import SambaAd
from .test_active_directory_groups import of
from .test_active_directory_logins import SPELLINGS
from .test_active_directory_settings import assert_each_login_is_one_bind

DIRECT_UPN, DIRECT_LOGON_NAME, DIRECT_DN = (
    f"direct-{name}.example" for name in ("upn", "logon-name", "dn")
)
DEAD_FIRST, DEAD_LAST = "first.example", "last.example"

_BY_UPN = {"user_upn": f"{{user}}@{SUFFIX}"}


@pytest.fixture(scope="module")
def installed(workspace: Path, shared_ad: SambaAd) -> Iterator[Daemon]:
    """A daemon with a domain for each kind of name."""
    live, dead = shared_ad.tls_url, f"ldaps://127.0.0.1:{free_port()}"
    domains: dict[str, tuple[list[str], dict[str, str]]] = {
        DIRECT_UPN: ([live], _BY_UPN),
        DIRECT_LOGON_NAME: ([live], {"user_logon_name": rf"{NETBIOS}\{{user}}"}),
        DIRECT_DN: ([live], {"user_dn": f"CN={{user}},{PEOPLE}"}),
        DEAD_FIRST: ([dead, live], _BY_UPN),
        DEAD_LAST: ([live, dead], _BY_UPN),
    }
    unsearched = {"exists": "always", "base": None, "bind_dn": None}
    others = {
        domain: checker(domain, *servers, ca_file=shared_ad.pki.ca, **unsearched, **names)
        for domain, (servers, names) in domains.items()
    }
    daemon = Daemon(workspace / "ad-direct", (), others=others)
    daemon.start()
    yield daemon
    daemon.stop()


#: Whom no logon name is made for: it is of printable ASCII, without a space.
_OTHER_NAMES = (ZOE, CELIK, ALISA, SPECIAL)


@pytest.mark.parametrize("domain", [DIRECT_UPN, DIRECT_LOGON_NAME, DIRECT_DN])
@pytest.mark.parametrize(
    "account",
    [account for account in PEOPLE_OF_ALL_KINDS if account not in _OTHER_NAMES],
    ids=lambda account: account.name,
)
def test_user_is_bound_without_a_service_account(
    installed: Daemon, ad: SambaAd, account: Account, domain: str
) -> None:
    """Under what is made of his name, and judged by what that says; nobody is searched."""
    jid = of(account, domain)
    mark = ad.mark()
    assert check_password(installed, jid, account.password) == (YES if account.accepted else NO)
    assert said(installed, jid)[1] == account.right
    assert check_password(installed, jid, secret("wrong-password")) == NO
    assert said(installed, jid)[1] == account.wrong
    made = {
        DIRECT_UPN: f"{account.local}@{SUFFIX}",
        DIRECT_LOGON_NAME: rf"{NETBIOS}\{account.local}",
        DIRECT_DN: f"CN={account.local},{PEOPLE}",
    }
    assert [bind.client for bind in ad.authentications(mark)] == [made[domain]] * 2


@pytest.mark.parametrize("account", _OTHER_NAMES, ids=lambda account: account.name)
def test_name_that_no_logon_name_may_hold_is_bound_by_its_dn_alone(
    installed: Daemon, ad: SambaAd, account: Account
) -> None:
    """Where the DN has that name; logon names have rules that only the directory knows."""
    for domain in (DIRECT_UPN, DIRECT_LOGON_NAME):
        mark = ad.mark()
        assert check_password(installed, of(account, domain), account.password) == NO
        assert said(installed, of(account, domain)) == ("rejected", "user_unknown")
        assert ad.authentications(mark) == []
    found = check_password(installed, of(account, DIRECT_DN), account.password)
    assert found == (NO if account.common_name else YES)


def test_unknown_user_of_a_direct_bind_is_a_wrong_password(installed: Daemon, ad: SambaAd) -> None:
    """Samba tells nobody who exists."""
    for domain in (DIRECT_UPN, DIRECT_LOGON_NAME, DIRECT_DN):
        assert check_password(installed, f"ghost@{domain}", secret("nobodys")) == NO
        assert said(installed, f"ghost@{domain}") == ("rejected", "password_mismatch")
        assert check_password(installed, of(LOCKED, domain), LOCKED.password) == NO


def test_user_upn_takes_both_names_of_an_account_that_has_two(
    installed: Daemon, ad: SambaAd
) -> None:
    """A domain controller does, so that one account is two JIDs: docs/directories.md says so, and
    to prefer user_logon_name."""
    for name in ("hannah", "anna.h"):
        assert check_password(installed, f"{name}@{DIRECT_UPN}", HANNAH.password) == YES
    assert check_password(installed, f"anna.h@{DIRECT_LOGON_NAME}", HANNAH.password) == NO


@pytest.mark.parametrize(
    ("account", "domain"),
    [
        *((account, DIRECT_LOGON_NAME) for account in SPELLINGS),
        *((account, DIRECT_DN) for account in SPELLINGS),
        *((account, DIRECT_UPN) for account in SPELLINGS if account is not HANNAH),
    ],
    ids=lambda value: value.name if isinstance(value, Account) else value,
)
def test_account_has_one_jid_without_a_search(
    installed: Daemon, ad: SambaAd, account: Account, domain: str
) -> None:
    """However it is spelled, and whatever the directory itself would take for it."""
    before = len(installed.logins())
    answers = [
        check_password(installed, f"{name}@{domain}", account.password)
        for name in (*SPELLINGS[account], f"cn={account.local}", f"{account.local},{BASE}")
    ]
    logins = installed.logins()[before:]
    assert len(logins) == len(answers)
    accepted = {login["jid"] for login in logins if login["verdict"] == "accepted"}
    assert accepted <= {of(account, domain)}
    assert answers.count(YES) == sum(login["verdict"] == "accepted" for login in logins)


@pytest.mark.parametrize("domain", [DEAD_FIRST, DEAD_LAST])
def test_wrong_password_counts_once_with_two_servers(
    installed: Daemon, ad: SambaAd, strict: Account, domain: str
) -> None:
    """Of which one is dead: it is not sent again."""
    assert_each_login_is_one_bind(installed, ad, strict, domain)
