"""The files of `make demo`: the configurations of examples/django, with their ports, paths and
names made those of this machine."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "django"
DOMAIN = "example.org"
#: Of the website, and nowhere else.
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
MARK = ".made-by-make-demo"

_PROSODY = """\
data_path = "{folder}/prosody"
pidfile = "{folder}/prosody.pid"
admin_socket = "{folder}/prosody.sock"
run_as_root = true
log = {{ info = "*stdout" }}
c2s_ports = {{ }}
modules_disabled = {{ "s2s", "tls" }}
groups_file = "{folder}/groups.txt"
{example}
    -- So that everybody is in everybody's list.
    modules_enabled = {{ "groups" }}
"""

_NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 256;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx/bodies;
    proxy_temp_path {folder}/nginx/proxied;
    fastcgi_temp_path {folder}/nginx/unused;
    uwsgi_temp_path {folder}/nginx/unused;
    scgi_temp_path {folder}/nginx/unused;
{example}
}}
"""


class Trouble(Exception):
    """Why there is no demonstration, in words for whoever wants it."""


_reserved: list[socket.socket] = []


def reserve(port: int) -> int:
    """This port, where nothing listens on it, or one that is free; 0: any. It stays reserved as
    long as this program runs: who asks for the port by its number, as servers do, gets it, and the
    kernel gives it to nobody else."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.bind(("127.0.0.1", 0))
    _reserved.append(held)
    found: int = held.getsockname()[1]
    return found


def replaced(text: str, there: Mapping[str, str]) -> str:
    """The text with each of these in the place of what the example has, which has to be there."""
    for shown in there:
        if shown not in text:
            raise Trouble(f"the example has no {shown!r} any more")
    # All at once: what is put in may look like something else that is to be replaced.
    return re.sub("|".join(map(re.escape, there)), lambda found: there[found[0]], text)


def write(path: Path, text: str) -> None:
    """A file that nobody else reads."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


class Files:
    """All of them, in one folder, and the ports that are in them."""

    def __init__(self, folder: Path, port: int) -> None:
        """`port`: of the site, unless it is taken."""
        self.folder = folder
        self.port = reserve(port)
        self.django, self.http, self.web, self.prosody = (reserve(0) for _ in range(4))
        self.hosts = ("127.0.0.1", "localhost")
        self.origins = [f"http://{host}:{self.port}" for host in self.hosts]

    def make(self) -> None:
        """The folder, anew."""
        if self.folder.exists():
            if not (self.folder / MARK).exists():
                raise Trouble(f"{self.folder} is there, and not a demonstration's: remove it")
            shutil.rmtree(self.folder)
        write(self.folder / MARK, "")
        for client in ("prosody", "django"):
            write(self.folder / "clients" / client, secrets.token_urlsafe(32) + "\n")
        write(self.folder / "site" / "secret-key", secrets.token_urlsafe(50) + "\n")
        write(self.folder / "groups.txt", f"[Everybody]\n{self._everybody()}")
        for folder in ("prosody", "certs", "nginx"):
            (self.folder / folder).mkdir(mode=0o700)
        write(self.folder / "authbridge.toml", self._authbridge_toml())
        write(self.folder / "prosody.cfg.lua", self._prosody_configuration())
        write(self.folder / "nginx.conf", self._nginx_configuration())

    def _everybody(self) -> str:
        return "".join(f"{name}@{DOMAIN}={name.title()}\n" for name in PASSWORDS)

    def _authbridge_toml(self) -> str:
        there = {
            "/var/lib/authbridge": str(self.folder),
            "/etc/authbridge": str(self.folder),
            "tcp:9281": f"tcp:{self.http}",
            "tcp:9282": f"tcp:{self.web}",
            "127.0.0.1:5280": f"127.0.0.1:{self.prosody}",
            "127.0.0.1:8001": f"127.0.0.1:{self.django}",
            'hosts = ["www.example.org"]': f"hosts = {json.dumps(self.hosts)}",
            '["https://www.example.org"]': json.dumps(self.origins),
            '"www.example.org"': '"127.0.0.1"',
        }
        return replaced((EXAMPLE / "authbridge.toml").read_text(encoding="utf-8"), there)

    def _prosody_configuration(self) -> str:
        there = {
            "/usr/local/lib/prosody/modules": str(ROOT / "conf" / "prosody"),
            "{ 5280 }": f"{{ {self.prosody} }}",
            "127.0.0.1:9281": f"127.0.0.1:{self.http}",
            "/etc/prosody/authbridge-secret": str(self.folder / "clients" / "prosody"),
            '"https://www.example.org"': ", ".join(map(json.dumps, self.origins)),
        }
        example = replaced((EXAMPLE / "prosody.cfg.lua").read_text(encoding="utf-8"), there)
        return _PROSODY.format(folder=self.folder, example=example)

    def _nginx_configuration(self) -> str:
        there = {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port}",
            "server_name www.example.org": f"server_name {' '.join(self.hosts)}",
            "    ssl_certificate ": "    # ssl_certificate ",
            "    ssl_certificate_key ": "    # ssl_certificate_key ",
            "127.0.0.1:8001": f"127.0.0.1:{self.django}",
            "127.0.0.1:9282": f"127.0.0.1:{self.web}",
            "127.0.0.1:5280": f"127.0.0.1:{self.prosody}",
            "/srv/www/static/": f"{self.folder}/site/static/",
        }
        example = replaced((EXAMPLE / "nginx.conf").read_text(encoding="utf-8"), there)
        # Its workers would be somebody else's, who may not read the static files.
        user = "user root;" if os.geteuid() == 0 else ""
        return _NGINX.format(folder=self.folder, user=user, example=example)
