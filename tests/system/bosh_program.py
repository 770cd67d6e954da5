"""A program that logs in by BOSH with the library of authbridge, as its daemon would.

It is told what to do in lines of JSON, and tells in such lines what came of it (see bosh_logins).
It is run by its path, so that the authbridge it uses is that of its environment.
"""

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.internet.ssl import Certificate
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from authbridge import client_tls, preparation
from authbridge.outbound.bosh import BoshRefused, BoshServer, BoshSession, BoshUnreachable
from authbridge.secret import Secret

reactor: Any = installed


class Program(LineReceiver):
    """Its stdin and stdout."""

    delimiter = b"\n"

    def __init__(self) -> None:
        self._servers: dict[str, BoshServer] = {}
        self._logins: dict[int, Deferred[BoshSession]] = {}
        self._sessions: dict[int, BoshSession] = {}

    def lineReceived(self, line: bytes) -> None:
        """One thing to do."""
        told = json.loads(line)
        getattr(self, f"do_{told.pop('do')}")(**told)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody tells it anything any more."""
        reactor.stop()

    def do_server(self, name: str, url: str, ca: str, at_once: int) -> None:
        """A server to log in at; `ca` may be empty."""
        context = (
            client_tls.make_context([Certificate.loadPEM(Path(ca).read_bytes())]) if ca else None
        )
        self._servers[name] = BoshServer(url, context, reactor, os.urandom, at_once=at_once)

    def do_log_in(
        self, number: int, server: str, jid: str, password: str, resource: str | None
    ) -> None:
        """Begin a login."""
        secret = Secret(password.encode())
        log_in = self._servers[server].log_in(preparation.jid(jid), secret, resource)
        login = self._logins[number] = Deferred.fromCoroutine(log_in)
        login.addCallbacks(
            lambda session: self._done(number, session), lambda why: self._failed(number, why)
        )

    def do_cancel(self, number: int) -> None:
        """Give a login up."""
        self._logins[number].cancel()

    def do_end(self, number: int) -> None:
        """Have its session ended."""
        self._sessions[number].end()

    def _done(self, number: int, session: BoshSession) -> None:
        self._sessions[number] = session
        self._say(number=number, jid=session.jid, sid=session.sid, rid=session.rid)

    def _failed(self, number: int, why: Failure) -> None:
        why.trap(BoshRefused, BoshUnreachable, CancelledError)
        words = getattr(why.value, "words", "")
        self._say(number=number, error=type(why.value).__name__, words=words)

    def _say(self, **what: object) -> None:
        self.sendLine(json.dumps(what).encode())


if __name__ == "__main__":
    StandardIO(Program())
    reactor.run()
