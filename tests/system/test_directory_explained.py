"""What `authbridge explain` and `check-config --probe` tell an administrator of his directory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import explain, probe
from .canary import secret
from .daemon import Daemon, write_private
from .directory import (
    ALICE,
    BASE,
    BOB,
    CAROL,
    DOMAIN,
    DOUBLE,
    EXPIRED,
    GONE,
    GRACE,
    LOCKED,
    MUST_RESET,
    OTHER_DOUBLE,
    PEOPLE,
    SERVICE,
    SPECIAL,
    Account,
    checker,
    group_dn,
)
from .pki import Pki, make_pki
from .slapd import Slapd
from .test_directory_users import member

FILTER = "(objectClass=inetOrgPerson)"
GROUP = group_dn("xmpp-users")


def steps(text: str) -> dict[str, str]:
    """The steps that are told of a login: name to what was found, the last of a name."""
    told = (line[2:] for line in text.partition("\nUser:")[0].splitlines() if line[:2] == "  ")
    return {line[:16].strip(): line[16:].strip() for line in told}


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (ALICE, "0 success"),
        (LOCKED, "account locked"),
        (MUST_RESET, "change after reset"),
        (EXPIRED, "password expired"),
        (GRACE, "grace logins are left"),
        (GONE, "the account has expired"),
    ],
    ids=lambda value: value.uid if isinstance(value, Account) else "",
)
def test_login_is_explained_with_what_the_directory_said_of_the_account(
    daemon: Daemon, slapd: Slapd, account: Account, words: str
) -> None:
    """Server, certificate, service account, search and entry, bind; the status is the verdict."""
    told = explain(daemon, account.jid, account.password)
    assert told.returncode == (0 if account.accepted else 1)
    assert account.right in told.stdout
    assert words in told.stdout
    found = steps(told.stdout)
    assert slapd.tls_url in found["connection"]
    assert "localhost, 127.0.0.1" in found["connection"]
    assert SERVICE in found["service bind"]
    assert f"(uid={account.uid})" in found["search"]
    assert PEOPLE in found["search"]
    assert account.dn in found["found"]


def test_filter_and_dn_are_shown_as_they_are_sent(daemon: Daemon, slapd: Slapd) -> None:
    """With what is escaped in them."""
    found = steps(explain(daemon, SPECIAL.jid, SPECIAL.password).stdout)
    assert r"(uid=o'brien, pat\2a\28x\29\5cy)" in found["search"]
    assert rf"uid=o'brien\2C pat*(x)\5Cy,{PEOPLE}: 0 success" in found["bind"]


def test_wrong_password_is_told_from_an_unknown_and_an_ambiguous_user(
    daemon: Daemon, slapd: Slapd
) -> None:
    """By what the directory said."""
    told = explain(daemon, BOB.jid, secret("wrong-password"))
    assert (told.returncode, steps(told.stdout)["bind"]) == (1, f"{BOB.dn}: 49 invalidCredentials")
    told = explain(daemon, f"nobody@{DOMAIN}", secret("nobodys"))
    assert told.returncode == 1
    assert "no entry" in steps(told.stdout)["found"]
    told = explain(daemon, DOUBLE.jid, DOUBLE.password)
    assert told.returncode == 1
    assert DOUBLE.dn in steps(told.stdout)["found"]
    assert OTHER_DOUBLE.dn in steps(told.stdout)["found"]


def test_groups_are_explained_one_by_one(daemon: Daemon, slapd: Slapd) -> None:
    """Up to the one that lets in."""
    told = explain(daemon, member(CAROL), CAROL.password)
    assert told.returncode == 1
    for name in ("xmpp-users", "café"):
        assert f"{group_dn(name)}: no member" in told.stdout
    told = explain(daemon, member(SPECIAL), SPECIAL.password)
    assert told.returncode == 0
    assert f"{group_dn('café')}: a member" in told.stdout


def test_outage_is_explained(daemon: Daemon, slapd: Slapd) -> None:
    """With the server that was tried, and what came of it."""
    slapd.stop()
    told = explain(daemon, ALICE.jid, ALICE.password)
    assert told.returncode == 3
    assert "directory_unreachable" in told.stdout
    assert f"{slapd.tls_url}: connection refused" in told.stdout


def test_password_is_nowhere_in_what_is_explained(daemon: Daemon, slapd: Slapd) -> None:
    """Neither the user's nor the service account's."""
    told = explain(daemon, ALICE.jid, ALICE.password)
    for password in (ALICE.password, slapd.service_password):
        assert password.decode() not in told.stdout + told.stderr


@dataclass(frozen=True)
class Configured:
    """A configuration that no daemon is started with, and its directory."""

    daemon: Daemon
    slapd: Slapd

    def change(self, old: object, new: object) -> None:
        """Another setting in the configuration."""
        text = self.daemon.configuration.read_text()
        assert str(old) in text
        changed = text.replace(str(old), str(new))
        write_private(self.daemon.configuration, changed.encode())


@pytest.fixture
def configured(
    workspace: Path, directory_pki: Pki, request: pytest.FixtureRequest
) -> Iterator[Configured]:
    """With everything right."""
    folder = workspace / f"probed{len(list(workspace.glob('probed*')))}"
    slapd = Slapd(folder / "slapd", directory_pki)
    slapd.start()
    table = checker(
        DOMAIN,
        "corp",
        slapd.tls_url,
        ca_file=directory_pki.ca,
        bind_password_file=slapd.service_password_file,
        filter=FILTER,
        require_groups=[GROUP],
        timeout="25s",
    )
    daemon = Daemon(folder / "daemon", (), others={DOMAIN: table})
    yield Configured(daemon, slapd)
    slapd.restore()
    slapd.stop()


def test_probe_tells_of_all_that_was_tried(configured: Configured) -> None:
    """Server, certificate, bind, base, filter, groups."""
    told = probe(configured.daemon)
    assert told.returncode == 0, told.stdout + told.stderr
    for words in (
        configured.slapd.tls_url,
        "certificate for localhost, 127.0.0.1",
        SERVICE,
        PEOPLE,
        FILTER,
        GROUP,
    ):
        assert words in told.stdout


def _other_authority(configured: Configured) -> None:
    stranger = make_pki(configured.daemon.folder / "tls", ["localhost"], authority="stranger").ca
    (ca_file,) = [
        line
        for line in configured.daemon.configuration.read_text().splitlines()
        if "ca_file" in line
    ]
    configured.change(ca_file, f'ca_file = "{stranger}"')


def _hung(configured: Configured) -> None:
    configured.change('timeout = "25s"', 'timeout = "1s"')
    configured.slapd.pause()


def _wrong_password(configured: Configured) -> None:
    configured.slapd.give_service_password(secret("mistyped"))


#: What may be wrong, and the words that lead to it.
MISTAKES: dict[str, tuple[Callable[[Configured], object], str]] = {
    "stopped": (lambda installed: installed.slapd.stop(), "connection refused"),
    "hung": (_hung, "in 1 s"),
    "certificate": (_other_authority, "authority"),
    "service-password": (_wrong_password, f"service account {SERVICE}"),
    "service-dn": (
        lambda installed: installed.change(SERVICE, f"cn=ghost,{BASE}"),
        f"service account cn=ghost,{BASE}",
    ),
    "base": (
        lambda installed: installed.change(PEOPLE, f"ou=ghosts,{BASE}"),
        f"ou=ghosts,{BASE}: 32 noSuchObject",
    ),
    "filter": (lambda installed: installed.change(FILTER, "(uid=ghost)"), "(uid=ghost)"),
    "group": (
        lambda installed: installed.change(GROUP, group_dn("ghosts")),
        f"{group_dn('ghosts')}: 32 noSuchObject",
    ),
    "host": (
        lambda installed: installed.change("ldaps://127.0.0.1", "ldaps://ghost.invalid"),
        "cannot be resolved",
    ),
    "clear-port": (
        lambda installed: installed.change(installed.slapd.tls_port, installed.slapd.port),
        "in place of TLS",
    ),
}


@pytest.mark.parametrize(("mistake", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_probe_fails_with_words_that_lead_to_the_mistake(
    configured: Configured, mistake: Callable[[Configured], object], words: str
) -> None:
    """3, as what it names does not answer."""
    mistake(configured)
    told = probe(configured.daemon)
    assert told.returncode == 3, told.stdout + told.stderr
    assert words in told.stdout
