"""A server of a directory, as the configuration names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint

_HOST = re.compile(r"[0-9a-z]([0-9a-z-]*[0-9a-z])?(\.[0-9a-z]([0-9a-z-]*[0-9a-z])?)*\.?")
PORTS = {"ldap": 389, "ldaps": 636}


class ServerMistake(ValueError):
    """This names no server; the text says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server, as `servers` names it."""

    host: str
    port: int
    ldaps: bool

    @classmethod
    def parse(cls, url: str) -> Server:
        """From ldap://host, ldaps://host:port. Raises ServerMistake."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ServerMistake(f'"{url}" is no URL of a server') from None
        if parts.scheme not in PORTS:
            raise ServerMistake(f'"{url}" should begin with ldaps:// or ldap://')
        if parts.path not in ("", "/") or set("@?#") & set(url):
            raise ServerMistake(f'"{url}" should be a scheme, a host and perhaps a port, no more')
        try:
            host = (parts.hostname or "").encode("idna").decode()
        except UnicodeError:
            host = ""
        known = isIPAddress(host) or isIPv6Address(host) or _HOST.fullmatch(host)
        if not known or port == 0:
            raise ServerMistake(f'"{url}" names no host: letters, digits, dots and -')
        return cls(host, port or PORTS[parts.scheme], parts.scheme == "ldaps")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.ldaps else 'ldap'}://{host}:{self.port}"

    def endpoint(self, reactor: Any) -> Any:
        """Where to connect. A name is resolved in a thread; an address needs none."""
        if isIPAddress(self.host):
            return TCP4ClientEndpoint(reactor, self.host, self.port)
        if isIPv6Address(self.host):
            return TCP6ClientEndpoint(reactor, self.host, self.port)
        return HostnameEndpoint(reactor, self.host, self.port)
