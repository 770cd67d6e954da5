"""How much of one connector is taken at a time, and when it is not read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authbridge.frontends.extauth import MOST_IN_A_TURN, MOST_UNANSWERED
from authbridge.wire.extauth import TRUE
from tests.frontends.connectors import Asked, Listener, answers, questions


def turns(listener, count):
    for _ in range(count):
        listener.clock.turn()


def test_of_many_questions_some_are_taken_in_each_turn_and_in_their_order(listen):
    """So that what others have sent meanwhile is not behind all of them."""
    front_end = Asked(at_once=lambda number: True)
    listener = listen(front_end)
    many, other = listener.connect(), listener.connect()
    many.transport.clear()
    many.dataReceived(questions(*range(150)))
    assert many.transport.producerState == "paused"
    other.dataReceived(questions(1000))
    assert front_end.asked == [1000]
    for taken in (MOST_IN_A_TURN, 2 * MOST_IN_A_TURN, 150):
        listener.clock.turn()
        assert front_end.asked[1:] == list(range(taken))
        state = "producing" if taken == 150 else "paused"
        assert many.transport.producerState == state
    assert answers(many) == [(number, TRUE) for number in range(150)]
    assert listener.clock.getDelayedCalls() == []


def test_as_many_as_one_turn_takes_are_taken_at_once(listen):
    front_end = Asked(at_once=lambda number: True)
    listener = listen(front_end)
    connector = listener.connect()
    connector.transport.clear()
    connector.dataReceived(questions(*range(MOST_IN_A_TURN)))
    assert len(answers(connector)) == MOST_IN_A_TURN
    assert listener.clock.getDelayedCalls() == []


def test_what_comes_behind_is_asked_behind(listen):
    front_end = Asked(at_once=lambda number: True)
    listener = listen(front_end)
    connector = listener.connect()
    connector.dataReceived(questions(*range(100)))
    connector.dataReceived(questions(100))
    assert front_end.asked == []
    turns(listener, 3)
    assert front_end.asked == list(range(101))


def test_a_connector_that_asks_without_end_is_not_read_until_it_is_answered(listen):
    front_end = Asked()
    listener = listen(front_end)
    connector = listener.connect()
    for number in range(MOST_UNANSWERED):
        assert connector.transport.producerState == "producing"
        connector.dataReceived(questions(number))
    assert connector.transport.producerState == "paused"
    front_end.answer(7)
    assert connector.transport.producerState == "producing"


def test_no_more_than_the_connector_may_have_are_asked_however_many_come(listen):
    front_end = Asked()
    listener = listen(front_end)
    connector = listener.connect()
    connector.dataReceived(questions(*range(MOST_UNANSWERED + 100)))
    turns(listener, 20)
    assert len(front_end.asked) == MOST_UNANSWERED
    assert listener.clock.getDelayedCalls() == []
    front_end.answer(0, 1, 2)
    turns(listener, 20)
    assert len(front_end.asked) == MOST_UNANSWERED + 3
    front_end.answer(*list(front_end.waiting))
    turns(listener, 20)
    assert front_end.asked == list(range(MOST_UNANSWERED + 100))
    assert connector.transport.producerState == "producing"


def test_what_was_still_to_be_asked_is_forgotten_when_the_connector_leaves(listen):
    front_end = Asked()
    listener = listen(front_end)
    connector = listener.connect()
    connector.dataReceived(questions(*range(200)))
    listener.clock.turn()
    connector.connectionLost()
    turns(listener, 10)
    assert len(front_end.asked) == MOST_IN_A_TURN
    front_end.answer(*list(front_end.waiting))
    turns(listener, 10)
    assert len(front_end.asked) == MOST_IN_A_TURN


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 400)),
            st.tuples(st.just("answer"), st.integers(1, 300)),
            st.tuples(st.just("turn"), st.integers(1, 3)),
        ),
        max_size=25,
    ),
    st.integers(1, 5),
)
def test_every_question_is_asked_once_and_answered_once(steps, every):
    """Whatever comes when: a part is answered at once, the others when the test says so. In the end
    the connection is read again."""
    front_end = Asked(at_once=lambda number: number % every == 0)
    listener = Listener(front_end)
    connector = listener.connect()
    connector.transport.clear()
    sent = 0
    try:
        for step, count in [*steps, ("turn", 50), ("answer", 10_000)]:
            if step == "send" and connector.transport.producerState == "producing":
                connector.dataReceived(questions(*range(sent, sent + count)))
                sent += count
            elif step == "answer":
                front_end.answer(*list(front_end.waiting)[:count])
            else:
                turns(listener, count)
            assert len(front_end.waiting) <= MOST_UNANSWERED + MOST_IN_A_TURN
        while front_end.waiting or listener.clock.getDelayedCalls():
            front_end.answer(*list(front_end.waiting))
            listener.clock.turn()
        assert front_end.asked == list(range(sent))
        assert sorted(number for number, _ in answers(connector)) == list(range(sent))
        assert connector.transport.producerState == "producing"
    finally:
        listener.close()
