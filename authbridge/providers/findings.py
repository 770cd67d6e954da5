"""What is found out about a token: whose it is, that it is no good, or that it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

from authbridge import model
from authbridge.model import Outcome, Reason
from authbridge.tokens.refusals import Refused


@dataclass(frozen=True, slots=True)
class Found:
    """A token that is good, as far as it can be told without knowing who shows it."""

    user: str
    """The provider's name for its user."""
    expires: float | None
    """Seconds since the epoch; None: the provider does not say."""
    signer: str
    """Who says so, for the log."""


@dataclass(frozen=True, slots=True)
class No:
    """Nothing that lets anybody in."""

    outcome: Outcome
    words: str
    """Why, for `explain` and the log; never the token."""

    @classmethod
    def refused(cls, refused: Refused) -> No:
        """A definite no."""
        return cls(model.rejected(refused.reason, refused.signer), refused.words)

    @classmethod
    def cannot_tell(cls, reason: Reason, words: str) -> No:
        """Nothing is known."""
        return cls(model.unavailable(reason), words)


class ProviderFault(Exception):
    """The provider could not be asked, or did not answer what was asked. `words` hold nothing of
    its answer."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words
