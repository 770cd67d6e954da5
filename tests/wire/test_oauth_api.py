"""The codec of OAuth over HTTP."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.wire import oauth_api
from authbridge.wire.http import BadRequest

PROSODYS = {
    "scope": "openid",
    "client_secret": "down the hole",
    "password": "pä&ss=wörd+%",
    "username": "o'brien",
    "grant_type": "password",
    "client_id": "prosody",
}
LEAST = {"grant_type": "password", "username": "alice", "password": ""}


def grant(form):
    return oauth_api.read_grant(urlencode(form).encode())


def refused(read, what):
    with pytest.raises(BadRequest) as caught:
        read(what)
    assert "wonder" not in str(caught.value)
    return caught.value


def test_a_grant_is_read_in_whatever_order_it_comes():
    for form in (PROSODYS, dict(reversed(PROSODYS.items()))):
        found = grant(form)
        assert found.user == b"o'brien"
        assert found.password.reveal() == "pä&ss=wörd+%".encode()
        assert found.client_id == b"prosody"
        assert found.client_secret.reveal() == b"down the hole"


def test_a_grant_needs_no_client_and_a_password_may_be_empty():
    found = grant(LEAST)
    assert (found.user, found.password.reveal()) == (b"alice", b"")
    assert (found.client_id, found.client_secret) == (None, None)
    assert grant(LEAST | {"client_id": "x"}).client_secret is None


def test_no_secret_is_in_the_repr_of_a_grant():
    found = grant(PROSODYS)
    assert "hole" not in repr((found, found.password, found.client_secret))


def test_another_grant_is_not_supported():
    for other in ("authorization_code", "", "Password"):
        error = refused(grant, LEAST | {"grant_type": other})
        assert isinstance(error, oauth_api.UnsupportedGrant)
    error = refused(oauth_api.read_grant, b"username=alice&password=wonder")
    assert isinstance(error, oauth_api.UnsupportedGrant)


def test_a_grant_that_lacks_something_or_has_more_is_refused():
    for form in (
        b"",
        b"grant_type=password",
        b"grant_type=password&username=alice",
        b"grant_type=password&username=&password=wonder",
        b"grant_type=password&username=alice&password=wonder&password=wonder2",
        b"grant_type=password&username=alice&password=wonder&client_secret=wonder",
        b"grant_type=password&username=alice&password=wonder&server=example.org",
        b"grant_type=password&username=alice&password=wonder%",
    ):
        refused(oauth_api.read_grant, form)


def test_a_bearer_token_is_read_from_the_one_header():
    for header in (b"Bearer abc.d-e_f~g+h/i==", b"bearer abc.d-e_f~g+h/i==", b"BEARER  a"):
        assert oauth_api.read_bearer([header]) == header.split()[1]


def test_anything_else_is_no_bearer_token():
    good = b"Bearer wonder"
    for headers in (
        (),
        (good, good),
        (b"Basic d29uZGVy",),
        (b"Bearer",),
        (b"Bearer ",),
        (b"Bearer won der",),
        (b"Bearer wonder,",),
        (b'Bearer "wonder"',),
        (b"Bearer wonder=x",),
        (b"Bearer w\xc3\xb6nder",),
        (b" Bearer wonder",),
        (b"Bearer wonder\n",),
    ):
        refused(oauth_api.read_bearer, headers)


def test_a_token_is_looked_up_by_ejabberd():
    assert oauth_api.read_lookup(b'{"token":"abtt1_x"}') == b"abtt1_x"
    assert oauth_api.read_lookup(b'{"token":""}') == b""
    assert oauth_api.read_lookup('{"token":"wö"}'.encode()) == "wö".encode()


def test_anything_else_is_no_look_up():
    for body in (
        b"",
        b"token=wonder",
        b"{}",
        b'{"token":1}',
        b'{"token":null}',
        b'{"token":["wonder"]}',
        b'{"token":"wonder","token":"wonder"}',
        b'{"token":"wonder","user":"a@b"}',
        b'{"token":"\\ud800"}',
        b'["wonder"]',
        b'{"token":"w\xf6nder"}',
    ):
        refused(oauth_api.read_lookup, body)


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_refused(octets):
    for read in (oauth_api.read_grant, oauth_api.read_lookup):
        with suppress(BadRequest):
            read(octets)
    with suppress(BadRequest):
        assert oauth_api.read_bearer([octets]) in octets


def test_the_answers_are_as_their_readers_want_them():
    assert json.loads(oauth_api.granted("abto1_x", 30)) == {
        "access_token": "abto1_x",
        "token_type": "bearer",
        "expires_in": 30,
    }
    assert json.loads(oauth_api.userinfo("o'brien", "o\\27brien@example.org")) == {
        "sub": "o\\27brien@example.org",
        "preferred_username": "o'brien",
    }
    assert json.loads(oauth_api.looked_up("älice@example.org", 1_800_000_000)) == {
        "user": "älice@example.org",
        "scope": ["sasl_auth"],
        "expire": 1_800_000_000,
    }
    assert json.loads(oauth_api.status("invalid_token")) == {"status": "invalid_token"}
    assert oauth_api.NOBODY == b"{}"
