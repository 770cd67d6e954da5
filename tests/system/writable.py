"""slapds that a service account may write to, or that are read-only."""

import subprocess
from pathlib import Path

from . import directory, netscape
from .daemon import write_private
from .directory import BASE, PEOPLE, SERVICE
from .pki import Pki
from .slapd import Slapd

#: A service account that may read, and write nothing.
READER = f"cn=reader,ou=services,{BASE}"
#: One that may add people and give passwords, and delete nobody; 389 has it as well.
ADDER = netscape.ADDER
#: Characters of the shortest password.
SHORTEST = 10

# Ahead of those that every slapd of the tests has.
_ACCESS = f"""\
access to attrs=userPassword
    by dn.exact="{SERVICE}" write
    by dn.exact="{ADDER}" write
    by self write
    by anonymous auth
    by * none
access to dn.subtree="{PEOPLE}"
    by dn.exact="{SERVICE}" write
    by dn.exact="{READER}" read
    by dn.exact="{ADDER}" =ars
    by self read
    by * none
access to *
    by dn.exact="{READER}" read
    by * break
"""

_POLICY = f"cn=default,ou=policies,{BASE}"


class WritableSlapd(Slapd):
    """One whose service account gives passwords, and adds and deletes people."""

    def __init__(self, folder: Path, pki: Pki, *, more: str = "", database: str = "") -> None:
        """`more` is configuration, `database` that of the database."""
        super().__init__(folder, pki, more=more + _ACCESS)
        self._append(database)

    def _append(self, lines: str) -> None:
        text = self._configuration.read_text()
        write_private(self._configuration, (text + lines).encode())

    def start(self) -> None:
        """See Slapd."""
        empty = self._empty
        super().start()
        if empty:
            rules = {"pwdMinLength": str(SHORTEST), "pwdCheckQuality": "2", "pwdInHistory": "2"}
            self.modify(netscape.change(_POLICY, *(("add", *rule) for rule in rules.items())))
            password = ("userPassword", directory.ssha(self.service_password))
            classes = "organizationalRole simpleSecurityObject"
            accounts = (netscape.entry(dn, classes, password) for dn in (READER, ADDER))
            self.modify("".join(accounts), "-a")

    def freeze(self) -> None:
        """From now on it is read-only."""
        self._append("readonly on\n")
        self.restart()

    def search(self, base: str, scope: str, condition: str, *attributes: str) -> str:
        """What is found, as the administrator, as LDIF."""
        account = ["-x", "-D", directory.ADMIN, "-y", str(self._admin_password)]
        how = ["-LLL", "-o", "ldif-wrap=no", "-b", base, "-s", scope, condition]
        command = ["ldapsearch", "-H", self.url, *account, *how, *attributes]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Original(WritableSlapd):
    """One that has replicas."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        super().__init__(
            *(folder, pki), more="moduleload syncprov\n", database="overlay syncprov\n"
        )

    def copy(self, database: str) -> str:
        """What a replica's database has in its configuration."""
        password = self._admin_password.read_text()
        return (
            f"syncrepl rid=1 provider={self.url} type=refreshAndPersist retry=1,+\n"
            f'    bindmethod=simple binddn="{directory.ADMIN}" credentials="{password}"\n'
            f'    searchbase="{BASE}" schemachecking=off\n{database}'
        )


class Replica(WritableSlapd):
    """One that has everything from another, and names a third to who would write (10)."""

    def __init__(self, folder: Path, pki: Pki, original: Original, named: str) -> None:
        """`named` is the URL that it names."""
        super().__init__(folder, pki, database=original.copy(f"updateref {named}\n"))
        self.service_password = original.service_password
        self.service_password_file = original.service_password_file
        self._empty = False  # the original fills it
