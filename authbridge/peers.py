"""Who is at the other end of a connection: an address, or the user that the kernel names; and who
may be, as the configuration lists it."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import Any

from authbridge.settings import Table

UNIX = "unix"
"""The address of whoever comes by a Unix socket."""

_IPV4_WITHIN = ipaddress.IPv6Network("::ffff:0:0/96")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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


def is_among(address: str, networks: Iterable[Network], *, unix: bool) -> bool:
    """Whether a caller from there is one of these: an IP address in one of the networks, or `UNIX`
    where that is listed."""
    if address == UNIX:
        return unix
    found = ipaddress.ip_address(address)
    return any(found in network for network in networks)


def read_peers(table: Table) -> tuple[list[Network], bool]:
    """Addresses and networks, and whether "unix" is among them; wrong ones are mistakes."""
    networks = []
    texts = table.texts("peers", ())
    if table.data.get("peers") == []:
        table.wrong("peers", "names nobody, so that nobody could call")
    for text in texts:
        if text == UNIX:
            continue
        try:
            networks.append(_network(text))
        except ValueError as error:
            table.wrong("peers", f'"{text}" {error}')
    return networks, UNIX in texts


def _network(text: str) -> Network:
    """Raises ValueError."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        network = None
    # Nobody would be found at an address with a zone, or of IPv4 within IPv6: a caller's has
    # neither.
    if network is None or "%" in text or network.network_address in _IPV4_WITHIN:
        raise ValueError('is no address, network such as 10.0.0.0/24, or "unix"')
    address, slash, _ = text.partition("/")
    if slash and ipaddress.ip_address(address) != network.network_address:
        raise ValueError(f'should be "{network}", or "{address}" alone')
    return network
