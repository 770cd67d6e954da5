"""Keys that come and go while everybody logs in: in folders, and behind a URL.

Between two fetches of an issuer's keys are 10 s at least. So those of all issuers are fetched when
the first test begins, and the tests that need another fetch come last.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

import pytest

from tests.tokens import mint

from .callers import Caller, Crowd, KeepAlive, Program, said_since
from .calls import CANNOT_TELL, NO, YES, Answer, check_password, said
from .canary import secret
from .daemon import Daemon
from .key_folder import KeyFolder
from .pki import Pki
from .publisher import Publisher
from .signers import claims, kept
from .waiting import wait_until

DOMAIN = "keys.example"
ALICE = f"alice@{DOMAIN}"

#: The names of issuers by URL: each has a test of its own.
ROTATED, FRESH, HANGING, AWAY, UNTRUSTED = "rotated", "fresh", "hanging", "away", "untrusted"

_CONFIGURATION = """
[domains."{domain}"]
check = ["tokens"]
exists = "always"

[checkers.tokens]
kind = "token"
accept = ["jwt", "compact"]

[issuers.website]
keys = ["{folder}/website"]
algorithms = ["ES256"]
domains = ["*"]

[issuers.forum]
kind = "compact"
keys = ["{folder}/forum"]
domains = ["*"]
"""

_BY_URL = """
[issuers.{name}]
jwks_url = "{url}"
ca_file = "{ca}"
jwks_refresh = "{refresh}"
algorithms = ["ES256"]
domains = ["*"]
"""

#: Of compact tokens.
SECRETS = {kid: secret(f"the forum's {kid} one, of 32 octets") for kid in ("old", "new", "steady")}


def key(issuer: str, kid: str) -> mint.Key:
    """Made where it is asked for first."""
    return mint.key("ES256", f"{issuer} {kid}")


def token(issuer: str, kid: str) -> bytes:
    """A token of this issuer and key that outlives the test."""
    ends = int(time.time()) + 290
    if issuer == "forum":
        return kept(mint.compact(SECRETS[kid], ALICE, ends))
    said = claims(ALICE, iss=issuer, exp=ends)
    return kept(mint.jwt(said, key(issuer, kid), kid=kid))


@dataclass(frozen=True)
class Scene:
    """A daemon, its issuers' keys, and those who ask."""

    daemon: Daemon
    website: KeyFolder
    forum: KeyFolder
    publisher: Publisher
    other_publisher: Publisher
    callers: tuple[Caller, ...]
    crowd: tuple[Caller, ...]

    @contextmanager
    def logins(self, **current: bytes) -> Iterator[Crowd]:
        """Everybody logs in with these tokens as long as it lasts, and is always let in."""
        crowd = Crowd(ALICE, current, self.crowd)
        with crowd.asking():
            crowd.go_round()
            yield crowd
            crowd.go_round()
        assert crowd.refused == []

    def log(self) -> Callable[[str], bool]:
        """What the daemon will say from now on."""
        return said_since(self.daemon.log, self.daemon.log.stat().st_size)

    def accepted_by_all(self, password: bytes) -> bool:
        """Whether every caller is told yes."""
        return all(caller.accepts(ALICE, password) for caller in self.callers)

    def accepted_by_nobody(self, password: bytes) -> bool:
        """Whether every caller is told no."""
        return not any(caller.accepts(ALICE, password) for caller in self.callers)

    def answer(self, password: bytes) -> Answer:
        """What is answered to one login over HTTP."""
        return check_password(self.daemon, ALICE, password)

    def reason(self) -> str:
        """Of the last one, in the log."""
        return said(self.daemon, ALICE)[1]


@pytest.fixture(scope="module")
def scene(workspace: Path, pki: Pki, directory_pki: Pki) -> Iterator[Scene]:
    """All of it, with the keys called "old" alone; those of ROTATED have been fetched once, and at
    the next time there is a new one."""
    folder = workspace / "keys"
    website, forum = KeyFolder(folder / "website"), KeyFolder(folder / "forum")
    website.add("old.pem", key("website", "old").public_pem())
    forum.add("old.secret", SECRETS["old"])
    publisher, other = Publisher(directory_pki), Publisher(directory_pki)
    issuers = _CONFIGURATION.format(domain=DOMAIN, folder=folder)
    for name in (ROTATED, FRESH, HANGING, AWAY, UNTRUSTED):
        where = other if name == AWAY else publisher
        where.publish(name, old=key(name, "old"))
        issuers += _BY_URL.format(
            name=name,
            url=where.url(name),
            ca=pki.ca if name == UNTRUSTED else directory_pki.ca,
            refresh="10s" if name == ROTATED else "15m",
        )
    daemon = Daemon(workspace / "keys-daemon", (), others={DOMAIN: issuers})
    with ExitStack() as ends:
        for one in (publisher, other):
            one.start()
            ends.callback(one.stop)
        daemon.start()
        ends.callback(daemon.stop)
        program, output = daemon.extauth_program.split(), workspace / "keys-program.out"
        callers: list[Caller] = []
        for _ in range(3):
            callers += KeepAlive(daemon), Program(program, output)
        for caller in callers:
            ends.callback(caller.close)
        publisher.wait_until_asked(ROTATED)
        publisher.publish(ROTATED, old=key(ROTATED, "old"), new=key(ROTATED, "new"))
        for name in (FRESH, HANGING, AWAY):
            (other if name == AWAY else publisher).wait_until_asked(name)
        found = Scene(
            daemon, website, forum, publisher, other, tuple(callers[:2]), tuple(callers[2:])
        )
        for old in [token(name, "old") for name in (ROTATED, FRESH, HANGING, AWAY)]:
            wait_until(partial(found.accepted_by_all, old), "the first keys are there")
        yield found


def test_keys_in_folders_are_replaced_and_no_valid_token_is_refused(scene: Scene) -> None:
    """The new one is added, used, and the old one is removed: each counts when the log has it."""
    issuers = ("website", "forum")
    old, new = ({issuer: token(issuer, kid) for issuer in issuers} for kid in ("old", "new"))
    says = scene.log()
    with scene.logins(**old) as crowd:
        scene.website.add("new.pem", key("website", "new").public_pem())
        scene.forum.add("new.secret", SECRETS["new"])
        for issuer in issuers:
            wait_until(partial(says, rf"{issuer}: keys in force: new, old\n"), "both are there")
        crowd.use(**new)
        scene.website.remove("old.pem")
        scene.forum.remove("old.secret")
        for issuer in issuers:
            wait_until(partial(says, rf"{issuer}: keys in force: new\n"), "the old key is gone")
            assert scene.accepted_by_nobody(old[issuer])
    for retired in old.values():
        assert scene.answer(retired) == NO
        assert scene.reason() == "token_key_unknown"


def test_file_that_becomes_nonsense_has_its_keys_stay_in_force(scene: Scene) -> None:
    """Until there is a better one; the log says both."""
    tokens = {issuer: token(issuer, "steady") for issuer in ("website", "forum")}
    put_steady_keys(scene)
    for one in tokens.values():
        wait_until(partial(scene.accepted_by_all, one), "the keys are there")
    says = scene.log()
    with scene.logins(**tokens) as crowd:
        scene.website.add("steady.pem", b"-----BEGIN PUBLIC KEY-----\nMFkw\n")
        scene.forum.add("steady.secret", b"too short\n")
        for issuer in tokens:
            words = f"issuer {issuer}: .*/{issuer}/steady.* had before stay in force"
            wait_until(partial(says, words), "the mistake is in the log")
        crowd.go_round()
        put_steady_keys(scene)
        for issuer in tokens:
            wait_until(partial(says, rf"/{issuer}/steady\S* is well again"), "the mistake is gone")


def put_steady_keys(scene: Scene) -> None:
    """A key more for either issuer, or again the right one."""
    scene.website.add("steady.pem", key("website", "steady").public_pem())
    scene.forum.add("steady.secret", SECRETS["steady"])


def test_keys_of_a_server_that_is_not_verified_are_not_fetched(scene: Scene) -> None:
    """The log says why; its tokens are neither good nor bad."""
    url = scene.publisher.url(UNTRUSTED)
    assert scene.answer(token(UNTRUSTED, "old"))[0] == CANNOT_TELL
    assert scene.reason() == "keys_unavailable"

    def said_of_it() -> list[str]:
        return [line for line in scene.daemon.log.read_text().splitlines() if f"{url}: " in line]

    lines = wait_until(said_of_it, "the fetch has failed")
    assert len(lines) == 1
    assert "the certificate is not signed by the authority" in lines[0]
    assert scene.publisher.asked(UNTRUSTED) == 0
    assert scene.answer(token(FRESH, "old")) == YES


def test_first_token_of_a_new_key_has_the_keys_fetched(scene: Scene) -> None:
    """It is not called a bad one meanwhile; those of the old key are good all the time."""
    old, new = token(FRESH, "old"), token(FRESH, "new")
    scene.publisher.publish(FRESH, old=key(FRESH, "old"), new=key(FRESH, "new"))
    answers, moments, began = [], [], time.monotonic()

    def is_accepted() -> bool:
        moments.append(time.monotonic())
        answers.append(scene.answer(new))
        assert scene.answer(old) == YES
        return answers[-1] == YES

    wait_until(is_accepted, "the new key is there")
    # Within 10 s of the fetch before, there is no key of that name.
    first = sum(1 for _ in takewhile(NO.__eq__, answers))
    assert {status for status, _ in answers[first:-1]} == {CANNOT_TELL}
    # Whoever likes can name a key that there never was.
    ghost = token(FRESH, "ghost")
    told = [scene.answer(ghost) for _ in range(20)]
    assert YES not in told
    if time.monotonic() < moments[first] + 10:  # when that fetch had not yet begun
        assert set(told) == {NO}
        assert scene.accepted_by_nobody(ghost)

    def is_unknown() -> bool:
        return scene.answer(ghost) == NO and scene.reason() == "token_key_unknown"

    # On a slow machine it may just be time for another fetch.
    wait_until(is_unknown, "there is no such key")
    fetched = scene.publisher.asked(FRESH)
    assert 1 <= fetched <= 1 + (time.monotonic() - began) / 10


def test_no_login_waits_for_keys_that_are_being_fetched(scene: Scene) -> None:
    """While the publisher hangs, who has a known key gets in, and who has not is told so."""
    old, new = token(HANGING, "old"), token(HANGING, "new")
    scene.publisher.publish(HANGING, old=key(HANGING, "old"), new=key(HANGING, "new"))
    says = scene.log()
    moments: list[float] = []

    def hangs() -> bool:
        before = time.monotonic()
        if scene.answer(new)[0] == CANNOT_TELL:
            moments.append(before)
        return scene.publisher.holds(HANGING)

    with scene.publisher.hanging(HANGING):
        wait_until(hangs, "the keys are being fetched")
        assert scene.accepted_by_all(old)
        assert scene.accepted_by_all(token(FRESH, "old"))
        assert scene.answer(new)[0] == CANNOT_TELL
        assert scene.reason() == "keys_unavailable"
        # That fetch is not over: nobody has waited for its end, which comes after 10 s.
        over = says(f"{scene.publisher.url(HANGING)}: ")
        assert not over or time.monotonic() - moments[0] > 10
    wait_until(partial(scene.accepted_by_all, new), "the new key is there")


def test_keys_stay_in_force_while_their_publisher_is_away(scene: Scene) -> None:
    """The log says that he is, and that he is back; then there are those that he has now."""
    old, new = token(AWAY, "old"), token(AWAY, "new")
    url = scene.other_publisher.url(AWAY)
    says = scene.log()
    scene.other_publisher.stop()
    wait_until(lambda: scene.answer(new)[0] == CANNOT_TELL, "the keys are fetched again")
    wait_until(partial(says, f"{url}: "), "the fetch has failed")
    assert says("the keys fetched before stay in force")
    assert scene.accepted_by_all(old)
    scene.other_publisher.publish(AWAY, old=key(AWAY, "old"), new=key(AWAY, "new"))
    scene.other_publisher.start()
    wait_until(partial(says, f"{url}: fetched again"), "the keys are fetched again")
    assert scene.accepted_by_all(old)
    assert scene.accepted_by_all(new)


def test_published_keys_are_replaced_and_no_valid_token_is_refused(scene: Scene) -> None:
    """The new one is there for a fetch before it is used; the old one counts until the fetch after
    which it is not there any more."""
    old, new = token(ROTATED, "old"), token(ROTATED, "new")
    with scene.logins(rotated=old) as crowd:
        scene.publisher.wait_until_asked(ROTATED)
        wait_until(partial(scene.accepted_by_all, new), "the new key is there")
        crowd.use(rotated=new)
        scene.publisher.publish(ROTATED, new=key(ROTATED, "new"))
        scene.publisher.wait_until_asked(ROTATED)
        wait_until(lambda: scene.answer(old) == NO, "the old key is gone")
        assert scene.accepted_by_nobody(old)
    # Ten seconds behind a fetch it would have the keys fetched once more.
    wait_until(lambda: scene.answer(old) == NO, "the old key is still gone")
    assert scene.reason() == "token_key_unknown"
