"""Questions on their way: each gets one outcome, within its deadline, and one line in the log."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge import model
from authbridge.log import LoginLog
from authbridge.model import JID, Outcome, Reason, Trace

log = Logger()


class Login:
    """One question on its way, from the front end's call to its one outcome."""

    __slots__ = (
        "address", "answer", "caller", "checker", "expiry", "front_end", "jid", "number",
        "operation", "started", "trace", "work",
    )  # fmt: skip

    def __init__(
        self,
        front_end: str,
        operation: str,
        started: float,
        trace: Trace | None,
        number: str,
        caller: str,
        address: str,
    ) -> None:
        self.front_end = front_end
        self.operation = operation
        self.started = started
        self.trace = trace
        self.number = number
        """The request's id; empty where it gets one with its line."""
        self.caller = caller
        """Who asks, where the front end knows: a client's name, or an address."""
        self.address = address
        """Of the user's client, where who asks says so."""
        self.jid: JID | None = None
        self.checker = "-"
        """The name of the checker that decided, or of the one that is being asked."""
        self.answer: Deferred[Outcome] = Deferred()
        self.expiry: IDelayedCall | None = None
        self.work: Deferred[Any] | None = None

    def step(self, name: str, found: str) -> None:
        """Note a step, if anybody wants to know."""
        if self.trace is not None:
            self.trace.step(name, found)


class Logins:
    """All that are under way."""

    def __init__(self, login_log: LoginLog, clock: IReactorTime, boot: str) -> None:
        """`boot` starts every request id, and tells this process's from those of the one before."""
        self._login_log = login_log
        self._clock = clock
        self._boot = boot
        self._numbers = itertools.count(1)
        self._under_way: set[Login] = set()
        self._idle: list[Deferred[None]] = []

    def begin(
        self,
        front_end: str,
        operation: str,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
        address: str = "",
    ) -> Login:
        """One that begins now."""
        now = self._clock.seconds()
        return Login(front_end, operation, now, trace, number, caller, address)

    def run(
        self, login: Login, judging: Coroutine[Any, Any, Outcome], deadline: float
    ) -> Deferred[Outcome]:
        """Its outcome, which is what is judged, or UNAVAILABLE after `deadline` seconds; it never
        fails. What is late is cancelled."""
        try:
            # As often, nobody has to be waited for, and then nothing that waits is needed.
            awaited = judging.send(None)
        except StopIteration as end:
            self.settle(login, end.value)
        except Exception:  # noqa: BLE001 - judged as if it had been raised later
            self._judged(Failure(), login)
        else:
            work = Deferred.fromCoroutine(_rest(judging, awaited))
            work.addBoth(self._judged, login)
            if not login.answer.called:
                self._under_way.add(login)
                login.work = work
                give_up = partial(self._give_up, login, Reason.DEADLINE_PASSED)
                login.expiry = self._clock.callLater(deadline, give_up)
        return login.answer

    def settle(self, login: Login, outcome: Outcome) -> None:
        """This is its outcome."""
        if login.expiry is not None:
            if login.expiry.active():
                login.expiry.cancel()
            self._under_way.discard(login)
        seconds = self._clock.seconds() - login.started
        login.answer.callback(outcome)  # before the line: a log that fails keeps nobody out
        if self._login_log.wants(outcome):
            try:
                self._login_log.line(
                    login.number or self.number(),
                    login.caller,
                    login.front_end,
                    login.operation,
                    "-" if login.jid is None else f"{login.jid.local}@{login.jid.domain}",
                    login.checker,
                    outcome,
                    seconds,
                    login.address,
                )
            except Exception:  # noqa: BLE001 - the login is over; its line is what is lost
                log.failure("a login has no line")
        if not self._under_way:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    def turn_away(
        self,
        front_end: str,
        operation: str,
        reason: Reason,
        *,
        number: str = "",
        caller: str = "",
    ) -> None:
        """Write the line of a request that names nobody, or comes from somebody who may not ask."""
        login = self.begin(front_end, operation, None, number, caller)
        self.settle(login, model.rejected(reason))

    def number(self) -> str:
        """An id for a request that is about to be asked."""
        return f"{self._boot}-{next(self._numbers):x}"

    def idle(self) -> Deferred[None]:
        """Fires when none is under way."""
        if not self._under_way:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def end(self) -> None:
        """Wait for nobody any more: what is under way cannot be told."""
        while self._under_way:
            self._give_up(next(iter(self._under_way)), Reason.STOPPING)

    def _give_up(self, login: Login, reason: Reason) -> None:
        self.settle(login, model.unavailable(reason))
        assert login.work is not None  # run has set it
        login.work.cancel()

    def _judged(self, result: Outcome | Failure, login: Login) -> None:
        late = login.answer.called
        if isinstance(result, Failure):
            if late and result.check(CancelledError):
                return
            log.failure("a login failed", failure=result)
            result = model.unavailable(Reason.INTERNAL_ERROR)
        if not late:
            self.settle(login, result)


def _rest(
    judging: Coroutine[Any, Any, Outcome], awaited: Any
) -> Generator[Deferred[Any], Any, Outcome]:
    """What is left of a coroutine that has run to the first Deferred that it awaits."""
    while True:
        try:
            found = yield awaited
        except Exception as error:  # noqa: BLE001 - it is the coroutine's to handle
            step = partial(judging.throw, error)
        else:
            step = partial(judging.send, found)
        try:
            awaited = step()
        except StopIteration as end:
            return cast("Outcome", end.value)
