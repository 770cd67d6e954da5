"""The daemon as a service."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess

import pytest
from twisted.internet.testing import MemoryReactorClock

from authbridge import config, model, tap
from authbridge.checkers import Surroundings
from authbridge.password_hash import Cost, make
from tests.cli.folders import configuration, short_folder, write
from tests.doubles import House, silent_checker
from tests.test_daemon import RUN, Daemon


class Idlers:
    """Workers with nothing to do."""

    def __init__(self):
        self.running = False

    def start(self):
        self.running = True

    def stop(self):
        self.running = False


@pytest.fixture
def folder():
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


def service(folder, checker):
    house = House(checker)
    reactor = MemoryReactorClock()
    loaded = config.load(configuration(folder))
    surroundings = Surroundings(reactor, Idlers(), house.clock.seconds, random.random)
    daemon = tap.Daemon(tap.House(house.authenticator, {}, surroundings, loaded), reactor)
    daemon._listen = lambda *arguments: None
    daemon.privilegedStartService()
    daemon.startService()
    assert daemon.running
    return daemon, house, reactor


def test_a_stop_lets_logins_under_way_end(folder):
    daemon, house, reactor = service(folder, checker := silent_checker())
    house.check()
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    reactor.advance(1)
    assert stopped == []
    checker.answer.callback(model.PASSWORD_MATCHES)
    reactor.advance(0)
    assert stopped == [None]
    assert not daemon.running
    assert not daemon._house.surroundings.workers.running


def test_a_stop_does_not_wait_for_ever(folder, events):
    daemon, house, reactor = service(folder, silent_checker())
    house.check()
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    reactor.advance(tap.LAST_LOGINS)
    reactor.advance(0)
    assert stopped == [None]
    assert not daemon._house.surroundings.workers.running
    assert any("logins under way" in event.get("log_format", "") for event in events)


def test_a_daemon_with_hundreds_of_logins_in_line_ends_when_it_is_told_to():
    daemon = Daemon(RUN)
    try:
        slow = make(b"wonderland", Cost(memory=65536, passes=3, lanes=1))
        write(daemon.folder / "users", f"alice@example.org:{slow}\n")
        asking = subprocess.Popen(
            ["sh", "-c", f"exec bin/authbridge-extauth --socket {daemon.folder}/extauth.sock"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        frame = b"\0\x21auth:alice:example.org:wonderland"
        asking.stdin.write(frame * 200)
        asking.stdin.flush()
        daemon.wait(lambda: " login id=" in daemon.log.read_text())
        daemon.stop(signal.SIGTERM)  # waits for its end
        assert daemon.process.returncode == 0
        asking.stdin.close()
        asking.wait(60)
    finally:
        daemon.remove()
