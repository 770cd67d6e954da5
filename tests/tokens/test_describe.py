"""What a token says of itself, for people who look for a mistake."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authbridge.tokens import describe, jwt
from authbridge.tokens.forms import Form
from tests.tokens import mint
from tests.tokens.mint import b64

NOW = 1_800_000_000
SECRET = b"0123456789abcdef0123456789abcdef"
CLAIMS = {"iss": "https://www.example.org", "iat": NOW - 10, "exp": NOW + 60, "nbf": NOW, "x": [1]}


def test_a_jwt_tells_its_header_and_its_claims_with_their_dates():
    token = mint.jwt(CLAIMS, mint.key("ES256"), kid="www")
    assert describe.describe(Form.JWT, token.encode(), NOW) == [
        ("header alg", "'ES256'"),
        ("header typ", "'JWT'"),
        ("header kid", "'www'"),
        ("iss", "'https://www.example.org'"),
        ("iat", "2027-01-15T07:59:50Z, 10 s ago"),
        ("exp", "2027-01-15T08:01:00Z, 60 s from now"),
        ("nbf", "2027-01-15T08:00:00Z, 0 s from now"),
        ("x", "[1]"),
    ]


@pytest.mark.parametrize(
    ("form", "token", "key_id"),
    [
        (Form.COMPACT, mint.compact(SECRET, "a@b", NOW + 5), mint.compact_key_id(SECRET)),
        (Form.XCAUTH, mint.xcauth(SECRET, "a@b", NOW + 5), mint.xcauth_key_id(SECRET)),
    ],
)
def test_the_others_tell_their_key_and_their_end(form, token, key_id):
    assert describe.describe(form, token.encode(), NOW) == [
        ("key id", key_id.hex()),
        ("expiry", "2027-01-15T08:00:05Z, 5 s from now"),
    ]


def test_a_temporary_one_tells_nothing_but_its_id():
    token = b"abtt1_" + b"A" * 43
    assert describe.describe(Form.TEMPORARY, token, NOW) == [
        ("id", "67ac38bd627aba15fec6292d508918ce"),
        ("token", "says nothing of itself; what it is good for is kept by authbridge"),
    ]
    ((_, words),) = describe.describe(Form.TEMPORARY, token[:-1], NOW)
    assert words == "a temporary token has 49 characters and begins with abtt1_"


def test_what_is_out_of_form_is_told_why():
    for form, said in ((Form.JWT, "three parts"), (Form.COMPACT, "62"), (Form.XCAUTH, "spelling")):
        ((name, words),) = describe.describe(form, b"eyJ", NOW)
        assert name == "token"
        assert said in words
    ((_, words),) = describe.describe(Form.JWT, f"{b64(b'{}')}.{b64(b'[]')}.".encode(), NOW)
    assert words == "the payload is no JSON object"
    ((_, words),) = describe.describe(Form.RESERVED, b"abtd1_x", NOW)
    assert "this version does not know" in words


def test_a_date_that_is_none_is_told_so():
    for date, said, hint in (
        (NOW * 1000, "1800000000000", "; is it in milliseconds?"),
        ("now", "'now'", "; it is a text"),
        (True, "True", ""), (None, "None", ""), (-1, "-1", ""),
    ):  # fmt: skip
        token = mint.jwt({"exp": date}, mint.key("ES256"))
        ((_, words),) = describe.describe(Form.JWT, token.encode(), NOW)[2:]
        assert words == f"`exp` is {said}, and no number of seconds from 1970 to 9999{hint}"


def test_a_moment_may_be_after_all_calendars():
    assert describe.moment(0, NOW) == f"1970-01-01T00:00:00Z, {NOW} s ago"
    assert describe.moment(jwt.LATEST, jwt.LATEST).startswith("9999-12-31T23:59:59Z, 0 s")
    assert describe.moment((1 << 48) - 1, NOW).startswith("after the year 9999, ")


@settings(max_examples=50)
@given(st.lists(st.text(max_size=100) | st.integers(), max_size=4))
def test_whatever_it_says_is_told_in_printable_words(values):
    claims = dict(enumerate(values))
    token = f"{b64(b'{}')}.{b64(json.dumps(claims).encode())}."
    for _, words in describe.describe(Form.JWT, token.encode(), NOW):
        assert words.isprintable()
        assert len(words) <= 80


def test_names_too_are_told_in_printable_words():
    """Anybody's token may be pasted into the command, and its names would move the cursor."""
    evil = "\x1b[2J" + "x" * 1000
    token = mint.jwt({evil: 1}, mint.key("ES256"), **{evil: 1})
    for name, _ in describe.describe(Form.JWT, token.encode(), NOW):
        assert name.isprintable()
        assert len(name) < 200
