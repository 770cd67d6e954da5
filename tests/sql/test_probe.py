"""What the probe tells of a database."""

from __future__ import annotations

from authbridge.sql import probe
from tests.sql import tables

POSTGRESQL = "postgresql://b@127.0.0.1/d"
MYSQL = "mysql://b@127.0.0.1/d"


class Result:
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)

    def scalar(self):
        return self.rows[0][0] if self.rows else None

    def scalar_one(self):
        return self.rows[0][0]

    def one(self):
        return self.rows[0]


class Connection:
    """Answers by what is in a statement."""

    def __init__(self, **answers):
        self.answers = answers

    def execute(self, statement):
        return next(Result(rows) for word, rows in self.answers.items() if word in str(statement))


def look(tmp_path, url, **answers):
    data = {"url": url, "query": tables.QUERY, "hashes": ["bcrypt"]}
    return dict(probe.look(Connection(**answers), tables.read(tmp_path, data)[0]))


def test_postgresql_tells_its_version_the_encryption_and_the_rights(tmp_path):
    steps = look(
        tmp_path,
        POSTGRESQL,
        server_version=[("15.9 (Debian)\x1b",)],
        pg_stat_ssl=[("TLSv1.3",)],
        pg_class=[(0,)],
    )
    assert steps == {
        "server": "PostgreSQL 15.9 (Debian) ",
        "encryption": "TLSv1.3",
        "account": "may read, and not write",
    }
    steps = look(tmp_path, POSTGRESQL, server_version=[("15",)], pg_stat_ssl=[], pg_class=[(3,)])
    assert steps["encryption"] == "none"
    assert steps["account"].startswith("may write to 3 tables; SELECT, of the tables")


def test_mysql_tells_its_version_the_encryption_and_the_rights(tmp_path):
    assert look(
        tmp_path, MYSQL, VERSION=[("8.4.0",)], Ssl_version=[("x", "TLSv1.2")], GRANTS=[]
    ) == {"server": "MySQL 8.4.0", "encryption": "TLSv1.2", "account": "may read, and not write"}
    for grant, account in (
        ("GRANT SELECT ON `d`.`users` TO `b`@`%`", "may read, and not write"),
        ("GRANT SELECT ON `d`.* TO `INSERT`@`%`", "may read, and not write"),
        ("GRANT SELECT, INSERT, UPDATE ON `d`.* TO `b`@`%`", "may write (INSERT, UPDATE); SELECT"),
        ("GRANT ALL PRIVILEGES ON *.* TO `b`@`%`", "may write (ALL PRIVILEGES); SELECT"),
    ):
        steps = look(
            tmp_path,
            MYSQL,
            VERSION=[("10.11.6-MariaDB",)],
            Ssl_version=[("Ssl_version", "")],
            GRANTS=[("GRANT USAGE ON *.* TO `b`@`%` IDENTIFIED BY PASSWORD '*5'",), (grant,)],
        )
        assert steps["server"] == "MariaDB 10.11.6-MariaDB"
        assert steps["encryption"] == "none"
        assert steps["account"].startswith(account), grant
