"""What keeps a database from telling."""

from __future__ import annotations

from authbridge.model import Reason

LONGEST = 300
"""Characters of what a database says that are repeated."""


class Fault(Exception):
    """It cannot tell; never the fault of who logs in."""

    def __init__(
        self, reason: Reason, words: str, *, gone: bool = False, answered: bool = False
    ) -> None:
        """`words`: fit for the log. `gone`: there is no connection, for nobody. `answered`: it is
        what the database says, which is there for everybody. Neither: nobody knows."""
        self.reason = reason
        self.gone = gone
        self.answered = answered
        self.words = words
        super().__init__(words)


def unreachable(words: str) -> Fault:
    """There is no connection."""
    return Fault(Reason.DATABASE_UNREACHABLE, words, gone=True)


def silent(seconds: float, *, gone: bool) -> Fault:
    """There is no answer in time, and we wait no longer."""
    return Fault(Reason.DATABASE_UNREACHABLE, _no_answer(seconds), gone=gone)


def too_late(seconds: float) -> Fault:
    """There is no answer in time, as the database says itself."""
    words = f"{_no_answer(seconds)} (it has ended the query itself)"
    return Fault(Reason.DATABASE_UNREACHABLE, words, answered=True)


def _no_answer(seconds: float) -> str:
    return f"gave no answer within {seconds:g} s"


def failed(words: str) -> Fault:
    """There is an answer, and it is none."""
    return Fault(Reason.DATABASE_FAILED, words, answered=True)


def said(error: BaseException) -> str:
    """What a database's library says, in one line fit for the log."""
    arguments = error.args
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    if primary:  # psycopg; its words repeat a part of the query as well
        arguments = (primary,)
    # PyMySQL: a number and words. Others: words, in lines.
    text = str(arguments[1] if len(arguments) > 1 else arguments[0] if arguments else "")
    line = " ".join(text.split())
    line = "".join(one if one.isprintable() else " " for one in line)[:LONGEST]
    return line or type(error).__name__
