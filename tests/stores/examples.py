"""Tokens, and short ways to ask for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from authbridge.stores.operations import Consume, Issue, Operation, Store
from authbridge.tokens.temporary import id_of

T0 = 1_800_000_000.0
ALICE = "alice@example.org"
BOB = "bob@example.org"

NewStore = Callable[[], Store]
"""Each call gives a store that is not open, and whoever has closed one finds in the next what was
kept in it."""


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def id_(name: str) -> str:
    return id_of(digest(name))


def issue(
    name: str, jid: str = ALICE, ttl: float = 60.0, uses: int | None = 1, client: str = "website"
) -> Issue:
    return Issue(digest(name), jid, ttl, uses, client)


def consume(name: str, jid: str = ALICE) -> Consume:
    return Consume(digest(name), jid)


def ask(store: Store, operation: Operation[Any], now: float = T0) -> Any:
    (found,) = store.run([operation], now)
    return found


def sweep(store: Store, now: float) -> int:
    """All that is over; how often that had to be asked for."""
    count = 1
    while store.sweep(now, now):
        count += 1
        assert count < 1000
    return count
