"""Checkers whose credentials say whose they are, and houses of several domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from authbridge import model
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain
from authbridge.log import LoginLog, LogSettings
from authbridge.model import JID, Checker, Identity, Outcome
from authbridge.secret import Secret
from tests.doubles import House, ScriptedChecker, named_checker

TOKEN = "a-token-of-alice"
ENDS = 1_800_000_040.5
"""Seconds since the epoch."""


def whose(domain: str) -> Identity:
    """A token that names its user alone."""
    return Identity(JID("alice", domain), ENDS)


class Knowing(ScriptedChecker):
    """Knows whose a token is as it is told to, and judges it as it is told to."""

    def __init__(
        self,
        identity: Identity | Outcome | Exception | Callable[[str], Identity | Outcome] = whose,
        answer: Outcome = model.TOKEN_VALID,
        mine: bytes = TOKEN.encode(),
    ) -> None:
        """`mine`: how its tokens begin."""
        super().__init__(answer)
        self.identity = identity
        self._mine = mine

    def recognises(self, password: Secret) -> bool:
        return password.reveal().startswith(self._mine)

    async def identify(self, password: Secret, domain: str) -> Identity | Outcome:
        self.asked.append(("identify", domain, password.reveal()))
        if isinstance(self.identity, Exception):
            raise self.identity
        if callable(self.identity):
            return self.identity(domain)
        return self.identity


class ManyDomains(House):
    """One with these checkers for these domains."""

    def __init__(self, **domains: Checker | tuple[Checker, ...]) -> None:
        """`any` is that of all others; "_" stands for a dot."""
        super().__init__()
        rules: dict[str, Domain] = {}
        for number, (name, checkers) in enumerate(domains.items()):
            some = checkers if isinstance(checkers, tuple) else (checkers,)
            named = tuple(named_checker(f"c{number}-{n}", one) for n, one in enumerate(some))
            rules["*" if name == "any" else name.replace("_", ".")] = Domain(named, named)
        self.domains: Mapping[str, Domain] = rules
        log = LoginLog(LogSettings(), self.lines.append, lambda: 1_700_000_000.25)
        self.authenticator = Authenticator(rules, log, self.clock, "boot")
