"""Where a user's client is: what callers of `listen.http` say of it, and who is believed."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace

import pytest

from authbridge import model
from authbridge.frontends.clients import Client
from authbridge.log import LoginLog, LogSettings
from tests.doubles import ScriptedChecker, ScriptedRegistry
from tests.frontends.http_client import ALICE, CLIENT, JSON, SECRET, Server, get, post

HERE = (ipaddress.ip_network("127.0.0.0/8"),)
EVERYTHING = replace(
    CLIENT,
    may=frozenset(
        {"check_password", "user_exists", "set_password", "register", "remove_user", "json"}
    ),
)
FOR = b"X-Forwarded-For: "


def line_of(octets, *, checker=None, json_lines=False, **more):
    """The line of one call."""
    checker = checker or ScriptedChecker(model.PASSWORD_MATCHES)
    server = Server(checker, **{"client": EVERYTHING, **more})
    settings = LogSettings(json=json_lines)
    server.house.authenticator.logins._login_log = LoginLog(
        settings, server.house.lines.append, lambda: 0.0
    )
    assert server.ask(octets).status in (200, 201, 403, 409, 501)
    (line,) = server.lines
    return line


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (b"192.0.2.9", "192.0.2.9"),
        (b"2001:DB8::1", "2001:db8::1"),
        (b"2001:db8:0:0::1", "2001:db8::1"),
        (b"::ffff:192.0.2.9", "192.0.2.9"),
        (b"fe80::1%eth0", "fe80::1"),
        (b"fe80::1%x verdict=accepted", "fe80::1"),
        (b"127.0.0.1", "127.0.0.1"),
    ],
)
def test_one_address_of_a_caller_with_a_secret_is_in_the_line(given, address):
    octets = get(headers=SECRET + FOR + given + b"\r\n")
    assert line_of(octets).endswith(f" caller=prosody address={address}")
    assert json.loads(line_of(octets, json_lines=True))["address"] == address


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        FOR + b"\r\n",
        FOR + b"192.0.2.9, 10.0.0.1\r\n",
        FOR + b"192.0.2.9 10.0.0.1\r\n",
        FOR + b"192.0.2.9\r\n" + FOR + b"192.0.2.9\r\n",
        FOR + b"unknown\r\n",
        FOR + b"192.0.2.9:443\r\n",
        FOR + b"[2001:db8::1]\r\n",
        FOR + b"192.0.2.256\r\n",
        FOR + b"192.0.2\r\n",
        FOR + b"3221225993\r\n",
        FOR + b"0192.0.2.9\r\n",
        FOR + b"192.0.2.0/24\r\n",
        FOR + b"localhost\r\n",
        FOR + b"\xd9\xa1.0.0.1\r\n",
        FOR + b"x address=192.0.2.9\r\n",
        b"Forwarded: for=192.0.2.9\r\nX-Real-IP: 192.0.2.9\r\n",
    ],
)
def test_anything_else_is_not(headers):
    octets = get(headers=SECRET + headers)
    assert " address=" not in line_of(octets)
    assert line_of(octets).endswith("caller=prosody")
    assert "address" not in json.loads(line_of(octets, json_lines=True))


@pytest.mark.parametrize(
    "octets",
    [
        post("/auth/set_password", headers=SECRET + FOR + b"192.0.2.9\r\n"),
        post("/auth/register", headers=SECRET + FOR + b"192.0.2.9\r\n"),
        post("/auth/remove_user", headers=SECRET + FOR + b"192.0.2.9\r\n"),
        get("/auth/user_exists", headers=SECRET + FOR + b"192.0.2.9\r\n"),
        post(JSON, b'{"username":"alice","password":"x"}', SECRET + FOR + b"192.0.2.9\r\n",
             b"application/json"),
    ],
)  # fmt: skip
def test_it_is_in_the_line_of_whatever_is_asked(octets):
    registry = ScriptedRegistry(model.PASSWORD_CHANGED, model.USER_EXISTS)
    assert line_of(octets, checker=registry).endswith(" caller=prosody address=192.0.2.9")


def test_who_is_not_let_in_has_it_in_the_line_too():
    octets = get(headers=SECRET + FOR + b"192.0.2.9\r\n")
    checker = ScriptedChecker(model.PASSWORD_MISMATCH)
    assert "reason=password_mismatch" in (found := line_of(octets, checker=checker))
    assert found.endswith(" address=192.0.2.9")


@pytest.mark.parametrize("verb", ["basic", "json"])
def test_a_caller_without_a_secret_is_not_believed(verb):
    """Whoever gets to the address of a proxy could name any."""
    nginx = Client("nginx", None, frozenset({verb}), frozenset({"example.org"}), HERE)
    told = FOR + b"192.0.2.9\r\n"
    octets = get("/auth/basic?server=example.org", None, ALICE + told)
    if verb == "json":
        body = b'{"username":"alice","password":"x"}'
        octets = post(JSON, body, told, b"application/json")
    for more in ({"clients": (nginx,)}, {"anonymous": True}):
        assert "address=" not in line_of(octets, **more)


def test_an_anonymous_caller_is_not_believed():
    octets = get(headers=FOR + b"192.0.2.9\r\n")
    assert line_of(octets, anonymous=True).endswith("caller=127.0.0.1")
