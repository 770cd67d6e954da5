"""Active Directory's sub-codes, dates, identifiers and passwords."""

from __future__ import annotations

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import model
from authbridge.ldap import active_directory
from authbridge.ldap.codec import Entry, Result
from authbridge.ldap.faults import Fault
from authbridge.model import Reason, Verdict, rejected
from tests.ldap import oracle

BEGIN = "80090308: LdapErr: DSID-"
SAMBA = BEGIN + "0C0903A9, comment: AcceptSecurityContext error, data {}, v1db1"
WINDOWS = {
    "2000": BEGIN + "0C09030B, comment: AcceptSecurityContext error, data {}, v893",
    "2003": BEGIN + "0C090334, comment: AcceptSecurityContext error, data {}, vece",
    "2008 R2": BEGIN + "0C090400, comment: AcceptSecurityContext error, data {}, v1db1\0",
    "2012 R2": BEGIN + "0C09042F, comment: AcceptSecurityContext error, data {}, v2580\0",
    "2016": BEGIN + "0C090447, comment: AcceptSecurityContext error, data {}, v3839\0",
    "2022": BEGIN + "0C090446, comment: AcceptSecurityContext error, data {}, v4f7c\0",
    "SASL": "8009030C: LdapErr: DSID-0C09053E, comment: AcceptSecurityContext error, data {}, v1",
}
TEXTS = pytest.mark.parametrize("text", [SAMBA, *WINDOWS.values()], ids=["Samba", *WINDOWS])

SUB_CODES = {
    "525": model.USER_UNKNOWN,
    "52e": model.PASSWORD_MISMATCH,
    "530": rejected(Reason.LOGON_HOURS),
    "531": rejected(Reason.LOGON_WORKSTATION),
    "532": rejected(Reason.PASSWORD_EXPIRED),
    "533": rejected(Reason.ACCOUNT_DISABLED),
    "701": rejected(Reason.ACCOUNT_EXPIRED),
    "773": rejected(Reason.PASSWORD_MUST_CHANGE),
    "775": rejected(Reason.ACCOUNT_LOCKED),
}


def judge(text: str | bytes, code: int = 49):
    octets = text.encode() if isinstance(text, str) else text
    return active_directory.judge_refusal(Result(code, octets, b"", False, b""))


# --- sub-codes ------------------------------------------------------------------------------------


@TEXTS
@pytest.mark.parametrize(("sub_code", "outcome"), SUB_CODES.items())
def test_each_sub_code_has_its_outcome(text, sub_code, outcome):
    assert judge(text.format(sub_code)) == outcome
    assert judge(text.format(sub_code.upper())) == outcome
    assert judge(text.format(sub_code.zfill(8))) == outcome


def test_a_user_who_is_not_there_may_be_anothers_and_a_wrong_password_may_not():
    assert judge(SAMBA.format("525")).verdict is Verdict.UNKNOWN_USER
    assert judge(SAMBA.format("52e")).verdict is Verdict.REJECTED


@TEXTS
@pytest.mark.parametrize("sub_code", ["0", "1", "52f", "534", "569", "56e", "774", "80090346"])
def test_a_sub_code_that_is_not_known_is_a_no_without_a_name(text, sub_code):
    """52f is an account with a restriction, 569 one without the right to log on that way."""
    assert judge(text.format(sub_code)) == rejected(Reason.LOGON_REFUSED)


@TEXTS
@pytest.mark.parametrize("sub_code", ["51f", "51F", "0000051f"])
def test_no_domain_controller_for_the_user_is_no_wrong_password(text, sub_code):
    """ERROR_NO_LOGON_SERVERS: another domain's are away, or a read-only one has lost its own."""
    with pytest.raises(Fault, match="no domain controller of the user's domain") as raised:
        judge(text.format(sub_code))
    assert raised.value.reason is Reason.DIRECTORY_FAILED


def test_no_sub_code_is_a_yes():
    """Nothing that a server writes into its text makes one of a refusal."""
    for number in range(0x1000):
        if number == active_directory.NO_LOGON_SERVERS:
            continue
        outcome = judge(SAMBA.format(f"{number:x}"))
        assert outcome.verdict is not Verdict.ACCEPTED
        assert outcome == SUB_CODES.get(f"{number:x}", rejected(Reason.LOGON_REFUSED))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Invalid credentials",
        "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, v1db1",
        SAMBA.format(""),
        SAMBA.format("xyz"),
        SAMBA.format("123456789"),
        "data 533",
        "AcceptSecurityContext error: 533",
        b"\xff\xfe",
    ],
)
def test_a_refusal_without_a_sub_code_is_left_to_its_code(text):
    assert judge(text) is None


@TEXTS
@pytest.mark.parametrize("code", [0, 1, 8, 19, 32, 34, 48, 51, 52, 53, 80])
def test_a_sub_code_counts_in_a_refusal_of_credentials_alone(text, code):
    for sub_code in (*SUB_CODES, "51f"):
        assert judge(text.format(sub_code), code) is None


# --- accounts -------------------------------------------------------------------------------------

NOW = calendar.timegm((2026, 11, 22, 12, 0, 0))
TICKS = (NOW + 11_644_473_600) * 10_000_000
"""NOW as accountExpires has it: in 100 ns since 1601."""


def state(control: bytes | None = b"512", *expires: bytes, now: float = NOW):
    attributes = {b"accountexpires": list(expires)}
    if control is not None:
        attributes[b"useraccountcontrol"] = [control]
    return active_directory.account_state(Entry(b"CN=x", attributes), now)


@pytest.mark.parametrize("control", [512, 544, 66048, 66080, 262656, 4194816, 16 + 512, 8388608])
def test_an_account_is_enabled_whatever_other_flag_it_has(control):
    assert state(b"%d" % control) is None


@pytest.mark.parametrize("control", [2, 514, 546, 66050, 262658, 66082])
def test_an_account_with_the_flag_is_disabled(control):
    assert state(b"%d" % control) is Reason.ACCOUNT_DISABLED


def test_a_disabled_account_that_is_over_is_disabled():
    assert state(b"514", b"1") is Reason.ACCOUNT_DISABLED


def test_an_account_is_over_at_the_tick_that_is_its_end():
    assert state(b"512", b"%d" % TICKS) is Reason.ACCOUNT_EXPIRED
    assert state(b"512", b"%d" % TICKS, now=NOW - 1) is None
    assert state(b"512", b"%d" % TICKS, now=NOW + 1) is Reason.ACCOUNT_EXPIRED
    assert state(b"512", b"%d" % (TICKS - 10_000_000)) is Reason.ACCOUNT_EXPIRED
    assert state(b"512", b"%d" % (TICKS + 10_000_000)) is None


def test_a_tick_is_a_tenth_of_a_microsecond():
    """To within what a clock of seconds since the epoch can tell: some microseconds."""
    assert state(b"512", b"%d" % (TICKS + 100)) is None
    assert state(b"512", b"%d" % (TICKS + 100), now=NOW + 20e-6) is Reason.ACCOUNT_EXPIRED
    assert state(b"512", b"%d" % (TICKS - 100)) is Reason.ACCOUNT_EXPIRED
    assert state(b"512", b"%d" % (TICKS - 100), now=NOW - 20e-6) is None


def test_the_epoch_of_windows_is_1601():
    for year, month, day in ((1970, 1, 1), (2000, 2, 29), (2030, 12, 31)):
        moment = calendar.timegm((year, month, day, 0, 0, 0))
        ticks = (moment - calendar.timegm((1601, 1, 1, 0, 0, 0))) * 10_000_000
        assert state(b"512", b"%d" % ticks, now=moment) is Reason.ACCOUNT_EXPIRED
        assert state(b"512", b"%d" % ticks, now=moment - 1) is None


@pytest.mark.parametrize(
    ("value", "over"),
    [(9223372036854775806, False), (9223372036854775808, False), (10**30, False), (1, True),
     (-1, True)],
)  # fmt: skip
def test_an_end_is_a_number_and_no_approximation(value, over):
    """As a float, the greatest end but one is none at all."""
    assert state(b"512", b"%d" % value) is (Reason.ACCOUNT_EXPIRED if over else None)
    assert state(b"512", b"%d" % value, now=1e30) is Reason.ACCOUNT_EXPIRED


@pytest.mark.parametrize("never", [b"0", b"9223372036854775807"])
def test_an_account_may_have_no_end(never):
    assert state(b"512", never) is None
    assert state(b"512", never, now=1e12) is None
    assert state(b"512") is None


@pytest.mark.parametrize("control", [None, b"", b"x", b"0x200", b"\xff", b"512 2 x"])
def test_an_account_without_its_flags_cannot_tell(control):
    """A service account that may not read them would find everybody enabled."""
    with pytest.raises(ValueError):
        state(control)


def test_flags_that_are_there_twice_cannot_tell():
    entry = Entry(b"CN=x", {b"useraccountcontrol": [b"512", b"514"]})
    with pytest.raises(ValueError, match="userAccountControl"):
        active_directory.account_state(entry, NOW)


@pytest.mark.parametrize("value", [b"", b"never", b"20261122120000Z", b"\xff", b"1.5", b"9" * 5000])
def test_an_end_that_is_no_number_cannot_tell(value):
    with pytest.raises(ValueError):
        state(b"512", value)


# --- identifiers ----------------------------------------------------------------------------------

DOMAIN = (21, 1004336348, 1177238915, 682003330)


def sid(*parts: int, authority: int = 5, revision: int = 1, count: int | None = None) -> bytes:
    """An identifier as objectSid has it ([MS-DTYP] 2.4.2.2)."""
    return (
        bytes([revision, len(parts) if count is None else count])
        + authority.to_bytes(6, "big")
        + b"".join(part.to_bytes(4, "little") for part in parts)
    )


def primary(own: list[bytes], numbers: list[bytes]):
    entry = Entry(b"CN=x", {b"objectsid": own, b"primarygroupid": numbers})
    return active_directory.primary_group(entry)


def test_a_primary_group_is_of_the_users_domain():
    assert primary([sid(*DOMAIN, 1105)], [b"513"]) == "S-1-5-21-1004336348-1177238915-682003330-513"
    assert primary([sid(*DOMAIN, 500)], [b"1234"]).endswith("-682003330-1234")


def test_what_a_directory_sent_is_read():
    """alice of a Samba 4.17.12: of the Domain Users, neither disabled nor over."""
    (octets,) = (
        line["octets"]
        for line in oracle.vectors("recorded")
        if line["case"] == "people, all attributes"
        and b"CN=alice Lab" in line["octets"]
        and line["server"] == "Samba 4.17.12"
    )
    _, _, (dn, attributes), _ = oracle.message(octets)
    alice = Entry(dn, attributes)
    assert active_directory.primary_group(alice) == "S-1-5-21-1113006496-4214621577-3957533239-513"
    assert active_directory.account_state(alice, NOW) is None


def test_an_identifier_may_be_short_long_and_of_any_authority():
    assert primary([sid(32)], [b"1"]) == "S-1-5-1"
    assert primary([sid(*range(15))], [b"7"]) == "S-1-5-" + "-".join(map(str, range(14))) + "-7"
    assert primary([sid(2**32 - 1, 1, authority=2**48 - 1)], [b"2"]) == (
        f"S-1-{2**48 - 1}-{2**32 - 1}-2"
    )


@pytest.mark.parametrize(
    ("own", "numbers"),
    [
        ([], [b"513"]),
        ([sid(*DOMAIN, 1105)], []),
        ([], []),
        ([sid(*DOMAIN, 1105)] * 2, [b"513"]),
        ([sid(*DOMAIN, 1105)], [b"513", b"512"]),
    ],
)
def test_an_entry_that_does_not_tell_its_primary_group_cannot_tell(own, numbers):
    """A service account that may not read it would find nobody in it."""
    with pytest.raises(ValueError, match="objectSid or primaryGroupID that bind_dn may read"):
        primary(own, numbers)


def test_an_entry_that_was_not_asked_cannot_tell():
    with pytest.raises(ValueError, match="objectSid or primaryGroupID"):
        active_directory.primary_group(Entry(b"CN=x", {}))


GOOD = sid(*DOMAIN, 1105)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\1",
        GOOD[:-1],
        GOOD + b"\0",
        GOOD[:11],
        sid(),  # no number that could be replaced
        sid(*DOMAIN, 1105, count=4),
        sid(*DOMAIN, 1105, count=6),
        sid(*DOMAIN, 1105, revision=2),
        sid(*DOMAIN, 1105, revision=0),
        b"S-1-5-21-1004336348-1177238915-682003330-1105",
    ],
)
def test_what_is_no_identifier_cannot_tell(octets):
    with pytest.raises(ValueError, match="objectSid is no security identifier"):
        primary([octets], [b"513"])


@pytest.mark.parametrize("number", [b"", b"x", b"513>,dc=x", b"\xff", b"5 13"])
def test_a_group_that_is_no_number_cannot_tell(number):
    with pytest.raises(ValueError):
        primary([GOOD], [number])


@given(st.binary(max_size=80), st.binary(max_size=12))
def test_whatever_an_entry_has_is_an_identifier_or_one_mistake(octets, number):
    """What comes of it is put into a base `<SID=…>`: nothing else may get there."""
    try:
        found = primary([octets], [number])
    except ValueError:
        return
    assert set(found) <= set("S-0123456789")


# --- passwords ------------------------------------------------------------------------------------


def test_a_password_is_written_in_quotes_and_utf_16():
    assert active_directory.quoted(b"newPassword") == (
        b'"\0n\0e\0w\0P\0a\0s\0s\0w\0o\0r\0d\0"\0'  # the example of [MS-ADTS] 3.1.1.3.1.5
    )
    assert active_directory.quoted("é✓".encode()) == '"é✓"'.encode("utf-16-le")
    assert active_directory.quoted("🐇".encode()) == b'"\0\x3d\xd8\x07\xdc"\0'


def test_a_quote_in_a_password_is_itself():
    assert active_directory.quoted(b'a"b') == b'"\0a\0"\0b\0"\0'


@pytest.mark.parametrize("password", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
def test_a_password_that_is_no_text_cannot_be_written(password):
    with pytest.raises(ValueError):
        active_directory.quoted(password)
