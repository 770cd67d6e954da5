"""The way to the daemon: a connection to its socket, if it is the daemon's."""

from __future__ import annotations

import _socket
import errno
import posix
import sys

SO_PEERCRED = 17


class Unsafe(Exception):
    """The socket may be somebody else's; the text says why."""


def check_folder(path: str, trusted: set[int]) -> None:
    """Raise Unsafe where somebody else than these uids may put a socket of their own."""
    folder = path.rpartition("/")[0] or "/"
    strict = 0o022  # the folder itself: its owner alone may write to it
    while True:
        found = posix.stat(folder)
        sticky = strict == 0o002 and found.st_mode & 0o1000
        if found.st_uid not in trusted or (found.st_mode & strict and not sticky):
            raise Unsafe(f"others may write to {folder}, so the socket {path} may be anybody's")
        if folder == "/":
            return
        folder, strict = folder.rpartition("/")[0] or "/", 0o002


def check_peer(peer: int, owner: int, path: str) -> None:
    """Raise Unsafe where the listener's uid is neither root's nor that of the socket's owner."""
    if peer not in (0, owner):
        raise Unsafe(f"uid {peer} listens at {path}, which belongs to uid {owner}")


def connect(path: str) -> _socket.socket:
    """A connection to the daemon at `path`, if it is the daemon.

    Raises OSError where nobody answers there, Unsafe where it may be somebody else.
    """
    path = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    owner = posix.stat(path).st_uid
    check_folder(path, {0, owner, posix.geteuid()})
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(path)
        credentials = sock.getsockopt(_socket.SOL_SOCKET, SO_PEERCRED, 12)  # int pid, uid, gid
        check_peer(int.from_bytes(credentials[4:8], sys.byteorder), owner, path)
    except (OSError, Unsafe):
        sock.close()
        raise
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
