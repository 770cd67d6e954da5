"""Changes where a server is read-only, is overworked, or does not say what has come of one."""

import itertools
import select
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import netscape
from .canary import secret
from .changing import CHANGED, REGISTERED, UNAVAILABLE, Changes, new_password
from .daemon import Daemon
from .directory import PEOPLE, ssha
from .fault_proxy import FaultProxies, FaultProxy
from .faults import PASS, Fault, HalfClose, Hold, Mute, Reset, answers
from .ldap_messages import START_TLS, Kind
from .netscape import Account
from .pki import Pki
from .places import Place, allow_changes, checker
from .waiting import wait_until
from .writable import SHORTEST, Original, Replica, WritableSlapd

#: The password modify operation is an extended one, as StartTLS, which is not in use here.
PASSWORDS = START_TLS
ADDS = frozenset({Kind.OTHER})
_MODIFY_PASSWORD = "oid=1.3.6.1.4.1.4203.1.11.1"

#: Who is there from the beginning, at every server.
USERS = PAT, FROSTY, LONELY = tuple(
    Account(name, secret("as-it-was")) for name in ("pat", "frosty", "lonely")
)


#: What keeps from hearing what has come of a change.
UNHEARD: Mapping[str, Fault] = {
    "mute": Mute(PASSWORDS),
    "reset": Reset(PASSWORDS),
    "half-close": HalfClose(PASSWORDS),
}


#: The domains with a proxy before the first server: each meets one fault.
FAULTY = (
    *("busy51", "busy52", "adding", "hasty"),
    *(f"{what}-{fault}" for what in ("changing", "registering") for fault in UNHEARD),
)


@dataclass(frozen=True)
class Installed:
    """The directories, and the domains that they are asked for."""

    original: Original
    replica: Replica
    frozen: WritableSlapd
    #: Before the original, each of a domain of its own.
    proxies: Mapping[str, FaultProxy]
    daemon: Daemon
    hasty_daemon: Daemon

    def place(self, name: str, server: WritableSlapd | None = None) -> Place:
        """A domain; `server` is where its users are looked for by the test."""
        daemon = self.hasty_daemon if name == "hasty" else self.daemon
        return Place(f"{name}.example", server or self.original, Changes(daemon))


@pytest.fixture(scope="module")
def installed(workspace: Path, directory_pki: Pki, stranger: socket.socket) -> Iterator[Installed]:
    """All of it."""
    folder = workspace / "write-failover"
    named = f"ldap://127.0.0.1:{stranger.getsockname()[1]}/"
    original = Original(folder / "original", directory_pki)
    replica = Replica(folder / "replica", directory_pki, original, named)
    frozen = WritableSlapd(folder / "frozen", directory_pki)
    frozen.service_password = original.service_password
    with ExitStack() as ends:
        for slapd in (original, frozen):
            slapd.start()
            ends.callback(slapd.stop)
            slapd.modify(
                "".join(netscape.person(user, ssha(user.password)) for user in USERS), "-a"
            )
        frozen.freeze()
        replica.start()
        ends.callback(replica.stop)
        proxies = ends.enter_context(FaultProxies())
        before = {name: proxies.before(original.port, directory_pki) for name in FAULTY}
        settings: dict[str, object] = {
            "ca_file": directory_pki.ca,
            "bind_password_file": original.service_password_file,
            "new_users": PEOPLE,
        }
        servers: Mapping[str, tuple[str, ...]] = {
            "original": (original.tls_url,),
            "replica": (replica.tls_url, original.tls_url),
            "frozen": (frozen.tls_url, original.tls_url),
            "alone": (frozen.tls_url,),
            **{name: (proxy.url, original.tls_url) for name, proxy in before.items()},
        }
        # Where nobody is silent, a machine that is busy with other things is no outage.
        others = {
            f"{name}.example": checker(
                *(f"{name}.example", *urls),
                **{**settings, "timeout": "2s" if name in before else "6s"},
            )
            for name, urls in servers.items()
        }
        daemon = Daemon(folder / "daemon", (), others=others)
        table = checker("hasty.example", before["hasty"].url, **{**settings, "timeout": "25s"})
        table += '\n[http]\ndeadline = "2s"\n'
        hasty_daemon = Daemon(folder / "hasty", (), others={"hasty.example": table})
        for one in (daemon, hasty_daemon):
            allow_changes(one)
            one.start()
            ends.callback(one.stop)
        installed = Installed(original, replica, frozen, before, daemon, hasty_daemon)
        copied = installed.place("replica", replica)
        wait_until(lambda: copied.logs_in(PAT), "the replica has the tree")
        yield installed


def password_changes(slapd: WritableSlapd, since: int) -> int:
    """How many new passwords slapd was given since a mark."""
    return sum(_MODIFY_PASSWORD in one.text for one in slapd.operations(since))


def nobody_followed(stranger: socket.socket) -> bool:
    """Whether nobody has come where the replica sends who would write."""
    return select.select([stranger], [], [], 0)[0] == []


def test_change_at_a_replica_is_made_at_the_next_server(
    installed: Installed, stranger: socket.socket
) -> None:
    """Not where the replica says; and the replica has it a moment later."""
    place, new = installed.place("replica"), new_password()
    assert place.change("http", PAT, new) == CHANGED["http"]
    assert installed.place("original").logs_in(PAT, new)
    wait_until(lambda: place.logs_in(PAT, new), "the replica has the new password")
    assert not place.logs_in(PAT)
    assert nobody_followed(stranger)


def test_user_registered_at_a_replica_is_made_at_the_next_server(
    installed: Installed, stranger: socket.socket
) -> None:
    """Entry and password; a refused one does not stay there either."""
    place, user = installed.place("replica"), Account("copied", new_password())
    assert place.register("http", user) == REGISTERED["http"]
    assert installed.place("original").logs_in(user)
    wait_until(lambda: place.logs_in(user), "the replica has the user")
    short = Account("uncopied", new_password(text="")[: SHORTEST - 1])
    assert place.register("http", short) == "403 password_unacceptable"
    assert installed.place("original").find(short.uid) == {}
    assert nobody_followed(stranger)


def test_change_at_a_server_that_is_read_only_is_made_at_the_next(installed: Installed) -> None:
    """It is unwilling (53). Here nobody copies what was changed."""
    place, new = installed.place("frozen"), new_password()
    assert place.change("http", FROSTY, new) == CHANGED["http"]
    assert installed.place("original").logs_in(FROSTY, new)
    assert place.logs_in(FROSTY)
    user = Account("thawed", new_password())
    assert place.register("http", user) == REGISTERED["http"]
    assert installed.place("original").logs_in(user)


def test_change_where_every_server_is_read_only_is_a_failure(installed: Installed) -> None:
    """And the password is what it was."""
    place, new = installed.place("alone"), new_password()
    assert place.change("http", LONELY, new) == UNAVAILABLE
    assert place.said(LONELY) == ("unavailable", "directory_refused")
    assert place.logs_in(LONELY)
    assert not place.logs_in(LONELY, new)
    assert place.register("http", Account("frostbitten", new)) == UNAVAILABLE
    assert Place(place.domain, installed.frozen, place.changes).find("frostbitten") == {}


@pytest.mark.parametrize("code", [51, 52])
def test_change_that_an_overworked_server_puts_off_is_made_at_the_next(
    installed: Installed, code: int
) -> None:
    """Nothing was changed there; the user does not notice."""
    place, new = installed.place(f"busy{code}"), new_password()
    user = place.add(f"busy{code}")
    installed.proxies[f"busy{code}"].do(answers(code, PASSWORDS))
    assert place.change("http", user, new) == CHANGED["http"]
    assert place.logs_in(user, new)
    newcomer = Account(f"newcomer{code}", new_password())
    assert place.register("http", newcomer) == REGISTERED["http"]
    assert place.logs_in(newcomer)


@pytest.mark.parametrize("fault", UNHEARD)
def test_change_that_is_not_heard_of_is_made_once_and_not_called_done(
    installed: Installed, fault: str
) -> None:
    """Nor refused: who tries the new password finds that it is right."""
    place, new = installed.place(f"changing-{fault}"), new_password()
    proxy = installed.proxies[f"changing-{fault}"]
    user = place.add(f"unheard-{fault}")
    assert place.logs_in(user)
    mark = installed.original.mark()
    proxy.do(UNHEARD[fault])
    assert place.change("http", user, new) == UNAVAILABLE
    assert place.said(user)[0] == "unavailable"
    assert password_changes(installed.original, mark) == 1
    proxy.do(PASS)
    assert installed.place("original").logs_in(user, new)
    assert not installed.place("original").logs_in(user)


@pytest.mark.parametrize("fault", UNHEARD)
def test_user_whose_password_is_not_heard_of_does_not_stay(
    installed: Installed, fault: str
) -> None:
    """So that nobody is left with an entry that he was told he has not."""
    place, user = installed.place(f"registering-{fault}"), Account(f"half-{fault}", new_password())
    proxy = installed.proxies[f"registering-{fault}"]
    proxy.do(UNHEARD[fault])
    assert place.register("http", user) == UNAVAILABLE
    proxy.do(PASS)
    wait_until(lambda: place.find(user.uid) == {}, "the entry is deleted")
    wait_until(lambda: place.register("http", user) == REGISTERED["http"], "the name is free")
    assert place.logs_in(user)


def test_user_whose_entry_is_not_heard_of_is_told_to_the_administrator(
    installed: Installed,
) -> None:
    """It may be there, without a password; then the name is nobody's any more."""
    place, user = installed.place("adding"), Account("unheard-of", new_password())
    proxy = installed.proxies["adding"]
    proxy.do(Mute(ADDS))
    assert place.register("http", user) == UNAVAILABLE
    proxy.do(PASS)
    assert "userpassword" not in place.find(user.uid)
    assert not place.logs_in(user)
    log = installed.daemon.log.read_text()
    assert f"{user.dn} may have been made, without a password" in log


def test_registration_that_nobody_waits_for_any_more_is_cleaned_up(installed: Installed) -> None:
    """The answer to the stranger is over; that his password is refused comes later."""
    place = installed.place("hasty")
    # So that it has its connections: two seconds may be little for that.
    patient = (Account(f"in-time{number}", new_password()) for number in itertools.count())
    wait_until(lambda: place.register("http", next(patient)) == REGISTERED["http"], "connections")
    short = Account("too-late", new_password(text="")[: SHORTEST - 1])
    hold = Hold(PASSWORDS)
    installed.proxies["hasty"].do(hold)
    assert place.register("http", short) == UNAVAILABLE
    assert place.said(short) == ("unavailable", "deadline_passed")
    assert place.find(short.uid) != {}
    hold.release()
    wait_until(lambda: place.find(short.uid) == {}, "the entry is deleted")
