"""Short ways to ask a scripted server something, and to see what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure

from authbridge.ldap import codec, ppolicy
from authbridge.ldap import server as servers
from authbridge.ldap.codec import Entry, Scope
from authbridge.ldap.connection import Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.dialer import Dialer, Direct, Outages
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Bind, Conversation, Extended, Operation, Search
from authbridge.ldap.pool import Limits, Pool
from authbridge.ldap.presets import PRESETS
from authbridge.ldap.service_account import ServiceAccount
from authbridge.ldap.standing import Standing
from authbridge.model import Reason
from tests.ldap.server import Network, Server, bound, done, tlv

SECONDS = 4.0
HOST = "192.0.2.1"
PASSWORD = b"wonderland"
ANYTHING = tlv(0x87, b"objectClass")
PLAIN = PRESETS["openldap"]


class Asked:
    """What came of a question."""

    def __init__(self, question: Awaitable[Operation]) -> None:
        """An operation, or what ends with one."""
        self.operation: Any = question
        self._found: list[Any] = []

        async def wait() -> Operation:
            self.operation = await question
            return self.operation

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


def search(
    carrier: Any, size_limit: int = 2, base: bytes = b"dc=x", *, patient: bool = True
) -> Asked:
    request = codec.search_request(
        base, Scope.SUBTREE, ANYTHING, ["uid"], size_limit=size_limit, time_limit=4
    )
    operation = Search(request, carrier, size_limit)
    operation.patient = patient
    return Asked(operation)


def bind(
    carrier: Any, name: bytes = b"uid=alice", password: bytes = PASSWORD, *, patient: bool = True
) -> Asked:
    operation = Bind(codec.bind_request(name, password, ppolicy.REQUEST), carrier)
    operation.patient = patient
    return Asked(operation)


def extended(carrier: Any) -> Asked:
    return Asked(Extended(codec.extended_request(codec.START_TLS), carrier))


def rewrite(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put another file in a file's place."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)


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


class House:
    """A pool and a server that the test speaks for."""

    def __init__(
        self,
        connections: int = 1,
        room: int = 1,
        waiting: int = 10,
        connecting: int | None = None,
        chance: Callable[[], float] = lambda: 0.0,
        timeout: float = SECONDS,
        password_file: Path | None = None,
        **more: float,
    ) -> None:
        """`more` limits; see pool.Limits. The `timeout` is in seconds. With a `password_file` a
        service account is bound first."""
        self.network = Network()
        self.network.listen(HOST)
        self.server = servers.Server(HOST, 389, False)
        network = self.network
        account = password_file and ServiceAccount("cn=service", password_file, network)
        deadlines, outages = Deadlines(network, timeout), Outages(network)
        dialer = Dialer(None, PLAIN, deadlines, outages, network, account)
        self.standing = Standing(self.network, chance)
        self.pool = Pool(
            self.server,
            partial(dialer.connect, self.server),
            Limits(connections, room, waiting, connecting or connections, **more),
            self.standing,
            Deadlines(self.network, 1.0),
            self.network,
        )

    def bind(self, name: bytes = b"uid=alice", *, patient: bool = True) -> Asked:
        return bind(self.pool, name, patient=patient)

    def search(self, base: bytes = b"dc=x", size_limit: int = 2, *, patient: bool = True) -> Asked:
        return search(self.pool, size_limit, base, patient=patient)

    def settle(self, seconds: float = 0) -> None:
        self.network.settle(seconds)

    def down(self, error: Exception | None = ConnectError(111)) -> None:  # noqa: B008 - never changed
        """From now on whoever connects has this error, or no answer at all."""
        self.network.places[HOST, 389] = error

    def up(self) -> None:
        self.network.listen(HOST)

    def answer(self, number: int = 0) -> None:
        """Let the server of this connection answer everything that it was asked."""
        server = self.network.servers[number]
        answered = server.requests
        for request in answered:
            server.say((bound if request.kind == "bind" else done)(request.id))
        server.requests = []
        self.settle()

    def blame(self, asked: Asked) -> None:
        """Tell the pool of a fault, as a failover does."""
        self.pool.blame(asked.operation, asked.fault)

    @property
    def names(self) -> list[list[bytes]]:
        """Who was asked for on each connection."""
        return [[request.name for request in s.requests] for s in self.network.servers]

    @property
    def kinds(self) -> list[list[str]]:
        """What was asked on each connection."""
        return [server.kinds for server in self.network.servers]

    @property
    def attempts(self) -> list[float]:
        """When it was tried to connect."""
        return [attempt.at for attempt in self.network.attempts]
