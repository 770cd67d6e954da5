"""BER as LDAP uses it (X.690; RFC 4511, 5.1): definite lengths, one-octet tags, and no more.

Reading never trusts a length: an element lies inside its parent or is Malformed. Lengths may be
longer than they need be, since Active Directory writes `84 00 00 00 xx`.
"""

from __future__ import annotations

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31

MOST_LENGTH_OCTETS = 4

# The lengths of nearly everything, made once.
_SHORT = tuple(bytes((size,)) for size in range(0x80))


class Malformed(Exception):
    """These octets are no reply that a directory may send. The text says what was found, never
    what was in it."""


def length(size: int) -> bytes:
    """A length in the shortest form."""
    if size < 0x80:
        return _SHORT[size]
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def element(tag: int, content: bytes) -> bytes:
    """An element with this content."""
    return _tag(tag) + length(len(content)) + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """An INTEGER, or with its tag an ENUMERATED, that is not negative."""
    return element(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tag(tag: int) -> bytes:
    return bytes((tag,))


def read(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The tag of the element at `at`, and where its content starts and stops.

    Raises Malformed unless all of it lies before `end`.
    """
    start = at + 2
    if start > end:
        raise Malformed("an element ends within its header")
    size = data[at + 1]
    if size >= 0x80:
        count = size & 0x7F
        if not 0 < count <= MOST_LENGTH_OCTETS:
            raise Malformed("a length is indefinite, or longer than four octets")
        start += count
        if start > end:
            raise Malformed("an element ends within its header")
        size = int.from_bytes(data[at + 2 : start], "big")
    stop = start + size
    if stop > end:
        raise Malformed("an element is longer than what it is in")
    return data[at], start, stop


def expect(tag: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the content of the element at `at` starts and stops. Raises Malformed unless it has
    this tag."""
    start = at + 2
    if start <= end and data[at] == tag and (size := data[at + 1]) < 0x80:  # nearly always
        stop = start + size
        if stop <= end:
            return start, stop
    found, start, stop = read(data, at, end)
    if found != tag:
        raise Malformed(f"a tag is {found:#04x} in place of {tag:#04x}")
    return start, stop


def read_number(tag: int, data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number of at most 31 bits, and where it stops. Raises Malformed where it is negative,
    empty, or longer than it need be (X.690, 8.3.2): one number has one spelling."""
    start, stop = expect(tag, data, at, end)
    size = stop - start
    if size == 1:
        value = data[start]
        if value < 0x80:
            return value, stop
        raise Malformed("a number is negative")
    if not 0 < size <= 4:
        raise Malformed("a number is empty, or longer than four octets")
    if data[start] >= 0x80 or (data[start] == 0 and data[start + 1] < 0x80):
        raise Malformed("a number is negative, or longer than it need be")
    return int.from_bytes(data[start:stop], "big"), stop
