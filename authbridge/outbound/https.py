"""One GET over HTTPS, of a server that is verified before it is told anything.

treq makes the request. TLS, the limits and the deadline are ours: Twisted's own client hands the
request to TLS before the handshake has begun, so that judging a name late would be too late. Here
HTTP gets its connection when chain and name are verified (see client_tls for how), and there is
nothing before that could be sent.
"""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn
from urllib.parse import urlsplit

from hyperlink import EncodedURL
from OpenSSL import SSL
from treq import collect
from treq.client import HTTPClient
from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import HostnameAddress
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionDone,
    DNSLookupError,
)
from twisted.internet.interfaces import (
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import (
    UNKNOWN_LENGTH,
    IAgent,
    IAgentEndpointFactory,
    IBodyProducer,
    IResponse,
)
from zope.interface import implementer

from authbridge.client_tls import TlsServer, handshake_trouble

MOST_FRAMING = 64 << 10
"""Octets that an answer may have besides its body: status line, headers, the sizes of chunks."""
REDIRECTS = (301, 302, 303, 307, 308)

_HEADERS: dict[bytes | str, bytes | str] = {
    "Accept": "application/jwk-set+json, application/json",
    "User-Agent": "authbridge",  # there are hosters who answer 403 to nobody
}
_URL = re.compile(r"[\x21-\x7e]{1,2000}")


class FetchFailed(Exception):
    """Nothing was fetched; the text says why, without a word of the answer."""


def url_trouble(url: str) -> str:
    """Why `get` would not take this URL; empty where it would."""
    if not _URL.fullmatch(url):
        return "a URL is of printable ASCII without blanks (a host's name as xn--…), 2000 at most"
    if not url.startswith("https://"):
        return "it should begin with https://: what comes without protection is anybody's"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if isIPv6Address(host):  # which hyperlink, and so treq, takes for a name, and refuses
            return "an address of IPv6 has no place in it: give the host's name"
        EncodedURL.from_text(url).to_uri()
    except ValueError:
        return "this is no URL, or its host has no name that the DNS could know"
    if "@" in parts.netloc:
        return "a name and a password have no place in it: it is shown in the log"
    if "#" in url:
        return "what comes behind # is not sent to a server"
    if not host or port == 0:
        return "it names no host, or a port that there is not"
    return ""


async def get(
    url: str,
    context: SSL.Context,
    reactor: Any,
    *,
    timeout: float,  # noqa: ASYNC109 - of Twisted, which has no context managers for it
    most_octets: int,
) -> bytes:
    """What is at this URL, as the server sends it with a 200. `timeout`, in seconds, is for all of
    it. No redirect is followed, no cookie and no proxy is known, nothing compressed is taken, and
    the connection is closed afterwards. Raises FetchFailed; CancelledError where somebody cancels
    it."""
    if trouble := url_trouble(url):
        raise FetchFailed(trouble)
    route = _Route(url, context, reactor, most_octets)

    def too_late(_result: object, _seconds: float) -> NoReturn:
        what = "whole answer" if route.link.verified else "connection"
        raise FetchFailed(f"no {what} in {timeout:g} s")

    fetching = Deferred.fromCoroutine(_fetch(url, route, reactor, most_octets))
    outcome: Deferred[bytes] = Deferred()  # of its own: what comes of a cancelled request differs
    fetching.addTimeout(timeout, reactor, too_late).chainDeferred(outcome)
    try:
        return await outcome
    finally:
        fetching.cancel()
        route.link.close("we have ended the connection")


async def _fetch(url: str, route: _Route, reactor: Any, most_octets: int) -> bytes:
    try:
        return await _ask(url, route, reactor, most_octets)
    except DNSLookupError:
        raise FetchFailed("the host's name cannot be resolved") from None
    except ConnectError as error:
        why = os.strerror(error.osError) if error.osError else str(error)
        raise FetchFailed(why.lower()) from None
    except (ResponseFailed, RequestGenerationFailed, RequestTransmissionFailed) as error:
        raise FetchFailed(route.link.trouble or _explain(error)) from None
    except OSError as error:
        raise FetchFailed((error.strerror or "no connection can be made").lower()) from None


async def _ask(url: str, route: _Route, reactor: Any, most_octets: int) -> bytes:
    agent = _Uncompressed(Agent.usingEndpointFactory(reactor, route))
    client = HTTPClient(agent)  # one for each: it keeps cookies
    body = bytearray()

    def take(data: bytes) -> None:
        body.extend(data)
        if len(body) > most_octets:
            raise _too_large(most_octets)

    response = await client.get(
        url, headers=_HEADERS, allow_redirects=False, unbuffered=True, reactor=reactor
    )
    if response.code != 200:
        elsewhere = " (it points elsewhere, and is not followed)"
        hint = elsewhere if response.code in REDIRECTS else ""
        raise FetchFailed(f"the server answers {response.code}{hint}")
    if response.length is not UNKNOWN_LENGTH and response.length > most_octets:
        raise _too_large(most_octets)
    await collect(response, take)
    if route.link.cut:  # by anybody: an answer without a length ends with TLS's own goodbye alone
        raise FetchFailed(_CUT)
    return bytes(body)


_CUT = "the connection was cut before the answer was whole"


def _too_large(most_octets: int) -> FetchFailed:
    return FetchFailed(f"the answer is larger than {most_octets} octets")


def _explain(
    error: ResponseFailed | RequestGenerationFailed | RequestTransmissionFailed,
) -> str:
    if not error.reasons[0].check(ConnectionClosed, SSL.Error):
        return "what the server answers is not HTTP"
    if isinstance(error, ResponseNeverReceived):
        return "the server ended the connection without an answer"
    return _CUT


@implementer(IAgent)
class _Uncompressed:
    """Asks for what is not compressed, and takes nothing else: treq would ask for gzip, of which a
    few octets may become a great many."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See IAgent."""
        assert headers is not None  # treq's agents have put theirs into it
        headers.setRawHeaders(b"Accept-Encoding", [b"identity"])
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(self._judge)

    def _judge(self, response: IResponse) -> IResponse:
        if response.headers.getRawHeaders(b"Content-Encoding", [b"identity"]) != [b"identity"]:
            raise FetchFailed("the answer is compressed, which was not asked for")
        return response


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Route:
    """The way to the server of one URL, for one request."""

    def __init__(self, url: str, context: SSL.Context, reactor: Any, most_octets: int) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or 443
        self._address = HostnameAddress(host.encode(), port)
        self._endpoint = HostnameEndpoint(reactor, host, port)
        self.link = _Link(TlsServer(host.removesuffix("."), context), most_octets)

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See IAgentEndpointFactory. There is one URL, since no redirect is followed."""
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint. Connected is who is verified."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        http = factory.buildProtocol(self._address)
        assert http is not None
        self.link.http = http
        once: Factory[Any] = Factory.forProtocol(lambda: self.link)
        once.noisy = False
        await self._endpoint.connect(once)
        return await self.link.opened


@implementer(IHandshakeListener)
class _Link(Protocol):
    """A connection that HTTP gets when the server is verified, and that carries so much and no
    more."""

    transport: Any
    http: IProtocol

    def __init__(self, server: TlsServer, most_octets: int) -> None:
        self._server = server
        self._room = most_octets + MOST_FRAMING
        self._most_octets = most_octets
        self.opened: Deferred[IProtocol] = Deferred()
        """Fires when the server is verified; fails with FetchFailed."""
        self.verified = False
        self.trouble = ""
        """Why we have ended it; or empty."""
        self.cut = False
        """Whether it has ended without the goodbye of TLS."""

    def connectionMade(self) -> None:
        """TLS comes first."""
        self.transport.startTLS(self._server)

    def handshakeCompleted(self) -> None:
        """TLS is there; now the name."""
        trouble = self._server.trouble_with(self.transport)
        if trouble is not None:
            self.close(trouble)
            return
        self.verified = True
        self.http.makeConnection(self.transport)
        self.opened.callback(self.http)

    def dataReceived(self, data: bytes) -> None:
        """Let it through as long as there is room: headers have no limit of their own."""
        if self.trouble:
            return
        self._room -= len(data)
        if self._room < 0:
            self.close(str(_too_large(self._most_octets)))
        else:
            self.http.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server has closed it, or the network has, or we have."""
        self.cut = not reason.check(ConnectionDone)
        if self.verified:
            self.http.connectionLost(reason)
        else:
            no_tls = "the server ended the connection in place of TLS"
            self._fail(handshake_trouble(self._server, reason) or no_tls)

    def close(self, trouble: str) -> None:
        """End it at once: TLS would wait for the other side's goodbye, which a server that hangs
        never says."""
        self.trouble = self.trouble or trouble
        if self.transport is not None:
            self.transport.abortConnection()
        self._fail(trouble)

    def _fail(self, trouble: str) -> None:
        if not self.opened.called:
            self.opened.errback(FetchFailed(trouble))
            self.opened.addErrback(lambda _: None)  # where nobody waits for it any more
