"""What is asked over HTTP: the codec of each dialect.

Prosody's mod_auth_http, MongooseIM and ejabberd-contrib:

    GET  {base}/check_password?user=romeo&server=example.org&pass=pass%3aw%c3%b6rd
    POST {base}/set_password    with the same parameters as a form

Names and passwords are octets; the encoding is application/x-www-form-urlencoded, whose "+" is a
space. A repeated or unknown parameter is refused: readers that take the first and readers that
take the last value would see two different logins. The callers accept a login on the status 200
and a body of exactly "true", a registration on 201, another change on 200, 201 or 204 whatever the
body (Prosody mod_auth_http.lua; MongooseIM ejabberd_auth_http.erl).

mod_auth_http_async, nginx and Traefik:

    GET  {base}/basic?server=example.org    with the user's name and password in Authorization

They accept on any 2xx, whatever the body. mod_auth_custom_http:

    POST {base}/json?server=example.org     {"username": "romeo", "password": "pass:wörd"}

It accepts on a body of exactly "true", whatever the status. mod_auth_http_cookie, for a user whom
his browser's cookie tells:

    GET  {base}/cookie?server=example.org[&user=romeo]      with the browser's Cookie header

With `user` it accepts on any 2xx. Without, it takes the body for the user's name, prepares it (so
that "@" is nobody's), and gets lost at any other status (mod_auth_http_cookie.lua of 2020).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from authbridge.wire import json_body
from authbridge.wire.http import BadRequest

TRUE = b"true"
FALSE = b"false"
NOBODY = b"@"
"""A user's name that is none."""

# What each verb takes. Callers of the MongooseIM family send "pass" always, empty where unused.
_PARAMETERS = frozenset({b"user", b"server", b"pass"})
WITH_PASSWORD = frozenset({"check_password", "register", "set_password"})
READS = frozenset({"check_password", "user_exists"})
WRITES = frozenset({"register", "set_password", "remove_user"})
DIALECTS = frozenset({"basic", "cookie", "json"})

_CREDENTIALS = '{"username": "…", "password": "…"}'

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


class Parameters:
    """What a call names."""

    __slots__ = ("password", "server", "user")

    def __init__(self, user: bytes, server: bytes, password: bytes | None) -> None:
        """`password` is None where there was none."""
        self.user = user
        self.server = server
        self.password = password


def parse(form: bytes, *, password: bool) -> Parameters:
    """A query string or a form's body. Raises BadRequest.

    `password`: whether the call needs one; a call that does not may carry one, which counts for
    nothing.
    """
    found = read_form(form, _PARAMETERS)
    if not found.get(b"user") or not found.get(b"server"):
        raise BadRequest("user or server is missing")
    if password and b"pass" not in found:
        raise BadRequest("pass is missing")
    return Parameters(found[b"user"], found[b"server"], found.get(b"pass"))


def parse_server(query: bytes) -> bytes:
    """The domain in the query of `basic` and `json`, which have nothing else there. Raises
    BadRequest."""
    found = read_form(query, frozenset({b"server"}))
    if not found[b"server"]:
        raise BadRequest("server is missing")
    return found[b"server"]


def parse_cookie(query: bytes) -> Parameters:
    """Domain and user in the query of `cookie`; the user is empty where none is given. Raises
    BadRequest."""
    found = read_form(query, frozenset({b"server", b"user"}))
    if not found.get(b"server") or found.get(b"user") == b"":
        raise BadRequest("server or user is missing")
    return Parameters(found.get(b"user", b""), found[b"server"], None)


def read_form(form: bytes, known: frozenset[bytes]) -> dict[bytes, bytes]:
    """The parameters of a form or a query, each one of the known, and given once. Raises
    BadRequest."""
    found: dict[bytes, bytes] = {}
    for pair in form.split(b"&"):
        name, equals, value = pair.partition(b"=")
        if name not in known:
            name = decode(name)
        if name not in known:
            names = ", ".join(sorted(name.decode() for name in known))
            raise BadRequest(f"a parameter is none of {names}")
        if name in found:
            raise BadRequest("a parameter is given twice")
        if not equals:
            raise BadRequest("a parameter has no value")
        found[name] = decode(value)
    return found


def parse_json(body: bytes) -> tuple[bytes, bytes]:
    """User and password of a call of mod_auth_custom_http. Raises BadRequest."""
    found = json_body.read_object(body, ("username", "password"), _CREDENTIALS)
    try:
        return found["username"].encode(), found["password"].encode()
    # One is missing, is a number, or has half a surrogate pair.
    except (KeyError, AttributeError, UnicodeEncodeError):
        raise BadRequest(f"the body is not {_CREDENTIALS} in UTF-8") from None


def refuse_derived(parameters: Parameters) -> None:
    """Raise BadRequest where the password to be set is a form of it that MongooseIM and
    ejabberd-contrib derive for SCRAM: as a password it would lock the user out."""
    if (parameters.password or b"").startswith((b"==SCRAM==,", b"==MULTI_SCRAM==,")):
        raise BadRequest("pass is made for SCRAM; the caller's password format should be plain")


def decode(text: bytes) -> bytes:
    """The octets of one urlencoded name or value. Raises BadRequest: a "%" that is no escape."""
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    decoded, escapes = _ESCAPE.subn(lambda match: bytes.fromhex(match[1].decode()), text)
    if escapes != text.count(b"%"):
        raise BadRequest('a "%" is not followed by two hexadecimal digits')
    return decoded


def parse_basic(headers: Sequence[bytes]) -> tuple[bytes, bytes]:
    """User and password of the one Authorization header (RFC 7617). Raises BadRequest."""
    if len(headers) != 1:
        raise BadRequest("there is not one Authorization header")
    (header,) = headers
    scheme, _, credentials = header.partition(b" ")
    if scheme.lower() != b"basic":
        raise BadRequest("the Authorization header is not of the Basic scheme")
    try:
        decoded = base64.b64decode(credentials.strip(b" "), validate=True)
    except binascii.Error:
        raise BadRequest("the Authorization header is not base64") from None
    if base64.b64encode(decoded) != credentials.strip(b" "):
        raise BadRequest("the Authorization header has another spelling")
    user, colon, password = decoded.partition(b":")
    if not colon:
        raise BadRequest("the Authorization header has no colon")
    return user, password
