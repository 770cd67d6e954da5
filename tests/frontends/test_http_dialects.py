"""`basic` and `json` of `listen.http`, and what holds for every dialect of it."""

from __future__ import annotations

import base64
import ipaddress
import json
import socket
from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress

from authbridge import model
from authbridge.frontends.clients import Client
from authbridge.model import Reason
from tests.doubles import ScriptedChecker, silent_checker
from tests.frontends.http_client import (
    ALICE,
    BASIC,
    JSON,
    SECRET,
    Line,
    Server,
    get,
    post,
)

DIALECTS = frozenset({"basic", "json"})
HERE = (ipaddress.ip_network("127.0.0.0/8"),)
NGINX = Client("nginx", None, DIALECTS, frozenset({"example.org"}), HERE, deadline=2.0)
BODY = {"username": "alice", "password": "wonderland"}
NO = model.rejected(Reason.ACCOUNT_LOCKED)
OUTAGE = model.unavailable(Reason.DIRECTORY_SILENT)


def basic(credentials=ALICE, path=BASIC, method=b"GET"):
    return get(path, None, credentials).replace(b"GET", method, 1)


def json_call(headers=SECRET, body=BODY, path=JSON, content=b"application/json"):
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(path, octets, headers, content)


def served(octets, outcome=model.PASSWORD_MATCHES, *, head=False, **more):
    server = Server(checker := ScriptedChecker(outcome), **{"clients": (NGINX,), **more})
    server.send(octets)
    return server.answer(head=head), checker, server


@pytest.fixture
def unix_line():
    ours, theirs = socket.socketpair()
    line = Line(peer=UNIXAddress(""))
    line.socket = ours
    yield line
    ours.close()
    theirs.close()


def test_basic_says_yes_with_200(events):
    reply, checker, server = served(basic())
    assert (reply.status, reply.body) == (200, b"true")
    assert checker.asked == [("check_password", "alice@example.org", b"wonderland")]
    assert f"id={reply.id} " in server.lines[0]
    assert "operation=check_password jid=alice@example.org checker=c0" in server.lines[0]
    assert events == []


CHALLENGE = 'Basic realm="authbridge", charset="UTF-8"'


@pytest.mark.parametrize("outcome", [NO, model.PASSWORD_MISMATCH, model.USER_UNKNOWN])
def test_basic_says_no_with_401_and_may_be_asked_again(outcome):
    reply, _, server = served(basic(), outcome)
    assert (reply.status, reply.body) == (401, b"false")
    assert reply.headers["WWW-Authenticate"] == CHALLENGE
    assert server.ask(basic()).status == 401


def test_basic_says_that_nobody_can_tell_with_503():
    reply, _, server = served(basic(), OUTAGE)
    assert (reply.status, reply.body, reply.headers["Retry-After"]) == (503, b"unavailable", "5")
    assert server.line.open


@pytest.mark.parametrize(
    ("outcome", "status", "length"),
    [(model.PASSWORD_MATCHES, 200, "4"), (NO, 401, "5"), (OUTAGE, 503, "11")],
)
def test_basic_by_head_is_the_same_without_its_body(outcome, status, length):
    reply, _, server = served(basic(method=b"HEAD"), outcome, head=True)
    assert (reply.status, reply.headers["Content-Length"], reply.body) == (status, length, b"")
    server.send(basic())
    assert server.answer().status == status


@pytest.mark.parametrize(
    "credentials",
    [
        b"",
        ALICE * 2,
        b"Authorization: Bearer x\r\n",
        b"Authorization: Basic !\r\n",
        b"Authorization: Basic " + base64.b64encode(b"alice") + b"\r\n",
    ],
)
def test_basic_without_a_users_name_and_password_asks_for_them(credentials):
    reply, checker, server = served(basic(credentials))
    assert (reply.status, reply.body) == (401, b"false")
    assert reply.headers["WWW-Authenticate"] == CHALLENGE
    assert "Connection" not in reply.headers
    assert server.line.open
    assert "operation=basic jid=- checker=- verdict=rejected" in server.lines[0]
    assert "reason=credentials_missing" in server.lines[0]
    assert checker.asked == []
    assert server.ask(basic()).body == b"true"


def test_names_and_passwords_of_basic_are_utf_8():
    credentials = b"Authorization: Basic " + base64.b64encode("çelik:wörd:x".encode()) + b"\r\n"
    _, checker, _ = served(basic(credentials))
    assert checker.asked == [("check_password", "çelik@example.org", "wörd:x".encode())]


@pytest.mark.parametrize("credentials", [ALICE, SECRET, b""])
@pytest.mark.parametrize("client", [replace(NGINX, peers=(ipaddress.ip_network("10.0.0.0/8"),)),
                                    replace(NGINX, peers=(), unix=True),
                                    replace(NGINX, may=frozenset({"json"}))])  # fmt: skip
def test_basic_is_not_there_for_others(credentials, client):
    """Credentials are the user's: whoever has those of a client is not that client."""
    reply, checker, server = served(basic(credentials), clients=(client,))
    assert (reply.status, reply.body) == (404, b"no such path")
    assert server.line.half_closed
    assert "operation=basic jid=- checker=- verdict=rejected" in server.lines[0]
    assert "reason=caller_not_a_peer" in server.lines[0]
    assert checker.asked == []


def test_unix_is_a_peer_of_its_own(unix_line):
    by_socket = replace(NGINX, peers=(), unix=True)
    reply, _, _ = served(basic(), clients=(by_socket,), line=unix_line)
    assert reply.body == b"true"


def test_an_address_is_no_unix_socket(unix_line):
    reply, _, _ = served(basic(), line=unix_line)
    assert reply.status == 404


def test_a_peer_may_come_by_version_6_of_an_address_of_version_4():
    line = Line(peer=IPv4Address("TCP", "::ffff:127.0.0.3", 50000))
    assert served(basic(), line=line)[0].body == b"true"


@pytest.mark.parametrize("octets", [basic(), json_call(headers=b"")])
def test_anonymous_callers_may_ask_where_that_is_on(octets):
    assert served(octets, clients=(), anonymous=True)[0].body == b"true"
    assert served(octets, clients=(), anonymous=False)[0].status in (401, 404)


@pytest.mark.parametrize("path", [BASIC, JSON])
def test_a_peer_is_bound_to_its_domains_though_anybody_else_may_ask(path):
    foreign = path.replace("example.org", "example.net")
    octets = basic(path=foreign) if path == BASIC else json_call(b"", path=foreign)
    reply, checker, server = served(octets, anonymous=True)
    assert (reply.status, checker.asked) == (403, [])
    assert "reason=caller_not_allowed" in server.lines[0]
    assert server.line.half_closed


def test_of_two_clients_at_an_address_the_one_with_the_domain_is_meant():
    other = replace(NGINX, name="other", domains=frozenset({"example.net"}))
    assert served(basic(), clients=(other, NGINX))[0].body == b"true"


def test_a_peer_may_ask_nothing_else():
    reply, checker, _ = served(get(headers=b""))
    assert (reply.status, checker.asked) == (401, [])


@pytest.mark.parametrize("content", [b"application/json", b"text/plain", b"x"])
@pytest.mark.parametrize(
    ("outcome", "status", "body"),
    [
        (model.PASSWORD_MATCHES, 200, b"true"),
        (NO, 200, b"false"),
        (model.USER_UNKNOWN, 200, b"false"),
        (OUTAGE, 503, b"false"),
    ],
)
def test_json_says_true_or_false_whatever_the_content_type(content, outcome, status, body):
    reply, checker, server = served(json_call(content=content), outcome)
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert checker.asked == [("check_password", "alice@example.org", b"wonderland")]
    assert server.line.open


def test_json_is_asked_by_a_client_with_a_secret_or_at_an_address():
    assert served(json_call(), clients=())[0].body == b"true"
    assert served(json_call(headers=b""), clients=())[0].status == 401
    assert served(json_call(headers=b""))[0].body == b"true"


@pytest.mark.parametrize("anonymous", [False, True])
def test_wrong_credentials_are_wrong_at_a_good_address_too(anonymous):
    reply, checker, server = served(json_call(headers=ALICE), anonymous=anonymous)
    assert (reply.status, checker.asked) == (401, [])
    assert "operation=json" in server.lines[0]
    assert "reason=caller_unknown" in server.lines[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"true",
        b"{}",
        b"username=alice&password=wonderland",
        {"username": "alice"},
        {**BODY, "x": 1},
        {**BODY, "password": True},
    ],
)
def test_json_that_is_not_a_name_and_a_password_is_400(body):
    reply, checker, server = served(json_call(body=body))
    assert (reply.status, checker.asked) == (400, [])
    assert "operation=json jid=- checker=- verdict=rejected reason=request_malf" in server.lines[0]


@pytest.mark.parametrize("query", ["", "?", "?server=", "?server=a&server=a", "?server=a&user=b"])
@pytest.mark.parametrize("path", ["/auth/basic", "/auth/json"])
def test_without_exactly_a_domain_it_is_400(query, path):
    octets = basic(path=path + query) if "basic" in path else json_call(path=path + query)
    assert served(octets)[0].status == 400


@pytest.mark.parametrize(
    ("octets", "allow"),
    [
        (basic(method=b"POST"), "GET, HEAD"),
        (json_call().replace(b"POST", b"GET", 1), "POST"),
        (json_call().replace(b"POST", b"PUT", 1), "POST"),
    ],
)
def test_other_methods_are_405(octets, allow):
    reply, _, server = served(octets)
    assert (reply.status, reply.headers["Allow"]) == (405, allow)
    assert server.line.half_closed


@pytest.mark.parametrize(
    ("octets", "seconds"), [(basic(), 2.0), (json_call(b""), 2.0), (json_call(), 8.0)]
)
def test_each_client_has_its_deadline(octets, seconds):
    server = Server(silent_checker(), clients=(NGINX,))
    server.send(octets)
    server.house.clock.advance(seconds - 0.25)
    assert server.answers() == []
    server.house.clock.advance(0.25)
    assert server.answer().status == 503
