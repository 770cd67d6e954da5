"""The names in a Host header, and how an answer is written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authbridge.wire.http import (
    JSON,
    Answer,
    BadRequest,
    encode,
    host_name,
    is_host,
    is_loopback,
    phrase,
    plain_name,
)

OCTETS = st.binary(max_size=60)


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
    [b"", b":80", b"h:", b"h:x", b"h:123456", b"h:65536",
     b"h:80:80", b"::1", b"[::1", b"::1]", b"[h]",
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


@pytest.mark.parametrize(
    "text",
    ["localhost", "www.example.org", "WWW.Example.ORG", "a_b-c~d.", "127.0.0.1", "::1",
     "2001:DB8::1", "::ffff:10.0.0.1", "0127.0.0.1"],
)  # fmt: skip
def test_a_host_in_a_configuration_is_a_name_or_an_address(text):
    assert is_host(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "h:80", "127.0.0.1:80", "[::1]", "[::1]:80", ":", ":80", "h:", "http://h", "h/", "*",
     "*.example.org", "user@h", "h i", "münchen.example", "fe80::1%eth0", "h\n", "\ud800"],
)  # fmt: skip
def test_anything_else_is_none(text):
    assert not is_host(text)


@given(st.text(max_size=30))
def test_what_is_a_host_comes_in_a_host_header(text):
    if not is_host(text):
        return
    name = plain_name(text)
    octets = (f"[{name}]" if ":" in name else name).encode()
    assert host_name(octets) == host_name(octets + b":443") == name


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


def test_an_answer_may_be_of_another_type():
    octets = encode(Answer(201, b"{}", (), JSON), "", body=True, persistent=True)
    assert octets == (
        b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Cache-Control: no-store\r\n\r\n{}"
    )


def test_an_answer_without_content_has_neither_type_nor_length():
    octets = encode(Answer(204, b"", ((b"X", b"y"),)), "b-3", body=True, persistent=False)
    assert octets == (
        b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nConnection: close\r\n"
        b"X-Request-Id: b-3\r\nX: y\r\n\r\n"
    )


def test_a_status_has_its_phrase():
    assert phrase(415) == "Unsupported Media Type"
