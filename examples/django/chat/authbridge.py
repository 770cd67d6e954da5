"""Calls to authbridge's `listen.http`: what this site's back end may ask for its users.

The client's secret is read from its file at each call, so that a new one counts at once.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

MOST_OCTETS = 65536


class Refused(Exception):
    """This user may not: asking again is no use."""


class Unavailable(Exception):
    """It cannot be told now."""

    def __init__(self, words: str, retry_after: int = 5) -> None:
        """`retry_after`: seconds after which to ask again."""
        super().__init__(words)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Session:
    """A BOSH session of a user who is logged in, for whoever attaches to it first.

    Who has these three has the session: they go to the user's own page and nowhere else.
    """

    jid: str
    sid: str
    rid: int

    def __repr__(self) -> str:
        return f"<session of {self.jid}>"


def prebind(jid: str, address: str | None) -> Session:
    """Have a user logged in to the chat. `address` is his browser's, for authbridge's log.

    Raises Refused, Unavailable.
    """
    headers = {"X-Forwarded-For": address} if address else {}
    answer = _post("/prebind", {"jid": jid}, headers)
    try:
        return Session(str(answer["jid"]), str(answer["sid"]), int(answer["rid"]))
    except (KeyError, TypeError, ValueError):
        raise Unavailable("the answer to /prebind has no session in it") from None


def revoke(jid: str) -> None:
    """Revoke all temporary tokens of a user, device passwords too. Raises Refused, Unavailable."""
    _post("/tokens/revoke", {"jid": jid}, {})


def _post(path: str, document: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Call it, and no other: http.client follows no redirect and asks no proxy."""
    url = urlsplit(settings.AUTHBRIDGE_URL)
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            url.netloc, timeout=settings.AUTHBRIDGE_TIMEOUT, context=context
        )
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=settings.AUTHBRIDGE_TIMEOUT)
    try:
        secret = Path(settings.AUTHBRIDGE_SECRET_FILE).read_text(encoding="ascii").rstrip("\r\n")
        pair = f"{settings.AUTHBRIDGE_CLIENT}:{secret}".encode()
        headers = {
            **headers,
            "Authorization": f"Basic {base64.b64encode(pair).decode()}",
            "Content-Type": "application/json",
        }
        connection.request("POST", url.path + path, json.dumps(document), headers)
        answer = connection.getresponse()
        body = answer.read(MOST_OCTETS)
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        raise Unavailable(f"authbridge cannot be asked: {type(error).__name__}") from None
    finally:
        connection.close()
    if answer.status == 200:
        return _read(body)
    if answer.status == 403:
        raise Refused(f"authbridge refuses {path}: 403")
    seconds = answer.headers.get("Retry-After", "")
    wait = min(int(seconds), 60) if seconds.isdecimal() else 5
    raise Unavailable(f"authbridge answers {path} with {answer.status}", wait)


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unavailable("authbridge's answer is no JSON object")
    return found
