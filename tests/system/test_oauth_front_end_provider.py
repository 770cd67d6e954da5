"""X-OAUTH2 at a real ejabberd and OAUTHBEARER at a real Prosody with access tokens of a real OpenID
provider, which authbridge asks whose they are."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import oidc_provider
from .canary import secret
from .daemon import write_private
from .ejabberd import Ejabberd
from .oauth_callers import (
    REFUSED,
    ejabberd_options,
    enter,
    look_up,
    oauthbearer,
    prosody_of,
    userinfo,
)
from .oauth_domains import ASKED, JWT, NEVER, USERINFO
from .oauth_domains import DOMAINS as ALL
from .oauth_world import EVERYTHING, OAuthWorld, running
from .pki import Pki, make_pki
from .prosody import Prosody
from .raw_http import basic
from .visitors import Visitors
from .xmpp import SESSION

#: In each of these the provider's tokens are judged in another way.
DOMAINS = {JWT: oidc_provider.JWT, ASKED: oidc_provider.OPAQUE, USERINFO: ""}
INVALID = {"status": "invalid_token"}
_SECRET = secret("ejabberd-oauth")
CREDENTIALS = basic(b"ejabberd-oauth", _SECRET)

_CLIENTS = """
[clients.ejabberd-oauth]
secret_file = "{folder}/clients/ejabberd-oauth"
may = ["oauth"]
domains = ["{asked}"]

[clients.ejabberd-everywhere]
secret_file = "{folder}/clients/ejabberd-oauth"
may = ["oauth"]
domains = ["*"]

[clients.prosody-oauth]
peers = ["127.0.0.1"]
may = ["oauth"]
domains = ["*"]
"""


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[OAuthWorld]:
    """The provider, and a daemon that ejabberd and Prosody may ask."""
    with running(workspace / "oauth-asked") as found:
        daemon = found.daemon
        write_private(daemon.folder / "clients" / "ejabberd-oauth", _SECRET + b"\n")
        clients = _CLIENTS.format(folder=daemon.folder, asked=ASKED)
        text = daemon.configuration.read_text() + clients
        write_private(daemon.configuration, text.encode())
        daemon.stop()
        found.start_daemon()
        yield found


@pytest.fixture(autouse=True)
def _up_again(world: OAuthWorld) -> Iterator[None]:
    yield
    world.restore()


@pytest.fixture(scope="module")
def hosts_pki(workspace: Path) -> Pki:
    """Certificates for the domains."""
    return make_pki(workspace / "oauth-asked-provider-tls", ALL)


@pytest.fixture
def guests(hosts_pki: Pki) -> Iterator[Visitors]:
    """Whoever logs in."""
    everybody = Visitors(hosts_pki.ca)
    yield everybody
    everybody.close()


@pytest.fixture(scope="module")
def x_oauth2_there(workspace: Path, hosts_pki: Pki, world: OAuthWorld) -> Iterator[Ejabberd]:
    """ejabberd; without its cache."""
    top = ejabberd_options(world.daemon, CREDENTIALS) + "oauth_use_cache: false\n"
    folder = workspace / "oauth-asked-ejabberd"
    server = Ejabberd(folder, hosts_pki, ALL, world.daemon.extauth_program, top=top)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def oauthbearer_there(workspace: Path, hosts_pki: Pki, world: OAuthWorld) -> Iterator[Prosody]:
    """Prosody."""
    folder = workspace / "oauth-asked-prosody"
    server = prosody_of(folder, hosts_pki, world.daemon, list(DOMAINS))
    server.start()
    yield server
    server.stop()


def test_ejabberd_takes_the_providers_token(
    x_oauth2_there: Ejabberd, guests: Visitors, world: OAuthWorld
) -> None:
    """Of the user whose it is; revoked it lets nobody in."""
    for user in ("alice", "çelik"):
        token = world.provider.issue(user, oidc_provider.OPAQUE, scope=EVERYTHING).access
        for _ in range(2):
            assert enter(guests, x_oauth2_there, f"{user}@{ASKED}", token) == SESSION
        assert enter(guests, x_oauth2_there, f"bob@{ASKED}", token) == REFUSED
        world.provider.revoke(token)
        assert enter(guests, x_oauth2_there, f"{user}@{ASKED}", token) == REFUSED
        assert world.daemon.logins()[-1]["reason"] == "token_inactive"


def test_prosody_takes_the_providers_token(
    oauthbearer_there: Prosody, guests: Visitors, world: OAuthWorld
) -> None:
    """However it is judged; the user is who the provider says."""
    for domain, resource in DOMAINS.items():
        for user in ("alice", "çelik"):
            token = world.provider.issue(user, resource, scope=EVERYTHING).access
            client = guests.connect(oauthbearer_there, domain)
            assert oauthbearer(client, token) == SESSION
            assert client.bind() == f"{user}@{domain}/tests"
            login = world.daemon.logins()[-1]
            assert (login["operation"], login["reason"]) == ("oauth", "token_valid")


def test_what_the_provider_did_not_give_out_for_the_chat_is_refused(
    oauthbearer_there: Prosody, guests: Visitors, world: OAuthWorld
) -> None:
    """Another audience, another scope, an ID token, somebody of `never`, another provider's."""
    provider = world.provider
    tokens = provider.issue("alice", oidc_provider.JWT, scope=EVERYTHING)
    wrong = {
        provider.issue("alice", oidc_provider.ELSEWHERE).access: "token_audience_wrong",
        provider.issue("alice", oidc_provider.JWT, scope="openid").access: "token_scope_missing",
        provider.issue(NEVER, oidc_provider.JWT).access: "token_never",
        provider.issue("Alice", oidc_provider.JWT).access: "token_user_wrong",
        provider.issue("alice", scope=EVERYTHING, nonce="n").identity: "token_type_wrong",
        world.other.issue("alice", oidc_provider.JWT).access: "no_checker",
    }
    client = guests.connect(oauthbearer_there, JWT)
    for token, reason in wrong.items():
        assert oauthbearer(client, token) == INVALID
        assert world.daemon.logins()[-1]["reason"] == reason
    assert oauthbearer(client, tokens.access) == SESSION


def test_while_the_provider_is_gone_it_cannot_be_told(
    oauthbearer_there: Prosody, guests: Visitors, world: OAuthWorld
) -> None:
    """In the words of each; afterwards its next token is good. (It has forgotten the first.)"""
    token = world.provider.issue("alice", oidc_provider.OPAQUE).access
    world.provider.stop()
    client = guests.connect(oauthbearer_there, ASKED)
    assert oauthbearer(client, token) == {"status": "server_error"}
    status, body = look_up(world.daemon, token, CREDENTIALS)
    assert (status, json.loads(body)["error"]) == (503, "temporarily_unavailable")
    assert userinfo(world.daemon, token, ASKED)[0] == 503
    world.provider.start()
    token = world.provider.issue("alice", oidc_provider.OPAQUE).access
    assert oauthbearer(client, token) == SESSION
    status, body = look_up(world.daemon, token, CREDENTIALS)
    said = json.loads(body)
    assert (status, said["user"]) == (200, f"alice@{ASKED}")
    assert said["expire"] <= time.time() + 60


def test_token_that_is_good_in_two_domains_is_nobodys(world: OAuthWorld) -> None:
    """Where the caller does not say of which domain the user is, nor does the token."""
    token = world.provider.issue("alice", oidc_provider.OPAQUE).access
    everywhere = basic(b"ejabberd-everywhere", _SECRET)
    assert look_up(world.daemon, token, everywhere) == (404, b"{}")
    assert world.daemon.logins()[-1]["reason"] == "user_ambiguous"
    assert look_up(world.daemon, token, CREDENTIALS)[0] == 200
