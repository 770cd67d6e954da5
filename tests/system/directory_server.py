"""A server of a directory as a process: started and ended in every way, as often as is liked."""

import os
import signal
from pathlib import Path

from .processes import Process, is_stopped
from .waiting import wait_until


class DirectoryServer:
    """`start`, `stop` and `kill` may alternate; tree and ports stay."""

    log: Path
    _process: Process | None = None

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        raise NotImplementedError

    @property
    def process(self) -> Process:
        """The running server."""
        assert self._process is not None, "the directory is not started"
        return self._process

    @property
    def running(self) -> bool:
        """True between `start` and its end."""
        return self._process is not None and self._process.running

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        return self.process.stop()

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP, and wait until every thread has stopped."""
        self.process.send(signal.SIGSTOP)
        threads = f"/proc/{self.process.pid}/task"
        # Each time anew: one may have ended meanwhile.
        wait_until(
            lambda: all(is_stopped(int(thread)) for thread in os.listdir(threads)),
            "the directory has stopped",
        )

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def restore(self) -> bool:
        """Up and running, whatever a test has done to it; True if that was anything."""
        if not self.running:
            self.start()
            return True
        stopped = is_stopped(self.process.pid)
        self.resume()
        return stopped

    def mark(self) -> int:
        """Now, for what is asked since."""
        return self.log.stat().st_size
