"""JSON that nobody else can read as something else."""

from __future__ import annotations

import contextlib
import json
import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.tokens import strict_json
from tests.tokens.speed import times_as_long

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def refusal(text):
    """Why this is refused."""
    with pytest.raises(ValueError) as raised:
        strict_json.read_object(text.encode() if isinstance(text, str) else text)
    return str(raised.value)


@given(OBJECTS, st.sampled_from([None, 2]), st.booleans())
def test_what_is_written_plainly_is_read(found, indent, ascii_only):
    text = json.dumps(found, indent=indent, ensure_ascii=ascii_only)
    octets = text.encode(errors="surrogatepass")
    if depth(found) > strict_json.MOST_DEPTH:
        assert "deeper" in refusal(octets)
    else:
        assert strict_json.read_object(octets) == found


PIECES = st.lists(
    st.sampled_from(
        ['{', '}', '[', ']', ',', ':', '"', '"a"', '"b"', '\\', '\\"', '\\u00', '\n', ' ', '1', '-',
         '.5', 'e9', 'null', 'true', 'NaN', '\ufeff', '{"a":', '"a":1', '\x00', 'é']
    ),
    max_size=14,
).map("".join)  # fmt: skip


@given(
    st.one_of(
        PIECES.map(str.encode),
        st.binary(max_size=20),
        PIECES.map(lambda s: f'{{"x":{s}}}'.encode()),
    )
)
def test_what_is_accepted_means_the_same_to_the_standard_library(octets):
    try:
        found = strict_json.read_object(octets)
    except ValueError:
        return
    assert found == json.loads(octets.decode())
    assert isinstance(found, dict)


@given(PIECES)
def test_what_the_standard_library_refuses_is_refused(text):
    try:
        json.loads(text)
    except ValueError:
        refusal(text)


@given(OBJECTS.filter(bool), st.integers(0, strict_json.MOST_DEPTH - 1), st.data())
def test_a_member_that_is_given_twice_is_refused_at_every_depth(members, around, data):
    pairs = [f"{json.dumps(name)}:0" for name in members]
    twice = data.draw(st.sampled_from(pairs))
    pairs.insert(data.draw(st.integers(0, len(pairs))), twice)
    text = "{" + ",".join(pairs) + "}"
    for _ in range(around):
        text = f'{{"a": {text}, "b": 1}}'
    assert refusal(text) == "a member that is given twice"


def test_a_member_that_is_spelled_in_two_ways_is_given_twice():
    assert refusal('{"alg": "ES256", "\\u0061lg": "none"}') == "a member that is given twice"
    assert refusal('{"a": [{"b": 1, "b": 1}]}') == "a member that is given twice"
    assert strict_json.read_object(b'{"a": {"a": {"a": 1}}, "A": 2}') == {
        "a": {"a": {"a": 1}}, "A": 2,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "[NaN]", '{"a": -Infinity}'])
def test_what_json_does_not_have_is_refused(value):
    assert refusal(f'{{"exp": {value}}}') == "NaN or Infinity, which JSON does not have"


def test_a_number_beyond_all_floats_is_no_number_that_compares():
    """RFC 8259 has no limit for numbers; what reads dates has one."""
    assert strict_json.read_object(b'{"exp": 1e999}') == {"exp": math.inf}


@pytest.mark.parametrize(
    "text",
    ["[]", '"a"', "1", "null", "true", '[{"a": 1}]', "[" * 5 + "]" * 5],
)
def test_what_is_no_object_is_refused(text):
    assert refusal(text) == "no JSON object"


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", '{"a"}', "{'a': 1}", '{"a": 1,}', '{"a": 1} x', '{"a": 01}', '{"a": .5}',
     "{} {}", '{"a": "\n"}', '{"a": "\\x"}', "// c\n{}", "\ufeff{}", "\u00a0{}", "{}\0",
     '{"a": tru}', '{"a": +1}', '{"a": 0x1}'],
)  # fmt: skip
def test_what_is_no_json_is_refused(text):
    assert refusal(text).startswith("no JSON: ")


@pytest.mark.parametrize(
    "octets",
    [
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        '{"é": 1}'.encode("latin-1"),
    ],
)
def test_what_is_not_utf_8_is_refused(octets):
    assert refusal(octets) == "not UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-8-sig"])
def test_another_encoding_of_unicode_is_refused(encoding):
    assert json.loads('{"a": 1}'.encode(encoding)) == {"a": 1}
    refusal('{"a": 1}'.encode(encoding))


@pytest.mark.parametrize(("opens", "closes"), [('{"a":', "}"), ("[", "]"), ('[{"a":', "}]")])
def test_eight_levels_are_read_and_nine_are_refused(opens, closes):
    each = opens.count("{") + opens.count("[")
    inner = (strict_json.MOST_DEPTH - 2) // each
    deepest = '{"x":' + opens * inner + "{}" + closes * inner + "}"
    found = strict_json.read_object(deepest.encode())
    assert depth(found) == 2 + inner * each
    beside = deepest.removesuffix("}") + ',"y":[[],{}]}'
    assert depth(strict_json.read_object(beside.encode())) == 2 + inner * each
    deeper = '{"x":' + opens * inner + "[[[]]]" + closes * inner + "}"
    assert "deeper than 8 levels" in refusal(deeper)


@pytest.mark.parametrize("count", [9, 1000, 100_000])
def test_brackets_that_open_nothing_are_not_counted(count):
    """In strings, and side by side."""
    name = "[{" * count + '\\"{['
    text = f'{{"a": "{name}", "b": [{"[]," * count}[]]}}'
    found = strict_json.read_object(text.encode())
    assert found["a"] == "[{" * count + '"{['
    assert len(found["b"]) == count + 1


SLOW = {
    "a string that does not end": (b"[" * 9, b'\\"'), "quotes": (b"[" * 9, b'"'),
    "backslashes": (b'[[[[[[[[["', b"\\"), "quotes and backslashes": (b"[" * 9, b'"\\'),
    "brackets": (b"", b"[]"), "brackets in a string": (b'"', b"[{"),
    "strings": (b"[" * 9, b'"a"'),
}  # fmt: skip


def looked_at(octets):
    for _ in range(5):
        with contextlib.suppress(ValueError):
            strict_json.read_object(octets)


@pytest.mark.parametrize("what", SLOW)
def test_what_is_eight_times_as_long_does_not_take_much_more_than_eight_times(what):
    """All of authbridge waits while it is read; were it squared, it would be 64 times."""
    before, piece = SLOW[what]
    short, long = (before + piece * (size // len(piece)) for size in (8192, 65_536))
    assert times_as_long(partial(looked_at, long), partial(looked_at, short), 24) < 24


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"a": [[[[[[[[[[[[['])
def test_depths_that_would_end_the_parser_are_refused_without_it(text):
    assert "deeper" in refusal(text)


def test_numbers_of_thousands_of_digits_are_refused():
    assert refusal('{"exp": 1' + "0" * 10_000 + "}") == "a number that is too long"


@pytest.mark.parametrize(
    "text",
    ['{"through": NaN, "wonderland": 1}', '{"wonderland": 1, "wonderland": 1}', '{"wonderland"',
     '{"a": "wonderland', '["wonderland"]', '{"a": ' + "[" * 9 + '"wonderland"' + "]" * 9 + "}"],
)  # fmt: skip
def test_a_refusal_never_holds_what_was_read(text):
    with pytest.raises(ValueError) as raised:
        strict_json.read_object(text.encode())
    assert "wonderland" not in str(raised.value)
    assert raised.value.__cause__ is None
