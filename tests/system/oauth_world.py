"""Two OpenID providers, and a daemon that asks the first of them in each way there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import oauth_domains
from .canary import secret
from .daemon import Daemon
from .oauth_domains import NEVER
from .oidc_provider import OidcProvider
from .pki import Pki, make_pki

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
        self.daemon.restore()


@contextmanager
def running(folder: Path) -> Iterator[OAuthWorld]:
    """All of it, as long as the block runs."""
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
        daemon = Daemon(folder / "daemon", (), others=oauth_domains.configuration(provider))
        daemon.start()
        started.callback(daemon.stop)
        started.callback(daemon.restore)
        yield OAuthWorld(provider, other, daemon, strangers_pki, misnamed_pki)
