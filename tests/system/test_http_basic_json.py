"""What mod_auth_http_async, nginx, Traefik and HAProxy ask of /auth/basic, and mod_auth_custom_http
of /auth/json, by the octet, and the answers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import gate
from .canary import secret
from .http_daemon import AWAY, DEMAND, HERE, OLD, UMLAUT, USERS, HttpDaemon
from .raw_http import Answer, Connection, answer, ask, basic

TRUE, FALSE = answer("200 OK", b"true"), answer("200 OK", b"false")
UNAVAILABLE = answer("503 Service Unavailable", b"unavailable", Retry_After="5")
JSON_UNAVAILABLE = answer("503 Service Unavailable", b"false", Retry_After="5")
CHALLENGE = 'Basic realm="authbridge", charset="UTF-8"'
REFUSED = answer("401 Unauthorized", b"false", WWW_Authenticate=CHALLENGE)

#: The forms of a question to /auth/basic. Prosody's own client: its headers in any order.
ASYNC = (
    b"GET /auth/basic?server=%(server)b HTTP/1.1\r\nUser-Agent: Prosody XMPP Server\r\n"
    b"Authorization: %(credentials)b\r\nHost: %(host)b\r\n\r\n"
)
#: nginx by default but for the version, as conf/nginx.conf has it, and by default.
NGINX = (
    b"GET /auth/basic?server=%(server)b HTTP/1.1\r\nHost: localhost\r\n"
    b"Authorization: %(credentials)b\r\n\r\n"
)
OUR_NGINX = NGINX.replace(b"GET ", b"HEAD ")
OLD_NGINX = (
    b"GET /auth/basic?server=%(server)b HTTP/1.0\r\nHost: %(host)b\r\nConnection: close\r\n"
    b"accept: */*\r\ncookie: session=1\r\nAuthorization: %(credentials)b\r\n\r\n"
)
#: Traefik asks by GET whatever the browser did, and hands over what the browser sent, a body's type
#: and expectations included, but no body.
TRAEFIK = (
    b"GET /auth/basic?server=%(server)b HTTP/1.1\r\nHost: %(host)b\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nAuthorization: %(credentials)b\r\n"
    b"Content-Type: multipart/form-data; boundary=----x\r\nCookie: session=1; other=2\r\n"
    b"Expect: 100-continue\r\nOrigin: https://www.example.org\r\nSec-Fetch-Mode: navigate\r\n"
    b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: www.example.org\r\n"
    b"X-Forwarded-Method: POST\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\n"
    b"X-Forwarded-Server: edge\r\nX-Forwarded-Uri: /upload?server=other.example\r\n"
    b"X-Real-Ip: 192.0.2.7\r\n\r\n"
)
GETS = {"async": ASYNC, "nginx": NGINX, "traefik": TRAEFIK}
#: haproxy-auth-request.
HAPROXY = (
    b"HEAD /auth/basic?server=%(server)b HTTP/1.1\r\nauthorization: %(credentials)b\r\n"
    b"user-agent: Mozilla/5.0\r\nhost: %(host)b\r\naccept: */*\r\nconnection: close\r\n\r\n"
)
#: Prosody's mod_auth_custom_http: LuaSocket 3.0.0, and headers in any order.
CUSTOM = (
    b"POST /auth/json?server=%(server)b HTTP/1.1\r\nte: trailers\r\n"
    b"content-type: application/x-www-form-urlencoded\r\nContent-Length: %(length)d\r\n"
    b"user-agent: LuaSocket 3.0.0\r\nconnection: close, TE\r\nhost: %(host)b\r\n"
    b"authorization: %(credentials)b\r\n\r\n%(body)b"
)


@pytest.fixture(scope="module")
def daemon(workspace: Path) -> Iterator[HttpDaemon]:
    """The daemon that they all ask; no test stops it."""
    running = HttpDaemon(workspace / "basic")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def connection(daemon: HttpDaemon) -> Iterator[Connection]:
    """One connection to the daemon."""
    with Connection(daemon.http_port) as opened:
        yield opened


def log_in(daemon: HttpDaemon, form: bytes, user: str, word: bytes, domain: str = HERE) -> bytes:
    """The octets of a login at /auth/basic."""
    names = {
        b"server": domain.encode(),
        b"host": daemon.host(),
        b"credentials": basic(user.encode(), word),
    }
    return form % names


def post(daemon: HttpDaemon, body: bytes, domain: str = HERE, client: str = "custom") -> bytes:
    """The octets of a question to /auth/json."""
    names = {
        b"server": domain.encode(),
        b"host": daemon.host(),
        b"credentials": daemon.credentials(client),
        b"length": len(body),
        b"body": body,
    }
    return CUSTOM % names


def turned_away(connection: Connection, found: Answer, line: str) -> None:
    """It is no question, which is said without a word of it, and the connection ends."""
    assert found.line == f"HTTP/1.1 {line}"
    assert found.headers["Connection"] == "close"
    assert found.body not in (b"true", b"")
    assert connection.at_end()


@pytest.mark.parametrize("form", GETS.values(), ids=GETS)
def test_basic_tells_right_passwords_from_wrong_ones_on_one_connection(
    daemon: HttpDaemon, connection: Connection, form: bytes
) -> None:
    """With colons, in UTF-8, of somebody else, of nobody."""

    def told(user: str, word: bytes, domain: str = HERE) -> Answer:
        return connection.ask(log_in(daemon, form, user, word, domain)).any_id()

    for user, word in USERS.items():
        assert told(user, word) == TRUE
        assert told(user, USERS["alice"] + b"!") == REFUSED
    assert told("nobody", USERS["alice"]) == REFUSED
    assert told("alice", USERS["alice"], AWAY) == UNAVAILABLE
    assert told("alice", USERS["alice"]) == TRUE


@pytest.mark.parametrize("domain", [UMLAUT, "b%C3%BCcher.example", "B%c3%9ccher.example"])
def test_domain_may_be_raw_or_escaped(
    daemon: HttpDaemon, connection: Connection, domain: str
) -> None:
    """Prosody's module puts the VirtualHost's name into the address as it is."""
    octets = log_in(daemon, ASYNC, "çelik", USERS["çelik"], domain)
    assert connection.ask(octets).any_id() == TRUE


@pytest.mark.parametrize(
    ("word", "line", "challenge"),
    [
        (USERS["alice"], "200 OK", None),
        (secret("wrong"), "401 Unauthorized", CHALLENGE),
    ],
    ids=["right", "wrong"],
)
def test_http_1_0_is_answered_and_closed(
    *, daemon: HttpDaemon, connection: Connection, word: bytes, line: str, challenge: str | None
) -> None:
    """nginx speaks it by default."""
    found = connection.ask(log_in(daemon, OLD_NGINX, "alice", word))
    assert found.line == f"HTTP/1.1 {line}"
    assert found.headers["Connection"] == "close"
    assert found.headers.get("WWW-Authenticate") == challenge
    assert found.body == (b"false" if challenge else b"true")
    assert connection.at_end()


@pytest.mark.parametrize("word", [USERS["alice"], secret("wrong")], ids=["right", "wrong"])
def test_head_gets_what_get_gets_without_its_body(
    daemon: HttpDaemon, connection: Connection, word: bytes
) -> None:
    """The length is the body's; the connection is kept, unless the caller is to close it."""
    got = ask(daemon.http_port, log_in(daemon, NGINX, "alice", word)).any_id()
    for _ in range(3):
        found = connection.ask(log_in(daemon, OUR_NGINX, "alice", word), head=True)
        assert (found.line, found.any_id().headers) == (got.line, got.headers)
    found = connection.ask(log_in(daemon, HAPROXY, "alice", word), head=True)
    assert found.line == got.line
    assert found.any_id().headers == {**got.headers, "Connection": "close"}
    assert connection.at_end()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Authorization: Bearer abc\r\n",
        b"Authorization: Basic\r\n",
        b"Authorization: Basic !\r\n",
        b"Authorization: Basic YWxpY2U=\r\n",
    ],
    ids=["none", "bearer", "no-credentials", "no-base64", "no-colon"],
)
def test_user_without_credentials_is_asked_for_them(
    daemon: HttpDaemon, connection: Connection, header: bytes
) -> None:
    """That is how a browser begins; it goes on with the same connection of the proxy."""
    octets = log_in(daemon, NGINX, "alice", USERS["alice"])
    without = octets.partition(b"Authorization")[0] + header + b"\r\n"
    found = connection.ask(without)
    assert found.any_id() == REFUSED
    assert "reason=credentials_missing" in daemon.line(found.id)
    assert connection.ask(octets).any_id() == TRUE


def test_programs_secret_logs_nobody_in(daemon: HttpDaemon, connection: Connection) -> None:
    """At /auth/basic the credentials are a user's."""
    octets = log_in(daemon, NGINX, "custom", daemon.secrets["custom"])
    assert connection.ask(octets).any_id() == REFUSED


def test_caller_who_is_no_peer_finds_nothing(daemon: HttpDaemon) -> None:
    """Whatever it says of where it comes from; the log has the reason."""
    octets = log_in(daemon, TRAEFIK, "alice", USERS["alice"])
    octets = octets.replace(b"Expect: 100-continue\r\n", b"").replace(b"192.0.2.7", b"127.0.0.1")
    with Connection(daemon.http_port, "127.0.0.2") as connection:
        found = connection.ask(octets)
        assert "reason=caller_not_a_peer" in daemon.line(found.id)
        turned_away(connection, found, "404 Not Found")
    with Connection(daemon.http_port, "127.0.8.15") as connection:
        assert connection.ask(octets).any_id() == TRUE


def test_json_is_taken_in_each_spelling(daemon: HttpDaemon) -> None:
    """Compact and raw, with its members in either order; escaped, with spaces."""

    def told(body: bytes) -> Answer:
        with Connection(daemon.http_port) as connection:
            found = connection.ask(post(daemon, body))
            assert found.headers.pop("Connection") == "close"
            assert connection.at_end()
            return found.any_id()

    for user, octets in USERS.items():
        word = octets.decode()
        raw = [
            json.dumps(value, ensure_ascii=False).encode()
            for value in (
                {"username": user, "password": word},
                {"password": word, "username": user},
            )
        ]
        compact = [body.replace(b'": "', b'":"').replace(b'", "', b'","') for body in raw]
        escaped = json.dumps({"username": user, "password": word}, indent=2).encode()
        control = compact[0].replace(b"\\t", b"\\u0009")
        assert [told(body) for body in (*raw, *compact, escaped, control)] == [TRUE] * 6
        wrong = {"username": user, "password": word + "!"}
        assert told(json.dumps(wrong, separators=(",", ":")).encode()) == FALSE
    assert told(b'{"username":"nobody","password":"' + USERS["alice"] + b'"}') == FALSE
    assert told(b'{"username":"alice","password":""}') == FALSE


def test_json_in_an_outage_has_no_body_that_would_be_a_yes(daemon: HttpDaemon) -> None:
    """The module looks at the body alone."""
    body = json.dumps({"username": "alice", "password": USERS["alice"].decode()}).encode()
    found = ask(daemon.http_port, post(daemon, body, AWAY))
    assert found.headers.pop("Connection") == "close"
    assert found.any_id() == JSON_UNAVAILABLE


@pytest.mark.parametrize("of", ["nobody", "peer"])
def test_json_from_a_stranger_is_no_question(daemon: HttpDaemon, of: str) -> None:
    """Those who may ask /auth/basic for where they are may not ask this."""
    body = json.dumps({"username": "alice", "password": USERS["alice"].decode()}).encode()
    octets = post(daemon, body)
    credentials = daemon.credentials("custom")
    octets = octets.replace(credentials, basic(b"custom", b"wrong")) if of == "nobody" else octets
    if of == "peer":
        octets = octets.replace(b"authorization: " + credentials + b"\r\n", b"")
    with Connection(daemon.http_port) as connection:
        found = connection.ask(octets)
        assert found.body != b"true"
        turned_away(connection, found, "401 Unauthorized")


def test_each_client_has_its_own_deadline(daemon: HttpDaemon) -> None:
    """Who is in a hurry is told so, while another one's question still waits for its answer."""
    body = json.dumps({"username": f"{gate.WAITS}-old", "password": OLD.decode()}).encode()
    opener = json.dumps({"username": f"{gate.OPENS}-old", "password": OLD.decode()}).encode()
    with Connection(daemon.http_port) as patient:
        patient.send(post(daemon, body, DEMAND))
        hurried = ask(daemon.http_port, post(daemon, body, DEMAND, "hurried"))
        assert hurried.status == 503
        assert "reason=deadline_passed" in daemon.line(hurried.id)
        assert patient.is_silent()
        assert ask(daemon.http_port, post(daemon, opener, DEMAND)).body == b"true"
        assert patient.receive().body == b"true"
