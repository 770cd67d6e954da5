"""What docs/web-chat.md shows, run: its sites, tables, commands, proxy, servers and pages."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc import jwt

from authbridge.frontends import web_answers
from authbridge.model import Reason
from tests.recipes.document import write

from .calls import BIN, YES, form_of
from .canary import watched
from .ejabberd import Ejabberd
from .pki import Pki
from .ports import accepts, free_port
from .raw_http import basic
from .visitors import Visitors
from .waiting import wait_until
from .web_chat_examples import (
    COOKIES,
    DOCUMENT,
    DOMAIN,
    ELSEWHERE,
    EXAMPLES,
    INTRANET,
    PACKAGES,
    WWW,
    blocks,
    example,
)
from .web_chat_pages import VERSIONS, WAYS, script
from .web_chat_recipes import Answer, WebChat, running_web_chat
from .web_chat_servers import host_of
from .web_site import install_packages


def text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def test_every_example_is_known_here() -> None:
    """So that none is left out of the tests; the drawing is in no language."""
    assert set(re.findall(r"^```(\w*)\n.*?^```$", text(), re.DOTALL | re.MULTILINE)) == {
        "",
        *EXAMPLES,
    }
    for language, marks in EXAMPLES.items():
        assert {example(language, mark) for mark in marks} == set(blocks(language))
        assert len(blocks(language)) == len(marks)


def test_every_reason_of_a_page_is_documented() -> None:
    """With the status that it has."""
    rows = re.findall(
        r"^\| ([\d, ]*) ?\| (`.*?) \|", text().partition("## Answers")[2], re.MULTILINE
    )
    statuses: dict[str, str] = {}
    status = ""
    for numbers, reasons in rows:
        status = numbers.strip() or status
        statuses |= dict.fromkeys(re.findall(r"`(\w+)`", reasons), status)
    of_pages = ("origin_", "session_", "site_", "bosh_", "rate_")
    answered = {
        reason.value
        for reason in Reason
        if reason.value.startswith(of_pages)
        and reason not in (Reason.SESSION_VALID, Reason.SESSION_USER_WRONG)
    }
    assert answered <= set(statuses)
    for name, documented in statuses.items():
        if documented in ("401", "403", "429"):
            assert web_answers.refused(Reason(name), None).status == int(documented)


# The sites.


@pytest.fixture(scope="module")
def chat(workspace: Path) -> Iterator[WebChat]:
    """All of it, running."""
    with running_web_chat(workspace / "web-chat", ("alice", "bob")) as started:
        yield started


def logs_in(chat: WebChat, found: Answer) -> bool:
    """Whether the XMPP server is told that this is the user's password."""
    jid, token = found.body["jid"], found.body["password"].encode()
    client = "prosody" if jid.endswith(f"@{DOMAIN}") else "elsewhere"
    credentials = basic(client.encode(), chat.daemon.client_secret)
    return check(chat.daemon.http_port, credentials, jid, token) == YES


def check(port: int, credentials: bytes, jid: str, password: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        headers = {"Authorization": credentials.decode()}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST", "/auth/check_password", form_of(jid, password), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_documented_tables_have_no_mistake(chat: WebChat) -> None:
    """All of them in one file."""
    command = [str(BIN / "authbridge"), "check-config", str(chat.daemon.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("site", COOKIES)
def test_site_tells_who_its_user_is(chat: WebChat, site: str) -> None:
    """And who is nobody; the user gets a token that is his, and good once."""
    domain = DOMAIN if site == "www" else ELSEWHERE
    found = chat.ask(host_of(site), chat.cookie(site, "alice"))
    assert (found.status, found.body["jid"]) == (200, f"alice@{domain}")
    assert logs_in(chat, found)
    assert not logs_in(chat, found)
    made_up = {"Cookie": f"{COOKIES[site]}=nobodys"}
    assert chat.ask(host_of(site), made_up).reason == (401, "session_unknown")
    assert chat.ask(host_of(site), {}).reason == (401, "session_missing")


def test_site_that_is_down_is_an_outage(chat: WebChat) -> None:
    """And not the end of anybody's session."""
    cookie = chat.cookie("php", "bob")
    chat.sites["php"].stop()
    try:
        assert chat.ask(host_of("php"), cookie).reason == (503, "site_unreachable")
    finally:
        chat.sites["php"].start()
    assert chat.ask(host_of("php"), cookie).status == 200


def test_proxy_hands_on_what_authbridge_judges_by(chat: WebChat) -> None:
    """Host, cookie, origin; and gives back what it is told."""
    cookie = chat.cookie("www", "alice")
    found = chat.visit(WWW, cookie)
    assert found.body["jid"] == f"alice@{DOMAIN}"
    assert found.headers["Cache-Control"] == "no-store"
    assert logs_in(chat, found)
    assert chat.visit(WWW, {}).reason == (401, "session_missing")
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert chat.visit(WWW, cookie | foreign).reason == (403, "origin_foreign")
    assert chat.ask("evil.example", cookie).reason == (421, "host_foreign")


def test_proxy_says_who_the_user_of_a_header_is(chat: WebChat) -> None:
    """Whatever the browser says."""
    said = {"X-Remote-User": "mallory", "X-Authbridge-Secret": "made-up"}
    cookie = {"Cookie": "intranet=bob"}
    for headers in (cookie, cookie | said, cookie | {"X_Remote_User": "mallory"}):
        found = chat.visit(INTRANET, headers)
        assert found.body["jid"] == f"bob@{DOMAIN}"
        assert logs_in(chat, found)
    assert chat.ask(INTRANET, said).reason == (403, "session_forged")
    assert chat.ask(INTRANET, {}).reason == (401, "session_missing")


def test_signed_cookie_is_whose_it_says(chat: WebChat) -> None:
    """With the documented header and claims; and a JSON Web Token of another type is none."""
    table = tomllib.loads(example("toml", "sites.forum"))["sites"]["forum"]["session"]
    (shown,) = re.findall(r"^typ = .*# (\{.*\})$", example("toml", "sites.forum"), re.MULTILINE)
    now = int(time.time())
    claims = {
        "iss": table["issuer"],
        "aud": table["audience"],
        "sub": "alice",
        "iat": now,
        "exp": now + 15 * 60,
    }
    assert set(re.findall(r"`(\w+)`", text().partition("The claims are ")[2].split(";")[0])) == {
        *claims
    }

    def cookie(**header: str) -> dict[str, str]:
        token = jwt.encode(json.loads(shown) | header, claims, chat.daemon.forum_key)
        return {"Cookie": f"{table['cookie']}={watched(token.encode()).decode()}"}

    found = chat.ask(host_of("forum"), cookie())
    assert found.body["jid"] == f"alice@{ELSEWHERE}"
    assert logs_in(chat, found)
    no = chat.ask(host_of("forum"), cookie(typ="JWT")).reason
    assert no == (401, "token_type_wrong")


# The commands.


def test_documented_commands_make_the_clients(workspace: Path) -> None:
    """With the rights that the ways need."""
    made: dict[str, dict[str, list[str]]] = {}
    for command in example("sh", "client new").splitlines():
        words = command.split()
        more = ["--json", "--folder", str(workspace / "web-chat-clients")]
        (workspace / "web-chat-clients").mkdir(exist_ok=True)
        done = subprocess.run([str(BIN / "authbridge"), *words[1:], *more], capture_output=True)
        made |= tomllib.loads(json.loads(done.stdout)["stanza"])["clients"]
    assert made["prosody"]["may"] == ["check_password", "user_exists", "cookie"]
    assert made["website"]["may"] == ["prebind"]


def test_documented_calls_try_it(chat: WebChat) -> None:
    """As they are answered there."""
    probe, credentials, prebind = example("sh", "check-config").splitlines()
    done = chat.sh(probe)
    assert (done.returncode, done.stderr) == (0, "")
    done = chat.sh(credentials)
    head, _, body = done.stdout.partition("\n\n")
    assert head.split()[1] == "401"
    assert json.loads(body)["reason"] == "session_missing"
    found = json.loads(chat.sh(prebind).stdout)
    shown = json.loads(example("json", '"sid"'))
    assert found.keys() == shown.keys()
    for name in ("jid", "rid"):
        assert re.sub(r"[0-9a-f]{16}$|\d+", "…", str(found[name])) == re.sub(
            r"[0-9a-f]{16}$|\d+", "…", str(shown[name])
        )
    assert found["sid"] not in chat.daemon.log.read_text()
    assert chat.prosody.bound("alice")
    kick = example("sh", "prosodyctl").splitlines()[0].split()
    assert kick[:2] == ["prosodyctl", "shell"]
    assert "1 sessions closed" in chat.prosody.shell(*kick[2:])
    assert not chat.prosody.bound("alice")


def test_documented_command_ends_a_session_of_ejabberd(
    ejabberd: Ejabberd, visitors: Visitors
) -> None:
    """By ejabberd's API, whose commands are those of ejabberdctl."""
    command, verb, user, host = example("sh", "prosodyctl").splitlines()[1].split()
    assert command == "ejabberdctl"
    visitors.enter(ejabberd, f"{user}@{host}")
    assert ejabberd.api(verb, user=user, host=host) == (200, '{"num_resources":1}')


def test_ejabberd_serves_browsers_as_documented(workspace: Path, pki: Pki) -> None:
    """By the paths that the proxy has."""
    listen, modules = re.split(r"(?m)^modules:\n", example("yaml", "mod_bosh"))
    modules, rest = modules.split("\n", 1)
    assert rest == "auth_use_cache: false\n"
    port = free_port()
    server = Ejabberd(
        workspace / "web-ejabberd", pki, [DOMAIN], "/bin/false", modules=[modules.strip()]
    )
    path = server.folder / "ejabberd.yml"
    listen = listen.replace("port: 5280", f"port: {port}")
    path.write_text(path.read_text().replace("listen:\n", listen))
    server.start()
    try:
        wait_until(lambda: accepts(port), "ejabberd speaks HTTP")
        for name, status in (("/http-bind", 200), ("/xmpp-websocket", 200), ("/other", 404)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            connection.request("GET", name)
            assert connection.getresponse().status == status, name
            connection.close()
    finally:
        server.stop()


# What stands in the pages; they are tried in test_web_chat_documented_pages.py.


@pytest.mark.parametrize("version", VERSIONS)
def test_converse_has_the_documented_settings(version: str) -> None:
    """Under these names."""
    install_packages()
    source = (PACKAGES / f"converse{version}" / "dist" / "converse.min.js").read_text()
    shown = {
        name
        for way in WAYS
        if way != "strophe"
        for name in re.findall(r"\b([a-z0-9_]+): (?!\[)", script(way).partition("initialize({")[2])
    }
    table = text().partition("| setting | why |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) - {"mechanisms"}
    also = {"persistent_store", "clear_cache_on_logout", "allow_user_trust_override"}
    for name in shown | named | also:
        assert re.search(rf"\b{name}\b", source), name
    assert "noResumeableBOSHSession" in source
    assert "beforeFetchLoginCredentials" in source


@pytest.mark.parametrize(
    ("mark", "given", "found"),
    [
        ("withCredentials", "null, {}", '{"withCredentials":true}'),
        ("will-reconnect", "", '"reset"'),
    ],
)
def test_documented_hook_does_what_is_said(
    workspace: Path, mark: str, given: str, found: str
) -> None:
    """With no Converse, but what it calls."""
    program = write(
        workspace / "hook.js",
        "const proto = { _reset: () => 'reset' };\n"
        "let hook;\n"
        "const api = { listen: { on: (name, found) => { hook = found; } },\n"
        "  connection: { get: () => ({ _proto: proto }) } };\n"
        f"{example('js', mark)}\n"
        f"process.stdout.write(JSON.stringify(hook({given})));\n",
        {},
    )
    done = subprocess.run(["node", str(program)], capture_output=True, text=True, timeout=90)
    assert (done.stdout, done.stderr) == (found, "")
