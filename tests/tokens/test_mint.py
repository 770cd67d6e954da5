"""The mint's tokens are right where they should be: by another library, and by published vectors.

A mint that makes nothing but wrong tokens would find every checker without fault.
"""

from __future__ import annotations

import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwk, jws
from joserfc.errors import BadSignatureError

from tests.tokens import mint

CLAIMS = {"iss": "https://www.example.org", "sub": "alice@example.org", "exp": 1_800_000_060}


# joserfc warns of EdDSA, which RFC 9864 wants to be called Ed25519.
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_another_library_verifies_what_the_mint_signs(algorithm):
    key = mint.key(algorithm)
    token = mint.jwt(CLAIMS, key)
    for imported in (
        jwk.import_key(key.jwk()),
        jwk.import_key(key.jwk(private=True)),
        jwk.KeySet.import_key_set(mint.jwks(key.jwk())).keys[0],
    ):
        found = jws.deserialize_compact(token, imported, algorithms=[algorithm])
        assert json.loads(found.payload) == CLAIMS
        assert found.headers() == {"alg": algorithm, "typ": "JWT"}
        assert imported.thumbprint() == key.thumbprint()
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(
            token, jwk.import_key(mint.key(algorithm, "another's").jwk()), algorithms=[algorithm]
        )


@pytest.mark.parametrize("algorithm", [name for name in mint.ALGORITHMS if name[:2] != "HS"])
def test_another_library_reads_the_mints_pem(algorithm):
    key = mint.key(algorithm)
    kind = key.jwk()["kty"]
    for pem in (key.public_pem(), key.private_pem()):
        assert jwk.import_key(pem, kind).thumbprint() == key.thumbprint()


@pytest.mark.parametrize("algorithm", mint.CURVES)
def test_the_other_half_of_a_signature_verifies_too(algorithm):
    key, message = mint.key(algorithm), b"message"
    r, s = mint.ecdsa(message, key, algorithm[2:])
    public = key.private.public_key()
    for half in (s, mint.ORDERS[algorithm] - s):
        how = ec.ECDSA(mint.HASHES[algorithm[2:]]())
        public.verify(encode_dss_signature(r, half), message, how)
        with pytest.raises(InvalidSignature):
            public.verify(encode_dss_signature(r, half), b"another", how)


def test_a_thumbprint_is_that_of_rfc_7638():
    # Its example, in 3.1.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRX"
        "jBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaS"
        "qzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksIN"
        "HaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )

    class Example(mint.Key):
        def jwk(self, **_):
            return {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert Example("RS256").thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize(
    ("secret", "jid", "expiry", "token"),
    [
        (b"secret", "romeo@example.com", 1800000000, "AMT98x81eMYj%QjQbhey4zUruGtJ0gA"),
        (b"0123456789abcdef", "user1@example.org", 2000000000, "AKFW9p0-/iUFvyb3Hn2jP4qfn3c1%AA"),
        (b"secret", "romeo@example.com", 1800000088, "AJsAHJPSRB5c4%w8tx$oZ-0ruGtJ0%g"),
    ],
)
def test_an_xcauth_token_is_the_one_that_is_published(secret, jid, expiry, token):
    assert mint.xcauth(secret, jid, expiry) == token
    assert mint.xcauth_text(mint.xcauth_raw(token)) == token


def test_two_secrets_may_have_one_xcauth_key_id():
    namesake = mint.xcauth_namesake(b"secret")
    assert namesake != b"secret"
    assert mint.xcauth_key_id(namesake) == mint.xcauth_key_id(b"secret")


def test_a_compact_token_is_62_characters_of_known_parts():
    token = mint.compact(b"0" * 32, "alice@example.org", 1_800_000_000)
    assert len(token) == 62
    raw = mint.unb64(token.removeprefix("abtc1_"))
    assert raw[:4] == mint.compact_key_id(b"0" * 32)
    assert mint.unnumber(raw[4:10]) == 1_800_000_000
    assert len(raw[10:]) == 32
