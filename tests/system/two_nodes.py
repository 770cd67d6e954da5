"""Two daemons, a Redis and a HAProxy before them; and who asks them for tokens and logs in."""

import http.client
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stores.redis_server import PROGRAM, RedisServer

from .calls import Answer, headers_of
from .canary import secret
from .daemon import write_private
from .haproxy import NAME, Haproxy
from .pki import Pki
from .ports import free_port
from .token_node import ALICE, DOMAIN, TokenNode, ask_for_token
from .waiting import wait_until

REDIS_CONF = Path(__file__).parent.parent.parent / "conf" / "redis.conf"
CALLERS = 4
#: What a HAProxy answers for a daemon that gave none.
NO_ANSWER = (502, 503, 504)


class DocumentedRedis(RedisServer):
    """With conf/redis.conf, in which ports, paths and the password are made ours."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.pki = pki
        self.secret = secret("redis")
        super().__init__(folder)

    def _arguments(self) -> list[str]:
        there = {
            "bind 192.0.2.10": "bind 127.0.0.1",
            "tls-port 6379": f"tls-port {self.port}",
            "/etc/redis/redis.example.org.pem": str(self.pki.certificate),
            "/etc/redis/redis.example.org.key": str(self.pki.key),
            "CHANGE-ME": self.secret.decode(),
        }
        text = REDIS_CONF.read_text()
        for shown, ours in there.items():
            assert text.count(shown) == 1, shown
            text = text.replace(shown, ours)
        file = self.folder / "redis.conf"
        write_private(file, text.encode())
        return [PROGRAM, str(file), "--dir", str(self.data)]


class Node(TokenNode):
    """One of the two, with a listener for HAProxy."""

    def __init__(self, folder: Path, redis: DocumentedRedis, pki: Pki, secrets: "Secrets") -> None:
        write_private(folder / "redis-password", redis.secret + b"\n")
        super().__init__(
            folder,
            f"rediss://127.0.0.1:{redis.port}/0",
            more=f'state_password_file = "{folder}/redis-password"\nstate_ca_file = "{pki.ca}"\n',
            website_secret=secrets.website,
        )
        self.client_secret = secrets.server
        write_private(folder / "clients" / "prosody", secrets.server + b"\n")
        self.tls_port = free_port()
        listener = (
            f"ssl:{self.tls_port}:interface=127.0.0.1:privateKey={pki.key}:certKey={pki.chain}"
        )
        text = self.configuration.read_text()
        changed = text.replace('backlog=1024"]', f'backlog=1024", "{listener}"]')
        changed += f'\n[http]\nhosts = ["{NAME}"]\n'
        write_private(self.configuration, changed.encode())

    def be_quick(self, *, quick: bool) -> None:
        """From its next start on its connectors wait for it for a second, or as long as may be."""
        shown, brief = "[extauth]\n", '[extauth]\ndeadline = "1s"\n'
        text = self.configuration.read_text().replace(brief, shown)
        if quick:
            text = text.replace(shown, brief)
        write_private(self.configuration, text.encode())

    def decided(self) -> int:
        """How many logins its log has that were accepted."""
        return len(self.lines("verdict=accepted"))


@dataclass(frozen=True)
class Secrets:
    """What both know their callers by."""

    website: bytes
    server: bytes


class Caller:
    """The website and the XMPP server of a user, behind HAProxy."""

    def __init__(self, pair: "Pair", *, keeps: bool) -> None:
        """`keeps`: its connection, from one request to the next."""
        self._node = pair.nodes[0]
        self._port = pair.haproxy.port
        self._context = ssl.create_default_context(cafile=str(pair.pki.ca))
        self._keeps = keeps
        self._connection: http.client.HTTPSConnection | None = None

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPSConnection]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, timeout=90, context=self._context
            )
        yield self._connection
        if not self._keeps:
            self.close()

    def ask_for_token(self) -> bytes | None:
        """A token of alice's; None where there was none."""
        with self._connected() as connection:
            told = ask_for_token(connection, self._node.website_credentials, ALICE)
        assert told.status in (201, *NO_ANSWER)
        return told.token if told.status == 201 else None

    def log_in(self, password: bytes) -> Answer:
        """As Prosody's mod_auth_http asks."""
        form = {"user": b"alice", "server": DOMAIN.encode(), "pass": password}
        headers = {"Authorization": headers_of(self._node)["Authorization"], "Host": NAME}
        with self._connected() as connection:
            path = f"/auth/check_password?{urllib.parse.urlencode(form)}"
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Crowd:
    """Users who get a token, log in with it and try it again, without a pause."""

    def __init__(self, callers: list[Caller]) -> None:
        self._callers = callers
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._coming: list[Future[None]] = []
        #: Of each token, what it was answered with, twice; nothing where none was issued.
        self.rounds: list[list[Answer]] = []
        #: How many of them were over when each of them began.
        self.began: list[int] = []

    @contextmanager
    def coming(self) -> Iterator[None]:
        """They come until the end."""
        with ThreadPoolExecutor(len(self._callers)) as pool:
            self._coming = [pool.submit(self._come, caller) for caller in self._callers]
            try:
                yield
            finally:
                self._over.set()
        for coming in self._coming:
            coming.result()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """While they come."""

        def holds() -> bool:
            for coming in self._coming:
                if coming.done():
                    coming.result()
            return condition()

        wait_until(holds, what)

    def wait_for_rounds(self, count: int) -> None:
        """Until so many more are over."""
        end = len(self.rounds) + count
        self.wait_for(lambda: len(self.rounds) >= end, f"{count} rounds")

    def _come(self, caller: Caller) -> None:
        while not self._over.is_set():
            begin = len(self.rounds)
            token = caller.ask_for_token()
            answers = [] if token is None else [caller.log_in(token) for _ in range(2)]
            with self._lock:
                self.began.append(begin)
                self.rounds.append(answers)
        caller.close()


@dataclass(frozen=True)
class Pair:
    """All of it."""

    nodes: tuple[Node, Node]
    haproxy: Haproxy
    redis: DocumentedRedis
    pki: Pki

    def crowd(self) -> Crowd:
        """Half of them keep their connections."""
        return Crowd([Caller(self, keeps=bool(number % 2)) for number in range(CALLERS)])


def wait_until_both_serve(pair: Pair, crowd: Crowd) -> None:
    """Wait until each of the two has accepted logins, from now on."""
    before = [node.decided() for node in pair.nodes]

    def serve() -> bool:
        pairs = zip(pair.nodes, before, strict=True)
        return all(node.decided() > was for node, was in pairs)

    crowd.wait_for(serve, "both daemons serve")


class Connector:
    """What each ejabberd has of its own daemon."""

    def __init__(self, node: Node) -> None:
        with (node.folder / "connector.out").open("ab") as output:
            self.process = subprocess.Popen(
                node.extauth_program.split(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
            )

    def log_in(self, password: bytes) -> bytes:
        """The answer, without its length."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        user, _, domain = ALICE.encode().partition(b"@")
        frame = b":".join((b"auth", user, domain, password))
        self.process.stdin.write(len(frame).to_bytes(2, "big") + frame)
        self.process.stdin.flush()
        return self.process.stdout.read(4)[2:]
