"""The connections of one listener: the caps, who makes way, and what the log says of it."""

from __future__ import annotations

from authbridge.rooms import QUIET
from tests.guests import Place

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
