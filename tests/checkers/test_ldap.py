"""Users in a directory."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from authbridge import model
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain
from authbridge.checkers import CheckerSettings, Probed, Surroundings
from authbridge.checkers import ldap as kind
from authbridge.ldap.lookup import LookupSettings
from authbridge.ldap.names import LogonTemplate, NameTemplate
from authbridge.ldap.presets import PRESETS
from authbridge.log import LoginLog, LogSettings
from authbridge.model import Reason, Trace, Verdict, rejected, unavailable
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from tests.checkers.corp import (
    ALICE,
    BOB,
    CREW,
    HOST,
    PEOPLE,
    RECORD,
    SECRET,
    SERVICE,
    STAFF,
    TODAY,
    Corp,
    by_dns,
    read,
)
from tests.doubles import named_checker, now
from tests.ldap import server
from tests.ldap.server import Book, bound, done, entry, policy, reference

DAY = 86400

MATCHES, MISMATCH, UNKNOWN = model.PASSWORD_MATCHES, model.PASSWORD_MISMATCH, model.USER_UNKNOWN


@pytest.fixture
def corp(tmp_path):
    return Corp(tmp_path)


@pytest.fixture
def direct(corp):
    return corp.set(base=None, bind_dn=None, bind_password_file=None,
                    user_dn=f"uid={{user}},{PEOPLE.decode()}")  # fmt: skip


# --- settings -------------------------------------------------------------------------------------


def test_it_is_a_kind_of_checker_that_is_found_by_name(corp):
    mistakes = Mistakes()
    table = Table({"kind": "ldap", **corp.given}, "checkers.corp", mistakes, corp.folder)
    settings = CheckerSettings.read(table)
    assert list(mistakes) == []
    assert settings.kind is kind
    assert settings.knows_users
    assert isinstance(settings.make(Surroundings(corp.network, None, float, float)), Probed)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_search_a_dn_and_a_logon_name_are_ways_to_a_user(corp, preset):
    given = {"servers": ["ldaps://a"], "preset": preset}
    settings, mistakes = read(corp.folder, **given, base="dc=x")
    assert mistakes == []
    assert isinstance(settings.how, LookupSettings)
    assert settings.knows_users
    for direct, template in {
        "user_dn": ("uid={user},dc=x", NameTemplate),
        "user_upn": ("{user}@x", LogonTemplate),
        "user_logon_name": ("X\\{user}", LogonTemplate),
    }.items():
        settings, mistakes = read(corp.folder, **given, **{direct: template[0]})
        assert mistakes == []
        assert isinstance(settings.how, template[1])
        assert not settings.knows_users
        assert settings.preset is PRESETS[preset]


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"base": None}, "base: is missing"),
        ({"preset": "opendlap"}, 'preset: "opendlap" is not known; did you mean "openldap"?'),
        (
            {"preset": "activedirectory"},
            'preset: "activedirectory" is not known; did you mean "active-directory"?',
        ),
        ({"preset": "freeipa "}, 'did you mean "freeipa"?'),
        ({"preset": 389}, "preset: should be a string"),
        ({"preset": ""}, "preset: should be a string"),
        ({"exists_cache": "2h"}, "exists_cache: should be between 0 and 3600 seconds"),
        ({"exists_cache": "soon"}, "exists_cache: should be a duration"),
        ({"bind_password_file": None}, "bind_password_file: is missing"),
        ({"bind_dn": None}, "bind_password_file: is the password of bind_dn"),
        ({"filtr": "(a=b)"}, 'filtr: there is no such setting; did you mean "filter"?'),
        *(
            ({"bind_dn": name, "preset": preset}, f'bind_dn: "{name}": ')
            for name in ("svc@ad.example.org", "AD\\svc")
            for preset in PRESETS
            if preset != "active-directory"
        ),
        ({"bind_dn": "AD\\", "preset": "active-directory"}, 'bind_dn: "AD\\": '),
        ({"bind_dn": "svc", "preset": "active-directory"}, 'bind_dn: "svc": '),
        ({"user_dn": "uid=alice", "direct": True}, 'user_dn: "uid=alice": {user} stands'),
        ({"user_dn": "uid={user}x", "direct": True}, "is the whole value of an attribute"),
        ({"user_dn": "", "direct": True}, "user_dn: should be a string"),
        ({"user_upn": "{user}@a b", "direct": True}, 'user_upn: "{user}@a b": should be {user}@'),
        ({"user_upn": "X\\{user}x", "direct": True}, 'user_upn: "X\\{user}x": should be'),
        ({"user_upn": 1, "direct": True}, "user_upn: should be a string"),
        ({"user_logon_name": "{user}", "direct": True}, 'user_logon_name: "{user}": should be'),
        ({"user_logon_name": "", "direct": True}, "user_logon_name: should be a string"),
        ({"user_dn": "uid={user}", "user_upn": "{user}@x", "direct": True},
         "user_upn: contradicts user_dn"),
        ({"user_dn": "uid={user}", "user_logon_name": "X\\{user}", "direct": True},
         "user_logon_name: contradicts user_dn"),
        ({"user_upn": "{user}@x", "user_logon_name": "X\\{user}", "direct": True},
         "user_logon_name: contradicts user_upn"),
        ({"user_dn": "uid={user}", "bind_dn": SERVICE, "bind_password_file": "password",
          "direct": True, "two": True}, "bind_dn: belongs to a search, and user_dn binds without"),
        ({"user_upn": "{user}@x", "search_connections": 3, "direct": True}, "and user_upn binds"),
        ({"user_logon_name": "X\\{user}", "login": ["uid"], "direct": True},
         "login: belongs to a search, and user_logon_name binds without one"),
        ({"user_dn": "uid={user}", "base": "dc=x", "direct": True}, "belongs to a search"),
        ({"user_dn": "uid={user}", "filter": "(a=b)", "direct": True}, "belongs to a search"),
        ({"user_dn": "uid={user}", "require_groups": ["cn=x"], "direct": True}, "belongs to"),
        *(
            ({"user_upn": "{user}@x", name: value, "direct": True}, f"{name}: belongs to a search")
            for name, value in {
                "jid_attribute": "uid", "aliases": True, "group_membership": "search",
                "group_base": "dc=x", "group_depth": 3, "exists_cache": "1s", "new_users": "dc=x",
            }.items()
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_key(corp, given, mistake):
    given = dict(given)
    if given.pop("direct", False):
        given = {"base": None, "bind_dn": None, "bind_password_file": None, **given}
    lines = 2 if given.pop("two", False) else 1
    found = read(corp.folder, **{**corp.given, **given})[1]
    assert len(found) == lines
    assert found[0].startswith("checkers.corp.")
    assert mistake in found[0]


def test_a_mistake_in_a_preset_is_no_mistake_in_what_it_would_have_brought(corp):
    (line,) = read(corp.folder, **{**corp.given, "preset": "ad", "jid_attribute": "uid"})[1]
    assert line.startswith('checkers.corp.preset: "ad" is not known')


@pytest.mark.parametrize("name", ["svc@ad.example.org", "AD\\svc", SERVICE])
def test_a_service_account_of_windows_may_have_windows_names(corp, name):
    corp.book.passwords[name.encode()] = SECRET
    corp.set(preset="active-directory", bind_dn=name, filter="(objectClass=*)", jid_attribute="uid")
    corp.book.entries[ALICE]["userAccountControl"] = [b"512"]
    assert corp.login() is MATCHES
    assert corp.book.of("bind")[0].name == name.encode()


def test_nothing_is_connected_before_the_first_login_and_everything_is_closed_at_the_end(corp):
    corp.make()
    corp.network.settle(100)
    assert corp.network.attempts == []
    corp.login()
    (stop,) = corp.surroundings.at_stop
    stop()
    corp.network.settle()
    assert corp.network.open == []


# --- passwords ------------------------------------------------------------------------------------


def test_the_right_password_is_accepted_and_no_other(corp):
    assert corp.login("alice", b"wonderland") is MATCHES
    assert corp.login("alice", b"Wonderland") is MISMATCH
    assert corp.login("alice", b"builder") is MISMATCH
    assert corp.login("bob", b"builder") is MATCHES
    assert corp.login("carol", b"wonderland") is UNKNOWN


def test_a_user_who_is_not_found_is_not_bound(corp):
    corp.login("carol")
    assert corp.binds == []


def test_a_password_is_sent_as_it_came(corp):
    for password in (b"\xff\xfe", "pä ss".encode(), b" x ", b"x" * 40_000, b"*)(uid=*"):
        corp.book.passwords[ALICE] = password
        assert corp.login("alice", password) is MATCHES
        assert corp.login("alice", password + b"x") is MISMATCH


@pytest.mark.parametrize("code", [49, 48, 32])
def test_a_bind_that_is_refused_is_a_wrong_password(corp, code):
    corp.book.codes[ALICE] = code
    assert corp.login() is MISMATCH


@pytest.mark.parametrize("password", [b"wonderland", b"wrong"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(0, Reason.PASSWORD_EXPIRED), (1, Reason.ACCOUNT_LOCKED), (2, Reason.PASSWORD_MUST_CHANGE)],
)
def test_what_the_policy_says_is_the_reason_of_a_no(corp, password, error, reason):
    corp.book.controls[ALICE] = policy(error=error)
    assert corp.login("alice", password) == rejected(reason)


def test_a_right_password_that_has_to_be_changed_is_a_no(corp):
    """The result code is 0 then: without its control it looks like a yes."""
    corp.book.controls[ALICE] = policy(error=2)
    assert corp.login() == rejected(Reason.PASSWORD_MUST_CHANGE)


def test_a_grace_login_is_a_yes_that_says_so(corp):
    corp.book.controls[ALICE] = policy(grace=1)
    assert corp.login() == model.Outcome(Verdict.ACCEPTED, Reason.PASSWORD_MATCHES_GRACE)
    assert corp.login("alice", b"wrong") is MISMATCH


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, Reason.DIRECTORY_FAILED) for code in (1, 3, 11, 51, 52, 80)),
        *((code, Reason.DIRECTORY_REFUSED) for code in (2, 4, 7, 8, 10, 13, 14, 19, 34, 50, 53)),
        (4711, Reason.DIRECTORY_REFUSED),
    ],
)
def test_a_bind_that_says_nothing_of_the_user_cannot_tell(corp, code, reason):
    corp.book.codes[ALICE] = code
    assert corp.login() == unavailable(reason)
    assert corp.binds == [ALICE]


def test_a_bind_is_never_sent_twice(direct):
    direct.script(lambda server, _: server.transport.peer.drop())
    assert direct.login(seconds=10) == unavailable(Reason.DIRECTORY_UNREACHABLE)
    assert [server.kinds for server in direct.network.servers] == [["bind"]]


def test_a_search_is_sent_once_more_where_its_connection_broke(corp):
    def break_once(server, request):
        if request.kind == "search" and not corp.searches:
            corp.book.asked.append(request)
            server.transport.peer.drop()
            return None
        return corp.book.answer(server, request)

    corp.script(break_once)
    assert corp.login() is MATCHES
    assert len(corp.searches) == 2


# --- entries --------------------------------------------------------------------------------------


def test_two_entries_are_no_user(corp):
    corp.book.add(b"uid=Alice,ou=more," + PEOPLE, b"wonderland", uid=[b"Alice"])
    assert corp.login() == rejected(Reason.USER_AMBIGUOUS)
    assert corp.exists() == rejected(Reason.USER_AMBIGUOUS)
    assert corp.binds == []


@pytest.mark.parametrize("found", [0, 1, 2])
def test_a_search_that_was_cut_short_is_ambiguous_whatever_it_found(corp, found):
    def answer(_, request):
        if request.kind == "bind":
            return bound(request.id)
        entries = [entry(request.id, ALICE, {"uid": [b"alice"]})] * found
        return b"".join(entries) + done(request.id, 4)

    corp.script(answer)
    assert corp.login() == rejected(Reason.USER_AMBIGUOUS)
    assert [server.kinds for server in corp.network.servers] == [["bind", "search"]]


def test_a_directory_that_has_no_ear_for_limits_is_ambiguous_too(corp):
    def answer(_, request):
        if request.kind == "bind":
            return bound(request.id)
        entries = (entry(request.id, b"uid=%d" % n, {"uid": [b"alice"]}) for n in range(50))
        return b"".join(entries) + done(request.id)

    corp.script(answer)
    assert corp.login() == rejected(Reason.USER_AMBIGUOUS)


@pytest.mark.parametrize("dn", [
    b"uid=alice\\2cx," + PEOPLE, b"uid=\xff\xfe," + PEOPLE, b"UID=Alice ," + PEOPLE,
    b"cn=#0403616263," + PEOPLE, b"1.2.3=x," + PEOPLE, "uid=älice,".encode() + PEOPLE,
])  # fmt: skip
def test_the_dn_is_sent_back_as_it_came(corp, dn):
    corp.book.entries.pop(ALICE)
    corp.book.add(dn, b"wonderland", uid=[b"alice"])
    assert corp.login() is MATCHES
    assert corp.binds == [dn]


def test_an_entry_without_a_dn_is_nobody_who_could_be_bound(corp):
    def answer(_, request):
        if request.kind == "bind":
            return bound(request.id)
        return entry(request.id, b"", {"uid": [b"alice"]}) + done(request.id)

    corp.script(answer)
    assert corp.login() == unavailable(Reason.DIRECTORY_FAILED)
    assert corp.exists() == unavailable(Reason.DIRECTORY_FAILED)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, Reason.DIRECTORY_FAILED) for code in (1, 3, 11, 51, 52, 80)),
        *((code, Reason.DIRECTORY_REFUSED) for code in (2, 7, 8, 10, 13, 32, 34, 49, 50, 53, 99)),
    ],
)
def test_a_search_that_is_refused_cannot_tell(corp, code, reason):
    corp.book.search_result = code, b""
    assert corp.login() == unavailable(reason)
    assert corp.exists() == unavailable(reason)
    assert corp.binds == []


def test_an_entry_that_came_with_a_refusal_does_not_count(corp):
    def answer(_, request):
        if request.kind == "bind":
            return bound(request.id)
        return entry(request.id, ALICE, {"uid": [b"alice"]}) + done(request.id, 52)

    corp.script(answer)
    assert corp.login() == unavailable(Reason.DIRECTORY_FAILED)


def test_a_referral_is_not_followed(corp):
    elsewhere = server.referral(b"ldap://192.0.2.66/dc=x", b"ldap://192.0.2.67/dc=x")

    def answer(_, request):
        if request.kind == "bind":
            return bound(request.id)
        return done(request.id, 10, b"", elsewhere)

    corp.script(answer)
    for host in ("192.0.2.66", "192.0.2.67"):
        corp.network.listen(host)
    assert corp.login() == unavailable(Reason.DIRECTORY_REFUSED)
    assert {attempt.host for attempt in corp.network.attempts} == {HOST}


def test_references_beside_an_entry_are_ignored(corp):
    def answer(server, request):
        octets = corp.book.answer(server, request)
        return reference(request.id) + octets if request.kind == "search" else octets

    corp.script(answer)
    assert corp.login() is MATCHES
    assert {attempt.host for attempt in corp.network.attempts} == {HOST}


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"Alice", b"ALICE", "ａlice".encode()])
def test_an_entry_may_spell_the_name_as_it_likes(corp, value):
    corp.book.entries[ALICE]["uid"] = [value]
    assert corp.login() is MATCHES


@pytest.mark.parametrize("value", [b"alice ", b" alice", b"  alice", "alice\u3000".encode()])
def test_an_entry_that_answers_to_the_name_and_has_another_is_refused(corp, value):
    corp.book.entries[ALICE]["uid"] = [value]
    assert corp.login() == rejected(Reason.NOT_CANONICAL)
    assert corp.exists() == rejected(Reason.NOT_CANONICAL)
    assert corp.binds == []


@pytest.mark.parametrize("local", ["Alice", "ALICE", "ａlice"])
def test_a_spelling_that_was_not_prepared_is_another_user(corp, local):
    assert corp.login(local) == rejected(Reason.NOT_CANONICAL)


@pytest.mark.parametrize("local", ["alice\\20", "\\20alice"])
def test_a_blank_at_an_end_is_nobodys(corp, local):
    assert corp.login(local) is UNKNOWN
    assert corp.searches == []


@pytest.mark.parametrize("local", ["a\\5cb", "\\27\\20", "alice\\5c"])
def test_an_escape_that_has_another_spelling_is_nobodys(corp, local):
    assert corp.login(local) is UNKNOWN
    assert corp.exists(local) is UNKNOWN
    assert corp.searches == []


def test_an_entry_with_several_names_is_no_jid_unless_each_may_be_one(corp):
    corp.book.entries[ALICE]["uid"] = [b"al", b"Alice"]
    trace = Trace()
    assert corp.login(trace=trace) == rejected(Reason.NOT_CANONICAL)
    assert ("name", "its uid is not alice alone") in trace.steps
    assert trace.steps[-1] == ("bind", "none: the password was not tried")
    assert corp.login("al") == rejected(Reason.NOT_CANONICAL)
    corp.set(aliases=True)
    assert corp.login() is MATCHES
    assert corp.login("al") is MATCHES


def test_an_address_may_be_of_a_domain_in_any_spelling(corp):
    """ACE, as a directory is likely to have it, is found by the JID's own spelling with aliases."""
    corp.set(login=["mail"], jid_attribute="mail")
    corp.domain = "bücher.example"
    corp.book.entries[ALICE]["mail"] = ["al@BÜCHER.example".encode()]
    assert corp.login("al") is MATCHES
    assert corp.login("al\\40bücher.example") == rejected(Reason.NOT_CANONICAL)
    corp.set(login=["cn"])
    corp.book.entries[ALICE].update(mail=[b"al@xn--bcher-kva.example"], cn=[b"al"])
    assert corp.login("al") is MATCHES


def test_a_name_that_a_jid_escapes_is_searched_for_as_it_is(corp):
    names = [b"o'brien", b"a b", b"a@b", b"a/b", b'a"b', b"a&b", b"a:b", b"<a>", b"a\\20b"]
    locals_ = ["o\\27brien", "a\\20b", "a\\40b", "a\\2fb", "a\\22b", "a\\26b", "a\\3ab",
               "\\3ca\\3e", "a\\5c20b"]  # fmt: skip
    for number, (name, local) in enumerate(zip(names, locals_, strict=True)):
        dn = b"uid=%d," % number + PEOPLE
        corp.book.add(dn, b"wonderland", uid=[name])
        assert corp.login(local) is MATCHES
        assert corp.searches[-1].filter == ("eq", b"uid", name)


@pytest.mark.parametrize("local", ["*", "a*", "*)(uid=*", "a)(b", "a\\b", "a(b", "x)(|(uid=*"])
def test_what_means_something_in_a_filter_finds_nobody(corp, local):
    assert corp.login(local) is UNKNOWN
    assert corp.searches[-1].filter == ("eq", b"uid", local.encode())


def test_another_login_attribute_finds_an_entry_and_does_not_name_it(corp):
    corp.book.entries[ALICE]["cn"] = [b"al@x"]
    corp.set(login=["uid", "cn"])
    assert corp.login() is MATCHES
    assert corp.login("al\\40x") == rejected(Reason.NOT_CANONICAL)
    corp.set(aliases=True)
    assert corp.login("al\\40x") is MATCHES
    assert corp.login() is MATCHES


def test_an_address_of_the_domain_stands_for_what_is_before_it(corp):
    """al@example.org is al of example.org, and not al\\40example.org of it as well."""
    corp.set(login=["mail"], jid_attribute="mail")
    assert corp.login("al") is MATCHES
    assert corp.searches[-1].filter == (
        "or", ("eq", b"mail", b"al"), ("eq", b"mail", b"al@example.org"),
    )  # fmt: skip
    assert corp.exists("al") is model.USER_EXISTS
    assert corp.login("al\\40example.org") == rejected(Reason.NOT_CANONICAL)
    corp.book.entries[ALICE]["mail"] = [b"Al@Example.ORG"]
    assert corp.login("al") is MATCHES


def test_an_address_of_another_domain_stands_for_all_of_it(corp):
    corp.set(login=["mail"], jid_attribute="mail")
    corp.domain = "other.example"
    assert corp.login("al") is UNKNOWN
    assert corp.login("al\\40example.org") is MATCHES


def test_two_who_have_a_name_by_address_and_without_are_ambiguous(corp):
    """Not one of them, whichever came first."""
    corp.book.entries[BOB]["mail"] = [b"al"]
    corp.set(login=["mail"], jid_attribute="mail")
    assert corp.login("al") == rejected(Reason.USER_AMBIGUOUS)
    assert corp.binds == []


def test_one_account_is_one_jid_where_it_is_found_by_its_address(corp):
    corp.set(login=["uid", "mail"])
    assert corp.login("al") == rejected(Reason.NOT_CANONICAL)
    assert corp.login("alice") is MATCHES
    corp.set(aliases=True)
    assert corp.login("al") is MATCHES
    assert corp.login("al\\40example.org") == rejected(Reason.NOT_CANONICAL)


def test_a_filter_keeps_others_out(corp):
    corp.book.entries[ALICE]["ou"] = [b"staff"]
    corp.set(filter="(ou=staff)")
    assert corp.login() is MATCHES
    assert corp.login("bob", b"builder") is UNKNOWN


# --- accounts and groups --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [{"shadowExpire": [b"%d" % (TODAY // DAY)]}, {"pwdEndTime": [b"20261122120000Z"]}],
)
def test_an_account_that_is_over_is_nobody(corp, attributes):
    corp.book.entries[ALICE].update(attributes)
    trace = Trace()
    assert corp.login(trace=trace) == rejected(Reason.ACCOUNT_EXPIRED)
    ((name, values),) = attributes.items()
    (told,) = [words for step, words in trace.steps if step == "account"]
    assert told == f"{name} {values[0].decode()}"
    assert corp.exists() == rejected(Reason.ACCOUNT_EXPIRED)
    assert corp.binds == []
    corp.wall -= DAY
    assert corp.login() is MATCHES


def test_an_expiry_is_explained_beside_a_date_that_is_no_text(corp):
    corp.book.entries[ALICE].update(shadowExpire=[b"1"], pwdEndTime=[b"\xff"])
    assert corp.login(trace=Trace()) == rejected(Reason.ACCOUNT_EXPIRED)


def test_a_date_that_cannot_be_read_cannot_tell(corp):
    corp.book.entries[ALICE]["pwdEndTime"] = [b"next year"]
    assert corp.login() == unavailable(Reason.DIRECTORY_FAILED)


INACTIVATED = b"Account inactivated. Contact system administrator."


def netscape(corp, code, text):
    """A server that refuses to bind alice, whatever the password, as 389 does."""

    def answer(server, request):
        if request.kind == "bind" and request.name == ALICE:
            corp.book.asked.append(request)
            return bound(request.id, code, text, policy(error=1))
        return corp.book.answer(server, request)

    corp.script(answer)


@pytest.mark.parametrize("preset", ["389", "freeipa"])
@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (53, INACTIVATED, Reason.ACCOUNT_DISABLED),
        (19, b"Exceed password retry limit. Please try later.", Reason.ACCOUNT_LOCKED),
        (53, b"Account (Kerberos principal) is expired", Reason.ACCOUNT_EXPIRED),
        (53, b"Too many failed logins.\n", Reason.ACCOUNT_LOCKED),
        (49, b"Password is expired.\n", Reason.PASSWORD_EXPIRED),
    ],
)
def test_389_and_freeipa_say_in_words_why_somebody_may_not_log_in(corp, preset, code, text, reason):
    netscape(corp, code, text)
    corp.set(preset=preset, filter="(objectClass=*)")
    assert corp.login() == rejected(reason)
    assert corp.binds == [ALICE]


@pytest.mark.parametrize("preset", ["openldap", "lldap"])
def test_the_same_words_of_another_server_are_a_refusal_of_ours(corp, preset):
    netscape(corp, 53, INACTIVATED)
    corp.set(preset=preset, filter="(objectClass=*)")
    assert corp.login() == unavailable(Reason.DIRECTORY_REFUSED)


@pytest.mark.parametrize(
    ("preset", "attributes", "reason"),
    [
        ("389", {"nsAccountLock": [b"true"]}, Reason.ACCOUNT_DISABLED),
        ("freeipa", {"nsAccountLock": [b"TRUE"]}, Reason.ACCOUNT_DISABLED),
        ("freeipa", {"krbPrincipalExpiration": [b"20261122115959Z"]}, Reason.ACCOUNT_EXPIRED),
    ],
)
def test_who_may_not_use_an_account_does_not_exist_and_is_bound_all_the_same(
    corp, preset, attributes, reason
):
    """The server refuses the bind; the filter is none that an account's state is hidden by."""
    corp.book.entries[ALICE].update(attributes)
    corp.set(preset=preset, filter="(objectClass=*)")
    assert corp.exists() == rejected(reason)
    assert corp.binds == []
    assert corp.login() is MATCHES
    assert corp.login("alice", b"wrong") is MISMATCH
    netscape(corp, 53, INACTIVATED)
    corp.make()
    assert corp.login() == rejected(Reason.ACCOUNT_DISABLED)


def test_an_expiration_of_freeipa_that_is_to_come_keeps_nobody_out(corp):
    corp.book.entries[ALICE]["krbPrincipalExpiration"] = [b"20261122120001Z"]
    corp.set(preset="freeipa", filter="(objectClass=*)")
    assert corp.exists() is model.USER_EXISTS


def test_lldap_has_no_such_thing_as_a_state(corp):
    corp.book.entries[ALICE].update(
        objectClass=[b"person"], shadowExpire=[b"0"], nsAccountLock=[b"true"]
    )
    corp.set(preset="lldap")
    assert corp.login() is MATCHES
    assert corp.exists() is model.USER_EXISTS
    assert corp.searches[0].attributes == (b"uid",)


def test_only_openldap_keeps_out_before_the_bind_who_may_not_use_an_account(corp):
    """slapd lets them in by a bind."""
    corp.book.entries[ALICE]["shadowExpire"] = [b"0"]
    assert corp.login() == rejected(Reason.ACCOUNT_EXPIRED)
    assert corp.login("alice", b"wrong") == rejected(Reason.ACCOUNT_EXPIRED)
    assert corp.binds == []


GROUPS = {"member": ALICE, "uniqueMember": ALICE, "memberUid": b"alice"}


@pytest.mark.parametrize("attribute", GROUPS)
def test_a_group_may_name_its_members_in_three_ways(corp, attribute):
    corp.book.add(CREW.encode())
    corp.book.add(STAFF.encode(), **{attribute: [GROUPS[attribute]]})
    corp.set(require_groups=[CREW, STAFF])
    assert corp.login() is MATCHES
    assert corp.login("bob", b"builder") == rejected(Reason.NOT_IN_GROUP)
    assert corp.exists("bob") == rejected(Reason.NOT_IN_GROUP)
    assert corp.binds == [ALICE]


def test_the_first_group_that_has_the_user_is_enough(corp):
    corp.book.add(STAFF.encode(), member=[ALICE])
    corp.set(require_groups=[STAFF, CREW])
    assert corp.login() is MATCHES
    assert [request.name for request in corp.searches] == [PEOPLE, STAFF.encode()]


def test_a_group_is_asked_for_the_name_as_the_entry_spells_it(corp):
    """memberUid heeds case (RFC 2307)."""
    corp.book.entries[ALICE]["uid"] = [b"Alice"]
    corp.book.add(STAFF.encode(), memberUid=[b"Alice"])
    corp.set(require_groups=[STAFF])
    assert corp.login() is MATCHES
    assert corp.searches[-1].filter[-1] == ("eq", b"memberUid", b"Alice")


def test_membership_may_be_in_the_users_entry(corp):
    corp.book.entries[ALICE]["memberOf"] = [CREW.upper().encode()]
    corp.set(require_groups=[STAFF, CREW], group_membership="memberof")
    assert corp.login() is MATCHES
    assert corp.login("bob", b"builder") == rejected(Reason.NOT_IN_GROUP)


def test_a_user_may_be_in_a_group_through_others(corp):
    inner = "cn=inner,ou=groups,dc=example,dc=org"
    corp.book.add(inner.encode(), uniqueMember=[ALICE])
    corp.book.add(STAFF.encode(), member=[inner.encode()])
    corp.set(require_groups=[STAFF])
    assert corp.login() == rejected(Reason.NOT_IN_GROUP)
    corp.set(group_base="ou=groups,dc=example,dc=org")
    trace = Trace()
    assert corp.login(trace=trace) is MATCHES
    assert [words for step, words in trace.steps if step == "group"] == [
        f"{STAFF}: no member, 0 success",
        f"groups on level 1: {inner}",
        f"{STAFF}: a member, 0 success",
    ]
    assert corp.login("bob", b"builder") == rejected(Reason.NOT_IN_GROUP)
    assert corp.exists() is model.USER_EXISTS


def test_a_group_may_be_one_for_each_domain(corp):
    corp.book.add(b"cn=staff,ou=example.org,dc=example,dc=org", member=[ALICE])
    corp.book.add(b"cn=staff,ou=other.example,dc=example,dc=org")
    corp.set(require_groups=["cn=staff,ou={domain},dc=example,dc=org"])
    assert corp.login() is MATCHES
    corp.domain = "other.example"
    assert corp.login() == rejected(Reason.NOT_IN_GROUP)


def test_an_outage_between_two_groups_cannot_tell(corp):
    corp.set(require_groups=[STAFF, CREW])
    corp.book.add(CREW.encode(), member=[ALICE])
    corp.book.add(STAFF.encode())

    def answer(server, request):
        return None if request.name == STAFF.encode() else corp.book.answer(server, request)

    corp.script(answer)
    assert corp.login(seconds=4) == unavailable(Reason.DIRECTORY_SILENT)
    assert corp.binds == []


def test_a_login_is_asked_about_at_one_server(corp):
    """What is new may not be known everywhere yet, and then the password is not either."""
    other = Book(entries=dict(corp.book.entries), passwords=dict(corp.book.passwords))
    other.add(STAFF.encode(), member=[ALICE])
    corp.network.listen("192.0.2.2", answer=other.answer)
    corp.set(servers=[f"ldap://{HOST}", "ldap://192.0.2.2"], require_groups=[STAFF])
    corp.book.search_result = 32, b""
    corp.book.passwords[ALICE] = b"before"
    assert corp.login() is MATCHES
    assert [request.name for request in corp.searches] == [PEOPLE]
    assert corp.binds == []
    assert [request.name for request in other.of("search")] == [PEOPLE, STAFF.encode()]


def without(corp, *groups):
    """A directory in which these groups are not there."""

    def answer(server, request):
        if request.name.decode() in groups:
            corp.book.asked.append(request)
            return done(request.id, 32)
        return corp.book.answer(server, request)

    corp.script(answer)


def test_a_group_that_cannot_be_asked_cannot_tell(corp):
    corp.set(require_groups=[STAFF, CREW])
    corp.book.add(CREW.encode())
    without(corp, STAFF)
    trace = Trace()
    assert corp.login(trace=trace) == unavailable(Reason.DIRECTORY_REFUSED)
    told = [words for step, words in trace.steps if STAFF in words]
    refused = f"the server refused a search for {STAFF}: 32 noSuchObject (it is not there"
    assert told[0].startswith(f"{STAFF}: ldap://{HOST}:389: {refused}")
    assert trace.steps[-1] == ("fault", told[0].removeprefix(f"{STAFF}: "))
    assert corp.binds == []


def test_a_group_that_cannot_be_asked_is_named_in_the_log(corp, events):
    corp.set(require_groups=[STAFF])
    without(corp, STAFF)
    corp.login()
    (words,) = told(events)
    assert STAFF in words


def test_a_group_that_cannot_be_asked_keeps_nobody_out_who_is_in_another(corp):
    corp.set(require_groups=[STAFF, CREW])
    corp.book.add(CREW.encode(), member=[ALICE])
    without(corp, STAFF)
    assert corp.login() is MATCHES
    assert corp.login("bob", b"builder") == unavailable(Reason.DIRECTORY_REFUSED)


# --- the service account --------------------------------------------------------------------------


@pytest.mark.parametrize("spell", [bytes, bytes.upper])
def test_the_service_account_is_nobodys_to_log_in_with(corp, spell):
    """A few wrong passwords for it would keep out everybody."""
    account = b"uid=service," + PEOPLE
    corp.book.add(spell(b"uid=service") + b"," + PEOPLE, SECRET, uid=[b"service"])
    corp.book.passwords[account] = SECRET
    corp.set(bind_dn=account.decode())
    for password in (SECRET, b"wrong"):
        trace = Trace()
        assert corp.login("service", password, trace) == rejected(Reason.SERVICE_ACCOUNT)
        assert trace.steps[-1] == ("bind", "none: the password was not tried")
    assert corp.exists("service") == rejected(Reason.SERVICE_ACCOUNT)
    assert [one.name for one in corp.book.of("bind")] == [account]
    assert corp.login() is MATCHES


@pytest.mark.parametrize("dn", ["uid=service, ou=people,dc=example,dc=org",
                                "uid = service,ou=people,dc=example,dc=org"])  # fmt: skip
def test_blanks_in_bind_dn_make_no_other_account_of_it(corp, dn):
    corp.book.add(b"uid=service," + PEOPLE, SECRET, uid=[b"service"])
    corp.book.passwords[dn.encode()] = SECRET
    corp.set(bind_dn=dn)
    assert corp.login("service", b"wrong") == rejected(Reason.SERVICE_ACCOUNT)


def test_who_searches_anonymously_has_no_account_that_could_be_locked(corp):
    corp.set(bind_dn=None, bind_password_file=None)
    assert corp.login() is MATCHES
    assert corp.exists() is model.USER_EXISTS


# --- existence ------------------------------------------------------------------------------------


def test_existence_is_told_by_a_search_alone(corp):
    assert corp.exists() is model.USER_EXISTS
    assert corp.exists("carol") is UNKNOWN
    assert corp.binds == []


def test_who_has_only_to_wait_or_to_change_a_password_exists(corp):
    corp.book.controls[ALICE] = policy(error=1)
    assert corp.exists() is model.USER_EXISTS


def test_an_answer_is_kept_for_a_while(corp):
    for user, outcome in (("alice", model.USER_EXISTS), ("carol", UNKNOWN)):
        before = len(corp.searches)
        for _ in range(3):
            assert corp.exists(user) is outcome
        assert len(corp.searches) == before + 1
    corp.network.settle(9.9)
    corp.exists()
    assert len(corp.searches) == 2
    corp.network.settle(0.1)
    corp.book.entries.pop(ALICE)
    assert corp.exists() is UNKNOWN
    assert len(corp.searches) == 3


def test_nothing_is_kept_where_the_settings_say_so(corp):
    corp.set(exists_cache="0s")
    corp.exists()
    corp.exists()
    assert len(corp.searches) == 2


def test_that_nothing_could_be_told_is_not_kept(corp):
    corp.book.search_result = 52, b""
    assert corp.exists() == unavailable(Reason.DIRECTORY_FAILED)
    corp.book.search_result = 0, b""
    assert corp.exists() is model.USER_EXISTS


def test_nobody_exists_or_not_during_an_outage(corp):
    down(corp)
    for _ in range(3):  # the first waits, the others are told at once
        assert corp.exists() == unavailable(Reason.DIRECTORY_UNREACHABLE)
    corp.network.listen(HOST, answer=corp.book.answer)
    corp.network.settle(1)
    assert corp.exists() is model.USER_EXISTS


def test_a_login_neither_reads_nor_makes_what_is_kept(corp):
    corp.login()
    corp.exists()
    corp.book.entries.pop(ALICE)
    assert corp.login() is UNKNOWN
    assert corp.exists() is model.USER_EXISTS


def test_who_asked_longest_ago_is_forgotten_first(corp, monkeypatch):
    monkeypatch.setattr(kind, "MOST_CACHED", 2)
    for user in ("alice", "bob", "carol"):
        corp.exists(user)
    asked = len(corp.searches)
    corp.exists("bob")
    corp.exists("carol")
    assert len(corp.searches) == asked
    corp.exists("alice")
    assert len(corp.searches) == asked + 1


def test_who_is_asked_for_again_is_not_the_oldest_any_more(corp, monkeypatch):
    monkeypatch.setattr(kind, "MOST_CACHED", 2)
    corp.exists("alice")
    corp.exists("bob")
    corp.network.settle(10)
    corp.exists("alice")
    corp.exists("carol")  # in bob's place
    asked = len(corp.searches)
    corp.exists("alice")
    assert len(corp.searches) == asked


def test_an_explanation_asks_anew_and_tells_what_is_kept(corp):
    corp.exists()
    corp.network.settle(4)
    trace = Trace()
    assert corp.exists(trace=trace) is model.USER_EXISTS
    assert trace.steps[0] == ("cache", "user_exists, for 6.0 s; asked anew")
    assert len(corp.searches) == 2


# --- without a search -----------------------------------------------------------------------------


def test_a_dn_is_made_and_bound_to_without_a_search(direct):
    assert direct.login() is MATCHES
    assert direct.login("alice", b"wrong") is MISMATCH
    assert direct.login("carol") is MISMATCH
    assert direct.searches == []
    assert direct.binds == [ALICE, ALICE, b"uid=carol," + PEOPLE]


@pytest.mark.parametrize(
    ("local", "value"),
    [
        ("a\\20b", b"a\\20b"),
        ("a,b", b"a\\2cb"),
        ("a+b", b"a\\2bb"),
        ("a=b", b"a\\3db"),
        ("a;b", b"a\\3bb"),
        ("#a", b"\\23a"),
        ("\\3ca\\3e", b"\\3ca\\3e"),
        ("a\\22b", b"a\\22b"),
        ("a\\27b", b"a\\27b"),
        ("a\\b", b"a\\5cb"),
        ("a\\5c20b", b"a\\5c20b"),
        ("a\\40b", b"a@b"),
        ("a*(b)", b"a\\2a\\28b\\29"),
        ("ä", b"\\c3\\a4"),
        ("a,ou=x", b"a\\2cou\\3dx"),
        ("a-b_c.d", b"a-b_c.d"),
    ],
)
def test_whatever_is_in_a_name_stays_in_its_dn(direct, local, value):
    direct.login(local)
    assert direct.binds == [b"uid=" + value + b"," + PEOPLE]


@pytest.mark.parametrize("local", ["a\\20\\20b", "\\20a", "a\\20", "a\\5cb"])
def test_a_name_that_a_directory_would_take_for_anothers_reaches_nobody(direct, local):
    trace = Trace()
    assert direct.login(local, trace=trace) is UNKNOWN
    assert direct.network.attempts == []
    assert trace.steps[0][0] == "name"


@pytest.mark.parametrize(
    ("setting", "template", "name"),
    [
        ("user_upn", "{user}@corp.example.org", b"alice@corp.example.org"),
        ("user_logon_name", "CORP\\{user}", b"CORP\\alice"),
    ],
)
def test_a_logon_name_is_made_and_bound_to(direct, setting, template, name):
    """More of them in test_ldap_active_directory."""
    direct.set(user_dn=None, **{setting: template})
    direct.book.passwords[name] = b"wonderland"
    assert direct.login() is MATCHES
    assert direct.login("alice", b"wrong") is MISMATCH
    assert direct.login("a\\40b") is UNKNOWN
    assert direct.binds == [name, name]


def test_without_a_search_it_cannot_tell_who_exists(direct):
    outcome = direct.exists()
    assert (outcome.verdict, outcome.reason) == (Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)
    assert direct.network.attempts == []


# --- outages --------------------------------------------------------------------------------------


def hung(corp):
    corp.network.places[HOST, 389] = server.Server


def down(corp):
    del corp.network.places[HOST, 389]


def gibberish(corp):
    corp.script(lambda _, request: b"HTTP/1.1 400 Bad Request")


def refusing(corp):
    corp.book.passwords[SERVICE.encode()] = b"another"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (hung, Reason.DIRECTORY_SILENT),
        (down, Reason.DIRECTORY_UNREACHABLE),
        (gibberish, Reason.DIRECTORY_FAILED),
        (refusing, Reason.SERVICE_ACCOUNT_REFUSED),
    ],
)
def test_an_outage_is_no_wrong_password(corp, spoil, reason):
    spoil(corp)
    trace = Trace()
    assert corp.login(trace=trace, seconds=4) == unavailable(reason)
    assert trace.steps[-1][0] == "fault"


def test_a_server_that_stops_between_search_and_bind_is_an_outage(direct):
    assert direct.login() is MATCHES
    hung(direct)
    direct.network.servers[0].transport.peer.drop()
    assert direct.login(seconds=4) == unavailable(Reason.DIRECTORY_SILENT)


def test_more_logins_than_may_wait_are_an_outage_at_once(corp):
    hung(corp)
    corp.set(most_waiting=3)
    answers = [corp.begin("alice") for _ in range(5)]
    assert [answer.called for answer in answers] == [False] * 3 + [True] * 2
    assert now(answers[4]) == unavailable(Reason.OVERLOADED)


def test_after_an_outage_it_answers_again(corp):
    down(corp)
    corp.login()
    corp.network.listen(HOST, answer=corp.book.answer)
    corp.network.settle(1)
    assert corp.login() is MATCHES


def test_a_login_that_is_given_up_leaves_nothing_behind(corp):
    hung(corp)
    answer = corp.begin("alice")
    answer.addErrback(lambda _: None)
    corp.network.settle()
    answer.cancel()
    corp.surroundings.at_stop[0]()
    corp.network.settle()
    assert corp.network.open == []


def test_a_login_that_is_given_up_during_its_bind_drops_that_connection(direct):
    hung(direct)
    answer = direct.begin("alice")
    answer.addErrback(lambda _: None)
    direct.network.settle()
    (server,) = direct.network.servers
    assert server.kinds == ["bind"]
    answer.cancel()
    direct.network.settle()
    assert server.lost


def test_an_authenticators_deadline_ends_a_login_at_a_hung_directory(direct):
    hung(direct)
    named = (named_checker("corp", direct.make()),)
    login_log = LoginLog(LogSettings(), lambda _: None, lambda: 0.0)
    house = Authenticator({"example.org": Domain(named, named)}, login_log, direct.network, "boot")
    answer = house.check_password("test", b"alice", b"example.org", Secret(b"x"), 2.0)
    direct.network.settle()
    direct.network.settle(2)
    assert now(answer) == unavailable(Reason.DEADLINE_PASSED)
    hanging, again = direct.network.servers  # whether the server is there is found out meanwhile
    assert (hanging.lost, hanging.kinds, again.kinds) == (True, ["bind"], [])
    direct.surroundings.at_stop[0]()
    direct.network.settle()
    assert direct.network.open == []


@pytest.mark.parametrize("password", [b"", b"  ", b"\0", b"x\0"])
def test_no_blank_or_nul_password_reaches_the_directory(direct, password):
    named = (named_checker("corp", direct.make()),)
    login_log = LoginLog(LogSettings(), lambda _: None, lambda: 0.0)
    house = Authenticator({"example.org": Domain(named, named)}, login_log, direct.network, "boot")
    answer = house.check_password("test", b"alice", b"example.org", Secret(password), 8.0)
    assert now(answer).verdict is Verdict.REJECTED
    assert direct.network.attempts == []


def test_an_empty_password_is_never_bound_with_even_past_the_authenticator(direct):
    with pytest.raises(ValueError, match="needs a name and a password"):
        direct.login("alice", b"")
    assert direct.network.attempts == []


# --- servers that DNS knows -----------------------------------------------------------------------


def test_a_login_waits_for_the_servers_to_be_found(corp):
    found = Deferred()
    answer = by_dns(corp, lambda: found).begin("alice")
    corp.network.settle()
    assert corp.network.attempts == []
    found.callback([RECORD])
    corp.network.settle()
    assert now(answer) is MATCHES
    assert corp.login("alice", b"wrong") is MISMATCH


def no_dns():
    return fail(OSError("no name server"))


@pytest.mark.parametrize(
    ("dns", "reason"),
    [
        (Deferred, Reason.DIRECTORY_SILENT),
        (no_dns, Reason.DIRECTORY_UNREACHABLE),
        (lambda: succeed([]), Reason.DIRECTORY_UNREACHABLE),
    ],
)
def test_servers_that_are_not_found_are_an_outage(corp, dns, reason):
    by_dns(corp, dns)
    for what in ("check_password", "user_exists"):
        password = (Secret(b"x"),) if what == "check_password" else ()
        asking = getattr(corp.checker, what)(corp.jid("alice"), *password, None)
        answer = Deferred.fromCoroutine(asking)
        corp.network.settle(4)
        assert now(answer) == unavailable(reason)
    outcome, steps = probe(corp, 4)
    assert outcome == unavailable(reason)
    ((name, words),) = steps
    assert (name, "_ldap._tcp.example.org" in words) == ("fault", True)
    assert corp.network.attempts == []


def test_a_probe_tells_where_the_servers_were_found(corp):
    outcome, steps = probe(by_dns(corp, lambda: succeed([RECORD])))
    assert outcome is model.USER_EXISTS
    name, words = steps[0]
    assert name == "servers"
    assert "dc1.example.org" in words
    assert "ldap://dc1.example.org:389" in steps[1][1]


# --- the log --------------------------------------------------------------------------------------


def told(events):
    return [event["words"] for event in events if event.get("log_format") == "directory: {words}"]


def test_what_a_directory_has_against_us_is_logged_once_a_minute(corp, events):
    corp.book.search_result = 50, b"not for you"
    for _ in range(5):
        corp.login()
    (words,) = told(events)
    assert "refused a search: 50 insufficientAccessRights, 'not for you'" in words
    corp.network.settle(59)
    corp.login()
    assert len(told(events)) == 1
    corp.network.settle(1)
    corp.login()
    assert told(events) == [words] * 2


def test_another_refusal_is_another_line(corp, events):
    for code in (50, 53, 50, 53):
        corp.book.search_result = code, b""
        corp.login()
    assert len(told(events)) == 2


def test_what_was_said_is_not_remembered_without_bound(corp, events):
    for number in range(300):
        corp.book.search_result = 50, b"%d" % number
        corp.login()
    assert len(told(events)) == 300
    assert len(corp.checker._said) <= 101


def test_an_outage_is_not_logged_for_each_login(corp, events):
    down(corp)
    for _ in range(20):
        corp.login(seconds=0.5)
    assert len([event for event in events if event["log_level"].name == "error"]) == 1
    assert told(events) == []


def test_no_secret_is_told_to_anybody(corp, events):
    corp.set(require_groups=[STAFF])
    corp.book.add(STAFF.encode(), member=[ALICE])
    traces = [Trace() for _ in range(4)]
    corp.login("alice", b"wonderland", traces[0])
    corp.login("alice", b"looking-glass", traces[1])
    corp.book.codes[ALICE] = 53
    corp.login("alice", b"wonderland", traces[2])
    gibberish(corp)
    for one in corp.network.servers:
        one.transport.peer.drop()
    corp.login("alice", b"wonderland", traces[3])
    said = repr([trace.steps for trace in traces]) + repr(events) + repr(corp.checker._settings)
    for secret in (b"wonderland", b"looking-glass", SECRET):
        assert secret.decode() not in said


# --- explanations ---------------------------------------------------------------------------------


def test_a_login_is_explained_step_by_step(corp):
    corp.book.add(STAFF.encode(), member=[ALICE])
    corp.book.controls[ALICE] = policy(seconds=3600)
    corp.set(require_groups=[CREW, STAFF])
    corp.book.add(CREW.encode())
    trace = Trace()
    corp.login(trace=trace)
    assert trace.steps == [
        ("connection", f"ldap://{HOST}:389, not encrypted"),
        ("service bind", f"{SERVICE}: accepted"),
        ("search", f"(uid=alice) below {PEOPLE.decode()}"),
        ("found", f"{ALICE.decode()} (0 success)"),
        ("group", f"{CREW}: no member, 0 success"),
        ("group", f"{STAFF}: a member, 0 success"),
        ("bind", f"{ALICE.decode()}: 0 success"),
        ("password policy", "the password expires in 3600 s"),
    ]


def test_an_anonymous_search_that_finds_nobody_is_explained(corp):
    corp.set(bind_dn=None, bind_password_file=None)
    trace = Trace()
    corp.login("carol", trace=trace)
    assert trace.steps[1:] == [
        ("service bind", "none, it searches anonymously"),
        ("search", f"(uid=carol) below {PEOPLE.decode()}"),
        ("found", "no entry (0 success)"),
        ("bind", "none: the password was not tried"),
    ]


def test_a_direct_bind_is_explained(direct):
    trace = Trace()
    direct.login("alice", b"wrong", trace)
    assert trace.steps == [
        ("connection", f"ldap://{HOST}:389, not encrypted"),
        ("bind", f"{ALICE.decode()}: 49 invalidCredentials"),
    ]


def test_a_policy_that_says_nothing_is_no_step(direct):
    direct.book.controls[ALICE] = policy()
    trace = Trace()
    direct.login(trace=trace)
    assert [step for step, _ in trace.steps] == ["connection", "bind"]


def test_a_dn_that_is_no_text_is_explained(corp):
    corp.book.entries.pop(ALICE)
    corp.book.add(b"uid=\xff," + PEOPLE, b"wonderland", uid=[b"alice"])
    trace = Trace()
    corp.login(trace=trace)
    assert ("bind", f"uid=\\xff,{PEOPLE.decode()}: 0 success") in trace.steps


# --- probing --------------------------------------------------------------------------------------


def probe(corp, seconds=0):
    trace = Trace()
    answer = Deferred.fromCoroutine((corp.checker or corp.make()).probe(trace))
    corp.network.settle()
    corp.network.settle(seconds)
    return now(answer), trace.steps


def test_a_probe_tries_every_server(corp):
    corp.network.listen("192.0.2.2", answer=corp.book.answer)
    corp.set(servers=[f"ldap://{HOST}", "ldap://192.0.2.2"])
    outcome, steps = probe(corp)
    assert outcome is model.USER_EXISTS
    assert [words for step, words in steps if step == "connection"] == [
        f"ldap://{HOST}:389, not encrypted",
        "ldap://192.0.2.2:389, not encrypted",
    ]


def test_a_probe_does_not_fail_for_a_group_of_each_domain(corp):
    corp.book.add(b"cn=staff,ou=example.org,dc=example,dc=org", member=[ALICE])
    corp.set(require_groups=["cn=staff,ou={domain},dc=example,dc=org"])
    without(corp, "cn=staff,ou={domain},dc=example,dc=org")
    assert corp.login() is MATCHES
    outcome, steps = probe(corp)
    assert outcome is model.USER_EXISTS
    words = "cn=staff,ou={domain},dc=example,dc=org: one for each domain, not looked for"
    assert [words for step, words in steps if step == "group"] == [words]


@pytest.mark.parametrize("order", [1, -1])
def test_a_probe_fails_where_one_server_does(corp, order):
    corp.set(servers=[f"ldap://{HOST}", "ldap://192.0.2.2"][::order])
    outcome, steps = probe(corp)
    assert outcome == unavailable(Reason.DIRECTORY_UNREACHABLE)
    assert ("fault", "ldap://192.0.2.2:389: connection refused") in steps
    assert len([step for step, _ in steps if step == "users"]) == 1


def test_a_probe_does_not_bind_a_refused_account_at_every_server(corp):
    corp.network.listen("192.0.2.2", answer=corp.book.answer)
    corp.set(servers=[f"ldap://{HOST}", "ldap://192.0.2.2"])
    refusing(corp)
    outcome, _ = probe(corp)
    assert outcome == unavailable(Reason.SERVICE_ACCOUNT_REFUSED)
    assert len(corp.book.of("bind")) == 1


def test_a_probe_goes_on_to_a_server_that_does_not_refuse_the_account(corp):
    """Each refusal after one that was accepted is about its own server."""

    def answer(server, request):
        return bound(request.id, 49)

    corp.network.listen("192.0.2.2", answer=answer)
    corp.network.listen("192.0.2.3", answer=corp.book.answer)
    corp.set(servers=[f"ldap://{HOST}", "ldap://192.0.2.2", "ldap://192.0.2.3"])
    outcome, steps = probe(corp)
    assert outcome == unavailable(Reason.SERVICE_ACCOUNT_REFUSED)
    assert [step for step, _ in steps].count("users") == 2
    assert len(corp.book.of("bind")) == 2


def test_a_probe_looks_for_the_groups_that_are_within_groups(corp):
    corp.book.add(STAFF.encode(), member=[ALICE])
    groups = "ou=groups,dc=example,dc=org"
    corp.set(require_groups=[STAFF], group_base=groups)
    outcome, steps = probe(corp)
    assert outcome == unavailable(Reason.DIRECTORY_REFUSED)
    assert f"nothing is found by anything below {groups}" in steps[-1][1]
    corp.book.add(groups.encode())
    outcome, steps = probe(corp)
    assert outcome is model.USER_EXISTS
    assert steps[-2:] == [
        ("groups", f"anything below {groups}: found"), ("group", f"{STAFF}: found"),
    ]  # fmt: skip


def test_a_probe_of_a_direct_bind_connects_and_binds_nobody(direct):
    outcome, steps = probe(direct)
    assert outcome is model.USER_EXISTS
    assert [step for step, _ in steps] == ["connection"]
    assert direct.book.of("bind") == []
