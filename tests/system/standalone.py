"""ejabberd whose programs serve themselves, and what each of them has open."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import people
from .daemon import Daemon, write_private
from .ejabberd import Ejabberd
from .pki import Pki
from .visitors import Visitors
from .waiting import wait_until

PROGRAMS = 2
#: A login in the log of all programs, with what its program's ids begin with.
_CHECKED = re.compile(rb" login id=(\w+)-\w+ front_end=extauth operation=check_password ")
_ESTABLISHED = "01"


@contextmanager
def running_alone(folder: Path, pki: Pki, configuration: Daemon) -> Iterator[Ejabberd]:
    """An ejabberd with its programs. No daemon is ever started with the configuration."""
    program = Path(sys.executable).parent / "authbridge-extauth"
    server = Ejabberd(
        folder,
        pki,
        people.HOSTS,
        f"{program} --standalone --config {configuration.configuration}",
        pool_size=PROGRAMS,
    )
    start(server)
    try:
        yield server
    finally:
        if server.started:
            server.stop()


def start(server: Ejabberd) -> None:
    """Start it, and wait for its programs as well: it listens before it has any."""
    server.start()
    wait_until(lambda: len(server.programs()) == PROGRAMS, "its programs")


@contextmanager
def spoilt(configuration: Daemon) -> Iterator[None]:
    """A configuration that cannot be used, until the end."""
    good = configuration.configuration.read_bytes()
    write_private(configuration.configuration, good.replace(b"[log]", b"[lgo]"))
    try:
        yield
    finally:
        write_private(configuration.configuration, good)


def each(server: Ejabberd, visitors: Visitors, jid: str, password: bytes | None = None) -> set[str]:
    """The outcomes of logins, until each of the programs has had one.

    ejabberd takes them by turns, and takes turns for other things as well: it may be that every
    login is the same program's. So there is another question between two.
    """
    begin = server.output.stat().st_size
    outcomes = set()

    def all_were_asked() -> bool:
        outcomes.add(visitors.login(server, jid, password))
        said = server.output.read_bytes()[begin:]
        if len(set(_CHECKED.findall(said))) == PROGRAMS:
            return True
        server.api("check_account", user="nobody", host=people.ORG)
        return False

    wait_until(all_were_asked, "each program has had a login")
    return outcomes


def connections(pid: int, port: int) -> int:
    """How many connections a process has to a port of 127.0.0.1."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(os.readlink(descriptor))
        except FileNotFoundError:
            pass  # closed meanwhile
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    # Of each line: its number, the local address, the remote one, the state … and the inode.
    fields = (line.split() for line in lines)
    ends = {f"socket:[{field[9]}]": (field[2], field[3]) for field in fields}
    wanted = (f"0100007F:{port:04X}", _ESTABLISHED)
    return sum(ends.get(name) == wanted for name in sockets)
