"""`POST /prebind` of `listen.http`: a session for a page that is about to be rendered."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.log import EventLog, LogSettings
from authbridge.model import JID, Reason
from authbridge.outbound.bosh import BoshRefused, BoshUnreachable
from authbridge.prebind import Prebind
from authbridge.token_office.grants import Refusal
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import SECRET, Server
from tests.frontends.offices import ALICE, CREDENTIALS, SITE, ScriptedOffice, ask
from tests.frontends.pages import ScriptedBosh, ScriptedBoshSession, no_secret_in
from tests.token_office.offices import Premises

CLIENT = replace(SITE, may=frozenset({"prebind"}))
CALL = ("POST", "/prebind", ALICE)


class Backend(Premises):
    """A website's back end at a front end with an office and an XMPP server."""

    def __init__(self, bosh=None, *, client=CLIENT, office=None, domains=("example.org",)):
        super().__init__()
        self.bosh = bosh or ScriptedBosh()
        office = office or self.office
        servers = dict.fromkeys(domains, self.bosh)
        prebind = Prebind(office, servers, self.clock.seconds) if domains else None
        self.server = Server(
            ScriptedChecker(model.PASSWORD_MATCHES),
            clients=(client,),
            office=office,
            prebind=prebind,
        )

    def ask(self, *arguments, **more):
        """What is answered to this call."""
        return self.server.ask(ask(*arguments, **more))

    @property
    def line(self):
        """The one line of the login."""
        (line,) = self.server.lines
        return re.sub(r"^\S+ login id=boot-\d+ | ms=[0-9.]+", "", line)


def line(jid, verdict, reason):
    return (
        f"front_end=http operation=prebind jid={jid} checker=- "
        f"verdict={verdict} reason={reason} caller=website"
    )


def told(reply, status):
    """The code of a refusal."""
    found = json.loads(reply.body)
    assert (reply.status, found["status"]) == (status, status)
    assert reply.headers["Content-Type"] == "application/problem+json"
    return found["reason"]


# --- what is done ---------------------------------------------------------------------------------


def test_a_user_is_logged_in_for_a_page():
    backend = Backend()
    reply = backend.ask(*CALL)
    assert (reply.status, reply.headers) == (
        200,
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(reply.body)),
            "Cache-Control": "no-store",
            "X-Request-Id": reply.id,
        },
    )
    assert json.loads(reply.body) == {
        "jid": "alice@example.org/web-1",
        "sid": "sid-of-a-session",
        "rid": 4503599627370495,
    }
    ((jid, _, resource),) = backend.bosh.asked
    assert (jid, resource) == (JID("alice", "example.org"), None)
    assert backend.bosh.answer.ended == 0
    assert backend.line == line("alice@example.org", "accepted", "prebind_done")
    (token,) = backend.lines
    assert "operation=issue_token verdict=accepted" in token
    assert " ttl=30 uses=1" in token
    assert all(f" id={reply.id} " in one for one in (*backend.lines, *backend.server.lines))
    no_secret_in(backend.lines, backend.server.lines)


def test_the_resource_is_the_one_that_is_asked_for():
    backend = Backend()
    assert backend.ask("POST", "/prebind", ALICE | {"resource": "shop"}).status == 200
    assert backend.bosh.asked[0][2] == "shop"


def test_who_may_only_have_short_tokens_gets_one_of_those():
    backend = Backend(client=replace(CLIENT, max_lifetime=5.0))
    assert backend.ask(*CALL).status == 200
    assert " ttl=5 uses=1" in backend.lines[0]


# --- what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        b"",
        b"[]",
        {"resource": "x"},
        ALICE | {"x": 1},
        ALICE | {"ttl": 60},
        ALICE | {"resource": ""},
        ALICE | {"resource": None},
        ALICE | {"resource": "x" * 1024},
        ALICE | {"resource": "a\nb"},
        b'{"jid":"alice@example.org","jid":"bob@example.org"}',
    ],
)
def test_what_breaks_the_rules_is_400_and_asks_nobody(body):
    backend = Backend()
    reply = backend.ask("POST", "/prebind", body)
    assert told(reply, 400) == "request_malformed"
    assert (backend.lines, backend.bosh.asked) == ([], [])
    assert backend.line == line("-", "rejected", "request_malformed")


@pytest.mark.parametrize("jid", ["alice", "a b@example.org", "@example.org", "alice@a..b"])
def test_who_is_no_user_is_400(jid):
    backend = Backend()
    assert told(backend.ask("POST", "/prebind", {"jid": jid}), 400) == "user_malformed"
    assert backend.bosh.asked == []
    assert backend.line == line("-", "rejected", "user_malformed")


def test_what_is_in_the_path_is_400():
    assert told(Backend().ask("POST", "/prebind?jid=alice@example.org", ALICE), 400)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_another_method_is_405(method):
    backend = Backend()
    backend.server.send(ask(method, "/prebind"))
    reply = backend.server.answer(head=method == "HEAD")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST")
    assert backend.lines == []


@pytest.mark.parametrize("content", [b"text/plain", b"application/x-www-form-urlencoded"])
def test_another_type_of_body_is_415(content):
    """A page of somebody else's can post these."""
    backend = Backend()
    assert told(backend.ask(*CALL, content=content), 415) == "request_malformed"
    assert backend.lines == []


@pytest.mark.parametrize("headers", [b"", SECRET[:-6] + b"\r\n"])
def test_who_is_not_known_is_401(headers):
    backend = Backend()
    reply = backend.ask(*CALL, headers=headers)
    assert told(reply, 401) == "caller_unknown"
    assert "WWW-Authenticate" in reply.headers
    assert (backend.lines, backend.bosh.asked) == ([], [])


@pytest.mark.parametrize("may", [set(), {"tokens", "introspect", "revoke", "json"}])
def test_who_may_not_is_403(may):
    backend = Backend(client=replace(CLIENT, may=frozenset(may)))
    reply = backend.ask(*CALL)
    assert told(reply, 403) == "caller_not_allowed"
    assert json.loads(reply.body)["detail"] == 'the `may` of this client lacks "prebind"'
    assert (backend.lines, backend.bosh.asked) == ([], [])


def test_nor_is_anybody_who_is_anonymous():
    backend = Backend()
    server = Server(
        ScriptedChecker(model.PASSWORD_MATCHES),
        clients=(CLIENT,),
        office=backend.office,
        prebind=Prebind(backend.office, {}, backend.clock.seconds),
        anonymous=True,
    )
    assert server.ask(ask(*CALL, headers=b"")).status == 401


@pytest.mark.parametrize(
    ("jid", "reason"),
    [("admin@example.org", "token_never"), ("alice@example.net", "caller_not_allowed")],
)
def test_whom_it_may_not_ask_about_is_403(jid, reason):
    backend = Backend(domains=("example.org", "example.net"))
    assert told(backend.ask("POST", "/prebind", {"jid": jid}), 403) == reason
    assert backend.bosh.asked == []
    assert f"verdict=rejected reason={reason}" in backend.line


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.TOKENS_TOO_MANY, 409),
        (Reason.RATE_EXCEEDED, 429),
        (Reason.TOKEN_NOT_ACCEPTED, 501),
        (Reason.DOMAIN_UNKNOWN, 403),
    ],
)
def test_what_the_office_refuses_has_its_status(reason, status):
    backend = Backend(office=ScriptedOffice(Refusal(reason, "that is why", 2.5)))
    reply = backend.ask(*CALL)
    assert told(reply, status) == reason.value
    assert reply.headers["Retry-After"] == "3"
    assert backend.line == line("alice@example.org", "rejected", reason.value)


def test_who_asks_too_often_is_told_when_to_come_again():
    backend = Backend()
    for _ in range(3):
        assert backend.ask(*CALL).status == 200
    reply = backend.ask(*CALL)
    assert (told(reply, 429), reply.headers["Retry-After"]) == ("rate_exceeded", "20")
    assert len(backend.bosh.asked) == 3


@pytest.mark.parametrize("domains", [("example.net",), ()])
def test_a_domain_without_a_server_is_501_and_has_its_line(domains):
    backend = Backend(domains=domains)
    assert told(backend.ask(*CALL), 501) == "not_supported"
    assert backend.lines == []
    assert "verdict=rejected reason=not_supported caller=website" in backend.line


def test_where_nothing_keeps_tokens_it_is_501():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(CLIENT,), office=None)
    assert told(server.ask(ask(*CALL)), 501) == "not_supported"


# --- what cannot be told --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (BoshUnreachable("could not be reached"), "bosh_unreachable"),
        (BoshRefused("not-authorized"), "bosh_refused"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_server_that_gives_no_session_is_503_with_a_time_to_come_again(trouble, reason, late):
    waiting = Deferred()
    backend = Backend(ScriptedBosh(waiting if late else trouble))
    backend.server.send(ask(*CALL))
    if late:
        waiting.errback(trouble)
    reply = backend.server.answer()
    assert (told(reply, 503), reply.headers["Retry-After"]) == (reason, "5")
    assert backend.line == line("alice@example.org", "unavailable", reason)
    assert backend.server.line.open


def test_a_state_that_is_away_is_503():
    backend = Backend()
    backend.ledger.down = "was lost"
    assert told(backend.ask(*CALL), 503) == "state_unavailable"
    assert backend.bosh.asked == []
    assert "verdict=unavailable reason=state_unavailable" in backend.line


@pytest.mark.parametrize(("own", "seconds"), [(2.0, 2.0), (None, 8.0)])
def test_at_the_deadline_the_login_is_given_up(own, seconds):
    cancelled = []
    waiting = Deferred(cancelled.append)
    backend = Backend(ScriptedBosh(waiting), client=replace(CLIENT, deadline=own))
    backend.server.send(ask(*CALL))
    backend.server.clock.advance(seconds - 0.25)
    assert (backend.server.answers(), cancelled, backend.server.lines) == ([], [], [])
    backend.server.clock.advance(0.25)
    assert told(backend.server.answer(), 503) == "deadline_passed"
    assert (cancelled, backend.bosh.cancelled) == ([waiting], 1)
    assert backend.line == line("alice@example.org", "unavailable", "deadline_passed")


def test_a_session_that_comes_of_it_all_the_same_is_ended(events):
    backend = Backend(ScriptedBosh(Deferred()))
    backend.bosh.late = ScriptedBoshSession()
    backend.server.send(ask(*CALL))
    backend.server.clock.advance(2.0)
    assert told(backend.server.answer(), 503) == "deadline_passed"
    assert backend.bosh.late.ended == 1
    assert "verdict=rejected reason=prebind_abandoned" in backend.line
    assert [event for event in events if "log_failure" in event] == []


@pytest.mark.parametrize("half", [False, True])
def test_a_session_of_a_caller_who_is_gone_is_ended(half):
    waiting = Deferred()
    backend = Backend(ScriptedBosh(waiting))
    backend.server.send(ask(*CALL))
    if half:
        backend.server.channel.readConnectionLost()
    else:
        backend.server.leave()
    session = ScriptedBoshSession()
    waiting.callback(session)
    assert session.ended == 1
    assert backend.line == line("alice@example.org", "rejected", "prebind_abandoned")
    answers = backend.server.answers()
    assert [b"sid-of-a-session" in reply.body for reply in answers] == [False] * half


def test_at_a_stop_the_login_is_given_up():
    backend = Backend(ScriptedBosh(Deferred()))
    backend.server.send(ask(*CALL))
    stopped = []
    backend.server.front_end.idle().addCallback(stopped.append)
    assert stopped == []
    backend.server.front_end.end()
    assert told(backend.server.answer(), 503) == "stopping"
    assert (backend.bosh.cancelled, stopped) == (1, [None])
    assert "jid=alice@example.org checker=- verdict=unavailable" in backend.line


def test_a_fault_of_ours_is_503_and_logged_without_a_secret(events):
    backend = Backend(ScriptedBosh(ValueError("sid-of-a-session")))
    reply = backend.ask(*CALL)
    assert told(reply, 503) == "internal_error"
    assert backend.line == line("alice@example.org", "unavailable", "internal_error")
    (failure,) = [event for event in events if "log_failure" in event]
    lines = []
    EventLog(LogSettings(), lines.append)(failure)
    no_secret_in(lines, backend.server.lines, backend.lines, [reply.body])


def test_nothing_of_a_request_is_repeated():
    for body in (b"zqcanaryqz", b'{"jid":["zqcanaryqz"]}', b'{"zqcanaryqz":1}'):
        backend = Backend()
        reply = backend.ask("POST", "/prebind", body, CREDENTIALS, b"application/json")
        assert reply.status == 400
        assert b"zqcanaryqz" not in reply.body
        assert "zqcanaryqz" not in repr(backend.server.lines)
