"""A bounded pool of connections, and the line of operations that wait for one.

Once an attempt to connect has failed, and there is no connection, nobody waits: operations fail at
once with what it failed with, and the pool tries by itself until it succeeds. A server that hangs
holds up those who came before that was known, and nobody after.

Nothing is borrowed: an operation is handed in, sent on a connection as soon as one has room, and
ends with a result or a Fault. One that was sent and not answered is not sent again, but for a
search whose connection broke.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge.ldap.connection import Connection
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Operation
from authbridge.model import Reason

REST = 1.0
"""Seconds from the beginning of an attempt to connect that fails to the next one, at least."""
STOPPED = Fault(Reason.DIRECTORY_UNREACHABLE, "authbridge is stopping")

log = Logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a pool may have."""

    connections: int
    room: int
    """Operations at once on a connection: 1 for binds."""
    waiting: int
    """Operations in line. One is a few kilobytes, and leaves at its login's deadline."""
    connecting: int
    """Attempts to connect at once: 1 where each of them could count a wrong service password."""
    age: float = 900.0
    """Seconds after which a connection is closed when it is next idle, so that changes of the
    directory's addresses and certificates are noticed."""
    sweep: float = 25.0
    """Seconds. A connection unused from one sweep to the next is closed, before a firewall
    forgets it."""


class Pool:
    """Connections that `connect` makes, for operations of one kind."""

    def __init__(
        self, connect: Callable[[], Deferred[Connection]], limits: Limits, clock: IReactorTime
    ) -> None:
        self._connect = connect
        self._limits = limits
        self._room = limits.room
        self._clock = clock
        self._connections: dict[Connection, int] = {}  # what each had heard at the last sweep
        self._free: dict[Connection, None] = {}  # those with room; the last one is the warmest
        self._waiting: OrderedDict[Operation, None] = OrderedDict()
        self._connecting: set[Deferred[None]] = set()
        self._sweeper: IDelayedCall | None = None
        self._rest: IDelayedCall | None = None
        self._stopped = False
        self._down: Fault | None = None  # why there is no connection, after an attempt that failed

    def submit(self, operation: Operation) -> None:
        """See operations.Carrier."""
        if self._free:
            self._send(next(reversed(self._free)), operation)
        elif self._stopped:
            operation.fail(STOPPED)
        elif self._down is not None:
            operation.fail(self._down)
        elif len(self._waiting) >= self._limits.waiting:
            operation.fail(Fault(Reason.OVERLOADED, f"{len(self._waiting)} are waiting already"))
        else:
            operation.queued = self._clock.seconds()
            self._waiting[operation] = None
            self._connect_more()

    def withdraw(self, operation: Operation) -> None:
        """See operations.Carrier."""
        if operation in self._waiting:
            del self._waiting[operation]
            operation.ended = True
        elif operation.link is not None and not operation.ended:
            operation.link.withdraw(operation)

    def settled(self, connection: Connection) -> None:
        """See connection.Owner."""
        if connection.gone or connection not in self._connections:
            return
        if connection.retiring:
            self._free.pop(connection, None)
            if not connection.awaited:
                connection.close()
            return
        waiting = self._waiting
        while waiting:
            if len(connection.awaited) >= self._room:
                return
            operation, _ = waiting.popitem(last=False)
            connection.send(operation)
        if len(connection.awaited) < self._room:
            self._free[connection] = None

    def lost(self, connection: Connection, unanswered: list[Operation], fault: Fault) -> None:
        """See connection.Owner."""
        self._connections.pop(connection, None)
        self._free.pop(connection, None)
        for operation in unanswered:
            broken = fault.reason is Reason.DIRECTORY_UNREACHABLE
            if broken and operation.repeatable and not operation.repeated and operation.waiter:
                operation.reset()
                self.submit(operation)
            else:
                operation.fail(fault)
        self._connect_more()

    def stop(self) -> None:
        """Close everything; whoever waits is told so."""
        for timer in (self._sweeper, self._rest):
            if timer is not None:
                timer.cancel()
        self._sweeper = self._rest = None
        self._stopped, self._down = True, None
        self._fail_waiting(STOPPED, self._clock.seconds())
        for connecting in list(self._connecting):
            connecting.cancel()
        for connection in list(self._connections):
            connection.close(STOPPED if connection.awaited else None)

    def _send(self, connection: Connection, operation: Operation) -> None:
        connection.send(operation)
        if len(connection.awaited) >= self._room:
            del self._free[connection]

    def _connect_more(self) -> None:
        """As many attempts as those who wait can use."""
        while (
            self._rest is None
            and len(self._connecting) < self._limits.connecting
            and len(self._connecting) * self._room < self._wanted()
            and len(self._connections) + len(self._connecting) < self._limits.connections
        ):
            attempt = Deferred.fromCoroutine(self._attempt())
            if not attempt.called:
                self._connecting.add(attempt)
            attempt.addBoth(self._attempted, attempt)

    def _wanted(self) -> int:
        """How many operations there should be room for; while there is no connection, for one."""
        return len(self._waiting) or (self._down is not None and not self._connections)

    async def _attempt(self) -> None:
        began = self._clock.seconds()
        try:
            connection = await self._connect()
        except Fault as fault:
            self._not_connected(fault, began)
            return
        if connection.gone:
            words = f"{connection.server} ended the connection at once"
            self._not_connected(Fault(Reason.DIRECTORY_UNREACHABLE, words), began)
        else:
            self._connected(connection)

    def _attempted(self, result: object, attempt: Deferred[None]) -> None:
        self._connecting.discard(attempt)
        if isinstance(result, Failure):
            if result.check(CancelledError, ConnectingCancelledError):
                return  # it is stopped
            log.failure("an attempt to connect failed", result)
            fault = Fault(Reason.INTERNAL_ERROR, "a fault in authbridge")
            self._not_connected(fault, self._clock.seconds())
        self._connect_more()

    def _connected(self, connection: Connection) -> None:
        connection.owner = self
        self._down = None
        connection.opened_at = self._clock.seconds()
        self._connections[connection] = 0
        if self._sweeper is None:
            self._sweeper = self._clock.callLater(self._limits.sweep, self._sweep)
        self.settled(connection)

    def _not_connected(self, fault: Fault, began: float) -> None:
        """Who waited before this attempt began has had an answer; who came later has another
        attempt. From now on nobody waits: attempts go on by themselves until one succeeds."""
        if not self._connections:
            self._down = fault
            self._fail_waiting(fault, began)
        if self._rest is None:
            rest = max(0.0, began + REST - self._clock.seconds())
            self._rest = self._clock.callLater(rest, self._rested)

    def _rested(self) -> None:
        self._rest = None
        self._connect_more()

    def _fail_waiting(self, fault: Fault, began: float) -> None:
        # Who fails may ask again at once, and is then behind the last of these.
        for operation in [one for one in self._waiting if one.queued <= began]:
            if operation in self._waiting:
                del self._waiting[operation]
                operation.fail(fault)

    def _sweep(self) -> None:
        """Close what nobody uses and what has grown old."""
        self._sweeper = None
        oldest = self._clock.seconds() - self._limits.age
        for connection, heard in list(self._connections.items()):
            unused = not connection.awaited and heard == connection.heard
            if unused or connection.opened_at <= oldest or connection.worn_out:
                connection.retiring = True
                self.settled(connection)
            else:
                self._connections[connection] = connection.heard
        if self._connections:
            self._sweeper = self._clock.callLater(self._limits.sweep, self._sweep)
