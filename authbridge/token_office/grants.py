"""Who asks the token office, what he may have, and what he is told."""

from __future__ import annotations

from dataclasses import dataclass

from authbridge import preparation
from authbridge.domain_names import ANY_DOMAIN
from authbridge.localparts import Localparts
from authbridge.model import JID, Reason
from authbridge.secret import Secret
from authbridge.wire.token_api import LONGEST_TEXT, MOST_USES

TTL = 60.0
"""Seconds; a page is loaded and the client logged in by then."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who asks, and what he may."""

    name: str
    """For the log, and beside the tokens that he has asked for."""
    domains: frozenset[str]
    """Prepared names, or "*"."""
    users: Localparts | None
    """None: all."""
    max_lifetime: float
    """Seconds."""
    max_uses: int | None
    """None: any number."""
    rate: tuple[int, float] | None
    """Tokens in so many seconds; None: as many as he likes."""

    def covers(self, jid: JID) -> bool:
        """Whether he may ask about this user."""
        return (jid.domain in self.domains or ANY_DOMAIN in self.domains) and (
            self.users is None or jid.local in self.users
        )


class Refusal(Exception):
    """What is asked is not done, and would not be tomorrow."""

    def __init__(self, reason: Reason, words: str, retry_after: float = 0.0) -> None:
        """`words`: for who asks; no token is in them. `retry_after`: in seconds, where waiting
        helps."""
        super().__init__(reason.value)
        self.reason = reason
        self.words = words
        self.retry_after = retry_after


def nothing() -> Refusal:
    """There is no such token, or none that the grant covers."""
    return Refusal(Reason.TOKEN_UNKNOWN, "there is no such token")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The temporary token that somebody asks for."""

    jid: str
    ttl: float | None = None
    """Seconds; None: `TTL`, or what the grant has, if that is less."""
    uses: int | None = 1
    """None: any number."""
    device: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A temporary token, shown once."""

    jid: JID
    token: Secret
    id: str
    expires_at: int
    """Seconds since the epoch."""
    uses: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A temporary token that can still be used; the times in seconds since the epoch."""

    id: str
    issued_at: int
    expires_at: int
    uses_left: int | None
    last_used_at: int | None
    client: str
    device: str
    note: str


@dataclass(frozen=True, slots=True)
class Introspection:
    """What an active token is; the times in seconds since the epoch."""

    kind: str
    jid: JID
    id: str | None
    """A temporary token's id, or a signed one's `jti`."""
    issuer: str | None
    """Of a signed token."""
    client: str | None
    """Who has asked for a temporary one."""
    issued_at: int | None
    expires_at: int


def check_wanted(grant: Grant, wanted: Wanted, ttl: float) -> None:
    """Whether somebody may have such a token. Raises Refusal."""
    for name, text in (("device", wanted.device), ("note", wanted.note)):
        if len(text) > LONGEST_TEXT or not text.isprintable():
            words = f"`{name}` is not up to {LONGEST_TEXT} printable characters"
            raise Refusal(Reason.REQUEST_MALFORMED, words)
    if not ttl >= 1:
        raise Refusal(Reason.REQUEST_MALFORMED, "`ttl` is less than a second")
    if ttl > grant.max_lifetime:
        words = f"`ttl` is more than {grant.name} may ask for: {grant.max_lifetime:g} seconds"
        raise Refusal(Reason.CALLER_NOT_ALLOWED, words)
    if wanted.uses is not None and not 1 <= wanted.uses <= MOST_USES:
        raise Refusal(Reason.REQUEST_MALFORMED, f"`uses` is no number from 1 to {MOST_USES}")
    if grant.max_uses is not None and (wanted.uses is None or wanted.uses > grant.max_uses):
        words = f"`uses` is more than {grant.name} may ask for: {grant.max_uses}"
        raise Refusal(Reason.CALLER_NOT_ALLOWED, words)


def prepared(text: str) -> JID | None:
    """The bare JID that a text is; None where it is none."""
    try:
        return preparation.jid(text)
    except (preparation.Unprepared, UnicodeEncodeError):
        return None
