"""What the tokens of somebody else look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from authbridge.settings import Mistakes, Table
from authbridge.tokens.shapes import MOST_LENGTH, Shape


def read(**given):
    mistakes = Mistakes()
    table = Table(given, "checkers.c", mistakes, Path("/"))
    found = Shape.read(table)
    table.close()
    return found, list(mistakes)


def test_nothing_is_known_of_tokens_unless_something_is_given():
    assert read() == (None, [])


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"token_length": 43}, Shape(b"", 43, 43)),
        ({"token_length": [40, 64]}, Shape(b"", 40, 64)),
        ({"token_prefix": "gho_"}, Shape(b"gho_", 20, MOST_LENGTH)),
        ({"token_prefix": "a.b", "token_length": 20}, Shape(b"a.b", 20, 20)),
    ],
)
def test_a_prefix_a_length_or_both_are_given(given, shape):
    assert read(**given) == (shape, [])


@pytest.mark.parametrize("length", [19, 4097, True, "43", 43.0, [], [43], [50, 40], [20, 30, 40]])
def test_a_length_that_is_none_is_a_mistake(length):
    (_, (mistake,)) = read(token_length=length)
    assert mistake == (
        "checkers.c.token_length: should be a number of characters, or [least, most], from 20 to "
        "4096"
    )


@pytest.mark.parametrize("prefix", ["with blank", "é", "x" * 65, "=="])
def test_a_prefix_that_no_token_could_have_is_a_mistake(prefix):
    (_, (mistake,)) = read(token_prefix=prefix)
    assert mistake.startswith("checkers.c.token_prefix: is of letters, digits and . _ ~ + / -, 64")


def test_a_prefix_that_is_no_text_is_one_mistake():
    assert len(read(token_prefix=7)[1]) == 1


def test_one_shape_may_take_what_has_another():
    short, long = Shape(b"", 43, 43), Shape(b"", 44, 64)
    gho, ghp = Shape(b"gho_", 20, 50), Shape(b"ghp_", 20, 50)
    for taker, taken in ((short, short), (short, gho), (gho, gho), (long, gho), (short, ghp)):
        assert taker.takes(taken)
    for taker, taken in ((short, long), (long, short), (gho, ghp), (gho, short)):
        assert not taker.takes(taken)


def test_a_token_has_the_prefix_the_length_and_no_foreign_characters():
    shape = Shape(b"gho_", 10, 12)
    for token in (b"gho_abcdef", b"gho_ABC-._~+", b"gho_abc/12==", b"gho_aaaaaa=="):
        assert shape.matches(token), token
    for other in (
        b"gho_abcde", b"gho_abcdefghi", b"ghp_abcdef", b"gho_abc ef", b"gho_abcde\n", b"gho_ab=cd",
        b"gho_abcd\xc3\xa9", b" gho_abcdef", b"", b"gho_abc,ef", b'gho_abc"ef',
    ):  # fmt: skip
        assert not shape.matches(other), other
