"""extauth on a pair of pipes."""

from __future__ import annotations

import fcntl
import os
import select
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from authbridge import model
from authbridge.frontends import stdio
from authbridge.frontends.extauth import (
    MOST_IN_A_TURN,
    MOST_UNANSWERED,
    ExtauthFrontEnd,
    ExtauthSettings,
)
from authbridge.frontends.stdio import LAST_WORDS, Pipe
from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.doubles import House, ScriptedChecker

AUTH = b"\0\x1eauth:alice:example.org:builder"
SETPASS = b"\0\x0bsetpass:a:b"
NOTHING = b"\0\0"


class Reactor(Clock):
    """A clock with readers, that notices when it is stopped."""

    def __init__(self):
        super().__init__()
        self.running = True
        self.readers = set()

    def addReader(self, reader):
        self.readers.add(reader)

    def removeReader(self, reader):
        self.readers.discard(reader)

    def stop(self):
        self.running = False


class Standalone:
    def __init__(self, checker):
        stdin, self.requests = os.pipe()
        self.answers, stdout = os.pipe()
        self.fds = {stdin, stdout, self.requests, self.answers}
        self.reactor = Reactor()
        self.house = House(checker)
        settings = ExtauthSettings((), frozenset(), 8.0, ERROR, TRUE)
        front_end = ExtauthFrontEnd(self.house.authenticator, settings)
        self.pipe = Pipe(front_end, stdin, stdout, self.reactor)
        self.pipe.start()
        assert (self.pipe.fileno(), self.pipe.logPrefix()) == (stdin, "extauth")

    def ask(self, octets):
        os.write(self.requests, octets)
        self.pipe.doRead()

    def answered(self):
        if select.select([self.answers], [], [], 0)[0]:
            return os.read(self.answers, 65536)
        return b""

    def close(self, *fds):
        for fd in fds or set(self.fds):
            os.close(fd)
            self.fds.discard(fd)


@pytest.fixture
def make():
    made = []

    def make(checker):
        made.append(Standalone(checker))
        return made[-1]

    yield make
    for standalone in made:
        standalone.close()


def test_a_request_has_its_answer_however_it_comes(make):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    for octet in AUTH:
        assert one.answered() == b""
        one.ask(bytes([octet]))
    assert one.answered() == TRUE


def test_answers_keep_the_order_of_the_requests(make):
    one = make(ScriptedChecker(waiting := Deferred()))
    one.ask(AUTH + b"\0\x0dtryregister:x")
    assert one.answered() == b""
    waiting.callback(model.PASSWORD_MATCHES)
    assert one.answered() == TRUE + FALSE


def test_an_answer_that_takes_time_is_written_when_it_is_there(make):
    one = make(ScriptedChecker(waiting := Deferred()))
    one.ask(AUTH)
    assert one.answered() == b""
    waiting.callback(model.PASSWORD_MATCHES)
    assert one.answered() == TRUE


def test_it_ends_with_its_input(make):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    one.close(one.requests)
    one.pipe.doRead()
    assert not one.reactor.running
    one.pipe.connectionLost(Failure(ConnectionDone()))


def test_owed_answers_are_written_before_the_end(make):
    one = make(ScriptedChecker(waiting := Deferred()))
    one.ask(AUTH)
    one.close(one.requests)
    one.pipe.doRead()
    assert one.reactor.running
    waiting.callback(model.PASSWORD_MATCHES)
    assert one.answered() == TRUE
    assert not one.reactor.running


def test_it_does_not_wait_longer_than_a_moment_for_them(make):
    one = make(ScriptedChecker(Deferred()))
    one.ask(AUTH)
    one.close(one.requests)
    one.pipe.doRead()
    one.reactor.advance(LAST_WORDS)
    assert not one.reactor.running
    assert one.answered() == ERROR


def test_an_end_that_comes_twice_is_one(make):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    one.close(one.requests)
    one.pipe.doRead()
    one.reactor.running = True  # stopping, and told once more
    one.pipe.connectionLost(Failure(ConnectionDone()))
    assert one.reactor.running


def test_a_full_pipe_that_somebody_has_made_impatient_is_waited_for(make, monkeypatch):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    (stdout,) = one.fds - {one.pipe.fileno(), one.requests, one.answers}
    os.set_blocking(stdout, False)
    fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, 4096)
    os.write(stdout, b"x" * 4096)
    waits = []

    def wait(readers, writers, broken):
        waits.append(writers)
        assert os.read(one.answers, 4096) == b"x" * 4096

    monkeypatch.setattr(stdio, "select", SimpleNamespace(select=wait))
    one.ask(AUTH)
    assert one.answered() == TRUE
    assert waits == [[stdout]]


def test_an_end_goes_on_to_wait_for_the_rest_of_the_answers(make):
    checker = ScriptedChecker(first := Deferred())
    one = make(checker)
    one.ask(AUTH)
    checker.answer = second = Deferred()
    one.ask(AUTH)
    one.close(one.requests)
    one.pipe.doRead()
    first.callback(model.PASSWORD_MATCHES)
    assert one.answered() == TRUE
    assert one.reactor.running
    second.callback(model.PASSWORD_MISMATCH)
    assert one.answered() == FALSE
    assert not one.reactor.running


def test_it_ends_once(make):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    one.close(one.answers)
    one.ask(AUTH)
    assert not one.reactor.running
    one.reactor.stop = None  # a reactor that is stopped twice raises
    one.close(one.requests)
    one.pipe.doRead()


def test_it_ends_when_nobody_reads_the_answers(make):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    one.close(one.answers)
    one.ask(AUTH)
    assert not one.reactor.running


def test_it_stops_reading_while_too_much_is_unanswered(make):
    one = make(ScriptedChecker(waiting := Deferred()))
    one.ask(AUTH * MOST_UNANSWERED)
    one.reactor.advance(0)
    assert one.reactor.readers == set()
    waiting.callback(model.PASSWORD_MATCHES)
    assert one.reactor.readers == {one.pipe}
    assert one.answered() == TRUE * MOST_UNANSWERED


def in_one_turn(one):
    """The answers of one turn of the reactor more."""
    due, one.reactor.calls = one.reactor.calls, []
    for call in due:
        call.func(*call.args, **call.kw)
    return one.answered()


def test_of_thousands_that_come_at_once_a_few_are_asked_in_each_turn(make):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    one.ask((AUTH + SETPASS + NOTHING) * 1000)
    turns = [one.answered()]
    while one.reactor.calls:
        assert one.reactor.readers == set()
        turns.append(in_one_turn(one))
    assert one.reactor.readers == {one.pipe}
    assert b"".join(turns) == (TRUE + ERROR + FALSE) * 1000
    assert max(map(len, turns)) == MOST_IN_A_TURN * len(TRUE)


def test_what_is_answered_later_keeps_its_place_among_thousands(make):
    one = make(ScriptedChecker(waiting := Deferred()))
    one.ask((AUTH + NOTHING) * 1000)
    one.reactor.advance(0)
    assert (one.answered(), one.reactor.readers) == (b"", set())
    waiting.callback(model.PASSWORD_MATCHES)
    one.reactor.advance(0)
    assert one.answered() == (TRUE + FALSE) * 1000
    assert one.reactor.readers == {one.pipe}


def test_nothing_more_is_asked_when_nobody_reads_the_answers(make):
    one = make(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    one.close(one.answers)
    one.ask(AUTH * 100)
    one.reactor.running = True  # as the real one is until the end of its turn
    one.reactor.stop = None
    one.reactor.advance(0)
    assert len(checker.asked) == MOST_IN_A_TURN
    one.close(one.requests)
    one.pipe.doRead()


def test_a_request_that_cannot_be_asked_is_answered_as_in_an_outage(make, monkeypatch):
    one = make(ScriptedChecker(model.PASSWORD_MATCHES))
    ask = ExtauthFrontEnd.ask

    def fail(front_end, frame, answered):
        if frame == AUTH[2:]:
            raise ZeroDivisionError
        ask(front_end, frame, answered)

    monkeypatch.setattr(ExtauthFrontEnd, "ask", fail)
    one.ask(NOTHING + AUTH + NOTHING)
    assert one.answered() == FALSE + ERROR + FALSE
    one.ask(NOTHING)
    assert one.answered() == FALSE
