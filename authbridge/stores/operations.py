"""What is asked of a store, and what a store is.

A store is asked by one thread alone, blocks, and gets operations in batches: each takes effect as a
whole or not at all, in their order, and what a batch has changed is durable when `run` returns.
Times are seconds since the epoch, of a clock that never goes back (`clock`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from authbridge.model import Reason
from authbridge.tokens import temporary

T = TypeVar("T")

KEPT = 3600.0
"""Seconds for which a temporary token that is over is still known, so that a refusal can tell why
it is refused."""


class StoreFault(Exception):
    """A store cannot be used, or could not do what it was asked: nothing of it counts, and in doubt
    it may have been done. The words are for the log; no secret is in them."""

    def __init__(self, words: str, *, lost: bool = False, refused: bool = False) -> None:
        """`lost`: it has to be opened again before anything else is asked of it. `refused`: it is
        there, and must not be used as it is, until somebody mends it."""
        super().__init__(words)
        self.words = words
        self.lost = lost
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Record:
    """A temporary token, as it is kept: everything but the token."""

    digest: bytes
    """SHA-256 of the token, 32 octets; its first 16 are its id (`tokens.temporary.id_of`)."""
    jid: str
    """The prepared bare JID that it is for."""
    issued: float
    expires: float
    """From this moment on it is over."""
    uses: int | None
    """That are left; None: as many as one likes."""
    client: str
    """Who asked for it."""
    device: str = ""
    note: str = ""
    last_used: float | None = None
    revoked: bool = False

    @property
    def id(self) -> str:
        """See `tokens.temporary.id_of`."""
        return temporary.id_of(self.digest)

    def judge(self, jid: str, now: float) -> Reason:
        """What it is good for. The order is part of the contract."""
        if self.jid != jid:
            return Reason.TOKEN_USER_WRONG
        if self.revoked:
            return Reason.TOKEN_REVOKED
        if self.expires <= now:
            return Reason.TOKEN_EXPIRED
        if self.uses is not None and self.uses < 1:
            return Reason.TOKEN_USED
        return Reason.TOKEN_VALID

    def used(self, now: float) -> Record:
        """The same after a use."""
        return replace(self, uses=None if self.uses is None else self.uses - 1, last_used=now)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One thing that is asked, with what comes back as its type."""

    WRITES: ClassVar[bool] = False
    """Whether it may change something."""


@dataclass(frozen=True, slots=True)
class Issue(Operation["Record | None"]):
    """Keep a new token, from now on for `ttl` seconds. None where its user has `MOST_LIVE` tokens
    that can still be used. An id that is there already raises."""

    WRITES: ClassVar[bool] = True
    digest: bytes
    jid: str
    ttl: float
    uses: int | None
    client: str
    device: str = ""
    note: str = ""

    def record(self, now: float) -> Record:
        """What is kept of a token that is issued now."""
        return Record(
            digest=self.digest,
            jid=self.jid,
            issued=now,
            expires=now + self.ttl,
            uses=self.uses,
            client=self.client,
            device=self.device,
            note=self.note,
        )


@dataclass(frozen=True, slots=True)
class Consume(Operation[Reason]):
    """Use a token once: TOKEN_VALID where it was good for this user and is now used, otherwise why
    not (`Record.judge`; TOKEN_UNKNOWN where there is none), and nothing has changed."""

    WRITES: ClassVar[bool] = True
    digest: bytes
    jid: str


@dataclass(frozen=True, slots=True)
class Peek(Operation[Reason]):
    """What `Consume` would answer; nothing changes."""

    digest: bytes
    jid: str


@dataclass(frozen=True, slots=True)
class Find(Operation["Record | None"]):
    """The token of this id, whatever it is good for."""

    id: str


@dataclass(frozen=True, slots=True)
class List(Operation[tuple[Record, ...]]):
    """The tokens of a user that can still be used, the oldest first."""

    jid: str


@dataclass(frozen=True, slots=True)
class Revoke(Operation[bool]):
    """Revoke one token: whether it could still be used."""

    WRITES: ClassVar[bool] = True
    id: str


@dataclass(frozen=True, slots=True)
class RevokeAll(Operation[int]):
    """Revoke all tokens of a user: how many could still be used."""

    WRITES: ClassVar[bool] = True
    jid: str


@dataclass(frozen=True, slots=True)
class Withdraw(Operation[None]):
    """Refuse the signed tokens of this subject (below) that were issued before a moment; of those
    that do not say when they were, all that end up to `ends`. It is remembered until another
    moment. Of two for one subject, the later of each counts."""

    WRITES: ClassVar[bool] = True
    subject: bytes
    before: float
    ends: float
    until: float


@dataclass(frozen=True, slots=True)
class Admit(Operation[Reason]):
    """Whether a signed token may be used: TOKEN_EXPIRED where `until` is not later than the
    horizon, TOKEN_REVOKED where one of its subjects was withdrawn (see `Withdraw`), TOKEN_USED
    where `once` was claimed before, looked at in this order; or TOKEN_VALID. Nothing changes.
    That it has expired by the machine's clock is the asker's to see.

    The horizon is the latest `until` of all claims and subjects that a sweep has forgotten, `KEPT`
    after that moment: whether such a token was used or revoked cannot be told any more, should the
    machine's clock be set back so that it seems to be good. (Were the store's own clock asked, one
    hour in which the machine's was a year ahead would end all signed tokens for that year.)
    """

    subjects: tuple[bytes, ...]
    issued: float | None
    """None: it does not say."""
    expires: float
    until: float
    """A moment after which it is refused by its dates, later than `expires`."""
    once: bytes | None
    """None: it may be used again."""


@dataclass(frozen=True, slots=True)
class Claim(Admit):
    """The same for a token that is used now: in the end, `once` is claimed until `until`."""

    WRITES: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class NoteSeen(Operation[bool]):
    """This user has logged in: whether for the first time."""

    WRITES: ClassVar[bool] = True
    jid: str


@dataclass(frozen=True, slots=True)
class Seen(Operation[bool]):
    """Whether this user has ever logged in."""

    jid: str


def has_written(operation: Operation[Any], result: Any) -> bool:
    """Whether something was surely written down, where this came of it."""
    if isinstance(operation, Withdraw):
        return True
    # A new record, a use, or how many were revoked; of a refusal there is a reason.
    good = result is Reason.TOKEN_VALID or not isinstance(result, Reason)
    return operation.WRITES and good and bool(result)


MOST_LIVE = 1000
"""Tokens of one user that can be used at a time: to list or revoke them all stays cheap, whoever
has them issued."""

EVER = 9e12
"""A moment that is not reached: of a subject that is withdrawn whenever it was issued."""


def subject_of_jti(issuer: str, jti: str) -> bytes:
    """One signed token."""
    return _subject("jti", issuer, jti)


def subject_of_user(issuer: str, jid: str) -> bytes:
    """All that an issuer has signed for a user."""
    return _subject("user", issuer, jid)


def subject_of_issuer(issuer: str) -> bytes:
    """All that an issuer has signed."""
    return _subject("issuer", issuer, "")


def _subject(kind: str, issuer: str, name: str) -> bytes:
    # JSON can spell what is no character, such as half of a surrogate pair.
    parts = (one.encode("utf-8", "surrogatepass") for one in (kind, issuer, name))
    return hashlib.sha256(b"".join(len(one).to_bytes(8, "big") + one for one in parts)).digest()


class Store(Protocol):
    """A store. All methods block, and raise StoreFault alone; an exception of another class is a
    fault of ours, after which the store is opened again."""

    name: str
    """For people: the path or the address, without a password."""
    mark: float
    """The latest moment by any daemon's clock, as of the last `open` or `sweep`."""
    warnings: tuple[str, ...]
    """What should be mended, though it may be used; looked at by `open` and `sweep`."""

    def open(self) -> None:
        """Open it, and look whether it may be used. Once it was open, it is refused until the
        process ends where it is not the same any more: with another one goes which tokens were
        used and revoked."""
        ...

    def run(self, operations: Sequence[Operation[Any]], now: float) -> list[Any]:
        """Do these, and return what came of each. A failure of one is a failure of all, and none
        has happened (where it can be told)."""
        ...

    def sweep(self, now: float, wall: float) -> bool:
        """Forget a bounded number of what is over, so that no login waits for it; whether there is
        more. What has expired by now is expired for good, whatever a clock says later. `wall`: the
        moment by the machine's clock, by which signed tokens end."""
        ...

    def close(self) -> None:
        """Let go of it. Safe to call twice, and when it was never open."""
        ...
