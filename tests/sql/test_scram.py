"""SCRAM's keys in the place of passwords."""

from __future__ import annotations

import base64
import hashlib

import pytest

from authbridge.sql import scram
from authbridge.sql.scram import Unfit

# RFC 5802, 5 and RFC 7677, 3: user "user", password "pencil".
SHA1 = ("QSXCR+Q6sek8bf92", "e9d94660c39d65c38fbad91c358f14da0eef2bd6")
SHA256 = ("W22ZaJ0SNY7soEsUEjb6gQ==", "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=")


def test_the_examples_of_the_specifications_match_their_password_and_no_other():
    for salt, key in (SHA1, SHA256):
        keys = scram.read(key, salt, 4096, "base64")
        assert keys.verify(b"pencil")
        assert not keys.verify(b"Pencil")
    assert scram.read(SHA1[1].encode(), SHA1[0].encode(), "4096", "base64").kind == "scram-sha-1"


def test_hexadecimal_and_base64_are_told_by_their_length():
    for digest, kind in scram.KINDS.items():
        octets = hashlib.new(digest, b"x").digest()
        for text in (octets.hex(), octets.hex().upper(), base64.b64encode(octets).decode()):
            keys = scram.read(text, "x", 1, "text")
            assert (keys.stored_key, keys.kind) == (octets, kind)


def test_a_salt_is_in_the_encoding_that_is_told():
    for text, encoding, salt in (
        ("QUI=", "base64", b"AB"),
        ("4142", "hex", b"AB"),
        ("4142", "text", b"4142"),
        ("ä", "text", "ä".encode()),
    ):
        assert scram.read(SHA1[1], text, 1, encoding).salt == salt


def test_a_password_is_prepared_before_it_is_hashed():
    keys = scram.read(SHA1[1], SHA1[0], 4096, "base64")
    assert keys.verify("pen\u00adcil".encode())


def test_what_cannot_be_keys_is_refused_and_not_repeated():
    for row in (
        ("x" * 40, "QUI=", 1, "base64"),
        ("=" * 28, "QUI=", 1, "base64"),
        ("A" * 88, "QUI=", 1, "base64"),
        ("hunter2", "QUI=", 1, "base64"),
        ("", "QUI=", 1, "base64"),
        (7, "QUI=", 1, "base64"),
        (SHA1[1], None, 1, "base64"),
        (SHA1[1], "hunter2", 1, "base64"),
        (SHA1[1], "hunter2", 1, "hex"),
        (SHA1[1], "x" * 1025, 1, "text"),
        (SHA1[1], "====", 1, "base64"),
        (SHA1[1], "QUI=", 0, "base64"),
        (SHA1[1], "QUI=", None, "base64"),
        (SHA1[1], "QUI=", "x", "base64"),
        (SHA1[1], "QUI=", "1" * 10, "base64"),
        (SHA1[1], "QUI=", 5_000_001, "base64"),
    ):
        with pytest.raises(Unfit) as raised:
            scram.read(*row)
        assert "hunter2" not in str(raised.value)


def test_nothing_of_a_key_is_shown():
    keys = scram.read(SHA1[1], SHA1[0], 4096, "base64")
    assert repr(keys) == "ScramKeys(digest='sha1', iterations=4096)"
    assert keys.described == "scram-sha-1, 4096 iterations"


def test_a_decoy_matches_nothing_at_a_usual_cost():
    for kind in scram.KINDS.values():
        decoy = scram.decoy(kind)
        assert decoy.kind == kind
        assert decoy.iterations == scram.DEFAULT_ITERATIONS
        assert not decoy.verify(b"x")
