"""A login through the directory: bind alone, and search+bind, over a plain and a verified link.

One slapd serves all. Client and server share the machine's cores, as they would not in earnest: the
rate is that of both together, and the client's CPU time (of all its threads or processes) is what
a login costs it. The peers' names say how many logins are under way at once.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.processes import ROOT, Program
from bench.rounds import Load, Results, Variant, goal, rate, total
from bench.slapd import SASLAUTHD_PROCESSES, Directory, Saslauthd
from bench.workplace import Workplace

IN_FLIGHT = (1, 4, 16)
MOST = max(IN_FLIGHT)
OPERATIONS = {"bind": "bind alone", "search": "search + bind"}
LINKS = {"plain": "plain", "tls": "TLS"}

OURS, LIBLDAP, PYTHON_LDAP = "authbridge", "C libldap, threads", "python-ldap, threads"
SASLAUTHD, LDAP3 = f"saslauthd, {SASLAUTHD_PROCESSES} processes", "ldap3 SAFE_SYNC, threads"


@dataclass(frozen=True)
class Client:
    """A driver, running, and whose CPU time counts."""

    program: Program
    pids: Callable[[], Sequence[int]]

    def drive(self, operation: str, link: str, in_flight: int, seconds: float) -> Load:
        """One turn: a line to the driver, a line back."""
        pipe, answers = self.program.process.stdin, self.program.process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(f"{operation} {link} {in_flight} {seconds}\n".encode())
        pipe.flush()
        line = answers.readline()
        if not line:
            text = self.program.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.program.process.args}: {text}")
        return Load.read(line.decode())


class Clients:
    """All that ask the directory, each by its name."""

    def __init__(self, place: Workplace, directory: Directory) -> None:
        self._place = place
        self._directory = directory
        self._by_name: dict[str, Callable[[str, str], Client]] = {}
        self._python(OURS, "bench.ldap_ours", "authbridge.checkers.ldap")
        self._c(LIBLDAP, "ldap_load", "libldap-dev", ["-lldap", "-llber"])
        self._python(PYTHON_LDAP, "bench.ldap_python_ldap", "ldap")
        self._saslauthd()
        self._python(LDAP3, "bench.ldap_ldap3", "ldap3")

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def variants(self, operation: str, link: str) -> list[Variant]:
        """Everybody, with 1, 4 and 16 in flight."""
        server = self._directory.program.pid
        found = []

        def add(name: str, client: Client, asked: str, in_flight: int) -> None:
            drive = partial(client.drive, asked, link, in_flight)
            found.append(Variant(name, drive, {"client": client.pids}, lambda: [server]))

        for name, make in self._by_name.items():
            client = make(operation, link)
            for in_flight in IN_FLIGHT:
                add(variant(name, in_flight), client, operation, in_flight)
            if name == LIBLDAP and operation == "search":
                add(f"{variant(name, MOST)}, policy control", client, "search+policy", MOST)
        return found

    def _left_out(self, name: str, missing: str) -> None:
        print(f"\n{missing} is not installed: {name} is left out of the tables of LDAP")

    def _driver(self, name: str, command: Sequence[str]) -> Program:
        log = self._place.folder / f"{len(list(self._place.folder.iterdir()))}-driver.log"
        return self._place.start(command, log, piped=True)

    def _one(self, name: str, command: Sequence[str]) -> None:
        """A client that is the driver itself, the same for every operation and link."""
        program = self._driver(name, command)
        client = Client(program, lambda: [program.pid])
        self._by_name[name] = lambda operation, link: client

    def _python(self, name: str, module: str, needed: str) -> None:
        try:
            present = importlib.util.find_spec(needed) is not None
        except ModuleNotFoundError:
            present = False
        if present:
            self._one(name, self._place.module(module, *self._directory.arguments))
        else:
            self._left_out(name, needed)

    def _c(self, name: str, program: str, package: str, libraries: Sequence[str]) -> None:
        if compiled(self._place, program, libraries):
            path = str(self._place.folder / program)
            self._one(name, [path, *self._directory.arguments])
        else:
            self._left_out(name, package)

    def _saslauthd(self) -> None:
        found = Saslauthd.found()
        if found is None:
            self._left_out(SASLAUTHD, "sasl2-bin")
            return
        if not compiled(self._place, "saslauthd_load", []):
            raise RuntimeError("saslauthd_load.c was not compiled")

        def make(operation: str, link: str) -> Client:
            daemon = Saslauthd(self._place, found, self._directory, operation, link)
            load, requests = self._place.folder / "saslauthd_load", self._directory.arguments[0]
            command = [str(load), requests, str(daemon.socket)]
            return Client(self._driver(SASLAUTHD, command), daemon.pids)

        self._by_name[SASLAUTHD] = make


def variant(name: str, in_flight: int) -> str:
    """What a client is called in the tables."""
    return f"{name}, {in_flight}"


def compiled(place: Workplace, program: str, libraries: Sequence[str]) -> bool:
    """Compile one of our C programs; False where its libraries are missing."""
    source, output = ROOT / "bench" / f"{program}.c", place.folder / program
    compiler = ["cc", "-O2", "-D_GNU_SOURCE", "-pthread", "-o", str(output), str(source)]
    done = subprocess.run([*compiler, *libraries], capture_output=True, text=True, check=False)
    if done.returncode and "ldap.h: No such file" not in done.stderr:
        raise RuntimeError(done.stderr)
    return done.returncode == 0


def run(place: Workplace, rounds: int, seconds: float) -> None:
    """Measure, and print."""
    directory = Directory.start(place)
    if directory is None:
        print("\nslapd is not installed: there are no tables of LDAP")
        return
    print(f"\n{directory.version()}; {versions()}")
    clients = Clients(place, directory)
    peer = variant(LIBLDAP, MOST) if LIBLDAP in clients else ""
    for operation, title in OPERATIONS.items():
        for link, link_title in LINKS.items():
            results = Results(clients.variants(operation, link), rounds, seconds)
            results.table(f"LDAP: {title}, {link_title}", peer, "slapd's CPU µs")
            if operation == "search" and OURS in clients:
                goals(clients, results, link)


def goals(clients: Clients, results: Results, link: str) -> None:
    """Print what search+bind was to reach."""
    ours, title = variant(OURS, MOST), LINKS[link]
    for name, least, most in (
        (LIBLDAP, {"plain": 0.65, "tls": 0.65}[link], {"plain": 1.8, "tls": 2.4}[link]),
        (SASLAUTHD, 2.5, None),
        (LDAP3, 6.0, None),
    ):
        if name not in clients:
            continue
        peer = variant(name, MOST)
        found = results.ratio(ours, peer, rate)
        goal(f"search + bind, {title}: logins/s to {peer}", found, least, at_least=True)
        if most is not None:
            found = results.ratio(ours, peer, total)
            goal(f"search + bind, {title}: CPU to {peer}", found, most)


def versions() -> str:
    """Of the peers."""
    names = ("ldap3", "python-ldap")
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    return ", ".join(found)
