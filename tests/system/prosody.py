"""A throw-away Prosody of the Debian package, with a stand-in for the community's mod_auth_http."""

from collections.abc import Sequence
from pathlib import Path

from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

_MODULES = Path(__file__).parent / "prosody_modules"

_CONFIGURATION = """\
data_path = "{folder}/data"
plugin_paths = {{ "{modules}" }}
run_as_root = true
log = {{ info = "{log}" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_require_encryption = true
admin_socket = "{folder}/admin.sock"
allow_registration = true
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "ping", "register", "offline", "posix",
}}
modules_disabled = {{ "s2s" }}
authentication = "http"
http_auth_url = "{url}"
http_auth_credentials = "{credentials}"
http_auth_check_method = "{check_method}"
ssl = {{ key = "{key}", certificate = "{certificate}" }}
{hosts}
"""


class Prosody:
    """One server in the foreground."""

    def __init__(
        self,
        folder: Path,
        pki: Pki,
        hosts: Sequence[str],
        http_auth_url: str,
        http_auth_credentials: str,
        *,
        check_method: str = "GET",
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "prosody.log"
        self.output = folder / "prosody.out"
        self._process: Process | None = None
        (folder / "data").mkdir(parents=True)
        configuration = folder / "prosody.cfg.lua"
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                modules=_MODULES,
                log=self.log,
                port=self.port,
                url=http_auth_url,
                credentials=http_auth_credentials,
                check_method=check_method,
                key=pki.key,
                certificate=pki.certificate,
                hosts="\n".join(f'VirtualHost "{host}"' for host in hosts),
            )
        )

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        configuration = self.folder / "prosody.cfg.lua"
        self._process = Process(
            ["prosody", "-F", "--config", str(configuration)], self.output, folder=self.folder
        )
        self._process.wait_until_up(lambda: accepts(self.port), "Prosody accepts connections")

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None:
            self._process.stop()
            self._process = None
