"""A checker of kind "http" whose website is in the test's hands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge.checkers.http import HttpChecker, read_settings
from authbridge.checkers.http.settings import HttpSettings
from authbridge.checkers.http.site import Website
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.model import JID
from authbridge.outbound.web_server import Response, Unreached
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from tests.doubles import now
from tests.sessions.sites import says

URL, EXISTS_URL = "https://www.example.org/check", "https://www.example.org/exists"
ALICE, ADMIN = (JID(user, "example.org") for user in ("alice", "admin"))
JSON_RULES = {"url": URL, "request": "json", "answer_member": "ok"}
BASIC = {"url": URL, "request": "basic"}
YES, NO = says({"ok": True}), says({"ok": False})
EMPTY, UNAUTHORISED = says(b"", 200, b""), says(b"", 401, b"text/html")
STRANGER = "authbridge-probe-" + b"r".hex() * 8


def read(folder: Path, data: Mapping[str, Any]) -> tuple[HttpSettings, list[str]]:
    """The settings, and the mistakes in them without the name of the table."""
    mistakes = Mistakes()
    table = Table({"kind": "http", **data}, "checkers.c", mistakes, folder)
    table.knows("kind")
    settings = read_settings(table)
    return settings, [mistake.removeprefix("checkers.c.") for mistake in mistakes]


def settings(folder: Path, data: Mapping[str, Any]) -> HttpSettings:
    found, mistakes = read(folder, data)
    assert mistakes == []
    return found


def secret_file(folder: Path, content: bytes = b"between-us\n") -> str:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    return "secret"


class Web:
    """See `outbound.web_server.WebServer`. Gives its answers one after the other; the last again
    and again. One that is a Deferred is waited for."""

    def __init__(self, *answers: Response | Exception | Deferred[Response]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[bytes, dict[str, str], bytes, float]] = []

    async def request(
        self,
        method: bytes,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout: float,  # noqa: ASYNC109 - as the real one has it
        line: str = "",
    ) -> Response:
        self.asked.append((method, dict(headers), body, timeout))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer

    def close(self) -> None:
        raise AssertionError("nobody has made it")

    @property
    def bodies(self) -> list[Any]:
        """What it was asked, of JSON."""
        return [json.loads(body) for _, _, body, _ in self.asked]


class Asked:
    """The checker, its websites and its clock."""

    def __init__(
        self,
        folder: Path,
        data: Mapping[str, Any],
        *answers: Response | Exception | Deferred[Response],
        exists: Response | Exception = YES,
        issuers: tuple[Issuer, ...] = (),
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.web, self.exists_web = Web(*answers), Web(exists)
        own = settings(folder, data)
        made = Issuers(issuers, self.clock.seconds)
        made.start()
        website = Website(
            own, self.web, self.exists_web, self.clock.seconds, lambda size: b"r" * size
        )
        self.checker = HttpChecker(own, website, made, lambda jid: jid == ADMIN)

    def login(self, password="wonderland", jid=ALICE, trace=None):
        octets = password if isinstance(password, bytes) else password.encode()
        return now(self.checker.check_password(jid, Secret(octets), trace))

    def exists(self, jid=ALICE, trace=None):
        return now(self.checker.user_exists(jid, trace))


def unreached(*, stale: bool = False) -> Unreached:
    return Unreached("connection refused", stale=stale)
