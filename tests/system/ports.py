"""Free TCP ports of the loopback interface."""

import socket

_claims: list[socket.socket] = []


def free_port() -> int:
    """A port nobody listens on, never the same twice: in this run, or in others at the same time.

    The kernel may offer a port again that was asked for but is not yet used, or whose server is
    down for a while. So those given out are claimed as long as the run lasts, by their UDP port,
    of which no server makes use.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
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
