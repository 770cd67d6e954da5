"""Logs a user in over BOSH, for a page that takes the session over: no page sees a password.

The password is a temporary token, made for this login and gone with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authbridge import model
from authbridge.client_tls import make_context, read_authorities, read_ca_file
from authbridge.domain_names import ANY_DOMAIN
from authbridge.logins import Login
from authbridge.model import Outcome, Reason
from authbridge.outbound.bosh import BoshRefused, BoshServer, BoshSession, BoshUnreachable
from authbridge.outbound.web_server import url_trouble
from authbridge.rate import Rates
from authbridge.settings import Table
from authbridge.stores.ledger import StoreUnavailable
from authbridge.token_office.grants import Grant, Refusal, Wanted, prepared
from authbridge.token_office.office import TokenOffice
from authbridge.troubles import Troubles

TTL = 30.0
"""Seconds of the token; the login is tried at once."""
RATE = (30, 60.0)
"""Logins of one user that a client gets in so many seconds, and at once; a site has its own."""
USERS_REMEMBERED = 10_000
AT_ONCE = 32
"""Logins at one server; more wait for their turn."""

PREBIND_DONE = Outcome(model.Verdict.ACCEPTED, Reason.PREBIND_DONE)
ABANDONED = Outcome(model.Verdict.REJECTED, Reason.PREBIND_ABANDONED)


@dataclass(frozen=True, slots=True)
class BoshSettings:
    """Where a domain's server is logged in to."""

    url: str
    ca_file: Path | None = None

    @classmethod
    def read(cls, table: Table) -> BoshSettings | None:
        """Read `bosh_…` of a domain's table; None where there is no `bosh_url`."""
        if "bosh_url" not in table:
            table.knows("bosh_url")
            for setting in ("bosh_ca_file", "bosh_insecure_clear_text"):
                table.misplaced(setting, "is about bosh_url, which is not given")
            return None
        url = table.text("bosh_url")
        clear_text = table.boolean("bosh_insecure_clear_text", False)
        if url and (trouble := url_trouble(url, clear_text=clear_text)):
            if not url_trouble(url, clear_text=True):
                trouble += "; bosh_insecure_clear_text = true allows it"
            table.wrong("bosh_url", trouble)
        if url.startswith("http:"):
            table.misplaced("bosh_ca_file", "is about TLS, and bosh_url begins with http:")
            return cls(url)
        if clear_text:
            table.wrong("bosh_insecure_clear_text", "and bosh_url has TLS: leave it out")
        return cls(url, read_ca_file(table, "bosh_ca_file"))

    def make(self, reactor: Any, random: Callable[[int], bytes]) -> BoshServer:
        """The server, to be asked."""
        context = None
        if self.url.startswith("https:"):
            context = make_context([] if self.ca_file is None else read_authorities(self.ca_file))
        return BoshServer(self.url, context, reactor, random, at_once=AT_ONCE)


class Prebind:
    """Logs users in."""

    def __init__(
        self,
        office: TokenOffice,
        servers: Mapping[str, BoshServer],
        seconds: Callable[[], float],
    ) -> None:
        """`servers` by prepared domain, "*" for any other. `seconds`: of a clock that nobody
        sets."""
        self._office = office
        self._servers = servers
        self._rates = Rates(*RATE, seconds, USERS_REMEMBERED)
        self._troubles = Troubles(seconds)

    async def log_in(
        self, grant: Grant, jid: str, resource: str | None, login: Login
    ) -> BoshSession:
        """A session of this user, to be handed over or ended. Its `login` is told who he is.

        Raises Refusal, StoreUnavailable, BoshRefused, BoshUnreachable. Who cancels leaves no
        session behind.
        """
        user = prepared(jid)
        server = None if user is None else self._server(user.domain)
        if user is not None and server is None:
            login.jid = user
            raise Refusal(Reason.NOT_SUPPORTED, f"{user.domain} has no `bosh_url`")
        taken = ""
        if user is not None and grant.rate is not None and grant.covers(user):
            login.jid = user
            taken = str(user)
            if wait := self._rates.take(taken):
                raise Refusal(Reason.RATE_EXCEEDED, f"too many sessions for {user}", wait)
        wanted = Wanted(jid, min(TTL, grant.max_lifetime))
        try:
            issued = await self._office.issue(
                grant, wanted, front_end=login.front_end, number=login.number
            )
        except StoreUnavailable:
            self._rates.give_back(taken)  # nothing was made: an outage is nobody's haste
            raise
        login.jid = issued.jid
        assert server is not None  # nothing is issued for who cannot be prepared
        name = f"prebind at {server.url}"
        try:
            session = await server.log_in(issued.jid, issued.token, resource)
        except (BoshRefused, BoshUnreachable) as error:
            self._troubles.met(name, str(error))
            raise
        self._troubles.over(name)
        return session

    def _server(self, domain: str) -> BoshServer | None:
        return self._servers.get(domain) or self._servers.get(ANY_DOMAIN)

    async def ended(self) -> None:
        """Wait until no session is being ended: some seconds at most."""
        for server in self._servers.values():
            await server.ended()


def outcome_of(error: Exception) -> Outcome:
    """What the log says of a login that failed with one of `Prebind.log_in`'s errors."""
    if isinstance(error, Refusal):
        return model.rejected(error.reason)
    if isinstance(error, StoreUnavailable):
        return model.unavailable(Reason.STATE_UNAVAILABLE)
    if isinstance(error, BoshRefused):
        return model.unavailable(Reason.BOSH_REFUSED)
    assert isinstance(error, BoshUnreachable), error
    return model.unavailable(Reason.BOSH_UNREACHABLE)
