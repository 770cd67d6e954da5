"""The directory configurations of README and docs/directories.md answer for a real one."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import active_directory
from .calls import BIN, NO, YES, check_password, said, user_exists
from .canary import secret
from .daemon import Daemon, write_private
from .directory import ALICE, CAROL, SERVICE
from .pki import Pki
from .samba import SambaAd
from .slapd import ACCESS, Slapd

ROOT = Path(__file__).parent.parent.parent
ORG = "example.org"


def blocks(document: str, language: str) -> list[str]:
    """The examples of a document in one language."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return found


#: The examples of docs/directories.md, by what only one of them has in it.
SEARCH = "ldap2.example.org"
DIRECT = "user_dn ="
WINDOWS = "dc1.ad.example.org"
EXAMPLES = (SEARCH, DIRECT, WINDOWS, "apac", "freeipa", "lldap", "new_users =")


def example(mark: str) -> str:
    """The one with that in it."""
    (found,) = (text for text in blocks("docs/directories.md", "toml") if mark in text)
    return found


def test_every_example_is_known_here() -> None:
    """So that none is left out of the tests."""
    assert len(blocks("docs/directories.md", "toml")) == len(EXAMPLES)
    assert len({example(mark) for mark in EXAMPLES}) == len(EXAMPLES)


@pytest.fixture
def daemon_of(workspace: Path, directory_pki: Pki) -> Iterator[Daemon]:
    """A daemon whose configuration the test writes."""
    daemon = Daemon(workspace / "documented-directory", (ORG,))
    (daemon.folder / "ca.pem").write_bytes(directory_pki.ca.read_bytes())
    yield daemon
    if daemon.running:
        daemon.stop()
    daemon.folder.rename(daemon.folder.with_name(f"documented-{daemon.http_port}"))


def ours(daemon: Daemon, text: str, password_file: Path) -> str:
    """An example with its paths and ports made ours."""
    there = {
        "/run/authbridge": f"{daemon.folder}/run",
        "/etc/authbridge/bind-password": str(password_file),
        "/etc/authbridge": str(daemon.folder),
        "tcp:9281": f"tcp:{daemon.http_port}",
    }
    for shown, here in there.items():
        text = text.replace(shown, here)
    return text


def configure(daemon: Daemon, slapd: Slapd, text: str) -> None:
    """Start the daemon with an example, its paths, its ports and its server made ours."""
    text = re.sub(r"ldaps://ldap\d?\.example\.org", slapd.tls_url, text)
    text = text.replace(f'"{slapd.tls_url}", "{slapd.tls_url}"', f'"{slapd.tls_url}"')
    assert slapd.tls_url in text
    if "ca_file =" not in text:
        text = text.replace("base =", 'ca_file = "/etc/authbridge/ca.pem"\nbase =')
        text = text.replace("user_dn =", 'ca_file = "/etc/authbridge/ca.pem"\nuser_dn =')
    text = ours(daemon, text, slapd.service_password_file)
    write_private(daemon.configuration, text.encode())
    daemon.start()


def test_readmes_configuration_serves_logins(daemon_of: Daemon, slapd: Slapd) -> None:
    """As it is there."""
    (text,) = blocks("README.md", "toml")
    configure(daemon_of, slapd, text)
    assert check_password(daemon_of, f"alice@{ORG}", ALICE.password) == YES
    assert check_password(daemon_of, f"alice@{ORG}", secret("wrong-password")) == NO


def listening(daemon: Daemon) -> str:
    """The part of the configuration before the domains, for any domains."""
    text = daemon.configuration.read_text().partition("\n[domains.")[0] + "\n"
    return re.sub(r"(?m)^domains = .*", 'domains = ["*"]', text)


def test_documented_search_serves_those_of_the_group(daemon_of: Daemon, slapd: Slapd) -> None:
    """docs/directories.md, with a service account."""
    configure(daemon_of, slapd, listening(daemon_of) + example(SEARCH))
    assert check_password(daemon_of, f"alice@{ORG}", ALICE.password) == YES
    assert check_password(daemon_of, f"carol@{ORG}", CAROL.password) == NO


def test_documented_direct_bind_serves_logins(daemon_of: Daemon, slapd: Slapd) -> None:
    """docs/directories.md, without a service account: everybody exists."""
    configure(daemon_of, slapd, listening(daemon_of) + example(DIRECT))
    assert check_password(daemon_of, f"carol@{ORG}", CAROL.password) == YES
    assert check_password(daemon_of, f"alice@{ORG}", secret("wrong-password")) == NO
    assert user_exists(daemon_of, f"nobody@{ORG}") == YES


def test_documented_service_account_can_be_added(daemon_of: Daemon, slapd: Slapd) -> None:
    """The LDIF, in place of the account that is there; the daemon then searches with it."""
    (ldif,) = blocks("docs/directories.md", "ldif")
    assert ldif.startswith(f"dn: {SERVICE}\n")
    ldif = ldif.replace("{SSHA}…", slapd.service_password.decode())
    slapd.modify(f"dn: {SERVICE}\nchangetype: delete\n")
    slapd.modify(ldif.replace("\nobjectClass", "\nchangetype: add\nobjectClass", 1))
    configure(daemon_of, slapd, listening(daemon_of) + example(SEARCH))
    assert check_password(daemon_of, f"alice@{ORG}", ALICE.password) == YES


def test_documented_active_directory_serves_those_of_the_group(
    daemon_of: Daemon, ad: SambaAd
) -> None:
    """docs/directories.md, with Samba in place of the domain controllers."""
    text = re.sub(r"servers = .*", f'servers = ["{ad.tls_url}"]', example(WINDOWS))
    (daemon_of.folder / "ca.pem").write_bytes(ad.pki.ca.read_bytes())
    text = ours(daemon_of, listening(daemon_of) + text, ad.service_password_file)
    write_private(daemon_of.configuration, text.encode())
    daemon_of.start()
    alice, carol = (
        f"{account.local}@{active_directory.SUFFIX}"
        for account in (active_directory.ALICE, active_directory.CAROL)
    )
    assert check_password(daemon_of, alice, active_directory.ALICE.password) == YES
    assert check_password(daemon_of, alice, secret("wrong-password")) == NO
    assert check_password(daemon_of, carol, active_directory.CAROL.password) == NO
    assert said(daemon_of, carol) == ("rejected", "not_in_group")


@pytest.mark.parametrize("mark", EXAMPLES)
def test_documented_configuration_has_no_mistake(
    daemon_of: Daemon, slapd: Slapd, mark: str
) -> None:
    """Those of servers that are not to be had here, too."""
    text = ours(daemon_of, listening(daemon_of) + example(mark), slapd.service_password_file)
    write_private(daemon_of.configuration, text.encode())
    command = [str(BIN / "authbridge"), "check-config", str(daemon_of.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")


def test_documented_access_rules_are_those_of_these_tests() -> None:
    """slapd has the rules of docs/directories.md, so that all other tests are about them."""
    text = (ROOT / "docs" / "directories.md").read_text(encoding="utf-8")
    assert f"\n```\n{ACCESS.format(service=SERVICE)}```\n" in text
