"""Users in a database."""

from __future__ import annotations

import random
import threading

import passlib.hash
import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.checkers import CheckerSettings, Surroundings, sql
from authbridge.model import JID, Reason, Trace, Verdict
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.sql import hashes
from authbridge.sql.database import NOBODY, Database
from tests.doubles import now
from tests.sql import tables
from tests.sql.tables import Inline

ALICE, BOB = JID("alice", "example.org"), JID("bob", "example.org")
TABLE = "CREATE TABLE users (name TEXT COLLATE NOCASE, hash TEXT, enabled, locked, expires)"
QUERY = (
    "SELECT name AS username, hash AS password, enabled, locked, expires FROM users"
    " WHERE name = :user"
)
NOW = 1_700_000_000.0


def hashed(password: str) -> str:
    return passlib.hash.sha512_crypt.using(rounds=1000).hash(password)


HASH = hashed("wonderland")


class House:
    def __init__(self, folder, rows, **more):
        self.path = tables.make(folder, more.pop("script", TABLE), rows)
        self.settings = tables.good(folder, self.path, **{"query": QUERY, **more})
        self.hashing = Inline()
        self.database = tables.database(self.settings)
        self.checker = sql.SqlChecker(self.settings, self.database, self.hashing, lambda: NOW)

    def check(self, jid=ALICE, password="wonderland", trace=None):
        return now(self.checker.check_password(jid, Secret(password.encode()), trace))

    def exists(self, jid=ALICE, trace=None):
        return now(self.checker.user_exists(jid, trace))


@pytest.fixture
def house(tmp_path):
    made = []

    def make(*rows, **more):
        made.append(House(tmp_path, rows, **more))
        return made[-1]

    yield make
    for one in made:
        one.database.stop()


def row(name="alice", password=HASH, enabled=1, locked=0, expires=None):
    return name, password, enabled, locked, expires


def rejected(reason):
    return model.rejected(reason)


def test_the_right_password_is_accepted_and_no_other(house):
    one = house(row())
    assert one.check() is model.PASSWORD_MATCHES
    assert one.check(password="Wonderland") is model.PASSWORD_MISMATCH
    assert one.check(BOB) is model.USER_UNKNOWN
    assert one.exists() is model.USER_EXISTS
    assert one.exists(BOB) is model.USER_UNKNOWN


def test_a_flag_refuses_who_knows_the_password_and_tells_nobody_else(house):
    for flags, reason in (
        ({"enabled": 0}, Reason.ACCOUNT_DISABLED),
        ({"enabled": None}, Reason.ACCOUNT_DISABLED),
        ({"locked": 1}, Reason.ACCOUNT_LOCKED),
        ({"locked": None}, Reason.ACCOUNT_LOCKED),
        ({"expires": NOW}, Reason.ACCOUNT_EXPIRED),
        ({"expires": "2020-02-02 10:00:00"}, Reason.ACCOUNT_EXPIRED),
    ):
        one = house(row(**flags), script=f"DROP TABLE IF EXISTS users; {TABLE}")
        assert one.check() == rejected(reason), flags
        assert one.check(password="x") is model.PASSWORD_MISMATCH
        assert one.exists() is model.USER_EXISTS
    assert (
        house(row(expires=NOW + 1), script=f"DROP TABLE users; {TABLE}").check()
        is model.PASSWORD_MATCHES
    )


def test_a_row_that_is_found_by_another_name_is_nobody_elses(house):
    one = house(row("ALICE "), query=QUERY.replace("name = :user", "TRIM(name) LIKE :user"))
    assert one.check() == rejected(Reason.NOT_CANONICAL)
    assert one.exists() == rejected(Reason.NOT_CANONICAL)
    two = house(row("Alice"), script=f"DROP TABLE users; {TABLE}")
    assert two.check() is model.PASSWORD_MATCHES  # which XMPP cannot tell from alice


def test_a_row_of_another_domain_is_nobody_elses(house):
    """MySQL's collations find exämple.org for example.org."""
    script = "CREATE TABLE users (name, hash, host)"
    query = "SELECT name AS username, hash AS password, host AS domain FROM users WHERE name = "
    for host, outcome in (
        ("exämple.org", rejected(Reason.NOT_CANONICAL)),
        ("", rejected(Reason.NOT_CANONICAL)),
        ("..", rejected(Reason.NOT_CANONICAL)),
        ("Example.org", model.PASSWORD_MATCHES),
        ("example.org", model.PASSWORD_MATCHES),
    ):
        one = house(
            ("alice", HASH, host),
            script=f"DROP TABLE IF EXISTS users; {script}",
            query=f"{query}:user AND :domain <> ''",
        )
        assert one.check() == outcome, host
        assert one.exists().reason in (outcome.reason, Reason.USER_EXISTS)
    two = house(("alice", HASH, None), script=f"DROP TABLE users; {script}", query=f"{query}:user")
    assert two.check() == model.unavailable(Reason.DATABASE_FAILED)


def test_two_rows_are_ambiguous(house):
    one = house(row(), row("Alice"))
    assert one.check() == rejected(Reason.USER_AMBIGUOUS)
    assert one.exists() == rejected(Reason.USER_AMBIGUOUS)


def test_an_account_without_a_password_is_nobodys(house):
    for nothing in (None, "", "  ", "!", "!x4fT", "*", "*0"):
        one = house(row(password=nothing), script=f"DROP TABLE IF EXISTS users; {TABLE}")
        for password in ("wonderland", "!", "*", "!x4fT"):
            assert one.check(password=password) == rejected(Reason.PASSWORD_UNUSABLE)


def test_a_hash_of_another_kind_is_no_wrong_password(house):
    for stored in ("5f4dcc3b5aa765d61d8327deb882cf99", "$2b$04$short", "wonderland", "$6$rounds=9"):
        one = house(row(password=stored), script=f"DROP TABLE IF EXISTS users; {TABLE}")
        assert one.check(trace=(trace := Trace())) == model.unavailable(Reason.HASH_UNKNOWN)
        assert one.check(password=stored) == model.unavailable(Reason.HASH_UNKNOWN)
        assert stored not in repr(trace)
        assert one.exists() is model.USER_EXISTS


def test_a_damaged_hash_is_no_wrong_password_and_nobody_elses_trouble(house, events):
    made = passlib.hash.argon2.using(memory_cost=64, rounds=1, parallelism=1).hash("wonderland")
    damaged = made.replace("p=1", "p=1,data=AAAA")
    one = house(row(), row("bob", damaged), hashes=["sha512-crypt", "argon2"])
    assert one.check(BOB, trace=(trace := Trace())) == model.unavailable(Reason.HASH_UNKNOWN)
    assert trace.steps[-1] == ("fault", "a stored password cannot be verified: it is damaged")
    assert one.check(JID("nobody", "example.org")) is model.USER_UNKNOWN
    assert one.check() is model.PASSWORD_MATCHES
    assert damaged[-20:] not in repr((events, trace))


class Counting:
    """Counts the verifications of each cost."""

    def __init__(self, monkeypatch):
        self.verified = []
        verify = hashes.Hash.verify

        def counted(one, password):
            self.verified.append(one.described)
            return verify(one, password)

        monkeypatch.setattr(hashes.Hash, "verify", counted)


def test_who_is_not_there_costs_as_much_as_who_is(house, monkeypatch):
    one = house(row(), row("ada", None), row("eve", enabled=0), row("o'x"))
    counting = Counting(monkeypatch)
    one.check(BOB)
    assert counting.verified == ["sha512-crypt, as usual"]
    counting.verified.clear()
    one.check()
    one.check(BOB)
    one.check(JID("ada", "example.org"))
    one.check(JID("eve", "example.org"))
    one.check(JID("o\\27x", "example.org"))
    one.check(JID("\\20x", "example.org"))
    assert counting.verified == ["sha512-crypt, 1000 rounds"] * 6


def test_the_name_of_another_user_is_compared_at_the_same_cost(house, monkeypatch):
    one = house(row("alice "), query=QUERY.replace("name = :user", "TRIM(name) LIKE :user"))
    counting = Counting(monkeypatch)
    one.check()
    assert counting.verified == ["sha512-crypt, 1000 rounds"]


def test_an_escaped_name_is_asked_for_unescaped(house):
    one = house(row("o'brien"))
    assert one.check(JID("o\\27brien", "example.org")) is model.PASSWORD_MATCHES
    assert one.check(JID("\\20x", "example.org"), trace=(trace := Trace())) is model.USER_UNKNOWN
    assert trace.steps == [("name", "the user's name begins or ends with an escaped space")]
    assert one.exists(JID("\\20x", "example.org")) is model.USER_UNKNOWN


def test_every_step_is_told_and_no_secret(house):
    one = house(row(enabled=0))
    one.check(trace=(trace := Trace()))
    assert trace.steps == [
        ("query", f"sqlite://{one.path}, with :user 'alice'"),
        ("found", "one row of username, password, enabled, locked, expires"),
        ("account", "username 'alice'; the account is disabled"),
        ("password", "sha512-crypt, 1000 rounds"),
    ]
    one.check(BOB, trace=(trace := Trace()))
    assert trace.steps[1][1].startswith("no row of username")
    two = house(row(password=None), script=f"DROP TABLE users; {TABLE}")
    two.check(trace=(trace := Trace()))
    assert trace.steps[2:] == [
        ("account", "username 'alice'"),
        ("password", "none that could be right"),
    ]
    three = house(row(), row("Alice"), script=f"DROP TABLE users; {TABLE}")
    three.exists(trace=(trace := Trace()))
    assert trace.steps[1][1].startswith("more than one row of")


def test_a_database_that_cannot_tell_is_no_wrong_password(house):
    one = house(row())
    one.path.unlink()
    outcome = one.check(trace=(trace := Trace()))
    assert outcome == model.unavailable(Reason.DATABASE_UNREACHABLE)
    assert trace.steps[1] == ("fault", "unable to open database file")
    assert one.exists() == outcome


def test_columns_that_mean_nothing_are_a_fault_even_without_a_row(house):
    one = house(query="SELECT name AS username, hash AS passwort FROM users WHERE name = :user")
    assert one.check(trace=(trace := Trace())) == model.unavailable(Reason.DATABASE_FAILED)
    assert "'passwort', which means nothing here; did you mean \"password\"?" in trace.steps[1][1]


def test_a_name_that_the_database_cannot_write_is_unknown(house, monkeypatch):
    async def nobody(_database, _parameters, read, **_named):
        return read(NOBODY)

    one = house(row())
    monkeypatch.setattr(Database, "ask", nobody)
    assert one.check() is model.USER_UNKNOWN


def test_too_much_work_is_an_outage_not_a_no(house):
    one = house(row())
    one.hashing.overloaded = True
    assert one.check() == model.unavailable(Reason.OVERLOADED)


def test_the_probe_tells_what_it_finds(house):
    one = house(row())
    trace = Trace()
    assert now(one.checker.probe(trace)) is model.USER_EXISTS
    steps = dict(trace.steps)
    assert steps["database"] == f"sqlite://{one.path}"
    assert steps["server"].startswith("SQLite 3.")
    assert "for reading alone" in steps["account"]
    assert "no row" in steps["found"]


def test_the_probe_warns_of_passwords_in_plain_text(house):
    one = house(row(password="wonderland"), hashes=["plain"], insecure_plain_passwords=True)
    trace = Trace()
    now(one.checker.probe(trace))
    assert "who reads the table reads them all" in dict(trace.steps)["passwords"]
    assert one.check() is model.PASSWORD_MATCHES
    assert one.check(password="x") is model.PASSWORD_MISMATCH


def test_the_probe_fails_where_the_query_does(house):
    one = house(query="SELECT 1 AS usr WHERE :user = 'x'")
    assert now(one.checker.probe(Trace())) == model.unavailable(Reason.DATABASE_FAILED)
    two = house(row("x"), query=QUERY.replace("name = :user", "'x' <> :user"), script="SELECT 1")
    assert now(two.checker.probe(trace := Trace())) == model.unavailable(Reason.DATABASE_FAILED)
    assert "somebody who is not there" in trace.steps[-1][1]


def test_its_settings_are_read_as_those_of_a_kind(tmp_path):
    path = tables.make(tmp_path, TABLE, [row()])
    data = {"kind": "sql", "url": f"sqlite://{path}", "query": QUERY, "hashes": ["sha512-crypt"]}
    mistakes = Mistakes()
    found = CheckerSettings.read(Table(data, "checkers.site", mistakes, tmp_path))
    assert list(mistakes) == []
    assert found is not None
    assert (found.knows_users, found.recognises, found.at_once) == (True, False, 8)


def test_a_checker_asks_in_threads_of_its_own_and_ends_them(tmp_path):
    path = tables.make(tmp_path, TABLE, [row()])
    reactor = tables.Reactor()
    surroundings = Surroundings(reactor, Inline(), lambda: NOW, random.random)
    checker = sql.make_checker(tables.good(tmp_path, path, query=QUERY), surroundings)
    assert isinstance(checker, sql.SqlChecker)
    before = set(threading.enumerate())  # of which some may end meanwhile: they are of other tests
    answers = []
    for _ in range(3):
        asking = Deferred.fromCoroutine(checker.check_password(ALICE, Secret(b"wonderland"), None))
        asking.addCallback(answers.append)
    reactor.turn_until(lambda: len(answers) == 3)
    assert [answer.verdict for answer in answers] == [Verdict.ACCEPTED] * 3
    own = set(threading.enumerate()) - before
    assert own
    for stop in surroundings.at_stop:
        stop()
    assert not any(thread.is_alive() for thread in own)
