"""One turn: tokens are issued, and then used, by so many who ask at once.

    python -m bench.ledger_load ours|bare STORE AT_ONCE SECONDS
    python -m bench.ledger_load fill STORE COUNT

STORE is a path, or a redis:// address. It prints for each of the two jobs how many, in how many
seconds, and how many seconds of CPU this process has used.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from redis import Redis
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from authbridge.model import Reason
from authbridge.stores import redis_operations, redis_scripts, redis_settings, sqlite_operations
from authbridge.stores.clock import Clock
from authbridge.stores.ledger import Ledger
from authbridge.stores.operations import Consume, Issue, Operation, Store
from authbridge.stores.redis import RedisStore
from authbridge.stores.sqlite import SqliteStore

TTL = 3600.0
USERS = 10_000
FILLED_AT_ONCE = 5000

Loop = Callable[[Iterator[Operation[Any]], int, float], int]
"""Asks for operations, so many at once, until the time is over; how many there were."""


def make(where: str) -> Store:
    """The store as the daemon has it."""
    if "://" in where:
        return RedisStore(redis_settings.parse(where), os.urandom)
    return SqliteStore(Path(where), create=True)


def jid(number: int) -> str:
    """Of the user that a token is for."""
    return f"user{number % USERS}@example.org"


class Jobs:
    """What is asked: tokens are issued, and those are used."""

    def __init__(self) -> None:
        self.issued: list[tuple[bytes, str]] = []

    def issues(self) -> Iterator[Issue]:
        """New tokens."""
        while True:
            digest, user = os.urandom(32), jid(len(self.issued))
            self.issued.append((digest, user))
            yield Issue(digest, user, TTL, 1, "bench")

    def uses(self) -> Iterator[Consume]:
        """Each of them once."""
        return (Consume(digest, user) for digest, user in self.issued)


def judge(operation: Operation[Any], found: object) -> None:
    """A wrong answer ends the benchmark: it would measure something else."""
    if isinstance(operation, Consume) and found is not Reason.TOKEN_VALID:
        raise RuntimeError(f"a good token is {found}")


class Ours:
    """Through the ledger, as the token checker asks it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def run(self, wanted: Iterator[Operation[Any]], at_once: int, seconds: float) -> Deferred[int]:
        """So many are always under way."""
        done: Deferred[int] = Deferred()
        until, count, under_way = time.perf_counter() + seconds, 0, 0

        async def ask() -> None:
            nonlocal count, under_way
            under_way += 1
            while time.perf_counter() < until:
                operation = next(wanted, None)
                if operation is None:
                    break
                judge(operation, await self._ledger.ask(operation))
                count += 1
            under_way -= 1
            if not under_way and not done.called:
                done.callback(count)

        for _ in range(at_once):
            Deferred.fromCoroutine(ask()).addErrback(
                lambda failure: done.called or done.errback(failure)
            )
        return done


def bare_sqlite(where: str) -> Loop:
    """The library alone: a transaction for each batch, with the same statements."""
    connection = sqlite3.connect(where, isolation_level=None)
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    execute = connection.cursor().execute

    def run(wanted: Iterator[Operation[Any]], at_once: int, seconds: float) -> int:
        until, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            batch = [one for one, _ in zip(wanted, range(at_once), strict=False)]
            if not batch:
                break
            now = time.time()
            execute("BEGIN IMMEDIATE")
            for one in batch:
                if isinstance(one, Issue):
                    row = (one.digest[:16], one.digest[16:], one.jid, now, now + one.ttl, one.uses)
                    execute(sqlite_operations._ISSUE, (*row, one.client, "", ""))
                else:
                    asked = (now, one.digest[:16], one.digest[16:], one.jid)
                    rows = execute(sqlite_operations._CONSUME, asked).rowcount
                    judge(one, Reason.TOKEN_VALID if rows == 1 else None)
            execute("COMMIT")
            count += len(batch)
        return count

    return run


def bare_redis(where: str) -> Loop:
    """The library alone: a pipeline for each batch, with the same scripts."""
    client = Redis.from_url(where)
    for script in redis_scripts.SCRIPTS:
        client.script_load(script.text)
    epoch: Any = client.get(redis_scripts.EPOCH)

    def run(wanted: Iterator[Operation[Any]], at_once: int, seconds: float) -> int:
        until, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            batch = [one for one, _ in zip(wanted, range(at_once), strict=False)]
            if not batch:
                break
            now = repr(time.time()).encode()
            pipeline = client.pipeline(transaction=False)
            for one in batch:
                pipeline.execute_command(*redis_operations.say(one, now, epoch))
            for one, reply in zip(batch, pipeline.execute(), strict=True):
                judge(one, redis_operations.hear(one, reply))
            count += len(batch)
        return count

    return run


def report(job: str, count: int, seconds: float, cpu: float) -> None:
    print(f"{job} {count} {seconds:.6f} {cpu:.6f}", flush=True)


def run_bare(where: str, at_once: int, seconds: float) -> None:
    """Both jobs, in this thread."""
    loop = bare_redis(where) if "://" in where else bare_sqlite(where)
    jobs = Jobs()
    for job, wanted in (("issue", jobs.issues()), ("consume", jobs.uses())):
        began, cpu = time.perf_counter(), time.process_time()
        count = loop(wanted, at_once, seconds)
        report(job, count, time.perf_counter() - began, time.process_time() - cpu)


def run_ours(where: str, at_once: int, seconds: float) -> None:
    """Both jobs, on a reactor."""
    twisted: Any = reactor
    ledger = Ledger(make(where), twisted, Clock(time.time, time.monotonic), time.monotonic)
    ours, jobs = Ours(ledger), Jobs()
    failed: list[object] = []

    async def both() -> None:
        for job, wanted in (("issue", jobs.issues()), ("consume", jobs.uses())):
            began, cpu = time.perf_counter(), time.process_time()
            count = await ours.run(wanted, at_once, seconds)
            report(job, count, time.perf_counter() - began, time.process_time() - cpu)

    def begin() -> None:
        work = Deferred.fromCoroutine(both())
        work.addErrback(failed.append)
        work.addBoth(lambda _: twisted.stop())

    ledger.open()
    ledger.start()
    twisted.callWhenRunning(begin)
    twisted.run()
    ledger.stop()
    if failed:
        raise RuntimeError(str(failed[0]))


def fill(where: str, count: int) -> None:
    """Tokens that are not used."""
    store = make(where)
    store.open()
    jobs = Jobs().issues()
    for made in range(0, count, FILLED_AT_ONCE):
        batch = min(FILLED_AT_ONCE, count - made)
        store.run([next(jobs) for _ in range(batch)], time.time())
    store.close()


def main(arguments: Sequence[str]) -> None:
    """See above."""
    how, where, number, *seconds = arguments
    if how == "fill":
        return fill(where, int(number))
    (run_ours if how == "ours" else run_bare)(where, int(number), float(seconds[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
