"""Users in a directory: OpenLDAP and its like.

With a service account the user's entry is searched, compared with the name asked for, and bound to
with the password. Without one the DN (`user_dn`) or the bind name (`user_upn`) is made from the
name, and bound to as it is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from authbridge import model, preparation
from authbridge.checkers import Surroundings
from authbridge.ldap import codec, names, verdicts
from authbridge.ldap.codec import Entry
from authbridge.ldap.directory import Directory, DirectorySettings
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import MOST_ENTRIES, PRESETS, Lookup, LookupSettings
from authbridge.ldap.names import NameMistake, NameTemplate, UpnTemplate
from authbridge.ldap.operations import Conversation, Operation
from authbridge.model import JID, Outcome, Reason, Trace, Verdict
from authbridge.secret import Secret
from authbridge.settings import Table

MOST_CACHED = 10_000
"""Answers about users that are kept."""
SAY_AGAIN = 60.0
"""Seconds until the log repeats what a directory has against a request."""

# What belongs to a search, and means nothing to a bind without one.
_SEARCHING = (
    "base", "filter", "jid_attribute", "login", "aliases", "require_groups", "group_membership",
    "bind_dn", "bind_password_file", "exists_cache", "search_connections",
)  # fmt: skip

T = TypeVar("T")

log = Logger()


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """[checkers.NAME] with kind = "ldap"."""

    directory: DirectorySettings
    how: LookupSettings | NameTemplate | UpnTemplate
    """How a user's name becomes a DN: searched, or made from a template."""
    exists_cache: float
    """Seconds that an answer about a user's existence is kept."""

    @property
    def knows_users(self) -> bool:
        """Whether it can tell who exists: only who may search can."""
        return isinstance(self.how, LookupSettings)


def read_settings(table: Table) -> LdapSettings:
    """Read the table, and close it."""
    preset = PRESETS[table.choice("preset", PRESETS, "openldap")]
    directory = DirectorySettings.read(table)
    direct = [setting for setting in ("user_dn", "user_upn") if setting in table]
    how: LookupSettings | NameTemplate | UpnTemplate
    if direct:
        for setting in _SEARCHING:
            table.misplaced(setting, f"belongs to a search, and {direct[0]} binds without one")
        for setting in direct[1:]:
            table.misplaced(setting, f"contradicts {direct[0]}")
        how = _read_template(table, direct[0])
    else:
        how = LookupSettings.read(table, preset)
    exists_cache = table.duration("exists_cache", 10.0, most=3600.0, zero=True)
    table.close()
    return LdapSettings(directory, how, exists_cache)


def make_checker(settings: LdapSettings, surroundings: Surroundings) -> LdapChecker:
    """A checker of this directory's users. Nothing is connected before the first login."""
    directory = Directory(settings.directory, surroundings.reactor, surroundings.shared)
    surroundings.at_stop.append(directory.stop)
    return LdapChecker(settings, directory, surroundings.reactor, surroundings.wall)


def _read_template(table: Table, setting: str) -> NameTemplate | UpnTemplate:
    kind = NameTemplate if setting == "user_dn" else UpnTemplate
    text = table.text(setting)
    try:
        return kind(text)
    except NameMistake as mistake:
        if text:
            table.wrong(setting, f'"{text}": {mistake}')
        return NameTemplate("uid={user}")


class LdapChecker:
    """Checks passwords by binding with them."""

    def __init__(
        self,
        settings: LdapSettings,
        directory: Directory,
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        """`wall` gives seconds since the epoch, which accounts expire by."""
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._wall = wall
        self._lookup: Lookup | None = None
        if isinstance(settings.how, LookupSettings):
            self._lookup = Lookup(settings.how, math.ceil(settings.directory.timeout))
        self._exists: OrderedDict[JID, tuple[float, Outcome]] = OrderedDict()
        self._said: dict[str, float] = {}

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        return await Conversation(self._guard(self._log_in(jid, password, trace), trace)).outcome

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`. Who may not use an account at all does not exist; who has only to
        wait, or to change a password, does."""
        if self._lookup is None:
            return Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)
        now = self._clock.seconds()
        kept = self._exists.get(jid)
        if kept is not None and kept[0] > now:
            if trace is None:
                return kept[1]
            trace.step("cache", f"{kept[1].reason.value}, for {kept[0] - now:.1f} s; asked anew")
        found = self._guard(self._find(self._lookup, jid, trace), trace)
        outcome = await Conversation(found).outcome
        if isinstance(outcome, bytes):
            outcome = model.USER_EXISTS
        if outcome.verdict is not Verdict.UNAVAILABLE:
            self._exists[jid] = (now + self._settings.exists_cache, outcome)
            self._exists.move_to_end(jid)
            if len(self._exists) > MOST_CACHED:
                self._exists.popitem(last=False)
        return outcome

    async def probe(self, trace: Trace) -> Outcome:
        """See `checkers.Probed`: every server, the service account, the base and the groups."""
        worst = model.USER_EXISTS
        for server in self._settings.directory.servers:
            try:
                await self._directory.probe(server, self._lookup, trace)
            except Fault as fault:
                trace.step("fault", fault.words)
                worst = model.unavailable(fault.reason)
                if fault.reason is Reason.SERVICE_ACCOUNT_REFUSED:
                    break  # the next server would count it as well
        return worst

    async def _log_in(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        if self._lookup is None:
            name = self._make_name(jid, trace)
        else:
            name = await self._find(self._lookup, jid, trace)
        if isinstance(name, Outcome):
            if trace is not None:
                trace.step("bind", "none: the password was not tried")
            return name
        bind = await self._directory.bind(name, password.reveal())
        if trace is not None:
            _tell_connection(trace, bind)
            trace.step("bind", f"{names.printable(name)}: {names.describe(bind.result)}")
            if bind.policy is not None and bind.policy.words:
                trace.step("password policy", bind.policy.words)
        return verdicts.judge_bind(bind.result, bind.policy)

    async def _find(self, lookup: Lookup, jid: JID, trace: Trace | None) -> bytes | Outcome:
        """The DN of the user's entry, or why it may not log in."""
        try:
            name = preparation.unescape(jid.local).encode()
        except preparation.Unprepared as error:
            return _unknown(trace, error)
        search = await self._directory.search(lookup.user(name), MOST_ENTRIES)
        if trace is not None:
            _tell_connection(trace, search)
            trace.step("service bind", self._directory.describe_account())
            trace.step("search", f"{lookup.spell(name)} below {lookup.settings.base}")
            found = ", ".join(names.printable(entry.dn) for entry in search.entries) or "no entry"
            trace.step("found", f"{found} ({names.describe(search.result)})")
        if search.result.code == codec.SIZE_LIMIT_EXCEEDED or len(search.entries) > 1:
            return model.rejected(Reason.USER_AMBIGUOUS)
        if search.result.code != codec.SUCCESS:
            raise verdicts.fault_of(search.result, "a search")
        if not search.entries:
            return model.USER_UNKNOWN
        entry = search.entries[0]
        return await self._admit(lookup, entry, jid, trace)

    async def _admit(
        self, lookup: Lookup, entry: Entry, jid: JID, trace: Trace | None
    ) -> bytes | Outcome:
        """The DN of this entry, or why its user may not log in."""
        if not entry.dn:  # a bind without a name would be an anonymous one
            raise Fault(Reason.DIRECTORY_FAILED, "an entry has no DN")
        own = lookup.name_in(entry, jid.local)
        if own is None:
            if trace is not None:
                trace.step("name", f"its {lookup.settings.jid_attribute} is not {jid.local} alone")
            return model.rejected(Reason.NOT_CANONICAL)
        if lookup.has_expired(entry, self._wall()):
            if trace is not None:
                trace.step("expiry", lookup.describe_expiry(entry))
            return model.rejected(Reason.ACCOUNT_EXPIRED)
        return await self._admit_member(lookup, entry, own, trace)

    async def _admit_member(
        self, lookup: Lookup, entry: Entry, own: bytes, trace: Trace | None
    ) -> bytes | Outcome:
        """The same, where groups are required. A group that cannot be asked keeps out nobody who
        is in another."""
        fault: Fault | None = None
        for group, request in lookup.groups(entry, own):
            search = await self._directory.search(request, 1)
            if trace is not None:
                found = "a member" if search.entries else "no member"
                trace.step("group", f"{group}: {found}, {names.describe(search.result)}")
            if search.entries:
                return entry.dn
            if search.result.code != codec.SUCCESS:
                fault = verdicts.fault_of(search.result, f"a search in {group}")
        if fault is not None:
            raise fault
        return model.rejected(Reason.NOT_IN_GROUP) if lookup.settings.require_groups else entry.dn

    def _make_name(self, jid: JID, trace: Trace | None) -> bytes | Outcome:
        template = self._settings.how
        assert not isinstance(template, LookupSettings)
        try:
            return template.fill(preparation.unescape(jid.local).encode())
        except (preparation.Unprepared, NameMistake) as error:
            return _unknown(trace, error)

    async def _guard(
        self, asking: Coroutine[Operation, Any, T], trace: Trace | None
    ) -> T | Outcome:
        """A Fault is an outcome too."""
        try:
            return await asking
        except Fault as fault:
            if trace is not None:
                trace.step("fault", fault.words)
            self._say(fault)
            return model.unavailable(fault.reason)

    def _say(self, fault: Fault) -> None:
        """Into the log, but not for each login. What keeps from connecting is there already."""
        if fault.reason not in (Reason.DIRECTORY_REFUSED, Reason.DIRECTORY_FAILED):
            return
        now = self._clock.seconds()
        if now - self._said.get(fault.words, -SAY_AGAIN) >= SAY_AGAIN:
            if len(self._said) > 100:
                self._said.clear()
            self._said[fault.words] = now
            log.error("directory: {words}", words=fault.words)


def _tell_connection(trace: Trace, operation: Operation) -> None:
    step = ("connection", operation.describe_link())
    if step not in trace.steps:
        trace.step(*step)


def _unknown(trace: Trace | None, error: ValueError) -> Outcome:
    if trace is not None:
        trace.step("name", str(error))
    return model.USER_UNKNOWN
