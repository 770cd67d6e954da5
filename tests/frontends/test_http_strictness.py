"""What two readers might understand differently is refused, in however many pieces it comes."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import model
from authbridge.wire.http_requests import LARGEST_BODY
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import (
    ALICE,
    BASIC,
    JSON,
    LOGIN,
    SECRET,
    Server,
    chunked,
    get,
    post,
)

FORM = urlencode(LOGIN).encode()
WHOLE = get()
LINE = WHOLE.partition(b"\r\n")[0]
BODY = b"POST /auth/check_password HTTP/1.1\r\nHost: h\r\n" + SECRET


def lines(*fields: bytes, line: bytes = LINE) -> bytes:
    """A request of exactly these lines."""
    return b"\r\n".join([line, *fields, b"", b""])


def field(octets: bytes) -> bytes:
    """A good request with one line more in its head."""
    return get(headers=SECRET + octets + b"\r\n")


def body(fields: bytes, octets: bytes = FORM) -> bytes:
    """A POST with these framing headers."""
    return BODY + fields + b"\r\n\r\n" + octets


MALFORMED = {
    "a second blank line": b"\r\n\r\n" + WHOLE,
    "no version": WHOLE.replace(b" HTTP/1.1", b"", 1),
    "HTTP/1.2": WHOLE.replace(b"HTTP/1.1", b"HTTP/1.2", 1),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two blanks": WHOLE.replace(b"GET ", b"GET  ", 1),
    "a tab": WHOLE.replace(b"GET ", b"GET\t", 1),
    "absolute-form": WHOLE.replace(b"GET /", b"GET http://h/", 1),
    "authority-form": lines(b"Host: h", line=b"CONNECT h:80 HTTP/1.1"),
    "asterisk-form": lines(b"Host: h", line=b"OPTIONS * HTTP/1.1"),
    "a fragment": WHOLE.replace(b" HTTP", b"#x HTTP", 1),
    "a NUL in the target": WHOLE.replace(b"alice", b"al\0ice"),
    "a bare LF in the line": WHOLE.replace(b"\r\n", b"\n", 1),
    "a bare LF in a header": field(b"X: a\nTransfer-Encoding: chunked"),
    "a bare CR in a header": field(b"X: a\rb"),
    "a NUL in a header": field(b"X: a\0b"),
    "a control character in a header": field(b"X: a\x1bb"),
    "a folded header": field(b"X: a\r\n b"),
    "a header that begins with a tab": field(b"\tX: a"),
    "a blank before the colon": field(b"X : a"),
    "no colon": field(b"X"),
    "no name": field(b": a"),
    "no Host": WHOLE.replace(b"Host: h\r\n", b""),
    "two Hosts": field(b"Host: h"),
    "two other Hosts": field(b"host: i"),
    "two Hosts of HTTP/1.0": field(b"Host: h").replace(b"/1.1", b"/1.0", 1),
    "a bad length": body(b"Content-Length: +3"),
    "a length of letters": body(b"Content-Length: 0x3"),
    "a list of lengths": body(b"Content-Length: 3, 3"),
    "no length": body(b"Content-Length:"),
    "two lengths": body(b"Content-Length: 3\r\nContent-Length: 3"),
    "two different lengths": body(b"Content-Length: 3\r\nContent-Length: 4"),
    "a length and chunks": body(b"Content-Length: 3\r\nTransfer-Encoding: chunked"),
    "chunks and a length": body(b"Transfer-Encoding: chunked\r\nContent-Length: 3"),
    "chunks twice": body(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "a list of codings": body(b"Transfer-Encoding: gzip, chunked"),
    "identity": body(b"Transfer-Encoding: identity"),
    "identity and a length": body(b"Transfer-Encoding: identity\r\nContent-Length: 3"),
    "an unknown coding": body(b"Transfer-Encoding: xchunked"),
    "no coding": body(b"Transfer-Encoding:"),
    "chunks of HTTP/1.0": chunked(FORM).replace(b"/1.1", b"/1.0", 1),
    "a chunk without a size": body(b"Transfer-Encoding: chunked", b"\r\n"),
    "a chunk of letters": body(b"Transfer-Encoding: chunked", b"x\r\n"),
    "a chunk of less than nothing": body(b"Transfer-Encoding: chunked", b"-1\r\n"),
    "a chunk with a prefix": body(b"Transfer-Encoding: chunked", b"0x3\r\n"),
    "a chunk with a blank": body(b"Transfer-Encoding: chunked", b"3 \r\nabc\r\n"),
    "a chunk that goes on": body(b"Transfer-Encoding: chunked", b"3\r\nabcd\r\n"),
    "a chunk's bare LF": body(b"Transfer-Encoding: chunked", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    "a chunk's endless size": body(b"Transfer-Encoding: chunked", b"0" * 2000),
}


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED)
def test_it_is_400_and_the_connection_ends(octets):
    server = Server(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(octets + WHOLE)
    assert reply.status == 400
    assert reply.headers["Connection"] == "close"
    assert b"wonderland" not in reply.body
    assert reply.body not in (b"true", b"false")
    assert server.line.half_closed
    assert checker.asked == []
    server.send(WHOLE)
    server.clock.advance(0)
    assert server.answers() == []
    (told,) = server.lines
    assert f"id={reply.id} " in told
    assert "operation=- jid=- checker=- verdict=rejected reason=request_malformed" in told


CHUNKED = b"Transfer-Encoding: chunked"
TOO_MUCH = {
    "a line": (414, b"GET /" + b"x" * 16384),
    "a whole line": (414, lines(line=b"GET /%b HTTP/1.1" % (b"x" * 16384))),
    "a header": (431, WHOLE[:-2] + b"X: " + b"x" * 16384),
    "a whole header": (431, field(b"X: " + b"x" * 16384)),
    "headers": (431, field(b"X: " + b"x" * 8200 + b"\r\nX: " + b"x" * 8200)),
    "many headers": (431, field(b"\r\n".join([b"X: y"] * 600))),
    "a body": (413, body(b"Content-Length: %d" % (LARGEST_BODY + 1), b"")),
    "a body with it": (413, post(parameters=b"x" * 70_000)),
    "an endless body": (413, body(b"Content-Length: " + b"9" * 18, b"x" * 70_000)),
    "chunks": (413, chunked(*[b"x" * 0x7000] * 3)),
    "more chunks": (413, chunked(*[b"x" * 0x7000] * 5)),
    "chunks and what is none": (413, chunked(*[b"x" * 0x7000] * 3, end=b"x\r\n")),
    "a chunk": (413, chunked(b"x" * 70_000)),
    "an endless chunk": (413, body(CHUNKED, b"f" * 16 + b"\r\n" + b"x" * 70_000)),
}  # fmt: skip


@pytest.mark.parametrize(("status", "octets"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_told_apart_and_the_connection_ends(status, octets):
    server = Server(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(octets)
    assert (reply.status, reply.headers["Connection"]) == (status, "close")
    assert server.line.half_closed
    server.send(b"x" * 100_000)
    assert server.answers() == []
    assert checker.asked == []
    assert "reason=request_malformed" in server.lines[0]


def test_a_body_announced_too_large_is_413_before_it_is_read():
    for size in (LARGEST_BODY + 1, 10**12):
        server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
        head = b"POST /auth/check_password HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size
        assert server.ask(head).status == 413


def padded(size: int) -> bytes:
    """A login whose form is that large."""
    return urlencode({**LOGIN, "pass": ""}).encode().ljust(size, b"x")


def test_the_largest_body_is_taken():
    for request in (
        post(parameters=padded(LARGEST_BODY)),
        chunked(padded(LARGEST_BODY)),
        chunked(padded(LARGEST_BODY)[:30], padded(LARGEST_BODY)[30:]),
    ):
        server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
        assert server.ask(request).body == b"true"


@pytest.mark.parametrize("many", [100, 101])
def test_there_are_at_most_100_headers(many):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(field(b"\r\n".join([b"X: y"] * (many - 2))))
    assert reply.status == (200 if many <= 100 else 431)


@pytest.mark.parametrize(
    "trailer", [b"X: y", b"X: y\n\nGET / HTTP/1.1", b"X: \0", b"X", b" X: y", b"X : y"]
)
def test_nothing_follows_the_last_chunk(trailer):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    assert server.ask(chunked(FORM, end=b"0\r\n" + trailer + b"\r\n\r\n")).status == 400


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n" + WHOLE,
        field(b"X: a\tb\xff"),
        field(b"X:"),
        field(b"Cookie: a=b; ;c"),
        body(b"Content-Length: %d " % len(FORM)),
        body(b"content-LENGTH:%d" % len(FORM)),
        body(CHUNKED.upper(), b"%X;x=y\r\n%b\r\n0\r\n\r\n" % (len(FORM), FORM)),
        field(b"Content-Length: 0"),
        field(b"Content-Length: 4").replace(b"\r\n\r\n", b"\r\n\r\ntrue"),
        field(b"Upgrade: h2c\r\nConnection: Upgrade"),
    ],
)  # fmt: skip
def test_what_is_only_unusual_is_taken(octets):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    assert [reply.body for reply in (server.ask(octets), server.ask(WHOLE))] == [b"true", b"true"]


EXPECTING = body(b"Expect: 100-continue\r\nContent-Length: %d" % len(FORM))
STREAMS = [
    WHOLE,
    WHOLE * 3 + MALFORMED["two Hosts"] + WHOLE,
    b"\r\n" + post() + get(BASIC, None, ALICE) + b"\r\n" + get("/auth/none") + WHOLE,
    chunked(FORM[:9], FORM[9:], end=b"0\r\nX: y\r\n\r\n") + post(JSON, b"{}") + WHOLE,
    EXPECTING + EXPECTING,
    WHOLE.replace(b"/1.1", b"/1.0", 1) + WHOLE,
    get(BASIC, None, ALICE).replace(b"GET", b"HEAD") + get(BASIC, None, b"") + WHOLE,
    post() + body(b"Content-Length: 65537", b"x" * 40) + WHOLE,
    *MALFORMED.values(),
]


def answers(pieces: list[bytes]) -> bytes:
    """All that is answered, but for the ids, and for a 100, which is for whose body is awaited."""
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), anonymous=True)
    for piece in pieces:
        if not server.line.disconnecting:
            server.send(piece)
    while server.clock.getDelayedCalls() and server.clock.getDelayedCalls()[0].getTime() <= 0:
        server.clock.advance(0)
    said = server.line.value().replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    return re.sub(rb"X-Request-Id: [^\r]+", b"", said)


@given(st.sampled_from(STREAMS), st.lists(st.integers(1, 700), max_size=12), st.booleans())
def test_however_it_is_cut_the_answers_are_the_same(stream, cuts, octet_by_octet):
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    if octet_by_octet:
        ends = list(range(1, len(stream) + 1))
    pieces = [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert answers(pieces) == answers([stream])


WORDS = [
    b"\r\n", b"\r\n\r\n", b"GET / HTTP/1.1", b"Host: h", b"Content-Length: 3", CHUNKED, b":", b" "
]  # fmt: skip


@given(st.lists(st.binary(max_size=40) | st.sampled_from(WORDS), max_size=12))
def test_whatever_comes_is_answered_with_a_refusal_or_not_at_all(pieces):
    server = Server(checker := ScriptedChecker(model.PASSWORD_MATCHES))
    for piece in pieces:
        if not server.line.disconnecting:
            server.send(piece)
    assert checker.asked == []
    told = server.answers()
    assert len(told) == len(server.lines) <= 1
    assert all(reply.status in (400, 401, 404, 413) for reply in told)
