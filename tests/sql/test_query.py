"""What may be in a query, and by which name it asks."""

from __future__ import annotations

import pytest

from authbridge.model import JID
from authbridge.preparation import Unprepared
from authbridge.sql.query import NameForm, Query, QueryMistake

BRIEN = JID("o\\27brien", "example.org")


def test_a_query_asks_by_one_name_and_perhaps_the_domain():
    for text, bound in (
        ("SELECT 1 WHERE a = :user", {"user": "o'brien"}),
        ("  select 1 where a = :localpart;\n", {"localpart": "o\\27brien"}),
        (
            "-- x\n/* y */ WITH a AS (SELECT :jid) SELECT * FROM a",
            {"jid": "o\\27brien@example.org"},
        ),
        (
            "(SELECT a::text, b FROM t WHERE c = lower(:user) AND d = :domain AND e LIKE '%')",
            {"user": "o'brien", "domain": "example.org"},
        ),
        (r"SELECT to_char(a, 'HH24:MI \:user') WHERE b = :user OR c = :user", {"user": "o'brien"}),
        ("SELECT 'it''s' || x WHERE a = :user AND b = 'c'", {"user": "o'brien"}),
    ):
        query = Query.parse(text)
        assert query.parameters(BRIEN) == bound
        assert query.by_domain is ("domain" in bound)


def test_a_mistake_says_what_would_be_right():
    for text, words in (
        ("", "should be a SELECT"),
        ("UPDATE users SET a = :user", "should be a SELECT"),
        ("SELECT 1", "asks for nobody"),
        ("SELECT 1 WHERE a = :domain", "asks for nobody"),
        ("SELECT 1 WHERE a = :username", 'did you mean "user"?'),
        ("SELECT to_char(a, 'HH :MI') WHERE b = :user", "the parameter :MI"),
        ("SELECT 1 WHERE a = :user OR b = :jid", "by :user and :jid; one"),
        ("SELECT 1 WHERE a = ':user'", "between quotes"),
        ("SELECT 1 WHERE a LIKE 'x' AND b = ':user%' AND c = :user", "between quotes"),
    ):
        with pytest.raises(QueryMistake) as raised:
            Query.parse(text)
        assert words in str(raised.value), text


def test_a_name_stands_for_one_user_alone():
    for form, name, stands in (
        (NameForm.USER, "o'brien", True),
        (NameForm.USER, "O'Brien", True),
        (NameForm.USER, "o\\27brien", False),
        (NameForm.USER, "o'brien ", False),
        (NameForm.USER, "", False),
        (NameForm.USER, "\ud800", False),
        (NameForm.LOCALPART, "o\\27brien", True),
        (NameForm.LOCALPART, "o'brien", False),
        (NameForm.ADDRESS, "O\\27Brien@Example.ORG", True),
        (NameForm.ADDRESS, "o\\27brien@example.net", False),
        (NameForm.ADDRESS, "o\\27brien", False),
    ):
        assert form.stands_for(name, BRIEN) is stands, (form, name)


def test_a_localpart_that_stands_for_no_name_is_asked_for_by_nothing():
    with pytest.raises(Unprepared):
        Query.parse("SELECT 1 WHERE a = :user").parameters(JID("\\20x", "example.org"))
