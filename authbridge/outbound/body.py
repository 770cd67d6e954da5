"""The body of an answer, up to so many octets."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse


class TooLarge(Exception):
    """It has more octets than it may have."""


async def read_body(response: IResponse, most_octets: int) -> bytes:
    """All of it. Raises TooLarge as soon as it is, and whatever ends the connection too soon."""
    if response.length is not UNKNOWN_LENGTH and response.length > most_octets:
        raise TooLarge
    body = _Body(most_octets)
    response.deliverBody(body)
    return await body.whole


class _Body(Protocol):
    """Collects what is delivered."""

    def __init__(self, most_octets: int) -> None:
        self.whole: Deferred[bytes] = Deferred()
        self._room = most_octets
        self._octets: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """A part of it."""
        self._room -= len(data)
        if self._room >= 0:
            self._octets.append(data)
        elif not self.whole.called:
            self._octets.clear()
            self.whole.errback(TooLarge())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end. What has neither a length nor chunks ends with the connection."""
        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(b"".join(self._octets))
        else:
            self.whole.errback(reason)
