"""One limit for what is sent, one timer for all of it: who was sent first is due first."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Due(Protocol):
    """Something that must end in time."""

    ended: bool
    due: float
    """When it is, in seconds; set by `watch`. Who sets it to something else is not expired."""

    def expire(self) -> None:
        """Its time is over, and it has not ended."""


class Deadlines:
    """Expires whatever has not ended `seconds` after it was put in line."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self._line: deque[tuple[float, Due]] = deque()
        self._timer: IDelayedCall | None = None
        self._ringing = False

    def watch(self, due: Due) -> None:
        """Put it in line."""
        line = self._line
        while line and line[0][1].ended:  # so that the line is as long as what is under way
            line.popleft()
        due.due = moment = self._clock.seconds() + self.seconds
        line.append((moment, due))
        if self._timer is None and not self._ringing:
            self._timer = self._clock.callLater(self.seconds, self._ring)

    def waited(self, due: Due) -> float:
        """Seconds since it was put in line."""
        return self._clock.seconds() + self.seconds - due.due

    def stop(self) -> None:
        """Watch nothing any more."""
        self._line.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer, self._ringing = None, True
        line, now = self._line, self._clock.seconds()
        try:
            while line and (line[0][1].ended or line[0][0] <= now):
                moment, due = line.popleft()
                if not due.ended and due.due == moment:
                    due.expire()
        finally:  # a bug in one costs nobody else's deadline
            self._ringing = False
            if line:
                self._timer = self._clock.callLater(max(0.0, line[0][0] - now), self._ring)
