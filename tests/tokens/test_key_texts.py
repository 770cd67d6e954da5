"""Keys as files and websites give them: PEM, JWK, JWKS and bare secrets."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from authbridge.tokens import key_texts, keys
from authbridge.tokens.key_texts import Found, Member, read_member
from authbridge.tokens.keys import BadKey, NotForThis
from tests.ldap.certificates import OURS
from tests.ldap.server import number, tlv
from tests.tokens import mint

SECRET = hashlib.sha512(b"a secret").digest()
ASYMMETRIC = [name for name in mint.ALGORITHMS if not name.startswith("HS")]
ES256 = mint.key("ES256")
EC_PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
MARKS = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]


def read(content, name="www", *, secrets=True):
    """The one key."""
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    found = key_texts.read(content, "keys/www.pem", name, secrets=secrets)
    assert isinstance(found, Found)
    return found


def members(content, name="www"):
    """Those of a JWKS, not looked at yet."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    found = key_texts.read(content, "keys/www.pem", name, secrets=False)
    assert isinstance(found, list)
    return found


def refusal(content, kind=BadKey, **given):
    with pytest.raises(BadKey) as raised:
        read(content, **given)
    assert type(raised.value) is kind
    return str(raised.value)


def member_refusal(jwk, kind=BadKey):
    """What is said of the second key of a set, which the first does not suffer from."""
    first, second = members(mint.jwks(ES256.jwk(), jwk))
    assert read_member(first).jwk.thumbprint() == ES256.thumbprint()
    with pytest.raises(BadKey) as raised:
        read_member(second)
    assert type(raised.value) is kind
    return str(raised.value)


def traditional(key):
    """As openssl writes private keys by default in places."""
    return key.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


# --- PEM ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
@pytest.mark.parametrize("secrets", [True, False])
def test_a_pem_holds_one_key_whose_kid_is_the_files_name(algorithm, secrets):
    key = mint.key(algorithm)
    for pem, private in ((key.public_pem(), False), (key.private_pem(), True)):
        found = read(pem, secrets=secrets)
        assert (found.kid, found.source) == ("www", "keys/www.pem")
        assert found.jwk.thumbprint() == key.thumbprint()
        assert found.jwk.is_private is private


def test_a_pem_may_have_blanks_around_it_and_other_ends_of_lines():
    pem = ES256.public_pem()
    for text in (b"\n \r\n" + pem, pem.replace(b"\n", b"\r\n"), pem + b"\n\n", pem.strip()):
        assert read(text).jwk.thumbprint() == ES256.thumbprint()


def test_openssl_puts_parameters_before_an_ec_key():
    pem = traditional(ES256)
    assert pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    for text in (pem, EC_PARAMETERS + pem, EC_PARAMETERS.replace(b"\n", b"\r\n") + pem):
        found = read(text)
        assert found.jwk.thumbprint() == ES256.thumbprint()
        assert found.jwk.is_private


def test_an_rsa_key_in_its_own_format_is_read():
    key = mint.key("RS256")
    own = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert own.startswith(b"-----BEGIN RSA PUBLIC KEY-----")
    for pem in (own, traditional(key)):
        assert read(pem).jwk.thumbprint() == key.thumbprint()


@pytest.mark.parametrize(
    "text",
    [ES256.public_pem() * 2, ES256.public_pem() + mint.key("EdDSA").private_pem(),
     ES256.public_pem() + b"-----BEGIN JUNK-----\n", EC_PARAMETERS + ES256.public_pem() * 2],
)  # fmt: skip
def test_a_file_has_one_key(text):
    """Which of two is meant could change with whoever reads them."""
    assert refusal(text) == "keys/www.pem holds 2 parts of PEM; a file has one key"


def test_parameters_alone_are_no_key():
    assert refusal(EC_PARAMETERS) == "keys/www.pem holds 0 parts of PEM; a file has one key"
    assert refusal(b"-----BEGIN") == "keys/www.pem holds 0 parts of PEM; a file has one key"


def test_a_certificate_is_refused_with_the_way_to_its_key():
    assert refusal(OURS.pem) == (
        "keys/www.pem is a certificate; `openssl x509 -pubkey -noout -in FILE` prints its key"
    )


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused(form):
    pem = ES256.private.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"wonderland"))
    assert refusal(pem) == "keys/www.pem is encrypted; it is to be read without a password"


@pytest.mark.parametrize(
    "text",
    [ES256.public_pem()[:-60], ES256.public_pem().replace(b"PUBLIC KEY", b"PRIVATE KEY"),
     ES256.private_pem().replace(b"PRIVATE KEY", b"PUBLIC KEY"),
     b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
     b"-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n",
     b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
     b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"],
)  # fmt: skip
def test_a_pem_that_cannot_be_read_is_refused(text):
    assert refusal(text) == "keys/www.pem is no PEM of a key that can be read"


@pytest.mark.parametrize("exponent", [0, 1, 2, 4])
def test_an_rsa_key_whose_signatures_anybody_can_make_is_refused(exponent):
    """With an exponent of 1 a signature is its message."""
    modulus = mint.key("RS256").private.public_key().public_numbers().n
    numbers = tlv(0x30, number(modulus), number(exponent))
    pem = b"-----BEGIN RSA PUBLIC KEY-----\n%b-----END RSA PUBLIC KEY-----\n"
    assert "no PEM of a key" in refusal(pem % base64.encodebytes(numbers))
    assert read(pem % base64.encodebytes(tlv(0x30, number(modulus), number(3))))
    jwk = mint.key("RS256").jwk(e=mint.number(exponent, 1))
    assert refusal(jwk) == "keys/www.pem is no RSA key, or a broken one"


def test_a_key_that_signs_no_token_is_refused():
    pem = (
        dsa.generate_private_key(1024)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert refusal(pem) == "keys/www.pem is a key of a type that signs no token"


@pytest.mark.parametrize(
    ("make", "curve"),
    [(ed448.Ed448PrivateKey.generate, "Ed448"), (x25519.X25519PrivateKey.generate, "X25519"),
     (x448.X448PrivateKey.generate, "X448")],
)  # fmt: skip
def test_keys_of_rfc_8037_are_read_whatever_they_are_for(make, curve):
    key = mint.Key("EdDSA", private=make())
    for pem in (key.public_pem(), key.private_pem()):
        assert read(pem).jwk.curve_name == curve


# --- JWK and JWKS ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_a_jwk_has_its_own_kid_or_that_of_its_file(algorithm):
    key = mint.key(algorithm)
    for secrets in (True, False):
        found = read(key.jwk(kid="2026"), secrets=secrets)
        assert (found.kid, found.source) == ("2026", "keys/www.pem")
        assert found.jwk.thumbprint() == key.thumbprint()
        assert read(key.jwk(), secrets=secrets).kid == "www"


def test_a_jwks_has_several_keys_each_with_its_place():
    one, two = members(mint.jwks(ES256.jwk(kid="one"), mint.key("RS256").jwk()))
    assert read_member(one).kid == "one"
    assert read_member(one).source == one.source == "key 1 of keys/www.pem"
    assert read_member(two).source == "key 2 of keys/www.pem"
    assert read_member(two).jwk.thumbprint() == mint.key("RS256").thumbprint()


def test_without_a_kid_a_key_of_a_jwks_goes_by_its_thumbprint():
    """The file's name cannot be that of all."""
    (member,) = members(mint.jwks(ES256.jwk()))
    assert read_member(member).kid is None


def test_without_a_kid_a_secret_of_a_jwks_goes_by_its_place():
    """Its thumbprint would tell of it, in the log and to whoever lists keys."""
    secret = mint.Key("HS256", secret=SECRET).jwk()
    found = members(mint.jwks(secret, ES256.jwk(), secret | {"kid": "own"}, secret))
    assert [read_member(member).kid for member in found] == ["www-1", None, "own", "www-4"]


def test_a_publishers_set_is_a_jwks_and_nothing_else():
    (member,) = key_texts.read_set(mint.text(mint.jwks(ES256.jwk(kid="a"))), "https://a.example")
    assert (member.source, read_member(member).kid) == ("key 1 of https://a.example", "a")
    (member,) = key_texts.read_set(mint.text(mint.jwks(ES256.jwk())), "https://a.example")
    assert read_member(member).kid is None
    for content in (mint.text(ES256.jwk()), b"{}", b'{"keys": {}}', b'{"keys": [1]}'):
        with pytest.raises(BadKey) as raised:
            key_texts.read_set(content, "there")
        assert str(raised.value) == "there has no list of keys (`keys`)"
    for content in (ES256.public_pem(), b"[]", b"<html>", b"", MARKS[0] + b'{"keys": []}'):
        with pytest.raises(BadKey, match=r"^there is no JWK: "):
            key_texts.read_set(content, "there")


@pytest.mark.parametrize(
    "unknown",
    [{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, {"kty": "ec"}, {"kty": None}, {},
     {"kty": ["EC"]}, {"kty": {"EC": 1}}, {"kty": 1}],
)  # fmt: skip
def test_types_that_are_not_known_are_to_be_passed_over_in_a_jwks(unknown):
    """RFC 7517, 5: whoever publishes one key more takes nothing from the others."""
    words = "key 2 of keys/www.pem is a JWK of no type that is known (`kty`)"
    assert member_refusal(unknown, NotForThis) == words


@pytest.mark.parametrize("curve", ["P-257", "BP-256", "", None, 1])
def test_curves_that_are_not_known_are_to_be_passed_over_in_a_jwks(curve):
    words = "key 2 of keys/www.pem is on a curve that is not known (`crv`)"
    for key in (ES256, mint.key("EdDSA")):
        assert member_refusal(key.jwk() | {"crv": curve}, NotForThis) == words


@pytest.mark.parametrize("curve", [["P-256"], {"P-256": 1}])
def test_a_curve_that_is_no_string_is_to_be_passed_over_as_well(curve):
    words = "key 2 of keys/www.pem is on a curve that is not known (`crv`)"
    assert member_refusal(ES256.jwk() | {"crv": curve}, NotForThis) == words


def test_an_empty_jwks_has_no_key():
    assert members({"keys": []}) == []


def test_a_hundred_keys_are_taken_and_one_more_is_not():
    many = [{"kty": "AKP"}] * key_texts.MOST_KEYS
    assert len(members(mint.jwks(*many))) == key_texts.MOST_KEYS
    with pytest.raises(BadKey, match=r"^keys/www.pem has 101 keys; 100 are plenty$"):
        members(mint.jwks(*many, {"kty": "AKP"}))


@pytest.mark.parametrize(
    "keys", [{}, None, "x", 1, True, *([ES256.jwk(), member] for member in (None, 1, "x", [], 1.5))]
)
def test_what_is_no_list_of_jwks_is_refused(keys):
    assert refusal({"keys": keys}) == "keys/www.pem has no list of keys (`keys`)"


@pytest.mark.parametrize(
    "kid", [1, True, [], ["www"], {}, 0, False, "a\n", "\x1b[31m", "\ud800", "\0", "k" * 257]
)
def test_a_kid_that_cannot_be_said_to_people_is_refused(kid):
    said = "is no string of at most 256 printable characters"
    assert refusal(ES256.jwk() | {"kid": kid}) == f"the kid of keys/www.pem {said}"
    words = member_refusal(mint.key("EdDSA").jwk() | {"kid": kid})
    assert words == f"the kid of key 2 of keys/www.pem {said}"


def test_an_empty_kid_does_not_tell_a_secrets_thumbprint():
    secret = mint.Key("HS256", secret=SECRET)
    for jwk in (ES256.jwk(kid=""), secret.jwk(kid="")):
        assert refusal(jwk).startswith("the kid of keys/www.pem is no string")


@pytest.mark.parametrize("kid", ["a", "www 2026", "é", "密码", "k" * keys.MOST_KID, "'\"%"])
def test_a_kid_of_any_printable_characters_is_taken(kid):
    assert read(ES256.jwk(kid=kid)).kid == kid
    assert read(ES256.public_pem(), kid).kid == kid
    assert key_texts.check_kid(kid, "here") == kid


@pytest.mark.parametrize("name", ["a\nb", "\udcff", "k" * 257, "\x1b[2J"])
def test_a_files_name_that_cannot_be_said_is_no_kid(name):
    contents = [
        ES256.public_pem(), mint.text(ES256.jwk()), SECRET,
        mint.text(mint.Key("HS256", secret=SECRET).jwk()),
    ]  # fmt: skip
    for content in contents:
        assert refusal(content, name=name).startswith("the kid of keys/www.pem is no string")
    assert read(ES256.jwk(kid="own"), name).kid == "own"


@pytest.mark.parametrize("kty", ["ec", "AKP", "", None, 1, ["EC"], {}])
def test_a_jwk_alone_has_to_be_of_a_type_that_is_known(kty):
    words = "keys/www.pem is a JWK of no type that is known (`kty`)"
    assert refusal(ES256.jwk() | {"kty": kty}, NotForThis) == words
    assert refusal({}, NotForThis) == words


@pytest.mark.parametrize(
    ("jwk", "kind"),
    [(ES256.jwk() | {"x": "AAAA"}, "EC"), (ES256.jwk() | {"y": 1}, "EC"),
     (ES256.jwk() | {"crv": "P-384"}, "EC"), ({"kty": "RSA", "n": "AQAB"}, "RSA"),
     (mint.key("EdDSA").jwk() | {"x": "AAAA"}, "OKP"), ({"kty": "OKP"}, "OKP")],
)  # fmt: skip
def test_a_jwk_that_is_broken_is_refused(jwk, kind):
    assert refusal(jwk) == f"keys/www.pem is no {kind} key, or a broken one"
    assert member_refusal(jwk) == f"key 2 of keys/www.pem is no {kind} key, or a broken one"


def test_a_member_that_is_too_long_for_a_key_is_not_looked_into():
    """To find that a number of a million digits is no key would take long."""
    longest = rsa.RSAPublicNumbers(65537, (1 << 8191) + 1).public_key()
    fits = {"kty": "RSA", "n": mint.number(longest.public_numbers().n), "e": "AQAB"}
    assert len(fits["n"]) == 1366 < key_texts.MOST_OF_A_MEMBER
    assert read(fits).jwk.raw_value.key_size == 8192
    for name in ("n", "e", "d", "alg", "x5t"):
        assert read_member(Member(fits | {"x5t": "A" * 3000}, "here", "")).jwk
        words = "here has a member that is too long for a key"
        with pytest.raises(BadKey) as raised:
            read_member(Member(fits | {name: "A" * 3001}, "here", ""))
        assert str(raised.value) == words


@pytest.mark.parametrize(
    "others",
    [{"x5c": ["AAAA"]}, {"x5c": 5}, {"x5t": ""}, {"x5u": []}, {"x5t#S256": None}, {"oth": [1]},
     {"ext": True}, {"iat": 1, "exp": "never"}, {"": {}}],
    ids=str,
)  # fmt: skip
def test_what_else_a_jwk_has_is_not_looked_at(others):
    """As the certificates that login servers publish beside each key."""
    for key in (ES256, mint.key("RS256"), mint.key("EdDSA"), mint.Key("HS256", secret=SECRET)):
        assert read(key.jwk() | others).jwk.thumbprint() == key.thumbprint()


@pytest.mark.parametrize(
    "text",
    [b'{"kty": "EC"', b'{"kty": "EC", "kty": "oct"}', b'{"keys": [], "keys": []}', b"{\xff}",
     b'{"keys": [{"kty": "oct", "k": "AAAA", "k": "BBBB"}]}', b'{"keys": ' + b"[" * 50, b"{} {}",
     b'{"x": NaN}', b'\x0c{"kty": "EC"}'],
)  # fmt: skip
def test_json_that_is_read_in_two_ways_is_refused(text):
    assert refusal(text).startswith("keys/www.pem is no JWK: ")


@pytest.mark.parametrize("mark", MARKS)
def test_a_byte_order_mark_is_refused_and_said(mark):
    """Nobody sees it: what begins with one would be taken for a secret of other octets."""
    words = "keys/www.pem begins with a byte order mark; save it as UTF-8 without one"
    for content in (ES256.public_pem(), mint.text(ES256.jwk()), b"{}", SECRET.hex().encode(), b""):
        for secrets in (True, False):
            assert refusal(mark + content, secrets=secrets) == words
        with pytest.raises(BadKey) as raised:
            key_texts.read_secret(mark + content, "keys/www.pem", "www")
        assert str(raised.value) == words


# --- secrets --------------------------------------------------------------------------------------


@given(st.binary(min_size=1, max_size=80).map(lambda octets: b"x" + octets.replace(b"\n", b"")))
def test_whatever_is_neither_pem_nor_json_is_a_secret(octets):
    octets += b"x"
    for behind in (b"", b"\n", b"\r\n"):
        found = read(octets + behind)
        assert found.jwk.raw_value == octets
        assert (found.kid, found.source) == ("www", "keys/www.pem")
        assert key_texts.read_secret(octets + behind, "here", "www").jwk.raw_value == octets


@given(st.binary(min_size=1, max_size=80).map(lambda octets: b"x" + octets))
def test_where_no_secret_may_stand_nothing_is_one(octets):
    """A note beside public keys must not become a secret that others may read."""
    assert refusal(octets, secrets=False) == "keys/www.pem is neither PEM nor JSON"


@pytest.mark.parametrize("content", [b"", b"\n", b"# ours\n" + ES256.public_pem(), b"[]", b"null"])
def test_what_is_neither_pem_nor_json_is_said_to_be_so(content):
    assert refusal(content, secrets=False) == "keys/www.pem is neither PEM nor JSON"


def test_a_secret_loses_the_end_of_its_line_and_no_more():
    assert read(b"  a secret \n").jwk.raw_value == b"  a secret "
    assert read(b"a secret\r\n").jwk.raw_value == b"a secret"
    assert read(b"a secret\t\r").jwk.raw_value == b"a secret\t"
    assert read(b"\0a secret\0").jwk.raw_value == b"\0a secret\0"


@pytest.mark.parametrize(
    "content", [b"one\ntwo", b"one\ntwo\n", b"one\n\n", b"one\r\ntwo\r\n", b"\none", b"one\n\r\n"]
)
def test_a_secret_in_text_has_one_line(content):
    """Which of two is meant, or whether both are, is not to be guessed."""
    words = "keys/www.pem has more than one line; a secret is one"
    assert refusal(content) == words
    with pytest.raises(BadKey, match="more than one line"):
        key_texts.read_secret(content, "here", "www")


@pytest.mark.parametrize("octets", [b"\0one\ntwo", b"one\n\x80\ntwo", b"\n\n\xff", b"\x01\n\x02"])
def test_random_octets_may_hold_ends_of_lines(octets):
    for behind in (b"", b"\n", b"\r\n"):
        assert read(octets + behind).jwk.raw_value == octets


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b" \n", b"\t \n\n"])
def test_an_empty_file_holds_no_secret(content):
    assert refusal(content) == "keys/www.pem is empty"


def test_the_secret_of_a_jwk_is_that_of_a_file():
    found, bare = read(mint.Key("HS256", secret=SECRET).jwk()), read(SECRET)
    assert found.jwk.raw_value == bare.jwk.raw_value == SECRET
    assert found.jwk.thumbprint() == bare.jwk.thumbprint()
    assert found.kid == bare.kid == "www"


def test_the_text_of_a_public_key_in_place_of_a_secret_is_not_taken():
    one_line = ES256.public_pem().replace(b"\n", b"")
    for text in (one_line, ES256.public_der(), b"# ours " + one_line):
        with pytest.raises(BadKey) as raised:
            key_texts.read_secret(text, "keys/www.pem", "www")
        assert str(raised.value) == "keys/www.pem is a public key, and no secret"
    with pytest.raises(BadKey, match="more than one line"):
        key_texts.read_secret(ES256.public_pem(), "keys/www.pem", "www")


@pytest.mark.parametrize("last", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\n", b"\r\n"])
def test_a_public_key_that_ends_like_a_line_is_no_secret_either(last, behind):
    """In DER one in a hundred does."""
    point = ed25519.Ed25519PublicKey.from_public_bytes(b"x" * (32 - len(last)) + last)
    der = point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert der.endswith(b"x" + last)
    with pytest.raises(BadKey) as raised:
        key_texts.read_secret(der + behind, "keys/www.pem", "www")
    assert str(raised.value) == "keys/www.pem is a public key, and no secret"


@pytest.mark.parametrize(
    "text",
    [b'{"kty": "oct", "k": "wonderland"', b'{"kty": "wonderland"}', b'{"wonderland": NaN}',
     b'{"kty": "oct", "k": "wonderland", "use": 5}', b"-----BEGIN wonderland-----\nwonderland",
     b'{"keys": ["wonderland"]}', b'{"kty": "EC", "crv": "wonderland", "x": "", "y": ""}',
     b"wonderland\nwonderland", b"\xef\xbb\xbfwonderland",
     b'{"kty": "EC", "kid": "wonderland\\n"}'],
)  # fmt: skip
def test_a_refusal_never_holds_what_was_read(text):
    with pytest.raises(BadKey) as raised:
        read(text)
    assert "wonderland" not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
