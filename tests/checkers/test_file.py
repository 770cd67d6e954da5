"""Users from a file."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge import model, password_hash
from authbridge.checkers import Surroundings, file
from authbridge.checkers.file import Mistaken, Unreadable
from authbridge.model import JID, Reason, Trace
from authbridge.password_hash import Cost
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.workers import Overloaded
from tests.doubles import now

CHEAP = Cost(memory=8, passes=1, lanes=1)
ALICE = JID("alice", "example.org")
BOB = JID("bob", "example.org")


class Inline:
    """Workers that work at once, or, held, when they are let go."""

    def __init__(self):
        self.held: list[tuple[Deferred[None], str]] | None = None
        self.overloaded = False

    async def run(self, work: Callable[[], object]) -> object:
        if self.overloaded:
            raise Overloaded
        if self.held is not None:
            turn: Deferred[None] = Deferred()
            self.held.append((turn, work.__qualname__))
            await turn
        return work()


@pytest.fixture
def workers():
    return Inline()


class UsersFile:
    def __init__(self, path: Path):
        self.path = path
        self.hashes = {}

    def write(self, text: str | None = None, mode: int = 0o600, **passwords: str) -> None:
        lines = [f"{user}@example.org:{self.hash(p)}" for user, p in passwords.items()]
        content = "\n".join(["# users", "", *lines]) + "\n" if text is None else text
        new = self.path.with_suffix(".new")
        new.write_text(content)
        new.chmod(mode)
        new.replace(self.path)

    def hash(self, password: str) -> str:
        if password not in self.hashes:
            self.hashes[password] = password_hash.make(password.encode(), CHEAP)
        return self.hashes[password]


@pytest.fixture
def users(tmp_path):
    return UsersFile(tmp_path / "users")


@pytest.fixture
def checker(users, workers):
    users.write(alice="wonderland")
    return file.make_checker(
        file.FileSettings(users.path), Surroundings(Clock(), workers, time.time, random.random)
    )


def check(checker, jid, password, trace=None):
    return now(checker.check_password(jid, Secret(password.encode()), trace))


def test_the_right_password_is_accepted_and_no_other(checker):
    assert check(checker, ALICE, "wonderland") is model.PASSWORD_MATCHES
    assert check(checker, ALICE, "Wonderland") is model.PASSWORD_MISMATCH
    assert check(checker, BOB, "wonderland") is model.USER_UNKNOWN
    assert check(checker, JID("alice", "example.net"), "wonderland") is model.USER_UNKNOWN


def test_existence_needs_no_password(checker):
    assert now(checker.user_exists(ALICE, None)) is model.USER_EXISTS
    assert now(checker.user_exists(BOB, None)) is model.USER_UNKNOWN


def test_an_unknown_user_is_compared_with_a_hash_of_the_same_cost(checker, workers, monkeypatch):
    compared = []

    def verify(password, phc):
        compared.append(password_hash.read_cost(phc))
        return False

    monkeypatch.setattr(password_hash, "verify", verify)
    check(checker, ALICE, "x")
    check(checker, BOB, "x")
    assert compared == [CHEAP, CHEAP]


def test_a_change_of_the_file_counts_at_the_next_login(checker, users):
    assert check(checker, ALICE, "wonderland") is model.PASSWORD_MATCHES
    users.write(alice="looking-glass", bob="builder")
    assert check(checker, ALICE, "wonderland") is model.PASSWORD_MISMATCH
    assert check(checker, ALICE, "looking-glass") is model.PASSWORD_MATCHES
    users.write(bob="builder")
    assert check(checker, ALICE, "looking-glass") is model.USER_UNKNOWN


def test_a_file_that_has_not_changed_is_not_read_again(checker, workers):
    check(checker, ALICE, "x")
    workers.held = []
    pending = Deferred.fromCoroutine(checker.check_password(ALICE, Secret(b"x"), None))
    assert [name for _, name in workers.held] == ["FileChecker.check_password.<locals>.<lambda>"]
    workers.held[0][0].callback(None)
    now(pending)


def test_a_mistake_in_the_file_leaves_the_users_read_before_in_force(checker, users):
    check(checker, ALICE, "x")
    users.write("alice@example.org:wonderland\n")
    trace = Trace()
    assert check(checker, ALICE, "wonderland", trace) is model.PASSWORD_MATCHES
    assert "line 1: no argon2id hash" in trace.steps[0][1]
    assert "the users read before stay in force" in trace.steps[0][1]
    users.write(alice="looking-glass")
    assert check(checker, ALICE, "looking-glass") is model.PASSWORD_MATCHES


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.chmod(0o644)])
def test_a_file_that_is_gone_or_open_to_others_is_an_outage(checker, users, spoil):
    check(checker, ALICE, "x")
    spoil(users.path)
    for _ in range(2):
        outcome = check(checker, ALICE, "wonderland")
        assert outcome == model.unavailable(Reason.SOURCE_UNREADABLE)
        assert now(checker.user_exists(ALICE, None)) == outcome
    users.write(alice="wonderland")
    assert check(checker, ALICE, "wonderland") is model.PASSWORD_MATCHES


def test_many_logins_wait_for_one_reading_and_outlive_who_began_it(checker, workers):
    workers.held = []
    waiting = [
        Deferred.fromCoroutine(checker.user_exists(jid, None)) for jid in (ALICE, ALICE, BOB)
    ]
    assert len(workers.held) == 1
    waiting[0].addErrback(lambda failure: None).cancel()
    workers.held[0][0].callback(None)
    assert now(waiting[1]) is model.USER_EXISTS
    assert now(waiting[2]) is model.USER_UNKNOWN


def test_too_much_hashing_is_an_outage_not_a_no(checker, workers):
    check(checker, ALICE, "x")
    workers.overloaded = True
    assert check(checker, ALICE, "wonderland") == model.unavailable(Reason.OVERLOADED)


def test_too_much_work_to_read_the_file_is_an_outage_that_passes(checker, workers):
    workers.overloaded = True
    assert check(checker, ALICE, "wonderland") == model.unavailable(Reason.SOURCE_UNREADABLE)
    workers.overloaded = False
    assert check(checker, ALICE, "wonderland") is model.PASSWORD_MATCHES


def test_a_password_of_any_length_and_octets_is_compared(checker, users):
    for password in ("x" * 40_000, "çelik:ß", "a\nb", "a: b "):
        users.write(alice=password)
        assert check(checker, ALICE, password) is model.PASSWORD_MATCHES
        assert check(checker, ALICE, password + "x") is model.PASSWORD_MISMATCH


HASH = password_hash.make(b"x", CHEAP)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"alice:{HASH}", "no user@domain"),
        (f"a b@example.org:{HASH}", "no user@domain"),
        ("alice@example.org", "no argon2id hash"),
        ("alice@example.org:wonderland", "no argon2id hash"),
        (f"alice@example.org:{HASH} x", "no argon2id hash"),
        (f"alice@example.org:{HASH}\nAlice@Example.org:{HASH}", "has a line already"),
        ("alice@example.org:\u00e9", "is not UTF-8"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_not_repeated(line, said):
    with pytest.raises(Mistaken) as raised:
        file.parse(b"\n" + line.encode())
    assert said in str(raised.value)
    assert str(raised.value).startswith("line ")
    assert "wonderland" not in str(raised.value)


def test_many_wrong_lines_are_counted_not_listed():
    with pytest.raises(Mistaken) as raised:
        file.parse(b"x\n" * 30)
    assert str(raised.value).endswith("(and 20 more)")


def test_users_are_prepared_as_logins_are():
    assert list(file.parse(f"  Alice@Example.ORG.:{HASH}  \r\n".encode())) == [ALICE]


def test_the_settings_name_a_file_that_can_be_used(users, tmp_path):
    def read(data):
        mistakes = Mistakes()
        file.read_settings(Table(data, "checkers.local", mistakes, tmp_path))
        return list(mistakes)

    users.write(alice="wonderland")
    assert read({"path": "users"}) == []
    assert "is missing" in read({})[0]
    assert "No such file" in read({"path": "nowhere"})[0]
    users.write("alice\n")
    assert read({"path": "users"}) == [
        "checkers.local.path: line 1: no user@domain: there is no @ in it"
    ]


def test_a_trouble_that_passes_without_a_change_of_the_file_is_no_outage_for_ever(
    checker, users, monkeypatch
):
    check(checker, ALICE, "x")
    users.write(alice="looking-glass")
    open_path = Path.open

    def too_many(*arguments):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", too_many)
    for _ in range(2):
        outcome = check(checker, ALICE, "looking-glass", trace := Trace())
        assert outcome == model.unavailable(Reason.SOURCE_UNREADABLE)
        assert "Too many open files" in trace.steps[0][1]
    monkeypatch.setattr(Path, "open", open_path)
    assert check(checker, ALICE, "looking-glass") is model.PASSWORD_MATCHES


def test_a_first_file_with_a_mistake_is_an_outage(users, workers):
    users.write("alice\n")
    checker = file.FileChecker(users.path, workers)
    for _ in range(2):
        assert check(checker, ALICE, "x") == model.unavailable(Reason.SOURCE_UNREADABLE)


def test_a_file_that_is_too_large_is_refused(users, monkeypatch):
    users.write(alice="x")
    monkeypatch.setattr(file, "MOST_OCTETS", 10)
    with pytest.raises(Mistaken):
        file.load(users.path)


def test_a_fifo_or_a_folder_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo", 0o600)
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(Unreadable):
            file.load(path)


def test_reading_happens_in_the_workers_threads(checker, workers):
    workers.held = []
    Deferred.fromCoroutine(checker.user_exists(ALICE, None))
    assert [name for _, name in workers.held] == ["FileChecker._read_again.<locals>.<lambda>"]
    workers.held[0][0].callback(None)
