"""A control socket with a real token office behind it, on a store in memory."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from authbridge import model
from authbridge.control import ControlFactory, Explainer
from authbridge.frontends.extauth import ExtauthSettings
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.issuers.signed import SignedTokens
from authbridge.log import LoginLog, LogSettings
from authbridge.stores.memory import MemoryStore
from authbridge.token_office.office import TokenOffice
from authbridge.wire.extauth import ERROR, TRUE
from tests.doubles import House, InlineLedger, ScriptedChecker
from tests.issuers.folders import NAME, SECRETS, pem, settings, write
from tests.tokens import mint

NOW = 1_800_000_000
ALICE = "alice@example.org"
WANTED = {"jid": ALICE, "ttl": None, "uses": 1, "device": "", "note": ""}
EXTAUTH = ExtauthSettings((), frozenset(), 8.0, ERROR, TRUE)


class Controls:
    """Commands that are answered at once."""

    def __init__(self, folder: Path) -> None:
        """`NAME`'s tokens can be revoked, and those of "shop" cannot."""
        write(folder / "www.pem", pem("www"))
        write(folder / "secret", SECRETS[0])
        self.clock = Clock()
        self.house = House(ScriptedChecker(model.PASSWORD_MATCHES))
        self.lines: list[str] = []
        self.ledger = InlineLedger(MemoryStore(), self.wall)
        self._octets = 0
        jwt = Issuer(settings(folder, name=NAME, keys=["www.pem"], revocable=True))
        shop = settings(folder, "compact", name="shop", secret_file="secret", keys=None)
        issuers = Issuers((jwt, Issuer(shop)), self.clock.seconds)
        issuers.start()
        self.office: TokenOffice | None = TokenOffice(
            self.ledger,  # type: ignore[arg-type]
            SignedTokens(issuers, lambda jid: False, self.wall),
            {NAME: jwt.settings, "shop": shop},
            {"example.org": frozenset({"temporary", "jwt", "compact"})}.get,
            lambda jid: jid.local == "admin",
            LoginLog(LogSettings(), self.lines.append, self.wall),
            self.wall,
            self.clock.seconds,
            self._random,
        )

    def wall(self) -> float:
        return NOW + self.clock.seconds()

    def _random(self, count: int) -> bytes:
        self._octets += 1
        return self._octets.to_bytes(count, "big")

    def ask(self, name: str, **members: Any) -> dict[str, Any]:
        """What is answered to this command."""
        return self.say(json.dumps({"command": name, **members}).encode())

    def say(self, line: bytes) -> dict[str, Any]:
        """What is answered to this line."""
        transport: Any = StringTransport()
        transport.socket, other = socket.socketpair(socket.AF_UNIX)
        explainer = Explainer(self.house.authenticator, EXTAUTH, 8.0)
        protocol = ControlFactory(explainer, self.office).buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(line + b"\n")
        transport.socket.close()
        other.close()
        assert transport.disconnecting
        return json.loads(transport.value())  # type: ignore[no-any-return]

    def issue(self, **more: Any) -> dict[str, Any]:
        """A new token of Alice's."""
        told = self.ask("token-issue", **(WANTED | more))
        assert "error" not in told
        return told


def jwt(**changes: Any) -> str:
    """A token of Alice's that `NAME` has signed."""
    claims = {"iss": NAME, "sub": ALICE, "aud": "xmpp:example.org", "iat": NOW - 5,
              "exp": NOW + 55, "jti": "one"}  # fmt: skip
    return mint.jwt(claims | changes, mint.key("ES256", "www"), kid="www", typ="JWT")
