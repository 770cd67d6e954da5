"""A directory: its settings, and the two pools that its servers are asked through.

Searches share few connections, which are bound to the service account. Binds of users have theirs
to themselves, and those are never searched on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from OpenSSL import SSL, crypto
from twisted.logger import Logger

from authbridge.ldap import codec, names, ppolicy, verdicts
from authbridge.ldap.connection import Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import Lookup
from authbridge.ldap.operations import Bind, Conversation, Search
from authbridge.ldap.pool import Limits, Pool
from authbridge.ldap.servers import Dialer, Direct, Outages, Server, ServerMistake, ServiceAccount
from authbridge.ldap.tls import make_context, read_authorities
from authbridge.model import Reason, Trace
from authbridge.settings import Table

SEARCHES_AT_ONCE = 64
"""On one connection; slapd takes 100 from who is anonymous, and more from who is not."""

log = Logger()


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """What [checkers.NAME] says of the directory's servers."""

    servers: tuple[Server, ...]
    encrypted: bool
    ca_file: Path | None
    bind_dn: str | None
    bind_password_file: Path | None
    timeout: float
    bind_connections: int
    search_connections: int
    most_waiting: int

    @classmethod
    def read(cls, table: Table) -> DirectorySettings:
        """Read them; the table stays open."""
        servers = _read_servers(table)
        clear = table.boolean("insecure_clear_text", False)
        starttls = table.boolean("starttls", not clear)
        plain = [server for server in servers if not server.ldaps]
        if clear and servers and not plain:
            table.wrong("insecure_clear_text", "is for ldap:// servers; these are all ldaps://")
        elif clear and len(plain) < len(servers):
            table.wrong("insecure_clear_text", "is for all servers, and some are ldaps://")
        if clear and starttls and "starttls" in table:
            table.wrong("insecure_clear_text", "contradicts starttls = true")
        if plain and not starttls and not clear:
            table.wrong(
                "starttls",
                f"without it, passwords would go to {plain[0]} unencrypted; "
                "insecure_clear_text = true is how to allow that",
            )
        ca_file = _read_ca_file(table) if "ca_file" in table else None
        if ca_file is not None and clear:
            table.wrong("ca_file", "verifies nothing beside insecure_clear_text = true")
        bind_dn = table.text("bind_dn") if "bind_dn" in table else None
        password_file = None
        if bind_dn is not None:
            names.check_setting(table, "bind_dn", bind_dn)
            table.secret_file("bind_password_file")
            if table.given_as_text("bind_password_file"):
                password_file = table.path("bind_password_file")
        elif "bind_password_file" in table:
            table.private_file("bind_password_file")
            table.wrong("bind_password_file", "is the password of bind_dn, which is missing")
        return cls(
            servers=servers,
            encrypted=not clear,
            ca_file=ca_file,
            bind_dn=bind_dn,
            bind_password_file=password_file,
            timeout=table.duration("timeout", 4.0, least=0.1, most=25.0),
            bind_connections=table.number("bind_connections", 16, least=1, most=1000),
            search_connections=table.number("search_connections", 2, least=1, most=100),
            most_waiting=table.number("most_waiting", 20_000, least=1, most=1_000_000),
        )


class Directory:
    """Asks the servers. Nothing is connected before the first question."""

    def __init__(
        self, settings: DirectorySettings, reactor: Any, shared: dict[Any, Any] | None = None
    ) -> None:
        """`shared`: what directories have in common, such as a service account that is refused."""
        self._settings = settings
        self._deadlines = Deadlines(reactor, settings.timeout)
        self._context = None
        if settings.encrypted:
            authorities = read_authorities(settings.ca_file) if settings.ca_file else []
            self._context = make_context(authorities)
        else:
            for server in settings.servers:
                log.warn("directory: passwords go to {server} unencrypted", server=server)
        account = None
        if settings.bind_dn is not None and settings.bind_password_file is not None:
            account = _share_account(settings, {} if shared is None else shared)
        self._searcher = self._dialer(reactor, account)
        self._binder = self._dialer(reactor, None)
        waiting = settings.most_waiting
        self._searches = Pool(
            self._searcher.connect,
            Limits(settings.search_connections, SEARCHES_AT_ONCE, waiting, connecting=1),
            reactor,
        )
        self._binds = Pool(
            self._binder.connect,
            Limits(settings.bind_connections, 1, waiting, connecting=settings.bind_connections),
            reactor,
        )

    def search(self, request: bytes, size_limit: int) -> Search:
        """A search to await; `request` has the same size limit in it."""
        return Search(request, self._searches, size_limit)

    def bind(self, name: bytes, password: bytes) -> Bind:
        """A user's bind to await. Its connection is its own, and it is sent once."""
        return Bind(codec.bind_request(name, password, ppolicy.REQUEST), self._binds)

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

    def describe_account(self) -> str:
        """Who searches, for people."""
        dn = self._settings.bind_dn
        return "none, it searches anonymously" if dn is None else f"{dn}: accepted"

    def stop(self) -> None:
        """Close every connection."""
        self._searches.stop()
        self._binds.stop()
        self._deadlines.stop()

    def _dialer(self, reactor: Any, account: ServiceAccount | None) -> Dialer:
        return Dialer(
            self._settings.servers,
            self._context,
            self._deadlines,
            Outages(reactor),
            reactor,
            account,
        )


def _share_account(settings: DirectorySettings, shared: dict[Any, Any]) -> ServiceAccount:
    """The service account, one for all checkers that have a server of it in common: what one
    server has refused to one of them, the others need not try."""
    assert settings.bind_dn is not None
    assert settings.bind_password_file is not None
    file = settings.bind_password_file.resolve()
    known = shared.setdefault((settings.bind_dn.lower(), file), [])
    for servers, account in known:
        if servers & set(settings.servers):
            servers |= set(settings.servers)
            return cast("ServiceAccount", account)
    account = ServiceAccount(settings.bind_dn, settings.bind_password_file)
    known.append((set(settings.servers), account))
    return account


async def _look_round(connection: Connection, lookup: Lookup, trace: Trace) -> None:
    """Whether there is anybody below the base, and whether the groups are there."""
    text, request = lookup.anybody()
    searches = [("users", f"{text} below {lookup.settings.base}", request)]
    searches += [("group", dn, lookup.group(dn)) for dn in lookup.settings.require_groups]
    for name, what, request in searches:
        search = await Search(request, Direct(connection), 1)
        code = search.result.code
        if code not in (codec.SUCCESS, codec.SIZE_LIMIT_EXCEEDED):
            raise verdicts.fault_of(search.result, f"a search for {what}")
        if not search.entries:
            words = f"nothing is found by {what}: are they right, and may bind_dn read it?"
            raise Fault(Reason.DIRECTORY_REFUSED, words)
        if name == "users":
            lookup.own_names(search.entries[0])
        trace.step(name, f"{what}: found")


def _read_servers(table: Table) -> tuple[Server, ...]:
    servers = []
    urls = table.texts("servers")
    if "servers" in table and isinstance(table.data["servers"], list) and not urls:
        table.wrong("servers", 'names none; ["ldaps://ldap.example.org"] is one')
    for url in urls:
        try:
            servers.append(Server.parse(url))
        except ServerMistake as mistake:
            table.wrong("servers", str(mistake))
    return tuple(servers)


def _read_ca_file(table: Table) -> Path | None:
    path = table.path("ca_file")
    if not table.given_as_text("ca_file"):
        return None  # which has been said
    try:
        read_authorities(path)
    except OSError as error:
        table.wrong("ca_file", f"{path}: {error.strerror}")
    except (ValueError, SSL.Error, crypto.Error):
        table.wrong("ca_file", f"{path} is no file of certificates in PEM")
    else:
        return path
    return None
