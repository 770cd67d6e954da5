"""The programs that may call `listen.http`: who they are, and what each may ask."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from authbridge import preparation
from authbridge.domain_names import ANY_DOMAIN, read_domains
from authbridge.localparts import Localparts, read_users
from authbridge.peers import UNIX, Network
from authbridge.peers import read_peers as read_peers  # noqa: PLC0414 - of `authbridge client new`
from authbridge.rate import read_rate
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.token_office.grants import Grant
from authbridge.wire import httpauth
from authbridge.wire.http import BadRequest
from authbridge.wire.token_api import MOST_USES

TOKEN_VERBS = frozenset({"tokens", "prebind", "introspect", "revoke"})
"""What is asked about tokens, and always with a secret."""
OAUTH = "oauth"
"""The paths below /oauth/."""
VERBS = httpauth.READS | httpauth.WRITES | httpauth.DIALECTS | TOKEN_VERBS | {OAUTH}
ANONYMOUS_VERBS = httpauth.READS | httpauth.DIALECTS
PEER_VERBS = httpauth.DIALECTS | {OAUTH}
"""What may be asked by whoever has the right address: the answer is a yes or a no about a password
or a token that the caller has, and some callers can send nothing else."""
PEERS_ARE_FOR = "peers are for basic, cookie, json and oauth"

LONGEST_DEADLINE = 600.0
"""Seconds; Prosody waits for minutes."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A client's name: it is the user of Basic credentials, and must not need quoting anywhere."""

MAX_LIFETIME = 60.0
"""Seconds of a temporary token, unless the client has its own limit."""
LEAST_LIFETIME = 1.0
RATE = (20, 1.0)

_LIMITS = ("users", "max_lifetime", "max_uses", "rate")


@dataclass(frozen=True, slots=True)
class Client:
    """[clients.NAME]"""

    name: str
    secret: Secret | None
    may: frozenset[str]
    domains: frozenset[str]
    """Prepared names, or "*"."""
    peers: tuple[Network, ...] = ()
    unix: bool = False
    """Whoever comes by a Unix socket is one of `peers`."""
    deadline: float | None = None
    """Seconds; None: that of [http]."""
    users: Localparts | None = None
    """Whose tokens it may ask for and about; None: everybody's. So are the others for tokens."""
    max_lifetime: float = MAX_LIFETIME
    """Seconds; the longest that it may ask for."""
    max_uses: int | None = 1
    """None: any number."""
    rate: tuple[int, float] = RATE
    """Tokens that it gets in so many seconds, and at once."""

    @classmethod
    def read(cls, name: str, table: Table, deadline: float) -> Client:
        """Read the table, and close it. `deadline`: that of [http]."""
        if not NAME.fullmatch(name):
            table.mistakes.add(table.key, "a client's name is letters, digits, dot, _ and -")
        may = table.texts("may")
        for verb in may:
            if verb not in VERBS:
                table.wrong("may", f'"{verb}" is not known{did_you_mean(verb, VERBS)}')
        secret: Secret | None = None
        peers, unix = read_peers(table)
        if "peers" in table:
            table.misplaced("secret_file", "stands beside peers, which take its place")
            for verb in sorted(VERBS.intersection(may) - PEER_VERBS):
                table.wrong("peers", f'"{verb}" needs a secret_file; {PEERS_ARE_FOR}')
        elif PEER_VERBS.isdisjoint(may) or table.text("secret_file", ""):
            secret = table.secret_file("secret_file")
            if "basic" in may:
                table.wrong("may", '"basic" cannot carry a secret: give peers, the addresses of it')
        elif "secret_file" not in table:
            table.wrong(
                "secret_file",
                "is missing, and so are peers, the addresses that basic, cookie, json and oauth "
                "may be called from: give one of the two",
            )
        seconds = table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE)
        domains = read_domains(table, "domains")
        limits = _read_limits(table, may)
        table.close()
        return cls(name, secret, frozenset(may), domains, tuple(peers), unix, seconds, *limits)

    @property
    def grant(self) -> Grant:
        """What it may ask about tokens."""
        return Grant(
            self.name, self.domains, self.users, self.max_lifetime, self.max_uses, self.rate
        )

    def may_ask(self, verb: str, domain: bytes) -> bool:
        """Whether this client may ask this about this domain."""
        if verb not in self.may:
            return False
        if ANY_DOMAIN in self.domains:
            return True
        try:
            return preparation.domain(domain) in self.domains
        except preparation.Unprepared:
            return False

    def is_at(self, address: str) -> bool:
        """Whether a caller from there is this client: an IP address, or `UNIX`."""
        if address == UNIX:
            return self.unix
        if not self.peers:
            return False
        found = ipaddress.ip_address(address)
        return any(found in network for network in self.peers)


def _read_limits(
    table: Table, may: Sequence[str]
) -> tuple[Localparts | None, float, int | None, tuple[int, float]]:
    """users, max_lifetime, max_uses and rate, which are for tokens alone."""
    if TOKEN_VERBS.isdisjoint(may) and "may" not in table.mistaken:
        for setting in _LIMITS:
            table.misplaced(setting, f"is for may = {', '.join(map(_quoted, sorted(TOKEN_VERBS)))}")
        return None, MAX_LIFETIME, 1, RATE
    users = read_users(table, "names nobody, so that there would be no token for anybody")
    lifetime = table.duration("max_lifetime", MAX_LIFETIME, least=LEAST_LIFETIME)
    uses: int | None = None
    if table.data.get("max_uses") == "any":
        table.knows("max_uses")
    else:
        uses = table.number("max_uses", 1, least=1, most=MOST_USES)
    return users, lifetime, uses, read_rate(table, RATE)


def _quoted(verb: str) -> str:
    return f'"{verb}"'


ANONYMOUS = Client("-", None, ANONYMOUS_VERBS, frozenset({ANY_DOMAIN}))
"""Whoever calls without credentials, where `[http] anonymous` is on."""

MOST_COMPARED = 16
"""Clients whose headers are compared as a whole; with more, taking one apart is cheaper."""

_NOBODY = Secret(b"\0" * 32)


class Credentials:
    """The clients by what they show: RFC 7617's Basic with their name and secret."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients
        # As nearly all write it: one comparison, where the codec would take it apart first.
        self._headers = tuple(
            (Secret(b"Basic " + b64encode(name.encode() + b":" + client.secret.reveal())), client)
            for name, client in clients.items()
            if client.secret is not None
        )[:MOST_COMPARED]

    def find(self, headers: Sequence[bytes]) -> Client | None:
        """The client of the one Authorization header, or None. An unknown name costs what a known
        one does."""
        found = None
        for header, client in self._headers:
            if len(headers) == 1 and header.matches(headers[0]):
                found = client  # and go on, so that the time does not tell which it is
        if found is not None:
            return found
        try:
            return find(self._clients, *httpauth.parse_basic(headers))
        except BadRequest:
            return None


def find(clients: Mapping[str, Client], name: bytes, secret: bytes) -> Client | None:
    """The client of these credentials, or None. An unknown name costs what a known one does."""
    client = clients.get(name.decode("latin-1"))
    expected = _NOBODY if client is None or client.secret is None else client.secret
    return client if expected.matches(secret) and expected is not _NOBODY else None
