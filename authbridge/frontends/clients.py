"""The programs that may call `listen.http`: who they are, and what each may ask."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from authbridge import preparation
from authbridge.domain_names import ANY_DOMAIN, read_domains
from authbridge.peers import UNIX
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.wire import httpauth
from authbridge.wire.http import BadRequest

VERBS = httpauth.READS | httpauth.WRITES | httpauth.DIALECTS
ANONYMOUS_VERBS = httpauth.READS | httpauth.DIALECTS
PEER_VERBS = httpauth.DIALECTS
"""What may be asked by whoever has the right address: the answer is a yes or a no about a password
that the caller has, and some callers can send nothing else."""

LONGEST_DEADLINE = 600.0
"""Seconds; Prosody waits for minutes."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A client's name: it is the user of Basic credentials, and must not need quoting anywhere."""

_IPV4_WITHIN = ipaddress.IPv6Network("::ffff:0:0/96")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
                table.wrong("peers", f'"{verb}" needs a secret_file; peers are for basic and json')
        elif PEER_VERBS.isdisjoint(may) or table.text("secret_file", ""):
            secret = table.secret_file("secret_file")
            if "basic" in may:
                table.wrong("may", '"basic" cannot carry a secret: give peers, the addresses of it')
        elif "secret_file" not in table:
            table.wrong(
                "secret_file",
                "is missing, and so are peers, the addresses that basic and json may be called "
                "from: give one of the two",
            )
        seconds = table.duration("deadline", deadline, least=0.1, most=LONGEST_DEADLINE)
        domains = read_domains(table, "domains")
        table.close()
        return cls(name, secret, frozenset(may), domains, tuple(peers), unix, seconds)

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


def read_peers(table: Table) -> tuple[list[Network], bool]:
    """Addresses and networks, and whether "unix" is among them; wrong ones are mistakes."""
    networks = []
    texts = table.texts("peers", ())
    if table.data.get("peers") == []:
        table.wrong("peers", "names nobody, so that nobody could call")
    for text in texts:
        if text == UNIX:
            continue
        try:
            networks.append(_network(text))
        except ValueError as error:
            table.wrong("peers", f'"{text}" {error}')
    return networks, UNIX in texts


def _network(text: str) -> Network:
    """Raises ValueError."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        network = None
    # Nobody would be found at an address with a zone, or of IPv4 within IPv6: a caller's has
    # neither.
    if network is None or "%" in text or network.network_address in _IPV4_WITHIN:
        raise ValueError('is no address, network such as 10.0.0.0/24, or "unix"')
    address, slash, _ = text.partition("/")
    if slash and ipaddress.ip_address(address) != network.network_address:
        raise ValueError(f'should be "{network}", or "{address}" alone')
    return network
