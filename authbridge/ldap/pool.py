"""A bounded pool of connections to one server, and the line of operations that wait for one.

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
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Operation, Probe
from authbridge.ldap.server import Server
from authbridge.ldap.standing import Standing
from authbridge.model import Reason

PATIENCE = 1.0
"""Seconds that who may ask another server waits for a connection to this one."""
IDLE = 5.0
"""Seconds after which a connection is asked whether it is still there, before anything is sent on
it: a firewall may have forgotten it, and a bind must not be lost on it."""
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
        self,
        server: Server,
        connect: Callable[[], Deferred[Connection]],
        limits: Limits,
        standing: Standing,
        probes: Deadlines,
        clock: IReactorTime,
    ) -> None:
        """`probes` limits how long a connection has to show that it is still there."""
        self.server = server
        self.standing = standing
        self._connect = connect
        self._limits = limits
        self._room = limits.room
        self._probes = probes
        self._clock = clock
        self._connections: dict[Connection, int] = {}  # what each had heard at the last sweep
        self._free: dict[Connection, None] = {}  # those with room; the last one is the warmest
        self._probing: set[Connection] = set()
        self._waiting: OrderedDict[Operation, None] = OrderedDict()
        self._connecting: set[Deferred[None]] = set()
        self._sweeper: IDelayedCall | None = None
        self._rest: IDelayedCall | None = None
        self._patience: IDelayedCall | None = None
        self._stopped: Fault | None = None
        self._doubted = 0.0  # when what a doubt comes from was due; 0 where there is no doubt

    def submit(self, operation: Operation) -> None:
        """See operations.Carrier."""
        standing = self.standing
        if self._free:
            connection = next(reversed(self._free))
            if connection.awaited or self._clock.seconds() - connection.sent_at < IDLE:
                self._send(connection, operation)
            else:
                self._line_up(operation)
                self._probe(connection)
        elif self._stopped is not None:
            operation.fail(self._stopped)
        elif standing.down is not None:
            operation.fail(standing.down)
        elif standing.doubts is not None and not operation.patient:
            operation.fail(standing.doubts)
        elif len(self._waiting) >= self._limits.waiting:
            operation.fail(Fault(Reason.OVERLOADED, f"{len(self._waiting)} are waiting already"))
        else:
            self._line_up(operation)
            self._connect_more()

    def blame(self, operation: Operation, fault: Fault) -> None:
        """This operation came to nothing: what that says of the server."""
        if operation.link is None or self._stopped is not None:
            return  # what keeps from connecting is known here
        if fault.reason is Reason.DIRECTORY_SILENT:
            if any(connection.answered >= operation.due for connection in self._connections):
                return  # what was asked later has been answered: it is this operation alone
            self.standing.doubt(fault)
            self._doubted = operation.due
            for connection in list(self._free):
                if not connection.awaited:
                    connection.close()
        self.standing.avoid()
        self._fail_waiting(fault, self._clock.seconds(), patient=False)
        self._connect_more()

    def renew(self, operation: Operation) -> None:
        """Use the connection of this operation no more: the server had a fault on it. Active
        Directory may forget who is bound."""
        for connection in self._connections:
            if connection is operation.link:
                connection.retiring = True
                self.settled(connection)
                break

    def withdraw(self, operation: Operation) -> None:
        """See operations.Carrier."""
        if operation in self._waiting:
            del self._waiting[operation]
            operation.ended = True
            return
        link = operation.link
        if link is not None and not operation.ended and link.withdraw(operation):
            words = f"{self.server} was silent for as long as a login waited"
            self.blame(operation, Fault(Reason.DIRECTORY_SILENT, words))

    def settled(self, connection: Connection) -> None:
        """See connection.Owner."""
        if connection.gone or connection not in self._connections:
            return
        if self._probing:
            self._probing.discard(connection)
        if self._doubted and connection.answered >= self._doubted:
            self._doubted = 0.0
            self.standing.connected()  # it answers what was asked later
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
        self._probing.discard(connection)
        for operation in unanswered:
            broken = fault.reason is Reason.DIRECTORY_UNREACHABLE
            if broken and operation.repeatable and not operation.repeated and operation.waiter:
                operation.reset()
                self.submit(operation)
            else:
                operation.fail(fault)
        self._connect_more()

    @property
    def busy(self) -> bool:
        """Whether anything of it is left."""
        return bool(self._connections or self._connecting)

    def stop(self) -> None:
        """Close everything; whoever waits is told so."""
        self.retire(STOPPED)
        for connection in list(self._connections):
            connection.close(STOPPED)

    def retire(self, fault: Fault) -> None:
        """Take nothing new, and close each connection when what is under way has ended. Whoever
        waits is told `fault`."""
        for timer in (self._sweeper, self._rest, self._patience):
            if timer is not None:
                timer.cancel()
        self._sweeper = self._rest = self._patience = None
        self._stopped = fault
        self.standing.stop()
        self._fail_waiting(fault, self._clock.seconds())
        for connecting in list(self._connecting):
            connecting.cancel()
        for connection in list(self._connections):
            connection.retiring = True
            self.settled(connection)

    def _send(self, connection: Connection, operation: Operation) -> None:
        connection.send(operation)
        if len(connection.awaited) >= self._room:
            del self._free[connection]

    def _line_up(self, operation: Operation) -> None:
        operation.queued = self._clock.seconds()
        self._waiting[operation] = None

    def _probe(self, connection: Connection) -> None:
        """Ask something that any server answers. Where nothing comes, the connection is closed,
        and who waits has another."""
        del self._free[connection]
        self._probing.add(connection)
        connection.send(Probe(self), self._probes)

    def _connect_more(self) -> None:
        """As many attempts as those who wait can use."""
        while (
            self._rest is None
            and self._stopped is None
            and len(self._connecting) < self._limits.connecting
            and (len(self._connecting) + len(self._probing)) * self._room < self._wanted()
            and len(self._connections) + len(self._connecting) < self._limits.connections
        ):
            attempt = Deferred.fromCoroutine(self._attempt())
            if not attempt.called:
                self._connecting.add(attempt)
                if self._patience is None:
                    self._patience = self._clock.callLater(PATIENCE, self._lose_patience)
            attempt.addBoth(self._attempted, attempt)

    def _wanted(self) -> int:
        """How many operations there should be room for; one, where nobody knows whether the server
        is there."""
        standing = self.standing
        return len(self._waiting) or (standing.down is not None or standing.doubts is not None)

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
        if self._patience is not None and not self._connecting:
            self._patience.cancel()
            self._patience = None
        if isinstance(result, Failure):
            if result.check(CancelledError, ConnectingCancelledError):
                return  # it is stopped
            log.failure("an attempt to connect failed", result)
            fault = Fault(Reason.INTERNAL_ERROR, "a fault in authbridge")
            self._not_connected(fault, self._clock.seconds())
        self._connect_more()

    def _connected(self, connection: Connection) -> None:
        connection.owner = self
        self.standing.connected()
        self._doubted = 0.0
        connection.answered = 0.0  # a service bind: it says nothing of what comes
        connection.opened_at = connection.sent_at = self._clock.seconds()
        self._connections[connection] = 0
        if self._sweeper is None:
            self._sweeper = self._clock.callLater(self._limits.sweep, self._sweep)
        self.settled(connection)

    def _not_connected(self, fault: Fault, began: float) -> None:
        """Who waited before this attempt began has had an answer; who came later has another
        attempt. From now on nobody waits: attempts go on by themselves until one succeeds."""
        standing = self.standing
        if not self._connections or standing.doubts is not None:
            standing.refused(fault)
            self._fail_waiting(fault, began)
        if self._rest is None and self._stopped is None:
            rest = max(0.0, began + standing.rest() - self._clock.seconds())
            self._rest = self._clock.callLater(rest, self._rested)

    def _lose_patience(self) -> None:
        """Whoever may ask another server does so now."""
        self._patience = None
        if self._connections:
            return
        fault = Fault(
            Reason.DIRECTORY_SILENT, f"{self.server}: no connection in {PATIENCE:g} s, so far"
        )
        self.standing.doubt(fault)
        self._doubted = self._clock.seconds()
        self._fail_waiting(fault, self._clock.seconds(), patient=False)

    def _rested(self) -> None:
        self._rest = None
        self._connect_more()

    def _fail_waiting(self, fault: Fault, began: float, *, patient: bool = True) -> None:
        # Who fails may ask again at once, and is then behind the last of these.
        early = [one for one in self._waiting if one.queued <= began]
        for operation in early:
            if operation in self._waiting and (patient or not operation.patient):
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
