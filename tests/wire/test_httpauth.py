"""The HTTP contract's codec."""

from __future__ import annotations

import base64
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.wire import httpauth
from authbridge.wire.httpauth import BadRequest


@pytest.mark.parametrize(
    ("form", "user", "password"),
    [
        # As Prosody 0.12.3 sends it: lower-case hexadecimal digits, "+" for a space, any order.
        (b"user=romeo&server=h.test&pass=pass%3aw%c3%b6rd+%26%2b%25", "romeo", "pass:wörd &+%"),
        (b"pass=p%c3%a4+ss%261&server=h.test&user=%c3%a7elik", "çelik", "pä ss&1"),
        # As ejabberd-contrib and MongooseIM do.
        (b"user=romeo&server=h.test&pass=a%20b%3D", "romeo", "a b="),
        (b"us%65r=romeo&server=h.test&pass=a=b;c", "romeo", "a=b;c"),
    ],
)
def test_the_forms_of_the_callers_are_read(form, user, password):
    read = httpauth.parse(form, password=True)
    assert (read.user, read.server, read.password) == (user.encode(), b"h.test", password.encode())


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"user=a&server=b&pass=c&pass=d",
        b"user=a&us%65r=b&server=b&pass=c",
        b"user=a&server=b&pass=c&extra=1",
        b"user=a&server=b&pass=c&",
        b"user=a&server=b",
        b"user=a&server=b&pass",
        b"user=&server=b&pass=c",
        b"user=a&server=&pass=c",
        b"user=a&pass=c",
        b"user=a;server=b;pass=c",
        b"user=a&server=b&pass=%",
        b"user=a&server=b&pass=%4",
        b"user=a&server=b&pass=%zz",
        b"user=a&server=b&pass=%+1",
    ],
)
def test_what_breaks_the_contract_is_refused(form):
    with pytest.raises(BadRequest):
        httpauth.parse(form, password=True)


def test_a_question_about_a_user_takes_a_password_and_needs_none():
    assert httpauth.parse(b"user=a&server=b", password=False).password is None
    assert httpauth.parse(b"user=a&server=b&pass=", password=False).password == b""


@pytest.mark.parametrize("password", [b"==SCRAM==,a,b,c,4096", b"==MULTI_SCRAM==,4096,"])
def test_what_is_derived_from_a_password_is_none_to_be_set(password):
    with pytest.raises(BadRequest):
        httpauth.refuse_derived(httpauth.Parameters(b"a", b"b", password))


@pytest.mark.parametrize("password", [None, b"", b"=SCRAM==,", b"x==SCRAM==,", b"==SCRAM=="])
def test_any_other_password_may_be_set(password):
    httpauth.refuse_derived(httpauth.Parameters(b"a", b"b", password))


def test_every_verb_that_has_a_password_needs_it():
    assert sorted(httpauth.WITH_PASSWORD) == ["check_password", "register", "set_password"]


FIELD = st.one_of(st.text(max_size=20).map(str.encode), st.binary(max_size=20))


@given(FIELD.filter(bool), FIELD.filter(bool), FIELD, st.permutations(["user", "server", "pass"]))
def test_any_octets_come_through(user, server, password, order):
    values = {"user": user, "server": server, "pass": password}
    form = urlencode([(name, values[name]) for name in order]).encode()
    read = httpauth.parse(form, password=True)
    assert (read.user, read.server, read.password) == (user, server, password)
    assert "Parameters" in repr(read)
    assert "password" not in repr(read)


@given(st.binary(max_size=80))
def test_parse_returns_or_raises_one_error(form):
    try:
        httpauth.parse(form, password=True)
    except BadRequest:
        pass


@given(st.binary(max_size=40))
def test_decode_undoes_encoding(octets):
    assert httpauth.decode(quote_plus(octets).encode()) == octets


def basic(credentials: bytes) -> bytes:
    return b"Basic " + base64.b64encode(credentials)


def test_basic_credentials_are_split_at_the_first_colon():
    assert httpauth.parse_basic(basic(b"prosody:a:b")) == (b"prosody", b"a:b")
    assert httpauth.parse_basic(b"bAsIc  cHJvc29keTo=") == (b"prosody", b"")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Bearer x",
        b"Basic !!!",
        b"Basic cHJvc29keQ==",
        b"Basic cHJ vc29keTo=",
        b"Basic cHJvc29keTo==",
        b"Basic cHJvc29keTp=",
    ],
)
def test_other_authorization_is_refused(header):
    with pytest.raises(BadRequest):
        httpauth.parse_basic(header)
