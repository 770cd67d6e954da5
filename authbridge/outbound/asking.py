"""How whoever is asked over HTTP is asked, whatever the question is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from authbridge.outbound.web_server import Response, Unreached


class Asks(Protocol):
    """The server of one URL (`outbound.web_server.WebServer`)."""

    async def request(
        self,
        method: bytes,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout: float,  # noqa: ASYNC109 - of Twisted, which has no context managers for it
        line: str = "",
    ) -> Response:
        """What it answers within so many seconds. Raises Unreached. Safe to cancel. Who waits, does
        so in his line, and the lines take turns."""
        ...

    def close(self) -> None:
        """End its connections."""
        ...


async def request_again(
    web: Asks,
    method: bytes,
    headers: Mapping[str, str],
    body: bytes,
    *,
    timeout: float,  # noqa: ASYNC109 - as above
) -> Response:
    """The answer to what may be asked twice: once more where the connection was stale, and the
    server has seen nothing of it in all likelihood. Raises Unreached."""
    try:
        return await web.request(method, headers, body, timeout=timeout)
    except Unreached as error:
        if not error.stale:
            raise
    return await web.request(method, headers, body, timeout=timeout)
