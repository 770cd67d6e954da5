"""[sites.NAME]: a website whose pages call `listen.web`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from authbridge import preparation
from authbridge.jid_templates import localpart, read_template
from authbridge.model import JID
from authbridge.rate import read_rate
from authbridge.sessions.settings import SessionSettings
from authbridge.settings import Table, did_you_mean
from authbridge.token_office.grants import Grant
from authbridge.wire.http import is_host, plain_name

TOKEN_TTL = 60.0
LEAST_TTL, MOST_TTL = 5.0, 600.0
"""Seconds."""
RATE = (30, 60.0)
"""Logins of a user in so many seconds, and at once: a page that is refused asks again every 2 s."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

# As browsers write it (RFC 6454, 6.2): in lower case, without the port that goes without saying.
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([1-9][0-9]{0,4}))?")
_USUAL_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Site:
    """One website."""

    name: str
    hosts: tuple[str, ...]
    """In lower case, without ports."""
    origins: frozenset[bytes]
    """Whose pages may read the answers."""
    domain: str
    """Prepared."""
    jid: tuple[str, str]
    """What stands before and behind the site's name of a user in his localpart."""
    session: SessionSettings
    token_ttl: float = TOKEN_TTL
    """Seconds."""
    rate: tuple[int, float] = RATE
    ignore_case: bool = False
    """To the site, Alice and alice are one user."""
    same_users: bool = False
    """Who has a name here has it at the domain's other sites too."""

    @classmethod
    def read(cls, name: str, table: Table) -> Site:
        """Read the table, and close it."""
        if not NAME.fullmatch(name):
            table.mistakes.add(table.key, "a site's name is letters, digits, dot, _ and -")
        hosts = table.some_texts("hosts", "names none, so that no request would be this site's")
        for host in hosts:
            if not is_host(host):
                table.wrong("hosts", f'"{host}" is no name or address, without a port, of a host')
        origins = table.texts("origins", ())
        for origin in origins:
            if trouble := _origin_trouble(origin):
                table.wrong("origins", f'"{origin}" {trouble}')
        site = cls(
            name=name,
            hosts=tuple(map(plain_name, hosts)),
            origins=frozenset(origin.encode("utf-8", "replace") for origin in origins),
            domain=_read_domain(table),
            jid=read_template(table),
            session=_read_session(table),
            token_ttl=table.duration("token_ttl", TOKEN_TTL, least=LEAST_TTL, most=MOST_TTL),
            rate=read_rate(table, RATE),
            ignore_case=table.boolean("ignore_case", False),
            same_users=table.boolean("same_users", False),
        )
        table.close()
        return site

    @property
    def grant(self) -> Grant:
        """What it may ask about tokens. Nobody else's name has a colon in it."""
        domains = frozenset({self.domain})
        return Grant(f"site:{self.name}", domains, None, self.token_ttl, 1, None)

    def user(self, name: str) -> JID:
        """The JID of a user, by the site's name. Raises preparation.Unprepared."""
        return JID(localpart(self.jid, name, ignore_case=self.ignore_case), self.domain)


def sites_of_domain(sites: Iterable[Site], domain: str) -> list[Site]:
    """Those whose users are of this domain, and whose cookies say who they are."""
    return [site for site in sites if site.domain == domain and site.session.of_cookies]


def _origin_trouble(origin: str) -> str:
    if origin in ("*", "null"):
        return "would let any page read the answers; name those that may: https://www.example.org"
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        lower = origin.rstrip("/").lower()
        meant = did_you_mean(origin, [lower]) if _ORIGIN.fullmatch(lower) else ""
        return f"is no origin as browsers write it, https://HOST or https://HOST:PORT{meant}"
    if match[3] == _USUAL_PORTS[match[1]]:
        return f"never comes: browsers leave :{match[3]} out"
    return ""


def _read_domain(table: Table) -> str:
    text = table.text("domain")
    try:
        return preparation.domain(text.encode()) if text else ""
    except preparation.Unprepared as error:
        table.wrong("domain", str(error))
        return ""


def _read_session(table: Table) -> SessionSettings:
    if "session" in table:
        return SessionSettings.read(table.table("session"))
    table.knows("session")
    table.wrong("session", "is missing: how is it known whose browser this is?")
    return SessionSettings("", None)
