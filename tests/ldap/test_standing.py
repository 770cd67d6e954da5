"""How a server stands: well, doubted, avoided, down; and for how long."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from authbridge.ldap.faults import Fault
from authbridge.ldap.standing import LONGEST_AVOIDED, Standing
from authbridge.model import Reason

FAULT = Fault(Reason.DIRECTORY_SILENT, "not a word")
OTHER = Fault(Reason.DIRECTORY_UNREACHABLE, "connection refused")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def standing(clock):
    return Standing(clock, lambda: 0.0)


def state(standing):
    return standing.well, standing.rank, standing.down, standing.doubts


def avoided_for(clock, standing):
    """Seconds for which it is avoided from now on."""
    standing.avoid()
    assert standing.rank == 1
    (call,) = clock.getDelayedCalls()
    seconds = call.getTime() - clock.seconds()
    clock.advance(seconds)
    assert standing.well
    return seconds


def test_a_server_of_which_nothing_is_known_is_well(standing):
    assert state(standing) == (True, 0, None, None)


def test_a_doubted_one_comes_after_those_that_are_well_and_before_those_that_are_down(standing):
    standing.doubt(FAULT)
    assert state(standing) == (False, 1, None, FAULT)
    standing.refused(OTHER)
    assert state(standing) == (False, 2, OTHER, None)


def test_what_is_down_is_not_doubted(standing):
    standing.refused(OTHER)
    standing.doubt(FAULT)
    assert state(standing) == (False, 2, OTHER, None)


@pytest.mark.parametrize("against", ["doubt", "refused"])
def test_a_connection_ends_doubt_and_outage(standing, against):
    getattr(standing, against)(FAULT)
    standing.connected()
    assert state(standing) == (True, 0, None, None)


def test_rests_grow_from_one_second_to_four_and_begin_anew_with_a_connection(standing):
    assert [standing.rest() for _ in range(6)] == [1, 2, 4, 4, 4, 4]
    standing.connected()
    assert [standing.rest() for _ in range(2)] == [1, 2]


def test_rests_do_not_overflow_in_a_long_outage(standing):
    assert {standing.rest() for _ in range(5000)} == {1, 2, 4}


@pytest.mark.parametrize(("chance", "share"), [(0.0, 1.0), (0.5, 0.875), (0.999, 0.75025)])
def test_chance_makes_rests_and_avoidance_shorter_by_a_quarter_at_most(clock, chance, share):
    standing = Standing(clock, lambda: chance)
    assert [standing.rest() for _ in range(3)] == pytest.approx([share, 2 * share, 4 * share])
    assert avoided_for(clock, standing) == pytest.approx(share)


def test_each_rest_has_a_chance_of_its_own(clock):
    standing = Standing(clock, iter([0.0, 1.0, 0.5]).__next__)
    assert [standing.rest() for _ in range(3)] == [1.0, 1.5, 3.5]


def test_avoidance_grows_for_who_fails_again_and_again(clock, standing):
    found = [avoided_for(clock, standing) for _ in range(9)]
    assert found == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_avoidance_does_not_overflow(clock, standing):
    assert {avoided_for(clock, standing) for _ in range(2000)} == {1, 2, 4, 8, 16, 32, 60}


def test_avoidance_is_forgotten_a_minute_after_it_ended(clock, standing):
    assert [avoided_for(clock, standing) for _ in range(3)] == [1, 2, 4]
    clock.advance(LONGEST_AVOIDED - 0.001)
    assert avoided_for(clock, standing) == 8
    clock.advance(LONGEST_AVOIDED)
    assert avoided_for(clock, standing) == 1


def test_a_connection_does_not_end_avoidance(clock, standing):
    """That it can be connected to is known: it is what comes afterwards that fails."""
    standing.avoid()
    standing.connected()
    assert state(standing) == (False, 1, None, None)
    clock.advance(1)
    assert standing.well


def test_many_faults_of_one_moment_are_one(clock, standing):
    for _ in range(100):
        standing.avoid()
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(1)
    assert avoided_for(clock, standing) == 2


def test_avoidance_that_ends_leaves_doubts_and_outages_alone(clock, standing):
    standing.avoid()
    standing.doubt(FAULT)
    clock.advance(1)
    assert state(standing) == (False, 1, None, FAULT)


def test_a_stop_leaves_no_timer(clock, standing):
    standing.stop()
    standing.avoid()
    standing.stop()
    assert clock.getDelayedCalls() == []
    standing.stop()
