"""HTTP check_password, as Prosody asks it, and /auth/basic, as nginx does: one compact token.

The server has one core and the load generator another; the server's CPU time is what counts. Of a
daemon "as shipped" each login has its line in a file.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench.passwords import password
from bench.processes import Memory, Program, offspring
from bench.rounds import Load, Results, Variant, goal, print_table, total
from bench.workplace import CLIENT_SECRET, Daemon, Workplace, connects, free_port, jids

SERVER, CLIENT = 0, 1
CONNECTIONS = 8
SHIPPED, QUIET = "authbridge, as shipped", "authbridge, login line off"
BASIC = "authbridge, as shipped, /auth/basic"
AIOHTTP, TWISTED = "aiohttp, a constant", "twisted.web Site, a constant"
NGINX = "nginx, a constant"

_NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{}}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "true"; }} }}
}}
"""


def request(user: str, domain: str) -> bytes:
    """A login as Prosody's mod_auth_http asks it, with the right password."""
    query = f"server={domain}&user={user}&pass={password(f'{user}@{domain}').decode()}"
    credentials = base64.b64encode(f"bench:{CLIENT_SECRET}".encode()).decode()
    return (
        f"GET /auth/check_password?{query} HTTP/1.1\r\nUser-Agent: Prosody XMPP Server\r\n"
        f"Authorization: Basic {credentials}\r\nHost: 127.0.0.1\r\n\r\n"
    ).encode()


def basic_request(user: str, domain: str) -> bytes:
    """A login as nginx's auth_request asks it: the user's own credentials are passed on."""
    credentials = base64.b64encode(f"{user}:".encode() + password(f"{user}@{domain}")).decode()
    return (
        f"GET /auth/basic?server={domain} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Basic {credentials}\r\n\r\n"
    ).encode()


def drive(place: Workplace, requests: Path, port: int, kind: str, seconds: float) -> Load:
    """One turn of the load generator."""
    generator = str(place.folder / "http_load")
    arguments = [str(requests), str(seconds), str(port), str(CONNECTIONS), kind, "true"]
    return place.load([generator, *arguments], CLIENT)


Server = tuple[Program, int, Path, Callable[[], Sequence[int]]]
"""Itself, its port, what it is asked, and the processes whose CPU time is its."""


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    requests = place.requests("http.requests", (request(*jid) for jid in jids()))
    basic = place.requests("basic.requests", (basic_request(*jid) for jid in jids()))
    servers: dict[str, Server] = {}
    for name, logins, asked in (
        (SHIPPED, "all", requests),
        (QUIET, "refused", requests),
        (BASIC, "all", basic),
    ):
        daemon = Daemon(place, f"http-{len(servers)}", logins=logins, core=SERVER)
        pid = daemon.program.pid
        servers[name] = (daemon.program, daemon.port, asked, partial(list, [pid]))

    def add(name: str, command: Sequence[str], port: int) -> Program:
        log = place.folder / f"http-{len(servers)}.log"
        program = place.start(command, log, core=SERVER)
        program.wait_for(lambda: connects(port), name)
        servers[name] = (program, port, requests, partial(list, [program.pid]))
        return program

    port = free_port()
    add(AIOHTTP, place.module("bench.aiohttp_constant", str(port)), port)
    port = free_port()
    add(TWISTED, place.module("bench.twisted_constant", str(port)), port)
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        print("\nnginx is not installed: it is left out of the tables of HTTP")
    else:
        port = free_port()
        configuration = place.folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=place.folder, port=port))
        master = add(NGINX, [nginx, "-c", str(configuration), "-e", "stderr"], port)
        workers = partial(list, offspring(master.pid))
        servers[NGINX] = (master, port, requests, workers)

    for kind, title, limit in (("keep", "keep-alive", 1.6), ("new", "a new connection each", 1.3)):
        variants = [
            Variant(name, partial(drive, place, asked, port, kind), {"server": pids})
            for name, (_, port, asked, pids) in servers.items()
        ]
        results = Results(variants, rounds, seconds)
        results.table(f"HTTP check_password, {title}, {CONNECTIONS} outstanding", AIOHTTP)
        goal(f"CPU to aiohttp's, {title}", results.ratio(SHIPPED, AIOHTTP, total), limit)
        line = results.ratio(SHIPPED, QUIET, total)
        print(f"- (the login line: {line:.2f} × the CPU without it)")
    rows = [
        (name, f"{sum(Memory.of(pid).rss for pid in pids()):.1f}")
        for name, (*_, pids) in servers.items()
    ]
    print_table("memory after it, MB", ("", "RSS"), rows)
