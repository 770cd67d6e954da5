"""`listen.http` as its callers see it: octets in, octets out."""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from authbridge import model
from authbridge.frontends.clients import Client
from authbridge.frontends.http import HttpFrontEnd, HttpSettings
from authbridge.frontends.http_server import LARGEST_BODY, SLOWEST_REQUEST, HttpFactory
from authbridge.model import Reason, Verdict
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from tests.doubles import House, ScriptedChecker, ScriptedRegistry, silent_checker, silent_registry

SECRET = b"Authorization: Basic " + base64.b64encode(b"prosody:through-the-glass") + b"\r\n"
CLIENT = Client(
    "prosody",
    Secret(b"through-the-glass"),
    frozenset({"check_password", "user_exists", "set_password"}),
    frozenset({"example.org"}),
)
WRITER = replace(CLIENT, may=frozenset({"set_password", "register", "remove_user"}))
LOGIN = {"user": "alice", "server": "example.org", "pass": "wonderland"}


class HalfClosing(StringTransport):
    """A transport that can close its sending half."""

    half_closed = False

    def loseWriteConnection(self):
        self.half_closed = True


class Server:
    """A front end on a transport in memory."""

    def __init__(self, checker, anonymous=False, client=CLIENT):
        self.house = House(checker)
        self.clock = Clock()
        front_end = HttpFrontEnd(
            self.house.authenticator, HttpSettings(anonymous, 8.0), {"prosody": client}
        )
        self.factory = HttpFactory(front_end, self.clock, 2)
        self.connect()

    def connect(self):
        self.transport = HalfClosing()
        self.channel = self.factory.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def send(self, octets):
        self.channel.dataReceived(octets)

    def answer(self):
        """Status, headers and body of the one answer there is."""
        octets = self.transport.value()
        self.transport.clear()
        head, _, body = octets.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        assert len(body) == int(headers["Content-Length"])
        return int(status.split()[1]), headers, body


@pytest.fixture
def server():
    return Server(ScriptedChecker(model.PASSWORD_MATCHES))


def get(path, parameters=LOGIN, headers=SECRET):
    query = ("?" + urlencode(parameters)).encode() if parameters else b""
    return b"GET " + path.encode() + query + b" HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n"


def post(path, parameters=LOGIN, headers=SECRET, content=b"application/x-www-form-urlencoded"):
    body = parameters if isinstance(parameters, bytes) else urlencode(parameters).encode()
    return b"POST %b HTTP/1.1\r\nHost: h\r\n%bContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        headers,
        content,
        len(body),
        body,
    )


def test_a_fault_behind_the_answer_is_logged_and_not_answered_again(server, events, monkeypatch):
    def broken(call):
        raise RuntimeError("wonderland")

    call = server.factory.buildProtocol(None).requestFactory
    monkeypatch.setattr(call, "finish", broken)
    server.send(get("/auth/check_password"))
    assert server.transport.value().count(b"HTTP/1.1 ") == 1
    (told,) = [event for event in events if "log_failure" in event]
    assert told["log_format"] == "an HTTP call failed"


def without(name):
    return {key: value for key, value in LOGIN.items() if key != name}


@pytest.mark.parametrize(
    "request_octets",
    [
        get("/auth/check_password"),
        post("/auth/check_password"),
        post("/auth/check_password", content=b"application/x/www-form-urlencoded"),
        post("/auth/check_password", content=b"text/plain"),
        get("/auth/user_exists", without("pass")),
        get("/auth/user_exists", {**LOGIN, "pass": ""}),
        post("/auth/user_exists", without("pass")),
    ],
)
def test_yes_is_200_and_exactly_true(server, request_octets):
    server.send(request_octets)
    status, headers, body = server.answer()
    assert (status, body) == (200, b"true")
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers


@pytest.mark.parametrize("path", ["/auth/check_password", "/auth/user_exists"])
def test_no_is_200_and_exactly_false(path):
    server = Server(ScriptedChecker(model.PASSWORD_MISMATCH))
    server.send(get(path))
    assert server.answer()[::2] == (200, b"false")


@pytest.mark.parametrize("path", ["/auth/check_password", "/auth/user_exists"])
def test_an_outage_is_503_with_a_time_to_come_again(path):
    server = Server(ScriptedChecker(model.unavailable(Reason.SOURCE_UNREADABLE)))
    server.send(get(path))
    status, headers, body = server.answer()
    assert status == 503
    assert headers["Retry-After"] == "5"
    assert body not in (b"true", b"false")


@pytest.mark.parametrize("password", ["", "pass:wörd &+%", "x" * 12_000, "a\nb"])
def test_the_password_reaches_the_checker_octet_by_octet(server, password):
    server.send(get("/auth/check_password", {**LOGIN, "pass": password}))
    status, _, body = server.answer()
    assert status == 200
    (named,) = server.house.authenticator._domains["example.org"].check
    if password:
        assert named.checker.asked[0][2] == password.encode()
    else:
        assert (named.checker.asked, body) == ([], b"false")


def test_a_password_of_40000_octets_is_taken_by_post_and_refused_by_get(server):
    long = {**LOGIN, "pass": "x" * 40_000}
    server.send(post("/auth/check_password", long))
    assert server.answer()[::2] == (200, b"true")
    server.send(get("/auth/check_password", long))
    status, headers, body = server.answer()
    assert status == 414
    assert headers["Connection"] == "close"
    assert b"POST takes more" in body
    assert server.transport.half_closed
    server.send(b"x" * 100_000)
    assert server.transport.value() == b""


@pytest.mark.parametrize(
    "request_octets",
    [
        get("/auth/check_password", without("pass")),
        get("/auth/check_password", without("user")),
        get("/auth/check_password", without("server")),
        get("/auth/check_password", {**LOGIN, "extra": "1"}),
        get("/auth/check_password", None),
        get("/auth/check_password?user=a&user=b&server=example.org&pass=x", None),
        get("/auth/check_password?user=a&server=example.org&pass=%zz", None),
        get("/auth/check_password?user=a;server=example.org;pass=x", None),
        post("/auth/check_password?user=a", without("user")),
        post("/auth/check_password", b""),
        post("/auth/check_password", b"{}"),
    ],
)
def test_what_breaks_the_contract_is_400_and_asks_nobody(server, request_octets):
    server.send(request_octets)
    assert server.answer()[0] == 400
    (line,) = server.house.lines
    assert "jid=- checker=- verdict=rejected reason=request_malformed" in line


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Authorization: Basic " + base64.b64encode(b"prosody:wrong") + b"\r\n",
        b"Authorization: Basic " + base64.b64encode(b"nobody:through-the-glass") + b"\r\n",
        b"Authorization: Bearer through-the-glass\r\n",
        b"Authorization: \r\n",
        SECRET * 2,
    ],
)
def test_without_the_right_credentials_it_is_401(server, headers):
    server.send(get("/auth/check_password", headers=headers))
    status, answered, body = server.answer()
    assert status == 401
    assert answered["WWW-Authenticate"].startswith("Basic ")
    assert b"true" not in body
    (line,) = server.house.lines
    assert "operation=check_password jid=- checker=- verdict=rejected" in line
    assert "reason=caller_unknown" in line


def test_what_a_client_may_not_ask_is_403(server):
    server.send(get("/auth/check_password", {**LOGIN, "server": "example.net"}))
    assert server.answer()[0] == 403
    server.send(post("/auth/register"))
    assert server.answer()[0] == 403
    assert ["reason=caller_not_allowed" in line for line in server.house.lines] == [True, True]


def test_a_write_that_a_client_may_ask_is_501_as_nobody_can_do_it(server):
    server.send(post("/auth/set_password"))
    assert server.answer()[0] == 501
    assert "operation=set_password" in server.house.lines[0]
    assert "reason=not_supported" in server.house.lines[0]


def test_a_registration_that_nobody_can_make_is_501():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), client=WRITER)
    server.send(post("/auth/register"))
    assert server.answer()[0] == 501


@pytest.mark.parametrize(("verb", "status"), [("set_password", 200), ("register", 201)])
def test_a_change_that_is_made_has_the_status_of_its_verb(verb, status):
    registry = ScriptedRegistry(model.PASSWORD_CHANGED)
    server = Server(registry, client=WRITER)
    server.send(post(f"/auth/{verb}", {**LOGIN, "pass": "pä ss&1"}))
    assert server.answer()[::2] == (status, b"true")
    assert registry.asked[-1] == (verb, "alice@example.org", "pä ss&1".encode())
    assert f"operation={verb} jid=alice@example.org checker=c0 verdict=acc" in server.house.lines[0]


@pytest.mark.parametrize("verb", ["set_password", "register"])
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (model.rejected(Reason.PASSWORD_UNACCEPTABLE), 403),
        (model.rejected(Reason.ACCOUNT_DISABLED), 403),
        (model.rejected(Reason.NOT_SUPPORTED), 501),
        (model.Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED), 501),
        (model.unavailable(Reason.DIRECTORY_SILENT), 503),
    ],
)
def test_a_change_that_is_not_made_is_never_a_2xx(verb, outcome, status):
    """Prosody and MongooseIM take any of 200, 201 and 204 for done, whatever the body."""
    server = Server(ScriptedRegistry(outcome), client=WRITER)
    server.send(post(f"/auth/{verb}"))
    answered, headers, body = server.answer()
    assert answered == status
    assert body not in (b"true", b"false", b"")
    assert b"wonderland" not in body
    assert headers.get("Retry-After") == ("5" if status == 503 else None)
    if status == 403:
        assert body.decode() == f"{outcome.reason.value}: {outcome.reason.words}"
        assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_change_for_an_unknown_user_or_of_a_blank_password_is_403():
    server = Server(ScriptedRegistry(model.USER_UNKNOWN), client=WRITER)
    server.send(post("/auth/set_password"))
    assert server.answer()[0] == 403
    for verb in ("set_password", "register"):
        server.send(post(f"/auth/{verb}", {**LOGIN, "pass": ""}))
        status, _, body = server.answer()
        assert (status, body[:15]) == (403, b"password_blank:")


def test_a_registration_of_a_user_who_is_there_is_409():
    registry = ScriptedRegistry(model.USER_REGISTERED, exists=model.USER_EXISTS)
    server = Server(registry, client=WRITER)
    server.send(post("/auth/register"))
    assert server.answer()[0] == 409
    assert registry.written == []


@pytest.mark.parametrize("verb", ["set_password", "register"])
def test_a_change_without_a_password_is_400(verb):
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    server.send(post(f"/auth/{verb}", without("pass")))
    assert server.answer()[0] == 400
    assert registry.asked == []


@pytest.mark.parametrize("verb", ["set_password", "register"])
@pytest.mark.parametrize("derived", ["==SCRAM==,a,b,c,4096", "==MULTI_SCRAM==,4096,x"])
def test_what_is_derived_from_a_password_is_not_set_as_one(verb, derived):
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    server.send(post(f"/auth/{verb}", {**LOGIN, "pass": derived}))
    status, _, body = server.answer()
    assert status == 400
    assert b"SCRAM" in body
    assert registry.asked == []


@pytest.mark.parametrize("verb", ["set_password", "register"])
def test_a_change_that_nobody_answers_is_503_at_the_deadline(verb):
    server = Server(silent_registry(), client=WRITER)
    server.send(post(f"/auth/{verb}"))
    assert server.transport.value() == b""
    server.house.clock.advance(8)
    assert server.answer()[0] == 503


@pytest.mark.parametrize("verb", ["set_password", "register"])
def test_nobody_writes_without_being_named(verb):
    registry = ScriptedRegistry(model.PASSWORD_CHANGED)
    anonymous = Server(registry, anonymous=True, client=WRITER)
    anonymous.send(post(f"/auth/{verb}", headers=b"").replace(b"Host: h", b"Host: localhost"))
    assert anonymous.answer()[0] == 403
    nobody = Server(registry, client=WRITER)
    nobody.send(post(f"/auth/{verb}", headers=b""))
    assert nobody.answer()[0] == 401
    reader = Server(registry, client=replace(WRITER, may=frozenset({"check_password"})))
    reader.send(post(f"/auth/{verb}"))
    assert reader.answer()[0] == 403
    elsewhere = Server(registry, client=WRITER)
    elsewhere.send(post(f"/auth/{verb}", {**LOGIN, "server": "example.net"}))
    assert elsewhere.answer()[0] == 403
    assert registry.asked == []


def test_nobody_is_removed():
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    server.send(post("/auth/remove_user", without("pass")))
    assert server.answer()[0] == 501
    assert registry.asked == []


@pytest.mark.parametrize("verb", ["get_password", "get_certs"])
def test_there_is_no_password_to_be_read(server, verb):
    server.send(get(f"/auth/{verb}", without("pass")))
    assert server.answer()[0] == 501


@pytest.mark.parametrize(
    "path",
    ["/", "/auth", "/auth/", "/auth/x", "/auth/check_password/", "//auth/check_password",
     "/auth/check%5fpassword", "/Auth/check_password", "http://evil/auth/check_password", "*"],
)  # fmt: skip
def test_other_paths_are_404(server, path):
    server.send(get(path))
    assert server.answer()[0] == 404
    assert "operation=- jid=-" in server.house.lines[0]


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"get"])
def test_other_methods_are_405(server, method):
    server.send(get("/auth/check_password").replace(b"GET", method, 1))
    octets = server.transport.value()
    assert octets.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, POST" in octets


def test_a_write_by_get_is_405(server):
    server.send(get("/auth/set_password"))
    status, headers, _ = server.answer()
    assert (status, headers["Allow"]) == (405, "POST")


def test_anonymous_callers_are_served_where_that_is_on():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), anonymous=True)
    server.send(get("/auth/check_password", headers=b"").replace(b"Host: h", b"Host: localhost"))
    assert server.answer()[::2] == (200, b"true")
    server.send(post("/auth/set_password", headers=b"").replace(b"Host: h", b"Host: localhost"))
    assert server.answer()[0] == 403
    server.send(get("/auth/check_password", headers=b"Authorization: Basic eDp5\r\n"))
    assert server.answer()[0] == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:9281", 200),
        ("127.0.0.1:9281", 200),
        ("[::1]:9281", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:9281", 421),
        ("192.0.2.1", 421),
        ("", 421),
    ],
)
def test_an_anonymous_call_must_be_addressed_to_this_machine(host, status):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), anonymous=True)
    server.send(
        get("/auth/check_password", headers=b"").replace(b"Host: h", b"Host: " + host.encode())
    )
    assert server.answer()[0] == status


def test_two_hosts_are_400(server):
    server.send(get("/auth/check_password", headers=SECRET + b"Host: other\r\n"))
    assert server.answer()[0] == 400


def test_a_connection_serves_one_call_after_another_and_pipelined_ones_in_order(server):
    server.send(get("/auth/check_password") * 3)
    assert server.transport.value().count(b"200 OK") == 3


@pytest.mark.parametrize("size", [LARGEST_BODY + 1, 10**12])
def test_a_body_announced_too_large_is_413_before_it_is_read(server, size):
    head = b"POST /auth/check_password HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
    server.send(head)
    assert server.answer()[0] == 413
    assert server.transport.half_closed
    server.send(b"x" * 65536)
    assert server.transport.value() == b""


def test_a_body_that_comes_with_its_announcement_is_413_too(server):
    server.send(post("/auth/check_password", b"x" * 70_000))
    assert server.answer()[0] == 413
    assert server.transport.value() == b""


def test_a_caller_that_waits_to_be_told_to_continue_gets_one_answer(server):
    head = b"POST /auth/check_password HTTP/1.1\r\n" + SECRET
    server.send(head + b"Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
    assert server.answer()[0] == 413
    assert server.transport.value() == b""
    server.connect()
    body = urlencode(LOGIN).encode()
    server.send(head + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(body))
    assert server.transport.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    server.transport.clear()
    server.send(body)
    assert server.answer()[::2] == (200, b"true")


def test_a_chunked_body_that_grows_too_large_is_413(server):
    server.send(b"POST /auth/check_password HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(3):
        server.send(b"7000\r\n" + b"x" * 0x7000 + b"\r\n")
    assert server.answer()[0] == 413


def test_a_chunked_body_is_taken(server):
    body = urlencode(LOGIN).encode()
    server.send(
        b"POST /auth/check_password HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + SECRET + b"\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )  # fmt: skip
    assert server.answer()[::2] == (200, b"true")


def test_a_request_that_trickles_is_cut_at_its_deadline(server):
    for octet in get("/auth/check_password")[:60]:
        if server.transport.disconnecting:
            break
        server.send(bytes([octet]))
        server.clock.advance(1)
    assert server.transport.disconnecting
    assert server.clock.seconds() == pytest.approx(SLOWEST_REQUEST)


def test_an_idle_connection_has_its_time_anew_for_each_request(server):
    for _ in range(4):
        server.clock.advance(SLOWEST_REQUEST - 1)
        server.send(get("/auth/check_password"))
        assert server.answer()[0] == 200
    assert not server.transport.disconnecting


def test_an_answer_for_a_caller_who_left_goes_nowhere():
    waiting: Deferred[model.Outcome] = Deferred()
    server = Server(ScriptedChecker(waiting))
    server.send(get("/auth/check_password"))
    server.channel.connectionLost(Failure(ConnectionDone()))
    waiting.callback(model.PASSWORD_MATCHES)
    assert server.transport.value() == b""
    assert len(server.house.lines) == 1


def test_a_silent_checker_is_503_at_the_deadline():
    server = Server(silent_checker())
    server.send(get("/auth/check_password"))
    assert server.transport.value() == b""
    server.house.clock.advance(8)
    assert server.answer()[0] == 503


def test_a_fault_is_503_and_no_log_has_the_password():
    class Broken:
        def check_password(self, *arguments):
            raise ValueError("wonderland")

        def user_exists(self, *arguments):
            failing: Deferred[model.Outcome] = Deferred()
            failing.errback(ValueError("wonderland"))
            return failing

    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
        server.channel.front_end._authenticator = Broken()
        server.send(get("/auth/check_password"))
        assert server.answer()[0] == 503
        server.send(get("/auth/user_exists"))
        assert server.answer()[0] == 503
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert sum("log_failure" in event for event in events) == 2


def test_connections_above_the_most_are_closed_until_there_is_room(server):
    events = []
    globalLogPublisher.addObserver(events.append)
    server.connect()
    assert server.factory.buildProtocol(None) is None
    assert server.factory.buildProtocol(None) is None
    globalLogPublisher.removeObserver(events.append)
    assert len(events) == 1
    server.channel.connectionLost(Failure(ConnectionDone()))
    assert server.factory.buildProtocol(None) is not None


def test_no_url_is_logged(server):
    events = []
    globalLogPublisher.addObserver(events.append)
    server.factory.startFactory()
    try:
        server.send(get("/auth/check_password"))
    finally:
        server.factory.stopFactory()
        globalLogPublisher.removeObserver(events.append)
    assert "wonderland" not in repr(events)
    assert server.answer()[0] == 200


def test_the_settings_are_read(tmp_path):
    mistakes = Mistakes()
    table = Table({"anonymous": True, "deadline": "3s"}, "http", mistakes, tmp_path)
    assert HttpSettings.read(table, 8.0) == HttpSettings(True, 3.0)
    assert HttpSettings.read(Table({}, "http", mistakes, tmp_path), 8.0) == HttpSettings(False, 8.0)
    mistakes.check()
