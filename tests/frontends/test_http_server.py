"""The connections of `listen.http`: in what order they are answered, and how they end."""

from __future__ import annotations

import pytest

from authbridge import model
from authbridge.frontends.http_server import LINGER, LONGEST_IDLE, MOST_READ_AHEAD
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import (
    Server,
    TlsLine,
    get,
    post,
    waiting_server,
)

WHOLE = get()
EXISTS = get("/auth/user_exists")
OLD = WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
CLOSING = WHOLE.replace(b"Host", b"Connection: Keep-Alive, CLOSE\r\nHost")
MALFORMED = WHOLE.replace(b"Host: h\r\n", b"")
EXPECTING = post().replace(b"Host", b"Expect: 100-continue\r\nHost")
STRANGER = get(headers=b"")


@pytest.fixture
def server():
    return Server(ScriptedChecker(model.PASSWORD_MATCHES))


# In what order they are answered.


def test_pipelined_requests_are_answered_in_order_and_one_in_each_turn(server):
    server.send(b"".join(get(path) for path in ["/auth/user_exists", "/auth/check_password"] * 3))
    for _ in range(6):
        assert server.answer().body == b"true"
        server.clock.turn()
    assert server.answers() == []
    operations = [line.split("operation=")[1].split()[0] for line in server.lines]
    assert operations == ["user_exists", "check_password"] * 3


def test_another_connection_is_served_between_pipelined_requests(server):
    server.send(WHOLE * 1000)
    assert len(server.answers()) == 1
    assert server.caller().ask(WHOLE).status == 200


def test_what_comes_while_a_checker_is_asked_is_answered_after_it():
    server, answer = waiting_server()
    server.send(WHOLE)
    server.send(EXISTS[:20])
    server.send(EXISTS[20:])
    assert server.answers() == []
    answer.callback(model.PASSWORD_MISMATCH)
    server.clock.advance(0)
    assert [reply.body for reply in server.answers()] == [b"false", b"true"]


def test_reading_stops_while_more_has_come_than_is_taken_before_an_answer():
    server, answer = waiting_server()
    server.send(WHOLE)
    server.send(EXISTS * 200)
    assert server.line.producerState == "paused"
    answer.callback(model.PASSWORD_MATCHES)
    server.clock.advance(0)
    assert len(server.answers()) == 201
    assert server.line.producerState == "producing"


def test_a_malformed_request_is_answered_after_those_before_it(server):
    server.send(WHOLE + EXISTS + MALFORMED + WHOLE)
    server.clock.advance(0)
    assert [reply.status for reply in server.answers()] == [200, 200, 400]
    assert server.line.half_closed
    server.clock.advance(0)
    assert server.answers() == []


def test_a_connection_takes_one_request_after_another(server):
    for octets in [WHOLE, post(), b"\r\n" + WHOLE, EXISTS]:
        assert server.ask(octets).body == b"true"
    assert server.line.open
    assert [line.split("id=")[1].split()[0] for line in server.lines] == [
        "boot-1", "boot-2", "boot-3", "boot-4"
    ]  # fmt: skip


# How they end.


@pytest.mark.parametrize("octets", [OLD, CLOSING, OLD.replace(b"Host", b"Connection: x\r\nHost")])
def test_http_1_0_and_who_says_close_get_one_answer(server, octets):
    server.send(octets + WHOLE)
    server.clock.advance(0)
    reply = server.answer()
    assert (reply.body, reply.headers["Connection"]) == (b"true", "close")
    assert server.line.half_closed


def test_who_closes_its_sending_half_still_gets_its_answer():
    server, answer = waiting_server()
    server.send(WHOLE)
    server.channel.readConnectionLost()
    assert server.line.open
    answer.callback(model.PASSWORD_MATCHES)
    assert server.answer().body == b"true"
    assert server.line.disconnecting


def test_who_closes_its_sending_half_gets_all_of_its_answers(server):
    server.send(WHOLE * 3 + WHOLE[:9])
    server.channel.readConnectionLost()
    for _ in range(3):
        server.clock.advance(0)
    assert [reply.status for reply in server.answers()] == [200, 200, 200]
    assert server.line.disconnecting


@pytest.mark.parametrize("octets", [b"", WHOLE[:9], WHOLE, MALFORMED, CLOSING])
def test_who_closes_its_sending_half_and_is_owed_nothing_is_closed(server, octets):
    server.send(octets)
    server.channel.readConnectionLost()
    assert server.line.disconnecting


def test_our_closed_half_is_no_reason_to_close_the_other(server):
    server.send(MALFORMED)
    server.channel.writeConnectionLost()
    assert not server.line.disconnecting


def test_who_still_sends_can_read_the_answer_to_a_complete_request_that_is_refused(server):
    server.send(STRANGER + WHOLE[:9])
    assert server.answer().status == 401
    assert server.line.half_closed
    assert not server.line.disconnecting
    server.send(WHOLE[9:])
    assert server.answers() == []
    server.clock.advance(LINGER)
    assert server.line.disconnected


@pytest.mark.parametrize("octets", [WHOLE * 3, WHOLE + MALFORMED, WHOLE[:9], b""])
def test_who_left_is_answered_no_more(server, octets):
    server.send(octets)
    server.line.clear()
    lines = len(server.lines)
    server.leave()
    server.clock.advance(LONGEST_IDLE)
    assert (server.answers(), len(server.lines)) == ([], lines)


@pytest.mark.parametrize("octets", [MALFORMED, b"", WHOLE])
def test_tls_which_has_no_halves_is_closed_as_a_whole(octets):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), line=TlsLine())
    server.send(octets)
    if octets != MALFORMED:
        server.clock.advance(LONGEST_IDLE)
    assert server.line.ended


def test_tls_that_is_not_closed_by_the_other_side_is_cut_off():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), line=TlsLine())
    assert server.ask(MALFORMED).status == 400
    assert server.line.disconnecting
    server.clock.advance(LINGER)
    assert server.line.disconnected


# Who waits to be told to go on.


def test_who_waits_to_be_told_to_continue_is_told_once(server):
    head, _, body = EXPECTING.partition(b"\r\n\r\n")
    server.send(head + b"\r\n\r\n")
    assert server.line.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    server.line.clear()
    assert server.ask(body).body == b"true"
    too_large = head.rpartition(b" ")[0] + b" 99999\r\n\r\n"
    assert server.ask(too_large).status == 413


@pytest.mark.parametrize(
    "expected", [b"", b"200-ok", b"100-continue, x", b"100-continue\r\nExpect: x"]
)
def test_what_else_is_expected_is_417(server, expected):
    reply = server.ask(EXPECTING.replace(b"100-continue", expected))
    assert (reply.status, reply.headers["Connection"]) == (417, "close")


def test_http_1_0_is_not_told_to_continue(server):
    assert server.ask(EXPECTING.replace(b"/1.1", b"/1.0", 1)).body == b"true"


def test_who_has_sent_the_body_already_is_not_told_to_continue(server):
    assert server.ask(EXPECTING).body == b"true"


def test_who_waits_is_told_once_and_before_the_answer(server):
    head, _, content = EXPECTING.partition(b"\r\n\r\n")
    server.send(head + b"\r\n\r\n")
    server.send(content[:2])
    assert server.line.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
    server.line.clear()
    server.send(content[2:])
    assert server.answer().body == b"true"


def test_a_caller_that_reads_none_of_its_answers_is_not_read_either(server):
    server.channel.pauseProducing()
    assert server.line.producerState == "paused"
    server.channel.resumeProducing()
    assert server.line.producerState == "producing"


def test_no_more_is_read_ahead_than_some_and_later_it_is():
    server, answer = waiting_server()
    server.send(WHOLE)
    server.send(WHOLE * (MOST_READ_AHEAD // len(WHOLE)))
    assert server.line.producerState == "producing"
    server.send(WHOLE)
    assert server.line.producerState == "paused"
    server.channel.resumeProducing()
    assert server.line.producerState == "paused"
    answer.callback(model.PASSWORD_MATCHES)
    server.clock.advance(0)
    assert server.line.producerState == "producing"
