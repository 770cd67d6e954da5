"""`listen.http`: the XMPP servers and web back ends that ask over HTTP (`wire.httpauth`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from authbridge.authenticator import Authenticator
from authbridge.frontends import http_answers as answers
from authbridge.frontends.clients import ANONYMOUS, LONGEST_DEADLINE, Client, Credentials
from authbridge.frontends.http_server import Call
from authbridge.model import Outcome, Reason
from authbridge.peers import UNIX
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.wire import httpauth
from authbridge.wire.http import Answer, BadRequest, host_name, is_loopback, plain_name

MOST_CONNECTIONS = 1_000_000
HOSTS_REMEMBERED = 100

Ask = Callable[..., "Deferred[Outcome]"]


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be asked under one name."""

    methods: tuple[bytes, ...]
    ask: Ask | None
    """Of an authenticator; None: nobody here can do it."""
    judged: Callable[[Outcome], Answer] = answers.answer_of


def _user_exists(
    authenticator: Authenticator,
    front_end: str,
    user: bytes,
    domain: bytes,
    _password: Secret,
    deadline: float,
    *,
    number: str,
    caller: str,
) -> Deferred[Outcome]:
    return authenticator.user_exists(
        front_end, user, domain, deadline, number=number, caller=caller
    )


def _remove_user(
    authenticator: Authenticator,
    front_end: str,
    user: bytes,
    domain: bytes,
    _password: Secret,
    _deadline: float,
    *,
    number: str,
    caller: str,
) -> Deferred[Outcome]:
    return succeed(
        authenticator.refuse(
            front_end,
            "remove_user",
            user,
            domain,
            Reason.NOT_SUPPORTED,
            number=number,
            caller=caller,
        )
    )


_READ, _WRITE = (b"GET", b"POST"), (b"POST",)
VERBS = {
    "check_password": Verb(_READ, Authenticator.check_password),
    "user_exists": Verb(_READ, _user_exists),
    "set_password": Verb(
        _WRITE,
        Authenticator.set_password,
        partial(answers.answer_of_change, done=answers.YES),
    ),
    "register": Verb(
        _WRITE,
        Authenticator.register,
        partial(answers.answer_of_change, done=answers.CREATED),
    ),
    "remove_user": Verb(_WRITE, _remove_user, partial(answers.answer_of_change, done=answers.YES)),
    "remove_user_validate": Verb(_READ, None),
    "get_password": Verb(_READ, None),
    "get_certs": Verb(_READ, None),
    "basic": Verb((b"GET", b"HEAD"), Authenticator.check_password, answers.answer_of_basic),
    "json": Verb(_WRITE, Authenticator.check_password, answers.answer_of_json),
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
        self._credentials = Credentials(callers)
        self._anonymous = (ANONYMOUS,) if settings.anonymous else ()
        self._deadline = settings.deadline
        self._names = frozenset({plain_name(machine), *settings.hosts})
        self._hosts: set[bytes] = set()
        """Host headers that were found to be ours."""

    def number(self) -> str:
        """An id for the next call."""
        return self._authenticator.number()

    def refused(self, reason: Reason, number: str, address: str) -> None:
        """Write the line of a call that was refused before it was complete."""
        self._authenticator.turn_away(self.NAME, "-", reason, number=number, caller=address)

    def serve(self, call: Call) -> None:
        """Answer one call, now or when the authenticator has."""
        operation, caller = "-", call.channel.address
        try:
            self._check_host(call)
            operation, query = route(call.target)
            callers = self._callers(call, operation)
            caller = name_of(callers[0], call)
            asked = parameters_of(call, operation, query)
            client = who_may(callers, operation, asked.server)
        except TurnedAway as no:
            reason, answer = no.reason, no.answer
        except BadRequest as error:
            reason, answer = Reason.REQUEST_MALFORMED, answers.bad(error)
        else:
            return self._ask(call, VERBS[operation], asked, client)
        self._authenticator.turn_away(
            self.NAME, operation, reason, number=call.number, caller=caller
        )
        # Who was turned away is not who we think it is, or does not speak as we do: its connection
        # ends. A browser without credentials only has to be told to ask for them.
        call.answer(answer, last=reason is not Reason.CREDENTIALS_MISSING)

    def _check_host(self, call: Call) -> None:
        """Turn away what is not addressed to us, by a name or an address of ours. Raises BadRequest
        too.

        A page in a browser can have its own name resolve to our address, and then call us (DNS
        rebinding); the Host header still has the page's name. Nobody gets to a Unix socket so.
        """
        hosts = call.values(b"host")
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
            client = self._credentials.find(headers)
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

    def _ask(self, call: Call, verb: Verb, asked: httpauth.Parameters, client: Client) -> None:
        assert verb.ask is not None  # parameters_of has turned it away
        outcome = verb.ask(
            self._authenticator,
            self.NAME,
            asked.user,
            asked.server,
            Secret(asked.password or b""),
            client.deadline or self._deadline,
            number=call.number,
            caller=name_of(client, call),
        )
        outcome.addCallbacks(deliver, call.fail, (call, verb.judged))


def deliver(outcome: Outcome, call: Call, judged: Callable[[Outcome], Answer]) -> None:
    """Tell the caller."""
    try:
        call.answer(judged(outcome))
    except Exception:  # noqa: BLE001 - a fault of ours, not one of the authenticator's
        call.fail(Failure())


def route(target: bytes) -> tuple[str, bytes]:
    """The verb of a call, and its query."""
    path, _, query = target.partition(b"?")
    prefix, _, last = path.rpartition(b"/")
    verb = last.decode("latin-1")
    if prefix != b"/auth" or verb not in VERBS:
        raise TurnedAway(Reason.REQUEST_MALFORMED, answers.NOT_HERE)
    return verb, query


def parameters_of(call: Call, verb: str, query: bytes) -> httpauth.Parameters:
    """What a call asks about. Raises BadRequest."""
    if call.method not in VERBS[verb].methods:
        wrong = answers.wrong_method(b", ".join(VERBS[verb].methods))
        raise TurnedAway(Reason.REQUEST_MALFORMED, wrong)
    if VERBS[verb].ask is None:
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


def name_of(client: Client, call: Call) -> str:
    """How the log calls a caller: by its name, or by its address where it has none."""
    return call.channel.address if client is ANONYMOUS else client.name


def who_may(callers: Sequence[Client], verb: str, domain: bytes) -> Client:
    """The first of them that may ask this about the domain."""
    for client in callers:
        if client.may_ask(verb, domain):
            return client
    raise TurnedAway(Reason.CALLER_NOT_ALLOWED, answers.FORBIDDEN)


def authorization(call: Call) -> Sequence[bytes]:
    """The values of the Authorization header."""
    return call.values(b"authorization")
