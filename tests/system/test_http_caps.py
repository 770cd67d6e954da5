"""How many connections there may be: who keeps the daemon waiting longest makes room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import http_attacks
from .daemon import Daemon
from .http_attacks import RIGHT, Caller, good, troubles
from .waiting import wait_until

IN_ALL, EACH = 30, 12
LOCALS = [f"127.0.0.{number}" for number in range(2, 8)]


@pytest.fixture(scope="module")
def narrow(workspace: Path) -> Iterator[Daemon]:
    """A daemon with few connections."""
    caps = f"connections = {IN_ALL}\npeer_connections = {EACH}"
    daemon = http_attacks.under_attack(workspace / "narrow", http=caps)
    daemon.start()
    yield daemon
    assert daemon.running
    assert troubles(daemon) == []
    daemon.stop()


def closed(callers: list[Caller]) -> list[bool]:
    """Which of them the server has turned out."""
    found = []
    for caller in callers:
        caller.socket.setblocking(False)
        try:
            found.append(caller.socket.recv(1) == b"")
        except BlockingIOError:
            found.append(False)
        except ConnectionResetError:
            found.append(True)
    return found


def turned_out(daemon: Daemon, callers: list[Caller], most: int, source: str) -> list[bool]:
    """Who is, once no more than so many are there; meanwhile somebody else logs in."""
    for _ in range(20):
        assert good(daemon.http_port, source)
    wait_until(lambda: closed(callers).count(False) <= most, "there is room")
    return closed(callers)


def test_idle_connections_of_one_address_keep_nobody_out(narrow: Daemon) -> None:
    """Those who have waited longest make room, and only as many as have to."""
    callers = [Caller(narrow.http_port) for _ in range(3 * EACH)]
    out = turned_out(narrow, callers, EACH, "127.0.0.1")
    assert out == sorted(out, reverse=True)
    assert out.count(False) >= EACH - 2
    for caller in callers:
        caller.socket.close()


def test_half_sent_requests_keep_nobody_out(narrow: Daemon) -> None:
    """They wait for the caller as well."""
    callers = [Caller(narrow.http_port) for _ in range(3 * EACH)]
    for caller in callers:
        caller.send(RIGHT[:100])
    turned_out(narrow, callers, EACH, "127.0.0.1")
    for caller in callers:
        caller.socket.close()


def test_idle_connections_of_many_addresses_keep_nobody_out(narrow: Daemon) -> None:
    """Each has fewer than it may have, and all together more."""
    each = EACH - 2
    callers = [Caller(narrow.http_port, source) for source in LOCALS for _ in range(each)]
    assert len(callers) > IN_ALL + each
    out = turned_out(narrow, callers, IN_ALL, "127.0.0.1")
    assert out == sorted(out, reverse=True)
    assert out.count(False) >= IN_ALL - 2
    for caller in callers:
        caller.socket.close()


def test_one_address_does_not_turn_out_those_of_another(narrow: Daemon) -> None:
    """Who comes with too many makes room himself."""
    neighbour = Caller(narrow.http_port, LOCALS[0])
    neighbour.send(RIGHT)
    assert neighbour.answer().body == b"true"
    crowd = [Caller(narrow.http_port, LOCALS[1]) for _ in range(4 * EACH)]
    turned_out(narrow, crowd, EACH, LOCALS[2])
    neighbour.send(RIGHT)
    assert neighbour.answer().body == b"true"
    for caller in [neighbour, *crowd]:
        caller.socket.close()
