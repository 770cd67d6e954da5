"""Search filters: ldap3 reads the text once, at start; per login only values and lengths are new.

Values go in as octets between their lengths. There is no text left to escape a character in, or to
smuggle one into: `*)(uid=*` is eight characters of a name that nobody has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import compile_filter, parse_filter
from ldap3.utils.asn1 import encode  # type: ignore[attr-defined]
from ldap3.utils.conv import escape_filter_chars
from pyasn1.error import PyAsn1Error

from authbridge.ldap import ber

# Filter choices by tag (RFC 4511, 4.5.1.7).
_NESTED: Final = (0xA0, 0xA1, 0xA2)  # and, or, not
_ASSERTIONS: Final = (0xA3, 0xA5, 0xA6, 0xA8)  # =, >=, <=, ~=
_SUBSTRINGS: Final = 0xA4
_EXTENSIBLE: Final = 0xA9
_MATCH_VALUE: Final = 0x83

_BAD_ESCAPE: Final = re.compile(r"\\(?![0-9a-fA-F]{2})")

# What stands in a hole while ldap3 encodes: octets that are no UTF-8, so that no text has them.
_MARK: Final = re.compile(rb"\xfe\xff(\d+)\xff\xfe")


class FilterMistake(ValueError):
    """This is no filter; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Element:
    """An element with holes somewhere in it. A part is octets, a hole's number, or an element."""

    tag: bytes
    parts: tuple[bytes | int | _Element, ...]


class Template:
    """A filter with holes: `Template("(uid={user})", "user").fill(b"alice")`."""

    def __init__(self, text: str, *holes: str) -> None:
        """A hole is its name in braces, within or as an assertion's value. Raises FilterMistake."""
        self._text = text
        self._holes = holes
        if r"\fe\ff" in text.lower():
            raise FilterMistake(r"\fe\ff is in no value of a directory: it is no UTF-8")
        marked, wanted = text, 0
        for number, hole in enumerate(holes):
            wanted += text.count(f"{{{hole}}}")
            marked = marked.replace(f"{{{hole}}}", rf"\fe\ff{number}\ff\fe")
        octets = _encode(marked)
        self._root, found = _divide(octets)
        if found != wanted:
            names = " or ".join(f"{{{hole}}}" for hole in holes)
            raise FilterMistake(f"{names} stands for a value, behind a = alone")

    def fill(self, *values: bytes) -> bytes:
        """The BER of the filter with these values, one for each hole's name."""
        root = self._root
        return root if isinstance(root, bytes) else _fill(root, values)

    def spell(self, *values: bytes) -> str:
        """The same as text, escaped (RFC 4515), for people."""
        spelled = {
            f"{{{hole}}}": escape_filter_chars(value.decode("utf-8", "backslashreplace"))
            for hole, value in zip(self._holes, values, strict=True)
        }
        pieces = re.split(r"(\{[^{}]*\})", self._text)
        return "".join(spelled.get(piece, piece) for piece in pieces)


def _encode(text: str) -> bytes:
    if _BAD_ESCAPE.search(text):
        raise FilterMistake("a backslash is followed by two hexadecimal digits (RFC 4515)")
    try:
        parsed = parse_filter(text, None, False, False, None, False).elements[0]
        octets: bytes = encode(compile_filter(parsed))
    except (
        LDAPExceptionError,
        PyAsn1Error,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        # A few mistakes escape ldap3 as what they break first; those say nothing to anybody.
        known = isinstance(error, LDAPExceptionError) and str(error)
        raise FilterMistake(known or "this is no LDAP filter (RFC 4515)") from None
    return octets


def _divide(octets: bytes) -> tuple[bytes | _Element, int]:
    """An encoded filter, taken apart where there are holes in it; and how many there are."""
    tag, start, stop = ber.read(octets, 0, len(octets))
    parts: list[bytes | int | _Element] = []
    count = 0
    for index, child in enumerate(_children(octets, start, stop)):
        part: bytes | _Element = child
        found = 0
        if tag in _NESTED:
            part, found = _divide(child)
        elif (tag in _ASSERTIONS and index == 1) or (
            tag == _EXTENSIBLE and child[0] == _MATCH_VALUE
        ):
            part, found = _divide_value(child)
        elif tag == _SUBSTRINGS and index == 1:
            part, found = _divide_substrings(child)
        parts.append(part)
        count += found
    if not count:
        return octets, 0
    return _Element(octets[:1], tuple(parts)), count


def _divide_substrings(octets: bytes) -> tuple[bytes | _Element, int]:
    _, start, stop = ber.read(octets, 0, len(octets))
    divided = [_divide_value(child) for child in _children(octets, start, stop)]
    count = sum(found for _, found in divided)
    return _Element(octets[:1], tuple(part for part, _ in divided)), count


def _divide_value(octets: bytes) -> tuple[bytes | _Element, int]:
    _, start, stop = ber.read(octets, 0, len(octets))
    # re.split puts what its group matched between the pieces: text, number, text, number, text.
    pieces = _MARK.split(octets[start:stop])
    parts = tuple(int(piece) if index % 2 else piece for index, piece in enumerate(pieces))
    if len(parts) == 1:
        return octets, 0
    return _Element(octets[:1], tuple(part for part in parts if part != b"")), len(parts) // 2


def _children(octets: bytes, at: int, end: int) -> list[bytes]:
    # `present` and the values are primitive: only what is constructed has children.
    if not octets[0] & 0x20:
        return [octets[at:end]]
    children = []
    while at < end:
        _, _, stop = ber.read(octets, at, end)
        children.append(octets[at:stop])
        at = stop
    return children


def _fill(element: _Element, values: Sequence[bytes]) -> bytes:
    content = b"".join(
        [
            part
            if isinstance(part, bytes)
            else values[part]
            if isinstance(part, int)
            else _fill(part, values)
            for part in element.parts
        ]
    )
    return element.tag + ber.length(len(content)) + content
