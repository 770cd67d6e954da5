"""[checkers.NAME] with kind = "oauth": what is required, what contradicts what, and what is said of
a mistake."""

from __future__ import annotations

import pytest

from authbridge.providers.presets import PRESETS
from authbridge.tokens.shapes import Shape
from tests.providers.world import ISSUER, read


def mistakes(tmp_path, way="introspection", **given):
    return read(tmp_path, way, **given)[1]


def mistake(tmp_path, way="introspection", **given):
    (one,) = mistakes(tmp_path, way, **given)
    return one


def test_the_usual_settings_of_each_way_are_good(tmp_path):
    for way in ("jwt", "introspection", "userinfo"):
        settings, wrong = read(tmp_path, way)
        assert wrong == []
        assert (settings.tokens, settings.issuer, settings.own_issuer) == (way, ISSUER, ISSUER)
        assert (settings.knows_users, settings.own_tokens, settings.at_once) == (False, True, 64)
        assert (settings.web.timeout, settings.web.clear_text) == (4.0, False)
        assert (settings.jid, settings.user_domain, settings.ignore_case) == (
            ("", ""),
            False,
            False,
        )
        assert (settings.rules.user, settings.password_grant) == ("preferred_username", False)


def test_tokens_that_are_judged_here(tmp_path):
    settings, _ = read(tmp_path, "jwt")
    assert (settings.algorithms, settings.rules.dates.typ) == (("RS256",), "at+jwt")
    assert (settings.rules.dates.leeway, settings.rules.dates.max_lifetime) == (30.0, 86400.0)
    assert (settings.jwt_alone, settings.takes_all, settings.cache) == (True, False, 0.0)
    assert (settings.client, settings.needed) == (None, ("jwks_url",))
    settings, wrong = read(
        tmp_path, "jwt", algorithms=["ES256", "PS256"], typ="JWT", leeway=0, max_lifetime="10m",
        user="user.name", jid="sso-{user}", user_domain=True, ignore_case=True,
    )  # fmt: skip
    assert wrong == []
    assert (settings.algorithms, settings.rules.dates.typ) == (("ES256", "PS256"), "jwt")
    assert (settings.rules.dates.leeway, settings.rules.dates.max_lifetime) == (0.0, 600.0)
    assert (settings.rules.user, settings.jid) == ("user.name", ("sso-", ""))
    assert (settings.user_domain, settings.ignore_case) == (True, True)


def test_tokens_that_the_provider_is_asked_about(tmp_path):
    settings, _ = read(tmp_path, cache="1m", at_once=8, clients="web", scope="chat")
    assert settings.client is not None
    assert (settings.client.name, settings.client.in_form) == ("authbridge", False)
    assert settings.client.secret.matches(b"s3cret of ours")
    assert (settings.cache, settings.at_once, settings.jwt_alone) == (60.0, 8, False)
    assert settings.shape == Shape(b"", 43, 43)
    assert (settings.rules.audiences, settings.rules.clients) == ({"xmpp"}, {"web"})
    assert settings.rules.scopes == {"chat"}
    settings, _ = read(tmp_path, client_auth="post", password_grant=True, cache=0)
    assert settings.client is not None
    assert settings.client.in_form
    assert settings.needed == ("introspection_url", "token_url")


def test_without_a_sign_of_its_tokens_every_password_is_one(tmp_path):
    settings, wrong = read(tmp_path, token_length=None)
    assert (settings.takes_all, wrong) == (True, [])
    settings, wrong = read(tmp_path, token_length=None, jwt_alone=True)
    assert (settings.takes_all, wrong) == (False, [])
    settings, wrong = read(tmp_path, token_length=None, token_prefix="sso_")
    assert (settings.takes_all, wrong) == (False, [])
    assert mistake(tmp_path, token_length=None, password_grant=True).startswith(
        "password_grant: needs to know a password from a token: say what the tokens look like"
    )
    assert mistake(tmp_path, jwt_alone=True) == (
        "jwt_alone: contradicts token_length and token_prefix"
    )


def test_presets_know_what_access_tokens_look_like(tmp_path):
    for name in ("keycloak", "authentik"):
        settings, wrong = read(tmp_path, "jwt", preset=name)
        assert wrong == []
        assert settings.rules.dates.typ == "jwt"
        assert settings.rules.marks == PRESETS[name].marks
        settings, wrong = read(tmp_path, preset=name, token_length=None)
        assert (settings.jwt_alone, settings.takes_all, wrong) == (True, False, [])
        settings, wrong = read(tmp_path, preset=name)  # one that was changed to make opaque ones
        assert (settings.jwt_alone, settings.shape is None, wrong) == (False, False, [])
    assert mistake(tmp_path, preset="keycloack") == (
        'preset: "keycloack" is not known; did you mean "keycloak"?'
    )


def test_an_answer_has_to_say_what_a_token_is_unless_its_provider_never_does(tmp_path):
    assert not read(tmp_path)[0].untyped_answers
    assert read(tmp_path, untyped_answers=True)[0].untyped_answers
    assert read(tmp_path, preset="authentik", token_length=None)[0].untyped_answers
    assert not read(tmp_path, preset="authentik")[0].untyped_answers  # its refresh tokens are shown
    assert mistake(tmp_path, "jwt", untyped_answers=True) == (
        'untyped_answers: is about tokens = "introspection"'
    )


def test_authentik_does_not_say_whom_a_token_was_issued_to(tmp_path):
    assert mistake(tmp_path, preset="authentik", clients=["web"]).startswith(
        "clients: cannot be told: asked about a token, this provider names whoever asks"
    )
    assert mistakes(tmp_path, "jwt", preset="authentik", clients=["web"]) == []


def test_how_tokens_are_judged_has_to_be_said(tmp_path):
    assert mistake(tmp_path, tokens=None).startswith(
        'tokens: is missing: "jwt" (judged here, by the provider\'s keys), "introspection"'
    )
    assert mistake(tmp_path, tokens="jtw") == 'tokens: "jtw" is not known; did you mean "jwt"?'


def test_a_token_of_any_application_is_none_of_ours(tmp_path):
    for way in ("jwt", "introspection"):
        assert mistake(tmp_path, way, audience=None) == (
            "audience: is missing: without it, or `clients`, a token that any other application "
            "got for a user would log in as him"
        )
        assert mistakes(tmp_path, way, audience=None, clients=["web"]) == []
        assert mistake(tmp_path, way, audience=[]) == (
            "audience: names none, so that no token would be accepted"
        )
        assert mistake(tmp_path, way, scope=None) == (
            'scope: is missing: what a token must be allowed to do, as in ["xmpp"]'
        )
        assert mistake(tmp_path, way, scope=["openid chat"]) == (
            "scope: 'openid chat': a scope has no blanks or quotes in it"
        )
        assert mistake(tmp_path, way, insecure_any_client=True) == (
            'insecure_any_client: is about tokens = "userinfo"'
        )


def test_userinfo_lets_the_tokens_of_any_application_in_and_that_has_to_be_said(tmp_path):
    assert mistake(tmp_path, "userinfo", insecure_any_client=None).startswith(
        'tokens: "userinfo" tells whose a token is, and nothing of what for and to whom it was '
        "issued: a token that any other application of the provider got for a user logs in as him."
    )
    for setting in ("audience", "clients", "scope"):
        assert mistake(tmp_path, "userinfo", **{setting: ["xmpp"]}) == (
            f"{setting}: cannot be told: the user's claims say nothing of the token"
        )
    for setting in ("leeway", "max_lifetime"):
        assert mistake(tmp_path, "userinfo", **{setting: "1m"}) == (
            f"{setting}: is about dates, and the user's claims have none"
        )


def test_the_issuer_is_a_url_of_a_server_with_tls(tmp_path):
    assert mistake(tmp_path, issuer=None).startswith("issuer: is missing")
    assert mistake(tmp_path, issuer="http://sso.example.org", ca_file=None).endswith(
        "; insecure_clear_text = true allows it"
    )
    assert mistake(tmp_path, issuer=f"{ISSUER}?x=1") == (
        "issuer: has no ? in it (OpenID Connect Discovery 1.0, 3)"
    )
    given = {"issuer": "http://sso.example.org", "ca_file": None, "insecure_clear_text": True}
    assert mistakes(tmp_path, **given) == []
    assert mistakes(tmp_path, issuer="http://localhost:8080/realms/x", ca_file=None) == []
    assert mistake(tmp_path, insecure_clear_text=True) == (
        "insecure_clear_text: is for http:// URLs, and this one is https://"
    )


def test_urls_may_be_given_where_they_are_asked(tmp_path):
    url = f"{ISSUER}/x"
    settings, wrong = read(tmp_path, introspection_url=url, token_url=url, password_grant=True)
    assert wrong == []
    assert settings.urls == {"introspection_url": url, "token_url": url}
    assert mistake(tmp_path, userinfo_url=url) == (
        'userinfo_url: is not asked with tokens = "introspection"'
    )
    assert mistake(tmp_path, token_url=url) == (
        'token_url: is not asked with tokens = "introspection" without password_grant'
    )
    assert "https://" in mistake(tmp_path, "jwt", jwks_url="ftp://x")


def test_what_belongs_to_one_way_is_a_mistake_beside_another(tmp_path):
    for setting, value in (("algorithms", ["RS256"]), ("typ", "JWT")):
        assert mistake(tmp_path, **{setting: value}) == f'{setting}: is about tokens = "jwt"'
    for setting in ("client_id", "client_auth"):
        assert mistake(tmp_path, "jwt", **{setting: "post"}) == (
            f'{setting}: is not needed with tokens = "jwt"'
        )
    for setting, value in (("token_prefix", "x_"), ("token_length", 40)):
        assert mistake(tmp_path, "jwt", **{setting: value}).startswith(
            f"{setting}: is about tokens that are not JSON Web Tokens"
        )
    assert mistake(tmp_path, "jwt", jwt_alone=True).startswith("jwt_alone: goes without saying")
    assert mistake(tmp_path, "jwt", cache="5s").startswith("cache: is about what a provider is")


def test_a_provider_signs_with_keys_that_it_publishes(tmp_path):
    assert mistake(tmp_path, "jwt", algorithms=["HS256"]) == (
        "algorithms: HS256 has a secret, and a provider publishes its keys"
    )
    assert mistake(tmp_path, "jwt", algorithms=["RS265"]).startswith("algorithms: ")
    assert mistake(tmp_path, "jwt", typ="secevent+jwt").startswith('typ: should be "at+jwt"')


def test_the_client_has_a_secret(tmp_path):
    assert mistake(tmp_path, client_id=None).startswith("client_id: is missing")
    assert mistake(tmp_path, client_secret_file=None).startswith("client_secret_file: is missing")
    assert "not known" in mistake(tmp_path, client_auth="tls")


def test_an_answer_is_kept_for_five_minutes_at_most(tmp_path):
    assert mistakes(tmp_path, cache="5m") == []
    assert mistake(tmp_path, cache="301s") == "cache: should be between 0 and 300 seconds"


def test_where_the_user_is_put_has_no_domain(tmp_path):
    assert mistake(tmp_path, jid="{user}@example.org") == (
        "jid: is what stands before the @ in a JID; the rest is the domain that is asked for"
    )


@pytest.mark.parametrize("setting", ["issuers", "introspection", "client_secret"])
def test_a_setting_that_there_is_not_is_named(tmp_path, setting):
    assert mistake(tmp_path, **{setting: "x"}).startswith(f"{setting}: there is no such setting")
