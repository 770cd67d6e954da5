"""Endpoint strings, judged before anything is opened."""

from __future__ import annotations

import os
import socket
import stat

import pytest
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor

from authbridge import listeners
from authbridge.settings import Mistakes, Table
from tests.system.pki import make_pki


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
    assert (listener.tls, listener.options) == (None, {})


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
        "tcp:-1",
        "tcp6:-1",
        "tcp:port=-1",
        "ssl:443",
        "\0",
    ],
)
def test_what_is_no_endpoint_is_a_mistake(text, tmp_path):
    mistakes = Mistakes()
    table = Table({"http": [text]}, "listen", mistakes, tmp_path)
    assert listeners.read_listeners(table, "http") == ()
    assert len(list(mistakes)) == 1


KINDS = 'there is "ssl", "systemd", "tcp", "tcp6", "unix"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tpc:9281", 'there is no kind of listener "tpc"; did you mean "tcp"?'),
        ("TCP:9281", 'there is no kind of listener "TCP"; did you mean "tcp"?'),
        ("9281", f'there is no kind of listener "9281"; {KINDS}'),
        ("", f'there is no kind of listener ""; {KINDS}'),
        # Twisted's own TLS would take what ours refuses.
        ("tls:example.org:9443", 'there is no kind of listener "tls"; with TLS it is ssl:'),
        # The caller would say where it comes from.
        ("haproxy:tcp:9281", f'there is no kind of listener "haproxy"; {KINDS}'),
        ("hapro\\xy:tcp:9281", f'there is no kind of listener "haproxy"; {KINDS}'),
        ("stdio:", f'there is no kind of listener "stdio"; {KINDS}'),
        ("fd:3", f'there is no kind of listener "fd"; {KINDS}'),
        ("tcp\\\\:haproxy:tcp:1", f'there is no kind of listener "tcp\\:haproxy"; {KINDS}'),
    ],
)
def test_no_other_kind_of_endpoint_is_taken_whatever_twisted_has(text, words):
    with pytest.raises(ValueError) as raised:
        listeners.parse(text)
    assert str(raised.value) == words


@pytest.mark.parametrize("domain", ["UNIX", "INET"])
def test_a_socket_may_be_systemds(monkeypatch, domain):
    """Twisted looks for it when it is first asked, and has none here."""
    monkeypatch.setattr(listeners, "serverFromString", lambda reactor, text: None)
    listener = listeners.parse(f"systemd:domain={domain}:index=0")
    assert (listener.kind, listener.path, listener.local) == ("systemd", None, False)


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


def test_the_lock_of_a_daemon_that_is_too_busy_to_answer_stays(folder):
    path, lock = folder / "s", folder / "s.lock"
    lock.symlink_to(str(os.getpid()))
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as waiting:
        alive.bind(str(path))
        alive.listen(0)
        waiting.connect(str(path))
        listeners.remove_stale_lock(path)
    assert lock.is_symlink()
    assert path.exists()


def test_what_is_no_socket_is_not_removed(folder):
    """A connection to an ordinary file is refused too."""
    (folder / "s").write_text("something of somebody's")
    listeners.remove_stale_lock(folder / "s")
    assert (folder / "s").exists()


# --- with TLS -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Certificate and key of auth.example.org; in a folder with a colon, which is to be escaped."""
    return make_pki(tmp_path_factory.mktemp("a:b"), ["auth.example.org"])


def files(pki, certificate=None):
    names = f"privateKey={pki.key}", f"certKey={certificate or pki.certificate}"
    return ":".join(name.replace(":", "\\:") for name in names)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("ssl:9281", "", (9281, 1024, "")),
        ("ssl:9281:interface=127.0.0.1:backlog=50", "", (9281, 50, "127.0.0.1")),
        ("ssl:port=9281", "", (9281, 1024, "")),
        ("ssl:9281", ":interface=\\:\\:1", (9281, 1024, "::1")),
    ],
)
def test_a_listener_with_tls_listens_as_its_string_says(pki, before, after, expected):
    text = f"{before}:{files(pki)}{after}"
    listener = listeners.parse(text)
    assert (listener.kind, listener.text, listener.path) == ("ssl", text, None)
    assert listener.local == (expected[2] != "")
    reactor, factory = MemoryReactor(), Factory()
    listener.listen(reactor, factory)
    ((port, opened, tls, backlog, interface),) = reactor.sslServers
    assert (port, backlog, interface) == expected
    assert opened is factory
    assert tls is listener.tls
    assert tls.extraCertChain == []


def test_a_listener_with_tls_shows_the_chain_in_its_file_or_in_another(pki):
    whole = pki.certificate.with_name("fullchain.pem")
    whole.write_bytes(pki.certificate.read_bytes() + pki.ca.read_bytes())
    chain = f"extraCertChain={pki.ca}".replace(":", "\\:")
    for text in (f"ssl:1:{files(pki, whole)}", f"ssl:1:{files(pki)}:{chain}"):
        assert len(listeners.parse(text).tls.extraCertChain) == 1


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("ssl", "is no endpoint such as"),
        ("ssl:", "is no endpoint such as"),
        ("ssl:x", "is no endpoint such as"),
        ("ssl:1:2", "is no endpoint such as"),
        ("ssl:1:port=2", "is no endpoint such as"),
        ("ssl:-1", "a port is a number up to 65535"),
        ("ssl:99999", "a port is a number up to 65535"),
        ("ssl:1:backlog=x", "is no endpoint such as"),
        ("ssl:1:sslmethod=TLSv1_METHOD", 'there is no option "sslmethod"; there is "backlog", '),
        ("ssl:1:dhParameters=/x", 'there is no option "dhParameters"; there is '),
        ("ssl:1:interfacs=x", 'there is no option "interfacs"; did you mean "interface"?'),
        ("ssl:1:privateKey=/nowhere", "/nowhere: No such file or directory"),
        ("tcp:1", "is no endpoint such as"),
    ],
)
def test_a_mistake_in_a_string_with_tls_is_said_with_its_key(pki, tmp_path, kind, mistake):
    text = f"{kind}:{files(pki)}"
    if "privateKey" in kind:
        text = kind + text.partition(str(pki.key).replace(":", "\\:"))[2]
    mistakes = Mistakes()
    table = Table({"http": [text]}, "listen", mistakes, tmp_path)
    assert listeners.read_listeners(table, "http") == ()
    (line,) = mistakes
    assert line.startswith(f'listen.http: "{text}": {mistake}')


@pytest.mark.parametrize("text", ["ssl:443", "ssl:443:privateKey=/x", "ssl:443:certKey=/x"])
def test_with_tls_key_and_certificate_must_be_named(text):
    with pytest.raises(ValueError, match="privateKey and certKey are missing: files in PEM"):
        listeners.parse(text)


def test_a_file_that_holds_no_key_is_a_mistake_with_its_key(pki, tmp_path):
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    mistakes = Mistakes()
    text = f"ssl:1:privateKey={key}:certKey={pki.certificate}"
    table = Table({"http": [text.replace("a:b", "a\\:b")]}, "listen", mistakes, tmp_path)
    assert listeners.read_listeners(table, "http") == ()
    assert f"{key} holds no private key that can be read" in next(iter(mistakes))
