"""PLAIN with our module for Prosody: what it asks, what it makes of each answer, and of none."""

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .canary import secret
from .pki import Pki, make_pki
from .ports import free_port
from .prosody_bridge import HANGING, NO, YES, Bridge, Reply, decided
from .prosody_browsers import (
    CHALLENGE,
    SUCCESS,
    Answer,
    BoshBrowser,
    WebSocketBrowser,
    begin,
    headers,
    plain,
    respond,
)
from .prosody_module import HASTY, ModuleProsody
from .xmpp import SESSION, Client

HOST = "module.example"
#: Whose logins wait for 2 s alone.
BRIEF = "brief.example"
PASSWORD = secret("wonderland +&=%")
OUTAGE = "temporary-auth-failure"
REFUSED = "not-authorized"
NOBODY_ASKED = "malformed-request"


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "module-logins-tls", [HOST, BRIEF])


@pytest.fixture(scope="module")
def shared_bridge() -> Iterator[Bridge]:
    with Bridge() as bridge:
        yield bridge


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, shared_bridge: Bridge) -> Iterator[ModuleProsody]:
    hosts = {HOST: "", BRIEF: HASTY}
    server = ModuleProsody(workspace / "module-logins", pki, hosts, shared_bridge.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bridge(shared_bridge: Bridge) -> Iterator[Bridge]:
    yield shared_bridge
    shared_bridge.reset()


@pytest.fixture
def client(prosody: ModuleProsody, pki: Pki) -> Iterator[Client]:
    with Client(prosody.port, HOST, pki.ca) as connected:
        yield connected


def connect(prosody: ModuleProsody, pki: Pki, host: str = HOST) -> Client:
    return Client(prosody.port, host, pki.ca)


def test_a_password_goes_by_post_with_our_credentials(
    client: Client, bridge: Bridge, prosody: ModuleProsody
) -> None:
    assert client.login("Çelik".encode(), PASSWORD) == SESSION
    (asked,) = bridge.requests
    assert (asked.method, asked.path, asked.query) == ("POST", "/auth/check_password", {})
    assert asked.form == {"user": "çelik", "server": HOST, "pass": PASSWORD.decode()}
    expected = b64encode(b"prosody:" + prosody.client_secret).decode()
    assert asked.headers["authorization"] == [f"Basic {expected}"]
    assert asked.headers["content-type"] == ["application/x-www-form-urlencoded"]
    assert client.bind() == f"çelik@{HOST}/tests"


def test_a_wrong_password_is_refused_and_the_next_one_is_looked_at(
    client: Client, bridge: Bridge
) -> None:
    bridge.answer = lambda request: NO
    assert client.login(b"alice", PASSWORD) == REFUSED
    bridge.answer = lambda request: YES
    assert client.login(b"alice", PASSWORD) == SESSION


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503, b"unavailable"),
        Reply(500, b"true"),
        Reply(200, b""),
        Reply(200, b"true\n"),
        Reply(200, b"TRUE"),
        Reply(200, b"<html>please log in</html>"),
        Reply(200, b"x" * 5000),
        Reply(204, b""),
        Reply(201, b"true"),
        Reply(302, b"", headers=(("Location", "/elsewhere"),)),
        Reply(401, b"credentials?"),
        Reply(403, b""),
        Reply(404, b""),
        Reply(421, b""),
        Reply(429, b""),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:8].decode()!r}",
)
def test_what_is_no_answer_is_an_outage_and_no_wrong_password(
    client: Client, bridge: Bridge, reply: Reply
) -> None:
    bridge.answer = lambda request: reply
    assert client.login(b"alice", PASSWORD) == OUTAGE
    bridge.answer = lambda request: YES
    assert client.login(b"alice", PASSWORD) == SESSION


def test_nobody_listening_is_an_outage(workspace: Path, pki: Pki) -> None:
    url = f"http://127.0.0.1:{free_port()}/auth"
    server = ModuleProsody(workspace / "module-alone", pki, {HOST: ""}, url)
    server.start()
    try:
        with connect(server, pki) as client:
            assert client.login(b"alice", PASSWORD) == OUTAGE
        assert "connection refused" in server.logged("check_password was not answered").lower()
    finally:
        server.stop()


def test_a_hanging_daemon_is_an_outage_in_the_end_and_others_log_in_meanwhile(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge
) -> None:
    bridge.answer = lambda request: HANGING if request.user == "hanging" else YES
    with connect(prosody, pki, BRIEF) as hanging:
        hanging.send_plain(b"hanging", PASSWORD)
        bridge.asked("check_password", "hanging")
        with connect(prosody, pki) as other:
            assert other.login(b"alice", PASSWORD) == SESSION
        assert hanging.outcome() == OUTAGE
        # The answer that comes now is nobody's any more.
        bridge.go_on()
        bridge.answer = lambda request: NO
        assert decided(lambda: hanging.login(b"hanging", PASSWORD), OUTAGE) == REFUSED
        bridge.answer = lambda request: YES
        assert decided(lambda: hanging.login(b"hanging", PASSWORD), OUTAGE) == SESSION


def test_an_answer_that_comes_late_is_not_the_next_ones(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge
) -> None:
    bridge.answer = lambda request: HANGING if request.form["pass"] == "early" else NO
    with connect(prosody, pki, BRIEF) as client:
        assert client.login(b"alice", b"early") == OUTAGE
        bridge.asked("check_password")
        client.send_plain(b"alice", b"second")
        bridge.go_on()
        outcome = client.outcome()
        if outcome == OUTAGE:
            outcome = decided(lambda: client.login(b"alice", b"second"), OUTAGE)
        assert outcome == REFUSED


def test_eight_logins_are_asked_at_once(prosody: ModuleProsody, pki: Pki, bridge: Bridge) -> None:
    bridge.answer = lambda request: HANGING
    with ThreadPoolExecutor(8) as at_once:
        clients = list(at_once.map(lambda _: connect(prosody, pki), range(8)))
    try:
        for number, client in enumerate(clients):
            client.send_plain(f"user{number}".encode(), PASSWORD)
        bridge.asked("check_password", count=8)
        assert {request.user for request in bridge.requests} == {f"user{n}" for n in range(8)}
        bridge.go_on()
        assert [client.outcome() for client in clients] == [SESSION] * 8
    finally:
        for client in clients:
            client.close()


def test_who_leaves_while_he_is_asked_about_disturbs_nobody(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge
) -> None:
    bridge.answer = lambda request: HANGING if request.user == "leaving" else YES
    with connect(prosody, pki) as leaving:
        leaving.send_plain(b"leaving", PASSWORD)
        bridge.asked("check_password", "leaving")
    bridge.go_on()
    with connect(prosody, pki) as client:
        assert client.login(b"alice", PASSWORD) == SESSION


@pytest.mark.parametrize(
    ("authzid", "outcome"),
    [
        ("", SESSION),
        (f"alice@{HOST}", SESSION),
        (f"ALICE@{HOST.upper()}", SESSION),
        (f"juliet@{HOST}", "invalid-authzid"),
        ("alice@example.org", "invalid-authzid"),
        (f"alice@{HOST}/phone", "invalid-authzid"),
        (HOST, "invalid-authzid"),
        ("alice", "invalid-authzid"),
        ("@", "invalid-authzid"),
    ],
)
def test_a_user_logs_in_as_himself_alone(
    client: Client, bridge: Bridge, authzid: str, outcome: str
) -> None:
    assert client.login(b"alice", PASSWORD, authzid.encode()) == outcome
    assert len(bridge.requests) == (1 if outcome == SESSION else 0)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"alice",
        b"\0alice",
        b"\0alice\0",
        b"\0\0password",
        b"\0alice\0password\0",
        b"\0alice\0pass\0word",
        b"\0alice@module.example\0password",
        b"\0al ice\0password",
        b"\0\xff\xfe\0password",
        b"\0alice\0\xff\xfe",
        b"\0alice\0pass\x07word",
        b"\0" + b"a" * 1024 + b"\0password",
        b"\0alice\0" + "é".encode() * 600,
    ],
)
def test_what_is_malformed_is_refused_and_nobody_is_asked(
    client: Client, bridge: Bridge, message: bytes
) -> None:
    assert begin(client, "PLAIN", message) == Answer(NOBODY_ASKED)
    assert bridge.requests == []


def test_a_password_is_prepared_as_prosody_does(client: Client, bridge: Bridge) -> None:
    assert client.login(b"alice", "ﬁnal ½ \N{NO-BREAK SPACE}".encode()) == SESSION
    assert bridge.requests[0].form["pass"] == "final 1⁄2  "


def test_a_token_longer_than_prosody_takes_passwords_is_asked_about(
    prosody: ModuleProsody, bridge: Bridge
) -> None:
    # Over c2s Prosody takes no stanza of more than 10,000 octets from who is not logged in.
    with WebSocketBrowser(prosody, HOST, headers(None, None)) as browser:
        assert begin(browser, "PLAIN", plain("alice", b"a" * 8193)) == Answer(NOBODY_ASKED)
        assert begin(browser, "PLAIN", plain("alice", b"a" * 8192)) == Answer(SUCCESS)
    assert [request.form["pass"] for request in bridge.requests] == ["a" * 8192]


def test_who_sends_no_initial_response_is_asked_for_one(client: Client, bridge: Bridge) -> None:
    assert begin(client, "PLAIN", None) == Answer(CHALLENGE)
    assert respond(client, plain("alice", PASSWORD)) == Answer(SUCCESS)
    assert bridge.requests[0].user == "alice"


def test_who_sends_no_response_either_is_refused(client: Client, bridge: Bridge) -> None:
    assert begin(client, "PLAIN", None) == Answer(CHALLENGE)
    assert respond(client, None) == Answer(NOBODY_ASKED)
    assert client.login(b"alice", PASSWORD) == SESSION


def test_another_mechanism_is_none(client: Client) -> None:
    assert client.mechanisms == {"PLAIN", "OAUTHBEARER"}
    for mechanism in ("EXTERNAL", "SCRAM-SHA-1", "ANONYMOUS"):
        assert begin(client, mechanism, b"alice") == Answer("invalid-mechanism")


def test_a_client_s_own_address_is_passed_on(client: Client, bridge: Bridge) -> None:
    assert client.login(b"alice", PASSWORD) == SESSION
    assert bridge.requests[0].headers["x-forwarded-for"] == ["127.0.0.1"]


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("way", [WebSocketBrowser, BoshBrowser])
def test_the_address_behind_a_proxy_that_prosody_trusts_is_passed_on(
    prosody: ModuleProsody,
    bridge: Bridge,
    way: type[WebSocketBrowser] | type[BoshBrowser],
    address: str,
) -> None:
    # Prosody's own log at "debug" has the bodies of BOSH: nobody's password may be in this one.
    message = plain("alice", b"nobody's")
    with way(prosody, HOST, headers(None, None, address)) as browser:
        assert browser.mechanisms == {"PLAIN", "OAUTHBEARER"}
        assert begin(browser, "PLAIN", message) == Answer(SUCCESS)
        assert browser.enter().startswith(f"alice@{HOST}/")
    assert bridge.requests[0].headers["x-forwarded-for"] == [address]


def test_an_address_that_is_none_is_not_passed_on(prosody: ModuleProsody, bridge: Bridge) -> None:
    with WebSocketBrowser(prosody, HOST, headers(None, None, "unknown")) as browser:
        assert begin(browser, "PLAIN", plain("alice", PASSWORD)) == Answer(SUCCESS)
    assert bridge.requests[0].headers.get("x-forwarded-for") in (None, ["127.0.0.1"])


def test_trouble_is_in_the_log_with_what_to_look_at(
    client: Client, bridge: Bridge, prosody: ModuleProsody
) -> None:
    bridge.answer = lambda request: Reply(401, b"credentials?")
    assert client.login(b"alice", PASSWORD) == OUTAGE
    assert "[clients.prosody]" in prosody.logged("answered with the status 401")
