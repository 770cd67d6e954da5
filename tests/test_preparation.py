"""One account is one string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import preparation
from authbridge.model import JID
from authbridge.preparation import Unprepared


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("alice", "alice"),
        ("ALICE", "alice"),
        ("Çelik", "çelik"),
        ("ａlice", "alice"),  # full width
        ("al\u00adice", "alice"),  # soft hyphen
        ("straße", "strasse"),
        ("o\\27brien", "o\\27brien"),  # an escaped JID stays escaped
        ("a.b-c_9", "a.b-c_9"),
    ],
)
def test_a_user_has_one_form(given, prepared):
    assert preparation.local(given.encode()) == prepared


@pytest.mark.parametrize(
    "octets",
    [b"", b"a b", b"a@b", b"a/b", b"a:b", b"a'b", b'a"b', b"a<b", b"a>b", b"a&b", b"a\0b", b"a\nb",
     b"\xff", b"a" * 1024, "\u00ad".encode(), "\u0627a".encode(), b"\xed\xa0\x80",
     "ﷺ".encode() * 300],
)  # fmt: skip
def test_what_is_no_user_is_refused(octets):
    with pytest.raises(Unprepared):
        preparation.local(octets)


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("example.org", "example.org"),
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("example.org。", "example.org"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("BÜCHER.example", "bücher.example"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_a_domain_has_one_form(given, prepared):
    assert preparation.domain(given.encode()) == prepared


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b".",
        b"a..b",
        b"example.org..",
        b"example.org.\xe3\x80\x82",
        b"-a",
        b"a-",
        b"a b",
        b"a@b",
        b"a/b",
        b"[::1]",
        b"\xff",
        b"a" * 1024,
        b"xn--\xc3\xa9",
        b"a_b",
    ],
)
def test_what_is_no_domain_is_refused(octets):
    with pytest.raises(Unprepared):
        preparation.domain(octets)


def test_a_refusal_never_repeats_what_was_given():
    with pytest.raises(Unprepared) as raised:
        preparation.local(b"wonder land")
    assert "land" not in str(raised.value)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=30).map(str.encode)))
def test_preparing_gives_a_form_that_stays_or_one_error(octets):
    for prepare in (preparation.local, preparation.domain):
        try:
            prepared = prepare(octets)
        except Unprepared:
            continue
        assert prepare(prepared.encode()) == prepared


def test_a_jid_is_split_at_its_last_at():
    assert preparation.jid("Alice@Example.org") == JID("alice", "example.org")
    for text in ("alice", "@example.org", "alice@", "a@b@example.org", "\udcff@example.org"):
        with pytest.raises(Unprepared):
            preparation.jid(text)


# --- escaped names (XEP-0106) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("alice", "alice"),
        ("space cadet", "space\\20cadet"),
        ('call me "ishmael"', "call\\20me\\20\\22ishmael\\22"),
        ("at&t guy", "at\\26t\\20guy"),
        ("d'artagnan", "d\\27artagnan"),
        ("/.fanboy", "\\2f.fanboy"),
        ("::foo::", "\\3a\\3afoo\\3a\\3a"),
        ("<foo>", "\\3cfoo\\3e"),
        ("user@host", "user\\40host"),
        ("c:\\net", "c\\3a\\net"),
        ("c:\\\\net", "c\\3a\\\\net"),
        ("c:\\5commas", "c\\3a\\5c5commas"),
        ("a\\", "a\\"),
        ("a\\20b", "a\\5c20b"),
        ("a\\5cb", "a\\5c5cb"),
        ("ä b", "ä\\20b"),
    ],
)
def test_a_name_and_its_localpart_stand_for_each_other(text, local):
    """Most of them are the examples of XEP-0106."""
    assert preparation.escape(text) == local
    assert preparation.unescape(local) == text


@pytest.mark.parametrize("local", ["\\20alice", "alice\\20", "\\20", "\\5cb", "a\\5c", "a\\5cnet"])
def test_a_localpart_with_another_spelling_stands_for_nobody(local):
    with pytest.raises(Unprepared) as raised:
        preparation.unescape(local)
    assert local not in str(raised.value)


@pytest.mark.parametrize("local", ["\\21", "\\2", "\\", "\\zz", "a\\7fb", "\\2A"])
def test_a_backslash_that_escapes_nothing_is_one(local):
    assert preparation.unescape(local) == local


TEXTS = st.text(alphabet="ab \"&'/:<>@\\2075cfe", max_size=12)


@given(TEXTS)
def test_no_two_names_have_one_localpart(text):
    if text.startswith(" ") or text.endswith(" "):
        return
    assert preparation.unescape(preparation.escape(text)) == text


@given(TEXTS)
def test_no_two_localparts_stand_for_one_name(local):
    try:
        text = preparation.unescape(local)
    except Unprepared:
        return
    if not set(local) & set(" \"&'/:<>@"):  # a localpart holds none of these
        assert preparation.escape(text) == local
