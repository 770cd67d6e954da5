"""A listener is closed: its connectors are answered what was taken, and nothing more is taken. The
rest they ask the next daemon; so no token is used up by a question that nobody answers."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Connection

from authbridge import model
from authbridge.frontends.extauth import MOST_IN_A_TURN, MOST_UNANSWERED
from authbridge.wire import extauth
from authbridge.wire.extauth import FALSE, TRUE
from tests.doubles import ScriptedChecker
from tests.frontends.connectors import ME, Asked, answers, greeted, questions


@pytest.fixture
def front_end():
    """Answers even numbers when it is told to, and odd ones at once."""
    return Asked(at_once=lambda number: number % 2 == 1)


@pytest.fixture
def listener(listen, front_end):
    return listen(front_end)


@pytest.fixture
def connector(listener):
    connector = listener.connect()
    assert greeted(connector)
    return connector


def left(connector):
    transport = connector.transport
    assert (transport.producer is None) == transport.disconnecting
    return transport.disconnecting


def test_what_was_taken_is_answered_and_then_the_connection_ends(listener, front_end, connector):
    connector.dataReceived(questions(2, 4, 5))
    assert answers(connector) == [(5, TRUE)]
    listener.factory.stopFactory()
    front_end.answer(4)
    assert answers(connector) == [(4, FALSE)]
    assert not left(connector)
    front_end.answer(2)
    assert answers(connector) == [(2, FALSE)]
    assert left(connector)


def test_answers_that_come_together_are_all_written_before_the_end(listener, front_end, connector):
    connector.dataReceived(questions(*range(0, 2 * MOST_IN_A_TURN, 2)))
    listener.factory.stopFactory()
    numbers = sorted(front_end.waiting, reverse=True)
    front_end.answer(*numbers)
    assert answers(connector) == [(number, FALSE) for number in numbers]
    assert left(connector)


def test_nothing_more_is_taken(listener, front_end, connector):
    connector.dataReceived(questions(2) + questions(4)[:5])
    listener.factory.stopFactory()
    assert connector.transport.producerState == "paused"
    connector.dataReceived(questions(4)[5:] + questions(6))  # what had been read already
    front_end.answer(2)
    assert left(connector)
    connector.dataReceived(questions(8))
    connector.resumeProducing()
    assert front_end.asked == [2]
    assert connector.transport.producerState == "paused"


def test_questions_for_later_turns_are_dropped(listener, front_end, connector):
    connector.dataReceived(questions(*range(0, 600, 2)))
    listener.clock.turn()
    taken = list(front_end.asked)
    assert len(taken) == MOST_IN_A_TURN
    listener.factory.stopFactory()
    listener.clock.advance(0)
    assert front_end.asked == taken
    front_end.answer(*taken)
    listener.clock.advance(0)
    assert [number for number, _ in answers(connector)] == taken
    assert left(connector)
    assert front_end.asked == taken
    assert listener.clock.getDelayedCalls() == []


def test_as_many_as_may_be_under_way_are_answered(listener, front_end, connector):
    """The first answer would let it go on, with those that were dropped."""
    connector.dataReceived(questions(*range(0, 2 * MOST_UNANSWERED + 20, 2)))
    listener.clock.advance(0)
    taken = list(front_end.asked)
    assert len(taken) == MOST_UNANSWERED
    listener.factory.stopFactory()
    front_end.answer(*taken)
    listener.clock.advance(0)
    assert len(answers(connector)) == MOST_UNANSWERED
    assert front_end.asked == taken
    assert left(connector)


def test_one_with_nothing_under_way_leaves_at_once(listener, front_end, connector):
    other = listener.connect()
    connector.dataReceived(questions(1))
    other.dataReceived(questions(2))
    listener.factory.stopFactory()
    assert left(connector)
    assert not left(other)
    assert answers(connector) == [(1, TRUE)]


def test_one_of_which_questions_wait_and_none_is_under_way_leaves_at_once(
    listener, front_end, connector
):
    connector.dataReceived(questions(*range(100)))
    listener.factory.stopFactory()
    assert left(connector)
    listener.clock.advance(0)
    assert front_end.asked == []


def test_one_that_does_not_read_its_answers_has_them_before_the_end(listener, front_end, connector):
    connector.dataReceived(questions(2))
    connector.pauseProducing()
    listener.factory.stopFactory()
    front_end.answer(2)
    assert answers(connector) == [(2, FALSE)]
    assert left(connector)


def test_one_that_has_left_already_is_left_alone(listener, front_end, connector):
    connector.dataReceived(questions(2))
    connector.connectionLost()
    listener.factory.stopFactory()
    front_end.answer(2)
    assert connector.transport.value() == b""
    assert not connector.transport.disconnecting


def test_a_stranger_is_left_alone(listen):
    listener = listen(Asked(), uids=(ME + 1,))
    stranger = listener.connect()
    assert not greeted(stranger)
    stranger.transport.disconnecting = False  # it is being closed already
    listener.factory.stopFactory()
    assert not stranger.transport.disconnecting
    assert stranger.transport.producerState == "producing"


def test_one_that_retires_twice_leaves_once(listener, front_end, connector):
    connector.dataReceived(questions(2))
    connector.retire()
    connector.retire()
    assert not left(connector)
    front_end.answer(2)
    assert answers(connector) == [(2, FALSE)]
    connector.retire()  # a transport without a producer would refuse to lose it again
    assert left(connector)


def test_its_place_is_free_when_it_has_left(listen, front_end):
    listener = listen(front_end, most=1)
    connector = listener.connect()
    listener.factory.stopFactory()
    connector.connectionLost()
    assert greeted(listener.connect())


# --- over a real socket ---------------------------------------------------------------------------


class Reactor:
    """Watches nothing, and calls when it is told to."""

    def __init__(self):
        self.later = []

    def addReader(self, reader):
        pass

    removeReader = addWriter = removeWriter = addReader

    def callLater(self, seconds, function, *arguments):
        self.later.append((function, arguments))


def test_one_that_has_to_go_is_told_nothing_any_more(listen):
    """It asks the next daemon; what this one said last would be taken for the answer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.setblocking(False)
    reactor = Reactor()
    transport = Connection(ours, None, reactor)
    transport.connected = True
    waiting: Deferred[model.Outcome] = Deferred()
    listener = listen(ScriptedChecker(waiting))
    listener.connect(transport)
    assert extauth.take_hello(bytearray(theirs.recv(1000))).admitted
    theirs.sendall(extauth.question(7, b"auth:alice:example.org:x"))
    transport.doRead()
    listener.factory.stopFactory()
    listener.room.close()
    waiting.callback(model.PASSWORD_MATCHES)
    ours.close()
    assert theirs.recv(1000) == b""
    theirs.close()
