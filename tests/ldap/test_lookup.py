"""How an entry is looked for, and what it must be."""

from __future__ import annotations

import calendar
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import preparation
from authbridge.ldap import codec
from authbridge.ldap.codec import Entry
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import PRESETS, Lookup, LookupSettings, read_time
from authbridge.model import Reason
from authbridge.settings import Mistakes, Table
from tests.ldap.server import read_request

PEOPLE = "ou=people,dc=example,dc=org"
STAFF = "cn=staff,ou=groups,dc=example,dc=org"
CREW = "cn=crew,ou=groups,dc=example,dc=org"
DAY = 86400


def read(**given):
    """The settings, and the mistakes in them."""
    mistakes = Mistakes()
    table = Table({"base": PEOPLE, **given}, "checkers.corp", mistakes, Path())
    settings = LookupSettings.read(table, PRESETS["openldap"])
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
    assert (settings.base, settings.filter) == (PEOPLE, "(objectClass=*)")
    assert (settings.jid_attribute, settings.login) == ("uid", ("uid",))
    assert (settings.aliases, settings.require_groups, settings.memberof) == (False, (), False)


def test_everything_may_be_given():
    settings, mistakes = read(
        filter="(objectClass=person)", jid_attribute="cn", login=["cn", "mail"], aliases=True,
        require_groups=[STAFF, CREW], group_membership="memberof",
    )  # fmt: skip
    assert mistakes == []
    assert settings == LookupSettings(
        PRESETS["openldap"], PEOPLE, "(objectClass=person)", "cn", ("cn", "mail"), True,
        (STAFF, CREW), True,
    )  # fmt: skip
    assert read(jid_attribute="1.2.840.113556.1.4.221")[0].login == ("1.2.840.113556.1.4.221",)


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
        ({"group_membership": "search"}, "group_membership: is for require_groups"),
        (
            {"group_membership": "member", "require_groups": [STAFF]},
            'group_membership: "member" is not known; did you mean "memberof"?',
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


def test_a_missing_base_is_one_mistake():
    mistakes = Mistakes()
    LookupSettings.read(Table({}, "c", mistakes, Path()), PRESETS["openldap"])
    (line,) = mistakes
    assert line.startswith("c.base: is missing")


# --- searches -------------------------------------------------------------------------------------


def test_a_user_is_searched_below_the_base_for_two_entries_at_most():
    request = asked(lookup().user(b"alice"))
    assert (request.name, request.scope, request.limits) == (PEOPLE.encode(), 2, (2, 4))
    assert request.filter == ("eq", b"uid", b"alice")
    assert request.attributes == (b"uid", b"shadowExpire", b"pwdEndTime")


def test_the_filter_is_added_and_login_attributes_are_alternatives():
    found = lookup(filter="(|(ou=a)(ou=b))", login=["uid", "mail"])
    request = asked(found.user(b"alice"))
    assert request.filter == (
        "and", ("or", ("eq", b"ou", b"a"), ("eq", b"ou", b"b")),
        ("or", ("eq", b"uid", b"alice"), ("eq", b"mail", b"alice")),
    )  # fmt: skip
    assert request.attributes == (b"uid", b"mail", b"shadowExpire", b"pwdEndTime")
    assert found.spell(b"a*") == "(&(|(ou=a)(ou=b))(|(uid=a\\2a)(mail=a\\2a)))"


@given(st.binary(max_size=100))
def test_a_name_stays_a_value_whatever_is_in_it(name):
    found = lookup(filter="(&(objectClass=person)(cn={user}))", login=["uid", "mail"])
    assert asked(found.user(name)).filter == (
        "and", ("and", ("eq", b"objectClass", b"person"), ("eq", b"cn", name)),
        ("or", ("eq", b"uid", name), ("eq", b"mail", name)),
    )  # fmt: skip


def test_a_group_is_asked_for_the_dn_as_the_server_spelled_it():
    dn = b"uid=\xff\\2c*)(x,ou=people"
    first, second = lookup(require_groups=[STAFF, CREW]).groups(Entry(dn, {}), b"alice")
    assert [name for name, _ in (first, second)] == [STAFF, CREW]
    request = asked(second[1])
    assert (request.name, request.scope, request.limits) == (CREW.encode(), 0, (1, 4))
    assert request.attributes == (b"1.1",)
    assert request.filter == (
        "or", ("eq", b"member", dn), ("eq", b"uniqueMember", dn), ("eq", b"memberUid", b"alice"),
    )  # fmt: skip


def test_by_memberof_the_entry_is_asked_for_all_groups_at_once():
    found = lookup(require_groups=[STAFF, CREW], group_membership="memberof")
    ((what, request),) = found.groups(Entry(b"uid=\xff", {}), b"alice")
    assert what == f"memberOf: {STAFF} or {CREW}"
    assert (asked(request).name, asked(request).scope) == (b"uid=\xff", 0)
    assert asked(request).filter == (
        "or", ("eq", b"memberOf", STAFF.encode()), ("eq", b"memberOf", CREW.encode()),
    )  # fmt: skip


def test_there_may_be_more_than_ten_groups():
    groups = [f"cn=g{n},dc=x" for n in range(12)]
    found = lookup(require_groups=groups, group_membership="memberof")
    ((_, request),) = found.groups(Entry(b"uid=a", {}), b"alice")
    assert asked(request).filter == ("or", *(("eq", b"memberOf", g.encode()) for g in groups))


def test_without_groups_nothing_is_asked():
    assert list(lookup().groups(Entry(b"uid=a", {}), b"alice")) == []


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


# --- names ----------------------------------------------------------------------------------------


def named(local, *values, **given):
    return lookup(**given).name_in(Entry(b"uid=x", {b"uid": list(values)}), local)


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
            lookup().name_in(Entry(b"uid=alice", values), "alice")
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
    entry = Entry(b"uid=x", {b"uid": [b"Alice"], b"mail": [b"al@x"]})
    assert lookup(login=["uid", "Mail"]).name_in(entry, "al\\40x") is None
    assert lookup(login=["uid", "Mail"]).name_in(entry, "alice") == b"Alice"
    found = lookup(login=["Mail"], aliases=True)
    assert found.name_in(entry, "al\\40x") == b"Alice"  # as a group would name it
    assert found.name_in(entry, "alice") == b"Alice"
    nameless = Entry(b"uid=x", {b"mail": [b"al@x"]})
    assert found.name_in(nameless, "al\\40x") == b"al@x"


@given(st.binary(max_size=30))
def test_any_value_is_judged(value):
    if named("alice", value) is not None:
        assert preparation.local(value) == "alice"


# --- accounts that are over -----------------------------------------------------------------------


def expired(now, **attributes):
    entry = Entry(b"uid=x", {name: [value] for name, value in attributes.items()})
    entry = Entry(b"x", {name.encode(): values for name, values in entry.attributes.items()})
    return lookup().has_expired(entry, now)


@pytest.mark.parametrize(
    ("day", "over"),
    [(b"20000", True), (b"19999", True), (b"20001", False), (b"0", True), (b"-1", False)],
)
def test_shadow_expire_is_a_day_and_the_account_is_over_on_it(day, over):
    assert expired(20000 * DAY, shadowexpire=day) is over
    assert expired(20001 * DAY - 1, shadowexpire=day) is over


def test_pwd_end_time_is_a_moment():
    moment = calendar.timegm((2026, 11, 22, 12, 30, 15))
    for value in (b"20261122123015Z", b"20261122123015.5Z"):
        assert expired(moment, pwdendtime=value)
        assert not expired(moment - 1, pwdendtime=value)


def test_an_entry_without_dates_does_not_expire():
    assert not expired(1e12)


@pytest.mark.parametrize(
    "attributes",
    [
        {"shadowexpire": b"tomorrow"},
        {"shadowexpire": b""},
        {"shadowexpire": b"\xff"},
        {"pwdendtime": b"20261122"},
        {"pwdendtime": b"20261122123015"},
        {"pwdendtime": b"20261322123015Z"},
        {"pwdendtime": b"20261122123015+0100"},
        {"pwdendtime": b"\xff"},
        {"pwdendtime": b""},
        {"shadowexpire": b"9" * 5000},
    ],
)
def test_a_date_that_cannot_be_read_cannot_tell(attributes):
    with pytest.raises(Fault) as raised:
        expired(0, **attributes)
    assert raised.value.reason is Reason.DIRECTORY_FAILED


def test_minutes_are_not_taken_for_seconds():
    """GeneralizedTime may leave out the seconds (RFC 4517, 3.3.13)."""
    moment = calendar.timegm((2026, 11, 22, 12, 30, 0))
    try:
        assert read_time(b"202611221230Z") == moment
    except ValueError:  # not read at all would do as well
        pass
