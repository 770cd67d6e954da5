"""A JSON object in the body of a request (RFC 8259), read so that nobody else can read it as
another: no member twice, none that we do not know, UTF-8."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

from authbridge.wire.http import BadRequest


def read_object(body: bytes, known: Sequence[str], expected: str) -> dict[str, Any]:
    """Its members, of which some may be missing. Raises BadRequest; `expected` shows what the body
    should be."""
    try:
        found = json.loads(body.decode(), object_pairs_hook=_members, parse_constant=_no_constant)
    except BadRequest:
        raise
    except (ValueError, RecursionError):  # ValueError: a number of thousands of digits too
        found = None
    if not isinstance(found, dict):
        raise BadRequest(f"the body is not {expected} in UTF-8")
    if not found.keys() <= set(known):
        raise BadRequest(f"a member is none of {', '.join(known)}")
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BadRequest("a member is given twice")
    return members


def _no_constant(_name: str) -> NoReturn:
    raise BadRequest("NaN and Infinity are no JSON")
