"""A pool: who waits, who is sent, and what becomes of both when connections come and go."""

from __future__ import annotations

from itertools import chain, repeat

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure

from authbridge.ldap import connection as connections
from authbridge.ldap.connection import MOST_ABANDONED
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Search
from authbridge.ldap.standing import LONGEST_REST, REST
from authbridge.model import Reason
from tests.ldap import asking
from tests.ldap.asking import HOST, SECONDS, House
from tests.ldap.server import bound, done, entry, goodbye

SILENT, LOST, OVERLOADED, FAILED = (
    Reason.DIRECTORY_SILENT,
    Reason.DIRECTORY_UNREACHABLE,
    Reason.OVERLOADED,
    Reason.DIRECTORY_FAILED,
)


@pytest.fixture
def house():
    return House()


# --- order and bounds -----------------------------------------------------------------------------


def test_nothing_is_connected_before_it_is_needed(house):
    house.settle(100)
    assert house.network.attempts == []
    house.bind()
    house.settle()
    assert len(house.network.attempts) == 1


def test_who_came_first_is_sent_first(house):
    asked = [house.bind(b"uid=%d" % n) for n in range(4)]
    house.settle()
    order = []
    for _ in range(4):
        order += house.names[0]
        house.answer()
    assert order == [b"uid=0", b"uid=1", b"uid=2", b"uid=3"]
    assert [one.code for one in asked] == [0] * 4
    assert len(house.network.servers) == 1


def test_a_connection_has_as_much_under_way_as_it_has_room_for():
    house = House(connections=1, room=3)
    asked = [house.search(b"dc=%d" % n) for n in range(5)]
    house.settle()
    assert house.names == [[b"dc=0", b"dc=1", b"dc=2"]]
    server = house.network.servers[0]
    server.say(done(2))
    house.settle()
    assert [request.name for request in server.requests[3:]] == [b"dc=3"]
    server.say(done(1), done(3))
    house.settle()
    assert [request.name for request in server.requests[4:]] == [b"dc=4"]
    assert [one.pending for one in asked] == [False, False, False, True, True]


def test_a_search_goes_where_there_is_room_and_is_not_connected_for():
    house = House(connections=2, room=2)
    house.search()
    house.settle()
    house.search()
    house.settle()
    assert len(house.network.attempts) == 1
    house.search()
    house.settle()
    assert [len(names) for names in house.names] == [2, 1]


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_there_are_as_many_connections_as_are_needed_and_never_more_than_allowed(asked, made):
    house = House(connections=3)
    for _ in range(asked):
        house.bind()
    assert len(house.network.attempts) == made
    house.settle()
    for number in range(made):
        house.answer(number)
    house.settle()
    assert len(house.network.attempts) == made


def test_there_are_no_more_attempts_at_once_than_allowed():
    house = House(connections=3, connecting=1)
    for _ in range(9):
        house.bind()
    assert len(house.network.attempts) == 1
    house.settle()
    assert len(house.network.servers) == 3


def test_who_finds_the_line_full_is_told_at_once(house):
    asked = [house.bind() for _ in range(12)]
    assert [one.pending for one in asked] == [True] * 10 + [False] * 2
    assert asked[10].reason is OVERLOADED
    assert asked[10].fault.words == "10 are waiting already"
    house.settle()
    assert house.bind().pending  # one was sent meanwhile


def test_a_free_connection_is_used_however_long_the_line_was(house):
    first = house.bind()
    house.settle()
    house.answer()
    second = house.bind()
    house.settle()
    house.answer()
    assert (first.code, second.code) == (0, 0)
    assert len(house.network.attempts) == 1


def test_no_answer_counts_for_who_was_still_in_line(house):
    """The second bind's success comes in the segment of the first's, before it was sent."""
    first, second = house.bind(), house.bind(b"uid=bob")
    house.settle()
    house.network.servers[0].say(bound(1), bound(2))
    house.settle()
    assert first.reason is FAILED
    assert second.pending
    house.network.servers[1].say(bound(1, 49))
    house.settle()
    assert second.code == 49
    assert house.names == [[b"uid=alice"], [b"uid=bob"]]


# --- withdrawing ----------------------------------------------------------------------------------


def test_who_leaves_the_line_is_never_sent(house):
    house.bind(b"uid=first")
    leaving, staying = house.bind(b"uid=leaving"), house.bind(b"uid=staying")
    house.settle()
    leaving.cancel()
    house.answer()
    assert leaving.cancelled
    assert house.names == [[b"uid=staying"]]
    house.answer()
    assert staying.code == 0


def test_who_leaves_before_there_is_a_connection_leaves_it_to_the_next(house):
    house.bind().cancel()
    other = house.bind(b"uid=other")
    house.settle()
    house.answer()
    assert other.code == 0


def test_a_search_that_is_given_up_makes_room(house):
    house = House(connections=1, room=1)
    first, second = house.search(b"dc=1"), house.search(b"dc=2")
    house.settle()
    first.cancel()
    house.settle()
    assert [request.kind for request in house.network.servers[0].requests] == [
        "search", "abandon", "search",
    ]  # fmt: skip
    house.network.servers[0].say(done(1), done(3))
    house.settle()
    assert second.entries == []


def test_a_bind_that_is_given_up_costs_its_connection_and_the_next_gets_another(house):
    first, second = house.bind(b"uid=first"), house.bind(b"uid=second")
    house.settle()
    first.cancel()
    house.settle()
    assert house.names == [[b"uid=first"], [b"uid=second"]]
    assert house.network.servers[0].lost
    house.answer(1)
    assert second.code == 0


def test_giving_up_what_has_ended_does_nothing(house):
    asked = house.bind()
    house.settle()
    house.answer()
    house.pool.withdraw(asked.operation)
    assert asked.code == 0
    assert not house.network.servers[0].lost
    failed = asking.bind(House(waiting=0).pool)
    house.pool.withdraw(failed.operation)


def test_a_connection_that_owes_too_many_answers_gets_no_new_searches():
    house = House(connections=2, room=64)
    slow = house.search(b"dc=slow")
    house.settle()
    for _ in range(MOST_ABANDONED + 1):
        asked = house.search()
        house.settle()
        asked.cancel()
    new = house.search(b"dc=new")
    house.settle()
    assert house.names[1] == [b"dc=new"]
    house.network.servers[0].say(done(1))
    house.answer(1)
    assert (slow.code, new.code) == (0, 0)
    assert house.network.servers[0].lost


# --- failing to connect ---------------------------------------------------------------------------


def test_who_waited_for_an_attempt_that_failed_is_told_why(house):
    house.down()
    asked = [house.bind() for _ in range(3)]
    house.settle()
    assert [one.fault.words for one in asked] == [f"ldap://{HOST}:389: connection refused"] * 3


def test_attempts_that_fail_together_rest_together():
    house = House(connections=3)
    house.down()
    asked = [house.bind() for _ in range(3)]
    house.settle()
    assert [one.reason for one in asked] == [LOST] * 3
    assert house.attempts == [0, 0, 0]
    house.settle(REST)
    assert house.attempts == [0, 0, 0, 1]
    house.settle(2 * REST)  # three that fail together are one more, not three
    assert house.attempts == [0, 0, 0, 1, 3]


def test_while_an_outage_rests_nobody_waits_and_nothing_is_tried(house):
    house.down()
    house.bind()
    house.settle()
    for _ in range(100):
        assert house.bind().reason is LOST
        house.settle(REST / 101)
    assert len(house.network.attempts) == 1


def test_after_its_rest_there_is_another_attempt_and_recovery(house):
    house.down()
    house.bind()
    house.settle()
    house.up()
    house.settle(REST)
    asked = house.bind()
    house.settle()
    house.answer()
    assert asked.code == 0


def test_an_outage_is_tried_after_one_two_and_four_seconds_however_many_ask(house):
    house.down()
    for _ in range(100):
        house.bind()
        house.settle(0.25)
    assert house.attempts == [0, 1, 3, 7, 11, 15, 19, 23]


def test_an_outage_is_tried_by_the_pool_itself_until_it_is_over(house):
    house.down()
    house.bind()
    for _ in range(50):
        house.settle(0.5)
    assert house.attempts == [0, 1, 3, 7, 11, 15, 19, 23]
    house.up()
    house.settle(LONGEST_REST)
    assert len(house.network.servers) == 1
    asked = house.bind()
    house.settle()
    house.answer()
    assert asked.code == 0


def test_the_next_outage_is_tried_after_a_second_again(house):
    house.down()
    house.bind()
    house.settle(1)
    house.settle(2)
    house.up()
    house.settle(4)
    assert house.attempts == [0, 1, 3, 7]
    house.down()
    house.network.servers[0].transport.peer.drop()
    house.bind()
    for _ in range(9):
        house.settle(1)
    assert house.attempts[4:] == [7, 8, 10, 14]


def test_rests_are_shorter_by_chance_so_that_many_daemons_do_not_come_at_once():
    house = House(chance=chain([1.0, 0.5], repeat(0.0)).__next__)
    house.down()
    house.bind()
    for _ in range(60):
        house.settle(0.125)
    assert house.attempts == [0, 0.75, 0.75 + 1.75, 0.75 + 1.75 + 4]


def test_a_rest_begins_with_its_attempt(house):
    house.down(None)
    house.bind()
    house.settle(SECONDS)  # longer than the rest
    assert house.attempts == [0, SECONDS]
    house.settle(SECONDS)
    assert house.attempts == [0, SECONDS, 2 * SECONDS]


def test_after_an_outage_nothing_is_left_of_it(house):
    house.down()
    house.bind()
    house.settle()
    house.up()
    for _ in range(10):
        house.settle(10)
    assert house.attempts == [0, 10]
    assert house.network.servers[0].kinds == ["unbind"]  # nobody came
    assert len(house.network.servers) == 1
    assert house.network.getDelayedCalls() == []


def test_a_server_that_hangs_holds_up_who_came_first_and_nobody_after(house):
    house.network.places[HOST, 389] = None
    first = house.bind()
    house.settle(SECONDS)
    assert first.reason is SILENT
    for _ in range(20):
        assert house.bind().reason is SILENT
        house.settle(1)
    assert len(house.network.attempts) <= 7
    house.up()
    house.settle()
    asked = house.bind()
    house.settle()
    house.answer()
    assert asked.code == 0


def test_while_another_connection_works_an_attempt_that_fails_turns_nobody_away():
    house = House(connections=2)
    house.bind()
    house.settle()
    house.down()
    second = house.bind()
    house.settle(SECONDS - 1)
    third = house.bind()
    assert second.pending
    assert third.pending


def test_who_came_while_an_attempt_failed_gets_another(house):
    house.network.places[HOST, 389] = None
    early = house.bind()
    house.settle(SECONDS - 0.5)
    late = house.bind()
    house.settle(0.5)
    assert early.reason is SILENT
    assert late.pending
    house.up()
    house.settle()
    house.answer()
    assert late.code == 0


def test_who_came_while_an_attempt_failed_quickly_waits_for_the_rest():
    house = House(waiting=1)
    house.network.places[HOST, 389] = None
    early = house.bind()
    house.settle(0.25)
    early.cancel()
    late = house.bind()
    house.down()
    house.settle()
    assert late.pending
    house.up()
    house.settle(REST - 0.25)
    house.answer()
    assert late.code == 0
    assert len(house.network.attempts) == 2


def test_a_failing_attempt_fails_nobody_while_there_is_a_connection():
    house = House(connections=2)
    first = house.bind()
    house.settle()
    house.down()
    second = house.bind()
    house.settle()
    assert second.pending
    third = house.bind()
    house.settle(REST / 2)
    house.answer()
    house.answer()
    house.answer()
    assert [one.code for one in (first, second, third)] == [0, 0, 0]


def test_whoever_is_told_may_ask_again_at_once_and_is_told_at_once(house):
    house.down()
    again = []
    asked = house.bind()
    asked.outcome.addBoth(lambda _: again.append(house.bind()))
    house.settle()
    assert asked.reason is LOST
    (second,) = again
    house.settle(REST)
    assert second.reason is LOST


def test_whoever_is_told_may_give_up_another_in_line(house):
    house.down()
    first, second = house.bind(), house.bind()
    first.outcome.addBoth(lambda _: second.cancel())
    house.settle()
    assert first.reason is LOST
    assert second.cancelled


def test_a_bug_while_connecting_is_told_and_logged(house, events):
    def broken():
        raise ZeroDivisionError

    house.pool._connect = broken
    asked = house.bind()
    assert asked.reason is Reason.INTERNAL_ERROR
    (event,) = events
    assert event["log_failure"].check(ZeroDivisionError)


def test_a_bug_while_connecting_is_not_for_ever(house, events):
    connect = house.pool._connect
    house.pool._connect = lambda: 1 / 0
    house.bind()
    house.pool._connect = connect
    house.settle(REST)
    asked = house.bind()
    house.settle()
    house.answer()
    assert asked.code == 0


# --- patience -------------------------------------------------------------------------------------


def test_who_may_ask_another_server_waits_a_second_for_a_connection_and_others_longer(house):
    house.down(None)
    hurried, patient = house.bind(patient=False), house.bind()
    house.settle(0.99)
    assert hurried.pending
    house.settle(0.01)
    assert hurried.reason is SILENT
    assert hurried.fault.words == f"ldap://{HOST}:389: no connection in 1 s, so far"
    assert patient.pending
    assert house.attempts == [0]
    house.settle(SECONDS - 1)
    assert patient.reason is SILENT
    assert patient.fault.words == f"ldap://{HOST}:389: no connection in 4 s"


def test_once_patience_was_lost_only_who_has_no_other_server_waits(house):
    house.down(None)
    house.bind()
    house.settle(1)
    assert house.standing.rank == 1
    assert house.bind(patient=False).reason is SILENT
    waiting = house.bind()
    house.up()
    house.settle()
    assert house.standing.well
    house.answer()
    house.answer()
    assert waiting.code == 0


def test_once_an_attempt_has_failed_nobody_waits_however_patient(house):
    house.down(None)
    house.bind()
    house.settle(SECONDS)
    assert house.standing.rank == 2
    assert [house.bind().reason, house.bind(patient=False).reason] == [SILENT, SILENT]


def test_a_connection_within_the_second_loses_nobodys_patience(house):
    house.down(None)
    hurried = house.bind(patient=False)
    house.settle(0.5)
    house.up()
    house.settle()
    house.settle(0.5)
    assert house.standing.well
    house.answer()
    assert hurried.code == 0
    assert len(house.network.getDelayedCalls()) == 2  # the sweep and the bind's deadline


def test_an_attempt_that_fails_takes_its_patience_along(house):
    house.down()
    house.bind()
    house.settle()
    assert house.standing.down is not None
    house.settle(0.99)
    assert [call.getTime() for call in house.network.getDelayedCalls()] == [1]  # the rest


def test_an_attempt_that_fails_does_not_prolong_the_second_of_who_waits_for_another():
    house = House(connections=2)
    house.down(None)
    first = house.bind(patient=False)
    house.settle()
    house.settle(0.25)
    second = house.bind(patient=False)
    house.settle()
    attempt, _ = house.network.attempts
    attempt.over = True
    attempt.factory.clientConnectionFailed(attempt, Failure(ConnectError(111)))
    house.settle()
    assert first.reason is LOST
    assert second.pending  # it came when that attempt was under way already
    assert house.standing.down is not None
    house.settle(0.75)
    assert second.reason is SILENT
    assert house.standing.doubts is None  # it is known to be worse


def test_where_there_is_a_connection_everybody_is_patient():
    house = House(connections=2)
    house.bind()
    house.settle()
    house.down(None)
    hurried = house.bind(patient=False)
    house.settle(2)
    assert hurried.pending
    assert house.standing.well
    house.answer()
    house.answer()
    assert hurried.code == 0


def test_while_there_is_a_free_connection_a_server_is_used_whatever_is_held_against_it(house):
    house.bind()
    house.settle()
    house.answer()
    house.standing.refused(Fault(LOST, "not seen"))
    asked = house.bind(patient=False)
    house.settle()
    house.answer()
    assert asked.code == 0


# --- what a fault says of the server --------------------------------------------------------------


def test_what_was_not_sent_says_nothing_that_is_not_known(house):
    house.down(None)
    asked = house.bind(patient=False)
    house.settle(1)
    house.standing.connected()
    house.blame(asked)
    assert house.standing.well


def test_a_broken_connection_has_the_server_avoided_for_a_second(house):
    asked = house.bind()
    house.settle()
    house.network.servers[0].transport.peer.drop()
    house.settle()
    house.blame(asked)
    assert house.standing.rank == 1
    assert house.standing.doubts is None
    house.settle(1)
    assert house.standing.well


def test_silence_on_everything_has_the_server_doubted_and_connected_to_anew():
    house = House(connections=3)
    silent, busy = house.bind(), house.bind(b"uid=busy")
    house.settle()
    house.settle(SECONDS - 1)
    again = house.bind(b"uid=again")
    house.settle()
    house.settle(1)
    assert (silent.reason, busy.reason) == (SILENT, SILENT)
    house.down(None)
    house.blame(silent)
    house.blame(busy)
    assert house.standing.rank == 1
    assert house.standing.doubts is not None
    assert house.attempts == [0, 0, 3, 4]
    assert again.pending  # it is not closed under what it was sent a moment ago
    assert house.bind(patient=False).reason is SILENT
    house.up()
    house.settle()
    assert house.standing.doubts is None
    house.settle(1)
    assert house.standing.well


def test_a_doubted_server_that_cannot_be_connected_to_is_down_though_it_has_a_connection():
    house = House(connections=2)
    silent = house.bind()
    house.settle()
    house.settle(SECONDS - 1)
    house.bind(b"uid=again")
    house.settle()
    house.settle(1)
    house.down()
    house.blame(silent)
    house.settle()
    assert house.standing.down is not None
    assert house.bind().reason is LOST
    assert not house.network.servers[1].lost


def test_one_slow_answer_says_nothing_while_later_ones_come():
    house = House(connections=2)
    slow = house.bind(b"uid=slow")
    house.settle()
    house.settle(1)
    other = house.bind()
    house.settle()
    house.answer(1)
    house.settle(SECONDS - 1)
    assert (slow.reason, other.code) == (SILENT, 0)
    house.blame(slow)
    assert house.standing.well
    assert not house.network.servers[1].lost
    assert len(house.attempts) == 2


def test_an_answer_to_what_was_asked_before_is_no_sign_of_life():
    house = House(connections=2)
    early = house.bind(b"uid=early")
    house.settle()
    house.settle(1)
    silent = house.bind(b"uid=silent")
    house.settle()
    house.answer(0)
    house.settle(SECONDS)
    assert (early.code, silent.reason) == (0, SILENT)
    house.blame(silent)
    assert house.standing.doubts is silent.fault
    assert house.attempts[2:] == [5]
    house.settle()
    assert house.network.servers[0].lost  # it is idle, and who knows


def test_a_doubted_server_keeps_the_connections_on_which_something_is_awaited():
    house = House(connections=2, room=2, connecting=1)
    silent, also = house.search(b"dc=silent"), house.search(b"dc=also")
    house.settle()
    house.settle(SECONDS - 1)
    late = house.search(b"dc=late")
    house.settle()
    house.settle(1)
    assert (silent.reason, also.reason) == (SILENT, SILENT)
    house.blame(silent)
    house.settle()
    assert house.network.servers[0].lost  # it said nothing at all
    assert not house.network.servers[1].lost
    house.answer(1)
    assert late.code == 0


def test_of_several_connections_only_the_one_with_the_fault_is_used_no_more():
    house = House(connections=2)
    first, second = house.bind(b"uid=1"), house.bind(b"uid=2")
    house.settle()
    house.answer(0)
    house.answer(1)
    house.pool.renew(second.operation)
    house.settle()
    assert [server.lost for server in house.network.servers] == [False, True]
    house.pool.renew(second.operation)  # it has gone
    asked = house.bind()
    house.settle()
    house.answer(0)
    assert [first.code, asked.code] == [0, 0]


def in_line(house):
    """Somebody who is sent, and behind him two in line, of whom one may ask another server."""
    asked = house.bind(b"uid=sent")
    house.settle()
    waiting = house.bind(b"uid=hurried", patient=False), house.bind(b"uid=patient")
    house.settle()
    return asked, *waiting


@pytest.mark.parametrize("fate", ["broken", "silent", "malformed"])
def test_who_waits_in_line_and_may_ask_another_server_does_so_where_this_one_is_blamed(house, fate):
    sent, hurried, patient = in_line(house)
    house.down(None)
    if fate == "silent":
        house.settle(SECONDS)
    elif fate == "malformed":
        house.network.servers[0].say(b"\x16\x03")
    else:
        house.network.servers[0].transport.peer.drop()
    house.settle()
    assert hurried.pending
    house.blame(sent)
    assert hurried.fault.words == sent.fault.words
    assert hurried.operation.link is None  # so that it may go on, though it is a bind
    assert patient.pending
    house.up()
    house.settle()
    house.answer(1)
    assert patient.code == 0
    assert house.network.servers[1].heard.count(b"uid=hurried") == 0


def test_nobody_leaves_the_line_where_one_slow_answer_says_nothing_of_the_server():
    house = House(connections=2)
    slow = house.bind(b"uid=slow")
    house.settle()
    house.settle(1)
    house.bind()
    house.settle()
    house.answer(1)
    house.settle(SECONDS - 1)
    house.bind(b"uid=busy")
    house.settle()
    house.down(None)
    hurried = house.bind(patient=False)
    house.settle()
    house.blame(slow)
    assert slow.reason is SILENT
    assert hurried.pending


def doubted(**limits):
    """A house whose server was silent on one search, and has been asked another since."""
    house = House(connections=1, room=2, **limits)
    early = house.search(b"dc=early")
    house.settle()
    house.settle(1)
    silent = house.search(b"dc=silent")
    house.settle()
    house.settle(1)
    house.network.servers[0].say(done(1))
    house.settle(1)
    later = house.search(b"dc=later")
    house.settle()
    house.settle(2)
    assert (early.code, silent.reason) == (0, SILENT)
    house.blame(silent)
    assert house.standing.doubts is not None
    return house, later


def test_a_doubt_ends_when_something_that_was_sent_later_is_answered():
    house, later = doubted()
    house.network.servers[0].say(done(3))
    house.settle()
    assert later.code == 0
    assert house.standing.doubts is None
    house.settle(1)
    assert house.standing.well


def test_a_doubt_does_not_end_with_an_answer_to_what_was_sent_before():
    house = House(connections=2)
    early = house.bind(b"uid=early")
    house.settle()
    house.settle(1)
    silent = house.bind(b"uid=silent")
    house.settle()
    house.settle(1)
    house.down(None)
    silent.cancel()
    assert house.standing.doubts is not None
    house.answer(0)
    assert early.code == 0
    assert house.standing.doubts is not None


def test_the_answer_to_a_service_bind_is_no_sign_of_life(tmp_path):
    path = tmp_path / "password"
    asking.rewrite(path, b"through-the-glass")
    house = House(connections=2, password_file=path)

    def let_in(server, request):
        return bound(request.id) if request.name == b"cn=service" else None

    house.network.listen(HOST, answer=let_in)
    silent = house.bind(b"uid=silent")
    house.settle()
    house.settle(1)
    also = house.bind(b"uid=also")
    house.settle()
    assert [names[-1] for names in house.names] == [b"uid=silent", b"uid=also"]
    house.settle(SECONDS - 1)
    house.down(None)
    house.blame(silent)
    assert house.standing.doubts is not None
    assert also.pending


# --- logins that are given up before the server's time is over ------------------------------------


@pytest.mark.parametrize("kind", ["bind", "search"])
def test_a_server_that_was_silent_for_as_long_as_a_login_waited_is_doubted(house, kind):
    asked = getattr(house, kind)()
    house.settle()
    house.down(None)
    house.settle(connections.SILENCE)
    asked.cancel()
    assert house.standing.doubts.words == (
        f"ldap://{HOST}:389 was silent for as long as a login waited"
    )
    assert house.standing.doubts.reason is SILENT
    assert house.standing.rank == 1
    assert len(house.attempts) == 2  # whether it is there


@pytest.mark.parametrize("kind", ["bind", "search"])
def test_a_login_that_waited_for_less_than_a_second_says_nothing_of_the_server(house, kind):
    asked = getattr(house, kind)()
    house.settle()
    house.settle(connections.SILENCE - 0.01)
    asked.cancel()
    house.settle()
    assert house.standing.well


def test_a_server_that_has_said_something_meanwhile_is_not_blamed(house):
    asked = house.search()
    house.settle()
    house.settle(2)
    house.network.servers[0].say(entry(1, b"uid=a"))
    house.settle()
    asked.cancel()
    assert house.standing.well
    assert not house.network.servers[0].lost


def test_who_was_silent_on_one_connection_and_answers_on_another_is_not_blamed():
    house = House(connections=2)
    silent = house.bind(b"uid=silent")
    house.settle()
    house.settle(1)
    other = house.bind()
    house.settle()
    house.answer(1)
    silent.cancel()
    assert other.code == 0
    assert house.standing.well


def test_who_waits_behind_a_login_that_was_given_up_in_silence_asks_another_server(house):
    sent, hurried, patient = in_line(house)
    house.down(None)
    house.settle(2)
    sent.cancel()
    assert hurried.reason is SILENT
    assert patient.pending


def test_a_stopped_pool_blames_nobody(house):
    asked = house.bind()
    house.settle()
    house.pool.stop()
    house.blame(asked)
    assert house.standing.well
    house.settle(SECONDS)
    assert house.network.getDelayedCalls() == []


# --- losing connections ---------------------------------------------------------------------------


def test_a_bind_whose_connection_broke_is_not_sent_again(house):
    asked = house.bind()
    house.settle()
    house.network.servers[0].transport.peer.drop()
    house.settle()
    assert asked.reason is LOST
    assert house.names == [[b"uid=alice"]]
    assert len(house.network.attempts) == 1


@pytest.mark.parametrize("end", ["broken", "notice"])
def test_a_search_whose_connection_broke_is_sent_once_more(end):
    house = House(connections=1, room=2)
    asked = [house.search(b"dc=1"), house.search(b"dc=2")]
    house.settle()
    server = house.network.servers[0]
    server.say(entry(1, b"uid=stale"))
    house.settle()
    if end == "broken":
        server.transport.peer.drop()
    else:
        server.say(goodbye())
    house.settle()
    assert house.names[1] == [b"dc=1", b"dc=2"]
    house.network.servers[1].say(entry(1, b"uid=fresh"), done(1), done(2))
    house.settle()
    assert [found.dn for found in asked[0].entries] == [b"uid=fresh"]
    assert asked[1].entries == []


def test_a_search_is_not_sent_a_third_time(house):
    asked = house.search()
    for number in range(2):
        house.settle()
        house.network.servers[number].transport.peer.drop()
    house.settle(REST)
    assert asked.reason is LOST
    assert len(house.network.servers) == 2


@pytest.mark.parametrize("octets", [b"\x16", bound(1), done(9), done(1) + b"\x31"])
def test_a_search_that_was_answered_by_nonsense_is_not_sent_again(house, octets):
    asked = house.search()
    house.settle()
    house.network.servers[0].say(octets)
    house.settle(REST)
    assert asked.reason is FAILED
    assert len(house.network.servers) == 1


def test_a_search_that_was_met_by_silence_is_not_sent_again(house):
    asked = house.search()
    house.settle()
    house.settle(SECONDS)
    house.settle(REST)
    assert asked.reason is SILENT
    assert len(house.network.servers) == 1


def test_a_search_that_nobody_waits_for_is_not_sent_again():
    house = House(room=2)
    kept, left = house.search(b"dc=kept"), house.search(b"dc=left")
    house.settle()
    left.operation.waiter = None
    house.network.servers[0].transport.peer.drop()
    house.settle()
    assert kept.pending
    assert house.names[1] == [b"dc=kept"]


def test_a_connection_that_is_lost_while_idle_is_replaced_when_one_is_needed(house):
    house.bind()
    house.settle()
    house.answer()
    house.network.servers[0].transport.peer.drop()
    house.settle(10)
    assert len(house.network.attempts) == 1
    asked = house.bind()
    house.settle()
    house.answer(1)
    assert asked.code == 0


def test_what_comes_unasked_costs_an_idle_connection(house):
    house.bind()
    house.settle()
    house.answer()
    house.network.servers[0].say(bound(2))
    house.settle()
    assert house.network.servers[0].lost
    second = house.bind(b"uid=bob")
    house.settle()
    assert house.names[1] == [b"uid=bob"]
    assert second.pending


def test_who_waits_gets_another_connection_when_one_is_lost(house):
    first, second = house.bind(), house.bind(b"uid=bob")
    house.settle()
    house.network.servers[0].transport.peer.drop()
    house.settle()
    house.answer(1)
    assert first.reason is LOST
    assert second.code == 0


def test_a_silent_server_frees_all_that_wait_for_it_in_time():
    house = House(connections=4, room=4, waiting=1000)
    asked = [house.search() for _ in range(16)]
    house.settle()
    assert sum(map(len, house.names)) == 16
    house.settle(SECONDS)
    assert {one.reason for one in asked} == {SILENT}


def test_a_connection_that_says_goodbye_while_it_is_opened_is_not_kept():
    house = House(connections=1)
    dialed = house.pool._connect

    def connect():
        """As with a service bind that is answered in the segment of the notice."""
        connecting = dialed()

        def part(connection):
            connection.close(Fault(LOST, "goodbye"))
            return connection

        return connecting.addCallback(part)

    house.pool._connect = connect
    first = house.bind()
    house.settle()
    assert first.reason is LOST
    house.pool._connect = dialed
    house.settle(100)
    asked = house.bind()
    house.settle()
    house.answer(-1)
    assert asked.code == 0


# --- a search that is sent again, and its deadline ------------------------------------------------


def test_a_search_that_is_sent_again_harms_nobody_on_its_new_connection():
    house = House(connections=2, room=1)
    repeated = house.search(b"dc=1")
    house.settle()
    house.settle(SECONDS - 0.1)
    house.network.servers[0].transport.peer.drop()
    house.settle()
    house.settle(0.2)
    assert not house.network.servers[1].lost
    house.answer(1)
    assert repeated.code == 0


def test_a_search_that_waits_to_be_sent_again_has_a_deadline_of_its_own():
    house = House(connections=1, room=2)
    repeated = house.search(b"dc=1")
    house.settle()
    house.network.servers[0].say(entry(1, b"uid=a"))
    house.settle()
    house.network.places[HOST, 389] = None  # nobody picks up
    house.settle(SECONDS / 2)
    house.network.servers[0].transport.peer.drop()
    house.settle()
    assert repeated.pending
    house.settle(SECONDS / 2)  # its first deadline, on a connection that is gone
    assert repeated.pending
    house.settle(SECONDS / 2)
    assert repeated.reason is SILENT


# --- sweeping -------------------------------------------------------------------------------------


def used(**limits):
    """A house with a connection that was used."""
    house = House(**limits)
    house.bind()
    house.settle()
    house.answer()
    return house


def test_a_connection_that_nobody_uses_is_closed_with_a_word():
    house = used(sweep=25)
    house.settle(25)
    assert not house.network.servers[0].lost  # it was used since the last sweep
    house.settle(25)
    assert house.network.servers[0].lost
    assert house.network.servers[0].kinds == ["unbind"]
    house.settle(100)
    assert house.network.getDelayedCalls() == []


def test_a_connection_that_is_used_between_sweeps_is_kept():
    house = used(sweep=25)
    for _ in range(10):
        house.settle(24)
        asked = house.bind()
        house.settle()
        assert house.kinds == [["search"]]  # whether it is still there
        house.answer()
        house.answer()
        assert asked.code == 0
    assert len(house.network.attempts) == 1


def test_an_old_connection_is_closed_though_it_is_used():
    house = used(sweep=25, age=60)
    for _ in range(30):
        house.settle(4)
        house.bind()
        house.settle()
        house.answer(-1)
    assert house.network.servers[0].lost
    assert len(house.network.servers) == 2


def test_an_old_connection_that_is_busy_is_closed_when_it_is_idle_and_takes_nothing_new():
    house = House(connections=2, room=4, sweep=3, age=2)
    first, second = house.search(b"dc=1"), house.search(b"dc=2")
    house.settle()
    house.settle(3)
    third = house.search(b"dc=3")
    house.settle()
    assert house.names == [[b"dc=1", b"dc=2"], [b"dc=3"]]
    house.network.servers[0].say(done(1))
    house.settle()
    assert not house.network.servers[0].lost
    house.network.servers[0].say(done(2))
    house.settle()
    assert house.network.servers[0].lost
    house.answer(1)
    assert [one.code for one in (first, second, third)] == [0, 0, 0]


def test_a_connection_whose_ids_are_used_up_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "LAST_ID", 1)
    house = used(sweep=25)
    house.settle(25)
    assert house.network.servers[0].lost


# --- stopping -------------------------------------------------------------------------------------


def test_a_connection_that_is_being_closed_takes_nothing_new():
    house = used(sweep=25)
    house.network.advance(25)
    house.network.advance(25)  # it is closed, and the network has not brought that anywhere yet
    asked = house.bind(b"uid=late")
    house.settle()
    assert house.names[0] == [b""]  # an unbind
    assert house.names[1] == [b"uid=late"]
    house.answer(1)
    assert asked.code == 0


def test_a_stop_says_goodbye_on_idle_connections():
    house = used()
    house.pool.stop()
    house.settle()
    assert house.network.servers[0].kinds == ["unbind"]


def test_a_stop_tells_who_is_sent_and_who_waits(house):
    sent, waiting = house.bind(), house.bind()
    house.settle()
    house.pool.stop()
    house.settle(100)
    assert [one.fault.words for one in (sent, waiting)] == ["authbridge is stopping"] * 2
    assert house.network.servers[0].lost
    assert len(house.network.attempts) == 1


def test_a_stop_tells_who_searches(house):
    asked = house.search()
    house.settle()
    house.pool.stop()
    house.settle()
    assert asked.fault.words == "authbridge is stopping"
    assert len(house.network.attempts) == 1


def test_a_stop_tells_who_waits_for_an_attempt_and_ends_it(house):
    house.network.places[HOST, 389] = None
    asked = house.bind()
    house.settle()
    house.pool.stop()
    house.settle()
    assert asked.fault.words == "authbridge is stopping"
    assert all(attempt.over for attempt in house.network.attempts)


def test_a_stop_while_connecting_is_no_bug(house, events):
    house.network.places[HOST, 389] = None
    house.bind()
    house.settle()
    house.pool.stop()
    house.settle()
    assert [event for event in events if "log_failure" in event] == []
    assert house.network.getDelayedCalls() == []


def test_a_stop_ends_a_rest(house):
    house.down()
    house.bind()
    house.settle()
    house.pool.stop()
    assert house.network.getDelayedCalls() == []


GONE = Fault(LOST, "it is no longer asked")


def test_who_is_retired_ends_what_is_under_way_and_begins_nothing():
    house = House(connections=2, room=1)
    idle, sent = house.bind(b"uid=idle"), house.bind(b"uid=sent")
    house.settle()
    house.answer(0)
    second, waiting = house.bind(b"uid=second"), house.bind(b"uid=waiting")
    house.settle()
    house.pool.retire(GONE)
    house.settle()
    assert waiting.fault.words == GONE.words
    assert sent.pending
    assert second.pending
    assert house.bind().reason is LOST
    house.answer(0)
    house.answer(1)
    assert [one.code for one in (idle, sent, second)] == [0, 0, 0]
    assert all(server.lost for server in house.network.servers)
    assert house.attempts == [0, 0]
    house.settle(SECONDS)
    assert house.network.getDelayedCalls() == []


def test_who_is_retired_says_so_to_whoever_comes_and_a_stop_says_that_it_is_one():
    house = House(connections=2)
    sent = house.bind()
    house.settle()
    assert house.pool.busy
    house.pool.retire(GONE)
    assert house.bind().fault.words == GONE.words
    assert house.pool.busy
    house.pool.stop()
    house.settle()
    assert sent.fault.words == "authbridge is stopping"
    assert house.bind().fault.words == "authbridge is stopping"
    assert not house.pool.busy


def test_who_is_retired_says_goodbye_on_idle_connections_at_once():
    house = used()
    house.pool.retire(GONE)
    house.settle()
    assert house.network.servers[0].kinds == ["unbind"]
    assert house.network.servers[0].lost


def test_who_is_retired_connects_no_more(house):
    house.down(None)
    asked = house.bind()
    house.settle(0.5)
    house.pool.retire(GONE)
    assert asked.fault.words == GONE.words
    assert all(attempt.over for attempt in house.network.attempts)
    assert house.network.getDelayedCalls() == []


def test_a_search_that_breaks_on_a_retired_pool_is_not_sent_again(house):
    asked = house.search()
    house.settle()
    house.pool.retire(GONE)
    house.network.servers[0].transport.peer.drop()
    house.settle()
    assert asked.reason is LOST
    assert len(house.network.attempts) == 1


def test_a_stop_ends_what_is_held_against_a_server(house):
    asked = house.bind()
    house.settle()
    house.network.servers[0].transport.peer.drop()
    house.settle()
    house.blame(asked)
    assert 1 in [call.getTime() for call in house.network.getDelayedCalls()]
    house.pool.stop()
    assert [call.getTime() for call in house.network.getDelayedCalls()] == [4]  # the deadline


def test_a_connection_of_another_pool_is_none_of_its_business(house):
    other = used()
    (connection,) = other.pool._connections
    house.pool.settled(connection)
    house.bind()
    assert len(house.network.attempts) == 1


# --- a storm --------------------------------------------------------------------------------------


def test_thousands_in_line_are_answered_in_their_order():
    house = House(connections=4, room=1, waiting=5000)
    order = []
    for number in range(3000):
        asked = house.bind(b"uid=%d" % number)
        asked.outcome.addCallback(lambda _, number=number: order.append(number))
    house.settle()
    while len(order) < 3000:
        for number in range(4):
            house.answer(number)
    assert order == sorted(order)
    assert len(house.network.attempts) == 4


def test_searches_that_are_given_up_do_not_add_up():
    house = House(connections=1, room=64, waiting=1000)
    for _ in range(20):
        asked = [house.search() for _ in range(MOST_ABANDONED)]
        house.settle()
        for one in asked:
            one.cancel()
        house.settle()
        server = house.network.servers[-1]
        server.say(*(done(r.id) for r in server.requests if r.kind == "search"))
        server.requests = []
        house.settle()
    assert len(house.network.attempts) == 1
    assert isinstance(asked[0].operation, Search)
    assert isinstance(asked[0].outcome, Deferred)
