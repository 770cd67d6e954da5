"""`listen.http`: the XMPP servers and web back ends that ask over HTTP (`wire.httpauth`).

twisted.web parses the requests; what it would do with them by default is not wanted here: its log
of every URL (they hold passwords), its parser of parameters (lenient), bodies of any size, and a
time limit that every octet starts anew.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, HTTPFactory, Request
from twisted.web.iweb import INonQueuedRequestFactory
from zope.interface import provider

from authbridge.authenticator import Authenticator
from authbridge.direct import Writer
from authbridge.frontends import clients
from authbridge.frontends.clients import Client
from authbridge.model import Outcome, Reason, Verdict
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.wire import httpauth

LARGEST_BODY = 65536
"""Octets; an URL may have 16 kB with its headers, so what is longer goes into a POST."""
LONGEST_DEADLINE = 600.0
"""Seconds; Prosody waits for minutes."""
SLOWEST_REQUEST = 15.0
"""Seconds from a request's first octet to its last, and of idleness between two."""
RETRY_AFTER = b"5"
"""Seconds; an outage is over when it is over, and callers should not wait for long."""

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

log = Logger()


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]"""

    anonymous: bool
    deadline: float
    """Seconds."""

    @classmethod
    def read(cls, table: Table, deadline: float) -> HttpSettings:
        """Read the table, and close it."""
        settings = cls(
            anonymous=table.boolean("anonymous", False),
            deadline=table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE),
        )
        table.close()
        return settings


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and headers beside Content-Type and Content-Length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


YES = Answer(200, httpauth.TRUE)
NO = Answer(200, httpauth.FALSE)
CREATED = Answer(201, httpauth.TRUE)
TAKEN = Answer(409, b"there is such a user already")
CANNOT_TELL = Answer(503, b"unavailable", ((b"Retry-After", RETRY_AFTER),))
WHO = Answer(401, b"credentials?", ((b"WWW-Authenticate", b'Basic realm="authbridge"'),))
FORBIDDEN = Answer(403, b"this client may not ask that: see its `may` and `domains`")
ELSEWHERE = Answer(421, b"without credentials, by the name localhost or a loopback address alone")
NOT_HERE = Answer(404, b"no such path")
NOT_DONE = Answer(501, b"nobody here can do that")
TOO_LONG = Answer(414, b"the URL or a header is longer than 16384 octets; POST takes more")
TOO_LARGE = Answer(413, b"the body is larger than 65536 octets")


def answer_of(outcome: Outcome) -> Answer:
    """What a caller is told of an outcome."""
    if outcome.verdict is Verdict.ACCEPTED:
        return YES
    return CANNOT_TELL if outcome.verdict is Verdict.UNAVAILABLE else NO


def answer_of_change(outcome: Outcome, done: Answer) -> Answer:
    """What a caller is told of a change. Never a 2xx for one that was not made: the callers look
    at the status alone."""
    if outcome.verdict is Verdict.ACCEPTED:
        return done
    if outcome.verdict is Verdict.UNAVAILABLE:
        return CANNOT_TELL
    if outcome.reason is Reason.NOT_SUPPORTED:
        return NOT_DONE
    if outcome.reason is Reason.USER_EXISTS:
        return TAKEN
    return Answer(403, f"{outcome.reason.value}: {outcome.reason.words}".encode())


def encode(answer: Answer, *, body: bool, persistent: bool) -> bytes:
    """The octets of an answer (RFC 9112); `body`: not for a HEAD, which gets its length alone."""
    more = b"" if persistent else b"Connection: close\r\n"
    for header in answer.headers:
        more += b"%b: %b\r\n" % header
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"Cache-Control: no-store\r\n%b\r\n%b"
    ) % (
        answer.status,
        _PHRASES[answer.status],
        len(answer.body),
        more,
        answer.body if body else b"",
    )


class HttpFrontEnd:
    """What the paths of `listen.http` mean."""

    NAME = "http"

    def __init__(
        self, authenticator: Authenticator, settings: HttpSettings, callers: Mapping[str, Client]
    ) -> None:
        self._authenticator = authenticator
        self._settings = settings
        self._callers = callers

    def serve(self, call: Call) -> None:
        """Answer one call, now or when the authenticator has."""
        path, _, query = call.uri.partition(b"?")
        prefix, _, last = path.rpartition(b"/")
        verb = last.decode("latin-1")
        if prefix != b"/auth" or verb not in httpauth.VERBS:
            return self.turn_away(call, "-", Reason.REQUEST_MALFORMED, NOT_HERE)
        client = self._caller(call)
        if client is None:
            return self.turn_away(call, verb, Reason.CALLER_UNKNOWN, WHO)
        if client is clients.ANONYMOUS and not is_ours(call):
            return self.turn_away(call, verb, Reason.CALLER_NOT_ALLOWED, ELSEWHERE)
        if verb in httpauth.UNSUPPORTED:
            return self.turn_away(call, verb, Reason.NOT_SUPPORTED, NOT_DONE)
        try:
            parameters = self._parameters(call, verb, query)
        except httpauth.BadRequest as error:
            bad = Answer(400, str(error).encode())
            return self.turn_away(call, verb, Reason.REQUEST_MALFORMED, bad)
        if parameters is None:
            methods = b"GET, POST" if verb in httpauth.READS else b"POST"
            wrong = Answer(405, b"not with this method", ((b"Allow", methods),))
            return self.turn_away(call, verb, Reason.REQUEST_MALFORMED, wrong)
        if not client.may_ask(verb, parameters.server):
            return self.turn_away(call, verb, Reason.CALLER_NOT_ALLOWED, FORBIDDEN)
        self._ask(call, verb, parameters)

    def turn_away(self, call: Call, operation: str, reason: Reason, answer: Answer) -> None:
        """Refuse what does not come to a question, with its line in the log."""
        self._authenticator.turn_away(self.NAME, operation, reason)
        call.answer(answer)

    def too_much(self) -> None:
        """Write the line of a call that was refused before it was complete."""
        self._authenticator.turn_away(self.NAME, "-", Reason.REQUEST_MALFORMED)

    def _caller(self, call: Call) -> Client | None:
        headers = call.requestHeaders.getRawHeaders(b"Authorization", ())
        if not headers:
            return clients.ANONYMOUS if self._settings.anonymous else None
        try:
            if len(headers) > 1:
                return None
            return clients.find(self._callers, *httpauth.parse_basic(headers[0]))
        except httpauth.BadRequest:
            return None

    def _parameters(self, call: Call, verb: str, query: bytes) -> httpauth.Parameters | None:
        """What the call names; None where it has the wrong method. Raises BadRequest."""
        if len(call.requestHeaders.getRawHeaders(b"Host", ())) > 1:
            raise httpauth.BadRequest("there are several Host headers")
        if call.method == b"POST":
            if query:
                raise httpauth.BadRequest("a POST has its parameters in its body")
            query = call.body
        elif call.method != b"GET" or verb in httpauth.WRITES:
            return None
        parameters = httpauth.parse(query, password=verb in httpauth.WITH_PASSWORD)
        if verb in httpauth.WRITES:
            httpauth.refuse_derived(parameters)
        return parameters

    def _ask(self, call: Call, verb: str, parameters: httpauth.Parameters) -> None:
        user, server = parameters.user, parameters.server
        deadline = self._settings.deadline
        if verb == "remove_user":
            self._authenticator.refuse(self.NAME, verb, user, server, Reason.NOT_SUPPORTED)
            return call.answer(NOT_DONE)
        judged: Callable[[Outcome], Answer] = answer_of
        password = Secret(parameters.password or b"")
        if verb == "user_exists":
            outcome = self._authenticator.user_exists(self.NAME, user, server, deadline)
        elif verb == "check_password":
            outcome = self._authenticator.check_password(
                self.NAME, user, server, password, deadline
            )
        elif verb == "set_password":
            outcome = self._authenticator.set_password(self.NAME, user, server, password, deadline)
            judged = partial(answer_of_change, done=YES)
        else:
            outcome = self._authenticator.register(self.NAME, user, server, password, deadline)
            judged = partial(answer_of_change, done=CREATED)
        outcome.addCallback(lambda outcome: call.answer(judged(outcome)))
        outcome.addErrback(call.fail)


def is_ours(call: Call) -> bool:
    """Whether the call is addressed to this machine by a name of its own.

    A page in a browser on this machine can have its name resolve to 127.0.0.1 and then call us
    (DNS rebinding); the Host header still has the page's name.
    """
    host = b"".join(call.requestHeaders.getRawHeaders(b"Host", (b"localhost",))).decode("latin-1")
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"


@provider(INonQueuedRequestFactory)
class Call(Request):
    """One request. Its URI and its body may hold a password: nothing of it is logged."""

    channel: Channel
    content: BytesIO

    def gotLength(self, length: int | None) -> None:
        """Take the body into memory, if it may be as large as announced."""
        self.content = BytesIO()
        if length is not None and length > LARGEST_BODY:
            self.channel.refuse(TOO_LARGE)

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body; one of unannounced length may turn out too large."""
        if self.channel.refused:
            return
        if self.content.tell() + len(data) > LARGEST_BODY:
            self.channel.refuse(TOO_LARGE)
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Everything is here. Nothing is parsed for us: `wire.httpauth` does that, strictly."""
        self.method, self.uri, self.clientproto = command, path, version
        self.body = self.content.getvalue()
        try:
            self.channel.front_end.serve(self)
        except Exception:  # noqa: BLE001 - a fault of ours is an answer too, not a dead connection
            self.fail(Failure())

    def answer(self, answer: Answer) -> None:
        """Send the answer, if anybody is still there, and end the request."""
        if self._disconnected:
            return
        self.startedWriting = 1
        # In one piece: the request's own write would hand headers and body over one by one.
        self.channel.writer.write(
            encode(answer, body=self.method != b"HEAD", persistent=bool(self.channel.persistent))
        )
        self.finish()

    def fail(self, failure: Failure) -> None:
        """A fault of ours: logged without a word of the request."""
        log.failure("an HTTP call failed", failure)
        if not self.startedWriting:
            self.answer(CANNOT_TELL)


class Channel(HTTPChannel):
    """One connection of a caller."""

    requestFactory = Call

    def __init__(self, front_end: HttpFrontEnd) -> None:
        super().__init__()
        self.front_end = front_end
        self.refused = False
        self.writer = Writer(None)
        self._receiving = False

    def connectionMade(self) -> None:
        """There is somebody to write to."""
        super().connectionMade()
        self.writer = Writer(self.transport)

    def getHost(self) -> None:
        """Asked by every request, for nobody; the transport would ask the kernel."""

    getPeer = getHost

    def resetTimeout(self) -> None:
        """Only a request's first octet starts its time limit, not every one."""
        if not self._receiving:
            self._receiving = True
            super().resetTimeout()

    def requestDone(self, request: Request) -> None:
        """The next octet is another request's first."""
        self._receiving = False
        super().requestDone(request)

    def dataReceived(self, data: bytes) -> None:
        """Octets from the caller; whatever follows a refused request is not even looked at."""
        if not self.refused:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Make room for another."""
        super().connectionLost(reason)
        factory: Any = self.factory
        factory.left()

    def lineLengthExceeded(self, line: bytes) -> None:
        """An URL or a header of more than 16 kB."""
        self.refuse(TOO_LONG)

    def allContentReceived(self) -> None:
        """A request is complete, unless it was refused before."""
        if not self.refused:
            super().allContentReceived()

    def _send100Continue(self) -> None:
        if not self.refused:  # else this would be a second answer
            super()._send100Continue()

    def refuse(self, answer: Answer) -> None:
        """Answer a request of which there is too much, and end the connection.

        Its sending half alone: whoever is still sending would have the connection reset under it,
        and never see the answer. The request's time limit ends the other half.
        """
        self.refused = True
        self.front_end.too_much()
        transport: Any = self.transport
        self.writer.write(encode(answer, body=True, persistent=False))
        transport.loseWriteConnection()


class HttpFactory(HTTPFactory):
    """Makes the channels of one listener; has no log of URLs."""

    noisy = False

    def __init__(
        self, front_end: HttpFrontEnd, reactor: IReactorTime, most_connections: int
    ) -> None:
        """`most_connections`: those above are closed at once, so that a flood of them leaves the
        descriptors that the other front ends and the checkers need."""
        super().__init__(timeout=SLOWEST_REQUEST, reactor=reactor)
        self._front_end = front_end
        self._room = most_connections
        self._full = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A channel with our clock and time limit; HTTP/1.1 only."""
        if self._room <= 0:
            if not self._full:
                log.warn("too many HTTP connections; what is above is closed at once")
            self._full = True
            return None
        self._room -= 1
        channel: Any = Channel(self._front_end)
        channel.factory = self
        channel.callLater = self.reactor.callLater
        channel.timeOut = self.timeOut
        return channel

    def left(self) -> None:
        """A connection has ended."""
        self._room += 1
        self._full = False

    def log(self, request: Request) -> None:
        """Nothing: the URL of a call holds a password. The authenticator logs each login."""
