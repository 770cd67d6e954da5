"""Connections that have answered, kept a while for the next requests.

Twisted's own pool does not tell which connection a request gets, so that nobody could know whether
it was a stale one; and it keeps those that we have ended.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from authbridge.outbound.links import Link


class Kept:
    """Those to one server."""

    def __init__(self, clock: IReactorTime, seconds: float, most: int) -> None:
        """Each is kept so long, unless there come more than so many."""
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._timers: dict[Link, IDelayedCall] = {}
        """In the order in which they came."""

    def put(self, link: Link) -> None:
        """Keep this one; the oldest makes way."""
        if len(self._timers) >= self._most:
            oldest = next(iter(self._timers))
            self.drop(oldest)
            oldest.abort()
        self._timers[link] = self._clock.callLater(self._seconds, self._end, link)

    def take(self) -> Link | None:
        """The one that was used last, and so will be there most likely; None where there is none
        that a request can be sent on."""
        while self._timers:
            link, timer = self._timers.popitem()
            timer.cancel()
            if link.ready:
                return link
            link.abort()
        return None

    def drop(self, link: Link) -> None:
        """It has ended; nothing happens where it is not kept."""
        if (timer := self._timers.pop(link, None)) is not None:
            timer.cancel()

    def clear(self) -> None:
        """End them all."""
        for link in tuple(self._timers):
            self.drop(link)
            link.abort()

    def _end(self, link: Link) -> None:
        del self._timers[link]
        link.abort()
