"""`listen.http`: the XMPP servers and web back ends that ask over HTTP (`wire.httpauth`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from authbridge.authenticator import Authenticator
from authbridge.frontends import clients
from authbridge.frontends import http_answers as answers
from authbridge.frontends.clients import ANONYMOUS, LONGEST_DEADLINE, Client
from authbridge.frontends.http_server import Call, bad
from authbridge.model import Outcome, Reason
from authbridge.rooms import UNIX
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.wire import httpauth
from authbridge.wire.http import Answer, BadRequest, host_name, is_loopback, plain_name

MOST_CONNECTIONS = 1_000_000
HOSTS_REMEMBERED = 100

METHODS = {
    **dict.fromkeys(httpauth.READS, (b"GET", b"POST")),
    **dict.fromkeys(httpauth.WRITES, (b"POST",)),
    "basic": (b"GET", b"HEAD"),
    "json": (b"POST",),
    **dict.fromkeys(httpauth.UNSUPPORTED, (b"GET", b"POST")),
}
ANSWERS: dict[str, Callable[[Outcome], Answer]] = {
    **dict.fromkeys(httpauth.READS, answers.answer_of),
    "set_password": partial(answers.answer_of_change, done=answers.YES),
    "register": partial(answers.answer_of_change, done=answers.CREATED),
    "basic": answers.answer_of_basic,
    "json": answers.answer_of_json,
}


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """[http]"""

    anonymous: bool
    deadline: float
    """Seconds."""
    hosts: tuple[str, ...] = ()
    """Names, in lower case, by which callers may address us beside those that are always ours."""
    connections: int | None = None
    """Of each listener; None: what the descriptors allow."""
    peer_connections: int | None = None
    """Of each of its peers; None: three quarters of that."""

    @classmethod
    def read(cls, table: Table, deadline: float) -> HttpSettings:
        """Read the table, and close it."""
        settings = cls(
            anonymous=table.boolean("anonymous", False),
            deadline=table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE),
            hosts=tuple(map(plain_name, table.texts("hosts", ()))),
            connections=table.optional_number("connections", least=1, most=MOST_CONNECTIONS),
            peer_connections=table.optional_number(
                "peer_connections", least=1, most=MOST_CONNECTIONS
            ),
        )
        for host in settings.hosts:
            try:
                good = host_name((f"[{host}]" if host.count(":") > 1 else host).encode()) == host
            except BadRequest:
                good = False
            if not good:
                table.wrong("hosts", f'"{host}" is no name or address, without a port, of a host')
        table.close()
        return settings


class TurnedAway(Exception):
    """A call that does not come to a question."""

    def __init__(self, reason: Reason, answer: Answer) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


class HttpFrontEnd:
    """What the paths of `listen.http` mean."""

    NAME = "http"

    def __init__(
        self,
        authenticator: Authenticator,
        settings: HttpSettings,
        callers: Mapping[str, Client],
        machine: str,
    ) -> None:
        """`machine` is the name of this machine."""
        self._authenticator = authenticator
        self._clients = callers
        self._anonymous = (ANONYMOUS,) if settings.anonymous else ()
        self._deadline = settings.deadline
        self._names = frozenset({plain_name(machine), *settings.hosts})
        self._hosts: set[bytes] = set()
        """Host headers that were found to be ours."""

    def number(self) -> str:
        """An id for the next call."""
        return self._authenticator.number()

    def refused(self, reason: Reason, number: str) -> None:
        """Write the line of a call that was refused before it was complete."""
        self._authenticator.turn_away(self.NAME, "-", reason, number)

    def serve(self, call: Call) -> None:
        """Answer one call, now or when the authenticator has."""
        operation = "-"
        try:
            self._check_host(call)
            verb, query = route(call.uri)
            operation = verb
            callers = self._callers(call, verb)
            asked = read(call, verb, query)
            client = who_may(callers, verb, asked.server)
        except TurnedAway as no:
            reason, answer = no.reason, no.answer
        except BadRequest as error:
            reason, answer = Reason.REQUEST_MALFORMED, bad(error)
        else:
            return self._ask(call, verb, asked, client.deadline or self._deadline)
        self._authenticator.turn_away(self.NAME, operation, reason, call.number)
        # Who was turned away is not who we think it is, or does not speak as we do: its connection
        # ends. A browser without credentials only has to be told to ask for them.
        call.answer(answer, last=reason is not Reason.CREDENTIALS_MISSING)

    def _check_host(self, call: Call) -> None:
        """Turn away what is not addressed to us, by a name or an address of ours. Raises BadRequest
        too.

        A page in a browser can have its own name resolve to our address, and then call us (DNS
        rebinding); the Host header still has the page's name. Nobody gets to a Unix socket so.
        """
        hosts = call.requestHeaders.getRawHeaders(b"Host", ())
        if not hosts or hosts[0] in self._hosts:
            return
        name = host_name(hosts[0])
        if call.channel.address == UNIX:
            return
        if name in self._names or is_loopback(name):
            if len(self._hosts) < HOSTS_REMEMBERED:
                self._hosts.add(hosts[0])
        elif name != call.channel.own_address():
            raise TurnedAway(Reason.HOST_FOREIGN, answers.ELSEWHERE)

    def _callers(self, call: Call, verb: str) -> Sequence[Client]:
        """Who the caller may be: the client that its credentials name, or those at its address."""
        headers = authorization(call)
        if headers and verb != "basic":  # there they are the user's
            try:
                client = clients.find(self._clients, *httpauth.parse_basic(headers))
            except BadRequest:
                client = None
            if client is not None:
                return (client,)
        else:
            address = call.channel.address
            at_address = [
                client
                for client in self._clients.values()
                if verb in client.may and client.is_at(address)
            ]
            if at_address or self._anonymous:
                return at_address or self._anonymous
        if verb == "basic":
            raise TurnedAway(Reason.CALLER_NOT_A_PEER, answers.NOT_HERE)
        raise TurnedAway(Reason.CALLER_UNKNOWN, answers.WHO)

    def _ask(self, call: Call, verb: str, asked: httpauth.Parameters, deadline: float) -> None:
        user, server, number = asked.user, asked.server, call.number
        if verb == "remove_user":
            reason = Reason.NOT_SUPPORTED
            self._authenticator.refuse(self.NAME, verb, user, server, reason, number)
            return call.answer(answers.NOT_DONE)
        judged = ANSWERS[verb]
        if verb == "user_exists":
            outcome = self._authenticator.user_exists(
                self.NAME, user, server, deadline, None, number
            )
        else:
            about: Any = self._authenticator.check_password
            if verb == "set_password":
                about = self._authenticator.set_password
            elif verb == "register":
                about = self._authenticator.register
            password = Secret(asked.password or b"")
            outcome = about(self.NAME, user, server, password, deadline, None, number)
        outcome.addCallback(deliver, call, judged)
        outcome.addErrback(call.fail)


def deliver(outcome: Outcome, call: Call, judged: Callable[[Outcome], Answer]) -> None:
    """Tell the caller."""
    call.answer(judged(outcome))


def route(uri: bytes) -> tuple[str, bytes]:
    """The verb of a call, and its query."""
    path, _, query = uri.partition(b"?")
    prefix, _, last = path.rpartition(b"/")
    verb = last.decode("latin-1")
    if prefix != b"/auth" or verb not in httpauth.VERBS:
        raise TurnedAway(Reason.REQUEST_MALFORMED, answers.NOT_HERE)
    return verb, query


def read(call: Call, verb: str, query: bytes) -> httpauth.Parameters:
    """What a call asks about. Raises BadRequest."""
    if call.method not in METHODS[verb]:
        wrong = answers.wrong_method(b", ".join(METHODS[verb]))
        raise TurnedAway(Reason.REQUEST_MALFORMED, wrong)
    if verb in httpauth.UNSUPPORTED:
        raise TurnedAway(Reason.NOT_SUPPORTED, answers.NOT_DONE)
    if verb == "basic":
        server = httpauth.parse_server(query)
        try:
            user, password = httpauth.parse_basic(authorization(call))
        except BadRequest:
            raise TurnedAway(Reason.CREDENTIALS_MISSING, answers.WHO_IS_IT) from None
        return httpauth.Parameters(user, server, password)
    if verb == "json":
        server = httpauth.parse_server(query)
        user, password = httpauth.parse_json(call.body)
        return httpauth.Parameters(user, server, password)
    if call.method == b"POST":
        if query:
            raise BadRequest("a POST has its parameters in its body")
        query = call.body
    parameters = httpauth.parse(query, password=verb in httpauth.WITH_PASSWORD)
    if verb in httpauth.WRITES:
        httpauth.refuse_derived(parameters)
    return parameters


def who_may(callers: Sequence[Client], verb: str, domain: bytes) -> Client:
    """The first of them that may ask this about the domain."""
    for client in callers:
        if client.may_ask(verb, domain):
            return client
    raise TurnedAway(Reason.CALLER_NOT_ALLOWED, answers.FORBIDDEN)


def authorization(call: Call) -> Sequence[bytes]:
    """The values of the Authorization header."""
    return call.requestHeaders.getRawHeaders(b"Authorization", ())
