"""JSON Web Tokens of any algorithm, signed wrongly, by wrong keys, or for something else."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authbridge.model import Reason
from tests.tokens import mint
from tests.tokens.hostile import (
    ALGORITHM,
    AUDIENCE,
    DOMAIN,
    EXPIRED,
    ISSUER,
    KEY,
    MALFORMED,
    MISSING,
    NEVER,
    NOT_YET,
    SIGNATURE,
    TOO_LONG,
    USER,
    Hostile,
    hostile,
)
from tests.tokens.issuers import (
    LIFETIME,
    NOW,
    claims,
    good,
    issuer,
    kid,
)
from tests.tokens.mint import NOT_THERE, b64


def jwt(algorithm: str, name: str, *reasons: Reason, **members: Any) -> Hostile:
    """A token whose header is wrong (`members`) and whose signature is right."""
    members = {"kid": kid(algorithm)} | members
    return hostile(name, mint.jwt(claims(algorithm), mint.key(algorithm), **members), *reasons)


def claiming(algorithm: str, name: str, *reasons: Reason, **changes: Any) -> Hostile:
    """A token with wrong claims, signed as it should be."""
    return hostile(name, good(algorithm, **changes), *reasons)


def raw_header(algorithm: str, octets: bytes) -> str:
    return mint.jwt(claims(algorithm), mint.key(algorithm), header=octets)


def raw_payload(algorithm: str, octets: bytes) -> str:
    return mint.jwt(octets, mint.key(algorithm), kid=kid(algorithm))


def algorithms_refused(algorithm: str) -> Iterator[Hostile]:
    key, name = mint.key(algorithm), kid(algorithm)
    first, second, third = good(algorithm).split(".")
    for spelled in ("none", "None", "NONE", "nOnE", ""):
        header = b64(mint.text(mint.head(spelled, kid=name)))
        for what, signature in (
            ("no signature", ""), ("another's", third),
            ("its own", b64(mint.sign(f"{header}.{second}".encode(), key))),
        ):  # fmt: skip
            yield hostile(
                f"alg {spelled!r}, {what}", f"{header}.{second}.{signature}", ALGORITHM, MALFORMED
            )
        yield hostile(f"alg {spelled!r}, two segments", f"{header}.{second}", MALFORMED)
    yield hostile("stripped of its signature", f"{first}.{second}.", MALFORMED, SIGNATURE)
    yield hostile("stripped of its last segment", f"{first}.{second}", MALFORMED)
    spellings = {
        algorithm.lower(), algorithm.swapcase(), f" {algorithm}", f"{algorithm} ", f"{algorithm}\0",
        f"{algorithm}x", algorithm[:-1], f"x{algorithm}", algorithm.replace("S", "Ｓ"), "Ed25519",
        "Ed448", "ES256K", "ESP256", "HS1", "RS1", "dir", "RSA-OAEP", "PBES2-HS256+A128KW",
    }  # fmt: skip
    for spelled in sorted(spellings - {algorithm}):
        yield jwt(algorithm, f"alg {spelled!r}", ALGORITHM, alg=spelled, signs=algorithm)
    for value in (
        [algorithm], [algorithm, "none"], None, 256, True, {"alg": algorithm}, NOT_THERE, [], 1.5,
    ):  # fmt: skip
        yield jwt(algorithm, f"alg {value!r}", MALFORMED, ALGORITHM, alg=value, signs=algorithm)
    for other in mint.ALGORITHMS:
        if other == algorithm:
            continue
        fits = _shape(other) == _shape(algorithm)
        signer = key if fits else mint.key(other, "another's")
        token = mint.jwt(claims(algorithm), signer, other, kid=name)
        yield hostile(f"alg {other} for a key of {algorithm}", token, ALGORITHM)
        token = mint.jwt(claims(algorithm), signer, other)
        yield hostile(f"alg {other} without kid", token, ALGORITHM, KEY)
        # The signature of one, called another.
        token = mint.jwt(claims(algorithm), signer, algorithm, kid=name, signs=other)
        yield hostile(f"signed with {other}, called {algorithm}", token, SIGNATURE, MALFORMED)


def _shape(algorithm: str) -> str:
    """What makes one key fit two algorithms, as far as the arithmetic goes."""
    return {"R": "RSA", "P": "RSA"}.get(algorithm[0], algorithm[:2])


def confusions(algorithm: str) -> Iterator[Hostile]:
    """The public key taken for a secret."""
    key, name = mint.key(algorithm), kid(algorithm)
    if algorithm.startswith("HS"):
        for what, secret in (
            ("no secret", b""), ("NULs", bytes(32)), ("its name", name.encode()),
            ("its issuer", issuer(algorithm).encode()),
            ("its secret's hex digits as octets", bytes.fromhex(key.secret.decode())),
            ("its secret and a newline", key.secret + b"\n"),
            ("its secret in base64", b64(key.secret).encode()),
        ):  # fmt: skip
            token = mint.jwt(claims(algorithm), mint.Key(algorithm, secret), kid=name)
            yield hostile(f"a guessed secret: {what}", token, SIGNATURE)
        return
    jwk = key.jwk()
    secrets = {
        "PEM": key.public_pem(), "PEM without its last newline": key.public_pem().rstrip(),
        "PEM with CRLF": key.public_pem().replace(b"\n", b"\r\n"), "DER": key.public_der(),
        "JWK": json.dumps(jwk).encode(), "JWK without blanks": mint.text(jwk),
        "JWK's x or n": mint.unb64(jwk.get("x") or jwk["n"]),
        "JWK's x or n as text": (jwk.get("x") or jwk["n"]).encode(), "nothing": b"",
    }  # fmt: skip
    for confused in ("HS256", "HS384", "HS512"):
        for what, secret in secrets.items():
            signer = mint.Key(confused, secret)
            token = mint.jwt(claims(algorithm), signer, kid=name)
            yield hostile(f"{confused} with the public key's {what}", token, ALGORITHM)
    token = mint.jwt(claims(algorithm), mint.Key("HS256", key.public_pem()))
    yield hostile("HS256 with the public key's PEM, no kid", token, ALGORITHM, KEY)
    token = mint.jwt(
        claims(algorithm), mint.Key("HS256", key.public_pem()), algorithm, kid=name, signs="HS256"
    )
    yield hostile(f"a MAC with the public PEM, called {algorithm}", token, SIGNATURE, MALFORMED)


def strangers(algorithm: str, url: str) -> Iterator[Hostile]:
    """Signed by a key that the issuer does not have, which the header brings or says where to get.

    `url` is where it can indeed be got.
    """
    key, other, name = mint.key(algorithm), mint.key(algorithm, "another's"), kid(algorithm)

    def signed(what: str, *reasons: Reason, **members: Any) -> Hostile:
        return hostile(what, mint.jwt(claims(algorithm), other, **members), *reasons)

    yield signed("another's key", SIGNATURE)
    yield signed("another's key under our kid", SIGNATURE, kid=name)
    yield signed("another's key under our thumbprint", SIGNATURE, kid=key.thumbprint())
    yield signed("another's key under its thumbprint", KEY, kid=other.thumbprint())
    yield hostile(
        "our key under another's thumbprint",
        mint.jwt(claims(algorithm), key, kid=other.thumbprint()), KEY,
    )  # fmt: skip
    brought: dict[str, Any] = {
        "jwk": other.jwk(), "jku": url, "x5u": url, "x5t": "A" * 27, "x5t#S256": "A" * 43,
        "keys": [other.jwk()], "jwks": mint.jwks(other.jwk()), "x5c": [certificate()],
        "key": other.jwk(), "url": url, "iss": url, "epk": other.jwk(),
    }  # fmt: skip
    for member, value in brought.items():
        yield signed(f"another's key, brought by {member}", SIGNATURE, **{member: value})
    yield signed("brought by jku, named by kid", KEY, jku=url, kid="evil")
    yield signed("brought by jwk, named as ours", SIGNATURE, jwk=other.jwk(kid=name), kid=name)
    yield signed("kid is a URL", KEY, kid=url)
    yield signed("everything at once", SIGNATURE, **brought)
    for neighbour in mint.ALGORITHMS:
        if neighbour == algorithm:
            continue
        theirs = mint.key(neighbour)
        yield hostile(
            f"signed by the issuer of {neighbour}, with its kid",
            mint.jwt(claims(algorithm), theirs, kid=kid(neighbour)), KEY, ALGORITHM,
        )  # fmt: skip
    second = mint.key("ES256", "second")
    yield hostile(
        "signed by another issuer that has a key of ES256",
        mint.jwt(claims(algorithm), second), SIGNATURE, KEY, ALGORITHM,
    )  # fmt: skip
    yield hostile(
        "our key for another issuer",
        mint.jwt(claims(algorithm, iss="https://second.example"), key, kid=name),
        KEY, ALGORITHM,
    )  # fmt: skip
    yield hostile(
        "our key for another issuer, no kid",
        mint.jwt(claims(algorithm, iss="https://second.example"), key),
        SIGNATURE, KEY, ALGORITHM,
    )  # fmt: skip


@functools.cache
def certificate() -> str:
    """A self-signed one, as x5c has it."""
    key = mint.key("ES256", "another's").private
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example.org")])
    day = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(day)
        .not_valid_after(day + dt.timedelta(days=300))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


def signatures(algorithm: str) -> Iterator[Hostile]:
    """The key is right, and the signature is not."""
    key, token = mint.key(algorithm), good(algorithm)
    first, second, third = token.split(".")
    signed, signature = f"{first}.{second}".encode(), mint.unb64(third)
    half = len(signature) // 2
    wrong = {
        "half of it": signature[:half], "the other half": signature[half:],
        "NULs": bytes(len(signature)), "0xff": b"\xff" * len(signature), "twice": signature * 2,
        "an octet more": signature + b"\0", "an octet less": signature[:-1],
        "a NUL before": b"\0" + signature, "turned round": signature[::-1], "one octet": b"\0",
        "halves swapped": signature[half:] + signature[:half],
        "of the payload alone": mint.sign(second.encode(), key),
        "of the decoded octets": mint.sign(mint.unb64(first) + b"." + mint.unb64(second), key),
        "with a newline signed": mint.sign(signed + b"\n", key),
        "of the token in capitals": mint.sign(signed.upper(), key),
        "of nothing": mint.sign(b"", key),
        "of another token": mint.unb64(good(algorithm, sub="bob@example.org").split(".")[2]),
    }  # fmt: skip
    wrong |= _of_family(algorithm, signed, key)
    for what, octets in wrong.items():
        yield hostile(f"signature: {what}", f"{first}.{second}.{b64(octets)}", SIGNATURE, MALFORMED)
    bob = b64(mint.text(claims(algorithm, sub="bob@example.org")))
    yield hostile("another payload", f"{first}.{bob}.{third}", SIGNATURE, user="bob")
    other = b64(mint.text(mint.head(algorithm)))
    yield hostile("another header", f"{other}.{second}.{third}", SIGNATURE)
    yield hostile("segments turned round", f"{third}.{second}.{first}", recognised=None)
    yield hostile("payload first", f"{second}.{first}.{third}", MALFORMED, MISSING)


def _of_family(algorithm: str, signed: bytes, key: mint.Key) -> dict[str, bytes]:
    """Signatures that only one family of algorithms has."""
    family, size = algorithm[:2], algorithm[2:]
    if family == "HS":
        mac = mint.sign(signed, key)
        return {
            "as hex digits": mac.hex().encode(), "16 octets of it": mac[:16],
            "10 octets of it": mac[:10], "with SHA-1": mint.hmac_of(signed, key.secret, "HS1"),
            "with MD5": mint.hmac.digest(key.secret, signed, "md5"),
        }  # fmt: skip
    if family == "ES":
        return _of_ecdsa(algorithm, signed, key)
    if algorithm == "EdDSA":
        signature = key.private.sign(signed)
        s = int.from_bytes(signature[32:], "little")
        return {
            "s + L": signature[:32] + (s + mint.ED25519_ORDER).to_bytes(32, "little"),
            "L - s": signature[:32] + (mint.ED25519_ORDER - s).to_bytes(32, "little"),
            "the neutral element": b"\1" + bytes(63),
            "of SHA-512 of it": key.private.sign(mint.hashlib.sha512(signed).digest()),
        }
    digest = mint.HASHES[size]()
    modulus = key.private.private_numbers().public_numbers.n
    number = mint.unnumber(mint.sign(signed, key))
    wrong = {
        "s + n": (number + modulus).to_bytes(257, "big"),
        "n - s": (modulus - number).to_bytes(256, "big"), "1": bytes(255) + b"\1",
        "n - 1": (modulus - 1).to_bytes(256, "big"), "n": modulus.to_bytes(256, "big"),
    }  # fmt: skip
    if family == "PS":
        wrong |= {
            "without salt": mint.pss(signed, key, size, 0),
            "with more salt": mint.pss(signed, key, size, digest.digest_size + 8),
            "with as much salt as there can be":
            mint.pss(signed, key, size, 256 - 2 - digest.digest_size),
            "with SHA-1 in the mask":
            mint.pss(signed, key, size, digest.digest_size, hashes.SHA1()),
        }  # fmt: skip
    return wrong


def _of_ecdsa(algorithm: str, signed: bytes, key: mint.Key) -> dict[str, bytes]:
    size, order = algorithm[2:], mint.ORDERS[algorithm]
    r, s = mint.ecdsa(signed, key, size)
    width = (key.private.curve.key_size + 7) // 8

    def raw(r: int, s: int, width: int = width) -> bytes:
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")

    wrong = {
        "DER": mint.ecdsa_der(signed, key, size), "r 0, s 0": raw(0, 0), "r 0": raw(0, s),
        "s 0": raw(r, 0), "r 1, s 1": raw(1, 1), "r n, s n": raw(order, order),
        "r n": raw(order, s), "s n": raw(r, order), "s and r": raw(s, r), "r -1": raw(order - r, s),
        "r n-1": raw(order - 1, s), "wider": raw(r, s, width + 1),
        "of another curve's width": raw(r, s, 66 if width < 66 else 80),
        "r alone": r.to_bytes(width, "big"),
    }  # fmt: skip
    for what, more in (("r + n", (r + order, s)), ("s + n", (r, s + order))):
        if max(more) < 256**width:  # P-521 has bits to spare
            wrong[what] = raw(*more)
    return wrong


def claims_wrong(algorithm: str) -> Iterator[Hostile]:
    """Signed by the issuer, for something else."""
    for name in ("exp", "iss", "aud", "sub"):
        reasons = (MISSING, ISSUER) if name == "iss" else (MISSING,)
        yield claiming(algorithm, f"no {name}", *reasons, **{name: NOT_THERE})
    yield claiming(algorithm, "expired by the leeway", EXPIRED, exp=NOW - 30)
    yield claiming(algorithm, "expired long ago", EXPIRED, iat=1, exp=300)
    yield claiming(algorithm, "good from the end of the leeway on", NOT_YET, nbf=NOW + 31)
    yield claiming(algorithm, "issued in the future", NOT_YET, iat=NOW + 31)
    yield claiming(algorithm, "a second too long", TOO_LONG, exp=NOW + LIFETIME + 1)
    yield claiming(algorithm, "a year", TOO_LONG, exp=NOW + 31_536_000)
    yield claiming(algorithm, "an old one, prolonged", TOO_LONG, iat=NOW - 290, exp=NOW + 11)
    yield claiming(
        algorithm, "without iat, a second too long", TOO_LONG,
        iat=NOT_THERE, exp=NOW + LIFETIME + 31,
    )  # fmt: skip
    yield claiming(algorithm, "another audience", AUDIENCE, aud="https://www.example.org")
    yield claiming(algorithm, "another user's", USER, sub="bob@example.org")
    yield claiming(algorithm, "another domain's", USER, sub="alice@other.example")
    yield hostile("another user asks", good(algorithm), USER, user="bob")
    yield hostile(
        "at another domain", good(algorithm), AUDIENCE, USER, DOMAIN, domain="other.example"
    )
    yield hostile(
        "for another domain, which the issuer may not sign for",
        good(algorithm, sub="alice@other.example", aud="xmpp:other.example"),
        DOMAIN, domain="other.example",
    )  # fmt: skip
    yield hostile(
        "for the administrator", good(algorithm, sub="admin@example.org"), NEVER, user="admin"
    )


OF_EVERY_ALGORITHM = (algorithms_refused, confusions, signatures, claims_wrong)
