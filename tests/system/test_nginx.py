"""conf/nginx.conf in a real nginx: who gets to see the site, and what is seen in an outage."""

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .canary import secret
from .http_daemon import HERE, USERS, HttpDaemon
from .nginx import Nginx
from .pki import Pki, make_pki
from .ports import free_port
from .raw_http import basic

CONF = Path(__file__).parent.parent.parent / "conf" / "nginx.conf"
PAGE = b"<p>for those who may</p>\n"
CHALLENGE = 'Basic realm="authbridge", charset="UTF-8"'
ALICE = USERS["alice"]

#: The site as it is shown, and with something else in the place of one of its lines.
SITES: Mapping[str, tuple[str, str]] = {
    "shown": ("", ""),
    "plain": ("error_page 500 = @unavailable;", ""),
    "stranger": ("internal;", "internal; proxy_bind 127.0.0.2;"),
    "nameless": ("proxy_set_header Host localhost;", ""),
}


@dataclass
class Application:
    """What is behind the site: it takes in what is posted to it."""

    port: int = 0
    #: The headers and the body of each.
    taken: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    """It, running."""
    found = Application()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.taken.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        found.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Seen:
    """What a browser gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Web:
    """The sites, before a daemon."""

    daemon: HttpDaemon
    nginx: Nginx
    ports: Mapping[str, int]
    pki: Pki

    def browse(
        self,
        credentials: tuple[str, bytes] | None = None,
        site: str = "shown",
        path: str = "/",
        body: bytes | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Seen:
        """Ask for a page, or post something; `more` are headers."""
        headers = dict(more or {})
        if credentials is not None:
            headers["Authorization"] = basic(credentials[0].encode(), credentials[1]).decode()
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.ports[site], timeout=90, context=context
        )
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            return Seen(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()

    def connections(self) -> set[int]:
        """The ports from which somebody is connected to the daemon."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        here = f"0100007F:{self.daemon.http_port:04X}"
        return {int(one[1][-4:], 16) for one in fields if one[2] == here and one[3] == "01"}


@pytest.fixture(scope="module")
def shared_web(workspace: Path, application: Application) -> Iterator[Web]:
    """Tests take `web`."""
    folder = workspace / "web"
    pki = make_pki(folder / "tls", ["www.example.org"], ["127.0.0.1"])
    (folder / "html").mkdir()
    (folder / "html" / "index.html").write_bytes(PAGE)
    daemon = HttpDaemon(folder / "daemon")
    ports = {name: free_port() for name in SITES}
    text = "".join(
        site(name, port, daemon, pki, application, folder / "html") for name, port in ports.items()
    )
    nginx = Nginx(folder / "nginx", list(ports.values()), text)
    daemon.start()
    nginx.start()
    yield Web(daemon, nginx, ports, pki)
    nginx.stop()
    daemon.stop()


def site(
    name: str, port: int, daemon: HttpDaemon, pki: Pki, application: Application, html: Path
) -> str:
    """conf/nginx.conf with ports, paths and the upstream's name made ours."""
    text = CONF.read_text()
    there = {
        "127.0.0.1:9281": f"127.0.0.1:{daemon.http_port}",
        "127.0.0.1:8080": f"127.0.0.1:{application.port}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/www.example.org/chain.pem": str(pki.chain),
        "/etc/ssl/www.example.org/key.pem": str(pki.key),
        "/var/www/html": str(html),
        "upstream authbridge": f"upstream {name}",
        "http://authbridge/": f"http://{name}/",
    }
    for shown, ours in there.items():
        assert shown in text
        text = text.replace(shown, ours)
    line, instead = SITES[name]
    assert line in text
    return text.replace(line, instead) if line else text


@pytest.fixture
def web(shared_web: Web) -> Iterator[Web]:
    """The sites; the daemon is started again afterwards if a test has ended it."""
    yield shared_web
    shared_web.daemon.restore()
    shared_web.daemon.write_users(HERE, USERS)


@pytest.mark.parametrize("name", USERS)
def test_right_password_gets_the_page(web: Web, name: str) -> None:
    """Plain, with colons, in UTF-8."""
    seen = web.browse((name, USERS[name]))
    assert (seen.status, seen.body) == (200, PAGE)


@pytest.mark.parametrize("site", ["shown", "plain"])
@pytest.mark.parametrize(
    "credentials",
    [None, ("alice", secret("wrong")), ("nobody", ALICE), ("alice", b"")],
    ids=["none", "wrong", "unknown", "empty"],
)
def test_who_has_no_right_password_is_asked_for_it(
    web: Web, site: str, credentials: tuple[str, bytes] | None
) -> None:
    """The browser gets authbridge's challenge, and nothing of the page."""
    seen = web.browse(credentials, site)
    assert (seen.status, seen.headers["WWW-Authenticate"]) == (401, CHALLENGE)
    assert PAGE not in seen.body


def test_question_to_authbridge_is_nobody_elses(web: Web) -> None:
    """A browser that asks for it gets nothing, whoever is behind it."""
    assert web.browse(("alice", ALICE), path="/authbridge").status == 404


def test_long_headers_are_kept_from_authbridge(web: Web) -> None:
    """It would refuse them (431)."""
    headers = dict.fromkeys(("Cookie", "Other", "Third"), "long" * 1700)
    assert web.browse(("alice", ALICE), more=headers).status == 200


def test_connections_to_authbridge_are_kept(web: Web) -> None:
    """Whatever it answered on them."""
    right, wrong = ("alice", ALICE), ("alice", secret("wrong"))
    assert web.browse(right).status == 200
    before = web.connections()
    assert before
    for _ in range(10):
        assert [web.browse(who).status for who in (right, wrong, None)] == [200, 401, 401]
    web.daemon.hide_users(HERE)
    assert web.browse(right).status == 503
    web.daemon.write_users(HERE, USERS)
    assert web.browse(right).status == 200
    assert web.connections() <= before


def test_outage_of_the_users_is_no_wrong_password(web: Web) -> None:
    """503 with conf/nginx.conf; without its error_page nginx calls it an error of its own."""
    web.daemon.hide_users(HERE)
    seen = web.browse(("alice", ALICE))
    assert (seen.status, seen.headers["Retry-After"]) == (503, "5")
    assert PAGE not in seen.body
    seen = web.browse(("alice", ALICE), "plain")
    assert (seen.status, PAGE in seen.body) == (500, False)
    assert "auth request unexpected status: 503" in web.nginx.error_log.read_text()


def test_authbridge_that_is_away_lets_nobody_in(web: Web) -> None:
    """The same to a browser; once it is back nothing has to be done."""
    web.daemon.stop()
    assert web.browse(("alice", ALICE)).status == 503
    assert web.browse(None).status == 503
    assert web.browse(("alice", ALICE), "plain").status == 500
    web.daemon.start()
    assert web.browse(("alice", ALICE)).status == 200
    assert web.browse(("alice", ALICE), "plain").status == 200


@pytest.mark.parametrize(
    ("site", "status", "reason"),
    [("stranger", 404, "caller_not_a_peer"), ("nameless", 421, "host_foreign")],
)
def test_mistake_in_the_set_up_lets_nobody_in(
    web: Web, site: str, status: int, reason: str
) -> None:
    """A caller who is no peer, and nginx's own name for its upstream: both logs have the reason."""
    asked = web.daemon.log.read_text().count(f"reason={reason}")
    assert web.browse(("alice", ALICE), site).status == 503
    assert f"auth request unexpected status: {status}" in web.nginx.error_log.read_text()
    web.daemon.logins()
    assert web.daemon.log.read_text().count(f"reason={reason}") == asked + 1


def test_large_body_goes_to_the_application_and_not_to_authbridge(
    web: Web, application: Application
) -> None:
    """Nor does the password go to the application, nor the body of who has no right one."""
    body = b"0123456789abcdef" * 500_000
    assert web.browse(("alice", secret("wrong")), path="/app/", body=body).status == 401
    assert application.taken == []
    assert web.browse(("alice", ALICE), path="/app/", body=body).status == 204
    ((headers, taken),) = application.taken
    assert taken == body
    assert "Authorization" not in headers
    assert headers["X-Remote-User"] == "alice"
    assert web.browse(("alice", ALICE)).status == 200
