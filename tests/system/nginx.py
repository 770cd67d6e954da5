"""A throw-away nginx of the Debian package, with whatever sites a test has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .ports import accepts
from .processes import Process

_CONFIGURATION = """\
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{
    worker_connections 256;
}}
http {{
    access_log {folder}/access.log;
    client_max_body_size 16m;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
{sites}
}}
"""


class Nginx:
    """One server in the foreground, with one worker."""

    def __init__(
        self, folder: Path, ports: Sequence[int], sites: str, *, user: str = "root"
    ) -> None:
        """`ports` are those that `sites` listen on. Its workers are `user`'s; what is the tests'
        own only root reads."""
        self.folder = folder
        self.error_log = folder / "error.log"
        self.ports = ports
        self._process: Process | None = None
        folder.mkdir(parents=True)
        configuration = folder / "nginx.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, sites=sites))

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        configuration = str(self.folder / "nginx.conf")
        self._process = Process(
            ["/usr/sbin/nginx", "-e", str(self.error_log), "-c", configuration],
            self.folder / "nginx.out",
            folder=self.folder,
        )
        self._process.wait_until_up(lambda: all(map(accepts, self.ports)), "nginx accepts")

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None:
            self._process.stop()
            self._process = None
