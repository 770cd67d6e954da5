"""Many who come at once: each shows what it has, over HTTP or as ejabberd's programs do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from authbridge.wire.extauth import ERROR, FALSE, TRUE

from . import calls
from .raw_http import Connection
from .token_site import TokenSite

#: A JID, and what is shown as its password.
Shown = tuple[str, bytes]

#: What is answered.
YES, NO, CANNOT_TELL = "yes", "no", "cannot tell"
_OF_PROGRAMS = {TRUE: YES, FALSE: NO, ERROR: CANNOT_TELL}
_OF_HTTP = {calls.YES: YES, calls.NO: NO}

#: Connections over HTTP, and programs, whatever the number of daemons.
CONNECTIONS = 50
PROGRAMS = 6


class Way(Protocol):
    """A connection that is there already."""

    def show(self, shown: Sequence[Shown]) -> None:
        """Send them, without waiting."""
        ...

    def hear(self) -> Iterator[str]:
        """What is answered to each of them."""
        ...


class Kept:
    """Over HTTP."""

    def __init__(self, site: TokenSite, ends: ExitStack) -> None:
        self._connection = ends.enter_context(Connection(site.http_port))
        lines = [f"{name}: {value}\r\n" for name, value in calls.headers_of(site).items()]
        self._head = f"POST /auth/check_password HTTP/1.1\r\nHost: 127.0.0.1\r\n{''.join(lines)}"
        self._asked = 0

    def show(self, shown: Sequence[Shown]) -> None:
        """See Way."""
        bodies = [calls.form_of(*one) for one in shown]
        self._connection.send(
            b"".join(
                f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body
                for body in bodies
            )
        )
        self._asked = len(bodies)

    def hear(self) -> Iterator[str]:
        """See Way."""
        for _ in range(self._asked):
            answer = self._connection.receive()
            if answer.status == calls.CANNOT_TELL:
                yield CANNOT_TELL
            else:
                yield _OF_HTTP[answer.status, answer.body]


class Piped:
    """Through authbridge-extauth."""

    def __init__(self, site: TokenSite, ends: ExitStack) -> None:
        self._program = subprocess.Popen(
            site.connector(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        ends.callback(self._program.communicate, timeout=90)
        self._asked = 0

    def show(self, shown: Sequence[Shown]) -> None:
        """See Way."""
        assert self._program.stdin is not None
        for jid, octets in shown:
            user, _, domain = jid.encode().partition(b"@")
            frame = b":".join((b"auth", user, domain, octets))
            self._program.stdin.write(len(frame).to_bytes(2, "big") + frame)
        self._program.stdin.flush()
        self._asked = len(shown)

    def hear(self) -> Iterator[str]:
        """See Way."""
        assert self._program.stdout is not None
        for _ in range(self._asked):
            yield _OF_PROGRAMS[self._program.stdout.read(4)]


class Rush:
    """Everybody, each at one of the daemons."""

    def __init__(self, sites: Sequence[TokenSite], ends: ExitStack) -> None:
        self._sites = sites
        self._kept = [Kept(sites[n % len(sites)], ends) for n in range(CONNECTIONS)]
        self._piped = [Piped(sites[n % len(sites)], ends) for n in range(PROGRAMS)]

    def come(self, shown: Sequence[Shown], *, together: bool) -> list[tuple[Shown, str]]:
        """Show all of them, half over HTTP, and half as programs; what is answered to each.
        `together`: the daemons are stopped until all has been sent, so that they find it at once;
        otherwise they have begun before the last is sent."""
        ways: list[Way] = [*self._kept, *self._piped]
        dealt: list[list[Shown]] = [[] for _ in ways]
        for number, one in enumerate(shown):
            turn = number // 2
            if number % 2:
                dealt[turn % CONNECTIONS].append(one)
            else:
                dealt[CONNECTIONS + turn % PROGRAMS].append(one)
        if together:
            for site in self._sites:
                site.process.pause()
        for way, its in zip(ways, dealt, strict=True):
            way.show(its)
        if together:
            for site in self._sites:
                site.process.resume()
        return [
            pair
            for way, its in zip(ways, dealt, strict=True)
            for pair in zip(its, way.hear(), strict=True)
        ]


@contextmanager
def rush(*sites: TokenSite) -> Iterator[Rush]:
    """Everybody, connected to daemons that run."""
    with ExitStack() as ends:
        yield Rush(sites, ends)


def changed(octets: bytes) -> bytes:
    """The same token but for one character, well formed."""
    at = len(octets) // 2
    return octets[:at] + (b"B" if octets[at : at + 1] == b"A" else b"A") + octets[at + 1 :]
