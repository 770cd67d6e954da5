"""LDAP messages (RFC 4511) as octets: requests out, replies judged. No Twisted, no I/O.

Requests are what ldap3 would encode, octet for octet. A reply is taken apart completely before
anything in it counts, and is exactly what the RFC allows or raises Malformed. Components that the
RFC leaves to future extensions are Malformed too: no directory sends any to these requests.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from authbridge.ldap import ber
from authbridge.ldap.ber import Malformed

# Protocol operations, by the tag of each (RFC 4511, appendix B).
BIND_REQUEST: Final = 0x60
BIND_RESPONSE: Final = 0x61
UNBIND_REQUEST: Final = 0x42
SEARCH_REQUEST: Final = 0x63
SEARCH_ENTRY: Final = 0x64
SEARCH_DONE: Final = 0x65
SEARCH_REFERENCE: Final = 0x73
MODIFY_REQUEST: Final = 0x66
MODIFY_RESPONSE: Final = 0x67
ADD_REQUEST: Final = 0x68
ADD_RESPONSE: Final = 0x69
DELETE_REQUEST: Final = 0x4A
DELETE_RESPONSE: Final = 0x6B
ABANDON_REQUEST: Final = 0x50
EXTENDED_REQUEST: Final = 0x77
EXTENDED_RESPONSE: Final = 0x78

PASSWORD_MODIFY: Final = b"1.3.6.1.4.1.4203.1.11.1"
START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
DISCONNECTION: Final = b"1.3.6.1.4.1.1466.20036"
"""Notice of Disconnection (RFC 4511, 4.4.1): the only message with the id 0."""

SUCCESS: Final = 0
SIZE_LIMIT_EXCEEDED: Final = 4
REFERRAL: Final = 10
CONSTRAINT_VIOLATION: Final = 19
INVALID_CREDENTIALS: Final = 49
BUSY: Final = 51
UNAVAILABLE: Final = 52
UNWILLING_TO_PERFORM: Final = 53

_REFERRAL = 0xA3
_PRESENT = 0x87
_CONTROLS = 0xA0
_SERVER_SASL_CREDENTIALS = 0x87
_RESPONSE_NAME = 0x8A
_RESPONSE_VALUE = 0x8B

LARGEST_REPLY = 256 * 1024
"""Octets of one message; a larger one is dropped when its header is seen."""


class Scope(enum.IntEnum):
    """How far below its base a search looks."""

    BASE = 0
    LEVEL = 1
    SUBTREE = 2


class Result(NamedTuple):
    """An LDAPResult: the end of an operation."""

    code: int
    text: bytes
    """What the server says of it, for people (diagnosticMessage)."""
    matched_dn: bytes
    referral: bool
    """Whether it names other servers. They are never asked."""
    name: bytes
    """The OID of an extended response; else empty."""


class Entry(NamedTuple):
    """A SearchResultEntry."""

    dn: bytes
    """As the server spells it."""
    attributes: Mapping[bytes, list[bytes]]
    """Values by the attribute's name in lower case, its options included."""


class Reply(NamedTuple):
    """One message of a server."""

    message_id: int
    operation: int
    """Which protocol operation it is: one of the tags above."""
    content: Result | Entry | None
    """None for a reference."""
    controls: Mapping[bytes, bytes]
    """The controls' values by OID; empty for a control without one."""


def bind_request(name: bytes, password: bytes, controls: bytes = b"") -> bytes:
    """A simple bind. Raises ValueError where the name or the password is empty: a server would
    take that for an anonymous bind, and say yes (RFC 4513, 5.1.1 and 5.1.2)."""
    if not name or not password:
        raise ValueError("a bind needs a name and a password")
    return (
        ber.element(
            BIND_REQUEST,
            b"\x02\x01\x03" + ber.element(ber.OCTET_STRING, name) + ber.element(0x80, password),
        )
        + controls
    )


def search_request(
    base: bytes,
    scope: Scope,
    search_filter: bytes,
    attributes: Iterable[str],
    *,
    size_limit: int,
    time_limit: int,
) -> bytes:
    """A search that dereferences no alias. `search_filter` is encoded already (see `filters`);
    `time_limit` is in seconds."""
    return search_prefix(base, scope, size_limit, time_limit).request(
        search_filter, search_attributes(attributes)
    )


class SearchPrefix(NamedTuple):
    """What is in front of the filter, made once for many searches."""

    octets: bytes

    def request(self, search_filter: bytes, attributes: bytes) -> bytes:
        """The request."""
        octets = self.octets
        size = len(octets) + len(search_filter) + len(attributes)
        return b"\x63" + ber.length(size) + octets + search_filter + attributes


def search_prefix(base: bytes, scope: Scope, size_limit: int, time_limit: int) -> SearchPrefix:
    """The part of a search before its filter."""
    return SearchPrefix(
        ber.element(ber.OCTET_STRING, base)
        + ber.integer(scope, ber.ENUMERATED)
        + b"\x0a\x01\x00"  # neverDerefAliases
        + ber.integer(size_limit)
        + ber.integer(time_limit)
        + b"\x01\x01\x00"  # values too, not types only
    )


def search_attributes(attributes: Iterable[str]) -> bytes:
    """The part of a search behind its filter: which attributes are wanted."""
    return ber.element(
        ber.SEQUENCE, b"".join(ber.element(ber.OCTET_STRING, name.encode()) for name in attributes)
    )


def present(attribute: bytes) -> bytes:
    """The filter that any entry meets that has this attribute."""
    return ber.element(_PRESENT, attribute)


def extended_request(name: bytes, value: bytes | None = None) -> bytes:
    """An extended request."""
    content = ber.element(0x80, name)
    if value is not None:
        content += ber.element(0x81, value)
    return ber.element(EXTENDED_REQUEST, content)


def password_request(dn: bytes, password: bytes) -> bytes:
    """Gives a user a new password (RFC 3062, 2). Raises ValueError where it is empty: the server
    would make one up."""
    if not dn or not password:
        raise ValueError("a new password is somebody's, and not empty")
    value = ber.element(0x80, dn) + ber.element(0x82, password)
    return extended_request(PASSWORD_MODIFY, ber.element(ber.SEQUENCE, value))


def replace_request(dn: bytes, attribute: bytes, value: bytes) -> bytes:
    """Replaces all values of an attribute with one."""
    change = ber.integer(2, ber.ENUMERATED) + _attribute(attribute, (value,))
    changes = ber.element(ber.SEQUENCE, ber.element(ber.SEQUENCE, change))
    return ber.element(MODIFY_REQUEST, ber.element(ber.OCTET_STRING, dn) + changes)


def add_request(dn: bytes, attributes: Mapping[bytes, Iterable[bytes]]) -> bytes:
    """Adds an entry."""
    listed = b"".join(_attribute(name, values) for name, values in attributes.items())
    return ber.element(
        ADD_REQUEST, ber.element(ber.OCTET_STRING, dn) + ber.element(ber.SEQUENCE, listed)
    )


def delete_request(dn: bytes) -> bytes:
    """Deletes an entry."""
    return ber.element(DELETE_REQUEST, dn)


def _attribute(name: bytes, values: Iterable[bytes]) -> bytes:
    listed = b"".join(ber.element(ber.OCTET_STRING, value) for value in values)
    return ber.element(
        ber.SEQUENCE, ber.element(ber.OCTET_STRING, name) + ber.element(ber.SET, listed)
    )


def abandon_request(message_id: int) -> bytes:
    """Says that nobody waits any more for the answer to that message."""
    return ber.integer(message_id, ABANDON_REQUEST)


def unbind_request() -> bytes:
    """Says goodbye."""
    return ber.element(UNBIND_REQUEST, b"")


def control(oid: bytes) -> bytes:
    """A request's controls: a single one, not critical, without a value."""
    return ber.element(_CONTROLS, ber.element(ber.SEQUENCE, ber.element(ber.OCTET_STRING, oid)))


def message(message_id: int, request: bytes) -> bytes:
    """A whole message: a request (with its controls) under an id."""
    head = ber.integer(message_id)
    return b"\x30" + ber.length(len(head) + len(request)) + head + request


class Inbox:
    """Octets in, whole replies out."""

    __slots__ = ("_held", "_largest", "_needed")

    def __init__(self, largest: int = LARGEST_REPLY) -> None:
        """`largest`: octets of a message at most."""
        self._largest = largest
        self._held = bytearray()
        self._needed = 0

    @property
    def partial(self) -> bool:
        """Whether a message has begun that is not whole yet."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are whole now. Raises Malformed if anything is wrong with any of them,
        and then none of them counts."""
        if self._held:
            # Joined once it is whole: octets that trickle in cost no more than a torrent.
            self._held += data
            if len(self._held) < self._needed:
                return []
            data = bytes(self._held)
            self._held.clear()
        replies = []
        at, end = 0, len(data)
        while at < end:
            start, stop = self._envelope(data, at, end)
            if stop > end:
                self._held += data[at:]
                self._needed = stop - at
                break
            replies.append(_read_message(data, start, stop))
            at = stop
        return replies

    def _envelope(self, data: bytes, at: int, end: int) -> tuple[int, int]:
        """Where the content of the message at `at` starts and stops; where its header is not whole
        yet, how far it must be read at least to tell."""
        if data[at] != ber.SEQUENCE:
            raise Malformed(f"a message begins with {data[at]:#04x}")
        start = at + 2
        if start > end:
            return start, start
        size = data[at + 1]
        if size >= 0x80:
            count = size & 0x7F
            if not 0 < count <= ber.MOST_LENGTH_OCTETS:
                raise Malformed("a length is indefinite, or longer than four octets")
            start += count
            if start > end:
                return start, start
            size = int.from_bytes(data[at + 2 : start], "big")
        stop = start + size
        if stop - at > self._largest:
            raise Malformed(f"a message has more than {self._largest} octets")
        return start, stop


def _read_message(data: bytes, at: int, end: int) -> Reply:
    """The message whose content fills `data` from `at` to `end`. Raises Malformed."""
    message_id, at = ber.read_number(ber.INTEGER, data, at, end)
    operation, start, stop = ber.read(data, at, end)
    content: Result | Entry | None
    if operation in _RESULTS:
        content = _PLAIN.get(data[start:stop]) or _read_result(operation, data, start, stop)
    elif operation == SEARCH_ENTRY:
        content = _read_entry(data, start, stop)
    elif operation == SEARCH_REFERENCE:
        _read_uris(data, start, stop)
        content = None
    else:
        raise Malformed(f"a reply is of the kind {operation:#04x}")
    if message_id == 0 and not (isinstance(content, Result) and content.name == DISCONNECTION):
        raise Malformed("a message has the id 0")
    controls = _NONE if stop == end else _read_controls(data, stop, end)
    return Reply(message_id, operation, content, controls)


_RESULTS: Final = (
    BIND_RESPONSE,
    SEARCH_DONE,
    EXTENDED_RESPONSE,
    MODIFY_RESPONSE,
    ADD_RESPONSE,
    DELETE_RESPONSE,
)
_NONE: Final[Mapping[bytes, bytes]] = {}

# The result of nearly every operation: a code, no DN, no text, nothing else.
_PLAIN = {
    ber.integer(code, ber.ENUMERATED) + b"\x04\x00\x04\x00": Result(code, b"", b"", False, b"")
    for code in (SUCCESS, INVALID_CREDENTIALS)
}


def _read_result(operation: int, data: bytes, at: int, end: int) -> Result:
    code, at = ber.read_number(ber.ENUMERATED, data, at, end)
    matched_dn, at = _read_octets(data, at, end)
    text, at = _read_octets(data, at, end)
    referral = at < end and data[at] == _REFERRAL
    if referral:
        start, at = ber.expect(_REFERRAL, data, at, end)
        _read_uris(data, start, at)
    name = b""
    if operation == BIND_RESPONSE and at < end:
        _, at = ber.expect(_SERVER_SASL_CREDENTIALS, data, at, end)
    elif operation == EXTENDED_RESPONSE:
        if at < end and data[at] == _RESPONSE_NAME:
            start, at = ber.expect(_RESPONSE_NAME, data, at, end)
            name = data[start:at]
        if at < end:
            _, at = ber.expect(_RESPONSE_VALUE, data, at, end)
    if at != end:
        raise Malformed("a result goes on behind its end")
    return Result(code, text, matched_dn, referral, name)


def _read_octets(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    start, stop = ber.expect(ber.OCTET_STRING, data, at, end)
    return data[start:stop], stop


def _read_uris(data: bytes, at: int, end: int) -> None:
    """Look at the URIs of other servers, which are never asked."""
    if at == end:
        raise Malformed("a referral or reference names no server")
    while at < end:
        _, at = ber.expect(ber.OCTET_STRING, data, at, end)


def _read_entry(data: bytes, at: int, end: int) -> Entry:
    dn, at = _read_octets(data, at, end)
    at, stop = ber.expect(ber.SEQUENCE, data, at, end)
    if stop != end:
        raise Malformed("an entry goes on behind its end")
    attributes: dict[bytes, list[bytes]] = {}
    while at < end:
        start, stop = ber.expect(ber.SEQUENCE, data, at, end)
        name, start = _read_octets(data, start, stop)
        name = name.lower()
        if not name or name in attributes:
            raise Malformed("an attribute has no name, or is there twice")
        start, last = ber.expect(ber.SET, data, start, stop)
        if last != stop:
            raise Malformed("an attribute goes on behind its end")
        values: list[bytes] = []
        while start < stop:
            value, start = _read_octets(data, start, stop)
            values.append(value)
        attributes[name] = values
        at = stop
    return Entry(dn, attributes)


def _read_controls(data: bytes, at: int, end: int) -> dict[bytes, bytes]:
    at, stop = ber.expect(_CONTROLS, data, at, end)
    if stop != end:
        raise Malformed("a message goes on behind its end")
    controls: dict[bytes, bytes] = {}
    while at < end:
        start, stop = ber.expect(ber.SEQUENCE, data, at, end)
        oid, start = _read_octets(data, start, stop)
        if not oid or oid in controls:
            raise Malformed("a control has no OID, or is there twice")
        if start < stop and data[start] == ber.BOOLEAN:
            first, start = ber.expect(ber.BOOLEAN, data, start, stop)
            if start - first != 1:
                raise Malformed("a boolean has not one octet")
        value = b""
        if start < stop:
            value, start = _read_octets(data, start, stop)
        if start != stop:
            raise Malformed("a control goes on behind its end")
        controls[oid] = value
        at = stop
    return controls
