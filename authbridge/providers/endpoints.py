"""Requests to a provider's URLs, with the credentials of a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime

from authbridge.model import Reason
from authbridge.outbound import https
from authbridge.outbound.asking import Asks, request_again
from authbridge.outbound.jwks import KeysByUrl
from authbridge.outbound.web_server import Response, Unreached
from authbridge.providers.discovery import Urls
from authbridge.providers.findings import ProviderFault
from authbridge.providers.settings import OAuthSettings
from authbridge.tokens import strict_json
from authbridge.wire import oauth_answers

_JSON = b"application/json"


class Answer:
    """What came of a request, and where it was sent."""

    def __init__(self, url: str, response: Response) -> None:
        self._url = url
        self.status = response.status
        self._response = response

    def members(self) -> dict[str, Any]:
        """The JSON object that it is. Raises ProviderFault."""
        if self._response.content != _JSON:
            raise self.failed(f"answers {self.status}, and what is there is not application/json")
        try:
            return strict_json.read_object(self._response.body)
        except ValueError as error:
            raise self.failed(f"answers {self.status} and what is {error}") from None

    def error(self) -> str:
        """The code of the error that it is, where one is known; or empty."""
        try:
            return oauth_answers.read_error(self.members())
        except ProviderFault:
            return ""

    def failed(self, words: str) -> ProviderFault:
        """It says neither yes nor no."""
        return ProviderFault(Reason.PROVIDER_FAILED, f"{self._url} {words}")

    def refused(self, error: str) -> ProviderFault:
        """It says that we may not ask, or not so."""
        why = f": {error}" if error else ""
        words = f"{self._url} answers {self.status} to our own credentials or request{why}"
        return ProviderFault(Reason.PROVIDER_REFUSED, words)

    def unexpected(self) -> ProviderFault:
        """A status that says nothing about what was asked."""
        elsewhere = ", which points elsewhere, to a login page perhaps, and is not followed"
        hint = elsewhere if self.status in https.REDIRECTS else ""
        error = self.error()
        return self.failed(f"answers {self.status}{hint}{error and f' ({error})'}")


class Endpoints:
    """The URLs of one provider."""

    def __init__(
        self,
        settings: OAuthSettings,
        discovered: KeysByUrl[Urls] | None,
        connect: Callable[[str], Asks],
        clock: IReactorTime,
    ) -> None:
        """`discovered`: the URLs that are not given; None where all are. `connect` makes the server
        of a URL, or raises Unreached."""
        self._clock = clock
        self._settings = settings
        self._discovered = discovered
        self._connect = connect
        self._servers: dict[str, tuple[str, Asks]] = {}

    def start(self) -> None:
        """Begin to find out where."""
        if self._discovered is not None:
            self._discovered.start()

    def stop(self) -> None:
        """End, with every connection."""
        if self._discovered is not None:
            self._discovered.stop()
        for _, server in self._servers.values():
            server.close()

    async def url(self, setting: str) -> str:
        """Where it is asked. Raises ProviderFault."""
        given = self._settings.urls.get(setting)
        if given is not None:
            return given
        assert self._discovered is not None
        found = self._discovered.current()
        if found is None:
            with suppress(TimedOut):
                await self._discovered.ready().addTimeout(self._settings.web.timeout, self._clock)
            found = self._discovered.current()
        if found is None:
            words = self._discovered.trouble or "the metadata are not fetched yet"
            raise ProviderFault(Reason.PROVIDER_UNREACHABLE, f"{self._settings.issuer}: {words}")
        return found[setting]

    async def get(self, setting: str, authorization: str) -> Answer:
        """Raises ProviderFault."""
        return await self._ask(setting, b"GET", {"Authorization": authorization}, b"")

    async def post(self, setting: str, fields: Mapping[str, str | bytes]) -> Answer:
        """Send a form, as the client of the settings. Raises ProviderFault."""
        client = self._settings.client
        assert client is not None  # its settings are required where something is posted
        headers = {"Content-Type": oauth_answers.FORM}
        if client.in_form:
            own: dict[str, str | bytes] = {
                "client_id": client.name,
                "client_secret": client.secret.reveal(),
            }
            fields = {**fields, **own}
        else:
            headers["Authorization"] = oauth_answers.basic(client.name, client.secret.reveal())
        return await self._ask(setting, b"POST", headers, oauth_answers.form(fields))

    async def _ask(
        self, setting: str, method: bytes, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        url = await self.url(setting)
        headers = {"Accept": _JSON.decode(), **headers}
        timeout = self._settings.web.timeout
        try:
            server = self._server(setting, url)
            # What is posted changes nothing at the provider.
            response = await request_again(server, method, headers, body, timeout=timeout)
        except Unreached as error:
            raise ProviderFault(Reason.PROVIDER_UNREACHABLE, f"{url}: {error}") from None
        return Answer(url, response)

    def _server(self, setting: str, url: str) -> Asks:
        known, server = self._servers.get(setting, ("", None))
        if server is None or known != url:
            if server is not None:
                server.close()  # the provider has moved
            server = self._connect(url)
            self._servers[setting] = (url, server)
        return server
