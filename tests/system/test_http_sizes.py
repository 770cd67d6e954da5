"""Passwords longer than what Prosody asks about, as other programs send them over HTTP."""

import base64
import http.client
import urllib.parse

import pytest

from . import people
from .canary import secret
from .daemon import Daemon

LENA = "lena@example.org"


def check_password(daemon: Daemon, method: str, jid: str, password: bytes) -> tuple[int, bytes]:
    """Status and body of one call; the connection must not end without an answer."""
    local, _, domain = jid.partition("@")
    form = urllib.parse.urlencode({"user": local, "server": domain, "pass": password})
    credentials = base64.b64encode(daemon.http_auth_credentials.encode()).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=90)
    try:
        if method == "GET":
            connection.request("GET", f"/auth/check_password?{form}", headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("POST", "/auth/check_password", form.encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_post_takes_forty_thousand_octets(daemon: Daemon) -> None:
    """The body may be 64 kB."""
    assert check_password(daemon, "POST", LENA, people.password(LENA)) == (200, b"true")
    assert check_password(daemon, "POST", LENA, people.password(LENA)[:-1]) == (200, b"false")


@pytest.mark.parametrize("length", [20_000, 39_987, 200_000])
def test_get_refuses_what_is_longer_than_a_request_line(daemon: Daemon, length: int) -> None:
    """With a status that says so, and never a word that means yes."""
    status, body = check_password(daemon, "GET", LENA, secret("l" * length))
    assert 400 <= status < 500
    assert body != b"true"
    assert check_password(daemon, "GET", "bob@example.org", people.password("bob@example.org")) == (
        200,
        b"true",
    )


def test_post_refuses_a_body_above_64_kilobytes(daemon: Daemon) -> None:
    """413, and the daemon goes on."""
    status, body = check_password(daemon, "POST", LENA, secret("l" * 70_000))
    assert status == 413
    assert body != b"true"
    assert check_password(daemon, "POST", LENA, people.password(LENA)) == (200, b"true")
