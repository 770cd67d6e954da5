"""Questions about tokens: when one answer is enough for several, and for how long."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock

from authbridge.model import Reason
from authbridge.providers import kept as module
from authbridge.providers.findings import Found, No
from authbridge.providers.kept import Kept
from tests.doubles import now

WALL = 1_800_000_000.0
ALICE = Found("alice", None, "sso")
INACTIVE = No.cannot_tell(Reason.PROVIDER_FAILED, "it does not say")


class Provider:
    """Answers with `answer`; where that is None, when the test calls `reply`."""

    def __init__(self, keep=5.0):
        self.clock = Clock()
        self.clock.advance(1000)
        self.answer = None
        self.back = 0.0
        self.asked = []
        self.waiting = []
        self.cancelled = 0
        self.kept = Kept(
            self.ask, self.clock.seconds, self.wall, lambda size: b"k" * size, keep=keep
        )

    def wall(self):
        return WALL + self.clock.seconds() - self.back

    async def ask(self, token):
        self.asked.append(token)
        if self.answer is not None:
            return await self.answer
        turn = Deferred(self._cancel)
        self.waiting.append(turn)
        return await turn

    def _cancel(self, turn):
        self.cancelled += 1
        self.waiting.remove(turn)

    def begin(self, token=b"one"):
        return Deferred.fromCoroutine(self.kept.answer(token))

    def reply(self, finding, turn=0):
        self.waiting.pop(turn).callback(finding)


def test_a_yes_is_kept_from_the_moment_of_the_question():
    sso = Provider()
    first = sso.begin()
    sso.clock.advance(2)
    sso.reply(ALICE)
    assert now(first) == ALICE
    sso.clock.advance(2.9)
    assert now(sso.begin()) == ALICE
    sso.clock.advance(0.1)
    assert not sso.begin().called
    assert sso.asked == [b"one", b"one"]


def test_a_no_and_an_outage_are_not_kept():
    sso = Provider()
    for _ in range(3):
        asked = sso.begin()
        sso.reply(INACTIVE)
        assert now(asked) is INACTIVE
    assert len(sso.asked) == 3


def test_a_yes_is_not_kept_beyond_the_tokens_end():
    sso = Provider()
    asked = sso.begin()
    sso.reply(Found("alice", sso.wall() + 3, "sso"))
    now(asked)
    sso.clock.advance(2.9)
    assert sso.begin().called
    sso.clock.advance(0.1)
    assert not sso.begin().called


def test_a_yes_that_is_over_stays_over_when_the_clock_is_set_back():
    sso = Provider()
    sso.begin()
    sso.reply(Found("alice", sso.wall() + 3, "sso"))
    sso.clock.advance(4)
    for sso.back in (0.0, 1000.0):
        sso.answer = succeed(INACTIVE)
        assert now(sso.begin()) is INACTIVE


def test_an_answer_that_came_late_is_not_kept():
    sso = Provider()
    asked = sso.begin()
    sso.clock.advance(5)
    sso.reply(ALICE)
    assert now(asked) == ALICE
    assert not sso.begin().called


def test_those_who_ask_at_once_wait_for_one_answer():
    sso = Provider()
    asked = [sso.begin(), sso.begin(), sso.begin(b"another")]
    assert sso.asked == [b"one", b"another"]
    sso.reply(INACTIVE)
    assert [one.called for one in asked] == [True, True, False]
    assert now(asked[1]) is INACTIVE


def test_a_question_from_too_long_ago_is_not_joined_and_does_not_take_the_new_ones_place():
    sso = Provider()
    old = sso.begin()
    sso.clock.advance(5)
    new = sso.begin()
    assert len(sso.asked) == 2
    sso.reply(ALICE)
    assert (old.called, new.called) == (True, False)
    joined = sso.begin()
    sso.reply(ALICE)
    assert (new.called, joined.called, len(sso.asked)) == (True, True, 2)


def test_with_nothing_kept_each_asks_for_himself():
    sso = Provider(keep=0.0)
    sso.begin(), sso.begin()
    assert len(sso.asked) == 2
    sso.reply(ALICE)
    sso.begin()
    assert len(sso.asked) == 3


def test_the_last_who_gives_up_ends_the_question():
    sso = Provider()
    first, second = sso.begin(), sso.begin()
    for one in (first, second):
        one.addErrback(lambda failure: failure.trap(CancelledError))
    first.cancel()
    assert sso.cancelled == 0
    second.cancel()
    assert sso.cancelled == 1
    third = sso.begin()
    assert len(sso.asked) == 2
    sso.reply(ALICE)
    assert now(third) == ALICE


def test_who_is_told_may_cancel_another_who_waits():
    sso = Provider()
    first, second = sso.begin(), sso.begin()
    second.addErrback(lambda failure: failure.trap(CancelledError))
    first.addCallback(lambda _: second.cancel())
    sso.reply(ALICE)
    assert now(second) is CancelledError


def test_a_bug_is_everybodys_who_waits():
    sso = Provider()
    first, second = sso.begin(), sso.begin()
    sso.waiting.pop().errback(KeyError("bug"))
    for one in (first, second):
        with pytest.raises(KeyError):
            now(one)
    sso.answer = fail(KeyError("bug"))
    with pytest.raises(KeyError):
        now(sso.begin())


def test_an_answer_may_be_there_at_once():
    sso = Provider()
    sso.answer = succeed(ALICE)
    assert now(sso.begin()) == ALICE
    assert now(sso.begin()) == ALICE
    assert len(sso.asked) == 1


def test_so_many_are_kept_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    sso = Provider()
    for token in (b"one", b"two", b"three"):
        asked = sso.begin(token)
        sso.reply(ALICE)
        now(asked)
    assert sso.begin(b"two").called
    assert sso.begin(b"three").called
    assert not sso.begin(b"one").called


def test_what_is_over_goes_when_something_new_comes():
    sso = Provider()
    for token in (b"one", b"two"):
        asked = sso.begin(token)
        sso.reply(ALICE)
        now(asked)
        sso.clock.advance(3)
    assert sso.begin(b"two").called
    assert len(sso.kept._kept) == 2
    asked = sso.begin(b"three")
    sso.reply(ALICE)
    now(asked)
    assert len(sso.kept._kept) == 2


def test_nothing_of_a_token_is_kept_but_a_mark():
    sso = Provider()
    asked = sso.begin(b"s3cret-token")
    sso.reply(ALICE)
    now(asked)
    assert b"s3cret" not in repr(vars(sso.kept)).encode()
