"""What HTTP front ends say (RFC 9112): the octets of an answer, and the names in a Host header."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

LAST_PORT = 65535
NO_CONTENT = 204

TEXT = b"text/plain; charset=utf-8"
JSON = b"application/json"
PROBLEM = b"application/problem+json"
FORM = b"application/x-www-form-urlencoded"

B64TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""What may stand behind "Bearer" (RFC 6750, 2.1)."""

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~\-]+)(?::([0-9]{1,5}))?")


class BadRequest(ValueError):
    """The request breaks the rules. The text says how, and repeats nothing of it."""


def host_name(host: bytes) -> str:
    """The name in a Host header, in lower case, or the address in its one form; without the port.
    Raises BadRequest."""
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None or int(match[2] or 0) > LAST_PORT:
        raise BadRequest("the Host header is not NAME or NAME:PORT")
    return plain_name(match[1].strip("[]"))


def plain_name(name: str) -> str:
    """A host's name or address in the one form in which it is compared."""
    try:
        found = ipaddress.ip_address(name)
    except ValueError:
        return name.lower()
    return str(getattr(found, "ipv4_mapped", None) or found)


def is_host(text: str) -> bool:
    """Whether this is the name, or the address, of a host: without a port, in lower case."""
    name = plain_name(text)
    try:
        return host_name((f"[{name}]" if name.count(":") > 1 else name).encode()) == name
    except (BadRequest, UnicodeEncodeError):
        return False


def is_loopback(name: str) -> bool:
    """Whether a name or address is this machine's to whoever says it."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def is_of_type(expected: bytes, types: Sequence[bytes]) -> bool:
    """Whether a body is of this type, by the values of its Content-Type; without one it is taken
    for it."""
    return not types or [one.partition(b";")[0].rstrip().lower() for one in types] == [expected]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and headers beside Content-Type and Content-Length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes = TEXT
    """The body's type."""


def encode(answer: Answer, number: str, *, body: bool, persistent: bool) -> bytes:
    """The octets of an answer. `number` is the request's id; `body`: not for a HEAD, which gets its
    length alone."""
    more = b"" if persistent else b"Connection: close\r\n"
    if number:
        more += b"X-Request-Id: %b\r\n" % number.encode()
    for header in answer.headers:
        more += b"%b: %b\r\n" % header
    if answer.status == NO_CONTENT:
        # There is nothing of which there could be a type or a length (RFC 9110, 8.6).
        return b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n%b\r\n" % more
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
        b"Cache-Control: no-store\r\n%b\r\n%b"
    ) % (
        answer.status,
        _PHRASES[answer.status],
        answer.content,
        len(answer.body),
        more,
        answer.body if body else b"",
    )


def phrase(status: int) -> str:
    """A status in words."""
    return _PHRASES[status].decode()
