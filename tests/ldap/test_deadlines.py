"""One limit for all, one timer for all."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from authbridge.ldap.deadlines import Deadlines


class Errand:
    """Something that is due."""

    def __init__(self, clock, then=None):
        self.ended = False
        self.expired_at = []
        self._clock = clock
        self._then = then

    def expire(self):
        self.ended = True
        self.expired_at.append(self._clock.seconds())
        if self._then:
            self._then()


@pytest.fixture
def clock():
    return Clock()


def test_each_expires_once_and_at_its_own_time(clock):
    deadlines = Deadlines(clock, 4)
    errands = []
    for _ in range(5):
        errands.append(Errand(clock))
        deadlines.watch(errands[-1])
        clock.advance(1)
    clock.pump([0.5] * 20)
    assert [errand.expired_at for errand in errands] == [[4], [5], [6], [7], [8]]
    assert clock.getDelayedCalls() == []


def test_what_has_ended_does_not_expire_and_there_is_one_timer_at_most(clock):
    deadlines = Deadlines(clock, 4)
    errands = [Errand(clock) for _ in range(100)]
    for errand in errands:
        deadlines.watch(errand)
        errand.ended = True
        assert len(clock.getDelayedCalls()) == 1
    late = Errand(clock)
    clock.advance(2)
    deadlines.watch(late)
    clock.advance(2)
    assert late.expired_at == []
    clock.advance(2)
    assert late.expired_at == [6]
    assert not any(errand.expired_at for errand in errands)


def test_what_has_ended_is_not_kept(clock):
    deadlines = Deadlines(clock, 4)
    for _ in range(1000):
        errand = Errand(clock)
        deadlines.watch(errand)
        errand.ended = True
    assert len(deadlines._line) <= 2


def test_who_is_put_in_line_by_an_expiry_has_all_of_its_time(clock):
    deadlines = Deadlines(clock, 4)
    second = Errand(clock)
    deadlines.watch(Errand(clock, lambda: deadlines.watch(second)))
    clock.pump([1] * 10)
    assert second.expired_at == [8]


def test_who_is_put_in_line_by_an_expiry_makes_nobody_late(clock):
    deadlines = Deadlines(clock, 4)
    deadlines.watch(Errand(clock, lambda: deadlines.watch(Errand(clock))))
    clock.advance(1)
    other = Errand(clock)
    deadlines.watch(other)
    clock.advance(3)
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([1] * 10)
    assert other.expired_at == [5]


def test_an_expiry_that_is_a_bug_costs_nobody_elses_deadline(clock):
    deadlines = Deadlines(clock, 4)
    deadlines.watch(Errand(clock, lambda: 1 / 0))
    clock.advance(1)
    other = Errand(clock)
    deadlines.watch(other)
    with pytest.raises(ZeroDivisionError):
        clock.advance(3)
    later = Errand(clock)
    deadlines.watch(later)
    clock.pump([1] * 10)
    assert [other.ended, later.ended] == [True, True]


def test_a_stop_may_be_called_by_an_expiry(clock):
    deadlines = Deadlines(clock, 4)
    deadlines.watch(Errand(clock, deadlines.stop))
    other = Errand(clock)
    deadlines.watch(other)
    clock.advance(4)
    assert clock.getDelayedCalls() == []
    assert other.expired_at == []


def test_who_is_put_in_line_twice_is_due_by_the_second_time(clock):
    deadlines = Deadlines(clock, 4)
    errand = Errand(clock)
    deadlines.watch(errand)
    clock.advance(3)
    deadlines.watch(errand)
    clock.pump([1] * 10)
    assert errand.expired_at == [7]


def test_all_that_are_due_expire_even_when_the_clock_was_late(clock):
    deadlines = Deadlines(clock, 4)
    errands = [Errand(clock) for _ in range(3)]
    for errand in errands:
        deadlines.watch(errand)
        clock.advance(0.1)
    clock.advance(60)
    assert all(errand.expired_at for errand in errands)


def test_a_stop_watches_nothing_any_more(clock):
    deadlines = Deadlines(clock, 4)
    deadlines.stop()
    errand = Errand(clock)
    deadlines.watch(errand)
    deadlines.stop()
    assert clock.getDelayedCalls() == []
    clock.advance(10)
    assert errand.expired_at == []
    deadlines.watch(errand)
    clock.advance(4)
    assert errand.expired_at == [14]
