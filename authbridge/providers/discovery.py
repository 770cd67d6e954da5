"""What a provider publishes: where it is asked, and its keys. Both are fetched in the background,
and stay in force for a while when it cannot be reached (`outbound.jwks`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import Logger

from authbridge.issuers.keyring import Keyring, bind_published
from authbridge.issuers.settings import REFRESH, STALE
from authbridge.outbound import https
from authbridge.outbound.https import FetchFailed
from authbridge.outbound.jwks import KeysByUrl
from authbridge.outbound.web_server import Unreached
from authbridge.outbound.web_settings import HTTPS
from authbridge.providers.settings import OAuthSettings
from authbridge.tokens import strict_json
from authbridge.tokens.key_texts import MOST_OCTETS, read_set
from authbridge.wire import oauth_answers

TIMEOUT = 10.0
"""Seconds for each fetch."""

_HEADERS = {
    "Accept": "application/json, application/jwk-set+json",
    "Connection": "close",
}
_JWKS = "jwks_url"

log = Logger()

Urls = Mapping[str, str]
"""By the names of their settings."""


class Published:
    """What a provider publishes, by URL."""

    def __init__(self, settings: OAuthSettings, reactor: Any, chance: Callable[[], float]) -> None:
        """`chance`: numbers from 0 to 1."""
        self._settings = settings
        self._reactor = reactor
        self._chance = chance
        self._said: list[str] = []

    def urls(self) -> KeysByUrl[Urls]:
        """Where the provider is asked what the settings do not say."""
        at = oauth_answers.metadata_url(self._settings.issuer)
        return self._fetched(at, lambda: self._get(at), self._read_urls, "metadata")

    def keys(self) -> KeysByUrl[Keyring]:
        """Its keys."""
        given = self._settings.urls.get(_JWKS, "")
        at = given or self._settings.issuer
        return self._fetched(at, self._get_keys, self._read_keys, "keys")

    def _fetched(self, url: str, fetch: Any, parse: Any, what: str) -> KeysByUrl[Any]:
        return KeysByUrl(
            url,
            fetch,
            parse,
            clock=self._reactor,
            chance=self._chance,
            refresh=REFRESH,
            stale=STALE,
            what=what,
        )

    async def _get_keys(self) -> bytes:
        """The JWKS, wherever the metadata say that it is now."""
        url = self._settings.urls.get(_JWKS)
        if url is None:
            at = oauth_answers.metadata_url(self._settings.issuer)
            try:
                url = self._read_urls(await self._get(at))[_JWKS]
            except ValueError as error:
                raise FetchFailed(f"{at} cannot be used: {error}") from None
        return await self._get(url)

    async def _get(self, url: str) -> bytes:
        """What is there. Raises FetchFailed."""
        web = self._settings.web
        try:
            server = web.connect(url, self._reactor, most_octets=MOST_OCTETS, at_once=1)
            try:
                response = await server.request(b"GET", _HEADERS, timeout=TIMEOUT)
            finally:
                server.close()
        except Unreached as error:
            raise FetchFailed(f"{url}: {error}") from None
        if response.status != 200:
            elsewhere = " (it points elsewhere, and is not followed)"
            hint = elsewhere if response.status in https.REDIRECTS else ""
            raise FetchFailed(f"{url}: the server answers {response.status}{hint}")
        return response.body

    def _read_urls(self, content: bytes) -> Urls:
        """Those that are needed. Raises ValueError."""
        members = strict_json.read_object(content)
        found = {**oauth_answers.read_metadata(members, self._settings.issuer)}
        urls: dict[str, str] = {}
        for setting in self._settings.needed:
            if setting in self._settings.urls:
                continue
            if setting not in found:
                raise ValueError(
                    f"there is no `{oauth_answers.ENDPOINTS[setting]}`: give {setting}"
                )
            if trouble := self._trouble(found[setting]):
                raise ValueError(f"`{oauth_answers.ENDPOINTS[setting]}`: {trouble}")
            urls[setting] = found[setting]
        return urls

    def _trouble(self, url: str) -> str:
        """Why this URL is not asked, or empty. What a provider elsewhere calls this machine is
        itself; here anybody may listen there."""
        web = self._settings.web
        trouble = web.trouble(url)
        if not trouble and self._settings.issuer.startswith(HTTPS) and not url.startswith(HTTPS):
            trouble = "" if web.clear_text else "it should begin with https://, as `issuer` does"
        return trouble

    def _read_keys(self, content: bytes) -> Keyring:
        """Raises ValueError."""
        issuer = self._settings.as_issuer
        source = f"the keys of {issuer.name}"
        found, refused = bind_published(read_set(content, source), issuer)
        if refused and refused != self._said:
            log.warn("provider {name}: {words}", name=issuer.name, words="; ".join(refused))
        self._said = refused
        return found
