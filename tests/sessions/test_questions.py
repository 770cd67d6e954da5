"""One question for all who ask at once, and answers that are kept for a moment."""

from __future__ import annotations

import gc
import weakref

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from authbridge.model import Reason
from authbridge.sessions import questions
from authbridge.sessions.questions import (
    KNOWN,
    MOST_ASKED,
    MOST_KEPT,
    MOST_NEW,
    MOST_WAITING,
    NEW,
    Answer,
    Questions,
)
from authbridge.sessions.shown import CannotTell
from tests.doubles import now

ALICE, BOB, NOBODY = Answer("alice"), Answer("bob"), Answer(None)


class Site:
    """Answers when it is told to, and knows what it was asked."""

    def __init__(self, keep=5.0, random=None):
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.asked = []
        self.lines = []
        self.turns = []
        self.cancelled = []
        random = random or (lambda size: b"k" * size)
        self.questions = Questions(self._ask, self.clock.seconds, random, keep=keep)

    async def _ask(self, evidence, line):
        self.asked.append(evidence)
        self.lines.append(line)
        turn = Deferred(lambda _: self.cancelled.append(evidence))
        self.turns.append(turn)
        return await turn

    def ask(self, evidence=b"a"):
        return Deferred.fromCoroutine(self.questions.answer(evidence))

    def reply(self, answer=ALICE, turn=0):
        self.turns.pop(turn).callback(answer)

    def know(self, *sessions):
        """Name a user of each; the answers count no more."""
        for evidence in sessions:
            self.ask(evidence)
            self.reply(turn=-1)
        self.clock.advance(5.0)

    def line(self, evidence):
        """That in which a question about this session waits, which is given up again."""
        one = self.ask(evidence)
        one.cancel()
        result(one)
        self.turns.pop()
        return self.lines[-1]


@pytest.fixture
def site():
    return Site()


def result(deferred):
    """What it has come to: an answer, or what was raised."""
    found = []
    deferred.addBoth(found.append)
    assert found, "there is no answer yet"
    return found[0].value if isinstance(found[0], Failure) else found[0]


def waits(deferred):
    return not deferred.called


def overloaded(deferred):
    found = result(deferred)
    return isinstance(found, CannotTell) and found.reason is Reason.OVERLOADED


# --- one question ---------------------------------------------------------------------------------


def test_who_asks_at_once_about_one_session_shares_one_question(site):
    asked = [site.ask() for _ in range(5)]
    assert site.asked == [b"a"]
    assert all(map(waits, asked))
    site.reply()
    assert [result(one) for one in asked] == [ALICE] * 5


def test_sessions_are_asked_about_each_for_itself(site):
    first, second = site.ask(b"a"), site.ask(b"b")
    assert site.asked == [b"a", b"b"]
    site.reply(BOB, turn=1)
    assert waits(first)
    assert result(second) == BOB
    site.reply(ALICE)
    assert result(first) == ALICE


def test_an_answer_that_is_there_at_once_is_given_at_once():
    asked = []

    async def ask(evidence, line):
        asked.append(evidence)
        return ALICE

    found = Questions(ask, lambda: 1.0, bytes, keep=5.0)
    for _ in range(2):
        assert result(Deferred.fromCoroutine(found.answer(b"a"))) == ALICE
    assert asked == [b"a"]


def test_a_question_goes_on_while_anybody_waits(site):
    first, second, third = (site.ask() for _ in range(3))
    for one in (first, third):
        one.cancel()
        assert isinstance(result(one), CancelledError)
    assert site.cancelled == []
    site.reply()
    assert result(second) == ALICE


def test_a_question_that_nobody_waits_for_is_cancelled_and_forgotten(site):
    both = site.ask(), site.ask()
    for one in both:
        one.cancel()
        assert isinstance(result(one), CancelledError)
    assert site.cancelled == [b"a"]
    again = site.ask()
    assert site.asked == [b"a", b"a"]
    site.reply(BOB, turn=1)
    assert result(again) == BOB


def test_who_cancels_another_in_the_moment_of_the_answer_harms_nobody(site):
    first, second, third = site.ask(), site.ask(), site.ask()
    first.addCallback(lambda answer: second.cancel() or answer)
    site.reply()
    assert result(first) == ALICE
    assert isinstance(result(second), CancelledError)
    assert result(third) == ALICE


def test_who_asks_anew_in_the_moment_of_the_answer_gets_what_was_kept(site):
    first = site.ask()
    then = []
    first.addCallback(lambda _: then.append(result(site.ask())))
    site.reply()
    assert then == [ALICE]
    assert site.asked == [b"a"]


# --- how long an answer counts --------------------------------------------------------------------


@pytest.mark.parametrize("answer", [ALICE, NOBODY])
def test_an_answer_counts_for_five_seconds_from_when_the_question_was_sent(site, answer):
    first = site.ask()
    site.clock.advance(2.0)
    site.reply(answer)
    assert result(first) == answer
    site.clock.advance(2.9)
    assert result(site.ask()) == answer
    assert len(site.asked) == 1
    site.clock.advance(0.1)
    assert waits(site.ask())
    assert len(site.asked) == 2


def test_an_answer_that_comes_too_late_is_told_and_not_kept(site):
    first = site.ask()
    site.clock.advance(5.0)
    site.reply()
    assert result(first) == ALICE
    assert waits(site.ask())


def test_a_question_is_joined_no_longer_than_its_answer_would_count(site):
    """Who has logged out since must not be told that he is logged in."""
    first = site.ask()
    site.clock.advance(4.9)
    second = site.ask()
    site.clock.advance(0.1)
    third = site.ask()
    assert len(site.asked) == 2
    site.reply(ALICE)
    assert (result(first), result(second)) == (ALICE, ALICE)
    assert waits(third)
    fourth = site.ask()
    assert len(site.asked) == 2  # the one that still waits is joined, whoever has answered before
    site.reply(NOBODY)
    assert (result(third), result(fourth)) == (NOBODY, NOBODY)
    assert result(site.ask()) == NOBODY


def test_with_nothing_kept_each_asks_for_himself():
    site = Site(keep=0.0)
    first, second = site.ask(), site.ask()
    assert len(site.asked) == 2
    second.cancel()
    assert isinstance(result(second), CancelledError)
    assert len(site.cancelled) == 1
    site.reply()
    assert result(first) == ALICE
    assert waits(site.ask())


def test_a_clock_that_is_set_back_keeps_nothing_for_longer():
    seconds = [1000.0]

    async def ask(_evidence, _line):
        asked.append(seconds[0])
        return ALICE

    asked = []
    found = Questions(ask, lambda: seconds[0], bytes, keep=5.0)
    for moment in (1000.0, 900.0):
        seconds[0] = moment
        assert result(Deferred.fromCoroutine(found.answer(b"a"))) == ALICE
    assert asked == [1000.0, 900.0]


def test_an_outage_is_told_to_all_who_wait_each_for_himself_and_not_kept(site):
    asked = [site.ask() for _ in range(3)]
    site.turns.pop().errback(CannotTell(Reason.SITE_FAILED, "words"))
    found = [result(one) for one in asked]
    assert {(fault.reason, fault.words) for fault in found} == {(Reason.SITE_FAILED, "words")}
    assert len({id(fault) for fault in found}) == 3
    assert waits(site.ask())
    assert len(site.asked) == 2


def test_a_fault_of_ours_is_told_to_all_who_wait(site):
    asked = [site.ask() for _ in range(2)]
    site.turns.pop().errback(ZeroDivisionError())
    assert [type(result(one)) for one in asked] == [ZeroDivisionError] * 2
    assert waits(site.ask())


# --- how many -------------------------------------------------------------------------------------


def test_so_many_questions_wait_and_no_more(site):
    sessions = [b"%d" % number for number in range(MOST_ASKED)]
    site.know(*sessions, b"one more")
    asked = [site.ask(evidence) for evidence in sessions]
    assert all(map(waits, asked))
    assert overloaded(site.ask(b"new"))
    assert overloaded(site.ask(b"one more"))
    assert waits(site.ask(b"0"))  # who joins a question asks none
    asked[1].cancel()
    result(asked[1])
    assert waits(site.ask(b"one more"))


def test_so_many_wait_for_one_answer_and_no_more(site):
    asked = [site.ask() for _ in range(MOST_WAITING)]
    assert overloaded(site.ask())
    assert waits(site.ask(b"another's"))
    asked[0].cancel()
    result(asked[0])
    assert waits(site.ask())


def test_so_many_answers_are_kept_and_the_oldest_goes(site, monkeypatch):
    assert MOST_KEPT == 10_000
    monkeypatch.setattr(questions, "MOST_KEPT", 3)
    for evidence in (b"a", b"b", b"c", b"d"):
        one = site.ask(evidence)
        site.reply()
        assert result(one) == ALICE
    assert [waits(site.ask(evidence)) for evidence in (b"b", b"c", b"d", b"a")] == [
        False, False, False, True,
    ]  # fmt: skip


def test_answers_that_count_no_more_are_gone_with_the_next_one(site):
    for evidence in (b"a", b"b"):
        one = site.ask(evidence)
        site.reply()
        result(one)
        site.clock.advance(1.0)
    site.clock.advance(3.0)
    one = site.ask(b"c")
    site.reply()
    result(one)
    assert len(site.questions._kept) == 2  # a's was asked 5 s ago


# --- who is known ---------------------------------------------------------------------------------


def made_up(site, count=MOST_NEW):
    """Questions about so many sessions that there are not."""
    asked = [site.ask(b"made up %d" % number) for number in range(count)]
    assert all(map(waits, asked))
    return asked


def test_who_is_known_is_answered_while_made_up_sessions_fill_their_half(site):
    site.know(b"alice", b"bob")
    made_up(site)
    assert (MOST_NEW, MOST_ASKED) == (288, 576)
    for evidence, answer in ((b"alice", ALICE), (b"bob", BOB)):
        one = site.ask(evidence)
        assert waits(one)
        site.reply(answer, turn=-1)
        assert result(one) == answer
    assert set(site.lines[2:-2]) == {NEW}
    assert site.lines[-2:] == [KNOWN, KNOWN]


def test_there_are_no_more_new_ones_than_their_half(site):
    made_up(site)
    for _ in range(2):
        assert overloaded(site.ask(b"one more"))
    assert len(site.asked) == MOST_NEW
    assert waits(site.ask(b"made up 0"))  # who joins a question asks none


def end_by_an_answer(site, _asked):
    site.reply(ALICE)


def end_by_a_no(site, _asked):
    site.reply(NOBODY)


def end_by_an_outage(site, _asked):
    site.turns.pop(0).errback(CannotTell(Reason.SITE_FAILED, "words"))


def end_by_a_fault(site, _asked):
    site.turns.pop(0).errback(ZeroDivisionError())


def end_by_who_asked(_site, asked):
    asked[0].cancel()


@pytest.mark.parametrize(
    "end",
    [end_by_an_answer, end_by_a_no, end_by_an_outage, end_by_a_fault, end_by_who_asked],
)
def test_each_that_ends_makes_room_for_one_other(site, end):
    asked = made_up(site)
    end(site, asked)
    result(asked[0])
    assert site.questions._new == MOST_NEW - 1
    assert waits(site.ask(b"another"))
    assert overloaded(site.ask(b"one more"))


def test_of_who_is_known_none_is_counted_among_the_new(site):
    site.know(b"alice")
    asked = made_up(site, MOST_NEW - 1)
    one = site.ask(b"alice")
    site.reply(turn=-1)
    assert result(one) == ALICE
    asked += [site.ask(b"the last")]
    assert waits(asked[-1])
    assert overloaded(site.ask(b"one more"))


def test_at_the_end_none_is_counted_any_more(site):
    site.know(b"alice")
    asked = [*made_up(site, 3), site.ask(b"alice")]
    site.questions.stop()
    assert {result(one).reason for one in asked} == {Reason.STOPPING}
    assert (site.questions._new, site.questions._all) == (0, set())


def test_who_was_named_no_user_is_not_known(site):
    assert site.line(b"a") == NEW
    for answer in (NOBODY, Answer(None, Reason.SITE_USER_UNFIT)):
        site.ask(b"a")
        site.reply(answer)
        site.clock.advance(5.0)
        assert site.line(b"a") == NEW


def test_who_is_nobody_now_is_known_no_more(site):
    site.know(b"a")
    assert site.line(b"a") == KNOWN
    site.ask(b"a")
    site.reply(NOBODY)
    site.clock.advance(5.0)
    assert site.line(b"a") == NEW


def test_an_outage_makes_nobody_unknown(site):
    site.know(b"a")
    one = site.ask(b"a")
    site.turns.pop().errback(CannotTell(Reason.SITE_FAILED, "words"))
    result(one)
    assert site.line(b"a") == KNOWN


def test_who_is_known_is_known_where_no_answer_is_kept():
    site = Site(keep=0.0)
    site.know(b"a")
    assert site.line(b"a") == KNOWN


def test_so_many_are_known_and_who_has_not_come_for_longest_is_forgotten(site, monkeypatch):
    monkeypatch.setattr(questions, "MOST_KEPT", 3)
    site.know(b"a", b"b", b"c")
    site.know(b"a")
    site.know(b"d")
    assert [site.line(evidence) for evidence in (b"a", b"b", b"c", b"d")] == [
        KNOWN, NEW, KNOWN, KNOWN,
    ]  # fmt: skip
    assert len(site.questions._known) == 3


# --- secrets --------------------------------------------------------------------------------------


def test_marks_depend_on_a_random_key():
    marks = []
    for letter in (b"x", b"y"):
        site = Site(random=lambda size, letter=letter: letter * size)
        site.ask(b"abc")
        marks += site.questions._latest
    assert len(set(marks)) == 2
    assert all(len(mark) == 16 for mark in marks)


@pytest.mark.parametrize("fails", [False, True])
def test_a_cookie_is_kept_no_longer_than_its_question(site, fails):
    """Not even until the collector comes by."""

    class Evidence(bytes):
        """A copy that can be watched."""

    class Owned:
        pass

    evidence = Evidence(b"abc")
    evidence.owned = Owned()
    alive = weakref.ref(evidence.owned)
    asked = site.ask(evidence)
    site.asked.clear()
    del evidence
    assert alive() is not None
    gc.disable()
    try:
        if fails:
            site.turns.pop().errback(CannotTell(Reason.SITE_FAILED, "words"))
            asked.addErrback(lambda _: None)
        else:
            site.reply()
        now(asked)
        del asked
        assert alive() is None
    finally:
        gc.enable()


# --- the end --------------------------------------------------------------------------------------


def test_at_the_end_who_waits_is_told_and_nothing_is_asked_any_more(site):
    kept = site.ask(b"kept")
    site.reply()
    assert result(kept) == ALICE
    asked = [site.ask(b"a"), site.ask(b"a"), site.ask(b"b")]
    site.questions.stop()
    assert {result(one).reason for one in asked} == {Reason.STOPPING}
    assert sorted(site.cancelled) == [b"a", b"b"]
    for evidence in (b"a", b"kept"):
        assert result(site.ask(evidence)).reason is Reason.STOPPING
    assert len(site.asked) == 3


def test_an_answer_that_comes_in_spite_of_the_end_is_nobodys(site):
    """Of a site that cannot be cancelled."""
    waited = site.ask()
    turn = site.turns[0]
    turn._canceller = lambda deferred: deferred.callback(ALICE)
    site.questions.stop()
    assert result(waited).reason is Reason.STOPPING
    assert site.questions._kept == {}
