"""Callers who ask on and on over one connection: like a web server, and like ejabberd's program."""

import http.client
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from .calls import YES, form_of, headers_of
from .daemon import Daemon
from .waiting import wait_until


class Caller(Protocol):
    """Somebody who asks about passwords."""

    def accepts(self, jid: str, password: bytes) -> bool:
        """Whether this is a user's password; False as well where that cannot be told."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class KeepAlive:
    """Over HTTP."""

    def __init__(self, daemon: Daemon) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=90)
        self._headers = headers_of(daemon)
        self._asked = time.monotonic()

    def accepts(self, jid: str, password: bytes) -> bool:
        """See Caller."""
        body = form_of(jid, password)
        # The daemon ends a connection that nobody has used for a while (75 s).
        if time.monotonic() - self._asked > 30:
            self._connection.close()
        self._asked = time.monotonic()
        self._connection.request("POST", "/auth/check_password", body, self._headers)
        answer = self._connection.getresponse()
        return (answer.status, answer.read()) == YES

    def close(self) -> None:
        """See Caller."""
        self._connection.close()


class Program:
    """Through authbridge-extauth, whatever is behind it."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        """`output` gets its stderr."""
        with output.open("ab") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
            )

    def accepts(self, jid: str, password: bytes) -> bool:
        """See Caller."""
        user, _, domain = jid.encode().partition(b"@")
        frame = b":".join((b"auth", user, domain, password))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(len(frame).to_bytes(2, "big") + frame)
        self._process.stdin.flush()
        answer = self._process.stdout.read(4)
        assert answer in (b"\0\2\0\1", b"\0\2\0\0")
        return answer[3] == 1

    def close(self) -> None:
        """See Caller. The end of its input is the program's end."""
        self._process.communicate(timeout=90)


class Crowd:
    """Callers who ask by turns about what is current, in a thread each, and expect a yes."""

    def __init__(self, jid: str, current: Mapping[str, bytes], callers: Sequence[Caller]) -> None:
        self._jid = jid
        self._current = dict(current)
        self._callers = callers
        self._rounds = [0 for _ in callers]
        self._over = threading.Event()
        self._asking: list[Future[None]] = []
        #: The names of tokens that were not accepted.
        self.refused: list[str] = []

    def use(self, **fresh: bytes) -> None:
        """Have these in place of others; returns when nobody uses those any more."""
        self._current.update(fresh)
        self.go_round()

    def go_round(self) -> None:
        """Return when every caller has asked about everything that is current now."""
        before = list(self._rounds)

        def all_have() -> bool:
            for asking in self._asking:
                if asking.done():
                    asking.result()
            # The first may have begun before.
            return all(now >= was + 2 for was, now in zip(before, self._rounds, strict=True))

        wait_until(all_have, "every caller has gone round")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """They ask until the end."""
        with ThreadPoolExecutor(len(self._callers)) as pool:
            self._asking = [pool.submit(self._ask, n) for n in range(len(self._callers))]
            try:
                yield
            finally:
                self._over.set()
        for asking in self._asking:
            asking.result()

    def _ask(self, number: int) -> None:
        # As many as a daemon has on a busy day, and no flood.
        while not self._over.wait(0.01):
            for name in self._current:
                if not self._callers[number].accepts(self._jid, self._current[name]):
                    self.refused.append(name)
            self._rounds[number] += 1


def said_since(log: Path, mark: int) -> Callable[[str], bool]:
    """Whether a pattern is found in a log behind a mark."""

    def says(pattern: str) -> bool:
        with log.open("rb") as file:
            file.seek(mark)
            return re.search(pattern.encode(), file.read()) is not None

    return says
