"""A listener is closed: whoever has been heard is answered, and nothing more is taken. What was not
taken, a proxy may send to another daemon."""

import json

import pytest
from twisted.internet.defer import CancelledError, Deferred

from authbridge import model
from authbridge.stores.ledger import StoreUnavailable
from tests.doubles import ScriptedChecker

from .http_client import Server, get, waiting_server
from .offices import SITE, ask

WHOLE = get()
EXISTS = get("/auth/user_exists")


def test_a_call_under_way_is_answered_and_is_the_last_one():
    server, answer = waiting_server()
    server.send(WHOLE)
    server.factory.stopFactory()
    assert server.line.open
    answer.callback(model.PASSWORD_MATCHES)
    reply = server.answer()
    assert (reply.body, reply.headers["Connection"]) == (b"true", "close")
    assert not server.line.open


def test_what_was_sent_behind_the_last_call_is_not_taken():
    server, answer = waiting_server()
    server.send(WHOLE + EXISTS)
    server.factory.stopFactory()
    server.send(EXISTS)
    answer.callback(model.PASSWORD_MATCHES)
    server.clock.advance(0)
    assert server.answer().body == b"true"
    server.send(EXISTS)
    assert server.answers() == []
    assert not any("user_exists" in line for line in server.lines)


def test_a_connection_that_nobody_waits_on_ends():
    server, _ = waiting_server()
    assert server.ask(EXISTS).body == b"true"
    other, begun, gone = server.caller(), server.caller(), server.caller()
    begun.send(EXISTS[:20])
    gone.leave()
    server.factory.stopFactory()
    assert not any(caller.line.open for caller in (server, other, begun))
    begun.send(EXISTS[20:])
    assert begun.answers() == []


# --- calls about tokens ---------------------------------------------------------------------------


LIST = ask("GET", "/tokens?jid=alice%40example.org")
INTROSPECT = ask("POST", "/introspect", {"token": "abtt1_" + "A" * 42 + "E"})


class SlowOffice:
    """Answers each call when it is told to; `cancelled` are the numbers of those that nobody waits
    for any more."""

    def __init__(self):
        self.waiting = []
        self.cancelled = []
        self.lookup = self

    async def list(self, *_):
        number = len(self.waiting)
        self.waiting.append(Deferred(lambda _: self.cancelled.append(number)))
        return await self.waiting[number]

    async def introspect(self, *_):
        return await self.list()


@pytest.fixture
def office():
    return SlowOffice()


@pytest.fixture
def server(office):
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    return Server(checker, clients=(SITE,), office=office)


def idle_of(server):
    """What is noted when nothing is under way."""
    noted = []
    server.front_end.idle().addCallback(noted.append)
    return noted


def failures(events):
    return [event for event in events if "log_failure" in event]


def test_a_front_end_without_calls_about_tokens_is_idle(server, office):
    assert idle_of(server) == [None]
    server.send(ask("GET", "/tokens?jid=alice%40example.org", headers=b""))
    assert server.answer().status == 401
    assert idle_of(server) == [None]


def test_it_is_idle_when_the_last_call_is_answered(server, office):
    other = server.caller()
    server.send(LIST)
    other.send(LIST)
    first, second = idle_of(server), idle_of(server)
    office.waiting[1].callback(())
    assert other.answer().status == 200
    assert (first, second) == ([], [])
    office.waiting[0].errback(StoreUnavailable("was lost"))
    assert server.answer().status == 503
    assert (first, second) == ([None], [None])
    assert idle_of(server) == [None]


def test_it_is_idle_after_a_fault_too(server, office, events):
    server.send(LIST)
    idle = idle_of(server)
    office.waiting[0].errback(RuntimeError("no"))
    assert (server.answer().status, idle) == (503, [None])
    assert len(failures(events)) == 1


def test_calls_that_are_answered_at_once_do_not_make_it_idle(server, office):
    server.send(LIST)
    idle = idle_of(server)
    assert server.caller().ask(ask("GET", "/tokens", headers=b"")).status == 401
    assert idle == []
    server.clock.advance(SITE.deadline)
    assert idle == [None]


def test_at_the_end_each_call_is_answered_and_nobody_waits_for_it(server, office, events):
    other = server.caller()
    server.send(LIST)
    other.send(INTROSPECT)
    idle = idle_of(server)
    server.factory.stopFactory()
    server.front_end.end()
    reply, standard = server.answer(), other.answer()
    assert (reply.status, json.loads(reply.body)["reason"]) == (503, "stopping")
    assert (standard.status, json.loads(standard.body)["error"]) == (503, "temporarily_unavailable")
    assert {each.headers["Retry-After"] for each in (reply, standard)} == {"5"}
    assert office.cancelled == [0, 1]
    assert idle == [None]
    assert failures(events) == []
    server.clock.advance(SITE.deadline)
    assert server.answers() == other.answers() == []
    assert server.lines == []


def test_an_end_without_calls_under_way_is_nothing(server, office):
    server.send(LIST)
    office.waiting[0].callback(())
    assert server.answer().status == 200
    server.front_end.end()
    assert server.answers() == []
    assert office.cancelled == []


def test_who_waits_no_longer_cancels_no_call(server, office):
    server.send(LIST)
    given_up = server.front_end.idle()
    ends = []
    given_up.addErrback(lambda failure: ends.append(failure.type))
    idle = idle_of(server)
    given_up.cancel()
    assert (ends, idle, office.cancelled) == ([CancelledError], [], [])
    office.waiting[0].callback(())
    assert server.answer().status == 200
    assert (ends, idle) == ([CancelledError], [None])
