"""Generated frames through real connectors, the real daemon and a real slapd that comes and goes.

The invariant: whatever happens to slapd, each connector writes exactly one answer of four octets
for each frame, in order and in time. It is the right one for its frame, or, where the directory has
to be asked, the one of an outage. A wrong password never gets a yes.

    python -m tests.fuzz.outages 1000000      the torture run: prints what it saw
"""

from __future__ import annotations

import random
import select
import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.fuzz.directory_frames import OUTAGE
from tests.fuzz.frames import descriptors, memory
from tests.fuzz.line import Asked, Line
from tests.fuzz.weather import Weather
from tests.system import directory
from tests.system.daemon import Daemon
from tests.system.directory import CROWD, DOMAIN
from tests.system.pki import make_pki
from tests.system.slapd import Slapd

DEADLINE = 8.0
"""Seconds; the connector's promise, as the daemon tells it."""
MARGIN = 1.0
"""Seconds more: for pipes, and for two cores that everybody shares."""
RECOVERY = 5.0
"""Seconds within which a directory that is back is used again."""
PIPELINED = 8
"""Frames that a connector is given ahead; ejabberd gives it one."""
PAUSE = 0.02
"""Seconds for which nobody asks who had an outage's answer: an outage is answered faster than a
login, and would take most of the frames."""
MOST_GROWTH = 24e6
"""Octets, of the daemon and of a connector."""
MOST_LINKS = 24
"""Connections to the directory that the daemon may have, or not have: 18, and some that end."""


class Report:
    """What was seen."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, bytes]] = Counter()
        self.by_state: Counter[str] = Counter()
        self.outages: Counter[str] = Counter()
        """Outage answers by the state in which they came."""
        self.last_outage = 0.0
        """The longest that slapd was back when something was asked that had an outage's answer."""
        self.late_outages = 0
        """Those that were asked later than slapd should be in use again."""
        self.slowest: dict[str, float] = {}
        """Seconds, by the state in which the answer came."""
        self.decided = 0
        """Logins that the directory has decided."""

    @property
    def frames(self) -> int:
        return self.answers.total()

    def add(self, asked: Asked, answer: bytes, weather: Weather) -> None:
        frame, now, state = asked.frame, time.monotonic(), weather.state
        assert frame.accepts(answer), f"{frame.kind}: {answer!r} behind frame {self.frames}"
        self.answers[frame.kind, answer] += 1
        self.by_state[state] += 1
        self.slowest[state] = max(now - asked.sent, self.slowest.get(state, 0.0))
        if frame.asks and answer == OUTAGE:
            self.outages[state] += 1
            back = asked.sent - weather.fair_since
            self.last_outage = max(back, self.last_outage)
            self.late_outages += back > RECOVERY
        elif frame.is_login:
            self.decided += 1


@dataclass(frozen=True)
class Scene:
    """Everything there is, running."""

    daemon: Daemon
    lines: Sequence[Line]
    weather: Weather

    def sizes(self) -> list[tuple[int, int]]:
        """Octets in memory and descriptors: the daemon's, and each connector's."""
        pids = [self.daemon.process.pid, *(line.process.pid for line in self.lines)]
        return [(memory(pid), descriptors(pid)) for pid in pids]


@contextmanager
def scene(
    folder: Path, connectors: int, *, fair: float, foul: float, timeout: str | None = None
) -> Iterator[Scene]:
    """A directory that comes and goes, a daemon that asks it, and connectors."""
    pki = make_pki(folder / "tls", ["localhost"], ["127.0.0.1"])
    slapd = Slapd(folder / "slapd", pki)
    checker = directory.checker(
        DOMAIN,
        "corp",
        slapd.tls_url,
        base=CROWD,
        ca_file=pki.ca,
        bind_password_file=slapd.service_password_file,
        timeout=timeout,
        exists_cache="1s",  # or all would be known who are asked for
    )
    terms = f'deadline = "{DEADLINE}s"\non_unavailable = {{ isuser = "error" }}'
    daemon = Daemon(folder / "daemon", (), extauth=terms, others={DOMAIN: checker})
    with ExitStack() as ends:
        slapd.start()
        ends.callback(slapd.kill)
        daemon.start()
        ends.callback(daemon.kill)
        command = shlex.split(daemon.extauth_program)
        lines = [Line(command, seed) for seed in range(connectors)]
        for line in lines:
            ends.callback(line.close)
        weather = Weather(slapd, fair, foul)
        weather.start()
        ends.callback(weather.clear_up)
        yield Scene(daemon, lines, weather)


def drive(
    scene: Scene,
    report: Report,
    count: int,
    cycles: int,
    tell: Callable[[], object] = lambda: None,
) -> None:
    """Ask until so many frames are answered, and slapd has been through all so many times.

    `tell` is called at every twentieth of the way.
    """
    dice, told = random.Random(count), 0
    while True:
        under_way = sum(line.ahead for line in scene.lines)
        if report.frames + under_way < count or scene.weather.cycles < cycles:
            ask(scene.lines, dice)
        elif not under_way:
            return
        exchange(scene, report)
        if report.frames * 20 >= count * (told + 1):
            told += 1
            tell()


def ask(lines: Sequence[Line], dice: random.Random) -> None:
    """More of those who have had their answers, unless they have had an outage's just now."""
    now = time.monotonic()
    for line in lines:
        if line.ahead < PIPELINED and now >= line.quiet_until:
            line.ask(dice.randrange(1, PIPELINED + 1))


def exchange(scene: Scene, report: Report) -> None:
    """Write and read what can be written and read now."""
    outputs = {line.stdout: line for line in scene.lines}
    inputs = {line.stdin: line for line in scene.lines if line.has_pieces}
    readable, writable, _ = select.select(outputs, inputs, [], PAUSE)
    for descriptor in writable:
        inputs[descriptor].send()
    for descriptor in readable:
        line = outputs[descriptor]
        for asked, answer in line.hear():
            report.add(asked, answer, scene.weather)
            if asked.frame.asks and answer == OUTAGE:
                line.quiet_until = time.monotonic() + PAUSE
    for line in scene.lines:
        line.check_patience()


def finish(scene: Scene) -> None:
    """The end: nothing is written that nobody asked for, and nobody was at a loss."""
    scene.weather.clear_up()
    assert [line.end() for line in scene.lines] == [b"" for _ in scene.lines]
    assert scene.daemon.stop() == 0
    with scene.daemon.log.open(errors="replace") as log:
        assert not any("traceback" in line.lower() for line in log)


def table(report: Report) -> Iterator[str]:
    """The report, for people."""
    for kind in sorted({kind for kind, _ in report.answers}):
        true, false, error = (report.answers[kind, answer] for answer in (TRUE, FALSE, ERROR))
        yield f"{kind:13} true {true:7}  false {false:7}  error {error:7}"
    for state, slowest in report.slowest.items():
        answers, outages = report.by_state[state], report.outages[state]
        yield f"{state:13} {answers:7} answers, {outages:6} of an outage, {slowest:.2f} s at most"
    late = report.late_outages
    yield f"the last outage answer was to a frame {report.last_outage:.2f} s after slapd was back"
    yield f"outage answers to frames later than {RECOVERY:g} s after that: {late}"


def main(count: int) -> None:
    """The torture run."""
    report = Report()
    sizes: list[list[tuple[int, int]]] = []
    with (
        tempfile.TemporaryDirectory(prefix="ab-", dir="/tmp") as folder,
        scene(Path(folder), 8, fair=5.0, foul=5.0) as everything,
    ):
        begun = time.monotonic()

        def tell() -> None:
            sizes.append(everything.sizes())
            rate = report.frames / (time.monotonic() - begun)
            print(f"{report.frames} frames, {rate:.0f}/s, {everything.weather.cycles} cycles,",
                  f"{report.decided} logins decided by slapd", flush=True)  # fmt: skip

        drive(everything, report, count, 1, tell)
        tell()
        finish(everything)
    for line in table(report):
        print(" ", line)
    for number, ((rss, fds), (rss_now, fds_now)) in enumerate(
        zip(sizes[0], sizes[-1], strict=True)
    ):
        print(f"  {f'connector {number}' if number else 'daemon':13} {rss / 1e6:.1f} MB,",
              f"{fds} descriptors; at the end {rss_now / 1e6:.1f} MB, {fds_now}")  # fmt: skip
        assert rss_now - rss < MOST_GROWTH
        assert fds_now - fds <= MOST_LINKS
    assert max(report.slowest.values()) <= DEADLINE + MARGIN
    assert report.late_outages == 0
    assert report.decided >= count // 10


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
