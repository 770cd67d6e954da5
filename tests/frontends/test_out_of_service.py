"""extauth while nothing can be decided."""

from __future__ import annotations

import os

import pytest

from authbridge.frontends.out_of_service import RETRY, OutOfService, answer
from authbridge.wire.extauth import ERROR, FALSE, TRUE

AUTH = b"\0\x08auth:a:b"
ISUSER = b"\0\x0aisuser:a:b"


@pytest.mark.parametrize(
    ("frame", "answered"),
    [
        (b"auth:alice:example.org:wonderland", FALSE),
        (b"isuser:alice:example.org", TRUE),
        (b"setpass:alice:example.org:wonderland", ERROR),
        (b"tryregister:alice:example.org:wonderland", FALSE),
        (b"removeuser:alice:example.org", FALSE),
        (b"removeuser3:alice:example.org:wonderland", FALSE),
        (b"certauth:alice:example.org:MII", FALSE),
        (b"isuser:alice", FALSE),
        (b"setpass:alice", ERROR),
        (b"auth", FALSE),
        (b"nonsense:alice:example.org", FALSE),
        (b"\xff\xfe", FALSE),
        (b"", FALSE),
    ],
)
def test_nobody_is_let_in_and_nothing_done_and_everybody_exists(frame, answered):
    assert answer(frame) == answered


class Program:
    """One on a pair of pipes, whose clock moves on when it has refused something."""

    def __init__(self):
        self.stdin, self.requests = os.pipe()
        self.answers, self.stdout = os.pipe()
        self.fds = {self.stdin, self.stdout, self.requests, self.answers}
        self.now = 0.0
        self.looks = []
        self.next_request = b""
        self.service = OutOfService(
            self.stdin, self.stdout, lambda: self.now, self.refused, self.mended
        )

    def refused(self):
        self.now += RETRY
        if self.next_request:
            os.write(self.requests, self.next_request)

    def mended(self):
        """Mended at the second look."""
        self.looks.append(self.now)
        return len(self.looks) == 2

    def close(self, *fds):
        """These, or all that are open: each once, as its number may soon be somebody else's."""
        for fd in fds or set(self.fds):
            os.close(fd)
            self.fds.discard(fd)


@pytest.fixture
def program():
    program = Program()
    yield program
    program.close()


def test_all_that_is_there_is_answered_in_order_and_the_end_of_input_ends_it(program):
    os.write(program.requests, (AUTH + ISUSER) * 1000 + AUTH[:5])
    program.close(program.requests)
    assert program.service.run() is False
    assert os.read(program.answers, 65536) == (FALSE + TRUE) * 1000
    assert program.looks == []


def test_it_ends_when_nobody_reads_the_answers(program):
    os.write(program.requests, AUTH)
    program.close(program.answers)
    assert program.service.run() is False
    assert program.now == 0.0


def test_it_leaves_what_it_has_not_read_to_a_new_start_when_the_trouble_is_mended(program):
    os.write(program.requests, ISUSER)
    program.next_request = AUTH
    assert program.service.run() is True
    assert program.looks == [RETRY, 2 * RETRY]
    assert os.read(program.answers, 65536) == TRUE + FALSE
    assert os.read(program.stdin, 65536) == AUTH


def test_it_does_not_leave_while_a_request_has_come_in_part(program):
    os.write(program.requests, AUTH + ISUSER[:5])
    program.looks.append(0.0)  # the next look finds it mended
    program.next_request = ISUSER[5:]
    assert program.service.run() is True
    assert os.read(program.answers, 65536) == FALSE + TRUE


def test_a_request_that_is_cut_is_not_answered(program):
    os.write(program.requests, ISUSER[:5])
    program.close(program.requests)
    assert program.service.run() is False
    program.close(program.stdout)
    assert os.read(program.answers, 65536) == b""


def test_it_looks_without_being_asked_anything(program, monkeypatch):
    monkeypatch.setattr("authbridge.frontends.out_of_service.RETRY", 0)
    assert program.service.run() is True
    assert program.looks == [0.0, 0.0]
