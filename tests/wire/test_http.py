"""What a request's head may be, and how an answer is written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authbridge.wire.http import (
    Answer,
    BadRequest,
    check_field,
    check_framing,
    check_request_line,
    encode,
    host_name,
    is_loopback,
)

OCTETS = st.binary(max_size=60)


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
    assert check_request_line(line) == line


def test_octets_outside_of_ascii_are_taken_for_their_escapes():
    line = "GET /auth/basic?server=münchen.example HTTP/1.1".encode()
    assert check_request_line(line) == b"GET /auth/basic?server=m%c3%bcnchen.example HTTP/1.1"


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
    with pytest.raises(BadRequest) as told:
        check_request_line(line)
    assert str(told.value) == "the request line is not METHOD /path HTTP/1.1"


@given(OCTETS | st.binary(max_size=30).map(lambda path: b"GET /%b HTTP/1.1" % path))
def test_a_request_line_is_three_printable_words_or_a_bad_request(line):
    try:
        checked = check_request_line(line)
    except BadRequest:
        return
    assert checked.isascii()
    assert checked.decode().isprintable()
    assert [len(checked.split(b" ")), len(checked.split())] == [3, 3]
    assert check_request_line(checked) == checked


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
    check_field(line)


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
    with pytest.raises(BadRequest, match="a header is not NAME: VALUE on one line"):
        check_field(line)


@pytest.mark.parametrize(
    "length",
    [b"", b" ", b"+1", b"-1", b"1, 1", b"1,1", b"1 1", b"0x10", b"1e3", b"1_0", b"1.0", b"\xb2",
     b"1" * 19, b"1" * 5000],
)  # fmt: skip
def test_a_length_is_digits_and_not_more_than_any_body_has(length):
    for name in (b"Content-Length:", b"content-lengTH: "):
        with pytest.raises(BadRequest, match="the Content-Length is not a number"):
            check_field(name + length)


@given(OCTETS | st.binary(max_size=30).map(lambda value: b"Content-Length:" + value))
def test_a_header_is_taken_or_is_a_bad_request(line):
    try:
        check_field(line)
    except BadRequest:
        return
    name, colon, value = line.partition(b":")
    assert colon
    assert not set(name) & set(b' \t()<>@,;:\\"/[]?={}')
    assert not {octet for octet in value if octet < 32 or octet == 127} - {9}
    if name.lower() == b"content-length":
        assert int(value) >= 0


ONE = [b"h"]


@pytest.mark.parametrize(
    ("version", "hosts", "codings", "length"),
    [
        (b"HTTP/1.1", ONE, [], []),
        (b"HTTP/1.1", ONE, [], [b"3"]),
        (b"HTTP/1.0", ONE, [], [b"3"]),
        (b"HTTP/1.0", [], [], []),
        (b"HTTP/1.1", ONE, [b"chunked"], []),
        (b"HTTP/1.1", ONE, [b"Chunked"], []),
    ],
)
def test_the_framing_that_everybody_reads_alike_is_taken(version, hosts, codings, length):
    check_framing(version, hosts, codings, length)


@pytest.mark.parametrize(
    ("version", "hosts"),
    [
        (b"HTTP/1.1", []),
        (b"HTTP/1.1", ONE * 2),
        (b"HTTP/1.1", [b"h", b"i"]),
        (b"HTTP/1.0", ONE * 2),
    ],
)
def test_one_host_is_named_exactly(version, hosts):
    with pytest.raises(BadRequest, match="there must be exactly one Host header"):
        check_framing(version, hosts, [], [])


@pytest.mark.parametrize(
    ("version", "codings", "length"),
    [
        (b"HTTP/1.1", [b"chunked"], [b"3"]),
        (b"HTTP/1.1", [b"chunked", b"chunked"], []),
        (b"HTTP/1.1", [b"identity"], []),
        (b"HTTP/1.1", [b"gzip, chunked"], []),
        (b"HTTP/1.1", [b"chunked, identity"], []),
        (b"HTTP/1.1", [b"xchunked"], []),
        (b"HTTP/1.1", [b"\x0bchunked"], []),
        (b"HTTP/1.1", [b""], []),
        (b"HTTP/1.0", [b"chunked"], []),
    ],
)
def test_a_body_whose_end_may_be_doubted_is_refused(version, codings, length):
    with pytest.raises(BadRequest, match="a Transfer-Encoding is chunked"):
        check_framing(version, ONE, codings, length)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"localhost", "localhost"),
        (b"Auth.Example.ORG:9281", "auth.example.org"),
        (b"127.0.0.1", "127.0.0.1"),
        (b"[::1]", "::1"),
        (b"[2001:DB8::1]:443", "2001:db8::1"),
        (b"a_b-c~d.", "a_b-c~d."),
    ],
)
def test_a_host_is_a_name_or_an_address_without_its_port(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    [b"", b":80", b"h:", b"h:x", b"h:123456", b"h:80:80", b"::1", b"[::1", b"::1]", b"[h]",
     b"[]", b"user@h", b"h/path", b"h i", b"h,i", b"h?", b"h#", b"h%41", b"\xe9", b"h\n",
     b"[::1%25lo]"],
)  # fmt: skip
def test_no_other_host_is_taken(host):
    with pytest.raises(BadRequest, match="the Host header is not NAME or NAME:PORT"):
        host_name(host)


@given(OCTETS)
@example(b"[:]:1")
def test_a_host_is_a_name_in_lower_case_or_a_bad_request(host):
    try:
        name = host_name(host)
    except BadRequest:
        return
    assert name == name.lower()
    assert name.isascii()
    assert name.encode() in host.lower()
    assert is_loopback(name) in (True, False)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.255.255.254", "::1"])
def test_loopback_is_everybodys_own(name):
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    ["", "localhost.", "localhost.example.org", "xlocalhost", "127.0.0.1.example.org", "127.1",
     "0.0.0.0", "::", "192.0.2.1", "2130706433", "0127.0.0.1"],
)  # fmt: skip
def test_what_only_looks_like_loopback_is_not(name):
    assert not is_loopback(name)


def test_an_answer_has_its_length_its_type_and_is_not_kept_by_anybody():
    octets = encode(Answer(200, b"true"), "boot-1", body=True, persistent=True)
    assert octets == (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 4\r\n"
        b"Cache-Control: no-store\r\n"
        b"X-Request-Id: boot-1\r\n"
        b"\r\n"
        b"true"
    )


def test_the_last_answer_of_a_connection_says_so():
    octets = encode(Answer(421, b"x"), "", body=True, persistent=False)
    assert octets.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
    assert b"\r\nConnection: close\r\n" in octets
    assert b"X-Request-Id" not in octets


def test_the_answer_to_a_head_has_the_length_of_what_it_leaves_out():
    answer = Answer(401, b"false", ((b"WWW-Authenticate", b"Basic"), (b"X", b"y")))
    octets = encode(answer, "b-2", body=False, persistent=True)
    assert b"\r\nContent-Length: 5\r\n" in octets
    assert octets.endswith(b"\r\nWWW-Authenticate: Basic\r\nX: y\r\n\r\n")
