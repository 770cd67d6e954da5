"""`authbridge-extauth --standalone` as a program, above all where it has no configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.cli.folders import LIMIT, ROOT, configuration, short_folder, write

MODULE = [sys.executable, "-m", "authbridge.cli.standalone"]
ALICE = b"auth:alice:example.org:wonderland"
OTHER = b"auth:alice:example.org:looking-glass"
BOB_EXISTS = b"isuser:bob:example.org"
SETPASS = b"setpass:alice:example.org:x"


class Program:
    """One between two pipes, as ejabberd has it."""

    def __init__(self, folder, *arguments, command=MODULE):
        self.stderr = folder / "stderr"
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0,
                cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"},
            )  # fmt: skip

    def write(self, *frames):
        self.process.stdin.write(b"".join(len(f).to_bytes(2, "big") + f for f in frames))

    def ask(self, *frames):
        """The answers to these frames, one after the other."""
        self.write(*frames)
        return self.read(4 * len(frames))

    def read(self, count):
        """So many octets of its answers, in however many pieces they come."""
        octets = b""
        while len(octets) < count:
            piece = self.process.stdout.read(count - len(octets))
            assert piece, self.said()
            octets += piece
        return octets

    def said(self):
        return self.stderr.read_text()

    def wait_for(self, condition):
        # It looks at its configuration the more seldom, the longer the last look has taken.
        end = time.monotonic() + LIMIT
        while not condition():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def wait_for_service(self):
        self.wait_for(lambda: self.ask(ALICE) == TRUE)
        assert self.ask(OTHER, BOB_EXISTS, ALICE) == FALSE + FALSE + TRUE

    def end(self):
        """The end of its input; nothing was said but the answers."""
        self.process.stdin.close()
        assert self.process.stdout.read() == b""
        assert self.process.wait(LIMIT) == 0


@pytest.fixture
def folder():
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start(folder):
    programs = []

    def start(*arguments, **how):
        programs.append(Program(folder, *arguments, **how))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        with program.process:
            pass  # closes its pipes, and waits for it


def change(path, old, new):
    text = path.read_text()
    assert old in text
    write(path, text.replace(old, new))


BROKEN_KIND = """
def make_checker(settings, surroundings): ...
def read_settings(table):
    raise RuntimeError("through-the-glass")
"""


def break_kind(path):
    (path.parent / "own").mkdir()
    write(path.parent / "own" / "broken.py", BROKEN_KIND)
    change(path, 'kind = "file"', 'kind = "own.broken"')


def become_a_folder(path):
    path.unlink()
    path.mkdir()


SPOILT = {
    "missing": (lambda path: path.unlink(), "No such file or directory"),
    "unreadable": (become_a_folder, "Is a directory"),
    "not TOML": (lambda path: change(path, "[log]", "[log"), "is not TOML"),
    "not UTF-8": (lambda path: path.write_bytes(b"# \xff"), "is not UTF-8"),
    "a wrong key": (lambda path: change(path, "[log]", "[lgo]"), 'did you mean "log"?'),
    "open users": (lambda path: (path.parent / "users").chmod(0o644), "users is open to others"),
    "a broken kind": (break_kind, "cannot be used: RuntimeError"),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILT.values(), ids=SPOILT.keys())
def test_with_a_configuration_that_cannot_be_used_it_stays_and_refuses(folder, start, spoil, words):
    path = configuration(folder)
    spoil(path)
    program = start("--config", path)
    for _ in range(2):
        assert program.ask(ALICE, BOB_EXISTS, SETPASS, b"") == FALSE + TRUE + ERROR + FALSE
    program.end()
    assert words in program.said()
    assert "out of service" in program.said()
    assert "Traceback" not in program.said()
    assert "through-the-glass" not in program.said()


@pytest.mark.parametrize("arguments", [(), ("--config",), ("--cfg", "x"), ("--config", "x", "y")])
def test_with_wrong_arguments_it_stays_and_refuses(start, arguments):
    program = start(*arguments)
    assert program.ask(ALICE, BOB_EXISTS, SETPASS) == FALSE + TRUE + ERROR
    program.end()
    assert "usage: authbridge-extauth --standalone --config FILE" in program.said()


def test_it_ends_when_nobody_reads_its_refusals(folder, start):
    program = start("--config", folder / "missing")
    assert program.ask(ALICE) == FALSE
    program.process.stdout.close()
    program.write(ALICE)
    assert program.process.wait(LIMIT) == 0
    assert "Traceback" not in program.said()


def test_it_serves_in_the_same_process_when_its_configuration_is_mended(folder, start):
    path = configuration(folder)
    change(path, "[log]", "[lgo]")
    program = start("--config", path)
    assert program.ask(ALICE) == FALSE
    change(path, "[lgo]", "[lof]")
    program.wait_for(lambda: "lof: there is no such setting" in program.said())
    assert program.ask(ALICE) == FALSE
    change(path, "[lof]", "[log]")
    program.wait_for_service()
    program.end()
    assert f"authbridge-extauth[{program.process.pid}]: {path} can be used" in program.said()
    assert "password_mismatch" in program.said()  # the log goes where it should


def test_it_serves_when_another_file_was_what_had_to_be_mended(folder, start):
    path = configuration(folder)
    (folder / "users").chmod(0o644)
    program = start("--config", path)
    assert program.ask(ALICE) == FALSE
    (folder / "users").chmod(0o600)
    program.wait_for_service()
    program.end()


def test_what_is_there_for_listeners_alone_keeps_it_from_nothing(folder, start):
    path = configuration(folder)
    become_a_folder(folder / "secret")
    program = start("--config", path)
    assert program.ask(ALICE, OTHER, BOB_EXISTS) == TRUE + FALSE + FALSE
    program.end()
    assert "secret" not in program.said()


def test_a_configuration_that_is_spoilt_later_is_that_of_the_next_start(folder, start):
    path = configuration(folder)
    program = start("--config", path)
    assert program.ask(ALICE) == TRUE
    change(path, "[log]", "[lgo]")
    assert program.ask(ALICE, OTHER) == TRUE + FALSE
    assert start("--config", path).ask(ALICE) == FALSE
    path.unlink()
    assert program.ask(ALICE, OTHER) == TRUE + FALSE
    program.end()


@pytest.mark.parametrize("spoilt", [False, True])
def test_it_does_without_a_stderr(folder, start, spoilt):
    path = configuration(folder)
    if spoilt:
        change(path, "[log]", "[lgo]")
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *MODULE]
    program = start("--config", path, command=shell)
    assert program.ask(ALICE, OTHER) == (FALSE if spoilt else TRUE) + FALSE
    change(path, "[lgo]" if spoilt else "[log]", "[log]")
    program.wait_for_service()
    program.end()


def test_thousands_of_requests_in_one_piece_are_all_answered_in_order(folder, start):
    program = start("--config", configuration(folder))
    requests, answers = (OTHER[:-1], SETPASS, b"", BOB_EXISTS), FALSE + ERROR + FALSE + FALSE
    program.write(ALICE, *requests * 500)
    assert program.read(4) == TRUE
    assert program.read(500 * len(answers)) == answers * 500
    program.end()


def test_help_goes_where_it_is_no_answer(start):
    program = start("--help")
    assert program.process.stdout.read() == b""
    assert program.process.wait(LIMIT) == 0
    assert "--config FILE" in program.said()
