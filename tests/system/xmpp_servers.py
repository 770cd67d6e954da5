"""XMPP servers for the domains of a module's own daemon, and who comes to them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .daemon import Daemon
from .ejabberd import Ejabberd
from .pki import make_pki
from .prosody import Prosody
from .visitors import Visitors
from .xmpp import Client


@dataclass(frozen=True)
class XmppServers:
    """One of each kind."""

    ejabberd: Ejabberd
    prosody: Prosody
    visitors: Visitors

    def server(self, name: str) -> Ejabberd | Prosody:
        """ "ejabberd" or "prosody"."""
        return self.ejabberd if name == "ejabberd" else self.prosody

    def login(self, name: str, jid: str, password: bytes) -> str:
        """One login at the server of this name, and its outcome."""
        return self.visitors.login(self.server(name), jid, password)

    def enter(self, name: str, jid: str, password: bytes) -> Client:
        """A client logged in there."""
        return self.visitors.enter(self.server(name), jid, password)

    def connect(self, name: str, domain: str) -> Client:
        """One that is not."""
        return self.visitors.connect(self.server(name), domain)


@contextmanager
def running_servers(folder: Path, domains: Sequence[str], daemon: Daemon) -> Iterator[XmppServers]:
    """Both, which ask this daemon."""
    pki = make_pki(folder / "tls", domains)
    url, credentials = daemon.http_auth_url, daemon.http_auth_credentials
    ejabberd = Ejabberd(folder / "ejabberd", pki, domains, daemon.extauth_program)
    prosody = Prosody(folder / "prosody", pki, domains, url, credentials)
    visitors = Visitors(pki.ca)
    with ExitStack() as ends:
        with ThreadPoolExecutor() as at_once:
            # An orderly stop of ejabberd takes a second.
            ends.callback(prosody.stop)
            ends.callback(ejabberd.kill)
            starting = [at_once.submit(server.start) for server in (ejabberd, prosody)]
        for one in starting:
            one.result()
        ends.callback(visitors.close)
        yield XmppServers(ejabberd, prosody, visitors)
