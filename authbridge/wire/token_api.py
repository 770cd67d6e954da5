"""Tokens over HTTP: the codec of what programs ask, and of what they are told.

    POST /tokens            {"jid": "romeo@example.org", "ttl"?: 60 or "60s", "uses"?: 1 or "any",
                             "device"?: "phone", "note"?: "ordered by mail"}
    GET  /tokens?jid=romeo%40example.org
    POST /tokens/revoke     {"jid"}, {"issuer", "jti"} or {"issuer", "before"?: seconds}
    POST /prebind           {"jid", "resource"?}
    POST /introspect        token=…&token_type_hint=…&username=romeo%40example.org     (RFC 7662)
    POST /revoke            the same                                                   (RFC 7009)

JSON and forms are read strictly, as everywhere: what is given twice, or is not known, is refused.
`username` is ours, for tokens that do not say whose they are. Refusals are RFC 9457's problems,
and RFC 6749's errors (5.2) where a standard asks for those.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from authbridge.settings import LONGEST, read_duration
from authbridge.wire.http import BadRequest, phrase
from authbridge.wire.httpauth import read_form
from authbridge.wire.json_body import read_object

ANY = "any"
MOST_USES = 1_000_000
SHORTEST_LIFE, LONGEST_LIFE = 1.0, LONGEST
"""Seconds."""
LONGEST_TEXT = 100
"""Characters of a device's name or a note."""
LONGEST_RESOURCE = 1023
"""Octets (RFC 6122, 2.4)."""
LAST_MOMENT = 253402300799
"""The end of the year 9999, in seconds since the epoch."""

_NEW = ("jid", "ttl", "uses", "device", "note")
_NEW_LOOKS = '{"jid": "…", "ttl": 60, "uses": 1, "device": "…", "note": "…"}'
_REVOKED = ("jid", "issuer", "jti", "before")
_REVOKED_LOOKS = '{"jid": "…"}, {"issuer": "…", "jti": "…"} or {"issuer": "…", "before": seconds}'
_PREBIND = ("jid", "resource")
_PREBIND_LOOKS = '{"jid": "…", "resource": "…"}'
_JID_ALONE = frozenset({b"jid"})
_SHOWN = frozenset({b"token", b"token_type_hint", b"username"})


@dataclass(frozen=True, slots=True)
class NewToken:
    """What POST /tokens asks for."""

    jid: str
    ttl: float | None
    """Seconds; None: as long as usual."""
    uses: int | None
    """None: any number."""
    device: str
    note: str


@dataclass(frozen=True, slots=True)
class NewSession:
    """What POST /prebind asks for."""

    jid: str
    resource: str | None
    """None: any."""


@dataclass(frozen=True, slots=True)
class OfUser:
    """POST /tokens/revoke: all of a user."""

    jid: str


@dataclass(frozen=True, slots=True)
class OfIssuer:
    """POST /tokens/revoke: the signed token of a `jti`, or all before a moment."""

    issuer: str
    jti: str | None
    before: float | None
    """Seconds since the epoch; None: now."""


class Shown:
    """What POST /introspect and POST /revoke are asked about."""

    __slots__ = ("token", "username")

    def __init__(self, token: bytes, username: str | None) -> None:
        """`username`: the bare JID that the token is for, where it was given."""
        self.token = token
        self.username = username


def read_new(body: bytes) -> NewToken:
    """The body of POST /tokens. Raises BadRequest."""
    found = read_object(body, _NEW, _NEW_LOOKS)
    return NewToken(
        jid=_text(found, "jid"),
        ttl=_lifetime(found),
        uses=_uses(found),
        device=_label(found, "device"),
        note=_label(found, "note"),
    )


def read_prebind(body: bytes) -> NewSession:
    """The body of POST /prebind. Raises BadRequest."""
    found = read_object(body, _PREBIND, _PREBIND_LOOKS)
    if "resource" not in found:
        return NewSession(_text(found, "jid"), None)
    resource = _text(found, "resource")
    if not resource.isprintable() or len(resource.encode()) > LONGEST_RESOURCE:
        raise BadRequest(f"resource is not up to {LONGEST_RESOURCE} octets of printable characters")
    return NewSession(_text(found, "jid"), resource)


def read_listed(query: bytes) -> str:
    """The JID in the query of GET /tokens. Raises BadRequest."""
    found = read_form(query, _JID_ALONE)
    return _utf8(found[b"jid"], "jid")


def read_revoked(body: bytes) -> OfUser | OfIssuer:
    """The body of POST /tokens/revoke. Raises BadRequest."""
    found = read_object(body, _REVOKED, _REVOKED_LOOKS)
    if found.keys() == {"jid"}:
        return OfUser(_text(found, "jid"))
    if "jid" in found or {"jti", "before"} <= found.keys():
        raise BadRequest(f"the body is not {_REVOKED_LOOKS}")
    return OfIssuer(
        _text(found, "issuer"), _text(found, "jti") if "jti" in found else None, _moment(found)
    )


def read_shown(form: bytes) -> Shown:
    """The form of POST /introspect and POST /revoke. Raises BadRequest."""
    found = read_form(form, _SHOWN)
    if not found.get(b"token"):
        raise BadRequest("token is missing")
    username = found.get(b"username")
    return Shown(found[b"token"], None if username is None else _utf8(username, "username"))


def uses_text(uses: int | None) -> int | str:
    """How often a token may be used, as JSON has it."""
    return ANY if uses is None else uses


def write(found: dict[str, Any]) -> bytes:
    """An object as JSON: ASCII, on one line."""
    return json.dumps(found).encode()


def problem(status: int, reason: str, detail: str) -> bytes:
    """A refusal (RFC 9457), with the code of its reason as one member more."""
    return write(
        {
            "type": "about:blank",
            "title": phrase(status),
            "status": status,
            "detail": detail,
            "reason": reason,
        }
    )


def oauth_error(error: str, description: str) -> bytes:
    """A refusal as RFC 6749 (5.2) has it: printable ASCII, without quotes and backslashes."""
    text = description.replace("…", "...").replace('"', "'").replace("\\", "/")
    plain = "".join(one if " " <= one <= "~" else "?" for one in text)
    return write({"error": error, "error_description": plain})


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} is missing, or is no text")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell what is no character: halves of a surrogate pair
        raise BadRequest(f"{name} is no text") from None
    return value


def _label(found: dict[str, Any], name: str) -> str:
    value = found.get(name, "")
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise BadRequest(f"{name} is not up to {LONGEST_TEXT} printable characters")
    return value


def _lifetime(found: dict[str, Any]) -> float | None:
    if "ttl" not in found:
        return None
    seconds = read_duration(found["ttl"])
    if seconds is None or not SHORTEST_LIFE <= seconds <= LONGEST_LIFE:
        raise BadRequest('ttl is not seconds or a duration such as "60s", one second at least')
    return seconds


def _uses(found: dict[str, Any]) -> int | None:
    value = found.get("uses", 1)
    if value == ANY:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_USES:
        raise BadRequest(f'uses is not a number from 1 to {MOST_USES}, or "{ANY}"')
    return value


def _moment(found: dict[str, Any]) -> float | None:
    if "before" not in found:
        return None
    value = found["before"]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= LAST_MOMENT
    ):
        raise BadRequest("before is not a moment in seconds since 1970")
    return float(value)


def _utf8(octets: bytes, name: str) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise BadRequest(f"{name} is empty, or is not UTF-8")
    return text
