"""Connections to each kind of database."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

import psycopg
import pymysql
import pytest

from authbridge.sql import drivers
from authbridge.sql.drivers import Line, Made, _Hexadecimal
from authbridge.sql.faults import Fault, unreachable
from tests.ldap.certificates import Authority
from tests.sql import tables


@pytest.fixture
def read(tmp_path):
    (tmp_path / "ca.pem").write_bytes(Authority("tables").pem)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hünter2\n")

    def reading(url, **more):
        data = {"url": url, "query": tables.QUERY, "hashes": ["bcrypt"], "timeout": "1500ms"}
        found, mistakes = tables.read(tmp_path, {**data, **more})
        assert mistakes == []
        return found

    return reading


class Postgres:
    """Stands for psycopg's connection."""

    def __init__(self):
        self.near, self.far = socket.socketpair()
        self.asked = None
        self.said = []
        self.refuses = False
        self.closed = False

    def connect(self, **arguments):
        self.asked = arguments
        return self

    def fileno(self):
        return self.near.fileno()

    def execute(self, statement):
        if self.refuses:
            raise psycopg.OperationalError("no")
        self.said.append(statement)

    def close(self):
        self.closed = True
        self.near.close()
        raise OSError

    def end(self):
        self.near.close()
        self.far.close()


@pytest.fixture
def postgres(monkeypatch):
    one = Postgres()
    monkeypatch.setattr(psycopg, "connect", one.connect)
    yield one
    one.end()


def test_postgresql_is_verified_and_for_reading_alone(read, postgres, tmp_path):
    settings = read(
        "postgresql://bridge@db.example.org:5433/site", ca_file="ca.pem", password_file="secret"
    )
    cuts = []
    made = drivers.connect(settings, cuts.append)
    assert postgres.asked == {
        "host": "db.example.org",
        "port": 5433,
        "user": "bridge",
        "password": "hünter2",
        "dbname": "site",
        "connect_timeout": 2,
        "sslmode": "verify-full",
        "sslrootcert": str(tmp_path / "ca.pem"),
        "gssencmode": "disable",
        "client_encoding": "UTF8",
        "application_name": "authbridge",
        "autocommit": True,
        "prepare_threshold": None,
    }
    assert postgres.said == [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        b"SET statement_timeout = 1500",
    ]
    assert cuts == [made.cut]
    made.cut()
    assert postgres.far.recv(1) == b""
    made.close()
    assert postgres.closed
    made.cut()  # in vain


def test_postgresql_on_this_machine_is_not_encrypted(read, postgres):
    for url, host in (
        ("postgresql://b@127.0.0.1/d", "127.0.0.1"),
        ("postgresql://b@/d?socket=/run/postgresql", "/run/postgresql"),
    ):
        drivers.connect(read(url), lambda _cut: None).forget()
        asked = postgres.asked
        assert (asked["host"], asked["sslmode"], asked["password"]) == (host, "disable", None)


def test_a_connection_that_cannot_be_set_up_or_is_not_waited_for_is_closed(read, postgres):
    settings = read("postgresql://b@127.0.0.1/d")
    postgres.refuses = True
    with pytest.raises(psycopg.OperationalError):
        drivers.connect(settings, lambda _cut: None)
    assert postgres.closed


def given_up(_cut):
    raise unreachable("was given up")


def test_authorities_of_the_system_are_in_a_file_that_is_found(
    read, postgres, tmp_path, monkeypatch
):
    there = tmp_path / "ca.pem"
    settings = read("postgresql://b@db/d")
    monkeypatch.setattr(drivers, "BUNDLES", ("/nowhere", str(there)))
    drivers.connect(settings, lambda _cut: None).forget()
    assert postgres.asked["sslrootcert"] == str(there)
    monkeypatch.setattr(drivers, "BUNDLES", ("/nowhere",))
    with pytest.raises(Fault, match="give ca_file"):
        drivers.connect(settings, lambda _cut: None)


def test_a_password_that_is_no_text_is_told(read, postgres, tmp_path):
    (tmp_path / "secret").write_bytes(b"\xff")
    settings = read("postgresql://b@127.0.0.1/d", password_file="secret")
    with pytest.raises(Fault, match="is not UTF-8"):
        drivers.connect(settings, lambda _cut: None)


class MySql:
    """Stands for PyMySQL's talk, over a socket that is there."""

    def __init__(self, monkeypatch, version):
        self.version = version
        self.said = []
        self.plug = None
        self.error = None
        self.connection = None
        me = self

        class Cursor:
            def __enter__(self):
                return self

            def __exit__(self, *_arguments):
                pass

            def execute(self, statement):
                me.said.append(statement)

        def connect(connection, plug):
            me.connection, me.plug = connection, plug
            if me.error is not None:
                raise me.error
            connection._sock = plug

        monkeypatch.setattr(_Hexadecimal, "connect", connect)
        monkeypatch.setattr(_Hexadecimal, "get_server_info", lambda _: me.version)
        monkeypatch.setattr(_Hexadecimal, "cursor", lambda _: Cursor())
        monkeypatch.setattr(_Hexadecimal, "close", lambda one: one._sock and one._sock.close())


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_mysql_and_mariadb_are_for_reading_alone_and_stop_in_time(read, listening, monkeypatch):
    for version, limit in (
        ("8.4.0", "SET SESSION max_execution_time = 1500"),
        ("5.5.5-10.11.6-MariaDB", "SET SESSION max_statement_time = 1.500000"),
    ):
        fake = MySql(monkeypatch, version)
        cuts = []
        port = listening.getsockname()[1]
        made = drivers.connect(
            read(f"mysql://b@127.0.0.1:{port}/d", password_file="secret"), cuts.append
        )
        far, _ = listening.accept()
        assert fake.said == ["SET SESSION TRANSACTION READ ONLY", limit]
        assert fake.connection.password == "hünter2".encode()
        assert not fake.connection.ssl
        assert not fake.connection._local_infile
        assert cuts == [made.cut]
        made.cut()
        assert far.recv(1) == b""
        made.close()
        far.close()


def test_mysql_is_verified(read, listening, monkeypatch):
    fake = MySql(monkeypatch, "8.4.0")
    url = f"mysql://b@localhost:{listening.getsockname()[1]}/d"
    made = drivers.connect(read(url, ca_file="ca.pem"), lambda _cut: None)
    context = fake.connection.ctx
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert fake.connection._ssl_required
    assert len(context.get_ca_certs()) == 1
    assert fake.connection.password == b""
    made.close()


def test_authorities_of_the_system_verify_mysql_without_a_ca_file(read):
    assert len(drivers._context(None).get_ca_certs()) != 1


def test_mysql_on_a_unix_socket(read, tmp_path, monkeypatch):
    fake = MySql(monkeypatch, "8.4.0")
    url = f"mysql://b@/d?socket={tmp_path}/m.sock"
    with pytest.raises(FileNotFoundError):
        drivers.connect(read(url), lambda _cut: None)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "m.sock"))
        server.listen()
        made = drivers.connect(read(url), lambda _cut: None)
    assert fake.plug.family is socket.AF_UNIX
    made.close()


def test_what_mysql_refuses_or_nobody_waits_for_leaves_nothing_open(read, listening, monkeypatch):
    fake = MySql(monkeypatch, "8.4.0")
    settings = read(f"mysql://b@127.0.0.1:{listening.getsockname()[1]}/d")
    fake.error = IndexError()
    with pytest.raises(IndexError):
        drivers.connect(settings, lambda _cut: None)
    assert fake.plug.fileno() == -1
    fake.plug = None
    with pytest.raises(Fault):
        drivers.connect(settings, given_up)
    assert fake.plug is None


def test_mysql_is_tried_at_each_of_its_addresses(read, listening, monkeypatch):
    MySql(monkeypatch, "8.4.0")
    port = listening.getsockname()[1]
    settings = read(f"mysql://b@localhost:{port}/d")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        refused = taken.getsockname()
        here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        nowhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", refused)
        found = [nowhere, here]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        cuts = []
        made = drivers.connect(settings, cuts.append)
        assert len(cuts) == 2
        assert cuts[-1] == made.cut
        cuts[0]()  # in vain
        made.close()
        found.remove(here)
        with pytest.raises(ConnectionRefusedError):
            drivers.connect(settings, cuts.append)


def silent(server):
    """Where it listens, nobody is let in any more: what asks to be connected hears nothing."""
    held = []
    server.listen(0)
    for _ in range(3):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        held.append(one)
    return held


@pytest.mark.parametrize("when", ["before", "while"])
def test_mysql_that_does_not_let_us_connect_can_be_cut(read, when):
    """Whether the cut comes before the wait or in it."""
    with socket.socket() as server, contextlib.ExitStack() as ends:
        server.bind(("127.0.0.1", 0))
        for one in silent(server):
            ends.enter_context(one)
        settings = read(f"mysql://b@127.0.0.1:{server.getsockname()[1]}/d", timeout="25s")

        def opened(cut):
            if when == "before":
                cut()
                return
            timer = threading.Timer(0.2, cut)
            timer.start()
            ends.callback(timer.join)

        begun = time.monotonic()
        with pytest.raises((OSError, pymysql.err.OperationalError)):
            drivers.connect(settings, opened)
        assert time.monotonic() - begun < 20


def test_a_name_goes_to_mysql_in_hexadecimal():
    connection = _Hexadecimal(defer_connect=True)
    assert connection.escape("o'brien\\") == "_utf8mb4 X'6f27627269656e5c'"
    assert connection.escape("") == "_utf8mb4 X''"
    for value in (7, b"x", ["x"], None):
        with pytest.raises(TypeError):
            connection.escape(value)


def test_sqlite_is_opened_for_reading_alone(read, tmp_path):
    path = tables.make(tmp_path, "CREATE TABLE users (a)")
    odd = path.rename(tmp_path / "a?b#c%20d")
    settings = read(
        "sqlite://" + str(odd).replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    )
    made = drivers.connect(settings, lambda _cut: None)
    assert made.raw.execute("SELECT count(*) FROM users").fetchone() == (0,)
    assert made.raw.execute("PRAGMA query_only").fetchone() == (1,)
    made.cut()
    made.close()
    made.cut()  # in vain
    with pytest.raises(Fault):
        drivers.connect(settings, given_up)


def test_a_line_is_cut_and_closed_whatever_became_of_it():
    near, far = socket.socketpair()
    line = Line(near.fileno())
    near.close()
    line.cut()
    assert far.recv(1) == b""
    far.close()
    line.close()
    line.cut()


def test_what_cannot_be_closed_is_forgotten_all_the_same():
    forgotten = []
    Made(None, lambda: None, lambda: forgotten.append(True)).close()
    assert forgotten == [True]
