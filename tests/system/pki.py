"""Certificate authorities that live as long as the test run."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pki:
    """Files: the authority's certificate, and a server's certificate, key, and both with the CA."""

    ca: Path
    certificate: Path
    key: Path
    chain: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
    )


def make_pki(
    folder: Path,
    hosts: Sequence[str],
    addresses: Sequence[str] = (),
    *,
    authority: str = "authbridge test authority",
    expired: bool = False,
    self_signed: bool = False,
) -> Pki:
    """An authority and one certificate for all `hosts` and IP addresses, written to `folder`.

    `expired`: some days ago. `self_signed`: by its own key; the authority, a name that several
    may have, has nothing to do with it then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = (
        _builder(authority, authority, ca_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [
        *(x509.DNSName(host) for host in hosts),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]
    certificate = (
        _builder(
            hosts[0],
            hosts[0] if self_signed else authority,
            key.public_key(),
            now - dt.timedelta(days=7) if expired else now,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key if self_signed else ca_key, hashes.SHA256())
    )
    ca_pem = ca.public_bytes(serialization.Encoding.PEM)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pki = Pki(folder / "ca.pem", folder / "cert.pem", folder / "key.pem", folder / "chain.pem")
    for path, content in (
        (pki.ca, ca_pem),
        (pki.certificate, pem),
        (pki.key, key_pem),
        (pki.chain, pem + key_pem + ca_pem),
    ):
        path.touch(mode=0o600)
        path.write_bytes(content)
    return pki
