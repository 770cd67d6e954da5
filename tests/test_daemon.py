"""The daemon as a program: run, twistd, signals, and the connector beside it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.cli.folders import LIMIT, ROOT, configuration, run, short_folder, write
from tests.system.ports import free_port

RUN = [sys.executable, "-m", "authbridge", "run", "--config"]
TWISTD = [str(Path(sys.executable).parent / "twistd"), "-n", "--pidfile="]
SERVE = ["authbridge", "--config"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def conversation(command, *frames: bytes) -> tuple[bytes, bytes]:
    """The answers of a program of ejabberd's, and what it has said on stderr.

    Its input ends when it has answered: behind that end it waits for the daemon or for its own
    checkers for less than a second, and a busy machine may take longer.
    """
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT
        ) as program,
    ):
        hung = threading.Timer(LIMIT, program.kill)
        hung.start()
        try:
            program.stdin.write(b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames))
            program.stdin.flush()
            answers = program.stdout.read(4 * len(frames))
            rest, _ = program.communicate()
        finally:
            hung.cancel()
        assert program.returncode == 0
        stderr.seek(0)
        return answers + rest, stderr.read()


class Daemon:
    """One daemon, started and ended by the test."""

    def __init__(self, command: list[str], *, log: str = "text") -> None:
        self.folder = short_folder()
        self.port = free_port()
        self.config = configuration(self.folder, self.port, log)
        self.command = command
        self.log = self.folder / "log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=ENVIRONMENT,
            )
        self.wait(self.answers)

    def wait(self, condition) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"{self.folder}/control.sock") == 0

    def http(self, password: str) -> tuple[int, bytes]:
        credentials = base64.b64encode(b"prosody:through-the-glass").decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/auth/check_password",
            data=f"user=alice&server=example.org&pass={password}".encode(),
            headers={"Authorization": f"Basic {credentials}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def extauth(self, *frames: bytes) -> bytes:
        program = [ROOT / "bin" / "authbridge-extauth", "--socket", f"{self.folder}/extauth.sock"]
        answers, _ = conversation(program, *frames)
        return answers

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(LIMIT)

    def remove(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder)


@pytest.fixture
def start():
    started = []

    def start(command, **kwargs):
        started.append(Daemon(command, **kwargs))
        return started[-1]

    yield start
    for daemon in started:
        daemon.remove()


@pytest.mark.parametrize("command", [RUN, [*TWISTD, *SERVE]])
def test_both_ways_of_running_serve_every_front_end(start, command):
    daemon = start(command)
    assert daemon.http("wonderland") == (200, b"true")
    assert daemon.http("looking-glass") == (200, b"false")
    assert (
        daemon.extauth(
            b"auth:alice:example.org:wonderland",
            b"auth:alice:example.org:looking-glass",
            b"isuser:alice:example.org",
            b"isuser:bob:example.org",
            b"setpass:alice:example.org:x",
            b"nonsense",
        )
        == TRUE + FALSE + TRUE + FALSE + ERROR + FALSE
    )
    done = run(
        "explain", "alice@example.org", "--control", f"{daemon.folder}/control.sock",
        "--password-stdin", stdin=b"wonderland\n",
    )  # fmt: skip
    assert done.returncode == 0
    assert b"Login: accepted" in done.stdout
    daemon.stop()
    assert daemon.process.returncode in (0, -signal.SIGTERM)  # twistd ends by its signal
    log = daemon.log.read_text()
    assert "wonderland" not in log
    assert "through-the-glass" not in log
    assert "looking-glass" not in log
    assert log.count(" login id=") == 10
    assert "front_end=http operation=check_password jid=alice@example.org checker=local" in log
    assert not list(daemon.folder.glob("*.sock"))


@pytest.mark.parametrize("command", [RUN, [*TWISTD, *SERVE]])
def test_the_log_can_be_json_to_the_last_line(start, command):
    daemon = start(command, log="json")
    daemon.http("wonderland")
    daemon.stop()
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert [line["verdict"] for line in lines if line["event"] == "login"] == ["accepted"]


def test_twistds_logfile_flag_is_honoured(start):
    folder = short_folder()
    log = folder / "twistd.log"
    daemon = start([*TWISTD, "--logfile", str(log), *SERVE])
    daemon.http("wonderland")
    daemon.stop()
    assert " login id=" in log.read_text()
    shutil.rmtree(folder)


def test_twistds_own_logger_gets_the_login_lines(start):
    folder = short_folder()
    write(
        folder / "observer.py",
        "import sys\nfrom twisted.logger import textFileLogObserver\n"
        "def make():\n    return textFileLogObserver(sys.stdout)\n",
    )
    twistd = [*TWISTD, "--logger", "observer.make"]
    daemon = start(["env", f"PYTHONPATH={folder}:{ROOT}", *twistd, *SERVE])
    daemon.http("wonderland")
    daemon.stop()
    assert "[authbridge.tap#info]" in daemon.log.read_text()
    assert " login id=" in daemon.log.read_text()
    shutil.rmtree(folder)


def test_a_daemon_that_was_killed_can_be_started_again(start):
    daemon = start(RUN)
    daemon.stop(signal.SIGKILL)
    # Another process has got the killed one's id, as in a container.
    for name in ("extauth", "control"):
        lock = daemon.folder / f"{name}.sock.lock"
        lock.unlink()
        lock.symlink_to(str(os.getpid()))
    daemon.start()
    assert daemon.extauth(b"auth:alice:example.org:wonderland") == TRUE


def test_a_second_daemon_at_the_same_place_says_so_and_harms_nothing(start):
    daemon = start(RUN)
    second = subprocess.run(
        [*RUN, str(daemon.config)], capture_output=True, timeout=LIMIT, env=ENVIRONMENT, check=False
    )
    assert second.returncode == 3
    assert b"cannot listen on unix:" in second.stderr
    assert b"another daemon listens there" in second.stderr
    assert daemon.extauth(b"auth:alice:example.org:wonderland") == TRUE


def test_a_port_that_is_taken_is_named(start):
    daemon = start(RUN)
    text = daemon.config.read_text().replace("extauth.sock", "e2.sock").replace("control", "c2")
    other = write(daemon.folder / "other.toml", text.replace("c2 =", "control ="))
    second = subprocess.run(
        [*RUN, str(other)], capture_output=True, timeout=LIMIT, env=ENVIRONMENT, check=False
    )
    assert second.returncode == 3
    assert f"cannot listen on tcp:{daemon.port}".encode() in second.stderr
    assert b"Address already in use" in second.stderr


def test_twistd_names_the_mistakes_of_a_configuration(start):
    folder = short_folder()
    path = configuration(folder)
    write(path, path.read_text().replace("[log]", "[lgo]"))
    done = subprocess.run(
        [*TWISTD, *SERVE, str(path)],
        capture_output=True,
        timeout=LIMIT,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 1
    assert b"lgo: there is no such setting" in done.stderr
    shutil.rmtree(folder)


def standalone(config: Path, *frames: bytes) -> tuple[bytes, bytes]:
    program = [sys.executable, "-m", "authbridge.cli.standalone", "--config", config]
    return conversation(program, *frames)


def test_standalone_serves_without_a_daemon():
    folder = short_folder()
    path = configuration(folder)
    answers, said = standalone(
        path,
        b"auth:alice:example.org:wonderland",
        b"auth:alice:example.org:wonderlanD",
        b"isuser:bob:example.org",
    )
    assert answers == TRUE + FALSE + FALSE
    assert said.count(b" login id=") == 3
    write(path, path.read_text().replace("[log]", "[lgo]"))
    answers, said = standalone(
        path, b"auth:alice:example.org:wonderland", b"isuser:alice:example.org"
    )
    assert answers == FALSE + TRUE
    assert b"lgo: there is no such setting" in said
    shutil.rmtree(folder)


def test_standalone_with_wrong_arguments_stays_and_refuses():
    done = run("--cfg", stdin=b"\0\x0eauth:a:b.org:c", module="authbridge.cli.standalone")
    assert (done.returncode, done.stdout) == (0, FALSE)
    done = run("--help", module="authbridge.cli.standalone")
    assert done.returncode == 0
    assert b"--config" in done.stderr
