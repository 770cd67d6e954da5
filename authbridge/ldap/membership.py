"""Whether a user is in a group that is required, however the directory keeps its groups."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from authbridge.ldap import active_directory, codec, names, verdicts
from authbridge.ldap.codec import Entry, Scope
from authbridge.ldap.faults import Fault
from authbridge.ldap.filters import Template
from authbridge.ldap.lookup import LookupSettings
from authbridge.ldap.names import for_domain
from authbridge.ldap.operations import Operation, Search
from authbridge.ldap.presets import NESTED_RULE, SEARCH
from authbridge.model import JID, Reason, Trace

DIRECT: Final = "(|(member={dn})(uniqueMember={dn}))"
WITH_NAMES: Final = "(|(member={dn})(uniqueMember={dn})(memberUid={user}))"
"""The same where the user's own name is the one that posixGroup has (RFC 2307)."""
MOST_GROUPS: Final = 200
"""Groups of a user on one level that nested ones are looked for from."""

_NO_ATTRIBUTES: Final = ("1.1",)  # RFC 4511, 4.5.1.8

Ask = Callable[[bytes, int, str], Coroutine[Operation, Any, Search]]
"""Sends a search with this size limit, and awaits what it finds; the words say for what."""


class Membership:
    """Looks for one user at a time in `require_groups`."""

    def __init__(self, settings: LookupSettings, time_limit: int) -> None:
        """`time_limit`: seconds that the server may search."""
        self._settings = settings
        self._time_limit = time_limit
        named = settings.jid_attribute.lower() == "uid"
        self._direct = Template(WITH_NAMES if named else DIRECT, "dn", "user")
        rule = f":{active_directory.IN_CHAIN}:" if settings.membership == NESTED_RULE else ""
        self._member_of = f"(memberOf{rule}={{}})"

    async def has(self, entry: Entry, own: bytes, jid: JID, ask: Ask, trace: Trace | None) -> bool:
        """Whether this entry is in one of the groups, or none is required. `own`: its name, as
        memberUid heeds case. A group that cannot be asked keeps out nobody who is in another;
        raises Fault where it might have had the user."""
        groups = [for_domain(group, jid.domain) for group in self._settings.require_groups]
        if not groups:
            return True
        asking = _Asking(ask, trace)
        if self._settings.membership != SEARCH:
            found = await self._has_by_entry(entry, groups, asking)
        else:
            wanted = self._direct.fill(entry.dn, own)
            found = await self._any_has(groups, wanted, asking)
            if not found and self._settings.group_base is not None:
                found = await self._has_nested(wanted, groups, asking)
        if not found and asking.fault is not None:
            raise asking.fault
        return found

    async def _has_by_entry(self, entry: Entry, groups: list[bytes], asking: _Asking) -> bool:
        """The user's own entry knows."""
        what = f"{self._settings.membership}: {_or(groups)}"
        if await asking.finds(what, self._look_at(entry.dn, _any_of(groups, self._member_of))):
            return True
        if self._settings.membership != NESTED_RULE:
            return False
        try:
            primary = active_directory.primary_group(entry)
        except ValueError as error:
            raise Fault(Reason.DIRECTORY_REFUSED, f"of an entry, {error}") from None
        wanted = _any_of(groups, "(distinguishedName={})", self._member_of)
        # Active Directory takes an identifier for a DN ([MS-ADTS] 3.1.1.3.1.2.4).
        base = f"<SID={primary}>".encode()
        return await asking.finds(f"primary group: {_or(groups)}", self._look_at(base, wanted))

    async def _any_has(self, groups: list[bytes], wanted: bytes, asking: _Asking) -> bool:
        for group in groups:
            if await asking.finds(_or([group]), self._look_at(group, wanted)):
                return True
        return False

    async def _has_nested(self, wanted: bytes, groups: list[bytes], asking: _Asking) -> bool:
        """From the user's groups, which `wanted` finds, to those that they are in, level by
        level."""
        known: set[bytes] = set()
        for level in range(2, self._settings.group_depth + 1):
            members = await asking.names(f"groups on level {level - 1}", self._look_below(wanted))
            members = [dn for dn in members if dn.lower() not in known]
            if not members:
                break
            known.update(dn.lower() for dn in members)
            wanted = _any_of(members, "(member={})", "(uniqueMember={})")
            if await self._any_has(groups, wanted, asking):
                return True
        return False

    def _look_at(self, dn: bytes, wanted: bytes) -> bytes:
        scope = self._settings.preset.scope
        return codec.search_request(
            dn, scope, wanted, _NO_ATTRIBUTES, size_limit=1, time_limit=self._time_limit
        )

    def _look_below(self, wanted: bytes) -> bytes:
        assert self._settings.group_base is not None
        return codec.search_request(
            self._settings.group_base.encode(),
            Scope.SUBTREE,
            wanted,
            _NO_ATTRIBUTES,
            size_limit=MOST_GROUPS,
            time_limit=self._time_limit,
        )


class _Asking:
    """The searches for one user, and the fault of the last that had one."""

    def __init__(self, ask: Ask, trace: Trace | None) -> None:
        self._ask = ask
        self._trace = trace
        self.fault: Fault | None = None

    async def finds(self, what: str, request: bytes) -> bool:
        """Whether this finds anything."""
        search = await self._send(what, request, 1)
        if search is None:
            return False
        if self._trace is not None:
            found = "a member" if search.entries else "no member"
            self._trace.step("group", f"{what}: {found}, {names.describe(search.result)}")
        return bool(search.entries)

    async def names(self, what: str, request: bytes) -> list[bytes]:
        """The DNs of what this finds."""
        search = await self._send(what, request, MOST_GROUPS)
        found = [] if search is None else [entry.dn for entry in search.entries]
        if self._trace is not None:
            self._trace.step("group", f"{what}: {_or(found) or 'none'}")
        return found

    async def _send(self, what: str, request: bytes, size_limit: int) -> Search | None:
        try:
            search = await self._ask(request, size_limit, f"a search for {what}")
        except Fault as fault:
            if fault.reason not in (Reason.DIRECTORY_REFUSED, Reason.DIRECTORY_FAILED):
                raise  # nobody answers: there is no asking about another group
            self.fault = fault
        else:
            if search.entries and size_limit == 1:
                return search
            if search.result.code == codec.SUCCESS and not search.cut:
                return search
            self.fault = verdicts.fault_of(search.result, f"a search for {what}")
            if search.cut:
                words = f"{what}: more than {size_limit}; with so many it cannot be told"
                self.fault = Fault(Reason.DIRECTORY_REFUSED, words)
        if self._trace is not None:
            self._trace.step("group", f"{what}: {self.fault.words}")
        return None


@functools.lru_cache(maxsize=64)
def _disjunction(size: int, *conditions: str) -> Template:
    holes = [f"v{number}" for number in range(size)]
    text = "".join(one.format(f"{{{hole}}}") for hole in holes for one in conditions)
    return Template(f"(|{text})", *holes)


def _any_of(values: Sequence[bytes], *conditions: str) -> bytes:
    """A filter that is met where one of the conditions is met by one of the values."""
    # To the next power of two, the last value again: few sizes are made, and kept.
    size = 1 << (len(values) - 1).bit_length()
    more = [values[-1]] * (size - len(values))
    return _disjunction(size, *conditions).fill(*values, *more)


def _or(groups: Iterable[bytes]) -> str:
    return " or ".join(group.decode("utf-8", "backslashreplace") for group in groups)
