"""The daemon at rest, and whether a login costs more where many domains are served."""

from __future__ import annotations

import sys
import time
from functools import partial

from bench.extauth import CORE, drive, frame
from bench.processes import Memory, Program
from bench.rounds import Results, Variant, goal, print_table, total
from bench.workplace import Daemon, Workplace, jids

DOMAINS = 1, 10, 1000
IMPORTS = """
import importlib, time
import authbridge.cli.main, authbridge.tap, authbridge.checkers.token
for name in authbridge.cli.main.COMMANDS:
    importlib.import_module("authbridge.cli." + name)
from twisted.internet import reactor
print("ready", flush=True)
time.sleep(3600)
"""
SETTLING = 0.5
"""Seconds until a daemon that was started has done what it does at first."""


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    log = place.folder / "imports.log"
    imports = place.start([sys.executable, "-c", IMPORTS], log)
    imports.wait_for(lambda: b"ready" in log.read_bytes(), "a process of imports")
    daemons: dict[int, tuple[Daemon, Program]] = {}
    rest: dict[int, Memory] = {}
    for count in DOMAINS:
        daemon = Daemon(place, f"domains-{count}", domains=count, core=CORE)
        time.sleep(SETTLING)
        rest[count] = Memory.of(daemon.program.pid)
        connector = place.start(
            daemon.connector, place.folder / f"domains-{count}.log", piped=True, core=CORE
        )
        daemons[count] = daemon, connector
    variants = [
        Variant(
            name_of(count),
            partial(
                drive,
                place,
                connector,
                place.requests(f"domains-{count}.requests", (frame(*one) for one in jids(count))),
            ),
            {"daemon": partial(list, [daemon.program.pid])},
        )
        for count, (daemon, connector) in daemons.items()
    ]
    results = Results(variants, rounds, seconds)
    first, last = DOMAINS[0], DOMAINS[-1]
    results.table("the daemon's part of an extauth login", name_of(first))
    growth = results.ratio(name_of(last), name_of(first), total)
    goal(f"CPU per login, {last} domains to {first}", growth, 1.1)

    alone = Memory.of(imports.pid)
    rows = [("its imports alone", alone)]
    rows += [(f"at rest, {name_of(count)}", rest[count]) for count in DOMAINS]
    rows += [
        (f"after the logins, {name_of(count)}", Memory.of(daemon.program.pid))
        for count, (daemon, _) in daemons.items()
    ]
    print_table(
        "the daemon's memory, MB",
        ("", "RSS", "private", "RSS × imports"),
        [(n, f"{m.rss:.1f}", f"{m.private:.1f}", f"{m.rss / alone.rss:.2f}") for n, m in rows],
    )
    goal("RSS at rest to that of the imports", rest[first].rss / alone.rss, 1.25)


def name_of(domains: int) -> str:
    return f"{domains:,} domain{'s' if domains > 1 else ''}"
