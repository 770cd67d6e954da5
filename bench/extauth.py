"""extauth with one request outstanding, all on one core: what the bridge itself costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.hmac_token import password
from bench.processes import Memory, Program
from bench.rounds import Load, Results, Variant, goal, print_table, rate, total
from bench.workplace import Daemon, Workplace, connects, jids

CORE = 0
ECHO, LOOP, RELAY = "C echo, no check", "bare Python loop", "bare relay + bare daemon"
QUIET, SHIPPED = "authbridge, login line off", "authbridge, as shipped"
ALONE_QUIET, ALONE = "--standalone, login line off", "--standalone, as shipped"


def frame(user: str, domain: str) -> bytes:
    """A login as ejabberd asks it, with the right password."""
    request = f"auth:{user}:{domain}:".encode() + password(f"{user}@{domain}")
    return len(request).to_bytes(2, "big") + request


def drive(place: Workplace, program: Program, requests: Path, seconds: float) -> Load:
    """One turn of the load generator on a program's pipes."""
    load = [str(place.folder / "extauth_load"), str(requests), str(seconds)]
    return place.load(load, CORE, program)


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    requests = place.requests("extauth.requests", (frame(*jid) for jid in jids()))
    programs: dict[str, list[Program]] = {}

    def add(name: str, command: Sequence[str], daemon: Program | None = None) -> None:
        log = place.folder / f"extauth-{len(programs)}.log"
        program = place.start(command, log, piped=True, core=CORE)
        programs[name] = [program] if daemon is None else [program, daemon]

    add(ECHO, [str(place.folder / "echo")])
    add(LOOP, place.module("bench.bare_loop"))
    bare = start_bare_daemon(place, "bare-1.sock", CORE)
    add(RELAY, place.module("bench.bare_relay", str(place.folder / "bare-1.sock")), bare)
    for name, alone, logins in ((QUIET, ALONE_QUIET, "refused"), (SHIPPED, ALONE, "all")):
        daemon = Daemon(place, f"extauth-{logins}", logins=logins, core=CORE)
        add(name, daemon.connector, daemon.program)
        own = Daemon(place, f"standalone-{logins}", logins=logins, start=False)
        arguments = ("--config", str(own.configuration))
        # As `authbridge-extauth --standalone` does, but not isolated: it is to find our checker.
        add(alone, place.module("authbridge.cli.standalone", *arguments))
    variants = [
        Variant(
            name,
            partial(drive, place, parts[0], requests),
            {
                part: partial(list, [process.pid])
                for part, process in zip(("program", "daemon"), parts, strict=False)
            },
        )
        for name, parts in programs.items()
    ]
    results = Results(variants, rounds, seconds)
    results.table("extauth: one request outstanding, one HMAC, one core", RELAY)
    goal("bridge CPU, line off, to bare relay", results.ratio(QUIET, RELAY, total), 1.2)
    goal("bridge CPU, as shipped, to bare relay", results.ratio(SHIPPED, RELAY, total), 1.5)
    standalone = results.ratio(ALONE_QUIET, LOOP, rate)
    goal("--standalone, line off, to bare loop's rate", standalone, 0.4, at_least=True)
    memory(programs)


def start_bare_daemon(place: Workplace, name: str, core: int | None) -> Program:
    """The bare relays' other side."""
    path = place.folder / name
    command = place.module("bench.bare_daemon", str(path))
    program = place.start(command, place.folder / f"{name}.log", core=core)
    program.wait_for(lambda: connects(path), "the bare daemon")
    return program


def memory(programs: dict[str, list[Program]]) -> None:
    """Print what each program holds now, after its logins."""
    rows = []
    for name, parts in programs.items():
        for part, process in zip(("program", "daemon"), parts, strict=False):
            held = Memory.of(process.pid)
            figures = (f"{held.rss:.1f}", f"{held.private:.1f}", f"{held.anonymous:.1f}")
            rows.append((name, part, *figures))
    print_table("memory after it, MB", ("", "", "RSS", "private", "anonymous"), rows)
