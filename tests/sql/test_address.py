"""Where a database is."""

from __future__ import annotations

from pathlib import Path

import pytest

from authbridge.sql.address import Address, Dialect, parse

PG, MY = Dialect.POSTGRESQL, Dialect.MYSQL


def test_an_url_names_a_server_a_user_and_a_database():
    for url, found in (
        (
            "postgresql://bridge@db.example.org/site",
            Address(PG, "bridge", "db.example.org", 5432, "site"),
        ),
        ("postgres://b@[::1]:6000/s", Address(PG, "b", "::1", 6000, "s")),
        ("mysql://b%40x@127.0.0.1/a%2Fb", Address(MY, "b@x", "127.0.0.1", 3306, "a/b")),
        ("mariadb://b@müller.example/s", Address(MY, "b", "xn--mller-kva.example", 3306, "s")),
        (
            "mysql://b@/s?socket=/run/m/m.sock",
            Address(MY, "b", "", 3306, "s", Path("/run/m/m.sock")),
        ),
        ("postgresql://b@/s?socket=/run/pg", Address(PG, "b", "", 5432, "s", Path("/run/pg"))),
        (
            "postgresql://b@/s?socket=/run/pg/.s.PGSQL.5433",
            Address(PG, "b", "", 5433, "s", Path("/run/pg")),
        ),
        ("sqlite:///var/lib/a%20b", Address(Dialect.SQLITE, file=Path("/var/lib/a b"))),
        ("sqlite:////var/lib/ab", Address(Dialect.SQLITE, file=Path("/var/lib/ab"))),
    ):
        assert parse(url) == found
        if ".s.PGSQL" not in url:
            assert parse(str(found)) == found


def test_what_is_said_to_this_machine_is_known():
    for url, local in (
        ("mysql://b@localhost/s", True),
        ("mysql://b@[::1]/s", True),
        ("mysql://b@/s?socket=/x", True),
        ("sqlite:///x", True),
        ("mysql://b@db/s", False),
    ):
        assert parse(url).local is local


def test_a_mistake_is_said_and_nothing_of_the_url_repeated():
    for url, words in (
        ("site.sqlite3", "should be postgresql://"),
        ("oracle://b@h/d", "should be postgresql://"),
        ("postgresql+psycopg2://b@h/d", "names a driver"),
        ("mysql://b:hunter2@h/d", "password_file"),
        ("mysql://h/hunter2", "names no user"),
        ("mysql://b@h/", "names no database"),
        ("mysql://b@h:99999999/d", "cannot be read"),
        ("mysql://b@[::1/d", "cannot be read"),
        ("mysql://b@h:0/d", "port that there is not"),
        ("mysql://b@/d", "names no host"),
        ("mysql://b@h_-/d", "names no host"),
        ("mysql://b@" + "x" * 70 + "/d", "names no host"),
        ("mysql://b@h/d?ssl=0", "one: ?socket=/PATH"),
        ("mysql://b@/d?socket=/x&ssl=0", "one: ?socket=/PATH"),
        ("mysql://b@/d?socket=x", "one: ?socket=/PATH"),
        ("mysql://b@h/d?socket=/x", "a host and a socket"),
        ("mysql://b@/d?socket=/x%00", "NUL"),
        ("mysql://b@h/d%00", "NUL"),
        ("mysql://b@h/d#x", "behind #"),
        ("sqlite:///x?mode=rw", "options behind"),
        ("sqlite://x", "absolute path"),
        ("sqlite:///x%00", "NUL"),
    ):
        with pytest.raises(ValueError) as raised:
            parse(url)
        assert words in str(raised.value), url
        assert "hunter2" not in str(raised.value)


def test_names_are_quoted_as_each_dialect_has_it():
    assert (PG.quote, Dialect.SQLITE.quote, MY.quote) == ('"', '"', "`")
