"""The machine's clock is set back and forward, by an hour or by ten years, and what is over stays
over; new tokens are good all the same."""

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer
from tests.tokens import mint

from . import signers
from .clocks import HOUR, YEAR, TimedSite
from .daemon import write_private
from .token_load import BASES, copied
from .token_site import DOMAIN, Token
from .waiting import wait_until

ALICE = f"alice@{DOMAIN}"
#: To where the clock is set, one after the other, in seconds ahead of the right time.
JUMPS = (-HOUR, HOUR, -10 * YEAR, 10 * YEAR, 0)
#: Seconds for which a temporary token is good, unless another number is asked for.
LIFE = 60
ISSUER = "https://www.temporary.example"

_ISSUER = """
[issuers."{issuer}"]
keys = ["{folder}/website.pem"]
algorithms = ["ES256"]
domains = ["*"]
single_use = true
"""


@dataclass(frozen=True)
class Timed:
    """A daemon, and what can be seen of its state from without."""

    site: TimedSite
    redis: RedisServer | None

    @property
    def latest(self) -> float:
        """The latest moment that is kept."""
        if self.redis is None:
            return float(self._count("SELECT moment FROM mark"))
        found = self.redis.ask("GET", "authbridge:clock")
        return float(found) if isinstance(found, bytes) else 0.0

    @property
    def claims(self) -> int:
        """How many signed tokens are known to be used."""
        if self.redis is None:
            return int(self._count("SELECT count(*) FROM claimed"))
        found = self.redis.ask("ZCARD", "authbridge:claims")
        assert isinstance(found, int)
        return found

    def _count(self, question: str) -> float:
        """Of a copy that was made while the file was written to: it may have to be made again."""

        def ask() -> tuple[float]:
            with copied(self.site) as connection:
                try:
                    found: tuple[float] = connection.execute(question).fetchone()
                except sqlite3.Error:
                    return ()  # type: ignore[return-value]
                return found

        return wait_until(ask, "a copy can be read")[0]


@pytest.fixture(params=BASES)
def timed(request: pytest.FixtureRequest, workspace: Path) -> Iterator[Timed]:
    """One daemon with its own clock."""
    folder = workspace / f"clock-{len(list(workspace.glob('clock-*')))}"
    redis = RedisServer(folder / "redis") if request.param == "Redis" else None
    site = TimedSite(
        folder / "daemon",
        None if redis is None else f"redis://127.0.0.1:{redis.port}/0",
        accept=("jwt", "temporary"),
        more=_ISSUER.format(issuer=ISSUER, folder=folder),
    )
    write_private(folder / "website.pem", signers.key("ES256").public_pem())
    try:
        site.start()
        yield Timed(site, redis)
        assert site.stop() == 0
        assert "traceback" not in site.log.read_text(errors="replace").lower()
    finally:
        if site.running:
            site.kill()
        if redis is not None:
            redis.stop()


def reason(site: TimedSite) -> str:
    """Of the last login."""
    return site.logins(ALICE)[-1]["reason"]


def expired(site: TimedSite, ahead: int) -> Token:
    """A token that nobody has used, and that is over when the clock is set so far ahead."""
    token = site.issue(ALICE)
    site.set_clock(ahead)
    return token


def check_new_token(site: TimedSite) -> None:
    """It is accepted once, and ends by the machine's clock, to a second."""
    before = site.time
    token = site.issue(ALICE)
    ends = (before + LIFE - 1, site.time + LIFE + 1)
    (listed,) = site.listed(ALICE)
    introspected = site.introspect(token)
    for moment in (token.expires_at, listed["expires_at"], introspected["exp"]):
        assert ends[0] <= moment <= ends[1]
    assert listed["issued_at"] == introspected["iat"]
    assert [site.accepts(token) for _ in range(2)] == [True, False]
    assert reason(site) == "token_used"


def test_expired_token_stays_expired_wherever_the_clock_is_set(timed: Timed) -> None:
    """Once it was refused as expired it is so for good; it is not listed, nor active."""
    site = timed.site
    token = expired(site, LIFE + 1)
    assert not site.accepts(token)
    for ahead in JUMPS:
        site.set_clock(ahead)
        assert not site.accepts(token)
        assert site.introspect(token) == {"active": False}
        assert site.listed(ALICE) == []
    # For an hour it is known why; after ten years it is forgotten.
    reasons = [login["reason"] for login in site.logins(ALICE)]
    assert reasons[:3] == ["token_expired"] * 3
    assert set(reasons) <= {"token_expired", "token_unknown"}


def test_used_token_stays_used_and_new_ones_are_good_wherever_the_clock_is_set(
    timed: Timed,
) -> None:
    """They end when the API says they do, by the clock as it is then."""
    site = timed.site
    used = site.issue(ALICE)
    assert site.accepts(used)
    for ahead in JUMPS:
        site.set_clock(ahead)
        assert not site.accepts(used)
        check_new_token(site)


def test_unused_token_is_good_although_the_clock_was_set_back(timed: Timed) -> None:
    """Time goes on for it; one that was issued meanwhile is good too, after the clock is right."""
    site = timed.site
    first = site.issue(ALICE)
    site.set_clock(-HOUR)
    second = site.issue(ALICE)
    assert site.accepts(first)
    site.set_clock(0)
    assert site.accepts(second)
    assert not site.accepts(first)


def test_what_was_over_is_over_after_a_restart_with_the_clock_set_back(timed: Timed) -> None:
    """However it ended: an expired one that was refused a moment before, and a used one."""
    site = timed.site
    over: list[Token] = []
    for end, ahead, back in (
        (TimedSite.kill, LIFE + 1, -HOUR),
        (TimedSite.stop, HOUR, -10 * YEAR),
    ):
        other = expired(site, ahead)
        assert not site.accepts(other)
        assert reason(site) == "token_expired"
        used = site.issue(ALICE, ttl=HOUR)
        assert site.accepts(used)
        over += [used, other]
        end(site)
        site.set_clock(back)
        site.start()
        assert [token for token in over if site.accepts(token)] == []
        check_new_token(site)


def signed(site: TimedSite, life: int) -> bytes:
    """A token of the issuer whose tokens are accepted once."""
    now = int(site.time)
    claims = {
        **signers.claims(ALICE, iat=now, exp=now + life, iss=ISSUER),
        "jti": secrets.token_hex(8),
    }
    return signers.kept(mint.jwt(claims, signers.key("ES256"), "ES256"))


def login(site: TimedSite, token: bytes) -> str:
    """With a signed token: the reason of what is answered."""
    answer = site.use(ALICE, token)
    found = reason(site)
    assert (answer.status, answer.body == b"true") == (200, found == "token_valid")
    return found


def test_what_was_swept_away_is_not_accepted_with_the_clock_set_back(timed: Timed) -> None:
    """A signed token whose use is forgotten, and a temporary one that nobody has shown."""
    site = timed.site
    token = signed(site, life=30)
    assert [login(site, token) for _ in range(2)] == ["token_valid", "token_used"]
    assert timed.claims == 1
    quiet = expired(site, 3 * HOUR)
    assert login(site, token) == "token_expired"
    wait_until(lambda: timed.claims == 0, "its use is forgotten")
    assert timed.latest > quiet.expires_at
    site.set_clock(0)
    assert login(site, token) == "token_expired"
    assert not site.accepts(quiet)
    assert login(site, signed(site, life=60)) == "token_valid"
    site.restart(0)
    assert login(site, token) == "token_expired"
    assert not site.accepts(quiet)


def test_signed_tokens_are_good_whatever_the_clock_was_once(timed: Timed) -> None:
    """It was hours ahead for a while. Who has used his does not end others that end sooner."""
    site = timed.site
    site.set_clock(3 * HOUR)
    assert site.accepts(site.issue(ALICE))
    site.set_clock(0)
    assert login(site, signed(site, life=60)) == "token_valid"
    site.restart(0)  # begins with a sweep
    fresh = signed(site, life=40)
    assert [login(site, fresh) for _ in range(2)] == ["token_valid", "token_used"]
    site.restart(0)
    assert login(site, fresh) == "token_used"
