"""Filters: whatever a name holds is one value, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.ldap import filters
from authbridge.ldap.filters import FilterMistake, Template
from tests.ldap.server import read_filter

SMUGGLERS = [b"*", b"*)(uid=*", b")(|(uid=*", b"\\2a", b"\0", b"\xfe\xff0\xff\xfe", b"{user}", b""]


def filled(text, value, *holes):
    return read_filter(Template(text, *(holes or ("user",))).fill(value))


@given(st.one_of(st.binary(max_size=300), st.sampled_from(SMUGGLERS)))
def test_any_octets_are_one_value_of_one_assertion(value):
    assert filled("(uid={user})", value) == ("eq", b"uid", value)


# A filter as a tree, and as text. Values are octets, or the hole.
HOLE = object()
NAMES = st.sampled_from(["uid", "mail", "memberOf", "cn;lang-de", "2.5.4.3"])
VALUES = st.one_of(st.just(HOLE), st.binary(max_size=12))
ASSERTIONS = st.tuples(st.sampled_from(["eq", "ge", "le", "approx"]), NAMES, VALUES)
LEAVES = st.one_of(ASSERTIONS, st.tuples(st.just("present"), NAMES))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.just("not"), inner.map(lambda one: [one])),
    ),
    max_leaves=12,
)
SIGNS = {"eq": "=", "ge": ">=", "le": "<=", "approx": "~=", "and": "&", "or": "|", "not": "!"}


def text_of(tree):
    kind, *rest = tree
    if kind in ("and", "or", "not"):
        return f"({SIGNS[kind]}{''.join(map(text_of, rest[0]))})"
    if kind == "present":
        return f"({rest[0]}=*)"
    value = "{user}" if rest[1] is HOLE else "".join(f"\\{octet:02x}" for octet in rest[1])
    return f"({rest[0]}{SIGNS[kind]}{value})"


def meaning_of(tree, user):
    kind, *rest = tree
    if kind in ("and", "or", "not"):
        return (kind, *(meaning_of(one, user) for one in rest[0]))
    if kind == "present":
        return kind, rest[0].encode()
    return kind, rest[0].encode(), user if rest[1] is HOLE else rest[1]


@given(TREES, st.one_of(st.binary(max_size=200), st.sampled_from(SMUGGLERS)))
def test_of_any_filter_only_the_values_that_are_holes_change(tree, user):
    assert filled(text_of(tree), user) == meaning_of(tree, user)


def test_a_hole_may_be_a_part_of_a_value():
    assert filled("(mail={user}@x)", b"a") == ("eq", b"mail", b"a@x")
    assert filled("(uid={user}{user})", b"ab") == ("eq", b"uid", b"abab")
    assert filled("(mail=*{user}@*)", b"*") == ("substrings", b"mail", (0x81, b"*@"))
    assert filled("(mail=x*{user}*y)", b"a") == (
        "substrings", b"mail", (0x80, b"x"), (0x81, b"a"), (0x82, b"y"),
    )  # fmt: skip


def test_a_hole_may_be_the_value_of_an_extensible_match():
    assert filled("(memberOf:1.2.3:={user})", b"*") == (
        "extensible", (0x81, b"1.2.3"), (0x82, b"memberOf"), (0x83, b"*"),
    )  # fmt: skip


def test_two_holes_have_their_own_values():
    template = Template("(|(member={dn})(memberUid={user})(uniqueMember={dn}))", "dn", "user")
    assert read_filter(template.fill(b"uid=a", b"a")) == (
        "or", ("eq", b"member", b"uid=a"), ("eq", b"memberUid", b"a"),
        ("eq", b"uniqueMember", b"uid=a"),
    )  # fmt: skip


def test_a_filter_without_a_hole_is_always_the_same():
    template = Template("(&(objectClass=person)(cn=*))", "user")
    assert template.fill(b"a") == template.fill(b"b")
    assert Template("(cn=*)").fill() == template.fill(b"a")[-4:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uid={user}",
        "(uid={user}",
        "(uid={user})(cn=x)",
        "(uid={user}))((cn=x)",
        "(&)",
        "()",
        "(!(a=b)(c=d))",
        "(uid)",
        "(uid<{user})",
        "(uid=\\)",
        "(uid=\\2)",
        "(uid=\\zz)",
        "({user}=x)",
        "({user}=*)",
        "(uid:{user}:=x)",
        "(uid={user})\N{SNOWMAN}",
        "(uid=\\fe\\ff0\\ff\\fe)",  # what stands in a hole, spelled out
        "(cn=**)",
        "(&(uid={user})(cn=***))",
    ],
)
def test_what_is_no_filter_or_has_its_hole_elsewhere_is_a_mistake(text):
    with pytest.raises(FilterMistake) as raised:
        Template(text, "user")
    assert str(raised.value)


@given(st.text(alphabet="()&|!=*:~<>\\ abc{}user0f\0é", max_size=30))
def test_any_text_is_a_filter_or_one_mistake(text):
    try:
        Template(text, "user").fill(b"x")
    except FilterMistake:
        pass


def test_what_breaks_ldap3_is_a_mistake_without_its_words(monkeypatch):
    def broken(*arguments):
        raise TypeError("NoneType")

    monkeypatch.setattr(filters, "compile_filter", broken)
    with pytest.raises(FilterMistake, match="this is no LDAP filter"):
        Template("(uid=x)")


def test_a_filter_is_spelled_for_people_with_its_values_escaped():
    template = Template("(&(a=b)(uid={user})(m={user}))", "user")
    assert template.spell(b"*)(\\") == "(&(a=b)(uid=\\2a\\29\\28\\5c)(m=\\2a\\29\\28\\5c))"
    assert template.spell(b"{user}") == "(&(a=b)(uid={user})(m={user}))"
    assert Template("(uid={user})", "user").spell(b"a\xff") == "(uid=a\\5cxff)"
