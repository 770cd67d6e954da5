"""Callers who take their time or send too much: each is cut, and costs nobody else anything."""

import asyncio
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from tests.fuzz.frames import descriptors

from . import http_attacks
from .daemon import Daemon
from .http_attacks import (
    CHUNKED,
    CREDENTIALS,
    HOST,
    LENGTH,
    LINE,
    MOST_GROWTH,
    PATIENCE,
    RIGHT,
    Caller,
    forget_peak,
    get,
    good,
    harmless,
    lines,
    memory,
    post,
    read,
    troubles,
)
from .pki import Pki
from .ports import free_port
from .slow_callers import PAUSE, deaf, drip
from .waiting import wait_until

HUGE = 200 * 1024 * 1024
#: Octets, more than any buffers take.
MANY = 64 * 1024 * 1024
BLOCK = b"a" * 65536
LARGE = post(b"Content-Length: 60000", body=b"")
IN_CHUNKS = post(CHUNKED, body=b"")
#: What is sent at once, and what over and over, octet by octet; and the statuses of the answers.
SLOW = {
    "nothing": (b"", b"", []),
    "empty lines": (b"", b"\r\n", [400]),
    "half a method": (b"G", b"", [408]),
    "a method": (b"", b"G", [408]),
    "a request, octet by octet": (b"", RIGHT, [408]),
    "half a request line": (LINE[:30], b"", [408]),
    "a path": (LINE[:30], b"a", [408]),
    "a request line alone": (LINE + b"\r\n", b"", [408]),
    "half a field": (RIGHT[:-20], b"", [408]),
    "a field": (lines(LINE, HOST)[:-2] + b"X: ", b"a", [408]),
    "fields": (lines(LINE, HOST, CREDENTIALS)[:-2], b"X: a\r\n", [408]),
    "no end of the fields": (RIGHT[:-2], b"", [408]),
    "no body": (LARGE, b"", [408]),
    "a body": (LARGE, b"a", [408]),
    "a body but for an octet": (post(LENGTH)[:-1], b"", [408]),
    "no chunk": (IN_CHUNKS, b"", [408]),
    "chunks": (IN_CHUNKS, b"1\r\na\r\n", [408]),
    "a chunk": (IN_CHUNKS + b"ff0\r\n", b"a", [408]),
    "the size of a chunk": (IN_CHUNKS, b"0", [408]),
    "an extension of a chunk": (IN_CHUNKS + b"1;", b"a", [408]),
    "a trailer": (IN_CHUNKS + b"1\r\na\r\n0\r\nX: ", b"a", [400]),
    "a body that was asked for": (post(LENGTH, b"Expect: 100-continue", body=b""), b"", [100, 408]),
    "another request": (RIGHT + RIGHT[:30], b"a", [200, 408]),
}
#: Who does not hear that nobody listens any more.
DEAF = [get(HOST), LARGE.replace(b"60000", b"70000"), get(line=b"GET /nowhere HTTP/1.1")]
#: The same under TLS, or before it.
SLOW_TLS = {
    "nothing": (b"", b"", []),
    "a field": (lines(LINE, HOST)[:-2] + b"X: ", b"a", [408]),
    "another request": (RIGHT + RIGHT[:30], b"a", [200, 408]),
}
SLOW_HANDSHAKE = {
    "nothing": (b"", b""),
    "half a record": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""),
    "a record": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"a"),
}


TLS_PORT = free_port()


@pytest.fixture(scope="module")
def attacked(workspace: Path, directory_pki: Pki) -> Iterator[Daemon]:
    """The daemon that all this is done to."""
    daemon = http_attacks.under_attack(
        workspace / "slow",
        listeners=[
            f"ssl:{TLS_PORT}:privateKey={directory_pki.key}:certKey={directory_pki.certificate}"
            ":interface=127.0.0.1"
        ],
    )
    daemon.start()
    yield daemon
    assert daemon.running
    daemon.stop()


def glutton(port: int) -> bool:
    """Ask and ask and read nothing, until the server ends the connection.

    His segments are small so that little of the answers is on its way, in nobody's memory but the
    kernel's. Once he is refused, what he sends is thrown away, and there is no need to send much.
    Where what was taken of him ends with a request, he has 80 s: those of an idle connection.
    """
    sent, many = 0, RIGHT * 200
    end = time.monotonic() + 2 * PATIENCE
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 256)
        greedy.connect(("127.0.0.1", port))
        greedy.setblocking(False)
        while time.monotonic() < end:
            if sent > MANY:
                time.sleep(PAUSE)
            select.select([], [greedy], [], PAUSE)
            try:
                sent += greedy.send(many[sent % len(RIGHT) :])
            except BlockingIOError:
                pass
            except OSError:
                return True
    return False


async def slow_and_quick(port: int, tls: ssl.SSLContext) -> dict[str, list[int]]:
    """What the slow ones are told in the end; the others log in for as long as it takes."""
    over = threading.Event()

    def log_in() -> int:
        count = 0
        while not over.is_set():
            assert good(port)
            count += 1
        return count

    slow = {name: drip(port, first, then) for name, (first, then, _) in SLOW.items()}
    slow |= {
        f"{name}, under TLS": drip(TLS_PORT, first, then, tls)
        for name, (first, then, _) in SLOW_TLS.items()
    }
    slow |= {
        f"{name} of a handshake": drip(TLS_PORT, first, then)
        for name, (first, then) in SLOW_HANDSHAKE.items()
    }
    async with asyncio.timeout(PATIENCE):
        quick = asyncio.create_task(asyncio.to_thread(log_in))
        try:
            said = await asyncio.gather(*slow.values())
        finally:
            over.set()
        assert await quick > len(SLOW)
    answers = [[] if octets[:1] == b"\x15" else read(octets) for octets in said]  # a TLS alert
    assert all(map(harmless, chain(*answers)))
    assert all(found[-1].last for found in answers if found)
    return {
        name: [answer.status for answer in found] for name, found in zip(slow, answers, strict=True)
    }


def test_who_is_slow_is_cut_and_nobody_waits_for_him(attacked: Daemon, directory_pki: Pki) -> None:
    """Whatever he is slow with; and who reads no answer, or does not hear that nobody listens any
    more, is gone in the end as well."""
    port, pid = attacked.http_port, attacked.process.pid
    tls = ssl.create_default_context(cafile=directory_pki.ca)
    assert good(port)
    forget_peak(pid)
    before, fds = memory(pid), descriptors(pid)
    with ThreadPoolExecutor() as threads:
        greedy = threads.submit(glutton, port)
        unheard = [threads.submit(deaf, port, octets) for octets in DEAF]
        statuses = asyncio.run(slow_and_quick(port, tls))
    assert statuses == {
        **{name: expected for name, (_, _, expected) in SLOW.items()},
        **{f"{name}, under TLS": expected for name, (_, _, expected) in SLOW_TLS.items()},
        **{f"{name} of a handshake": [] for name in SLOW_HANDSHAKE},
    }
    assert greedy.result()
    assert all(caller.result() for caller in unheard)
    wait_until(lambda: descriptors(pid) <= fds, "everybody is gone")
    assert memory(pid, "VmHWM") - before < MOST_GROWTH
    assert good(port)
    assert troubles(attacked) == []


def push(port: int, head: bytes, block: bytes) -> list[http_attacks.Answer]:
    """Send 200 MiB behind a head, or as much of it as is taken; what was answered."""
    caller = Caller(port)
    caller.send(head)
    try:
        for _ in range(HUGE // len(block)):
            caller.socket.sendall(block)
    except OSError:
        pass  # nobody listens any more
    return caller.everything()


ENDLESS = {
    "announced": (b"Content-Length: %d" % HUGE, BLOCK),
    "in chunks": (CHUNKED, http_attacks.chunk(BLOCK)),
    "in chunks of an octet": (CHUNKED, b"1\r\na\r\n" * 10_000),
    "in one chunk": (CHUNKED, BLOCK),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_who_sends_200_megabytes_is_refused_and_costs_no_memory(
    attacked: Daemon, name: str
) -> None:
    """Announced or not, though he goes on sending."""
    framing, block = ENDLESS[name]
    head = post(framing, body=b"%x\r\n" % HUGE if name == "in one chunk" else b"")
    port, pid = attacked.http_port, attacked.process.pid
    assert good(port)
    forget_peak(pid)
    before = memory(pid)
    for _ in range(3):
        (answer,) = push(port, head, block)
        assert answer.status == 413
        assert answer.last
        assert harmless(answer)
        assert good(port)
    assert memory(pid, "VmHWM") - before < MOST_GROWTH
    assert troubles(attacked) == []
