"""What result codes mean."""

from __future__ import annotations

import pytest

from authbridge import model
from authbridge.ldap import verdicts
from authbridge.ldap.codec import Result
from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Error, Policy
from authbridge.ldap.presets import PRESETS
from authbridge.model import Reason, Verdict

REFUSED = (49, 48, 32)
SERVER_FAULTS = (1, 3, 11, 51, 52, 80)
DISABLED = b"Account inactivated. Contact system administrator."
WINDOWS = b"80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data %s, v1db1"
EVERY = pytest.mark.parametrize("preset", PRESETS)
OURS = (2, 4, 5, 7, 8, 10, 13, 14, 19, 34, 50, 53, 123, 4096)


def result(code, text=b""):
    return Result(code, text, b"", code == 10, b"")


def judge(code, error=None, grace=None, seconds=None, text=b"", preset="openldap"):
    policy = Policy(error, seconds, grace)
    return verdicts.judge_bind(result(code, text), policy, PRESETS[preset])


def bare(code, text=b"", preset="openldap"):
    """Without a control of the password policy."""
    return verdicts.judge_bind(result(code, text), None, PRESETS[preset])


@EVERY
@pytest.mark.parametrize(
    "text", [b"", b"AcceptSecurityContext error, data 0, v1", b"password expired"]
)
def test_success_is_the_only_yes(preset, text):
    assert [code for code in range(130) if is_yes(code, text, preset)] == [0]


def is_yes(code, text, preset):
    try:
        return bare(code, text, preset).verdict is Verdict.ACCEPTED
    except Fault:
        return False


@EVERY
def test_a_success_is_a_match_with_or_without_a_word_on_the_password(preset):
    assert bare(0, preset=preset) is model.PASSWORD_MATCHES
    assert judge(0, preset=preset) is model.PASSWORD_MATCHES
    assert judge(0, seconds=60, preset=preset) is model.PASSWORD_MATCHES


@EVERY
def test_a_successs_words_count_for_nothing(preset):
    """What a server says of a refusal is no refusal where there is none."""
    for text in (DISABLED, WINDOWS % b"533", b"password expired!"):
        assert bare(0, text, preset) is model.PASSWORD_MATCHES


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
    assert bare(code, b"anything") is model.PASSWORD_MISMATCH
    assert judge(code) is model.PASSWORD_MISMATCH
    assert judge(code, Error.PASSWORD_IN_HISTORY) is model.PASSWORD_MISMATCH
    assert judge(code, Error.ACCOUNT_LOCKED) == model.rejected(Reason.ACCOUNT_LOCKED)
    assert judge(code, Error.PASSWORD_EXPIRED) == model.rejected(Reason.PASSWORD_EXPIRED)
    assert judge(code, Error.CHANGE_AFTER_RESET) == model.rejected(Reason.PASSWORD_MUST_CHANGE)


@EVERY
@pytest.mark.parametrize("code", SERVER_FAULTS)
def test_a_fault_of_the_server_cannot_tell(preset, code):
    with pytest.raises(Fault) as raised:
        bare(code, b"too busy", preset)
    assert raised.value.reason is Reason.DIRECTORY_FAILED
    assert f"could not answer a login: {code} " in raised.value.words
    assert "too busy" in raised.value.words


@EVERY
@pytest.mark.parametrize("code", OURS)
def test_what_is_wrong_with_our_request_or_rights_cannot_tell(preset, code):
    with pytest.raises(Fault) as raised:
        judge(code, Error.ACCOUNT_LOCKED, text=b"not for you", preset=preset)
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert f"refused a login: {code} " in raised.value.words


def test_the_servers_words_come_before_its_code_and_its_control():
    """389 says `account locked` in its control of an account that is disabled."""
    for preset in ("389", "freeipa"):
        assert judge(53, Error.ACCOUNT_LOCKED, text=DISABLED, preset=preset) == model.rejected(
            Reason.ACCOUNT_DISABLED
        )
    assert judge(49, Error.ACCOUNT_LOCKED, text=WINDOWS % b"533", preset="active-directory") == (
        model.rejected(Reason.ACCOUNT_DISABLED)
    )


@pytest.mark.parametrize("preset", ["openldap", "active-directory", "lldap"])
def test_the_words_of_another_kind_of_server_count_for_nothing(preset):
    with pytest.raises(Fault) as raised:
        bare(53, DISABLED, preset)
    assert raised.value.reason is Reason.DIRECTORY_REFUSED


@pytest.mark.parametrize("preset", ["openldap", "389", "freeipa", "lldap"])
def test_a_sub_code_is_windows_own(preset):
    assert bare(49, WINDOWS % b"525", preset) is model.PASSWORD_MISMATCH
    assert bare(49, WINDOWS % b"533", preset) is model.PASSWORD_MISMATCH


def test_a_user_whom_windows_does_not_know_may_be_anothers():
    assert bare(49, WINDOWS % b"525", "active-directory") is model.USER_UNKNOWN
    assert bare(49, WINDOWS % b"52e", "active-directory") is model.PASSWORD_MISMATCH
    assert bare(49, b"", "active-directory") is model.PASSWORD_MISMATCH


@EVERY
def test_a_bind_that_wants_tls_says_so_in_words(preset):
    text = b"BindSimple: Transport encryption required."
    with pytest.raises(Fault) as raised:
        bare(8, text, preset)
    assert raised.value.reason is Reason.DIRECTORY_REFUSED
    assert raised.value.words == (
        "the server refused a login: 8 strongerAuthRequired, "
        "'BindSimple: Transport encryption required.' "
        "(it wants TLS: ldaps://, or ldap:// with starttls = true)"
    )


def test_what_a_server_is_overworked_by_is_a_fault_of_its_own():
    assert verdicts.OVERWORKED < verdicts.SERVER_FAULTS
    assert set(SERVER_FAULTS) == verdicts.SERVER_FAULTS
    assert {51, 52} == verdicts.OVERWORKED


def test_a_search_where_the_base_is_not_there_is_a_mistake_of_ours():
    fault = verdicts.fault_of(result(32), "a search")
    assert fault.reason is Reason.DIRECTORY_REFUSED
    assert "refused a search: 32 noSuchObject" in fault.words
    assert "bind_dn may not see it" in fault.words
