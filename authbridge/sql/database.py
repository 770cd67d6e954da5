"""A database that is asked: a bounded pool of threads, each with a connection; every wait ends.

The answer is waited for on the reactor, where nothing blocks: whoever hears nothing in time, or
gives up, cuts the connection, and so gets the thread back. Some waits cannot be cut (`drivers`):
the question ends in time all the same, and the thread is one less until the wait ends by itself;
`stop` waits for it. While the database is out of reach one question at a time finds out whether it
is back; the others are told at once that it is not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event, exc
from sqlalchemy.engine import Engine
from sqlalchemy.pool import QueuePool
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from authbridge.model import Reason
from authbridge.sql import drivers, errors
from authbridge.sql.address import Dialect
from authbridge.sql.drivers import Cut
from authbridge.sql.faults import Fault, failed, said, silent, too_late, unreachable
from authbridge.sql.settings import SqlSettings
from authbridge.troubles import Troubles
from authbridge.workers import Overloaded, Workers

T = TypeVar("T")

MOST_ROWS = 2
"""That are fetched: two are one too many already."""
_DIALECTS = {
    Dialect.POSTGRESQL: "postgresql+psycopg://",
    Dialect.MYSQL: "mysql+pymysql://",
    Dialect.SQLITE: "sqlite+pysqlite://",
}
_USED, _MADE = "used", "made"
OLDEST = 300
"""Seconds after which a connection is made anew: what lies between may forget one in silence."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query answers."""

    columns: tuple[str, ...]
    """In lower case."""
    rows: tuple[Mapping[str, Any], ...]
    """MOST_ROWS at most."""


NOBODY = Answer((), ())
"""Where the database cannot even write the name, and so has nobody of that name."""


class Question:
    """One question under way in a thread, and the reactor's way to end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cut: Cut | None = None
        """None: nothing is waited for, or what cannot be cut."""
        self.given_up = False
        self.put = False
        """Whether it was put to the database, over a connection that there was."""

    def at(self, cut: Cut | None) -> None:
        """In the thread: this is how to cut what is waited for now. Raises Fault where nobody waits
        any more."""
        with self._lock:
            self._cut = cut
            if self.given_up:
                raise unreachable("was given up")

    def leave(self) -> None:
        """In the thread: nothing of it is to be cut any more."""
        with self._lock:
            self._cut = None

    def give_up(self) -> None:
        """In the reactor: nobody waits any more."""
        with self._lock:
            self.given_up = True
            if self._cut is not None:
                self._cut()


class Database:
    """One database."""

    def __init__(
        self, settings: SqlSettings, reactor: Any, workers: Workers, seconds: Callable[[], float]
    ) -> None:
        """`workers`: threads of its own, as many as `at_once`. `seconds`: of a clock that nobody
        sets."""
        for name in ("sqlalchemy", "psycopg"):
            # What they have to say comes as exceptions; without this it goes to stderr as well.
            logging.getLogger(name).addHandler(logging.NullHandler())
        self.name = str(settings.address)
        self._settings = settings
        self._reactor = reactor
        self._workers = workers
        self._troubles = Troubles(seconds)
        self._opening = threading.local()
        self._engine = self._make_engine()
        self._asked: set[Question] = set()
        self._started = False
        self._out_of_reach: Fault | None = None
        self._trying = False

    async def ask(
        self, parameters: Mapping[str, str], read: Callable[[Answer], T], *, patient: bool = False
    ) -> T:
        """What `read` makes, in a thread, of the query's answer for these; it may raise Fault.
        `patient`: even if another is finding out whether the database is back. Raises Fault."""
        statement = self._settings.query.statement()

        def execute(connection: Connection) -> T:
            try:
                result = connection.execute(statement, parameters)
            except exc.DBAPIError as error:
                if errors.is_of_name(error):
                    return read(NOBODY)
                raise
            columns = tuple(name.lower() for name in result.keys())  # noqa: SIM118 - no dict
            found = result.fetchmany(MOST_ROWS)
            result.close()
            rows = tuple(dict(zip(columns, row, strict=True)) for row in found)
            return read(Answer(columns, rows))

        return await self.run(execute, patient=patient)

    async def run(self, work: Callable[[Connection], T], *, patient: bool = False) -> T:
        """What this returns, in a thread. It may be run twice. Raises Fault."""
        trial = self._out_of_reach is not None
        if self._out_of_reach is not None and self._trying and not patient:
            words = f"{self._out_of_reach.words}; another login is finding out whether it is back"
            raise unreachable(words)
        self._trying |= trial
        try:
            result = await self._in_thread(work)
        except Fault as fault:
            if fault.gone:
                self._out_of_reach = fault
            elif fault.answered:
                self._out_of_reach = None
            if fault.reason is not Reason.OVERLOADED:
                self._troubles.met(self.name, fault.words)
            raise
        else:
            self._out_of_reach = None
            self._troubles.over(self.name)
            return result
        finally:
            if trial:
                self._trying = False

    def stop(self) -> None:
        """End all that is under way. Blocks as long as what cannot be cut."""
        for question in tuple(self._asked):
            question.give_up()
        if self._started:
            self._workers.stop()
        self._engine.dispose()

    async def _in_thread(self, work: Callable[[Connection], T]) -> T:
        if not self._started:
            self._started = True
            self._workers.start()
        question = Question()
        self._asked.add(question)
        working = Deferred.fromCoroutine(self._workers.run(lambda: self._work(question, work)))
        working.addTimeout(self._settings.timeout, self._reactor)
        try:
            return await working
        except TimedOut:
            raise silent(self._settings.timeout, gone=not question.put) from None
        except Overloaded:
            raise Fault(Reason.OVERLOADED, "too many questions wait for the database") from None
        finally:
            question.give_up()
            self._asked.discard(question)

    def _work(self, question: Question, work: Callable[[Connection], T]) -> T:
        """In a thread. A connection that has been idle may have ended meanwhile, which is found out
        by using it; as nothing is written, the question is put again, over a connection that is
        made in its place (the pool hands out first what came last)."""
        try:
            try:
                return self._once(question, work)
            except _Stale:
                return self._once(question, work)
        finally:
            question.leave()

    def _once(self, question: Question, work: Callable[[Connection], T]) -> T:
        connection = self._connect(question)
        info = connection.connection.info
        stale = _USED in info
        info[_USED] = True
        try:
            with connection:
                try:
                    question.at(info[_MADE].cut)
                    question.put = True
                    return work(connection)
                except exc.DBAPIError as error:
                    if error.connection_invalidated or errors.ended(error):
                        connection.invalidate()
                        raise unreachable(said(errors.original(error))) from None
                    raise
                except Fault:
                    raise
                except Exception:
                    # The rest of an answer that broke off would be taken for the next one's.
                    connection.invalidate()
                    raise
                finally:
                    question.leave()
        except Fault as fault:
            if fault.gone and stale and not question.given_up:
                raise _Stale(fault.reason, fault.words, gone=True) from None
            raise
        except exc.DBAPIError as error:
            raise self._fault_of(error) from None
        except Exception as error:  # noqa: BLE001 - fed with garbage, a library raises anything
            raise failed(f"its answer cannot be read ({type(error).__name__})") from None

    def _fault_of(self, error: exc.DBAPIError) -> Fault:
        """What comes of a query, on a connection that is still there."""
        if errors.is_of_data(error):
            return failed("the query meets a value that it cannot use (a data error)")
        if errors.is_too_late(error):
            return too_late(self._settings.timeout)
        return failed(f"the query fails: {said(errors.original(error))}")

    def _connect(self, question: Question) -> Connection:
        """A connection of the pool, or a new one. Raises Fault."""
        local = self._opening
        local.question, local.made = question, None
        try:
            question.at(None)
            connection = self._engine.connect()
        except Fault:
            raise
        except exc.DBAPIError as error:
            raise unreachable(said(errors.original(error))) from None
        except OSError as error:
            raise unreachable(said(error)) from None
        except Exception as error:  # noqa: BLE001 - what answers may be no database at all
            words = f"what answers is no such database ({type(error).__name__})"
            raise unreachable(words) from None
        else:
            if local.made is not None:
                connection.connection.info[_MADE] = local.made
                local.made = None
            return connection
        finally:
            if local.made is not None:  # not the connection's that was to be, so nobody's
                local.made.close()

    def _make_engine(self) -> Engine:
        settings = self._settings
        engine = create_engine(
            _DIALECTS[settings.address.dialect],
            creator=self._open,
            poolclass=QueuePool,
            pool_size=settings.at_once,
            max_overflow=0,
            pool_timeout=settings.timeout,
            # At the path of a file there may be another one the next time.
            pool_recycle=0 if settings.address.dialect is Dialect.SQLITE else OLDEST,
            pool_use_lifo=True,
            pool_reset_on_return=None,  # there is nothing to take back
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            hide_parameters=True,
        )
        event.listen(engine, "close", _closed)
        return engine

    def _open(self) -> Any:
        """In a thread, called by the pool."""
        made = drivers.connect(self._settings, self._opening.question.at)
        self._opening.made = made
        return made.raw


class _Stale(Fault):
    """A connection that had been idle turned out to have ended."""


def _closed(_raw: Any, record: Any) -> None:
    made = record.info.pop(_MADE, None)
    if made is not None:
        made.forget()
