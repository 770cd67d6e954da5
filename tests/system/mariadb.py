"""A throw-away MariaDB of the Debian package, never the distribution's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from .canary import secret
from .daemon import write_private
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process, is_stopped
from .waiting import wait_until

_CONFIGURATION = """\
[mariadbd]
datadir = {folder}/data
socket = {folder}/db.sock
pid-file = {folder}/db.pid
port = {port}
bind-address = 127.0.0.1
{tls}
innodb-flush-log-at-trx-commit = 2
innodb-buffer-pool-size = 16M
performance-schema = off
skip-log-bin
"""

_TLS = """\
ssl-cert = {pki.certificate}
ssl-key = {pki.key}"""


class MariaDb:
    """One server; `start`, `stop` and `kill` may alternate, tables and port stay."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        """`pki`: its certificate."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.log = folder / "mariadb.log"
        self.password = secret("mariadb-admin")
        self._process: Process | None = None
        self.use(pki)
        subprocess.run(
            [
                *("mariadb-install-db", f"--defaults-file={self._configuration}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", *self._as_root),
            ],
            check=True,
            capture_output=True,
            timeout=600,
        )
        self._new = True

    @property
    def _configuration(self) -> Path:
        return self.folder / "my.cnf"

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / "db.sock"

    @property
    def _as_root(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def url(self, database: str, user: str, *, host: str = "localhost") -> str:
        """What an administrator writes behind `url =`."""
        return f"mariadb://{quote(user)}@{host}:{self.port}/{quote(database)}"

    def use(self, pki: Pki | None) -> None:
        """Show this certificate from the next start on; None: without TLS."""
        tls = "skip-ssl" if pki is None else _TLS.format(pki=pki)
        text = _CONFIGURATION.format(folder=self.folder, port=self.port, tls=tls)
        write_private(self._configuration, text.encode())

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._process = Process(
            ["mariadbd", f"--defaults-file={self._configuration}", *self._as_root], self.log
        )
        self._process.wait_until_up(self._answers, "MariaDB answers")
        if self._new:
            with self._connect("mysql") as connection, connection.cursor() as cursor:
                cursor.execute("SET PASSWORD = PASSWORD(%s)", (self.password.decode(),))
            self._new = False

    @property
    def running(self) -> bool:
        """True between `start` and its end."""
        return self._process is not None and self._process.running

    @property
    def _running(self) -> Process:
        assert self._process is not None, "MariaDB is not started"
        return self._process

    def stop(self) -> None:
        """SIGTERM: an orderly stop."""
        self._running.stop()

    end = stop

    def kill(self) -> None:
        """SIGKILL."""
        self._running.kill()

    def pause(self) -> None:
        """SIGSTOP, and wait until every thread has stopped. One that is about to end may do so
        before."""
        self._running.send(signal.SIGSTOP)
        threads = Path(f"/proc/{self._running.pid}/task")
        wait_until(
            lambda: all(is_stopped(int(thread)) for thread in os.listdir(threads)),
            "MariaDB has stopped",
        )

    def resume(self) -> None:
        """SIGCONT."""
        self._running.resume()

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        if self.running:
            self.resume()
        else:
            self.start()

    def execute(self, database: str, script: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        """Have the administrator do this, statement by statement; with `rows` once for each."""
        with self._connect(database) as connection, connection.cursor() as cursor:
            if rows:
                cursor.executemany(script, rows)
                return
            for statement in script.split(";\n"):
                if statement.strip():
                    cursor.execute(statement)

    def fetch(self, database: str, query: str) -> list[Any]:
        """What the administrator is answered."""
        with self._connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def make_database(self, name: str) -> None:
        """An empty one."""
        self.execute("mysql", f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")

    def make_user(self, name: str) -> Path:
        """A user who may read and write whatever he is granted; the file with his password."""
        file = self.folder / f"{name}.password"
        password = secret(f"mariadb-{name}")
        write_private(file, password + b"\n")
        self.execute("mysql", "CREATE USER %s@'%%' IDENTIFIED BY %s", [(name, password.decode())])
        return file

    def _answers(self) -> bool:
        """At its port, and at its Unix socket, at which it listens a moment later."""
        if not accepts(self.port):
            return False
        try:
            self._connect("mysql").close()
        except pymysql.err.OperationalError:  # it is starting up
            return False
        return True

    def _connect(self, database: str) -> Any:
        return pymysql.connect(
            unix_socket=str(self.socket),
            user="root",
            password=b"" if self._new else self.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=90,
            read_timeout=90,
        )
