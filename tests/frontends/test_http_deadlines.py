"""How long the connections of `listen.http` last, and which of them make way for others."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from authbridge import model
from authbridge.frontends.http_server import LINGER, LONGEST_IDLE, SLOWEST_REQUEST
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import CLIENT, Line, Server, get, post, waiting_server

WHOLE = get()
EXISTS = get("/auth/user_exists")
CLOSING = WHOLE.replace(b"Host", b"Connection: close\r\nHost")
MALFORMED = WHOLE.replace(b"Host: h\r\n", b"")
EXPECTING = post().replace(b"Host", b"Expect: 100-continue\r\nHost")


@pytest.fixture
def server():
    return Server(ScriptedChecker(model.PASSWORD_MATCHES))


def test_a_request_that_trickles_is_408_at_its_deadline(server):
    for octet in WHOLE[: int(SLOWEST_REQUEST)]:
        assert server.line.open
        server.send(bytes([octet]))
        server.clock.advance(1)
    reply = server.answer()
    assert (reply.status, reply.headers["Connection"]) == (408, "close")
    assert server.clock.seconds() == SLOWEST_REQUEST
    assert server.line.half_closed
    assert f"id={reply.id} " in server.lines[0]
    assert (
        "operation=- jid=- checker=- verdict=rejected reason=request_incomplete" in server.lines[0]
    )


@pytest.mark.parametrize(
    "octets",
    [
        WHOLE[:-1],
        post()[:-1],
        EXPECTING.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
        post().replace(b"/1.1", b"/1.0", 1)[:-1],
        post().replace(b"Host", b"Connection: close\r\nHost")[:-1],
    ],
    ids=["its end", "an octet of its body", "its body", "HTTP/1.0", "Connection: close"],
)
def test_a_request_that_lacks_something_is_408(server, octets):
    server.send(octets)
    server.line.clear()
    server.clock.advance(SLOWEST_REQUEST - 0.25)
    assert server.line.open
    server.clock.advance(0.25)
    assert server.answer().status == 408
    assert "reason=request_incomplete" in server.lines[0]


def test_a_connection_without_a_request_ends_after_15_seconds_without_a_word(server):
    server.clock.advance(SLOWEST_REQUEST - 0.25)
    assert server.line.open
    server.clock.advance(0.25)
    assert server.line.half_closed
    assert (server.answers(), server.lines) == ([], [])


def test_a_connection_is_kept_for_75_seconds_from_each_answer(server):
    for _ in range(3):
        assert server.ask(WHOLE).status == 200
        server.clock.advance(LONGEST_IDLE - 0.25)
        assert server.line.open
    server.clock.advance(0.25)
    assert server.line.half_closed
    assert server.answers() == []
    assert len(server.lines) == 3


def test_a_request_has_its_15_seconds_however_long_the_connection_was_idle(server):
    server.ask(WHOLE)
    server.clock.advance(LONGEST_IDLE - 1)
    server.send(WHOLE[:-1])
    server.clock.advance(SLOWEST_REQUEST - 1)
    assert server.ask(WHOLE[-1:]).body == b"true"


def test_who_waits_for_us_has_no_deadline_of_the_connection():
    server, answer = waiting_server(client=replace(CLIENT, deadline=600.0))
    server.send(WHOLE)
    server.clock.advance(500)
    assert server.line.open
    answer.callback(model.PASSWORD_MATCHES)
    assert server.answer().body == b"true"


@pytest.mark.parametrize("octets", [MALFORMED, b"", WHOLE, WHOLE[:9]])
def test_after_our_half_is_closed_the_other_has_5_seconds(server, octets):
    server.send(octets)
    while not server.line.half_closed:
        server.clock.advance(0.25)
    server.clock.advance(LINGER - 0.25)
    assert not server.line.disconnecting
    server.clock.advance(0.25)
    assert server.line.disconnected


def test_who_does_not_take_the_last_answer_is_cut_off_after_5_seconds(server):
    server.send(CLOSING)
    assert server.line.half_closed
    server.clock.advance(LINGER)
    assert server.line.disconnected


def test_a_pipelined_request_has_15_seconds_too(server):
    server.send(WHOLE + WHOLE[:-1])
    assert server.answer().status == 200
    server.clock.advance(0)
    server.clock.advance(SLOWEST_REQUEST)
    assert server.answer().status == 408


def test_who_waits_for_us_has_no_deadline_whatever_else_comes():
    server, answer = waiting_server()
    server.send(EXISTS + WHOLE)
    server.clock.advance(0)
    assert server.answer().status == 200
    server.send(WHOLE[:1])
    server.clock.advance(SLOWEST_REQUEST)
    assert server.answers() == []
    answer.callback(model.PASSWORD_MATCHES)
    assert server.answer().body == b"true"


# Who makes way.


def crowd(*most, line=None):
    return Server(ScriptedChecker(model.PASSWORD_MATCHES), most=most, line=line)


def from_(address: str) -> Line:
    kind = IPv6Address if ":" in address else IPv4Address
    return Line(peer=kind("TCP", address, 50000))


def test_in_a_full_room_who_has_kept_us_waiting_longest_makes_way(events):
    server = crowd(2, 2)
    server.ask(WHOLE)
    server.clock.advance(1)
    second = server.caller()
    server.clock.advance(1)
    server.ask(WHOLE)
    third = server.caller()
    assert second.line.disconnected
    assert third.ask(WHOLE).body == b"true"
    assert server.line.open
    second.send(WHOLE)
    second.leave()
    assert second.answers() == []
    assert len([event for event in events if "is full" in event["log_format"]]) == 1


def test_who_waits_for_us_never_makes_way():
    server, answer = waiting_server(most=(1, 1))
    server.send(WHOLE)
    late = server.caller()
    assert late.line.disconnected
    late.send(WHOLE)
    late.leave()
    assert late.answers() == []
    answer.callback(model.PASSWORD_MATCHES)
    assert server.answer().body == b"true"
    assert not server.caller().line.disconnected
    assert server.line.disconnected


def test_who_waits_for_us_never_makes_way_whatever_else_it_sends():
    server, _ = waiting_server(most=(1, 1))
    server.send(EXISTS + WHOLE)
    server.clock.advance(0)
    server.send(WHOLE[:1])
    server.caller()
    assert not server.line.disconnected


def test_who_left_leaves_room():
    server = crowd(1, 1)
    server.leave()
    assert server.caller().ask(WHOLE).body == b"true"


def test_who_was_refused_makes_way_as_well():
    server = crowd(1, 1)
    server.send(MALFORMED)
    assert server.caller().ask(WHOLE).body == b"true"
    assert server.line.disconnected


@pytest.mark.parametrize(
    ("first", "again", "other"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"),
    ],
)
def test_a_peer_that_has_its_share_makes_way_for_itself_alone(first, again, other):
    server = crowd(3, 1, line=from_(first))
    elsewhere = server.caller(from_(other))
    assert server.line.open
    server.caller(from_(again))
    assert server.line.disconnected
    assert elsewhere.line.open


def test_who_comes_by_a_unix_socket_is_told_apart_by_its_uid(events):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = Line(peer=UNIXAddress(""))
        line.socket = ours
        server = crowd(3, 1, line=line)
        assert server.ask(WHOLE).body == b"true"
        another = Line(peer=UNIXAddress(""))
        another.socket = ours
        server.caller(another)
    assert server.line.disconnected
    (told,) = [event for event in events if "is full" in event["log_format"]]
    assert told["what"] == f"1 of uid {os.getuid()}"
