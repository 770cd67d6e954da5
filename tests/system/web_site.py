"""A website with a web chat as a user would have it: its own program, and nginx before it and all
else that its pages call, under one origin for each XMPP server.

The program is tests/browser/site.py, its pages are in tests/browser/pages; Converse and Strophe are
from npm.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .canary import secret
from .daemon import write_private
from .nginx import Nginx
from .ports import accepts, free_port
from .processes import Process

TESTS = Path(__file__).parent.parent
BROWSER = TESTS / "browser"
PACKAGES = BROWSER / "node_modules"

#: What the signed cookie says of itself.
ISSUER, AUDIENCE, TYP = "https://site.example", "authbridge:web", "chat-identity+jwt"
#: The cookies: of a login at the site, and the signed one.
SESSION, IDENTITY = "sessionid", "identity"
#: The headers in which nginx says who somebody is, and that it is nginx.
USER_HEADER, SECRET_HEADER = "X-Remote-User", "X-Authbridge-Secret"

_SERVER = """
server {{
    listen 127.0.0.1:{port};
    server_name {host};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    location / {{
        proxy_pass http://127.0.0.1:{site_port};
    }}
    location ~ ^/(credentials|prebind)$ {{
        {identity}
        proxy_pass http://127.0.0.1:{web_port};
    }}
    location = /http-bind {{
        proxy_buffering off;
        proxy_read_timeout 90s;
        proxy_pass {bosh_url};
    }}
    location = /xmpp-websocket {{
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_read_timeout 90s;
        proxy_pass {websocket_url};
    }}
    location = /who {{
        internal;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_pass http://127.0.0.1:{site_port};
    }}
}}
"""

_IDENTITY = """
        auth_request /who;
        auth_request_set $user_of_the_site $upstream_http_x_user;
        proxy_set_header {user_header} $user_of_the_site;
        proxy_set_header {secret_header} "{secret}";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
"""

# Somebody else's: pages, and nothing of ours behind them.
_FOREIGN = """
server {{
    listen 127.0.0.1:{port};
    server_name _;
    location / {{
        proxy_set_header Host $http_host;
        proxy_pass http://127.0.0.1:{site_port};
    }}
}}
"""

_SESSIONS = {
    "forward": '{{ kind = "forward", url = "http://127.0.0.1:{port}/whoami", '
    'cookie = "sessionid", cache = "0s", timeout = "{timeout}s" }}',
    "header": '{{ kind = "header", header = "X-Remote-User", '
    'secret_header = "X-Authbridge-Secret", secret_file = "{folder}/proxy-secret", '
    'peers = ["127.0.0.1"] }}',
    "jwt-cookie": '{{ kind = "jwt-cookie", cookie = "identity", issuer = "{issuer}", '
    'audience = "{audience}", typ = "{typ}", algorithms = ["HS256"], '
    'secret_file = "{folder}/identity-key" }}',
}


def install_packages() -> None:
    """Converse and Strophe, where they are missing."""
    subprocess.run(["sh", str(TESTS / "install-npm-packages")], check=True, timeout=600)


@dataclass(frozen=True)
class Name:
    """One of the site's names, for one domain and its XMPP server."""

    host: str
    domain: str
    bosh_url: str
    websocket_url: str
    #: How authbridge learns who somebody is: "forward", "header", "jwt-cookie".
    session: str = "forward"
    #: How long the tokens count that its pages get.
    token_ttl: str = "60s"


class WebSite:
    """The site and nginx. `start` and `stop` may alternate, as may those of the program alone."""

    def __init__(self, folder: Path) -> None:
        """Has to be told what is behind it (`serve`) before it is started."""
        self.folder = folder
        self.port, self.foreign_port, self.web_port = free_port(), free_port(), free_port()
        self._site_port = free_port()
        self._names: list[Name] = []
        self._timeout = 20
        self._program: Process | None = None
        self._nginx: Nginx | None = None
        self._proxy_secret = secret("proxy")
        self._identity_key = secret(b"identity" * 4)
        write_private(self.folder / "proxy-secret", self._proxy_secret + b"\n")
        write_private(self.folder / "identity-key", self._identity_key)

    def serve(self, names: Sequence[Name], timeout: int) -> None:
        """Configure it for these names. `timeout`: seconds for which authbridge waits for it."""
        self._names = list(names)
        self._timeout = timeout
        settings = {
            "port": self._site_port,
            "sessions": str(self.folder / "sessions.json"),
            "domains": {name.host: name.domain for name in names},
            "jwt": {
                "issuer": ISSUER,
                "audience": AUDIENCE,
                "typ": TYP,
                "key": base64.urlsafe_b64encode(self._identity_key).decode(),
            },
            "folders": {
                "pages": str(BROWSER / "pages"),
                "converse14": str(PACKAGES / "converse14" / "dist"),
                "converse10": str(PACKAGES / "converse10" / "dist"),
                "strophe": str(PACKAGES / "strophe.js" / "dist"),
            },
        }
        write_private(self.folder / "site.json", json.dumps(settings).encode())
        servers = [_FOREIGN.format(port=self.foreign_port, site_port=self._site_port)]
        servers += map(self._server, names)
        ports = [self.port, self.foreign_port]
        self._nginx = Nginx(self.folder / "nginx", ports, "".join(servers))

    @property
    def nginx(self) -> Nginx:
        """What is before all."""
        assert self._nginx is not None, "it serves nothing"
        return self._nginx

    @property
    def program(self) -> Process:
        """The site itself; for `pause` and `resume`."""
        assert self._program is not None, "the website is not started"
        return self._program

    def _server(self, name: Name) -> str:
        identity = ""
        if name.session == "header":
            identity = _IDENTITY.format(
                user_header=USER_HEADER,
                secret_header=SECRET_HEADER,
                secret=self._proxy_secret.decode(),
            )
        return _SERVER.format(
            port=self.port,
            host=name.host,
            site_port=self._site_port,
            web_port=self.web_port,
            bosh_url=name.bosh_url,
            websocket_url=name.websocket_url.replace("ws:", "http:"),
            identity=identity,
        )

    def origin(self, host: str) -> str:
        """Where a browser finds it by this name."""
        return f"http://{host}:{self.port}"

    def foreign_origin(self, host: str) -> str:
        """Where it finds somebody else's pages by any name: another port is another origin."""
        return f"http://{host}:{self.foreign_port}"

    def tables(self) -> str:
        """What an administrator writes into authbridge.toml about it."""
        return "".join(self._table(number, name) for number, name in enumerate(self._names))

    def _table(self, number: int, name: Name) -> str:
        session = _SESSIONS[name.session].format(
            port=self._site_port,
            timeout=self._timeout,
            folder=self.folder,
            issuer=ISSUER,
            audience=AUDIENCE,
            typ=TYP,
        )
        return (
            f"\n[sites.site-{number}]\n"
            f'hosts = ["{name.host}"]\norigins = ["{self.origin(name.host)}"]\n'
            f'domain = "{name.domain}"\nsession = {session}\ntoken_ttl = "{name.token_ttl}"\n'
            "same_users = true\n"
        )

    def start(self) -> None:
        """Start both, and wait until they accept."""
        self.start_program()
        self.nginx.start()

    def stop(self) -> None:
        """Stop both."""
        self.nginx.stop()
        self.stop_program()

    def start_program(self) -> None:
        """The site alone."""
        self._program = Process(
            [sys.executable, str(BROWSER / "site.py"), str(self.folder / "site.json")],
            self.folder / "site.log",
        )
        self._program.wait_until_up(lambda: accepts(self._site_port), "the website accepts")

    def stop_program(self) -> None:
        """The site alone; who is logged in stays so."""
        if self._program is not None:
            self._program.stop()
            self._program = None
