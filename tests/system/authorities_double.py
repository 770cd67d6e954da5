"""A website or provider under TLS that answers as its documentation says: Nextcloud, JSXC, Keycloak
and authentik, of which none can be had here. What they say is in tests/system/authorities_said.py.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .pki import Pki


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The body, as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes
    content: str = "application/json; charset=utf-8"

    @classmethod
    def json(cls, members: Any, status: int = 200) -> Reply:
        """With a JSON value."""
        return cls(status, json.dumps(members).encode())


Answers = Callable[[Request], Reply]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Who is not accepted at once waits in line: with more than the usual five he would be turned
    # away, and come again after a second.
    request_queue_size = 128


class Double:
    """One HTTPS server of `localhost`; its pages by their paths. Everything else is a 404."""

    def __init__(self, pki: Pki) -> None:
        self._pages: dict[str, Answers] = {}
        #: All requests so far.
        self.requests: list[Request] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                parts = urlsplit(self.path)
                request = Request(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                reply = double._reply(request)
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.certificate, pki.key)
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def add(self, path: str, answers: Answers) -> None:
        """Have this path answered so."""
        self._pages[path] = answers

    def _reply(self, request: Request) -> Reply:
        self.requests.append(request)
        found = self._pages.get(request.path)
        return Reply(404, b"not here", "text/html") if found is None else found(request)

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
