"""kill -9 while temporary tokens are issued, used and revoked: what was acknowledged is true
afterwards, and what is used is used.

No token of which a use or a revocation was acknowledged is accepted again, and each that was
acknowledged and not yet shown is accepted once.
"""

from collections.abc import Callable
from pathlib import Path

from .token_load import Kills, base

KILLS = 10
#: What was surely there to be checked; whether a call was under way at a kill is chance.
TOLD = {"unused", "used", "revoked"}


def killed(folder: Path, name: str, kill: Callable[[Kills, int], None], *, seed: int) -> None:
    """As often as that, over one base; what was told beforehand is true each time."""
    with base(folder, name) as (sites, redis):
        kills = Kills(sites, redis, seed=seed)
        for number in range(KILLS):
            kill(kills, number)
        kills.finish()
    assert kills.book.checked.keys() >= TOLD


def test_file_of_a_killed_daemon_is_whole_and_has_all_that_was_acknowledged(
    workspace: Path,
) -> None:
    """Its integrity is checked before the daemon is started again."""
    killed(workspace / "kills", "SQLite", Kills.kill_daemon, seed=1)


def test_daemon_killed_beside_another_one_takes_nothing_along(workspace: Path) -> None:
    """What it has acknowledged is true at both; the other one goes on."""
    killed(workspace / "kills-of-two", "Redis", Kills.kill_daemon, seed=2)


def test_killed_redis_has_all_that_was_acknowledged(workspace: Path) -> None:
    """With `appendfsync always`; both daemons ask it again without a restart."""
    killed(workspace / "kills-of-redis", "Redis", Kills.kill_redis, seed=3)
