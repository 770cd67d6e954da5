"""Free TCP ports of the loopback interface."""

import socket

_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, never the same twice in one run.

    The kernel may offer a port again that was asked for but is not yet used, so those given out
    are remembered.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port


def accepts(port: int) -> bool:
    """True if something accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
