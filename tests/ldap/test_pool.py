"""A pool: who waits, who is sent, and what becomes of both when connections come and go."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError

from authbridge.ldap import connection as connections
from authbridge.ldap.connection import MOST_ABANDONED
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Search
from authbridge.ldap.pool import REST, Limits, Pool
from authbridge.ldap.servers import Dialer, Outages, Server
from authbridge.model import Reason
from tests.ldap import asking
from tests.ldap.asking import SECONDS
from tests.ldap.server import Network, bound, done, entry, goodbye

HOST = "192.0.2.1"
SILENT, LOST, OVERLOADED, FAILED = (
    Reason.DIRECTORY_SILENT,
    Reason.DIRECTORY_UNREACHABLE,
    Reason.OVERLOADED,
    Reason.DIRECTORY_FAILED,
)


class House:
    """A pool and a server that the test speaks for."""

    def __init__(self, connections=1, room=1, waiting=10, connecting=None, **limits):
        self.network = Network()
        self.network.listen(HOST)
        deadlines = Deadlines(self.network, SECONDS)
        dialer = Dialer(
            [Server(HOST, 389, False)], None, deadlines, Outages(self.network), self.network
        )
        limits = Limits(connections, room, waiting, connecting or connections, **limits)
        self.pool = Pool(dialer.connect, limits, self.network)

    def bind(self, name=b"uid=alice"):
        return asking.bind(self.pool, name)

    def search(self, base=b"dc=x", size_limit=2):
        return asking.search(self.pool, size_limit, base)

    def settle(self, seconds=0):
        self.network.settle(seconds)

    def down(self, error=ConnectError(111)):  # noqa: B008 - it is never changed
        self.network.places[HOST, 389] = error

    def up(self):
        self.network.listen(HOST)

    def answer(self, number=0):
        """Let the server of this connection answer everything that it was asked."""
        server = self.network.servers[number]
        answered = server.requests
        for request in answered:
            server.say((bound if request.kind == "bind" else done)(request.id))
        server.requests = []
        self.settle()

    @property
    def names(self):
        """Who was asked for on each connection."""
        return [[request.name for request in s.requests] for s in self.network.servers]


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
    assert len(house.network.attempts) == 3
    house.settle(REST)
    assert len(house.network.attempts) == 4


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


def test_an_outage_is_not_tried_more_often_than_once_a_rest(house):
    house.down()
    for _ in range(50):
        house.bind()
        house.settle(REST / 5)
    assert len(house.network.attempts) <= 11


def test_an_outage_is_tried_by_the_pool_itself_until_it_is_over(house):
    house.down()
    house.bind()
    for _ in range(100):
        house.settle(REST / 10)
    assert 10 <= len(house.network.attempts) <= 11
    house.up()
    house.settle(REST)
    assert len(house.network.servers) == 1
    asked = house.bind()
    house.settle()
    house.answer()
    assert asked.code == 0


def test_after_an_outage_nothing_is_left_of_it(house):
    house.down()
    house.bind()
    house.settle()
    house.up()
    for _ in range(10):
        house.settle(10)
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
        house.bind()
        house.settle()
        house.answer()
    assert len(house.network.attempts) == 1


def test_an_old_connection_is_closed_though_it_is_used():
    house = used(sweep=25, age=60)
    for _ in range(10):
        house.settle(10)
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
