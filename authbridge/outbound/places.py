"""What a URL in the configuration may be, and the place that it names."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from hyperlink import EncodedURL

_URL = re.compile(r"[\x21-\x7e]{1,2000}")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server of a URL is. `host` is a name or an address, without brackets."""

    host: str
    port: int
    tls: bool

    @classmethod
    def of(cls, url: str) -> Place:
        """The place of a URL with which there is no `trouble`."""
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
        return cls(parts.hostname or "", port, parts.scheme == "https")

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there never leaves this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host in ("localhost", "localhost.")


def trouble(url: str, schemes: tuple[str, ...], otherwise: str) -> str:
    """Why this is no URL of a server; empty where it is. `schemes` as "https://" has it;
    `otherwise` is what is said of other ones."""
    if not _URL.fullmatch(url):
        return "a URL is of printable ASCII without blanks (a host's name as xn--…), 2000 at most"
    if not url.startswith(schemes):
        return otherwise
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if not _is_ipv6(parts):  # which hyperlink takes for a name, and refuses
            EncodedURL.from_text(url).to_uri()
    except ValueError:
        return "this is no URL, or its host has no name that the DNS could know"
    if "@" in parts.netloc:
        return "a name and a password have no place in it: it is shown in the log"
    if "#" in url:
        return "what comes behind # is not sent to a server"
    if not host or port == 0:
        return "it names no host, or a port that there is not"
    return ""


def _is_ipv6(parts: SplitResult) -> bool:
    """Raises ValueError where there are brackets, and no address in them."""
    if "[" not in parts.netloc:
        return False
    if ipaddress.IPv6Address(parts.hostname or "").scope_id is not None:
        raise ValueError("an address of one link")
    return True
