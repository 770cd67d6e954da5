"""What Nextcloud, JSXC, Keycloak and authentik answer, by their documentation, to what authbridge
asks; each as an application of a `Double`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from typing import Any

from tests.tokens import mint

from .authorities_double import Double, Reply, Request
from .canary import watched

#: The application that a user chats with, and another one that he has logged in to.
CHAT, GAME = "chat-app", "a-game"


def basic(request: Request) -> tuple[str, str]:
    """Name and password of a request (RFC 7617)."""
    scheme, _, credentials = request.headers.get("authorization", " ").partition(" ")
    assert scheme == "Basic"
    name, _, password = base64.b64decode(credentials).decode().partition(":")
    return name, password


class Nextcloud:
    """OCS, and the app passwords of its accounts. An account is found by its mail address, in any
    case, and, as some databases compare, without its accents."""

    PATH = "/ocs/v2.php/cloud/user"

    def __init__(self, double: Double, users: Mapping[str, bytes], mail: str) -> None:
        """`mail`: the domain of everybody's address."""
        self._users = {name: password.decode() for name, password in users.items()}
        self._mail = mail
        double.add(self.PATH, self._answer)

    def _answer(self, request: Request) -> Reply:
        if request.query.get("format") != "json":
            return Reply(200, b'<?xml version="1.0"?>\n<ocs/>\n', "application/xml")
        if request.headers.get("ocs-apirequest") != "true":
            return self._ocs(412, 997, "CSRF check failed", [])
        name, password = basic(request)
        name = name.removesuffix(f"@{self._mail}").replace("ä", "a")
        known = {account.lower(): account for account in self._users}
        account = known.get(name.lower())
        if account is None or self._users[account] != password:
            return self._ocs(401, 997, "Current user is not logged in", [])
        data = {"enabled": True, "id": account, "email": f"{account}@{self._mail}", "quota": {}}
        return self._ocs(200, 200, "OK", data)

    def _ocs(self, status: int, code: int, message: str, data: Any) -> Reply:
        word = "ok" if status == 200 else "failure"
        meta = {"status": word, "statuscode": code, "message": message}
        return Reply.json({"ocs": {"meta": meta, "data": data}}, status)


class Jsxc:
    """externalApi.php of the app: signed requests alone."""

    PATH = "/index.php/apps/ojsxc/ajax/externalApi.php"

    def __init__(self, double: Double, secret: bytes, users: Mapping[str, bytes]) -> None:
        self.secret = secret
        self._users = {name: password.decode() for name, password in users.items()}
        double.add(self.PATH, self._answer)

    def _answer(self, request: Request) -> Reply:
        mac = hmac.new(self.secret, request.body, hashlib.sha1).hexdigest()
        if request.headers.get("x-jsxc-signature") != f"sha1={mac}":
            return Reply.json({"result": "error", "data": {"msg": "HMAC does not match."}}, 500)
        form = request.form
        known = {account.lower(): account for account in self._users}
        account = known.get(form["username"].lower())
        if form["operation"] == "isuser":
            return Reply.json({"result": "success", "data": {"isUser": account is not None}})
        if account is None or self._users[account] != form["password"]:
            return Reply.json({"result": "noauth"})
        return Reply.json({"result": "success", "data": {"uid": account}})


class Issuer:
    """What the two providers have in common: a key, its publication, tokens."""

    def __init__(self, double: Double, path: str, ends: str, names: Mapping[str, str]) -> None:
        """`path`: of the issuer; `ends`: what its name ends in. `names`: paths by the members of
        the metadata."""
        self.issuer = double.url + path + ends
        self.key = mint.key("RS256", path)
        members = {"issuer": self.issuer} | {
            name: double.url + where for name, where in names.items()
        }
        double.add(f"{path}/.well-known/openid-configuration", lambda _: Reply.json(members))
        jwks = mint.jwks(self.key.jwk(kid="one", use="sig", alg="RS256"))
        double.add(names["jwks_uri"], lambda _: Reply.json(jwks))

    def sign(self, claims: Mapping[str, Any]) -> bytes:
        """A token with these claims, now and for five minutes."""
        now = int(time.time())
        dated = {"iss": self.issuer, "iat": now, "exp": now + 300, **claims}
        dated["jti"] = str(uuid.uuid4())
        return watched(mint.jwt(dated, self.key, kid="one", typ="JWT").encode())


class Keycloak(Issuer):
    """A realm. Who has no audience mapper gets tokens for "account"."""

    def __init__(self, double: Double, realm: str, users: Mapping[str, bytes]) -> None:
        path = f"/realms/{realm}"
        protocol = f"{path}/protocol/openid-connect"
        super().__init__(
            double, path, "",
            {"jwks_uri": f"{protocol}/certs", "token_endpoint": f"{protocol}/token"},
        )  # fmt: skip
        self._users = {name: password.decode() for name, password in users.items()}
        #: The client that may use the password grant, and its secret.
        self.client = ("", "")
        double.add(f"{protocol}/token", self._token)

    def access_token(self, user: str, client: str = CHAT, **changes: Any) -> bytes:
        """As its client gets it, with the scope "xmpp" and its mapper."""
        return self.sign(
            {
                "aud": ["xmpp:chat", "account"],
                "sub": hashlib.md5(user.encode()).hexdigest(),
                "typ": "Bearer",
                "azp": client,
                "scope": "profile xmpp",
                "realm_access": {"roles": ["offline_access"]},
                "preferred_username": user,
                **changes,
            }
        )

    def id_token(self, user: str) -> bytes:
        """What tells the client who has logged in."""
        return self.access_token(user, typ="ID", aud=CHAT, at_hash="qv", nonce="n-1")

    def _token(self, request: Request) -> Reply:
        form = request.form
        if basic(request) != self.client:
            return Reply.json({"error": "unauthorized_client"}, 401)
        if form["grant_type"] != "password":
            return Reply.json({"error": "unsupported_grant_type"}, 400)
        if self._users.get(form["username"]) != form["password"]:
            refused = {"error": "invalid_grant", "error_description": "Invalid user credentials"}
            return Reply.json(refused, 401)
        token = self.access_token(form["username"], self.client[0]).decode()
        return Reply.json(
            {"access_token": token, "expires_in": 300, "token_type": "Bearer", "scope": "xmpp"}
        )


class Authentik(Issuer):
    """The provider of one application. Who shows a wrong secret is told that no token is in
    force."""

    def __init__(self, double: Double, slug: str, client: str, secret: str) -> None:
        path = f"/application/o/{slug}"
        introspection = "/application/o/introspect/"
        super().__init__(
            double, path, "/",
            {"jwks_uri": f"{path}/jwks/", "introspection_endpoint": introspection},
        )  # fmt: skip
        self._client = (client, secret)
        self._issued: dict[str, Mapping[str, Any]] = {}
        double.add(introspection, self._introspect)

    def access_token(self, user: str, scope: str = "openid profile xmpp") -> bytes:
        """As the application gets it."""
        now = int(time.time())
        client = self._client[0]
        claims = {
            "iss": self.issuer,
            "sub": hashlib.sha256(user.encode()).hexdigest(),
            "aud": client,
            "iat": now,
            "exp": now + 300,
            "acr": "goauthentik.io/providers/oauth2/default",
            "azp": client,
            "uid": "pZ4",
            "preferred_username": user,
        }
        token = self.sign(claims)
        self._issued[token.decode()] = {**claims, "scope": scope, "client_id": client}
        return token

    def change_secret(self) -> None:
        """So that the one which was given out is wrong."""
        self._client = (self._client[0], "another")

    def revoke(self, token: bytes) -> None:
        """By an administrator."""
        del self._issued[token.decode()]

    def _introspect(self, request: Request) -> Reply:
        if basic(request) != self._client:
            return Reply.json({"active": False})
        found = self._issued.get(request.form["token"])
        return Reply.json({"active": False} if found is None else {**found, "active": True})
