"""Endpoint strings, judged before anything is opened."""

from __future__ import annotations

import os
import socket
import stat

import pytest
from twisted.internet.protocol import Factory

from authbridge import listeners
from authbridge.settings import Mistakes, Table


@pytest.mark.parametrize(
    ("text", "kind", "path", "local"),
    [
        ("tcp:9281:interface=127.0.0.1", "tcp", None, True),
        ("tcp:9281:interface=\\:\\:1", "tcp", None, True),
        ("tcp:9281", "tcp", None, False),
        ("tcp:port=9281:interface=192.0.2.1:backlog=1024", "tcp", None, False),
        ("unix:/run/x/s:mode=660", "unix", "/run/x/s", True),
        ("unix:address=/run/x\\:y/s", "unix", "/run/x:y/s", True),
    ],
)
def test_an_endpoint_is_read(text, kind, path, local):
    listener = listeners.parse(text)
    assert (listener.kind, listener.local) == (kind, local)
    assert (listener.path and str(listener.path)) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9281",
        "tpc:9281",
        "tcp:x",
        "tcp",
        "unix",
        "tcp:9281:interfacs=x",
        "unix:/" + "x" * 107,
        "unix:",
        "unix:relative",
        "unix:/tmp",
        "unix:/a\0b",
        "tcp:99999",
        "ssl:443",
        "\0",
    ],
)
def test_what_is_no_endpoint_is_a_mistake(text, tmp_path):
    mistakes = Mistakes()
    table = Table({"http": [text]}, "listen", mistakes, tmp_path)
    assert listeners.read_listeners(table, "http") == ()
    assert len(list(mistakes)) == 1


class UnixReactor:
    """Binds as the real one does, and remembers under which mask."""

    def listenUNIX(self, address, factory, backlog, mode, wantPID):
        self.bound = socket.socket(socket.AF_UNIX)
        self.bound.bind(address)
        self.mode = stat.S_IMODE(os.stat(address).st_mode)
        return self.bound


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("l")


def test_a_socket_is_nobody_elses_until_its_mode_is_set(folder):
    reactor = UnixReactor()
    before = os.umask(0)
    try:
        listeners.parse(f"unix:{folder}/s:mode=660").listen(reactor, Factory())
        assert reactor.mode & 0o077 == 0
        assert os.umask(0) == 0
    finally:
        os.umask(before)
        reactor.bound.close()


def test_the_lock_of_a_killed_daemon_is_removed_whoever_has_its_pid_now(folder):
    path, lock = folder / "s", folder / "s.lock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    lock.symlink_to(str(os.getpid()))
    listeners.remove_stale_lock(path)
    assert not lock.is_symlink()
    assert not path.exists()


def test_the_lock_of_a_living_daemon_stays(folder):
    path, lock = folder / "s", folder / "s.lock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        lock.symlink_to(str(os.getpid()))
        listeners.remove_stale_lock(path)
        assert lock.is_symlink()
    path.unlink()
    listeners.remove_stale_lock(path)
    assert not lock.is_symlink()


def test_what_is_no_socket_is_not_removed(folder):
    """A connection to an ordinary file is refused too."""
    (folder / "s").write_text("something of somebody's")
    listeners.remove_stale_lock(folder / "s")
    assert (folder / "s").exists()
