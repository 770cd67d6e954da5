"""TLS to a directory: who is who, before anything is said."""

from __future__ import annotations

import pytest
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from authbridge import client_tls
from authbridge.ldap import tls
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.dialer import Dialer, Outages
from authbridge.ldap.faults import Fault
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import ServiceAccount
from authbridge.model import Reason
from tests.doubles import now
from tests.ldap import server
from tests.ldap.asking import PLAIN
from tests.ldap.certificates import ADDRESS, BAD, DAY, GOOD, NAME, NOW, OTHER, OURS
from tests.ldap.server import Network, bound, extended


@pytest.fixture
def network():
    network = Network()
    network.names = {NAME: [ADDRESS], "a.b.example.org": [ADDRESS]}
    return network


def dial(network, tmp_path, context, *, host=NAME, starttls=False, trusted=(OURS.pem,)):
    """Connect as the service account, whose password must reach nobody else. `context` is the
    server's TLS, or what makes a server."""

    def answer(server, request):
        if request.kind == "extended":
            server.transport.raw.write(extended(request.id))
            server.start_tls(context)
            return None
        return bound(request.id)

    for place in (ADDRESS, "2001:db8::1"):
        network.listen(place, 636, answer=answer, tls=None if starttls else context)
        if not isinstance(context, SSL.Context):
            network.places[place, 636] = context
    (tmp_path / "ca.pem").write_bytes(b"".join(trusted))
    secret = tmp_path / "password"
    secret.write_bytes(b"through-the-glass")
    secret.chmod(0o600)
    bracketed = f"[{host}]" if ":" in host else host
    connecting = Dialer(
        client_tls.make_context(client_tls.read_authorities(tmp_path / "ca.pem")),
        PLAIN,
        Deadlines(network, 4),
        Outages(network),
        network,
        ServiceAccount("cn=service", secret, network),
    ).connect(Server.parse(f"{'ldap' if starttls else 'ldaps'}://{bracketed}:636"))
    network.settle()
    return connecting


@pytest.mark.parametrize("starttls", [False, True], ids=["ldaps", "starttls"])
@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_server_with_a_good_certificate_is_bound_to(network, tmp_path, make, starttls):
    connection = now(dial(network, tmp_path, make(), starttls=starttls))
    assert network.servers[0].kinds[-1] == "bind"
    assert b"through-the-glass" in network.servers[0].heard
    assert not connection.gone


@pytest.mark.parametrize("host", [ADDRESS, "2001:db8::1"])
def test_an_address_is_verified_as_an_address(network, tmp_path, host):
    now(dial(network, tmp_path, OURS.issue(host), host=host))
    assert network.servers[0].kinds == ["bind"]


@pytest.mark.parametrize("starttls", [False, True], ids=["ldaps", "starttls"])
@pytest.mark.parametrize(("make", "how", "said"), BAD.values(), ids=BAD)
def test_a_server_with_a_bad_one_is_told_nothing(network, tmp_path, make, how, said, starttls):
    connecting = dial(network, tmp_path, make(), starttls=starttls, **how)
    with pytest.raises(Fault) as raised:
        now(connecting)
    assert raised.value.reason is Reason.DIRECTORY_UNTRUSTED
    assert said in raised.value.words
    (server,) = network.servers
    assert server.kinds == ["extended"] * starttls
    assert b"through-the-glass" not in server.heard
    assert server.lost


def test_what_verification_raises_is_a_refusal(network, tmp_path, monkeypatch):
    def broken(certificate, host):
        raise MemoryError

    monkeypatch.setattr(client_tls, "verify_certificate_hostname", broken)
    with pytest.raises(Fault, match="the names in the certificate cannot be read"):
        now(dial(network, tmp_path, OURS.issue(NAME)))
    assert network.servers[0].heard == b""


def test_an_address_spelled_as_a_name_is_said_to_be_what_it_is(network, tmp_path):
    context = OURS.issue(more=[x509.DNSName(ADDRESS)])
    with pytest.raises(Fault) as raised:
        now(dial(network, tmp_path, context, host=ADDRESS))
    assert "has no subjectAltName" not in raised.value.words


def test_every_authority_of_a_file_is_trusted(network, tmp_path):
    for authority in (OURS, OTHER):
        trusted = (b"# ours\n", OURS.pem, b"\n# and the other\n", OTHER.pem)
        now(dial(network, tmp_path, authority.issue(NAME), trusted=trusted))


def test_a_name_is_sent_with_the_handshake_and_an_address_is_not(network, tmp_path):
    seen = []
    for host in (NAME, ADDRESS):
        context = OURS.issue(NAME, ADDRESS)
        context.set_tlsext_servername_callback(lambda link: seen.append(link.get_servername()))
        now(dial(network, tmp_path, context, host=host))
    assert seen == [NAME.encode(), None]


class Plain(server.Server):
    """Speaks no TLS."""

    greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"

    def dataReceived(self, data):
        self.heard += data
        if len(self.heard) == len(data):
            self.say(self.greeting)


class Confident(Plain):
    """Says yes to whatever is asked."""

    greeting = bound(1) + bound(2)


class Leaving(Plain):
    """Ends a connection when it is there."""

    def connectionMade(self):
        self.transport.loseConnection()


class Alarmed(Plain):
    """Refuses with an alert of TLS: handshake_failure."""

    greeting = b"\x15\x03\x03\x00\x02\x02\x28"


@pytest.mark.parametrize("kind", [Plain, Confident, Alarmed])
def test_a_server_that_speaks_no_tls_is_untrusted_and_told_nothing(network, tmp_path, kind):
    with pytest.raises(Fault, match="TLS failed") as raised:
        now(dial(network, tmp_path, kind))
    assert raised.value.reason is Reason.DIRECTORY_UNTRUSTED
    assert b"through-the-glass" not in network.servers[0].heard
    assert network.servers[0].lost


def test_a_server_that_leaves_instead_is_unreachable(network, tmp_path):
    with pytest.raises(Fault, match="ended the connection in place of TLS") as raised:
        now(dial(network, tmp_path, Leaving))
    assert raised.value.reason is Reason.DIRECTORY_UNREACHABLE


def test_a_connection_is_told_for_people(network, tmp_path):
    connection = now(dial(network, tmp_path, OURS.issue(NAME, ADDRESS)))
    until = f"{NOW + DAY:%Y-%m-%d}"
    assert connection.describe() == (
        f"ldaps://{NAME}:636, TLSv1.3, certificate for {NAME}, {ADDRESS} by CN=ours, until {until}"
    )


# --- why a handshake failed -----------------------------------------------------------------------


def why(error, refusal=None, server=True):
    judge = client_tls.TlsServer(NAME, client_tls.make_context([])) if server else None
    if judge is not None:
        judge.refusal = refusal
    return tls.explain("ldaps://x", judge, Failure(error))


def test_what_openssl_had_against_a_certificate_is_said_in_words():
    assert why(SSL.Error(), 10).words == "ldaps://x: the certificate has expired"
    assert why(SSL.Error(), 10).reason is Reason.DIRECTORY_UNTRUSTED


def test_another_failure_of_tls_is_one_of_trust_too():
    assert why(SSL.Error()).words == "ldaps://x: TLS failed (no reason)"
    assert why(SSL.Error(), server=False).reason is Reason.DIRECTORY_UNTRUSTED


def test_a_connection_that_broke_is_no_matter_of_trust():
    assert why(ConnectionLost()).reason is Reason.DIRECTORY_UNREACHABLE
    assert why(ConnectionLost(), server=False).reason is Reason.DIRECTORY_UNREACHABLE
