"""The servers of docs/web-chat.md, with its settings made ours: authbridge, Prosody, and the proxy
of conf/nginx-web-chat.conf."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from joserfc.jwk import ECKey

from tests.recipes.document import ROOT, write

from .canary import secret
from .daemon import CLIENT, Daemon, write_private
from .nginx import Nginx
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process
from .waiting import wait_until
from .web_chat_back_ends import BackEnd
from .web_chat_examples import COOKIES, DOMAIN, ELSEWHERE, PACKAGES, WWW, example


def host_of(site: str) -> str:
    """The name of a site's host."""
    return f"{site}.{DOMAIN}"


class WebChatDaemon(Daemon):
    """A daemon with the documented configuration: each back end has the documented site."""

    def __init__(self, folder: Path, back_ends: Mapping[str, BackEnd], bosh_port: int) -> None:
        super().__init__(folder, (), others={DOMAIN: ""})
        self.web_port = free_port()
        self.website_secret = secret("website")
        self.proxy_secret = secret("proxy")
        self.forum_key = ECKey.generate_key("P-256")
        pem = self.forum_key.as_pem(private=False)
        write_private(folder / "keys" / "forum.pem", pem)
        write_private(folder / "clients" / "website", self.website_secret + b"\n")
        write_private(folder / "proxy-secret", self.proxy_secret + b"\n")
        write(folder / "authbridge.curl", f'user = "website:{self.website_secret.decode()}"\n', {})
        self.there = {
            "/etc/authbridge": str(folder),
            "tcp:9281": f"tcp:{self.http_port}",
            "127.0.0.1:9281": f"127.0.0.1:{self.http_port}",
            "tcp:9282": f"tcp:{self.web_port}",
            "127.0.0.1:9282": f"127.0.0.1:{self.web_port}",
            "127.0.0.1:5280": f"127.0.0.1:{bosh_port}",
        }
        first, site, session = re.split(r"(?m)^(?=\[sites\.)", example("toml", "[listen]"))
        listen, others = re.split(r"(?m)^(?=\[domains)", first)
        text = self.configuration.read_text()
        text = re.sub(r"(?m)^http = .*\n", "", text)
        text = text.replace("[listen]\n", listen.rstrip() + "\n")
        text = re.sub(r"(?m)^may = .*$", 'may = ["check_password", "user_exists", "cookie"]', text)
        tables = [text, f'[authbridge]\nstate = "{folder}/state/state.sqlite3"\n', others]
        for name, back_end in back_ends.items():
            tables.append(self._site(site + session, name, back_end))
        forum = example("toml", "sites.forum").replace(_OURS, _THEIRS)
        tables += [example("toml", "sites.intranet"), forum, _OTHERS]
        # Each example is a site for itself; here they stand beside each other.
        together = re.sub(
            r"(?m)^(\[sites\.\w+\]\nhosts.*\n)", r"\1same_users = true\n", "\n".join(tables)
        )
        # Nothing hangs here, and a busy machine is to be no outage.
        slow = 'kind = "forward"\n'
        assert slow in together
        together = together.replace(slow, f'{slow}timeout = "20s"\n') + _DEADLINES
        write(self.configuration, together, self.there)

    @staticmethod
    def _site(text: str, name: str, back_end: BackEnd) -> str:
        there = {
            "sites.www": f"sites.{name}",
            WWW: host_of(name),
            "127.0.0.1:8000/whoami": f"127.0.0.1:{back_end.port}/whoami"
            + (".php" if name == "php" else ""),
            '"sessionid"': f'"{COOKIES[name]}"',
            _OURS: _OURS if name == "www" else _THEIRS,
        }
        for shown, ours in there.items():
            assert shown in text, shown
            text = text.replace(shown, ours)
        return text

    def start(self) -> None:
        """Start it and wait until every listener accepts."""
        super().start()
        wait_until(lambda: accepts(self.web_port), "the daemon accepts browsers")


_DEADLINES = """
[web]
deadline = "28s"

[http]
deadline = "28s"
"""
# Of a domain with several sites nobody could say whose cookie Prosody asks about.
_OURS, _THEIRS = f'\ndomain = "{DOMAIN}"', f'\ndomain = "{ELSEWHERE}"'
_OTHERS = f"""
[domains."{ELSEWHERE}"]
check = ["tokens"]
exists = "always"

[clients.website]
secret_file = "/etc/authbridge/clients/website"
may = ["prebind"]
domains = ["{DOMAIN}"]

[clients.elsewhere]
secret_file = "/etc/authbridge/clients/{CLIENT}"
may = ["check_password"]
domains = ["{ELSEWHERE}"]
"""


# Prosody.

_PROSODY = """\
data_path = "{folder}/data"
plugin_paths = {{ "{modules}" }}
run_as_root = true
log = {{ info = "{folder}/prosody.log" }}
pidfile = "{folder}/prosody.pid"
admin_socket = "{folder}/admin.sock"
c2s_ports = {{ }}
modules_disabled = {{ "s2s", "tls" }}
{shown}
"""


class RecipeProsody:
    """Prosody with the document's settings."""

    def __init__(self, folder: Path, daemon: WebChatDaemon, port: int, origin: str) -> None:
        self.folder = folder
        self._port = port
        self._process: Process | None = None
        for name in ("data", "certs"):
            (folder / name).mkdir(parents=True)
        write_private(folder / "authbridge-secret", daemon.client_secret + b"\n")
        shown = example("lua", "VirtualHost")
        there = {
            "5280": str(port),
            "/etc/prosody": str(folder),
            'authentication = "authbridge"': 'authentication = "authbridge"\n'
            f'    authbridge_url = "{daemon.http_auth_url}"',
            f"https://{WWW}": origin,
        }
        for text, ours in there.items():
            assert text in shown, text
            shown = shown.replace(text, ours)
        modules = ROOT / "conf" / "prosody"
        configuration = _PROSODY.format(folder=folder, modules=modules, shown=shown)
        write(self.configuration, configuration, {})

    @property
    def configuration(self) -> Path:
        """prosody.cfg.lua."""
        return self.folder / "prosody.cfg.lua"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        command = ["prosody", "-F", "--config", str(self.configuration)]
        self._process = Process(command, self.folder / "prosody.out", folder=self.folder)
        self._process.wait_until_up(lambda: accepts(self._port), "Prosody speaks HTTP")

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def shell(self, *words: str) -> str:
        """What `prosodyctl shell` says."""
        done = subprocess.run(
            ["prosodyctl", "--root", "--config", str(self.configuration), "shell", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )
        return done.stdout + done.stderr

    def available(self, user: str) -> list[str]:
        """The resources of this user from which a presence has come, which is what a page sends
        first."""
        return self._names(user, "session.presence")

    def bound(self, user: str) -> list[str]:
        """Those, and the others that this user has."""
        return self._names(user, "true")

    def _names(self, user: str, condition: str) -> list[str]:
        bound = f'(prosody.bare_sessions["{user}@{DOMAIN}"] or {{ sessions = {{}} }}).sessions'
        said = self.shell(
            f">local names = {{}}; for name, session in pairs({bound}) do "
            f"if {condition} then table.insert(names, name) end end; "
            'return table.concat(names, "|")'
        )
        found = re.search(r"^Result: ?(.*)$", said, re.MULTILINE)
        assert found, said
        return sorted(found[1].split("|")) if found[1] else []


# The proxy, with what the site would serve beside its own.

_FILES = """
    types {{
        text/html html;
        text/css css;
        text/javascript js;
        application/json json;
        application/wasm wasm;
        font/woff2 woff2;
    }}
    location /strophe/ {{ alias {packages}/strophe.js/dist/; }}
    location /converse14/ {{ alias {packages}/converse14/dist/; }}
    location /converse10/ {{ alias {packages}/converse10/dist/; }}
    location /pages/ {{ alias {folder}/pages/; add_header Cache-Control no-store; }}
    location = /logout {{ add_header Clear-Site-Data '"storage"'; return 204; }}

    location / {{
"""


class Ports(NamedTuple):
    """Of what is behind the proxy, and its own."""

    site: int
    bosh: int
    intranet: int
    proxy: int


class Proxy(Nginx):
    """nginx with conf/nginx-web-chat.conf."""

    def __init__(self, folder: Path, pki: Pki, daemon: WebChatDaemon, ports: Ports) -> None:
        text = (ROOT / "conf" / "nginx-web-chat.conf").read_text()
        www, intranet = text.split("# The same where")
        there = {
            "listen 443 ssl;": f"listen 127.0.0.1:{ports.proxy} ssl;",
            "/etc/ssl/www.example.org/chain.pem": str(pki.chain),
            "/etc/ssl/www.example.org/key.pem": str(pki.key),
            "/etc/nginx/authbridge-secret": str(folder / "authbridge-secret"),
            "127.0.0.1:9282": f"127.0.0.1:{daemon.web_port}",
            "127.0.0.1:5280": f"127.0.0.1:{ports.bosh}",
        }
        www = www.replace("127.0.0.1:8000", f"127.0.0.1:{ports.site}")
        intranet = intranet.replace("127.0.0.1:8000", f"127.0.0.1:{ports.intranet}")
        files = _FILES.format(packages=PACKAGES, folder=folder)
        www = www.replace("\n    location / {\n", files, 1)
        text = f"{www}# The same where{intranet}"
        for shown, ours in there.items():
            assert shown in text, shown
            text = text.replace(shown, ours)
        super().__init__(folder, [ports.proxy], text)
        line = f'proxy_set_header X-Authbridge-Secret "{daemon.proxy_secret.decode()}";\n'
        write(folder / "authbridge-secret", line, {})
        self.pages = folder / "pages"
        self.pages.mkdir()
