"""[sites.NAME] `session`: how it is found out whose session a request shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authbridge.issuers.settings import IssuerSettings
from authbridge.secret import Secret
from authbridge.sessions.forward import Forward, ForwardSettings
from authbridge.sessions.header import Header, HeaderSettings
from authbridge.sessions.jwt_cookie import JwtCookie, JwtCookieSettings
from authbridge.sessions.shown import Session
from authbridge.settings import Table, did_you_mean

KINDS = ("forward", "header", "jwt-cookie")

Own = ForwardSettings | HeaderSettings | JwtCookieSettings


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The kind, and that kind's own settings."""

    kind: str
    """Empty where the table has none that is known."""
    own: Own | None
    """None where the kind is not known."""

    @classmethod
    def read(cls, table: Table) -> SessionSettings:
        """Read the table, and close it."""
        kind = _read_kind(table)
        own: Own
        if kind == "forward":
            own = ForwardSettings.read(table)
        elif kind == "header":
            own = HeaderSettings.read(table)
        elif kind == "jwt-cookie":
            own = JwtCookieSettings.read(table)
        else:
            return cls("", None)  # which of the other settings are none, nobody can tell
        table.close()
        return cls(kind, own)

    @property
    def of_cookies(self) -> bool:
        """Whether a Cookie header alone tells whose session it is."""
        return isinstance(self.own, ForwardSettings | JwtCookieSettings)

    @property
    def patience(self) -> float:
        """Seconds for which it may wait for the site; 0 where it asks nobody."""
        return self.own.web.timeout if isinstance(self.own, ForwardSettings) else 0.0

    @property
    def proxy_secret(self) -> Secret | None:
        """What the site's proxy shows; None where no proxy is believed, or it could not be read."""
        own = self.own
        return own.secret if isinstance(own, HeaderSettings) and own.secret.reveal() else None

    @property
    def issuer_settings(self) -> IssuerSettings | None:
        """Who signs the sessions, and with which keys; None where nobody does, or where a mistake
        leaves open with which."""
        own = self.own
        return own.issuer if isinstance(own, JwtCookieSettings) and own.keys_can_be_read else None

    def make(
        self,
        name: str,
        reactor: Any,
        wall: Callable[[], float],
        chance: Callable[[], float],
        random: Callable[[int], bytes],
        seconds: Callable[[], float] = time.monotonic,
    ) -> Session:
        """The session of a site of this name. `wall`: seconds since the epoch; `chance`: numbers
        from 0 to 1; `random` gives so many octets; `seconds`: of a clock that nobody sets, which
        the reactor's is not."""
        own = self.own
        if isinstance(own, ForwardSettings):
            return Forward(own, name, own.connect(reactor), seconds, random)
        if isinstance(own, JwtCookieSettings):
            return JwtCookie(own, own.make_issuer(reactor, chance), wall, seconds)
        assert own is not None  # a configuration with mistakes makes nothing
        return Header(own)


def _read_kind(table: Table) -> str:
    if "kind" not in table:
        table.knows("kind")
        table.wrong("kind", f"is missing{did_you_mean('', KINDS)}")
        return ""
    kind = table.text("kind")
    if kind and kind not in KINDS:
        table.wrong("kind", f'there is no kind "{kind}"{did_you_mean(kind, KINDS)}')
    return kind
