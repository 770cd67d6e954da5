"""Work that takes a processor for milliseconds, off the reactor: a bounded pool of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Overloaded(Exception):
    """Too much work is waiting already."""


class Workers:
    """Threads for work that lets the interpreter go, such as hashing a password."""

    def __init__(self, reactor: IReactorFromThreads, threads: int, most_waiting: int) -> None:
        """At most `threads` at work, and `most_waiting` more in line."""
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=threads, name="workers")
        self._room = threads + most_waiting
        self._stopped = False

    def start(self) -> None:
        """Let the work begin."""
        self._pool.start()

    def stop(self) -> None:
        """Finish what is in hand, drop what is in line, and end the threads."""
        self._stopped = True
        self._pool.stop()

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises Overloaded where no room is left in the line.

        Work that is cancelled while it is in line is not begun.
        """
        if self._room <= 0:
            raise Overloaded
        self._room -= 1
        done: Deferred[T] = Deferred()

        def begin() -> T | None:
            if done.called:  # cancelled meanwhile
                return None
            if self._stopped:
                raise Overloaded  # what was not looked at must not look like a no
            return work()

        def finished(_success: bool, result: Any) -> None:
            self._reactor.callFromThread(self._finish, done, result)

        self._pool.callInThreadWithCallback(finished, begin)
        return await done

    def _finish(self, done: Deferred[T], result: T | Failure) -> None:
        self._room += 1
        if done.called:
            return
        if isinstance(result, Failure):
            done.errback(result)
        else:
            done.callback(result)
