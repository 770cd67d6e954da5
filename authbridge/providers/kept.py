"""What a provider is being asked about tokens, and what it has said just now.

Who shows a token while the provider is being asked about it waits for the same answer, and who
shows it a moment later gets that answer again, if it was a yes. The moment is counted from when the
question was sent: what has happened to the token since then the answer may not know of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from authbridge.providers.findings import Found, No

MOST_KEPT = 10_000
"""Answers."""
_KEY, _MARK = 32, 16
"""Octets."""

Finding = Found | No


class _Question:
    """One that is being asked."""

    __slots__ = ("asking", "mark", "over", "sent", "waiting")

    asking: Deferred[None]

    def __init__(self, mark: bytes, sent: float) -> None:
        self.mark = mark
        self.sent = sent
        self.over = False
        self.waiting: dict[Deferred[Finding], None] = {}


class Kept:
    """All questions to one provider, and its answers. Of a token nothing but a mark is kept, which
    says nothing to who has not the key; and the key ends with the process."""

    def __init__(
        self,
        ask: Callable[[bytes], Awaitable[Finding]],
        seconds: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        *,
        keep: float,
    ) -> None:
        """`ask` ends in time, and is safe to cancel. `seconds`: of a clock that nobody sets;
        `wall`: since the epoch. `random` gives so many octets. `keep`: seconds for which an answer
        counts; with 0 each question is asked for itself."""
        self._ask = ask
        self._seconds = seconds
        self._wall = wall
        self._key = random(_KEY)
        self._keep = keep
        self._latest: dict[bytes, _Question] = {}
        """Of each token, the question that may be joined."""
        self._kept: dict[bytes, tuple[float, Found]] = {}
        """When the question was sent, and the answer; the oldest first, or nearly so."""

    async def answer(self, token: bytes) -> Finding:
        """What the provider says of this token."""
        mark = hashlib.blake2b(token, digest_size=_MARK, key=self._key).digest()
        sent, kept = self._kept.get(mark, (0.0, None))
        if kept is not None:
            if self._counts(sent) and self._lives(kept):
                return kept
            del self._kept[mark]  # for good: with a clock that is set back it would count again
        question = self._latest.get(mark)
        if question is not None and self._counts(question.sent):
            return await self._wait(question)
        question = self._latest[mark] = _Question(mark, self._seconds())
        turn = self._wait(question)
        question.asking = Deferred.fromCoroutine(self._run(question, token))
        return await turn

    def _counts(self, sent: float) -> bool:
        return 0 <= self._seconds() - sent < self._keep

    def _lives(self, found: Found) -> bool:
        return found.expires is None or self._wall() < found.expires

    async def _run(self, question: _Question, token: bytes) -> None:
        try:
            finding = await self._ask(token)
        except Exception:  # noqa: BLE001 - a bug, of which who waits has to hear
            # In no variable: what is raised knows this frame, and the two would keep the token.
            self._end(question, Failure())
        else:
            self._remember(question, finding)
            self._end(question, finding)

    def _wait(self, question: _Question) -> Deferred[Finding]:
        turn: Deferred[Finding] = Deferred(lambda turn: self._leave(question, turn))
        question.waiting[turn] = None
        return turn

    def _leave(self, question: _Question, turn: Deferred[Finding]) -> None:
        """Somebody waits no more; the last one ends the question."""
        question.waiting.pop(turn, None)
        if not question.over and not question.waiting:
            self._close(question)
            question.asking.cancel()

    def _end(self, question: _Question, result: Finding | Failure) -> None:
        """Tell who waits."""
        self._close(question)
        waiting, question.waiting = question.waiting, {}
        for turn in waiting:
            if not turn.called:  # else he was cancelled by one who has just been told
                turn.callback(result)

    def _close(self, question: _Question) -> None:
        """It is not asked any more."""
        question.over = True
        if self._latest.get(question.mark) is question:
            del self._latest[question.mark]

    def _remember(self, question: _Question, finding: Finding) -> None:
        """Keep a yes as long as it counts, and no more of them than there is room for."""
        if not isinstance(finding, Found) or not self._counts(question.sent):
            return
        self._kept.pop(question.mark, None)
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) < MOST_KEPT and self._counts(self._kept[oldest][0]):
                break
            del self._kept[oldest]
        self._kept[question.mark] = (question.sent, finding)
