"""Callers who take their time: octet after octet, or nothing at all."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from itertools import cycle

from .http_attacks import PATIENCE, RIGHT

#: Seconds between two octets: often enough to look alive to whoever starts anew at each.
PAUSE = 0.5


async def drip(
    port: int, first: bytes, then: bytes = b"", tls: ssl.SSLContext | None = None
) -> bytes:
    """Send `first` at once, and `then` over and over octet by octet; what the server has said when
    it ends the connection. Without `then` the caller is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    said = bytearray()

    async def send() -> None:
        writer.write(first)
        for octet in cycle(then):
            await asyncio.sleep(PAUSE)
            writer.write(bytes([octet]))

    sending = asyncio.create_task(send())
    try:
        while piece := await reader.read(65536):
            said += piece
    except ConnectionResetError:
        pass
    finally:
        sending.cancel()
        writer.transport.abort()
    return bytes(said)


def deaf(port: int, octets: bytes) -> bool:
    """Send this, and then octet by octet, until nobody takes them any more, whatever is said;
    False if somebody always does."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(octets)
        for _ in range(int(PATIENCE / PAUSE)):
            try:
                connection.sendall(b"a")
            except ConnectionError:
                return True
            time.sleep(PAUSE)
    return False


async def _stay(port: int, first: bytes, then: bytes) -> None:
    while True:
        try:
            await drip(port, first, then)
        except OSError:
            await asyncio.sleep(PAUSE)


async def _crowd(port: int, idle: int, slow: int, over: asyncio.Event) -> None:
    # Who has logged in once may stay idle for longer than who has not.
    visits = [_stay(port, RIGHT, b"") for _ in range(idle)]
    visits += [_stay(port, RIGHT[:60], b"a") for _ in range(slow)]
    staying = asyncio.gather(*visits)
    await over.wait()
    staying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await staying


@contextlib.contextmanager
def crowd(port: int, *, idle: int, slow: int) -> Iterator[None]:
    """So many idle and slow callers, who come again when they are turned out, as long as this
    lasts."""
    with asyncio.Runner() as runner:
        over = asyncio.Event()
        thread = threading.Thread(target=runner.run, args=[_crowd(port, idle, slow, over)])
        thread.start()
        try:
            yield
        finally:
            runner.get_loop().call_soon_threadsafe(over.set)
            thread.join()
