"""[checkers.NAME] with kind = "oauth": which provider is asked, how, and what its tokens say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authbridge.issuers.settings import LEEWAY, MOST_LEEWAY, IssuerSettings, read_algorithms
from authbridge.jid_templates import Template, read_template
from authbridge.outbound.web_server import WebServer
from authbridge.outbound.web_settings import WebSettings
from authbridge.providers.claims import ClaimRules
from authbridge.providers.client import CLIENT, Client
from authbridge.providers.presets import ACCESS_TOKEN, PRESETS, UNTYPED, Preset
from authbridge.settings import Table
from authbridge.tokens import jwt
from authbridge.tokens.keys import HMAC_ALGORITHMS
from authbridge.tokens.shapes import Shape
from authbridge.wire.oauth_answers import ENDPOINTS, SCOPE

JWT, INTROSPECTION, USERINFO = "jwt", "introspection", "userinfo"
WAYS = (JWT, INTROSPECTION, USERINFO)
TIMEOUT = 4.0
"""Seconds for an answer."""
CACHE, MOST_CACHE = 5.0, 300.0
"""Seconds for which an answer counts."""
MAX_LIFETIME = 24 * 3600.0
"""Seconds. Access tokens of most providers live for minutes, those of some for a day."""
AT_ONCE, MOST_AT_ONCE = 64, 1000
MOST_OCTETS = 256 << 10
"""Of an answer."""
OF_USERINFO = ("openid", "profile")
"""Scopes without which a user's name is not told (OpenID Connect Core 1.0, 5.4)."""

_URLS = {JWT: "jwks_url", INTROSPECTION: "introspection_url", USERINFO: "userinfo_url"}
_OF_CLAIMS = ("audience", "clients", "scope")


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """One provider."""

    issuer: str
    tokens: str
    """How an access token is judged: one of WAYS."""
    preset: Preset
    web: WebSettings
    urls: Mapping[str, str]
    """Those that are given, by their settings."""
    client: Client | None
    rules: ClaimRules
    algorithms: tuple[str, ...]
    jid: Template
    user_domain: bool
    """The user's name has a domain at its end, which is that of the JID."""
    ignore_case: bool
    shape: Shape | None
    jwt_alone: bool
    """What is no JSON Web Token is none of its tokens."""
    untyped_answers: bool
    """An answer about a token need not say what kind it is."""
    password_grant: bool
    cache: float
    at_once: int
    knows_users: bool = False
    own_tokens: bool = True

    @classmethod
    def read(cls, table: Table) -> OAuthSettings:
        """Read the table, and close it."""
        preset = PRESETS[table.choice("preset", PRESETS, "none")]
        web = WebSettings.read(table, TIMEOUT)
        issuer = web.read_url(table, "issuer")
        if "?" in issuer:
            table.wrong("issuer", "has no ? in it (OpenID Connect Discovery 1.0, 3)")
        tokens = _read_way(table)
        grant = table.boolean("password_grant", False)
        settings = cls(
            issuer=issuer,
            tokens=tokens,
            preset=preset,
            web=web,
            urls=_read_urls(table, web, tokens, grant),
            client=_read_client(table, tokens, grant),
            rules=_read_rules(table, preset, tokens),
            algorithms=_read_algorithms(table, preset, tokens),
            jid=read_template(table, "the domain that is asked for"),
            user_domain=table.boolean("user_domain", False),
            ignore_case=table.boolean("ignore_case", False),
            shape=_read_shape(table, tokens),
            jwt_alone=tokens == JWT or _read_jwt_alone(table, preset),
            untyped_answers=_read_untyped(table, preset, tokens),
            password_grant=grant,
            cache=_read_cache(table, tokens),
            at_once=table.number("at_once", AT_ONCE, least=1, most=MOST_AT_ONCE),
        )
        if table.mistaken.isdisjoint((*ENDPOINTS, "issuer", "tokens")):
            web.check(table, issuer, *settings.urls.values())
        if "tokens" not in table.mistaken:
            settings._check(table)
        table.close()
        return settings

    @property
    def own_issuer(self) -> str:
        """The `iss` of its JSON Web Tokens."""
        return self.issuer

    @property
    def takes_all(self) -> bool:
        """Whether every password is taken for one of its tokens."""
        return not self.jwt_alone and self.shape is None

    @property
    def needed(self) -> tuple[str, ...]:
        """The settings of the URLs without which nothing can be asked."""
        return _needed(self.tokens, self.password_grant)

    @property
    def as_issuer(self) -> IssuerSettings:
        """The same for who binds its keys. It signs for no domain: what it signs is judged here."""
        return IssuerSettings(
            name=self.issuer,
            kind="jwt",
            domains=frozenset(),
            users=None,
            rules=self.rules.dates,
            algorithms=self.algorithms,
        )

    def connect(self, url: str, reactor: Any) -> WebServer:
        """The server of one of its URLs."""
        return self.web.connect(url, reactor, most_octets=MOST_OCTETS, at_once=self.at_once)

    def _check(self, table: Table) -> None:
        if self.password_grant and self.takes_all:
            table.wrong(
                "password_grant",
                "needs to know a password from a token: say what the tokens look like "
                "(token_length, token_prefix), or that they are all JSON Web Tokens (jwt_alone)",
            )
        if self.shape is not None and self.jwt_alone:
            table.wrong("jwt_alone", "contradicts token_length and token_prefix")
        if self.tokens == INTROSPECTION and self.preset.client_is_asker:
            table.misplaced(
                "clients",
                "cannot be told: asked about a token, this provider names whoever asks as its "
                "client; give audience, which is the client that the token was issued to",
            )


def _needed(tokens: str, password_grant: bool) -> tuple[str, ...]:
    return (_URLS[tokens], *(("token_url",) if password_grant else ()))


def _read_way(table: Table) -> str:
    """`tokens`, which has no default: what each way means is to be chosen."""
    table.knows("tokens")
    if "tokens" not in table:
        table.wrong(
            "tokens",
            'is missing: "jwt" (judged here, by the provider\'s keys), "introspection" (the '
            'provider is asked about each) or "userinfo"',
        )
        return INTROSPECTION
    return table.choice("tokens", WAYS, INTROSPECTION)


def _read_urls(table: Table, web: WebSettings, tokens: str, grant: bool) -> Mapping[str, str]:
    table.knows(*ENDPOINTS)
    needed = _needed(tokens, grant)
    if "tokens" not in table.mistaken:
        for setting in ENDPOINTS:
            if setting not in needed:
                unless = " without password_grant" if setting == "token_url" else ""
                table.misplaced(setting, f'is not asked with tokens = "{tokens}"{unless}')
    return {setting: web.read_url(table, setting) for setting in needed if setting in table}


def _read_client(table: Table, tokens: str, grant: bool) -> Client | None:
    if tokens == INTROSPECTION or grant:
        return Client.read(table)
    for setting in CLIENT:
        table.misplaced(setting, f'is not needed with tokens = "{tokens}"')
    return None


def _read_rules(table: Table, preset: Preset, tokens: str) -> ClaimRules:
    user = table.text("user", preset.user)
    if tokens == USERINFO:
        _read_any_client(table)
        none: frozenset[str] = frozenset()
        for setting in ("leeway", "max_lifetime"):
            table.misplaced(setting, "is about dates, and the user's claims have none")
        return ClaimRules(jwt.Rules("", LEEWAY, MAX_LIFETIME, user), none, none, none, user)
    table.misplaced("insecure_any_client", 'is about tokens = "userinfo"')
    audiences, clients = (_read_list(table, setting) for setting in ("audience", "clients"))
    if not (audiences or clients) and table.mistaken.isdisjoint(_OF_CLAIMS):
        table.wrong(
            "audience",
            "is missing: without it, or `clients`, a token that any other application got for a "
            "user would log in as him",
        )
    scopes = _read_list(table, "scope")
    if not scopes and "scope" not in table.mistaken:
        table.wrong("scope", 'is missing: what a token must be allowed to do, as in ["xmpp"]')
    for scope in scopes:
        if not SCOPE.fullmatch(scope):
            table.wrong("scope", f"{scope!a}: a scope has no blanks or quotes in it")
    dates = jwt.Rules(
        typ=_read_typ(table, preset, tokens),
        leeway=table.duration("leeway", LEEWAY, most=MOST_LEEWAY, zero=True),
        max_lifetime=table.duration("max_lifetime", MAX_LIFETIME),
        subject=user,
    )
    return ClaimRules(dates, audiences, clients, scopes, user, preset.marks, preset.nonce)


def _read_list(table: Table, setting: str) -> frozenset[str]:
    """A string or a list of them."""
    table.knows(setting)
    if setting not in table:
        return frozenset()
    if table.given_as_text(setting):
        return frozenset((table.text(setting),))
    return frozenset(table.some_texts(setting, "names none, so that no token would be accepted"))


def _read_any_client(table: Table) -> None:
    for setting in _OF_CLAIMS:
        table.misplaced(setting, "cannot be told: the user's claims say nothing of the token")
    if not table.boolean("insecure_any_client", False):
        table.wrong(
            "tokens",
            '"userinfo" tells whose a token is, and nothing of what for and to whom it was issued: '
            "a token that any other application of the provider got for a user logs in as him. "
            "insecure_any_client = true allows it; introspection has no such hole",
        )


def _read_typ(table: Table, preset: Preset, tokens: str) -> str:
    if tokens != JWT:
        table.misplaced("typ", 'is about tokens = "jwt"')
        return preset.typ
    typ = jwt.plain_type(table.text("typ", preset.typ))
    if typ not in (ACCESS_TOKEN, UNTYPED):
        table.wrong("typ", f'should be "{ACCESS_TOKEN}" (RFC 9068), or "JWT" for older providers')
    return typ


def _read_algorithms(table: Table, preset: Preset, tokens: str) -> tuple[str, ...]:
    if tokens != JWT:
        table.misplaced("algorithms", 'is about tokens = "jwt"')
        return preset.algorithms
    table.knows("algorithms")
    if "algorithms" not in table:
        return preset.algorithms
    algorithms = read_algorithms(table)
    for algorithm in algorithms:
        if algorithm in HMAC_ALGORITHMS and "algorithms" not in table.mistaken:
            table.wrong(
                "algorithms", f"{algorithm} has a secret, and a provider publishes its keys"
            )
    return algorithms


def _read_shape(table: Table, tokens: str) -> Shape | None:
    if tokens != JWT:
        return Shape.read(table)
    for setting in ("token_prefix", "token_length"):
        table.misplaced(setting, 'is about tokens that are not JSON Web Tokens (tokens = "jwt")')
    table.misplaced("jwt_alone", 'goes without saying with tokens = "jwt"')
    return None


def _is_shaped(table: Table) -> bool:
    return "token_prefix" in table or "token_length" in table


def _read_jwt_alone(table: Table, preset: Preset) -> bool:
    return table.boolean("jwt_alone", preset.jwt_alone and not _is_shaped(table))


def _read_untyped(table: Table, preset: Preset, tokens: str) -> bool:
    if tokens != INTROSPECTION:
        table.misplaced("untyped_answers", 'is about tokens = "introspection"')
        return False
    return table.boolean("untyped_answers", preset.untyped_answers and not _is_shaped(table))


def _read_cache(table: Table, tokens: str) -> float:
    if tokens == JWT:
        table.misplaced(
            "cache", 'is about what a provider is asked, and tokens = "jwt" asks it none'
        )
        return 0.0
    return table.duration("cache", CACHE, most=MOST_CACHE, zero=True)
