"""A store in Redis, for several daemons at once: nothing of it is remembered in the process, but
by its epoch which one it is.

A batch is one exchange. Each operation in it is a script, which Redis runs as a whole; should one
fail, others may have been done, and all are told that it cannot be told: what was used is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from authbridge.stores import redis_fitness, redis_scripts
from authbridge.stores.operations import Operation, StoreFault
from authbridge.stores.redis_link import LOST, TIMEOUT, Command, Link, fault_of
from authbridge.stores.redis_operations import hear, number, say, say_sweep
from authbridge.stores.redis_settings import RedisSettings

EPOCH_OCTETS = 16
FORGIVEN = 60.0
"""Seconds that a Redis may have lost and still be the same: with appendfsync everysec it loses some
when its machine fails. What has lost more is an older copy."""

_LAYOUT = str(redis_scripts.VERSION).encode()
_LOOK: tuple[Command, ...] = (
    (b"GET", redis_scripts.VERSION_KEY),
    (b"GET", redis_scripts.EPOCH),
    (b"GET", redis_scripts.CLOCK),
)
_LOAD: tuple[Command, ...] = tuple(
    (b"SCRIPT", b"LOAD", one.text.encode()) for one in redis_scripts.SCRIPTS
)


class RedisStore:
    """See `operations.Store`."""

    def __init__(
        self,
        settings: RedisSettings,
        random: Callable[[int], bytes],
        timeout: float = TIMEOUT,
    ) -> None:
        """`random`: so many octets that nobody else has. `timeout`: seconds for which Redis may be
        silent."""
        self.name = str(settings)
        self.mark = 0.0
        self.warnings: tuple[str, ...] = ()
        self._settings = settings
        self._random = random
        self._timeout = timeout
        self._link: Link | None = None
        self._epoch: bytes | None = None
        """Once it was open."""

    def open(self) -> None:
        """See `operations.Store`."""
        self.close()
        self._link = link = Link(self._settings, self._timeout)
        try:
            self._prepare(link)
        except StoreFault:
            self.close()
            raise

    def _prepare(self, link: Link) -> None:
        # Who we are, for people who look at its clients. Its user may be forbidden to say it.
        _, *found = link.ask([(b"CLIENT", b"SETNAME", b"authbridge"), *redis_fitness.QUESTIONS])
        self.warnings = redis_fitness.judge(found)
        version, epoch, mark, *_ = _check(link.ask([*_LOOK, *_LOAD]))
        if self._epoch is None:
            if version is None or (version == _LAYOUT and epoch is None):
                version, epoch, mark = self._begin(link)
        elif epoch != self._epoch or float(mark or 0) < self.mark - FORGIVEN:
            raise StoreFault(LOST, lost=True, refused=True)
        if version != _LAYOUT:
            raise StoreFault(
                "was used by another version of authbridge, whose data this one does not know",
                lost=True,
                refused=True,
            )
        self._epoch = epoch
        self._advance(mark or 0)

    def _begin(self, link: Link) -> list[Any]:
        """What is there, once it has a version and an epoch. Two may come to it at once."""
        epoch = self._random(EPOCH_OCTETS).hex().encode()
        begin: tuple[Command, ...] = (
            (b"SET", redis_scripts.VERSION_KEY, _LAYOUT, b"NX"),
            (b"SET", redis_scripts.EPOCH, epoch, b"NX"),
        )
        return _check(link.ask([*begin, *_LOOK]))[len(begin) :]

    def _advance(self, mark: bytes | int) -> None:
        self.mark = max(self.mark, float(mark))

    def run(self, operations: Sequence[Operation[Any]], now: float) -> list[Any]:
        """See `operations.Store`."""
        link, epoch = self._opened()
        moment = number(now)
        replies = self._ask(link, [say(operation, moment, epoch) for operation in operations])
        return [hear(*pair) for pair in zip(operations, _check(replies), strict=True)]

    def sweep(self, now: float, wall: float) -> bool:
        """See `operations.Store`. Whether Redis may still be used is looked at too: it can be told
        to forget while it runs."""
        link, epoch = self._opened()
        command = say_sweep(number(now), number(wall), epoch)
        *found, swept = self._ask(link, [*redis_fitness.QUESTIONS, command])
        try:
            self.warnings = redis_fitness.judge(found)
        except StoreFault:
            self.close()
            raise
        ((count, mark),) = _check([swept])
        self._advance(mark)
        return bool(count == redis_scripts.SWEPT)

    def _opened(self) -> tuple[Link, bytes]:
        if self._link is None or self._epoch is None:
            raise StoreFault("is not open", lost=True)
        return self._link, self._epoch

    def _ask(self, link: Link, commands: Sequence[Command]) -> list[Any]:
        try:
            return link.ask(commands)
        except StoreFault:
            self.close()
            raise

    def close(self) -> None:
        """See `operations.Store`."""
        if self._link is not None:
            self._link.close()
            self._link = None


def _check(replies: list[Any]) -> list[Any]:
    """The same, where none is an error. Raises StoreFault: of several, one after which the store
    has to be opened again."""
    faults = [fault_of(reply) for reply in replies if isinstance(reply, ResponseError)]
    if faults:
        raise max(faults, key=lambda fault: fault.lost)
    return replies
