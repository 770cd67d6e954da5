"""Servers by SRV records (RFC 2782; Active Directory has them for its domain controllers).

DNS is not to be trusted, and a certificate only shows that a server has the name that DNS gave it.
So a server counts only if its name lies in the domain that the configuration names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.names import client, dns
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DomainError
from twisted.python.failure import Failure

from authbridge.ldap.faults import Fault
from authbridge.ldap.server import Server, ServerMistake
from authbridge.model import Reason
from authbridge.printable import printable

SHORTEST, LONGEST = 30.0, 3600.0
"""Seconds until records are looked up again, whatever their time to live."""
REST = 1.0
"""Seconds until that is tried again where it failed and there are no servers yet."""
PREFIX = "srv:"
RESOLV_CONF = Path("/etc/resolv.conf")

_NAME_SERVER = re.compile(r"^\s*nameserver\s+([0-9A-Fa-f.:]+)\s*$", re.MULTILINE)

# Labels that begin with _ are of the service, and so is what is between two of them: a site.
_SERVICE = re.compile(r"(?P<labels>_ldaps?\._tcp\.([0-9a-z_-]+\.)*?)?(?P<domain>[^_:/\[\]]*)")

log = Logger()


@dataclass(frozen=True, slots=True)
class Service:
    """What is looked up."""

    name: str
    domain: str
    ldaps: bool

    @classmethod
    def parse(cls, text: str) -> Service:
        """From srv:example.org, or srv:_ldap._tcp.Berlin._sites.example.org. Raises
        ServerMistake."""
        name = text.removeprefix(PREFIX).removesuffix(".").lower()
        found = _SERVICE.fullmatch(name)
        try:
            domain = Server.parse(f"ldap://{found['domain'] if found else ''}").host
        except ServerMistake:
            domain = ""
        if found is None or "." not in domain or domain.replace(".", "").isdigit():
            raise ServerMistake(
                f'"{text}" names no domain: "srv:example.org" looks up _ldap._tcp.example.org'
            )
        labels = found["labels"] or "_ldap._tcp."
        return cls(labels + domain, domain, labels.startswith("_ldaps."))

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}"


class Record(NamedTuple):
    """An SRV record."""

    priority: int
    weight: int
    port: int
    target: str
    ttl: int
    """Seconds."""


Lookup = Callable[[str], "Deferred[list[Record]]"]


class Discovery:
    """Looks up the servers of a service when somebody asks, and again when the records are old."""

    def __init__(
        self,
        service: Service,
        lookup: Lookup,
        found: Callable[[Sequence[Server]], None],
        timeout: float,
        most_waiting: int,
        clock: IReactorTime,
        chance: Callable[[], float],
    ) -> None:
        """`found` is told of the servers whenever they are others, or in another order. `timeout`
        of a lookup is in seconds; `most_waiting` may wait for the first; `chance` gives numbers
        from 0 to 1, for the records' weights."""
        self._service = service
        self._lookup = lookup
        self._found = found
        self._timeout = timeout
        self._most_waiting = most_waiting
        self._clock = clock
        self._chance = chance
        self._records: frozenset[Record] = frozenset()
        self._again = 0.0
        self._looking: Deferred[None] | None = None
        self._waiting: dict[Deferred[None], None] = {}
        self._fault = Fault(Reason.DIRECTORY_UNREACHABLE, f"{service} was not looked up yet")
        self._said = ""
        self.found = ""
        """What was found last, for people."""

    def ready(self) -> Deferred[None] | None:
        """None where there are servers; else what fires when there are. Raises Fault, or fails
        with it, where they cannot be found."""
        if self._looking is None and self._clock.seconds() >= self._again:
            looking = Deferred.fromCoroutine(self._look())
            self._looking = None if looking.called else looking
        if self._records:
            return None
        if self._looking is None:
            raise Fault(self._fault.reason, self._fault.words)
        if len(self._waiting) >= self._most_waiting:
            raise Fault(Reason.OVERLOADED, f"{len(self._waiting)} are waiting already")
        waiting: Deferred[None] = Deferred(lambda one: self._waiting.pop(one, None))
        self._waiting[waiting] = None
        return waiting

    def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        def too_late(_result: object, _seconds: float) -> NoReturn:
            raise Fault(Reason.DIRECTORY_SILENT, f"{self._service}: DNS gave no answer")

        try:
            looking = self._lookup(self._service.name).addErrback(self._explain)
            records = await looking.addTimeout(self._timeout, self._clock, too_late)
            self._take(records)
        except CancelledError:
            return  # it is stopped
        except Fault as fault:
            self._not_found(fault)
        except Exception:  # noqa: BLE001 - or nobody would look again
            log.failure("a lookup of servers failed")
            self._not_found(Fault(Reason.INTERNAL_ERROR, "a fault in authbridge"))
        self._looking = None
        while self._waiting:  # who is told may make others leave
            one = next(iter(self._waiting))
            del self._waiting[one]
            if self._records:
                one.callback(None)
            else:
                one.errback(Fault(self._fault.reason, self._fault.words))

    def _take(self, records: list[Record]) -> None:
        servers = self._servers(records)
        self._said = ""
        life = min(max(min(record.ttl for record in records), SHORTEST), LONGEST)
        self._again = self._clock.seconds() + life
        # Those that stay as they were stay in their order: the first is the one in use.
        known = frozenset(record._replace(ttl=0) for record in records)
        if known != self._records:
            names = " ".join(map(str, servers))
            log.info("directory: {service} is {servers}", service=self._service, servers=names)
            self._found(servers)
            self._records = known

    def _not_found(self, fault: Fault) -> None:
        self._fault = fault
        self._again = self._clock.seconds() + (SHORTEST if self._records else REST)
        if fault.words != self._said:
            self._said = fault.words
            reason = fault.reason.value
            log.error("directory: {words} ({reason})", words=fault.words, reason=reason)

    def _explain(self, failure: Failure) -> NoReturn:
        if failure.check(Fault, CancelledError):
            failure.raiseException()
        if failure.check(defer.TimeoutError, DNSQueryTimeoutError):
            raise Fault(Reason.DIRECTORY_SILENT, f"{self._service}: DNS gave no answer")
        why = "DNS cannot answer"
        if failure.check(DNSNameError):
            why = "DNS has no such name"
        elif failure.check(DomainError):
            why = f"DNS answers {type(failure.value).__name__}"
        elif failure.check(OSError):
            why = f"{RESOLV_CONF}: there is no name server in it"
        raise Fault(Reason.DIRECTORY_UNREACHABLE, f"{self._service}: {why}")

    def _servers(self, records: Iterable[Record]) -> list[Server]:
        """Who of them may be asked, in the order of RFC 2782. Raises Fault where that is nobody."""
        servers, scheme = [], "ldaps" if self._service.ldaps else "ldap"
        strangers = []
        for record in in_order(records, self._chance):
            target = record.target.lower().removesuffix(".")
            if not target or not record.port:
                continue  # it is said not to be there
            try:
                server = Server.parse(f"{scheme}://{target}:{record.port}")
            except ServerMistake:
                strangers.append(target)
                continue
            if f".{server.host}".endswith(f".{self._service.domain}"):
                servers.append(server)
            else:
                strangers.append(target)
        outside = printable(" ".join(strangers).encode())
        self.found = f"{self._service}: {' '.join(map(str, servers))}"
        if strangers:
            self.found += f"; outside of {self._service.domain}, not asked: {outside}"
        if strangers and servers:
            log.warn(
                "directory: {service} has servers outside of {domain}; they are not asked: {names}",
                service=self._service, domain=self._service.domain, names=outside,
            )  # fmt: skip
        if not servers:
            why = "DNS has no servers for it"
            if strangers:
                why = f"its servers are outside of {self._service.domain}: {outside}"
            raise Fault(Reason.DIRECTORY_UNREACHABLE, f"{self._service}: {why}")
        return list(dict.fromkeys(servers))


def in_order(records: Iterable[Record], chance: Callable[[], float]) -> list[Record]:
    """The order in which they are to be asked: by priority, and among equals by chance, in the
    proportion of their weights (RFC 2782)."""
    left = sorted(records, key=lambda record: (record.priority, record.weight))
    ordered = []
    while left:
        equals = [record for record in left if record.priority == left[0].priority]
        drawn = chance() * sum(record.weight for record in equals)
        for record in equals:
            drawn -= record.weight
            if drawn <= 0:
                break
        left.remove(record)
        ordered.append(record)
    return ordered


def ask_dns(reactor: Any, servers: Sequence[tuple[str, int]] | None = None) -> Lookup:
    """Looks records up in DNS: at the machine's name servers, which are read each time, or at
    those given."""

    def look(name: str) -> Deferred[list[Record]]:
        try:
            asked = servers or name_servers()
        except OSError:
            return fail()
        return Deferred.fromCoroutine(_look(name, reactor, asked))

    return look


def name_servers() -> list[tuple[str, int]]:
    """Address and port of the machine's name servers. Raises OSError where there are none."""
    found = _NAME_SERVER.findall(RESOLV_CONF.read_text("ascii", "replace"))
    if not found:
        raise OSError("no name server")
    return [(server, dns.PORT) for server in found]


async def _look(name: str, reactor: Any, servers: Sequence[tuple[str, int]]) -> list[Record]:
    resolver: Any = client.Resolver(servers=list(servers), timeout=(1, 2), reactor=reactor)
    try:
        answers, _, _ = await resolver.lookupService(name, timeout=(1, 2))
    finally:
        for connection in resolver.connections:  # where an answer was too long for a datagram
            connection.transport.loseConnection()
    return [
        Record(
            answer.payload.priority, answer.payload.weight, answer.payload.port,
            answer.payload.target.name.decode("ascii", "replace"), answer.ttl,
        )
        for answer in answers
        if answer.type == dns.SRV
    ]  # fmt: skip
