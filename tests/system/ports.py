"""Free TCP ports of the loopback interface."""

import random
import socket
from pathlib import Path

_claims: list[socket.socket] = []

#: Below are ports of well-known services, and the last of those that browsers refuse to call.
_LOWEST = 11_000
_dice = random.SystemRandom()


def _ports() -> list[int]:
    """Those that the kernel gives nobody who does not ask for them by number. One of the others
    could be somebody's connection, or listen for somebody who asked for any, just when its server
    is to be started, or started again."""
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first, last = map(int, text.split())
    return [*range(_LOWEST, first), *range(last + 1, 65536)]


def free_port() -> int:
    """A port nobody listens on, never the same twice: in this run, or in others at the same time.

    A port may be asked for and not yet used, or its server be down for a while. So those given out
    are claimed as long as the run lasts, by their UDP port, of which no server makes use.
    """
    ports = _ports()
    while True:
        # The claim comes first: to try a port that is somebody's could keep his server from it.
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", _dice.choice(ports) if ports else 0))
            port: int = claim.getsockname()[1]
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            return port


def accepts(port: int) -> bool:
    """True if something accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
