"""The program that ejabberd starts, with no daemon behind it (`--standalone`)."""

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
from .standalone import each, running_alone
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

ALICE = "alice@example.org"
LENA = "lena@example.org"
REFUSED = "not-authorized"


@pytest.fixture(scope="module")
def configuration(workspace: Path) -> Daemon:
    """A configuration that no daemon is ever started with."""
    never_started = Daemon(workspace / "standalone", people.DOMAINS)
    give_users(never_started)
    return never_started


@pytest.fixture(scope="module")
def alone(workspace: Path, pki: Pki, configuration: Daemon) -> Iterator[Ejabberd]:
    """ejabberd whose programs serve themselves."""
    with running_alone(workspace / "alone", pki, configuration) as server:
        yield server


@pytest.mark.parametrize("jid", people.jids())
def test_right_password_gets_a_session(alone: Ejabberd, visitors: Visitors, jid: str) -> None:
    """Of every kind and length."""
    assert visitors.login(alone, jid) == SESSION


def test_wrong_password_and_unknown_user_are_refused(alone: Ejabberd, visitors: Visitors) -> None:
    """As with a daemon."""
    assert visitors.login(alone, ALICE, secret("wrong-password")) == REFUSED
    assert visitors.login(alone, "nobody@example.org", people.password(ALICE)) == REFUSED
    assert visitors.login(alone, f"alice@{people.FOREIGN}", people.password(ALICE)) == REFUSED


def test_changed_file_counts_at_the_next_login(
    alone: Ejabberd, visitors: Visitors, configuration: Daemon
) -> None:
    """In each of the programs."""
    fresh = secret("fresh")
    configuration.write_users(people.ORG, {"alice": fresh})
    assert each(alone, visitors, ALICE) == {REFUSED}
    assert each(alone, visitors, ALICE, fresh) == {SESSION}
    give_users(configuration)
    assert visitors.login(alone, ALICE) == SESSION


def test_no_program_outlives_ejabberd(alone: Ejabberd, visitors: Visitors) -> None:
    """Killed, it only closes their pipes."""
    assert visitors.login(alone, ALICE) == SESSION
    programs = alone.programs()
    assert len(programs) == 2
    alone.kill()
    wait_until(lambda: not any(map(is_running, programs)), "every program has ended")
    alone.start()
    assert visitors.login(alone, ALICE) == SESSION
