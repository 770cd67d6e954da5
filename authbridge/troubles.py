"""What is wrong with those that we ask, told to the log when it begins, once in a while, and at its
end: which it is, why, and since when."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

QUIET = 60.0
"""Seconds in which the log is told of a trouble once, whatever its words are."""
SETTLED = 5.0
"""Seconds without a trouble after which it is over: what comes and goes is not told each time."""

log = Logger()


class _Trouble:
    """One that has not ended."""

    __slots__ = ("began", "met", "told")

    def __init__(self, now: float) -> None:
        self.began = self.met = now
        self.told = False


class Troubles:
    """Of some of one kind, such as sites, each with a name; there are few."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        """`seconds`: of a clock that nobody sets."""
        self._seconds = seconds
        self._now: dict[str, _Trouble] = {}
        self._said: dict[str, float] = {}
        """When each was last told of; what comes again soon is not told again."""

    def met(self, name: str, words: str) -> None:
        """It is in trouble. `words`: why, fit for the log."""
        now = self._seconds()
        trouble = self._now.setdefault(name, _Trouble(now))
        trouble.met = now
        if now - self._said.get(name, now - QUIET) < QUIET:
            return
        trouble.told, self._said[name] = True, now
        since = f" (since {now - trouble.began:.0f} s)" if now > trouble.began else ""
        log.warn("{name}: {words}{since}", name=name, words=words, since=since)

    def over(self, name: str) -> None:
        """It has done what it was asked."""
        trouble = self._now.get(name)
        if trouble is None or (now := self._seconds()) - trouble.met < SETTLED:
            return
        del self._now[name]
        if trouble.told:
            seconds = now - trouble.began
            log.info("{name}: well again, after {seconds:.0f} s", name=name, seconds=seconds)
