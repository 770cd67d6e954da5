"""Why a token is refused: each rung has found out more than the one before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.model import Reason
from authbridge.tokens.refusals import Malformed, Refused, Unfit, Untrusted, quoted

TOKENS = [reason for reason in Reason if reason.value.startswith("token_")]


@pytest.mark.parametrize("rung", [Untrusted, Unfit])
def test_a_refusal_has_its_reason_and_words_for_people(rung):
    refused = rung(Reason.TOKEN_EXPIRED, "it was long ago")
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.words, refused.signer) == (
        Reason.TOKEN_EXPIRED, "it was long ago", "",
    )  # fmt: skip


def test_what_is_out_of_form_is_malformed():
    assert Malformed("two dots are missing").reason is Reason.TOKEN_MALFORMED
    assert Malformed("two dots are missing").words == "two dots are missing"


def test_a_refusal_that_escapes_into_the_log_says_no_more_than_its_reason():
    refused = Unfit(Reason.TOKEN_USER_WRONG, "`sub` is 'alice'")
    assert str(refused) == "token_user_wrong"
    assert "alice" not in repr(refused)


def test_the_rungs_are_apart():
    for rung in (Malformed, Untrusted, Unfit):
        assert issubclass(rung, Refused)
        assert not any(issubclass(rung, other) for other in {Malformed, Untrusted, Unfit} - {rung})


def test_every_reason_has_words():
    assert len(TOKENS) == 23
    for reason in (*TOKENS, Reason.KEYS_UNAVAILABLE):
        assert reason.words.isascii() or "…" in reason.words
        assert reason.words


@given(st.text(max_size=120) | st.lists(st.text(max_size=20), max_size=5) | st.integers())
def test_what_a_token_says_is_quoted_in_one_short_printable_line(value):
    text = quoted(value)
    assert len(text) <= 80
    assert text.isprintable()
    assert text.removesuffix("…").isascii()


def test_what_fits_is_quoted_as_it_is():
    assert quoted("alice@example.org") == "'alice@example.org'"
    assert quoted("\x1b[31m\n\ud800é") == "'\\x1b[31m\\n\\ud800\\xe9'"
    assert quoted("x" * 78) == f"'{'x' * 78}'"
    assert quoted("x" * 79) == f"'{'x' * 78}…"
    assert quoted("alice", 4) == "'al…"
