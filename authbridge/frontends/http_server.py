"""The connections of an HTTP front end; what a request means is the front end's to say.

There is no log of URLs here (they hold passwords), and nothing without a limit: octets
(`wire.http_requests`), time, connections (`rooms`), and what one connection is given at once.

Whoever breaks the rules is answered, and then the connection ends: where one request was not
understood, nobody knows where the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.direct import Writer
from authbridge.model import Reason
from authbridge.peers import address_of, peer_of, plain_address
from authbridge.rooms import Room
from authbridge.wire.http import Answer, encode
from authbridge.wire.http_requests import Refused, Request, RequestReader

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

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CANNOT_TELL = Answer(503, b"unavailable", ((b"Retry-After", b"5"),))
"""Callers should not wait for long: an outage is over when it is over."""
TOO_SLOW = Answer(408, b"the request was not complete after 15 seconds")

log = Logger()


class Serving(Protocol):
    """The front end behind the connections."""

    def number(self) -> str:
        """An id for the next call."""
        ...

    def serve(self, call: Call) -> None:
        """Answer one call, now or later, by `call.answer`."""
        ...

    def refused(self, answer: Answer, reason: Reason, number: str, address: str) -> Answer:
        """A call from this address was refused before it was complete; how this is said to it."""
        ...


class Call:
    """One request, and the way to answer it. Nothing of it is logged."""

    __slots__ = ("_request", "answered", "body", "channel", "method", "number", "target")

    def __init__(self, channel: Channel, request: Request, number: str) -> None:
        self.channel = channel
        self.number = number
        """The request's id, in its answer and in its line."""
        self.method = request.method
        self.target = request.target
        self.body = request.body
        self.answered = False
        self._request = request

    def values(self, name: bytes) -> Sequence[bytes]:
        """What the header fields of this name (in lower case) hold."""
        return self._request.values(name)

    @property
    def names(self) -> Iterable[bytes]:
        """The names of its header fields, in lower case."""
        return self._request.names

    @property
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more. A caller that has closed its half may
        still listen, but no browser and no proxy does."""
        return self.answered or self.channel.read_to_its_end

    def answer(self, answer: Answer, *, last: bool = False) -> None:
        """Send the answer, if anybody is still there, and end the request; with `last` the
        connection too."""
        if self.answered:
            return
        self.answered = True
        persistent = self._request.persistent and not last and not self.channel.retiring
        octets = encode(answer, self.number, body=self.method != b"HEAD", persistent=persistent)
        self.channel.answer(octets, persistent=persistent)

    def fail(self, failure: Failure, answer: Answer = CANNOT_TELL) -> None:
        """A fault of ours: logged without a word of the request."""
        log.failure("an HTTP call failed", failure)
        self.answer(answer)


@implementer(IHalfCloseableProtocol, IPushProducer)
class Channel(protocol.Protocol):
    """One connection of a caller."""

    transport: Any

    def __init__(self, front_end: Serving, clock: IReactorTime, room: Room) -> None:
        self._front_end = front_end
        self.clock = clock
        """The reactor's, for the deadlines of its calls too."""
        self._room = room
        self._writer = Writer(None)
        self._requests = RequestReader()
        self.address = ""
        """The caller's: an IP address, or "unix"."""
        self.retiring = False
        """The call that is being answered is the last one."""
        self._leaving = False  # nothing more is listened to
        self._call: Call | None = None  # that is being answered
        self._receiving = False  # a request has begun, and is not whole
        self._going_on = False  # at the next turn of the reactor, with what has come already
        self.read_to_its_end = False
        """The caller has said all that it had to say."""
        self._read_ahead = False  # so much that no more is read
        self._unread = False  # by the caller, of our answers: neither

    def connectionMade(self) -> None:
        """There is somebody to write to, if there is room."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._writer = Writer(self.transport)
        self.address = address_of(self.transport)
        if self._room.enter(self, peer_of(self.transport)):
            self._room.expect(self, SLOWEST_REQUEST)
        else:
            self.make_way()

    def own_address(self) -> str:
        """The IP address that the caller has connected to."""
        return plain_address(self.transport.getHost().host)

    def dataReceived(self, data: bytes) -> None:
        """Octets from the caller; whatever follows a refused request is not even looked at."""
        if self._leaving:
            return
        self._requests.feed(data)
        if self._call is None and not self._going_on:
            self._take()
        elif self._requests.held > MOST_READ_AHEAD:
            self._read_ahead = True
            self._pace()

    def _take(self) -> None:
        """The next request, if it is there."""
        try:
            request = self._requests.take()
        except Refused as no:
            return self._refuse(no.answer, Reason.REQUEST_MALFORMED)
        if request is not None:
            return self._serve(request)
        if self._requests.expects_continue:
            self._requests.expects_continue = False
            self._writer.write(CONTINUE)
        if self._requests.begun and not self._receiving:
            self._receiving = True
            self._room.expect(self, SLOWEST_REQUEST)

    def _serve(self, request: Request) -> None:
        self._receiving = False
        self._room.served(self)
        call = self._call = Call(self, request, self._front_end.number())
        try:
            self._front_end.serve(call)
        except Exception:  # noqa: BLE001 - a fault of ours is an answer too, not a dead connection
            call.fail(Failure())

    def answer(self, octets: bytes, *, persistent: bool) -> None:
        """Send the answer to the call. What came behind it waits for the next turn of the reactor,
        so that a thousand in one piece keep nobody waiting on another connection."""
        self._call = None
        self._writer.write(octets)
        if not persistent:
            return self._leave()
        if self._requests.begun:
            self._going_on = True
            self.clock.callLater(0, self._go_on)
        elif self.read_to_its_end:
            self._leave()
        else:
            self._room.expect(self, LONGEST_IDLE)

    def _go_on(self) -> None:
        self._going_on = False
        if self._leaving:
            return
        self._take()
        if self._read_ahead and self._requests.held <= MOST_READ_AHEAD:
            self._read_ahead = False
            self._pace()
        if self.read_to_its_end:
            self.readConnectionLost()

    def _refuse(self, answer: Answer, reason: Reason) -> None:
        """Answer a request that is not complete, and end the connection."""
        number = self._front_end.number()
        answer = self._front_end.refused(answer, reason, number, self.address)
        self._writer.write(encode(answer, number, body=True, persistent=False))
        self._leave()

    def _leave(self) -> None:
        """Close our half, and give the other side a moment to take what we said and to close its
        own: who is still sending would have the connection reset under it, and never see it."""
        if self._leaving:
            return
        self._leaving = True
        self._requests.clear()
        self._room.expect(self, LINGER)
        self.transport.unregisterProducer()
        self.transport.resumeProducing()  # to read what is thrown away, and the end
        if self.read_to_its_end or ISSLTransport.providedBy(self.transport):  # TLS has no halves
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    def retire(self) -> None:
        """Take no further request; whoever waits for an answer gets it. A proxy that had sent one
        sees that it was not taken, and sends it to the next daemon."""
        self.retiring = True
        if self._call is None:
            self._leave()

    def overdue(self) -> None:
        """The request was not complete in time, or there was none; or the last moment is over."""
        if self._leaving:
            self.make_way()
        elif self._receiving:
            self._refuse(TOO_SLOW, Reason.REQUEST_INCOMPLETE)
        else:
            self._leave()

    def make_way(self) -> None:
        """There is no room for this connection, or somebody else needs its place."""
        self._leaving = True
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """The caller does not read its answers: it shall not ask for more."""
        self._unread = True
        self._pace()

    def resumeProducing(self) -> None:
        """The caller has read them."""
        self._unread = False
        self._pace()

    def stopProducing(self) -> None:
        """The connection ends."""

    def _pace(self) -> None:
        if self._read_ahead or self._unread:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        """The caller has said all that it had to say; it may still listen."""
        self.read_to_its_end = True
        if self._leaving:
            self.transport.loseConnection()
        elif self._call is None and not self._going_on:
            self._leave()  # no request will be whole any more

    def writeConnectionLost(self) -> None:
        """We have closed our half ourselves."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Make room for another."""
        self._leaving = True
        if self._call is not None:
            self._call.answered = True  # there is nobody to be answered
        self._room.leave(self)
