"""What conf/authbridge.toml tells of websites, providers and databases."""

from __future__ import annotations

import re

import pytest

from authbridge.settings import ConfigurationError
from tests.test_config import folder as folder
from tests.test_config import load, manual, switched_on

NAMES = ("website", "nextcloud", "jsxc", "login", "keycloak", "authentik", "members", "blog")
CLEAR_TEXT = "insecure_clear_text = true"


@pytest.fixture
def full(folder) -> str:
    """All of the manual."""
    return switched_on(manual(folder))


def table(full: str, name: str) -> str:
    """What it has of one checker."""
    (found,) = re.findall(rf"(?ms)^\[checkers\.{name}\]\n.*?(?=^\[|\Z)", full)
    return found


def settings(folder, full: str, name: str, *changes: tuple[str, str]):
    """Those of a checker, with its table changed: each first, an expression, becomes the second."""
    before = after = table(full, name)
    for old, new in changes:
        after, found = re.subn(rf"(?m)^{old}$", new, after)
        assert found, old
    return load(folder, full.replace(before, after)).checkers[name].settings


def without(*names: str) -> list[tuple[str, str]]:
    """The changes that leave settings out."""
    return [(rf"{name} = .*", "") for name in names]


def test_what_the_manual_tells_of_defaults_is_so(folder, full):
    """Leaving them out changes nothing."""
    told = {
        "website": "user user_field password_field accepted accepted_value refused_value "
        "exists_member exists_value missing_value passwords ignore_case timeout at_once",
        "nextcloud": "method",
        "jsxc": "send_domain",
        "login": "preset client_auth user jid user_domain ignore_case leeway max_lifetime cache "
        "timeout at_once",
        "keycloak": "algorithms typ",
        "authentik": "jwt_alone untyped_answers",
        "members": "salt_encoding timeout at_once",
        "blog": "table_prefix",
    }
    assert told.keys() == set(NAMES)
    for name, names in told.items():
        bare, told_of = (
            repr(settings(folder, full, name, *changes))
            for changes in (without(*names.split()), ())
        )
        assert bare == told_of, name


def test_defaults_of_a_website_are_as_told(folder, full):
    with_it = settings(folder, full, "website")
    bare = settings(
        folder, full, "website",
        *without("domain_field", "fields", "refused", "unknown", "unknown_value", "user_member",
                 "ignore_case", "exists_url", "exists_member", "exists_value", "missing_value",
                 "host", "ca_file", "token_prefix", "token_length"),
    )  # fmt: skip
    assert with_it.knows_users
    assert (bare.knows_users, bare.host, bare.shape, bare.web.ca_file) == (False, "", None, None)
    assert (bare.manner.domain, bare.manner.fields) == ("", {})
    rules = bare.rules
    assert (rules.refused, rules.unknown, rules.unknown_values) == (frozenset(), frozenset(), ())
    assert rules.user == ""
    open_to_all = settings(folder, full, "website", *without("refused", "secret_file"))
    assert open_to_all.rules.refused == {401}
    assert open_to_all.manner.secret is None
    form = without("request")
    assert settings(folder, full, "website", *form).manner.request == "form"
    for name, ignores in {"website": False, "nextcloud": True, "jsxc": True}.items():
        assert settings(folder, full, name).ignore_case is ignores


def test_defaults_of_a_provider_are_as_told(folder, full):
    bare = settings(
        folder, full, "login",
        *without("clients", "introspection_url", "token_prefix", "token_length", "ca_file",
                 "password_grant", "token_url"),
    )  # fmt: skip
    assert bare.urls == {}
    assert (bare.rules.clients, bare.shape, bare.web.ca_file) == (frozenset(), None, None)
    assert (bare.password_grant, bare.jwt_alone, bare.takes_all) == (False, False, True)
    generic = settings(folder, full, "keycloak", *without("preset", "typ"))
    assert generic.rules.dates.typ == "at+jwt"
    for name in ("keycloak", "authentik"):
        changes = [('tokens = ".*"', 'tokens = "jwt"'), *without("typ")[: name == "keycloak"]]
        if name == "authentik":
            changes += without("jwt_alone", "untyped_answers", "client_id", "client_secret_file")
        assert settings(folder, full, name, *changes).rules.dates.typ == "jwt"
    shaped = settings(
        folder, full, "authentik", *without("client_id"), ("jwt_alone = true", 'client_id = "x"'),
        ('scope = "xmpp"', 'scope = "xmpp"\ntoken_length = 40'),
    )  # fmt: skip
    assert not shaped.jwt_alone


def test_defaults_of_a_database_are_as_told(folder, full):
    bare = settings(folder, full, "members", *without("password_file", "ca_file"))
    assert (bare.password, bare.ca_file, bare.encrypted) == (None, None, True)
    here = ("url = .*", 'url = "postgresql://authbridge@localhost/members"')
    assert not settings(folder, full, "members", here, *without("ca_file")).encrypted
    assert settings(folder, full, "members", here).encrypted
    prefixes = {"django": "FROM auth_user", "nextcloud": "FROM oc_users"}
    for preset, begin in prefixes.items():
        change = ('preset = "wordpress"', f'preset = "{preset}"')
        assert begin in settings(folder, full, "blog", change, *without("table_prefix")).query.text
    change = ('preset = "wordpress"', 'preset = "prosody"')
    prosody = settings(folder, full, "blog", change, *without("table_prefix"))
    assert prosody.salt_encoding == "text"


def test_what_is_insecure_is_no_line_of_its_own(full):
    """Nobody should just take a "#" away; it is told what it means."""
    for name in NAMES:
        assert not re.search(r"(?m)^insecure", table(full, name))
    section = full[full.index("[checkers.website]") : full.index("[sites.www]")]
    assert section.count(CLEAR_TEXT) == 3
    assert section.count("insecure_any_client = true") == 1
    assert section.count("insecure_plain_passwords = true") == 1


def test_the_manual_loads_with_what_is_insecure_where_it_says_so(folder, full):
    any_client = [
        ('tokens = "introspection"', 'tokens = "userinfo"\ninsecure_any_client = true'),
        *without("audience", "clients", "scope", "introspection_url", "leeway", "max_lifetime"),
        ("password_grant = true", "password_grant = false"),
        *without("token_url", "client_id", "client_secret_file", "client_auth"),
    ]
    clear = [*without("ca_file"), ("at_once = .*", CLEAR_TEXT)]
    plain = ("hashes = .*", 'hashes = ["plain"]\ninsecure_plain_passwords = true')
    for name, changes in {
        "website": [('url = "https:(.*)"', r'url = "http:\1"'), *clear],
        "login": [('issuer = "https:(.*)"', r'issuer = "http:\1"'), *clear],
        "members": clear,
    }.items():
        settings(folder, full, name, *changes)
        with (
            pytest.raises(ConfigurationError, match=CLEAR_TEXT)
            if name != "members"
            else (pytest.raises(AssertionError))
        ):
            assert settings(folder, full, name, *changes[:-1]).encrypted is False
    settings(folder, full, "login", *any_client)
    with pytest.raises(ConfigurationError, match="insecure_any_client = true"):
        settings(folder, full, "login", *any_client, ("insecure_any_client.*", ""))
    settings(folder, full, "members", plain)
    with pytest.raises(ConfigurationError, match="insecure_plain_passwords = true"):
        settings(folder, full, "members", plain, ("insecure_plain.*", ""))
