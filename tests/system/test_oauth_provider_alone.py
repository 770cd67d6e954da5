"""The rig of the OpenID provider: that it does by itself what the tests of the oauth checker take
for granted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.tokens import mint

from . import oidc_provider
from .canary import secret
from .oidc_provider import (
    AUDIENCE,
    CHAT,
    POST,
    SCOPE,
    SIGNED,
    STRANGE,
    OidcProvider,
    Refused,
)
from .pki import make_pki
from .waiting import wait_until

USERS = {"alice": secret("wonderland"), "çelik": secret("pässwörd +&=% ✓")}
CLAIMS = {"alice": {"name": "Alice Liddell", "email": "alice@mail.example"}}


@pytest.fixture(scope="module")
def provider(workspace: Path) -> Iterator[OidcProvider]:
    pki = make_pki(workspace / "provider-alone-tls", ["localhost"], ["127.0.0.1"])
    server = OidcProvider(workspace / "provider-alone", pki, USERS, CLAIMS)
    server.start()
    yield server
    server.restore()
    server.stop()


def part(token: bytes, number: int) -> Any:
    """The header (0) or the payload (1) of a JSON Web Token."""
    return json.loads(mint.unb64(token.split(b".")[number].decode()))


def test_it_tells_where_everything_is(provider: OidcProvider) -> None:
    told = provider.discovery()
    assert told["issuer"] == provider.issuer
    for name in ("jwks_uri", "introspection_endpoint", "userinfo_endpoint", "token_endpoint"):
        assert told[name].startswith(f"{provider.issuer}/")
    published = provider.published()["keys"]
    assert {key["kid"] for key in published} == {"RS256-1", "ES256-1"}
    assert all("d" not in key for key in published)


def test_opaque_token_of_a_resource_is_active_for_its_audience(provider: OidcProvider) -> None:
    tokens = provider.issue("çelik", oidc_provider.OPAQUE)
    assert len(tokens.access) == 43
    said = provider.introspect(tokens.access)
    assert said == provider.introspect(tokens.access, client=POST)
    wanted = {
        "active": True,
        "sub": "çelik",
        "preferred_username": "çelik",
        "client_id": CHAT,
        "iss": provider.issuer,
        "aud": AUDIENCE,
        "scope": SCOPE,
        "token_type": "Bearer",
    }
    assert wanted.items() <= said.items()
    assert said["exp"] - said["iat"] == 300


def test_opaque_token_of_no_resource_is_good_at_the_userinfo_endpoint(
    provider: OidcProvider,
) -> None:
    tokens = provider.issue("alice", scope="openid profile email xmpp")
    assert "aud" not in provider.introspect(tokens.access)
    assert provider.userinfo(tokens.access) == {
        "sub": "alice",
        "preferred_username": "alice",
        **CLAIMS["alice"],
    }
    for token in (tokens.identity, b"nobody's"):
        with pytest.raises(Refused, match="invalid_token"):
            provider.userinfo(token)
    of_a_resource = provider.issue("alice", oidc_provider.OPAQUE)
    without = provider.issue("alice", scope=SCOPE)
    for token in (of_a_resource.access, without.access):
        with pytest.raises(Refused, match="insufficient_scope"):
            provider.userinfo(token)


def test_another_application_s_and_another_scope_s_tokens_say_so(provider: OidcProvider) -> None:
    foreign = provider.issue("alice", oidc_provider.OPAQUE, client=STRANGE)
    assert provider.introspect(foreign.access)["client_id"] == STRANGE
    other_scope = provider.issue("alice", oidc_provider.OPAQUE, scope="openid mail")
    assert provider.introspect(other_scope.access)["scope"] == "mail"
    elsewhere = provider.issue("alice", oidc_provider.OPAQUE_ELSEWHERE)
    assert provider.introspect(elsewhere.access)["aud"] == "https://mail.example"


def test_jwt_is_signed_with_a_key_that_it_publishes(provider: OidcProvider) -> None:
    for resource, algorithm in ((oidc_provider.JWT, "RS256"), (oidc_provider.ES256, "ES256")):
        token = provider.issue("alice", resource).access
        assert part(token, 0) == {"alg": algorithm, "typ": "at+jwt", "kid": f"{algorithm}-1"}
        signed, _, signature = token.rpartition(b".")
        public = provider.keys[algorithm].private.public_key()
        octets = mint.unb64(signature.decode())
        if algorithm == "RS256":
            public.verify(octets, signed, padding.PKCS1v15(), SHA256())
        else:
            r, s = octets[:32], octets[32:]
            der = encode_dss_signature(mint.unnumber(r), mint.unnumber(s))
            public.verify(der, signed, ECDSA(SHA256()))
        said = part(token, 1)
        wanted = {
            "iss": provider.issuer,
            "sub": "alice",
            "preferred_username": "alice",
            "client_id": CHAT,
            "aud": AUDIENCE,
            "scope": SCOPE,
        }
        assert wanted.items() <= said.items()
        assert said["exp"] - said["iat"] == 300
        assert provider.introspect(token) == {"active": False}


def test_jwt_of_a_resource_with_words_of_its_own_has_them(provider: OidcProvider) -> None:
    over, early, now = (
        part(provider.issue("alice", resource).access, 1)
        for resource in (oidc_provider.OVER, oidc_provider.EARLY, oidc_provider.JWT)
    )
    assert over["exp"] <= now["iat"] - 120
    assert early["iat"] >= now["exp"]
    keycloak = provider.issue("alice", oidc_provider.KEYCLOAK).access
    assert part(keycloak, 0)["typ"] == "JWT"
    assert part(keycloak, 1)["typ"] == "Bearer"
    foreign = part(provider.issue("alice", oidc_provider.FOREIGN).access, 1)
    assert foreign["iss"] != provider.issuer


def test_id_token_is_as_openid_has_it(provider: OidcProvider) -> None:
    tokens = provider.issue("alice", scope="openid profile xmpp", nonce="n-1")
    assert part(tokens.identity, 0)["typ"] == "JWT"
    said = part(tokens.identity, 1)
    wanted = {"iss": provider.issuer, "sub": "alice", "aud": CHAT, "nonce": "n-1"}
    assert wanted.items() <= said.items()
    assert said["at_hash"]
    assert "scope" not in said


def test_refresh_token_is_active_and_says_nowhere_that_it_is_one(provider: OidcProvider) -> None:
    tokens = provider.issue("alice", scope="openid offline_access xmpp")
    said = provider.introspect(tokens.refresh)
    assert (said["active"], said["scope"]) == (True, "openid offline_access xmpp")
    assert "token_type" not in said
    again = provider.refresh(tokens)
    assert provider.introspect(again.access)["active"]


def test_token_ends_by_time_and_by_revocation(provider: OidcProvider) -> None:
    short = provider.issue("alice", oidc_provider.SHORT)
    assert short.lifetime == oidc_provider.SHORT_LIFE
    wait_until(lambda: provider.introspect(short.access) == {"active": False}, "it has ended")
    revoked = provider.issue("alice", oidc_provider.OPAQUE)
    other = provider.issue("alice", oidc_provider.OPAQUE)
    provider.revoke(revoked.access)
    assert provider.introspect(revoked.access) == {"active": False}
    assert provider.introspect(other.access)["active"]


def test_password_gets_a_token_and_a_wrong_one_none(provider: OidcProvider) -> None:
    tokens = provider.password_grant("çelik", USERS["çelik"], oidc_provider.OPAQUE)
    said = provider.introspect(tokens.access)
    assert (said["sub"], said["aud"], said["scope"]) == ("çelik", AUDIENCE, SCOPE)
    for user, password in (("alice", USERS["çelik"]), ("nobody", b"x"), ("__proto__", b"x")):
        with pytest.raises(Refused, match="invalid_grant"):
            provider.password_grant(user, password)


def test_signed_answers_of_userinfo_are_another_applications(provider: OidcProvider) -> None:
    tokens = provider.issue("alice", client=SIGNED)
    with pytest.raises(json.JSONDecodeError):
        provider.userinfo(tokens.access)


def test_who_has_not_the_secret_is_told_nothing(provider: OidcProvider) -> None:
    tokens = provider.issue("alice", oidc_provider.OPAQUE)
    provider.secrets[POST], kept = b"guessed", provider.secrets[POST]
    try:
        with pytest.raises(Refused, match="invalid_client"):
            provider.introspect(tokens.access, client=POST)
    finally:
        provider.secrets[POST] = kept


def test_after_its_end_it_knows_no_token_of_before_and_has_the_same_keys(
    provider: OidcProvider,
) -> None:
    before = provider.issue("alice", oidc_provider.OPAQUE).access
    keys = provider.published()
    provider.kill()
    provider.start()
    assert provider.introspect(before) == {"active": False}
    assert provider.published() == keys
    provider.stop()
    provider.new_keys()
    provider.start()
    assert {key["kid"] for key in provider.published()["keys"]} == {"RS256-2", "ES256-2"}
