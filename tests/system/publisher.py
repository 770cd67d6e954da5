"""A website that publishes keys, under TLS, and that can be away or hang."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.tokens import mint

from .pki import Pki
from .ports import free_port
from .waiting import LIMIT, wait_until


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    # What goes wrong with one connection is the other side's to tell.
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Publisher:
    """One HTTPS server; `start` and `stop` may alternate, the port and what is there stay."""

    def __init__(self, pki: Pki) -> None:
        self._port = free_port()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pki.certificate, pki.key)
        self._documents: dict[str, bytes] = {}
        self._held: dict[str, threading.Event] = {}
        self._holding: set[str] = set()
        self._served: Counter[tuple[str, bytes]] = Counter()
        self._server: _Server | None = None

    def url(self, name: str) -> str:
        """Where an issuer's keys are."""
        return f"https://127.0.0.1:{self._port}/{name}"

    def publish(self, name: str, **keys: mint.Key) -> None:
        """What an issuer's keys are from now on, by `kid`."""
        jwks = mint.jwks(*(key.jwk(kid=kid) for kid, key in keys.items()))
        self._documents[f"/{name}"] = json.dumps(jwks).encode()

    def asked(self, name: str) -> int:
        """How often somebody has fetched what is there now."""
        path = f"/{name}"
        return self._served[path, self._documents[path]]

    def wait_until_asked(self, name: str) -> None:
        """Until somebody has fetched what is there now."""
        wait_until(lambda: self.asked(name), f"somebody has fetched the keys of {name}")

    @contextmanager
    def hanging(self, name: str) -> Iterator[None]:
        """Whoever asks for this issuer's keys gets no answer, until the end."""
        self._held[f"/{name}"] = end = threading.Event()
        try:
            yield
        finally:
            del self._held[f"/{name}"]
            end.set()

    def holds(self, name: str) -> bool:
        """Whether somebody waits for this issuer's keys."""
        return f"/{name}" in self._holding

    def start(self) -> None:
        """Listen, and answer in threads."""
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = publisher._answer(self.path)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _answer(self, path: str) -> bytes:
        held = self._held.get(path)
        if held is not None:
            self._holding.add(path)
            held.wait(LIMIT)
            self._holding.discard(path)
        document = self._documents[path]
        self._served[path, document] += 1
        return document

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
