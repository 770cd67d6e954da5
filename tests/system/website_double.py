"""A website of the tests' own, under TLS: JSXC's app, a page behind a password, and one that says
whatever a test wants it to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from .pki import Pki
from .ports import free_port

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Answer:
    """A status, a type, a body, and more headers."""

    status: int = 200
    content: str = JSON
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Heard:
    """A request as it came."""

    line: str
    headers: tuple[tuple[str, str], ...]
    """With names in lower case."""
    body: bytes

    def header(self, name: str) -> str:
        """Empty where it is not there."""
        return dict(self.headers).get(name, "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Who is not accepted at once waits in line: with more than the usual five he would be turned
    # away, and come again after a second.
    request_queue_size = 128

    # What goes wrong with one connection is the other side's to tell.
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class WebsiteDouble:
    """One HTTPS server; `start` and `stop` may alternate."""

    def __init__(self, pki: Pki, users: Mapping[str, bytes], secret: bytes) -> None:
        """`users`: JSXC's, name to password. `secret`: the one that requests are signed with."""
        self.port = free_port()
        self.users = dict(users)
        self.secret = secret
        self.answer = Answer()
        """Of /any."""
        self.heard: list[Heard] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pki.certificate, pki.key)
        self._server: _Server | None = None
        self._open: set[socket.socket] = set()

    def url(self, path: str) -> str:
        """Where a page is."""
        return f"https://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Accept connections."""
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 90

            def setup(self) -> None:
                super().setup()
                double._open.add(self.connection)

            def finish(self) -> None:
                double._open.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                self._answer(double.answer_to(self._heard()))

            do_POST = do_GET

            def _heard(self) -> Heard:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = ((name.lower(), value) for name, value in self.headers.items())
                heard = Heard(self.requestline, tuple(headers), body)
                double.heard.append(heard)
                return heard

            def _answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content)
                self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                pass

        server = _Server(("127.0.0.1", self.port), Handler, bind_and_activate=False)
        server.socket = self._context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.server_bind()
        server.server_activate()
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End every connection, and accept none."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer_to(self, heard: Heard) -> Answer:
        """What each of its pages says."""
        path = heard.line.split()[1]
        pages = {"/jsxc": self._jsxc, "/page": self._page, "/any": lambda _: self.answer}
        return pages.get(path, lambda _: Answer(body=b"<p>Hello!", content="text/html"))(heard)

    def _page(self, heard: Heard) -> Answer:
        """A page behind a password."""
        _, _, given = heard.header("authorization").partition("Basic ")
        name, _, password = base64.b64decode(given).partition(b":")
        right = self.users.get(name.decode()) == password
        return Answer(200 if right else 401, "text/html", b"<p>Hello!" if right else b"")

    def _jsxc(self, heard: Heard) -> Answer:
        """As the app's external API: users are found by their JIDs first, and then by name."""
        signature = "sha1=" + hmac.new(self.secret, heard.body, hashlib.sha1).hexdigest()
        if heard.header("x-jsxc-signature") != signature:
            return _result(500, "error", {"msg": "Signature does not match."})
        fields = {name: values[-1] for name, values in parse_qs(heard.body.decode()).items()}
        name, domain = fields["username"], fields.get("domain")
        found = [name for name in (f"{name}@{domain}", name) if name.casefold() in self.users]
        if fields["operation"] == "isuser":
            return _result(200, "success", {"isUser": bool(found)})
        for uid in found:
            if self.users[uid.casefold()] == fields["password"].encode():
                return _result(200, "success", {"uid": uid})
        return _result(200, "noauth")


def _result(status: int, result: str, data: Mapping[str, Any] | None = None) -> Answer:
    told = {"result": result} if data is None else {"result": result, "data": data}
    return Answer(status, body=json.dumps(told).encode())
