"""`listen.web`: the browsers of a site's users, behind the site's reverse proxy.

    GET /credentials    {"jid", "password"}       Converse's credentials_url
    GET /prebind        {"jid", "sid", "rid"}     Converse's prebind_url, Strophe's attach

Pages ask again and again (Converse every two seconds, for ever), and pages of strangers may ask
with a user's cookies. So what can be refused by the request alone is refused first, at next to no
cost, and nothing is made before it is known whose browser it is and that its page may have it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from authbridge import model, preparation
from authbridge.frontends import web_answers as answers
from authbridge.frontends.clients import LONGEST_DEADLINE
from authbridge.frontends.http_server import Call
from authbridge.frontends.http_token_bodies import handed_over
from authbridge.frontends.sites import Site
from authbridge.logins import Login, Logins
from authbridge.model import Outcome, Reason, Verdict
from authbridge.outbound.bosh import BoshRefused, BoshUnreachable
from authbridge.prebind import ABANDONED, PREBIND_DONE, Prebind, outcome_of
from authbridge.rate import Rates
from authbridge.sessions.shown import CannotTell, Nobody, Session, Shown
from authbridge.settings import Table
from authbridge.stores.ledger import StoreUnavailable
from authbridge.token_office.grants import Refusal, Wanted
from authbridge.token_office.office import TokenOffice
from authbridge.wire.http import Answer, BadRequest, host_name
from authbridge.wire.web_page import Foreign, read_origin

MOST_CONNECTIONS = 1_000_000
USERS_REMEMBERED = 10_000
"""Of a site, for its `rate`."""

TOKEN_ISSUED = Outcome(Verdict.ACCEPTED, Reason.TOKEN_ISSUED)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """[web]"""

    deadline: float
    """Seconds."""
    connections: int | None = None
    """Of each listener; None: what the descriptors allow."""
    peer_connections: int | None = None
    """Of each of its peers; None: three quarters of that."""

    @classmethod
    def read(cls, table: Table, deadline: float) -> WebSettings:
        """Read the table, and close it."""
        settings = cls(
            deadline=table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE),
            connections=table.optional_number("connections", least=1, most=MOST_CONNECTIONS),
            peer_connections=table.optional_number(
                "peer_connections", least=1, most=MOST_CONNECTIONS
            ),
        )
        table.close()
        return settings


class OpenSite:
    """A site that is served."""

    def __init__(self, site: Site, session: Session, seconds: Callable[[], float]) -> None:
        """`seconds`: of a clock that nobody sets."""
        self.site = site
        self.grant = site.grant
        self.session = session
        self.rates = Rates(*site.rate, seconds, USERS_REMEMBERED)


class Asked(NamedTuple):
    """What a page asks, once it is known that it may ask."""

    call: Call
    at: OpenSite
    origin: bytes | None
    login: Login
    answers: list[Answer]
    """Takes the answer where it is not told by the outcome alone."""


class WebFrontEnd:
    """What the paths of `listen.web` mean."""

    NAME = "web"

    def __init__(
        self,
        sites: Mapping[str, OpenSite],
        office: TokenOffice | None,
        prebind: Prebind | None,
        logins: Logins,
        deadline: float,
    ) -> None:
        """`sites` by host. `deadline` in seconds. Without an office no site is served."""
        self._sites = sites
        self._office = office
        self._prebind = prebind
        self._logins = logins
        self._deadline = deadline
        self._paths: Mapping[bytes, Callable[[Asked, str], Awaitable[Outcome]]] = {
            b"/credentials": self._issue,
            b"/prebind": self._log_in,
        }

    def number(self) -> str:
        """An id for the next call."""
        return self._logins.number()

    def idle(self) -> Deferred[None]:
        """Fires at once: all that is under way is among the logins, which are waited for."""
        return succeed(None)

    def end(self) -> None:
        """Nothing else is waited for."""

    def refused(self, answer: Answer, reason: Reason, number: str, address: str) -> Answer:
        """Write the line of a call that was refused before it was complete."""
        self._logins.turn_away(self.NAME, "-", reason, number=number, caller=address)
        return answers.problem(answer.status, reason, answer.body.decode(), None, answer.headers)

    def serve(self, call: Call) -> None:
        """Answer one call, now or when there is an answer."""
        try:
            self._serve(call)
        except Exception:  # noqa: BLE001 - a fault of ours is an answer too, and JSON
            call.fail(Failure(), answers.unavailable(Reason.INTERNAL_ERROR, None))

    def _serve(self, call: Call) -> None:
        at = self._site(call)
        if at is None:
            return self._turn_away(call, "-", "-", Reason.HOST_FOREIGN, answers.ELSEWHERE)
        path = call.target.partition(b"?")[0]
        ask = self._paths.get(path)
        if ask is None:
            return call.answer(answers.NOT_HERE)
        site, operation = at.site, path[1:].decode()
        preflight = call.method == b"OPTIONS"
        try:
            origin = read_origin(call.values, site.origins, site.hosts)
        except Foreign:
            no = answers.refused(Reason.ORIGIN_FOREIGN, None)
            return self._turn_away(call, operation, at.grant.name, Reason.ORIGIN_FOREIGN, no)
        if preflight and origin is not None:
            return call.answer(answers.preflight(origin))
        if call.method != b"GET":
            return call.answer(answers.WRONG_METHOD)
        shown = Shown(call.values(b"cookie"), call.values, call.names, call.channel.address)
        try:
            evidence = at.session.evidence(shown)
        except Nobody as nobody:
            no = answers.refused(nobody.reason, origin)
            if nobody.reason is Reason.SESSION_MISSING:
                return call.answer(no)  # without a line: that somebody is not logged in is no event
            return self._turn_away(call, operation, at.grant.name, nobody.reason, no)
        login = self._logins.begin(self.NAME, operation, number=call.number, caller=at.grant.name)
        asked = Asked(call, at, origin, login, [])
        outcome = self._logins.run(login, self._judge(asked, evidence, ask), self._deadline)
        outcome.addCallbacks(_deliver, call.fail, (asked,))

    def _site(self, call: Call) -> OpenSite | None:
        hosts = call.values(b"host")
        try:
            return self._sites.get(host_name(hosts[0])) if hosts else None
        except BadRequest:
            return None

    def _turn_away(
        self, call: Call, operation: str, caller: str, reason: Reason, answer: Answer
    ) -> None:
        self._logins.turn_away(self.NAME, operation, reason, number=call.number, caller=caller)
        call.answer(answer)

    async def _judge(
        self,
        asked: Asked,
        evidence: bytes,
        ask: Callable[[Asked, str], Awaitable[Outcome]],
    ) -> Outcome:
        at = asked.at
        try:
            user = at.site.user(await at.session.user(evidence))
        except Nobody as nobody:
            return model.rejected(nobody.reason)
        except CannotTell as error:
            return model.unavailable(error.reason)
        except preparation.Unprepared:
            return model.rejected(Reason.SITE_USER_UNFIT)
        asked.login.jid = user
        if seconds := at.rates.take(user.local):
            asked.answers.append(
                answers.too_often(Reason.RATE_EXCEEDED, math.ceil(seconds), asked.origin)
            )
            return model.rejected(Reason.RATE_EXCEEDED)
        try:
            return await ask(asked, str(user))
        except StoreUnavailable as error:
            at.rates.give_back(user.local)  # nothing was made: an outage is nobody's haste
            return outcome_of(error)
        except (Refusal, BoshRefused, BoshUnreachable) as error:
            return outcome_of(error)

    async def _issue(self, asked: Asked, jid: str) -> Outcome:
        """`/credentials`"""
        assert self._office is not None  # no site is served without
        wanted = Wanted(jid, asked.at.site.token_ttl)
        login = asked.login
        issued = await self._office.issue(
            asked.at.grant, wanted, front_end=self.NAME, number=login.number
        )
        found: dict[str, str | int] = {
            "jid": str(issued.jid),
            "password": issued.token.reveal().decode(),
        }
        asked.answers.append(answers.answer(found, asked.origin))
        return TOKEN_ISSUED

    async def _log_in(self, asked: Asked, jid: str) -> Outcome:
        """`/prebind`"""
        if self._prebind is None:
            return model.rejected(Reason.NOT_SUPPORTED)
        session = await self._prebind.log_in(asked.at.grant, jid, None, asked.login)
        if asked.call.gone:
            session.end()
            return ABANDONED
        asked.answers.append(answers.answer(handed_over(session), asked.origin))
        return PREBIND_DONE


def _deliver(outcome: Outcome, asked: Asked) -> None:
    """Tell the page."""
    try:
        if asked.answers and outcome.verdict is not Verdict.UNAVAILABLE:
            answer = asked.answers[0]
        elif outcome.verdict is Verdict.UNAVAILABLE:
            answer = answers.unavailable(outcome.reason, asked.origin)
        else:
            answer = answers.refused(outcome.reason, asked.origin)
        asked.call.answer(answer)
    except Exception:  # noqa: BLE001 - a fault of ours, not one of the logins'
        asked.call.fail(Failure(), answers.unavailable(Reason.INTERNAL_ERROR, asked.origin))
