"""What a directory can do wrong: each a `Fault`, for `fault_proxy`."""

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

from .ldap_messages import (
    BIND_RESPONSE,
    EVERYTHING,
    EXTENDED_RESPONSE,
    SEARCH_DONE,
    SEARCH_ENTRY,
    SEARCH_REFERENCE,
    SEARCHES,
    Kind,
    Message,
    ber,
    message,
    result,
)


class Link(Protocol):
    """A connection of the daemon, and what may be done to it."""

    over: bool

    def to_daemon(self, octets: bytes) -> None:
        """Send what a server could have said."""

    def to_server(self, octets: bytes) -> None:
        """Send what the daemon could have said."""

    async def say(self, octets: bytes) -> None:
        """Send in clear, before TLS."""

    async def hear(self, size: int) -> bytes:
        """Exactly so many octets, in clear, before TLS."""

    async def wait_for_end(self) -> None:
        """Until the daemon ends the connection."""

    def reset(self) -> None:
        """End it with RST."""

    def half_close(self) -> None:
        """End one direction, and TLS has not said goodbye."""


class Fault:
    """What a proxy does. This one does nothing wrong."""

    #: Whether anybody listens.
    listens = True
    #: Whether connections that are open end when it begins.
    ends = False

    def __init__(self, concerned: frozenset[Kind] = EVERYTHING) -> None:
        """It is done to requests of these kinds, or to the replies to them."""
        self.concerned = concerned

    async def meet(self, link: Link) -> bool:
        """A connection has come, and nothing was said yet; False where nothing will be."""
        return True

    async def ask(self, link: Link, request: Message) -> None:
        """A request of the daemon."""
        link.to_server(request.octets)

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """A reply of the server to this request."""
        link.to_daemon(reply.octets)

    async def start_tls(self, link: Link, request: Message) -> bool:
        """A request for StartTLS, in clear; whether TLS begins with it. Else nothing is said any
        more."""
        await link.say(result(request.number, EXTENDED_RESPONSE, 0))
        return True


PASS = Fault()


class Refuse(Fault):
    """There is no server: nobody listens."""

    listens = False
    ends = True


class Slam(Fault):
    """Connections are reset as soon as they are there, and those that were there before."""

    ends = True

    async def meet(self, link: Link) -> bool:
        """Reset."""
        link.reset()
        return False


class Ponder(Fault):
    """Whoever comes has to wait for a moment before TLS."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def meet(self, link: Link) -> bool:
        """Later."""
        await asyncio.sleep(self._seconds)
        return True


class Hang(Fault):
    """Connections are accepted, and that was all that is ever heard."""

    async def meet(self, link: Link) -> bool:
        """Say nothing until the daemon has enough of it."""
        await link.wait_for_end()
        return False

    async def ask(self, link: Link, request: Message) -> None:
        """Say nothing."""

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """Say nothing."""


class Mute(Fault):
    """The server does what it is asked, and is not heard."""

    async def start_tls(self, link: Link, request: Message) -> bool:
        """Say nothing."""
        return False

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """Say nothing."""


class Delay(Fault):
    """Each message of the server is late."""

    def __init__(self, seconds: float, concerned: frozenset[Kind] = EVERYTHING) -> None:
        super().__init__(concerned)
        self._seconds = seconds

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """Later."""
        await asyncio.sleep(self._seconds)
        link.to_daemon(reply.octets)


class Hold(Fault):
    """No message of the server is passed on before the test says so."""

    def __init__(self, concerned: frozenset[Kind] = EVERYTHING) -> None:
        super().__init__(concerned)
        self._over = threading.Event()

    def release(self) -> None:
        """From now on they are, and those that were held; from any thread."""
        self._over.set()

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """When it is time."""
        while not self._over.is_set() and not link.over:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.02)
        link.to_daemon(reply.octets)


class Reset(Fault):
    """The connection is reset in the middle of a reply."""

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """Half of it."""
        link.to_daemon(reply.octets[: len(reply.octets) // 2])
        # What is not sent yet would be lost with a reset.
        await asyncio.sleep(0.02)
        link.reset()


class HalfClose(Fault):
    """The server says that it will say no more, and goes on listening."""

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """The end."""
        link.half_close()


class Trickle(Fault):
    """Octet after octet, and never a whole message."""

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """The beginning of a message of 4096 octets."""
        head = b"\x30\x82\x10\x00\x02\x01" + bytes([request.number & 0x7F])
        for octet in head + b"\x04" * 1000:
            if link.over:
                return
            link.to_daemon(bytes([octet]))
            await asyncio.sleep(0.1)


class Refer(Fault):
    """Whoever searches is told that there is more at another server."""

    def __init__(self, url: str) -> None:
        super().__init__(SEARCHES)
        self._url = url.encode()

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """First that, and then the end of the search."""
        if reply.tag == SEARCH_DONE:
            link.to_daemon(message(request.number, SEARCH_REFERENCE, ber(4, self._url)))
        link.to_daemon(reply.octets)


class Say(Fault):
    """The proxy answers in the server's place, which is not asked."""

    def __init__(
        self, words: Callable[[Message], bytes], concerned: frozenset[Kind] = EVERYTHING
    ) -> None:
        """`words`: the reply to a request."""
        super().__init__(concerned)
        self._words = words

    async def ask(self, link: Link, request: Message) -> None:
        """Answer what has an answer."""
        if request.kind is Kind.OTHER:
            link.to_server(request.octets)
        else:
            link.to_daemon(self._words(request))

    async def start_tls(self, link: Link, request: Message) -> bool:
        """Answer, and go on in clear."""
        await link.say(self._words(request))
        return False


class ClearText(Fault):
    """StartTLS is granted, and then there is no TLS: a success comes instead, in clear."""

    def __init__(self, *, at_once: bool = False) -> None:
        """`at_once`: with the grant, ahead of what it would answer."""
        super().__init__()
        self._at_once = at_once

    async def start_tls(self, link: Link, request: Message) -> bool:
        """Grant it."""
        granted = result(request.number, EXTENDED_RESPONSE, 0)
        success = result(request.number + 1, BIND_RESPONSE, 0)
        if self._at_once:
            await link.say(granted + success)
        else:
            await link.say(granted)
            await link.hear(1)
            await link.say(success)
        return False


class Instead(Fault):
    """The server is asked, and something else comes in place of its last reply."""

    def __init__(
        self, words: Callable[[Message, Message], bytes], concerned: frozenset[Kind] = EVERYTHING
    ) -> None:
        """`words`: what comes, of a request and the reply to it."""
        super().__init__(concerned)
        self._words = words

    async def answer(self, link: Link, request: Message, reply: Message) -> None:
        """Entries and references are dropped."""
        if reply.tag not in (SEARCH_ENTRY, SEARCH_REFERENCE):
            link.to_daemon(self._words(request, reply))


def answers(code: int, concerned: frozenset[Kind] = EVERYTHING, referral: str = "") -> Say:
    """A server that answers with this result code."""

    def words(request: Message) -> bytes:
        return result(request.number, request.answer_tag, code, referral)

    return Say(words, concerned)
