"""The servers that most of these tests share, and the daemon behind them.

They are started once: each test finds the daemon running with the users of `people`, and may do to
it what it likes.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import people
from .canary import CommandLines
from .daemon import Daemon
from .ejabberd import Ejabberd
from .pki import Pki, make_pki
from .prosody import Prosody
from .visitors import Server, Visitors


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
def shared_daemon(workspace: Path) -> Iterator[Daemon]:
    """The one daemon; tests take `daemon`."""
    shared = Daemon(workspace / "daemon", people.DOMAINS)
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


@pytest.fixture(scope="session")
def ejabberd(workspace: Path, pki: Pki, shared_daemon: Daemon) -> Iterator[Ejabberd]:
    """ejabberd as it should be set up: without its cache."""
    server = Ejabberd(
        workspace / "ejabberd", pki, people.HOSTS, shared_daemon.extauth_program, use_cache=False
    )
    server.start()
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
