"""ejabberd's verbs, and the connectors' socket."""

from __future__ import annotations

import os
import pwd
import socket

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from authbridge import model
from authbridge.frontends import extauth as front
from authbridge.frontends.extauth import (
    MOST_UNANSWERED,
    ConnectorFactory,
    ExtauthFrontEnd,
    ExtauthSettings,
)
from authbridge.model import Reason, Verdict
from authbridge.settings import Mistakes, Table
from authbridge.wire import extauth
from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.doubles import House, ScriptedChecker, ScriptedRegistry, silent_checker, silent_registry

ME = pwd.getpwuid(os.geteuid()).pw_name
DOWN = model.unavailable(Reason.SOURCE_UNREADABLE)


MINE = frozenset({os.geteuid()})


def settings(uids=MINE, deadline=8.0):
    return ExtauthSettings(("x",), frozenset(uids), deadline, ERROR, TRUE)


def ask(checker, frame, house=None):
    answers = []
    house = house or House(checker)
    ExtauthFrontEnd(house.authenticator, settings()).ask(frame, answers.append)
    return answers


@pytest.mark.parametrize(
    ("outcome", "auth", "isuser"),
    [
        (model.PASSWORD_MATCHES, TRUE, TRUE),
        (model.PASSWORD_MISMATCH, FALSE, FALSE),
        (model.USER_UNKNOWN, FALSE, FALSE),
        (DOWN, ERROR, TRUE),
    ],
)
def test_each_verdict_has_its_answer(outcome, auth, isuser):
    assert ask(ScriptedChecker(outcome), b"auth:alice:example.org:wonder:land") == [auth]
    assert ask(ScriptedChecker(outcome), b"isuser:alice:example.org") == [isuser]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b"setpass:alice:example.org:x", ERROR),
        (b"setpass:alice:elsewhere.test:x", ERROR),
        (b"setpass", FALSE),
        (b"setpass:alice", ERROR),
        (b"tryregister:alice:example.org:x", FALSE),
        (b"removeuser:alice:example.org", FALSE),
        (b"removeuser3:alice:example.org:x", FALSE),
        (b"certauth:alice:example.org:x", FALSE),
        (b"nonsense:alice:example.org:x", FALSE),
        (b"auth:alice", FALSE),
        (b"auth:alice:elsewhere.test:wonderland", FALSE),
        (b"isuser:alice:elsewhere.test", FALSE),
        (b"", FALSE),
    ],
)
def test_what_is_not_done_is_refused_and_logged(frame, answer):
    house = House(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    assert ask(checker, frame, house) == [answer]
    assert checker.asked == []
    assert len(house.lines) == 1
    assert "verdict=rejected" in house.lines[0]


@pytest.mark.parametrize(
    ("outcome", "setpass", "tryregister"),
    [
        (model.PASSWORD_CHANGED, TRUE, TRUE),
        (model.rejected(Reason.PASSWORD_UNACCEPTABLE), ERROR, FALSE),
        (model.rejected(Reason.USER_EXISTS), ERROR, FALSE),
        (model.USER_UNKNOWN, ERROR, FALSE),
        (model.Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED), ERROR, FALSE),
        (DOWN, ERROR, ERROR),
    ],
)
def test_a_change_that_is_not_made_is_never_reported_as_made(outcome, setpass, tryregister):
    """ejabberd takes a false to setpass for done."""
    registry = ScriptedRegistry(outcome)
    assert ask(registry, b"setpass:alice:example.org:new:pass") == [setpass]
    assert ask(registry, b"tryregister:alice:example.org:new:pass") == [tryregister]
    assert registry.asked == [
        ("set_password", "alice@example.org", b"new:pass"),
        ("user_exists", "alice@example.org", None),
        ("register", "alice@example.org", b"new:pass"),
    ]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [(b"setpass:a:example.org:x", ERROR), (b"tryregister:a:example.org:x", ERROR)],
)
def test_a_change_that_nobody_answers_is_refused_in_time(frame, answer):
    house = House(silent_registry())
    answers = ask(None, frame, house)
    house.clock.advance(7.4)
    assert answers == []
    house.clock.advance(0.2)
    assert answers == [answer]
    assert "verdict=unavailable reason=deadline_passed" in house.lines[0]


def test_a_user_is_not_removed_and_no_certificate_judged():
    registry = ScriptedRegistry(model.PASSWORD_CHANGED, model.USER_EXISTS)
    for frame in (
        b"removeuser:a:example.org",
        b"removeuser3:a:example.org:x",
        b"certauth:a:example.org:x",
    ):
        house = House(registry)
        assert ask(registry, frame, house) == [FALSE]
        assert "reason=not_supported" in house.lines[0]
    assert registry.asked == []


def test_the_password_reaches_the_checker_octet_by_octet():
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    ask(checker, b"auth:alice:example.org:a:b\n\xff\xfe:")
    assert checker.asked == [("check_password", "alice@example.org", b"a:b\n\xff\xfe:")]


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_that_cannot_be_written_is_logged_and_harms_nobody(events, late):
    def broken(_):
        raise RuntimeError("wonderland")

    waiting = Deferred()
    house = House(ScriptedChecker(waiting if late else model.PASSWORD_MATCHES))
    front_end = ExtauthFrontEnd(house.authenticator, settings())
    front_end.ask(b"auth:alice:example.org:x", broken)
    if late:
        waiting.callback(model.PASSWORD_MATCHES)
    (told,) = [event for event in events if "log_failure" in event]
    assert told["log_format"] == "an answer was not delivered"
    assert "verdict=accepted" in house.lines[0]
    answers = []
    front_end.ask(b"auth:bob:example.org:x", answers.append)
    assert answers == [TRUE]


def test_the_daemon_gives_up_before_the_connector_does():
    house = House(silent_checker())
    answers = ask(None, b"auth:alice:example.org:x", house)
    house.clock.advance(7.4)
    assert answers == []
    house.clock.advance(0.2)
    assert answers == [ERROR]


class UnixTransport(StringTransport):
    """A transport whose socket says who is at the other end."""

    def __init__(self):
        super().__init__()
        self.socket, self.other = socket.socketpair(socket.AF_UNIX)

    def close(self):
        self.socket.close()
        self.other.close()


@pytest.fixture
def transport():
    transport = UnixTransport()
    yield transport
    transport.close()


def line(checker, transport, **kwargs):
    house = House(checker)
    front_end = ExtauthFrontEnd(house.authenticator, settings(**kwargs))
    factory = ConnectorFactory(front_end, settings(**kwargs))
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(transport)
    return protocol


def test_a_connector_of_an_admitted_user_gets_the_terms_and_its_answers(transport):
    protocol = line(ScriptedChecker(model.PASSWORD_MATCHES), transport)
    hello = bytearray(transport.value())
    terms = extauth.take_hello(hello)
    assert (terms.admitted, terms.deadline, terms.auth, terms.isuser) == (True, 8.0, ERROR, TRUE)
    transport.clear()
    protocol.dataReceived(
        extauth.question(7, b"auth:alice:example.org:x") + extauth.question(9, b"setpass:a:b:c")
    )
    assert extauth.take_answers(bytearray(transport.value())) == [(7, TRUE), (9, ERROR)]


def test_another_user_is_told_so_and_not_served(transport):
    events = []
    globalLogPublisher.addObserver(events.append)
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    protocol = line(checker, transport, uids=frozenset({os.geteuid() + 1}))
    globalLogPublisher.removeObserver(events.append)
    assert not extauth.take_hello(bytearray(transport.value())).admitted
    assert transport.disconnecting
    protocol.dataReceived(extauth.question(7, b"auth:alice:example.org:x"))
    assert checker.asked == []
    assert any(event.get("uid") == os.geteuid() for event in events)


def test_answers_come_as_they_are_ready_with_their_ids(transport):
    waiting: Deferred[model.Outcome] = Deferred()
    protocol = line(ScriptedChecker(waiting), transport)
    transport.clear()
    protocol.dataReceived(extauth.question(1, b"auth:alice:example.org:x"))
    protocol.dataReceived(extauth.question(2, b"tryregister:alice:example.org:x"))
    assert extauth.take_answers(bytearray(transport.value())) == [(2, FALSE)]
    transport.clear()
    waiting.callback(model.PASSWORD_MATCHES)
    assert extauth.take_answers(bytearray(transport.value())) == [(1, TRUE)]


def test_an_answer_for_a_connector_that_left_goes_nowhere(transport):
    waiting: Deferred[model.Outcome] = Deferred()
    protocol = line(ScriptedChecker(waiting), transport)
    protocol.dataReceived(extauth.question(1, b"auth:alice:example.org:x"))
    transport.clear()
    protocol.connectionLost()
    waiting.callback(model.PASSWORD_MATCHES)
    assert transport.value() == b""


def test_a_connector_that_asks_without_end_is_not_read_until_it_is_answered(transport):
    waiting: Deferred[model.Outcome] = Deferred()
    protocol = line(ScriptedChecker(waiting), transport)
    question = extauth.question(1, b"auth:alice:example.org:x")
    protocol.dataReceived(question * (MOST_UNANSWERED - 1))
    assert transport.producerState == "producing"
    protocol.dataReceived(question)
    assert transport.producerState == "paused"
    waiting.callback(model.PASSWORD_MATCHES)
    assert transport.producerState == "producing"


class Reactor:
    def addReader(self, reader):
        pass

    removeReader = addWriter = removeWriter = addReader


def test_a_real_connection_is_read_without_looking_for_descriptors():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.setblocking(False)
    transport = Connection(ours, None, Reactor())
    transport.connected = True
    protocol = line(ScriptedChecker(model.PASSWORD_MATCHES), transport)
    hello = bytearray(theirs.recv(1000))
    assert extauth.take_hello(hello).admitted
    assert transport.doRead() is None
    theirs.sendall(extauth.question(7, b"auth:alice:example.org:x"))
    assert transport.doRead() is None
    assert extauth.take_answers(bytearray(theirs.recv(1000))) == [(7, TRUE)]
    theirs.close()
    assert transport.doRead() is CONNECTION_DONE
    ours.close()
    assert protocol._transport.doRead() is CONNECTION_LOST


def test_the_peer_is_who_the_kernel_says(transport):
    assert front.peer(transport.socket) == (os.getpid(), os.geteuid())


def read(data, *, serves=True):
    mistakes = Mistakes()
    table = Table(data, "extauth", mistakes, None)
    return ExtauthSettings.read(table, 8.0, serves=serves), list(mistakes)


def test_a_deadline_that_ejabberd_would_not_wait_for_is_a_mistake():
    _, mistakes = read({"users": [ME], "deadline": "26s"})
    assert mistakes == ["extauth.deadline: should be between 0.1 and 25 seconds"]


def test_users_are_names_or_uids():
    found, mistakes = read({"users": [ME, "4711"]})
    assert mistakes == []
    assert found.uids == {os.geteuid(), 4711}


def test_a_user_this_machine_does_not_know_is_a_mistake_where_there_is_a_listener():
    _, mistakes = read({"users": [ME + "x"]})
    assert f'there is no local user "{ME}x"; did you mean "{ME}"?' in mistakes[0]
    assert read({"users": [ME + "x"]}, serves=False)[1] == []


def test_the_outage_answers_are_settings_and_never_let_anybody_in():
    found, mistakes = read({"users": [ME]})
    assert (found.outage_auth, found.outage_isuser) == (ERROR, TRUE)
    found, mistakes = read({"users": [ME], "on_unavailable": {"auth": "false", "isuser": "false"}})
    assert (found.outage_auth, found.outage_isuser, mistakes) == (FALSE, FALSE, [])
    _, mistakes = read({"users": [ME], "on_unavailable": {"auth": "true"}})
    assert mistakes[0].startswith('extauth.on_unavailable.auth: "true" is not known')
