"""Users in a directory: OpenLDAP, Active Directory and their like.

With a service account the user's entry is searched, compared with the name asked for, and bound to
with the password. Without one the DN (`user_dn`) or the logon name (`user_upn`,
`user_logon_name`) is made from the name, and bound to as it is.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from authbridge import model, preparation
from authbridge.checkers import Surroundings
from authbridge.ldap import codec, names, verdicts
from authbridge.ldap.directory import Directory
from authbridge.ldap.discovery import ask_dns
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import MOST_ENTRIES, Lookup, LookupSettings
from authbridge.ldap.membership import Membership
from authbridge.ldap.names import LogonTemplate, NameMistake, NameTemplate
from authbridge.ldap.operations import Conversation, Operation, Search, Write
from authbridge.ldap.presets import PRESETS, Preset
from authbridge.ldap.settings import DirectorySettings
from authbridge.ldap.writing import Change, NewUsers, Writing
from authbridge.model import JID, Outcome, Reason, Trace, Verdict
from authbridge.printable import printable
from authbridge.secret import Secret
from authbridge.settings import Table

NOT_WRITTEN = Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)
MOST_CACHED = 10_000
"""Answers about users that are kept."""
SAY_AGAIN = 60.0
"""Seconds until the log repeats what a directory has against a request."""

# What belongs to a search, and means nothing to a bind without one.
_SEARCHING = (
    "base", "filter", "jid_attribute", "login", "aliases", "require_groups", "group_membership",
    "group_base", "group_depth", "bind_dn", "bind_password_file", "exists_cache",
    "search_connections", "writes", "new_users", "new_user",
)  # fmt: skip

_DIRECT = ("user_dn", "user_upn", "user_logon_name")

T = TypeVar("T")

log = Logger()


@dataclass(frozen=True, slots=True)
class LdapSettings:
    """[checkers.NAME] with kind = "ldap"."""

    preset: Preset
    directory: DirectorySettings
    how: LookupSettings | NameTemplate | LogonTemplate
    """How a user's name becomes a DN: searched, or made from a template."""
    new_users: NewUsers | None
    exists_cache: float
    """Seconds that an answer about a user's existence is kept."""

    @property
    def knows_users(self) -> bool:
        """Whether it can tell who exists: only who may search can."""
        return isinstance(self.how, LookupSettings)

    @property
    def patience(self) -> float:
        """Seconds until it asks another server than the first; 0 where there is one alone."""
        several = self.directory.service is not None or len(self.directory.servers) > 1
        return self.directory.timeout if several else 0.0

    @property
    def at_once(self) -> int:
        """How many may ask at once: so many that no connection is ever without work, the searches
        before the binds included."""
        return 4 * self.directory.bind_connections

    @property
    def most_waiting(self) -> int:
        """How many of each front end may wait for that."""
        return self.directory.most_waiting

    @property
    def registers(self) -> bool:
        """Whether it makes users."""
        return self.new_users is not None


def read_settings(table: Table) -> LdapSettings:
    """Read the table, and close it."""
    preset = PRESETS[table.choice("preset", PRESETS, "openldap")]
    directory = DirectorySettings.read(table, preset)
    direct = [setting for setting in _DIRECT if setting in table]
    how: LookupSettings | NameTemplate | LogonTemplate
    new_users = None
    if direct:
        for setting in _SEARCHING:
            table.misplaced(setting, f"belongs to a search, and {direct[0]} binds without one")
        for setting in direct[1:]:
            table.misplaced(setting, f"contradicts {direct[0]}")
        how = _read_template(table, direct[0])
    else:
        how = LookupSettings.read(table, preset)
        new_users = NewUsers.read(table, how, writes=directory.writes)
    exists_cache = table.duration("exists_cache", 10.0, most=3600.0, zero=True)
    table.close()
    return LdapSettings(preset, directory, how, new_users, exists_cache)


def make_checker(settings: LdapSettings, surroundings: Surroundings) -> LdapChecker:
    """A checker of this directory's users. Nothing is connected before the first login."""
    reactor = surroundings.reactor
    directory = Directory(
        settings.directory, reactor, surroundings.chance, surroundings.shared, ask_dns(reactor)
    )
    surroundings.at_stop.append(directory.stop)
    return LdapChecker(settings, directory, reactor, surroundings.wall)


def _read_template(table: Table, setting: str) -> NameTemplate | LogonTemplate:
    kind = NameTemplate if setting == "user_dn" else LogonTemplate
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
            time_limit = math.ceil(settings.directory.timeout)
            self._lookup = Lookup(settings.how, time_limit)
            self._membership = Membership(settings.how, time_limit)
            self._writing = Writing(settings.how, settings.new_users)
        self._exists: OrderedDict[JID, tuple[float, Outcome]] = OrderedDict()
        self._said: dict[str, float] = {}

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        return await self._ask(self._log_in(jid, password, trace), trace)

    def remembered(self, jid: JID) -> Outcome | None:
        """See `model.Remembering`."""
        kept = self._exists.get(jid)
        return kept[1] if kept is not None and kept[0] > self._clock.seconds() else None

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`. Who may not use an account at all does not exist; who has only to
        wait, or to change a password, does."""
        if self._lookup is None:
            return Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)
        now = self._clock.seconds()
        kept = self.remembered(jid)
        if kept is not None:
            if trace is None:
                return kept
            left = self._exists[jid][0] - now
            trace.step("cache", f"{kept.reason.value}, for {left:.1f} s; asked anew")
        asking = self._find(self._lookup, jid, trace, judged_by_bind=False)
        found = await self._ask(asking, trace)
        outcome = found if isinstance(found, Outcome) else model.USER_EXISTS
        if outcome.verdict is not Verdict.UNAVAILABLE:
            self._exists[jid] = (now + self._settings.exists_cache, outcome)
            self._exists.move_to_end(jid)
            if len(self._exists) > MOST_CACHED:
                self._exists.popitem(last=False)
        return outcome

    async def set_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Registry`. Who may not log in gets no new password either."""
        if self._lookup is None or not self._settings.directory.writes:
            return NOT_WRITTEN
        change = Change(self._directory)
        changing = self._set_password(self._lookup, jid, password, change, trace)
        return await change.carry_out(Deferred.fromCoroutine(self._ask(changing, trace)))

    async def register(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Registry`."""
        if self._lookup is None or not self._writing.registers:
            return NOT_WRITTEN
        change = Change(self._directory)
        registering = self._register(self._lookup, jid, password, change, trace)
        return await change.carry_out(Deferred.fromCoroutine(self._ask(registering, trace)))

    async def probe(self, trace: Trace) -> Outcome:
        """See `checkers.Probed`: every server, the service account, the base and the groups."""
        worst = model.USER_EXISTS
        try:
            await self._servers_known()
        except Fault as fault:
            trace.step("fault", fault.words)
            return model.unavailable(fault.reason)
        found = self._directory.describe_servers()
        if found:
            trace.step("servers", found)
        for server in self._directory.servers:
            try:
                await self._directory.probe(server, self._lookup, trace)
            except Fault as fault:
                trace.step("fault", fault.words)
                worst = model.unavailable(fault.reason)
        return worst

    async def _log_in(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        near = None
        if self._lookup is None:
            name = self._make_name(jid, trace)
        else:
            judged = self._settings.preset.bind_judges
            found = await self._find(self._lookup, jid, trace, judged_by_bind=judged)
            if isinstance(found, Search):
                name, near = found.entries[0].dn, found
            else:
                name = found
        if isinstance(name, Outcome):
            if trace is not None:
                trace.step("bind", "none: the password was not tried")
            return name
        bind = await self._directory.bind(name, password.reveal(), near=near, trace=trace)
        outcome = verdicts.judge_bind(bind.result, bind.policy, self._settings.preset)
        if trace is not None:
            _tell_connection(trace, bind)
            trace.step("bind", f"{printable(name)}: {names.describe(bind.result)}")
            if bind.policy is not None and bind.policy.words:
                trace.step("password policy", bind.policy.words)
        return outcome

    async def _set_password(
        self, lookup: Lookup, jid: JID, password: Secret, change: Change, trace: Trace | None
    ) -> Outcome:
        found = await self._find(lookup, jid, trace, judged_by_bind=False)
        if isinstance(found, Outcome):
            return found
        change.found = found
        return await self._writing.set_password(found.entries[0].dn, password, change)

    async def _register(
        self, lookup: Lookup, jid: JID, password: Secret, change: Change, trace: Trace | None
    ) -> Outcome:
        async def find() -> Search | Outcome:
            near = change.pinned
            return await self._find(lookup, jid, trace, judged_by_bind=False, near=near)

        async def finds() -> bool:
            return isinstance(await find(), Search)

        try:
            found = await find()
            if not isinstance(found, Outcome) or found.verdict is Verdict.REJECTED:
                return model.rejected(Reason.USER_EXISTS)
            return await self._writing.register(jid, password, change, finds)
        finally:
            self._exists.pop(jid, None)

    async def _find(
        self,
        lookup: Lookup,
        jid: JID,
        trace: Trace | None,
        *,
        judged_by_bind: bool,
        near: Search | Write | None = None,
    ) -> Search | Outcome:
        """The search that has found the user's entry, alone; or why that user may not log in.
        `judged_by_bind`: a bind will tell whether the account may be used. `near`: at the server
        that has answered that one, if possible."""
        try:
            name = preparation.unescape(jid.local).encode()
        except preparation.Unprepared as error:
            return _unknown(trace, error)
        search = await self._directory.search(
            lookup.user(name, jid.domain), MOST_ENTRIES, near=near, trace=trace
        )
        if trace is not None:
            _tell_connection(trace, search)
            trace.step("service bind", self._directory.describe_account())
            trace.step("search", f"{lookup.spell(name, jid.domain)} below {lookup.settings.base}")
            found = ", ".join(printable(entry.dn) for entry in search.entries) or "no entry"
            trace.step("found", f"{found} ({names.describe(search.result)})")
        if search.result.code == codec.SIZE_LIMIT_EXCEEDED or len(search.entries) > 1:
            return model.rejected(Reason.USER_AMBIGUOUS)
        if search.result.code != codec.SUCCESS:
            raise verdicts.fault_of(search.result, "a search")
        if not search.entries:
            return model.USER_UNKNOWN
        refusal = await self._admit(lookup, search, jid, trace, judged_by_bind=judged_by_bind)
        return search if refusal is None else model.rejected(refusal)

    async def _admit(
        self, lookup: Lookup, search: Search, jid: JID, trace: Trace | None, *, judged_by_bind: bool
    ) -> Reason | None:
        """Why the user of the entry that was found may not log in."""
        entry = search.entries[0]
        if not entry.dn:  # a bind without a name would be an anonymous one
            raise Fault(Reason.DIRECTORY_FAILED, "an entry has no DN")
        own = lookup.name_in(entry, jid)
        if own is None:
            if trace is not None:
                trace.step("name", f"its {lookup.settings.jid_attribute} is not {jid.local} alone")
            return Reason.NOT_CANONICAL
        if self._directory.is_account(entry):
            return Reason.SERVICE_ACCOUNT
        described = "" if trace is None else lookup.describe_account(entry)
        if trace is not None and described:
            trace.step("account", described)
        if not judged_by_bind:
            state = lookup.account_state(entry, self._wall())
            if state is not None:
                return state

        async def ask(request: bytes, size_limit: int, what: str) -> Search:
            return await self._directory.search(
                request, size_limit, what=what, near=search, trace=trace
            )

        admitted = await self._membership.has(entry, own, jid, ask, trace)
        return None if admitted else Reason.NOT_IN_GROUP

    def _make_name(self, jid: JID, trace: Trace | None) -> bytes | Outcome:
        template = self._settings.how
        assert not isinstance(template, LookupSettings)
        try:
            return template.fill(preparation.unescape(jid.local).encode())
        except (preparation.Unprepared, NameMistake) as error:
            return _unknown(trace, error)

    async def _servers_known(self) -> None:
        waiting = self._directory.ready()
        if waiting is not None:
            await waiting

    async def _ask(self, asking: Coroutine[Operation, Any, T], trace: Trace | None) -> T | Outcome:
        """What comes of it; a Fault is an outcome too."""
        try:
            await self._servers_known()
            return await Conversation(asking).outcome
        except Fault as fault:
            if trace is not None:
                trace.step("fault", fault.words)
            self._say(fault)
            return model.unavailable(fault.reason)
        finally:
            asking.close()  # where it was not even begun

    def _say(self, fault: Fault) -> None:
        """Into the log, but not for each login. What keeps from connecting is there already."""
        if fault.reason not in (Reason.DIRECTORY_REFUSED, Reason.DIRECTORY_FAILED):
            return
        now = self._clock.seconds()
        what = re.sub(r", for \d+ s now", "", fault.words)
        if now - self._said.get(what, -SAY_AGAIN) >= SAY_AGAIN:
            if len(self._said) > 100:
                self._said.clear()
            self._said[what] = now
            log.error("directory: {words}", words=fault.words)


def _tell_connection(trace: Trace, operation: Operation) -> None:
    step = ("connection", operation.describe_link())
    if step not in trace.steps:
        trace.step(*step)


def _unknown(trace: Trace | None, error: ValueError) -> Outcome:
    if trace is not None:
        trace.step("name", str(error))
    return model.USER_UNKNOWN
