"""Connections to each kind of database: verified, for reading alone, and such that one that hangs
can be cut.

What cannot be cut ends by itself: the resolver's search for a host's name, when the system gives it
up; psycopg's connecting, after `timeout` (in whole seconds, LEAST_CONNECT at the least) for each of
the host's addresses; SQLite's wait for a lock, after `timeout`, and for its disk.

Values never become part of a statement. PostgreSQL and SQLite get them beside it. PyMySQL writes
them into it: here as hexadecimal, of which no quoting, character set or mode of the server can make
anything else (`_Hexadecimal`).
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import sqlite3
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pymysql.connections

from authbridge.model import Reason
from authbridge.secret import Secret
from authbridge.sql.address import Address, Dialect
from authbridge.sql.faults import Fault, unreachable
from authbridge.sql.settings import SqlSettings

LEAST_CONNECT = 2
"""Seconds, whole, that psycopg waits for a connection at the least."""
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where systems have the authorities that they trust, in one file."""

Cut = Callable[[], None]
"""Ends what a connection waits for, called from another thread; it cannot be used any more."""


Opened = Callable[[Cut], None]
"""Is told how to cut what is being connected. Raises Fault where nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Made:
    """A connection."""

    raw: Any
    """By DB-API."""
    cut: Cut
    forget: Callable[[], None]
    """Is called when it is closed."""

    def close(self) -> None:
        """Close it, in whatever state it is."""
        with contextlib.suppress(Exception):  # it is of no use any more
            self.raw.close()
        self.forget()


class Line:
    """A second handle of a connection's socket: the first may be closed by the one who uses it, and
    its number be somebody else's at once."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._lock = threading.Lock()

    def cut(self) -> None:
        """Shut it down, for both handles."""
        with self._lock, contextlib.suppress(OSError):  # it has ended by itself, or is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the handle back; not while it is cut, or another's of that number would be."""
        with self._lock:
            self._socket.close()


def connect(settings: SqlSettings, opened: Opened) -> Made:
    """A connection. Blocks. Raises what its library raises, OSError, Fault."""
    make = {
        Dialect.POSTGRESQL: _postgresql,
        Dialect.MYSQL: _mysql,
        Dialect.SQLITE: _sqlite,
    }[settings.address.dialect]
    return make(settings, opened)


def _postgresql(settings: SqlSettings, opened: Opened) -> Made:
    address = settings.address
    connection = psycopg.connect(
        host=str(address.socket or address.host),
        port=address.port,
        user=address.user,
        password=_text(settings.password),
        dbname=address.database,
        connect_timeout=max(LEAST_CONNECT, math.ceil(settings.timeout)),
        sslmode="verify-full" if settings.encrypted else "disable",
        sslrootcert=str(settings.ca_file or bundle(BUNDLES)) if settings.encrypted else "",
        gssencmode="disable",
        client_encoding="UTF8",
        application_name="authbridge",
        autocommit=True,
        prepare_threshold=None,  # a pooler in between may not know what was prepared
    )
    line = Line(connection.fileno())
    made = Made(connection, line.cut, line.close)
    try:
        opened(made.cut)
        connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        connection.execute(f"SET statement_timeout = {math.ceil(settings.timeout * 1000)}".encode())
    except BaseException:
        made.close()
        raise
    return made


if TYPE_CHECKING:
    _Connection = pymysql.connections.Connection[Any]
else:
    _Connection = pymysql.connections.Connection


class _Hexadecimal(_Connection):
    """PyMySQL's, with texts in hexadecimal."""

    def escape(self, obj: object, mapping: Any = None) -> str:
        """What stands in a statement for a value."""
        if isinstance(obj, str):
            return f"_utf8mb4 X'{obj.encode().hex()}'"
        raise TypeError("names are bound, and nothing else is")


def _mysql(settings: SqlSettings, opened: Opened) -> Made:
    address = settings.address
    connection = _Hexadecimal(
        user=address.user,
        password=settings.password.reveal() if settings.password else b"",
        host=address.host or "localhost",
        database=address.database,
        charset="utf8mb4",
        autocommit=True,
        read_timeout=settings.timeout,
        write_timeout=settings.timeout,
        program_name="authbridge",
        ssl=_context(settings.ca_file) if settings.encrypted else None,
        ssl_disabled=not settings.encrypted,
        defer_connect=True,
    )
    plug, line = _plugged(address, settings.timeout, opened)
    made = Made(connection, line.cut, line.close)
    try:
        connection.connect(plug)
        maria = "MariaDB" in connection.get_server_info()
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            cursor.execute(
                f"SET SESSION max_statement_time = {settings.timeout:f}"
                if maria
                else f"SET SESSION max_execution_time = {math.ceil(settings.timeout * 1000)}"
            )
    except BaseException:
        plug.close()
        made.close()
        raise
    return made


def _plugged(address: Address, timeout: float, opened: Opened) -> tuple[socket.socket, Line]:
    """Connected to the first place of the address that can be."""
    errors = []
    for family, place in _places(address):
        try:
            return _plug(family, place, timeout, opened)
        except OSError as error:
            errors.append(error)
    raise errors[-1]


def _places(address: Address) -> list[tuple[socket.AddressFamily, Any]]:
    if address.socket is not None:
        return [(socket.AF_UNIX, str(address.socket))]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return [(family, place) for family, *_, place in found]


def _plug(
    family: socket.AddressFamily, place: Any, timeout: float, opened: Opened
) -> tuple[socket.socket, Line]:
    plug = socket.socket(family)
    line = Line(plug.fileno())
    try:
        opened(line.cut)
        plug.settimeout(timeout)
        plug.connect(place)
        if family is not socket.AF_UNIX:
            plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        plug.close()
        line.close()
        raise
    return plug, line


def _sqlite(settings: SqlSettings, opened: Opened) -> Made:
    connection = sqlite3.connect(
        f"file:{quote(str(settings.address.file))}?mode=ro",
        uri=True,
        timeout=settings.timeout,
        isolation_level=None,
        check_same_thread=False,  # one at a time uses it
    )

    def cut() -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
            connection.interrupt()

    made = Made(connection, cut, lambda: None)
    try:
        opened(made.cut)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        made.close()
        raise
    return made


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def bundle(places: tuple[str, ...]) -> str:
    """The file with the authorities that the system trusts. Raises Fault."""
    for place in places:
        if Path(place).is_file():
            return place
    raise unreachable("the system's trusted authorities are in no file that is known; give ca_file")


def _text(password: Secret | None) -> str | None:
    if password is None:
        return None
    try:
        return password.reveal().decode()
    except UnicodeDecodeError:
        raise Fault(
            Reason.DATABASE_UNREACHABLE, "the password in password_file is not UTF-8"
        ) from None
