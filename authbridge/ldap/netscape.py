"""389 Directory Server and FreeIPA, which is built on it: what they say of an account when they
refuse a bind, with codes that stand for a fault elsewhere (389 ldap/servers/slapd/pw.c; FreeIPA
daemons/ipa-slapi-plugins: ipa-pwd-extop, ipa-lockout, ipa-graceperiod)."""

from __future__ import annotations

import re
from typing import Final

from authbridge.ldap.codec import (
    CONSTRAINT_VIOLATION,
    INVALID_CREDENTIALS,
    UNWILLING_TO_PERFORM,
    Result,
)
from authbridge.model import Outcome, Reason, rejected

_SAID: Final = (
    (UNWILLING_TO_PERFORM, rb"account inactivated", Reason.ACCOUNT_DISABLED),
    (UNWILLING_TO_PERFORM, rb"\(kerberos principal\) is expired", Reason.ACCOUNT_EXPIRED),
    (UNWILLING_TO_PERFORM, rb"too many failed logins", Reason.ACCOUNT_LOCKED),
    (UNWILLING_TO_PERFORM, rb"entry permanently locked", Reason.ACCOUNT_LOCKED),
    (INVALID_CREDENTIALS, rb"password (is )?expired", Reason.PASSWORD_EXPIRED),
    (CONSTRAINT_VIOLATION, rb"exceed password retry limit", Reason.ACCOUNT_LOCKED),
    (CONSTRAINT_VIOLATION, rb"account inactivity limit exceeded", Reason.ACCOUNT_DISABLED),
    (CONSTRAINT_VIOLATION, rb"tpr checking", Reason.LOGON_REFUSED),
    # A wrong password, and the last one that was allowed.
    (CONSTRAINT_VIOLATION, rb"^$", Reason.ACCOUNT_LOCKED),
)


def judge_refusal(result: Result) -> Outcome | None:
    """What the code and the text of a refused bind mean; None where they say nothing of a user."""
    for code, text, reason in _SAID:
        if result.code == code and re.search(text, result.text, re.IGNORECASE):
            return rejected(reason)
    return None
