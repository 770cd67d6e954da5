"""What one more connector weighs, and how fast it starts: ejabberd starts one for each core."""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

from bench.extauth import frame
from bench.processes import Memory, beside_python, pin
from bench.rounds import goal, print_table, progress
from bench.workplace import Daemon, Workplace

RUNS = 60
LOGINS = 1000
NOTHING = [beside_python("python3"), "-IS", "-c", "pass"]
WAITING = [beside_python("python3"), "-IS", "-c", "import posix; posix.read(0, 1)"]


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print; how often is its own affair."""
    daemon = Daemon(place, "connector")
    answered = daemon.connector
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "python3 -IS -c pass": lambda: until_end(NOTHING),
        "authbridge-extauth, stdin at its end": lambda: until_end(answered),
        "authbridge-extauth, to its first answer": lambda: until_answer(answered),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(RUNS):
        progress(f"start {number + 1} of {RUNS}")
        for name, way in ways.items():
            found[name].append(way())
    progress("")
    medians = {
        name: (
            statistics.median(wall for wall, _ in times) * 1000,
            statistics.median(cpu for _, cpu in times) * 1000,
        )
        for name, times in found.items()
    }
    python, connector, _ = medians.values()
    rows = [(name, f"{wall:.1f}", f"{cpu:.1f}") for name, (wall, cpu) in medians.items()]
    print_table(f"start, ms (medians of {RUNS}, in turns)", ("", "wall", "CPU"), rows)
    goal("connector's start above python3 -IS", connector[0] - python[0], 10, unit="ms")

    bare, ours = memory_of(WAITING, 0), memory_of(answered, LOGINS)
    weights = [
        (name, f"{held.rss:.2f}", f"{held.private:.2f}", f"{held.anonymous:.2f}")
        for name, held in (("python3 -IS", bare), (f"connector, {LOGINS} logins later", ours))
    ]
    print_table("memory, MB", ("", "RSS", "private", "anonymous"), weights)
    goal("connector's RSS above python3 -IS", ours.rss - bare.rss, 1.5, unit="MB")


def until_end(command: Sequence[str]) -> tuple[float, float]:
    """Seconds (wall, CPU) from the start to the end of a program without input."""
    before = children()
    start = time.perf_counter()
    subprocess.run(list(command), stdin=subprocess.DEVNULL, check=True, preexec_fn=pin(0))
    wall = time.perf_counter() - start
    return wall, children() - before


def until_answer(command: Sequence[str]) -> tuple[float, float]:
    """The same to the answer to a login that waits in its pipe; CPU to its end."""
    before = children()
    start = time.perf_counter()
    program = started(command)
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(frame("user1", "example.org"))
    program.stdin.flush()
    program.stdout.read(4)
    wall = time.perf_counter() - start
    program.communicate()
    return wall, children() - before


def memory_of(command: Sequence[str], logins: int) -> Memory:
    """What a program holds once it waits for its next login."""
    program = started(command)
    assert program.stdin is not None
    assert program.stdout is not None
    time.sleep(0.3)
    for _ in range(logins):
        program.stdin.write(frame("user1", "example.org"))
        program.stdin.flush()
        assert program.stdout.read(4) == b"\0\2\0\1"
    held = Memory.of(program.pid)
    program.communicate()
    return held


def children() -> float:
    """Seconds of CPU that children have used that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=pin(0),  # noqa: PLW1509 - there are no threads here
    )
