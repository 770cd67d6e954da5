"""The connections of ejabberd's connectors: who is served, and what is written to whom."""

from __future__ import annotations

import os
import socket

from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection

from authbridge import model
from authbridge.frontends.extauth import Strangers
from authbridge.rooms import QUIET
from authbridge.wire import extauth
from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.doubles import ScriptedChecker
from tests.frontends.connectors import ME, answers, greeted

# --- who is served --------------------------------------------------------------------------------


def test_a_connector_of_an_admitted_user_gets_the_terms_and_its_answers(listen):
    connector = listen(ScriptedChecker(model.PASSWORD_MATCHES)).connect()
    hello = bytearray(connector.transport.value())
    terms = extauth.take_hello(hello)
    assert (terms.admitted, terms.deadline, terms.auth, terms.isuser) == (True, 8.0, ERROR, TRUE)
    connector.transport.clear()
    connector.dataReceived(
        extauth.question(7, b"auth:alice:example.org:x") + extauth.question(9, b"setpass:a:b:c")
    )
    assert answers(connector) == [(7, TRUE), (9, ERROR)]


def test_another_user_is_told_so_and_not_served(listen):
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    connector = listen(checker, uids=(ME + 1,)).connect()
    assert not greeted(connector)
    assert connector.transport.disconnecting
    connector.dataReceived(extauth.question(7, b"auth:alice:example.org:x"))
    assert checker.asked == []
    assert answers(connector) == []


def strangers(events):
    return [
        (event["uid"], event["pid"])
        for event in events
        if "is not among" in event.get("log_format", "")
    ]


def test_a_stranger_is_told_of_once_a_minute_however_often_it_comes(listen, events):
    listener = listen(ScriptedChecker(model.PASSWORD_MATCHES), uids=(ME + 1,))
    for _ in range(5):
        listener.connect()
        listener.clock.advance(QUIET / 5 - 0.01)
    assert strangers(events) == [(ME, os.getpid())]
    listener.clock.advance(0.05)
    for _ in range(2):
        listener.connect()
    assert strangers(events) == [(ME, os.getpid())] * 2


def test_strangers_of_long_ago_are_forgotten(events):
    """Whoever has a range of uids could come as each of them."""
    clock = Clock()
    strangers_told = Strangers(clock)
    for uid in range(100):
        strangers_told.tell(uid, 1)
        clock.advance(QUIET / 10)
        assert len(strangers_told._told) <= 10
    assert strangers(events) == [(uid, 1) for uid in range(100)]


def test_each_stranger_is_told_of(events, monkeypatch, listen):
    uids = iter([ME + 1, ME + 2, ME + 1, ME + 2])
    monkeypatch.setattr("authbridge.frontends.extauth.credentials", lambda sock: (1, next(uids)))
    listener = listen(ScriptedChecker(model.PASSWORD_MATCHES))
    for _ in range(4):
        listener.connect()
    assert strangers(events) == [(ME + 1, 1), (ME + 2, 1)]


def test_a_connector_that_there_is_no_room_for_is_cut_off(listen, events):
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    listener = listen(checker, most=2)
    first, second, third = (listener.connect() for _ in range(3))
    assert third.transport.disconnecting
    assert third.transport.value() == b""
    third.dataReceived(extauth.question(7, b"auth:alice:example.org:x"))
    third.connectionLost()
    assert checker.asked == []
    listener.clock.advance(1_000_000)  # a connector may be idle for days
    assert not first.transport.disconnecting
    assert not second.transport.disconnecting
    second.connectionLost()
    assert greeted(listener.connect())
    assert any("is full" in event.get("log_format", "") for event in events)


def test_a_stranger_takes_nobodys_place(listen, monkeypatch):
    listener = listen(ScriptedChecker(model.PASSWORD_MATCHES), most=1)
    credentials = "authbridge.frontends.extauth.credentials"
    with monkeypatch.context() as patch:
        patch.setattr(credentials, lambda sock: (1, ME + 1))
        for _ in range(3):
            assert not greeted(listener.connect())
    assert greeted(listener.connect())


def test_nothing_is_said_to_a_connector_that_is_overdue(listen):
    """Nobody expects anything of one."""
    connector = listen(ScriptedChecker(model.PASSWORD_MATCHES)).connect()
    connector.transport.clear()
    connector.overdue()
    assert connector.transport.value() == b""
    assert not connector.transport.disconnecting


# --- questions and answers ------------------------------------------------------------------------


def test_answers_come_as_they_are_ready_with_their_ids(listen):
    waiting: Deferred[model.Outcome] = Deferred()
    connector = listen(ScriptedChecker(waiting)).connect()
    connector.transport.clear()
    connector.dataReceived(extauth.question(1, b"auth:alice:example.org:x"))
    connector.dataReceived(extauth.question(2, b"tryregister:alice:example.org:x"))
    assert answers(connector) == [(2, FALSE)]
    waiting.callback(model.PASSWORD_MATCHES)
    assert answers(connector) == [(1, TRUE)]


def test_an_answer_for_a_connector_that_left_goes_nowhere(listen):
    waiting: Deferred[model.Outcome] = Deferred()
    connector = listen(ScriptedChecker(waiting)).connect()
    connector.dataReceived(extauth.question(1, b"auth:alice:example.org:x"))
    connector.transport.clear()
    connector.connectionLost()
    waiting.callback(model.PASSWORD_MATCHES)
    assert connector.transport.value() == b""


# --- over a real socket ---------------------------------------------------------------------------


class Reactor:
    def addReader(self, reader):
        pass

    removeReader = addWriter = removeWriter = addReader


def test_a_real_connection_is_read_without_looking_for_descriptors(listen):
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.setblocking(False)
    transport = Connection(ours, None, Reactor())
    transport.connected = True
    connector = listen(ScriptedChecker(model.PASSWORD_MATCHES)).connect(transport)
    hello = bytearray(theirs.recv(1000))
    assert extauth.take_hello(hello).admitted
    assert transport.doRead() is None
    theirs.sendall(extauth.question(7, b"auth:alice:example.org:x"))
    assert transport.doRead() is None
    assert extauth.take_answers(bytearray(theirs.recv(1000))) == [(7, TRUE)]
    theirs.close()
    assert transport.doRead() is CONNECTION_DONE
    ours.close()
    assert connector._transport.doRead() is CONNECTION_LOST
