"""LDAP messages as a proxy sees them: a little BER, read and written, that is nobody else's."""

import enum
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from . import directory

BIND_REQUEST, BIND_RESPONSE = 0x60, 0x61
SEARCH_REQUEST, SEARCH_ENTRY, SEARCH_DONE, SEARCH_REFERENCE = 0x63, 0x64, 0x65, 0x73
EXTENDED_REQUEST, EXTENDED_RESPONSE = 0x77, 0x78


class Kind(enum.Enum):
    """What a request is to a login."""

    SERVICE_BIND = enum.auto()
    USER_BIND = enum.auto()
    SEARCH = enum.auto()
    #: Of the rootDSE: whether anybody is there.
    PROBE = enum.auto()
    START_TLS = enum.auto()
    #: What nobody answers.
    OTHER = enum.auto()


EVERYTHING = frozenset(Kind)
BINDS = frozenset({Kind.USER_BIND})
SEARCHES = frozenset({Kind.SEARCH})
START_TLS = frozenset({Kind.START_TLS})
#: What a login consists of, where the connections are there.
LOGINS = BINDS | SEARCHES


class Message(NamedTuple):
    """An LDAPMessage, and what is in it."""

    octets: bytes
    number: int
    tag: int
    content: bytes

    @property
    def name(self) -> str:
        """Who a bind is for."""
        return _element(self.content, _element(self.content)[1])[0].decode()

    @property
    def kind(self) -> Kind:
        """Of a request."""
        if self.tag == BIND_REQUEST:
            return Kind.SERVICE_BIND if self.name == directory.SERVICE else Kind.USER_BIND
        if self.tag == SEARCH_REQUEST:
            base, _ = _element(self.content)
            return Kind.SEARCH if base else Kind.PROBE
        return Kind.START_TLS if self.tag == EXTENDED_REQUEST else Kind.OTHER

    @property
    def answer_tag(self) -> int:
        """Of the last reply to this request."""
        return self.tag + (1 if self.tag != SEARCH_REQUEST else SEARCH_DONE - SEARCH_REQUEST)


def _element(data: bytes, at: int = 0) -> tuple[bytes, int]:
    """The content of the BER element at `at`, and where the next one begins."""
    size, start = data[at + 1], at + 2
    if size >= 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start], "big")
    return data[start : start + size], start + size


async def read_message(read: Callable[[int], Coroutine[Any, Any, bytes]]) -> Message:
    """The next one; `read` gives exactly so many octets, or raises."""
    head = await read(2)
    if head[1] >= 0x80:
        head += await read(head[1] & 0x7F)
    size = head[1] if len(head) == 2 else int.from_bytes(head[2:], "big")
    content = await read(size)
    number, at = _element(content)
    body, _ = _element(content, at)
    return Message(head + content, int.from_bytes(number, "big"), content[at], body)


def ber(tag: int, *content: bytes) -> bytes:
    """An element."""
    octets = b"".join(content)
    size = len(octets)
    return bytes((tag, size) if size < 0x80 else (tag, 0x82, size >> 8, size & 0xFF)) + octets


def message(number: int, tag: int, *content: bytes) -> bytes:
    """A whole message."""
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return ber(0x30, ber(2, octets), ber(tag, *content))


def result(number: int, tag: int, code: int, referral: str = "") -> bytes:
    """A message with an LDAPResult."""
    urls = ber(0xA3, ber(4, referral.encode())) if referral else b""
    return message(number, tag, ber(10, bytes([code])), ber(4), ber(4), urls)
