"""Who may call listen.http."""

from __future__ import annotations

from base64 import b64encode

import pytest

from authbridge.frontends import clients
from authbridge.frontends.clients import ANONYMOUS, Client, Credentials
from authbridge.model import JID
from authbridge.peers import UNIX
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.token_office.grants import Grant

TOKENS = ("tokens", "prebind", "introspect", "revoke")


def read(data, tmp_path, name="prosody"):
    mistakes = Mistakes()
    table = Table(data, f"clients.{name}", mistakes, tmp_path)
    return Client.read(name, table, 8.0), list(mistakes)


def read_secret(data, tmp_path, name="prosody"):
    secret = tmp_path / "secret"
    secret.write_text("wonderland\n")
    secret.chmod(0o600)
    return read({"secret_file": "secret", **data}, tmp_path, name)


def test_a_client_may_ask_what_is_named_and_nothing_else(tmp_path):
    data = {"may": ["check_password"], "domains": ["Example.ORG"]}
    client, mistakes = read_secret(data, tmp_path)
    assert mistakes == []
    assert client.may_ask("check_password", b"example.org")
    assert client.may_ask("check_password", b"EXAMPLE.org.")
    assert not client.may_ask("user_exists", b"example.org")
    assert not client.may_ask("check_password", b"sub.example.org")
    assert not client.may_ask("check_password", b"a b")


def test_a_star_is_every_domain(tmp_path):
    client, _ = read_secret({"may": ["user_exists"], "domains": ["*"]}, tmp_path)
    assert client.may_ask("user_exists", b"anywhere.test")
    assert not client.may_ask("check_password", b"anywhere.test")


def test_a_client_has_the_deadline_of_http_or_its_own(tmp_path):
    data = {"may": ["json"], "domains": ["*"]}
    assert read_secret(data, tmp_path)[0].deadline == 8.0
    assert read_secret({**data, "deadline": "2s"}, tmp_path)[0].deadline == 2.0


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ({"domains": ["e.org"]}, "clients.prosody.may: is missing"),
        ({"may": ["user_exists"]}, "clients.prosody.domains: is missing"),
        ({"may": ["user_exist"], "domains": ["e.org"]}, 'did you mean "user_exists"?'),
        ({"may": ["get_password"], "domains": ["e.org"]}, '"get_password" is not known'),
        ({"may": [], "domains": ["a b"]}, 'clients.prosody.domains: "a b": the domain is not'),
        ({"may": [], "domains": [], "pears": 1}, "clients.prosody.pears: there is no such setting"),
        ({"may": [], "domains": [], "deadline": "1d"}, "clients.prosody.deadline: should be betw"),
        ({"may": [], "domains": [], "deadline": "9ms"}, "clients.prosody.deadline: should be betw"),
        ({"may": ["basic"], "domains": []}, 'clients.prosody.may: "basic" cannot carry a secret'),
    ],
)
def test_mistakes_have_their_key(tmp_path, data, mistake):
    _, mistakes = read_secret(data, tmp_path)
    assert len(mistakes) == 1
    assert mistake in mistakes[0]


@pytest.mark.parametrize("may", [["json"], ["basic"], ["cookie"], ["check_password", "json"]])
def test_without_peers_there_is_a_secret(tmp_path, may):
    _, mistakes = read({"may": may, "domains": ["*"]}, tmp_path)
    assert mistakes == [
        "clients.prosody.secret_file: is missing, and so are peers, the addresses that basic, "
        "cookie, json and oauth may be called from: give one of the two"
    ]


@pytest.mark.parametrize("may", [[], ["check_password", "register"]])
def test_who_could_not_be_known_by_an_address_is_not_told_of_peers(tmp_path, may):
    _, mistakes = read({"may": may, "domains": ["*"]}, tmp_path)
    assert mistakes == ['clients.prosody.secret_file: is missing; a string, as in "…"']


def test_a_secret_file_that_is_no_path_is_one_mistake(tmp_path):
    _, mistakes = read({"may": ["json"], "domains": ["*"], "secret_file": 3}, tmp_path)
    assert mistakes == ['clients.prosody.secret_file: should be a string, as in "…"']


def test_a_secret_file_may_be_meant_by_another_word(tmp_path):
    _, mistakes = read({"may": ["json"], "domains": ["*"], "secretfile": "secret"}, tmp_path)
    assert mistakes[-1].endswith('did you mean "secret_file"?')


def test_a_name_that_needs_quoting_is_a_mistake(tmp_path):
    _, mistakes = read_secret({"may": [], "domains": []}, tmp_path, name="pro:sody")
    assert "a client's name" in mistakes[0]


def peers(tmp_path, *addresses, may=("basic", "cookie", "json")):
    data = {"may": list(may), "domains": ["*"], "peers": list(addresses)}
    return read(data, tmp_path, "nginx")


def test_peers_are_addresses_and_networks(tmp_path):
    client, mistakes = peers(tmp_path, "127.0.0.1", "10.0.0.0/24", "2001:db8::/32", "::1")
    assert mistakes == []
    assert client.secret is None
    for address in ["127.0.0.1", "10.0.0.255", "2001:db8:1::1", "::1"]:
        assert client.is_at(address)
    for address in ["127.0.0.2", "10.0.1.0", "2001:db9::1", "::2", "::", UNIX]:
        assert not client.is_at(address)


def test_unix_is_whoever_comes_by_a_unix_socket_and_nobody_else(tmp_path):
    client, mistakes = peers(tmp_path, "unix")
    assert mistakes == []
    assert client.is_at(UNIX)
    assert not client.is_at("127.0.0.1")
    both, _ = peers(tmp_path, "127.0.0.1", "unix")
    assert both.is_at(UNIX)
    assert both.is_at("127.0.0.1")


def test_a_client_with_a_secret_is_at_no_address(tmp_path):
    client, _ = read_secret({"may": ["json"], "domains": ["*"]}, tmp_path)
    assert not client.is_at("127.0.0.1")
    assert not client.is_at(UNIX)


@pytest.mark.parametrize(
    "address",
    [
        "localhost",
        "10.0.0.0/33",
        "10.0.0.300",
        "127.1",
        "Unix",
        "*",
        "/8",
        "10.0.0.1/",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.1/120",
    ],
)
def test_what_is_no_address_of_a_peer_is_a_mistake(tmp_path, address):
    _, mistakes = peers(tmp_path, "127.0.0.1", address)
    assert len(mistakes) == 1
    assert mistakes[0].startswith(f'clients.nginx.peers: "{address}" is no address, network')


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("127.0.0.1/8", "127.0.0.0/8"),
        ("10.0.0.1/255.255.255.0", "10.0.0.0/24"),
        ("2001:db8::1/64", "2001:db8::/64"),
    ],
)
def test_an_address_in_a_network_is_not_taken_for_the_one_or_the_other(tmp_path, given, network):
    client, (mistake,) = peers(tmp_path, given)
    address = given.partition("/")[0]
    assert mistake == (
        f'clients.nginx.peers: "{given}" should be "{network}", or "{address}" alone'
    )
    assert client.peers == ()
    for meant in (network, address):
        assert peers(tmp_path, meant)[1] == []


@pytest.mark.parametrize("may", [["basic"], ["cookie"], ["json"], ["check_password"]])
def test_peers_may_be_meant_by_another_word(tmp_path, may):
    data = {"may": may, "domains": ["*"], "peer": ["127.0.0.1"]}
    _, mistakes = read(data, tmp_path, "nginx")
    assert mistakes[-1] == 'clients.nginx.peer: there is no such setting; did you mean "peers"?'


def test_peers_that_name_nobody_are_a_mistake(tmp_path):
    _, mistakes = peers(tmp_path)
    assert len(mistakes) == 1
    assert mistakes[0].startswith("clients.nginx.peers: names nobody")


def test_peers_that_are_no_list_are_one_mistake(tmp_path):
    data = {"may": ["basic"], "domains": ["*"], "peers": "127.0.0.1"}
    _, mistakes = read(data, tmp_path)
    assert len(mistakes) == 1
    assert mistakes[0].startswith("clients.prosody.peers: should be a list")


def test_peers_take_the_place_of_a_secret(tmp_path):
    data = {"may": ["json"], "domains": ["*"], "peers": ["127.0.0.1"]}
    client, mistakes = read_secret(data, tmp_path)
    assert len(mistakes) == 1
    assert mistakes[0].startswith("clients.prosody.secret_file: stands beside peers")
    assert client.secret is None


@pytest.mark.parametrize(
    "verb", ["check_password", "user_exists", "set_password", "register", "remove_user", *TOKENS]
)
def test_an_address_is_enough_for_basic_cookie_and_json_alone(tmp_path, verb):
    _, mistakes = peers(tmp_path, "127.0.0.1", may=["basic", verb])
    assert len(mistakes) == 1
    assert mistakes[0].startswith(f'clients.nginx.peers: "{verb}" needs a secret_file')


def test_a_client_is_found_by_name_and_secret_together():
    client = Client("prosody", Secret(b"wonderland"), frozenset(), frozenset())
    nobody = Client("nginx", None, frozenset(), frozenset())
    known = {"prosody": client, "nginx": nobody}
    assert clients.find(known, b"prosody", b"wonderland") is client
    for name, secret in [
        (b"prosody", b"wonderlanD"), (b"prosody", b""), (b"Prosody", b"wonderland"),
        (b"nobody", b"wonderland"), (b"nobody", b"\0" * 32), (b"nginx", b"\0" * 32),
        (b"nginx", b""), (b"\xff", b""),
    ]:  # fmt: skip
        assert clients.find(known, name, secret) is None


def test_anonymous_callers_may_ask_and_never_write():
    for verb in ("check_password", "user_exists", "basic", "cookie", "json"):
        assert ANONYMOUS.may_ask(verb, b"any.test")
    for verb in ("set_password", "register", "remove_user", *TOKENS):
        assert not ANONYMOUS.may_ask(verb, b"any.test")


def test_credentials_are_those_of_a_client_however_they_are_written():
    known = {
        f"c{n}": Client(f"c{n}", Secret(f"secret-{n}".encode()), frozenset(), frozenset())
        for n in range(20)
    }
    known["nginx"] = Client("nginx", None, frozenset(), frozenset())
    credentials = Credentials(known)
    for name, client in known.items():
        secret = b"" if client.secret is None else client.secret.reveal()
        token = b64encode(name.encode() + b":" + secret)
        expected = None if client.secret is None else client
        assert credentials.find([b"Basic " + token]) is expected
        assert credentials.find([b"bAsIc  " + token]) is expected
        assert credentials.find([b"Basic " + token, b"Basic " + token]) is None
        assert credentials.find([b"Bearer " + token]) is None
        assert credentials.find([b"Basic " + b64encode(name.encode() + b":x")]) is None
    assert credentials.find([]) is None


def site(tmp_path, **settings):
    return read_secret({"may": ["tokens"], "domains": ["example.org"]} | settings, tmp_path, "www")


@pytest.mark.parametrize("verb", TOKENS)
def test_a_client_for_tokens_gets_one_for_a_minute_and_a_login(tmp_path, verb):
    client, mistakes = site(tmp_path, may=[verb])
    assert mistakes == []
    domains = frozenset({"example.org"})
    assert client.grant == Grant("www", domains, None, 60.0, 1, (20, 1.0))
    assert client.grant.covers(JID("anybody", "example.org"))
    assert not client.grant.covers(JID("anybody", "example.net"))


def test_a_grant_is_what_the_settings_say(tmp_path):
    client, mistakes = site(
        tmp_path, users=["member-*", "Alice"], max_lifetime="90d", max_uses=7, rate="100/m"
    )
    assert mistakes == []
    grant = client.grant
    assert (grant.max_lifetime, grant.max_uses, grant.rate) == (90 * 86400.0, 7, (100, 60.0))
    for user in ("member-1", "alice"):
        assert grant.covers(JID(user, "example.org"))
    for jid in (JID("bob", "example.org"), JID("alice", "example.net")):
        assert not grant.covers(jid)


def test_everybody_and_any_number_of_uses_can_be_said(tmp_path):
    client, mistakes = site(tmp_path, users="*", max_uses="any", domains=["*"])
    assert mistakes == []
    assert (client.grant.users, client.grant.max_uses) == (None, None)
    assert client.grant.covers(JID("anybody", "anywhere.test"))


@pytest.mark.parametrize(
    ("rate", "read"),
    [("1/s", (1, 1.0)), ("20/m", (20, 60.0)), ("999999/h", (999999, 3600.0))],
)
def test_a_rate_is_so_many_in_a_second_a_minute_or_an_hour(tmp_path, rate, read):
    client, mistakes = site(tmp_path, rate=rate)
    assert (mistakes, client.rate) == ([], read)


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"rate": "20"}, 'rate: should be tokens in a second, minute or hour, as in "20/s"'),
        ({"rate": "0/s"}, "rate: should be tokens"),
        ({"rate": "20/d"}, "rate: should be tokens"),
        ({"rate": "1000000/s"}, "rate: should be tokens"),
        ({"rate": " 20/s"}, "rate: should be tokens"),
        ({"rate": "\u0662/s"}, "rate: should be tokens"),
        ({"rate": 20}, "rate: should be a string"),
        ({"rate": ""}, "rate: should be a string"),
        ({"max_uses": 0}, "max_uses: should be a whole number between 1 and 1000000"),
        ({"max_uses": 1000001}, "max_uses: should be a whole number"),
        ({"max_uses": "all"}, "max_uses: should be a whole number"),
        ({"max_uses": True}, "max_uses: should be a whole number"),
        ({"max_lifetime": "0.5s"}, "max_lifetime: should be at least 1 seconds"),
        ({"max_lifetime": "soon"}, "max_lifetime: should be a duration"),
        ({"users": []}, "users: names nobody"),
        ({"users": "alice"}, 'users: should be "*" or a list of names'),
        ({"users": ["alice@example.org"]}, 'users: "alice@example.org": users stand here without'),
        ({"user": ["alice"]}, 'user: there is no such setting; did you mean "users"?'),
    ],
)
def test_a_wrong_limit_is_one_mistake(tmp_path, settings, mistake):
    _, (told,) = site(tmp_path, **settings)
    assert told.startswith(f"clients.www.{mistake}")


@pytest.mark.parametrize(
    "settings", [{"users": ["a"]}, {"max_lifetime": "1h"}, {"max_uses": 2}, {"rate": "1/s"}]
)
def test_limits_are_for_tokens_alone(tmp_path, settings):
    _, (told,) = site(tmp_path, may=["check_password"], **settings)
    (name,) = settings
    assert told == f'clients.www.{name}: is for may = "introspect", "prebind", "revoke", "tokens"'
    assert site(tmp_path, may=["check_password", "revoke"], **settings)[1] == []


def test_limits_are_not_blamed_where_the_verb_is_mistaken(tmp_path):
    _, (told,) = site(tmp_path, may=["token"], max_uses=2)
    assert told == 'clients.www.may: "token" is not known; did you mean "tokens"?'
