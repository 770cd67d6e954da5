"""Work off the reactor: bounded, and not begun once nobody wants it."""

from __future__ import annotations

import threading

import pytest
from twisted.internet.defer import CancelledError, Deferred

from authbridge.workers import Overloaded, Workers
from tests.doubles import ThreadReactor, now


@pytest.fixture
def reactor():
    return ThreadReactor()


@pytest.fixture
def workers(reactor):
    workers = Workers(reactor, threads=1, most_waiting=1)
    workers.start()
    yield workers
    workers.stop()


def test_work_is_done_in_another_thread(reactor, workers):
    running = Deferred.fromCoroutine(workers.run(threading.get_ident))
    reactor.turn()
    assert now(running) != threading.get_ident()


def test_what_work_raises_is_raised(reactor, workers):
    running = Deferred.fromCoroutine(workers.run(lambda: 1 / 0))
    reactor.turn()
    with pytest.raises(ZeroDivisionError):
        now(running)


def test_more_than_the_line_holds_is_refused_until_there_is_room(reactor, workers):
    gate = threading.Event()
    running = [Deferred.fromCoroutine(workers.run(gate.wait)) for _ in range(2)]
    with pytest.raises(Overloaded):
        now(workers.run(gate.wait))
    gate.set()
    reactor.turn()
    reactor.turn()
    assert [now(r) for r in running] == [True, True]
    again = Deferred.fromCoroutine(workers.run(gate.wait))
    reactor.turn()
    assert now(again)


def test_a_stop_does_not_wait_for_what_is_in_line(reactor):
    workers = Workers(reactor, threads=1, most_waiting=5)
    workers.start()
    gate, begun, done = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        return gate.wait()

    Deferred.fromCoroutine(workers.run(first))
    assert begun.wait(30)
    waiting = [Deferred.fromCoroutine(workers.run(lambda: done.append(1))) for _ in range(5)]
    stopping = threading.Thread(target=workers.stop)
    stopping.start()
    while not workers._stopped:
        pass
    gate.set()
    stopping.join(30)
    assert done == []
    for _ in range(6):
        reactor.turn()
    for one in waiting:  # never None, which a checker might take for a no
        with pytest.raises(Overloaded):
            now(one)


def test_work_cancelled_in_line_is_not_begun_and_keeps_its_place_until_it_is_left(reactor, workers):
    gate, begun = threading.Event(), []
    first = Deferred.fromCoroutine(workers.run(gate.wait))
    second = Deferred.fromCoroutine(workers.run(lambda: begun.append(1)))
    second.cancel()
    with pytest.raises(CancelledError):
        now(second)
    with pytest.raises(Overloaded):
        now(workers.run(gate.wait))
    gate.set()
    reactor.turn()
    reactor.turn()
    assert now(first)
    assert begun == []
