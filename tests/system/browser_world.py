"""All that a web chat needs: a daemon, XMPP servers that ask it, a website, Chromium."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser as Chromium

from .bosh_servers import BoshEjabberd, BoshProsody
from .browser import Person, running_browser
from .canary import secret
from .daemon import Daemon, hash_password, write_private
from .pki import Pki, make_pki
from .ports import accepts
from .processes import Process
from .prosody_module import ModuleProsody
from .raw_http import basic
from .token_node import ask_for_token
from .visitors import Visitors
from .waiting import wait_until
from .web_site import Name, WebSite, install_packages
from .xmpp import Client

#: The XMPP servers, each with a domain of its own: Prosody that asks with the community's module,
#: ejabberd, and Prosody with ours.
SERVERS = ("prosody", "ejabberd", "module")
#: Whose XMPP server, Prosody's, knows nothing of it.
REFUSED = "refused"
DOMAINS = {name: f"{name}.chat.example" for name in (*SERVERS, REFUSED)}
#: The site's names, and which domain each is for. By "header" nginx says who somebody is, by
#: "cookie" a signed cookie does, and by "brief" tokens count for a few seconds.
NAMES = {name: name for name in DOMAINS}
NAMES |= {"header": "prosody", "cookie": "ejabberd", "brief": "prosody"}
HOSTS = {name: f"{name}.localhost" for name in NAMES}
#: Seconds.
BRIEF = 5
#: Seconds for which the daemon waits for the site, and after which whoever asks over HTTP is told
#: that nobody can tell: as by default, for tests in which something hangs; and so long that a busy
#: machine is no outage. (The token of a prebind counts for 30 s.)
HASTY, PATIENT = (3, 8), (20, 28)
_SESSIONS = {"header": "header", "cookie": "jwt-cookie"}

_TABLES = """
[clients.website]
secret_file = "{folder}/clients/website"
may = ["tokens", "prebind"]
domains = {domains}
max_lifetime = "1h"
rate = "10000/s"

[clients.module]
secret_file = "{folder}/clients/module"
may = ["check_password", "user_exists", "cookie"]
domains = ["{module}"]

[checkers.tokens]
kind = "token"
accept = ["temporary"]

[checkers.people]
kind = "file"
path = "{folder}/people"

[authbridge]
state = "{folder}/state/state.sqlite3"

[http]
deadline = "{deadline}s"

[web]
deadline = "{deadline}s"
"""

_DOMAIN = """
[domains."{domain}"]
check = ["tokens", "people"]
exists = "always"
bosh_url = "{bosh_url}"
"""

# As in the servers' own example configurations. Without a list of who is blocked (XEP-0191)
# Converse 14 opens no chat with somebody new, and shows no message of his.
_OF_PROSODY = ("blocklist", "carbons", "pep", "vcard")
_OF_EJABBERD = (
    *("mod_blocking: {}", "mod_caps: {}", "mod_carboncopy: {}", "mod_privacy: {}"),
    *("mod_pubsub: {plugins: [flat, pep]}", "mod_vcard: {}"),
)
_OF_MODULE = """\
authbridge_client = "module"
authbridge_cookie = true
authbridge_origins = {{ "{origin}" }}
"""

Server = BoshProsody | BoshEjabberd | ModuleProsody


class WebDaemon(Daemon):
    """A daemon with temporary tokens, a file of people with passwords, and a website's browsers."""

    def __init__(self, folder: Path) -> None:
        """Has to be told of its site (`serve`) before it is started."""
        super().__init__(folder, (), others=dict.fromkeys(DOMAINS.values(), ""))
        self.website_secret, self.module_secret = secret("website"), secret("module")
        write_private(folder / "clients" / "website", self.website_secret + b"\n")
        write_private(folder / "clients" / "module", self.module_secret + b"\n")
        self.give_passwords({})
        self._web_port = 0

    def give_passwords(self, people: Mapping[str, bytes]) -> None:
        """Who has a password: bare JID to password."""
        lines = [f"{jid}:{hash_password(password)}\n" for jid, password in people.items()]
        write_private(self.folder / "people", "".join(lines).encode())

    def serve(self, site: WebSite, bosh_urls: Mapping[str, str], deadline: int) -> None:
        """Configure it for this site, with these BOSH services by domain. `deadline` in seconds."""
        self._web_port = site.web_port
        web = f'web = ["tcp:{site.web_port}:interface=127.0.0.1:backlog=1024"]\n'
        text = self.configuration.read_text().replace("\n\n[extauth]", f"\n{web}\n[extauth]", 1)
        domains = json.dumps(list(bosh_urls))
        text += _TABLES.format(
            folder=self.folder, domains=domains, module=DOMAINS["module"], deadline=deadline
        )
        for domain, bosh_url in bosh_urls.items():
            text += _DOMAIN.format(domain=domain, bosh_url=bosh_url)
        write_private(self.configuration, (text + site.tables()).encode())

    def start(self) -> None:
        """Start it and wait until every listener accepts."""
        super().start()
        wait_until(lambda: accepts(self._web_port), "the daemon accepts browsers")

    def token(self, jid: str) -> bytes:
        """A temporary token, as the site's back end gets one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=90)
        try:
            credentials = basic(b"website", self.website_secret)
            return ask_for_token(connection, credentials, jid).token
        finally:
            connection.close()

    def count(self, *words: str) -> int:
        """How many lines of its log have all these words in them, with what is answered by now."""
        self.logins()
        lines = self.log.read_text(errors="replace").splitlines()
        return sum(all(word in line for word in words) for line in lines)


@dataclass
class World:
    """Everything, running."""

    daemon: WebDaemon
    servers: Mapping[str, Server]
    site: WebSite
    browser: Chromium
    visitors: Visitors
    _people: list[Person] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def nobody(self, name: str) -> Person:
        """A user whom no other test has, at the site by one of its names, not logged in."""
        number = next(self._numbers)
        person = Person(self.browser, self.site, HOSTS[name], f"user{number}", DOMAINS[NAMES[name]])
        self._people.append(person)
        return person

    def somebody(self, name: str) -> Person:
        """The same, logged in."""
        person = self.nobody(name)
        person.log_in()
        return person

    def friend(self, name: str) -> Client:
        """Another user of an XMPP server, with a plain client of his own, available."""
        jid = f"friend{next(self._numbers)}@{DOMAINS[name]}"
        return self.visitors.enter(self.servers[name], jid, self.daemon.token(jid))

    def process(self, name: str) -> Process:
        """That of an XMPP server; for `pause` and `resume`."""
        server = self.servers[name]
        assert not isinstance(server, ModuleProsody)
        return server.process

    def restore(self) -> None:
        """After a test: no browsers."""
        for person in self._people:
            person.close()
        self._people.clear()
        self.visitors.close()


def _make_servers(
    folder: Path, pki: Pki, daemon: WebDaemon, site: WebSite, inactivity: int
) -> dict[str, Server]:
    prosody = BoshProsody(
        folder / "prosody",
        pki,
        [DOMAINS["prosody"]],
        daemon.http_auth_url,
        daemon.http_auth_credentials,
        modules=_OF_PROSODY,
    )
    ejabberd = BoshEjabberd(
        folder / "ejabberd",
        pki,
        [DOMAINS["ejabberd"]],
        daemon.extauth_program,
        inactivity=inactivity,
        modules=_OF_EJABBERD,
    )
    module = ModuleProsody(
        folder / "module",
        pki,
        {DOMAINS["module"]: ""},
        daemon.http_auth_url,
        daemon.module_secret,
        _OF_MODULE.format(origin=site.origin(HOSTS["module"])),
    )
    return {"prosody": prosody, "ejabberd": ejabberd, "module": module}


def _connect(
    daemon: WebDaemon, site: WebSite, servers: Mapping[str, Server], patience: tuple[int, int]
) -> None:
    """Tell the site and the daemon of each other, and of the servers."""
    timeout, deadline = patience
    behind = {DOMAINS[name]: server for name, server in servers.items()}
    behind[DOMAINS[REFUSED]] = servers["prosody"]
    names = []
    for name, of in NAMES.items():
        server = behind[DOMAINS[of]]
        urls = server.bosh_url, server.websocket_url
        ttl = f"{BRIEF}s" if name == "brief" else "60s"
        session = _SESSIONS.get(name, "forward")
        names.append(Name(HOSTS[name], DOMAINS[of], *urls, session, ttl))
    site.serve(names, timeout)
    bosh_urls = {domain: server.bosh_url for domain, server in behind.items()}
    daemon.serve(site, bosh_urls, deadline)


@contextmanager
def running_world(
    folder: Path, *, inactivity: int = 30, patience: tuple[int, int] = PATIENT
) -> Iterator[World]:
    """All of it. `inactivity`: seconds after which ejabberd ends a session that nobody uses.
    `patience`: HASTY or PATIENT."""
    install_packages()
    pki = make_pki(folder / "tls", list(DOMAINS.values()))
    daemon, site = WebDaemon(folder / "daemon"), WebSite(folder / "site")
    servers = _make_servers(folder, pki, daemon, site, inactivity)
    _connect(daemon, site, servers, patience)
    visitors = Visitors(pki.ca)
    with ExitStack() as ends:
        with ThreadPoolExecutor() as at_once:
            starting = []
            for one in (daemon, site, *servers.values()):
                ends.callback(one.kill if isinstance(one, BoshEjabberd) else one.stop)
                starting.append(at_once.submit(one.start))
        for started in starting:
            started.result()
        browser = ends.enter_context(running_browser())
        ends.callback(visitors.close)
        yield World(daemon, servers, site, browser, visitors)
