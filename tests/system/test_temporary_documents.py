"""What docs/tokens.md and docs/http.md show of temporary tokens, run."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from authbridge.frontends import http_tokens, openapi
from tests.recipes.document import ROOT, blocks, example, tables

from .calls import BIN
from .canary import secret, watched
from .daemon import write_private
from .documented import ALICE, Documented, issued, normal
from .documented import blocks as blocks_of

MEMBER = "member-1@example.org"
HTTP = ROOT / "docs" / "http.md"
SITE = example("toml", 'exists = "seen"')


def lines_of(bridge: Documented) -> list[str]:
    """Those of logins and tokens, which are written a moment after the answer."""
    bridge.logins()
    return re.findall(r"(?m)^\S+ (?:login id=.*jid=\S+@|token ).*$", bridge.log.read_text())


@pytest.fixture(scope="module")
def bridge(workspace: Path) -> Iterator[Documented]:
    """With the first configuration."""
    started = Documented(workspace / "temporary-site", SITE)
    started.start()
    yield started
    started.stop()


def test_documented_command_makes_the_documented_client(bridge: Documented) -> None:
    made = re.findall(r"^\[clients.*?(?:\n\n|\Z)", bridge.made.stdout, re.MULTILINE | re.DOTALL)
    stanza = made[0].replace(str(bridge.folder), "/etc/authbridge")
    assert tomllib.loads(stanza)["clients"] == tomllib.loads(SITE)["clients"]


def test_documented_call_is_answered_as_shown(bridge: Documented) -> None:
    done = bridge.sh(example("sh", "/tokens\n"))
    watched(json.loads(done.stdout)["password"].encode())
    assert normal(done.stdout + "\n") == normal(example("json", '"password"'))
    assert json.loads(done.stdout)["jid"] == ALICE


def test_token_is_good_once_and_the_log_says_so_as_shown(bridge: Documented) -> None:
    token = issued(bridge)["password"]
    assert not bridge.logs_in("bob@example.org", token)  # burns nothing
    assert bridge.logs_in(ALICE, token)
    assert not bridge.logs_in(ALICE, token)
    *_, first, _bobs, second, third = lines_of(bridge)
    shown = example("text", "signer=temporary")
    assert normal(f"{first}\n{second}\n{third}\n") == normal(shown)


@pytest.mark.parametrize(
    "made", [Documented.in_python, Documented.in_php, Documented.in_javascript]
)
def test_recipes_token_is_accepted_and_there_is_none_without_a_secret(
    bridge: Documented, made: Callable[[Documented, str], str]
) -> None:
    token = made(bridge, MEMBER)
    watched(token.encode())
    assert bridge.logs_in(MEMBER, token)
    path = bridge.folder / "www" / "authbridge-secret"
    right = path.read_bytes()
    try:
        path.write_bytes(secret("not-the-secret"))
        assert made(bridge, MEMBER) == ""
    finally:
        path.write_bytes(right)


def test_documented_calls_list_and_revoke(bridge: Documented) -> None:
    listing, one, everything = bridge.lines("-X DELETE")
    bridge.curl(everything)  # of other tests: none of them may end in the midst of this one
    first, second = issued(bridge), issued(bridge)
    ids = {entry["id"] for entry in bridge.curl(listing)["tokens"]}  # type: ignore[attr-defined]
    assert {first["id"], second["id"]} == ids
    shown = re.findall(r"\b[0-9a-f]{32}\b", one)
    assert bridge.curl(one, **{shown[0]: first["id"]}) == {}
    assert not bridge.logs_in(ALICE, first["password"])
    assert bridge.curl(everything) == {"revoked": len(ids) - 1}
    assert not bridge.logs_in(ALICE, second["password"])
    assert bridge.curl(listing)["tokens"] == []


def test_documented_commands_issue_list_and_revoke(bridge: Documented) -> None:
    issue, listing, revoke, of_user, by_token = bridge.lines("--temporary")
    token = watched(bridge.sh(issue).stdout.strip().encode()).decode()
    (row,) = [one for one in bridge.sh(listing).stdout.splitlines() if "asked for by phone" in one]
    shown = re.findall(r"\b[0-9a-f]{32}\b", revoke)
    assert bridge.sh(revoke, **{shown[0]: row.split()[0]}).returncode == 0
    assert not bridge.logs_in(ALICE, token)
    assert issued(bridge)["id"] in bridge.sh(listing).stdout
    assert bridge.sh(of_user).returncode == 0
    found = issued(bridge)["password"]
    write_private(bridge.folder / "found-in-a-mail", found.encode() + b"\n")
    assert bridge.sh(by_token).returncode == 0
    assert not bridge.logs_in(ALICE, found)


def test_documented_problem_is_what_is_answered(bridge: Documented) -> None:
    (shown,) = blocks_of(HTTP, "json")
    call = example("sh", "/tokens\n").replace('org"}', 'org", "ttl": 90}')
    assert bridge.curl(call) == json.loads(shown)


def test_every_path_for_tokens_is_documented() -> None:
    """With the verb that it needs, and what RFC 9110 would ask of the others."""
    text = HTTP.read_text()
    for path, found in http_tokens.PATHS.items():
        for method in found.methods:
            assert re.search(
                rf"\| `{method.decode()} {path.decode()}\b.*\| `{found.verb}` \|", text
            )
    assert "`DELETE /tokens/ID`" in text
    assert f"`{openapi.PATH.decode()}`" in text


# The same website with more rights, and an issuer.


@pytest.fixture(scope="module")
def richer(workspace: Path) -> Iterator[Documented]:
    """The website may ask for device passwords, and look tokens up."""
    started = Documented(workspace / "device-site")
    key = started.sh("authbridge key new www --private www/chat-key.pem")
    assert key.returncode == 0, key.stderr
    client = example("toml", "180d").replace('["tokens"]', '["tokens", "introspect", "revoke"]')
    client = client.replace('users = ["member-*"]', 'users = ["member-*", "alice"]')
    site = SITE.replace('["temporary"]', '["temporary", "jwt"]')
    started.add(site, client, example("toml", "single_use"))
    started.start()
    yield started
    started.stop()


def test_devices_page_makes_lists_and_removes_passwords(
    richer: Documented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bridge", richer.module("def temporary_token"))
    app = Flask(__name__)
    app.secret_key = secret("of-the-tests")
    app.register_blueprint(richer.module("devices = Blueprint").devices)

    def visitor(name: str):  # type: ignore[no-untyped-def]
        client = app.test_client()
        with client.session_transaction() as session:
            session["user"] = name
        return client

    owner, other = visitor("member-1"), visitor("member-2")
    assert app.test_client().get("/devices").status_code == 403
    assert owner.get("/devices").get_json() == []
    made = owner.post("/devices", data={"device": "Phone"})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    word = watched(made.get_json()["password"].encode()).decode()
    assert richer.logs_in(MEMBER, word)
    assert richer.logs_in(MEMBER, word)
    issued(richer, MEMBER)  # of the chat's page: not listed
    (listed,) = owner.get("/devices").get_json()
    assert (listed["device"], listed["uses_left"]) == ("Phone", "any")
    assert listed["last_used_at"] >= listed["issued_at"]
    remove = f"/devices/{listed['id']}/remove"
    assert other.post(remove).status_code == 404
    assert richer.logs_in(MEMBER, word)
    assert owner.post(remove).get_json() == {"removed": listed["id"]}
    assert not richer.logs_in(MEMBER, word)


def test_documented_calls_look_up_and_revoke_a_token(richer: Documented) -> None:
    introspect, revoke = richer.lines("/introspect")
    token = issued(richer)["password"]
    write_private(richer.folder / "token", token.encode())
    told = richer.curl(introspect)
    assert normal(json.dumps(told) + "\n") == normal(example("json", '"active"'))
    assert richer.curl(revoke) == {}
    assert richer.curl(introspect) == {"active": False}
    assert not richer.logs_in(ALICE, token)


def test_signed_tokens_are_good_once_and_revoked_as_documented(richer: Documented) -> None:
    sign = (
        f"{BIN}/authbridge token issue {ALICE} --issuer https://www.example.org --key "
        f"www/chat-key.pem --config {richer.configuration} --ttl 2m --json"
    )
    one, two, three = (json.loads(richer.sh(sign).stdout) for _ in range(3))
    for told in (one, two, three):
        watched(told["password"].encode())
    assert richer.logs_in(ALICE, one["password"])
    assert not richer.logs_in(ALICE, one["password"])
    of_jti, of_user, before, _everything = richer.lines("--jti")
    shown = re.findall(r"\b[0-9a-f]{32}\b", of_jti)
    assert richer.sh(of_jti, **{shown[0]: two["id"]}).returncode == 0
    assert not richer.logs_in(ALICE, two["password"])
    assert richer.sh(before, **{"2026-11-22T10:00:00Z": "2020-01-01T00:00:00Z"}).returncode == 0
    assert richer.logs_in(ALICE, three["password"])
    assert richer.sh(of_user).returncode == 0
    fresh = watched(json.loads(richer.sh(sign).stdout)["password"].encode()).decode()
    assert not richer.logs_in(ALICE, fresh)  # within the leeway
    reasons = [login["reason"] for login in richer.logins(ALICE)][-6:]
    valid, used, revoked = "token_valid", "token_used", "token_revoked"
    assert reasons[-5:] == [valid, used, revoked, valid, revoked]


def test_every_limit_of_a_client_is_documented() -> None:
    heading = (
        '| `[clients.NAME]`, with `"tokens"`, `"introspect"` or `"revoke"` in `may` | default | |'
    )
    rows = [next(iter(row.values())) for row in tables(heading)]
    assert rows == ["domains", "users", "max_lifetime", "max_uses", "rate"]
    assert len(blocks("json")) == 2
