"""The least that brings ejabberd's requests to a daemon: no ids, no deadline, no second try."""

import os
import socket
import sys


def main(path: str) -> None:
    """Relay one request at a time until the input ends."""
    daemon = socket.socket(socket.AF_UNIX)
    daemon.connect(path)
    while data := os.read(0, 65537):
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            data += os.read(0, 65537)
        daemon.sendall(data)
        os.write(1, daemon.recv(4, socket.MSG_WAITALL))


if __name__ == "__main__":
    main(sys.argv[1])
