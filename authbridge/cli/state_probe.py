"""Whether a daemon that starts now could use its state. No file is made, and no schema; a Redis
that nobody has used becomes ours."""

from __future__ import annotations

import os
from pathlib import Path

from authbridge.stores import sqlite_file
from authbridge.stores.operations import Store, StoreFault
from authbridge.stores.settings import StateSettings
from authbridge.stores.sqlite import SqliteStore


def probe(state: StateSettings) -> str:
    """What was found, in words. Raises StoreFault."""
    if state.path is None:
        return look(state.make())
    try:
        path = sqlite_file.real(state.path)
        if path.exists() or path.is_symlink():
            return look(SqliteStore(path, create=False))
        return _look_at_folder(path)
    except OSError as error:
        words = f"cannot be looked at: {error.filename}: {error.strerror}"
        raise StoreFault(words) from None


def look(store: Store) -> str:
    """What is found by opening it; a file, without `create`. Raises StoreFault."""
    try:
        store.open()
    except sqlite_file.Unready as fault:
        return f"{store.name} {fault.words}"
    except StoreFault as fault:
        if fault.words != sqlite_file.IN_USE:
            raise
        return f"{store.name} is in use, by a daemon that runs"
    finally:
        store.close()
    return f"{store.name} was opened"


def _look_at_folder(path: Path) -> str:
    folder = path.parent
    if not folder.exists() and os.access(folder.parent, os.W_OK | os.X_OK):
        return f"{path} is made when the daemon starts, and its folder"
    sqlite_file.prepare_folder(folder, create=False)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreFault(f"is not there, and this user may make nothing in {folder}")
    return f"{path} is made when the daemon starts"
