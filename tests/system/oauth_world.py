"""Two OpenID providers, and a daemon that asks the first of them in each way there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import oauth_domains, oidc_provider
from .calls import YES, check_password
from .canary import secret
from .daemon import Daemon
from .oauth_domains import JWT, KEYCLOAK, NEVER
from .oidc_provider import OidcProvider
from .pki import Pki, make_pki
from .waiting import wait_until

#: Two of them have names that differ by a capital, as a provider's users may.
USERS = {
    "alice": secret("wonderland"),
    "Alice": secret("looking-glass"),
    "çelik": secret("pässwörd +&=% ✓"),
    "bob": secret("builder"),
    NEVER: secret("administrator"),
}
#: All that an application may ask for.
EVERYTHING = "openid profile offline_access xmpp"


@dataclass(frozen=True)
class OAuthWorld:
    """All of it, running."""

    provider: OidcProvider
    other: OidcProvider
    """With users, applications and audiences of the same names; its tokens for
    `oidc_provider.FOREIGN` say that they are the first one's."""
    daemon: Daemon
    strangers_pki: Pki
    misnamed_pki: Pki
    """Of an authority that is trusted, for a server of another name."""
    """Of the same names as the provider's, by an authority that nobody trusts."""

    def restore(self) -> None:
        """Up and running, whatever a test has done to it."""
        self.provider.restore()
        if self.daemon.running:
            self.daemon.restore()
        else:
            self.start_daemon()

    def start_daemon(self) -> None:
        """And wait until it has the provider's keys, which no login waits for."""
        self.daemon.start()
        for domain, resource in ((JWT, oidc_provider.JWT), (KEYCLOAK, oidc_provider.KEYCLOAK)):
            jid, token = f"alice@{domain}", self.provider.issue("alice", resource).access
            wait_until(
                lambda: check_password(self.daemon, jid, token) == YES,  # noqa: B023
                "the keys are fetched",
            )


@contextmanager
def running(folder: Path, in_haste: Sequence[str] = ()) -> Iterator[OAuthWorld]:
    """All of it, as long as the block runs; with these domains as `hasty` ones as well."""
    names, addresses = ["localhost"], ["127.0.0.1"]
    pki = make_pki(folder / "provider-tls", names, addresses)
    strangers_pki = make_pki(folder / "strangers-tls", names, addresses)
    misnamed_pki = make_pki(
        folder / "misnamed-tls", ["elsewhere.example"], authority="another that is trusted"
    )
    with pki.ca.open("ab") as trusted:
        trusted.write(misnamed_pki.ca.read_bytes())
    provider = OidcProvider(folder / "provider", pki, USERS)
    other = OidcProvider(folder / "other", pki, USERS, foreign=provider.issuer)
    with ExitStack() as started:
        for server in (provider, other):
            server.start()
            started.callback(server.stop)
            started.callback(server.restore)
        others = oauth_domains.configuration(provider, in_haste)
        daemon = Daemon(folder / "daemon", (), others=others)
        world = OAuthWorld(provider, other, daemon, strangers_pki, misnamed_pki)
        started.callback(daemon.stop)
        started.callback(daemon.restore)
        world.start_daemon()
        yield world
