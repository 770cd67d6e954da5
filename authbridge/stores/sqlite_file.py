"""The SQLite file: whether it may be used, and opening it.

What lies about in the wrong place, or is open to others, or is somebody else's, is refused and not
changed. One process has the file to itself (`locking_mode=EXCLUSIVE`): SQLite refuses a second one.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
from pathlib import Path
from urllib.parse import quote

from authbridge.stores.operations import StoreFault

APPLICATION_ID = 0x61627431
"""abt1, in the file's header (www.sqlite.org/fileformat.html 1.3.17)."""
SIDE_FILES = ("-wal", "-journal", "-shm")
WAIT = 0.2
"""Seconds for a process that is just letting go of the file."""
LARGEST_LOG = 8 * 1024 * 1024
"""Octets of the -wal file that are kept when it begins again."""
CACHE = 96 * 1024
"""KiB: the indexes of a million tokens. It grows with what is there."""
IN_USE = "is in use by another process; several daemons need Redis"
GONE = (
    "was removed or replaced while it was in use; what was used and revoked is not known any more:"
    " put it back, or restart authbridge to go on with what is there"
)

Scripts = tuple[tuple[str, ...], ...]
"""Each brings a database to the next version, by its statements; the version counts them."""
Identity = tuple[int, int]
"""Device and inode."""

_MINE = frozenset(
    {
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)


class Unready(StoreFault):
    """It is empty, or of an older version: a daemon that starts changes that, and nobody else."""

    def __init__(self, words: str) -> None:
        super().__init__(words, lost=True, refused=True)


def fault_of(error: Exception) -> Exception:
    """What it means for who asked: a StoreFault, or the error itself where we made a mistake."""
    if not isinstance(error, sqlite3.Error):
        return error
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    code = extended & 0xFF
    if code in _MINE:
        return error
    if code == sqlite3.SQLITE_FULL:
        return StoreFault(f"the disk is full ({error})")
    # A quota, a limit of the process, a file system that became read-only: SQLite takes the batch
    # back as it does on a full disk, and can still read.
    if code == sqlite3.SQLITE_READONLY or extended == sqlite3.SQLITE_IOERR_WRITE:
        return StoreFault(f"cannot be written to ({error})")
    if code == sqlite3.SQLITE_BUSY:
        return StoreFault(IN_USE, lost=True, refused=True)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreFault("is no SQLite database; move it away", lost=True, refused=True)
    if code == sqlite3.SQLITE_CORRUPT:
        words = f"is damaged ({error}); stop authbridge, and move it away or restore it"
        return StoreFault(words, lost=True, refused=True)
    if extended == sqlite3.SQLITE_IOERR_LOCK:  # SQLite could open it for reading alone
        words = "cannot be locked: the file, or its file system, is read-only"
        return StoreFault(words, lost=True)
    return StoreFault(f"the disk fails, or the file cannot be got at ({error})", lost=True)


def real(path: Path) -> Path:
    """The same by the true name of its folder. The file itself may still be a link."""
    return Path(os.path.realpath(path.parent)) / path.name


def prepare(path: Path, *, create: bool) -> Identity:
    """Look at the file and its folder, and make what is missing, for this user alone. Raises
    StoreFault."""
    try:
        prepare_folder(path.parent, create=create)
        if path.is_symlink():
            raise StoreFault("is a symbolic link; name the file itself", refused=True)
        if not path.exists():
            if not create:
                raise StoreFault("is not there", refused=True)
            # Neither opened nor closed by us when it is there: that would end the lock of a
            # connection in this process (fcntl(2)).
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StoreFault("is not a file", refused=True)
        _check_owner(path, found, looks=not create)
        for one in (path, *(path.with_name(path.name + end) for end in SIDE_FILES)):
            if one.is_symlink():  # wherever it leads, nobody is to change the mode of that
                raise StoreFault(f"{one} is a symbolic link; remove it", refused=True)
            if one.exists() and (mode := stat.S_IMODE(one.stat().st_mode)) & 0o077:
                words = f"is open to others (mode {mode:03o}); chmod 600 {shlex.quote(str(one))}"
                raise StoreFault(words, refused=True)
    except OSError as error:
        raise StoreFault(f"cannot be opened: {error.filename}: {error.strerror}") from error
    return found.st_dev, found.st_ino


def prepare_folder(folder: Path, *, create: bool) -> None:
    """The same for the folder alone. Raises StoreFault, OSError."""
    if create and not folder.exists():
        folder.mkdir(mode=0o700)
    elif not folder.is_dir():
        raise StoreFault(f"is not there, nor is its folder {folder}", refused=True)
    found = folder.stat()
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        words = f"others may write to its folder; chmod go-w {shlex.quote(str(folder))}"
        raise StoreFault(words, refused=True)
    if found.st_uid:  # root may do as it likes anyway
        _check_owner(folder, found, looks=not create)


def _check_owner(path: Path, found: os.stat_result, *, looks: bool) -> None:
    """Root may look at a file of the daemon's; but nobody keeps state in the file of another."""
    user = os.geteuid()
    if found.st_uid != user and not (looks and user == 0):
        words = f"{path} belongs to uid {found.st_uid}; chown {user} {shlex.quote(str(path))}"
        raise StoreFault(words, refused=True)


def identity(path: Path) -> Identity | None:
    """Of what is there now, be it a link; None where nothing can be seen."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def empty_log(cursor: sqlite3.Cursor) -> None:
    """Write the log back into the file that it is of, wherever that is now."""
    try:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error:
        pass  # the file is lost anyway, and that has been said


def connect(path: Path, scripts: Scripts, *, migrate: bool) -> sqlite3.Connection:
    """A connection that has the file to itself, at the version of `scripts`; to which it is brought
    by `migrate` alone. Raises StoreFault."""
    try:
        _look(path)
        connection = _connect(path, "mode=rw")
        try:
            _set_up(connection, scripts, migrate=migrate)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise fault_of(error) from None
    return connection


def _look(path: Path) -> None:
    """Refuse another program's database before SQLite may mend or convert anything in it: it is
    read as if nobody could write to it, without a lock and without its log."""
    connection = _connect(path, "mode=ro&immutable=1")
    try:
        # As another process is writing the first pages there may be fewer than the header says.
        # That is no damage: whether there is any is found out under the lock.
        connection.execute("PRAGMA writable_schema=ON")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    finally:
        connection.close()
    if pages and application != APPLICATION_ID:
        raise StoreFault("is a database of another program", refused=True)


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{how}",
        timeout=WAIT,
        isolation_level=None,
        check_same_thread=False,  # opened by one thread, used by another
        uri=True,
    )


def _set_up(connection: sqlite3.Connection, scripts: Scripts, *, migrate: bool) -> None:
    execute = connection.execute
    execute("PRAGMA locking_mode=EXCLUSIVE")
    execute("PRAGMA synchronous=FULL")
    execute("PRAGMA cell_size_check=ON")
    execute(f"PRAGMA cache_size=-{CACHE}")
    # The lock is kept from here on, so that nobody is in the way of journal_mode, which would not
    # wait for him.
    execute("BEGIN EXCLUSIVE")
    (version,) = execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        words = f"was written by a newer authbridge (version {version}, not {len(scripts)})"
        raise StoreFault(words, refused=True)
    if version < len(scripts) and not migrate:
        if not version:
            raise Unready("is empty; the daemon will make what belongs in it when it starts")
        words = f"is of version {version}; the daemon will bring it to {len(scripts)}"
        raise Unready(f"{words} when it starts")
    for script in scripts[version:]:
        for statement in script:
            execute(statement)
    if version < len(scripts):
        execute(f"PRAGMA application_id={APPLICATION_ID}")
        execute(f"PRAGMA user_version={len(scripts)}")
    execute("COMMIT")
    # Only now: the file's header says whose it is before there is a log that could say otherwise.
    execute("PRAGMA journal_mode=WAL")
    execute(f"PRAGMA journal_size_limit={LARGEST_LOG}")
