"""[http], and by which names callers of `listen.http` may address us."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from authbridge import model
from authbridge.frontends.http import HOSTS_REMEMBERED, HttpSettings
from authbridge.settings import Mistakes, Table
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import ALICE, BASIC, CHECK, SECRET, Line, Server, get


def at(host, line=None, headers=SECRET, path=CHECK, **more):
    """What is answered to a call that is addressed so."""
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), line=line, **more)
    octets = host if isinstance(host, bytes) else host.encode()
    request = get(path, headers=headers) if path == CHECK else get(path, None, headers)
    reply = server.ask(request.replace(b"Host: h\r\n", b"Host: " + octets + b"\r\n"))
    return reply, server


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:9281", 200),
        ("127.0.0.1:9281", 200),
        ("127.8.8.8", 200),
        ("[::1]:9281", 200),
        ("machine", 200),
        ("MACHINE:80", 200),
        ("h", 200),
        ("H:9281", 200),
        ("192.0.2.7", 200),
        ("192.0.2.7:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:9281", 421),
        ("localhost.evil.example", 421),
        ("192.0.2.1", 421),
        ("[2001:db8::1]", 421),
        ("", 400),
        ("a b", 400),
        ("h, h", 400),
        ("user@h", 400),
        (b"h\xff", 400),
    ],
)
@pytest.mark.parametrize(
    ("headers", "anonymous"), [(SECRET, False), (b"", True)], ids=["named", "anonymous"]
)
def test_a_call_must_be_addressed_to_this_machine(host, status, headers, anonymous):
    line = Line(host=IPv4Address("TCP", "192.0.2.7", 9281))
    reply, server = at(host, line, headers, anonymous=anonymous)
    assert reply.status == status
    if status != 200:
        reason = "host_foreign" if status == 421 else "request_malformed"
        assert f"operation=- jid=- checker=- verdict=rejected reason={reason}" in server.lines[0]
        assert server.line.half_closed


def test_a_name_that_is_not_ours_is_foreign_before_anything_else_is_looked_at():
    for path, headers in [(CHECK, b""), (BASIC, ALICE), ("/nothing", SECRET)]:
        reply, _ = at("evil.example", path=path, headers=headers)
        assert reply.status == 421


def test_the_address_that_was_connected_to_may_be_of_version_6():
    line = Line(host=IPv6Address("TCP", "2001:db8::1", 9281))
    assert at("[2001:DB8::1]:9281", line)[0].status == 200


def test_the_address_that_was_connected_to_may_be_of_version_4_on_a_listener_for_both():
    line = Line(host=IPv6Address("TCP", "::ffff:192.0.2.7", 9281))
    assert at("192.0.2.7:9281", line)[0].status == 200


def test_an_address_may_have_another_spelling():
    line = Line(host=IPv6Address("TCP", "2001:db8::1", 9281))
    assert at("[2001:db8:0::1]:9281", line)[0].status == 200


@pytest.fixture
def unix_line():
    ours, theirs = socket.socketpair()
    line = Line(peer=UNIXAddress(""), host=UNIXAddress("/run/authbridge/http"))
    line.socket = ours
    yield line
    ours.close()
    theirs.close()


@pytest.mark.parametrize("host", ["localhost", "unix", "evil.example"])
def test_over_a_unix_socket_any_name_is_ours(unix_line, host):
    assert at(host, unix_line)[0].status == 200


def test_http_1_0_may_have_no_host():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(get().replace(b"Host: h\r\n", b"").replace(b"/1.1", b"/1.0"))
    assert reply.body == b"true"


def test_names_that_were_ours_are_remembered_and_not_without_end():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    for port in [*range(1, HOSTS_REMEMBERED + 20), 1, HOSTS_REMEMBERED + 10]:
        reply = server.ask(get().replace(b"Host: h", b"Host: h:%d" % port))
        assert reply.body == b"true"
    assert len(server.front_end._hosts) == HOSTS_REMEMBERED


def read_settings(tmp_path, **data):
    mistakes = Mistakes()
    settings = HttpSettings.read(Table(data, "http", mistakes, tmp_path), 8.0)
    return settings, list(mistakes)


def test_the_settings_are_read(tmp_path):
    assert read_settings(tmp_path) == (HttpSettings(False, 8.0), [])
    settings, mistakes = read_settings(
        tmp_path, anonymous=True, deadline="3s", hosts=["Auth.example.org"], connections=5,
        peer_connections=4,
    )  # fmt: skip
    assert mistakes == []
    assert settings == HttpSettings(True, 3.0, ("auth.example.org",), 5, 4)


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        (
            {"hosts": ["h:80"]},
            'http.hosts: "h:80" is no name or address, without a port, of a host',
        ),
        ({"hosts": ["a b"]}, 'http.hosts: "a b" is no name or address, without a port, of a host'),
        (
            {"hosts": ["münchen"]},
            'http.hosts: "münchen" is no name or address, without a port, of a host',
        ),
        ({"connections": 0}, "http.connections: should be a whole number between 1 and 1000000"),
        ({"peer_connections": 0}, "http.peer_connections: should be a whole number between 1"),
        ({"deadline": "11m"}, "http.deadline: should be between"),
        ({"anonimous": True}, 'http.anonimous: there is no such setting; did you mean "anonymous'),
    ],
)
def test_mistakes_in_the_settings_have_their_key(tmp_path, data, mistake):
    _, mistakes = read_settings(tmp_path, **data)
    assert len(mistakes) == 1
    assert mistakes[0].startswith(mistake)
