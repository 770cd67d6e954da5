"""What 389 Directory Server and FreeIPA say of an account when they refuse a bind."""

from __future__ import annotations

import pytest

from authbridge.ldap import netscape
from authbridge.ldap.codec import Result
from authbridge.model import Reason, rejected


def judge(code: int, text: bytes):
    return netscape.judge_refusal(Result(code, text, b"", False, b""))


# As 389 2.3.1 sent them, and as FreeIPA has them in daemons/ipa-slapi-plugins.
SAID = [
    (53, b"Account inactivated. Contact system administrator.", Reason.ACCOUNT_DISABLED),
    (19, b"Exceed password retry limit. Please try later.", Reason.ACCOUNT_LOCKED),
    (19, b"Exceed password retry limit. Contact system administrator to reset.",
     Reason.ACCOUNT_LOCKED),
    (19, b"Account inactivity limit exceeded. Contact system administrator to reset.",
     Reason.ACCOUNT_DISABLED),
    (19, b"TPR checking. Contact system administrator", Reason.LOGON_REFUSED),
    (19, b"", Reason.ACCOUNT_LOCKED),
    (49, b"password expired!", Reason.PASSWORD_EXPIRED),
    (49, b"Password is expired.\n", Reason.PASSWORD_EXPIRED),
    (53, b"Account (Kerberos principal) is expired", Reason.ACCOUNT_EXPIRED),
    (53, b"Too many failed logins.\n", Reason.ACCOUNT_LOCKED),
    (53, b"Entry permanently locked.\n", Reason.ACCOUNT_LOCKED),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "reason"), SAID)
def test_each_text_has_its_reason_in_any_case(code, text, reason):
    """Releases differ in the case of their texts."""
    for spelled in (text, text.upper(), text.lower()):
        assert judge(code, spelled) == rejected(reason)


@pytest.mark.parametrize(("code", "text", "reason"), SAID)
def test_a_text_counts_with_its_own_code_alone(code, text, reason):
    """A server that is down may say anything; a code that stands for success or another fault is
    judged as what it is."""
    for other in {0, 1, 19, 48, 49, 50, 51, 52, 53, 80} - {code}:
        assert judge(other, text) is None


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # Ours or the server's affairs, under the same codes.
        (53, b""),
        (53, b"Unauthenticated binds are not allowed"),
        (53, b"Minimum SSF not met."),
        (53, b"RootDN access control violation"),
        (53, b"database is read-only"),
        (19, b"password is longer than 1000 octets"),
        (19, b"another constraint"),
        # A wrong password, to be judged by its code.
        (49, b""),
        (49, b"Invalid credentials"),
        (49, b"the password has not expired"),
        (48, b"Anonymous access is not allowed"),
    ],
)
def test_what_says_nothing_of_the_user_is_left_to_its_code(code, text):
    assert judge(code, text) is None


def test_a_text_that_is_no_text_is_harmless():
    assert judge(53, b"\xff\0Account Inactivated\xfe") == rejected(Reason.ACCOUNT_DISABLED)
    assert judge(53, b"\xff" * 10_000) is None
