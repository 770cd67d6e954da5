"""Our module for Prosody with the daemon itself: passwords, signed tokens, cookies, outages, and
what both write into their logs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tokens import mint

from .calls import NO, YES, user_exists
from .canary import Search, registered, secret, watched
from .daemon import Daemon, write_private
from .pki import Pki, make_pki
from .prosody_browsers import (
    CHALLENGE,
    SUCCESS,
    WAYS,
    Answer,
    Stream,
    WebSocketBrowser,
    begin,
    headers,
    plain,
    respond,
)
from .prosody_module import ModuleProsody
from .waiting import wait_until
from .xmpp import SESSION, Client

HOST = "bridged.example"
JID = f"alice@{HOST}"
SITE = "https://www.bridged.example"
ISSUER = "https://issuer.bridged.example"
PASSWORD = secret("wonderland")
OUTAGE = "temporary-auth-failure"
INVALID = Answer(CHALLENGE, b'{"status":"invalid_token"}')

_TABLES = """
[authbridge]
state = "{folder}/state.sqlite3"

[domains."{host}"]
check = ["tokens", "local"]
exists = ["local"]

[checkers.tokens]
kind = "token"
accept = ["jwt", "temporary"]

[checkers.local]
kind = "file"
path = "{folder}/people"

[issuers."{issuer}"]
keys = ["{folder}/issuer.pem"]
algorithms = ["ES256"]
domains = ["{host}"]

[sites.www]
hosts = ["www.bridged.example"]
domain = "{host}"
[sites.www.session]
kind = "jwt-cookie"
cookie = "chat"
issuer = "{site}"
audience = "{site}/chat"
typ = "session+jwt"
algorithms = ["ES256"]
keys = ["{folder}/site.pem"]
"""

_OPTIONS = f"""
authbridge_cookie = true
authbridge_origins = {{ "{SITE}" }}
"""


def key(owner: str) -> mint.Key:
    return mint.key("ES256", f"bridged-{owner}")


def signed(claims: dict[str, object], owner: str, **members: str) -> bytes:
    """A token that is looked for in the logs, and its signature with it."""
    made = mint.jwt(claims, key(owner), "ES256", **members).encode()
    watched(made.rpartition(b".")[2])
    return watched(made)


def token(subject: str = JID, life: int = 60, owner: str = "issuer") -> bytes:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": ISSUER,
        "sub": subject,
        "aud": f"xmpp:{HOST}",
        "iat": now - 3600 if life < 0 else now,
        "exp": now + life,
    }
    return signed(claims, owner, kid=owner)


def cookie(user: str = "alice", owner: str = "site") -> bytes:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": SITE,
        "sub": user,
        "aud": f"{SITE}/chat",
        "iat": now,
        "exp": now + 600,
    }
    return b"chat=" + signed(claims, owner, kid=owner, typ="session+jwt")


def bearer(token: bytes, authzid: str = JID) -> bytes:
    """The message of OAUTHBEARER."""
    identity = f"a={authzid}" if authzid else ""
    return f"n,{identity},\1auth=Bearer ".encode() + token + b"\1\1"


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "bridged-tls", [HOST])


@pytest.fixture(scope="module")
def shared_daemon(workspace: Path) -> Iterator[Daemon]:
    folder = workspace / "bridged"
    tables = _TABLES.format(folder=folder, host=HOST, issuer=ISSUER, site=SITE)
    daemon = Daemon(folder, (), others={HOST: tables})
    for owner in ("issuer", "site"):
        write_private(folder / f"{owner}.pem", key(owner).public_pem())
    daemon.write_users(HOST, {"alice": PASSWORD})
    (folder / "users" / HOST).rename(folder / "people")
    text = daemon.configuration.read_text().replace("may = [", 'may = ["cookie", ')
    write_private(daemon.configuration, text.encode())
    daemon.start()
    yield daemon
    daemon.restore()
    daemon.stop()


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, shared_daemon: Daemon) -> Iterator[ModuleProsody]:
    server = ModuleProsody(
        workspace / "bridged-prosody",
        pki,
        {HOST: ""},
        shared_daemon.http_auth_url,
        shared_daemon.client_secret,
        options=_OPTIONS,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    yield shared_daemon
    shared_daemon.restore()


@pytest.fixture
def client(prosody: ModuleProsody, pki: Pki, daemon: Daemon) -> Iterator[Client]:
    with Client(prosody.port, HOST, pki.ca) as connected:
        yield connected


def test_the_right_password_is_right_and_the_wrong_one_wrong(client: Client) -> None:
    assert client.login(b"alice", secret("guess")) == "not-authorized"
    assert client.login(b"nobody", PASSWORD) == "not-authorized"
    assert client.login(b"alice", PASSWORD) == SESSION


def test_the_daemon_s_line_has_the_address_of_the_client(
    prosody: ModuleProsody, daemon: Daemon
) -> None:
    with WebSocketBrowser(prosody, HOST, headers(cookie(), SITE, "192.0.2.21")) as browser:
        assert begin(browser, "PLAIN", plain("alice", PASSWORD)) == Answer(SUCCESS)
    with WebSocketBrowser(prosody, HOST, headers(cookie(), SITE, "192.0.2.22")) as browser:
        assert begin(browser, "EXTERNAL", JID.encode()) == Answer(SUCCESS)
    found = {login.get("address"): login["operation"] for login in daemon.logins(JID)}
    assert found["192.0.2.21"] == "check_password"
    assert found["192.0.2.22"] == "cookie"


def test_a_daemon_that_is_away_is_an_outage_and_then_none_any_more(
    client: Client, daemon: Daemon
) -> None:
    daemon.kill()
    assert client.login(b"alice", PASSWORD) == OUTAGE
    daemon.start()
    assert client.login(b"alice", PASSWORD) == SESSION


def test_a_daemon_that_cannot_tell_is_an_outage(client: Client, daemon: Daemon) -> None:
    people = daemon.folder / "people"
    hidden = people.rename(people.with_name("hidden"))
    try:
        wait_until(lambda: client.login(b"alice", PASSWORD) == OUTAGE, "the file is missed")
    finally:
        hidden.rename(people)


def test_a_message_to_nobody_bounces_and_one_to_a_user_does_not(client: Client) -> None:
    assert client.login(b"alice", PASSWORD) == SESSION
    client.bind()
    client.message(f"nobody@{HOST}", "hello")
    client.message(JID, "hello")
    client.synchronise()
    (error,) = [stanza for stanza in client.inbox if stanza.get("type") == "error"]
    assert error.get("from") == f"nobody@{HOST}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("authzid", ["", HOST, JID])
def test_a_cookie_of_the_site_logs_in(
    prosody: ModuleProsody, daemon: Daemon, way: str, authzid: str
) -> None:
    with WAYS[way](prosody, HOST, headers(cookie(), SITE)) as browser:
        assert begin(browser, "EXTERNAL", authzid.encode()) == Answer(SUCCESS)
        assert browser.enter().startswith(f"{JID}/")


def test_who_logs_in_by_a_cookie_has_been_seen(prosody: ModuleProsody, daemon: Daemon) -> None:
    """Otherwise what is sent to him while he is away would be lost."""
    text = daemon.configuration.read_text()
    seeing = text.replace('exists = ["local"]', 'exists = "seen"')
    assert seeing != text
    carol = f"carol@{HOST}"
    try:
        daemon.stop()
        write_private(daemon.configuration, seeing.encode())
        daemon.start()
        assert user_exists(daemon, carol) == NO
        with WebSocketBrowser(prosody, HOST, headers(cookie("carol"), SITE)) as browser:
            assert begin(browser, "EXTERNAL", b"") == Answer(SUCCESS)
        assert user_exists(daemon, carol) == YES
    finally:
        daemon.stop()
        write_private(daemon.configuration, text.encode())
        daemon.start()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("authzid", ["", JID])
def test_a_forged_cookie_and_another_user_s_are_refused(
    prosody: ModuleProsody, daemon: Daemon, way: str, authzid: str
) -> None:
    forged = cookie()[:-6] + b"AAAAAA"
    with WAYS[way](prosody, HOST, headers(forged, SITE)) as browser:
        assert begin(browser, "EXTERNAL", authzid.encode()) == Answer("not-authorized")
    with WAYS[way](prosody, HOST, headers(cookie("bob"), SITE)) as browser:
        assert begin(browser, "EXTERNAL", JID.encode()) == Answer("not-authorized")


@pytest.mark.parametrize("way", WAYS)
def test_a_cookie_is_not_refused_in_an_outage(
    prosody: ModuleProsody, daemon: Daemon, way: str
) -> None:
    with WAYS[way](prosody, HOST, headers(cookie(), SITE)) as browser:
        daemon.kill()
        for authzid in ("", JID):
            assert begin(browser, "EXTERNAL", authzid.encode()) == Answer(OUTAGE)
        daemon.start()
        assert begin(browser, "EXTERNAL", JID.encode()) == Answer(SUCCESS)


@pytest.mark.parametrize("authzid", ["", JID, JID.upper()])
@pytest.mark.parametrize("subject", [JID, "alice"])
def test_a_signed_token_logs_its_user_in(client: Client, authzid: str, subject: str) -> None:
    assert begin(client, "OAUTHBEARER", bearer(token(subject), authzid)) == Answer(SUCCESS)


def test_a_token_is_asked_for_where_none_came(client: Client) -> None:
    assert begin(client, "OAUTHBEARER", None) == Answer(CHALLENGE)
    assert respond(client, bearer(token())) == Answer(SUCCESS)


def _refused(stream: Stream, message: bytes) -> None:
    """RFC 7628, 3.2.3: told why, the client gives in, and then has its failure."""
    assert begin(stream, "OAUTHBEARER", message) == INVALID
    assert respond(stream, b"\1") == Answer("not-authorized")


@pytest.mark.parametrize("authzid", ["", JID])
def test_a_token_that_is_no_good_is_refused_as_the_rfc_has_it(client: Client, authzid: str) -> None:
    _refused(client, bearer(token(life=-600), authzid))
    _refused(client, bearer(token()[:-6] + b"AAAAAA", authzid))
    _refused(client, bearer(token(owner="site"), authzid))
    assert begin(client, "OAUTHBEARER", bearer(token(), authzid)) == Answer(SUCCESS)


def test_a_token_is_good_for_its_own_user_alone(client: Client) -> None:
    _refused(client, bearer(token(), f"bob@{HOST}"))
    _refused(client, bearer(token("bob"), JID))
    _refused(client, bearer(token("alice@other.example"), ""))


def test_a_token_is_no_worse_for_an_outage(client: Client, daemon: Daemon) -> None:
    daemon.kill()
    assert begin(client, "OAUTHBEARER", bearer(token())) == Answer(OUTAGE)
    daemon.start()
    assert begin(client, "OAUTHBEARER", bearer(token())) == Answer(SUCCESS)


def test_who_gives_in_in_another_way_is_refused_all_the_same(client: Client) -> None:
    for reply in (None, b"anything", bearer(token())):
        assert begin(client, "OAUTHBEARER", bearer(token(life=-600))) == INVALID
        assert respond(client, reply) == Answer("not-authorized")


def test_nothing_secret_is_in_prosody_s_log_at_debug(
    prosody: ModuleProsody, client: Client, daemon: Daemon
) -> None:
    assert client.login(b"alice", secret("guess")) == "not-authorized"
    _refused(client, bearer(token(life=-600), ""))
    assert begin(client, "OAUTHBEARER", bearer(token())) == Answer(SUCCESS)
    for way in WAYS.values():
        for shown in (cookie(), cookie(owner="issuer")):
            with way(prosody, HOST, headers(shown, SITE)) as browser:
                begin(browser, "EXTERNAL", JID.encode())
    with WebSocketBrowser(prosody, HOST, headers(cookie(), SITE)) as browser:
        daemon.kill()
        assert begin(browser, "PLAIN", plain("alice", PASSWORD)) == Answer(OUTAGE)
        assert begin(browser, "EXTERNAL", JID.encode()) == Answer(OUTAGE)
    # With what the tests before this one have sent.
    log = prosody.log.read_bytes()
    assert b"Making HTTP POST request" in log
    assert b"/auth/cookie?" in log
    assert list(Search(registered()).places(log)) == []
