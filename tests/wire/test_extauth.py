"""extauth's codec: framing does not depend on chunking; parse returns or raises one error."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.wire import extauth
from authbridge.wire.extauth import ERROR, FALSE, TRUE, FrameReader, Hello, Malformed

# The packets of the protocol's description, whole: add-only.
VECTORS = [
    (
        "001a617574683a726f6d656f3a6578616d706c652e636f6d3a613a62",
        ("auth", b"romeo", b"example.com", b"a:b"),
    ),
    (
        "00186973757365723a726f6d656f3a6578616d706c652e636f6d",
        ("isuser", b"romeo", b"example.com", b""),
    ),
    (
        "001d736574706173733a726f6d656f3a6578616d706c652e636f6d3a6e6577",
        ("setpass", b"romeo", b"example.com", b"new"),
    ),
    (
        "002074727972656769737465723a726f6d656f3a6578616d706c652e636f6d3a7077",
        ("tryregister", b"romeo", b"example.com", b"pw"),
    ),
    (
        "001c72656d6f7665757365723a726f6d656f3a6578616d706c652e636f6d",
        ("removeuser", b"romeo", b"example.com", b""),
    ),
]

FRAMES = st.lists(st.binary(max_size=40), max_size=8)


def packet(frame: bytes) -> bytes:
    return len(frame).to_bytes(2, "big") + frame


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(("octets", "expected"), VECTORS)
def test_the_published_packets_are_read(octets, expected):
    (frame,) = FrameReader().feed(bytes.fromhex(octets))
    request = extauth.parse(frame)
    assert (request.verb, request.user, request.domain, request.password) == expected


@pytest.mark.parametrize(
    ("frame", "password"),
    [
        (b"auth:bob:example.org:builder:with:colons", b"builder:with:colons"),
        (b"auth:bob:example.org:", b""),
        (b"auth:bob:example.org::", b":"),
        (b"auth:bob:example.org:a\nb:\xff\xfe\x00", b"a\nb:\xff\xfe\x00"),
        (b"removeuser3:bob:example.org:x:y", b"x:y"),
        (b"certauth:bob:example.org:x", b"x"),
        (b"auth:::", b""),
    ],
)
def test_the_last_field_takes_all_that_is_left(frame, password):
    assert extauth.parse(frame).password == password


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b":",
        b"auth",
        b"auth:a",
        b"auth:a:b",
        b"isuser:a",
        b"AUTH:a:b:c",
        b"nope:a:b:c",
        b"\xff:a:b:c",
    ],
)
def test_what_is_no_request_is_malformed_and_not_repeated(frame):
    with pytest.raises(Malformed) as raised:
        extauth.parse(frame)
    assert not frame or frame.decode("latin-1") not in str(raised.value)


@given(st.binary(max_size=200))
def test_parse_returns_or_raises_one_error(frame):
    try:
        request = extauth.parse(frame)
    except Malformed:
        return
    fields = [request.verb.encode(), request.user, request.domain]
    if request.password or frame.count(b":") > 2:
        fields.append(request.password)
    assert b":".join(fields) == frame


def test_a_request_does_not_show_its_password():
    assert "secret" not in repr(extauth.parse(b"auth:a:b:secret"))


@given(FRAMES, st.lists(st.integers(0, 1000), max_size=12))
def test_framing_does_not_depend_on_chunking(frames, cuts):
    data = b"".join(map(packet, frames))
    reader = FrameReader()
    assert [f for piece in pieces(data, cuts) for f in reader.feed(piece)] == frames


@given(FRAMES, st.lists(st.integers(0, 1000), max_size=12), st.integers(0, 0xFFFFFFFF))
def test_questions_keep_their_ids_however_they_are_cut(frames, cuts, first):
    numbers = [(first + n) & 0xFFFFFFFF for n in range(len(frames))]
    data = b"".join(extauth.question(n, f) for n, f in zip(numbers, frames, strict=True))
    reader = FrameReader(head=4)
    read = [q for piece in pieces(data, cuts) for q in reader.feed(piece)]
    assert read == [n.to_bytes(4, "big") + f for n, f in zip(numbers, frames, strict=True)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65534, 65535])
def test_every_length_is_read_whole_and_octet_by_octet(size):
    frame = b"x" * size
    data = packet(frame) + b"\0"
    assert FrameReader().feed(data) == [frame]
    reader = FrameReader()
    assert [f for n in range(len(data)) for f in reader.feed(data[n : n + 1])] == [frame]


def test_only_a_setpass_is_refused_with_an_error():
    assert extauth.refusal(b"setpass:a:b:c") == ERROR
    for frame in (b"tryregister:a:b:c", b"removeuser:a:b", b"auth:a:b:c", b"", b"setpas"):
        assert extauth.refusal(frame) == FALSE


@given(
    st.integers(1, 4_000_000),
    st.sampled_from([FALSE, ERROR]),
    st.sampled_from([TRUE, FALSE, ERROR]),
    st.booleans(),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_a_hello_arrives_as_it_was_sent(milliseconds, auth, isuser, admitted, cuts):
    sent = Hello(milliseconds / 1000, auth, isuser, admitted=admitted)
    buffer = bytearray()
    read = None
    for piece in pieces(sent.encode(), cuts):
        assert read is None or not piece
        buffer += piece
        read = read or extauth.take_hello(buffer)
    assert read is not None
    assert (read.deadline, read.auth, read.isuser, read.admitted) == (
        milliseconds / 1000, auth, isuser, admitted,
    )  # fmt: skip
    assert not buffer


def test_a_hello_of_a_later_version_is_read_as_far_as_it_is_known():
    sent = bytearray(Hello(8, ERROR, TRUE).encode())
    sent[13] += 3
    sent += b"new" + b"rest"
    read = extauth.take_hello(sent)
    assert read is not None
    assert read.deadline == 8
    assert sent == b"rest"


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 400",
        b"authbridgf",
        b"authbridge\1\1\0\7" + b"\0" * 7,
        b"authbridge\1\1\0\10\0\0\0\1\0\1\0\0",  # an outage that lets people in
        b"authbridge\1\1\0\10\0\0\0\1\0\0\0\3",
    ],
)
def test_what_is_no_hello_is_malformed(octets):
    with pytest.raises(Malformed):
        extauth.take_hello(bytearray(octets))


def test_an_outage_is_answered_verb_by_verb():
    terms = Hello(8, ERROR, TRUE)
    assert terms.outage(b"auth:a:b:c") == ERROR
    assert terms.outage(b"isuser:a:b") == TRUE
    assert terms.outage(b"setpass:a:b:c") == ERROR
    assert terms.outage(b"tryregister:a:b:c") == ERROR
    assert terms.outage(b"") == FALSE


def test_answers_are_taken_whole_and_only_as_answers():
    buffer = bytearray(b"\0\0\0\7\0\1" + b"\0\0\0\10\0\0" + b"\0\0\0")
    assert extauth.take_answers(buffer) == [(7, TRUE), (8, FALSE)]
    assert buffer == b"\0\0\0"
    with pytest.raises(Malformed):
        extauth.take_answers(bytearray(b"\0\0\0\7\0\3"))


@given(st.binary(max_size=60))
def test_reading_a_daemon_raises_nothing_but_malformed(octets):
    buffer = bytearray(octets)
    try:
        extauth.take_hello(buffer)
        extauth.take_answers(buffer)
    except Malformed:
        pass
