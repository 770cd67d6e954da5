"""Operations: what is asked of a directory, which replies may answer it, and who waits for it.

An operation is awaited inside a `Conversation`, a coroutine that waits for operations alone. The
reply itself resumes it: a Deferred for each operation would cost as much as all the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, Protocol, Self, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from authbridge.ldap import codec, ppolicy
from authbridge.ldap.ber import Malformed
from authbridge.ldap.codec import Entry, Reply, Result
from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Policy

T = TypeVar("T")

_ROOT_DSE = codec.search_request(
    b"", codec.Scope.BASE, codec.present(b"objectClass"), ("1.1",), size_limit=1, time_limit=1
)

MOST_REFERENCES = 100
"""Search references in one answer; they are ignored, and a server that sends more is not well."""
MOST_SURPLUS = 100
"""Entries in one answer that were not asked for; they are dropped."""
CROWD = 1_000_000
"""The same where there may be any number: a search for anybody at all, at a server that has no ear
for size limits."""


class Waiter(Protocol):
    """Who asked."""

    def answered(self, operation: Any) -> None:
        """The operation has its result."""

    def failed(self, fault: Fault) -> None:
        """There will be none."""


class Carrier(Protocol):
    """What brings operations to a directory."""

    def submit(self, operation: Operation) -> None:
        """Send it, now or when its turn comes. It ends in time, whatever happens."""

    def withdraw(self, operation: Operation) -> None:
        """Nobody waits for it any more."""


class Link(Protocol):
    """The connection on which an operation was sent."""

    retiring: bool
    """Whether it is to be closed when nothing is awaited."""

    def expire(self, operation: Operation) -> None:
        """Its time is over."""

    def withdraw(self, operation: Operation) -> bool:
        """Nobody waits for it any more. Whether the server was silent meanwhile."""
        ...

    def describe(self) -> str:
        """The server, and how it was verified, in words."""


class Operation:
    """One request and its result."""

    __slots__ = (
        "carrier", "due", "ended", "heard", "link", "message_id", "patient", "queued",
        "repeated", "request", "result", "waiter",
    )  # fmt: skip

    exclusive = False
    """Whether the connection must be all its own."""
    repeatable = False
    """Whether it may be asked again where a connection broke under it."""

    def __init__(self, request: bytes, carrier: Carrier) -> None:
        """`request` is encoded, without its envelope."""
        self.request = request
        self.carrier = carrier
        self.ended = False
        self.repeated = False
        self.patient = True
        """Whether it waits for a server that is slow to connect to, as there is no other."""
        self.waiter: Waiter | None = None
        self.link: Link | None = None

    # Set as it goes, so that making one costs little.
    queued: float
    """When it was put in line; seconds."""
    heard: int
    """How often the link had heard from the server when this was sent."""
    message_id: int
    due: float
    """See `deadlines.Due`."""
    result: Result

    def __await__(self) -> Generator[Self, None, Self]:
        yield self
        return self

    def take(self, reply: Reply) -> bool:
        """Take one reply; whether it is the last. Raises Malformed where it cannot be one of
        this operation's."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the replies taken, and the deadline: it is asked again."""
        self.repeated = True
        self.due = 0.0
        self.link = None

    def finish(self) -> None:
        """Let the waiter have the result."""
        self.ended = True
        self.request = b""  # there may be a password in it
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            waiter.answered(self)

    def fail(self, fault: Fault) -> None:
        """Let the waiter have a fault."""
        self.ended = True
        self.request = b""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            waiter.failed(fault)

    def describe_link(self) -> str:
        """The connection that it was sent on, for people."""
        return "none" if self.link is None else self.link.describe()

    def expire(self) -> None:
        """See `deadlines.Due`."""
        assert self.link is not None  # it was sent: nothing else is watched
        self.link.expire(self)

    def _end(self, reply: Reply, kind: int) -> bool:
        if reply.operation != kind or not isinstance(reply.content, Result):
            raise Malformed(f"a reply of the kind {reply.operation:#04x} answers another request")
        self.result = reply.content
        return True


class Bind(Operation):
    """A simple bind. Its result code is the verdict; what the connection may do afterwards proves
    nothing, since a refused bind does not reliably make it anonymous."""

    __slots__ = ("policy",)
    exclusive = True
    policy: Policy | None

    def take(self, reply: Reply) -> bool:
        """See Operation."""
        self.policy = ppolicy.read(reply.controls)
        return self._end(reply, codec.BIND_RESPONSE)


class LastBind(Bind):
    """The same where a server may end the connection of a bind that it has refused."""

    __slots__ = ()

    def take(self, reply: Reply) -> bool:
        """See Operation."""
        last = super().take(reply)
        if self.result.code != codec.SUCCESS and self.link is not None:
            self.link.retiring = True
        return last


class Extended(Operation):
    """An extended operation, such as StartTLS."""

    __slots__ = ()
    exclusive = True

    def take(self, reply: Reply) -> bool:
        """See Operation."""
        return self._end(reply, codec.EXTENDED_RESPONSE)


class Write(Operation):
    """A change of the directory, which is answered by a result of one `kind`."""

    __slots__ = ("_kind", "policy")
    exclusive = True
    policy: Policy | None

    def __init__(self, request: bytes, carrier: Carrier, kind: int) -> None:
        super().__init__(request, carrier)
        self._kind = kind

    def take(self, reply: Reply) -> bool:
        """See Operation."""
        self.policy = ppolicy.read(reply.controls)
        return self._end(reply, self._kind)


class Probe(Operation):
    """Whether a connection is still there: the root DSE is asked for, and any answer will do."""

    __slots__ = ()
    exclusive = True

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(_ROOT_DSE, carrier)

    def take(self, reply: Reply) -> bool:
        """See Operation. What is found in it counts for nothing."""
        if isinstance(reply.content, Entry) or reply.content is None:
            return False
        return self._end(reply, codec.SEARCH_DONE)


class Search(Operation):
    """A search; `entries` are those found, `size_limit` at most."""

    __slots__ = ("_most_surplus", "_references", "_size_limit", "_surplus", "entries")
    repeatable = True

    def __init__(
        self,
        request: bytes,
        carrier: Carrier,
        size_limit: int,
        most_surplus: int = MOST_SURPLUS,
    ) -> None:
        super().__init__(request, carrier)
        self._most_surplus = most_surplus
        self.entries: list[Entry] = []
        self._size_limit = size_limit
        self._references = 0
        self._surplus = 0

    @property
    def cut(self) -> bool:
        """Whether there are more entries than were asked for."""
        return self._surplus > 0 or self.result.code == codec.SIZE_LIMIT_EXCEEDED

    def take(self, reply: Reply) -> bool:
        """See Operation."""
        if isinstance(reply.content, Entry):
            if len(self.entries) < self._size_limit:
                self.entries.append(reply.content)
            else:  # Samba has no ear for size limits
                self._surplus += 1
                if self._surplus > self._most_surplus:
                    raise Malformed("there is no end of entries")
            return False
        if reply.content is None:
            self._references += 1
            if self._references > MOST_REFERENCES:
                raise Malformed("there is no end of references")
            return False
        return self._end(reply, codec.SEARCH_DONE)

    def reset(self) -> None:
        """See Operation."""
        super().reset()
        self.entries.clear()
        self._references = 0
        self._surplus = 0


class Conversation(Generic[T]):
    """A coroutine that awaits operations, and nothing else, until it has what it wants."""

    __slots__ = ("_coroutine", "_operation", "outcome")

    def __init__(self, coroutine: Coroutine[Operation, Any, T]) -> None:
        """Begin. `outcome` fires with what the coroutine returns or raises; cancelled, it
        withdraws what is under way."""
        self._coroutine = coroutine
        self._operation: Operation | None = None
        self.outcome: Deferred[T] = Deferred(self._cancel)
        self._advance(coroutine.send, None)

    def answered(self, operation: Operation) -> None:
        """See Waiter."""
        self._advance(self._coroutine.send, operation)

    def failed(self, fault: Fault) -> None:
        """See Waiter. A copy: one fault may end thousands of operations, and would keep what is on
        the stack of each, passwords included."""
        self._advance(self._coroutine.throw, Fault(fault.reason, fault.words))

    def _advance(self, step: Callable[[Any], Operation], value: object) -> None:
        try:
            operation = step(value)
        except StopIteration as end:
            self.outcome.callback(end.value)
        except Exception:  # noqa: BLE001 - whatever it is, it belongs to who asked
            self.outcome.errback(Failure())
        else:
            self._operation = operation
            operation.waiter = self
            operation.carrier.submit(operation)

    def _cancel(self, _: object) -> None:
        operation = self._operation
        if operation is not None and not operation.ended:
            operation.waiter = None
            operation.carrier.withdraw(operation)
        self._coroutine.close()
