"""Who is asked in a domain, in which order, and what is shown to whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from authbridge import model
from authbridge.logins import Login
from authbridge.model import JID, Checker, Outcome, Reason, Recognising, Remembering, Trace
from authbridge.secret import Secret
from authbridge.tokens.forms import recognise
from authbridge.turns import LineFull, Turns

T = TypeVar("T")

log = Logger()


class NamedChecker:
    """A checker under its name in the configuration, and the turns of those who ask it."""

    __slots__ = (
        "checker", "every_form", "lookups", "name", "recognising", "remembered", "turns",
    )  # fmt: skip

    def __init__(self, name: str, checker: Checker, turns: Turns, lookups: Turns) -> None:
        """`lookups` are the turns of who asks for a user alone: a message to somebody who is away
        must not wait behind the passwords of everybody who logs in."""
        self.name = name
        self.checker = checker
        self.turns = turns
        self.lookups = lookups
        self.recognising = isinstance(checker, Recognising)
        self.every_form: bool = self.recognising and getattr(checker, "every_form", False)
        """Whether it recognises whatever looks like a token (`tokens.forms`)."""
        self.remembered: Callable[[JID], Outcome | None] = (
            checker.remembered if isinstance(checker, Remembering) else _nothing
        )

    def keeps(self, password: Secret) -> bool:
        """Whether no other checker may see this password. A checker that cannot tell keeps it."""
        if not self.recognising:
            return False
        try:
            return self.checker.recognises(password)  # type: ignore[attr-defined, no-any-return]
        except Exception:  # noqa: BLE001 - a fault of one checker must not end the others
            log.failure("checker {name} raised", name=self.name)
            return True

    async def ask(
        self, login: Login, turns: Turns, ask: Callable[..., Awaitable[T]], *about: object
    ) -> T | Outcome:
        """What the checker says, when it is this front end's turn there."""
        login.checker = self.name
        outcome: T | Outcome
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
            log.failure("checker {name} raised", name=self.name)
            outcome = model.unavailable(Reason.INTERNAL_ERROR)
        if login.trace is not None and isinstance(outcome, Outcome):
            found = f"{outcome.verdict.value}: {outcome.reason.words}"
            login.step(f"checker {self.name}", found)
        return outcome

    def look_up(self, login: Login, jid: JID, trace: Trace | None) -> Coroutine[Any, Any, Outcome]:
        """Whether the checker has the user."""
        return self.ask(login, self.lookups, self.checker.user_exists, jid, trace)


def _nothing(_jid: JID) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Domain:
    """Who is asked for the users of one domain."""

    check: tuple[NamedChecker, ...]
    """Asked about passwords, in this order."""
    exists: tuple[NamedChecker, ...] | bool
    """Asked about users; True: every user exists, False: none does."""
    seen: Callable[[JID], None] | None = None
    """Is told of each user who has logged in."""
    choosy: bool = field(init=False)
    """Whether not all are asked about every password: somebody has credentials of his own, beside a
    first who recognises all that there are."""

    def __post_init__(self) -> None:
        others = self.check[1:] if self.check and self.check[0].every_form else self.check
        object.__setattr__(self, "choosy", any(named.recognising for named in others))

    def asked(self, password: Secret) -> tuple[NamedChecker, ...]:
        """Who is asked about this password. Of those who recognise it the last alone: a checker of
        tokens, which stands first, recognises every token, and an OAuth provider its own. A token
        that nobody recognises is somebody else's, and no directory is to learn it."""
        if not self.choosy:
            return self.check
        for named in reversed(self.check):
            if named.keeps(password):
                return (named,)
        return () if recognise(password.reveal(), ()) is not None else self.check

    def is_token(self, password: Secret) -> bool:
        """Whether a login with it would be one with a token, good or not."""
        if self.asked(password) is not self.check:
            return True
        return any(named.keeps(password) for named in self.check)
