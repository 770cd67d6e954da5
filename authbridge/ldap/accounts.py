"""What entries say of their accounts where nothing is bound: whether each is disabled, or over.

Each function takes an entry and the time in seconds since the epoch, returns why the account may
not be used or None, and raises ValueError where that cannot be read: a guess would let somebody in,
or keep everybody out.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from authbridge.ldap.codec import Entry
from authbridge.model import Reason

SHADOW: Final = ("shadowExpire", "pwdEndTime")
NETSCAPE: Final = ("nsAccountLock", "krbPrincipalExpiration")

_DAY: Final = 86400
_TIME: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,]\d+)?Z")


def of_shadow(entry: Entry, now: float) -> Reason | None:
    """shadowExpire (RFC 2307) is in days, pwdEndTime a date; slapd enforces neither."""
    for value in entry.attributes.get(b"shadowexpire", ()):
        if 0 <= int(value) <= now // _DAY:  # -1 is never; 0 is how chage disables
            return Reason.ACCOUNT_EXPIRED
    return _over(entry, b"pwdendtime", now)


def of_netscape(entry: Entry, now: float) -> Reason | None:
    """nsAccountLock is what 389 Directory Server and FreeIPA disable an account by,
    krbPrincipalExpiration when FreeIPA ends one."""
    for value in entry.attributes.get(b"nsaccountlock", ()):
        if value.lower() == b"true":
            return Reason.ACCOUNT_DISABLED
    return _over(entry, b"krbprincipalexpiration", now)


def of_nobody(_entry: Entry, _now: float) -> Reason | None:
    """Where there is no such thing."""
    return None


def _over(entry: Entry, attribute: bytes, now: float) -> Reason | None:
    over = any(read_time(value) <= now for value in entry.attributes.get(attribute, ()))
    return Reason.ACCOUNT_EXPIRED if over else None


def read_time(value: bytes) -> float:
    """GeneralizedTime in UTC (RFC 4517, 3.3.13), in seconds since the epoch. Raises ValueError."""
    found = _TIME.fullmatch(value)
    if found is None:
        raise ValueError("no GeneralizedTime in UTC")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
