"""exists = "seen": a user exists as soon as he has logged in, and as long as anybody remembers."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer

from .calls import CANNOT_TELL, NO, YES, explain, extauth, said, user_exists
from .daemon import write_private
from .token_site import DOMAIN, TokenSite
from .waiting import wait_until

_names = (f"seen-{number}@{DOMAIN}" for number in count())
EXTAUTH_YES, EXTAUTH_NO, EXTAUTH_ERROR = b"\0\1", b"\0\0", b"\0\2"


class SeeingSite(TokenSite):
    """The daemon; who exists is who was there."""

    def __init__(self, folder: Path, state: str | None = None, isuser: str = "") -> None:
        super().__init__(folder, state)
        text = self.configuration.read_text().replace('exists = "always"', 'exists = "seen"')
        if isuser:
            text = text.replace(
                "[extauth]\n", f'[extauth]\non_unavailable = {{ isuser = "{isuser}" }}\n'
            )
        write_private(self.configuration, text.encode())

    def log_in(self, jid: str) -> None:
        """With a token that is made for it."""
        assert self.accepts(self.issue(jid))

    def isuser(self, jid: str) -> bytes:
        """What ejabberd is told."""
        local, _, domain = jid.encode().partition(b"@")
        return extauth(self, b"isuser", local, domain)

    def exists(self, jid: str) -> bool:
        """What both servers are told."""
        answer = user_exists(self, jid)
        assert answer in (YES, NO)
        assert self.isuser(jid) == (EXTAUTH_YES if answer == YES else EXTAUTH_NO)
        return answer == YES


@pytest.fixture(scope="module")
def redis(workspace: Path) -> Iterator[RedisServer]:
    """For those that keep it there."""
    server = RedisServer(workspace / "seen-redis")
    yield server
    server.stop()


def _running(site: SeeingSite) -> Iterator[SeeingSite]:
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="module")
def with_file(workspace: Path) -> Iterator[SeeingSite]:
    """A daemon with a file."""
    yield from _running(SeeingSite(workspace / "seen-file"))


@pytest.fixture(scope="module")
def with_redis(workspace: Path, redis: RedisServer) -> Iterator[SeeingSite]:
    """A daemon with Redis."""
    yield from _running(SeeingSite(workspace / "seen-one", f"redis://127.0.0.1:{redis.port}/0"))


@pytest.fixture(scope="module")
def another(workspace: Path, redis: RedisServer) -> Iterator[SeeingSite]:
    """Another daemon with the same; it does not take an outage for a yes."""
    state = f"redis://127.0.0.1:{redis.port}/0"
    yield from _running(SeeingSite(workspace / "seen-two", state, isuser="error"))


@pytest.fixture(params=["with_file", "with_redis"])
def site(request: pytest.FixtureRequest) -> SeeingSite:
    """Each in turn."""
    found: SeeingSite = request.getfixturevalue(request.param)
    return found


def test_user_exists_from_his_first_login_on(site: SeeingSite) -> None:
    """Nobody else does with him."""
    jid, other = next(_names), next(_names)
    assert not site.exists(jid)
    assert said(site, jid) == ("rejected", "user_unknown")
    site.log_in(jid)
    assert site.exists(jid)
    assert not site.exists(other)


def test_neither_a_token_nor_a_refused_login_nor_an_explained_one_is_a_login(
    site: SeeingSite,
) -> None:
    """There has to have been a session."""
    jid, other = next(_names), next(_names)
    token = site.issue(jid)
    assert site.use(other, token).body == b"false"
    told = explain(site, jid, token.octets)
    assert "Login: accepted" in told.stdout
    assert token.octets.decode() not in told.stdout + told.stderr
    assert not site.exists(jid)
    assert not site.exists(other)
    assert site.accepts(token)
    assert site.exists(jid)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_who_was_there_still_exists_after_a_restart(site: SeeingSite, how: str) -> None:
    """He is in the state, once anybody but this process could say so."""
    jid, other = next(_names), next(_names)
    site.log_in(jid)
    assert site.exists(jid)
    # What is asked of the state now comes behind what it was told of him.
    site.listed(jid)
    site.stop() if how == "stop" else site.kill()
    site.start()
    assert site.exists(jid)
    assert not site.exists(other)


def test_who_was_at_one_daemon_exists_at_the_other(
    with_redis: SeeingSite, another: SeeingSite
) -> None:
    """At once, also where he was just said not to."""
    jid = next(_names)
    assert not another.exists(jid)
    with_redis.log_in(jid)
    with_redis.listed(jid)
    assert another.exists(jid)


def test_while_the_state_is_away_who_is_known_exists_and_of_others_it_cannot_be_told(
    with_redis: SeeingSite, another: SeeingSite, redis: RedisServer
) -> None:
    """Over HTTP 503; to ejabberd what `on_unavailable` says: by default that they do, so that no
    message is lost. It heals by itself."""
    known, stranger = next(_names), next(_names)
    for site in (with_redis, another):
        site.log_in(known)
    redis.stop()
    for site, answer in ((with_redis, EXTAUTH_YES), (another, EXTAUTH_ERROR)):
        assert user_exists(site, stranger)[0] == CANNOT_TELL
        assert said(site, stranger) == ("unavailable", "state_unavailable")
        assert site.isuser(stranger) == answer
        assert site.exists(known)
    redis.start()
    for site in (with_redis, another):
        wait_until(lambda: user_exists(site, stranger) == NO, "the state is back")  # noqa: B023
        assert site.exists(known)
    with_redis.log_in(stranger)
    assert with_redis.exists(stranger)
