"""A real redis-server on a free port of the loopback interface, in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from authbridge.secret import Secret
from authbridge.stores.redis_settings import RedisSettings
from tests.system.pki import Pki
from tests.system.ports import free_port
from tests.system.processes import Process
from tests.system.waiting import LIMIT

PROGRAM = "/usr/bin/redis-server"
READY = "Ready to accept connections"
#: With `appendfsync always` Redis is silent while the disk is busy with others, and after 2 s its
#: callers take that for an outage. So what it keeps is kept in memory, where there is room.
MEMORY = Path("/dev/shm")
ROOM = 512 << 20


def _place(folder: Path) -> Path:
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return folder
    return Path(tempfile.mkdtemp(prefix="ab-redis-", dir=MEMORY))


class RedisServer:
    """Configured as authbridge needs it; `options` come behind that, and so change it."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        password: str | None = None,
        pki: Pki | None = None,
        ready: str = READY,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        #: Where it keeps what it keeps.
        self.data = _place(folder)
        if self.data != folder:
            weakref.finalize(self, shutil.rmtree, self.data, ignore_errors=True)
        self.port = free_port()
        self._password = password
        self._pki = pki
        self._ready = ready
        self._options = options
        self._log = folder / "redis.log"
        self._process: Process | None = None
        self.start()

    def _arguments(self) -> list[str]:
        settings = ["--port", "0" if self._pki else str(self.port), "--bind", "127.0.0.1"]
        settings += ["--dir", str(self.data), "--save", "", "--maxmemory-policy", "noeviction"]
        settings += ["--appendonly", "yes", "--appendfsync", "always"]
        if self._password is not None:
            settings += ["--requirepass", self._password]
        if self._pki is not None:
            settings += ["--tls-port", str(self.port), "--tls-auth-clients", "no"]
            settings += ["--tls-cert-file", str(self._pki.certificate)]
            settings += ["--tls-key-file", str(self._pki.key)]
            settings += ["--tls-ca-cert-file", str(self._pki.ca)]
        return [PROGRAM, *settings, *self._options]

    def start(self) -> None:
        """Start it, on the same port and with what it has kept; up when this returns."""
        said = self._said()
        process = Process(self._arguments(), self._log)
        self._process = process
        process.wait_until_up(lambda: self._said() > said, "redis-server is up")

    def _said(self) -> int:
        return self._log.read_text(errors="replace").count(self._ready) if self.running else 0

    @property
    def running(self) -> bool:
        return self._log.exists()

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    def settings(
        self,
        *,
        host: str = "127.0.0.1",
        db: int = 0,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
    ) -> RedisSettings:
        """How a store gets to it."""
        password = password or self._password
        return RedisSettings(
            host=host,
            port=self.port,
            db=db,
            tls=self._pki is not None,
            username=username,
            password=None if password is None else Secret(password.encode()),
            ca_file=ca_file,
        )

    def ask(self, *command: str | int) -> object:
        """What an administrator would say to it."""
        with Redis(
            port=self.port,
            password=self._password,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=LIMIT,
            socket_timeout=LIMIT,  # the library's own 5 s are few where the disk is busy
        ) as redis:
            return redis.execute_command(*command)

    def kept(self) -> bytes:
        """All that is on its disk."""
        folders = {self.folder, self.data}
        files = (path for one in folders for path in one.rglob("*") if path.is_file())
        return b"\n".join(path.read_bytes() for path in files)

    def stop(self) -> None:
        """SIGTERM, also to one that is stopped."""
        self.process.resume()
        self.process.stop()
