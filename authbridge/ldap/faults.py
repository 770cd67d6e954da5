"""What keeps a directory from answering: values that travel as exceptions, never a verdict."""

from __future__ import annotations

from authbridge.model import Reason


class Fault(Exception):
    """Cannot tell, and why: a reason for the log, and words for an administrator. No secret is
    in them."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words
