"""What a provider publishes: fetched over TLS, in the background, and refused where it is odd."""

from __future__ import annotations

from twisted.logger import LogLevel

from tests.issuers.folders import said
from tests.ldap.certificates import ADDRESS, OTHER, OURS
from tests.ldap.certificates import NAME as HOST
from tests.outbound.web import WebServer
from tests.providers.world import (
    INTROSPECT,
    ISSUER,
    KEYS,
    METADATA,
    OPAQUE,
    claims,
    jwt,
    says,
)
from tests.tokens import mint

GOOD = {"active": True, "token_type": "Bearer", **claims()}


def test_keys_are_found_by_the_metadata(world):
    one = world("jwt")
    assert [path for path, _ in one.sso.asked] == [METADATA, KEYS]
    assert one.login(jwt()).signer == f"{ISSUER}#sso"
    assert len(one.sso.asked) == 2


def test_keys_whose_url_is_given_need_no_metadata(world):
    one = world("jwt", jwks_url=f"https://{HOST}{KEYS}")
    assert [path for path, _ in one.sso.asked] == [KEYS]
    assert one.login(jwt()).reason.value == "token_valid"


def test_urls_are_found_by_the_metadata_and_asked_for_again(world):
    one = world()
    one.sso.says[INTROSPECT] = says(GOOD)
    assert one.login(OPAQUE).reason.value == "token_valid"
    assert [path for path, _ in one.sso.asked] == [METADATA, INTROSPECT]
    one.sso.metadata["introspection_endpoint"] = f"https://{HOST}/moved"
    one.sso.says["/moved"] = says({"active": False})
    one.network.settle(900)
    assert one.refused(OPAQUE) == "token_inactive"


def test_a_url_that_is_given_counts(world):
    one = world(introspection_url=f"https://{HOST}/own")
    one.sso.says["/own"] = says(GOOD)
    assert one.login(OPAQUE).reason.value == "token_valid"
    assert [path for path, _ in one.sso.asked] == ["/own"]


def test_one_that_is_given_and_one_that_is_found(world):
    given = {"introspection_url": f"https://{HOST}/own", "password_grant": True}
    one = world(**given)
    assert [path for path, _ in one.sso.asked] == [METADATA]
    one.sso.says["/own"] = says(GOOD)
    assert one.login(OPAQUE).reason.value == "token_valid"


def test_metadata_of_another_issuer_are_not_used(world, events):
    one = world("jwt", issuer=f"{ISSUER}/")  # found at the same place
    assert one.unavailable(jwt(iss=f"{ISSUER}/")) == "keys_unavailable"
    (line,) = said(events)
    assert "the metadata are not those of `issuer`: the two differ by the slash" in line


def test_metadata_that_name_no_place_or_an_open_one_are_not_used(world, events):
    one = world()
    del one.sso.metadata["introspection_endpoint"]
    one.network.settle(900)  # what was found before stays in force
    one.sso.says[INTROSPECT] = says(GOOD)
    assert one.login(OPAQUE).reason.value == "token_valid"
    one.sso.metadata["introspection_endpoint"] = f"http://{HOST}{INTROSPECT}"
    one.network.settle(900)
    first, second = said(events)
    assert "there is no `introspection_endpoint`: give introspection_url" in first
    assert "`introspection_endpoint`: it should begin with https://" in second


def test_this_machine_is_not_where_a_provider_elsewhere_is(world, events):
    one = world()
    one.sso.metadata["introspection_endpoint"] = "http://127.0.0.1:8080/introspect"
    one.network.settle(900)
    one.sso.says[INTROSPECT] = says(GOOD)
    assert one.login(OPAQUE).reason.value == "token_valid"  # what was found before stays in force
    (line,) = said(events)
    assert "`introspection_endpoint`: it should begin with https://, as `issuer` does" in line
    given = {"insecure_clear_text": True, "token_url": f"http://{HOST}/t", "password_grant": True}
    one = world(**given)
    one.network.places[ADDRESS, 80] = lambda: WebServer(one.sso.answer)
    one.sso.metadata["introspection_endpoint"] = f"http://{HOST}{INTROSPECT}"
    one.network.settle(900)
    one.sso.says[INTROSPECT] = says(GOOD)
    assert one.login(OPAQUE).reason.value == "token_valid"
    assert len(one.sso.at(INTROSPECT)) == 1


def test_an_answer_that_is_none_says_why(world, events):
    one = world("jwt")
    for answer in (b"<html>", b"{}"):
        one.sso.says[KEYS] = says(answer)
        one.network.settle(900)
    one.sso.says[METADATA] = says(b"", "302 Found")
    one.network.settle(900)
    one.sso.says[METADATA] = says(b"", "500 Oops")
    one.network.settle(900)
    assert one.login(jwt(exp=one.wall + 1000)).reason.value == "token_valid"
    words = " ".join(said(events))
    for expected in (
        "is no JWK: no JSON",
        "has no list of keys",
        f"{ISSUER}/.well-known/openid-configuration: the server answers 302 (it points elsewhere",
        "the server answers 500; the keys fetched before stay in force",
    ):
        assert expected in words


def test_a_provider_that_is_not_verified_publishes_nothing(world, events):
    one = world("jwt")
    one.network.settle(1)
    one.tls = OTHER.issue(HOST)
    one.sso.jwks = mint.jwks()
    one.network.settle(900)
    assert one.login(jwt()).reason.value == "token_valid"
    assert "authority that signed the certificate is not trusted" in said(events)[0]
    one.tls = OURS.issue(HOST)


def test_keys_for_something_else_are_said_once(world, events):
    one = world("jwt")
    other = mint.key("ES256", "else").jwk(kid="else")
    one.sso.jwks = mint.jwks(mint.key("RS256", "sso").jwk(kid="sso"), other)
    one.network.settle(900)
    one.network.settle(900)
    assert said(events, LogLevel.warn) == [
        f"provider {ISSUER}: key 2 of the keys of {ISSUER} is for ES256, which `algorithms` does "
        "not name"
    ]
