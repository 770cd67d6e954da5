"""Requests out of octets: what is taken, and that nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.wire.http_requests import (
    LARGEST_BODY,
    LONGEST_CHUNK_LINE,
    LONGEST_HEAD,
    LONGEST_LINE,
    Refused,
    RequestReader,
    body_length,
    read_fields,
    read_request_line,
)

OCTETS = st.binary(max_size=60)
ONE = [b"h"]


def fields(hosts, codings, lengths):
    named = {b"host": hosts, b"transfer-encoding": codings, b"content-length": lengths}
    return {name: values for name, values in named.items() if values}


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"GET /auth/check_password?user=a&server=b&pass=%2B HTTP/1.1",
        b"POST /auth/json HTTP/1.0",
        b"M-SEARCH /a?b?c/d;e='\"<>[]{}|\\^` HTTP/1.1",
        b"!#$%&'*+-.^_`|~09 / HTTP/1.1",
    ],
)
def test_a_request_line_is_a_method_a_path_and_a_version(line):
    method, target, version = line.split(b" ")
    assert read_request_line(line) == (method, target, version[-1:])


def test_octets_outside_of_ascii_are_taken_for_their_escapes():
    line = "GET /auth/basic?server=münchen.example HTTP/1.1".encode()
    assert read_request_line(line)[1] == b"/auth/basic?server=m%c3%bcnchen.example"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/ HTTP/1.1",
        b"GET / x HTTP/1.1",
        b"GET /a\tb HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET / HTTP/1.1\r",
        b"GET / HTTP/1.1\nHost: h",
        b"GET / HTTP/1.1\n",
        b"GET /#fragment HTTP/1.1",
        b"GET auth HTTP/1.1",
        b"GET http://h/auth HTTP/1.1",
        b"CONNECT h:80 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"G@T / HTTP/1.1",
        b"G\xc3\x8bT / HTTP/1.1",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET / HTTP/0.9",
        b"GET / HTTP/11",
        b"GET / HTTP/1.10",
        b"GET / http/1.1",
        b"GET / HTTPS/1.1",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_no_other_request_line_is_taken(line):
    with pytest.raises(Refused) as told:
        read_request_line(line)
    assert told.value.answer.status == 400


@given(OCTETS | st.binary(max_size=30).map(lambda path: b"GET /%b HTTP/1.1" % path))
def test_a_request_line_is_three_printable_words_or_refused(line):
    try:
        words = read_request_line(line)
    except Refused:
        return
    for word in words:
        assert word.isascii()
        assert word.decode().isprintable()
        assert len(word.split()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"Host: h",
        b"host:h",
        b"X-Empty:",
        b"X-Blank: \t ",
        b"X-Latin: caf\xe9 \xff",
        b"X-Tab: a\tb",
        b"X-Colons: a:b: c",
        b"!#$%&'*+-.^_`|~09:x",
        b"Content-Length: 0",
        b"Content-Length:\t12 ",
        b"CONTENT-LENGTH: 999999999999999999",
        b"Content-Length-Not: x",
    ],
)
def test_a_header_is_a_name_and_a_printable_value(line):
    name, _, value = line.partition(b":")
    assert read_fields([line]) == {name.lower(): [value.strip(b" \t")]}


@pytest.mark.parametrize(
    "line",
    [
        b" folded",
        b"\tfolded: x",
        b": x",
        b"X",
        b"X : y",
        b"X\t: y",
        b"X y: z",
        b"X@: y",
        b"X\xe9: y",
        b"X: a\x00b",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\x1bb",
        b"X: a\x7f",
        b"X: y\r",
        b"X: y\n",
        b"\x00: y",
    ],
)
def test_what_is_no_header_of_one_line_is_refused(line):
    with pytest.raises(Refused) as told:
        read_fields([b"A: b", line])
    assert told.value.answer.body == b"a header is not NAME: VALUE on one line"


@pytest.mark.parametrize(
    "length",
    [b"", b" ", b"+1", b"-1", b"1, 1", b"1,1", b"1 1", b"0x10", b"1e3", b"1_0", b"1.0", b"\xb2",
     b"1" * 19, b"1" * 5000],
)  # fmt: skip
def test_a_length_is_digits_and_not_more_than_any_body_has(length):
    with pytest.raises(Refused) as told:
        body_length(b"1", {b"host": ONE, b"content-length": [length]})
    assert told.value.answer.body == b"the Content-Length is not one number"


@pytest.mark.parametrize(
    ("minor", "hosts", "codings", "lengths", "expected"),
    [
        (b"1", ONE, [], [], 0),
        (b"1", ONE, [], [b"3"], 3),
        (b"0", ONE, [], [b"003"], 3),
        (b"0", [], [], [], 0),
        (b"1", ONE, [b"chunked"], [], None),
        (b"1", ONE, [b"Chunked"], [], None),
    ],
)
def test_the_framing_that_everybody_reads_alike_is_taken(minor, hosts, codings, lengths, expected):
    assert body_length(minor, fields(hosts, codings, lengths)) == expected


@pytest.mark.parametrize(
    ("minor", "hosts"),
    [(b"1", []), (b"1", ONE * 2), (b"1", [b"h", b"i"]), (b"0", ONE * 2)],
)
def test_one_host_is_named_exactly(minor, hosts):
    with pytest.raises(Refused) as told:
        body_length(minor, fields(hosts, [], []))
    assert told.value.answer.body == b"there must be exactly one Host header"


@pytest.mark.parametrize(
    ("minor", "codings", "lengths"),
    [
        (b"1", [b"chunked"], [b"3"]),
        (b"1", [b"chunked", b"chunked"], []),
        (b"1", [b"identity"], []),
        (b"1", [b"gzip, chunked"], []),
        (b"1", [b"chunked, identity"], []),
        (b"1", [b"xchunked"], []),
        (b"1", [b"\x0bchunked"], []),
        (b"1", [b""], []),
        (b"0", [b"chunked"], []),
        (b"1", [], [b"3", b"3"]),
    ],
)
def test_a_body_whose_end_may_be_doubted_is_refused(minor, codings, lengths):
    with pytest.raises(Refused) as told:
        body_length(minor, fields(ONE, codings, lengths))
    assert told.value.answer.status == 400


# --- the reader -----------------------------------------------------------------------------------


def refusal(octets):
    """The status with which these octets are refused."""
    reader = RequestReader()
    with pytest.raises(Refused) as told:
        read(reader, octets)
    return told.value.answer.status


def read(reader, octets):
    """The requests in these octets."""
    reader.feed(octets)
    found = []
    while (request := reader.take()) is not None:
        found.append((request.method, request.target, request.body, request.persistent))
    return found


GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%b"
CHUNKS = CHUNKED % b"3\r\nbod\r\n1;x=y\r\ny\r\n0\r\n\r\n"


@given(st.lists(st.sampled_from([GET, POST, CHUNKS]), min_size=1, max_size=4), st.data())
def test_requests_are_the_same_however_they_are_cut(requests, data):
    octets = b"".join(requests)
    whole = read(RequestReader(), octets)
    assert len(whole) == len(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=12)))
    reader, found = RequestReader(), []
    for start, stop in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        found += read(reader, octets[start:stop])
    assert (found, reader.begun, reader.held) == (whole, False, 0)


@given(st.binary(max_size=200), st.sampled_from([GET, POST, CHUNKS]), st.integers(0, 90))
def test_whatever_comes_there_are_requests_or_a_refusal(octets, request_octets, at):
    try:
        read(RequestReader(), request_octets[:at] + octets + request_octets[at:])
    except Refused as no:
        status = no.answer.status
    else:
        status = 400
    assert status in (400, 413, 414, 417, 431)


def test_a_request_has_the_values_of_its_fields_and_their_names_in_lower_case():
    reader = RequestReader()
    fields = b"Host: h\r\nCOOKIE: a=b\r\nX-Remote_User: x\r\nCookie: c=d\r\n"
    reader.feed(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
    request = reader.take()
    assert list(request.names) == [b"host", b"cookie", b"x-remote_user"]
    assert list(request.values(b"cookie")) == [b"a=b", b"c=d"]
    assert list(request.values(b"origin")) == []


def test_after_http_1_0_and_close_there_is_no_other_request():
    old = GET.replace(b"1.1", b"1.0")
    closing = GET.replace(b"Host", b"Connection: TE,\tClose\r\nConnection: x\r\nHost")
    going_on = GET.replace(b"Host", b"Connection: keep-alive, closed\r\nHost")
    found = [read(RequestReader(), octets)[0][3] for octets in (GET, old, closing, going_on)]
    assert found == [True, False, False, True]


def test_one_blank_line_before_a_request_is_passed_over_and_no_other():
    reader = RequestReader()
    assert read(reader, b"\r\n") == []
    assert not reader.begun
    assert len(read(reader, GET + b"\r\n" + POST)) == 2
    assert refusal(b"\r\n\r\n" + GET) == 400


@pytest.mark.parametrize(
    "octets",
    [b"\n", b"GET / HTTP/1.1\n", b"GET /a HTTP/1.1\r\nHost: h\n", b"\x16\x03\x01\x02\n",
     b"BAD\r\n", b"GET / HTTP/2\r\n"],
)  # fmt: skip
def test_what_is_no_request_is_refused_before_its_end(octets):
    assert refusal(octets) == 400
    reader = RequestReader()
    for at in range(len(octets) - 1):
        assert read(reader, octets[at : at + 1]) == []
    with pytest.raises(Refused):
        read(reader, octets[-1:])


def head(target=b"/", more=b""):
    return b"GET %b HTTP/1.1\r\nHost: h\r\n%b" % (target, more)


def test_a_request_line_has_a_limit_and_is_refused_at_it():
    line = b"GET / HTTP/1.1"
    longest = head(b"/" * (LONGEST_LINE - len(line) + 1))
    assert len(read(RequestReader(), longest + b"\r\n")) == 1
    assert refusal(longest.replace(b"/", b"//", 1) + b"\r\n") == 414
    assert refusal(longest.replace(b"/", b"//", 1)) == 414
    assert refusal(b"/" * (LONGEST_LINE + 2)) == 414


def test_headers_have_a_limit_and_are_refused_at_it():
    field = b"X: " + b"y" * (LONGEST_HEAD - len(b"\r\nHost: h\r\nX: "))
    assert len(read(RequestReader(), head(more=field + b"\r\n\r\n"))) == 1
    assert refusal(head(more=field + b"y\r\n\r\n")) == 431
    assert refusal(head(more=field + b"yyyy")) == 431
    assert refusal(head(more=b"X: y\r\n" * 100 + b"\r\n")) == 431
    assert len(read(RequestReader(), head(more=b"X: y\r\n" * 99 + b"\r\n"))) == 1


def test_a_body_has_a_limit():
    assert refusal(POST.replace(b": 4", b": %d" % (LARGEST_BODY + 1))) == 413
    most = b"%x\r\n%b\r\n" % (LARGEST_BODY, b"x" * LARGEST_BODY)
    assert len(read(RequestReader(), CHUNKED % (most + b"0\r\n\r\n"))) == 1
    assert refusal(CHUNKED % (most + b"1\r\n")) == 413
    assert refusal(CHUNKED % b"ffffffff\r\n") == 413


@pytest.mark.parametrize(
    "chunks",
    [b"\r\n", b"x\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n", b" 1\r\n", b"1 \r\n",
     b"12345678901234567\r\n", b"1;\0\r\n", b"1;\n\r\n", b"1\n", b"1\r\nxy\r\n", b"1\r\nx\n",
     b"0\r\nX: y\r\n\r\n", b"0\r\n\n",
     b"1;" + b"x" * LONGEST_CHUNK_LINE, b"1;" + b"x" * LONGEST_CHUNK_LINE + b"\r\n"],
)  # fmt: skip
def test_chunks_are_sizes_and_as_many_octets_and_nothing_follows_the_last(chunks):
    octets = CHUNKED % chunks
    if chunks == b"1\n":
        octets += b"x" * LONGEST_CHUNK_LINE
    assert refusal(octets) == 400


def test_who_waits_to_be_told_to_continue_is_awaited_while_the_body_is():
    reader = RequestReader()
    expecting = POST.replace(b"Host", b"Expect: 100-Continue\r\nHost")
    assert read(reader, expecting[:-4]) == []
    assert reader.expects_continue
    reader.expects_continue = False
    assert read(reader, b"bo") == []
    assert not reader.expects_continue
    assert len(read(reader, b"dy")) == 1
    assert len(read(reader, expecting)) == 1
    assert not reader.expects_continue
    assert read(reader, expecting[:-4].replace(b"1.1", b"1.0")) == []
    assert not reader.expects_continue
    assert refusal(GET.replace(b"Host", b"Expect: nothing\r\nHost")) == 417


def test_what_is_cleared_is_gone():
    reader = RequestReader()
    assert read(reader, POST[:-1]) == []
    assert (reader.begun, reader.held) == (True, 3)
    reader.clear()
    assert not reader.begun
    assert len(read(reader, GET)) == 1
