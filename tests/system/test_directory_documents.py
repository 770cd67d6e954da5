"""The directory configurations of README and docs/directories.md answer for a real one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .calls import NO, YES, check_password, user_exists
from .canary import secret
from .daemon import Daemon, write_private
from .directory import ALICE, CAROL, SERVICE
from .pki import Pki
from .slapd import ACCESS, Slapd

ROOT = Path(__file__).parent.parent.parent
ORG = "example.org"


def blocks(document: str, language: str) -> list[str]:
    """The examples of a document in one language."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def daemon_of(workspace: Path, directory_pki: Pki) -> Iterator[Daemon]:
    """A daemon whose configuration the test writes."""
    daemon = Daemon(workspace / "documented-directory", (ORG,))
    (daemon.folder / "ca.pem").write_bytes(directory_pki.ca.read_bytes())
    yield daemon
    if daemon.running:
        daemon.stop()
    daemon.folder.rename(daemon.folder.with_name(f"documented-{daemon.http_port}"))


def configure(daemon: Daemon, slapd: Slapd, text: str) -> None:
    """Start the daemon with an example, its paths, its ports and its server made ours."""
    text = re.sub(r"ldaps://ldap\d?\.example\.org", slapd.tls_url, text)
    text = text.replace(f'"{slapd.tls_url}", "{slapd.tls_url}"', f'"{slapd.tls_url}"')
    assert slapd.tls_url in text
    if "ca_file =" not in text:
        text = text.replace("base =", 'ca_file = "/etc/authbridge/ca.pem"\nbase =')
        text = text.replace("user_dn =", 'ca_file = "/etc/authbridge/ca.pem"\nuser_dn =')
    ours = {
        "/run/authbridge": f"{daemon.folder}/run",
        "/etc/authbridge/bind-password": str(slapd.service_password_file),
        "/etc/authbridge": str(daemon.folder),
        "tcp:9281": f"tcp:{daemon.http_port}",
    }
    for shown, here in ours.items():
        text = text.replace(shown, here)
    write_private(daemon.configuration, text.encode())
    daemon.start()


def test_readmes_configuration_serves_logins(daemon_of: Daemon, slapd: Slapd) -> None:
    """As it is there."""
    (text,) = blocks("README.md", "toml")
    configure(daemon_of, slapd, text)
    assert check_password(daemon_of, f"alice@{ORG}", ALICE.password) == YES
    assert check_password(daemon_of, f"alice@{ORG}", secret("wrong-password")) == NO


def listening(daemon: Daemon) -> str:
    """The part of the configuration before the domains."""
    return daemon.configuration.read_text().partition("\n[domains.")[0] + "\n"


def test_documented_search_serves_those_of_the_group(daemon_of: Daemon, slapd: Slapd) -> None:
    """docs/directories.md, with a service account."""
    text, _ = blocks("docs/directories.md", "toml")
    configure(daemon_of, slapd, listening(daemon_of) + text)
    assert check_password(daemon_of, f"alice@{ORG}", ALICE.password) == YES
    assert check_password(daemon_of, f"carol@{ORG}", CAROL.password) == NO


def test_documented_direct_bind_serves_logins(daemon_of: Daemon, slapd: Slapd) -> None:
    """docs/directories.md, without a service account: everybody exists."""
    _, text = blocks("docs/directories.md", "toml")
    configure(daemon_of, slapd, listening(daemon_of) + text)
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
    text, _ = blocks("docs/directories.md", "toml")
    configure(daemon_of, slapd, listening(daemon_of) + text)
    assert check_password(daemon_of, f"alice@{ORG}", ALICE.password) == YES


def test_documented_access_rules_are_those_of_these_tests() -> None:
    """slapd has the rules of docs/directories.md, so that all other tests are about them."""
    text = (ROOT / "docs" / "directories.md").read_text(encoding="utf-8")
    assert f"\n```\n{ACCESS.format(service=SERVICE)}```\n" in text
