"""OAuth over HTTP, as Prosody and ejabberd ask: the codec of what they ask, and of the answers.

Prosody's mod_auth_oauth_external (mod_auth_oauth_external.lua of 2025), PLAIN and OAUTHBEARER:

    POST {base}/token?server=example.org        grant_type=password&username=romeo&password=…
                                                [&client_id=…][&client_secret=…][&scope=openid]
    GET  {base}/userinfo?server=example.org     Authorization: Bearer …

It leaves out what is not configured, and sends the user's name without the escapes of XEP-0106. It
takes any 2xx with a JSON object: of the first the `access_token`, where `token_type` is "bearer";
of the second the user's name, escaped again, which is who is logged in. Of another status of the
second it tells an OAUTHBEARER client the `status` (RFC 7628, 3.2.2).

ejabberd with `oauth_db_type: rest` (ejabberd_oauth_rest.erl, rest.erl of 23.01), X-OAUTH2:

    POST {base}/lookup                          {"token": "…"}

It takes a 200 with `user`, `scope` and `expire`, and a 404, both with a body that is empty or JSON;
anything else is an outage to it. The user must be the name beside the token, and the end be in the
future. Whose session it opens is another matter: see docs/http.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from authbridge.secret import Secret
from authbridge.wire import json_body
from authbridge.wire.http import B64TOKEN, BadRequest
from authbridge.wire.httpauth import read_form
from authbridge.wire.token_api import write

SCOPE = "sasl_auth"
"""What ejabberd wants a token to be for, with which somebody logs in."""
NOBODY = write({})

_GRANT = frozenset(
    {b"grant_type", b"client_id", b"client_secret", b"username", b"password", b"scope"}
)
_LOOKUP = '{"token": "…"}'
_BEARER = re.compile(rb"(?i:Bearer) +(%b)" % B64TOKEN.pattern)


class UnsupportedGrant(BadRequest):
    """Another grant than that of a password."""


class PasswordGrant:
    """What POST /token asks (RFC 6749, 4.3.2)."""

    __slots__ = ("client_id", "client_secret", "password", "user")

    def __init__(
        self, user: bytes, password: Secret, client_id: bytes | None, client_secret: Secret | None
    ) -> None:
        """None: it was not given."""
        self.user = user
        self.password = password
        self.client_id = client_id
        self.client_secret = client_secret


def read_grant(form: bytes) -> PasswordGrant:
    """The form of POST /token. Raises BadRequest, UnsupportedGrant."""
    found = read_form(form, _GRANT)
    if found.get(b"grant_type") != b"password":
        raise UnsupportedGrant("grant_type is not password")
    if not found.get(b"username") or b"password" not in found:
        raise BadRequest("username or password is missing")
    if b"client_secret" in found and b"client_id" not in found:
        raise BadRequest("there is a client_secret, and no client_id")
    secret = found.get(b"client_secret")
    return PasswordGrant(
        found[b"username"],
        Secret(found[b"password"]),
        found.get(b"client_id"),
        None if secret is None else Secret(secret),
    )


def read_bearer(headers: Sequence[bytes]) -> bytes:
    """The token in the one Authorization header (RFC 6750, 2.1). Raises BadRequest."""
    match = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
    if match is None:
        raise BadRequest("there is not one Authorization header with a Bearer token")
    return match[1]


def read_lookup(body: bytes) -> bytes:
    """The token that POST /lookup asks about. Raises BadRequest."""
    found = json_body.read_object(body, ("token",), _LOOKUP)
    try:
        return found["token"].encode()  # type: ignore[no-any-return]
    # It is missing, is a number, or has half a surrogate pair.
    except (KeyError, AttributeError, UnicodeEncodeError):
        raise BadRequest(f"the body is not {_LOOKUP} in UTF-8") from None


def granted(token: str, seconds: int) -> bytes:
    """An access token that is good for so many seconds (RFC 6749, 5.1)."""
    return write({"access_token": token, "token_type": "bearer", "expires_in": seconds})


def userinfo(name: str, jid: str) -> bytes:
    """Whose token it is: the localpart without the escapes of XEP-0106, and the bare JID."""
    return write({"sub": jid, "preferred_username": name})


def status(word: str) -> bytes:
    """A refusal as OAUTHBEARER has it (RFC 7628, 3.2.2)."""
    return write({"status": word})


def looked_up(jid: str, expires: int) -> bytes:
    """Whose token it is, and until when (seconds since 1970)."""
    return write({"user": jid, "scope": [SCOPE], "expire": expires})
