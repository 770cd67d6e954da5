"""What the daemon makes of a provider's tokens beyond yes and no: answers that it keeps, users whom
no token is accepted for, what is shown to nobody; and what it tells an administrator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authbridge.cli.explain import ask_there
from authbridge.secret import Secret

from . import oidc_provider
from .calls import CANNOT_TELL, NO, YES, check_password, explain, probe, said, user_exists
from .daemon import Daemon
from .oauth_domains import ASKED, CACHED, DOMAINS, GRANT, JWT, NEVER, POSTED, USERINFO
from .oauth_world import EVERYTHING, USERS, OAuthWorld, running
from .oidc_provider import SIGNED, OidcProvider
from .waiting import wait_until


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[OAuthWorld]:
    with running(workspace / "oauth-rules") as found:
        yield found


@pytest.fixture
def world(shared_world: OAuthWorld) -> Iterator[OAuthWorld]:
    yield shared_world
    shared_world.restore()


@pytest.fixture
def provider(world: OAuthWorld) -> OidcProvider:
    return world.provider


@pytest.fixture
def daemon(world: OAuthWorld) -> Daemon:
    return world.daemon


def test_refresh_token_is_no_access_token(daemon: Daemon, provider: OidcProvider) -> None:
    """The provider says that it is active, whose it is and what it may do, and not what it is."""
    tokens = provider.issue("alice", scope=EVERYTHING)
    for domain in (POSTED, GRANT, ASKED):
        assert check_password(daemon, f"alice@{domain}", tokens.refresh) == NO, domain
        assert said(daemon, f"alice@{domain}") == ("rejected", "token_type_wrong"), domain
    assert check_password(daemon, f"alice@{POSTED}", tokens.access) == YES


def test_yes_counts_for_a_while_and_for_this_token_alone(
    daemon: Daemon, provider: OidcProvider
) -> None:
    jid = f"alice@{CACHED}"
    kept, other = (provider.issue("alice", oidc_provider.OPAQUE).access for _ in range(2))
    assert check_password(daemon, jid, kept) == YES
    provider.kill()
    assert check_password(daemon, jid, kept) == YES
    assert check_password(daemon, f"bob@{CACHED}", kept) == NO
    assert said(daemon, f"bob@{CACHED}") == ("rejected", "token_user_wrong")
    assert check_password(daemon, jid, other)[0] == CANNOT_TELL


def test_yes_counts_no_longer_than_the_token(daemon: Daemon, provider: OidcProvider) -> None:
    jid = f"alice@{CACHED}"

    def accepted() -> bytes:
        # One that is good for a second may be over by now.
        token = provider.issue("alice", oidc_provider.SHORT).access
        return token if check_password(daemon, jid, token) == YES else b""

    short = wait_until(accepted, "a token is shown in time")
    wait_until(lambda: check_password(daemon, jid, short) == NO, "the token has ended")
    assert said(daemon, jid) == ("rejected", "token_inactive")


def test_revoked_token_counts_as_long_as_the_answer_before(
    daemon: Daemon, provider: OidcProvider
) -> None:
    token = provider.issue("alice", oidc_provider.OPAQUE).access
    for domain in (CACHED, ASKED):
        assert check_password(daemon, f"alice@{domain}", token) == YES
    provider.revoke(token)
    assert check_password(daemon, f"alice@{ASKED}", token) == NO
    assert check_password(daemon, f"alice@{CACHED}", token) == YES


def test_never_stops_every_token_of_a_user_and_not_his_password(
    daemon: Daemon, provider: OidcProvider
) -> None:
    opaque = provider.issue(NEVER, scope=EVERYTHING).access
    signed = provider.issue(NEVER, oidc_provider.JWT).access
    for domain, token in ((JWT, signed), (POSTED, opaque), (USERINFO, opaque), (GRANT, opaque)):
        assert check_password(daemon, f"{NEVER}@{domain}", token) == NO
        assert said(daemon, f"{NEVER}@{domain}") == ("rejected", "token_never")
    assert check_password(daemon, f"{NEVER}@{GRANT}", USERS[NEVER]) == YES


def test_what_is_no_token_is_shown_to_nobody(daemon: Daemon, provider: OidcProvider) -> None:
    """It may be anybody's password; and one that could not stand in a header is in none."""
    provider.kill()
    for domain in (JWT, ASKED, USERINFO):
        for password in (USERS["alice"], b"hunter2", b"x" * 42, b"x" * 44):
            assert check_password(daemon, f"alice@{domain}", password) == NO
            assert said(daemon, f"alice@{domain}") == ("rejected", "no_checker")
    for password in (
        b"token\r\nX-Injected: yes",
        b"token&client_id=chat-app",
        b"token\n",
        "tökén".encode(),
        b"x" * 9000,
    ):
        assert check_password(daemon, f"alice@{POSTED}", password) == NO
        assert said(daemon, f"alice@{POSTED}") == ("rejected", "token_malformed")


def test_signed_answer_of_a_provider_is_no_answer(daemon: Daemon, provider: OidcProvider) -> None:
    """What it tells this application of a user comes as a JSON Web Token."""
    token = provider.issue("alice", scope=EVERYTHING, client=SIGNED).access
    assert check_password(daemon, f"alice@{USERINFO}", token)[0] == CANNOT_TELL
    assert said(daemon, f"alice@{USERINFO}") == ("unavailable", "provider_failed")


def test_a_provider_tells_nothing_of_who_exists(daemon: Daemon) -> None:
    for domain in DOMAINS:
        assert user_exists(daemon, f"nobody@{domain}") == YES  # by exists = "always"


def test_login_is_explained_with_what_the_provider_said(
    daemon: Daemon, provider: OidcProvider
) -> None:
    opaque = provider.issue("alice", scope=EVERYTHING).access
    signed = provider.issue("alice", oidc_provider.JWT).access
    elsewhere = provider.issue("alice", oidc_provider.ELSEWHERE).access
    control = str(daemon.folder / "run" / "control.sock")
    for domain, token, step, words in (
        (JWT, signed, "provider's user", "'alice'"),
        (JWT, elsewhere, "refused", "https://mail.example"),
        (ASKED, opaque, "refused", "`aud` is not there"),
        (POSTED, opaque, "introspection", "answered with 200"),
        (USERINFO, opaque, "userinfo", "answered with 200"),
        (GRANT, USERS["alice"], "password grant", "answered with 200"),
        (GRANT, b"wrong", "password grant", "answered with 400"),
    ):
        told = ask_there(control, f"alice@{domain}", Secret(token))["login"]["steps"]
        assert words in dict(told)[step], told
    # Asked for the reasons, it asks anew.
    token = provider.issue("alice", oidc_provider.OPAQUE).access
    assert check_password(daemon, f"alice@{CACHED}", token) == YES
    provider.revoke(token)
    assert "token_inactive" in explain(daemon, f"alice@{CACHED}", token).stdout


def test_provider_is_probed_with_tokens_that_are_none(
    daemon: Daemon, provider: OidcProvider
) -> None:
    told = probe(daemon)
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.count("answers\n") == len(DOMAINS)
    for words in (
        "'ES256-1', 'RS256-1'",
        "introspection   a made-up token is none",
        "userinfo        a made-up token is none",
        "password grant  a made-up user is nobody",
    ):
        assert words in told.stdout
    provider.kill()
    told = probe(daemon)
    assert told.returncode == 3
    assert f"{provider.port}" in told.stdout + told.stderr
