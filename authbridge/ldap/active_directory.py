"""What is Active Directory's own: sub-codes of a refused bind, dates, security identifiers, how a
password is written. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from authbridge.ldap import codec
from authbridge.ldap.codec import Entry, Result
from authbridge.ldap.faults import Fault
from authbridge.model import PASSWORD_MISMATCH, USER_UNKNOWN, Outcome, Reason, rejected

IN_CHAIN: Final = "1.2.840.113556.1.4.1941"
"""LDAP_MATCHING_RULE_IN_CHAIN ([MS-ADTS] 3.1.1.3.4.4.3): follows a link through all its levels."""
DISABLED: Final = 0x2
"""ADS_UF_ACCOUNTDISABLE of userAccountControl ([MS-ADTS] 2.2.16)."""
NO_LOGON_SERVERS: Final = 0x51F
"""ERROR_NO_LOGON_SERVERS, instead of an answer from another domain's controllers."""
NEVER: Final = (0, 0x7FFFFFFFFFFFFFFF)
"""What accountExpires has where an account does not expire."""

_1601: Final = 11_644_473_600
"""Seconds from 1601 to 1970."""
_TICKS: Final = 10_000_000
"""In a second."""

# As in 80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1
_SUB_CODE: Final = re.compile(rb"AcceptSecurityContext error, data ([0-9a-fA-F]{1,8})\b")

# Windows' system error codes ([MS-ERREF] 2.2), in hexadecimal as the text has them.
_OUTCOMES: Final = {
    0x525: USER_UNKNOWN,  # ERROR_NO_SUCH_USER
    0x52E: PASSWORD_MISMATCH,  # ERROR_LOGON_FAILURE
    0x530: rejected(Reason.LOGON_HOURS),  # ERROR_INVALID_LOGON_HOURS
    0x531: rejected(Reason.LOGON_WORKSTATION),  # ERROR_INVALID_WORKSTATION
    0x532: rejected(Reason.PASSWORD_EXPIRED),  # ERROR_PASSWORD_EXPIRED
    0x533: rejected(Reason.ACCOUNT_DISABLED),  # ERROR_ACCOUNT_DISABLED
    0x701: rejected(Reason.ACCOUNT_EXPIRED),  # ERROR_ACCOUNT_EXPIRED
    0x773: rejected(Reason.PASSWORD_MUST_CHANGE),  # ERROR_PASSWORD_MUST_CHANGE
    0x775: rejected(Reason.ACCOUNT_LOCKED),  # ERROR_ACCOUNT_LOCKED_OUT
}
_ANOTHER: Final = rejected(Reason.LOGON_REFUSED)


def judge_refusal(result: Result) -> Outcome | None:
    """What the sub-code of a refused bind means; None where there is none. Raises Fault where it
    says nothing of the user."""
    found = _SUB_CODE.search(result.text)
    if found is None or result.code != codec.INVALID_CREDENTIALS:
        return None
    sub_code = int(found[1], 16)
    if sub_code == NO_LOGON_SERVERS:
        words = "the server reaches no domain controller of the user's domain"
        raise Fault(Reason.DIRECTORY_FAILED, words)
    return _OUTCOMES.get(sub_code, _ANOTHER)


def account_state(entry: Entry, now: float) -> Reason | None:
    """Why this account may not be used at `now`, in seconds since the epoch; None where it may.
    Raises ValueError where the entry does not say, or not in numbers."""
    flags = entry.attributes.get(b"useraccountcontrol", [])
    if len(flags) != 1:
        raise ValueError("no userAccountControl that bind_dn may read")
    if int(flags[0]) & DISABLED:
        return Reason.ACCOUNT_DISABLED
    for value in entry.attributes.get(b"accountexpires", ()):
        if int(value) not in NEVER and int(value) <= (now + _1601) * _TICKS:
            return Reason.ACCOUNT_EXPIRED
    return None


def primary_group(entry: Entry) -> str:
    """The security identifier of an entry's primary group, which is not among the groups that it
    is a member of: the domain's, with the group's number. Raises ValueError where the entry does
    not tell, or what is no identifier ([MS-DTYP] 2.4.2.2)."""
    sids, numbers = (entry.attributes.get(name, []) for name in (b"objectsid", b"primarygroupid"))
    if len(sids) != 1 or len(numbers) != 1:
        raise ValueError("there is no objectSid or primaryGroupID that bind_dn may read")
    sid = sids[0]
    if len(sid) < 12 or sid[0] != 1 or len(sid) != 8 + 4 * sid[1]:
        raise ValueError("objectSid is no security identifier")
    parts: Sequence[int] = [
        int.from_bytes(sid[at : at + 4], "little") for at in range(8, len(sid) - 4, 4)
    ]
    authority = int.from_bytes(sid[2:8], "big")
    return "-".join(map(str, ("S", 1, authority, *parts, int(numbers[0]))))


def quoted(password: bytes) -> bytes:
    """A value of unicodePwd: the password in quotation marks, in UTF-16 ([MS-ADTS] 3.1.1.3.1.5).
    Raises ValueError where it is no UTF-8."""
    return f'"{password.decode()}"'.encode("utf-16-le")
