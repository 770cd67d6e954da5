"""Certificates that a test makes: good ones, and every bad one that a server may show."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from tests.ldap.server import tlv

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@functools.cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """The key of this name, made once."""
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def weak_key() -> rsa.RSAPrivateKey:
    """One that OpenSSL does not take any more."""
    return rsa.generate_private_key(65537, 1024)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """Who signs."""

    def __init__(self, name: str, san: x509.ExtensionType | None = None) -> None:
        self.name = name
        builder = self._builder(name, key(name), (NOW - DAY, NOW + 9 * DAY)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        if san is not None:
            builder = builder.add_extension(san, critical=False)
        self.certificate = builder.sign(key(name), hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *names: str,
        more: Sequence[x509.GeneralName] = (),
        san: x509.ExtensionType | None = None,
        between: tuple[dt.datetime, dt.datetime] = (NOW - DAY, NOW + DAY),
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        owned: Key | None = None,
    ) -> SSL.Context:
        """A server's TLS with a certificate for these names and addresses; `san` in place of them.
        With neither there is no subjectAltName."""
        general: list[x509.GeneralName] = [*map(general_name, names), *more]
        if san is None and general:
            san = x509.SubjectAlternativeName(general)
        owned = owned or key("server")
        builder = self._builder("server", owned, between)
        if san is not None:
            builder = builder.add_extension(san, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return context(builder.sign(key(self.name), hashes.SHA256()), owned)

    def _builder(
        self, subject: str, owned: Key, between: tuple[dt.datetime, dt.datetime]
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(owned.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(between[0])
            .not_valid_after(between[1])
        )


def self_signed(name: str) -> SSL.Context:
    """A certificate by the server's own key."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key("server").public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([general_name(name)]), critical=False)
    )
    return context(builder.sign(key("server"), hashes.SHA256()), key("server"))


def general_name(name: str) -> x509.GeneralName:
    """An address where it is one, else a name of the DNS."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def context(certificate: x509.Certificate, owned: Key) -> SSL.Context:
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_cipher_list(b"DEFAULT:@SECLEVEL=0")  # it is the client's to judge
    made.use_certificate(certificate)
    made.use_privatekey(owned)
    return made


def only(made: SSL.Context, version: int) -> SSL.Context:
    """The same, speaking this version of TLS alone."""
    made.set_min_proto_version(version)
    made.set_max_proto_version(version)
    return made


# --- what a client meets --------------------------------------------------------------------------

OURS, OTHER = Authority("ours"), Authority("other")
"""Who is trusted, and who is not."""
NAME, ADDRESS = "ldap.example.org", "192.0.2.1"

GOOD: dict[str, Callable[[], SSL.Context]] = {
    "the name": lambda: OURS.issue(NAME),
    "the name in capitals": lambda: OURS.issue(NAME.upper()),
    "one of several names": lambda: OURS.issue("a.example", "192.0.2.9", NAME),
    "a wildcard of one level": lambda: OURS.issue("*.example.org"),
    "TLS 1.2": lambda: only(OURS.issue(NAME), SSL.TLS1_2_VERSION),
    "TLS 1.3": lambda: only(OURS.issue(NAME), SSL.TLS1_3_VERSION),
}
"""Certificates of a server that is asked for by NAME."""


def garbled(value: bytes) -> x509.UnrecognizedExtension:
    """A subjectAltName with these octets in it."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), value)


NOT_ASCII = tlv(0x30, tlv(0x82, NAME.encode()), tlv(0x82, b"\xff.example.org"))
NO_SEQUENCE = tlv(4, b"abc")

BAD: dict[str, tuple[Callable[[], SSL.Context], dict[str, str], str]] = {
    "another name": (lambda: OURS.issue("ldap.example.net"), {}, "is not for ldap.example.org"),
    "no name but an address": (lambda: OURS.issue(ADDRESS), {}, f"but for {ADDRESS}"),
    "a name of another kind": (
        lambda: OURS.issue(more=[x509.RFC822Name("a@example.org")]), {}, "is not for",
    ),
    "a wildcard of two levels": (
        lambda: OURS.issue("*.example.org"), {"host": "a.b.example.org"}, "but for *.example.org",
    ),
    "a wildcard for everything": (lambda: OURS.issue("*"), {}, "is not for"),
    "another address": (lambda: OURS.issue("192.0.2.2"), {"host": ADDRESS}, "but for 192.0.2.2"),
    "an address in place of which is a name": (
        lambda: OURS.issue(NAME), {"host": ADDRESS}, f"but for {NAME}",
    ),
    "an address spelled as a name": (
        lambda: OURS.issue(more=[x509.DNSName(ADDRESS)]), {"host": ADDRESS}, "is not for",
    ),
    "no subjectAltName": (OURS.issue, {}, "it has no subjectAltName"),
    "names of which one cannot be read": (
        lambda: OURS.issue(san=garbled(NOT_ASCII)), {}, "cannot be read",
    ),
    "names that are none": (lambda: OURS.issue(san=garbled(NO_SEQUENCE)), {}, ""),
    "another authority": (lambda: OTHER.issue(NAME), {}, "the authority that signed"),
    "signed by itself": (lambda: self_signed(NAME), {}, "signed by itself"),
    "expired": (
        lambda: OURS.issue(NAME, between=(NOW - 9 * DAY, NOW - DAY)), {}, "has expired",
    ),
    "not valid yet": (
        lambda: OURS.issue(NAME, between=(NOW + DAY, NOW + 9 * DAY)), {}, "not valid yet",
    ),
    "for clients": (
        lambda: OURS.issue(NAME, usage=ExtendedKeyUsageOID.CLIENT_AUTH), {}, "not one for a server",
    ),
    "a weak key": (lambda: OURS.issue(NAME, owned=weak_key()), {}, "key is too weak"),
    "TLS 1.1": (lambda: only(OURS.issue(NAME), SSL.TLS1_1_VERSION), {}, "TLS failed"),
}  # fmt: skip
"""Certificates, under which `host` else than NAME they are shown, and what is said of them."""
