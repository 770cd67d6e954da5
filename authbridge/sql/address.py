"""Where a database is, as `url` of a checker names it."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from twisted.internet.abstract import isIPAddress, isIPv6Address

from authbridge.wire.http import is_loopback

_HOST = re.compile(r"[0-9a-z_]([0-9a-z_-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)*\.?")
_SOCKET = "socket="
_POSTGRESQL_SOCKET = re.compile(r"(?P<folder>/.*)/\.s\.PGSQL\.(?P<port>[1-9][0-9]{0,4})")
FORMS = (
    "postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, mariadb://… or "
    "sqlite:///PATH; of a Unix socket postgresql://USER@/DATABASE?socket=/PATH"
)


class Dialect(enum.Enum):
    """Whose SQL it is. MariaDB's is MySQL's."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    SQLITE = "sqlite"

    @property
    def quote(self) -> str:
        """What stands around a name that would be a word of SQL otherwise."""
        return "`" if self is Dialect.MYSQL else '"'


_SCHEMES = {
    "postgresql": Dialect.POSTGRESQL,
    "postgres": Dialect.POSTGRESQL,
    "mysql": Dialect.MYSQL,
    "mariadb": Dialect.MYSQL,
    "sqlite": Dialect.SQLITE,
}
_PORTS = {Dialect.POSTGRESQL: 5432, Dialect.MYSQL: 3306}


@dataclass(frozen=True, slots=True)
class Address:
    """One database of one server, or a file."""

    dialect: Dialect
    user: str = ""
    host: str = ""
    """Empty where there is a socket, or a file."""
    port: int = 0
    database: str = ""
    socket: Path | None = None
    """MySQL's socket; of PostgreSQL the folder of it."""
    file: Path | None = None
    """SQLite's."""

    @property
    def local(self) -> bool:
        """Whether what is said to it stays on this machine."""
        return not self.host or is_loopback(self.host)

    def __str__(self) -> str:
        """Its URL."""
        if self.file is not None:
            return f"sqlite://{quote(str(self.file))}"
        database, user = quote(self.database, safe=""), quote(self.user, safe="")
        if self.socket is not None:
            at = f"/{database}?{_SOCKET}{quote(str(self.socket))}"
        else:
            host = f"[{self.host}]" if ":" in self.host else self.host
            at = f"{host}:{self.port}/{database}"
        return f"{self.dialect.value}://{user}@{at}"


def parse(url: str) -> Address:
    """From a URL. Raises ValueError, whose words repeat nothing of it: what is wrong with it may
    be that a password is in it."""
    scheme, colon, rest = url.partition("://")
    base, _, driver = scheme.partition("+")
    if not colon or base not in _SCHEMES:
        raise ValueError(f"should be {FORMS}")
    if driver:
        raise ValueError("names a driver behind a +; authbridge has its own for each database")
    dialect = _SCHEMES[base]
    return (
        Address(dialect, file=_file(rest)) if dialect is Dialect.SQLITE else _server(dialect, url)
    )


def _server(dialect: Dialect, url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL: its host or its port cannot be read") from None
    if parts.password is not None:
        raise ValueError("holds a password, which belongs in the file password_file")
    if not parts.username:
        raise ValueError("names no user; " + FORMS)
    if "#" in url:
        raise ValueError("has something behind #; write %23 for a # in a name")
    user, database = unquote(parts.username), unquote(parts.path.removeprefix("/"))
    if not database:
        raise ValueError("names no database; " + FORMS)
    _check_text(user, database)
    if parts.query:
        return _on_socket(dialect, user, database, parts.query, bare=parts.netloc.endswith("@"))
    if port == 0:
        raise ValueError("has a port that there is not")
    return Address(dialect, user, _host(parts.hostname or ""), port or _PORTS[dialect], database)


def _on_socket(dialect: Dialect, user: str, database: str, query: str, *, bare: bool) -> Address:
    path = unquote(query.removeprefix(_SOCKET))
    if not query.startswith(f"{_SOCKET}/") or "&" in query:
        raise ValueError("has options behind ?, of which there is one: ?socket=/PATH")
    if not bare:
        raise ValueError("names a host and a socket; one of them is meant")
    _check_text(path)
    port = _PORTS[dialect]
    if dialect is Dialect.POSTGRESQL and (found := _POSTGRESQL_SOCKET.fullmatch(path)):
        path, port = found["folder"], int(found["port"])
    return Address(dialect, user, port=port, database=database, socket=Path(path))


def _file(rest: str) -> Path:
    if not rest.startswith("/"):
        raise ValueError("should be sqlite:// and an absolute path: sqlite:///var/lib/site/db")
    if set("?#") & set(rest):
        raise ValueError("has options behind ? or #; write %3F and %23 for them in a path")
    path = unquote(rest)
    _check_text(path)
    return Path("/" + path.lstrip("/"))  # sqlite:////PATH is how others write it


def _check_text(*texts: str) -> None:
    if any("\0" in text for text in texts):
        raise ValueError("holds a NUL")


def _host(text: str) -> str:
    try:
        host = text if isIPv6Address(text) else text.encode("idna").decode()
    except UnicodeError:
        host = ""
    if isIPv6Address(host) or isIPAddress(host) or _HOST.fullmatch(host):
        return host
    raise ValueError("names no host: letters, digits, dots and -, or an address")
