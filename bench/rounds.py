"""Variants that take turns, and tables of what they cost."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.processes import cpu_seconds


@dataclass(frozen=True)
class Load:
    """What a load generator reports of one turn."""

    requests: int
    seconds: float
    p50: float
    """Microseconds, as the next."""
    p99: float
    wrong: int

    @classmethod
    def read(cls, line: str) -> Load:
        """Its line: see load.h."""
        requests, elapsed, p50, p99, wrong = (int(word) for word in line.split())
        return cls(requests, elapsed / 1e9, p50 / 1e3, p99 / 1e3, wrong)


@dataclass(frozen=True)
class Turn:
    """One variant in one round."""

    load: Load
    cpu: Mapping[str, float]
    """Microseconds per request, by part."""
    beside: float
    """The same of what is not counted."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.load.requests / self.load.seconds

    @property
    def total(self) -> float:
        """Microseconds of CPU per request, of all parts."""
        return sum(self.cpu.values())


@dataclass(frozen=True)
class Variant:
    """Something to be driven: `drive` puts a load on it for some seconds."""

    name: str
    drive: Callable[[float], Load]
    parts: Mapping[str, Callable[[], Sequence[int]]]
    """The processes whose CPU time counts, by part."""
    beside: Callable[[], Sequence[int]] = tuple
    """Processes whose CPU time is shown, and not counted: the server that asks."""

    def turn(self, seconds: float) -> Turn:
        """One turn. A wrong answer ends the benchmark: it would measure something else."""
        before = {part: _used(pids()) for part, pids in self.parts.items()}
        beside = _used(self.beside())
        load = self.drive(seconds)
        if load.wrong or not load.requests:
            raise RuntimeError(f"{self.name}: {load.wrong} wrong answers of {load.requests}")
        used = {
            part: (_used(pids()) - before[part]) * 1e6 / load.requests
            for part, pids in self.parts.items()
        }
        return Turn(load, used, (_used(self.beside()) - beside) * 1e6 / load.requests)


def _used(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)


class Results:
    """The turns of all variants, round by round."""

    def __init__(self, variants: Sequence[Variant], rounds: int, seconds: float) -> None:
        """Run them: a short turn each to warm up, then the rounds."""
        self.turns: dict[str, list[Turn]] = {variant.name: [] for variant in variants}
        for variant in variants:
            variant.turn(min(seconds, 0.5))
        for number in range(rounds):
            # Every other round backwards: what drifts then hits each variant alike.
            for variant in variants if number % 2 == 0 else reversed(variants):
                progress(f"round {number + 1} of {rounds}: {variant.name}")
                self.turns[variant.name].append(variant.turn(seconds))
        progress("")

    def median(self, name: str, of: Callable[[Turn], float]) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(of(turn) for turn in self.turns[name])

    def ratio(self, name: str, peer: str, of: Callable[[Turn], float]) -> float:
        """How a variant's figure compares with a peer's: the median over the rounds."""
        pairs = zip(self.turns[name], self.turns[peer], strict=True)
        return statistics.median(of(mine) / of(theirs) for mine, theirs in pairs)

    def table(self, title: str, peer: str = "", beside: str = "") -> None:
        """Print rate, latency and CPU of every variant; CPU also relative to `peer`'s. `beside`
        is the name of what is shown beside it."""
        rows = []
        for name, turns in self.turns.items():
            parts = " + ".join(
                f"{statistics.median(turn.cpu[part] for turn in turns):.1f} {part}"
                for part in turns[0].cpu
            )
            rows.append(
                (
                    name,
                    f"{self.median(name, rate):,.0f}",
                    f"{self.median(name, lambda turn: turn.load.p50):.0f}",
                    f"{self.median(name, lambda turn: turn.load.p99):.0f}",
                    f"{self.median(name, total):.1f}",
                    f"{self.ratio(name, peer, total):.2f}" if peer else "",
                    parts if len(turns[0].cpu) > 1 else "",
                    f"{self.median(name, lambda turn: turn.beside):.0f}" if beside else "",
                )
            )
        heads = (
            "",
            "per s",
            "p50 µs",
            "p99 µs",
            "CPU µs",
            "× CPU" if peer else "",
            "of it",
            beside,
        )
        print_table(title, heads, rows)


def rate(turn: Turn) -> float:
    """For `median` and `ratio`."""
    return turn.rate


def total(turn: Turn) -> float:
    """For `median` and `ratio`."""
    return turn.total


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table, its columns without text left out."""
    columns = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    widths = {i: max(len(heads[i]), *(len(row[i]) for row in rows)) for i in columns}

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells[i].ljust(widths[i]) for i in columns) + " |"

    print(f"\n### {title}\n")
    print(line(heads))
    print("|" + "|".join("-" * (widths[i] + 2) for i in columns) + "|")
    for row in rows:
        print(line(row))
    print(flush=True)


def goal(text: str, found: float, limit: float, *, at_least: bool = False, unit: str = "×") -> None:
    """Print what was to be reached, and whether it was."""
    met = found >= limit if at_least else found <= limit
    sign = "≥" if at_least else "≤"
    print(
        f"- {'met' if met else 'MISSED'}: {text} {sign} {limit:g} {unit}: {found:.2f}", flush=True
    )


def progress(text: str) -> None:
    """What is being done, to a person who waits."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
