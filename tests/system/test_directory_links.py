"""Which directories are believed: certificates and StartTLS, with a real slapd for each."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, NO, YES, check_password, said
from .canary import secret
from .daemon import Daemon
from .directory import ALICE, checker
from .pki import make_pki
from .slapd import Slapd
from .waiting import wait_until

NAME, ADDRESS = "localhost", "127.0.0.1"


@dataclass(frozen=True)
class Link:
    """A server's certificate, and how the daemon is told to reach it."""

    #: What is in `servers`; ldap is StartTLS.
    scheme: str = "ldaps"
    host: str = ADDRESS
    #: What the certificate is for, and what is wrong with it.
    names: tuple[str, ...] = (NAME,)
    addresses: tuple[str, ...] = (ADDRESS,)
    wrong: Mapping[str, bool] = field(default_factory=dict)
    #: The daemon's ca_file: its own authority, another one, the certificate itself.
    trusted: str = "own"
    #: Lines of slapd's configuration.
    slapd: str = ""
    #: False: slapd knows no TLS at all.
    tls: bool = True
    #: More of the daemon's settings.
    settings: Mapping[str, object] = field(default_factory=dict)
    #: What the daemon's log says of it.
    words: str = ""


def versions(names: str) -> str:
    """The line that leaves slapd these versions of TLS alone."""
    return f"TLSCipherSuite NORMAL:-VERS-ALL:{names}:%COMPAT"


GOOD = {
    "name": Link(host=NAME),
    "address": Link(),
    "name-alone": Link(host=NAME, addresses=()),
    "starttls-name": Link("ldap", NAME),
    "starttls-address": Link("ldap"),
    "tls-1-2": Link(slapd=versions("+VERS-TLS1.2")),
    "tls-1-3": Link(slapd=versions("+VERS-TLS1.3")),
    "pinned": Link(wrong={"self_signed": True}, trusted="certificate"),
    "clear": Link("ldap", tls=False, settings={"insecure_clear_text": True, "ca_file": None}),
}

_FAULTS = {
    "self-signed": Link(wrong={"self_signed": True}, words="signed by itself"),
    "expired": Link(wrong={"expired": True}, words="has expired"),
    "wrong-name": Link(
        host=NAME, names=("elsewhere.example",), addresses=(), words="but for elsewhere.example"
    ),
    "wrong-address": Link(addresses=("127.0.0.2",), words="but for localhost, 127.0.0.2"),
    "address-as-name": Link(names=(ADDRESS,), addresses=(), words=f"not for {ADDRESS}"),
    "name-for-address": Link(addresses=(), words=f"not for {ADDRESS}, but for {NAME}"),
    "other-authority": Link(trusted="other", words="authority"),
    "authority-of-the-same-name": Link(trusted="namesake", words="authority"),
    "tls-1-1": Link(slapd=versions("+VERS-TLS1.1"), words="unsupported protocol"),
}
BAD = {
    **_FAULTS,
    **{f"starttls-{name}": replace(link, scheme="ldap") for name, link in _FAULTS.items()},
    "starttls-refused": Link("ldap", tls=False, words="refuses StartTLS"),
}


@dataclass(frozen=True)
class Installation:
    """One daemon with a domain for each directory."""

    daemon: Daemon
    directories: Mapping[str, Slapd]

    def jid(self, link: str) -> str:
        """alice, in the domain of this link."""
        return f"alice@{link}.example"


@pytest.fixture(scope="module")
def installed(workspace: Path) -> Iterator[Installation]:
    """Everything running."""
    folder = workspace / "links"
    other = make_pki(folder / "other", [NAME], authority="another authority").ca
    namesake = make_pki(folder / "namesake", [NAME]).ca
    directories: dict[str, Slapd] = {}
    others: dict[str, str] = {}
    with ExitStack() as ends:
        for name, link in {**GOOD, **BAD}.items():
            pki = make_pki(folder / name / "tls", link.names, link.addresses, **link.wrong)
            slapd = Slapd(folder / name, pki if link.tls else None, more=link.slapd)
            slapd.start()
            ends.callback(slapd.stop)
            directories[name] = slapd
            port = slapd.tls_port if link.scheme == "ldaps" else slapd.port
            trusted = {"own": pki.ca, "certificate": pki.certificate}
            trusted |= {"other": other, "namesake": namesake}
            settings: dict[str, object] = {
                "ca_file": trusted[link.trusted],
                "bind_password_file": slapd.service_password_file,
                **link.settings,
            }
            domain, server = f"{name}.example", f"{link.scheme}://{link.host}:{port}"
            others[domain] = checker(domain, name, server, **settings)
        daemon = Daemon(folder / "daemon", (), others=others)
        daemon.start()
        ends.callback(daemon.stop)
        yield Installation(daemon, directories)


@pytest.mark.parametrize("link", GOOD)
def test_certificate_of_the_right_name_or_address_is_believed(
    installed: Installation, link: str
) -> None:
    """Over ldaps and after StartTLS."""
    jid = installed.jid(link)
    assert check_password(installed.daemon, jid, ALICE.password) == YES
    assert check_password(installed.daemon, jid, secret("wrong-password")) == NO


@pytest.mark.parametrize("link", BAD)
def test_directory_that_is_not_believed_sees_no_password(
    installed: Installation, link: str
) -> None:
    """Neither the user's nor the service account's; the log says in words why not."""
    slapd = installed.directories[link]
    mark = slapd.mark()
    jid = installed.jid(link)
    assert check_password(installed.daemon, jid, ALICE.password)[0] == CANNOT_TELL
    assert said(installed.daemon, jid) == ("unavailable", "directory_untrusted")
    # Its line may come later than the end of the handshake.
    wait_until(lambda: slapd.connections(mark) > 0, "slapd has accepted a connection")
    assert slapd.binds(mark) == []
    server = f"{slapd.url if BAD[link].scheme == 'ldap' else slapd.tls_url}"
    server = server.replace(ADDRESS, BAD[link].host)
    (line,) = [line for line in installed.daemon.log.read_text().splitlines() if server in line]
    assert BAD[link].words in line
