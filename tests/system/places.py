"""XMPP domains whose people may change their passwords and register, each with its directory."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import directory, netscape
from .calls import YES, check_password, said
from .canary import secret
from .changing import Changes
from .daemon import Daemon, write_private
from .directory import PEOPLE, SERVICE
from .ds389 import Ds389, running_389
from .netscape import Account
from .pki import Pki
from .slapd import Slapd
from .writable import ADDER, READER, SHORTEST, WritableSlapd
from .xmpp_servers import running_servers

#: The kinds of directories. Each has the domain KIND.example, and some that differ from it.
KINDS = ("slapd", "ds389")
#: What is set there.
VARIATIONS: Mapping[str, Mapping[str, object]] = {
    "closed": {"writes": None, "new_users": None, "new_user": None},
    "changing": {"new_users": None, "new_user": None},
    "members": {
        "require_groups": [directory.group_dn("xmpp-users")],
        "new_users": None,
        "new_user": None,
    },
    "powerless": {},
    "adding": {"bind_dn": ADDER},
    "filtered": {"filter": "(mail=*)"},
    "addresses": {"new_user": {"mail": "{user}@{domain}"}},
    "incomplete": {"new_user": {"objectClass": ["inetOrgPerson", "posixAccount"]}},
}
#: What new users get.
NEW_USER = {"displayName": "{user} of {domain}", "description": ["{{user}}", "new, and unknown"]}


@dataclass(frozen=True)
class Place:
    """An XMPP domain, and the directory that its people stand in."""

    domain: str
    server: WritableSlapd | Ds389
    changes: Changes

    def jid(self, account: Account) -> str:
        """The user's JID there."""
        return f"{account.local}@{self.domain}"

    def policy(self, name: str) -> tuple[str, str]:
        """The line of an entry that has a password policy of its own."""
        is_389 = isinstance(self.server, Ds389)
        return netscape.policy(name) if is_389 else directory.policy(name)

    def add(self, uid: str, *more: tuple[str, str]) -> Account:
        """A new user, of whom there was none."""
        account = Account(uid, secret("as-it-was"), more)
        value = account.password.decode()
        if isinstance(self.server, Slapd):
            value = directory.ssha(account.password)
        self.server.modify(netscape.person(account, value), "-a")
        return account

    def find(self, uid: str) -> dict[str, set[str]]:
        """What the entries of this name have, with what is not for everybody; empty where there is
        none."""
        condition = re.sub(r"[*()\\]", lambda found: f"\\{ord(found[0]):02x}", uid)
        found = self.server.search(PEOPLE, "sub", f"(uid={condition})", "*", "+")
        values: dict[str, set[str]] = {}
        for name, coded, value in re.findall(r"(?m)^([\w;-]+):(:?) (.*)$", found):
            text = base64.b64decode(value).decode() if coded else value
            values.setdefault(name.lower(), set()).add(text)
        return values

    def change(self, way: str, account: Account, new: bytes) -> str:
        """What is told who gives this user a new password."""
        return self.changes.set_password(way, self.jid(account), account.password, new)

    def register(self, way: str, account: Account) -> str:
        """What is told who registers him."""
        return self.changes.register(way, self.jid(account), account.password)

    def logs_in(self, account: Account, password: bytes | None = None) -> bool:
        """Whether this is his password."""
        octets = account.password if password is None else password
        return check_password(self.changes.daemon, self.jid(account), octets) == YES

    def said(self, account: Account) -> tuple[str, str]:
        """Verdict and reason of his last login, or change."""
        return said(self.changes.daemon, self.jid(account))


def checker(domain: str, *servers: str, **settings: object) -> str:
    """The tables of an XMPP domain whose directory is written to. `new_user` is a table of its
    own; None leaves a setting out."""
    name = domain.replace(".", "-")
    new_user = settings.pop("new_user", None)
    chosen: dict[str, object] = {"writes": True, **settings, "servers": servers}
    table = directory.checker(domain, name, "", **chosen)
    if isinstance(new_user, Mapping):
        table += f"\n[checkers.{name}.new_user]\n"
        table += "".join(f"{key} = {json.dumps(value)}\n" for key, value in new_user.items())
    return table


def allow_changes(daemon: Daemon) -> None:
    """Prosody may ask for changes from now on, of a daemon that is not started yet."""
    text = daemon.configuration.read_text()
    allowed = text.replace('"user_exists"]', '"user_exists", "set_password", "register"]')
    assert allowed != text
    write_private(daemon.configuration, allowed.encode())


@dataclass(frozen=True)
class Places:
    """Both directories, the daemon that asks them, and everything before it."""

    slapd: WritableSlapd
    ds389: Ds389
    changes: Changes

    def place(self, kind: str, variation: str = "") -> Place:
        """A domain of one of the kinds."""
        server = self.slapd if kind == "slapd" else self.ds389
        domain = f"{variation}.{kind}.example".removeprefix(".")
        return Place(domain, server, self.changes)


def _tables(slapd: WritableSlapd, ds389: Ds389, pki: Pki) -> Iterator[tuple[str, str]]:
    servers: Mapping[str, WritableSlapd | Ds389] = {"slapd": slapd, "ds389": ds389}
    for kind, server in servers.items():
        writer, reader = (SERVICE, READER) if kind == "slapd" else (netscape.WRITER, SERVICE)
        usual: dict[str, object] = {
            "preset": "openldap" if kind == "slapd" else "389",
            "ca_file": pki.ca,
            "bind_password_file": server.service_password_file,
            "new_users": PEOPLE,
            "new_user": NEW_USER,
            # So long that a machine that is busy with other things is no outage.
            "timeout": "20s",
        }
        for variation, settings in {"": {}, **VARIATIONS}.items():
            domain = f"{variation}.{kind}.example".removeprefix(".")
            account = reader if variation == "powerless" else writer
            yield (
                domain,
                checker(domain, server.tls_url, **{"bind_dn": account, **usual, **settings}),
            )


@contextmanager
def running_places(folder: Path, pki: Pki) -> Iterator[Places]:
    """All of it. `pki` is the certificate of the directories."""
    with ExitStack() as ends:
        ds389 = ends.enter_context(running_389(folder / "ds389", pki))
        rules = {
            "passwordCheckSyntax": "on",
            "passwordMinLength": str(SHORTEST),
            "passwordMinCategories": "1",
            # By default, any three characters of a user's name in a row are none of his password's.
            "passwordMinTokenLength": "64",
        }
        ds389.replace("cn=config", **rules)
        slapd = WritableSlapd(folder / "slapd", pki)
        slapd.start()
        ends.callback(slapd.stop)
        tables = dict(_tables(slapd, ds389, pki))
        # As well as the deadlines, of a change that is several questions.
        tables[KINDS[0] + ".example"] += '\n[http]\ndeadline = "2m"\n'
        daemon = Daemon(folder / "daemon", (), extauth='deadline = "25s"', others=tables)
        allow_changes(daemon)
        daemon.start()
        ends.callback(daemon.stop)
        servers = ends.enter_context(running_servers(folder / "xmpp", list(tables), daemon))
        yield Places(slapd, ds389, Changes(daemon, servers))
