"""Sessions by BOSH for others to go on with (prebind): so many logins at once, and none left over.

A session that nobody gets is ended in the background, where there is time for it: the server
forgets it anyway, when nobody has used it for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredList

from authbridge.model import JID
from authbridge.outbound.bosh_login import BoshRefused, BoshUnreachable, Login, post
from authbridge.outbound.web_server import Unreached, WebServer
from authbridge.secret import Secret
from authbridge.turns import LineFull, Turns
from authbridge.wire import bosh

MOST_WAITING = 1000
"""Logins that wait for their turn."""
ENDS_AT_ONCE = 8
MOST_ENDS = 500
"""Sessions that are being ended, or are to be; any more are left to the server."""
END_TIME = 5.0
"""Seconds for each of the two requests that it takes at most."""
PROBE_TIME = 10.0
"""Seconds."""
LONGEST_RESOURCE = 1023
"""Octets (RFC 7622, 3.4)."""

__all__ = ["BoshRefused", "BoshServer", "BoshSession", "BoshUnreachable"]


class BoshSession:
    """A session with a user and a resource, of which no request is under way."""

    __slots__ = ("_end", "jid", "rid", "sid")

    def __init__(self, jid: str, sid: str, rid: int, end: Callable[[], None]) -> None:
        self.jid = jid
        """The full JID, as the server has bound it."""
        self.sid = sid
        self.rid = rid
        """The next one, which nobody has used."""
        self._end = end

    def end(self) -> None:
        """Have it ended in the background; nobody has used the rid."""
        self._end()

    def __repr__(self) -> str:  # whoever has sid and rid is the user
        return f"BoshSession({self.jid!r}, …)"


class BoshServer:
    """The XMPP server behind one URL."""

    def __init__(
        self,
        url: str,
        context: SSL.Context | None,
        reactor: Any,
        random: Callable[[int], bytes],
        *,
        at_once: int,
    ) -> None:
        """`url` and `context` are as WebServer has them; `random` gives so many octets that nobody
        can guess. `at_once`: logins; the others wait in their order."""
        self.url = url
        self._reactor = reactor
        self._random = random
        self._turns = Turns(at_once, MOST_WAITING)
        most = bosh.MOST_OCTETS
        self._web = WebServer(url, context, reactor, most_octets=most, at_once=at_once)
        # Of their own, so that no login waits behind them.
        self._ending = WebServer(url, context, reactor, most_octets=most, at_once=ENDS_AT_ONCE)
        self._ends: set[Deferred[None]] = set()

    async def log_in(self, jid: JID, password: Secret, resource: str | None) -> BoshSession:
        """A session of this user, with a random resource where none is given. Raises BoshRefused,
        BoshUnreachable. It has no deadline of its own, but is safe to cancel: a session that there
        is already is ended."""
        if resource is None:
            resource = f"web-{self._random(8).hex()}"
        elif not 0 < len(resource.encode()) <= LONGEST_RESOURCE or not bosh.can_be_sent(resource):
            raise BoshRefused("this is no resource that a JID can have")
        try:
            turn = self._turns.take("")
        except LineFull:
            raise BoshUnreachable("too many logins wait for this server") from None
        if turn is not None:
            await turn
        try:
            return await self._log_in(jid, password, resource)
        finally:
            self._turns.leave()

    async def probe(self, domain: str) -> str:
        """What it offers to the users of a domain, in words. Raises BoshRefused, BoshUnreachable.
        For `check-config`."""
        login = Login(self._web, self._reactor, domain, self._first_rid())

        def too_late(_result: object, seconds: float) -> NoReturn:
            raise BoshUnreachable(f"no answer in {seconds:g} s")

        looking = Deferred.fromCoroutine(login.look())
        try:
            return await looking.addTimeout(PROBE_TIME, self._reactor, too_late)
        finally:
            self._end(login)
            await self.ended()

    async def _log_in(self, jid: JID, password: Secret, resource: str) -> BoshSession:
        login = Login(self._web, self._reactor, jid.domain, self._first_rid())
        try:
            bound = await login.run(jid, password, resource)
        except BaseException:  # what is cancelled as well
            self._end(login)
            raise
        return BoshSession(bound, login.sid, login.rid, lambda: self._end(login))

    def _first_rid(self) -> int:
        number = int.from_bytes(self._random(8), "big")
        return bosh.LEAST_RID + number % (bosh.MOST_RID - bosh.LEAST_RID)

    def _end(self, login: Login) -> None:
        if not login.sid or login.over or len(self._ends) >= MOST_ENDS:
            return
        login.over = True
        ending: Deferred[None] = Deferred.fromCoroutine(self._terminate(login))
        self._ends.add(ending)
        ending.addBoth(lambda _: self._ends.discard(ending))

    async def _terminate(self, login: Login) -> None:
        rids = [login.rid]
        if not login.answered:
            # The last request may not have arrived: then the server takes this one for it, and
            # goes on with the one that it has put aside.
            rids.append(login.rid - 1)
        for rid in rids:
            try:
                await post(self._ending, bosh.terminate(rid, login.sid), END_TIME)
            except Unreached:
                continue
            return

    async def ended(self) -> None:
        """Wait until no session is being ended: at most twice END_TIME, for those that have their
        turn at once. For a daemon that stops, before `close`."""
        await DeferredList(tuple(self._ends))

    def close(self) -> None:
        """Give up what is under way, and end every connection."""
        self._web.close()
        self._ending.close()
