"""The daemon as a user starts it: a configuration file, `authbridge run`, sockets that answer."""

import http.client
import json
import os
import pwd
import re
import socket
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .canary import secret
from .ports import accepts, free_port
from .processes import Process, is_stopped

#: The name and the rights of the one client of `listen.http`.
CLIENT = "prosody"

_CONFIGURATION = """\
[listen]
extauth = ["unix:{folder}/run/extauth.sock:mode=600"]
http = ["tcp:{port}:interface=127.0.0.1:backlog=1024"]
control = ["unix:{folder}/run/control.sock:mode=600"]

[extauth]
users = ["{user}"]
{extauth}

[log]
format = "{log_format}"

[clients.{client}]
secret_file = "{folder}/clients/{client}"
may = ["check_password", "user_exists"]
domains = {domains}
"""

_DOMAIN = """
[domains."{domain}"]
check = ["users-{number}"]
exists = ["users-{number}"]

[checkers.users-{number}]
kind = "file"
path = "{path}"
"""


def hash_password(password: bytes) -> str:
    """The PHC string of a password, at the least cost there is: the tests make many."""
    try:
        prepared = unicodedata.normalize("NFKC", password.decode()).encode()
    except UnicodeDecodeError:
        prepared = password
    argon2id = Argon2id(salt=os.urandom(16), length=32, iterations=1, lanes=1, memory_cost=64)
    return argon2id.derive_phc_encoded(prepared)


def write_private(path: Path, content: bytes) -> None:
    """Put a file in place that only its owner reads, in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.replace(path)


class Daemon:
    """One authbridge; `start`, `stop` and `kill` may alternate, files and ports stay."""

    def __init__(
        self,
        folder: Path,
        domains: Sequence[str],
        *,
        extauth: str = "",
        log_format: str = "text",
        others: Mapping[str, str] | None = None,
    ) -> None:
        """`domains` have a file each. `extauth` is more lines for the table [extauth]. `others`
        are domains with their tables, checkers included."""
        self.folder = folder
        self.http_port = free_port()
        self.log = folder / "daemon.log"
        self.client_secret = secret("client")
        self._domains = list(domains)
        others = others or {}
        self._process: Process | None = None
        (folder / "run").mkdir(mode=0o700, parents=True)
        write_private(folder / "clients" / CLIENT, self.client_secret + b"\n")
        configuration = _CONFIGURATION.format(
            folder=folder,
            port=self.http_port,
            user=pwd.getpwuid(os.geteuid()).pw_name,
            extauth=extauth,
            log_format=log_format,
            client=CLIENT,
            domains=json.dumps([*self._domains, *others]),
        )
        for number, domain in enumerate(self._domains):
            path = self._users_file(domain)
            configuration += _DOMAIN.format(domain=domain, number=number, path=path)
            self.write_users(domain, {})
        configuration += "".join(others.values())
        write_private(self.configuration, configuration.encode())

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.folder / "authbridge.toml"

    @property
    def extauth_socket(self) -> Path:
        """Where connectors connect."""
        return self.folder / "run" / "extauth.sock"

    @property
    def extauth_program(self) -> str:
        """What an administrator writes behind `extauth_program:`."""
        program = Path(sys.executable).parent / "authbridge-extauth"
        return f"{program} --socket {self.extauth_socket}"

    @property
    def http_auth_url(self) -> str:
        """What an administrator writes behind `http_auth_url =`."""
        return f"http://127.0.0.1:{self.http_port}/auth"

    @property
    def http_auth_credentials(self) -> str:
        """What an administrator writes behind `http_auth_credentials =`."""
        return f"{CLIENT}:{self.client_secret.decode()}"

    def _users_file(self, domain: str) -> Path:
        return self.folder / "users" / domain

    def write_users(self, domain: str, users: Mapping[str, bytes]) -> None:
        """Replace the users of a domain: localpart to password."""
        lines = [f"{name}@{domain}:{hash_password(users[name])}\n" for name in users]
        write_private(self._users_file(domain), "".join(lines).encode())

    def hide_users(self, domain: str) -> None:
        """Make the users of a domain unreadable: the daemon runs, and cannot tell about them."""
        self._users_file(domain).unlink()

    @property
    def process(self) -> Process:
        """The running daemon."""
        assert self._process is not None, "the daemon is not started"
        return self._process

    @property
    def running(self) -> bool:
        """True between `start` and its end."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it and wait until every listener accepts."""
        self._process = Process(
            [sys.executable, "-m", "authbridge", "run", "--config", str(self.configuration)],
            self.log,
            folder=self.folder,
        )
        self._process.wait_until_up(
            lambda: self._listens(self.extauth_socket) and accepts(self.http_port),
            "the daemon accepts connections",
        )

    @staticmethod
    def _listens(path: Path) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                return False
        return True

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        return self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        if self.running:
            self.process.resume()
        else:
            self.start()

    def logins(self, jid: str = "") -> list[dict[str, str]]:
        """The login lines so far, of one user or of all, as key and value (text format), with that
        of every login that has been answered: a line is written a moment after the answer."""
        if self.running and not is_stopped(self.process.pid):
            # The daemon does one thing after the other, and answers this after all that was before.
            connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=90)
            connection.request("GET", "/")
            assert connection.getresponse().status == 404
            connection.close()
        lines = re.findall(r"\blogin (id=.*)", self.log.read_text(errors="replace"))
        parsed = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines]
        # Without that one, and what else was no login.
        return [
            login for login in parsed if login["operation"] != "-" and jid in ("", login["jid"])
        ]
