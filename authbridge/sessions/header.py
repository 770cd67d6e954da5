"""Identities that the site's proxy puts into a header of the request, such as X-Remote-User.

Whoever could send that header himself would be whoever he likes. So it counts from listed peers
alone, beside a secret that they share with us; and there must be one of it, and nothing beside it
that some program between would take for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from authbridge.model import Reason
from authbridge.peers import Network, is_among, read_peers
from authbridge.secret import Secret
from authbridge.sessions.shown import Nobody, Shown, name_trouble
from authbridge.settings import Table

HEADER, SECRET_HEADER = "X-Remote-User", "X-Authbridge-Secret"

LEAST_SECRET = 16
"""Octets."""

_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_TAKEN = frozenset({
    "accept", "accept-encoding", "accept-language", "authorization", "connection",
    "content-length", "content-type", "cookie", "forwarded", "host", "origin", "referer", "te",
    "transfer-encoding", "upgrade", "user-agent", "x-forwarded-for", "x-forwarded-host",
    "x-forwarded-proto", "x-real-ip", "x-request-id",
})  # fmt: skip
"""Headers that mean something else, and that browsers or proxies send of their own accord."""

# CGI and WSGI make one name of all of these, and so may what stands in between.
_PLAIN = bytes.maketrans(b"_.", b"--")


@dataclass(frozen=True, slots=True)
class HeaderSettings:
    """session = { kind = "header", … }"""

    header: str
    """Who the user is."""
    secret_header: str
    """That it is the proxy who says so."""
    secret: Secret
    peers: tuple[Network, ...]
    unix: bool
    """Whoever comes by a Unix socket is one of the peers."""

    @classmethod
    def read(cls, table: Table) -> HeaderSettings:
        """Read the settings of this kind."""
        header = _read_name(table, "header", HEADER)
        secret_header = _read_name(table, "secret_header", SECRET_HEADER)
        if header.lower() == secret_header.lower():
            table.wrong("secret_header", "is that of the user's name too; give it one of its own")
        peers, unix = read_peers(table)
        if "peers" not in table:
            table.wrong(
                "peers",
                "is missing; give the addresses of the site's proxy, from which alone the header "
                'counts, or "unix"',
            )
        secret = table.secret_file("secret_file")
        if len(secret.reveal()) < LEAST_SECRET and "secret_file" not in table.mistaken:
            table.wrong(
                "secret_file", f"holds less than {LEAST_SECRET} octets, which can be guessed"
            )
        return cls(
            header=header,
            secret_header=secret_header,
            secret=secret,
            peers=tuple(peers),
            unix=unix,
        )


class Header:
    """Believes the site's proxy."""

    of_cookies = False

    def __init__(self, settings: HeaderSettings) -> None:
        self._settings = settings
        self._header = settings.header.lower().encode()
        self._secret_header = settings.secret_header.lower().encode()

    def evidence(self, shown: Shown) -> bytes:
        """The header's value, in UTF-8 and fit for a name. See `shown.Session`."""
        values = shown.fields(self._header)
        resembles = self._resembles(shown)
        if not values:
            raise Nobody(Reason.SESSION_MALFORMED if resembles else Reason.SESSION_MISSING)
        if not self._is_from_proxy(shown):
            raise Nobody(Reason.SESSION_FORGED)
        if resembles or len(values) > 1:
            raise Nobody(Reason.SESSION_MALFORMED)
        return _read_value(values)

    async def user(self, evidence: bytes) -> str:
        """See `shown.Session`. Nothing is left to be found out."""
        return evidence.decode()

    def start(self) -> None:
        """See `shown.Session`. There is nothing to begin."""

    def stop(self) -> None:
        """See `shown.Session`. There is nothing to end."""

    def _is_from_proxy(self, shown: Shown) -> bool:
        secrets = shown.fields(self._secret_header)
        known = len(secrets) == 1 and self._settings.secret.matches(secrets[0])
        return known and is_among(shown.address, self._settings.peers, unix=self._settings.unix)

    def _resembles(self, shown: Shown) -> bool:
        """Whether there is a header that is one of ours to some, and not to us."""
        ours = (self._header, self._secret_header)
        for name in shown.names:
            lower = name.lower()
            if lower not in ours and lower.translate(_PLAIN) in ours:
                return True
        return False


def _read_value(values: Sequence[bytes]) -> bytes:
    """Raises Nobody."""
    value = values[0].strip(b" \t")
    try:
        name = value.decode()
    except UnicodeDecodeError:
        raise Nobody(Reason.SESSION_MALFORMED) from None
    if not name.strip():  # a proxy may set it for everybody, and to nothing for who is nobody
        raise Nobody(Reason.SESSION_MISSING)
    if name_trouble(name):
        raise Nobody(Reason.SESSION_MALFORMED)
    return value


def _read_name(table: Table, setting: str, default: str) -> str:
    name = table.text(setting, default)
    if setting in table.mistaken:
        return default
    if not _NAME.fullmatch(name):
        # With _ or . in it, it would look like another one to some of those that it passes.
        table.wrong(setting, f"{name!a} should be letters, digits and -, 64 at most")
    elif name.lower() in _TAKEN:
        table.wrong(setting, f"{name} means something else; give one that nobody else sends")
    return name
