"""The connections of one listener: how many, of whom, and which of them keep us waiting.

Descriptors are what a flood of connections runs out of first, and then nobody is served, by any
listener. So each has a room of its own. In a full one whoever has kept us waiting longest, without
a request or in the middle of one, makes way; whoever waits for our answer never does.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections import Counter
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

QUIET = 60.0
"""Seconds in which a full room is told of once."""

log = Logger()


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
        self._given: dict[Guest, float] = {}
        self._alarm: IDelayedCall | None = None
        self._said = -QUIET

    def enter(self, guest: Guest, peer: str) -> bool:
        """Take a place, if there is one or somebody can make way; False: there is none."""
        crowded = self._of_a_peer[peer] >= self._most_of_a_peer
        if crowded or len(self._peers) >= self._most:
            self._say(f"{self._most_of_a_peer} of {peer}" if crowded else f"{self._most}")
            idler = self._longest_expected(peer if crowded else None)
            if idler is None:
                return False
            self.leave(idler)
            idler.make_way()
        self._peers[guest] = peer
        self._of_a_peer[peer] += 1
        return True

    def leave(self, guest: Guest) -> None:
        """Give up the place; nothing happens where there is none."""
        peer = self._peers.pop(guest, None)
        if peer is None:
            return
        self.served(guest)
        self._of_a_peer[peer] -= 1
        if not self._of_a_peer[peer]:
            del self._of_a_peer[peer]

    def expect(self, guest: Guest, seconds: float) -> None:
        """We wait for the guest, for this long from now on."""
        if guest not in self._peers:
            return
        self.served(guest)
        self._given[guest] = seconds
        self._expected.setdefault(seconds, {})[guest] = self._clock.seconds() + seconds
        if self._alarm is None or self._alarm.getTime() > self._clock.seconds() + seconds:
            self._set_alarm()

    def served(self, guest: Guest) -> None:
        """The guest waits for us, for as long as that takes."""
        seconds = self._given.pop(guest, None)
        if seconds is not None:
            del self._expected[seconds][guest]

    def _longest_expected(self, peer: str | None) -> Guest | None:
        """Of this peer, or of all."""
        found: list[tuple[float, Guest]] = []
        for seconds, guests in self._expected.items():
            for guest, until in guests.items():
                if peer is None or self._peers[guest] == peer:
                    found.append((until - seconds, guest))
                    break
        return min(found, key=lambda each: each[0])[1] if found else None

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
            seconds = self._given.get(guest)
            if seconds is None or self._expected[seconds][guest] > now:
                continue  # it has left, or was given more time, when another was told
            self.served(guest)
            try:
                guest.overdue()
            except Exception:  # noqa: BLE001 - a fault of one must not spare all others
                log.failure("a connection is overdue, and was not ended")
        self._set_alarm()

    def _say(self, what: str) -> None:
        now = self._clock.seconds()
        if now - self._said >= QUIET:
            self._said = now
            log.warn(
                "{name} is full ({what} connections): who keeps it waiting longest makes way, "
                "and where nobody does, who comes is turned away",
                name=self._name,
                what=what,
            )


UNIX = "unix"
"""The address of whoever comes by a Unix socket."""


def address_of(transport: Any) -> str:
    """The IP address at the other end, or `UNIX`."""
    host: str | None = getattr(transport.getPeer(), "host", None)
    return UNIX if host is None else plain_address(host)


def plain_address(host: str) -> str:
    """An address of a socket: IPv4 in its own form, also where it came over IPv6; without the zone
    of IPv6."""
    address = host.partition("%")[0]
    return address.removeprefix("::ffff:") if "." in address else address


def peer_of(transport: Any) -> str:
    """Whose a connection is: an address (of IPv6 the /64 that one caller has), or "uid N"."""
    address = address_of(transport)
    if address == UNIX:
        return f"uid {credentials(transport.socket)[1]}"
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def credentials(sock: socket.socket) -> tuple[int, int]:
    """pid and uid of the process at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", octets)
    return pid, uid
