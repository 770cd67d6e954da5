"""One login by BOSH: the requests of XEP-0206, each answered before the next is sent.

    create · SASL PLAIN · restart · bind · (session) · (pause)

What is left is a session of which nothing is under way, so that somebody else can go on with it:
with the next rid, exactly (one too low, and his first stanzas are lost; one too high, and he
waits).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from authbridge import preparation
from authbridge.model import JID
from authbridge.outbound.asking import request_again
from authbridge.outbound.web_server import Response, Unreached, WebServer
from authbridge.secret import Secret
from authbridge.wire import bosh
from authbridge.wire.bosh import Answer, Malformed, Result

LONGEST = 90.0
"""Seconds for one answer, where the caller has more: a server holds a request for bosh.WAIT."""
MOST_POLLS = 50
"""Requests for what is not there yet, of one kind."""
FIRST_POLL, LAST_POLL = 0.05, 1.0
"""Seconds between two of them where the server does not hold them: twice as long each time."""
LONGEST_PAUSE = 120
"""Seconds for which a session is left alone where the server lets it be."""
SILENCE = 0.25
"""Seconds after which a pause has arrived: ejabberd never answers it."""
LONGEST_SID = 255
LONGEST_JID = 3071
"""Octets (RFC 7622, 3.1)."""

HEADERS = {"Content-Type": bosh.CONTENT_TYPE}

# What a server says that cannot tell now. The rest is a no.
_FAULTS = frozenset(
    {
        "connection-timeout",
        "internal-server-error",
        "item-not-found",
        "other-request",
        "policy-violation",
        "remote-connection-failed",
        "remote-server-timeout",
        "remote-stream-error",
        "reset",
        "resource-constraint",
        "service-unavailable",
        "system-shutdown",
        "temporary-auth-failure",
        "undefined-condition",
    }
)

T = TypeVar("T")


class BoshUnreachable(Exception):
    """The server was not reached, or cannot tell; `words` says why, fit for the log."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class BoshRefused(Exception):
    """The server does not let the user in; `words` has the condition, fit for the log."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


async def post(web: WebServer, body: bytes, seconds: float) -> Response:
    """The answer to one body. Raises Unreached. The same body, with the same rid, is sent again
    where the connection was stale (XEP-0124, 14)."""
    return await request_again(web, b"POST", HEADERS, body, timeout=seconds)


class Login:
    """A session in the making."""

    def __init__(self, web: WebServer, clock: IReactorTime, domain: str, rid: int) -> None:
        """`rid` is that of the first request."""
        self._web = web
        self._clock = clock
        self._domain = domain
        self.sid = ""
        """Empty as long as there is no session."""
        self.rid = rid
        """The next one."""
        self.answered = True
        """Whether the request before that is known to have arrived."""
        self.over = False
        """Whether the server has ended the session."""

    async def run(self, jid: JID, password: Secret, resource: str) -> str:
        """Log in, and bind the resource: the full JID, as the server has it. Raises BoshRefused,
        BoshUnreachable; whatever is raised, a session may be left if there is a `sid`."""
        created = await self._create()
        await self._authenticate(jid, password)
        bound = await self._bind(resource)
        if not _is_of(bound, jid):
            raise BoshRefused("the server has bound another user")
        # A pause that is no longer than what a session has anyway is worth nothing.
        if created.inactivity < (seconds := min(created.maxpause, LONGEST_PAUSE)):
            await self._pause(seconds)
        return bound

    async def look(self) -> str:
        """What the server offers, in words, where a user could be logged in. Raises as `run`."""
        created = await self._create()
        most = created.maxpause and f", and pauses of {created.maxpause} s"
        return f"offers PLAIN, sessions of {created.inactivity} s{most or ''}"

    async def _create(self) -> Answer:
        created = await self._say(bosh.create(self.rid, self._domain))
        if not 0 < len(created.sid) <= LONGEST_SID:
            raise BoshUnreachable("the server gives its session no id")
        self.sid = created.sid
        features = await self._until(created, lambda answer: answer.features)
        if "PLAIN" not in features.mechanisms:
            raise BoshRefused("the server offers no PLAIN: is consider_bosh_secure set?")
        return created

    async def _authenticate(self, jid: JID, password: Secret) -> None:
        answer = await self._say(bosh.plain(self.rid, self.sid, jid.local, password))
        await self._until(answer, lambda answer: answer.accepted or None)

    async def _bind(self, resource: str) -> str:
        restarted = await self._say(bosh.restart(self.rid, self.sid, self._domain))
        features = await self._until(restarted, lambda answer: answer.features)
        if not features.bind:
            raise BoshUnreachable("the server offers no resource after the login")
        bound = await self._ask(bosh.bind(self.rid, self.sid, resource), bosh.BIND_ID)
        if features.session:
            await self._ask(bosh.session(self.rid, self.sid), bosh.SESSION_ID)
        return bound.jid

    async def _ask(self, body: bytes, name: str) -> Result:
        """The result of a request of this id."""
        result = await self._until(
            await self._say(body),
            lambda answer: next((one for one in answer.results if one.id == name), None),
        )
        if result.error:
            raise _no(f"the server refuses to {name}", result.error)
        return result

    async def _until(self, answer: Answer, wanted: Callable[[Answer], T | None]) -> T:
        """What an answer has, this one or a later one: the server may need a while."""
        wait = 0.0
        for _ in range(MOST_POLLS):
            if answer.failure:
                raise _no("the server refuses the login", answer.failure)
            if (found := wanted(answer)) is not None:
                return found
            if wait:
                await deferLater(self._clock, wait)
            wait = min(2 * wait, LAST_POLL) or FIRST_POLL
            answer = await self._say(bosh.empty(self.rid, self.sid))
        raise BoshUnreachable("the server has nothing to say, however often it is asked")

    async def _say(self, body: bytes) -> Answer:
        """The answer to a body with the next rid."""
        self._sending()
        try:
            response = await post(self._web, body, LONGEST)
        except Unreached as error:
            raise BoshUnreachable(str(error)) from None
        return self._judge(response)

    async def _pause(self, seconds: int) -> None:
        """Leave the session alone for so long. Were the connection lost before it is certain that
        the server knows, nobody could tell the next rid."""
        body = bosh.pause(self.rid, self.sid, seconds)
        self._sending()
        try:
            response = await self._tell(body)
        except Unreached as error:
            raise BoshUnreachable(str(error)) from None
        if response is not None:
            self._judge(response)

    async def _tell(self, body: bytes) -> Response | None:
        try:
            return await self._web.tell(b"POST", HEADERS, body, timeout=LONGEST, silence=SILENCE)
        except Unreached as error:
            if not error.stale:
                raise
        return await self._web.tell(b"POST", HEADERS, body, timeout=LONGEST, silence=SILENCE)

    def _sending(self) -> None:
        self.rid += 1
        self.answered = False

    def _judge(self, response: Response) -> Answer:
        if response.status != 200:
            raise BoshUnreachable(f"the server answers {response.status}: is bosh_url right?")
        try:
            answer = bosh.read(response.body)
        except Malformed as error:
            raise BoshUnreachable(
                f"what the server answers is not BOSH, {error}: is bosh_url right?"
            ) from None
        self.answered = True
        if answer.ended:
            self.over = True
            raise _no("the server ends the session", answer.ended)
        return answer


def _no(what: str, condition: str) -> BoshRefused | BoshUnreachable:
    words = f"{what}: {condition}"
    return BoshUnreachable(words) if condition in _FAULTS else BoshRefused(words)


def _is_of(bound: str, jid: JID) -> bool:
    """Whether this is a full JID of the user."""
    bare, _, resource = bound.partition("/")
    try:
        found = preparation.jid(bare)
    except preparation.Unprepared:
        return False
    return found == jid and bool(resource) and len(bound.encode()) <= LONGEST_JID
