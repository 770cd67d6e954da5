"""The password policy control (draft-behera-ldap-password-policy, 6): what a bind's result code
leaves out. Without it, a password that must be changed looks like an accepted one."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

from authbridge.ldap import ber, codec
from authbridge.ldap.ber import Malformed

OID: Final = b"1.3.6.1.4.1.42.2.27.8.5.1"
REQUEST: Final = codec.control(OID)

_WARNING: Final = 0xA0
_ERROR: Final = 0x81
_SECONDS_LEFT: Final = 0x80
_GRACE_LEFT: Final = 0x81


class Error(enum.Enum):
    """What is wrong with the account."""

    PASSWORD_EXPIRED = 0
    ACCOUNT_LOCKED = 1
    CHANGE_AFTER_RESET = 2
    MODIFICATION_NOT_ALLOWED = 3
    OLD_PASSWORD_MISSING = 4
    QUALITY_INSUFFICIENT = 5
    PASSWORD_TOO_SHORT = 6
    PASSWORD_TOO_YOUNG = 7
    PASSWORD_IN_HISTORY = 8

    @property
    def words(self) -> str:
        """The same for people."""
        return self.name.lower().replace("_", " ")


class Policy(NamedTuple):
    """A PasswordPolicyResponseValue."""

    error: Error | None
    seconds_left: int | None
    """Until the password expires."""
    grace_left: int | None
    """Logins that are left though it has expired."""

    @property
    def words(self) -> str:
        """The same for people; empty where it says nothing."""
        words = []
        if self.error is not None:
            words.append(self.error.words)
        if self.seconds_left is not None:
            words.append(f"the password expires in {self.seconds_left} s")
        if self.grace_left is not None:
            words.append(f"it has expired; {self.grace_left} grace logins are left")
        return ", ".join(words)


def read(controls: Mapping[bytes, bytes]) -> Policy | None:
    """The policy that came with a reply, if one did. Raises Malformed."""
    if not controls:
        return None
    value = controls.get(OID)
    if value is None:
        return None
    at, end = ber.expect(ber.SEQUENCE, value, 0, len(value))
    if end != len(value):
        raise Malformed("a password policy goes on behind its end")
    seconds = grace = error = None
    if at < end and value[at] == _WARNING:
        start, at = ber.expect(_WARNING, value, at, end)
        number, stop = ber.read_number(value[start], value, start, at) if start < at else (0, -1)
        if stop != at or value[start] not in (_SECONDS_LEFT, _GRACE_LEFT):
            raise Malformed("a password policy warns of something unknown")
        if value[start] == _SECONDS_LEFT:
            seconds = number
        else:
            grace = number
    if at < end:
        number, at = ber.read_number(_ERROR, value, at, end)
        try:
            error = Error(number)
        except ValueError:
            raise Malformed("a password policy has an unknown error") from None
    if at != end:
        raise Malformed("a password policy goes on behind its end")
    return Policy(error, seconds, grace)
