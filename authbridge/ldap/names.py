"""Names of the configuration, and what to call a result code (ldap3 knows that).

Names that a server returns are octets that go back to it as they came: nobody parses them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ldap3.core.results import RESULT_CODES

from authbridge.ldap.codec import Entry, Result
from authbridge.printable import printable
from authbridge.settings import Table

HOLE: Final = "{user}"
DOMAIN_HOLE: Final = "{domain}"

# What a value may hold as it is wherever in it it stands; the rest becomes \XX (RFC 4514, 2.4).
_UNSAFE: Final = re.compile(rb"[^0-9A-Za-z._@-]")

_LOGON: Final = re.compile(
    r"""\{user\}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|[^\s"/\\\[\]:;|=,+*?<>@{}]+\\\{user\}"""
)
_NOT_IN_LOGON_NAME: Final = re.compile(rb"""[^\x21-\x7e]|["/\\\[\]:;|=,+*?<>@]""")


_LOGON_NAME: Final = re.compile(
    r"""[^\s"/\\\[\]:;|=,+*?<>@]+(@[\w.-]+|\\[^"/\\\[\]:;|=,+*?<>@]+)"""
)


# Blanks round a separator count for nothing (RFC 2253, 4); a # or = within a value is itself.
_ESCAPED: Final = r"""\\(?:[ "#+,;<=>\\]|[0-9A-Fa-f]{2})"""
_VALUE: Final = rf"""#(?:[0-9A-Fa-f]{{2}})+ *|(?!#)(?:{_ESCAPED}|[^\0"+,;<>\\])+"""
_PART: Final = rf" *(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+) *= *+(?:{_VALUE})"
_DN: Final = re.compile(rf"{_PART}(?:[,+]{_PART})*")


class NameMistake(ValueError):
    """This is no distinguished name; the text says why."""


def check(dn: str) -> None:
    """Raise NameMistake where this is no DN (RFC 4514). ldap3 refuses some that are."""
    if not _DN.fullmatch(dn):
        raise NameMistake("this is no distinguished name (RFC 4514), as in ou=people,dc=example")


def is_below(dn: str, base: str) -> bool:
    """Whether a DN of the configuration is another one, or below it, as far as spelling tells."""
    dn, base = normalized(dn), normalized(base)
    return dn == base or dn.endswith(f",{base}")


def normalized(dn: str) -> str:
    """A DN in lower case, without blanks round its separators."""
    return re.sub(r" *([,+=]) *", r"\1", dn.strip(" ")).lower()


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
        return self._before + _escape(user) + self._after


class LogonTemplate:
    r"""A name that Active Directory takes for a DN: `{user}@corp.example.org` (a user principal
    name), or `CORP\{user}`."""

    def __init__(self, text: str) -> None:
        """Raises NameMistake."""
        before, _, after = text.partition(HOLE)
        if not _LOGON.fullmatch(text):
            raise NameMistake(f"should be {HOLE}@ and a domain, or a domain, \\ and {HOLE}")
        self._before, self._after = before.encode(), after.encode()

    def fill(self, user: bytes) -> bytes:
        """The name of this user. Raises NameMistake where the user's name holds what would make it
        another kind of name, or another user's."""
        if _NOT_IN_LOGON_NAME.search(user):
            raise NameMistake("the user's name holds what no logon name holds")
        return self._before + user + self._after


def for_domain(dn: str, domain: str) -> bytes:
    """A DN of the configuration in which {domain} is the XMPP domain of a user."""
    if DOMAIN_HOLE not in dn:
        return dn.encode()
    return dn.encode().replace(DOMAIN_HOLE.encode(), _escape(domain.encode()))


def _escape(value: bytes) -> bytes:
    return _UNSAFE.sub(lambda found: b"\\%02x" % found[0][0], value)


class Account:
    """The account that a DN, or a logon name, of the configuration is for."""

    def __init__(self, name: str) -> None:
        self._logon_name = name.lower() if is_logon_name(name) else None
        self._dn = _unescaped(name)
        self._letters = self._dn.replace(" ", "")

    def has(self, entry: Entry) -> bool:
        """Whether it is that of the entry, as far as spelling tells: not by the parts of an RDN in
        another order, nor by blanks within a value."""
        if self._logon_name is not None:
            return self._logon_name in _logon_names(entry, self._logon_name)
        dn = entry.dn.decode("utf-8", "replace")
        # Of each login, so that nearly all are told apart before anything is taken apart.
        if "\\" not in dn and dn.replace(" ", "").lower() != self._letters:
            return False
        return _unescaped(dn) == self._dn


def _logon_names(entry: Entry, like: str) -> Iterator[str]:
    """The names that Active Directory takes for an entry, in the domain of another."""
    domain, backslash, _ = like.partition("\\")
    for value in entry.attributes.get(b"samaccountname", ()):
        own = value.decode("utf-8", "replace").lower()
        yield f"{domain}\\{own}" if backslash else f"{own}@{like.partition('@')[2]}"
    for value in entry.attributes.get(b"userprincipalname", ()):
        yield value.decode("utf-8", "replace").lower()


def _unescaped(dn: str) -> str:
    """A DN in one spelling, which is for comparing alone."""

    def octet(found: re.Match[bytes]) -> bytes:
        return bytes.fromhex(found[1].decode())

    octets = re.sub(rb"\\([0-9A-Fa-f]{2})", octet, dn.encode())
    return normalized(octets.decode("utf-8", "replace").replace("\\", ""))


def is_logon_name(name: str) -> bool:
    r"""Whether Active Directory takes it for an account's name: user@domain or DOMAIN\user."""
    return _LOGON_NAME.fullmatch(name) is not None


def describe(result: Result) -> str:
    """A result for people: "49 invalidCredentials", and what the server says of it."""
    words = f"{result.code} {RESULT_CODES.get(result.code, 'of a kind not known')}"
    text = printable(result.text[:200].rstrip(b"\0"))
    return f"{words}, {text!r}" if text else words
