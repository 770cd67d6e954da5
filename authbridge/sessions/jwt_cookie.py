"""Sessions that are a signed token: a cookie holds a JSON Web Token that the site has signed.

It is verified as tokens of [issuers] are, by the same code. What keeps the two apart are `aud` and
`typ`: a session is no password, and what was issued as a password is no session (RFC 8725, 3.11 and
3.12). So both have to be given, and `typ` must say more than that it is a JWT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authbridge.issuers import published
from authbridge.issuers.issuers import Issuer, Issuers, KeysUnavailable
from authbridge.issuers.settings import (
    LEEWAY,
    MOST_LEEWAY,
    OF_KEYS,
    IssuerSettings,
    read_algorithms,
    read_sources,
)
from authbridge.model import Reason
from authbridge.sessions.forward import read_cookie_name
from authbridge.sessions.shown import CannotTell, Nobody, Shown, cookie, name_trouble
from authbridge.settings import Table
from authbridge.tokens import jws, jwt
from authbridge.tokens.refusals import Refused, Unfit, Untrusted

MAX_LIFETIME = 12 * 3600.0
"""Seconds. A session outlives a password by far; the site ends it by taking the cookie away."""

_UNTYPED = "jwt"


@dataclass(frozen=True, slots=True)
class JwtCookieSettings:
    """session = { kind = "jwt-cookie", … }"""

    cookie: str
    issuer: IssuerSettings
    """Its `iss`, what its tokens have to say, and its keys. It signs for no domain: its tokens are
    no logins."""
    keys_can_be_read: bool
    """Nothing is wrong with the settings that its keys depend on."""

    @classmethod
    def read(cls, table: Table) -> JwtCookieSettings:
        """Read the settings of this kind. Whether its keys can be used is not looked at."""
        name = table.text("issuer")
        cookie_name = read_cookie_name(table)
        algorithms = read_algorithms(table)
        keys, bare, jwks = read_sources(table, "jwt", algorithms)
        issuer = IssuerSettings(
            name=name,
            kind="jwt",
            domains=frozenset(),
            users=None,
            rules=jwt.Rules(
                typ=_read_typ(table),
                leeway=table.duration("leeway", LEEWAY, most=MOST_LEEWAY, zero=True),
                max_lifetime=table.duration("max_lifetime", MAX_LIFETIME),
                subject=table.text("user", "sub"),
            ),
            algorithms=algorithms,
            audiences=_read_audiences(table),
            keys=keys,
            bare=bare,
            jwks=jwks,
        )
        return cls(cookie_name, issuer, table.mistaken.isdisjoint(OF_KEYS))

    def make_issuer(self, reactor: Any, chance: Callable[[], float]) -> Issuer:
        """The issuer with its keys, of files or fetched."""
        jwks = self.issuer.jwks
        if jwks is None:
            return Issuer(self.issuer)
        return Issuer(self.issuer, published.make(self.issuer, jwks, reactor, chance))


class JwtCookie:
    """Verifies the token in a cookie."""

    of_cookies = True

    def __init__(
        self,
        settings: JwtCookieSettings,
        issuer: Issuer,
        wall: Callable[[], float],
        seconds: Callable[[], float],
    ) -> None:
        """`wall`: seconds since the epoch; `seconds`: of any clock."""
        self._cookie = settings.cookie.encode()
        self._issuer = issuer
        self._wall = wall
        self.issuers = Issuers((issuer,), seconds)
        """The one that there is, for who looks at keys."""

    def evidence(self, shown: Shown) -> bytes:
        """The token, of which nothing is known. See `shown.Session`."""
        return cookie(shown.cookies, self._cookie)

    async def user(self, evidence: bytes) -> str:
        """See `shown.Session`. Nothing is waited for."""
        self.issuers.refresh()
        try:
            return self._judge(evidence)
        except Refused as refused:
            raise Nobody(refused.reason) from None
        except KeysUnavailable as error:
            raise CannotTell(Reason.KEYS_UNAVAILABLE, str(error)) from None

    def start(self) -> None:
        """Read the keys, or begin to fetch them."""
        self.issuers.start()

    def stop(self) -> None:
        """Fetch no more."""
        self.issuers.stop()

    async def probe(self) -> str:
        """Which keys there are. Raises CannotTell."""
        if self._issuer.fetched is not None:
            await self._issuer.fetched.ready()
        try:
            names = self._issuer.keys().names()
        except KeysUnavailable as error:
            raise CannotTell(Reason.KEYS_UNAVAILABLE, str(error)) from None
        if not names:
            raise CannotTell(Reason.KEYS_UNAVAILABLE, "there is no key that could be used")
        return f"keys: {', '.join(map(ascii, names))}"

    def _judge(self, token: bytes) -> str:
        """Raises Refused, KeysUnavailable."""
        settings = self._issuer.settings
        read = jws.read(token)
        claims = jwt.read_claims(read)
        if jwt.read_issuer(claims) != settings.name:
            raise Untrusted(Reason.TOKEN_ISSUER_UNKNOWN, "`iss` is somebody else")
        try:
            jws.verify(read, self._issuer.keys().set, None)
        except Untrusted as refused:
            if refused.reason is Reason.TOKEN_KEY_UNKNOWN:
                self._issuer.misses_a_key()
            raise
        rules = settings.rules
        user = jwt.check(read.header, claims, rules, settings.audiences, self._wall())
        if trouble := name_trouble(user):
            raise Unfit(Reason.USER_MALFORMED, f"`{rules.subject}` {trouble}")
        return user


def _read_typ(table: Table) -> str:
    typ = jwt.plain_type(table.text("typ"))
    if typ == _UNTYPED:
        table.wrong(
            "typ",
            'should be one of its own, such as "session+jwt": a token that says JWT, or nothing, '
            "may be for any purpose",
        )
    return typ


def _read_audiences(table: Table) -> tuple[str, ...]:
    if "audience" not in table:
        table.knows("audience")
        table.wrong("audience", "is missing; say what the site puts into `aud` of its sessions")
        return ()
    if table.given_as_text("audience"):
        audiences: tuple[str, ...] = (table.text("audience"),)
    else:
        audiences = table.some_texts("audience", "names none, so that no session would be accepted")
    for audience in audiences:
        if not {"{", "}"}.isdisjoint(audience):
            table.wrong("audience", f'"{audience}": nothing that stands in braces is replaced here')
    return audiences
