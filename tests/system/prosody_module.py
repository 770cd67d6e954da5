"""A throw-away Prosody with conf/prosody/mod_auth_authbridge, for c2s, BOSH and WebSocket.

Its log is at the level "debug", at which net.http writes down addresses and mod_bosh the bodies of
requests: nothing that the module sends may be found there.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .canary import secret
from .daemon import write_private
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process
from .waiting import wait_until

MODULES = Path(__file__).resolve().parents[2] / "conf" / "prosody"

_CONFIGURATION = """\
data_path = "{folder}/data"
plugin_paths = {{ "{modules}" }}
run_as_root = true
log = {{ debug = "{log}" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_require_encryption = true
admin_socket = "{folder}/admin.sock"
allow_registration = true
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "ping", "register", "offline", "posix",
    "admin_shell", "http", "bosh", "websocket",
}}
modules_disabled = {{ "s2s" }}
http_interfaces = {{ "127.0.0.1" }}
http_ports = {{ {http_port} }}
https_ports = {{}}
http_default_host = "{first}"
consider_bosh_secure = true
consider_websocket_secure = true
authentication = "authbridge"
authbridge_url = "{url}"
authbridge_timeout = 60
{secret}
ssl = {{ key = "{key}", certificate = "{certificate}" }}
{options}
{hosts}
"""


#: What a VirtualHost says whose server waits no longer than a test can. Elsewhere a busy machine is
#: no outage.
HASTY = "authbridge_timeout = 2"


class ModuleProsody:
    """One server in the foreground."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        hosts: Mapping[str, str],
        url: str,
        client_secret: bytes | None = None,
        options: str = "",
        *,
        secrets_of_hosts: bool = False,
    ) -> None:
        """`hosts` are VirtualHosts with their own lines of Lua, `options` lines for all. `url`:
        authbridge_url. The secret of the client "prosody" is made up where there is none; with
        `secrets_of_hosts` each of the hosts says itself what its secret is."""
        self.folder = folder
        self.port = free_port()
        self.http_port = free_port()
        self.log = folder / "prosody.log"
        self.client_secret = client_secret or secret("client")
        self._process: Process | None = None
        (folder / "data").mkdir(parents=True)
        write_private(self.secret_file, self.client_secret + b"\n")
        configuration = _CONFIGURATION.format(
            folder=folder,
            modules=MODULES,
            log=self.log,
            port=self.port,
            http_port=self.http_port,
            first=next(iter(hosts)),
            url=url,
            secret="" if secrets_of_hosts else self.secret_line,
            key=pki.key,
            certificate=pki.certificate,
            options=options,
            hosts="\n".join(f'VirtualHost "{host}"\n{lines}' for host, lines in hosts.items()),
        )
        write_private(self.configuration, configuration.encode())

    @property
    def configuration(self) -> Path:
        """prosody.cfg.lua."""
        return self.folder / "prosody.cfg.lua"

    @property
    def secret_file(self) -> Path:
        """What authbridge_secret_file names."""
        return self.folder / "authbridge-secret"

    @property
    def secret_line(self) -> str:
        """The option that names it."""
        return f'authbridge_secret_file = "{self.secret_file}"'

    @property
    def bosh_url(self) -> str:
        """Where BOSH is spoken."""
        return f"http://127.0.0.1:{self.http_port}/http-bind"

    @property
    def websocket_url(self) -> str:
        """Where WebSocket is spoken."""
        return f"ws://127.0.0.1:{self.http_port}/xmpp-websocket"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self._process = Process(
            ["prosody", "-F", "--config", str(self.configuration)],
            self.folder / "prosody.out",
            folder=self.folder,
        )
        self._process.wait_until_up(
            lambda: accepts(self.port) and accepts(self.http_port), "Prosody accepts connections"
        )

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def logged(self, text: str) -> str:
        """Wait until a line with this text is in the log, and return it."""

        def find() -> str:
            lines = self.log.read_text(errors="replace").splitlines()
            return next((line for line in lines if text in line), "")

        return wait_until(find, f"Prosody writes {text!r} into its log")

    def run(self, code: str) -> str:
        """What this Lua returns in the running server, run in a runner of util.async."""
        done = subprocess.run(
            ["prosodyctl", "--root", "--config", str(self.configuration), "shell", f">{code}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        result = re.search(r"^Result: ?(.*)$", done.stdout, re.MULTILINE)
        assert result is not None, done.stdout + done.stderr
        return result[1]
