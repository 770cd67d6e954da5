"""What HTTP front ends say (RFC 9112): the octets of an answer, and the names in a Host header."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus

LAST_PORT = 65535

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


def is_loopback(name: str) -> bool:
    """Whether a name or address is this machine's to whoever says it."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and headers beside Content-Type and Content-Length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def encode(answer: Answer, number: str, *, body: bool, persistent: bool) -> bytes:
    """The octets of an answer. `number` is the request's id; `body`: not for a HEAD, which gets its
    length alone."""
    more = b"" if persistent else b"Connection: close\r\n"
    if number:
        more += b"X-Request-Id: %b\r\n" % number.encode()
    for header in answer.headers:
        more += b"%b: %b\r\n" % header
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
        b"Cache-Control: no-store\r\n%b\r\n%b"
    ) % (
        answer.status,
        _PHRASES[answer.status],
        len(answer.body),
        more,
        answer.body if body else b"",
    )
