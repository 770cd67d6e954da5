"""What is kept in one SQLite file: for one daemon, and without a server.

A batch is one transaction, and on the disk when it is over (WAL, `synchronous=FULL`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from authbridge.stores import sqlite_file
from authbridge.stores.operations import Operation, StoreFault
from authbridge.stores.sqlite_operations import MARK, SCRIPTS, Execute, do, forget, has_expired

T = TypeVar("T")


class SqliteStore:
    """One file."""

    warnings: tuple[str, ...] = ()

    def __init__(self, path: Path, *, create: bool, scripts: sqlite_file.Scripts = SCRIPTS) -> None:
        """Without `create`, no file and no folder is made, and what is there is of no other version
        afterwards. One that was open is never made again: with it goes which tokens were used and
        revoked, and that must not pass unnoticed."""
        self.name = str(path)
        self._path = path
        self._create = create
        self._scripts = scripts
        self._cursor: sqlite3.Cursor | None = None
        self._identity: sqlite_file.Identity | None = None  # of the file that was open first
        self.mark = 0.0
        self._marked = 0.0  # in the file

    def open(self) -> None:
        """See `operations.Store`."""
        self.close()
        path = sqlite_file.real(self._path)
        if self._identity is None:
            identity = sqlite_file.prepare(path, create=self._create)
            self._marked = self._connect(path, migrate=self._create)
            self._identity = identity
        else:
            self._open_again(path)
        self.mark = max(self.mark, self._marked)

    def _open_again(self, path: Path) -> None:
        if sqlite_file.identity(path) != self._identity:
            raise _gone()
        sqlite_file.prepare(path, create=False)
        try:
            marked = self._connect(path, migrate=False)
        except sqlite_file.Unready:  # its contents were taken away
            raise _gone() from None
        if marked < self._marked:  # an older copy was written over it
            self.close()
            raise _gone()

    def _connect(self, path: Path, *, migrate: bool) -> float:
        """The moment that is kept there."""
        self._cursor = sqlite_file.connect(path, self._scripts, migrate=migrate).cursor()
        try:
            return self._do(_read_mark, 0.0, writes=False)
        except BaseException:
            self.close()
            raise

    def run(self, operations: Sequence[Operation[Any]], now: float) -> list[Any]:
        """See `operations.Store`."""
        writes = any(operation.WRITES for operation in operations)
        return self._do(lambda execute, now: do(execute, operations, now), now, writes=writes)

    def sweep(self, now: float, wall: float) -> bool:
        """See `operations.Store`."""
        if sqlite_file.identity(self._path) != self._identity:
            raise _gone()
        expired = self._do(partial(has_expired, since=self._marked), now, writes=False)
        return self._do(partial(forget, wall=wall), now, writes=True, marks=expired)

    def close(self) -> None:
        """See `operations.Store`."""
        cursor, self._cursor = self._cursor, None
        if cursor is None:
            return
        if self._identity not in (None, sqlite_file.identity(self._path)):
            # SQLite would leave its log there, and add it to the file that has come instead.
            sqlite_file.empty_log(cursor)
        connection = cursor.connection
        cursor.close()  # or its statement would keep the connection, and the lock
        connection.close()

    def _do(
        self, work: Callable[[Execute, float], T], now: float, *, writes: bool, marks: bool = False
    ) -> T:
        """What comes of it; what it changes, all or nothing. The moment is kept in the file with
        any change; where `marks`, without one too."""
        cursor = self._cursor
        if cursor is None:
            raise StoreFault("is not open", lost=True)
        connection, execute = cursor.connection, cursor.execute
        self.mark = now = max(self.mark, now)
        try:
            if not writes:
                return work(execute, now)
            execute("BEGIN IMMEDIATE")
            before = connection.total_changes
            found = work(execute, now)
            marks = marks or connection.total_changes != before
            if marks:
                execute(MARK, (now,))
            execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of the batch counts
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise sqlite_file.fault_of(error) from None
        if marks:
            self._marked = now
        return found


def _gone() -> StoreFault:
    return StoreFault(sqlite_file.GONE, lost=True, refused=True)


def _read_mark(execute: Execute, _now: float) -> float:
    (mark,) = execute("SELECT moment FROM mark").fetchone()
    return float(mark)
