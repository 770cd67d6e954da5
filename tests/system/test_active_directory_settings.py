"""What can be set about an Active Directory, each setting tried on a real Samba."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .active_directory import (
    ALIASES,
    ALICE,
    BOB,
    BOTH_NAMES,
    CROWD,
    CROWD_PEOPLE,
    DISABLED,
    HANNAH,
    IDA,
    JON,
    KIM,
    LEO,
    LOCKED_BY,
    NETBIOS,
    PEOPLE,
    SERVICE,
    SERVICE_NAME,
    SUFFIX,
    Account,
    checker,
)
from .calls import NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon
from .ports import free_port
from .samba import SambaAd
from .test_active_directory_groups import of

STARTTLS, BY_UPN, BY_LOGON_NAME, BY_SPELLING, MAIL, ENABLED, PEOPLE_ALONE, MAIL_ALIASES, CHAIN = (
    f"{name}.example"
    for name in (
        *("starttls", "by-upn", "by-logon-name", "by-spelling", "mail", "enabled", "people"),
        *("mail-aliases", "chain"),
    )
)
DEAD_FIRST, DEAD_LAST = "first.example", "last.example"

_SETTINGS: dict[str, dict[str, object]] = {
    BY_UPN: {"bind_dn": f"{SERVICE_NAME}@{SUFFIX}"},
    BY_LOGON_NAME: {"bind_dn": rf"{NETBIOS}\{SERVICE_NAME}"},
    BY_SPELLING: {"bind_dn": SERVICE.lower().replace(",", " , ")},
    SUFFIX: {
        "bind_dn": f"{SERVICE_NAME}@{SUFFIX}",
        "jid_attribute": "userPrincipalName",
        "login": ["userPrincipalName"],
    },
    MAIL: {"login": ["sAMAccountName", "mail"], "filter": "(&(objectClass=user)(mail=*))"},
    MAIL_ALIASES: {"login": ["sAMAccountName", "mail"], "aliases": True},
    BOTH_NAMES: {"login": ["sAMAccountName", "userPrincipalName"]},
    ALIASES: {"login": ["sAMAccountName", "userPrincipalName"], "aliases": True},
    ENABLED: {
        "filter": "(&(objectCategory=person)(objectClass=user)"
        "(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
    },
    PEOPLE_ALONE: {"base": PEOPLE},
}


def _tables(ad: SambaAd) -> dict[str, str]:
    """The tables of every domain."""
    dead = f"ldaps://127.0.0.1:{free_port()}"
    servers: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {
        **{domain: ((ad.tls_url,), settings) for domain, settings in _SETTINGS.items()},
        STARTTLS: ((ad.url,), {}),
        DEAD_FIRST: ((dead, ad.tls_url), {}),
        DEAD_LAST: ((ad.tls_url, dead), {}),
    }
    tables = {
        domain: _table(ad, domain, *urls, **settings)
        for domain, (urls, settings) in servers.items()
    }
    # Two that ask for different people of one directory.
    first = _table(ad, CHAIN, ad.tls_url, base=PEOPLE)
    _, header, second = _table(ad, "crowd.example", ad.tls_url, base=CROWD).partition("[checkers.")
    first = first.replace('check = ["chain"]', 'check = ["chain", "crowd"]')
    return {**tables, CHAIN: f"{first}\n{header}{second}"}


def _table(ad: SambaAd, domain: str, *servers: str, **settings: object) -> str:
    files = {"ca_file": ad.pki.ca, "bind_password_file": ad.service_password_file}
    return checker(domain, *servers, **files, **settings)


@pytest.fixture(scope="module")
def installed(workspace: Path, shared_ad: SambaAd) -> Iterator[Daemon]:
    """A daemon with a domain for each setting."""
    daemon = Daemon(workspace / "ad-settings", (), others=_tables(shared_ad))
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.mark.parametrize("domain", [STARTTLS, BY_UPN, BY_LOGON_NAME, DEAD_FIRST, DEAD_LAST])
def test_users_are_found_and_judged(installed: Daemon, ad: SambaAd, domain: str) -> None:
    """With StartTLS, by whatever name the service account is bound with, and where one server is
    away."""
    assert check_password(installed, of(ALICE, domain), ALICE.password) == YES
    assert check_password(installed, of(ALICE, domain), secret("wrong-password")) == NO
    assert said(installed, of(ALICE, domain)) == ("rejected", "password_mismatch")
    assert check_password(installed, of(DISABLED, domain), DISABLED.password) == NO
    assert said(installed, of(DISABLED, domain)) == ("rejected", "account_disabled")
    assert user_exists(installed, of(ALICE, domain)) == YES
    assert user_exists(installed, f"ghost@{domain}") == NO


def test_service_account_is_bound_with_the_name_that_was_set(
    installed: Daemon, ad: SambaAd
) -> None:
    """As it was written."""
    for domain, name in (
        (BY_UPN, f"{SERVICE_NAME}@{SUFFIX}"),
        (BY_LOGON_NAME, rf"{NETBIOS}\{SERVICE_NAME}"),
    ):
        assert check_password(installed, of(ALICE, domain), ALICE.password) == YES
        bound = {(bind.client, bind.account, bind.status) for bind in ad.authentications()}
        assert (name, SERVICE_NAME, "NT_STATUS_OK") in bound


@pytest.mark.parametrize("domain", [STARTTLS, BY_UPN, BY_LOGON_NAME, BY_SPELLING, SUFFIX])
def test_service_account_itself_may_not_log_in(installed: Daemon, ad: SambaAd, domain: str) -> None:
    """However its name is written: its password is not tried, so that nobody locks it."""
    jid = f"{SERVICE_NAME}@{domain}"
    assert check_password(installed, of(ALICE, domain), ALICE.password) == YES
    mark = ad.mark()
    for password in (ad.service_password, *[secret("wrong-password")] * LOCKED_BY):
        assert check_password(installed, jid, password) == NO
        assert said(installed, jid) == ("rejected", "service_account")
    assert user_exists(installed, jid) == NO
    assert ad.authentications(mark) == []


@pytest.mark.parametrize("domain", [DEAD_FIRST, DEAD_LAST])
def test_wrong_password_counts_once_with_two_servers(
    installed: Daemon, ad: SambaAd, strict: Account, domain: str
) -> None:
    """Of which one is dead: it is not sent again, and a login is one bind."""
    assert_each_login_is_one_bind(installed, ad, strict, domain)


def assert_each_login_is_one_bind(
    installed: Daemon, ad: SambaAd, strict: Account, domain: str
) -> None:
    """With the right password and with a wrong one, which counts once."""
    assert check_password(installed, of(strict, domain), strict.password) == YES
    for count in (1, 2):
        mark = ad.mark()
        assert check_password(installed, of(strict, domain), secret("wrong-password")) == NO
        assert ad.wrong_passwords(strict.dn) == count
        statuses = [bind.status for bind in ad.authentications(mark)]
        assert statuses == ["NT_STATUS_WRONG_PASSWORD"]
    mark = ad.mark()
    assert check_password(installed, of(strict, domain), strict.password) == YES
    assert [bind.status for bind in ad.authentications(mark)] == ["NT_STATUS_OK"]


def test_filter_leaves_out_who_does_not_match(installed: Daemon, ad: SambaAd) -> None:
    """Whoever has no address; whoever is disabled, by a bit of his flags."""
    for account, domain, other in ((ALICE, MAIL, BOB), (BOB, ENABLED, DISABLED)):
        assert check_password(installed, of(account, domain), account.password) == YES
        assert check_password(installed, of(other, domain), other.password) == NO
        assert said(installed, of(other, domain)) == ("rejected", "user_unknown")
        assert user_exists(installed, of(other, domain)) == NO


def test_who_is_not_under_the_base_is_unknown(installed: Daemon, ad: SambaAd) -> None:
    """The crowd has an organizational unit of its own."""
    somebody = CROWD_PEOPLE[0]
    assert check_password(installed, of(somebody, PEOPLE_ALONE), somebody.password) == NO
    assert said(installed, of(somebody, PEOPLE_ALONE)) == ("rejected", "user_unknown")
    assert check_password(installed, of(ALICE, PEOPLE_ALONE), ALICE.password) == YES


#: A user, another name of his, and the domains without and with aliases where he is found by it.
SECOND_NAMES = [
    (ALICE, r"liddell\40example.org", MAIL, MAIL_ALIASES),
    (ALICE, rf"alice\40{SUFFIX}", BOTH_NAMES, ALIASES),
    (HANNAH, rf"anna.h\40{SUFFIX}", BOTH_NAMES, ALIASES),
    (IDA, "ida.first", BOTH_NAMES, None),
    (JON, "jon.first", None, ALIASES),
]


@pytest.mark.parametrize(("account", "name", "without", "aliases"), SECOND_NAMES)
def test_second_name_lets_in_where_aliases_are_allowed_and_only_there(
    installed: Daemon, ad: SambaAd, account: Account, name: str, without: str, aliases: str
) -> None:
    """Elsewhere it is told from an unknown one, and his password is not even tried."""
    wrong = secret("wrong-password")
    if without:
        mark = ad.mark()
        assert check_password(installed, f"{name}@{without}", account.password) == NO
        assert said(installed, f"{name}@{without}") == ("rejected", "not_canonical")
        assert user_exists(installed, f"{name}@{without}") == NO
        assert account.name not in {bind.account for bind in ad.authentications(mark)}
        assert check_password(installed, of(account, without), account.password) == YES
    if aliases:
        for one in (name, account.local):
            assert check_password(installed, f"{one}@{aliases}", account.password) == YES
            assert check_password(installed, f"{one}@{aliases}", wrong) == NO
            assert user_exists(installed, f"{one}@{aliases}") == YES


def test_name_of_one_that_is_the_principal_name_of_another_is_nobodys(
    installed: Daemon, ad: SambaAd
) -> None:
    """Where both names are asked for in the domain of that principal name; elsewhere it is his."""
    for account in (KIM, LEO):
        assert check_password(installed, of(KIM, BOTH_NAMES), account.password) == NO
        assert said(installed, of(KIM, BOTH_NAMES)) == ("rejected", "user_ambiguous")
    assert check_password(installed, of(LEO, BOTH_NAMES), LEO.password) == YES
    assert check_password(installed, of(KIM, ALIASES), KIM.password) == YES
    assert check_password(installed, of(KIM, ALIASES), LEO.password) == NO


def test_checkers_of_one_domain_are_asked_one_after_the_other(
    installed: Daemon, ad: SambaAd
) -> None:
    """The second where the first knows nobody of the name; a wrong password ends it."""
    somebody = CROWD_PEOPLE[0]
    mark = ad.mark()
    assert check_password(installed, of(ALICE, CHAIN), ALICE.password) == YES
    assert check_password(installed, of(somebody, CHAIN), somebody.password) == YES
    assert check_password(installed, of(ALICE, CHAIN), somebody.password) == NO
    assert said(installed, of(ALICE, CHAIN)) == ("rejected", "password_mismatch")
    assert check_password(installed, of(somebody, CHAIN), ALICE.password) == NO
    assert said(installed, of(somebody, CHAIN)) == ("rejected", "password_mismatch")
    assert check_password(installed, f"ghost@{CHAIN}", secret("nobodys")) == NO
    assert said(installed, f"ghost@{CHAIN}") == ("rejected", "user_unknown")
    binds = [bind.account for bind in ad.authentications(mark) if bind.account != SERVICE_NAME]
    assert binds == [ALICE.name, somebody.name, ALICE.name, somebody.name]
    assert user_exists(installed, of(somebody, CHAIN)) == YES
    assert user_exists(installed, f"ghost@{CHAIN}") == NO
