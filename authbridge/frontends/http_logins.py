"""The paths below `/auth/` of `listen.http`: what each asks the authenticator, in which dialect."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed

from authbridge.authenticator import Authenticator
from authbridge.frontends import http_answers as answers
from authbridge.frontends.http_answers import TurnedAway
from authbridge.frontends.http_server import Call
from authbridge.model import Outcome, Reason
from authbridge.peers import plain_address
from authbridge.secret import Secret
from authbridge.wire import httpauth
from authbridge.wire.http import Answer, BadRequest

Ask = Callable[..., "Deferred[Outcome]"]


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be asked under one name."""

    name: str
    methods: tuple[bytes, ...]
    ask: Ask | None
    """Of an authenticator; None: it cannot do that."""
    judged: Callable[[Outcome], Answer] = answers.answer_of


def _user_exists(
    authenticator: Authenticator,
    front_end: str,
    user: bytes,
    domain: bytes,
    _password: Secret,
    deadline: float,
    **asker: Any,
) -> Deferred[Outcome]:
    return authenticator.user_exists(front_end, user, domain, deadline, **asker)


def _remove_user(
    authenticator: Authenticator,
    front_end: str,
    user: bytes,
    domain: bytes,
    _password: Secret,
    _deadline: float,
    **asker: Any,
) -> Deferred[Outcome]:
    return succeed(
        authenticator.refuse(front_end, "remove_user", user, domain, Reason.NOT_SUPPORTED, **asker)
    )


_READ, _WRITE = (b"GET", b"POST"), (b"POST",)
_VERBS = (
    Verb("check_password", _READ, Authenticator.check_password),
    Verb("user_exists", _READ, _user_exists),
    Verb(
        "set_password",
        _WRITE,
        Authenticator.set_password,
        partial(answers.answer_of_change, done=answers.YES),
    ),
    Verb(
        "register",
        _WRITE,
        Authenticator.register,
        partial(answers.answer_of_change, done=answers.CREATED),
    ),
    Verb("remove_user", _WRITE, _remove_user, partial(answers.answer_of_change, done=answers.YES)),
    Verb("remove_user_validate", _READ, None),
    Verb("get_password", _READ, None),
    Verb("get_certs", _READ, None),
    Verb("basic", (b"GET", b"HEAD"), Authenticator.check_password, answers.answer_of_basic),
    Verb("json", _WRITE, Authenticator.check_password, answers.answer_of_json),
    Verb("cookie", (b"GET",), None),
)
PATHS = {b"/auth/" + verb.name.encode(): verb for verb in _VERBS}


def parameters_of(call: Call, verb: Verb, query: bytes) -> httpauth.Parameters:
    """What a call asks about. Raises BadRequest, TurnedAway."""
    if call.method not in verb.methods:
        wrong = answers.wrong_method(b", ".join(verb.methods))
        raise TurnedAway(Reason.REQUEST_MALFORMED, wrong)
    if verb.name == "cookie":
        return httpauth.parse_cookie(query)
    if verb.ask is None:
        raise TurnedAway(Reason.NOT_SUPPORTED, answers.NOT_DONE)
    if verb.name == "basic":
        server = httpauth.parse_server(query)
        try:
            user, password = httpauth.parse_basic(authorization(call))
        except BadRequest:
            raise TurnedAway(Reason.CREDENTIALS_MISSING, answers.WHO_IS_IT) from None
        return httpauth.Parameters(user, server, password)
    if verb.name == "json":
        server = httpauth.parse_server(query)
        user, password = httpauth.parse_json(call.body)
        return httpauth.Parameters(user, server, password)
    if call.method == b"POST":
        if query:
            raise BadRequest("a POST has its parameters in its body")
        query = call.body
    parameters = httpauth.parse(query, password=verb.name in httpauth.WITH_PASSWORD)
    if verb.name in httpauth.WRITES:
        httpauth.refuse_derived(parameters)
    return parameters


def client_address(call: Call) -> str:
    """Where the user's client is, as a caller says who is known by a secret: one address in
    X-Forwarded-For; empty where it says nothing, or a way of several, which nobody vouches for."""
    values = call.values(b"x-forwarded-for")
    if len(values) != 1:
        return ""
    try:
        found = ipaddress.ip_address(values[0].decode("ascii"))
    except ValueError:
        return ""
    return plain_address(str(found))


def authorization(call: Call) -> Sequence[bytes]:
    """The values of the Authorization header."""
    return call.values(b"authorization")
