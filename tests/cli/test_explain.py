"""`authbridge explain`, as a person types it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.cli.folders import LIMIT, ROOT, configuration, run, short_folder


@pytest.fixture
def folder():
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("jid", "password", "status", "said"),
    [
        ("Alice@example.org", "wonderland", 0, "Login: accepted"),
        ("alice@example.org", "looking-glass", 1, "the password is wrong (password_mismatch)"),
        ("bob@example.org", "wonderland", 1, "user_unknown"),
        ("alice@example.com", "wonderland", 1, "is not"),
        ("alice", "wonderland", 1, "domain_unknown"),
    ],
)
def test_explain_walks_a_login_without_a_daemon(folder, jid, password, status, said):
    path = str(configuration(folder))
    done = run("explain", jid, "--config", path, "--password-stdin", stdin=f"{password}\n".encode())
    assert done.returncode == status
    if said != "is not":
        assert said in done.stdout.decode()
    assert password not in done.stdout.decode()
    assert done.stderr == b""


def test_explain_can_tell_json_and_needs_no_password_for_existence(folder):
    path = str(configuration(folder))
    done = run("explain", "alice@example.org", "--config", path, "--no-password", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["login"] is None
    assert told["exists"]["reason"] == "user_exists"


@pytest.mark.parametrize(
    ("password", "verdict", "answers"),
    [
        ("wonderland", "accepted",
         {"extauth": "00 02 00 01", "http": "200 true", "basic": "200 true", "json": "200 true"}),
        ("looking-glass", "rejected",
         {"extauth": "00 02 00 00", "http": "200 false", "basic": "401 false",
          "json": "200 false"}),
    ],
)  # fmt: skip
def test_explain_shows_the_id_and_what_each_caller_would_be_answered(
    folder, password, verdict, answers
):
    path = str(configuration(folder))
    command = ["explain", "alice@example.org", "--config", path, "--password-stdin"]
    told = json.loads(run(*command, "--json", stdin=f"{password}\n".encode()).stdout)
    assert told["login"]["verdict"] == verdict
    assert told["login"]["answers"] == answers
    ids = [told[part]["id"] for part in ("login", "exists")]
    assert all(re.fullmatch("[0-9a-f]{4}-[0-9a-f]+", one) for one in ids)
    assert ids[0] != ids[1]
    shown = run(*command, stdin=f"{password}\n".encode()).stdout.decode().splitlines()
    assert shown[1].startswith(f"Login: {verdict}")
    assert re.fullmatch(r"  id +[0-9a-f]{4}-[0-9a-f]+", shown[2])
    for name, answer in answers.items():
        assert f"  {'→ ' + name:<15} {answer}" in shown
    assert sum(line.startswith("  id ") for line in shown) == 2


def test_explain_of_an_outage_is_3(folder):
    """The file of users goes away between the configuration's check and the login."""
    path = str(configuration(folder))
    code = (
        "import os, sys; from authbridge import config; from authbridge.cli.main import main;"
        "users = sys.argv.pop(1); load = config.load;"
        "config.load = lambda path: (load(path), os.unlink(users))[0];"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = ["explain", "alice@example.org", "--config", path, "--password-stdin"]
    done = subprocess.run(
        [sys.executable, "-c", code, f"{folder}/users", *command],
        input=b"wonderland\n", capture_output=True, timeout=LIMIT, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert b"source_unreadable" in done.stdout


def test_explain_without_a_daemon_says_where_it_looked(folder):
    done = run("explain", "a@b", "--control", f"{folder}/none", "--no-password")
    assert done.returncode == 3
    assert f"{folder}/none: No such file or directory".encode() in done.stderr
