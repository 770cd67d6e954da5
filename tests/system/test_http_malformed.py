"""Request lines, fields, hosts and paths that are not as they should be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import http_attacks
from .daemon import Daemon
from .http_attacks import (
    CANARY,
    CHECK,
    CREDENTIALS,
    HOST,
    LENGTH,
    LINE,
    LOGIN,
    MARK,
    POST,
    RIGHT,
    Forms,
    attack,
    basic,
    get,
    lines,
    post,
)

OLD = LINE[:-1] + b"0"


def version(text: bytes) -> bytes:
    """A login that says it is of this version."""
    return get(line=LINE.replace(b"HTTP/1.1", text))


def target(text: bytes) -> bytes:
    """A request for exactly this."""
    return get(line=b"GET %b HTTP/1.1" % text)


def path(text: bytes) -> bytes:
    """A login there."""
    return target(text + b"?" + LOGIN)


def within(octets: bytes) -> bytes:
    """A login with these octets in the password."""
    return target(CHECK + b"?" + LOGIN + octets + CANARY)


def method(text: bytes) -> bytes:
    """A login by this method."""
    return get(line=LINE.replace(b"GET", text, 1))


def host(*values: bytes) -> bytes:
    """A login that is addressed to these."""
    return lines(LINE, *(b"Host: " + value for value in values), CREDENTIALS, MARK)


#: As a browser sends it, with 32 octets that are no accident.
CLIENT_HELLO = (
    b"\x16\x03\x01\x00\x85\x01\x00\x00\x81\x03\x03" + bytes(range(0x80, 0xA0)) + b"\x20"
    + bytes(range(0xA0, 0xC0)) + b"\x00\x06\x13\x01\x13\x02\x13\x03\x01\x00\x00\x32"
    + b"\x00\x2b\x00\x03\x02\x03\x04" + bytes(43)
)  # fmt: skip

LINES: Forms = {
    "HTTP/0.9": (400, b"GET " + CHECK + b"?" + LOGIN + b"\r\n"),
    "HTTP/0.9 with fields": (400, get(line=b"GET " + CHECK + b"?" + LOGIN)),
    "HTTP/1.2": (400, version(b"HTTP/1.2")),
    "HTTP/1.10": (400, version(b"HTTP/1.10")),
    "HTTP/1": (400, version(b"HTTP/1")),
    "HTTP/01.1": (400, version(b"HTTP/01.1")),
    "HTTP/2.0": (400, version(b"HTTP/2.0")),
    "HTTP/3.0": (400, version(b"HTTP/3.0")),
    "HTTP/0.9 in words": (400, version(b"HTTP/0.9")),
    "HTTP in lower case": (400, version(b"http/1.1")),
    "HTTPS": (400, version(b"HTTPS/1.1")),
    "a space within the version": (400, version(b"HTTP/ 1.1")),
    "a space behind the version": (400, version(b"HTTP/1.1 ")),
    "a fourth word": (400, version(b"HTTP/1.1 x")),
    "a version in other digits": (400, version("HTTP/１.１".encode())),
    "the preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + CANARY),
    "a ClientHello": (400, CLIENT_HELLO),
    "octets without sense": (400, bytes(range(256))),
    "two spaces behind the method": (400, method(b"GET ")),
    "two spaces before the version": (400, version(b" HTTP/1.1")),
    "tabs for spaces": (400, get(line=LINE.replace(b" ", b"\t"))),
    "a space before the method": (400, b" " + get()),
    "a tab before the method": (400, b"\t" + get()),
    "an empty line before the method": (200, b"\r\n" + get()),
    "a thousand empty lines before the method": (400, b"\r\n" * 1000 + get()),
    "an LF before the method": (400, b"\n" + get()),
    "a CR before the method": (400, b"\r" + get()),
    "a mark of the order of octets before the method": (400, b"\xef\xbb\xbf" + get()),
    "a method in lower case": (405, method(b"get")),
    "a method nobody knows": (405, method(b"GOT")),
    "a method with an at": (400, method(b"G@T")),
    "a method with a NUL": (400, method(b"GET\0")),
    "a method with a colon": (400, method(b"GET:")),
    "a method beyond ASCII": (400, method("GËT".encode())),
    "no method": (400, get(line=LINE.removeprefix(b"GET"))),
    "a method of a thousand letters": (405, method(b"G" * 1000)),
    "TRACE": (405, method(b"TRACE")),
    "HEAD": (405, method(b"HEAD")),
    "PUT": (405, post(LENGTH, line=POST.replace(b"POST", b"PUT"))),
    "only LFs": (400, get().replace(b"\r\n", b"\n")),
    "an LF behind the request line": (400, get().replace(b"\r\n", b"\n", 1)),
    "only CRs": (400, get().replace(b"\r\n", b"\r") + b"\r\n\r\n"),
    "a request line of 20 kB": (414, within(b"a" * 20_000)),
    "a request line of 20 kB without an end": (414, LINE[:-9] + b"a" * 20_000),
    "a path of 20 kB": (414, path(CHECK + b"/" * 20_000)),
}

TARGETS: Forms = {
    "the absolute form": (400, path(b"http://localhost" + CHECK)),
    "the absolute form of somebody else": (400, path(b"http://evil.example" + CHECK)),
    "the absolute form in capitals": (400, path(b"HTTP://localhost" + CHECK)),
    "the absolute form of another scheme": (400, path(b"file://" + CHECK)),
    "CONNECT": (400, get(line=b"CONNECT localhost:80 HTTP/1.1")),
    "the authority form": (400, get(line=b"GET localhost:80 HTTP/1.1")),
    "the asterisk": (400, get(line=b"OPTIONS * HTTP/1.1")),
    "the asterisk and GET": (400, get(line=b"GET * HTTP/1.1")),
    "no path": (400, get(line=b"GET ?%b HTTP/1.1" % LOGIN)),
    "no slash": (400, path(CHECK[1:])),
    "a fragment": (400, within(b"#")),
    "a NUL": (400, within(b"\0")),
    "a CR": (400, within(b"\r")),
    "an LF": (400, within(b"\n")),
    "a tab": (400, within(b"\t")),
    "a space": (400, within(b" ")),
    "a DEL": (400, within(b"\x7f")),
    "an escape of the terminal": (400, within(b"\x1b[2J")),
    "half an escape": (400, within(b"%4-")),
    "an escape that is none": (400, within(b"%zz")),
    "an escape in other digits": (400, within("%１１".encode())),
    "a Unicode escape": (400, within(b"%u0061")),
    "an escaped NUL behind the path": (404, path(CHECK + b"%00")),
    "an escaped letter in the path": (404, path(b"/auth/%63heck_password")),
    "an escaped slash in the path": (404, path(b"/auth%2fcheck_password")),
    "two slashes": (404, path(b"/auth//check_password")),
    "two slashes at the start": (404, path(b"/" + CHECK)),
    "a dot in the path": (404, path(b"/auth/./check_password")),
    "two dots in the path": (404, path(b"/auth/../auth/check_password")),
    "two escaped dots in the path": (404, path(b"/auth/%2e%2e/auth/check_password")),
    "a parameter in the path": (404, path(CHECK + b";a=b")),
    "a parameter of the folder": (404, path(b"/auth;a=b/check_password")),
    "a slash behind the path": (404, path(CHECK + b"/")),
    "more path": (404, path(CHECK + b"/" + CANARY)),
    "the path in capitals": (404, path(CHECK.upper())),
    "a backslash": (404, path(b"/auth\\check_password")),
    "no folder": (404, path(b"/check_password")),
    "the root": (404, target(b"/")),
    "somebody's server status": (404, target(b"/server-status?" + CANARY)),
    "a query in a POST": (400, post(LENGTH, line=POST.replace(CHECK, CHECK + b"?" + LOGIN))),
    "a query and no body": (
        400,
        post(b"Content-Length: 0", body=b"", line=POST.replace(CHECK, CHECK + b"?" + LOGIN)),
    ),
    "an empty query in a POST": (200, post(LENGTH, line=POST.replace(CHECK, CHECK + b"?"))),
    "semicolons for ampersands": (400, target(CHECK + b"?" + LOGIN.replace(b"&", b";"))),
    "a second question mark": (400, target(CHECK + b"??" + LOGIN)),
}

FIELDS: Forms = {
    "a folded field": (400, get(b"X-Folded: a\r\n b")),
    "a field folded with a tab": (400, get(b"X-Folded: a\r\n\tb")),
    "a folded first field": (400, lines(LINE, b"Host: localhost\r\n a", CREDENTIALS, MARK)),
    "a first field that is folded to the request line": (
        400,
        lines(LINE, b" A: b", HOST, CREDENTIALS),
    ),
    "a line of a space before the end": (400, get(b" ")),
    "a space before the colon": (400, get(b"X-Space : a")),
    "a space within the name": (400, get(b"X Space: a")),
    "no name": (400, get(b": " + CANARY)),
    "no colon": (400, get(CANARY)),
    "a name in brackets": (400, get(b"X(a): b")),
    "a name beyond ASCII": (400, get("X-Ä: b".encode())),
    "a NUL in the name": (400, get(b"X\0: a")),
    "a CR in the name": (400, get(b"X\rY: a")),
    "an LF in the name": (400, get(b"X\nY: a")),
    "a DEL in the name": (400, get(b"X\x7f: a")),
    "a NUL in the value": (400, get(b"X: \0" + CANARY)),
    "a CR in the value": (400, get(b"X: a\rb")),
    "an LF in the value": (400, get(b"X: a\nb")),
    "a bell in the value": (400, get(b"X: \x07")),
    "a DEL in the value": (400, get(b"X: \x7f")),
    "an escape of the terminal in the value": (400, get(b"X: \x1b]0;a\x07")),
    "a tab in the value": (200, get(b"X: a\tb")),
    "octets beyond ASCII in the value": (200, get(b"X: \xc3\xa4\xff")),
    "an empty value": (200, get(b"X:")),
    "a field of 20 kB": (431, get(b"X: " + b"a" * 20_000)),
    "a field of 20 kB without an end": (431, LINE + b"\r\nX: " + b"a" * 20_000),
    "a name of 20 kB": (431, get(b"X" * 20_000 + b": a")),
    "100 fields": (200, get(*[b"X: a"] * 97)),
    "101 fields": (431, get(*[b"X: a"] * 98)),
    "600 fields": (431, get(*(b"X-%d: a" % number for number in range(600)))),
    "600 equal fields": (431, get(*[b"X: a"] * 600)),
    "fields of 20 kB in all": (431, get(*[b"X: " + b"a" * 500] * 40)),
    "600 empty fields": (431, get(*[b"X:"] * 600)),
    "a connection that is nonsense": (200, get(b"Connection: @ nonsense,,;")),
    "a connection of both kinds": (200, get(b"Connection: close, keep-alive")),
    "a connection that ends, and more": (200, get(b"Connection: close") + RIGHT),
    "HTTP/1.0, and more": (200, get(line=OLD) + RIGHT),
    "HTTP/1.0 that would stay, and more": (200, get(b"Connection: keep-alive", line=OLD) + RIGHT),
    "a connection that names the host": (200, get(b"Connection: Host, Authorization")),
    "another method in a field": (200, get(b"X-HTTP-Method-Override: POST")),
    "another path in a field": (
        200,
        get(b"X-Original-URL: /auth/user_exists", b"X-Rewrite-URL: /"),
    ),
    "another host in a field": (200, get(b"X-Forwarded-Host: evil.example", b"Forwarded: host=e")),
    "a range": (200, get(b"Range: bytes=1-2")),
    "credentials twice": (401, get(CREDENTIALS)),
    "credentials of another scheme": (401, lines(LINE, HOST, b"Authorization: Bearer " + CANARY)),
    "credentials without a scheme": (401, lines(LINE, HOST, b"Authorization: " + CANARY)),
    "credentials that are no base64": (401, lines(LINE, HOST, b"Authorization: Basic @" + CANARY)),
    "credentials without a colon": (401, lines(LINE, HOST, b"Authorization: Basic QUJD")),
    "wrong credentials": (401, lines(LINE, HOST, basic("attacked", CANARY))),
    "credentials of a client that has no secret": (401, lines(LINE, HOST, basic("proxy", b""))),
    "no credentials": (401, lines(LINE, HOST, MARK)),
}

HOSTS: Forms = {
    "no host": (400, lines(LINE, CREDENTIALS, MARK)),
    "no host with HTTP/1.0": (200, lines(OLD, CREDENTIALS, MARK)),
    "two hosts": (400, host(b"localhost", b"evil.example")),
    "two hosts, the foreign one first": (400, host(b"evil.example", b"localhost")),
    "the same host twice": (400, host(b"localhost", b"localhost")),
    "two hosts with HTTP/1.0": (400, get(HOST, line=OLD)),
    "a list of hosts": (400, host(b"localhost, localhost")),
    "an empty host": (400, host(b"")),
    "a host with a space": (400, host(b"local host")),
    "a host with a tab": (400, host(b"local\thost")),
    "a host with a user": (400, host(b"user@localhost")),
    "a host with a path": (400, host(b"localhost/auth")),
    "a host with a query": (400, host(b"localhost?a")),
    "a host with a backslash": (400, host(b"localhost\\a")),
    "a host with a port that is no number": (400, host(b"localhost:http")),
    "a host with a port above 65535": (400, host(b"localhost:65536")),
    "a host with a negative port": (400, host(b"localhost:-1")),
    "a host with two ports": (400, host(b"localhost:80:80")),
    "a host with an empty port": (400, host(b"localhost:")),
    "half an IPv6 address": (400, host(b"[::1")),
    "an IPv6 address that is none": (400, host(b"[::x]")),
    "an IPv6 address and more": (400, host(b"[::1]x")),
    "a host beyond ASCII": (400, host("löcalhost".encode())),
    "a host with an escape": (400, host(b"local%68ost")),
    "a host with a NUL": (400, host(b"localhost\0")),
    "a foreign host": (421, host(b"evil.example")),
    "a foreign host with a port": (421, host(b"evil.example:80")),
    "a foreign host that begins like ours": (421, host(b"localhost.evil.example")),
    "a foreign host that begins like our address": (421, host(b"127.0.0.1.evil.example")),
    "a foreign address": (421, host(b"192.0.2.1")),
    "our address in one number": (421, host(b"2130706433")),
    "a foreign host with HTTP/1.0": (421, host(b"evil.example").replace(LINE, OLD)),
}

FORMS: Forms = {**LINES, **TARGETS, **FIELDS, **{f"{name} (Host)": HOSTS[name] for name in HOSTS}}


@pytest.fixture(scope="module")
def attacked(workspace: Path) -> Iterator[Daemon]:
    """The daemon that all this is done to."""
    daemon = http_attacks.under_attack(workspace / "malformed")
    daemon.start()
    yield daemon
    assert daemon.running
    daemon.stop()


@pytest.mark.parametrize("name", FORMS)
def test_each_form_has_one_answer_and_the_next_login_is_let_in(attacked: Daemon, name: str) -> None:
    """Whatever somebody sends."""
    expected, octets = FORMS[name]
    attack(attacked, octets, expected)
