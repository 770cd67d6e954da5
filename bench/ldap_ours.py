"""authbridge's own client: `check_password` of its `ldap` checker, so many at once, in one process.

`python -m bench.ldap_ours` with a driver's arguments takes the turns that stdin asks for.
`python -m bench.ldap_profile` shows where its CPU goes.
"""

from __future__ import annotations

import os
import random
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from authbridge import model
from authbridge.checkers import Surroundings
from authbridge.checkers import ldap as kind
from authbridge.model import JID, Verdict
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.workers import Workers
from bench.ldap_threads import Arguments, Command, Request, read_command, report

reactor: Any = installed
DOMAIN = "example.org"


def settings(given: Arguments, operation: str, link: str) -> dict[str, Any]:
    """[checkers.NAME], as an administrator would write it."""
    table: dict[str, Any] = {"preset": "openldap", "timeout": "5s"}
    if link == "tls":
        table |= {"servers": [given.tls], "ca_file": given.certificate_authority}
    else:
        table |= {"servers": [given.plain], "insecure_clear_text": True}
    if operation == "bind":
        return table | {"user_dn": given.user_dn}
    # The hole is ours to make: `filter` is what is asked beside the name.
    asked = given.filter.removeprefix("(&").removesuffix("(uid={user}))")
    return table | {
        "base": given.base,
        "filter": asked,
        "bind_dn": given.service_dn,
        "bind_password_file": str(secret_file(given)),
    }


def secret_file(given: Arguments) -> Path:
    """A file with the service account's password."""
    path = Path(given.requests).parent / "service-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(given.service_password)
    return path


def make_checker(given: Arguments, operation: str, link: str) -> model.Checker:
    """A checker as the daemon makes it."""
    mistakes = Mistakes()
    table = Table(
        settings(given, operation, link), "checkers.bench", mistakes, Path(given.requests).parent
    )
    found = kind.read_settings(table)
    mistakes.check()
    workers = Workers(reactor, threads=1, most_waiting=10)
    return kind.make_checker(found, Surroundings(reactor, workers, time.time, random.random))


class Driver:
    """Puts the load on."""

    def __init__(self, given: Arguments) -> None:
        self._given = given
        self._requests = given.logins()
        self._numbers = count()
        self._checkers: dict[tuple[str, str], model.Checker] = {}

    async def turn(self, command: Command) -> tuple[list[int], int, int]:
        """One turn: latencies, nanoseconds in all, wrong verdicts."""
        key = (command.operation, command.link)
        if key not in self._checkers:
            self._checkers[key] = make_checker(self._given, *key)
        checker = self._checkers[key]
        latencies: list[int] = []
        wrong: list[Request] = []
        start = time.perf_counter_ns()
        end = start + int(command.seconds * 1e9)
        await gatherResults(
            [
                Deferred.fromCoroutine(self._log_in(checker, end, latencies, wrong))
                for _ in range(command.in_flight)
            ],
            consumeErrors=True,
        )
        for request in wrong[:1]:
            print(f"wrong verdict: {request}", file=sys.stderr, flush=True)
        return latencies, time.perf_counter_ns() - start, len(wrong)

    async def _log_in(
        self, checker: model.Checker, end: int, latencies: list[int], wrong: list[Request]
    ) -> None:
        clock, requests, numbers = time.perf_counter_ns, self._requests, self._numbers
        before = clock()
        while before < end:
            request = requests[next(numbers) % len(requests)]
            jid, password = JID(request.user, DOMAIN), Secret(request.password.encode())
            outcome = await checker.check_password(jid, password, None)
            expected = Verdict.ACCEPTED if request.right else Verdict.REJECTED
            if outcome.verdict is not expected:
                if outcome.verdict not in (Verdict.ACCEPTED, Verdict.REJECTED):
                    raise RuntimeError(f"{request}: {outcome}")
                wrong.append(request)
            after = clock()
            latencies.append(after - before)
            before = after


class Commands:
    """Reads stdin on the reactor."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def fileno(self) -> int:
        """stdin's."""
        return 0

    def logPrefix(self) -> str:
        """For the reactor."""
        return "commands"

    def doRead(self) -> None:
        """Turns are asked for; nothing is read until they have been taken."""
        lines = os.read(0, 4096).decode().splitlines()
        if not lines:
            reactor.stop()
            return
        reactor.removeReader(self)
        Deferred.fromCoroutine(self._turns(lines)).addErrback(self._failed)

    def connectionLost(self, reason: object) -> None:
        """The reactor ends."""

    async def _turns(self, lines: list[str]) -> None:
        for line in lines:
            report(*await self._driver.turn(read_command(line)))
        reactor.addReader(self)

    def _failed(self, failure: Failure) -> None:
        failure.printTraceback(sys.stderr)
        sys.stderr.flush()
        os._exit(1)


def main() -> None:
    """Serve until stdin ends."""
    reactor.addReader(Commands(Driver(Arguments.read())))
    reactor.run()


if __name__ == "__main__":
    main()
