"""All hostile tokens, in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.tokens import (
    hostile_claims,
    hostile_forms,
    hostile_jwts,
    hostile_macs,
    hostile_temporaries,
    mint,
)
from tests.tokens.hostile import (
    Hostile,
    damage,
)
from tests.tokens.issuers import (
    good,
)

DETAILED = ("ES256", "HS256", "EdDSA")
"""Cheap to sign with; what has nothing to do with signatures is tried with these."""


def of(group: str, url: str) -> Iterator[Hostile]:
    """Those of one of GROUPS; `url` is where the keys of strangers are."""
    if group in OTHERS:
        yield from OTHERS[group]()
        return
    for some in hostile_jwts.OF_EVERY_ALGORITHM:
        yield from some(group)
    yield from hostile_jwts.strangers(group, url)
    yield from hostile_forms.forms(group)
    yield from damage(group, good(group), 200 if group == "HS256" else 24)
    if group in DETAILED:
        yield from hostile_forms.payloads(group)
        for some in hostile_claims.OF_ANY_ALGORITHM:
            yield from some(group)


OTHERS: dict[str, Callable[[], Iterator[Hostile]]] = {
    "settings": hostile_claims.settings, "compact": hostile_macs.compacts,
    "xcauth": hostile_macs.xcauths, "passwords": hostile_macs.passwords,
    "temporary": hostile_temporaries.temporaries, "slow": hostile_forms.slow,
    "padding within": hostile_forms.padding_within,
    "broken headers": hostile_forms.broken_headers, "surrogates": hostile_forms.surrogates,
}  # fmt: skip
GROUPS = (*mint.ALGORITHMS, *OTHERS)
