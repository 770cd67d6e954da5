"""Users in a file: one line a user, the JID, a colon and the PHC string of the password's hash.

    alice@example.org:$argon2id$v=19$m=19456,t=2,p=1$…$…

Lines that are empty or begin with # are passed over. The file is read again when it changes; while
it holds a mistake, what was read before stays in force, and the log says which line is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from authbridge import model, password_hash, preparation
from authbridge.checkers import Surroundings
from authbridge.model import JID, Outcome, Reason, Trace
from authbridge.secret import Secret
from authbridge.settings import Table, private_file_trouble
from authbridge.workers import Overloaded, Workers

MOST_OCTETS = 256 << 20
"""A larger file is taken for a mistake; this is some two million users."""

log = Logger()


@dataclass(frozen=True, slots=True)
class FileSettings:
    """[checkers.NAME] with kind = "file"."""

    path: Path
    at_once: int = 2 * (os.cpu_count() or 1)
    """One for each processor to hash for, and one more for it to go on with."""
    most_waiting: int = 1000
    """At 30 ms each, more would not be done in time anyway."""


@dataclass(frozen=True, slots=True)
class Users:
    """A file as it was read: `signature` changes when the file does."""

    signature: tuple[int, ...]
    hashes: Mapping[JID, str]
    decoy: str


class Unreadable(Exception):
    """The file is not there, or not to be trusted; the text says why."""


class Mistaken(Unreadable):
    """The file holds a mistake; the text says in which lines."""


def read_settings(table: Table) -> FileSettings:
    """Read the table, and the file as well: a mistake in it is one of the configuration."""
    settings = FileSettings(table.private_file("path"))
    if settings.path != table.folder:
        try:
            parse(_read(settings.path)[1])
        except Unreadable as error:
            table.wrong("path", str(error))
    table.close()
    return settings


def make_checker(settings: FileSettings, surroundings: Surroundings) -> FileChecker:
    """A checker of this file's users."""
    return FileChecker(settings.path, surroundings.workers)


def load(path: Path) -> Users:
    """Read a file of users. Raises Unreadable."""
    signature, content = _read(path)
    hashes = parse(content)
    costs = [cost for phc in hashes.values() if (cost := password_hash.read_cost(phc))]
    return Users(signature, hashes, password_hash.decoy(costs))


def parse(content: bytes) -> dict[JID, str]:
    """JID to PHC string. Raises Mistaken, naming each wrong line by number alone."""
    hashes: dict[JID, str] = {}
    mistakes: list[str] = []
    for number, octets in enumerate(content.split(b"\n"), start=1):
        line = octets.strip()
        if not line or line.startswith(b"#"):
            continue
        name, _, phc = line.partition(b":")
        try:
            jid = preparation.jid(name.decode())
            text = phc.decode("ascii")
        except preparation.Unprepared as error:
            mistakes.append(f"line {number}: no user@domain: {error}")
        except UnicodeDecodeError:
            mistakes.append(f"line {number}: is not UTF-8")
        else:
            if jid in hashes:
                mistakes.append(f"line {number}: {jid} has a line already")
            elif password_hash.read_cost(text) is None:
                mistakes.append(
                    f"line {number}: no argon2id hash behind the colon; "
                    '"authbridge password hash" makes one'
                )
            else:
                hashes[jid] = text
    if mistakes:
        more = f" (and {len(mistakes) - 10} more)" if len(mistakes) > 10 else ""
        raise Mistaken("; ".join(mistakes[:10]) + more)
    return hashes


def _read(path: Path) -> tuple[tuple[int, ...], bytes]:
    """The file's signature and content; the signature first, so that a change is never missed."""
    if trouble := private_file_trouble(path):
        raise Unreadable(trouble)
    try:
        with path.open("rb") as file:
            signature = _signature(os.fstat(file.fileno()))
            content = file.read(MOST_OCTETS + 1)
    except OSError as error:
        raise Unreadable(error.strerror or "cannot be read") from None
    if len(content) > MOST_OCTETS:
        raise Mistaken(f"it is larger than {MOST_OCTETS >> 20} MiB")
    return signature, content


def _signature(found: os.stat_result) -> tuple[int, ...]:
    # The mode belongs to it: a file that others may now write to is not to be used.
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


class FileChecker:
    """Checks passwords against the file; hashing and reading happen in the workers."""

    def __init__(self, path: Path, workers: Workers) -> None:
        self._path = path
        self._workers = workers
        self._users: Users | None = None
        self._seen: object = None  # what the file looked like when it was last read, or tried
        self._trouble = "it has not been read yet"  # why it is not in force as it is; or ""
        self._turns: list[Deferred[bool]] | None = None  # who waits for the reading under way

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`. An unknown user takes as long as a known one."""
        users = await self._current(trace)
        if users is None:
            return model.unavailable(Reason.SOURCE_UNREADABLE)
        phc = users.hashes.get(jid)
        compared = users.decoy if phc is None else phc
        if trace is not None:
            trace.step("file", f"{jid} {'has no line' if phc is None else 'has a line'}")
        try:
            matches = await self._workers.run(
                lambda: password_hash.verify(password.reveal(), compared)
            )
        except Overloaded:
            return model.unavailable(Reason.OVERLOADED)
        if phc is None:
            return model.USER_UNKNOWN
        return model.PASSWORD_MATCHES if matches else model.PASSWORD_MISMATCH

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        users = await self._current(trace)
        if users is None:
            return model.unavailable(Reason.SOURCE_UNREADABLE)
        return model.USER_EXISTS if jid in users.hashes else model.USER_UNKNOWN

    async def _current(self, trace: Trace | None) -> Users | None:
        """The users as the file has them now; None where it cannot be read."""
        while (look := self._look()) != self._seen:
            turn: Deferred[bool] = Deferred()
            if self._turns is None:
                self._turns = [turn]
                # By itself, so that a login that gives up does not end it for those behind.
                Deferred.fromCoroutine(self._read_again(look)).addErrback(
                    lambda failure: log.failure("reading {path}", failure, path=self._path)
                )
            else:
                self._turns.append(turn)
            if not await turn:
                self._describe(trace, None)
                return None
        self._describe(trace, self._users)
        return self._users

    async def _read_again(self, look: object) -> None:
        """Read the file. What could not be read is tried again at the next login: the reason may
        have nothing to do with the file, and then nothing about the file would change."""
        done = False
        try:
            users = await self._workers.run(lambda: load(self._path))
            self._seen, self._users, done = users.signature, users, True
            self._say("")
            log.info("read {count} users from {path}", count=len(users.hashes), path=self._path)
        except Mistaken as error:
            self._seen, done = look, self._users is not None
            self._say(f"{error}; the users read before stay in force")
        except Unreadable as error:
            self._say(str(error))
        except Overloaded:
            self._say("too much work is waiting to read it")
        finally:
            turns, self._turns = self._turns or [], None
            for turn in turns:
                if not turn.called:  # a login whose deadline has passed
                    turn.callback(done)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.error("{path}: {trouble}", path=self._path, trouble=trouble)
        self._trouble = trouble

    def _describe(self, trace: Trace | None, users: Users | None) -> None:
        if trace is not None:
            found = "cannot be read" if users is None else f"{len(users.hashes)} users"
            trace.step("file", f"{self._path}: {found}" + (self._trouble and f"; {self._trouble}"))

    def _look(self) -> object:
        try:
            return _signature(self._path.stat())
        except OSError as error:
            return error.errno
