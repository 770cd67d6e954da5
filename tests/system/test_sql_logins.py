"""Logins through a real ejabberd and a real Prosody of users in a real PostgreSQL and MariaDB, in
the tables of a website's own, of Django, WordPress and Nextcloud, and of both XMPP servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import sql_world, xmpp_accounts
from .calls import CANNOT_TELL, NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret, unguarded
from .ejabberd import Ejabberd
from .pki import make_pki
from .sql_world import (
    KINDS,
    MARIADB,
    POSTGRESQL,
    REFUSED,
    SITE_USERS,
    USERS,
    SqlWorld,
    domain_of,
    jid,
)
from .visitors import Visitors
from .xmpp import SESSION
from .xmpp_servers import XmppServers, running_servers

NOT_AUTHORIZED = "not-authorized"
ALICE = USERS["alice"]
SERVERS = ("ejabberd", "prosody")
#: Whom the XMPP servers register themselves. ejabberd's log and the list of processes show these.
ACCOUNTS = {"nora": unguarded("ibsen"), "çelik": unguarded("pässwörd-密码")}

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[SqlWorld]:
    """Both databases, and the daemon."""
    with sql_world.running(workspace / "sql") as started:
        yield started


@pytest.fixture(scope="module")
def xmpp(workspace: Path, world: SqlWorld) -> Iterator[XmppServers]:
    """Both XMPP servers."""
    domains = [domain_of(kind) for kind in KINDS]
    with running_servers(workspace / "sql-xmpp", domains, world.daemon) as servers:
        yield servers


@kinds
def test_the_right_password_gets_a_session_and_no_other_does(
    world: SqlWorld, xmpp: XmppServers, kind: str
) -> None:
    domain = domain_of(kind)
    for server in SERVERS:
        for user, password in USERS.items():
            assert xmpp.login(server, jid(user, domain), password) == SESSION, user
        assert xmpp.login(server, jid("alice", domain), secret("wrong")) == NOT_AUTHORIZED
        assert said(world.daemon, jid("alice", domain)) == ("rejected", "password_mismatch")
        assert xmpp.login(server, jid("nobody", domain), ALICE) == NOT_AUTHORIZED
        assert said(world.daemon, jid("nobody", domain)) == ("rejected", "user_unknown")


@kinds
def test_who_may_not_log_in_is_told_no_more_than_a_wrong_password(
    world: SqlWorld, xmpp: XmppServers, kind: str
) -> None:
    domain = domain_of(kind)
    for user, (password, reason) in REFUSED.items():
        for server in SERVERS:
            assert xmpp.login(server, jid(user, domain), password) == NOT_AUTHORIZED
            assert said(world.daemon, jid(user, domain)) == ("rejected", reason)
        if reason != "password_unusable":
            assert check_password(world.daemon, jid(user, domain), secret("wrong")) == NO
            assert said(world.daemon, jid(user, domain)) == ("rejected", "password_mismatch")
        assert user_exists(world.daemon, jid(user, domain)) == YES


@kinds
def test_on_a_socket_and_in_clear_on_this_machine_the_answers_are_the_same(
    world: SqlWorld, kind: str
) -> None:
    for way in ("socket", "clear"):
        alice = jid("alice", domain_of(kind, way))
        assert check_password(world.daemon, alice, ALICE) == YES
        assert check_password(world.daemon, alice, secret("wrong")) == NO
        assert user_exists(world.daemon, alice) == YES
        assert user_exists(world.daemon, jid("nobody", domain_of(kind, way))) == NO


@kinds
def test_rows_that_could_be_two_users_are_nobodys(world: SqlWorld, kind: str) -> None:
    """MariaDB finds `çelik` for `celik`, and so on; PostgreSQL does not."""
    domain = domain_of(kind)
    assert check_password(world.daemon, jid("twice", domain), ALICE) == NO
    assert said(world.daemon, jid("twice", domain)) == ("rejected", "user_ambiguous")
    reason = "not_canonical" if kind == MARIADB else "user_unknown"
    for other in ("celik", "alicé", "ạlice"):
        password = USERS["çelik"] if "lik" in other else ALICE
        assert check_password(world.daemon, jid(other, domain), password) == NO
        assert said(world.daemon, jid(other, domain)) == ("rejected", reason)
        assert user_exists(world.daemon, jid(other, domain)) == NO
    assert check_password(world.daemon, jid("ALICE", domain), ALICE) == YES


@kinds
def test_a_name_that_the_database_cannot_write_is_unknown_and_no_outage(
    world: SqlWorld, kind: str
) -> None:
    domain = domain_of(kind, "latin1")
    for user in ("alice", "çelik"):
        assert check_password(world.daemon, jid(user, domain), USERS[user]) == YES
    for user in ("жук", "密码"):
        assert check_password(world.daemon, jid(user, domain), ALICE) == NO
        assert said(world.daemon, jid(user, domain)) == ("rejected", "user_unknown")


@kinds
def test_a_hash_of_no_kind_that_is_named_cannot_tell(world: SqlWorld, kind: str) -> None:
    assert check_password(world.daemon, jid("md5", domain_of(kind)), b"password")[0] == CANNOT_TELL
    assert said(world.daemon, jid("md5", domain_of(kind))) == ("unavailable", "hash_unknown")


@pytest.mark.parametrize(
    ("site", "kind"),
    [
        ("django", POSTGRESQL),
        ("wordpress", MARIADB),
        ("wordpress", POSTGRESQL),
        ("nextcloud", MARIADB),
        ("nextcloud", POSTGRESQL),
    ],
)
def test_what_a_website_hashed_is_verified(world: SqlWorld, site: str, kind: str) -> None:
    """Django's own code and PHP's made these."""
    for user, password in SITE_USERS.items():
        name = jid(user, domain_of(kind, site))
        disabled = user == "dan" and site != "wordpress"
        assert check_password(world.daemon, name, password) == (NO if disabled else YES), user
        if disabled:
            assert said(world.daemon, name) == ("rejected", "account_disabled")
        assert check_password(world.daemon, name, password + b"x") == NO
        assert said(world.daemon, name) == ("rejected", "password_mismatch")
        assert user_exists(world.daemon, name) == YES
    if site == "django":
        name = jid("nopw", domain_of(kind, site))
        assert check_password(world.daemon, name, secret("!")) == NO
        assert said(world.daemon, name) == ("rejected", "password_unusable")


@kinds
def test_the_probe_tells_of_the_server_the_encryption_and_the_account(
    world: SqlWorld, kind: str
) -> None:
    told = probe(world.daemon).stdout
    members, writes = (
        told.partition(f"[checkers.{way}-{kind}-example] ")[2].partition("\n[")[0]
        for way in ("members", "writes")
    )
    assert members.startswith("answers\n")
    assert re.search(r"server +(PostgreSQL|MariaDB) \d", members)
    assert re.search(r"encryption +TLSv1\.3", members)
    assert "may read, and not write" in members
    assert re.search(r"account +may write (to \d+ tables|\(ALL PRIVILEGES\))", writes)


@kinds
def test_explain_tells_every_step_and_no_secret(world: SqlWorld, kind: str) -> None:
    told = explain(world.daemon, jid("eve", domain_of(kind)), REFUSED["eve"][0])
    assert told.returncode == 1
    for words in (
        f"@localhost:{world.servers[kind].port}/site, with :user 'eve'",
        "one row of username, password, enabled, locked, expires",
        "username 'eve'; the account has expired",
    ):
        assert words in told.stdout
    (stored,) = world.servers[kind].fetch("site", "SELECT hash FROM members WHERE login = 'eve'")
    assert stored[0] not in told.stdout
    assert stored[0] not in world.daemon.log.read_text()


@pytest.fixture(scope="module")
def accounts(workspace: Path, world: SqlWorld) -> Iterator[SqlWorld]:
    """Both databases with what a real ejabberd and a real prosodyctl have registered in them."""
    folder = workspace / "sql-accounts"
    with ExitStack() as ends:
        lines = [xmpp_accounts.ejabberd(server, kind) for kind, server in world.servers.items()]
        hosts = [domain_of(kind, "ejabberd") for kind in KINDS]
        pki = make_pki(folder / "xmpp-tls", hosts)
        registrar = Ejabberd(
            folder / "ejabberd",
            pki,
            hosts,
            "/bin/false",
            top="host_config:\n" + "".join(lines),
        )
        registrar.start()
        ends.callback(registrar.kill)
        visitors = Visitors(pki.ca)
        ends.callback(visitors.close)
        for host in hosts:
            for user, password in ACCOUNTS.items():
                answer = registrar.api("register", user=user, host=host, password=password.decode())
                assert answer[0] == 200, answer
                assert visitors.login(registrar, f"{user}@{host}", password) == SESSION
        for kind, server in world.servers.items():
            xmpp_accounts.prosody(folder / f"prosody-{kind}", server, kind, ACCOUNTS)
        yield world


@kinds
def test_accounts_of_ejabberd_and_prosody_are_those_of_their_databases(
    accounts: SqlWorld, kind: str
) -> None:
    """Registered by them, with SCRAM of SHA-1 and SHA-256."""
    for program in ("ejabberd", "prosody"):
        for user, password in ACCOUNTS.items():
            name = jid(user, domain_of(kind, program))
            assert check_password(accounts.daemon, name, password) == YES, program
            assert check_password(accounts.daemon, name, password + b"x") == NO
            assert said(accounts.daemon, name) == ("rejected", "password_mismatch")
            assert user_exists(accounts.daemon, name) == YES
        stranger = jid("stranger", domain_of(kind, program))
        assert check_password(accounts.daemon, stranger, secret("x")) == NO
        assert user_exists(accounts.daemon, stranger) == NO
    told = explain(accounts.daemon, jid("nora", domain_of(kind, "prosody")), ACCOUNTS["nora"])
    hashed = xmpp_accounts.PROSODY_HASHES[kind].lower()
    assert f"scram-{hashed}, 10000 iterations" in told.stdout
