"""A website that knows passwords: it is asked over HTTP, as its own programs would be.

What it says is yes, no or nothing: a status that no rule names, a page where JSON was expected, a
redirect to wherever it logs people in are an outage, and no wrong password.

Where a status alone is a yes, nothing tells a site that has looked at the password from a page that
greets everybody; nor where the name in the answer is, from one that says it back. So there a yes
counts only while the site is known to say no to somebody who is not there.
"""

from __future__ import annotations

from collections.abc import Callable

from authbridge import model
from authbridge.checkers import Surroundings
from authbridge.checkers.http.settings import HttpSettings, read_settings
from authbridge.checkers.http.site import CannotTell, Website
from authbridge.issuers.issuers import Issuers
from authbridge.model import JID, NOT_A_TOKEN, Outcome, Reason, Trace, Verdict
from authbridge.outbound.web_server import WebServer
from authbridge.secret import Secret
from authbridge.tokens.forms import recognise
from authbridge.wire.website import Says, Unaskable

__all__ = ["HttpChecker", "make_checker", "read_settings"]

MOST_OCTETS = 256 << 10
"""Of an answer."""
NOT_ASKED = Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)

_SAID = {
    Says.YES: model.PASSWORD_MATCHES,
    Says.NO: model.PASSWORD_MISMATCH,
    Says.UNKNOWN: model.USER_UNKNOWN,
    Says.ANOTHER: model.rejected(Reason.NOT_CANONICAL),
}
# Never one that asks the next: nobody else may see a token of the site's.
_SAID_OF_TOKENS = _SAID | {
    Says.YES: model.TOKEN_VALID,
    Says.NO: model.rejected(Reason.TOKEN_INACTIVE),
    Says.UNKNOWN: model.rejected(Reason.USER_UNKNOWN),
}


def make_checker(settings: HttpSettings, surroundings: Surroundings) -> HttpChecker:
    """A checker that asks this website. Nothing is connected before the first login."""
    reactor, at_once = surroundings.reactor, settings.at_once

    def connect(url: str) -> WebServer:
        made = settings.web.connect(url, reactor, most_octets=MOST_OCTETS, at_once=at_once)
        surroundings.at_stop.append(made.close)
        return made

    web = connect(settings.url)
    exists = web
    if settings.exists_url not in ("", settings.url):
        exists = connect(settings.exists_url)
    website = Website(settings, web, exists, surroundings.seconds, surroundings.random)
    return HttpChecker(settings, website, surroundings.issuers, surroundings.never_token)


class HttpChecker:
    """Asks a website."""

    def __init__(
        self,
        settings: HttpSettings,
        website: Website,
        issuers: Issuers,
        never: Callable[[JID], bool],
    ) -> None:
        """`never`: whom no token is accepted for."""
        self._settings = settings
        self._website = website
        self._issuers = issuers
        self._never = never

    def recognises(self, password: Secret) -> bool:
        """See `model.Recognising`: whether it looks like a token that the site itself issues. What
        looks like one of ours, or of an issuer's, is none of the site's."""
        shape = self._settings.shape
        return (
            shape is not None and shape.matches(password.reveal()) and not self._is_ours(password)
        )

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        own = self.recognises(password)
        if not own and (self._is_ours(password) or not self._settings.passwords):
            if trace is not None:
                trace.step("website", "is not asked: this is no credential of its own")
            return NOT_A_TOKEN
        if own and self._never(jid):
            return model.rejected(Reason.TOKEN_NEVER)
        try:
            text = password.reveal().decode()
        except UnicodeDecodeError:
            if trace is not None:
                trace.step("website", "is not asked: the password is not UTF-8")
            return model.PASSWORD_MISMATCH
        try:
            says = await self._website.check(jid, text, trace)
        except Unaskable as error:
            if trace is not None:
                trace.step("website", f"is not asked: {error}")
            says = Says.UNKNOWN
        except CannotTell as error:
            return model.unavailable(error.reason)
        return (_SAID_OF_TOKENS if own else _SAID)[says]

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        if not self._settings.knows_users:
            return NOT_ASKED
        try:
            says = await self._website.look_up(jid, trace)
        except Unaskable as error:
            if trace is not None:
                trace.step("website", f"is not asked: {error}")
            return model.USER_UNKNOWN
        except CannotTell as error:
            return model.unavailable(error.reason)
        return model.USER_EXISTS if says is Says.YES else model.USER_UNKNOWN

    async def probe(self, trace: Trace) -> Outcome:
        """See `checkers.Probed`: the site is asked about somebody who is not there, and says no if
        all is well."""
        try:
            await self._website.probe(trace)
        except CannotTell as error:
            return model.unavailable(error.reason)
        return model.USER_EXISTS

    def _is_ours(self, password: Secret) -> bool:
        self._issuers.refresh()
        return recognise(password.reveal(), self._issuers.xcauth_key_ids) is not None
