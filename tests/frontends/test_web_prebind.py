"""`/prebind` of `listen.web`: sessions that are handed over, and those that nobody gets."""

from __future__ import annotations

import json
import re

import pytest
from twisted.internet.defer import Deferred

from authbridge.model import JID, Reason
from authbridge.outbound.bosh import BoshRefused, BoshUnreachable
from authbridge.stores.operations import Consume
from authbridge.tokens import temporary
from tests.frontends.pages import (
    COOKIE,
    DEADLINE,
    FROM_ORIGIN,
    Pages,
    ScriptedBosh,
    ScriptedBoshSession,
    ScriptedSession,
    no_secret_in,
)

ALICE = JID("alice", "example.org")


def line_of(pages):
    """The one line of a login."""
    (line,) = pages.login_lines
    return re.sub(r"^\S+ login id=boot-\d+ | ms=[0-9.]+", "", line)


def line(jid, verdict, reason):
    return (
        f"front_end=web operation=prebind jid={jid} checker=- "
        f"verdict={verdict} reason={reason} caller=site:www"
    )


def told(reply, status):
    """The code of a refusal."""
    found = json.loads(reply.body)
    assert (reply.status, found["status"]) == (status, status)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    return found["reason"]


def test_a_page_gets_a_session_that_it_can_take_over():
    pages = Pages()
    reply = pages.ask("/prebind")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(reply.body) == {
        "jid": "alice@example.org/web-1",
        "sid": "sid-of-a-session",
        "rid": 4503599627370495,
    }
    assert reply.headers["Cache-Control"] == "no-store"
    assert pages.bosh.answer.ended == 0
    assert line_of(pages) == line("alice@example.org", "accepted", "prebind_done")
    assert all(f" id={reply.id} " in line for line in pages.lines)
    no_secret_in(pages.lines)


def test_the_login_is_by_a_token_of_its_own_and_with_any_resource():
    pages = Pages()
    pages.ask("/prebind")
    ((jid, password, resource),) = pages.bosh.asked
    assert (jid, resource) == (ALICE, None)
    use = Consume(temporary.digest(password.reveal()), str(ALICE))
    assert pages.ledger.store.run([use, use], pages.wall()) == [
        Reason.TOKEN_VALID,
        Reason.TOKEN_USED,
    ]
    (token,) = pages.token_lines
    assert "operation=issue_token verdict=accepted" in token
    assert "caller=site:www jid=alice@example.org" in token
    assert " ttl=30 uses=1" in token


def test_two_at_once_get_a_session_each():
    waiting = [Deferred(), Deferred()]
    pages = Pages()
    callers = []
    for one in waiting:
        pages.bosh.answer = one
        callers.append(pages.send("/prebind"))
    for number, one in reversed(list(enumerate(waiting))):
        one.callback(ScriptedBoshSession(sid=f"sid-{number}"))
    assert [json.loads(caller.answer().body)["sid"] for caller in callers] == ["sid-0", "sid-1"]
    passwords = {password.reveal() for _, password, _ in pages.bosh.asked}
    assert len(passwords) == 2


# --- what nobody gets -----------------------------------------------------------------------------


def leave(caller):
    caller.leave()


def close_half(caller):
    caller.channel.readConnectionLost()


@pytest.mark.parametrize("go", [leave, close_half])
def test_a_session_of_a_page_that_is_gone_is_ended(go):
    waiting = Deferred()
    pages = Pages(bosh=ScriptedBosh(waiting))
    caller = pages.send("/prebind")
    go(caller)
    session = ScriptedBoshSession()
    waiting.callback(session)
    assert session.ended == 1
    assert [reply.status for reply in caller.answers()] == [403] * (go is close_half)
    assert line_of(pages) == line("alice@example.org", "rejected", "prebind_abandoned")
    assert (pages.login_lines[0].count("sid-of"), caller.line.value()) == (0, b"")


@pytest.mark.parametrize("go", [leave, close_half])
def test_and_so_is_one_of_a_page_that_went_while_the_site_was_asked(go):
    waiting = Deferred()
    pages = Pages(ScriptedSession(waiting))
    caller = pages.send("/prebind")
    go(caller)
    waiting.callback("alice")
    assert pages.bosh.answer.ended == 1
    assert "reason=prebind_abandoned" in line_of(pages)


def test_at_the_deadline_the_login_is_given_up():
    cancelled = []
    waiting = Deferred(cancelled.append)
    pages = Pages(bosh=ScriptedBosh(waiting))
    caller = pages.send("/prebind")
    pages.clock.advance(DEADLINE - 0.25)
    assert (caller.answers(), cancelled) == ([], [])
    pages.clock.advance(0.25)
    reply = caller.answer()
    assert (told(reply, 503), reply.headers["Retry-After"]) == ("deadline_passed", "5")
    assert (cancelled, pages.bosh.cancelled) == ([waiting], 1)
    assert line_of(pages) == line("alice@example.org", "unavailable", "deadline_passed")
    assert caller.line.open


def test_a_session_that_comes_of_it_all_the_same_is_ended(events):
    pages = Pages(bosh=ScriptedBosh(Deferred()))
    pages.bosh.late = ScriptedBoshSession()
    caller = pages.send("/prebind")
    pages.clock.advance(DEADLINE)
    assert told(caller.answer(), 503) == "deadline_passed"
    assert (pages.bosh.cancelled, pages.bosh.late.ended) == (1, 1)
    assert len(pages.login_lines) == 1
    assert [event for event in events if "log_failure" in event] == []


def test_at_a_stop_the_login_is_given_up_too():
    pages = Pages(bosh=ScriptedBosh(Deferred()))
    caller = pages.send("/prebind")
    pages.logins.end()
    assert told(caller.answer(), 503) == "stopping"
    assert pages.bosh.cancelled == 1


# --- what there is none of ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (BoshUnreachable("could not be reached"), "bosh_unreachable"),
        (BoshRefused("not-authorized"), "bosh_refused"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_server_that_gives_none_is_503_with_a_time_to_come_again(trouble, reason, late, events):
    waiting = Deferred()
    pages = Pages(bosh=ScriptedBosh(waiting if late else trouble))
    caller = pages.send("/prebind", COOKIE + FROM_ORIGIN)
    if late:
        waiting.errback(trouble)
    reply = caller.answer()
    assert (told(reply, 503), reply.headers["Retry-After"]) == (reason, "5")
    assert reply.headers["Access-Control-Allow-Origin"] == "https://pages.example.org"
    assert line_of(pages) == line("alice@example.org", "unavailable", reason)
    (event,) = events
    assert event["name"] == f"prebind at {pages.bosh.url}"
    assert event["words"] == str(trouble)


@pytest.mark.parametrize("trouble", [BoshUnreachable("down"), BoshRefused("not-authorized")])
def test_a_login_that_fails_is_one_of_a_users_rate(trouble):
    """Whom the server refuses may ask for ever, and each time costs a token and a login."""
    pages = Pages(bosh=ScriptedBosh(trouble))
    assert [pages.ask("/prebind").status for _ in range(5)] == [503] * 3 + [429] * 2


def test_a_domain_without_a_server_has_none_to_be_logged_in_to():
    pages = Pages(prebind=False)
    assert told(pages.ask("/prebind"), 404) == "not_supported"
    assert line_of(pages) == line("alice@example.org", "rejected", "not_supported")
    assert pages.ledger.asked == []
    assert pages.ask("/credentials").status == 200


def test_nor_where_only_another_domain_has_one():
    pages = Pages()
    pages.prebind._servers.clear()
    assert told(pages.ask("/prebind"), 404) == "not_supported"
    assert line_of(pages) == line("alice@example.org", "rejected", "not_supported")
    assert pages.ledger.asked == []


def test_a_fault_of_the_login_is_503_and_logged_without_a_secret(events):
    pages = Pages(bosh=ScriptedBosh(ValueError("sid-of-a-session")))
    reply = pages.ask("/prebind")
    assert told(reply, 503) == "internal_error"
    assert line_of(pages) == line("alice@example.org", "unavailable", "internal_error")
    (failure,) = [event for event in events if "log_failure" in event]
    assert failure["log_format"] == "a login failed"
    no_secret_in(pages.lines, [reply.body])
