"""Where a temporary token is not: in the database, in Redis' files, in any log, in any list. And a
file with the state that is open to others is not used."""

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stores.redis_server import RedisServer
from tests.tokens import mint

from . import canary
from .calls import BIN, explain, extauth
from .processes import command_line
from .rush import changed
from .token_load import BASES, base, copied
from .token_site import DOMAIN, PREFIX, Token, TokenSite
from .waiting import wait_until

ALICE = f"alice@{DOMAIN}"
BOB = f"bob@{DOMAIN}"

#: Somebody who has no right to the file.
STRANGER = 65534


@dataclass(frozen=True)
class Tokens:
    """Of every kind, each of which the daemon knows."""

    live: Sequence[Token]
    over: Sequence[Token]

    @property
    def all(self) -> list[Token]:
        """Those and those."""
        return [*self.live, *self.over]


@dataclass(frozen=True)
class Place:
    """Daemons that have done all they do with tokens, and what they keep it in."""

    sites: Sequence[TokenSite]
    redis: RedisServer | None
    tokens: Tokens

    def kept(self) -> bytes:
        """All that is kept on the disk."""
        if self.redis is not None:
            return self.redis.kept()
        (site,) = self.sites
        return b"\n".join(path.read_bytes() for path in site.state_files)


def make_tokens(site: TokenSite) -> Tokens:
    """Issue, use, refuse, explain, introspect and revoke."""
    unused = site.issue(ALICE, ttl=3600)
    device = site.issue(ALICE, ttl=3600, uses="any", device="Telefon", note="shown once")
    thrice = site.issue(ALICE, ttl=3600, uses=3)
    used, revoked, withdrawn, shown = (site.issue(BOB, ttl=3600) for _ in range(4))
    assert all(map(site.accepts, (device, device, thrice, used)))
    assert not site.accepts(used)
    assert extauth(site, b"auth", b"alice", DOMAIN.encode(), device.octets) == b"\0\1"
    assert site.use(BOB, unused).body == b"false"
    assert site.use(ALICE, canary.watched(changed(unused.octets))).body == b"false"
    assert "(token_valid)" in explain(site, ALICE, unused.octets).stdout
    assert site.introspect(unused)["active"]
    site.revoke(revoked)
    assert site.website.send_form("/revoke", {"token": withdrawn.octets}).status == 200
    assert site.website.post("/tokens/revoke", jid=BOB).said == {"revoked": 1}
    assert not any(map(site.accepts, (revoked, withdrawn, shown)))
    return Tokens((unused, device, thrice), (used, revoked, withdrawn, shown))


@pytest.fixture(scope="module", params=BASES)
def place(request: pytest.FixtureRequest, workspace: Path) -> Iterator[Place]:
    """One daemon with a file, or two with one Redis."""
    with base(workspace / f"secrecy-{request.param}", request.param) as (sites, redis):
        yield Place(sites, redis, make_tokens(sites[-1]))


def search(tokens: Sequence[Token]) -> canary.Search:
    """Finds a token, its characters alone, or the octets that they stand for."""
    wanted = []
    for token in tokens:
        characters = token.octets.removeprefix(PREFIX)
        wanted += [token.octets, characters, mint.unb64(characters.decode())]
        assert len(wanted[-1]) == 32
    return canary.Search(wanted)


def found(place: Place, octets: bytes) -> list[str]:
    """The tokens that are in there."""
    return [spelling.hex() for _, spelling in search(place.tokens.all).places(octets)]


def test_search_would_find_a_token_that_is_kept(place: Place) -> None:
    """As it is, or as the octets that it is made of."""
    for token in place.tokens.all:
        random = mint.unb64(token.octets.removeprefix(PREFIX).decode())
        assert found(place, b"in the midst of " + token.octets + b" of others")
        assert found(place, b"\0\1" + random + b"\2")


def test_no_token_is_in_what_is_kept_on_the_disk(place: Place) -> None:
    """Neither in the database nor in its log, nor in Redis' append-only file, nor in its dump;
    their ids are, so that it is the right place."""
    kept = place.kept()
    assert has_ids(place, kept)
    assert found(place, kept) == []
    site = place.sites[0]
    if place.redis is not None:
        dump = place.redis.data / "dump.rdb"
        place.redis.ask("BGSAVE")
        wait_until(dump.exists, "Redis has written its dump")
        kept = dump.read_bytes()
    else:
        assert {path.name for path in site.state_files} == {"state.sqlite3", "state.sqlite3-wal"}
        site.stop()  # the log is written back into the database
        kept = site.state_file.read_bytes()
        site.start()
    assert has_ids(place, kept)
    assert found(place, kept) == []


def has_ids(place: Place, octets: bytes) -> bool:
    """Whether the ids of all tokens are in there: as SQLite has them, or as Redis has."""
    ids = [token.id for token in place.tokens.all]
    if place.redis is None:
        return all(bytes.fromhex(one) in octets for one in ids)
    return all(one.encode() in octets for one in ids)


def test_no_token_is_in_any_log_and_its_id_is(place: Place) -> None:
    """Of the daemons, and Redis: in the lines of those who got them, used them and revoked them."""
    folder = place.sites[0].folder.parent
    logs = canary.logs(folder)
    assert {site.log for site in place.sites} <= set(logs)
    for site in place.sites:
        site.logins()  # what was answered is in the log
    text = b"\n".join(log.read_bytes() for log in logs)
    assert found(place, text) == []
    lines = [line for line in text.decode().splitlines() if " operation=issue_token " in line]
    for token in place.tokens.all:
        (issued,) = [line for line in lines if f" token={token.id} " in line]
        assert " caller=website " in issued
        assert f" jid={token.jid} " in issued
        assert f"signer=temporary#{token.id}".encode() in text


def test_no_token_is_in_a_list_and_its_id_is(place: Place) -> None:
    """Those that can still be used."""
    for site in place.sites:
        listed = repr(site.listed(ALICE) + site.listed(BOB))
        assert found(place, listed.encode()) == []
        assert [one["id"] for one in site.listed(ALICE)] == [one.id for one in place.tokens.live]
        assert site.listed(BOB) == []


def test_no_token_is_on_the_daemons_command_line(place: Place) -> None:
    """Nor in its environment."""
    for site in place.sites:
        pid = site.process.pid
        seen = command_line(pid) + Path(f"/proc/{pid}/environ").read_bytes()
        assert str(site.configuration).encode() in seen
        assert found(place, seen) == []


def test_what_is_kept_is_the_owners_alone(place: Place) -> None:
    """The daemon makes its file and its folder so."""
    if place.redis is not None:
        assert not place.sites[0].state_file.parent.exists()
        return
    site = place.sites[0]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in site.state_files}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(site.state_file.parent.stat().st_mode) == 0o700


def as_command(site: TokenSite) -> list[str]:
    """`authbridge run`."""
    return [sys.executable, "-m", "authbridge", "run", "--config", str(site.configuration)]


def as_plugin(site: TokenSite) -> list[str]:
    """`twistd -n`."""
    twistd = [str(BIN / "twistd"), "-n", "--pidfile="]
    return [*twistd, "authbridge", "--config", str(site.configuration)]


@pytest.fixture(scope="module")
def stopped(workspace: Path) -> Iterator[TokenSite]:
    """A daemon that was killed, so that there is a log beside the file."""
    site = TokenSite(workspace / "loose")
    site.start()
    token = site.issue(ALICE, ttl=3600)
    site.kill()
    assert len(site.state_files) == 2
    yield site
    # None of the refusals has changed anything.
    with copied(site) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ids = connection.execute("SELECT id FROM token").fetchall()
    assert ids == [(bytes.fromhex(token.id),)]
    site.start()
    assert site.accepts(token)
    assert site.stop() == 0


def log_of(site: TokenSite) -> Path:
    """What SQLite has beside it."""
    return site.state_file.with_name(site.state_file.name + "-wal")


#: What is loose, how, and what mends it.
Loose = tuple[Callable[[TokenSite], Path], Callable[[Path], None], str]
LOOSE: dict[str, Loose] = {
    "file": (lambda site: site.state_file, lambda path: path.chmod(0o644), "chmod 600 {path}"),
    "log": (log_of, lambda path: path.chmod(0o644), "chmod 600 {path}"),
    "group": (lambda site: site.state_file, lambda path: path.chmod(0o640), "chmod 600 {path}"),
    "folder": (
        lambda site: site.state_file.parent,
        lambda path: path.chmod(0o777),
        "chmod go-w {path}",
    ),
    "owner": (
        lambda site: site.state_file,
        lambda path: os.chown(path, STRANGER, -1),
        "chown {uid} {path}",
    ),
    "folder's owner": (
        lambda site: site.state_file.parent,
        lambda path: os.chown(path, STRANGER, -1),
        "chown {uid} {path}",
    ),
}


@pytest.mark.parametrize("command", [as_command, as_plugin], ids=["run", "twistd"])
@pytest.mark.parametrize("loose", LOOSE.values(), ids=LOOSE.keys())
def test_daemon_does_not_start_with_what_others_can_get_at(
    stopped: TokenSite, loose: Loose, command: Callable[[TokenSite], list[str]]
) -> None:
    """It says what, and the command that mends it; after that it would start."""
    place, loosen, mend = loose
    path = place(stopped)
    was = path.stat()
    loosen(path)
    try:
        ended = subprocess.run(
            command(stopped), capture_output=True, text=True, timeout=90, cwd=stopped.folder
        )
    finally:
        now = path.stat()
        os.chown(path, was.st_uid, was.st_gid)
        path.chmod(was.st_mode)
    said = ended.stdout + ended.stderr
    assert ended.returncode not in (0, None)
    mended_by = mend.format(path=shlex.quote(str(path)), uid=os.geteuid())
    assert f"authbridge: state {stopped.state_file}: " in said
    assert mended_by in said
    assert "Traceback" not in said
    assert (now.st_mode, now.st_uid) != (was.st_mode, was.st_uid)  # and it was left as it was
