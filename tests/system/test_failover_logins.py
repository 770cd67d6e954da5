"""Two directories under real XMPP servers: one of them away, both, and neither any more."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import said
from .canary import secret
from .directory import ALICE, BOB, Account
from .ejabberd import Ejabberd
from .fault_proxy import FaultProxies
from .faults import PASS, Fault, Instead, Refuse, answers
from .pki import Pki, make_pki
from .prosody import Prosody
from .slapd import Slapd
from .test_failover import garbage
from .two_servers import RECOVERY, Domain, Domains, running_slapds
from .visitors import Server, Visitors
from .waiting import wait_until
from .xmpp import SESSION

REFUSED = "not-authorized"
FAULTS: Mapping[str, Fault] = {
    "refuse": Refuse(),
    "busy": answers(51),
    "garbage": Instead(garbage),
}
DIRECT = "direct.example"


@dataclass(frozen=True)
class Installation:
    """A daemon with a domain for each fault, and the XMPP servers that ask it."""

    domains: Mapping[str, Domain]
    servers: Mapping[str, Server]
    ca: Path


def domain_of(name: str, server: str) -> str:
    """Where a fault is tried with a server."""
    return f"{name}.{server}.example"


@pytest.fixture(scope="module")
def installed(workspace: Path, directory_pki: Pki) -> Iterator[Installation]:
    """Everything running."""
    folder = workspace / "failover-logins"
    with ExitStack() as ends:
        slapds = ends.enter_context(running_slapds(folder, directory_pki))
        proxies = ends.enter_context(FaultProxies())
        new = Domains(folder / "daemon", slapds, directory_pki, proxies)
        hosts = [domain_of(name, server) for name in FAULTS for server in ("ejabberd", "prosody")]
        for host in hosts:
            new.add(host, new.proxy(), new.proxy(second=True))
        new.add(DIRECT, slapds.first.tls_url, slapds.second.tls_url)
        daemon, domains = new.daemon()
        daemon.start()
        ends.callback(daemon.stop)
        pki = make_pki(folder / "tls", [*hosts, DIRECT])
        ejabberd = Ejabberd(folder / "ejabberd", pki, [*hosts, DIRECT], daemon.extauth_program)
        prosody = Prosody(
            folder / "prosody",
            pki,
            [*hosts, DIRECT],
            daemon.http_auth_url,
            daemon.http_auth_credentials,
        )
        for server in (ejabberd, prosody):
            ends.callback(server.stop)
            server.start()
        yield Installation(domains, {"ejabberd": ejabberd, "prosody": prosody}, pki.ca)


@pytest.fixture
def visitors(installed: Installation) -> Iterator[Visitors]:
    """Whoever logs in."""
    everybody = Visitors(installed.ca)
    yield everybody
    everybody.close()


@dataclass(frozen=True)
class Gate:
    """An XMPP server's way into a domain."""

    domain: Domain
    server: Server
    visitors: Visitors

    def right(self, account: Account) -> str:
        """The outcome of a login with his password."""
        return self.visitors.login(self.server, self.domain.jid(account), account.password)

    def wrong(self, account: Account) -> str:
        """And with another one."""
        jid = self.domain.jid(account)
        return self.visitors.login(self.server, jid, secret("wrong-password"))

    def said(self, account: Account) -> tuple[str, str]:
        """Verdict and reason of the last one."""
        return said(self.domain.daemon, self.domain.jid(account))

    def works(self) -> bool:
        """Whether who should is let in, and who should not is told so."""
        if self.right(ALICE) != SESSION:
            return False
        assert self.wrong(BOB) == REFUSED
        return self.said(BOB) == ("rejected", "password_mismatch")


@pytest.mark.parametrize("name", FAULTS)
def test_users_do_not_notice_one_server_and_are_not_told_lies_of_two(
    installed: Installation, visitors: Visitors, name: str
) -> None:
    """With both away nobody's password is called wrong; then one is back."""

    def try_with(server: str) -> None:
        domain = installed.domains[domain_of(name, server)]
        gate = Gate(domain, installed.servers[server], visitors)
        assert gate.works()
        first, second = domain.proxies
        first.do(FAULTS[name])
        assert gate.works()
        second.do(FAULTS[name])
        for login in (gate.right, gate.wrong):
            assert login(ALICE) == REFUSED
            assert gate.said(ALICE)[0] == "unavailable"
        first.do(PASS)
        wait_until(gate.works, "logins", RECOVERY)
        second.do(PASS)

    with ThreadPoolExecutor() as at_once:
        list(at_once.map(try_with, installed.servers))


@pytest.mark.parametrize(
    ("away", "server"),
    [(Slapd.stop, "prosody"), (Slapd.kill, "ejabberd"), (Slapd.pause, "ejabberd")],
)
def test_either_directory_may_be_away(
    installed: Installation, visitors: Visitors, away: Callable[[Slapd], object], server: str
) -> None:
    """The real one: stopped, killed or hung; the first is used whenever it is there."""
    domain = installed.domains[DIRECT]
    slapds = domain.slapds
    gate = Gate(domain, installed.servers[server], visitors)

    def judged_by() -> tuple[int, int]:
        mark = slapds.mark()
        assert gate.works()
        return slapds.binds(mark, ALICE)

    def first_is_used() -> bool:
        return judged_by() == (1, 0)

    try:
        wait_until(first_is_used, "the first server is used")
        away(slapds.second)
        assert judged_by() == (1, 0)
        slapds.second.restore()
        away(slapds.first)
        assert judged_by() == (0, 1)
        slapds.first.restore()
        wait_until(first_is_used, "the first server is used again", 2 * RECOVERY)
    finally:
        slapds.first.restore()
        slapds.second.restore()
