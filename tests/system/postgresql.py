"""A throw-away PostgreSQL of the Debian package, never the distribution's cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from .canary import secret
from .daemon import write_private
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process, all_pids, is_running, is_stopped, parent
from .waiting import wait_until

_PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
#: Whom the server runs as where root starts it, which it refuses to be.
_USER = "postgres"
ADMIN = "tests"

_CONFIGURATION = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
ssl = {ssl}
ssl_cert_file = '{folder}/cert.pem'
ssl_key_file = '{folder}/key.pem'
fsync = off
max_connections = 60
shared_buffers = 16MB
log_connections = on
autovacuum = off
"""

_ACCESS = """\
local all all scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
"""


class Postgresql:
    """One server; `start`, `stop` and `kill` may alternate, tables and port stay."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        """`folder`: for the log and the passwords. `pki`: its certificate."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.log = folder / "postgresql.log"
        self.password = secret("postgresql-admin")
        self._process: Process | None = None
        # The user that it runs as does not get at the folders of the tests.
        self._home = Path(tempfile.mkdtemp(prefix="ab-pg-", dir="/tmp"))
        self._own(self._home)
        self._initialize()
        self.use(pki)

    @property
    def sockets(self) -> Path:
        """The folder of its Unix socket."""
        return self._home

    def url(self, database: str, user: str, *, host: str = "localhost") -> str:
        """What an administrator writes behind `url =`."""
        return f"postgresql://{quote(user)}@{host}:{self.port}/{quote(database)}"

    def use(self, pki: Pki | None) -> None:
        """Show this certificate from the next start on; None: without TLS."""
        values = {"port": self.port, "folder": self._home, "ssl": "on" if pki else "off"}
        (self._home / "data" / "postgresql.conf").write_text(_CONFIGURATION.format(**values))
        if pki is None:
            return
        for source, name in ((pki.certificate, "cert.pem"), (pki.key, "key.pem")):
            target = self._home / name
            write_private(target, source.read_bytes())
            self._own(target)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = [str(_PROGRAMS / "postgres"), "-D", str(self._home / "data")]
        self._process = Process(self._as_user(program), self.log, folder=self._home)
        self._process.wait_until_up(self._answers, "PostgreSQL answers")

    @property
    def running(self) -> bool:
        """True between `start` and its end."""
        return self._process is not None and self._process.running

    @property
    def _running(self) -> Process:
        assert self._process is not None, "PostgreSQL is not started"
        return self._process

    def stop(self) -> None:
        """What `pg_ctl stop -m fast` sends: connections end, and then the server."""
        self._running.send(signal.SIGINT)
        self._running.wait()

    def kill(self) -> None:
        """SIGKILL, of every process of it."""
        # Stopped, it makes no process that would stay behind.
        self._running.pause()
        processes = self._processes()
        for process in processes:
            _send(process, signal.SIGKILL)
        self._running.wait()
        wait_until(lambda: not any(map(is_running, processes)), "all of PostgreSQL has ended")

    def pause(self) -> None:
        """SIGSTOP, of every process of it."""
        # First of the one that makes the others. One that has just ended stays there, as nobody
        # asks for its exit status meanwhile.
        self._running.pause()
        for process in self._processes():
            _send(process, signal.SIGSTOP)
        wait_until(
            lambda: all(
                is_stopped(process) or not is_running(process) for process in self._processes()
            ),
            "all of PostgreSQL has stopped",
        )

    def resume(self) -> None:
        """SIGCONT."""
        for process in self._processes():
            _send(process, signal.SIGCONT)

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        if self.running:
            self.resume()
        else:
            self.start()

    def end(self) -> None:
        """For good."""
        self.restore()
        self.stop()
        shutil.rmtree(self._home)

    def execute(self, database: str, script: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        """Have the administrator do this; with `rows` once for each."""
        with self._connect(database) as connection:
            if rows:
                with connection.cursor() as cursor:
                    cursor.executemany(script.encode(), rows)
            else:
                connection.execute(script.encode())

    def fetch(self, database: str, query: str) -> list[Any]:
        """What the administrator is answered."""
        with self._connect(database) as connection:
            return connection.execute(query.encode()).fetchall()

    def make_database(self, name: str) -> None:
        """An empty one."""
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def make_user(self, name: str) -> Path:
        """A user who may read and write whatever he is granted; the file with his password."""
        file = self.folder / f"{name}.password"
        password = secret(f"postgresql-{name}")
        write_private(file, password + b"\n")
        with self._connect("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(password.decode())
                )
            )
        return file

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self._home),
            port=self.port,
            user=ADMIN,
            password=self.password.decode(),
            dbname=database,
            autocommit=True,
            connect_timeout=90,
        )

    def _answers(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:  # it is starting up
            return False
        return True

    def _initialize(self) -> None:
        password = self._home / "admin"
        write_private(password, self.password)
        self._own(password)
        subprocess.run(
            self._as_user(
                [
                    *(str(_PROGRAMS / "initdb"), "-D", str(self._home / "data"), "-U", ADMIN),
                    *("-A", "scram-sha-256", "--pwfile", str(password), "--no-sync"),
                    *("-E", "UTF8", "--locale", "C.UTF-8"),
                ]
            ),
            check=True,
            capture_output=True,
            timeout=600,
            cwd=self._home,
        )
        password.unlink()
        (self._home / "data" / "pg_hba.conf").write_text(_ACCESS)

    def _as_user(self, command: list[str]) -> list[str]:
        if os.geteuid() != 0:
            return command
        return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", *command]

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            shutil.chown(path, _USER, _USER)

    def _processes(self) -> list[int]:
        """All of it: each connection has a process of its own."""
        main = self._running.pid
        return [main, *(process for process in all_pids() if parent(process) == main)]


def _send(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass  # one whose connection has just ended
