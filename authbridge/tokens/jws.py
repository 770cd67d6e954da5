"""JWS compact serialization (RFC 7515, 7.1): one form, read strictly, verified by joserfc.

The library's own reader takes duplicate members, byte order marks, UTF-16, and other spellings of
base64; and what is parsed twice can be understood twice. So the text is read here, once, and the
library gets the octets that were signed, the signature and a key with its algorithm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from authbridge.model import Reason, Trace
from authbridge.tokens import base64url, strict_json
from authbridge.tokens.keys import MOST_KID, MOST_TRIED, Key, KeySet
from authbridge.tokens.refusals import Malformed, Untrusted, quoted

MOST_OCTETS = 8192

_FORM = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
_CHANGING = frozenset({"crit", "b64", "zip", "cty", "enc"})
"""Members that would have the rest read otherwise, or that must be understood: none is."""


class Jws(NamedTuple):
    """A token that was read, and not yet verified."""

    header: dict[str, Any]
    payload: bytes
    signed: bytes
    """What the signature is over."""
    signature: bytes


def read(token: bytes) -> Jws:
    """Take a token apart. Raises Malformed."""
    if len(token) > MOST_OCTETS:
        raise Malformed(f"it is longer than {MOST_OCTETS} octets")
    found = _FORM.fullmatch(token)
    if found is None:
        if _FORM.fullmatch(token.strip()):
            raise Malformed("there are blanks or line ends around it")
        parts = token.count(b".") + 1
        raise Malformed(f"not three parts of base64url, divided by dots; it has {parts} parts")
    part = "header"
    try:
        header = strict_json.read_object(base64url.decode(found[1]))
        part = "payload"
        payload = base64url.decode(found[2])
        part = "signature"
        signature = base64url.decode(found[3])
    except ValueError as error:
        raise Malformed(f"the {part} is {error}") from None
    if not _CHANGING.isdisjoint(header):
        names = ", ".join(sorted(_CHANGING.intersection(header)))
        raise Malformed(f"the header has {names}, which is not understood here")
    return Jws(header, payload, token[: found.end(2)], signature)


def verify(jws: Jws, keys: KeySet, trace: Trace | None) -> Key:
    """The key that has signed it. Raises Malformed, Untrusted."""
    algorithm, kid = jws.header.get("alg"), jws.header.get("kid")
    if not isinstance(algorithm, str):
        raise Malformed("the header's `alg` is missing, or no string")
    if kid is None and "kid" not in jws.header:
        return _try(jws, algorithm, keys, trace)
    if not isinstance(kid, str) or len(kid) > MOST_KID:
        raise Malformed("the header's `kid` is no string, or too long")
    key = keys.by_id.get(kid)
    if key is None:
        known = ", ".join(quoted(one.kid) for one in keys.keys[:8]) or "none"
        words = f"there is no key {quoted(kid)}; there is {known}"
        raise Untrusted(Reason.TOKEN_KEY_UNKNOWN, words)
    if trace is not None:
        trace.step("key", f"{quoted(kid)} is {key.source}, for {key.algorithm}")
    if algorithm != key.algorithm:
        raise Untrusted(
            Reason.TOKEN_ALGORITHM_REFUSED, f"`alg` is {quoted(algorithm)}, not {key.algorithm}"
        )
    if not key.verify(jws.signed, jws.signature):
        raise Untrusted(Reason.TOKEN_SIGNATURE_WRONG, f"{key.source} has not signed this")
    return key


def _try(jws: Jws, algorithm: str, keys: KeySet, trace: Trace | None) -> Key:
    """Without a kid it may be any of them."""
    possible = keys.by_algorithm.get(algorithm, ())
    if not possible:
        raise Untrusted(
            Reason.TOKEN_ALGORITHM_REFUSED, f"no key is for the `alg` {quoted(algorithm)}"
        )
    if len(possible) > MOST_TRIED:
        raise Untrusted(
            Reason.TOKEN_KEY_UNKNOWN,
            f"it names no key (`kid`), and there are {len(possible)} for {algorithm}",
        )
    for key in possible:
        if key.verify(jws.signed, jws.signature):
            if trace is not None:
                trace.step("key", f"none is named; {key.source}, for {key.algorithm}, is the one")
            return key
    raise Untrusted(
        Reason.TOKEN_SIGNATURE_WRONG, f"none of {len(possible)} keys for {algorithm} has signed it"
    )


def sign(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """A token with these claims; `alg` and `kid` are the key's."""
    protected = {"alg": key.algorithm, **header, "kid": key.kid}
    signed = b"%b.%b" % (_segment(protected), _segment(claims))
    return (signed + b"." + base64url.encode(key.sign(signed))).decode()


def _segment(members: Mapping[str, Any]) -> bytes:
    return base64url.encode(json.dumps(members, separators=(",", ":")).encode())
