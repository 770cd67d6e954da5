"""Tokens that nobody may be let in with, each wrong in one way, with the reason to be given.

Except where the signature is what is wrong, it is right: a checker that looked at nothing else
would let them all in. They are tried against the issuers of `issuers.py`; `corpus` has them all.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from authbridge.model import Reason

ALICE = "alice@example.org"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Of base64url."""

MALFORMED = Reason.TOKEN_MALFORMED
ISSUER = Reason.TOKEN_ISSUER_UNKNOWN
KEY = Reason.TOKEN_KEY_UNKNOWN
ALGORITHM = Reason.TOKEN_ALGORITHM_REFUSED
SIGNATURE = Reason.TOKEN_SIGNATURE_WRONG
TYPE = Reason.TOKEN_TYPE_WRONG
MISSING = Reason.TOKEN_CLAIM_MISSING
EXPIRED = Reason.TOKEN_EXPIRED
NOT_YET = Reason.TOKEN_NOT_YET_VALID
TOO_LONG = Reason.TOKEN_LIFETIME_TOO_LONG
AUDIENCE = Reason.TOKEN_AUDIENCE_WRONG
USER = Reason.TOKEN_USER_WRONG
DOMAIN = Reason.TOKEN_DOMAIN_REFUSED
USER_REFUSED = Reason.TOKEN_USER_REFUSED
NEVER = Reason.TOKEN_NEVER
NOT_ACCEPTED = Reason.TOKEN_NOT_ACCEPTED


@dataclass(frozen=True)
class Hostile:
    """One of them, and what is to be said of it."""

    name: str
    token: bytes
    reasons: frozenset[Reason] = frozenset()
    """Any of these; none: whichever."""
    recognised: bool | None = True
    """Whether it ends at the token checker; None: that, or the next says no."""
    user: str = "alice"
    domain: str = "example.org"


def hostile(
    name: str,
    token: str | bytes,
    *reasons: Reason,
    recognised: bool | None = True,
    user: str = "alice",
    domain: str = "example.org",
) -> Hostile:
    octets = token if isinstance(token, bytes) else token.encode(errors="surrogatepass")
    return Hostile(name, octets, frozenset(reasons), recognised, user, domain)


def damage(name: str, token: str, most: int) -> Iterator[Hostile]:
    """Beginnings of a right token, and the token with one bit, one octet or two wrong: about `most`
    of each, always the same ones."""
    dice = random.Random(name)
    octets = token.encode()
    ends = range(1, len(octets))
    for end in ends if len(ends) <= most else sorted(dice.sample(ends, most)):
        yield Hostile(f"{name}: the first {end} octets", octets[:end], recognised=None)
    for at in sorted(dice.sample(range(len(octets)), min(most, len(octets)))):
        bit = 1 << dice.randrange(8)
        changed = octets[:at] + bytes([octets[at] ^ bit]) + octets[at + 1 :]
        yield Hostile(f"{name}: bit {bit} of octet {at} turned", changed, recognised=None)
        yield Hostile(f"{name}: octet {at} gone", octets[:at] + octets[at + 1 :], recognised=None)
        twice = octets[:at] + octets[at : at + 1] + octets[at:]
        yield Hostile(f"{name}: octet {at} twice", twice, recognised=None)
    for _ in range(most // 4):
        one, other = sorted(dice.sample(range(len(octets)), 2))
        if octets[one] != octets[other]:
            changed = bytearray(octets)
            changed[one], changed[other] = changed[other], changed[one]
            yield Hostile(
                f"{name}: octets {one} and {other} swapped", bytes(changed), recognised=None
            )
