"""Compact tokens: an expiry and an HMAC in 62 ASCII characters, for password fields and front ends
with limits. docs/tokens.md has the form octet by octet, and vectors that every version must verify.

    abtc1_ base64url(key id (4) ‖ expiry (6) ‖ MAC (32))

    key id = the first 4 octets of HMAC-SHA-256(secret, "authbridge compact key id")
    MAC    = HMAC-SHA-256(secret, "authbridge compact 1" NUL purpose NUL key id ‖ expiry ‖ bare JID)

The expiry is in seconds since the epoch, most significant octet first. Who it is for and what it is
good for are in the MAC alone: the verifier has to know.
"""

from __future__ import annotations

import hmac

from authbridge.tokens import base64url
from authbridge.tokens.mac_token import MacToken, digest, keyed
from authbridge.tokens.refusals import Malformed

PREFIX = b"abtc1_"
LENGTH = 62
LOGIN = "login"
"""The purpose of a token that is presented as a password."""
KEY_ID = 4
LEAST_SECRET = 32
"""Octets: as many as SHA-256 has."""

_EXPIRY = 6
_HEAD = KEY_ID + _EXPIRY


def key_id(secret: bytes) -> bytes:
    """How a token names its key."""
    return hmac.digest(secret, b"authbridge compact key id", "sha256")[:KEY_ID]


def make(secret: bytes, jid: str, expiry: int, purpose: str = LOGIN) -> str:
    """A token for a prepared bare JID, good until `expiry`."""
    head = key_id(secret) + expiry.to_bytes(_EXPIRY, "big")
    return (PREFIX + base64url.encode(head + _mac(keyed(secret), head, jid, purpose))).decode()


def read(token: bytes) -> MacToken:
    """Take a token apart. Raises Malformed."""
    if len(token) != LENGTH or not token.startswith(PREFIX):
        raise Malformed(f"a compact token has {LENGTH} characters and begins with abtc1_")
    try:
        octets = base64url.decode(token[len(PREFIX) :])
    except ValueError as error:
        raise Malformed(f"behind abtc1_ is {error}") from None
    head, mac = octets[:_HEAD], octets[_HEAD:]
    return MacToken(head[:KEY_ID], int.from_bytes(head[KEY_ID:], "big"), mac, head)


def is_signed(token: MacToken, key: hmac.HMAC, jid: str, purpose: str = LOGIN) -> bool:
    """Whether this key (see `mac_token.keyed`) has signed it, for this JID and this purpose."""
    return hmac.compare_digest(_mac(key, token.head, jid, purpose), token.mac)


def _mac(key: hmac.HMAC, head: bytes, jid: str, purpose: str) -> bytes:
    message = b"authbridge compact 1\0%b\0%b%b" % (purpose.encode(), head, jid.encode())
    return digest(key, message)
