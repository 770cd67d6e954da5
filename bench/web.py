"""A page that nobody is logged in to asks /credentials again and again, as Converse does.

The server has one core and the load generator another; the server's CPU time is what counts. All
are asked the same, with the headers that a browser sends.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.http import AIOHTTP, CLIENT, CONNECTIONS, SERVER, TWISTED
from bench.processes import Program
from bench.rounds import Load, Results, Variant, goal, total
from bench.workplace import Daemon, Workplace, connects, free_port

NOBODY = "authbridge, no cookie"
STALE = "authbridge, a cookie that the site does not know"
FOREIGN = "authbridge, another site's page (with a line in the log)"

_BROWSER = (
    "GET {path} HTTP/1.1\r\n"
    "Host: www.example.org\r\n"
    "Connection: keep-alive\r\n"
    'sec-ch-ua: "Chromium";v="156", "Not?A_Brand";v="24"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Linux"\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36\r\n"
    "Accept: application/json, text/javascript\r\n"
    "{more}"
    "Sec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    "Referer: https://www.example.org/chat\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n\r\n"
)
_SAME = "Sec-Fetch-Site: same-origin\r\n"
_ASKED = {
    NOBODY: _SAME,
    STALE: _SAME + "Cookie: sessionid=0123456789abcdef0123456789abcdef\r\n",
    FOREIGN: "Sec-Fetch-Site: cross-site\r\nOrigin: https://elsewhere.example\r\n",
}
_STATUS = {NOBODY: 401, STALE: 401, FOREIGN: 403}

_SITE = """
[authbridge]
state = "state.sqlite3"
[domains."chat.example.org"]
check = ["temporary"]
exists = "always"
[checkers.temporary]
kind = "token"
accept = ["temporary"]
[sites.www]
hosts = ["www.example.org"]
domain = "chat.example.org"
session = {{ kind = "forward", url = "http://127.0.0.1:{site}/whoami", cookie = "sessionid" }}
"""


def drive(
    place: Workplace,
    requests: Path,
    port: int,
    kind: str,
    answer: tuple[int, str],
    seconds: float,
) -> Load:
    """One turn of the load generator."""
    generator = str(place.folder / "http_load")
    numbers = [str(requests), str(seconds), str(port), str(CONNECTIONS), kind]
    status, body = answer
    return place.load([generator, *numbers, body, str(status)], CLIENT)


def answer_of(port: int, request: str) -> tuple[int, str]:
    """What is said to it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    lines = request.split("\r\n")[1:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    connection.request("GET", "/credentials", headers=headers)
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    variants: list[tuple[str, Path, int, Program, tuple[int, str]]] = []

    def add(name: str, command: Sequence[str], port: int) -> None:
        log = place.folder / f"web-{port}.log"
        program = place.start(command, log, core=SERVER)
        program.wait_for(lambda: connects(port), name)
        asked = _BROWSER.format(path="/auth/check_password", more=_ASKED[NOBODY])
        requests = place.requests(f"web-{port}.requests", [asked.encode()])
        variants.append((name, requests, port, program, (200, "true")))

    site = free_port()
    program = place.start(place.module("bench.whoami", str(site)), place.folder / "site.log")
    program.wait_for(lambda: connects(site), "the site")
    port = free_port()
    daemon = Daemon(place, "web", core=SERVER, web=port, more=_SITE.format(site=site))
    for name, more in _ASKED.items():
        asked = _BROWSER.format(path="/credentials", more=more)
        answer = answer_of(port, asked)
        assert answer[0] == _STATUS[name], answer
        requests = place.requests(f"web-{_STATUS[name]}-{len(variants)}", [asked.encode()])
        variants.append((name, requests, port, daemon.program, answer))
    for name, module in ((TWISTED, "bench.twisted_constant"), (AIOHTTP, "bench.aiohttp_constant")):
        port = free_port()
        add(name, place.module(module, str(port)), port)
    for kind, title in (("keep", "keep-alive"), ("new", "a new connection each")):
        results = Results(
            [
                Variant(
                    name,
                    partial(drive, place, requests, port, kind, answer),
                    {"server": partial(list, [program.pid])},
                )
                for name, requests, port, program, answer in variants
            ],
            rounds,
            seconds,
        )
        results.table(f"/credentials refused, {title}, {CONNECTIONS} outstanding", TWISTED)
        goal(f"CPU to twisted.web's, {title}", results.ratio(NOBODY, TWISTED, total), 1.3)
