"""A database that is asked, and that does not always answer."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from sqlalchemy import exc, text
from twisted.internet.defer import CancelledError, Deferred

from authbridge.model import Reason
from authbridge.sql import drivers
from authbridge.sql.database import NOBODY, OLDEST, Database, Question
from authbridge.sql.drivers import Made
from authbridge.sql.faults import Fault, failed, unreachable
from authbridge.workers import Workers
from tests.doubles import now
from tests.sql import tables
from tests.sql.tables import Reactor

TABLE = "CREATE TABLE users (name, hash)"
ALICE = {"user": "alice"}


@pytest.fixture
def settings(tmp_path):
    return tables.good(tmp_path, tables.make(tmp_path, TABLE, [("alice", "x")]))


@pytest.fixture
def database(settings):
    one = tables.database(settings)
    yield one
    one.stop()


@pytest.fixture
def at_work(settings):
    """One with real threads."""
    reactor = Reactor()
    threads = Workers(reactor, settings.at_once, 100)
    one = Database(settings, reactor, threads, reactor.seconds)
    yield one, reactor
    one.stop()


def itself(answer):
    return answer


def ask(database, **parameters):
    return now(database.ask(parameters or ALICE, itself))


def fault(awaitable):
    with pytest.raises(Fault) as raised:
        now(awaitable)
    return raised.value


def begin(awaitable):
    results = []
    asking = Deferred.fromCoroutine(awaitable)
    asking.addBoth(results.append)
    return asking, results


def test_an_answer_has_its_columns_and_rows(database):
    answer = ask(database)
    assert answer.columns == ("username", "password")
    assert answer.rows == ({"username": "alice", "password": "x"},)
    assert ask(database, user="bob").rows == ()
    assert ask(database, user="' OR 1=1 --").rows == ()


def test_two_rows_are_all_that_is_fetched_of_many(tmp_path):
    path = tables.make(tmp_path, TABLE, [("alice", "x")] * 9)
    one = tables.database(tables.good(tmp_path, path))
    assert len(ask(one).rows) == 2
    one.stop()


def test_a_query_that_writes_is_refused(tmp_path, settings):
    one = tables.database(settings)

    def write(connection):
        connection.execute(text("INSERT INTO users VALUES ('mallory', 'x')"))

    found = fault(one.run(write))
    assert found.reason is Reason.DATABASE_FAILED
    assert found.words == "the query fails: attempt to write a readonly database"
    one.stop()
    connection = sqlite3.connect(settings.address.file)
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
    connection.close()


def test_a_file_is_opened_each_time_as_another_may_be_in_its_place(tmp_path, database):
    assert ask(database).rows[0]["password"] == "x"
    place = tmp_path / "users.sqlite3"
    place.rename(tmp_path / "old")
    tables.make(tmp_path, TABLE, [("alice", "y")])
    assert ask(database).rows[0]["password"] == "y"


class Fake:
    """Stands for the library of a database: answers, or raises, what it is told to."""

    def __init__(self, monkeypatch, settings):
        self.errors = []
        self.refusals = []
        self.closed = 0
        self.made = 0
        self._settings = settings
        self._connect = drivers.connect
        monkeypatch.setattr(drivers, "connect", self.connect)

    def keeps(self, database):
        """Connections are used again, as those to a server are."""
        database._engine.pool._recycle = OLDEST
        now(database.run(self.work))
        return database

    def connect(self, settings, opened):
        if self.refusals:
            raise self.refusals.pop(0)
        made = self._connect(settings, opened)
        self.made += 1

        def forget():
            self.closed += 1

        return Made(made.raw, made.cut, forget)

    def work(self, connection):
        if not self.errors:
            return "done"
        error = self.errors.pop(0)
        if error is not None:
            raise error


@pytest.fixture
def fake(monkeypatch, settings):
    return Fake(monkeypatch, settings)


def ended(words="server closed the connection"):
    return exc.OperationalError(
        "q", {}, sqlite3.OperationalError(words), connection_invalidated=True
    )


class Numbered(sqlite3.OperationalError):
    """PyMySQL's have both."""

    sqlstate = "HY000"


def of_number(number, words="shut down"):
    return exc.OperationalError("q", {}, Numbered(number, words))


def test_a_connection_is_used_again(database, fake):
    fake.keeps(database)
    for _ in range(3):
        assert now(database.run(fake.work)) == "done"
    assert (fake.made, fake.closed) == (1, 0)


def test_a_connection_that_ended_while_it_was_idle_is_replaced(database, fake):
    fake.keeps(database)
    for error in (ended(), of_number(1927)):
        fake.errors = [error]
        assert now(database.run(fake.work)) == "done"
    assert (fake.made, fake.closed) == (3, 2)


def test_a_fresh_connection_that_ends_is_an_outage(database, fake):
    fake.errors = [ended("server closed the connection\n\tunexpectedly")]
    found = fault(database.run(fake.work))
    assert found.reason is Reason.DATABASE_UNREACHABLE
    assert found.words == "server closed the connection unexpectedly"
    fake.keeps(database)
    fake.errors = [ended(), ended()]
    assert fault(database.run(fake.work)).reason is Reason.DATABASE_UNREACHABLE


def test_a_query_that_the_server_ends_for_its_time_has_no_answer(database, fake):
    """As when we end it ourselves. But it is there, and so is what it has for others."""

    class Canceled(sqlite3.OperationalError):
        sqlstate = "57014"

    words = "canceling statement due to statement timeout: hunter2"
    fake.keeps(database)
    for error in (
        exc.OperationalError("q", {}, Canceled(words)),
        of_number(1969, words),
        of_number(3024, words),
    ):
        database._out_of_reach = unreachable("is gone")
        fake.errors = [error]
        found = fault(database.run(fake.work))
        assert found.reason is Reason.DATABASE_UNREACHABLE
        assert found.words == "gave no answer within 4 s (it has ended the query itself)"
        assert database._out_of_reach is None
    assert now(database.run(fake.work)) == "done"
    assert fake.made == 1


def test_a_file_that_is_locked_for_too_long_gives_no_answer_in_time(tmp_path):
    path = tables.make(tmp_path, TABLE, [("alice", "x")])
    one = tables.database(tables.good(tmp_path, path, timeout="100ms"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    found = fault(one.ask(ALICE, itself))
    assert found.reason is Reason.DATABASE_UNREACHABLE
    assert found.words == "gave no answer within 0.1 s (it has ended the query itself)"
    other.execute("ROLLBACK")
    other.close()
    assert len(ask(one).rows) == 1
    one.stop()


def test_every_connection_that_was_idle_may_have_ended(settings, fake):
    """Whoever finds one out gets another in its place, and not the next of them."""
    reactor = Reactor()
    database = Database(settings, reactor, Workers(reactor, settings.at_once, 100), reactor.seconds)
    database._engine.pool._recycle = OLDEST
    together = threading.Barrier(settings.at_once)
    asked = [begin(database.run(lambda _: together.wait(30)))[1] for _ in range(settings.at_once)]
    reactor.turn_until(lambda: all(asked))
    assert fake.made == settings.at_once
    fake.errors = [of_number(1927)]
    _, results = begin(database.run(fake.work))
    reactor.turn_until(results.copy)
    assert results == ["done"]
    assert fake.made == settings.at_once + 1
    database.stop()


def test_a_slow_query_is_no_outage_for_others(at_work):
    database, reactor = at_work
    held = Held()
    _, results = begin(database.run(hang(database, held)))
    assert held.begun.acquire(timeout=30)
    reactor.clock.advance(4.0)
    assert results[0].value.reason is Reason.DATABASE_UNREACHABLE
    assert database._out_of_reach is None


def test_no_answer_over_a_connection_that_there_was_tells_nothing_of_an_outage(at_work):
    """A connection of the pool that has ended in silence looks the same."""
    database, reactor = at_work
    database._out_of_reach = gone = unreachable("is gone")
    held = Held()
    _, results = begin(database.run(hang(database, held)))
    assert held.begun.acquire(timeout=30)
    reactor.clock.advance(4.0)
    assert results[0].value.words == "gave no answer within 4 s"
    assert database._out_of_reach is gone


def test_an_answer_ends_an_outage_even_where_it_is_a_fault(database, fake):
    fake.refusals = [ConnectionRefusedError(111, "refused")]
    fault(database.run(fake.work))
    assert database._out_of_reach is not None
    fake.errors = [exc.ProgrammingError("q", {}, sqlite3.ProgrammingError("no"))]
    fault(database.run(fake.work))
    assert database._out_of_reach is None


def test_what_the_database_has_against_a_query_is_told(database, fake):
    error = exc.ProgrammingError("q", {}, sqlite3.ProgrammingError(1146, "no table\n'x'"))
    for raised, words in (
        (error, "the query fails: no table 'x'"),
        (exc.DataError("q", {}, sqlite3.DataError("hunter2")), "a data error"),
        (UnicodeDecodeError("utf-8", b"hunter2", 0, 1, ""), "cannot be read (UnicodeDecodeError)"),
        (exc.InvalidRequestError("hunter2"), "cannot be read (InvalidRequestError)"),
        (exc.OperationalError("q", {}, None), "the query fails: "),
    ):
        fake.errors = [raised]
        found = fault(database.run(fake.work))
        assert found.reason is Reason.DATABASE_FAILED
        assert words in found.words
        assert "hunter2" not in found.words
    assert now(database.run(fake.work)) == "done"


def test_nothing_that_is_in_a_row_is_told(tmp_path, database, fake):
    broken = sqlite3.connect(tmp_path / "users.sqlite3")
    with broken:
        broken.execute("UPDATE users SET hash = CAST(x'68756e74657232ff' AS TEXT)")
    broken.close()
    found = fault(database.ask(ALICE, itself))
    assert found.words == "the query meets a value that it cannot use (a data error)"
    for number in (1105, 1292, 1366, 1411, 1690):
        fake.errors = [of_number(number, "Incorrect value: 'hunter2'")]
        assert fault(database.run(fake.work)).words == found.words


def test_what_is_left_of_an_answer_that_broke_off_is_nobodys_answer(database, fake):
    fake.keeps(database)
    for raised, made in ((UnicodeDecodeError("utf-8", b"", 0, 1, ""), 2), (failed("no"), 2)):
        fake.errors = [raised]
        fault(database.run(fake.work))
        assert now(database.run(fake.work)) == "done"
        assert (fake.made, fake.closed) == (made, made - 1)


def test_an_answer_that_cannot_be_used_is_in_the_log(database, events):
    def unfit(_answer):
        raise failed("a column is missing")

    assert fault(database.ask(ALICE, unfit)).reason is Reason.DATABASE_FAILED
    assert [event["words"] for event in events if "words" in event] == ["a column is missing"]


class Diagnosis:
    message_primary = 'relation "nowhere" does not exist'


class Diagnosed(sqlite3.ProgrammingError):
    diag = Diagnosis()


def test_of_what_postgresql_says_the_first_sentence_is_repeated(database, fake):
    fake.errors = [exc.ProgrammingError("q", {}, Diagnosed("relation …\nLINE 1: SELECT"))]
    words = 'the query fails: relation "nowhere" does not exist'
    assert fault(database.run(fake.work)).words == words


def test_what_keeps_from_connecting_is_told(database, fake):
    refused = sqlite3.OperationalError(2003, "Can't connect\x1b[2J")
    for raised, words in (
        (refused, "Can't connect [2J"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (IndexError("hunter2"), "what answers is no such database (IndexError)"),
        (unreachable("give ca_file"), "give ca_file"),
        (sqlite3.OperationalError(), "OperationalError"),
    ):
        fake.refusals = [raised]
        found = fault(database.run(fake.work))
        assert found.reason is Reason.DATABASE_UNREACHABLE
        assert words in found.words
    assert now(database.run(fake.work)) == "done"


def test_a_connection_that_cannot_be_set_up_is_closed(database, fake, monkeypatch):
    def broken(*_arguments):
        raise IndexError

    dialect = database._engine.dialect
    monkeypatch.setattr(dialect, "initialize", broken)
    assert fault(database.run(fake.work)).reason is Reason.DATABASE_UNREACHABLE
    assert (fake.made, fake.closed) == (1, 1)


def test_a_name_that_the_database_cannot_write_is_nobodys(database, monkeypatch):
    from sqlalchemy import Connection

    class Untranslatable(sqlite3.DataError):
        sqlstate = "22P05"

    mix = "Illegal mix of collations (latin1_swedish_ci,IMPLICIT) and (utf8mb4_general_ci,%s)"
    errors = [
        exc.DataError("q", {}, Untranslatable("x")),
        of_number(1267, mix % "COERCIBLE"),
        of_number(1267, mix % "IMPLICIT"),
        exc.DataError("q", {}, ValueError("x")),
    ]

    def execute(*_arguments):
        raise errors.pop(0)

    monkeypatch.setattr(Connection, "execute", execute)
    for _ in range(2):
        assert ask(database) is NOBODY
    for _ in range(2):
        assert fault(database.ask(ALICE, itself)).reason is Reason.DATABASE_FAILED


def test_an_outage_is_in_the_log_and_its_end_too(database, fake, events):
    fake.refusals = [ConnectionRefusedError(111, "refused"), ConnectionRefusedError(111, "refused")]
    for _ in range(2):
        fault(database.run(fake.work))
    database._reactor.advance(30)
    now(database.run(fake.work))
    told = [(event["name"], event.get("words")) for event in events if "name" in event]
    assert told == [(database.name, "refused"), (database.name, None)]


class Held:
    """What hangs in its thread."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.over = threading.Event()

    def connect(self, settings, opened):
        """As psycopg: nobody can cut it; in the end it is connected."""
        self.begun.release()
        assert self.over.wait(30)
        opened(self.over.set)
        raise AssertionError("somebody still waits for it")

    def greet(self, settings, opened):
        """As PyMySQL: it can be cut."""
        opened(self.over.set)
        self.begun.release()
        assert self.over.wait(30)
        raise ConnectionResetError(104, "reset")


def hang(database, held):
    """The next question hangs in a connection that can be cut."""

    def work(connection):
        made = connection.connection.info["made"]
        connection.connection.info["made"] = Made(made.raw, held.over.set, made.forget)
        database._opening.question.at(held.over.set)
        held.begun.release()
        assert held.over.wait(30)
        raise ended()

    return work


def test_a_question_without_an_answer_ends_and_gives_its_thread_back(at_work):
    database, reactor = at_work
    held = Held()
    _, results = begin(database.run(hang(database, held)))
    assert held.begun.acquire(timeout=30)
    assert results == []
    reactor.clock.advance(4.0)
    assert results[0].value.words == "gave no answer within 4 s"
    assert held.over.wait(30)
    reactor.turn()
    _, results = begin(database.ask(ALICE, itself))
    reactor.turn_until(lambda: results)
    assert len(results[0].rows) == 1


def test_a_login_that_gives_up_gives_its_thread_back(at_work):
    database, _ = at_work
    held = Held()
    asking, results = begin(database.run(hang(database, held)))
    assert held.begun.acquire(timeout=30)
    asking.cancel()
    assert results[0].check(CancelledError)
    assert held.over.wait(30)


def test_a_connection_that_is_being_made_can_be_cut(at_work, monkeypatch):
    database, reactor = at_work
    held = Held()
    monkeypatch.setattr(drivers, "connect", held.greet)
    _, results = begin(database.ask(ALICE, itself))
    assert held.begun.acquire(timeout=30)
    reactor.clock.advance(4.0)
    assert results[0].value.reason is Reason.DATABASE_UNREACHABLE
    assert held.over.wait(30)


def test_connecting_that_cannot_be_cut_holds_its_thread_and_not_the_login(settings, monkeypatch):
    reactor = Reactor()
    database = Database(settings, reactor, Workers(reactor, 1, 100), reactor.seconds)
    held = Held()
    with monkeypatch.context() as patch:
        patch.setattr(drivers, "connect", held.connect)
        _, results = begin(database.ask(ALICE, itself))
        assert held.begun.acquire(timeout=30)
    reactor.clock.advance(4.0)
    assert results[0].value.words == "gave no answer within 4 s"
    assert not held.over.is_set()
    _, after = begin(database.ask(ALICE, itself))
    assert after == reactor.calls == []
    held.over.set()
    reactor.turn_until(lambda: after)
    assert len(after[0].rows) == 1
    database.stop()


def test_the_end_of_the_daemon_waits_for_what_cannot_be_cut(settings, monkeypatch):
    reactor = Reactor()
    database = Database(settings, reactor, Workers(reactor, 1, 100), reactor.seconds)
    held = Held()
    monkeypatch.setattr(drivers, "connect", held.connect)
    begin(database.ask(ALICE, itself))
    assert held.begun.acquire(timeout=30)
    threading.Timer(0.1, held.over.set).start()
    database.stop()
    assert held.over.is_set()


def test_nothing_is_begun_for_who_has_given_up():
    question, cuts = Question(), []
    question.at(lambda: cuts.append("before"))
    question.give_up()
    with pytest.raises(Fault):
        question.at(lambda: cuts.append("after"))
    question.leave()
    question.give_up()
    assert cuts == ["before"]


def test_the_end_of_the_daemon_ends_what_hangs(settings):
    reactor = Reactor()
    database = Database(settings, reactor, Workers(reactor, 2, 100), reactor.seconds)
    held = Held()
    _, results = begin(database.run(hang(database, held)))
    assert held.begun.acquire(timeout=30)
    database.stop()
    reactor.turn_until(lambda: results)
    assert results[0].value.reason is Reason.DATABASE_UNREACHABLE


def test_a_daemon_that_never_asked_ends_as_well(settings):
    tables.database(settings).stop()


def test_a_question_that_was_given_up_in_line_is_not_begun(settings, monkeypatch):
    reactor = Reactor()
    database = Database(settings, reactor, Workers(reactor, 1, 100), reactor.seconds)
    held = Held()
    begun = []
    _, first = begin(database.run(hang(database, held)))
    assert held.begun.acquire(timeout=30)
    _, second = begin(database.run(begun.append))
    reactor.clock.advance(4.0)
    assert len(first + second) == 2
    reactor.turn()
    reactor.turn()
    assert begun == []
    database.stop()


def test_while_it_is_out_of_reach_one_question_at_a_time_finds_out(at_work, monkeypatch):
    database, reactor = at_work
    with monkeypatch.context() as patch:
        first, second = Held(), Held()
        patch.setattr(drivers, "connect", first.connect)
        _, failed = begin(database.ask(ALICE, itself))
        assert first.begun.acquire(timeout=30)
        reactor.clock.advance(4.0)
        assert failed
        first.over.set()
        patch.setattr(drivers, "connect", second.greet)
        _, trial = begin(database.ask(ALICE, itself))
        assert second.begun.acquire(timeout=30)
        _, told = begin(database.ask(ALICE, itself))
        assert told[0].value.words.startswith("gave no answer within 4 s; another login is")
        _, patient = begin(database.ask(ALICE, itself, patient=True))
        assert second.begun.acquire(timeout=30)
        assert trial + patient == []
        second.over.set()
        reactor.turn_until(lambda: trial and patient)
    for _ in range(2):
        _, back = begin(database.ask(ALICE, itself))
        reactor.turn_until(back.copy)
        assert len(back[0].rows) == 1


def test_too_many_questions_are_an_overload_and_no_trouble_of_the_database(settings, events):
    one = tables.database(settings)
    one._workers.overloaded = True
    assert fault(one.ask(ALICE, itself)).reason is Reason.OVERLOADED
    assert [event for event in events if "words" in event] == []
    one._out_of_reach = unreachable("is gone")
    assert fault(one.ask(ALICE, itself)).reason is Reason.OVERLOADED
    assert one._out_of_reach is not None
    one._workers.overloaded = False
    assert len(ask(one).rows) == 1
    one.stop()
