"""How our module for Prosody is set up: what is refused at the start, and TLS to authbridge."""

import re
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .canary import secret
from .daemon import write_private
from .pki import Pki, make_pki
from .ports import free_port
from .prosody_bridge import Bridge
from .prosody_browsers import SUCCESS, Answer, BoshBrowser, WebSocketBrowser, begin, headers, plain
from .prosody_module import MODULES, ModuleProsody
from .xmpp import SESSION, Client

PASSWORD = secret("wonderland")
SECRET = secret("inline")
GOOD = "good.example"
INLINE = "inline.example"


@dataclass(frozen=True)
class Mistake:
    """Lines of a VirtualHost, and what the log says of them."""

    lines: str
    option: str
    words: str = ""


#: By name of the host. FOLDER is the module's.
MISTAKES = {
    "none": Mistake("", "authbridge_secret_file", "is needed"),
    "both": Mistake(
        f'authbridge_secret = "{SECRET.decode()}"\nauthbridge_secret_file = "FOLDER/empty"',
        "authbridge_secret_file",
    ),
    "gone": Mistake(
        'authbridge_secret_file = "FOLDER/gone"', "authbridge_secret_file", "not there"
    ),
    "folder": Mistake('authbridge_secret_file = "FOLDER"', "authbridge_secret_file", "no file"),
    "world": Mistake('authbridge_secret_file = "FOLDER/world"', "authbridge_secret_file", "others"),
    "empty": Mistake('authbridge_secret_file = "FOLDER/empty"', "authbridge_secret_file", "empty"),
    "lines": Mistake('authbridge_secret_file = "FOLDER/lines"', "authbridge_secret_file", "line"),
    "far": Mistake('authbridge_url = "http://192.0.2.1:9281/auth"', "authbridge_url", "clear text"),
    "near": Mistake('authbridge_url = "http://127.0.0.1.evil.example/auth"', "authbridge_url"),
    "userinfo": Mistake('authbridge_url = "http://a:b@127.0.0.1:9281/auth"', "authbridge_url"),
    "query": Mistake('authbridge_url = "http://127.0.0.1:9281/auth?a=b"', "authbridge_url"),
    "scheme": Mistake('authbridge_url = "127.0.0.1:9281/auth"', "authbridge_url"),
    "client": Mistake('authbridge_client = "a:b"', "authbridge_client"),
    "timeout": Mistake("authbridge_timeout = 0", "authbridge_timeout"),
    "hours": Mistake("authbridge_timeout = 3600", "authbridge_timeout"),
    "origins": Mistake("authbridge_cookie = true", "authbridge_origins", "needed"),
    "slash": Mistake(
        'authbridge_cookie = true\nauthbridge_origins = { "https://a.example/" }',
        "authbridge_origins",
    ),
    "null": Mistake(
        'authbridge_cookie = true\nauthbridge_origins = { "null" }', "authbridge_origins"
    ),
    "star": Mistake(
        'authbridge_cookie = true\nauthbridge_origins = { "https://*" }', "authbridge_origins"
    ),
}


def name(mistake: str) -> str:
    return f"{mistake}.mistakes.example"


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    hosts = [GOOD, INLINE, *(name(mistake) for mistake in MISTAKES)]
    return make_pki(workspace / "module-setup-tls", hosts)


@pytest.fixture(scope="module")
def bridge() -> Iterator[Bridge]:
    with Bridge() as running:
        yield running


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, bridge: Bridge) -> Iterator[ModuleProsody]:
    folder = workspace / "module-setup"
    inline = f'authbridge_secret = "{SECRET.decode()}"'
    hosts = {
        # Beside the configuration.
        GOOD: 'authbridge_secret_file = "authbridge-secret"',
        INLINE: f'{inline}\nauthbridge_client = "other.one"',
    }
    for mistake, found in MISTAKES.items():
        own = "" if found.option == "authbridge_secret_file" else f"{inline}\n"
        hosts[name(mistake)] = own + found.lines.replace("FOLDER", str(folder))
    server = ModuleProsody(folder, pki, hosts, f"{bridge.url}/", secrets_of_hosts=True)
    world, empty, lines = (folder / file for file in ("world", "empty", "lines"))
    for path, content in ((world, SECRET), (empty, b"\n"), (lines, SECRET + b"\n" + SECRET)):
        write_private(path, content)
    world.chmod(0o644)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_the_log_and_nobody_gets_in(
    prosody: ModuleProsody, pki: Pki, mistake: str
) -> None:
    found, host = MISTAKES[mistake], name(mistake)
    assert found.words in prosody.logged(f"{host}:auth_authbridge\terror\t{found.option}: ")
    with Client(prosody.port, host, pki.ca) as client:
        assert client.mechanisms == set()
        assert client.login(b"alice", PASSWORD) == "invalid-mechanism"


def test_a_secret_file_beside_the_configuration_and_one_within_it_are_right(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge
) -> None:
    for host in (GOOD, INLINE):
        with Client(prosody.port, host, pki.ca) as client:
            assert client.login(b"alice", PASSWORD) == SESSION
    assert {request.path for request in bridge.requests} == {"/auth/check_password"}


def test_no_secret_is_in_what_the_log_says_of_mistakes(prosody: ModuleProsody) -> None:
    assert SECRET not in prosody.log.read_bytes()


def test_a_new_secret_counts_from_the_next_load_of_the_module(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge
) -> None:
    fresh = secret("fresh")
    write_private(prosody.secret_file, fresh + b"\n")
    reload = f'require "core.modulemanager".reload("{GOOD}", "auth_authbridge")'
    assert prosody.run(f"return type({reload})") == "table"
    with Client(prosody.port, GOOD, pki.ca) as client:
        assert client.login(b"reloaded", PASSWORD) == SESSION
    expected = b64encode(b"prosody:" + fresh).decode()
    asked = bridge.asked("check_password", "reloaded")
    assert asked.headers["authorization"] == [f"Basic {expected}"]


def test_tokens_go_over_encrypted_connections_alone(
    workspace: Path, pki: Pki, bridge: Bridge
) -> None:
    hosts = {GOOD: "", INLINE: "allow_unencrypted_plain_auth = true"}
    server = ModuleProsody(
        workspace / "module-clear",
        pki,
        hosts,
        bridge.url,
        options="consider_bosh_secure = false\nc2s_require_encryption = false",
    )
    with _running(server):
        with BoshBrowser(server, GOOD, {}) as browser:
            assert browser.mechanisms == set()
            assert begin(browser, "OAUTHBEARER", b"n,,\1\1") == Answer("invalid-mechanism")
        with BoshBrowser(server, INLINE, {}) as browser:
            assert browser.mechanisms == {"PLAIN", "OAUTHBEARER"}


class _Yes(BaseHTTPRequestHandler):
    """Says yes to everybody, under TLS, as authbridge does: with the length, and the connection is
    kept. Of a body that ends with the connection Prosody may lose all."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield
    server.shutdown()
    thread.join()


@contextmanager
def _running(prosody: ModuleProsody) -> Iterator[None]:
    prosody.start()
    try:
        yield
    finally:
        prosody.stop()


@pytest.mark.parametrize(
    ("host", "trusted", "outcome"),
    [
        ("localhost", True, SESSION),
        ("localhost", False, "temporary-auth-failure"),
        # The certificate has the address, and Prosody knows none in it.
        ("127.0.0.1", True, "temporary-auth-failure"),
    ],
)
def test_the_certificate_is_verified(
    workspace: Path, pki: Pki, host: str, trusted: bool, outcome: str
) -> None:
    folder = workspace / f"module-tls-{host}-{trusted}"
    own = make_pki(folder / "tls", ["localhost"], ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    with ThreadingHTTPServer(("127.0.0.1", free_port()), _Yes) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://{host}:{server.server_address[1]}/auth"
        options = f'client_https_ssl = {{ cafile = "{own.ca}" }}' if trusted else ""
        prosody = ModuleProsody(folder / "prosody", pki, {GOOD: ""}, url, options=options)
        with _serving(server), _running(prosody), Client(prosody.port, GOOD, pki.ca) as client:
            assert client.login(b"alice", PASSWORD) == outcome


def _options(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text))


def test_the_manual_has_every_option_and_no_other() -> None:
    folder = MODULES / "mod_auth_authbridge"
    code = "".join(path.read_text() for path in folder.glob("*.lua"))
    manual = (folder / "README.md").read_text()
    read = _options(code, r'get_option_\w+\("(authbridge_\w+)"')
    assert read == _options(manual, r"(?m)^\| `(authbridge_\w+)` \|")
    assert _options(manual, r"\b(authbridge_[a-z_]+)\b") == read


def test_what_the_manual_shows_is_run(workspace: Path, pki: Pki, bridge: Bridge) -> None:
    folder = workspace / "module-manual"
    shown, cookies = re.findall(
        r"```lua\n(.*?)```", (MODULES / "mod_auth_authbridge" / "README.md").read_text(), re.DOTALL
    )
    _, host, lines = (shown + cookies).partition('VirtualHost "example.org"\n')
    assert host
    for here, there in (
        ("http://127.0.0.1:9281/auth", bridge.url),
        ("/etc/prosody/authbridge-secret", str(folder / "authbridge-secret")),
    ):
        assert here in lines
        lines = lines.replace(here, there)
    server = ModuleProsody(folder, pki, {GOOD: lines}, "http://127.0.0.1:1", secrets_of_hosts=True)
    page = headers(b"session=1", "https://www.example.org")
    with _running(server), WebSocketBrowser(server, GOOD, page) as browser:
        assert browser.mechanisms == {"PLAIN", "OAUTHBEARER", "EXTERNAL"}
        assert begin(browser, "PLAIN", plain("alice", PASSWORD)) == Answer(SUCCESS)
