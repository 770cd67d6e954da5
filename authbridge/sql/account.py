"""What a row of the query's answer says of a user."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from authbridge.model import Reason
from authbridge.settings import did_you_mean
from authbridge.sql import hashes, scram
from authbridge.sql.faults import Fault, failed
from authbridge.sql.hashes import Stored
from authbridge.sql.scram import ScramKeys

USERNAME, PASSWORD, STORED_KEY = "username", "password", "stored_key"
SALT, ITERATIONS = "salt", "iterations"
ENABLED, DISABLED, LOCKED, EXPIRES = "enabled", "disabled", "locked", "expires"
DOMAIN = "domain"
COLUMNS = (
    USERNAME, DOMAIN, PASSWORD, STORED_KEY, SALT, ITERATIONS, ENABLED, DISABLED, LOCKED, EXPIRES,
)  # fmt: skip
_BITS = {b"\0": False, b"\1": True}
"""MySQL's BIT(1)."""
_LATEST = 253_402_300_800
"""Seconds since the epoch at the end of the year 9999; more are milliseconds, by mistake."""


@dataclass(frozen=True, slots=True)
class Account:
    """One row."""

    username: str
    domain: str | None
    """None where the query does not answer with it."""
    password: str | None = field(repr=False)
    """None where there is none, or SCRAM's keys in its place."""
    keys: tuple[Any, Any, Any] | None = field(repr=False)
    """SCRAM's stored key, salt and iterations, as they are stored."""
    refusal: Reason | None
    """Why nobody may use the account now, whatever the password."""

    def stored(self, kinds: Sequence[str], salt_encoding: str) -> Stored | None:
        """What is stored of its password; None where no password could be right. Raises Fault."""
        try:
            if self.keys is not None:
                return _keys(self.keys, kinds, salt_encoding)
            # Blanks around a password in plain text are its own, and so is a mark before it.
            hashed = any(kind in hashes.FORMS for kind in kinds)
            text = self.password or ""
            text = text if hashes.PLAIN in kinds else text.strip()
            if not text or (hashed and text.startswith(hashes.UNUSABLE)):
                return None
            return hashes.read(text, kinds)
        except scram.Unfit as error:
            raise Fault(Reason.HASH_UNKNOWN, f"a row of SCRAM: {error}") from None
        except hashes.Unfit as error:
            raise Fault(Reason.HASH_UNKNOWN, f"a stored password {error}") from None


def _keys(stored: tuple[Any, Any, Any], kinds: Sequence[str], salt_encoding: str) -> ScramKeys:
    found = scram.read(*stored, salt_encoding)
    if found.kind not in kinds:
        raise hashes.Unfit(f"is {found.kind}, which is none of `hashes`")
    return found


def check_columns(names: Sequence[str], *, by_domain: bool = False) -> None:
    """Whether the columns of an answer, in lower case, are what a user can be known by; `by_domain`
    as in Query. Raises Fault."""
    for name in names:
        if name not in COLUMNS:
            raise failed(
                f"the query answers with a column {name!r}, which means nothing here"
                f"{did_you_mean(name, COLUMNS)}; AS gives a column another name"
            )
        if names.count(name) > 1:
            raise failed(f"the query answers with two columns {name}")
    if USERNAME not in names:
        raise failed(f"the query answers without a column {USERNAME}")
    if by_domain and DOMAIN not in names:
        raise failed(f"the query asks by :{DOMAIN}, and answers without a column {DOMAIN}")
    if STORED_KEY in names:
        for name in (SALT, ITERATIONS):
            if name not in names:
                raise failed(f"the query answers with {STORED_KEY} and without {name}")
    elif PASSWORD not in names:
        raise failed(f"the query answers with neither {PASSWORD} nor {STORED_KEY}")


def read(row: Mapping[str, Any], now: float) -> Account:
    """From a row, of which the columns are known to be right; `now` is in seconds since the epoch.
    Raises Fault."""
    username, domain = _text(row, USERNAME), _text(row, DOMAIN)
    if username is None or (domain is None and DOMAIN in row):
        raise failed(f"{USERNAME if username is None else DOMAIN} of a row is NULL")
    keys = None
    if row.get(STORED_KEY) not in (None, "", b""):
        keys = (row[STORED_KEY], row[SALT], row[ITERATIONS])
    return Account(username, domain, _text(row, PASSWORD), keys, _refusal(row, now))


def _refusal(row: Mapping[str, Any], now: float) -> Reason | None:
    """A flag that is NULL refuses: whether the account may be used is not known. A date that is
    NULL is the end of nothing."""
    if (ENABLED in row and _flag(row, ENABLED) is not True) or (
        DISABLED in row and _flag(row, DISABLED) is not False
    ):
        return Reason.ACCOUNT_DISABLED
    if LOCKED in row and _flag(row, LOCKED) is not False:
        return Reason.ACCOUNT_LOCKED
    expires = _seconds(row.get(EXPIRES))
    return Reason.ACCOUNT_EXPIRED if expires is not None and expires <= now else None


def _text(row: Mapping[str, Any], column: str) -> str | None:
    value = row.get(column)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise failed(f"{column} of a row is not UTF-8") from None
    if value is not None and not isinstance(value, str):
        raise failed(f"{column} of a row is no text; CAST makes one of it")
    return value


def _flag(row: Mapping[str, Any], column: str) -> bool | None:
    value = row[column]
    if isinstance(value, bytes):
        value = _BITS.get(value, value)
    if value is None:
        return None
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    raise failed(f"{column} of a row is neither true nor false; compare it in the query")


def _seconds(value: Any) -> float | None:
    """Since the epoch. A time without its zone is UTC's."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise failed(f"{EXPIRES} of a row is no time that can be read") from None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).timestamp()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise failed(f"{EXPIRES} of a row is neither a time nor seconds since the epoch")
    try:
        seconds = float(value)
    except (OverflowError, ValueError):  # ValueError: a Decimal that signals
        seconds = math.nan
    if not seconds < _LATEST:
        raise failed(f"{EXPIRES} of a row is no number of seconds; NULL is never")
    return seconds
