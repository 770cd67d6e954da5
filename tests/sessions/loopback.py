"""A site on loopback that is asked whose its sessions are, on a real reactor.

`python -m tests.sessions.loopback` prints, as JSON, what came of each case.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import directlyProvides, providedBy

from authbridge.sessions.shown import CannotTell, Nobody
from tests.ldap.certificates import OTHER, OURS
from tests.sessions.sites import settings, shown

HOST = "127.0.0.1"
reactor: Any = installed


class Website(Resource):
    """Knows who is logged in, and notes what it is asked."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.sessions = {b"alices": "alice", b"bobs": "bob"}
        self.heard: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.asked: Deferred[None] = Deferred()
        self.left: Deferred[None] = Deferred()

    def render_GET(self, request: Request) -> bytes | int:
        self.heard.append(request.uri.decode())
        self.headers.append({
            name.decode().lower(): b", ".join(values).decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        })  # fmt: skip
        answer: Callable[[Request], bytes | int] = getattr(self, request.uri[1:].decode())
        return answer(request)

    def whoami(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        request.setHeader("Set-Cookie", "sessionid=another; Path=/")
        user = self.sessions.get(request.getCookie(b"sessionid") or b"")
        return json.dumps({"user": user, "id": 7}).encode()

    def login(self, request: Request) -> bytes:
        raise AssertionError("a redirect was followed")

    def moved(self, request: Request) -> bytes:
        request.redirect(b"/login")
        return b""

    def page(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/html")
        return b"<html>"

    def forbidden(self, request: Request) -> bytes:
        request.setResponseCode(403)
        return b""

    def broken(self, request: Request) -> bytes:
        request.setResponseCode(500)
        return b"Traceback"

    def large(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        return b'{"user": "alice"}' + b" " * (1 << 20)

    def silent(self, request: Request) -> int:
        request.notifyFinish().addErrback(lambda _: self.left.callback(None))
        self.asked.callback(None)
        return NOT_DONE_YET


class Hastened:
    """The reactor, but that the deadline of a question comes when the test says so."""

    SECONDS = 29.0

    def __init__(self) -> None:
        directlyProvides(self, providedBy(reactor))
        self.deadline: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def callLater(self, seconds: float, call: Any, *given: Any, **named: Any) -> Any:
        made = reactor.callLater(seconds, call, *given, **named)
        if seconds == self.SECONDS:
            self.deadline = made
        return made


class Certified:
    """For listenSSL."""

    def __init__(self, authority: Any) -> None:
        self._context = authority.issue(HOST)

    def getContext(self) -> Any:
        return self._context


class House:
    """The site, and sessions that ask it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = Website()
        self.later = 0.0
        self._ports: list[Any] = []
        self._sessions: list[Any] = []

    def listen(self, certified: Any = None) -> int:
        factory = Site(self.site)
        if certified is None:
            port = reactor.listenTCP(0, factory, interface=HOST)
        else:
            port = reactor.listenSSL(0, factory, Certified(certified), interface=HOST)
        self._ports.append(port)
        build = factory.buildProtocol

        def counted(address: Any) -> Any:
            self.site.connections += 1
            return build(address)

        factory.buildProtocol = counted  # type: ignore[method-assign]
        return int(port.getHost().port)

    def session(self, path: str, port: int, lent: Any = reactor, **given: Any) -> Any:
        url = f"http://{HOST}:{port}/{path}"
        found = settings(
            self.folder,
            {"kind": "forward", "url": url, "cookie": "sessionid", "timeout": "30s"} | given,
        )
        made = found.make("www", lent, time.time, lambda: 0.5, os.urandom, self._seconds)
        made.start()
        self._sessions.append(made)
        return made

    def _seconds(self) -> float:
        """The sessions' clock, which stands still: on a slow machine an answer would be forgotten
        between two questions."""
        return 1000.0 + self.later

    async def end(self) -> None:
        for session in self._sessions:
            session.stop()
        for port in self._ports:
            await port.stopListening()


async def who(session: Any, cookie: str = "alices") -> str:
    """The user, or what was raised."""
    evidence = session.evidence(shown(f"other=1; sessionid={cookie}".encode()))
    try:
        return str(await session.user(evidence))
    except Nobody as refused:
        return refused.reason.value
    except CannotTell as fault:
        return f"{fault.reason.value}: {fault.words.split('/', 3)[3]}"


async def users(house: House) -> Any:
    session = house.session("whoami", house.listen(), host="www.example.org")
    found = [await who(session, cookie) for cookie in ("alices", "bobs", "alices", "nobodys")]
    heard = [headers["cookie"] for headers in house.site.headers]
    names = sorted(set().union(*house.site.headers))
    return found, heard, names, house.site.headers[0]["host"], house.site.connections


async def logout(house: House) -> Any:
    session = house.session("whoami", house.listen())
    first = await who(session)
    del house.site.sessions[b"alices"]
    at_once = await who(session)
    house.later = 5.0
    return first, at_once, await who(session)


async def together(house: House) -> Any:
    session = house.session("whoami", house.listen())
    asked = [Deferred.fromCoroutine(who(session)) for _ in range(20)]
    return sorted({await one for one in asked}), len(house.site.heard)


async def many(house: House) -> Any:
    """More sessions than there may be connections."""
    house.site.sessions |= {b"s%d" % number: f"u{number}" for number in range(200)}
    session = house.session("whoami", house.listen())
    asked = [Deferred.fromCoroutine(who(session, f"s{number}")) for number in range(200)]
    right = [await one == f"u{number}" for number, one in enumerate(asked)]
    return all(right), len(house.site.heard), house.site.connections <= 64


async def answers(house: House) -> Any:
    port = house.listen()
    paths = ("moved", "forbidden", "page", "broken", "large")
    found = [await who(house.session(path, port)) for path in paths]
    return [*found, *house.site.heard]


async def too_late(house: House) -> Any:
    hastened = Hastened()
    session = house.session("silent", house.listen(), hastened, timeout=hastened.SECONDS)
    asked = Deferred.fromCoroutine(who(session))
    await house.site.asked
    hastened.deadline.reset(0)
    await house.site.left
    return await asked


async def given_up(house: House) -> Any:
    session = house.session("silent", house.listen())
    one = Deferred.fromCoroutine(session.user(b"alices"))
    await house.site.asked
    one.cancel()
    try:
        await one
    except CancelledError:
        await house.site.left
        return "the site was left alone"


async def gone(house: House) -> Any:
    port = house.listen()
    await house._ports.pop().stopListening()
    return await who(house.session("whoami", port))


async def verified(house: House) -> Any:
    (house.folder / "ca.pem").write_bytes(OURS.pem)
    right, wrong = house.listen(OURS), house.listen(OTHER)
    found = []
    for port in (right, wrong):
        url = f"https://{HOST}:{port}/whoami"
        found.append(await who(house.session("", port, url=url, ca_file="ca.pem")))
    return [*found, len(house.site.heard)]


async def probes(house: House) -> Any:
    port = house.listen()
    well = await house.session("whoami", port).probe()
    made_up = house.site.headers[0]["cookie"]
    house.site.sessions = {made_up.partition("=")[2].encode(): "whoever"}
    return well.partition("answers ")[2], made_up.startswith("sessionid=authbridge-probe-")


CASES: dict[str, Callable[[House], Awaitable[Any]]] = {
    case.__name__: case
    for case in (users, logout, together, many, answers, too_late, given_up, gone, verified, probes)
}
ASKED = ["sessionid=alices", "sessionid=bobs", "sessionid=nobodys"]
EXPECTED: dict[str, Any] = {
    "users": [
        ["alice", "bob", "alice", "session_unknown"], ASKED,
        ["accept", "accept-encoding", "cookie", "host", "user-agent"],
        "www.example.org", 1,
    ],
    "logout": ["alice", "alice", "session_unknown"],
    "together": [["alice"], 1],
    "many": [True, 200, True],
    "answers": [
        "session_unknown", "session_unknown",
        "site_failed: page answers 200, and what is there is not application/json",
        "site_failed: broken answers 500",
        "site_unreachable: large: the answer is larger than 65536 octets",
        "/moved", "/forbidden", "/page", "/broken", "/large",
    ],
    "too_late": "site_unreachable: silent: no whole answer in 29 s",
    "given_up": "the site was left alone",
    "gone": "site_unreachable: whoami: connection refused",
    "verified": [
        "alice",
        "site_unreachable: whoami: the authority that signed the certificate is not trusted (see "
        "ca_file)",
        1,
    ],
    "probes": ["a made-up cookie with 200 and a `user` of null", True],
}  # fmt: skip


async def main() -> None:
    found = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            house = House(Path(folder))
            found[name] = await case(house)
            await house.end()
    print(json.dumps(found))


if __name__ == "__main__":
    react(lambda _: Deferred.fromCoroutine(main()))
