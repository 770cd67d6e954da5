"""What callers of `listen.http` are told, in each dialect."""

from __future__ import annotations

from authbridge.frontends.http_server import CANNOT_TELL
from authbridge.model import Outcome, Reason, Verdict
from authbridge.wire import httpauth, token_api
from authbridge.wire.http import JSON, PROBLEM, Answer, BadRequest

Headers = tuple[tuple[bytes, bytes], ...]

ASK: Headers = ((b"WWW-Authenticate", b'Basic realm="authbridge"'),)

YES = Answer(200, httpauth.TRUE)
NO = Answer(200, httpauth.FALSE)
CREATED = Answer(201, httpauth.TRUE)
TAKEN = Answer(409, b"there is such a user already")
WHO = Answer(401, b"credentials?", ASK)
WHO_IS_IT = Answer(
    401, httpauth.FALSE, ((b"WWW-Authenticate", b'Basic realm="authbridge", charset="UTF-8"'),)
)
"""RFC 7617: a browser asks its user, and encodes what it is told as UTF-8."""
FORBIDDEN = Answer(403, b"this client may not ask that: see its `may` and `domains`")
ELSEWHERE = Answer(421, b"the Host header names nobody here: see `hosts` of [http]")
NOT_HERE = Answer(404, b"no such path")
NOT_DONE = Answer(501, b"nobody here can do that")
CANNOT_TELL_JSON = Answer(503, httpauth.FALSE, CANNOT_TELL.headers)


class TurnedAway(Exception):
    """A call that does not come to a question."""

    def __init__(self, reason: Reason, answer: Answer) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


def bad(error: BadRequest) -> Answer:
    """The request breaks the rules of its dialect."""
    return Answer(400, str(error).encode())


def wrong_method(allowed: bytes) -> Answer:
    """The path is known, and not with this method."""
    return Answer(405, b"not with this method", ((b"Allow", allowed),))


def answer_of(outcome: Outcome) -> Answer:
    """Of a login or a user, to Prosody's mod_auth_http, MongooseIM and ejabberd-contrib."""
    if outcome.verdict is Verdict.ACCEPTED:
        return YES
    return CANNOT_TELL if outcome.verdict is Verdict.UNAVAILABLE else NO


def answer_of_basic(outcome: Outcome) -> Answer:
    """Of a login, to who takes any 2xx for a yes."""
    if outcome.verdict is Verdict.ACCEPTED:
        return YES
    return CANNOT_TELL if outcome.verdict is Verdict.UNAVAILABLE else WHO_IS_IT


def answer_of_json(outcome: Outcome) -> Answer:
    """Of a login, to who looks at the body alone."""
    if outcome.verdict is Verdict.ACCEPTED:
        return YES
    return CANNOT_TELL_JSON if outcome.verdict is Verdict.UNAVAILABLE else NO


def answer_of_change(outcome: Outcome, done: Answer) -> Answer:
    """Of a change. Never a 2xx for one that was not made: the callers look at the status alone."""
    if outcome.verdict is Verdict.ACCEPTED:
        return done
    if outcome.verdict is Verdict.UNAVAILABLE:
        return CANNOT_TELL
    if outcome.reason is Reason.NOT_SUPPORTED:
        return NOT_DONE
    if outcome.reason is Reason.USER_EXISTS:
        return TAKEN
    return Answer(403, f"{outcome.reason.value}: {outcome.reason.words}".encode())


def problem(status: int, reason: Reason, words: str, headers: Headers = ()) -> Answer:
    """A refusal of `/tokens` (RFC 9457)."""
    return Answer(status, token_api.problem(status, reason.value, words), headers, PROBLEM)


# By status and, where several reasons have one, by the reason.
_ERRORS = {
    401: "invalid_client",
    403: "unauthorized_client",
    501: "server_error",
    503: "temporarily_unavailable",
}


def oauth_error(status: int, reason: Reason, words: str, headers: Headers = ()) -> Answer:
    """A refusal of `/introspect` and `/revoke` (RFC 6749, 5.2; RFC 7009, 2.2.1)."""
    error = _ERRORS.get(status, "invalid_request")
    if status == 400 and reason is Reason.NOT_SUPPORTED:
        error = "unsupported_token_type"
    return Answer(status, token_api.oauth_error(error, words), headers, JSON)
