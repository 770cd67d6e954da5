"""A directory: its settings, its two pools, its service account, a probe of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, succeed

from authbridge import client_tls
from authbridge.ldap import codec
from authbridge.ldap.codec import Entry, Scope, search_request
from authbridge.ldap.directory import SEARCHES_AT_ONCE, WRITES_AT_ONCE, Directory
from authbridge.ldap.discovery import Record
from authbridge.ldap.faults import Fault
from authbridge.ldap.lookup import Lookup, LookupSettings
from authbridge.ldap.operations import MOST_SURPLUS
from authbridge.ldap.pool import IDLE
from authbridge.ldap.presets import PRESETS
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import REFUSED_REST
from authbridge.ldap.standing import LONGEST_REST, REST
from authbridge.model import Reason, Trace
from authbridge.settings import Mistakes, Table
from tests.ldap.asking import ANYTHING, PASSWORD, SECONDS, Asked
from tests.ldap.certificates import self_signed
from tests.ldap.server import Book, Mute, Network, bound, done, entry, goodbye, written
from tests.ldap.tables import OURS, SECRET, SERVICE, read

HOST = "192.0.2.1"
PEOPLE = "ou=people,dc=example,dc=org"
STAFF = "cn=staff,dc=example,dc=org"
ALICE = b"uid=alice,ou=people,dc=example,dc=org"


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
    return directory_of(settings, network)


def nobody(name):
    raise AssertionError(f"{name} is looked up")


def directory_of(settings, network, shared=None, lookup=nobody):
    return Directory(settings, network, lambda: 0.0, {} if shared is None else shared, lookup)


def search(directory, base=PEOPLE, **more):
    request = search_request(
        base.encode(), Scope.SUBTREE, ANYTHING, ["uid"], size_limit=2, time_limit=4
    )
    return Asked(directory.search(request, 2, **more))


def bind(directory, password=PASSWORD, **more):
    return Asked(directory.bind(ALICE, password, **more))


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
    asked = Asked(house(network, folder, book).bind(name, password))
    with pytest.raises(ValueError, match="needs a name and a password"):
        assert asked.code
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
        client_tls,
        "platformTrust",
        lambda: client_tls.trustRootFromCertificates([certificate(OURS)]),
    )
    directory = house(network, folder, servers=[f"ldaps://{HOST}"], insecure_clear_text=None)
    network.listen(HOST, 636, answer=book.answer, tls=OURS.issue(HOST))
    asked = bind(directory)
    network.settle()
    assert asked.code == 0


def certificate(authority):
    return client_tls.Certificate.loadPEM(authority.pem)


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
    network.settle(LONGEST_REST)
    for content, right in ((b"wrong", False), (b"another", True)):
        (folder / "password").unlink()
        (folder / "password").write_bytes(content)
        (folder / "password").chmod(0o600)
        for _ in range(3):
            network.settle(LONGEST_REST)
            asked = search(directory)
            network.settle()
        assert right is bool(asked.code == 0 if right else not asked.fault)
    assert [request.password for request in book.of("bind")] == [SECRET, b"wrong", b"another"]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.chmod(0o644)])
def test_a_password_file_that_cannot_be_used_is_an_outage_until_it_can(
    network, folder, book, spoil
):
    directory = house(network, folder, book)
    spoil(folder / "password")
    asked = search(directory)
    network.settle(LONGEST_REST)
    assert asked.reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert network.attempts == []
    (folder / "password").write_bytes(SECRET)
    (folder / "password").chmod(0o600)
    network.settle(LONGEST_REST)
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
    directories = [directory_of(settings, network, shared) for _ in range(3)]
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
        asked = search(directory_of(settings, network, shared))
        network.settle()
        assert (asked.entries != []) if good else asked.reason is Reason.SERVICE_ACCOUNT_REFUSED


@pytest.mark.parametrize(
    ("account", "dn", "own", "is_it"),
    [
        (SERVICE, SERVICE, b"service", True),
        (SERVICE, SERVICE.upper(), b"", True),
        (SERVICE, SERVICE.replace(",", " , "), b"", True),
        (SERVICE, ALICE.decode(), b"service", False),
        ("svc@ad.example.org", "cn=svc,dc=x", b"SVC", True),
        ("AD\\Svc", "cn=svc,dc=x", b"svc", True),
        ("svc@ad.example.org", "cn=svc,dc=x", b"alice", False),
        ("svc@ad.example.org", "cn=svc,dc=x", b"\xff", False),
    ],
)
def test_the_service_accounts_entry_is_known_by_its_dn_or_its_logon_name(
    network, folder, account, dn, own, is_it
):
    directory = house(network, folder, preset="active-directory", bind_dn=account)
    assert directory.is_account(Entry(dn.encode(), {b"samaccountname": [own]})) is is_it


def test_without_a_service_account_nobody_is_it(network, folder):
    directory = house(network, folder, bind_dn=None, bind_password_file=None)
    assert not directory.is_account(Entry(b"", {}))


# --- connections of refused binds -----------------------------------------------------------------


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_connection_of_a_refused_bind_is_used_again_unless_the_server_may_end_it(
    network, folder, book, preset
):
    directory = house(network, folder, book, preset=preset)
    asked = [bind(directory, b"looking-glass")]
    network.settle()
    last = preset in ("389", "freeipa")
    assert network.servers[0].lost is last
    assert network.servers[0].kinds == (["bind", "unbind"] if last else ["bind"])
    for _ in range(2):
        asked.append(bind(directory))
        network.settle()
    assert [one.code for one in asked] == [49, 0, 0]
    assert len(network.servers) == 1 + last


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
        directory_of(read(folder, **given)[0], network, shared)
    (accounts,) = shared.values()
    assert len(accounts) == 2


def test_directories_with_a_server_in_common_share_an_account_also_through_a_third(network, folder):
    shared, accounts = {}, set()
    for hosts in ((FIRST,), (FIRST, SECOND), (SECOND,)):
        given = {
            "servers": [f"ldap://{host}" for host in hosts], "insecure_clear_text": True,
            "bind_dn": SERVICE, "bind_password_file": "password",
        }  # fmt: skip
        directory_of(read(folder, **given)[0], network, shared)
        accounts.update(account for known in shared.values() for account in known)
    (account,) = accounts
    assert account.places == {Server(host, 389, False) for host in (FIRST, SECOND)}


def test_the_only_server_of_an_account_refuses_it_for_good_though_it_was_accepted(
    network, folder, book
):
    directory = house(network, folder, book)
    asked = search(directory)
    network.settle()
    assert asked.entries
    book.passwords[SERVICE.encode()] = b"another"
    network.servers[0].transport.peer.drop()
    for _ in range(20):
        asked = search(directory)
        network.settle()
        network.settle(REFUSED_REST / 10)
        assert asked.reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert len(book.of("bind")) == 2  # one of them was right


# --- several servers ------------------------------------------------------------------------------

FIRST, SECOND = "192.0.2.1", "192.0.2.2"


def pair(network, folder, *books, **given):
    """A directory of two servers, with a service account that both know; each has a book."""
    for host, one in zip((FIRST, SECOND), books, strict=True):
        if one is not None:
            network.listen(host, answer=one.answer)
    servers = [f"ldap://{FIRST}", f"ldap://{SECOND}"]
    return house(network, folder, servers=servers, **given)


def books(number=2):
    made = []
    for _ in range(number):
        made.append(Book())
        made[-1].add(SERVICE.encode(), SECRET)
        made[-1].add(ALICE, PASSWORD, uid=[b"alice"])
    return made


def test_searches_and_binds_go_to_the_next_server_each_for_itself(network, folder):
    first, second = books()
    first.search_result = (51, b"")
    directory = pair(network, folder, first, second)
    for _ in range(3):
        for ask, host in ((search, SECOND), (bind, FIRST)):
            asked = ask(directory)
            network.settle()
            assert asked.code == 0
            assert asked.operation.link.server == f"ldap://{host}:389"


def test_a_bind_near_a_search_goes_to_the_server_that_has_answered_it(network, folder):
    first, second = books()
    first.search_result = (51, b"")
    directory = pair(network, folder, first, second)
    found = search(directory)
    network.settle()
    for near, book in ((found.operation, second), (None, first)):
        asked = bind(directory, near=near)
        network.settle()
        assert asked.code == 0
        assert [request.name for request in book.of("bind")][-1:] == [ALICE]
    first.search_result = (0, b"")
    network.settle(1)
    again = search(directory, near=found.operation)
    network.settle()
    assert again.operation.link.server == f"ldap://{SECOND}:389"


@pytest.mark.parametrize("twice", [False, True])
def test_a_bind_that_was_not_answered_goes_to_a_second_server_only_where_that_is_said(
    network, folder, twice
):
    (second,) = books(1)
    directory = pair(network, folder, None, second, second_server_after_bind=twice)
    network.listen(FIRST)
    asked = bind(directory)
    network.settle()
    network.servers[0].transport.peer.drop()
    network.settle()
    assert (asked.code == 0) if twice else (asked.reason is Reason.DIRECTORY_UNREACHABLE)
    assert len(second.of("bind")) == twice


def test_a_search_and_a_bind_tell_which_server_was_next(network, folder):
    first, second = books()
    first.search_result = (80, b"")
    first.codes[ALICE] = 51
    trace = Trace()
    directory = pair(network, folder, first, second)
    for ask in (search, bind):
        asked = ask(directory, trace=trace)
        network.settle()
        assert asked.code == 0
    assert trace.steps == [
        (
            "next server",
            f"ldap://{FIRST}:389: the server could not answer a {what}",
        )
        for what in ("search: 80 other", "login: 51 busy")
    ]


def test_a_service_account_that_one_server_refuses_searches_at_the_other(network, folder, events):
    first, second = books()
    directory = pair(network, folder, first, second)
    asked = search(directory)
    network.settle()
    assert asked.entries
    first.passwords[SERVICE.encode()] = b"another"
    for server in network.servers:
        server.transport.peer.drop()
    for _ in range(20):
        asked = search(directory)
        network.settle()
        assert asked.entries
        network.settle(REST)
    assert len(first.of("bind")) == 2  # one of them was right


def test_a_hung_server_costs_a_search_a_second_where_there_is_another(network, folder):
    """In clear, so that it hangs at the service bind; the other server has its own turn."""
    first, second = books()
    directory = pair(network, folder, first, second)
    asked = search(directory)
    network.settle()
    assert asked.entries
    network.servers[0].transport.peer.drop()
    network.places[FIRST, 389] = Mute
    asked = search(directory)
    network.settle()
    network.settle(0.99)
    assert asked.pending
    network.settle(0.01)
    assert asked.entries
    assert asked.operation.link.server == f"ldap://{SECOND}:389"


def test_before_the_password_was_accepted_a_hung_server_has_its_turn_first(network, folder):
    """It may refuse it, and two refusals might lock the account."""
    (second,) = books(1)
    directory = pair(network, folder, None, second)
    network.places[FIRST, 389] = Mute
    asked = search(directory)
    network.settle()
    network.settle(SECONDS - 0.01)
    assert asked.pending
    assert second.asked == []
    network.settle(0.01)
    assert asked.entries


def test_a_server_that_hangs_is_back_within_five_seconds(network, folder):
    first, second = books()
    directory = pair(network, folder, None, second)
    network.places[FIRST, 389] = None
    search(directory)
    for _ in range(30):
        network.settle(0.5)
    network.listen(FIRST, answer=first.answer)
    for _ in range(10):
        network.settle(0.5)
    asked = search(directory)
    network.settle()
    assert asked.operation.link.server == f"ldap://{FIRST}:389"
    assert asked.entries


# --- changes --------------------------------------------------------------------------------------


def write(directory, near=None, made=lambda operation: None):
    request = codec.replace_request(ALICE, b"mail", b"a@example.org")
    return Asked(directory.write(request, codec.MODIFY_RESPONSE, near=near, made=made))


def writing(book, code=0):
    """A server that takes changes, with this result."""

    def answer(server, request):
        if request.kind == "modify":
            book.asked.append(request)
            return written(request, code)
        return book.answer(server, request)

    return answer


def scribe(network, folder, codes=(0, 0), **given):
    """A directory of two servers that answer changes so, and their books."""
    made = books()
    for host, book, code in zip((FIRST, SECOND), made, codes, strict=True):
        network.listen(host, answer=writing(book, code))
    servers = [f"ldap://{FIRST}", f"ldap://{SECOND}"]
    return house(network, folder, servers=servers, writes=True, **given), *made


def test_a_change_is_the_service_accounts_and_has_a_connection_of_its_own(network, folder):
    directory, first, second = scribe(network, folder)
    found, asked = search(directory), write(directory)
    network.settle()
    assert found.entries
    assert asked.code == 0
    assert sorted(server.kinds for server in network.servers) == [
        ["bind", "modify"], ["bind", "search"],
    ]  # fmt: skip
    (request,) = first.of("modify")
    assert (request.name, request.changes) == (ALICE, ((2, b"mail", (b"a@example.org",)),))
    assert second.asked == []


def test_there_are_no_more_changes_at_once_than_two(network, folder):
    directory, *_ = scribe(network, folder)
    network.listen(FIRST, answer=lambda _, request: bound(request.id) if request.password else None)
    for _ in range(10):
        write(directory)
    network.settle()
    assert len(network.servers) == WRITES_AT_ONCE
    assert [server.kinds for server in network.servers] == [["bind", "modify"]] * 2


@pytest.mark.parametrize("code", [51, 52, 53, 10])
def test_a_change_that_a_server_does_not_make_goes_to_the_next(network, folder, code):
    directory, first, second = scribe(network, folder, (code, 0))
    asked = write(directory)
    network.settle()
    assert asked.code == 0
    assert [len(book.of("modify")) for book in (first, second)] == [1, 1]


@pytest.mark.parametrize("code", [1, 3, 11, 80, 32, 19, 50, 68])
def test_a_change_goes_nowhere_after_any_other_result(network, folder, code):
    directory, _, second = scribe(network, folder, (code, 0))
    asked = write(directory)
    network.settle()
    assert asked.code == code
    assert second.asked == []


def test_who_makes_a_change_is_told_of_each_operation_before_it_is_sent(network, folder):
    directory, *_ = scribe(network, folder, (51, 0))
    made, sent = [], []

    def told(operation):
        made.append(operation)
        sent.append(operation.link)

    asked = write(directory, made=told)
    network.settle()
    assert asked.operation is made[1]
    assert [str(one.carrier.server) for one in made] == [
        f"ldap://{FIRST}:389",
        f"ldap://{SECOND}:389",
    ]
    assert sent == [None, None]
    assert [one.link.server for one in made] == [f"ldap://{FIRST}:389", f"ldap://{SECOND}:389"]


@pytest.mark.parametrize(("code", "kept"), [(1, False), (80, True), (0, True)])
def test_a_change_with_an_operations_error_costs_its_connection(network, folder, code, kept):
    directory, *_ = scribe(network, folder, (code, 0))
    asked = write(directory)
    network.settle()
    assert asked.code == code
    assert network.servers[0].lost is not kept


def test_with_windows_an_unwilling_server_has_the_last_word(network, folder):
    directory, _, second = scribe(network, folder, (53, 0), preset="active-directory")
    asked = write(directory)
    network.settle()
    assert asked.code == 53
    assert second.asked == []


@pytest.mark.parametrize("twice", [False, True])
def test_a_change_that_was_not_answered_is_sent_to_nobody_else(network, folder, twice):
    directory, _, second = scribe(network, folder, second_server_after_bind=twice)
    network.listen(FIRST, answer=lambda _, request: bound(request.id) if request.password else None)
    asked = write(directory)
    network.settle()
    network.servers[0].transport.peer.drop()
    network.settle()
    assert asked.reason is Reason.DIRECTORY_UNREACHABLE
    assert second.asked == []


def test_a_change_near_a_search_goes_to_the_server_that_has_answered_it(network, folder):
    directory, first, second = scribe(network, folder)
    first.search_result = (80, b"")
    found = search(directory)
    network.settle()
    asked = write(directory, near=found.operation)
    network.settle()
    assert asked.code == 0
    assert [len(book.of("modify")) for book in (first, second)] == [0, 1]


# --- servers that DNS knows -----------------------------------------------------------------------


def found_by(*records):
    """A lookup that finds these, and what it was asked."""
    asked = []

    def lookup(name):
        asked.append(name)
        return succeed([Record(0, 0, 636, target, 60) for target in records])

    return lookup, asked


def discovered(network, folder, lookup, **given):
    usual = {
        "servers": "srv:_ldaps._tcp.example.org", "ca_file": "ca.pem", "bind_dn": SERVICE,
        "bind_password_file": "password", **given,
    }  # fmt: skip
    settings, mistakes = read(folder, **usual)
    assert mistakes == []
    network.names["dc1.example.org"] = [FIRST]
    return directory_of(settings, network, lookup=lookup)


def test_servers_are_looked_up_when_the_first_asks(network, folder, book):
    lookup, asked = found_by("dc1.example.org")
    network.listen(FIRST, 636, answer=book.answer, tls=OURS.issue("dc1.example.org"))
    directory = discovered(network, folder, lookup)
    network.settle(100)
    assert (asked, directory.servers) == ([], ())
    assert directory.ready() is None
    assert asked == ["_ldaps._tcp.example.org"]
    assert [str(server) for server in directory.servers] == ["ldaps://dc1.example.org:636"]
    assert directory.describe_servers() == (
        "srv:_ldaps._tcp.example.org: ldaps://dc1.example.org:636"
    )
    found, right = search(directory), bind(directory)
    network.settle(1)
    assert found.entries
    assert right.code == 0


def test_who_asks_waits_for_the_lookup_and_a_stop_ends_it(network, folder, events):
    looking = Deferred()
    directory = discovered(network, folder, lambda name: looking)
    assert not directory.ready().called
    directory.stop()
    assert looking.called
    assert events == []
    assert network.getDelayedCalls() == []


def test_an_account_that_one_of_the_servers_of_a_service_refuses_searches_at_another(
    network, folder, events
):
    lookup, _ = found_by("dc1.example.org", "dc2.example.org")
    first, second = books()
    network.names["dc2.example.org"] = [SECOND]
    for host, name, one in ((FIRST, "dc1", first), (SECOND, "dc2", second)):
        network.listen(host, 636, answer=one.answer, tls=OURS.issue(f"{name}.example.org"))
    directory = discovered(network, folder, lookup)
    assert directory.ready() is None
    asked = search(directory)
    network.settle(1)
    assert asked.entries
    first.passwords[SERVICE.encode()] = b"another"
    network.servers[0].transport.peer.drop()
    asked = search(directory)
    for _ in range(10):
        network.settle(0.1)
    assert asked.entries
    assert asked.operation.link.server == "ldaps://dc2.example.org:636"
    (alarm,) = [event for event in events if event["log_level"].name == "critical"]
    assert "left out for 30 minutes" in alarm["words"]


def test_servers_that_are_named_are_ready(network, folder, book):
    directory = house(network, folder, book)
    assert directory.ready() is None
    assert [str(server) for server in directory.servers] == [f"ldap://{HOST}:389"]
    assert directory.describe_servers() == ""


def test_directories_that_look_up_one_service_share_an_account(network, folder):
    shared = {}
    lookup, _ = found_by()
    for service in ("srv:example.org", "srv:example.org", "srv:example.net"):
        given = {
            "servers": service, "bind_dn": SERVICE, "bind_password_file": "password",
        }  # fmt: skip
        directory_of(read(folder, **given)[0], network, shared, lookup)
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


def test_a_probe_tells_of_groups_that_there_are_one_for_each_domain_and_looks_for_none(
    network, folder, book
):
    group = "cn={domain},dc=example,dc=org"
    steps, fault = probe(
        network, house(network, folder, book), lookup(require_groups=[group, STAFF])
    )
    assert fault is None
    assert ("group", f"{group}: one for each domain, not looked for") in steps
    assert ("group", f"{STAFF}: found") in steps
    assert [request.name for request in book.of("search")] == [PEOPLE.encode(), STAFF.encode()]


def test_a_probe_looks_for_the_base_of_the_groups(network, folder, book):
    looking = lookup(require_groups=[STAFF], group_base="ou=groups,dc=example,dc=org")
    steps, fault = probe(network, house(network, folder, book), looking)
    what = "anything below ou=groups,dc=example,dc=org"
    assert fault.words.startswith(f"nothing is found by {what}: ")
    assert [name for name, _ in steps] == ["connection", "service bind", "users"]
    book.add(b"ou=groups,dc=example,dc=org")
    steps, fault = probe(network, house(network, folder, book), looking)
    assert fault is None
    assert steps[-2:] == [("groups", f"{what}: found"), ("group", f"{STAFF}: found")]


def test_a_server_without_an_ear_for_size_limits_does_not_fail_a_probe(network, folder, book):
    def deaf(server, request):
        if request.kind != "search":
            return book.answer(server, request)
        crowd = (
            entry(request.id, b"uid=%d" % n, {"uid": [b"%d" % n]}) for n in range(3 * MOST_SURPLUS)
        )
        return b"".join([*crowd, done(request.id)])

    network.listen(HOST, answer=deaf)
    steps, fault = probe(network, house(network, folder), lookup())
    assert fault is None
    assert steps[-1] == ("users", f"(&(objectClass=*)(uid=*)) below {PEOPLE}: found")


@pytest.mark.parametrize(("size_limit", "surplus"), [(1, 100), (10, 100), (11, 110), (50, 500)])
def test_a_search_bears_ten_times_as_many_as_it_asked_for(network, folder, size_limit, surplus):
    def crowd(number):
        def answer(server, request):
            if request.kind == "bind":
                return bound(request.id)
            found = b"".join(entry(request.id, b"uid=%d" % n) for n in range(number))
            return found + done(request.id)

        return answer

    for more in (0, 1):
        network.listen(HOST, answer=crowd(size_limit + surplus + more))
        directory = house(network, folder)
        request = search_request(
            b"dc=x", Scope.SUBTREE, ANYTHING, ["uid"], size_limit=size_limit, time_limit=4
        )
        asked = Asked(directory.search(request, size_limit))
        network.settle()
        if more:
            assert asked.reason is Reason.DIRECTORY_FAILED
        else:
            assert len(asked.entries) == size_limit
            assert asked.operation.cut


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


def test_a_stop_ends_changes_and_probes_too(network, folder):
    directory, *_ = scribe(network, folder)
    for ask in (search, bind, write):
        ask(directory)
    network.settle()
    network.settle(IDLE)
    asked = [ask(directory) for ask in (search, bind, write)]
    directory.stop()
    network.settle()
    assert {one.fault.words for one in asked} == {"authbridge is stopping"}
    assert network.open == []
    assert network.getDelayedCalls() == []
