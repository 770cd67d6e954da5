"""One login: the domain's checkers in order, their verdicts folded, one deadline, one line.

A change of a password and a registration walk the same way. A front end asks here and gets exactly
one Outcome, whatever the checkers do. Names are prepared here, once; a password that can be
nobody's is refused here, before anybody is asked.
"""

from __future__ import annotations

import itertools
import stringprep
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge import model, password_hash, preparation
from authbridge.domain_names import ANY_DOMAIN
from authbridge.log import LoginLog
from authbridge.model import (
    JID,
    Checker,
    Outcome,
    Reason,
    Recognising,
    Registry,
    Remembering,
    Trace,
    Verdict,
)
from authbridge.secret import Secret
from authbridge.turns import LineFull, Turns

log = Logger()


class NamedChecker:
    """A checker under its name in the configuration, and the turns of those who ask it."""

    __slots__ = ("checker", "lookups", "name", "remembered", "turns")

    def __init__(self, name: str, checker: Checker, turns: Turns, lookups: Turns) -> None:
        """`lookups` are the turns of who asks for a user alone: a message to somebody who is away
        must not wait behind the passwords of everybody who logs in."""
        self.name = name
        self.checker = checker
        self.turns = turns
        self.lookups = lookups
        self.remembered: Callable[[JID], Outcome | None] = (
            checker.remembered if isinstance(checker, Remembering) else _nothing
        )

    def keeps(self, password: Secret) -> bool:
        """Whether no other checker may see this password. A checker that cannot tell keeps it."""
        if not isinstance(self.checker, Recognising):
            return False
        try:
            return self.checker.recognises(password)
        except Exception:  # noqa: BLE001 - a fault of one checker must not end the others
            log.failure("checker {name} raised", name=self.name)
            return True


def _nothing(_jid: JID) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Domain:
    """Who is asked for the users of one domain."""

    check: tuple[NamedChecker, ...]
    """Asked about passwords, in this order."""
    exists: tuple[NamedChecker, ...] | bool
    """Asked about users; True: every user exists, False: none does."""


class Login:
    """One question on its way, from the front end's call to its one outcome."""

    __slots__ = (
        "answer", "caller", "checker", "expiry", "front_end", "jid", "number", "operation",
        "started", "trace", "work",
    )  # fmt: skip

    def __init__(
        self,
        front_end: str,
        operation: str,
        started: float,
        trace: Trace | None,
        number: str,
        caller: str,
    ) -> None:
        self.front_end = front_end
        self.operation = operation
        self.started = started
        self.trace = trace
        self.number = number
        """The request's id; empty where it gets one with its line."""
        self.caller = caller
        """Who asks, where the front end knows: a client's name, or an address."""
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


class Authenticator:
    """The only way from a front end to the checkers."""

    def __init__(
        self, domains: Mapping[str, Domain], login_log: LoginLog, clock: IReactorTime, boot: str
    ) -> None:
        """`domains` by prepared name, "*" for any other. `boot` starts every request id, and tells
        this process's from those of the one before."""
        self._domains = domains
        self._spelled = {name.encode(): name for name in domains if name != ANY_DOMAIN}
        self._login_log = login_log
        self._clock = clock
        self._boot = boot
        self._numbers = itertools.count(1)
        self._under_way: set[Login] = set()
        self._idle: list[Deferred[None]] = []

    def check_password(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        password: Secret,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
    ) -> Deferred[Outcome]:
        """Whether this is the user's password. Fires within `deadline` seconds, never fails."""
        login = self._begin(front_end, "check_password", trace, number, caller)
        return self._run(login, self._check_password(login, user, domain, password), deadline)

    def user_exists(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
    ) -> Deferred[Outcome]:
        """Whether there is such a user: ACCEPTED is yes. Fires within `deadline`, never fails."""
        login = self._begin(front_end, "user_exists", trace, number, caller)
        return self._run(login, self._user_exists(login, user, domain), deadline)

    def set_password(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        password: Secret,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
    ) -> Deferred[Outcome]:
        """Give the user another password: ACCEPTED is done. Fires within `deadline`, never fails.

        UNAVAILABLE may have been done all the same: a change on its way cannot be called back.
        """
        login = self._begin(front_end, "set_password", trace, number, caller)
        return self._run(login, self._set_password(login, user, domain, password), deadline)

    def register(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        password: Secret,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
    ) -> Deferred[Outcome]:
        """Make a user who exists nowhere: ACCEPTED is done. Otherwise as `set_password`."""
        login = self._begin(front_end, "register", trace, number, caller)
        return self._run(login, self._register(login, user, domain, password), deadline)

    def refuse(
        self,
        front_end: str,
        operation: str,
        user: bytes,
        domain: bytes,
        reason: Reason,
        *,
        number: str = "",
        caller: str = "",
    ) -> Outcome:
        """Refuse what nobody is asked about, such as a removal; it has its line like a login."""
        login = self._begin(front_end, operation, None, number, caller)
        self._admit(login, user, domain)
        outcome = model.rejected(reason)
        self._settle(login, outcome)
        return outcome

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
        login = self._begin(front_end, operation, None, number, caller)
        self._settle(login, model.rejected(reason))

    def number(self) -> str:
        """An id for a request that is about to be asked, for a front end that tells its caller."""
        return f"{self._boot}-{next(self._numbers):x}"

    def idle(self) -> Deferred[None]:
        """Fires when no login is under way."""
        if not self._under_way:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def end(self) -> None:
        """Wait for nobody any more: what is under way cannot be told."""
        while self._under_way:
            self._give_up(next(iter(self._under_way)), Reason.STOPPING)

    def _begin(
        self, front_end: str, operation: str, trace: Trace | None, number: str, caller: str
    ) -> Login:
        return Login(front_end, operation, self._clock.seconds(), trace, number, caller)

    async def _check_password(
        self, login: Login, user: bytes, domain: bytes, password: Secret
    ) -> Outcome:
        rule = self._admit(login, user, domain, impossible(password))
        if isinstance(rule, Outcome):
            return rule
        cannot_tell: tuple[Outcome, str] | None = None
        reason = Reason.NO_CHECKER
        for named in rule.check:
            ask = named.checker.check_password
            outcome = await self._ask(
                login, named, named.turns, ask, _jid(login), password, login.trace
            )
            if outcome.verdict is Verdict.ACCEPTED:
                return outcome
            if outcome.verdict is Verdict.REJECTED:
                if cannot_tell is None:
                    return outcome
                break  # whose user it is could not be told before, so this no is not the answer
            if outcome.verdict is Verdict.UNAVAILABLE:
                cannot_tell = cannot_tell or (outcome, named.name)
                if named.keeps(password):
                    break
            elif outcome.verdict is Verdict.UNKNOWN_USER:
                reason = Reason.USER_UNKNOWN
        return self._nobody_left(login, cannot_tell, reason)

    async def _user_exists(self, login: Login, user: bytes, domain: bytes) -> Outcome:
        rule = self._admit(login, user, domain)
        if isinstance(rule, Outcome):
            return rule
        if isinstance(rule.exists, bool):
            login.step("exists", "always" if rule.exists else "never")
            return model.USER_EXISTS if rule.exists else model.rejected(Reason.USER_UNKNOWN)
        cannot_tell: tuple[Outcome, str] | None = None
        reason = Reason.USER_UNKNOWN
        for named in rule.exists:
            login.checker = named.name
            outcome = None if login.trace else named.remembered(_jid(login))
            if outcome is None:
                outcome = await self._look_up(login, named, login.trace)
            if outcome.verdict is Verdict.ACCEPTED:
                return outcome
            if outcome.verdict is Verdict.UNAVAILABLE:
                cannot_tell = cannot_tell or (outcome, named.name)
            elif outcome.verdict is Verdict.REJECTED:
                reason = outcome.reason
        return self._nobody_left(login, cannot_tell, reason)

    async def _set_password(
        self, login: Login, user: bytes, domain: bytes, password: Secret
    ) -> Outcome:
        rule = self._admit(login, user, domain, unusable(password))
        if isinstance(rule, Outcome):
            return rule
        if any(named.keeps(password) for named in rule.check):
            login.step("password", "looks like a token, so that it would be refused at a login")
            return model.rejected(Reason.PASSWORD_UNACCEPTABLE)
        reason = Reason.NOT_SUPPORTED
        ahead: list[NamedChecker] = []  # those before the next that may change it, and cannot
        for named in rule.check:
            if not isinstance(named.checker, Registry):
                ahead.append(named)
                continue
            # Another user of this name may be behind the one whose password is judged: that one's
            # would be changed, and this one told that his is.
            refusal = await self._unless_there(login, ahead, Reason.NOT_SUPPORTED)
            if refusal is not None:
                return refusal
            ahead.clear()
            ask = named.checker.set_password
            outcome = await self._ask(
                login, named, named.turns, ask, _jid(login), password, login.trace
            )
            if outcome.verdict is Verdict.UNKNOWN_USER:
                reason = Reason.USER_UNKNOWN
            elif outcome.verdict is Verdict.NOT_APPLICABLE:
                ahead.append(named)
            else:  # UNAVAILABLE too: nothing is changed on a guess whose the user is
                return outcome
        return model.rejected(reason)

    async def _register(
        self, login: Login, user: bytes, domain: bytes, password: Secret
    ) -> Outcome:
        rule = self._admit(login, user, domain, unusable(password))
        if isinstance(rule, Outcome):
            return rule
        if any(named.keeps(password) for named in rule.check):
            login.step("password", "looks like a token, so that it would be refused at a login")
            return model.rejected(Reason.PASSWORD_UNACCEPTABLE)
        if not any(isinstance(named.checker, Registry) for named in rule.check):
            return model.rejected(Reason.NOT_SUPPORTED)
        if rule.exists is True:
            login.step("exists", "always")
            return model.rejected(Reason.USER_EXISTS)
        # Those of `check` too: `exists` may name fewer, and a stranger who registers the name of a
        # user of theirs would be let in as that user.
        known = rule.exists or ()
        everybody = (*known, *(named for named in rule.check if named not in known))
        refusal = await self._unless_there(login, everybody, Reason.USER_EXISTS)
        if refusal is not None:
            return refusal
        for named in rule.check:
            if isinstance(named.checker, Registry):
                ask = named.checker.register
                outcome = await self._ask(
                    login, named, named.turns, ask, _jid(login), password, login.trace
                )
                if outcome.verdict is not Verdict.NOT_APPLICABLE:
                    return outcome
        return model.rejected(Reason.NOT_SUPPORTED)

    async def _unless_there(
        self, login: Login, checkers: Iterable[NamedChecker], reason: Reason
    ) -> Outcome | None:
        """None where none of them has the user; REJECTED for `reason` where the first that has an
        answer has him, UNAVAILABLE where it cannot tell.

        A user who is refused, as one whose account is disabled, is there all the same.
        """
        trace = login.trace or Trace()  # with one, nobody answers from what is kept
        for named in checkers:
            outcome = await self._look_up(login, named, trace)
            if outcome.verdict is Verdict.UNAVAILABLE:
                return outcome
            refused = outcome.verdict is Verdict.REJECTED
            if outcome.verdict is Verdict.ACCEPTED or (
                refused and outcome.reason is not Reason.USER_UNKNOWN
            ):
                return model.rejected(reason)
        return None

    def _admit(
        self, login: Login, user: bytes, domain: bytes, wrong: Reason | None = None
    ) -> Domain | Outcome:
        """Prepare both names, and find who is asked; an Outcome where that ends it, or where
        something is `wrong` with the password."""
        host = self._spelled.get(domain)
        if host is None:
            try:
                host = preparation.domain(domain)
            except preparation.Unprepared as error:
                login.step("domain", str(error))
                return model.rejected(Reason.DOMAIN_UNKNOWN)
        rule = self._domains.get(host) or self._domains.get(ANY_DOMAIN)
        if rule is None:
            login.step("domain", f'{host} has no [domains."{host}"], and there is none for "*"')
            return model.rejected(Reason.DOMAIN_UNKNOWN)
        if login.trace is not None:
            login.step("domain", f"{host} asks {', '.join(named.name for named in rule.check)}")
        try:
            login.jid = JID(preparation.local(user), host)
        except preparation.Unprepared as error:
            login.step("user", str(error))
            return model.rejected(Reason.USER_MALFORMED)
        if login.trace is not None:
            login.step("user", f"prepared as {login.jid}")
        return rule if wrong is None else model.rejected(wrong)

    def _look_up(
        self, login: Login, named: NamedChecker, trace: Trace | None
    ) -> Coroutine[Any, Any, Outcome]:
        """Whether a checker has the user."""
        ask = named.checker.user_exists
        return self._ask(login, named, named.lookups, ask, _jid(login), trace)

    async def _ask(
        self,
        login: Login,
        named: NamedChecker,
        turns: Turns,
        ask: Callable[..., Awaitable[Outcome]],
        *about: object,
    ) -> Outcome:
        """What a checker says, when it is this front end's turn there."""
        login.checker = named.name
        try:
            turn = turns.take(login.front_end)
            if turn is not None:
                await turn
            try:
                outcome = await ask(*about)
            finally:
                turns.leave()
        except CancelledError:
            raise
        except LineFull:
            outcome = model.unavailable(Reason.OVERLOADED)
        except Exception:  # noqa: BLE001 - a fault of one checker must not end the others
            log.failure("checker {name} raised", name=named.name)
            outcome = model.unavailable(Reason.INTERNAL_ERROR)
        if login.trace is not None:
            found = f"{outcome.verdict.value}: {outcome.reason.words}"
            login.step(f"checker {named.name}", found)
        return outcome

    def _nobody_left(
        self, login: Login, cannot_tell: tuple[Outcome, str] | None, reason: Reason
    ) -> Outcome:
        if cannot_tell is None:
            return model.rejected(reason)
        outcome, login.checker = cannot_tell
        return outcome

    def _run(
        self, login: Login, judging: Coroutine[Any, Any, Outcome], deadline: float
    ) -> Deferred[Outcome]:
        try:
            # As often, nobody has to be waited for, and then nothing that waits is needed.
            awaited = judging.send(None)
        except StopIteration as end:
            self._settle(login, end.value)
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

    def _give_up(self, login: Login, reason: Reason) -> None:
        self._settle(login, model.unavailable(reason))
        assert login.work is not None  # _run has set it
        login.work.cancel()

    def _judged(self, result: Outcome | Failure, login: Login) -> None:
        late = login.answer.called
        if isinstance(result, Failure):
            if late and result.check(CancelledError):
                return
            log.failure("a login failed", failure=result)
            result = model.unavailable(Reason.INTERNAL_ERROR)
        if not late:
            self._settle(login, result)

    def _settle(self, login: Login, outcome: Outcome) -> None:
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
                )
            except Exception:  # noqa: BLE001 - the login is over; its line is what is lost
                log.failure("a login has no line")
        if not self._under_way:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)


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


def impossible(password: Secret) -> Reason | None:
    """Why this can be nobody's password. A directory takes a bind with an empty one for an
    anonymous one, and says yes (RFC 4513, 5.1.2); such a password reaches no checker."""
    octets = password.reveal()
    if not octets.strip() or (not octets.isascii() and _leaves_nothing(octets)):
        return Reason.PASSWORD_BLANK
    return Reason.PASSWORD_HAS_NUL if b"\0" in octets else None


def unusable(password: Secret) -> Reason | None:
    """Why this can be nobody's new password. Prosody sets the octets that were typed and logs in
    with their SASLprep form, which not all have; ejabberd logs in with what was typed. Where the
    two differ, the user would be told that it is done, and locked out."""
    reason = impossible(password)
    if reason is None and not password_hash.is_prepared(password.reveal()):
        return Reason.PASSWORD_UNACCEPTABLE
    return reason


def _leaves_nothing(octets: bytes) -> bool:
    """Whether it is made of blanks and of what SASLprep deletes: a server that prepares passwords
    would see an empty one."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return False
    return all(one.isspace() or stringprep.in_table_b1(one) for one in text)


def _jid(login: Login) -> JID:
    assert login.jid is not None  # _admit has set it
    return login.jid
