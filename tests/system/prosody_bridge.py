"""A stand-in for the daemon's listen.http: it records what is asked, and answers as a test says.

It is for what the daemon does not do on demand: to hang, to fail, to say what makes no sense.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from .ports import free_port
from .waiting import LIMIT, wait_until

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One that has arrived; the form's parameters have one value each."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, list[str]]
    """By name in lower case."""

    @property
    def verb(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def user(self) -> str:
        """Whom it is about; "" if it does not say."""
        return self.form.get("user", "") or self.query.get("user", "")


@dataclass(frozen=True)
class Reply:
    """An answer; `hangs`: it comes when the test lets everybody go on."""

    status: int = 200
    body: bytes = b"true"
    hangs: bool = False
    headers: tuple[tuple[str, str], ...] = ()


YES = Reply()
NO = Reply(body=b"false")
HANGING = Reply(hangs=True)


def decided(ask: Callable[[], T], outage: T) -> T:
    """What comes of a question at a server that is HASTY: it is asked again as long as that is an
    outage, since a busy machine may take longer than such a server waits."""
    outcomes: list[T] = []

    def once_more() -> bool:
        outcomes.append(ask())
        return outcomes[-1] != outage

    wait_until(once_more, "it is answered in time")
    return outcomes[-1]


def _single(text: str) -> dict[str, str]:
    parsed = parse_qs(text, keep_blank_values=True, strict_parsing=bool(text))
    assert all(len(values) == 1 for values in parsed.values()), "a parameter is there twice"
    return {name: values[0] for name, values in parsed.items()}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    #: Of the library's own five, the next one who comes waits for a second at least.
    request_queue_size = 128


class Bridge:
    """Listens on a free port of 127.0.0.1 while it is used in a `with`."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        #: Says what is answered; a test puts its own in place.
        self.answer: Callable[[Request], Reply] = lambda request: YES
        self._go_on = threading.Event()
        bridge = self

        class Connection(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                # Who comes late, and has long been given up, is none of the next test's.
                self.requests = bridge.requests

            def do_GET(self) -> None:
                bridge._serve(self, self.requests, "")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                bridge._serve(self, self.requests, self.rfile.read(length).decode())

            def log_message(self, *args: object) -> None:
                """Nothing: passwords would be in it."""

        self._server = _Server(("127.0.0.1", free_port()), Connection)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.go_on()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What authbridge_url says."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/auth"

    def reset(self) -> None:
        """Forget what was asked, answer yes to all, and let nobody hang any more."""
        self.go_on()
        self.requests = []
        self.answer = lambda request: YES
        self._go_on = threading.Event()

    def go_on(self) -> None:
        """Answer those that hang."""
        self._go_on.set()

    def asked(self, verb: str, user: str = "", count: int = 1) -> Request:
        """Wait until that has been asked so many times, about this user or anybody; the last."""

        def found() -> list[Request]:
            matching = [
                request
                for request in list(self.requests)
                if request.verb == verb and user in ("", request.user)
            ]
            return matching if len(matching) >= count else []

        return wait_until(found, f"{verb} is asked")[-1]

    def _serve(
        self, connection: BaseHTTPRequestHandler, requests: list[Request], body: str
    ) -> None:
        address = urlsplit(connection.path)
        headers: dict[str, list[str]] = {}
        for name, value in connection.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        request = Request(
            connection.command, address.path, _single(address.query), _single(body), headers
        )
        go_on = self._go_on
        requests.append(request)
        reply = self.answer(request)
        if reply.hangs:
            go_on.wait(LIMIT)
        try:
            connection.send_response(reply.status)
            connection.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers:
                connection.send_header(name, value)
            connection.end_headers()
            connection.wfile.write(reply.body)
        except OSError:
            # Whoever asked has gone.
            connection.close_connection = True
