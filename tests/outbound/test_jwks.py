"""Keys by URL: when they are fetched, how long they are used, and what is said of it."""

from __future__ import annotations

import gc

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent

from authbridge.outbound.https import FetchFailed
from authbridge.outbound.jwks import KeysByUrl

URL = "https://www.example.org/keys"
REFRESH, STALE = 900.0, 86400.0


class Publisher:
    """Where the keys are: each fetch waits for the test's answer."""

    def __init__(self):
        self.asked = 0
        self.turns = []
        self.cancelled = 0

    async def fetch(self):
        self.asked += 1
        turn = Deferred(self._cancel)
        self.turns.append(turn)
        return await turn

    def _cancel(self, turn):
        self.cancelled += 1

    def answer(self, answer):
        """Octets, or why there are none."""
        turn = self.turns.pop(0)
        if isinstance(answer, Exception):
            turn.errback(answer)
        else:
            turn.callback(answer)


def parse(content):
    if content.startswith(b"<"):
        raise ValueError("this is no JSON")
    if content.startswith(b"!"):
        raise KeyError(content.decode())
    return content.decode()


class House:
    """Keys with their clock, their chance and their publisher in the test's hands."""

    def __init__(self, refresh=REFRESH, stale=STALE):
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.chance = 0.5
        self.publisher = Publisher()
        self.keys = KeysByUrl(
            URL, self.publisher.fetch, parse,
            clock=self.clock, chance=lambda: self.chance, refresh=refresh, stale=stale,
        )  # fmt: skip

    @property
    def asked(self):
        return self.publisher.asked

    def begin(self, answer=b"one"):
        """Start, and have the first fetch answered."""
        self.keys.start()
        self.publisher.answer(answer)
        return self

    def due(self):
        """Seconds to the next fetch."""
        (call,) = self.clock.getDelayedCalls()
        return call.getTime() - self.clock.seconds()

    def set_back(self, seconds):
        """As an administrator does it, or a time server: what was to come is as far away."""
        self.clock.rightNow -= seconds


@pytest.fixture
def house():
    return House()


def lines(events):
    return [(event["log_level"], formatEvent(event)) for event in events]


# --- the ordinary course --------------------------------------------------------------------------


def test_nothing_is_fetched_before_the_start(house):
    assert house.keys.current() is None
    assert not house.keys.ask_again()
    assert (house.asked, house.clock.getDelayedCalls()) == (0, [])


def test_they_are_fetched_at_the_start_and_are_there_when_that_is_over(house):
    house.keys.start()
    assert (house.asked, house.keys.current(), house.keys.fetched) == (1, None, None)
    house.publisher.answer(b"one")
    assert house.keys.current() == "one"
    assert house.keys.fetched == house.clock.seconds()
    assert house.keys.trouble == ""


def test_a_second_start_begins_nothing(house):
    house.begin()
    house.keys.start()
    assert house.asked == 1


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.9), (0.5, 1.0), (0.999, 1.0998)])
def test_they_are_fetched_again_a_tenth_earlier_or_later_by_chance(house, chance, share):
    house.chance = chance
    house.begin()
    assert house.due() == pytest.approx(REFRESH * share)
    house.clock.advance(house.due())
    assert house.asked == 2
    assert house.keys.current() == "one"
    house.publisher.answer(b"two")
    assert house.keys.current() == "two"
    assert house.due() == pytest.approx(REFRESH * share)


def test_there_is_one_fetch_at_a_time(house):
    house.keys.start()
    house.clock.advance(10 * REFRESH)
    assert house.asked == 1
    assert house.clock.getDelayedCalls() == []


def test_nothing_is_said_while_all_is_well(house, events):
    house.begin()
    house.clock.advance(REFRESH)
    house.publisher.answer(b"two")
    assert lines(events) == []


# --- while they cannot be fetched -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("chance", "share"), [(0.0, 1.0), (0.5, 0.95), (0.999, 0.9001)], ids=["0", "1/2", "1"]
)
def test_after_a_failure_it_is_tried_sooner_then_ever_later(house, chance, share):
    house.chance = chance
    house.begin()
    house.clock.advance(house.due())
    for seconds in [5, 10, 20, 40, 60, 60, 60] + 20 * [60]:
        house.publisher.answer(FetchFailed("connection refused"))
        assert house.due() == pytest.approx(seconds * share)
        house.clock.advance(house.due())
    house.publisher.answer(b"two")
    assert house.due() == pytest.approx(REFRESH * (0.9 + 0.2 * chance))
    house.clock.advance(house.due())
    house.publisher.answer(FetchFailed("connection refused"))
    assert house.due() == pytest.approx(5 * share)


def test_it_is_never_tried_more_slowly_than_when_all_is_well():
    house = House(refresh=7)
    house.chance = 0.0
    house.begin(FetchFailed("connection refused"))
    assert house.due() == 5
    house.clock.advance(5)
    house.publisher.answer(FetchFailed("connection refused"))
    assert house.due() == 7


def test_the_keys_stay_in_force_meanwhile_until_they_are_stale(house):
    house.begin()
    house.clock.advance(REFRESH)
    house.publisher.answer(FetchFailed("connection refused"))
    house.clock.rightNow += STALE - REFRESH
    assert house.keys.current() == "one"
    house.clock.rightNow += 1
    assert house.keys.current() is None
    house.clock.advance(0)
    house.publisher.answer(b"two")
    assert house.keys.current() == "two"


def test_a_fetch_that_hangs_keeps_stale_keys_no_longer(house):
    house.begin()
    house.clock.advance(REFRESH)
    house.clock.advance(STALE)
    assert (house.keys.current(), house.asked) == (None, 2)


def test_what_cannot_be_parsed_leaves_the_old_keys_in_force(house, events):
    house.begin()
    house.clock.advance(REFRESH)
    house.publisher.answer(b"<html>")
    assert house.keys.current() == "one"
    assert house.keys.trouble.startswith("what is there cannot be used: this is no JSON, for 0 s")
    assert house.due() == pytest.approx(4.75)
    assert lines(events) == [
        (
            LogLevel.error,
            f"{URL}: what is there cannot be used: this is no JSON; "
            "the keys fetched before stay in force",
        )
    ]


def test_trouble_is_said_when_it_begins_and_changes_and_when_it_is_over(house, events):
    house.begin(FetchFailed("connection refused"))
    for trouble in ["connection refused", "the certificate has expired", "connection refused"]:
        house.clock.advance(house.due())
        house.publisher.answer(FetchFailed(trouble))
    house.clock.advance(house.due())
    house.publisher.answer(b"one")
    house.clock.advance(house.due())
    house.publisher.answer(b"two")
    assert lines(events) == [
        (LogLevel.error, f"{URL}: connection refused; there are no keys yet"),
        (LogLevel.error, f"{URL}: the certificate has expired; there are no keys yet"),
        (LogLevel.error, f"{URL}: connection refused; there are no keys yet"),
        (LogLevel.info, f"{URL}: fetched again, after 71 s"),
    ]


def test_it_is_said_when_the_keys_have_become_too_old(house, events):
    house.begin()
    house.clock.advance(REFRESH)
    house.publisher.answer(FetchFailed("connection refused"))
    house.clock.advance(STALE)
    house.publisher.answer(FetchFailed("connection refused"))
    assert [text for _, text in lines(events)] == [
        f"{URL}: connection refused; the keys fetched before stay in force",
        f"{URL}: connection refused; the keys fetched before are too old to be used",
    ]


def test_trouble_tells_why_and_for_how_long(house):
    house.begin()
    house.clock.advance(REFRESH)
    house.publisher.answer(FetchFailed("connection refused"))
    assert house.keys.trouble == "connection refused, for 0 s now"
    house.clock.advance(house.due())
    house.publisher.answer(FetchFailed("the certificate has expired"))
    house.clock.advance(3)
    assert house.keys.trouble == "the certificate has expired, for 8 s now"
    house.clock.advance(house.due())
    assert house.keys.trouble  # a fetch that is under way is no success
    house.publisher.answer(b"two")
    assert house.keys.trouble == ""


def test_a_bug_is_logged_without_what_it_choked_on_and_fetching_goes_on(house, events):
    house.begin()
    house.clock.advance(REFRESH)
    house.publisher.answer(b"!secret")
    assert house.keys.current() == "one"
    assert "in the log" in house.keys.trouble
    assert "secret" not in house.keys.trouble
    first, second = events
    assert first["log_failure"].check(KeyError)
    assert "secret" not in formatEvent(second)
    house.clock.advance(house.due())
    house.publisher.answer(b"two")
    assert house.keys.current() == "two"


# --- a key that is not there ----------------------------------------------------------------------


def test_a_missing_key_begins_a_fetch_once_the_last_is_ten_seconds_past(house):
    house.begin()
    house.clock.advance(9.9)
    assert not house.keys.ask_again()
    assert house.asked == 1
    house.clock.advance(0.1)
    assert house.keys.ask_again()
    assert house.asked == 2
    house.publisher.answer(b"two")
    assert house.keys.current() == "two"
    assert not house.keys.ask_again()
    assert house.due() == REFRESH


def test_while_a_fetch_is_under_way_it_cannot_be_told_whether_there_is_a_key(house):
    house.keys.start()
    assert house.keys.ask_again()
    house.clock.advance(60)
    assert house.keys.ask_again()
    assert house.asked == 1


def test_a_fetch_that_failed_a_moment_ago_is_not_tried_again_either(house):
    house.begin()
    house.clock.advance(10)
    assert house.keys.ask_again()
    house.publisher.answer(FetchFailed("connection refused"))
    assert not house.keys.ask_again()
    house.clock.advance(4)
    assert not house.keys.ask_again()
    assert house.asked == 2


def test_the_seconds_count_from_the_end_of_the_last_fetch(house):
    house.keys.start()
    house.clock.advance(9)
    house.publisher.answer(b"one")
    house.clock.advance(9)
    assert not house.keys.ask_again()


# --- who waits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"one", FetchFailed("no"), b"<html>", b"!"])
def test_who_waits_for_the_first_fetch_is_told_when_it_is_over_good_or_bad(house, answer):
    house.keys.start()
    turns = [house.keys.ready() for _ in range(3)]
    turns[1].addErrback(lambda failure: failure.trap(CancelledError))
    turns[1].cancel()
    assert [turn.called for turn in turns] == [False, True, False]
    house.publisher.answer(answer)
    assert [turn.called for turn in turns] == [True, True, True]


def test_where_no_fetch_is_under_way_nobody_waits(house):
    assert house.keys.ready().called
    house.begin()
    assert house.keys.ready().called
    house.clock.advance(REFRESH)
    assert not house.keys.ready().called


def test_who_waits_sees_the_new_keys(house):
    seen = []
    house.keys.start()
    house.keys.ready().addCallback(lambda _: seen.append(house.keys.current()))
    house.publisher.answer(b"one")
    assert seen == ["one"]


# --- the end --------------------------------------------------------------------------------------


def test_a_stop_cancels_the_timer_and_the_keys_stay_what_they_are(house):
    house.begin()
    house.keys.stop()
    assert house.clock.getDelayedCalls() == []
    assert house.keys.current() == "one"
    house.clock.advance(60)
    assert not house.keys.ask_again()
    assert house.asked == 1


def test_a_stop_cancels_a_fetch_under_way_without_a_word(house, events):
    house.keys.start()
    turn = house.keys.ready()
    house.keys.stop()
    assert house.publisher.cancelled == 1
    assert turn.called
    gc.collect()
    assert lines(events) == []
    assert (house.keys.trouble, house.clock.getDelayedCalls()) == ("", [])


@pytest.mark.parametrize("answer", [b"late", FetchFailed("late"), b"!late"])
def test_a_fetch_that_cannot_be_cancelled_counts_for_nothing(house, events, answer):
    late = Deferred()

    async def fetch():
        try:
            await Deferred()
        except CancelledError:
            return await late

    house.keys._fetch = fetch
    house.keys.start()
    house.keys.stop()
    if isinstance(answer, Exception):
        late.errback(answer)
    else:
        late.callback(answer)
    assert house.keys.current() is None
    assert (house.keys.trouble, lines(events)) == ("", [])
    assert house.clock.getDelayedCalls() == []


def test_a_second_stop_does_nothing(house):
    house.keys.stop()
    house.begin()
    house.keys.stop()
    house.keys.stop()
    assert house.clock.getDelayedCalls() == []


# --- a clock that is set --------------------------------------------------------------------------


def test_a_clock_that_is_set_back_makes_no_key_younger(house):
    house.begin()
    house.clock.advance(600)
    assert house.keys.current() == "one"
    house.set_back(10_000_000)
    assert house.keys.current() == "one"
    house.clock.rightNow += STALE - 600
    assert house.keys.current() == "one"
    house.clock.rightNow += 1
    assert house.keys.current() is None


def test_a_clock_that_is_set_back_has_them_fetched_when_they_are_asked_for(house):
    """The timer would ring in ten million seconds."""
    house.begin()
    house.set_back(10_000_000)
    assert house.asked == 1
    for _ in range(2):
        assert house.keys.current() == "one"
        assert house.asked == 2
    house.publisher.answer(b"two")
    assert house.keys.current() == "two"
    assert (house.asked, house.due()) == (2, REFRESH)


def test_a_fetch_under_way_is_given_up_then_since_its_deadline_may_never_come(house, events):
    house.keys.start()
    house.clock.advance(1)
    assert house.keys.ask_again()
    house.set_back(100)
    assert house.keys.ask_again()
    assert (house.asked, house.publisher.cancelled) == (2, 1)
    assert lines(events) == []
    house.publisher.turns.pop(0)
    house.publisher.answer(b"two")
    assert house.keys.current() == "two"


def test_a_clock_that_is_set_back_while_they_are_fetched_shifts_no_timer(house):
    house.keys.start()
    house.set_back(100)
    house.publisher.answer(b"one")
    assert house.keys.current() == "one"
    assert (house.asked, house.due()) == (1, REFRESH)


def test_a_clock_that_is_set_back_by_a_little_again_and_again_makes_no_key_younger(house):
    house.begin()
    for _ in range(100):
        house.clock.advance(1)
        assert house.keys.current() == "one"
        house.set_back(1)
        assert house.keys.current() == "one"
    assert house.asked == 1
    house.clock.rightNow += STALE - 100
    assert house.keys.current() == "one"
    house.clock.rightNow += 1
    assert house.keys.current() is None


def test_a_clock_that_is_set_back_after_the_stop_begins_nothing(house):
    house.begin()
    house.keys.stop()
    house.set_back(100)
    assert house.keys.current() == "one"
    assert house.asked == 1
