"""A temporary folder with what every benchmark needs: load generators, requests, daemons."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.passwords import HS256_KEY, KEY, XCAUTH_KEY
from bench.processes import ROOT, Program, beside_python
from bench.rounds import Load

USERS = 1000
"""Different users that log in, so that nobody measures one warm entry of a cache."""

_CONFIGURATION = """\
[listen]
extauth = ["unix:{folder}/extauth.sock:mode=600"]
http = ["tcp:{port}:interface=127.0.0.1:backlog=1024"]

[extauth]
users = ["{uid}"]

[log]
logins = "{logins}"

[clients.bench]
secret_file = "{folder}/secret"
may = ["check_password"]
domains = ["*"]

[clients.gate]
peers = ["127.0.0.1"]
may = ["basic"]
domains = ["*"]

[checkers.tokens]
kind = "token"
accept = ["jwt", "compact", "xcauth"]

[issuers.bench-compact]
kind = "compact"
secret_file = "{folder}/compact"
domains = ["*"]
max_lifetime = "1h"

[issuers.bench-xcauth]
kind = "xcauth"
secret_file = "{folder}/xcauth"
domains = ["*"]

[issuers."https://bench.example.org"]
secret_file = "{folder}/hs256"
algorithms = ["HS256"]
domains = ["*"]
max_lifetime = "1h"
"""
CLIENT_SECRET = "the secret of the benchmarks' client"
_SECRETS = {
    "secret": CLIENT_SECRET.encode(),
    "compact": KEY,
    "xcauth": XCAUTH_KEY,
    "hs256": HS256_KEY,
}


def jids(domains: int = 1) -> list[tuple[str, str]]:
    """User and domain of everybody who logs in, spread over so many domains."""
    return [
        (f"user{i}", f"d{i % domains}.example.org" if domains > 1 else "example.org")
        for i in range(USERS)
    ]


class Daemon:
    """An authbridge as installed; its issuers sign with the benchmarks' keys."""

    def __init__(
        self,
        place: Workplace,
        name: str,
        *,
        logins: str = "all",
        domains: int = 1,
        core: int | None = None,
        start: bool = True,
        web: int | None = None,
        more: str = "",
    ) -> None:
        """`domains`: how many it serves; 0 is whatever it is asked for. `web`: the port of its
        listener for browsers, if it has one. `more` stands behind its configuration."""
        self.folder = place.folder / name
        self.folder.mkdir()
        self.port = free_port()
        self.socket = self.folder / "extauth.sock"
        self.configuration = self.folder / "authbridge.toml"
        self.log = self.folder / "daemon.log"
        text = _CONFIGURATION.format(
            folder=self.folder,
            port=self.port,
            uid=os.geteuid(),
            logins=logins,
        )
        served = sorted({domain for _, domain in jids(domains)}) if domains else ["*"]
        for domain in served:
            text += f'[domains."{domain}"]\ncheck = ["tokens"]\nexists = "always"\n'
        if web is not None:
            text = text.replace(
                "[listen]\n", f'[listen]\nweb = ["tcp:{web}:interface=127.0.0.1"]\n'
            )
        self.configuration.write_text(text + more)
        for name, secret in _SECRETS.items():
            (self.folder / name).touch(mode=0o600)
            (self.folder / name).write_bytes(secret)
        if not start:
            return
        command = [beside_python("authbridge"), "run", "--config", str(self.configuration)]
        self.program = place.start(command, self.log, core=core)
        self.program.wait_for(lambda: connects(self.socket), "authbridge")

    @property
    def connector(self) -> list[str]:
        """What an administrator writes behind `extauth_program:`."""
        return [beside_python("authbridge-extauth"), "--socket", str(self.socket)]

    @property
    def standalone(self) -> list[str]:
        """The same for a program that asks no daemon."""
        program = beside_python("authbridge-extauth")
        return [program, "--standalone", "--config", str(self.configuration)]


class Workplace:
    """The folder, and all that runs in it; leaving it ends and removes everything."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Workplace:
        self.folder = Path(
            self._stack.enter_context(TemporaryDirectory(prefix="authbridge-bench-"))
        )
        # Nothing but `bench` is importable from here: authbridge is what is installed.
        (self.folder / "path").mkdir()
        (self.folder / "path" / "bench").symlink_to(ROOT / "bench")
        self.environment = {"PYTHONPATH": str(self.folder / "path"), "PYTHONDONTWRITEBYTECODE": "1"}
        for program in ("echo", "extauth_load", "http_load"):
            source = ROOT / "bench" / f"{program}.c"
            compiler = ["cc", "-O2", "-D_GNU_SOURCE", "-o", str(self.folder / program), str(source)]
            subprocess.run(compiler, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        piped: bool = False,
        core: int | None = None,
    ) -> Program:
        """Start a program that ends with the workplace."""
        program = Program(
            arguments,
            log,
            environment=self.environment,
            folder=self.folder / "path",
            piped=piped,
            core=core,
        )
        self._stack.callback(program.stop)
        return program

    def at_end(self, stop: Callable[[], object]) -> None:
        """Have something else end with the workplace."""
        self._stack.callback(stop)

    def module(self, name: str, *arguments: str) -> list[str]:
        """The command of one of the benchmarks' own programs."""
        return [sys.executable, "-m", name, *arguments]

    def requests(self, name: str, octets: Iterable[bytes]) -> Path:
        """A file of requests for a load generator."""
        path = self.folder / name
        path.write_bytes(b"".join(struct.pack(">I", len(one)) + one for one in octets))
        return path

    def load(
        self, arguments: Sequence[str], core: int | None, program: Program | None = None
    ) -> Load:
        """Run a load generator, on the pipes of `program` if there is one."""
        cores = sorted(os.sched_getaffinity(0))
        if core is not None and len(cores) > 1:
            arguments = ["taskset", "-c", str(cores[core % len(cores)]), *arguments]
        done = subprocess.run(
            list(arguments),
            stdin=program.process.stdout if program else subprocess.DEVNULL,
            stdout=program.process.stdin if program else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr}")
        return Load.read(done.stderr)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connects(address: Path | int) -> bool:
    """Whether somebody answers at a Unix socket, or at a port of 127.0.0.1."""
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect(("127.0.0.1", address) if isinstance(address, int) else str(address))
        except OSError:
            return False
    return True
