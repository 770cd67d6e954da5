"""A clock that never goes back: what has expired stays expired when the machine's clock is set."""

from __future__ import annotations

from collections.abc import Callable


class Clock:
    """Seconds since the epoch by the machine's clock; where that was set back, from the latest
    moment on by a clock that nobody sets."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """Both in seconds."""
        self._wall = wall
        self._monotonic = monotonic
        # The latest moment, and when that was by the other clock; both at once, for who asks
        # `ahead` from another thread.
        self._latest = (wall(), monotonic())

    def now(self) -> float:
        """The moment."""
        latest, read = self._latest
        reads = self._monotonic()
        moment = max(self._wall(), latest + max(0.0, reads - read))
        self._latest = (moment, reads)
        return moment

    def wall(self) -> float:
        """The moment by the machine's clock, which may go back."""
        return self._wall()

    def not_before(self, moment: float) -> None:
        """It is later than this."""
        if moment > self.now():
            self._latest = (moment, self._latest[1])

    def ahead(self) -> float:
        """Seconds by which it is ahead of the machine's clock. May be asked by any thread; the
        rest is for one alone."""
        latest, read = self._latest
        return max(0.0, latest + self._monotonic() - read - self._wall())
