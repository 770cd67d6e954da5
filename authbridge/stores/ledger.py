"""The way to a store: one thread that asks it, for everybody at once.

Whatever has come while the store was busy is asked in one batch (group commit): the disk, or the
network, is waited for once for all of it. Nobody waits for a store that is known to be down: it is
tried again in the background, and meanwhile everybody is told at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from authbridge.stores.clock import Clock
from authbridge.stores.operations import Operation, Store, StoreFault, has_written

T = TypeVar("T")

MOST_WAITING = 20_000
LARGEST_BATCH = 256
"""Few enough that a batch is soon over, and who is in the next one soon asked."""
SWEEP_EVERY = 5.0
RETRY_EVERY = 1.0
"""Seconds."""
LAST_BATCH = 5.0
"""Seconds that the thread has to end; a store that hangs must not keep the daemon from ending."""

NOT_OURS = "is the running daemon's alone; ask that, without --config"
"""Of a file, in a command."""

log = Logger()


class StoreUnavailable(Exception):
    """It cannot be told, or may or may not have been done."""


class Asked:
    """An operation, and who waits for what comes of it."""

    __slots__ = ("done", "given_up", "operation")

    def __init__(self, operation: Operation[Any]) -> None:
        self.operation = operation
        self.given_up = False
        self.done: Deferred[Any] = Deferred(self._give_up)

    def _give_up(self, _done: Deferred[Any]) -> None:
        self.given_up = True


class Ledger:
    """What the daemon asks, of whatever store there is."""

    def __init__(
        self,
        store: Store,
        reactor: IReactorFromThreads,
        clock: Clock,
        monotonic: Callable[[], float],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """`clock` is the store's alone. `monotonic`: seconds of any clock."""
        self.name = store.name
        self._store = store
        self._reactor = reactor
        self._clock = clock
        self._monotonic = monotonic
        self._queue: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._room = most_waiting
        self._thread: threading.Thread | None = None
        # Of the thread:
        self._is_open = False
        self._sweep_at = monotonic()
        self._warned: tuple[str, ...] = ()
        # Of the reactor:
        self._down = False
        self._trouble = ""
        self._since = 0.0
        self._stopped = False

    @property
    def trouble(self) -> str:
        """What is wrong now; empty where all is well."""
        return self._trouble

    def ahead(self) -> float:
        """Seconds by which the times of records are ahead of the machine's clock."""
        return self._clock.ahead()

    def open(self) -> None:
        """Open the store before the thread starts, once. Raises StoreFault."""
        if self._is_open:
            return
        self._store.open()
        self._is_open = True
        self._clock.not_before(self._store.mark)
        self._look_at_warnings()

    def start(self) -> None:
        """Let the work begin. What cannot be opened now is opened as soon as it can be."""
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Do what has been asked, and close the store."""
        self._stopped = True
        if self._thread is None:
            self._store.close()
            return
        self._queue.put(None)
        self._thread.join(LAST_BATCH)

    def ask(self, operation: Operation[T]) -> Deferred[T]:
        """What comes of it. Fails with StoreUnavailable. Who cancels may have changed something all
        the same, unless the operation had not begun."""
        asked = Asked(operation)
        if self._down or self._stopped or not self._room:
            words = self._trouble or ("is stopping" if self._stopped else "has too much to do")
            asked.done.errback(StoreUnavailable(words))
        else:
            self._room -= 1
            self._queue.put(asked)
        return asked.done

    def _work(self) -> None:
        """The thread."""
        more = False
        while True:
            batch = self._next_batch(0.0 if more else self._patience())
            if batch is None:
                break
            more = False
            if self._is_open or self._open_again():
                self._run(batch)
                if self._is_open and self._monotonic() >= self._sweep_at:
                    more = self._sweep()
                    if not more:
                        self._sweep_at = self._monotonic() + SWEEP_EVERY
            else:
                while batch:  # those behind them too, who would wait for one more try a batch
                    self._tell(batch, "is not open")
                    batch = self._next_batch(0.0)
                if batch is None:
                    break
        if self._is_open:
            self._sweep()  # so that what has expired stays so, whatever the next clock says
        self._store.close()

    def _patience(self) -> float:
        if not self._is_open:
            return RETRY_EVERY
        return max(0.0, self._sweep_at - self._monotonic())

    def _next_batch(self, patience: float) -> list[Asked] | None:
        """What is in line; nothing where nobody comes for so long; None at the end."""
        batch: list[Asked] = []
        try:
            asked = self._queue.get(timeout=patience) if patience else self._queue.get_nowait()
            while asked is not None:
                batch.append(asked)
                if len(batch) == LARGEST_BATCH:
                    return batch
                asked = self._queue.get_nowait()
        except queue.Empty:
            return batch
        if batch:
            self._queue.put(None)  # the end comes behind them
            return batch
        return None

    def _run(self, batch: list[Asked]) -> None:
        wanted = [asked for asked in batch if not asked.given_up]
        self._tell([asked for asked in batch if asked.given_up], "was given up")
        if not self._do(wanted):
            return
        # What only reads may be well where nothing can be written, as on a full disk.
        readers = [asked for asked in wanted if not asked.operation.WRITES]
        trouble = "cannot be written to"
        if len(readers) in (0, len(wanted)):
            self._tell(wanted, trouble)
        else:
            self._tell([asked for asked in wanted if asked.operation.WRITES], trouble)
            if self._do(readers):
                self._tell(readers, trouble)

    def _do(self, wanted: list[Asked]) -> bool:
        """Ask the store, and tell who waits; True where it could not, and may be asked again, so
        that nobody was told."""
        if not wanted:
            return False
        operations = [asked.operation for asked in wanted]
        try:
            found = self._store.run(operations, self._clock.now())
        except StoreFault as fault:
            self._call(self._fell, fault.words, fault.lost)
            if not fault.lost:
                return True
        except Exception:  # noqa: BLE001 - a fault of ours must not end the thread
            self._call(self._failed, Failure())
        else:
            self._call(self._answer, wanted, found)
            # A guess changes nothing, and tells nothing about a disk that was full.
            if any(map(has_written, operations, found)):
                self._call(self._recovered)
            return False
        self._close()
        self._tell(wanted, "was lost")
        return False

    def _sweep(self) -> bool:
        try:
            more = self._store.sweep(self._clock.now(), self._clock.wall())
            self._clock.not_before(self._store.mark)  # another daemon's clock may be ahead
            self._look_at_warnings()
            return more
        except StoreFault as fault:
            self._call(self._fell, fault.words, fault.lost)
            if fault.lost:
                self._close()
        except Exception:  # noqa: BLE001 - as above
            self._call(self._failed, Failure())
            self._close()
        return False

    def _look_at_warnings(self) -> None:
        """Say what is to be warned of when it begins."""
        new = [words for words in self._store.warnings if words not in self._warned]
        self._warned = self._store.warnings
        for words in new:
            self._call(self._warn, words)

    def _open_again(self) -> bool:
        try:
            self.open()
        except StoreFault as fault:
            self._store.close()
            self._call(self._fell, fault.words, True)
            return False
        except Exception:  # noqa: BLE001 - as above
            self._store.close()
            self._call(self._failed, Failure())
            return False
        self._call(self._recovered)
        return True

    def _close(self) -> None:
        self._is_open = False
        self._store.close()

    def _tell(self, asked: list[Asked], words: str) -> None:
        if asked:
            self._call(self._answer, asked, [StoreUnavailable(words) for _ in asked])

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """On the reactor."""
        self._reactor.callFromThread(function, *arguments)

    def _answer(self, batch: list[Asked], found: list[Any]) -> None:
        self._room += len(batch)
        for asked, result in zip(batch, found, strict=True):
            if asked.done.called:
                continue
            if isinstance(result, StoreUnavailable):
                asked.done.errback(result)
            else:
                asked.done.callback(result)

    def _fell(self, words: str, down: bool) -> None:
        """It cannot be used, or not for everything. Said when it begins, and when it changes."""
        self._down = self._down or down
        if not self._trouble:
            self._since = self._monotonic()
        if words != self._trouble:
            self._trouble = words
            log.error("state {name}: {words}", name=self.name, words=words)

    def _warn(self, words: str) -> None:
        log.warn("state {name}: {words}", name=self.name, words=words)

    def _failed(self, failure: Failure) -> None:
        log.failure("state {name} failed", failure, name=self.name)
        self._fell("a fault in authbridge itself", True)

    def _recovered(self) -> None:
        self._down = False
        if self._trouble:
            seconds = self._monotonic() - self._since
            log.info(
                "state {name}: well again, after {seconds:.0f} s", name=self.name, seconds=seconds
            )
            self._trouble = ""


async def ask(ledger: Ledger | None, operation: Operation[T]) -> T:
    """What comes of it; None: of a state that is the daemon's. Raises StoreUnavailable."""
    if ledger is None:
        raise StoreUnavailable(NOT_OURS)
    return await ledger.ask(operation)
