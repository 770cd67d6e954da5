"""A secret shows itself to nobody."""

from __future__ import annotations

import pickle

import pytest

from authbridge.secret import Secret


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>20}".format, lambda s: f"{s:x}"])
def test_no_way_of_formatting_shows_it(show):
    assert "wonderland" not in show(Secret(b"wonderland"))


def test_it_matches_the_same_octets_and_no_others():
    secret = Secret(b"wonderland")
    assert secret.matches(b"wonderland")
    assert not secret.matches(b"wonderlanD")
    assert not secret.matches(b"")
    assert secret.reveal() == b"wonderland"


def test_it_cannot_be_compared_hashed_or_pickled():
    with pytest.raises(TypeError):
        assert Secret(b"a") == Secret(b"a")
    with pytest.raises(TypeError):
        hash(Secret(b"a"))
    with pytest.raises(TypeError):
        pickle.dumps(Secret(b"a"))
