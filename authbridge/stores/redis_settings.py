"""Where Redis is, as `authbridge.state` names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from twisted.internet.abstract import isIPAddress, isIPv6Address

from authbridge.secret import Secret
from authbridge.wire.http import is_loopback

PORT = 6379
_SCHEMES = {"redis": False, "rediss": True}
_HOST = re.compile(r"[0-9a-z_]([0-9a-z_-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)*\.?")
_DATABASE = re.compile(r"/?|/[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """One server, and one of its databases."""

    host: str
    port: int
    db: int
    tls: bool
    username: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None
    """Of the authorities that are trusted; None: those of the system."""

    @property
    def clear_text(self) -> bool:
        """Whether the password, and all that is kept, goes unencrypted to another machine."""
        return not self.tls and not is_loopback(self.host)

    def __str__(self) -> str:
        """The address, without the password."""
        name = f"{quote(self.username, safe='')}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{name}{host}:{self.port}/{self.db}"


def parse(url: str) -> RedisSettings:
    """From redis://HOST, rediss://USER@HOST:PORT/DB. Raises ValueError, whose words repeat
    nothing of the URL: what is wrong with it may be that a password is in it."""
    scheme, _, rest = url.partition("://")
    if scheme in {"unix", "redis+unix", "redis+socket"}:
        raise ValueError("Redis on a Unix socket is not supported; redis://127.0.0.1 is")
    if scheme not in _SCHEMES or not rest:
        raise ValueError("should be a path, or redis://HOST, or rediss://HOST")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL: its host or its port cannot be read") from None
    if parts.password is not None:
        raise ValueError("holds a password, which belongs in the file state_password_file")
    if set("?#") & set(url):
        raise ValueError("has options behind ? or #, of which there are none")
    if not _DATABASE.fullmatch(parts.path):
        raise ValueError("should end in /NUMBER, the number of the database, or without it")
    if port == 0:
        raise ValueError("has a port that there is not")
    host = _host(parts.hostname or "")
    name = unquote(parts.username) if parts.username else None
    database = int(parts.path.strip("/") or 0)
    return RedisSettings(host, PORT if port is None else port, database, _SCHEMES[scheme], name)


def _host(text: str) -> str:
    try:
        host = text if isIPv6Address(text) else text.encode("idna").decode()
    except UnicodeError:
        host = ""
    if isIPv6Address(host) or isIPAddress(host) or _HOST.fullmatch(host):
        return host
    raise ValueError("names no host: letters, digits, dots and -, or an address")
