"""The paths below `/oauth/` of `listen.http` (`wire.oauth_api`): logins with a password or a token
at Prosody, and with a token at ejabberd.

A password is judged at `/oauth/token`, and a ticket handed out for it; `/oauth/userinfo` tells
whose a ticket or a token is, `/oauth/lookup` whose a token is. Each is a login, by which a token is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from twisted.internet.defer import Deferred, succeed

from authbridge import model, preparation
from authbridge.authenticator import Authenticator
from authbridge.domain_names import ANY_DOMAIN
from authbridge.frontends import http_answers as answers
from authbridge.frontends import http_oauth_answers as replies
from authbridge.frontends import http_tickets
from authbridge.frontends.clients import OAUTH, Client, Credentials, find
from authbridge.frontends.http_answers import TurnedAway
from authbridge.frontends.http_logins import authorization, client_address
from authbridge.frontends.http_server import Call
from authbridge.frontends.http_tickets import Tickets
from authbridge.model import JID, Identity, Outcome, Reason, Verdict
from authbridge.secret import Secret
from authbridge.token_logins import Found, TokenLogins
from authbridge.wire import httpauth, oauth_api
from authbridge.wire.http import FORM, JSON, BadRequest, is_of_type

TOKEN, USERINFO, LOOKUP = b"/oauth/token", b"/oauth/userinfo", b"/oauth/lookup"
OTHERS = (b"/oauth/store", b"/oauth/lookup_client", b"/oauth/store_client")
"""What else ejabberd keeps where it keeps tokens: here nothing is."""
_POST = (b"POST", JSON)
PATHS: Mapping[bytes, tuple[bytes, bytes]] = {
    TOKEN: (b"POST", FORM),
    USERINFO: (b"GET", b""),
    LOOKUP: _POST,
    **dict.fromkeys(OTHERS, _POST),
}
"""The method of each, and the type of what is posted."""


class OAuthPaths:
    """Answers the calls of these paths."""

    def __init__(
        self,
        authenticator: Authenticator,
        tickets: Tickets,
        callers: Mapping[str, Client],
        wall: Callable[[], float],
        deadline: float,
        front_end: str,
    ) -> None:
        """`wall`: seconds since the epoch. `deadline` in seconds, for clients without their own."""
        self._authenticator = authenticator
        self._token_logins = TokenLogins(authenticator)
        self._tickets = tickets
        self._clients = callers
        self._credentials = Credentials(callers)
        self._wall = wall
        self._deadline = deadline
        self._front_end = front_end

    def serve(self, call: Call, path: bytes, query: bytes) -> None:
        """Answer one call, now or when there is an answer. The path is one of `PATHS`."""
        caller = call.channel.address
        try:
            _check_form(call, path, query)
            grant = oauth_api.read_grant(call.body) if path == TOKEN else None
            callers = self._callers(call, path, grant)
            caller = callers[0].name
            if OAUTH not in callers[0].may:
                raise replies.away(403, Reason.CALLER_NOT_ALLOWED)
            if grant is not None:
                return self._log_in(call, callers, httpauth.parse_server(query), grant)
            if path == USERINFO:
                return self._tell(call, callers, httpauth.parse_server(query))
            if path == LOOKUP:
                return self._look_up(call, callers, Secret(oauth_api.read_lookup(call.body)))
            raise replies.away(501, Reason.NOT_SUPPORTED, "nothing of ejabberd's own is kept here")
        except TurnedAway as no:
            reason, answer = no.reason, no.answer
        except BadRequest as error:
            reason, answer = Reason.REQUEST_MALFORMED, replies.bad(error)
        self._authenticator.logins.turn_away(
            self._front_end, OAUTH, reason, number=call.number, caller=caller
        )
        call.answer(answer, last=reason is not Reason.CREDENTIALS_MISSING)

    def _callers(
        self, call: Call, path: bytes, grant: oauth_api.PasswordGrant | None
    ) -> Sequence[Client]:
        """Who the caller may be: the client that its secret is of, or those at its address. Raises
        TurnedAway, BadRequest."""
        headers = authorization(call) if path != USERINFO else ()  # there it is the user's
        name = None if grant is None else grant.client_id
        if grant is not None and name is not None and grant.client_secret is not None:
            if headers:  # RFC 6749, 2.3
                raise BadRequest("the client shows its secret twice")
            known = find(self._clients, name, grant.client_secret.reveal())
        elif headers:
            known = self._credentials.find(headers)
        else:
            there = self._at(call.channel.address, name)
            if there:
                return there
            if path == USERINFO:
                raise TurnedAway(Reason.CALLER_NOT_A_PEER, answers.NOT_HERE)
            known = None
        if known is None:
            raise replies.away(401, Reason.CALLER_UNKNOWN, headers=answers.ASK)
        return (known,)

    def _at(self, address: str, name: bytes | None) -> Sequence[Client]:
        """The clients at an address, or the one of them that a caller says it is."""
        return [
            client
            for client in self._clients.values()
            if OAUTH in client.may
            and client.is_at(address)
            and name in (None, client.name.encode())
        ]

    def _log_in(
        self,
        call: Call,
        callers: Sequence[Client],
        server: bytes,
        grant: oauth_api.PasswordGrant,
    ) -> None:
        """A ticket for a password. Raises TurnedAway."""
        client = _who_may(callers, server)
        user = _escaped(grant.user)
        outcome = self._authenticator.check_password(
            self._front_end,
            user,
            server,
            grant.password,
            client.deadline or self._deadline,
            number=call.number,
            caller=client.name,
            address=_user_address(client, call),
        )
        outcome.addCallback(self._grant, call, user, server).addErrback(call.fail)

    def _grant(self, outcome: Outcome, call: Call, user: bytes, server: bytes) -> None:
        if outcome.verdict is Verdict.ACCEPTED:
            jid = JID(preparation.local(user), preparation.domain(server))
            call.answer(replies.granted(self._tickets.issue(jid)))
        else:
            call.answer(replies.not_granted(outcome))

    def _tell(self, call: Call, callers: Sequence[Client], server: bytes) -> None:
        """Whose a ticket or a token is. Raises TurnedAway, BadRequest."""
        client = _who_may(callers, server)
        try:
            token = oauth_api.read_bearer(authorization(call))
        except BadRequest:
            raise TurnedAway(Reason.CREDENTIALS_MISSING, replies.NO_TOKEN) from None
        try:
            domain = preparation.domain(server)
        except preparation.Unprepared as error:
            raise BadRequest(str(error)) from None
        refusal = partial(_not_of, domain)
        if http_tickets.is_one(token):
            found = succeed(self._take(call, client, token, refusal))
        else:
            found = self._check(call, client, Secret(token), (domain,), refusal)
        found.addCallback(lambda found: call.answer(replies.told(found))).addErrback(call.fail)

    def _take(
        self, call: Call, client: Client, ticket: bytes, refusal: Callable[[JID], Reason | None]
    ) -> Found:
        """Whose ticket it is."""
        logins = self._authenticator.logins
        login = logins.begin(self._front_end, OAUTH, None, call.number, client.name)
        login.jid = jid = self._tickets.take(ticket)
        why = Reason.TOKEN_UNKNOWN if jid is None else refusal(jid)
        outcome = model.TOKEN_VALID if why is None else model.rejected(why)
        logins.settle(login, outcome)
        return outcome, None if why is not None or jid is None else Identity(jid, None)

    def _look_up(self, call: Call, callers: Sequence[Client], token: Secret) -> None:
        """Whose a token is, of whatever domain."""
        served = self._authenticator.served
        named = frozenset[str]().union(*(client.domains for client in callers))
        if ANY_DOMAIN in named:
            domains = frozenset(served)
        elif ANY_DOMAIN in served:
            domains = named
        else:
            domains = named.intersection(served)
        refusal = partial(_not_for, callers)
        found = self._check(call, callers[0], token, sorted(domains), refusal)
        found.addCallback(self._looked_up, call).addErrback(call.fail)

    def _looked_up(self, found: Found, call: Call) -> None:
        call.answer(replies.looked_up(found, self._wall()))

    def _check(
        self,
        call: Call,
        client: Client,
        token: Secret,
        domains: Sequence[str],
        refusal: Callable[[JID], Reason | None],
    ) -> Deferred[Found]:
        return self._token_logins.check(
            self._front_end,
            OAUTH,
            token,
            domains,
            refusal,
            client.deadline or self._deadline,
            number=call.number,
            caller=client.name,
            address=_user_address(client, call),
        )


def _check_form(call: Call, path: bytes, query: bytes) -> None:
    """Raises TurnedAway, BadRequest."""
    method, content = PATHS[path]
    malformed = Reason.REQUEST_MALFORMED
    if call.method != method:
        raise replies.away(405, malformed, "not with this method", ((b"Allow", method),))
    if content and not is_of_type(content, call.values(b"content-type")):
        raise replies.away(415, malformed, f"the Content-Type is not {content.decode()}")
    if query and path not in (TOKEN, USERINFO):
        raise BadRequest("this path takes no parameters")


def _who_may(callers: Sequence[Client], domain: bytes) -> Client:
    """The first of them that may ask about the domain. Raises TurnedAway."""
    for client in callers:
        if client.may_ask(OAUTH, domain):
            return client
    raise replies.away(403, Reason.CALLER_NOT_ALLOWED)


def _not_for(callers: Sequence[Client], jid: JID) -> Reason | None:
    """Why they are not told of a user."""
    domain = jid.domain.encode()
    told = any(client.may_ask(OAUTH, domain) for client in callers)
    return None if told else Reason.CALLER_NOT_ALLOWED


def _not_of(domain: str, jid: JID) -> Reason | None:
    """Why a user is none of this domain whom Prosody could be told of: it escapes the name that it
    is told, and has to come out at the same user."""
    if jid.domain != domain:
        return Reason.TOKEN_USER_WRONG
    try:
        preparation.unescape(jid.local)
    except preparation.Unprepared:
        return Reason.USER_MALFORMED
    return None


def _escaped(user: bytes) -> bytes:
    """The localpart of a name that Prosody has taken the escapes from; empty, which is nobody's,
    where none would be the same user again."""
    try:
        escaped = preparation.escape(user.decode())
        local = preparation.local(escaped.encode())
        preparation.unescape(local)
    except (UnicodeDecodeError, preparation.Unprepared):
        return b""
    # Preparing makes an escape of what is none, such as a wide backslash: that is somebody else.
    return escaped.encode() if local == escaped or "\\" not in local else b""


def _user_address(client: Client, call: Call) -> str:
    """Of the user's client, where somebody says so who is known by a secret."""
    return "" if client.secret is None else client_address(call)
