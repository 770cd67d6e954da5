"""The codec of each dialect that is asked over HTTP."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import preparation
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
    assert httpauth.parse_basic([basic(b"prosody:a:b")]) == (b"prosody", b"a:b")
    assert httpauth.parse_basic([b"bAsIc  cHJvc29keTo="]) == (b"prosody", b"")
    assert httpauth.parse_basic([basic(b":")]) == (b"", b"")
    assert httpauth.parse_basic([basic("çelik:wörd".encode())]) == (
        "çelik".encode(),
        "wörd".encode(),
    )


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [basic(b"a:b"), basic(b"a:b")],
        [b""],
        [b"Basic"],
        [b"Bearer x"],
        [b"Basic\tYTpi"],
        [b"Basic !!!"],
        [b"Basic cHJvc29keQ=="],
        [b"Basic cHJ vc29keTo="],
        [b"Basic cHJvc29keTo=="],
        [b"Basic cHJvc29keTp="],
        [b"Basic cHJvc29keTo=, Basic YTpi"],
        [b"Basic \xff"],
    ],
)
def test_other_authorization_is_refused(headers):
    with pytest.raises(BadRequest):
        httpauth.parse_basic(headers)


@given(st.lists(st.binary(max_size=40).map(b"Basic ".__add__) | st.binary(max_size=40), max_size=2))
def test_authorization_is_understood_in_one_spelling_or_is_a_bad_request(headers):
    try:
        user, password = httpauth.parse_basic(headers)
    except BadRequest:
        return
    assert b":" not in user
    assert base64.b64encode(user + b":" + password) == headers[0][6:].strip(b" ")


def test_the_domain_of_basic_and_json_is_alone_in_the_query():
    assert httpauth.parse_server(b"server=h.test") == b"h.test"
    assert httpauth.parse_server(b"s%65rver=m%c3%bcnchen.test") == "münchen.test".encode()


@pytest.mark.parametrize(
    "query",
    [b"", b"server", b"server=", b"server=a&server=a", b"server=a&user=b", b"server=a&",
     b"&server=a", b"server=%", b"Server=a", b"user=a"],
)  # fmt: skip
def test_without_exactly_one_domain_they_are_refused(query):
    with pytest.raises(BadRequest):
        httpauth.parse_server(query)


@pytest.mark.parametrize(
    ("query", "user", "server"),
    [
        (b"server=h.test", b"", b"h.test"),
        (b"server=h.test&user=romeo", b"romeo", b"h.test"),
        # As Prosody's util.http writes it.
        (b"user=%c3%a7elik&server=m%c3%bcnchen.test", "çelik".encode(), "münchen.test".encode()),
        (b"us%65r=a+b&server=h.test", b"a b", b"h.test"),
    ],
)
def test_a_cookie_is_asked_about_with_a_domain_and_with_or_without_a_user(query, user, server):
    read = httpauth.parse_cookie(query)
    assert (read.user, read.server, read.password) == (user, server, None)


@pytest.mark.parametrize(
    "query",
    [b"", b"user=a", b"server=", b"server=a&user=", b"server=a&user", b"server=a&server=a",
     b"server=a&user=b&user=b", b"server=a&pass=b", b"server=a&", b"server=%", b"Server=a"],
)  # fmt: skip
def test_any_other_question_about_a_cookie_is_refused(query):
    """An empty user is no question without one: whoever lost the name would get any."""
    with pytest.raises(BadRequest):
        httpauth.parse_cookie(query)


def test_the_name_that_is_nobodys_cannot_be_prepared():
    with pytest.raises(preparation.Unprepared):
        preparation.local(httpauth.NOBODY)


@pytest.mark.parametrize(
    ("body", "user", "password"),
    [
        (b'{"username":"romeo","password":"pass:w\xc3\xb6rd"}', "romeo", "pass:wörd"),
        (b' { "password" : "a\\u0062\\n" ,\r\n\t"username" : "" } ', "", "ab\n"),
        (b'{"username":"\\ud83d\\ude00","password":"\\u0000"}', "😀", "\0"),
    ],
)
def test_the_body_of_mod_auth_custom_http_is_read(body, user, password):
    assert httpauth.parse_json(body) == (user.encode(), password.encode())


PAIR = b'{"username":"a","password":"b"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'["username","password"]',
        b'"username"',
        b"null",
        b"true",
        b"1",
        b'{"username":"a"}',
        b'{"password":"b"}',
        b'{"Username":"a","password":"b"}',
        b'{"username":"a","password":1}',
        b'{"username":"a","password":null}',
        b'{"username":"a","password":true}',
        b'{"username":["a"],"password":"b"}',
        b'{"username":"a","password":{}}',
        b'{"username":"a","username":"a","password":"b"}',
        b'{"username":"a","user\\u006eame":"b","password":"b"}',
        b'{"username":"a","password":"b","extra":1}',
        b'{"username":"a","password":"b","extra":{"x":1,"x":2}}',
        b'{"username":"a","password":"b","extra":NaN}',
        b'{"username":"a","password":Infinity}',
        b'{"username":"a","password":-Infinity}',
        b'{"username":"a","password":"b",}',
        b"{'username':'a','password':'b'}",
        b'{"username":"a","password":"\xff"}',
        b'{"username":"a","password":"\xed\xa0\x80"}',
        b'{"username":"a","password":"\\ud800"}',
        b'{"username":"a","password":"\n"}',
        b'{"username":"a","password":"b"}{}',
        b'{"username":"a","password":"b"}\0',
        b"\xef\xbb\xbf" + PAIR,
        PAIR.decode().encode("utf-16"),
        b"[" * 65536,
        b'{"a":' * 13000,
        b"1" * 65536,
        b'{"username":"a","password":"b","extra":' + b"1" * 5000 + b"}",
        b"username=a&password=b",
    ],
)  # fmt: skip
def test_any_other_body_is_refused_without_a_word_of_it(body):
    with pytest.raises(BadRequest) as told:
        httpauth.parse_json(body)
    assert str(told.value) in (
        "a member is given twice",
        "a member is none of username, password",
        "NaN and Infinity are no JSON",
        'the body is not {"username": "…", "password": "…"} in UTF-8',
    )
    assert told.value.__cause__ is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["username", "password", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_body_is_two_strings_or_a_bad_request(body):
    try:
        user, password = httpauth.parse_json(body)
    except BadRequest:
        return
    assert json.loads(body) == {"username": user.decode(), "password": password.decode()}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(TEXT, TEXT, st.booleans())
def test_any_name_and_password_come_through_json(user, password, escaped):
    body = json.dumps({"username": user, "password": password}, ensure_ascii=escaped).encode()
    assert httpauth.parse_json(body) == (user.encode(), password.encode())
