"""What `listen.http` says when it does not say yes."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from dataclasses import replace

import pytest

from authbridge import model
from authbridge.frontends.clients import Client
from authbridge.model import Reason, Verdict
from tests.doubles import ScriptedRegistry
from tests.frontends.http_client import (
    BASIC,
    CHECK,
    CLIENT,
    JSON,
    LOGIN,
    SECRET,
    Server,
    get,
    post,
    without,
)

HERE = (ipaddress.ip_network("127.0.0.1"),)
NGINX = Client("nginx", None, frozenset({"basic"}), frozenset({"example.org"}), HERE)
EVERYTHING = replace(CLIENT, may=CLIENT.may | {"register", "remove_user"})
NO = model.rejected(Reason.ACCOUNT_LOCKED)
OUTAGE = model.unavailable(Reason.DIRECTORY_SILENT)


def refused(octets, outcome):
    server = Server(ScriptedRegistry(outcome), client=EVERYTHING, clients=(NGINX,))
    return server.ask(octets), server


MARK = "mark-of-this-request"
USER = base64.b64encode(MARK.encode() + b":" + MARK.encode())
EVERY = {
    "400": get(CHECK, {**LOGIN, MARK: MARK}),
    "400 by its head": get(headers=SECRET + b" folded: " + MARK.encode() + b"\r\n"),
    "401": get(CHECK, LOGIN, b"Authorization: Basic " + MARK.encode() + b"\r\n"),
    "401 of basic": get(BASIC, None, b"Authorization: " + MARK.encode() + b"\r\n"),
    "401 of a user": get(BASIC, None, b"Authorization: Basic " + USER + b"\r\n"),
    "403": get(CHECK, {**LOGIN, "server": MARK}),
    "503 of a change": post("/auth/set_password", {**LOGIN, "user": MARK, "pass": MARK}),
    "404": get("/auth/" + MARK),
    "405": get().replace(b"GET", MARK.encode(), 1),
    "413": post(parameters=MARK.encode() * 9999),
    "414": get("/" + MARK * 999),
    "417": get(headers=b"Expect: " + MARK.encode() + b"\r\n"),
    "421": get().replace(b"Host: h", b"Host: " + MARK.encode()),
    "431": get(headers=b"X: " + MARK.encode() * 999 + b"\r\n"),
    "501": get("/auth/get_password", {**without("pass"), "user": MARK}),
    "501 of a removal": post("/auth/remove_user", {**LOGIN, "user": MARK}),
    "503": get(CHECK, {**LOGIN, "user": MARK, "pass": MARK}),
    "503 of json": post(JSON, json.dumps({"username": MARK, "password": MARK}).encode()),
}  # fmt: skip


@pytest.mark.parametrize(("name", "octets"), EVERY.items(), ids=EVERY)
def test_no_refusal_is_a_true_or_repeats_anything_of_the_request(name, octets):
    reply, server = refused(octets, NO if name == "401 of a user" else OUTAGE)
    assert str(reply.status) == name.split()[0]
    assert MARK not in str(reply.headers)
    assert MARK.encode() not in reply.body
    assert reply.body != b"true"
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-store"
    (line,) = server.lines
    assert re.findall(r"\bid=(\S+)", line) == [reply.id]


@pytest.mark.parametrize("outcome", [
    NO,
    model.rejected(Reason.PASSWORD_UNACCEPTABLE),
    model.USER_UNKNOWN,
    OUTAGE,
    model.Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED),
])  # fmt: skip
@pytest.mark.parametrize("verb", ["set_password", "register"])
def test_no_refused_change_is_a_true_or_repeats_anything_of_the_request(verb, outcome):
    octets = post(f"/auth/{verb}", {**LOGIN, "user": MARK, "pass": MARK})
    reply, _ = refused(octets, outcome)
    assert reply.status in (403, 501, 503)
    assert MARK.encode() not in reply.body
    assert reply.body not in (b"true", b"false", b"")


@pytest.mark.parametrize(
    ("octets", "caller"),
    [
        (get(), "prosody"),
        (get(parameters={**LOGIN, "server": "example.net"}), "prosody"),
        (get(headers=b""), "127.0.0.1"),
        (get("/nothing"), "127.0.0.1"),
        (b"GET / HTTP/3\r\n\r\n", "127.0.0.1"),
    ],
)
def test_the_line_says_who_called(octets, caller):
    server = Server(ScriptedRegistry(model.PASSWORD_MATCHES))
    server.send(octets)
    assert server.lines[0].endswith(f" caller={caller}")


def test_who_calls_without_a_name_is_called_by_its_address():
    server = Server(ScriptedRegistry(model.PASSWORD_MATCHES), anonymous=True)
    server.send(get(headers=b"") + get("/auth/user_exists", {"a": "b"}, headers=b""))
    server.clock.advance(0)
    assert [line.endswith(" caller=127.0.0.1") for line in server.lines] == [True, True]


@pytest.mark.parametrize("octets", [EVERY["414"], EVERY["431"], EVERY["400 by its head"]])
def test_broken_http_is_refused_in_plain_words(octets):
    """In JSON it is at listen.web alone."""
    reply, _ = refused(octets, NO)
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert not reply.body.startswith(b"{")
