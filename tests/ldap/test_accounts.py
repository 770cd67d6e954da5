"""What entries say of their accounts."""

from __future__ import annotations

import calendar
import time

import pytest

from authbridge.ldap import accounts
from authbridge.ldap.accounts import read_time
from authbridge.ldap.codec import Entry
from authbridge.model import Reason

DAY = 86400
MOMENT = calendar.timegm((2026, 11, 22, 12, 30, 15))
SPELLED = b"20261122123015Z"


def entry(**attributes: list[bytes]) -> Entry:
    return Entry(b"uid=x", {name.encode(): values for name, values in attributes.items()})


def shadow(now: float, **attributes: bytes):
    return accounts.of_shadow(entry(**{n: [value] for n, value in attributes.items()}), now)


def netscape(now: float, **attributes: bytes):
    return accounts.of_netscape(entry(**{n: [value] for n, value in attributes.items()}), now)


# --- shadowExpire and pwdEndTime ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "over"),
    [(b"20000", True), (b"19999", True), (b"20001", False), (b"0", True), (b"-1", False)],
)
def test_shadow_expire_is_a_day_and_the_account_is_over_on_it(day, over):
    reason = Reason.ACCOUNT_EXPIRED if over else None
    assert shadow(20000 * DAY, shadowexpire=day) is reason
    assert shadow(20001 * DAY - 1, shadowexpire=day) is reason


def test_pwd_end_time_is_a_moment():
    for value in (SPELLED, b"20261122123015.5Z"):
        assert shadow(MOMENT, pwdendtime=value) is Reason.ACCOUNT_EXPIRED
        assert shadow(MOMENT - 1, pwdendtime=value) is None


def test_an_entry_without_dates_does_not_expire():
    assert shadow(1e12) is None
    assert netscape(1e12) is None


def test_one_date_that_is_over_is_enough():
    assert accounts.of_shadow(entry(shadowexpire=[b"-1", b"1"]), MOMENT) is Reason.ACCOUNT_EXPIRED
    both = entry(shadowexpire=[b"-1"], pwdendtime=[SPELLED])
    assert accounts.of_shadow(both, MOMENT) is Reason.ACCOUNT_EXPIRED


@pytest.mark.parametrize(
    "attributes",
    [
        {"shadowexpire": b"tomorrow"},
        {"shadowexpire": b""},
        {"shadowexpire": b"\xff"},
        {"pwdendtime": b"20261122"},
        {"pwdendtime": b"20261122123015"},
        {"pwdendtime": b"20261322123015Z"},
        {"pwdendtime": b"20261122123015+0100"},
        {"pwdendtime": b"\xff"},
        {"pwdendtime": b""},
        {"shadowexpire": b"9" * 5000},
    ],
)
def test_a_date_that_cannot_be_read_cannot_tell(attributes):
    with pytest.raises(ValueError):
        shadow(0, **attributes)


# --- nsAccountLock and krbPrincipalExpiration -----------------------------------------------------


@pytest.mark.parametrize("value", [b"true", b"TRUE", b"True"])
def test_an_account_that_is_locked_by_an_administrator_is_disabled(value):
    assert netscape(0, nsaccountlock=value) is Reason.ACCOUNT_DISABLED


@pytest.mark.parametrize("value", [b"false", b"FALSE"])
def test_an_account_that_says_that_it_is_not_is_not(value):
    assert netscape(0, nsaccountlock=value) is None


def test_a_principal_is_over_at_its_moment():
    assert netscape(MOMENT, krbprincipalexpiration=SPELLED) is Reason.ACCOUNT_EXPIRED
    assert netscape(MOMENT - 1, krbprincipalexpiration=SPELLED) is None
    assert netscape(MOMENT, krbprincipalexpiration=b"20301231235959Z") is None


def test_an_account_that_is_disabled_and_over_is_disabled():
    some = netscape(MOMENT, nsaccountlock=b"TRUE", krbprincipalexpiration=SPELLED)
    assert some is Reason.ACCOUNT_DISABLED


@pytest.mark.parametrize("value", [b"", b"never", b"2026-11-22T12:30:15Z", b"\xff"])
def test_an_expiration_that_cannot_be_read_cannot_tell(value):
    with pytest.raises(ValueError):
        netscape(0, krbprincipalexpiration=value)


def test_nobody_is_kept_out_where_there_is_no_such_thing():
    full = entry(shadowexpire=[b"0"], nsaccountlock=[b"true"], krbprincipalexpiration=[b"x"])
    assert accounts.of_nobody(full, 1e12) is None


# --- dates ----------------------------------------------------------------------------------------


def test_minutes_are_not_taken_for_seconds():
    """GeneralizedTime may leave out the seconds, and the minutes (RFC 4517, 3.3.13)."""
    assert read_time(b"202611221230Z") == calendar.timegm((2026, 11, 22, 12, 30, 0))
    assert read_time(b"2026112212Z") == calendar.timegm((2026, 11, 22, 12, 0, 0))


@pytest.mark.parametrize("fraction", [b".5", b",5", b".0", b".999999999"])
def test_a_fraction_of_a_second_is_left_out(fraction):
    assert read_time(b"20261122123015" + fraction + b"Z") == MOMENT


@pytest.fixture
def far_away(monkeypatch):
    """The daemon is on an island fourteen hours ahead."""
    monkeypatch.setenv("TZ", "UTC-14")
    time.tzset()
    assert time.localtime(0).tm_hour == 14
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_away")
def test_a_date_is_in_utc_wherever_the_daemon_is():
    assert read_time(b"19700101000000Z") == 0
    assert read_time(b"20000229000000Z") == 951782400


@pytest.mark.parametrize(
    "value",
    [
        b"20260230120000Z", b"20261122240000Z", b"20261122126000Z", b"00000101000000Z",
        b" 20261122123015Z", b"20261122123015Z\n", b"20261122123015.Z", b"2026112212301Z",
        "２0261122123015Z".encode(), b"20261122123015z",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused(value):
    with pytest.raises(ValueError):
        read_time(value)
