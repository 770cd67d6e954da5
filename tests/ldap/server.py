"""A server in the test's hands, and a network in memory that is also its clock.

Nothing moves on this network before the test says `settle`; what one end has written until then
arrives as one segment. TLS is real. Requests are taken apart here without a line of ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from OpenSSL import SSL
from twisted.internet import interfaces
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

PPOLICY = b"1.3.6.1.4.1.42.2.27.8.5.1"
START_TLS = b"1.3.6.1.4.1.1466.20037"
DISCONNECTION = b"1.3.6.1.4.1.1466.20036"

# --- replies --------------------------------------------------------------------------------------


def tlv(tag: int, *contents: bytes) -> bytes:
    """An element."""
    content = b"".join(contents)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(octets)]) + octets + content


def number(value: int, tag: int = 2) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def reply(message_id: int, operation: bytes, *controls: bytes) -> bytes:
    """A message; `controls` are encoded, each for itself."""
    return tlv(0x30, number(message_id), operation, tlv(0xA0, *controls) if controls else b"")


def result(tag: int, code: int, text: bytes = b"", *more: bytes) -> bytes:
    return tlv(tag, number(code, 10), tlv(4), tlv(4, text), *more)


def referral(*uris: bytes) -> bytes:
    """What a result has in it that names other servers."""
    return tlv(0xA3, *(tlv(4, uri) for uri in uris))


def bound(message_id: int, code: int = 0, text: bytes = b"", *controls: bytes) -> bytes:
    return reply(message_id, result(0x61, code, text), *controls)


def done(message_id: int, code: int = 0, text: bytes = b"", *more: bytes) -> bytes:
    return reply(message_id, result(0x65, code, text, *more))


def entry(message_id: int, dn: bytes, attributes: dict[str, list[bytes]] | None = None) -> bytes:
    pairs = (
        tlv(0x30, tlv(4, name.encode()), tlv(0x31, *(tlv(4, value) for value in values)))
        for name, values in (attributes or {}).items()
    )
    return reply(message_id, tlv(0x64, tlv(4, dn), tlv(0x30, *pairs)))


def reference(message_id: int) -> bytes:
    return reply(message_id, tlv(0x73, tlv(4, b"ldap://elsewhere.example/dc=x")))


def extended(message_id: int, code: int = 0, text: bytes = b"", name: bytes = b"") -> bytes:
    return reply(message_id, result(0x78, code, text, tlv(0x8A, name) if name else b""))


def written(request: Request, code: int = 0, text: bytes = b"", *controls: bytes) -> bytes:
    """The answer to a change of whatever kind."""
    tag = {"modify": 0x67, "add": 0x69, "delete": 0x6B, "extended": 0x78}[request.kind]
    return reply(request.id, result(tag, code, text), *controls)


def goodbye(code: int = 52, text: bytes = b"shutting down") -> bytes:
    """A Notice of Disconnection."""
    return extended(0, code, text, DISCONNECTION)


def policy(
    *, error: int | None = None, seconds: int | None = None, grace: int | None = None
) -> bytes:
    """The password policy control of a reply."""
    warning = b""
    if seconds is not None:
        warning = tlv(0xA0, number(seconds, 0x80))
    if grace is not None:
        warning = tlv(0xA0, number(grace, 0x81))
    value = tlv(0x30, warning, b"" if error is None else number(error, 0x81))
    return tlv(0x30, tlv(4, PPOLICY), tlv(4, value))


# --- requests -------------------------------------------------------------------------------------

KINDS = {
    0x60: "bind", 0x42: "unbind", 0x63: "search", 0x50: "abandon", 0x77: "extended",
    0x66: "modify", 0x68: "add", 0x4A: "delete",
}  # fmt: skip
Filter = tuple[Any, ...]


@dataclass(frozen=True)
class Request:
    """What a client asked. What its kind has not is empty."""

    id: int
    kind: str
    name: bytes = b""
    """The DN of a bind or a change, the base of a search, the OID of an extended request."""
    password: bytes = b""
    scope: int = -1
    limits: tuple[int, int] = (-1, -1)
    """Entries and seconds."""
    filter: Filter = ()
    attributes: tuple[bytes, ...] = ()
    abandoned: int = 0
    value: bytes = b""
    """Of an extended request."""
    changes: tuple[tuple[int, bytes, tuple[bytes, ...]], ...] = ()
    """What is done with which attribute, and its values; of an add, 0 is done with each."""
    controls: tuple[bytes, ...] = ()


def children(octets: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element in a row."""
    found = []
    while octets:
        size, start = octets[1], 2
        if size >= 128:
            start += size - 128
            size = int.from_bytes(octets[2:start], "big")
        assert len(octets) >= start + size, "an element is cut"
        found.append((octets[0], octets[start : start + size]))
        octets = octets[start + size :]
    return found


def whole(octets: bytes) -> int:
    """How long the first message is; 0 where it is not all there."""
    if len(octets) < 2 or (octets[1] >= 128 and len(octets) < octets[1] - 126):
        return 0
    size, start = octets[1], 2
    if size >= 128:
        start += size - 128
        size = int.from_bytes(octets[2:start], "big")
    return start + size if len(octets) >= start + size else 0


def read_filter(octets: bytes) -> Filter:
    """("and", …), ("not", …), ("eq", name, value), ("present", name), ("substrings", name, …)…"""
    ((tag, content),) = children(octets)
    if tag in (0xA0, 0xA1, 0xA2):
        nested = (tlv(inner, inside) for inner, inside in children(content))
        return ({0xA0: "and", 0xA1: "or", 0xA2: "not"}[tag], *map(read_filter, nested))
    if tag == 0x87:
        return ("present", content)
    if tag == 0xA9:
        return ("extensible", *children(content))
    (_, name), (_, value) = children(content)
    if tag == 0xA4:
        return ("substrings", name, *children(value))
    return ({0xA3: "eq", 0xA5: "ge", 0xA6: "le", 0xA8: "approx"}[tag], name, value)


def read_request(octets: bytes) -> Request:
    ((envelope, content),) = children(octets)
    (id_tag, id_octets), (tag, body), *rest = children(content)
    assert (envelope, id_tag) == (0x30, 2)
    controls = tuple(
        children(one)[0][1] for kind, some in rest if kind == 0xA0 for _, one in children(some)
    )
    message_id, kind = int.from_bytes(id_octets, "big", signed=True), KINDS[tag]
    if kind == "bind":
        version, (_, name), (simple, password) = children(body)
        assert (version, simple) == ((2, b"\3"), 0x80)
        return Request(message_id, kind, name, password, controls=controls)
    if kind == "search":
        (_, base), (_, scope), (_, deref), (_, most), (_, seconds), (_, types) = children(body)[:6]
        assert (deref, types) == (b"\0", b"\0"), "aliases are dereferenced, or values left out"
        inner = children(body)[6]
        wanted = tuple(name for _, name in children(children(body)[7][1]))
        return Request(
            message_id, kind, base, scope=scope[0], attributes=wanted, controls=controls,
            limits=(int.from_bytes(most, "big"), int.from_bytes(seconds, "big")),
            filter=read_filter(tlv(*inner)),
        )  # fmt: skip
    if kind == "abandon":
        return Request(message_id, kind, abandoned=int.from_bytes(body, "big"))
    if kind in ("modify", "add"):
        (_, dn), (_, listed) = children(body)
        return Request(message_id, kind, dn, changes=tuple(read_changes(listed)))
    if kind == "delete":
        return Request(message_id, kind, body)
    (_, name), *more = children(body) if kind == "extended" else [(0, b"")]
    assert [tag for tag, _ in more] in ([], [0x81])
    return Request(message_id, kind, name, value=more[0][1] if more else b"", controls=controls)


def read_changes(listed: bytes) -> Iterator[tuple[int, bytes, tuple[bytes, ...]]]:
    """What a modify or an add does."""
    for _, change in children(listed):
        what, attribute = 0, change
        if change[0] == 10:
            (_, done_with), (_, attribute) = children(change)
            what = done_with[0]
        (_, name), (_, values) = children(attribute)
        yield what, name, tuple(value for _, value in children(values))


# --- the server -----------------------------------------------------------------------------------

Answer = Callable[["Server", Request], bytes | None]


class Server(Protocol):
    """One connection, as the server sees it. Answers as `answer` says, or when the test says."""

    transport: Any

    def __init__(self, answer: Answer | None = None, tls: SSL.Context | None = None) -> None:
        """With `tls` it speaks TLS from the start."""
        self.heard = b""
        """Every octet of LDAP, decrypted."""
        self.requests: list[Request] = []
        self.lost = False
        self._answer = answer
        self._tls = tls
        self._held = b""

    def connectionMade(self) -> None:
        if self._tls is not None:
            self.start_tls(self._tls)

    def start_tls(self, context: SSL.Context) -> None:
        self.transport.startTLS(ServerTls(context))

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._held += data
        while size := whole(self._held):
            request = read_request(self._held[:size])
            self._held = self._held[size:]
            self.requests.append(request)
            octets = self._answer(self, request) if self._answer else None
            if octets:
                self.say(octets)

    def say(self, *octets: bytes) -> None:
        self.transport.write(b"".join(octets))

    def connectionLost(self, reason: Failure) -> None:
        self.lost = True

    @property
    def kinds(self) -> list[str]:
        return [request.kind for request in self.requests]

    @property
    def last(self) -> Request:
        return self.requests[-1]


class Mute(Server):
    """Takes everything and never says anything, be it LDAP or TLS: a process that is stopped."""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


@implementer(interfaces.IOpenSSLServerConnectionCreator)
class ServerTls:
    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tls: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


# --- a directory ----------------------------------------------------------------------------------


def fold(value: bytes) -> str:
    """What a directory takes for the same: case, width and blanks do not count."""
    text = unicodedata.normalize("NFKC", value.decode("utf-8", "backslashreplace")).casefold()
    return " ".join(text.split())


@dataclass
class Book:
    """People with passwords. Its `answer` is a server's."""

    entries: dict[bytes, dict[str, list[bytes]]] = field(default_factory=dict)
    passwords: dict[bytes, bytes] = field(default_factory=dict)
    controls: dict[bytes, bytes] = field(default_factory=dict)
    """The control that comes with the answer to a bind, by DN."""
    codes: dict[bytes, int] = field(default_factory=dict)
    """The result of a bind with the right password, by DN; else 0."""
    search_result: tuple[int, bytes] = (0, b"")
    asked: list[Request] = field(default_factory=list)
    """Everything, by whatever connection it came."""

    def add(self, dn: bytes, password: bytes = b"", **attributes: list[bytes]) -> None:
        self.entries[dn] = attributes
        if password:
            self.passwords[dn] = password

    def of(self, kind: str) -> list[Request]:
        return [request for request in self.asked if request.kind == kind]

    def answer(self, server: Server, request: Request) -> bytes | None:
        self.asked.append(request)
        if request.kind == "bind":
            right = self.passwords.get(request.name) == request.password
            code = self.codes.get(request.name, 0) if right else 49
            controls = [self.controls[request.name]] if request.name in self.controls else []
            return bound(request.id, code, b"", *controls)
        if request.kind == "search":
            code, text = self.search_result
            found = [] if code not in (0, 4) else list(self._find(request))
            if request.limits[0] and len(found) > request.limits[0]:
                found, code = found[: request.limits[0]], 4
            entries = (
                entry(request.id, dn, self._wanted(attributes, request.attributes))
                for dn, attributes in found
            )
            return b"".join([*entries, done(request.id, code, text)])
        return None

    def _find(self, request: Request) -> Iterator[tuple[bytes, dict[str, list[bytes]]]]:
        for dn, attributes in self.entries.items():
            below = dn.endswith(b"," + request.name) and request.scope == 2
            if (below or dn == request.name) and self._is(request.filter, attributes):
                yield dn, attributes

    def _is(self, wanted: Filter, attributes: dict[str, list[bytes]]) -> bool:
        kind, *parts = wanted
        if kind in ("and", "or"):
            return {"and": all, "or": any}[kind](self._is(part, attributes) for part in parts)
        values = {name.lower(): some for name, some in attributes.items()}
        if kind == "present":
            name = parts[0].decode().lower()
            return name == "objectclass" or name in values
        assert kind == "eq"
        folded = map(fold, values.get(parts[0].decode().lower(), ()))
        return fold(parts[1]) in list(folded)

    def _wanted(
        self, attributes: dict[str, list[bytes]], names: Iterable[bytes]
    ) -> dict[str, list[bytes]]:
        wanted = {name.decode().lower() for name in names}
        return {name: some for name, some in attributes.items() if name.lower() in wanted}


# --- the network ----------------------------------------------------------------------------------


class Socket:
    """What a transport is made of."""

    def __init__(self) -> None:
        self.options: dict[tuple[int, int], int] = {}

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options[level, option] = value


class End:
    """One end of a connection: the transport of a protocol."""

    def __init__(self, network: Network, protocol: Protocol, *, client: bool) -> None:
        self.network = network
        self.protocol: Any = protocol
        self.peer: End
        self.connected = True
        self.options: dict[str, bool] = {}
        self.socket = Socket()
        self.aborted = False
        self.deaf = False
        """Whether what arrives is not looked at: the program hangs."""
        self.paused = False
        """Whether the protocol wants nothing for now; the rest waits."""
        self._client = client
        self._out: list[bytes] = []
        self._ending = False
        self._tls: Any = None

    def write(self, data: bytes) -> None:
        (self._tls or self.raw).write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def loseConnection(self) -> None:
        (self._tls or self.raw).loseConnection()

    def abortConnection(self) -> None:
        if self.connected:
            self._out.clear()
            self.aborted = True
            self.connected = False
            self.network.callLater(0, self._lose, Failure(ConnectionAborted()))
            self.network.callLater(0, self.peer.drop)

    def drop(self) -> None:
        """The network breaks here."""
        if self.connected:
            self.connected = False
            self._lose(Failure(ConnectionLost()))

    def startTLS(self, creator: Any) -> None:
        factory = TLSMemoryBIOFactory(creator, self._client, None, self.network)  # type: ignore[arg-type]
        tls = BufferingTLSTransport(factory, self.protocol, False)
        self._tls = self.protocol = tls
        self.getHandle = tls.getHandle  # type: ignore[method-assign]
        tls.makeConnection(self.raw)

    def setTcpNoDelay(self, on: bool) -> None:
        self.options["nodelay"] = on

    def setTcpKeepAlive(self, on: bool) -> None:
        self.options["keepalive"] = on

    def getHandle(self) -> Any:
        return self.socket

    def getPeer(self) -> Any:
        return IPv4Address("TCP", "192.0.2.1", 389)

    getHost = getPeer

    @property
    def raw(self) -> Raw:
        """The same below its TLS."""
        return Raw(self)

    def deliver(self) -> bool:
        """Bring what was written to the other end; whether anything moved."""
        if self._out and self.peer.connected:
            if self.peer.paused:
                return False
            data = b"".join(self._out)
            self._out.clear()
            self.network.carried += data
            if not self.peer.deaf:
                self.peer.protocol.dataReceived(data)
            return True
        if self._ending and self.connected:
            self.connected = False
            self._lose(Failure(ConnectionDone()))
            if self.peer.connected:
                self.peer.connected = False
                self.peer._lose(Failure(ConnectionDone()))
            return True
        return False

    def _lose(self, reason: Failure) -> None:
        self.protocol.connectionLost(reason)


class Raw:
    """An end without its TLS."""

    disconnecting = False

    def __init__(self, end: End) -> None:
        self._end = end

    def write(self, data: bytes) -> None:
        if self._end.connected and not self._end._ending:
            self._end._out.append(data)

    def loseConnection(self) -> None:
        self._end._ending = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._end, name)


class Attempt:
    """A connection that a client tries to make."""

    def __init__(self, network: Network, host: str, port: int, factory: Any) -> None:
        self.network, self.host, self.port, self.factory = network, host, port, factory
        self.at = network.seconds()
        self.over = False

    def getDestination(self) -> Any:
        return IPv4Address("TCP", self.host, self.port)

    def stopConnecting(self) -> None:
        self.over = True

    def proceed(self) -> bool:
        """Succeed or fail, if the place says so; whether it did."""
        place = self.network.places.get((self.host, self.port), ConnectError(111))
        if self.over or place is None:
            return False
        self.over = True
        if isinstance(place, Exception):
            self.factory.clientConnectionFailed(self, Failure(place))
        else:
            server = place()
            self.network.servers.append(server)
            self.network.join(self.factory.buildProtocol(None), server)
        return True


@implementer(interfaces.IReactorTCP, interfaces.IReactorPluggableNameResolver)
class Network(Clock):
    """Time, names, places and what connects them."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[tuple[str, int], Callable[[], Server] | Exception | None] = {}
        """What is at an address: a server, an error, None for silence. Else it is refused."""
        self.names: dict[str, list[str]] = {}
        self.attempts: list[Attempt] = []
        self.servers: list[Server] = []
        """The servers' ends of all connections, in their order."""
        self.carried = b""
        """Every octet that went over it, either way, encrypted or not."""
        self.nameResolver = self
        self._ends: list[End] = []

    def settle(self, seconds: float = 0) -> None:
        """Let time pass, then everything happen that can."""
        self.advance(seconds)
        for _ in range(10_000):
            moved = [attempt.proceed() for attempt in list(self.attempts)]
            moved += [end.deliver() for end in list(self._ends)]
            due = any(call.getTime() <= self.seconds() for call in self.getDelayedCalls())
            if not any(moved) and not due:
                return
            self.advance(0)
        raise AssertionError("the network does not come to rest")

    def listen(
        self,
        host: str = "192.0.2.1",
        port: int = 389,
        *,
        answer: Answer | None = None,
        tls: SSL.Context | None = None,
    ) -> None:
        """Put a server somewhere."""
        self.places[host, port] = lambda: Server(answer, tls)

    def join(self, client: Protocol, server: Protocol) -> None:
        """Connect two protocols."""
        ends = End(self, client, client=True), End(self, server, client=False)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        self._ends += ends
        server.makeConnection(ends[1])  # type: ignore[arg-type]
        client.makeConnection(ends[0])  # type: ignore[arg-type]

    @property
    def open(self) -> list[Server]:
        """The servers' ends of the connections that there are now."""
        return [server for server in self.servers if not server.lost]

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> Attempt:
        attempt = Attempt(self, host, port, factory)
        self.attempts.append(attempt)
        factory.doStart()
        factory.startedConnecting(attempt)
        return attempt

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0) -> Any:
        receiver.resolutionBegan(None)
        for address in self.names.get(hostName, ()):
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()
        return receiver

    def installNameResolver(self, resolver: Any) -> Any:
        raise NotImplementedError

    def listenTCP(self, *arguments: Any) -> Any:
        raise NotImplementedError
