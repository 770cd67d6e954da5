"""`--standalone` with a directory, under ejabberd: each program has connections of its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import people
from .canary import secret
from .conftest import give_users
from .daemon import Daemon
from .directory import ALICE, BOB, DOMAIN, checker
from .ejabberd import Ejabberd
from .pki import Pki
from .processes import is_running, octets_read
from .slapd import Slapd
from .standalone import PROGRAMS, connections, each, running_alone, start
from .test_directory_outages import RECOVERY
from .test_outages import send_login
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

IN_FILE = "alice@example.org"
REFUSED = "not-authorized"


@pytest.fixture(scope="module")
def alone(workspace: Path, pki: Pki, directory_pki: Pki, shared_slapd: Slapd) -> Iterator[Ejabberd]:
    """ejabberd whose programs serve themselves, and ask the directory."""
    files = {
        "ca_file": directory_pki.ca,
        "bind_password_file": shared_slapd.service_password_file,
    }
    others = {DOMAIN: checker(DOMAIN, "corp", shared_slapd.tls_url, **files)}
    never_started = Daemon(workspace / "asking", people.DOMAINS, others=others)
    give_users(never_started)
    with running_alone(workspace / "asking-alone", pki, never_started) as server:
        yield server


def links(alone: Ejabberd, slapd: Slapd) -> list[int]:
    """How many connections each of the programs has to the directory."""
    return [connections(program, slapd.tls_port) for program in alone.programs()]


def test_each_program_has_a_pool_of_its_own(
    alone: Ejabberd, visitors: Visitors, slapd: Slapd
) -> None:
    """A connection for searches and one for binds, however many log in one after the other."""
    mark = slapd.mark()
    for _ in range(3):
        assert each(alone, visitors, ALICE.jid) == {SESSION}
        assert each(alone, visitors, BOB.jid, secret("wrong-and-alone")) == {REFUSED}
    assert links(alone, slapd) == [2, 2]
    assert slapd.connections(mark) == 4


def test_restart_of_the_directory_is_over_with_it(
    alone: Ejabberd, visitors: Visitors, slapd: Slapd
) -> None:
    """Whoever is in a file is let in meanwhile; the programs stay."""
    programs = alone.programs()
    assert each(alone, visitors, ALICE.jid) == {SESSION}
    slapd.stop()
    assert each(alone, visitors, ALICE.jid) == {REFUSED}
    assert each(alone, visitors, IN_FILE) == {SESSION}
    assert links(alone, slapd) == [0, 0]
    slapd.start()
    wait_until(
        lambda: each(alone, visitors, ALICE.jid) == {SESSION}, "alice is let in", limit=RECOVERY
    )
    assert each(alone, visitors, BOB.jid, secret("wrong-after-restart")) == {REFUSED}
    assert links(alone, slapd) == [2, 2]
    assert alone.programs() == programs


def test_login_of_a_program_that_is_killed_is_asked_of_another(
    alone: Ejabberd, visitors: Visitors, slapd: Slapd
) -> None:
    """By ejabberd, which also starts a new one; the connections of the dead one are closed."""
    assert each(alone, visitors, ALICE.jid) == {SESSION}
    slapd.pause()
    programs = alone.programs()
    before = {program: octets_read(program) for program in programs}
    client = send_login(visitors, alone, ALICE.jid)
    (killed,) = (program for program in programs if octets_read(program) > before[program])
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not is_running(killed), "the program has ended")
    slapd.resume()
    assert client.outcome() == SESSION
    wait_until(lambda: len(alone.programs()) == PROGRAMS, "there is another one")
    assert set(alone.programs()) & set(programs) == set(programs) - {killed}
    assert each(alone, visitors, ALICE.jid) == {SESSION}
    assert each(alone, visitors, BOB.jid, secret("wrong-after-death")) == {REFUSED}
    assert links(alone, slapd) == [2, 2]


def test_no_program_waits_for_the_directory_when_ejabberd_is_gone(
    alone: Ejabberd, visitors: Visitors, slapd: Slapd
) -> None:
    """Killed with a login under way that the directory does not answer."""
    assert each(alone, visitors, ALICE.jid) == {SESSION}
    slapd.pause()
    programs = alone.programs()
    for _ in programs:
        send_login(visitors, alone, ALICE.jid)
    alone.kill()
    wait_until(lambda: not any(map(is_running, programs)), "every program has ended")
    slapd.resume()
    start(alone)
    assert each(alone, visitors, ALICE.jid) == {SESSION}
