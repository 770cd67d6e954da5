"""A connection that was idle is asked whether it is still there, before anything is sent on it."""

from __future__ import annotations

import pytest

from authbridge.ldap.faults import Fault
from authbridge.ldap.pool import IDLE
from authbridge.model import Reason
from tests.ldap.asking import House
from tests.ldap.server import bound, done, entry, goodbye, reference

SILENCE = 1.0


def idle(seconds=IDLE, **limits):
    """A house with as many connections as it may have, unused for so long."""
    house = House(**limits)
    number = limits.get("connections", 1)
    asked = [house.bind() for _ in range(number)]
    house.settle()
    for one in range(number):
        house.answer(one)
    assert [one.code for one in asked] == [0] * number
    house.settle(seconds)
    return house


def test_a_connection_that_was_used_a_moment_ago_is_used_at_once():
    house = idle(IDLE - 0.001)
    house.bind()
    house.settle()
    assert house.kinds == [["bind"]]


def test_a_connection_that_was_idle_is_asked_for_the_root_dse_first():
    house = idle()
    asked = house.bind()
    house.settle()
    (probe,) = house.network.servers[0].requests
    assert (probe.kind, probe.name, probe.scope, probe.attributes) == ("search", b"", 0, (b"1.1",))
    assert probe.filter == ("present", b"objectClass")
    assert probe.limits == (1, 1)
    assert asked.pending
    house.answer()
    assert house.kinds == [["bind"]]
    house.answer()
    assert asked.code == 0
    assert len(house.attempts) == 1


def test_a_new_connection_is_asked_nothing_and_an_idle_one_is_asked_each_time():
    house = idle()
    for _ in range(3):
        house.bind()
        house.settle()
        assert house.kinds == [["search"]]
        house.answer()
        house.answer()
        house.settle(IDLE)


ANSWERS = {
    "an entry": entry(2, b"") + done(2),
    "no entry": done(2),
    "references": reference(2) + done(2),
    "no such object": done(2, 32),
    "insufficient access": done(2, 50),
    "unwilling": done(2, 53),
    "busy": done(2, 51),
    "a referral": done(2, 10),
    "an operations error, as it is not bound": done(2, 1, b"bind first"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_whatever_the_answer_to_the_probe_what_waits_is_sent(answer):
    house = idle()
    asked = house.bind()
    house.settle()
    house.network.servers[0].say(answer)
    house.settle()
    assert house.kinds == [["search", "bind"]]
    house.network.servers[0].say(bound(3))
    house.settle()
    assert asked.code == 0


def test_nothing_that_comes_with_the_answer_to_the_probe_counts_for_what_waits():
    house = idle()
    asked = house.bind()
    house.settle()
    house.network.servers[0].say(done(2), bound(3))
    house.settle()
    assert house.network.servers[0].lost
    assert asked.pending
    assert house.names[1] == [b"uid=alice"]
    house.network.servers[1].say(bound(1, 49))
    house.settle()
    assert asked.code == 49


@pytest.mark.parametrize("octets", [b"\x16\x03", bound(2), goodbye()])
def test_where_nonsense_or_goodbye_answers_the_probe_another_connection_is_made(octets):
    house = idle()
    asked = house.bind()
    house.settle()
    house.network.servers[0].say(octets)
    house.settle()
    house.answer(1)
    assert asked.code == 0
    assert house.network.servers[0].lost


def test_a_silent_probe_costs_a_second_and_the_bind_is_sent_once():
    house = idle()
    house.network.servers[0].transport.deaf = True  # a firewall has forgotten it
    asked = house.bind()
    house.settle()
    house.settle(SILENCE - 0.001)
    assert len(house.attempts) == 1
    house.settle(0.001)
    assert house.attempts == [0, IDLE + SILENCE]
    assert house.network.servers[0].lost
    house.answer(1)
    assert asked.code == 0
    assert [name for names in house.names for name in names] == []
    assert house.standing.well
    heard = [server.heard.count(b"uid=alice") for server in house.network.servers]
    assert heard == [1, 1]  # the first of them before it was idle


def test_a_connection_that_breaks_at_the_probe_costs_nothing():
    house = idle()
    asked = house.bind()
    house.settle()
    house.network.servers[0].transport.peer.drop()
    house.settle()
    house.answer(1)
    assert asked.code == 0


def test_where_no_probe_is_answered_and_nobody_can_be_connected_to_who_waits_is_told():
    house = idle()
    house.network.servers[0].transport.deaf = True
    asked = house.bind()
    house.settle()
    house.down()
    house.settle(SILENCE)
    assert asked.reason is Reason.DIRECTORY_UNREACHABLE
    assert asked.operation.link is None  # it was sent nowhere


def test_each_who_comes_wakes_one_connection_and_no_more():
    house = idle(connections=3)
    house.bind(b"uid=1")
    house.bind(b"uid=2")
    house.settle()
    assert sorted(house.kinds) == [[], ["search"], ["search"]]
    assert len(house.attempts) == 3


def test_while_probes_are_out_no_more_connections_are_made_than_are_needed():
    house = House(connections=4)
    house.bind()
    house.settle()
    house.answer()
    house.settle(IDLE)
    asked = [house.bind(b"uid=%d" % n) for n in range(3)]
    house.settle()
    assert len(house.attempts) == 3  # the probed one is one of three
    assert house.kinds[0] == ["search"]
    house.answer(0)
    for number in range(3):
        house.answer(number)
    assert [one.code for one in asked] == [0, 0, 0]
    assert len(house.attempts) == 3


def test_after_a_probe_there_are_as_many_connections_as_are_needed_again():
    house = House(connections=3)
    house.bind()
    house.settle()
    house.answer()
    house.settle(IDLE)
    house.bind(b"uid=1")
    house.settle()
    house.answer()
    house.bind(b"uid=2")
    house.settle()
    house.bind(b"uid=3")
    house.settle()
    assert house.names == [[b"uid=1"], [b"uid=2"], [b"uid=3"]]


def test_a_probed_connection_with_room_for_many_is_enough_for_many():
    house = House(connections=2, room=64, waiting=100)
    house.search()
    house.settle()
    house.answer()
    house.settle(IDLE)
    asked = [house.search(b"dc=%d" % n) for n in range(64)]
    house.settle()
    assert house.kinds == [["search"]]
    house.answer()
    assert house.names == [[b"dc=%d" % n for n in range(64)]]
    house.answer()
    assert [one.code for one in asked] == [0] * 64
    assert len(house.attempts) == 1


def test_a_search_joins_others_on_a_busy_connection_without_a_probe():
    house = House(room=2, timeout=4 * IDLE)
    house.search(b"dc=slow")
    house.settle()
    house.settle(2 * IDLE)
    house.search(b"dc=new")
    house.settle()
    assert house.names == [[b"dc=slow", b"dc=new"]]


def test_who_leaves_during_the_probe_is_not_sent():
    house = idle()
    asked = house.bind()
    house.settle()
    asked.cancel()
    house.answer()
    assert house.kinds == [[]]
    other = house.bind(b"uid=bob")
    house.settle()
    assert house.names == [[b"uid=bob"]]  # it has just been heard of
    house.answer()
    assert other.code == 0


def test_a_stop_during_a_probe_tells_who_waits():
    house = idle()
    asked = house.bind()
    house.settle()
    house.pool.stop()
    house.settle()
    assert asked.fault.words == "authbridge is stopping"
    assert house.network.servers[0].lost


def test_a_retired_pool_ends_a_probed_connection_when_it_has_answered():
    house = idle()
    asked = house.bind()
    house.settle()
    house.pool.retire(Fault(Reason.DIRECTORY_UNREACHABLE, "it is no longer asked"))
    assert asked.fault.words == "it is no longer asked"
    house.answer()
    assert house.network.servers[0].lost
    assert len(house.attempts) == 1


def test_a_connection_that_grew_old_during_its_probe_is_replaced():
    house = House(connections=1, sweep=30, age=30)
    house.bind()
    house.settle()
    house.answer()
    house.settle(29.5)
    asked = house.bind()
    house.settle()
    house.settle(0.5)
    house.answer()
    assert house.network.servers[0].lost
    house.answer(1)
    assert asked.code == 0
