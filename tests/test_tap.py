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
from authbridge.frontends.extauth import ConnectorFactory
from authbridge.frontends.http_server import HttpFactory
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


# --- the rooms of the listeners -------------------------------------------------------------------


LISTENERS = """
extauth = ["unix:{0}/e1", "unix:{0}/e2"]
http = ["tcp:1:interface=127.0.0.1", "unix:{0}/h2", "tcp:3:interface=127.0.0.1"]
control = ["unix:{0}/c"]
"""


@pytest.fixture
def opened(folder, monkeypatch):
    """Opens the listeners of a configuration in memory, with so many descriptors: hands out their
    factories by the listeners' strings."""

    def opened(listeners, descriptors, http=""):
        path = configuration(folder)
        text = path.read_text()
        old = text[text.index("extauth = [") : text.index("[extauth]")]
        listeners = listeners.format(folder)
        write(path, text.replace(old, f"{listeners}\n[http]\n{http}\n"))
        monkeypatch.setattr(tap.resource, "getrlimit", lambda which: (descriptors, 1 << 20))
        house, reactor = House(silent_checker()), MemoryReactorClock()
        surroundings = Surroundings(reactor, Idlers(), house.clock.seconds, random.random)
        loaded = config.load(path)
        daemon = tap.Daemon(tap.House(house.authenticator, {}, surroundings, loaded), reactor)
        found = {}
        daemon._listen = lambda listener, factory: found.setdefault(
            listener.text.removeprefix(f"unix:{folder}/"), factory
        )
        daemon.privilegedStartService()
        return found

    return opened


class Caller:
    """A connection that is not looked at."""

    def __init__(self):
        self.sent_away = False

    def make_way(self):
        self.sent_away = True


def room_of(factory):
    return factory._made[3] if isinstance(factory, ConnectorFactory) else factory._room


def size(room):
    """How many a room takes, and how many of one peer; told by filling it."""
    of_a_peer = others = 0
    while room.enter(Caller(), "a peer"):
        of_a_peer += 1
    while room.enter(Caller(), f"peer {others}"):
        others += 1
    return of_a_peer + others, of_a_peer


def test_the_rooms_share_the_descriptors(opened):
    found = opened(LISTENERS, 1024)
    sizes = {
        text: size(room_of(factory)) for text, factory in found.items() if not text.startswith("c")
    }
    assert sizes == {
        "e1": (128, 96),
        "e2": (128, 96),
        "tcp:1:interface=127.0.0.1": (170, 127),
        "h2": (170, 127),
        "tcp:3:interface=127.0.0.1": (170, 127),
    }
    assert sum(most for most, _ in sizes.values()) <= 1024 * 3 / 4


def test_connections_that_do_not_fit_are_refused_before_anything_is_opened(opened, folder):
    with pytest.raises(SystemExit) as ended:
        opened(LISTENERS, 1024, "connections = 500")
    assert str(ended.value) == (
        "authbridge: http.connections: 1500 connections (500 of each listener) are too many for "
        "the 1024 descriptors that the daemon may have (ulimit -n), of which a quarter is for "
        "everything else"
    )
    assert not (folder / "e1").exists()


def test_connections_of_a_front_end_that_does_not_listen_are_not_refused(opened):
    found = opened('extauth = ["unix:{0}/e1"]', 1024, "connections = 5000")
    assert size(room_of(found["e1"])) == (256, 192)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("connections = 40", (40, 30)),
        ("connections = 40\npeer_connections = 3", (40, 3)),
    ],
)
def test_the_settings_of_http_are_those_of_each_of_its_listeners(opened, settings, expected):
    found = opened(LISTENERS, 1024, settings)
    assert size(room_of(found["h2"])) == expected
    assert size(room_of(found["tcp:1:interface=127.0.0.1"])) == expected
    assert size(room_of(found["e1"])) == (128, 96)


def test_each_listener_has_a_room_and_a_factory_of_its_own_and_shares_the_front_end(opened):
    """Whoever fills one keeps nobody out of another."""
    found = opened(LISTENERS, 1024)
    assert len(set(map(id, found.values()))) == len(found) == 6
    http = [factory for factory in found.values() if isinstance(factory, HttpFactory)]
    extauth = [factory for factory in found.values() if isinstance(factory, ConnectorFactory)]
    assert (len(http), len(extauth)) == (3, 2)
    assert len({id(room_of(factory)) for factory in http + extauth}) == 5
    assert len({id(factory._front_end) for factory in http}) == 1
    assert len({id(factory._made[0]) for factory in extauth}) == 1


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
