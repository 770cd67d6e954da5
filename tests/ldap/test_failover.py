"""Several servers: who is asked first, who next, and who not."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
from twisted.internet.error import ConnectError

from authbridge.ldap import codec, ppolicy
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.dialer import Dialer, Outages
from authbridge.ldap.failover import BOUND_ELSEWHERE, SEARCHED_ELSEWHERE, Failover, together
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Bind, Search
from authbridge.ldap.pool import IDLE, Limits, Pool
from authbridge.ldap.server import Server
from authbridge.ldap.standing import Standing
from authbridge.model import Reason, Trace
from tests.ldap import server as double
from tests.ldap.asking import ANYTHING, PASSWORD, PLAIN, SECONDS, Asked
from tests.ldap.server import Network, bound, done, entry

SILENT, LOST, FAILED, REFUSED = (
    Reason.DIRECTORY_SILENT,
    Reason.DIRECTORY_UNREACHABLE,
    Reason.DIRECTORY_FAILED,
    Reason.DIRECTORY_REFUSED,
)
FIRST, SECOND, THIRD = SERVERS = [Server(f"192.0.2.{n}", 389, False) for n in (1, 2, 3)]
REFUSES = ConnectError(111)


class Town:
    """Servers that the test speaks for, and what is asked of them."""

    def __init__(self, servers=2, *, bind=False, ask_twice=None, waiting=10, connections=2):
        self.network = Network()
        self.bind = bind
        self.there = {server: [] for server in SERVERS}
        """The servers' ends of their connections."""
        self.pools = {}
        self.limits = Limits(connections, 1 if bind else 64, waiting, connections)
        self.dialer = Dialer(
            None, PLAIN, Deadlines(self.network, SECONDS), Outages(self.network), self.network
        )
        self.failover = Failover(
            self.make_pool,
            ask_twice=not bind if ask_twice is None else ask_twice,
            elsewhere=BOUND_ELSEWHERE if bind else SEARCHED_ELSEWHERE,
        )
        for server in SERVERS:
            self.up(server)
        self.failover.serve(SERVERS[:servers])

    def make_pool(self, server):
        self.pools[server] = Pool(
            server, partial(self.dialer.connect, server), self.limits,
            Standing(self.network, lambda: 0.0), Deadlines(self.network, 1), self.network,
        )  # fmt: skip
        return self.pools[server]

    def up(self, server):
        def connected():
            self.there[server].append(double.Server())
            return self.there[server][-1]

        self.network.places[server.host, 389] = connected

    def down(self, server, error=REFUSES):
        """Whoever connects has this error; None is silence."""
        self.network.places[server.host, 389] = error

    def cut(self, server):
        """Its connections break."""
        for end in self.there[server]:
            end.transport.peer.drop()
        self.settle()

    def settle(self, seconds=0):
        self.network.settle(seconds)

    def ask(self, near=None, trace=None, name=b"uid=alice", only=None):
        """Ask, and let happen what can without time."""
        request = codec.search_request(
            name, codec.Scope.SUBTREE, ANYTHING, ["uid"], size_limit=2, time_limit=4
        )

        def make(pool):
            if self.bind:
                return Bind(codec.bind_request(name, PASSWORD, ppolicy.REQUEST), pool)
            return Search(request, pool, 2)

        what = "a login" if self.bind else "a search"
        asked = Asked(self.failover.ask(make, what, near, trace, only))
        self.settle()
        return asked

    def answer(self, server, code=0):
        """Let it answer, with this code, everything that it was asked and has not answered;
        whether that was anything."""
        found = False
        for end in self.there[server]:
            new = [request for request in end.requests if request.kind in ("bind", "search")]
            end.requests = []
            for request in new:
                end.say((bound if request.kind == "bind" else done)(request.id, code))
            found = found or bool(new)
        self.settle()
        return found

    def serves(self, server):
        """Whether who asks now is answered by this server at once."""
        asked = self.ask()
        while self.answer(server):
            pass
        return not asked.pending and asked.code == 0

    def heard(self, server, name=b"uid=alice"):
        """How often this server has heard the name."""
        return sum(end.heard.count(name) for end in self.there[server])

    @property
    def tried(self):
        """Whom it was tried to connect to."""
        return [attempt.host for attempt in self.network.attempts]


def broken(town, server):
    town.cut(server)
    town.cut(server)  # a search is sent again, on another connection to the same server


def silent(town, server):
    town.settle(SECONDS)


def malformed(town, server):
    town.there[server][-1].say(b"\x16\x03\x01")
    town.settle()


COMES_TO_NOTHING = {"broken": broken, "silent": silent, "malformed": malformed}


# --- the primary ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", [False, True])
def test_the_first_server_is_asked_and_the_others_are_not_even_connected_to(bind):
    town = Town(3, bind=bind)
    for _ in range(10):
        assert town.serves(FIRST)
        town.settle(IDLE / 2)
    assert set(town.tried) == {FIRST.host}


@pytest.mark.parametrize("bind", [False, True])
def test_the_primary_is_used_again_when_it_is_back(bind):
    town = Town(bind=bind)
    town.down(FIRST)
    for _ in range(20):
        assert town.serves(SECOND)
        town.settle(0.5)
    town.up(FIRST)
    town.settle(4)
    assert town.serves(FIRST)
    heard = town.heard(SECOND)
    for _ in range(5):
        assert town.serves(FIRST)
    assert town.heard(SECOND) == heard


def test_the_third_is_asked_where_neither_of_the_others_is_there():
    town = Town(3)
    town.down(FIRST)
    town.down(SECOND)
    assert town.serves(THIRD)
    assert town.tried == [FIRST.host, SECOND.host, THIRD.host]
    town.up(SECOND)
    town.settle(1)
    assert town.serves(SECOND)


def test_one_server_needs_no_second():
    town = Town(1)
    assert town.serves(FIRST)


# --- a server that is down ------------------------------------------------------------------------


@pytest.mark.parametrize("bind", [False, True])
@pytest.mark.parametrize("error", [REFUSES, None], ids=["refuses", "hangs"])
def test_nobody_waits_for_a_server_that_is_down(bind, error):
    town = Town(bind=bind)
    town.down(FIRST, error)
    first = town.ask()
    town.settle(0 if error else 1)
    town.answer(SECOND)
    assert first.code == 0
    for _ in range(100):
        assert town.serves(SECOND)
        town.settle(0.1)
    assert len([host for host in town.tried if host == FIRST.host]) <= 5


@pytest.mark.parametrize("bind", [False, True])
def test_who_may_ask_another_server_waits_for_a_second_and_not_longer(bind):
    town = Town(bind=bind)
    town.down(FIRST, None)
    asked = town.ask()
    town.settle(0.99)
    assert town.tried == [FIRST.host]
    town.settle(0.01)
    assert set(town.tried) == {FIRST.host, SECOND.host}
    town.answer(SECOND)
    assert asked.code == 0
    assert town.heard(SECOND) == 1


def test_who_has_only_servers_that_are_down_besides_waits_for_the_first_as_long_as_it_takes():
    town = Town(3)
    town.down(FIRST, None)
    for server in (SECOND, THIRD):
        town.down(server)
        town.ask(near=server)
        town.settle(SECONDS)
    assert [town.pools[server].standing.rank for server in SERVERS[1:]] == [2, 2]
    town.pools[FIRST].standing.connected()
    asked = town.ask()
    town.settle(2)
    assert asked.pending
    town.up(FIRST)
    town.settle()
    town.answer(FIRST)
    assert asked.code == 0


@pytest.mark.parametrize("servers", [1, 2])
def test_the_last_server_is_waited_for_as_long_as_it_takes(servers):
    town = Town(servers)
    for server in SERVERS:
        town.down(server, None)
    asked = town.ask()
    if servers == 2:
        town.settle(1)
    last = SERVERS[servers - 1]
    town.settle(SECONDS - 0.01)
    assert asked.pending
    town.up(last)
    town.settle()
    town.answer(last)
    assert asked.code == 0


def test_where_all_are_down_it_is_told_at_once():
    town = Town(3)
    for server in SERVERS:
        town.down(server)
    town.ask()
    for _ in range(10):
        assert town.ask().reason is LOST


def test_of_two_that_are_away_the_one_that_may_be_there_is_waited_for():
    town = Town()
    town.down(FIRST)
    town.down(SECOND, None)
    asked = town.ask()
    town.settle(0.5)
    assert town.pools[FIRST].standing.rank == 2
    assert town.pools[SECOND].standing.rank == 0
    town.up(FIRST)
    town.settle(0.5)
    assert asked.pending
    assert town.serves(FIRST)


# --- searches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", COMES_TO_NOTHING.values(), ids=COMES_TO_NOTHING)
def test_a_search_that_came_to_nothing_is_made_at_the_next_server(fate):
    town = Town()
    asked = town.ask()
    fate(town, FIRST)
    assert asked.pending
    town.answer(SECOND)
    assert asked.code == 0
    assert town.heard(SECOND) == 1


@pytest.mark.parametrize("code", [1, 3, 11, 51, 52, 80, 32, 10])
def test_a_search_goes_on_after_a_result_that_says_nothing_of_what_is_searched(code):
    town = Town()
    asked = town.ask()
    town.answer(FIRST, code)
    assert asked.pending
    town.there[SECOND][0].say(entry(1, b"uid=a"), done(1))
    town.settle()
    assert [found.dn for found in asked.entries] == [b"uid=a"]
    assert asked.operation.carrier is town.pools[SECOND]


@pytest.mark.parametrize("code", [0, 2, 4, 8, 12, 34, 48, 49, 50, 53, 65, 4096])
def test_a_search_has_any_other_result_from_the_first_server(code):
    town = Town()
    asked = town.ask()
    town.answer(FIRST, code)
    assert asked.code == code
    assert town.tried == [FIRST.host]
    assert town.pools[FIRST].standing.well


def test_a_broken_search_is_made_at_the_same_server_first():
    town = Town()
    asked = town.ask()
    town.cut(FIRST)
    assert town.tried == [FIRST.host] * 2
    town.answer(FIRST)
    assert asked.code == 0
    assert town.heard(FIRST) == 2


def test_a_search_that_broke_and_cannot_be_made_again_there_is_made_at_the_next():
    town = Town()
    asked = town.ask()
    town.down(FIRST)
    town.cut(FIRST)
    town.answer(SECOND)
    assert asked.code == 0


# --- binds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", COMES_TO_NOTHING.values(), ids=COMES_TO_NOTHING)
def test_a_bind_that_was_sent_and_not_answered_is_sent_to_no_other_server(fate):
    town = Town(bind=True)
    asked = town.ask()
    fate(town, FIRST)
    assert asked.reason in (LOST, SILENT, FAILED)
    town.settle(10)
    assert town.heard(FIRST) == 1
    assert town.heard(SECOND) == 0


@pytest.mark.parametrize("fate", COMES_TO_NOTHING.values(), ids=COMES_TO_NOTHING)
def test_a_bind_that_was_not_answered_is_sent_to_another_server_where_that_is_wanted(fate):
    town = Town(bind=True, ask_twice=True)
    asked = town.ask()
    fate(town, FIRST)
    assert asked.pending
    town.answer(SECOND, 49)
    assert asked.code == 49
    assert (town.heard(FIRST), town.heard(SECOND)) == (1, 1)


@pytest.mark.parametrize("code", [1, 3, 11, 51, 52, 80, 10])
def test_a_bind_that_was_answered_and_not_judged_is_sent_to_another_server(code):
    town = Town(bind=True)
    asked = town.ask()
    town.answer(FIRST, code)
    town.answer(SECOND, 49)
    assert asked.code == 49
    assert (town.heard(FIRST), town.heard(SECOND)) == (1, 1)


@pytest.mark.parametrize("code", [0, 2, 8, 19, 32, 34, 48, 49, 50, 53])
def test_a_bind_that_was_judged_is_sent_to_no_other_server(code):
    town = Town(bind=True)
    asked = town.ask()
    town.answer(FIRST, code)
    assert asked.code == code
    assert town.tried == [FIRST.host]


def test_binds_that_wait_for_a_server_that_goes_away_are_sent_to_the_next_and_the_sent_ones_not():
    town = Town(bind=True, connections=1)
    sent, waiting = town.ask(name=b"uid=sent"), town.ask(name=b"uid=waiting")
    town.down(FIRST)
    town.cut(FIRST)
    assert sent.reason is LOST
    town.answer(SECOND)
    assert waiting.code == 0
    assert town.heard(SECOND, b"uid=sent") == 0
    assert town.heard(FIRST, b"uid=waiting") == 0


# --- connections that are used no more -----------------------------------------------------------


@pytest.mark.parametrize("bind", [False, True])
def test_a_connection_on_which_there_was_an_operations_error_is_used_no_more(bind):
    """Active Directory forgets who is bound."""
    town = Town(bind=bind)
    town.ask()
    town.answer(FIRST, 1)
    town.answer(SECOND)
    assert town.there[FIRST][0].lost
    assert town.serves(FIRST)
    assert len(town.there[FIRST]) == 2


@pytest.mark.parametrize("bind", [False, True])
def test_an_operations_error_that_is_the_result_costs_its_connection_too(bind):
    """As with a change, which goes nowhere after it."""
    town = Town(bind=bind)
    town.failover._elsewhere = frozenset()
    asked = town.ask()
    town.answer(FIRST, 1)
    assert asked.code == 1
    assert town.there[FIRST][0].lost
    assert town.tried == [FIRST.host]


@pytest.mark.parametrize("code", [3, 11, 51, 52, 80, 10, 32, 0])
def test_a_connection_with_any_other_result_is_kept(code):
    town = Town()
    town.ask()
    town.answer(FIRST, code)
    town.answer(SECOND)
    town.settle(1)
    assert town.serves(FIRST)
    assert len(town.there[FIRST]) == 1


def test_what_is_under_way_on_a_connection_that_is_used_no_more_is_answered():
    town = Town(connections=2)
    faulty, other = town.ask(name=b"dc=faulty"), town.ask(name=b"dc=other")
    (end,) = town.there[FIRST]
    end.say(done(1, 1))
    town.settle()
    new = town.ask(name=b"dc=new")
    assert town.heard(FIRST, b"dc=new") == 1
    assert len(town.there[FIRST]) == 2
    assert not end.lost
    end.say(done(2))
    town.settle()
    assert other.code == 0
    assert end.lost
    town.answer(SECOND)
    town.there[FIRST][1].say(done(1))
    town.settle()
    assert [faulty.code, new.code] == [0, 0]


def test_a_fault_on_a_connection_that_has_gone_since_is_nothing():
    town = Town(bind=True)
    town.ask()
    end = town.there[FIRST][0]
    end.say(bound(1, 1), double.goodbye())
    town.settle()
    town.answer(SECOND)
    assert end.lost
    assert town.serves(FIRST)


# --- what is held against a server ----------------------------------------------------------------


@pytest.mark.parametrize("fate", COMES_TO_NOTHING.values(), ids=COMES_TO_NOTHING)
@pytest.mark.parametrize("bind", [False, True])
def test_a_server_that_comes_to_nothing_is_left_alone_for_a_second(bind, fate):
    town = Town(bind=bind)
    town.ask()
    fate(town, FIRST)
    town.answer(SECOND)
    assert town.serves(SECOND)
    town.settle(0.99)
    assert town.serves(SECOND)
    town.settle(0.01)
    assert town.serves(FIRST)


@pytest.mark.parametrize("code", [51, 52])
def test_a_server_that_says_it_is_busy_is_left_alone_for_a_second(code):
    town = Town()
    town.ask()
    town.answer(FIRST, code)
    town.answer(SECOND)
    assert town.serves(SECOND)
    town.settle(1)
    assert town.serves(FIRST)


@pytest.mark.parametrize("code", [1, 3, 11, 80, 32, 10])
def test_a_result_that_is_about_this_search_leaves_the_server_the_first(code):
    town = Town()
    town.ask()
    town.answer(FIRST, code)
    town.answer(SECOND)
    assert town.serves(FIRST)


def test_a_server_that_connects_and_fails_again_and_again_is_left_alone_for_longer_and_longer():
    town, tried = Town(bind=True), []
    for _ in range(6 * 60):
        asked = town.ask()
        if town.heard(FIRST) > len(tried):
            tried.append(town.network.seconds())
            malformed(town, FIRST)
        else:
            town.answer(SECOND)
            town.answer(SECOND)  # behind a probe
        assert not asked.pending
        town.settle(1)
    apart = [after - before for before, after in pairwise(tried)]
    assert apart[:7] == [1, 2, 4, 8, 16, 32, 60]


def test_one_slow_answer_moves_nobody_while_later_ones_come():
    town = Town(connections=1)
    slow = town.ask(name=b"uid=slow")
    end = town.there[FIRST][0]
    end.requests = []
    town.settle(1)
    later = town.ask()
    town.answer(FIRST)
    assert later.code == 0
    town.settle(SECONDS - 1)
    assert slow.pending  # it is made at the second server
    assert town.heard(SECOND, b"uid=slow") == 1
    assert town.pools[FIRST].standing.well
    assert town.serves(FIRST)


def test_a_doubted_server_that_answers_what_was_asked_later_is_doubted_no_more():
    town = Town(connections=1)
    early = town.ask(name=b"dc=early")
    town.settle(1)
    slow = town.ask(name=b"dc=slow")
    town.settle(1)
    (end,) = town.there[FIRST]
    end.say(done(1))
    town.settle(1)
    later = town.ask(name=b"dc=later")
    town.settle(2)
    assert (early.code, slow.pending) == (0, True)  # it is asked at the second server now
    assert town.pools[FIRST].standing.doubts is not None
    end.say(done(3))
    town.settle()
    assert later.code == 0
    town.settle(1)
    assert town.pools[FIRST].standing.well


def test_a_server_that_takes_no_more_connections_and_answers_on_those_it_has_is_well():
    town = Town(1, bind=True, connections=3)
    for number in range(2):
        town.ask(name=b"uid=early%d" % number)
    town.answer(FIRST)
    town.settle(0.2)
    silent = town.ask(name=b"uid=silent")
    town.settle(0.5)
    later = town.ask(name=b"uid=later")
    town.down(FIRST)
    town.settle(SECONDS - 0.5)
    standing = town.pools[FIRST].standing
    assert silent.reason is SILENT
    assert standing.down is not None
    town.answer(FIRST)
    assert later.code == 0
    assert standing.down is None


def test_where_only_one_server_may_be_asked_the_others_are_not_whatever_it_says():
    town = Town()
    asked = town.ask(only=SECOND)
    assert town.answer(SECOND, 51)
    assert asked.reason is FAILED
    assert town.there[FIRST] == []
    town.down(SECOND)
    town.cut(SECOND)
    asked = town.ask(only=SECOND)
    town.settle(1)
    assert asked.reason is LOST
    assert town.there[FIRST] == []


def test_where_only_a_server_may_be_asked_that_is_none_any_more_nobody_is():
    town = Town()
    town.failover.serve([FIRST])
    asked = town.ask(only=SECOND)
    assert asked.reason is LOST
    assert "is no longer a server" in asked.fault.words
    assert town.there[FIRST] == []


def test_a_server_that_hangs_with_its_connections_is_found_out_and_is_back_when_it_answers():
    town = Town()
    assert town.serves(FIRST)
    town.there[FIRST][0].transport.deaf = True
    town.down(FIRST, None)
    asked = town.ask()
    town.settle(SECONDS)
    town.answer(SECOND)
    assert asked.code == 0
    for _ in range(10):
        assert town.serves(SECOND)
        town.settle(1)
    town.up(FIRST)
    town.settle(4)
    assert town.serves(FIRST)


def test_of_those_that_are_not_well_who_may_be_there_is_asked_first():
    town = Town()
    town.pools[FIRST].standing.refused(Fault(LOST, "not there"))
    town.pools[SECOND].standing.avoid()
    assert town.serves(SECOND)


# --- overload -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", [False, True])
def test_where_the_line_is_full_no_other_server_is_asked(bind):
    town = Town(bind=bind, waiting=1, connections=1)
    town.down(FIRST, None)
    town.ask()
    asked = town.ask()
    assert asked.reason is Reason.OVERLOADED
    assert asked.fault.words == "1 are waiting already"
    assert town.tried == [FIRST.host]


# --- near -----------------------------------------------------------------------------------------


def test_near_a_server_it_is_asked_first_though_it_is_not_the_primary():
    town = Town(3)
    asked = town.ask(near=THIRD)
    town.answer(THIRD)
    assert asked.code == 0
    assert town.tried == [THIRD.host]
    assert town.serves(FIRST)


def test_near_a_server_that_is_not_well_the_others_come_first():
    town = Town()
    town.down(SECOND)
    asked = town.ask(near=SECOND)
    town.answer(FIRST)
    assert asked.code == 0
    asked = town.ask(near=SECOND)
    town.answer(FIRST)
    assert asked.code == 0
    assert town.tried == [SECOND.host, FIRST.host]
    town.up(SECOND)
    town.settle(1)
    town.pools[SECOND].standing.avoid()
    asked = town.ask(near=SECOND)
    town.answer(FIRST)
    assert asked.code == 0
    assert town.heard(SECOND) == 0


def test_near_a_server_the_primary_is_the_next():
    town = Town(3)
    asked = town.ask(near=THIRD)
    town.answer(THIRD, 80)
    town.answer(FIRST)
    assert asked.code == 0
    assert town.tried == [THIRD.host, FIRST.host]


def test_near_a_server_that_is_none_of_them_any_more_the_primary_is_asked():
    town = Town()
    asked = town.ask(near=THIRD)
    town.answer(FIRST)
    assert asked.code == 0


# --- words ----------------------------------------------------------------------------------------


def test_where_none_has_an_answer_the_fault_has_the_words_of_all_and_the_reason_of_the_first():
    town = Town(3)
    town.down(SECOND)
    asked = town.ask()
    town.answer(FIRST, 80)
    town.answer(THIRD, 32)
    assert asked.reason is FAILED
    assert asked.fault.words == (
        "ldap://192.0.2.1:389: the server could not answer a search: 80 other; "
        "ldap://192.0.2.2:389: connection refused; "
        "ldap://192.0.2.3:389: the server refused a search: 32 noSuchObject (it is not there, or "
        "bind_dn may not see it)"
    )


def test_a_bind_that_none_can_judge_says_so_of_each():
    town = Town(bind=True)
    asked = town.ask()
    town.answer(FIRST, 51)
    town.answer(SECOND, 52)
    assert asked.reason is FAILED
    assert asked.fault.words == (
        "ldap://192.0.2.1:389: the server could not answer a login: 51 busy; "
        "ldap://192.0.2.2:389: the server could not answer a login: 52 unavailable"
    )


def test_the_same_words_are_said_once():
    fault = together([Fault(LOST, "a"), Fault(SILENT, "b"), Fault(SILENT, "a")])
    assert (fault.reason, fault.words) == (LOST, "a; b")


def test_a_trace_tells_why_the_next_server_was_asked():
    town, trace = Town(3), Trace()
    town.down(FIRST)
    asked = town.ask(trace=trace)
    town.answer(SECOND, 32)
    town.answer(THIRD)
    assert asked.code == 0
    assert trace.steps == [
        ("next server", "ldap://192.0.2.1:389: connection refused"),
        (
            "next server",
            "ldap://192.0.2.2:389: the server refused a search: 32 noSuchObject (it is not there, "
            "or bind_dn may not see it)",
        ),
    ]


def test_a_trace_tells_of_no_next_server_where_there_is_none_or_none_is_asked():
    town, trace = Town(1), Trace()
    town.down(FIRST)
    assert town.ask(trace=trace).reason is LOST
    town = Town(bind=True)
    town.ask(trace=trace)
    malformed(town, FIRST)
    assert trace.steps == []


# --- servers that come and go ---------------------------------------------------------------------


def test_a_server_that_stays_keeps_its_connections_and_the_order_is_the_new_one():
    town = Town()
    assert town.serves(FIRST)
    pool = town.pools[FIRST]
    town.failover.serve([SECOND, FIRST])
    assert town.pools[FIRST] is pool
    assert town.serves(SECOND)
    town.failover.serve([FIRST, SECOND])
    assert town.serves(FIRST)
    assert town.tried == [FIRST.host, SECOND.host]


def test_a_server_that_goes_ends_what_it_was_asked_and_is_asked_no_more():
    town = Town(bind=True, connections=1)
    sent, waiting = town.ask(name=b"uid=sent"), town.ask(name=b"uid=waiting")
    town.failover.serve([THIRD, SECOND])
    town.settle()
    assert town.serves(THIRD)
    assert sent.pending
    town.answer(FIRST)
    town.answer(SECOND)
    assert (sent.code, waiting.code) == (0, 0)
    assert town.heard(SECOND, b"uid=waiting") == 1
    town.settle()
    assert all(end.lost for end in town.there[FIRST])


def test_who_waits_for_a_server_that_goes_is_told_where_there_was_no_other():
    town = Town(1)
    town.down(FIRST, None)
    asked = town.ask()
    town.failover.serve([SECOND])
    assert asked.fault.words == "ldap://192.0.2.1:389 is no longer a server of this directory"


def test_where_all_servers_were_replaced_nobody_is_told_of_a_stop():
    town = Town()
    town.down(SECOND, None)
    asked = town.ask(near=SECOND)
    town.failover.serve([THIRD])
    town.settle()
    assert asked.fault.words == (
        "ldap://192.0.2.2:389 is no longer a server of this directory; "
        "ldap://192.0.2.1:389 is no longer a server of this directory"
    )


def test_a_stop_ends_what_is_under_way_at_servers_that_went_before():
    town = Town(bind=True)
    sent, searched = town.ask(), town.ask(near=SECOND)
    town.failover.serve([SECOND, THIRD])
    town.failover.serve([THIRD])
    town.settle()
    assert [sent.pending, searched.pending] == [True, True]
    town.failover.stop()
    town.settle()
    assert [one.fault.words for one in (sent, searched)] == ["authbridge is stopping"] * 2
    assert all(end.lost for ends in town.there.values() for end in ends)


def test_a_server_that_went_and_has_nothing_under_way_is_forgotten():
    town = Town()
    assert town.serves(FIRST)
    town.failover.serve([SECOND])
    town.settle()
    assert town.there[FIRST][0].lost
    town.failover.serve([THIRD])
    assert town.failover._retired == []


def test_a_login_that_was_given_up_after_a_second_of_silence_moves_the_others_to_the_next():
    town = Town(bind=True, connections=1)
    sent, waiting = town.ask(name=b"uid=sent"), town.ask(name=b"uid=waiting")
    town.down(FIRST, None)
    town.settle(1)
    sent.cancel()
    town.settle()
    town.answer(SECOND)
    assert waiting.code == 0
    assert town.heard(SECOND, b"uid=sent") == 0
    assert town.serves(SECOND)


@pytest.mark.parametrize("back", [False, True])
def test_who_gave_its_place_away_for_nothing_has_it_back_at_the_end_and_once(back):
    town, trace = Town(3, bind=True, connections=1), Trace()
    for server in SERVERS[1:]:
        town.down(server)
    town.ask(name=b"uid=sent")
    waiting = town.ask(name=b"uid=waiting", trace=trace)
    town.down(FIRST, None)
    town.cut(FIRST)
    assert waiting.pending
    assert town.tried == [server.host for server in (FIRST, SECOND, THIRD, FIRST)]
    assert len(trace.steps) == 3
    if back:
        town.up(FIRST)
        town.settle()
        town.answer(FIRST)
        assert waiting.code == 0
    else:
        town.settle(SECONDS)
        assert waiting.reason is LOST
        assert waiting.fault.words == (
            "ldap://192.0.2.1:389 ended the connection; "
            "ldap://192.0.2.2:389: connection refused; ldap://192.0.2.3:389: connection refused; "
            "ldap://192.0.2.1:389: no connection in 4 s"
        )
    assert town.heard(FIRST, b"uid=waiting") == back


def test_who_was_sent_and_who_waited_for_a_server_that_is_down_have_no_second_turn_there():
    town = Town(bind=True, ask_twice=True)
    asked = town.ask()
    town.down(SECOND)
    town.cut(FIRST)
    assert asked.reason is LOST
    assert town.heard(FIRST) == 1
    town = Town()
    for server in (FIRST, SECOND):
        town.down(server)
    assert town.ask().reason is LOST
    assert town.tried == [FIRST.host, SECOND.host]


def test_who_waits_in_line_at_a_server_that_came_to_nothing_is_answered_by_the_next():
    town = Town(bind=True, connections=2)
    sent = [town.ask(name=b"uid=sent") for _ in range(2)]
    waiting = town.ask(name=b"uid=waiting")
    town.down(FIRST, None)  # it hangs: the line would not move for as long as that takes
    town.there[FIRST][0].transport.peer.drop()
    town.settle()
    town.answer(SECOND)
    assert waiting.code == 0
    assert [one.pending for one in sent] == [False, True]


def test_a_stop_ends_everything_at_all_servers():
    town = Town(bind=True, connections=1)
    sent = town.ask(near=SECOND)
    assert town.serves(FIRST)
    town.failover.stop()
    town.settle()
    assert sent.fault.words == "authbridge is stopping"
    assert all(end.lost for ends in town.there.values() for end in ends)


def test_a_stop_is_told_to_who_waits_and_sends_him_nowhere():
    town = Town(bind=True, connections=1)
    town.ask(name=b"uid=sent")
    waiting = town.ask(name=b"uid=waiting")
    town.failover.stop()
    town.settle()
    assert waiting.fault.words == "authbridge is stopping"
    assert town.heard(SECOND) == 0


def test_who_leaves_is_asked_for_at_no_other_server():
    town = Town()
    asked = town.ask()
    asked.cancel()
    town.settle(10)
    assert asked.cancelled
    assert set(town.tried) == {FIRST.host}
    assert "abandon" in town.there[FIRST][0].kinds
