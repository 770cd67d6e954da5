"""The servers that most of these tests share, and the daemon behind them.

They are started once: each test finds the daemon running with the users of `people`, and may do to
it what it likes.
"""

import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import active_directory, directory, people, signers
from .calls import YES, check_password
from .canary import CommandLines
from .daemon import Daemon, write_private
from .ejabberd import Ejabberd
from .pki import Pki, make_pki
from .prosody import Prosody
from .samba import SambaAd, own_address
from .slapd import Slapd
from .visitors import Server, Visitors
from .waiting import wait_until

#: What a process of the tests may have open.
DESCRIPTORS = 8192


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The search for secrets comes last: it looks at what all others have left."""
    items.sort(key=lambda item: item.path.name == "test_canary.py")


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A folder with a short name: a Unix socket's path has less than 108 octets."""
    folder = Path(tempfile.mkdtemp(prefix="ab-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def descriptors() -> None:
    """Enough of them for a thousand connections at once, where a process may have so many."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        enough = DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


@pytest.fixture(scope="session", autouse=True)
def command_lines() -> Iterator[CommandLines]:
    """The command lines of all processes during the run."""
    sampler = CommandLines()
    sampler.start()
    yield sampler
    sampler.stop()


@pytest.fixture(scope="session")
def pki(workspace: Path) -> Pki:
    """Certificates for every host."""
    return make_pki(workspace / "tls", people.HOSTS)


@pytest.fixture(scope="session")
def directory_pki(workspace: Path) -> Pki:
    """A certificate of the directory's own authority, for its name and its address."""
    return make_pki(workspace / "directory-tls", ["localhost"], ["127.0.0.1"])


@pytest.fixture(scope="session")
def stranger() -> Iterator[socket.socket]:
    """Listens where the directory's referrals lead."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(scope="session")
def shared_slapd(workspace: Path, directory_pki: Pki, stranger: socket.socket) -> Iterator[Slapd]:
    """The one directory; tests take `slapd`."""
    referral = f"ldap://127.0.0.1:{stranger.getsockname()[1]}/"
    shared = Slapd(workspace / "slapd", directory_pki, referral=referral)
    shared.start()
    yield shared
    shared.restore()
    shared.stop()


@pytest.fixture(scope="session")
def shared_daemon(workspace: Path, shared_slapd: Slapd, directory_pki: Pki) -> Iterator[Daemon]:
    """The one daemon; tests take `daemon`."""
    files = {
        "ca_file": directory_pki.ca,
        "bind_password_file": shared_slapd.service_password_file,
    }
    others = {
        directory.DOMAIN: directory.checker(
            directory.DOMAIN, "corp", shared_slapd.tls_url, **files, timeout="7s"
        ),
        directory.IMPATIENT: directory.checker(
            directory.IMPATIENT, "impatient", shared_slapd.tls_url, **files, timeout="2s"
        ),
        directory.MEMBERS: directory.checker(
            directory.MEMBERS,
            "members",
            shared_slapd.tls_url,
            **files,
            require_groups=[directory.group_dn(name) for name in directory.GROUPS],
        ),
        **signers.configuration(workspace / "signers"),
    }
    shared = Daemon(workspace / "daemon", people.DOMAINS, others=others)
    give_users(shared)
    shared.start()
    yield shared
    shared.restore()
    shared.stop()


def give_users(daemon: Daemon) -> None:
    """Put everybody into the users files."""
    for domain, users in people.PASSWORDS.items():
        daemon.write_users(domain, users)


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, running; started again afterwards if the test has ended it."""
    yield shared_daemon
    shared_daemon.restore()
    give_users(shared_daemon)


@pytest.fixture
def slapd(shared_slapd: Slapd, daemon: Daemon) -> Iterator[Slapd]:
    """The directory that `daemon` asks, running; started again afterwards, and in use again."""
    yield shared_slapd
    daemon.restore()
    if shared_slapd.restore():
        alice = directory.ALICE
        for jid in (alice.jid, f"{alice.local}@{directory.IMPATIENT}"):
            wait_until(
                lambda jid=jid: check_password(daemon, jid, alice.password) == YES,
                "the directory is asked again",
            )


@pytest.fixture(scope="session")
def ejabberd(workspace: Path, pki: Pki, shared_daemon: Daemon) -> Iterator[Ejabberd]:
    """ejabberd as it should be set up: without its cache."""
    server = Ejabberd(
        workspace / "ejabberd", pki, people.HOSTS, shared_daemon.extauth_program, use_cache=False
    )
    server.start()
    # It listens before it has them all.
    wait_until(lambda: len(server.programs()) == 2, "its programs")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def caching_ejabberd(workspace: Path, pki: Pki, shared_daemon: Daemon) -> Iterator[Ejabberd]:
    """ejabberd as it is by default: with its cache."""
    server = Ejabberd(
        workspace / "caching", pki, people.HOSTS, shared_daemon.extauth_program, use_cache=True
    )
    server.start()
    yield server
    server.stop()


def _prosody(folder: Path, pki: Pki, daemon: Daemon, check_method: str) -> Iterator[Prosody]:
    server = Prosody(
        folder,
        pki,
        people.HOSTS,
        daemon.http_auth_url,
        daemon.http_auth_credentials,
        check_method=check_method,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def prosody(workspace: Path, pki: Pki, shared_daemon: Daemon) -> Iterator[Prosody]:
    """Prosody that checks passwords with GET, as the community's module does."""
    yield from _prosody(workspace / "prosody", pki, shared_daemon, "GET")


@pytest.fixture(scope="session")
def posting_prosody(workspace: Path, pki: Pki, shared_daemon: Daemon) -> Iterator[Prosody]:
    """Prosody that checks passwords with POST."""
    yield from _prosody(workspace / "posting", pki, shared_daemon, "POST")


@pytest.fixture(params=["ejabberd", "prosody", "posting_prosody"])
def server(request: pytest.FixtureRequest, daemon: Daemon) -> Server:
    """Each of the XMPP servers in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def visitors(pki: Pki) -> Iterator[Visitors]:
    """Whoever logs in."""
    everybody = Visitors(pki.ca)
    yield everybody
    everybody.close()


@pytest.fixture(scope="session")
def shared_ad(workspace: Path) -> Iterator[SambaAd]:
    """The one Active Directory; tests take `ad`."""
    with own_address() as address:
        shared = SambaAd(workspace / "samba", address)
        shared.start()
        yield shared
        shared.restore()
        shared.stop()


@pytest.fixture(scope="session")
def shared_ad_daemon(workspace: Path, shared_ad: SambaAd) -> Iterator[Daemon]:
    """The one daemon that asks it; tests take `ad_daemon`."""
    files = {"ca_file": shared_ad.pki.ca, "bind_password_file": shared_ad.service_password_file}
    settings: dict[str, dict[str, object]] = {
        active_directory.DOMAIN: {},
        active_directory.MEMBERS: {
            "require_groups": [
                active_directory.group_dn(name) for name in active_directory.REQUIRED
            ]
        },
        active_directory.SUFFIX: {
            "jid_attribute": "userPrincipalName",
            "login": ["userPrincipalName"],
        },
        active_directory.CHANGES: {
            "bind_dn": active_directory.WRITER,
            "bind_password_file": shared_ad.writer_password_file,
            "writes": True,
            "new_users": active_directory.NEWCOMERS,
        },
        active_directory.DENIED: {"writes": True, "new_users": active_directory.NEWCOMERS},
    }
    others = {
        domain: active_directory.checker(domain, shared_ad.tls_url, **{**files, **more})
        for domain, more in settings.items()
    }
    shared = Daemon(workspace / "ad-daemon", (), others=others)
    text = shared.configuration.read_text().replace(
        "may = [", 'may = ["set_password", "register", '
    )
    write_private(shared.configuration, text.encode())
    shared.start()
    yield shared
    shared.restore()
    shared.stop()


@pytest.fixture
def ad_daemon(shared_ad_daemon: Daemon) -> Iterator[Daemon]:
    """The daemon that asks the Active Directory, running; started again afterwards."""
    yield shared_ad_daemon
    shared_ad_daemon.restore()


@pytest.fixture
def ad(shared_ad: SambaAd, ad_daemon: Daemon) -> Iterator[SambaAd]:
    """The Active Directory that `ad_daemon` asks, running; started again afterwards, and in use
    again."""
    yield shared_ad
    ad_daemon.restore()
    if shared_ad.restore():
        alice = active_directory.ALICE
        wait_until(
            lambda: check_password(ad_daemon, alice.jid, alice.password) == YES,
            "the directory is asked again",
        )


@pytest.fixture
def strict(ad: SambaAd) -> Iterator[active_directory.Account]:
    """Whom three wrong passwords lock; unlocked afterwards."""
    yield active_directory.STRICT
    ad.unlock(active_directory.STRICT.dn)


@pytest.fixture(scope="session")
def ad_ejabberd(workspace: Path, pki: Pki, shared_ad_daemon: Daemon) -> Iterator[Ejabberd]:
    """ejabberd for the people of the Active Directory."""
    server = Ejabberd(
        workspace / "ad-ejabberd", pki, active_directory.DOMAINS, shared_ad_daemon.extauth_program
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ad_prosody(workspace: Path, pki: Pki, shared_ad_daemon: Daemon) -> Iterator[Prosody]:
    """Prosody for them."""
    server = Prosody(
        workspace / "ad-prosody",
        pki,
        active_directory.DOMAINS,
        shared_ad_daemon.http_auth_url,
        shared_ad_daemon.http_auth_credentials,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["ad_ejabberd", "ad_prosody"])
def ad_server(request: pytest.FixtureRequest, ad_daemon: Daemon) -> Server:
    """Each of the XMPP servers in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found
