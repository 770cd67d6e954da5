"""Localparts that are made of somebody else's names, and the way back. What may be a template, and
a name, is shown by the tests of [sites]."""

from __future__ import annotations

import pytest

from authbridge import preparation
from authbridge.jid_templates import localpart, name_within, read_template
from authbridge.settings import Mistakes, Table


def test_a_template_stands_around_the_name(tmp_path):
    mistakes = Mistakes()
    table = Table({"jid": "web-{user}.guest"}, "sites.www", mistakes, tmp_path)
    template = read_template(table)
    assert (template, list(mistakes)) == (("web-", ".guest"), [])
    assert localpart(template, "alice", ignore_case=False) == "web-alice.guest"
    assert read_template(Table({}, "sites.www", mistakes, tmp_path)) == ("", "")


def test_another_spelling_is_somebody_else_unless_it_is_said_not_to_be():
    with pytest.raises(preparation.Unprepared, match="another name to XMPP"):
        localpart(("", ""), "Alice", ignore_case=False)
    assert localpart(("", ""), "Alice", ignore_case=True) == "alice"


def test_the_name_within_a_localpart_is_found_again():
    assert name_within(("", ""), "alice") == "alice"
    assert name_within(("web-", ".guest"), "web-alice.guest") == "alice"
    for local in ("alice", "web-alice", "alice.guest", "web-.guest", "web.guest"):
        assert name_within(("web-", ".guest"), local) is None
    assert name_within(("a", "a"), "a") is None  # the two must not overlap


@pytest.mark.parametrize(
    ("jid", "words"),
    [
        (7, 'should be a string, as in "…"'),
        ("web", 'should hold {user} once, as in "{user}" or "web-{user}"'),
        ("{user}{user}", 'should hold {user} once, as in "{user}" or "web-{user}"'),
        ("{user}@example.org", "is what stands before the @ in a JID; the rest is elsewhere"),
        ("Web-{user}", "is another one to XMPP: small letters, in their usual form"),
        ("a b-{user}", "the user's name holds a character that a JID may not hold"),
    ],
)
def test_what_is_no_template_is_a_mistake(tmp_path, jid, words):
    mistakes = Mistakes()
    read_template(Table({"jid": jid}, "sites.www", mistakes, tmp_path), "elsewhere")
    assert list(mistakes) == [f"sites.www.jid: {words}"]


def test_no_name_makes_no_localpart():
    with pytest.raises(preparation.Unprepared, match="it is empty"):
        localpart(("web-", ""), "", ignore_case=False)


def test_what_is_no_text_is_nobodys_name():
    with pytest.raises(preparation.Unprepared, match="it is no text"):
        localpart(("", ""), "\ud800", ignore_case=True)
