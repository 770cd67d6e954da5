"""Octets written straight to a connection's socket.

`transport.write` notes the octets and has the reactor watch the socket: an epoll_ctl, a turn, the
write, and another epoll_ctl. An answer or a bind nearly always fits into the socket at once.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection


class Writer:
    """Writes to a connection while nobody else does: what others have written, and the socket has
    not taken, would come later."""

    __slots__ = ("_direct", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        # By its class: what wraps a connection for TLS would hand out the bare one's methods.
        self._direct = isinstance(transport, Connection) and not transport.TLS

    def write(self, octets: bytes) -> None:
        """Write now what the socket takes. The transport has the rest, and from then on all: its
        buffer comes first, and only it knows when that is empty."""
        if self._direct:
            taken = self._transport.writeSomeData(octets)
            if taken == len(octets):
                return
            self._direct = False
            if isinstance(taken, int):
                octets = octets[taken:]
            # Else the connection is broken, as the transport will find out by itself.
        self._transport.write(octets)
