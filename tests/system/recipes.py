"""The recipes of docs/http.md, made ours, and a daemon with all of them."""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from .canary import secret
from .daemon import Daemon, write_private
from .ejabberd import _LIBRARIES
from .pki import Pki, make_pki
from .ports import accepts, free_port
from .raw_http import basic
from .waiting import wait_until

_DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "http.md"
#: The examples by language, and what only one of them has in it.
EXAMPLES = {
    "toml": (
        *("prosody-async]", "prosody-json]", "clients.mongooseim]", "outgoing_pools"),
        *("clients.ejabberd]", "clients.nginx]", "clients.nginx-unix]", "clients.traefik]"),
        *("clients.prosody-oauth]", "clients.ejabberd-oauth]"),
        "[listen]",
    ),
    "lua": ("http_async", "custom_http", "https://", "oauth_external"),
    "yaml": ("auth_opts", "forwardAuth", "oauth_db_type"),
    "sh": ("client new", "www-data", "install -d", "privkey.pem"),
    "ini": ("ExecStartPre",),
    "nginx": ("server unix",),
}
#: Those that are authbridge's configuration.
OURS = [mark for mark in EXAMPLES["toml"] if mark != "outgoing_pools"]
#: The XMPP domain of each of Prosody's recipes.
DOMAINS = {mark: f"{mark.strip(':/').replace('_', '-')}.example" for mark in EXAMPLES["lua"]}
#: The clients that show a secret, beside Prosody by mod_auth_http.
BY_SECRET = ("prosody-json", "mongooseim", "ejabberd", "ejabberd-oauth")
#: Theirs, all of them.
USERS = {
    "alice": secret("wonderland"),
    "bob": secret("builder:with::colons:"),
    "çelik": secret('pässwörd ✓ 密码 "a+b%\\'),
}


def blocks(language: str) -> list[str]:
    """The examples in one language."""
    text = _DOCUMENT.read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return found


def example(language: str, mark: str) -> str:
    """The one with that in it."""
    (found,) = (text for text in blocks(language) if mark in text)
    return found


class ManyListeners(Daemon):
    """A daemon that has another listener behind the one that is waited for."""

    def __init__(self, folder: Path, domains: Sequence[str]) -> None:
        super().__init__(folder, domains)
        self.https_port = free_port()

    def start(self) -> None:
        """See Daemon; the one with TLS is opened last."""
        super().start()
        wait_until(lambda: accepts(self.https_port), "the daemon accepts connections with TLS")


@dataclass(frozen=True)
class Recipes:
    """A daemon with all of authbridge's examples in it."""

    daemon: Daemon
    pki: Pki
    https_port: int
    secrets: Mapping[str, bytes]
    #: In the place of /run/authbridge: the workspace is for nobody but its owner.
    run: Path

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.daemon.folder

    def ours(self, text: str) -> str:
        """An example with its paths, ports, names and secrets made ours."""
        there = {
            "/etc/prosody/certs/authbridge-ca.pem": str(self.pki.ca),
            "/etc/letsencrypt/live": str(self.pki.ca.parent),
            "/etc/authbridge": str(self.folder),
            "/run/authbridge": str(self.run),
            "-o authbridge": "-o root",
            "-g authbridge": "-g daemon",
            "tcp:9281": f"tcp:{self.daemon.http_port}",
            "127.0.0.1:9281": f"127.0.0.1:{self.daemon.http_port}",
            "ssl:9443": f"ssl:{self.https_port}:interface=127.0.0.1",
            "https://auth.example.org:9443": f"https://localhost:{self.https_port}",
            'domains = ["example.org"]': f"domains = {json.dumps([*DOMAINS.values()])}",
        }
        for shown, here in there.items():
            text = text.replace(shown, here)
        for name, octets in self.secrets.items():
            text = text.replace(f'"{name}:the-secret', f'"{name}:{octets.decode()}')
            text = text.replace(f"//{name}:the-secret", f"//{name}:{octets.decode()}")
        return text

    def shell(self, mark: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Do what an example in sh says."""
        text = self.ours(example("sh", mark))
        text = text.replace("server=example.org", f"server={DOMAINS['http_async']}")
        command = ["sh", "-c", text]
        there = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, timeout=90, env=there)

    def renew(self, site: str) -> subprocess.CompletedProcess[str]:
        """certbot's hook, behind a renewal of a site's certificate; the restart is a word in
        `restarts`."""
        systemctl = self.folder / "bin" / "systemctl"
        systemctl.parent.mkdir(exist_ok=True)
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/restarts\n')
        systemctl.chmod(0o700)
        return self.shell(
            "privkey.pem",
            PATH=f"{systemctl.parent}:{os.environ['PATH']}",
            RENEWED_LINEAGE=str(self.pki.ca.parent / site),
        )

    def give_users(self) -> None:
        """Put everybody into the users files."""
        for domain in DOMAINS.values():
            self.daemon.write_users(domain, USERS)

    def ask(self, url: str, credentials: bytes, host: str | None = None) -> tuple[int, bytes]:
        """Status and body of a GET; `host` is another Host header than the URL's."""
        parts = urlsplit(url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(self.pki.ca))
            connection = http.client.HTTPSConnection(parts.netloc, timeout=90, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=90)
        headers = {"Authorization": credentials.decode(), **({"Host": host} if host else {})}
        try:
            connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def check_password(
        self, url: str, credentials: str, user: str, password: bytes, host: str | None = None
    ) -> tuple[int, bytes]:
        """The same of a question to /auth/check_password below the URL."""
        form = urlencode({"user": user, "server": DOMAINS["http_async"], "pass": password})
        name, _, octets = credentials.partition(":")
        return self.ask(f"{url}check_password?{form}", basic(name.encode(), octets.encode()), host)


@contextmanager
def running_recipes(folder: Path) -> Iterator[Recipes]:
    """The daemon, running."""
    daemon = ManyListeners(folder, [*DOMAINS.values()])
    pki = make_pki(folder / "live", ["localhost", "auth.example.org", *DOMAINS.values()])
    secrets = {name: secret(name) for name in BY_SECRET}
    for name, octets in secrets.items():
        write_private(folder / "clients" / name, octets + b"\n")
    run = Path(tempfile.mkdtemp(prefix="ab-", dir="/tmp"))
    run.chmod(0o755)
    secrets |= {"prosody": daemon.client_secret}
    started = Recipes(daemon, pki, daemon.https_port, secrets, run)
    make_folders(started)
    tables = {mark: started.ours(example("toml", mark)) for mark in OURS}
    listen = re.fullmatch(r"\[listen\]\n(http = .*?\n\]\n)(.*)", tables.pop("[listen]"), re.DOTALL)
    assert listen
    text = re.sub(r"(?m)^http = .*\n", lambda _: listen[1], daemon.configuration.read_text())
    write_private(daemon.configuration, "\n".join([text, listen[2], *tables.values()]).encode())
    started.give_users()
    daemon.start()
    yield started
    daemon.restore()
    daemon.stop()
    shutil.rmtree(run)


def make_folders(recipes: Recipes) -> None:
    """As the document has them made: that of the keys, with certbot's files, and nginx's own."""
    lineage = recipes.pki.ca.parent / "auth.example.org"
    lineage.mkdir()
    shutil.copy(recipes.pki.key, lineage / "privkey.pem")
    shutil.copy(recipes.pki.certificate, lineage / "fullchain.pem")
    assert recipes.shell("install -d").stderr == ""
    done = recipes.renew("auth.example.org")
    assert (done.returncode, done.stderr) == (0, "")
    unit = recipes.ours(example("ini", "ExecStartPre"))
    command = re.search(r"(?m)^ExecStartPre=\+(.*)$", unit)
    assert command
    subprocess.run(command[1].split(), check=True)


# Both servers' options are read by the library that ejabberd itself reads with, which is there.
_READ_YAML = """
{ok, _} = application:ensure_all_started(fast_yaml),
[File] = init:get_plain_arguments(),
{ok, [Options]} = fast_yaml:decode_from_file(File, [plain_as_atom]),
[(ejabberd_options:opt_type(Name))(Value)
    || {Name, Value} <- Options, Name =/= http, Name =/= auth_method],
{ok, [Map]} = fast_yaml:decode_from_file(File, [{maps, true}, sane_scalars]),
io:put_chars(jiffy:encode(Map)), halt().
"""


def read_yaml(recipes: Recipes, mark: str) -> dict[str, Any]:
    """An example in YAML; what is ejabberd's is something that ejabberd takes."""
    path = recipes.folder / "example.yml"
    path.write_text(recipes.ours(example("yaml", mark)))
    ebin = next(iter(_LIBRARIES.glob("ejabberd-*/ebin")))
    command = ["/usr/bin/erl", "-noinput", "-pa", str(ebin), "-eval", _READ_YAML]
    done = subprocess.run(
        [*command, "-extra", str(path)],
        capture_output=True,
        env={"ERL_LIBS": str(_LIBRARIES), "HOME": str(recipes.folder), "PATH": "/usr/bin:/bin"},
        timeout=90,
    )
    assert done.returncode == 0, done.stdout.decode()
    read: dict[str, Any] = json.loads(done.stdout)
    return read
