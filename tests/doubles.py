"""Stand-ins for what a test cannot have on demand, and short ways to what it can."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from authbridge import model
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain, NamedChecker
from authbridge.log import LoginLog, LogSettings
from authbridge.model import JID, Checker, Outcome, Trace
from authbridge.secret import Secret
from authbridge.stores.ledger import StoreUnavailable
from authbridge.stores.operations import Operation, Store
from authbridge.turns import Turns

T = TypeVar("T")


def now(awaitable: Awaitable[T] | Deferred[T]) -> T:
    """The result of something that must have one already."""
    results: list[Any] = []
    deferred = (
        awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(awaitable)  # type: ignore[arg-type]
    )
    deferred.addBoth(results.append)
    assert results, "there is no result yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]  # type: ignore[no-any-return]


class ThreadReactor:
    """Runs in the test's thread, when told to, what other threads hand over."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.arrived = threading.Semaphore(0)

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.calls.append((function, arguments))
        self.arrived.release()

    def turn(self) -> None:
        """Wait for one, and run it; for half a minute."""
        assert self.arrived.acquire(timeout=30)
        function, arguments = self.calls.pop(0)
        function(*arguments)

    def turn_until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self.turn()

    def drain(self) -> None:
        """Run all that there are."""
        while self.calls:
            self.turn()


class ScriptedChecker:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Outcome | Exception | Deferred[Outcome]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, bytes | None]] = []
        self.cancelled = False

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        self.asked.append(("check_password", str(jid), password.reveal()))
        return await self._answer(trace)

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        self.asked.append(("user_exists", str(jid), None))
        return await self._answer(trace)

    async def _answer(self, trace: Trace | None) -> Outcome:
        if trace is not None:
            trace.step("scripted", "was asked")
        if isinstance(self.answer, Exception):
            raise self.answer
        if not isinstance(self.answer, Deferred):
            return self.answer
        turn: Deferred[Outcome] = Deferred(lambda _: self.answer.cancel())  # type: ignore[union-attr]

        def answered(result: Outcome | Failure) -> Outcome | Failure | None:
            if not turn.called:
                turn.callback(result)  # type: ignore[arg-type]
            return None if isinstance(result, Failure) else result

        self.answer.addBoth(answered)
        return await turn


class ScriptedRegistry(ScriptedChecker):
    """One that can be written to: changes get `answer`, and who asks for a user gets `exists`."""

    def __init__(
        self,
        answer: Outcome | Exception | Deferred[Outcome],
        exists: Outcome | Exception = model.USER_UNKNOWN,
    ) -> None:
        super().__init__(answer)
        self.exists = exists

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        self.asked.append(("user_exists", str(jid), None))
        if isinstance(self.exists, Exception):
            raise self.exists
        return self.exists

    async def set_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        self.asked.append(("set_password", str(jid), password.reveal()))
        return await self._answer(trace)

    async def register(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        self.asked.append(("register", str(jid), password.reveal()))
        return await self._answer(trace)

    @property
    def written(self) -> list[str]:
        """The changes it was asked for."""
        return [operation for operation, _, _ in self.asked if operation != "user_exists"]


C = TypeVar("C", bound=ScriptedChecker)


def silent_checker() -> ScriptedChecker:
    """A checker that never answers, but can be cancelled."""
    return _silenced(ScriptedChecker(model.USER_UNKNOWN))


def silent_registry() -> ScriptedRegistry:
    """One that knows who there is, and never tells whether a change is made."""
    return _silenced(ScriptedRegistry(model.USER_UNKNOWN))


def _silenced(checker: C) -> C:
    def cancelled(deferred: Deferred[Outcome]) -> None:
        checker.cancelled = True

    checker.answer = Deferred(cancelled)
    return checker


def named_checker(name: str, checker: Checker) -> NamedChecker:
    """One that as many may ask as like to."""
    return NamedChecker(name, checker, turns=Turns(1_000_000, 0), lookups=Turns(1_000_000, 0))


class House:
    """An authenticator with its clock and its log in the test's hands."""

    def __init__(
        self,
        *checkers: Checker,
        exists: tuple[Checker, ...] | bool | None = None,
        domain: str = "example.org",
        log: LogSettings | None = None,
        seen: Callable[[JID], None] | None = None,
    ) -> None:
        named = tuple(named_checker(f"c{n}", checker) for n, checker in enumerate(checkers))
        if exists is None:
            asked: tuple[NamedChecker, ...] | bool = named
        elif isinstance(exists, bool):
            asked = exists
        else:
            asked = tuple(named_checker(f"e{n}", checker) for n, checker in enumerate(exists))
        self.clock = Clock()
        self.lines: list[str] = []
        self.authenticator = Authenticator(
            {domain: Domain(named, asked, seen)},
            LoginLog(log or LogSettings(), self.lines.append, lambda: 1_700_000_000.25),
            self.clock,
            "boot",
        )

    def check(
        self, user: str = "alice", password: str = "wonderland", trace: Trace | None = None
    ) -> Deferred[Outcome]:
        return self.authenticator.check_password(
            "test", user.encode(), b"example.org", Secret(password.encode()), 8.0, trace=trace
        )

    def exists(self, user: str = "alice", trace: Trace | None = None) -> Deferred[Outcome]:
        return self.authenticator.user_exists(
            "test", user.encode(), b"example.org", 8.0, trace=trace
        )

    def change(
        self, user: str = "alice", password: str = "new", trace: Trace | None = None
    ) -> Deferred[Outcome]:
        return self.authenticator.set_password(
            "test", user.encode(), b"example.org", Secret(password.encode()), 8.0, trace=trace
        )

    def register(
        self, user: str = "alice", password: str = "new", trace: Trace | None = None
    ) -> Deferred[Outcome]:
        return self.authenticator.register(
            "test", user.encode(), b"example.org", Secret(password.encode()), 8.0, trace=trace
        )


class InlineLedger:
    """Asks its store at once, unless it is told to be down, or to keep silent."""

    def __init__(self, store: Store, seconds: Callable[[], float]) -> None:
        """`seconds`: since the epoch, by the store's clock."""
        self.store = store
        self.asked: list[Operation[Any]] = []
        self.down = ""
        """Why it is, if it is."""
        self.silent = False
        self.by = 0.0
        """Seconds by which its clock is ahead of the machine's."""
        self._seconds = seconds

    def ask(self, operation: Operation[T]) -> Deferred[T]:
        """See `stores.ledger.Ledger`."""
        self.asked.append(operation)
        if self.down:
            return fail(StoreUnavailable(self.down))
        if self.silent:
            return Deferred()
        return succeed(self.store.run([operation], self._seconds() + self.by)[0])

    def ahead(self) -> float:
        """See `stores.ledger.Ledger`."""
        return self.by
