"""What the browsers that call `listen.web` are told: always JSON, and nothing to be kept."""

from __future__ import annotations

import functools

from authbridge.frontends.http_answers import Headers
from authbridge.frontends.http_server import CANNOT_TELL
from authbridge.model import Reason
from authbridge.wire import token_api
from authbridge.wire.http import JSON, NO_CONTENT, PROBLEM, Answer

_ALWAYS: Headers = (
    (b"Vary", b"Origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
)
_PREFLIGHT: Headers = (
    (b"Access-Control-Allow-Methods", b"GET"),
    (b"Access-Control-Allow-Headers", b"Accept, Content-Type, X-Requested-With"),
    (b"Access-Control-Max-Age", b"600"),
)
_ALLOW: Headers = ((b"Allow", b"GET, OPTIONS"),)

# 403 for any other reason.
_STATUS = {
    Reason.SESSION_MISSING: 401,
    Reason.SESSION_MALFORMED: 401,
    Reason.SESSION_UNKNOWN: 401,
    Reason.RATE_EXCEEDED: 429,
    Reason.TOKENS_TOO_MANY: 429,
    Reason.NOT_SUPPORTED: 404,
    Reason.TOKEN_NEVER: 403,
}
_OF_TOKENS = "token_"
"""How the reasons begin for which a signed cookie is no good."""


@functools.lru_cache(maxsize=1000)
def headers_for(origin: bytes | None) -> Headers:
    """Those of every answer to a page of this origin, which is one that may read it."""
    if origin is None:
        return _ALWAYS
    return (
        *_ALWAYS,
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Allow-Credentials", b"true"),
    )


def answer(found: dict[str, str | int], origin: bytes | None) -> Answer:
    """What was asked for."""
    return Answer(200, token_api.write(found), headers_for(origin), JSON)


@functools.lru_cache(maxsize=1000)
def preflight(origin: bytes | None) -> Answer:
    """A script of this origin may ask (Fetch, 3.2.3)."""
    return Answer(NO_CONTENT, b"", headers_for(origin) + _PREFLIGHT)


@functools.lru_cache(maxsize=1000)
def refused(reason: Reason, origin: bytes | None) -> Answer:
    """A definite no. The same again costs next to nothing: a page may ask every two seconds."""
    status = _STATUS.get(reason, 401 if reason.value.startswith(_OF_TOKENS) else 403)
    return problem(status, reason, reason.words, origin)


def too_often(reason: Reason, seconds: int, origin: bytes | None) -> Answer:
    """To come again after so many seconds."""
    found = refused(reason, origin)
    retry = ((b"Retry-After", b"%d" % seconds),)
    return Answer(found.status, found.body, found.headers + retry, found.content)


def unavailable(reason: Reason, origin: bytes | None) -> Answer:
    """Cannot tell."""
    return problem(CANNOT_TELL.status, reason, reason.words, origin, CANNOT_TELL.headers)


def problem(
    status: int, reason: Reason, words: str, origin: bytes | None, headers: Headers = ()
) -> Answer:
    """A refusal (RFC 9457)."""
    body = token_api.problem(status, reason.value, words)
    return Answer(status, body, headers_for(origin) + headers, PROBLEM)


ELSEWHERE = problem(
    421, Reason.HOST_FOREIGN, "the Host header names no site: see `hosts` of [sites.*]", None
)
NOT_HERE = problem(
    404, Reason.REQUEST_MALFORMED, "there is /credentials, and /prebind, and nothing else", None
)
WRONG_METHOD = problem(405, Reason.REQUEST_MALFORMED, "not with this method", None, _ALLOW)
