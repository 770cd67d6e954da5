"""Users who register in an Active Directory: made at once, once, and never half."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from .active_directory import BASE, CHANGES, DENIED, DISABLED, NEWCOMERS, Account
from .calls import NO, YES, check_password, extauth, user_exists
from .canary import secret
from .daemon import Daemon
from .samba import SambaAd
from .test_active_directory_groups import of
from .test_active_directory_logins import REFUSED
from .test_active_directory_writes import DONE, last
from .visitors import Server, Visitors
from .xmpp import SESSION


def register(daemon: Daemon, jid: str, password: bytes) -> bytes:
    """What ejabberd's program answers."""
    local, _, domain = jid.partition("@")
    return extauth(daemon, b"tryregister", local.encode(), domain.encode(), password)


def test_service_account_that_may_only_search_registers_nobody(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """Who asks learns that it is not done, and the log why."""
    jid = f"denied-newcomer@{DENIED}"
    newcomer = visitors.connect(ad_server, DENIED)
    found = newcomer.register("set", username="denied-newcomer", password=secret("denied").decode())
    assert found not in ("result", "")
    assert last(ad_daemon, jid) == ("register", "unavailable", "directory_refused")
    assert user_exists(ad_daemon, jid) == NO


def test_somebody_registers_and_is_a_user_at_once(
    ad_server: Server,
    visitors: Visitors,
    ad_daemon: Daemon,
    ad: SambaAd,
    request: pytest.FixtureRequest,
) -> None:
    """Below `new_users`, with both names; once."""
    name = "newcomer-" + request.node.callspec.params["ad_server"]
    jid, password = f"{name}@{CHANGES}", secret("newcomer")
    assert user_exists(ad_daemon, jid) == NO
    assert check_password(ad_daemon, jid, password) == NO
    newcomer = visitors.connect(ad_server, CHANGES)
    found = newcomer.register("set", username=name, password=password.decode())
    assert found == "result"
    assert last(ad_daemon, jid) == ("register", "accepted", "user_registered")
    assert visitors.enter(ad_server, jid, password).jid == f"{jid}/tests"
    assert visitors.login(ad_server, jid, secret("wrong-password")) == REFUSED
    assert user_exists(ad_daemon, jid) == YES
    entry = ad.read(f"CN={name},{NEWCOMERS}", "sAMAccountName", "userPrincipalName")
    assert entry == {"sAMAccountName": name, "userPrincipalName": jid}
    again = visitors.connect(ad_server, CHANGES)
    other = secret("another-newcomer")
    assert again.register("set", username=name, password=other.decode()) == "conflict"
    assert visitors.login(ad_server, jid, other) == REFUSED
    assert visitors.login(ad_server, jid, password) == SESSION


@pytest.mark.parametrize("name", ["zo ë", "Новичок", "d'arc & (co)"])
def test_name_of_who_registers_may_hold_what_the_directory_allows(
    ad_daemon: Daemon, ad: SambaAd, name: str
) -> None:
    """Escaped in the JID, and as it is in the directory."""
    newcomer = Account(name, secret("special-newcomer"))
    jid = of(newcomer, CHANGES)
    assert register(ad_daemon, jid, newcomer.password) == DONE
    assert check_password(ad_daemon, jid, newcomer.password) == YES
    assert user_exists(ad_daemon, jid) == YES


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("alice", "user_exists"),
        ("administrator", "user_exists"),
        (DISABLED.local, "user_exists"),
        ("dc1$", "user_exists"),
        (r"domain\20users", "user_exists"),
    ],
)
def test_name_of_who_is_there_is_not_registered(
    ad_daemon: Daemon, ad: SambaAd, name: str, reason: str
) -> None:
    """Wherever in the domain, usable or not, a person or not."""
    jid, password = f"{name}@{CHANGES}", secret("taken")
    assert register(ad_daemon, jid, password) != DONE
    assert last(ad_daemon, jid) == ("register", "rejected", reason)
    assert check_password(ad_daemon, jid, password) == NO


@pytest.mark.parametrize("name", ["a*b", "a=b", "a+b", "a;b", "a,b", "a|b", "a[b", "a?b"])
def test_name_that_the_directory_does_not_allow_is_not_registered(
    ad_daemon: Daemon, ad: SambaAd, name: str
) -> None:
    """It is the mistake of who registers: there is nothing to repair, and nothing to try again."""
    jid, password = f"{name}@{CHANGES}", secret("not-allowed")
    assert register(ad_daemon, jid, password) != DONE
    assert last(ad_daemon, jid) == ("register", "rejected", "user_malformed")
    assert user_exists(ad_daemon, jid) == NO


def test_name_is_registered_once_however_many_want_it(ad_daemon: Daemon, ad: SambaAd) -> None:
    """At once, each with a password of his own: one of these is the user's."""
    jid = f"wanted@{CHANGES}"
    passwords = [secret(f"wanted-{number}") for number in range(8)]
    with ThreadPoolExecutor(len(passwords)) as at_once:
        answers = list(at_once.map(lambda password: register(ad_daemon, jid, password), passwords))
    assert answers.count(DONE) == 1
    letting_in = [check_password(ad_daemon, jid, password) == YES for password in passwords]
    assert letting_in == [answer == DONE for answer in answers]


def test_registration_with_a_password_that_the_policy_refuses_makes_nobody(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """Nor half a user."""
    name = "short-lived"
    ad.replace(BASE, "minPwdLength", "14")
    try:
        newcomer = visitors.connect(ad_server, CHANGES)
        found = newcomer.register("set", username=name, password=secret("")[:13].decode())
    finally:
        ad.replace(BASE, "minPwdLength", "0")
    assert found not in ("result", "")
    jid = f"{name}@{CHANGES}"
    assert last(ad_daemon, jid) == ("register", "rejected", "password_unacceptable")
    assert user_exists(ad_daemon, jid) == NO
