"""DNs of the configuration, templates for users, and names of results."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.ldap import names
from authbridge.ldap.codec import Result
from authbridge.ldap.names import NameMistake, NameTemplate, UpnTemplate
from authbridge.settings import Mistakes, Table

USERS = "uid={user},ou=people,dc=example,dc=org"


@pytest.mark.parametrize(
    "dn",
    ["dc=org", "uid=a b, dc=example, dc=org", "cn=x+sn=y,dc=z", "cn=x\\,y,dc=z", "ou=é,dc=x"],
)
def test_a_dn_is_taken(dn):
    names.check(dn)


@pytest.mark.parametrize(
    "dn", ["", "x", "=x", "cn=", "cn=x,", "cn=x,,dc=y", "cn=x,foo", "cn=a\0b", "cn=\\", "cn=a\\2"]
)
def test_what_is_no_dn_is_refused_with_words(dn):
    with pytest.raises(NameMistake) as raised:
        names.check(dn)
    assert str(raised.value)


@given(st.text(max_size=20))
def test_any_text_is_a_dn_or_one_mistake(text):
    try:
        names.check(text)
    except NameMistake:
        pass


def test_what_breaks_ldap3_is_a_mistake_without_its_words(monkeypatch):
    def broken(dn, strip):
        raise IndexError("string index out of range")

    monkeypatch.setattr(names, "parse_dn", broken)
    with pytest.raises(NameMistake, match="this is no distinguished name"):
        names.check("dc=x")


def test_a_setting_that_is_no_dn_is_a_mistake_and_a_missing_one_is_not_said_twice():
    mistakes = Mistakes()
    table = Table({}, "checkers.corp", mistakes, Path())
    names.check_setting(table, "base", "dc=x")
    names.check_setting(table, "base", "")
    assert list(mistakes) == []
    names.check_setting(table, "base", "nonsense")
    (line,) = mistakes
    assert line.startswith('checkers.corp.base: "nonsense": ')


# --- user_dn --------------------------------------------------------------------------------------


def unescape(value):
    """The octets that an escaped value stands for (RFC 4514, 2.4)."""
    octets, rest = b"", value
    while rest:
        if rest[:1] == b"\\":
            octets, rest = octets + bytes.fromhex(rest[1:3].decode()), rest[3:]
        else:
            assert rest[:1] not in b'",+;<>=#\\ '
            octets, rest = octets + rest[:1], rest[1:]
    return octets


@given(st.binary(min_size=1, max_size=40))
def test_whatever_a_name_holds_stays_in_its_value(user):
    if b"  " in user:
        return
    dn = NameTemplate(USERS).fill(user)
    value, comma, after = dn.removeprefix(b"uid=").partition(b",")
    assert comma + after == b",ou=people,dc=example,dc=org"
    assert unescape(value) == user


def test_a_special_character_is_escaped_and_a_plain_name_is_left():
    template = NameTemplate(USERS)
    assert template.fill(b"alice.b-c_9@x") == b"uid=alice.b-c_9@x,ou=people,dc=example,dc=org"
    assert template.fill(b"a,b").startswith(b"uid=a\\2cb,")
    assert template.fill(b'#a+b=c"<>;\\ \0').startswith(
        b"uid=\\23a\\2bb\\3dc\\22\\3c\\3e\\3b\\5c\\20\\00,"
    )
    assert template.fill("é".encode()).startswith(b"uid=\\c3\\a9,")


def test_two_spaces_are_one_to_a_directory_and_so_a_mistake():
    NameTemplate(USERS).fill(b"a b c")
    with pytest.raises(NameMistake, match="two spaces"):
        NameTemplate(USERS).fill(b"a  b")


@pytest.mark.parametrize(
    "text", ["uid={user}", "uid= {user} , dc=x", "uid={user}+ou=x,dc=y", "ou=x,uid={user}"]
)
def test_the_hole_may_stand_wherever_a_value_does(text):
    before, after = text.split("{user}")
    assert NameTemplate(text).fill(b"a") == f"{before}a{after}".encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("uid=alice,dc=x", "stands in it once"),
        ("uid={user},ou={user},dc=x", "stands in it once"),
        ("", "stands in it once"),
        ("uid=x{user},dc=x", "the whole value"),
        ("uid={user}x,dc=x", "the whole value"),
        ("{user}=x,dc=x", "the whole value"),
        ("{user}", "not present"),
        ("uid={user},,dc=x", "must be escaped"),
    ],
)
def test_a_template_that_is_no_dn_with_a_user_is_a_mistake(text, said):
    with pytest.raises(NameMistake, match=said):
        NameTemplate(text)


# --- user_upn -------------------------------------------------------------------------------------


def test_a_upn_is_the_name_and_the_domain():
    assert UpnTemplate("{user}@corp.example").fill(b"alice") == b"alice@corp.example"
    assert UpnTemplate("{user}@x").fill(b"e.b-c_9$") == b"e.b-c_9$@x"


@pytest.mark.parametrize("character", [chr(n) for n in range(33)] + list('"/\\[]:;|=,+*?<>@\x7fé'))
def test_a_name_with_what_makes_it_another_kind_of_name_is_refused(character):
    with pytest.raises(NameMistake, match="no user principal name holds"):
        UpnTemplate("{user}@corp.example").fill(f"a{character}b".encode())


@pytest.mark.parametrize(
    "text",
    ["", "alice@x", "{user}", "{user}@", "x{user}@x", "{user}@x y", "{user}@x/y", "{user}@{user}"],
)
def test_a_upn_template_is_the_user_at_a_domain(text):
    with pytest.raises(NameMistake, match="and a domain"):
        UpnTemplate(text)


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (49, b"", "49 invalidCredentials"),
        (4711, b"", "4711 of a kind not known"),
        (53, b"Account inactivated", "53 unwillingToPerform, 'Account inactivated'"),
        (1, b"80090308: data 52e\0", "1 operationsError, '80090308: data 52e'"),
        (1, b"a\nb\x1b[1m\xff", "1 operationsError, 'a b [1m\\\\xff'"),
    ],
)
def test_a_result_is_told_with_the_servers_words_in_one_harmless_line(code, text, words):
    assert names.describe(Result(code, text, b"", False, b"")) == words


def test_the_servers_words_are_cut_where_they_grow_long():
    assert len(names.describe(Result(1, b"x" * 10_000, b"", False, b""))) < 250
