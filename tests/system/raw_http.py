"""HTTP by the octet: a test writes what goes out, and no library forgives what comes back."""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

#: Seconds; a limit, not an expectation.
LIMIT = 90.0


@dataclass(frozen=True)
class Answer:
    """One answer."""

    #: The first line.
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Of its line in the log."""
        return self.headers["X-Request-Id"]

    @property
    def status(self) -> int:
        """The number in the first line."""
        return int(self.line.split()[1])

    def any_id(self) -> Answer:
        """The same without its own id, and without what only a closed connection has."""
        ids = {name: value for name, value in self.headers.items() if name != "X-Request-Id"}
        assert len(ids) == len(self.headers) - 1, "there is no X-Request-Id"
        return replace(self, headers=ids)


def answer(line: str, body: bytes, **more: str) -> Answer:
    """What is expected, but for its id; an underscore in a name is a hyphen."""
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    headers.update((name.replace("_", "-"), value) for name, value in more.items())
    return Answer(f"HTTP/1.1 {line}", headers, body)


def basic(user: bytes, password: bytes) -> bytes:
    """The value of an Authorization header."""
    return b"Basic " + base64.b64encode(user + b":" + password)


class Connection:
    """One connection to a port of the loopback interface."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        """`source` is the address that it comes from."""
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT, (source, 0))
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, octets: bytes) -> None:
        """Send them as they are."""
        self._socket.sendall(octets)

    def receive(self, *, head: bool = False) -> Answer:
        """The next answer; `head`: to a HEAD, which has no body. A "100 Continue" is none."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        top, _, self._received = self._received.partition(b"\r\n\r\n")
        line, *lines = top.decode("ascii").split("\r\n")
        if line == "HTTP/1.1 100 Continue":
            return self.receive(head=head)
        headers = [re.fullmatch(r"([A-Za-z-]+): (\S(?:.*\S)?)", header) for header in lines]
        found = {header[1]: header[2] for header in headers if header}
        assert len(found) == len(lines), f"a header is malformed or given twice: {lines}"
        length = 0 if head else int(found["Content-Length"])
        while len(self._received) < length:
            self._more()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(line, found, body)

    def ask(self, octets: bytes, *, head: bool = False) -> Answer:
        """Send, and receive."""
        self.send(octets)
        return self.receive(head=head)

    def is_silent(self) -> bool:
        """Whether there is nothing to be read, not even the connection's end."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return not self._received
        finally:
            self._socket.settimeout(LIMIT)
        return False

    def at_end(self) -> bool:
        """Whether the other side ends the connection without another octet; waits for either."""
        return not self._received and not self._socket.recv(1)

    def _more(self) -> None:
        octets = self._socket.recv(65536)
        assert octets, f"the connection has ended in an answer: {self._received!r}"
        self._received += octets


def ask(port: int, octets: bytes, source: str = "127.0.0.1") -> Answer:
    """One question on a connection of its own, which may be closed behind it or not."""
    with Connection(port, source) as connection:
        return connection.ask(octets)
