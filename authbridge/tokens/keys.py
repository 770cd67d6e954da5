"""Keys: one algorithm each, none of them weak, found by kid or thumbprint.

The algorithm comes with the key and never with the token (RFC 8725, 3.1): a public key is no HMAC
secret, and an RSA key that verifies PS256 does not verify RS256.
"""

from __future__ import annotations

import binascii
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from joserfc import jwk
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jws import JWSRegistry

_HASH_OCTETS = {"HS256": 32, "HS384": 48, "HS512": 64}
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
_FAMILIES: dict[str, tuple[str, ...]] = {
    "oct": ("HS256", "HS384", "HS512"),
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
ALGORITHMS: Final = tuple(name for family in _FAMILIES.values() for name in family)
HMAC_ALGORITHMS: Final = _FAMILIES["oct"]
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192
LEAST_DIFFERENT_OCTETS = 8
"""In a secret; one of 16 random octets has fewer once in 10^9 times, and a word often has."""
MOST_KID = 256
"""Characters."""
MOST_TRIED = 4
"""Keys that a token without a kid is verified with, at most: of some algorithms each costs a
millisecond."""
MOST_EXPONENT = 1 << 32
"""Of RSA: nearly all keys have 65537, and the cost of verifying grows with it."""


class BadKey(ValueError):
    """This is no key, or none that is to be used; the text says why, and never holds it."""


class NotForThis(BadKey):
    """A good key, for something else."""


class Key:
    """A key that verifies the signatures of one algorithm, and perhaps makes them."""

    __slots__ = ("_model", "algorithm", "jwk", "kid", "source", "thumbprint")

    def __init__(self, found: jwk.Key, algorithm: str, kid: str, source: str) -> None:
        self.jwk = found
        self.algorithm = algorithm
        self.kid = kid
        self.source = source
        """Where it came from, for people."""
        self.thumbprint = thumbprint_of(found)
        """RFC 7638, SHA-256."""
        self._model = JWSRegistry.algorithms[algorithm]

    def __repr__(self) -> str:
        return f"Key({self.algorithm}, {self.thumbprint})"

    @property
    def signs(self) -> bool:
        """Whether it is the private half, or a secret."""
        return self.jwk.is_private

    @property
    def size(self) -> str:
        """How large it is, for people."""
        raw: Any = self.jwk.raw_value
        if isinstance(self.jwk, jwk.OctKey):
            return f"{len(raw)} octets"
        return f"{raw.key_size} bits" if isinstance(self.jwk, jwk.RSAKey) else curve_of(self.jwk)

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Whether it has signed these octets."""
        try:
            return self._model.verify(signed, signature, self.jwk)
        except (ValueError, JoseError, UnsupportedAlgorithm):  # an odd signature is a wrong one
            return False

    def sign(self, octets: bytes) -> bytes:
        """The signature. Only where it `signs`."""
        return self._model.sign(octets, self.jwk)


class KeySet:
    """The keys of one issuer."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """The private half of a pair takes the place of its public half.

        Raises BadKey where two keys have one kid, or one key has two algorithms.
        """
        by_thumbprint: dict[str, Key] = {}
        names: dict[str, str] = {}
        for key in keys:
            twin = by_thumbprint.get(key.thumbprint)
            if twin is not None and twin.algorithm != key.algorithm:
                raise BadKey(
                    f"{key.source} and {twin.source} are one key, for {key.algorithm} and "
                    f"{twin.algorithm}; a key has one algorithm"
                )
            if names.setdefault(key.kid, key.thumbprint) != key.thumbprint:
                namesake = by_thumbprint[names[key.kid]]
                raise BadKey(f"{key.source} and {namesake.source} have one kid, {key.kid!a}")
            if twin is None or not twin.signs:
                by_thumbprint[key.thumbprint] = key
        self.keys: tuple[Key, ...] = tuple(by_thumbprint.values())
        self.by_id: Mapping[str, Key] = {
            **by_thumbprint,
            **{kid: by_thumbprint[thumbprint] for kid, thumbprint in names.items()},
        }
        """By thumbprint, and by kid."""
        by_algorithm: dict[str, tuple[Key, ...]] = {}
        for key in self.keys:
            by_algorithm[key.algorithm] = (*by_algorithm.get(key.algorithm, ()), key)
        self.by_algorithm: Mapping[str, tuple[Key, ...]] = by_algorithm


def bind(found: jwk.Key, algorithms: Sequence[str], kid: str | None, source: str) -> Key:
    """A key with the one algorithm that it is for, of those that its issuer may use.

    Raises BadKey: it is weak, for something else, or could be for two of them.
    """
    _refuse_other_use(found, source)
    algorithm = _algorithm(found, algorithms, source)
    if isinstance(found, jwk.OctKey):
        _refuse_short(found, _HASH_OCTETS[algorithm], source)
    _refuse_weak(found, source)
    # Without the rest of its JWK: with `key_ops` of ["sign"] the library would not let it verify.
    return Key(_bare(found), algorithm, kid or thumbprint_of(found), source)


def secret_of(found: jwk.Key, least: int, source: str) -> bytes:
    """The octets of a secret that signs compact or xcauth tokens. Raises BadKey."""
    if not isinstance(found, jwk.OctKey):
        raise BadKey(f"{source} is no secret, and this kind of token is signed with one")
    _refuse_other_use(found, source)
    if found.alg is not None:
        raise BadKey(f"{source} is for {found.alg}; a key has one algorithm")
    _refuse_short(found, least, source)
    _refuse_weak(found, source)
    return found.raw_value


def thumbprint_of(found: jwk.Key) -> str:
    """RFC 7638, SHA-256, of the key and not of its text: a JWK may spell a number in many ways."""
    return _bare(found).thumbprint()


def _bare(found: jwk.Key) -> jwk.Key:
    """The key alone, without what its JWK says besides."""
    kind: Any = type(found)
    bare: jwk.Key = kind(found.raw_value, None)
    return bare


def import_key(material: bytes | dict[str, Any], kind: str) -> jwk.Key:
    """A key of a type of RFC 7518 (6.1). Raises ValueError, JoseError, UnsupportedAlgorithm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of what `bind` refuses
        return jwk.JWKRegistry.import_key(material, kind)


def curve_of(found: jwk.Key) -> str:
    """The curve of a key that has one."""
    return found.curve_name if isinstance(found, jwk.ECKey | jwk.OKPKey) else ""


def _algorithm(found: jwk.Key, algorithms: Sequence[str], source: str) -> str:
    family = _FAMILIES[found.key_type]
    if curve := curve_of(found):
        if curve not in _CURVES:
            raise NotForThis(f"{source} is on the curve {curve}, which no algorithm here uses")
        family = (_CURVES[curve],)
    said = found.alg
    if said is not None:
        if said not in family:
            raise NotForThis(f"{source} says that it is for {said!a}, which its type is not")
        family = (said,)
    possible = [algorithm for algorithm in algorithms if algorithm in family]
    if not possible:
        raise NotForThis(f"{source} is for {' or '.join(family)}, which `algorithms` does not name")
    if len(possible) > 1:
        raise BadKey(
            f"{source} could be for {' and '.join(possible)}; a key has one algorithm: name one in "
            "`algorithms`, or give a JWK with its `alg`"
        )
    return possible[0]


def _refuse_other_use(found: jwk.Key, source: str) -> None:
    if found.get("use", "sig") != "sig":
        raise NotForThis(f"{source} is not for signatures (`use`)")
    operations = found.get("key_ops")
    if operations is not None and not {"sign", "verify"}.intersection(operations):
        raise NotForThis(f"{source} is not for signatures (`key_ops`)")


def _is_public(secret: bytes) -> bool:
    """Whether it is what stands between the first and the last line of a PEM."""
    try:
        load_der_public_key(binascii.a2b_base64(b"".join(secret.split()), strict_mode=True))
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _refuse_short(found: jwk.OctKey, least: int, source: str) -> None:
    if (length := len(found.raw_value)) < least:
        raise BadKey(
            f"{source} has {length} octets, and needs {least}; `authbridge key new` makes one"
        )


def _refuse_weak(found: jwk.Key, source: str) -> None:
    raw: Any = found.raw_value
    if isinstance(found, jwk.OctKey):
        if raw.lstrip().startswith((b"{", b"-----BEGIN", b"ssh-", b"ecdsa-")):
            raise BadKey(f"{source} is the text of a key, and everybody may know it: no secret")
        if _is_public(raw):
            raise BadKey(f"{source} is a public key in base64, and everybody may know it")
        if len(set(raw)) < LEAST_DIFFERENT_OCTETS:
            raise BadKey(
                f"{source} has fewer than {LEAST_DIFFERENT_OCTETS} different octets, and is no "
                "random secret; `authbridge key new` makes one"
            )
    elif isinstance(found, jwk.RSAKey):
        if not LEAST_RSA_BITS <= raw.key_size <= MOST_RSA_BITS:
            raise BadKey(
                f"{source} has {raw.key_size} bits; RSA is taken from {LEAST_RSA_BITS} to "
                f"{MOST_RSA_BITS}"
            )
        public = raw.public_key() if isinstance(raw, rsa.RSAPrivateKey) else raw
        if public.public_numbers().e > MOST_EXPONENT:
            raise BadKey(f"{source} has an exponent that is too large")
