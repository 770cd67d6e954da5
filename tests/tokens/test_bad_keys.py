"""Keys that an administrator must not be able to set up: weak ones, public ones that stand for
secrets, keys for something else, and files that are open to others."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from authbridge import config
from authbridge.model import Reason
from authbridge.settings import ConfigurationError
from tests.issuers.folders import later
from tests.tokens import mint
from tests.tokens.hostile_jwts import certificate
from tests.tokens.issuers import NOW, TokenHouse, write

ISSUER = """
[domains."example.org"]
check = ["tokens", "behind"]
[checkers.behind]
kind = "tests.tokens.behind"
[checkers.tokens]
kind = "token"
accept = [{accept}]
"""


def configured(folder, *tables: str):
    """The configuration with these issuers. Raises ConfigurationError."""
    kinds = {"jwt"} | {kind for kind in ("compact", "xcauth") if f'"{kind}"' in " ".join(tables)}
    if not any("algorithms" in table for table in tables):
        kinds.remove("jwt")
    accept = ", ".join(f'"{kind}"' for kind in sorted(kinds))
    text = ISSUER.format(accept=accept)
    for number, table in enumerate(tables):
        text += f'[issuers."https://{number}.example"]\ndomains = ["example.org"]\n{table}\n'
    write(folder / "authbridge.toml", text.encode(), 0o600)
    return config.load(folder / "authbridge.toml", listens=False)


def mistakes(folder, *tables: str) -> str:
    """What is said of them; "" where they are taken."""
    try:
        configured(folder, *tables)
    except ConfigurationError as error:
        return "\n".join(error.mistakes)
    return ""


def of_file(folder, content, algorithm: str = "ES256", *, mode: int = 0o600) -> str:
    """What is said of a key file for an algorithm, whose mode is right for a secret."""
    write(folder / "key", content, mode)
    return mistakes(folder, f'keys = ["key"]\nalgorithms = ["{algorithm}"]')


def of_secret(folder, secret: bytes, algorithm: str = "HS256") -> list[str]:
    """The same of a secret in each way in which it can be given."""
    write(folder / "secret", secret, 0o600)
    said = [
        mistakes(folder, f'secret_file = "secret"\nalgorithms = ["{algorithm}"]'),
        of_file(folder, {"kty": "oct", "k": mint.b64(secret)}, algorithm),
        of_file(folder, mint.jwks({"kty": "oct", "k": mint.b64(secret)}), algorithm),
    ]
    if algorithm == "HS256":
        said.append(mistakes(folder, 'kind = "compact"\nsecret_file = "secret"'))
        said.append(mistakes(folder, 'kind = "xcauth"\nsecret_file = "secret"'))
    return said


def rsa_jwk(**changes):
    return {"kty": "RSA", **mint.key("RS256").jwk(), **changes}


SAYS = {
    "iss": "https://0.example", "sub": "alice@example.org", "aud": "xmpp:example.org", "iat": NOW,
    "exp": NOW + 60,
}  # fmt: skip
RSA = mint.key("RS256")
ES256 = mint.key("ES256")


@pytest.mark.parametrize("bits", [1024, 1536, 2047])
def test_short_rsa_keys_are_refused(tmp_path, bits):
    key = mint.Key("RS256", private=rsa.generate_private_key(65537, bits))
    for content in (key.public_pem(), key.private_pem(), key.jwk(), mint.jwks(key.jwk())):
        assert f"{bits} bits" in of_file(tmp_path, content, "RS256")
        assert f"{bits} bits" in of_file(tmp_path, content, "PS512")


@pytest.mark.parametrize(
    "changes",
    [
        {"e": mint.number(1)}, {"e": mint.number(2)}, {"e": ""}, {"e": mint.number(0, 1)},
        {"e": "AQ"}, {"n": mint.number(3)}, {"n": ""}, {"n": mint.number(2**20000 + 1)},
        {"n": None}, {"e": None}, {"n": 5}, {"n": ["AQAB"]},
    ],
)  # fmt: skip
def test_rsa_keys_that_verify_anything_or_nothing_are_refused(tmp_path, changes):
    assert of_file(tmp_path, rsa_jwk(**changes), "RS256")


@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_secrets_shorter_than_the_hash_are_refused(tmp_path, algorithm, least):
    secret = mint.hashlib.shake_256(b"secret").hexdigest(least).encode()
    for length in (1, 8, 16, least - 1):
        assert all(of_secret(tmp_path, secret[:length], algorithm)[:3]), length
    assert of_secret(tmp_path, secret[:least], algorithm)[:3] == ["", "", ""]


def test_secrets_of_other_kinds_have_their_own_least_length(tmp_path):
    secret = mint.hashlib.shake_256(b"secret").hexdigest(32).encode()
    for kind, least in (("compact", 32), ("xcauth", 16)):
        for length in (1, least - 1, least):
            write(tmp_path / "secret", secret[:length], 0o600)
            said = mistakes(tmp_path, f'kind = "{kind}"\nsecret_file = "secret"')
            assert bool(said) == (length < least)


@pytest.mark.parametrize(
    "secret",
    [
        b"\0" * 64, b"a" * 64, b"0" * 64, b"password" * 8, b"secret" * 10, b"changeme" * 8,
        b" " * 64, b"01" * 32, b"",
    ],
)  # fmt: skip
def test_secrets_that_are_no_secret_are_refused(tmp_path, secret):
    assert all(of_secret(tmp_path, secret))


def ssh() -> bytes:
    return ES256.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


CERTIFICATE = b"\n".join(
    [b"-----BEGIN CERTIFICATE-----", certificate().encode(), b"-----END CERTIFICATE-----", b""]
)
PUBLIC = {
    "PEM": ES256.public_pem(), "PEM of RSA": RSA.public_pem(),
    "PEM behind blanks": b"\n \n" + ES256.public_pem(), "a private PEM": ES256.private_pem(),
    "PEM with CRLF": ES256.public_pem().replace(b"\n", b"\r\n"),
    "JWK": json.dumps(ES256.jwk()).encode(), "JWKS": json.dumps(mint.jwks(ES256.jwk())).encode(),
    "SSH": ssh(),
    "a certificate": CERTIFICATE,
}  # fmt: skip


@pytest.mark.parametrize("what", PUBLIC)
def test_a_public_key_is_no_secret(tmp_path, what):
    assert all(of_secret(tmp_path, PUBLIC[what]))


@pytest.mark.parametrize("key", [ES256, RSA, mint.key("EdDSA")], ids=["EC", "RSA", "OKP"])
def test_a_public_key_in_der_is_no_secret(tmp_path, key):
    assert all(of_secret(tmp_path, key.public_der()))


@pytest.mark.parametrize("key", [ES256, RSA, mint.key("EdDSA")], ids=["EC", "RSA", "OKP"])
def test_a_public_key_in_base64_is_no_secret(tmp_path, key):
    """As Keycloak shows it, and as it stands in a PEM."""
    assert all(of_secret(tmp_path, base64.b64encode(key.public_der())))


@pytest.mark.parametrize(
    "algorithms",
    [
        '"HS256", "ES256"', '"RS256", "HS512"', '"none"', '"None"', '"es256"', '"HS1"', '"ES256K"',
        '"RSA-OAEP"', '"dir"', "", '""', '"HS256", "none"', '"A128GCM"', '"RS1"',
        '"PBES2-HS256+A128KW"', '"Ed448"',
    ],
)  # fmt: skip
def test_algorithms_are_of_one_kind_and_known(tmp_path, algorithms):
    """Secrets and pairs of keys are not mixed; "none" is no algorithm."""
    write(tmp_path / "key", mint.jwks(ES256.jwk(), RSA.jwk(), mint.key("HS256").jwk()), 0o600)
    assert mistakes(tmp_path, f'keys = ["key"]\nalgorithms = [{algorithms}]')


FOREIGN = {
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "X25519": x25519.X25519PrivateKey.generate(), "Ed448": ed448.Ed448PrivateKey.generate(),
    "P-384": mint.key("ES384").private, "RSA": RSA.private,
    "P-224": ec.generate_private_key(ec.SECP224R1()),
    "brainpool": ec.generate_private_key(ec.BrainpoolP256R1()),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_keys_of_other_curves_and_kinds_are_refused(tmp_path, name, algorithm):
    pem = mint.Key("", private=FOREIGN[name]).public_pem()
    assert of_file(tmp_path, pem, algorithm)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_gets_a_key_of_another_curve_keeps_the_one_it_had(tmp_path, events, name):
    write(tmp_path / "key.pem", ES256.public_pem(), 0o644)
    house = TokenHouse(configured(tmp_path, 'keys = ["key.pem"]\nalgorithms = ["ES256"]'))
    token = mint.jwt(SAYS, ES256, kid="key").encode()
    assert house.judge(token).reason is Reason.TOKEN_VALID
    write(tmp_path / "key.pem", mint.Key("", private=FOREIGN[name]).public_pem(), 0o644)
    later(tmp_path / "key.pem")
    house.clock.advance(2)
    assert house.login(token).reason is Reason.TOKEN_VALID
    assert any("stay in force" in event.get("words", "") for event in events)


ec_jwk, okp_jwk = ES256.jwk(), mint.key("EdDSA").jwk()


@pytest.mark.parametrize(
    "jwk",
    [
        ec_jwk | {"x": ec_jwk["y"]}, ec_jwk | {"crv": "P-384"}, ec_jwk | {"crv": "secp256k1"},
        ec_jwk | {"crv": None}, ec_jwk | {"x": ""},
        ec_jwk | {"x": mint.number(0, 32), "y": mint.number(0, 32)}, ec_jwk | {"y": None},
        ec_jwk | {"kty": "RSA"}, ec_jwk | {"kty": "oct"}, ec_jwk | {"kty": "ec"},
        ec_jwk | {"kty": None}, ec_jwk | {"kty": ["EC"]}, ec_jwk | {"kid": 1},
        ec_jwk | {"kid": ["a"]}, ec_jwk | {"x": 1}, ec_jwk | {"alg": "ES384"},
        ec_jwk | {"alg": "none"}, ec_jwk | {"alg": "HS256"}, ec_jwk | {"alg": "ECDH-ES"},
        ec_jwk | {"use": "enc"}, ec_jwk | {"key_ops": ["encrypt"]}, ec_jwk | {"key_ops": []},
        ec_jwk | {"use": "SIG"}, ec_jwk | {"alg": ["ES256"]}, ec_jwk | {"alg": 1},
        ec_jwk | {"use": ["sig"]}, ec_jwk | {"key_ops": "verify"}, {}, {"keys": []}, {"keys": {}},
        {"keys": None}, {"keys": [1]}, {"keys": [[]]}, {"keys": [None]},
        {"keys": [ec_jwk | {"use": "enc"}]}, {"keys": [{"kty": "unknown"}]}, {"keys": "x"},
        {"keys": [ec_jwk] * 101},
        {"keys": [ec_jwk | {"kid": "a"}, mint.key("ES256", "second").jwk(kid="a")]},
    ],
)  # fmt: skip
def test_jwks_that_cannot_be_what_they_say_are_refused(tmp_path, jwk):
    assert of_file(tmp_path, jwk)


@pytest.mark.parametrize(
    "changes", [
        {"x": ""}, {"x": "AAAA"}, {"x": okp_jwk["x"] + "AAAA"}, {"crv": "Ed448"}, {"crv": "X25519"},
        {"kty": "EC"}, {"x": None},
    ],
)  # fmt: skip
def test_edwards_keys_of_a_wrong_length_or_curve_are_refused(tmp_path, changes):
    assert of_file(tmp_path, okp_jwk | changes, "EdDSA")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"{", b"[]", b"null", b'{"kty":"EC","kty":"oct"}',
        b"-----BEGIN PUBLIC KEY-----\n", b"\xff\xfe",
        ES256.public_pem() + RSA.public_pem(), ES256.public_pem() * 2, ES256.public_pem()[:-40],
        ES256.public_pem().replace(b"PUBLIC", b"PRIVATE"), ES256.public_der(),
        json.dumps(ec_jwk).encode("utf-16"), b"\xef\xbb\xbf" + json.dumps(ec_jwk).encode(),
        json.dumps(ec_jwk).encode() * 2, b"x" * (2 << 20),
        b'{"keys":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        CERTIFICATE,
        ES256.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8,
        BestAvailableEncryption(b"x")),
        b'{"keys":NaN}', b'{"keys":[],"keys":[' + json.dumps(ec_jwk).encode() + b"]}",
    ],
    ids=lambda content: f"{content[:20]!r}",
)  # fmt: skip
def test_files_that_are_no_keys_are_refused(tmp_path, content):
    assert of_file(tmp_path, content)


def test_one_key_has_one_algorithm(tmp_path):
    write(tmp_path / "key", RSA.public_pem(), 0o644)
    write(tmp_path / "twice", mint.jwks(RSA.jwk(alg="RS256"), RSA.jwk(alg="PS256")), 0o644)
    one = 'keys = ["key"]\nalgorithms = ["{}"]'
    assert mistakes(tmp_path, one.format("RS256")) == ""
    assert mistakes(tmp_path, one.format("RS256"), one.format("RS256")) == ""
    assert "one algorithm" in mistakes(tmp_path, one.format("RS256"), one.format("PS256"))
    assert "one algorithm" in mistakes(tmp_path, one.format('RS256", "PS256'))
    assert "one algorithm" in mistakes(
        tmp_path, 'keys = ["twice"]\nalgorithms = ["RS256", "PS256"]'
    )
    write(tmp_path / "secret", mint.key("HS256").secret, 0o600)
    write(tmp_path / "secret2", mint.key("HS256").jwk(), 0o600)
    secret = 'secret_file = "secret"\n'
    for first in (secret + 'algorithms = ["HS256"]', 'keys = ["secret2"]\nalgorithms = ["HS256"]'):
        for second in ('algorithms = ["HS384"]', 'kind = "compact"', 'kind = "xcauth"'):
            assert "one algorithm" in mistakes(tmp_path, first, secret + second)
    both = (secret + 'kind = "compact"', secret + 'kind = "xcauth"')
    assert "one algorithm" in mistakes(tmp_path, *both)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (ES256.private_pem(), 0o644), (ES256.private_pem(), 0o604), (ES256.private_pem(), 0o620),
        (ES256.private_pem(), 0o602), (ES256.public_pem(), 0o666), (ES256.public_pem(), 0o664),
        (ES256.public_pem(), 0o646), (ES256.jwk(private=True), 0o644),
        (mint.jwks(ec_jwk, mint.key("ES256", "second").jwk(private=True)), 0o644),
        # Which are passed over, and secret all the same.
        (mint.jwks(ec_jwk, RSA.jwk(private=True)), 0o644),
        (mint.jwks(ec_jwk, mint.key("HS256").jwk()), 0o644),
    ],
)  # fmt: skip
def test_files_that_are_open_to_others_are_refused(tmp_path, content, mode):
    assert "open to others" in of_file(tmp_path, content, mode=mode)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_secrets_that_are_open_to_others_are_refused(tmp_path, mode):
    write(tmp_path / "secret", mint.key("HS256").secret, mode)
    for kind in ('algorithms = ["HS256"]', 'kind = "compact"', 'kind = "xcauth"'):
        assert "open to others" in mistakes(tmp_path, f'secret_file = "secret"\n{kind}')


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    (tmp_path / "keys").mkdir()
    write(tmp_path / "keys" / "a.pem", ES256.public_pem(), 0o644)
    table = 'keys = ["keys"]\nalgorithms = ["ES256"]'
    (tmp_path / "keys").chmod(0o755)
    assert mistakes(tmp_path, table) == ""
    for mode in (0o777, 0o775, 0o757, 0o1777):
        (tmp_path / "keys").chmod(mode)
        assert "open to others" in mistakes(tmp_path, table)


def test_no_mistake_repeats_a_key(tmp_path):
    secret = b"a very short secret"
    for said in of_secret(tmp_path, secret)[:4]:
        assert "very" not in said
        assert mint.b64(secret) not in said
    private = ES256.private_pem().splitlines()
    for content in (b"\n".join(private[:-1]), b"\n".join(private[1:]), b"\n".join(private * 2)):
        assert private[1].decode() not in of_file(tmp_path, content)
    jwk = ES256.jwk(private=True)
    for changes in ({"x": 1}, {"y": jwk["x"]}, {"crv": "P-384"}, {"alg": jwk["d"][:-1]}):
        said = of_file(tmp_path, jwk | changes)
        assert said
        assert jwk["d"] not in said


def test_of_a_mixed_set_the_keys_for_something_else_are_passed_over(tmp_path):
    """A JWKS of a website may have keys of encryption, of other types and for other algorithms:
    they sign nothing here."""
    second = mint.key("ES256", "second")
    encrypting, operating = mint.key("ES256", "typ"), mint.key("ES256", "bots")
    keys = mint.jwks(
        ES256.jwk(kid="ours", use="sig"), encrypting.jwk(kid="enc", use="enc"),
        operating.jwk(kid="ops", key_ops=["deriveKey"]), RSA.jwk(kid="rsa"),
        mint.key("HS256").jwk(kid="oct"), mint.key("ES384").jwk(kid="p384"),
        second.jwk(kid="other", alg="ECDH-ES"), {"kty": "AKP", "kid": "akp", "pub": "AAAA"},
        mint.key("EdDSA").jwk(kid="okp", alg="EdDSA"),
    )  # fmt: skip
    write(tmp_path / "key", keys, 0o600)
    house = TokenHouse(configured(tmp_path, 'keys = ["key"]\nalgorithms = ["ES256"]'))
    good = mint.jwt(SAYS, ES256, kid="ours")
    assert house.judge(good.encode()).reason is Reason.TOKEN_VALID
    for key, kid in (
        (encrypting, "enc"), (operating, "ops"), (RSA, "rsa"), (mint.key("HS256"), "oct"),
        (mint.key("ES384"), "p384"), (second, "other"), (mint.key("EdDSA"), "okp"),
    ):  # fmt: skip
        named = house.judge(mint.jwt(SAYS, key, kid=kid).encode())
        assert named.reason is Reason.TOKEN_KEY_UNKNOWN
        unnamed = house.judge(mint.jwt(SAYS, key).encode())
        assert unnamed.reason in (Reason.TOKEN_SIGNATURE_WRONG, Reason.TOKEN_ALGORITHM_REFUSED)


def test_keys_can_be_given_in_every_form(tmp_path):
    """What is refused above is refused for what is wrong with it."""
    for algorithm in mint.ALGORITHMS:
        key = mint.key(algorithm)
        forms = [key.jwk(), mint.jwks(key.jwk()), key.jwk(alg=algorithm, use="sig", kid="x")]
        if algorithm.startswith("HS"):
            forms += [key.secret, key.secret + b"\n", key.secret + b"\r\n"]
        else:
            forms.append(key.public_pem())
            if algorithm not in mint.ALGORITHMS[4:9]:  # private ones of RSA take 0.1 s each
                forms += [key.private_pem(), key.jwk(private=True)]
            forms.append(key.public_pem().replace(b"\n", b"\r\n"))
        for content in forms:
            assert of_file(tmp_path, content, algorithm) == "", (algorithm, content)
