"""A throw-away Samba Active Directory DC of the Debian packages, with the people of
`active_directory`.

Of its services LDAP alone is started. Its ports, 389 and 636, cannot be changed, so it listens on a
loopback address of its own; to bind them takes root, or CAP_NET_BIND_SERVICE.
"""

import errno
import json
import random
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import active_directory
from . import active_directory_tree as tree
from .active_directory import Account
from .canary import secret
from .daemon import write_private
from .directory_server import DirectoryServer
from .pki import make_pki
from .processes import Process

PORT, TLS_PORT = 389, 636
#: Those and the ones of the global catalogue, which it serves as well.
_PORTS = (PORT, TLS_PORT, 3268, 3269)

#: Seconds. A new domain takes ten of them where there is nothing else to do.
_LONGEST = 600

_CONFIGURATION = """\
[global]
    netbios name = {host}
    realm = {realm}
    workgroup = {netbios}
    server role = active directory domain controller
    server services = ldap
    interfaces = {address}/8
    bind interfaces only = yes
    private dir = {folder}/private
    lock directory = {folder}
    state directory = {folder}/state
    cache directory = {folder}/cache
    binddns dir = {folder}/bind-dns
    pid directory = {folder}/run
    ncalrpc dir = {folder}/run/ncalrpc
    tls cafile = {pki.ca}
    tls certfile = {pki.certificate}
    tls keyfile = {pki.key}
    log level = 1 auth_json_audit:3
"""


@dataclass(frozen=True)
class Authentication:
    """A bind that was tried, as Samba's audit log has it."""

    #: The name that was bound with: a DN, an UPN, or DOMAIN\\name.
    client: str
    #: Whose account that is; "" where it is nobody's.
    account: str
    #: "NT_STATUS_OK", or what was the matter.
    status: str


@contextmanager
def own_address() -> Iterator[str]:
    """A loopback address where nobody serves LDAP. What keeps other runs away from it is LDAP's
    UDP port, of which Samba makes no use here."""
    for number in random.sample(range(20, 250), k=230):
        address = f"127.0.0.{number}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind((address, PORT))
                for port in _PORTS:
                    socket.create_server((address, port)).close()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                yield address
                return
    raise AssertionError("something listens on port 389 or 636 of every loopback address")


class SambaAd(DirectoryServer):
    """One DC; `start`, `stop` and `kill` may alternate, tree and address stay."""

    def __init__(self, folder: Path, address: str) -> None:
        """`address` is one that nothing else listens on."""
        self.folder = folder
        folder.mkdir(parents=True)
        self.address = address
        self.log = folder / "samba.log"
        #: Its authority has nothing to do with those of the other servers.
        self.pki = make_pki(folder / "tls", [active_directory.HOST], [self.address])
        self.service_password = secret("service")
        #: For `bind_password_file`; a test may write another one into it.
        self.service_password_file = folder / "service"
        self.give_service_password(self.service_password)
        #: Of the one that may write.
        self.writer_password = secret("writer")
        self.writer_password_file = folder / "writer"
        write_private(self.writer_password_file, self.writer_password + b"\n")

    @property
    def url(self) -> str:
        """In clear, or for StartTLS."""
        return f"ldap://{self.address}"

    @property
    def tls_url(self) -> str:
        """Under TLS."""
        return f"ldaps://{self.address}"

    def give_service_password(self, password: bytes) -> None:
        """What the daemon's file of the service account's password says."""
        write_private(self.service_password_file, password + b"\n")

    def start(self) -> None:
        """Start it, with the tree at its first time, and wait until it accepts connections."""
        if not self._configuration.exists():
            self._provision()
            self._populate()
        command = ["/usr/sbin/samba", "-F", "-M", "single", "--no-process-group"]
        command += ["--debug-stdout", "-s", str(self._configuration)]
        self._process = Process(command, self.log)
        self._process.wait_until_up(
            lambda: self._accepts(PORT) and self._accepts(TLS_PORT), "Samba accepts connections"
        )

    def _accepts(self, port: int) -> bool:
        try:
            socket.create_connection((self.address, port), 5).close()
        except OSError:
            return False
        return True

    @property
    def _configuration(self) -> Path:
        return self.folder / "smb.conf"

    def _provision(self) -> None:
        told = self._run(
            [
                *("/usr/bin/samba-tool", "domain", "provision", f"--targetdir={self.folder}"),
                *(f"--realm={active_directory.REALM}", f"--domain={active_directory.NETBIOS}"),
                *(f"--host-name={active_directory.HOST.partition('.')[0]}", "--server-role=dc"),
                *(f"--host-ip={self.address}", "--dns-backend=NONE", "--configfile=/dev/null"),
                *(f"--option=interfaces={self.address}/8", "--option=bind interfaces only=yes"),
                # Access control lists of files, where the file system has none.
                "--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb",
            ]
        )
        (self.folder / "provision.out").write_text(told.stdout + told.stderr)
        (self.folder / "run").mkdir()
        text = _CONFIGURATION.format(
            folder=self.folder,
            host=active_directory.HOST.partition(".")[0],
            realm=active_directory.REALM,
            netbios=active_directory.NETBIOS,
            address=self.address,
            pki=self.pki,
        )
        write_private(self._configuration, text.encode())

    def _populate(self) -> None:
        self._edit("ldbmodify", tree.policy())
        self._edit("ldbadd", tree.tree(self.service_password, self.writer_password))
        identifiers = {name: self._number(name) for name in active_directory.PRIMARY_GROUPS}
        primary_groups = tree.primary_groups(identifiers)
        self._edit("ldbmodify", primary_groups + tree.rights())
        # What only Samba itself may write, past its rules: straight into the partition.
        partition = f"private/sam.ldb.d/{active_directory.BASE.upper()}.ldb"
        self._write(["/usr/bin/ldbmodify", "-H", str(self.folder / partition)], tree.past())

    def _number(self, group: str) -> str:
        """What `primaryGroupID` calls a group: the last part of its SID."""
        dn = active_directory.group_dn(group)
        return self.read(dn, "objectSid")["objectSid"].rpartition("-")[2]

    def change(self, dn: str, verb: str, attribute: str, value: active_directory.Value) -> None:
        """ "add", "delete" or "replace" a value in an entry, as an administrator does."""
        self._edit("ldbmodify", tree.change(dn, (verb, attribute, value)))

    def replace(self, dn: str, attribute: str, value: active_directory.Value) -> None:
        """Give an attribute of an entry another value."""
        self.change(dn, "replace", attribute, value)

    def _edit(self, tool: str, ldif: str) -> None:
        self._write([f"/usr/bin/{tool}", *self._database()], ldif)

    def _write(self, command: Sequence[str], ldif: str) -> None:
        told = self._run(command, ldif)
        # The first entry that it does not take is the last, and its status 0 all the same.
        assert not told.stderr, told.stderr

    def _database(self) -> Sequence[str]:
        return [
            *("-H", str(self.folder / "private" / "sam.ldb")),
            f"--configfile={self._configuration}",
        ]

    @staticmethod
    def _run(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, input=text, capture_output=True, encoding="utf-8", timeout=_LONGEST
        )
        assert done.returncode == 0, done.stderr
        return done

    def read(self, dn: str, *attributes: str) -> dict[str, str]:
        """Attributes of an entry that have one value; those that it has not are not there."""
        found = self._run(
            ["/usr/bin/ldbsearch", *self._database(), "-b", dn, "-s", "base", *attributes]
        )
        lines = (line.partition(": ") for line in found.stdout.splitlines())
        return {name: value for name, _, value in lines if name in attributes}

    def wrong_passwords(self, dn: str) -> int:
        """How many in a row the account counts (badPwdCount)."""
        return int(self.read(dn, "badPwdCount").get("badPwdCount", "0"))

    def unlock(self, dn: str) -> None:
        """As an administrator does."""
        self.replace(dn, "lockoutTime", "0")

    def give_password(self, account: Account, password: bytes) -> None:
        """A new password, as an administrator gives it."""
        self.replace(account.dn, "unicodePwd", tree.quoted(password))

    def give_service_account(self, password: bytes) -> None:
        """The same to the service account, which also unlocks it."""
        quoted = tree.quoted(password)
        self.replace(active_directory.SERVICE, "unicodePwd", quoted)
        self.unlock(active_directory.SERVICE)

    def authentications(self, since: int = 0) -> list[Authentication]:
        """Every bind with a name since a mark. One is logged before it is answered."""
        # What comes behind the last line's end is still being written, and no answer's.
        whole, _, _ = self.log.read_bytes()[since:].rpartition(b"\n")
        lines = whole.decode(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith('{"timestamp"')]
        return [
            Authentication(one["clientAccount"], one["mappedAccount"] or "", one["status"])
            for one in (record.get("Authentication") for record in found)
            if one
        ]
