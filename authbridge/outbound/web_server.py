"""Requests to the server of one URL, over connections that are kept for a while.

The server is verified before it is told anything (see links). The limits and the deadline are
ours: an answer has so many octets, a request so much time, the wait for its turn included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from authbridge.outbound import places
from authbridge.outbound.body import TooLarge, read_body
from authbridge.outbound.kept import Kept
from authbridge.outbound.links import (
    CUT,
    FAILURES,
    Link,
    Octets,
    Route,
    Trouble,
    too_large,
    words_for,
)
from authbridge.outbound.places import Place
from authbridge.turns import LineFull, Turns

KEPT = 10.0
"""Seconds for which a connection without a request is kept."""
GOODBYE = 10.0
"""Seconds that a server which need not answer has to read what it was sent."""
MOST_LEFT = 256
"""Connections to one that has not yet done so: no request waits for these."""
MOST_WAITING = 1000
"""Requests that wait for one of the connections."""


_CLOSED = "no more is asked of this server: the daemon stops"


class Unreached(Exception):
    """Nothing was answered, or no HTTP; the text says why, without a word of either side."""

    def __init__(self, words: str, *, stale: bool = False) -> None:
        super().__init__(words)
        self.stale = stale
        """Whether a kept connection turned out to be closed by the server before any octet of an
        answer came: it may well not have seen the request, which can be repeated."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the server answers."""

    status: int
    content: bytes
    """The media type in lower case, without parameters; empty where there is none, or several."""
    body: bytes = field(repr=False)


def url_trouble(url: str, *, clear_text: bool) -> str:
    """Why this URL cannot be called; empty where it can. HTTP without TLS goes to this machine
    alone, or with `clear_text` anywhere."""
    if trouble := places.trouble(url, ("https://", "http://"), "it should begin with https://"):
        return trouble
    place = Place.of(url)
    if place.tls or place.is_loopback or clear_text:
        return ""
    return "it should begin with https://: what is sent there passes a network without protection"


@implementer(IAgentEndpointFactory)
class WebServer:
    """The server of one URL."""

    def __init__(
        self,
        url: str,
        context: SSL.Context | None,
        reactor: Any,
        *,
        most_octets: int,
        at_once: int,
    ) -> None:
        """`url` is one that `url_trouble` has nothing against; `context` is for HTTPS.
        `most_octets`: of an answer's body. `at_once`: requests, and so connections."""
        self._url = url.encode("ascii")
        self._reactor = reactor
        self._most_octets = most_octets
        self._turns = Turns(at_once, MOST_WAITING)
        self._kept = Kept(reactor, KEPT, at_once)
        self._left = Kept(reactor, GOODBYE, MOST_LEFT)
        self._route = Route(Place.of(url), context, reactor, most_octets)
        self._requests: set[_Request] = set()
        self._closed = False

    async def request(
        self,
        method: bytes,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout: float,  # noqa: ASYNC109 - of Twisted, which has no context managers for it
        line: str = "",
    ) -> Response:
        """The answer, which comes within `timeout` seconds. No redirect is followed, no cookie
        kept, no proxy known, nothing compressed is taken. Raises Unreached; when it is cancelled,
        its connection is ended. A GET for which a kept connection was stale is repeated. Who waits
        for a connection waits in his `line`, and the lines take turns."""
        response = await self._within(timeout, _Request(method, headers, body, line=line))
        assert response is not None  # which is what silence comes to
        return response

    async def tell(
        self,
        method: bytes,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeout: float,  # noqa: ASYNC109 - as above
        silence: float,
    ) -> Response | None:
        """The same for what need not be answered: None where nothing has come `silence` seconds
        after it was sent, over a connection that is still there, and is left then."""
        return await self._within(timeout, _Request(method, headers, body, self._reactor, silence))

    def close(self) -> None:
        """End every connection; whoever waits for an answer gets none, nor does anybody later."""
        self._closed = True
        self._kept.clear()
        self._left.clear()
        for request in tuple(self._requests):
            request.settle(Failure(Unreached(_CLOSED)))

    async def _within(self, seconds: float, request: _Request) -> Response | None:
        def too_late(_result: object, _seconds: float) -> NoReturn:
            what = "connection" if request.link is None else "whole answer"
            raise Unreached(f"no {what} in {seconds:g} s")

        self._requests.add(request)
        asking: Deferred[Response | None] = Deferred.fromCoroutine(self._in_turn(request))
        asking.addTimeout(seconds, self._reactor, too_late).addBoth(request.settle)
        try:
            return await request.outcome
        finally:
            self._requests.discard(request)
            request.forget_silence()
            asking.cancel()

    async def _in_turn(self, request: _Request) -> Response:
        try:
            turn = self._turns.take(request.line)
        except LineFull:
            raise Unreached("too many requests wait for this server") from None
        if turn is not None:
            await turn
        try:
            return await self._repeated(request)
        finally:
            self._turns.leave()

    async def _repeated(self, request: _Request) -> Response:
        try:
            return await self._once(request)
        except Unreached as error:
            if not error.stale:
                raise
            self._kept.clear()  # which will be stale too
            if request.method != b"GET":
                raise
        return await self._once(request)

    async def _once(self, request: _Request) -> Response:
        if self._closed:
            raise Unreached(_CLOSED)
        request.begin()
        try:
            return await self._ask(request)
        except FAILURES as error:
            link = request.link
            stale = link is not None and link.stale
            raise Unreached(words_for(error, link), stale=stale) from None
        finally:
            if request.link is not None and request.link.left:
                self._left.put(request.link)
            elif request.link is not None and not request.link.idle:
                request.link.close("we have ended the connection")

    async def _ask(self, request: _Request) -> Response:
        agent = Agent.usingEndpointFactory(self._reactor, self, _Way(self, request))
        headers = Headers({"User-Agent": ["authbridge"]})  # some hosters answer 403 to nobody
        for name, value in request.headers.items():
            headers.setRawHeaders(name, [value])
        headers.setRawHeaders("Accept-Encoding", ["identity"])
        producer = Octets(request.body, request.sent) if request.body else None
        response = await agent.request(request.method, self._url, headers, producer)
        if response.headers.getRawHeaders(b"Content-Encoding", [b"identity"]) != [b"identity"]:
            raise Trouble("the answer is compressed, which was not asked for")
        try:
            octets = await read_body(response, self._most_octets)
        except TooLarge:
            raise Trouble(too_large(self._most_octets)) from None
        link = request.link
        assert link is not None
        if link.cut:  # by anybody: an answer without a length ends with a goodbye alone
            raise Trouble(CUT)
        link.rest()
        if not link.over:
            self._kept.put(link)
        types = response.headers.getRawHeaders(b"Content-Type", [])
        content = types[0].partition(b";")[0].strip().lower() if len(types) == 1 else b""
        return Response(response.code, content, octets)

    async def connection(self, request: _Request) -> HTTP11ClientProtocol:
        """One for this request: a kept one, or another."""
        link = self._kept.take() or await self._route.connect(self._drop)
        link.begin()
        request.link = link
        return link.http

    def _drop(self, link: Link) -> None:
        self._kept.drop(link)
        self._left.drop(link)

    def endpointForURI(self, uri: URI) -> None:
        """See IAgentEndpointFactory. There is one URL, since no redirect is followed."""


class _Request:
    """What is asked, and how far that is."""

    def __init__(
        self,
        method: bytes,
        headers: Mapping[str, str],
        body: bytes,
        clock: IReactorTime | None = None,
        silence: float = 0,
        line: str = "",
    ) -> None:
        """With a clock it is over after so many seconds of silence."""
        self.method = method
        self.headers = headers
        self.body = body
        self.line = line
        self._clock = clock
        self._silence = silence
        self._timer: IDelayedCall | None = None
        self.link: Link | None = None
        """The connection that it was sent on."""
        self.outcome: Deferred[Response | None] = Deferred()
        """Of its own: what comes of a cancelled request differs. None: silence."""

    def settle(self, result: Response | Failure | None) -> None:
        """The outcome, unless there is one."""
        if not self.outcome.called:
            self.outcome.callback(result)

    def begin(self) -> None:
        """It is to be sent, once more perhaps."""
        self.link = None
        self.forget_silence()

    def sent(self) -> None:
        """Its last octet is on its way."""
        if self._clock is not None:
            self._timer = self._clock.callLater(self._silence, self._quiet)

    def forget_silence(self) -> None:
        """There is an end, or a new beginning."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _quiet(self) -> None:
        assert self.link is not None  # it was sent on one that is still there
        if not self.link.heard:
            self.link.leave()
            self.settle(None)


class _Way:
    """Stands in for the pool of Twisted's agent, for one request."""

    persistent = True

    def __init__(self, server: WebServer, request: _Request) -> None:
        self._server = server
        self._request = request

    def getConnection(self, key: object, endpoint: object) -> Deferred[HTTP11ClientProtocol]:
        """See HTTPConnectionPool."""
        return Deferred.fromCoroutine(self._server.connection(self._request))
