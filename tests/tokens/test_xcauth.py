"""The time-limited token of JSXC and Nextcloud."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authbridge.tokens import xcauth
from authbridge.tokens.mac_token import keyed
from authbridge.tokens.refusals import Malformed
from tests.tokens import mint, vectors

SECRET = b"kQ3vX9sT2mZp7Lr0bWcYh4d"
KEY = keyed(SECRET)
ALICE = "alice@example.org"
EXPIRY = 1_800_000_000
TOKEN = xcauth.make(SECRET, ALICE, EXPIRY).encode()
ALPHABET = (
    "".join(sorted(set(string.ascii_letters) - set("OIl"))) + string.digits + "+/-$%"
).encode()

SECRETS = st.binary(min_size=1, max_size=60)
JIDS = st.text(alphabet="abé密@.\\", min_size=1, max_size=12)
FEW = settings(max_examples=40)
LATEST = (1 << 32) - 1
EXPIRIES = st.integers(0, LATEST)


def refusal(token):
    with pytest.raises(Malformed) as raised:
        xcauth.read(token)
    return raised.value.words


@pytest.mark.parametrize("vector", vectors.read("xcauth"), ids=lambda vector: vector["token"])
def test_the_published_tokens_are_made_and_verified(vector):
    secret, jid, expiry = vector["secret"], vector["jid"], vector["expiry"]
    assert xcauth.make(secret, jid, expiry) == vector["token"]
    token = xcauth.read(vector["token"].encode())
    assert (token.key_id, token.expiry) == (xcauth.key_id(secret), expiry)
    assert xcauth.is_signed(token, keyed(secret), jid)
    assert not xcauth.is_signed(token, keyed(secret), jid + "x")


@FEW
@given(SECRETS, JIDS, EXPIRIES)
def test_what_is_made_is_read_and_signed(secret, jid, expiry):
    text = xcauth.make(secret, jid, expiry)
    assert text == mint.xcauth(secret, jid, expiry)
    token = xcauth.read(text.encode())
    assert (token.key_id, token.expiry) == (mint.xcauth_key_id(secret), expiry)
    assert xcauth.is_signed(token, keyed(secret), jid)


@FEW
@given(SECRETS, JIDS, EXPIRIES)
def test_a_token_has_31_characters_that_nobody_mistakes_for_each_other(secret, jid, expiry):
    token = xcauth.make(secret, jid, expiry)
    assert len(token) == xcauth.LENGTH == 31
    assert set(token.encode()) <= set(ALPHABET)


@FEW
@given(st.integers(0, 30), st.integers(0, 255))
def test_no_octet_can_be_changed(place, octet):
    changed = TOKEN[:place] + bytes([octet]) + TOKEN[place + 1 :]
    if changed == TOKEN:
        return
    try:
        token = xcauth.read(changed)
    except Malformed:
        return
    assert not xcauth.is_signed(token, KEY, ALICE)


@pytest.mark.parametrize("place", range(31))
def test_no_character_can_be_changed_for_another_of_base64(place):
    for other in set(ALPHABET + b"OIl") - {TOKEN[place]}:
        try:
            token = xcauth.read(TOKEN[:place] + bytes([other]) + TOKEN[place + 1 :])
        except Malformed:
            continue
        assert not xcauth.is_signed(token, KEY, ALICE)


@given(st.lists(st.sampled_from(sorted(ALPHABET + b"OIl=\n")), min_size=29, max_size=33).map(bytes))
def test_whatever_is_read_has_one_spelling(text):
    try:
        token = xcauth.read(b"A" + text)
    except Malformed:
        return
    raw = b"\0" + token.mac + token.head
    assert mint.xcauth_text(raw).encode() == b"A" + text


@FEW
@given(SECRETS, SECRETS, JIDS, JIDS, EXPIRIES)
def test_a_token_is_signed_by_its_key_and_for_its_user_alone(secret, other, jid, another, expiry):
    token = xcauth.read(xcauth.make(secret, jid, expiry).encode())
    if other.rstrip(b"\0") != secret.rstrip(b"\0"):  # HMAC fills up short keys with zeros
        assert not xcauth.is_signed(token, keyed(other), jid)
    assert xcauth.is_signed(token, keyed(secret), another) is (another == jid)


def test_the_last_end_is_in_2106_and_no_later():
    assert xcauth.read(xcauth.make(SECRET, ALICE, LATEST).encode()).expiry == LATEST
    for expiry in (LATEST + 1, -1):
        with pytest.raises(OverflowError):
            xcauth.make(SECRET, ALICE, expiry)


def test_the_letters_that_look_like_others_are_spelled_by_signs():
    text = b"AOIlOIlOIlOIlOIlOIlOIlOIlOIlOIk"
    signs = text.translate(bytes.maketrans(b"OIl", b"-$%"))
    assert "spelling" in refusal(text)
    token = xcauth.read(signs)
    assert b"\0" + token.mac + token.head == mint.xcauth_raw(text.decode())


@pytest.mark.parametrize(
    "token",
    [b"", TOKEN[:-1], TOKEN + b"A", TOKEN + b"=", TOKEN[:-1] + b"=", TOKEN + b"\n", b" " + TOKEN,
     TOKEN[:-1] + b"\n", TOKEN[:-1] + b"B", TOKEN[:-1] + b"_", TOKEN[:-2] + "é".encode()],
)  # fmt: skip
def test_what_is_not_the_one_spelling_of_23_octets_is_refused(token):
    assert refusal(token) == "not the one spelling that 23 octets have in xcauth's base64"


@FEW
@given(st.integers(1, 255))
def test_another_version_is_refused(version):
    assert refusal(mint.xcauth(SECRET, ALICE, EXPIRY, version).encode()) == "not of version 0"


# --- looks ----------------------------------------------------------------------------------------


@FEW
@given(SECRETS, JIDS, EXPIRIES)
def test_a_token_looks_like_one_of_its_key_and_of_no_other(secret, jid, expiry):
    token = xcauth.make(secret, jid, expiry).encode()
    key_id = xcauth.key_id(secret)
    assert xcauth.looks_like_one(token, {key_id})
    assert not xcauth.looks_like_one(token, {bytes([key_id[0] ^ 1, key_id[1]])})
    assert not xcauth.looks_like_one(token, ())


def test_a_loose_spelling_looks_like_one_and_is_refused():
    """Else it would go to the next checker, which would learn what another spelling of it is."""
    for last in set(b"ABCDEFGHabcdefgh0123+/") - {TOKEN[-1]}:
        loose = TOKEN[:-1] + bytes([last])
        assert xcauth.looks_like_one(loose, {xcauth.key_id(SECRET)})


@pytest.mark.parametrize(
    "secret", [TOKEN + b"A", TOKEN[:-1], TOKEN[:-1] + b"=", TOKEN + b"\n", b""]
)
def test_what_is_not_31_characters_does_not_look_like_one(secret):
    assert not xcauth.looks_like_one(secret, {xcauth.key_id(SECRET)})
