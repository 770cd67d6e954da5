"""The members of a command on the control socket, read strictly: another version of ours may have
sent it."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

from authbridge.secret import Secret
from authbridge.wire.token_api import ANY

Members = dict[str, Any]


class BadCommand(Exception):
    """It has not the members of its kind, or one of another type."""


def expect(members: Members, names: Collection[str]) -> None:
    """Whether there are these, and no others. Raises BadCommand."""
    if members.keys() != set(names):
        raise BadCommand


def text(members: Members, name: str) -> str:
    """A text. Raises BadCommand."""
    value = members[name]
    if not isinstance(value, str):
        raise BadCommand
    return value


def optional_text(members: Members, name: str) -> str | None:
    """A text, or nothing. Raises BadCommand."""
    return None if members[name] is None else text(members, name)


def optional_secret(members: Members, name: str) -> Secret | None:
    """Octets in BASE64, or nothing. Raises BadCommand."""
    return None if members[name] is None else secret(members, name)


def secret(members: Members, name: str) -> Secret:
    """Octets in BASE64. Raises BadCommand."""
    try:
        return Secret(base64.b64decode(text(members, name), validate=True))
    except ValueError:
        raise BadCommand from None


def optional_number(members: Members, name: str) -> float | None:
    """A number, or nothing; what is out of all bounds is the office's to refuse. Raises
    BadCommand."""
    value = members[name]
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadCommand


def uses(members: Members, name: str) -> int | None:
    """A whole number, or None for "any". Raises BadCommand."""
    value = members[name]
    if value == ANY:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadCommand
    return value
