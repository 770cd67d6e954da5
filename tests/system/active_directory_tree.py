"""The tree of the Active Directory, as LDIF for the tools of Samba's database."""

import base64
from collections.abc import Iterator, Mapping, Sequence

from .active_directory import (
    BASE,
    DOMAIN_USERS,
    EVERYBODY,
    FLORA,
    GROUPS,
    LENGTHY,
    LOCKED,
    LOCKED_BY,
    MULTITUDE,
    MULTITUDE_PARENT,
    PEOPLE,
    PRIMARY_GROUPS,
    SERVICE,
    SERVICE_NAME,
    SHORTEST,
    STRICT,
    WRITER,
    Account,
    Pairs,
    Value,
    group_dn,
)

#: A group of Windows' own, whose members make accounts and change them.
_OPERATORS = f"CN=Account Operators,CN=Builtin,{BASE}"
_NEVER = "-9223372036854775808"


def quoted(password: bytes) -> bytes:
    """A value of unicodePwd ([MS-ADTS] 3.1.1.3.1.5)."""
    return f'"{password.decode()}"'.encode("utf-16-le")


def _lines(given: Pairs) -> str:
    """LDIF with every value in base64: there is nothing to escape."""
    octets = ((name, one.encode() if isinstance(one, str) else one) for name, one in given)
    return "".join(f"{name}:: {base64.b64encode(value).decode()}\n" for name, value in octets)


def _entry(dn: str, kind: str, *lines: tuple[str, Value]) -> str:
    return _lines([("dn", dn), ("objectClass", kind), *lines]) + "\n"


def change(dn: str, *changes: tuple[str, str, Value]) -> str:
    """LDIF that changes an entry: "add", "delete" or "replace", attribute and value of each."""
    parts = (f"{verb}: {name}\n{_lines([(name, value)])}-\n" for verb, name, value in changes)
    return _lines([("dn", dn)]) + "changetype: modify\n" + "".join(parts) + "\n"


def policy() -> str:
    """LDIF that makes the policy of the domain one for tests: any password, and nobody locked."""
    wanted = ("pwdProperties", "pwdHistoryLength", "minPwdAge", "minPwdLength", "lockoutThreshold")
    return change(BASE, *(("replace", name, "0") for name in wanted))


def _settings(name: str, people: Sequence[str], **more: str) -> str:
    """A policy of some people's own (msDS-PasswordSettings)."""
    wanted = {
        "PasswordSettingsPrecedence": "10",
        "PasswordReversibleEncryptionEnabled": "FALSE",
        "PasswordHistoryLength": "0",
        "PasswordComplexityEnabled": "FALSE",
        "MinimumPasswordLength": "0",
        "MinimumPasswordAge": "0",
        "MaximumPasswordAge": _NEVER,
        "LockoutThreshold": "0",
        "LockoutObservationWindow": _NEVER,
        "LockoutDuration": _NEVER,
        **more,
    }
    return _entry(
        f"CN={name},CN=Password Settings Container,CN=System,{BASE}",
        "msDS-PasswordSettings",
        *((f"msDS-{setting}", value) for setting, value in wanted.items()),
        *(("msDS-PSOAppliesTo", dn) for dn in people),
    )


def _person(account: Account) -> str:
    return _entry(
        account.dn,
        "user",
        *(("sAMAccountName", account.name), ("userPrincipalName", account.upn)),
        *(("userAccountControl", account.control), ("unicodePwd", quoted(account.password))),
        *account.more,
    )


def _tree(service_password: bytes, writer_password: bytes) -> Iterator[str]:
    for name in ("People", "Crowd", "Groups", "Services", "Newcomers", "Multitude"):
        yield _entry(f"OU={name},{BASE}", "organizationalUnit")
    services = f"OU=Services,{BASE}"
    yield _person(
        Account(SERVICE_NAME, service_password, common_name="authbridge", parent=services)
    )
    yield _person(Account("writer", writer_password, parent=services))
    yield from map(_person, EVERYBODY)
    for number in range(MULTITUDE):
        name = f"one-of-many{number}"
        yield _entry(f"CN={name},{MULTITUDE_PARENT}", "user", ("sAMAccountName", name))
    # Neither of them is a person.
    yield _entry(f"CN=PC1,{PEOPLE}", "computer", ("sAMAccountName", "PC1$"))
    yield _entry(f"CN=partner,{PEOPLE}", "contact", ("mail", "partner@example.com"))
    for name, members in GROUPS.items():
        dns = (one.dn if isinstance(one, Account) else group_dn(one) for one in members)
        yield _entry(group_dn(name), "group", *(("member", dn) for dn in dns))
    strict = [LOCKED.dn, STRICT.dn, SERVICE]
    yield _settings("strict", strict, LockoutThreshold=str(LOCKED_BY))
    yield _settings("lengthy", [LENGTHY.dn], MinimumPasswordLength=str(SHORTEST))


def tree(service_password: bytes, writer_password: bytes) -> str:
    """Everything, for ldbadd."""
    return "".join(_tree(service_password, writer_password))


def primary_groups(numbers: Mapping[str, str]) -> str:
    """LDIF that gives those of PRIMARY_GROUPS theirs, by the last numbers of the groups' SIDs."""
    guests = change(group_dn("Domain Guests"), ("add", "member", FLORA.dn))
    groups = (
        change(account.dn, ("replace", "primaryGroupID", numbers[group]))
        for group, account in PRIMARY_GROUPS.items()
    )
    # Whom it has just made a member.
    no_user = change(DOMAIN_USERS, ("delete", "member", FLORA.dn))
    return guests + "".join(groups) + no_user


def rights() -> str:
    """LDIF that lets the one service account write."""
    return change(_OPERATORS, ("add", "member", WRITER))


def past() -> str:
    """LDIF of what no administrator may write."""
    return "".join(
        change(account.dn, *(("replace", name, value) for name, value in account.past))
        for account in EVERYBODY
        if account.past
    )
