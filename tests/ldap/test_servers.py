"""How a connection comes about: server, TCP, TLS, service account; and what may go wrong."""

from __future__ import annotations

import os

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, TCPTimedOutError

from authbridge.ldap import tls
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.servers import Dialer, Outages, Server, ServerMistake, ServiceAccount
from authbridge.model import Reason
from tests.doubles import now
from tests.ldap import server as double
from tests.ldap.certificates import Authority
from tests.ldap.server import Mute, Network, bound, extended, goodbye, policy

SECRET = b"through-the-glass"
SERVICE = "cn=service,dc=example,dc=org"
HOST = "192.0.2.1"
SECONDS = 4


# --- names of servers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "server", "text"),
    [
        ("ldaps://ldap.example.org", Server("ldap.example.org", 636, True), None),
        ("ldap://ldap.example.org", Server("ldap.example.org", 389, False), None),
        ("ldap://ldap:1389/", Server("ldap", 1389, False), "ldap://ldap:1389"),
        ("LDAPS://Ldap.Example.ORG", Server("ldap.example.org", 636, True), None),
        ("ldaps://192.0.2.1", Server("192.0.2.1", 636, True), None),
        ("ldaps://[2001:db8::1]:637", Server("2001:db8::1", 637, True), None),
        ("ldap://bücher.example", Server("xn--bcher-kva.example", 389, False), None),
        ("ldap://dc-1.example", Server("dc-1.example", 389, False), None),
    ],
)
def test_a_server_is_a_scheme_a_host_and_a_port(url, server, text):
    parsed = Server.parse(url)
    assert parsed == server
    assert Server.parse(str(parsed)) == parsed
    assert text is None or str(parsed) == text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ldap.example.org", "should begin with"),
        ("https://ldap.example.org", "should begin with"),
        ("ldapi://%2Frun%2Fslapd", "should begin with"),
        ("", "should begin with"),
        ("ldap://a/dc=x", "no more"),
        ("ldap://a?x", "no more"),
        ("ldap://a#x", "no more"),
        ("ldap://user@a", "no more"),
        ("ldap://user:secret@a", "no more"),
        ("ldap://", "names no host"),
        ("ldap://:389", "names no host"),
        ("ldap://a b", "names no host"),
        ("ldap://a..b", "names no host"),
        ("ldap://" + "a" * 64, "names no host"),
        ("ldap://a:0", "names no host"),
        ("ldap://a:x", "is no URL"),
        ("ldap://a:70000", "is no URL"),
        ("ldap://[::1", "is no URL"),
    ],
)
def test_what_names_no_server_is_a_mistake(url, said):
    with pytest.raises(ServerMistake, match=said):
        Server.parse(url)


def test_a_name_is_resolved_and_an_address_is_not():
    network = Network()
    for host, kind in (
        ("ldap.example.org", HostnameEndpoint),
        ("192.0.2.1", TCP4ClientEndpoint),
        ("2001:db8::1", TCP6ClientEndpoint),
    ):
        assert isinstance(Server(host, 1, True).endpoint(network), kind)


# --- the service account --------------------------------------------------------------------------


@pytest.fixture
def account(tmp_path):
    path = tmp_path / "password"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return ServiceAccount(SERVICE, path)


def change(account, content, mode=0o600):
    new = account.file.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(account.file)


def trouble(account):
    with pytest.raises(Fault) as raised:
        account.password()
    assert raised.value.reason is Reason.SERVICE_ACCOUNT_REFUSED
    return raised.value.words


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_its_password_is_what_is_in_the_file_without_the_lines_end(account, end):
    change(account, b" p\xc3\xa4ss \n x" + end)
    assert account.password().reveal() == b" p\xc3\xa4ss \n x"


def test_a_change_of_the_file_counts_at_the_next_connection(account):
    assert account.password().matches(SECRET)
    change(account, b"looking-glass")
    assert account.password().matches(b"looking-glass")


def test_a_password_that_was_refused_is_not_given_again_before_the_file_changes(account):
    said = account.refuse(account.password(), "ldap://x refuses it")
    assert said.reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert said.words == (
        f"ldap://x refuses it; the service account {SERVICE} is not tried again before "
        f"{account.file} changes or the daemon is restarted"
    )
    for _ in range(3):
        assert trouble(account) == said.words
    change(account, SECRET)  # touched is not changed
    assert trouble(account) == said.words
    change(account, b"looking-glass")
    assert account.password().matches(b"looking-glass")


def test_a_password_in_the_same_file_is_another_where_the_file_was_rewritten(account):
    account.refuse(account.password(), "no")
    before = account.file.stat()
    account.file.write_bytes(SECRET[::-1])
    os.utime(account.file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert account.password().matches(SECRET[::-1])


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n"])
def test_a_file_without_a_password_is_refused_by_us(account, content):
    change(account, content)
    assert "is empty" in trouble(account)


def test_a_file_that_is_gone_or_open_to_others_is_refused_by_us(account, monkeypatch):
    change(account, SECRET, 0o644)
    assert "is open to others" in trouble(account)
    change(account, SECRET)
    monkeypatch.setattr(type(account.file), "read_bytes", lambda path: (_ for _ in ()).throw(
        PermissionError(13, "Permission denied")))  # fmt: skip
    assert "Permission denied" in trouble(account)
    account.file.unlink()
    assert "No such file" in trouble(account)


def test_a_refusal_of_the_old_password_does_not_stand_against_a_new_one(account):
    old = account.password()  # one connection reads the old one and binds with it,
    change(account, b"looking-glass")
    account.password()  # a second one reads the new one,
    account.refuse(old, "no")  # the first one is refused
    assert account.password().matches(b"looking-glass")


# --- outages --------------------------------------------------------------------------------------


def test_an_outage_with_another_cause_is_another_line(events):
    outages, server = Outages(clock := Network()), Server("a", 636, True)
    refused = Fault(Reason.SERVICE_ACCOUNT_REFUSED, "refused")
    for fault in (Fault(Reason.DIRECTORY_SILENT, "silent"), refused, refused):
        outages.failed(server, fault)
        clock.advance(1)
    outages.works(server)
    assert [event["log_level"].name for event in events] == ["error", "critical", "info"]
    assert events[2]["s"] == 3  # one outage, whatever its causes


def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends(events):
    clock = Network()
    outages, server = Outages(clock), Server("a", 636, True)
    fault = Fault(Reason.DIRECTORY_UNREACHABLE, "ldaps://a:636: connection refused")
    assert outages.failed(server, fault) is fault
    clock.advance(7)
    later = outages.failed(server, fault)
    assert later.words.startswith(fault.words)
    assert "for 7 s now" in later.words
    assert later.reason is fault.reason
    clock.advance(3)
    outages.works(server)
    outages.works(server)
    told = [(event["log_level"].name, event["log_format"]) for event in events]
    assert told == [
        ("error", "directory: {words} ({reason})"),
        ("info", "directory: {server} answers, after {s:.0f} s"),
    ]
    assert (events[0]["reason"], events[1]["s"]) == ("directory_unreachable", 10)
    assert outages.failed(server, fault) is fault


# --- connections ----------------------------------------------------------------------------------

AUTHORITY = Authority("ours")
CONTEXT = AUTHORITY.issue(HOST)


@pytest.fixture(scope="module")
def trust():
    return tls.make_context([tls.Certificate.loadPEM(AUTHORITY.pem)])


@pytest.fixture
def network():
    return Network()


def dialer(network, *urls, context=None, account=None):
    servers = [Server.parse(url) for url in urls or [f"ldap://{HOST}"]]
    deadlines = Deadlines(network, SECONDS)
    return Dialer(servers, context, deadlines, Outages(network), network, account)


def fault(deferred):
    with pytest.raises(Fault) as raised:
        now(deferred)
    return raised.value


def test_a_connection_is_quick_to_send_and_kept_alive(network):
    network.listen(HOST)
    connecting = dialer(network).connect()
    network.settle()
    connection = now(connecting)
    assert connection.transport.options == {"nodelay": True, "keepalive": True}
    assert connection.describe() == f"ldap://{HOST}:389, not encrypted"
    assert network.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectError(111), "connection refused"),
        (TCPTimedOutError(110), "connection timed out"),
        (ConnectError(string="something else"), "an error occurred while connecting: something"),
    ],
)
def test_a_server_that_cannot_be_connected_to_is_unreachable(network, error, words):
    network.places[HOST, 389] = error
    connecting = dialer(network).connect()
    network.settle()
    found = fault(connecting)
    assert found.reason is Reason.DIRECTORY_UNREACHABLE
    assert found.words.startswith(f"ldap://{HOST}:389: {words}")


def test_a_name_that_nobody_has_is_unreachable(network):
    connecting = dialer(network, "ldap://ldap.example.org").connect()
    network.settle()
    found = fault(connecting)
    assert (found.reason, found.words) == (
        Reason.DIRECTORY_UNREACHABLE,
        "ldap://ldap.example.org:389: the name cannot be resolved",
    )


def test_a_name_is_connected_to_by_its_address(network):
    network.names["ldap.example.org"] = ["2001:db8::1", HOST]
    network.listen(HOST)
    connecting = dialer(network, "ldap://ldap.example.org").connect()
    network.settle(1)
    assert not now(connecting).gone


def silent_tcp(network):
    network.places[HOST, 389] = None


def silent_ldap(network):
    network.places[HOST, 389] = double.Server


def silent_tls(network):
    network.places[HOST, 389] = Mute


SILENCES = {
    "TCP": (silent_tcp, "ldap", False),
    "TLS": (silent_tls, "ldaps", False),
    "StartTLS": (silent_ldap, "ldap", True),
    "the service bind": (silent_ldap, "ldap", False),
}  # fmt: skip


@pytest.mark.parametrize(("silence", "scheme", "secure"), SILENCES.values(), ids=SILENCES)
def test_a_silent_server_is_given_up_in_time(network, account, trust, silence, scheme, secure):
    silence(network)
    url = f"{scheme}://{HOST}:389"
    context = trust if secure or scheme == "ldaps" else None
    connecting = dialer(network, url, context=context, account=account).connect()
    network.settle(SECONDS - 0.001)
    assert not connecting.called
    network.settle(0.001)
    assert fault(connecting).reason is Reason.DIRECTORY_SILENT
    assert all(attempt.over for attempt in network.attempts)
    assert network.open == []
    assert secure is False or SECRET not in network.carried


def test_who_gives_up_a_connection_leaves_nothing_of_it(network):
    silent_tcp(network)
    connecting = dialer(network).connect()
    connecting.addErrback(lambda failure: None).cancel()
    network.settle()
    assert network.attempts[0].over
    assert network.getDelayedCalls() == []


def test_who_gives_up_during_the_handshake_leaves_nothing_of_it(network, trust):
    silent_tls(network)
    failures = []
    connecting = dialer(network, f"ldaps://{HOST}:389", context=trust).connect()
    connecting.addErrback(failures.append)
    network.settle()
    connecting.cancel()
    network.settle()
    assert network.open == []
    assert [failure.type.__name__ for failure in failures] == ["CancelledError"]


def opened(network, trust):
    """A connection over TLS."""
    network.listen(HOST, tls=CONTEXT)
    connecting = dialer(network, f"ldaps://{HOST}:389", context=trust).connect()
    network.settle()
    return now(connecting)


def test_a_connection_that_is_closed_says_goodbye_in_ldap_and_in_tls(network, trust):
    connection = opened(network, trust)
    connection.close()
    network.settle()
    assert network.servers[0].kinds == ["unbind"]
    assert network.open == []
    assert not connection.transport.aborted
    network.settle(SECONDS)
    assert network.getDelayedCalls() == []


def test_a_server_that_hangs_at_the_goodbye_is_left_in_time(network, trust):
    connection = opened(network, trust)
    network.servers[0].transport.deaf = True
    connection.close()
    network.settle()
    assert not connection.transport.aborted
    network.settle(SECONDS)
    assert connection.transport.aborted
    assert network.open == []


# --- several servers ------------------------------------------------------------------------------

TWO = ("ldap://192.0.2.1", "ldap://192.0.2.2")


def test_the_first_server_that_answers_is_used(network):
    for host in ("192.0.2.1", "192.0.2.2"):
        network.listen(host)
    connecting = dialer(network, *TWO).connect()
    network.settle()
    assert now(connecting).server == "ldap://192.0.2.1:389"
    assert len(network.attempts) == 1


def test_the_next_server_is_tried_and_the_outage_of_the_first_told(network, events):
    network.listen("192.0.2.2")
    connecting = dialer(network, *TWO).connect()
    network.settle()
    assert now(connecting).server == "ldap://192.0.2.2:389"
    assert [event["words"] for event in events] == ["ldap://192.0.2.1:389: connection refused"]


def test_an_outage_that_is_over_is_told_and_another_one_is_told_anew(network, events):
    dialing = dialer(network)
    for up in (False, False, True, True, False):
        network.places.clear()
        if up:
            network.listen(HOST)
        dialing.connect().addErrback(lambda failure: None)
        network.settle(1)
    assert [event["log_level"].name for event in events] == ["error", "info", "error"]


def test_where_all_fail_the_fault_is_that_of_the_last(network):
    network.names["b"] = []
    connecting = dialer(network, "ldap://192.0.2.1", "ldap://b").connect()
    network.settle()
    assert fault(connecting).words == "ldap://b:389: the name cannot be resolved"


# --- StartTLS -------------------------------------------------------------------------------------


def start_tls(network, trust, account, answer):
    """Connect to a server that answers StartTLS so; what came of it."""
    network.listen(HOST, answer=answer)
    connecting = dialer(network, context=trust, account=account).connect()
    network.settle()
    return connecting


def accept(server, request):
    """Answer StartTLS, and the bind behind it."""
    if request.kind == "extended":
        server.transport.raw.write(extended(request.id))
        server.start_tls(CONTEXT)
        return None
    return bound(request.id)


def test_starttls_comes_first_and_the_password_is_encrypted(network, trust, account):
    connection = now(start_tls(network, trust, account, accept))
    (server,) = network.servers
    assert server.kinds == ["extended", "bind"]
    assert server.requests[0].name == double.START_TLS
    assert SECRET in server.heard
    assert SECRET not in network.carried
    assert connection.describe().startswith(
        f"ldap://{HOST}:389, StartTLS, TLSv1.3, certificate for"
    )


INJECTED = {
    "a success of the bind to come": lambda n: extended(n) + bound(n + 1),
    "a success of a guessed id": lambda n: extended(n) + bound(n + 7),
    "the same answer twice": lambda n: extended(n) + extended(n),
    "half a message": lambda n: extended(n) + bound(n + 1)[:7],
    "one octet of a message": lambda n: extended(n) + b"\x30",
    "what is no LDAP": lambda n: extended(n) + b"\x16\x03\x03",
    "an answer of another kind": bound,
    "an answer to nothing": lambda n: extended(n + 1),
    "an entry": lambda n: double.entry(n, b"dc=x"),
    "goodbye": lambda _: goodbye(),
}


@pytest.mark.parametrize("injected", INJECTED.values(), ids=INJECTED)
def test_nothing_that_comes_with_the_answer_to_starttls_counts(network, trust, account, injected):
    connecting = start_tls(network, trust, account, lambda _, request: injected(request.id))
    assert fault(connecting).reason in (Reason.DIRECTORY_FAILED, Reason.DIRECTORY_UNREACHABLE)
    assert network.servers[0].kinds == ["extended"]
    assert SECRET not in network.carried
    assert network.open == []


def test_what_comes_in_clear_after_starttls_is_no_tls(network, trust, account):
    class Stripper(double.Server):
        def dataReceived(self, data):
            self.heard += data
            self.say(extended(1) if len(self.heard) == len(data) else bound(2))

    network.places[HOST, 389] = Stripper
    connecting = dialer(network, context=trust, account=account).connect()
    network.settle()
    assert fault(connecting).reason is Reason.DIRECTORY_UNTRUSTED
    assert SECRET not in network.carried
    assert network.open == []


@pytest.mark.parametrize("code", [1, 2, 12, 49, 52, 53, 80])
def test_starttls_that_is_refused_is_the_end_of_it(network, trust, account, code):
    connecting = start_tls(
        network, trust, account, lambda _, request: extended(request.id, code, b"no TLS here")
    )
    found = fault(connecting)
    assert found.reason is Reason.DIRECTORY_UNTRUSTED
    assert f"refuses StartTLS: {code} " in found.words
    assert "'no TLS here'" in found.words
    assert network.servers[0].kinds == ["extended"]
    assert SECRET not in network.carried
    assert network.open == []


def test_a_server_that_leaves_instead_of_starting_tls_is_unreachable(network, trust, account):
    def leave(server, request):
        server.transport.loseConnection()

    found = fault(start_tls(network, trust, account, leave))
    assert found.reason is Reason.DIRECTORY_UNREACHABLE
    assert "in place of StartTLS" in found.words
    assert SECRET not in network.carried


# --- the service bind -----------------------------------------------------------------------------


def service_bind(network, account, answer):
    network.listen(HOST, answer=lambda _, request: answer(request))
    connecting = dialer(network, account=account).connect()
    network.settle()
    return connecting


def test_the_service_account_is_bound_with_the_policys_control(network, account):
    now(service_bind(network, account, lambda request: bound(request.id)))
    (request,) = network.servers[0].requests
    assert (request.name, request.password) == (SERVICE.encode(), SECRET)
    assert request.controls == (double.PPOLICY,)


def test_a_password_that_soon_expires_still_binds_and_is_said_once(network, account, events):
    control = policy(seconds=60)
    for _ in range(3):
        now(service_bind(network, account, lambda request: bound(request.id, 0, b"", control)))
    (warning,) = [event for event in events if event["log_level"].name == "warn"]
    assert (warning["dn"], warning["words"]) == (SERVICE, "the password expires in 60 s")


def test_a_host_that_twisted_takes_for_none_is_unreachable_and_no_bug(network, account):
    found = fault(dialer(network, "ldap://aa--bb.example", account=account).connect())
    assert found.reason is Reason.DIRECTORY_UNREACHABLE
    assert "no host that can be connected to" in found.words


def test_a_refused_service_account_is_an_alarm_without_its_password(network, account, events):
    control = policy(error=1)
    found = fault(
        service_bind(network, account, lambda request: bound(request.id, 49, b"no", control))
    )
    assert found.reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert "49 invalidCredentials, 'no' (account locked)" in found.words
    (alarm,) = [event for event in events if event["log_level"].name == "critical"]
    assert alarm["words"] == found.words
    assert "is not tried again before" in found.words
    assert SECRET.decode() not in repr(events) + found.words + repr(vars(found))
    assert network.open == []


def test_a_refused_service_account_is_bound_once_at_one_server(network, account, tmp_path):
    for host in ("192.0.2.1", "192.0.2.2"):
        network.listen(host, answer=lambda _, request: bound(request.id, 49))
    dialing = dialer(network, *TWO, account=account)
    for _ in range(5):
        connecting = dialing.connect()
        network.settle(10)
        assert fault(connecting).reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert [server.kinds for server in network.servers] == [["bind"]]
    change(account, b"looking-glass")
    connecting = dialing.connect()
    network.settle()
    fault(connecting)
    assert [server.last.password for server in network.servers] == [SECRET, b"looking-glass"]


@pytest.mark.parametrize(
    ("code", "control"), [(0, policy(error=2)), (53, None), (8, None), (34, None), (10, None)]
)
def test_a_service_account_that_is_of_no_use_is_a_fault_and_may_be_tried_again(
    network, account, code, control
):
    controls = [] if control is None else [control]
    for _ in range(2):
        found = fault(
            service_bind(network, account, lambda request: bound(request.id, code, b"", *controls))
        )
        assert found.reason is Reason.DIRECTORY_REFUSED
        assert SERVICE in found.words
        assert f": {code} " in found.words
    assert [server.kinds for server in network.servers] == [["bind"], ["bind"]]
    assert network.open == []


@pytest.mark.parametrize("code", [1, 3, 51, 52, 80])
def test_a_server_that_is_busy_at_the_service_bind_has_a_fault(network, account, code):
    found = fault(service_bind(network, account, lambda request: bound(request.id, code)))
    assert found.reason is Reason.DIRECTORY_FAILED


@pytest.mark.parametrize("code", [51, 52])
def test_the_next_server_is_tried_where_one_is_busy_at_the_service_bind(network, account, code):
    network.listen("192.0.2.1", answer=lambda _, request: bound(request.id, code))
    network.listen("192.0.2.2", answer=lambda _, request: bound(request.id))
    connecting = dialer(network, *TWO, account=account).connect()
    network.settle()
    assert now(connecting).server == "ldap://192.0.2.2:389"


def test_service_binds_take_their_turns_and_one_refusal_is_enough(network, account):
    network.listen(HOST)
    dialing = [dialer(network, account=account) for _ in range(3)]
    connecting = [one.connect() for one in dialing]
    network.settle()
    assert [server.kinds for server in network.servers] == [["bind"], [], []]
    network.servers[0].say(bound(1, 49))
    network.settle()
    assert {fault(one).reason for one in connecting} == {Reason.SERVICE_ACCOUNT_REFUSED}
    assert [server.kinds for server in network.servers] == [["bind"], [], []]
    assert network.open == []


def test_service_binds_that_are_accepted_follow_each_other(network, account):
    network.listen(HOST, answer=lambda _, request: bound(request.id))
    connecting = [dialer(network, account=account).connect() for _ in range(3)]
    network.settle()
    assert not any(now(one).gone for one in connecting)


@pytest.mark.parametrize("end", ["cancelled", "silent", "lost"])
def test_a_service_bind_that_comes_to_nothing_gives_its_turn_away(network, account, end):
    network.listen(HOST)
    first = dialer(network, account=account).connect().addErrback(lambda failure: None)
    network.settle(1)
    network.listen(HOST, answer=lambda _, request: bound(request.id))
    second = dialer(network, account=account).connect()
    network.settle()
    assert not second.called
    if end == "cancelled":
        first.cancel()
    elif end == "lost":
        network.servers[0].transport.peer.drop()
    network.settle(SECONDS - 1)
    assert now(second).server == f"ldap://{HOST}:389"


def test_a_connection_that_is_lost_while_it_waits_for_its_turn_is_told_at_once(network, account):
    network.listen(HOST)
    first = dialer(network, account=account).connect()
    second = dialer(network, account=account).connect()
    network.settle()
    network.servers[1].transport.peer.drop()
    network.servers[0].say(bound(1))
    network.settle()
    assert not now(first).gone
    assert fault(second).reason is Reason.DIRECTORY_UNREACHABLE


def test_who_gives_up_waiting_for_a_turn_binds_nobody(network, account):
    network.listen(HOST)
    dialer(network, account=account).connect()
    network.settle()
    second = dialer(network, account=account).connect()
    network.settle()
    second.addErrback(lambda failure: None).cancel()
    network.settle()
    network.servers[0].say(bound(1))
    network.settle()
    assert [server.kinds for server in network.servers] == [["bind"], []]
    assert network.servers[1].lost


def test_without_its_password_nobody_is_connected_to(network, account):
    network.listen(HOST)
    account.file.unlink()
    connecting = dialer(network, account=account).connect()
    assert fault(connecting).reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert network.attempts == []


def test_one_server_is_reached_for_a_probe(network):
    network.listen("192.0.2.2")
    dialing = dialer(network, *TWO)
    reaching = [dialing.reach(Server.parse(url)) for url in TWO]
    network.settle()
    assert fault(reaching[0]).reason is Reason.DIRECTORY_UNREACHABLE
    assert now(reaching[1]).server == "ldap://192.0.2.2:389"
