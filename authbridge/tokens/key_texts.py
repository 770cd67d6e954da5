"""How files and websites give keys: PEM (RFC 7468), JWK and JWKS (RFC 7517), bare secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from joserfc import jwk
from joserfc.errors import JoseError

from authbridge.tokens import strict_json
from authbridge.tokens.keys import MOST_KID, BadKey, NotForThis, import_key

MOST_OCTETS = 1 << 20
MOST_KEYS = 100
"""Of one issuer."""
MOST_OF_A_MEMBER = 3000
"""Characters; an RSA key of 8192 bits has 1366 in its longest."""

_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]*")
_CURVES = frozenset({"P-256", "P-384", "P-521", "Ed25519", "secp256k1", "Ed448", "X25519", "X448"})
_MEMBERS = frozenset({
    "kty", "use", "key_ops", "alg", "kid",
    "k", "n", "e", "d", "p", "q", "dp", "dq", "qi", "crv", "x", "y",
})  # fmt: skip
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_PARAMETERS = re.compile(
    rb"-----BEGIN EC PARAMETERS-----.*?-----END EC PARAMETERS-----\s*", re.DOTALL
)
_TYPES: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("RSA", (rsa.RSAPublicKey, rsa.RSAPrivateKey)),
    ("EC", (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)),
    (
        "OKP",
        (
            ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey,
            ed448.Ed448PublicKey, ed448.Ed448PrivateKey,
            x25519.X25519PublicKey, x25519.X25519PrivateKey,
            x448.X448PublicKey, x448.X448PrivateKey,
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A key as it was found, before anybody has asked what it is for."""

    jwk: jwk.Key
    kid: str | None
    """None: it goes by its thumbprint."""
    source: str
    """Where, for people."""


@dataclass(frozen=True, slots=True)
class Member:
    """One key of a JWKS, not looked at yet: one that is no good must not spoil the others."""

    members: dict[str, Any]
    source: str
    name: str

    @property
    def is_private(self) -> bool:
        """Whether it has what nobody else may know."""
        return "d" in self.members or "k" in self.members


def read(content: bytes, source: str, name: str, *, secrets: bool) -> Found | list[Member]:
    """The key in a text, or those of a JWKS. `name` is the kid of what has none of its own, where
    it is not empty.

    Where `secrets` may stand there, what is neither PEM nor JSON is one, without the end of its
    line. Raises BadKey.
    """
    if content.startswith(_MARKS):
        raise BadKey(f"{source} begins with a byte order mark; save it as UTF-8 without one")
    text = content.strip()
    if text.startswith(b"-----BEGIN"):
        return Found(_read_pem(text, source), _named(name, source), source)
    if text.startswith(b"{"):
        found = _read_object(content, source)
        if "keys" in found:
            return _list(found["keys"], source, name)
        return read_member(Member(found, source, name))
    if not secrets:
        raise BadKey(f"{source} is neither PEM nor JSON")
    return read_secret(content, source, name)


def read_secret(content: bytes, source: str, name: str) -> Found:
    """A bare secret, without the end of its line. Raises BadKey."""
    if content.startswith(_MARKS):
        raise BadKey(f"{source} begins with a byte order mark; save it as UTF-8 without one")
    line = content.removesuffix(b"\n")
    secret = line.removesuffix(b"\r")
    if not secret.strip():
        raise BadKey(f"{source} is empty")
    if b"\n" in secret and _TEXT.fullmatch(secret):
        raise BadKey(f"{source} has more than one line; a secret is one")
    for octets in (content, line):  # the last octet of a public key may look like the end of a line
        _import(octets, "oct", source)
    return Found(_import(secret, "oct", source), _named(name, source), source)


def read_set(content: bytes, source: str) -> list[Member]:
    """The members of a JWKS. Raises BadKey where it is none."""
    return _list(_read_object(content, source).get("keys"), source, "")


def read_member(member: Member) -> Found:
    """The key of a JWK. Raises BadKey; NotForThis where it is of a type that is not known, which
    is to be passed over in a JWKS (RFC 7517, 5)."""
    members, source = member.members, member.source
    kind = members.get("kty")
    if not isinstance(kind, str) or kind not in jwk.JWKRegistry.key_types:
        raise NotForThis(f"{source} is a JWK of no type that is known (`kty`)")
    curve = members.get("crv", "P-256")
    if not isinstance(curve, str) or curve not in _CURVES:
        raise NotForThis(f"{source} is on a curve that is not known (`crv`)")
    if any(isinstance(value, str) and len(value) > MOST_OF_A_MEMBER for value in members.values()):
        raise BadKey(f"{source} has a member that is too long for a key")
    kid = members.get("kid")
    if kid is None and member.name:
        kid = member.name
    if kid is not None:
        check_kid(kid, source)
    # What else a JWK may have (x5c, x5t …) is not looked at.
    material = {name: value for name, value in members.items() if name in _MEMBERS}
    return Found(_import(material, kind, source), kid, source)


def check_kid(kid: object, source: str) -> str:
    """A kid that can be said to people. Raises BadKey."""
    if not isinstance(kid, str) or not kid.isprintable() or not 1 <= len(kid) <= MOST_KID:
        raise BadKey(f"the kid of {source} is no string of at most {MOST_KID} printable characters")
    return kid


def _named(name: str, source: str) -> str | None:
    return check_kid(name, source) if name else None


def _read_object(content: bytes, source: str) -> dict[str, Any]:
    try:
        return strict_json.read_object(content)
    except ValueError as error:
        raise BadKey(f"{source} is no JWK: {error}") from None


def _list(keys: object, source: str, name: str) -> list[Member]:
    if not isinstance(keys, list) or not all(isinstance(member, dict) for member in keys):
        raise BadKey(f"{source} has no list of keys (`keys`)")
    if len(keys) > MOST_KEYS:
        raise BadKey(f"{source} has {len(keys)} keys; {MOST_KEYS} are plenty")
    return [
        # Its thumbprint would tell of a secret.
        Member(
            member,
            f"key {number} of {source}",
            f"{name}-{number}" if name and "k" in member else "",
        )
        for number, member in enumerate(keys, start=1)
    ]


def _read_pem(text: bytes, source: str) -> jwk.Key:
    text = _PARAMETERS.sub(b"", text)  # openssl puts those of a curve before its key
    labels = _BEGIN.findall(text)
    if len(labels) != 1:
        raise BadKey(f"{source} holds {len(labels)} parts of PEM; a file has one key")
    if labels[0] == b"CERTIFICATE":
        raise BadKey(
            f"{source} is a certificate; `openssl x509 -pubkey -noout -in FILE` prints its key"
        )
    load: Any = serialization.load_pem_public_key
    if b"PRIVATE" in labels[0]:
        load = _load_private
    try:
        loaded = load(text)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey(f"{source} is no PEM of a key that can be read") from None
    except TypeError:
        raise BadKey(f"{source} is encrypted; it is to be read without a password") from None
    for kind, types in _TYPES:
        if isinstance(loaded, types):
            return _import(text, kind, source)
    raise BadKey(f"{source} is a key of a type that signs no token")


def _load_private(text: bytes) -> object:
    return serialization.load_pem_private_key(text, password=None)


def _import(material: bytes | dict[str, Any], kind: str, source: str) -> jwk.Key:
    try:
        imported = import_key(material, kind)
        imported.thumbprint()  # which a key of a curve that JWK does not know has not
    except (ValueError, TypeError, KeyError, JoseError, UnsupportedAlgorithm):
        # The library's words may hold what they are about.
        what = "a public key, and no secret" if kind == "oct" else f"no {kind} key, or a broken one"
        raise BadKey(f"{source} is {what}") from None
    return imported
