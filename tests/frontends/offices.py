"""Token offices for a front end: one that is told what to say, and a real one, on a store in
memory."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.frontends.clients import Client
from authbridge.issuers.issuers import Issuer
from authbridge.prebind import Prebind
from authbridge.secret import Secret
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import Reply, Server
from tests.frontends.pages import ScriptedBosh
from tests.token_office.offices import NOW as NOW
from tests.token_office.offices import Premises

SITE = Client(
    "website",
    Secret(b"down-the-hole"),
    frozenset({"tokens", "prebind", "introspect", "revoke"}),
    frozenset({"example.org"}),
    deadline=2.0,
    max_lifetime=3600.0,
    max_uses=5,
    rate=(3, 60.0),
)
CREDENTIALS = b"Authorization: Basic " + b64encode(b"website:down-the-hole") + b"\r\n"
JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
ALICE = {"jid": "alice@example.org"}


def ask(
    method: str,
    path: str,
    body: dict[str, Any] | bytes | None = None,
    headers: bytes = CREDENTIALS,
    content: bytes | None = None,
) -> bytes:
    """A call; its body a form where the path takes one, otherwise JSON."""
    form = path.partition("?")[0] in ("/introspect", "/revoke")
    if isinstance(body, dict):
        content = content or (FORM if form else JSON)
        body = (urlencode(body) if form else json.dumps(body)).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: h\r\n".encode() + headers
    if content is not None:
        head += b"Content-Type: %b\r\n" % content
    if body is not None:
        head += b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + (body or b"")


class ScriptedOffice:
    """Says to everything what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []
        self.lookup = self

    def __getattr__(self, name: str) -> Any:
        async def asked(*arguments: Any, **more: Any) -> Any:
            self.asked.append((name, *arguments, *more.values()))
            if isinstance(self.answer, Exception):
                raise self.answer
            if isinstance(self.answer, Deferred):
                return await self.answer
            return self.answer

        return asked


class Site(Premises):
    """A website at a front end with a real office."""

    def __init__(self, client: Client = SITE, issuers: tuple[Issuer, ...] = ()) -> None:
        super().__init__(issuers)
        self.bosh = ScriptedBosh()
        servers: Any = {"example.org": self.bosh}
        self.server = Server(
            ScriptedChecker(model.PASSWORD_MATCHES),
            clients=(client,),
            office=self.office,
            prebind=Prebind(self.office, servers, self.clock.seconds),
        )

    def ask(self, *arguments: Any, **more: Any) -> Reply:
        """What is answered to this call."""
        return self.server.caller().ask(ask(*arguments, **more))

    def issue(self, **more: Any) -> dict[str, Any]:
        """A new token of Alice's."""
        reply = self.ask("POST", "/tokens", ALICE | more)
        assert reply.status == 201
        return json.loads(reply.body)  # type: ignore[no-any-return]
