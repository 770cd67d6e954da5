"""The time-limited token of JSXC and Nextcloud, version 0, as xmpp-cloud-auth verifies it
(`xclib/sigcloud.py`; made by `lib/TimeLimitedToken.php` of jsxc.nextcloud).

    raw (23 octets) = version 0 (1) ‖ MAC (16) ‖ key id (2) ‖ expiry (4)
    MAC = the first 16 octets of HMAC-SHA-256(secret, version ‖ key id ‖ expiry ‖ user@domain)
    key id = the first 2 octets of SHA-256(secret)

in base64 without padding, where O, I and l are written as -, $ and %. The expiry is in seconds
since the epoch, most significant octet first. xmpp-cloud-auth takes any spelling that base64 has;
here there is one.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Container

from authbridge.tokens.mac_token import MacToken, digest, keyed
from authbridge.tokens.refusals import Malformed

LENGTH = 31
KEY_ID = 2
LEAST_SECRET = 16
"""Octets: as many as the MAC has. Nextcloud makes secrets of 23 characters."""

_ANY_SPELLING = re.compile(rb"[A-Za-z0-9+/$%-]{31}")
# The last character has two bits more than the octets need.
_FORM = re.compile(rb"[A-HJ-NP-Za-km-z0-9+/$%-]{30}[AEMQUYcgkosw048$]")
_TO_TOKEN = bytes.maketrans(b"OIl", b"-$%")
_TO_STANDARD = bytes.maketrans(b"-$%", b"OIl")
_VERSION = b"\0"
_MAC = 16


def key_id(secret: bytes) -> bytes:
    """How a token names its key."""
    return hashlib.sha256(secret).digest()[:KEY_ID]


def make(secret: bytes, jid: str, expiry: int) -> str:
    """A token for a prepared bare JID, good until `expiry`."""
    head = key_id(secret) + expiry.to_bytes(4, "big")
    raw = _VERSION + _mac(keyed(secret), head, jid) + head
    text = binascii.b2a_base64(raw, newline=False).rstrip(b"=")
    return text.translate(_TO_TOKEN).decode()


def looks_like_one(secret: bytes, key_ids: Container[bytes]) -> bool:
    """Whether these 31 octets are a token of one of these keys, in any spelling: a password may
    have as many characters, and one in 16 million would pass for a key's token."""
    if not _ANY_SPELLING.fullmatch(secret):
        return False
    raw = _decode(secret)
    return raw[0] == 0 and raw[17:19] in key_ids


def read(token: bytes) -> MacToken:
    """Take a token apart. Raises Malformed."""
    if not _FORM.fullmatch(token):
        raise Malformed("not the one spelling that 23 octets have in xcauth's base64")
    raw = _decode(token)
    if raw[0] != 0:
        raise Malformed("not of version 0")
    return MacToken(raw[17:19], int.from_bytes(raw[19:], "big"), raw[1:17], raw[17:])


def _decode(token: bytes) -> bytes:
    return binascii.a2b_base64(token.translate(_TO_STANDARD) + b"=")


def is_signed(token: MacToken, key: hmac.HMAC, jid: str) -> bool:
    """Whether this key (see `mac_token.keyed`) has signed it, for this JID."""
    return hmac.compare_digest(_mac(key, token.head, jid), token.mac)


def _mac(key: hmac.HMAC, head: bytes, jid: str) -> bytes:
    return digest(key, b"%b%b%b" % (_VERSION, head, jid.encode()))[:_MAC]
