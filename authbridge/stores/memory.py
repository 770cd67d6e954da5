"""What is kept as long as the process lives: the contract in its plainest form, with which the
others are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from authbridge.model import Reason
from authbridge.stores import operations as ops
from authbridge.stores.operations import KEPT, MOST_LIVE, Operation, Record, StoreFault
from authbridge.tokens.temporary import id_of

SWEPT = 500
"""Of a kind, that one sweep forgets at most."""

_NEVER = (-math.inf, -math.inf, -math.inf)

K = TypeVar("K")


class MemoryStore:
    """Dictionaries. It forgets nothing when it is closed."""

    warnings: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.name = "memory"
        self.mark = 0.0
        self._horizon = -math.inf
        self._tokens: dict[str, Record] = {}
        self._revoked: dict[str, float] = {}  # when
        self._withdrawn: dict[bytes, tuple[float, float, float]] = {}  # before, ends, until
        self._claimed: dict[bytes, float] = {}  # until
        self._seen: set[str] = set()
        self._does: Mapping[type, Callable[[Any, float], Any]] = {
            ops.Issue: self._issue,
            ops.Consume: self._consume,
            ops.Peek: self._peek,
            ops.Find: self._find,
            ops.List: self._list,
            ops.Revoke: self._revoke,
            ops.RevokeAll: self._revoke_all,
            ops.Withdraw: self._withdraw,
            ops.Admit: self._admit,
            ops.Claim: self._claim,
            ops.NoteSeen: self._note_seen,
            ops.Seen: self._has_seen,
        }

    def open(self) -> None:
        """See `operations.Store`."""

    def close(self) -> None:
        """See `operations.Store`."""

    def run(self, operations: Sequence[Operation[Any]], now: float) -> list[Any]:
        """See `operations.Store`."""
        self.mark = max(self.mark, now)
        # Nothing else can fail, and this does so before anything is done.
        new = [id_of(one.digest) for one in operations if isinstance(one, ops.Issue)]
        if len(set(new)) < len(new) or not self._tokens.keys().isdisjoint(new):
            raise StoreFault("a token of this id is there already")
        return [self._does[type(one)](one, self.mark) for one in operations]

    def sweep(self, now: float, wall: float) -> bool:
        """See `operations.Store`."""
        self.mark = now = max(self.mark, now)
        tokens = self._tokens
        expired = _some(key for key, one in tokens.items() if one.expires <= now - KEPT)
        revoked = _some(key for key, moment in self._revoked.items() if moment <= now - KEPT)
        over = wall - KEPT
        withdrawn = _some(one for one, (*_, until) in self._withdrawn.items() if until <= over)
        claimed = _some(one for one, until in self._claimed.items() if until <= over)
        for key in {*expired, *revoked}:
            del tokens[key]
            self._revoked.pop(key, None)
        for subject in withdrawn:
            self._horizon = max(self._horizon, self._withdrawn.pop(subject)[-1])
        for once in claimed:
            self._horizon = max(self._horizon, self._claimed.pop(once))
        return SWEPT in (len(expired), len(revoked), len(withdrawn), len(claimed))

    def _issue(self, asked: ops.Issue, now: float) -> Record | None:
        if len(self._usable(asked.jid, now)) >= MOST_LIVE:
            return None
        record = asked.record(now)
        self._tokens[id_of(asked.digest)] = record
        return record

    def _consume(self, asked: ops.Consume, now: float) -> Reason:
        reason = self._peek(asked, now)
        if reason is Reason.TOKEN_VALID:
            key = id_of(asked.digest)
            self._tokens[key] = self._tokens[key].used(now)
        return reason

    def _peek(self, asked: ops.Consume | ops.Peek, now: float) -> Reason:
        record = self._tokens.get(id_of(asked.digest))
        if record is None or record.digest != asked.digest:
            return Reason.TOKEN_UNKNOWN
        return record.judge(asked.jid, now)

    def _find(self, asked: ops.Find, _now: float) -> Record | None:
        return self._tokens.get(asked.id)

    def _list(self, asked: ops.List, now: float) -> tuple[Record, ...]:
        usable = (self._tokens[key] for key in self._usable(asked.jid, now))
        return tuple(sorted(usable, key=lambda one: (one.issued, one.digest)))

    def _revoke(self, asked: ops.Revoke, now: float) -> bool:
        record = self._tokens.get(asked.id)
        if record is None or record.judge(record.jid, now) is not Reason.TOKEN_VALID:
            return False
        self._tokens[asked.id] = replace(record, revoked=True)
        self._revoked[asked.id] = now
        return True

    def _revoke_all(self, asked: ops.RevokeAll, now: float) -> int:
        usable = self._usable(asked.jid, now)
        for key in usable:
            self._revoke(ops.Revoke(key), now)
        return len(usable)

    def _usable(self, jid: str, now: float) -> list[str]:
        tokens = self._tokens.items()
        return [key for key, one in tokens if one.judge(jid, now) is Reason.TOKEN_VALID]

    def _withdraw(self, asked: ops.Withdraw, _now: float) -> None:
        new = (asked.before, asked.ends, asked.until)
        before, ends, until = map(max, new, self._withdrawn.get(asked.subject, new))
        self._withdrawn[asked.subject] = (before, ends, until)

    def _admit(self, asked: ops.Admit, _now: float) -> Reason:
        if asked.until <= self._horizon:
            return Reason.TOKEN_EXPIRED
        if any(self._is_withdrawn(one, asked) for one in asked.subjects):
            return Reason.TOKEN_REVOKED
        if asked.once in self._claimed:
            return Reason.TOKEN_USED
        return Reason.TOKEN_VALID

    def _is_withdrawn(self, subject: bytes, asked: ops.Admit) -> bool:
        before, ends, _ = self._withdrawn.get(subject, _NEVER)
        return ends >= asked.expires if asked.issued is None else before > asked.issued

    def _claim(self, asked: ops.Claim, now: float) -> Reason:
        reason = self._admit(asked, now)
        if reason is Reason.TOKEN_VALID and asked.once is not None:
            self._claimed[asked.once] = asked.until
        return reason

    def _note_seen(self, asked: ops.NoteSeen, now: float) -> bool:
        new = not self._has_seen(ops.Seen(asked.jid), now)
        self._seen.add(asked.jid)
        return new

    def _has_seen(self, asked: ops.Seen, _now: float) -> bool:
        return asked.jid in self._seen


def _some(over: Iterable[K]) -> list[K]:
    return list(islice(over, SWEPT))
