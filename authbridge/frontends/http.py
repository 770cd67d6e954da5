"""`listen.http`: the XMPP servers and web back ends that ask over HTTP (`wire.httpauth`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from authbridge.authenticator import Authenticator
from authbridge.frontends import clients
from authbridge.frontends.clients import Client
from authbridge.frontends.http_server import CANNOT_TELL, Call
from authbridge.model import Outcome, Reason, Verdict
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.wire import httpauth
from authbridge.wire.http import Answer

LONGEST_DEADLINE = 600.0
"""Seconds; Prosody waits for minutes."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]"""

    anonymous: bool
    deadline: float
    """Seconds."""

    @classmethod
    def read(cls, table: Table, deadline: float) -> HttpSettings:
        """Read the table, and close it."""
        settings = cls(
            anonymous=table.boolean("anonymous", False),
            deadline=table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE),
        )
        table.close()
        return settings


YES = Answer(200, httpauth.TRUE)
NO = Answer(200, httpauth.FALSE)
CREATED = Answer(201, httpauth.TRUE)
TAKEN = Answer(409, b"there is such a user already")
WHO = Answer(401, b"credentials?", ((b"WWW-Authenticate", b'Basic realm="authbridge"'),))
FORBIDDEN = Answer(403, b"this client may not ask that: see its `may` and `domains`")
ELSEWHERE = Answer(421, b"without credentials, by the name localhost or a loopback address alone")
NOT_HERE = Answer(404, b"no such path")
NOT_DONE = Answer(501, b"nobody here can do that")


def answer_of(outcome: Outcome) -> Answer:
    """What a caller is told of an outcome."""
    if outcome.verdict is Verdict.ACCEPTED:
        return YES
    return CANNOT_TELL if outcome.verdict is Verdict.UNAVAILABLE else NO


def answer_of_change(outcome: Outcome, done: Answer) -> Answer:
    """What a caller is told of a change. Never a 2xx for one that was not made: the callers look
    at the status alone."""
    if outcome.verdict is Verdict.ACCEPTED:
        return done
    if outcome.verdict is Verdict.UNAVAILABLE:
        return CANNOT_TELL
    if outcome.reason is Reason.NOT_SUPPORTED:
        return NOT_DONE
    if outcome.reason is Reason.USER_EXISTS:
        return TAKEN
    return Answer(403, f"{outcome.reason.value}: {outcome.reason.words}".encode())


class HttpFrontEnd:
    """What the paths of `listen.http` mean."""

    NAME = "http"

    def __init__(
        self, authenticator: Authenticator, settings: HttpSettings, callers: Mapping[str, Client]
    ) -> None:
        self._authenticator = authenticator
        self._settings = settings
        self._callers = callers

    def serve(self, call: Call) -> None:
        """Answer one call, now or when the authenticator has."""
        path, _, query = call.uri.partition(b"?")
        prefix, _, last = path.rpartition(b"/")
        verb = last.decode("latin-1")
        if prefix != b"/auth" or verb not in httpauth.VERBS:
            return self.turn_away(call, "-", Reason.REQUEST_MALFORMED, NOT_HERE)
        client = self._caller(call)
        if client is None:
            return self.turn_away(call, verb, Reason.CALLER_UNKNOWN, WHO)
        if client is clients.ANONYMOUS and not is_ours(call):
            return self.turn_away(call, verb, Reason.CALLER_NOT_ALLOWED, ELSEWHERE)
        if verb in httpauth.UNSUPPORTED:
            return self.turn_away(call, verb, Reason.NOT_SUPPORTED, NOT_DONE)
        try:
            parameters = self._parameters(call, verb, query)
        except httpauth.BadRequest as error:
            bad = Answer(400, str(error).encode())
            return self.turn_away(call, verb, Reason.REQUEST_MALFORMED, bad)
        if parameters is None:
            methods = b"GET, POST" if verb in httpauth.READS else b"POST"
            wrong = Answer(405, b"not with this method", ((b"Allow", methods),))
            return self.turn_away(call, verb, Reason.REQUEST_MALFORMED, wrong)
        if not client.may_ask(verb, parameters.server):
            return self.turn_away(call, verb, Reason.CALLER_NOT_ALLOWED, FORBIDDEN)
        self._ask(call, verb, parameters)

    def turn_away(self, call: Call, operation: str, reason: Reason, answer: Answer) -> None:
        """Refuse what does not come to a question, with its line in the log."""
        self._authenticator.turn_away(self.NAME, operation, reason)
        call.answer(answer)

    def too_much(self) -> None:
        """Write the line of a call that was refused before it was complete."""
        self._authenticator.turn_away(self.NAME, "-", Reason.REQUEST_MALFORMED)

    def _caller(self, call: Call) -> Client | None:
        headers = call.requestHeaders.getRawHeaders(b"Authorization", ())
        if not headers:
            return clients.ANONYMOUS if self._settings.anonymous else None
        try:
            if len(headers) > 1:
                return None
            return clients.find(self._callers, *httpauth.parse_basic(headers[0]))
        except httpauth.BadRequest:
            return None

    def _parameters(self, call: Call, verb: str, query: bytes) -> httpauth.Parameters | None:
        """What the call names; None where it has the wrong method. Raises BadRequest."""
        if len(call.requestHeaders.getRawHeaders(b"Host", ())) > 1:
            raise httpauth.BadRequest("there are several Host headers")
        if call.method == b"POST":
            if query:
                raise httpauth.BadRequest("a POST has its parameters in its body")
            query = call.body
        elif call.method != b"GET" or verb in httpauth.WRITES:
            return None
        parameters = httpauth.parse(query, password=verb in httpauth.WITH_PASSWORD)
        if verb in httpauth.WRITES:
            httpauth.refuse_derived(parameters)
        return parameters

    def _ask(self, call: Call, verb: str, parameters: httpauth.Parameters) -> None:
        user, server = parameters.user, parameters.server
        deadline = self._settings.deadline
        if verb == "remove_user":
            self._authenticator.refuse(self.NAME, verb, user, server, Reason.NOT_SUPPORTED)
            return call.answer(NOT_DONE)
        judged: Callable[[Outcome], Answer] = answer_of
        password = Secret(parameters.password or b"")
        if verb == "user_exists":
            outcome = self._authenticator.user_exists(self.NAME, user, server, deadline)
        elif verb == "check_password":
            outcome = self._authenticator.check_password(
                self.NAME, user, server, password, deadline
            )
        elif verb == "set_password":
            outcome = self._authenticator.set_password(self.NAME, user, server, password, deadline)
            judged = partial(answer_of_change, done=YES)
        else:
            outcome = self._authenticator.register(self.NAME, user, server, password, deadline)
            judged = partial(answer_of_change, done=CREATED)
        outcome.addCallback(lambda outcome: call.answer(judged(outcome)))
        outcome.addErrback(call.fail)


def is_ours(call: Call) -> bool:
    """Whether the call is addressed to this machine by a name of its own.

    A page in a browser on this machine can have its name resolve to 127.0.0.1 and then call us
    (DNS rebinding); the Host header still has the page's name.
    """
    host = b"".join(call.requestHeaders.getRawHeaders(b"Host", (b"localhost",))).decode("latin-1")
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() == "localhost"
