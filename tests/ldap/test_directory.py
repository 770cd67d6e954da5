"""A directory: its settings, its two pools, its service account, a probe of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from authbridge.ldap import tls
from authbridge.ldap.codec import Scope, search_request
from authbridge.ldap.directory import SEARCHES_AT_ONCE, Directory, DirectorySettings
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import PRESETS, Lookup, LookupSettings
from authbridge.ldap.pool import REST
from authbridge.model import Reason, Trace
from authbridge.settings import Mistakes, Table
from tests.ldap.asking import ANYTHING, PASSWORD, SECONDS, Asked
from tests.ldap.certificates import Authority, self_signed
from tests.ldap.server import Book, Mute, Network, bound, goodbye

HOST = "192.0.2.1"
SERVICE = "cn=service,dc=example,dc=org"
PEOPLE = "ou=people,dc=example,dc=org"
STAFF = "cn=staff,dc=example,dc=org"
ALICE = b"uid=alice,ou=people,dc=example,dc=org"
SECRET = b"through-the-glass"
OURS = Authority("ours")


@pytest.fixture
def folder(tmp_path):
    for name, content in (("password", SECRET), ("ca.pem", OURS.pem), ("none.pem", b"nothing")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def read(folder, **given):
    """The settings, and the mistakes in them."""
    mistakes = Mistakes()
    data = {"servers": ["ldaps://ldap.example.org"], **given}
    data = {name: value for name, value in data.items() if value is not None}
    table = Table(data, "checkers.corp", mistakes, folder)
    settings = DirectorySettings.read(table)
    table.close()
    return settings, list(mistakes)


# --- settings -------------------------------------------------------------------------------------


def test_a_server_is_enough(folder):
    settings, mistakes = read(folder)
    assert mistakes == []
    assert [str(server) for server in settings.servers] == ["ldaps://ldap.example.org:636"]
    assert (settings.encrypted, settings.ca_file, settings.bind_dn) == (True, None, None)
    assert (settings.timeout, settings.most_waiting) == (4, 20_000)
    assert (settings.bind_connections, settings.search_connections) == (16, 2)


def test_everything_may_be_given(folder):
    settings, mistakes = read(
        folder, servers=["ldap://a", "ldap://b:1389"], starttls=True, ca_file="ca.pem",
        bind_dn=SERVICE, bind_password_file="password", timeout="2s", bind_connections=3,
        search_connections=4, most_waiting=5,
    )  # fmt: skip
    assert mistakes == []
    assert [str(server) for server in settings.servers] == ["ldap://a:389", "ldap://b:1389"]
    assert settings.ca_file == folder / "ca.pem"
    assert settings.bind_password_file == folder / "password"
    assert (settings.timeout, settings.most_waiting) == (2, 5)
    assert (settings.bind_connections, settings.search_connections) == (3, 4)
    assert SECRET.decode() not in repr(settings)


@pytest.mark.parametrize(
    "given",
    [
        {"servers": ["ldap://a"]},
        {"servers": ["ldap://a", "ldaps://b"]},
        {"servers": ["ldaps://a"], "starttls": False},
        {"servers": ["ldaps://a"], "starttls": True},
        {"insecure_clear_text": False},
    ],
)
def test_whatever_is_not_called_insecure_is_encrypted(folder, given):
    settings, mistakes = read(folder, **given)
    assert mistakes == []
    assert settings.encrypted


@pytest.mark.parametrize("given", [{}, {"starttls": False}])
def test_a_clear_link_is_had_by_asking_for_it_by_name(folder, given):
    settings, mistakes = read(folder, servers=["ldap://a"], insecure_clear_text=True, **given)
    assert mistakes == []
    assert not settings.encrypted


CLEAR = {"insecure_clear_text": True}


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"servers": None}, "servers: is missing"),
        ({"servers": []}, "servers: names none"),
        ({"servers": "ldaps://a"}, "servers: should be a list"),
        ({"servers": ["http://a"]}, 'servers: "http://a" should begin with ldaps://'),
        ({"servers": ["ldap://a:0"]}, 'servers: "ldap://a:0" names no host'),
        ({"servers": ["ldap://a"], "starttls": False}, "starttls: without it, passwords would go"),
        (
            {"servers": ["ldaps://b", "ldap://a"], "starttls": False},
            "to ldap://a:389 unencrypted; insecure_clear_text = true is how",
        ),
        ({"starttls": "yes"}, "starttls: should be true or false"),
        ({**CLEAR}, "insecure_clear_text: is for ldap:// servers; these are all ldaps://"),
        (
            {**CLEAR, "servers": ["ldap://a", "ldaps://b"]},
            "insecure_clear_text: is for all servers, and some are ldaps://",
        ),
        (
            {**CLEAR, "servers": ["ldap://a"], "starttls": True},
            "insecure_clear_text: contradicts starttls = true",
        ),
        (
            {**CLEAR, "servers": ["ldap://a"], "ca_file": "ca.pem"},
            "ca_file: verifies nothing beside insecure_clear_text",
        ),
        ({"insecure_clear_text": 1}, "insecure_clear_text: should be true or false"),
        ({"ca_file": "nowhere.pem"}, "/nowhere.pem: No such file"),
        ({"ca_file": "none.pem"}, "/none.pem is no file of certificates in PEM"),
        pytest.param({"ca_file": 1}, "ca_file: should be a string"),
        ({"bind_dn": SERVICE}, "bind_password_file: is missing"),
        ({"bind_dn": SERVICE, "bind_password_file": 1}, "bind_password_file: should be a string"),
        ({"bind_dn": SERVICE, "bind_password_file": "no"}, "bind_password_file: "),
        (
            {"bind_dn": "service", "bind_password_file": "password"},
            'bind_dn: "service": attribute type not present',
        ),
        ({"bind_dn": "", "bind_password_file": "password"}, "bind_dn: should be a string"),
        ({"bind_password_file": "password"}, "bind_password_file: is the password of bind_dn"),
        ({"timeout": "0s"}, "timeout: should be"),
        ({"timeout": "26s"}, "timeout: should be between 0.1 and 25"),
        ({"bind_connections": 0}, "bind_connections: should be a whole number between 1 and 1000"),
        ({"bind_connections": 1.5}, "bind_connections: should be a whole number"),
        ({"search_connections": 101}, "search_connections: should be a whole number between 1"),
        ({"most_waiting": True}, "most_waiting: should be a whole number"),
        ({"server": ["ldap://a"]}, 'server: there is no such setting; did you mean "servers"?'),
    ],
)
def test_a_mistake_is_one_line_with_its_key(folder, given, mistake):
    (line,) = read(folder, **given)[1]
    assert line.startswith("checkers.corp.")
    assert mistake in line


def test_a_file_of_authorities_is_not_taken_for_its_first_line(folder):
    (folder / "ca.pem").write_bytes(OURS.pem + OURS.pem.replace(OURS.pem[60:90], b"A" * 30))
    (line,) = read(folder, ca_file="ca.pem")[1]
    assert "is no file of certificates" in line


def test_a_password_that_others_may_read_is_refused(folder):
    (folder / "password").chmod(0o644)
    (line,) = read(folder, bind_dn=SERVICE, bind_password_file="password")[1]
    assert "is open to others" in line
    assert SECRET.decode() not in line


# --- asking ---------------------------------------------------------------------------------------


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def book():
    book = Book()
    book.add(SERVICE.encode(), SECRET)
    book.add(ALICE, PASSWORD, uid=[b"alice"])
    book.add(STAFF.encode())
    return book


def house(network, folder, book=None, **given):
    """A directory in clear, with a service account; `given` in its place."""
    if book is not None:
        network.listen(HOST, answer=book.answer)
    usual = {
        "servers": [f"ldap://{HOST}"], "insecure_clear_text": True, "bind_dn": SERVICE,
        "bind_password_file": "password",
    }  # fmt: skip
    settings, mistakes = read(folder, **{**usual, **given})
    assert mistakes == []
    return Directory(settings, network)


def search(directory, base=PEOPLE):
    request = search_request(
        base.encode(), Scope.SUBTREE, ANYTHING, ["uid"], size_limit=2, time_limit=4
    )
    return Asked(directory.search(request, 2))


def bind(directory, password=PASSWORD):
    return Asked(directory.bind(ALICE, password))


def test_nothing_is_connected_before_the_first_question(network, folder, book):
    house(network, folder, book)
    network.settle(100)
    assert network.attempts == []


def test_searches_are_the_service_accounts_and_binds_the_users(network, folder, book):
    directory = house(network, folder, book)
    found, right, wrong = search(directory), bind(directory), bind(directory, b"looking-glass")
    network.settle()
    assert [one.dn for one in found.entries] == [ALICE]
    assert (right.code, wrong.code) == (0, 49)
    searching, *binding = network.servers
    assert searching.kinds == ["bind", "search"]
    assert searching.requests[0].name == SERVICE.encode()
    assert {request.name for server in binding for request in server.requests} == {ALICE}
    assert {kind for server in binding for kind in server.kinds} == {"bind"}


def test_without_an_account_a_search_is_anonymous_and_nothing_is_bound(network, folder, book):
    directory = house(network, folder, book, bind_dn=None, bind_password_file=None)
    asked = search(directory)
    network.settle()
    assert asked.entries
    assert network.servers[0].kinds == ["search"]


@pytest.mark.parametrize(("name", "password"), [(b"", PASSWORD), (ALICE, b"")])
def test_an_empty_name_or_password_reaches_nobody(network, folder, book, name, password):
    with pytest.raises(ValueError, match="needs a name and a password"):
        house(network, folder, book).bind(name, password)
    assert network.attempts == []


def test_clear_text_is_warned_of_at_the_start_and_tls_is_not(network, folder, events):
    house(network, folder)
    assert [event["log_level"].name for event in events] == ["warn"]
    house(network, folder, servers=["ldaps://a"], insecure_clear_text=None, ca_file="ca.pem")
    assert len(events) == 1


def test_tls_is_verified_with_the_file_of_authorities(network, folder, book):
    directory = house(
        network, folder, servers=[f"ldaps://{HOST}"], insecure_clear_text=None, ca_file="ca.pem"
    )
    network.listen(HOST, 636, answer=book.answer, tls=self_signed(HOST))
    asked = bind(directory)
    network.settle()
    assert asked.reason is Reason.DIRECTORY_UNTRUSTED
    assert network.servers[0].heard == b""
    network.listen(HOST, 636, answer=book.answer, tls=OURS.issue(HOST))
    network.settle(REST)
    asked = bind(directory)
    network.settle()
    assert asked.code == 0
    assert PASSWORD not in network.carried


def test_without_a_file_the_systems_authorities_judge(network, folder, book, monkeypatch):
    monkeypatch.setattr(
        tls, "platformTrust", lambda: tls.trustRootFromCertificates([certificate(OURS)])
    )
    directory = house(network, folder, servers=[f"ldaps://{HOST}"], insecure_clear_text=None)
    network.listen(HOST, 636, answer=book.answer, tls=OURS.issue(HOST))
    asked = bind(directory)
    network.settle()
    assert asked.code == 0


def certificate(authority):
    return tls.Certificate.loadPEM(authority.pem)


# --- the service account --------------------------------------------------------------------------


def test_a_refused_service_account_is_bound_once_however_many_search(network, folder, book):
    book.passwords[SERVICE.encode()] = b"another"
    directory = house(network, folder, book, search_connections=4)
    for _ in range(20):
        asked = [search(directory) for _ in range(3 * SEARCHES_AT_ONCE)]
        network.settle(REST / 3)
        assert {one.reason for one in asked} == {Reason.SERVICE_ACCOUNT_REFUSED}
    assert len(book.of("bind")) == 1


def test_a_refused_service_account_is_tried_again_when_its_file_changes(network, folder, book):
    book.passwords[SERVICE.encode()] = b"another"
    directory = house(network, folder, book)
    search(directory)
    network.settle(REST)
    for content, right in ((b"wrong", False), (b"another", True)):
        (folder / "password").unlink()
        (folder / "password").write_bytes(content)
        (folder / "password").chmod(0o600)
        for _ in range(3):
            asked = search(directory)
            network.settle(REST)
        assert right is bool(asked.code == 0 if right else not asked.fault)
    assert [request.password for request in book.of("bind")] == [SECRET, b"wrong", b"another"]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.chmod(0o644)])
def test_a_password_file_that_cannot_be_used_is_an_outage_until_it_can(
    network, folder, book, spoil
):
    directory = house(network, folder, book)
    spoil(folder / "password")
    asked = search(directory)
    network.settle(REST)
    assert asked.reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert network.attempts == []
    (folder / "password").write_bytes(SECRET)
    (folder / "password").chmod(0o600)
    network.settle(REST)
    asked = search(directory)
    network.settle()
    assert asked.entries


def test_users_are_not_kept_out_by_the_service_account(network, folder, book):
    book.passwords[SERVICE.encode()] = b"another"
    directory = house(network, folder, book)
    search(directory)
    network.settle()
    asked = bind(directory)
    network.settle()
    assert asked.code == 0


def test_a_server_that_is_shut_down_while_it_is_connected_to_is_tried_again(network, folder, book):
    network.listen(HOST, answer=lambda _, request: bound(request.id) + goodbye())
    directory = house(network, folder, search_connections=1)
    search(directory)
    network.settle()
    network.listen(HOST, answer=book.answer)
    network.settle(100)
    asked = search(directory)
    network.settle()
    assert asked.entries


def test_two_directories_with_one_account_have_it_refused_once(network, folder, book):
    book.passwords[SERVICE.encode()] = b"another"
    shared = {}
    settings = house(network, folder, book)._settings
    directories = [Directory(settings, network, shared) for _ in range(3)]
    for _ in range(3):
        asked = [search(directory) for directory in directories]
        network.settle(REST)
        assert {one.reason for one in asked} == {Reason.SERVICE_ACCOUNT_REFUSED}
    assert len(book.of("bind")) == 1


def test_another_account_is_none_of_a_refused_ones_business(network, folder, book):
    book.passwords[SERVICE.encode()] = b"another"
    (folder / "second").write_bytes(b"another")
    (folder / "second").chmod(0o600)
    shared = {}
    for file, good in (("password", False), ("second", True)):
        settings = house(network, folder, book, bind_password_file=file)._settings
        asked = search(Directory(settings, network, shared))
        network.settle()
        assert (asked.entries != []) if good else asked.reason is Reason.SERVICE_ACCOUNT_REFUSED


# --- a server that hangs --------------------------------------------------------------------------


def test_a_thousand_binds_at_a_hung_server_are_answered_in_time(network, folder):
    network.listen(HOST)
    directory = house(network, folder)
    asked = [bind(directory) for _ in range(1000)]
    network.settle()
    assert sum(server.kinds == ["bind"] for server in network.servers) == 16
    for one in asked[500:]:
        one.cancel()  # as an authenticator's own deadline does
    assert len(network.servers) == 16
    network.settle(SECONDS)
    assert {one.reason for one in asked[:16]} == {Reason.DIRECTORY_SILENT}
    assert all(one.cancelled for one in asked[500:])


def test_a_tls_server_that_hung_is_used_again_when_it_is_back(network, folder, book):
    directory = house(
        network, folder, servers=[f"ldaps://{HOST}"], insecure_clear_text=None, ca_file="ca.pem"
    )
    network.places[HOST, 636] = Mute
    asked = bind(directory)
    network.settle()
    network.settle(SECONDS)
    assert asked.reason is Reason.DIRECTORY_SILENT
    network.listen(HOST, 636, answer=book.answer, tls=OURS.issue(HOST))
    network.settle(SECONDS)
    network.settle()
    asked = bind(directory)
    network.settle()
    assert asked.code == 0


def test_directories_without_a_server_in_common_have_an_account_each(network, folder):
    shared = {}
    for url in (f"ldap://{HOST}", "ldap://192.0.2.77", f"ldap://{HOST}"):
        given = {
            "servers": [url], "insecure_clear_text": True, "bind_dn": SERVICE,
            "bind_password_file": "password",
        }  # fmt: skip
        Directory(read(folder, **given)[0], network, shared)
    (accounts,) = shared.values()
    assert len(accounts) == 2


# --- probing --------------------------------------------------------------------------------------


def lookup(**given):
    mistakes = Mistakes()
    table = Table({"base": PEOPLE, **given}, "c", mistakes, Path())
    settings = LookupSettings.read(table, PRESETS["openldap"])
    assert list(mistakes) == []
    return Lookup(settings, 4)


def probe(network, directory, looking):
    """The steps, and the fault that ended it."""
    trace, found = Trace(), []
    (server,) = directory._settings.servers
    probing = Deferred.fromCoroutine(directory.probe(server, looking, trace))
    probing.addBoth(found.append)
    network.settle()
    assert found, "there is no result yet"
    fault = getattr(found[0], "value", None)
    assert fault is None or isinstance(fault, Fault)
    return trace.steps, fault


def test_a_probe_of_a_search_tells_connection_account_base_and_groups(network, folder, book):
    directory = house(network, folder, book)
    steps, fault = probe(network, directory, lookup(require_groups=[STAFF]))
    assert fault is None
    assert steps == [
        ("connection", f"ldap://{HOST}:389, not encrypted"),
        ("service bind", f"{SERVICE}: accepted"),
        ("users", f"(&(objectClass=*)(uid=*)) below {PEOPLE}: found"),
        ("group", f"{STAFF}: found"),
    ]
    assert network.servers[0].kinds == ["bind", "search", "search", "unbind"]
    assert network.servers[0].lost


def test_a_probe_without_a_search_tells_the_connection_and_binds_nobody(network, folder, book):
    directory = house(network, folder, book, bind_dn=None, bind_password_file=None)
    steps, fault = probe(network, directory, None)
    assert fault is None
    assert steps == [("connection", f"ldap://{HOST}:389, not encrypted")]
    assert network.servers[0].kinds == ["unbind"]


def test_a_probe_of_an_anonymous_search_says_so(network, folder, book):
    directory = house(network, folder, book, bind_dn=None, bind_password_file=None)
    assert ("service bind", "none, it searches anonymously") in probe(network, directory, lookup())[
        0
    ]


def test_a_base_with_too_many_users_is_a_good_one(network, folder, book):
    book.add(b"uid=bob," + PEOPLE.encode(), PASSWORD, uid=[b"bob"])
    steps, fault = probe(network, house(network, folder, book), lookup())
    assert fault is None
    assert steps[-1] == ("users", f"(&(objectClass=*)(uid=*)) below {PEOPLE}: found")


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (
            {"base": "ou=nowhere,dc=example,dc=org"},
            "(&(objectClass=*)(uid=*)) below ou=nowhere,dc=example,dc=org",
        ),
        ({"filter": "(uid=nobody)"}, f"(&(uid=nobody)(uid=*)) below {PEOPLE}"),
        ({"jid_attribute": "cn"}, f"(&(objectClass=*)(cn=*)) below {PEOPLE}"),
        ({"require_groups": ["cn=nobody,dc=example,dc=org"]}, "cn=nobody,dc=example,dc=org"),
    ],
)
def test_a_probe_that_finds_nothing_says_where_and_ends_its_connection(
    network, folder, book, given, where
):
    _, fault = probe(network, house(network, folder, book), lookup(**given))
    assert fault.reason is Reason.DIRECTORY_REFUSED
    assert fault.words.startswith(f"nothing is found by {where}: ")
    assert network.servers[0].lost


def test_a_probe_finds_users_by_a_filter_with_a_hole(network, folder, book):
    looking = lookup(filter="(|(uid={user})(mail={user}))")
    assert probe(network, house(network, folder, book), looking)[1] is None


@pytest.mark.parametrize(("code", "reason"), [
    (50, Reason.DIRECTORY_REFUSED), (32, Reason.DIRECTORY_REFUSED), (51, Reason.DIRECTORY_FAILED),
])  # fmt: skip
def test_a_probe_that_is_refused_says_by_what(network, folder, book, code, reason):
    book.search_result = (code, b"not for you")
    _, fault = probe(network, house(network, folder, book), lookup())
    assert fault.reason is reason
    assert f"below {PEOPLE}: {code} " in fault.words
    assert "not for you" in fault.words


def test_a_probe_of_a_server_that_is_not_there_says_so(network, folder):
    _, fault = probe(network, house(network, folder), lookup())
    assert fault.reason is Reason.DIRECTORY_UNREACHABLE


# --- the end --------------------------------------------------------------------------------------


def test_a_stop_closes_every_connection_and_leaves_no_timer(network, folder, book):
    directory = house(network, folder, book)
    search(directory)
    bind(directory)
    network.settle()
    directory.stop()
    network.settle()
    assert network.open == []
    assert network.getDelayedCalls() == []
