"""The store in an SQLite file keeps the contract, and survives what happens to files."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from authbridge.model import Reason
from authbridge.stores import sqlite_file, sqlite_operations
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import (
    EVER,
    Claim,
    Find,
    NoteSeen,
    Operation,
    Seen,
    StoreFault,
    Withdraw,
)
from authbridge.stores.sqlite import SqliteStore
from authbridge.stores.sqlite_operations import SCRIPTS
from authbridge.tokens import temporary
from tests.stores.contract import Course, DurableContract, long_course
from tests.stores.examples import ALICE, BOB, T0, ask, consume, digest, id_, issue, sweep

VALID = Reason.TOKEN_VALID
USED = Reason.TOKEN_USED


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.sqlite3"


@pytest.fixture
def new_store(path):
    opened = []

    def new_store(create=True, scripts=SCRIPTS):
        opened.append(SqliteStore(path, create=create, scripts=scripts))
        return opened[-1]

    yield new_store
    for store in opened:
        store.close()


@pytest.fixture
def store(new_store):
    store = new_store()
    store.open()
    return store


class TestSqliteStore(DurableContract):
    """The contract, over a file."""


# The same as memory, whatever is asked


@given(Course.events)
def test_random_courses_are_those_of_memory(events):
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "state", create=True)
        store.open()
        try:
            Course.check(store, MemoryStore(), events, _reopened)
        finally:
            store.close()


@pytest.mark.parametrize("seed", range(6))
def test_long_courses_are_those_of_memory(store, seed):
    Course.check(store, MemoryStore(), long_course(seed, 400), _reopened)


def _reopened(store):
    store.close()
    store.open()
    return store


# Files and folders


def refusal(store):
    with pytest.raises(StoreFault) as caught:
        store.open()
    return caught.value


def mode(path):
    return path.stat().st_mode & 0o777


def test_file_and_folder_are_made_for_their_owner_alone(tmp_path):
    path = tmp_path / "new" / "state"
    before = os.umask(0)
    try:
        store = SqliteStore(path, create=True)
        store.open()
        ask(store, issue("t"))
        assert mode(path.parent) == 0o700
        assert {one.name: mode(one) for one in path.parent.iterdir()} == {
            "state": 0o600,
            "state-wal": 0o600,
        }
        store.close()
    finally:
        os.umask(before)


def test_one_folder_is_made_and_not_those_above_it(tmp_path):
    fault = refusal(SqliteStore(tmp_path / "a" / "b" / "state", create=True))
    assert "No such file" in fault.words
    assert not fault.refused
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["state", "folder/state"])
def test_who_only_looks_makes_neither_file_nor_folder(tmp_path, name):
    fault = refusal(SqliteStore(tmp_path / name, create=False))
    assert fault.refused
    assert "is not there" in fault.words
    assert list(tmp_path.iterdir()) == []


def test_who_only_looks_finds_what_is_there(store, new_store):
    ask(store, issue("t"))
    store.close()
    looking = new_store(create=False)
    looking.open()
    assert ask(looking, Find(id_("t"))).jid == ALICE


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o620, 0o601])
@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
def test_a_file_that_is_open_to_others_is_refused(store, path, loose, end):
    store.close()
    side = path.with_name(path.name + end)
    side.touch()
    side.chmod(loose)
    fault = refusal(store)
    assert fault.refused
    assert fault.words == f"is open to others (mode {loose:03o}); chmod 600 {side}"
    side.chmod(0o600)
    store.open()


@pytest.mark.parametrize("loose", [0o770, 0o707, 0o1777, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(store, path, loose):
    store.close()
    path.parent.chmod(loose)
    fault = refusal(store)
    path.parent.chmod(0o755)
    assert fault.refused
    assert fault.words.endswith(f"chmod go-w {path.parent}")
    store.open()


def test_a_file_of_somebody_else_is_refused_but_root_may_look(store, new_store, monkeypatch):
    ask(store, issue("t"))
    store.close()
    # Whoever runs this, the files are somebody else's then.
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 4711)
    for one in (new_store(), new_store(create=False)):
        fault = refusal(one)
        assert fault.refused
        assert f"belongs to uid {os.getuid()}; chown {os.getuid() + 4711} /" in fault.words
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    new_store(create=False).open()


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    owner = tmp_path.stat()
    fields = list(owner)
    fields[4] = os.geteuid() + 4711
    monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result(fields))
    fault = refusal(SqliteStore(tmp_path / "state", create=True))
    assert fault.refused
    assert fault.words.startswith(f"{tmp_path} belongs to uid")


def test_what_is_no_file_is_refused(new_store, path):
    path.mkdir(mode=0o700)
    assert "is not a file" in refusal(new_store()).words


def test_a_folder_that_is_a_link_is_the_one_it_leads_to(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    store = SqliteStore(link / "state", create=True)
    store.open()
    assert store.sweep(T0, T0) is False
    store.close()
    real.chmod(0o777)
    assert refusal(store).words == f"others may write to its folder; chmod go-w {real}"
    real.chmod(0o700)
    store.open()
    link.unlink()
    link.symlink_to(tmp_path)
    with pytest.raises(StoreFault, match="was removed or replaced"):
        store.sweep(T0, T0)


@pytest.mark.parametrize("leads", ["to a file", "to nothing", "to a folder"])
@pytest.mark.parametrize("create", [False, True])
def test_a_link_is_refused_and_where_it_leads_is_left_alone(new_store, path, leads, create):
    """Somebody else's file may be there: nobody is told what to change about that."""
    theirs = path.with_name("theirs")
    if leads == "to a file":
        theirs.touch()
        theirs.chmod(0o644)
    elif leads == "to a folder":
        theirs.mkdir()
    path.symlink_to(theirs)
    before = sorted(path.parent.iterdir())
    fault = refusal(new_store(create=create))
    assert fault.refused
    assert fault.words == "is a symbolic link; name the file itself"
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize("end", sqlite_file.SIDE_FILES)
def test_a_link_beside_the_file_is_refused(store, path, end):
    store.close()
    side = path.with_name(path.name + end)
    theirs = path.with_name("theirs")
    theirs.touch()
    theirs.chmod(0o644)
    side.symlink_to(theirs)
    fault = refusal(store)
    assert fault.refused
    assert fault.words == f"{side} is a symbolic link; remove it"
    side.unlink()
    store.open()


def test_any_name_will_do(tmp_path):
    store = SqliteStore(tmp_path / "a?mode=memory#%41 'b'", create=True)
    store.open()
    ask(store, NoteSeen(ALICE))
    store.close()
    assert [one.name for one in tmp_path.iterdir()] == ["a?mode=memory#%41 'b'"]


# What is in the file


def test_a_database_of_another_program_is_left_as_it_is(new_store, path):
    """Though its log has not been written back, and would be by whoever closes it."""
    other = sqlite3.connect(path.with_name("other"), isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("CREATE TABLE t (a)")
    for end in ("", "-wal"):
        shutil.copy(path.with_name("other" + end), path.with_name(path.name + end))
        path.with_name(path.name + end).chmod(0o600)
    other.close()
    before = contents(path)
    fault = refusal(new_store())
    assert fault.refused
    assert fault.words == "is a database of another program"
    assert contents(path) == before


@pytest.mark.parametrize("garbage", [b"xy", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_what_is_no_database_is_left_as_it_is(new_store, path, garbage):
    path.write_bytes(garbage)
    path.chmod(0o600)
    fault = refusal(new_store())
    assert fault.refused
    assert contents(path) == {path.name: garbage}


def contents(path):
    found = path.parent.glob(path.name + "*")
    return {one.name: one.read_bytes() for one in found if not one.name.endswith("-shm")}


def test_an_empty_file_is_a_new_one(new_store, path):
    path.touch(mode=0o600)
    store = new_store()
    store.open()
    assert store.mark == 0.0
    assert ask(store, issue("t"))


def test_who_only_looks_makes_nothing_in_an_empty_file(new_store, path):
    path.touch(mode=0o600)
    with pytest.raises(sqlite_file.Unready) as caught:
        new_store(create=False).open()
    assert caught.value.refused
    assert caught.value.words == "is empty; the daemon will make what belongs in it when it starts"
    assert contents(path) == {path.name: b""}


NEW: sqlite_file.Scripts = (
    *SCRIPTS,
    ("ALTER TABLE seen ADD COLUMN first REAL", "UPDATE seen SET first = 7"),
)


def test_an_older_version_is_brought_up_to_date(store, new_store, path):
    store.run([issue("t"), NoteSeen(ALICE)], T0)
    store.close()
    newer = new_store(scripts=NEW)
    newer.open()
    assert newer.mark == T0
    assert ask(newer, consume("t")) is VALID
    newer.close()
    assert rows(path, "SELECT * FROM seen") == [(ALICE, 7)]
    assert rows(path, "PRAGMA user_version") == [(len(NEW),)]
    newer.open()  # and once only


def test_who_only_looks_leaves_an_older_version_as_it_is(store, new_store, path):
    ask(store, NoteSeen(ALICE))
    store.close()
    before = contents(path)
    with pytest.raises(sqlite_file.Unready) as caught:
        new_store(create=False, scripts=NEW).open()
    assert caught.value.refused
    assert caught.value.words == ("is of version 1; the daemon will bring it to 2 when it starts")
    assert contents(path) == before
    store.open()


def rows(path, statement):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_a_step_to_a_new_version_is_made_as_a_whole_or_not_at_all(store, new_store, path):
    ask(store, NoteSeen(ALICE))
    store.close()
    broken = (*SCRIPTS, (*NEW[-1], "CREATE TABLE seen (a)"))
    with pytest.raises(sqlite3.OperationalError):
        new_store(scripts=broken).open()
    assert rows(path, "SELECT * FROM seen") == [(ALICE,)]
    assert rows(path, "PRAGMA user_version") == [(len(SCRIPTS),)]
    store.open()


def test_a_newer_version_is_left_as_it_is(new_store, path):
    newer = new_store(scripts=NEW)
    newer.open()
    ask(newer, issue("t"))
    newer.close()
    before = contents(path)
    fault = refusal(new_store())
    assert fault.refused
    assert fault.words == "was written by a newer authbridge (version 2, not 1)"
    assert contents(path) == before


def test_a_database_that_lacks_a_table_is_our_fault_and_no_answer(store, path):
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE mark")
    connection.close()
    with pytest.raises(sqlite3.OperationalError):
        store.open()
    assert (
        other_process(
            OPEN.replace("StoreFault as", "Exception as").replace(
                "fault.refused, fault.words", "fault"
            ),
            path,
        )
        == "no such table: mark"
    )


def test_no_octet_of_a_token_is_in_the_files(store, path):
    tokens = [temporary.make(bytes([n + 65]) * 32) for n in range(20)]
    digests = [temporary.digest(token.encode()) for token in tokens]
    batch: list[Operation] = []
    for one in digests:
        asked = issue("t")
        batch += [type(asked)(one, ALICE, 60.0, 1, "website"), type(consume("t"))(one, ALICE)]
    assert VALID in store.run(batch, T0)
    for _ in range(2):
        kept = b"".join(contents(path).values())
        assert digests[0][:16] in kept
        for token, octets in zip(tokens, (bytes([n + 65]) * 32 for n in range(20)), strict=True):
            assert token.encode() not in kept
            assert token[6:].encode() not in kept
            assert octets not in kept
        store.close()


def test_what_changes_nothing_writes_nothing(store, path):
    store.run([issue("t"), consume("t"), NoteSeen(ALICE)], T0)
    log = path.with_name(path.name + "-wal")
    before = log.stat().st_size
    store.run([consume("t"), consume("u"), NoteSeen(ALICE), Seen(ALICE)], T0 + 1)
    assert store.sweep(T0 + 2, T0 + 2) is False
    assert log.stat().st_size == before


def test_the_log_does_not_stay_as_long_as_it_ever_was(store, path):
    log = path.with_name(path.name + "-wal")
    for n in range(3):
        store.run([issue(f"{n} {i}", f"{i % 180}@a") for i in range(60_000)], T0)
    assert log.stat().st_size > sqlite_file.LARGEST_LOG
    for n in range(5):
        store.run([issue(f"small {n}")], T0)
    assert log.stat().st_size <= sqlite_file.LARGEST_LOG


@pytest.mark.parametrize("statement", ["_HAS_MOST", "_ISSUE", "_LIST", "_REVOKE_ALL"])
def test_of_a_user_nothing_that_is_over_is_gone_through(store, statement):
    """However much of it there is: the index has what can be used alone."""
    wanted = getattr(sqlite_operations, statement)
    connection = store._cursor.connection
    parameters = (None,) * (9 if statement == "_ISSUE" else 2)  # of no matter here
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {wanted}", parameters)]
    steps = [step for step in plan if step.startswith(("SEARCH", "SCAN token"))]
    assert steps == ["SEARCH token USING INDEX token_usable (jid=? AND expires>?)"]


# One process


OPEN = """
import sys
from pathlib import Path
from authbridge.stores.operations import StoreFault
from authbridge.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), create=True)
try:
    store.open()
except StoreFault as fault:
    print(fault.refused, fault.words)
"""
IN_USE = "is in use by another process; several daemons need Redis"
IN_USE_SAID = f"True {IN_USE}"


def other_process(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True
    )
    assert not done.stderr
    return done.stdout.strip()


def test_a_second_process_is_refused(store, path):
    assert other_process(OPEN, path) == IN_USE_SAID
    ask(store, issue("t"))
    assert other_process(OPEN, path) == IN_USE_SAID
    store.close()
    assert other_process(OPEN, path) == ""


def test_a_second_store_of_this_process_is_refused_and_takes_no_lock_away(store, new_store, path):
    assert refusal(new_store()).words == IN_USE
    assert other_process(OPEN, path) == IN_USE_SAID
    assert ask(store, issue("t"))


def test_of_two_processes_that_make_the_file_at_once_one_has_it_at_most(tmp_path):
    """They may be in each other's way, so that neither has it; then either can try again."""
    hold = OPEN + "else:\n    print('open')\n    sys.stdout.flush()\n    sys.stdin.read()\n"
    for n in range(5):
        path = tmp_path / f"state{n}"
        both = [
            subprocess.Popen(
                [sys.executable, "-c", hold, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        lines = {one.stdout.readline().strip() for one in both}
        for one in both:
            one.communicate()
        # It was locked, or in the making.
        refused = {IN_USE_SAID, f"False cannot be opened: {path}: File exists"}
        assert lines & refused
        assert lines <= refused | {"open"}
        assert other_process(OPEN, path) == ""
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]


LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 512, 0x40000000)  # as SQLite does (os_unix.c)
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_file_whose_first_pages_are_just_being_written_is_in_use_and_not_damaged(
    store, new_store, path
):
    """The first page says how many there will be."""
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096])
    with subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        assert refusal(new_store()).words == IN_USE
        other.stdin.close()
    assert refusal(new_store()).words.startswith("is damaged")  # should it have ended there
    path.write_bytes(whole)
    new_store().open()


# Faults


def test_on_a_full_disk_a_batch_is_undone_and_what_is_there_is_read(store):
    """SQLite's own limit gives SQLITE_FULL, as a disk does."""
    ask(store, issue("t"))
    connection = store._cursor.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages + 1}")
    batch = [consume("t"), NoteSeen(ALICE), *(issue(f"n{n}") for n in range(200))]
    with pytest.raises(StoreFault) as caught:
        store.run(batch, T0)
    assert caught.value.words.startswith("the disk is full")
    assert not caught.value.lost
    assert not caught.value.refused
    assert ask(store, Seen(ALICE)) is False
    assert ask(store, Find(id_("t"))).uses == 1
    connection.execute("PRAGMA max_page_count=100000")
    assert store.run(batch, T0)[0] is VALID


LIMITED = """
import resource, sys
from pathlib import Path
from authbridge.stores.operations import Find, StoreFault
from authbridge.stores.sqlite import SqliteStore
from tests.stores.examples import *
store = SqliteStore(Path(sys.argv[1]), create=True)
store.open()
store.run([issue("t"), issue("spare", uses=None)], T0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
issued = 0
try:
    for issued in range(10_000):
        store.run([issue(f"n{issued}", f"{issued % 99}@a")], T0)
except StoreFault as fault:
    print(fault.lost, fault.refused, fault.words)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # not a page more
try:
    print(store.run([consume("t")] * 2, T0))
except StoreFault as fault:
    print("not used:", fault.lost)
print(ask(store, Find(id_("t"))).uses, ask(store, Find(id_(f"n{issued}"))))
print(ask(store, Find(id_(f"n{issued - 1}"))).uses)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([one.value for one in store.run([consume("t")] * 2, T0)])
store.close()
"""


def test_where_the_file_may_not_grow_a_use_is_no_use_and_all_heals(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    assert other_process(LIMITED, path).splitlines() == [
        "False False cannot be written to (disk I/O error)",
        "not used: False",
        "1 None",
        "1",
        "['token_valid', 'token_used']",
    ]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


WRITER = """
import itertools, sys
from pathlib import Path
from authbridge.stores.sqlite import SqliteStore
from tests.stores.examples import *
store = SqliteStore(Path(sys.argv[1]), create=True)
store.open()
for n in itertools.count():
    store.run([issue(f"{n} {i}") for i in range(20)], T0)
    print("issued", n, flush=True)
    store.run([consume(f"{n} {i}") for i in range(20)], T0)
    print("used", n, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 7, 40, 301])
def test_what_was_answered_is_there_after_a_kill(new_store, path, monkeypatch, lines):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    told = list(itertools.islice(writer.stdout, lines))
    writer.send_signal(signal.SIGKILL)
    told += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    store = new_store()
    store.open()
    assert store.mark == T0
    answered = {tuple(line.split()) for line in told}
    last = len(told) // 2 + 1
    for n in range(last + 1):
        uses = {
            None if found is None else found.uses
            for found in store.run([Find(id_(f"{n} {i}")) for i in range(20)], T0)
        }
        assert len(uses) == 1  # of a batch all, or nothing
        if ("used", str(n)) in answered:
            assert uses == {0}
        elif ("issued", str(n)) in answered:
            assert uses <= {0, 1}
    store.close()
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


GONE = (
    "was removed or replaced while it was in use; what was used and revoked is not known any more:"
    " put it back, or restart authbridge to go on with what is there"
)


def is_missed(store, now=T0):
    """The next sweep says so, and so does whoever opens it."""
    with pytest.raises(StoreFault) as caught:
        store.sweep(now, now)
    assert (caught.value.words, caught.value.lost, caught.value.refused) == (GONE, True, True)
    store.close()
    return is_refused(store)


def is_refused(store):
    for _ in range(2):
        fault = refusal(store)
        assert (fault.words, fault.lost, fault.refused) == (GONE, True, True)
    return True


def test_a_file_that_is_removed_is_missed_and_not_made_again(store, new_store, path):
    ask(store, issue("t"))
    path.unlink()
    assert is_missed(store)
    assert not path.exists()
    restarted = new_store()
    restarted.open()
    restarted.close()
    assert is_refused(store)  # though the new file may have the number of the old one


def test_a_file_that_is_put_back_is_well_again(store, new_store, path):
    store.run([issue("t"), issue("u"), consume("u")], T0)
    away = path.with_name("away")
    path.rename(away)
    assert is_missed(store)
    path.touch(mode=0o600)  # something else
    assert is_refused(store)
    away.replace(path)
    store.open()
    assert store.run([consume("t"), consume("u")], T0) == [VALID, USED]
    assert store.sweep(T0, T0) is False


def test_a_file_that_is_moved_and_linked_to_is_missed(store, path):
    ask(store, issue("t"))
    away = path.with_name("away")
    path.rename(away)
    path.symlink_to(away)
    assert is_missed(store)
    away.replace(path)
    store.open()
    assert ask(store, consume("t")) is VALID


def copied(path, name):
    copy = path.with_name(name)
    shutil.copy(path, copy)
    copy.chmod(0o600)
    return copy


def test_an_older_copy_in_place_of_the_file_is_refused_until_a_restart(store, new_store, path):
    store.run([issue("old"), issue("older")], T0)
    store.close()
    backup = copied(path, "backup")
    store.open()
    store.run([consume("old"), issue("new")], T0 + 5)
    backup.replace(path)
    assert is_missed(store, T0 + 5)
    assert store.mark == T0 + 5
    with pytest.raises(StoreFault):
        ask(store, consume("old"), T0 + 5)
    restarted = new_store()
    restarted.open()
    assert restarted.run([Find(id_("new")), consume("old")], T0 + 5) == [None, VALID]


@pytest.mark.parametrize("emptied", [False, True])
def test_an_older_copy_or_nothing_in_the_file_itself_is_refused(store, path, emptied):
    """It is the same file, by its number."""
    ask(store, issue("old"))
    store.close()
    older = path.read_bytes()
    store.open()
    ask(store, consume("old"), T0 + 5)
    store.close()
    newer = path.read_bytes()
    path.write_bytes(b"" if emptied else older)
    before = contents(path)
    assert is_refused(store)
    assert contents(path) == before
    path.write_bytes(newer)
    store.open()
    assert ask(store, consume("old"), T0 + 5) is USED


def test_a_file_that_was_never_open_may_come_and_go(new_store, path):
    store = new_store()
    path.write_bytes(b"no database at all")
    path.chmod(0o600)
    refusal(store)
    path.unlink()
    store.open()
    assert ask(store, issue("t"))


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_that_is_moved_away_takes_along_what_is_in_the_log(store, path, damaged):
    store.run([issue(f"{n}", f"{n % 9}@a") for n in range(2000)], T0)
    moved = path.with_name("moved")
    log = path.with_name(path.name + "-wal")
    path.rename(moved)
    if damaged:
        os.truncate(log, 100_000)
    store.close()
    if not damaged:
        assert log.stat().st_size == 0
        assert rows(moved, "SELECT count(*) FROM token") == [(2000,)]


def test_a_damaged_file_is_lost_and_no_answer(store, path):
    store.run([issue(f"{n}", f"{n % 9}@a") for n in range(2000)], T0)
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    with pytest.raises(StoreFault) as caught:
        store.open()
        store.run([consume(f"{n}") for n in range(2000)], T0)
    assert caught.value.lost
    assert caught.value.refused
    assert caught.value.words.startswith("is damaged")


def test_a_file_that_fails_to_be_read_is_lost(store, path):
    """A log that was cut off under us: SQLite reads less than was there (SQLITE_IOERR_SHORT_READ),
    or nonsense."""
    store.run([issue(f"{n}", f"{n % 90}@a") for n in range(20_000)], T0)
    os.truncate(path, 4096)
    os.truncate(path.with_name(path.name + "-wal"), 0)
    store._cursor.connection.execute("PRAGMA shrink_memory")
    with pytest.raises(StoreFault) as caught:
        store.run([consume(f"{n}") for n in range(20_000)], T0)
    assert caught.value.lost


@pytest.mark.parametrize(
    ("code", "lost", "refused"),
    [
        (sqlite3.SQLITE_FULL, False, False),
        (sqlite3.SQLITE_READONLY, False, False),
        (sqlite3.SQLITE_READONLY_DBMOVED, False, False),
        (sqlite3.SQLITE_IOERR_WRITE, False, False),
        (sqlite3.SQLITE_IOERR_READ, True, False),
        (sqlite3.SQLITE_IOERR_FSYNC, True, False),
        (sqlite3.SQLITE_IOERR_LOCK, True, False),
        (sqlite3.SQLITE_CANTOPEN, True, False),
        (sqlite3.SQLITE_BUSY, True, True),
        (sqlite3.SQLITE_CORRUPT, True, True),
        (sqlite3.SQLITE_NOTADB, True, True),
    ],
)
def test_errors_of_sqlite_have_their_meaning(code, lost, refused):
    error = sqlite3.OperationalError("its words")
    error.sqlite_errorcode = code
    fault = sqlite_file.fault_of(error)
    assert isinstance(fault, StoreFault)
    assert (fault.lost, fault.refused) == (lost, refused)


def test_a_mistake_of_ours_is_raised_as_it_is_and_nothing_of_the_batch_counts(store):
    bad = [
        (issue("t", jid="\ud800"), UnicodeEncodeError),
        (issue("t", ttl=float("nan")), sqlite3.IntegrityError),
        (issue("t", uses=2**64), OverflowError),
        (Withdraw(b"s", None, EVER, EVER), sqlite3.IntegrityError),
        (Operation(), KeyError),
    ]
    for wrong, error in bad:
        with pytest.raises(error):
            store.run([NoteSeen(BOB), wrong], T0)
        assert ask(store, Seen(BOB)) is False
    assert ask(store, issue("t"))


def test_a_store_that_is_not_open_says_so(new_store, store):
    for one in (new_store(), store):
        one.close()
        with pytest.raises(StoreFault) as caught:
            one.run([Seen(ALICE)], T0)
        assert caught.value.lost


def test_a_failed_opening_leaves_the_file_to_others(store, new_store, path):
    store.close()
    path.chmod(0o644)
    failed = new_store()
    refusal(failed)
    path.chmod(0o600)
    assert other_process(OPEN, path) == ""
    newer = new_store(scripts=NEW)
    newer.open()
    newer.close()
    refusal(failed)  # kept in the variable, and yet
    newer.open()


def test_a_sweep_takes_the_moment_down_where_something_has_expired(store, new_store, path):
    store.run([issue("t"), Claim((), T0, T0 + 50, T0 + 60, digest("c"))], T0)
    store.sweep(T0 + 30, T0 + 30)
    assert marks(store) == [(T0,)]
    store.sweep(T0 + 60, T0 + 60)
    assert marks(store) == [(T0 + 60,)]
    sweep(store, T0 + 70)
    assert marks(store) == [(T0 + 60,)]


def marks(store):
    return store._cursor.connection.execute("SELECT moment FROM mark").fetchall()
