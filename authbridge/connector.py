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
import errno
import posix
import select
import sys
import time

from authbridge.wire import extauth
from authbridge.wire.extauth import ERROR, TRUE, FrameReader, Hello, Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_SOCKET = "/run/authbridge/extauth.sock"
TERMS = Hello(8.0, ERROR, TRUE)
"""What holds until a daemon has said otherwise."""

MOST_ASKED = 3  # daemons that one request is given to
MOST_PENDING = 64  # requests read ahead; ejabberd itself has one under way at a time
LAST_WORDS = 0.7  # seconds after the end of input in which owed answers may still come
RETRY = 0.05, 1.0  # seconds between attempts to connect, doubling
SEND_AHEAD = 1 << 18  # octets that may wait for a daemon that does not read
QUIET = 60.0  # seconds in which a trouble is reported once
HELLO = 0.5  # seconds that a daemon just connected has for its hello, after a long absence
ASKED_AGAIN = b"auth:", b"isuser:"  # harmless when asked twice; a write is not
SO_PEERCRED = 17
WARNING, NOTICE = 28, 29  # syslog: facility daemon
USAGE = "usage: authbridge-extauth [--socket PATH | --standalone --config FILE]; out of service"


class NotAdmitted(Exception):
    """The daemon runs, and does not serve this user."""


class Pending:
    """A request that ejabberd has sent and that has not been answered to it."""

    __slots__ = ("answer", "asked", "frame", "number", "sent", "times")

    def __init__(self, number: int, frame: bytes, asked: float) -> None:
        self.number = number
        self.frame = frame
        self.asked = asked
        self.answer = b""
        self.sent = False
        self.times = 0  # that it was sent


class Relay:
    """The state of the connector, without its I/O: octets and the time in, octets out.

    `answers` and `questions` are the octets to be written to ejabberd and to the daemon; the
    caller takes off what it has written.
    """

    def __init__(self, now: float) -> None:
        self.terms = TERMS
        self.answers = bytearray()
        self.questions = bytearray()
        self.welcome = False
        """A daemon is connected, has said hello and admits us."""
        self.outages = 0
        """Requests answered with what an outage answers."""
        self.hangs = False
        """The daemon said nothing from a request to its deadline; call `lose`."""
        self._pending: list[Pending] = []  # in ejabberd's order
        self._waiting: dict[int, Pending] = {}  # by id: sent, and not answered
        self._number = 0
        self._frames = FrameReader()
        self._from_daemon = bytearray()
        self._away_since = now
        self._heard = now

    @property
    def idle(self) -> bool:
        """Nothing is owed to ejabberd."""
        return not self._pending

    @property
    def full(self) -> bool:
        """No more requests should be read before some are answered."""
        return len(self._pending) >= MOST_PENDING

    def ask(self, data: bytes, now: float) -> None:
        """Octets from ejabberd."""
        for frame in self._frames.feed(data):
            self._number = (self._number + 1) & 0xFFFFFFFF
            self._pending.append(Pending(self._number, frame, now))
        self._send()

    def connected(self, now: float) -> None:
        """A daemon may be there: even after a long absence it gets a moment to say hello."""
        self._away_since = max(self._away_since, now - self.terms.deadline + HELLO)

    def hear(self, data: bytes, now: float) -> None:
        """Octets from the daemon. Raises Malformed or NotAdmitted; call `lose` then."""
        self._heard = now
        self._from_daemon += data
        if not self.welcome:
            hello = extauth.take_hello(self._from_daemon)
            if hello is None:
                return
            if not hello.admitted:
                raise NotAdmitted
            self.terms = hello
            self.welcome = True
            self._send()
        for number, answer in extauth.take_answers(self._from_daemon):
            request = self._waiting.pop(number, None)
            if request is not None:  # None: it came too late, ejabberd has its answer
                request.answer = answer
        self._flush()

    def lose(self, now: float) -> None:
        """The connection to the daemon has ended, or is given up."""
        if self.welcome:
            self._away_since = now - self.terms.deadline if self.hangs else now
        self.welcome = self.hangs = False
        self.questions.clear()
        self._from_daemon.clear()
        for request in self._waiting.values():
            request.sent = False
            if not request.frame.startswith(ASKED_AGAIN) or request.times == MOST_ASKED:
                self._answer_outage(request)
        self._waiting.clear()
        self._flush()

    def tick(self, now: float) -> None:
        """Answer what must not wait any longer."""
        for request in self._pending:
            if now < self._limit(request):
                break  # the later ones have later limits
            if not request.answer:
                self._answer_outage(request)
                if self._waiting.pop(request.number, None) is not None:
                    self.hangs = self.hangs or self._heard <= request.asked
        self._flush()

    def sent(self) -> None:
        """Octets of `questions` are on their way: there may be room for more."""
        self._send()

    def give_up(self) -> None:
        """Answer everything now: the input has ended, and nobody may be kept waiting."""
        for request in self._pending:
            if not request.answer:
                self._answer_outage(request)
        self._waiting.clear()
        self._flush()

    def wake_at(self) -> float | None:
        """When `tick` has something to do; None: nothing is waiting."""
        return self._limit(self._pending[0]) if self._pending else None

    def _limit(self, request: Pending) -> float:
        limit = request.asked + self.terms.deadline
        return limit if self.welcome else min(limit, self._away_since + self.terms.deadline)

    def _answer_outage(self, request: Pending) -> None:
        request.answer = self.terms.outage(request.frame)
        self.outages += 1

    def _send(self) -> None:
        if not self.welcome:
            return
        for request in self._pending:
            if len(self.questions) >= SEND_AHEAD:
                break
            if not request.sent and not request.answer:
                request.sent = True
                request.times += 1
                self._waiting[request.number] = request
                self.questions += extauth.question(request.number, request.frame)

    def _flush(self) -> None:
        done = 0
        for request in self._pending:
            if not request.answer:
                break
            self.answers += request.answer
            done += 1
        del self._pending[:done]


class Report:
    """Troubles in words, to stderr and syslog, each once in a while and never in the way.

    ejabberd's stderr is often /dev/null, hence syslog; neither is waited for.
    """

    def __init__(self, monotonic: Callable[[], float], stderr: int, syslog: str) -> None:
        self._monotonic = monotonic
        self._stderr = stderr
        self._syslog = syslog
        self._last: dict[str, float] = {}

    def trouble(self, text: str) -> None:
        """Report something that is wrong, unless it was reported a short while ago."""
        now = self._monotonic()
        if now - self._last.get(text, -QUIET) >= QUIET:
            self._last[text] = now
            self._write(WARNING, text)

    def recovered(self, text: str) -> None:
        """Report the end of a trouble; without one there is nothing to report."""
        if self._last:
            self._last.clear()
            self._write(NOTICE, text)

    def _write(self, priority: int, text: str) -> None:
        line = f"authbridge-extauth[{posix.getpid()}]: {text}"
        poll = select.poll()
        poll.register(self._stderr, select.POLLOUT)
        if poll.poll(0):  # a pipe that is ready takes PIPE_BUF octets without waiting
            with_newline = line.encode(errors="replace")[:500] + b"\n"
            try:
                posix.write(self._stderr, with_newline)
            except OSError:
                pass  # closed at the other end: syslog remains
        try:
            log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
            try:
                log.setblocking(False)
                log.sendto(f"<{priority}>{line}".encode(errors="replace"), self._syslog)
            finally:
                log.close()
        except OSError:
            pass  # no syslog here: stderr remains


class Unsafe(Exception):
    """The socket may be somebody else's; the text says why."""


def check_folder(path: str, trusted: set[int]) -> None:
    """Raise Unsafe where somebody else than these uids may put a socket of their own."""
    folder = path.rpartition("/")[0] or "/"
    strict = 0o022  # the folder itself: its owner alone may write to it
    while True:
        found = posix.stat(folder)
        sticky = strict == 0o002 and found.st_mode & 0o1000
        if found.st_uid not in trusted or (found.st_mode & strict and not sticky):
            raise Unsafe(f"others may write to {folder}, so the socket {path} may be anybody's")
        if folder == "/":
            return
        folder, strict = folder.rpartition("/")[0] or "/", 0o002


def check_peer(peer: int, owner: int, path: str) -> None:
    """Raise Unsafe where the listener's uid is neither root's nor that of the socket's owner."""
    if peer not in (0, owner):
        raise Unsafe(f"uid {peer} listens at {path}, which belongs to uid {owner}")


def connect(path: str) -> _socket.socket:
    """A connection to the daemon at `path`, if it is the daemon.

    Raises OSError where nobody answers there, Unsafe where it may be somebody else.
    """
    path = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    owner = posix.stat(path).st_uid
    check_folder(path, {0, owner, posix.geteuid()})
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(path)
        credentials = sock.getsockopt(_socket.SOL_SOCKET, SO_PEERCRED, 12)  # int pid, uid, gid
        check_peer(int.from_bytes(credentials[4:8], sys.byteorder), owner, path)
    except (OSError, Unsafe):
        sock.close()
        raise
    return sock


def why(error: OSError, path: str) -> str:
    """What an administrator can do about a connection that failed."""
    hint = {
        errno.ENOENT: "the daemon is not running, or [listen].extauth names another path",
        errno.ECONNREFUSED: "the daemon is not running",
        errno.EACCES: f"uid {posix.geteuid()} may not open it: see its mode and its folder's",
        errno.EAGAIN: "the daemon takes no more connections: it hangs or is overloaded",
    }.get(error.errno or 0, "")
    return f"no connection to {path}: {error.strerror or error}" + (f" ({hint})" if hint else "")


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
        self._leave_at: float | None = None  # set at the end of input

    def run(self) -> None:
        """Relay until the input ends, or until nobody reads the answers any more."""
        try:
            while not self._over():
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
        return self._leave_at is not None and relay.idle

    def _turn(self) -> None:
        now = self._monotonic()
        if self._socket is None and self._path and now >= self._next_try:
            self._connect(self._path, now)
        poll = select.poll()
        if self._leave_at is None and not self._relay.full:
            poll.register(self._stdin, select.POLLIN)
        if self._socket is not None:
            wanted = select.POLLIN | (select.POLLOUT if self._relay.questions else 0)
            poll.register(self._socket, wanted)
        ready = [fd for fd, _ in poll.poll(self._patience(now))]
        if self._socket is not None and self._socket.fileno() in ready:
            self._hear(self._socket)
        if self._stdin in ready:
            self._ask()
        self._send()

    def _patience(self, now: float) -> float | None:
        moments = [self._relay.wake_at(), self._leave_at]
        if self._socket is None and self._path:
            moments.append(self._next_try)
        known = [moment for moment in moments if moment is not None]
        # One more millisecond: poll counts whole ones, and waking early is to wake twice.
        return max(0.0, min(known) - now) * 1000 + 1 if known else None

    def _ask(self) -> None:
        now = self._monotonic()
        data = posix.read(self._stdin, 65537)
        if not data:
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
            self._relay.connected(now)

    def _hear(self, sock: _socket.socket) -> None:
        try:
            data = sock.recv(65536)
            if not data:
                self._lose("the daemon has closed the connection")
                return
            self._relay.hear(data, self._monotonic())
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the connection to the daemon broke: {error.strerror}")
        except Malformed as error:
            self._lose(f"{error}: is {self._path} the socket of [listen].extauth?")
        except NotAdmitted:
            self._lose(
                f"the daemon does not serve uid {posix.geteuid()}: name its user in [extauth].users"
            )
        if self._relay.welcome:
            self._retry = RETRY[0]
            self._report.recovered(f"connected to the daemon at {self._path}")

    def _send(self) -> None:
        if self._socket is None or not self._relay.questions:
            return
        try:
            sent = self._socket.send(self._relay.questions)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the connection to the daemon broke: {error.strerror}")
        else:
            del self._relay.questions[:sent]
            self._relay.sent()

    def _lose(self, why: str) -> None:
        now = self._monotonic()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._next_try = now + self._retry
        self._relay.lose(now)
        self._report.trouble(why)

    def _write_answers(self) -> None:
        # Blocking: who does not read its answers gets no more of them.
        relay = self._relay
        while relay.answers:
            del relay.answers[: posix.write(self._stdout, relay.answers)]
        if relay.outages:
            relay.outages = 0
            self._report.trouble("requests are answered as in an outage: the daemon is away")


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
        path = arguments[1] if len(arguments) == 2 and arguments[0] == "--socket" else None
    report = Report(time.monotonic, 2, "/dev/log")
    if path is None:
        report.trouble(USAGE)
    if posix.isatty(0):
        report.trouble("this is the program for ejabberd's extauth_program; it reads its requests")
        return 2
    Connector(path, 0, keep_stdout(), report, time.monotonic).run()
    return 0
