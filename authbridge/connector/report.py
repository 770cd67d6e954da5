"""What the connector has to say to an administrator."""

from __future__ import annotations

import _socket
import posix
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

QUIET = 60.0  # seconds in which a trouble is reported once
WARNING, NOTICE = 28, 29  # syslog: facility daemon


class Report:
    """Troubles in words, to stderr and syslog, each once in a while and never in the way.

    ejabberd's stderr is often /dev/null, hence syslog; neither is waited for.
    """

    def __init__(self, monotonic: Callable[[], float], stderr: int, syslog: str) -> None:
        self._monotonic = monotonic
        self._stderr = stderr
        self._syslog = syslog
        self._last: dict[str, float] = {}
        self._troubled = False

    def trouble(self, text: str) -> None:
        """Report something that is wrong, unless it was reported a short while ago."""
        self._troubled = True
        self._report(WARNING, text)

    def recovered(self, text: str) -> None:
        """Report the end of a trouble; without one there is nothing to report."""
        if self._troubled:
            self._troubled = False
            self._report(NOTICE, text)

    def _report(self, priority: int, text: str) -> None:
        now = self._monotonic()
        if now - self._last.get(text, -QUIET) >= QUIET:
            self._last[text] = now
            self._write(priority, text)

    def _write(self, priority: int, text: str) -> None:
        line = f"authbridge-extauth[{posix.getpid()}]: {text}"
        poll = select.poll()
        poll.register(self._stderr, select.POLLOUT)
        if poll.poll(0):  # a pipe that is ready takes PIPE_BUF octets without waiting
            with_newline = line.encode(errors="replace")[:500] + b"\n"
            try:
                posix.write(self._stderr, with_newline)
            except OSError:
                pass  # closed at the other end: syslog remains
        try:
            log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
            try:
                log.setblocking(False)
                log.sendto(f"<{priority}>{line}".encode(errors="replace"), self._syslog)
            finally:
                log.close()
        except OSError:
            pass  # no syslog here: stderr remains
