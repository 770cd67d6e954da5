"""What it costs to keep tokens: issuing and using them, beside the library in a loop.

Ours is the ledger on a reactor, asked by one or by 64 at once. The loop beside it has the same
statements or scripts, in batches of as many, and nothing else to do. SQLite writes down each batch
before it is over (synchronous=FULL), and so does Redis (appendfsync always).
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.rounds import goal, print_table, progress
from bench.workplace import Workplace, connects, free_port

LIVE = 100, 1_000_000
AT_ONCE = 1, 64
MOST_ROUNDS = 7
JOBS = "issue", "consume"
LEAST, MOST_GROWTH = 0.5, 1.25


@dataclass(frozen=True)
class Rate:
    """Of one job in one turn."""

    per_second: float
    cpu: float
    """Microseconds of this process for each."""


@dataclass(frozen=True)
class Kind:
    """A kind of store: `prepare` gives one with so many live tokens, for one turn."""

    name: str
    prepare: Callable[[int], str]


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    ours: dict[tuple[str, int, int, str], float] = {}
    rows = []
    for kind in (_sqlite(place), _redis(place)):
        for live in LIVE:
            for at_once in AT_ONCE:
                turns: dict[str, list[dict[str, Rate]]] = {"bare": [], "ours": []}
                for number in range(min(rounds, MOST_ROUNDS)):
                    # Every other round backwards: what drifts then hits both alike.
                    for how in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
                        progress(f"{kind.name}, {live:,} live, {at_once} at once: {how}")
                        turns[how].append(_turn(place, how, kind.prepare(live), at_once, seconds))
                progress("")
                for job in JOBS:
                    row, cpu = _row(turns, job)
                    rows.append((kind.name, f"{live:,}", str(at_once), job, *row))
                    ours[kind.name, live, at_once, job] = cpu
    heads = ("", "live", "at once", "", "ours per s", "bare per s", "×", "CPU µs", "bare CPU µs")
    print_table("keeping tokens", heads, rows)
    goal("the lowest × the bare loop", min(float(row[6]) for row in rows), LEAST, at_least=True)
    few, many = LIVE
    growth = {key: cpu / ours[key[0], few, *key[2:]] for key, cpu in ours.items() if key[1] == many}
    for (name, _, at_once, job), ratio in growth.items():
        goal(f"{name}, {job}, {at_once} at once: CPU, {many:,} live to {few}", ratio, MOST_GROWTH)


def _row(turns: dict[str, list[dict[str, Rate]]], job: str) -> tuple[tuple[str, ...], float]:
    mine, theirs = ([turn[job] for turn in turns[how]] for how in ("ours", "bare"))
    pairs = zip(mine, theirs, strict=True)
    ratio = statistics.median(one.per_second / other.per_second for one, other in pairs)
    cpu = statistics.median(one.cpu for one in mine)
    row = (
        f"{statistics.median(one.per_second for one in mine):,.0f}",
        f"{statistics.median(one.per_second for one in theirs):,.0f}",
        f"{ratio:.2f}",
        f"{cpu:.0f}",
        f"{statistics.median(one.cpu for one in theirs):.0f}",
    )
    return row, cpu


def _turn(place: Workplace, how: str, where: str, at_once: int, seconds: float) -> dict[str, Rate]:
    told = _load(place, how, where, str(at_once), f"{seconds:g}")
    found = {}
    for line in told.splitlines():
        job, count, elapsed, cpu = line.split()
        found[job] = Rate(int(count) / float(elapsed), float(cpu) * 1e6 / int(count))
    return found


def _load(place: Workplace, *arguments: str) -> str:
    done = subprocess.run(
        place.module("bench.ledger_load", *arguments),
        env={"PATH": "/usr/bin:/bin", **place.environment},
        cwd=place.folder / "path",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr}")
    return done.stdout


def _sqlite(place: Workplace) -> Kind:
    folder = place.folder / "stores"
    folder.mkdir(mode=0o700)
    path = folder / "state.sqlite3"

    def prepare(live: int) -> str:
        filled = folder / f"{live}.sqlite3"
        if not filled.exists():
            _load(place, "fill", str(filled), str(live))
        for one in folder.glob(f"{path.name}*"):
            one.unlink()
        shutil.copy2(filled, path)
        return str(path)

    return Kind("SQLite", prepare)


def _redis(place: Workplace) -> Kind:
    port = free_port()
    folder = place.folder / "redis"
    folder.mkdir(mode=0o700)
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": ""}
    options |= {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    server = place.start(["redis-server", *arguments], folder / "log")
    server.wait_for(lambda: connects(port), "redis-server")
    where, filled = f"redis://127.0.0.1:{port}/0", Path(folder / "filled")

    def prepare(live: int) -> str:
        # Of many live tokens a few more make no difference.
        if live == min(LIVE) or not filled.exists():
            subprocess.run(
                ["redis-cli", "-p", str(port), "flushall"], check=True, stdout=subprocess.DEVNULL
            )
            _load(place, "fill", where, str(live))
            if live == max(LIVE):
                filled.touch()
        return where

    return Kind("Redis", prepare)
