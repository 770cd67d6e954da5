"""Requests with sessions in them, and a site that is asked about them, in the test's hands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge.outbound.web_server import Response
from authbridge.outbound.web_settings import WebSettings
from authbridge.sessions.forward import Forward, ForwardSettings
from authbridge.sessions.settings import SessionSettings
from authbridge.sessions.shown import Shown
from authbridge.settings import Mistakes, Table

KEY = "sites.www.session"
URL = "https://www.example.org/whoami"


def shown(
    *cookies: bytes, address: str = "127.0.0.1", headers: Sequence[tuple[bytes, bytes]] = ()
) -> Shown:
    """What a request shows: Cookie headers, and others."""
    headers = [*headers, *((b"cookie", value) for value in cookies)]

    def fields(name: bytes) -> list[bytes]:
        return [value for key, value in headers if key == name]

    return Shown(cookies, fields, [key for key, _ in headers], address)


def read(folder: Path, data: Mapping[str, Any]) -> tuple[SessionSettings, list[str]]:
    """The settings, and the mistakes in them without the name of the table."""
    mistakes = Mistakes()
    settings = SessionSettings.read(Table(dict(data), KEY, mistakes, folder))
    for mistake in mistakes:
        assert mistake.startswith(f"{KEY}."), mistake
    return settings, [mistake.removeprefix(f"{KEY}.") for mistake in mistakes]


def settings(folder: Path, data: Mapping[str, Any]) -> SessionSettings:
    """Settings without a mistake."""
    found, mistakes = read(folder, data)
    assert mistakes == []
    return found


def secret_file(folder: Path, content: bytes = b"a secret of the proxy's\n") -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def says(body: Any, status: int = 200, content: bytes = b"application/json") -> Response:
    """An answer; what is no octets is made JSON."""
    return Response(status, content, body if isinstance(body, bytes) else json.dumps(body).encode())


ALICE = says({"user": "alice"})
NOBODY = says({"user": None})


class Web:
    """See `outbound.web_server.WebServer`. Answers with `answer`; where that is None, when the test
    calls `reply`."""

    def __init__(self, answer: Response | Exception | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[bytes, dict[str, str], bytes, float]] = []
        self.lines: list[str] = []
        self.waiting: list[Deferred[Response]] = []
        self.cancelled = 0
        self.closed = False

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
        self.lines.append(line)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        turn: Deferred[Response] = Deferred(self._cancelled)
        self.waiting.append(turn)
        return await turn

    def reply(self, answer: Response | Exception, turn: int = 0) -> None:
        waiting = self.waiting.pop(turn)
        if isinstance(answer, Exception):
            waiting.errback(answer)
        else:
            waiting.callback(answer)

    def close(self) -> None:
        self.closed = True

    @property
    def cookies(self) -> list[str]:
        """What it was asked about."""
        return [headers["Cookie"] for _, headers, _, _ in self.asked]

    def _cancelled(self, turn: Deferred[Response]) -> None:
        self.cancelled += 1
        self.waiting.remove(turn)


class Asked:
    """A session by `forward`, with its site and its clock."""

    def __init__(self, answer: Response | Exception | None = None, **given: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.web = Web(answer)
        usual: dict[str, Any] = {
            "url": URL, "cookie": "sessionid", "user": "user", "host": "", "timeout": 3.0,
            "cache": 5.0,
        }  # fmt: skip
        usual |= given
        web = WebSettings(clear_text=False, ca_file=None, timeout=usual.pop("timeout"))
        own = ForwardSettings(**usual, web=web)
        self.session = Forward(own, "www", self.web, self.clock.seconds, lambda size: b"r" * size)

    def user(self, evidence: bytes = b"abc") -> Deferred[str]:
        """Ask whose session it is, as somebody who may give up."""
        return Deferred.fromCoroutine(self.session.user(evidence))
