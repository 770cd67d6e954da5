"""Who stands between the daemon and a directory, and breaks what passes as a test wants it.

TLS ends here, with a certificate of its own, and requests go on to slapd in clear: so each message
is seen, and each password. What is done to them is a `Fault`; it may be changed at any time, and
counts at once for connections that are open.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from typing import Self

from .faults import PASS, Fault, Refuse
from .ldap_messages import Kind, Message, read_message
from .pki import Pki
from .ports import free_port
from .waiting import LIMIT


class Link:
    """One connection from the daemon, and the one to the server that belongs to it."""

    def __init__(self, proxy: "FaultProxy", incoming: socket.socket) -> None:
        self._proxy = proxy
        self._socket = incoming
        self._handed_over = False
        self._daemon: asyncio.StreamWriter | None = None
        self._server: asyncio.StreamWriter | None = None
        self._asked: dict[int, Message] = {}
        #: Whether a firewall has forgotten it: nothing passes, in either direction.
        self.forgotten = False
        self.over = False

    def to_daemon(self, octets: bytes) -> None:
        """Send what a server could have said."""
        if self._daemon is not None and not self.over:
            self._daemon.write(octets)

    def to_server(self, octets: bytes) -> None:
        """Send what the daemon could have said."""
        if self._server is not None and not self.over:
            self._server.write(octets)

    async def say(self, octets: bytes) -> None:
        """Send in clear, before TLS."""
        await asyncio.get_running_loop().sock_sendall(self._socket, octets)

    async def hear(self, size: int) -> bytes:
        """Exactly so many octets, in clear, before TLS."""
        octets = b""
        while len(octets) < size:
            loop = asyncio.get_running_loop()
            more = await loop.sock_recv(self._socket, size - len(octets))
            if not more:
                raise EOFError
            octets += more
        self._proxy.received += octets
        return octets

    async def wait_for_end(self) -> None:
        """Until the daemon ends the connection."""
        while True:
            await self.hear(1)

    def reset(self) -> None:
        """End it with RST."""
        self.over = True
        with contextlib.suppress(OSError):  # the daemon was faster
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if self._daemon is not None:
            self._daemon.transport.abort()

    def half_close(self) -> None:
        """FIN, and TLS has not said goodbye."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def run(self) -> None:
        """From the first to the last octet."""
        try:
            if await self._begin():
                await self._exchange()
        except (OSError, EOFError):  # one of the two has ended it; TLS errors are of these
            pass

    def close(self) -> None:
        """Leave nothing open, whether it has begun or not."""
        self.over = True
        for writer in (self._daemon, self._server):
            if writer is not None:
                writer.transport.abort()
        if not self._handed_over:
            self._socket.close()

    async def _begin(self) -> bool:
        """Whatever comes before the first request."""
        proxy = self._proxy
        if not await proxy.fault.meet(self):
            return False
        if proxy.start_tls:
            request = await read_message(self.hear)
            if not await proxy.fault_for(request).start_tls(self, request):
                await self.wait_for_end()
        loop = asyncio.get_running_loop()
        self._from_daemon = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(self._from_daemon)
        self._handed_over = True
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, self._socket, ssl=proxy.context
        )
        self._daemon = asyncio.StreamWriter(transport, protocol, self._from_daemon, loop)
        return True

    async def _exchange(self) -> None:
        """Requests and replies, until one side has enough."""
        port = self._proxy.server_port
        self._from_server, self._server = await asyncio.open_connection("127.0.0.1", port)
        pumps = [asyncio.create_task(pump()) for pump in (self._requests, self._replies)]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _requests(self) -> None:
        async def read(size: int) -> bytes:
            octets = await self._from_daemon.readexactly(size)
            self._proxy.received += octets
            return octets

        while True:
            request = await read_message(read)
            self._asked[request.number] = request
            self._proxy.requests.append(request)
            if not self.forgotten:
                await self._proxy.fault_for(request).ask(self, request)

    async def _replies(self) -> None:
        while True:
            reply = await read_message(self._from_server.readexactly)
            request = self._asked[reply.number]
            if not self.forgotten:
                await self._proxy.fault_for(request).answer(self, request, reply)


class FaultProxy:
    """Listens on a port of 127.0.0.1, for one slapd. `FaultProxies` makes them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, server_port: int, pki: Pki, start_tls: bool
    ) -> None:
        self.server_port = server_port
        self.start_tls = start_tls
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.chain)
        self.fault = PASS
        #: Whatever the daemon has sent, as far as it could be read.
        self.received = b""
        self.requests: list[Message] = []
        #: When each connection came; seconds of time.monotonic.
        self.came: list[float] = []
        #: What went wrong in the proxy itself.
        self.failures: list[BaseException] = []
        self._loop = loop
        self.port = free_port()
        self._listening = self._bind(self.port)
        self._accepting = False
        self._links: dict[asyncio.Task[None], Link] = {}

    @property
    def url(self) -> str:
        """For `servers`."""
        return f"{'ldap' if self.start_tls else 'ldaps'}://127.0.0.1:{self.port}"

    def do(self, fault: Fault) -> None:
        """From now on this is done."""
        asyncio.run_coroutine_threadsafe(self.begin(fault), self._loop).result(LIMIT)

    def forget(self) -> None:
        """Like a firewall that has lost its table: nothing passes on the connections that are open
        now, and nobody is told. New ones are as ever."""
        asyncio.run_coroutine_threadsafe(self._forget(), self._loop).result(LIMIT)

    def user_binds(self) -> list[str]:
        """The DNs of all binds that the daemon has sent, but for its own."""
        return [one.name for one in self.requests if one.kind is Kind.USER_BIND]

    def fault_for(self, request: Message) -> Fault:
        """What is done to this request, and to the replies to it."""
        return self.fault if request.kind in self.fault.concerned else PASS

    async def begin(self, fault: Fault) -> None:
        """See `do`; in the thread of the proxies."""
        self.fault = fault
        if fault.listens and not self._accepting:
            self._listening.listen(1024)
            self._loop.add_reader(self._listening, self._accept)
            self._accepting = True
        elif not fault.listens and self._accepting:
            self._loop.remove_reader(self._listening)
            self._accepting = False
            self._listening.close()
            self._listening = self._bind(self.port)
        if fault.ends:
            ended = dict(self._links)
            for task, link in ended.items():
                link.reset()
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)

    async def end(self) -> None:
        """Close everything; in the thread of the proxies."""
        await self.begin(Refuse())
        self._listening.close()

    @staticmethod
    def _bind(port: int) -> socket.socket:
        """A socket that does not listen, and keeps its port from everybody else."""
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.setblocking(False)
        return bound

    async def _forget(self) -> None:
        for link in self._links.values():
            link.forgotten = True

    def _accept(self) -> None:
        try:
            incoming, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):  # the daemon has thought better of it
            return
        incoming.setblocking(False)
        self.came.append(time.monotonic())
        link = Link(self, incoming)
        task = self._loop.create_task(link.run())
        self._links[task] = link
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._links.pop(task).close()
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.failures.append(failure)


class FaultProxies:
    """A thread with any number of proxies."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._all: list[FaultProxy] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(LIMIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        failures = [failure for proxy in self._all for failure in proxy.failures]
        if failures:
            raise failures[0]

    def before(self, server_port: int, pki: Pki, *, start_tls: bool = False) -> FaultProxy:
        """A proxy that does nothing wrong yet. `server_port` is where slapd speaks without TLS;
        `pki` has the certificate that the daemon sees; with `start_tls` it sees it later."""
        proxy = FaultProxy(self._loop, server_port, pki, start_tls)
        proxy.do(PASS)
        self._all.append(proxy)
        return proxy

    async def _end(self) -> None:
        for proxy in self._all:
            await proxy.end()
        for _ in range(10):  # connections are closed a moment after they are told to
            await asyncio.sleep(0)
