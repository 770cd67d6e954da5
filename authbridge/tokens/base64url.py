"""base64url without padding (RFC 7515, 2), in its one canonical form.

The standard library drops foreign characters and ignores what is left over in the last one, so
that one token would have many spellings.
"""

from __future__ import annotations

import binascii

# A character that is not of base64url becomes one that is not of base64 either.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", None, b"==", b"=")
# What the last character may be where it has four or two bits more than the octets need.
_LAST = (None, None, frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))


def decode(text: bytes) -> bytes:
    """The octets. Raises ValueError where it is not the one form of any."""
    rest = len(text) % 4
    padding, last = _PADDING[rest], _LAST[rest]
    if padding is None or (last is not None and text[-1] not in last):
        raise ValueError("not the one form that base64url has for any octets")
    try:
        return binascii.a2b_base64(text.translate(_TO_STANDARD) + padding, strict_mode=True)
    except binascii.Error:
        raise ValueError("not in base64url") from None


def encode(octets: bytes) -> bytes:
    """Its one form."""
    return binascii.b2a_base64(octets, newline=False).translate(_TO_URL).rstrip(b"=")
