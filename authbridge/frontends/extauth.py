"""ejabberd's extauth: what its verbs mean, and the Unix socket that the connectors come to."""

from __future__ import annotations

import pwd
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakSet

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.authenticator import Authenticator
from authbridge.direct import Writer
from authbridge.model import Outcome, Reason, Verdict
from authbridge.peers import credentials
from authbridge.rooms import QUIET, Room
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.wire import extauth
from authbridge.wire.extauth import ERROR, FALSE, TRUE, FrameReader, Hello, Malformed

OUTAGE_ANSWERS = {"true": TRUE, "false": FALSE, "error": ERROR}
HEAD_START = 0.5
"""Seconds by which the daemon gives up before the connector does, so that an answer is logged with
its reason by who knows it."""
LONGEST_DEADLINE = 25.0
"""Seconds; ejabberd gives up after 30, the time in its own queue included."""
MOST_UNANSWERED = 256
"""Questions of one connector; it has 64 itself, and more are not read until some are answered."""
MOST_IN_A_TURN = 64
"""Questions of one connector that are taken in one turn of the reactor."""

READ_SIZE = 65536
"""Octets that are read at once."""

_REFUSED = {
    "removeuser": "remove_user",
    "removeuser3": "remove_user",
    "certauth": "check_certificate",
}

log = Logger()


@dataclass(frozen=True, slots=True)
class ExtauthSettings:
    """[extauth]"""

    users: tuple[str, ...]
    """Local users whose connectors are served: names, or uids as strings."""
    uids: frozenset[int]
    """The same as numbers."""
    deadline: float
    """Seconds until ejabberd has its answer, whatever happens."""
    outage_auth: bytes
    outage_isuser: bytes

    @classmethod
    def read(cls, table: Table, deadline: float, *, serves: bool) -> ExtauthSettings:
        """Read the table, and close it. `serves`: there is a listener, so the users must exist."""
        users = table.texts("users", ("ejabberd",))
        outage = table.table("on_unavailable")
        settings = cls(
            users=users,
            uids=uids(users, table) if serves else frozenset(),
            deadline=table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE),
            # No "true" for auth: an outage must never let anybody in.
            outage_auth=OUTAGE_ANSWERS[outage.choice("auth", ("false", "error"), "error")],
            outage_isuser=OUTAGE_ANSWERS[outage.choice("isuser", OUTAGE_ANSWERS, "true")],
        )
        outage.close()
        table.close()
        return settings

    def hello(self, *, admitted: bool = True) -> Hello:
        """What a connector is told of these settings."""
        return Hello(self.deadline, self.outage_auth, self.outage_isuser, admitted=admitted)


def uids(users: tuple[str, ...], table: Table) -> frozenset[int]:
    """The users' uids; a name that this machine does not know is a mistake."""
    found = set()
    for user in users:
        if user.isdecimal():
            found.add(int(user))
            continue
        try:
            found.add(pwd.getpwnam(user).pw_uid)
        except KeyError:
            names = [entry.pw_name for entry in pwd.getpwall()]
            table.wrong("users", f'there is no local user "{user}"{did_you_mean(user, names)}')
    return frozenset(found)


class ExtauthFrontEnd:
    """A request of ejabberd in, its four octets out."""

    NAME = "extauth"

    def __init__(self, authenticator: Authenticator, settings: ExtauthSettings) -> None:
        self._authenticator = authenticator
        self._terms = settings.hello()
        self._deadline = max(settings.deadline - HEAD_START, settings.deadline / 2)

    def ask(self, frame: bytes, answered: Callable[[bytes], None]) -> None:
        """Call `answered` with the answer, exactly once, now or within the deadline."""
        try:
            request = extauth.parse(frame)
        except Malformed:
            self._authenticator.logins.turn_away(self.NAME, "-", Reason.REQUEST_MALFORMED)
            return answered(extauth.refusal(frame))
        verb, user, domain = request.verb, request.user, request.domain
        refused = FALSE
        if verb == "auth":
            outcome = self._authenticator.check_password(
                self.NAME, user, domain, Secret(request.password), self._deadline
            )
            outage = self._terms.auth
        elif verb == "isuser":
            outcome = self._authenticator.user_exists(self.NAME, user, domain, self._deadline)
            outage = self._terms.isuser
        elif verb in _REFUSED:
            self._authenticator.refuse(
                self.NAME, _REFUSED[verb], user, domain, Reason.NOT_SUPPORTED
            )
            return answered(extauth.refusal(frame))
        else:
            change = (
                self._authenticator.set_password
                if verb == "setpass"
                else self._authenticator.register
            )
            outcome = change(self.NAME, user, domain, Secret(request.password), self._deadline)
            refused, outage = extauth.refusal(frame), ERROR
        outcome.addCallback(_deliver, outage, refused, answered)

    def outage(self, frame: bytes) -> bytes:
        """The answer to a request that there is no time left for."""
        return self._terms.outage(frame)


def _deliver(
    outcome: Outcome, outage: bytes, refused: bytes, answered: Callable[[bytes], None]
) -> None:
    try:
        answered(answer_of(outcome, outage, refused))
    except Exception:  # noqa: BLE001 - a fault in writing it; the login has had its verdict
        log.failure("an answer was not delivered")


def answer_of(outcome: Outcome, outage: bytes, refused: bytes = FALSE) -> bytes:
    """The four octets for an outcome; `outage` is what an UNAVAILABLE one answers."""
    if outcome.verdict is Verdict.ACCEPTED:
        return TRUE
    return outage if outcome.verdict is Verdict.UNAVAILABLE else refused


@implementer(IPushProducer)
class ConnectorLine(Protocol):
    """The connection of one connector (`connector`, and `wire.extauth` for what is said on it)."""

    def __init__(
        self,
        front_end: ExtauthFrontEnd,
        settings: ExtauthSettings,
        clock: IReactorTime,
        room: Room,
        strangers: Strangers,
    ) -> None:
        self._front_end = front_end
        self._settings = settings
        self._clock = clock
        self._room = room
        self._strangers = strangers
        self._questions = FrameReader(head=4)
        self._later: deque[bytes] = deque()  # questions for the next turns of the reactor
        self._unanswered = 0
        self._batch: list[bytes] | None = None
        self._connected = False
        self._unread = False  # by the connector, of our answers
        self._paused = False
        self._retiring = False  # nothing more is taken

    def connectionMade(self) -> None:
        """Serve the user that the kernel names, if it is one of ours and there is room."""
        transport: Any = self.transport
        self._writer = Writer(transport)
        if isinstance(transport, Connection):
            # In place of the Unix transport's own, which looks for descriptors passed along with
            # the octets (recvmsg), and costs a login a tenth more.
            transport.doRead = self._read  # type: ignore[method-assign]
        pid, uid = credentials(transport.socket)
        admitted = uid in self._settings.uids
        if admitted and not self._room.enter(self, f"uid {uid}"):
            return self.make_way()
        self._connected = admitted
        transport.registerProducer(self, True)
        self._write(self._settings.hello(admitted=admitted).encode())
        if admitted:
            log.info("connector {pid} of uid {uid} is here", pid=pid, uid=uid)
        else:
            self._strangers.tell(uid, pid)
            transport.unregisterProducer()
            transport.loseConnection()

    def overdue(self) -> None:
        """Nothing is expected of a connector: it may be idle for days."""

    def retire(self) -> None:
        """Answer what was taken, and take no more. The rest is asked again at the next daemon; were
        it taken and not answered, a token would be used up for nothing."""
        if not self._connected:
            return
        self._retiring = True
        self._later.clear()
        self._pace()
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._retiring and not self._unanswered:
            self._connected = False
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def make_way(self) -> None:
        """There is no room, or no time left: it asks the next daemon what was not answered, and is
        told nothing any more."""
        self._connected = False
        self._transport.abortConnection()

    def _read(self) -> ConnectionDone | ConnectionLost | None:
        try:
            data = self._transport.socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self.dataReceived(data)
        return None

    def dataReceived(self, data: bytes) -> None:
        """Questions. Too many in one piece are taken in several turns, so that nobody else waits
        for all of them."""
        if self._retiring or not self._connected:
            return
        questions = self._questions.feed(data)
        if len(questions) <= MOST_IN_A_TURN and not self._later:
            return self._ask(questions)
        if not self._later:
            self._clock.callLater(0, self._take)
        self._later += questions
        self._pace()

    def _take(self) -> None:
        if not self._connected:
            return
        count = min(MOST_IN_A_TURN, len(self._later), MOST_UNANSWERED - self._unanswered)
        self._ask([self._later.popleft() for _ in range(count)])
        if self._later and self._unanswered < MOST_UNANSWERED:
            self._clock.callLater(0, self._take)

    def _ask(self, questions: list[bytes]) -> None:
        """What is answered at once is written in one piece."""
        batch: list[bytes] = []
        self._batch = batch
        try:
            for question in questions:
                self._unanswered += 1
                self._front_end.ask(question[4:], partial(self._answered, question[:4]))
        finally:
            self._batch = None
        if batch:
            self._write(b"".join(batch))
        self._pace()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """What is under way is finished by its deadline; its answers have nowhere to go."""
        self._connected = False
        self._later.clear()
        self._room.leave(self)

    def _answered(self, number: bytes, answer: bytes) -> None:
        self._unanswered -= 1
        octets = number + answer[2:]
        if self._batch is not None:
            self._batch.append(octets)
        elif self._connected:
            self._write(octets)
            self._leave_if_done()
            if self._later and self._unanswered == MOST_UNANSWERED - 1:
                self._clock.callLater(0, self._take)
            self._pace()

    def pauseProducing(self) -> None:
        """The connector does not read its answers: it shall not ask for more."""
        self._unread = True
        self._pace()

    def resumeProducing(self) -> None:
        """It has read them."""
        self._unread = False
        self._pace()

    def stopProducing(self) -> None:
        """The connection ends."""

    def _pace(self) -> None:
        """Read on while there is not too much to answer, and what was answered is read."""
        too_much = (
            self._unread
            or self._retiring
            or bool(self._later)
            or self._unanswered >= MOST_UNANSWERED
        )
        if too_much is self._paused:
            return
        self._paused = too_much
        if too_much:
            self._transport.pauseProducing()
        else:
            self._transport.resumeProducing()

    @property
    def _transport(self) -> Any:
        return self.transport

    def _write(self, octets: bytes) -> None:
        self._writer.write(octets)


class Strangers:
    """Tells the log who has come that may not, each user once in a while: anybody may come."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._told: dict[int, float] = {}  # in the order of the times

    def tell(self, uid: int, pid: int) -> None:
        """Somebody of this user has come."""
        now = self._clock.seconds()
        while self._told and now - self._told[first := next(iter(self._told))] >= QUIET:
            del self._told[first]
        if uid not in self._told:
            self._told[uid] = now
            log.warn("uid {uid} (pid {pid}) is not among [extauth].users", uid=uid, pid=pid)


class ConnectorFactory(Factory):
    """Makes the connections of one listener."""

    noisy = False

    def __init__(
        self,
        front_end: ExtauthFrontEnd,
        settings: ExtauthSettings,
        clock: IReactorTime,
        room: Room,
    ) -> None:
        self._made = (front_end, settings, clock, room, Strangers(clock))
        self._lines: WeakSet[ConnectorLine] = WeakSet()

    def stopFactory(self) -> None:
        """The listener is closed."""
        for line in tuple(self._lines):
            line.retire()

    def buildProtocol(self, addr: IAddress | None) -> ConnectorLine:
        """The connection of one connector."""
        line = ConnectorLine(*self._made)
        self._lines.add(line)
        return line
