"""Temporary tokens that are issued, used and revoked all the time, and what of it was acknowledged:
that is what has to be true after a kill -9."""

from __future__ import annotations

import http.client
import random
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path

from tests.stores.redis_server import RedisServer

from .token_site import DOMAIN, Token, TokenSite, Website
from .waiting import wait_until

#: One daemon with a file; two with one Redis.
BASES = ("SQLite", "Redis")

#: Callers at each daemon.
CALLERS = 3

#: How often a token is left alone, used, or revoked, after it was issued.
_HABITS = ("leave", "use", "use", "use", "revoke")


class Fate(Enum):
    """What has become of a token that was acknowledged."""

    UNUSED = "unused"
    #: It was shown, and nobody knows what came of it.
    SHOWN = "shown"
    #: Its use was acknowledged.
    USED = "used"
    #: So was this.
    REVOKED = "revoked"
    #: Somebody wanted to, and nobody knows what came of it.
    DOOMED = "doomed"


class Book:
    """What the callers know of each token."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fates: dict[Token, Fate] = {}
        self._over: list[Token] = []
        #: What had become of those when they were checked.
        self.checked: Counter[str] = Counter()
        #: Answers and refusals, whatever they say.
        self.acknowledged = 0

    def note(self, token: Token, fate: Fate, *, acknowledged: bool = True) -> None:
        """Write it down."""
        with self._lock:
            self._fates[token] = fate
            self.acknowledged += acknowledged

    @property
    def over(self) -> int:
        """Tokens that were checked, and that nobody may use any more."""
        return len(self._over)

    def check(self, websites: Sequence[Website]) -> None:
        """Each token is what was acknowledged of it; afterwards all are over."""
        for number, (token, fate) in enumerate(self._fates.items()):
            first, second = (websites[(number + n) % len(websites)] for n in range(2))
            found = (first.accepts(token), second.accepts(token))
            allowed = {
                Fate.UNUSED: {(True, False)},
                Fate.SHOWN: {(True, False), (False, False)},
                Fate.DOOMED: {(True, False), (False, False)},
                Fate.USED: {(False, False)},
                Fate.REVOKED: {(False, False)},
            }[fate]
            assert found in allowed, f"{token}, {fate.value}, is accepted: {found}"
        self._over += self._fates
        self.checked.update(fate.value for fate in self._fates.values())
        self._fates.clear()

    def check_all_over(self, website: Website) -> None:
        """No token of the whole time is accepted."""
        assert not self._fates
        assert not [token for token in self._over if website.accepts(token)]


class Load:
    """Callers, each in a thread: over one connection, which is made again when it is lost."""

    def __init__(self, sites: Sequence[TokenSite], book: Book, seed: int) -> None:
        self._sites = sites
        self._book = book
        self._over = threading.Event()
        self._dice = random.Random(seed)
        #: Calls that had no answer, or that of an outage.
        self.lost = 0
        #: What must not be.
        self.wrong: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """They call until the end."""
        threads = [
            threading.Thread(target=self._work, args=(site, random.Random(self._dice.random())))
            for site in self._sites
            for _ in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        assert self.wrong == []

    def wait_for(self, more: int) -> None:
        """Wait until so many more are acknowledged."""
        enough = self._book.acknowledged + more
        wait_until(lambda: self._book.acknowledged >= enough, f"{more} acknowledged")

    def _work(self, site: TokenSite, dice: random.Random) -> None:
        website = Website(site)
        try:
            while not self._over.is_set():
                try:
                    self._call(website, dice)
                except (OSError, http.client.HTTPException):
                    self._miss()
        except BaseException as error:
            self.wrong.append(repr(error))
        finally:
            website.close()

    def _miss(self) -> None:
        self.lost += 1
        self._over.wait(0.01)

    def _call(self, website: Website, dice: random.Random) -> None:
        jid = f"user-{dice.randrange(100)}@{DOMAIN}"
        token = website.try_to_issue(jid, ttl=3600)
        if not isinstance(token, Token):
            assert token.status == 503, token
            self._miss()
            return
        self._book.note(token, Fate.UNUSED)
        habit = dice.choice(_HABITS)
        if habit == "use":
            self._use(website, token)
        elif habit == "revoke":
            self._revoke(website, token)

    def _use(self, website: Website, token: Token) -> None:
        self._book.note(token, Fate.SHOWN, acknowledged=False)
        reply = website.use(token.jid, token)
        if reply.status == 503:
            self._miss()
            return
        assert (reply.status, reply.body) == (200, b"true"), f"{token} is refused: {reply}"
        self._book.note(token, Fate.USED)

    def _revoke(self, website: Website, token: Token) -> None:
        self._book.note(token, Fate.DOOMED, acknowledged=False)
        reply = website.call("DELETE", f"/tokens/{token.id}")
        if reply.status == 503:
            self._miss()
            return
        assert reply.status == 204, f"{token} is not revoked: {reply}"
        self._book.note(token, Fate.REVOKED)


class Kills:
    """kill -9, again and again, in the midst of a load; and what is true behind each."""

    def __init__(self, sites: Sequence[TokenSite], redis: RedisServer | None, seed: int) -> None:
        """`redis`: None where there is a file, of one daemon."""
        self.book = Book()
        self._sites = sites
        self._redis = redis
        self._dice = random.Random(seed)
        self._used = sites[0].issue(f"alice@{DOMAIN}", ttl=3600)
        assert sites[0].accepts(self._used)

    def kill_daemon(self, number: int) -> None:
        """One daemon; what others there are notice nothing. It is started again."""
        site, book = self._sites[number % len(self._sites)], self.book
        others = [other for other in self._sites if other is not site]
        load, calm = (Load(those, book, self._dice.getrandbits(32)) for those in ([site], others))
        with calm.running(), load.running():
            load.wait_for(self._dice.randrange(5, 80))
            site.kill()
            wait_until(lambda: load.lost, "somebody has lost his connection")
            if others:
                calm.wait_for(20)
        assert calm.lost == 0
        if self._redis is None:
            check_integrity(site)
        site.start()
        self._check(site)

    def kill_redis(self, _number: int) -> None:
        """Redis, which is started again; no daemon is."""
        assert self._redis is not None
        load = Load(self._sites, self.book, self._dice.getrandbits(32))
        with load.running():
            load.wait_for(self._dice.randrange(5, 80))
            self._redis.process.kill()
            wait_until(lambda: load.lost, "somebody is told that it cannot be told")
            self._redis.start()
            load.wait_for(20)
        for site in self._sites:
            wait_until(partial(_is_well, site), "the daemon asks Redis again")
        self._check(self._sites[0])

    def _check(self, site: TokenSite) -> None:
        """`site` is asked first."""
        assert not site.accepts(self._used), "what was used is accepted by the first answer"
        websites = [Website(one) for one in self._sites]
        try:
            self.book.check(websites)
        finally:
            for website in websites:
                website.close()

    def finish(self) -> None:
        """Whatever was acknowledged before all these kills."""
        website = Website(self._sites[-1])
        try:
            self.book.check_all_over(website)
        finally:
            website.close()


def _is_well(site: TokenSite) -> bool:
    return isinstance(site.website.try_to_issue(f"bob@{DOMAIN}"), Token)


def check_integrity(site: TokenSite) -> None:
    """Of a file that nobody has open, and of the log beside it: on a copy."""
    with copied(site) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@contextmanager
def copied(site: TokenSite) -> Iterator[sqlite3.Connection]:
    """A copy of its file, and of the log beside it, open."""
    with tempfile.TemporaryDirectory(dir=site.folder) as folder:
        for path in site.state_files:
            shutil.copy(path, folder)
        connection = sqlite3.connect(Path(folder) / site.state_file.name)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def base(folder: Path, name: str) -> Iterator[tuple[list[TokenSite], RedisServer | None]]:
    """What runs, of one of the BASES."""
    redis = RedisServer(folder / "redis") if name == "Redis" else None
    if redis is None:
        sites = [TokenSite(folder / "one")]
    else:
        state = f"redis://127.0.0.1:{redis.port}/0"
        sites = [TokenSite(folder / which, state) for which in ("one", "two")]
    try:
        for site in sites:
            site.start()
        yield sites, redis
        assert [site.stop() for site in sites] == [0 for _ in sites]
        for site in sites:
            assert "traceback" not in site.log.read_text(errors="replace").lower()
    finally:
        for site in sites:
            if site.running:
                site.kill()
        if redis is not None:
            redis.process.kill()
