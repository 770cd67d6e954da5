"""The connector: one answer to each request, in order, whatever becomes of the daemon."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.connector import LAST_WORDS, Connector
from authbridge.connector import daemon as way
from authbridge.connector import relay as relaying
from authbridge.connector.daemon import Unsafe
from authbridge.connector.relay import HELLO, MOST_PENDING, SEND_AHEAD, NotAdmitted, Relay
from authbridge.connector.report import QUIET, Report
from authbridge.wire.extauth import ERROR, FALSE, TRUE, FrameReader, Hello, Malformed, question

DEADLINE = 8.0
HI = Hello(DEADLINE, ERROR, TRUE).encode()
PATIENT = Hello(600.0, ERROR, TRUE)
"""Of a daemon that is there: a machine that stalls for some seconds is no outage."""
AUTH, ISUSER, SETPASS = b"auth:a:b:c", b"isuser:a:b", b"setpass:a:b:c"


def packet(frame: bytes) -> bytes:
    return len(frame).to_bytes(2, "big") + frame


def answer(number: int, octets: bytes) -> bytes:
    return number.to_bytes(4, "big") + octets[2:]


def questions(relay: Relay) -> list[tuple[int, bytes]]:
    """Take what the relay wants to send to the daemon."""
    data = bytes(relay.questions)
    relay.questions.clear()
    return [(int.from_bytes(q[:4], "big"), q[4:]) for q in FrameReader(head=4).feed(data)]


def answers(relay: Relay) -> list[bytes]:
    """Take what the relay wants to write to ejabberd."""
    data = bytes(relay.answers)
    relay.answers.clear()
    return [data[n : n + 4] for n in range(0, len(data), 4)]


@pytest.fixture
def relay():
    """A relay with a daemon, at the time 100."""
    relay = Relay(100)
    relay.connected(100)
    relay.hear(HI, 100)
    return relay


class TestRelay:
    def test_a_request_goes_to_the_daemon_and_its_answer_back(self, relay):
        relay.ask(packet(AUTH), 100)
        assert questions(relay) == [(1, AUTH)]
        assert not relay.idle
        relay.hear(answer(1, TRUE), 101)
        assert answers(relay) == [TRUE]
        assert relay.idle
        assert relay.wake_at() is None

    def test_answers_keep_the_order_of_the_requests(self, relay):
        relay.ask(packet(AUTH) * 3, 100)
        relay.hear(answer(3, TRUE) + answer(2, FALSE), 101)
        assert answers(relay) == []
        relay.hear(answer(1, TRUE), 102)
        assert answers(relay) == [TRUE, FALSE, TRUE]

    def test_at_the_deadline_an_outage_is_answered_and_a_late_answer_dropped(self, relay):
        relay.ask(packet(AUTH) + packet(ISUSER) + packet(SETPASS), 100)
        assert relay.wake_at() == 108
        relay.tick(107.9)
        assert answers(relay) == []
        relay.tick(108)
        assert answers(relay) == [ERROR, TRUE, ERROR]
        relay.ask(packet(AUTH), 108)
        relay.hear(answer(1, TRUE) + answer(3, TRUE), 108.1)
        assert answers(relay) == []
        relay.hear(answer(4, FALSE), 108.2)
        assert answers(relay) == [FALSE]

    def test_a_second_answer_to_a_question_counts_for_nothing(self, relay):
        relay.ask(packet(AUTH) * 2, 100)
        relay.hear(answer(1, FALSE) + answer(1, TRUE), 100)
        assert answers(relay) == [FALSE]
        relay.hear(answer(9, TRUE), 100)
        assert answers(relay) == []

    def test_what_a_lost_daemon_left_is_asked_again_or_refused(self, relay):
        relay.ask(packet(AUTH) + packet(SETPASS) + packet(ISUSER) + packet(b"removeuser:a:b"), 100)
        assert len(questions(relay)) == 4
        relay.lose(101)
        assert not relay.welcome
        assert answers(relay) == []  # the first is still open, and they keep their order
        relay.connected(102)
        relay.hear(HI, 102)
        assert questions(relay) == [(1, AUTH), (3, ISUSER)]
        relay.hear(answer(1, TRUE) + answer(3, FALSE), 102)
        assert answers(relay) == [TRUE, ERROR, FALSE, FALSE]

    def test_a_request_that_has_seen_three_daemons_off_is_given_to_no_fourth(self, relay):
        relay.ask(packet(AUTH) + packet(ISUSER), 100)
        questions(relay)
        for _ in range(2):
            relay.lose(101)
            relay.hear(HI, 101)
            assert len(questions(relay)) == 2
        relay.hear(answer(2, FALSE), 101)
        relay.lose(101)
        assert answers(relay) == [ERROR, FALSE]

    def test_a_write_that_was_not_sent_is_sent_when_a_daemon_comes(self):
        relay = Relay(100)
        relay.ask(packet(SETPASS), 100)
        relay.lose(101)
        relay.hear(HI, 102)
        assert questions(relay) == [(1, SETPASS)]

    def test_a_request_waits_for_the_daemon_until_its_absence_is_a_deadline_long(self):
        relay = Relay(100)
        relay.ask(packet(AUTH), 105)
        assert relay.wake_at() == 108
        relay.tick(108)
        assert answers(relay) == [ERROR]
        relay.ask(packet(ISUSER), 109)
        relay.tick(109)
        assert answers(relay) == [TRUE]
        assert relay.outages == 2

    def test_a_daemon_that_comes_back_after_long_has_a_moment_for_its_hello(self):
        relay = Relay(100)
        relay.connected(200)
        relay.ask(packet(AUTH), 200)
        assert relay.wake_at() == pytest.approx(200 + HELLO)
        relay.hear(HI, 200.1)
        assert questions(relay) == [(1, AUTH)]
        assert relay.wake_at() == 208

    def test_a_daemon_silent_for_a_whole_deadline_hangs_and_is_not_waited_for(self, relay):
        relay.ask(packet(AUTH), 101)
        relay.tick(109)
        assert relay.hangs
        relay.lose(109)
        assert not relay.hangs
        relay.connected(109)
        relay.ask(packet(AUTH), 115)
        relay.tick(115)
        assert answers(relay) == [ERROR, ERROR]

    def test_a_daemon_that_said_something_meanwhile_is_slow_and_does_not_hang(self, relay):
        relay.ask(packet(AUTH) * 2, 100)
        relay.hear(answer(2, TRUE), 104)
        relay.tick(108)
        assert not relay.hangs
        assert answers(relay) == [ERROR, TRUE]

    def test_losing_a_daemon_that_never_said_hello_prolongs_nothing(self):
        relay = Relay(100)
        relay.ask(packet(AUTH), 100)
        relay.connected(101)
        relay.lose(107)
        assert relay.wake_at() == 108

    def test_at_the_end_everything_owed_is_answered(self, relay):
        relay.ask(packet(AUTH) * 2, 100)
        relay.hear(answer(2, FALSE), 100)
        relay.give_up()
        assert answers(relay) == [ERROR, FALSE]
        relay.hear(answer(1, TRUE), 100)
        assert answers(relay) == []

    def test_terms_of_the_daemon_replace_the_default(self):
        relay = Relay(100)
        relay.hear(Hello(2, FALSE, FALSE).encode(), 100)
        relay.ask(packet(ISUSER), 100)
        relay.tick(102)
        assert answers(relay) == [FALSE]

    def test_a_hello_in_pieces_with_an_answer_behind_it_is_read(self):
        relay = Relay(100)
        relay.ask(packet(AUTH), 100)
        relay.hear(HI[:5], 100)
        assert not relay.welcome
        relay.hear(HI[5:], 100)
        assert relay.welcome

    def test_who_is_not_admitted_or_meets_somebody_else_does_not_ask(self):
        relay = Relay(100)
        relay.ask(packet(AUTH), 100)
        with pytest.raises(NotAdmitted):
            relay.hear(Hello(8, ERROR, TRUE, admitted=False).encode(), 100)
        relay.lose(100)
        with pytest.raises(Malformed):
            relay.hear(b"HTTP/1.1 400 Bad Request\r\n", 100)
        relay.lose(100)
        assert questions(relay) == []

    def test_reading_stops_when_too_much_is_pending(self, relay):
        relay.ask(packet(AUTH) * MOST_PENDING, 100)
        assert relay.full
        relay.hear(answer(1, TRUE), 100)
        assert not relay.full

    def test_no_more_is_sent_ahead_than_a_hung_daemon_may_cost(self, relay):
        relay.ask(packet(b"auth:a:b:" + b"x" * 65000) * 10, 100)
        assert len(relay.questions) < SEND_AHEAD + 65536
        first = len(questions(relay))
        assert first < 10
        relay.sent()
        assert [n for n, _ in questions(relay)] == list(range(first + 1, 11))[: 10 - first]

    def test_a_request_on_its_own_takes_the_short_way_to_the_same_end(self, relay):
        assert relay.ask_alone(packet(AUTH), 100) == question(1, AUTH)
        assert not relay.calm
        assert relay.wake_at() == 108
        assert relay.hear_alone(answer(1, TRUE)) == TRUE
        assert relay.calm
        assert relay.wake_at() is None

    @pytest.mark.parametrize("data", [b"", b"\0", packet(AUTH)[:-1], packet(AUTH) * 2, b"\0\1"])
    def test_what_is_not_one_whole_request_is_left_to_the_long_way(self, relay, data):
        assert relay.ask_alone(data, 100) == b""
        assert relay.calm
        relay.ask(b"\0", 100)
        assert relay.ask_alone(packet(AUTH), 100) == b""

    def test_a_request_behind_another_takes_the_long_way(self, relay):
        relay.ask(packet(AUTH), 100)
        assert relay.ask_alone(packet(AUTH), 100) == b""
        relay.ask(packet(AUTH), 100)
        assert relay.hear_alone(answer(1, TRUE)) == b""

    @pytest.mark.parametrize(
        "data",
        [b"", answer(1, TRUE)[:-1], answer(1, TRUE) * 2, answer(2, TRUE), answer(1, b"\0\2\0\7")],
    )
    def test_what_is_not_its_one_answer_is_left_to_the_long_way(self, relay, data):
        relay.ask_alone(packet(AUTH), 100)
        assert relay.hear_alone(data) == b""
        relay.hear(b"\0", 100)
        assert relay.hear_alone(answer(1, TRUE)) == b""
        relay.lose(101)
        relay.hear(HI, 101)
        assert questions(relay) == [(1, AUTH)]

    def test_an_answer_after_the_deadline_is_dropped_on_the_short_way_too(self, relay):
        relay.ask_alone(packet(AUTH), 100)
        relay.tick(108)
        assert answers(relay) == [ERROR]
        assert relay.ask_alone(packet(AUTH), 108)
        assert relay.hear_alone(answer(1, TRUE)) == b""
        assert relay.hear_alone(answer(2, FALSE)) == FALSE

    def test_ids_start_again_after_the_last(self, relay):
        relay._number = 0xFFFFFFFF
        relay.ask(packet(AUTH), 100)
        assert questions(relay) == [(0, AUTH)]
        relay.hear(answer(0, TRUE), 100)
        assert answers(relay) == [TRUE]


STEP = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 3), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 5), st.integers(0, 0)),
    st.tuples(st.just("lose"), st.just(0), st.just(0)),
    st.tuples(st.just("connect"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("stale"), st.integers(0, 9), st.just(0)),
)


class Play:
    """A relay between an ejabberd and a daemon that do as they are told.

    The daemon's answer to a request is a function of its octets, an outage's is another value: so
    each answer shows whose it is. Where the short way takes something, it is taken.
    """

    def __init__(self) -> None:
        self.relay = Relay(100.0)
        self.now = 100.0
        self.sent: list[bytes] = []
        self.got: list[bytes] = []
        self.open: list[tuple[int, bytes]] = []

    def ask(self, count: int, kind: int) -> None:
        frames = [b"auth:a:b:%d" % ((len(self.sent) + i) * (kind + 1)) for i in range(count)]
        self.sent += frames
        data = b"".join(map(packet, frames))
        alone = self.relay.ask_alone(data, self.now)
        self.relay.questions += alone
        if not alone:
            self.relay.ask(data, self.now)

    def answer(self, n: int, _: int) -> None:
        self.open += questions(self.relay)
        if self.relay.welcome and self.open:
            number, frame = self.open.pop(n % len(self.open))
            self._hear(answer(number, truth(frame)))

    def stale(self, n: int, _: int) -> None:
        if self.relay.welcome:
            self._hear(answer(10_000 + n, TRUE))

    def lose(self, _: int, __: int) -> None:
        self.relay.lose(self.now)
        self.open = []

    def connect(self, _: int, __: int) -> None:
        if not self.relay.welcome:
            self.relay.connected(self.now)
            self.relay.hear(HI, self.now)

    def wait(self, seconds: int, _: int) -> None:
        self.now += seconds

    def tick(self) -> None:
        self.relay.tick(self.now)
        self.got += answers(self.relay)

    def _hear(self, data: bytes) -> None:
        alone = self.relay.hear_alone(data)
        self.relay.answers += alone
        if not alone:
            self.relay.hear(data, self.now)


@given(st.lists(STEP, max_size=60))
def test_whatever_happens_the_nth_answer_is_the_nth_requests(steps):
    play = Play()
    for what, n, kind in steps:
        getattr(play, what)(n, kind)
        play.tick()
    play.relay.give_up()
    play.tick()
    assert play.relay.idle
    assert len(play.got) == len(play.sent)
    for frame, octets in zip(play.sent, play.got, strict=True):
        assert octets in (truth(frame), ERROR)


def truth(frame: bytes) -> bytes:
    return TRUE if sum(frame) % 3 else FALSE


class Daemon:
    """The daemon's end of the socket, in the test's hands."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(30)
        self.listener.bind(str(self.path))
        self.listener.listen(5)
        self.line: socket.socket | None = None

    def accept(self, hello: bytes = PATIENT.encode()) -> None:
        if self.line is not None:
            self.line.close()
        self.line, _ = self.listener.accept()
        self.line.settimeout(30)
        self.line.sendall(hello)

    def question(self) -> tuple[int, bytes]:
        assert self.line is not None
        head = self._read(6)
        return int.from_bytes(head[:4], "big"), self._read(int.from_bytes(head[4:], "big"))

    def wait(self) -> None:
        """Until there is something to read, which is left unread."""
        assert self.line is not None
        assert self.line.recv(1, socket.MSG_PEEK), "the connector has closed"

    def _read(self, count: int) -> bytes:
        assert self.line is not None
        data = b""
        while len(data) < count:
            piece = self.line.recv(count - len(data))
            assert piece, "the connector has closed"
            data += piece
        return data

    def answer(self, number: int, octets: bytes) -> None:
        assert self.line is not None
        self.line.sendall(answer(number, octets))

    def hang_up(self) -> None:
        assert self.line is not None
        self.line.close()

    def close(self) -> None:
        if self.line is not None:
            self.line.close()
        self.listener.close()
        self.path.unlink(missing_ok=True)


class Ejabberd:
    """ejabberd's ends of the pipes, and the connector in a thread between them."""

    def __init__(
        self, path: str | None, monotonic=time.monotonic, syslog: str = "/nonexistent"
    ) -> None:
        stdin, self.requests = os.pipe()
        self.answers, stdout = os.pipe()
        self.reports, stderr = os.pipe()
        self.fds = [stdin, stdout, stderr]
        report = Report(monotonic, stderr, syslog)
        self.connector = Connector(path, stdin, stdout, report, monotonic)
        self.thread = threading.Thread(target=self.connector.run)
        self.thread.start()
        self.closed = False

    def ask(self, frame: bytes) -> None:
        os.write(self.requests, packet(frame))

    def answer(self) -> bytes:
        data = b""
        while len(data) < 4:
            assert select.select([self.answers], [], [], 30)[0], "no answer"
            data += os.read(self.answers, 4 - len(data))
        return data

    def reported(self) -> str:
        assert select.select([self.reports], [], [], 30)[0], "no report"
        return os.read(self.reports, 65536).decode()

    def silent(self) -> bool:
        return not select.select([self.answers], [], [], 0)[0]

    def end(self) -> bytes:
        """End the input; what comes until the program's end."""
        if not self.closed:
            self.closed = True
            os.close(self.requests)
        self.thread.join(30)
        assert not self.thread.is_alive()
        os.close(self.fds[1])
        rest = b""
        while piece := os.read(self.answers, 65536):
            rest += piece
        for fd in (self.fds[0], self.fds[2], self.answers, self.reports):
            os.close(fd)
        return rest


@pytest.fixture
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    folder.chmod(0o700)
    return folder


@pytest.fixture
def daemon(folder):
    daemon = Daemon(folder)
    yield daemon
    daemon.close()


@pytest.fixture
def ejabberd(daemon):
    ejabberd = Ejabberd(str(daemon.path))
    yield ejabberd
    ejabberd.end()


class TestConnector:
    def test_a_login_goes_through_and_the_program_ends_with_its_input(self, daemon):
        ejabberd = Ejabberd(str(daemon.path))
        daemon.accept()
        ejabberd.ask(AUTH)
        number, frame = daemon.question()
        assert frame == AUTH
        daemon.answer(number, TRUE)
        assert ejabberd.answer() == TRUE
        assert ejabberd.end() == b""

    def test_one_login_after_another_goes_through(self, daemon, ejabberd):
        daemon.accept()
        for n in range(20):
            frame = b"auth:a:b:%d" % n
            ejabberd.ask(frame)
            number, asked = daemon.question()
            assert asked == frame
            daemon.answer(number, truth(frame))
            assert ejabberd.answer() == truth(frame)
        daemon.hang_up()
        assert "closed the connection" in ejabberd.reported()

    def login(self, daemon, ejabberd, frame):
        ejabberd.ask(frame)
        number, asked = daemon.question()
        assert asked == frame
        daemon.answer(number, truth(frame))
        assert ejabberd.answer() == truth(frame)

    def test_a_late_answer_in_between_is_dropped(self, daemon, ejabberd):
        daemon.accept()
        self.login(daemon, ejabberd, AUTH)
        ejabberd.ask(ISUSER)
        number, _ = daemon.question()
        daemon.answer(number - 1, TRUE)
        daemon.answer(number, FALSE)
        assert ejabberd.answer() == FALSE
        self.login(daemon, ejabberd, AUTH)
        assert ejabberd.silent()

    def test_a_question_that_the_socket_does_not_take_at_once_goes_through(self, daemon, ejabberd):
        daemon.accept()
        self.login(daemon, ejabberd, AUTH)
        ejabberd.connector._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        frame = b"auth:a:b:" + b"x" * 40_000
        os.write(ejabberd.requests, packet(frame))  # in one piece: it fits into the pipe
        number, asked = daemon.question()
        assert asked == frame
        daemon.answer(number, TRUE)
        assert ejabberd.answer() == TRUE

    def test_requests_in_pieces_between_whole_ones_go_through(self, daemon, ejabberd):
        daemon.accept()
        for n in range(6):
            frame = b"auth:a:b:%d" % n
            octets = packet(frame)
            for piece in [octets] if n % 2 else [octets[:3], octets[3:]]:
                os.write(ejabberd.requests, piece)
            number, asked = daemon.question()
            assert asked == frame
            octets = answer(number, truth(frame))
            for piece in [octets] if n % 3 else [octets[:1], octets[1:]]:
                daemon.line.sendall(piece)
            assert ejabberd.answer() == truth(frame)

    def test_the_largest_frame_goes_through(self, daemon, ejabberd):
        daemon.accept()
        frame = b"auth:a:b:" + os.urandom(65526)
        writer = threading.Thread(target=ejabberd.ask, args=(frame,))
        writer.start()
        number, asked = daemon.question()
        writer.join()
        assert asked == frame
        daemon.answer(number, FALSE)
        assert ejabberd.answer() == FALSE

    def test_a_daemon_restarted_under_a_login_is_asked_again(self, daemon, ejabberd, folder):
        daemon.accept()
        ejabberd.ask(AUTH)
        daemon.question()
        daemon.close()
        again = Daemon(folder)
        again.accept()
        number, frame = again.question()
        assert frame == AUTH
        again.answer(number, TRUE)
        assert ejabberd.answer() == TRUE
        assert "closed the connection" in ejabberd.reported()
        again.close()

    def test_a_daemon_that_comes_later_answers_what_waits(self, folder, monkeypatch):
        monkeypatch.setattr(relaying, "TERMS", PATIENT)  # so long is the daemon waited for
        ejabberd = Ejabberd(str(folder / "s"))
        ejabberd.ask(AUTH)
        assert "the daemon is not running" in ejabberd.reported()
        daemon = Daemon(folder)
        daemon.accept()
        number, _ = daemon.question()
        daemon.answer(number, TRUE)
        assert ejabberd.answer() == TRUE
        assert "connected to the daemon" in ejabberd.reported()
        daemon.close()
        ejabberd.end()

    def test_a_hung_daemon_costs_one_deadline_and_is_left(self, daemon):
        ejabberd = Ejabberd(str(daemon.path))
        daemon.accept(Hello(0.2, ERROR, TRUE).encode())
        ejabberd.ask(AUTH)
        daemon.question()
        assert ejabberd.answer() == ERROR
        ejabberd.ask(ISUSER)
        assert ejabberd.answer() == TRUE
        assert "it hangs" in ejabberd.reported()
        ejabberd.end()

    def test_owed_answers_are_written_before_the_end(self, daemon):
        # By its clock no time passes: the last words last until the answer is there.
        ejabberd = Ejabberd(str(daemon.path), monotonic=lambda: 1000.0)
        daemon.accept()
        ejabberd.ask(AUTH)
        number, _ = daemon.question()
        os.close(ejabberd.requests)
        ejabberd.closed = True
        daemon.answer(number, TRUE)
        assert ejabberd.end() == TRUE

    def test_answers_owed_at_the_end_do_not_wait_for_a_silent_daemon(self, daemon):
        ejabberd = Ejabberd(str(daemon.path))
        daemon.accept()
        ejabberd.ask(AUTH)
        daemon.question()
        assert ejabberd.end() == ERROR
        assert LAST_WORDS < 1

    def test_the_end_is_noticed_while_too_much_is_pending_to_read_on(self, daemon):
        ejabberd = Ejabberd(str(daemon.path))
        daemon.accept(Hello(3600, ERROR, TRUE).encode())  # nobody can wait for that
        count = MOST_PENDING * 3
        os.write(ejabberd.requests, packet(AUTH) * count)
        daemon.question()
        assert ejabberd.end() == ERROR * count

    def test_a_pipe_that_does_not_block_is_waited_for(self, daemon):
        ejabberd = Ejabberd(str(daemon.path))
        os.set_blocking(ejabberd.fds[1], False)
        fcntl.fcntl(ejabberd.fds[1], fcntl.F_SETPIPE_SZ, 4096)
        daemon.accept(Hello(0.05, ERROR, TRUE).encode())
        count = 3000
        writer = threading.Thread(target=lambda: [ejabberd.ask(AUTH) for _ in range(count)])
        writer.start()
        assert [ejabberd.answer() for _ in range(count)] == [ERROR] * count
        writer.join()
        ejabberd.end()

    def test_it_ends_when_nobody_reads_its_answers(self, daemon):
        ejabberd = Ejabberd(str(daemon.path))
        daemon.accept()
        os.close(ejabberd.answers)
        ejabberd.ask(AUTH)
        number, _ = daemon.question()
        daemon.answer(number, TRUE)
        ejabberd.thread.join(30)
        assert not ejabberd.thread.is_alive()
        for fd in (*ejabberd.fds, ejabberd.requests, ejabberd.reports):
            os.close(fd)

    @pytest.mark.parametrize(
        ("said", "reported"),
        [
            (Hello(8, ERROR, TRUE, admitted=False).encode(), "name its user in [extauth].users"),
            (b"HTTP/1.1 400 Bad Request\r\n", "is no authbridge daemon"),
            (HI + answer(1, b"\0\2\0\7"), "the daemon's answer is none"),
        ],
    )
    def test_a_daemon_of_another_kind_is_reported_and_left(self, daemon, ejabberd, said, reported):
        daemon.accept(said)
        text = ""
        while reported not in text:
            text += ejabberd.reported()
        daemon.accept()  # it comes again

    def test_a_broken_connection_is_reported(self, daemon, ejabberd):
        daemon.accept()
        ejabberd.ask(AUTH)
        daemon.wait()
        # Unread octets at a close reset the connection instead of ending it.
        daemon.hang_up()
        text = ""
        while "the connection to the daemon broke" not in text:
            text += ejabberd.reported()
        daemon.accept()
        number, _ = daemon.question()  # asked again, as nobody has answered it
        daemon.answer(number, TRUE)
        assert ejabberd.answer() == TRUE

    def test_out_of_service_every_request_is_answered_at_once(self):
        ejabberd = Ejabberd(None)
        for frame, expected in ((AUTH, ERROR), (ISUSER, TRUE), (SETPASS, ERROR), (b"", FALSE)):
            ejabberd.ask(frame)
            assert ejabberd.answer() == expected
        assert "answered as in an outage" in ejabberd.reported()
        ejabberd.end()

    def test_pipelined_requests_are_answered_in_order(self, daemon, ejabberd):
        daemon.accept()
        count = MOST_PENDING * 3
        os.write(ejabberd.requests, b"".join(packet(b"auth:a:b:%d" % n) for n in range(count)))
        expected = []
        for n in range(count):
            number, frame = daemon.question()
            assert frame == b"auth:a:b:%d" % n
            expected.append(truth(frame))
            daemon.answer(number, truth(frame))
        assert [ejabberd.answer() for _ in range(count)] == expected
        assert ejabberd.silent()


def test_a_daemon_that_came_back_after_long_serves_the_very_next_request(folder):
    now = [1000.0]
    ejabberd = Ejabberd(str(folder / "s"), monotonic=lambda: now[0])
    assert "not running" in ejabberd.reported()
    now[0] += 3600
    ejabberd.ask(AUTH)
    assert ejabberd.answer() == ERROR
    daemon = Daemon(folder)
    ejabberd.ask(AUTH)
    daemon.accept()
    number, _ = daemon.question()
    daemon.answer(number, TRUE)
    assert ejabberd.answer() == TRUE
    daemon.close()
    ejabberd.end()


class Broken:
    """A socket on which one call fails."""

    def __init__(self, error):
        self.error = error

    def send(self, data):
        raise self.error

    recv = send

    def close(self):
        pass


def quiet_connector(reports):
    class Kept(Report):
        def _write(self, priority, text):
            reports.append(text)

    return Connector("/nonexistent", 0, 1, Kept(time.monotonic, 2, ""), time.monotonic)


def test_a_socket_that_would_block_is_tried_again_and_one_that_fails_is_left():
    reports = []
    one = quiet_connector(reports)
    one._relay.hear(HI, 1)
    one._relay.ask(packet(AUTH), 1)
    one._socket = Broken(BlockingIOError())
    one._send()
    assert one._receive(one._socket) == b""
    assert reports == []
    assert one._relay.questions
    one._socket = Broken(ConnectionResetError(104, "Connection reset by peer"))
    one._send()
    assert one._socket is None
    one._send()
    assert one._receive(Broken(ConnectionResetError(104, "Connection reset by peer"))) == b""
    one._heard(b"")
    assert reports == ["the connection to the daemon broke: Connection reset by peer"]


@pytest.fixture
def paired():
    """A connector with one question under way, its daemon's end, and what it has reported."""
    reports = []
    one = quiet_connector(reports)
    one._socket, daemon = socket.socketpair(socket.AF_UNIX)
    one._socket.setblocking(False)
    one._relay.hear(HI, 1)
    one._relay.ask(packet(AUTH), 1)
    one._send()
    yield one, daemon, reports
    daemon.close()


def test_what_a_daemon_said_before_it_left_is_heard_when_a_question_cannot_be_sent(paired):
    """A token that it has answered yes to is used: asked again, the next one would say no."""
    one, daemon, reports = paired
    daemon.sendall(answer(1, TRUE))
    daemon.close()
    one._relay.ask(packet(ISUSER), 1)
    one._send()
    assert one._socket is None
    assert answers(one._relay) == [TRUE]
    one._relay.hear(HI, 2)
    assert questions(one._relay) == [(2, ISUSER)]
    assert len(reports) == 1


def test_a_daemon_that_said_nonsense_before_it_left_is_left_once(paired):
    one, daemon, reports = paired
    daemon.sendall(answer(1, b"\0\2\0\7"))
    daemon.close()
    one._relay.ask(packet(ISUSER), 1)
    one._send()
    assert one._socket is None
    assert len(reports) == 1
    one._relay.hear(HI, 2)
    assert questions(one._relay) == [(1, AUTH), (2, ISUSER)]


def test_a_daemon_that_takes_nothing_and_says_nothing_is_left(paired):
    one, _, reports = paired
    one._socket.shutdown(socket.SHUT_WR)
    one._relay.ask(packet(ISUSER), 1)
    one._send()
    assert one._socket is None
    assert reports == ["the connection to the daemon broke: Broken pipe"]


class TestConnect:
    def test_it_connects_to_a_socket_in_a_folder_of_its_owner(self, daemon):
        way.connect(str(daemon.path)).close()

    def test_a_relative_path_is_one_from_here(self, daemon, monkeypatch):
        monkeypatch.chdir(daemon.path.parent)
        way.connect("s").close()

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
    def test_a_folder_that_others_may_write_to_is_refused(self, daemon, folder, mode):
        folder.chmod(mode)
        with pytest.raises(Unsafe, match="others may write"):
            way.connect(str(daemon.path))
        folder.chmod(0o700)

    def test_a_parent_that_anybody_may_write_to_is_refused_unless_sticky(self, folder):
        parent = folder / "p"
        (parent / "q").mkdir(parents=True)
        daemon = Daemon(parent / "q")
        parent.chmod(0o777)
        with pytest.raises(Unsafe):
            way.connect(str(daemon.path))
        parent.chmod(0o1777)
        way.connect(str(daemon.path)).close()
        daemon.close()

    def test_a_folder_of_somebody_else_is_refused(self, folder):
        me = os.geteuid()
        with pytest.raises(Unsafe, match=f"belongs to uid {me}"):
            way.check_folder(str(folder), 54321, {54321})
        way.check_folder(str(folder), 54321, {0, me})

    def test_under_a_folder_for_all_the_sockets_owner_may_be_anybody(self, folder):
        me = os.geteuid()
        (folder / "for-all" / "theirs").mkdir(parents=True)
        (folder / "for-all").chmod(0o1777)
        way.check_folder(str(folder / "for-all" / "theirs"), me, {0, me})
        with pytest.raises(Unsafe, match=r"others may write to .*for-all:"):
            way.check_folder(str(folder / "for-all" / "theirs"), me, {54321})

    def test_a_symbolic_link_is_judged_by_where_it_leads(self, daemon, folder):
        (folder / "link").symlink_to(daemon.path)
        with pytest.raises(Unsafe, match="is not a socket"):
            way.connect(str(folder / "link"))
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        (folder / "way").symlink_to(folder / "open")
        elsewhere = Daemon(folder / "open")
        with pytest.raises(Unsafe, match="others may write"):
            way.connect(str(folder / "way" / "s"))
        elsewhere.close()

    def test_what_is_no_socket_is_called_so(self, folder):
        (folder / "s").touch()
        with pytest.raises(Unsafe, match="is not a socket"):
            way.connect(str(folder / "s"))

    def test_a_listener_that_is_not_the_sockets_owner_is_refused(self, daemon):
        with pytest.raises(Unsafe, match="listens at"):
            way.check_peer(os.getuid() + 1, os.getuid() + 2, "/s")
        way.check_peer(0, 7, "/s")

    def test_a_socket_nobody_listens_at_is_an_error(self, daemon):
        daemon.listener.close()
        with pytest.raises(ConnectionRefusedError):
            way.connect(str(daemon.path))

    def test_a_path_may_be_longer_than_a_sockets_address(self, folder):
        deep = folder / ("x" * 120)
        deep.mkdir()
        with contextlib.chdir(deep):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind("s")
            listener.listen()
        way.connect(str(deep / "s")).close()
        listener.close()

    @pytest.mark.parametrize(
        ("number", "hint"), [(2, "not running"), (13, "may not open"), (11, "hangs")]
    )
    def test_errors_come_with_what_to_do(self, number, hint):
        assert hint in way.why(OSError(number, "text"), "/s")
        assert way.why(OSError(5, "text"), "/s") == "no connection to /s: text"

    def test_an_unsafe_folder_is_reported_and_tried_again(self, daemon, folder):
        folder.chmod(0o777)
        ejabberd = Ejabberd(str(daemon.path))
        assert "others may write to" in ejabberd.reported()
        folder.chmod(0o700)
        daemon.accept()
        ejabberd.end()


class TestReport:
    def test_a_trouble_is_reported_once_in_a_while(self):
        now = [1000.0]
        read, write = os.pipe()
        report = Report(lambda: now[0], write, "/nonexistent")
        report.recovered("well")
        for _ in range(3):
            report.trouble("wrong")
        now[0] += QUIET
        report.trouble("wrong")
        report.recovered("well")
        report.recovered("well")
        report.trouble("wrong")
        report.recovered("well")
        lines = os.read(read, 65536).decode().splitlines()
        assert [line.partition("]: ")[2] for line in lines] == ["wrong", "wrong", "well"]
        assert lines[0].startswith("authbridge-extauth[")
        os.close(read)
        os.close(write)

    def test_it_goes_to_syslog_too(self, folder):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.settimeout(30)
            log.bind(str(folder / "log"))
            with open(os.devnull, "w") as null:
                Report(time.monotonic, null.fileno(), str(folder / "log")).trouble("wrong")
            assert log.recv(1000).startswith(b"<28>authbridge-extauth[")

    def test_a_full_or_closed_stderr_is_not_waited_for(self):
        read, write = os.pipe()
        os.set_blocking(write, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write, b"x" * 65536)
        os.set_blocking(write, True)
        report = Report(time.monotonic, write, "/nonexistent")
        report.trouble("one")
        os.close(read)
        report.trouble("two")
        os.close(write)


def run(code: str, *arguments: str, stdin: bytes = b"", **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=stdin,
        capture_output=True,
        timeout=240,
        **kwargs,
    )


MAIN = "import sys; from authbridge.connector import main; sys.exit(main(sys.argv[1:]))"


class TestMain:
    def test_wrong_arguments_leave_it_out_of_service_and_running(self):
        for arguments in (["--sock", "x"], ["--socket"], ["--socket", ""], ["x"]):
            done = run(MAIN, *arguments, stdin=packet(AUTH) + packet(ISUSER))
            assert done.returncode == 0
            assert done.stdout == ERROR + TRUE
            assert b"usage: authbridge-extauth" in done.stderr

    def test_a_socket_is_named_or_the_default(self):
        default = "/run/authbridge/extauth.sock"
        for arguments, path in (([], default), (["--socket", "/x/y"], "/x/y")):
            done = run(MAIN, *arguments, stdin=packet(AUTH))
            assert done.stdout == ERROR
            assert path.encode() in done.stderr

    def test_nothing_but_answers_reaches_the_standard_output(self):
        code = (
            "import os; from authbridge import connector; fd = connector.keep_stdout();"
            "print('noise', flush=True); os.system('echo more noise'); os.write(fd, b'answer')"
        )
        done = run(code)
        assert done.stdout == b"answer"
        assert b"noise\nmore noise\n" in done.stderr

    def test_closed_standard_descriptors_are_not_taken_by_the_socket(self):
        code = (
            "import os; os.close(2); os.close(1); os.close(0);"
            "from authbridge import connector; fd = connector.keep_stdout();"
            "null = os.stat('/dev/null').st_rdev;"
            "raise SystemExit(0 if fd > 2 and os.fstat(2).st_rdev == null else 1)"
        )
        assert run(code).returncode == 0

    def test_on_a_terminal_it_says_what_it_is_for(self):
        leader, follower = os.openpty()
        done = subprocess.run(
            [sys.executable, "-c", MAIN], stdin=follower, capture_output=True, timeout=240
        )
        os.close(leader)
        os.close(follower)
        assert done.returncode == 2
        assert b"extauth_program" in done.stderr
