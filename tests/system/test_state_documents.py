"""What docs/tokens.md and docs/operations.md show of the state, run."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from authbridge import config
from tests.recipes.document import ROOT, example
from tests.stores.redis_server import RedisServer

from .canary import secret, watched
from .daemon import write_private
from .documented import ALICE, Documented, blocks, issued, normal
from .pki import Pki, make_pki
from .two_nodes import DocumentedRedis
from .waiting import wait_until

OPERATIONS = ROOT / "docs" / "operations.md"
SITE = example("toml", 'exists = "seen"')


def test_documented_redis_serves_and_an_outage_of_it_is_in_the_log_as_shown(
    workspace: Path,
) -> None:
    """With the documented user, and nobody else."""
    folder = workspace / "documented-redis"
    bridge = Documented(folder / "bridge", SITE)
    (password,) = (text for text in blocks(OPERATIONS, "sh") if "openssl rand" in text)
    there = {"apt-get install": ": ", "chgrp authbridge": f"chgrp {os.getgid()}"}
    assert bridge.sh(password, **there).returncode == 0
    word = watched((bridge.folder / "redis-password").read_bytes().strip()).decode()
    (settings,) = (text for text in blocks(OPERATIONS, "text") if "user default" in text)
    conf = folder / "redis" / "redis.conf"
    write_private(conf, settings.replace("THE-PASSWORD", word).encode())
    redis = RedisServer(folder / "redis", "--include", str(conf))
    try:
        state = f"redis://authbridge@127.0.0.1:{redis.port}"
        password_file = bridge.folder / "redis-password"
        bridge.add(f'[authbridge]\nstate = "{state}"\nstate_password_file = "{password_file}"\n')
        bridge.start()
        try:
            token = issued(bridge)["password"]
            assert bridge.logs_in(ALICE, token)
            assert not bridge.logs_in(ALICE, token)
            # It ends while nothing is on its way to it: else the connection would be reset.
            bridge.process.pause()
            with Redis(port=redis.port, username="authbridge", password=word) as nobody:
                nobody.ping()
            redis.stop()
            bridge.process.resume()
            wait_until(lambda: "Connection refused" in bridge.log.read_text(), "it is missed")
            redis.start()
            wait_until(lambda: "well again" in bridge.log.read_text(), "it is found again")
            said = re.findall(r"(?m)^\S+ \w+ \[authbridge\.stores.*$", bridge.log.read_text())
        finally:
            bridge.stop()
    finally:
        redis.stop()
    (shown,) = (text for text in blocks(OPERATIONS, "text") if "well again" in text)
    assert normal("\n".join(said) + "\n") == normal(shown.replace(":6379/", f":{redis.port}/"))


def test_what_redis_has_lost_is_refused_until_a_restart(workspace: Path) -> None:
    """As operations.md has it: the log says so, and a restart goes on with what is there."""
    folder = workspace / "lost-redis"
    bridge = Documented(folder / "bridge", SITE)
    redis = RedisServer(folder / "redis")
    try:
        bridge.add(f'[authbridge]\nstate = "redis://127.0.0.1:{redis.port}"\n')
        bridge.start()
        try:
            token = issued(bridge)["password"]
            redis.ask("FLUSHALL")
            wait_until(
                lambda: "has lost what it knew, or is another one" in bridge.log.read_text(),
                "it is missed",
            )
            assert bridge.curl(example("sh", "/tokens\n"))["reason"] == "state_unavailable"
            bridge.stop()
            bridge.start()
            assert not bridge.logs_in(ALICE, token)
            assert bridge.logs_in(ALICE, issued(bridge)["password"])
        finally:
            bridge.stop()
    finally:
        redis.stop()


def test_documented_state_in_redis_has_no_mistake(workspace: Path, pki: Pki) -> None:
    folder = workspace / "rediss"
    bridge = Documented(folder, SITE, example("toml", "rediss://"))
    write_private(folder / "redis-password", secret("of-rediss"))
    ca = pki.ca.read_bytes()
    write_private(folder / "redis-ca.pem", ca)
    assert config.load(bridge.configuration).state.shared


class DocumentedNode(Documented):
    """One of two nodes: the website's configuration, and what operations.md has for two."""

    NAME = "auth.example.org"
    SERVER = "chat1.example.org"

    def __init__(self, folder: Path, redis: DocumentedRedis) -> None:
        super().__init__(folder, SITE)
        (shown,) = (text for text in blocks(OPERATIONS, "toml") if "rediss://" in text)
        ours = {
            "rediss://redis.example.org": f"rediss://127.0.0.1:{redis.port}",
            "/run/authbridge": f"{folder}/run",
            "ssl:9281:": f"ssl:{self.http_port}:interface=127.0.0.1:",
        }
        for there, here in ours.items():
            assert there in shown
            shown = shown.replace(there, here)
        self.add(shown)
        write_private(folder / "redis-password", redis.secret + b"\n")
        for name, file in (
            ("ca.pem", redis.pki.ca),
            ("chat1.pem", redis.pki.certificate),
            ("chat1.key", redis.pki.key),
        ):
            shutil.copy(file, folder / name)

    @property
    def https(self) -> str:
        """How curl gets here as HAProxy does: verified, and for the name that callers know."""
        to = f"--connect-to {self.NAME}:443:127.0.0.1:{self.http_port}"
        return f"--cacert {self.folder}/ca.pem {to} https://{self.NAME}"

    @property
    def http_auth_url(self) -> str:
        """There is no other listener."""
        return f"{self.https}/auth"

    def issued(self) -> str:
        """A token, by the documented call."""
        call = example("sh", "/tokens\n").replace("http://127.0.0.1:9281", self.https)
        return str(self.curl(call)["password"])


@pytest.fixture
def nodes(workspace: Path) -> Iterator[tuple[DocumentedNode, DocumentedNode]]:
    """Both, running."""
    folder = workspace / "documented-nodes"
    pki = make_pki(
        folder / "tls", (DocumentedNode.SERVER, DocumentedNode.NAME), addresses=["127.0.0.1"]
    )
    with ExitStack() as ends:
        redis = DocumentedRedis(folder / "redis", pki)
        ends.callback(redis.stop)
        found = tuple(DocumentedNode(folder / name, redis) for name in ("one", "two"))
        for node in found:
            node.start()
            ends.callback(node.stop)
        yield found[0], found[1]


def test_documented_nodes_know_what_the_other_has_done(
    nodes: tuple[DocumentedNode, DocumentedNode],
) -> None:
    """With the table of operations.md alone, and conf/redis.conf."""
    one, two = nodes
    token, other = one.issued(), two.issued()
    assert [node.logs_in(ALICE, token) for node in (two, one, two)] == [True, False, False]
    assert [node.logs_in(ALICE, other) for node in (two, one)] == [True, False]
    for node in nodes:
        assert "authbridge.stores" not in node.log.read_text()  # worth no warning


def test_words_of_the_state_that_operators_look_up_are_ours() -> None:
    """In the tables of operations.md."""
    source = "".join(path.read_text() for path in (ROOT / "authbridge" / "stores").glob("*.py"))
    text = OPERATIONS.read_text().partition("### state_unavailable")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    cells += re.findall(r"(?m)^A warning, .*$", text)
    words = [one for cell in cells for one in re.findall(r"`([^`]+)`", cell)]
    assert len(words) > 30
    assert [one for one in words if one.rstrip(" …") not in source] == []


def test_backup_is_a_copy_while_it_is_stopped(workspace: Path) -> None:
    """systemctl is ours."""
    (command,) = (text for text in blocks(OPERATIONS, "sh") if "systemctl stop" in text)
    bridge = Documented(workspace / "backup", SITE)
    systemctl = bridge.folder / "bin" / "systemctl"
    systemctl.write_text("#!/bin/sh\n")
    systemctl.chmod(0o700)
    bridge.start()
    try:
        assert bridge.logs_in(ALICE, issued(bridge)["password"])
    finally:
        bridge.stop()
    there = {
        "/var/lib/authbridge": str(bridge.folder / "state"),
        "/var/backups": str(bridge.folder),
    }
    assert bridge.sh(command, **there).returncode == 0
    copy = sqlite3.connect(bridge.folder / "authbridge-state.sqlite3")
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert copy.execute("SELECT count(*) FROM seen").fetchone() == (1,)
    copy.close()


def test_documented_folder_is_one_that_is_taken(workspace: Path) -> None:
    """Where there is no unit that makes it."""
    bridge = Documented(workspace / "own-folder", SITE)
    (command,) = (
        text
        for text in blocks(OPERATIONS, "sh")
        if "install -d -o authbridge -g" in text and "lib" in text
    )
    there = {
        "/var/lib/authbridge": str(bridge.folder / "state"),
        "-o authbridge -g authbridge": f"-o {os.getuid()} -g {os.getgid()}",
    }
    assert bridge.sh(command, **there).returncode == 0
    assert stat.S_IMODE((bridge.folder / "state").stat().st_mode) == 0o700
    bridge.start()
    try:
        assert bridge.logs_in(ALICE, issued(bridge)["password"])
    finally:
        bridge.stop()
