"""A daemon whose clock the test sets: the time of day that it sees, not how fast time goes by."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from .daemon import write_private
from .ports import accepts
from .processes import Process
from .token_site import TokenSite

HOUR = 3600
YEAR = 365 * 24 * HOUR

#: Debian's package faketime; the dynamic linker knows what $LIB is.
_LIBRARY = "/usr/$LIB/faketime/libfaketimeMT.so.1"


class TimedSite(TokenSite):
    """The daemon; its clock is right when it is made, and keeps its error over a restart."""

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    def set_clock(self, ahead: int) -> None:
        """From now on it is so many seconds ahead of ours; less than none: behind it."""
        write_private(self._clock, f"{ahead:+d}\n".encode())
        self._ahead = ahead

    @property
    def time(self) -> float:
        """What its clock says."""
        return time.time() + self._ahead

    def start(self) -> None:
        """See Daemon."""
        if not self._clock.exists():
            self.set_clock(0)
        environment = {
            "LD_PRELOAD": _LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PATH": "/usr/bin:/bin",
        }
        self._process = Process(
            [sys.executable, "-m", "authbridge", "run", "--config", str(self.configuration)],
            self.log,
            environment=environment,
            folder=self.folder,
        )
        self._process.wait_until_up(
            lambda: self._listens(self.extauth_socket) and accepts(self.http_port),
            "the daemon accepts connections",
        )

    def kill(self) -> None:
        """See Daemon; and what the library leaves then would be in the way of the next process with
        this id."""
        pid = self.process.pid
        super().kill()
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            (Path("/dev/shm") / name).unlink(missing_ok=True)

    def restart(self, ahead: int) -> None:
        """kill -9, and a start with the clock set."""
        self.kill()
        self.set_clock(ahead)
        self.start()
