"""Under a real ejabberd: its HTTP API asks check_password, it asks a pool of extauth programs.

One node serves one host for each variant, each host with a program of its own, so that the
variants take turns at the same node. The programs and the load have all cores.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.extauth import start_bare_daemon
from bench.passwords import password
from bench.processes import arguments_of, offspring
from bench.rounds import Load, Results, Variant, goal, rate, total
from bench.workplace import USERS, Daemon, Workplace

POOL = 4
CONNECTIONS = 8
ECHO, LOOP, RELAY = "C echo, no check", "bare Python in process", "bare relay + bare daemon"
QUIET, SHIPPED = "authbridge, login line off", "authbridge, as shipped"

_HOST = """\
  "{host}":
    extauth_program: {program}
    extauth_pool_name: "{host}"
    extauth_pool_size: {pool}
"""


def request(user: str, host: str) -> bytes:
    """check_password through mod_http_api."""
    given = password(f"{user}@{host}").decode()
    body = json.dumps({"user": user, "host": host, "password": given})
    return (
        "POST /api/check_password HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def drive(place: Workplace, requests: Path, port: int, seconds: float) -> Load:
    """One turn of the load generator; the API answers 0 for yes."""
    generator = str(place.folder / "http_load")
    arguments = [str(requests), str(seconds), str(port), str(CONNECTIONS), "keep", "0"]
    return place.load([generator, *arguments], None)


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    if not Path("/usr/bin/erl").exists() or not list(Path("/usr/lib").glob("*/ejabberd-*")):
        print("\nejabberd is not installed: nothing is measured under it")
        return
    # The system tests' own way to start one; it needs their packages.
    from tests.system.ejabberd import Ejabberd
    from tests.system.pki import make_pki
    from tests.system.waiting import wait_until

    bare = start_bare_daemon(place, "bare-2.sock", None)
    quiet = Daemon(place, "ejabberd-refused", logins="refused", domains=0)
    shipped = Daemon(place, "ejabberd-all", logins="all", domains=0)
    python_path = f"PYTHONPATH={place.environment['PYTHONPATH']}"

    def ours(module: str, *arguments: str) -> list[str]:
        return ["/usr/bin/env", python_path, *place.module(module, *arguments)]

    commands: dict[str, tuple[list[str], list[int]]] = {
        ECHO: ([str(place.folder / "echo")], []),
        LOOP: (ours("bench.bare_loop"), []),
        RELAY: (ours("bench.bare_relay", str(place.folder / "bare-2.sock")), [bare.pid]),
        QUIET: (quiet.connector, [quiet.program.pid]),
        SHIPPED: (shipped.connector, [shipped.program.pid]),
    }
    hosts = {name: f"host{i}.example.org" for i, name in enumerate(commands)}
    top = "host_config:\n" + "".join(
        _HOST.format(host=hosts[name], program=json.dumps(shlex.join(command)), pool=POOL)
        for name, (command, _) in commands.items()
    )
    folder = place.folder / "ejabberd"
    pki = make_pki(folder / "pki", list(hosts.values()))
    first = shlex.join(commands[ECHO][0])
    node = Ejabberd(folder, pki, list(hosts.values()), first, top=top)
    node.start()
    place.at_end(node.stop)

    def programs(command: Sequence[str]) -> list[int]:
        wanted = command[-2:]
        return [pid for pid in offspring(node.process.pid) if arguments_of(pid)[-2:] == wanted]

    def all_run(command: Sequence[str]) -> bool:
        return len(programs(command)) == POOL

    erlang: Callable[[], list[int]] = partial(list, [node.process.pid])
    variants = []
    for name, (command, daemons) in commands.items():
        calls = (request(f"user{i}", hosts[name]) for i in range(USERS))
        requests = place.requests(f"{hosts[name]}.requests", calls)
        wait_until(partial(all_run, command), f"{name} runs")
        parts: dict[str, Callable[[], list[int]]] = {"programs": partial(list, programs(command))}
        if daemons:
            parts["daemon"] = partial(list, daemons)
        port: int = node._api_port
        variants.append(Variant(name, partial(drive, place, requests, port), parts, erlang))
    results = Results(variants, rounds, seconds)
    title = f"under ejabberd: check_password, pool of {POOL}, {CONNECTIONS} calls at once"
    results.table(title, RELAY, "ejabberd's CPU µs")
    reached = results.ratio(RELAY, LOOP, rate)
    print(f"- (the bare relay itself: {reached:.2f} × the requests/s of bare in process)")
    for name in (QUIET, SHIPPED):
        ratio = results.ratio(name, LOOP, rate)
        goal(f"{name}: requests/s to bare in process", ratio, 0.95, at_least=True)
    goal("bridge CPU, line off, to bare relay", results.ratio(QUIET, RELAY, total), 1.2)
    goal("bridge CPU, as shipped, to bare relay", results.ratio(SHIPPED, RELAY, total), 1.5)
