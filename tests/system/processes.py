"""Processes the tests start, and what /proc says about them and their children."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .waiting import wait_until


def command_line(pid: int) -> bytes:
    """The arguments of a process, NUL between them; empty for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _stat(pid: int) -> tuple[str, ...]:
    """Fields of /proc/PID/stat behind the name (which may itself hold spaces)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ()
    return tuple(text[text.rindex(")") + 2 :].split())


def _state(pid: int) -> str:
    """One letter of proc(5); "Z", a zombie, for one that is gone as well."""
    fields = _stat(pid)
    return fields[0] if fields else "Z"


def is_running(pid: int) -> bool:
    """True unless the process is gone or only waits to be reaped."""
    return _state(pid) != "Z"


def is_stopped(pid: int) -> bool:
    """True once a SIGSTOP has taken effect."""
    return _state(pid) == "T"


def parent(pid: int) -> int:
    """The parent's pid; 0 for a process that is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def octets_read(pid: int) -> int:
    """How many octets a process has read so far, from files and pipes."""
    text = Path(f"/proc/{pid}/io").read_text()
    return int(text.partition("rchar: ")[2].split()[0])


def all_pids() -> Iterator[int]:
    """Every process there is."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def running_with(argument: str) -> list[int]:
    """Running processes that have exactly this among their arguments."""
    wanted = os.fsencode(argument)
    return [
        pid for pid in all_pids() if wanted in command_line(pid).split(b"\0") and is_running(pid)
    ]


class Process:
    """One program in the foreground, its stdout and stderr appended to a file."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=folder,
            )
        self.log = log

    @property
    def pid(self) -> int:
        """The process id; the process is reaped only by `wait`, so it is never somebody else's."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        self._process.send_signal(number)

    def wait(self, limit: float = 90.0) -> int:
        """Exit status once it has ended by itself or by a signal."""
        return self._process.wait(limit)

    def pause(self) -> None:
        """SIGSTOP, and wait until it has stopped."""
        self.send(signal.SIGSTOP)
        wait_until(lambda: is_stopped(self.pid), f"process {self.pid} stopped")

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def wait_until_up(self, up: Callable[[], bool], what: str) -> None:
        """Wait for the condition; should it not come, or the process end, leave nothing behind."""

        def alive_and_up() -> bool:
            assert self.running, self.log.read_text(errors="replace")
            return up()

        try:
            wait_until(alive_and_up, what)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL, and reap it."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM and the exit status; SIGKILL and an error if that does not end it."""
        self.send(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
