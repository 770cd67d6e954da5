"""A real slapd with 20,000 users on ports of its own, and the saslauthds that ask it."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.processes import PATIENCE, Program, offspring
from bench.workplace import Workplace, connects, free_port

USERS = 20_000
WRONG_EVERY = 10
"""One in so many logins comes with a wrong password."""
BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
USER_DN = f"uid={{user}},{PEOPLE}"
FILTER = "(&(objectClass=inetOrgPerson)(uid={user}))"
SERVICE_DN, SERVICE_PASSWORD = f"cn=authbridge,ou=services,{BASE}", "bridge password"
PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
SASLAUTHD_PROCESSES = 5

# The policy overlay is on, as wherever it is asked for: what it costs is everybody's. No account
# is locked, so that a wrong password writes nothing.
_SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
loglevel none
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" read by self read by * none
database mdb
suffix "{base}"
rootdn "cn=admin,{base}"
directory {folder}/db
maxsize 1073741824
index objectClass,uid eq
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{base}"
"""

_SASLAUTHD = """\
ldap_servers: {uri}
ldap_search_base: {base}
ldap_bind_dn: {service}
ldap_bind_pw: {password}
ldap_scope: sub
ldap_timeout: 5
ldap_tls_cacert_file: {ca}
ldap_tls_check_peer: yes
ldap_auth_method: {method}
ldap_filter: {filter}
"""


def user(number: int) -> str:
    """The name of a user."""
    return f"user{number:06d}"


def password(number: int) -> str:
    """The right password of a user."""
    return f"password of {number:06d}"


def requests() -> Iterator[bytes]:
    """Who logs in, as all drivers read it: name, password, and "1" where that is right."""
    numbers = list(range(USERS))
    random.Random(1).shuffle(numbers)
    for turn, number in enumerate(numbers):
        right = turn % WRONG_EVERY != WRONG_EVERY - 1
        text = password(number) if right else f"not the {password(number)}"
        yield b"\0".join((user(number).encode(), text.encode(), b"1" if right else b"0"))


class Directory:
    """A slapd, running. `arguments` is what every driver takes to reach it."""

    def __init__(self, place: Workplace, slapd: str, slapadd: str) -> None:
        self._slapd = slapd
        self.folder = place.folder / "slapd"
        (self.folder / "db").mkdir(parents=True)
        self.certificate_authority = self.folder / "ca.pem"
        _certificates(self.folder)
        configuration = self.folder / "slapd.conf"
        configuration.write_text(_SLAPD.format(folder=self.folder, base=BASE, service=SERVICE_DN))
        subprocess.run(
            [slapadd, "-q", "-f", str(configuration)],
            input="".join(_ldif()),
            text=True,
            check=True,
        )
        plain, tls = free_port(), free_port()
        self.plain, self.tls = f"ldap://127.0.0.1:{plain}", f"ldaps://127.0.0.1:{tls}"
        listen = ["-h", f"{self.plain}/ {self.tls}/"]
        command = [slapd, "-d", "0", "-f", str(configuration), *listen]
        self.program: Program = place.start(command, self.folder / "slapd.log")
        self.program.wait_for(lambda: connects(plain) and connects(tls), "slapd")
        self.arguments: Sequence[str] = (
            str(place.requests("ldap.requests", requests())),
            self.plain,
            self.tls,
            str(self.certificate_authority),
            BASE,
            FILTER,
            USER_DN,
            SERVICE_DN,
            SERVICE_PASSWORD,
        )

    def version(self) -> str:
        """Of the server."""
        said = subprocess.run([self._slapd, "-VV"], capture_output=True, text=True, check=False)
        return " ".join(said.stderr.split()[2:4])

    @classmethod
    def start(cls, place: Workplace) -> Directory | None:
        """One that runs; None where slapd is not installed."""
        slapd, slapadd = shutil.which("slapd", path=PATH), shutil.which("slapadd", path=PATH)
        return None if slapd is None or slapadd is None else cls(place, slapd, slapadd)


class Saslauthd:
    """A saslauthd with its LDAP mechanism, which asks the directory in one way."""

    def __init__(
        self, place: Workplace, program: str, directory: Directory, operation: str, link: str
    ) -> None:
        folder = place.folder / f"saslauthd-{operation}-{link}"
        folder.mkdir()
        self.socket = folder / "mux"
        search = operation == "search"
        configuration = folder / "saslauthd.conf"
        # "fastbind" takes the filter for the user's DN, and binds with it at once.
        configuration.write_text(
            _SASLAUTHD.format(
                uri=directory.tls if link == "tls" else directory.plain,
                base=BASE,
                service=SERVICE_DN,
                password=SERVICE_PASSWORD,
                ca=directory.certificate_authority,
                method="bind" if search else "fastbind",
                filter=(FILTER if search else USER_DN).replace("{user}", "%u"),
            )
        )
        processes = ["-n", str(SASLAUTHD_PROCESSES)]
        mechanism = ["-a", "ldap", "-O", str(configuration)]
        # It goes to the background by itself; its log goes to syslog.
        subprocess.run([program, *mechanism, "-m", str(folder), *processes], check=True)
        end = time.monotonic() + PATIENCE
        while not (self._running(folder / "saslauthd.pid") and connects(self.socket)):
            if time.monotonic() > end:
                raise RuntimeError("saslauthd did not come up")
            time.sleep(0.02)
        master = int((folder / "saslauthd.pid").read_text())
        self._pids = [master, *offspring(master)]
        place.at_end(self._stop)

    def pids(self) -> Sequence[int]:
        """All its processes."""
        return self._pids

    @staticmethod
    def _running(pid_file: Path) -> bool:
        try:
            master = int(pid_file.read_text())
            return len(offspring(master)) == SASLAUTHD_PROCESSES - 1
        except (OSError, ValueError):
            return False

    def _stop(self) -> None:
        for pid in self._pids:  # the first process takes its children with it, as a rule
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass

    @staticmethod
    def found() -> str | None:
        """Where the program is."""
        return shutil.which("saslauthd", path=PATH)


def _ldif() -> Iterator[str]:
    def entry(dn: str, classes: str, *attributes: str) -> str:
        lines = [f"dn: {dn}", *(f"objectClass: {name}" for name in classes.split()), *attributes]
        return "\n".join(lines) + "\n\n"

    yield entry(BASE, "dcObject organization", "dc: example", "o: Example")
    for unit in ("people", "services", "policies"):
        yield entry(f"ou={unit},{BASE}", "organizationalUnit", f"ou: {unit}")
    policy = ("cn: default", "pwdAttribute: userPassword", "pwdLockout: FALSE")
    yield entry(f"cn=default,ou=policies,{BASE}", "organizationalRole pwdPolicy", *policy)
    secret = f"userPassword: {_ssha(SERVICE_PASSWORD)}"
    yield entry(SERVICE_DN, "organizationalRole simpleSecurityObject", "cn: authbridge", secret)
    for number in range(USERS):
        name = user(number)
        yield entry(
            f"uid={name},{PEOPLE}",
            "inetOrgPerson",
            f"uid: {name}",
            f"cn: User {number}",
            f"sn: {number}",
            f"mail: {name}@example.org",
            f"userPassword: {_ssha(password(number))}",
        )


def _ssha(text: str) -> str:
    salt = os.urandom(8)
    digest = hashlib.sha1(text.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def _certificates(folder: Path) -> None:
    """An authority, and a certificate of 127.0.0.1 that it has signed."""
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the benchmarks' authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)

    def builder(
        name: x509.Name, public: ec.EllipticCurvePublicKey, is_authority: bool
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )

    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    own = builder(issuer, authority.public_key(), True).sign(authority, hashes.SHA256())
    certificate = (
        builder(subject, key.public_key(), False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(own.public_bytes(pem))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").touch(mode=0o600)
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
