"""How a connection to a server comes about: TCP, TLS, service bind; and how an outage is told.

A connection is handed out when the server's certificate is verified and, for searches, when the
service account is bound.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn, TypeVar

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge.client_tls import TlsServer
from authbridge.ldap import codec, names, ppolicy, verdicts
from authbridge.ldap.connection import Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Bind, Conversation, Extended, Operation
from authbridge.ldap.presets import Preset
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import ServiceAccount
from authbridge.model import Reason

O = TypeVar("O", bound=Operation)  # noqa: E741


log = Logger()


class Outages:
    """Which servers cannot be used, why, and since when: a line in the log when that begins or
    changes, and one when it ends."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._known: dict[Server, tuple[float, str]] = {}

    def failed(self, server: Server, fault: Fault) -> Fault:
        """Note that it cannot be used; the fault, with since when."""
        now = self._clock.seconds()
        said = {words for _, words in self._known.values()}
        since, words = self._known.setdefault(server, (now, ""))
        if words != fault.words:
            self._known[server] = (since, fault.words)
            refused = fault.reason is Reason.SERVICE_ACCOUNT_REFUSED
            say = log.critical if refused else log.error
            if fault.words not in said:  # of one server: it may keep us from all
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
    """Makes connections to servers."""

    def __init__(
        self,
        context: SSL.Context | None,
        preset: Preset,
        deadlines: Deadlines,
        outages: Outages,
        reactor: Any,
        account: ServiceAccount | None = None,
    ) -> None:
        """Without a `context` passwords go over the network as they are. With an `account` the
        connections are bound to it, for searches."""
        self._preset = preset
        self._context = context
        self._deadlines = deadlines
        self._outages = outages
        self._reactor = reactor
        self._account = account

    def connect(self, server: Server) -> Deferred[Connection]:
        """A connection to this server. Fails with a Fault, in time, which the log has too."""
        return Deferred.fromCoroutine(self._connect(server))

    async def _connect(self, server: Server) -> Connection:
        try:
            connection = await self.reach(server)
        except Fault as fault:
            raise self._outages.failed(server, fault) from None
        self._outages.works(server)
        return connection

    def reach(self, server: Server) -> Deferred[Connection]:
        """The same without a word in the log. Fails with a Fault, or raises it at once."""
        if self._account is not None:
            self._account.password(server)  # what would be refused needs no connection
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
            turn = await self._account.turn(server)
            try:
                await self._bind(server, connection, self._account)
            finally:
                turn.release()
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
        password = account.password(server)
        request = codec.bind_request(account.dn.encode(), password.reveal(), ppolicy.REQUEST)
        bind = await _alone(Bind(request, Direct(connection)))
        said = verdicts.describe(bind.result)
        error = None if bind.policy is None else bind.policy.error
        refusal = self._preset.refusal(bind.result)
        if refusal is not None:
            said += f" ({refusal.reason.words})"
        elif error is not None:
            said += f" ({error.words})"
        if bind.result.code == codec.INVALID_CREDENTIALS:
            raise account.refuse(server, password, said)
        if bind.result.code != codec.SUCCESS or error is ppolicy.Error.CHANGE_AFTER_RESET:
            reason = verdicts.fault_of(bind.result, "a bind").reason
            raise Fault(
                reason, f"{server} does not let the service account {account.dn} in: {said}"
            )
        account.accept(server, password)
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
