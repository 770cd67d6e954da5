"""The authorities that are asked, one file a kind, found by name.

A kind is a module of this room, or, where the name has a dot in it, anybody's module. It offers

    read_settings(table: Table) -> settings      its own table of the configuration
    make_checker(settings, surroundings: Surroundings) -> Checker
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from authbridge.issuers.issuers import Issuers
from authbridge.model import JID, Checker, Outcome, Trace
from authbridge.settings import Table, did_you_mean
from authbridge.stores.ledger import Ledger
from authbridge.tokens.shapes import Shape
from authbridge.workers import Workers

AT_ONCE = 64
"""Who may ask a checker at once, where its kind says nothing: enough to keep one that waits for a
network busy, and few enough that who is let in next is soon asked."""
MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the daemon lends its checkers."""

    reactor: Any
    """For time and connections."""
    workers: Workers
    wall: Callable[[], float]
    """Seconds since the epoch, for dates in a directory."""
    chance: Callable[[], float]
    """Numbers from 0 to 1, so that many daemons do not do the same at once."""
    seconds: Callable[[], float] = time.monotonic
    """Of a clock that nobody sets, as the reactor's may be."""
    random: Callable[[int], bytes] = os.urandom
    """So many octets that nobody can guess."""
    shared: dict[Any, Any] = field(default_factory=dict)
    """What checkers have in common, by a key of their own."""
    at_start: list[Callable[[], object]] = field(default_factory=list)
    """What is called when the daemon begins its work."""
    at_stop: list[Callable[[], object]] = field(default_factory=list)
    """What is called when the daemon ends."""
    issuers: Issuers = field(default_factory=lambda: Issuers((), float))
    """Who signs tokens; nobody."""
    never_token: Callable[[JID], bool] = lambda _jid: True
    """Whom no token is accepted for; anybody."""
    ledger: Ledger | None = None
    """Where tokens are kept; None: nothing has use for it, or it is a file, and this is not the
    daemon."""


@runtime_checkable
class Probed(Protocol):
    """A checker that can say whether what it depends on answers, for `check-config --probe`."""

    async def probe(self, trace: Trace) -> Outcome:
        """Try it; the steps tell what was found. ACCEPTED where all is well."""
        ...


class Kind(Protocol):
    """The module of a kind of checker."""

    def read_settings(self, table: Table) -> Any:
        """The kind's settings. Mistakes go to the table; the table is closed."""
        ...

    def make_checker(self, settings: Any, surroundings: Surroundings) -> Checker:
        """A checker with these settings."""
        ...


@dataclass(frozen=True, slots=True)
class CheckerSettings:
    """[checkers.NAME]: its kind's module, and that kind's own settings."""

    kind: Kind
    settings: Any

    @classmethod
    def read(cls, table: Table) -> CheckerSettings | None:
        """Read the table, and close it; None where its kind is not known."""
        name = table.text("kind")
        module = f"{__name__}.{name}"
        if "." in name:
            module = name
        elif name not in (known := kinds()):
            if "kind" in table:
                table.wrong("kind", f'there is no kind "{name}"{did_you_mean(name, known)}')
            return None
        try:
            kind: Any = importlib.import_module(module)
        except ImportError as error:
            table.wrong("kind", f"{module} cannot be imported: {error}")
            return None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is somebody else's code
            table.wrong("kind", f"{module} cannot be imported: {type(error).__name__}")
            return None
        if not (hasattr(kind, "read_settings") and hasattr(kind, "make_checker")):
            table.wrong("kind", f"{module} is no kind of checker: see authbridge.checkers")
            return None
        return cls(kind, kind.read_settings(table))

    @property
    def knows_users(self) -> bool:
        """Whether its checker can tell who exists."""
        return getattr(self.settings, "knows_users", True)

    @property
    def recognises(self) -> bool:
        """Whether it recognises every token (`model.Recognising`), whoever can judge it."""
        return getattr(self.settings, "recognises", False)

    @property
    def own_tokens(self) -> bool:
        """Whether it has tokens of its own, beside those that `recognises` is about."""
        return getattr(self.settings, "own_tokens", False)

    @property
    def own_issuer(self) -> str:
        """The `iss` of JSON Web Tokens that are its own; empty where there are none."""
        return getattr(self.settings, "own_issuer", "")

    @property
    def shape(self) -> Shape | None:
        """What its own tokens look like that are no JSON Web Tokens, where that is known."""
        return getattr(self.settings, "shape", None)

    @property
    def takes_all(self) -> bool:
        """Whether it takes every password for a token of its own."""
        return getattr(self.settings, "takes_all", False)

    @property
    def patience(self) -> float:
        """Seconds for which it may wait before it asks another source; 0 where there is none."""
        return getattr(self.settings, "patience", 0.0)

    @property
    def registers(self) -> bool:
        """Whether its checker makes users."""
        return getattr(self.settings, "registers", False)

    @property
    def at_once(self) -> int:
        """How many may ask it at once; the others wait by turns (`turns`)."""
        return getattr(self.settings, "at_once", AT_ONCE)

    @property
    def most_waiting(self) -> int:
        """How many of each front end may wait for that."""
        return getattr(self.settings, "most_waiting", MOST_WAITING)

    def make(self, surroundings: Surroundings) -> Checker:
        """The checker."""
        return self.kind.make_checker(self.settings, surroundings)


def kinds() -> list[str]:
    """The kinds that authbridge brings."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
