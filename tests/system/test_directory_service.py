"""The service account with a wrong password: one try, an alarm, and no restart to mend it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, YES, check_password, probe, said, storm, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import ALICE, BOB, DOMAIN, SERVICE, checker
from .pki import Pki
from .slapd import Slapd
from .waiting import wait_until


@dataclass(frozen=True)
class Installation:
    """A directory and its daemon, the directory running."""

    daemon: Daemon
    slapd: Slapd

    def service_binds(self, since: int) -> int:
        """How often the service account's password was tried since a mark."""
        return self.slapd.binds(since).count(SERVICE)

    def logs_in(self) -> bool:
        """Whether alice does."""
        return check_password(self.daemon, ALICE.jid, ALICE.password) == YES


_numbers = itertools.count(1)


@pytest.fixture
def installation(workspace: Path, directory_pki: Pki) -> Iterator[Installation]:
    """One for each test."""
    folder = workspace / f"service{next(_numbers)}"
    slapd = Slapd(folder / "slapd", directory_pki)
    table = checker(
        DOMAIN,
        "corp",
        slapd.tls_url,
        ca_file=directory_pki.ca,
        bind_password_file=slapd.service_password_file,
    )
    daemon = Daemon(folder / "daemon", (), others={DOMAIN: table})
    slapd.start()
    yield Installation(daemon, slapd)
    for running in (daemon, slapd):
        if running.running:
            running.stop()


def test_wrong_password_is_tried_once_however_many_log_in(installation: Installation) -> None:
    """Three would lock the account in other directories."""
    daemon, slapd = installation.daemon, installation.slapd
    slapd.give_service_password(secret("mistyped"))
    mark = slapd.mark()
    daemon.start()
    answers = storm(daemon, [(ALICE.jid, ALICE.password)] * 100, connections=20)
    assert {status for _, (status, _) in answers} == {CANNOT_TELL}
    assert said(daemon, ALICE.jid) == ("unavailable", "service_account_refused")
    assert user_exists(daemon, BOB.jid)[0] == CANNOT_TELL
    assert said(daemon, BOB.jid) == ("unavailable", "service_account_refused")
    assert slapd.binds(mark) == [SERVICE]


def test_each_new_content_of_the_file_is_tried_once(installation: Installation) -> None:
    """Until one is right; the daemon is not restarted."""
    daemon, slapd = installation.daemon, installation.slapd
    mark = slapd.mark()
    slapd.give_service_password(secret("mistyped"))
    daemon.start()
    assert not installation.logs_in()
    slapd.give_service_password(secret("mistyped-again"))
    wait_until(lambda: installation.logs_in() or installation.service_binds(mark) == 2, "tried")
    assert [installation.logs_in() for _ in range(10)] == [False] * 10
    assert installation.service_binds(mark) == 2
    slapd.give_service_password(slapd.service_password)
    wait_until(installation.logs_in, "alice is let in")


def test_restart_tries_again(installation: Installation) -> None:
    """The directory may have been what was changed."""
    daemon, slapd = installation.daemon, installation.slapd
    new = secret("not-yet-there")
    slapd.give_service_password(new)
    daemon.start()
    assert not installation.logs_in()
    slapd.give_password_to(SERVICE, new)
    assert not installation.logs_in()
    daemon.stop()
    daemon.start()
    assert installation.logs_in()


def test_password_changed_in_the_directory_alone_is_noticed_and_tried_once(
    installation: Installation,
) -> None:
    """Connections that are bound go on; those that come after a restart of slapd are refused."""
    daemon, slapd = installation.daemon, installation.slapd
    daemon.start()
    assert installation.logs_in()
    new = secret("rotated")
    slapd.give_password_to(SERVICE, new)
    slapd.restart()
    mark = slapd.mark()
    assert [installation.logs_in() for _ in range(10)] == [False] * 10
    assert said(daemon, ALICE.jid) == ("unavailable", "service_account_refused")
    assert installation.service_binds(mark) == 1
    slapd.give_service_password(new)
    wait_until(installation.logs_in, "alice is let in")


def test_alarm_says_whose_password_is_wrong_and_where_it_is_kept(
    installation: Installation,
) -> None:
    """Once, and in a line of its own."""
    daemon, slapd = installation.daemon, installation.slapd
    slapd.give_service_password(secret("mistyped"))
    daemon.start()
    for _ in range(5):
        assert not installation.logs_in()
    lines = daemon.log.read_text().splitlines()
    (alarm,) = [line for line in lines if " critical " in line]
    assert SERVICE in alarm
    assert str(slapd.service_password_file) in alarm


def test_missing_file_is_said_before_anything_starts(installation: Installation) -> None:
    """By check-config, as a mistake of the configuration."""
    installation.slapd.service_password_file.unlink()
    told = probe(installation.daemon)
    assert told.returncode == 2
    assert str(installation.slapd.service_password_file) in told.stderr
