"""The way to the daemon: a connection to its socket, if it is the daemon's."""

from __future__ import annotations

import _socket
import errno
import posix
import sys

SO_PEERCRED = 17
S_IFMT, S_IFSOCK = 0o170000, 0o140000


class Unsafe(Exception):
    """The socket may be somebody else's; the text says why."""


def check_folder(folder: str, owner: int, us: set[int]) -> None:
    """Raise Unsafe where somebody may have put a socket of his own into this folder.

    `folder` is its true name, without symbolic links. Only `us` (root and our own user) and
    `owner`, to whom the socket belongs, may write to it. Above it nobody but these may, either,
    save in a folder such as /tmp, where all may and nobody may touch what is another's; what
    stands in there could have been made by anybody, so that `owner` is not taken at his word.
    """
    writable = 0o022
    below = owner
    while True:
        found = posix.stat(folder)
        if found.st_mode & writable:
            sticky = writable == 0o002 and found.st_mode & 0o1000
            if not sticky or below not in us:
                raise Unsafe(f"others may write to {folder}: the socket may be anybody's")
        if found.st_uid not in us and found.st_uid != owner:
            raise Unsafe(f"{folder} belongs to uid {found.st_uid}: the socket may be anybody's")
        if folder == "/":
            return
        below, writable = found.st_uid, 0o002
        folder = folder.rpartition("/")[0] or "/"


def check_peer(peer: int, owner: int, path: str) -> None:
    """Raise Unsafe where the listener's uid is neither root's nor that of the socket's owner."""
    if peer not in (0, owner):
        raise Unsafe(f"uid {peer} listens at {path}, which belongs to uid {owner}")


def connect(path: str) -> _socket.socket:
    """A connection to the daemon at `path`, if it is the daemon.

    Raises OSError where nobody answers there, Unsafe where it may be somebody else.
    """
    folder, slash, name = path.rpartition("/")
    # Held open, so that what is checked is what is connected to, whatever is renamed meanwhile.
    held = posix.open(folder or slash or ".", posix.O_PATH | posix.O_DIRECTORY)
    try:
        here = f"/proc/self/fd/{held}"
        found = posix.lstat(f"{here}/{name}")
        if found.st_mode & S_IFMT != S_IFSOCK:
            raise Unsafe(f"{path} is not a socket")
        check_folder(posix.readlink(here), found.st_uid, {0, posix.geteuid()})
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.connect(f"{here}/{name}")
            credentials = sock.getsockopt(_socket.SOL_SOCKET, SO_PEERCRED, 12)  # int pid, uid, gid
            peer = int.from_bytes(credentials[4:8], sys.byteorder)
            check_peer(peer, found.st_uid, path)
        except (OSError, Unsafe):
            sock.close()
            raise
    finally:
        posix.close(held)
    return sock


def why(error: OSError, path: str) -> str:
    """What an administrator can do about a connection that failed."""
    hint = {
        errno.ENOENT: "the daemon is not running, or [listen].extauth names another path",
        errno.ECONNREFUSED: "the daemon is not running",
        errno.EACCES: f"uid {posix.geteuid()} may not open it: see its mode and its folder's",
        errno.EAGAIN: "the daemon takes no more connections: it hangs or is overloaded",
    }.get(error.errno or 0, "")
    return f"no connection to {path}: {error.strerror or error}" + (f" ({hint})" if hint else "")
