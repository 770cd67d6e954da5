"""ejabberd stopped or killed leaves none of its programs behind: it only closes their pipes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import people
from .canary import secret
from .daemon import Daemon
from .ejabberd import Ejabberd
from .pki import Pki
from .processes import is_running, octets_read
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

#: What the daemon is doing when ejabberd ends.
DAEMONS: dict[str, Callable[[Daemon], object]] = {
    "running": lambda daemon: None,
    "hung": lambda daemon: daemon.process.pause(),
    "killed": Daemon.kill,
}
ENDS: dict[str, Callable[[Ejabberd], object]] = {
    "stopped": Ejabberd.stop,
    "killed": Ejabberd.kill,
}


@pytest.fixture
def mortal(workspace: Path, pki: Pki, daemon: Daemon) -> Iterator[Ejabberd]:
    """An ejabberd for one test."""
    number = len(list(workspace.glob("mortal*")))
    server = Ejabberd(
        workspace / f"mortal{number}", pki, people.HOSTS, daemon.extauth_program, pool_size=3
    )
    server.start()
    yield server
    if server.started:
        server.stop()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("leave", DAEMONS.values(), ids=DAEMONS.keys())
def test_no_program_outlives_ejabberd(
    mortal: Ejabberd,
    visitors: Visitors,
    daemon: Daemon,
    end: Callable[[Ejabberd], object],
    leave: Callable[[Daemon], object],
) -> None:
    """Idle or with a request under way that nobody answers."""
    assert visitors.login(mortal, "alice@example.org") == SESSION
    wait_until(lambda: len(mortal.programs()) == 3, "its programs")
    programs = mortal.programs()
    leave(daemon)
    before = sum(map(octets_read, programs))
    visitors.connect(mortal, people.ORG).send_plain(b"alice", secret("under-way"))
    wait_until(lambda: sum(map(octets_read, programs)) > before, "a program has the request")
    end(mortal)
    wait_until(lambda: not any(map(is_running, programs)), "every program has ended")


def test_ejabberd_killed_and_started_again_has_new_programs_alone(
    mortal: Ejabberd, visitors: Visitors
) -> None:
    """Those of before are gone, those of now work."""
    wait_until(lambda: len(mortal.programs()) == 3, "its programs")
    before = mortal.programs()
    mortal.kill()
    mortal.start()
    assert visitors.login(mortal, "alice@example.org") == SESSION
    wait_until(lambda: not any(map(is_running, before)), "the old programs have ended")
    wait_until(lambda: len(mortal.programs()) == 3, "the new programs")
