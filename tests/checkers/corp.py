"""A directory of people in memory, and the checker that asks it."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from authbridge.checkers import Surroundings
from authbridge.checkers import ldap as kind
from authbridge.ldap.directory import Directory
from authbridge.ldap.discovery import Record, Service
from authbridge.model import JID, Outcome, Trace
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from tests.doubles import now
from tests.ldap.server import Book, Network, Request, Server

HOST = "192.0.2.1"
PEOPLE = b"ou=people,dc=example,dc=org"
ALICE, BOB = b"uid=alice," + PEOPLE, b"uid=bob," + PEOPLE
STAFF, CREW = "cn=staff,ou=groups,dc=example,dc=org", "cn=crew,ou=groups,dc=example,dc=org"
SERVICE, SECRET = "cn=service,dc=example,dc=org", b"through-the-glass"
TODAY = calendar.timegm((2026, 11, 22, 12, 0, 0))


def read(folder: Path, **given: Any) -> tuple[kind.LdapSettings, list[str]]:
    """The settings, and the mistakes in them."""
    mistakes = Mistakes()
    data = {name: value for name, value in given.items() if value is not None}
    return kind.read_settings(Table(data, "checkers.corp", mistakes, folder)), list(mistakes)


class Corp:
    """A directory with people, a network, and a checker."""

    domain = "example.org"

    def __init__(self, folder: Path, book: Book | None = None) -> None:
        self.folder = folder
        self.wall = float(TODAY)
        self.network = Network()
        self.book = book or Book()
        self.network.listen(HOST, answer=self.book.answer)
        self.book.add(SERVICE.encode(), SECRET)
        self.book.add(ALICE, b"wonderland", uid=[b"alice"], mail=[b"al@example.org"])
        self.book.add(BOB, b"builder", uid=[b"bob"])
        (folder / "password").write_bytes(SECRET)
        (folder / "password").chmod(0o600)
        self.given: dict[str, Any] = {
            "servers": [f"ldap://{HOST}"], "insecure_clear_text": True, "base": PEOPLE.decode(),
            "bind_dn": SERVICE, "bind_password_file": "password",
        }  # fmt: skip
        self.checker: Any = None
        self.surroundings: Any = None

    def set(self, **given: Any) -> Corp:
        """Settings in place of the usual ones; None for none."""
        self.given.update(given)
        self.checker = None
        return self

    def make(self) -> Any:
        settings, mistakes = read(self.folder, **self.given)
        assert mistakes == []
        idle: Any = None
        self.surroundings = Surroundings(self.network, idle, lambda: self.wall, lambda: 0.5)
        self.checker = kind.make_checker(settings, self.surroundings)
        return self.checker

    def jid(self, user: str) -> JID:
        return JID(user, self.domain)

    def begin(
        self, user: str, password: bytes = b"wonderland", trace: Trace | None = None
    ) -> Deferred[Outcome]:
        checker = self.checker or self.make()
        asking = checker.check_password(self.jid(user), Secret(password), trace)
        return Deferred.fromCoroutine(asking)

    def login(
        self,
        user: str = "alice",
        password: bytes = b"wonderland",
        trace: Trace | None = None,
        seconds: float = 0,
    ) -> Outcome:
        answer = self.begin(user, password, trace)
        self.network.settle()
        self.network.settle(seconds)
        return now(answer)

    def exists(self, user: str = "alice", trace: Trace | None = None) -> Outcome:
        checker = self.checker or self.make()
        answer = Deferred.fromCoroutine(checker.user_exists(self.jid(user), trace))
        self.network.settle()
        return now(answer)

    @property
    def binds(self) -> list[bytes]:
        """Names of users' binds."""
        service = self.given["bind_dn"]
        return [one.name for one in self.book.of("bind") if one.name.decode("latin-1") != service]

    @property
    def searches(self) -> list[Request]:
        """For users and groups, not for whether the server is there."""
        return [request for request in self.book.of("search") if request.name]

    def script(self, answer: Callable[[Server, Request], bytes | None]) -> None:
        """A server that answers so in place of the book."""
        self.network.listen(HOST, answer=answer)


RECORD = Record(0, 100, 389, "dc1.example.org", 600)


def by_dns(corp: Corp, dns: Callable[[], Deferred[list[Record]]]) -> Corp:
    """A checker that finds its servers so; each look-up comes of `dns`. In the clear, as no
    configuration may have it."""
    settings, mistakes = read(corp.folder, **corp.given)
    assert mistakes == []
    network = corp.network
    network.names[RECORD.target] = [HOST]
    service = Service.parse("srv:example.org")
    servers = replace(settings.directory, servers=(), service=service)
    directory = Directory(servers, network, lambda: 0.5, {}, lambda _: dns())
    settings = replace(settings, directory=servers)
    corp.checker = kind.LdapChecker(settings, directory, network, lambda: corp.wall)
    return corp
