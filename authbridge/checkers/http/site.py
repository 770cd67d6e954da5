"""A website that is asked: what it says, or why that is not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authbridge import preparation
from authbridge.checkers.http.settings import MOST_AT_ONCE, HttpSettings
from authbridge.jid_templates import PLAIN, localpart
from authbridge.model import JID, Reason, Trace
from authbridge.outbound.asking import Asks, request_again
from authbridge.outbound.web_server import Response, Unreached
from authbridge.printable import printable
from authbridge.tokens import strict_json
from authbridge.troubles import Troubles
from authbridge.turns import Turns
from authbridge.wire.website import Asked, Rules, Says, SaysNothing, Unaskable

PROVEN = 600.0
"""Seconds for which a site is known to say no to strangers."""

_JSON = b"application/json"
_NOWHERE = "authbridge.invalid"
"""A domain that there never is (RFC 6761, 6.4)."""


class CannotTell(Exception):
    """The website could not be asked, or said neither yes nor no; `words` says why, fit for the
    log."""

    def __init__(self, reason: Reason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words


class Website:
    """Puts the questions, and reads the answers by the rules of the settings."""

    def __init__(
        self,
        settings: HttpSettings,
        web: Asks,
        exists: Asks,
        seconds: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        """`web` and `exists`: the servers of `url` and of `exists_url`. `seconds`: of a clock that
        nobody sets. `random` gives so many octets."""
        self._settings = settings
        self._web = web
        self._exists = exists
        self._seconds = seconds
        self._random = random
        self._troubles = Troubles(seconds)
        self._about_strangers = f"website {settings.url}, asked about a stranger"
        self._proven: dict[str, float] = {}
        """When it has said no to a stranger last, of each domain that it is told of."""
        self._proving = Turns(1, MOST_AT_ONCE)
        """One question about a stranger, whoever waits for its answer: many would look like an
        attack at the site."""

    async def check(self, jid: JID, password: str, trace: Trace | None) -> Says:
        """What it says of the user's password. Raises CannotTell, Unaskable."""
        says = await self._check(jid, password, trace)
        if says is Says.YES and self._settings.takes_little:
            await self._prove(jid, trace)
        return says

    async def look_up(self, jid: JID, trace: Trace | None) -> Says:
        """What it says of the user. Raises CannotTell, Unaskable."""
        settings = self._settings
        asked = settings.manner.ask_user(_name(jid), jid.domain)
        return await self._ask(
            self._exists, settings.exists_url, asked, settings.exists_rules, jid, trace
        )

    async def probe(self, trace: Trace) -> None:
        """Ask about somebody who is not there. Raises CannotTell where that is not a plain no."""
        await self._refuses(self._stranger(_NOWHERE), trace)
        if (
            self._settings.knows_users
            and await self.look_up(self._stranger(_NOWHERE), trace) is Says.YES
        ):
            raise self._fault("says that there is a user whose name is made up", trace)

    async def _prove(self, jid: JID, trace: Trace | None) -> None:
        """Raises CannotTell where it would let in anybody of the user's domain."""
        manner = self._settings.manner
        domain = jid.domain if manner.domain or manner.whole else _NOWHERE
        if self._is_proven(domain):
            return
        turn = self._proving.take("")
        if turn is not None:
            await turn
        try:
            if not self._is_proven(domain):
                await self._ask_about_stranger(domain, trace)
        finally:
            self._proving.leave()

    async def _ask_about_stranger(self, domain: str, trace: Trace | None) -> None:
        if trace is not None:
            trace.step("proof", "a yes may be said to anybody here: what does a stranger get?")
        await self._refuses(self._stranger(domain), trace)
        proven = {one: when for one, when in self._proven.items() if self._is_proven(one)}
        self._proven = proven | {domain: self._seconds()}

    def _is_proven(self, domain: str) -> bool:
        return self._seconds() - self._proven.get(domain, float("-inf")) < PROVEN

    async def _refuses(self, jid: JID, trace: Trace | None) -> None:
        """Raises CannotTell."""
        says = await self._check(jid, self._random(16).hex(), trace)
        if says in (Says.YES, Says.ANOTHER):
            raise self._fault("says yes to a made-up user with a made-up password", trace)
        self._troubles.over(self._about_strangers)

    def _stranger(self, domain: str) -> JID:
        return JID(f"authbridge-probe-{self._random(8).hex()}", domain)

    async def _check(self, jid: JID, password: str, trace: Trace | None) -> Says:
        settings = self._settings
        asked = settings.manner.ask_password(_name(jid), jid.domain, password)
        return await self._ask(self._web, settings.url, asked, settings.rules, jid, trace)

    def _fault(self, words: str, trace: Trace | None) -> CannotTell:
        fault = CannotTell(Reason.WEBSITE_FAILED, words)
        self._proven.clear()
        # Of its own: the answers as such are well.
        self._troubles.met(self._about_strangers, fault.words)
        if trace is not None:
            trace.step("fault", fault.words)
        return fault

    async def _ask(
        self, web: Asks, url: str, asked: Asked, rules: Rules, jid: JID, trace: Trace | None
    ) -> Says:
        name = f"website {url}"
        if trace is not None:
            trace.step("website", f"{asked.method.decode()} {url}, {self._settings.manner.request}")
        try:
            response = await self._send(web, asked)
            says = self._read(response, rules, jid, trace)
        except Unreached as error:
            found = CannotTell(Reason.WEBSITE_UNREACHABLE, str(error))
        except SaysNothing as error:
            found = CannotTell(Reason.WEBSITE_FAILED, str(error))
        else:
            self._troubles.over(name)
            return says
        # Who greets everybody meanwhile, with a page about repairs perhaps, began like this.
        self._proven.clear()
        self._troubles.met(name, found.words)
        if trace is not None:
            trace.step("fault", found.words)
        raise found

    async def _send(self, web: Asks, asked: Asked) -> Response:
        """Raises Unreached."""
        headers = dict(asked.headers)
        if self._settings.host:
            headers["Host"] = self._settings.host
        seconds = self._settings.web.timeout
        return await request_again(web, asked.method, headers, asked.body, timeout=seconds)

    def _read(self, response: Response, rules: Rules, jid: JID, trace: Trace | None) -> Says:
        """Raises SaysNothing."""
        status, content = response.status, printable(response.content) or "no single type"
        if trace is not None:
            trace.step("answer", f"{status}, {content}, {len(response.body)} octets")
        secret = self._settings.manner.secret is not None
        says, rule = rules.by_status(status, secret=secret), f"{status}"
        if says is Says.YES and rules.looks_closer:
            members = _members(response)
            says, rule = rules.by_members(members), rules.member or rules.user
            if says is Says.YES and rules.user:
                says = self._whom(rules.name_in(members), jid, trace)
        if trace is not None:
            trace.step("rule", f"{rule}: {says.value}")
        return says

    def _whom(self, name: str, jid: JID, trace: Trace | None) -> Says:
        """Whether this is the user's name at the site, and no other that it may have found him by:
        his mail address, or älice for alice. Where capitals count for others there (no
        `ignore_case`), Alice is somebody else as well."""
        same = self._local_of(name, jid) == jid.local
        if not same and trace is not None:
            trace.step("name", f"the website has let in {printable(name.encode(errors='replace'))}")
        return Says.YES if same else Says.ANOTHER

    def _local_of(self, name: str, jid: JID) -> str | None:
        """The localpart that stands for a site's name; None where the name is of another domain, or
        can be nobody's."""
        settings = self._settings
        at, host = "", ""
        if settings.manner.whole:
            name, at, host = name.rpartition("@")
        try:
            if at and preparation.domain(host.encode()) != jid.domain:
                return None
            name = preparation.escape(name)
            return localpart(PLAIN, name, ignore_case=settings.ignore_case)
        except ValueError:  # no name that anybody could have here, or half of a surrogate pair
            return None


def _name(jid: JID) -> str:
    """What the localpart stands for (XEP-0106). Raises Unaskable."""
    try:
        return preparation.unescape(jid.local)
    except preparation.Unprepared as error:
        raise Unaskable(str(error)) from None


def _members(response: Response) -> dict[str, Any]:
    """Raises SaysNothing."""
    if response.content != _JSON:
        raise SaysNothing(f"answers {response.status}, and what is there is not application/json")
    try:
        return strict_json.read_object(response.body)
    except ValueError as error:
        raise SaysNothing(f"answers what is {error}") from None
