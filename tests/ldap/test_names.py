"""DNs of the configuration, templates for users, and names of results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.core.exceptions import LDAPInvalidDnError
from ldap3.utils.dn import parse_dn

from authbridge.ldap import names
from authbridge.ldap.codec import Entry, Result
from authbridge.ldap.names import LogonTemplate, NameMistake, NameTemplate
from authbridge.settings import Mistakes, Table

USERS = "uid={user},ou=people,dc=example,dc=org"


# The examples of RFC 4514, 4, and what else its grammar lets through.
DNS = [
    "UID=jsmith,DC=example,DC=net", "OU=Sales+CN=J.  Smith,DC=example,DC=net",
    'CN=James \\"Jim\\" Smith\\, III,DC=example,DC=net', "CN=Before\\0dAfter,DC=example,DC=net",
    "1.3.6.1.4.1.1466.0=#04024869", "CN=Lu\\C4\\8Di\\C4\\87", "dc=org", "dc=x-y",
    "uid=a b, dc=example, dc=org", "cn=x+sn=y,dc=z", "cn=x\\,y,dc=z", "ou=é,dc=x", "cn=☃",
    "cn=C#,dc=x", "cn=a#b#,dc=x", "cn=a=b,dc=x", "cn==,dc=x", "cn=a=b=c+sn=d=e,dc=x",
    "cn=#04024869,dc=x", "cn=#AbCd , dc=x", "cn=\\#x,dc=x",
    "2.5.4.3=x,0.9.2342.19200300.100.1.25=y",
    "cn = x , dc = y", " cn=x + sn = y ,dc=z ", "cn=\\ x\\ ,dc=y", "cn=\\+\\;\\<\\=\\>\\\\,dc=y",
    "cn=a*(b)/c|d&e'f,dc=x", "c-n9=x",
]  # fmt: skip


@pytest.mark.parametrize("dn", DNS)
def test_a_dn_is_taken(dn):
    names.check(dn)


@pytest.mark.parametrize(
    "dn",
    [
        "", " ", "x", "=x", "cn=", "cn=x,", "cn=x,,dc=y", ",cn=x", "cn=x,foo", "cn=a\0b", "cn=\\",
        "cn=a\\2", "cn=a\\x", "cn=a\\2,dc=x", "cn=a\\zz", "cn=x+", "cn=x++sn=y", "+cn=x",
        "cn=x;dc=y",
        'cn="x"', "cn=a<b", "cn=a>b", 'cn=a"b', "cn=#", "cn=#0", "cn=#0g", "cn=#04x,dc=y",
        "cn=#04 02", "c_n=x", "9cn=x", "-=x", "2=x", "2.=x", ".5=x", "2..5=x", "c n=x", "cn;x=y",
        "ü=x", "user@ad.example.org", "AD\\svc", "cn=x\\",
    ],
)  # fmt: skip
def test_what_is_no_dn_is_refused_with_words(dn):
    with pytest.raises(NameMistake, match=r"^this is no distinguished name \(RFC 4514\), as in"):
        names.check(dn)


@given(st.lists(st.sampled_from(DNS), min_size=1, max_size=4), st.sampled_from([",", " , ", "+"]))
def test_dns_in_a_row_are_one(parts, separator):
    names.check(separator.join(parts))


@given(st.lists(st.sampled_from(["cn", *'=,+ #\\"', "04", "é"]), max_size=12))
def test_what_is_taken_ldap3_takes_apart_to_the_same_or_not_at_all(pieces):
    """ldap3 refuses some that are, and takes some that are none."""
    text = "".join(pieces)
    try:
        names.check(text)
        theirs = parse_dn(text.strip(" "), strip=True)
    except (NameMistake, LDAPInvalidDnError):
        return
    separators = re.findall(r"(?<!\\)(?:\\\\)*[,+]", text)
    assert len(theirs) == len(separators) + 1
    assert all(re.fullmatch("cn(cn|04)*", name) for name, _, _ in theirs)


@given(st.text(max_size=20))
def test_any_text_is_a_dn_or_one_mistake(text):
    try:
        names.check(text)
    except NameMistake:
        pass


def test_a_setting_that_is_no_dn_is_a_mistake_and_a_missing_one_is_not_said_twice():
    mistakes = Mistakes()
    table = Table({}, "checkers.corp", mistakes, Path())
    names.check_setting(table, "base", "dc=x")
    names.check_setting(table, "base", "")
    assert list(mistakes) == []
    names.check_setting(table, "base", "nonsense")
    (line,) = mistakes
    assert line.startswith('checkers.corp.base: "nonsense": ')


PEOPLE = "ou=People,dc=example,dc=org"


@pytest.mark.parametrize(
    "dn",
    [
        PEOPLE, f"ou=new,{PEOPLE}", f"cn=a+sn=b,ou=new,{PEOPLE}", PEOPLE.upper(), PEOPLE.lower(),
        "ou = x , OU=people,  DC = example , dc=org",
    ],
)  # fmt: skip
@pytest.mark.parametrize("base", [PEOPLE, PEOPLE.lower(), "ou = people , dc=example,dc=org"])
def test_a_dn_is_below_a_base_whatever_its_case_and_blanks(dn, base):
    assert names.is_below(dn, base)


@pytest.mark.parametrize(
    "dn",
    [
        "dc=example,dc=org", "ou=groups,dc=example,dc=org", f"x{PEOPLE}", f"{PEOPLE},dc=x",
        "ou=People,dc=example", "ou=Peo ple,dc=example,dc=org", "", "ou=People",
    ],
)  # fmt: skip
def test_what_is_above_or_beside_a_base_is_not_below_it(dn):
    assert not names.is_below(dn, PEOPLE)


def test_case_and_blanks_round_separators_make_no_other_dn():
    assert names.normalized("OU = A b ,DC= x +cn =y") == names.normalized("ou=a b,dc=x+cn=Y")
    for other in ("ou=ab", "ou=a  b", "ou=a,b", "ou=a b,dc=x"):
        assert names.normalized(other) != names.normalized("ou=a b")


@pytest.mark.parametrize("text", [" ou=x", "ou=x "])
def test_blanks_at_the_ends_make_no_other_dn(text):
    names.check(text)
    assert names.normalized(text) == names.normalized("ou=x")


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
        ("{user}", "no distinguished name"),
        ("uid={user},,dc=x", "no distinguished name"),
        ("uid=a={user},dc=x,", "no distinguished name"),
    ],
)
def test_a_template_that_is_no_dn_with_a_user_is_a_mistake(text, said):
    with pytest.raises(NameMistake, match=said):
        NameTemplate(text)


# --- user_upn and user_logon_name -----------------------------------------------------------------

UPN, NT4 = "{user}@corp.example", "CORP\\{user}"
EITHER = pytest.mark.parametrize("text", [UPN, NT4])


def test_a_logon_name_is_the_user_and_the_domain():
    assert LogonTemplate(UPN).fill(b"alice") == b"alice@corp.example"
    assert LogonTemplate("{user}@x").fill(b"e.b-c_9$") == b"e.b-c_9$@x"
    assert LogonTemplate(NT4).fill(b"alice") == b"CORP\\alice"
    assert LogonTemplate("corp.example\\{user}").fill(b"e.b-c_9$") == b"corp.example\\e.b-c_9$"
    assert LogonTemplate("büro\\{user}").fill(b"alice") == "büro\\alice".encode()


PLAIN = bytes(range(0x21, 0x7F)).translate(None, b'"/\\[]:;|=,+*?<>@')


@EITHER
def test_every_other_character_is_itself(text):
    assert PLAIN in LogonTemplate(text).fill(PLAIN)
    assert len(PLAIN) == 94 - 16


@EITHER
@pytest.mark.parametrize(
    "character", [chr(n) for n in range(33)] + list('"/\\[]:;|=,+*?<>@\x7féａ☃')
)
def test_a_name_with_what_makes_it_another_kind_of_name_is_refused(text, character):
    """Samba takes ` alice@…` and `alice@… ` for alice; Windows folds what looks alike."""
    for name in (f"a{character}b", f"{character}ab", f"ab{character}", character):
        with pytest.raises(NameMistake, match="no logon name holds"):
            LogonTemplate(text).fill(name.encode())


@EITHER
def test_octets_that_are_no_text_are_in_no_logon_name(text):
    with pytest.raises(NameMistake):
        LogonTemplate(text).fill(b"a\xff")


@EITHER
@given(st.binary(max_size=20))
def test_whatever_a_name_holds_stays_before_or_behind_the_domain(text, user):
    before, after = (part.encode() for part in text.split("{user}"))
    try:
        name = LogonTemplate(text).fill(user)
    except NameMistake:
        return
    assert name == before + user + after
    assert name.count(b"@") + name.count(b"\\") == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "alice@x", "{user}", "{user}@", "x{user}@x", "{user}@x y", "{user}@x/y",
        "{user}@{user}", "{user}@x.", "{user}@.x", "{user}@x..y", "{user}@x@y", "{user}@ü",
        "{user}@x\n", "{domain}@x", "CORP\\alice", "CORP\\{user}x", "CORP\\\\{user}", "\\{user}",
        "CO RP\\{user}", "CORP/{user}", "{user}\\CORP", "CORP\\{user}@x", "x@y\\{user}",
        "{domain}\\{user}", "CORP\\{user}\\{user}", "CORP\\{user}\n", "uid={user},dc=x",
    ],
)  # fmt: skip
def test_a_template_of_logon_names_is_the_user_and_a_domain(text):
    with pytest.raises(NameMistake, match="and a domain, or a domain"):
        LogonTemplate(text)


@pytest.mark.parametrize(
    "name",
    [
        "svc@ad.example.org", "svc-xmpp_1@AD", "AD\\svc", "ad.example.org\\svc", "AD\\svc xmpp",
        "sv.c$@ad.example.org", "büro\\dienst", "AD\\a.b-c",
    ],
)  # fmt: skip
def test_a_logon_name_is_one(name):
    assert names.is_logon_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "svc", "@ad", "svc@", "svc@ad@x", "s vc@ad", "AD\\", "\\svc", "AD\\svc\\x", "AD/svc",
        "AD\\svc@x", "svc@a d", "cn=svc,dc=ad", "uid=svc@ad", "AD\\s,vc", "svc@ad\n", "A D\\svc",
        "cn=x\\,y,dc=z", '"svc"@ad',
    ],
)  # fmt: skip
def test_what_is_no_logon_name_is_none(name):
    assert not names.is_logon_name(name)


def entry(dn=b"cn=svc,dc=x", account=b"svc", principal=b"search@ad.example.org"):
    return Entry(dn, {b"samaccountname": [account], b"userprincipalname": [principal]})


@pytest.mark.parametrize(
    "name",
    [
        "cn=svc,dc=x", "CN=Svc , DC=x", " cn = svc,dc=X ", "AD\\svc", "ad\\SVC",
        "svc@ad.example.org", "svc@other.example", "Search@AD.example.org",
    ],
)  # fmt: skip
def test_an_entry_is_called_by_its_dn_and_by_its_logon_names(name):
    assert names.Account(name).has(entry())


@pytest.mark.parametrize(
    "name",
    [
        "cn=svc,dc=y", "cn=svc2,dc=x", "AD\\svc2", "AD\\vc", "AD\\search", "search@other.example",
        "cn=svc,dc=x,dc=y", "AD\\svc@ad.example.org",
    ],
)  # fmt: skip
def test_an_entry_is_not_called_by_what_is_nearly_its_name(name):
    assert not names.Account(name).has(entry())


def test_a_dn_is_the_same_however_it_is_escaped():
    assert names.Account("cn=a\\, b,dc=x").has(entry(b"cn=a\\2C b,dc=x"))
    assert names.Account("cn=ä,dc=x").has(entry(b"cn=\\c3\\a4,dc=x"))
    assert names.Account("AD\\bea").has(entry(b"cn=be,dc=x", b"bea"))  # \be is no escape there
    assert not names.Account("cn=x").has(Entry(b"cn=\xff", {}))


# --- {domain} -------------------------------------------------------------------------------------


def test_a_dn_may_be_of_the_users_domain():
    assert names.for_domain("cn=staff,dc=x", "example.org") == b"cn=staff,dc=x"
    assert names.for_domain("cn={domain},dc=x", "example.org") == b"cn=example.org,dc=x"
    assert names.for_domain("cn=x,ou={domain},dc={domain}", "a") == b"cn=x,ou=a,dc=a"
    assert names.for_domain("cn=staff {domain},dc=x", "a") == b"cn=staff a,dc=x"
    assert names.for_domain("cn=ä,dc=x", "a") == "cn=ä,dc=x".encode()


@given(st.text(max_size=20).filter(lambda text: "{domain}" not in text))
def test_whatever_a_domain_holds_stays_in_its_value(domain):
    dn = names.for_domain("cn={domain},ou=groups", domain)
    value = dn.removeprefix(b"cn=").removesuffix(b",ou=groups")
    assert unescape(value) == domain.encode()


def test_a_user_is_no_hole_in_the_dn_of_a_group():
    assert names.for_domain("cn={user},ou={domain}", "{user}") == b"cn={user},ou=\\7buser\\7d"


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
