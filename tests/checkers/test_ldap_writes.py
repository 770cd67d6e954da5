"""New passwords and new users in a directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from authbridge import model
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain
from authbridge.ldap.presets import PRESETS
from authbridge.log import LoginLog, LogSettings
from authbridge.model import Reason, Registry, Trace, Verdict, rejected, unavailable
from authbridge.secret import Secret
from tests.checkers.corp import (
    ALICE,
    BOB,
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
from tests.ldap.server import PPOLICY, Book, Request, Server, children, fold, policy, written
from tests.ldap.test_active_directory import sid

PASSWORD_MODIFY = b"1.3.6.1.4.1.4203.1.11.1"
POLICY_RESTRICTION = b"0000052D: SvcErr: DSID-031A126C, problem 5003 (WILL_NOT_PERFORM), data 0\n\0"
NEW = b"looking-glass"
CAROL = b"uid=carol," + PEOPLE
WINDOWS_CAROL = b"cn=carol," + PEOPLE

MATCHES, MISMATCH = model.PASSWORD_MATCHES, model.PASSWORD_MISMATCH
CHANGED, REGISTERED = model.PASSWORD_CHANGED, model.USER_REGISTERED
UNACCEPTABLE = rejected(Reason.PASSWORD_UNACCEPTABLE)
NOT_WRITTEN = model.Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)


class Ledger(Book):
    """A directory that can be written to."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: dict[str, tuple[Any, ...]] = {}
        """What an operation of this kind gets in place of success: code, text and control."""
        self.silent: set[str] = set()
        """Kinds of operations that are done, and not answered."""

    def answer(self, server: Server, request: Request) -> bytes | None:
        if request.kind not in ("modify", "add", "delete", "extended"):
            return super().answer(server, request)
        self.asked.append(request)
        if request.kind in self.refusals:
            return written(request, *self.refusals[request.kind])
        if request.kind == "add" and fold(request.name) in map(fold, self.entries):
            return written(request, 68)
        self._write(request)
        return None if request.kind in self.silent else written(request)

    def _write(self, request: Request) -> None:
        changes = {name.decode(): list(values) for _, name, values in request.changes}
        if request.kind == "delete":
            del self.entries[request.name]
        elif request.kind == "add":
            quoted = changes.pop("unicodePwd", [b""])[0]
            self.add(request.name, quoted.decode("utf-16-le")[1:-1].encode(), **changes)
        elif request.kind == "modify":
            ((what, name, (value,)),) = request.changes
            assert (what, name) == (2, b"unicodePwd")
            self.passwords[request.name] = value.decode("utf-16-le")[1:-1].encode()
        else:
            assert request.name == PASSWORD_MODIFY
            ((_, parts),) = children(request.value)
            (user, dn), (new, password) = children(parts)
            assert (user, new) == (0x80, 0x82)
            self.passwords[dn] = password

    @property
    def writes(self) -> list[Request]:
        return [one for one in self.asked if one.kind in ("modify", "add", "delete", "extended")]

    @property
    def kinds(self) -> list[str]:
        return [one.kind for one in self.writes]


class Registrar(Corp):
    """A checker that writes."""

    def start(self, what: str, user: str, password: bytes, trace: Trace | None = None) -> Any:
        checker = self.checker or self.make()
        asking = getattr(checker, what)(self.jid(user), Secret(password), trace)
        return Deferred.fromCoroutine(asking)

    def write(self, what: str, user: str, password: bytes = NEW, seconds: float = 0) -> Any:
        answer = self.start(what, user, password)
        self.network.settle()
        self.network.settle(seconds)
        return now(answer)

    def change(self, user: str = "alice", password: bytes = NEW, seconds: float = 0) -> Any:
        return self.write("set_password", user, password, seconds)

    def register(self, user: str = "carol", password: bytes = NEW, seconds: float = 0) -> Any:
        return self.write("register", user, password, seconds)

    def windows(self) -> Registrar:
        self.set(preset="active-directory", filter="(objectClass=*)")
        self.book.entries[ALICE].update(
            sAMAccountName=[b"alice"], userAccountControl=[b"512"],
            objectSid=[sid(21, 1, 2, 3, 1105)], primaryGroupID=[b"513"],
        )  # fmt: skip
        return self


@pytest.fixture
def corp(tmp_path):
    corp = Registrar(tmp_path, Ledger())
    return corp.set(writes=True, new_users=PEOPLE.decode())


# --- settings -------------------------------------------------------------------------------------


def test_it_is_a_registry(corp):
    assert isinstance(corp.make(), Registry)


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"writes": "yes"}, "writes: should be true or false"),
        ({"writes": 1}, "writes: should be true or false"),
        ({"writes": False}, "new_users: is for writes = true"),
        ({"writes": None}, "new_users: is for writes = true"),
        ({"new_users": "nonsense"}, 'new_users: "nonsense": this is no distinguished name'),
        ({"new_users": 3}, "new_users: should be a string"),
        ({"new_users": ""}, "new_users: should be a string"),
        (
            {"new_users": "ou=new,dc=example,dc=org"},
            "new_users: ou=new,dc=example,dc=org is not below base, where users are looked for",
        ),
        ({"new_users": "dc=example,dc=org"}, "new_users: dc=example,dc=org is not below base"),
        ({"new_users": "ou=More" + PEOPLE.decode()}, "is not below base"),
        ({"new_users": None, "new_user": {"sn": "x"}}, "new_user: is what a new user's entry gets"),
        ({"new_user": {"userPassword": "x"}}, "new_user.userPassword: is no attribute that a new"),
        ({"new_user": {"unicodepwd": "x"}}, "new_user.unicodepwd: is no attribute that a new"),
        ({"new_user": {"s n": "x"}}, 'new_user."s n": is no attribute'),
        ({"new_user": {"sn": 3}}, "new_user.sn: should be a list"),
        ({"new_user": "sn"}, "new_user: should be a table"),
        ({"require_groups": [STAFF]}, "new_users: a new user is in no group"),
        ({"preset": "freeipa"}, "new_users: this kind of directory has other ways"),
        ({"preset": "lldap"}, "new_users: this kind of directory has other ways"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(corp, given, mistake):
    (line,) = read(corp.folder, **{**corp.given, **given})[1]
    assert line.startswith("checkers.corp.")
    assert mistake in line


@pytest.mark.parametrize(
    "below", [PEOPLE.upper().decode(), f"ou=new,{PEOPLE.decode()}", "ou=people , dc=example,DC=org"]
)
def test_new_users_are_below_the_base_however_it_is_spelled(corp, below):
    assert read(corp.folder, **{**corp.given, "new_users": below})[1] == []


def test_an_anonymous_writer_is_a_mistake(corp):
    given = {**corp.given, "bind_dn": None, "bind_password_file": None, "new_users": None}
    (line,) = read(corp.folder, **given)[1]
    assert line.startswith("checkers.corp.writes: needs bind_dn, who does the writing")


@pytest.mark.parametrize("name", ["writes", "new_users"])
def test_who_binds_without_a_search_writes_nothing(corp, name):
    given = {
        "servers": ["ldaps://a"], "user_dn": "uid={user},dc=x", name: corp.given[name],
    }  # fmt: skip
    lines = read(corp.folder, **given)[1]
    assert any(
        line == f"checkers.corp.{name}: belongs to a search, and user_dn binds without one"
        for line in lines
    )


@pytest.mark.parametrize(
    ("given", "registers"),
    [({"writes": None, "new_users": None}, False), ({"new_users": None}, False), ({}, True)],
)
def test_the_settings_tell_who_registers(corp, given, registers):
    settings, mistakes = read(corp.folder, **{**corp.given, **given})
    assert mistakes == []
    assert settings.registers is registers


@pytest.mark.parametrize("writes", [None, False])
def test_nothing_is_written_where_the_settings_do_not_say_so(corp, writes):
    corp.set(writes=writes, new_users=None)
    assert corp.change() == NOT_WRITTEN
    assert corp.register() == NOT_WRITTEN
    assert corp.network.attempts == []


def test_nobody_is_registered_where_the_settings_do_not_say_where(corp):
    corp.set(new_users=None)
    assert corp.register() == NOT_WRITTEN
    assert corp.network.attempts == []
    assert corp.change() is CHANGED


def test_a_direct_bind_writes_nothing(corp):
    corp.set(base=None, bind_dn=None, bind_password_file=None, writes=None, new_users=None,
             user_dn=f"uid={{user}},{PEOPLE.decode()}")  # fmt: skip
    assert corp.change() == NOT_WRITTEN
    assert corp.register() == NOT_WRITTEN
    assert corp.network.attempts == []


# --- new passwords --------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "active-directory"])
def test_a_password_is_changed_as_rfc_3062_has_it(corp, preset):
    corp.set(preset=preset, filter="(objectClass=*)", new_users=None)
    assert corp.change() is CHANGED
    assert corp.book.kinds == ["extended"]
    assert corp.login("alice", NEW) is MATCHES
    assert corp.login("alice", b"wonderland") is MISMATCH
    assert corp.login("bob", b"builder") is MATCHES


@pytest.mark.parametrize("windows", [False, True])
def test_the_server_is_asked_why_it_refuses(corp, windows):
    """389 says it in the control of the password policy alone."""
    if windows:
        corp.windows()
    corp.change("alice")
    corp.register("carol")
    asked = sum(server.heard.count(PPOLICY) for server in corp.network.servers)
    assert asked == len(corp.book.of("bind")) + len(corp.book.writes)
    assert len(corp.book.writes) == (2 if windows else 3)


def test_windows_passwords_are_replaced_in_quotes(corp):
    corp.windows()
    assert corp.change("alice", 'é"✓'.encode()) is CHANGED
    (request,) = corp.book.writes
    assert (request.kind, request.name) == ("modify", ALICE)
    assert request.changes == ((2, b"unicodePwd", ('"é"✓"'.encode("utf-16-le"),)),)
    assert corp.login("alice", 'é"✓'.encode()) is MATCHES


def test_the_service_account_writes_and_no_user_is_bound(corp):
    corp.change()
    assert corp.binds == []
    assert {one.name for one in corp.book.of("bind")} == {SERVICE.encode()}


@pytest.mark.parametrize(
    ("user", "attributes", "outcome"),
    [
        ("carol", {}, model.USER_UNKNOWN),
        ("a\\5cb", {}, model.USER_UNKNOWN),
        ("alice", {"uid": [b"alice", b"al"]}, rejected(Reason.NOT_CANONICAL)),
        ("alice", {"shadowExpire": [b"0"]}, rejected(Reason.ACCOUNT_EXPIRED)),
        ("alice", {"pwdEndTime": [b"soon"]}, unavailable(Reason.DIRECTORY_FAILED)),
    ],
)
def test_who_may_not_log_in_gets_no_new_password(corp, user, attributes, outcome):
    corp.book.entries[ALICE].update(attributes)
    assert corp.change(user) == outcome
    assert corp.book.writes == []


def test_who_is_in_no_group_gets_no_new_password(corp):
    corp.book.add(STAFF.encode(), member=[BOB])
    corp.set(require_groups=[STAFF], new_users=None)
    assert corp.change() == rejected(Reason.NOT_IN_GROUP)
    assert corp.change("bob") is CHANGED


def test_who_is_disabled_gets_no_new_password(corp):
    corp.windows().book.entries[ALICE]["userAccountControl"] = [b"514"]
    assert corp.change() == rejected(Reason.ACCOUNT_DISABLED)
    assert corp.book.writes == []


def test_two_entries_are_nobodys_to_change(corp):
    corp.book.add(b"uid=Alice,ou=more," + PEOPLE, uid=[b"Alice"])
    assert corp.change() == rejected(Reason.USER_AMBIGUOUS)
    assert corp.book.writes == []


@pytest.mark.parametrize(
    "password",
    [
        b"{SSHA}deadbeef", b"{CRYPT}$6$x", b"{CLEARTEXT}x", b"{SSHA512}", b"{x-y/z_1}abc", b"{a}",
        b"\xff\xfe", b"caf\xe9",
    ],
)  # fmt: skip
@pytest.mark.parametrize("windows", [False, True])
def test_what_is_a_hash_or_no_text_is_nobodys_new_password(corp, password, windows):
    """A server may take the first for the hash of another password."""
    if windows:
        corp.windows()
    assert corp.change("alice", password) == UNACCEPTABLE
    assert corp.register("carol", password) == UNACCEPTABLE
    assert corp.book.writes == []


@pytest.mark.parametrize(
    "password", [b"{", b"{}", b"{a b}x", b"x{SSHA}x", b" {SSHA}x", b"{a", b"}"]
)
def test_a_brace_alone_makes_no_hash(corp, password):
    assert corp.change("alice", password) is CHANGED
    assert corp.login("alice", password) is MATCHES


@pytest.mark.parametrize(
    ("windows", "kind", "refusal"),
    [
        (False, "extended", (19, b"Password fails quality checking policy", policy(error=6))),
        (False, "extended", (19, b"Failed to update password\n", policy(error=8))),
        (False, "extended", (19,)),
        (True, "modify", (19, b"0000052D: Constraint violation - check_password_restrictions")),
        (True, "modify", (53, POLICY_RESTRICTION)),
        (True, "modify", (19, b"0000052D: AtrErr: DSID-03190F80, #1:\n")),
    ],
)
def test_a_password_that_breaks_a_rule_is_a_no(corp, events, windows, kind, refusal):
    if windows:
        corp.windows()
    corp.book.refusals[kind] = refusal
    assert corp.change() == UNACCEPTABLE
    (told,) = [event for event in events if "said" in event]
    assert told["log_format"] == "directory: {dn} is not written: {said}"
    assert told["dn"] == ALICE.decode()
    assert told["said"].startswith(f"{refusal[0]} ")
    assert corp.login() is MATCHES
    if len(refusal) == 3:
        assert told["said"].endswith(")")


def test_the_rule_that_was_broken_is_in_the_log_and_the_password_is_not(corp, events):
    corp.book.refusals["extended"] = (19, b"Failed to update password\n", policy(error=8))
    corp.change()
    (told,) = [event for event in events if "said" in event]
    assert told["dn"] == ALICE.decode()
    assert told["said"] == (
        "19 constraintViolation, 'Failed to update password ' (password in history)"
    )
    assert NEW.decode() not in repr(events)


@pytest.mark.parametrize(
    ("windows", "refusal", "reason"),
    [
        (False, (50, b"Insufficient access rights\n"), Reason.DIRECTORY_REFUSED),
        (False, (13, b"Operation requires a secure connection.\n"), Reason.DIRECTORY_REFUSED),
        (False, (2, b"unsupported extended operation"), Reason.DIRECTORY_REFUSED),
        (False, (32,), Reason.DIRECTORY_REFUSED),
        (False, (53, b"shadow context; no update referral"), Reason.DIRECTORY_REFUSED),
        (False, (80, b"unable to retrieve SASL username"), Reason.DIRECTORY_FAILED),
        (False, (10,), Reason.DIRECTORY_REFUSED),
        (True, (50, b"00000005: SecErr: DSID-031A1202\n\0"), Reason.DIRECTORY_REFUSED),
        (True, (53, b"0000001F: SvcErr: DSID-031A12D2\n\0"), Reason.DIRECTORY_REFUSED),
        (True, (53, b"00002035: LdapErr: DSID-0C090F22\0"), Reason.DIRECTORY_REFUSED),
        (True, (52, b"0000200F: SvcErr\0"), Reason.DIRECTORY_FAILED),
    ],
)
def test_what_is_no_rule_cannot_tell(corp, windows, refusal, reason):
    if windows:
        corp.windows()
    corp.book.refusals["modify" if windows else "extended"] = refusal
    assert corp.change() == unavailable(reason)
    assert corp.login() is MATCHES


@pytest.mark.parametrize("what", ["set_password", "register"])
def test_an_answer_that_does_not_come_cannot_tell_and_nothing_is_sent_again(corp, what):
    corp.network.listen("192.0.2.2", answer=corp.book.answer)
    corp.set(servers=["ldap://192.0.2.1", "ldap://192.0.2.2"])
    corp.book.silent = {"extended", "add"}
    user = "alice" if what == "set_password" else "carol"
    assert corp.write(what, user, seconds=4) == unavailable(Reason.DIRECTORY_SILENT)
    assert corp.book.kinds == ["extended" if what == "set_password" else "add"]


def refuse_first(corp, *refusal):
    """Two servers; the first one refuses every change so."""

    def answer(server, request):
        if request.kind in ("modify", "extended", "add"):
            return written(request, *refusal)
        return corp.book.answer(server, request)

    corp.script(answer)
    corp.network.listen("192.0.2.2", answer=corp.book.answer)
    corp.set(servers=["ldap://192.0.2.1", "ldap://192.0.2.2"])


@pytest.mark.parametrize("code", [10, 51, 52, 53])
def test_a_server_that_may_not_be_written_to_has_the_next_one_asked(corp, code):
    """And not the one that it names."""
    refuse_first(corp, code, b"shadow context; no update referral")
    assert corp.change() is CHANGED
    assert corp.book.passwords[ALICE] == NEW
    assert corp.register() is REGISTERED
    assert {attempt.host for attempt in corp.network.attempts} == {"192.0.2.1", "192.0.2.2"}


@pytest.mark.parametrize(
    ("windows", "refusal", "outcome"),
    [
        (False, (19,), UNACCEPTABLE),
        (False, (50,), unavailable(Reason.DIRECTORY_REFUSED)),
        (False, (80,), unavailable(Reason.DIRECTORY_FAILED)),
        (True, (53, POLICY_RESTRICTION), UNACCEPTABLE),
        (True, (53, b"00002035: LdapErr\0"), unavailable(Reason.DIRECTORY_REFUSED)),
    ],
)
def test_what_one_server_has_judged_no_other_is_asked(corp, windows, refusal, outcome):
    if windows:
        corp.windows()
    refuse_first(corp, *refusal)
    assert corp.change() == outcome
    assert corp.book.writes == []


def test_an_outage_is_one(corp):
    del corp.network.places["192.0.2.1", 389]
    assert corp.change() == unavailable(Reason.DIRECTORY_UNREACHABLE)
    corp.network.settle(10)
    assert corp.register() == unavailable(Reason.DIRECTORY_UNREACHABLE)


# --- new users ------------------------------------------------------------------------------------


def added(corp):
    (add,) = (one for one in corp.book.writes if one.kind == "add")
    found = {}
    for _, name, values in add.changes:
        assert name.lower() not in {known.lower() for known in found}, f"{name} is there twice"
        found[name] = values
    return found


def test_a_user_is_made_and_then_given_a_password(corp):
    assert corp.register("carol") is REGISTERED
    add, password = corp.book.writes
    assert (add.kind, add.name, password.kind) == ("add", CAROL, "extended")
    assert added(corp) == {
        b"objectClass": (b"inetOrgPerson",),
        b"uid": (b"carol",),
        b"cn": (b"carol",),
        b"sn": (b"carol",),
    }
    assert corp.login("carol", NEW) is MATCHES
    assert corp.login("carol", b"wrong") is MISMATCH


def test_a_user_of_windows_is_made_with_a_password_in_one_go(corp):
    corp.windows()
    assert corp.register("carol") is REGISTERED
    (add,) = corp.book.writes
    assert (add.kind, add.name) == ("add", WINDOWS_CAROL)
    assert added(corp) == {
        b"objectClass": (b"user",),
        b"sAMAccountName": (b"carol",),
        b"userPrincipalName": (b"carol@example.org",),
        b"userAccountControl": (b"512",),
        b"unicodePwd": ('"looking-glass"'.encode("utf-16-le"),),
    }
    assert corp.login("carol", NEW) is MATCHES


def test_no_password_is_among_the_attributes_elsewhere(corp):
    """It would be kept as it is by a server that hashes what comes by RFC 3062 alone."""
    corp.register("carol")
    (add, _) = corp.book.writes
    assert NEW not in b"".join(value for _, _, values in add.changes for value in values)


def test_a_new_user_may_have_more_and_other_attributes(corp):
    corp.set(new_user={
        "objectClass": ["inetOrgPerson", "posixAccount"], "CN": "{user} of {domain}",
        "mail": "{user}@{domain}", "description": ["{user}{user}", "{x}", "{", "}{user"],
    })  # fmt: skip
    assert corp.register("carol") is REGISTERED
    assert added(corp) == {
        b"objectClass": (b"inetOrgPerson", b"posixAccount"),
        b"uid": (b"carol",),
        b"sn": (b"carol",),
        b"CN": (b"carol of example.org",),
        b"mail": (b"carol@example.org",),
        b"description": (b"carolcarol", b"{x}", b"{", b"}{user"),
    }


def test_a_name_is_no_hole_in_what_is_filled_after_it(corp):
    corp.set(new_user={"description": "{user} {domain}"})
    assert corp.register("{domain}") is REGISTERED
    assert added(corp)[b"description"] == (b"{domain} example.org",)


@pytest.mark.parametrize(
    "given",
    [
        {"new_user": {"UID": "{user} x"}},
        {"jid_attribute": "UID"},
        {"jid_attribute": "uId", "new_user": {"UID": "x"}},
    ],
)
def test_a_new_users_name_is_there_once_however_it_is_spelled(corp, given):
    corp.set(**given)
    assert corp.register("carol") is REGISTERED
    assert len(added(corp)) == 4
    assert added(corp)[corp.given.get("jid_attribute", "uid").encode()] == (b"carol",)


@pytest.mark.parametrize("name", ["CN", "objectclass", "SN"])
def test_what_is_usual_gives_way_however_it_is_spelled(corp, name):
    corp.set(new_user={name: ["inetOrgPerson"]})
    assert corp.register("carol") is REGISTERED
    assert len(added(corp)) == 4
    assert added(corp)[name.encode()] == (b"inetOrgPerson",)


def test_the_name_is_where_the_jid_is_read_from(corp):
    corp.set(jid_attribute="employeeNumber")
    assert corp.register("carol") is REGISTERED
    assert added(corp)[b"employeeNumber"] == (b"carol",)
    assert corp.login("carol", NEW) is MATCHES


@pytest.mark.parametrize("attribute", ["mail", "Mail", "userPrincipalName"])
def test_an_address_of_a_new_user_is_in_the_jids_domain(corp, attribute):
    corp.set(jid_attribute=attribute)
    assert corp.register("carol") is REGISTERED
    assert added(corp)[attribute.encode()] == (b"carol@example.org",)
    assert corp.login("carol", NEW) is MATCHES


@pytest.mark.parametrize(
    ("local", "name", "dn"),
    [
        ("o\\27brien", b"o'brien", b"uid=o\\27brien,"),
        ("a\\40b", b"a@b", b"uid=a@b,"),
        ("a,ou=x", b"a,ou=x", b"uid=a\\2cou\\3dx,"),
        ("ä", "ä".encode(), b"uid=\\c3\\a4,"),
        ("a\\20b", b"a b", b"uid=a\\20b,"),
    ],
)
def test_whatever_is_in_a_name_stays_in_its_values(corp, local, name, dn):
    assert corp.register(local) is REGISTERED
    assert corp.book.writes[0].name == dn + PEOPLE
    assert added(corp)[b"uid"] == (name,)
    assert corp.login(local, NEW) is MATCHES


@pytest.mark.parametrize("local", ["a\\5cb", "\\20a", "a\\20\\20b", "a\\20"])
def test_a_name_that_a_directory_would_take_for_anothers_is_nobodys(corp, local):
    assert corp.register(local) == rejected(Reason.USER_MALFORMED)
    assert corp.book.writes == []


def test_who_is_there_is_not_made_again(corp):
    assert corp.register("alice") == rejected(Reason.USER_EXISTS)
    assert corp.book.writes == []
    assert corp.login() is MATCHES


@pytest.mark.parametrize(
    "attributes",
    [
        {"shadowExpire": [b"0"]},
        {"uid": [b"alice", b"al"]},
        {"uid": [b"alice "]},
    ],
)
def test_who_is_there_and_may_not_log_in_is_there(corp, attributes):
    corp.book.entries[ALICE].update(attributes)
    assert corp.register("alice") == rejected(Reason.USER_EXISTS)
    assert corp.book.writes == []


def test_who_is_there_twice_is_there(corp):
    corp.book.add(b"uid=Alice,ou=more," + PEOPLE, uid=[b"Alice"])
    assert corp.register("alice") == rejected(Reason.USER_EXISTS)


def test_who_comes_in_between_is_there(corp):
    """The directory has the last word: an entry has one DN."""
    corp.book.add(CAROL, b"hers", cn=[b"an entry that no search finds"])
    assert corp.register("carol") == rejected(Reason.USER_EXISTS)
    assert corp.book.kinds == ["add"]
    assert corp.book.passwords[CAROL] == b"hers"


def test_a_directory_that_cannot_tell_makes_nobody(corp):
    corp.book.search_result = 52, b""
    assert corp.register("carol") == unavailable(Reason.DIRECTORY_FAILED)
    assert corp.book.writes == []


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        ((19, b"Password fails quality checking policy", policy(error=6)), UNACCEPTABLE),
        ((50, b"not yours"), unavailable(Reason.DIRECTORY_REFUSED)),
        ((80,), unavailable(Reason.DIRECTORY_FAILED)),
    ],
)
def test_a_user_who_gets_no_password_goes_again(corp, events, refusal, outcome):
    corp.book.refusals["extended"] = refusal
    assert corp.register("carol") == outcome
    assert corp.book.kinds == ["add", "extended", "delete"]
    assert [one.name for one in corp.book.writes[::2]] == [CAROL, CAROL]
    assert CAROL not in corp.book.entries
    assert corp.exists("carol") is model.USER_UNKNOWN
    assert not [event for event in events if "cannot be deleted" in str(event.get("log_format"))]
    corp.book.refusals.clear()
    assert corp.register("carol") is REGISTERED


def test_a_user_whose_password_is_not_answered_goes_again(corp):
    corp.book.silent = {"extended"}
    assert corp.register("carol", seconds=4) == unavailable(Reason.DIRECTORY_SILENT)
    corp.network.settle(10)
    assert corp.book.kinds == ["add", "extended", "delete"]
    assert CAROL not in corp.book.entries


def half_made(events):
    return [event for event in events if "may have been made" in str(event.get("log_format"))]


def test_a_user_who_may_be_half_made_is_in_the_log(corp, events):
    """It has no password, and nobody else can register that name."""
    corp.book.silent = {"add"}
    assert corp.register("carol", seconds=4) == unavailable(Reason.DIRECTORY_SILENT)
    assert CAROL in corp.book.entries
    assert corp.book.kinds == ["add"]  # what may have been done is not undone on a guess
    assert corp.register("carol") == rejected(Reason.USER_EXISTS)
    (told,) = half_made(events)
    assert (told["log_level"].name, told["dn"]) == ("error", CAROL.decode())
    assert "no answer in 4 s" in told["words"]


def test_a_user_whose_connection_broke_may_be_half_made(corp, events):
    def answer(server, request):
        if request.kind == "add":
            server.transport.peer.drop()
            return None
        return corp.book.answer(server, request)

    corp.script(answer)
    assert corp.register("carol") == unavailable(Reason.DIRECTORY_UNREACHABLE)
    assert len(half_made(events)) == 1


def test_a_user_who_was_never_sent_is_not_half_made(corp, events):
    """The searches have their connection; there is none for the change."""
    assert corp.exists("alice") is model.USER_EXISTS
    del corp.network.places[HOST, 389]
    assert corp.register("carol") == unavailable(Reason.DIRECTORY_UNREACHABLE)
    assert half_made(events) == []
    assert corp.book.writes == []


def missed(corp, events, outcome, reason, kinds):
    """Nobody is left of carol, whose registration has failed."""
    assert outcome == unavailable(reason)
    assert corp.book.kinds == kinds
    assert CAROL not in corp.book.entries
    assert corp.exists("carol") is model.USER_UNKNOWN
    assert half_made(events) == []


@pytest.mark.parametrize(
    "given",
    [
        {"filter": "(ou=staff)"},
        {"filter": "(&(objectClass=*)(mail={user}@x))"},
        {"login": ["mail"]},
        {"login": ["cn"], "new_user": {"cn": "The {user}"}},
    ],
)
def test_a_new_user_whom_no_login_would_find_is_taken_back(corp, events, given):
    corp.set(**given)
    missed(corp, events, corp.register(), Reason.DIRECTORY_REFUSED, ["add", "extended", "delete"])
    (told,) = [event["words"] for event in events if "words" in event]
    assert told == "a new user is not found by base, filter and jid_attribute"


def test_a_new_user_of_windows_whom_no_login_would_find_is_taken_back(corp):
    corp.windows().set(filter="(ou=staff)")
    assert corp.register() == unavailable(Reason.DIRECTORY_REFUSED)
    assert corp.book.kinds == ["add", "delete"]
    assert WINDOWS_CAROL not in corp.book.entries


def test_a_new_user_who_may_not_log_in_is_taken_back(corp, events):
    corp.set(new_user={"shadowExpire": "0"})
    missed(corp, events, corp.register(), Reason.DIRECTORY_REFUSED, ["add", "extended", "delete"])


def test_a_new_user_of_whom_a_search_cannot_tell_is_taken_back(corp, events):
    def answer(server, request):
        if request.kind == "search" and request.name and corp.book.writes:
            corp.book.search_result = 52, b"too busy"
        return corp.book.answer(server, request)

    corp.script(answer)
    outcome = corp.register()
    corp.script(corp.book.answer)
    corp.make()
    corp.book.search_result = 0, b""
    missed(corp, events, outcome, Reason.DIRECTORY_FAILED, ["add", "extended", "delete"])


def test_a_user_who_cannot_be_taken_back_is_in_the_log(corp, events):
    corp.set(filter="(ou=staff)").book.refusals["delete"] = (50, b"no deleting")
    assert corp.register("carol") == unavailable(Reason.DIRECTORY_REFUSED)
    (told,) = [event for event in events if "cannot be deleted" in str(event.get("log_format"))]
    assert told["log_format"].startswith("directory: {dn} was made, is of no use and")
    assert told["dn"] == CAROL.decode()


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [((19,), UNACCEPTABLE), ((50,), unavailable(Reason.DIRECTORY_REFUSED))],
)
def test_a_user_who_cannot_be_deleted_is_in_the_log(corp, events, refusal, outcome):
    corp.book.refusals.update(extended=refusal, delete=(50, b"no deleting"))
    assert corp.register("carol") == outcome
    (told,) = [event for event in events if "cannot be deleted" in str(event.get("log_format"))]
    assert told["log_level"].name == "error"
    assert (told["dn"], told["said"]) == (
        CAROL.decode(), "50 insufficientAccessRights, 'no deleting'",
    )  # fmt: skip


def test_a_user_whose_deletion_is_not_answered_is_in_the_log(corp, events):
    corp.book.refusals["extended"] = (19,)
    corp.book.silent = {"delete"}
    assert corp.register("carol", seconds=4) == UNACCEPTABLE
    (told,) = [event for event in events if "cannot be deleted" in str(event.get("log_format"))]
    assert "no answer in 4 s" in told["said"]


@pytest.mark.parametrize(
    ("windows", "refusal", "outcome"),
    [
        (True, (53, POLICY_RESTRICTION), UNACCEPTABLE),
        (True, (19, b"0000052D: Constraint violation - check"), UNACCEPTABLE),
        (True, (50, b"00000005: SecErr\0"), unavailable(Reason.DIRECTORY_REFUSED)),
        (True, (68, b"00000524: UpdErr: DSID-031A11E2\n\0"), rejected(Reason.USER_EXISTS)),
        (False, (68,), rejected(Reason.USER_EXISTS)),
        *(
            (windows, (code, text), rejected(Reason.USER_MALFORMED))
            for windows in (False, True)
            for code, text in (
                (19, b"some attribute not unique"), (19, b""), (21, b"value #0 invalid per syntax"),
                (34, b"invalid DN"), (64, b"naming attribute"),
                (21, b"00000057: LdapErr: DSID-0C0911CA, data 0\0"),
            )
        ),
        (False, (65, b"missing attribute"), unavailable(Reason.DIRECTORY_REFUSED)),
        (False, (32,), unavailable(Reason.DIRECTORY_REFUSED)),
        *(
            (windows, (code, b"not here"), unavailable(reason))
            for windows in (False, True)
            for code, reason in (
                (10, Reason.DIRECTORY_REFUSED), (51, Reason.DIRECTORY_FAILED),
                (52, Reason.DIRECTORY_FAILED), (53, Reason.DIRECTORY_REFUSED),
            )
        ),
    ],
)  # fmt: skip
def test_a_user_who_is_not_made_gets_no_password(corp, events, windows, refusal, outcome):
    if windows:
        corp.windows()
    corp.book.refusals["add"] = refusal
    assert corp.register("carol") == outcome
    assert corp.book.kinds == ["add"]
    assert half_made(events) == []
    said = [event for event in events if "is not written" in str(event.get("log_format"))]
    told = outcome.verdict is Verdict.REJECTED and refusal[0] != 68
    dn = (WINDOWS_CAROL if windows else CAROL).decode()
    assert [event["dn"] for event in said] == [dn] * told


@pytest.mark.parametrize("code", [21, 34, 64])
def test_what_is_said_of_a_name_is_not_said_of_a_password(corp, code):
    """Nor is a user made who has none."""
    corp.book.refusals["extended"] = (code, b"what is this?")
    assert corp.change() == unavailable(Reason.DIRECTORY_REFUSED)
    assert corp.register("carol") == unavailable(Reason.DIRECTORY_REFUSED)
    assert CAROL not in corp.book.entries


def two_servers(corp):
    """Each with a book of the same entries; what is written is written at one of them."""
    second = Ledger()
    second.entries, second.passwords = dict(corp.book.entries), dict(corp.book.passwords)
    corp.network.listen("192.0.2.2", answer=second.answer)
    corp.set(servers=[f"ldap://{HOST}", "ldap://192.0.2.2"])
    return second


def test_what_follows_goes_to_the_server_of_the_first(corp):
    """The others do not know the new user yet."""
    second = two_servers(corp)
    corp.book.refusals["add"] = (53, b"shadow context; no update referral")
    assert corp.register("carol") is REGISTERED
    assert corp.book.kinds == ["add"]
    assert second.kinds == ["add", "extended"]
    assert [one.name for one in second.asked if one.kind == "search" and one.name] == [PEOPLE]
    assert corp.exists("carol") is model.USER_UNKNOWN  # asked of the first again


def test_what_is_taken_back_is_taken_back_where_it_is(corp):
    second = two_servers(corp)
    corp.book.refusals["add"] = (53, b"shadow context; no update referral")
    second.refusals["extended"] = (19, b"too short")
    assert corp.register("carol") == UNACCEPTABLE
    assert (corp.book.kinds, second.kinds) == (["add"], ["add", "extended", "delete"])


@pytest.mark.parametrize("refusal", [(51,), (52,), (53, b"shadow context"), (10,)])
def test_what_follows_goes_to_no_other_server_whose_user_that_may_be(corp, refusal):
    """The second has a carol that the first did not know of: she keeps her password, and stays."""
    second = two_servers(corp)
    second.add(CAROL, b"her-own", uid=[b"carol"])
    corp.book.refusals["extended"] = refusal
    assert corp.register("carol").verdict is Verdict.UNAVAILABLE
    assert (corp.book.kinds, second.kinds) == (["add", "extended", "delete"], [])
    assert CAROL not in corp.book.entries
    assert second.passwords[CAROL] == b"her-own"


def test_what_is_not_answered_is_taken_back_at_its_own_server_though_that_is_avoided(corp):
    second = two_servers(corp)
    second.add(CAROL, b"her-own", uid=[b"carol"])
    corp.book.silent = {"extended"}
    assert corp.register("carol", seconds=4.5).verdict is Verdict.UNAVAILABLE
    assert (corp.book.kinds, second.kinds) == (["add", "extended", "delete"], [])
    assert CAROL in second.entries


def test_a_password_is_changed_where_the_user_was_found(corp):
    second = two_servers(corp)
    corp.book.search_result = 52, b"too busy"
    assert corp.change() is CHANGED
    assert (corp.book.kinds, second.kinds) == ([], ["extended"])


# --- what is kept ---------------------------------------------------------------------------------


def test_who_is_registered_exists_at_once(corp):
    """The servers ask whether there is such a user before they register one."""
    assert corp.exists("carol") is model.USER_UNKNOWN
    assert corp.register("carol") is REGISTERED
    assert corp.exists("carol") is model.USER_EXISTS


def test_who_is_not_registered_is_asked_about_again(corp):
    assert corp.exists("carol") is model.USER_UNKNOWN
    corp.book.add(CAROL, b"hers", uid=[b"carol"])
    assert corp.register("carol") == rejected(Reason.USER_EXISTS)
    assert corp.exists("carol") is model.USER_EXISTS


def test_a_registration_does_not_read_what_is_kept(corp):
    assert corp.exists("alice") is model.USER_EXISTS
    del corp.book.entries[ALICE]
    assert corp.register("alice") is REGISTERED


@pytest.mark.parametrize("refusal", [(50,), (68,), (21,)])
def test_who_could_not_be_made_is_asked_about_again(corp, refusal):
    assert corp.exists("carol") is model.USER_UNKNOWN
    corp.book.refusals["add"] = refusal
    corp.register("carol")
    corp.book.add(CAROL, b"hers", uid=[b"carol"])
    assert corp.exists("carol") is model.USER_EXISTS


def test_what_is_learned_while_a_user_is_made_is_not_kept(corp):
    """Between the search and the end of it, somebody asks: there is nobody yet."""
    release = hold(corp, "add")
    answer = corp.start("register", "carol", NEW)
    corp.network.settle()
    del corp.book.entries[CAROL]
    assert corp.exists("carol") is model.USER_UNKNOWN
    corp.book.add(CAROL, b"", uid=[b"carol"])
    release()
    assert now(answer) is REGISTERED
    assert corp.exists("carol") is model.USER_EXISTS


def test_a_new_password_leaves_alone_what_is_kept(corp):
    corp.exists("alice")
    asked = len(corp.searches)
    corp.change("alice")
    corp.exists("alice")
    assert len(corp.searches) == asked + 1  # the change's own


# --- nobody waits any more ------------------------------------------------------------------------


def hold(corp: Registrar, kind: str) -> Callable[[], None]:
    """Keep back the answers to this kind of operation until the test says so."""
    kept: list[tuple[Server, bytes | None]] = []
    released: list[bool] = []

    def answer(server, request):
        octets = corp.book.answer(server, request)
        if request.kind != kind or released:
            return octets
        kept.append((server, octets))
        return None

    def release() -> None:
        released.append(True)
        for server, octets in kept:
            server.say(octets or b"")
        corp.network.settle()

    corp.script(answer)
    return release


@pytest.mark.parametrize("kind", ["add", "extended"])
def test_a_registration_that_nobody_waits_for_goes_on_to_its_end(corp, kind):
    """A user without a password must not be what is left of it."""
    release = hold(corp, kind)
    answer = corp.start("register", "carol", NEW)
    answer.addErrback(lambda _: None)
    corp.network.settle()
    answer.cancel()
    release()
    assert corp.book.kinds == ["add", "extended"]
    assert corp.login("carol", NEW) is MATCHES


def test_a_change_that_nobody_waits_for_goes_on_to_its_end(corp):
    """It may have been made: nothing is cut that the server may have heard."""
    release = hold(corp, "extended")
    answer = corp.start("set_password", "alice", NEW)
    answer.addErrback(lambda _: None)
    corp.network.settle()
    answer.cancel()
    corp.network.settle()
    assert [server.lost for server in corp.network.servers] == [False, False]
    release()
    assert corp.login("alice", NEW) is MATCHES


def test_a_registration_that_fails_unheard_goes_back_all_the_same(corp):
    release = hold(corp, "add")
    corp.book.refusals["extended"] = (19,)
    answer = corp.start("register", "carol", NEW)
    answer.addErrback(lambda _: None)
    corp.network.settle()
    answer.cancel()
    release()
    assert corp.book.kinds == ["add", "extended", "delete"]
    assert CAROL not in corp.book.entries


def test_who_was_registered_unheard_exists_at_once(corp):
    release = hold(corp, "add")
    assert corp.exists("carol") is model.USER_UNKNOWN
    answer = corp.start("register", "carol", NEW)
    answer.addErrback(lambda _: None)
    corp.network.settle()
    answer.cancel()
    release()
    assert corp.login("carol", NEW) is MATCHES
    assert corp.exists("carol") is model.USER_EXISTS


def test_a_bug_in_a_write_that_nobody_waits_for_is_logged(corp, events):
    release = hold(corp, "add")
    corp.make()

    async def broken(*_):
        raise RuntimeError("a bug")

    corp.checker._writing._set = broken
    answer = corp.start("register", "carol", NEW)
    answer.addErrback(lambda _: None)
    corp.network.settle()
    answer.cancel()
    release()
    (told,) = [event for event in events if event.get("log_format") == "a change failed"]
    assert told["log_failure"].type is RuntimeError


@pytest.mark.parametrize(("what", "user"), [("set_password", "alice"), ("register", "carol")])
def test_a_change_of_which_nothing_was_sent_is_called_back(corp, what, user):
    """During its search, then before it has a connection to be sent on."""
    release = hold(corp, "search")
    answer = corp.start(what, user, NEW)
    corp.network.settle()
    assert len(corp.searches) == 1
    gone(answer)
    release()
    assert corp.book.writes == []
    assert corp.exists("alice") is model.USER_EXISTS
    corp.network.places[HOST, 389] = None
    answer = corp.start(what, user, NEW)
    corp.network.settle()
    assert len(corp.searches) == 3
    gone(answer)
    corp.script(corp.book.answer)
    corp.network.settle(10)
    assert corp.login("bob", b"builder") is MATCHES
    assert corp.book.writes == []


def test_a_change_that_waits_for_the_servers_to_be_found_is_called_back(corp):
    found = Deferred()
    by_dns(corp, lambda: found)
    answer = corp.start("set_password", "alice", NEW)
    corp.network.settle()
    gone(answer)
    assert found.called is False
    found.callback([RECORD])
    corp.network.settle()
    assert corp.network.attempts == []


def test_a_change_that_was_called_back_says_nothing_in_the_log(corp, events):
    hold(corp, "search")
    answer = corp.start("register", "carol", NEW)
    corp.network.settle()
    gone(answer)
    assert [event for event in events if event["log_level"].name in ("error", "critical")] == []


def gone(answer):
    """Nobody waits for it any more."""
    ended = []
    answer.addErrback(lambda failure: ended.append(failure.type))
    answer.cancel()
    assert ended == [CancelledError]


def test_a_bug_in_a_write_is_raised_to_who_waits(corp):
    corp.make()

    async def broken(*_):
        raise RuntimeError("a bug")

    corp.checker._writing._set = broken
    with pytest.raises(RuntimeError, match="a bug"):
        corp.register("carol")


# --- the service account --------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["set_password", "register"])
@pytest.mark.parametrize("dn", [SERVICE, SERVICE.upper()])
def test_the_service_account_is_nobodys_to_change(corp, what, dn):
    """Not even where its entry is one that users are looked for among."""
    service = f"{dn.partition(',')[0]},{PEOPLE.decode()}"
    corp.book.add(service.lower().encode(), SECRET, uid=[b"service"])
    corp.book.passwords[service.encode()] = SECRET
    corp.set(bind_dn=service)
    refused = Reason.SERVICE_ACCOUNT if what == "set_password" else Reason.USER_EXISTS
    assert corp.write(what, "service") == rejected(refused)
    assert corp.book.writes == []
    assert corp.change("alice") is CHANGED


# --- through the authenticator --------------------------------------------------------------------


def test_nobody_is_registered_on_the_strength_of_what_was_kept(corp):
    named = (named_checker("corp", corp.make()),)
    login_log = LoginLog(LogSettings(), lambda _: None, lambda: float(TODAY))
    house = Authenticator({"example.org": Domain(named, named)}, login_log, corp.network, "boot")
    assert corp.exists("alice") is model.USER_EXISTS
    del corp.book.entries[ALICE]
    assert corp.exists("alice") is model.USER_EXISTS  # it is kept
    answer = house.register("test", b"alice", b"example.org", Secret(NEW), 8.0)
    corp.network.settle()
    assert now(answer) is REGISTERED


def test_no_secret_is_told_to_anybody(corp, events):
    named = (named_checker("corp", corp.make()),)
    lines: list[str] = []
    login_log = LoginLog(LogSettings(), lines.append, lambda: float(TODAY))
    house = Authenticator({"example.org": Domain(named, named)}, login_log, corp.network, "boot")
    trace = Trace()
    for user in (b"alice", b"carol"):
        ask = house.set_password if user == b"alice" else house.register
        answer = ask("test", user, b"example.org", Secret(NEW), 8.0, trace=trace)
        corp.network.settle()
        assert now(answer).verdict is Verdict.ACCEPTED
    corp.book.refusals["extended"] = (50, b"no")
    answer = house.set_password("test", b"alice", b"example.org", Secret(NEW), 8.0, trace=trace)
    corp.network.settle()
    assert now(answer) == unavailable(Reason.DIRECTORY_REFUSED)
    said = repr([trace.steps, events, lines, corp.checker._settings])
    for secret in (NEW, SECRET):
        assert secret.decode() not in said
