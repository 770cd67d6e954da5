"""What `check-config --probe` tells of a database beside its answer to the query."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sqlalchemy import Connection, text

from authbridge.printable import printable
from authbridge.sql.address import Dialect
from authbridge.sql.settings import SqlSettings

Step = tuple[str, str]

_MAY_WRITE = "SELECT, of the tables of the users alone, is all it needs"
_POSTGRESQL = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE')"""
_WRITES = re.compile(r"\b(ALL PRIVILEGES|INSERT|UPDATE|DELETE|SUPER)\b")


def look(connection: Connection, settings: SqlSettings) -> list[Step]:
    """The server, the encryption, and whether the account may write. Raises what SQLAlchemy
    raises."""
    looks = {
        Dialect.POSTGRESQL: _look_at_postgresql,
        Dialect.MYSQL: _look_at_mysql,
        Dialect.SQLITE: _look_at_sqlite,
    }
    return looks[settings.address.dialect](connection, settings)


def _look_at_postgresql(connection: Connection, _settings: SqlSettings) -> list[Step]:
    version = connection.execute(text("SHOW server_version")).scalar_one()
    encryption = connection.execute(
        text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
    ).scalar()
    tables = connection.execute(text(_POSTGRESQL)).scalar_one()
    return [
        ("server", f"PostgreSQL {_shown(version)}"),
        ("encryption", _encryption(encryption)),
        ("account", _account(f"to {tables} tables" if tables else "")),
    ]


def _look_at_mysql(connection: Connection, _settings: SqlSettings) -> list[Step]:
    version = connection.execute(text("SELECT VERSION()")).scalar_one()
    encryption = connection.execute(text("SHOW STATUS LIKE 'Ssl_version'")).one()[1]
    grants = [str(row[0]).partition(" ON ")[0] for row in connection.execute(text("SHOW GRANTS"))]
    found = dict.fromkeys(match[0] for one in grants for match in _WRITES.finditer(one))
    name = "MariaDB" if "MariaDB" in str(version) else "MySQL"
    return [
        ("server", f"{name} {_shown(version)}"),
        ("encryption", _encryption(encryption)),
        ("account", _account(f"({', '.join(found)})" if found else "")),
    ]


def _look_at_sqlite(connection: Connection, settings: SqlSettings) -> list[Step]:
    version = connection.execute(text("SELECT sqlite_version()")).scalar_one()
    file = settings.address.file or Path()
    writes = "to the file, which it opens for reading alone" if os.access(file, os.W_OK) else ""
    return [("server", f"SQLite {version}"), ("account", _account(writes))]


def _encryption(version: object) -> str:
    return _shown(version) if version else "none"


def _account(writes: str) -> str:
    if not writes:
        return "may read, and not write"
    return f"may write {writes}; {_MAY_WRITE}"


def _shown(value: object) -> str:
    return printable(str(value).encode("utf-8", "replace"))[:100]
