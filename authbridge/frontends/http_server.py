"""The connections of an HTTP front end: twisted.web's parser, without what it does by default.

twisted.web parses the requests; what it would do with them by default is not wanted here: its log
of every URL (they hold passwords), its parser of parameters (lenient), bodies of any size, and a
time limit that every octet starts anew. What a request means is the front end's to say.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, HTTPFactory, Request
from twisted.web.iweb import INonQueuedRequestFactory
from zope.interface import provider

from authbridge.direct import Writer
from authbridge.wire.http import Answer, encode

LARGEST_BODY = 65536
"""Octets; an URL may have 16 kB with its headers, so what is longer goes into a POST."""
SLOWEST_REQUEST = 15.0
"""Seconds from a request's first octet to its last, and of idleness between two."""

CANNOT_TELL = Answer(503, b"unavailable", ((b"Retry-After", b"5"),))
TOO_LONG = Answer(414, b"the URL or a header is longer than 16384 octets; POST takes more")
TOO_LARGE = Answer(413, b"the body is larger than 65536 octets")

log = Logger()


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


class Serving(Protocol):
    """The front end behind the connections."""

    def serve(self, call: Call) -> None:
        """Answer one call, now or later, by `call.answer`."""
        ...

    def too_much(self) -> None:
        """A call was refused before it was complete."""
        ...


class Channel(HTTPChannel):
    """One connection of a caller."""

    requestFactory = Call

    def __init__(self, front_end: Serving) -> None:
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

    def __init__(self, front_end: Serving, reactor: IReactorTime, most_connections: int) -> None:
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
