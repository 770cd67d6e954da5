"""A name server on loopback, and what `discovery.ask_dns` learns from it; run as a program.

`python -m tests.ldap.name_server` prints, as JSON, the records or the error of each question.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.error import CannotListenError
from twisted.names import dns, error
from twisted.names.common import ResolverBase
from twisted.names.server import DNSServerFactory
from zope.interface import directlyProvides, providedBy

from authbridge.ldap.discovery import ask_dns

reactor: Any = installed
LONG = 40
"""Records of a name that does not fit into a datagram."""


def records(name: str) -> list[dns.RRHeader]:
    """What there is under a name."""

    def record(number: int, ttl: int = 600) -> dns.RRHeader:
        target = f"dc{number}.{name.partition('._tcp.')[2]}"
        payload = dns.Record_SRV(priority=number, weight=100, port=389, target=target)
        return dns.RRHeader(name, dns.SRV, ttl=ttl, payload=payload, auth=True)

    if name.endswith("one.test"):
        return [record(1)]
    if name.endswith("two.test"):
        # Not everything in an answer is a record that was asked for.
        alias = dns.RRHeader(name, dns.CNAME, ttl=5, payload=dns.Record_CNAME("elsewhere.test"))
        return [alias, record(2, 30), record(1, 7)]
    if name.endswith("root.test"):
        payload = dns.Record_SRV(priority=0, weight=0, port=0, target="")
        return [dns.RRHeader(name, dns.SRV, ttl=600, payload=payload, auth=True)]
    return [record(number) for number in range(LONG)]


class Zone(ResolverBase):  # type: ignore[misc]
    """Knows SRV records."""

    def lookupService(self, name: bytes, timeout: Any = None) -> Deferred[Any]:
        text = name.decode()
        if text.endswith("nobody.test"):
            return fail(error.DomainError(name))
        if text.endswith("broken.test"):
            return fail(RuntimeError("the zone cannot be read"))
        if text.endswith("empty.test"):
            return succeed(([], [], []))
        return succeed((records(text), [], []))


class Factory(DNSServerFactory):  # type: ignore[misc]
    """Answers; what is too long for a datagram is cut, and marked so."""

    noisy = False
    streams = 0
    """Answers over TCP."""

    def sendReply(self, protocol: Any, message: Any, address: Any) -> None:
        if address is None:
            message.maxSize = 0
            Factory.streams += 1
        elif len(message.answers) > 10:
            message.trunc, message.answers = 1, []
        super().sendReply(protocol, message, address)


class Call:
    """What is to be called after some seconds, and some turns of the reactor."""

    TURNS = 50

    def __init__(self, seconds: float, call: Callable[[], Any]) -> None:
        self._call = call
        self._turns = self.TURNS
        self._next = reactor.callLater(seconds, self._turn)

    def _turn(self) -> None:
        self._turns -= 1
        if self._turns:
            self._next = reactor.callLater(0, self._turn)
        else:
            self._call()

    def active(self) -> bool:
        return bool(self._next.active())

    def cancel(self) -> None:
        self._next.cancel()


class Patient:
    """The reactor, with deadlines that do not come before what has already been sent: after a
    machine has stood still they would all be over, and server and client had no turn yet."""

    def __init__(self) -> None:
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def callLater(self, seconds: float, call: Any, *given: Any, **named: Any) -> Call:
        return Call(seconds, lambda: call(*given, **named))


async def ask(name: str, servers: list[tuple[str, int]]) -> Any:
    try:
        return await ask_dns(Patient(), servers)(name)
    except Exception as failed:
        return type(failed).__name__


async def listen(factory: Factory) -> tuple[Any, Any]:
    """On one port for streams and datagrams: one that is free for both."""
    while True:
        stream = reactor.listenTCP(0, factory, interface="127.0.0.1")
        port, protocol = stream.getHost().port, dns.DNSDatagramProtocol(factory)
        try:
            return stream, reactor.listenUDP(port, protocol, interface="127.0.0.1")
        except CannotListenError:
            await stream.stopListening()


async def answers() -> dict[str, Any]:
    before = set(reactor.getReaders())
    factory = Factory(clients=[Zone()])
    stream, datagrams = await listen(factory)
    port = stream.getHost().port
    found = {}
    for zone in ("one", "two", "root", "long", "nobody", "broken", "empty"):
        found[zone] = await ask(f"_ldap._tcp.{zone}.test", [("127.0.0.1", port)])
    found["streams"] = Factory.streams
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        silent = ("127.0.0.1", mute.getsockname()[1])
        asked = [[silent], [silent, ("127.0.0.1", port)]]
        turns = [Deferred.fromCoroutine(ask("_ldap._tcp.one.test", some)) for some in asked]
        found["silent"], found["second"] = await gatherResults(turns)
    await stream.stopListening()
    await datagrams.stopListening()
    while set(reactor.getReaders()) != before:  # every socket is closed, or this never ends
        turn: Deferred[None] = Deferred()
        reactor.callLater(0.01, turn.callback, None)
        await turn
    return found


def main() -> None:
    def done(result: Any) -> None:
        reactor.stop()
        print(json.dumps(result) if isinstance(result, dict) else result.getTraceback())

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(answers()).addBoth(done))
    reactor.run()


if __name__ == "__main__":
    main()
