"""[issuers.NAME]: what an issuer may sign, and how it is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from authbridge.client_tls import read_ca_file
from authbridge.domain_names import ANY_DOMAIN, read_domains
from authbridge.localparts import Localparts, read_users
from authbridge.model import JID
from authbridge.outbound import https
from authbridge.settings import Table, did_you_mean
from authbridge.tokens import jwt
from authbridge.tokens.keys import ALGORITHMS, HMAC_ALGORITHMS

KINDS = ("jwt", "compact", "xcauth")
LEEWAY, MOST_LEEWAY = 30.0, 60.0
MAX_LIFETIME, XCAUTH_LIFETIME = 300.0, 3600.0
"""Seconds; the second is what JSXC gives its tokens."""
REFRESH, LEAST_REFRESH = 900.0, 10.0
STALE, LEAST_STALE = 86400.0, 1.5
"""Seconds, and times the refresh: a fetch may begin late, fail, and be tried again."""
OF_KEYS = ("kind", "algorithms", "keys", "secret_file", "jwks_url")
"""Settings without which nothing can be said about an issuer's keys."""
_JWT_ALONE = ("algorithms", "audience", "subject", "typ", "jwks_url", "single_use")
_URL_ALONE = ("ca_file", "jwks_refresh", "jwks_stale")
_SOURCES = ("keys", "secret_file", "jwks_url")
_DOMAIN = "{domain}"
_RENAMED = {"ed25519": "EdDSA"}
"""Names of RFC 9864, in lower case, and what they are called here."""


@dataclass(frozen=True, slots=True)
class JwksSettings:
    """Where keys are fetched from."""

    url: str
    ca_file: Path | None
    refresh: float
    stale: float
    """Seconds for which keys are used that could not be fetched again."""


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One issuer."""

    name: str
    """Of kind "jwt" its `iss`."""
    kind: str
    """Empty where the table has one that is not known."""
    domains: frozenset[str]
    """Prepared names, or "*"."""
    users: Localparts | None
    """None: all."""
    rules: jwt.Rules
    algorithms: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    """With {domain} in them."""
    keys: tuple[Path, ...] = ()
    """Files, and folders of files."""
    bare: bool = False
    """`keys` is one file, which holds a bare secret."""
    jwks: JwksSettings | None = None
    single_use: bool = False
    """Each `jti` is accepted once."""
    revocable: bool = False
    """Tokens are looked up among those that were revoked."""

    @classmethod
    def read(cls, name: str, table: Table) -> IssuerSettings:
        """Read the table, and close it. Whether its keys can be used is not looked at yet."""
        kind = table.choice("kind", KINDS, "jwt")
        if "kind" in table.mistaken:
            kind = ""
            table.knows(*_JWT_ALONE)
        algorithms: tuple[str, ...] = ()
        audiences: tuple[str, ...] = ()
        typ, subject = "jwt", "sub"
        if kind == "jwt":
            algorithms = read_algorithms(table)
            audiences = _read_audiences(table)
            typ = jwt.plain_type(table.text("typ", "JWT"))
            subject = table.text("subject", "sub")
        elif kind:
            for setting in _JWT_ALONE:
                table.misplaced(setting, f'is of issuers of kind "jwt"; this one is "{kind}"')
        keys, bare, jwks = read_sources(table, kind, algorithms)
        domains = read_domains(table, "domains")
        if not domains and "domains" not in table.mistaken:
            table.wrong("domains", "names none, so that no token would be accepted")
        settings = cls(
            name=name,
            kind=kind,
            domains=domains,
            users=read_users(table, "names nobody, so that no token would be accepted"),
            rules=jwt.Rules(
                typ=typ,
                leeway=table.duration(
                    "leeway", 0.0 if kind == "xcauth" else LEEWAY, most=MOST_LEEWAY, zero=True
                ),
                max_lifetime=table.duration(
                    "max_lifetime", XCAUTH_LIFETIME if kind == "xcauth" else MAX_LIFETIME
                ),
                subject=subject,
            ),
            algorithms=algorithms,
            audiences=audiences,
            keys=keys,
            bare=bare,
            jwks=jwks,
            single_use=kind == "jwt" and table.boolean("single_use", False),
            revocable=table.boolean("revocable", False),
        )
        table.close()
        return settings

    @property
    def has_secrets(self) -> bool:
        """Whether it signs with secrets, and not with pairs of keys."""
        return self.kind != "jwt" or not set(HMAC_ALGORITHMS).isdisjoint(self.algorithms)

    @property
    def needs_state(self) -> bool:
        """Whether its tokens cannot be judged without a store."""
        return self.single_use or self.revocable

    def may_sign_for_domain(self, domain: str) -> bool:
        """Whether `domains` name it."""
        return domain in self.domains or ANY_DOMAIN in self.domains

    def may_sign_for_user(self, jid: JID) -> bool:
        """Whether `users` name him."""
        return self.users is None or jid.local in self.users


def read_algorithms(table: Table) -> tuple[str, ...]:
    """`algorithms` of who signs JSON Web Tokens: what his keys are for."""
    table.knows("algorithms")
    if "algorithms" not in table:
        table.wrong("algorithms", 'is missing; say what its keys are for, as in ["ES256"]')
        return ()
    algorithms = table.some_texts("algorithms", "names none, so that no token would be accepted")
    for algorithm in algorithms:
        if algorithm not in ALGORITHMS:
            meant = _RENAMED.get(algorithm.lower(), algorithm)
            table.wrong(
                "algorithms", f'"{algorithm}" is not known{did_you_mean(meant, ALGORITHMS)}'
            )
    known = set(algorithms).intersection(ALGORITHMS)
    if len({algorithm in HMAC_ALGORITHMS for algorithm in known}) > 1:
        # An attacker who makes one pass for the other signs with what everybody knows.
        table.wrong("algorithms", "has both secrets (HS…) and pairs of keys; an issuer has either")
    return algorithms


def _read_audiences(table: Table) -> tuple[str, ...]:
    if "audience" not in table or table.given_as_text("audience"):
        audiences: tuple[str, ...] = (table.text("audience", f"xmpp:{_DOMAIN}"),)
    else:
        audiences = table.some_texts("audience", "names none, so that no token would be accepted")
    for audience in audiences:
        if not {"{", "}"}.isdisjoint(audience.replace(_DOMAIN, "")):
            table.wrong(
                "audience",
                f'"{audience}": of what stands in braces {_DOMAIN} alone is known, the domain that '
                "is asked for",
            )
    return audiences


def read_sources(
    table: Table, kind: str, algorithms: tuple[str, ...]
) -> tuple[tuple[Path, ...], bool, JwksSettings | None]:
    """The files, whether they are one bare secret, and the URL: of which one is given."""
    table.knows(*_SOURCES)
    given = [setting for setting in _SOURCES if setting in table]
    if "jwks_url" not in given:
        for setting in _URL_ALONE:
            table.misplaced(setting, "is about keys by jwks_url, which is not given")
    if not given:
        table.wrong(
            "keys", f"is missing: give {' or '.join(_SOURCES[: 3 if kind == 'jwt' else 2])}"
        )
        return (), False, None
    for setting in given[1:]:
        table.wrong(setting, f"stands beside {given[0]}; give one of them")
    for_secrets = [algorithm for algorithm in algorithms if algorithm in HMAC_ALGORITHMS]
    for_pairs = [algorithm for algorithm in algorithms if algorithm not in HMAC_ALGORITHMS]
    if "algorithms" in table.mistaken:
        for_secrets = for_pairs = []
    if given[0] == "jwks_url":
        if for_secrets:
            table.wrong(
                "jwks_url",
                f"is for public keys, and {for_secrets[0]} has a secret; give secret_file or keys",
            )
        return (), False, _read_jwks(table)
    if given[0] == "secret_file":
        if for_pairs:
            table.wrong(
                "secret_file",
                f"is for secrets, of {', '.join(HMAC_ALGORITHMS)}; {for_pairs[0]} has pairs of "
                "keys: give keys",
            )
        return (table.path("secret_file"),), True, None
    keys = table.some_texts("keys", "names no file, so that no token would be accepted")
    return tuple(table.folder / name for name in keys), False, None


def _read_jwks(table: Table) -> JwksSettings:
    url = table.text("jwks_url")
    ca_file = read_ca_file(table)
    if "jwks_url" not in table.mistaken and (trouble := https.url_trouble(url)):
        table.wrong("jwks_url", trouble)
    refresh = table.duration("jwks_refresh", REFRESH, least=LEAST_REFRESH)
    stale = table.duration("jwks_stale", STALE, least=LEAST_REFRESH)
    least = LEAST_STALE * refresh
    if stale < least and table.mistaken.isdisjoint(("jwks_refresh", "jwks_stale")):
        now = "" if "jwks_stale" in table else f"is {STALE:g} seconds where it is not given, and "
        table.wrong(
            "jwks_stale",
            f"{now}should be at least {least:g} seconds, {LEAST_STALE:g} times jwks_refresh: there "
            "would be times without keys though their publisher is well",
        )
    return JwksSettings(url=url, ca_file=ca_file, refresh=refresh, stale=stale)
