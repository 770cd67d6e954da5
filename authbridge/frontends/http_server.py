"""The connections of an HTTP front end: twisted.web's parser, without what it does by default.

twisted.web takes requests apart; what it would do with them is not wanted here: its log of every
URL (they hold passwords), its parser of parameters (lenient), bodies of any size, and a time limit
that every octet starts anew. What it lets pass and `wire.http` does not is refused before it sees
it. What a request means is the front end's to say.

Whoever breaks the rules is answered, and then the connection ends: where one request was not
understood, nobody knows where the next one begins.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.iweb import INonQueuedRequestFactory
from zope.interface import implementer, provider

from authbridge.direct import Writer
from authbridge.model import Reason
from authbridge.rooms import Room, address_of, peer_of, plain_address
from authbridge.wire.http import (
    LARGEST_BODY,
    Answer,
    BadRequest,
    check_field,
    check_framing,
    check_request_line,
    encode,
)

MOST_READ_AHEAD = 16384
"""Octets of a connection's next requests that are kept while one is answered; at more, no more is
read."""
SLOWEST_REQUEST = 15.0
"""Seconds from a request's first octet to its last, and from a connection's start to a request."""
LONGEST_IDLE = 75.0
"""Seconds from an answer to the next request; longer than proxies and pools keep theirs, so that
they close first, and none sends a request into a connection that is just being closed."""
LINGER = 5.0
"""Seconds that the other side has to take our last answer and to close."""

CANNOT_TELL = Answer(503, b"unavailable", ((b"Retry-After", b"5"),))
"""Callers should not wait for long: an outage is over when it is over."""
TOO_LONG = Answer(414, b"the request line is longer than 16384 octets; POST takes more")
TOO_LARGE = Answer(413, b"the body is larger than 65536 octets")
TOO_SLOW = Answer(408, b"the request was not complete after 15 seconds")
TOO_MANY = Answer(431, b"the headers have more than 16384 octets, or are more than 100")
NOT_HTTP = Answer(400, b"the request is not HTTP/1.1")
UNEXPECTED = Answer(417, b"Expect is 100-continue or nothing")

log = Logger()


def bad(error: BadRequest) -> Answer:
    """What is answered to a request that breaks the rules."""
    return Answer(400, str(error).encode())


class Serving(Protocol):
    """The front end behind the connections."""

    def number(self) -> str:
        """An id for the next call."""
        ...

    def serve(self, call: Call) -> None:
        """Answer one call, now or later, by `call.answer`."""
        ...

    def refused(self, reason: Reason, number: str) -> None:
        """A call was refused before it was complete."""
        ...


@provider(INonQueuedRequestFactory)
class Call(Request):
    """One request. Its URI and its body may hold a password: nothing of it is logged."""

    channel: Channel
    content: BytesIO
    body: bytes
    number: str
    """The request's id, in its answer and in its line."""

    def gotLength(self, length: int | None) -> None:
        """Take the body into memory, if it may be as large as announced."""
        self.content = BytesIO()
        if length is not None and length > LARGEST_BODY:
            self.channel.refuse(TOO_LARGE)

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body; one of unannounced length may turn out too large."""
        if self.channel.leaving:
            return
        if self.content.tell() + len(data) > LARGEST_BODY:
            self.channel.refuse(TOO_LARGE)
        else:
            self.content.write(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Everything is here. Nothing is parsed for us: the front end does that, strictly."""
        self.method, self.uri, self.clientproto = command, path, version
        self.body = self.content.getvalue()
        self.channel.complete(self)

    def serve(self) -> None:
        """Have the front end answer."""
        if self._disconnected:
            return
        self.number = self.channel.front_end.number()
        try:
            self.channel.front_end.serve(self)
        except Exception:  # noqa: BLE001 - a fault of ours is an answer too, not a dead connection
            self.fail(Failure())

    def answer(self, answer: Answer, *, last: bool = False) -> None:
        """Send the answer, if anybody is still there, and end the request; with `last` the
        connection too."""
        if self._disconnected:
            return
        self.startedWriting = 1
        channel = self.channel
        if last:
            channel.persistent = 0
        # In one piece: the request's own write would hand headers and body over one by one.
        channel.writer.write(
            encode(
                answer,
                self.number,
                body=self.method != b"HEAD",
                persistent=bool(channel.persistent),
            )
        )
        self.finish()

    def fail(self, failure: Failure) -> None:
        """A fault of ours: logged without a word of the request."""
        log.failure("an HTTP call failed", failure)
        if not self.startedWriting:
            self.answer(CANNOT_TELL)


@implementer(IHalfCloseableProtocol)
class Channel(HTTPChannel):
    """One connection of a caller."""

    requestFactory = Call
    maxHeaders = 100

    _version: bytes

    def __init__(self, front_end: Serving, clock: IReactorTime, room: Room) -> None:
        super().__init__()
        self._clock = clock
        self.front_end = front_end
        self.leaving = False
        """Nothing more is listened to."""
        self.writer = Writer(None)
        self.address = ""
        """The caller's: an IP address, or "unix"."""
        self._room = room
        self._receiving = False
        """A request has begun, and is not answered."""
        self._serving = False
        """It is complete."""
        self._in_head = False
        self._next = b""
        """What has come behind the request that is being answered."""
        self._read_to_its_end = False

    def connectionMade(self) -> None:
        """There is somebody to write to, if there is room."""
        super().connectionMade()
        self.writer = Writer(self.transport)
        self.address = address_of(self.transport)
        if self._room.enter(self, peer_of(self.transport)):
            self._room.expect(self, SLOWEST_REQUEST)
        else:
            self.make_way()

    def getHost(self) -> None:
        """Asked by every request, for nobody; the transport would ask the kernel."""

    getPeer = getHost

    def own_address(self) -> str:
        """The IP address that the caller has connected to."""
        transport: Any = self.transport
        return plain_address(transport.getHost().host)

    def dataReceived(self, data: bytes) -> None:
        """Octets from the caller; whatever follows a refused request is not even looked at."""
        if self.leaving:
            return
        if self._serving or self._next:
            self._next += data
            if len(self._next) > MOST_READ_AHEAD:
                transport: Any = self.transport
                transport.pauseProducing()  # until requestDone
            return
        if not self._receiving:
            self._begin()
        super().dataReceived(data)

    def _begin(self) -> None:
        self._receiving = True
        self._room.expect(self, SLOWEST_REQUEST)

    def lineReceived(self, line: bytes) -> None:
        """A line of a request's head, judged before it is understood."""
        try:
            if self._in_head and line:
                check_field(line)
            elif line:
                line = check_request_line(line)
                self._in_head = True
                if not self._receiving:
                    self._begin()
            elif not self._in_head:  # some end a body with a blank line too many (RFC 9112, 2.2)
                self._receiving = False
                self._room.expect(self, LONGEST_IDLE)
        except BadRequest as error:
            return self.refuse(bad(error))
        super().lineReceived(line)

    def allHeadersReceived(self) -> None:
        """The head is complete."""
        self._in_head = False
        headers = self.requests[-1].requestHeaders
        get = headers.getRawHeaders
        try:
            check_framing(
                self._version,
                get(b"Host", ()),
                get(b"Transfer-Encoding", ()),
                get(b"Content-Length", ()),
            )
        except BadRequest as error:
            return self.refuse(bad(error))
        if any(value.lower() != b"100-continue" for value in get(b"Expect", ())):
            return self.refuse(UNEXPECTED)
        super().allHeadersReceived()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Whether another request may follow (RFC 9112, 9.3); after HTTP/1.0 none does."""
        tokens = b",".join(request.requestHeaders.getRawHeaders(b"Connection", ())).split(b",")
        close = any(token.strip().lower() == b"close" for token in tokens)
        return version == b"HTTP/1.1" and not close

    def allContentReceived(self) -> None:
        """A request is complete, unless it was refused before."""
        if self.leaving:
            return
        # Trailers mean nothing here, and twisted.web takes them whatever they are made of.
        chunked: Any = self._transferDecoder if self.length is None else None
        if chunked and chunked._trailerHeaders:  # noqa: SLF001 - there is no other way to them
            return self.refuse(bad(BadRequest("there are trailers behind the body")))
        super().allContentReceived()

    def complete(self, call: Call) -> None:
        """Serve a call. What came behind it waits until it is answered, and for the next turn of
        the reactor, so that a thousand in one piece keep nobody waiting on another connection."""
        self._room.served(self)
        self._serving = True
        self._next += self.clearLineBuffer()
        call.serve()

    def requestDone(self, request: Request) -> None:
        """The next octet is another request's first."""
        later, self._next = self._next, b""
        super().requestDone(request)  # hands what came in one piece with a body to dataReceived
        self._next += later
        self._serving = self._receiving = False
        if self.leaving:
            return
        if self._next:
            self._clock.callLater(0, self._go_on)
        elif self._read_to_its_end:
            self.loseConnection()
        else:
            self._room.expect(self, LONGEST_IDLE)

    def _go_on(self) -> None:
        data, self._next = self._next, b""
        self.dataReceived(data)
        if self._read_to_its_end:
            self.readConnectionLost()

    def refuse(self, answer: Answer, reason: Reason = Reason.REQUEST_MALFORMED) -> None:
        """Answer a request that is not complete, and end the connection."""
        if self.leaving:
            return
        number = self.front_end.number()
        self.front_end.refused(reason, number)
        self.writer.write(encode(answer, number, body=True, persistent=False))
        self.loseConnection()

    def loseConnection(self) -> None:
        """Close our half, and give the other side a moment to take what we said and to close its
        own: who is still sending would have the connection reset under it, and never see it."""
        self.leaving = True
        self.clearLineBuffer()
        self._room.expect(self, LINGER)
        if self._read_to_its_end or self.isSecure():  # TLS has no halves
            super().loseConnection()
        else:
            transport: Any = self.transport
            transport.loseWriteConnection()

    def overdue(self) -> None:
        """The request was not complete in time, or there was none; or the last moment is over."""
        if self.leaving:
            self.make_way()
        elif self._receiving:
            self.refuse(TOO_SLOW, Reason.REQUEST_INCOMPLETE)
        else:
            self.loseConnection()

    def make_way(self) -> None:
        """There is no room for this connection, or somebody else needs its place."""
        self.leaving = True
        transport: Any = self.transport
        transport.abortConnection()

    def readConnectionLost(self) -> None:
        """The caller has said all that it had to say; it may still listen."""
        self._read_to_its_end = True
        if not (self._serving or self._next):
            self.loseConnection()  # no request will be complete any more

    def writeConnectionLost(self) -> None:
        """We have closed our half ourselves."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Make room for another."""
        self.leaving = True
        super().connectionLost(reason)
        self._room.leave(self)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line of the head has more than 16 kB."""
        self.refuse(TOO_MANY if self._in_head else TOO_LONG)

    def _respondToBadRequestAndDisconnect(self) -> None:
        # What twisted.web finds wrong: the framing, or too much of a head.
        too_much = self._receivedHeaderSize > self.totalHeadersSize or (
            self._receivedHeaderCount > self.maxHeaders
        )
        self.refuse(TOO_MANY if too_much else NOT_HTTP)

    def _send100Continue(self) -> None:
        if not self.leaving:  # else this would be a second answer
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class HttpFactory(Factory):
    """Makes the channels of one listener."""

    noisy = False

    def __init__(self, front_end: Serving, clock: IReactorTime, room: Room) -> None:
        self._front_end = front_end
        self._clock = clock
        self._room = room

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        """A channel; HTTP/1.1 only."""
        channel = Channel(self._front_end, self._clock, self._room)
        channel.factory = self
        return channel

    def log(self, request: Request) -> None:
        """Nothing: the URL of a call holds a password. The authenticator logs each login."""
