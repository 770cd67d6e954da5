"""Two servers, and somebody else in the place of the first: StartTLS that comes to nothing, a
certificate of another authority.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import NO, YES
from .canary import secret
from .directory import ALICE, BOB, Account
from .fault_proxy import FaultProxies, FaultProxy
from .faults import ClearText, Fault, Instead, Mute, Slam, answers
from .ldap_messages import BIND_RESPONSE, BINDS, START_TLS, Message, result
from .pki import Pki, make_pki
from .ports import free_port
from .two_servers import MORE_PEOPLE, OUTAGE, Domain, Domains, running_slapds
from .waiting import wait_until

STRIPPED: Mapping[str, Fault] = {
    "refused": answers(2, START_TLS),
    "unavailable": answers(52, START_TLS),
    "silent": Mute(START_TLS),
    "clear": ClearText(),
    "injected": ClearText(at_once=True),
}


def flipped(request: Message, reply: Message) -> bytes:
    """Everybody is let in."""
    return result(request.number, BIND_RESPONSE, 0)


FLIP = Instead(flipped, BINDS)


@dataclass(frozen=True)
class Installation:
    """A daemon with domains of all sorts."""

    domains: Mapping[str, Domain]
    #: Have a certificate of another authority.
    attackers: Mapping[str, FaultProxy]


@pytest.fixture(scope="module")
def installed(workspace: Path, directory_pki: Pki) -> Iterator[Installation]:
    """Everything running."""
    folder = workspace / "failover-links"
    others = make_pki(folder / "other", ["localhost"], ["127.0.0.1"])
    nobody = f"ldaps://127.0.0.1:{free_port()}"
    with (
        running_slapds(folder, directory_pki, MORE_PEOPLE) as slapds,
        FaultProxies() as proxies,
    ):
        new = Domains(folder / "daemon", slapds, directory_pki, proxies)
        second = slapds.second.tls_url
        for name in STRIPPED:
            new.add(f"{name}.stripped", new.proxy(start_tls=True), second)
            new.add(f"{name}.alone", new.proxy(start_tls=True), nobody)
        attackers = {
            name: proxies.before(slapds.first.port, others, start_tls=name == "starttls")
            for name in ("ldaps", "starttls")
        }
        for name, attacker in attackers.items():
            new.add(f"{name}.attacked", attacker, second)
            new.add(f"{name}.alone", attacker)
            new.add(f"{name}.fooled", attacker, ca_file=others.ca)
        daemon, domains = new.daemon()
        daemon.start()
        try:
            yield Installation(domains, attackers)
        finally:
            daemon.stop()


def test_no_password_is_sent_where_starttls_comes_to_nothing(installed: Installation) -> None:
    """Neither a user's nor the service account's; the second server is asked."""

    def try_with(name: str, people: Sequence[Account]) -> None:
        try:
            strip(installed, name, people)
        except Exception as error:
            error.add_note(f"with StartTLS {name!r}")
            raise

    people = [MORE_PEOPLE[at : at + 4] for at in range(0, len(MORE_PEOPLE), 4)]
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(try_with, STRIPPED, people))


def strip(installed: Installation, name: str, people: Sequence[Account]) -> None:
    """Try one of STRIPPED, with four people."""
    pair, alone = installed.domains[f"{name}.stripped"], installed.domains[f"{name}.alone"]
    right, wrong, nobody, neither = people
    assert pair.at_once(right, wrong) == (YES, NO)
    # What is looked for below would be found.
    assert right.password in pair.proxy.received
    for domain in (pair, alone):
        domain.proxy.do(Slam())
        domain.proxy.received = b""
        domain.proxy.do(STRIPPED[name])
    with ThreadPoolExecutor() as at_once:
        through_second = at_once.submit(pair.at_once, right, wrong)
        assert alone.at_once(nobody, neither) == (OUTAGE, OUTAGE)
        assert through_second.result() == (YES, NO)
    service = pair.slapds.first.service_password
    for domain in (pair, alone):
        wait_until(lambda domain=domain: domain.proxy.received, "StartTLS is asked for")
        for password in (service, right.password, nobody.password, b"wrong-password"):
            assert password not in domain.proxy.received


@pytest.mark.parametrize("name", ["ldaps", "starttls"])
def test_who_lets_everybody_in_has_to_show_a_certificate_first(
    installed: Installation, name: str
) -> None:
    """Who has none of the directory's authority sees no password, and is not believed."""
    attacker = installed.attackers[name]
    attacker.do(FLIP)
    domain, alone, fooled = (
        installed.domains[f"{name}.{kind}"] for kind in ("attacked", "alone", "fooled")
    )
    assert domain.at_once(ALICE, BOB) == (YES, NO)
    assert alone.at_once(ALICE, BOB) == (OUTAGE, OUTAGE)
    assert attacker.came
    assert attacker.requests == []
    for password in (domain.slapds.first.service_password, ALICE.password, b"wrong-password"):
        assert password not in attacker.received
    # With such a certificate there would be no help.
    assert fooled.check(BOB, secret("wrong-password")) == YES
    assert b"wrong-password" in attacker.received
