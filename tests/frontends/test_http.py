"""`listen.http` as mod_auth_http, MongooseIM and ejabberd-contrib see it: octets in, octets out."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.model import Reason, Verdict
from tests.doubles import ScriptedChecker, ScriptedRegistry, silent_checker, silent_registry
from tests.frontends.http_client import CLIENT, LOGIN, SECRET, Server, chunked, get, post, without

WRITER = replace(CLIENT, may=frozenset({"set_password", "register", "remove_user"}))
CHANGES = ["set_password", "register"]


@pytest.fixture
def server():
    return Server(ScriptedChecker(model.PASSWORD_MATCHES))


@pytest.mark.parametrize(
    "request_octets",
    [
        get("/auth/check_password"),
        post("/auth/check_password"),
        post("/auth/check_password", content=b"application/x/www-form-urlencoded"),
        post("/auth/check_password", content=b"text/plain"),
        chunked(b"user=alice&server=exam", b"ple.org&pass=wonderland"),
        get("/auth/user_exists", without("pass")),
        get("/auth/user_exists", {**LOGIN, "pass": ""}),
        post("/auth/user_exists", without("pass")),
    ],
)
def test_yes_is_200_and_exactly_true(server, request_octets):
    reply = server.ask(request_octets)
    assert (reply.status, reply.body) == (200, b"true")
    assert reply.headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "4",
        "Cache-Control": "no-store",
        "X-Request-Id": "boot-1",
    }
    assert server.line.open


@pytest.mark.parametrize("path", ["/auth/check_password", "/auth/user_exists"])
def test_no_is_200_and_exactly_false(path):
    server = Server(ScriptedChecker(model.PASSWORD_MISMATCH))
    reply = server.ask(get(path))
    assert (reply.status, reply.body) == (200, b"false")


@pytest.mark.parametrize("path", ["/auth/check_password", "/auth/user_exists"])
def test_an_outage_is_503_with_a_time_to_come_again(path):
    server = Server(ScriptedChecker(model.unavailable(Reason.SOURCE_UNREADABLE)))
    reply = server.ask(get(path))
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert reply.body not in (b"true", b"false")
    assert server.line.open


@pytest.mark.parametrize("password", ["", "pass:wörd &+%", "x" * 12_000, "a\nb"])
def test_the_password_reaches_the_checker_octet_by_octet(password):
    server = Server(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(get("/auth/check_password", {**LOGIN, "pass": password}))
    assert reply.status == 200
    if password:
        assert checker.asked == [("check_password", "alice@example.org", password.encode())]
    else:
        assert (checker.asked, reply.body) == ([], b"false")


def test_a_password_of_40000_octets_is_taken_by_post_and_refused_by_get(server):
    long = {**LOGIN, "pass": "x" * 40_000}
    assert server.ask(post("/auth/check_password", long)).body == b"true"
    reply = server.ask(get("/auth/check_password", long))
    assert reply.status == 414
    assert b"POST takes more" in reply.body


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
def test_what_breaks_the_contract_is_400_and_asks_nobody(request_octets):
    server = Server(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    assert server.ask(request_octets).status == 400
    assert checker.asked == []
    assert server.line.half_closed
    (line,) = server.lines
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
@pytest.mark.parametrize("anonymous", [False, True])
def test_without_the_right_credentials_it_is_401(headers, anonymous):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), anonymous=anonymous and bool(headers))
    reply = server.ask(get("/auth/check_password", headers=headers))
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == 'Basic realm="authbridge"'
    assert b"true" not in reply.body
    assert server.line.half_closed
    (line,) = server.lines
    assert "operation=check_password jid=- checker=- verdict=rejected" in line
    assert "reason=caller_unknown" in line


def test_what_a_client_may_not_ask_is_403(server):
    assert server.ask(get(parameters={**LOGIN, "server": "example.net"})).status == 403
    assert server.line.half_closed
    assert server.caller().ask(post("/auth/register")).status == 403
    assert all("reason=caller_not_allowed" in line for line in server.lines)


def test_anonymous_callers_are_served_where_that_is_on():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), anonymous=True)
    assert server.ask(get(headers=b"")).body == b"true"
    assert server.ask(post("/auth/set_password", headers=b"")).status == 403


def test_a_write_that_a_client_may_ask_is_501_as_nobody_can_do_it(server):
    assert server.ask(post("/auth/set_password")).status == 501
    assert server.line.open
    assert "operation=set_password" in server.lines[0]
    assert "reason=not_supported" in server.lines[0]


def test_a_registration_that_nobody_can_make_is_501():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), client=WRITER)
    assert server.ask(post("/auth/register")).status == 501


@pytest.mark.parametrize(("verb", "status"), [("set_password", 200), ("register", 201)])
def test_a_change_that_is_made_has_the_status_of_its_verb(verb, status):
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    reply = server.ask(post(f"/auth/{verb}", {**LOGIN, "pass": "pä ss&1"}))
    assert (reply.status, reply.body) == (status, b"true")
    assert registry.asked[-1] == (verb, "alice@example.org", "pä ss&1".encode())
    assert f"operation={verb} jid=alice@example.org checker=c0 verdict=acc" in server.lines[0]


@pytest.mark.parametrize("verb", CHANGES)
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
    reply = server.ask(post(f"/auth/{verb}"))
    assert reply.status == status
    assert reply.body not in (b"true", b"false", b"")
    assert b"wonderland" not in reply.body
    assert reply.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert server.line.open
    if status == 403:
        assert reply.body.decode() == f"{outcome.reason.value}: {outcome.reason.words}"


def test_a_change_for_an_unknown_user_or_of_a_blank_password_is_403():
    server = Server(ScriptedRegistry(model.USER_UNKNOWN), client=WRITER)
    assert server.ask(post("/auth/set_password")).status == 403
    for verb in CHANGES:
        reply = server.ask(post(f"/auth/{verb}", {**LOGIN, "pass": ""}))
        assert (reply.status, reply.body[:15]) == (403, b"password_blank:")


def test_a_registration_of_a_user_who_is_there_is_409():
    registry = ScriptedRegistry(model.USER_REGISTERED, exists=model.USER_EXISTS)
    server = Server(registry, client=WRITER)
    assert server.ask(post("/auth/register")).status == 409
    assert server.line.open
    assert registry.written == []


@pytest.mark.parametrize("verb", CHANGES)
def test_a_change_without_a_password_is_400(verb):
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    assert server.ask(post(f"/auth/{verb}", without("pass"))).status == 400
    assert registry.asked == []


@pytest.mark.parametrize("verb", CHANGES)
@pytest.mark.parametrize("derived", ["==SCRAM==,a,b,c,4096", "==MULTI_SCRAM==,4096,x"])
def test_what_is_derived_from_a_password_is_not_set_as_one(verb, derived):
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    reply = server.ask(post(f"/auth/{verb}", {**LOGIN, "pass": derived}))
    assert reply.status == 400
    assert b"SCRAM" in reply.body
    assert registry.asked == []


@pytest.mark.parametrize("verb", CHANGES)
def test_nobody_writes_without_being_named(verb):
    registry = ScriptedRegistry(model.PASSWORD_CHANGED)
    anonymous = Server(registry, anonymous=True, client=WRITER)
    assert anonymous.ask(post(f"/auth/{verb}", headers=b"")).status == 403
    nobody = Server(registry, client=WRITER)
    assert nobody.ask(post(f"/auth/{verb}", headers=b"")).status == 401
    reader = Server(registry, client=replace(WRITER, may=frozenset({"check_password"})))
    assert reader.ask(post(f"/auth/{verb}")).status == 403
    elsewhere = Server(registry, client=WRITER)
    foreign = post(f"/auth/{verb}", {**LOGIN, "server": "example.net"})
    assert elsewhere.ask(foreign).status == 403
    assert registry.asked == []


def test_nobody_is_removed():
    server = Server(registry := ScriptedRegistry(model.PASSWORD_CHANGED), client=WRITER)
    assert server.ask(post("/auth/remove_user", without("pass"))).status == 501
    assert registry.asked == []
    assert "operation=remove_user jid=alice@example.org" in server.lines[0]


@pytest.mark.parametrize("verb", ["get_password", "get_certs", "remove_user_validate"])
@pytest.mark.parametrize("request_of", [get, post])
def test_there_is_no_password_to_be_read(server, verb, request_of):
    assert server.ask(request_of(f"/auth/{verb}", without("pass"))).status == 501
    assert server.line.half_closed
    assert "reason=not_supported" in server.lines[0]


@pytest.mark.parametrize(
    "path",
    ["/", "/auth", "/auth/", "/auth/x", "/auth/check_password/", "//auth/check_password",
     "/auth/check%5fpassword", "/Auth/check_password", "/auth/../auth/check_password",
     "/auth/check_password;x", "/auth/check_passwörd"],
)  # fmt: skip
def test_other_paths_are_404(server, path):
    assert server.ask(get(path)).status == 404
    assert server.line.half_closed
    assert "operation=- jid=-" in server.lines[0]


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"get"])
def test_other_methods_are_405(server, method):
    server.send(get("/auth/check_password").replace(b"GET", method, 1))
    reply = server.answer(head=method == b"HEAD")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, POST")
    assert server.line.half_closed


def test_a_write_by_get_is_405(server):
    reply = server.ask(get("/auth/set_password"))
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("verb", [*CHANGES, "check_password", "user_exists"])
def test_what_nobody_answers_is_503_at_the_deadline(verb):
    may = frozenset({verb})
    for client, seconds in [(CLIENT, 8.0), (replace(CLIENT, deadline=2.0), 2.0)]:
        silent = silent_registry() if verb in CHANGES else silent_checker()
        server = Server(silent, client=replace(client, may=may))
        server.send(post(f"/auth/{verb}"))
        server.house.clock.advance(seconds - 0.25)
        assert server.answers() == []
        server.house.clock.advance(0.25)
        assert server.answer().status == 503


def test_an_answer_for_a_caller_who_left_goes_nowhere():
    waiting: Deferred[model.Outcome] = Deferred()
    server = Server(ScriptedChecker(waiting))
    server.send(get("/auth/check_password"))
    server.leave()
    waiting.callback(model.PASSWORD_MATCHES)
    assert server.answers() == []
    assert len(server.lines) == 1
