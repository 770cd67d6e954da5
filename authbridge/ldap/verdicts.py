"""What a directory's answers mean: result codes to outcomes.

Only what says something about the user is a no. What says something about us, our rights or the
server is "cannot tell": a wrong setting must not look like a wrong password.
"""

from __future__ import annotations

from typing import Final

from authbridge.ldap import codec, names
from authbridge.ldap.codec import Result
from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Error, Policy
from authbridge.ldap.presets import Preset
from authbridge.model import (
    PASSWORD_MATCHES,
    PASSWORD_MISMATCH,
    Outcome,
    Reason,
    Verdict,
    rejected,
)

STRONGER_AUTH_REQUIRED: Final = 8
NO_SUCH_OBJECT: Final = 32
INAPPROPRIATE_AUTHENTICATION: Final = 48

# A bind with any of these is refused: the name, or its password, is not one that may log in.
_REFUSED: Final = (codec.INVALID_CREDENTIALS, INAPPROPRIATE_AUTHENTICATION, NO_SUCH_OBJECT)

OPERATIONS_ERROR: Final = 1
SERVER_FAULTS: Final = frozenset((1, 3, 11, 51, 52, 80))
"""operationsError, timeLimitExceeded, adminLimitExceeded, busy, unavailable, other."""
OVERWORKED: Final = frozenset((codec.BUSY, codec.UNAVAILABLE))
"""Those that say it of the server, whatever it is asked."""

_POLICY_REASONS: Final = {
    Error.ACCOUNT_LOCKED: Reason.ACCOUNT_LOCKED,
    Error.PASSWORD_EXPIRED: Reason.PASSWORD_EXPIRED,
    Error.CHANGE_AFTER_RESET: Reason.PASSWORD_MUST_CHANGE,
}

_HINTS: Final = {
    STRONGER_AUTH_REQUIRED: "it wants TLS: ldaps://, or ldap:// with starttls = true",
    NO_SUCH_OBJECT: "it is not there, or bind_dn may not see it",
}

GRACE: Final = Outcome(Verdict.ACCEPTED, Reason.PASSWORD_MATCHES_GRACE)


def judge_bind(result: Result, policy: Policy | None, preset: Preset) -> Outcome:
    """What the answer to a user's bind means. Raises Fault where it says nothing of the user."""
    error = None if policy is None else policy.error
    if result.code == codec.SUCCESS:
        if error is not None:  # the password was right, and is good for nothing else
            return rejected(_POLICY_REASONS.get(error, Reason.PASSWORD_MUST_CHANGE))
        if policy is not None and policy.grace_left is not None:
            return GRACE
        return PASSWORD_MATCHES
    refusal = preset.refusal(result)
    if refusal is not None:
        return refusal
    if result.code in _REFUSED:
        if error in _POLICY_REASONS:
            return rejected(_POLICY_REASONS[error])
        return PASSWORD_MISMATCH
    raise fault_of(result, "a login")


def describe(result: Result) -> str:
    """A result for people, with what to do where that is not plain."""
    hint = _HINTS.get(result.code)
    return names.describe(result) + (f" ({hint})" if hint else "")


def fault_of(result: Result, what: str) -> Fault:
    """The fault that a result code stands for, where it says nothing of a user."""
    said = describe(result)
    if result.code in SERVER_FAULTS:
        return Fault(Reason.DIRECTORY_FAILED, f"the server could not answer {what}: {said}")
    return Fault(Reason.DIRECTORY_REFUSED, f"the server refused {what}: {said}")
