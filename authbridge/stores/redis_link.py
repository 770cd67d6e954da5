"""A connection to Redis: asked in batches, and never made again behind anybody's back.

The library's pool would connect again by itself, and what answers then may be another Redis, or
the same without what it knew. So this is one connection; when it is lost it is lost.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import (
    AuthenticationError,
    InvalidResponse,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from authbridge.stores.operations import StoreFault
from authbridge.stores.redis_scripts import OTHER_EPOCH
from authbridge.stores.redis_settings import RedisSettings

TIMEOUT = 2.0
"""Seconds, for a connection to come about and for something to be heard."""

LOST = (
    "has lost what it knew, or is another one: what was used and revoked is not known any more; "
    "restart authbridge to go on with what is there"
)

Command = tuple[bytes | int, ...]

# Redis before 7 wraps what a script has met.
_WRAPPED = re.compile(r"Error running script.*?: -([A-Z]+) ")
_CODE = re.compile(r"[A-Z]+")


def _ends(words: str, *, refused: bool = False) -> tuple[str, bool, bool]:
    return words, True, refused


# Words, lost, refused.
_CODES = {
    "OOM": ("refuses writes: its maxmemory is reached", False, False),
    "MISCONF": ("refuses writes: it cannot keep them on its disk", False, False),
    "NOREPLICAS": ("refuses writes: it has too few good replicas", False, False),
    "READONLY": _ends("has become a replica, and takes no writes", refused=True),
    "NOAUTH": _ends("wants a password (state_password_file)", refused=True),
    "WRONGPASS": _ends("refuses this user, or the password", refused=True),
    "NOPERM": _ends("does not permit its user all that is needed (ACL)", refused=True),
    "MOVED": _ends("is part of a cluster", refused=True),
    "CROSSSLOT": _ends("is part of a cluster", refused=True),
    "LOADING": _ends("is still loading its data"),
    "MASTERDOWN": _ends("is a replica that has lost its master"),
    "CLUSTERDOWN": _ends("is part of a cluster that is down"),
    "BUSY": _ends("is busy with somebody's script"),
    "TRYAGAIN": _ends("asks to try again"),
    "NOSCRIPT": _ends("has forgotten our scripts"),
    OTHER_EPOCH: _ends(LOST, refused=True),
}


def fault_of(error: ResponseError) -> StoreFault:
    """What an error that Redis has answered means. Its text, in which arguments may be, is left."""
    return _fault_of_code(error.status_code, str(error))


def _fault_of_code(code: str | None, text: str) -> StoreFault:
    wrapped = _WRAPPED.search(text)
    if wrapped is not None:
        code = wrapped[1]
    code = code or text.partition(" ")[0]
    if text.startswith("max number of clients reached"):
        return StoreFault("has no room for another client (maxclients)", lost=True)
    if "DB index is out of range" in text:
        return StoreFault("has no database of this number", lost=True, refused=True)
    if code in _CODES:
        words, lost, refused = _CODES[code]
        return StoreFault(words, lost=lost, refused=refused)
    shown = code if _CODE.fullmatch(code) else "no code"
    return StoreFault(f"answers with an error ({shown})", lost=True)


class _TlsConnection(SSLConnection):
    """The library's own would trust the system's authorities beside those of `ca_file`."""

    is_ours = False
    """Whether the library has called what it calls in 8.1, which is no part of its interface."""

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.ca_certs)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        wrapped = context.wrap_socket(sock, server_hostname=self.host)
        self.is_ours = True
        return wrapped


class _NotOurTls(RedisError):
    """Before anything was said."""


def _log_in(connection: _TlsConnection) -> None:
    """What the library does by itself, unless it has made the connection in a way of its own."""
    if not connection.is_ours:
        raise _NotOurTls
    connection.on_connect()


class Link:
    """One connection."""

    def __init__(self, settings: RedisSettings, timeout: float) -> None:
        """Connect, log in and choose the database. Raises StoreFault."""
        self._timeout = timeout
        options: dict[str, Any] = {
            "host": settings.host,
            "port": settings.port,
            "db": settings.db,
            "username": settings.username,
            "password": settings.password and settings.password.reveal(),
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),  # what got no answer may have been done
            "protocol": 2,  # of 3 nothing is needed
            "driver_info": None,
        }
        kind: type[Connection] = Connection
        if settings.tls:
            kind = _TlsConnection
            options["ssl_ca_certs"] = settings.ca_file and str(settings.ca_file)
            options["redis_connect_func"] = _log_in
        self._connection = kind(**options)
        try:
            self._connection.connect()
        except ResponseError as error:
            raise fault_of(error) from None
        except (RedisError, ValueError) as error:
            raise self._fault(error) from None

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """All at once, and all replies in their order; an error that Redis answers is a
        ResponseError in its place. Raises StoreFault, lost: to be closed, and not asked again."""
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [self._reply() for _ in commands]
        except (RedisError, ValueError) as error:
            raise self._fault(error) from None

    def _reply(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as error:
            return error

    def close(self) -> None:
        """Let go of it."""
        self._connection.disconnect()

    def _fault(self, error: Exception) -> StoreFault:
        """Why there is no connection, or none any more."""
        if isinstance(error, RedisTimeout):
            return StoreFault(f"has not answered for {self._timeout:g} s", lost=True)
        if isinstance(error, _NotOurTls):
            words = (
                "cannot be used over TLS with this version of the Python library redis, "
                "which would trust more authorities than it should"
            )
            return StoreFault(words, lost=True, refused=True)
        if isinstance(error, RedisError) and error.status_code is not None:
            # ERR of a login: there is no password at all, or it is told so by an old Redis.
            login = isinstance(error, AuthenticationError) and error.status_code == "ERR"
            return _fault_of_code("WRONGPASS" if login else error.status_code, str(error))
        cause = error.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = f"its certificate is refused: {cause.verify_message}"
            return StoreFault(words, lost=True, refused=True)
        if isinstance(cause, ssl.SSLError):
            return StoreFault(f"TLS failed ({cause.reason or 'no reason'})", lost=True)
        if isinstance(cause, socket.gaierror):
            return StoreFault("its name cannot be resolved", lost=True)
        if isinstance(cause, OSError):
            return StoreFault(f"cannot be reached: {cause.strerror or 'no reason'}", lost=True)
        if isinstance(error, (InvalidResponse, ValueError)):
            return StoreFault("does not speak as Redis does", lost=True)
        return StoreFault("has closed the connection", lost=True)
