"""The service account in an Active Directory, where three wrong passwords lock it for good."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .active_directory import ALICE, BOB, DOMAIN, LOCKED_BY, SERVICE, checker
from .calls import CANNOT_TELL, YES, check_password, said, storm, user_exists
from .canary import secret
from .daemon import Daemon, write_private
from .samba import SambaAd
from .test_directory_outages import RECOVERY
from .waiting import wait_until

OTHER_DOMAIN = "other.example"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Installation:
    """A daemon, not started yet, with a file of the service account's password of its own."""

    daemon: Daemon
    file: Path
    ad: SambaAd
    servers: int

    def give_password(self, password: bytes) -> None:
        """What the file says."""
        write_private(self.file, password + b"\n")

    def logs_in(self) -> bool:
        """Whether alice does."""
        return check_password(self.daemon, ALICE.jid, ALICE.password) == YES


@pytest.fixture(params=[1, 2], ids=["one-server", "two-servers"])
def installation(
    workspace: Path, ad: SambaAd, request: pytest.FixtureRequest
) -> Iterator[Installation]:
    """Two domains that the same account searches for, at one server, and at two."""
    folder = workspace / f"ad-service{next(_numbers)}"
    servers = (ad.tls_url, ad.url)[: request.param]
    files = {"ca_file": ad.pki.ca, "bind_password_file": folder / "password"}
    others = {domain: checker(domain, *servers, **files) for domain in (DOMAIN, OTHER_DOMAIN)}
    daemon = Daemon(folder, (), others=others)
    yield Installation(daemon, folder / "password", ad, len(servers))
    if daemon.running:
        daemon.stop()
    ad.give_service_account(ad.service_password)


def test_wrong_password_counts_once_however_many_log_in(installation: Installation) -> None:
    """Three would lock the account; the right one in the file works at once. Each domain's checker
    says once, of all its servers, whose password is wrong, where it is kept, and what the directory
    has said."""
    daemon, ad = installation.daemon, installation.ad
    installation.give_password(secret("mistyped"))
    daemon.start()
    asked = [(ALICE.jid, ALICE.password), (f"alice@{OTHER_DOMAIN}", ALICE.password)] * 25
    answers = storm(daemon, asked, connections=20)
    assert [status for _, (status, _) in answers] == [CANNOT_TELL] * 50
    assert said(daemon, ALICE.jid) == ("unavailable", "service_account_refused")
    assert user_exists(daemon, BOB.jid)[0] == CANNOT_TELL
    assert ad.wrong_passwords(SERVICE) == 1
    assert user_exists(daemon, f"bob@{OTHER_DOMAIN}")[0] == CANNOT_TELL
    lines = daemon.log.read_text().splitlines()
    alarms = [line for line in lines if " critical " in line]
    assert len(alarms) == len((DOMAIN, OTHER_DOMAIN))
    for words in (SERVICE, str(installation.file), "data 52e,", "the password is wrong"):
        assert all(words in alarm for alarm in alarms)
    installation.give_password(ad.service_password)
    wait_until(installation.logs_in, "alice is let in", RECOVERY)
    assert ad.wrong_passwords(SERVICE) == 0


def test_rotation_in_the_directory_first_locks_nothing(installation: Installation) -> None:
    """The password is changed there, the DC restarted, and people log in before the file is: each
    server refuses it once, and is left alone then."""
    daemon, ad = installation.daemon, installation.ad
    installation.give_password(ad.service_password)
    daemon.start()
    assert installation.logs_in()
    new = secret("rotated")
    ad.give_service_account(new)
    ad.stop()
    ad.start()
    asked = [(ALICE.jid, ALICE.password)] * 50
    storm(daemon, asked, connections=10)
    assert ad.wrong_passwords(SERVICE) == installation.servers < LOCKED_BY
    installation.give_password(new)
    wait_until(installation.logs_in, "alice is let in")
