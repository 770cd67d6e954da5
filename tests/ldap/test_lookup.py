"""How an entry is looked for, and what it must be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import preparation
from authbridge.ldap import codec
from authbridge.ldap.codec import Entry
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import Lookup, LookupSettings, is_address
from authbridge.ldap.presets import PRESETS
from authbridge.model import JID, Reason
from authbridge.settings import Mistakes, Table
from tests.ldap.server import read_request

PEOPLE = "ou=people,dc=example,dc=org"
STAFF = "cn=staff,ou=groups,dc=example,dc=org"
CREW = "cn=crew,ou=groups,dc=example,dc=org"
DOMAIN = "example.org"


def read(preset="openldap", **given):
    """The settings, and the mistakes in them."""
    mistakes = Mistakes()
    table = Table({"base": PEOPLE, **given}, "checkers.corp", mistakes, Path())
    settings = LookupSettings.read(table, PRESETS[preset])
    table.close()
    return settings, list(mistakes)


def lookup(**given):
    settings, mistakes = read(**given)
    assert mistakes == []
    return Lookup(settings, 4)


def asked(request):
    return read_request(codec.message(1, request))


# --- settings -------------------------------------------------------------------------------------


def test_what_is_not_given_is_usual_for_openldap():
    settings, mistakes = read()
    assert mistakes == []
    assert settings == LookupSettings(
        PRESETS["openldap"], PEOPLE, "(objectClass=*)", "uid", ("uid",), False, (), "search", None,
        5,
    )  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_not_given_is_usual_for_the_kind_of_directory(preset):
    settings, mistakes = read(preset)
    assert mistakes == []
    usual = PRESETS[preset]
    assert (settings.preset, settings.filter) == (usual, usual.filter)
    assert (settings.jid_attribute, settings.login) == (usual.jid_attribute, (usual.jid_attribute,))
    assert settings.membership == usual.membership


@pytest.mark.parametrize("preset", PRESETS)
def test_everything_may_be_given(preset):
    settings, mistakes = read(
        preset, filter="(objectClass=person)", jid_attribute="cn", login=["cn", "mail"],
        aliases=True, require_groups=[STAFF, CREW], group_membership="memberof",
    )  # fmt: skip
    assert mistakes == []
    assert settings == LookupSettings(
        PRESETS[preset], PEOPLE, "(objectClass=person)", "cn", ("cn", "mail"), True,
        (STAFF, CREW), "memberof", None, 5,
    )  # fmt: skip
    assert read(jid_attribute="1.2.840.113556.1.4.221")[0].login == ("1.2.840.113556.1.4.221",)


@pytest.mark.parametrize("depth", [2, 20])
def test_groups_may_be_within_groups(depth):
    settings, mistakes = read(
        require_groups=[STAFF], group_base="ou=groups,dc=x", group_depth=depth
    )
    assert mistakes == []
    assert (settings.group_base, settings.group_depth) == ("ou=groups,dc=x", depth)
    given = {"require_groups": [STAFF], "group_membership": "search", "group_base": "dc=x"}
    assert read("active-directory", **given)[1] == []


GROUPED = {"require_groups": [STAFF]}


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"base": "nonsense"}, 'base: "nonsense": '),
        ({"base": ""}, "base: should be a string"),
        ({"filter": "objectClass=person"}, "filter: 'objectClass=person': "),
        ({"filter": "(uid=\\)"}, "filter: '(uid=\\\\)': a backslash is followed by"),
        ({"filter": "({user}=x)"}, "{user} stands for a value"),
        ({"filter": 3}, "filter: should be a string"),
        ({"filter": ""}, "filter: should be a string"),
        ({"jid_attribute": "u id"}, 'jid_attribute: "u id" is no name of an attribute'),
        ({"jid_attribute": "uid;lang-de"}, "jid_attribute: "),
        ({"jid_attribute": ""}, "jid_attribute: should be a string"),
        ({"login": ["uid", "(x"]}, 'login: "(x" is no name of an attribute'),
        ({"login": ["1"]}, 'login: "1" is no name of an attribute'),
        ({"login": []}, "login: names no attribute"),
        ({"require_groups": []}, "require_groups: names no group"),
        ({"require_groups": [STAFF, "x"]}, 'require_groups: "x": '),
        ({"require_groups": ["{domain}"]}, 'require_groups: "x": '),
        ({"require_groups": ["cn={domain},{domain}"]}, 'require_groups: "cn=x,x": '),
        ({"group_membership": "search"}, "group_membership: is for require_groups"),
        (
            {"group_membership": "member", **GROUPED},
            'group_membership: "member" is not known; did you mean "memberof"?',
        ),
        (
            {"group_membership": "nested_rule", **GROUPED},
            'group_membership: "nested_rule" is not known; did you mean "nested-rule"?',
        ),
        ({"group_base": "dc=x"}, "group_base: is for require_groups, which is not given"),
        ({"group_base": "nonsense", **GROUPED}, 'group_base: "nonsense": '),
        ({"group_base": "", **GROUPED}, "group_base: should be a string"),
        ({"group_base": ["dc=x"], **GROUPED}, "group_base: should be a string"),
        (
            {"group_base": "dc=x", "group_membership": "memberof", **GROUPED},
            'group_base: is for group_membership = "search"',
        ),
        (
            {
                "preset": "active-directory",
                "group_base": "dc=x",
                "group_membership": "nested-rule",
                **GROUPED,
            },
            'group_base: is for group_membership = "search"',
        ),
        *(
            (
                {"preset": preset, "group_membership": "nested-rule", **GROUPED},
                'group_membership: "nested-rule" is for Active Directory',
            )
            for preset in PRESETS
            if preset != "active-directory"
        ),
        ({"group_depth": 3, **GROUPED}, "group_depth: is for groups within groups; group_base"),
        ({"group_depth": 3}, "group_depth: is for groups within groups; group_base says where"),
        *(
            ({"group_base": "dc=x", "group_depth": depth, **GROUPED}, "group_depth: should be ")
            for depth in (1, 0, -1, 21, "5", 2.5, True)
        ),
        *(
            pytest.param({name: STAFF}, f"{name}: should be a list")
            for name in ("login", "require_groups")
        ),
        ({"jid_atribute": "uid"}, 'did you mean "jid_attribute"?'),
    ],
)
def test_a_mistake_is_one_line_with_its_key(given, mistake):
    (line,) = read(**given)[1]
    assert line.startswith("checkers.corp.")
    assert mistake in line


@pytest.mark.parametrize("preset", ["active-directory", "freeipa", "lldap"])
def test_a_base_for_groups_is_for_those_who_ask_them(preset):
    (line,) = read(preset, require_groups=[STAFF], group_base="dc=x")[1]
    assert line.startswith('checkers.corp.group_base: is for group_membership = "search"')


def test_a_missing_base_is_one_mistake():
    mistakes = Mistakes()
    LookupSettings.read(Table({}, "c", mistakes, Path()), PRESETS["openldap"])
    (line,) = mistakes
    assert line.startswith("c.base: is missing")


# --- searches -------------------------------------------------------------------------------------


def test_a_user_is_searched_below_the_base_for_two_entries_at_most():
    request = asked(lookup().user(b"alice", DOMAIN))
    assert (request.name, request.scope, request.limits) == (PEOPLE.encode(), 2, (2, 4))
    assert request.filter == ("eq", b"uid", b"alice")
    assert request.attributes == (b"uid", b"shadowExpire", b"pwdEndTime")


def test_the_filter_is_added_and_login_attributes_are_alternatives():
    found = lookup(filter="(|(ou=a)(ou=b))", login=["uid", "cn"])
    request = asked(found.user(b"alice", DOMAIN))
    assert request.filter == (
        "and", ("or", ("eq", b"ou", b"a"), ("eq", b"ou", b"b")),
        ("or", ("eq", b"uid", b"alice"), ("eq", b"cn", b"alice")),
    )  # fmt: skip
    assert request.attributes == (b"uid", b"cn", b"shadowExpire", b"pwdEndTime")
    assert found.spell(b"a*", DOMAIN) == "(&(|(ou=a)(ou=b))(|(uid=a\\2a)(cn=a\\2a)))"


@given(st.binary(max_size=100))
def test_a_name_stays_a_value_whatever_is_in_it(name):
    found = lookup(filter="(&(objectClass=person)(cn={user}))", login=["uid", "mail"])
    assert asked(found.user(name, DOMAIN)).filter == (
        "and", ("and", ("eq", b"objectClass", b"person"), ("eq", b"cn", name)),
        ("or", ("eq", b"uid", name), ("eq", b"mail", name),
         ("eq", b"mail", name + b"@example.org")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "attributes"),
    [
        ("openldap", (b"uid", b"shadowExpire", b"pwdEndTime")),
        (
            "active-directory",
            (
                b"sAMAccountName",
                b"userAccountControl",
                b"accountExpires",
                b"userPrincipalName",
            ),
        ),
        ("389", (b"uid", b"nsAccountLock", b"krbPrincipalExpiration")),
        ("freeipa", (b"uid", b"nsAccountLock", b"krbPrincipalExpiration")),
        ("lldap", (b"uid",)),
    ],
)
def test_what_an_account_is_judged_by_is_asked_for(preset, attributes):
    assert asked(lookup(preset=preset).user(b"alice", DOMAIN)).attributes == attributes


def test_windows_groups_are_judged_by_the_users_identifier():
    request = asked(lookup(preset="active-directory", **GROUPED).user(b"alice", DOMAIN))
    assert request.attributes == (
        b"sAMAccountName", b"userAccountControl", b"accountExpires", b"userPrincipalName",
        b"objectSid", b"primaryGroupID",
    )  # fmt: skip
    request = asked(lookup(preset="freeipa", **GROUPED).user(b"alice", DOMAIN))
    assert b"objectSid" not in request.attributes


def test_an_attribute_is_asked_for_once():
    found = lookup(preset="active-directory", login=["sAMAccountName", "userPrincipalName"])
    names = asked(found.user(b"alice", DOMAIN)).attributes
    assert len(set(names)) == len(names) == 4


def test_a_probe_looks_for_anybody_and_for_each_group():
    text, octets = lookup(filter="(ou=a)").anybody()
    assert text == "(&(ou=a)(uid=*))"
    request = asked(octets)
    assert (request.name, request.scope, request.limits) == (PEOPLE.encode(), 2, (1, 4))
    assert request.filter == ("and", ("eq", b"ou", b"a"), ("present", b"uid"))
    request = asked(lookup().group(STAFF))
    assert (request.name, request.scope) == (STAFF.encode(), 0)
    assert request.filter == ("present", b"objectClass")


def test_a_probe_looks_for_anybody_where_the_filter_has_a_hole():
    text, octets = lookup(filter="(|(cn={user})(mail={user}@x))").anybody()
    assert text == "(&(objectClass=*)(uid=*))"
    assert asked(octets).filter == ("and", ("present", b"objectClass"), ("present", b"uid"))


@pytest.mark.parametrize("sign", [">=", "<=", "~=", ":2.5.13.2:=", ":="])
def test_a_probe_is_possible_whatever_the_hole_is_in(sign):
    lookup(filter=f"(cn{sign}{{user}})").anybody()


@pytest.mark.parametrize("value", ["*{user}", "{user}*", "*{user}*", "{user}{user}"])
def test_a_probe_is_possible_whatever_is_beside_the_hole(value):
    lookup(filter=f"(cn={value})").anybody()


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mail", "Mail", "MAIL", "userPrincipalName", "userprincipalname"])
def test_an_address_is_looked_for_with_and_without_the_domain(name):
    found = lookup(login=[name])
    assert asked(found.user(b"alice", "other.example")).filter == (
        "or", ("eq", name.encode(), b"alice"), ("eq", name.encode(), b"alice@other.example"),
    )  # fmt: skip
    assert found.spell(b"al*", "other.example") == (
        f"(|({name}=al\\2a)({name}=al\\2a@other.example))"
    )


def test_a_name_that_looks_like_a_hole_fills_none():
    found = lookup(filter="(cn={user})", login=["mail"])
    request = asked(found.user(b"{user@domain}", DOMAIN))
    assert request.filter == (
        "and", ("eq", b"cn", b"{user@domain}"),
        ("or", ("eq", b"mail", b"{user@domain}"), ("eq", b"mail", b"{user@domain}@example.org")),
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["uid", "sAMAccountName", "emailAddress", "rfc822Mailbox", "mail2"]
)
def test_what_is_no_address_is_looked_for_as_it_is(name):
    assert not is_address(name)
    assert asked(lookup(login=[name]).user(b"alice", DOMAIN)).filter == (
        "eq", name.encode(), b"alice",
    )  # fmt: skip


def test_the_domain_is_a_value_too():
    request = asked(lookup(login=["mail"]).user(b"*", "*)(uid=*"))
    assert request.filter == ("or", ("eq", b"mail", b"*"), ("eq", b"mail", b"*@*)(uid=*"))


def addressed(value, local, domain=DOMAIN, attribute="mail", **given):
    entry = Entry(b"uid=x", {attribute.lower().encode(): [value.encode()]})
    return lookup(jid_attribute=attribute, **given).name_in(entry, JID(local, domain)) is not None


@pytest.mark.parametrize("attribute", ["mail", "userPrincipalName"])
@pytest.mark.parametrize("aliases", [False, True])
@pytest.mark.parametrize(
    ("value", "local", "domain"),
    [
        ("alice@example.org", "alice", "example.org"),
        ("alice@example.org", "alice\\40example.org", "other.example"),
        ("Alice@Example.ORG", "alice", "example.org"),
        ("Alice@Example.ORG", "alice\\40example.org", "other.example"),
        ("ａlice@example.org", "alice", "example.org"),
        ("alice", "alice", "example.org"),
        ("alice", "alice", "other.example"),
        ("o'brien@example.org", "o\\27brien", "example.org"),
        ("a@b@example.org", "a\\40b", "example.org"),
        ("a@b@example.org", "a\\40b\\40example.org", "other.example"),
        ("alice@sub.example.org", "alice\\40sub.example.org", "example.org"),
        ("@alice", "\\40alice", "example.org"),
        # Its domain is prepared as a JID's is.
        ("alice@example.org.", "alice", "example.org"),
        ("alice@\u212aelvin.org", "alice", "kelvin.org"),
        ("alice@bücher.example", "alice", "bücher.example"),
        ("alice@xn--bcher-kva.example", "alice", "bücher.example"),
        ("Alice@XN--BCHER-KVA.example", "alice", "bücher.example"),
        ("alice@BÜCHER.example", "alice", "bücher.example"),
        ("alice@straße.example", "alice", "strasse.example"),
    ],
)
def test_an_address_is_one_jid_of_a_domain(attribute, aliases, value, local, domain):
    assert addressed(value, local, domain, attribute, aliases=aliases)


@pytest.mark.parametrize("aliases", [False, True])
@pytest.mark.parametrize(
    ("value", "local", "domain"),
    [
        # Its other spelling would be a second roster of one account.
        ("alice@example.org", "alice\\40example.org", "example.org"),
        ("Alice@EXAMPLE.org", "alice\\40example.org", "example.org"),
        ("alice@example.org", "alice@example.org", "example.org"),
        # In another domain, alice is somebody else.
        ("alice@example.org", "alice", "other.example"),
        ("alice@example.org", "alice", "example.orgx"),
        ("alice@example.org", "alice", "sub.example.org"),
        ("alice@sub.example.org", "alice", "example.org"),
        ("alice@example.org.", "alice\\40example.org.", "example.org"),
        ("alice@xn--bcher-kva.example", "alice\\40xn--bcher-kva.example", "bücher.example"),
        ("alice@bücher.example", "alice\\40bücher.example", "bücher.example"),
        ("alice@bucher.example", "alice", "bücher.example"),
        ("alice@xexample.org", "alice", "example.org"),
        ("alice@example.org@other.example", "alice", "example.org"),
        ("alice@other.example@example.org", "alice", "example.org"),
        # Neither blanks nor a letter that looks the same make it alice's.
        ("alice @example.org", "alice", "example.org"),
        ("alice@ example.org", "alice", "example.org"),
        (" alice@example.org", "alice", "example.org"),
        ("alice@example.org ", "alice", "example.org"),
        ("аlice@example.org", "alice", "example.org"),
        ("@example.org", "alice", "example.org"),
        ("@example.org", "\\40example.org", "example.org"),
        ("", "alice", "example.org"),
        ("@", "alice", "example.org"),
    ],
)
def test_an_address_is_no_other_jid(aliases, value, local, domain):
    assert not addressed(value, local, domain, aliases=aliases)


def test_an_attribute_that_is_no_address_is_a_name_with_an_at_sign():
    for local, is_it in (("alice\\40example.org", True), ("alice", False)):
        assert addressed("alice@example.org", local, attribute="uid") is is_it


@given(st.text(max_size=12), st.sampled_from(["example.org", "EXAMPLE.org", "other.example"]))
def test_whatever_an_address_is_it_is_one_jid_at_most(name, domain):
    value = f"{name}@{domain}"
    both = []
    for text in (name, value):
        try:
            both.append(preparation.local(preparation.escape(text).encode()))
        except preparation.Unprepared:
            continue
    assert sum(addressed(value, local) for local in set(both)) <= 1
    assert sum(addressed(name, local) for local in set(both)) <= 1


def test_an_address_names_an_entry_only_with_aliases():
    entry = Entry(b"uid=x", {b"uid": [b"liddell"], b"mail": [b"alice@example.org"]})
    found = lookup(login=["uid", "mail"])
    assert found.name_in(entry, JID("alice", DOMAIN)) is None
    assert found.name_in(entry, JID("liddell", DOMAIN)) == b"liddell"
    found = lookup(login=["uid", "mail"], aliases=True)
    assert found.name_in(entry, JID("alice", DOMAIN)) == b"liddell"  # as a group would name it
    assert found.name_in(entry, JID("alice", "other.example")) is None
    assert found.name_in(entry, JID("alice\\40example.org", "other.example")) == b"liddell"
    assert found.name_in(entry, JID("alice\\40example.org", DOMAIN)) is None


def test_an_address_that_is_no_text_is_nobodys():
    entry = Entry(b"uid=x", {b"mail": [b"\xff@example.org"]})
    assert lookup(jid_attribute="mail").name_in(entry, JID("\udcff", DOMAIN)) is None


# --- names ----------------------------------------------------------------------------------------


def named(local, *values, **given):
    return lookup(**given).name_in(Entry(b"uid=x", {b"uid": list(values)}), JID(local, DOMAIN))


@pytest.mark.parametrize("value", ["alice", "Alice", "ALICE", "ａlice", "al\u00adice"])
def test_an_entry_whose_name_prepares_to_the_one_asked_for_is_it(value):
    assert named("alice", value.encode()) == value.encode()


@pytest.mark.parametrize(
    "value",
    [b"", b"alic", b"alicee", b"alice ", b" alice", "аlice".encode(), b"al ice", b"\xff", b"al@x"],
)
@pytest.mark.parametrize("aliases", [False, True])
def test_an_entry_with_another_name_only_answers_to_it(value, aliases):
    assert named("alice", value, aliases=aliases) is None


def test_an_entry_with_several_names_is_nobodys_unless_each_may_be_a_jid():
    """One account is one JID."""
    names = (b"\xff", b"bob", b"Alice")
    assert named("alice", *names) is None
    assert named("alice", b"alice", b"Alice") is None
    assert named("alice", *names, aliases=True) == b"Alice"
    assert named("bob", *names, aliases=True) == b"bob"
    assert named("carol", *names, aliases=True) is None


def test_an_entry_without_the_attribute_cannot_tell():
    for values in ({}, {b"uid": []}, {b"cn": [b"alice"]}):
        with pytest.raises(Fault, match="has no uid that bind_dn may read") as raised:
            lookup().name_in(Entry(b"uid=alice", values), JID("alice", DOMAIN))
        assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert named("alice", aliases=True) is None


def test_a_name_that_no_jid_holds_is_compared_escaped():
    assert named("o\\27brien", b"o'brien")
    assert named("o\\27brien", b"O'Brien")
    assert named("a\\40b", b"a@b")
    assert named("a\\5c20b", b"a\\20b")
    assert not named("a\\20b", b"a\\20b")
    assert not named("o\\27brien", b"obrien")


def test_other_attributes_name_an_entry_only_with_aliases():
    entry = Entry(b"uid=x", {b"uid": [b"Alice"], b"cn": [b"al@x"]})
    al, alice = JID("al\\40x", DOMAIN), JID("alice", DOMAIN)
    assert lookup(login=["uid", "Cn"]).name_in(entry, al) is None
    assert lookup(login=["uid", "Cn"]).name_in(entry, alice) == b"Alice"
    found = lookup(login=["Cn"], aliases=True)
    assert found.name_in(entry, al) == b"Alice"  # as a group would name it
    assert found.name_in(entry, alice) == b"Alice"
    nameless = Entry(b"uid=x", {b"cn": [b"al@x"]})
    assert found.name_in(nameless, al) == b"al@x"


@given(st.binary(max_size=30))
def test_any_value_is_judged(value):
    if named("alice", value) is not None:
        assert preparation.local(value) == "alice"


# --- accounts -------------------------------------------------------------------------------------


def account(preset, now=0.0, **attributes):
    values = {name.encode(): [value] for name, value in attributes.items()}
    return lookup(preset=preset).account_state(Entry(b"uid=x", values), now)


def test_an_account_is_judged_as_its_kind_of_directory_has_it():
    assert account("openldap", shadowexpire=b"0") is Reason.ACCOUNT_EXPIRED
    assert account("active-directory", useraccountcontrol=b"514") is Reason.ACCOUNT_DISABLED
    assert account("freeipa", nsaccountlock=b"TRUE") is Reason.ACCOUNT_DISABLED
    assert account("lldap", shadowexpire=b"0") is None
    assert account("openldap") is None


@pytest.mark.parametrize(
    ("preset", "attributes", "said"),
    [
        ("openldap", {"pwdendtime": b"next year"}, "from shadowExpire or pwdEndTime: no General"),
        ("openldap", {"shadowexpire": b"\xff"}, "from shadowExpire or pwdEndTime: invalid literal"),
        (
            "active-directory",
            {},
            "from userAccountControl or accountExpires: no userAccountControl",
        ),
        (
            "freeipa",
            {"krbprincipalexpiration": b""},
            "from nsAccountLock or krbPrincipalExpiration",
        ),
    ],
)
def test_an_account_that_does_not_tell_cannot_tell(preset, attributes, said):
    with pytest.raises(Fault, match=said) as raised:
        account(preset, **attributes)
    assert raised.value.reason is Reason.DIRECTORY_FAILED


def test_what_an_entry_says_of_its_account_is_told_to_people():
    found = lookup(preset="active-directory")
    values = {
        b"useraccountcontrol": [b"514"],
        b"accountexpires": [b"0", b"\x1b\xff"],
        b"pwdlastset": [b"0"],
    }
    assert found.describe_account(Entry(b"CN=x", values)) == (
        "userAccountControl 514, accountExpires 0, accountExpires  \\xff"
    )
    assert found.describe_account(Entry(b"CN=x", {})) == ""
    assert lookup(preset="lldap").describe_account(Entry(b"uid=x", values)) == ""
