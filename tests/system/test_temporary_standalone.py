"""Temporary tokens with no daemon behind ejabberd's programs (`--standalone`): several processes
that have to agree on what is used, which one SQLite file does not let them."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer

from .callers import Program, said_since
from .daemon import write_private
from .ejabberd import Ejabberd
from .pki import make_pki
from .token_site import DOMAIN, TokenSite
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

ROUNDS = 5
PROGRAMS = 3
VISITORS = 8
REFUSED = "not-authorized"
_names = (f"alone-{number}@{DOMAIN}" for number in count())


@pytest.fixture(scope="module")
def redis(workspace: Path) -> Iterator[RedisServer]:
    """What all of them share."""
    server = RedisServer(workspace / "alone-redis")
    yield server
    server.stop()


def url(redis: RedisServer) -> str:
    """As it stands in the configuration."""
    return f"redis://127.0.0.1:{redis.port}/0"


@pytest.fixture(scope="module")
def site(workspace: Path, redis: RedisServer) -> Iterator[TokenSite]:
    """The daemon, of which the website gets the tokens. It has the configuration of the programs,
    which look at no listener in it."""
    site = TokenSite(workspace / "alone-site", url(redis))
    site.start()
    yield site
    site.stop()


def command(site: TokenSite) -> list[str]:
    """A program that serves itself."""
    program = str(Path(sys.executable).parent / "authbridge-extauth")
    return [program, "--standalone", "--config", str(site.configuration)]


@contextmanager
def programs(site: TokenSite, output: Path, number: int) -> Iterator[Sequence[Program]]:
    """Some of them."""
    with ExitStack() as all_of_them:
        found = []
        for _ in range(number):
            program = Program(command(site), output)
            all_of_them.callback(program.close)
            found.append(program)
        yield found


def test_with_a_file_the_program_stands_by_and_says_why(
    workspace: Path, site: TokenSite, redis: RedisServer
) -> None:
    """It answers that nobody gets in, and begins to serve when the configuration is mended."""
    alone = TokenSite(workspace / "alone-file")
    text = alone.configuration.read_text()
    output = workspace / "alone-file.out"
    jid = next(_names)
    token = site.issue(jid)
    with programs(alone, output, 1) as (program,):
        assert not program.accepts(jid, token.octets)
        says = said_since(output, 0)
        assert says(r'authbridge\.state: checkers\.tokens\.accept has "temporary", and ejabberd')
        assert says(r"cannot share one SQLite file; give state = \"redis://…\", or run the daemon")
        assert says("out of service: every request is refused until this is mended")
        assert alone.state_files == []
        write_private(alone.configuration, text.replace(str(alone.state_file), url(redis)).encode())
        wait_until(lambda: program.accepts(jid, token.octets), "the program serves")
        assert not program.accepts(jid, token.octets)
    assert not site.accepts(token)
    assert token.octets not in output.read_bytes()


@pytest.fixture(scope="module")
def some(workspace: Path, site: TokenSite) -> Iterator[Sequence[Program]]:
    """Programs that all can serve."""
    with programs(site, workspace / "alone-some.out", PROGRAMS) as them:
        jid = next(_names)
        device = site.issue(jid, uses="any")
        assert all(program.accepts(jid, device.octets) for program in them)
        yield them


def test_programs_and_the_daemon_agree_on_what_is_used(
    some: Sequence[Program], site: TokenSite
) -> None:
    """One token at all of them, one after the other, whoever is first."""
    for first in range(PROGRAMS):
        jid = next(_names)
        token = site.issue(jid)
        in_turn = [*some[first:], *some[:first]]
        found = [program.accepts(jid, token.octets) for program in in_turn]
        assert found == [True] + [False] * (PROGRAMS - 1)
        assert not site.accepts(token)
    token = site.issue(jid)
    assert site.accepts(token)
    assert not any(program.accepts(jid, token.octets) for program in some)


@pytest.mark.parametrize("uses", [1, 2])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_programs_that_are_shown_one_token_at_once_accept_it_as_often_as_they_may(
    some: Sequence[Program], site: TokenSite, number: int, uses: int
) -> None:
    """With nobody between them."""
    jid = next(_names)
    token = site.issue(jid, uses=uses)
    with ThreadPoolExecutor(PROGRAMS) as at_once:
        assert sum(at_once.map(lambda program: program.accepts(jid, token.octets), some)) == uses


@pytest.fixture(scope="module")
def pool(workspace: Path, site: TokenSite) -> Iterator[tuple[Ejabberd, Path]]:
    """ejabberd with its programs, and whose certificate it has."""
    pki = make_pki(workspace / "alone-tls", [DOMAIN])
    line = " ".join(command(site))
    server = Ejabberd(workspace / "alone-ejabberd", pki, [DOMAIN], line, pool_size=PROGRAMS)
    server.start()
    wait_until(lambda: len(server.programs()) == PROGRAMS, "its programs")
    yield server, pki.ca
    server.stop()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_of_many_who_log_in_at_ejabberd_with_one_token_one_gets_in(
    pool: tuple[Ejabberd, Path], site: TokenSite, number: int
) -> None:
    """ejabberd asks its programs by turns."""
    server, ca = pool
    jid = next(_names)
    token = site.issue(jid)
    user = jid.partition("@")[0].encode()
    visitors = Visitors(ca)
    clients = [visitors.connect(server, DOMAIN) for _ in range(VISITORS)]
    with ThreadPoolExecutor(VISITORS) as at_once:
        found = Counter(at_once.map(lambda one: one.login(user, token.octets), clients))
    visitors.close()
    assert found == {SESSION: 1, REFUSED: VISITORS - 1}
    assert not site.accepts(token)


def test_every_program_was_asked(pool: tuple[Ejabberd, Path]) -> None:
    """Or those before would have shown nothing."""

    def logins() -> list[str]:
        lines = pool[0].output.read_text(errors="replace").splitlines(keepends=True)
        return [line for line in lines if " login id=" in line and line.endswith("\n")]

    # A line is written a moment after its answer.
    wait_until(lambda: len(logins()) >= ROUNDS * VISITORS, "every login has its line")
    lines = logins()
    asked = [line.split(" login id=")[1].split("-")[0] for line in lines]
    assert len(set(asked)) == PROGRAMS
    assert sum("reason=token_valid" in line for line in lines) == ROUNDS
    assert sum("reason=token_used" in line for line in lines) == ROUNDS * (VISITORS - 1)
