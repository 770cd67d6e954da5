"""Who attacks `listen.http`: requests of any octets, and a strict reader of what is answered."""

import base64
import re
import socket
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from . import people
from .canary import secret
from .daemon import Daemon, write_private

ALICE = f"alice@{people.ORG}"
#: Stands in every attack, and comes back in no answer and in no line of the log.
CANARY = secret("canary")
#: Megabytes by which the daemon may grow, whatever is done to it.
MOST_GROWTH = 16
#: Seconds after which an answer, or the end of a connection, counts as never coming.
PATIENCE = 90.0

_CALLER = "attacked"
_CALLER_SECRET = secret("caller")
_TABLES = """
[authbridge]
deadline = "25s"  # as long as it may be: a machine that stands still for a moment is no outage

[clients.{caller}]
secret_file = "{folder}/clients/{caller}"
may = ["check_password", "user_exists", "set_password", "register", "remove_user", "json"]
domains = ["{domain}"]

[clients.proxy]
may = ["basic", "json"]
peers = ["127.0.0.1"]
domains = ["{domain}"]

[http]
{http}
"""


def under_attack(folder: Path, *, http: str = "", listeners: Sequence[str] = ()) -> Daemon:
    """A daemon with everything that can be attacked, not started. `http` is more lines for its
    table [http], `listeners` are more of listen.http."""
    daemon = Daemon(folder, [people.ORG])
    daemon.write_users(people.ORG, people.PASSWORDS[people.ORG])
    write_private(folder / "clients" / _CALLER, _CALLER_SECRET + b"\n")
    text = daemon.configuration.read_text()
    for listener in listeners:
        text = text.replace("http = [", f'http = ["{listener}", ', 1)
    text += _TABLES.format(caller=_CALLER, folder=folder, domain=people.ORG, http=http)
    write_private(daemon.configuration, text.encode())
    return daemon


def basic(name: str, password: bytes) -> bytes:
    """The header with these credentials."""
    return b"Authorization: Basic " + base64.b64encode(name.encode() + b":" + password)


def login(password: bytes) -> bytes:
    """The parameters of a login of alice's."""
    return urllib.parse.urlencode(
        {"user": "alice", "server": people.ORG, "pass": password}
    ).encode()


#: She logs in rightly: whoever has an attack taken for a login gets a "true".
LOGIN = login(people.password(ALICE))
CHECK = b"/auth/check_password"
LINE = b"GET " + CHECK + b"?" + LOGIN + b" HTTP/1.1"
POST = b"POST " + CHECK + b" HTTP/1.1"
HOST = b"Host: localhost"
CREDENTIALS = basic(_CALLER, _CALLER_SECRET)
MARK = b"X-Canary: " + CANARY
LENGTH = b"Content-Length: %d" % len(LOGIN)
CHUNKED = b"Transfer-Encoding: chunked"


def lines(*head: bytes, body: bytes = b"") -> bytes:
    """A request of these lines."""
    return b"\r\n".join([*head, b"", body])


def get(*fields: bytes, line: bytes = LINE) -> bytes:
    """A login in the URL, with more fields."""
    return lines(line, HOST, CREDENTIALS, MARK, *fields)


def post(*fields: bytes, body: bytes = LOGIN, line: bytes = POST) -> bytes:
    """A login in the body, whose framing is for `fields` to say."""
    return lines(line, HOST, CREDENTIALS, MARK, *fields, body=body)


def chunk(octets: bytes) -> bytes:
    """One chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(octets), octets)


#: The login that is hidden behind an attack; also the good one that follows it.
RIGHT = lines(LINE, HOST, CREDENTIALS)
CHUNKS = chunk(LOGIN[:7]) + chunk(LOGIN[7:]) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """One answer; the names of its fields are in lower case."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes

    @property
    def last(self) -> bool:
        """Whether it announces the end of the connection."""
        return self.fields.get(b"connection") == b"close"


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEAD = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [ -~]*\r\n((?:" + _TOKEN + rb": [\t -~]*\r\n)*)\r\n")


def read(octets: bytes) -> list[Answer]:
    """All answers of a connection (RFC 9112); AssertionError where it said anything else.

    One without its body is taken for the answer to a HEAD.
    """
    answers, at = [], 0
    while at < len(octets):
        head = _HEAD.match(octets, at)
        assert head, octets[at : at + 200]
        pairs = [line.split(b": ", 1) for line in head[2].splitlines()]
        fields = {name.lower(): value for name, value in pairs}
        assert len(fields) == len(pairs), "a field is there twice"
        status = int(head[1])
        length = 0 if status == 100 else int(fields[b"content-length"])
        body = octets[head.end() : head.end() + length]
        if octets.startswith(b"HTTP/1.1 ", head.end()):
            body = b""
        assert len(body) in (0, length), "an answer is cut off"
        answers.append(Answer(status, fields, body))
        at = head.end() + len(body)
    return answers


class Caller:
    """One connection, from an address of its own if need be."""

    def __init__(self, port: int, source: str = "") -> None:
        self.socket = socket.create_connection(
            ("127.0.0.1", port), PATIENCE, source_address=(source, 0) if source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, octets: bytes, *, end: bool = False) -> None:
        """Send; whether anybody still listens is not the caller's business. `end` says that
        nothing more will come, and leaves the other half open."""
        try:
            self.socket.sendall(octets)
            if end:
                self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # what was said before that is still to be read

    def everything(self) -> list[Answer]:
        """What is said until the server ends the connection; after an answer that does not
        announce that, the caller ends his half."""
        octets = bytearray()
        with self.socket:
            try:
                while piece := self.socket.recv(65536):
                    octets += piece
                    if b"\r\n\r\n" in octets and b"\r\nConnection: close\r\n" not in octets:
                        self.send(b"", end=True)
            except ConnectionResetError:
                pass
        return read(bytes(octets))

    def answer(self) -> Answer:
        """The next answer, of a connection that stays open."""
        octets = bytearray()
        while True:
            piece = self.socket.recv(65536)
            assert piece, "the connection has ended"
            octets += piece
            head = _HEAD.match(octets)
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", octets)
            if head and length and len(octets) >= head.end() + int(length[1]):
                (answer,) = read(bytes(octets))
                return answer


def exchange(port: int, octets: bytes, *, end: bool = False, source: str = "") -> list[Answer]:
    """What a connection of its own says to these octets until the server ends it; `end` has the
    client end its half as soon as they are sent."""
    caller = Caller(port, source)
    caller.send(octets, end=end)
    return caller.everything()


def good(port: int, source: str = "") -> bool:
    """Whether a good login on a connection of its own is let in."""
    (answer,) = exchange(port, RIGHT, end=True, source=source)
    return (answer.status, answer.body) == (200, b"true")


def harmless(answer: Answer) -> bool:
    """Whether an answer says nothing that it should not: nothing that came from us, and no error
    but those that are meant."""
    octets = b"\n".join([*answer.fields, *answer.fields.values(), answer.body])
    told = [CANARY, _CALLER_SECRET, people.password(ALICE), CREDENTIALS.split()[-1]]
    return not any(ours in octets for ours in told) and (
        answer.status < 500 or answer.status == 501
    )


_TROUBLE = re.compile(r"^(?:\s.*|\S+ (?:error|critical) \[.*|.*Traceback.*)$", re.MULTILINE)


def troubles(daemon: Daemon) -> list[str]:
    """Lines of the log that tell of a bug: failures, and the frames that come with them."""
    return _TROUBLE.findall(daemon.log.read_text(errors="replace"))


#: Malformed and odd requests by name, each with the statuses that it may be answered with.
Forms = Mapping[str, tuple[int | tuple[int, ...], bytes]]


def attack(daemon: Daemon, octets: bytes, expected: int | tuple[int, ...]) -> None:
    """Send a malformed or odd request and hold the daemon to what it owes everybody.

    There is one answer, with (one of) the status expected; a refused request is the last of its
    connection, whatever follows it; a request that is taken is the right login it looks like.
    And then somebody logs in.
    """
    accepted = expected if isinstance(expected, tuple) else (expected,)
    if 200 in accepted:
        answers = exchange(daemon.http_port, octets, end=True)
    else:
        answers = exchange(daemon.http_port, octets + RIGHT)
    assert [answer.status in accepted for answer in answers] == [True], answers
    (answer,) = answers
    assert harmless(answer)
    assert answer.last or answer.status == 200
    assert (answer.body == b"true") == (answer.status == 200)
    assert good(daemon.http_port)
    assert troubles(daemon) == []


def memory(pid: int, what: str = "VmRSS") -> float:
    """Megabytes that a process has in memory; "VmHWM": that it ever had."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition(f"{what}:")[2].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    """Have "VmHWM" begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def interleaved(port: int, requests: Sequence[Sequence[bytes]]) -> list[list[Answer]]:
    """What is said to requests that come in pieces, one of each in turn: while the others have
    theirs, the daemon has dealt with the piece before."""
    callers = [Caller(port) for _ in requests]
    for pieces in zip_longest(*requests, fillvalue=b""):
        for caller, piece in zip(callers, pieces, strict=True):
            caller.send(piece)
    for caller in callers:
        caller.send(b"", end=True)
    return [caller.everything() for caller in callers]
