"""How often somebody may do something."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from authbridge.rate import Rate, Rates, read_rate
from authbridge.settings import Mistakes, Table


@pytest.fixture
def clock():
    clock = Clock()
    clock.advance(1000.0)  # a clock begins anywhere
    return clock


def taken(rate):
    """How many there are now, and after how many seconds there is one more."""
    count = 0
    while not (seconds := rate.take()):
        count += 1
        assert count < 10_000
    return count, seconds


def test_so_many_are_there_at_once(clock):
    assert taken(Rate(20, 1.0, clock.seconds)) == (20, 0.05)
    assert taken(Rate(3, 60.0, clock.seconds)) == (3, 20.0)
    assert taken(Rate(1, 3600.0, clock.seconds)) == (1, 3600.0)


def test_who_waits_as_told_gets_one(clock):
    rate = Rate(3, 60.0, clock.seconds)
    _, seconds = taken(rate)
    clock.advance(seconds - 1)
    assert rate.take() == pytest.approx(1.0)
    clock.advance(1)
    assert rate.take() == 0
    assert rate.take() == pytest.approx(20.0)


def test_they_come_back_steadily(clock):
    rate = Rate(20, 1.0, clock.seconds)
    taken(rate)
    clock.advance(0.5)
    assert taken(rate)[0] == 10
    clock.advance(0.25)
    assert taken(rate)[0] == 5


def test_no_more_are_saved_than_there_are_at_once(clock):
    rate = Rate(5, 1.0, clock.seconds)
    clock.advance(1_000_000)
    assert taken(rate)[0] == 5


def test_who_is_refused_does_not_wait_the_longer_for_it(clock):
    rate = Rate(1, 60.0, clock.seconds)
    assert rate.take() == 0
    for second in range(60):
        assert rate.take() == pytest.approx(60 - second)
        clock.advance(1)
    assert rate.take() == 0


def test_what_is_given_back_can_be_taken_again(clock):
    rate = Rate(2, 60.0, clock.seconds)
    assert taken(rate) == (2, 30.0)
    rate.give_back()
    assert taken(rate) == (1, 30.0)


def test_nothing_is_saved_by_giving_back(clock):
    rate = Rate(2, 60.0, clock.seconds)
    for _ in range(9):
        assert rate.take() == 0
        rate.give_back()
    rate.give_back()
    assert taken(rate)[0] == 2


# --- of many --------------------------------------------------------------------------------------


def test_each_has_his_own(clock):
    rates = Rates(2, 60.0, clock.seconds, 100)
    assert [rates.take("alice") for _ in range(3)] == [0, 0, pytest.approx(30.0)]
    assert [rates.take("bob") for _ in range(3)] == [0, 0, pytest.approx(30.0)]
    clock.advance(30)
    assert rates.take("alice") == 0
    assert rates.take("alice") > 0


def test_who_has_not_come_for_longest_is_forgotten(clock):
    rates = Rates(1, 60.0, clock.seconds, 2)
    for name in ("alice", "bob"):
        assert rates.take(name) == 0
    assert rates.take("alice") > 0  # who has come since Bob has
    assert rates.take("carol") == 0
    assert rates.take("alice") > 0
    assert rates.take("carol") > 0
    assert rates.take("bob") == 0  # as if he had never been here
    assert len(rates._rates) == 2


def test_each_gives_back_his_own(clock):
    rates = Rates(1, 60.0, clock.seconds, 100)
    assert [rates.take("alice"), rates.take("bob")] == [0, 0]
    rates.give_back("alice")
    assert rates.take("bob") > 0
    assert rates.take("alice") == 0
    assert rates.take("alice") > 0


def test_who_is_forgotten_gives_nothing_back(clock):
    rates = Rates(1, 60.0, clock.seconds, 1)
    assert [rates.take("alice"), rates.take("bob")] == [0, 0]
    rates.give_back("alice")
    rates.give_back("nobody")
    assert list(rates._rates) == ["bob"]
    assert rates.take("bob") > 0
    assert [rates.take("alice"), rates.take("alice") > 0] == [0, True]


def test_no_more_are_remembered_than_there_may_be(clock):
    rates = Rates(1, 60.0, clock.seconds, 10)
    for number in range(1000):
        assert rates.take(str(number)) == 0
    assert len(rates._rates) == 10


# --- in a configuration ---------------------------------------------------------------------------


def read(data, tmp_path, default=(7, 1.0)):
    mistakes = Mistakes()
    table = Table(data, "sites.www", mistakes, tmp_path)
    found = read_rate(table, default)
    table.close()
    return found, list(mistakes)


@pytest.mark.parametrize(
    ("text", "rate"), [("1/s", (1, 1.0)), ("30/m", (30, 60.0)), ("999999/h", (999_999, 3600.0))]
)
def test_a_rate_is_so_many_in_a_second_a_minute_or_an_hour(text, rate, tmp_path):
    assert read({"rate": text}, tmp_path) == (rate, [])


def test_without_one_it_is_as_usual(tmp_path):
    assert read({}, tmp_path) == ((7, 1.0), [])
    assert read({"rates": "1/s"}, tmp_path) == (
        (7, 1.0),
        ['sites.www.rates: there is no such setting; did you mean "rate"?'],
    )


@pytest.mark.parametrize(
    "text", ["20", "0/s", "-1/s", "1000000/s", "20/d", " 20/s", "20/s\n", "٢/s"]
)
def test_anything_else_is_one_mistake(text, tmp_path):
    assert read({"rate": text}, tmp_path) == (
        (7, 1.0),
        ['sites.www.rate: should be tokens in a second, minute or hour, as in "20/s"'],
    )


@pytest.mark.parametrize("value", [20, "", True, ["20/s"]])
def test_what_is_no_text_is_one_mistake_too(value, tmp_path):
    assert read({"rate": value}, tmp_path) == (
        (7, 1.0),
        ['sites.www.rate: should be a string, as in "…"'],
    )
