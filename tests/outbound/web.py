"""A server of HTTP that keeps its connections, in the test's hands; requests are taken apart here
without a line of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tests.ldap.server import End, Network, ServerTls


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    first: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


def answer(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """One whole answer of HTTP."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


Answer = Callable[["WebServer", Request], bytes | None]


class WebServer(Protocol):
    """One connection, as the server sees it. Answers as `answer` says, or when the test says."""

    transport: Any

    def __init__(self, answer: Answer | None = None, tls: SSL.Context | None = None) -> None:
        self.heard = b""
        self.requests: list[Request] = []
        self.lost = False
        self._answer = answer
        self._tls = tls
        self._held = b""

    def connectionMade(self) -> None:
        if self._tls is not None:
            self.transport.startTLS(ServerTls(self._tls))

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._held += data
        while (request := self._next()) is not None:
            self.requests.append(request)
            said = self._answer(self, request) if self._answer else None
            if said is not None:
                self.transport.write(said)

    def _next(self) -> Request | None:
        head, end, rest = self._held.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        assert len(headers) == len(lines), "a header is there twice"
        size = int(headers.get("content-length", "0"))
        if len(rest) < size:
            return None
        self._held = rest[size:]
        return Request(first, headers, rest[:size])

    def connectionLost(self, reason: Failure) -> None:
        self.lost = True


class WebEnd(End):
    """One that takes the body of a request."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See IConsumer. What we send is never so much that it would have to pause."""

    def unregisterProducer(self) -> None:
        """See IConsumer."""


class WebNetwork(Network):
    """Whose connections take it."""

    def join(self, client: Protocol, server: Protocol) -> None:
        ends = WebEnd(self, client, client=True), WebEnd(self, server, client=False)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        self._ends += ends
        server.makeConnection(ends[1])  # type: ignore[arg-type]
        client.makeConnection(ends[0])  # type: ignore[arg-type]
