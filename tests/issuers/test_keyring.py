"""The keys of one issuer, each with the one thing that it is for."""

from __future__ import annotations

import json

import pytest

from authbridge.issuers.keyring import (
    Keyring,
    bind,
    bind_one,
    bind_published,
    contradictions,
    signs,
    use_of,
)
from authbridge.tokens import key_texts
from authbridge.tokens.keys import BadKey, NotForThis
from tests.issuers.folders import SECRETS, settings
from tests.tokens import mint

ES256, RS256 = mint.key("ES256"), mint.key("RS256")


def found(*jwks):
    """The members of a JWKS."""
    return key_texts.read_set(json.dumps(mint.jwks(*jwks)).encode(), "here")


def one(content):
    """The key of a file that has one."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return key_texts.read(content, "here", "www", secrets=True)


def ring(folder, *jwks, **given):
    return Keyring(bind(found(*jwks), settings(folder, **given), "here"))


# --- of files -------------------------------------------------------------------------------------


def test_keys_of_a_jwks_that_are_for_something_else_are_passed_over(tmp_path):
    others = [RS256.jwk(), ES256.jwk(use="enc"), mint.key("ES384").jwk(), ES256.jwk(alg="ES384")]
    keys = list(bind(found(*others, ES256.jwk(kid="ours")), settings(tmp_path), "here"))
    assert [key.kid for key in keys] == ["ours"]


def test_a_jwks_that_has_nothing_for_this_issuer_says_why(tmp_path):
    with pytest.raises(BadKey) as raised:
        bind(found(RS256.jwk(), ES256.jwk(use="enc")), settings(tmp_path), "here")
    assert str(raised.value) == (
        "key 1 of here is for RS256 or RS384 or RS512 or PS256 or PS384 or PS512, which "
        "`algorithms` does not name; key 2 of here is not for signatures (`use`)"
    )
    with pytest.raises(BadKey, match=r"^key 1 of here is a JWK of no type that is known"):
        bind(found({"kty": "AKP"}), settings(tmp_path), "here")
    with pytest.raises(BadKey, match=r"^here holds no key$"):
        bind([], settings(tmp_path), "here")


def test_keys_of_unknown_types_and_curves_are_passed_over(tmp_path):
    """RFC 7517, 5."""
    unknown = [{"kty": "AKP", "pub": "AAAA"}, {}, ES256.jwk() | {"crv": "BP-256"}]
    keys = bind(found(*unknown, ES256.jwk(kid="ours")), settings(tmp_path), "here")
    assert [key.kid for key in keys] == ["ours"]


def test_one_key_is_bound_to_what_its_issuer_uses(tmp_path):
    ours = settings(tmp_path)
    key = bind_one(one(ES256.jwk(kid="a")), ours)
    assert (key.kid, key.algorithm, key.source, use_of(key)) == ("a", "ES256", "here", "ES256")
    assert [same.kid for same in bind(one(ES256.public_pem()), ours, "here")] == ["www"]


@pytest.mark.parametrize("kind", ["jwt", "compact", "xcauth"])
def test_secrets_and_private_halves_sign(tmp_path, kind):
    given = {"algorithms": ["HS256"]} if kind == "jwt" else {}
    secret = bind_one(one(SECRETS[0]), settings(tmp_path, kind, **given))
    assert signs(secret)
    ours = settings(tmp_path)
    assert signs(bind_one(one(ES256.jwk(private=True)), ours))
    assert not signs(bind_one(one(ES256.jwk()), ours))


def test_a_key_alone_that_is_for_something_else_is_a_mistake(tmp_path):
    for content in (RS256.public_pem(), RS256.jwk()):
        with pytest.raises(NotForThis, match="which `algorithms` does not name"):
            bind(one(content), settings(tmp_path), "here")


def test_one_bad_key_in_a_file_spoils_it(tmp_path):
    """Its owner can mend it; and a slip should not be found out when the good one is retired."""
    weak = {"kty": "RSA", "n": mint.number((1 << 1023) + 1), "e": "AQAB"}
    with pytest.raises(BadKey, match="1024 bits"):
        bind(found(RS256.jwk(), weak), settings(tmp_path, algorithms=["RS256"]), "here")


@pytest.mark.parametrize(("kind", "least"), [("compact", 32), ("xcauth", 16)])
def test_secrets_have_the_length_that_their_kind_needs(tmp_path, kind, least):
    ours = settings(tmp_path, kind)
    (key,) = bind(one(SECRETS[0][:least]), ours, "here")
    assert key.secret.reveal() == SECRETS[0][:least]
    assert (key.kid, key.source, key.size) == ("www", "here", f"{least} octets")
    with pytest.raises(BadKey, match=f"^here has {least - 1} octets, and needs {least}; "):
        bind(one(SECRETS[0][: least - 1]), ours, "here")
    with pytest.raises(BadKey, match="is no secret"):
        bind(one(ES256.public_pem()), ours, "here")


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_a_secret_is_shown_by_the_name_that_tokens_have_for_it(tmp_path, kind):
    (key,) = bind(one(SECRETS[0]), settings(tmp_path, kind), "here")
    make = mint.compact_key_id if kind == "compact" else mint.xcauth_key_id
    assert repr(key) == f"MacKey({kind}, {make(SECRETS[0]).hex()})"
    assert use_of(key) == kind
    assert SECRETS[0].decode() not in f"{key!r}{key.secret}"


def test_two_secrets_may_have_one_key_id(tmp_path):
    """xcauth's has 16 bits: both are tried."""
    secret = SECRETS[0]
    namesake = mint.xcauth_namesake(secret)
    ours = settings(tmp_path, "xcauth")
    keys = [*bind(one(secret), ours, "a"), *bind(one(namesake), ours, "b")]
    both = Keyring([*keys, *bind(one(secret), ours, "c")])
    assert len(both) == len(list(both)) == 2
    (same,) = both.by_key_id.values()
    assert {key.secret.reveal() for key in same} == {secret, namesake}


def test_a_keyring_has_names_for_people(tmp_path):
    ours = ring(tmp_path, ES256.jwk(kid="b"), mint.key("ES256", "a").jwk(kid="a"))
    assert ours.names() == ["a", "b"]
    assert len(ours) == 2
    assert list(Keyring()) == Keyring().names() == []
    assert len(Keyring()) == 0


# --- of publishers --------------------------------------------------------------------------------


def published(folder, *jwks, **given):
    keys, refused = bind_published(found(*jwks), settings(folder, **given))
    return keys.names(), refused


def test_a_bad_key_takes_nothing_from_the_others_that_are_published(tmp_path):
    weak = {"kty": "RSA", "n": mint.number((1 << 1023) + 1), "e": "AQAB"}
    names, refused = published(
        tmp_path, weak, RS256.jwk(kid="ours"), ES256.jwk(), ES256.jwk(use="enc"),
        algorithms=["RS256"],
    )  # fmt: skip
    assert names == ["ours"]
    assert [words.partition(" of ")[0] for words in refused] == ["key 1", "key 3", "key 4"]
    assert "1024 bits" in refused[0]


def test_a_secret_that_is_published_is_none(tmp_path):
    """Everybody knows it."""
    secret = mint.Key("HS256", secret=SECRETS[0]).jwk()
    for bad in (mint.key("ES256", "b").jwk(private=True), secret):
        names, refused = published(tmp_path, ES256.jwk(kid="ours"), bad)
        assert names == ["ours"]
        assert refused == ["key 2 of here is secret, and is published"]


@pytest.mark.parametrize("member", ["d", "k"])
@pytest.mark.parametrize("value", ["AQAB" * 2**16, "", None, 1, ["AQAB"], {}])
@pytest.mark.parametrize("kty", ["RSA", "EC", "OKP", "oct", "AKP", None, 5])
def test_what_is_secret_and_published_is_not_looked_into(tmp_path, member, value, kty):
    """To import a private RSA key of 16,384 bits takes seconds, in which nobody logs in: what could
    not be read at all is refused for the same, as nobody has tried to."""
    bad = {"kty": kty, "n": "!", "e": 1, "crv": 5, "kid": 7, member: value}
    names, refused = published(tmp_path, bad, ES256.jwk(kid="ours"))
    assert names == ["ours"]
    assert refused == ["key 1 of here is secret, and is published"]


def test_a_published_key_that_is_out_of_form_takes_nothing_from_the_others(tmp_path):
    broken = [
        {"kty": "RSA", "n": "A" * 4000, "e": "AQAB"}, ES256.jwk() | {"y": "AAAA"},
        ES256.jwk(kid="a\n"), {"kty": "AKP"}, ES256.jwk() | {"crv": "P-257"},
    ]  # fmt: skip
    names, refused = published(tmp_path, *broken, ES256.jwk(kid="ours"))
    assert names == ["ours"]
    assert [words[:14] for words in refused] == [
        "key 1 of here ", "key 2 of here ", "the kid of key", "key 4 of here ", "key 5 of here ",
    ]  # fmt: skip


def test_a_published_key_whose_curve_is_no_string_takes_nothing_from_the_others(tmp_path):
    names, _ = published(tmp_path, ES256.jwk() | {"crv": ["P-256"]}, ES256.jwk(kid="ours"))
    assert names == ["ours"]


def test_of_two_published_keys_that_contradict_each_other_the_first_is_used(tmp_path):
    names, refused = published(
        tmp_path, ES256.jwk(kid="www"), mint.key("ES256", "b").jwk(kid="www"),
        mint.key("ES256", "c").jwk(kid="c"),
    )  # fmt: skip
    assert names == ["c", "www"]
    assert refused == ["key 2 of here and key 1 of here have one kid, 'www'"]
    names, refused = published(
        tmp_path, RS256.jwk(kid="a", alg="RS256"), RS256.jwk(kid="b", alg="PS256"),
        algorithms=["RS256", "PS256"],
    )  # fmt: skip
    assert names == ["a"]
    assert "a key has one algorithm" in refused[0]


def test_where_nothing_published_is_of_use_it_is_said_why(tmp_path):
    with pytest.raises(BadKey, match=r"^key 1 of here is not for signatures"):
        bind_published(found(ES256.jwk(use="enc")), settings(tmp_path))
    with pytest.raises(BadKey, match=r"^there is no key in it$"):
        bind_published(found(), settings(tmp_path))


# --- of several issuers ---------------------------------------------------------------------------


def test_one_key_with_one_use_may_be_that_of_several_issuers(tmp_path):
    rings = {name: ring(tmp_path, ES256.jwk(kid=name)) for name in ("a", "b")}
    assert contradictions(rings) == []
    assert contradictions({}) == []


def test_one_key_is_not_for_two_algorithms_of_two_issuers(tmp_path):
    rings = {
        name: ring(tmp_path, RS256.jwk(), algorithms=[algorithm])
        for name, algorithm in (("a", "RS256"), ("b", "PS256"))
    }
    ((name, words, thumbprint),) = contradictions(rings)
    assert (name, thumbprint) == ("b", RS256.thumbprint())
    assert words == (
        "key 1 of here is a key of issuers.a too, for RS256 there and PS256 here; a key "
        "has one algorithm"
    )


def test_each_key_that_two_issuers_use_in_two_ways_is_named(tmp_path):
    """And each issuer that comes to it later."""
    others = [mint.key("RS256", name) for name in ("a", "b")]
    rings = {
        name: ring(tmp_path, *(key.jwk() for key in others), algorithms=[algorithm])
        for name, algorithm in (("one", "RS256"), ("two", "PS256"), ("three", "PS512"))
    }
    wrong = contradictions(rings)
    assert [(name, thumbprint) for name, _, thumbprint in wrong] == [
        (name, key.thumbprint()) for name in ("two", "three") for key in others
    ]
    assert all("issuers.one" in words for _, words, _ in wrong)


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_a_secret_is_not_for_jwts_and_other_tokens_at_once(tmp_path, kind):
    """Octets that one kind has signed might be made a token of the other."""
    jwk = mint.Key("HS256", secret=SECRETS[0]).jwk()
    rings = {
        "a": ring(tmp_path, jwk, algorithms=["HS256"]),
        "b": Keyring(bind(one(SECRETS[0]), settings(tmp_path, kind), "here")),
    }
    ((name, words, _),) = contradictions(rings)
    assert name == "b"
    assert f"for HS256 there and {kind} here" in words


def test_a_secret_is_not_for_compact_and_xcauth_tokens_at_once(tmp_path):
    rings = {
        kind: Keyring(bind(one(SECRETS[0]), settings(tmp_path, kind), "here"))
        for kind in ("compact", "xcauth")
    }
    ((name, words, _),) = contradictions(rings)
    assert name == "xcauth"
    assert "for compact there and xcauth here" in words
