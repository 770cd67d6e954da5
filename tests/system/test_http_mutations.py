"""Requests with faults made by dice: `tests.fuzz.requests` in the small."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import requests
from tests.fuzz.frames import descriptors

from . import http_attacks
from .daemon import Daemon
from .http_attacks import MOST_GROWTH, good, memory, troubles
from .waiting import wait_until


@pytest.fixture
def attacked() -> Iterator[Daemon]:
    """A daemon of its own, outside of the workspace: what a mutation makes of a request may have
    a secret where the name of a user stands, and so in the log, rightly."""
    folder = Path(tempfile.mkdtemp(prefix="ab-", dir="/tmp"))
    daemon = http_attacks.under_attack(folder / "daemon")
    daemon.start()
    yield daemon
    assert daemon.running
    daemon.stop()
    shutil.rmtree(folder)


def test_the_seeds_are_taken_by_the_daemon(attacked: Daemon) -> None:
    """What the mutations begin with is right but for the password: else they would show little."""
    answers = [http_attacks.exchange(attacked.http_port, seed, end=True) for seed in requests.SEEDS]
    statuses = [answer.status for said in answers for answer in said]
    assert set(statuses) <= {100, 200, 401, 501}, statuses
    assert statuses.count(200) >= 7
    assert statuses.count(401) == 2
    assert {answer.body for said in answers for answer in said if answer.status == 200} == {
        b"false"
    }


def test_no_mutated_request_is_let_in_or_told_anything(attacked: Daemon) -> None:
    """2,000 connections' worth of them, and the daemon is as it was before."""
    port, pid = attacked.http_port, attacked.process.pid
    assert good(port)
    fds = descriptors(pid)  # now: behind a drive some of its connections may still be there
    requests.drive(port, 500, 0)
    before = memory(pid)
    seen = requests.drive(port, 2_000, 1)
    # They are neither all refused nor all taken.
    assert seen[200] > 100
    assert seen[400] > 100
    assert memory(pid) - before < MOST_GROWTH
    wait_until(lambda: descriptors(pid) <= fds + 2, "the connections are gone")
    assert good(port)
    assert attacked.process.pid == pid
    assert troubles(attacked) == []
