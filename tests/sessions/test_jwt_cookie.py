"""Sessions that are signed tokens: who has signed them, for what, and when they count."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import succeed
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from authbridge.issuers.issuers import Issuer
from authbridge.issuers.keyring import Keyring, bind_one
from authbridge.model import Reason
from authbridge.sessions.jwt_cookie import JwtCookie
from authbridge.sessions.shown import CannotTell, Nobody, Probed
from authbridge.tokens import key_texts
from tests.doubles import now
from tests.issuers.folders import pem, write
from tests.ldap.certificates import ADDRESS, OURS
from tests.ldap.certificates import NAME as HOST
from tests.ldap.server import Network, ServerTls
from tests.sessions.sites import settings, shown
from tests.tokens import mint
from tests.tokens.mint import NOT_THERE

NOW = 1_700_000_000
ISSUER = "https://www.example.org"
AUDIENCE = "https://www.example.org/chat"
TYPE = "session+jwt"
USUAL = {
    "kind": "jwt-cookie", "cookie": "__Host-session", "issuer": ISSUER, "audience": AUDIENCE,
    "typ": TYPE, "algorithms": ["ES256"], "keys": ["keys"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "keys").mkdir()
    write(tmp_path / "keys" / "a.pem", pem("a"))
    return tmp_path


def make(folder, reactor=None, **given):
    data = {key: value for key, value in (USUAL | given).items() if value is not None}
    made = settings(folder, data).make(
        "www", reactor, lambda: NOW, lambda: 0.5, bytes, (reactor or Clock()).seconds
    )
    assert isinstance(made, JwtCookie)
    made.start()
    return made


@pytest.fixture
def session(folder):
    return make(folder)


def claims(**given):
    return mint.without({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 3600} | given)


def token(owner="a", /, algorithm="ES256", typ=TYPE, kid="a", **given):
    return mint.jwt(claims(**given), mint.key(algorithm, owner), typ=typ, kid=kid)


def user(session, text):
    """Whose session this token is."""
    return now(session.user(session.evidence(shown(b"x=1; __Host-session=" + text.encode()))))


def reason(session, text):
    with pytest.raises(Nobody) as caught:
        user(session, text)
    return caught.value.reason


# --- good ones ------------------------------------------------------------------------------------


def test_a_token_of_the_sites_tells_whose_session_it_is(session):
    assert user(session, token()) == "alice"
    assert user(session, token(kid=NOT_THERE)) == "alice"
    assert user(session, token(sub="Alice B", typ="application/Session+JWT")) == "Alice B"
    assert user(session, token(aud=["other", AUDIENCE])) == "alice"
    assert (session.of_cookies, isinstance(session, Probed)) == (True, True)
    session.stop()


def test_the_user_may_be_in_another_claim(folder):
    session = make(folder, user="preferred_username")
    assert user(session, token(preferred_username="bob")) == "bob"
    assert reason(session, token()) is Reason.TOKEN_CLAIM_MISSING


def test_several_audiences_and_a_secret_will_do(folder):
    write(folder / "secret", b"0123456789abcdef" * 4)
    session = make(
        folder, audience=["a", "b"], algorithms=["HS256"], keys=None, secret_file="secret"
    )
    key = mint.Key("HS256", secret=b"0123456789abcdef" * 4)
    assert user(session, mint.jwt(claims(aud="b"), key, typ=TYPE)) == "alice"
    assert reason(session, mint.jwt(claims(aud="c"), key, typ=TYPE)) is Reason.TOKEN_AUDIENCE_WRONG


def test_a_session_lives_for_half_a_day_unless_it_may_for_longer(folder):
    half = 12 * 3600
    session = make(folder)
    assert user(session, token(iat=NOW, exp=NOW + half)) == "alice"
    assert reason(session, token(iat=NOW, exp=NOW + half + 1)) is Reason.TOKEN_LIFETIME_TOO_LONG
    longer = make(folder, max_lifetime="7d")
    assert user(longer, token(iat=NOW, exp=NOW + 7 * 86400)) == "alice"


# --- bad ones -------------------------------------------------------------------------------------


def test_without_the_cookie_there_is_no_session(session):
    for cookies, expected in (
        ([], Reason.SESSION_MISSING),
        ([b"__Host-session=a.b.c; __Host-session=a.b.c"], Reason.SESSION_MALFORMED),
    ):
        with pytest.raises(Nobody) as caught:
            session.evidence(shown(*cookies))
        assert caught.value.reason is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (lambda: "abc", Reason.TOKEN_MALFORMED),
        (lambda: f'"{token()}"', Reason.TOKEN_MALFORMED),
        (lambda: f"Bearer:{token()}", Reason.TOKEN_MALFORMED),
        (lambda: token() + ".x", Reason.TOKEN_MALFORMED),
        (lambda: token()[:-4] + "AAAA", Reason.TOKEN_SIGNATURE_WRONG),
        (lambda: token("another's"), Reason.TOKEN_SIGNATURE_WRONG),
        (lambda: token(kid="b"), Reason.TOKEN_KEY_UNKNOWN),
        (lambda: token(algorithm="RS256"), Reason.TOKEN_ALGORITHM_REFUSED),
        (lambda: token(iss=ISSUER + "/"), Reason.TOKEN_ISSUER_UNKNOWN),
        (lambda: token(iss=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (lambda: token(iss=7), Reason.TOKEN_MALFORMED),
        (lambda: token(aud="xmpp:example.org"), Reason.TOKEN_AUDIENCE_WRONG),
        (lambda: token(aud=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (lambda: token(typ="JWT"), Reason.TOKEN_TYPE_WRONG),
        (lambda: token(typ=NOT_THERE), Reason.TOKEN_TYPE_WRONG),
        (lambda: token(typ="at+jwt"), Reason.TOKEN_TYPE_WRONG),
        (lambda: token(exp=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (lambda: token(exp=NOW - 30), Reason.TOKEN_EXPIRED),
        (lambda: token(nbf=NOW + 31), Reason.TOKEN_NOT_YET_VALID),
        (lambda: token(sub=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (lambda: token(sub=7), Reason.TOKEN_MALFORMED),
        (lambda: token(sub=None), Reason.TOKEN_MALFORMED),
        (lambda: token(sub=["alice"]), Reason.TOKEN_MALFORMED),
        (lambda: token(sub=""), Reason.USER_MALFORMED),
        (lambda: token(sub=" "), Reason.USER_MALFORMED),
        (lambda: token(sub="a\n"), Reason.USER_MALFORMED),
        (lambda: token(sub="a" * 1024), Reason.USER_MALFORMED),
    ],
)
def test_any_other_token_is_nobody(session, text, expected):
    assert reason(session, text()) is expected


def test_the_header_cannot_choose_the_algorithm(session):
    key = mint.key("ES256", "a")
    for algorithm in ("none", "HS256", "ES384"):
        made = mint.jwt(claims(), key, algorithm, signs="ES256", typ=TYPE, kid="a")
        assert reason(session, made) is Reason.TOKEN_ALGORITHM_REFUSED


def test_the_leeway_is_that_of_the_settings(folder):
    assert user(make(folder), token(exp=NOW - 29)) == "alice"
    assert reason(make(folder, leeway="0s"), token(exp=NOW)) is Reason.TOKEN_EXPIRED


# --- keys -----------------------------------------------------------------------------------------


def test_a_retired_key_ends_its_sessions_and_a_new_one_begins(folder):
    clock = Clock()
    session = make(folder, clock)
    assert user(session, token()) == "alice"
    (folder / "keys" / "a.pem").unlink()
    write(folder / "keys" / "b.pem", pem("b"))
    clock.advance(1.0)
    assert reason(session, token()) is Reason.TOKEN_KEY_UNKNOWN
    assert user(session, token("b", kid="b")) == "alice"


def test_the_probe_names_the_keys(folder):
    session = make(folder)
    assert now(session.probe()) == "keys: 'a'"
    (folder / "keys" / "a.pem").unlink()
    with pytest.raises(CannotTell) as caught:
        now(make(folder).probe())
    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    assert caught.value.words == "there is no key that could be used"


class Fetched:
    """Keys by a URL that come when the test says so."""

    trouble = ""

    def __init__(self):
        self.keys = None
        self.again = False
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self):
        self.calls.append("stop")

    def current(self):
        return self.keys

    def ask_again(self):
        self.calls.append("ask_again")
        return self.again

    def ready(self):
        self.calls.append("ready")
        return succeed(None)


@pytest.fixture
def fetched():
    return Fetched()


@pytest.fixture
def remote(folder, fetched):
    own = settings(
        folder,
        {key: value for key, value in USUAL.items() if key != "keys"}
        | {"jwks_url": f"https://{HOST}/jwks.json"},
    ).own
    session = JwtCookie(own, Issuer(own.issuer, fetched), lambda: NOW, lambda: 0.0)
    session.start()
    return session


def ring(settings):
    return Keyring([bind_one(key_texts.read(pem("a"), "a.pem", "a", secrets=False), settings)])


def test_without_keys_it_cannot_be_told(remote, fetched):
    with pytest.raises(CannotTell) as caught:
        user(remote, token())
    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    assert "not fetched yet" in caught.value.words
    with pytest.raises(CannotTell):
        now(remote.probe())
    assert fetched.calls == ["start", "ready"]


def test_a_key_that_may_come_in_a_moment_is_waited_for(remote, fetched):
    fetched.keys = ring(next(iter(remote.issuers)).settings)
    assert user(remote, token()) == "alice"
    assert now(remote.probe()) == "keys: 'a'"
    fetched.again = True
    with pytest.raises(CannotTell) as caught:
        user(remote, token(kid="new"))
    assert caught.value.reason is Reason.KEYS_UNAVAILABLE
    fetched.again = False
    assert reason(remote, token(kid="new")) is Reason.TOKEN_KEY_UNKNOWN
    remote.stop()
    assert fetched.calls == ["start", "ready", "ask_again", "ask_again", "stop"]


class Publisher(Protocol):
    """Answers each request with its keys."""

    def __init__(self, body):
        self.body = body
        self.heard = b""

    def connectionMade(self):
        self.transport.startTLS(ServerTls(OURS.issue(HOST)))

    def dataReceived(self, data):
        self.heard += data
        if self.heard.endswith(b"\r\n\r\n"):
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.body)
            self.transport.write(head + self.body)


def test_keys_are_fetched_from_their_publisher(folder):
    network = Network()
    network.names = {HOST: [ADDRESS]}
    (folder / "ca.pem").write_bytes(OURS.pem)
    body = json.dumps(mint.jwks(mint.key("ES256", "a").jwk(kid="a"))).encode()
    network.places[ADDRESS, 443] = lambda: Publisher(body)
    url = f"https://{HOST}/jwks.json"
    session = make(folder, network, keys=None, jwks_url=url, ca_file="ca.pem")
    network.settle()
    assert user(session, token()) == "alice"
    session.stop()
    network.settle()
    assert network.getDelayedCalls() == []
