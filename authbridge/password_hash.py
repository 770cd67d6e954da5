"""argon2id hashes of passwords as PHC strings: made, read, compared.

    $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH

(RFC 9106; https://github.com/P-H-C/phc-string-format.) The hash is taken over the password's
prepared form: Prosody hands passwords over SASLprepped (RFC 4013), ejabberd as the client sent
them, and both have to reach the same hash.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stringprep
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from twisted.words.protocols.jabber.xmpp_stringprep import (
    B_1,
    C_3,
    C_4,
    C_5,
    C_6,
    C_7,
    C_8,
    C_9,
    C_12,
    C_21,
    C_22,
    MappingTableFromFunction,
    Profile,
)

SALT, LENGTH = 16, 32
"""Octets."""

LONGEST_PREPARED = 1023
"""Octets (Prosody's util-src/encodings.c, stringprep_prep)."""

MOST_MEMORY, MOST_PASSES, MOST_LANES = 1 << 21, 64, 64
"""KiB, passes and lanes above which a line is taken for a mistake."""

_PHC = re.compile(
    r"\$argon2id\$v=19\$m=(?P<memory>[1-9]\d{0,7}),t=(?P<passes>[1-9]\d{0,3}),p=(?P<lanes>[1-9]\d{0,3})"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{16,171})"
)


def _space(character: str) -> str:
    return " " if stringprep.in_table_c12(character) else character


# RFC 4013, 2: non-ASCII spaces become spaces, what is "commonly mapped to nothing" goes, NFKC.
# Unassigned code points pass, as they do in Prosody.
_SASLPREP = Profile(
    mappings=[MappingTableFromFunction(_space), B_1],
    prohibiteds=[C_12, C_21, C_22, C_3, C_4, C_5, C_6, C_7, C_8, C_9],
    check_unassigneds=False,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs: RFC 9106's m (KiB), t and p."""

    memory: int = 19456
    passes: int = 2
    lanes: int = 1


DEFAULT_COST = Cost()
"""OWASP's first choice for argon2id: 19 MiB, two passes; some 30 ms on a server's core."""


def prepare(password: bytes) -> bytes:
    """The octets that are hashed: SASLprep where it applies, or the password as it came.

    What SASLprep refuses (not UTF-8, control characters) never comes from Prosody, nor do 1024
    octets and more: its own preparation takes less. Nor should they be prepared here: NFKC takes a
    time that grows with the square of the length, and holds the interpreter meanwhile.
    """
    if password.isascii() or len(password) > LONGEST_PREPARED:
        return password  # ASCII is itself, to SASLprep, or refused
    try:
        prepared: str = _SASLPREP.prepare(password.decode())
    except UnicodeError:
        return password
    return prepared.encode() or password


def is_prepared(password: bytes) -> bool:
    """Whether SASLprep takes this password and leaves it as it is, so that a server that prepares
    passwords hands over the same as one that does not."""
    if len(password) > LONGEST_PREPARED:
        return False
    try:
        prepared: str = _SASLPREP.prepare(password.decode())
    except UnicodeError:
        return False
    return prepared.encode() == password


def read_cost(phc: str) -> Cost | None:
    """The cost of a PHC string; None where it is not one that `verify` takes."""
    match = _PHC.fullmatch(phc)
    if match is None:
        return None
    cost = Cost(int(match["memory"]), int(match["passes"]), int(match["lanes"]))
    if (
        cost.memory > MOST_MEMORY
        or cost.memory < 8 * cost.lanes
        or cost.passes > MOST_PASSES
        or cost.lanes > MOST_LANES
        or not _canonical(match["salt"])
        or not _canonical(match["hash"])
    ):
        return None
    return cost


def _canonical(text: str) -> bool:
    """Whether this is the one way to write its octets in base64 without padding."""
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.b64encode(base64.b64decode(padded, validate=True)).decode() == padded
    except binascii.Error:
        return False


def make(password: bytes, cost: Cost = DEFAULT_COST) -> str:
    """A PHC string of this password, with a salt of its own. Takes `cost`."""
    return Argon2id(
        salt=os.urandom(SALT),
        length=LENGTH,
        iterations=cost.passes,
        lanes=cost.lanes,
        memory_cost=cost.memory,
    ).derive_phc_encoded(prepare(password))


def verify(password: bytes, phc: str) -> bool:
    """Whether the string was made of this password. Takes the string's cost, right or wrong."""
    try:
        Argon2id.verify_phc_encoded(prepare(password), phc)
    except InvalidKey:
        return False
    return True


def decoy(costs: Iterable[Cost]) -> str:
    """A string that no password matches, at the most frequent of these costs.

    Verifying against it makes a user who does not exist take as long as one who does.
    """
    frequent = Counter(costs).most_common(1)
    return make(os.urandom(LENGTH), frequent[0][0] if frequent else DEFAULT_COST)
