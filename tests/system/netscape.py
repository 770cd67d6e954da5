"""The people of the 389 Directory Server, each with something of his own, and the tree they stand
in."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import directory
from .canary import secret
from .directory import BASE, PEOPLE, SERVICE, Pairs

#: The XMPP domain of everybody in it.
DOMAIN = "netscape.example"
ADMIN = "cn=Directory Manager"
#: Who may not read `nsAccountLock`, who may read nothing, and who everything.
BLIND = f"cn=blind,ou=services,{BASE}"
POWERLESS = f"cn=powerless,ou=services,{BASE}"
MIGHTY = f"cn=mighty,ou=services,{BASE}"
#: Who may also give passwords, add entries and delete them; and who may not delete any.
WRITER = f"cn=writer,ou=services,{BASE}"
ADDER = f"cn=adder,ou=services,{BASE}"
#: The mistake of a strict account that locks it.
LOCKED_BY = 3


@dataclass(frozen=True, eq=False)
class Account(directory.Account):
    """One user, and what is to be found about him."""

    #: Why he does not exist, if he does not.
    gone: str = ""

    @property
    def jid(self) -> str:
        """His JID."""
        return f"{self.local}@{DOMAIN}"


def policy(name: str) -> tuple[str, str]:
    """The line of an entry that has a password policy of its own."""
    return ("pwdpolicysubentry", f"cn={name},cn=policies,{BASE}")


_LONG_AGO, _FAR = "20200101000000Z", "20370101000000Z"
#: What 389 writes where no time is meant: until an administrator is there, or at once.
_NO_TIME = "19700101000000Z"
_EXPIRED = ("passwordExpirationTime", _LONG_AGO)
_DISABLED = ("nsAccountLock", "true")
_WRONG_ENOUGH = ("passwordRetryCount", str(LOCKED_BY))
_ROLE = f"cn=nsManagedDisabledRole,{BASE}"


def _disabled(uid: str, *more: tuple[str, str]) -> Account:
    state = "account_disabled"
    return Account(uid, secret(uid), more, right=state, wrong=state, gone=state)


def _locked(uid: str, *more: tuple[str, str]) -> Account:
    state = "account_locked"
    return Account(uid, secret(uid), [_WRONG_ENOUGH, *more], right=state, wrong=state)


ALICE = Account("alice", secret("wonderland"), [("mail", "liddell@example.org")])
BOB = Account("bob", secret("builder:with:colons"))
CELIK = Account("çelik", secret("pässwörd ✓"))
SPECIAL = Account("o'brien, pat*(x)\\y", secret('sp€cial "chars"\\'))
ZOE = Account("Zoe Z", secret("capital"))

DISABLED = _disabled("disabled", _DISABLED)
#: By a role; his own entry says nothing of it.
RETIRED = _disabled("retired", ("nsRoleDN", _ROLE))
DISABLED_LOCKED = _disabled("both", _DISABLED, _WRONG_ENOUGH, policy("strict"))
#: Whom the account policy plugin keeps out; that is not in his entry either.
INACTIVE = Account(
    *("inactive", secret("inactive")),
    [("acctPolicySubentry", f"cn=inactive,cn=policies,{BASE}"), ("lastLoginTime", _LONG_AGO)],
    right="account_disabled",
    wrong="account_disabled",
)
LOCKED = _locked("locked", ("accountUnlockTime", _FAR), policy("strict"))
LOCKED_FOR_GOOD = _locked("shut", ("accountUnlockTime", _NO_TIME), policy("forever"))
EXPIRED = Account(
    "expired", secret("expired"), [_EXPIRED, policy("aged")], right="password_expired"
)
GRACE = Account(
    "grace", secret("grace"), [_EXPIRED, policy("graceful")], right="password_matches_grace"
)
LAST_GRACE = Account(
    "lastgrace", secret("last"), [_EXPIRED, policy("last")], right="password_matches_grace"
)
MUST_CHANGE = Account(
    *("mustchange", secret("change")),
    [("passwordExpirationTime", _NO_TIME), policy("reset")],
    right="password_must_change",
)
#: Warned with each login.
EXPIRING = Account("expiring", secret("expiring"), [policy("aged")])
NO_PASSWORD = Account("nopassword", b"", right="password_mismatch")
#: Locked by the third wrong password in a row.
STRICT = Account("strict", secret("strict"), [policy("strict")])

PEOPLE_OF_ALL_KINDS = (
    *(ALICE, BOB, CELIK, SPECIAL, ZOE, DISABLED, RETIRED, DISABLED_LOCKED, INACTIVE, LOCKED),
    *(LOCKED_FOR_GOOD, EXPIRED, GRACE, MUST_CHANGE, EXPIRING),
)
#: Those with a test of their own.
OTHERS = (LAST_GRACE, NO_PASSWORD, STRICT)
#: What a filter or a DN gives a meaning to, or a JID does not hold.
SPECIAL_PEOPLE = tuple(
    Account(f"lo{character}uise", secret(f"char-{ord(character)}"))
    for character in directory.SPECIAL_CHARACTERS
)

GROUPS = {"xmpp-users": (ALICE, LOCKED, DISABLED), "café": (CELIK, SPECIAL)}
#: A groupOfUniqueNames.
UNIQUE_GROUP, UNIQUE_USERS = "unique", (BOB,)


def _lines(given: Pairs) -> str:
    """LDIF with every value in base64: there is nothing to escape."""
    return "".join(
        f"{name}:: {base64.b64encode(value.encode()).decode()}\n" for name, value in given
    )


def entry(dn: str, classes: str, *lines: tuple[str, str]) -> str:
    """LDIF for ldapadd."""
    given = [("dn", dn), *(("objectClass", name) for name in classes.split()), *lines]
    return _lines(given) + "\n"


def change(dn: str, *changes: tuple[str, str, str]) -> str:
    """LDIF that changes an entry: "add", "delete" or "replace", attribute and value of each."""
    parts = (f"{verb}: {name}\n{_lines([(name, value)])}-\n" for verb, name, value in changes)
    return _lines([("dn", dn)]) + "changetype: modify\n" + "".join(parts) + "\n"


def _may(who: str, target: str, rights: str) -> tuple[str, str]:
    return (
        "aci",
        f'({target})(version 3.0; acl "{rights}"; allow ({rights}) userdn="ldap:///{who}";)',
    )


_READ = "objectClass || cn || uid || sn || mail || member || uniqueMember || memberUid || memberOf"


def _rights() -> Iterator[tuple[str, str]]:
    for who in (SERVICE, WRITER, ADDER):
        yield _may(who, f'targetattr="{_READ} || nsAccountLock"', "read, search, compare")
    yield _may(BLIND, f'targetattr="{_READ}"', "read, search, compare")
    yield _may(MIGHTY, 'targetattr="*"', "read, search, compare")
    yield _may("self", 'targetattr="userPassword"', "write")
    for who in (WRITER, ADDER):
        yield _may(who, f'target="ldap:///{PEOPLE}")(targetattr="userPassword"', "write")
        yield _may(who, f'target="ldap:///{PEOPLE}"', "add")
    yield _may(WRITER, f'target="ldap:///{PEOPLE}"', "delete")


def _policy(name: str, **more: str) -> str:
    dn = f"cn={name},cn=policies,{BASE}"
    return entry(dn, "ldapsubentry passwordpolicy", ("cn", name), *more.items())


def _policies() -> Iterator[str]:
    yield entry(f"cn=policies,{BASE}", "nsContainer", ("cn", "policies"))
    locks = {
        "passwordLockout": "on",
        "passwordMaxFailure": str(LOCKED_BY),
        "passwordLockoutDuration": "36000",
        "passwordResetFailureCount": "36000",
    }
    yield _policy("strict", passwordUnlock="on", **locks)
    yield _policy("forever", passwordUnlock="off", **locks)
    aged = {"passwordExp": "on", "passwordMaxAge": "8640000", "passwordWarning": "86400"}
    yield _policy("aged", **aged)
    yield _policy("graceful", passwordGraceLimit="1000", **aged)
    yield _policy("last", passwordGraceLimit="1", **aged)
    yield _policy("reset", passwordMustChange="on")
    yield _policy("historic", passwordHistory="on", passwordInHistory="3")
    yield entry(
        f"cn=inactive,cn=policies,{BASE}",
        "ldapsubentry accountpolicy",
        *(("cn", "inactive"), ("accountInactivityLimit", "86400")),
    )


def _disabling_role() -> Iterator[str]:
    """As the server's own tools make it: a role, and a class of service that disables who is in
    it."""
    nested = f"cn=nsDisabledRole,{BASE}"
    templates = f"cn=nsAccountInactivationTmp,{BASE}"
    simple = "nsRoleDefinition nsSimpleRoleDefinition nsManagedRoleDefinition"
    yield entry(_ROLE, f"ldapsubentry {simple}")
    yield entry(
        nested,
        "ldapsubentry nsRoleDefinition nsComplexRoleDefinition nsNestedRoleDefinition",
        ("nsRoleDN", _ROLE),
    )
    yield entry(templates, "nsContainer")
    yield entry(
        f'cn="{nested}",{templates}',
        "extensibleObject costemplate ldapsubentry",
        _DISABLED,
    )
    yield entry(
        f"cn=nsAccountInactivation_cos,{BASE}",
        "ldapsubentry cosSuperDefinition cosClassicDefinition",
        *(("cosTemplateDn", templates), ("cosSpecifier", "nsRole")),
        ("cosAttribute", "nsAccountLock operational"),
    )


def person(account: directory.Account, value: str = "") -> str:
    """LDIF for a user. `value` is that of userPassword, where it is not his password."""
    value = value or account.password.decode()
    password = [("userPassword", value)] if value else []
    lines = [("uid", account.uid), ("cn", account.uid), ("sn", "Lab"), *password, *account.more]
    return entry(account.dn, "inetOrgPerson", *lines)


def group(name: str, members: Sequence[str], kind: str = "groupOfNames") -> str:
    """LDIF for one with these DNs."""
    attribute = "uniqueMember" if kind == "groupOfUniqueNames" else "member"
    lines = [("cn", name), *((attribute, dn) for dn in members)]
    return entry(directory.group_dn(name), kind, *lines)


def _tree(service_password: bytes) -> Iterator[str]:
    yield entry(BASE, "domain", ("dc", "example"), *_rights())
    for name in ("people", "groups", "services"):
        yield entry(f"ou={name},{BASE}", "organizationalUnit", ("ou", name))
    yield from _policies()
    yield from _disabling_role()
    for dn in (SERVICE, BLIND, POWERLESS, MIGHTY, WRITER, ADDER):
        password = ("userPassword", service_password.decode())
        yield entry(dn, "applicationProcess simpleSecurityObject", password)
    yield from map(person, (*PEOPLE_OF_ALL_KINDS, *OTHERS, *SPECIAL_PEOPLE))
    for name, members in GROUPS.items():
        yield group(name, [member.dn for member in members])
    yield group(UNIQUE_GROUP, [user.dn for user in UNIQUE_USERS], "groupOfUniqueNames")


def tree(service_password: bytes) -> str:
    """Everything, for ldapadd. All service accounts have this password."""
    return "".join(_tree(service_password))


def checker(
    domain: str, name: str, server: str, *, exists: object = None, **settings: object
) -> str:
    """The tables of an XMPP domain that is asked of it; None leaves a setting out."""
    return directory.checker(domain, name, server, exists=exists, **{"preset": "389", **settings})
