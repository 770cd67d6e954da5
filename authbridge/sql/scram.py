"""SCRAM's keys in the place of passwords, as XMPP servers store them (RFC 5802, 3).

SaltedPassword := PBKDF2(HMAC-H, SASLprep(password), salt, iterations)
StoredKey      := H(HMAC-H(SaltedPassword, "Client Key"))
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from authbridge import password_hash

MOST_ITERATIONS = 5_000_000
"""Some three seconds of a processor; more is taken for a mistake."""
MOST_SALT = 1024
"""Octets."""
SALT_ENCODINGS = ("base64", "hex", "text")

_DIGESTS = {20: "sha1", 32: "sha256", 64: "sha512"}
KINDS = {"sha1": "scram-sha-1", "sha256": "scram-sha-256", "sha512": "scram-sha-512"}
DEFAULT_ITERATIONS = 10_000
"""Prosody's; ejabberd's are 4096."""


class Unfit(ValueError):
    """These are no keys of SCRAM; the text says why, and repeats nothing of them."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is stored of one password."""

    digest: str
    stored_key: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    iterations: int

    @property
    def kind(self) -> str:
        """As `hashes` names it."""
        return KINDS[self.digest]

    @property
    def described(self) -> str:
        """The kind and its cost, for `explain`."""
        return f"{self.kind}, {self.iterations} iterations"

    def verify(self, password: bytes) -> bool:
        """Whether they were made of this password. Takes `iterations`, right or wrong."""
        prepared = password_hash.prepare(password)
        salted = hashlib.pbkdf2_hmac(self.digest, prepared, self.salt, self.iterations)
        client_key = hmac.digest(salted, b"Client Key", self.digest)
        made = hashlib.new(self.digest, client_key).digest()
        return hmac.compare_digest(made, self.stored_key)


def read(stored_key: Any, salt: Any, iterations: Any, salt_encoding: str) -> ScramKeys:
    """From columns. `stored_key` is in hexadecimal or in base64, which its length tells. Raises
    Unfit."""
    key = _key(_octets(stored_key, "stored_key"))
    return ScramKeys(
        _DIGESTS[len(key)],
        key,
        _salt(_octets(salt, "salt"), salt_encoding),
        _count(iterations),
    )


def decoy(kind: str) -> ScramKeys:
    """Keys of no password, at a usual cost."""
    digest = next(name for name, known in KINDS.items() if known == kind)
    length = hashlib.new(digest).digest_size
    return ScramKeys(digest, bytes(length), bytes(16), DEFAULT_ITERATIONS)


def _octets(value: Any, column: str) -> bytes:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    if not isinstance(value, bytes) or not value:
        raise Unfit(f"{column} is no text")
    return value


def _key(octets: bytes) -> bytes:
    for length in _DIGESTS:
        try:
            if len(octets) == 2 * length:
                return binascii.unhexlify(octets)
            if len(octets) == 4 * -(-length // 3):
                key = base64.b64decode(octets, validate=True)
                if len(key) == length:
                    return key
        except binascii.Error:
            break
    raise Unfit("stored_key is no digest of SHA-1, SHA-256 or SHA-512 in hexadecimal or base64")


def _salt(octets: bytes, encoding: str) -> bytes:
    try:
        if encoding == "base64":
            octets = base64.b64decode(octets, validate=True)
        elif encoding == "hex":
            octets = binascii.unhexlify(octets)
    except binascii.Error:
        raise Unfit(f"salt is not in {encoding}; see salt_encoding") from None
    if not 0 < len(octets) <= MOST_SALT:
        raise Unfit("salt is empty, or too long to be one")
    return octets


def _count(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or not 0 < value <= MOST_ITERATIONS:
        raise Unfit(f"iterations is no number between 1 and {MOST_ITERATIONS}")
    return value
