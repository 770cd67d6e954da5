"""Connections to the server of one URL, which HTTP gets when the server is verified.

Twisted's own client hands the request to TLS before the handshake has begun, so that judging a
name late would be too late. Here HTTP gets its connection when chain and name are verified (see
client_tls for how), and there is nothing before that could be sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed, ConnectionDone, DNSLookupError
from twisted.internet.interfaces import IConsumer, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.iweb import IBodyProducer
from zope.interface import directlyProvides, implementer, providedBy

from authbridge.client_tls import TlsServer, handshake_trouble
from authbridge.outbound.places import Place

MOST_FRAMING = 64 << 10
"""Octets that an answer may have besides its body: status line, headers, the sizes of chunks."""
CUT = "the connection was cut before the answer was whole"


class Trouble(Exception):
    """There is no answer; the text says why, without a word of the answer or the request."""


def too_large(most_octets: int) -> str:
    """What is said of an answer with more octets than it may have."""
    return f"the answer is larger than {most_octets} octets"


FAILURES = (
    Trouble,
    DNSLookupError,
    ConnectError,
    ResponseFailed,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    OSError,
)
"""What comes of a request that gets no answer."""


def words_for(error: Exception, link: Link | None) -> str:
    """Why there is no answer, of one of FAILURES; `link` is the connection that there was."""
    if isinstance(error, Trouble):
        return str(error)
    if isinstance(error, DNSLookupError):
        return "the host's name cannot be resolved"
    if isinstance(error, ConnectError):
        return (os.strerror(error.osError) if error.osError else str(error)).lower()
    if isinstance(error, OSError):
        return (error.strerror or "no connection can be made").lower()
    if link is not None and link.trouble:
        return link.trouble
    assert isinstance(error, (ResponseFailed, RequestGenerationFailed, RequestTransmissionFailed))
    if not error.reasons[0].check(ConnectionClosed, SSL.Error):
        return "what the server answers is not HTTP"
    if isinstance(error, ResponseNeverReceived):
        return "the server ended the connection without an answer"
    return CUT


class Route:
    """The way to the server of one URL."""

    def __init__(
        self,
        place: Place,
        context: SSL.Context | None,
        reactor: Any,
        most_octets: int,
    ) -> None:
        """`context` is for HTTPS, and there must be one."""
        if place.tls and context is None:
            raise ValueError("there is no TLS without a context")
        self._endpoint = HostnameEndpoint(reactor, place.host, place.port)
        self._name = place.host.removesuffix(".")
        self._context = context if place.tls else None
        self._most_octets = most_octets

    async def connect(self, lost: Callable[[Link], None]) -> Link:
        """A connection to the server, which is verified. `lost` is called at its end."""
        server = TlsServer(self._name, self._context) if self._context is not None else None
        link = Link(server, self._most_octets, lost)
        once: Factory[Any] = Factory.forProtocol(lambda: link)
        once.noisy = False
        try:
            await self._endpoint.connect(once)
            await link.opened
        finally:
            if not link.verified:
                link.close("we have ended the connection")
        return link


@implementer(IHandshakeListener)
class Link(Protocol):
    """A connection that HTTP gets when the server is verified. Each answer on it may have so many
    octets, and no more."""

    transport: Any

    def __init__(
        self, server: TlsServer | None, most_octets: int, lost: Callable[[Link], None]
    ) -> None:
        """`server` is None where there is no TLS. `lost` is called when it has ended."""
        self.http = HTTP11ClientProtocol()
        self._server = server
        self._most_octets = most_octets
        self._room = most_octets + MOST_FRAMING
        self._lost = lost
        self.opened: Deferred[None] = Deferred()
        """Fires when the server is verified; fails with Trouble."""
        self.verified = False
        self.trouble = ""
        """Why we have ended it; or empty."""
        self.over = False
        """Whether nothing more comes through: it has ended, or is about to."""
        self.cut = False
        """Whether it has ended without a goodbye."""
        self.requests = 0
        self.heard = False
        """Whether anything has come of the answer to the last request."""
        self.idle = False
        """Whether it has answered what it was asked, and may be kept."""
        self.left = False
        """Whether nobody waits for an answer, but the server may still read what was sent."""
        self._ending = False

    def begin(self) -> None:
        """A request is about to be sent."""
        self.requests += 1
        self.heard = self.idle = False
        self._room = self._most_octets + MOST_FRAMING

    def rest(self) -> None:
        """The answer is here: until the next request nothing may come."""
        self.idle = True
        if self._ending:
            self.abort()

    @property
    def ready(self) -> bool:
        """Whether another request can be sent on it."""
        return not self.over and self.http.state == "QUIESCENT"

    @property
    def stale(self) -> bool:
        """Whether the server had ended it before it could see the last request, as far as one can
        tell: it was kept, and nothing came."""
        return self.requests > 1 and self.over and not self.heard and not self.trouble

    def connectionMade(self) -> None:
        """TLS comes first."""
        if self._server is not None:
            self.transport.startTLS(self._server)
        else:
            self._give_to_http()

    def handshakeCompleted(self) -> None:
        """TLS is there; now the name."""
        assert self._server is not None
        trouble = self._server.trouble_with(self.transport)
        if trouble is not None:
            self.close(trouble)
        else:
            self._give_to_http()

    def _give_to_http(self) -> None:
        self.verified = True
        self.http.makeConnection(_Ending(self))
        self.opened.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Let it through as long as there is room: headers have no limit of their own."""
        if self.over:
            return
        if self.idle:
            self.close("the server says something that it was not asked for")
            return
        self.heard = True
        self._room -= len(data)
        if self._room < 0:
            self.close(too_large(self._most_octets))
        else:
            self.http.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server has closed it, or the network has, or we have."""
        self.over = True
        self.cut = not reason.check(ConnectionDone)
        if self.verified:
            self.http.connectionLost(reason)
        else:
            no_tls = "the server ended the connection in place of TLS"
            self._fail(handshake_trouble(self._server, reason) or no_tls)
        self._lost(self)

    def close(self, trouble: str) -> None:
        """End it at once: TLS would wait for the other side's goodbye, which a server that hangs
        never says."""
        self.trouble = self.trouble or trouble
        self.abort()
        self._fail(trouble)

    def abort(self) -> None:
        """The same where nothing is wrong with it."""
        self.over = True
        if self.transport is not None:
            self.transport.abortConnection()

    def leave(self) -> None:
        """Let nothing through any more, and let what was sent arrive: `abort` takes back what the
        server has not read yet. With TLS somebody has to abort it later, since ejabberd does not
        read what comes together with a goodbye either."""
        self.left = self.over = True
        if self._server is None:
            self.transport.loseConnection()

    def end(self) -> None:
        """HTTP has no more use for it. What still comes of an answer is let through, and then there
        is no long goodbye."""
        self._ending = True
        self.transport.loseConnection()

    def _fail(self, trouble: str) -> None:
        if not self.opened.called:
            self.opened.errback(Trouble(trouble))
            self.opened.addErrback(lambda _: None)  # where nobody waits for it any more


class _Ending:
    """The transport as HTTP sees it: when HTTP ends it, the link does."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._transport = link.transport
        directlyProvides(self, providedBy(link.transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def loseConnection(self) -> None:
        """See ITransport."""
        self._link.end()

    def abortConnection(self) -> None:
        """See ITCPTransport. HTTP does so with what is cancelled."""
        if not self._link.left:
            self._transport.abortConnection()


@implementer(IBodyProducer)
class Octets:
    """The body of a request."""

    def __init__(self, body: bytes, sent: Callable[[], None]) -> None:
        """`sent` is called when it is on its way."""
        self._body = body
        self._sent = sent
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """See IBodyProducer. It is all there, and goes at once."""
        consumer.write(self._body)
        self._sent()
        return succeed(None)

    def stopProducing(self) -> None:
        """See IBodyProducer."""

    def pauseProducing(self) -> None:
        """See IPushProducer."""

    def resumeProducing(self) -> None:
        """See IPushProducer."""
