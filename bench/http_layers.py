"""`python -m bench.http_layers [--samples FILE] LAYER ARGUMENT …`: ever more of our HTTP server.

The first two layers are given a port. The others are given the arguments of `authbridge`: they are
the daemon, with a constant in place of what comes behind. With `--samples`, what the process was
doing is written there at its end (`bench.sampling`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.web.http import HTTPChannel, HTTPFactory, Request
from twisted.web.iweb import INonQueuedRequestFactory
from zope.interface import provider

from authbridge import model
from authbridge.authenticator import Authenticator
from authbridge.cli.main import main as authbridge
from authbridge.frontends.http import HttpFrontEnd
from authbridge.frontends.http_answers import YES
from authbridge.model import Outcome
from bench.sampling import Sampler

reactor: Any = installed
TRUE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
    b"Cache-Control: no-store\r\n\r\ntrue"
)


class Deaf(Protocol):
    """Answers whatever comes: the reactor and its connections."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.writeSomeData(TRUE)


@provider(INonQueuedRequestFactory)
class Parsed(Request):
    """Answers what twisted.web has parsed, past all that it does for an answer."""

    transport: Any

    def gotLength(self, length: int | None) -> None:
        pass

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.startedWriting = 1
        self.transport.writeSomeData(TRUE)
        self.finish()


class Channel(HTTPChannel):
    """Parses."""

    requestFactory = Parsed


class Unlogged(HTTPFactory):
    """Without the log of URLs."""

    protocol: Any = Channel

    def log(self, request: Any) -> None:
        pass


def transport(port: str) -> None:
    """The reactor and its connections alone."""
    listen(Factory.forProtocol(Deaf), port)


def parser(port: str) -> None:
    """And twisted.web's parser, which ours takes the place of."""
    listen(Unlogged(), port)


def listen(factory: Any, port: str) -> None:
    """Serve until a signal comes."""
    factory.noisy = False
    reactor.listenTCP(int(port), factory, interface="127.0.0.1")
    reactor.run()


def connections(*arguments: str) -> None:
    """Our connections and our parser: whatever they take is answered with yes."""

    def serve(_: HttpFrontEnd, call: Any) -> None:
        call.answer(YES)

    patched: Any = HttpFrontEnd
    patched.serve = serve
    authbridge(list(arguments))


def front_end(*arguments: str) -> None:
    """And the front end: the authenticator accepts everybody, without asking or a line."""

    def check_password(*_: object, **__: object) -> Deferred[Outcome]:
        return succeed(model.PASSWORD_MATCHES)

    patched: Any = Authenticator
    patched.check_password = check_password
    authbridge(list(arguments))


def daemon(*arguments: str) -> None:
    """All of it."""
    authbridge(list(arguments))


LAYERS: dict[str, Callable[..., None]] = {
    layer.__name__: layer for layer in (transport, parser, connections, front_end, daemon)
}


def main() -> None:
    """Serve until a signal comes."""
    options = argparse.ArgumentParser(prog="python -m bench.http_layers")
    options.add_argument("--samples", type=Path)
    options.add_argument("layer", choices=LAYERS)
    options.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = options.parse_args()
    sampler = Sampler()
    if chosen.samples:
        reactor.callWhenRunning(sampler.start)
    LAYERS[chosen.layer](*chosen.arguments)
    if chosen.samples:
        sampler.stop()
        chosen.samples.write_text(json.dumps(sampler.counted()))


if __name__ == "__main__":
    main()
