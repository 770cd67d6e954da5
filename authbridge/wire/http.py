"""HTTP/1.1 as we take it and answer it (RFC 9112): what a request's head may be, and an answer.

Whatever two readers of the same octets may understand differently is refused, also where the RFC
lets a server be generous: a proxy in front of us may be the other reader, and then a part of one
caller's request is to us the beginning of another's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

LARGEST_BODY = 65536
"""Octets; an URL may have 16 kB with its headers, so what is longer goes into a POST."""

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

# The method is a token; the target is in origin-form (RFC 9112, 3.2.1): what is only meant for
# proxies and for CONNECT is not for us, nor is a fragment. mod_auth_http_async puts the host into
# the URL as it is, so that octets of UTF-8 are taken, and understood as their escapes.
_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (/[\x21-\x22\x24-\x7e\x80-\xff]*) (HTTP/1\.[01])"
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# A field begins with its name (a blank would make it a part of the field before, RFC 9112, 5.2) and
# holds no control character but HTAB.
_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
# More digits than any body has octets; of thousands, int() makes an exception of its own.
_LENGTH = re.compile(rb"[\t ]*[0-9]{1,18}[\t ]*")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~\-]+)(?::[0-9]{1,5})?")


class BadRequest(ValueError):
    """The request breaks the rules. The text says how, and repeats nothing of it."""


def check_request_line(line: bytes) -> bytes:
    """The request line, all ASCII. Raises BadRequest."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadRequest("the request line is not METHOD /path HTTP/1.1")
    return line if line.isascii() else _NOT_ASCII.sub(lambda odd: b"%%%02x" % odd[0][0], line)


def check_field(line: bytes) -> None:
    """Raise BadRequest where a line of the head is not one whole header field."""
    if _FIELD.fullmatch(line) is None:
        raise BadRequest("a header is not NAME: VALUE on one line")
    if line[:15].lower() == b"content-length:" and _LENGTH.fullmatch(line, 15) is None:
        raise BadRequest("the Content-Length is not a number")


def check_framing(
    version: bytes, hosts: Sequence[bytes], codings: Sequence[bytes], length: Sequence[bytes]
) -> None:
    """Raise BadRequest where it may be doubted to whom a request is addressed, or where it ends.

    `hosts`, `codings`, `length`: the values of Host, Transfer-Encoding and Content-Length.
    """
    if len(hosts) > 1 or not (hosts or version == b"HTTP/1.0"):
        raise BadRequest("there must be exactly one Host header")
    if not codings:
        return
    chunked = [coding.lower() for coding in codings] == [b"chunked"]
    if version == b"HTTP/1.0" or length or not chunked:
        raise BadRequest("a Transfer-Encoding is chunked, by HTTP/1.1, and without Content-Length")


def host_name(host: bytes) -> str:
    """The name in a Host header, in lower case, or the address in its one form; without the port.
    Raises BadRequest."""
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None:
        raise BadRequest("the Host header is not NAME or NAME:PORT")
    return plain_name(match[1].strip("[]"))


def plain_name(name: str) -> str:
    """A host's name or address in the one form in which it is compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


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
