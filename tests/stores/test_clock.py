"""A clock that never goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.stores.clock import Clock


class Times:
    """The machine's clock, and one that nobody sets."""

    def __init__(self, wall=1000.0):
        self.wall = wall
        self.monotonic = 50.0
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic)

    def passes(self, seconds):
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def times():
    return Times()


def test_it_is_the_machine_s_clock(times):
    assert times.clock.now() == 1000
    times.passes(2.5)
    assert times.clock.now() == 1002.5
    assert times.clock.ahead() == 0


def test_a_clock_set_forward_is_believed(times):
    times.wall += 3600
    assert times.clock.now() == 4600
    assert times.clock.ahead() == 0


def test_where_the_clock_is_set_back_time_goes_on_nevertheless(times):
    times.clock.now()
    times.wall -= 600
    assert times.clock.now() == 1000
    times.passes(10)
    assert times.clock.now() == 1010
    assert times.clock.ahead() == 600
    times.passes(10)
    assert times.clock.ahead() == 600  # asked before `now` as well
    times.wall += 590
    assert times.clock.ahead() == 10
    times.wall += 30
    assert times.clock.now() == 1040
    assert times.clock.ahead() == 0


def test_it_is_later_than_what_others_have_seen(times):
    times.clock.not_before(5000.0)
    assert times.clock.now() == 5000
    times.passes(7)
    assert times.clock.now() == 5007
    assert times.clock.ahead() == 4000


def test_what_others_have_seen_long_ago_changes_nothing(times):
    times.clock.not_before(10.0)
    assert times.clock.now() == 1000


def test_a_monotonic_clock_that_is_not_takes_no_time_away(times):
    times.monotonic -= 20
    times.wall -= 20
    assert times.clock.now() == 1000
    times.passes(5)
    assert times.clock.now() == 1005


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 1e6))))
def test_it_never_goes_back(steps):
    times = Times()
    latest = times.clock.now()
    for step, passed in steps:
        times.wall += step
        times.monotonic += passed
        moment = times.clock.now()
        assert moment >= latest
        assert moment >= times.wall
        latest = moment


def test_what_others_have_seen_just_now_moves_nothing(times):
    """However long ago it was asked last, as by a daemon that could not get at its store."""
    times.clock.now()
    times.passes(3600)
    times.clock.not_before(times.wall)
    assert times.clock.now() == times.wall
    assert times.clock.ahead() == 0


def test_two_that_tell_each_other_do_not_drive_each_other_on(times):
    other = Times()
    delay = 0.001
    for _ in range(2000):
        for one, another in ((times, other), (other, times)):
            seen = one.clock.now()
            for each in (times, other):
                each.passes(delay)
            another.clock.not_before(seen)
    assert times.clock.now() == other.clock.now() == times.wall
