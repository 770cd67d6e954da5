"""Temporary tokens under torture: shown by a hundred at once, and killed -9 under a load.

Of each race, as many as the token has uses are told yes, and all others no; nobody is told that it
cannot be told. After each kill, what was acknowledged is true: what was used or revoked is not
accepted, and what was issued is accepted once (`tests.system.token_load`).

    python -m tests.fuzz.temporary 200 200      the torture run: races for each base, and kills
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.system.rush import NO, YES, Rush, rush
from tests.system.token_load import BASES, Kills, base
from tests.system.token_site import DOMAIN, TokenSite

AT_ONCE = 100


def race(sites: list[TokenSite], visitors: Rush, number: int) -> None:
    """One token and a hundred who show it, at all daemons."""
    jid = f"racer-{number}@{DOMAIN}"
    uses = 3 if number % 5 == 4 else 1
    token = sites[number % len(sites)].issue(jid, uses=uses)
    shown = [(jid, token.octets)] * AT_ONCE
    found = Counter(answer for _, answer in visitors.come(shown, together=bool(number % 2)))
    assert found == {YES: uses, NO: AT_ONCE - uses}, f"race {number}: {found}"


def check_logs(sites: list[TokenSite]) -> Counter[str]:
    """All daemons' reasons together: nothing but what has to be there."""
    reasons = Counter(login["reason"] for site in sites for login in site.logins())
    assert reasons.keys() == {"token_valid", "token_used"}, reasons
    return reasons


def races(folder: Path, name: str, rounds: int) -> None:
    """All of them, over one base."""
    begun = time.monotonic()
    with base(folder / "races", name) as (sites, _), rush(*sites) as visitors:
        for number in range(rounds):
            race(sites, visitors, number)
        reasons = check_logs(sites)
    seconds = time.monotonic() - begun
    print(f"{name}: {rounds} races, {seconds:.0f} s,", *reasons.items(), flush=True)


def kills(folder: Path, name: str, kill: Callable[[Kills, int], None], count: int) -> None:
    """All of them, of one kind."""
    begun = time.monotonic()
    with base(folder / f"kills-{kill.__name__}", name) as (sites, redis):
        killed = Kills(sites, redis, seed=count)
        for number in range(count):
            kill(killed, number)
        killed.finish()
    print(f"{name}: {kill.__name__} {count} times, {time.monotonic() - begun:.0f} s,",
          f"{killed.book.over} tokens,", *killed.book.checked.items(), flush=True)  # fmt: skip


def main(rounds: int, count: int) -> None:
    """The torture run."""
    for name in BASES:
        with tempfile.TemporaryDirectory(prefix="ab-", dir="/tmp") as folder:
            races(Path(folder), name, rounds)
            kills(Path(folder), name, Kills.kill_daemon, count)
            if name == "Redis":
                kills(Path(folder), name, Kills.kill_redis, count)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    main(*(numbers or (200, 200)))
