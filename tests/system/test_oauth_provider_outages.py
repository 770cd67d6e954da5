"""A provider that has died, hangs, shows a wrong certificate, has new keys or a new secret: what is
known of it goes on, and nobody is told that his token is wrong."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from . import oauth_domains, oidc_provider
from .calls import CANNOT_TELL, NO, YES, check_password, explain, extauth, said
from .daemon import Daemon
from .oauth_domains import ASKED, GRANT, JWT, POSTED, USERINFO, hasty
from .oauth_world import EVERYTHING, USERS, OAuthWorld, running
from .oidc_provider import BASIC, OidcProvider
from .pki import Pki, make_pki
from .prosody import Prosody
from .test_directory_explained import steps
from .test_directory_logins import REFUSED
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import SESSION

#: What ejabberd is told of an outage, by default.
CANNOT_TELL_EXTAUTH = b"\0\2"
UNAVAILABLE = ("unavailable", "provider_unreachable")


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[OAuthWorld]:
    with running(workspace / "oauth-outages", (POSTED, USERINFO, GRANT)) as found:
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


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "oauth-outages-tls", oauth_domains.DOMAINS)


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, shared_world: OAuthWorld) -> Iterator[Prosody]:
    daemon = shared_world.daemon
    server = Prosody(
        workspace / "oauth-outages-prosody",
        pki,
        oauth_domains.DOMAINS,
        daemon.http_auth_url,
        daemon.http_auth_credentials,
    )
    server.start()
    yield server
    server.stop()


def as_it_is(domain: str) -> str:
    return domain


def works(daemon: Daemon, provider: OidcProvider, of: Callable[[str], str] = as_it_is) -> bool:
    """Whether each way works now, with tokens that are new. `of`: which domain for one of them."""
    opaque = provider.issue("alice", scope=EVERYTHING).access
    signed = provider.issue("alice", oidc_provider.JWT).access
    answers = [
        check_password(daemon, f"alice@{domain}", token)
        for domain, token in (
            (JWT, signed),
            (of(POSTED), opaque),
            (of(USERINFO), opaque),
            (of(GRANT), USERS["alice"]),
        )
    ]
    return answers == [YES] * len(answers)


def check_away(
    daemon: Daemon,
    provider: OidcProvider,
    opaque: bytes,
    signed: bytes,
    of: Callable[[str], str] = as_it_is,
) -> None:
    """What needs an answer of the provider cannot be told, right or wrong; the rest can."""
    asked = (
        (POSTED, opaque),
        (USERINFO, opaque),
        (GRANT, opaque),
        (GRANT, USERS["alice"]),
        (GRANT, b"wrong"),
    )
    mark = len(daemon.logins())

    def ask(question: tuple[str, bytes]) -> int:
        return check_password(daemon, f"alice@{of(question[0])}", question[1])[0]

    with ThreadPoolExecutor(len(asked)) as at_once:
        assert list(at_once.map(ask, asked)) == [CANNOT_TELL] * len(asked)
    found = [(login["verdict"], login["reason"]) for login in daemon.logins()[mark:]]
    assert found == [UNAVAILABLE] * len(asked)
    assert check_password(daemon, f"alice@{JWT}", signed) == YES
    assert check_password(daemon, f"bob@{JWT}", signed) == NO


@pytest.mark.parametrize("ends", [OidcProvider.kill, OidcProvider.stop])
def test_provider_that_is_down_is_an_outage_and_its_keys_stay_in_force(
    world: OAuthWorld,
    prosody: Prosody,
    visitors: Visitors,
    ends: Callable[[OidcProvider], None],
) -> None:
    daemon, provider = world.daemon, world.provider
    opaque = provider.issue("alice", scope=EVERYTHING).access
    signed = provider.issue("alice", oidc_provider.JWT).access
    # There are connections that were used and are kept.
    assert visitors.login(prosody, f"alice@{POSTED}", opaque) == SESSION
    ends(provider)
    check_away(daemon, provider, opaque, signed)
    assert visitors.login(prosody, f"alice@{POSTED}", opaque) == REFUSED
    assert visitors.login(prosody, f"alice@{JWT}", signed) == SESSION
    assert extauth(daemon, b"auth", b"alice", POSTED.encode(), opaque) == CANNOT_TELL_EXTAUTH
    words = explain(daemon, f"alice@{POSTED}", opaque).stdout
    assert "refused" in steps(words)["fault"]
    provider.start()
    assert works(daemon, provider)
    # It has forgotten what it issued.
    assert check_password(daemon, f"alice@{POSTED}", opaque) == NO
    assert said(daemon, f"alice@{POSTED}") == ("rejected", "token_inactive")


def test_provider_that_hangs_is_an_outage_and_others_log_in_meanwhile(
    daemon: Daemon, provider: OidcProvider
) -> None:
    opaque = provider.issue("alice", scope=EVERYTHING).access
    signed = provider.issue("alice", oidc_provider.JWT).access
    # A second is little for a machine that is busy, and enough once.
    wait_until(lambda: works(daemon, provider, hasty), "each way works")
    provider.process.pause()
    check_away(daemon, provider, opaque, signed, hasty)
    provider.process.resume()
    wait_until(lambda: works(daemon, provider, hasty), "each way works again")
    assert check_password(daemon, f"alice@{POSTED}", opaque) == YES


@pytest.mark.parametrize(
    ("pki", "words"),
    [("strangers_pki", "the authority"), ("misnamed_pki", "but for elsewhere.example")],
)
def test_provider_with_a_wrong_certificate_is_told_no_token_and_no_secret(
    world: OAuthWorld, pki: str, words: str
) -> None:
    daemon, provider = world.daemon, world.provider
    opaque = provider.issue("alice", scope=EVERYTHING).access
    signed = provider.issue("alice", oidc_provider.JWT).access
    provider.stop()
    provider.start(getattr(world, pki))
    check_away(daemon, provider, opaque, signed)
    told = explain(daemon, f"alice@{POSTED}", opaque).stdout
    assert "certificate" in steps(told)["fault"]
    assert words in steps(told)["fault"]
    provider.stop()
    provider.start()
    assert works(daemon, provider)


def test_provider_that_refuses_our_secret_is_an_outage_and_says_so(
    daemon: Daemon, provider: OidcProvider
) -> None:
    kept = provider.secrets[BASIC]
    provider.secrets[BASIC] = provider.secrets[oidc_provider.POST]
    try:
        provider.stop()
        provider.start()
        token = provider.issue("alice", oidc_provider.OPAQUE).access
        for domain, password in ((ASKED, token), (GRANT, USERS["alice"])):
            assert check_password(daemon, f"alice@{domain}", password)[0] == CANNOT_TELL
            assert said(daemon, f"alice@{domain}") == ("unavailable", "provider_refused")
        told = explain(daemon, f"alice@{ASKED}", token).stdout
        assert "invalid_client" in steps(told)["fault"]
    finally:
        provider.secrets[BASIC] = kept
        provider.stop()
        provider.start()
    assert works(daemon, provider)


def test_new_keys_of_the_provider_are_fetched_when_a_token_needs_them(
    daemon: Daemon, provider: OidcProvider
) -> None:
    before = provider.issue("alice", oidc_provider.JWT).access
    assert check_password(daemon, f"alice@{JWT}", before) == YES
    provider.stop()
    provider.new_keys()
    provider.start()
    after = provider.issue("alice", oidc_provider.JWT).access
    # Fetched a moment ago, they are not fetched again for a key that there may never have been.
    wait_until(
        lambda: check_password(daemon, f"alice@{JWT}", after) == YES, "the new keys are there"
    )

    def told_of_the_old_one() -> tuple[int, bytes] | None:
        """Ten seconds after that they would be fetched again for it first."""
        answer = check_password(daemon, f"alice@{JWT}", before)
        return None if answer[0] == CANNOT_TELL else answer

    assert wait_until(told_of_the_old_one, "it can be told") == NO
    assert said(daemon, f"alice@{JWT}") == ("rejected", "token_key_unknown")


def test_daemon_that_starts_without_its_provider_works_when_it_is_there(
    daemon: Daemon, provider: OidcProvider
) -> None:
    opaque = provider.issue("alice", scope=EVERYTHING).access
    signed = provider.issue("alice", oidc_provider.JWT).access
    daemon.stop()
    provider.stop()
    daemon.start()
    for domain, token, reason in (
        (JWT, signed, "keys_unavailable"),
        (POSTED, opaque, "provider_unreachable"),
        (USERINFO, opaque, "provider_unreachable"),
    ):
        assert check_password(daemon, f"alice@{domain}", token)[0] == CANNOT_TELL
        assert said(daemon, f"alice@{domain}") == ("unavailable", reason)
    provider.start()
    wait_until(lambda: works(daemon, provider), "the provider is found")


def test_outage_is_in_the_log_once_with_the_provider_s_name(world: OAuthWorld) -> None:
    daemon, provider = world.daemon, world.provider
    opaque = provider.issue("alice", scope=EVERYTHING).access
    daemon.stop()
    world.start_daemon()  # with the provider's keys, which have lines of their own
    assert check_password(daemon, f"alice@{POSTED}", opaque) == YES
    mark = len(daemon.log.read_text())
    provider.kill()
    for _ in range(5):
        assert check_password(daemon, f"alice@{POSTED}", opaque)[0] == CANNOT_TELL
    daemon.logins()
    lines = daemon.log.read_text()[mark:].splitlines()
    (told,) = [line for line in lines if f"provider {provider.issuer}: " in line]
    assert "/token/introspection" in told
    assert "refused" in told
