"""A real OpenID provider under TLS, npm's oidc-provider, and tokens that it issues by its protocol.

The program is tests/system/oidc/provider.mjs: its head says what of it is the library's.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import ssl
import subprocess
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tokens import mint

from .canary import secret, watched
from .daemon import write_private
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

TESTS = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "oidc"

#: Applications that users log in to: the chat, a stranger's, and one whose answers at the userinfo
#: endpoint are signed. Each may log in with a user's password as well.
CHAT, STRANGE, SIGNED = "chat-app", "strange-app", "signed-app"
#: Who only asks what tokens are worth: with its secret by Basic, and in the form.
BASIC, POST = "authbridge", "authbridge-post"

#: What a chat's access tokens are for, and what they may do.
AUDIENCE, SCOPE = "xmpp:chat", "xmpp"

#: Resources, by the URL that a request names: JWT and opaque tokens that are good, and others.
JWT, ES256 = "https://jwt.example/", "https://es256.example/"
OPAQUE, SHORT = "https://opaque.example/", "https://short.example/"
ELSEWHERE, OPAQUE_ELSEWHERE = "https://elsewhere.example/", "https://opaque.elsewhere.example/"
#: It ended two minutes ago; it has not yet begun; it is as Keycloak's: of `typ` JWT, and the three
#: kinds of tokens differ by a claim `typ`.
OVER, EARLY = "https://over.example/", "https://early.example/"
KEYCLOAK, KEYCLOAK_ID = "https://keycloak.example/", "https://id.keycloak.example/"
KEYCLOAK_REFRESH = "https://refresh.keycloak.example/"
#: It says that it is another provider's: whose, is said to the rig.
FOREIGN = "https://foreign.example/"

#: Seconds for which an opaque token of `SHORT` is good.
SHORT_LIFE = 1

_REDIRECT = "https://app.example/back"


def _resource(**changes: object) -> dict[str, object]:
    good: dict[str, object] = {
        "audience": AUDIENCE,
        "scope": f"{SCOPE} mail",
        "format": "jwt",
        "ttl": 300,
        "alg": "RS256",
    }
    return good | changes


_AS_KEYCLOAK: dict[str, object] = {"header": {"typ": "JWT"}}

RESOURCES: Mapping[str, dict[str, object]] = {
    JWT: _resource(),
    ES256: _resource(alg="ES256"),
    OPAQUE: _resource(format="opaque"),
    SHORT: _resource(format="opaque", ttl=SHORT_LIFE),
    ELSEWHERE: _resource(audience="https://mail.example"),
    OPAQUE_ELSEWHERE: _resource(format="opaque", audience="https://mail.example"),
    OVER: _resource(age=420),
    EARLY: _resource(age=-3600),
    KEYCLOAK: _resource(**_AS_KEYCLOAK, payload={"typ": "Bearer", "azp": CHAT}),
    KEYCLOAK_ID: _resource(**_AS_KEYCLOAK, payload={"typ": "ID", "azp": CHAT}),
    KEYCLOAK_REFRESH: _resource(**_AS_KEYCLOAK, payload={"typ": "Refresh", "azp": CHAT}),
}


def install_packages() -> None:
    """oidc-provider, where it is missing."""
    install = str(TESTS / "install-npm-packages")
    subprocess.run(["sh", install, str(FOLDER)], check=True, timeout=600)


Claims = Mapping[str, Mapping[str, object]]


class Refused(Exception):
    """The provider refused; the text is its error code (RFC 6749, 5.2)."""


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint answered; empty where it gave none."""

    access: bytes
    refresh: bytes
    identity: bytes
    """The ID token."""
    scope: str
    lifetime: int
    """Seconds."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def document(self) -> Any:
        """The JSON of it; `Refused` if it is an error."""
        document = json.loads(self.body)
        if self.status >= 400:
            raise Refused(document["error"])
        return document


class OidcProvider:
    """One provider; `start`, `stop` and `kill` may alternate, its port, keys and users stay."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        users: Mapping[str, bytes],
        claims: Claims | None = None,
        *,
        foreign: str = "https://foreign.example",
    ) -> None:
        """`users` have passwords; `claims` are more of what it says of each of them. `foreign` is
        the issuer that its tokens for `FOREIGN` name."""
        self.folder, self.pki = folder, pki
        self.port = free_port()
        self.issuer = f"https://localhost:{self.port}"
        self.log = folder / "provider.log"
        self.secrets = {name: secret(name) for name in (CHAT, STRANGE, SIGNED, BASIC, POST)}
        self.keys = {
            algorithm: mint.key(algorithm, f"provider {self.port}")
            for algorithm in ("RS256", "ES256")
        }
        self._accounts = {
            name: {
                "password": password.decode(),
                "claims": {"preferred_username": name, **(claims or {}).get(name, {})},
            }
            for name, password in users.items()
        }
        self._resources = {**RESOURCES, FOREIGN: _resource(payload={"iss": foreign})}
        self._cookie_key = secret("cookies").decode()
        self._key_number = 1
        self._process: Process | None = None
        folder.mkdir(parents=True)

    def secret_file(self, client: str) -> Path:
        """What an administrator writes behind `client_secret_file`."""
        path = self.folder / "secrets" / client
        write_private(path, self.secrets[client] + b"\n")
        return path

    def new_keys(self) -> None:
        """From its next start on it signs with other keys."""
        self._key_number += 1
        self.keys = {
            algorithm: mint.key(algorithm, f"provider {self.port} {self._key_number}")
            for algorithm in self.keys
        }

    def _clients(self) -> list[dict[str, object]]:
        applications: list[dict[str, object]] = [
            {
                "client_id": name,
                "client_secret": self.secrets[name].decode(),
                "redirect_uris": [_REDIRECT],
                "grant_types": ["authorization_code", "refresh_token", "password"],
                **({"userinfo_signed_response_alg": "RS256"} if name == SIGNED else {}),
            }
            for name in (CHAT, STRANGE, SIGNED)
        ]
        askers: list[dict[str, object]] = [
            {
                "client_id": name,
                "client_secret": self.secrets[name].decode(),
                "redirect_uris": [],
                "response_types": [],
                "grant_types": ["password"],
                "token_endpoint_auth_method": f"client_secret_{way}",
            }
            for name, way in ((BASIC, "basic"), (POST, "post"))
        ]
        return [*applications, *askers]

    def _settings(self, pki: Pki) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "port": self.port,
            "certificate": str(pki.certificate),
            "key": str(pki.key),
            "cookie_key": self._cookie_key,
            "jwks": {
                "keys": [
                    key.jwk(private=True, kid=f"{algorithm}-{self._key_number}", use="sig")
                    for algorithm, key in self.keys.items()
                ]
            },
            "clients": self._clients(),
            "accounts": self._accounts,
            "resources": self._resources,
        }

    # --- the process ------------------------------------------------------------------------------

    @property
    def process(self) -> Process:
        """The running provider; for `pause` and `resume`."""
        assert self._process is not None, "the provider is not started"
        return self._process

    @property
    def running(self) -> bool:
        """True between `start` and its end."""
        return self._process is not None and self._process.running

    def start(self, pki: Pki | None = None) -> None:
        """Start it, with another certificate than its own if one is given."""
        install_packages()
        settings = self.folder / "settings.json"
        write_private(settings, json.dumps(self._settings(pki or self.pki)).encode())
        self._process = Process(
            ["node", str(FOLDER / "provider.mjs"), str(settings)], self.log, folder=self.folder
        )
        self._process.wait_until_up(lambda: accepts(self.port), "the provider accepts")

    def stop(self) -> None:
        """SIGTERM, and wait for its end; what it has issued is gone, but for what is signed."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restore(self) -> None:
        """Up and running with its own certificate, whatever a test has done to it."""
        if self.running:
            self.process.resume()
        else:
            self.start()

    # --- what it is asked -------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Answer:
        """One request on a connection of its own; no redirect is followed."""
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=90, context=context
        )
        try:
            body = None if form is None else urllib.parse.urlencode(form)
            sent = dict(headers or {})
            if form is not None:
                sent["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return _Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def _ask_as(self, client: str, path: str, form: Mapping[str, str]) -> _Answer:
        """A client's request with its secret, as it is registered (RFC 6749, 2.3.1)."""
        password = self.secrets[client].decode()
        if client == POST:
            sent = {**form, "client_id": client, "client_secret": password}
            return self._ask("POST", path, sent)
        credentials = ":".join(urllib.parse.quote_plus(word) for word in (client, password))
        basic = base64.b64encode(credentials.encode()).decode()
        return self._ask("POST", path, form, {"Authorization": f"Basic {basic}"})

    def _token(self, client: str, form: Mapping[str, str]) -> Tokens:
        answer = self._ask_as(client, "/token", form).document()
        return Tokens(
            watched(answer["access_token"].encode()),
            watched(answer["refresh_token"].encode()) if "refresh_token" in answer else b"",
            watched(answer["id_token"].encode()) if "id_token" in answer else b"",
            answer.get("scope", ""),
            answer["expires_in"],
        )

    def issue(
        self,
        user: str,
        resource: str = "",
        *,
        scope: str = f"openid {SCOPE}",
        client: str = CHAT,
        **more: str,
    ) -> Tokens:
        """Tokens by the authorization code flow (RFC 6749, 4.1, with RFC 7636), as an application
        gets them; without a resource an opaque access token without an audience. `more` are
        parameters of the request."""
        verifier = secrets.token_urlsafe(32)
        challenge = hashlib.sha256(verifier.encode()).digest()
        request = {
            "client_id": client,
            "response_type": "code",
            "redirect_uri": _REDIRECT,
            "scope": scope,
            "login_hint": user,
            "code_challenge": mint.b64(challenge),
            "code_challenge_method": "S256",
            **({"resource": resource} if resource else {}),
            **({"prompt": "consent"} if "offline_access" in scope else {}),
            **more,
        }
        exchange = {
            "grant_type": "authorization_code",
            "redirect_uri": _REDIRECT,
            "code": self._code(f"/auth?{urllib.parse.urlencode(request)}"),
            "code_verifier": verifier,
            **({"resource": resource} if resource else {}),
        }
        return self._token(client, exchange)

    def _code(self, path: str) -> str:
        """Goes from redirect to redirect like a browser, until it comes back to the application."""
        cookies: dict[str, str] = {}
        while True:
            header = "; ".join(f"{name}={value}" for name, value in cookies.items())
            answer = self._ask("GET", path, headers={"Cookie": header})
            for line in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = line.partition(";")[0].partition("=")
                cookies[name] = value
            assert answer.status == 303, answer.body
            where = answer.headers["Location"]
            if where.startswith(_REDIRECT):
                found = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))
                if "error" in found:
                    raise Refused(found["error"])
                return found["code"]
            parts = urllib.parse.urlsplit(where)
            path = f"{parts.path}?{parts.query}"

    def password_grant(
        self, user: str, password: bytes, resource: str = "", *, scope: str = SCOPE
    ) -> Tokens:
        """Tokens for a password (RFC 6749, 4.3)."""
        form = {
            "grant_type": "password",
            "username": user,
            "password": password.decode(),
            "scope": scope,
            **({"resource": resource} if resource else {}),
        }
        return self._token(CHAT, form)

    def refresh(self, tokens: Tokens) -> Tokens:
        """New ones for a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh.decode()}
        return self._token(CHAT, form)

    def revoke(self, token: bytes, *, client: str = CHAT) -> None:
        """Withdraw an access or a refresh token (RFC 7009)."""
        answer = self._ask_as(client, "/token/revocation", {"token": token.decode()})
        assert answer.status == 200, answer.body

    def introspect(self, token: bytes, *, client: str = BASIC) -> Any:
        """What it says of a token to a program (RFC 7662)."""
        form = {"token": token.decode()}
        return self._ask_as(client, "/token/introspection", form).document()

    def userinfo(self, token: bytes) -> Any:
        """What it says of a user to the bearer of a token."""
        headers = {"Authorization": f"Bearer {token.decode()}"}
        return self._ask("GET", "/me", headers=headers).document()

    def discovery(self) -> Any:
        """What it says of itself."""
        return self._ask("GET", "/.well-known/openid-configuration").document()

    def published(self) -> Any:
        """Its public keys."""
        return self._ask("GET", "/jwks").document()
