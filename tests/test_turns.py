"""Who may ask a checker now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError

from authbridge.turns import LineFull, Turns


class Queue:
    """Turns, and the order in which they were given."""

    def __init__(self, at_once, most_waiting=100):
        self.turns = Turns(at_once, most_waiting)
        self.let_in = []
        self.waiting = {}

    def take(self, front_end, name):
        turn = self.turns.take(front_end)
        if turn is None:
            self.let_in.append(name)
            return
        self.waiting[name] = turn
        turn.addCallbacks(lambda _: self.let_in.append(name), lambda f: f.trap(CancelledError))


def test_so_many_at_once_go_ahead_and_the_next_waits():
    queue = Queue(2)
    for name in "abc":
        queue.take("http", name)
    assert queue.let_in == ["a", "b"]
    queue.turns.leave()
    assert queue.let_in == ["a", "b", "c"]


def test_front_ends_take_turns_whoever_came_first():
    queue = Queue(1)
    queue.take("http", "h0")
    for number in range(1, 5):
        queue.take("http", f"h{number}")
    for number in range(2):
        queue.take("extauth", f"e{number}")
    for _ in range(6):
        queue.turns.leave()
    assert queue.let_in == ["h0", "h1", "e0", "h2", "e1", "h3", "h4"]


def test_a_full_line_turns_away_its_own_front_end_alone():
    queue = Queue(1, most_waiting=2)
    for number in range(3):
        queue.take("http", number)
    with pytest.raises(LineFull):
        queue.turns.take("http")
    queue.take("extauth", "e")
    queue.turns.leave()
    queue.turns.leave()
    assert queue.let_in == [0, 1, "e"]


def test_who_gives_up_is_passed_over_and_leaves_room():
    queue = Queue(1, most_waiting=2)
    for name in "abc":
        queue.take("http", name)
    queue.waiting["b"].cancel()
    queue.take("http", "d")
    with pytest.raises(LineFull):
        queue.turns.take("http")
    queue.turns.leave()
    queue.turns.leave()
    assert queue.let_in == ["a", "c", "d"]


def test_when_all_have_given_up_the_next_goes_ahead():
    queue = Queue(1)
    queue.take("http", "a")
    queue.take("http", "b")
    queue.waiting["b"].cancel()
    queue.turns.leave()
    queue.take("extauth", "c")
    assert queue.let_in == ["a", "c"]


def test_thousands_who_are_done_at_once_are_let_in_one_after_another():
    """Were each let in by the one before, the stack would end before the line does."""
    turns = Turns(1, most_waiting=10_000)
    done = []
    assert turns.take("http") is None

    def at_once(_, number):
        done.append(number)
        turns.leave()

    for number in range(10_000):
        turns.take(f"front end {number % 3}").addCallback(at_once, number)
    turns.leave()
    assert len(done) == 10_000
    assert turns.take("http") is None


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("tlc"), st.integers(0, 5), st.sampled_from("xyz"))),
)
def test_nobody_is_forgotten_and_never_more_than_allowed_ask(at_once, steps):
    """Whatever the order of taking, leaving and giving up."""
    turns = Turns(at_once, most_waiting=4)
    inside = 0
    waiting = {}

    def came_in(result, number):
        nonlocal inside
        waiting.pop(number, None)
        inside += 1

    for number, (step, which, front_end) in enumerate(steps):
        if step == "t":
            try:
                turn = turns.take(front_end)
            except LineFull:
                continue
            if turn is None:
                inside += 1
            else:
                waiting[number] = turn
                turn.addCallbacks(came_in, lambda f: f.trap(CancelledError), callbackArgs=(number,))
        elif step == "l" and inside:
            inside -= 1
            turns.leave()
        elif step == "c" and waiting:
            chosen = sorted(waiting)[which % len(waiting)]
            waiting.pop(chosen).cancel()
        assert inside <= at_once
        assert not waiting or inside == at_once
    for _ in range(inside + len(waiting)):
        turns.leave()
    assert not waiting
    assert [turns.take("x") for _ in range(at_once)] == [None] * at_once
    assert turns.take("x") is not None
