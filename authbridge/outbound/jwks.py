"""Keys that are fetched from a URL, in the background: no login ever waits for it.

What was fetched stays in force while it cannot be fetched anew, up to an age: an outage of the
publisher must not be one of ours, and a key that was withdrawn must not live for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from authbridge.outbound.https import FetchFailed

AGAIN = 5.0
"""Seconds from a fetch that failed to the next one; twice as many each time, up to LONGEST_AGAIN,
and never more than between two fetches that succeed."""
LONGEST_AGAIN = 60.0
ASKED_AGAIN = 10.0
"""Seconds after a fetch in which a key that is not there is no reason for another one: anybody can
ask for a key that there never was."""
SET_BACK = 1.0
"""Seconds; a clock that is set back by more has shifted all that was to come."""

T = TypeVar("T")

log = Logger()


class KeysByUrl(Generic[T]):
    """The keys behind one URL."""

    def __init__(
        self,
        url: str,
        fetch: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], T],
        *,
        clock: IReactorTime,
        chance: Callable[[], float],
        refresh: float,
        stale: float,
        what: str = "keys",
    ) -> None:
        """`url` is for the log. `fetch` ends in time and raises FetchFailed; `parse` raises
        ValueError, with words that are fit for the log. `chance` gives numbers from 0 to 1, so that
        many daemons do not ask at once. `refresh`: seconds between fetches; `stale`: seconds after
        which keys that could not be fetched anew are not used any more. `what`: what they are, for
        the log."""
        self._url = url
        self._fetch = fetch
        self._parse = parse
        self._clock = clock
        self._chance = chance
        self._refresh = refresh
        self._stale = stale
        self._what = what
        self._running = False
        self._keys: T | None = None
        self.fetched: float | None = None
        """When they were fetched last, in seconds of a clock that does not go back; None where they
        never were."""
        self._over: float | None = None  # when the last fetch was, good or bad
        self._timer: IDelayedCall | None = None
        self._number = 0  # of the fetch that counts
        self._under_way = False
        self._fetching: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._failures = 0  # in a row
        self._words = ""  # why the last fetch failed; or ""
        self._since = 0.0  # when the first of a row did
        self._said = ""  # in the log
        self._seen = clock.seconds()  # what the clock said last
        self._lost = 0.0  # seconds that it has been set back
        self._shifted = False  # whether it was, with all that is to come

    def start(self) -> None:
        """Fetch them now, and then on and on."""
        if not self._running:
            self._running = True
            self._begin()

    def stop(self) -> None:
        """Fetch nothing any more; a fetch that is under way is cancelled."""
        self._running = False
        self._leave()
        self._wake()

    def current(self) -> T | None:
        """The keys; None where none were fetched yet, or none for too long."""
        now = self._look()
        if self.fetched is None or now - self.fetched > self._stale:
            return None
        return self._keys

    def ask_again(self) -> bool:
        """Somebody has asked for a key that is not there. Fetch them, unless that was done, or
        tried, a moment ago. Whether a fetch is under way, or was begun: then it cannot be told
        whether there is such a key, and "no" would be said too early."""
        now = self._look()
        if self._under_way:
            return True
        if not self._running or (self._over is not None and now - self._over < ASKED_AGAIN):
            return False
        self._begin()
        return True

    def ready(self) -> Deferred[None]:
        """Fires when the fetch that is under way is over, good or bad; at once where none is."""
        turn: Deferred[None] = Deferred()
        self._waiting.append(turn)
        if not self._under_way:
            self._wake()
        return turn

    @property
    def trouble(self) -> str:
        """Why the last fetch failed, and for how long fetches have been failing; or empty."""
        if not self._words:
            return ""
        return f"{self._words}, for {self._now() - self._since:.0f} s now"

    def _begin(self) -> None:
        self._leave()
        self._under_way = True
        self._fetching = Deferred.fromCoroutine(self._fetch_once(self._number))

    def _leave(self) -> None:
        """Have no timer and no fetch under way."""
        self._number += 1
        self._under_way = self._shifted = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            fetching.cancel()

    async def _fetch_once(self, number: int) -> None:
        trouble, keys = "", None
        try:
            keys = self._read(await self._fetch())
        except FetchFailed as error:
            trouble = str(error)
        except Exception:  # noqa: BLE001 - a bug, and no reason never to fetch again
            if number == self._number:  # else it was cancelled
                log.failure("fetching {url}", url=self._url)
            trouble = "the fetch has failed with an error of its own, which is in the log"
        if number != self._number:
            return
        self._over = now = self._now()
        self._under_way = False
        if trouble:
            self._failed(trouble, now)
        else:
            self._succeeded(keys, now)
        self._shifted = False  # the timer is set by the clock as it is now
        self._timer = self._clock.callLater(self._pause(), self._ring)
        self._wake()

    def _read(self, content: bytes) -> T:
        try:
            return self._parse(content)
        except ValueError as error:
            raise FetchFailed(f"what is there cannot be used: {error}") from None

    def _succeeded(self, keys: T | None, now: float) -> None:
        self._keys, self.fetched = keys, now
        if self._words:
            seconds = now - self._since
            log.info("{url}: fetched again, after {s:.0f} s", url=self._url, s=seconds)
        self._words = self._said = ""
        self._failures = 0

    def _failed(self, trouble: str, now: float) -> None:
        if not self._words:
            self._since = now
        self._words = trouble
        self._failures += 1
        if self.fetched is None:
            kept = f"there are no {self._what} yet"
        elif now - self.fetched > self._stale:
            kept = f"the {self._what} fetched before are too old to be used"
        else:
            kept = f"the {self._what} fetched before stay in force"
        said = f"{trouble}; {kept}"
        if said != self._said:
            log.error("{url}: {said}", url=self._url, said=said)
        self._said = said

    def _pause(self) -> float:
        """Seconds to the next fetch."""
        if not self._failures:
            return self._refresh * (0.9 + 0.2 * self._chance())
        seconds = AGAIN * 2.0 ** min(self._failures - 1, 10)
        return min(seconds, LONGEST_AGAIN, self._refresh) * (1.0 - 0.1 * self._chance())

    def _ring(self) -> None:
        self._timer = None
        self._begin()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            turn.callback(None)

    def _now(self) -> float:
        """Seconds that do not go back. Twisted's are those of the machine's clock; where that is
        set back, keys would seem younger than they are."""
        seconds, seen = self._clock.seconds(), self._seen
        self._seen = seconds
        if seconds < seen:
            self._lost += seen - seconds
            self._shifted = self._shifted or seen - seconds > SET_BACK
        return seconds + self._lost

    def _look(self) -> float:
        """`_now`, for who asks for keys: where the clock was set back, the timer and the deadline
        of a fetch come late, if at all, and nobody knows for how long that has been so."""
        now = self._now()
        if self._shifted and self._running:
            self._begin()
        return now
