"""[issuers.NAME]: defaults, and every mistake with its key."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge import preparation
from authbridge.issuers.settings import JwksSettings
from authbridge.model import JID
from authbridge.outbound import https
from authbridge.tokens.jwt import Rules
from tests.issuers.folders import NAME, read, settings
from tests.ldap.certificates import OURS

URL = "https://login.example.org/jwks.json"
HERE = f'issuers."{NAME}".'


def one_mistake(folder, kind="jwt", /, **given):
    """The only mistake, without the name of the table."""
    _, found = read(folder, kind, **given)
    assert len(found) == 1, found
    assert found[0].startswith(HERE)
    return found[0].removeprefix(HERE)


def users(folder, names):
    """Who may log in with such a token, of a prepared localpart."""
    found = settings(folder, users=names)
    return lambda local: found.may_sign_for_user(JID(local, "example.org"))


# --- what is read ---------------------------------------------------------------------------------


def test_an_issuer_of_jwts_has_defaults(tmp_path):
    found = settings(tmp_path)
    assert (found.name, found.kind, found.domains) == (NAME, "jwt", {"example.org"})
    assert found.rules == Rules(typ="jwt", leeway=30, max_lifetime=300, subject="sub")
    assert (found.algorithms, found.audiences) == (("ES256",), ("xmpp:{domain}",))
    assert (found.keys, found.bare, found.jwks) == ((tmp_path / "keys",), False, None)
    assert found.users is None


@pytest.mark.parametrize(
    ("kind", "leeway", "lifetime"), [("jwt", 30, 300), ("compact", 30, 300), ("xcauth", 0, 3600)]
)
def test_the_others_have_defaults_of_their_own(tmp_path, kind, leeway, lifetime):
    rules = settings(tmp_path, kind).rules
    assert (rules.leeway, rules.max_lifetime) == (leeway, lifetime)
    given = settings(tmp_path, kind, leeway="60s", max_lifetime="90s").rules
    assert (given.leeway, given.max_lifetime) == (60, 90)
    assert settings(tmp_path, kind, leeway="0s").rules.leeway == 0


def test_everything_may_be_given(tmp_path):
    (tmp_path / "ca.pem").write_bytes(OURS.pem)
    found = settings(
        tmp_path, keys=None, jwks_url=URL, ca_file="ca.pem", jwks_refresh="1m", jwks_stale="1h",
        algorithms=["RS256", "PS256"], audience=["a", "b:{domain}"], subject="jid",
        typ="application/Session+JWT", domains=["Example.ORG.", "*"], users=["bot-*"],
    )  # fmt: skip
    assert found.jwks == JwksSettings(URL, tmp_path / "ca.pem", 60, 3600)
    assert (found.algorithms, found.keys) == (("RS256", "PS256"), ())
    assert found.audiences == ("a", "b:{domain}")
    assert (found.rules.typ, found.rules.subject) == ("session+jwt", "jid")
    assert found.domains == {"example.org", "*"}


def test_keys_by_url_have_defaults(tmp_path):
    found = settings(tmp_path, keys=None, jwks_url=URL)
    assert found.jwks == JwksSettings(URL, None, 900, 86400)


def test_a_secret_file_is_one_bare_secret(tmp_path):
    for kind, algorithms in (("jwt", ["HS512"]), ("compact", None), ("xcauth", None)):
        found = settings(tmp_path, kind, keys=None, secret_file="s", algorithms=algorithms)
        assert (found.keys, found.bare) == ((tmp_path / "s",), True)


def test_keys_are_relative_to_the_configuration(tmp_path):
    assert settings(tmp_path, keys=["a", "/b", "../c"]).keys == (
        tmp_path / "a", tmp_path / "/b", tmp_path / "../c",
    )  # fmt: skip


def test_an_audience_may_be_one_string(tmp_path):
    assert settings(tmp_path, audience="chat").audiences == ("chat",)


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"algorithms": ["ES265"]}, 'algorithms: "ES265" is not known; did you mean "ES256"?'),
        ({"algorithms": ["none"]}, 'algorithms: "none" is not known; there is "ES256", '),
        ({"algorithms": ["RS1"]}, 'algorithms: "RS1" is not known'),
        ({"algorithms": []}, "algorithms: names none, so that no token would be accepted"),
        ({"algorithms": None}, "algorithms: is missing; say what its keys are for, as in [\"ES256"),
        ({"algorithms": ["es256"]}, 'algorithms: "es256" is not known; did you mean "ES256"?'),
        ({"algorithms": ["Ed25519"]}, 'algorithms: "Ed25519" is not known; did you mean "EdDSA"?'),
        ({"algorithms": ["ed25519"]}, 'algorithms: "ed25519" is not known; did you mean "EdDSA"?'),
        ({"algorithms": ["HS256", "es256"]}, 'algorithms: "es256" is not known; did you mean "ES2'),
        ({"algorithms": ["HS256", "RS256"]}, "algorithms: has both secrets (HS…) and pairs"),
        ({"audience": []}, "audience: names none, so that no token would be accepted"),
        ({"audience": ""}, "audience: should be a string"),
        ({"audience": "xmpp:{host}"}, 'audience: "xmpp:{host}": of what stands in braces {domain}'),
        ({"audience": ["a", "{domain}{user}"]}, 'audience: "{domain}{user}": of what stands in'),
        ({"audience": "xmpp:{Domain}"}, 'audience: "xmpp:{Domain}": of what stands in braces'),
        ({"audience": "xmpp:{domain"}, 'audience: "xmpp:{domain": of what stands in braces'),
        ({"audience": "xmpp:domain}"}, 'audience: "xmpp:domain}": of what stands in braces'),
        ({"subject": ""}, "subject: should be a string"),
        ({"typ": 1}, "typ: should be a string"),
        ({"domains": []}, "domains: names none, so that no token would be accepted"),
        ({"domains": None}, "domains: is missing; a list"),
        ({"domains": "example.org"}, "domains: should be a list of different strings"),
        ({"domains": ["a b"]}, 'domains: "a b": the domain is not a host name'),
        ({"users": "alice"}, 'users: should be "*" or a list of names: ["alice", "bot-*"]'),
        ({"users": []}, "users: names nobody, so that no token would be accepted"),
        ({"users": ["a b"]}, 'users: "a b": the user\'s name holds a character'),
        ({"users": ["a@b"]}, 'users: "a@b": users stand here without "@" and their domain'),
        ({"users": ["bob", "*@b"]}, 'users: "*@b": users stand here without "@" and their domain'),
        ({"users": ""}, 'users: should be "*" or a list of names: ["alice", "bot-*"]'),
        ({"leeway": "61s"}, "leeway: should be between 0 and 60 seconds"),
        ({"leeway": "-1s"}, "leeway: should be a duration"),
        ({"max_lifetime": "0s"}, "max_lifetime: should be a duration"),
        ({"max_liftime": "1m"}, 'max_liftime: there is no such setting; did you mean "max_life'),
        ({"audiences": "x"}, 'audiences: there is no such setting; did you mean "audience"?'),
        ({"keys": None}, "keys: is missing: give keys or secret_file or jwks_url"),
        ({"keys": []}, "keys: names no file, so that no token would be accepted"),
        ({"keys": "keys"}, "keys: should be a list of different strings"),
        ({"secret_file": "s"}, "secret_file: stands beside keys; give one of them"),
        ({"jwks_url": URL}, "jwks_url: stands beside keys; give one of them"),
        ({"keys": None, "secret_file": "s"}, "secret_file: is for secrets, of HS256, HS384, HS"),
        ({"keys": None, "secret_file": "s", "algorithms": ["hs256"]}, 'algorithms: "hs256" is not'),
        ({"keys": None, "secret_file": "s", "algorithms": ["HS256", "ES256"]}, "algorithms: has b"),
        ({"keys": None, "secret_file": "s", "algorithms": None}, "algorithms: is missing"),
        ({"keys": None, "jwks_url": URL, "algorithms": ["HS256"]}, "jwks_url: is for public keys"),
        ({"keys": None, "jwks_url": URL, "algorithms": ["HS256", "ES256"]}, "algorithms: has both"),
        ({"keys": None, "jwks_url": 5}, "jwks_url: should be a string"),
        ({"jwks_refresh": "1m"}, "jwks_refresh: is about keys by jwks_url, which is not given"),
        ({"jwks_stale": "1m"}, "jwks_stale: is about keys by jwks_url, which is not given"),
        ({"ca_file": "ca.pem"}, "ca_file: is about keys by jwks_url, which is not given"),
        ({"keys": None, "jwks_url": URL, "jwks_refresh": "9s"}, "jwks_refresh: should be at least"),
        ({"keys": None, "jwks_url": URL, "jwks_stale": "9s"}, "jwks_stale: should be at least 10"),
        ({"keys": None, "jwks_url": URL, "ca_file": "nowhere"}, "ca_file: "),
        ({"keys": None, "jwks_url": URL, "ca_file": 5}, "ca_file: should be a string"),
        ({"keys": None, "secret_file": 5, "algorithms": ["HS256"]}, "secret_file: should be a str"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_key(tmp_path, given, mistake):
    assert one_mistake(tmp_path, **given).startswith(mistake)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("algorithms", "ES256"), ("algorithms", ["ES256", "ES256"]), ("audience", 5), ("users", 1),
        ("audience", ["a", "a"]), ("users", ["a", "a"]), ("keys", ["a", "a"]), ("domains", 5),
    ],
)  # fmt: skip
def test_a_list_that_is_none_is_one_mistake(tmp_path, setting, value):
    words = one_mistake(tmp_path, **{setting: value})
    assert words.startswith(f"{setting}: should be a list of different strings")


def test_an_unknown_kind_is_said_with_the_nearest(tmp_path):
    assert one_mistake(tmp_path, kind="compakt") == (
        'kind: "compakt" is not known; did you mean "compact"?'
    )
    assert one_mistake(tmp_path, kind="saml") == (
        'kind: "saml" is not known; there is "compact", "jwt", "xcauth"'
    )


@pytest.mark.parametrize(
    "given", [{}, {"algorithms": None, "typ": 5}, {"keys": None, "secret_file": "s"}]
)
def test_a_kind_that_is_not_known_is_the_only_mistake(tmp_path, given):
    """Nobody can tell which settings it should have."""
    words = one_mistake(tmp_path, kind="Compact", **given)
    assert words == 'kind: "Compact" is not known; did you mean "compact"?'


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
@pytest.mark.parametrize(
    ("setting", "value"),
    [("algorithms", ["HS256"]), ("audience", "x"), ("subject", "sub"), ("typ", "JWT")],
)
def test_what_only_jwts_have_is_misplaced_elsewhere(tmp_path, kind, setting, value):
    assert one_mistake(tmp_path, kind, **{setting: value}) == (
        f'{setting}: is of issuers of kind "jwt"; this one is "{kind}"'
    )


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_secrets_are_not_fetched(tmp_path, kind):
    words = f'jwks_url: is of issuers of kind "jwt"; this one is "{kind}"'
    assert one_mistake(tmp_path, kind, keys=None, jwks_url=URL) == words
    assert one_mistake(tmp_path, kind, keys=None) == ("keys: is missing: give keys or secret_file")


def test_three_sources_are_two_too_many(tmp_path):
    _, found = read(tmp_path, secret_file="s", jwks_url=URL)
    assert found == [
        f"{HERE}secret_file: stands beside keys; give one of them",
        f"{HERE}jwks_url: stands beside keys; give one of them",
    ]


def test_all_mistakes_are_reported_at_once(tmp_path):
    _, found = read(tmp_path, algorithms=["x"], domains=[], leeway=99, users=[], keys=[], typ="")
    assert [line.removeprefix(HERE).partition(":")[0] for line in found] == [
        "algorithms", "typ", "keys", "domains", "users", "leeway",
    ]  # fmt: skip


# --- jwks_url -------------------------------------------------------------------------------------

GOOD_URLS = [
    URL, "https://login.example.org", "https://login.example.org:8443/a?b=c", "https://192.0.2.1/",
    "https://localhost/keys", "https://LOGIN.example.org./", "https://xn--bcher-kva.example/",
]  # fmt: skip
BAD_URLS = [
    "http://login.example.org/", "ftp://login.example.org/", "file:///etc/passwd", "login", "//a/b",
    "https:login.example.org", "https://", "https:///keys", "https://:443/", "https://a:0/",
    "https://a:65536/", "https://a:port/", "https://[::1/", "https://me:secret@a/", "https://me@a/",
    "https://a/#keys", "https://a/b c", "https://bücher.example/",
    "https://@a/",
]  # fmt: skip
UNFETCHABLE = [
    "HTTPS://login.example.org/", "https://a/#", "https://a/b\tc", "https://a/\n", "https://a_b/",
    "https://-a.example/", "https://a%2eexample/", f"https://a/{'b' * 2000}",
]  # fmt: skip


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_url_of_https_is_taken(tmp_path, url):
    assert settings(tmp_path, keys=None, jwks_url=url).jwks.url == url
    assert https.url_trouble(url) == ""


@pytest.mark.parametrize("url", BAD_URLS)
def test_another_url_is_a_mistake(tmp_path, url):
    words = one_mistake(tmp_path, keys=None, jwks_url=url)
    assert words.startswith("jwks_url: ")
    assert "secret@" not in words


@pytest.mark.parametrize("url", UNFETCHABLE)
def test_a_url_that_cannot_be_fetched_is_a_mistake(tmp_path, url):
    assert https.url_trouble(url) != ""
    one_mistake(tmp_path, keys=None, jwks_url=url)


# --- users and domains ----------------------------------------------------------------------------


def test_a_star_stands_for_anything(tmp_path):
    may = users(tmp_path, ["alice", "bot-*", "*-admin", "a*b*c"])
    for local in ("alice", "bot-", "bot-1", "bot-\U0001f916", "x-admin", "-admin", "abc", "axbxc"):
        assert may(local), local
    for local in ("alice2", "xalice", "bot", "robot-1", "x-admins", "abcd", "ab", "", "ac"):
        assert not may(local), local


@pytest.mark.parametrize(
    ("name", "other"),
    [("ab*ba", "aba"), ("*ab*b", "ab"), ("a*ba", "ba"), ("*b*b*", "b"), ("a*b*b*c", "abc"),
     ("a*bc*c", "abc"), ("*ab*", "a")],
)  # fmt: skip
def test_no_letter_stands_for_two_of_a_name(tmp_path, name, other):
    assert not users(tmp_path, [name])(other)
    assert users(tmp_path, [name])(name.replace("*", ""))


@pytest.mark.parametrize(
    ("name", "other"),
    [("a.c", "abc"), ("a+", "aa"), ("a?", "a"), ("[ab]", "a"), ("a|b", "a"), ("(a)", "a"),
     ("^a", "a"), ("a$", "a"), ("a{1}", "a"), ("\\d", "1"), ("\\w", "a"), ("#", ""), ("a-z", "b")],
)  # fmt: skip
def test_signs_of_regular_expressions_stand_for_themselves(tmp_path, name, other):
    may = users(tmp_path, [name])
    assert may(name)
    assert not may(other)


def test_a_name_is_compared_as_a_whole(tmp_path):
    may = users(tmp_path, ["bot-*", "x"])
    for local in ("x\n", "x\nbot-", "a\nbot-1", "xbot-1"):
        assert not may(local)
    assert may("bot-\n1")


def test_names_are_prepared(tmp_path):
    may = users(tmp_path, ["Alice", "BOT-*", "Müller"])
    for local in ("alice", "bot-1", "müller"):
        assert may(local)
    assert not may("Alice")


def test_a_star_alone_stands_for_everybody(tmp_path):
    for names in ("*", ["*"], ["nobody", "*"], ["**"]):
        assert users(tmp_path, names)("anybody")


def test_a_name_from_right_to_left_may_have_a_star(tmp_path):
    """Characters of either direction must not stand in one name; a star is none of its own."""
    may = users(tmp_path, ["דוד*"])
    assert may("דוד")
    assert may("דודא")
    assert not may("אדוד")


def seconds(may, local):
    """What a comparison costs: the least of many, which nothing has come between."""
    return min(timeit.repeat(lambda: may(local), number=20, repeat=20))


@pytest.mark.parametrize("name", ["*a*a*a*b", "*ab*ab*ab*b", "a*a*a*a*a*c*a"])
def test_a_long_name_costs_what_its_length_does(tmp_path, name):
    """Whoever logs in chooses it, and could have everybody wait while it is compared."""
    may = users(tmp_path, [name])
    short, long = "a" * 100, "a" * 1000
    assert not may(short)
    assert not may(long)
    assert seconds(may, long) < 50 * seconds(may, short)


PREPARED = st.text(alphabet="ab-.*+[é", min_size=1, max_size=6)


@given(st.lists(PREPARED, min_size=1, max_size=3, unique=True), st.text("ab-.+[é", max_size=6))
def test_users_are_matched_as_their_names_have_it(tmp_path_factory, names, local):
    def matches(name, rest):
        """Without regular expressions."""
        if not name:
            return not rest
        if name[0] == "*":
            return any(matches(name[1:], rest[at:]) for at in range(len(rest) + 1))
        return bool(rest) and name[0] == rest[0] and matches(name[1:], rest[1:])

    may = users(tmp_path_factory.getbasetemp(), names)
    prepared = [preparation.local(name.encode()) for name in names]
    assert may(local) is any(matches(name, local) for name in prepared)


def test_a_domain_has_to_be_named_or_all_are(tmp_path):
    some = settings(tmp_path, domains=["example.org", "BÜCHER.example"])
    assert some.may_sign_for_domain("example.org")
    assert some.may_sign_for_domain("bücher.example")
    for domain in ("example.net", "sub.example.org", "org", ""):
        assert not some.may_sign_for_domain(domain)
    assert settings(tmp_path, domains=["*"]).may_sign_for_domain("anything.example")


def test_keys_that_are_stale_before_they_are_fetched_again_are_a_mistake(tmp_path):
    times = {"jwks_refresh": "1h", "jwks_stale": "1m"}
    words = one_mistake(tmp_path, keys=None, jwks_url=URL, **times)
    assert words.startswith(
        "jwks_stale: should be at least 5400 seconds, 1.5 times jwks_refresh: there would be times "
        "without keys"
    )
    late = one_mistake(tmp_path, keys=None, jwks_url=URL, jwks_refresh="1d")
    assert late.startswith(
        "jwks_stale: is 86400 seconds where it is not given, and should be at least 129600 seconds,"
    )


@pytest.mark.parametrize(
    ("refresh", "stale", "fits"),
    [("10s", "15s", True), ("10s", "14.9s", False), ("1h", "90m", True), ("1h", "89m", False)],
)
def test_keys_stay_in_force_for_one_and_a_half_refreshes(tmp_path, refresh, stale, fits):
    given = {"keys": None, "jwks_url": URL, "jwks_refresh": refresh, "jwks_stale": stale}
    assert read(tmp_path, **given)[1] == [] if fits else one_mistake(tmp_path, **given)


def test_times_of_which_one_is_mistaken_are_not_compared(tmp_path):
    for times in (("9s", "10s"), ("1h", "9s"), ("soon", "1m")):
        given = dict(zip(("jwks_refresh", "jwks_stale"), times, strict=True))
        one_mistake(tmp_path, keys=None, jwks_url=URL, **given)
