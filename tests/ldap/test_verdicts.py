"""What result codes mean: LDAP.md, section 6."""

from __future__ import annotations

import pytest

from authbridge import model
from authbridge.ldap import verdicts
from authbridge.ldap.codec import Result
from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Error, Policy
from authbridge.model import Reason, Verdict

REFUSED = (49, 48, 32)
SERVER_FAULTS = (1, 3, 11, 51, 52, 80)
OURS = (2, 4, 5, 7, 8, 10, 13, 14, 19, 34, 50, 53, 123, 4096)


def result(code, text=b""):
    return Result(code, text, b"", code == 10, b"")


def judge(code, error=None, grace=None, seconds=None):
    return verdicts.judge_bind(result(code), Policy(error, seconds, grace))


def test_success_is_the_only_yes():
    yes = [code for code in range(130) if is_yes(code)]
    assert yes == [0]


def is_yes(code):
    try:
        return verdicts.judge_bind(result(code), None).verdict is Verdict.ACCEPTED
    except Fault:
        return False


def test_a_success_is_a_match_with_or_without_a_word_on_the_password():
    assert verdicts.judge_bind(result(0), None) is model.PASSWORD_MATCHES
    assert judge(0) is model.PASSWORD_MATCHES
    assert judge(0, seconds=60) is model.PASSWORD_MATCHES


@pytest.mark.parametrize("grace", [0, 1, 5])
def test_a_grace_login_is_a_yes_with_a_reason_of_its_own(grace):
    assert judge(0, grace=grace) == model.Outcome(Verdict.ACCEPTED, Reason.PASSWORD_MATCHES_GRACE)


def test_a_success_with_an_error_of_the_policy_is_a_no():
    assert judge(0, Error.CHANGE_AFTER_RESET) == model.rejected(Reason.PASSWORD_MUST_CHANGE)
    assert judge(0, Error.CHANGE_AFTER_RESET, grace=2) == model.rejected(
        Reason.PASSWORD_MUST_CHANGE
    )
    assert judge(0, Error.PASSWORD_EXPIRED) == model.rejected(Reason.PASSWORD_EXPIRED)
    assert judge(0, Error.ACCOUNT_LOCKED) == model.rejected(Reason.ACCOUNT_LOCKED)
    for error in Error:
        assert judge(0, error).verdict is Verdict.REJECTED


@pytest.mark.parametrize("code", REFUSED)
def test_a_refused_bind_is_a_no_with_the_reason_that_the_policy_gives(code):
    assert verdicts.judge_bind(result(code, b"anything"), None) is model.PASSWORD_MISMATCH
    assert judge(code) is model.PASSWORD_MISMATCH
    assert judge(code, Error.PASSWORD_IN_HISTORY) is model.PASSWORD_MISMATCH
    assert judge(code, Error.ACCOUNT_LOCKED) == model.rejected(Reason.ACCOUNT_LOCKED)
    assert judge(code, Error.PASSWORD_EXPIRED) == model.rejected(Reason.PASSWORD_EXPIRED)
    assert judge(code, Error.CHANGE_AFTER_RESET) == model.rejected(Reason.PASSWORD_MUST_CHANGE)


@pytest.mark.parametrize("code", SERVER_FAULTS)
def test_a_fault_of_the_server_cannot_tell(code):
    with pytest.raises(Fault) as raised:
        verdicts.judge_bind(result(code, b"too busy"), None)
    assert raised.value.reason is Reason.DIRECTORY_FAILED
    assert f"could not answer a login: {code} " in raised.value.words
    assert "too busy" in raised.value.words


@pytest.mark.parametrize("code", OURS)
def test_what_is_wrong_with_our_request_or_rights_cannot_tell(code):
    with pytest.raises(Fault) as raised:
        verdicts.judge_bind(result(code), Policy(Error.ACCOUNT_LOCKED, None, None))
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert f"refused a login: {code} " in raised.value.words


def test_a_search_where_the_base_is_not_there_is_a_mistake_of_ours():
    fault = verdicts.fault_of(result(32), "a search")
    assert fault.reason is Reason.DIRECTORY_REFUSED
    assert "refused a search: 32 noSuchObject" in fault.words
    assert "bind_dn may not see it" in fault.words
