"""XMPP domains whose users have accounts at an OpenID provider, each asked in a way of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from .oidc_provider import AUDIENCE, BASIC, CHAT, POST, SCOPE, OidcProvider

#: JSON Web Tokens, judged by the provider's keys; the same as Keycloak makes them.
JWT, KEYCLOAK = "jwt.oauth.example", "keycloak.oauth.example"
#: The provider is asked about each, by Basic and with the secret in the form; in the latter every
#: password is taken for a token, and the application counts in place of the audience.
ASKED, POSTED = "asked.oauth.example", "posted.oauth.example"
#: The provider is asked whose each is.
USERINFO = "userinfo.oauth.example"
#: Passwords get a token, and tokens are tokens.
GRANT = "grant.oauth.example"
#: Answers count for minutes.
CACHED = "cached.oauth.example"

DOMAINS = (JWT, KEYCLOAK, ASKED, POSTED, USERINFO, GRANT, CACHED)

#: What a checker waits for an answer, and a login with all of its checkers: a machine that is busy
#: elsewhere is no outage.
PATIENCE = "20s"
PATIENT = '\n[authbridge]\ndeadline = "25s"\n'
#: What one waits where nothing is to answer.
HASTE = "1s"

#: Whom no token is accepted for, anywhere.
NEVER = "carol"
#: Characters of an opaque token.
LENGTH = 43


def toml(settings: Mapping[str, object]) -> str:
    """A table's lines; None leaves a setting out."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False, default=str)}\n"
        for key, value in settings.items()
        if value is not None
    )


def domain(
    name: str, check: Sequence[str], exists: object = "always", never: Sequence[str] = (NEVER,)
) -> str:
    """[domains.NAME]."""
    rule = {"check": list(check), "exists": exists, "never": list(never)}
    return f'\n[domains."{name}"]\n{toml(rule)}'


def checker(name: str, **settings: object) -> str:
    """[checkers.NAME]."""
    return f"\n[checkers.{name}]\n{toml(settings)}"


def settings(provider: OidcProvider, tokens: str, **changes: object) -> dict[str, object]:
    """What an administrator writes about this provider; None leaves a setting out."""
    chosen: dict[str, object] = {
        "kind": "oauth",
        "issuer": provider.issuer,
        "ca_file": provider.pki.ca,
        "tokens": tokens,
        "timeout": PATIENCE,
    }
    if tokens == "userinfo":
        chosen["insecure_any_client"] = True
    else:
        chosen |= {"audience": [AUDIENCE], "scope": [SCOPE]}
    if tokens == "introspection":
        chosen |= {"client_id": BASIC, "client_secret_file": provider.secret_file(BASIC)}
        chosen |= {"token_length": LENGTH, "cache": 0}
    return chosen | changes


def hasty(name: str) -> str:
    """The domain that differs from this one by its patience."""
    return f"hasty-{name}"


def configuration(provider: OidcProvider, in_haste: Sequence[str] = ()) -> dict[str, str]:
    """Each of the domains with its tables; and those that are `hasty`."""
    by_post = {
        "client_id": POST,
        "client_secret_file": provider.secret_file(POST),
        "client_auth": "post",
        "token_length": None,
        "audience": None,
        "clients": [CHAT],
        "user": "sub",
    }
    checkers = {
        JWT: settings(provider, "jwt", algorithms=["RS256", "ES256"]),
        KEYCLOAK: settings(provider, "jwt", preset="keycloak", clients=[CHAT]),
        ASKED: settings(provider, "introspection"),
        POSTED: settings(provider, "introspection", **by_post),
        USERINFO: settings(provider, "userinfo", token_length=LENGTH, cache=0),
        GRANT: settings(
            provider, "introspection", audience=None, clients=[CHAT, BASIC], password_grant=True
        ),
        CACHED: settings(provider, "introspection", cache="5m"),
    }
    checkers |= {hasty(name): checkers[name] | {"timeout": HASTE} for name in in_haste}
    tables = {
        name: domain(name, [name.partition(".")[0]]) + checker(name.partition(".")[0], **found)
        for name, found in checkers.items()
    }
    tables[JWT] += PATIENT
    return tables
