"""extauth with one request outstanding, all on one core: what the bridge itself costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.passwords import password
from bench.processes import Memory, Program
from bench.rounds import Load, Results, Variant, goal, print_table, rate, total
from bench.workplace import Daemon, Workplace, connects, jids

CORE = 0
ECHO, LOOP, RELAY = "C echo, no check", "bare Python loop", "bare relay + bare daemon"
QUIET, SHIPPED = "authbridge, login line off", "authbridge, as shipped"
ALONE_QUIET, ALONE = "--standalone, login line off", "--standalone, as shipped"


def frame(user: str, domain: str, given: bytes | None = None) -> bytes:
    """A login as ejabberd asks it, with the right password, or another that is right."""
    if given is None:
        given = password(f"{user}@{domain}")
    request = f"auth:{user}:{domain}:".encode() + given
    return len(request).to_bytes(2, "big") + request


def drive(place: Workplace, program: Program, requests: Path, seconds: float) -> Load:
    """One turn of the load generator on a program's pipes."""
    load = [str(place.folder / "extauth_load"), str(requests), str(seconds)]
    return place.load(load, CORE, program)


class Programs:
    """What ejabberd would start, each with the daemon that it asks, if any."""

    def __init__(self, place: Workplace, folder: str) -> None:
        """`folder` is that of their logs and daemons, and new."""
        self._place = place
        self._folder = folder
        (place.folder / folder).mkdir()
        self._parts: dict[str, list[Program]] = {}

    def add(self, name: str, command: Sequence[str], daemon: Program | None = None) -> None:
        """Start one."""
        log = self._place.folder / self._folder / f"{len(self._parts)}.log"
        program = self._place.start(command, log, piped=True, core=CORE)
        self._parts[name] = [program] if daemon is None else [program, daemon]

    def add_authbridge(self) -> None:
        """Start all four ways to have authbridge."""
        for name, alone, logins in ((QUIET, ALONE_QUIET, "refused"), (SHIPPED, ALONE, "all")):
            daemon = Daemon(self._place, f"{self._folder}/{logins}", logins=logins, core=CORE)
            self.add(name, daemon.connector, daemon.program)
            own = Daemon(self._place, f"{self._folder}/{logins}-alone", logins=logins, start=False)
            self.add(alone, own.standalone)

    def variant(self, name: str, requests: Path, title: str = "") -> Variant:
        """One of them, asked this."""
        program = self._parts[name][0]
        return Variant(
            title or name,
            partial(drive, self._place, program, requests),
            {
                part: partial(list, [process.pid])
                for part, process in zip(("program", "daemon"), self._parts[name], strict=False)
            },
        )

    def variants(self, requests: Path) -> list[Variant]:
        """All of them, asked this."""
        return [self.variant(name, requests) for name in self._parts]

    def print_memory(self) -> None:
        """Print what each program holds now, after its logins."""
        rows = []
        for name, parts in self._parts.items():
            for part, process in zip(("program", "daemon"), parts, strict=False):
                held = Memory.of(process.pid)
                figures = (f"{held.rss:.1f}", f"{held.private:.1f}", f"{held.anonymous:.1f}")
                rows.append((name, part, *figures))
        print_table("memory after it, MB", ("", "", "RSS", "private", "anonymous"), rows)


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    requests = place.requests("extauth.requests", (frame(*jid) for jid in jids()))
    programs = Programs(place, "extauth")
    programs.add(ECHO, [str(place.folder / "echo")])
    programs.add(LOOP, place.module("bench.bare_loop"))
    bare = start_bare_daemon(place, "bare-1.sock", CORE)
    programs.add(RELAY, place.module("bench.bare_relay", str(place.folder / "bare-1.sock")), bare)
    programs.add_authbridge()
    results = Results(programs.variants(requests), rounds, seconds)
    results.table("extauth: one request outstanding, one compact token, one core", RELAY)
    goal("bridge CPU, line off, to bare relay", results.ratio(QUIET, RELAY, total), 1.2)
    goal("bridge CPU, as shipped, to bare relay", results.ratio(SHIPPED, RELAY, total), 1.5)
    standalone = results.ratio(ALONE_QUIET, LOOP, rate)
    goal("--standalone, line off, to bare loop's rate", standalone, 0.4, at_least=True)
    programs.print_memory()


def start_bare_daemon(place: Workplace, name: str, core: int | None) -> Program:
    """The bare relays' other side."""
    path = place.folder / name
    command = place.module("bench.bare_daemon", str(path))
    program = place.start(command, place.folder / f"{name}.log", core=core)
    program.wait_for(lambda: connects(path), "the bare daemon")
    return program
