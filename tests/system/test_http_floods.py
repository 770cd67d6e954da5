"""Neither HTTP nor extauth starves while the other is flooded."""

import asyncio
import contextlib
import shlex
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz import frames

from . import http_attacks, people
from .canary import secret
from .daemon import Daemon
from .http_attacks import (
    CHECK,
    CREDENTIALS,
    HOST,
    PATIENCE,
    Answer,
    exchange,
    lines,
    login,
    read,
    troubles,
)

#: Connections that flood HTTP, and connectors that flood extauth.
CALLERS, CONNECTORS = 50, 4
#: Requests that a flooding connection sends at once.
BURST = 20


def ask(password: bytes) -> bytes:
    """A login of the user whom `tests.fuzz.frames` knows too."""
    return lines(b"GET %b?%b HTTP/1.1" % (CHECK, login(password)), HOST, CREDENTIALS)


YES, NO = (200, b"true"), (200, b"false")
RIGHT, WRONG = ask(frames.RIGHT), ask(secret("wrong"))
NOWHERE = RIGHT.replace(CHECK, b"/auth/nowhere")


@pytest.fixture(scope="module")
def flooded(workspace: Path) -> Iterator[Daemon]:
    """A daemon that has the user of the frames."""
    daemon = http_attacks.under_attack(workspace / "flooded")
    daemon.write_users(people.ORG, {"alice": frames.RIGHT})
    daemon.start()
    yield daemon
    assert daemon.running
    daemon.stop()


async def flood(port: int, number: int, over: threading.Event) -> int:
    """Ask as fast as answers come, and judge each; how many came."""
    octets = [RIGHT, WRONG][number % 2] * BURST + NOWHERE
    answers: list[Answer] = []
    count = 0
    while not over.is_set() or not count:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(octets)
            answers = read(await reader.read(-1))
            writer.close()
        expected = [YES, NO][number % 2]
        assert [(answer.status, answer.body) for answer in answers[:-1]] == [expected] * BURST
        assert answers[-1].status == 404
        count += len(answers)
    return count


@contextlib.contextmanager
def http_flood(port: int) -> Iterator[None]:
    """Many callers at once, in a thread, as long as this lasts; each must have had his answers."""
    over = threading.Event()

    async def come() -> list[int]:
        return await asyncio.gather(*(flood(port, at, over) for at in range(CALLERS)))

    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(asyncio.run, come())
        try:
            yield
        finally:
            over.set()
        assert min(coming.result()) > 0


@contextlib.contextmanager
def extauth_flood(daemon: Daemon) -> Iterator[None]:
    """Connectors that send batches of frames without a pause; each answer is looked at."""
    over = threading.Event()
    command = shlex.split(daemon.extauth_program)

    def send(seed: int) -> int:
        turns = 0
        while not over.is_set() or not turns:
            frames.drive(command, 500, seed + CONNECTORS * turns)
            turns += 1
        return turns

    with ThreadPoolExecutor(CONNECTORS) as threads:
        sending = [threads.submit(send, seed) for seed in range(CONNECTORS)]
        try:
            yield
        finally:
            over.set()
        assert all(turns.result() for turns in sending)


def test_frames_are_answered_rightly_while_http_is_flooded(flooded: Daemon) -> None:
    """And none by what an outage answers, which is what a deadline that passed would be."""
    with http_flood(flooded.http_port):
        frames.drive(shlex.split(flooded.extauth_program), 3_000, 100)
    assert troubles(flooded) == []


def test_calls_are_answered_rightly_while_extauth_is_flooded(flooded: Daemon) -> None:
    """Right and wrong passwords, each on a connection of its own."""
    with extauth_flood(flooded):
        for number in range(300):
            octets, expected = ((RIGHT, YES), (WRONG, NO))[number % 2]
            (answer,) = exchange(flooded.http_port, octets, end=True)
            assert (answer.status, answer.body) == expected
    assert troubles(flooded) == []


def test_both_are_answered_rightly_while_both_are_flooded(flooded: Daemon) -> None:
    """Each with the other's flood."""
    with http_flood(flooded.http_port), extauth_flood(flooded):
        frames.drive(shlex.split(flooded.extauth_program), 1_000, 200)
        for _ in range(50):
            (answer,) = exchange(flooded.http_port, RIGHT, end=True)
            assert (answer.status, answer.body) == YES
    assert troubles(flooded) == []
