"""Makes tokens from their parts, right ones and wrong ones.

Nothing here comes from authbridge or from the library that it verifies with: a fault that both
sides shared would never show. The formats are those of RFC 7515, 7517, 7518, 7638 and 8037, and,
for the compact form, that of its manual; for xcauth, that of JSXC.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

ALGORITHMS = (
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512", "EdDSA",
)  # fmt: skip

HASHES: dict[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
    "ES512": int(
        "1" + "f" * 65 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16
    ),
}
"""n of each curve (SEC 2)."""
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
"""L of RFC 8032, 5.1."""

NOT_THERE = object()
"""As a claim or a header member: leave it out."""


def b64(octets: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(value: int, size: int | None = None) -> str:
    """An integer as a JWK has it."""
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def unnumber(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


# --- keys -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A secret, or a private key with its public half."""

    algorithm: str
    secret: bytes = b""
    private: Any = None

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def public_der(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    def private_pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def jwk(self, *, private: bool = False, **members: Any) -> dict[str, Any]:
        """The key as a JWK; a member of None is left out."""
        if self.private is None:
            found = {"kty": "oct", "k": b64(self.secret)}
        elif isinstance(self.private, rsa.RSAPrivateKey):
            found = _rsa(self.private, private)
        elif isinstance(self.private, ec.EllipticCurvePrivateKey):
            found = _ec(self.private, private)
        else:
            raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            found = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
            if private:
                found["d"] = b64(self.private.private_bytes_raw())
        return {name: value for name, value in (found | members).items() if value is not None}

    def thumbprint(self) -> str:
        """RFC 7638, with SHA-256: the members that the kind of key needs, in their order."""
        jwk = self.jwk()
        needed = {
            "oct": ("k", "kty"), "RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"),
            "OKP": ("crv", "kty", "x"),
        }[jwk["kty"]]  # fmt: skip
        text = json.dumps({name: jwk[name] for name in needed}, separators=(",", ":"))
        return b64(hashlib.sha256(text.encode()).digest())


def _rsa(key: rsa.RSAPrivateKey, private: bool) -> dict[str, Any]:
    numbers = key.private_numbers()
    found = {
        "kty": "RSA", "n": number(numbers.public_numbers.n), "e": number(numbers.public_numbers.e),
    }  # fmt: skip
    if private:
        found |= {
            "d": number(numbers.d), "p": number(numbers.p), "q": number(numbers.q),
            "dp": number(numbers.dmp1), "dq": number(numbers.dmq1), "qi": number(numbers.iqmp),
        }  # fmt: skip
    return found


def _ec(key: ec.EllipticCurvePrivateKey, private: bool) -> dict[str, Any]:
    numbers, size = key.private_numbers(), (key.curve.key_size + 7) // 8
    found = {
        "kty": "EC", "crv": CURVE_NAMES[key.curve.name],
        "x": number(numbers.public_numbers.x, size), "y": number(numbers.public_numbers.y, size),
    }  # fmt: skip
    if private:
        found["d"] = number(numbers.private_value, size)
    return found


def jwks(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"keys": list(keys)}


def _secret(algorithm: str, owner: str) -> bytes:
    """64 characters that a file can hold, the same in every run."""
    return hashlib.sha256(f"{owner} {algorithm}".encode()).hexdigest().encode()


@functools.cache
def key(algorithm: str, owner: str = "ours") -> Key:
    """A key for an algorithm, made once. "another's" is the same for all algorithms of RSA: to make
    one takes a tenth of a second."""
    if algorithm.startswith("HS"):
        return Key(algorithm, secret=_secret(algorithm, owner))
    if algorithm[:2] in ("RS", "PS"):
        if owner != "ours" and algorithm != "RS256":
            return Key(algorithm, private=key("RS256", owner).private)
        return Key(algorithm, private=rsa.generate_private_key(65537, 2048))
    if algorithm.startswith("ES"):
        return Key(algorithm, private=ec.generate_private_key(CURVES[algorithm]))
    assert algorithm == "EdDSA", algorithm
    return Key(algorithm, private=Ed25519PrivateKey.generate())


# --- signatures -----------------------------------------------------------------------------------


def sign(signed: bytes, key: Key, algorithm: str | None = None) -> bytes:
    """The signature of an algorithm by a key, which need not be a key for that algorithm."""
    algorithm = algorithm or key.algorithm
    family, size = algorithm[:2], algorithm[2:]
    if algorithm == "EdDSA":
        return key.private.sign(signed)  # type: ignore[no-any-return]
    if family == "HS":
        return hmac_of(signed, key.secret, algorithm)
    if family == "ES":
        r, s = ecdsa(signed, key, size)
        return raw_ecdsa(r, s, key)
    digest = HASHES[size]()
    if family == "RS":
        return key.private.sign(signed, padding.PKCS1v15(), digest)  # type: ignore[no-any-return]
    return pss(signed, key, size, digest.digest_size)


def hmac_of(signed: bytes, secret: bytes, algorithm: str) -> bytes:
    return hmac.digest(secret, signed, f"sha{algorithm[2:]}")


def pss(
    signed: bytes, key: Key, size: str, salt: int, mask: hashes.HashAlgorithm | None = None
) -> bytes:
    """RSASSA-PSS with any length of salt and any hash in its mask."""
    digest = HASHES[size]()
    how = padding.PSS(padding.MGF1(mask or digest), salt)
    return key.private.sign(signed, how, digest)  # type: ignore[no-any-return]


def ecdsa(signed: bytes, key: Key, size: str) -> tuple[int, int]:
    """r and s."""
    return decode_dss_signature(ecdsa_der(signed, key, size))


def ecdsa_der(signed: bytes, key: Key, size: str) -> bytes:
    return key.private.sign(signed, ec.ECDSA(HASHES[size]()))  # type: ignore[no-any-return]


def raw_ecdsa(r: int, s: int, key: Key) -> bytes:
    """r and s as a JWS has them, as long as the key's curve asks for."""
    size = (key.private.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


# --- JWT ------------------------------------------------------------------------------------------


def text(value: Any) -> bytes:
    """JSON; octets are taken as they are, to be wrong in ways of their own."""
    if isinstance(value, bytes):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def without(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not NOT_THERE}


def head(algorithm: Any, **members: Any) -> dict[str, Any]:
    """A usual header."""
    return without({"alg": algorithm, "typ": "JWT"} | members)


def jwt(
    claims: Any,
    key: Key,
    algorithm: str | None = None,
    /,
    *,
    header: Any = None,
    signs: str | None = None,
    **members: Any,
) -> str:
    """A signed JWT.

    `claims` and `header` are made JSON, or taken as they are where they are octets. `members` are
    added to the usual header. The header says `algorithm`, or what the key is for, and the
    signature is made by `signs`, or by the same.
    """
    algorithm = algorithm or key.algorithm
    first = b64(text(head(algorithm, **members) if header is None else header))
    second = b64(text(without(claims) if isinstance(claims, dict) else claims))
    return signed(first, second, key, signs or algorithm)


def signed(first: str, second: str, key: Key, algorithm: str | None = None) -> str:
    """Two segments, however they are spelled, and a signature that is right for that spelling."""
    return f"{first}.{second}.{b64(sign(f'{first}.{second}'.encode(), key, algorithm))}"


# --- the compact form -----------------------------------------------------------------------------


def compact(secret: bytes, jid: str, expiry: int, purpose: str = "login") -> str:
    """A compact token."""
    key_id = compact_key_id(secret)
    mac = compact_mac(secret, jid, expiry, purpose, key_id)
    return "abtc1_" + b64(key_id + expiry.to_bytes(6, "big") + mac)


def compact_key_id(secret: bytes) -> bytes:
    return hmac.digest(secret, b"authbridge compact key id", "sha256")[:4]


def compact_mac(secret: bytes, jid: str, expiry: int, purpose: str, key_id: bytes) -> bytes:
    octets = (
        b"authbridge compact 1\0" + purpose.encode() + b"\0" + key_id + expiry.to_bytes(6, "big")
    )
    return hmac.digest(secret, octets + jid.encode(), "sha256")


# --- xcauth ---------------------------------------------------------------------------------------

TO_XCAUTH = str.maketrans("OIl", "-$%")
FROM_XCAUTH = str.maketrans("-$%", "OIl")


def xcauth(secret: bytes, jid: str, expiry: int, version: int = 0) -> str:
    """A time-limited token as JSXC makes it (with another version, as nobody does)."""
    header = xcauth_key_id(secret) + expiry.to_bytes(4, "big")
    mac = hmac.digest(secret, bytes([version]) + header + jid.encode(), "sha256")[:16]
    return xcauth_text(bytes([version]) + mac + header)


def xcauth_key_id(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()[:2]


def xcauth_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=").translate(TO_XCAUTH)


def xcauth_raw(token: str) -> bytes:
    return base64.b64decode(token.translate(FROM_XCAUTH) + "=" * (-len(token) % 4))


@functools.cache
def xcauth_namesake(secret: bytes) -> bytes:
    """Another secret with the same key id: there are but 65,536 of those."""
    wanted = xcauth_key_id(secret)
    attempts = (b"namesake of %d" % n for n in range(10_000_000))
    return next(attempt for attempt in attempts if xcauth_key_id(attempt) == wanted)
