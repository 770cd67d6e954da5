"""Processes that the benchmarks start, what they have used, and the machine they ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0
"""Seconds in which whatever is started has to be ready."""


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, user and system, of all its threads, to the nanosecond.

    /proc/PID/stat counts ticks of 10 ms; the process's CPU clock is the same figure in full. The
    number of a process's clock is made as in clock_getcpuclockid(3).
    """
    return time.clock_gettime((~pid << 3) | 2)


@dataclass(frozen=True)
class Memory:
    """MB (10^6 octets) of a process."""

    rss: float
    private: float
    """Its own pages: what one more of its kind costs."""
    anonymous: float

    @classmethod
    def of(cls, pid: int) -> Memory:
        """What /proc says now."""
        fields: dict[str, int] = {}
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, value, *_ = line.split()
            fields[name] = int(value)
        private = fields["Private_Clean:"] + fields["Private_Dirty:"]
        return cls(*(kb * 1024 / 1e6 for kb in (fields["Rss:"], private, fields["Anonymous:"])))


class Program:
    """One process, ended by its own pid; its stderr goes to a file."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        piped: bool = False,
        core: int | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                preexec_fn=pin(core),  # noqa: PLW1509 - there are no threads here
            )
        self.pid = self.process.pid

    def wait_for(self, ready: Callable[[], object], what: str) -> None:
        """Wait until `ready` says so."""
        end = time.monotonic() + PATIENCE
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                text = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{what} did not come up:\n{text}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask it to end; then make it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def offspring(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *offspring(child)]
    return found


def arguments_of(pid: int) -> list[str]:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def pin(core: int | None) -> Callable[[], None] | None:
    """For a child about to start: stay on this core. Two programs that take turns then cost what
    they compute, and not what waking another core costs."""
    cores = sorted(os.sched_getaffinity(0))
    if core is None or len(cores) == 1:
        return None
    return lambda: os.sched_setaffinity(0, {cores[core % len(cores)]})


def machine() -> str:
    """Where this was measured, and what."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("authbridge", "twisted", "cryptography", "aiohttp")
    )
    return (
        f"{len(os.sched_getaffinity(0))} cores ({model}), Linux {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, {versions}, "
        f"commit {commit()}"
    )


def commit() -> str:
    """The commit of this checkout; a "+" behind it says that files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run(
        [*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False
    )
    if head.returncode:
        return "none"
    changed = subprocess.run(
        [*git, "status", "--porcelain", "authbridge"], capture_output=True, text=True, check=False
    )
    return head.stdout.strip() + ("+" if changed.stdout else "")


def beside_python(name: str) -> str:
    """A program of the same installation as this interpreter."""
    return str(Path(sys.executable).parent / name)
