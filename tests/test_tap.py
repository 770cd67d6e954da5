"""The daemon as a service."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from authbridge import config, model, tap, wiring
from authbridge.checkers import Surroundings
from authbridge.frontends.extauth import ConnectorFactory
from authbridge.frontends.http import HttpFrontEnd
from authbridge.frontends.http_factory import HttpFactory
from authbridge.frontends.web import WebFrontEnd
from authbridge.password_hash import Cost, make
from tests.cli.folders import LIMIT, configuration, short_folder, write
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


def built(house, surroundings, loaded, prebind=None):
    """What `wiring.build` would hand over, with an authenticator of the test's."""
    sessions = wiring.make_sessions(loaded, surroundings.reactor)
    return wiring.House(house.authenticator, {}, surroundings, loaded, None, {}, prebind, sessions)


def service(folder, checker, prebind=None):
    house = House(checker)
    reactor = MemoryReactorClock()
    loaded = config.load(configuration(folder))
    surroundings = Surroundings(reactor, Idlers(), house.clock.seconds, random.random)
    daemon = tap.Daemon(built(house, surroundings, loaded, prebind), reactor)
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


class Calls:
    """A front end with a call about tokens under way."""

    def __init__(self):
        self.waiting = Deferred(lambda _: None)
        self.ended = 0

    def idle(self):
        return self.waiting

    def end(self):
        self.ended += 1


def test_a_stop_lets_calls_about_tokens_end(folder, events):
    daemon, _, reactor = service(folder, silent_checker())
    daemon._http = calls = Calls()
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    reactor.advance(tap.LAST_LOGINS - 0.01)
    assert stopped == []
    assert daemon._house.surroundings.workers.running
    calls.waiting.callback(None)
    reactor.advance(0)
    assert (stopped, calls.ended) == ([None], 0)
    assert not daemon._house.surroundings.workers.running
    assert not any("under way" in event.get("log_format", "") for event in events)


def test_a_stop_waits_for_both_logins_and_calls_about_tokens(folder):
    daemon, house, reactor = service(folder, checker := silent_checker())
    daemon._http = calls = Calls()
    house.check()
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    calls.waiting.callback(None)
    reactor.advance(0)
    assert stopped == []
    checker.answer.callback(model.PASSWORD_MATCHES)
    reactor.advance(0)
    assert (stopped, calls.ended) == ([None], 0)


@pytest.mark.parametrize("with_login", [False, True])
def test_a_stop_ends_calls_about_tokens_before_what_they_need(folder, with_login, events):
    daemon, house, reactor = service(folder, silent_checker())
    daemon._http = calls = Calls()
    workers = daemon._house.surroundings.workers
    at_the_end = []
    calls.end = lambda: at_the_end.append(workers.running)
    if with_login:
        house.check()
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    reactor.advance(tap.LAST_LOGINS)
    reactor.advance(0)
    assert (stopped, at_the_end, workers.running) == ([None], [True], False)
    assert any("logins under way" in event.get("log_format", "") for event in events)


class Ending:
    """Logins for pages, of which some sessions are being ended."""

    def __init__(self):
        self.waiting = Deferred(lambda _: None)

    async def ended(self):
        await self.waiting


@pytest.mark.parametrize("late", [False, True])
def test_a_stop_waits_for_sessions_that_are_being_ended_and_not_for_ever(folder, late):
    """With whoever has no answer any more, its session would stay for a while."""
    prebind = Ending()
    daemon, _, reactor = service(folder, silent_checker(), prebind)
    workers = daemon._house.surroundings.workers
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    reactor.advance(tap.LAST_LOGINS - 0.25)
    assert (stopped, workers.running) == ([], True)
    if late:
        reactor.advance(0.25)
    else:
        prebind.waiting.callback(None)
    reactor.advance(0)
    reactor.advance(0)
    assert (stopped, workers.running) == ([None], False)


@pytest.mark.parametrize("seconds", [0, tap.LAST_LOGINS])
def test_a_daemon_that_never_listened_can_be_stopped(folder, seconds):
    house, reactor = House(checker := silent_checker()), MemoryReactorClock()
    surroundings = Surroundings(reactor, Idlers(), house.clock.seconds, random.random)
    loaded = config.load(configuration(folder))
    daemon = tap.Daemon(built(house, surroundings, loaded), reactor)
    if seconds:
        house.check()
    stopped = []
    daemon.stopService().addCallback(stopped.append)
    reactor.advance(seconds)
    reactor.advance(0)
    assert (stopped, checker.cancelled) == ([None], bool(seconds))


# --- the rooms of the listeners -------------------------------------------------------------------


LISTENERS = """
extauth = ["unix:{0}/e1", "unix:{0}/e2"]
http = ["tcp:1:interface=127.0.0.1", "unix:{0}/h2", "tcp:3:interface=127.0.0.1"]
control = ["unix:{0}/c"]
"""


SITE = """
[checkers.tokens]
kind = "token"
accept = ["temporary"]
[sites.www]
hosts = ["www.example.org"]
domain = "example.org"
session = { kind = "header", secret_file = "secret", peers = ["127.0.0.1"] }
"""


def with_site(text):
    """A configuration with a site for the browsers."""
    text = text.replace('check = ["local"]', 'check = ["tokens", "local"]')
    return text + SITE


@pytest.fixture
def opened(folder, monkeypatch):
    """Opens the listeners of a configuration in memory, with so many descriptors: hands out their
    factories by the listeners' strings."""

    def opened(listeners, descriptors, http="", web=""):
        path = configuration(folder)
        text = path.read_text()
        old = text[text.index("extauth = [") : text.index("[extauth]")]
        listeners = listeners.format(folder)
        if "web =" in listeners:
            text = with_site(text)
        write(path, text.replace(old, f"{listeners}\n[http]\n{http}\n[web]\n{web}\n"))
        monkeypatch.setattr(tap.resource, "getrlimit", lambda which: (descriptors, 1 << 20))
        house, reactor = House(silent_checker()), MemoryReactorClock()
        surroundings = Surroundings(reactor, Idlers(), house.clock.seconds, random.random)
        loaded = config.load(path)
        daemon = tap.Daemon(built(house, surroundings, loaded), reactor)
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


WITH_WEB = """
extauth = ["unix:{0}/e1"]
http = ["tcp:1:interface=127.0.0.1"]
web = ["tcp:2:interface=127.0.0.1", "unix:{0}/w2"]
"""


def test_programs_and_browsers_share_their_half_of_the_descriptors_by_their_listeners(opened):
    found = opened(WITH_WEB, 1024)
    sizes = {text: size(room_of(factory)) for text, factory in found.items()}
    assert sizes == {
        "e1": (256, 192),
        "tcp:1:interface=127.0.0.1": (170, 127),
        "tcp:2:interface=127.0.0.1": (170, 127),
        "w2": (170, 127),
    }
    assert sum(most for most, _ in sizes.values()) <= 1024 * 3 / 4


def test_browsers_have_all_of_that_half_where_there_are_no_programs(opened):
    found = opened('web = ["tcp:2:interface=127.0.0.1", "unix:{0}/w2"]', 1024)
    assert size(room_of(found["w2"])) == (256, 192)
    assert size(room_of(found["tcp:2:interface=127.0.0.1"])) == (256, 192)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("connections = 40", (40, 30)),
        ("connections = 40\npeer_connections = 40", (40, 40)),
        ("peer_connections = 3", (170, 3)),
    ],
)
def test_the_settings_of_web_are_those_of_each_of_its_listeners_alone(opened, settings, expected):
    found = opened(WITH_WEB, 1024, web=settings)
    assert size(room_of(found["w2"])) == expected
    assert size(room_of(found["tcp:2:interface=127.0.0.1"])) == expected
    assert size(room_of(found["tcp:1:interface=127.0.0.1"])) == (170, 127)


def test_connections_of_browsers_that_do_not_fit_are_refused_before_anything_is_opened(
    opened, folder
):
    with pytest.raises(SystemExit) as ended:
        opened(WITH_WEB, 1024, web="connections = 500")
    assert str(ended.value).startswith(
        "authbridge: web.connections: 1000 connections (500 of each listener) are too many for "
        "the 1024 descriptors"
    )
    assert not (folder / "e1").exists()


def test_what_browsers_call_has_one_front_end_apart_from_that_of_programs(opened):
    found = opened(WITH_WEB, 1024)
    of_web = {id(found[text]._front_end) for text in ("tcp:2:interface=127.0.0.1", "w2")}
    assert len(of_web) == 1
    assert isinstance(found["w2"]._front_end, WebFrontEnd)
    assert isinstance(found["tcp:1:interface=127.0.0.1"]._front_end, HttpFrontEnd)


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
        asking.wait(LIMIT)
    finally:
        daemon.remove()
