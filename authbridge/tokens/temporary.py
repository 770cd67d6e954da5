"""Temporary tokens: 256 random bits behind a prefix, which say nothing; what they are good for is
kept by who has issued them, beside their SHA-256 and never beside the token.

    abtt1_ base64url(32 random octets)      49 ASCII characters
"""

from __future__ import annotations

import hashlib
import re

from authbridge.tokens import base64url
from authbridge.tokens.refusals import Malformed

PREFIX = b"abtt1_"
RANDOM = 32
"""Octets: nobody guesses them, so that their hash needs no salt and no work."""
LENGTH = 49
ID_OCTETS = 16
ID = "[0-9a-f]{32}"
"""How an id is written (`id_of`)."""

_ID = re.compile(ID)


def make(octets: bytes) -> str:
    """The token of `RANDOM` random octets."""
    assert len(octets) == RANDOM
    return (PREFIX + base64url.encode(octets)).decode()


def digest(token: bytes) -> bytes:
    """What is kept of a token: the SHA-256 of its characters. Raises Malformed."""
    if len(token) != LENGTH or not token.startswith(PREFIX):
        raise Malformed(f"a temporary token has {LENGTH} characters and begins with abtt1_")
    try:
        base64url.decode(token[len(PREFIX) :])
    except ValueError as error:
        raise Malformed(f"behind abtt1_ is {error}") from None
    return hashlib.sha256(token).digest()


def id_of(digest: bytes) -> str:
    """What a token is called where it is listed, revoked and logged: 32 hexadecimal digits. They
    are the beginning of the hash, and let nobody in."""
    return digest[:ID_OCTETS].hex()


def is_id(text: str) -> bool:
    """Whether a text is written as an id is; a token itself is not."""
    return _ID.fullmatch(text) is not None
