"""Why TLS to a directory came to nothing; client_tls verifies it."""

from __future__ import annotations

from twisted.python.failure import Failure

from authbridge.client_tls import TlsServer, handshake_trouble
from authbridge.ldap.faults import Fault
from authbridge.model import Reason


def explain(name: str, server: TlsServer | None, reason: Failure) -> Fault:
    """Why a handshake came to nothing."""
    trouble = handshake_trouble(server, reason)
    if trouble is not None:
        return Fault(Reason.DIRECTORY_UNTRUSTED, f"{name}: {trouble}")
    return Fault(
        Reason.DIRECTORY_UNREACHABLE,
        f"{name} ended the connection in place of TLS; is this a port for TLS?",
    )
