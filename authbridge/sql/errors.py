"""What the errors of a database mean, by the codes that it gives them."""

from __future__ import annotations

from sqlalchemy import exc

from authbridge.sql.faults import said

_ENDED = (
    *("57P01", "57P02", "57P03"),  # PostgreSQL's admin_shutdown, crash_shutdown, cannot_connect_now
    *(1053, 1077, 1079, 1927),  # MySQL's and MariaDB's: shut down, killed
)
_TOO_LATE = ("57014", 1969, 3024)
"""PostgreSQL's query_canceled; MariaDB's and MySQL's of a query that has had all of its time."""
_BUSY = 5
"""SQLite's, of a lock that somebody else has held for all of that time; in the lowest octet."""
_NO_SUCH_TEXT = ("22021", "22P05")
"""PostgreSQL's, of a name that the database's character set cannot write."""
_MIX_OF_COLLATIONS, _OF_A_VALUE = 1267, "COERCIBLE"
"""MySQL's of the same, where one of both is a value and not a column."""
_OF_DATA = (1105, 1292, 1366, 1411, 1690)
"""MySQL's, of a value that is no number, no time, no XML; PyMySQL has no DataError for them."""
_NO_TEXT = "Could not decode to UTF-8"
"""SQLite's, of a text in a row."""


def original(error: exc.DBAPIError) -> BaseException:
    """What the database's library has raised."""
    return error.orig or error


def _is_one(error: exc.DBAPIError, codes: tuple[object, ...]) -> bool:
    """Whether it has one of these: PostgreSQL's SQLSTATEs, or MySQL's numbers, which tell more than
    the SQLSTATE beside them."""
    cause = original(error)
    number = cause.args[0] if cause.args else None
    return number in codes or getattr(cause, "sqlstate", None) in codes


def is_of_name(error: exc.DBAPIError) -> bool:
    """Whether the database cannot write the name that is asked for, and so has nobody of it."""
    mix = _is_one(error, (_MIX_OF_COLLATIONS,)) and _OF_A_VALUE in said(original(error))
    return mix or _is_one(error, _NO_SUCH_TEXT)


def is_of_data(error: exc.DBAPIError) -> bool:
    """Whether it is about a value in a row, which its words may repeat."""
    text = str(original(error))
    return isinstance(error, exc.DataError) or _is_one(error, _OF_DATA) or text.startswith(_NO_TEXT)


def ended(error: exc.DBAPIError) -> bool:
    """Whether a server tells that it has ended the connection."""
    return _is_one(error, _ENDED)


def is_too_late(error: exc.DBAPIError) -> bool:
    """Whether the database has ended the query itself. It has as much time there as we wait for
    it: which of both ends it is chance."""
    busy = getattr(original(error), "sqlite_errorcode", 0) & 0xFF == _BUSY
    return busy or _is_one(error, _TOO_LATE)
