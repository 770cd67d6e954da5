"""A first server that answers, and is not fit to: half configured, or read-only."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import NO, YES, probe
from .daemon import Daemon
from .directory import ALICE, BOB, CAROL, CROWD, CROWD_PEOPLE, PEOPLE, SERVICE, Account, checker
from .fault_proxy import FaultProxies
from .pki import Pki, make_pki
from .slapd import Slapd
from .two_servers import TIMEOUT, Domain, Domains, Slapds, running_slapds
from .waiting import wait_until


@dataclass(frozen=True)
class Unfit:
    """A first server, and what is wrong with it."""

    #: What `check-config --probe` says of it.
    words: str
    scheme: str = "ldaps"
    #: Whether its certificate is of another authority; None where it knows no TLS.
    stranger: bool | None = False
    #: LDIF that takes away what the second server has.
    without: str = ""
    #: What is asked of it, and who is there.
    base: str = PEOPLE
    right: Account = ALICE
    wrong: Account = BOB


NO_ACCOUNT = "no-service-account"
UNFIT: Mapping[str, Unfit] = {
    "certificate": Unfit("authority", stranger=True),
    "no-starttls": Unfit("refuses StartTLS", "ldap", stranger=None),
    "no-base": Unfit(
        "noSuchObject",
        without=f"dn: {CROWD}\nchangetype: modrdn\nnewrdn: ou=elsewhere\ndeleteoldrdn: 1\n",
        base=CROWD,
        right=CROWD_PEOPLE[0],
        wrong=CROWD_PEOPLE[1],
    ),
    NO_ACCOUNT: Unfit("invalidCredentials", without=f"dn: {SERVICE}\nchangetype: delete\n"),
}


def make_first(
    folder: Path, unfit: Unfit, service_password: bytes, pki: Pki, strangers: Pki
) -> Slapd:
    """The first server, running."""
    first = Slapd(folder, {None: None, True: strangers, False: pki}[unfit.stranger])
    first.service_password = service_password
    first.start()
    if unfit.without:
        first.modify(unfit.without)
    return first


@pytest.fixture(scope="module")
def domains(workspace: Path, directory_pki: Pki) -> Iterator[Mapping[str, Domain]]:
    """One for each first server, all with the same second one, in a daemon that runs."""
    folder = workspace / "unfit"
    strangers = make_pki(folder / "strangers", ["localhost"], ["127.0.0.1"])
    firsts: dict[str, Slapd] = {}
    tables: dict[str, str] = {}
    with ExitStack() as ends:
        second = Slapd(folder / "second", directory_pki)
        second.start()
        ends.callback(second.stop)
        for name, unfit in UNFIT.items():
            first = firsts[name] = make_first(
                folder / name, unfit, second.service_password, directory_pki, strangers
            )
            ends.callback(first.stop)
            url = first.url if unfit.scheme == "ldap" else first.tls_url
            tables[f"{name}.example"] = checker(
                f"{name}.example",
                name,
                url,
                servers=[url, second.tls_url],
                base=unfit.base,
                ca_file=directory_pki.ca,
                bind_password_file=second.service_password_file,
                timeout=TIMEOUT,
            )
        daemon = Daemon(folder / "daemon", (), others=tables)
        found = {
            name: Domain(f"{name}.example", daemon, Slapds(first, second), ())
            for name, first in firsts.items()
        }
        # One refusal alone would be the end: the password could be wrong. So another server has
        # accepted it before.
        firsts[NO_ACCOUNT].stop()
        daemon.start()
        ends.callback(daemon.stop)
        assert found[NO_ACCOUNT].at_once(ALICE, BOB) == (YES, NO)
        firsts[NO_ACCOUNT].start()
        yield found


@pytest.mark.parametrize("name", UNFIT)
def test_logins_go_through_the_second_server(domains: Mapping[str, Domain], name: str) -> None:
    """All of them, and without the first one's ever seeing a password of theirs."""
    domain, unfit = domains[name], UNFIT[name]
    mark = domain.slapds.mark()
    for _ in range(3):
        assert domain.at_once(unfit.right, unfit.wrong) == (YES, NO)
    for account in (unfit.right, unfit.wrong):
        assert domain.slapds.binds(mark, account) == (0, 3)


def test_server_without_the_service_account_is_not_asked_again_and_again(
    domains: Mapping[str, Domain],
) -> None:
    """It would take that for somebody who guesses passwords."""
    domain = domains[NO_ACCOUNT]
    first = domain.slapds.first
    wait_until(lambda: first.binds().count(SERVICE) == 1, "the service account is refused")
    for _ in range(20):
        assert domain.right(ALICE) == YES
        assert domain.exists(BOB) == YES
    assert first.binds().count(SERVICE) == 1


@pytest.fixture(scope="module")
def told(domains: Mapping[str, Domain]) -> str:
    """What `check-config --probe` says."""
    found = probe(domains[NO_ACCOUNT].daemon)
    assert found.returncode == 3
    return found.stdout


@pytest.mark.parametrize("name", UNFIT)
def test_probe_says_which_server_has_what(
    domains: Mapping[str, Domain], told: str, name: str
) -> None:
    """Under the checker's name: the first server's fault, and that the second is well."""
    unfit, slapds = UNFIT[name], domains[name].slapds
    _, _, found = told.partition(f"[checkers.{name}]")
    found = found.partition("[checkers.")[0]
    first, _, second = found.partition(slapds.second.tls_url)
    assert (slapds.first.url if unfit.scheme == "ldap" else slapds.first.tls_url) in first
    assert unfit.words in first
    assert "found" in second


def test_read_only_server_is_a_server(workspace: Path, directory_pki: Pki) -> None:
    """Nothing is written at a login."""
    folder = workspace / "read-only"
    with (
        running_slapds(folder, directory_pki) as slapds,
        FaultProxies() as proxies,
    ):
        new = Domains(folder / "daemon", slapds, directory_pki, proxies)
        new.add("read-only.example", slapds.first.tls_url, slapds.second.tls_url)
        daemon, domains = new.daemon()
        slapds.first.stop()
        configuration = slapds.first.folder / "slapd.conf"
        text = configuration.read_text()
        assert text.count("database mdb\n") == 1
        configuration.write_text(text.replace("database mdb\n", "database mdb\nreadonly on\n"))
        slapds.first.start()
        with pytest.raises(AssertionError, match="unwilling to perform"):
            slapds.first.give_password(CAROL, CAROL.password)
        daemon.start()
        try:
            domain = domains["read-only.example"]
            mark = slapds.mark()
            for _ in range(3):
                assert domain.at_once(ALICE, BOB) == (YES, NO)
            assert slapds.binds(mark, ALICE) == slapds.binds(mark, BOB) == (3, 0)
        finally:
            daemon.stop()
