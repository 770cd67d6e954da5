"""`/auth/cookie` of `listen.http`: whose browser it is that showed a cookie to the XMPP server.

The site of the domain says so. mod_auth_http_cookie of 2020 takes any 2xx for a yes where it names
a user, and where it names none leaves its client without any answer at anything but a 200: so the
answer depends on what it asks (`wire.httpauth`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from authbridge import model, preparation
from authbridge.frontends import http_answers as answers
from authbridge.frontends.http_server import CANNOT_TELL, Call
from authbridge.logins import Login, Logins
from authbridge.model import JID, Outcome, Reason, Verdict
from authbridge.sessions.shown import CannotTell, Nobody, Session, Shown
from authbridge.wire import httpauth
from authbridge.wire.http import Answer

NOBODY = Answer(200, httpauth.NOBODY)


class CookieSite:
    """The site of one domain."""

    def __init__(self, name: str, session: Session, user: Callable[[str], JID]) -> None:
        """`user`: the JID of a user by the site's name; raises preparation.Unprepared."""
        self.name = name
        self.session = session
        self.user = user


class CookieLogins:
    """Answers the calls of this path."""

    def __init__(
        self,
        sites: Mapping[str, CookieSite],
        logins: Logins,
        never: Callable[[JID], bool],
        seen: Callable[[JID], None],
        front_end: str,
    ) -> None:
        """`sites` by prepared domain. `never`: whom nothing but his password lets in. `seen` is
        told of each user who is let in."""
        self._sites = sites
        self._logins = logins
        self._never = never
        self._seen = seen
        self._front_end = front_end

    def serve(
        self,
        call: Call,
        asked: httpauth.Parameters,
        deadline: float,
        *,
        caller: str,
        address: str,
    ) -> None:
        """Answer one call, now or when the site has; `deadline` in seconds."""
        login = self._logins.begin(
            self._front_end, "cookie", number=call.number, caller=caller, address=address
        )
        shown = Shown(call.values(b"cookie"), call.values, call.names, call.channel.address)
        outcome = self._logins.run(login, self._judge(login, asked, shown), deadline)
        outcome.addCallback(_deliver, call, login, bool(asked.user)).addErrback(call.fail)

    async def _judge(self, login: Login, asked: httpauth.Parameters, shown: Shown) -> Outcome:
        try:
            domain = preparation.domain(asked.server)
            wanted = preparation.local(asked.user) if asked.user else None
        except preparation.Unprepared:
            return model.rejected(Reason.USER_MALFORMED)
        at = self._sites.get(domain)
        if at is None:
            return model.rejected(Reason.DOMAIN_UNKNOWN)
        login.checker = at.name
        try:
            found = at.user(await at.session.user(at.session.evidence(shown)))
        except Nobody as nobody:
            return model.rejected(nobody.reason)
        except CannotTell as error:
            return model.unavailable(error.reason)
        except preparation.Unprepared:
            return model.rejected(Reason.SITE_USER_UNFIT)
        login.jid = found
        if self._never(found):
            return model.rejected(Reason.TOKEN_NEVER)
        if wanted is not None and wanted != found.local:
            return model.rejected(Reason.SESSION_USER_WRONG)
        self._seen(found)
        return model.SESSION_VALID


def _deliver(outcome: Outcome, call: Call, login: Login, named: bool) -> None:
    if outcome.verdict is Verdict.ACCEPTED and login.jid is not None:
        call.answer(Answer(200, login.jid.local.encode()))
    elif not named:
        call.answer(NOBODY)
    else:
        unavailable = outcome.verdict is Verdict.UNAVAILABLE
        call.answer(CANNOT_TELL if unavailable else answers.WHO_IS_IT)
