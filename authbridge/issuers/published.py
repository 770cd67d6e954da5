"""Keys that an issuer publishes as a JWKS, fetched in the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from authbridge.client_tls import make_context, read_authorities
from authbridge.issuers.keyring import Keyring, bind_published
from authbridge.issuers.settings import IssuerSettings, JwksSettings
from authbridge.outbound import https
from authbridge.outbound.jwks import KeysByUrl
from authbridge.tokens.key_texts import MOST_OCTETS, read_set

TIMEOUT = 10.0
"""Seconds for a fetch as a whole."""

log = Logger()


def make(
    settings: IssuerSettings, jwks: JwksSettings, reactor: Any, chance: Callable[[], float]
) -> KeysByUrl[Keyring]:
    """The keys of this issuer. `chance`: numbers from 0 to 1."""
    authorities = [] if jwks.ca_file is None else read_authorities(jwks.ca_file)
    context = make_context(authorities)
    said: list[str] = []

    async def fetch() -> bytes:
        return await https.get(jwks.url, context, reactor, timeout=TIMEOUT, most_octets=MOST_OCTETS)

    def parse(content: bytes) -> Keyring:
        nonlocal said
        found, refused = bind_published(read_set(content, jwks.url), settings)
        if refused and refused != said:
            log.warn("issuer {name}: {words}", name=settings.name, words="; ".join(refused))
        said = refused
        return found

    return KeysByUrl(
        jwks.url,
        fetch,
        parse,
        clock=reactor,
        chance=chance,
        refresh=jwks.refresh,
        stale=jwks.stale,
    )
