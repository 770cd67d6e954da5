"""slapd stopped, killed, hung and started again, under logins through the servers.

What must hold: nobody is told that his password is wrong, nobody gets in with a wrong one, who is
in a file is not concerned, and it is over when the directory is back.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import people
from .calls import CANNOT_TELL, YES, check_password, extauth, said, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import ALICE, BOB, CAROL, DOMAIN, IMPATIENT, Account, checker
from .ejabberd import Ejabberd
from .pki import Pki
from .slapd import Slapd
from .test_directory_logins import REFUSED
from .test_outages import send_login
from .test_users import bounce, waiting_messages
from .visitors import Server, Visitors
from .waiting import wait_until
from .xmpp import SESSION

IN_FILE = "alice@example.org"

#: Seconds within which a directory that is back is asked again: 5 s is promised (that it is kept,
#: tests/ldap tries with a clock of its own), and what is more is for a machine that has other
#: things to do.
RECOVERY = 30

#: The ways in which a directory is away, and what the log says of it.
OUTAGES: dict[str, tuple[Callable[[Slapd], object], str]] = {
    "stopped": (Slapd.stop, "directory_unreachable"),
    "killed": (Slapd.kill, "directory_unreachable"),
    "hung": (Slapd.pause, "directory_silent"),
}

outage = pytest.mark.parametrize(("outage", "reason"), OUTAGES.values(), ids=OUTAGES.keys())


def of(account: Account) -> str:
    """The user's JID where nobody waits for long."""
    return f"{account.local}@{IMPATIENT}"


@outage
def test_logins_are_refused_as_long_as_the_directory_is_away(
    server: Server,
    visitors: Visitors,
    daemon: Daemon,
    slapd: Slapd,
    outage: Callable[[Slapd], object],
    reason: str,
) -> None:
    """With right and wrong passwords alike, and then no longer."""
    assert visitors.login(server, of(ALICE)) == SESSION
    outage(slapd)
    alice, bob = (visitors.connect(server, IMPATIENT) for _ in range(2))
    alice.send_plain(b"alice", ALICE.password)
    bob.send_plain(b"bob", secret("wrong-in-outage"))
    assert visitors.login(server, IN_FILE) == SESSION
    assert (alice.outcome(), bob.outcome()) == (REFUSED, REFUSED)
    assert said(daemon, of(ALICE)) == ("unavailable", reason)
    assert said(daemon, of(BOB))[0] == "unavailable"
    slapd.restore()
    wait_until(
        lambda: visitors.login(server, of(ALICE)) == SESSION, "alice is let in", limit=RECOVERY
    )
    assert visitors.login(server, of(BOB), secret("wrong-after-outage")) == REFUSED
    assert said(daemon, of(BOB)) == ("rejected", "password_mismatch")


@outage
def test_outage_is_said_wherever_it_can_be_said(
    daemon: Daemon, slapd: Slapd, outage: Callable[[Slapd], object], reason: str
) -> None:
    """503 over HTTP, and to ejabberd the defaults of `on_unavailable`."""
    outage(slapd)
    before = len(daemon.logins())
    # Whom it has been asked about a moment ago it may still know.
    ghost, domain = f"ghost-{before}", IMPATIENT.encode()
    with ThreadPoolExecutor() as at_once:
        asked = at_once.submit(check_password, daemon, of(ALICE), ALICE.password)
        existing = at_once.submit(user_exists, daemon, f"{ghost}@{IMPATIENT}")
        auth = at_once.submit(extauth, daemon, b"auth", b"bob", domain, BOB.password)
        isuser = at_once.submit(extauth, daemon, b"isuser", f"{ghost}-too".encode(), domain)
    assert asked.result()[0] == existing.result()[0] == CANNOT_TELL
    assert (auth.result(), isuser.result()) == (b"\0\2", b"\0\1")
    said_of = {login["jid"]: login["verdict"] for login in daemon.logins()[before:]}
    assert sorted(said_of.values()) == ["unavailable"] * 4


def test_restart_of_the_directory_is_not_noticed(
    server: Server, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """The connections that it has ended are not used again."""
    assert visitors.login(server, ALICE.jid) == SESSION
    slapd.restart()
    assert visitors.login(server, ALICE.jid) == SESSION


def test_connection_that_the_directory_closes_is_not_missed(
    workspace: Path, directory_pki: Pki
) -> None:
    """As it does with those that nobody uses (idletimeout)."""
    slapd = Slapd(workspace / "closing-slapd", directory_pki, more="idletimeout 1")
    files = {"ca_file": directory_pki.ca, "bind_password_file": slapd.service_password_file}
    others = {DOMAIN: checker(DOMAIN, "corp", slapd.tls_url, **files)}
    daemon = Daemon(workspace / "closing", (), others=others)
    with ExitStack() as ends:
        slapd.start()
        ends.callback(slapd.stop)
        daemon.start()
        ends.callback(daemon.stop)
        assert check_password(daemon, ALICE.jid, ALICE.password) == YES
        # One for searches, one for binds.
        wait_until(lambda: slapd.log.read_text().count("closed (idletimeout)") >= 2, "closed")
        assert check_password(daemon, ALICE.jid, ALICE.password) == YES


def test_login_under_way_waits_for_a_directory_that_hung_for_a_moment(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """Shorter than the time limit, that is."""
    slapd.pause()
    client = send_login(visitors, ejabberd, ALICE.jid)
    slapd.resume()
    assert client.outcome() == SESSION


def test_login_under_way_is_refused_when_the_directory_dies(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon, slapd: Slapd
) -> None:
    """As an outage; the same client may try again."""
    slapd.pause()
    client = send_login(visitors, ejabberd, ALICE.jid)
    slapd.kill()
    assert client.outcome() == REFUSED
    assert said(daemon, ALICE.jid)[0] == "unavailable"
    slapd.start()
    wait_until(
        lambda: client.login(b"alice", ALICE.password) == SESSION, "alice is let in", RECOVERY
    )


@outage
def test_messages_of_an_outage_are_kept_by_ejabberd(
    ejabberd: Ejabberd,
    visitors: Visitors,
    daemon: Daemon,
    slapd: Slapd,
    outage: Callable[[Slapd], object],
    reason: str,
) -> None:
    """Who cannot be looked up is taken to exist."""
    bob = visitors.enter(ejabberd, of(BOB))
    outage(slapd)
    text = "written in an outage"
    assert bounce(bob, of(CAROL), text) == ""
    slapd.restore()
    wait_until(lambda: check_password(daemon, of(CAROL), CAROL.password) == YES, "carol is let in")
    assert waiting_messages(visitors, ejabberd, of(CAROL))[-1] == text


def test_daemon_starts_without_its_directory_and_finds_it_later(
    daemon: Daemon, slapd: Slapd
) -> None:
    """Who is in the file is let in meanwhile."""
    daemon.stop()
    slapd.stop()
    daemon.start()
    assert check_password(daemon, IN_FILE, people.password(IN_FILE)) == YES
    assert check_password(daemon, ALICE.jid, ALICE.password)[0] == CANNOT_TELL
    slapd.start()
    wait_until(
        lambda: check_password(daemon, ALICE.jid, ALICE.password) == YES,
        "alice is let in",
        RECOVERY,
    )


def test_daemon_stops_while_its_directory_hangs(daemon: Daemon, slapd: Slapd) -> None:
    """As if nothing were the matter."""
    assert check_password(daemon, ALICE.jid, ALICE.password) == YES
    slapd.pause()
    assert daemon.stop() == 0
