"""What an HTTP/1.1 server answers (RFC 9112): the octets of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and headers beside Content-Type and Content-Length."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def encode(answer: Answer, *, body: bool, persistent: bool) -> bytes:
    """The octets of an answer (RFC 9112); `body`: not for a HEAD, which gets its length alone."""
    more = b"" if persistent else b"Connection: close\r\n"
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
