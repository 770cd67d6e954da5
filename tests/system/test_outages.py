"""The daemon killed, hung, stopped and started again, under logins through real servers.

What must hold whatever happens: nobody gets in with a wrong password, everybody gets his own
answer, ejabberd keeps its programs, and the logins work again as soon as the daemon does.
"""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import people
from .canary import secret
from .conftest import give_users
from .daemon import Daemon, write_private
from .ejabberd import Ejabberd
from .pki import Pki
from .processes import octets_read
from .prosody import Prosody
from .test_users import GHOST, bounce, waiting_messages
from .visitors import Server, Visitors
from .waiting import wait_until
from .xmpp import SESSION, Client

ALICE = "alice@example.org"
BOB = "bob@example.org"
JULIET = "juliet@example.org"
REFUSED = "not-authorized"

#: The ways in which a daemon is away.
OUTAGES: dict[str, Callable[[Daemon], object]] = {
    "killed": Daemon.kill,
    "stopped": Daemon.stop,
    "hung": lambda daemon: daemon.process.pause(),
}

outage = pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())


def send_login(visitors: Visitors, server: Ejabberd, jid: str) -> Client:
    """Begin a login; returns as soon as one of ejabberd's programs has read the request."""
    local, _, domain = jid.partition("@")
    client = visitors.connect(server, domain)
    programs = server.programs()
    before = sum(map(octets_read, programs))
    client.send_plain(local.encode(), people.password(jid))
    wait_until(lambda: sum(map(octets_read, programs)) > before, "a program has read the request")
    return client


def recover(visitors: Visitors, server: Ejabberd, daemon: Daemon) -> None:
    """Restore the daemon, and wait until each program has heard from it. Until then a program
    whose daemon was away for a whole deadline lets nobody wait for it, and how soon a daemon that
    was stopped for long gets to run is the machine's affair."""
    daemon.restore()
    programs = server.programs()
    assert programs
    wait_until(
        lambda: all(visitors.login(server, BOB) == SESSION for _ in programs),
        "every program lets people in again",
    )


@outage
def test_ejabberd_refuses_during_an_outage_and_recovers_with_the_daemon(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, outage: Callable[[Daemon], object]
) -> None:
    """Right and wrong passwords alike, in the same words; the programs are never replaced."""
    assert visitors.login(ejabberd, BOB) == SESSION  # it may only just have been started
    programs = ejabberd.programs()
    outage(daemon)
    assert visitors.login(ejabberd, ALICE) == REFUSED
    assert visitors.login(ejabberd, ALICE, secret("wrong-in-outage")) == REFUSED
    recover(visitors, ejabberd, daemon)
    assert visitors.login(ejabberd, ALICE) == SESSION
    assert visitors.login(ejabberd, ALICE, secret("wrong-after-outage")) == REFUSED
    assert ejabberd.programs() == programs


def test_late_yes_of_a_hung_daemon_is_nobodys_answer(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """alice has given up when her yes comes; who logs in next with a wrong password is refused."""
    for _ in ejabberd.programs():
        daemon.process.pause()
        assert visitors.login(ejabberd, ALICE) == REFUSED
        client = send_login(visitors, ejabberd, JULIET)
        stranger = visitors.connect(ejabberd, people.ORG)
        stranger.send_plain(b"bob", secret("strangers"))
        daemon.process.resume()
        assert stranger.outcome() == REFUSED
        assert client.outcome() in (SESSION, REFUSED)
        recover(visitors, ejabberd, daemon)


@outage
def test_messages_of_an_outage_are_kept_by_ejabberd(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, outage: Callable[[Daemon], object]
) -> None:
    """ "Does this user exist?" is answered with yes: nothing is lost for who does."""
    bob = visitors.enter(ejabberd, BOB)
    outage(daemon)
    assert bounce(bob, JULIET, "written in an outage") == ""
    recover(visitors, ejabberd, daemon)
    assert bounce(bob, GHOST, "written after it") == "service-unavailable"
    assert waiting_messages(visitors, ejabberd, JULIET) == ["written in an outage"]


def test_registration_in_an_outage_finds_every_name_taken(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """The other side of that yes, and the safe one."""
    daemon.kill()
    newcomer = visitors.connect(ejabberd, people.ORG)
    password = secret("newcomer").decode()
    assert newcomer.register("set", username="newcomer", password=password) == "conflict"
    recover(visitors, ejabberd, daemon)


def test_password_change_in_an_outage_fails(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """It is not reported as done, and the old password stays."""
    juliet = visitors.enter(ejabberd, JULIET)
    daemon.kill()
    new = secret("in-an-outage").decode()
    assert juliet.register("set", username="juliet", password=new) == "internal-server-error"
    recover(visitors, ejabberd, daemon)
    assert visitors.login(ejabberd, JULIET) == SESSION


@pytest.mark.parametrize("outage", [Daemon.kill, Daemon.stop], ids=["killed", "stopped"])
def test_prosody_refuses_during_an_outage_and_recovers_with_the_daemon(
    prosody: Prosody, visitors: Visitors, daemon: Daemon, outage: Callable[[Daemon], object]
) -> None:
    """Nobody listens, so it refuses at once."""
    outage(daemon)
    assert visitors.login(prosody, ALICE) == REFUSED
    daemon.restore()
    assert visitors.login(prosody, ALICE) == SESSION


def test_prosody_waits_for_a_hung_daemon(
    prosody: Prosody, visitors: Visitors, daemon: Daemon
) -> None:
    """It has no time limit of its own; what it asked is answered when the daemon goes on."""
    daemon.process.pause()
    client, stranger = (visitors.connect(prosody, people.ORG) for _ in range(2))
    client.send_plain(b"alice", people.password(ALICE))
    stranger.send_plain(b"alice", secret("strangers"))
    daemon.process.resume()
    assert stranger.outcome() == REFUSED
    assert client.outcome() == SESSION


def test_prosody_refuses_a_login_whose_daemon_is_killed(
    prosody: Prosody, visitors: Visitors, daemon: Daemon
) -> None:
    """It does not ask again."""
    daemon.process.pause()
    client = visitors.connect(prosody, people.ORG)
    client.send_plain(b"alice", people.password(ALICE))
    daemon.kill()
    assert client.outcome() == REFUSED
    daemon.start()
    assert client.login(b"alice", people.password(ALICE)) == SESSION


class Crowd:
    """Users who log in again and again, each in a thread, with right and wrong passwords."""

    def __init__(self, visitors: Visitors, server: Server, size: int) -> None:
        self._visitors = visitors
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._come) for _ in range(size)]
        self._lock = threading.Lock()
        #: Outcomes with the right and with a wrong password.
        self.right: list[str] = []
        self.wrong: list[str] = []
        self._wrong = secret("of-the-crowd")
        for thread in self._threads:
            thread.start()

    def _come(self) -> None:
        while not self._over.is_set():
            right = self._visitors.login(self._server, ALICE)
            wrong = self._visitors.login(self._server, BOB, self._wrong)
            with self._lock:
                self.right.append(right)
                self.wrong.append(wrong)

    def wait_for(self, count: int) -> None:
        """Until so many more rounds are over."""
        end = len(self.wrong) + count
        wait_until(lambda: len(self.wrong) >= end, f"{count} rounds of logins")

    def go(self) -> None:
        """Let everybody finish."""
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def crowd_of(visitors: Visitors) -> Iterator[Callable[[Server], Crowd]]:
    """Makes crowds, and sends them home."""
    crowds: list[Crowd] = []

    def gather(server: Server) -> Crowd:
        crowds.append(Crowd(visitors, server, 4))
        return crowds[-1]

    yield gather
    for crowd in crowds:
        crowd.go()


def test_daemon_comes_and_goes_under_logins(
    server: Server,
    visitors: Visitors,
    daemon: Daemon,
    crowd_of: Callable[[Server], Crowd],
) -> None:
    """Killed, stopped, hung and back each time: a wrong password never gets in."""
    programs = server.programs() if isinstance(server, Ejabberd) else []
    crowd = crowd_of(server)
    crowd.wait_for(8)
    for outage in OUTAGES.values():
        outage(daemon)
        daemon.restore()
        crowd.wait_for(8)
    crowd.go()
    assert set(crowd.right) <= {SESSION, REFUSED}
    assert set(crowd.wrong) == {REFUSED}
    assert visitors.login(server, ALICE) == SESSION
    if isinstance(server, Ejabberd):
        assert server.programs() == programs


def test_ejabberd_started_before_the_daemon_serves_as_soon_as_it_is_there(
    workspace: Path, pki: Pki, visitors: Visitors
) -> None:
    """The programs stay and wait; not one of them ends."""
    daemon = Daemon(workspace / "later", people.DOMAINS, log_format="json")
    give_users(daemon)
    ejabberd = Ejabberd(
        workspace / "earlier", pki, people.HOSTS, daemon.extauth_program, pool_size=4
    )
    ejabberd.start()
    try:
        wait_until(lambda: len(ejabberd.programs()) == 4, "four programs")
        programs = ejabberd.programs()
        assert visitors.login(ejabberd, ALICE) == REFUSED
        daemon.start()
        assert visitors.login(ejabberd, ALICE) == SESSION
        assert ejabberd.programs() == programs
    finally:
        ejabberd.stop()
        if daemon.running:
            daemon.stop()


def test_program_says_on_stderr_that_the_daemon_is_away(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """With the path, the cause and what to do; once a minute, not once a login. The outage of a
    test just before may have been the one that was reported."""

    def reports(start: int) -> list[str]:
        text = ejabberd.output.read_bytes()[start:].decode(errors="replace")
        return [line for line in text.splitlines() if line.startswith("authbridge-extauth[")]

    daemon.kill()
    start = ejabberd.output.stat().st_size
    for _ in range(4):
        visitors.login(ejabberd, ALICE)
    wait_until(
        lambda: any(f"no connection to {daemon.extauth_socket}" in line for line in reports(0)),
        "it is said",
    )
    said = reports(start)
    texts = [re.sub(r"\[\d+\]", "", line) for line in said]
    assert all(texts.count(text) <= len(ejabberd.programs()) for text in texts)


@pytest.fixture(scope="module")
def patience(shared_daemon: Daemon) -> Iterator[None]:
    """From now on the programs wait as long as may be set, for the tests in which somebody waits
    for a daemon that has to start: on a slow machine that may take longer than 8 s. These tests
    come last, so that it has to be set once."""
    before = shared_daemon.configuration.read_bytes()
    after = before.replace(b"[extauth]\n", b'[extauth]\ndeadline = "25s"\n')
    assert after != before
    for configuration in (after, before):
        write_private(shared_daemon.configuration, configuration)
        shared_daemon.stop()
        shared_daemon.start()
        if configuration is after:
            yield


def test_login_under_way_is_asked_again_at_the_new_daemon(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, patience: None
) -> None:
    """The visitor waits a little longer, and is let in."""
    recover(visitors, ejabberd, daemon)
    daemon.process.pause()
    client = send_login(visitors, ejabberd, ALICE)
    daemon.kill()
    daemon.start()
    assert client.outcome() == SESSION


def test_login_under_way_is_answered_by_a_daemon_that_hung_for_a_while(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, patience: None
) -> None:
    """Shorter than the deadline, that is."""
    recover(visitors, ejabberd, daemon)
    daemon.process.pause()
    client = send_login(visitors, ejabberd, ALICE)
    daemon.process.resume()
    assert client.outcome() == SESSION


def test_login_that_comes_while_the_daemon_is_restarted_waits_for_it(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, patience: None
) -> None:
    """A restart refuses nobody."""
    recover(visitors, ejabberd, daemon)
    daemon.stop()
    client = send_login(visitors, ejabberd, ALICE)
    daemon.start()
    assert client.outcome() == SESSION
