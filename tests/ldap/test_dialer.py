"""How a connection to a server comes about: TCP, TLS, service bind; and how an outage is told."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.error import ConnectError, TCPTimedOutError

from authbridge import client_tls
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.dialer import Dialer, Outages
from authbridge.ldap.faults import Fault
from authbridge.ldap.presets import PRESETS
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import REFUSED_REST, ServiceAccount
from authbridge.model import Reason
from tests.doubles import now
from tests.ldap import server as double
from tests.ldap.asking import HOST, PLAIN, rewrite
from tests.ldap.certificates import Authority
from tests.ldap.server import Mute, Network, bound, extended, goodbye, policy

SECRET = b"through-the-glass"
SERVICE = "cn=service,dc=example,dc=org"
SECONDS = 4


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


def test_what_keeps_us_from_all_servers_is_said_once(events):
    outages = Outages(clock := Network())
    servers = [Server(name, 636, True) for name in "abc"]
    refused = Fault(Reason.SERVICE_ACCOUNT_REFUSED, "a refuses bind_dn")
    for _ in range(3):
        for server in servers:
            outages.failed(server, refused)
            clock.advance(1)
    assert [event["log_level"].name for event in events] == ["critical"]
    found = outages.failed(servers[2], refused)
    assert found.words == "a refuses bind_dn, for 7 s now"
    outages.failed(servers[1], Fault(Reason.DIRECTORY_SILENT, "b is silent"))
    for server in servers:
        outages.works(server)
    levels = [event["log_level"].name for event in events]
    assert levels == ["critical", "error", "info", "info", "info"]
    outages.failed(servers[0], refused)
    assert events[-1]["words"] == refused.words


# --- connections ----------------------------------------------------------------------------------

AUTHORITY = Authority("ours")
CONTEXT = AUTHORITY.issue(HOST)


@pytest.fixture(scope="module")
def trust():
    return client_tls.make_context([client_tls.Certificate.loadPEM(AUTHORITY.pem)])


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def account(tmp_path, network):
    path = tmp_path / "password"
    rewrite(path, SECRET + b"\n")
    return ServiceAccount(SERVICE, path, network)


def dialer(network, context=None, account=None, preset=PLAIN):
    deadlines, outages = Deadlines(network, SECONDS), Outages(network)
    return Dialer(context, preset, deadlines, outages, network, account)


def connect(network, url=f"ldap://{HOST}", context=None, account=None):
    return dialer(network, context, account).connect(Server.parse(url))


def fault(deferred):
    with pytest.raises(Fault) as raised:
        now(deferred)
    return raised.value


def test_a_connection_is_quick_to_send_and_kept_alive(network):
    network.listen(HOST)
    connecting = connect(network)
    network.settle()
    connection = now(connecting)
    assert connection.transport.options == {"nodelay": True, "keepalive": True}
    assert connection.transport.socket.options == {
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 20,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 5,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 3,
    }
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
    connecting = connect(network)
    network.settle()
    found = fault(connecting)
    assert found.reason is Reason.DIRECTORY_UNREACHABLE
    assert found.words.startswith(f"ldap://{HOST}:389: {words}")


def test_a_name_that_nobody_has_is_unreachable(network):
    connecting = connect(network, "ldap://ldap.example.org")
    network.settle()
    found = fault(connecting)
    assert (found.reason, found.words) == (
        Reason.DIRECTORY_UNREACHABLE,
        "ldap://ldap.example.org:389: the name cannot be resolved",
    )


def test_a_name_is_connected_to_by_its_address(network):
    network.names["ldap.example.org"] = ["2001:db8::1", HOST]
    network.listen(HOST)
    connecting = connect(network, "ldap://ldap.example.org")
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
    connecting = connect(network, url, context=context, account=account)
    network.settle(SECONDS - 0.001)
    assert not connecting.called
    network.settle(0.001)
    assert fault(connecting).reason is Reason.DIRECTORY_SILENT
    assert all(attempt.over for attempt in network.attempts)
    assert network.open == []
    assert secure is False or SECRET not in network.carried


def test_who_gives_up_a_connection_leaves_nothing_of_it(network):
    silent_tcp(network)
    connecting = connect(network)
    connecting.addErrback(lambda failure: None).cancel()
    network.settle()
    assert network.attempts[0].over
    assert network.getDelayedCalls() == []


def test_who_gives_up_during_the_handshake_leaves_nothing_of_it(network, trust):
    silent_tls(network)
    failures = []
    connecting = connect(network, f"ldaps://{HOST}:389", context=trust)
    connecting.addErrback(failures.append)
    network.settle()
    connecting.cancel()
    network.settle()
    assert network.open == []
    assert [failure.type.__name__ for failure in failures] == ["CancelledError"]


def opened(network, trust):
    """A connection over TLS."""
    network.listen(HOST, tls=CONTEXT)
    connecting = connect(network, f"ldaps://{HOST}:389", context=trust)
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


# --- outages of a server --------------------------------------------------------------------------

FIRST, SECOND = (Server(host, 389, False) for host in ("192.0.2.1", "192.0.2.2"))


def test_an_outage_that_is_over_is_told_and_another_one_is_told_anew(network, events):
    dialing = dialer(network)
    for up in (False, False, True, True, False):
        network.places.clear()
        if up:
            network.listen(HOST)
        dialing.connect(FIRST).addErrback(lambda failure: None)
        network.settle(1)
    assert [event["log_level"].name for event in events] == ["error", "info", "error"]


def test_each_server_has_outages_of_its_own(network, events):
    network.listen(SECOND.host)
    dialing = dialer(network)
    for server in (FIRST, SECOND, FIRST, SECOND):
        dialing.connect(server).addErrback(lambda failure: None)
        network.settle(1)
    assert [event["words"] for event in events] == ["ldap://192.0.2.1:389: connection refused"]


# --- StartTLS -------------------------------------------------------------------------------------


def start_tls(network, trust, account, answer):
    """Connect to a server that answers StartTLS so; what came of it."""
    network.listen(HOST, answer=answer)
    connecting = connect(network, context=trust, account=account)
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
    connecting = connect(network, context=trust, account=account)
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


def service_bind(network, account, answer, preset=PLAIN):
    network.listen(HOST, answer=lambda _, request: answer(request))
    connecting = dialer(network, None, account, preset).connect(FIRST)
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
    found = fault(connect(network, "ldap://aa--bb.example", account=account))
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


def sub_code(data):
    """What Active Directory says with a refused bind."""
    return b"80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data " + data


@pytest.mark.parametrize(
    ("preset", "code", "text", "words"),
    [
        ("active-directory", 49, sub_code(b"775, v4563"), "(the account is locked)"),
        ("active-directory", 49, sub_code(b"532, v4563"), "(the password has expired)"),
        ("active-directory", 49, sub_code(b"52e, v4563"), "(the password is wrong)"),
        ("389", 49, b"password expired!", "(the password has expired)"),
        ("389", 19, b"Exceed password retry limit. Please try later.", "(the account is locked)"),
        ("389", 53, b"Account inactivated. Contact system administrator.", "is disabled)"),
        ("openldap", 8, b"", "(it wants TLS: ldaps://, or ldap:// with starttls = true)"),
        ("openldap", 32, b"", "(it is not there, or bind_dn may not see it)"),
    ],
)
def test_a_refusal_of_the_service_account_says_in_words_what_the_server_says_in_numbers(
    network, account, preset, code, text, words
):
    found = fault(
        service_bind(
            network, account, lambda request: bound(request.id, code, text), PRESETS[preset]
        )
    )
    assert f": {code} " in found.words
    assert words in found.words
    refused = found.reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert refused is (code == 49)


def test_where_a_server_reaches_nobody_who_knows_the_service_account_it_is_not_refused(
    network, account
):
    windows = PRESETS["active-directory"]
    for _ in range(2):
        found = fault(
            service_bind(
                network,
                account,
                lambda request: bound(request.id, 49, sub_code(b"51f, v4563")),
                windows,
            )
        )
        assert found.reason is Reason.DIRECTORY_FAILED
    assert [server.kinds for server in network.servers] == [["bind"], ["bind"]]


def test_a_service_account_that_was_refused_is_bound_at_no_other_server(network, account):
    for server in (FIRST, SECOND):
        network.listen(server.host, answer=lambda _, request: bound(request.id, 49))
    dialing = dialer(network, account=account)
    for server in (FIRST, SECOND, FIRST, SECOND):
        connecting = dialing.connect(server)
        network.settle()
        network.settle(10)
        assert fault(connecting).reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert [server.kinds for server in network.servers] == [["bind"]]
    rewrite(account.file, b"looking-glass")
    connecting = dialing.connect(FIRST)
    network.settle()
    fault(connecting)
    assert [server.last.password for server in network.servers] == [SECRET, b"looking-glass"]


def test_a_service_account_that_one_server_accepts_and_another_does_not_goes_on(network, account):
    network.listen(FIRST.host, answer=lambda _, request: bound(request.id))
    network.listen(SECOND.host, answer=lambda _, request: bound(request.id, 49))
    dialing = dialer(network, account=account)
    account.places.update((FIRST, SECOND))
    for _ in range(3):
        connecting = [dialing.connect(server) for server in (FIRST, SECOND)]
        network.settle(1)
        assert not now(connecting[0]).gone
        assert fault(connecting[1]).reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert len(network.servers) == 4  # three at the first, one at the second
    network.settle(REFUSED_REST)
    network.listen(SECOND.host, answer=lambda _, request: bound(request.id))
    connecting = dialing.connect(SECOND)
    network.settle()
    assert not now(connecting).gone


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


def test_service_binds_take_their_turns_and_one_refusal_is_enough(network, account):
    network.listen(HOST)
    connecting = [connect(network, account=account) for _ in range(3)]
    network.settle()
    assert [server.kinds for server in network.servers] == [["bind"], [], []]
    network.servers[0].say(bound(1, 49))
    network.settle()
    assert {fault(one).reason for one in connecting} == {Reason.SERVICE_ACCOUNT_REFUSED}
    assert [server.kinds for server in network.servers] == [["bind"], [], []]
    assert network.open == []


def test_before_the_password_was_accepted_two_servers_take_turns_and_afterwards_none_waits(
    network, account
):
    dialing = dialer(network, account=account)
    for server in (FIRST, SECOND):
        network.listen(server.host)
    connecting = [dialing.connect(server) for server in (FIRST, SECOND)]
    network.settle()
    assert [server.kinds for server in network.servers] == [["bind"], []]
    network.servers[0].say(bound(1))
    network.settle()
    assert [server.kinds for server in network.servers] == [["bind"], ["bind"]]
    network.servers[1].say(bound(1))
    network.settle()
    assert not any(now(one).gone for one in connecting)
    more = [dialing.connect(server) for server in (FIRST, SECOND, FIRST)]
    network.settle()
    assert [server.kinds for server in network.servers[2:]] == [["bind"], ["bind"], []]
    network.servers[3].say(bound(1))
    network.settle()
    assert [one.called for one in more] == [False, True, False]


def test_a_wrong_password_in_the_file_is_tried_once_though_others_wait_for_their_turns(
    network, account
):
    dialing = dialer(network, account=account)
    account.places.update((FIRST, SECOND))
    for server in (FIRST, SECOND):
        network.listen(server.host)
    dialing.connect(FIRST)
    network.settle()
    network.servers[0].say(bound(1))
    network.settle()
    for server in (FIRST, FIRST, SECOND, SECOND):  # two of them bind, and two wait
        dialing.connect(server).addErrback(lambda failure: None)
    network.settle()
    rewrite(account.file, b"wrong")
    for number in (1, 3):
        network.servers[number].say(bound(1))
    network.settle()
    assert network.carried.count(b"wrong") == 1


def test_service_binds_that_are_accepted_follow_each_other(network, account):
    network.listen(HOST, answer=lambda _, request: bound(request.id))
    connecting = [connect(network, account=account) for _ in range(3)]
    network.settle()
    assert not any(now(one).gone for one in connecting)


@pytest.mark.parametrize("end", ["cancelled", "silent", "lost"])
def test_a_service_bind_that_comes_to_nothing_gives_its_turn_away(network, account, end):
    network.listen(HOST)
    first = connect(network, account=account).addErrback(lambda failure: None)
    network.settle(1)
    network.listen(HOST, answer=lambda _, request: bound(request.id))
    second = connect(network, account=account)
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
    first = connect(network, account=account)
    second = connect(network, account=account)
    network.settle()
    network.servers[1].transport.peer.drop()
    network.servers[0].say(bound(1))
    network.settle()
    assert not now(first).gone
    assert fault(second).reason is Reason.DIRECTORY_UNREACHABLE


def test_who_gives_up_waiting_for_a_turn_binds_nobody(network, account):
    network.listen(HOST)
    connect(network, account=account)
    network.settle()
    second = connect(network, account=account)
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
    connecting = connect(network, account=account)
    assert fault(connecting).reason is Reason.SERVICE_ACCOUNT_REFUSED
    assert network.attempts == []


def test_a_server_is_reached_for_a_probe_without_a_word_in_the_log(network, events):
    network.listen(SECOND.host)
    dialing = dialer(network)
    reaching = [dialing.reach(server) for server in (FIRST, SECOND)]
    network.settle()
    assert fault(reaching[0]).reason is Reason.DIRECTORY_UNREACHABLE
    assert now(reaching[1]).server == "ldap://192.0.2.2:389"
    assert events == []


def test_without_its_password_a_probe_is_refused_at_once(network, account):
    account.file.unlink()
    with pytest.raises(Fault):
        dialer(network, account=account).reach(FIRST)
