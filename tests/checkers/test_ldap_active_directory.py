"""Users in Active Directory, which answers as Windows writes: long lengths, sub-codes, NULs."""

from __future__ import annotations

import calendar
from typing import Any

import pytest

from authbridge import model
from authbridge.model import Reason, Trace, Verdict, rejected, unavailable
from tests.checkers.corp import HOST, SECRET, Corp
from tests.ldap.oracle import Element, elements
from tests.ldap.server import Book, Request, Server, bound, done, entry, fold, reference
from tests.ldap.test_active_directory import SUB_CODES, sid

MATCHES, MISMATCH, UNKNOWN = model.PASSWORD_MATCHES, model.PASSWORD_MISMATCH, model.USER_UNKNOWN

DOMAIN = "DC=ad,DC=example,DC=org"
ALICE = f"CN=Alice Liddell,OU=Staff,{DOMAIN}".encode()
DOMAIN_USERS = f"CN=Domain Users,CN=Users,{DOMAIN}".encode()
INNER, STAFF, CREW = (f"CN={name},OU=Groups,{DOMAIN}" for name in ("Inner", "Staff", "Crew"))
IN_CHAIN = b"1.2.840.113556.1.4.1941"
REFUSED = (
    b"80090308: LdapErr: DSID-0C090446, comment: AcceptSecurityContext error, data %s, v4563\0"
)
NEVER = b"9223372036854775807"

NOW = calendar.timegm((2026, 11, 22, 12, 0, 0))
YESTERDAY = b"%d" % ((NOW - 86400 + 11_644_473_600) * 10_000_000)


def lengthen(element: Element) -> bytes:
    """The element as Windows writes it: what is constructed has a length in four octets."""
    if element.children is None:
        return element.encode()
    content = b"".join(map(lengthen, element.children))
    return bytes([element.tag, 0x84]) + len(content).to_bytes(4, "big") + content


class Windows(Book):
    """A domain controller with alice."""

    refusals: dict[bytes, bytes]
    """The sub-code that a bind with the right password gets, by DN; 775 comes with any."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = {}
        self.add(
            ALICE, b"wonderland",
            sAMAccountName=[b"alice"], userPrincipalName=[b"alice@ad.example"],
            objectCategory=[b"person"], objectClass=[b"user"], userAccountControl=[b"512"],
            accountExpires=[NEVER], objectSid=[sid(21, 1, 2, 3, 1105)], primaryGroupID=[b"513"],
        )  # fmt: skip
        self.add(DOMAIN_USERS, distinguishedName=[DOMAIN_USERS])
        for group in (INNER, STAFF, CREW):
            self.add(group.encode(), distinguishedName=[group.encode()])

    def answer(self, server: Server, request: Request) -> bytes | None:
        octets = self._answer(server, request)
        return octets and b"".join(map(lengthen, elements(octets)))

    def _answer(self, server: Server, request: Request) -> bytes | None:
        if request.kind == "bind":
            self.asked.append(request)
            refusal = self.refusals.get(request.name)
            if self.passwords.get(request.name) != request.password and refusal != b"775":
                refusal = b"52e"
            if refusal is None:
                return bound(request.id)
            return bound(request.id, 49, REFUSED % refusal)
        if request.kind == "search" and request.name.startswith(b"<SID="):
            self.asked.append(request)
            if request.name != b"<SID=S-1-5-21-1-2-3-513>":
                return done(request.id, 32, b"0000208D: NameErr: DSID-03100241, problem 2001\n\0")
            found = self._is(request.filter, self.entries[DOMAIN_USERS])
            return (entry(request.id, DOMAIN_USERS) if found else b"") + done(request.id)
        octets = super().answer(server, request)
        if octets and request.kind == "search" and request.scope == 2:
            octets = reference(request.id) * 3 + octets
        return octets

    def _is(self, wanted: Any, attributes: dict[str, list[bytes]]) -> bool:
        if wanted[0] == "extensible":
            (_, rule), (_, name), (_, dn) = wanted[1:]
            assert (rule, name) == (IN_CHAIN, b"memberOf")
            return any(self._within(group, dn) for group in attributes.get("memberOf", []))
        return super()._is(wanted, attributes)

    def _within(self, group: bytes, dn: bytes) -> bool:
        above = self.entries[group].get("memberOf", [])
        return fold(group) == fold(dn) or any(self._within(one, dn) for one in above)


@pytest.fixture
def corp(tmp_path):
    corp = Corp(tmp_path, Windows())
    service = f"CN=svc,CN=Users,{DOMAIN}"
    corp.book.add(service.encode(), SECRET)
    return corp.set(preset="active-directory", base=DOMAIN, bind_dn=service)


def alice(corp):
    return corp.book.entries[ALICE]


# --- logins ---------------------------------------------------------------------------------------


def test_the_right_password_is_accepted_and_no_other(corp):
    assert corp.login("alice", b"wonderland") is MATCHES
    assert corp.login("alice", b"Wonderland") is MISMATCH
    assert corp.login("bob") is UNKNOWN
    assert corp.exists("alice") is model.USER_EXISTS
    assert corp.exists("bob") is UNKNOWN


def test_a_user_is_searched_for_by_account_name_among_people(corp):
    corp.login()
    (request,) = corp.searches
    assert (request.name, request.scope) == (DOMAIN.encode(), 2)
    assert request.filter == (
        "and",
        ("and", ("eq", b"objectCategory", b"person"), ("eq", b"objectClass", b"user")),
        ("eq", b"sAMAccountName", b"alice"),
    )
    assert request.attributes == (
        b"sAMAccountName", b"userAccountControl", b"accountExpires", b"userPrincipalName",
    )  # fmt: skip
    assert corp.binds == [ALICE]


@pytest.mark.parametrize(("sub_code", "outcome"), SUB_CODES.items())
def test_a_sub_code_is_the_reason_of_a_no(corp, sub_code, outcome):
    corp.book.refusals[ALICE] = sub_code.encode()
    assert corp.login() == outcome
    corp.book.refusals[ALICE] = sub_code.upper().encode()
    assert corp.login() == outcome
    assert corp.binds == [ALICE, ALICE]


def test_a_domain_controller_that_reaches_no_other_cannot_tell(corp, events):
    corp.book.refusals[ALICE] = b"51f"
    trace = Trace()
    assert corp.login(trace=trace) == unavailable(Reason.DIRECTORY_FAILED)
    words = "the server reaches no domain controller of the user's domain"
    assert trace.steps[-1] == ("fault", words)
    assert [event["words"] for event in events if "words" in event] == [words]
    assert corp.login("alice", b"wrong") is MISMATCH


@pytest.mark.parametrize("sub_code", [b"0", b"52f", b"569", b"80090346"])
def test_a_sub_code_that_is_not_known_is_a_refusal(corp, sub_code):
    corp.book.refusals[ALICE] = sub_code
    trace = Trace()
    assert corp.login(trace=trace) == rejected(Reason.LOGON_REFUSED)
    step, words = trace.steps[-1]
    assert step == "bind"
    assert f"AcceptSecurityContext error, data {sub_code.decode()}, v4563'" in words


def test_a_refusal_without_a_sub_code_is_a_wrong_password(corp):
    def answer(server, request):
        if request.name == ALICE and request.kind == "bind":
            return bound(request.id, 49)
        return corp.book.answer(server, request)

    corp.script(answer)
    assert corp.login() is MISMATCH


@pytest.mark.parametrize("sub_code", ["530", "531", "532", "533", "701", "773"])
def test_a_wrong_password_is_one_whatever_is_with_the_account(corp, sub_code):
    corp.book.refusals[ALICE] = sub_code.encode()
    assert corp.login("alice", b"wrong") is MISMATCH


def test_who_is_locked_out_is_with_any_password(corp):
    corp.book.refusals[ALICE] = b"775"
    for password in (b"wonderland", b"wrong"):
        assert corp.login("alice", password) == rejected(Reason.ACCOUNT_LOCKED)


def test_a_bind_without_tls_says_what_to_do(corp, events):
    def answer(server, request):
        if request.name == ALICE and request.kind == "bind":
            return bound(request.id, 8, b"00002028: LdapErr: DSID-0C090256, data 0, v4563\0")
        return corp.book.answer(server, request)

    corp.script(answer)
    trace = Trace()
    assert corp.login(trace=trace) == unavailable(Reason.DIRECTORY_REFUSED)
    assert "8 strongerAuthRequired, '00002028: " in trace.steps[-1][1]
    assert "(it wants TLS: ldaps://, or ldap:// with starttls = true)" in trace.steps[-1][1]
    (words,) = [event["words"] for event in events if "words" in event]
    assert words == trace.steps[-1][1]


# --- accounts -------------------------------------------------------------------------------------


DISABLED = {"userAccountControl": [b"514"]}, b"533", Reason.ACCOUNT_DISABLED
OVER = {"accountExpires": [YESTERDAY]}, b"701", Reason.ACCOUNT_EXPIRED


@pytest.mark.parametrize(("attributes", "sub_code", "reason"), [DISABLED, OVER])
def test_who_may_not_use_the_account_does_not_exist(corp, attributes, sub_code, reason):
    alice(corp).update(attributes)
    trace = Trace()
    assert corp.exists(trace=trace) == rejected(reason)
    ((name, (value,)),) = attributes.items()
    (told,) = [words for step, words in trace.steps if step == "account"]
    assert f"{name} {value.decode()}" in told
    assert corp.binds == []


@pytest.mark.parametrize(("attributes", "sub_code", "reason"), [DISABLED, OVER])
def test_a_login_to_such_an_account_is_judged_by_the_bind(corp, attributes, sub_code, reason):
    """So a wrong password is that: whoever guesses learns nothing of the account."""
    alice(corp).update(attributes)
    corp.book.refusals[ALICE] = sub_code
    assert corp.login() == rejected(reason)
    assert corp.login("alice", b"wrong") is MISMATCH
    assert corp.binds == [ALICE, ALICE]


def test_the_bind_has_the_last_word(corp):
    """An account that was enabled a moment ago is let in by the server that knows it."""
    alice(corp).update(DISABLED[0])
    assert corp.login() is MATCHES


@pytest.mark.parametrize("sub_code", [b"530", b"531", b"532", b"773", b"775"])
def test_who_has_to_wait_or_to_change_a_password_exists(corp, sub_code):
    corp.book.refusals[ALICE] = sub_code
    assert corp.exists() is model.USER_EXISTS


@pytest.mark.parametrize(
    "attributes",
    [{"userAccountControl": []}, {"userAccountControl": [b"x"]}, {"accountExpires": [b"never"]}],
)
def test_an_account_that_does_not_tell_cannot_be_told_to_exist(corp, attributes):
    alice(corp).update(attributes)
    assert corp.exists() == unavailable(Reason.DIRECTORY_FAILED)
    assert corp.login() is MATCHES  # the bind judges


# --- groups ---------------------------------------------------------------------------------------


def test_a_user_is_in_a_group_through_others(corp):
    alice(corp)["memberOf"] = [INNER.encode()]
    corp.book.entries[INNER.encode()]["memberOf"] = [STAFF.encode()]
    corp.set(require_groups=[STAFF])
    assert corp.login() is MATCHES
    assert [request.name for request in corp.searches] == [DOMAIN.encode(), ALICE]
    corp.set(require_groups=[CREW])
    assert corp.login() == rejected(Reason.NOT_IN_GROUP)
    assert corp.exists() == rejected(Reason.NOT_IN_GROUP)
    assert corp.binds == [ALICE]


@pytest.mark.parametrize("nested", [False, True])
def test_a_user_is_in_the_primary_group(corp, nested):
    if nested:
        corp.book.entries[DOMAIN_USERS]["memberOf"] = [STAFF.encode()]
    corp.set(require_groups=[STAFF if nested else DOMAIN_USERS.decode()])
    trace = Trace()
    assert corp.login(trace=trace) is MATCHES
    assert [request.name for request in corp.searches] == [
        DOMAIN.encode(), ALICE, b"<SID=S-1-5-21-1-2-3-513>",
    ]  # fmt: skip
    group = corp.given["require_groups"][0]
    told = [words for step, words in trace.steps if step == "group"]
    assert told == [
        f"nested-rule: {group}: no member, 0 success",
        f"primary group: {group}: a member, 0 success",
    ]


def test_groups_may_be_asked_without_the_rule(corp):
    alice(corp)["memberOf"] = [INNER.encode()]
    corp.book.entries[INNER.encode()].update(member=[ALICE], memberOf=[STAFF.encode()])
    corp.book.entries[STAFF.encode()]["member"] = [INNER.encode()]
    for way, in_inner, in_staff in (
        ({"group_membership": "memberof"}, MATCHES, rejected(Reason.NOT_IN_GROUP)),
        ({"group_membership": "search"}, MATCHES, rejected(Reason.NOT_IN_GROUP)),
        ({"group_membership": "search", "group_base": DOMAIN}, MATCHES, MATCHES),
    ):
        assert corp.set(**way, require_groups=[INNER]).login() == in_inner
        assert corp.set(**way, require_groups=[STAFF]).login() == in_staff
        corp.set(group_membership=None, group_base=None)


def test_a_group_may_be_one_for_each_domain(corp):
    group = f"CN=XMPP {corp.domain},OU=Groups,{DOMAIN}".encode()
    corp.book.add(group)
    alice(corp)["memberOf"] = [group]
    corp.set(require_groups=[f"CN=XMPP {{domain}},OU=Groups,{DOMAIN}"])
    assert corp.login() is MATCHES
    corp.domain = "other.example"
    assert corp.login() == rejected(Reason.NOT_IN_GROUP)


def test_an_identifier_that_is_none_cannot_tell(corp):
    alice(corp)["objectSid"] = [b"S-1-5-21"]
    corp.set(require_groups=[STAFF])
    assert corp.login() == unavailable(Reason.DIRECTORY_REFUSED)


@pytest.mark.parametrize("attribute", ["objectSid", "primaryGroupID"])
def test_an_account_that_may_not_read_a_primary_group_cannot_tell(corp, attribute):
    del alice(corp)[attribute]
    corp.set(require_groups=[STAFF])
    trace = Trace()
    assert corp.login(trace=trace) == unavailable(Reason.DIRECTORY_REFUSED)
    assert "there is no objectSid or primaryGroupID that bind_dn may read" in trace.steps[-1][1]
    alice(corp)["memberOf"] = [STAFF.encode()]
    assert corp.login() is MATCHES


def test_a_primary_group_that_is_not_found_cannot_tell(corp):
    alice(corp)["primaryGroupID"] = [b"514"]
    corp.set(require_groups=[STAFF])
    assert corp.login() == unavailable(Reason.DIRECTORY_REFUSED)


# --- names ----------------------------------------------------------------------------------------


def test_a_user_may_be_known_by_the_address(corp):
    corp.set(jid_attribute="userPrincipalName")
    corp.domain = "ad.example"
    assert corp.login() is MATCHES
    assert corp.searches[-1].filter[2] == (
        "or",
        ("eq", b"userPrincipalName", b"alice"),
        ("eq", b"userPrincipalName", b"alice@ad.example"),
    )
    assert corp.login("alice\\40ad.example") == rejected(Reason.NOT_CANONICAL)
    corp.domain = "example.org"
    assert corp.login("alice") is UNKNOWN
    assert corp.login("alice\\40ad.example") is MATCHES


SVC = f"CN=Service,CN=Users,{DOMAIN}"


def serve(corp, name, **given):
    """The account that searches is among the users, and is called so in the configuration."""
    corp.book.add(
        SVC.encode(), SECRET, sAMAccountName=[b"Svc"], userPrincipalName=[b"Svc@ad.example"],
        objectCategory=[b"person"], objectClass=[b"user"], userAccountControl=[b"512"],
    )  # fmt: skip
    corp.book.passwords[name.encode()] = SECRET
    corp.set(bind_dn=name, **given)


def is_nobodys(corp, user):
    for password in (SECRET, b"wrong"):
        assert corp.login(user, password) == rejected(Reason.SERVICE_ACCOUNT)
    assert corp.exists(user) == rejected(Reason.SERVICE_ACCOUNT)
    assert corp.binds == []


@pytest.mark.parametrize(
    "name",
    [SVC, SVC.lower(), "svc@ad.example", "SVC@AD.Example", "svc@AD", "AD\\svc", "ad\\SVC",
     "ad.example\\Svc"],
)  # fmt: skip
def test_the_service_account_is_nobodys_whatever_it_is_called(corp, name):
    serve(corp, name)
    is_nobodys(corp, "svc")
    assert corp.login() is MATCHES


@pytest.mark.parametrize("name", ["svc@ad.example", "AD\\svc"])
def test_who_is_called_nearly_like_the_service_account_is_somebody(corp, name):
    serve(corp, name)
    alice(corp)["sAMAccountName"] = [b"svc2"]
    assert corp.login("svc2") is MATCHES


@pytest.mark.parametrize("name", ["svc@ad.example", "AD\\svc"])
def test_the_service_account_is_nobodys_where_users_are_known_by_address(corp, name):
    serve(corp, name, jid_attribute="userPrincipalName")
    corp.domain = "ad.example"
    is_nobodys(corp, "svc")


@pytest.fixture
def direct(corp):
    return corp.set(base=None, bind_dn=None, bind_password_file=None)


FORMS = pytest.mark.parametrize(
    ("setting", "template", "name"),
    [
        ("user_upn", "{user}@ad.example", b"alice@ad.example"),
        ("user_logon_name", "AD\\{user}", b"AD\\alice"),
    ],
)


@FORMS
def test_a_logon_name_is_made_and_bound_to_without_a_search(direct, setting, template, name):
    direct.set(**{setting: template})
    direct.book.passwords[name] = b"wonderland"
    assert direct.login() is MATCHES
    assert direct.login("alice", b"wrong") is MISMATCH
    assert direct.searches == []
    assert direct.binds == [name, name]
    direct.book.refusals[name] = b"533"
    assert direct.login() == rejected(Reason.ACCOUNT_DISABLED)
    direct.book.refusals[name] = b"525"
    assert direct.login() is UNKNOWN
    assert direct.exists().verdict is Verdict.NOT_APPLICABLE


@FORMS
@pytest.mark.parametrize(
    "local",
    ["a\\40b", "a\\5cb", "a\\b", "a\\2fb", "a,b", "a=b", "a+b", "a;b", "a*", "a|b", "a[b", "a]b",
     "a?b", "a\\20b", "a\\22b", "a\\3ab", "\\3ca\\3e", "ä", "a\u3000b", "☃"],
)  # fmt: skip
def test_a_name_that_is_no_part_of_a_logon_name_reaches_nobody(
    direct, setting, template, name, local
):
    direct.set(**{setting: template})
    trace = Trace()
    assert direct.login(local, trace=trace) is UNKNOWN
    assert direct.network.attempts == []
    assert trace.steps[0][0] == "name"


def test_an_account_of_a_computer_is_a_name_like_any(direct):
    direct.set(user_logon_name="AD\\{user}")
    direct.book.passwords[b"AD\\host$"] = b"wonderland"
    assert direct.login("host$") is MATCHES


# --- conversations --------------------------------------------------------------------------------


def test_everything_was_said_in_long_lengths(corp):
    """As Windows writes them; Samba and OpenLDAP do not."""
    said = []

    def answer(server, request):
        octets = corp.book.answer(server, request)
        said.append((request.kind, octets))
        return octets

    corp.script(answer)
    alice(corp)["memberOf"] = [STAFF.encode()]
    corp.set(require_groups=[STAFF])
    assert corp.login() is MATCHES
    assert [kind for kind, _ in said] == ["bind", "search", "search", "bind"]
    for _, octets in said:
        assert octets[:4] == b"\x30\x84\0\0"
        assert octets.count(b"\x84\0\0") >= 2
    assert {attempt.host for attempt in corp.network.attempts} == {HOST}
