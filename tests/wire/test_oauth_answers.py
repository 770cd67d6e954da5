"""Forms and headers for an OAuth provider, and what its answers say. The examples are those of the
RFCs, or what the providers' own documentation shows."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl

import pytest

from authbridge.wire import oauth_answers
from authbridge.wire.oauth_answers import Unusable

ISSUER = "https://sso.example.org/realms/chat"


def test_a_form_has_every_octet_in_its_place():
    fields = {"grant_type": "password", "username": "älice & co", "password": b"p=&%\xff +"}
    body = oauth_answers.form(fields)
    assert body.isascii()
    found = parse_qsl(body.decode(), strict_parsing=True, encoding="latin-1")
    assert found[2] == ("password", "p=&%\xff +")
    assert dict(parse_qsl(body.decode(), errors="replace"))["username"] == "älice & co"


def test_a_clients_name_and_secret_are_encoded_before_they_are_joined():
    """RFC 6749, 2.3.1: a colon in either would be taken for the one between them."""
    header = oauth_answers.basic("chat:1", b"s:e c+\xff")
    scheme, _, text = header.partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(text) == b"chat%3A1:s%3Ae+c%2B%FF"


def test_metadata_are_found_below_the_issuer_whether_or_not_it_ends_with_a_slash():
    at = "https://sso.example.org/application/o/chat/.well-known/openid-configuration"
    for issuer in ("https://sso.example.org/application/o/chat", at.partition(".well")[0]):
        assert oauth_answers.metadata_url(issuer) == at


def test_metadata_name_urls():
    members = {
        "issuer": ISSUER, "jwks_uri": "https://a/jwks", "token_endpoint": "https://a/token",
        "authorization_endpoint": "https://a/auth", "scopes_supported": ["openid"],
    }  # fmt: skip
    found = oauth_answers.read_metadata(members, ISSUER)
    assert found == {"jwks_url": "https://a/jwks", "token_url": "https://a/token"}


def test_metadata_of_another_issuer_are_refused():
    for said in ("https://evil.example", None, ["x"], ISSUER.upper()):
        with pytest.raises(Unusable, match=r"not those of `issuer`$"):
            oauth_answers.read_metadata({"issuer": said}, ISSUER)
    with pytest.raises(Unusable, match="the slash at the end"):
        oauth_answers.read_metadata({"issuer": f"{ISSUER}/"}, ISSUER)
    with pytest.raises(Unusable, match="`jwks_uri` is no string"):
        oauth_answers.read_metadata({"issuer": ISSUER, "jwks_uri": ["https://a"]}, ISSUER)


def test_a_token_is_in_force_where_active_is_true_and_nothing_else():
    assert oauth_answers.read_active({"active": True})
    assert not oauth_answers.read_active({"active": False, "sub": "alice"})
    for odd in ("true", 1, None, []):
        with pytest.raises(Unusable, match="no boolean"):
            oauth_answers.read_active({"active": odd})
    with pytest.raises(Unusable, match="missing"):
        oauth_answers.read_active({"sub": "alice"})


def test_a_granted_token_is_a_bearers():
    for kind in ("Bearer", "bearer"):
        assert oauth_answers.read_granted({"token_type": kind, "access_token": "a.b"}) == b"a.b"
    for kind in ("DPoP", None, 1):
        with pytest.raises(Unusable, match="token_type"):
            oauth_answers.read_granted({"token_type": kind, "access_token": "a.b"})
    for token in ("", "a b", "a\n", None, 7, "ä"):
        with pytest.raises(Unusable, match="access_token"):
            oauth_answers.read_granted({"token_type": "bearer", "access_token": token})


def test_an_error_is_one_of_those_that_are_known():
    assert oauth_answers.read_error({"error": "invalid_grant"}) == "invalid_grant"
    for odd in ("Password of alice is x", None, ["invalid_grant"]):
        assert oauth_answers.read_error({"error": odd}) == ""
    assert oauth_answers.read_error({}) == ""


def test_a_claim_may_stand_within_others():
    claims = {"user": {"name": "alice", "n": 7}, "a.b": "dotted", "https://x.org/user": "bob"}
    assert oauth_answers.claim(claims, "user.name") == "alice"
    assert oauth_answers.claim(claims, "a.b") == "dotted"
    assert oauth_answers.claim(claims, "https://x.org/user") == "bob"
    for path in ("user.other", "user.n.more", "nobody", "user.name.x"):
        assert oauth_answers.claim(claims, path) is None


def test_audiences_scopes_and_clients_are_sets():
    assert oauth_answers.read_audiences({"aud": "chat"}) == {"chat"}
    assert oauth_answers.read_audiences({"aud": ["chat", "account"]}) == {"chat", "account"}
    assert oauth_answers.read_audiences({}) == set()
    assert oauth_answers.read_scopes({"scope": "openid  xmpp "}) == {"openid", "xmpp"}
    assert oauth_answers.read_scopes({"scope": ["openid"], "scp": "other"}) == {"openid"}
    assert oauth_answers.read_scopes({"scp": ["xmpp"]}) == {"xmpp"}
    assert oauth_answers.read_scopes({}) == set()
    assert oauth_answers.read_clients({"client_id": "chat", "azp": "web"}) == {"chat", "web"}
    assert oauth_answers.read_clients({"azp": "web"}) == {"web"}
    assert oauth_answers.read_clients({}) == set()


def test_what_is_none_of_these_is_no_answer():
    for odd in (None, 1, {"chat": 1}, ["chat", 1]):
        with pytest.raises(Unusable):
            oauth_answers.read_audiences({"aud": odd})
        with pytest.raises(Unusable):
            oauth_answers.read_scopes({"scope": odd})
        with pytest.raises(Unusable):
            oauth_answers.read_clients({"azp": odd})
