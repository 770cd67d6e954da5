"""Elements and numbers: written in the shortest form, read within their bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.ldap import ber
from authbridge.ldap.ber import Malformed


@pytest.mark.parametrize(
    ("size", "octets"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8180"),
        (255, "81ff"),
        (256, "820100"),
        (65536, "83010000"),
        (2**24, "8401000000"),
    ],
)
def test_a_length_is_as_short_as_can_be(size, octets):
    assert ber.length(size).hex() == octets


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (0, "020100"),
        (127, "02017f"),
        (128, "02020080"),
        (256, "02020100"),
        (2**31 - 1, "02047fffffff"),
    ],
)
def test_a_number_has_a_sign_bit_that_is_clear(value, octets):
    assert ber.integer(value).hex() == octets
    assert ber.integer(value, ber.ENUMERATED).hex() == f"0a{octets[2:]}"


@given(st.binary(max_size=300), st.integers(0, 255))
def test_what_is_written_is_read_and_no_octet_less_of_it(content, tag):
    octets = ber.element(tag, content)
    found, start, stop = ber.read(octets, 0, len(octets))
    assert (found, octets[start:stop], stop) == (tag, content, len(octets))
    for end in range(len(octets)):
        with pytest.raises(Malformed):
            ber.read(octets, 0, end)


@pytest.mark.parametrize("header", ["8101", "820001", "83000001", "8400000001"])
def test_a_length_may_be_longer_than_it_need_be(header):
    """Active Directory writes all of them with four octets."""
    octets = bytes.fromhex(f"04{header}61")
    assert ber.expect(4, octets, 0, len(octets)) == (len(octets) - 1, len(octets))


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        ("", "ends within its header"),
        ("04", "ends within its header"),
        ("0482", "ends within its header"),
        ("048200", "ends within its header"),
        ("0480", "indefinite, or longer"),
        ("048000", "indefinite, or longer"),
        ("04850000000001ff", "indefinite, or longer"),
        ("04ff", "indefinite, or longer"),
        ("0401", "longer than what it is in"),
        ("0484ffffffff00", "longer than what it is in"),
    ],
)
def test_a_length_that_cannot_be_is_malformed(octets, said):
    data = bytes.fromhex(octets)
    with pytest.raises(Malformed, match=said):
        ber.read(data, 0, len(data))


def test_an_element_does_not_reach_out_of_its_parent():
    data = bytes.fromhex("0403616263")
    with pytest.raises(Malformed, match="longer than what it is in"):
        ber.read(data, 0, 4)


def test_an_expected_element_does_not_either():
    for octets in (b"\x04\x05ab", b"\x04\x81\x05ab", b"\x04"):
        with pytest.raises(Malformed):
            ber.expect(4, octets, 0, len(octets))


def test_another_tag_is_malformed():
    with pytest.raises(Malformed, match="a tag is 0x05 in place of 0x04"):
        ber.expect(4, b"\x05\x00", 0, 2)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 32767, 32768, 2**24, 2**31 - 1])
def test_a_number_is_read_as_it_was_written(value):
    octets = ber.integer(value)
    assert ber.read_number(2, octets, 0, len(octets)) == (value, len(octets))


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        ("0200", "empty, or longer than four"),
        ("02050100000000", "empty, or longer than four"),
        ("0201ff", "is negative"),
        ("0202ff00", "negative, or longer than it need be"),
        ("02020001", "negative, or longer than it need be"),
        ("0204ffffffff", "negative, or longer than it need be"),
        ("0a0101", "in place of"),
    ],
)
def test_a_number_has_one_spelling(octets, said):
    data = bytes.fromhex(octets)
    with pytest.raises(Malformed, match=said):
        ber.read_number(2, data, 0, len(data))
