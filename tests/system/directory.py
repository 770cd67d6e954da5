"""The people of the directory, each with something of his own, and the tree they stand in."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .canary import secret

#: The XMPP domain of everybody in the directory, and the one of its group alone.
DOMAIN = "directory.example"
MEMBERS = "members.example"
#: The same people, for outages: here a directory that says nothing is not waited for as long.
IMPATIENT = "impatient.example"

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
CROWD = f"ou=crowd,{BASE}"
ADMIN = f"cn=admin,{BASE}"
SERVICE = f"cn=authbridge,ou=services,{BASE}"

Pairs = Sequence[tuple[str, str]]


def rdn_value(value: str) -> str:
    """A value in a DN as RFC 4514 has it."""
    value = re.sub(r'([,+"\\<>;=])', r"\\\1", value)
    return re.sub(r"^#", r"\\#", value)


def escaped(uid: str) -> str:
    """The localpart of a JID as XEP-0106 writes a name that has what no JID may have."""
    uid = re.sub(r"\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)", r"\\5c", uid)
    return re.sub(r"[ \"&'/:<>@]", lambda found: f"\\{ord(found[0]):02x}", uid)


@dataclass(frozen=True, eq=False)
class Account:
    """One user, and what is to be found about him."""

    uid: str
    password: bytes
    #: More lines of his entry.
    more: Pairs = ()
    #: The reason in the log for his password, and for another one.
    right: str = "password_matches"
    wrong: str = "password_mismatch"
    #: Whether mail for him is kept.
    exists: bool = True
    parent: str = PEOPLE

    @property
    def local(self) -> str:
        """The localpart of his JID."""
        return escaped(self.uid).lower()

    @property
    def jid(self) -> str:
        """His JID."""
        return f"{self.local}@{DOMAIN}"

    @property
    def dn(self) -> str:
        """Where his entry stands."""
        return f"uid={rdn_value(self.uid)},{self.parent}"

    @property
    def accepted(self) -> bool:
        """True if his password lets him in."""
        return self.right.startswith("password_matches")


def policy(name: str) -> tuple[str, str]:
    """The line of an entry that has a password policy of its own."""
    return ("pwdPolicySubentry", f"cn={name},ou=policies,{BASE}")


_LONG_AGO = ("pwdChangedTime", "20200101000000Z")

ALICE = Account("alice", secret("wonderland"), [("mail", "liddell@example.org")])
BOB = Account("bob", secret("builder:with:colons"))
CELIK = Account("çelik", secret("pässwörd ✓"))
SPECIAL = Account("o'brien, pat*(x)\\y", secret('sp€cial "chars"\\'))
CAROL = Account("carol", secret("in-no-group"))
ZOE = Account("Zoe Z", secret("capital"))
LOCKED = Account(
    "locked",
    secret("locked"),
    [("pwdAccountLockedTime", "000001010000Z")],
    right="account_locked",
    wrong="account_locked",
)
MUST_RESET = Account(
    "mustreset",
    secret("reset"),
    [("pwdReset", "TRUE"), policy("reset")],
    right="password_must_change",
)
EXPIRED = Account(
    "expired", secret("expired"), [_LONG_AGO, policy("aged")], right="password_expired"
)
GRACE = Account(
    "grace", secret("grace"), [_LONG_AGO, policy("graceful")], right="password_matches_grace"
)
LAST_GRACE = Account(
    "lastgrace", secret("last"), [_LONG_AGO, policy("last")], right="password_matches_grace"
)
GONE = Account(
    "gone",
    secret("gone"),
    [("objectClass", "shadowAccount"), ("shadowExpire", "17000")],
    right="account_expired",
    wrong="account_expired",
    exists=False,
)
#: Locked by the fifth wrong password in a row.
STRICT = Account("strict", secret("strict"), [policy("strict")])
#: One entry that has two names.
HANNAH = Account("hannah", secret("palindrome"), [("uid", "anna")])
#: Two entries that have one name.
DOUBLE = Account("double", secret("double"), right="user_ambiguous", wrong="user_ambiguous")
OTHER_DOUBLE = Account("double", secret("other-double"), parent=f"ou=berlin,{PEOPLE}")

PEOPLE_OF_ALL_KINDS = (
    *(ALICE, BOB, CELIK, SPECIAL, CAROL, ZOE, LOCKED, MUST_RESET, EXPIRED, GRACE, GONE, DOUBLE),
)
#: Those with a test of their own.
OTHERS = (LAST_GRACE, STRICT, OTHER_DOUBLE, HANNAH)

#: What a filter or a DN gives a meaning to, or a JID does not hold.
SPECIAL_CHARACTERS = "*()\\,+=;#<>\"/&':@ "
SPECIAL_PEOPLE = (
    *(Account(f"lo{c}uise", secret(f"char-{ord(c)}")) for c in SPECIAL_CHARACTERS),
    Account("#hash", secret("hash")),
    # What looks like an escape is none.
    Account("back\\20slash", secret("backslash")),
)

#: As many as it takes to notice when one gets the answer of another.
CROWD_PEOPLE = tuple(
    Account(f"user{number:02}", secret(f"crowd-{number}"), parent=CROWD) for number in range(16)
)

GROUPS = {"xmpp-users": (ALICE, BOB), "café": (CELIK, SPECIAL)}
#: A posixGroup, which has its members' names.
UNIX_GROUP = "unix-users"
UNIX_USERS = (ALICE, ZOE)

BY_LOCALPART = {
    account.local: account for account in (*PEOPLE_OF_ALL_KINDS, *SPECIAL_PEOPLE, STRICT)
}


def group_dn(name: str) -> str:
    """Where a group stands."""
    return f"cn={name},ou=groups,{BASE}"


def ssha(password: bytes) -> str:
    """A value of userPassword."""
    salt = os.urandom(8)
    digest = hashlib.sha1(password + salt).digest()  # nothing else is in every slapd
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def _entry(dn: str, classes: str, *lines: tuple[str, str]) -> str:
    """LDIF with every value in base64: there is nothing to escape."""
    given = [*(("objectClass", name) for name in classes.split()), *lines]
    # slapadd wants an attribute's values side by side.
    given.sort(key=lambda line: line[0])
    encoded = (
        f"{name}:: {base64.b64encode(value.encode()).decode()}\n"
        for name, value in (("dn", dn), *given)
    )
    return "".join(encoded) + "\n"


def _ou(name: str, parent: str = BASE) -> str:
    return _entry(f"ou={name},{parent}", "organizationalUnit", ("ou", name))


def _policy(name: str, **more: str) -> str:
    return _entry(
        f"cn={name},ou=policies,{BASE}",
        "organizationalRole pwdPolicy",
        *(("cn", name), ("pwdAttribute", "userPassword"), ("pwdLockout", "TRUE")),
        *(("pwdLockoutDuration", "0"), ("pwdFailureCountInterval", "0")),
        *more.items(),
    )


def _person(account: Account, userpassword: str) -> str:
    lines = [("uid", account.uid), ("sn", "Lab"), ("cn", account.uid)]
    return _entry(
        account.dn, "inetOrgPerson", *lines, ("userPassword", userpassword), *account.more
    )


def _tree(service_password: bytes, referral: str) -> Iterator[str]:
    yield _entry(BASE, "dcObject organization", ("dc", "example"), ("o", "Example"))
    yield from map(_ou, ("people", "crowd", "groups", "services", "policies"))
    yield _ou("berlin", PEOPLE)
    yield _policy("default")
    yield _policy("reset", pwdMustChange="TRUE")
    yield _policy("strict", pwdMaxFailure="5")
    yield _policy("aged", pwdMaxAge="1", pwdGraceAuthNLimit="0")
    yield _policy("graceful", pwdMaxAge="1", pwdGraceAuthNLimit="1000")
    yield _policy("last", pwdMaxAge="1", pwdGraceAuthNLimit="1")
    yield _entry(
        SERVICE,
        "organizationalRole simpleSecurityObject",
        *(("cn", "authbridge"), ("userPassword", ssha(service_password))),
    )
    for account in (*PEOPLE_OF_ALL_KINDS, *SPECIAL_PEOPLE, *OTHERS):
        yield _person(account, ssha(account.password))
    for account in CROWD_PEOPLE:
        yield _person(account, account.password.decode())
    # Every search of the people meets this one.
    yield _entry(
        f"ou=elsewhere,{PEOPLE}",
        "referral extensibleObject",
        *(("ou", "elsewhere"), ("ref", f"{referral}{BASE}")),
    )


def tree(service_password: bytes, referral: str) -> str:
    """Everything but the groups, for slapadd. `referral` is the URL of another directory."""
    return "".join(_tree(service_password, referral))


def groups() -> str:
    """The groups, for ldapadd: only what comes over LDAP reaches the members' memberOf."""
    of_names = (
        _entry(
            group_dn(name),
            "groupOfNames",
            *(("cn", name), *(("member", member.dn) for member in members)),
        )
        for name, members in GROUPS.items()
    )
    names = (("memberUid", user.uid) for user in UNIX_USERS)
    return "".join(of_names) + _entry(
        group_dn(UNIX_GROUP),
        "posixGroup",
        *(("cn", UNIX_GROUP), ("gidNumber", "1000"), *names),
    )


def checker(
    domain: str, name: str, server: str, *, exists: object = None, **settings: object
) -> str:
    """The tables of an XMPP domain that is asked of a directory; None leaves a setting out."""
    chosen: dict[str, object] = {
        "kind": "ldap",
        "preset": "openldap",
        "servers": [server],
        "base": PEOPLE,
        "bind_dn": SERVICE,
        **settings,
    }
    rule = {"check": [name], "exists": exists}
    return f'\n[domains."{domain}"]\n{_toml(rule)}\n[checkers.{name}]\n{_toml(chosen)}'


def _toml(settings: Mapping[str, object]) -> str:
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False, default=str)}\n"
        for key, value in settings.items()
        if value is not None
    )
