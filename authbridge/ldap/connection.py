"""One connection: requests under their ids, replies judged and handed to who asked.

Everything of one `dataReceived` is judged before anything of it counts, so that a reply can only
answer a request that was sent before the reply came: not one that follows from an earlier reply of
the same segment, nor one that StartTLS is to protect.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.client_tls import TlsServer
from authbridge.direct import Writer
from authbridge.ldap import codec, names
from authbridge.ldap.ber import Malformed
from authbridge.ldap.codec import Inbox, Reply, Result
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Operation
from authbridge.ldap.tls import explain
from authbridge.model import Reason

MOST_ABANDONED = 32
"""Searches that nobody waits for any more, and that the server has not ended: slapd never does. A
connection with more gets no new ones, and is closed when it has answered the others."""
SILENCE = 1.0
"""Seconds; a connection on which a search waited so long, and nothing came, is not used again."""
CLOSED = Fault(Reason.DIRECTORY_UNREACHABLE, "the connection was closed")
KEEP_ALIVE = (
    (socket.TCP_KEEPIDLE, 20),
    (socket.TCP_KEEPINTVL, 5),
    (socket.TCP_KEEPCNT, 3),
)
"""Seconds, seconds and times: the kernel notices in 35 s that the other end is gone, and until then
keeps the connection known to what lies between. Its own first look is after two hours."""
LAST_ID = 1 << 30
"""A connection that has sent so many requests is closed, and ids begin anew on another."""


class Owner(Interface):
    """Who has the connection, and sends on it."""

    def settled(self, connection: Connection) -> None:
        """An operation has ended; there is room for another."""

    def lost(self, connection: Connection, unanswered: list[Operation], fault: Fault) -> None:
        """The connection is gone, and these operations have no answer."""


class Farewell:
    """A connection that is being closed."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.ended = False
        self.due = 0.0

    def expire(self) -> None:
        """See `deadlines.Due`."""
        self.ended = True
        self._transport.abortConnection()


@implementer(IHandshakeListener)
class Connection(Protocol):
    """A connection to `server`, which is its name for people."""

    transport: Any

    def __init__(self, server: str, deadlines: Deadlines) -> None:
        self.server = server
        self.owner: Owner | None = None
        self.awaited: dict[int, Operation] = {}
        """By message id: what was sent, and has not ended."""
        self.opened_at = 0.0
        """When its owner got it, in seconds."""
        self.sent_at = 0.0
        """When something was sent last, in seconds."""
        self.answered = 0.0
        """When what was answered last would have been due: the later of two was sent later."""
        self.retiring = False
        """Whether it is to be closed when nothing is awaited."""
        self.heard = 0
        """How often the server has said something whole."""
        self._deadlines = deadlines
        self._inbox = Inbox()
        self._abandoned: set[int] = set()
        self._abandons: deque[int] = deque(maxlen=MOST_ABANDONED)  # LLDAP answers them
        self._next_id = 1
        self._known = 1  # ids below it had been sent when the message that is held began
        self._farewell: Farewell | None = None
        self._writer: Writer
        self._server: TlsServer | None = None
        self._handshake: Deferred[None] | None = None
        self.gone = False
        """Whether it can no longer be used."""

    @property
    def worn_out(self) -> bool:
        """Whether its ids are used up."""
        return self._next_id > LAST_ID

    def send(self, operation: Operation, deadlines: Deadlines | None = None) -> None:
        """Send it now, to be answered within the connection's deadlines or those given; it fails
        where the connection is gone. Raises RuntimeError where it may not
        be sent beside what is awaited: slapd drops requests that come with a bind, and an answer
        could not be told from another."""
        if self.gone:
            operation.fail(Fault(CLOSED.reason, f"{self.server} ended the connection"))
            return
        awaited = self.awaited
        if awaited and (operation.exclusive or next(iter(awaited.values())).exclusive):
            raise RuntimeError("a bind has its connection to itself")
        message_id = self._next_id
        self._next_id = message_id + 1
        awaited[message_id] = operation
        operation.message_id = message_id
        operation.link = self
        operation.heard = self.heard
        deadlines = deadlines or self._deadlines
        deadlines.watch(operation)
        self.sent_at = operation.due - deadlines.seconds
        octets = codec.message(message_id, operation.request)
        if operation.exclusive:
            self._writer.write(octets)
        else:  # searches of one turn of the reactor go out together
            self.transport.write(octets)

    def expire(self, operation: Operation) -> None:
        """No result in time."""
        self._give_up(operation, silent=operation.heard == self.heard)
        operation.fail(self._silence())

    def withdraw(self, operation: Operation) -> bool:
        """Nobody waits for it any more: its login's time is over before its own. Whether the server
        was silent meanwhile."""
        silent = False
        if self.awaited.get(operation.message_id) is operation:
            waited = self._deadlines.waited(operation)
            silent = operation.heard == self.heard and waited >= SILENCE
            self._give_up(operation, silent=silent)
        # Else its answer is here, in the batch that is being told.
        operation.ended = True
        operation.request = b""
        return silent

    def _give_up(self, operation: Operation, *, silent: bool) -> None:
        """Abandon a search. The connection of a bind is closed, as what comes next on it could be
        the answer; so is a silent one. Its searches that were not sent long ago are sent again on
        another."""
        del self.awaited[operation.message_id]
        if operation.exclusive or silent:
            waited = self._deadlines.waited
            others = [one for one in self.awaited.values() if waited(one) >= SILENCE]
            for other in others:
                del self.awaited[other.message_id]
            self.close(Fault(Reason.DIRECTORY_UNREACHABLE, f"{self.server} was silent"))
            for other in others:
                other.fail(self._silence())
            return
        self._abandoned.add(operation.message_id)
        if len(self._abandoned) > MOST_ABANDONED:
            self.retiring = True
        request = codec.abandon_request(operation.message_id)
        self.transport.write(codec.message(self._next_id, request))
        self._abandons.append(self._next_id)
        self._next_id += 1
        self._settled()

    def close(self, fault: Fault | None = None) -> None:
        """End it: at once where there is a fault, with which fails what is awaited; else with a
        word of goodbye."""
        if self.gone:
            return
        if self.transport is None:  # it was not made yet
            self._lose(fault or CLOSED)
        elif fault is None:
            self.transport.write(codec.message(self._next_id, codec.unbind_request()))
            self.transport.loseConnection()
            # TLS waits for the other side's goodbye, which a server that hangs never says.
            self._farewell = Farewell(self.transport)
            self._deadlines.watch(self._farewell)
            self._lose(CLOSED)
        else:
            self.transport.abortConnection()
            self._lose(fault)

    def secure(self, server: TlsServer) -> Deferred[None]:
        """Begin TLS. Fires when the server is verified; fails with a Fault where it is not, and
        then nothing has been sent to it."""
        self._server = server
        self._handshake = Deferred(lambda _: None)
        self.transport.startTLS(server)
        self._writer = Writer(self.transport)
        return self._handshake

    def describe(self) -> str:
        """The server, and how it was verified, in words."""
        if self._server is None:
            return f"{self.server}, not encrypted"
        how = "" if self.server.startswith("ldaps:") else "StartTLS, "
        return f"{self.server}, {how}{self._server.describe(self.transport)}"

    def connectionMade(self) -> None:
        """Without TCP_NODELAY the first bind of a TLS connection waits for 40 ms."""
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        for option, value in KEEP_ALIVE:
            self.transport.getHandle().setsockopt(socket.IPPROTO_TCP, option, value)
        self._writer = Writer(self.transport)

    def handshakeCompleted(self) -> None:
        """TLS is there; now the name."""
        assert self._server is not None
        trouble = self._server.trouble_with(self.transport)
        if trouble is not None:
            self.close(Fault(Reason.DIRECTORY_UNTRUSTED, f"{self.server}: {trouble}"))
            return
        handshake, self._handshake = self._handshake, None
        assert handshake is not None
        handshake.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Judge all of it, then tell who waits."""
        if self.gone:
            return
        ended: list[Operation] = []
        try:
            goodbye = self._judge(data, ended)
        except Malformed as error:
            for operation in ended:  # nothing of a bad batch counts
                self.awaited[operation.message_id] = operation
            self.close(Fault(Reason.DIRECTORY_FAILED, f"{self.server}: {error}"))
            return
        if goodbye is not None:
            self.close(goodbye)
        for operation in ended:
            self.answered = operation.due
            self._settled()
            operation.finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server has closed it, or the network has, or we have."""
        if self._farewell is not None:
            self._farewell.ended = True
        if self._handshake is not None:
            self._lose(explain(self.server, self._server, reason))
        else:
            self._lose(Fault(Reason.DIRECTORY_UNREACHABLE, f"{self.server} ended the connection"))

    def _judge(self, data: bytes, ended: list[Operation]) -> Fault | None:
        """Take the replies; who has got the last one goes to `ended`. Returns the server's word
        of goodbye, if it has said one."""
        inbox, awaited = self._inbox, self.awaited
        # A message that was held may only answer what was sent before it began.
        known = self._known if inbox.partial else self._next_id
        replies = inbox.feed(data)
        if replies:  # octets that trickle in, and are none, are silence
            self.heard += 1
        elif known != self._next_id:
            return None
        goodbye = None
        for reply in replies:
            message_id = reply.message_id
            operation = awaited.get(message_id) if message_id < known else None
            if operation is None:
                goodbye = self._take_other(reply) or goodbye
            elif operation.take(reply):
                del awaited[message_id]
                ended.append(operation)
            known = self._next_id
        if inbox.partial:
            if not awaited and not self._abandoned:
                raise Malformed("an answer begins before anything was asked")
            self._known = known
        return goodbye

    def _take_other(self, reply: Reply) -> Fault | None:
        """A reply that nobody waits for: the end of an abandoned search, or a word of goodbye."""
        if reply.message_id == 0 and isinstance(reply.content, Result):
            said = names.describe(reply.content)
            words = f"{self.server} ended the connection: {said}"
            return Fault(Reason.DIRECTORY_UNREACHABLE, words)
        if reply.message_id in self._abandons and reply.operation == codec.EXTENDED_RESPONSE:
            self._abandons.remove(reply.message_id)
            return None
        if reply.message_id not in self._abandoned:
            raise Malformed("an answer to nothing that was asked")
        if reply.operation == codec.SEARCH_DONE:
            self._abandoned.discard(reply.message_id)
        elif reply.operation not in (codec.SEARCH_ENTRY, codec.SEARCH_REFERENCE):
            raise Malformed("a search is answered by something else")
        return None

    def _silence(self) -> Fault:
        seconds = self._deadlines.seconds
        return Fault(Reason.DIRECTORY_SILENT, f"{self.server} gave no answer in {seconds:g} s")

    def _settled(self) -> None:
        if self.owner is not None:
            self.owner.settled(self)

    def _lose(self, fault: Fault) -> None:
        if self.gone:
            return
        self.gone = True
        unanswered = list(self.awaited.values())
        self.awaited.clear()
        if self._handshake is not None:
            handshake, self._handshake = self._handshake, None
            if not handshake.called:  # nobody waits for one that was cancelled
                handshake.errback(fault)
        if self.owner is not None:
            self.owner.lost(self, unanswered, fault)
        else:
            for operation in unanswered:
                operation.fail(fault)
