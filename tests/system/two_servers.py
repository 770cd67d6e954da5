"""Two directories with the same people, a fault proxy before the first, and domains to ask them."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .calls import CANNOT_TELL, NO, YES, Answer, check_password, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import SERVICE, Account, checker, ssha
from .fault_proxy import FaultProxies, FaultProxy
from .pki import Pki
from .slapd import Slapd

#: Seconds; what every answer must come within. The daemon's own deadline is 8 s, and what is more
#: is for a machine that has other things to do.
DEADLINE = 30.0
#: Seconds after its end within which a fault is over for users as well: 5 s is promised (that it is
#: kept, tests/ldap tries with a clock of its own), and a server that fails again and again is left
#: alone for a minute.
RECOVERY = 30.0
TIMEOUT = "2s"
OUTAGE = (CANNOT_TELL, b"unavailable")

#: More people, so that as much is tried at once: whose passwords were judged is told by their DNs.
MORE_PEOPLE = tuple(Account(f"more{number:02}", secret(f"more-{number}")) for number in range(20))


@dataclass(frozen=True)
class Slapds:
    """The two directories."""

    first: Slapd
    second: Slapd

    def mark(self) -> tuple[int, int]:
        """Now, for `binds`."""
        return self.first.mark(), self.second.mark()

    def binds(self, since: tuple[int, int], account: Account) -> tuple[int, int]:
        """How often each has judged a password of this user since a mark."""
        first, second = (
            slapd.binds(mark).count(account.dn)
            for slapd, mark in zip((self.first, self.second), since, strict=True)
        )
        return first, second

    def service_binds(self, since: tuple[int, int]) -> tuple[int, int]:
        """The same of the service account."""
        first, second = (
            slapd.binds(mark).count(SERVICE)
            for slapd, mark in zip((self.first, self.second), since, strict=True)
        )
        return first, second


def _entry(account: Account) -> str:
    lines = (
        *(f"dn: {account.dn}", "objectClass: inetOrgPerson", f"uid: {account.uid}"),
        *(f"cn: {account.uid}", "sn: Lab", f"userPassword: {ssha(account.password)}"),
    )
    return "\n".join(lines) + "\n\n"


@contextmanager
def running_slapds(folder: Path, pki: Pki, more: Sequence[Account] = ()) -> Iterator[Slapds]:
    """Both, with one password of the service account, and `more` people."""
    first, second = (Slapd(folder / name, pki) for name in ("first", "second"))
    second.service_password = first.service_password
    with ExitStack() as ends:
        for slapd in (first, second):
            slapd.start()
            ends.callback(slapd.stop)
            if more:
                slapd.modify("".join(map(_entry, more)), "-a")
        yield Slapds(first, second)


@dataclass(frozen=True)
class Domain:
    """An XMPP domain with servers of its own."""

    name: str
    daemon: Daemon
    slapds: Slapds
    #: In the order of `servers`.
    proxies: tuple[FaultProxy, ...]

    @property
    def proxy(self) -> FaultProxy:
        """What stands before the first server."""
        return self.proxies[0]

    def jid(self, account: Account) -> str:
        """His JID in this domain."""
        return f"{account.local}@{self.name}"

    def check(self, account: Account, password: bytes) -> Answer:
        """The answer to a password, which comes in time."""
        began = time.monotonic()
        answer = check_password(self.daemon, self.jid(account), password)
        assert time.monotonic() - began < DEADLINE
        return answer

    def right(self, account: Account) -> Answer:
        """The answer to his own password; whatever happens, it is not "no"."""
        answer = self.check(account, account.password)
        assert answer in (YES, OUTAGE)
        return answer

    def wrong(self, account: Account) -> Answer:
        """The answer to another one; whatever happens, it is not "yes", and at most one server has
        judged it: where there is an answer, exactly one."""
        mark = self.slapds.mark()
        answer = self.check(account, secret("wrong-password"))
        assert answer in (NO, OUTAGE)
        judged = sum(self.slapds.binds(mark, account))
        assert judged == 1 if answer == NO else judged <= 1
        return answer

    def exists(self, account: Account) -> Answer:
        """Whether he is there, who is; the answer is never "no"."""
        began = time.monotonic()
        answer = user_exists(self.daemon, self.jid(account))
        assert time.monotonic() - began < DEADLINE
        assert answer in (YES, OUTAGE)
        return answer

    def at_once(self, right: Account, wrong: Account) -> tuple[Answer, Answer]:
        """Both kinds of logins, at the same time."""
        with ThreadPoolExecutor() as visitors:
            answers = visitors.submit(self.right, right), visitors.submit(self.wrong, wrong)
        return answers[0].result(), answers[1].result()


class Domains:
    """Makes a daemon with a domain for each kind of servers."""

    def __init__(self, folder: Path, slapds: Slapds, pki: Pki, proxies: FaultProxies) -> None:
        """`pki` is the certificate of both servers, and of every proxy before them."""
        self.proxies = proxies
        self._folder = folder
        self._slapds = slapds
        self._pki = pki
        self._tables: dict[str, str] = {}
        self._before: dict[str, tuple[FaultProxy, ...]] = {}

    def proxy(self, *, second: bool = False, start_tls: bool = False) -> FaultProxy:
        """A new one before one of the two servers."""
        slapd = self._slapds.second if second else self._slapds.first
        return self.proxies.before(slapd.port, self._pki, start_tls=start_tls)

    def add(self, name: str, *servers: FaultProxy | str, **settings: object) -> None:
        """A domain with these servers: proxies, or URLs."""
        urls = [server if isinstance(server, str) else server.url for server in servers]
        chosen: dict[str, object] = {
            "servers": urls,
            "ca_file": self._pki.ca,
            "bind_password_file": self._slapds.first.service_password_file,
            "timeout": TIMEOUT,
            **settings,
        }
        label = name.replace(".", "-")
        self._tables[name] = checker(name, label, urls[0], **chosen)
        self._before[name] = tuple(one for one in servers if isinstance(one, FaultProxy))

    def daemon(self) -> tuple[Daemon, dict[str, Domain]]:
        """The daemon, not started, and the domains by their names."""
        daemon = Daemon(self._folder, (), others=self._tables)
        domains = {
            name: Domain(name, daemon, self._slapds, proxies)
            for name, proxies in self._before.items()
        }
        return daemon, domains
