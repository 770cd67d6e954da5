"""Distinguished names of the configuration, and what to call a result code. ldap3 knows both.

Names that a server returns are octets that go back to it as they came: nobody parses them.
"""

from __future__ import annotations

import re
from typing import Final

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.core.results import RESULT_CODES
from ldap3.utils.dn import parse_dn

from authbridge.ldap.codec import Result
from authbridge.settings import Table

HOLE: Final = "{user}"

# What a value may hold as it is wherever in it it stands; the rest becomes \XX (RFC 4514, 2.4).
_UNSAFE: Final = re.compile(rb"[^0-9A-Za-z._@-]")

_UPN: Final = re.compile(r"\{user\}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_NOT_IN_UPN: Final = re.compile(rb"""[^\x21-\x7e]|["/\\\[\]:;|=,+*?<>@]""")


class NameMistake(ValueError):
    """This is no distinguished name; the text says why."""


def check(dn: str) -> None:
    """Raise NameMistake where this is no DN (RFC 4514)."""
    try:
        parse_dn(dn, strip=True)
    except (LDAPExceptionError, LookupError, TypeError, ValueError, AttributeError) as error:
        known = isinstance(error, LDAPExceptionError) and str(error)
        raise NameMistake(known or "this is no distinguished name (RFC 4514)") from None


def check_setting(table: Table, setting: str, dn: str) -> None:
    """Record a mistake where a setting is no DN."""
    try:
        if dn:  # else it is missing, which has been said
            check(dn)
    except NameMistake as mistake:
        table.wrong(setting, f'"{dn}": {mistake}')


class NameTemplate:
    """A DN with a hole for a user: `uid={user},ou=people,dc=example,dc=org`."""

    def __init__(self, text: str) -> None:
        """The hole is the whole value of an attribute. Raises NameMistake."""
        if text.count(HOLE) != 1:
            raise NameMistake(f"{HOLE} stands in it once, for the user")
        check(text.replace(HOLE, "user"))
        before, _, after = text.partition(HOLE)
        if not before.rstrip().endswith("=") or not re.match(r"\s*([,+]|$)", after):
            raise NameMistake(f"{HOLE} is the whole value of an attribute, as in uid={HOLE},ou=…")
        self._before, self._after = before.encode(), after.encode()

    def fill(self, user: bytes) -> bytes:
        """The DN of this user. Whatever is in the name stays in the value. Raises NameMistake
        where the directory would take it for another's: it counts no space beside another."""
        if b"  " in user:
            raise NameMistake("the user's name has two spaces in a row")
        escaped = _UNSAFE.sub(lambda found: b"\\%02x" % found[0][0], user)
        return self._before + escaped + self._after


class UpnTemplate:
    """A user principal name: `{user}@corp.example.org`, which Active Directory takes for a DN."""

    def __init__(self, text: str) -> None:
        """Raises NameMistake."""
        if not _UPN.fullmatch(text):
            raise NameMistake(f"should be {HOLE}@ and a domain, as in {HOLE}@corp.example.org")
        self._after = text.removeprefix(HOLE).encode()

    def fill(self, user: bytes) -> bytes:
        """The name of this user. Raises NameMistake where the user's name holds what would make it
        another kind of name, or another user's."""
        if _NOT_IN_UPN.search(user):
            raise NameMistake("the user's name holds what no user principal name holds")
        return user + self._after


def describe(result: Result) -> str:
    """A result for people: "49 invalidCredentials", and what the server says of it."""
    words = f"{result.code} {RESULT_CODES.get(result.code, 'of a kind not known')}"
    text = printable(result.text[:200].rstrip(b"\0"))
    return f"{words}, {text!r}" if text else words


def printable(octets: bytes) -> str:
    """What a server says, without what would move a terminal's cursor."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else " " for one in text)
