"""Connections: many requests on one, its halves, and its end."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import http_attacks, people
from .canary import secret
from .daemon import Daemon
from .http_attacks import (
    ALICE,
    CHECK,
    CREDENTIALS,
    HOST,
    LENGTH,
    LINE,
    LOGIN,
    MOST_GROWTH,
    POST,
    RIGHT,
    Caller,
    basic,
    chunk,
    exchange,
    forget_peak,
    get,
    good,
    lines,
    login,
    memory,
    post,
    troubles,
)

WAITING = b"Expect: 100-continue"


@pytest.fixture(scope="module")
def attacked(workspace: Path) -> Iterator[Daemon]:
    """The daemon that all this is done to."""
    daemon = http_attacks.under_attack(workspace / "connections")
    daemon.start()
    yield daemon
    assert daemon.running
    assert troubles(daemon) == []
    daemon.stop()


def question(number: int, right: bool) -> tuple[bytes, tuple[int, bytes]]:
    """A login in one of four dialects, and its answer."""
    password = people.password(ALICE) if right else secret("wrong")
    query = login(password)
    yes = (200, b"true")
    no = yes if right else (200, b"false")
    body = b'{"username":"alice","password":"%b"}' % password
    match number % 4:
        case 0:
            return lines(b"GET %b?%b HTTP/1.1" % (CHECK, query), HOST, CREDENTIALS), no
        case 1:
            head = lines(b"POST %b HTTP/1.1" % CHECK, HOST, CREDENTIALS, http_attacks.CHUNKED)
            return head + chunk(query) + b"0\r\n\r\n", no
        case 2:
            line = b"GET /auth/basic?server=example.org HTTP/1.1"
            return lines(line, HOST, basic("alice", password)), yes if right else (401, b"false")
        case _:
            line = b"POST /auth/json?server=example.org HTTP/1.1"
            return lines(line, HOST, b"Content-Length: %d" % len(body), body=body), no


def test_requests_in_one_piece_are_answered_in_their_order(attacked: Daemon) -> None:
    """50 of them, of every dialect, right and wrong."""
    questions = [question(number, right=number * 7 % 3 == 0) for number in range(50)]
    octets = b"".join(octets for octets, _ in questions)
    answers = exchange(attacked.http_port, octets, end=True)
    assert [(answer.status, answer.body) for answer in answers] == [
        expected for _, expected in questions
    ]
    ids = [answer.fields[b"x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)


def test_a_refused_request_among_others_is_the_last(attacked: Daemon) -> None:
    """Those before it are answered, those behind it are not."""
    bad = http_attacks.post(http_attacks.LENGTH, http_attacks.CHUNKED)
    answers = exchange(attacked.http_port, RIGHT * 5 + bad + RIGHT * 5)
    assert [answer.status for answer in answers] == [200] * 5 + [400]


@pytest.mark.parametrize("number", range(4))
def test_who_has_said_all_is_answered(attacked: Daemon, number: int) -> None:
    """The end of what a caller sends is not the end of what he reads."""
    octets, expected = question(number, right=True)
    (answer,) = exchange(attacked.http_port, octets, end=True)
    assert (answer.status, answer.body) == expected


#: Requests that are refused at every stage: by their line, their fields, their framing, their size,
#: their caller, their path and their parameters.
REFUSED = {
    400: get(HOST),
    401: lines(LINE, HOST),
    403: get(line=LINE.replace(people.ORG.encode(), people.NET.encode())),
    404: get(line=b"GET /auth/nowhere HTTP/1.1"),
    405: get(line=LINE.replace(b"GET", b"PUT", 1)),
    413: post(b"Content-Length: 65537", body=b""),
    414: get(line=LINE.replace(b" HTTP", b"a" * 20_000 + b" HTTP")),
    417: get(b"Expect: nothing"),
    421: lines(LINE, b"Host: evil.example", CREDENTIALS),
    431: get(b"X: " + b"a" * 20_000),
    501: get(line=LINE.replace(b"check_password", b"get_password")),
}


@pytest.mark.parametrize("status", REFUSED)
def test_who_goes_on_behind_a_refusal_can_read_it(attacked: Daemon, status: int) -> None:
    """A connection that is closed with octets unread is reset, and the answer lost with it: first
    the daemon's half is closed, and what still comes is thrown away."""
    caller = Caller(attacked.http_port)
    caller.socket.sendall(REFUSED[status])
    assert caller.socket.recv(1, socket.MSG_PEEK)  # it is there, and not read yet
    caller.send(RIGHT * 40_000)  # for as long as it is taken
    (answer,) = caller.everything()
    assert (answer.status, answer.last) == (status, True)


#: Bodies that come at once though their callers say that they wait to be asked for them.
UNASKED = {
    200: post(LENGTH, WAITING),
    400: post(b"Content-Length: 3", WAITING, body=b"a=b"),
    401: lines(POST, HOST, LENGTH, WAITING, body=LOGIN),
    404: post(LENGTH, WAITING, line=b"POST /auth/nowhere HTTP/1.1"),
    405: post(LENGTH, WAITING, line=b"PUT /auth/check_password HTTP/1.1"),
}


@pytest.mark.parametrize("status", UNASKED)
def test_nobody_is_asked_for_a_body_behind_its_answer(attacked: Daemon, status: int) -> None:
    """A 100 that comes late would be the beginning of the next answer."""
    for _ in range(3):
        answers = exchange(attacked.http_port, UNASKED[status], end=True)
        assert [answer.status for answer in answers] in ([status], [100, status])


def test_who_reads_no_answer_is_not_listened_to_for_ever(attacked: Daemon) -> None:
    """Neither his answers nor his requests are kept for him without a bound: not even if he sends
    one at a time until the way back to him is full, and then all that he has."""
    port, pid = attacked.http_port, attacked.process.pid
    assert good(port)
    forget_peak(pid)
    before = memory(pid)
    with socket.socket() as greedy:
        # Little of it is in the kernel's hands.
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 256)
        greedy.connect(("127.0.0.1", port))
        for _ in range(2_000):
            greedy.sendall(RIGHT)
            assert good(port)  # and so the daemon has come to that
        greedy.settimeout(2)
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(1000):
                greedy.sendall(RIGHT * 250)
    assert memory(pid, "VmHWM") - before < MOST_GROWTH
    assert good(port)


def test_who_goes_away_without_an_answer_is_missed_by_nobody(attacked: Daemon) -> None:
    """In the middle of a request or behind it."""
    for size in (1, 30, len(RIGHT) - 1, len(RIGHT)):
        for _ in range(10):
            caller = Caller(attacked.http_port)
            caller.send(RIGHT[:size])
            caller.socket.close()
    assert good(attacked.http_port)
    assert troubles(attacked) == []


def test_a_connection_outlives_an_answer_and_no_refusal(attacked: Daemon) -> None:
    """A wrong password is an answer too."""
    caller = Caller(attacked.http_port)
    for number, right in enumerate([True, False] * 4):
        octets, expected = question(number // 2, right)
        caller.send(octets)
        answer = caller.answer()
        assert (answer.status, answer.body, answer.last) == (*expected, False)
    caller.send(get(HOST))
    (answer,) = caller.everything()
    assert (answer.status, answer.last) == (400, True)


def test_http_1_0_is_served_and_closed(attacked: Daemon) -> None:
    """As nginx asks by default."""
    old = RIGHT.replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    (answer,) = exchange(attacked.http_port, old)
    assert (answer.status, answer.body) == (200, b"true")
