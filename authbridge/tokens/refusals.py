"""Why a token is refused: a ladder, of which each rung has found out more than the one before."""

from __future__ import annotations

from authbridge.model import Reason


class Refused(Exception):
    """This token is not accepted. `words` are for `explain`: what was found, never the token."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.words = words
        self.signer = ""
        """Who has signed it all the same, where that is known."""


class Malformed(Refused):
    """It is not in the one form that its kind has; nothing is known of it."""

    def __init__(self, words: str) -> None:
        super().__init__(Reason.TOKEN_MALFORMED, words)


class Untrusted(Refused):
    """It is in form, and no key that counts has signed it: what it says is anybody's word."""


class Unfit(Refused):
    """It does not hold here, now, or for this user, whoever has signed it."""


def quoted(value: object, most: int = 80) -> str:
    """Something out of a token, for people: printable, and not longer than `most`."""
    text = ascii(value)
    return text if len(text) <= most else text[: most - 1] + "…"
