"""ejabberd's extauth protocol, and its relay between the connector and the daemon.

    request:  uint16 N, then N octets: VERB ":" fields joined with ":"
    answer:   always four octets, 00 02 00 01 (true) or 00 02 00 00 (false)

(ejabberd `src/extauth.erl`, an Erlang port opened with {packet, 2}.) The answers carry no id: the
n-th answer belongs to the n-th request. One answer too many, and somebody is logged in on another
user's password. ejabberd takes 00 02 00 02 as a failure of the database.

The connector and the daemon talk over a Unix socket, where every frame has an id:

    hello     daemon to connector, once, first: MAGIC, uint8 version, uint8 admitted (0 or 1),
              uint16 length, then: uint32 deadline in milliseconds, uint16 outage answer for auth,
              uint16 outage answer for isuser; what a later version appends is skipped
    question  connector to daemon: uint32 id, uint16 N, then N octets: the request of ejabberd
    answer    daemon to connector: uint32 id, uint16 answer

All integers are big-endian. A connector outlives its daemon, so either side may be older.

This module is read by the connector too, which has milliseconds to start: it imports nothing.
"""

from __future__ import annotations

TRUE = b"\x00\x02\x00\x01"
FALSE = b"\x00\x02\x00\x00"
ERROR = b"\x00\x02\x00\x02"
"""`{error, db_failure}` to ejabberd: nothing is cached, a setpass is reported as failed."""

ANSWERS = TRUE, FALSE, ERROR

LONGEST_FRAME = 65535

MAGIC = b"authbridge"
_HELLO_HEAD = len(MAGIC) + 4
_HELLO_BODY = 8
ANSWER_LENGTH = 6


class Malformed(ValueError):
    """These octets are not of this protocol. The text never repeats them."""


class Request:
    """One request: the verb in ASCII, the other fields as they came."""

    __slots__ = ("domain", "password", "user", "verb")

    def __init__(self, verb: str, user: bytes, domain: bytes, password: bytes) -> None:
        self.verb = verb
        self.user = user
        self.domain = domain
        self.password = password

    def __repr__(self) -> str:
        return f"Request({self.verb})"


# Fields after the verb. Only the last may hold ":", so it takes all that is left.
_FIELDS = {
    b"auth": 3,
    b"isuser": 2,
    b"setpass": 3,
    b"tryregister": 3,
    b"removeuser": 2,
    b"removeuser3": 3,
    b"certauth": 3,
}


def parse(frame: bytes) -> Request:
    """The request in a frame. Raises Malformed: an unknown verb, or too few fields."""
    verb, _, rest = frame.partition(b":")
    wanted = _FIELDS.get(verb)
    if wanted is None:
        raise Malformed("unknown verb")
    fields = rest.split(b":", wanted - 1)
    if len(fields) < wanted:
        raise Malformed("too few fields")
    return Request(verb.decode(), fields[0], fields[1], fields[2] if wanted == 3 else b"")


def refusal(frame: bytes) -> bytes:
    """What refuses a request that was not carried out.

    A setpass answered "false" is reported to the user as done (ejabberd
    `ejabberd_auth_external.erl`, set_password), and its password cached where the cache is on;
    ERROR is reported as failed.
    """
    return ERROR if frame.startswith(b"setpass:") else FALSE


class FrameReader:
    """Frames out of a stream, however it was cut into pieces."""

    __slots__ = ("_buffer", "_head")

    def __init__(self, head: int = 0) -> None:
        self._head = head  # octets in front of a frame's length: the id of a question
        self._buffer = bytearray()

    def holds_one(self, data: bytes) -> bool:
        """Whether these octets are one frame, whole, and none has begun before them."""
        head = self._head
        return not self._buffer and len(data) == head + 2 + int.from_bytes(
            data[head : head + 2], "big"
        )

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, each with its head and without its length."""
        head, buffer = self._head, self._buffer
        if self.holds_one(data):
            return [data[:head] + data[head + 2 :]]  # as nearly always: one frame, one piece
        buffer += data
        frames: list[bytes] = []
        at, end = 0, len(buffer)
        while (start := at + head + 2) <= end:
            stop = start + int.from_bytes(buffer[start - 2 : start], "big")
            if stop > end:
                break
            frames.append(bytes(buffer[at : at + head] + buffer[start:stop]))
            at = stop
        del buffer[:at]
        return frames


class Hello:
    """What the daemon tells a connector first: whether it is admitted, and the terms."""

    __slots__ = ("admitted", "auth", "deadline", "isuser")

    def __init__(
        self, deadline: float, auth: bytes, isuser: bytes, *, admitted: bool = True
    ) -> None:
        self.deadline = deadline  # seconds until the connector answers by itself
        self.auth = auth  # its answer to auth in an outage: TRUE, FALSE or ERROR
        self.isuser = isuser
        self.admitted = admitted

    def outage(self, frame: bytes) -> bytes:
        """The answer to a request that the daemon did not answer in time."""
        verb = frame.partition(b":")[0]
        if verb == b"auth":
            return self.auth
        if verb == b"isuser":
            return self.isuser
        # ERROR is told as a failure of the server, FALSE as something that is not allowed.
        return ERROR if verb == b"tryregister" else refusal(frame)

    def encode(self) -> bytes:
        """The octets of the message."""
        body = round(self.deadline * 1000).to_bytes(4, "big") + self.auth[2:] + self.isuser[2:]
        return b"%b\x01%c%b%b" % (MAGIC, self.admitted, len(body).to_bytes(2, "big"), body)


def take_hello(buffer: bytearray) -> Hello | None:
    """Take a hello off the front of a buffer; None while it is not complete. Raises Malformed."""
    if not MAGIC.startswith(buffer[: len(MAGIC)]):
        raise Malformed("this is no authbridge daemon")
    if len(buffer) < _HELLO_HEAD:
        return None
    end = _HELLO_HEAD + int.from_bytes(buffer[_HELLO_HEAD - 2 : _HELLO_HEAD], "big")
    if end < _HELLO_HEAD + _HELLO_BODY:
        raise Malformed("the daemon's hello is too short")
    if len(buffer) < end:
        return None
    body = bytes(buffer[_HELLO_HEAD : _HELLO_HEAD + _HELLO_BODY])
    admitted = buffer[len(MAGIC) + 1] == 1
    del buffer[:end]
    auth, isuser = b"\x00\x02" + body[4:6], b"\x00\x02" + body[6:8]
    if auth not in (FALSE, ERROR) or isuser not in ANSWERS:
        raise Malformed("the daemon's hello names an answer that is none")
    return Hello(int.from_bytes(body[:4], "big") / 1000, auth, isuser, admitted=admitted)


def question(number: int, frame: bytes) -> bytes:
    """A request of ejabberd on its way to the daemon, with an id of ours."""
    return b"%b%b%b" % (number.to_bytes(4, "big"), len(frame).to_bytes(2, "big"), frame)


def take_answers(buffer: bytearray) -> list[tuple[int, bytes]]:
    """Take the complete answers off the front of a buffer: the id, the four octets for ejabberd.

    Raises Malformed where one is not an answer.
    """
    answers = []
    whole = len(buffer) // ANSWER_LENGTH * ANSWER_LENGTH
    for at in range(0, whole, ANSWER_LENGTH):
        answer = b"\x00\x02" + buffer[at + 4 : at + ANSWER_LENGTH]
        if answer not in ANSWERS:
            raise Malformed("the daemon's answer is none")
        answers.append((int.from_bytes(buffer[at : at + 4], "big"), bytes(answer)))
    del buffer[:whole]
    return answers
