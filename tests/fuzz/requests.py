"""Mutated HTTP requests to the real daemon.

They begin as valid ones of every dialect, with passwords that are wrong and users whom nobody
knows. The invariant: whatever becomes of them, whatever is answered is a whole answer and never
"true", no error of the server's but 501, and nothing of the request; nothing crashes, and nothing
grows.

    python -m tests.fuzz.requests 100000     the torture run: prints what it saw
"""

from __future__ import annotations

import asyncio
import base64
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.fuzz.frames import descriptors, pieces
from tests.system.http_attacks import (
    CREDENTIALS,
    PATIENCE,
    good,
    memory,
    read,
    troubles,
    under_attack,
)
from tests.system.slow_callers import crowd
from tests.system.waiting import wait_until

CANARY = b"zqcanaryqz"
"""In names, passwords, fields and bodies. Not `http_attacks.CANARY`: as the name of a user it may
well come into the log."""
AT_ONCE = 8
"""Connections that mutated requests come on."""
MOST_GROWTH = 24
"""Megabytes, of the daemon over a torture run."""
TURN = 10_000
"""Connections of it after which it is looked at."""
IDLE, SLOW = 1_000, 200
"""Connections that say nothing, or one octet now and then, while others log in."""
SECONDS = 20
"""So long are those logins measured; a slow connection lasts for 15."""
STATUSES = {100, 200, 400, 401, 403, 404, 405, 413, 414, 417, 421, 431, 501}
"""What may be answered while all is well: there is no outage, and nobody is slow."""

_LOGIN = b"user=nobody&server=example.org&pass=" + CANARY
_HEAD = b"Host: localhost\r\n" + CREDENTIALS + b"\r\nUser-Agent: " + CANARY + b"\r\n"
_USER = b"Authorization: Basic " + base64.b64encode(b"nobody:" + CANARY) + b"\r\n"
_BODY = b'{"username":"nobody","password":"' + CANARY + b'"}'
_FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def _post(verb: bytes, body: bytes = _LOGIN, more: bytes = _FORM) -> bytes:
    head = b"POST /auth/%b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n"
    return head % (verb, _HEAD, more, len(body)) + body


SEEDS = [
    b"GET /auth/check_password?" + _LOGIN + b" HTTP/1.1\r\n" + _HEAD + b"\r\n",
    b"GET /auth/check_password?pass=%c3%bc" + CANARY + b"+%26%2b&server=example.org&user=nobody"
    b" HTTP/1.1\r\n" + _HEAD + b"\r\n",
    b"GET /auth/user_exists?user=nobody&server=example.org&pass= HTTP/1.1\r\n" + _HEAD + b"\r\n",
    b"GET /auth/user_exists?server=example.org&user=" + CANARY + b" HTTP/1.0\r\n"
    b"Connection: keep-alive\r\n" + _HEAD + b"\r\n",
    b"GET /auth/get_password?user=nobody&server=example.org&pass= HTTP/1.1\r\n" + _HEAD + b"\r\n",
    *(_post(verb) for verb in (b"check_password", b"set_password", b"register", b"remove_user")),
    _post(b"user_exists", b"user=nobody&server=example.org&pass=", b"Expect: 100-continue\r\n"),
    _post(b"remove_user_validate"),
    b"POST /auth/check_password HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (_LOGIN[:5], len(_LOGIN) - 5, _LOGIN[5:]),
    b"GET /auth/basic?server=example.org HTTP/1.1\r\nHost: 127.0.0.1\r\n" + _USER + b"\r\n",
    b"HEAD /auth/basic?server=example.org HTTP/1.0\r\nHost: localhost\r\n" + _USER + b"\r\n",
    _post(b"json?server=example.org", _BODY, b"Connection: close, TE\r\nTE: trailers\r\n"),
    b"POST /auth/json?server=example.org HTTP/1.1\r\nHost: localhost:80\r\n"
    b"Content-Length: %d\r\n\r\n" % len(_BODY) + _BODY,
]

TOKENS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\r\n\r\n", b"\r\n ", b";"),
    *(b",", b"%", b"&", b"=", b"?", b"#", b"/", b"//", b"/../", b"%00", b"%0d%0a", b"%zz"),
    *(b"\xff", b"\x7f", b"\xc3\xa9"),
    *(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n"),
    *(b"Host: evil.example\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(b"Connection: keep-alive\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff\r\n"),
    *(b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b"http://"),
    *(b"user=", b"&user=nobody", b"&server=example.net", b"&pass=x", b"server=example.org&"),
    *(b'"', b"{", b"}", b'"username":', b"null", b"\\u0000", b"\\ud800", b"[" * 500, b"-1", b"+5"),
    *(b"18446744073709551616", b": 70000", b"9" * 5000, b"a" * 17_000, b"X: a\r\n" * 101),
    *(b"%20" * 9_000, b"a" * 66_000),
]  # fmt: skip


def mutate(dice: random.Random) -> bytes:
    """A request with a few faults, by the throw of dice."""
    octets = bytearray(dice.choice(SEEDS))
    for _ in range(dice.choice([1, 1, 1, 2, 3, 8])):
        _spoil(octets, dice)
    return bytes(octets)


def _spoil(octets: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(octets) + 1)
    near = min(len(octets), at + dice.choice([1, 2, 5, 20, 200]))
    match dice.randrange(10):
        case 0 if at < len(octets):
            octets[at] ^= 1 << dice.randrange(8)
        case 1 if at < len(octets):
            octets[at] = dice.randrange(256)
        case 2:
            del octets[at:near]
        case 3 if dice.random() < 0.3:
            del octets[at:]
        case 4:
            octets[at:at] = octets[at:near] * dice.choice([1, 1, 2, 50])
        case 5:  # a line of it once more, somewhere between two
            parts = bytes(octets).split(b"\r\n")
            parts.insert(dice.randrange(len(parts) + 1), dice.choice(parts))
            octets[:] = b"\r\n".join(parts)
        case 6:  # the rest of another
            other = dice.choice(SEEDS)
            octets[at:] = other[dice.randrange(len(other)) :]
        case 7:  # another behind it
            octets += dice.choice(SEEDS)
        case _:
            octets[at : dice.choice([at, near])] = dice.choice(TOKENS)


def judge(octets: bytes) -> Iterator[int]:
    """The statuses of what a connection has said; AssertionError where it may not say that."""
    assert CANARY not in octets
    assert CREDENTIALS.split()[-1] not in octets
    for answer in read(octets):
        assert answer.body != b"true"
        assert answer.status in STATUSES
        yield answer.status


async def _converse(port: int, parts: list[bytes]) -> bytes:
    """What a connection of its own says until its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = bytearray()
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        writer.write_eof()
        while piece := await reader.read(65536):
            said += piece
    except (ConnectionError, OSError):
        pass  # it was cut: what it has said counts
    finally:
        writer.transport.abort()
    return bytes(said)


async def _visit(port: int, dice: random.Random, numbers: Iterable[int]) -> Counter[int]:
    seen: Counter[int] = Counter()
    for number in numbers:
        octets = b"".join(mutate(dice) for _ in range(dice.choice([1, 1, 1, 3])))
        parts = list(pieces(dice, octets))
        said = await asyncio.wait_for(_converse(port, parts), PATIENCE)
        try:
            seen.update(judge(said))
        except AssertionError as error:
            raise AssertionError(f"request {number}: {octets!r} was answered {said!r}") from error
    return seen


async def _drive(port: int, count: int, seed: int) -> Counter[int]:
    async with asyncio.TaskGroup() as group:
        visits = [
            group.create_task(
                _visit(port, random.Random(seed * AT_ONCE + at), range(at, count, AT_ONCE))
            )
            for at in range(AT_ONCE)
        ]
    return sum((visit.result() for visit in visits), Counter())


def drive(port: int, count: int, seed: int) -> Counter[int]:
    """Send so many connections' mutated requests; how often each status was the answer."""
    return asyncio.run(_drive(port, count, seed))


def logins(port: int, seconds: float) -> list[float]:
    """Seconds that good logins take, one after the other, each on a connection of its own."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert good(port)
        took.append(time.monotonic() - began)
    return sorted(took)


def figures(took: list[float]) -> str:
    """What there is to say of them, in milliseconds."""
    p50, p99, most = (took[int((len(took) - 1) * part)] * 1000 for part in (0.5, 0.99, 1))
    return f"{len(took)} good logins, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms"


def main(count: int) -> None:
    """The torture run."""
    folder = Path(tempfile.mkdtemp(prefix="ab-", dir="/tmp"))
    room = f"connections = {2 * (IDLE + SLOW)}\npeer_connections = {2 * (IDLE + SLOW)}"
    daemon = under_attack(folder / "daemon", http=room)
    try:
        daemon.start()
        port, pid = daemon.http_port, daemon.process.pid
        drive(port, 2_000, 0)  # caches filled, threads started
        before, fds, began = memory(pid), descriptors(pid), time.monotonic()
        seen: Counter[int] = Counter()
        for done in range(0, count, TURN):
            seen += drive(port, min(TURN, count - done), done // TURN + 1)
            told = min(done + TURN, count)
            rate = told / (time.monotonic() - began)
            grown, more = memory(pid) - before, descriptors(pid) - fds
            print(
                f"{told} requests, {rate:.0f}/s, grown by {grown:.1f} MB, {more:+d} descriptors",
                flush=True,
            )
            assert good(port)
            assert grown < MOST_GROWTH
            assert abs(more) <= 8
        print("answers:", dict(sorted(seen.items())))
        print("quiet:", figures(logins(port, SECONDS)), flush=True)
        with crowd(port, idle=IDLE, slow=SLOW):
            logins(port, 2)  # they come
            there = descriptors(pid) - fds
            took = logins(port, SECONDS)
            print(f"{IDLE} idle, {SLOW} slow connections ({there} there):", figures(took))
            assert there >= IDLE + SLOW / 2
            assert took[-1] < 1
        wait_until(lambda: descriptors(pid) <= fds + 8, "they are gone")
        grown, more = memory(pid) - before, descriptors(pid) - fds
        print(f"in the end grown by {grown:.1f} MB, {more:+d} descriptors")
        assert grown < MOST_GROWTH
        assert daemon.running
        assert troubles(daemon) == []
        daemon.stop()
    finally:
        if daemon.running:
            daemon.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
