"""Listeners under TLS: what is spoken there, and what is not."""

import datetime as dt
import ipaddress
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from . import http_attacks
from .daemon import write_private
from .http_attacks import CANARY, PATIENCE, RIGHT, Answer, get, good, harmless, post, read, troubles
from .pki import Pki
from .ports import accepts, free_port
from .waiting import wait_until

V1_1, V1_2, V1_3 = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
#: What a client offers, of which the server takes nothing.
REFUSED = {
    "a cipher without authentication of its data (CBC)": (V1_2, "ECDHE-RSA-AES128-SHA256"),
    "CBC and SHA-1": (V1_2, "ECDHE-RSA-AES256-SHA"),
    "the exchange of keys by RSA": (V1_2, "AES256-GCM-SHA384"),
    "the exchange of keys by RSA, and CBC": (V1_2, "AES128-SHA"),
    "Camellia": (V1_2, "ECDHE-RSA-CAMELLIA128-SHA256"),
    "no certificate": (V1_2, "AECDH-AES128-SHA"),
    "no encryption": (V1_2, "ECDHE-RSA-NULL-SHA"),
    "TLS 1.1": (V1_1, "ALL"),
    "TLS 1.0": (ssl.TLSVersion.TLSv1, "ALL"),
}
TAKEN = [
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
]


def rsa_certificate(folder: Path) -> Path:
    """A certificate with the kind of key that every suite of old can be used with, and the key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(folder / "rsa.pem", certificate.public_bytes(pem) + private)
    return folder / "rsa.pem"


class Secured:
    """A daemon with two listeners under TLS, one with a certificate of each kind of key."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self.ports = {"ec": free_port(), "rsa": free_port()}
        both = rsa_certificate(folder / "keys")
        self.authorities = {"ec": pki.ca, "rsa": both}
        files = {"ec": (pki.key, pki.certificate), "rsa": (both, both)}
        listeners = [
            f"ssl:{self.ports[kind]}:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
            for kind, (key, certificate) in files.items()
        ]
        self.daemon = http_attacks.under_attack(folder / "daemon", listeners=listeners)

    def start(self) -> None:
        """Start it, and wait for these listeners too."""
        self.daemon.start()
        wait_until(lambda: all(map(accepts, self.ports.values())), "it listens")

    def connect(self, context: ssl.SSLContext, kind: str = "ec") -> ssl.SSLSocket:
        """A connection with its handshake done."""
        bare = socket.create_connection(("127.0.0.1", self.ports[kind]), PATIENCE)
        try:
            return context.wrap_socket(
                bare, server_hostname="127.0.0.1", suppress_ragged_eofs=False
            )
        except BaseException:
            bare.close()
            raise

    def verifying(self, version: ssl.TLSVersion, kind: str = "ec") -> ssl.SSLContext:
        """A client that believes the authority alone, and speaks this version alone."""
        context = ssl.create_default_context(cafile=self.authorities[kind])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the versions of old
            context.minimum_version = version
            context.maximum_version = version
        return context


@pytest.fixture(scope="module")
def secured(workspace: Path, directory_pki: Pki) -> Iterator[Secured]:
    """It, running."""
    found = Secured(workspace / "secured", directory_pki)
    found.start()
    yield found
    assert found.daemon.running
    found.daemon.stop()


def everything(connection: ssl.SSLSocket) -> list[Answer]:
    """What is said until the server ends the connection; it must say that it does."""
    octets = b""
    with connection:
        while piece := connection.recv(65536):
            octets += piece
    return read(octets)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
def test_a_login_is_let_in(secured: Secured, version: ssl.TLSVersion, kind: str) -> None:
    """By both versions of today, and the authority is what the caller goes by."""
    connection = secured.connect(secured.verifying(version, kind), kind)
    suite = connection.cipher()
    assert suite is not None
    assert any(word in suite[0] for word in ("GCM", "POLY1305"))
    connection.sendall(RIGHT + RIGHT.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    answers = everything(connection)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"true")] * 2


@pytest.mark.parametrize("suite", TAKEN)
def test_these_suites_are_spoken(secured: Secured, suite: str) -> None:
    """Else it would show nothing that others are refused."""
    context = secured.verifying(V1_2, "rsa")
    context.set_ciphers(suite)
    with secured.connect(context, "rsa") as connection:
        assert connection.cipher() == (suite, "TLSv1.2", connection.cipher()[2])  # type: ignore[index]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_weak_is_refused_by_the_server(secured: Secured, name: str) -> None:
    """The client would speak it: its own library refuses nothing here."""
    version, suite = REFUSED[name]
    context = secured.verifying(version, "rsa")
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="ALERT") as refused:
        secured.connect(context, "rsa").close()
    assert refused.value.reason in {"SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_PROTOCOL_VERSION"}
    assert troubles(secured.daemon) == []


@pytest.mark.parametrize(
    ("octets", "status"),
    [(get(http_attacks.HOST), 400), (get(line=b"GET /nowhere HTTP/1.1"), 404)],
)
def test_a_refused_request_has_its_answer_and_the_connection_ends(
    secured: Secured, octets: bytes, status: int
) -> None:
    """As without TLS."""
    connection = secured.connect(secured.verifying(V1_3))
    connection.sendall(octets + RIGHT)
    (answer,) = everything(connection)
    assert (answer.status, answer.last) == (status, True)
    assert harmless(answer)


def test_who_sends_too_much_is_told(secured: Secured) -> None:
    """Though he goes on sending."""
    connection = secured.connect(secured.verifying(V1_3))
    connection.sendall(post(b"Content-Length: 10000000", body=b"a" * 300_000))
    (answer,) = everything(connection)
    assert (answer.status, answer.last) == (413, True)
    assert troubles(secured.daemon) == []


@pytest.mark.parametrize("octets", [RIGHT, b"\x16\x03\x01" + CANARY * 30, b"\x80\x2e\x01\0\2"])
def test_what_is_no_tls_gets_no_answer(secured: Secured, octets: bytes) -> None:
    """Not even a request, whose password everybody has read by now."""
    with socket.create_connection(("127.0.0.1", secured.ports["ec"]), PATIENCE) as connection:
        said = b""
        try:
            connection.sendall(octets)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                said += piece
        except TimeoutError:
            raise
        except OSError:
            pass  # it was cut, at whatever moment
    assert b"HTTP" not in said
    assert CANARY not in said
    assert good(secured.daemon.http_port)
    assert troubles(secured.daemon) == []


def test_who_leaves_in_the_middle_of_a_handshake_is_missed_by_nobody(secured: Secured) -> None:
    """After each octet of its beginning, and after its end without a goodbye."""
    incoming, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = secured.verifying(V1_3)
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, hello, server_hostname="127.0.0.1").do_handshake()
    octets = hello.read()
    for size in (1, 5, 50, len(octets) - 1, len(octets)):
        with socket.create_connection(("127.0.0.1", secured.ports["ec"]), PATIENCE) as connection:
            connection.sendall(octets[:size])
    secured.connect(context).close()
    connection = secured.connect(context)
    connection.sendall(RIGHT)
    connection.close()
    assert good(secured.daemon.http_port)
    assert troubles(secured.daemon) == []
