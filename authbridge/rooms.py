"""The connections of one listener: how many, of whom, and which of them keep us waiting.

Descriptors are what a flood of connections runs out of first, and then nobody is served, by any
listener. So each has a room of its own. In a full one whoever has kept us waiting longest, without
a request or in the middle of one, makes way; whoever waits for our answer never does.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from operator import itemgetter
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

QUIET = 60.0
"""Seconds in which the log is told of the same trouble once."""
MOST = 16384
"""Connections of a listener where nothing is said: a container may have 10⁹ descriptors, and there
is no memory for as many connections."""
THE_REST = 0.25
"""Of the descriptors: what the connections of one front end always leave for everything else."""

log = Logger()


def sizes(
    descriptors: int, share: float, listeners: int, most: int | None, of_a_peer: int | None
) -> tuple[int, int]:
    """How many connections each of so many listeners of one front end takes, and how many of them
    of one peer.

    Where the configuration does not say (`most`, `of_a_peer`), it is this share of the descriptors,
    and three quarters of a listener's. Raises ValueError where what it says does not fit.
    """
    if most is None:
        most = min(MOST, max(1, int(descriptors * share) // max(1, listeners)))
    elif most * listeners > descriptors * (1 - THE_REST):
        raise ValueError(
            f"{most * listeners} connections ({most} of each listener) are too many for the "
            f"{descriptors} descriptors that the daemon may have (ulimit -n), of which a quarter "
            "is for everything else"
        )
    return most, of_a_peer or max(1, most * 3 // 4)


class Guest(Protocol):
    """A connection in a room."""

    def overdue(self) -> None:
        """What it was expected to do by now has not come; it may be given a last moment."""
        ...

    def make_way(self) -> None:
        """End at once: the place is needed."""
        ...


class Room:
    """The connections of one listener."""

    def __init__(self, name: str, clock: IReactorTime, most: int, most_of_a_peer: int) -> None:
        """`name` is the listener's, for the log."""
        self._name = name
        self._clock = clock
        self._most = most
        self._most_of_a_peer = most_of_a_peer
        self._peers: dict[Guest, str] = {}
        self._of_a_peer: Counter[str] = Counter()
        # By the seconds that each was given: those given the same are overdue in order of arrival.
        self._expected: dict[float, dict[Guest, float]] = {}
        # The same seconds by peer: its guests in the order in which they began to be expected.
        self._given: dict[str, dict[Guest, float]] = {}
        self._alarm: IDelayedCall | None = None
        self._said: dict[str, float] = {}

    def enter(self, guest: Guest, peer: str) -> bool:
        """Take a place, if there is one or somebody can make way; False: there is none."""
        crowded = self._of_a_peer[peer] >= self._most_of_a_peer
        if crowded or len(self._peers) >= self._most:
            full = f"{self._most_of_a_peer} of {peer}" if crowded else f"{self._most}"
            idler = self._longest_expected_of(peer) if crowded else self._longest_expected()
            if idler is None:
                self._say(full, "whoever comes is turned away")
                return False
            self._say(full, "whoever has kept it waiting longest makes way")
            self.leave(idler)
            idler.make_way()
        self._peers[guest] = peer
        self._of_a_peer[peer] += 1
        return True

    def leave(self, guest: Guest) -> None:
        """Give up the place; nothing happens where there is none."""
        self.served(guest)
        peer = self._peers.pop(guest, None)
        if peer is None:
            return
        self._of_a_peer[peer] -= 1
        if not self._of_a_peer[peer]:
            del self._of_a_peer[peer]
            self._given.pop(peer, None)

    def close(self) -> None:
        """Everybody has to go."""
        for guest in tuple(self._peers):
            guest.make_way()

    def expect(self, guest: Guest, seconds: float) -> None:
        """We wait for the guest, for this long from now on."""
        peer = self._peers.get(guest)
        if peer is None:
            return
        self.served(guest)
        self._given.setdefault(peer, {})[guest] = seconds
        self._expected.setdefault(seconds, {})[guest] = self._clock.seconds() + seconds
        if self._alarm is None or self._alarm.getTime() > self._clock.seconds() + seconds:
            self._set_alarm()

    def served(self, guest: Guest) -> None:
        """The guest waits for us, for as long as that takes."""
        seconds = self._given_to(guest).pop(guest, None)
        if seconds is not None:
            del self._expected[seconds][guest]

    def _given_to(self, guest: Guest) -> dict[Guest, float]:
        """The seconds of all who have the guest's peer and are expected."""
        return self._given.get(self._peers.get(guest, ""), {})

    def _longest_expected(self) -> Guest | None:
        firsts = [
            (until - seconds, guest)
            for seconds, guests in self._expected.items()
            for guest, until in islice(guests.items(), 1)
        ]
        return min(firsts, key=itemgetter(0))[1] if firsts else None

    def _longest_expected_of(self, peer: str) -> Guest | None:
        """Found without a look at anybody else's: a peer that has all its places may come a
        thousand times a second, and everybody would wait for the search."""
        return next(iter(self._given.get(peer, ())), None)

    def _set_alarm(self) -> None:
        """For the one who is overdue first."""
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None
        firsts = [next(iter(guests.values())) for guests in self._expected.values() if guests]
        if firsts:
            wait = max(0.0, min(firsts) - self._clock.seconds())
            self._alarm = self._clock.callLater(wait, self._ring)

    def _ring(self) -> None:
        now = self._clock.seconds()
        overdue = []
        for guests in self._expected.values():
            for guest, until in guests.items():
                if until > now:
                    break
                overdue.append(guest)
        for guest in overdue:
            seconds = self._given_to(guest).get(guest)
            if seconds is None or self._expected[seconds][guest] > now:
                continue  # it has left, or was given more time, when another was told
            self.served(guest)
            try:
                guest.overdue()
            except Exception:  # noqa: BLE001 - a fault of one must not spare all others
                log.failure("a connection is overdue, and was not ended")
        self._set_alarm()

    def _say(self, what: str, then: str) -> None:
        now = self._clock.seconds()
        if now - self._said.get(then, -QUIET) >= QUIET:
            self._said[then] = now
            log.warn(
                "{name} is full ({what} connections): {then}", name=self._name, what=what, then=then
            )
