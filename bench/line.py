"""What the line of one login costs: ours, and those of the logs that others would take.

All in one process, in turns, and of this process the CPU time. The code is hot here. Within a
login, where it is not, a line costs several times as much (`bench.http` and `bench.extauth` have
rows with the line and without), so that it is the ratios that are to be looked at.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.logger import ILogObserver, Logger, jsonFileLogObserver, textFileLogObserver

from authbridge.log import EventLog, LineStream, LoginLog, LogSettings, Write
from authbridge.model import PASSWORD_MATCHES
from bench.rounds import print_table, progress
from bench.workplace import Workplace, jids

LINES = 1000
"""Of one turn."""
PIPE = 1 << 20
"""Octets that the pipe holds: more than the lines of a turn, so that none is left out, and a slow
reader does not make it cheaper."""
OURS = "authbridge, text, to a file"
FORMAT = (
    "login id={id} front_end={front_end} operation={operation} jid={jid} checker={checker} "
    "verdict={verdict} reason={reason} ms={ms:.2f}"
)
PERCENT = (
    "login id=%s front_end=%s operation=%s jid=%s checker=%s verdict=%s reason=%s ms=%.2f"
)  # fmt: skip

Line = Callable[[str, str, float], object]
"""Write the line of one login: its id, its jid and its seconds; all else is the same in each."""


@dataclass(frozen=True)
class Way:
    """One way to write lines."""

    line: Line
    file: Path | None = None
    """Where they are then; None where nobody can count them."""


def ours(settings: LogSettings, write: Write) -> Line:
    """As the authenticator has it written."""
    log, outcome = LoginLog(settings, write, time.time), PASSWORD_MATCHES

    def line(number: str, jid: str, seconds: float) -> None:
        if log.wants(outcome):
            log.line(number, "prosody", "http", "check_password", jid, "hmac", outcome, seconds)

    return line


def twisted(observer: ILogObserver) -> Line:
    """An event of Twisted's log."""
    log = Logger(observer=observer)
    verdict, reason = PASSWORD_MATCHES.verdict.value, PASSWORD_MATCHES.reason.value

    def line(number: str, jid: str, seconds: float) -> None:
        log.info(
            FORMAT,
            id=number,
            front_end="http",
            operation="check_password",
            jid=jid,
            checker="hmac",
            verdict=verdict,
            reason=reason,
            ms=seconds * 1000,
        )

    return line


def standard(path: Path) -> Line:
    """The standard library's log."""
    log = logging.Logger("authbridge", logging.INFO)
    to_file = logging.FileHandler(path, delay=False)
    to_file.setFormatter(
        logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    log.addHandler(to_file)
    verdict, reason = PASSWORD_MATCHES.verdict.value, PASSWORD_MATCHES.reason.value

    def line(number: str, jid: str, seconds: float) -> None:
        ms = seconds * 1000
        log.info(PERCENT, number, "http", "check_password", jid, "hmac", verdict, reason, ms)

    return line


class Streams:
    """Where lines go."""

    def __init__(self, place: Workplace) -> None:
        self._folder = place.folder
        self._numbers = itertools.count()
        self._streams: list[LineStream] = []
        self.null = self._stream(os.open(os.devnull, os.O_WRONLY))
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE)
        reader = subprocess.Popen(["cat"], stdin=read, stdout=subprocess.DEVNULL)
        os.close(read)
        self.pipe = self._stream(write)
        self._pipe = write
        place.at_end(lambda: self._end(reader))

    def path(self) -> Path:
        """Another file."""
        return self._folder / f"lines-{next(self._numbers)}"

    def file(self, path: Path) -> Write:
        """Ours, to a file."""
        return self._stream(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))

    def check(self) -> None:
        """No line was left out."""
        if any(stream._lost for stream in self._streams):
            raise RuntimeError("lines were lost")

    def _stream(self, descriptor: int) -> Write:
        stream = LineStream(descriptor)
        self._streams.append(stream)
        return stream.write

    def _end(self, reader: subprocess.Popen[bytes]) -> None:
        os.close(self._pipe)
        reader.wait()


def ways(streams: Streams) -> Iterator[tuple[str, Way]]:
    """All that are compared."""
    text, json = LogSettings(), LogSettings(json=True)
    yield 'no line (`logins = "refused"`)', Way(ours(LogSettings(logins="refused"), streams.null))
    for kind, settings in (("text", text), ("JSON", json)):
        path = streams.path()
        yield f"authbridge, {kind}, made alone", Way(ours(settings, lambda _line: None))
        yield f"authbridge, {kind}, to a file", Way(ours(settings, streams.file(path)), path)
        yield f"authbridge, {kind}, to /dev/null", Way(ours(settings, streams.null))
        yield f"authbridge, {kind}, to a pipe", Way(ours(settings, streams.pipe))
    for kind, settings in (("text", text), ("JSON", json)):
        path = streams.path()
        observer = EventLog(settings, streams.file(path))
        yield (
            f"twisted.logger, authbridge's EventLog, {kind}, to a file",
            Way(twisted(observer), path),
        )
    path = streams.path()
    text_file = textFileLogObserver(path.open("a"))
    yield "twisted.logger, textFileLogObserver, to a file", Way(twisted(text_file), path)
    path = streams.path()
    json_file = jsonFileLogObserver(path.open("a"), recordSeparator="")
    yield "twisted.logger, jsonFileLogObserver, to a file", Way(twisted(json_file), path)
    path = streams.path()
    yield "logging, FileHandler, Formatter, to a file", Way(standard(path), path)


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print; how long a turn is, is its own affair."""
    streams = Streams(place)
    compared = dict(ways(streams))
    logins = [
        (f"4f1c-{number:x}", f"{user}@{domain}", number % 97 / 10000)
        for number, (user, domain) in zip(range(LINES), itertools.cycle(jids()), strict=False)
    ]
    costs: dict[str, list[float]] = {name: [] for name in compared}
    for number in range(rounds + 1):
        progress(f"round {number} of {rounds}")
        names = list(compared) if number % 2 else list(reversed(compared))
        for name in names:
            cost = turn(compared[name].line, logins)
            if number:  # the first is to warm up
                costs[name].append(cost)
    progress("")
    streams.check()
    rows = []
    for name, found in costs.items():
        ratio = statistics.median(a / b for a, b in zip(found, costs[OURS], strict=True))
        rows.append(
            (
                name,
                f"{statistics.median(found):.2f}",
                f"{ratio:.2f}",
                size(compared[name], rounds + 1),
            )
        )
    print_table("the line of one login", ("", "CPU µs", "× ours", "octets"), rows)


def turn(line: Line, logins: list[tuple[str, str, float]]) -> float:
    """Microseconds of CPU of one line."""
    before = time.process_time()
    for number, jid, seconds in logins:
        line(number, jid, seconds)
    return (time.process_time() - before) * 1e6 / len(logins)


def size(way: Way, rounds: int) -> str:
    """Octets of a line; all that were asked for must be there."""
    if way.file is None:
        return ""
    octets = way.file.read_bytes()
    if octets.count(b"\n") != rounds * LINES:
        raise RuntimeError(f"{way.file} has not as many lines as were written")
    return f"{len(octets) / rounds / LINES:.0f}"
