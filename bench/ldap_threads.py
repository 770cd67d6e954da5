"""What the Python peers share: logins one at a time in each of so many threads (see threads.h)."""

from __future__ import annotations

import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

ATTRIBUTES = ("uid", "shadowExpire", "pwdEndTime")
"""What everybody asks of an entry: what authbridge's checker does."""

Login = Callable[[str, str], bool]
"""Whether a user's password was accepted; anything but a clear yes or no is an exception."""


@dataclass(frozen=True)
class Request:
    """One login."""

    user: str
    password: str
    right: bool


@dataclass(frozen=True)
class Arguments:
    """How the directory is reached: the arguments of every driver, in their order."""

    requests: str
    plain: str
    tls: str
    certificate_authority: str
    base: str
    filter: str
    user_dn: str
    service_dn: str
    service_password: str

    @classmethod
    def read(cls) -> Arguments:
        """The command line's."""
        return cls(*sys.argv[1:10])

    def logins(self) -> list[Request]:
        """Who logs in: see slapd.py."""
        octets, found, start = Path(self.requests).read_bytes(), [], 0
        while start < len(octets):
            (length,) = struct.unpack_from(">I", octets, start)
            start += 4 + length
            user, password, right = octets[start - length : start].decode().split("\0")
            found.append(Request(user, password, right == "1"))
        return found


@dataclass(frozen=True)
class Command:
    """One line of stdin: a turn."""

    operation: str
    link: str
    in_flight: int
    seconds: float


def commands() -> Iterator[Command]:
    """Those of stdin, until it ends."""
    while line := sys.stdin.readline():
        yield read_command(line)


def read_command(line: str) -> Command:
    """One line."""
    operation, link, in_flight, seconds = line.split()
    return Command(operation, link, int(in_flight), float(seconds))


def report(latencies: list[int], elapsed: int, wrong: int) -> None:
    """What a turn has found, to stdout: see load.h. All in nanoseconds."""
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    print(len(latencies), elapsed, p50, p99, wrong, flush=True)


def serve(connect: Callable[[Command], Login]) -> None:
    """Take the turns that stdin asks for; `connect` makes what one thread logs in with, once for
    each operation and link."""
    requests = Arguments.read().logins()
    numbers = count()
    made: dict[tuple[str, str], list[Login]] = {}
    for command in commands():
        logins = made.setdefault((command.operation, command.link), [])
        while len(logins) < command.in_flight:
            logins.append(connect(command))
        _turn(command, logins[: command.in_flight], requests, numbers)


def _turn(
    command: Command, logins: list[Login], requests: list[Request], numbers: Iterator[int]
) -> None:
    latencies: list[int] = []
    failures: list[BaseException] = []
    wrong: list[Request] = []
    clock = time.perf_counter_ns
    start = clock()
    end = start + int(command.seconds * 1e9)

    def work(login: Login) -> None:
        before = start
        try:
            while before < end:
                request = requests[next(numbers) % len(requests)]
                if login(request.user, request.password) is not request.right:
                    wrong.append(request)
                after = clock()
                latencies.append(after - before)
                before = after
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[login]) for login in logins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    for request in wrong[:1]:
        print(f"wrong verdict: {request}", file=sys.stderr, flush=True)
    report(latencies, clock() - start, len(wrong))
