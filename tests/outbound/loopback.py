"""Fetches from real servers, on a real reactor.

`python -m tests.outbound.loopback` prints, as JSON, what came of each case, what its server heard,
and whether its connection was left open.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet import reactor as installed
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import react
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from authbridge import client_tls
from authbridge.outbound import https
from tests.ldap.certificates import DAY, NOW, OTHER, OURS, self_signed
from tests.ldap.server import ServerTls

HOST = "127.0.0.1"
MOST = 1 << 20
TIMEOUT = 77.0
reactor: Any = installed


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode() + body


class Hastened:
    """The reactor, but that a fetch's deadline comes when a server says so."""

    def __init__(self) -> None:
        directlyProvides(self, providedBy(reactor))
        self.deadline: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def callLater(self, seconds: float, call: Any, *given: Any, **named: Any) -> Any:
        made = reactor.callLater(seconds, call, *given, **named)
        if seconds == TIMEOUT:
            self.deadline = made
        return made


class Server(Protocol):
    """Answers with `says`; what comes then depends on the case: it cuts the connection, or is
    silent, or lets some more octets trickle, until the deadline comes."""

    transport: Any

    def __init__(self, case: Case) -> None:
        self.case = case
        self.heard = b""
        self.lost: Deferred[None] = Deferred()
        case.servers.append(self)

    def connectionMade(self) -> None:
        self.transport.startTLS(ServerTls(self.case.context()))

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if self.heard.endswith(b"\r\n\r\n"):
            self.transport.write(self.case.says)
            if self.case.trickles:
                self._trickle(self.case.trickles)
            if self.case.cuts:
                reactor.callLater(0, self._cut)

    def _trickle(self, more: int) -> None:
        if more > 1:
            self.transport.write(b"a")
            reactor.callLater(0, self._trickle, more - 1)
        else:
            self.case.reactor.deadline.reset(0)

    def _cut(self) -> None:
        """End TCP below TLS, which says no goodbye."""
        FileDescriptor.loseConnection(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class Case:
    """A server, and what it is asked for."""

    def __init__(
        self,
        says: bytes = b"",
        context: Callable[[], SSL.Context] = lambda: OURS.issue(HOST),
        *,
        cuts: bool = False,
        trickles: int = 0,
    ) -> None:
        self.says, self.context = says, context
        self.cuts, self.trickles = cuts, trickles
        self.reactor = Hastened()
        self.servers: list[Server] = []

    async def run(self) -> dict[str, Any]:
        factory: Factory[Server] = Factory.forProtocol(lambda: Server(self))
        port = reactor.listenTCP(0, factory, interface=HOST)
        context = client_tls.make_context([client_tls.Certificate.loadPEM(OURS.pem)])
        url = f"https://{HOST}:{port.getHost().port}/keys"
        try:
            found = await https.get(url, context, self.reactor, timeout=TIMEOUT, most_octets=MOST)
            outcome = f"{len(found)} octets"
        except https.FetchFailed as error:
            outcome = str(error)
        (server,) = self.servers
        await server.lost.addTimeout(60, reactor, lambda *_: None)
        await port.stopListening()
        heard = server.heard.decode()
        return {"outcome": outcome, "heard": heard, "open": bool(server.transport.connected)}


CASES = {
    "a good server": Case(answer(bytes(MOST))),
    "another name": Case(answer(b""), lambda: OURS.issue("localhost")),
    "expired": Case(answer(b""), lambda: OURS.issue(HOST, between=(NOW - 9 * DAY, NOW - DAY))),
    "signed by itself": Case(answer(b""), lambda: self_signed(HOST)),
    "another authority": Case(answer(b""), lambda: OTHER.issue(HOST)),
    "a redirect": Case(answer(b"", "302 Found")),
    "nothing there": Case(answer(b"<html>", "404 Not Found")),
    "more than was announced": Case(answer(bytes(4 * MOST), length=MOST)),
    "said to be too large": Case(answer(bytes(MOST + 1))),
    "no end": Case(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(4 * MOST)),
    "cut": Case(answer(b"{", length=100), cuts=True),
    "silent": Case(trickles=1),
    "a trickle": Case(answer(b"", length=1000), trickles=50),
}
EXPECTED = {
    "a good server": (f"{MOST} octets", True),
    "another name": (f"the certificate is not for {HOST}, but for localhost", False),
    "expired": ("the certificate has expired", False),
    "signed by itself": ("the certificate is signed by itself", False),
    "another authority": ("the authority that signed the certificate is not trusted", False),
    "a redirect": ("the server answers 302", True),
    "nothing there": ("the server answers 404", True),
    "more than was announced": (f"{MOST} octets", True),
    "said to be too large": (f"larger than {MOST} octets", True),
    "no end": (f"larger than {MOST} octets", True),
    "cut": ("the connection was cut before the answer was whole", True),
    "silent": ("no whole answer in 77 s", True),
    "a trickle": ("no whole answer in 77 s", True),
}
"""What should come of it, and whether the server got the request."""


async def main() -> None:
    found = {name: await case.run() for name, case in CASES.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    react(lambda _: Deferred.fromCoroutine(main()))
