"""What is sent to an OAuth 2.0 provider, and what its answers say.

Requests are octets: forms, and the client's own credentials (RFC 6749, 2.3.1). Answers are the
members of a JSON object that somebody has read strictly: the provider's metadata (OpenID Connect
Discovery 1.0, 3), the answer about a token (RFC 7662, 2.2), the token that a password gets and the
error in its place (RFC 6749, 5), and the claims that JSON Web Tokens have as well (RFC 7519, 9068).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from authbridge.wire.http import B64TOKEN

FORM = "application/x-www-form-urlencoded"
WELL_KNOWN = "/.well-known/openid-configuration"

ENDPOINTS: Mapping[str, str] = {
    "introspection_url": "introspection_endpoint",
    "userinfo_url": "userinfo_endpoint",
    "token_url": "token_endpoint",
    "jwks_url": "jwks_uri",
}
"""What the metadata call the URLs that a configuration may give."""

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""One scope (RFC 6749, 3.3)."""

_ERRORS = frozenset({
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
    "unsupported_grant_type", "invalid_scope", "invalid_target", "invalid_token",
    "insufficient_scope", "access_denied", "server_error", "temporarily_unavailable",
})  # fmt: skip
OF_THE_CLIENT = frozenset({
    "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
    "invalid_target", "invalid_request",
})  # fmt: skip
"""Errors that say what is wrong with whoever asks, and nothing of a user."""


class Unusable(ValueError):
    """An answer that says neither yes nor no. The text says why, without a word of the answer."""


def metadata_url(issuer: str) -> str:
    """Where the metadata of an issuer are (Discovery, 4: without a slash at its end)."""
    return issuer.removesuffix("/") + WELL_KNOWN


def form(fields: Mapping[str, str | bytes]) -> bytes:
    """A body of `FORM`."""
    return "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items()).encode()


def basic(client_id: str, secret: bytes) -> str:
    """An Authorization header of a client: both are encoded as in a form before."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def read_metadata(members: Mapping[str, Any], issuer: str) -> dict[str, str]:
    """The URLs that a provider names, by their names in a configuration. Raises Unusable: it is
    another issuer's (Discovery, 4.3)."""
    said = members.get("issuer")
    if said != issuer:
        hint = ""
        if isinstance(said, str) and said.rstrip("/") == issuer.rstrip("/"):
            hint = ": the two differ by the slash at the end"
        raise Unusable(f"the metadata are not those of `issuer`{hint}")
    found: dict[str, str] = {}
    for setting, member in ENDPOINTS.items():
        if member in members:
            url = members[member]
            if not isinstance(url, str):
                raise Unusable(f"`{member}` is no string")
            found[setting] = url
    return found


def read_active(members: Mapping[str, Any]) -> bool:
    """Whether a token is in force. Raises Unusable."""
    active = members.get("active")
    if not isinstance(active, bool):
        raise Unusable("`active` is " + ("no boolean" if "active" in members else "missing"))
    return active


def read_granted(members: Mapping[str, Any]) -> bytes:
    """The access token that was given for a password. Raises Unusable."""
    kind, token = members.get("token_type"), members.get("access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise Unusable("`token_type` is not Bearer")
    octets = token.encode(errors="replace") if isinstance(token, str) else b""
    if not B64TOKEN.fullmatch(octets):
        raise Unusable("`access_token` is no token that could be shown to anybody")
    return octets


def read_error(members: Mapping[str, Any]) -> str:
    """The code of an error, where it is one of those that are known; or empty."""
    error = members.get("error")
    return error if isinstance(error, str) and error in _ERRORS else ""


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """What a claim of this name says, or one within others: "a.b" is `b` within `a`, where there is
    no claim "a.b". None where there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def read_audiences(claims: Mapping[str, Any]) -> frozenset[str]:
    """`aud`: a string or a list of strings. Raises Unusable."""
    audience = claims.get("aud", [])
    if isinstance(audience, str):
        return frozenset((audience,))
    return _strings(audience, "aud")


def read_scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """`scope`, or `scp` as some call it: a string with blanks in it, or a list. Raises Unusable."""
    name = "scope" if "scope" in claims else "scp"
    scopes = claims.get(name, "")
    if isinstance(scopes, str):
        return frozenset(scopes.split(" ")) - {""}
    return _strings(scopes, name)


def read_clients(claims: Mapping[str, Any]) -> frozenset[str]:
    """Whom a token was issued to: `client_id` (RFC 9068), `azp`, or both. Raises Unusable."""
    return _strings([claims[name] for name in ("client_id", "azp") if name in claims], "client_id")


def _strings(value: Any, name: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Unusable(f"`{name}` is neither a string nor a list of strings")
    return frozenset(value)
