"""What the configuration says of HTTP: names, caps, and who may call."""

from __future__ import annotations

import ipaddress

import pytest

from authbridge import config
from authbridge.settings import ConfigurationError
from tests.system.pki import make_pki

TCP = '"tcp:9281:interface=127.0.0.1"'
GOOD = f"""
[listen]
http = [{TCP}]
[http]
[clients.prosody]
secret_file = "secret"
may = ["check_password", "json"]
domains = ["example.org"]
[clients.nginx]
may = ["basic"]
peers = ["127.0.0.1"]
domains = ["*"]
[domains."example.org"]
check = ["local"]
[checkers.local]
kind = "file"
path = "users"
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("secret", "users"):
        (tmp_path / name).write_text("through-the-glass\n" if name == "secret" else "")
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.fixture
def load(folder):
    """Loads GOOD with something replaced; or hands out the mistakes."""

    def load(old="", new=""):
        assert old in GOOD
        (folder / "c.toml").write_text(GOOD.replace(old, new) if old else GOOD)
        try:
            return config.load(folder / "c.toml")
        except ConfigurationError as error:
            return list(error.mistakes)

    return load


def test_without_settings_nothing_is_limited_but_by_the_defaults(load):
    http = load().http
    assert (http.anonymous, http.deadline, http.hosts) == (False, 8.0, ())
    assert (http.connections, http.peer_connections) == (None, None)


def test_a_peer_may_have_all_connections_of_a_listener(load):
    http = load("[http]", "[http]\nconnections = 7\npeer_connections = 7").http
    assert (http.connections, http.peer_connections) == (7, 7)
    http = load("[http]", "[http]\npeer_connections = 1000000").http
    assert (http.connections, http.peer_connections) == (None, 1_000_000)


def test_hosts_and_caps_are_read(load):
    http = load(
        "[http]",
        '[http]\nhosts = ["Auth.Example.ORG", "10.1.2.3", "2001:db8::1"]\n'
        "connections = 7\npeer_connections = 1",
    ).http
    assert http.hosts == ("auth.example.org", "10.1.2.3", "2001:db8::1")
    assert (http.connections, http.peer_connections) == (7, 1)


def test_a_client_is_known_by_its_secret_or_by_its_addresses(load):
    clients = load('127.0.0.1"]\ndomains', '127.0.0.1", "10.0.0.0/24", "::1"]\ndomains').clients
    assert clients["prosody"].secret.matches(b"through-the-glass")
    assert clients["prosody"].peers == ()
    assert clients["nginx"].secret is None
    assert clients["nginx"].peers == tuple(
        map(ipaddress.ip_network, ("127.0.0.1/32", "10.0.0.0/24", "::1/128"))
    )


def test_a_client_has_the_deadline_of_http_where_it_has_none_of_its_own(load):
    text = '[http]\ndeadline = "20s"'
    assert [client.deadline for client in load("[http]", text).clients.values()] == [20, 20]
    own = load('may = ["basic"]', 'may = ["basic"]\ndeadline = "500ms"')
    assert own.clients["nginx"].deadline == 0.5
    assert own.clients["prosody"].deadline == own.http.deadline == 8


def test_whoever_may_open_the_unix_socket_may_be_a_client(load):
    for listener in ('"unix:/tmp/x/s"', f'{TCP}, "unix:/tmp/x/s"'):
        read = config_with(load, listener)
        assert read.clients["nginx"].unix
        assert read.clients["nginx"].peers == ()


def config_with(load, listener):
    unix = GOOD.replace('peers = ["127.0.0.1"]', 'peers = ["unix"]')
    return load(GOOD, unix.replace(TCP, listener))


def test_nobody_comes_by_a_unix_socket_where_there_is_none(load):
    assert config_with(load, TCP) == [
        'clients.nginx.peers: "unix", and no listener of http is a Unix socket'
    ]
    for elsewhere in ("extauth", "control"):
        found = load(GOOD, GOOD.replace('["127.0.0.1"]', '["unix"]').replace(
            "[listen]", f'[extauth]\nusers = []\n[listen]\n{elsewhere} = ["unix:/tmp/x/s"]'
        ))  # fmt: skip
        assert [line.partition(":")[0] for line in found] == ["clients.nginx.peers"]


@pytest.mark.parametrize(
    ("setting", "mistake"),
    [
        ('hosts = "auth.example.org"', "http.hosts: should be a list of different strings"),
        ('hosts = [""]', "http.hosts: should be a list of different strings"),
        ("host = []", 'http.host: there is no such setting; did you mean "hosts"?'),
        ("connections = 0", "http.connections: should be a whole number between 1 and 1000000"),
        ("connections = -1", "http.connections: should be a whole number between 1 and 1000000"),
        ('connections = "7"', "http.connections: should be a whole number between 1 and 1000000"),
        ("peer_connections = 0", "http.peer_connections: should be a whole number between 1 and 1"),
        ("connections = 7\npeer_connections = 8",
         "http.peer_connections: is more than http.connections, 7"),
        ("peer_connections = true", "http.peer_connections: should be a whole number between 1 a"),
        ('deadline = "11m"', "http.deadline: should be between 0.1 and 600 seconds"),
    ],
)  # fmt: skip
def test_a_mistake_in_http_is_one_line_with_its_key(load, setting, mistake):
    (line,) = load("[http]", f"[http]\n{setting}")
    assert line.startswith(mistake)


@pytest.mark.parametrize(
    "host",
    ["auth.example.org:9281", "http://auth.example.org", "auth.example.org/x", "*", "jürgen.test",
     "[2001:db8::1]", "fe80::1%eth0", " "],
)  # fmt: skip
def test_what_no_caller_could_name_us_by_is_a_mistake(load, host):
    (line,) = load("[http]", f'[http]\nhosts = ["auth.example.org", "{host}"]')
    assert line == f'http.hosts: "{host}" is no name or address, without a port, of a host'


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('["127.0.0.1"]', "[]", "clients.nginx.peers: names nobody, so that nobody could call"),
        ('["127.0.0.1"]', '"127.0.0.1"', "clients.nginx.peers: should be a list of different str"),
        ('["127.0.0.1"]', '["10.0.0.1/24"]',
         'clients.nginx.peers: "10.0.0.1/24" should be "10.0.0.0/24", or "10.0.0.1" alone'),
        ('["127.0.0.1"]', '["localhost"]', 'clients.nginx.peers: "localhost" is no address, netw'),
        ('["127.0.0.1"]', '["fe80::1%eth0/64"]', 'clients.nginx.peers: "fe80::1%eth0/64" is no ad'),
        ('peers = ["127.0.0.1"]', "", "clients.nginx.secret_file: is missing"),
        ('peers = ["127.0.0.1"]', 'secret_file = "secret"',
         'clients.nginx.may: "basic" cannot carry a secret: give peers'),
        ("peers =", 'secret_file = "secret"\npeers =',
         "clients.nginx.secret_file: stands beside peers, which take its place"),
        ('may = ["basic"]', 'may = ["basic", "check_password"]',
         'clients.nginx.peers: "check_password" needs a secret_file; peers are for basic, '
         "cookie, json and oauth"),
        ('may = ["basic"]', 'may = ["basik"]',
         'clients.nginx.may: "basik" is not known; did you mean "basic"?'),
        ('may = ["basic"]', 'may = ["basic"]\ndeadline = "11m"',
         "clients.nginx.deadline: should be between 0.1 and 600 seconds"),
        ('may = ["basic"]', 'may = ["basic"]\ndeadline = 0.01',
         "clients.nginx.deadline: should be between 0.1 and 600 seconds"),
        ("peers =", "peer =",
         'clients.nginx.peer: there is no such setting; did you mean "peers"?'),
        ('may = ["basic"]', 'may = ["basic"]\npeer = 1',
         'clients.nginx.peer: there is no such setting; did you mean "peers"?'),
    ],
)  # fmt: skip
def test_a_mistake_in_a_client_is_said_with_its_key(load, old, new, mistake):
    found = load(old, new)
    assert any(line.startswith(mistake) for line in found), found
    assert all(line.startswith("clients.nginx.") for line in found), found


def test_a_peer_given_as_ipv4_within_ipv6_is_that_peer_or_a_mistake(load):
    read = load('["127.0.0.1"]', '["::ffff:10.0.0.1"]')
    assert isinstance(read, list) or read.clients["nginx"].is_at("10.0.0.1")


def test_the_deadline_of_a_client_need_not_leave_time_for_a_second_server(load):
    """The client's own server gives up then: there is nobody left to be told."""
    corp = (
        '[checkers.local]\nkind = "ldap"\nbase = "dc=example,dc=org"\n'
        'servers = ["ldaps://a.example.org", "ldaps://b.example.org"]\n'
    )
    text = GOOD[: GOOD.index("[checkers.local]")] + corp
    assert load(GOOD, text).http.deadline == 8
    found = load(GOOD, text.replace('may = ["basic"]', 'may = ["basic"]\ndeadline = "5s"'))
    assert found.clients["nginx"].deadline == 5


# --- with TLS -------------------------------------------------------------------------------------


def test_a_listener_with_tls_is_one_of_http(load, folder):
    pki = make_pki(folder / "pki", ["auth.example.org"])
    files = f"privateKey={pki.key}:certKey={pki.certificate}"
    read = load(TCP, f'{TCP}, "ssl:9443:{files}"')
    assert [listener.kind for listener in read.listen_http] == ["tcp", "ssl"]
    pki.key.chmod(0o644)
    (line,) = load(TCP, f'{TCP}, "ssl:9443:{files}"')
    assert line == (
        f'listen.http: "ssl:9443:{files}": {pki.key} is open to others (mode 644); '
        f"chmod 640 {pki.key}"
    )
    pki.key.chmod(0o640)
    found = load("[http]", f'control = ["ssl:9443:{files}"]\n[http]')
    assert [line.partition(":")[0] for line in found] == ["listen"]


def test_anonymous_callers_are_for_loopback_alone_with_tls_too(load, folder):
    pki = make_pki(folder / "pki", ["auth.example.org"])
    files = f"privateKey={pki.key}:certKey={pki.certificate}"
    outside = f'http = ["ssl:9443:{files}"]\n[http]\nanonymous = true'
    (line,) = load(f"http = [{TCP}]\n[http]", outside)
    assert line.startswith("http.anonymous: is only for listeners on loopback")
    inside = outside.replace("9443", "9443:interface=127.0.0.1")
    assert load(f"http = [{TCP}]\n[http]", inside).http.anonymous


def test_the_files_of_a_listener_start_at_the_configurations_folder_or_are_refused(load, folder):
    make_pki(folder / "pki", ["auth.example.org"])
    relative = "privateKey=pki/key.pem:certKey=pki/cert.pem"
    read = load(TCP, f'"ssl:9443:{relative}"')
    assert not isinstance(read, list) or "begins with /" in read[0]
