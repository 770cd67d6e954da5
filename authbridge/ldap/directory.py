"""A directory: its settings, and the pools that its servers are asked through, three for each.

Searches share few connections, which are bound to the service account; changes have others. Binds
of users have theirs to themselves, and what is searched on those counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from authbridge.client_tls import make_context, read_authorities
from authbridge.ldap import codec, discovery, names, ppolicy, verdicts
from authbridge.ldap.codec import Entry
from authbridge.ldap.connection import SILENCE, Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.dialer import Dialer, Direct, Outages
from authbridge.ldap.discovery import Discovery
from authbridge.ldap.failover import (
    BOUND_ELSEWHERE,
    READ_ONLY,
    SEARCHED_ELSEWHERE,
    WRITTEN_ELSEWHERE,
    Failover,
)
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import Lookup
from authbridge.ldap.operations import (
    CROWD,
    MOST_SURPLUS,
    Bind,
    Conversation,
    LastBind,
    Search,
    Write,
)
from authbridge.ldap.pool import Limits, Pool
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import ServiceAccount
from authbridge.ldap.settings import DirectorySettings
from authbridge.ldap.standing import Standing
from authbridge.model import Reason, Trace

SEARCHES_AT_ONCE = 64
"""On one connection; slapd takes 100 from who is anonymous, and more from who is not."""
WRITES_AT_ONCE = 2
"""In all, each on a connection of its own."""

log = Logger()


class Directory:
    """Asks the servers. Nothing is connected before the first question."""

    def __init__(
        self,
        settings: DirectorySettings,
        reactor: Any,
        chance: Callable[[], float],
        shared: dict[Any, Any],
        lookup: discovery.Lookup,
    ) -> None:
        """`chance` gives numbers from 0 to 1. `shared`: what directories have in common, such as a
        service account that is refused. `lookup` finds servers by their SRV records."""
        self._settings = settings
        self._reactor = reactor
        self._chance = chance
        self._deadlines = Deadlines(reactor, settings.timeout)
        self._probes = Deadlines(reactor, min(SILENCE, settings.timeout))
        self._context = None
        if settings.encrypted:
            authorities = read_authorities(settings.ca_file) if settings.ca_file else []
            self._context = make_context(authorities)
        else:
            for server in settings.servers:
                log.warn("directory: passwords go to {server} unencrypted", server=server)
        self._account = None if settings.bind_dn is None else names.Account(settings.bind_dn)
        account = None
        if settings.bind_dn is not None and settings.bind_password_file is not None:
            account = _share_account(settings, reactor, shared)
        self._searcher = self._dialer(account)
        self._binder = self._dialer(None)
        waiting, binds = settings.most_waiting, settings.bind_connections
        search_limits = Limits(settings.search_connections, SEARCHES_AT_ONCE, waiting, connecting=1)
        bind_limits = Limits(binds, 1, waiting, connecting=binds)
        self._searches = Failover(
            self._pool_maker(self._searcher, search_limits),
            ask_twice=True,
            elsewhere=SEARCHED_ELSEWHERE,
        )
        self._binds = Failover(
            self._pool_maker(self._binder, bind_limits),
            ask_twice=settings.second_server_after_bind,
            elsewhere=BOUND_ELSEWHERE,
        )
        self._writes = Failover(
            self._pool_maker(self._searcher, Limits(WRITES_AT_ONCE, 1, waiting, connecting=1)),
            ask_twice=False,
            elsewhere=WRITTEN_ELSEWHERE if settings.preset.windows else READ_ONLY,
        )
        self.servers: tuple[Server, ...] = ()
        """The primary first; empty as long as they are not found."""
        self._discovery: Discovery | None = None
        if settings.service is None:
            self._serve(settings.servers)
        else:
            self._discovery = Discovery(
                settings.service, lookup, self._serve, settings.timeout, waiting, reactor, chance
            )

    def ready(self) -> Deferred[None] | None:
        """What to wait for before anything is asked; None, as nearly always, for nothing. Raises
        Fault, or fails with it, where the servers cannot be found."""
        return None if self._discovery is None else self._discovery.ready()

    async def search(
        self,
        request: bytes,
        size_limit: int,
        *,
        what: str = "a search",
        near: Search | Write | None = None,
        trace: Trace | None = None,
    ) -> Search:
        """Search for `what`, in words; `request` has the same size limit in it. `near`: at the
        server that has answered that one, if possible. Raises Fault."""

        def make(pool: Pool) -> Search:
            return Search(request, pool, size_limit, max(MOST_SURPLUS, 10 * size_limit))

        return await self._searches.ask(make, what, _server_of(near), trace)

    async def bind(
        self,
        name: bytes,
        password: bytes,
        *,
        near: Search | Write | None = None,
        trace: Trace | None = None,
    ) -> Bind:
        """Bind as a user, on a connection of its own. `near`: as with a search, since a new user,
        or a new password, may not be known everywhere yet. Raises Fault."""
        request = codec.bind_request(name, password, ppolicy.REQUEST)
        kind = LastBind if self._settings.preset.closes_refused else Bind

        def make(pool: Pool) -> Bind:
            return kind(request, pool)

        return await self._binds.ask(make, "a login", _server_of(near), trace)

    async def write(
        self,
        request: bytes,
        kind: int,
        *,
        near: Search | None,
        only: Write | None = None,
        made: Callable[[Write], None],
    ) -> Write:
        """Change something, as the service account; `kind` is that of the reply. It is sent to
        another server where one is read-only, and never where it may have been done. `only`: to
        that one's server alone, since others may not know yet what was changed there. `made` is
        told of each operation before it is sent. Raises Fault."""

        def make(pool: Pool) -> Write:
            write = Write(request, pool, kind)
            made(write)
            return write

        return await self._writes.ask(make, "a change", _server_of(near), only=_server_of(only))

    async def probe(self, server: Server, lookup: Lookup | None, trace: Trace) -> None:
        """Try one server, and tell what was found. Raises the first Fault."""
        dialer = self._binder if lookup is None else self._searcher
        connection = await dialer.reach(server)
        try:
            trace.step("connection", connection.describe())
            if lookup is not None:
                trace.step("service bind", self.describe_account())
                await Conversation(_look_round(connection, lookup, trace)).outcome
        finally:
            connection.close()

    def is_account(self, entry: Entry) -> bool:
        """Whether this entry is the service account's, by its DN or by the names that Active
        Directory takes. Wrong passwords for it would lock everybody out."""
        return self._account is not None and self._account.has(entry)

    def describe_servers(self) -> str:
        """Where its servers come from, for people; empty where the configuration names them."""
        return "" if self._discovery is None else self._discovery.found

    def describe_account(self) -> str:
        """Who searches, for people."""
        dn = self._settings.bind_dn
        return "none, it searches anonymously" if dn is None else f"{dn}: accepted"

    def stop(self) -> None:
        """Close every connection."""
        if self._discovery is not None:
            self._discovery.stop()
        self._searches.stop()
        self._binds.stop()
        self._writes.stop()
        self._deadlines.stop()
        self._probes.stop()

    def _serve(self, servers: Sequence[Server]) -> None:
        self.servers = tuple(servers)
        self._searches.serve(servers)
        self._binds.serve(servers)
        self._writes.serve(servers)

    def _dialer(self, account: ServiceAccount | None) -> Dialer:
        reactor = self._reactor
        preset, outages = self._settings.preset, Outages(reactor)
        return Dialer(self._context, preset, self._deadlines, outages, reactor, account)

    def _pool_maker(self, dialer: Dialer, limits: Limits) -> Callable[[Server], Pool]:
        def make(server: Server) -> Pool:
            return Pool(
                server,
                partial(dialer.connect, server),
                limits,
                Standing(self._reactor, self._chance),
                self._probes,
                self._reactor,
            )

        return make


def _server_of(operation: Search | Write | None) -> Server | None:
    return None if operation is None else cast("Pool", operation.carrier).server


def _share_account(
    settings: DirectorySettings, clock: IReactorTime, shared: dict[Any, Any]
) -> ServiceAccount:
    """The service account, one for all checkers that have a server of it in common: what one
    server has refused to one of them, the others need not try."""
    assert settings.bind_dn is not None
    assert settings.bind_password_file is not None
    file = settings.bind_password_file.resolve()
    known = shared.setdefault((settings.bind_dn.lower(), file), [])
    ours = set(settings.servers or (settings.service,))
    for account in known:
        if account.places & ours:
            break
    else:
        account = ServiceAccount(settings.bind_dn, settings.bind_password_file, clock)
        known.append(account)
    account.places.update(ours)
    return cast("ServiceAccount", account)


async def _look_round(connection: Connection, lookup: Lookup, trace: Trace) -> None:
    """Whether there is anybody below the base, and whether the groups are there."""
    text, request = lookup.anybody()
    searches = [("users", f"{text} below {lookup.settings.base}", request)]
    if lookup.settings.group_base is not None:
        base = lookup.settings.group_base
        searches.append(("groups", f"anything below {base}", lookup.group(base)))
    for dn in lookup.settings.require_groups:
        if names.DOMAIN_HOLE in dn:
            trace.step("group", f"{dn}: one for each domain, not looked for")
        else:
            searches.append(("group", dn, lookup.group(dn)))
    for name, what, request in searches:
        search = await Search(request, Direct(connection), 1, CROWD)
        code = search.result.code
        if code not in (codec.SUCCESS, codec.SIZE_LIMIT_EXCEEDED):
            raise verdicts.fault_of(search.result, f"a search for {what}")
        if not search.entries:
            words = f"nothing is found by {what}: are they right, and may bind_dn read it?"
            raise Fault(Reason.DIRECTORY_REFUSED, words)
        if name == "users":
            lookup.own_names(search.entries[0])
        trace.step(name, f"{what}: found")
