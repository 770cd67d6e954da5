"""`python -m bench.http_profile [keep|new]`: where the CPU of an HTTP check_password goes.

Two views, as for LDAP (`bench.ldap_profile`). Layers: the same requests to servers that have ever
more of ours in them (`bench.http_layers`), in turns, beside aiohttp and twisted.web; the difference
of two is what the layer costs. Samples (`bench.sampling`): which function was running.
"""

from __future__ import annotations

import argparse
import json
import statistics
from functools import partial
from pathlib import Path

from bench.http import AIOHTTP, CONNECTIONS, QUIET, SERVER, SHIPPED, TWISTED, drive, request
from bench.processes import Program
from bench.rounds import Results, Turn, Variant, print_table, rate, total
from bench.sampling import print_samples
from bench.workplace import Daemon, Workplace, connects, free_port, jids

TRANSPORT, PARSER = "Twisted's transport, a constant", "twisted.web's parser, a constant"
OURS = {
    "and our connections": ("connections", "refused"),
    "and the front end": ("front_end", "refused"),
    f"all: {QUIET}": ("daemon", "refused"),
    SHIPPED: ("daemon", "all"),
}
PEERS = {
    AIOHTTP: ["bench.aiohttp_constant"],
    TWISTED: ["bench.twisted_constant"],
    PARSER: ["bench.http_layers", "parser"],
}


class Servers:
    """What is measured, each on a port of its own."""

    def __init__(self, place: Workplace, requests: Path, kind: str) -> None:
        self._place, self._requests, self._kind = place, requests, kind
        self.variants: list[Variant] = []

    def add(self, name: str, *command: str) -> None:
        """Start a module that is given its port."""
        port = free_port()
        self._start(name, port, *command, str(port))

    def add_layer(self, name: str, layer: str, logins: str, *options: str) -> Program:
        """Start a daemon, or what a layer has of it."""
        folder = f"daemon-{len(self.variants)}"
        daemon = Daemon(self._place, folder, logins=logins, core=SERVER, start=False)
        arguments = (*options, layer, "run", "--config", str(daemon.configuration))
        return self._start(name, daemon.port, "bench.http_layers", *arguments)

    def _start(self, name: str, port: int, module: str, *arguments: str) -> Program:
        log = self._place.folder / f"server-{len(self.variants)}.log"
        program = self._place.start(self._place.module(module, *arguments), log, core=SERVER)
        program.wait_for(lambda: connects(port), name)
        load = partial(drive, self._place, self._requests, port, self._kind)
        pids = partial(list, [program.pid])
        self.variants.append(Variant(name, load, {"server": pids}))
        return program


def layers(servers: Servers, rounds: int, seconds: float, title: str) -> None:
    """Print what each costs, and how much more than the one before."""
    servers.add(TRANSPORT, "bench.http_layers", "transport")
    for name, (layer, logins) in OURS.items():
        servers.add_layer(name, layer, logins)
    for name, command in PEERS.items():
        servers.add(name, *command)
    results = Results(servers.variants, rounds, seconds)
    rows = []
    before: list[Turn] = []
    for name, turns in results.turns.items():
        more = ""
        if name not in PEERS and before:
            pairs = zip(turns, before, strict=True)
            more = f"{statistics.median(now.total - then.total for now, then in pairs):+.1f}"
        cpu, each = results.median(name, total), results.median(name, rate)
        ratio = results.ratio(name, AIOHTTP, total)
        rows.append((name, f"{each:,.0f}", f"{cpu:.1f}", more, f"{ratio:.2f}"))
        before = turns
    print_table(f"{title}: layers", ("", "per s", "CPU µs", "more", "× aiohttp's"), rows)


def samples(servers: Servers, found: Path, seconds: float, title: str) -> None:
    """Print where the CPU of the daemon is."""
    program = servers.add_layer("sampled", "daemon", "all", "--samples", str(found))
    turn = servers.variants[-1].turn(seconds)
    program.stop()
    title = f"{title}: samples of {turn.load.requests:,} logins"
    print_samples(title, turn.total, json.loads(found.read_text()))


def main() -> None:
    """Both views."""
    parser = argparse.ArgumentParser(prog="python -m bench.http_profile", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=["keep", "new"], default="keep")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each layer (9)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn (0.5)")
    parser.add_argument("--samples", type=float, default=20.0, help="seconds of sampling (20)")
    chosen = parser.parse_args()
    kind = "keep-alive" if chosen.kind == "keep" else "a new connection each"
    title = f"HTTP check_password, {kind}, {CONNECTIONS} outstanding"
    with Workplace() as place:
        requests = place.requests("http.requests", (request(*jid) for jid in jids()))
        servers = Servers(place, requests, chosen.kind)
        if chosen.rounds:
            layers(servers, chosen.rounds, chosen.seconds, title)
        samples(servers, place.folder / "samples.json", chosen.samples, title)


if __name__ == "__main__":
    main()
