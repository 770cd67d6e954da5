"""The connections of one listener: the caps, who makes way, and what the log says of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.rooms import MOST, QUIET, sizes
from tests.guests import Guest, Place

# --- how large ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("descriptors", "share", "listeners", "expected"),
    [
        (1024, 0.5, 1, (512, 384)),
        (1024, 0.5, 3, (170, 127)),
        (1024, 0.25, 2, (128, 96)),
        (2 * MOST, 0.5, 1, (MOST, MOST * 3 // 4)),
        (10**9, 0.5, 1, (MOST, MOST * 3 // 4)),
        (10**9, 0.25, 4, (MOST, MOST * 3 // 4)),
        (4, 0.5, 3, (1, 1)),
        (0, 0.5, 1, (1, 1)),
    ],
)
def test_where_nothing_is_said_listeners_share_the_descriptors(
    descriptors, share, listeners, expected
):
    assert sizes(descriptors, share, listeners, None, None) == expected


@pytest.mark.parametrize(
    ("most", "of_a_peer", "expected"),
    [
        (40, None, (40, 30)),
        (40, 40, (40, 40)),
        (None, 3, (170, 3)),
        (1, None, (1, 1)),
        (256, None, (256, 192)),  # the last that fits
    ],
)
def test_what_is_said_is_so(most, of_a_peer, expected):
    assert sizes(1024, 0.5, 3, most, of_a_peer) == expected


def test_more_than_a_container_has_by_default_may_be_said():
    assert sizes(10**9, 0.5, 1, 1_000_000, None) == (1_000_000, 750_000)


def test_what_leaves_too_little_for_everything_else_is_refused():
    with pytest.raises(ValueError) as raised:
        sizes(1024, 0.5, 3, 257, None)
    assert str(raised.value) == (
        "771 connections (257 of each listener) are too many for the 1024 descriptors that the "
        "daemon may have (ulimit -n), of which a quarter is for everything else"
    )


def test_nothing_is_too_much_for_a_front_end_that_does_not_listen():
    assert sizes(1024, 0.5, 0, 1_000_000, None)[0] == 1_000_000
    assert sizes(1024, 0.5, 0, None, None)[0] == 512


@given(
    st.integers(1, 1 << 31),
    st.sampled_from([0.25, 0.5]),
    st.integers(1, 20),
    st.none() | st.integers(1, 1_000_000),
)
def test_a_quarter_of_the_descriptors_remains_whatever_is_said(descriptors, share, listeners, most):
    """Unless there is not even one for each listener."""
    try:
        each, of_a_peer = sizes(descriptors, share, listeners, most, None)
    except ValueError:
        assert most * listeners > descriptors * 3 / 4
        return
    assert 1 <= of_a_peer <= each
    assert each == 1 or each * listeners <= descriptors * 3 / 4


# --- caps -----------------------------------------------------------------------------------------


def test_a_full_room_of_guests_that_are_served_takes_nobody():
    place = Place(most=2)
    first = place.enter("first")
    place.enter("second", "b")
    assert not place.room.enter(place.guest("third"), "c")
    assert place.told == []
    place.room.leave(first)
    assert place.room.enter(place.guest("fourth"), "c")


def test_a_peer_has_no_more_than_its_own_places():
    place = Place(most_of_a_peer=2)
    first = place.enter("first")
    place.enter("second")
    assert not place.room.enter(place.guest("third"), "a")
    assert place.room.enter(place.guest("other"), "b")
    place.room.leave(first)
    assert place.room.enter(place.guest("fourth"), "a")
    assert place.told == []


def test_who_was_turned_away_has_no_place_to_give_up():
    place = Place(most=1)
    place.enter("first")
    away = place.guest("away")
    assert not place.room.enter(away, "b")
    place.room.leave(away)
    place.room.expect(away, 1.0)
    assert not place.room.enter(place.guest("third"), "b")
    assert place.alarms() == []


def test_a_place_is_given_up_once():
    place = Place(most=2, most_of_a_peer=1)
    first = place.enter("first", seconds=5.0)
    place.enter("second", "b")
    for _ in range(2):
        place.room.leave(first)
    assert place.room.enter(place.guest("third"), "a")
    assert not place.room.enter(place.guest("fourth"), "a")
    place.clock.advance(10)
    assert place.told == []


# --- who makes way --------------------------------------------------------------------------------


def test_in_a_full_room_who_keeps_us_waiting_longest_makes_way():
    """Since when counts, not until when."""
    place = Place(most=3)
    place.enter("patient", "a", seconds=75.0)
    place.clock.advance(1)
    place.enter("hasty", "b", seconds=15.0)
    place.clock.advance(1)
    place.enter("last", "c", seconds=1.5)
    place.enter("d", "d", seconds=15.0)
    place.enter("e", "e", seconds=15.0)
    assert place.who("make way") == ["patient", "hasty"]


def test_who_is_expected_anew_has_not_kept_us_waiting():
    place = Place(most=2)
    first = place.enter("first", seconds=15.0)
    place.clock.advance(1)
    place.enter("second", seconds=15.0)
    place.clock.advance(1)
    place.room.expect(first, 15.0)
    place.enter("third", "b")
    assert place.who("make way") == ["second"]


def test_who_is_served_never_makes_way():
    place = Place(most=2)
    served = place.enter("served", seconds=15.0)
    place.clock.advance(1)
    place.enter("idle", seconds=15.0)
    place.room.served(served)
    assert place.room.enter(place.guest("third"), "b")
    assert place.who("make way") == ["idle"]
    assert not place.room.enter(place.guest("fourth"), "b")


def test_for_a_peer_that_has_all_its_places_one_of_its_own_makes_way():
    place = Place(most=4, most_of_a_peer=2)
    place.enter("oldest", "b", seconds=15.0)
    place.clock.advance(1)
    place.enter("mine", "a", seconds=75.0)
    place.clock.advance(1)
    place.enter("mine too", "a", seconds=15.0)
    place.enter("new", "a")
    place.enter("newer", "a")
    assert place.who("make way") == ["mine", "mine too"]
    assert not place.room.enter(place.guest("newest"), "a")
    assert place.who("overdue") == []


class Other(Guest):
    """Counts how often one of its kind is looked at."""

    looked_at = 0

    def __hash__(self):
        Other.looked_at += 1
        return id(self)


def test_for_one_of_its_own_nobody_elses_is_looked_at():
    """A peer that comes a thousand times a second would keep everybody waiting for the search."""
    place = Place(most_of_a_peer=2)
    for number in range(9):
        place.enter(f"other {number}", f"b{number}", seconds=15.0, kind=Other)
    place.enter("served", "a")
    idle = place.enter("idle", "a", seconds=15.0)
    before = Other.looked_at
    place.enter("third", "a")
    assert place.who("make way") == [idle.name]
    assert not place.room.enter(place.guest("fourth"), "a")
    assert Other.looked_at == before


def test_a_peer_with_all_its_places_takes_none_of_anybody_elses_in_a_full_room():
    place = Place(most=3, most_of_a_peer=2)
    place.enter("other", "b", seconds=15.0)
    for name in ("mine", "mine too"):
        place.enter(name, "a")
    assert not place.room.enter(place.guest("new"), "a")
    assert place.told == []


# --- what the log says ----------------------------------------------------------------------------


def full(events):
    return [
        (event["name"], event["what"])
        for event in events
        if "is full" in event.get("log_format", "")
    ]


def test_the_log_says_who_makes_way_or_that_nobody_does(events):
    place = Place(most=2)
    place.enter("served")
    place.enter("idle", seconds=15.0)
    for _ in range(3):
        place.room.enter(place.guest("new"), "b")
    assert [event["then"] for event in events if "then" in event] == [
        "whoever has kept it waiting longest makes way",
        "whoever comes is turned away",
    ]


def test_a_full_room_is_told_once_a_minute(events):
    place = Place(most=4)
    for number in range(4):
        place.enter(str(number))
    for _ in range(3):
        assert not place.room.enter(place.guest("away"), "b")
    place.clock.advance(QUIET - 1)
    assert not place.room.enter(place.guest("away"), "b")
    assert full(events) == [("tcp:9281", "4")]
    place.clock.advance(1)
    assert not place.room.enter(place.guest("away"), "b")
    assert full(events) == [("tcp:9281", "4")] * 2


def test_a_peer_that_has_all_its_places_is_named(events):
    place = Place(most=4, most_of_a_peer=3)
    for number in range(4):
        place.enter(str(number), "192.0.2.1", seconds=15.0)
    assert full(events) == [("tcp:9281", "3 of 192.0.2.1")]


def test_a_peer_that_has_all_its_places_is_told_once_whoever_else_comes(events):
    """Else the log has a line for each connection of whoever attacks."""
    place = Place(most=100, most_of_a_peer=2)
    for number in range(10):
        place.enter(f"theirs {number}", "192.0.2.1", seconds=15.0)
        place.enter(f"ours {number}", f"127.0.0.{number + 1}")
    assert len(full(events)) == 1
