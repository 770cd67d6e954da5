"""Very many logins at once to an Active Directory, and what becomes of them when it goes away."""

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .active_directory import CROWD, CROWD_PEOPLE, DOMAIN, Account, checker
from .calls import CANNOT_TELL, NO, YES, Answer, check_password, storm
from .daemon import Daemon
from .samba import SambaAd
from .waiting import wait_until

OUTAGE = (CANNOT_TELL, b"unavailable")
#: The domain whose checker does not wait for long.
IMPATIENT = "impatient.example"


def impatient(account: Account) -> str:
    """A user's JID there."""
    return f"{account.local}@{IMPATIENT}"


def logins(count: int) -> Iterator[tuple[Account, Account]]:
    """Who logs in with whose password, half of them with their own."""
    dice = random.Random(20261121)
    somebody = itertools.islice(itertools.cycle(CROWD_PEOPLE), count)
    return ((account, dice.choice([account, dice.choice(CROWD_PEOPLE)])) for account in somebody)


@pytest.fixture(scope="module")
def crowded(workspace: Path, shared_ad: SambaAd) -> Iterator[Daemon]:
    """A daemon of their own: its log is not one to search for each login of other tests."""
    files = {"ca_file": shared_ad.pki.ca, "bind_password_file": shared_ad.service_password_file}
    others = {
        domain: checker(domain, shared_ad.tls_url, **files, base=CROWD, timeout=timeout)
        for domain, timeout in ((DOMAIN, "25s"), (IMPATIENT, "2s"))
    }
    # A slow machine may be busy with one login for longer than 8 s.
    others[DOMAIN] += '\n[http]\ndeadline = "2m"\n'
    daemon = Daemon(workspace / "ad-crowd", (), others=others)
    daemon.start()
    yield daemon
    daemon.stop()


def test_two_thousand_logins_get_their_own_answers(crowded: Daemon, ad: SambaAd) -> None:
    """With right and wrong passwords, in any order, over the same connections; each is one bind."""
    asked = [(account.jid, other.password) for account, other in logins(2_000)]
    passwords = {account.jid: account.password for account in CROWD_PEOPLE}
    mark = ad.mark()
    answers = storm(crowded, asked, connections=32)
    assert len(answers) == len(asked)
    wrong = [
        (jid, answer)
        for (jid, password), answer in answers
        if answer != (YES if password == passwords[jid] else NO)
    ]
    assert wrong == []
    names = {account.name for account in CROWD_PEOPLE}
    statuses = [bind.status for bind in ad.authentications(mark) if bind.account in names]
    right = sum(password == passwords[jid] for jid, password in asked)
    assert statuses.count("NT_STATUS_OK") == right
    assert statuses.count("NT_STATUS_WRONG_PASSWORD") == len(asked) - right


def test_directory_comes_and_goes_under_logins(crowded: Daemon, ad: SambaAd) -> None:
    """Killed, hung, and back each time: nobody's answer is ever the wrong one."""
    over = threading.Event()
    first = CROWD_PEOPLE[0]

    def somebody() -> Iterator[tuple[str, bytes]]:
        while not over.is_set():
            yield from ((impatient(account), other.password) for account, other in logins(16))

    def answers_with(answer: Answer) -> bool:
        return check_password(crowded, impatient(first), first.password) == answer

    with ThreadPoolExecutor() as aside:
        storming = aside.submit(storm, crowded, somebody(), 16)
        try:
            for outage in (SambaAd.kill, SambaAd.pause):
                wait_until(lambda: answers_with(YES), "the directory is asked")
                outage(ad)
                wait_until(lambda: answers_with(OUTAGE), "an outage")
                ad.restore()
            wait_until(lambda: answers_with(YES), "the directory is asked")
        finally:
            over.set()
            ad.restore()
    passwords = {impatient(account): account.password for account in CROWD_PEOPLE}
    found: dict[bool, set[Answer]] = {True: set(), False: set()}
    for (jid, password), answer in storming.result():
        found[password == passwords[jid]].add(answer)
    assert found == {True: {YES, OUTAGE}, False: {NO, OUTAGE}}
