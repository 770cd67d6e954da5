"""`/auth/cookie` of `listen.http`: whose cookie it is, in the dialect of mod_auth_http_cookie."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.frontends.clients import Client
from authbridge.frontends.http_cookie import CookieSite
from authbridge.log import EventLog, LogSettings
from authbridge.model import JID, Reason
from authbridge.sessions.shown import CannotTell, Nobody
from tests.doubles import House, ScriptedChecker
from tests.frontends.http_client import CLIENT, SECRET, Line, Server
from tests.frontends.pages import COOKIE, SITE, ScriptedSession, no_secret_in

PROSODY = replace(CLIENT, may=frozenset({"cookie"}), deadline=2.0)
HERE = (ipaddress.ip_network("127.0.0.0/8"),)
BY_ADDRESS = Client("sidecar", None, frozenset({"cookie"}), frozenset({"example.org"}), HERE)
UNNAMED, NAMED = "server=example.org", "server=example.org&user=alice"
both = pytest.mark.parametrize("query", [UNNAMED, NAMED])


def get(query, headers=SECRET + COOKIE, method=b"GET"):
    return b"%b /auth/cookie?%b HTTP/1.1\r\nHost: h\r\n%b\r\n" % (method, query.encode(), headers)


def served(session=None, client=PROSODY, **more):
    """A front end, and the session of the one site."""
    session = session or ScriptedSession()
    at = CookieSite("site:www", session, SITE.user)
    server = Server(
        ScriptedChecker(model.PASSWORD_MATCHES),
        client=client,
        cookie_sites={"example.org": at},
        **more,
    )
    return server, session


def line_of(server):
    """The one line of the log."""
    (line,) = server.lines
    return re.sub(r"^\S+ login id=boot-\d+ | ms=[0-9.]+", "", line)


def line(jid, verdict, reason, checker="site:www"):
    return (
        f"front_end=http operation=cookie jid={jid} checker={checker} "
        f"verdict={verdict} reason={reason} caller=prosody"
    )


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [UNNAMED, NAMED, "user=Alice&server=EXAMPLE.org"])
def test_who_is_known_is_named_by_his_localpart_alone(query):
    server, session = served()
    reply = server.ask(get(query))
    assert (reply.status, reply.body) == (200, b"alice")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert session.asked == [b"9f3c-secret-of-alice"]
    assert line_of(server) == line("alice@example.org", "accepted", "session_valid")
    assert f"id={reply.id} " in server.lines[0]
    assert server.line.open


def test_who_is_let_in_has_been_seen_and_nobody_else():
    seen = []
    house = House(ScriptedChecker(model.PASSWORD_MATCHES), seen=seen.append)
    server, session = served(house=house)
    server.ask(get("server=example.org&user=bob"))
    session.answer = Nobody(Reason.SESSION_UNKNOWN)
    server.ask(get(UNNAMED))
    assert seen == []
    session.answer = "alice"
    server.ask(get(UNNAMED))
    assert seen == [JID("alice", "example.org")]


def test_a_localpart_is_utf_8():
    server, _ = served(ScriptedSession("çelik"))
    assert server.ask(get(UNNAMED)).body == "çelik".encode()


def no(query, reply):
    """Whether it is a no: with a user the status says it, without one the body, which is nobody's
    name; at any other status than 200 the module would leave its client without an answer."""
    if "user=" in query:
        assert (reply.status, reply.body) == (401, b"false")
    else:
        assert (reply.status, reply.body) == (200, b"@")


@both
@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (ScriptedSession(Nobody(Reason.SESSION_UNKNOWN)), "session_unknown"),
        (ScriptedSession(Nobody(Reason.TOKEN_EXPIRED)), "token_expired"),
        (ScriptedSession(trouble=Nobody(Reason.SESSION_MALFORMED)), "session_malformed"),
        (ScriptedSession("a b"), "site_user_unfit"),
        (ScriptedSession("Alice"), "site_user_unfit"),
        (ScriptedSession(""), "site_user_unfit"),
    ],
)
def test_a_cookie_that_is_nobodys_is_refused(query, session, reason):
    server, _ = served(session)
    no(query, server.ask(get(query)))
    assert line_of(server) == line("-", "rejected", reason)
    assert server.line.open


@both
def test_who_shows_no_cookie_is_refused(query):
    server, session = served()
    no(query, server.ask(get(query, SECRET)))
    assert session.asked == []
    assert line_of(server) == line("-", "rejected", "session_missing")


@both
def test_whom_no_token_lets_in_no_cookie_does(query):
    server, _ = served(never=lambda jid: str(jid) == "alice@example.org")
    no(query, server.ask(get(query)))
    assert line_of(server) == line("alice@example.org", "rejected", "token_never")


def test_the_cookie_of_another_user_is_refused():
    server, _ = served()
    no(NAMED, server.ask(get("server=example.org&user=mallory")))
    assert line_of(server) == line("alice@example.org", "rejected", "session_user_wrong")


@pytest.mark.parametrize("user", ["alice%40example.org", "a+b", "%ff", "@"])
def test_who_is_no_user_is_nobody(user):
    server, session = served()
    no(NAMED, server.ask(get(f"server=example.org&user={user}")))
    assert session.asked == []
    assert line_of(server) == line("-", "rejected", "user_malformed", "-")


@both
def test_a_domain_without_a_site_knows_nobody(query):
    server, session = served(client=replace(PROSODY, domains=frozenset({"*"})))
    no(query, server.ask(get(query.replace("example.org", "example.net"))))
    assert session.asked == []
    assert line_of(server) == line("-", "rejected", "domain_unknown", "-")


@both
@pytest.mark.parametrize(
    "reason", [Reason.SITE_UNREACHABLE, Reason.SITE_FAILED, Reason.KEYS_UNAVAILABLE]
)
def test_a_site_that_cannot_tell_is_no_yes_and_logged_as_what_it_is(query, reason):
    server, _ = served(ScriptedSession(CannotTell(reason, "answers 500")))
    reply = server.ask(get(query))
    if query == NAMED:
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    else:
        assert (reply.status, reply.body) == (200, b"@")
    assert line_of(server) == line("-", "unavailable", reason.value)


@both
@pytest.mark.parametrize(("own", "seconds"), [(2.0, 2.0), (None, 8.0)])
def test_a_site_that_keeps_silent_is_waited_for_until_the_deadline(query, own, seconds):
    cancelled = []
    waiting = Deferred(cancelled.append)
    server, _ = served(ScriptedSession(waiting), replace(PROSODY, deadline=own))
    server.send(get(query))
    server.house.clock.advance(seconds - 0.25)
    assert (server.answers(), cancelled) == ([], [])
    server.house.clock.advance(0.25)
    reply = server.answer()
    assert (reply.status, reply.body) == ((503, b"unavailable") if query == NAMED else (200, b"@"))
    assert cancelled == [waiting]
    assert line_of(server) == line("-", "unavailable", "deadline_passed")


@both
def test_at_a_stop_nobody_is_let_in(query):
    server, _ = served(ScriptedSession(Deferred()))
    server.send(get(query))
    server.house.authenticator.logins.end()
    assert server.answer().status == (503 if query == NAMED else 200)
    assert "verdict=unavailable reason=stopping" in line_of(server)


def test_nothing_but_a_known_user_is_a_2xx_with_a_name():
    """An empty body would be taken for a yes where the URL names a user."""
    for session in (
        ScriptedSession(Nobody(Reason.SESSION_UNKNOWN)),
        ScriptedSession(CannotTell(Reason.SITE_FAILED, "x")),
        ScriptedSession(trouble=Nobody(Reason.SESSION_MISSING)),
        ScriptedSession(RuntimeError("x")),
        ScriptedSession("a b"),
    ):
        server, _ = served(session)
        replies = [server.ask(get(query)) for query in (UNNAMED, NAMED)]
        assert (replies[0].status, replies[0].body) == (200, b"@")
        assert replies[1].status in (401, 503)


# --- who may ask ----------------------------------------------------------------------------------


@both
def test_a_caller_may_be_known_by_its_address(query):
    server, _ = served(clients=(BY_ADDRESS,))
    reply = server.ask(get(query, COOKIE))
    assert (reply.status, reply.body) == (200, b"alice")
    assert "caller=sidecar" in line_of(server)


@both
def test_or_be_anybody_where_anybody_may_ask(query):
    server, _ = served(anonymous=True)
    assert server.ask(get(query, COOKIE)).body == b"alice"
    assert "caller=127.0.0.1" in line_of(server)


@pytest.mark.parametrize(
    ("headers", "more", "status", "reason"),
    [
        (COOKIE, {}, 401, "caller_unknown"),
        (COOKIE + SECRET.replace(b"Basic ", b"Basic x"), {}, 401, "caller_unknown"),
        (COOKIE + SECRET, {"client": replace(PROSODY, may=frozenset({"json"}))}, 403,
         "caller_not_allowed"),
        (COOKIE + SECRET, {"client": replace(PROSODY, domains=frozenset({"example.net"}))}, 403,
         "caller_not_allowed"),
        (COOKIE, {"line": Line(peer=IPv4Address("TCP", "10.0.0.1", 1)), "clients": (BY_ADDRESS,)},
         401, "caller_unknown"),
    ],
)  # fmt: skip
def test_nobody_else_is_told_anything(headers, more, status, reason):
    server, session = served(**more)
    assert server.ask(get(NAMED, headers)).status == status
    assert session.shown == []
    assert f"operation=cookie jid=- checker=- verdict=rejected reason={reason}" in line_of(server)


@pytest.mark.parametrize(
    "query",
    ["", "user=alice", "server=", "server=example.org&user=", "server=example.org&pass=x",
     "server=example.org&server=example.org", "server=example.org&user=alice&user=alice"],
)  # fmt: skip
def test_a_question_that_breaks_the_rules_is_400(query):
    """And so is never a yes."""
    server, session = served()
    assert server.ask(get(query)).status == 400
    assert session.shown == []
    assert "operation=cookie jid=- checker=- verdict=rejected reason=request_" in line_of(server)


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"PUT"])
def test_another_method_is_405(method):
    server, session = served()
    server.send(get(NAMED, method=method))
    reply = server.answer(head=method == b"HEAD")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET")
    assert session.shown == []


# --- what is shown, and faults --------------------------------------------------------------------


def test_the_session_is_shown_all_of_the_request_and_where_it_comes_from():
    server, session = served()
    server.ask(get(NAMED, SECRET + COOKIE + b"X-Other: 1\r\nx-other: 2\r\n"))
    (shown,) = session.shown
    assert list(shown.cookies) == [b"sessionid=9f3c-secret-of-alice"]
    assert list(shown.fields(b"x-other")) == [b"1", b"2"]
    assert set(shown.names) == {b"host", b"authorization", b"cookie", b"x-other"}
    assert shown.address == "127.0.0.1"


@both
@pytest.mark.parametrize(
    "session",
    [
        ScriptedSession(RuntimeError("9f3c-secret-of-alice")),
        ScriptedSession(trouble=RuntimeError("9f3c-secret-of-alice")),
    ],
)
def test_a_fault_of_ours_is_no_yes_and_logged_without_a_secret(query, session, events):
    server, _ = served(session)
    reply = server.ask(get(query))
    assert (reply.status, reply.body) == ((503, b"unavailable") if query == NAMED else (200, b"@"))
    assert line_of(server) == line("-", "unavailable", "internal_error")
    (failure,) = [event for event in events if "log_failure" in event]
    lines = []
    EventLog(LogSettings(), lines.append)(failure)
    no_secret_in(lines, server.lines)


def test_a_fault_in_answering_is_logged(events, monkeypatch):
    server, _ = served()
    answer = server.channel.answer

    def broken(octets, *, persistent):
        answer(octets, persistent=persistent)
        raise RuntimeError(COOKIE)

    monkeypatch.setattr(server.channel, "answer", broken)
    assert server.ask(get(NAMED)).body == b"alice"
    assert [event["log_format"] for event in events if "log_failure" in event] == [
        "an HTTP call failed"
    ]


def test_a_caller_who_left_is_not_answered():
    waiting = Deferred()
    server, _ = served(ScriptedSession(waiting))
    server.send(get(UNNAMED))
    server.leave()
    waiting.callback("alice")
    assert server.answers() == []
    assert "reason=session_valid" in line_of(server)


def test_in_json_the_line_has_the_same_parts():
    server, _ = served()
    server.house.authenticator.logins._login_log._json = True
    server.ask(get(NAMED, SECRET + COOKIE + b"X-Forwarded-For: 192.0.2.9\r\n"))
    told = json.loads(server.lines[0])
    assert (told["checker"], told["jid"]) == ("site:www", "alice@example.org")
    assert (told["address"], told["caller"]) == ("192.0.2.9", "prosody")
