"""What compact and xcauth tokens have in common: a MAC that has to be made again to be verified."""

from __future__ import annotations

import hmac
from typing import NamedTuple


class MacToken(NamedTuple):
    """A token that was read, and not yet verified."""

    key_id: bytes
    expiry: int
    """Seconds since the epoch."""
    mac: bytes
    head: bytes
    """Of what the MAC is over, that part which the token itself has."""


def keyed(secret: bytes) -> hmac.HMAC:
    """HMAC-SHA-256 with this secret, before any message: to take it up again costs half as much as
    to begin anew. `copy` it, and never update it."""
    return hmac.new(secret, digestmod="sha256")


def digest(keyed: hmac.HMAC, message: bytes) -> bytes:
    """The 32 octets of a message's MAC."""
    mac = keyed.copy()
    mac.update(message)
    return mac.digest()
