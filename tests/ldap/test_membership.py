"""Whether a user is in a group, however the directory keeps its groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from authbridge.ldap import codec, membership
from authbridge.ldap.codec import Entry, Inbox
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import LookupSettings
from authbridge.ldap.membership import MOST_GROUPS, Membership
from authbridge.ldap.operations import Search
from authbridge.ldap.presets import PRESETS
from authbridge.model import JID, Reason, Trace
from authbridge.settings import Mistakes, Table
from tests.ldap.server import Book, Request, done, entry, fold, read_request
from tests.ldap.test_active_directory import sid

ALICE = b"uid=alice,ou=people,dc=example,dc=org"
GROUPS = "ou=groups,dc=example,dc=org"
STAFF, CREW = f"cn=staff,{GROUPS}", f"cn=crew,{GROUPS}"
BASE, SUBTREE = 0, 2
IN_CHAIN = b"1.2.840.113556.1.4.1941"
SID = "S-1-5-21-1-2-3-513"


class Tree(Book):
    """A directory with groups in groups, and Active Directory's ways to ask about them."""

    def group(self, name: str, *members: bytes, attribute: str = "member", **more: Any) -> bytes:
        dn = f"cn={name},{GROUPS}".encode()
        self.add(dn, **{attribute: list(members), "distinguishedName": [dn], **more})
        return dn

    def answer(self, server: Any, request: Request) -> bytes | None:
        for sid_, dn in self.sids.items():
            if request.name == f"<SID={sid_}>".encode():
                self.asked.append(request)
                found = self._is(request.filter, self.entries[dn])
                return (entry(request.id, dn) if found else b"") + done(request.id)
        if request.name not in self.entries and request.scope == BASE:
            self.asked.append(request)
            return done(request.id, 32)
        return super().answer(server, request)

    @property
    def sids(self) -> dict[str, bytes]:
        return {
            value.decode(): dn
            for dn, attributes in self.entries.items()
            for value in attributes.get("sid", [])
        }

    def _is(self, wanted: Any, attributes: dict[str, list[bytes]]) -> bool:
        if wanted[0] == "extensible":
            (rule, oid), (what, name), (value, dn) = wanted[1:]
            assert (rule, what, value) == (0x81, 0x82, 0x83)
            assert (oid, name) == (IN_CHAIN, b"memberOf")
            return fold(dn) in self._chain(attributes, set())
        return super()._is(wanted, attributes)

    def _chain(self, attributes: dict[str, list[bytes]], found: set[str]) -> set[str]:
        for dn in attributes.get("memberOf", []):
            if fold(dn) not in found:
                found.add(fold(dn))
                self._chain(self.entries.get(dn, {}), found)
        return found


class Asked:
    """One question, put to a tree."""

    def __init__(self, tree: Tree, **given: Any) -> None:
        self.tree = tree
        self.faults: dict[bytes, Fault] = {}
        """What comes of a search at this base in place of an answer."""
        self.sought: list[str] = []
        """What each search was for, in words."""
        self.trace = Trace()
        preset = PRESETS[given.pop("preset", "openldap")]
        mistakes = Mistakes()
        table = Table({"base": "dc=example,dc=org", **given}, "checkers.corp", mistakes, Path())
        self.membership = Membership(LookupSettings.read(table, preset), 4)
        assert list(mistakes) == []

    def has(self, dn: bytes = ALICE, own: bytes = b"alice", domain: str = "example.org",
            attributes: dict[bytes, list[bytes]] | None = None) -> bool:  # fmt: skip
        alice = Entry(dn, attributes or {})
        question = self.membership.has(alice, own, JID("alice", domain), self._ask, self.trace)
        with pytest.raises(StopIteration) as told:
            question.send(None)
        assert isinstance(told.value.value, bool)
        return told.value.value

    async def _ask(self, request: bytes, size_limit: int, what: str) -> Search:
        self.sought.append(what)
        parsed = read_request(codec.message(1, request))
        assert parsed.kind == "search"
        assert parsed.limits == (size_limit, 4)
        assert parsed.attributes == (b"1.1",)
        if parsed.name in self.faults:
            self.tree.asked.append(parsed)
            raise self.faults[parsed.name]
        octets = self.tree.answer(None, parsed)
        assert octets is not None
        search = Search(request, None, size_limit)  # type: ignore[arg-type]
        *entries, end = Inbox().feed(octets)
        assert not any(search.take(reply) for reply in entries)
        assert search.take(end)
        return search

    @property
    def bases(self) -> list[bytes]:
        return [request.name for request in self.tree.asked]

    @property
    def steps(self) -> list[str]:
        assert {name for name, _ in self.trace.steps} <= {"group"}
        return [words for _, words in self.trace.steps]


@pytest.fixture
def tree():
    tree = Tree()
    tree.add(ALICE)
    return tree


# --- one search for a group -----------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_without_groups_nothing_is_asked(tree, preset):
    asked = Asked(tree, preset=preset)
    assert asked.has()
    assert asked.bases == []
    assert asked.steps == []


def test_a_group_is_asked_for_the_dn_as_the_server_spelled_it(tree):
    dn = b"uid=\xff\\2c*)(x,ou=people"
    tree.group("staff")
    tree.group("crew", dn)
    asked = Asked(tree, require_groups=[STAFF, CREW])
    assert asked.has(dn, b"Alice")
    assert asked.bases == [STAFF.encode(), CREW.encode()]
    request = tree.asked[1]
    assert (request.name, request.scope) == (CREW.encode(), BASE)
    assert request.filter == (
        "or", ("eq", b"member", dn), ("eq", b"uniqueMember", dn), ("eq", b"memberUid", b"Alice"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("member", ALICE), ("uniqueMember", ALICE), ("memberUid", b"alice")],
)
def test_a_group_may_name_its_members_in_three_ways(tree, attribute, value):
    tree.group("staff", value, attribute=attribute)
    asked = Asked(tree, require_groups=[STAFF])
    assert asked.has()
    assert not asked.has(b"uid=bob,ou=people,dc=example,dc=org", b"bob")
    assert asked.steps == [
        f"{STAFF}: a member, 0 success",
        f"{STAFF}: no member, 0 success",
    ]


@pytest.mark.parametrize("attribute", ["cn", "sAMAccountName", "mail", "uidNumber"])
def test_a_name_of_another_kind_is_no_member_by_it(tree, attribute):
    """memberUid holds a uid: who is called so otherwise would be in a namesake's groups."""
    tree.group("staff", b"alice", attribute="memberUid")
    given = {"jid_attribute": attribute, "group_base": GROUPS}
    assert not Asked(tree, require_groups=[STAFF], **given).has()
    dn = ("or", ("eq", b"member", ALICE), ("eq", b"uniqueMember", ALICE))
    assert [request.filter for request in tree.asked] == [dn, dn]
    tree.group("staff", ALICE)
    assert Asked(tree, require_groups=[STAFF], **given).has()


@pytest.mark.parametrize("attribute", ["uid", "UID"])
def test_a_uid_is_one_however_it_is_spelled(tree, attribute):
    tree.group("staff", b"alice", attribute="memberUid")
    assert Asked(tree, require_groups=[STAFF], jid_attribute=attribute).has()


def test_a_search_says_what_it_is_for(tree):
    chain(tree, 2)
    asked = nested(tree)
    assert asked.has()
    assert asked.sought == [
        f"a search for {STAFF}", "a search for groups on level 1", f"a search for {STAFF}",
    ]  # fmt: skip
    tree.group("staff", sid=[SID.encode()])
    asked = windows(tree, STAFF)
    assert asked.has(attributes=OF_WINDOWS)
    assert asked.sought == [
        f"a search for nested-rule: {STAFF}", f"a search for primary group: {STAFF}",
    ]  # fmt: skip


def test_the_first_group_that_has_the_user_is_enough(tree):
    tree.group("staff", ALICE)
    asked = Asked(tree, require_groups=[STAFF, CREW])
    assert asked.has()
    assert asked.bases == [STAFF.encode()]


def test_a_group_of_lldap_is_asked_by_a_search_below_it(tree):
    """A base search of it that finds nothing is answered as if there were no such group."""
    tree.group("staff", ALICE, attribute="uniqueMember")
    given = {"require_groups": [STAFF], "group_membership": "search", "preset": "lldap"}
    assert Asked(tree, **given).has()
    assert not Asked(tree, **given).has(b"uid=bob,ou=people,dc=example,dc=org", b"bob")
    assert [request.scope for request in tree.asked] == [SUBTREE, SUBTREE]


def test_a_group_that_is_cut_short_at_one_entry_has_the_member(tree, monkeypatch):
    """A size limit of one is reached by one: some servers say so."""
    tree.group("staff", ALICE)
    tree.search_result = 4, b""
    assert Asked(tree, require_groups=[STAFF]).has()


# --- {domain} -------------------------------------------------------------------------------------


def test_a_group_may_be_one_for_each_domain(tree):
    template = f"cn={{domain}},ou={{domain}} x,{GROUPS}"
    for domain in ("example.org", "other.example"):
        tree.add(template.replace("{domain}", domain).encode(), member=[ALICE])
    asked = Asked(tree, require_groups=[template])
    assert asked.has(domain="example.org")
    assert asked.has(domain="other.example")
    assert asked.bases == [
        b"cn=example.org,ou=example.org x," + GROUPS.encode(),
        b"cn=other.example,ou=other.example x," + GROUPS.encode(),
    ]


@pytest.mark.parametrize("way", ["search", "memberof", "nested-rule"])
def test_a_domain_stays_a_value_whatever_is_in_it(tree, way):
    preset = "active-directory" if way == "nested-rule" else "openldap"
    asked = Asked(
        tree, preset=preset, require_groups=[f"cn={{domain}},{GROUPS}"], group_membership=way
    )
    with pytest.raises(Fault):
        asked.has(b"cn=nobody", domain='a,ou=x+b="ü" #')
    escaped = b"cn=a\\2cou\\3dx\\2bb\\3d\\22\\c3\\bc\\22\\20\\23," + GROUPS.encode()
    request = tree.asked[0]
    assert request.name == escaped if way == "search" else repr(escaped) in repr(request.filter)


# --- by the user's entry --------------------------------------------------------------------------


def test_by_memberof_the_entry_is_asked_for_all_groups_at_once(tree):
    tree.add(b"uid=\xff", memberOf=[CREW.upper().encode()])
    asked = Asked(tree, require_groups=[STAFF, CREW], group_membership="memberof")
    assert asked.has(b"uid=\xff")
    (request,) = tree.asked
    assert (request.name, request.scope) == (b"uid=\xff", BASE)
    assert request.filter == (
        "or", ("eq", b"memberOf", STAFF.encode()), ("eq", b"memberOf", CREW.encode()),
    )  # fmt: skip
    assert asked.steps == [f"memberof: {STAFF} or {CREW}: a member, 0 success"]
    assert not asked.has()


def test_there_may_be_more_than_ten_groups(tree):
    groups = [f"cn=g{n},{GROUPS}" for n in range(12)]
    asked = Asked(tree, require_groups=groups, group_membership="memberof")
    assert not asked.has()
    # The last one again, to the next power of two.
    assert tree.asked[0].filter == (
        "or", *(("eq", b"memberOf", g.encode()) for g in [*groups, *[groups[-1]] * 4])
    )  # fmt: skip


@pytest.mark.parametrize("preset", ["freeipa", "lldap"])
def test_freeipa_and_lldap_are_asked_by_memberof(tree, preset):
    tree.add(ALICE, memberOf=[STAFF.encode()])
    assert Asked(tree, require_groups=[STAFF], preset=preset).has()
    assert [request.name for request in tree.asked] == [ALICE]


def test_memberof_without_a_group_asks_nobody_else(tree):
    """The primary group is Windows' alone."""
    asked = Asked(tree, require_groups=[STAFF], group_membership="memberof")
    assert not asked.has(
        attributes={b"objectsid": [sid(21, 1, 2, 3, 4)], b"primarygroupid": [b"5"]}
    )
    assert asked.bases == [ALICE]


# --- Active Directory -----------------------------------------------------------------------------

OF_WINDOWS = {b"objectsid": [sid(21, 1, 2, 3, 1105)], b"primarygroupid": [b"513"]}


def windows(tree, *groups, **given):
    return Asked(tree, preset="active-directory", require_groups=list(groups), **given)


def test_the_nested_rule_is_one_search_of_the_users_entry(tree):
    inner = tree.group("inner", memberOf=[STAFF.encode()])
    tree.group("staff")
    tree.entries[ALICE] = {"memberOf": [inner]}
    asked = windows(tree, STAFF, CREW)
    assert asked.has(attributes=OF_WINDOWS)
    (request,) = tree.asked
    assert (request.name, request.scope) == (ALICE, BASE)
    assert request.filter == (
        "or",
        *(
            ("extensible", (0x81, IN_CHAIN), (0x82, b"memberOf"), (0x83, group.encode()))
            for group in (STAFF, CREW)
        ),
    )
    assert asked.steps == [f"nested-rule: {STAFF} or {CREW}: a member, 0 success"]


def test_the_primary_group_is_asked_for_what_the_user_is_not_a_member_of(tree):
    tree.group("staff", sid=[SID.encode()])
    asked = windows(tree, STAFF)
    assert asked.has(attributes=OF_WINDOWS)
    assert asked.bases == [ALICE, f"<SID={SID}>".encode()]
    request = tree.asked[1]
    assert request.scope == BASE
    assert request.filter == (
        "or",
        ("eq", b"distinguishedName", STAFF.encode()),
        ("extensible", (0x81, IN_CHAIN), (0x82, b"memberOf"), (0x83, STAFF.encode())),
    )
    assert asked.steps[1] == f"primary group: {STAFF}: a member, 0 success"


def test_what_the_primary_group_is_nested_in_counts_too(tree):
    tree.group("staff")
    tree.group("between", memberOf=[STAFF.encode()])
    tree.group("domain users", sid=[SID.encode()], memberOf=[f"cn=between,{GROUPS}".encode()])
    assert windows(tree, STAFF).has(attributes=OF_WINDOWS)
    assert not windows(tree, CREW).has(attributes=OF_WINDOWS)


@pytest.mark.parametrize("lacking", OF_WINDOWS)
def test_an_entry_that_does_not_tell_its_primary_group_cannot_tell(tree, lacking):
    """A service account that may not read it would keep out everybody whose group it is."""
    asked = windows(tree, STAFF)
    attributes = {name: values for name, values in OF_WINDOWS.items() if name != lacking}
    with pytest.raises(Fault, match="there is no objectSid or primaryGroupID") as raised:
        asked.has(attributes=attributes)
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert asked.bases == [ALICE]


def test_who_is_a_member_of_a_group_needs_no_primary_one(tree):
    tree.group("staff")
    tree.entries[ALICE] = {"memberOf": [STAFF.encode()]}
    assert windows(tree, STAFF).has()


def test_an_identifier_that_is_none_cannot_tell_and_is_not_sent(tree):
    asked = windows(tree, STAFF)
    with pytest.raises(Fault, match="of an entry, objectSid is no security") as raised:
        asked.has(attributes={b"objectsid": [b"S-1-5"], b"primarygroupid": [b"513"]})
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    with pytest.raises(Fault):
        asked.has(attributes={**OF_WINDOWS, b"primarygroupid": [b"513>,dc=x"]})
    assert asked.bases == [ALICE, ALICE]


def test_a_primary_group_that_cannot_be_asked_cannot_tell(tree):
    asked = windows(tree, STAFF)
    with pytest.raises(Fault, match="32 noSuchObject") as raised:
        asked.has(attributes=OF_WINDOWS)
    assert raised.value.reason is Reason.DIRECTORY_REFUSED


def test_an_entry_that_cannot_be_asked_still_has_its_primary_group(tree):
    tree.group("staff", sid=[SID.encode()])
    asked = windows(tree, STAFF)
    assert asked.has(b"uid=away", attributes=OF_WINDOWS)
    assert "32 noSuchObject" in asked.steps[0]


def test_active_directory_may_be_asked_otherwise(tree):
    tree.group("staff", ALICE)
    assert windows(tree, STAFF, group_membership="search").has(attributes=OF_WINDOWS)
    assert [request.name for request in tree.asked] == [STAFF.encode()]


# --- groups within groups -------------------------------------------------------------------------


def nested(tree, depth=5, groups=(STAFF,)):
    return Asked(tree, require_groups=list(groups), group_base=GROUPS, group_depth=depth)


def chain(tree, length, attribute="member"):
    """staff on top, alice in the group at the bottom: so many groups one in another."""
    member = ALICE
    for level in range(1, length):
        member = tree.group(f"level {level}", member, attribute=attribute)
    tree.group("staff", member, attribute=attribute)


@pytest.mark.parametrize("attribute", ["member", "uniqueMember"])
@pytest.mark.parametrize("depth", [2, 3, 5, 20])
def test_groups_are_followed_as_deep_as_the_settings_say_and_no_deeper(tree, depth, attribute):
    chain(tree, depth, attribute)
    assert nested(tree, depth).has()
    chain(tree, depth + 1, attribute)
    assert not nested(tree, depth).has()


def test_without_a_base_for_groups_none_is_followed(tree):
    chain(tree, 2)
    asked = Asked(tree, require_groups=[STAFF])
    assert not asked.has()
    assert asked.bases == [STAFF.encode()]


def test_five_levels_are_usual(tree):
    chain(tree, 5)
    assert Asked(tree, require_groups=[STAFF], group_base=GROUPS).has()
    chain(tree, 6)
    assert not Asked(tree, require_groups=[STAFF], group_base=GROUPS).has()


def test_what_is_asked_level_by_level(tree):
    chain(tree, 3)
    asked = nested(tree, groups=[STAFF, CREW])
    tree.group("crew")
    assert asked.has()
    first, second = (f"cn=level {level},{GROUPS}".encode() for level in (1, 2))
    staff, crew, base = STAFF.encode(), CREW.encode(), GROUPS.encode()
    assert asked.bases == [staff, crew, base, staff, crew, base, staff]
    assert [request.scope for request in tree.asked] == [BASE, BASE, SUBTREE, BASE, BASE, SUBTREE,
                                                         BASE]  # fmt: skip
    assert tree.asked[2].filter == tree.asked[0].filter
    assert tree.asked[2].limits == (MOST_GROUPS, 4)
    for index, dn in ((3, first), (5, first), (6, second)):
        assert tree.asked[index].filter == (
            "or", ("eq", b"member", dn), ("eq", b"uniqueMember", dn)
        )  # fmt: skip
    assert asked.steps == [
        f"{STAFF}: no member, 0 success",
        f"{CREW}: no member, 0 success",
        f"groups on level 1: {first.decode()}",
        f"{STAFF}: no member, 0 success",
        f"{CREW}: no member, 0 success",
        f"groups on level 2: {second.decode()}",
        f"{STAFF}: a member, 0 success",
    ]


def test_a_user_is_in_a_group_through_any_of_several(tree):
    for name in ("a", "b", "c"):
        tree.group(name, ALICE, attribute="member" if name != "b" else "uniqueMember")
    tree.group("staff", f"cn=b,{GROUPS}".encode(), attribute="uniqueMember")
    asked = nested(tree)
    assert asked.has()
    # All groups of a level are asked about at once.
    assert len(tree.asked) == 3
    assert len(tree.asked[2].filter) == 1 + 4 * 2
    assert len(set(tree.asked[2].filter[1:])) == 3 * 2


def test_a_group_that_names_users_by_uid_may_be_in_another(tree):
    inner = tree.group("inner", b"alice", attribute="memberUid")
    tree.group("staff", inner)
    assert nested(tree).has()


def test_who_is_in_no_group_at_all_is_asked_about_once(tree):
    tree.group("staff")
    asked = nested(tree, 20)
    assert not asked.has()
    assert asked.bases == [STAFF.encode(), GROUPS.encode()]
    assert asked.steps[1] == "groups on level 1: none"


@pytest.mark.parametrize("length", [1, 2, 3])
def test_groups_that_are_in_each_other_are_followed_once(tree, length):
    names = [f"cn=round {n},{GROUPS}".encode() for n in range(length)]
    for n in range(length):
        tree.group(f"round {n}", names[n - 1], *([ALICE] if n == 0 else []))
    tree.group("staff")
    asked = nested(tree, 20)
    assert not asked.has()
    assert asked.bases.count(GROUPS.encode()) == length + 1


def test_a_server_that_spells_a_group_anew_each_time_is_not_followed_for_ever(tree):
    """Case does not count in a DN."""
    tree.group("round", ALICE, f"cn=round,{GROUPS}".encode())
    tree.group("staff")
    answer, spellings = tree.answer, iter([bytes.lower, bytes.upper, bytes.lower, bytes.upper])

    def spell(server, request):
        octets = answer(server, request)
        if request.name != GROUPS.encode():
            return octets
        dn = f"cn=round,{GROUPS}".encode()
        return octets.replace(dn, next(spellings)(dn))

    tree.answer = spell
    asked = nested(tree, 20)
    assert not asked.has()
    assert asked.bases.count(GROUPS.encode()) == 2


def test_a_group_is_followed_as_the_server_spelled_it(tree):
    odd = b"cn=\xff*)(\\2c," + GROUPS.encode()
    tree.add(odd, member=[ALICE])
    tree.group("staff", odd)
    asked = nested(tree)
    assert asked.has()
    assert tree.asked[2].filter[1] == ("eq", b"member", odd)
    assert f"groups on level 1: cn=\\xff*)(\\2c,{GROUPS}" in asked.steps


def test_a_user_may_be_in_as_many_groups_as_are_asked_for(tree):
    for number in range(MOST_GROUPS):
        tree.group(f"g{number}", ALICE)
    tree.group("staff", f"cn=g{MOST_GROUPS - 1},{GROUPS}".encode())
    asked = nested(tree)
    assert asked.has()
    assert len(set(tree.asked[2].filter[1:])) == 2 * MOST_GROUPS
    assert len(tree.asked[2].filter) == 1 + 2 * 256


def many(tree, count):
    for number in range(count):
        tree.group(f"g{number}", ALICE)
    tree.group("staff", f"cn=g{count - 1},{GROUPS}".encode())


def test_a_user_in_more_groups_cannot_be_told(tree):
    """A no would be a guess: the group that counts may be one that was left out."""
    many(tree, MOST_GROUPS + 1)
    asked = nested(tree)
    with pytest.raises(Fault, match="more than 200; with so many it cannot be told") as raised:
        asked.has()
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert raised.value.words.startswith("groups on level 1: ")
    assert raised.value.words in asked.steps[1]


def test_a_user_in_more_groups_cannot_be_told_where_the_server_knows_no_limits(tree):
    """As Samba and lldap."""
    many(tree, MOST_GROUPS + 1)
    answer = tree.answer

    def unlimited(server, request):
        some = Request(request.id, "search", request.name, scope=request.scope, limits=(0, 0),
                       filter=request.filter)  # fmt: skip
        return answer(server, some)

    tree.answer = unlimited
    with pytest.raises(Fault, match="groups on level 1: more than 200"):
        nested(tree).has()


def test_a_user_in_more_groups_is_in_one_that_was_seen(tree):
    many(tree, MOST_GROUPS + 1)
    tree.group("crew", ALICE)
    assert nested(tree, groups=[STAFF, CREW]).has()
    assert tree.asked[-1].name == CREW.encode()


def test_who_is_in_a_group_itself_may_be_in_any_number(tree):
    many(tree, MOST_GROUPS + 50)
    tree.group("staff", ALICE)
    assert nested(tree).has()
    assert [request.name for request in tree.asked] == [STAFF.encode()]


# --- what cannot be asked -------------------------------------------------------------------------


def test_a_group_that_cannot_be_asked_cannot_tell(tree):
    tree.group("crew")
    asked = Asked(tree, require_groups=[STAFF, CREW])
    with pytest.raises(Fault) as raised:
        asked.has()
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert f"a search for {STAFF}: 32 noSuchObject" in raised.value.words
    assert asked.bases == [STAFF.encode(), CREW.encode()]
    assert f"{STAFF}: {raised.value.words}" in asked.steps


@pytest.mark.parametrize("way", ["search", "nested"])
def test_a_group_that_cannot_be_asked_keeps_nobody_out_who_is_in_another(tree, way):
    inner = tree.group("inner", ALICE)
    tree.group("crew", ALICE if way == "search" else inner)
    assert nested(tree, groups=[STAFF, CREW]).has()


@pytest.mark.parametrize(("code", "reason"), [(50, Reason.DIRECTORY_REFUSED),
                                              (52, Reason.DIRECTORY_FAILED)])  # fmt: skip
def test_a_search_for_groups_that_is_refused_cannot_tell(tree, code, reason):
    tree.group("staff")
    asked = nested(tree)
    answer = tree.answer

    def refuse(server, request):
        if request.name == GROUPS.encode():
            return done(request.id, code)
        return answer(server, request)

    tree.answer = refuse
    with pytest.raises(Fault) as raised:
        asked.has()
    assert raised.value.reason is reason


@pytest.mark.parametrize("reason", [Reason.DIRECTORY_REFUSED, Reason.DIRECTORY_FAILED])
def test_another_group_is_asked_about_where_all_servers_refuse_one(tree, reason):
    """The search of several servers ends in a fault, not in a code."""
    tree.group("crew", ALICE)
    asked = Asked(tree, require_groups=[STAFF, CREW])
    asked.faults[STAFF.encode()] = Fault(reason, "not there, says each of them")
    assert asked.has()
    assert asked.steps[0] == f"{STAFF}: not there, says each of them"
    with pytest.raises(Fault, match="not there, says each of them"):
        asked.has(b"uid=bob,ou=people,dc=example,dc=org", b"bob")


@pytest.mark.parametrize(
    "reason",
    [
        Reason.DIRECTORY_UNREACHABLE, Reason.DIRECTORY_SILENT, Reason.DIRECTORY_UNTRUSTED,
        Reason.SERVICE_ACCOUNT_REFUSED, Reason.OVERLOADED,
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", [STAFF, GROUPS])
def test_an_outage_ends_the_asking_at_once(tree, where, reason):
    tree.group("staff")
    tree.group("crew", ALICE)
    asked = nested(tree, groups=[STAFF, CREW] if where == STAFF else [STAFF])
    asked.faults[where.encode()] = outage = Fault(reason, "nobody is there")
    with pytest.raises(Fault) as raised:
        asked.has()
    assert raised.value is outage
    assert asked.bases[-1] == where.encode()
    assert CREW.encode() not in asked.bases


def test_an_outage_in_the_middle_of_the_levels_cannot_tell(tree):
    chain(tree, 4)
    asked = nested(tree)
    answer, outage = tree.answer, Fault(Reason.DIRECTORY_SILENT, "no answer")

    def silent_in_the_end(server, request):
        if request.filter[1][2:] == (f"cn=level 2,{GROUPS}".encode(),):
            raise outage
        return answer(server, request)

    tree.answer = silent_in_the_end
    with pytest.raises(Fault) as raised:
        asked.has()
    assert raised.value is outage


def test_it_says_nothing_where_nobody_listens(tree):
    chain(tree, 3)
    asked = nested(tree, groups=[CREW, STAFF])
    asked.trace = None  # type: ignore[assignment]
    assert asked.has()


def test_filters_of_a_size_are_made_once_and_there_are_few_sizes():
    membership._disjunction.cache_clear()
    for _ in range(3):
        for count in range(1, MOST_GROUPS + 1):
            membership._any_of([b"%d" % n for n in range(count)], "(member={})")
    assert membership._disjunction.cache_info().misses == 9  # 1, 2, 4 … 256
    assert membership._disjunction.cache_info().maxsize == 64
