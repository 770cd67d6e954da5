"""What [checkers.NAME] with kind = "sql" says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from authbridge.client_tls import read_ca_file
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.sql import address, hashes, scram
from authbridge.sql.address import Address, Dialect
from authbridge.sql.presets import PRESETS, Preset
from authbridge.sql.query import Query, QueryMistake

TIMEOUT, AT_ONCE = 4.0, 8
_PREFIX = re.compile(r"[A-Za-z0-9_]{0,40}")
_STAND_IN = Query.parse("SELECT 1 WHERE 1 = :user")
_NOWHERE = Address(Dialect.SQLITE, file=Path("/"))


@dataclass(frozen=True, slots=True)
class SqlSettings:
    """[checkers.NAME] with kind = "sql"."""

    address: Address
    password: Secret | None
    ca_file: Path | None
    """Of the authorities that are trusted; None: those of the system."""
    encrypted: bool
    """Whether there is TLS, verified."""
    query: Query
    hashes: tuple[str, ...]
    """Kinds of hashes that are looked at; where several could be meant, the first."""
    salt_encoding: str
    timeout: float
    """Seconds, from the question to the answer."""
    at_once: int = AT_ONCE
    """Connections, and who may ask at once."""
    most_waiting: int = 1000


def read_settings(table: Table) -> SqlSettings:
    """Read the table, and close it."""
    where = _read_address(table)
    preset = PRESETS.get(table.choice("preset", PRESETS, next(iter(PRESETS))))
    if "preset" not in table or "preset" in table.mistaken:
        preset = None
    query = _read_query(table, preset, where.dialect)
    ca_file = read_ca_file(table)
    settings = SqlSettings(
        address=where,
        password=_read_password(table, where),
        ca_file=ca_file,
        encrypted=_read_encryption(table, where),
        query=query,
        hashes=_read_hashes(table, preset),
        salt_encoding=table.choice(
            "salt_encoding", scram.SALT_ENCODINGS, preset.salt_encoding if preset else "base64"
        ),
        timeout=table.duration("timeout", TIMEOUT, least=0.1, most=25.0),
        at_once=table.number("at_once", AT_ONCE, least=1, most=200),
    )
    table.close()
    return settings


def _read_address(table: Table) -> Address:
    url = table.text("url")
    if not url:
        return _NOWHERE
    try:
        return address.parse(url)
    except ValueError as mistake:
        table.wrong("url", str(mistake))
        return _NOWHERE


def _read_password(table: Table, where: Address) -> Secret | None:
    if where.dialect is Dialect.SQLITE and "url" not in table.mistaken:
        table.misplaced("password_file", "means nothing to SQLite, which has no users")
    table.knows("password_file")
    return table.secret_file("password_file") if "password_file" in table else None


def _read_encryption(table: Table, where: Address) -> bool:
    clear = table.boolean("insecure_clear_text", False)
    if "url" in table.mistaken:
        return False
    if where.dialect is Dialect.SQLITE or where.socket is not None:
        words = "means nothing where nothing goes over a network"
        table.misplaced("ca_file", words)
        table.misplaced("insecure_clear_text", words)
        return False
    if clear and "ca_file" in table:
        table.wrong("ca_file", "verifies nothing beside insecure_clear_text = true")
    if clear and where.local:
        table.wrong("insecure_clear_text", "is for other machines; to this one it is so anyway")
    # To this machine a password may go in clear text; a ca_file says that TLS is wanted.
    return not clear and (not where.local or "ca_file" in table)


def _read_query(table: Table, preset: Preset | None, dialect: Dialect) -> Query:
    prefix = _read_prefix(table, preset)
    if "query" in table:
        text = table.text("query")
    elif preset is not None:
        text = preset.query_for(dialect, prefix)
    elif "preset" in table:
        return _STAND_IN  # which has been said
    else:
        table.wrong("query", "is missing; or give a preset: " + ", ".join(map(repr, PRESETS)))
        text = ""
    table.knows("query")
    try:
        return Query.parse(text) if text else _STAND_IN
    except QueryMistake as mistake:
        table.wrong("query", str(mistake))
        return _STAND_IN


def _read_prefix(table: Table, preset: Preset | None) -> str:
    table.knows("table_prefix")
    if "table_prefix" not in table or "preset" in table.mistaken:
        return preset.prefix or "" if preset else ""
    if preset is None or preset.prefix is None:
        table.wrong(
            "table_prefix",
            "is for presets with such a prefix: "
            + ", ".join(name for name, one in PRESETS.items() if one.prefix is not None),
        )
        return ""
    if "query" in table:
        table.wrong("table_prefix", "means nothing beside query, which names its tables itself")
    prefix: object = table.data["table_prefix"]
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        table.wrong("table_prefix", "should be letters, digits and _, as in a table's name")
        return preset.prefix
    return prefix


def _read_hashes(table: Table, preset: Preset | None) -> tuple[str, ...]:
    table.knows("hashes")
    if "hashes" in table or preset is None:
        if "hashes" not in table and "preset" in table.mistaken:
            return ()
        kinds = table.some_texts("hashes", "names none; there is " + ", ".join(hashes.KINDS))
    else:
        kinds = preset.hashes
    for kind in kinds:
        if kind not in hashes.KINDS:
            table.wrong("hashes", f'"{kind}" is not known{did_you_mean(kind, hashes.KINDS)}')
    plain = table.boolean("insecure_plain_passwords", False)
    if hashes.PLAIN in kinds and not plain:
        table.wrong(
            "hashes",
            '"plain": who reads the table reads every password; insecure_plain_passwords = true '
            "is how to allow that",
        )
    elif plain and hashes.PLAIN not in kinds:
        table.wrong("insecure_plain_passwords", 'is for hashes that name "plain"')
    return kinds
