"""The compact form: 62 characters, for one user, one purpose and one end."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authbridge.tokens import compact
from authbridge.tokens.mac_token import keyed
from authbridge.tokens.refusals import Malformed
from tests.tokens import mint, vectors

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = keyed(SECRET)
ALICE = "alice@example.org"
EXPIRY = 1_800_000_000
TOKEN = compact.make(SECRET, ALICE, EXPIRY).encode()
ALPHABET = (string.ascii_letters + string.digits + "-_").encode()

SECRETS = st.binary(min_size=1, max_size=100)
JIDS = st.text(alphabet="abé密@.\\", min_size=1, max_size=12)
FEW = settings(max_examples=40)
LATEST = (1 << 48) - 1
EXPIRIES = st.integers(0, LATEST)


def refusal(token):
    with pytest.raises(Malformed) as raised:
        compact.read(token)
    return raised.value.words


@pytest.mark.parametrize("vector", vectors.read("compact"), ids=lambda vector: vector["token"])
def test_the_published_tokens_are_made_and_verified(vector):
    secret, jid, purpose = vector["secret"], vector["jid"], vector["purpose"]
    assert compact.make(secret, jid, vector["expiry"], purpose) == vector["token"]
    token = compact.read(vector["token"].encode())
    assert token.key_id == compact.key_id(secret)
    assert token.expiry == vector["expiry"]
    assert compact.is_signed(token, keyed(secret), jid, purpose)
    assert compact.is_signed(token, keyed(secret), jid) is (purpose == "login")


@FEW
@given(SECRETS, JIDS, EXPIRIES, st.sampled_from(["login", "reset", ""]))
def test_what_is_made_is_read_and_signed(secret, jid, expiry, purpose):
    text = compact.make(secret, jid, expiry, purpose)
    assert text == mint.compact(secret, jid, expiry, purpose)
    token = compact.read(text.encode())
    assert (token.key_id, token.expiry) == (mint.compact_key_id(secret), expiry)
    assert compact.is_signed(token, keyed(secret), jid, purpose)


@FEW
@given(SECRETS, JIDS, EXPIRIES)
def test_a_token_has_62_characters_of_ascii_without_blanks(secret, jid, expiry):
    token = compact.make(secret, jid, expiry)
    assert len(token) == compact.LENGTH == 62
    assert token.startswith("abtc1_")
    assert set(token.encode()) <= set(ALPHABET)


@FEW
@given(st.integers(0, 61), st.integers(0, 255))
def test_no_octet_can_be_changed(place, octet):
    changed = TOKEN[:place] + bytes([octet]) + TOKEN[place + 1 :]
    if changed == TOKEN:
        return
    try:
        token = compact.read(changed)
    except Malformed:
        return
    assert not compact.is_signed(token, KEY, ALICE)


@pytest.mark.parametrize("place", range(6, 62))
def test_no_character_can_be_changed_for_another_of_the_alphabet(place):
    """Each carries bits: none is read loosely."""
    for other in ALPHABET:
        if other == TOKEN[place]:
            continue
        try:
            token = compact.read(TOKEN[:place] + bytes([other]) + TOKEN[place + 1 :])
        except Malformed:
            continue
        assert not compact.is_signed(token, KEY, ALICE)


@FEW
@given(SECRETS, SECRETS, JIDS, JIDS, EXPIRIES)
def test_a_token_is_signed_by_its_key_and_for_its_user_alone(secret, other, jid, another, expiry):
    token = compact.read(compact.make(secret, jid, expiry).encode())
    # HMAC fills up short keys with zeros, and hashes long ones.
    if other.rstrip(b"\0") != secret.rstrip(b"\0") and len(other) <= 64:
        assert not compact.is_signed(token, keyed(other), jid)
    assert compact.is_signed(token, keyed(secret), another) is (another == jid)


@pytest.mark.parametrize(
    "jid",
    ["alice@example.or", "alice@example.org ", "Alice@example.org", "alice@example.org\0", ""],
)
def test_another_user_is_not_alice(jid):
    assert not compact.is_signed(compact.read(TOKEN), KEY, jid)


def test_a_token_for_another_purpose_is_no_login():
    reset = compact.read(compact.make(SECRET, ALICE, EXPIRY, "reset").encode())
    assert compact.is_signed(reset, KEY, ALICE, "reset")
    assert not compact.is_signed(reset, KEY, ALICE)
    assert not compact.is_signed(compact.read(TOKEN), KEY, ALICE, "reset")


def test_the_key_id_tells_nothing_of_the_mac():
    """They are of two messages: whoever has seen key ids has seen no MAC of a token."""
    assert compact.key_id(SECRET) == mint.compact_key_id(SECRET)
    assert len(compact.key_id(SECRET)) == compact.KEY_ID == 4


def test_the_last_end_is_in_eight_million_years_and_no_later():
    assert compact.read(compact.make(SECRET, ALICE, LATEST).encode()).expiry == LATEST
    for expiry in (LATEST + 1, -1):
        with pytest.raises(OverflowError):
            compact.make(SECRET, ALICE, expiry)


@pytest.mark.parametrize(
    "token",
    [b"", b"abtc1_", TOKEN[:-1], TOKEN + b"A", TOKEN + b"\n", b" " + TOKEN, TOKEN[1:], TOKEN * 2,
     b"abtc2_" + TOKEN[6:], b"ABTC1_" + TOKEN[6:], b"abtd1_" + TOKEN[6:],
     TOKEN[6:] + b"abtc1_"],
)  # fmt: skip
def test_what_has_another_length_or_another_mark_is_refused(token):
    assert refusal(token) == "a compact token has 62 characters and begins with abtc1_"


@pytest.mark.parametrize("foreign", [b"+", b"/", b"=", b".", b" ", b"\n", b"\0", b"\xc3"])
def test_what_is_not_in_base64url_is_refused(foreign):
    for place in (6, 30, 61):
        token = TOKEN[:place] + foreign + TOKEN[place + 1 :]
        assert refusal(token).startswith("behind abtc1_ is not in base64url")
