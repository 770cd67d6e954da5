"""The paths of `listen.http` for tokens, and for logins by one (`wire.token_api`): each needs a
client with a secret."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from authbridge import model, preparation
from authbridge.frontends import http_answers as answers
from authbridge.frontends import http_token_bodies as bodies
from authbridge.frontends.clients import Client, Credentials
from authbridge.frontends.http_answers import ASK, Headers, TurnedAway
from authbridge.frontends.http_logins import client_address
from authbridge.frontends.http_server import CANNOT_TELL, Call
from authbridge.issuers.issuers import KeysUnavailable
from authbridge.logins import Logins
from authbridge.model import Reason
from authbridge.outbound.bosh import BoshRefused, BoshUnreachable
from authbridge.prebind import ABANDONED, PREBIND_DONE, Prebind, outcome_of
from authbridge.stores.ledger import StoreUnavailable
from authbridge.token_office.grants import Grant, Refusal, Wanted
from authbridge.token_office.office import TokenOffice
from authbridge.tokens import temporary
from authbridge.wire import token_api
from authbridge.wire.http import FORM, JSON, NO_CONTENT, Answer, BadRequest, is_of_type

T = TypeVar("T")

NOTHING_KEEPS = "no checker accepts temporary tokens"

_ID = re.compile(f"/tokens/({temporary.ID})".encode())
_BELOW = b"/tokens/"

# Of what is refused; 403 for any other reason.
_STATUS = {
    Reason.REQUEST_MALFORMED: 400,
    Reason.USER_MALFORMED: 400,
    Reason.TOKEN_UNKNOWN: 404,
    Reason.TOKENS_TOO_MANY: 409,
    Reason.RATE_EXCEEDED: 429,
    Reason.NOT_SUPPORTED: 501,
    Reason.TOKEN_NOT_ACCEPTED: 501,
}


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks the office."""

    office: TokenOffice
    grant: Grant
    number: str
    """The call's id."""
    token_id: str
    """Of the path; empty where there is none."""
    query: bytes
    body: bytes = field(repr=False)
    """There may be a token in it."""
    front_end: str
    prebind: Prebind | None
    logins: Logins
    address: str
    """Of the user's client, where the caller says so."""
    gone: Callable[[], bool]
    """Whether nobody waits for the answer any more."""

    @property
    def audit(self) -> dict[str, Any]:
        """What the office writes down beside what it finds out."""
        return {"front_end": self.front_end, "number": self.number}


async def _issue(asked: Question) -> Answer:
    new = token_api.read_new(asked.body)
    wanted = Wanted(new.jid, new.ttl, new.uses, new.device, new.note)
    issued = await asked.office.issue(asked.grant, wanted, **asked.audit)
    location = b"/tokens/" + issued.id.encode()
    return bodies.answer(bodies.issued(issued), 201, ((b"Location", location),))


async def _list(asked: Question) -> Answer:
    jid = token_api.read_listed(asked.query)
    kept = await asked.office.list(asked.grant, jid)
    return bodies.answer(
        {"jid": str(preparation.jid(jid)), "tokens": [bodies.kept(one) for one in kept]}
    )


async def _revoke_one(asked: Question) -> Answer:
    await asked.office.revoke(asked.grant, asked.token_id, **asked.audit)
    return Answer(NO_CONTENT, b"")


async def _revoke_many(asked: Question) -> Answer:
    of = token_api.read_revoked(asked.body)
    if isinstance(of, token_api.OfUser):
        count = await asked.office.revoke_user(asked.grant, of.jid, **asked.audit)
        return bodies.answer({"revoked": count})
    await asked.office.revoke_signed(asked.grant, of.issuer, of.jti, of.before, **asked.audit)
    return bodies.answer({"revoked": None})


async def _introspect(asked: Question) -> Answer:
    shown = token_api.read_shown(asked.body)
    found = await asked.office.lookup.introspect(asked.grant, shown.token, shown.username)
    return bodies.answer({"active": False} if found is None else bodies.active(found))


async def _revoke_shown(asked: Question) -> Answer:
    shown = token_api.read_shown(asked.body)
    try:
        await asked.office.revoke_token(asked.grant, shown.token, shown.username, **asked.audit)
    except Refusal as no:
        if no.reason is Reason.NOT_SUPPORTED:
            return answers.oauth_error(400, no.reason, no.words)  # RFC 7009, 2.2.1
        if no.reason is not Reason.TOKEN_UNKNOWN:
            raise
    return Answer(200, b"")


async def _log_in(asked: Question) -> Answer:
    """A session for a page, made before it is rendered."""
    wanted = token_api.read_prebind(asked.body)
    login = asked.logins.begin(
        asked.front_end,
        "prebind",
        number=asked.number,
        caller=asked.grant.name,
        address=asked.address,
    )
    if asked.prebind is None:
        asked.logins.settle(login, model.rejected(Reason.NOT_SUPPORTED))
        raise Refusal(Reason.NOT_SUPPORTED, "no domain has a `bosh_url`")
    outcome = model.unavailable(Reason.INTERNAL_ERROR)
    try:
        session = await asked.prebind.log_in(asked.grant, wanted.jid, wanted.resource, login)
        outcome = ABANDONED if asked.gone() else PREBIND_DONE
    except (Refusal, StoreUnavailable, BoshRefused, BoshUnreachable) as error:
        outcome = outcome_of(error)
        raise
    except CancelledError:
        outcome = model.unavailable(Reason.DEADLINE_PASSED)
        raise
    finally:
        asked.logins.settle(login, outcome)
    if outcome is ABANDONED:
        session.end()
        raise Refusal(ABANDONED.reason, ABANDONED.reason.words)
    return bodies.answer(bodies.handed_over(session))


UNWRITTEN = (_list, _introspect)
"""Of these the office writes no line."""


@dataclass(frozen=True, slots=True)
class Path:
    """What is asked by each method of one path."""

    verb: str
    """What a client's `may` names, and the log."""
    methods: Mapping[bytes, Callable[[Question], Awaitable[Answer]]]
    content: bytes = JSON
    """Of what is posted."""
    refuse: Callable[[int, Reason, str, Headers], Answer] = answers.problem


PATHS = {
    b"/tokens": Path("tokens", {b"GET": _list, b"POST": _issue}),
    b"/tokens/revoke": Path("tokens", {b"POST": _revoke_many}),
    b"/prebind": Path("prebind", {b"POST": _log_in}),
    b"/introspect": Path("introspect", {b"POST": _introspect}, FORM, answers.oauth_error),
    b"/revoke": Path("revoke", {b"POST": _revoke_shown}, FORM, answers.oauth_error),
}
ONE_TOKEN = Path("tokens", {b"DELETE": _revoke_one})
NO_SUCH = Path("tokens", {})


class Found(NamedTuple):
    """A path, and the id of the token that it names."""

    path: Path
    token_id: str


def find(path: bytes) -> Found | None:
    """What is asked at this path, if it is one of ours."""
    found = PATHS.get(path)
    if found is not None:
        return Found(found, "")
    if not path.startswith(_BELOW):
        return None
    match = _ID.fullmatch(path)
    return Found(NO_SUCH, "") if match is None else Found(ONE_TOKEN, match[1].decode())


class TokenPaths:
    """Answers the calls of these paths."""

    def __init__(
        self,
        office: TokenOffice | None,
        prebind: Prebind | None,
        credentials: Credentials,
        deadline: float,
        front_end: str,
        logins: Logins,
    ) -> None:
        """`deadline` in seconds, for clients without their own. Without an office nobody is
        served."""
        self._office = office
        self._prebind = prebind
        self._credentials = credentials
        self._deadline = deadline
        self._front_end = front_end
        self._logins = logins
        self._under_way: dict[Deferred[None], tuple[Call, Path]] = {}
        self._idle: list[Deferred[None]] = []

    def idle(self) -> Deferred[None]:
        """Fires when nothing is under way."""
        if not self._under_way:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def end(self) -> None:
        """Wait for nobody any more: what is under way cannot be told."""
        for work, (call, path) in tuple(self._under_way.items()):
            _give_up(call, path, work, Reason.STOPPING)

    def serve(self, call: Call, found: Found, query: bytes) -> None:
        """Answer one call, now or when the office has; at its deadline in any case."""
        client = self._credentials.find(call.values(b"authorization"))
        work = Deferred.fromCoroutine(self._serve(call, found, query, client))
        if not work.called:
            deadline = (client and client.deadline) or self._deadline
            expiry = call.channel.clock.callLater(
                deadline, _give_up, call, found.path, work, Reason.DEADLINE_PASSED
            )
            work.addBoth(_stop, expiry)
            self._under_way[work] = (call, found.path)
        work.addErrback(_failed, call, found.path)
        work.addCallback(lambda _: self._left(work))

    def _left(self, work: Deferred[None]) -> None:
        self._under_way.pop(work, None)
        if not self._under_way:
            waiting, self._idle = self._idle, []
            for one in waiting:
                if not one.called:
                    one.callback(None)

    async def _serve(self, call: Call, found: Found, query: bytes, client: Client | None) -> None:
        path = found.path
        caller = call.channel.address if client is None else client.name
        note = partial(self._logins.turn_away, self._front_end, path.verb, number=call.number)
        try:
            asked = self._question(call, found, query, client)
            act = path.methods[call.method]
            answer, last = await act(asked), False
        except TurnedAway as no:
            note(no.reason, caller=caller)
            answer, last = no.answer, True
        except BadRequest as error:
            note(Reason.REQUEST_MALFORMED, caller=caller)
            answer, last = path.refuse(400, Reason.REQUEST_MALFORMED, str(error), ()), True
        except Refusal as no:
            if act in UNWRITTEN:
                note(no.reason, caller=caller)
            answer, last = refused(path, no), False
        except StoreUnavailable:
            answer, last = unavailable(path, Reason.STATE_UNAVAILABLE), False
        except KeysUnavailable:
            answer, last = unavailable(path, Reason.KEYS_UNAVAILABLE), False
        except (BoshRefused, BoshUnreachable) as error:
            answer, last = unavailable(path, outcome_of(error).reason), False
        call.answer(answer, last=last)

    def _question(self, call: Call, found: Found, query: bytes, client: Client | None) -> Question:
        """Raises TurnedAway, BadRequest."""
        path = found.path

        def away(status: int, reason: Reason, words: str, headers: Headers = ()) -> TurnedAway:
            return TurnedAway(reason, path.refuse(status, reason, words, headers))

        if not path.methods:
            raise away(404, Reason.REQUEST_MALFORMED, "no such path")
        if client is None:
            raise away(401, Reason.CALLER_UNKNOWN, Reason.CALLER_UNKNOWN.words, ASK)
        if path.verb not in client.may:
            words = f'the `may` of this client lacks "{path.verb}"'
            raise away(403, Reason.CALLER_NOT_ALLOWED, words)
        if call.method not in path.methods:
            allowed = ((b"Allow", b", ".join(path.methods)),)
            raise away(405, Reason.REQUEST_MALFORMED, "not with this method", allowed)
        if call.method == b"POST" and not is_of_type(path.content, call.values(b"content-type")):
            words = f"the Content-Type is not {path.content.decode()}"
            raise away(415, Reason.REQUEST_MALFORMED, words)
        if query and call.method != b"GET":
            raise BadRequest("only a GET has parameters in its path")
        if self._office is None:
            raise away(501, Reason.NOT_SUPPORTED, NOTHING_KEEPS)
        return Question(
            self._office,
            client.grant,
            call.number,
            found.token_id,
            query,
            call.body,
            self._front_end,
            self._prebind,
            self._logins,
            client_address(call),
            lambda: call.gone,
        )


def _give_up(call: Call, path: Path, work: Deferred[None], reason: Reason) -> None:
    call.answer(unavailable(path, reason))
    work.cancel()


def _stop(result: T, expiry: IDelayedCall) -> T:
    if expiry.active():
        expiry.cancel()
    return result


def _failed(failure: Failure, call: Call, path: Path) -> None:
    if call.answered and failure.check(CancelledError):
        return  # at the deadline
    call.answer(unavailable(path, Reason.INTERNAL_ERROR))
    call.fail(failure)  # into the log


def refused(path: Path, no: Refusal) -> Answer:
    """What the office says no to."""
    headers: Headers = ()
    if no.retry_after:
        headers = ((b"Retry-After", b"%d" % math.ceil(no.retry_after)),)
    return path.refuse(_STATUS.get(no.reason, 403), no.reason, no.words, headers)


def unavailable(path: Path, reason: Reason) -> Answer:
    """Cannot tell."""
    return path.refuse(CANNOT_TELL.status, reason, reason.words, CANNOT_TELL.headers)
