"""OAUTHBEARER (RFC 7628) with our module for Prosody: what is read, whom is asked for, and what is
refused before anybody is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tokens import mint

from .canary import watched
from .pki import Pki, make_pki
from .prosody_bridge import NO, Bridge, Reply
from .prosody_browsers import CHALLENGE, SUCCESS, Answer, WebSocketBrowser, begin, headers, respond
from .prosody_module import ModuleProsody
from .xmpp import Client

HOST = "bearer.example"
OFF = "passwords.example"
JID = f"alice@{HOST}"
INVALID = Answer(CHALLENGE, b'{"status":"invalid_token"}')
MALFORMED = Answer("malformed-request")


def jwt(payload: bytes) -> bytes:
    """What looks like a token; who asks the stand-in, it is signed for."""
    parts = (b'{"alg":"ES256"}', payload, b"signature of " + payload[-40:])
    made = ".".join(mint.b64(part) for part in parts).encode()
    return watched(made) if len(made) < 1000 else made


TOKEN = jwt(b'{"sub":"alice@bearer.example"}')


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "module-tokens-tls", [HOST, OFF])


@pytest.fixture(scope="module")
def shared_bridge() -> Iterator[Bridge]:
    with Bridge() as bridge:
        yield bridge


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, shared_bridge: Bridge) -> Iterator[ModuleProsody]:
    hosts = {HOST: "", OFF: "authbridge_oauthbearer = false"}
    server = ModuleProsody(workspace / "module-tokens", pki, hosts, shared_bridge.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bridge(shared_bridge: Bridge) -> Iterator[Bridge]:
    yield shared_bridge
    shared_bridge.reset()


@pytest.fixture
def client(prosody: ModuleProsody, pki: Pki, bridge: Bridge) -> Iterator[Client]:
    with Client(prosody.port, HOST, pki.ca) as connected:
        yield connected


@pytest.mark.parametrize(
    ("message", "user"),
    [
        (b"n,a=alice@bearer.example,\1auth=Bearer TOKEN\1\1", "alice"),
        (b"y,a=alice@bearer.example,\1auth=Bearer TOKEN\1\1", "alice"),
        (b"n,,\1auth=Bearer TOKEN\1\1", "alice"),
        (b"n,,\1auth=bearer  TOKEN\1\1", "alice"),
        (b"n,,\1host=bearer.example\1port=5222\1auth=Bearer TOKEN\1\1", "alice"),
        (b"n,,\1auth=Bearer TOKEN\1other=\t a b\r\n\1\1", "alice"),
        (b"n,a=bob@BEARER.example,\1auth=Bearer TOKEN\1\1", "bob"),
        (b"n,a=a=2Cb=3Dc@bearer.example,\1auth=Bearer TOKEN\1\1", "a,b=c"),
        ("n,a=ÇELIK@bearer.example,\1auth=Bearer TOKEN\1\1".encode(), "çelik"),
        (b"n,a=alice@bearer.example,\1auth=Bearer abtc1_AAAA-bbbb_CC\1\1", "alice"),
    ],
)
def test_a_token_is_asked_about_for_whom_the_client_names_or_the_token(
    client: Client, bridge: Bridge, message: bytes, user: str
) -> None:
    assert begin(client, "OAUTHBEARER", message.replace(b"TOKEN", TOKEN)) == Answer(SUCCESS)
    (asked,) = bridge.requests
    assert (asked.method, asked.verb, asked.query) == ("POST", "check_password", {})
    assert (asked.user, asked.form["server"]) == (user, HOST)
    assert asked.form["pass"] in (TOKEN.decode(), "abtc1_AAAA-bbbb_CC")
    assert asked.headers["x-forwarded-for"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\1",
        b"n,,",
        b"n,,\1",
        b"n,,\1\1",
        b"n,,\1auth=Bearer TOKEN",
        b"n,,\1auth=Bearer TOKEN\1",
        b"n,,\1auth=Bearer TOKEN\1\1\1",
        b"n,,\1auth=Bearer TOKEN\1\1more",
        b"n,,\1auth=Bearer TOKEN\1auth=Bearer TOKEN\1\1",
        b"n,,\1host=a\1\1",
        b"n,,\1auth=Basic TOKEN\1\1",
        b"n,,\1auth=Bearer\1\1",
        b"n,,\1auth=Bearer TOKEN TOKEN\1\1",
        b"n,,\1auth=Bearer TOKEN,\1\1",
        b"n,,\1auth=Bearer TOK\0EN\1\1",
        b"n,,\1auth=Bearer \xffTOKEN\1\1",
        b"n,,\1au th=Bearer TOKEN\1\1",
        b"n,,\1=Bearer TOKEN\1\1",
        b"n,,\1auth Bearer TOKEN\1\1",
        b"n,,auth=Bearer TOKEN\1\1",
        b"p=tls-unique,,\1auth=Bearer TOKEN\1\1",
        b"F,n,,\1auth=Bearer TOKEN\1\1",
        b"N,,\1auth=Bearer TOKEN\1\1",
        b"n,alice@bearer.example,\1auth=Bearer TOKEN\1\1",
        b"n,a=,\1auth=Bearer TOKEN\1\1",
        b"n,a=al=2cice@bearer.example,\1auth=Bearer TOKEN\1\1",
        b"n,a=al,ice@bearer.example,\1auth=Bearer TOKEN\1\1",
        b"n,,x\1auth=Bearer TOKEN\1\1",
        TOKEN,
    ],
)
def test_what_is_malformed_is_refused_and_nobody_is_asked(
    client: Client, bridge: Bridge, message: bytes
) -> None:
    assert begin(client, "OAUTHBEARER", message.replace(b"TOKEN", TOKEN)) == MALFORMED
    assert bridge.requests == []


@pytest.mark.parametrize(
    "authzid",
    [
        "alice@other.example",
        "alice@bearer.example/phone",
        "bearer.example",
        "alice",
        "@bearer.example",
        "al ice@bearer.example",
    ],
)
def test_an_identity_that_is_nobody_s_here_is_refused(
    client: Client, bridge: Bridge, authzid: str
) -> None:
    message = f"n,a={authzid},\1auth=Bearer ".encode() + TOKEN + b"\1\1"
    assert begin(client, "OAUTHBEARER", message) == Answer("invalid-authzid")
    assert bridge.requests == []


@pytest.mark.parametrize(
    "token",
    [
        # No signed tokens, such as passwords; with a name, as a client may send it with one.
        b"wonderland",
        b"a.b",
        b"a..c",
        b"a.b.c.d",
        b"a.b.c=",
        b"abtt1_AAAA",
    ],
)
def test_what_is_no_signed_token_is_no_token(client: Client, bridge: Bridge, token: bytes) -> None:
    for identity in (b"a=alice@bearer.example", b""):
        message = b"n," + identity + b",\1auth=Bearer " + token + b"\1\1"
        assert begin(client, "OAUTHBEARER", message) == INVALID
        assert respond(client, b"\1") == Answer("not-authorized")
    assert bridge.requests == []


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"",
        b"no json",
        b'{"sub":null}',
        b'{"sub":["alice"]}',
        b'{"sub":""}',
        b'{"sub":"al ice"}',
        b'{"sub":"alice@other.example"}',
        b'{"sub":"alice@bearer.example/phone"}',
        b'{"sub":"@bearer.example"}',
        b'"alice"',
        b'{"sub":"\xff"}',
        b'{"sub":"alice"',
        b"[" * 4000,
        b'{"sub":' * 700,
    ],
)
def test_a_token_about_nobody_here_is_refused_where_the_client_names_nobody(
    client: Client, bridge: Bridge, payload: bytes
) -> None:
    message = b"n,,\1auth=Bearer " + jwt(payload) + b"\1\1"
    assert begin(client, "OAUTHBEARER", message) == INVALID
    assert respond(client, b"\1") == Answer("not-authorized")
    assert bridge.requests == []


def test_what_is_too_long_is_refused(prosody: ModuleProsody, bridge: Bridge) -> None:
    # Over c2s Prosody takes no stanza of more than 10,000 octets from who is not logged in.
    with WebSocketBrowser(prosody, HOST, headers(None, None)) as browser:
        start = b"n,a=alice@bearer.example,\1auth=Bearer "
        padding = b"\1pad=" + b"x" * 10240
        assert begin(browser, "OAUTHBEARER", start + TOKEN + padding + b"\1\1") == MALFORMED
        longest = b"a." + b"b" * 8188 + b".c"
        assert begin(browser, "OAUTHBEARER", start + longest + b"c\1\1") == INVALID
        assert bridge.requests == []
        assert begin(browser, "OAUTHBEARER", start + longest + b"\1\1") == Answer(SUCCESS)


def test_a_refusal_is_as_the_rfc_has_it_and_an_outage_is_none(
    client: Client, bridge: Bridge
) -> None:
    message = b"n,,\1auth=Bearer " + TOKEN + b"\1\1"
    bridge.answer = lambda request: NO
    assert begin(client, "OAUTHBEARER", message) == INVALID
    assert respond(client, b"\1") == Answer("not-authorized")
    bridge.answer = lambda request: Reply(503, b"")
    assert begin(client, "OAUTHBEARER", message) == Answer("temporary-auth-failure")


def test_a_host_without_it_offers_none(prosody: ModuleProsody, pki: Pki, bridge: Bridge) -> None:
    with Client(prosody.port, OFF, pki.ca) as client:
        assert client.mechanisms == {"PLAIN"}
        assert begin(client, "OAUTHBEARER", b"n,,\1\1") == Answer("invalid-mechanism")
