"""Users in a database: PostgreSQL, MariaDB and MySQL, SQLite.

What it needs beside authbridge is installed by its extra `sql`; without that, importing this room
says so.
"""

from importlib import import_module

LIBRARIES = ("sqlalchemy", "psycopg", "pymysql", "passlib", "argon2", "bcrypt")


def _missing() -> list[str]:
    absent = []
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            absent.append(name)
    return absent


if _absent := _missing():
    raise ImportError(
        f"{', '.join(_absent)} is missing; `pip install 'authbridge[sql]'` installs what it needs"
    )
