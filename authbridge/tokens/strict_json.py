"""One JSON object (RFC 8259), read so that nobody else can read it as another.

The standard library takes the last of duplicate members, NaN, UTF-16, and depths that end it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

MOST_DEPTH = 8

# A string that does not end is one as well: to look for its end from each quote would take long.
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def read_object(octets: bytes) -> dict[str, Any]:
    """The members. Raises ValueError, whose text never holds what was read."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    # Counted first: hardly anything has as many, and to look closer costs more than to parse it.
    if text.count("{") + text.count("[") > MOST_DEPTH and _depth(text) > MOST_DEPTH:
        raise ValueError(f"nested deeper than {MOST_DEPTH} levels")
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg}") from None
    except _Refused:
        raise
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        raise ValueError("a number that is too long") from None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - of what was read, not of the code
    return found


class _Refused(ValueError):
    pass


def _depth(text: str) -> int:
    deepest = depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("a member that is given twice")
    return members


def _constant(_name: str) -> NoReturn:
    raise _Refused("NaN or Infinity, which JSON does not have")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)
