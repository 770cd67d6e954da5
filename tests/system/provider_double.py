"""A stand-in for OpenID providers under TLS, many at one address: it records what is asked, and
answers as a test says.

It is for what a real one does not do on demand: to send to a login page, to say what makes no
sense, to lie, to be slow.
"""

from __future__ import annotations

import gzip
import json
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from .pki import Pki
from .ports import free_port
from .waiting import LIMIT

WELL_KNOWN = "/.well-known/openid-configuration"
LOGIN_PAGE = b"<!DOCTYPE html><title>Log in</title><form><input type=password></form>"


@dataclass(frozen=True)
class Reply:
    """An answer. `raw`: octets in place of one that HTTP would know; none of them: it hangs up.
    `drips`: its octets come one by one, and slowly."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    raw: bytes | None = None
    drips: bool = False


FAILED = ("unavailable", "provider_failed")
UNREACHABLE = ("unavailable", "provider_unreachable")
#: By a name: what is answered, and the verdict and the reason that come of it.
Answers = dict[str, tuple[Reply, tuple[str, str]]]


def document(members: object, status: int = 200) -> Reply:
    """JSON."""
    return Reply(status, json.dumps(members).encode())


def page(body: bytes = LOGIN_PAGE, status: int = 200) -> Reply:
    """HTML."""
    return Reply(status, body, (("Content-Type", "text/html; charset=utf-8"),))


def redirect(status: int, where: str) -> Reply:
    """Elsewhere."""
    return Reply(status, b"", (("Location", where),))


@dataclass(frozen=True)
class Request:
    """One that has arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, list[str]]


class _Server(ThreadingHTTPServer):
    # Who is not accepted at once waits in line: with more than the usual five he would be turned
    # away, and come again after a second.
    request_queue_size = 128

    # What goes wrong with one connection is the other side's to tell.
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class ProviderDouble:
    """Listens while it is used in a `with`."""

    def __init__(self, pki: Pki) -> None:
        self.port = free_port()
        self.pki = pki
        #: By path; what is not here is answered with 404.
        self.answers: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self._over = threading.Event()
        double = self

        class Connection(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = LIMIT

            def do_GET(self) -> None:
                double._serve(self, b"")

            def do_POST(self) -> None:
                double._serve(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *args: object) -> None:
                """Nothing: tokens would be in it."""

        self._server = _Server(("127.0.0.1", self.port), Connection)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.certificate, pki.key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def issuer(self, name: str) -> str:
        """One of the providers."""
        return f"https://localhost:{self.port}/{name}"

    def publish(self, name: str, **changes: object) -> None:
        """What a provider says of itself; None leaves a member out."""
        issuer = self.issuer(name)
        members: dict[str, object] = {
            "issuer": issuer,
            "introspection_endpoint": f"{issuer}/introspection",
            "userinfo_endpoint": f"{issuer}/userinfo",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            **changes,
        }
        told = {member: value for member, value in members.items() if value is not None}
        self.answers[f"/{name}{WELL_KNOWN}"] = document(told)

    def asked(self, path: str) -> list[Request]:
        """The requests for this path."""
        return [request for request in list(self.requests) if request.path == path]

    def _serve(self, connection: BaseHTTPRequestHandler, body: bytes) -> None:
        form = parse_qs(body.decode(), keep_blank_values=True)
        headers = {name.lower(): value for name, value in connection.headers.items()}
        self.requests.append(Request(connection.command, connection.path, headers, form))
        reply = self.answers.get(connection.path, document({"error": "not_found"}, 404))
        try:
            self._send(connection, reply)
        except OSError:
            # Whoever asked has gone.
            connection.close_connection = True

    def _send(self, connection: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.raw is not None:
            connection.wfile.write(reply.raw)
            connection.close_connection = True
            return
        connection.send_response(reply.status)
        for name, value in reply.headers:
            connection.send_header(name, value)
        connection.send_header("Content-Length", str(len(reply.body)))
        connection.end_headers()
        if not reply.drips:
            connection.wfile.write(reply.body)
            return
        for octet in reply.body:
            connection.wfile.write(bytes((octet,)))
            if self._over.wait(0.5):
                return


def good() -> dict[str, object]:
    """What introspection says of a token that is good."""
    now = int(time.time())
    return {
        "active": True,
        "preferred_username": "alice",
        "client_id": "app",
        "aud": ["chat", "mail"],
        "scope": "openid xmpp",
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 300,
    }


def without(name: str) -> dict[str, object]:
    """The same without one of its members."""
    return {member: value for member, value in good().items() if member != name}


def no_answers(double: ProviderDouble) -> Answers:
    """What no question about a token is answered with, and what is made of it."""
    login = f"https://localhost:{double.port}/login"
    body = json.dumps(good()).encode()
    return {
        **{f"{status}": (redirect(status, login), FAILED) for status in (301, 302, 303, 307, 308)},
        "login page": (page(), FAILED),
        "login page in its own words": (page(body), FAILED),
        "list": (document([good()]), FAILED),
        "string": (document("active"), FAILED),
        "cut": (Reply(200, body[:-2]), FAILED),
        "empty": (Reply(200, b""), FAILED),
        "no type": (Reply(200, body, ()), FAILED),
        "no UTF-8": (Reply(200, b'{"active": true, "name": "\xff"}'), FAILED),
        "compressed": (
            Reply(
                200,
                gzip.compress(body),
                (("Content-Type", "application/json"), ("Content-Encoding", "gzip")),
            ),
            UNREACHABLE,
        ),
        "member twice": (Reply(200, b'{"active": false, ' + body[1:]), FAILED),
        "no content": (Reply(204, b""), FAILED),
        "not found": (document({"error": "not_found"}, 404), FAILED),
        "fault": (document({"error": "server_error"}, 500), FAILED),
        "away": (page(b"<h1>Service Unavailable</h1>", 503), FAILED),
        "long": (document(good() | {"more": "x" * 300_000}), UNREACHABLE),
        "no HTTP": (Reply(raw=b"220 mail.example ESMTP\r\n"), UNREACHABLE),
        "hangs up": (Reply(raw=b""), UNREACHABLE),
        "half": (
            Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + body),
            UNREACHABLE,
        ),
    }


def slow_answer() -> Reply:
    """It is good, and takes minutes to come."""
    return Reply(200, json.dumps(good()).encode(), drips=True)
