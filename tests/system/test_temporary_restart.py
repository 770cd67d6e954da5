"""A daemon that is restarted while ejabberd's programs show it temporary tokens: nobody loses one.

Each token is shown once. What the daemon that ends had not taken, or had not answered, is asked
again at the next one; were it used up meanwhile, that one would say no.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from .rush import YES, Piped
from .token_site import DOMAIN, Token, TokenSite, Website
from .waiting import wait_until

#: With questions under way.
RESTARTS = 6
#: Whether there are is chance, where all of a load may be answered before the signal is heard.
MOST_RESTARTS = 3 * RESTARTS
PROGRAMS = 4
#: Questions that a program has under way at a time: so few that the daemon is idle in between.
AHEAD = 3
#: Tokens of each program at each restart.
TOKENS = 240
#: As long as it may be: what is under test is no deadline.
PATIENCE = 'deadline = "25s"'


class Shown:
    """What one program is given, a few at a time, and what it answers."""

    def __init__(self, site: TokenSite, ends: ExitStack) -> None:
        self._program = Piped(site, ends)
        #: Of each token that was answered, in their order.
        self.answers: list[str] = []

    def show(self, tokens: Sequence[Token]) -> None:
        """Each of them once."""
        for at in range(0, len(tokens), AHEAD):
            self._program.show([(token.jid, token.octets) for token in tokens[at : at + AHEAD]])
            for answer in self._program.hear():
                self.answers.append(answer)


@contextmanager
def showing(programs: Sequence[Shown], dealt: Sequence[Sequence[Token]]) -> Iterator[None]:
    """All of them at once, until they are answered."""
    threads = [
        threading.Thread(target=program.show, args=(tokens,))
        for program, tokens in zip(programs, dealt, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(90)
    assert not any(thread.is_alive() for thread in threads)


def issued(site: TokenSite, count: int) -> list[Token]:
    """Fresh ones, of many users."""
    website = Website(site)
    try:
        return [website.issue(f"user-{n}@{DOMAIN}", ttl=3600) for n in range(count)]
    finally:
        website.close()


def test_no_token_is_lost_to_a_restart(workspace: Path) -> None:
    """Restarted in the midst of each load; every first use is accepted."""
    site = TokenSite(workspace / "restarts", extauth=PATIENCE)
    site.start()
    tokens: list[Token] = []
    try:
        with ExitStack() as ends:
            programs = [Shown(site, ends) for _ in range(PROGRAMS)]
            in_the_midst = 0
            for number in range(MOST_RESTARTS):
                fresh = issued(site, PROGRAMS * TOKENS)
                # Each time at another moment of it.
                enough = len(tokens) + len(fresh) * (number % RESTARTS + 1) // (2 * RESTARTS)
                tokens += fresh
                with showing(programs, [fresh[n::PROGRAMS] for n in range(PROGRAMS)]):
                    wait_until(partial(_answered, programs, enough), "the load has begun")
                    assert site.stop() == 0
                    in_the_midst += not _answered(programs, len(tokens))
                    site.start()
                if in_the_midst == RESTARTS:
                    break
            answers = [answer for program in programs for answer in program.answers]
        assert in_the_midst == RESTARTS
        assert Counter(answers) == {YES: len(tokens)}
        logins = [login["reason"] for login in site.logins() if login["front_end"] == "extauth"]
        assert Counter(logins) == {"token_valid": len(tokens)}
        assert site.stop() == 0
        assert "traceback" not in site.log.read_text(errors="replace").lower()
    finally:
        if site.running:
            site.kill()


def _answered(programs: Sequence[Shown], count: int) -> bool:
    return sum(len(program.answers) for program in programs) >= count
