"""What an access token has to say, whether it says so itself or its provider does: when it is in
force, for whom it was issued, what it may be used for, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from authbridge.model import Reason
from authbridge.providers.findings import Found
from authbridge.tokens import jwt
from authbridge.tokens.refusals import Malformed, Unfit, quoted
from authbridge.wire import oauth_answers
from authbridge.wire.oauth_answers import Unusable

_OF_ACCESS: Mapping[str, frozenset[str]] = {
    "typ": frozenset({"bearer", "at+jwt"}),
    "token_type": frozenset({"bearer", "access_token"}),
    "token_use": frozenset({"access", "access_token"}),
}
"""Members by which providers tell their kinds of tokens apart, and what they say of an access
token that anybody may show; in lower case."""
_OF_ID_TOKENS = ("at_hash", "c_hash", "s_hash", "events")
"""Claims of ID tokens (OpenID Connect Core 1.0, 3.3.2.11) and logout tokens."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What is required."""

    dates: jwt.Rules
    audiences: frozenset[str]
    """One of them; empty: nothing is asked."""
    clients: frozenset[str]
    """Whom the token was issued to, likewise."""
    scopes: frozenset[str]
    """All of them."""
    user: str
    """The claim that has the user's name, or the way to it."""
    marks: tuple[str, ...] = ()
    """Claims without which it is no access token."""
    nonce: bool = False
    """An access token may have the `nonce` of an ID token."""


def check(
    claims: dict[str, Any], rules: ClaimRules, now: float, *, signer: str, must_end: bool
) -> Found:
    """Whose token this is. `now`: seconds since the epoch. Raises Malformed, Unfit."""
    check_kind(claims)
    expires = jwt.check_dates(claims, rules.dates, now, must_end=must_end)
    try:
        audiences = oauth_answers.read_audiences(claims)
        clients = oauth_answers.read_clients(claims)
        scopes = oauth_answers.read_scopes(claims)
    except Unusable as error:
        raise Malformed(str(error)) from None
    if rules.audiences and rules.audiences.isdisjoint(audiences):
        words = f"`aud` is {_listed(audiences)}, and should have {_listed(rules.audiences)}"
        raise Unfit(Reason.TOKEN_AUDIENCE_WRONG, words)
    if rules.clients and not (clients and clients <= rules.clients):
        words = f"it was issued to {_listed(clients)}, and `clients` are {_listed(rules.clients)}"
        raise Unfit(Reason.TOKEN_AUDIENCE_WRONG, words)
    if not rules.scopes <= scopes:
        words = f"`scope` is {_listed(scopes)}, and lacks {_listed(rules.scopes - scopes)}"
        raise Unfit(Reason.TOKEN_SCOPE_MISSING, words)
    return Found(read_user(claims, rules.user), expires, signer)


def check_kind(claims: Mapping[str, Any]) -> None:
    """Whether it says that it is another kind of token, or one that is bound to somebody's key,
    which nobody has shown here (RFC 9449, 7.1; RFC 8705, 3). Raises Unfit."""
    for name, known in _OF_ACCESS.items():
        if name in claims:
            said = claims[name]
            if not isinstance(said, str) or said.lower() not in known:
                raise Unfit(Reason.TOKEN_TYPE_WRONG, f"`{name}` is {quoted(said)}")
    if "cnf" in claims:
        raise Unfit(Reason.TOKEN_TYPE_WRONG, "it is bound to a key (`cnf`), and shown without one")


def check_typed(claims: Mapping[str, Any]) -> None:
    """Whether it says what kind of token it is: a provider that is asked about a refresh token may
    say that it is in force, and not what it is. Raises Unfit."""
    if _OF_ACCESS.keys().isdisjoint(claims):
        words = "nothing says that it is an access token (`token_type`): see untyped_answers"
        raise Unfit(Reason.TOKEN_TYPE_WRONG, words)


def check_untyped(claims: Mapping[str, Any], rules: ClaimRules) -> None:
    """Whether a JSON Web Token whose header does not say so can be an access token. Raises Unfit.

    An ID token has the same issuer and the same keys, and is shown to everybody who asks who
    somebody is.
    """
    missing = [name for name in rules.marks if not isinstance(claims.get(name), str)]
    if missing:
        words = f"there is no `{missing[0]}`, which access tokens of this provider have"
        raise Unfit(Reason.TOKEN_TYPE_WRONG, words)
    foreign = (*_OF_ID_TOKENS, *(() if rules.nonce else ("nonce",)))
    for name in foreign:
        if name in claims:
            raise Unfit(Reason.TOKEN_TYPE_WRONG, f"it has `{name}`, as ID tokens have")


def read_user(claims: Mapping[str, Any], path: str) -> str:
    """The provider's name for a user. Raises Unfit."""
    user = oauth_answers.claim(claims, path)
    if not isinstance(user, str) or not user:
        words = "is no string, or empty" if user is not None else "is not there"
        raise Unfit(Reason.TOKEN_CLAIM_MISSING, f"`{path}`, which should name the user, {words}")
    return user


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, sorted(names)[:8])) or "not there"
