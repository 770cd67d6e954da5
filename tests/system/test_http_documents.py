"""The recipes of docs/http.md, all of them in one daemon, serve logins as those programs ask."""

import http.client
import json
import re
import ssl
import stat
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .calls import BIN
from .nginx import Nginx
from .ports import free_port
from .prosody import Prosody
from .raw_http import Connection, basic
from .recipes import (
    DOMAINS,
    EXAMPLES,
    OURS,
    USERS,
    Recipes,
    blocks,
    example,
    read_yaml,
    running_recipes,
)
from .visitors import Visitors
from .xmpp import SESSION

REFUSED = "not-authorized"
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("language", EXAMPLES)
def test_every_example_is_known_here(language: str) -> None:
    """So that none is left out of the tests."""
    marks = EXAMPLES[language]
    assert {example(language, mark) for mark in marks} == set(blocks(language))
    assert len(blocks(language)) == len(marks)


@pytest.fixture(scope="module")
def recipes(workspace: Path) -> Iterator[Recipes]:
    """The daemon, running."""
    with running_recipes(workspace / "recipes") as started:
        yield started


def test_documented_tables_have_no_mistake(recipes: Recipes) -> None:
    """All of them in one file."""
    command = [str(BIN / "authbridge"), "check-config", str(recipes.daemon.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")


def test_documented_commands_make_the_documented_clients(workspace: Path) -> None:
    """Each table, but for the deadlines; mod_auth_http's is in operations.md."""
    (workspace / "made").mkdir()
    commands = example("sh", "client new").splitlines()
    made = []
    for command in commands:
        words = command.partition("#")[0].split()
        assert words[:3] == ["authbridge", "client", "new"]
        more = ["--json", "--folder", str(workspace / "made")]
        done = subprocess.run([str(BIN / "authbridge"), *words[1:], *more], capture_output=True)
        made.append(json.loads(done.stdout)["stanza"].replace(more[2], "/etc/authbridge/clients"))
    tables = tomllib.loads("\n".join(made))["clients"]
    assert tables.pop("prosody")["may"] == ["check_password", "user_exists"]
    shown = tomllib.loads("\n".join(example("toml", mark) for mark in OURS))["clients"]
    for table in shown.values():
        table.pop("deadline", None)
    assert tables == shown


@pytest.fixture(scope="module")
def prosody(workspace: Path, recipes: Recipes) -> Iterator[Prosody]:
    """One that has all recipes of Prosody, each for a VirtualHost of its own."""
    server = Prosody(workspace / "recipes-prosody", recipes.pki, [], "-", "-")
    configuration = server.folder / "prosody.cfg.lua"
    # What is global has to come before the first VirtualHost.
    marks = sorted(DOMAINS, key=lambda mark: "client_https" not in example("lua", mark))
    texts = (
        recipes.ours(example("lua", mark)).replace("example.org", domain)
        for mark, domain in ((mark, DOMAINS[mark]) for mark in marks)
    )
    configuration.write_text(configuration.read_text() + "\n".join(texts))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def visitors(recipes: Recipes) -> Iterator[Visitors]:
    """Whoever logs in; the daemon has its users again afterwards."""
    everybody = Visitors(recipes.pki.ca)
    yield everybody
    everybody.close()
    recipes.daemon.restore()
    recipes.give_users()


def reason(recipes: Recipes, jid: str) -> str:
    """Why the last login of somebody was answered so."""
    return recipes.daemon.logins(jid)[-1]["reason"]


@pytest.mark.parametrize("mark", DOMAINS)
def test_people_log_in_through_prosody(
    recipes: Recipes, prosody: Prosody, visitors: Visitors, mark: str
) -> None:
    """With colons, in UTF-8; not with another password, nor under a name that nobody has."""
    domain = DOMAINS[mark]
    for user, word in USERS.items():
        jid = f"{user}@{domain}"
        assert visitors.login(prosody, jid, word) == SESSION
        assert visitors.login(prosody, jid, word + b"!") == REFUSED
        assert reason(recipes, jid) == "password_mismatch"
    assert visitors.login(prosody, f"nobody@{domain}", USERS["alice"]) == REFUSED
    assert reason(recipes, f"nobody@{domain}") == "user_unknown"


@pytest.mark.parametrize("mark", DOMAINS)
def test_nobody_gets_in_through_prosody_in_an_outage(
    recipes: Recipes, prosody: Prosody, visitors: Visitors, mark: str
) -> None:
    """Of the users, and of authbridge; everybody does afterwards."""
    alice, word = f"alice@{DOMAINS[mark]}", USERS["alice"]
    recipes.daemon.hide_users(DOMAINS[mark])
    assert visitors.login(prosody, alice, word) == REFUSED
    assert recipes.daemon.logins(alice)[-1]["verdict"] == "unavailable"
    recipes.daemon.write_users(DOMAINS[mark], USERS)
    recipes.daemon.stop()
    assert visitors.login(prosody, alice, word) == REFUSED
    recipes.daemon.start()
    assert visitors.login(prosody, alice, word) == SESSION


def test_mongooseims_setting_leads_here(recipes: Recipes) -> None:
    """Its time-outs are longer than the deadline, and each than the one within it."""
    settings = tomllib.loads(recipes.ours(example("toml", "outgoing_pools")))
    auth, pool = settings["auth"], settings["outgoing_pools"]["http"]["auth"]
    assert auth["password"]["format"] == "plain"
    assert auth["sasl_mechanisms"] == ["plain"]
    connection, credentials = pool["connection"], auth["http"]["basic_auth"]
    url = connection["host"] + connection["path_prefix"]
    assert 8000 < connection["request_timeout"] < pool["call_timeout"]
    alice = USERS["alice"]
    assert recipes.check_password(url, credentials, "alice", alice) == (200, b"true")
    assert recipes.check_password(url, credentials, "alice", alice + b"!") == (200, b"false")
    assert recipes.check_password(url, "mongooseim:wrong", "alice", alice)[0] == 401


def test_ejabberds_setting_leads_here(recipes: Recipes) -> None:
    """ejabberd reads it, and keeps no passwords."""
    options = read_yaml(recipes, "auth_opts")
    assert options["auth_method"] == ["http"]
    assert options["auth_use_cache"] is False
    to = options["auth_opts"]
    url, alice = to["host"] + to["path_prefix"], USERS["alice"]
    assert recipes.check_password(url, to["basic_auth"], "alice", alice) == (200, b"true")
    assert recipes.check_password(url, to["basic_auth"], "alice", b"wrong") == (200, b"false")


def test_ejabberds_setting_for_oauth_leads_here(recipes: Recipes) -> None:
    """With the credentials as the header has them; and it keeps no answer."""
    options = read_yaml(recipes, "oauth_db_type")
    assert (options["oauth_db_type"], options["oauth_use_cache"]) == ("rest", False)
    assert "disable_sasl_mechanisms" not in options
    name, _, shown = options["ext_api_headers"].partition(":")
    assert (name, shown) == ("Authorization", basic(b"ejabberd-oauth", b"the-secret").decode())
    ours = basic(b"ejabberd-oauth", recipes.secrets["ejabberd-oauth"]).decode()
    address = urlsplit(options["ext_api_url"] + options.get("ext_api_path_oauth", "/oauth"))
    for credentials, expected in ((ours, (404, b"{}")), (shown, (401, None))):
        connection = http.client.HTTPConnection(address.netloc, timeout=90)
        headers = {"Authorization": credentials, "Content-Type": "application/json"}
        connection.request("POST", f"{address.path}/lookup", b'{"token": "nobodys"}', headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert (answer.status, body if expected[1] else None) == expected


def test_traefiks_setting_leads_here(recipes: Recipes) -> None:
    """With nothing but what it hands over."""
    (middleware,) = read_yaml(recipes, "forwardAuth")["http"]["middlewares"].values()
    forward = middleware["forwardAuth"]
    assert forward["authRequestHeaders"] == ["Authorization"]
    url = forward["address"].replace("example.org", DOMAINS["http_async"])
    assert recipes.ask(url, basic(b"alice", USERS["alice"])) == (200, b"true")
    assert recipes.ask(url, basic(b"alice", b"wrong")) == (401, b"false")


#: A question that is refused with it, below and after its first line.
REFUSALS = {
    400: ("GET /auth/check_password?user=alice", "{credentials}"),
    401: ("GET /auth/user_exists?user=alice&server={server}", "Authorization: Basic \r\n"),
    403: ("GET /auth/user_exists?user=alice&server=example.com", "{credentials}"),
    404: ("GET /auth/nothing?user=alice&server={server}", "{credentials}"),
    405: ("GET /auth/json?server={server}", "{credentials}"),
    413: ("POST /auth/user_exists", "{credentials}Content-Length: 65537\r\n"),
    414: ("GET /auth/user_exists?user=" + "a" * 16384, "{credentials}"),
    417: ("POST /auth/user_exists", "{credentials}Content-Length: 9\r\nExpect: more\r\n"),
    421: ("GET /auth/user_exists?user=alice&server={server}", "{credentials}"),
    431: ("GET /auth/user_exists?user=alice&server={server}", "X-Long: " + "a" * 16384 + "\r\n"),
    501: ("GET /auth/get_password?user=alice&server={server}", "{credentials}"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_documented_refusal_ends_the_connection(recipes: Recipes, status: int) -> None:
    """Its status is the one in the table."""
    host = "www.example.org" if status == 421 else f"127.0.0.1:{recipes.daemon.http_port}"
    line, headers = REFUSALS[status]
    secret = basic(b"prosody", recipes.daemon.client_secret).decode()
    text = f"{line} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
    text = text.replace("{server}", DOMAINS["http_async"])
    text = text.replace("{credentials}", f"Authorization: {secret}\r\n")
    with Connection(recipes.daemon.http_port) as connection:
        answer = connection.ask(text.encode())
        assert (answer.status, answer.body == b"true") == (status, False)
        assert connection.at_end()


def test_every_documented_refusal_is_known_here() -> None:
    """But for the one that takes a slow request."""
    table = (ROOT / "docs" / "http.md").read_text().partition("## What is refused")[2]
    documented = re.findall(r"(?m)^\| ((?:\d+(?:, )?)+) \|", table)
    statuses = {int(status) for row in documented for status in row.split(", ")}
    assert statuses - {408} == set(REFUSALS)


def test_documented_listener_is_called_by_its_name_alone(recipes: Recipes) -> None:
    """By the one in [http] hosts, and by those that are always its own."""
    credentials = f"prosody:{recipes.daemon.client_secret.decode()}"
    url = f"https://localhost:{recipes.https_port}/auth/"
    for host, status in (
        ("auth.example.org:9443", 200),
        ("AUTH.example.org", 200),
        (None, 200),
        ("www.example.org", 421),
    ):
        asked = recipes.check_password(url, credentials, "alice", USERS["alice"], host)
        assert asked[0] == status


def test_keys_are_the_daemons_and_nobody_elses(recipes: Recipes) -> None:
    """As the documented hook leaves them, which restarts for its own certificate alone."""
    folder = recipes.folder / "tls"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"key.pem": 0o640, "cert.pem": 0o640}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert {path.group() for path in (folder, *folder.iterdir())} == {"daemon"}
    assert recipes.renew("www.example.org").returncode == 0
    assert (recipes.folder / "restarts").read_text() == "restart authbridge\n"


def test_documented_drop_in_is_one_that_systemd_understands(workspace: Path) -> None:
    """Beside the unit."""
    unit = workspace / "dropped-in" / "authbridge.service"
    drop_in = workspace / "dropped-in" / "authbridge.service.d" / "nginx.conf"
    drop_in.parent.mkdir(parents=True)
    shown = (ROOT / "conf" / "authbridge.service").read_text()
    unit.write_text(shown.replace("/opt/authbridge/bin", str(BIN)))
    drop_in.write_text(example("ini", "ExecStartPre"))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_unix_socket_is_nginxs_alone(recipes: Recipes) -> None:
    """The documented call, by nginx's user and by another."""
    served = recipes.shell("www-data")
    assert served.stdout.startswith("HTTP/1.1 401 "), served.stderr
    assert served.stdout.endswith("\n\nfalse")
    text = recipes.ours(example("sh", "www-data")).replace("www-data", "nobody")
    refused = subprocess.run(["sh", "-c", text], capture_output=True, timeout=90)
    assert (refused.returncode, refused.stdout) == (7, b"")


@pytest.fixture
def nginx(workspace: Path, recipes: Recipes) -> Iterator[Nginx]:
    """conf/nginx.conf with the documented upstream, and with workers that are nobody but
    www-data."""
    port = free_port()
    text = re.sub(
        r"(?ms)^upstream authbridge \{.*?^\}\n",
        recipes.ours(example("nginx", "server unix")),
        (ROOT / "conf" / "nginx.conf").read_text(),
    )
    (recipes.run / "index.html").write_text("for those who may")
    for shown, ours in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/www.example.org/chain.pem": str(recipes.pki.chain),
        "/etc/ssl/www.example.org/key.pem": str(recipes.pki.key),
        "/var/www/html": str(recipes.run),
        "server=example.org": f"server={DOMAINS['http_async']}",
    }.items():
        assert shown in text
        text = text.replace(shown, ours)
    server = Nginx(workspace / "recipes-nginx", [port], text, user="www-data")
    server.start()
    yield server
    server.stop()


def test_nginx_asks_by_the_unix_socket(recipes: Recipes, nginx: Nginx) -> None:
    """As its own user; who has the right password sees the page."""
    context = ssl.create_default_context(cafile=str(recipes.pki.ca))
    for password, status in ((USERS["alice"], 200), (b"wrong", 401), (USERS["alice"], 200)):
        connection = http.client.HTTPSConnection("localhost", nginx.ports[0], context=context)
        connection.request(
            "GET", "/", headers={"Authorization": basic(b"alice", password).decode()}
        )
        assert connection.getresponse().status == status
        connection.close()
