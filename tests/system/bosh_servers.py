"""XMPP servers as browsers call them: BOSH and WebSocket over HTTP and HTTPS, on loopback.

They have accounts of their own, unless they are given who is asked for passwords.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .ejabberd import Ejabberd
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process
from .prosody import Prosody
from .waiting import wait_until

_PROSODY = """\
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "ping", "register", "offline", "posix",
    "admin_shell", "http", "bosh", "websocket", {modules}
}}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http_port} }}
https_interfaces = {{ "127.0.0.1" }}
https_ports = {{ {https_port} }}
https_ssl = {{ key = "{key}", certificate = "{certificate}" }}
http_default_host = "{host}"
network_settings = {{ tcp_backlog = 1024 }}
consider_bosh_secure = {secure}
consider_websocket_secure = true
bosh_max_inactivity = {inactivity}
{more}
"""

_EJABBERD_LISTENER = """\
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    backlog: 1024
    tls: {tls}
    request_handlers:
      /bosh: mod_bosh
      /ws: ejabberd_http_ws
    custom_headers: {{{headers}}}
"""


class BoshProsody(Prosody):
    """Prosody; without `http_auth_url` its users are those of `add_user`."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        hosts: Sequence[str],
        http_auth_url: str = "",
        http_auth_credentials: str = "",
        *,
        check_method: str = "GET",
        inactivity: int = 60,
        secure: bool = True,
        modules: Iterable[str] = (),
        more: str = "",
    ) -> None:
        """`inactivity`: seconds after which a session that nobody uses is gone. `secure`: whether
        PLAIN is offered over HTTP as well. `more`: lines of the global part."""
        super().__init__(
            folder, pki, hosts, http_auth_url, http_auth_credentials, check_method=check_method
        )
        self.http_port, self.https_port = free_port(), free_port()
        self.bosh_url = f"http://127.0.0.1:{self.http_port}/http-bind"
        self.bosh_tls_url = f"https://127.0.0.1:{self.https_port}/http-bind"
        self.websocket_url = f"ws://127.0.0.1:{self.http_port}/xmpp-websocket"
        lines = _PROSODY.format(
            modules="".join(f'"{module}", ' for module in modules),
            http_port=self.http_port,
            https_port=self.https_port,
            key=pki.key,
            certificate=pki.certificate,
            host=hosts[0],
            secure=str(secure).lower(),
            inactivity=inactivity,
            more=more,
        )
        if not http_auth_url:
            lines += 'authentication = "internal_plain"\n'
        configuration = folder / "prosody.cfg.lua"
        text, first_host, others = configuration.read_text().partition("VirtualHost")
        configuration.write_text(text + lines + first_host + others)

    @property
    def process(self) -> Process:
        """The running server; for `pause` and `resume`."""
        assert self._process is not None, "Prosody is not started"
        return self._process

    def start(self) -> None:
        """Start it and wait until everything accepts connections."""
        super().start()
        wait_until(
            lambda: accepts(self.http_port) and accepts(self.https_port), "Prosody speaks HTTP"
        )

    def add_user(self, user: str, host: str, password: str) -> None:
        """An account of its own; may be done at any time. `user`: letters and digits."""
        accounts = self.folder / "data" / host.replace(".", "%2e").replace("-", "%2d") / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{user}.dat").write_text(f'return {{ ["password"] = "{password}" }};\n')

    def resources(self, user: str, host: str) -> list[str]:
        """The resources that this user has bound, however he came."""
        bound = f'(prosody.bare_sessions["{user}@{host}"] or {{ sessions = {{}} }}).sessions'
        names = self._ask(
            f"local names = {{}}; for name in pairs({bound}) do table.insert(names, name) end; "
            'return table.concat(names, "|")'
        )
        return names.split("|") if names else []

    def sessions(self) -> int:
        """How many sessions of BOSH there are, with a user or without."""
        return int(
            self._ask(
                'local bosh = require "core.modulemanager".get_module("*", "bosh").module; '
                'local n = 0; for _ in pairs(bosh:shared("sessions")) do n = n + 1 end; return n'
            )
        )

    def _ask(self, code: str) -> str:
        """What this Lua returns in the running server."""
        configuration = str(self.folder / "prosody.cfg.lua")
        done = subprocess.run(
            ["prosodyctl", "--root", "--config", configuration, "shell", f">{code}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        result = re.search(r"^Result: ?(.*)$", done.stdout, re.MULTILINE)
        assert result is not None, done.stdout + done.stderr
        return result[1]


class BoshEjabberd(Ejabberd):
    """ejabberd; without an `extauth_program` its users are those of `add_user`."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        hosts: Sequence[str],
        extauth_program: str = "",
        *,
        inactivity: int = 30,
        headers: Mapping[str, str] | None = None,
        modules: Iterable[str] = (),
        top: str = "",
    ) -> None:
        """`inactivity`: seconds after which a session that nobody uses is gone. `headers`: of every
        answer over HTTP."""
        super().__init__(
            folder,
            pki,
            hosts,
            extauth_program or "/bin/false",
            modules=[f"mod_bosh: {{max_inactivity: {inactivity}}}", *modules],
            top=top,
        )
        self.http_port, self.https_port = free_port(), free_port()
        self.bosh_url = f"http://127.0.0.1:{self.http_port}/bosh"
        self.bosh_tls_url = f"https://127.0.0.1:{self.https_port}/bosh"
        self.websocket_url = f"ws://127.0.0.1:{self.http_port}/ws"
        shown = ", ".join(f'"{name}": "{value}"' for name, value in (headers or {}).items())
        listeners = "".join(
            _EJABBERD_LISTENER.format(port=port, tls=tls, headers=shown)
            for port, tls in ((self.http_port, "false"), (self.https_port, "true"))
        )
        configuration = folder / "ejabberd.yml"
        text = configuration.read_text().replace("listen:\n", f"listen:\n{listeners}")
        if not extauth_program:
            text = text.replace("auth_method: external", "auth_method: internal")
            text = "".join(
                line for line in text.splitlines(keepends=True) if not line.startswith("extauth_")
            )
        configuration.write_text(text)

    def start(self) -> None:
        """Start the node and wait until everything accepts connections."""
        super().start()
        wait_until(
            lambda: accepts(self.http_port) and accepts(self.https_port), "ejabberd speaks HTTP"
        )

    def add_user(self, user: str, host: str, password: str) -> None:
        """An account of its own; ejabberd is running."""
        status, said = self.api("register", user=user, host=host, password=password)
        assert status == 200, said

    def resources(self, user: str, host: str) -> list[str]:
        """The resources that this user has bound, however he came."""
        status, said = self.api("user_resources", user=user, host=host)
        assert status == 200, said
        found: list[str] = json.loads(said)
        return found

    def sessions(self) -> int:
        """How many sessions of BOSH there are, with a user or without."""
        status, said = self.api("mnesia_table_info", table="bosh")
        assert status == 200, said
        size = re.search(r"size,\s*(\d+)", said)
        assert size is not None, said
        return int(size[1])
