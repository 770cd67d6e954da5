"""Runs the website of examples/django with all that it needs: python web_chat.py FOLDER PORT BIN

Everything is in FOLDER, which is made anew; everything ends with this program.
"""

# ruff: noqa: S310, S603, T201 - it starts programs, asks its own site, and tells what it has done

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import FrameType
from typing import NoReturn

from web_files import DOMAIN, EXAMPLE, PASSWORDS, Files, Trouble

#: Seconds.
START, STOP = 120.0, 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_USERS = """\
import json, sys
from django.contrib.auth.models import User
for name, password in json.load(sys.stdin).items():
    User.objects.create_user(name, password=password)
"""


class Demonstration:
    """The programs."""

    def __init__(self, files: Files, bin_folder: Path) -> None:
        """`bin_folder`: where authbridge is installed."""
        self._files = files
        self._bin = bin_folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = {
            **os.environ,
            "SITE_FOLDER": str(files.folder / "site"),
            "SITE_ORIGINS": " ".join(files.origins),
            "CHAT_DOMAIN": DOMAIN,
            "AUTHBRIDGE_URL": f"http://127.0.0.1:{files.http}",
            "AUTHBRIDGE_SECRET_FILE": str(files.folder / "clients" / "django"),
            "AUTHBRIDGE_REVOKE_AT_LOGOUT": "yes",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _manage(self, *arguments: str, given: str = "") -> None:
        done = subprocess.run(
            [sys.executable, str(EXAMPLE / "manage.py"), *arguments],
            input=given,
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
        )
        if done.returncode != 0:
            raise Trouble(f"manage.py {arguments[0]}: {done.stderr or done.stdout}")

    def start(self) -> None:
        """Everything, and wait until the site answers."""
        self._manage("migrate", "--verbosity", "0")
        self._manage("shell", "--verbosity", "0", "-c", _USERS, given=json.dumps(PASSWORDS))
        self._manage("collectstatic", "--link", "--noinput", "--verbosity", "0")
        manage = [sys.executable, str(EXAMPLE / "manage.py")]
        self._begin("django", *manage, "runserver", "--noreload", f"127.0.0.1:{self._files.django}")
        configuration = str(self._files.folder / "prosody.cfg.lua")
        self._begin("prosody", "prosody", "-F", "--config", configuration)
        configuration = str(self._files.folder / "authbridge.toml")
        self._begin("authbridge", str(self._bin / "authbridge"), "run", "--config", configuration)
        nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "nginx"
        self._begin("nginx", nginx, "-e", "stderr", "-c", str(self._files.folder / "nginx.conf"))
        end = time.monotonic() + START
        while not self._is_up():
            self.look()
            if time.monotonic() > end:
                raise Trouble(f"it does not come up; see {self._files.folder}/*.log")
            time.sleep(0.1)

    def _begin(self, name: str, *command: str) -> None:
        with (self._files.folder / f"{name}.log").open("wb") as output:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self._files.folder,
            )

    def _is_up(self) -> bool:
        """Whether each of the four answers, through nginx: the page of the login, no session, and
        Prosody's page for people."""
        expected = {"/login": 200, "/chat/credentials": 401, "/http-bind": 200}
        try:
            return all(self._status(path) == status for path, status in expected.items())
        except (OSError, HTTPException):
            return False

    def _status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(self._files.origins[0] + path, timeout=5) as answer:
                status: int = answer.status
                return status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def look(self) -> None:
        """Raises Trouble if one has ended."""
        for name, program in self._running.items():
            if program.poll() is not None:
                log = self._files.folder / f"{name}.log"
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
                raise Trouble("\n".join([f"{name} has ended; {log} says:", *lines]))

    def stop(self) -> None:
        """End everything, whoever is in a hurry."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for program in self._running.values():
            program.terminate()
        end = time.monotonic() + STOP
        for program in self._running.values():
            try:
                program.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


def told(files: Files) -> str:
    """What to do with it."""
    first, second = files.origins
    users = "\n".join(f"  {name:8} {password}" for name, password in PASSWORDS.items())
    return f"""\
The site is at {first}/

Who may log in there, and with which password (of the site; the chat has none):

{users}

Let two people chat in one browser: one of them at {first}/,
the other at {second}/, which has cookies of its own.

Everything is in {files.folder}: configurations, and logs (authbridge.log tells of each
login). Ctrl-C ends it.
"""


def stop_at_signal(_number: int, _frame: FrameType | None) -> NoReturn:
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def main(folder: str, port: str, bin_folder: str) -> int:
    """Run until Ctrl-C, or until one of the programs ends."""
    for number in SIGNALS:
        signal.signal(number, stop_at_signal)
    files = Files(Path(folder).absolute(), int(port))
    demonstration = Demonstration(files, Path(bin_folder).absolute())
    try:
        files.make()
        demonstration.start()
        print(told(files), flush=True)
        while True:
            demonstration.look()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    finally:
        demonstration.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
