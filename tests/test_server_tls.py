"""What a listener with TLS shows its callers, and what it takes of them."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from authbridge import server_tls
from tests.ldap.certificates import DAY, NOW, Authority, key, weak_key

AUTHORITY = Authority("authority")
INTERMEDIATE = Authority("intermediate")  # by itself; it is the client's to verify
RSA_KEY = rsa.generate_private_key(65537, 2048)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(owned, passphrase=None):
    encryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return owned.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def certificate(owned):
    """A certificate for this key."""
    builder = AUTHORITY._builder("server", owned, (NOW - DAY, NOW + DAY))
    return pem(builder.sign(key("authority"), hashes.SHA256()))


BROKEN = b"-----BEGIN CERTIFICATE-----\nMIIx\n-----END CERTIFICATE-----\n"
BROKEN_KEY = b"-----BEGIN PRIVATE KEY-----\nMIIx\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def files(tmp_path):
    """Writes files, and hands out their options: key and certificate unless they are given."""

    def write(**contents):
        contents = {"privateKey": key_pem(RSA_KEY), "certKey": certificate(RSA_KEY), **contents}
        contents = {option: octets for option, octets in contents.items() if octets is not None}
        for option, octets in contents.items():
            (tmp_path / option).touch(mode=0o600)
            (tmp_path / option).write_bytes(octets)
        return {"port": "0", **{option: str(tmp_path / option) for option in contents}}

    return write


def client(versions=(), ciphers=b"DEFAULT:@SECLEVEL=0"):
    """The TLS of a caller that takes whatever it is shown."""
    made = SSL.Context(SSL.TLS_CLIENT_METHOD)
    made.set_cipher_list(ciphers)
    if versions:
        made.set_min_proto_version(versions[0])
        made.set_max_proto_version(versions[-1])
    return made


@implementer(IOpenSSLServerConnectionCreator)
class Lenient:
    """A server that takes whatever OpenSSL has."""

    def serverConnectionForTLS(self, tls):
        made = SSL.Context(SSL.TLS_SERVER_METHOD)
        made.set_cipher_list(b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        made.set_min_proto_version(SSL.TLS1_VERSION)
        made.use_certificate(x509.load_pem_x509_certificate(certificate(RSA_KEY)))
        made.use_privatekey(RSA_KEY)
        return SSL.Connection(made)


def shake_hands(server, caller):
    """The caller's end of a connection in memory, after the handshake. Raises SSL.Error."""
    end = SSL.Connection(caller)
    end.set_connect_state()
    served = TLSMemoryBIOFactory(server, False, Factory.forProtocol(Protocol)).buildProtocol(None)
    served.makeConnection(transport := StringTransport())
    for _ in range(5):
        try:
            end.do_handshake()
        except SSL.WantReadError:
            pass
        try:
            served.dataReceived(end.bio_read(1 << 16))
        except SSL.WantReadError:
            pass
        if transport.value():
            end.bio_write(transport.value())
            transport.clear()
    return end


TLS_1_2, TLS_1_3 = SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (TLS_1_2, b"ECDHE-RSA-AES128-GCM-SHA256"),
        (TLS_1_2, b"ECDHE-RSA-AES256-GCM-SHA384"),
        (TLS_1_2, b"ECDHE-RSA-CHACHA20-POLY1305"),
        (TLS_1_3, b"TLS_AES_256_GCM_SHA384"),
    ],
)
def test_a_caller_of_today_is_taken(files, version, cipher):
    caller = client((version,), b"DEFAULT" if version == TLS_1_3 else cipher)
    end = shake_hands(server_tls.make_context(files()), caller)
    assert end.get_cipher_name() == cipher.decode()
    assert end.get_protocol_version() == version


def test_a_certificate_of_an_elliptic_curve_is_taken_too(files):
    options = files(privateKey=key_pem(key("server")), certKey=certificate(key("server")))
    end = shake_hands(server_tls.make_context(options), client((TLS_1_2,)))
    assert end.get_cipher_name().startswith("ECDHE-ECDSA-")


@pytest.mark.parametrize(
    ("versions", "cipher", "alert"),
    [
        ((SSL.TLS1_VERSION, SSL.TLS1_1_VERSION), b"DEFAULT", "alert protocol version"),
        ((SSL.TLS1_1_VERSION,), b"DEFAULT", "alert protocol version"),
        ((TLS_1_2,), b"ECDHE-RSA-AES128-SHA", "alert handshake failure"),  # CBC
        ((TLS_1_2,), b"ECDHE-RSA-AES256-SHA384", "alert handshake failure"),
        ((TLS_1_2,), b"AES128-GCM-SHA256", "alert handshake failure"),  # no forward secrecy
        ((TLS_1_2,), b"ECDHE-RSA-NULL-SHA", "alert handshake failure"),
    ],
)
def test_what_is_weak_is_refused(files, versions, cipher, alert):
    """By the server: another takes the same caller."""
    caller = client(versions, cipher + b":@SECLEVEL=0")
    end = shake_hands(Lenient(), caller)
    assert end.get_cipher_name()
    with pytest.raises(SSL.Error) as refused:
        shake_hands(server_tls.make_context(files()), caller)
    assert alert in str(refused.value)


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ([], b""),
        ([b"h2", b"http/1.1"], b"http/1.1"),
        ([b"http/1.1", b"http/1.0"], b"http/1.1"),
        ([b"http/1.0"], b"http/1.0"),
    ],
)
def test_the_protocol_is_http_1_whatever_else_the_caller_has(files, offered, taken):
    caller = client()
    if offered:
        caller.set_alpn_protos(offered)  # as curl and browsers do
    end = shake_hands(server_tls.make_context(files()), caller)
    assert end.get_cipher_name()
    assert end.get_alpn_proto_negotiated() == taken


def shown(options):
    """The certificates that a caller is shown, by their subjects."""
    end = shake_hands(server_tls.make_context(options), client())
    chain = end.get_peer_cert_chain(as_cryptography=True)
    return [one.subject.rfc4514_string() for one in chain]


def test_the_certificate_which_all_may_read_is_shown(files, tmp_path):
    options = files()
    (tmp_path / "certKey").chmod(0o644)
    assert shown(options) == ["CN=server"]


def test_the_authorities_behind_the_certificate_are_shown(files):
    chain = certificate(RSA_KEY) + b"\n# by hand\n" + INTERMEDIATE.pem + AUTHORITY.pem
    assert shown(files(certKey=chain)) == ["CN=server", "CN=intermediate", "CN=authority"]


def test_the_authorities_may_be_in_a_file_of_their_own(files):
    options = files(extraCertChain=INTERMEDIATE.pem + AUTHORITY.pem)
    assert shown(options) == ["CN=server", "CN=intermediate", "CN=authority"]
    options = files(certKey=certificate(RSA_KEY) + INTERMEDIATE.pem, extraCertChain=AUTHORITY.pem)
    assert shown(options) == ["CN=server", "CN=intermediate", "CN=authority"]


def test_key_and_certificates_may_be_one_file(files):
    both = key_pem(RSA_KEY) + certificate(RSA_KEY) + AUTHORITY.pem
    assert shown(files(privateKey=both, certKey=both)) == ["CN=server", "CN=authority"]


# --- mistakes -------------------------------------------------------------------------------------


FILES = {"privateKey", "certKey", "extraCertChain"}


def wrong(options):
    with pytest.raises(ValueError) as raised:
        server_tls.make_context(options)
    text = str(raised.value)
    assert "Error(" not in text
    for option in FILES.intersection(options):
        text = text.replace(options[option], option.upper())
    return text


@pytest.mark.parametrize("missing", ["privateKey", "certKey"])
def test_key_and_certificate_must_be_given(files, missing):
    assert wrong(files(**{missing: None})) == "privateKey and certKey are missing: files in PEM"


@pytest.mark.parametrize("option", ["sslmethod", "dhParameters"])
def test_what_would_weaken_it_is_a_mistake(files, option):
    assert wrong({**files(), option: "x"}) == (
        f'there is no option "{option}"; there is "backlog", "certKey", "extraCertChain", '
        '"interface", "port", "privateKey"'
    )


@pytest.mark.parametrize("meant", ["privateKey", "certKey", "extraCertChain"])
def test_an_option_in_small_letters_is_a_mistake_that_says_what_was_meant(files, meant):
    options, option = files(), meant.lower()
    options[option] = options.pop(meant, "/x")
    assert wrong(options) == f'there is no option "{option}"; did you mean "{meant}"?'


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602])
def test_a_key_that_others_may_read_or_change_is_a_mistake(files, tmp_path, mode):
    options = files()
    (tmp_path / "privateKey").chmod(mode)
    assert wrong(options) == (f"PRIVATEKEY is open to others (mode {mode:o}); chmod 640 PRIVATEKEY")


@pytest.mark.parametrize("option", ["privateKey", "certKey", "extraCertChain"])
def test_a_file_that_is_not_there_is_a_mistake(files, tmp_path, option):
    options = files(extraCertChain=AUTHORITY.pem)
    (tmp_path / option).unlink()
    assert wrong(options) == f"{option.upper()}: No such file or directory"
    (tmp_path / option).mkdir()
    assert wrong(options).startswith(option.upper())


def test_a_key_that_cannot_be_read_is_a_mistake(files, tmp_path, monkeypatch):
    """root may read everything."""
    options = files()
    read_bytes = server_tls.Path.read_bytes

    def refused(path):
        if path.name == "privateKey":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(server_tls.Path, "read_bytes", refused)
    assert wrong(options) == "PRIVATEKEY: Permission denied"


@pytest.mark.parametrize("option", ["certKey", "extraCertChain"])
@pytest.mark.parametrize("content", [b"", b"\0\xff", key_pem(RSA_KEY)])
def test_a_file_without_a_certificate_is_a_mistake(files, option, content):
    assert wrong(files(**{option: content})) == f"{option.upper()} holds no certificate in PEM"


@pytest.mark.parametrize("option", ["certKey", "extraCertChain"])
def test_a_certificate_that_is_none_within_is_a_mistake(files, option):
    """The file with it is named, and not another."""
    assert wrong(files(**{option: BROKEN})).startswith(option.upper())


@pytest.mark.parametrize("content", [b"", b"\0\xff", certificate(RSA_KEY), BROKEN_KEY])
def test_a_file_without_a_key_is_a_mistake(files, content):
    text = wrong(files(privateKey=content))
    assert text == "PRIVATEKEY holds no private key that can be read"


def test_the_key_of_another_certificate_is_a_mistake(files):
    other = key_pem(key("server"))
    assert wrong(files(privateKey=other)) == "PRIVATEKEY is not the key of CERTKEY"


def test_a_key_with_a_passphrase_is_a_mistake(files):
    """There is nobody to ask where a daemon is started."""
    text = wrong(files(privateKey=key_pem(RSA_KEY, b"wonderland")))
    assert text == "PRIVATEKEY holds no private key that can be read"


def test_a_certificate_that_openssl_takes_for_weak_is_said_to_be_that(files):
    options = files(privateKey=key_pem(weak_key()), certKey=certificate(weak_key()))
    text = wrong(options)
    assert "is not the key of" not in text
    assert "too small" in text or "weak" in text
