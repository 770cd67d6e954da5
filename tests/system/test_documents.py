"""What the documents show is run as they show it: README, docs/, conf/ and the demonstration."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authbridge.model import Reason

from . import people
from .canary import secret
from .daemon import Daemon, write_private
from .ejabberd import Ejabberd
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process
from .prosody import Prosody
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
ALICE = "alice@example.org"


def read(name: str) -> str:
    """One of the project's documents."""
    return (ROOT / name).read_text(encoding="utf-8")


def test_readme_is_short() -> None:
    """A newcomer reads it to its end."""
    assert len(read("README.md").splitlines()) < 90


def test_links_of_the_documents_lead_somewhere() -> None:
    """Every relative link names a file of the project."""
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("language", ["yaml", "lua"])
def test_readmes_lines_for_the_servers_are_those_of_conf(language: str) -> None:
    """What is tried from conf/ below is what the README shows."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", read("README.md"), re.DOTALL)
    whole = read("conf/ejabberd.yml" if language == "yaml" else "conf/prosody.cfg.lua")
    for line in text.strip().splitlines():
        assert line.strip() in [other.strip() for other in whole.splitlines()]


def test_every_reason_is_in_the_operators_table() -> None:
    """A code in the log can be looked up."""
    operations = read("docs/operations.md")
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in operations] == []


def test_ejabberd_takes_its_configuration_and_serves_logins(
    workspace: Path, pki: Pki, daemon: Daemon, visitors: Visitors
) -> None:
    """conf/ejabberd.yml, with the port and the program of this test and what Debian's file has."""
    ejabberd = Ejabberd(workspace / "documented", pki, people.HOSTS, daemon.extauth_program)
    ours = (ejabberd.folder / "ejabberd.yml").read_text()
    api_port = re.findall(r"- port: (\d+)", ours)[1]
    shown = (
        read("conf/ejabberd.yml")
        .replace("/opt/authbridge/bin/authbridge-extauth", daemon.extauth_program)
        .replace("port: 5222", f"port: {ejabberd.port}")
        .replace('ip: "::"', 'ip: "127.0.0.1"')
    )
    (ejabberd.folder / "ejabberd.yml").write_text(
        f"""{shown}
  -
    port: {api_port}
    ip: "127.0.0.1"
    module: ejabberd_http
hosts: ["example.org"]
certfiles: ["{pki.chain}"]
access_rules:
  c2s:
    allow: all
shaper:
  normal: 1000
shaper_rules:
  c2s_shaper: normal
modules: {{}}
"""
    )
    ejabberd.start()
    try:
        assert visitors.login(ejabberd, ALICE) == SESSION
        assert visitors.login(ejabberd, ALICE, secret("documented")) == "not-authorized"
        wait_until(lambda: len(ejabberd.programs()) == 8, "eight programs")
    finally:
        ejabberd.stop()


def test_prosody_takes_its_configuration_and_serves_logins(
    workspace: Path, pki: Pki, daemon: Daemon, visitors: Visitors
) -> None:
    """conf/prosody.cfg.lua, with this test's module, port and secret, behind the global part."""
    prosody = Prosody(workspace / "shown", pki, [], "-", "-")
    path = prosody.folder / "prosody.cfg.lua"
    ours = path.read_text()
    shown = (
        read("conf/prosody.cfg.lua")
        .replace("/usr/local/lib/prosody/modules", f"{ROOT}/tests/system/prosody_modules")
        .replace("http://127.0.0.1:9281/auth", daemon.http_auth_url)
        .replace("prosody:the-secret", daemon.http_auth_credentials)
    )
    lines = [line for line in ours.splitlines() if not re.match(r"plugin|auth|http_auth", line)]
    path.write_text("\n".join(lines) + "\n" + shown)
    prosody.start()
    try:
        assert visitors.login(prosody, ALICE) == SESSION
        assert visitors.login(prosody, ALICE, secret("documented")) == "not-authorized"
    finally:
        prosody.stop()


def test_the_unit_is_one_that_systemd_understands(workspace: Path) -> None:
    """With the programs of this test; its sandbox is judged "OK" (an exposure below 2)."""
    unit = workspace / "authbridge.service"
    unit.write_text(read("conf/authbridge.service").replace("/opt/authbridge/bin", str(BIN)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()


class Demonstration:
    """`make run`, in a folder and on a port of this test."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.port = port = port or free_port()
        environment = {**os.environ, "DEMO": str(folder), "PORT": str(port), "BIN": str(BIN)}
        self.output = folder.with_suffix(".out")
        before = self.output.read_text() if self.output.exists() else ""
        self.process = Process([str(ROOT / "demo" / "run")], self.output, environment=environment)
        self.process.wait_until_up(
            lambda: accepts(port) and (folder / "run/control.sock").exists(), "it accepts"
        )
        text = self.output.read_text().removeprefix(before).partition("Z info")[0]
        self.calls = [line.strip() for line in text.splitlines() if line.startswith("  ")]


@pytest.fixture
def demonstration(workspace: Path) -> Iterator[Demonstration]:
    """The demonstration, running."""
    folder = workspace / "demo"
    running = Demonstration(folder)
    yield running
    running.process.stop()
    shutil.rmtree(folder)


def test_the_demonstrations_calls_show_what_they_say(demonstration: Demonstration) -> None:
    """Pasted one by one: yes, no and tokens over HTTP, yes and no over extauth, one explained."""
    *calls, explain = demonstration.calls
    said = [
        subprocess.run(["sh", "-c", call], capture_output=True, text=True, check=True).stdout
        for call in calls
    ]
    answers = ["true", "false", "true", "true\nfalse", "00 02 00 01", "00 02 00 00"]
    assert [text.strip() for text in said] == answers
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", explain])
    told = b""
    while b"Password:" not in told:
        assert select.select([terminal], [], [], 60)[0]
        told += os.read(terminal, 1000)
    os.write(terminal, b"wonderland\n")
    while True:
        try:
            piece = os.read(terminal, 1000)
        except OSError:  # the other end of the terminal is closed
            break
        told += piece
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    assert b"Login: accepted" in told
    assert b"wonderland" not in told


def without_temporary(text: str) -> str:
    """The demonstration's configuration as it was before there were temporary tokens."""
    text = re.sub(r"\[authbridge\].*?(?=\[listen\])", "", text, flags=re.DOTALL)
    text = re.sub(r"\[clients\.chat\].*?(?=\[domains)", "", text, flags=re.DOTALL)
    return text.replace('["compact", "temporary"]', '["compact"]')


def without_tokens(text: str) -> str:
    """And as it was before there were any."""
    text = without_temporary(text)
    text = re.sub(r"\[checkers\.tokens\].*(?=\[checkers\.local\])", "", text, flags=re.DOTALL)
    text = text.replace('check = ["tokens", "local"]\nexists = ["local"]', 'check = ["local"]')
    assert "token" not in text
    return text


@pytest.mark.parametrize(
    ("older", "not_shown"),
    [(without_temporary, ["/tokens"]), (without_tokens, ["/tokens", "token issue"])],
)
def test_a_demonstration_of_an_earlier_version_shows_what_it_has(
    workspace: Path, older: Callable[[str], str], not_shown: list[str]
) -> None:
    """Its configuration is left as it is: calls with what it does not have would fail."""
    folder = workspace / f"older-{len(not_shown)}"
    first = Demonstration(folder)
    first.process.stop()
    for mark in not_shown:
        assert sum(mark in call for call in first.calls) == 1
    configuration = folder / "authbridge.toml"
    text = older(configuration.read_text())
    assert "temporary" not in text
    configuration.write_text(text)
    again = Demonstration(folder, first.port)
    again.process.stop()
    assert again.calls == [
        call for call in first.calls if not any(mark in call for mark in not_shown)
    ]
    assert configuration.read_text() == text
    shutil.rmtree(folder)


def test_a_wheel_in_a_clean_environment_runs_under_twistd(workspace: Path, daemon: Daemon) -> None:
    """As the README installs it: what is in the wheel is all that is needed."""
    run = subprocess.run
    source = workspace / "source"
    # Others may fill or tidy up these meanwhile.
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "node_modules")
    shutil.copytree(ROOT, source, ignore=ignored)
    # Isolated: by way of PYTHONPATH the folder of the project may look like the wheel, installed.
    pip = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run([*pip, "wheel", "--no-deps", "--wheel-dir", str(workspace), str(source)], check=True)
    (wheel,) = workspace.glob("authbridge-*.whl")
    clean = workspace / "clean"
    run([sys.executable, "-m", "venv", str(clean)], check=True)
    pip[0] = str(clean / "bin" / "python")
    run([*pip, "install", "--retries", "10", "--timeout", "60", str(wheel)], check=True)
    shutil.rmtree(source)

    daemon.stop()
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    command = ["-n", "--pidfile=", "authbridge", "--config", str(daemon.configuration)]
    twistd = Process(
        [str(clean / "bin" / "twistd"), *command],
        workspace / "twistd.out",
        environment=environment,
        folder=workspace,
    )
    try:
        twistd.wait_until_up(
            lambda: daemon.extauth_socket.exists() and accepts(daemon.http_port), "twistd is up"
        )
        frame = b"auth:alice:example.org:" + people.password(ALICE)
        connector = run(
            [str(clean / "bin" / "authbridge-extauth"), "--socket", str(daemon.extauth_socket)],
            input=len(frame).to_bytes(2, "big") + frame,
            capture_output=True,
            env=environment,
            check=True,
        )
        assert connector.stdout == b"\x00\x02\x00\x01"
        write_private(workspace / "frame", len(frame).to_bytes(2, "big") + frame)
        alone = run(
            [
                *(str(clean / "bin" / "authbridge-extauth"), "--standalone"),
                *("--config", str(daemon.configuration)),
            ],
            input=len(frame).to_bytes(2, "big") + frame,
            capture_output=True,
            env=environment,
            check=True,
        )
        assert alone.stdout == b"\x00\x02\x00\x01"
        link = workspace / "linked"
        link.symlink_to(clean / "bin" / "authbridge-extauth")
        assert run([str(link)], stdin=subprocess.DEVNULL, env=environment, check=True)
    finally:
        twistd.stop()
