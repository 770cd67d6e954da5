"""Logins at ejabberd and Prosody with access tokens of a real OpenID provider."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from . import oauth_domains, oidc_provider
from .calls import said
from .daemon import Daemon
from .ejabberd import Ejabberd
from .oauth_domains import ASKED, GRANT, JWT, KEYCLOAK, POSTED, USERINFO
from .oauth_world import EVERYTHING, USERS, OAuthWorld, running
from .oidc_provider import CHAT, STRANGE, OidcProvider
from .pki import Pki, make_pki
from .prosody import Prosody
from .test_directory_logins import REFUSED
from .visitors import Server, Visitors
from .waiting import wait_until
from .xmpp import SESSION


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[OAuthWorld]:
    with running(workspace / "oauth") as found:
        yield found


@pytest.fixture
def provider(world: OAuthWorld) -> OidcProvider:
    return world.provider


@pytest.fixture
def daemon(world: OAuthWorld) -> Daemon:
    return world.daemon


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "oauth-tls", oauth_domains.DOMAINS)


@pytest.fixture(scope="module")
def oauth_ejabberd(workspace: Path, pki: Pki, world: OAuthWorld) -> Iterator[Ejabberd]:
    folder = workspace / "oauth-ejabberd"
    server = Ejabberd(folder, pki, oauth_domains.DOMAINS, world.daemon.extauth_program)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def oauth_prosody(workspace: Path, pki: Pki, world: OAuthWorld) -> Iterator[Prosody]:
    server = Prosody(
        workspace / "oauth-prosody",
        pki,
        oauth_domains.DOMAINS,
        world.daemon.http_auth_url,
        world.daemon.http_auth_credentials,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["oauth_ejabberd", "oauth_prosody"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def test_each_way_lets_a_user_in_with_his_token(
    server: Server, visitors: Visitors, daemon: Daemon, provider: OidcProvider
) -> None:
    ways = (
        (JWT, oidc_provider.JWT),
        (JWT, oidc_provider.ES256),
        (KEYCLOAK, oidc_provider.KEYCLOAK),
        (ASKED, oidc_provider.OPAQUE),
        (POSTED, ""),
        (USERINFO, ""),
        (GRANT, ""),
    )
    for user in ("alice", "çelik"):
        for domain, resource in ways:
            jid = f"{user}@{domain}"
            token = provider.issue(user, resource, scope=EVERYTHING).access
            assert visitors.login(server, jid, token) == SESSION
            assert said(daemon, jid) == ("accepted", "token_valid")
            signer = daemon.logins(jid)[-1]["signer"]
            assert signer.partition("#")[0] == provider.issuer


def refused_as_jwt(world: OAuthWorld) -> dict[str, tuple[bytes, str]]:
    """Tokens for alice at JWT, each with the reason for which it is refused."""
    provider, other = world.provider, world.other
    tokens = provider.issue("alice", scope=EVERYTHING, nonce="n")
    good = provider.issue("alice", oidc_provider.JWT).access
    head, _, signature = good.split(b".")
    foreign_payload = provider.issue("bob", oidc_provider.JWT).access.split(b".")[1]
    made = {
        "another audience": (oidc_provider.ELSEWHERE, "token_audience_wrong"),
        "expired": (oidc_provider.OVER, "token_expired"),
        "not yet": (oidc_provider.EARLY, "token_not_yet_valid"),
        "of no type": (oidc_provider.KEYCLOAK, "token_type_wrong"),
        "names another issuer": (oidc_provider.FOREIGN, "no_checker"),
        "opaque": (oidc_provider.OPAQUE, "no_checker"),
    }
    issued = {
        name: (provider.issue("alice", resource).access, reason)
        for name, (resource, reason) in made.items()
    }
    scope = provider.issue("alice", oidc_provider.JWT, scope="openid mail").access
    return issued | {
        "another scope": (scope, "token_scope_missing"),
        "another user's": (provider.issue("bob", oidc_provider.JWT).access, "token_user_wrong"),
        "a capital's": (provider.issue("Alice", oidc_provider.JWT).access, "token_user_wrong"),
        "ID token": (tokens.identity, "token_type_wrong"),
        "refresh token": (tokens.refresh, "no_checker"),
        "another provider's": (other.issue("alice", oidc_provider.JWT).access, "no_checker"),
        "another provider's, in our name": (
            other.issue("alice", oidc_provider.FOREIGN).access,
            "token_signature_wrong",
        ),
        "another's payload": (
            b".".join((head, foreign_payload, signature)),
            "token_signature_wrong",
        ),
    }


def refused_when_asked(world: OAuthWorld) -> dict[str, tuple[bytes, str]]:
    """The same at ASKED."""
    provider, other = world.provider, world.other
    tokens = provider.issue("alice", scope=EVERYTHING)
    short = provider.issue("alice", oidc_provider.SHORT).access
    revoked = provider.issue("alice", oidc_provider.OPAQUE).access
    provider.revoke(revoked)
    wait_until(lambda: not provider.introspect(short)["active"], "the token has ended")
    elsewhere = provider.issue("alice", oidc_provider.OPAQUE_ELSEWHERE).access
    scope = provider.issue("alice", oidc_provider.OPAQUE, scope="openid mail").access
    return {
        "expired": (short, "token_inactive"),
        "revoked": (revoked, "token_inactive"),
        "another audience": (elsewhere, "token_audience_wrong"),
        "no audience": (tokens.access, "token_audience_wrong"),
        "another scope": (scope, "token_scope_missing"),
        "another user's": (provider.issue("bob", oidc_provider.OPAQUE).access, "token_user_wrong"),
        "a capital's": (provider.issue("Alice", oidc_provider.OPAQUE).access, "token_user_wrong"),
        "ID token": (tokens.identity, "token_inactive"),
        "another provider's": (other.issue("alice", oidc_provider.OPAQUE).access, "token_inactive"),
        "another provider's, signed": (
            other.issue("alice", oidc_provider.JWT).access,
            "no_checker",
        ),
    }


def refused_of_userinfo(world: OAuthWorld) -> dict[str, tuple[bytes, str]]:
    """The same at USERINFO."""
    provider, other = world.provider, world.other
    tokens = provider.issue("alice", scope=EVERYTHING)
    revoked = provider.issue("alice", scope=EVERYTHING).access
    provider.revoke(revoked)
    return {
        "revoked": (revoked, "token_inactive"),
        "ID token": (tokens.identity, "token_inactive"),
        "refresh token": (tokens.refresh, "token_inactive"),
        "no word of who": (provider.issue("alice", scope="xmpp").access, "token_scope_missing"),
        "no name": (provider.issue("alice").access, "token_claim_missing"),
        "another user's": (provider.issue("bob", scope=EVERYTHING).access, "token_user_wrong"),
        "another provider's": (other.issue("alice", scope=EVERYTHING).access, "token_inactive"),
    }


def check_refused(
    server: Server,
    visitors: Visitors,
    daemon: Daemon,
    jid: str,
    tokens: Mapping[str, tuple[bytes, str]],
) -> None:
    found = {}
    for name, (token, _) in tokens.items():
        assert visitors.login(server, jid, token) == REFUSED, name
        found[name] = said(daemon, jid)
    assert found == {name: ("rejected", reason) for name, (_, reason) in tokens.items()}


def test_signed_token_that_is_not_for_this_user_here_now_is_refused(
    server: Server, visitors: Visitors, world: OAuthWorld
) -> None:
    tokens = refused_as_jwt(world)
    check_refused(server, visitors, world.daemon, f"alice@{JWT}", tokens)


def test_token_that_the_provider_says_is_not_for_this_user_here_now_is_refused(
    server: Server, visitors: Visitors, world: OAuthWorld
) -> None:
    tokens = refused_when_asked(world)
    check_refused(server, visitors, world.daemon, f"alice@{ASKED}", tokens)


def test_token_of_whose_user_the_provider_does_not_tell_is_refused(
    server: Server, visitors: Visitors, world: OAuthWorld
) -> None:
    tokens = refused_of_userinfo(world)
    check_refused(server, visitors, world.daemon, f"alice@{USERINFO}", tokens)


def test_token_of_another_application_or_of_another_kind_is_refused(
    server: Server, visitors: Visitors, world: OAuthWorld
) -> None:
    strange = world.provider.issue("alice", scope=EVERYTHING, client=STRANGE)
    check_refused(
        server,
        visitors,
        world.daemon,
        f"alice@{POSTED}",
        {"of another application": (strange.access, "token_audience_wrong")},
    )
    kinds = {
        resource: (world.provider.issue("alice", resource, client=client).access, reason)
        for resource, client, reason in (
            (oidc_provider.KEYCLOAK_ID, CHAT, "token_type_wrong"),
            (oidc_provider.KEYCLOAK_REFRESH, CHAT, "token_type_wrong"),
            (oidc_provider.JWT, STRANGE, "token_audience_wrong"),
        )
    }
    check_refused(server, visitors, world.daemon, f"alice@{KEYCLOAK}", kinds)


def test_password_is_right_where_the_provider_gives_a_token_for_it(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    for user in ("alice", "çelik"):
        jid = f"{user}@{GRANT}"
        assert visitors.login(server, jid, USERS[user]) == SESSION
        assert said(daemon, jid) == ("accepted", "password_matches")
    # Of who has a capital in the name the password is right, and the name no JID's.
    for password in (USERS["bob"], USERS["Alice"], b"&username=bob&password=" + USERS["bob"]):
        assert visitors.login(server, f"alice@{GRANT}", password) == REFUSED
        assert said(daemon, f"alice@{GRANT}") == ("rejected", "password_mismatch")
