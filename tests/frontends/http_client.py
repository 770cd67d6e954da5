"""A front end of `listen.http` on transports in memory, and what its callers send."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.frontends.clients import Client
from authbridge.frontends.http import HttpFrontEnd, HttpSettings
from authbridge.frontends.http_cookie import CookieLogins, CookieSite
from authbridge.frontends.http_factory import HttpFactory
from authbridge.frontends.http_oauth import OAuthPaths
from authbridge.frontends.http_server import Channel
from authbridge.frontends.http_tickets import Tickets
from authbridge.model import JID, Checker, Outcome
from authbridge.rooms import Room
from authbridge.secret import Secret
from tests.doubles import House, ScriptedChecker

SECRET = b"Authorization: Basic " + base64.b64encode(b"prosody:through-the-glass") + b"\r\n"
CLIENT = Client(
    "prosody",
    Secret(b"through-the-glass"),
    frozenset({"check_password", "user_exists", "set_password", "json"}),
    frozenset({"example.org"}),
)
LOGIN = {"user": "alice", "server": "example.org", "pass": "wonderland"}
ALICE = b"Authorization: Basic " + base64.b64encode(b"alice:wonderland") + b"\r\n"
"""A user's own credentials, for `basic`."""
CHECK = "/auth/check_password"
WALL = 1_800_000_000.0
"""Seconds since the epoch."""
BASIC = "/auth/basic?server=example.org"
JSON = "/auth/json?server=example.org"


class Line(StringTransport):
    """A transport that can close its sending half, and like a real one forgives what comes late."""

    half_closed = False

    def __init__(self, peer: Any = None, host: Any = None) -> None:
        super().__init__(
            peerAddress=peer or IPv4Address("TCP", "127.0.0.1", 50000),
            hostAddress=host or IPv4Address("TCP", "127.0.0.1", 9281),
            lenient=True,
        )

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def unregisterProducer(self) -> None:
        self.producer = None

    @property
    def open(self) -> bool:
        """Whether nothing of it was closed."""
        return not (self.half_closed or self.disconnecting)


@implementer(ISSLTransport)
class TlsLine(Line):
    """One with TLS, which has no halves; it ends when nobody produces for it any more."""

    loseWriteConnection = None  # type: ignore[assignment]

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    @property
    def ended(self) -> bool:
        """Whether the other side was told that this is the end."""
        return self.disconnecting and self.producer is None


class TurnByTurn(Clock):
    """A clock whose reactor can be had one turn of."""

    def turn(self) -> None:
        """Call what is due now, and not what that puts off until the next turn."""
        for call in [each for each in self.calls if each.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["X-Request-Id"]


class Caller:
    """One connection of a caller."""

    def __init__(self, server: Server, line: Line) -> None:
        self._server = server
        self.line = line
        self.channel: Channel = server.factory.buildProtocol(None)
        self.channel.makeConnection(line)

    def send(self, octets: bytes) -> None:
        self.channel.dataReceived(octets)

    def leave(self) -> None:
        """The connection is gone."""
        self.channel.connectionLost(Failure(ConnectionDone()))

    def answers(self, *, head: bool = False) -> list[Reply]:
        """What was answered since the last time; `head`: with announced bodies left out."""
        octets = self.line.value()
        self.line.clear()
        found = []
        while octets:
            lines, _, octets = octets.partition(b"\r\n\r\n")
            status, *fields = lines.decode().split("\r\n")
            headers = dict(field.split(": ", 1) for field in fields)
            assert ("Content-Length" in headers) == (status.split()[1] != "204")
            length = 0 if head else int(headers.get("Content-Length", 0))
            assert len(octets) >= length
            assert re.fullmatch(r"HTTP/1\.1 \d{3} [A-Z][A-Za-z -]+", status)
            found.append(Reply(int(status.split()[1]), headers, octets[:length]))
            octets = octets[length:]
        return found

    def answer(self, *, head: bool = False) -> Reply:
        """The one answer that there is."""
        (reply,) = self.answers(head=head)
        return reply

    def ask(self, octets: bytes) -> Reply:
        """What is answered to this."""
        self.send(octets)
        return self.answer()


class Server(Caller):
    """A front end, and its first caller."""

    def __init__(
        self,
        checker: Checker,
        *,
        anonymous: bool = False,
        client: Client = CLIENT,
        clients: tuple[Client, ...] = (),
        exists: bool | None = None,
        most: tuple[int, int] = (100, 100),
        line: Line | None = None,
        office: Any = None,
        prebind: Any = None,
        cookie_sites: Mapping[str, CookieSite] | None = None,
        never: Callable[[JID], bool] = lambda _jid: False,
        house: House | None = None,
    ) -> None:
        """`most`: connections of the listener, and of one peer. `house`: with other domains."""
        self.house = house or House(checker, exists=exists)
        self.clock = TurnByTurn()
        callers = {each.name: each for each in (client, *clients)}
        self.tickets = Tickets(self.clock.seconds, os.urandom)
        self.front_end = HttpFrontEnd(
            self.house.authenticator,
            HttpSettings(anonymous, 8.0, hosts=("h",)),
            callers,
            "Machine",
            office,
            prebind,
            CookieLogins(
                cookie_sites or {},
                self.house.authenticator.logins,
                never,
                self.house.authenticator.has_logged_in,
                "http",
            ),
            OAuthPaths(self.house.authenticator, self.tickets, callers, lambda: WALL, 8.0, "http"),
        )
        room = Room("tcp:9281", self.clock, *most)
        self.factory = HttpFactory(self.front_end, self.clock, room)
        super().__init__(self, line or Line())

    def caller(self, line: Line | None = None) -> Caller:
        """Another connection."""
        return Caller(self, line or Line())

    @property
    def lines(self) -> list[str]:
        """The log's."""
        return self.house.lines


def waiting_server(**more: Any) -> tuple[Server, Deferred[Outcome]]:
    """One whose passwords are checked when the test says so, and whose users exist at once."""
    answer: Deferred[Outcome] = Deferred()
    return Server(ScriptedChecker(answer), exists=True, **more), answer


def get(
    path: str = CHECK, parameters: dict[str, str] | None = LOGIN, headers: bytes = SECRET
) -> bytes:
    query = ("?" + urlencode(parameters)).encode() if parameters else b""
    return b"GET " + path.encode() + query + b" HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n"


def post(
    path: str = CHECK,
    parameters: dict[str, str] | bytes = LOGIN,
    headers: bytes = SECRET,
    content: bytes = b"application/x-www-form-urlencoded",
) -> bytes:
    body = parameters if isinstance(parameters, bytes) else urlencode(parameters).encode()
    return b"POST %b HTTP/1.1\r\nHost: h\r\n%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        headers,
        content,
        len(body),
        body,
    )


def chunked(*chunks: bytes, path: str = CHECK, end: bytes = b"0\r\n\r\n") -> bytes:
    """A POST whose length is not announced."""
    head = b"POST %b HTTP/1.1\r\nHost: h\r\n%bTransfer-Encoding: chunked\r\n\r\n"
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head % (path.encode(), SECRET) + pieces + end


def without(name: str) -> dict[str, str]:
    """The login without one of its parameters."""
    return {key: value for key, value in LOGIN.items() if key != name}
