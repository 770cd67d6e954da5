"""What `authbridge explain` and `check-config --probe` tell of an Active Directory."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .active_directory import (
    ALICE,
    BASE,
    BOB,
    DISABLED,
    DOMAIN,
    ELSEWHERE,
    EXPIRED,
    GONE,
    LOCKED,
    MULTITUDE,
    MULTITUDE_PARENT,
    MUST_CHANGE,
    NIGHT,
    SERVICE,
    SPECIAL,
    SUFFIX,
    TRUST,
    Account,
    checker,
)
from .calls import CANNOT_TELL, check_password, explain, probe
from .canary import secret
from .daemon import Daemon, write_private
from .samba import SambaAd
from .test_directory_explained import steps

#: What is sent for each of them, and what an administrator reads.
SUB_CODES = [
    (DISABLED, "533", "the account is disabled"),
    (EXPIRED, "532", "the password has expired"),
    (GONE, "701", "the account has expired"),
    (MUST_CHANGE, "773", "the password has to be changed"),
    (LOCKED, "775", "the account is locked"),
    (NIGHT, "530", "may not log in at this hour"),
    (ELSEWHERE, "531", "not at this one"),
    (TRUST, "70f", "for a reason that has no name here"),
]


@pytest.mark.parametrize(
    ("account", "code", "words"), SUB_CODES, ids=[account.name for account, _, _ in SUB_CODES]
)
def test_sub_code_of_a_refused_bind_is_told_in_words(
    ad_daemon: Daemon, ad: SambaAd, account: Account, code: str, words: str
) -> None:
    """And as the directory sent it, for who wants to look it up."""
    told = explain(ad_daemon, account.jid, account.password)
    assert told.returncode == 1
    login = told.stdout.partition("\nUser:")[0]
    assert words in login
    assert account.right in login
    bind = steps(told.stdout)["bind"]
    assert bind.startswith(f"{account.dn}: 49 invalidCredentials")
    assert f"data {code}," in bind


def test_login_is_explained(ad_daemon: Daemon, ad: SambaAd) -> None:
    """Server, certificate, service account, search and entry, bind."""
    told = explain(ad_daemon, ALICE.jid, ALICE.password)
    assert told.returncode == 0
    found = steps(told.stdout)
    assert ad.tls_url in found["connection"]
    assert f"dc1.{SUFFIX}, {ad.address}" in found["connection"]
    assert SERVICE in found["service bind"]
    assert "(sAMAccountName=alice)" in found["search"]
    assert "(objectCategory=person)" in found["search"]
    assert BASE in found["search"]
    assert ALICE.dn in found["found"]
    assert found["bind"] == f"{ALICE.dn}: 0 success"


def test_wrong_password_is_told_from_an_unknown_user(ad_daemon: Daemon, ad: SambaAd) -> None:
    """Although Samba says the same of both."""
    told = explain(ad_daemon, BOB.jid, secret("wrong-password"))
    assert told.returncode == 1
    assert "the password is wrong" in told.stdout
    assert "data 52e," in steps(told.stdout)["bind"]
    told = explain(ad_daemon, f"nobody@{DOMAIN}", secret("nobodys"))
    assert told.returncode == 1
    assert "no entry" in steps(told.stdout)["found"]


def test_special_characters_are_shown_as_they_are_sent(ad_daemon: Daemon, ad: SambaAd) -> None:
    """Escaped in the filter."""
    found = steps(explain(ad_daemon, SPECIAL.jid, SPECIAL.password).stdout)
    assert r"(sAMAccountName=o'brien & \28s\29#n)" in found["search"]
    assert found["bind"].endswith(": 0 success")


def test_password_is_nowhere_in_what_is_explained(ad_daemon: Daemon, ad: SambaAd) -> None:
    """Neither the user's nor the service account's."""
    told = explain(ad_daemon, ALICE.jid, ALICE.password)
    for password in (ALICE.password, ad.service_password):
        assert password.decode() not in told.stdout + told.stderr


_numbers = itertools.count(1)

Configure = Callable[..., Daemon]


@pytest.fixture
def configure(workspace: Path, ad: SambaAd) -> Iterator[Configure]:
    """Makes a daemon, not started, with settings that may be wrong."""
    made: list[Daemon] = []

    def make(*servers: str, **settings: object) -> Daemon:
        chosen: dict[str, object] = {
            "ca_file": ad.pki.ca,
            "bind_password_file": ad.service_password_file,
            **settings,
        }
        table = checker(DOMAIN, *(servers or (ad.tls_url,)), **chosen)
        made.append(Daemon(workspace / f"ad-probed{next(_numbers)}", (), others={DOMAIN: table}))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.running:
            daemon.stop()


#: In the clear, which a DC refuses to hear a password in.
CLEAR: dict[str, object] = {"insecure_clear_text": True, "ca_file": None}


def test_probe_tells_of_all_that_was_tried(configure: Configure, ad: SambaAd) -> None:
    """Both servers' certificates, the service account, base and filter."""
    told = probe(configure(ad.tls_url, ad.url))
    assert told.returncode == 0, told.stdout + told.stderr
    for words in (f"{ad.tls_url}:636", f"{ad.url}:389", f"certificate for dc1.{SUFFIX}", SERVICE):
        assert words in told.stdout
    assert told.stdout.count("(objectCategory=person)") == 2
    assert told.stdout.count("certificate for") == 2


def test_clear_text_is_told_by_the_probe(configure: Configure, ad: SambaAd) -> None:
    """In the directory's words, and as what it is: nothing that the password has to do with; and
    what to do about it."""
    told = probe(configure(ad.url, **CLEAR))
    assert told.returncode == 3, told.stdout + told.stderr
    assert f"service account {SERVICE}" in told.stdout
    assert "Transport encryption required" in told.stdout
    assert "ldaps://" in told.stdout


def test_clear_text_is_told_by_explain_and_keeps_nobody_from_logging_in_later(
    configure: Configure, ad: SambaAd
) -> None:
    """The login cannot be told; it is no wrong password, and no refused one of the service."""
    daemon = configure(ad.url, **CLEAR)
    daemon.start()
    told = explain(daemon, ALICE.jid, ALICE.password)
    assert told.returncode == 3
    assert "Transport encryption required" in told.stdout
    assert "directory_refused" in told.stdout
    assert check_password(daemon, ALICE.jid, ALICE.password)[0] == CANNOT_TELL


def test_clear_text_of_a_direct_bind_is_told_by_explain(configure: Configure, ad: SambaAd) -> None:
    """There is no service account whom the probe could try."""
    direct = {"bind_dn": None, "bind_password_file": None, "base": None, "exists": "always"}
    daemon = configure(ad.url, **CLEAR, **direct, user_upn=f"{{user}}@{SUFFIX}")
    daemon.start()
    told = explain(daemon, ALICE.jid, ALICE.password)
    assert told.returncode == 3
    assert "Transport encryption required" in told.stdout
    assert "ldaps://" in told.stdout


@pytest.mark.parametrize(
    ("account", "code", "words"),
    [
        (DISABLED, "533", "the account is disabled"),
        (EXPIRED, "532", "the password has expired"),
        (LOCKED, "775", "the account is locked"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_probe_says_what_the_directory_has_against_the_service_account(
    configure: Configure, ad: SambaAd, account: Account, code: str, words: str
) -> None:
    """In words, as of a user: each is mended by something else."""
    file = ad.folder / "of-another"
    write_private(file, account.password + b"\n")
    told = probe(configure(bind_dn=account.dn, bind_password_file=file))
    assert told.returncode == 3, told.stdout + told.stderr
    for found in (account.dn, f"data {code},", words):
        assert found in told.stdout


def test_probe_goes_on_to_the_next_server_when_one_refuses_the_service_account(
    configure: Configure, ad: SambaAd
) -> None:
    """Which refuses it as well, unasked: another wrong password would count."""
    file = ad.folder / "mistyped"
    write_private(file, secret("mistyped") + b"\n")
    try:
        told = probe(configure(ad.tls_url, ad.url, bind_password_file=file))
        assert told.returncode == 3, told.stdout + told.stderr
        assert told.stdout.count("the password is wrong") == 2
        assert ad.wrong_passwords(SERVICE) == 1
    finally:
        ad.unlock(SERVICE)


def test_probe_finds_users_where_there_are_very_many(configure: Configure, ad: SambaAd) -> None:
    """All of them are sent, whatever the limit that it asks for: Samba knows none."""
    assert MULTITUDE > 101
    told = probe(configure(base=MULTITUDE_PARENT))
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"below {MULTITUDE_PARENT}: found" in told.stdout
