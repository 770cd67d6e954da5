"""Users as the configuration names them: prepared localparts, in which "*" stands for anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from authbridge import preparation
from authbridge.settings import Table

ANYTHING = "*"


@dataclass(frozen=True, slots=True)
class Localparts:
    """Some users, of any domain; nobody, where nothing is given."""

    names: frozenset[str] = frozenset()
    """Prepared."""
    patterns: tuple[tuple[str, ...], ...] = ()
    """Of each the pieces between its stars, prepared: two at least, and some of them empty."""

    def __contains__(self, local: str) -> bool:
        """Whether a prepared localpart is one of them."""
        return local in self.names or (
            bool(self.patterns) and any(_matches(pieces, local) for pieces in self.patterns)
        )


def read_localparts(table: Table, setting: str, names: Iterable[str]) -> Localparts:
    """The users of a list in the configuration; what is no user's name is a mistake there."""
    exact: set[str] = set()
    patterns: list[tuple[str, ...]] = []
    for name in names:
        if "@" in name:
            table.wrong(setting, f'"{name}": users stand here without "@" and their domain')
            continue
        try:
            # Piece by piece: a star in it would break the rules of a name that is written from
            # right to left.
            pieces = tuple(
                preparation.local(piece.encode()) if piece else "" for piece in name.split(ANYTHING)
            )
        except preparation.Unprepared as error:
            table.wrong(setting, f'"{name}": {error}')
            continue
        if len(pieces) == 1:
            exact.add(pieces[0])
        else:
            patterns.append(pieces)
    return Localparts(frozenset(exact), tuple(patterns))


def read_users(table: Table, without: str) -> Localparts | None:
    """`users` of a table: "*", the default, or a list of names; None is all. `without` says what is
    wrong where the list is empty."""
    table.knows("users")
    if "users" not in table:
        return None
    if table.given_as_text("users"):
        if table.data["users"] != ANYTHING:
            table.wrong("users", 'should be "*" or a list of names: ["alice", "bot-*"]')
        return None
    return read_localparts(table, "users", table.some_texts("users", without))


def _matches(pieces: tuple[str, ...], local: str) -> bool:
    """Whether the pieces stand in this localpart, one behind the other, from its beginning to its
    end. The first place of each is the right one, so that nothing is tried twice: localparts are
    up to 1023 characters of anybody's choice."""
    first, *between, last = pieces
    at, end = len(first), len(local) - len(last)
    if at > end or not (local.startswith(first) and local.endswith(last)):
        return False
    for piece in between:
        found = local.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
