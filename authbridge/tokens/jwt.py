"""JSON Web Tokens (RFC 7519), as RFC 8725 wants them: what one must say to be a login."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from authbridge.model import Reason
from authbridge.tokens import strict_json
from authbridge.tokens.jws import Jws
from authbridge.tokens.refusals import Malformed, Unfit, quoted

LATEST = 253_402_300_799
"""9999-12-31T23:59:59Z. What is later was given in milliseconds."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an issuer's tokens have to say. Times are in seconds."""

    typ: str
    """In lower case. "jwt" is that of a token that says none."""
    leeway: float
    max_lifetime: float
    subject: str
    """The claim that has the user."""


def read_claims(jws: Jws) -> dict[str, Any]:
    """What it says, signed or not. Raises Malformed."""
    try:
        return strict_json.read_object(jws.payload)
    except ValueError as error:
        raise Malformed(f"the payload is {error}") from None


def read_issuer(claims: dict[str, Any]) -> str:
    """Who says that he has signed it. Raises Malformed, Unfit."""
    issuer = _required(claims, "iss")
    if not isinstance(issuer, str):
        raise Malformed("`iss` is no string")
    return issuer


def check(
    header: dict[str, Any],
    claims: dict[str, Any],
    rules: Rules,
    audiences: Collection[str],
    now: float,
) -> str:
    """The subject, where type, dates and audience are as they have to be; `now` is in seconds since
    the epoch. Raises Malformed, Unfit."""
    _check_type(header, rules.typ)
    check_dates(claims, rules, now)
    audience = _required(claims, "aud")
    if isinstance(audience, str):
        audience = [audience]
    elif not isinstance(audience, list) or not all(isinstance(one, str) for one in audience):
        raise Malformed("`aud` is neither a string nor a list of strings")
    if not any(one in audiences for one in audience):
        expected = " or ".join(quoted(one) for one in audiences)
        words = f"`aud` is {quoted(claims['aud'])}, and should have {expected}"
        raise Unfit(Reason.TOKEN_AUDIENCE_WRONG, words)
    subject = _required(claims, rules.subject)
    if not isinstance(subject, str):
        raise Malformed(f"`{rules.subject}` is no string")
    return subject


def plain_type(typ: str) -> str:
    """A `typ` as it is compared (RFC 7515, 4.1.9)."""
    return typ.lower().removeprefix("application/")


def read_date(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate in seconds since the epoch, or None where it is not given. Raises Malformed."""
    if name not in claims:
        return None
    date = claims[name]
    # A bool is an int to Python; a NaN, which JSON does not have, is not between anything.
    if not isinstance(date, bool) and isinstance(date, int | float) and 0 <= date <= LATEST:
        return float(date)
    hint = ""
    if isinstance(date, str):
        hint = "; it is a text"
    elif not isinstance(date, bool) and isinstance(date, int | float) and date > LATEST:
        hint = "; is it in milliseconds?"
    words = f"`{name}` is {quoted(date, 30)}, and no number of seconds from 1970 to 9999{hint}"
    raise Malformed(words)


def check_dates(
    claims: dict[str, Any], rules: Rules, now: float, *, must_end: bool = True
) -> float | None:
    """When it ends, where it is in force at this moment and does not live for too long; None where
    it says nothing of an end, and need not (`must_end`). Raises Malformed, Unfit."""
    expires, issued = read_date(claims, "exp"), read_date(claims, "iat")
    begins = read_date(claims, "nbf")
    if expires is None and must_end:
        raise Unfit(Reason.TOKEN_CLAIM_MISSING, "there is no `exp`")
    if expires is not None and expires + rules.leeway <= now:
        raise Unfit(Reason.TOKEN_EXPIRED, f"`exp` was {now - expires:.0f} s ago")
    for name, date in (("nbf", begins), ("iat", issued)):
        if date is not None and date - rules.leeway > now:
            raise Unfit(Reason.TOKEN_NOT_YET_VALID, f"`{name}` is {date - now:.0f} s from now")
    if expires is None:
        return None
    # Without `iat` it may have been made at this moment, by a clock that is slow.
    lifetime = expires - (now + rules.leeway if issued is None else issued)
    if lifetime > rules.max_lifetime:
        raise Unfit(
            Reason.TOKEN_LIFETIME_TOO_LONG,
            f"it lives for {lifetime:.0f} s, and may for {rules.max_lifetime:g} s",
        )
    return expires


def _check_type(header: dict[str, Any], expected: str) -> None:
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str):
        raise Malformed("the header's `typ` is no string")
    if plain_type(typ) != expected:
        said = quoted(typ) if "typ" in header else "missing"
        raise Unfit(Reason.TOKEN_TYPE_WRONG, f"`typ` is {said}, and should be {quoted(expected)}")


def _required(claims: dict[str, Any], name: str) -> Any:
    if name not in claims:
        raise Unfit(Reason.TOKEN_CLAIM_MISSING, f"there is no `{name}`")
    return claims[name]
