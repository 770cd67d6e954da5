"""The examples of docs/web-chat.md, all of them in one place: sites, servers, and who asks."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.recipes.document import write

from .calls import BIN
from .canary import watched
from .pki import make_pki
from .ports import free_port
from .web_chat_back_ends import BackEnd
from .web_chat_examples import COOKIES, INTRANET, WWW
from .web_chat_servers import Ports, Proxy, RecipeProsody, WebChatDaemon


class Answer:
    """What a page is told."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body: dict[str, Any] = json.loads(response.read())
        if "password" in self.body:
            watched(self.body["password"].encode())

    @property
    def reason(self) -> tuple[int, str]:
        """Status and reason of a refusal."""
        assert self.headers["Cache-Control"] == "no-store"
        return self.status, self.body["reason"]


class WebChat:
    """All of it."""

    def __init__(self, folder: Path, users: tuple[str, ...], intranet_port: int) -> None:
        """`users` are logged in at each site. `intranet_port`: whoever knows the intranet's."""
        (folder / "pki").mkdir(parents=True)
        self.folder = folder
        self.pki = make_pki(folder / "pki", [WWW, INTRANET])
        self.port, bosh_port = free_port(), free_port()
        self.origin = f"https://{WWW}:{self.port}"
        self._ends = ExitStack()
        self.sites = {name: BackEnd(folder / name, name, users) for name in COOKIES}
        self.daemon = WebChatDaemon(folder / "daemon", self.sites, bosh_port)
        self.prosody = RecipeProsody(folder / "prosody", self.daemon, bosh_port, self.origin)
        ports = Ports(self.sites["www"].port, bosh_port, intranet_port, self.port)
        self.proxy = Proxy(folder / "nginx", self.pki, self.daemon, ports)
        self._context = ssl.create_default_context(cafile=str(self.pki.ca))

    def start(self) -> None:
        """Start everything."""
        for one in (*self.sites.values(), self.daemon, self.prosody, self.proxy):
            one.start()
            self._ends.callback(one.stop)

    def stop(self) -> None:
        """Stop what was started."""
        self._ends.close()

    def ask(self, host: str, headers: Mapping[str, str], path: str = "/credentials") -> Answer:
        """What listen.web answers, without a proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.web_port, timeout=90)
        return self._ask(connection, path, {"Host": host, **headers})

    def visit(self, host: str, headers: Mapping[str, str], path: str = "/credentials") -> Answer:
        """What a browser is told there, by the proxy."""
        plain = socket.create_connection(("127.0.0.1", self.port), 90)
        connection = http.client.HTTPConnection(host, self.port)
        connection.sock = self._context.wrap_socket(plain, server_hostname=host)
        return self._ask(connection, path, headers)

    @staticmethod
    def _ask(
        connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]
    ) -> Answer:
        try:
            connection.request("GET", path, headers=dict(headers))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def cookie(self, site: str, user: str) -> dict[str, str]:
        """The header of somebody who is logged in."""
        return {"Cookie": f"other=1; {COOKIES[site]}={self.sites[site].cookie(user)}"}

    def sh(self, line: str) -> subprocess.CompletedProcess[str]:
        """Do what a line of an example says."""
        rules = f'resolve = "{WWW}:{self.port}:127.0.0.1"\ncacert = "{self.pki.ca}"\nsilent\n'
        write(self.folder / ".curlrc", rules, {})
        there = {"/etc/www": str(self.daemon.folder), f"https://{WWW}": self.origin}
        script = write(self.folder / "documented.sh", line, {**self.daemon.there, **there})
        path = f"{BIN}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-eu", str(script)],
            env={**os.environ, "PATH": path, "CURL_HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=90,
        )


class _Intranet(http.server.BaseHTTPRequestHandler):
    """Who knows the users of the intranet, and says so in a header."""

    def do_GET(self) -> None:
        user = re.fullmatch(r"intranet=(\w+)", self.headers.get("Cookie", ""))
        self.send_response(200 if user else 401)
        if user:
            self.send_header("X-User", user[1])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nowhere."""


@contextmanager
def running_web_chat(folder: Path, users: tuple[str, ...]) -> Iterator[WebChat]:
    """All of it, running, with these users logged in at each site."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Intranet) as intranet:
        threading.Thread(target=intranet.serve_forever, daemon=True).start()
        started = WebChat(folder, users, intranet.server_port)
        try:
            started.start()
            yield started
        finally:
            started.stop()
            intranet.shutdown()
