"""authbridge-extauth: the program that ejabberd starts, between its pipe and the daemon's socket.

It relays each request with an id, and so it alone owns the order of the answers, their deadline
and what becomes of late ones. Whatever the daemon does (it is not there yet, stops, hangs, is
killed and started again), each request gets exactly one answer, in order and in time:

  * an auth or isuser that a lost daemon left unanswered is asked again at the next one, unless
    it has seen three daemons off: then it may be what ends them;
  * a write that was sent and not answered is refused, since it may have been done;
  * at its deadline a request is answered with what an outage answers, and a later answer is
    dropped for good. A daemon that let a deadline pass in silence is left, and asked anew;
  * once the daemon has been away for a whole deadline, requests no longer wait for it.

ejabberd must not see this program end: a pool whose programs end quickly is given up for good
(ejabberd 23.01: a shell script doing "exit 1" takes 0.17 s). It ends when its standard input does.

ejabberd starts one for each processor, so it is to start in milliseconds and weigh next to
nothing: `posix`, `_socket`, `select` and `time` are C modules that import nothing, where os and
socket bring enum, selectors and collections (1.5 MB). The start is isolated (-I -S).
"""

from __future__ import annotations

import _socket
import posix
import select
import time

from authbridge.connector.daemon import Unsafe, connect, why
from authbridge.connector.relay import TERMS, NotAdmitted, Relay
from authbridge.connector.report import Report
from authbridge.wire.extauth import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_SOCKET = "/run/authbridge/extauth.sock"
USAGE = "usage: authbridge-extauth [--socket PATH | --standalone --config FILE]; out of service"
LAST_WORDS = 0.7  # seconds after the end of input in which owed answers may still come
RETRY = 0.05, 1.0  # seconds between attempts to connect, doubling


class Connector:
    """The I/O round a Relay: ejabberd's pipe on one side, the daemon's socket on the other."""

    def __init__(
        self,
        path: str | None,
        stdin: int,
        stdout: int,
        report: Report,
        monotonic: Callable[[], float],
    ) -> None:
        self._path = path  # None: out of service, every request is answered as an outage is
        self._stdin = stdin
        self._stdout = stdout
        self._report = report
        self._monotonic = monotonic
        self._relay = Relay(monotonic() if path else -TERMS.deadline)
        self._socket: _socket.socket | None = None
        self._retry = RETRY[0]
        self._next_try = 0.0
        self._connected_at = 0.0
        self._ended = False  # the input has been read to its end
        self._leave_at: float | None = None  # set when its writer has closed it

    def run(self) -> None:
        """Relay until the input ends, or until nobody reads the answers any more."""
        try:
            while not self._over():
                if self._socket is not None and self._relay.calm and self._leave_at is None:
                    self._serve(self._socket)
                else:
                    self._turn()
        except BrokenPipeError:
            pass  # ejabberd has closed the pipe: that is how it stops us
        if self._socket is not None:
            self._socket.close()

    def _over(self) -> bool:
        now = self._monotonic()
        relay = self._relay
        relay.tick(now)
        if self._leave_at is not None and now >= self._leave_at:
            relay.give_up()
        if relay.hangs:
            self._lose("the daemon is connected, and answers nothing: it hangs")
        self._write_answers()
        return self._ended and relay.idle

    def _serve(self, sock: _socket.socket) -> None:
        """Relay one request after another, while all is as it nearly always is: the daemon is
        there, and nothing is under way but what was just asked. At anything else return; `run`
        goes on from the relay's state."""
        relay, stdin = self._relay, self._stdin
        poll = select.poll()
        poll.register(stdin, select.POLLIN)
        poll.register(sock, select.POLLIN)
        asked, answered = [(stdin, select.POLLIN)], [(sock.fileno(), select.POLLIN)]
        patience = relay.terms.deadline * 1000 + 1
        while True:
            if poll.poll() != asked:
                return self._turn()
            data = posix.read(stdin, 65537)
            question = relay.ask_alone(data, self._monotonic())
            if not question:
                return self._asked(data)
            relay.questions += question
            self._send()
            if relay.questions or poll.poll(patience) != answered:
                return None
            heard = self._receive(sock)
            answer = relay.hear_alone(heard)
            if not answer:
                return self._heard(heard)
            relay.answers += answer
            self._write_answers()

    def _turn(self) -> None:
        now = self._monotonic()
        if self._socket is None and self._path and now >= self._next_try:
            self._connect(self._path, now)
        poll = select.poll()
        full = self._relay.full
        if not self._ended and not full:
            poll.register(self._stdin, select.POLLIN)
        elif self._leave_at is None:
            poll.register(self._stdin, 0)  # not to read from, and still to hear of its end
        if self._socket is not None:
            wanted = select.POLLIN | (select.POLLOUT if self._relay.questions else 0)
            poll.register(self._socket, wanted)
        ready = [fd for fd, _ in poll.poll(self._patience(now))]
        if self._socket is not None and self._socket.fileno() in ready:
            self._heard(self._receive(self._socket))
        if self._stdin in ready:
            if full:
                self._leave_at = now + LAST_WORDS
            else:
                self._asked(posix.read(self._stdin, 65537))
        self._send()

    def _patience(self, now: float) -> float | None:
        moments = [self._relay.wake_at(), self._leave_at]
        if self._socket is None and self._path:
            moments.append(self._next_try)
        known = [moment for moment in moments if moment is not None]
        # One more millisecond: poll counts whole ones, and waking early is to wake twice.
        return max(0.0, min(known) - now) * 1000 + 1 if known else None

    def _asked(self, data: bytes) -> None:
        now = self._monotonic()
        if not data:
            self._ended = True
            if self._leave_at is None:
                self._leave_at = now + LAST_WORDS
            return
        if self._socket is None and self._path:
            self._connect(self._path, now)  # a daemon that is back serves this very request
        self._relay.ask(data, now)

    def _connect(self, path: str, now: float) -> None:
        self._next_try = now + self._retry
        self._retry = min(self._retry * 2, RETRY[1])
        try:
            self._socket = connect(path)
        except Unsafe as error:
            self._report.trouble(str(error))
        except OSError as error:
            self._report.trouble(why(error, path))
        else:
            self._connected_at = now
            self._relay.connected(now)

    def _receive(self, sock: _socket.socket) -> bytes:
        """Octets of the daemon; none where there are none, or no daemon any more."""
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return b""
        except OSError as error:
            self._lose(f"the connection to the daemon broke: {error.strerror}")
            return b""
        if not data:
            self._lose("the daemon has closed the connection")
        return data

    def _heard(self, data: bytes) -> None:
        if not data:
            return
        welcome_before = self._relay.welcome
        try:
            self._relay.hear(data, self._monotonic())
        except Malformed as error:
            self._lose(f"{error}: is {self._path} the socket of [listen].extauth?")
        except NotAdmitted:
            self._lose(
                f"the daemon does not serve uid {posix.geteuid()}: name its user in [extauth].users"
            )
        if self._relay.welcome and not welcome_before:
            self._report.recovered(f"connected to the daemon at {self._path}")

    def _send(self) -> None:
        if self._socket is None or not self._relay.questions:
            return
        try:
            sent = self._socket.send(self._relay.questions)
        except BlockingIOError:
            return
        except OSError as error:
            # What it answered before it left is not asked again: a token would be used already.
            sock = self._socket
            while self._socket is sock and (data := self._receive(sock)):
                self._heard(data)
            if self._socket is sock:
                self._lose(f"the connection to the daemon broke: {error.strerror}")
        else:
            del self._relay.questions[:sent]
            self._relay.sent()

    def _lose(self, why: str) -> None:
        now = self._monotonic()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if now - self._connected_at > RETRY[1]:  # not one that comes and goes
                self._retry = RETRY[0]
        self._next_try = now + self._retry
        self._relay.lose(now)
        self._report.trouble(why)

    def _write_answers(self) -> None:
        # Blocking: who does not read its answers gets no more of them.
        relay = self._relay
        while relay.answers:
            try:
                del relay.answers[: posix.write(self._stdout, relay.answers)]
            except BlockingIOError:  # somebody has made the pipe so
                poll = select.poll()
                poll.register(self._stdout, select.POLLOUT)
                poll.poll()
        if relay.outages:
            relay.outages = 0
            self._report.trouble("requests are answered as in an outage")


def keep_stdout() -> int:
    """A private descriptor for the answers; what anybody prints goes to stderr from now on."""
    for _ in range(3):  # a closed one would be taken by the next file that is opened
        if (fd := posix.open("/dev/null", posix.O_RDWR)) > 2:
            posix.close(fd)
            break
    stdout = posix.dup(1)
    posix.dup2(2, 1)
    return stdout


def main(arguments: list[str]) -> int:
    """The program. Whatever is wrong, it stays and answers: see the module's text."""
    path: str | None = DEFAULT_SOCKET
    if arguments:
        path = arguments[1] if len(arguments) == 2 and arguments[0] == "--socket" else ""
    path = path or None
    report = Report(time.monotonic, 2, "/dev/log")
    if path is None:
        report.trouble(USAGE)
    if posix.isatty(0):
        report.trouble("this is the program for ejabberd's extauth_program; it reads its requests")
        return 2
    Connector(path, 0, keep_stdout(), report, time.monotonic).run()
    return 0
