"""What `/oauth/token` hands out for a right password, and `/oauth/userinfo` takes back: who has
logged in, for the moment between the two.

    abto1_ base64url(32 random octets)

Kept in the memory of this daemon alone, beside its hash and not beside itself, and good once. It
looks like a token of ours that nobody accepts (`tokens.forms`), so that it is never a password.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from authbridge.model import JID
from authbridge.tokens import base64url

PREFIX = b"abto1_"
RANDOM = 32
"""Octets."""
LIFE = 30.0
"""Seconds: Prosody comes back at once, when it has read the answer."""
MOST = 20_000
"""Tickets; then the oldest is forgotten. Who asks at `/oauth/token` alone takes none of them."""


class Ticket(NamedTuple):
    """Who has logged in, and when that is over (seconds of the clock)."""

    jid: JID
    ends: float


class Tickets:
    """All that are good."""

    def __init__(self, clock: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        """`clock`: seconds that never go back. `entropy`: so many random octets."""
        self._clock = clock
        self._entropy = entropy
        self._kept: OrderedDict[bytes, Ticket] = OrderedDict()

    def issue(self, jid: JID) -> str:
        """A new one, good for `LIFE` seconds."""
        now = self._clock()
        while self._kept and (len(self._kept) >= MOST or self._oldest.ends <= now):
            self._kept.popitem(last=False)
        ticket = PREFIX + base64url.encode(self._entropy(RANDOM))
        self._kept[_digest(ticket)] = Ticket(jid, now + LIFE)
        return ticket.decode()

    def take(self, ticket: bytes) -> JID | None:
        """Who has logged in by it; None where it is not, or no longer, good."""
        found = self._kept.pop(_digest(ticket), None)
        return found.jid if found is not None and self._clock() < found.ends else None

    @property
    def _oldest(self) -> Ticket:
        return next(iter(self._kept.values()))


def is_one(token: bytes) -> bool:
    """Whether it looks like one."""
    return token.startswith(PREFIX)


def _digest(ticket: bytes) -> bytes:
    return hashlib.sha256(ticket).digest()
