"""What a site is being asked about its sessions, and what it has answered just now.

Who asks about a session while the site is being asked about it waits for the same answer; who asks
a moment later gets that answer again. The moment is counted from when the question was sent: what
has happened at the site since then, such as a logout, the answer may not know of.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from authbridge.model import Reason
from authbridge.sessions.shown import CannotTell

MOST_ASKED = 64 + 512
"""Questions at once: those that a site is asked, and those that wait for a connection to it."""
MOST_WAITING = 64
"""Who may wait for one answer. A browser has no more tabs that load at once."""
MOST_NEW = MOST_ASKED // 2
"""Of them, those about sessions that the site has not named a user of lately: whoever sends made-up
ones must not keep the others out."""
MOST_KEPT = 10_000
"""Answers, and sessions that are known."""

KNOWN, NEW = "known", "new"
"""The two lines in which questions wait for a connection to the site."""

_KEY, _MARK = 32, 16
"""Octets."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a site says of a session."""

    user: str | None
    """None: nobody who could chat."""
    reason: Reason = Reason.SESSION_UNKNOWN
    """Why he is nobody."""


class _Question:
    """One that is being asked."""

    __slots__ = ("asking", "line", "mark", "sent", "waiting")

    asking: Deferred[None]

    def __init__(self, mark: bytes, line: str, sent: float) -> None:
        self.mark = mark
        self.line = line
        self.sent = sent
        self.waiting: dict[Deferred[Answer], None] = {}


class Questions:
    """All questions to one site, and its answers. Of evidence nothing but a mark is kept, which
    says nothing to who has not the key; and the key ends with the process."""

    def __init__(
        self,
        ask: Callable[[bytes, str], Awaitable[Answer]],
        seconds: Callable[[], float],
        random: Callable[[int], bytes],
        *,
        keep: float,
    ) -> None:
        """`ask`, of evidence and in a line, ends in time, raises CannotTell and is safe to cancel.
        `seconds`: of a clock that nobody sets. `random` gives so many octets. `keep`: seconds for
        which an answer counts; with 0 each question is asked for itself."""
        self._ask = ask
        self._seconds = seconds
        self._key = random(_KEY)
        self._keep = keep
        self._latest: dict[bytes, _Question] = {}
        """Of each session, the question that may be joined."""
        self._all: set[_Question] = set()
        self._kept: dict[bytes, tuple[float, Answer]] = {}
        """When the question was sent, and the answer; the oldest first, or nearly so."""
        self._known: OrderedDict[bytes, None] = OrderedDict()
        """Sessions that the site has named a user of; who came last is last."""
        self._new = 0
        """Of the questions, those that are about others."""
        self._stopped = False

    async def answer(self, evidence: bytes) -> Answer:
        """What the site says of this session. Raises CannotTell: it did not, or too many ask."""
        if self._stopped:
            raise _stopping()
        mark = hashlib.blake2b(evidence, digest_size=_MARK, key=self._key).digest()
        sent, kept = self._kept.get(mark, (0.0, None))
        if kept is not None and self._counts(sent):
            return kept
        try:
            return await self._join(mark, evidence)
        except CannotTell as fault:  # all who wait have this one: each raises one of his own
            raise CannotTell(fault.reason, fault.words) from None

    def stop(self) -> None:
        """Ask nothing any more; who waits gets CannotTell."""
        self._stopped = True
        self._kept.clear()
        for question in list(self._all):
            self._end(question, Failure(_stopping()))
            question.asking.cancel()

    def _counts(self, sent: float) -> bool:
        return 0 <= self._seconds() - sent < self._keep

    def _join(self, mark: bytes, evidence: bytes) -> Deferred[Answer]:
        """Fires with the answer; is to be cancelled by who does not wait for it any more."""
        question = self._latest.get(mark)
        if question is None or not self._counts(question.sent):
            return self._begin(mark, evidence)
        return self._wait(question)

    def _begin(self, mark: bytes, evidence: bytes) -> Deferred[Answer]:
        line = KNOWN if mark in self._known else NEW
        if len(self._all) >= MOST_ASKED or (line == NEW and self._new >= MOST_NEW):
            raise CannotTell(Reason.OVERLOADED, "too many questions to the site wait already")
        question = self._latest[mark] = _Question(mark, line, self._seconds())
        self._all.add(question)
        self._new += line == NEW
        turn = self._wait(question)
        question.asking = Deferred.fromCoroutine(self._run(question, evidence))
        return turn

    async def _run(self, question: _Question, evidence: bytes) -> None:
        try:
            answer = await self._ask(evidence, question.line)
        except Exception:  # noqa: BLE001 - whatever it is, who waits has to hear of it
            # In no variable: what is raised knows this frame, and the two would keep the evidence.
            self._end(question, Failure())
        else:
            self._remember(question, answer)
            self._end(question, answer)

    def _wait(self, question: _Question) -> Deferred[Answer]:
        if len(question.waiting) >= MOST_WAITING:
            raise CannotTell(
                Reason.OVERLOADED, f"{MOST_WAITING} requests wait for one session's user already"
            )
        turn: Deferred[Answer] = Deferred(lambda turn: self._leave(question, turn))
        question.waiting[turn] = None
        return turn

    def _leave(self, question: _Question, turn: Deferred[Answer]) -> None:
        """Somebody waits no more; the last one ends the question."""
        question.waiting.pop(turn, None)
        if question in self._all and not question.waiting:
            self._end(question, None)
            question.asking.cancel()

    def _end(self, question: _Question, result: Answer | Failure | None) -> None:
        """It is not asked any more; tell who waits. None: nobody does."""
        if question in self._all:
            self._all.discard(question)
            self._new -= question.line == NEW
        if self._latest.get(question.mark) is question:
            del self._latest[question.mark]
        waiting, question.waiting = question.waiting, {}
        for turn in waiting:
            if not turn.called:  # else he was cancelled by one who has just been told
                turn.callback(result)  # type: ignore[arg-type]  # a Failure is taken as one

    def _remember(self, question: _Question, answer: Answer) -> None:
        """Keep an answer as long as it counts, and no more of them than there is room for."""
        self._known.pop(question.mark, None)
        if answer.user is not None:
            self._known[question.mark] = None
            if len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        if self._stopped or not self._counts(question.sent):
            return
        self._kept.pop(question.mark, None)
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) < MOST_KEPT and self._counts(self._kept[oldest][0]):
                break
            del self._kept[oldest]
        self._kept[question.mark] = (question.sent, answer)


def _stopping() -> CannotTell:
    return CannotTell(Reason.STOPPING, "the daemon was stopped before the site had answered")
