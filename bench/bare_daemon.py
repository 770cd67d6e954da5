"""The least that answers the bare relays: a protocol on a Unix socket, one compact token."""

import sys
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.protocol import Factory, Protocol

from bench.passwords import is_right


class Relayed(Protocol):
    """One relay's connection."""

    buffer = b""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        buffer = self.buffer + data
        while len(buffer) >= 2 and len(buffer) >= (end := 2 + int.from_bytes(buffer[:2], "big")):
            right = is_right(buffer[2:end])
            buffer = buffer[end:]
            transport.write(b"\x00\x02\x00\x01" if right else b"\x00\x02\x00\x00")
        self.buffer = buffer


if __name__ == "__main__":
    reactor: Any = installed
    reactor.listenUNIX(sys.argv[1], Factory.forProtocol(Relayed), mode=0o600)
    reactor.run()
