"""Where a process's CPU time goes: every few milliseconds of it, which function was running.

A C function counts for who called it, and so does the kernel.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from bench.rounds import print_table

TICK = 0.002
"""Seconds of CPU time from sample to sample; the kernel's own tick may be longer."""
PACKAGES = ("authbridge", "twisted", "zope", "OpenSSL", "bench")
MOST = {"modules": 30, "functions": 45, "lines": 30}

Counted = Mapping[str, Sequence[tuple[str, int]]]
"""By kind (`MOST`): what was running, and in how many samples."""


class Sampler:
    """Counts what is running, by CPU time."""

    def __init__(self) -> None:
        self._functions: Counter[tuple[str, str]] = Counter()
        self._lines: Counter[tuple[str, int]] = Counter()

    def start(self) -> None:
        """Begin to count."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)

    def stop(self) -> None:
        """Count no more."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def counted(self) -> Counted:
        """What was counted, what was running most often first."""
        modules: Counter[str] = Counter()
        for (path, _), number in self._functions.items():
            modules[room(path)] += number
        functions = {f"{room(p)}: {name}": n for (p, name), n in self._functions.items()}
        lines = {f"{room(p)}: {line}": n for (p, line), n in self._lines.items()}
        counters = {"modules": modules, "functions": functions, "lines": lines}
        return {kind: Counter(found).most_common() for kind, found in counters.items()}

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self._functions[code.co_filename, code.co_qualname] += 1
            self._lines[code.co_filename, frame.f_lineno] += 1


def room(path: str) -> str:
    """What a file belongs to."""
    parts = Path(path).parts
    for package in PACKAGES:
        if package in parts:
            return ".".join(parts[parts.index(package) :]).removesuffix(".py")
    return Path(path).name


def print_samples(title: str, cpu: float, counted: Counted) -> None:
    """Print where the CPU is. `cpu`: the microseconds that all samples together stand for."""
    each = cpu / sum(number for _, number in counted["modules"])
    for kind, most in MOST.items():
        rows = [(name, f"{number * each:.1f}") for name, number in counted[kind][:most]]
        print_table(f"{title}: {kind}", ("", "CPU µs"), rows)
