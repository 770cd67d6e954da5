"""Sessions that the site knows: it is asked "who is this?" with one cookie of the request.

The site's own code is asked, so that a session that has ended there has ended here. It gets that
one cookie and nothing else of what the browser has sent, at a URL of the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from authbridge.model import Reason
from authbridge.outbound.asking import Asks
from authbridge.outbound.web_server import Response, Unreached, WebServer
from authbridge.outbound.web_settings import WebSettings, read_host
from authbridge.sessions.questions import Answer, Questions
from authbridge.sessions.shown import CannotTell, Nobody, Shown, cookie, name_trouble
from authbridge.settings import Table
from authbridge.tokens import strict_json
from authbridge.troubles import Troubles

AT_ONCE = 64
"""Connections to the site."""
MOST_OCTETS = 64 << 10
"""Of an answer."""
TIMEOUT = 3.0
CACHE, MOST_CACHE = 5.0, 5.0
SAID_AGAIN = 60.0
"""Seconds."""

COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"""A token (RFC 6265, 4.1.1)."""
NOT_A_COOKIE = "is no name of a cookie: letters, digits and - _ . are what they are made of"

_REFUSED = frozenset({401, 403})
_JSON = b"application/json"

log = Logger()


@dataclass(frozen=True, slots=True)
class ForwardSettings:
    """session = { kind = "forward", … }"""

    url: str
    cookie: str
    user: str
    """The member of the answer that names the user."""
    host: str
    """In place of the URL's, where the site goes by another name; or empty."""
    web: WebSettings
    cache: float
    """Seconds for which an answer counts."""

    @classmethod
    def read(cls, table: Table) -> ForwardSettings:
        """Read the settings of this kind."""
        web = WebSettings.read(table, TIMEOUT)
        url = web.read_url(table, "url")
        web.check(table, url)
        return cls(
            url=url,
            cookie=read_cookie_name(table),
            user=table.text("user", "user"),
            host=read_host(table),
            web=web,
            cache=table.duration("cache", CACHE, most=MOST_CACHE, zero=True),
        )

    def connect(self, reactor: Any) -> WebServer:
        """The site's server."""
        return self.web.connect(self.url, reactor, most_octets=MOST_OCTETS, at_once=AT_ONCE)


class Forward:
    """Asks the site."""

    of_cookies = True

    def __init__(
        self,
        settings: ForwardSettings,
        site: str,
        web: Asks,
        seconds: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        """`site`: its name, for the log. `seconds`: of a clock that nobody sets. `random` gives so
        many octets."""
        self._settings = settings
        self._site = site
        self._web = web
        self._seconds = seconds
        self._random = random
        self._cookie = settings.cookie.encode()
        self._questions = Questions(self._ask, seconds, random, keep=settings.cache)
        self._said = float("-inf")
        self._troubles = Troubles(seconds)

    def evidence(self, shown: Shown) -> bytes:
        """The cookie's value. See `shown.Session`."""
        return cookie(shown.cookies, self._cookie)

    async def user(self, evidence: bytes) -> str:
        """See `shown.Session`."""
        answer = await self._questions.answer(evidence)
        if answer.user is None:
            raise Nobody(answer.reason)
        return answer.user

    def start(self) -> None:
        """See `shown.Session`. There is nothing to be done before somebody asks."""

    def stop(self) -> None:
        """See `shown.Session`."""
        self._questions.stop()
        self._web.close()

    async def probe(self) -> str:
        """What the site says of a session that there cannot be: that it does not know it, if all is
        well. Raises CannotTell."""
        made_up = b"authbridge-probe-" + self._random(16).hex().encode()
        response = await self._get(made_up, "")
        if self._read(response) != Answer(None):
            words = f"{self._settings.url} names a user whatever the cookie is"
            raise CannotTell(Reason.SITE_FAILED, words)
        hint = f" and a `{self._settings.user}` of null" if response.status == 200 else ""
        return f"{self._settings.url} answers a made-up cookie with {response.status}{hint}"

    async def _ask(self, evidence: bytes, line: str) -> Answer:
        name = f"site {self._site}"
        try:
            response = await self._get(evidence, line)
            answer = self._read(response)
        except CannotTell as error:
            self._troubles.met(name, error.words)
            raise
        self._troubles.over(name)
        if 300 <= response.status < 400:
            self._say_redirect(response.status)
        return answer

    async def _get(self, evidence: bytes, line: str) -> Response:
        """Raises CannotTell."""
        headers = {
            "Accept": _JSON.decode(),
            "Cookie": f"{self._settings.cookie}={evidence.decode('ascii')}",
            "User-Agent": "authbridge",
        }
        if self._settings.host:
            headers["Host"] = self._settings.host
        try:
            seconds = self._settings.web.timeout
            return await self._web.request(b"GET", headers, timeout=seconds, line=line)
        except Unreached as error:
            words = f"{self._settings.url}: {error}"
        raise CannotTell(Reason.SITE_UNREACHABLE, words)

    def _read(self, response: Response) -> Answer:
        """Whom the site names. Raises CannotTell, of which the words hold nothing of the answer."""
        status = response.status
        # Many sites send who is not logged in to their login page.
        if status in _REFUSED or 300 <= status < 400:
            return Answer(None)
        if status != 200:
            raise self._failed(f"answers {status}")
        if response.content != _JSON:
            raise self._failed("answers 200, and what is there is not application/json")
        try:
            members = strict_json.read_object(response.body)
        except ValueError as error:
            raise self._failed(f"answers what is {error}") from None
        member = self._settings.user
        if member not in members:
            raise self._failed(f"answers an object without the member `{member}`")
        user = members[member]
        if user is None:
            return Answer(None)
        if not isinstance(user, str):
            raise self._failed(f"answers `{member}` that is neither a string nor null")
        if not user.strip():
            raise self._failed(f"answers `{member}` that is empty; who is nobody is null")
        return Answer(None, Reason.SITE_USER_UNFIT) if name_trouble(user) else Answer(user)

    def _failed(self, words: str) -> CannotTell:
        return CannotTell(Reason.SITE_FAILED, f"{self._settings.url} {words}")

    def _say_redirect(self, status: int) -> None:
        now = self._seconds()
        if now - self._said >= SAID_AGAIN:
            self._said = now
            log.warn(
                "site {site}: {url} answers {status}, a redirect, which is taken for: nobody is "
                "logged in; 401 would say so",
                site=self._site,
                url=self._settings.url,
                status=status,
            )


def read_cookie_name(table: Table) -> str:
    """`cookie`: a name as RFC 6265 has them."""
    name = table.text("cookie")
    if "cookie" not in table.mistaken and not COOKIE_NAME.fullmatch(name):
        table.wrong("cookie", f"{name!a} {NOT_A_COOKIE}")
    return name
