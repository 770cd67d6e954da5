"""[sites.NAME] session: defaults, and every mistake with its key."""

from __future__ import annotations

import os

import pytest

from authbridge.issuers.settings import JwksSettings
from authbridge.outbound.web_settings import WebSettings
from authbridge.sessions.forward import Forward, ForwardSettings
from authbridge.sessions.header import Header, HeaderSettings
from authbridge.sessions.jwt_cookie import JwtCookie, JwtCookieSettings
from authbridge.sessions.settings import SessionSettings
from authbridge.settings import Mistakes, Table
from authbridge.tokens.jwt import Rules
from tests.issuers.folders import pem, write
from tests.ldap.certificates import OURS
from tests.ldap.server import Network
from tests.sessions.sites import URL, read, secret_file, settings

FORWARD = {"kind": "forward", "url": URL, "cookie": "sessionid"}
HEADER = {"kind": "header", "secret_file": "secret", "peers": ["127.0.0.1"]}
JWT_COOKIE = {
    "kind": "jwt-cookie", "cookie": "session", "issuer": "https://www.example.org",
    "audience": "chat", "typ": "session+jwt", "algorithms": ["ES256"], "keys": ["keys"],
}  # fmt: skip
USUAL = {"forward": FORWARD, "header": HEADER, "jwt-cookie": JWT_COOKIE}


@pytest.fixture
def folder(tmp_path):
    secret_file(tmp_path)
    (tmp_path / "ca.pem").write_bytes(OURS.pem)
    (tmp_path / "keys").mkdir()
    write(tmp_path / "keys" / "a.pem", pem("a"))
    return tmp_path


def mistakes(folder, kind, /, **given):
    """What is wrong with the usual settings of a kind, but for what is given (None: left out)."""
    data = {key: value for key, value in (USUAL[kind] | given).items() if value is not None}
    return read(folder, data)[1]


def make(found):
    network = Network()
    return found.make("www", network, lambda: 1.7e9, lambda: 0.5, os.urandom, network.seconds)


# --- the kind -------------------------------------------------------------------------------------


def test_the_kind_must_be_given(folder):
    found, (mistake,) = read(folder, {"url": URL, "whatever": 1})
    assert mistake == 'kind: is missing; there is "forward", "header", "jwt-cookie"'
    assert (found.kind, found.own, found.of_cookies) == ("", None, False)
    assert (found.issuer_settings, found.patience) == (None, 0.0)


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("Forward", 'kind: there is no kind "Forward"; did you mean "forward"?'),
        ("jwt_cookie", 'kind: there is no kind "jwt_cookie"; did you mean "jwt-cookie"?'),
        (
            "xyz",
            'kind: there is no kind "xyz"; there is "forward", "header", "jwt-cookie"',
        ),
        (7, 'kind: should be a string, as in "…"'),
        ("", 'kind: should be a string, as in "…"'),
    ],
)
def test_the_kind_must_be_known(folder, kind, mistake):
    found, wrong = read(folder, {"kind": kind, "url": URL})
    assert wrong == [mistake]
    assert found.own is None


def test_mistakes_have_the_full_name_of_their_setting(folder):
    found = Mistakes()
    site = Table({"session": {"kind": "forward", "cookie": "a"}}, "sites.www", found, folder)
    SessionSettings.read(site.table("session"))
    assert list(found) == ['sites.www.session.url: is missing; a string, as in "…"']


@pytest.mark.parametrize("kind", USUAL)
def test_settings_that_are_none_are_mistakes(folder, kind):
    (mistake,) = mistakes(folder, kind, secre="a")
    assert mistake.startswith("secre: there is no such setting")
    for others in USUAL.values():
        for setting in others.keys() - USUAL[kind].keys() - {"secret_file"}:
            assert any(
                one.startswith(f"{setting}: there is no such setting")
                for one in mistakes(folder, kind, **{setting: "x"})
            ), setting


# --- forward --------------------------------------------------------------------------------------


def test_forward_has_defaults(folder):
    found = settings(folder, FORWARD)
    assert found.own == ForwardSettings(
        url=URL, cookie="sessionid", user="user", host="", web=WebSettings(False, None, 3.0),
        cache=5.0,
    )  # fmt: skip
    assert (found.kind, found.of_cookies, found.patience) == ("forward", True, 3.0)
    assert found.issuer_settings is None
    made = make(found)
    assert isinstance(made, Forward)
    made.stop()


def test_everything_of_forward_may_be_given(folder):
    given = {
        "user": "login", "host": "www.example.org:8443", "ca_file": "ca.pem", "timeout": "500ms",
        "cache": "0s",
    }  # fmt: skip
    found = settings(folder, FORWARD | given)
    assert found.own == ForwardSettings(
        url=URL, cookie="sessionid", user="login", host="www.example.org:8443",
        web=WebSettings(False, folder / "ca.pem", 0.5), cache=0.0,
    )  # fmt: skip
    make(found).stop()


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("http://127.0.0.1:8000/whoami", {}),
        ("http://localhost:8000/whoami", {}),
        ("http://www.example.org/whoami", {"insecure_clear_text": True}),
    ],
)
def test_without_tls_a_cookie_goes_to_this_machine_or_where_that_is_allowed(folder, url, given):
    found = settings(folder, FORWARD | given | {"url": url})
    assert found.own.url == url
    make(found).stop()


def test_the_url_is_one_that_can_be_called(folder):
    for url in ("http://www.example.org/", "ftp://a/", "https://", "https://a:b@c/", "https://ä/"):
        (mistake,) = mistakes(folder, "forward", url=url)
        assert mistake.startswith("url: ")


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"url": None}, 'url: is missing; a string, as in "…"'),
        ({"url": 7}, 'url: should be a string, as in "…"'),
        (
            {"insecure_clear_text": True},
            "insecure_clear_text: is for http:// URLs, and this one is https://",
        ),
        ({"insecure_clear_text": "no"}, "insecure_clear_text: should be true or false"),
        ({"cookie": None}, 'cookie: is missing; a string, as in "…"'),
        ({"cookie": "a=b"}, "cookie: 'a=b' is no name of a cookie"),
        ({"cookie": "a b"}, "cookie: 'a b' is no name of a cookie"),
        ({"cookie": "ä"}, "cookie: '\\xe4' is no name of a cookie"),
        ({"cookie": "a\n"}, "cookie: 'a\\n' is no name of a cookie"),
        ({"user": ""}, 'user: should be a string, as in "…"'),
        ({"host": "a b"}, "host: should be the Host header that the site expects"),
        ({"host": "a\n"}, "host: should be the Host header that the site expects"),
        ({"host": "https://a"}, "host: should be the Host header that the site expects"),
        ({"host": "ä.example.org"}, "host: should be the Host header that the site expects"),
        ({"timeout": "0s"}, "timeout: should be"),
        ({"timeout": "31s"}, "timeout: should be between 0.1 and 30 seconds"),
        ({"cache": "6s"}, "cache: should be between 0 and 5 seconds"),
        ({"cache": "never"}, "cache: should be a duration"),
        ({"ca_file": "gone.pem"}, "ca_file: "),
    ],
)
def test_mistakes_of_forward(folder, given, mistake):
    (found,) = mistakes(folder, "forward", **given)
    assert found.startswith(mistake)


def test_without_tls_there_is_nothing_to_verify(folder):
    given = {"url": "http://127.0.0.1/", "ca_file": "ca.pem"}
    assert mistakes(folder, "forward", **given) == [
        "ca_file: is about TLS, which https:// has and http:// not"
    ]
    assert len(mistakes(folder, "forward", url=7, ca_file="ca.pem")) == 1


# --- header ---------------------------------------------------------------------------------------


def test_header_has_defaults(folder):
    found = settings(folder, HEADER)
    own = found.own
    assert isinstance(own, HeaderSettings)
    assert (own.header, own.secret_header) == ("X-Remote-User", "X-Authbridge-Secret")
    assert (list(map(str, own.peers)), own.unix) == (["127.0.0.1/32"], False)
    assert own.secret.reveal() == b"a secret of the proxy's"
    assert "proxy's" not in repr(found)
    assert (found.kind, found.of_cookies, found.patience) == ("header", False, 0.0)
    assert found.issuer_settings is None
    assert isinstance(make(found), Header)


def test_everything_of_header_may_be_given(folder):
    given = {"header": "Remote-User", "secret_header": "X-Proof", "peers": ["unix", "10.0.0.0/8"]}
    own = settings(folder, HEADER | given).own
    assert (own.header, own.secret_header, own.unix) == ("Remote-User", "X-Proof", True)
    assert list(map(str, own.peers)) == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"peers": None}, "peers: is missing; give the addresses of the site's proxy"),
        ({"peers": []}, "peers: names nobody"),
        ({"peers": ["proxy"]}, 'peers: "proxy" is no address'),
        ({"peers": "127.0.0.1"}, "peers: should be a list"),
        ({"secret_file": None}, "secret_file: is missing"),
        ({"secret_file": "gone"}, "secret_file: "),
        ({"header": "X_Remote_User"}, "header: 'X_Remote_User' should be letters, digits and -"),
        ({"header": "X.User"}, "header: 'X.User' should be letters, digits and -"),
        ({"header": "a" * 65}, f"header: '{'a' * 65}' should be letters, digits and -, 64 at most"),
        ({"header": ""}, 'header: should be a string, as in "…"'),
        ({"header": "User-Agent"}, "header: User-Agent means something else"),
        ({"secret_header": "cookie"}, "secret_header: cookie means something else"),
        ({"secret_header": "x y"}, "secret_header: 'x y' should be letters"),
        ({"secret_header": "X-REMOTE-USER"}, "secret_header: is that of the user's name too"),
    ],
)
def test_mistakes_of_header(folder, given, mistake):
    (found,) = mistakes(folder, "header", **given)
    assert found.startswith(mistake)


@pytest.mark.parametrize("content", [b"x", b"x" * 15, b"x" * 15 + b"\n"])
def test_a_secret_that_can_be_guessed_is_a_mistake(folder, content):
    (folder / "secret").write_bytes(content)
    assert mistakes(folder, "header") == [
        "secret_file: holds less than 16 octets, which can be guessed"
    ]


def test_of_sixteen_octets_it_is_none(folder):
    (folder / "secret").write_bytes(b"x" * 16 + b"\n")
    found = settings(folder, HEADER)
    assert found.proxy_secret.matches(b"x" * 16)


def test_an_empty_secret_is_one_mistake(folder):
    (folder / "secret").write_bytes(b"\n")
    (mistake,) = mistakes(folder, "header")
    assert "less than 16" not in mistake


def test_a_secret_that_others_can_read_is_a_mistake(folder):
    (folder / "secret").chmod(0o644)
    (mistake,) = mistakes(folder, "header")
    assert "is open to others" in mistake


# --- jwt-cookie -----------------------------------------------------------------------------------


def test_jwt_cookie_has_defaults(folder):
    found = settings(folder, JWT_COOKIE)
    own = found.own
    assert isinstance(own, JwtCookieSettings)
    issuer = found.issuer_settings
    assert issuer is own.issuer
    assert (own.cookie, issuer.name, issuer.kind) == ("session", "https://www.example.org", "jwt")
    assert issuer.rules == Rules(typ="session+jwt", leeway=30, max_lifetime=43200, subject="sub")
    assert (issuer.algorithms, issuer.audiences) == (("ES256",), ("chat",))
    assert (issuer.keys, issuer.bare, issuer.jwks) == ((folder / "keys",), False, None)
    assert (issuer.single_use, issuer.revocable, issuer.domains) == (False, False, frozenset())
    assert (found.kind, found.of_cookies, found.patience) == ("jwt-cookie", True, 0.0)
    assert isinstance(make(found), JwtCookie)


def test_everything_of_jwt_cookie_may_be_given(folder):
    given = {
        "jwks_url": "https://www.example.org/jwks.json", "ca_file": "ca.pem", "jwks_refresh": "1m",
        "jwks_stale": "1h", "leeway": "0s", "max_lifetime": "7d", "user": "name",
        "audience": ["a", "b"], "typ": "application/Session+JWT",
    }  # fmt: skip
    data = {key: value for key, value in (JWT_COOKIE | given).items() if key != "keys"}
    found = settings(folder, data)
    issuer = found.issuer_settings
    url = "https://www.example.org/jwks.json"
    assert issuer.jwks == JwksSettings(url, folder / "ca.pem", 60, 3600)
    assert issuer.rules == Rules(typ="session+jwt", leeway=0, max_lifetime=604800, subject="name")
    assert issuer.audiences == ("a", "b")
    make(found).stop()


@pytest.mark.parametrize("typ", ["JWT", "jwt", "Jwt", "application/jwt", "Application/JWT"])
def test_a_type_that_says_nothing_is_a_mistake(folder, typ):
    (mistake,) = mistakes(folder, "jwt-cookie", typ=typ)
    assert mistake.startswith("typ: should be one of its own")


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"issuer": None}, "issuer: is missing"),
        ({"cookie": None}, "cookie: is missing"),
        ({"cookie": "a;b"}, "cookie: 'a;b' is no name of a cookie"),
        ({"typ": None}, "typ: is missing"),
        ({"typ": 7}, "typ: should be a string"),
        ({"audience": None}, "audience: is missing; say what the site puts into `aud`"),
        ({"audience": []}, "audience: names none"),
        ({"audience": ""}, "audience: should be a string"),
        ({"audience": 7}, "audience: should be a list"),
        ({"audience": "xmpp:{domain}"}, 'audience: "xmpp:{domain}": nothing that stands in braces'),
        ({"audience": ["a", "b}"]}, 'audience: "b}": nothing that stands in braces'),
        ({"algorithms": None}, "algorithms: is missing"),
        ({"algorithms": ["none"]}, 'algorithms: "none" is not known'),
        ({"algorithms": ["HS256", "ES256"]}, "algorithms: has both secrets"),
        ({"keys": None}, "keys: is missing: give keys or secret_file or jwks_url"),
        ({"keys": []}, "keys: names no file"),
        ({"secret_file": "secret"}, "secret_file: stands beside keys"),
        ({"keys": None, "secret_file": "secret"}, "secret_file: is for secrets"),
        ({"keys": None, "jwks_url": "http://a/"}, "jwks_url: it should begin with https://"),
        ({"ca_file": "ca.pem"}, "ca_file: is about keys by jwks_url"),
        ({"leeway": "61s"}, "leeway: should be between 0 and 60 seconds"),
        ({"max_lifetime": "0s"}, "max_lifetime: should be"),
        ({"user": ""}, "user: should be a string"),
    ],
)
def test_mistakes_of_jwt_cookie(folder, given, mistake):
    (found,) = mistakes(folder, "jwt-cookie", **given)
    assert found.startswith(mistake)


@pytest.mark.parametrize("setting", ["algorithms", "keys"])
def test_keys_are_not_looked_at_where_a_mistake_leaves_open_which(folder, setting):
    found, _ = read(folder, JWT_COOKIE | {setting: []})
    assert found.issuer_settings is None
    found, _ = read(folder, JWT_COOKIE | {"leeway": "1h"})
    assert found.issuer_settings is not None
