"""An OAuth provider in the test's hands, over real TLS on a network in memory, and who asks it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from twisted.internet.defer import Deferred

from authbridge.checkers import Surroundings, oauth
from authbridge.checkers.oauth import OAuthChecker
from authbridge.model import JID, Outcome, Trace, Verdict
from authbridge.providers.provider import Provider
from authbridge.providers.settings import OAuthSettings
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from tests.doubles import now
from tests.ldap.certificates import ADDRESS, OURS
from tests.ldap.certificates import NAME as HOST
from tests.outbound.web import Request, WebNetwork, WebServer, answer
from tests.tokens import mint

NOW = 1_800_000_000
KEY = "checkers.sso"
ISSUER = f"https://{HOST}/realms/chat"
ALICE, BOB, ADMIN = (JID(user, "example.org") for user in ("alice", "bob", "admin"))
METADATA, KEYS = "/realms/chat/.well-known/openid-configuration", "/jwks"
INTROSPECT, USERINFO, TOKEN = "/introspect", "/userinfo", "/token"
JSON = "Content-Type: application/json"
CLIENT = {"client_id": "authbridge", "client_secret_file": "secret"}
REQUIRED = {"audience": ["xmpp"], "scope": ["chat"]}
USUAL: dict[str, dict[str, Any]] = {
    "jwt": {"tokens": "jwt", **REQUIRED},
    "introspection": {"tokens": "introspection", "token_length": 43, **CLIENT, **REQUIRED},
    "userinfo": {"tokens": "userinfo", "token_length": 43, "insecure_any_client": True},
}
OPAQUE = "opaque-token-of-alice".ljust(43, "x")


def read(folder: Path, way: str = "introspection", **given: Any) -> tuple[OAuthSettings, list[str]]:
    """The usual settings but for what is given (None: left out), and the mistakes in them."""
    secret, authority = folder / "secret", folder / "ca.pem"
    secret.write_bytes(b"s3cret of ours\n")
    secret.chmod(0o600)
    authority.write_bytes(OURS.pem)
    mistakes = Mistakes()
    usual = {"issuer": ISSUER, "ca_file": "ca.pem", **USUAL[way]}
    data = {key: value for key, value in (usual | given).items() if value is not None}
    settings = OAuthSettings.read(Table(data, KEY, mistakes, folder))
    for mistake in mistakes:
        assert mistake.startswith(f"{KEY}."), mistake
    return settings, [mistake.removeprefix(f"{KEY}.") for mistake in mistakes]


def says(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    """An answer; what is no octets is made JSON."""
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answer(octets, status, *(headers or (JSON,)))


def form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), strict_parsing=True, encoding="latin-1"))


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token of alice's; NOT_THERE takes one away."""
    usual = {
        "iss": ISSUER, "aud": ["account", "xmpp"], "azp": "web", "scope": "openid chat",
        "iat": NOW - 10, "exp": NOW + 300, "sub": "f00", "preferred_username": "alice",
    }  # fmt: skip
    return mint.without(usual | changes)


def jwt(owner: str = "sso", kid: str | None = None, head: Any = "at+jwt", **changes: Any) -> str:
    """A token; `head` is the `typ` of its header."""
    key = mint.key("RS256" if owner == "sso" else "ES256", owner)
    return mint.jwt(claims(**changes), key, kid=kid or owner, typ=head)


class Sso:
    """The provider's server. What it says at a path is in `says`: octets, or what makes them of a
    request; None: nothing for now."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "jwks_uri": f"https://{HOST}{KEYS}",
            "introspection_endpoint": f"https://{HOST}{INTROSPECT}",
            "userinfo_endpoint": f"https://{HOST}{USERINFO}",
            "token_endpoint": f"https://{HOST}{TOKEN}",
        }
        self.jwks = mint.jwks(mint.key("RS256", "sso").jwk(kid="sso"))
        self.asked: list[tuple[str, Request]] = []
        self.says: dict[str, Any] = {
            METADATA: lambda _: says(self.metadata),
            KEYS: lambda _: says(self.jwks),
        }

    def answer(self, _server: WebServer, request: Request) -> bytes | None:
        path = urlsplit(request.first.split(" ")[1]).path
        self.asked.append((path, request))
        said = self.says[path]
        return said(request) if callable(said) else said

    def at(self, path: str) -> list[Request]:
        """What it was asked there."""
        return [request for where, request in self.asked if where == path]


class World:
    """The provider, its checker, and the time."""

    def __init__(self, folder: Path, way: str = "introspection", /, **given: Any) -> None:
        self.network = WebNetwork()
        self.network.names = {HOST: [ADDRESS], f"{HOST}.": [ADDRESS]}
        self.network.places[ADDRESS, 443] = lambda: WebServer(self.sso.answer, self.tls)
        self.tls = OURS.issue(HOST)
        self.sso = Sso()
        self.wall = float(NOW)
        settings, mistakes = read(folder, way, **given)
        assert mistakes == []
        self.settings = settings
        self.surroundings = Surroundings(
            self.network, None, lambda: self.wall, lambda: 0.5,
            never_token=lambda jid: jid == ADMIN,
        )  # fmt: skip
        self.provider = Provider(
            settings, self.network, lambda: 0.5, lambda: self.wall, self.network.seconds,
            lambda size: b"r" * size, lambda url: settings.connect(url, self.network),
        )  # fmt: skip
        self.checker = OAuthChecker(
            settings, self.provider, self.surroundings.never_token, {b"\x01\x02"}
        )

    def start(self) -> World:
        self.provider.start()
        self.network.settle()
        return self

    def end(self) -> None:
        self.provider.stop()
        self.network.settle()
        assert self.network.open == []
        assert self.network.getDelayedCalls() == []

    def begin(self, secret: str, jid: JID = ALICE, trace: Trace | None = None) -> Deferred[Outcome]:
        octets = secret if isinstance(secret, bytes) else secret.encode()
        asked = Deferred.fromCoroutine(self.checker.check_password(jid, Secret(octets), trace))
        self.network.settle()
        return asked

    def login(self, secret: str, jid: JID = ALICE, trace: Trace | None = None) -> Outcome:
        return now(self.begin(secret, jid, trace))

    def explain(self, secret: str, jid: JID = ALICE) -> list[tuple[str, str]]:
        """The steps of a login that comes to the same as one without them."""
        trace = Trace()
        assert self.login(secret, jid, trace) == self.login(secret, jid)
        return trace.steps

    def refused(self, secret: str, jid: JID = ALICE) -> str:
        outcome = self.login(secret, jid)
        assert outcome.verdict is Verdict.REJECTED, outcome
        return outcome.reason.value

    def unavailable(self, secret: str, jid: JID = ALICE) -> str:
        outcome = self.login(secret, jid)
        assert outcome.verdict is Verdict.UNAVAILABLE, outcome
        return outcome.reason.value

    def probe(self) -> tuple[Outcome, list[tuple[str, str]]]:
        trace = Trace()
        probing = Deferred.fromCoroutine(self.checker.probe(trace))
        self.network.settle()
        return now(probing), trace.steps


def make(surroundings: Surroundings, settings: OAuthSettings) -> OAuthChecker:
    return oauth.make_checker(settings, surroundings)
