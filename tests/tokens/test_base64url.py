"""base64url: one text for any octets, and one meaning of any text."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.tokens import base64url

ALPHABET = (string.ascii_letters + string.digits + "-_").encode()
TEXTS = st.lists(st.sampled_from(sorted(ALPHABET)), max_size=12).map(bytes)

# RFC 4648, 10, and RFC 7515, A.1.1 and appendix C.
VECTORS = [
    (b"", b""),
    (b"f", b"Zg"),
    (b"fo", b"Zm8"),
    (b"foo", b"Zm9v"),
    (b"foob", b"Zm9vYg"),
    (b"fooba", b"Zm9vYmE"),
    (b"foobar", b"Zm9vYmFy"),
    (bytes([3, 236, 255, 224, 193]), b"A-z_4ME"),
    (b'{"typ":"JWT",\r\n "alg":"HS256"}', b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"),
]


@pytest.mark.parametrize(("octets", "text"), VECTORS)
def test_the_published_examples_are_read_and_made(octets, text):
    assert base64url.encode(octets) == text
    assert base64url.decode(text) == octets


@given(st.binary(max_size=200))
def test_what_is_encoded_is_decoded_again(octets):
    text = base64url.encode(octets)
    assert base64url.decode(text) == octets
    assert text == base64.urlsafe_b64encode(octets).rstrip(b"=")


@given(st.one_of(TEXTS, st.binary(max_size=12)))
def test_whatever_decodes_is_the_one_form_of_its_octets(text):
    try:
        octets = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(octets) == text


@given(TEXTS)
def test_what_is_refused_is_the_one_form_of_nothing(text):
    """Nothing else is: the standard library's reading, encoded again, is another text."""
    padded = text + b"=" * (-len(text) % 4)
    try:
        loose = base64.urlsafe_b64decode(padded)
        canonical = base64.urlsafe_b64encode(loose).rstrip(b"=") == text
    except ValueError:
        canonical = False
    if canonical:
        assert base64url.decode(text) == loose
    else:
        with pytest.raises(ValueError):
            base64url.decode(text)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_one_text_in_sixteen_or_in_four_is_canonical(length):
    """Of all last characters, those without bits to spare."""
    taken = 0
    for last in ALPHABET:
        try:
            base64url.decode(b"AAA"[: length - 1] + bytes([last]))
            taken += 1
        except ValueError:
            pass
    assert taken == {2: 4, 3: 16, 4: 64}[length]


@pytest.mark.parametrize(
    "text",
    [
        b"Z", b"Zm9vY", b"Zh", b"Zm9", b"Zg==", b"Zg=", b"Zm8=", b"====", b"=", b"Zm9v====",
        b"Zm9v\n", b" Zm9v", b"Zm 9v", b"Zm9v Zm8", b"Zm9v.", b"Z+g0", b"Z/g0", b"Zm9!", b"Zm9vY!",
        b"\xc5\xb9m9", b"Zm9\0", b"Zm==Zm9v",
    ],
)  # fmt: skip
def test_foreign_characters_padding_and_bits_left_over_are_refused(text):
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_no_other_octet_stands_in_for_one_of_the_alphabet(octets, data):
    text = bytearray(base64url.encode(octets))
    place = data.draw(st.integers(0, len(text) - 1))
    foreign = data.draw(st.sampled_from([n for n in range(256) if n not in ALPHABET]))
    text[place] = foreign
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(bytes(text))
