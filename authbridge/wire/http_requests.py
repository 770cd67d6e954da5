"""HTTP/1.1 requests out of the octets of a connection (RFC 9112): `feed` octets, `take` requests.

Whatever two readers of the same octets may understand differently is refused, also where the RFC
lets a server be generous: a proxy in front of us may be the other reader, and then a part of one
caller's request is to us the beginning of another's. So a header is one line, a target is in
origin-form, a request ends where one Content-Length or the last chunk says, nothing stands behind
that chunk, and there is one Host. The codings, versions and forms that nobody who calls us has are
none.

All of it has limits (`LARGEST_BODY` …); time is the connection's to limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from authbridge.wire.http import Answer

LARGEST_BODY = 65536
"""Octets; an URL may have 16 kB, so what is longer goes into a POST."""
LONGEST_LINE = 16384
LONGEST_HEAD = 16384
"""Octets of all headers together."""
MOST_FIELDS = 100
LONGEST_CHUNK_LINE = 256

TOO_LONG = Answer(414, b"the request line is longer than 16384 octets; POST takes more")
TOO_LARGE = Answer(413, b"the body is larger than 65536 octets")
TOO_MANY = Answer(431, b"the headers have more than 16384 octets, or are more than 100")
NO_LINE = "the request line is not METHOD /path HTTP/1.1"
NO_FIELD = "a header is not NAME: VALUE on one line"
UNEXPECTED = Answer(417, b"Expect is 100-continue or nothing")

# The method is a token; the target is in origin-form (3.2.1): what is only meant for proxies and
# for CONNECT is not for us, nor is a fragment. mod_auth_http_async puts the host into the URL as it
# is, so that octets of UTF-8 are taken, and understood as their escapes.
_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (/[\x21-\x22\x24-\x7e\x80-\xff]*) HTTP/1\.([01])"
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
# A field begins with its name (a blank would make it a part of the field before, 5.2) and holds no
# control character but HTAB.
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)")
# Of thousands of digits, int() makes an exception of its own.
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?")
_BARE_LF = re.compile(rb"(?<!\r)\n")

Fields = dict[bytes, list[bytes]]


class Refused(Exception):
    """A request that is not taken, and its answer. Where the next one begins is unknown."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def bad(text: str) -> Refused:
    """The request breaks the rules; `text` repeats nothing of it."""
    return Refused(Answer(400, text.encode()))


class Request:
    """One whole request. Its target and its body may hold a password."""

    __slots__ = ("_fields", "body", "method", "persistent", "target")

    def __init__(
        self, method: bytes, target: bytes, fields: Fields, body: bytes, *, persistent: bool
    ) -> None:
        """`fields` by their names in lower case. `persistent`: another request may follow."""
        self.method = method
        self.target = target
        self._fields = fields
        self.body = body
        self.persistent = persistent

    @property
    def names(self) -> Iterable[bytes]:
        """The names of its fields, in lower case."""
        return self._fields

    def values(self, name: bytes) -> Sequence[bytes]:
        """What the fields of this name (in lower case) hold."""
        return self._fields.get(name, ())


class RequestReader:
    """Takes the requests of one connection out of its octets, in order."""

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0  # octets of the buffer that do not hold the end of the head
        self._blank = False  # a blank line was passed over
        self._request: Request | None = None  # whose body is not complete
        self._length: int | None = None  # of that body; None: it is chunked
        self._chunks: list[bytes] = []
        self._size = 0  # of the chunks together
        self.expects_continue = False
        """The caller waits for a 100 (Continue) to send the body; whoever sends it unsets this."""

    @property
    def held(self) -> int:
        """Octets that are not yet taken."""
        return len(self._buffer)

    @property
    def begun(self) -> bool:
        """Whether a part of a request is there."""
        return self._request is not None or bool(self._buffer)

    def feed(self, octets: bytes) -> None:
        """More octets."""
        self._buffer = self._buffer + octets if self._buffer else octets

    def clear(self) -> None:
        """Forget everything."""
        self._buffer = b""
        self._request = None

    def take(self) -> Request | None:
        """The next request, if it is whole. Raises Refused; nothing may be taken after that."""
        request = self._request
        if request is None:
            request = self._take_head()
            if request is None:
                return None
        if self._length == 0 or self._take_body(request):
            self._request, self.expects_continue = None, False
            return request
        self._request = request
        return None

    def _take_head(self) -> Request | None:
        if self._buffer.startswith(b"\r\n") and not self._blank:
            self._blank = True  # some end a body with one too many (2.2)
            self._buffer = self._buffer[2:]
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._check_beginning()
            self._searched = max(0, len(self._buffer) - 3)
            return None
        octets, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        self._searched, self._blank = 0, False
        line, *lines = octets.split(b"\r\n")
        if len(line) > LONGEST_LINE:
            raise Refused(TOO_LONG)
        method, target, minor = read_request_line(line)
        if len(octets) - len(line) > LONGEST_HEAD or len(lines) > MOST_FIELDS:
            raise Refused(TOO_MANY)
        fields = read_fields(lines)
        self._length = body_length(minor, fields)
        self._chunks, self._size = [], 0
        if b"expect" in fields:
            if [value.lower() for value in fields[b"expect"]] != [b"100-continue"]:
                raise Refused(UNEXPECTED)
            self.expects_continue = minor == b"1"
        persistent = minor == b"1"  # after HTTP/1.0 no request follows (9.3)
        if b"connection" in fields:
            tokens = b",".join(fields[b"connection"]).lower().split(b",")
            persistent = persistent and b"close" not in [token.strip(b"\t ") for token in tokens]
        return Request(method, target, fields, b"", persistent=persistent)

    def _check_beginning(self) -> None:
        """Refuse what is no request, or too much of one, before its end is there."""
        bare = _BARE_LF.search(self._buffer, max(0, self._searched - 1)) is not None
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > LONGEST_LINE + 1:
                raise Refused(TOO_LONG)
            if bare:
                raise bad(NO_LINE)
            return
        if not self._searched or end >= self._searched - 1:  # the line has just come to its end
            if end > LONGEST_LINE:
                raise Refused(TOO_LONG)
            read_request_line(self._buffer[:end])
        if bare:
            raise bad(NO_FIELD)
        if len(self._buffer) - end > LONGEST_HEAD + 3:
            raise Refused(TOO_MANY)

    def _take_body(self, request: Request) -> bool:
        length = self._length
        if length is None:
            return self._take_chunks(request)
        if length > LARGEST_BODY:
            raise Refused(TOO_LARGE)
        if len(self._buffer) < length:
            return False
        request.body, self._buffer = self._buffer[:length], self._buffer[length:]
        return True

    def _take_chunks(self, request: Request) -> bool:
        """The chunks that are whole (7.1)."""
        buffer, at, done = self._buffer, 0, False
        while not done:
            end = buffer.find(b"\r\n", at)
            if end < 0 or end - at > LONGEST_CHUNK_LINE:
                if len(buffer) - at > LONGEST_CHUNK_LINE + 1:
                    raise bad("a chunk does not begin with its size")
                break
            match = _CHUNK.fullmatch(buffer, at, end)
            if match is None:
                raise bad("a chunk does not begin with its size")
            size = int(match[1], 16)
            if self._size + size > LARGEST_BODY:
                raise Refused(TOO_LARGE)
            start, stop = end + 2, end + 2 + size
            if not b"\r\n".startswith(buffer[stop : stop + 2]):
                raise bad("a chunk is not as long as it says, or trailers follow the last one")
            if len(buffer) < stop + 2:
                break
            self._chunks.append(buffer[start:stop])
            self._size += size
            at, done = stop + 2, size == 0
        self._buffer = buffer[at:]
        if done:
            request.body = b"".join(self._chunks)
        return done


def read_request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target (all ASCII) and the minor version, 0 or 1. Raises Refused."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise bad(NO_LINE)
    method, target, minor = match.groups()
    if not target.isascii():
        target = _NOT_ASCII.sub(lambda odd: b"%%%02x" % odd[0][0], target)
    return method, target, minor


def read_fields(lines: Sequence[bytes]) -> Fields:
    """The header fields by their names in lower case. Raises Refused."""
    fields: Fields = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise bad(NO_FIELD)
        fields.setdefault(match[1].lower(), []).append(match[2].strip(b"\t "))
    return fields


def body_length(minor: bytes, fields: Fields) -> int | None:
    """How many octets the body has; None: it is chunked. Raises Refused where that may be doubted,
    or to whom the request is addressed."""
    hosts = fields.get(b"host", ())
    if len(hosts) > 1 or not (hosts or minor == b"0"):
        raise bad("there must be exactly one Host header")
    lengths = fields.get(b"content-length")
    if b"transfer-encoding" in fields:
        chunked = [coding.lower() for coding in fields[b"transfer-encoding"]] == [b"chunked"]
        if minor == b"0" or lengths or not chunked:
            raise bad("a Transfer-Encoding is chunked, by HTTP/1.1, and without Content-Length")
        return None
    if lengths is None:
        return 0
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise bad("the Content-Length is not one number")
    return int(lengths[0])
