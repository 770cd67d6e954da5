"""TLS to a server that we call, verified: the chain by OpenSSL, the name by service-identity, TLS
1.2 at least. There is no way to switch it off.

Twisted's own optionsForClientTLS lets a certificate pass whose names raise something unforeseen in
its callback. Here the name is looked at when the handshake is over and before anything is sent,
and whatever is raised then is a refusal.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.printable import printable
from authbridge.settings import Table

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# What OpenSSL calls X509_V_ERR_…, for the refusals that an administrator meets.
_WHY = {
    7: "the certificate is not signed by the authority of that name that is trusted (see ca_file)",
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "the certificate is signed by itself, and not trusted (see ca_file)",
    19: "the authority that signed the certificate is not trusted (see ca_file)",
    20: "the authority that signed the certificate is not trusted (see ca_file)",
    21: "the authority that signed the certificate is not trusted (see ca_file)",
    24: "the certificate was signed by one that is no authority",
    26: "the certificate is not one for a server",
    66: "the certificate's key is too weak",
    67: "the key of the certificate's authority is too weak",
    68: "the certificate is signed with a digest that is too weak",
}


def read_authorities(path: Path) -> list[Certificate]:
    """Every certificate in a PEM file. Raises ValueError where one cannot be read, or none is
    there; OSError."""
    text = path.read_text("ascii", "replace")
    found = [Certificate.loadPEM(pem) for pem in _PEM.findall(text)]
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def read_ca_file(table: Table, setting: str = "ca_file") -> Path | None:
    """A setting with a file of which the certificates can be read; None where it is not given."""
    table.knows(setting)
    if setting not in table:
        return None
    path = table.path(setting)
    if not table.given_as_text(setting):
        return None  # which has been said
    try:
        read_authorities(path)
    except OSError as error:
        table.wrong(setting, f"{path}: {error.strerror}")
    except (ValueError, SSL.Error, crypto.Error):
        table.wrong(setting, f"{path} is no file of certificates in PEM")
    else:
        return path
    return None


def make_context(authorities: list[Certificate]) -> SSL.Context:
    """A context for every connection of a kind: certificates are parsed once. Without authorities
    those of the system are trusted."""
    trust: Any = trustRootFromCertificates(authorities) if authorities else platformTrust()
    options = CertificateOptions(trustRoot=trust, raiseMinimumTo=TLSVersion.TLSv1_2)
    return options.getContext()


@implementer(IOpenSSLClientConnectionCreator)
class TlsServer:
    """Makes and judges the TLS of the connections to one server."""

    def __init__(self, host: str, context: SSL.Context) -> None:
        """`host`: the name, or the IP address, that the certificate must be for."""
        self._host = host
        self._is_address = isIPAddress(host) or isIPv6Address(host)
        self._context = context
        self.refusal: int | None = None
        """What OpenSSL had against the last certificate."""

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        connection = SSL.Connection(self._context, None)
        if not self._is_address:
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        self.refusal = None
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verified)
        return connection

    def _verified(
        self, _connection: SSL.Connection, _certificate: crypto.X509, why: int, _depth: int, ok: int
    ) -> bool:
        if not ok:
            self.refusal = why
        return ok == 1

    def trouble_with(self, transport: Any) -> str | None:
        """Why the server at the other end is not the one that was meant; None where it is."""
        certificate = peer_certificate(transport)
        try:
            if self._is_address:
                verify_certificate_ip_address(certificate, self._host)
            else:
                verify_certificate_hostname(certificate, self._host)
        except (VerificationError, CertificateError):
            return f"the certificate is not for {self._host}, but for {names_in(certificate)}"
        except Exception:  # noqa: BLE001 - a certificate that cannot be judged is not trusted
            return "the names in the certificate cannot be read"
        return None

    def describe(self, transport: Any) -> str:
        """The TLS and the certificate of a connection, for people."""
        certificate = peer_certificate(transport)
        handle: SSL.Connection = transport.getHandle()
        issuer = printable(certificate.issuer.rfc4514_string().encode())
        until = certificate.not_valid_after_utc
        return (
            f"{handle.get_protocol_version_name()}, certificate for {names_in(certificate)} "
            f"by {issuer}, until {until:%Y-%m-%d}"
        )


def peer_certificate(transport: Any) -> x509.Certificate:
    """The certificate of the server."""
    handle: SSL.Connection = transport.getHandle()
    certificate = handle.get_peer_certificate(as_cryptography=True)
    assert certificate is not None  # VERIFY_FAIL_IF_NO_PEER_CERT
    return certificate


def names_in(certificate: x509.Certificate) -> str:
    """The names and addresses that a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return "nobody: it has no subjectAltName that can be read"
    found = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return printable(", ".join([*found, *map(str, addresses)]).encode()) or "nobody"


def handshake_trouble(server: TlsServer | None, reason: Failure) -> str | None:
    """Why there is no TLS with a server, as the end of its connection tells; None where that has
    nothing to do with TLS."""
    if server is not None and server.refusal is not None:
        return _WHY.get(server.refusal, f"its certificate is refused (OpenSSL: {server.refusal})")
    error = reason.value
    if isinstance(error, SSL.Error):
        parts = error.args[0] if error.args else []
        what = "; ".join(str(part[-1]) for part in parts if part)
        return f"TLS failed ({what or 'no reason'})"
    return None
