"""Databases in files, for tests of what asks them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from authbridge.settings import Mistakes, Table
from authbridge.sql import settings
from authbridge.sql.database import Database
from authbridge.sql.settings import SqlSettings
from authbridge.workers import Overloaded
from tests.doubles import ThreadReactor

QUERY = "SELECT name AS username, hash AS password FROM users WHERE name = :user"


class Inline:
    """Workers that work at once."""

    def __init__(self) -> None:
        self.overloaded = False
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    async def run(self, work: Callable[[], object]) -> object:
        if self.overloaded:
            raise Overloaded
        return work()


class Reactor(ThreadReactor):
    """Time in the test's hands, and threads that hand over to it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.seconds = self.clock.seconds
        self.callLater = self.clock.callLater


def make(folder: Path, script: str, rows: Iterable[tuple[Any, ...]] = ()) -> Path:
    """A database in which this was done; the rows go into `users`."""
    path = folder / "users.sqlite3"
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(script)
        for row in rows:
            marks = ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO users VALUES ({marks})", row)
    connection.close()
    return path


def read(folder: Path, data: dict[str, Any]) -> tuple[SqlSettings, list[str]]:
    """The settings of a table, and the mistakes in it, without the table's name."""
    mistakes = Mistakes()
    found = settings.read_settings(Table(data, "checkers.site", mistakes, folder))
    return found, [line.removeprefix("checkers.site.") for line in mistakes]


def good(folder: Path, path: Path, **more: Any) -> SqlSettings:
    """Settings without a mistake."""
    data: dict[str, Any] = {"url": f"sqlite://{path}", **more}
    if "preset" not in data:
        data = {"query": QUERY, "hashes": ["sha512-crypt"], **data}
    found, mistakes = read(folder, data)
    assert mistakes == []
    return found


def database(found: SqlSettings) -> Database:
    """Asked in the test's thread."""
    clock = Clock()
    return Database(found, clock, Inline(), clock.seconds)  # type: ignore[arg-type]
