"""The ledger: one thread asks the store for everybody, and says what has become of the store."""

from __future__ import annotations

import threading
import time

import pytest
from twisted.internet.defer import CancelledError

from authbridge.model import Reason
from authbridge.stores import ledger as module
from authbridge.stores.clock import Clock
from authbridge.stores.ledger import LARGEST_BATCH, SWEEP_EVERY, Ledger, StoreUnavailable
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import (
    NoteSeen,
    Revoke,
    RevokeAll,
    Seen,
    StoreFault,
    Withdraw,
)
from tests.doubles import ThreadReactor, now
from tests.stores.examples import ALICE, T0, consume, issue
from tests.system.waiting import wait_until

FULL = StoreFault("the disk is full")
LOST = StoreFault("the disk fails", lost=True)
PATIENCE = 30
"""Seconds after which a test fails that waits for what does not come."""


class ScriptedStore:
    """Answers each operation with itself; or does what it is told to, and only when it may."""

    name = "scripted"
    warnings = ()

    def __init__(self):
        self.batches = []
        self.opened = []
        self.swept = []
        self.closed = 0
        self.mark = 0.0
        self.faults = []  # of the next calls of `run`; None: none
        self.sweep_faults = []
        self.open_faults = []
        self.more = []  # what the next sweeps say
        self.answers = {}  # by operation, where it is not answered with itself
        self.may_run = threading.Event()
        self.may_run.set()
        self.begun = threading.Semaphore(0)
        self.has_swept = threading.Semaphore(0)

    def open(self):
        self.opened.append(threading.get_ident())
        self._fail(self.open_faults)

    def run(self, operations, now):
        self.batches.append((list(operations), now))
        self.begun.release()
        assert self.may_run.wait(PATIENCE)
        self._fail(self.faults)
        return [self.answers.get(one, one) for one in operations]

    def sweep(self, now, wall):
        self.swept.append(now)
        self.has_swept.release()
        self._fail(self.sweep_faults)
        return self.more.pop(0) if self.more else False

    def close(self):
        self.closed += 1

    def _fail(self, faults):
        fault = faults.pop(0) if faults else None
        if fault is not None:
            raise fault

    @property
    def asked(self):
        """The operations by batch."""
        return [operations for operations, _ in self.batches]


class Room:
    """A ledger with everything that it touches."""

    def __init__(self, most_waiting=1000):
        self.reactor = ThreadReactor()
        self.store = ScriptedStore()
        self.wall = T0
        self.seconds = 100.0
        self.ledger = self.make(self.store, most_waiting)

    def make(self, store, most_waiting=1000):
        clock = Clock(lambda: self.wall, lambda: self.seconds)
        return Ledger(store, self.reactor, clock, lambda: self.seconds, most_waiting)

    def begin(self):
        """Start it, and wait until it waits for who asks: its first sweep is over then, and it has
        noted when the next one is due."""
        self.ledger.open()
        self.ledger.start()
        assert self.store.has_swept.acquire(timeout=PATIENCE)
        while self.ledger._sweep_at <= self.seconds:
            assert self.ledger._thread.is_alive()
            time.sleep(0.0005)

    def hold(self):
        """Ask for something that keeps the store busy."""
        self.store.may_run.clear()
        held = self.ledger.ask(Seen("held"))
        assert self.store.begun.acquire(timeout=PATIENCE)
        return held

    def release(self):
        self.store.may_run.set()

    def ask(self, *operations):
        return [self.ledger.ask(operation) for operation in operations]

    def results(self, asked):
        """What came of them."""
        self.reactor.turn_until(lambda: all(one.called for one in asked))
        return [result_of(one) for one in asked]

    def stop(self):
        self.release()
        self.ledger.stop()
        self.reactor.drain()


def result_of(deferred):
    """What it has fired with; of a failure, its class and words."""
    try:
        return now(deferred)
    except (StoreUnavailable, CancelledError) as error:
        return (type(error).__name__, str(error))


def unavailable(words):
    return ("StoreUnavailable", words)


@pytest.fixture(autouse=True)
def in_truth(monkeypatch):
    """What is waited for in truth: not for long where that has to pass, and for long where a thread
    has something to do before it ends."""
    monkeypatch.setattr(module, "RETRY_EVERY", 0.001)
    monkeypatch.setattr(module, "LAST_BATCH", PATIENCE)


@pytest.fixture
def room():
    room = Room()
    yield room
    room.stop()


def said(events):
    """What the log says of the store, with its level."""
    return [
        (event["log_level"].name, event["log_format"].format(**event))
        for event in events
        if event.get("log_namespace") == "authbridge.stores.ledger"
    ]


A, B, C = Seen("a"), Seen("b"), NoteSeen("c")
BROKEN = "a fault in authbridge itself"


# Asking


def test_what_the_store_answers_is_answered(room):
    room.begin()
    assert room.results(room.ask(A, C)) == [A, C]
    assert room.ledger.name == "scripted"
    assert room.ledger.trouble == ""


def test_a_real_store_is_asked(room):
    ledger = room.make(MemoryStore())
    ledger.open()
    ledger.start()
    asked = [ledger.ask(one) for one in (issue("t"), consume("t"), consume("t"))]
    record, *reasons = room.results(asked)
    assert (record.jid, record.issued) == (ALICE, T0)
    assert reasons == [Reason.TOKEN_VALID, Reason.TOKEN_USED]
    ledger.stop()


def test_nothing_is_answered_but_on_the_reactor(room):
    room.begin()
    (asked,) = room.ask(A)
    assert room.reactor.arrived.acquire(timeout=PATIENCE)
    assert not asked.called
    room.reactor.arrived.release()
    assert room.results([asked]) == [A]


def test_what_comes_while_a_batch_runs_is_asked_in_one(room):
    room.begin()
    held = room.hold()
    asked = room.ask(A, B, C, A)
    room.release()
    assert room.results([held, *asked])[1:] == [A, B, C, A]
    assert room.store.asked == [[Seen("held")], [A, B, C, A]]


def test_a_batch_has_its_bounds(room):
    room.begin()
    held = room.hold()
    operations = [Seen(str(n)) for n in range(2 * LARGEST_BATCH + 3)]
    asked = room.ask(*operations)
    room.release()
    assert room.results([held, *asked])[1:] == operations
    assert [len(batch) for batch in room.store.asked] == [1, LARGEST_BATCH, LARGEST_BATCH, 3]


def test_the_store_s_moment_is_that_of_the_clock_and_no_earlier_than_it_has_seen(room):
    room.store.mark = T0 + 50
    room.begin()
    room.results(room.ask(A))
    room.seconds += 2
    room.results(room.ask(A))
    assert [moment for _, moment in room.store.batches] == [T0 + 50, T0 + 52]
    assert room.ledger.ahead() == 52


def test_more_than_there_is_room_for_is_refused_at_once(events, monkeypatch):
    room = Room(most_waiting=2)
    room.begin()
    held = room.hold()
    (second, third) = room.ask(A, B)
    assert result_of(third) == unavailable("has too much to do")
    assert not second.called
    room.release()
    assert room.results([held, second])[1:] == [A]
    # Who was answered makes room.
    assert room.results(room.ask(B, C)) == [B, C]
    room.stop()
    assert said(events) == []


# Cancelling


def test_what_is_cancelled_before_it_began_is_not_asked(room):
    room.begin()
    held = room.hold()
    first, second, third = room.ask(A, C, B)
    second.cancel()
    room.release()
    assert room.results([held, first, third])[1:] == [A, B]
    assert result_of(second)[0] == "CancelledError"
    assert room.store.asked == [[Seen("held")], [A, B]]


def test_a_batch_that_nobody_wants_is_not_asked(room):
    room.begin()
    held = room.hold()
    (asked,) = room.ask(A)
    asked.cancel()
    room.release()
    room.results([held])
    assert result_of(asked)[0] == "CancelledError"
    room.stop()
    assert room.store.asked == [[Seen("held")]]


def test_what_is_cancelled_while_it_is_done_is_done_and_told_nobody(room):
    room.begin()
    held = room.hold()
    held.cancel()
    room.release()
    assert room.results(room.ask(A)) == [A]
    assert result_of(held)[0] == "CancelledError"


def test_what_was_cancelled_makes_room(events):
    room = Room(most_waiting=3)
    room.begin()
    held = room.hold()
    for asked in room.ask(A, B):
        asked.cancel()
        result_of(asked)
    # Until its turn comes it is in line, so that nobody fills the line by cancelling.
    (refused,) = room.ask(A)
    assert result_of(refused) == unavailable("has too much to do")
    room.release()
    room.results([held])
    room.reactor.turn_until(lambda: room.ledger._room == 3)
    assert room.results(room.ask(A, B, C)) == [A, B, C]
    room.stop()


# What cannot be written


def test_on_a_full_disk_writers_are_told_and_readers_answered(room, events):
    room.begin()
    held = room.hold()
    asked = room.ask(A, C, B)
    room.store.faults = [None, FULL]
    room.release()
    assert room.results([held, *asked])[1:] == [A, unavailable("cannot be written to"), B]
    assert room.store.asked[1:] == [[A, C, B], [A, B]]
    assert room.ledger.trouble == "the disk is full"
    assert said(events) == [("error", "state scripted: the disk is full")]
    # It is tried again each time, and is well when something could be written.
    room.store.faults = [FULL]
    assert room.results(room.ask(C)) == [unavailable("cannot be written to")]
    assert room.results(room.ask(A)) == [A]
    assert room.ledger.trouble == "the disk is full"
    # What changes nothing, as a guess, tells nothing of that.
    guess = consume("guessed")
    room.store.answers |= {guess: Reason.TOKEN_UNKNOWN, C: False, RevokeAll(ALICE): 0}
    for asked in (guess, C, RevokeAll(ALICE)):
        assert room.results(room.ask(asked)) == [room.store.answers[asked]]
    room.reactor.drain()
    assert room.ledger.trouble == "the disk is full"
    room.seconds += 12
    room.store.answers[C] = Reason.TOKEN_VALID
    assert room.results(room.ask(C)) == [Reason.TOKEN_VALID]
    room.stop()
    assert said(events)[1:] == [("info", "state scripted: well again, after 12 s")]
    assert room.ledger.trouble == ""
    assert len(room.store.opened) == 1


def test_readers_that_cannot_be_answered_are_told(room):
    room.begin()
    room.store.faults = [FULL]
    assert room.results(room.ask(A)) == [unavailable("cannot be written to")]
    assert room.store.asked == [[A]]  # not asked the same again


@pytest.mark.parametrize("second", [FULL, LOST])
def test_where_readers_fail_as_well_everybody_is_told(room, second):
    room.begin()
    held = room.hold()
    asked = room.ask(A, C, B)
    room.store.faults = [None, FULL, second]
    room.release()
    words = "was lost" if second.lost else "cannot be written to"
    expected = [unavailable(words), unavailable("cannot be written to"), unavailable(words)]
    assert room.results([held, *asked])[1:] == expected


def test_another_trouble_is_said_again(room, events):
    room.begin()
    for words in ("one", "one", "two"):
        room.store.faults = [StoreFault(words)]
        room.results(room.ask(C))
    assert said(events) == [("error", "state scripted: one"), ("error", "state scripted: two")]


# What is lost


def test_while_the_store_is_lost_everybody_is_told_at_once(room, events):
    room.begin()
    held = room.hold()
    asked = room.ask(A, C)
    room.store.faults = [LOST]
    room.store.open_faults = [StoreFault("is still away") for _ in range(3)]
    may_open = threading.Event()
    room.store.open = gated(room.store.open, may_open)
    room.release()
    assert room.results([held]) == [unavailable("was lost")]
    # No thread has to be waited for.
    assert [result_of(one) for one in room.ask(A, C)] == [unavailable("the disk fails")] * 2
    room.seconds += 7
    may_open.set()
    # Those in line were told as well, when it could not be opened for them.
    assert room.results(asked) == [unavailable("is not open")] * 2
    room.reactor.turn_until(lambda: not room.ledger.trouble)
    assert room.results(room.ask(A, C)) == [A, C]
    assert said(events) == [
        ("error", "state scripted: the disk fails"),
        ("error", "state scripted: is still away"),
        ("info", "state scripted: well again, after 7 s"),
    ]
    assert len(room.store.opened) == 5
    assert room.store.closed == 4  # before each time


def test_who_is_far_back_in_line_is_told_with_the_first(room, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_BATCH", 1)
    room.begin()
    held = room.hold()
    asked = room.ask(A, C)
    room.store.faults = [LOST]
    room.store.open_faults = [StoreFault("is still away")]
    room.release()
    assert room.results([held, *asked]) == [
        unavailable("was lost"), unavailable("is not open"), unavailable("is not open"),
    ]  # fmt: skip


def test_the_end_may_come_while_it_cannot_be_opened(room, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_BATCH", 1)
    room.begin()
    held = room.hold()
    asked = room.ask(A, C)
    room.store.faults = [LOST]
    room.store.open_faults = [StoreFault("is still away")]
    may_open = threading.Event()
    room.store.open = gated(room.store.open, may_open)
    room.release()
    assert room.results([held]) == [unavailable("was lost")]
    stopping = threading.Thread(target=room.ledger.stop)
    stopping.start()
    wait_until(lambda: room.ledger._queue.qsize() == 2, "the end is in line, behind the last one")
    may_open.set()
    assert room.results(asked) == [unavailable("is not open")] * 2
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert len(room.store.opened) == 2


def gated(function, event):
    def wait():
        assert event.wait(PATIENCE)
        return function()

    return wait


def test_those_in_line_are_answered_where_it_opens_at_once(room):
    room.begin()
    held = room.hold()
    asked = room.ask(A, C)
    room.store.faults = [LOST]
    room.release()
    assert room.results([held, *asked]) == [unavailable("was lost"), A, C]


def test_a_store_that_raises_something_else_is_opened_again(room, events):
    room.begin()
    room.store.faults = [ZeroDivisionError("oh")]
    assert room.results(room.ask(A)) == [unavailable("was lost")]
    room.reactor.turn_until(lambda: not room.ledger.trouble)
    assert room.results(room.ask(A)) == [A]
    assert said(events) == [
        ("critical", "state scripted failed"),
        ("error", f"state scripted: {BROKEN}"),
        ("info", "state scripted: well again, after 0 s"),
    ]


def test_a_store_that_cannot_be_opened_at_first_is_opened_later(room, events):
    room.store.open_faults = [LOST, StoreFault("not yet"), ZeroDivisionError("oh")]
    with pytest.raises(StoreFault):
        room.ledger.open()
    room.ledger.start()
    room.reactor.turn_until(lambda: room.ledger.trouble == BROKEN)
    room.reactor.turn_until(lambda: not room.ledger.trouble)
    assert room.results(room.ask(A)) == [A]
    assert [line for _, line in said(events)] == [
        "state scripted: not yet",
        "state scripted failed",
        f"state scripted: {BROKEN}",
        "state scripted: well again, after 0 s",
    ]
    assert room.store.opened[0] == threading.get_ident()
    assert set(room.store.opened[1:]).isdisjoint(room.store.opened[:1])


def test_a_store_is_opened_once(room):
    room.begin()
    room.ledger.open()
    assert len(room.store.opened) == 1


# Sweeping


def test_it_is_swept_now_and_then_and_until_nothing_is_over(room):
    room.begin()
    assert room.store.swept == [T0]
    room.results(room.ask(A))
    room.seconds += SWEEP_EVERY - 0.5
    room.results(room.ask(A))
    assert room.store.swept == [T0]
    room.store.more = [True, True]
    room.seconds += 0.5
    room.results(room.ask(A))
    for _ in range(3):
        assert room.store.has_swept.acquire(timeout=PATIENCE)
    room.results(room.ask(A))
    assert room.store.swept == [T0] + [T0 + SWEEP_EVERY] * 3


def test_between_two_sweeps_who_asks_is_answered(room):
    room.begin()
    room.store.more = [True] * 50
    held = room.hold()
    room.seconds += SWEEP_EVERY
    asked = room.ask(*[A] * (LARGEST_BATCH + 1))
    room.release()
    room.results([held, *asked])
    room.stop()
    assert len(room.store.asked) == 3
    assert len(room.store.swept) > 3


@pytest.mark.parametrize(
    ("fault", "opened", "words"),
    [(FULL, 1, FULL.words), (LOST, 2, LOST.words), (ZeroDivisionError("oh"), 2, BROKEN)],
)
def test_a_sweep_that_fails_says_so(room, events, fault, opened, words):
    room.store.sweep_faults = [fault]
    room.store.answers[C] = Reason.TOKEN_VALID
    room.begin()
    room.reactor.turn_until(lambda: room.ledger.trouble)
    assert room.ledger.trouble == words
    if opened == 1:
        assert room.results(room.ask(A, C)) == [A, Reason.TOKEN_VALID]
    room.reactor.turn_until(lambda: not room.ledger.trouble)
    assert len(room.store.opened) == opened
    assert said(events)[-1] == ("info", "state scripted: well again, after 0 s")


# Ending


def test_at_the_end_what_was_asked_is_done_and_the_store_closed(room):
    room.begin()
    held = room.hold()
    asked = room.ask(*[C] * (LARGEST_BATCH + 10))
    stopping = threading.Thread(target=room.ledger.stop)
    stopping.start()
    while not room.ledger._stopped:
        time.sleep(0.0005)
    (late,) = room.ask(A)
    assert result_of(late) == unavailable("is stopping")
    room.release()
    stopping.join(PATIENCE)
    room.reactor.drain()
    assert [result_of(one) for one in (held, *asked)] == [Seen("held"), *[C] * len(asked)]
    assert room.store.closed == 1
    assert not room.ledger._thread.is_alive()


def test_an_idle_ledger_ends(room):
    room.begin()
    room.ledger.stop()
    assert room.store.closed == 1
    assert room.store.asked == []


def test_a_ledger_that_never_began_ends(room):
    room.ledger.open()
    room.ledger.stop()
    assert room.store.closed == 1
    assert result_of(room.ledger.ask(A)) == unavailable("is stopping")


def test_a_ledger_ends_while_its_store_is_away(room):
    room.store.open_faults = [StoreFault("away") for _ in range(100_000)]
    room.ledger.start()
    room.reactor.turn_until(lambda: room.ledger.trouble)
    room.ledger.stop()
    assert not room.ledger._thread.is_alive()


def test_a_store_that_hangs_does_not_keep_the_ledger_from_ending(room, monkeypatch):
    monkeypatch.setattr(module, "LAST_BATCH", 0.0)
    room.begin()
    held = room.hold()
    room.ledger.stop()
    assert not held.called
    assert room.store.closed == 0  # nobody but its thread may touch it
    assert room.ledger._thread.daemon
    room.release()
    room.ledger._thread.join(PATIENCE)
    assert room.store.closed == 1


# What is warned of


def test_what_a_store_warns_of_is_said_when_it_begins(room, events):
    room.store.warnings = ("it is old",)
    room.begin()
    room.reactor.turn_until(lambda: len(said(events)) == 1)
    room.store.warnings = ("it is old", "it is slow")
    room.seconds += SWEEP_EVERY
    room.results(room.ask(A))
    room.reactor.turn_until(lambda: len(said(events)) == 2)
    room.stop()
    assert said(events) == [("warn", f"state scripted: it is {words}") for words in ("old", "slow")]


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (issue("t"), object()),
        (consume("t"), Reason.TOKEN_VALID),
        (NoteSeen(ALICE), True),
        (Revoke("id"), True),
        (RevokeAll(ALICE), 3),
        (Withdraw(b"s", T0, T0, T0), None),
    ],
)
def test_whatever_was_written_tells_that_writing_is_possible_again(room, events, operation, answer):
    room.begin()
    room.store.faults = [FULL]
    room.results(room.ask(C))
    assert room.ledger.trouble == "the disk is full"
    room.store.answers[operation] = answer
    assert room.results(room.ask(operation)) == [answer]
    room.reactor.turn_until(lambda: not room.ledger.trouble)
    assert said(events)[1:] == [("info", "state scripted: well again, after 0 s")]
