"""What a token says of itself, in words and unverified: for people who look for a mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from authbridge.tokens import compact, jws, jwt, temporary, xcauth
from authbridge.tokens.forms import Form
from authbridge.tokens.refusals import Malformed, quoted

KEPT_ELSEWHERE = "says nothing of itself; what it is good for is kept by authbridge"
_DATES = ("exp", "nbf", "iat")


def describe(form: Form, token: bytes, now: float) -> list[tuple[str, str]]:
    """Names and words; never the signature, without which nobody is let in. `now`: seconds since
    the epoch."""
    try:
        if form is Form.JWT:
            return _of_jwt(token, now)
        if form is Form.RESERVED:
            return [("token", "begins like one of ours, of a kind that this version does not know")]
        if form is Form.TEMPORARY:
            return [("id", temporary.id_of(temporary.digest(token))), ("token", KEPT_ELSEWHERE)]
        read = compact.read(token) if form is Form.COMPACT else xcauth.read(token)
    except Malformed as error:
        return [("token", error.words)]
    return [("key id", read.key_id.hex()), ("expiry", moment(read.expiry, now))]


def moment(date: float, now: float) -> str:
    """A date, and how far away it is."""
    away = f"{date - now:.0f} s from now" if date >= now else f"{now - date:.0f} s ago"
    try:
        when = datetime.fromtimestamp(date, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        when = "after the year 9999"
    return f"{when}, {away}"


def _of_jwt(token: bytes, now: float) -> list[tuple[str, str]]:
    read = jws.read(token)
    claims = jwt.read_claims(read)
    told = [(f"header {_name(name)}", quoted(value)) for name, value in read.header.items()]
    return told + [(_name(name), _claim(name, claims, now)) for name in claims]


def _name(name: str) -> str:
    """As it is where it is one of those that there are; others may hold anything."""
    return name if name.isascii() and name.isidentifier() and len(name) < 40 else quoted(name, 40)


def _claim(name: str, claims: dict[str, Any], now: float) -> str:
    if name not in _DATES:
        return quoted(claims[name])
    try:
        date = jwt.read_date(claims, name)
    except Malformed as error:
        return error.words
    assert date is not None  # it is there
    return moment(date, now)
