"""Short ways to ask a scripted server something, and to see what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from authbridge.ldap import codec, ppolicy
from authbridge.ldap.codec import Entry, Scope
from authbridge.ldap.connection import Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Bind, Conversation, Extended, Operation, Search
from authbridge.ldap.servers import Direct
from authbridge.model import Reason
from tests.ldap.server import Network, Server, tlv

SECONDS = 4.0
PASSWORD = b"wonderland"
ANYTHING = tlv(0x87, b"objectClass")


class Asked:
    """What came of a question."""

    def __init__(self, operation: Operation) -> None:
        self.operation: Any = operation
        self._found: list[Any] = []

        async def wait() -> Operation:
            return await operation

        self.outcome: Deferred[Any] = Conversation(wait()).outcome
        self.outcome.addBoth(self._found.append)

    @property
    def pending(self) -> bool:
        return not self._found

    @property
    def code(self) -> int:
        """The result's; what else it was is raised."""
        assert self._found, "there is no result yet"
        if isinstance(self._found[0], Failure):
            self._found[0].raiseException()
        assert self._found == [self.operation]
        return int(self.operation.result.code)

    @property
    def entries(self) -> list[Entry]:
        assert self.code == 0
        return list(self.operation.entries)

    @property
    def fault(self) -> Fault:
        assert self._found, "there is no result yet"
        assert isinstance(self._found[0], Failure), self._found[0]
        assert isinstance(self._found[0].value, Fault), self._found[0]
        return self._found[0].value

    @property
    def reason(self) -> Reason:
        return self.fault.reason

    @property
    def cancelled(self) -> bool:
        return self._found != [] and self._found[0].type.__name__ == "CancelledError"

    def cancel(self) -> None:
        self.outcome.cancel()


def search(carrier: Any, size_limit: int = 2, base: bytes = b"dc=x") -> Asked:
    request = codec.search_request(
        base, Scope.SUBTREE, ANYTHING, ["uid"], size_limit=size_limit, time_limit=4
    )
    return Asked(Search(request, carrier, size_limit))


def bind(carrier: Any, name: bytes = b"uid=alice", password: bytes = PASSWORD) -> Asked:
    return Asked(Bind(codec.bind_request(name, password, ppolicy.REQUEST), carrier))


def extended(carrier: Any) -> Asked:
    return Asked(Extended(codec.extended_request(codec.START_TLS), carrier))


class Line:
    """One connection to a server in the test's hands, without a pool."""

    def __init__(self, answer: Callable[[Server, Any], bytes | None] | None = None) -> None:
        self.network = Network()
        self.server = Server(answer)
        self.connection = Connection("ldap://x:389", Deadlines(self.network, SECONDS))
        self.network.join(self.connection, self.server)
        self.carrier = Direct(self.connection)

    def search(self, size_limit: int = 2) -> Asked:
        asked = search(self.carrier, size_limit)
        self.network.settle()
        return asked

    def bind(self, password: bytes = PASSWORD) -> Asked:
        asked = bind(self.carrier, password=password)
        self.network.settle()
        return asked

    def extended(self) -> Asked:
        asked = extended(self.carrier)
        self.network.settle()
        return asked

    def say(self, *octets: bytes, after: float = 0) -> None:
        """Let the server say this in one segment."""
        self.network.settle(after)
        self.server.say(*octets)
        self.network.settle()

    @property
    def dropped(self) -> bool:
        """Whether the connection was cut, rather than ended with a word of goodbye."""
        return self.connection.gone and self.server.lost and self.connection.transport.aborted
