"""What each operation is in SQLite: the tables, and the statements.

Each call of SQLite lets the interpreter's lock go, and has to get it back from the reactor: a good
use of a token is one statement, and why another one is refused is looked up after that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from authbridge.model import Reason
from authbridge.stores import operations as ops
from authbridge.stores.operations import KEPT, MOST_LIVE, Operation, Record, StoreFault
from authbridge.stores.sqlite_file import Scripts
from authbridge.tokens.temporary import ID_OCTETS

SWEPT = 500
"""Rows of a table that one sweep forgets at most."""

SCRIPTS: Scripts = (
    (
        # `id` and `rest` are the digest; whoever asks with a token knows both. Rows stand in the
        # order in which they were issued: were it that of the ids, which is none, each new token
        # among a million would touch another page of the whole table, and not of an index alone.
        (
            "CREATE TABLE token (id BLOB UNIQUE NOT NULL, rest BLOB NOT NULL, jid TEXT NOT NULL,"
            " issued REAL NOT NULL, expires REAL NOT NULL, uses INTEGER, client TEXT NOT NULL,"
            " device TEXT NOT NULL, note TEXT NOT NULL, last_used REAL, revoked REAL)"
        ),
        # Of those that can be used until they end: what is over is never gone through, however
        # much of it a user has, and whoever has used or revoked it.
        (
            "CREATE INDEX token_usable ON token (jid, expires)"
            " WHERE revoked IS NULL AND (uses IS NULL OR uses > 0)"
        ),
        "CREATE INDEX token_expires ON token (expires)",
        "CREATE INDEX token_revoked ON token (revoked) WHERE revoked IS NOT NULL",
        (
            "CREATE TABLE withdrawn (subject BLOB PRIMARY KEY, before REAL NOT NULL,"
            " ends REAL NOT NULL, until REAL NOT NULL) WITHOUT ROWID"
        ),
        "CREATE INDEX withdrawn_until ON withdrawn (until)",
        "CREATE TABLE claimed (once BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
        "CREATE INDEX claimed_until ON claimed (until)",
        "CREATE TABLE seen (jid TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE mark (moment REAL NOT NULL, horizon REAL NOT NULL)",
        "INSERT INTO mark VALUES (0, -1e300)",
    ),
)

_COLUMNS = (
    "SELECT id, rest, jid, issued, expires, uses, client, device, note, last_used,"
    " revoked IS NOT NULL FROM token "
)
# Of a moment that is parameter 1. In the words of the index, or SQLite would not use it.
_USABLE = " revoked IS NULL AND (uses IS NULL OR uses > 0) AND expires > ?1 "
_HAS_MOST = (
    "SELECT 1 FROM token WHERE jid = ?2 AND"  # noqa: S608
    f"{_USABLE}LIMIT 1 OFFSET {MOST_LIVE - 1}"
)
# Of a user who has so many, the JID becomes NULL, which the table refuses: INSERT ... SELECT ...
# WHERE takes SQLite up to half as long again.
_ISSUE = (
    "INSERT INTO token VALUES (?1, ?2, CASE WHEN NOT EXISTS"  # noqa: S608
    f" ({_HAS_MOST.replace('?2', '?3').replace('?1', '?4')}) THEN ?3 END,"
    " ?4, ?5, ?6, ?7, ?8, ?9, NULL, NULL)"
)
_THERE = "SELECT 1 FROM token WHERE id = ?"
_CONSUME = (
    "UPDATE token SET uses = uses - 1, last_used = ?1"  # noqa: S608 - constants, all of it
    " WHERE id = ?2 AND rest = ?3 AND jid = ?4 AND" + _USABLE
)
_BY_DIGEST = _COLUMNS + "WHERE id = ? AND rest = ?"
_FIND = _COLUMNS + "WHERE id = ?"
_LIST = _COLUMNS + "WHERE jid = ?2 AND" + _USABLE + "ORDER BY issued, id"
_REVOKE = "UPDATE token SET revoked = ?1 WHERE id = ?2 AND" + _USABLE  # noqa: S608
_REVOKE_ALL = "UPDATE token SET revoked = ?1 WHERE jid = ?2 AND" + _USABLE  # noqa: S608
_WITHDRAW = (
    "INSERT INTO withdrawn VALUES (?, ?, ?, ?) ON CONFLICT (subject) DO UPDATE SET"
    " before = max(before, excluded.before), ends = max(ends, excluded.ends),"
    " until = max(until, excluded.until)"
)
_WITHDRAWN = "SELECT 1 FROM withdrawn WHERE subject = ? AND before > ?"
_WITHDRAWN_TO = "SELECT 1 FROM withdrawn WHERE subject = ? AND ends >= ?"
_CLAIM = "INSERT INTO claimed VALUES (?, ?) ON CONFLICT DO NOTHING"
_CLAIMED = "SELECT 1 FROM claimed WHERE once = ?"
_NOTE_SEEN = "INSERT INTO seen VALUES (?) ON CONFLICT DO NOTHING"
_SEEN = "SELECT 1 FROM seen WHERE jid = ?"
MARK = "UPDATE mark SET moment = ?"
_MARK_EXPIRED = "UPDATE mark SET moment = ?1 WHERE moment < ?2"
_HAS_EXPIRED = "SELECT 1 FROM token WHERE expires > ? AND expires <= ? LIMIT 1"
_FORGET = (
    "DELETE FROM token WHERE rowid IN (SELECT rowid FROM token WHERE expires <= ? LIMIT ?)",
    "DELETE FROM token WHERE rowid IN (SELECT rowid FROM token WHERE revoked <= ? LIMIT ?)",
)
_FORGET_OLDEST = tuple(
    (
        f"SELECT max(until) FROM (SELECT until {these})",  # noqa: S608 - constants
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} {these})",  # noqa: S608
    )
    for table, key in (("withdrawn", "subject"), ("claimed", "once"))
    for these in (f"FROM {table} WHERE until <= ? ORDER BY until LIMIT ?",)
)
"""Many may end at one moment: those that are left then are behind the horizon all the same."""
_RAISE_HORIZON = "UPDATE mark SET horizon = max(horizon, ?)"
_BEHIND_HORIZON = "SELECT 1 FROM mark WHERE horizon >= ?"

# An enum's member is a call to get in Python 3.11; and this one is got for each login.
_VALID = Reason.TOKEN_VALID

Execute = Callable[..., sqlite3.Cursor]
"""Of one cursor that is used again and again: whoever needs rows fetches them at once."""


def do(execute: Execute, operations: Sequence[Operation[Any]], now: float) -> list[Any]:
    """What comes of each. Raises StoreFault, sqlite3.Error."""
    return [_DOES[type(operation)](execute, operation, now) for operation in operations]


def has_expired(execute: Execute, now: float, since: float) -> bool:
    """Whether a token has expired since a moment. Raises sqlite3.Error."""
    return execute(_HAS_EXPIRED, (since, now)).fetchone() is not None


def forget(execute: Execute, now: float, wall: float) -> bool:
    """Delete some of what is over; whether there is more. Raises sqlite3.Error."""
    over = (now - KEPT, SWEPT)
    deleted = [execute(statement, over).rowcount for statement in _FORGET]
    over = (wall - KEPT, SWEPT)
    for find, delete in _FORGET_OLDEST:
        (until,) = execute(find, over).fetchone()
        if until is not None:
            execute(_RAISE_HORIZON, (until,))
            deleted.append(execute(delete, over).rowcount)
    return max(deleted) >= SWEPT


def _issue(execute: Execute, asked: ops.Issue, now: float) -> Record | None:
    record = asked.record(now)
    row = (
        record.digest[:ID_OCTETS],
        record.digest[ID_OCTETS:],
        record.jid,
        record.issued,
        record.expires,
        record.uses,
        record.client,
        record.device,
        record.note,
    )
    try:
        execute(_ISSUE, row)
    except sqlite3.IntegrityError:
        if execute(_THERE, row[:1]).fetchone():
            raise StoreFault("a token of this id is there already") from None
        if execute(_HAS_MOST, (now, asked.jid)).fetchone():
            return None
        raise
    return record


def _consume(execute: Execute, asked: ops.Consume, now: float) -> Reason:
    digest = asked.digest
    parameters = (now, digest[:ID_OCTETS], digest[ID_OCTETS:], asked.jid)
    if execute(_CONSUME, parameters).rowcount:
        return _VALID
    record = _by_digest(execute, digest)
    if record is None:
        return Reason.TOKEN_UNKNOWN
    reason = record.judge(asked.jid, now)
    if reason is Reason.TOKEN_EXPIRED:
        # Whoever was told so must not be told otherwise by a daemon that is started again, and
        # whose machine's clock was set back before a sweep has come.
        execute(_MARK_EXPIRED, (now, record.expires))
    return reason


def _judge(execute: Execute, asked: ops.Peek, now: float) -> Reason:
    record = _by_digest(execute, asked.digest)
    return Reason.TOKEN_UNKNOWN if record is None else record.judge(asked.jid, now)


def _by_digest(execute: Execute, digest: bytes) -> Record | None:
    row = execute(_BY_DIGEST, (digest[:ID_OCTETS], digest[ID_OCTETS:])).fetchone()
    return None if row is None else _record(row)


def _find(execute: Execute, asked: ops.Find, _now: float) -> Record | None:
    row = execute(_FIND, (_octets(asked.id),)).fetchone()
    return None if row is None else _record(row)


def _list(execute: Execute, asked: ops.List, now: float) -> tuple[Record, ...]:
    return tuple(map(_record, execute(_LIST, (now, asked.jid)).fetchall()))


def _revoke(execute: Execute, asked: ops.Revoke, now: float) -> bool:
    return bool(execute(_REVOKE, (now, _octets(asked.id))).rowcount)


def _revoke_all(execute: Execute, asked: ops.RevokeAll, now: float) -> int:
    return execute(_REVOKE_ALL, (now, asked.jid)).rowcount


def _withdraw(execute: Execute, asked: ops.Withdraw, _now: float) -> None:
    execute(_WITHDRAW, (asked.subject, asked.before, asked.ends, asked.until))


def _admit(execute: Execute, asked: ops.Admit, _now: float) -> Reason:
    reason = _untimely(execute, asked)
    if reason is not None:
        return reason
    if asked.once is not None and execute(_CLAIMED, (asked.once,)).fetchone():
        return Reason.TOKEN_USED
    return _VALID


def _claim(execute: Execute, asked: ops.Claim, _now: float) -> Reason:
    reason = _untimely(execute, asked)
    if reason is not None:
        return reason
    if asked.once is not None and not execute(_CLAIM, (asked.once, asked.until)).rowcount:
        return Reason.TOKEN_USED
    return _VALID


def _untimely(execute: Execute, asked: ops.Admit) -> Reason | None:
    if execute(_BEHIND_HORIZON, (asked.until,)).fetchone():
        return Reason.TOKEN_EXPIRED
    withdrawn, moment = _WITHDRAWN, asked.issued
    if moment is None:
        withdrawn, moment = _WITHDRAWN_TO, asked.expires
    for subject in asked.subjects:
        if execute(withdrawn, (subject, moment)).fetchone():
            return Reason.TOKEN_REVOKED
    return None


def _note_seen(execute: Execute, asked: ops.NoteSeen, _now: float) -> bool:
    return bool(execute(_NOTE_SEEN, (asked.jid,)).rowcount)


def _seen(execute: Execute, asked: ops.Seen, _now: float) -> bool:
    return execute(_SEEN, (asked.jid,)).fetchone() is not None


def _record(row: tuple[Any, ...]) -> Record:
    record = Record(row[0] + row[1], *row[2:])
    return replace(record, revoked=bool(record.revoked))  # SQLite's are 0 and 1


def _octets(digits: str) -> bytes:
    """Of an id; anybody may ask for any: of what is none, octets that are none's."""
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        return b""
    return octets if octets.hex() == digits else b""  # of one spelling alone


_DOES: Mapping[type, Callable[[Execute, Any, float], Any]] = {
    ops.Issue: _issue,
    ops.Consume: _consume,
    ops.Peek: _judge,
    ops.Find: _find,
    ops.List: _list,
    ops.Revoke: _revoke,
    ops.RevokeAll: _revoke_all,
    ops.Withdraw: _withdraw,
    ops.Admit: _admit,
    ops.Claim: _claim,
    ops.NoteSeen: _note_seen,
    ops.Seen: _seen,
}
