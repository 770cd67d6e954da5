"""How a server stands with a pool: asked first, asked last, or not at all until it is back.

Faults alone move it. What a server says of a user, or against a request, says nothing of the
server; nor does one slow answer while others come.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from authbridge.ldap.faults import Fault

REST = 1.0
"""Seconds from the beginning of an attempt to connect that fails to the next one; twice as many
each time, up to LONGEST_REST."""
LONGEST_REST = 4.0
"""A server that is back should be used within 5 s; more often would be hammering."""
LONGEST_AVOIDED = 60.0
"""Seconds for which a server is avoided that connects again and again, and then fails."""


class Standing:
    """What is known of one server."""

    def __init__(self, clock: IReactorTime, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to 1: so that many daemons do not return all at once."""
        self._clock = clock
        self._chance = chance
        self.well = True
        """Whether there is nothing against it."""
        self.down: Fault | None = None
        """Why it cannot be connected to. Nobody waits for it before it can."""
        self.doubts: Fault | None = None
        """Why it may be away; until it is connected to, or cannot be."""
        self._attempts = 0  # that failed, since one succeeded
        self._avoided = 0  # times
        self._avoided_until = -LONGEST_AVOIDED
        self._avoiding: IDelayedCall | None = None

    @property
    def rank(self) -> int:
        """Whom to ask first: 0 where it is well, 1 where it may be, 2 where it is not."""
        return 0 if self.well else 1 if self.down is None else 2

    def connected(self) -> None:
        """It can be connected to."""
        self.down, self.doubts, self._attempts = None, None, 0
        self._weigh()

    def refused(self, fault: Fault) -> None:
        """It cannot, and there is no connection that is of use."""
        self.down, self.doubts = fault, None
        self._weigh()

    def rest(self) -> float:
        """An attempt has failed: seconds from its beginning to the next."""
        seconds = min(REST * 2.0**self._attempts, LONGEST_REST)
        self._attempts += seconds < LONGEST_REST
        return self._jittered(seconds)

    def doubt(self, fault: Fault) -> None:
        """It may be away: an attempt to connect will tell."""
        if self.down is None:
            self.doubts = fault
        self._weigh()

    def avoid(self) -> None:
        """It is there, and does not do its work. Leave it alone for a moment, and for longer where
        it has been like that a moment ago."""
        if self._avoiding is not None:
            return
        now = self._clock.seconds()
        if now - self._avoided_until >= LONGEST_AVOIDED:
            self._avoided = 0
        seconds = self._jittered(min(REST * 2.0**self._avoided, LONGEST_AVOIDED))
        self._avoided = min(self._avoided + 1, 10)
        self._avoided_until = now + seconds
        self._avoiding = self._clock.callLater(seconds, self._avoided_enough)
        self._weigh()

    def stop(self) -> None:
        """Forget what is to come."""
        if self._avoiding is not None:
            self._avoiding.cancel()
            self._avoiding = None

    def _avoided_enough(self) -> None:
        self._avoiding = None
        self._weigh()

    def _weigh(self) -> None:
        self.well = self.down is None and self.doubts is None and self._avoiding is None

    def _jittered(self, seconds: float) -> float:
        return seconds * (1.0 - 0.25 * self._chance())
