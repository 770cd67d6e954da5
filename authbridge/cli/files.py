"""Files that a command makes, for the daemon or for whoever signs.

Each is new: a file that is there already is left alone. One that could not be written as a whole is
taken away again. OSError always has the name of the file.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from authbridge.cli.shared import unusable
from authbridge.settings import ConfigurationError

FOLDER_MODE = 0o750


def write_secret(path: Path, text: str) -> None:
    """What the daemon reads and nobody else: its owner; made by root, its folder's group too, which
    is how the daemon comes to it. Raises OSError."""
    of_group = os.geteuid() == 0
    _write(path, text, 0o640 if of_group else 0o600, of_group=of_group)


def write_private(path: Path, text: str) -> None:
    """What its owner alone reads, whoever that is. Raises OSError."""
    _write(path, text, 0o600)


def write_public(path: Path, text: str) -> None:
    """What everybody may read. Raises OSError."""
    _write(path, text, 0o644)


def make_folders(path: Path) -> None:
    """A folder that its owner alone writes to, and the one that it is in, where they are not there;
    made by root, each has the group of the one that it is in. What was there stays as it is.

    Raises OSError, also where there is nothing to put them into.
    """
    for folder in (path.parent, path):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        if os.geteuid() == 0:
            os.chown(folder, -1, folder.parent.stat().st_gid)
        folder.chmod(FOLDER_MODE)


def refuse_open_folder(path: Path) -> None:
    """Raises ConfigurationError where others may write to a folder: anybody could put a key beside
    ours, or another in its place, and the daemon takes none out of it."""
    if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise unusable(f"{path} is open to others to write; chmod go-w {shlex.quote(str(path))}")


def unwritable(error: OSError, exists: str = "") -> ConfigurationError:
    """Why a file could not be made. `exists`: what it means that there is one already."""
    path = Path(os.fsdecode(error.filename))
    if isinstance(error, FileExistsError) and exists:
        return unusable(f"{path} exists; {exists}")
    if isinstance(error, FileNotFoundError):
        folder = shlex.quote(str(path.parent))
        return unusable(
            f"there is no {folder}: install -d -o root -g authbridge -m {FOLDER_MODE:o} {folder}"
        )
    return unusable(f"{path}: {error.strerror}")


def _write(path: Path, text: str, mode: int, *, of_group: bool = False) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            if of_group:
                os.fchown(descriptor, -1, path.parent.stat().st_gid)
            os.fchmod(descriptor, mode)
            file.write(text)
    except OSError as error:  # a full disk
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
