"""How a user's entry is found and what it must be: filters made once, entries judged.

Directories fold case, width and spaces: `Alice` and `alice ` find the same entry. So the entry's
own name, prepared as a JID is, must be the name that was asked for: one account is one JID.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from authbridge import preparation
from authbridge.ldap import codec, names
from authbridge.ldap.codec import Entry, Scope
from authbridge.ldap.faults import Fault
from authbridge.ldap.filters import FilterMistake, Template
from authbridge.model import Reason
from authbridge.settings import Table

EVERYBODY: Final = "(objectClass=*)"
GROUP_FILTER: Final = "(|(member={dn})(uniqueMember={dn})(memberUid={user}))"
_ATTRIBUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*|\d+(\.\d+)+")
_NO_ATTRIBUTES: Final = ("1.1",)  # RFC 4511, 4.5.1.8
_TIME: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,]\d+)?Z")
_DAY: Final = 86400

# Two are enough to know that it is not one.
MOST_ENTRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Preset:
    """What is usual with a kind of directory; each setting overrides it."""

    jid_attribute: str
    shadow_expire: bool
    """Whether accounts expire by shadowExpire (RFC 2307) and pwdEndTime."""


PRESETS: Final = {"openldap": Preset(jid_attribute="uid", shadow_expire=True)}


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
    memberof: bool
    """Whether membership is in the user's entry (memberOf); else in the group's."""

    @classmethod
    def read(cls, table: Table, preset: Preset) -> LookupSettings:
        """Read them; the table stays open."""
        base = table.text("base")
        names.check_setting(table, "base", base)
        text = table.text("filter", EVERYBODY)
        if text:
            try:
                Template(text, "user")
            except FilterMistake as mistake:
                table.wrong("filter", f"{text!r}: {mistake}")
                text = EVERYBODY
        jid_attribute = _read_attribute(table, "jid_attribute", preset.jid_attribute)
        login = table.texts("login", (jid_attribute,))
        for name in login:
            if not _ATTRIBUTE.fullmatch(name):
                table.wrong("login", f'"{name}" is no name of an attribute')
        if table.data.get("login") == []:
            table.wrong("login", "names no attribute, so that nobody could be found")
        aliases = table.boolean("aliases", False)
        groups = table.texts("require_groups", ())
        if table.data.get("require_groups") == []:
            table.wrong("require_groups", "names no group; leave it out to require none")
        for group in groups:
            names.check_setting(table, "require_groups", group)
        memberof = table.choice("group_membership", ("search", "memberof"), "search") != "search"
        if "group_membership" in table and not groups:
            table.wrong("group_membership", "is for require_groups, which is not given")
        return cls(preset, base, text, jid_attribute, login, aliases, groups, memberof)


class Lookup:
    """Makes the searches for one user, and judges what they find. Nothing is asked here."""

    def __init__(self, settings: LookupSettings, time_limit: int) -> None:
        """`time_limit`: seconds that the server may search."""
        self.settings = settings
        attributes = dict.fromkeys((settings.jid_attribute, *settings.login))
        matches = "".join(f"({name}={{user}})" for name in settings.login)
        text = matches if len(settings.login) == 1 else f"(|{matches})"
        if settings.filter != EVERYBODY:
            text = f"(&{settings.filter}{text})"
        self._filter = Template(text, "user")
        expiry = ("shadowExpire", "pwdEndTime") if settings.preset.shadow_expire else ()
        self._attributes = codec.search_attributes((*attributes, *expiry))
        self._prefix = codec.search_prefix(
            settings.base.encode(), Scope.SUBTREE, MOST_ENTRIES, time_limit
        )
        self._jid_attribute = settings.jid_attribute.lower().encode()
        self._login = tuple(name.lower().encode() for name in settings.login)
        self._time_limit = time_limit
        self._groups = Template(GROUP_FILTER, "dn", "user")
        holes = [f"g{number}" for number in range(len(settings.require_groups))]
        member_of = "".join(f"(memberOf={{{hole}}})" for hole in holes)
        self._member_of = Template(f"(|{member_of})", *holes) if holes else None

    def user(self, name: bytes) -> bytes:
        """The search for a user's entry."""
        return self._prefix.request(self._filter.fill(name), self._attributes)

    def spell(self, name: bytes) -> str:
        """Its filter, for people."""
        return self._filter.spell(name)

    def name_in(self, entry: Entry, local: str) -> bytes | None:
        """The entry's own name, as it spells it; None where it is not that of this localpart, or
        where there are several and only `aliases` would let each be a JID. Raises Fault."""
        own = entry.attributes.get(self._jid_attribute, [])
        if not self.settings.aliases:
            own = self.own_names(entry)
            return own[0] if len(own) == 1 and _stands_for(own[0], local) else None
        for attribute in dict.fromkeys((self._jid_attribute, *self._login)):
            for value in entry.attributes.get(attribute, ()):
                if _stands_for(value, local):
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

    def has_expired(self, entry: Entry, now: float) -> bool:
        """Whether the account is over; `now` is in seconds since the epoch. Raises Fault where
        that cannot be read: a guess would let somebody in, or keep everybody out."""
        try:
            for value in entry.attributes.get(b"shadowexpire", ()):
                if 0 <= int(value) <= now // _DAY:  # -1 is never; 0 is how chage disables
                    return True
            return any(read_time(value) <= now for value in entry.attributes.get(b"pwdendtime", ()))
        except ValueError:
            words = "shadowExpire or pwdEndTime of an entry is no date"
            raise Fault(Reason.DIRECTORY_FAILED, words) from None

    def describe_expiry(self, entry: Entry) -> str:
        """What the entry says of its end, for people."""
        found = {
            "shadowExpire (days since 1970)": entry.attributes.get(b"shadowexpire", []),
            "pwdEndTime": entry.attributes.get(b"pwdendtime", []),
        }
        return ", ".join(
            f"{name} {names.printable(value)}" for name, all_ in found.items() for value in all_
        )

    def groups(self, entry: Entry, name: bytes) -> Iterable[tuple[str, bytes]]:
        """Searches of which one at least must find something, each with what it looks for; none
        where no group is required. `name`: the entry's own, since memberUid heeds case."""
        groups = self.settings.require_groups
        if self._member_of is None:
            return
        if self.settings.memberof:
            wanted = self._member_of.fill(*(group.encode() for group in groups))
            yield "memberOf: " + " or ".join(groups), self._below(entry.dn, wanted)
        else:
            wanted = self._groups.fill(entry.dn, name)
            for group in groups:
                yield group, self._below(group.encode(), wanted)

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
        return self._below(dn.encode(), Template(EVERYBODY).fill())

    def _below(self, base: bytes, wanted: bytes) -> bytes:
        return codec.search_request(
            base, Scope.BASE, wanted, _NO_ATTRIBUTES, size_limit=1, time_limit=self._time_limit
        )


def _stands_for(value: bytes, local: str) -> bool:
    """Whether a name of an entry is the localpart, once it is escaped and prepared."""
    try:
        name = preparation.escape(value.decode())
        return name == local or preparation.local(name.encode()) == local
    except ValueError:  # Unprepared, or no UTF-8: it is no JID's
        return False


def read_time(value: bytes) -> float:
    """GeneralizedTime in UTC (RFC 4517, 3.3.13), as OpenLDAP keeps it, in seconds since the epoch.
    Raises ValueError."""
    found = _TIME.fullmatch(value)
    if found is None:
        raise ValueError("no GeneralizedTime in UTC")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


def _read_attribute(table: Table, setting: str, default: str) -> str:
    name = table.text(setting, default)
    if name and not _ATTRIBUTE.fullmatch(name):
        table.wrong(setting, f'"{name}" is no name of an attribute')
        return default
    return name or default
