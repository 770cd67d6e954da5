"""What a JWT must say to be a login: type, dates, audience and subject."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.model import Reason
from authbridge.tokens import jws, jwt
from authbridge.tokens.jwt import Rules
from authbridge.tokens.refusals import Malformed, Refused, Unfit
from tests.tokens import mint
from tests.tokens.mint import NOT_THERE, b64

NOW = 1_800_000_000.0
LEEWAY, MAX = 30.0, 300.0
RULES = Rules(typ="jwt", leeway=LEEWAY, max_lifetime=MAX, subject="sub")
US = frozenset({"xmpp:example.org"})
HEADER = {"alg": "ES256"}
CLAIMS = {"sub": "alice", "aud": "xmpp:example.org", "iat": NOW, "exp": NOW + 60}


def check(header=HEADER, rules=RULES, now=NOW, audiences=US, **changes):
    return jwt.check(header, mint.without(CLAIMS | changes), rules, audiences, now)


def refusal(*arguments, kind=Unfit, **changes):
    with pytest.raises(Refused) as raised:
        check(*arguments, **changes)
    assert type(raised.value) is kind
    return raised.value.reason


def words(**changes):
    with pytest.raises(Refused) as raised:
        check(**changes)
    return raised.value.words


def test_a_good_token_says_who_logs_in():
    assert check() == "alice"


# --- dates ----------------------------------------------------------------------------------------

LONG = dataclasses.replace(RULES, max_lifetime=1e9)


def just(date):
    """The next moment before and after."""
    return math.nextafter(date, -math.inf), math.nextafter(date, math.inf)


def test_a_token_has_expired_when_its_end_and_the_leeway_are_over():
    before, after = just(NOW + 60 + LEEWAY)
    assert check(now=before, rules=LONG) == "alice"
    for now in (NOW + 60 + LEEWAY, after, NOW + 1e6):
        assert refusal(now=now, rules=LONG) is Reason.TOKEN_EXPIRED


def test_without_leeway_a_token_has_expired_at_its_end():
    strict = dataclasses.replace(LONG, leeway=0.0)
    assert check(now=NOW + 59.999, rules=strict) == "alice"
    assert refusal(now=NOW + 60, rules=strict) is Reason.TOKEN_EXPIRED
    assert words(now=NOW + 75, rules=strict) == "`exp` was 15 s ago"


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_begins_the_leeway_before_its_beginning(name):
    date = NOW + LEEWAY
    assert check(**{name: date}) == "alice"
    assert check(now=just(NOW)[1], **{name: date}) == "alice"
    assert refusal(now=just(NOW)[0], **{name: date}) is Reason.TOKEN_NOT_YET_VALID
    assert refusal(**{name: date + 1}) is Reason.TOKEN_NOT_YET_VALID
    assert words(**{name: NOW + 90}) == f"`{name}` is 90 s from now"


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_without_leeway_a_token_begins_at_its_beginning(name):
    strict = dataclasses.replace(RULES, leeway=0.0)
    assert check(rules=strict, **{name: NOW}) == "alice"
    assert refusal(rules=strict, **{name: NOW + 1}) is Reason.TOKEN_NOT_YET_VALID


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_beginnings_are_optional(name):
    assert check(**{name: NOT_THERE}) == "alice"


def test_a_token_lives_its_whole_lifetime_and_not_a_second_longer():
    assert check(iat=NOW, exp=NOW + MAX) == "alice"
    assert refusal(iat=NOW, exp=NOW + MAX + 1) is Reason.TOKEN_LIFETIME_TOO_LONG
    assert refusal(iat=NOW - 1, exp=NOW + MAX) is Reason.TOKEN_LIFETIME_TOO_LONG
    assert check(iat=NOW + LEEWAY, exp=NOW + LEEWAY + MAX) == "alice"
    assert words(exp=NOW + 3600) == "it lives for 3600 s, and may for 300 s"


def test_without_iat_its_lifetime_is_counted_from_now_with_leeway():
    assert check(iat=NOT_THERE, exp=NOW + MAX + LEEWAY) == "alice"
    assert refusal(iat=NOT_THERE, exp=NOW + MAX + LEEWAY + 1) is Reason.TOKEN_LIFETIME_TOO_LONG


def test_the_beginning_by_nbf_makes_no_life_longer():
    """The lifetime counts from `iat`: else a token could be signed today for next year."""
    assert refusal(nbf=NOW, iat=NOW - 200, exp=NOW + 200) is Reason.TOKEN_LIFETIME_TOO_LONG


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "date",
    [True, False, None, "1800000000", "", [], [NOW], {}, -1, -0.001, math.nan, math.inf, -math.inf,
     jwt.LATEST + 1, NOW * 1000, 10**400],
)  # fmt: skip
def test_a_date_is_a_number_of_seconds_between_1970_and_9999(name, date):
    assert refusal(kind=Malformed, **{name: date}) is Reason.TOKEN_MALFORMED
    said = words(**{name: date})
    assert said.startswith(f"`{name}` is {repr(date)[:28]}")
    assert ", and no number of seconds from 1970 to 9999" in said
    assert len(said) < 120


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_usual_mistakes_with_dates_have_a_hint(name):
    assert words(**{name: 1_800_000_060_000}) == (
        f"`{name}` is 1800000060000, and no number of seconds from 1970 to 9999; is it in "
        "milliseconds?"
    )
    assert words(**{name: 1.8e12}).endswith("; is it in milliseconds?")
    assert words(**{name: "1800000060"}) == (
        f"`{name}` is '1800000060', and no number of seconds from 1970 to 9999; it is a text"
    )
    for date in (True, None, -1, [NOW]):
        assert words(**{name: date}).endswith(" from 1970 to 9999")


def test_dates_may_be_fractions():
    assert check(iat=NOW - 0.25, exp=NOW + 0.5) == "alice"
    assert check(iat=NOW - 299.5, exp=NOW + 0.5) == "alice"
    assert refusal(iat=NOW - 299.5, exp=NOW + 0.75) is Reason.TOKEN_LIFETIME_TOO_LONG


def test_dates_at_both_ends_are_read():
    for date in (0, jwt.LATEST, 0.0, -0.0):
        assert jwt.read_date({"exp": date}, "exp") == date
    assert jwt.read_date({}, "exp") is None


@given(
    st.integers(-400, 400), st.none() | st.integers(-400, 400), st.none() | st.integers(-400, 400)
)
def test_dates_are_judged_as_the_manual_has_it(exp, iat, nbf):
    changes = {"exp": NOW + exp}
    changes["iat"] = NOT_THERE if iat is None else NOW + iat
    changes["nbf"] = NOT_THERE if nbf is None else NOW + nbf
    if exp + LEEWAY <= 0:
        expected = Reason.TOKEN_EXPIRED
    elif max(iat or 0, nbf or 0) - LEEWAY > 0:
        expected = Reason.TOKEN_NOT_YET_VALID
    elif exp - (LEEWAY if iat is None else iat) > MAX:
        expected = Reason.TOKEN_LIFETIME_TOO_LONG
    else:
        assert check(**changes) == "alice"
        return
    assert refusal(**changes) is expected


# --- claims that must be there --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exp", "aud", "sub"])
def test_a_claim_that_is_missing_is_named(name):
    assert refusal(**{name: NOT_THERE}) is Reason.TOKEN_CLAIM_MISSING
    assert words(**{name: NOT_THERE}) == f"there is no `{name}`"


def test_a_token_without_an_issuer_has_none():
    assert jwt.read_issuer({"iss": "https://www.example.org"}) == "https://www.example.org"
    with pytest.raises(Unfit) as raised:
        jwt.read_issuer({})
    assert raised.value.reason is Reason.TOKEN_CLAIM_MISSING
    for value in (None, 1, True, ["https://www.example.org"], {}):
        with pytest.raises(Malformed, match="token_malformed"):
            jwt.read_issuer({"iss": value})


@pytest.mark.parametrize("value", [None, 1, True, ["alice"], {"alice": 1}])
def test_a_subject_that_is_no_string_is_out_of_form(value):
    assert refusal(kind=Malformed, sub=value) is Reason.TOKEN_MALFORMED
    assert words(sub=value) == "`sub` is no string"


def test_the_subject_stands_in_the_claim_that_the_issuer_has_for_it():
    rules = dataclasses.replace(RULES, subject="preferred_username")
    assert check(rules=rules, preferred_username="bob") == "bob"
    assert words(rules=rules) == "there is no `preferred_username`"
    assert words(rules=rules, preferred_username=1) == "`preferred_username` is no string"


# --- audience -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "aud",
    ["xmpp:example.org", ["xmpp:example.org"], ["https://a.example", "xmpp:example.org"]],
)
def test_a_token_is_for_us_if_we_are_among_its_audience(aud):
    assert check(aud=aud) == "alice"


@pytest.mark.parametrize(
    "aud",
    ["", "xmpp:example.net", "xmpp:example.org ", "XMPP:example.org", "xmpp:", "xmpp:{domain}", [],
     ["https://a.example"], [""], ["xmpp:example.org,https://a.example"]],
)  # fmt: skip
def test_a_token_for_somebody_else_is_refused(aud):
    assert refusal(aud=aud) is Reason.TOKEN_AUDIENCE_WRONG
    assert words(aud=aud) == f"`aud` is {aud!r}, and should have 'xmpp:example.org'"


@pytest.mark.parametrize(
    "aud",
    [None, 1, True, {}, {"xmpp:example.org": 1}, [1], ["xmpp:example.org", None],
     [["xmpp:example.org"]]],
)  # fmt: skip
def test_an_audience_that_is_neither_a_string_nor_strings_is_out_of_form(aud):
    assert refusal(kind=Malformed, aud=aud) is Reason.TOKEN_MALFORMED


def test_any_of_several_audiences_will_do():
    for aud in ("a", ["b"], ["c", "a"]):
        assert check(audiences=["a", "b"], aud=aud) == "alice"
    assert refusal(audiences=["a", "b"], aud="c") is Reason.TOKEN_AUDIENCE_WRONG
    said = words(audiences=["a", "b"], aud=["c", "\x1b[31m"])
    assert said == "`aud` is ['c', '\\x1b[31m'], and should have 'a' or 'b'"


# --- type -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", ["JWT", "jwt", "Jwt", "application/jwt", "APPLICATION/JWT"])
def test_the_usual_type_is_jwt_however_it_is_spelled(typ):
    assert check(HEADER | {"typ": typ}) == "alice"


def test_a_token_without_a_type_is_a_jwt():
    assert check(HEADER) == "alice"
    special = dataclasses.replace(RULES, typ="session+jwt")
    assert refusal(HEADER, special) is Reason.TOKEN_TYPE_WRONG
    assert words(rules=special) == "`typ` is missing, and should be 'session+jwt'"


@pytest.mark.parametrize("typ", ["at+jwt", "", "JWT ", "JW", "application/", "x/jwt", "logout+jwt"])
def test_another_type_is_for_another_purpose(typ):
    assert refusal(HEADER | {"typ": typ}) is Reason.TOKEN_TYPE_WRONG
    assert words(header=HEADER | {"typ": typ}) == f"`typ` is {typ!r}, and should be 'jwt'"


def test_a_type_of_the_issuers_own_must_be_there():
    rules = dataclasses.replace(RULES, typ=jwt.plain_type("application/Session+JWT"))
    for typ in ("session+jwt", "Session+JWT", "application/session+jwt"):
        assert check(HEADER | {"typ": typ}, rules) == "alice"
    for typ in ("JWT", "session", "session+jwt+x"):
        assert refusal(HEADER | {"typ": typ}, rules) is Reason.TOKEN_TYPE_WRONG


@pytest.mark.parametrize("typ", [None, 1, True, ["JWT"], {}])
def test_a_type_that_is_no_string_is_out_of_form(typ):
    assert refusal(HEADER | {"typ": typ}, kind=Malformed) is Reason.TOKEN_MALFORMED


def test_the_type_is_looked_at_first_and_the_subject_last():
    """The first fault is what is told: a token for another purpose is that, whatever it says."""
    found = [
        refusal(HEADER | {"typ": "x"}, exp=NOT_THERE, aud="x", sub=NOT_THERE),
        refusal(exp=NOT_THERE, aud="x", sub=NOT_THERE),
        refusal(aud="x", sub=NOT_THERE),
        refusal(sub=NOT_THERE),
    ]
    assert found == [
        Reason.TOKEN_TYPE_WRONG, Reason.TOKEN_CLAIM_MISSING, Reason.TOKEN_AUDIENCE_WRONG,
        Reason.TOKEN_CLAIM_MISSING,
    ]  # fmt: skip


# --- claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"[]", b"x", b'"a"', b"{}{}", b'{"a":1,"a":1}', b"\xff", b""])
def test_claims_are_one_object_that_is_read_in_one_way(payload):
    token = jws.Jws({}, payload, b"", b"")
    with pytest.raises(Malformed) as raised:
        jwt.read_claims(token)
    assert raised.value.words.startswith("the payload is ")


def test_claims_are_read_as_they_are():
    token = jws.read(f"e30.{b64(mint.text(CLAIMS))}.".encode())
    assert jwt.read_claims(token) == CLAIMS
