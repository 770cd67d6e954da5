"""Servers of a directory, and how a connection to one of them comes about: TCP, TLS, service bind.

The first server of the list that can be connected to is used. A connection is handed out when the
server's certificate is verified and, for searches, when the service account is bound.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from OpenSSL import SSL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge.ldap import codec, names, ppolicy, verdicts
from authbridge.ldap.connection import Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Bind, Conversation, Extended, Operation
from authbridge.ldap.ppolicy import Policy
from authbridge.ldap.tls import TlsServer
from authbridge.model import Reason
from authbridge.secret import Secret
from authbridge.settings import private_file_trouble

O = TypeVar("O", bound=Operation)  # noqa: E741

_HOST = re.compile(r"[0-9a-z]([0-9a-z-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)*\.?")
PORTS = {"ldap": 389, "ldaps": 636}

log = Logger()


class ServerMistake(ValueError):
    """This names no server; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server, as `servers` names it."""

    host: str
    port: int
    ldaps: bool

    @classmethod
    def parse(cls, url: str) -> Server:
        """From ldap://host, ldaps://host:port. Raises ServerMistake."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ServerMistake(f'"{url}" is no URL of a server') from None
        if parts.scheme not in PORTS:
            raise ServerMistake(f'"{url}" should begin with ldaps:// or ldap://')
        if parts.path not in ("", "/") or set("@?#") & set(url):
            raise ServerMistake(f'"{url}" should be a scheme, a host and perhaps a port, no more')
        try:
            host = (parts.hostname or "").encode("idna").decode()
        except UnicodeError:
            host = ""
        known = isIPAddress(host) or isIPv6Address(host) or _HOST.fullmatch(host)
        if not known or port == 0:
            raise ServerMistake(f'"{url}" names no host: letters, digits, dots and -')
        return cls(host, port or PORTS[parts.scheme], parts.scheme == "ldaps")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.ldaps else 'ldap'}://{host}:{self.port}"

    def endpoint(self, reactor: Any) -> Any:
        """Where to connect. A name is resolved in a thread; an address needs none."""
        if isIPAddress(self.host):
            return TCP4ClientEndpoint(reactor, self.host, self.port)
        if isIPv6Address(self.host):
            return TCP6ClientEndpoint(reactor, self.host, self.port)
        return HostnameEndpoint(reactor, self.host, self.port)


class ServiceAccount:
    """The account that searches. Refused once, it is not tried again before its password file
    changes: a few wrong passwords lock an account, and everybody out with it."""

    def __init__(self, dn: str, password_file: Path) -> None:
        self.dn = dn
        self.file = password_file
        self.turn = DeferredLock()
        """Whose turn it is to bind: one after the other, so that one is refused and no more."""
        self._refused: Secret | None = None
        self._refusal = ""
        self._warned = ""

    def password(self) -> Secret:
        """What is in the file now. Raises Fault where that was refused, or cannot be read."""
        trouble = private_file_trouble(self.file)
        if trouble is None:
            try:
                octets = self.file.read_bytes()
            except OSError as error:
                trouble = f"{self.file}: {error.strerror}"
            else:
                octets = octets.removesuffix(b"\n").removesuffix(b"\r")
                trouble = None if octets.strip() else f"{self.file} is empty"
        if trouble is not None:
            raise Fault(Reason.SERVICE_ACCOUNT_REFUSED, trouble)
        # By its content: a file that was only touched holds the same wrong password.
        if self._refused is not None and self._refused.matches(octets):
            raise Fault(Reason.SERVICE_ACCOUNT_REFUSED, self._refusal)
        return Secret(octets)

    def warn(self, server: Server, policy: Policy | None) -> None:
        """Say it, once, where the account is let in and will not be for long."""
        words = "" if policy is None else policy.words
        if words and words != self._warned:
            log.warn(
                "directory: {server} on the service account {dn}: {words}",
                server=server, dn=self.dn, words=words,
            )  # fmt: skip
        self._warned = words

    def refuse(self, password: Secret, said: str) -> Fault:
        """It was refused, and that is enough. `said`: by whom, and in what words."""
        self._refused = password
        self._refusal = (
            f"{said}; the service account {self.dn} is not tried again before {self.file} changes "
            "or the daemon is restarted"
        )
        return Fault(Reason.SERVICE_ACCOUNT_REFUSED, self._refusal)


class Outages:
    """Which servers cannot be used, why, and since when: a line in the log when that begins or
    changes, and one when it ends."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._known: dict[Server, tuple[float, str]] = {}

    def failed(self, server: Server, fault: Fault) -> Fault:
        """Note that it cannot be used; the fault, with since when."""
        now = self._clock.seconds()
        since, words = self._known.setdefault(server, (now, ""))
        if words != fault.words:
            self._known[server] = (since, fault.words)
            refused = fault.reason is Reason.SERVICE_ACCOUNT_REFUSED
            say = log.critical if refused else log.error
            say("directory: {words} ({reason})", words=fault.words, reason=fault.reason.value)
        if now == since:
            return fault
        return Fault(fault.reason, f"{fault.words}, for {now - since:.0f} s now")

    def works(self, server: Server) -> None:
        """Note that it can be used."""
        since, _ = self._known.pop(server, (None, ""))
        if since is not None:
            seconds = self._clock.seconds() - since
            log.info("directory: {server} answers, after {s:.0f} s", server=server, s=seconds)


class Dialer:
    """Makes connections to the first server that can be used."""

    def __init__(
        self,
        servers: Sequence[Server],
        context: SSL.Context | None,
        deadlines: Deadlines,
        outages: Outages,
        reactor: Any,
        account: ServiceAccount | None = None,
    ) -> None:
        """Without a `context` passwords go over the network as they are. With an `account` the
        connections are bound to it, for searches."""
        self._servers = servers
        self._context = context
        self._deadlines = deadlines
        self._outages = outages
        self._reactor = reactor
        self._account = account

    def connect(self) -> Deferred[Connection]:
        """A connection that is ready. Fails with the Fault of the last server."""
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> Connection:
        for server in self._servers:
            try:
                connection = await self.reach(server)
            except Fault as fault:
                refusal = self._outages.failed(server, fault)
                if fault.reason is Reason.SERVICE_ACCOUNT_REFUSED:
                    break  # other servers would count it as well
            else:
                self._outages.works(server)
                return connection
        raise refusal

    def reach(self, server: Server) -> Deferred[Connection]:
        """A connection to this server. Fails with a Fault, in time, or raises it at once."""
        if self._account is not None:
            self._account.password()  # what would be refused needs no connection
        connection = Connection(str(server), self._deadlines)
        opening = Deferred.fromCoroutine(self._open(server, connection))
        seconds = self._deadlines.seconds
        silent = Fault(Reason.DIRECTORY_SILENT, f"{server}: no connection in {seconds:g} s")

        def too_late(_result: object, _seconds: float) -> NoReturn:
            raise silent

        def leave(failure: Failure) -> Failure:
            connection.close(silent)
            return failure

        return opening.addTimeout(seconds, self._reactor, too_late).addErrback(leave)

    async def _open(self, server: Server, connection: Connection) -> Connection:
        try:
            await server.endpoint(self._reactor).connect(_Once(connection))
        except DNSLookupError:
            raise _unreachable(server, "the name cannot be resolved") from None
        except ConnectError as error:
            why = os.strerror(error.osError) if error.osError else str(error)
            raise _unreachable(server, why.lower()) from None
        except (OSError, ValueError):  # Twisted has an idea of its own of what a host's name is
            raise _unreachable(server, "this is no host that can be connected to") from None
        if self._context is not None:
            if not server.ldaps:
                await self._start_tls(server, connection)
            await connection.secure(TlsServer(server.host.removesuffix("."), self._context))
        if self._account is not None:
            await self._account.turn.acquire()
            try:
                await self._bind(server, connection, self._account)
            finally:
                self._account.turn.release()
        return connection

    async def _start_tls(self, server: Server, connection: Connection) -> None:
        request = codec.extended_request(codec.START_TLS)
        try:
            result = (await _alone(Extended(request, Direct(connection)))).result
        except Fault as fault:
            words = f"{fault.words} in place of StartTLS; is this a port for ldaps://?"
            raise Fault(fault.reason, words) from None
        if result.code != codec.SUCCESS:
            said = names.describe(result)
            raise Fault(Reason.DIRECTORY_UNTRUSTED, f"{server} refuses StartTLS: {said}")

    async def _bind(self, server: Server, connection: Connection, account: ServiceAccount) -> None:
        password = account.password()
        request = codec.bind_request(account.dn.encode(), password.reveal(), ppolicy.REQUEST)
        bind = await _alone(Bind(request, Direct(connection)))
        said = names.describe(bind.result)
        error = None if bind.policy is None else bind.policy.error
        if error is not None:
            said += f" ({error.words})"
        if bind.result.code == codec.INVALID_CREDENTIALS:
            raise account.refuse(password, f"{server} refuses bind_dn and its password: {said}")
        if bind.result.code != codec.SUCCESS or error is ppolicy.Error.CHANGE_AFTER_RESET:
            reason = verdicts.fault_of(bind.result, "a bind").reason
            raise Fault(
                reason, f"{server} does not let the service account {account.dn} in: {said}"
            )
        account.warn(server, bind.policy)


class _Once(Factory[Connection]):
    """The factory of a connection that is there already. Twisted's own for this makes a class and
    an event of the log for each."""

    noisy = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return self._connection


class Direct:
    """Carries operations on a connection that has no owner yet."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def submit(self, operation: Operation) -> None:
        """See operations.Carrier."""
        self._connection.send(operation)

    def withdraw(self, operation: Operation) -> None:
        """See operations.Carrier."""
        self._connection.withdraw(operation)


def _alone(operation: O) -> Deferred[O]:
    async def wait() -> O:
        return await operation

    return Conversation(wait()).outcome


def _unreachable(server: Server, why: str) -> Fault:
    return Fault(Reason.DIRECTORY_UNREACHABLE, f"{server}: {why}")
