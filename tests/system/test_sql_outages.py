"""PostgreSQL and MariaDB stopped, killed, hung, slow, restarted, with another's certificate, with
answers of the wrong shape, and something else in their place, under logins.

What must hold: nobody is told that his password is wrong, nobody gets in with a wrong one, who is
in the other database is not concerned, and it is over when the database is back.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import sql_world
from .calls import CANNOT_TELL, NO, YES, check_password, explain, said, storm, user_exists
from .canary import secret
from .daemon import Daemon
from .pki import Pki
from .sql_world import (
    HASHES,
    KINDS,
    MARIADB,
    POSTGRESQL,
    QUERY,
    USERS,
    Server,
    SqlWorld,
    domain_of,
    jid,
)
from .waiting import wait_until
from .xmpp import SESSION
from .xmpp_servers import XmppServers, running_servers

NOT_AUTHORIZED = "not-authorized"
ALICE, BOB = USERS["alice"], USERS["bob"]
UNREACHABLE, FAILED = ("unavailable", "database_unreachable"), ("unavailable", "database_failed")
OUTAGES: dict[str, Callable[[Server], None]] = {
    "stopped": lambda server: server.stop(),
    "killed": lambda server: server.kill(),
    "hung": lambda server: server.pause(),
}

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[SqlWorld]:
    with sql_world.running(workspace / "sql-outages") as started:
        yield started


@pytest.fixture
def world(shared_world: SqlWorld) -> Iterator[SqlWorld]:
    """Both databases and the daemon, running; in use again afterwards."""
    yield shared_world
    shared_world.restore()
    for kind in KINDS:
        alice = jid("alice", domain_of(kind))
        wait_until(lambda: asked(shared_world, alice) == YES, "the database is asked")  # noqa: B023


@pytest.fixture(scope="module")
def xmpp(workspace: Path, shared_world: SqlWorld) -> Iterator[XmppServers]:
    """Both XMPP servers."""
    domains = [domain_of(kind) for kind in KINDS]
    domains += [domain_of(kind, "hasty") for kind in KINDS]
    with running_servers(workspace / "sql-outages-xmpp", domains, shared_world.daemon) as servers:
        yield servers


def asked(world: SqlWorld, name: str, password: bytes = ALICE) -> tuple[int, bytes]:
    return check_password(world.daemon, name, password)


def other(kind: str) -> str:
    return POSTGRESQL if kind == MARIADB else MARIADB


@pytest.mark.parametrize("outage", OUTAGES)
@kinds
def test_logins_are_refused_as_long_as_the_database_is_away_and_no_longer(
    world: SqlWorld, xmpp: XmppServers, kind: str, outage: str
) -> None:
    """With right and wrong passwords alike; who is in the other database is let in meanwhile."""
    alice, bob = (jid(user, domain_of(kind, "hasty")) for user in ("alice", "bob"))
    # A second is little for a machine that is busy, and here enough once.
    wait_until(lambda: xmpp.login("ejabberd", alice, ALICE) == SESSION, "alice is let in before")
    OUTAGES[outage](world.servers[kind])
    for server in ("ejabberd", "prosody"):
        assert xmpp.login(server, alice, ALICE) == NOT_AUTHORIZED
        assert said(world.daemon, alice) == UNREACHABLE
        assert xmpp.login(server, jid("alice", domain_of(other(kind))), ALICE) == SESSION
    assert asked(world, bob, secret("wrong"))[0] == CANNOT_TELL
    assert user_exists(world.daemon, alice)[0] == CANNOT_TELL
    world.servers[kind].restore()
    for server in ("ejabberd", "prosody"):
        wait_until(
            lambda: xmpp.login(server, alice, ALICE) == SESSION,  # noqa: B023
            "alice is let in",
        )
    wait_until(lambda: asked(world, bob, secret("wrong")) == NO, "bob's wrong password is one")
    assert said(world.daemon, bob) == ("rejected", "password_mismatch")


@kinds
def test_who_asks_after_the_outage_is_answered(world: SqlWorld, kind: str) -> None:
    """The first, whatever the one before him was told."""
    alice, server = jid("alice", domain_of(kind)), world.servers[kind]
    for end in (server.stop, server.kill):
        assert asked(world, alice) == YES
        end()
        assert asked(world, alice)[0] == CANNOT_TELL
        assert said(world.daemon, alice) == UNREACHABLE
        server.start()
        assert asked(world, alice) == YES


@kinds
def test_nobody_notices_a_restart_or_the_end_of_idle_connections(
    world: SqlWorld, kind: str
) -> None:
    """The first login after it uses a connection that has ended."""
    alice, server = jid("alice", domain_of(kind)), world.servers[kind]
    assert asked(world, alice) == YES
    server.stop()
    server.start()
    assert asked(world, alice) == YES
    if kind == POSTGRESQL:
        server.fetch(
            "site",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'",
        )
    else:
        for (number,) in server.fetch(
            "mysql", "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'reader'"
        ):
            server.execute("mysql", f"KILL {number}")
    assert asked(world, alice) == YES


def sleeping(server: Server) -> int:
    """Queries of the reader that are under way."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND state = 'active'"
        if isinstance(server, sql_world.Postgresql)
        else "SELECT count(*) FROM information_schema.PROCESSLIST"
        " WHERE USER = 'reader' AND COMMAND = 'Query'"
    )
    count: int = server.fetch("postgres" if "pg_stat" in query else "mysql", query)[0][0]
    return count


@kinds
def test_a_slow_query_keeps_nobody_waiting_for_longer_than_its_time(
    world: SqlWorld, kind: str
) -> None:
    """More of them than there are connections; the server is rid of each by itself."""
    alice, bob = (jid(user, domain_of(kind, "slow")) for user in ("alice", "bob"))
    answers = storm(world.daemon, [(alice, ALICE)] * 8, 8)
    assert {answer[0] for _, answer in answers} == {CANNOT_TELL}
    assert said(world.daemon, alice) == UNREACHABLE
    # By themselves they would end in ten minutes.
    wait_until(lambda: check_password(world.daemon, bob, BOB) == YES, "bob is let in")
    wait_until(lambda: sleeping(world.servers[kind]) == 0, "no query is under way")


@contextlib.contextmanager
def showing(world: SqlWorld, kind: str, pki: Pki | None) -> Iterator[None]:
    """The server with another certificate, or without TLS, as long as the block runs."""
    server = world.servers[kind]
    server.stop()
    server.use(pki)
    server.start()
    try:
        yield
    finally:
        server.stop()
        server.use(world.pki)
        server.start()


@kinds
def test_a_certificate_of_another_authority_or_name_is_no_database(
    world: SqlWorld, kind: str
) -> None:
    """Nothing is asked of who shows it; when the right one is there again, it is."""
    alice, stranger = (jid("alice", domain_of(kind, way)) for way in ("members", "strangers"))
    for way in ("strangers", "another-name"):
        name = jid("alice", domain_of(kind, way))
        assert asked(world, name)[0] == CANNOT_TELL
        assert said(world.daemon, name) == UNREACHABLE
    with showing(world, kind, world.strangers):
        assert asked(world, alice)[0] == CANNOT_TELL
        assert said(world.daemon, alice) == UNREACHABLE
        assert asked(world, stranger) == YES
    assert asked(world, alice) == YES


@kinds
def test_a_database_that_offers_no_tls_is_not_asked_where_it_is_wanted(
    world: SqlWorld, kind: str
) -> None:
    """Whoever is in between could take the offer away."""
    alice, clear = (jid("alice", domain_of(kind, way)) for way in ("members", "clear"))
    with showing(world, kind, None):
        assert asked(world, alice)[0] == CANNOT_TELL
        assert said(world.daemon, alice) == UNREACHABLE
        told = explain(world.daemon, alice, ALICE).stdout
        assert "SSL" in told
        assert "support" in told
        assert asked(world, clear) == YES
    assert asked(world, alice) == YES


@kinds
def test_answers_of_the_wrong_shape_cannot_tell_and_the_log_says_why(
    world: SqlWorld, kind: str
) -> None:
    for way, reason, words in (
        ("wrong-password", UNREACHABLE, ("denied", "authentication failed")),
        ("no-such-database", UNREACHABLE, ("nowhere",)),
        ("no-such-table", FAILED, ("nowhere",)),
        ("wrong-column", FAILED, ("'loked', which means nothing here",)),
        ("no-text", FAILED, ("password of a row is no text",)),
        ("no-flag", FAILED, ("enabled of a row is neither true nor false",)),
    ):
        name = jid("alice", domain_of(kind, way))
        told = world.daemon.log.read_text()
        assert asked(world, name)[0] == CANNOT_TELL
        assert said(world.daemon, name) == reason, way
        new = world.daemon.log.read_text().removeprefix(told)
        assert "[authbridge.troubles]" in new
        assert any(word in new for word in words), way


@contextlib.contextmanager
def in_its_place(greeting: bytes, ends: bool) -> Iterator[int]:
    """Something that says this to whoever connects, and then ends, or says no more; its port."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError):
                    connection.sendall(greeting)
                if ends:
                    connection.close()
                else:
                    held.append(connection)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            serving.join()
            for connection in held:
                connection.close()


def test_whatever_is_in_the_place_of_a_database_is_none(workspace: Path) -> None:
    """A web server, one that is silent, one that ends, octets that are nothing, a half greeting."""
    handshake = b"\x4a\x00\x00\x00\x0a5.5.5-10.11.6-MariaDB\x00"
    places = (
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        (b"", True),
        (b"", False),
        (bytes(range(256)) * 4, True),
        (handshake, False),
        (handshake + b"\xff" * 200, True),
        (b"\xff\xff\xff\x00" * 50, False),
        (b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I", True),
        (b"E\x7f\xff\xff\xff" + b"x" * 100, False),
    )
    with contextlib.ExitStack() as ends:
        others = {}
        for number, (greeting, end) in enumerate(places):
            port = ends.enter_context(in_its_place(greeting, end))
            for kind in KINDS:
                name = f"{kind}-{number}.example"
                others[name] = sql_world.domain(
                    name,
                    {
                        "url": f"{kind}://reader@127.0.0.1:{port}/site",
                        "query": QUERY,
                        "hashes": HASHES,
                        "timeout": "1s",
                    },
                )
        daemon = Daemon(workspace / "sql-places", (), others=others)
        daemon.start()
        ends.callback(daemon.stop)
        questions = [(jid("alice", name), ALICE) for name in others]
        answers = storm(daemon, questions, len(questions))
        assert {answer[0] for _, answer in answers} == {CANNOT_TELL}
        for name, _ in questions:
            assert said(daemon, name) == UNREACHABLE, name
        assert "Traceback" not in daemon.log.read_text()
