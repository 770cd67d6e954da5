"""The pages of a site at `listen.web`, on transports in memory: the site, an XMPP server and their
troubles are the test's to say, the token office is a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from authbridge.frontends.http_factory import HttpFactory
from authbridge.frontends.sites import Site
from authbridge.frontends.web import OpenSite, WebFrontEnd
from authbridge.log import LoginLog, LogSettings
from authbridge.logins import Logins
from authbridge.model import JID
from authbridge.prebind import Prebind
from authbridge.rooms import Room
from authbridge.secret import Secret
from authbridge.sessions.settings import SessionSettings
from authbridge.sessions.shown import Shown, cookie
from tests.frontends.http_client import Caller, Line, Reply
from tests.token_office.offices import Premises

COOKIE = b"Cookie: sessionid=9f3c-secret-of-alice\r\n"
SECRETS = ("9f3c-secret-of-alice", "sid-of-a-session", "4503599627370495", "abtt1_")
"""What no log may hold: a cookie, what a session is taken over with, and any token."""
HOST = "www.example.org"
ORIGIN = "https://pages.example.org"
FROM_ORIGIN = b"Origin: https://pages.example.org\r\nSec-Fetch-Site: cross-site\r\n"
NO_SESSION = SessionSettings("", None)
"""For sites whose session the test hands over itself."""
DEADLINE = 8.0


@dataclass(eq=False)
class ScriptedSession:
    """Knows the user by the cookie `sessionid`, and says of it what it is told to."""

    answer: Any = "alice"
    """A name, an exception, or something to wait for."""
    trouble: Exception | None = None
    """What the cookie itself is found to be."""
    of_cookies: bool = True
    asked: list[bytes] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    running: bool = False

    def evidence(self, shown: Shown) -> bytes:
        self.shown.append(shown)
        if self.trouble is not None:
            raise self.trouble
        return cookie(shown.cookies, b"sessionid")

    async def user(self, evidence: bytes) -> str:
        self.asked.append(evidence)
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Deferred):
            return await self.answer  # type: ignore[no-any-return]
        return self.answer  # type: ignore[no-any-return]

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


@dataclass(eq=False)
class ScriptedBoshSession:
    """One that counts how often it was ended."""

    jid: str = "alice@example.org/web-1"
    sid: str = "sid-of-a-session"
    rid: int = 4503599627370495
    ended: int = 0

    def end(self) -> None:
        self.ended += 1


class ScriptedBosh:
    """A server that lets in, or does what it is told to."""

    url = "https://xmpp.example.org:5281/http-bind"

    def __init__(self, answer: Any = None) -> None:
        """`answer`: a session, an exception, or something to wait for."""
        self.answer = ScriptedBoshSession() if answer is None else answer
        self.asked: list[tuple[JID, Secret, str | None]] = []
        self.late: ScriptedBoshSession | None = None
        """What comes of a login that is cancelled, of a server that does not mind it."""
        self.cancelled = 0
        self.waited_for = self.closed = 0

    async def log_in(self, jid: JID, password: Secret, resource: str | None) -> Any:
        self.asked.append((jid, password, resource))
        if isinstance(self.answer, Exception):
            raise self.answer
        if not isinstance(self.answer, Deferred):
            return self.answer
        try:
            return await self.answer
        except CancelledError:
            self.cancelled += 1
            if self.late is None:
                raise
            return self.late

    async def ended(self) -> None:
        self.waited_for += 1

    def close(self) -> None:
        self.closed += 1


SITE = Site(
    "www",
    (HOST, "192.0.2.7"),
    frozenset({ORIGIN.encode()}),
    "example.org",
    ("", ""),
    NO_SESSION,
    rate=(3, 60.0),
)
INTRANET = replace(SITE, name="intranet", hosts=("intranet",), origins=frozenset())


class Pages(Premises):
    """One front end, and what it works with."""

    def __init__(
        self,
        session: ScriptedSession | None = None,
        *,
        site: Site = SITE,
        others: Mapping[Site, ScriptedSession] | None = None,
        bosh: ScriptedBosh | None = None,
        office: Any = None,
        prebind: bool = True,
        log: LogSettings | None = None,
        never: Callable[[JID], bool] | None = None,
    ) -> None:
        """`others`: further sites. `office`: in the place of the real one. `prebind`: whether any
        domain has a server."""
        super().__init__()
        self.session = session or ScriptedSession()
        self.bosh = bosh or ScriptedBosh()
        office = office or self.office
        self.logins = Logins(
            LoginLog(log or LogSettings(), self.lines.append, self.wall), self.clock, "boot"
        )
        servers: Any = {"example.org": self.bosh}
        self.prebind = Prebind(office, servers, self.clock.seconds) if prebind else None
        sites: dict[str, OpenSite] = {}
        for one, its in ((site, self.session), *(others or {}).items()):
            at = OpenSite(one, its, self.clock.seconds)
            sites |= dict.fromkeys(one.hosts, at)
        self.front_end = WebFrontEnd(sites, office, self.prebind, self.logins, DEADLINE)
        room = Room("tcp:9282", self.clock, 100, 100)
        self.factory = HttpFactory(self.front_end, self.clock, room)

    def caller(self, line: Line | None = None) -> Caller:
        """A connection."""
        return Caller(self, line or Line())  # type: ignore[arg-type]

    def send(self, *arguments: Any, **more: Any) -> Caller:
        """A connection that has asked, and may have been answered."""
        caller = self.caller()
        caller.send(ask(*arguments, **more))
        return caller

    def ask(self, *arguments: Any, **more: Any) -> Reply:
        """What is answered to this call."""
        return self.send(*arguments, **more).answer()

    @property
    def login_lines(self) -> list[str]:
        """Those of the logins; the office's own are left out."""
        return [line for line in self.lines if " login " in line]

    @property
    def token_lines(self) -> list[str]:
        """Those of the office."""
        return [line for line in self.lines if " token " in line]


def ask(
    path: str = "/credentials",
    headers: bytes = COOKIE,
    *,
    method: str = "GET",
    host: str | None = HOST,
    version: str = "1.1",
) -> bytes:
    """A call, without a Host header where that is None."""
    head = f"{method} {path} HTTP/{version}\r\n"
    if host is not None:
        head += f"Host: {host}\r\n"
    return head.encode() + headers + b"\r\n"


def no_secret_in(*texts: Iterable[Any]) -> None:
    """None of the secrets of these tests is in what was written down."""
    for text in texts:
        told = repr(list(text))
        assert [secret for secret in SECRETS if secret in told] == []
