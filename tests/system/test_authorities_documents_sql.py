"""docs/authorities.md: its databases. The tables are made by the programs whose they are (Django,
PHP's functions as WordPress calls them), or as their sources have them (Prosody, ejabberd)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import argon2
import bcrypt
import pytest
from passlib.hash import phpass

from .authorities_examples import ORG, Documented, example, running
from .authorities_tables import django, wordpress_hashes
from .calls import NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret
from .mariadb import MariaDb
from .pki import Pki
from .postgresql import ADMIN, Postgresql

PASSWORDS = {name: secret(name) for name in ("alice", "bob", "carol", "dave", "o'brien")}
WRONG = secret("wrong-password")


def reason(daemon: Documented, jid: str, password: bytes) -> str:
    """Of a login that is not accepted."""
    assert check_password(daemon, jid, password) == NO
    verdict, found = said(daemon, jid)
    assert verdict == "rejected"
    return found


@pytest.fixture(scope="module")
def postgresql(workspace: Path, directory_pki: Pki) -> Iterator[Postgresql]:
    server = Postgresql(workspace / "documented-postgresql", directory_pki)
    server.start()
    yield server
    server.end()


@pytest.fixture(scope="module")
def mariadb(workspace: Path, directory_pki: Pki) -> Iterator[MariaDb]:
    server = MariaDb(workspace / "documented-mariadb", directory_pki)
    server.start()
    yield server
    server.end()


def granting(mark: str, password: bytes) -> str:
    """The documented statements, with that password."""
    shown = "a-long-password-of-its-own"
    text = example("sql", mark)
    assert text.count(shown) == 1
    return text.replace(shown, password.decode())


def test_documented_query_finds_members_in_sqlite(workspace: Path, directory_pki: Pki) -> None:
    """In the table that is shown."""
    folder = workspace / "documented-sqlite"
    folder.mkdir()
    path = folder / "site.sqlite3"
    hasher = argon2.PasswordHasher(1, 64, 1)
    with sqlite3.connect(path) as table:
        table.execute(example("sql", "CREATE TABLE"))
        rows = [
            ("alice", hasher.hash(PASSWORDS["alice"]), False, None),
            ("bob", bcrypt.hashpw(PASSWORDS["bob"], bcrypt.gensalt(4)).decode(), True, None),
            ("carol", hasher.hash(PASSWORDS["carol"]), False, "2020-01-01"),
            ("dave", None, False, "2100-01-01 00:00:00"),
            ("o'brien", hasher.hash(PASSWORDS["o'brien"]), False, "2100-01-01"),
        ]
        table.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", rows)
    table.close()
    text = example("toml", "FROM members")
    there = {"/srv/www/site.sqlite3": str(path)}
    daemon = Documented(folder, text, there, directory_pki.ca)
    with running(daemon):
        assert probe(daemon).returncode == 0
        assert check_password(daemon, f"alice@{ORG}", PASSWORDS["alice"]) == YES
        assert check_password(daemon, rf"o\27brien@{ORG}", PASSWORDS["o'brien"]) == YES
        assert reason(daemon, f"alice@{ORG}", WRONG) == "password_mismatch"
        assert reason(daemon, f"bob@{ORG}", PASSWORDS["bob"]) == "account_disabled"
        assert reason(daemon, f"bob@{ORG}", WRONG) == "password_mismatch"
        assert reason(daemon, f"carol@{ORG}", PASSWORDS["carol"]) == "account_expired"
        assert reason(daemon, f"dave@{ORG}", WRONG) == "password_unusable"
        assert reason(daemon, f"nobody@{ORG}", WRONG) == "user_unknown"
        assert user_exists(daemon, f"alice@{ORG}") == YES
        assert user_exists(daemon, f"nobody@{ORG}") == NO
        told = explain(daemon, f"alice@{ORG}", PASSWORDS["alice"])
        assert "argon2" in told.stdout


def test_documented_account_reads_djangos_table_on_postgresql(
    workspace: Path, directory_pki: Pki, postgresql: Postgresql
) -> None:
    """Django has made it; each of its hashers is known; the account has the documented rights."""
    own = secret("database")
    postgresql.make_database("site")
    place = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "site",
        "USER": ADMIN,
        "PASSWORD": postgresql.password.decode(),
        "HOST": str(postgresql.sockets),
        "PORT": str(postgresql.port),
    }
    hashers = ("pbkdf2_sha256", "scrypt", "argon2", "bcrypt_sha256")
    users = {f"user-{name}": (PASSWORDS["alice"], name, True) for name in hashers}
    users |= {
        "Carol": (PASSWORDS["carol"], "scrypt", True),
        "dave": (PASSWORDS["dave"], "scrypt", False),
        "erin": (None, "scrypt", True),
    }
    django(place, users)
    postgresql.execute("site", granting("CREATE ROLE", own))
    daemon = Documented(
        workspace / "documented-site", example("toml", "db.example.org/site"),
        {"db.example.org": f"localhost:{postgresql.port}"}, directory_pki.ca,
        database_password=own,
    )  # fmt: skip
    with running(daemon):
        assert probe(daemon).returncode == 0
        for name in hashers:
            jid = f"user-{name}@{ORG}"
            assert check_password(daemon, jid, PASSWORDS["alice"]) == YES, name
        assert reason(daemon, f"user-scrypt@{ORG}", WRONG) == "password_mismatch"
        assert reason(daemon, f"carol@{ORG}", PASSWORDS["carol"]) == "user_unknown"
        assert reason(daemon, f"dave@{ORG}", PASSWORDS["dave"]) == "account_disabled"
        assert reason(daemon, f"erin@{ORG}", WRONG) == "password_unusable"


def test_documented_account_reads_wordpresss_table_on_mariadb(
    workspace: Path, directory_pki: Pki, mariadb: MariaDb
) -> None:
    """With a password of each kind; a name that MariaDB takes for another is not another's."""
    own = secret("database")
    mariadb.make_database("wordpress")
    mariadb.execute("wordpress", _WP_USERS)
    fresh = wordpress_hashes(PASSWORDS["alice"], PASSWORDS["carol"])
    older = phpass.using(rounds=8).hash(PASSWORDS["bob"])
    rows = [("Alice", fresh[0]), ("bob", older), ("carol", fresh[1]), ("o'brien", fresh[0])]
    mariadb.execute(
        "wordpress", "INSERT INTO wp_users (user_login, user_pass) VALUES (%s, %s)", rows
    )
    mariadb.execute("wordpress", granting("CREATE USER", own))
    daemon = Documented(
        workspace / "documented-blog", example("toml", "[checkers.blog]"),
        {"db.example.org": f"localhost:{mariadb.port}"}, directory_pki.ca, database_password=own,
    )  # fmt: skip
    with running(daemon):
        assert probe(daemon).returncode == 0
        assert check_password(daemon, f"alice@{ORG}", PASSWORDS["alice"]) == YES
        assert check_password(daemon, f"bob@{ORG}", PASSWORDS["bob"]) == YES
        assert check_password(daemon, rf"o\27brien@{ORG}", PASSWORDS["alice"]) == YES
        assert reason(daemon, f"bob@{ORG}", WRONG) == "password_mismatch"
        assert reason(daemon, f"älice@{ORG}", PASSWORDS["alice"]) == "not_canonical"
        assert reason(daemon, f"nobody@{ORG}", WRONG) == "user_unknown"


def scram_keys(password: bytes, salt: bytes, rounds: int, digest: str) -> bytes:
    """StoredKey (RFC 5802, 3)."""
    salted = hashlib.pbkdf2_hmac(digest, password, salt, rounds)
    return hashlib.new(digest, hmac.digest(salted, b"Client Key", digest)).digest()


def test_documented_tables_of_xmpp_servers_are_read(
    workspace: Path, directory_pki: Pki, postgresql: Postgresql, mariadb: MariaDb
) -> None:
    """Over Unix sockets, with the keys of SCRAM as the servers write them."""
    folder = workspace / "documented-servers"
    own = secret("database")
    postgresql.make_database("prosody")
    postgresql.execute("prosody", _PROSODY)
    salt = "5f6f6b0e-11d7-4a3c-8f1f-1d2b1c2e7f10"
    key = scram_keys(PASSWORDS["alice"], salt.encode(), 10_000, "sha1").hex()
    values = {"salt": salt, "stored_key": key, "server_key": "00" * 20, "iteration_count": "10000"}
    postgresql.execute(
        "prosody", "INSERT INTO prosody VALUES ('prosody.example.org', 'alice', 'accounts', "
        "%s, %s, %s)",
        [(n, "number" if n == "iteration_count" else "string", v) for n, v in values.items()],
    )  # fmt: skip
    postgresql.execute(
        "prosody",
        f"CREATE ROLE reader LOGIN PASSWORD '{own.decode()}'; GRANT SELECT ON prosody TO reader",
    )
    mariadb.make_database("ejabberd")
    mariadb.execute("ejabberd", _EJABBERD)
    key = scram_keys(PASSWORDS["bob"], b"of the tests", 4096, "sha1")
    row = ("bob", base64.b64encode(key), "AA==", base64.b64encode(b"of the tests"), 4096)
    mariadb.execute(
        "ejabberd",
        "INSERT INTO users (username, password, serverkey, salt, iterationcount) "
        "VALUES (%s, %s, %s, %s, %s)",
        [row],
    )
    mariadb.execute(
        "ejabberd",
        f"CREATE USER reader@localhost IDENTIFIED BY '{own.decode()}';\n"
        "GRANT SELECT ON ejabberd.users TO reader@localhost;\n",
    )
    text = example("toml", "[checkers.prosody-users]")
    there = {
        "authbridge@": "reader@",
        "/run/postgresql": f"{postgresql.sockets}/.s.PGSQL.{postgresql.port}",
        "/run/mysqld/mysqld.sock": str(mariadb.socket),
    }
    daemon = Documented(folder, text, there, directory_pki.ca, database_password=own)
    prosody, ejabberd = "prosody.example.org", "ejabberd.example.org"
    with running(daemon):
        assert probe(daemon).returncode == 0
        assert check_password(daemon, f"alice@{prosody}", PASSWORDS["alice"]) == YES
        assert reason(daemon, f"alice@{prosody}", WRONG) == "password_mismatch"
        assert reason(daemon, f"bob@{prosody}", WRONG) == "user_unknown"
        assert check_password(daemon, f"bob@{ejabberd}", PASSWORDS["bob"]) == YES
        assert reason(daemon, f"bob@{ejabberd}", WRONG) == "password_mismatch"
        assert user_exists(daemon, f"bob@{ejabberd}") == YES


# wp-admin/includes/schema.php.
_WP_USERS = """
CREATE TABLE wp_users (
    ID bigint(20) unsigned NOT NULL auto_increment,
    user_login varchar(60) NOT NULL default '',
    user_pass varchar(255) NOT NULL default '',
    user_email varchar(100) NOT NULL default '',
    user_status int(11) NOT NULL default '0',
    PRIMARY KEY (ID),
    KEY user_login_key (user_login)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci
"""
# mod_storage_sql.lua.
_PROSODY = """
CREATE TABLE prosody (
    "host" TEXT NOT NULL, "user" TEXT NOT NULL, "store" TEXT, "key" TEXT, "type" TEXT, "value" TEXT
)
"""
# sql/mysql.sql.
_EJABBERD = """
CREATE TABLE users (
    username varchar(191) PRIMARY KEY,
    password text NOT NULL,
    serverkey varchar(128) NOT NULL DEFAULT '',
    salt varchar(128) NOT NULL DEFAULT '',
    iterationcount integer NOT NULL DEFAULT 0,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci
"""
