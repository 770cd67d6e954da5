"""Temporary tokens: how they are made, and the one form that is one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.tokens import temporary
from authbridge.tokens.forms import Form, recognise
from authbridge.tokens.refusals import Malformed
from tests.tokens.mint import b64

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "tokens" / "temporary.json").read_text()
)
NOBODY: frozenset[bytes] = frozenset()


@pytest.mark.parametrize("vector", VECTORS["good"], ids=lambda vector: vector["octets"][:8])
def test_published_tokens_stay_what_they_are(vector):
    """A daemon of every version has to know those that an older one has issued."""
    token = temporary.make(bytes.fromhex(vector["octets"]))
    assert token == vector["token"]
    digest = temporary.digest(token.encode())
    assert digest.hex() == vector["digest"]
    assert temporary.id_of(digest) == vector["id"]
    assert recognise(token.encode(), NOBODY) is Form.TEMPORARY


@pytest.mark.parametrize("vector", VECTORS["malformed"], ids=lambda vector: vector["why"])
def test_published_faults_stay_faults(vector):
    secret = vector["token"].encode()
    with pytest.raises(Malformed) as refused:
        temporary.digest(secret)
    assert secret.decode()[6:20].strip() not in refused.value.words or len(secret) < 20
    assert recognise(secret, NOBODY) is (Form.TEMPORARY if vector["recognised"] else None)


@given(st.binary(min_size=32, max_size=32))
def test_a_token_is_its_prefix_and_its_octets(octets):
    token = temporary.make(octets)
    assert token == "abtt1_" + b64(octets)
    assert len(token) == temporary.LENGTH
    digest = temporary.digest(token.encode())
    assert digest == hashlib.sha256(token.encode()).digest()
    assert temporary.id_of(digest) == digest.hex()[:32]
    assert recognise(token.encode(), NOBODY) is Form.TEMPORARY


@given(st.binary(max_size=60).filter(lambda octets: len(octets) != 32))
def test_another_number_of_octets_makes_none(octets):
    with pytest.raises(AssertionError):
        temporary.make(octets)
    with pytest.raises(Malformed):
        temporary.digest(b"abtt1_" + b64(octets).encode())


@given(st.binary(min_size=32, max_size=32), st.integers(0, 48), st.integers(1, 255))
def test_one_octet_changed_is_no_token_or_another_one(octets, at, turned):
    token = temporary.make(octets).encode()
    changed = token[:at] + bytes([token[at] ^ turned]) + token[at + 1 :]
    try:
        assert temporary.digest(changed) != temporary.digest(token)
    except Malformed:
        pass


@given(st.binary(max_size=100))
def test_any_octets_are_judged_without_a_fault(octets):
    for secret in (octets, b"abtt1_" + octets):
        try:
            temporary.digest(secret)
        except Malformed:
            pass


def test_of_the_last_characters_there_is_one_in_four():
    """43 characters have two bits more than 32 octets: one token, one spelling."""
    token = temporary.make(bytes(range(32))).encode()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    good = 0
    for last in alphabet:
        try:
            temporary.digest(token[:-1] + bytes([last]))
            good += 1
        except Malformed:
            pass
    assert good == 16
