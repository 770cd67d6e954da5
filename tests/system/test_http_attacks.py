"""Where a request ends is told in one way alone: what is not that is refused, and hides nothing."""

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from . import http_attacks
from .daemon import Daemon
from .http_attacks import (
    CHUNKED,
    CHUNKS,
    CREDENTIALS,
    HOST,
    LENGTH,
    LOGIN,
    MARK,
    POST,
    RIGHT,
    Caller,
    Forms,
    attack,
    chunk,
    exchange,
    get,
    harmless,
    interleaved,
    lines,
    post,
)

#: What no body of ours could have, spelt as a number or not.
TOO_LARGE = (400, 413)
END = b"0\r\n\r\n"


def length(value: bytes) -> bytes:
    """A login whose length is spelt like that."""
    return post(b"Content-Length: " + value)


def coding(*fields: bytes, body: bytes = CHUNKS) -> bytes:
    """A chunked login whose Transfer-Encoding is spelt like that."""
    return post(*fields, body=body)


def sized(size: bytes) -> bytes:
    """A chunked login whose chunk's size is spelt like that."""
    return post(CHUNKED, body=size + b"\r\n" + LOGIN + b"\r\n" + END)


def extended(octet: int) -> bytes:
    """A chunk of one octet with an extension that is too short to be refused by itself."""
    return b"1;" + b"a" * 8000 + b"\r\n%c\r\n" % octet


SIZE = b"%x" % len(LOGIN)
DECIMAL = b"%d" % len(LOGIN)

LENGTHS: Forms = {
    "a length and chunks, which the length hides (CL.TE)": (400, post(LENGTH, CHUNKED, body=END)),
    "chunks and a length": (400, post(CHUNKED, LENGTH, body=CHUNKS)),
    "a length that the chunks hide (TE.CL)": (
        400,
        post(CHUNKED, b"Content-Length: 4", body=chunk(RIGHT) + END),
    ),
    "a length of 0 and chunks": (400, post(b"Content-Length: 0", CHUNKED, body=CHUNKS)),
    "two lengths": (400, post(LENGTH, b"Content-Length: 0")),
    "two lengths, the first of them 0": (400, post(b"Content-Length: 0", LENGTH)),
    "two equal lengths": (400, post(LENGTH, LENGTH)),
    "a list of equal lengths": (400, length(DECIMAL + b", " + DECIMAL)),
    "a list of lengths without a space": (400, length(b"5,5")),
    "two lengths and a space": (400, length(b"5 5")),
    "a length with a plus": (400, length(b"+" + DECIMAL)),
    "a negative length": (400, length(b"-1")),
    "minus nothing": (400, length(b"-0")),
    "a hexadecimal length": (400, length(b"0x" + SIZE)),
    "a length with an underscore": (400, length(b"1_0")),
    "a length in other digits": (400, length("１０".encode())),
    "a length with a fraction": (400, length(DECIMAL + b".0")),
    "a length with an exponent": (400, length(b"1e2")),
    "an empty length": (400, length(b"")),
    "a length with a vertical tab": (400, length(b"\x0b" + DECIMAL)),
    "a length of zeros and digits": (200, length(b"000" + DECIMAL)),
    "a length above 2 to the 64th": (TOO_LARGE, length(b"18446744073709551617")),
    "a length of 5,000 digits": (TOO_LARGE, length(b"9" * 5000)),
    "a length in the trailer": (
        400,
        post(CHUNKED, body=CHUNKS[:-2] + b"Content-Length: 0\r\n\r\n"),
    ),
    "a length after a field that is folded over it": (
        400,
        post(b"X-Folded: a\r\n Content-Length: 0", LENGTH),
    ),
    "a length whose name has an underscore": (200, post(LENGTH, b"Content_Length: 0")),
    "a length with HTTP/1.0 and chunks": (
        400,
        post(LENGTH, CHUNKED, line=POST[:-1] + b"0"),
    ),
}

CODINGS: Forms = {
    "not chunked": (400, coding(b"Transfer-Encoding: xchunked")),
    "chunked and more letters": (400, coding(b"Transfer-Encoding: chunkedx")),
    "chunked twice in one field": (400, coding(b"Transfer-Encoding: chunked, chunked")),
    "chunked twice in two": (400, coding(CHUNKED, CHUNKED)),
    "chunked and another (TE.TE)": (400, coding(CHUNKED, b"Transfer-Encoding: x")),
    "another and chunked": (400, coding(b"Transfer-Encoding: x", CHUNKED)),
    "chunked and an empty one": (400, coding(CHUNKED, b"Transfer-Encoding:")),
    "an empty one": (400, coding(b"Transfer-Encoding:")),
    "identity": (400, coding(b"Transfer-Encoding: identity", body=LOGIN)),
    "identity and a length": (400, post(b"Transfer-Encoding: identity", LENGTH)),
    "identity, chunked": (400, coding(b"Transfer-Encoding: identity, chunked")),
    "gzip, chunked": (400, coding(b"Transfer-Encoding: gzip, chunked")),
    "chunked and a comma": (400, coding(b"Transfer-Encoding: chunked,")),
    "a comma and chunked": (400, coding(b"Transfer-Encoding: ,chunked")),
    "chunked with a parameter": (400, coding(b"Transfer-Encoding: chunked;q=1")),
    "chunked in quotes": (400, coding(b'Transfer-Encoding: "chunked"')),
    "chunked in capitals": (200, coding(b"Transfer-Encoding: CHUNKED")),
    "chunked behind a tab": (200, coding(b"Transfer-Encoding:\tchunked")),
    "chunked before a tab": (200, coding(b"Transfer-Encoding: chunked\t")),
    "chunked without a space": (200, coding(b"Transfer-Encoding:chunked")),
    "chunked behind a vertical tab": (400, coding(b"Transfer-Encoding: \x0bchunked")),
    "chunked before a form feed": (400, coding(b"Transfer-Encoding: chunked\x0c")),
    "chunked before a CR": (400, coding(b"Transfer-Encoding: chunked\r")),
    "chunked with a NUL": (400, coding(b"Transfer-Encoding: chunked\0")),
    "chunked, folded": (400, coding(b"Transfer-Encoding:\r\n chunked")),
    "a space before the colon": (400, coding(b"Transfer-Encoding : chunked")),
    "a tab before the colon": (400, coding(b"Transfer-Encoding\t: chunked")),
    "a space before the name": (400, coding(b" Transfer-Encoding: chunked")),
    "a CR before the name": (400, coding(b"X-Before: a\r\r\nTransfer-Encoding: chunked")),
    "an LF before the name": (400, coding(b"X-Before: a\nTransfer-Encoding: chunked")),
    "an underscore in the name, and a length": (
        200,
        post(b"Transfer_Encoding: chunked", LENGTH),
    ),
    "chunked with HTTP/1.0": (400, coding(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
    "chunked in a field that Connection names": (
        200,
        coding(b"Connection: Transfer-Encoding", CHUNKED),
    ),
}

CHUNK_FORMS: Forms = {
    "a size with a plus": (400, sized(b"+" + SIZE)),
    "a negative size": (400, sized(b"-" + SIZE)),
    "a size that says it is hexadecimal": (400, sized(b"0x" + SIZE)),
    "a size with an underscore": (400, sized(SIZE[:1] + b"_" + SIZE[1:])),
    "a space before the size": (400, sized(b" " + SIZE)),
    "a space behind the size": (400, sized(SIZE + b" ")),
    "a tab before the size": (400, sized(b"\t" + SIZE)),
    "a size with a NUL": (400, sized(SIZE + b"\0")),
    "a size in other digits": (400, sized("１".encode())),
    "no size": (400, sized(b"")),
    "letters for a size": (400, sized(b"xyz")),
    "a size of zeros and digits": (200, sized(b"0" * 10 + SIZE)),
    "a size with 5,000 zeros": (TOO_LARGE, sized(b"0" * 5000 + SIZE)),
    "a size above 2 to the 64th": (TOO_LARGE, sized(b"1" + b"0" * 15 + SIZE)),
    "a size above 2 to the 32nd": (TOO_LARGE, sized(b"1000000" + SIZE)),
    "an extension": (200, sized(SIZE + b";name=value")),
    "an extension with a NUL": (400, sized(SIZE + b";a=\0")),
    "an extension with a CR": (400, sized(SIZE + b";a=\rb")),
    "an extension of 20 kB": (TOO_LARGE, sized(SIZE + b";" + b"a" * 20_000)),
    "extensions of 400 kB in all": (
        TOO_LARGE,
        post(CHUNKED, body=b"".join(map(extended, LOGIN)) + END),
    ),
    "a chunk that goes on": (400, post(CHUNKED, body=b"3\r\n" + LOGIN + b"\r\n" + END)),
    "a chunk without its end": (400, post(CHUNKED, body=SIZE + b"\r\n" + LOGIN + END)),
    "a chunk that ends with an LF": (400, post(CHUNKED, body=SIZE + b"\r\n" + LOGIN + b"\n" + END)),
    "a size that ends with an LF": (400, post(CHUNKED, body=SIZE + b"\n" + LOGIN + b"\r\n" + END)),
    "a last chunk that ends with LFs": (400, post(CHUNKED, body=CHUNKS[:-5] + b"0\n\n")),
    "a trailer": (400, post(CHUNKED, body=CHUNKS[:-2] + b"X-Trailer: a\r\n\r\n")),
    "a trailer that is no field": (400, post(CHUNKED, body=CHUNKS[:-2] + b"trailer\r\n\r\n")),
    "a trailer that is folded": (400, post(CHUNKED, body=CHUNKS[:-2] + b"A: b\r\n c\r\n\r\n")),
    "a trailer of 20 kB": (
        400,
        post(CHUNKED, body=CHUNKS[:-2] + b"X-Trailer: " + b"a" * 20_000 + b"\r\n\r\n"),
    ),
    "600 trailers": (
        400,
        post(CHUNKED, body=CHUNKS[:-2] + b"X-Trailer: a\r\n" * 600 + b"\r\n"),
    ),
    "an LF in a trailer": (400, post(CHUNKED, body=CHUNKS[:-2] + b"A: b\nC: d\r\n\r\n")),
    "a NUL in a trailer": (400, post(CHUNKED, body=CHUNKS[:-2] + b"A: \0\r\n\r\n")),
    "a space before a trailer's colon": (400, post(CHUNKED, body=CHUNKS[:-2] + b"A : b\r\n\r\n")),
    "credentials in the trailer": (
        400,
        lines(POST, HOST, MARK, CHUNKED, body=CHUNKS[:-2] + CREDENTIALS + b"\r\n\r\n"),
    ),
    "a length in place of the chunks": (400, post(CHUNKED, body=LOGIN)),
}

BODIES: Forms = {
    "a GET with a length of nothing": (200, get(b"Content-Length: 0")),
    "a GET with a login for its body": (
        200,
        get(b"Content-Length: %d" % len(RIGHT)) + RIGHT,
    ),
    "a GET with a login in chunks": (200, get(CHUNKED) + chunk(RIGHT) + END),
    "a POST of neither length nor chunks": (400, post(body=b"")),
    "a body above 64 kilobytes": (413, post(b"Content-Length: 65537", body=b"a" * 65537)),
    "a chunk above 64 kilobytes": (413, post(CHUNKED, body=chunk(b"a" * 65537) + END)),
    "chunks above 64 kilobytes": (413, post(CHUNKED, body=chunk(b"a" * 6554) * 11 + END)),
    "one-octet chunks above 64 kilobytes": (413, post(CHUNKED, body=chunk(b"a") * 65537 + END)),
    "an expectation nobody has": (417, post(LENGTH, b"Expect: 200-ok")),
    "two expectations": (417, post(LENGTH, b"Expect: 100-continue, 100-continue, x")),
    "an expectation of nothing": (417, post(LENGTH, b"Expect:")),
    "an expectation and too much": (
        413,
        post(b"Expect: 100-continue", b"Content-Length: 65537", body=b""),
    ),
    "an expectation and a length twice": (
        400,
        post(b"Expect: 100-continue", LENGTH, LENGTH, body=b""),
    ),
    "an upgrade to HTTP/2": (
        200,
        post(
            LENGTH,
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
        ),
    ),
    "an upgrade to a WebSocket": (
        200,
        get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    ),
}

FORMS: Forms = {**LENGTHS, **CODINGS, **CHUNK_FORMS, **BODIES}


@pytest.fixture(scope="module")
def attacked(workspace: Path) -> Iterator[Daemon]:
    """The daemon that all this is done to."""
    daemon = http_attacks.under_attack(workspace / "framing")
    daemon.start()
    pid = daemon.process.pid
    yield daemon
    assert daemon.running
    assert daemon.process.pid == pid
    daemon.stop()


@pytest.mark.parametrize("name", FORMS)
def test_each_form_has_one_answer_and_hides_no_second_login(attacked: Daemon, name: str) -> None:
    """Neither what is framed in two ways nor what is framed in none."""
    expected, octets = FORMS[name]
    attack(attacked, octets, expected)


def test_a_body_is_asked_for_where_the_caller_waits_for_that(attacked: Daemon) -> None:
    """And sends it then."""
    caller = Caller(attacked.http_port)
    caller.send(post(LENGTH, b"Expect: 100-continue", body=b""))
    assert caller.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.send(LOGIN, end=True)
    (answer,) = caller.everything()
    assert (answer.status, answer.body) == (200, b"true")


def octets_of(octets: bytes) -> list[bytes]:
    """One by one."""
    return [bytes([octet]) for octet in octets]


def parts_of(octets: bytes) -> list[bytes]:
    """A few, cut by the throw of dice that fall the same each time."""
    dice = random.Random(octets)
    cuts = sorted(dice.sample(range(len(octets)), min(4, len(octets))))
    return [octets[start:end] for start, end in pairwise([0, *cuts, len(octets)])]


@pytest.mark.parametrize("cut", [octets_of, parts_of])
def test_a_request_is_the_same_however_it_is_cut(
    attacked: Daemon, cut: Callable[[bytes], list[bytes]]
) -> None:
    """In pieces every form has the answer that it has as a whole."""
    forms = [octets for _, octets in FORMS.values() if len(octets) < 1500]
    at_once = 10  # each of them has 15 s for its request, on a busy machine too
    for first in range(0, len(forms), at_once):
        batch = forms[first : first + at_once]
        in_pieces = interleaved(attacked.http_port, [cut(octets) for octets in batch])
        for octets, found in zip(batch, in_pieces, strict=True):
            whole = exchange(attacked.http_port, octets, end=True)
            assert [answer.status for answer in found] == [a.status for a in whole], octets
            assert [answer.body == b"true" for answer in found] == [
                a.body == b"true" for a in whole
            ]
            assert all(map(harmless, found))
