"""A question to the running daemon, over its control socket."""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

CONTROL_SOCKET = "/run/authbridge/control.sock"
PATIENCE = 60.0
"""Seconds to wait for the daemon: two questions of `explain`, each with its own deadline."""


class NoDaemon(Exception):
    """Nobody answers, or nobody that we understand; the message says so in words."""


def ask_daemon(path: str, question: dict[str, Any], instead: str) -> dict[str, Any]:
    """What the daemon says. `instead`: what can be done where there is none. Raises NoDaemon; by
    then the daemon may have done what it was asked."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(PATIENCE)
        try:
            control.connect(path)
            control.sendall(json.dumps(question).encode() + b"\n")
            with control.makefile("rb") as answers:
                answer = answers.readline()
        except OSError as error:
            raise NoDaemon(f"{path}: {error.strerror or error}; {instead}") from None
    if not answer:
        raise NoDaemon(f"{path}: the daemon serves its own user and root alone, or went away")
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise NoDaemon(f"{path}: what answers there is no authbridge, or went away meanwhile")
    return told


def as_text(octets: bytes) -> str:
    """Octets as they stand in a question."""
    return base64.b64encode(octets).decode()
