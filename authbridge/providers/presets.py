"""What is known of providers: how their access tokens look, and what tells them from other tokens.

Keycloak: the header's `typ` is "JWT" unless the client is set to "at+jwt", the claim `typ` says
"Bearer", "ID" or "Refresh", `azp` is the client; before version 24 access tokens had a `nonce`.
authentik: an access token has the claims of the ID token, its `nonce` too, and `azp` and `uid`
beside them; refresh tokens are no JWTs; asked about a token, it gives the `client_id` of who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ACCESS_TOKEN = "at+jwt"  # noqa: S105 - a type
"""RFC 9068, 2.1."""
UNTYPED = "jwt"


@dataclass(frozen=True, slots=True)
class Preset:
    """Defaults, and what they rest on."""

    typ: str = ACCESS_TOKEN
    jwt_alone: bool = False
    """Every access token is a JSON Web Token."""
    marks: tuple[str, ...] = ()
    """Claims that an access token has and an ID token has not."""
    nonce: bool = False
    """An access token may have the `nonce` of an ID token."""
    client_is_asker: bool = False
    """Asked about a token, it does not say whom the token was issued to."""
    untyped_answers: bool = False
    """Asked about a token, it does not say that it is an access token; its others are no JWTs."""
    algorithms: tuple[str, ...] = ("RS256",)
    user: str = "preferred_username"


PRESETS: Mapping[str, Preset] = {
    "none": Preset(),
    "keycloak": Preset(typ=UNTYPED, jwt_alone=True, marks=("typ",), nonce=True),
    "authentik": Preset(
        typ=UNTYPED,
        jwt_alone=True,
        marks=("azp", "uid"),
        nonce=True,
        client_is_asker=True,
        untyped_answers=True,
    ),
}
