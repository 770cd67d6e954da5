"""A daemon whom programs of every HTTP dialect may call, each as the client of its name."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from . import gate, on_demand
from .canary import secret
from .daemon import Daemon, write_private
from .raw_http import basic

#: Users in a file.
HERE = "example.org"
#: The same users, in a domain that has to be escaped, and may not be.
UMLAUT = "bücher.example"
#: Nobody can tell about its users.
AWAY = "away.example"
#: Users whose names say what becomes of a change; see `on_demand` and `gate`.
DEMAND = "demand.example"

#: What has to be escaped, as it is typed; behind it comes what needs no escaping in any dialect.
ODD = "pässwörd ✓ 密码 a+b%~*"
USERS: Mapping[str, bytes] = {
    "alice": secret("wonderland"),
    "bob": secret("builder:with::colons:"),
    "çelik": secret(ODD),
    "tab": secret('\t"quoted\\'),
}
#: Of those in DEMAND.
OLD = secret("as-it-was")

_CHECKER = """
[domains."{domain}"]
check = ["demand"]

[checkers.demand]
kind = "kinds.gate"
initial_file = "{folder}/initial"
"""

_WITH_SECRET = """
[clients.{name}]
secret_file = "{folder}/clients/{name}"
may = ["check_password", "user_exists", "set_password", "register", "remove_user", "json"]
domains = {domains}
"""

_PEERS = """
[authbridge]
deadline = "25s"  # of whoever is in no hurry: a machine may stand still for a moment

[clients.browsers]
may = ["basic"]
peers = ["127.0.0.1", "127.0.8.0/24"]
domains = {domains}
"""

#: Clients with a secret. The last one is in a hurry.
CLIENTS = ("mongooseim", "contrib", "custom", "hurried")


class HttpDaemon(Daemon):
    """The daemon."""

    def __init__(self, folder: Path) -> None:
        checker = _CHECKER.format(domain=DEMAND, folder=folder)
        super().__init__(folder, (HERE, UMLAUT, AWAY), others={DEMAND: checker})
        for domain in (HERE, UMLAUT):
            self.write_users(domain, USERS)
        self.secrets = {name: secret(name) for name in CLIENTS}
        write_private(folder / "initial", OLD)
        (folder / "kinds").mkdir()  # the daemon's folder is where it looks for modules first
        for kind in (gate, on_demand):
            shutil.copy(str(kind.__file__), folder / "kinds")
        names = {"folder": folder, "domains": json.dumps([HERE, UMLAUT, AWAY, DEMAND])}
        self.secrets["prosody"] = self.client_secret
        may = '"user_exists", "set_password", "register", "remove_user"]'
        text = self.configuration.read_text().replace('"user_exists"]', may)
        for name in CLIENTS:
            write_private(folder / "clients" / name, self.secrets[name] + b"\n")
            text += _WITH_SECRET.format(name=name, **names)
        text += 'deadline = "1s"\n' + _PEERS.format(**names)
        write_private(self.configuration, text.encode())

    def start(self) -> None:
        """See Daemon; from then on nobody can tell about the users of AWAY."""
        self.write_users(AWAY, USERS)
        super().start()
        self.hide_users(AWAY)

    def credentials(self, client: str) -> bytes:
        """The value of the Authorization header of a client."""
        return basic(client.encode(), self.secrets[client])

    def host(self) -> bytes:
        """The value of the Host header of whoever calls by the address."""
        return b"127.0.0.1:%d" % self.http_port

    def line(self, identity: str) -> str:
        """The line in the log of the answer with this id, written a moment after it."""
        self.logins()  # waits until what was answered before is written
        (found,) = [
            line for line in self.log.read_text().splitlines() if f" login id={identity} " in line
        ]
        return found
