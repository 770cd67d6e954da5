"""What compact and xcauth tokens have in common."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from authbridge.tokens import mac_token


@given(st.binary(max_size=100), st.lists(st.binary(max_size=100), max_size=3))
def test_a_secret_that_was_taken_up_makes_the_same_macs_again_and_again(secret, messages):
    """SHA-256 hashes secrets longer than its block of 64 octets."""
    keyed = mac_token.keyed(secret)
    for message in [*messages, *messages]:
        expected = hmac.new(secret, message, hashlib.sha256).digest()
        assert mac_token.digest(keyed, message) == expected
