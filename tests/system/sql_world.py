"""A PostgreSQL and a MariaDB with the tables of websites and XMPP servers, and a daemon that asks
them: a domain for each way of asking."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import passlib.hash

from .authorities_tables import django, wordpress_hashes
from .canary import secret
from .daemon import Daemon, write_private
from .mariadb import MariaDb
from .pki import Pki, make_pki
from .postgresql import Postgresql

Server = Postgresql | MariaDb

POSTGRESQL, MARIADB = "postgresql", "mariadb"
KINDS = (POSTGRESQL, MARIADB)

#: Users of the table `members`, whose query is the administrator's own.
USERS = {
    "alice": secret("wonderland"),
    "bob": secret("builder:with::colons"),
    "çelik": secret("pässwörd ✓ 密码"),
    "o'brien": secret("o'connor"),
    'quote"s': secret("'\";--\\"),
}
#: Users who may not log in, and why.
REFUSED = {
    "dora": (secret("disabled"), "account_disabled"),
    "lock": (secret("locked"), "account_locked"),
    "eve": (secret("expired"), "account_expired"),
    "null": (secret("unknown-flag"), "account_disabled"),
    "nopw": (secret("has-none"), "password_unusable"),
}
#: What Django, WordPress and Nextcloud have.
SITE_USERS = {name: secret(f"{name}-of-a-site") for name in ("anna", "björn", "cleo", "dan")}
HASHERS = ("pbkdf2_sha256", "scrypt", "argon2", "bcrypt_sha256")

_TABLE = """
CREATE TABLE members (id INTEGER PRIMARY KEY, login VARCHAR(200), hash VARCHAR(300),
    active {boolean}, blocked {boolean}, ends {time}){options};
CREATE TABLE oc_users (uid VARCHAR(64), displayname VARCHAR(64), password VARCHAR(255),
    uid_lower VARCHAR(64)){options};
CREATE TABLE oc_preferences (userid VARCHAR(64), appid VARCHAR(32), configkey VARCHAR(64),
    configvalue VARCHAR(500)){options};
CREATE TABLE wp_users (ID INTEGER, user_login VARCHAR(60), user_pass VARCHAR(255)){options};
CREATE TABLE touched (login VARCHAR(200)){options};
"""
QUERY = (
    "SELECT login AS username, hash AS password, active AS enabled, blocked AS locked,"
    " ends AS expires FROM members WHERE login = :user"
)
_INSERT = "INSERT INTO members VALUES (%s, %s, %s, %s, %s, %s)"
#: Of a login, with what its checkers wait for an answer.
PATIENT = '\n[authbridge]\ndeadline = "25s"\n'
BY_PRESET = {"query": None, "hashes": None}
HASHES = ["argon2", "bcrypt", "sha512-crypt"]

_TOUCH = {
    POSTGRESQL: """CREATE FUNCTION touch(name text) RETURNS integer LANGUAGE sql AS
        $$ INSERT INTO touched VALUES (name); SELECT 1 $$""",
    MARIADB: """CREATE FUNCTION touch(name VARCHAR(200)) RETURNS INTEGER MODIFIES SQL DATA
        BEGIN INSERT INTO touched VALUES (name); RETURN 1; END""",
}
_TYPES = {POSTGRESQL: ("boolean", "timestamp"), MARIADB: ("TINYINT(1)", "DATETIME")}
#: For much longer than any test waits.
_SLEEP = {POSTGRESQL: "pg_sleep(600) IS NOT NULL", MARIADB: "SLEEP(600) = 0"}


def jid(user: str, domain: str) -> str:
    """Of a user by the name that the tables have."""
    return f"{user}@{domain}".replace("'", "\\27").replace('"', "\\22")


def domain_of(kind: str, what: str = "members") -> str:
    """The domain of a way of asking a server."""
    return f"{what}.{kind}.example"


def _hash(password: bytes, turn: int) -> str:
    kinds = (
        passlib.hash.argon2.using(memory_cost=64, rounds=1, parallelism=1),
        passlib.hash.bcrypt.using(rounds=4),
        passlib.hash.sha512_crypt.using(rounds=1000),
    )
    return str(kinds[turn % 3].hash(password))


def _rows() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [
        (turn, name, _hash(password, turn), True, False, None)
        for turn, (name, password) in enumerate(USERS.items())
    ]
    for name, (password, _) in REFUSED.items():
        rows.append(
            (
                len(rows),
                name,
                "!" if name == "nopw" else _hash(password, len(rows)),
                {"dora": False, "null": None}.get(name, True),
                name == "lock",
                "2001-02-03 04:05:06" if name == "eve" else "2101-02-03 04:05:06",
            )
        )
    twice = _hash(secret("twice"), 0)
    rows += [(100 + turn, "twice", twice, True, False, None) for turn in range(2)]
    rows.append((200, "md5", "5f4dcc3b5aa765d61d8327deb882cf99", True, False, None))
    return rows


def _fill(server: Server, kind: str) -> None:
    options = "" if kind == POSTGRESQL else " CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
    boolean, time = _TYPES[kind]
    server.make_database("site")
    server.execute("site", _TABLE.format(boolean=boolean, time=time, options=options))
    server.execute("site", _TOUCH[kind])
    server.execute("site", _INSERT, _rows())
    names = list(SITE_USERS)
    wordpress = wordpress_hashes(*SITE_USERS.values())
    wordpress[-1] = passlib.hash.phpass.using(rounds=7).hash(SITE_USERS[names[-1]])
    server.execute(
        "site",
        "INSERT INTO wp_users VALUES (%s, %s, %s)",
        [(turn, name, wordpress[turn]) for turn, name in enumerate(names)],
    )
    cloud = ("3|{}", "2|{}", "1|{}", "3|{}")
    makers = (
        passlib.hash.argon2.using(memory_cost=64, rounds=1),
        passlib.hash.argon2.using(memory_cost=64, rounds=1, type="i"),
        passlib.hash.bcrypt.using(rounds=4),
        passlib.hash.argon2.using(memory_cost=64, rounds=1),
    )
    server.execute(
        "site",
        "INSERT INTO oc_users VALUES (%s, '', %s, %s)",
        [
            (name.capitalize(), cloud[turn].format(makers[turn].hash(SITE_USERS[name])), name)
            for turn, name in enumerate(names)
        ],
    )
    server.execute(
        "site",
        "INSERT INTO oc_preferences VALUES (%s, 'core', 'enabled', %s)",
        [(names[0].capitalize(), "true"), (names[3].capitalize(), "false")],
    )


def _make_latin1(server: Server, kind: str) -> None:
    """A database that cannot write every name."""
    if isinstance(server, Postgresql):
        server.execute(
            "postgres", "CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )
    else:
        server.execute("mysql", "CREATE DATABASE latin1 CHARACTER SET latin1")
    boolean, time = _TYPES[kind]
    table = _TABLE.partition(";\n")[0].format(boolean=boolean, time=time, options="")
    server.execute("latin1", table)
    rows = [row for row in _rows() if str(row[1]) in ("alice", "çelik")]
    server.execute("latin1", _INSERT, rows)


def _grant(server: Server, kind: str) -> dict[str, Path]:
    """The reader, who may read, and the writer, who may do anything; their passwords' files."""
    files = {name: server.make_user(name) for name in ("reader", "writer")}
    if kind == POSTGRESQL:
        server.execute(
            "site",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO writer",
        )
        server.execute("latin1", "GRANT SELECT ON members TO reader")
    else:
        for grant in ("SELECT ON site.* TO reader", "SELECT ON latin1.* TO reader"):
            server.execute("site", f"GRANT {grant}@'%'")
        server.execute("site", "GRANT ALL ON site.* TO writer@'%'")
    return files


def _toml(settings: Mapping[str, object]) -> str:
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False, default=str)}\n"
        for key, value in settings.items()
        if value is not None
    )


def domain(name: str, settings: Mapping[str, object]) -> str:
    """A domain, and the one checker that it asks."""
    checker = name.replace(".", "-")
    return (
        f'\n[domains."{name}"]\ncheck = ["{checker}"]\n'
        f'\n[checkers.{checker}]\nkind = "sql"\n{_toml(settings)}'
    )


def _ways(
    server: Server, kind: str, files: Mapping[str, Path], ca: Path, strangers: Path
) -> dict[str, dict[str, object]]:
    """Settings of each way to ask, by what its domain's name begins with."""
    usual: dict[str, object] = {
        "url": server.url("site", "reader"),
        "password_file": files["reader"],
        "ca_file": ca,
        "query": QUERY,
        "hashes": HASHES,
        # A machine that is busy elsewhere is no outage.
        "timeout": "20s",
        "at_once": 3,
    }
    by_preset = {**usual, **BY_PRESET}
    socket = server.sockets if isinstance(server, Postgresql) else server.socket
    if isinstance(server, Postgresql):
        socket = socket / f".s.PGSQL.{server.port}"
    writer = {"url": server.url("site", "writer"), "password_file": files["writer"]}
    slow = f"{QUERY} AND (login <> 'alice' OR {_SLEEP[kind]})"
    return {
        "members": usual,
        # For outages in which nothing answers.
        "hasty": {**usual, "timeout": "1s"},
        "wordpress": {**by_preset, "preset": "wordpress"},
        "nextcloud": {**by_preset, "preset": "nextcloud"},
        "clear": {**usual, "url": server.url("site", "reader", host="127.0.0.1"), "ca_file": None},
        "socket": {
            **usual,
            "url": f"{kind}://reader@/site?socket={socket}",
            "ca_file": None,
        },
        "strangers": {**usual, "ca_file": strangers},
        "another-name": {**usual, "url": server.url("site", "reader", host="127.0.0.1")},
        "wrong-password": {**usual, "password_file": files["wrong"]},
        "no-such-database": {**usual, "url": server.url("nowhere", "reader")},
        "no-such-table": {**usual, "query": QUERY.replace("members", "nowhere")},
        "wrong-column": {**usual, "query": QUERY.replace("AS locked", "AS loked")},
        "no-text": {**usual, "query": QUERY.replace("hash AS", "id AS")},
        "no-flag": {**usual, "query": QUERY.replace("active AS", "login AS")},
        "writes": {**usual, **writer, "query": f"{QUERY} AND touch(:user) = 1"},
        "slow": {**usual, "query": slow, "timeout": "2s"},
        "latin1": {**usual, "url": server.url("latin1", "reader")},
    }


@dataclass(frozen=True)
class SqlWorld:
    """All of it, running."""

    servers: Mapping[str, Server]
    daemon: Daemon
    pki: Pki
    strangers: Pki
    """Of the same names, by an authority that nobody trusts but the domains `strangers`."""

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        for server in self.servers.values():
            server.restore()
        self.daemon.restore()


@contextmanager
def running(folder: Path) -> Iterator[SqlWorld]:
    """All of it, as long as the block runs."""
    pki = make_pki(folder / "tls", ["localhost"])
    strangers = make_pki(folder / "strangers-tls", ["localhost"], authority="of strangers")
    servers: dict[str, Server] = {}
    domains: dict[str, str] = {}
    with ExitStack() as ends:
        for kind, make in ((POSTGRESQL, Postgresql), (MARIADB, MariaDb)):
            server = servers[kind] = make(folder / kind, pki)
            server.start()
            ends.callback(server.end)
            ends.callback(server.restore)
            _fill(server, kind)
            _make_latin1(server, kind)
            files = _grant(server, kind)
            files["wrong"] = folder / f"{kind}.wrong"
            write_private(files["wrong"], secret("no-password-of-the-database"))
            ways = _ways(server, kind, files, pki.ca, strangers.ca)
            for preset in ("ejabberd", "prosody"):
                url = server.url(preset, "reader")
                ways[preset] = {**ways["members"], **BY_PRESET, "preset": preset, "url": url}
            for what, settings in ways.items():
                name = domain_of(kind, what)
                domains[name] = domain(name, settings)
        _make_django(servers[POSTGRESQL])
        name = domain_of(POSTGRESQL, "django")
        domains[name] = domain(
            name,
            {
                "url": servers[POSTGRESQL].url("django", "reader"),
                "password_file": folder / POSTGRESQL / "reader.password",
                "ca_file": pki.ca,
                "preset": "django",
            },
        )
        domains[name] += PATIENT
        daemon = Daemon(folder / "daemon", (), others=domains)
        daemon.start()
        ends.callback(daemon.stop)
        ends.callback(daemon.restore)
        yield SqlWorld(servers, daemon, pki, strangers)


def _make_django(server: Server) -> None:
    assert isinstance(server, Postgresql)
    server.make_database("django")
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "django",
        "USER": "tests",
        "PASSWORD": server.password.decode(),
        "HOST": str(server.sockets),
        "PORT": server.port,
    }
    users = {
        name: (SITE_USERS[name], hasher, name != "dan")
        for name, hasher in zip(SITE_USERS, HASHERS, strict=True)
    }
    django(database, {**users, "nopw": (None, "pbkdf2_sha256", True)})
    server.execute("django", "GRANT SELECT ON auth_user TO reader")
