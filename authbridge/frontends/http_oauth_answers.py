"""What callers of the paths below `/oauth/` are told (`wire.oauth_api`)."""

from __future__ import annotations

from authbridge import preparation
from authbridge.frontends import http_answers as answers
from authbridge.frontends.http_answers import Headers, TurnedAway
from authbridge.frontends.http_server import CANNOT_TELL
from authbridge.frontends.http_tickets import LIFE
from authbridge.model import Outcome, Reason, Verdict
from authbridge.token_logins import Found
from authbridge.wire import oauth_api, token_api
from authbridge.wire.http import JSON, Answer, BadRequest

RELIED_ON = 60.0
"""Seconds for which ejabberd may rely on an answer. It asks at each login, unless its cache is on:
then a token that was revoked or used up would let in until its own end."""
LEAST_RELIED_ON = 2.0
"""Seconds; it counts whole ones."""

_BEARER = b'Bearer realm="authbridge"'


def _error(error: str, words: str) -> Answer:
    return Answer(400, token_api.oauth_error(error, words), content=JSON)


def _no_token(challenge: bytes) -> Answer:
    headers = ((b"WWW-Authenticate", challenge),)
    return Answer(401, oauth_api.status("invalid_token"), headers, JSON)


WRONG_GRANT = _error("unsupported_grant_type", "grant_type is not password")
WRONG_PASSWORD = _error("invalid_grant", "the name or the password is wrong")
NO_TOKEN = _no_token(_BEARER)
WRONG_TOKEN = _no_token(_BEARER + b', error="invalid_token"')
CANNOT_TELL_WHOSE = Answer(503, oauth_api.status("server_error"), CANNOT_TELL.headers, JSON)
NOBODYS = Answer(404, oauth_api.NOBODY, content=JSON)


def away(status: int, reason: Reason, words: str = "", headers: Headers = ()) -> TurnedAway:
    """A refusal of any of these paths (RFC 6749, 5.2)."""
    answer = answers.oauth_error(status, reason, words or reason.words, headers)
    return TurnedAway(reason, answer)


def bad(error: BadRequest) -> Answer:
    """The request breaks the rules."""
    if isinstance(error, oauth_api.UnsupportedGrant):
        return WRONG_GRANT
    return _error("invalid_request", str(error))


def granted(ticket: str) -> Answer:
    """The password was right."""
    body = oauth_api.granted(ticket, int(LIFE))
    return Answer(200, body, ((b"Pragma", b"no-cache"),), JSON)  # RFC 6749, 5.1


def not_granted(outcome: Outcome) -> Answer:
    """It was not."""
    return _cannot_tell(outcome) if outcome.verdict is Verdict.UNAVAILABLE else WRONG_PASSWORD


def told(found: Found) -> Answer:
    """Whose a ticket or a token is, at `/oauth/userinfo`."""
    outcome, identity = found
    if identity is not None:
        name = preparation.unescape(identity.jid.local)
        return Answer(200, oauth_api.userinfo(name, str(identity.jid)), content=JSON)
    return CANNOT_TELL_WHOSE if outcome.verdict is Verdict.UNAVAILABLE else WRONG_TOKEN


def looked_up(found: Found, now: float) -> Answer:
    """Whose a token is, at `/oauth/lookup`. `now` is in seconds since the epoch."""
    outcome, identity = found
    if identity is not None:
        ends = now + RELIED_ON
        if identity.expires is not None:
            ends = max(min(ends, identity.expires), now + LEAST_RELIED_ON)
        return Answer(200, oauth_api.looked_up(str(identity.jid), int(ends)), content=JSON)
    return _cannot_tell(outcome) if outcome.verdict is Verdict.UNAVAILABLE else NOBODYS


def _cannot_tell(outcome: Outcome) -> Answer:
    reason = outcome.reason
    return answers.oauth_error(503, reason, reason.words, CANNOT_TELL.headers)
