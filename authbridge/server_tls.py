"""TLS of our own listeners: `ssl:PORT:privateKey=FILE:certKey=FILE`.

TLS 1.2 and 1.3, and of their suites those that encrypt and sign in one (AEAD) and leave no key that
opens what was recorded before (RFC 9325, 4.2): Prosody, ejabberd, MongooseIM, nginx and every
browser of the last ten years have them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion

from authbridge.settings import did_you_mean, private_file_trouble

_CIPHERS = AcceptableCiphers.fromOpenSSLCipherString(
    "TLS13-AES-256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES-128-GCM-SHA256:"
    "ECDHE+AESGCM:ECDHE+CHACHA20"
)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

OPTIONS = frozenset({"port", "privateKey", "certKey", "extraCertChain", "interface", "backlog"})
"""Of Twisted's endpoint, without those that only weaken it."""


def make_context(options: Mapping[str, str]) -> CertificateOptions:
    """What a listener with these options of its endpoint string shows its callers.

    The certificate may be followed by those of its authorities in the same file, as certbot's
    fullchain.pem has them. Raises ValueError with what is wrong.
    """
    for option in options:
        if option not in OPTIONS:
            raise ValueError(f'there is no option "{option}"{did_you_mean(option, OPTIONS)}')
    key, certificates = options.get("privateKey"), options.get("certKey")
    if key is None or certificates is None:
        raise ValueError("privateKey and certKey are missing: files in PEM")
    for path in (key, certificates, options.get("extraCertChain", "/")):
        if not path.startswith("/"):
            raise ValueError(f"the path of a file begins with /, and {path} does not")
    if trouble := private_file_trouble(Path(key)):
        raise ValueError(trouble)
    chain: Any = _read_certificates(certificates)  # Twisted takes them; its annotations are older
    if extra := options.get("extraCertChain"):
        chain += _read_certificates(extra)
    private = _read_key(key)
    if _octets(private.public_key()) != _octets(chain[0].public_key()):
        raise ValueError(f"{key} is not the key of {certificates}")
    made = CertificateOptions(
        privateKey=private,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableCiphers=_CIPHERS,
        # Offered by curl and others; without an answer to it Twisted ends the handshake.
        acceptableProtocols=[b"http/1.1", b"http/1.0"],
    )
    try:
        made.getContext()
    except SSL.Error as error:
        why = "; ".join(str(part[-1]) for part in error.args[0]) or "no reason"
        raise ValueError(f"{certificates} is refused by OpenSSL: {why}") from None
    return made


def _read_certificates(path: str) -> list[x509.Certificate]:
    pems = _PEM.findall(_read(path))
    try:
        found = [x509.load_pem_x509_certificate(pem) for pem in pems]
    except ValueError:
        raise ValueError(f"{path} holds a certificate that cannot be read") from None
    if not found:
        raise ValueError(f"{path} holds no certificate in PEM")
    return found


def _read_key(path: str) -> Any:
    octets = _read(path)
    try:
        return load_pem_private_key(octets, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        raise ValueError(f"{path} holds no private key that can be read") from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


def _octets(key: Any) -> bytes:
    octets: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return octets
