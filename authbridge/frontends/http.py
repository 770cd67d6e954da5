"""`listen.http`: the XMPP servers and web back ends that ask over HTTP.

What they ask about logins is in `http_logins`, what about tokens in `http_tokens`, what in the
ways of OAuth in `http_oauth`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from authbridge.authenticator import Authenticator
from authbridge.frontends import http_answers as answers
from authbridge.frontends import http_logins, http_oauth, http_tokens, openapi
from authbridge.frontends.clients import ANONYMOUS, LONGEST_DEADLINE, Client, Credentials
from authbridge.frontends.http_answers import TurnedAway
from authbridge.frontends.http_cookie import CookieLogins
from authbridge.frontends.http_logins import authorization, client_address, parameters_of
from authbridge.frontends.http_oauth import OAuthPaths
from authbridge.frontends.http_server import Call
from authbridge.frontends.http_tokens import TokenPaths
from authbridge.model import Outcome, Reason
from authbridge.peers import UNIX
from authbridge.prebind import Prebind
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.token_office.office import TokenOffice
from authbridge.wire.http import (
    Answer,
    BadRequest,
    host_name,
    is_host,
    is_loopback,
    plain_name,
)

MOST_CONNECTIONS = 1_000_000
HOSTS_REMEMBERED = 100


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
            if not is_host(host):
                table.wrong("hosts", f'"{host}" is no name or address, without a port, of a host')
        table.close()
        return settings


class HttpFrontEnd:
    """What the paths of `listen.http` mean."""

    NAME = "http"

    def __init__(
        self,
        authenticator: Authenticator,
        settings: HttpSettings,
        callers: Mapping[str, Client],
        machine: str,
        office: TokenOffice | None,
        prebind: Prebind | None,
        cookies: CookieLogins,
        oauth: OAuthPaths,
    ) -> None:
        """`machine` is the name of this machine. `office` is None where nothing keeps tokens,
        `prebind` where no domain has a `bosh_url`."""
        self._authenticator = authenticator
        self._clients = callers
        self._credentials = Credentials(callers)
        self._anonymous = (ANONYMOUS,) if settings.anonymous else ()
        self._deadline = settings.deadline
        self._names = frozenset({plain_name(machine), *settings.hosts})
        self._hosts: set[bytes] = set()
        """Host headers that were found to be ours."""
        self._cookies = cookies
        self._oauth = oauth
        self._tokens = TokenPaths(
            office,
            prebind,
            self._credentials,
            settings.deadline,
            self.NAME,
            self._authenticator.logins,
        )

    def number(self) -> str:
        """An id for the next call."""
        return self._authenticator.logins.number()

    def idle(self) -> Deferred[None]:
        """Fires when no call about tokens is under way; logins are the authenticator's to wait
        for."""
        return self._tokens.idle()

    def end(self) -> None:
        """Wait for those calls no longer."""
        self._tokens.end()

    def refused(self, answer: Answer, reason: Reason, number: str, address: str) -> Answer:
        """Write the line of a call that was refused before it was complete."""
        self._authenticator.logins.turn_away(self.NAME, "-", reason, number=number, caller=address)
        return answer

    def serve(self, call: Call) -> None:
        """Answer one call, now or when there is an answer."""
        operation, caller = "-", call.channel.address
        try:
            self._check_host(call)
            path, _, query = call.target.partition(b"?")
            verb = http_logins.PATHS.get(path)
            if verb is None:
                return self._serve_other(call, path, query)
            operation = verb.name
            callers = self._callers(call, operation)
            caller = name_of(callers[0], call)
            asked = parameters_of(call, verb, query)
            client = who_may(callers, operation, asked.server)
            caller = name_of(client, call)
        except TurnedAway as no:
            reason, answer = no.reason, no.answer
        except BadRequest as error:
            reason, answer = Reason.REQUEST_MALFORMED, answers.bad(error)
        else:
            address = client_address(call) if client.secret is not None else ""
            deadline = client.deadline or self._deadline
            if verb.ask is None:
                return self._cookies.serve(call, asked, deadline, caller=caller, address=address)
            outcome = verb.ask(
                self._authenticator,
                self.NAME,
                asked.user,
                asked.server,
                Secret(asked.password or b""),
                deadline,
                number=call.number,
                caller=caller,
                address=address,
            )
            outcome.addCallbacks(deliver, call.fail, (call, verb.judged))
            return
        self._authenticator.logins.turn_away(
            self.NAME, operation, reason, number=call.number, caller=caller
        )
        # Who was turned away is not who we think it is, or does not speak as we do: its connection
        # ends. A browser without credentials only has to be told to ask for them.
        call.answer(answer, last=reason is not Reason.CREDENTIALS_MISSING)

    def _serve_other(self, call: Call, path: bytes, query: bytes) -> None:
        """What is not below `/auth/`. Raises TurnedAway."""
        tokens = http_tokens.find(path)
        if tokens is not None:
            self._tokens.serve(call, tokens, query)
        elif path in http_oauth.PATHS:
            self._oauth.serve(call, path, query)
        elif path != openapi.PATH:
            raise TurnedAway(Reason.REQUEST_MALFORMED, answers.NOT_HERE)
        elif call.method not in openapi.METHODS:
            wrong = answers.wrong_method(b", ".join(openapi.METHODS))
            raise TurnedAway(Reason.REQUEST_MALFORMED, wrong)
        else:
            call.answer(openapi.answer())

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


def deliver(outcome: Outcome, call: Call, judged: Callable[[Outcome], Answer]) -> None:
    """Tell the caller."""
    try:
        call.answer(judged(outcome))
    except Exception:  # noqa: BLE001 - a fault of ours, not one of the authenticator's
        call.fail(Failure())


def name_of(client: Client, call: Call) -> str:
    """How the log calls a caller: by its name, or by its address where it has none."""
    return call.channel.address if client is ANONYMOUS else client.name


def who_may(callers: Sequence[Client], verb: str, domain: bytes) -> Client:
    """The first of them that may ask this about the domain."""
    for client in callers:
        if client.may_ask(verb, domain):
            return client
    raise TurnedAway(Reason.CALLER_NOT_ALLOWED, answers.FORBIDDEN)
