"""`check-config --probe` of the state: whether a daemon that starts now could use it."""

from __future__ import annotations

import json
import os

import pytest

from authbridge.cli import state_probe
from authbridge.stores import redis
from authbridge.stores.operations import StoreFault
from authbridge.stores.redis_link import Link
from authbridge.stores.settings import StateSettings
from authbridge.stores.sqlite import SqliteStore
from authbridge.stores.sqlite_operations import SCRIPTS
from tests.cli.folders import configuration, write
from tests.stores.redis_server import RedisServer

CHECKER = """
[checkers.tokens]
kind = "token"
accept = ["temporary"]
"""


@pytest.fixture
def place(tmp_path):
    """Where the state is to be."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder / "tokens.sqlite3"


@pytest.fixture
def probe(tmp_path, here):
    """Call the command; its exit status, and what it printed of the state."""

    def probed(state, *arguments, checker=CHECKER):
        path = configuration(tmp_path)
        settings = f'[authbridge]\nstate = "{state}"\n'
        text = path.read_text()
        if checker:
            text = text.replace('check = ["local"]', 'check = ["tokens", "local"]')
        write(path, text + settings + checker)
        status, printed, error = here("check-config", path, "--probe", *arguments)
        assert error == ""
        return status, printed.removeprefix(f"{path}: the settings are good\n")

    return probed


def made(place):
    """A state that was used."""
    store = SqliteStore(place, create=True)
    store.open()
    return store


def test_a_file_that_is_there_is_opened(probe, place):
    made(place).close()
    well = f"[authbridge] state answers\n  state           {place} was opened\n"
    assert probe(place) == (0, well)
    status, printed = probe(place, "--json")
    assert status == 0
    assert json.loads(printed)["probes"] == {
        "authbridge.state": {
            "verdict": "accepted",
            "reason": "token_valid",
            "words": "tokens can be kept",
            "steps": [["state", f"{place} was opened"]],
        }
    }
    assert os.listdir(place.parent) == [place.name]


def test_a_file_that_a_daemon_uses_is_well(probe, place):
    store = made(place)
    said = f"{place} is in use, by a daemon that runs\n"
    status, printed = probe(place)
    assert status == 0
    assert printed.endswith(said)
    assert store.sweep(1.0, 1.0) is False  # and is not disturbed
    store.close()


def test_a_file_that_is_not_there_is_not_made(probe, place):
    status, printed = probe(place)
    assert status == 0
    assert printed.endswith(f"  state           {place} is made when the daemon starts\n")
    assert os.listdir(place.parent) == []
    place.parent.rmdir()
    status, printed = probe(place)
    assert status == 0
    assert printed.endswith(f"{place} is made when the daemon starts, and its folder\n")
    assert not place.parent.exists()


def test_an_empty_file_is_made_one_of_ours_by_the_daemon(probe, place):
    place.touch(mode=0o600)
    status, printed = probe(place)
    assert status == 0
    words = f"{place} is empty; the daemon will make what belongs in it when it starts\n"
    assert printed.endswith(words)
    assert place.read_bytes() == b""
    assert os.listdir(place.parent) == [place.name]


def test_an_older_version_is_brought_to_the_new_one_by_the_daemon(place):
    made(place).close()
    before = place.read_bytes()
    newer = SqliteStore(place, create=False, scripts=(*SCRIPTS, ("CREATE TABLE new (a)",)))
    words = f"{place} is of version 1; the daemon will bring it to 2 when it starts"
    assert state_probe.look(newer) == words
    assert place.read_bytes() == before
    made(place).close()


@pytest.mark.parametrize("there", [False, True])
def test_a_link_is_3(probe, place, there):
    real = place.with_name("real")
    if there:
        made(real).close()
    place.symlink_to(real)
    status, printed = probe(place)
    assert status == 3
    assert printed.endswith(f"{place} is a symbolic link; name the file itself\n")
    assert real.exists() is there


def test_what_a_daemon_would_refuse_is_3(probe, place):
    write(place, "this is no database, and long enough for its header to be looked at")
    status, printed = probe(place)
    assert status == 3
    assert printed == (
        "[authbridge] state fails: tokens cannot be kept\n"
        f"  fault           {place} is no SQLite database; move it away\n"
    )
    place.unlink()
    place.parent.chmod(0o770)
    status, printed = probe(place, "--json")
    assert status == 3
    found = json.loads(printed)["probes"]["authbridge.state"]
    assert (found["verdict"], found["reason"]) == ("unavailable", "state_unavailable")
    ((name, words),) = found["steps"]
    assert name == "fault"
    assert "others may write to its folder; chmod go-w" in words


def test_a_folder_that_is_not_there_is_3(probe, place):
    status, printed = probe(place.parent / "a" / "b" / "tokens.sqlite3")
    assert status == 3
    assert f"is not there, nor is its folder {place.parent}/a/b\n" in printed


def test_a_folder_that_cannot_be_written_to_is_a_fault(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(StoreFault) as caught:
        state_probe.probe(StateSettings(place, None))
    words = f"is not there, and this user may make nothing in {place.parent}"
    assert caught.value.words == words
    place.parent.rmdir()
    with pytest.raises(StoreFault, match="nor is its folder"):
        state_probe.probe(StateSettings(place, None))


def test_what_cannot_be_looked_at_is_a_fault(place):
    with pytest.raises(StoreFault) as caught:
        state_probe.probe(StateSettings(place.parent / ("x" * 300), None))
    assert caught.value.words.startswith("cannot be looked at: ")
    assert caught.value.words.endswith(": File name too long")


def test_a_state_that_nothing_needs_is_not_looked_at(probe, place):
    assert probe(place.parent / "a" / "b" / "c", checker="") == (0, "")


def test_a_redis_is_asked(probe, tmp_path, monkeypatch):
    # In the place of two seconds: it writes to its disk, which others may be busy with.
    monkeypatch.setattr(redis, "Link", lambda settings, _timeout: Link(settings, 60.0))
    server = RedisServer(tmp_path / "redis")
    url = f"redis://127.0.0.1:{server.port}/0"
    try:
        status, printed = probe(url)
        assert status == 0
        assert "[authbridge] state answers\n" in printed
        assert printed.endswith(" was opened\n")
    finally:
        server.stop()
    status, printed = probe(url)
    assert status == 3
    assert "[authbridge] state fails: tokens cannot be kept\n  fault           redis://" in printed
