"""Keys: one algorithm each, and none that is weak or for something else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authbridge.tokens import key_texts, keys
from authbridge.tokens.keys import BadKey, KeySet, NotForThis
from tests.tokens import mint

SECRET = hashlib.sha512(b"a secret").digest()
ASYMMETRIC = [name for name in mint.ALGORITHMS if not name.startswith("HS")]


def imported(key, private=False, **members):
    jwk = key.jwk(private=private, **members)
    return keys.import_key(jwk, jwk["kty"])


def bind(key, *algorithms, kid=None, source="here", **members):
    return keys.bind(imported(key, **members), algorithms or [key.algorithm], kid, source)


def refusal(key, *algorithms, kind=BadKey, **members):
    with pytest.raises(BadKey) as raised:
        bind(key, *algorithms, **members)
    assert type(raised.value) is kind
    return str(raised.value)


def secret(octets):
    return mint.Key("HS256", secret=octets)


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_a_key_is_for_one_algorithm_and_has_its_names(algorithm):
    found = bind(mint.key(algorithm))
    thumbprint = mint.key(algorithm).thumbprint()
    assert (found.algorithm, found.kid, found.thumbprint) == (algorithm, thumbprint, thumbprint)
    assert bind(mint.key(algorithm), kid="www").kid == "www"
    assert bind(mint.key(algorithm), kid="").kid == thumbprint
    assert bind(mint.key(algorithm), alg=algorithm, use="sig", key_ops=["verify"])


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_both_halves_of_a_pair_have_one_thumbprint_and_one_signs(algorithm):
    public, private = bind(mint.key(algorithm)), bind(mint.key(algorithm), private=True)
    assert public.thumbprint == private.thumbprint
    assert (public.signs, private.signs) == (False, True)
    assert public.verify(b"octets", private.sign(b"octets"))
    assert not public.verify(b"octets!", private.sign(b"octets"))
    for odd in (b"", b"\0", b"x" * 1000, private.sign(b"octets")[:-1]):
        assert not public.verify(b"octets", odd)


def test_a_secret_signs():
    found = bind(secret(SECRET))
    assert found.signs
    assert found.verify(b"octets", found.sign(b"octets"))


def test_a_key_is_shown_without_what_is_secret_in_it():
    found = bind(secret(b"through-the-looking-glass-and-what-alice-found"))
    assert repr(found) == f"Key(HS256, {found.thumbprint})"


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [("HS256", "64 octets"), ("RS256", "2048 bits"), ("PS512", "2048 bits"), ("ES256", "P-256"),
     ("ES384", "P-384"), ("ES512", "P-521"), ("EdDSA", "Ed25519")],
)  # fmt: skip
def test_a_key_says_how_large_it_is(algorithm, size):
    assert bind(mint.key(algorithm)).size == size


# --- algorithms -----------------------------------------------------------------------------------


def test_of_the_issuers_algorithms_a_key_takes_the_one_that_it_can_have():
    for algorithm in ("ES256", "ES384", "ES512", "EdDSA", "RS256"):
        assert bind(mint.key(algorithm), "ES256", "ES384", "ES512", "EdDSA", "RS256").algorithm == (
            algorithm
        )


def test_a_key_that_could_have_two_algorithms_has_none():
    assert refusal(mint.key("RS256"), "RS256", "PS256") == (
        "here could be for RS256 and PS256; a key has one algorithm: name one in `algorithms`, or "
        "give a JWK with its `alg`"
    )
    assert "HS256 and HS512" in refusal(secret(SECRET), "HS256", "HS512")


@pytest.mark.parametrize("said", ["RS256", "PS256"])
def test_a_jwk_may_say_which_it_has(said):
    assert bind(mint.key("RS256"), "RS256", "PS256", alg=said).algorithm == said


def test_what_a_jwk_says_must_fit_its_type_and_its_issuer():
    words = refusal(mint.key("ES256"), "ES256", kind=NotForThis, alg="ES384")
    assert words == "here says that it is for 'ES384', which its type is not"
    for said in ("none", "HS256", "RSA-OAEP", "", "\x1b[31m"):
        assert "which its type is not" in refusal(
            mint.key("RS256"), "RS256", kind=NotForThis, alg=said
        )
    words = refusal(mint.key("RS256"), "RS256", kind=NotForThis, alg="RS512")
    assert words == "here is for RS512, which `algorithms` does not name"
    assert "HS512" in refusal(secret(SECRET), "HS256", kind=NotForThis, alg="HS512")


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_a_key_of_another_family_is_not_for_this(algorithm):
    other = "ES256" if algorithm != "ES256" else "ES384"
    words = refusal(mint.key(algorithm), other, kind=NotForThis)
    assert words.endswith("which `algorithms` does not name")
    assert algorithm in words


def test_every_algorithm_belongs_to_a_type_of_key():
    assert set(keys.ALGORITHMS) == set(mint.ALGORITHMS)
    assert keys.HMAC_ALGORITHMS == ("HS256", "HS384", "HS512")


def test_a_key_for_encryption_is_not_for_this():
    assert refusal(mint.key("RS256"), kind=NotForThis, use="enc") == (
        "here is not for signatures (`use`)"
    )
    assert refusal(mint.key("RS256"), kind=NotForThis, key_ops=["encrypt", "wrapKey"]) == (
        "here is not for signatures (`key_ops`)"
    )
    assert refusal(mint.key("RS256"), kind=NotForThis, key_ops=[]).endswith("(`key_ops`)")
    for operations in (["sign"], ["verify"], ["sign", "verify"]):
        assert bind(mint.key("RS256"), key_ops=operations)


@pytest.mark.parametrize("curve", ["Ed448", "X25519", "X448"])
def test_other_curves_of_rfc_8037_are_for_no_algorithm(curve):
    length = {"Ed448": 57, "X25519": 32, "X448": 56}[curve]
    point = keys.import_key({"kty": "OKP", "crv": curve, "x": mint.b64(b"\5" * length)}, "OKP")
    with pytest.raises(NotForThis, match=f"on the curve {curve}, which no algorithm here uses"):
        keys.bind(point, keys.ALGORITHMS, None, "here")


def test_the_curve_of_bitcoin_is_for_no_algorithm():
    key = mint.Key("ES256K", private=ec.generate_private_key(ec.SECP256K1()))
    found = keys.import_key(key.public_pem(), "EC")
    with pytest.raises(NotForThis, match="secp256k1"):
        keys.bind(found, keys.ALGORITHMS, None, "here")


# --- weak keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1024, 2040])
def test_an_rsa_key_of_fewer_than_2048_bits_is_refused(bits):
    weak = mint.Key("RS256", private=rsa.generate_private_key(65537, bits))
    for private in (False, True):
        assert refusal(weak, private=private) == (
            f"here has {bits} bits; RSA is taken from 2048 to 8192"
        )


def test_an_rsa_key_that_takes_a_second_to_verify_is_refused():
    jwk = {"kty": "RSA", "n": mint.number((1 << 8199) + 1), "e": mint.number(65537)}
    with pytest.raises(BadKey, match="8200 bits"):
        keys.bind(keys.import_key(jwk, "RSA"), ["RS256"], None, "here")


def test_an_rsa_key_with_a_large_exponent_is_refused():
    """To verify with it takes as long as to sign, or longer."""
    modulus = mint.key("RS256").jwk()["n"]

    def key(exponent):
        members = {"kty": "RSA", "n": modulus, "e": mint.number(exponent)}
        return keys.bind(keys.import_key(members, "RSA"), ["RS256"], None, "here")

    for exponent in (3, 65537, (1 << 32) - 1):
        assert key(exponent).algorithm == "RS256"
    for exponent in ((1 << 32) + 1, (1 << 2047) + 1):
        with pytest.raises(BadKey, match=r"^here has an exponent that is too large$"):
            key(exponent)


def test_a_private_rsa_key_has_its_exponent_looked_at_as_well():
    usual = rsa.generate_private_key(65537, 2048).private_numbers()
    totient = (usual.p - 1) * (usual.q - 1)
    large = next(e for e in range((1 << 32) + 1, 1 << 33, 2) if math.gcd(e, totient) == 1)
    d = pow(large, -1, totient)
    numbers = rsa.RSAPrivateNumbers(
        usual.p, usual.q, d, rsa.rsa_crt_dmp1(d, usual.p), rsa.rsa_crt_dmq1(d, usual.q),
        usual.iqmp, rsa.RSAPublicNumbers(large, usual.public_numbers.n),
    )  # fmt: skip
    weak = mint.Key("RS256", private=numbers.private_key())
    for private in (False, True):
        assert refusal(weak, private=private) == "here has an exponent that is too large"


@pytest.mark.parametrize(("algorithm", "octets"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_its_hash(algorithm, octets):
    assert bind(secret(SECRET[:octets]), algorithm)
    assert refusal(secret(SECRET[: octets - 1]), algorithm) == (
        f"here has {octets - 1} octets, and needs {octets}; `authbridge key new` makes one"
    )


@pytest.mark.parametrize(
    "octets",
    [b"\0" * 64, b"secret" * 10, b"abcdefg" * 10, b"0123456" * 10, b" " * 64, b"password" * 8],
)
def test_a_secret_of_few_different_octets_is_none(octets):
    assert refusal(secret(octets)) == (
        "here has fewer than 8 different octets, and is no random secret; `authbridge key new` "
        "makes one"
    )
    assert len(set(octets)) < keys.LEAST_DIFFERENT_OCTETS


def test_how_long_a_secret_is_is_said_before_how_random_it_is():
    """A word is both; to take another word of the same length would not mend it."""
    assert "has 6 octets, and needs 32" in refusal(secret(b"secret"))
    with pytest.raises(BadKey, match="has 6 octets, and needs 16"):
        keys.secret_of(imported(secret(b"secret")), 16, "here")


def test_eight_different_octets_are_taken():
    assert bind(secret(b"abcdefgh" * 8))


@pytest.mark.parametrize(
    "text",
    [mint.text(mint.key("ES256").jwk()), b"\n {" + b"abcdefghijklmnopqrstuvwxyz" * 3,
     b"-----BEGIN WHATEVER-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
     b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDlT0rE1sXlvyNsMXVdgXQqK alice@example.org",
     b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB"],
)  # fmt: skip
def test_the_text_of_a_key_is_no_secret(text):
    """Whoever takes one for a secret has an issuer for whom anybody can sign."""
    words = "here is the text of a key, and everybody may know it: no secret"
    assert refusal(secret(text)) == words
    with pytest.raises(BadKey, match="the text of a key"):
        keys.secret_of(imported(secret(text)), 16, "here")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_middle_of_a_pem_is_no_secret(algorithm):
    """So does Keycloak show its keys."""
    lines = mint.key(algorithm).public_pem().splitlines()[1:-1]
    for text in (b"".join(lines), b"\n".join(lines), b" \r\n".join(lines)):
        words = "here is a public key in base64, and everybody may know it"
        assert refusal(secret(text)) == words
    assert bind(secret(b"".join(lines)[:-4] + b"AAAA"))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret_in_any_form(algorithm):
    key = mint.key(algorithm)
    ssh = key.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    for octets in (key.public_pem(), key.public_der(), ssh):
        with pytest.raises(ValueError):
            keys.import_key(octets, "oct")


# --- secrets of the other kinds -------------------------------------------------------------------


def test_a_secret_is_taken_as_it_is():
    assert keys.secret_of(imported(secret(SECRET)), 32, "here") == SECRET
    assert keys.secret_of(imported(secret(SECRET[:16])), 16, "here") == SECRET[:16]


@pytest.mark.parametrize(
    ("key", "members", "said"),
    [
        (mint.key("ES256"), {}, "here is no secret, and this kind of token is signed with one"),
        (secret(SECRET), {"alg": "HS256"}, "here is for HS256; a key has one algorithm"),
        (secret(SECRET[:31]), {},
         "here has 31 octets, and needs 32; `authbridge key new` makes one"),
        (secret(b"\0" * 32), {},
         "here has fewer than 8 different octets, and is no random secret; `authbridge key new` "
         "makes one"),
    ],
)  # fmt: skip
def test_what_is_no_secret_of_these_kinds_is_refused(key, members, said):
    with pytest.raises(BadKey) as raised:
        keys.secret_of(imported(key, **members), 32, "here")
    assert str(raised.value) == said


@pytest.mark.parametrize("operations", [["sign"], ["verify"], ["sign", "verify"]])
def test_a_key_for_signatures_makes_and_verifies_them(operations):
    """WebCrypto says "sign" alone of a private key, whose public half is in it."""
    key = bind(mint.key("ES256"), "ES256", private=True, key_ops=operations)
    assert key.verify(b"signed", key.sign(b"signed"))


@pytest.mark.parametrize("members", [{"use": "enc"}, {"key_ops": ["encrypt"]}])
def test_a_secret_for_encryption_signs_no_tokens(members):
    with pytest.raises(BadKey, match="not for signatures"):
        keys.secret_of(imported(secret(SECRET), **members), 32, "here")


# --- several keys ---------------------------------------------------------------------------------


def test_keys_are_found_by_kid_and_by_thumbprint():
    ours, other = bind(mint.key("ES256"), kid="ours"), bind(mint.key("EdDSA"))
    found = KeySet([ours, other])
    assert found.keys == (ours, other)
    assert found.by_id == {
        "ours": ours, ours.thumbprint: ours, other.thumbprint: other,
    }  # fmt: skip
    assert found.by_algorithm == {"ES256": (ours,), "EdDSA": (other,)}
    assert KeySet().keys == ()


@pytest.mark.parametrize("private_first", [True, False])
def test_the_private_half_of_a_pair_takes_the_place_of_its_public_half(private_first):
    private = bind(mint.key("ES256"), kid="private", private=True)
    public = bind(mint.key("ES256"), kid="public")
    found = KeySet([private, public] if private_first else [public, private])
    assert found.keys == (private,)
    assert found.by_algorithm == {"ES256": (private,)}
    for kid in ("private", "public", public.thumbprint):
        assert found.by_id[kid] is private


def test_one_key_under_two_kids_has_both():
    one, two = bind(mint.key("ES256"), kid="one"), bind(mint.key("ES256"), kid="two")
    found = KeySet([one, two])
    assert len(found.keys) == 1
    assert found.by_id["one"] is found.by_id["two"]


def test_two_keys_do_not_have_one_kid():
    one, two = (
        bind(mint.key("ES256"), kid="www"),
        bind(mint.key("EdDSA"), kid="www", source="there"),
    )
    with pytest.raises(BadKey) as raised:
        KeySet([one, two])
    assert str(raised.value) == "there and here have one kid, 'www'"


def test_one_key_does_not_have_two_algorithms():
    one = bind(mint.key("RS256"), "RS256")
    two = bind(mint.key("RS256"), "PS256", source="there")
    for pair in ((one, two), (two, one)):
        with pytest.raises(BadKey, match=r"are one key, for .S256 and .S256; a key has one"):
            KeySet(pair)


@pytest.mark.parametrize("zeros", [1, 2, 8])
def test_a_key_whose_numbers_are_spelled_otherwise_is_the_same_key(zeros):
    """RFC 7518 has one spelling, and publishers have others: the key has two algorithms still."""
    jwk = mint.key("RS256").jwk()
    number = mint.unb64(jwk["n"])
    other = keys.import_key(jwk | {"n": mint.b64(bytes(zeros) + number)}, "RSA")
    one = bind(mint.key("RS256"), "RS256")
    two = keys.bind(other, ["PS256"], None, "there")
    assert one.thumbprint == two.thumbprint == mint.key("RS256").thumbprint()
    with pytest.raises(BadKey, match="a key has one algorithm"):
        KeySet([one, two])
    spelled = keys.bind(other, ["RS256"], "other", "there")
    assert KeySet([one, spelled]).by_id["other"] is KeySet([one, spelled]).by_id[one.thumbprint]
    assert len(KeySet([one, spelled]).keys) == 1


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_a_thumbprint_is_that_of_rfc_7638(algorithm):
    for private in (False, True):
        found = imported(mint.key(algorithm), private, kid="x", use="sig")
        assert keys.thumbprint_of(found) == mint.key(algorithm).thumbprint()


def test_a_curve_is_told_by_its_name():
    for algorithm, curve in (("ES256", "P-256"), ("EdDSA", "Ed25519"), ("RS256", "")):
        assert keys.curve_of(imported(mint.key(algorithm))) == curve
    assert keys.curve_of(imported(secret(SECRET))) == ""


def test_a_kid_that_is_another_keys_thumbprint_leads_to_the_key_that_has_it():
    other = bind(mint.key("EdDSA"))
    ours = bind(mint.key("ES256"), kid=other.thumbprint)
    with pytest.raises(BadKey, match="have one kid"):
        KeySet([other, ours])


# --- whatever a JWK says --------------------------------------------------------------------------

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(
        ["", "sig", "enc", "sign", "verify", "AQAB", "RS256", "P-256", "Ed25519", "\ud800", "é"]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("a"), inner, max_size=1),
    max_leaves=3,
)  # fmt: skip
NAMES = [
    "use",
    "key_ops",
    "alg",
    "kid",
    "n",
    "e",
    "d",
    "p",
    "crv",
    "x",
    "y",
    "k",
    "kty",
    "x5c",
    "oth",
]


@settings(max_examples=60)
@example("ES256", False, {"crv": ["P-256"]})
@given(
    st.sampled_from(["HS256", "RS256", "ES256", "EdDSA"]),
    st.booleans(),
    st.dictionaries(st.sampled_from(NAMES), ODD, min_size=1, max_size=3),
)
def test_whatever_a_jwk_says_is_taken_or_refused(algorithm, private, changes):
    """A fault would end a start, or the fetching of a publisher's keys."""
    jwk = mint.key(algorithm).jwk(private=private, **changes)
    text = json.dumps(jwk).encode()
    with contextlib.suppress(BadKey):
        found = key_texts.read(text, "here", "www", secrets=False)
        assert isinstance(found, key_texts.Found)
        keys.bind(found.jwk, [algorithm], found.kid, found.source)
    for member in key_texts.read_set(b'{"keys": [%b]}' % text, "here"):
        with contextlib.suppress(BadKey):
            found = key_texts.read_member(member)
            keys.bind(found.jwk, [algorithm], found.kid, found.source)
