"""The one cookie that counts, and what can be a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.model import Reason
from authbridge.sessions.shown import (
    MOST_OCTETS,
    CannotTell,
    Nobody,
    Shown,
    cookie,
    name_trouble,
)

NAME = b"sessionid"
OCTETS = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'",;\\')
"""cookie-octets, by RFC 6265, 4.1.1."""
values = st.lists(st.sampled_from(OCTETS), min_size=1, max_size=50).map(bytes)
quoted = values.map(lambda value: b'"%b"' % value)
keys = st.binary(max_size=12).filter(
    lambda key: key.strip(b" \t") != NAME and b"=" not in key and b";" not in key
)
others = st.tuples(keys, st.binary(max_size=30).filter(lambda value: b";" not in value)).map(
    b"=".join
)


def reason(*headers, name=NAME):
    with pytest.raises(Nobody) as caught:
        cookie(headers, name)
    return caught.value.reason


@pytest.mark.parametrize(
    "headers",
    [
        [b"sessionid=abc"],
        [b"a=1; sessionid=abc; b=2"],
        [b"a=1;sessionid=abc;b=2"],
        [b" sessionid = abc ; "],
        [b"\tsessionid\t=\tabc"],
        [b"a=1", b"sessionid=abc", b"b=2"],
        [b"", b";;;", b"sessionid=abc"],
        [b"SESSIONID=no; Sessionid=no; xsessionid=no; sessionid2=no; sessionid=abc"],
        [b"a=sessionid; sessionid=abc; sessionid.x=no; $sessionid=no"],
        [b'prefs={"a": [1, 2]}; sessionid=abc; \xc3\xa4=\xff; alone; ='],
    ],
)
def test_the_cookie_of_the_name_is_found_among_others(headers):
    assert cookie(headers, NAME) == b"abc"


@pytest.mark.parametrize("value", [b'"abc"', b"a=b==", b"%22", b"!#$%&'()*+-./:<=>?@[]^_`{|}~"])
def test_a_value_is_passed_on_as_it_is(value):
    assert cookie([b"sessionid=" + value], NAME) == value


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b"a=1; b=2"],
        [b"Sessionid=abc"],
        [b"session id=abc"],
        [b"__Host-sessionid=abc"],
        [b"sessionid="],
        [b'sessionid=""'],
        [b"sessionid= ; a=1"],
    ],
)
def test_without_the_cookie_or_with_an_emptied_one_there_is_no_session(headers):
    assert reason(*headers) is Reason.SESSION_MISSING


@pytest.mark.parametrize(
    "headers",
    [
        [b"sessionid=abc; sessionid=abd"],
        [b"sessionid=abc; sessionid=abc"],
        [b"sessionid=abc", b"sessionid=abc"],
        [b"sessionid=abc", b"a=1; sessionid ="],
        [b"sessionid=; sessionid=abc"],
        [b"sessionid=abc; sessionid"],
        [b"sessionid"],
    ],
)
def test_two_of_the_name_are_none_that_could_be_believed(headers):
    assert reason(*headers) is Reason.SESSION_MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        b"a b", b"a,b", b'a"b', b'"ab', b'ab"', b'"a"b"', b'"', b'"""', b"a\\b", b"a\tb", b"a\rb",
        b"a\nb", b"a\0b", b"a\x7fb", b"\xc3\xa4", b"\xff", b'"a b"', b"a\x0b",
    ],
)  # fmt: skip
def test_what_rfc_6265_does_not_let_a_value_hold_is_refused(value):
    assert reason(b"sessionid=" + value) is Reason.SESSION_MALFORMED


def test_a_value_of_4096_octets_is_the_longest():
    longest = b"a" * MOST_OCTETS
    assert MOST_OCTETS == 4096
    assert cookie([b"sessionid=" + longest], NAME) == longest
    assert reason(b"sessionid=a" + longest) is Reason.SESSION_MALFORMED
    assert reason(b'sessionid="' + longest + b'"') is Reason.SESSION_MALFORMED


@given(values | quoted, st.lists(others), st.lists(others), st.booleans())
def test_any_value_is_found_whatever_else_there_is(value, before, after, apart):
    pairs = [*before, b"sessionid=" + value, *after]
    headers = pairs if apart else [b"; ".join(pairs)]
    assert cookie(headers, NAME) == value


@given(values, values, st.lists(others), st.booleans())
def test_with_two_of_the_name_neither_is_ever_taken(one, another, between, apart):
    pairs = [b"sessionid=" + one, *between, b"sessionid=" + another]
    assert reason(*(pairs if apart else [b";".join(pairs)])) is Reason.SESSION_MALFORMED


@given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from([b"a", b"b=", b"sessionid"]))
def test_what_comes_of_any_octets_can_be_sent_in_a_header(headers, name):
    try:
        found = cookie(headers, name)
    except Nobody:
        return
    assert set(found.strip(b'"')) <= set(OCTETS)
    assert found.count(b'"') in (0, 2)


@given(st.lists(st.sampled_from([b"a", b"a=", b"=", b";", b" ", b'"', b"x", b"b"]), max_size=14))
def test_it_agrees_with_the_split_of_rfc_6265_5_4(parts):
    header = b"".join(parts)
    named = [
        pair.partition(b"=")[2].strip()
        for pair in header.split(b";")
        if pair.partition(b"=")[0].strip() == b"a" and b"=" in pair
    ]
    try:
        found = cookie([header], b"a")
    except Nobody:
        return
    assert named == [found]


@pytest.mark.parametrize(
    "name", ["alice", "Alice", "al ice", "alice@example.org", "ä", "\u202ealice"]
)
def test_what_preparation_will_judge_can_be_a_name(name):
    assert name_trouble(name) == ""


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u00a0", "\u2003"])
def test_nothing_is_no_name(name):
    assert name_trouble(name) == "is empty"


@pytest.mark.parametrize(
    "name", ["a\0", "a\n", "\x1fa", "a\x7f", "a\x80b", "a\x9f", "\ud800", "a\udfffb"]
)
def test_a_name_holds_no_control_character(name):
    assert name_trouble(name) == "holds a control character"


def test_a_name_has_1023_octets_at_most():
    assert name_trouble("a" * 1023) == ""
    assert name_trouble("ä" * 511) == ""
    assert name_trouble("a" * 1024) == "is longer than 1023 octets"
    assert name_trouble("ä" * 512) == "is longer than 1023 octets"


def test_what_is_shown_and_why_it_is_refused_do_not_show_themselves():
    request = Shown([b"sessionid=abc"], lambda _: [b"abc"], [b"cookie"], "127.0.0.1")
    assert "abc" not in repr(request)
    assert str(Nobody(Reason.SESSION_MISSING)) == "session_missing"
    fault = CannotTell(Reason.SITE_FAILED, "words")
    assert (fault.reason, fault.words, str(fault)) == (Reason.SITE_FAILED, "words", "words")
