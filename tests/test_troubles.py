"""Outages in the log: when they begin, once a minute, and when they are over."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from authbridge.troubles import QUIET, SETTLED, Troubles


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def troubles(clock):
    return Troubles(clock.seconds)


def texts(events):
    return [formatEvent(event) for event in events]


def test_a_trouble_is_told_when_it_begins(troubles, events):
    troubles.met("site www", "connection refused")
    assert texts(events) == ["site www: connection refused"]


def test_the_same_is_told_again_after_a_minute_with_its_age(troubles, clock, events):
    troubles.met("site www", "connection refused")
    clock.advance(QUIET - 1)
    troubles.met("site www", "connection refused")
    assert len(events) == 1
    clock.advance(1)
    troubles.met("site www", "connection refused")
    assert texts(events)[1:] == ["site www: connection refused (since 60 s)"]


def test_other_words_are_told_no_sooner_and_are_as_old_as_the_first(troubles, clock, events):
    """Whoever can choose the words, or have two of them come by turns, fills no log."""
    troubles.met("site www", "connection refused")
    for _ in range(12):
        clock.advance(5)
        assert len(events) == 1
        troubles.met("site www", "answers 500")
    assert texts(events)[1:] == ["site www: answers 500 (since 60 s)"]


def test_the_minute_begins_with_each_line(troubles, clock, events):
    for _ in range(int(QUIET * 3)):
        troubles.met("site www", "connection refused")
        clock.advance(1)
    assert texts(events) == [
        "site www: connection refused",
        "site www: connection refused (since 60 s)",
        "site www: connection refused (since 120 s)",
    ]


def test_it_is_a_warning_and_its_end_is_none(troubles, clock, events):
    troubles.met("site www", "connection refused")
    clock.advance(SETTLED)
    troubles.over("site www")
    assert [event["log_level"].name for event in events] == ["warn", "info"]


def test_its_end_is_told_once(troubles, clock, events):
    troubles.met("site www", "connection refused")
    clock.advance(90)
    troubles.over("site www")
    troubles.over("site www")
    assert texts(events)[1:] == ["site www: well again, after 90 s"]


def test_it_is_over_after_some_seconds_without_it(troubles, clock, events):
    assert SETTLED == 5.0
    troubles.met("site www", "connection refused")
    clock.advance(4)
    troubles.met("site www", "connection refused")
    clock.advance(4.5)
    troubles.over("site www")
    assert len(events) == 1
    clock.advance(0.5)
    troubles.over("site www")
    assert texts(events)[1:] == ["site www: well again, after 9 s"]


def test_what_comes_and_goes_is_told_once_a_minute(troubles, clock, events):
    for _ in range(int(QUIET)):
        troubles.met("site www", "connection refused")
        clock.advance(1)
        troubles.over("site www")
    assert texts(events) == ["site www: connection refused"]


def test_what_is_over_and_comes_again_is_told_once_a_minute(troubles, clock, events):
    for _ in range(10):
        troubles.met("site www", "connection refused")
        clock.advance(SETTLED)
        troubles.over("site www")
        clock.advance(1)
    assert texts(events) == [
        "site www: connection refused",
        "site www: well again, after 5 s",
    ]
    troubles.met("site www", "answers 500")
    assert texts(events)[2:] == ["site www: answers 500"]


def test_who_was_never_in_trouble_is_not_told_of(troubles, events):
    troubles.over("site www")
    assert not events


def test_each_has_its_own(troubles, clock, events):
    troubles.met("site www", "connection refused")
    troubles.met("site forum", "connection refused")
    clock.advance(SETTLED)
    troubles.over("site www")
    assert texts(events) == [
        "site www: connection refused",
        "site forum: connection refused",
        "site www: well again, after 5 s",
    ]
