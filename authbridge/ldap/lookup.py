"""How a user's entry is found and what it must be: filters made once, entries judged.

Directories fold case, width and spaces: `Alice` and `alice ` find the same entry. So the entry's
own name, prepared as a JID is, must be the name that was asked for: one account is one JID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from authbridge import preparation
from authbridge.ldap import codec, names
from authbridge.ldap.codec import Entry, Scope
from authbridge.ldap.faults import Fault
from authbridge.ldap.filters import FilterMistake, Template
from authbridge.ldap.presets import EVERYBODY, MEMBERSHIPS, NESTED_RULE, SEARCH, Preset
from authbridge.model import JID, Reason
from authbridge.printable import printable
from authbridge.settings import Table

ATTRIBUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+")
_ADDRESSES: Final = ("userprincipalname", "mail")
_HELD: Final = tuple(name.encode() for name in _ADDRESSES)
_WINDOWS_NAMES: Final = ("sAMAccountName", "userPrincipalName")
_IN_GROUPS: Final = ("objectSid", "primaryGroupID")

# Two are enough to know that it is not one.
MOST_ENTRIES: Final = 2


@dataclass(frozen=True, slots=True)
class LookupSettings:
    """What [checkers.NAME] says of the users' entries."""

    preset: Preset
    base: str
    filter: str
    jid_attribute: str
    login: tuple[str, ...]
    aliases: bool
    require_groups: tuple[str, ...]
    membership: str
    """One of `presets.MEMBERSHIPS`."""
    group_base: str | None
    """Where groups within groups are looked for."""
    group_depth: int

    @classmethod
    def read(cls, table: Table, preset: Preset) -> LookupSettings:
        """Read them; the table stays open."""
        base = table.text("base")
        names.check_setting(table, "base", base)
        text = table.text("filter", preset.filter)
        if text:
            try:
                Template(text, "user")
            except FilterMistake as mistake:
                table.wrong("filter", f"{text!r}: {mistake}")
                text = EVERYBODY
        jid_attribute = _read_attribute(table, "jid_attribute", preset.jid_attribute)
        login = table.texts("login", (jid_attribute,))
        for name in login:
            if not ATTRIBUTE.fullmatch(name):
                table.wrong("login", f'"{name}" is no name of an attribute')
        if table.data.get("login") == []:
            table.wrong("login", "names no attribute, so that nobody could be found")
        aliases = table.boolean("aliases", False)
        return cls(preset, base, text, jid_attribute, login, aliases, *_read_groups(table, preset))


class Lookup:
    """Makes the searches for one user, and judges what they find. Nothing is asked here."""

    def __init__(self, settings: LookupSettings, time_limit: int) -> None:
        """`time_limit`: seconds that the server may search."""
        self.settings = settings
        self._preset = settings.preset
        attributes = dict.fromkeys((settings.jid_attribute, *settings.login))
        self._by_address = any(map(is_address, settings.login))
        matches = "".join(
            f"({name}={{user}})" + f"({name}={{user@domain}})" * is_address(name)
            for name in settings.login
        )
        text = f"(|{matches})" if matches.count("(") > 1 else matches
        if settings.filter != EVERYBODY:
            text = f"(&{settings.filter}{text})"
        self._filter = Template(text, *(("user", "user@domain") if self._by_address else ("user",)))
        more: tuple[str, ...] = ()
        if self._preset.windows:
            more = _WINDOWS_NAMES + _IN_GROUPS * bool(settings.require_groups)
        self._attributes = codec.search_attributes(
            dict.fromkeys((*attributes, *self._preset.account_attributes, *more))
        )
        self._prefix = codec.search_prefix(
            settings.base.encode(), Scope.SUBTREE, MOST_ENTRIES, time_limit
        )
        self._jid_attribute = settings.jid_attribute.lower().encode()
        self._login = tuple(name.lower().encode() for name in settings.login)
        self._time_limit = time_limit

    def user(self, name: bytes, domain: str) -> bytes:
        """The search for a user's entry."""
        return self._prefix.request(
            self._filter.fill(*self._values(name, domain)), self._attributes
        )

    def spell(self, name: bytes, domain: str) -> str:
        """Its filter, for people."""
        return self._filter.spell(*self._values(name, domain))

    def _values(self, name: bytes, domain: str) -> tuple[bytes, ...]:
        return (name, name + b"@" + domain.encode()) if self._by_address else (name,)

    def name_in(self, entry: Entry, jid: JID) -> bytes | None:
        """The entry's own name, as it spells it; None where it is not that of this JID, or where
        there are several and only `aliases` would let each be one. Raises Fault."""
        own = entry.attributes.get(self._jid_attribute, [])
        if not self.settings.aliases:
            own = self.own_names(entry)
            known = len(own) == 1 and _stands_for(own[0], self._jid_attribute, jid)
            return own[0] if known else None
        for attribute in dict.fromkeys((self._jid_attribute, *self._login)):
            for value in entry.attributes.get(attribute, ()):
                if _stands_for(value, attribute, jid):
                    return value if value in own or not own else own[0]
        return None

    def own_names(self, entry: Entry) -> list[bytes]:
        """The values of an entry's `jid_attribute`. Raises Fault where there is none: it was found
        by one that bind_dn may not read, or that the server calls otherwise."""
        own = entry.attributes.get(self._jid_attribute, [])
        if not own:
            name = self.settings.jid_attribute
            words = f"an entry has no {name} that bind_dn may read; what does the server call it?"
            raise Fault(Reason.DIRECTORY_REFUSED, words)
        return own

    def account_state(self, entry: Entry, now: float) -> Reason | None:
        """Why the account may not be used, or None; `now` is in seconds since the epoch. Raises
        Fault where the entry does not tell."""
        try:
            return self._preset.account_state(entry, now)
        except ValueError as error:
            names_ = " or ".join(self._preset.account_attributes)
            words = f"whether an account is over cannot be read from {names_}: {error}"
            raise Fault(Reason.DIRECTORY_FAILED, words) from None

    def describe_account(self, entry: Entry) -> str:
        """What the entry says of it, for people."""
        return ", ".join(
            f"{name} {printable(value)}"
            for name in self._preset.account_attributes
            for value in entry.attributes.get(name.lower().encode(), ())
        )

    def anybody(self) -> tuple[str, bytes]:
        """A search for any user at all, and its filter for people. A `filter` that is about one
        user is left out."""
        settings = self.settings
        condition = EVERYBODY if "{user}" in settings.filter else settings.filter
        text = f"(&{condition}({settings.jid_attribute}=*))"
        prefix = codec.search_prefix(settings.base.encode(), Scope.SUBTREE, 1, self._time_limit)
        return text, prefix.request(Template(text).fill(), self._attributes)

    def group(self, dn: str) -> bytes:
        """A search for a group's own entry."""
        anything = Template(EVERYBODY).fill()
        return codec.search_request(
            dn.encode(), Scope.BASE, anything, ("1.1",), size_limit=1, time_limit=self._time_limit
        )


def is_address(attribute: str) -> bool:
    """Whether its values hold a name and a domain, as a JID does."""
    return attribute.lower() in _ADDRESSES


def _stands_for(value: bytes, attribute: bytes, jid: JID) -> bool:
    """Whether a name of an entry is the localpart, once it is escaped and prepared. An address in
    the JID's own domain stands for what is before the @, and any other for all of it, so that
    it is one JID's and not two's."""
    try:
        name = value.decode()
        if attribute in _HELD:
            local, at, domain = name.rpartition("@")
            if at and preparation.domain(domain.encode()) == jid.domain:
                name = local
        name = preparation.escape(name)
        return name == jid.local or preparation.local(name.encode()) == jid.local
    except ValueError:  # Unprepared, or no UTF-8: it is no JID's
        return False


def _read_groups(table: Table, preset: Preset) -> tuple[tuple[str, ...], str, str | None, int]:
    groups = table.texts("require_groups", ())
    if table.data.get("require_groups") == []:
        table.wrong("require_groups", "names no group; leave it out to require none")
    for group in groups:
        names.check_setting(table, "require_groups", group.replace(names.DOMAIN_HOLE, "x"))
    membership = table.choice("group_membership", MEMBERSHIPS, preset.membership)
    if membership == NESTED_RULE and not preset.windows:
        table.wrong("group_membership", f'"{NESTED_RULE}" is for Active Directory')
    base = table.text("group_base") if "group_base" in table else None
    depth = table.number("group_depth", 5, least=2, most=20)
    if base is not None:
        names.check_setting(table, "group_base", base)
        if membership != SEARCH:
            table.wrong("group_base", f'is for group_membership = "{SEARCH}"')
    elif "group_depth" in table:
        table.wrong("group_depth", "is for groups within groups; group_base says where they are")
    for setting in ("group_membership", "group_base"):
        if setting in table and not groups:
            table.wrong(setting, "is for require_groups, which is not given")
    return groups, membership, base, depth


def _read_attribute(table: Table, setting: str, default: str) -> str:
    name = table.text(setting, default)
    if name and not ATTRIBUTE.fullmatch(name):
        table.wrong(setting, f'"{name}" is no name of an attribute')
        return default
    return name or default
