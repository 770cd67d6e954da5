"""What the connector knows, without its I/O: octets and the time in, octets out."""

from __future__ import annotations

from authbridge.wire import extauth
from authbridge.wire.extauth import ANSWER_LENGTH, ANSWERS, ERROR, TRUE, FrameReader, Hello

TERMS = Hello(8.0, ERROR, TRUE)
"""What holds until a daemon has said otherwise."""

MOST_ASKED = 3  # daemons that one request is given to
MOST_PENDING = 64  # requests read ahead; ejabberd itself has one under way at a time
SEND_AHEAD = 1 << 18  # octets that may wait for a daemon that does not read
HELLO = 0.5  # seconds that a daemon just connected has for its hello, after a long absence
ASKED_AGAIN = b"auth:", b"isuser:"  # harmless when asked twice; a write is not


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
    def calm(self) -> bool:
        """A daemon is there, and nothing at all is under way."""
        return self.welcome and not (self._pending or self.questions or self.answers)

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

    def ask_alone(self, data: bytes, now: float) -> bytes:
        """The question to be sent for these octets from ejabberd, where we are calm and they are
        one request and nothing else, as nearly always; otherwise nothing, and nothing has
        happened: `ask` is to be called."""
        if not self.calm or not self._frames.holds_one(data):
            return b""
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        request = Pending(number, data[2:], now)
        request.sent = True
        request.times = 1
        self._pending.append(request)
        self._waiting[number] = request
        return number.to_bytes(4, "big") + data

    def hear_alone(self, data: bytes) -> bytes:
        """The answer for ejabberd, where these octets of the daemon are the answer to the one
        request that is under way; otherwise nothing, and nothing has happened: `hear` is to be
        called."""
        if len(data) != ANSWER_LENGTH or self._from_daemon or len(self._pending) != 1:
            return b""
        answer = b"\x00\x02" + data[4:]
        if int.from_bytes(data[:4], "big") not in self._waiting or answer not in ANSWERS:
            return b""
        self._waiting.clear()
        self._pending.clear()
        return answer

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
