"""What the opaque tokens of somebody else look like, so that they can be told from passwords.

Nothing in such a token says what it is. Its length does for the most part, and a prefix where its
issuer gives it one; its characters are those that may stand behind "Bearer".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from authbridge.settings import Table
from authbridge.wire.http import B64TOKEN

LEAST_LENGTH, MOST_LENGTH = 20, 4096
"""Characters. What is shorter could be guessed, or is a password."""
MOST_PREFIX = 64

_PREFIX = re.compile(r"[A-Za-z0-9._~+/-]+")


@dataclass(frozen=True, slots=True)
class Shape:
    """A prefix, and lengths with it, in characters."""

    prefix: bytes
    least: int
    most: int

    @classmethod
    def read(cls, table: Table) -> Shape | None:
        """`token_prefix` and `token_length`; None where neither is given."""
        prefix = table.text("token_prefix", "")
        if len(prefix) > MOST_PREFIX or (prefix and not _PREFIX.fullmatch(prefix)):
            words = f"is of letters, digits and . _ ~ + / -, {MOST_PREFIX} at most"
            table.wrong("token_prefix", words)
            prefix = ""
        least, most = _read_lengths(table)
        if "token_prefix" not in table and "token_length" not in table:
            return None
        return cls(prefix.encode("ascii"), least, most)

    def matches(self, octets: bytes) -> bool:
        """Whether this looks like one."""
        return (
            self.least <= len(octets) <= self.most
            and octets.startswith(self.prefix)
            and B64TOKEN.fullmatch(octets) is not None
        )

    def takes(self, other: Shape) -> bool:
        """Whether what looks like the other's may look like this as well; not where this has the
        longer prefix, which the other's tokens will hardly begin with."""
        return other.prefix.startswith(self.prefix) and (
            self.least <= other.most and other.least <= self.most
        )


def _read_lengths(table: Table) -> tuple[int, int]:
    """The least and the most characters, the prefix included."""
    table.knows("token_length")
    given = table.data.get("token_length", [LEAST_LENGTH, MOST_LENGTH])
    bounds = given if isinstance(given, list) else [given, given]
    if len(bounds) == 2 and all(map(_is_length, bounds)) and bounds[0] <= bounds[1]:
        return bounds[0], bounds[1]
    table.wrong(
        "token_length",
        f"should be a number of characters, or [least, most], from {LEAST_LENGTH} to {MOST_LENGTH}",
    )
    return LEAST_LENGTH, MOST_LENGTH


def _is_length(given: object) -> bool:
    return type(given) is int and LEAST_LENGTH <= given <= MOST_LENGTH
