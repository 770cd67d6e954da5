"""Who gets in with the password of an Active Directory, through the servers and a real Samba."""

import pytest

from .active_directory import (
    ALICE,
    ALISA,
    BASE,
    BOB,
    CELIK,
    DISABLED,
    DOMAIN,
    HANNAH,
    LOCKED,
    LOCKED_BY,
    PEOPLE_OF_ALL_KINDS,
    SERVICE,
    SERVICE_NAME,
    SPECIAL,
    SUFFIX,
    ZOE,
    Account,
)
from .calls import NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon
from .samba import SambaAd
from .visitors import Server, Visitors
from .xmpp import SESSION

REFUSED = "not-authorized"


def user_binds(ad: SambaAd, since: int) -> list[str]:
    """Whose accounts were bound, by a DN, but for the daemon's own."""
    binds = [bind for bind in ad.authentications(since) if bind.client != SERVICE]
    assert all(bind.client.startswith("CN=") for bind in binds)
    return [bind.account for bind in binds]


@pytest.mark.parametrize("account", PEOPLE_OF_ALL_KINDS, ids=lambda account: account.name)
def test_account_is_judged_as_the_directory_has_it(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, account: Account
) -> None:
    """The user is let in or not; the log has the reason."""
    if account.accepted:
        assert visitors.enter(ad_server, account.jid).jid == f"{account.jid}/tests"
    else:
        assert visitors.login(ad_server, account.jid) == REFUSED
    verdict = "accepted" if account.accepted else "rejected"
    assert said(ad_daemon, account.jid) == (verdict, account.right)
    assert visitors.login(ad_server, account.jid, secret("wrong-password")) == REFUSED
    assert said(ad_daemon, account.jid) == ("rejected", account.wrong)


def test_unknown_user_is_refused_in_the_words_of_a_wrong_password(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """As is a disabled one with the right password; only the log knows the difference."""
    found = []
    for name, password, reason in (
        ("nobody", secret("nobodys"), "user_unknown"),
        ("alice", secret("not-alices"), "password_mismatch"),
        ("disabled", DISABLED.password, "account_disabled"),
    ):
        somebody = visitors.connect(ad_server, DOMAIN)
        assert somebody.login(name.encode(), password) == REFUSED
        assert said(ad_daemon, f"{name}@{DOMAIN}") == ("rejected", reason)
        found.append(somebody.failure_text)
    assert len(set(found)) == 1


@pytest.mark.parametrize("name", ["dc1$", "pc1$", "partner", "xmpp\\20users", "people"])
def test_who_is_no_person_is_unknown(ad_daemon: Daemon, ad: SambaAd, name: str) -> None:
    """Computers are users to the directory; contacts have no account, and groups no password."""
    mark = ad.mark()
    assert check_password(ad_daemon, f"{name}@{DOMAIN}", secret("of-no-person")) == NO
    assert said(ad_daemon, f"{name}@{DOMAIN}") == ("rejected", "user_unknown")
    assert user_exists(ad_daemon, f"{name}@{DOMAIN}") == NO
    assert user_binds(ad, mark) == []


def test_password_of_another_is_wrong(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """And so is what the file of the service account has."""
    for password in (BOB.password, ad.service_password, ALICE.password.upper()):
        assert visitors.login(ad_server, ALICE.jid, password) == REFUSED
        assert said(ad_daemon, ALICE.jid) == ("rejected", "password_mismatch")


def test_service_account_is_let_in_nowhere_and_locked_by_nobody(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """It is refused in the words of a wrong password, and the log knows why."""
    jid = f"{SERVICE_NAME}@{DOMAIN}"
    for password in (ad.service_password, *[secret("guess")] * LOCKED_BY):
        assert visitors.login(ad_server, jid, password) == REFUSED
        assert said(ad_daemon, jid) == ("rejected", "service_account")
    assert ad.wrong_passwords(SERVICE) == 0


def test_password_that_an_administrator_has_given_counts_at_once(
    ad_server: Server, visitors: Visitors, ad: SambaAd, strict: Account
) -> None:
    """Whoever was in before: the next login is with the new one."""
    new = secret("changed")
    assert visitors.login(ad_server, strict.jid) == SESSION
    ad.give_password(strict, new)
    assert visitors.login(ad_server, strict.jid, new) == SESSION
    ad.give_password(strict, strict.password)
    assert visitors.login(ad_server, strict.jid) == SESSION


def test_wrong_passwords_lock_an_account_and_not_one_too_early(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, strict: Account
) -> None:
    """Each counts once, and the right one ends the count; then the right one is of no use."""
    wrong = secret("guess")
    for count in range(1, LOCKED_BY):
        assert visitors.login(ad_server, strict.jid, wrong) == REFUSED
        assert ad.wrong_passwords(strict.dn) == count
    assert visitors.login(ad_server, strict.jid) == SESSION
    assert ad.wrong_passwords(strict.dn) == 0
    for _ in range(LOCKED_BY):
        assert visitors.login(ad_server, strict.jid, wrong) == REFUSED
        assert said(ad_daemon, strict.jid) == ("rejected", "password_mismatch")
    for password in (strict.password, wrong):
        assert visitors.login(ad_server, strict.jid, password) == REFUSED
        assert said(ad_daemon, strict.jid) == ("rejected", "account_locked")
    ad.unlock(strict.dn)
    assert visitors.login(ad_server, strict.jid) == SESSION


def test_account_that_is_enabled_again_is_let_in_at_once(
    ad_server: Server, visitors: Visitors, ad: SambaAd
) -> None:
    """And disabled again, kept out."""
    for control, outcome in (("512", SESSION), ("514", REFUSED)):
        ad.replace(DISABLED.dn, "userAccountControl", control)
        assert visitors.login(ad_server, DISABLED.jid) == outcome


def test_login_is_one_bind_with_the_dn_that_was_found(
    ad_server: Server, visitors: Visitors, ad: SambaAd
) -> None:
    """With the right and with a wrong password, and where the account is disabled or locked."""
    mark = ad.mark()
    visitors.login(ad_server, ALICE.jid)
    visitors.login(ad_server, SPECIAL.jid, secret("wrong-password"))
    visitors.login(ad_server, DISABLED.jid)
    visitors.login(ad_server, LOCKED.jid)
    assert user_binds(ad, mark) == [ALICE.name, SPECIAL.name, DISABLED.name, LOCKED.name]


@pytest.mark.parametrize("password", [b"", b" ", b" \t\n", b"a\0b", b"\0"])
def test_password_that_is_none_never_reaches_the_directory(
    ad_daemon: Daemon, ad: SambaAd, password: bytes
) -> None:
    """Blank ones and those with NUL; Samba would count an empty one as wrong."""
    mark = ad.mark()
    assert check_password(ad_daemon, ALICE.jid, password)[1] != b"true"
    assert check_password(ad_daemon, BOB.jid, BOB.password) == YES
    assert user_binds(ad, mark) == [BOB.name]


@pytest.mark.parametrize(
    "password",
    [b"\xff\xfe:" + secret(b"\x80octets"), secret("two\nlines"), secret("l" * 39_000)],
    ids=["not-utf-8", "newline", "long"],
)
def test_odd_password_is_wrong_and_no_outage(
    ad_daemon: Daemon, ad: SambaAd, password: bytes
) -> None:
    """One client cannot make the directory look broken for all."""
    assert check_password(ad_daemon, ALICE.jid, password) == NO
    assert said(ad_daemon, ALICE.jid) == ("rejected", "password_mismatch")
    assert check_password(ad_daemon, ALICE.jid, ALICE.password) == YES


@pytest.mark.parametrize("name", ["*", "a*", "alice)(cn=*", "*)(objectclass=*", "|(cn=alice)"])
def test_name_is_nothing_but_a_value_of_the_filter(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, name: str
) -> None:
    """It finds who has exactly this name, and there is nobody."""
    mark = ad.mark()
    assert visitors.login(ad_server, f"{name}@{DOMAIN}", ALICE.password) == REFUSED
    assert said(ad_daemon, f"{name}@{DOMAIN}") == ("rejected", "user_unknown")
    assert user_binds(ad, mark) == []


@pytest.mark.parametrize(
    ("account", "name"),
    [
        *((ALICE, name) for name in ("ALICE", "Alice", "ａｌｉｃｅ", "al\N{SOFT HYPHEN}ice")),
        *((CELIK, name) for name in ("ÇELIK", "C\N{COMBINING CEDILLA}elik")),
        *((ALISA, name) for name in ("Алиса", "АЛИСА")),
        *((ZOE, name) for name in (r"Zoe\20Z", r"ZOE\20z")),
    ],
)
def test_spelling_that_the_servers_prepare_is_the_same_user(
    ad_server: Server,
    visitors: Visitors,
    ad_daemon: Daemon,
    ad: SambaAd,
    account: Account,
    name: str,
) -> None:
    """Under his one name in the log."""
    assert visitors.login(ad_server, f"{name}@{DOMAIN}", account.password) == SESSION
    assert said(ad_daemon, account.jid) == ("accepted", "password_matches")


@pytest.mark.parametrize("name", [r"alice\20", r"\20alice", r"\20alice\20", r"ad\5calice"])
def test_name_that_the_directory_takes_for_another_is_not_bound(
    ad_server: Server, visitors: Visitors, ad: SambaAd, name: str
) -> None:
    """It would be a second JID of the account."""
    mark = ad.mark()
    assert visitors.login(ad_server, f"{name}@{DOMAIN}", ALICE.password) == REFUSED
    assert user_binds(ad, mark) == []


#: Ways to write a name, of which the directory's own rules or its logon names make one.
SPELLINGS = {
    ALICE: [
        *("alice", "ALICE", "ａlice", "al\N{SOFT HYPHEN}ice", "ali\N{ZERO WIDTH SPACE}ce"),
        *(" alice", "alice ", r"\20alice", r"alice\20", r"alice\20\20", "alice\t", "alice\0"),
        *("\N{CYRILLIC SMALL LETTER A}lice", r"\61lice", r"alice\00", "alice\N{NO-BREAK SPACE}"),
        *(f"alice@{SUFFIX}", rf"alice\40{SUFFIX}", r"alice\40ad", r"ad\alice", r"ad\5calice"),
        *(r"AD\alice", r"liddell\40example.org", "cn=alice", f"CN=alice,OU=People,{BASE}"),
    ],
    ZOE: [r"zoe\20z", r"Zoe\20Z", r"zoe\20\20z", r"zoe\5c20z", "zoe z", "zoe\N{NO-BREAK SPACE}z"],
    CELIK: ["çelik", "ÇELİK", "c\N{COMBINING CEDILLA}elik", "celik", "ÇELIK"],
    ALISA: ["алиса", "АЛИСА", "aлиcа"],
    HANNAH: ["hannah", "anna.h", "Anna.H", rf"anna.h\40{SUFFIX}"],
    SPECIAL: [SPECIAL.local, SPECIAL.name, SPECIAL.local.replace(r"\20", r"\20\20")],
}


@pytest.mark.parametrize(
    ("account", "name"),
    [(account, name) for account, names in SPELLINGS.items() for name in names],
)
def test_account_has_one_jid(ad_daemon: Daemon, ad: SambaAd, account: Account, name: str) -> None:
    """However a program asks: what is accepted is the user's one JID to everybody behind."""
    before = len(ad_daemon.logins())
    status, body = check_password(ad_daemon, f"{name}@{DOMAIN}", account.password)
    (login,) = ad_daemon.logins()[before:]
    assert status in (200, 400)
    assert (body == b"true") == (login["verdict"] == "accepted")
    assert (body == b"true") == (login["jid"] == account.jid)


def test_user_of_the_domain_of_principal_names_is_who_has_it(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """There a JID is a userPrincipalName, and no other name of its user."""
    for account, local in ((ALICE, "alice"), (ZOE, r"zoe\20z"), (HANNAH, "anna.h")):
        jid = f"{local}@{SUFFIX}"
        assert visitors.enter(ad_server, jid, account.password).jid == f"{jid}/tests"
        assert visitors.login(ad_server, jid, secret("wrong-password")) == REFUSED
        assert said(ad_daemon, jid) == ("rejected", "password_mismatch")
        assert user_exists(ad_daemon, jid) == YES
    assert visitors.login(ad_server, f"hannah@{SUFFIX}", HANNAH.password) == REFUSED
    assert said(ad_daemon, f"hannah@{SUFFIX}") == ("rejected", "user_unknown")
    assert visitors.login(ad_server, f"Anna.H@{SUFFIX.upper()}", HANNAH.password) == SESSION
