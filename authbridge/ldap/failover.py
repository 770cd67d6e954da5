"""Several servers for one kind of operation: the first that is well is asked, and the next where it
has no answer.

The first of the list is the primary: whatever happens, it is used again when it is back. An
operation goes on to the next server where nothing has come of it at this one, and never where a
password was sent that the server may have counted, unless a setting says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from authbridge.ldap import codec, verdicts
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Operation
from authbridge.ldap.pool import Pool
from authbridge.ldap.server import Server
from authbridge.model import Reason, Trace

O = TypeVar("O", bound=Operation)  # noqa: E741


class Failover:
    """The pools of one kind of operation, by server."""

    def __init__(
        self,
        make_pool: Callable[[Server], Pool],
        *,
        ask_twice: bool,
        elsewhere: frozenset[int],
    ) -> None:
        """`ask_twice`: whether an operation that was sent and not answered may be sent to another
        server. `elsewhere`: the results that have the next server asked, as they say nothing of
        what was asked."""
        self._make_pool = make_pool
        self._ask_twice = ask_twice
        self._elsewhere = elsewhere
        self._pools: dict[Server, Pool] = {}
        self._order: tuple[Pool, ...] = ()
        self._retired: list[Pool] = []

    def serve(self, servers: Iterable[Server]) -> None:
        """These are the servers, from now on; pools of others are closed."""
        wanted = {server: self._pools.get(server) or self._make_pool(server) for server in servers}
        gone = [pool for server, pool in self._pools.items() if server not in wanted]
        self._pools, self._order = wanted, tuple(wanted.values())
        self._retired = [pool for pool in (*self._retired, *gone) if pool.busy]
        for pool in gone:
            words = f"{pool.server} is no longer a server of this directory"
            pool.retire(Fault(Reason.DIRECTORY_UNREACHABLE, words))

    def stop(self) -> None:
        """Close every connection."""
        for pool in (*self._order, *self._retired):
            pool.stop()

    async def ask(
        self,
        make: Callable[[Pool], O],
        what: str,
        near: Server | None = None,
        trace: Trace | None = None,
        only: Server | None = None,
    ) -> O:
        """The operation that `make` makes for a pool, with its result. `what` it is, in words.
        `near`: the server to be asked first, if it is well. `only`: the one to be asked, well or
        not. Raises Fault where no server has an answer."""
        left, again = deque(self._candidates(near, only)), set[Pool]()
        faults: list[Fault] = []
        while left:
            pool = left.popleft()
            operation = make(pool)
            # It waits for a slow server only if there is no other left that might be quicker.
            if left:
                operation.patient = all(other.standing.down for other in left)
            try:
                await operation
            except Fault as fault:
                pool.blame(operation, fault)
                faults.append(fault)
                if not self._goes_on(operation, fault):
                    break
                # Who gave its place in line away for another server has it back at the end.
                if operation.link is None and pool.standing.down is None and pool not in again:
                    again.add(pool)
                    left.append(pool)
            else:
                excuse = self._excuse(pool, operation, what)
                if excuse is None:
                    return operation
                faults.append(excuse)
            if trace is not None and left:
                trace.step("next server", faults[-1].words)
        raise together(faults)

    def _excuse(self, pool: Pool, operation: Operation, what: str) -> Fault | None:
        """Why the server did not do what it was asked; None where the result is an answer."""
        code = operation.result.code
        if code == verdicts.OPERATIONS_ERROR:
            pool.renew(operation)
        if code not in self._elsewhere:
            return None
        if code in verdicts.OVERWORKED:
            pool.standing.avoid()
        fault = verdicts.fault_of(operation.result, what)
        return Fault(fault.reason, f"{pool.server}: {fault.words}")

    def _candidates(self, near: Server | None, only: Server | None) -> Sequence[Pool]:
        pools = self._order
        if only is not None:
            if only not in self._pools:
                words = f"{only} is no longer a server of this directory"
                raise Fault(Reason.DIRECTORY_UNREACHABLE, words)
            return (self._pools[only],)
        if pools[0].standing.well and near in (None, pools[0].server):
            return pools
        return sorted(self._order, key=lambda pool: (pool.standing.rank, pool.server != near))

    def _goes_on(self, operation: Operation, fault: Fault) -> bool:
        if fault.reason is Reason.OVERLOADED:
            return False  # the next server would be as full in a moment
        return operation.link is None or self._ask_twice


def together(faults: Sequence[Fault]) -> Fault:
    """What all servers have against it, as one: the first one's reason, everybody's words."""
    words = dict.fromkeys(fault.words for fault in faults)
    return Fault(faults[0].reason, "; ".join(words))


SEARCHED_ELSEWHERE = verdicts.SERVER_FAULTS | {codec.REFERRAL, verdicts.NO_SUCH_OBJECT}
"""Results that send a search to the next server: faults, and that it has not what is searched."""
BOUND_ELSEWHERE = verdicts.SERVER_FAULTS | {codec.REFERRAL}
"""Results that send a bind there: it has not judged the password."""
WRITTEN_ELSEWHERE = verdicts.OVERWORKED | {codec.REFERRAL}
"""Results that send a change there: nothing was changed. A server that may not be written to names
another, which is not asked unless it is one of the configuration's."""
READ_ONLY = WRITTEN_ELSEWHERE | {codec.UNWILLING_TO_PERFORM}
"""The same where a server that is read-only is unwilling too. With Windows that may be a password
against the rules."""
