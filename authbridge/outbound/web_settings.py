"""Settings of who is asked over HTTP: where, whom to trust there, and for how long to wait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto

from authbridge.client_tls import make_context, read_authorities, read_ca_file
from authbridge.outbound.web_server import Unreached, WebServer, url_trouble
from authbridge.settings import Table
from authbridge.wire.http import BadRequest, host_name

LEAST_TIMEOUT, MOST_TIMEOUT = 0.1, 30.0
"""Seconds."""
HTTPS = "https://"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What is the same for every URL of one authority."""

    clear_text: bool
    """HTTP without TLS may leave this machine."""
    ca_file: Path | None
    """Of the authorities that are trusted; None: those of the system."""
    timeout: float
    """Seconds for an answer."""

    @classmethod
    def read(cls, table: Table, timeout: float) -> WebSettings:
        """`insecure_clear_text`, `ca_file` and `timeout`, of which this is the default."""
        return cls(
            table.boolean("insecure_clear_text", False),
            read_ca_file(table),
            table.duration("timeout", timeout, least=LEAST_TIMEOUT, most=MOST_TIMEOUT),
        )

    def read_url(self, table: Table, setting: str) -> str:
        """A URL that can be called."""
        url = table.text(setting)
        if setting not in table.mistaken and (trouble := self.trouble(url)):
            table.wrong(setting, trouble)
        return url

    def trouble(self, url: str) -> str:
        """Why this URL cannot be called; empty where it can."""
        trouble = url_trouble(url, clear_text=self.clear_text)
        if trouble and not url_trouble(url, clear_text=True):
            trouble += "; insecure_clear_text = true allows it"
        return trouble

    def check(self, table: Table, *urls: str) -> None:
        """Whether these settings are about something, where these are all URLs that there are."""
        if not all(urls) or not table.mistaken.isdisjoint(("url", "insecure_clear_text")):
            return
        secure = [url.startswith(HTTPS) for url in urls]
        if self.clear_text and all(secure):
            what = "this one is" if len(urls) == 1 else "these are"
            table.wrong("insecure_clear_text", f"is for http:// URLs, and {what} https://")
        if self.ca_file is not None and not any(secure):
            table.wrong("ca_file", "is about TLS, which https:// has and http:// not")

    def connect(self, url: str, reactor: Any, *, most_octets: int, at_once: int) -> WebServer:
        """The server of a URL. `most_octets`: of an answer. `at_once`: connections. Raises
        Unreached where `ca_file` is no such file any more."""
        context = None
        if url.startswith(HTTPS):
            try:
                authorities = [] if self.ca_file is None else read_authorities(self.ca_file)
            except OSError as error:
                raise Unreached(f"ca_file {self.ca_file}: {error.strerror}") from None
            except (ValueError, SSL.Error, crypto.Error):
                words = f"ca_file {self.ca_file} is no file of certificates in PEM any more"
                raise Unreached(words) from None
            context = make_context(authorities)
        return WebServer(url, context, reactor, most_octets=most_octets, at_once=at_once)


def read_host(table: Table) -> str:
    """`host`: what the server is called in the Host header, where that is not in its URL; empty
    where it is."""
    host = table.text("host", "")
    try:
        if host:
            host_name(host.encode("ascii"))
    except (BadRequest, UnicodeEncodeError):
        table.wrong("host", "should be the Host header that the site expects: NAME or NAME:PORT")
    return host
