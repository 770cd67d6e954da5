"""A throw-away slapd of the Debian package, with the tree of `directory`."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import directory
from .canary import secret
from .daemon import write_private
from .directory_server import DirectoryServer
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
loglevel stats
{tls}
{more}

{access}

database mdb
suffix "{base}"
rootdn "{admin}"
rootpw {admin_password}
directory {folder}/db
dbnosync
index objectClass,uid,mail,member,memberOf,memberUid eq
overlay memberof
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{base}"
ppolicy_use_lockout
"""

#: As docs/directories.md has it.
ACCESS = """\
access to attrs=userPassword
    by self write
    by anonymous auth
    by * none
access to *
    by dn.exact="{service}" read
    by self read
    by * none
"""

_TLS = """\
TLSCACertificateFile {pki.ca}
TLSCertificateFile {pki.certificate}
TLSCertificateKeyFile {pki.key}"""


# Not what a SEARCH RESULT has to tell, nor that a bind has succeeded.
_OPERATION = re.compile(r" conn=(\d+) op=\d+ ([A-Z]+) ((?:dn|base|oid|msg)=(?!.* mech=).*)")


@dataclass(frozen=True)
class Operation:
    """Something that slapd was asked to do."""

    connection: str
    #: "BIND", "SRCH", "EXT", "ABANDON" … as in slapd's log.
    name: str
    #: The rest of the log's line.
    text: str

    @property
    def dn(self) -> str:
        """Who a bind is for."""
        return self.text.partition('dn="')[2].rpartition('"')[0]


class Slapd(DirectoryServer):
    """One server; `start`, `stop` and `kill` may alternate, tree and ports stay."""

    def __init__(
        self,
        folder: Path,
        pki: Pki | None,
        *,
        referral: str = "ldap://nowhere.example/",
        more: str = "",
    ) -> None:
        """`pki` is its certificate; without, it knows no TLS. `referral` is the URL of another
        directory that it points to. `more` is configuration."""
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.log = folder / "slapd.log"
        self.service_password = secret("service")
        #: For `bind_password_file`; a test may write another one into it.
        self.service_password_file = folder / "service"
        self._admin_password = folder / "admin"
        self._empty = True
        (folder / "db").mkdir(parents=True)
        admin_password = secret("admin")
        write_private(self._admin_password, admin_password)
        self.give_service_password(self.service_password)
        self._referral = referral
        text = _CONFIGURATION.format(
            folder=folder,
            tls="" if pki is None else _TLS.format(pki=pki),
            more=more,
            access=ACCESS.format(service=directory.SERVICE),
            base=directory.BASE,
            admin=directory.ADMIN,
            admin_password=directory.ssha(admin_password),
        )
        write_private(self._configuration, text.encode())

    @property
    def _configuration(self) -> Path:
        return self.folder / "slapd.conf"

    @property
    def url(self) -> str:
        """In clear, or for StartTLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Under TLS."""
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def give_service_password(self, password: bytes) -> None:
        """What the daemon's file of the service account's password says."""
        write_private(self.service_password_file, password + b"\n")

    def start(self) -> None:
        """Start it, with the tree at its first time, and wait until it accepts connections."""
        if self._empty:
            tree = directory.tree(self.service_password, self._referral)
            self._run(["/usr/sbin/slapadd", "-q", "-f", str(self._configuration)], tree)
        listeners = f"{self.url}/ {self.tls_url}/"
        self._process = Process(
            ["/usr/sbin/slapd", "-d", "stats", "-f", str(self._configuration), "-h", listeners],
            self.log,
        )
        self._process.wait_until_up(
            lambda: accepts(self.port) and accepts(self.tls_port), "slapd accepts connections"
        )
        if self._empty:
            self.modify(directory.groups(), "-a")
            self._empty = False

    def modify(self, changes: str, *options: str) -> None:
        """Change the tree, as the administrator, with LDIF."""
        account = ["-x", "-D", directory.ADMIN, "-y", str(self._admin_password)]
        self._run(["ldapmodify", "-H", self.url, *account, *options], changes)

    def give_password(self, account: directory.Account, password: bytes) -> None:
        """A new password, which also unlocks the account."""
        self.give_password_to(account.dn, password)

    def give_password_to(self, dn: str, password: bytes) -> None:
        """The same by DN."""
        value = directory.ssha(password)
        change = f"changetype: modify\nreplace: userPassword\nuserPassword: {value}\n"
        self.modify(f"dn: {dn}\n{change}")

    @staticmethod
    def _run(command: Sequence[str], text: str) -> None:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")

    def operations(self, since: int = 0) -> list[Operation]:
        """What slapd was asked since a mark. An operation is logged before it is answered."""
        text = self.log.read_bytes()[since:].decode(errors="replace")
        return [Operation(*found) for found in _OPERATION.findall(text)]

    def binds(self, since: int = 0) -> list[str]:
        """The DNs of all binds since a mark."""
        return [operation.dn for operation in self.operations(since) if operation.name == "BIND"]

    def searches(self, since: int = 0) -> list[str]:
        """Base, scope and filter of all searches since a mark."""
        return [operation.text for operation in self.operations(since) if operation.name == "SRCH"]

    def connections(self, since: int = 0) -> int:
        """How many connections slapd has accepted since a mark."""
        return self.log.read_bytes()[since:].count(b" ACCEPT from ")
