"""`--standalone` with a configuration that cannot be used, under ejabberd.

ejabberd gives up a pool whose programs end quickly, for good: they must stay, and begin to serve
when the file is mended.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import people
from .canary import secret
from .conftest import give_users
from .daemon import Daemon
from .ejabberd import Ejabberd
from .pki import Pki
from .processes import is_running
from .standalone import PROGRAMS, each, running_alone, spoilt, start
from .test_users import GHOST, bounce, waiting_messages
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

ALICE = "alice@example.org"
BOB = "bob@example.org"
JULIET = "juliet@example.org"
REFUSED = "not-authorized"


@pytest.fixture(scope="module")
def configuration(workspace: Path) -> Daemon:
    """A configuration that no daemon is ever started with."""
    never_started = Daemon(workspace / "mended", people.DOMAINS)
    give_users(never_started)
    return never_started


@pytest.fixture(scope="module")
def alone(workspace: Path, pki: Pki, configuration: Daemon) -> Iterator[Ejabberd]:
    """ejabberd whose programs serve themselves."""
    with running_alone(workspace / "mending", pki, configuration) as server:
        yield server


def test_ejabberd_keeps_its_programs_until_the_file_is_mended(
    alone: Ejabberd, visitors: Visitors, configuration: Daemon
) -> None:
    """They refuse, are the same processes all the time, and then they serve."""
    alone.kill()
    begin = alone.output.stat().st_size

    def who_say(text: str) -> list[int]:
        said = alone.output.read_bytes()[begin:].decode(errors="replace")
        return [pid for pid in alone.programs() if f"authbridge-extauth[{pid}]: {text}" in said]

    with spoilt(configuration):
        start(alone)
        mistake = 'lgo: there is no such setting; did you mean "log"?'
        wait_until(lambda: len(who_say(mistake)) == PROGRAMS, "both have read the file")
        programs = alone.programs()
        for _ in range(4):
            assert visitors.login(alone, ALICE) == REFUSED
        assert alone.programs() == programs
    assert SESSION in each(alone, visitors, ALICE)
    assert each(alone, visitors, ALICE) == {SESSION}
    assert each(alone, visitors, ALICE, secret("wrong-after-mending")) == {REFUSED}
    assert who_say(f"{configuration.configuration} can be used") == programs


def test_programs_started_again_with_a_bad_file_lose_no_message_and_change_nothing(
    alone: Ejabberd, visitors: Visitors, configuration: Daemon
) -> None:
    """Who cannot be looked up is taken to exist, and nobody is told that something was done."""
    bob = visitors.enter(alone, BOB)
    programs = alone.programs()
    with spoilt(configuration):
        for program in programs:
            os.kill(program, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, programs)), "they have ended")
        wait_until(lambda: len(alone.programs()) == PROGRAMS, "there are others")
        assert visitors.login(alone, ALICE) == REFUSED
        assert bounce(bob, JULIET, "while nothing is known") == ""
        new = secret("of-no-use").decode()
        assert bob.register("set", username="bob", password=new) == "internal-server-error"
        newcomer = visitors.connect(alone, people.ORG)
        assert newcomer.register("set", username="newcomer", password=new) == "conflict"
    each(alone, visitors, ALICE)
    assert each(alone, visitors, ALICE) == {SESSION}
    assert waiting_messages(visitors, alone, JULIET)[-1] == "while nothing is known"
    assert bounce(bob, GHOST, "when it is known again") == "service-unavailable"
    assert visitors.login(alone, BOB) == SESSION


def test_file_that_is_spoilt_later_ends_nobody(
    alone: Ejabberd, visitors: Visitors, configuration: Daemon
) -> None:
    """Who runs goes on with what it has read."""
    programs = alone.programs()
    with spoilt(configuration):
        assert each(alone, visitors, ALICE) == {SESSION}
        assert each(alone, visitors, BOB, secret("wrong-while-spoilt")) == {REFUSED}
    assert alone.programs() == programs
