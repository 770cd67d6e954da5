"""Which secrets are tokens, by their looks alone: a password must never be taken for one, and a
token, good or broken, never for a password.

A directory that is asked about a token counts a wrong password, and learns the token.
"""

from __future__ import annotations

import binascii
import enum
import re
from collections.abc import Container

from authbridge.tokens import compact, temporary, xcauth


class Form(enum.Enum):
    """A kind of token; its value is its name in the configuration."""

    JWT = "jwt"
    COMPACT = "compact"
    XCAUTH = "xcauth"
    TEMPORARY = "temporary"
    RESERVED = "reserved"
    """Begins like a token of ours, of a kind that this version does not know."""


# Ours: "abt", a letter for the kind, a digit for its version, and an underscore.
_OURS = re.compile(rb"abt[a-z][0-9]_")
_OF_OURS = {compact.PREFIX: Form.COMPACT, temporary.PREFIX: Form.TEMPORARY}
_OURS_WITHIN = re.compile(rb"abt[a-z][0-9]_[A-Za-z0-9_-]{40}")
# The beginning of a JSON object as a header has it. Three octets of it alone begin names as well.
_OBJECT = re.compile(rb'\{[\t\n\r ]*"[\x20-\x7e]{8}')
_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_OTHERS = bytes(set(range(256)) - set(_STANDARD + b"-_"))
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_MOST_LOOKED_AT = 12_000
"""Octets of a header: more than a whole token may have."""


def recognise(secret: bytes, xcauth_key_ids: Container[bytes]) -> Form | None:
    """The form of a token, or None where it is none.

    What comes with copying (blanks, quotes, "Bearer") makes it a bad token, and no password.
    xcauth's has no mark of its own, so that the key id has to be one of these.
    """
    bare = secret.strip()
    length = len(bare)
    if length <= xcauth.LENGTH + 1 and length >= xcauth.LENGTH:
        one = bare.rstrip(b"=")
        if len(one) == xcauth.LENGTH and xcauth.looks_like_one(one, xcauth_key_ids):
            return Form.XCAUTH
    ours = _OURS.match(bare) or (_OURS_WITHIN.search(bare) if b"abt" in bare else None)
    if ours is not None:
        return _OF_OURS.get(ours[0][: len(compact.PREFIX)], Form.RESERVED)
    if b"." in bare and (_has_header(bare) or _is_within(bare)):
        return Form.JWT
    return None


def _has_header(secret: bytes) -> bool:
    """Whether the first part is a JSON object, or holds the header of a token in another encoding,
    behind a byte order mark, or with characters in between."""
    first = secret[: min(secret.index(b"."), _MOST_LOOKED_AT)]
    text = first.translate(_TO_STANDARD, delete=_OTHERS)
    if _OBJECT.match(_decode(text)):
        return True
    # Something before it ("Bearer") shifts what is decoded.
    return any(b'"alg"' in _decode(text[start:]).replace(b"\0", b"") for start in range(4))


def _decode(text: bytes) -> bytes:
    return binascii.a2b_base64(text[: len(text) // 4 * 4])


def _is_within(secret: bytes) -> bool:
    """Whether there is a token somewhere in it: header and payload both begin with '{"'."""
    payload = secret.rfind(b".eyJ")
    return payload > 0 and b"eyJ" in secret[max(0, payload - _MOST_LOOKED_AT) : payload]
