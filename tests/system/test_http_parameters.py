"""Parameters that are given twice, or that nobody knows: no two readers could see two logins."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from . import http_attacks, people
from .daemon import Daemon
from .http_attacks import ALICE, CANARY, CHECK, HOST, LOGIN, MARK, Forms, attack, basic, get, lines

USER, SERVER, PASSWORD = LOGIN.split(b"&")
TWICE = {
    "user twice": USER,
    "user twice, another": b"user=" + CANARY,
    "user twice, encoded": b"%75s%65r=" + CANARY,
    "server twice": SERVER,
    "server twice, another": b"server=example.net",
    "server twice, encoded": b"%73erver=example.org",
    "pass twice": PASSWORD,
    "pass twice, another": b"pass=" + CANARY,
    "pass twice, empty": b"pass=",
    "pass twice, encoded": b"pas%73=" + CANARY,
}
OTHERS = {
    "a parameter nobody knows": b"extra=" + CANARY,
    "a parameter in capitals": b"USER=alice",
    "a parameter with brackets": b"user[]=alice",
    "a parameter with a NUL": b"user%00=alice",
    "a parameter with a space": b"+user=alice",
    "a parameter without a name": b"=alice",
    "a parameter without a value": b"user",
    "a parameter that is empty": b"",
    "a parameter behind a semicolon": b";user=alice",
}


def asked(query: bytes) -> bytes:
    """A login with these parameters in the URL."""
    return get(line=b"GET %b?%b HTTP/1.1" % (CHECK, query))


def posted(body: bytes, path: bytes = CHECK) -> bytes:
    """A login with these in the body."""
    length = b"Content-Length: %d" % len(body)
    return get(length, line=b"POST %b HTTP/1.1" % path) + body


def both_ways(added: Mapping[str, bytes]) -> Forms:
    """The right login with something added before it and behind it, in the URL and in a body."""
    return {
        f"{name}, {where} in {place}": (400, make(text))
        for name, more in added.items()
        for where, text in (("first", more + b"&" + LOGIN), ("last", LOGIN + b"&" + more))
        for place, make in (("the URL", asked), ("the body", posted))
    }


def without(parameter: bytes) -> bytes:
    """A login that lacks this."""
    return b"&".join(part for part in LOGIN.split(b"&") if part != parameter)


USER_OF_BASIC = basic("alice", people.password(ALICE))


def at_basic(query: bytes) -> bytes:
    """Alice's credentials, right, and another query."""
    return lines(b"GET /auth/basic?%b HTTP/1.1" % query, HOST, USER_OF_BASIC, MARK)


def at_json(body: bytes, query: bytes = b"server=example.org") -> bytes:
    """A body for /auth/json."""
    return posted(body, b"/auth/json?" + query)


NAME = b'"username": "alice"'
RIGHT = b'"password": "%b"' % people.password(ALICE)
OTHER = b'"password": "%b"' % CANARY
MEMBERS = b"{%b, %b}" % (NAME, RIGHT)
NUMBER = b'{%b, "password": %b}' % (NAME, b"9" * 60_000)

FORMS: Forms = {
    **both_ways({**TWICE, **OTHERS}),
    "no user in the URL": (400, asked(without(USER))),
    "no user in the body": (400, posted(without(USER))),
    "no server in the URL": (400, asked(without(SERVER))),
    "no server in the body": (400, posted(without(SERVER))),
    "no pass in the URL": (400, asked(without(PASSWORD))),
    "no pass in the body": (400, posted(without(PASSWORD))),
    "user in the URL and in the body": (400, posted(LOGIN, CHECK + b"?user=" + CANARY)),
    "user in the URL, the others in the body": (400, posted(without(USER), CHECK + b"?" + USER)),
    "all in the URL of a POST": (400, posted(b"", CHECK + b"?" + LOGIN)),
    "all in the URL and in the body": (400, posted(LOGIN, CHECK + b"?" + LOGIN)),
    "a body in JSON": (400, posted(MEMBERS)),
    "server of basic twice": (400, at_basic(b"server=example.org&server=example.net")),
    "server of basic twice, alike": (400, at_basic(b"server=example.org&server=example.org")),
    "server of basic encoded": (400, at_basic(b"server=example.org&%73erver=example.net")),
    "no server of basic": (400, at_basic(b"")),
    "more than server of basic": (400, at_basic(b"server=example.org&a=" + CANARY)),
    "a user beside basic": (400, at_basic(b"server=example.org&user=bob")),
    "server of json twice": (400, at_json(MEMBERS, b"server=example.org&server=a")),
    "no server of json": (400, at_json(MEMBERS, b"")),
    "a password twice in JSON": (400, at_json(b"{%b, %b, %b}" % (NAME, OTHER, RIGHT))),
    "a password twice in JSON, alike": (400, at_json(b"{%b, %b, %b}" % (NAME, RIGHT, RIGHT))),
    "a password twice in JSON, escaped": (
        400,
        at_json(b'{%b, %b, "p\\u0061ssword": "a"}' % (NAME, RIGHT)),
    ),
    "a user twice in JSON": (400, at_json(b'{"username": "bob", %b, %b}' % (NAME, RIGHT))),
    "another member in JSON": (400, at_json(b'{%b, %b, "a": "%b"}' % (NAME, RIGHT, CANARY))),
    "a server in JSON": (400, at_json(b'{%b, %b, "server": "example.org"}' % (NAME, RIGHT))),
    "no password in JSON": (400, at_json(b"{%b}" % NAME)),
    "a password that is no string": (400, at_json(b'{%b, "password": true}' % NAME)),
    "a list in JSON": (400, at_json(b"[%b]" % MEMBERS)),
    "two values in JSON": (400, at_json(MEMBERS + b" {}")),
    "deep JSON": (400, at_json(b"[" * 60_000)),
    "a number of 60,000 digits in JSON": (400, at_json(NUMBER)),
    "no number in JSON": (400, at_json(b'{%b, "password": NaN}' % NAME)),
    "JSON in UTF-16": (400, at_json(MEMBERS.decode().encode("utf-16"))),
    "JSON behind a mark of the order of octets": (400, at_json(b"\xef\xbb\xbf" + MEMBERS)),
    "JSON with octets that are no UTF-8": (400, at_json(b'{%b, "password": "\xff"}' % NAME)),
    "JSON with half a character": (400, at_json(b'{%b, "password": "\\ud800"}' % NAME)),
    "JSON with a line end in a string": (400, at_json(b'{%b, "password": "a\nb"}' % NAME)),
    "JSON with a comma too many": (400, at_json(b"{%b, %b,}" % (NAME, RIGHT))),
    "JSON with a comment": (400, at_json(MEMBERS + b" // a")),
}  # fmt: skip


@pytest.fixture(scope="module")
def attacked(workspace: Path) -> Iterator[Daemon]:
    """The daemon that all this is done to."""
    daemon = http_attacks.under_attack(workspace / "parameters")
    daemon.start()
    yield daemon
    assert daemon.running
    daemon.stop()


@pytest.mark.parametrize("name", FORMS)
def test_what_could_be_read_in_two_ways_is_refused(attacked: Daemon, name: str) -> None:
    """Though the right login is among it."""
    expected, octets = FORMS[name]
    attack(attacked, octets, expected)
