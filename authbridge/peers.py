"""Who is at the other end of a connection: an address, or the user that the kernel names."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

UNIX = "unix"
"""The address of whoever comes by a Unix socket."""


def address_of(transport: Any) -> str:
    """The IP address at the other end, or `UNIX`."""
    host: str | None = getattr(transport.getPeer(), "host", None)
    return UNIX if host is None else plain_address(host)


def plain_address(host: str) -> str:
    """An address of a socket in the one form in which it is compared: IPv4 in its own form, also
    where it came over IPv6; without the zone of IPv6."""
    address = host.partition("%")[0]
    if ":" not in address:
        return address
    found = ipaddress.IPv6Address(address)
    return str(found.ipv4_mapped or found)


def peer_of(transport: Any) -> str:
    """Whose a connection is: an address (of IPv6 the /64 that one caller has), or "uid N"."""
    address = address_of(transport)
    if address == UNIX:
        return f"uid {credentials(transport.socket)[1]}"
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def credentials(sock: socket.socket) -> tuple[int, int]:
    """pid and uid of the process at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", octets)
    return pid, uid
