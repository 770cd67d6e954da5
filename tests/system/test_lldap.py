"""Logins and password changes with LLDAP, or what stands in for it here."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret
from .changing import CHANGED, NOT_DONE, UNAVAILABLE, Changes, new_password
from .daemon import Daemon, write_private
from .lldap import BASE, PEOPLE, SERVICE, Lldap, User, running_lldap
from .pki import Pki
from .places import allow_changes, checker
from .test_directory_explained import steps

DOMAIN, STAFF, SEARCHING = "lldap.example", "staff.lldap.example", "searching.lldap.example"
LOST = "lost.lldap.example"

ALICE = User("alice", secret("wonderland"), ("xmpp-staff.lldap.example", "a, b"))
BOB = User("bob", secret("builder:with:colons"), ("other",))
CELIK = User("çelik", secret("pässwörd ✓"), ("xmpp-lldap.example",))


@dataclass(frozen=True)
class Installed:
    """The directory, and who asks it."""

    lldap: Lldap
    daemon: Daemon

    def check(self, user: User, domain: str = DOMAIN, password: bytes | None = None) -> bool:
        """Whether he is let in."""
        octets = user.password if password is None else password
        return check_password(self.daemon, f"{user.uid}@{domain}", octets) == YES

    def said(self, user: User, domain: str = DOMAIN) -> tuple[str, str]:
        """Verdict and reason of his last login."""
        return said(self.daemon, f"{user.uid}@{domain}")


@pytest.fixture(scope="module")
def shared(workspace: Path, directory_pki: Pki) -> Iterator[Installed]:
    """All of it; tests take `installed`."""
    folder = workspace / "lldap"
    service = User("authbridge", secret("service"))
    password_file = folder / "service"
    write_private(password_file, service.password + b"\n")
    with running_lldap([service, ALICE, BOB, CELIK], directory_pki) as lldap:
        settings: dict[str, object] = {
            "preset": "lldap",
            "bind_dn": SERVICE,
            "base": PEOPLE,
            "ca_file": directory_pki.ca,
            "bind_password_file": password_file,
        }
        group = f"cn=xmpp-{{domain}},ou=groups,{BASE}"
        changes: dict[str, dict[str, object]] = {
            DOMAIN: {},
            STAFF: {"require_groups": [group], "writes": None},
            LOST: {"base": f"ou=ghosts,{BASE}"},
        }
        others = {
            domain: checker(domain, lldap.url, **{**settings, **changed})
            for domain, changed in changes.items()
        }
        daemon = Daemon(folder / "daemon", (), others=others)
        allow_changes(daemon)
        daemon.start()
        yield Installed(lldap, daemon)
        daemon.stop()


@pytest.fixture
def installed(shared: Installed) -> Iterator[Installed]:
    """All of it, and its database well again afterwards."""
    yield shared
    shared.lldap.broken = False


@pytest.mark.parametrize("user", [ALICE, BOB, CELIK], ids=lambda user: user.uid)
def test_user_logs_in_with_his_password_alone(installed: Installed, user: User) -> None:
    """In whatever case his name is."""
    assert installed.check(user)
    assert installed.said(user) == ("accepted", "password_matches")
    assert check_password(installed.daemon, f"{user.uid.upper()}@{DOMAIN}", user.password) == YES
    assert not installed.check(user, password=secret("wrong-password"))
    assert installed.said(user) == ("rejected", "password_mismatch")
    assert user_exists(installed.daemon, f"{user.uid}@{DOMAIN}") == YES


def test_unknown_user_is_unknown(installed: Installed) -> None:
    """Nothing is bound."""
    mark = len(installed.lldap.binds)
    assert check_password(installed.daemon, f"nobody@{DOMAIN}", secret("nobodys")) == NO
    assert said(installed.daemon, f"nobody@{DOMAIN}") == ("rejected", "user_unknown")
    assert user_exists(installed.daemon, f"nobody@{DOMAIN}") == NO
    assert set(installed.lldap.binds[mark:]) <= {SERVICE}


def test_member_of_the_domains_group_is_let_in_and_nobody_else(installed: Installed) -> None:
    """One group for each domain, of one checker; who is in none is no outage."""
    assert installed.check(ALICE, STAFF)
    for user in (BOB, CELIK):
        assert not installed.check(user, STAFF)
        assert installed.said(user, STAFF) == ("rejected", "not_in_group")
        assert user_exists(installed.daemon, f"{user.uid}@{STAFF}") == NO


def test_refused_password_leaves_nothing_behind(installed: Installed) -> None:
    """LLDAP goes on with whoever was bound before; the next answer is about its own password."""
    for _ in range(20):
        assert installed.check(ALICE)
        assert not installed.check(BOB, password=secret("wrong-password"))
        assert not installed.check(ALICE, password=BOB.password)
        assert installed.check(BOB)


def test_wrong_base_is_told_by_nobody(installed: Installed) -> None:
    """To LLDAP there is just nobody below it."""
    assert not installed.check(ALICE, LOST)
    assert installed.said(ALICE, LOST) == ("rejected", "user_unknown")


def test_password_is_changed(installed: Installed) -> None:
    """The new one logs in, and the old one does not."""
    old, new = BOB.password, new_password()
    changes = Changes(installed.daemon)
    assert changes.set_password("http", f"bob@{DOMAIN}", old, new) == CHANGED["http"]
    assert BOB.password == new
    assert installed.check(BOB)
    assert not installed.check(BOB, password=old)
    assert changes.set_password("http", f"bob@{STAFF}", new, old) == NOT_DONE
    assert changes.set_password("http", f"ghost@{DOMAIN}", new, old) == "403 user_unknown"
    assert changes.register("http", f"newcomer@{DOMAIN}", new) == NOT_DONE


def test_failed_change_is_a_failure(installed: Installed) -> None:
    """It says 80 of whatever it was."""
    old, new = ALICE.password, new_password()
    installed.lldap.broken = True
    told = Changes(installed.daemon).set_password("http", f"alice@{DOMAIN}", old, new)
    assert told == UNAVAILABLE
    assert installed.said(ALICE) == ("unavailable", "directory_failed")
    assert ALICE.password == old


def test_login_is_explained(installed: Installed) -> None:
    """With the group that lets in."""
    told = explain(installed.daemon, f"alice@{STAFF}", ALICE.password)
    assert told.returncode == 0
    assert steps(told.stdout)["bind"] == f"{ALICE.dn}: 0 success"
    assert f"memberof: cn=xmpp-{STAFF},ou=groups,{BASE}: a member" in told.stdout


@pytest.mark.parametrize("clear", [False, True], ids=["starttls", "clear"])
def test_directory_that_knows_no_starttls_is_sent_no_password(
    workspace: Path, directory_pki: Pki, clear: bool
) -> None:
    """But where that is allowed, unencrypted; the administrator is told what it has."""
    folder = workspace / f"lldap-{clear}"
    service = User("authbridge", secret("service"))
    write_private(folder / "service", service.password + b"\n")
    with running_lldap([service, ALICE], None) as lldap:
        table = checker(
            DOMAIN,
            lldap.url,
            preset="lldap",
            bind_dn=SERVICE,
            base=PEOPLE,
            ca_file=None if clear else directory_pki.ca,
            bind_password_file=folder / "service",
            insecure_clear_text=clear,
        )
        told = probe(Daemon(folder / "daemon", (), others={DOMAIN: table}))
    if clear:
        assert told.returncode == 0, told.stdout + told.stderr
        assert lldap.binds == [SERVICE]
    else:
        assert told.returncode == 2
        assert f"{lldap.url} has no StartTLS; ldaps:// is what it has" in told.stderr
        assert lldap.binds == []
