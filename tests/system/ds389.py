"""A throw-away 389 Directory Server of the Debian package, with the tree of `netscape`.

`dscreate` makes instances of the machine; what it does is little, and done here in a folder: the
package's template of `dse.ldif` filled in, the certificate put into NSS's database, and `ns-slapd`
started in the foreground.
"""

import base64
import getpass
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from . import directory, netscape
from .canary import secret
from .daemon import write_private
from .directory_server import DirectoryServer
from .pki import Pki
from .ports import accepts, free_port
from .processes import Process

_TEMPLATE = Path("/usr/share/dirsrv/data/template-dse.ldif")
# What it wants to find; the machine's own files of these names are not for everybody to read.
_FILES = {
    "slapd-collations.conf": "",
    "certmap.conf": "certmap default default\n",
    "schema/99user.ldif": "dn: cn=schema\n",
}
_FOLDERS = ("etc/schema", "db", "bak", "ldif", "lock", "log", "run", "inst", "tmp")

_BACKEND = """
dn: cn=userRoot,cn=ldbm database,cn=plugins,cn=config
objectclass: top
objectclass: extensibleObject
objectclass: nsBackendInstance
nsslapd-suffix: {base}
nsslapd-directory: {folder}/db/userRoot
cn: userRoot

dn: cn="{base}",cn=mapping tree,cn=config
objectclass: top
objectclass: extensibleObject
objectclass: nsMappingTree
cn: {base}
nsslapd-state: backend
nsslapd-backend: userRoot
"""

#: What the plugin of inactive accounts looks at.
_INACTIVITY = {
    "alwaysrecordlogin": "no",
    "stateattrname": "lastLoginTime",
    "altstateattrname": "1.1",
    "specattrname": "acctPolicySubentry",
    "limitattrname": "accountInactivityLimit",
}

_OPERATION = re.compile(r' (BIND dn="(?P<dn>[^"]*)"|SRCH (?P<search>base=.*?) attrs=)')


def _hash(password: bytes) -> str:
    """A value of nsslapd-rootpw, which is not taken in clear."""
    salt = os.urandom(8)
    digest = hashlib.sha512(password + salt).digest()
    return "{SSHA512}" + base64.b64encode(digest + salt).decode()


class Ds389(DirectoryServer):
    """One server; `start` and `kill` may alternate, tree and ports stay."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        """`pki` is its certificate."""
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        #: What it was asked, and what it has to say.
        self.log, self.output = folder / "log" / "access.log", folder / "ns-slapd.out"
        self.service_password = secret("service")
        #: For `bind_password_file`, whichever account it is for.
        self.service_password_file = folder / "service"
        self._admin_password = folder / "admin"
        self._empty = True
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        for name, text in _FILES.items():
            (folder / "etc" / name).write_text(text)
        admin_password = secret("Directory-Manager")
        write_private(self._admin_password, admin_password)
        write_private(self.service_password_file, self.service_password + b"\n")
        self._take_certificate(pki)
        write_private(folder / "etc" / "dse.ldif", self._dse(admin_password).encode())

    def _take_certificate(self, pki: Pki) -> None:
        """Into NSS's database, which has no password, so that nobody is asked for it."""
        key = serialization.load_pem_private_key(pki.key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(pki.certificate.read_bytes())
        bundle = self.folder / "server.p12"
        octets = pkcs12.serialize_key_and_certificates(
            b"Server-Cert",
            key,  # type: ignore[arg-type]
            certificate,
            None,
            serialization.BestAvailableEncryption(b"on-its-way"),
        )
        write_private(bundle, octets)
        database = f"sql:{self.folder / 'etc'}"
        self._run(["certutil", "-N", "-d", database, "--empty-password"])
        self._run(
            ["pk12util", "-i", str(bundle), "-d", database, "-W", "on-its-way", "-K", ""],
        )
        authority = ["-n", "authority", "-t", "CT,,", "-a", "-i", str(pki.ca)]
        self._run(["certutil", "-A", "-d", database, *authority])

    def _dse(self, admin_password: bytes) -> str:
        """The configuration, which the server goes on to write itself."""
        folder = self.folder
        below = ("lock", "tmp", "ldif", "bak", "run", "inst", "log", "db")
        values = {f"{name}_dir": folder / name for name in below} | {
            "schema_dir": folder / "etc" / "schema",
            "cert_dir": folder / "etc",
            "config_dir": folder / "etc",
            "db_home_dir": folder / "db",
            "db_lib": "bdb",
            "fqdn": "localhost",
            "ds_port": self.port,
            "ds_user": getpass.getuser(),
            "ds_suffix": directory.BASE,
            "rootdn": netscape.ADMIN,
            "ds_passwd": _hash(admin_password),
            "ldapi_enabled": "off",
            "ldapi": folder / "ldapi",
            "ldapi_autobind": "off",
        }
        text = re.sub(r"%(\w+)%", lambda found: str(values[found[1]]), _TEMPLATE.read_text())
        changes: dict[str, Mapping[str, object]] = {
            "cn=config": {
                "nsslapd-listenhost": "127.0.0.1",
                "nsslapd-securelistenhost": "127.0.0.1",
                "nsslapd-secureport": self.tls_port,
                "nsslapd-security": "on",
                "nsslapd-accesslog": self.log,
                "nsslapd-accesslog-logbuffering": "off",
                "nsslapd-errorlog": folder / "log" / "errors.log",
                "nsslapd-pwpolicy-local": "on",
                # As FreeIPA has it: what looks like a hash is one.
                "nsslapd-allow-hashed-passwords": "on",
                "passwordLegacyPolicy": "off",
            },
            "cn=MemberOf Plugin,cn=plugins,cn=config": {
                "nsslapd-pluginenabled": "on",
                "memberOfGroupAttr": "member\nmemberOfGroupAttr: uniqueMember",
                "memberOfAutoAddOC": "nsMemberOf",
            },
            "cn=Account Policy Plugin,cn=plugins,cn=config": {"nsslapd-pluginEnabled": "on"},
            # It keeps names and passwords of other letters than ASCII's out.
            "cn=7-bit check,cn=plugins,cn=config": {"nsslapd-pluginenabled": "off"},
            "cn=config,cn=Account Policy Plugin,cn=plugins,cn=config": _INACTIVITY,
        }
        entries = text.strip().split("\n\n")
        edited = "\n\n".join(
            _edit(one, changes.pop(one.splitlines()[0].removeprefix("dn: "), {})) for one in entries
        )
        assert not changes
        return f"{edited}\n{_BACKEND.format(base=directory.BASE, folder=folder)}"

    @property
    def url(self) -> str:
        """In clear, or for StartTLS."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Under TLS."""
        return f"ldaps://127.0.0.1:{self.tls_port}"

    def start(self) -> None:
        """Start it, with the tree at its first time, and wait until it accepts connections."""
        pid_file = self.folder / "run" / "pid"
        pid_file.unlink(missing_ok=True)
        # Without -d it would go to the background.
        command = ["/usr/sbin/ns-slapd", "-D", str(self.folder / "etc"), "-d", "0"]
        self._process = Process([*command, "-i", str(pid_file)], self.output)
        self._process.wait_until_up(
            lambda: accepts(self.port) and accepts(self.tls_port), "ns-slapd accepts connections"
        )
        if self._empty:
            self.modify(netscape.tree(self.service_password), "-a")
            self._empty = False

    def _admin(self, tool: str) -> list[str]:
        account = ["-x", "-D", netscape.ADMIN, "-y", str(self._admin_password)]
        return [tool, "-H", self.url, *account]

    def modify(self, changes: str, *options: str) -> None:
        """Change the tree, as the administrator, with LDIF."""
        self._run([*self._admin("ldapmodify"), *options], changes)

    def replace(self, dn: str, **values: str) -> None:
        """Give attributes of an entry other values. The server's own settings are an entry too,
        `cn=config`."""
        changes = (("replace", name, value) for name, value in values.items())
        self.modify(netscape.change(dn, *changes))

    def search(self, base: str, scope: str, condition: str, *attributes: str) -> str:
        """What is found, as the administrator, as LDIF."""
        how = ["-LLL", "-o", "ldif-wrap=no", "-b", base, "-s", scope]
        return self._run([*self._admin("ldapsearch"), *how, condition, *attributes])

    def give_password(self, account: directory.Account, password: bytes) -> None:
        """A new password, which also unlocks the account."""
        self.replace(account.dn, userPassword=password.decode())

    @staticmethod
    def _run(command: Sequence[str], text: str = "") -> str:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode()

    def binds(self, since: int = 0) -> list[str]:
        """The DNs of all binds since a mark. One is logged before it is answered."""
        return [dn for dn, _ in self._operations(since) if dn is not None]

    def searches(self, since: int = 0) -> list[str]:
        """Base, scope and filter of all searches since a mark."""
        return [search for _, search in self._operations(since) if search is not None]

    def _operations(self, since: int) -> Iterator[tuple[str | None, str | None]]:
        text = self.log.read_bytes()[since:].decode(errors="replace")
        return ((found["dn"], found["search"]) for found in _OPERATION.finditer(text))


def _edit(entry: str, values: Mapping[str, object]) -> str:
    """An entry of dse.ldif with these in place of what it has."""
    names = {name.lower() for name in values}
    kept = [line for line in entry.splitlines() if line.partition(":")[0].lower() not in names]
    return "\n".join([*kept, *(f"{name}: {value}" for name, value in values.items())])


@contextmanager
def running_389(folder: Path, pki: Pki) -> Iterator[Ds389]:
    """One that runs."""
    server = Ds389(folder, pki)
    try:
        server.start()
        yield server
    finally:
        if server.running:
            server.kill()  # which is faster than an orderly stop
