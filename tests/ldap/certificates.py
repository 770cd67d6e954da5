"""Certificates that a test makes: good ones, and every bad one that a directory may show."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

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
