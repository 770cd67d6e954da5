"""The programs that may call `listen.http`: who they are, and what each may ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from authbridge import preparation
from authbridge.authenticator import ANY_DOMAIN
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.wire import httpauth

VERBS = httpauth.READS | httpauth.WRITES
ANONYMOUS_VERBS = httpauth.READS

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A client's name: it is the user of Basic credentials, and must not need quoting anywhere."""


@dataclass(frozen=True, slots=True)
class Client:
    """[clients.NAME]"""

    name: str
    secret: Secret | None
    may: frozenset[str]
    domains: frozenset[str]
    """Prepared names, or "*"."""

    @classmethod
    def read(cls, name: str, table: Table) -> Client:
        """Read the table, and close it."""
        if not NAME.fullmatch(name):
            table.mistakes.add(table.key, "a client's name is letters, digits, dot, _ and -")
        secret = table.secret_file("secret_file")
        may = table.texts("may")
        for verb in may:
            if verb not in VERBS:
                table.wrong("may", f'"{verb}" is not known{did_you_mean(verb, VERBS)}')
        domains = table.texts("domains")
        table.close()
        return cls(name, secret, frozenset(may), read_domains(domains, "domains", table))

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


ANONYMOUS = Client("-", None, ANONYMOUS_VERBS, frozenset({ANY_DOMAIN}))
"""Whoever calls without credentials, where `[http] anonymous` is on."""

_NOBODY = Secret(b"\0" * 32)


def find(clients: Mapping[str, Client], name: bytes, secret: bytes) -> Client | None:
    """The client of these credentials, or None. An unknown name costs what a known one does."""
    client = clients.get(name.decode("latin-1"))
    expected = _NOBODY if client is None or client.secret is None else client.secret
    return client if expected.matches(secret) and expected is not _NOBODY else None


def read_domains(names: tuple[str, ...], setting: str, table: Table) -> frozenset[str]:
    """Prepared domains of a list in the configuration, "*" for all."""
    prepared = set()
    for name in names:
        try:
            prepared.add(name if name == ANY_DOMAIN else preparation.domain(name.encode()))
        except preparation.Unprepared as error:
            table.wrong(setting, f'"{name}": {error}')
    return frozenset(prepared)
