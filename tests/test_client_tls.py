"""TLS to a server that we call: who is who, and in which words."""

from __future__ import annotations

import pytest
from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet import ssl
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge import client_tls
from authbridge.client_tls import TlsServer
from tests.ldap.certificates import (
    ADDRESS,
    BAD,
    DAY,
    GOOD,
    NAME,
    NO_SEQUENCE,
    NOW,
    OTHER,
    OURS,
    Authority,
    garbled,
)
from tests.ldap.server import Network, Server


@implementer(IHandshakeListener)
class Caller(Protocol):
    """Takes nobody but the server that is meant."""

    def __init__(self, server):
        self.server = server
        self.trouble = "nothing has happened"

    def connectionMade(self):
        self.transport.startTLS(self.server)

    def handshakeCompleted(self):
        self.trouble = self.server.trouble_with(self.transport)

    def connectionLost(self, reason):
        self.trouble = client_tls.handshake_trouble(self.server, reason)


def certificate(authority):
    return client_tls.Certificate.loadPEM(authority.pem)


def call(context, host=NAME, trusted=(OURS,)):
    """Who has called a server with this TLS."""
    trust = client_tls.make_context([certificate(one) for one in trusted])
    caller = Caller(TlsServer(host, trust))
    network = Network()
    network.join(caller, Server(tls=context))
    network.settle()
    return caller


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_server_with_a_good_certificate_is_the_one_that_was_meant(make):
    assert call(make()).trouble is None


@pytest.mark.parametrize("host", [ADDRESS, "2001:db8::1"])
def test_an_address_is_verified_as_an_address(host):
    assert call(OURS.issue(host), host).trouble is None


@pytest.mark.parametrize(("make", "how", "said"), BAD.values(), ids=BAD)
def test_a_server_with_a_bad_one_is_not(make, how, said):
    assert said in call(make(), **how).trouble


def test_what_verification_raises_is_a_refusal(monkeypatch):
    def broken(certificate, host):
        raise MemoryError

    monkeypatch.setattr(client_tls, "verify_certificate_hostname", broken)
    assert call(OURS.issue(NAME)).trouble == "the names in the certificate cannot be read"


def test_every_authority_that_is_given_is_trusted():
    for authority in (OURS, OTHER):
        assert call(authority.issue(NAME), trusted=(OURS, OTHER)).trouble is None


def test_a_connection_is_told_for_people():
    caller = call(OURS.issue(NAME, ADDRESS))
    until = f"{NOW + DAY:%Y-%m-%d}"
    assert caller.server.describe(caller.transport) == (
        f"TLSv1.3, certificate for {NAME}, {ADDRESS} by CN=ours, until {until}"
    )


def test_a_certificate_whose_names_cannot_be_told_is_for_nobody():
    assert client_tls.names_in(OURS.certificate).startswith("nobody")
    odd = Authority("odd", x509.SubjectAlternativeName([x509.RFC822Name("a@example.org")]))
    assert client_tls.names_in(odd.certificate) == "nobody"
    assert "cannot be read" not in client_tls.names_in(odd.certificate)
    spoiled = Authority("odd", garbled(NO_SEQUENCE))
    assert "can be read" in client_tls.names_in(spoiled.certificate)


# --- files of authorities -------------------------------------------------------------------------


def test_a_file_of_authorities_is_read_to_its_end(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(b"\xff\n" + OURS.pem + b"between\n" + OTHER.pem)
    found = [one.original.to_cryptography() for one in client_tls.read_authorities(path)]
    assert found == [OURS.certificate, OTHER.certificate]


@pytest.mark.parametrize("content", [b"", b"nothing\n", OURS.pem[:200]])
def test_a_file_without_a_certificate_is_said_to_be_one(tmp_path, content):
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="there is no certificate in it"):
        client_tls.read_authorities(path)


def test_one_certificate_that_cannot_be_read_spoils_the_file(tmp_path):
    path = tmp_path / "ca.pem"
    broken = OTHER.pem.replace(OTHER.pem[60:80], b"A" * 20)
    path.write_bytes(OURS.pem + broken)
    with pytest.raises((ValueError, SSL.Error, crypto.Error)):
        client_tls.read_authorities(path)


def test_without_a_file_the_systems_authorities_are_trusted(monkeypatch):
    asked = []
    monkeypatch.setattr(client_tls, "platformTrust", lambda: asked.append(1) or ssl.platformTrust())
    assert isinstance(client_tls.make_context([]), SSL.Context)
    assert asked == [1]


# --- why a handshake failed -----------------------------------------------------------------------


def why(error, refusal=None, server=True):
    judge = TlsServer(NAME, client_tls.make_context([])) if server else None
    if judge is not None:
        judge.refusal = refusal
    return client_tls.handshake_trouble(judge, Failure(error))


def test_what_openssl_had_against_a_certificate_is_said_in_words():
    assert why(SSL.Error(), 10) == "the certificate has expired"
    assert why(SSL.Error(), 4711) == "its certificate is refused (OpenSSL: 4711)"


def test_another_failure_of_tls_is_said_in_openssls_words():
    error = SSL.Error([("SSL routines", "", "no shared cipher"), (), ("", "", "and more")])
    assert why(error) == "TLS failed (no shared cipher; and more)"
    assert why(SSL.Error([])) == "TLS failed (no reason)"
    assert why(SSL.Error()) == "TLS failed (no reason)"
    assert why(SSL.Error(), server=False) == "TLS failed (no reason)"


def test_a_connection_that_broke_is_no_matter_of_tls():
    assert why(ConnectionLost()) is None
    assert why(ConnectionLost(), server=False) is None
