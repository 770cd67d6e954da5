"""`python -m bench.ldap_profile [bind|search] [plain|tls]`: where authbridge's own CPU goes.

Two views. Layers: the same logins, 16 in flight at the same slapd, by clients that have ever more
of ours in them, in turns; the difference of two is what the layer costs. Samples: every few
milliseconds of CPU time, which function was running; a C function counts for who called it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

from authbridge.client_tls import make_context, read_authorities
from authbridge.ldap import codec, ppolicy
from authbridge.ldap.codec import Inbox, Reply, Scope
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.dialer import Dialer, Direct, Outages
from authbridge.ldap.directory import Directory as Asked
from authbridge.ldap.filters import Template
from authbridge.ldap.names import NameTemplate
from authbridge.ldap.operations import Bind, Conversation, Search
from authbridge.ldap.presets import PRESETS
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import ServiceAccount
from bench.ldap_ours import Driver, make_checker, secret_file
from bench.ldap_threads import ATTRIBUTES, Arguments, Command, Request
from bench.rounds import print_table
from bench.sampling import Sampler, print_samples
from bench.slapd import Directory
from bench.workplace import Workplace

reactor: Any = installed
IN_FLIGHT, SEARCH_CONNECTIONS = 16, 2

Turn = Callable[[float], Awaitable[int]]
"""Log in for so many seconds; how many logins that were."""


class Requests:
    """Who logs in, and the octets to ask with."""

    def __init__(self, given: Arguments, operation: str) -> None:
        self.given = given
        self.search = operation == "search"
        self._logins = given.logins()
        self._numbers = count()
        self._dn = NameTemplate(given.user_dn)
        self._filter = Template(given.filter, "user")
        self._prefix = codec.search_prefix(given.base.encode(), Scope.SUBTREE, 2, 5)
        self._attributes = codec.search_attributes(ATTRIBUTES)

    def next(self) -> Request:
        """The next login."""
        return self._logins[next(self._numbers) % len(self._logins)]

    def search_of(self, login: Request) -> bytes:
        """The search for a user's entry."""
        return self._prefix.request(self._filter.fill(login.user.encode()), self._attributes)

    def dn_of(self, login: Request) -> bytes:
        """The DN without a search."""
        return self._dn.fill(login.user.encode())


def checked(login: Request, code: int) -> None:
    """Every verdict is looked at."""
    if code != (codec.SUCCESS if login.right else codec.INVALID_CREDENTIALS):
        raise RuntimeError(f"{login}: {code}")


def codec_alone(requests: Requests) -> Turn:
    """No network: both requests made, both answers taken apart."""
    dn = requests.given.user_dn.replace("{user}", "user000000").encode()
    name = codec.ber.element(4, b"uid") + codec.ber.element(0x31, codec.ber.element(4, dn[4:14]))
    entry = codec.ber.element(
        codec.SEARCH_ENTRY,
        codec.ber.element(4, dn) + codec.ber.element(0x30, codec.ber.element(0x30, name)),
    )
    plain = b"\x0a\x01\x00\x04\x00\x04\x00"
    found = codec.message(1000, entry) + codec.message(1000, b"\x65\x07" + plain)
    bound = codec.message(1000, b"\x61\x07" + plain)

    async def turn(seconds: float) -> int:
        inbox, logins, end = Inbox(), 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            login = requests.next()
            if requests.search:
                codec.message(1000, requests.search_of(login))
                inbox.feed(found)
            else:
                requests.dn_of(login)
            codec.message(1000, codec.bind_request(dn, login.password.encode(), ppolicy.REQUEST))
            inbox.feed(bound)
            logins += 1
        return logins

    return turn


class Bare(Protocol):
    """The least on Twisted's transport: our codec, a callback for each request, no checks."""

    transport: Any

    def __init__(self) -> None:
        self._inbox = Inbox()
        self._awaited: dict[int, Callable[[Reply], bool]] = {}
        self._numbers = count(1)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def ask(self, request: bytes, take: Callable[[Reply], bool]) -> None:
        """Send it; `take` is called with each reply until it says that it was the last."""
        number = next(self._numbers)
        self._awaited[number] = take
        self.transport.write(codec.message(number, request))

    def dataReceived(self, data: bytes) -> None:
        for reply in self._inbox.feed(data):
            if self._awaited[reply.message_id](reply):
                del self._awaited[reply.message_id]


class Chain:
    """One login after another on bare connections."""

    def __init__(self, requests: Requests, search: Bare, bind: Bare, end: float) -> None:
        self.finished: Deferred[int] = Deferred()
        self._requests, self._search, self._bind, self._end = requests, search, bind, end
        self._logins = 0
        self._begin()

    def _begin(self) -> None:
        if time.perf_counter() >= self._end:
            self.finished.callback(self._logins)
            return
        self._login = self._requests.next()
        if self._requests.search:
            self._search.ask(self._requests.search_of(self._login), self._found)
        else:
            self._log_in(self._requests.dn_of(self._login))

    def _found(self, reply: Reply) -> bool:
        content: Any = reply.content
        if reply.operation == codec.SEARCH_ENTRY:
            self._name = content.dn
            return False
        self._log_in(self._name)
        return True

    def _log_in(self, dn: bytes) -> None:
        password = self._login.password.encode()
        self._bind.ask(codec.bind_request(dn, password, ppolicy.REQUEST), self._bound)

    def _bound(self, reply: Reply) -> bool:
        content: Any = reply.content
        try:
            checked(self._login, content.code)
        except RuntimeError:
            self.finished.errback()
        else:
            self._logins += 1
            self._begin()
        return True


async def bare(requests: Requests, link: str) -> Turn:
    """Callbacks on Twisted's transport."""
    given = requests.given
    server = Server.parse(given.tls if link == "tls" else given.plain)
    endpoint: Any = TCP4ClientEndpoint(reactor, server.host, server.port)
    if link == "tls":
        authority = Certificate.loadPEM(Path(given.certificate_authority).read_bytes())
        trust = trustRootFromCertificates([authority])
        endpoint = wrapClientTLS(optionsForClientTLS(server.host, trustRoot=trust), endpoint)
    factory = Factory.forProtocol(Bare)
    factory.noisy = False
    connections = [await endpoint.connect(factory) for _ in range(SEARCH_CONNECTIONS + IN_FLIGHT)]
    searching, binding = connections[:SEARCH_CONNECTIONS], connections[SEARCH_CONNECTIONS:]
    service = codec.bind_request(given.service_dn.encode(), given.service_password.encode())
    for one in searching:
        bound: Deferred[Reply] = Deferred()
        one.ask(service, lambda reply, bound=bound: bound.callback(reply) or True)
        content: Any = (await bound).content
        checked(Request(given.service_dn, "", True), content.code)

    async def turn(seconds: float) -> int:
        end = time.perf_counter() + seconds
        chains = [
            Chain(requests, searching[number % len(searching)], bind, end).finished
            for number, bind in enumerate(binding)
        ]
        return sum(await gatherResults(chains, consumeErrors=True))

    return turn


async def all_at_once(log_in: Callable[[int, float], Coroutine[Any, Any, int]], end: float) -> int:
    """So many at once, each one after another; how many logins that were."""
    turns = [Deferred.fromCoroutine(log_in(number, end)) for number in range(IN_FLIGHT)]
    return sum(await gatherResults(turns, consumeErrors=True))


async def connection(requests: Requests, link: str) -> Turn:
    """Our connections, operations and conversations; no pool: everybody has a connection."""
    given = requests.given
    deadlines = Deadlines(reactor, 5.0)
    server = Server.parse(given.tls if link == "tls" else given.plain)
    context = make_context(read_authorities(Path(given.certificate_authority)))
    account = ServiceAccount(given.service_dn, secret_file(given), reactor)

    def dialer(who: ServiceAccount | None) -> Dialer:
        safe = context if link == "tls" else None
        return Dialer(safe, PRESETS["openldap"], deadlines, Outages(reactor), reactor, who)

    searcher, binder = dialer(account), dialer(None)
    searching = [Direct(await searcher.reach(server)) for _ in range(SEARCH_CONNECTIONS)]
    binding = [Direct(await binder.reach(server)) for _ in range(IN_FLIGHT)]

    async def once(number: int, login: Request) -> int:
        if requests.search:
            carrier = searching[number % len(searching)]
            search = await Search(requests.search_of(login), carrier, 2)
            dn = search.entries[0].dn
        else:
            dn = requests.dn_of(login)
        request = codec.bind_request(dn, login.password.encode(), ppolicy.REQUEST)
        return (await Bind(request, binding[number])).result.code

    return conversations(requests, once)


async def pools(requests: Requests, link: str) -> Turn:
    """The same through the pools."""
    checker: Any = make_checker(requests.given, "search" if requests.search else "bind", link)
    directory: Asked = checker._directory

    async def once(number: int, login: Request) -> int:
        if requests.search:
            search = await directory.search(requests.search_of(login), 2)
            dn = search.entries[0].dn
        else:
            dn = requests.dn_of(login)
        return (await directory.bind(dn, login.password.encode())).result.code

    return conversations(requests, once)


def conversations(
    requests: Requests, once: Callable[[int, Request], Coroutine[Any, Any, int]]
) -> Turn:
    """A conversation for each login."""

    async def log_in(number: int, end: float) -> int:
        logins = 0
        while time.perf_counter() < end:
            login = requests.next()
            checked(login, await Conversation(once(number, login)).outcome)
            logins += 1
        return logins

    async def turn(seconds: float) -> int:
        return await all_at_once(log_in, time.perf_counter() + seconds)

    return turn


def checker(given: Arguments, operation: str, link: str) -> Turn:
    """All of it, as the tables of `python -m bench ldap` have it."""
    driver = Driver(given)

    async def turn(seconds: float) -> int:
        command = Command(operation, link, IN_FLIGHT, seconds)
        latencies, _, wrong = await driver.turn(command)
        if wrong:
            raise RuntimeError(f"{wrong} wrong verdicts")
        return len(latencies)

    return turn


async def layers(clients: Sequence[tuple[str, Turn]], rounds: int, seconds: float) -> None:
    """Print what each costs, and how much more than the one before."""
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in clients}
    for _, turn in clients:
        await turn(min(seconds, 0.3))
    for number in range(rounds):
        for name, turn in clients if number % 2 == 0 else reversed(clients):
            began, cpu = time.perf_counter(), time.process_time()
            logins = await turn(seconds)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - began
            costs[name].append((cpu * 1e6 / logins, logins / wall))
    rows, before = [], 0.0
    for name, found in costs.items():
        cpu = statistics.median(one for one, _ in found)
        rate = statistics.median(one for _, one in found)
        rows.append((name, f"{rate:,.0f}", f"{cpu:.1f}", f"{cpu - before:+.1f}"))
        before = cpu if name != "codec alone" else 0.0
    print_table("layers", ("", "per s", "CPU µs", "more"), rows)


async def samples(turn: Turn, seconds: float) -> None:
    """Print where the CPU is, in microseconds of one login."""
    began = time.process_time()
    with Sampler() as sampler:
        logins = await turn(seconds)
    cpu = (time.process_time() - began) * 1e6 / logins
    print_samples(f"samples, {logins:,} logins", cpu, sampler.counted())


async def run(given: Arguments, chosen: argparse.Namespace) -> None:
    """Both views."""
    operation, link = chosen.operation, chosen.link
    requests = Requests(given, operation)
    everything = checker(given, operation, link)
    await everything(0.1)
    print(f"\n{operation}, {link}, {IN_FLIGHT} in flight")
    clients = [
        ("codec alone", codec_alone(requests)),
        ("callbacks on Twisted's transport, with the codec", await bare(requests, link)),
        ("connections, operations, conversations", await connection(requests, link)),
        ("pools", await pools(requests, link)),
        ("checker", everything),
    ]
    if chosen.rounds:
        await layers(clients, chosen.rounds, chosen.seconds)
    await samples(everything, chosen.samples)


def main() -> None:
    """Start a slapd, and profile."""
    parser = argparse.ArgumentParser(prog="python -m bench.ldap_profile", description=__doc__)
    parser.add_argument("operation", nargs="?", choices=["bind", "search"], default="search")
    parser.add_argument("link", nargs="?", choices=["plain", "tls"], default="plain")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each layer (9)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn (0.5)")
    parser.add_argument("--samples", type=float, default=10.0, help="seconds of sampling (10)")
    chosen = parser.parse_args()
    failures = []
    with Workplace() as place:
        directory = Directory.start(place)
        if directory is None:
            sys.exit("slapd is not installed")

        def begin() -> None:
            turn = Deferred.fromCoroutine(run(Arguments(*directory.arguments), chosen))
            turn.addErrback(failures.append).addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(begin)
        reactor.run(installSignalHandlers=False)
    if failures:
        failures[0].printTraceback(sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
