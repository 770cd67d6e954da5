"""Names and passwords that would be SQL, shown to a real PostgreSQL and MariaDB; and queries that
write, whose account may."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from authbridge import preparation

from . import sql_world
from .calls import CANNOT_TELL, NO, YES, check_password, said, storm
from .sql_world import KINDS, MARIADB, USERS, Server, SqlWorld, domain_of, jid

ALICE = USERS["alice"]

_BEFORE = ("", "alice", "a", "alice\\", "\u00bf")
_BREAKS = (
    "'",
    '"',
    "\\'",
    "''",
    "`",
    "$$",
    "')",
    "'))",
    "\\",
    "\u2019",
    "\u02bc",
    "\uff07",
    "%bf'",
)
_WORDS = (
    " or 1=1",
    " or '1'='1",
    "||''||'",
    "; drop table members",
    "; insert into touched values ('x')",
    " union select 'alice','x',true,false,null",
    " and pg_sleep(9) is not null",
    " and sleep(9)",
    ":user %(user)s %s ? $1 {0}",
)
_AFTER = ("", "--", "#", "/*", ";")

kinds = pytest.mark.parametrize("kind", KINDS)


def payloads() -> list[str]:
    """Hundreds."""
    return [
        f"{before}{middle}{words}{after}"
        for turn, (before, middle, words, after) in enumerate(
            itertools.product(_BEFORE, _BREAKS, _WORDS, _AFTER)
        )
        if turn % 5 == 0
    ]


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[SqlWorld]:
    """Both databases, and the daemon."""
    with sql_world.running(workspace / "sql-attacks") as started:
        yield started


def state(server: Server) -> list[object]:
    """Whatever an attack could have changed."""
    return [
        server.fetch("site", f"SELECT * FROM {table} ORDER BY 1, 2")
        for table in ("members", "wp_users", "oc_users")
    ] + [server.fetch("site", "SELECT login FROM touched")]


def attack(world: SqlWorld, domain: str) -> None:
    """All of them as names, escaped and as they are, and as passwords of somebody."""
    # What was seen last is what an unknown user costs: little, here.
    assert check_password(world.daemon, jid("alice", domain), ALICE) == YES
    names = []
    for payload in payloads():
        names += [f"{preparation.escape(payload)}@{domain}", f"{payload}@{domain}"]
    told = len(world.daemon.logins())
    questions = [(name, ALICE) for name in names]
    questions += [(jid("alice", domain), payload.encode()) for payload in payloads()]
    answers = storm(world.daemon, questions, 6)
    assert len(answers) == len(questions) > 1500
    assert {answer for _, answer in answers} == {NO}
    reasons = {login["reason"] for login in world.daemon.logins()[told:]}
    assert {"user_unknown", "user_malformed", "password_mismatch"} <= reasons
    assert reasons <= {"user_unknown", "user_malformed", "password_mismatch", "not_canonical"}


@kinds
def test_what_would_be_sql_is_a_name_or_a_password_and_nothing_else(
    world: SqlWorld, kind: str
) -> None:
    server = world.servers[kind]
    before = state(server)
    attack(world, domain_of(kind))
    assert state(server) == before
    assert check_password(world.daemon, jid("alice", domain_of(kind)), ALICE) == YES


def test_no_mode_of_mariadb_makes_sql_of_a_name(world: SqlWorld) -> None:
    """Who writes values into statements has to know which mode is in force."""
    server = world.servers[MARIADB]
    before = state(server)
    usual = server.fetch("mysql", "SELECT @@GLOBAL.sql_mode")[0][0]
    try:
        for mode in ("NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,PIPES_AS_CONCAT"):
            server.execute("mysql", f"SET GLOBAL sql_mode = '{mode}'")
            server.stop()
            server.start()
            server.execute("mysql", f"SET GLOBAL sql_mode = '{mode}'")
            attack(world, domain_of(MARIADB))
            assert state(server) == before
            for user, password in USERS.items():
                assert check_password(world.daemon, jid(user, domain_of(MARIADB)), password) == YES
    finally:
        server.execute("mysql", f"SET GLOBAL sql_mode = '{usual}'")


@kinds
def test_a_query_that_writes_is_refused_where_the_account_could(world: SqlWorld, kind: str) -> None:
    server = world.servers[kind]
    alice = jid("alice", domain_of(kind, "writes"))
    assert server.fetch("site", "SELECT touch('by the administrator')") == [(1,)]
    assert check_password(world.daemon, alice, ALICE)[0] == CANNOT_TELL
    assert said(world.daemon, alice) == ("unavailable", "database_failed")
    assert "READ" in world.daemon.log.read_text().upper()
    assert server.fetch("site", "SELECT login FROM touched") == [("by the administrator",)]
    server.execute("site", "DELETE FROM touched")
