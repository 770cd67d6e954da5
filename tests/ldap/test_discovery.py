"""Servers that DNS knows: which of them count, in which order, and when they are looked up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.names import dns, error

from authbridge.ldap import discovery
from authbridge.ldap.discovery import Discovery, Record, Service, ask_dns, in_order, name_servers
from authbridge.ldap.faults import Fault
from authbridge.ldap.server import ServerMistake
from authbridge.model import Reason
from tests.doubles import now
from tests.ldap import name_server
from tests.ldap.server import Network

ROOT = Path(__file__).parents[2]
TIMEOUT = 4.0
WAITING = 5
SILENT, LOST = Reason.DIRECTORY_SILENT, Reason.DIRECTORY_UNREACHABLE


# --- what is looked up ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "domain", "ldaps"),
    [
        ("srv:example.org", "_ldap._tcp.example.org", "example.org", False),
        ("srv:Example.ORG.", "_ldap._tcp.example.org", "example.org", False),
        ("srv:_ldap._tcp.example.org", "_ldap._tcp.example.org", "example.org", False),
        ("srv:_ldaps._tcp.example.org", "_ldaps._tcp.example.org", "example.org", True),
        (
            "srv:_ldap._tcp.Berlin._sites.dc._msdcs.ad.example.org",
            "_ldap._tcp.berlin._sites.dc._msdcs.ad.example.org",
            "ad.example.org",
            False,
        ),
        (
            "srv:_ldaps._tcp.new-york._sites.example.org",
            "_ldaps._tcp.new-york._sites.example.org",
            "example.org",
            True,
        ),
    ],
)
def test_a_service_is_a_domain_with_or_without_the_labels_of_the_service(text, name, domain, ldaps):
    service = Service.parse(text)
    assert (service.name, service.domain, service.ldaps) == (name, domain, ldaps)
    assert str(service) == f"srv:{name}"
    assert Service.parse(str(service)) == service


@pytest.mark.parametrize(
    "text",
    [
        "srv:", "srv:.", "srv: ", "srv:_ldap._tcp.", "srv:_ldap._tcp",
        "srv:_kerberos._tcp.a.example",
        "srv:_ldap._udp.a.example", "srv:ldap://a.example", "srv:a.example/dc=x", "srv:a..example",
        "srv:-a.example", "srv:a b.example", "srv:user@a.example", "srv:192.0.2.1", "srv:10",
        "srv:2001:db8::1", "srv:a_b.example", "srv:a.example?x", "srv:a.example#x",
        "srv:" + "a" * 64 + ".example", "srv:_ldap._tcp.192.0.2.1",
        "srv:a.example:389", "srv:a.example/", "srv:[::1]", "srv:org", "srv:localdomain",
        "srv:_ldap._tcp.org",
    ],
)  # fmt: skip
def test_what_names_no_domain_is_a_mistake(text):
    with pytest.raises(ServerMistake, match="names no domain"):
        Service.parse(text)


# --- an office that looks up ----------------------------------------------------------------------


def record(target, priority=0, weight=0, *, port=389, ttl=600):
    return Record(priority, weight, port, target, ttl)


class Office:
    """A discovery, and a DNS that the test speaks for."""

    def __init__(self, service="srv:example.org", chance=lambda: 0.0):
        self.clock = Clock()
        self.asked = []
        self.looking = []
        self.found = []
        self.discovery = Discovery(
            Service.parse(service), self.lookup, self.took, TIMEOUT, WAITING, self.clock, chance
        )

    def lookup(self, name):
        self.asked.append((self.clock.seconds(), name))
        self.looking.append(Deferred())
        return self.looking[-1]

    def took(self, servers):
        self.found.append([str(server) for server in servers])

    def ready(self):
        """A list that gets what comes of waiting; None where there is nothing to wait for."""
        waiting = self.discovery.ready()
        if waiting is None:
            return None
        results = []
        waiting.addBoth(results.append)
        return results

    def answer(self, *records):
        self.looking[-1].callback(list(records))

    def fail(self, error):
        self.looking[-1].errback(error)

    @property
    def times(self):
        return [seconds for seconds, _ in self.asked]


@pytest.fixture
def office():
    return Office()


def test_who_finds_the_line_full_is_told_at_once_and_the_others_go_on_waiting(office):
    waiting = [office.ready() for _ in range(WAITING)]
    with pytest.raises(Fault) as raised:
        office.ready()
    assert raised.value.reason is Reason.OVERLOADED
    assert waiting == [[]] * WAITING
    office.answer(record("dc1.example.org"))
    assert waiting == [[None]] * WAITING


def of(results):
    """The fault that came of waiting."""
    (failure,) = results
    assert failure.check(Fault), failure
    return failure.value


def refusal(office):
    """The fault at once."""
    with pytest.raises(Fault) as raised:
        office.discovery.ready()
    return raised.value


# --- looking --------------------------------------------------------------------------------------


def test_nothing_is_looked_up_before_somebody_asks(office):
    office.clock.advance(100_000)
    assert office.asked == []
    assert office.clock.getDelayedCalls() == []


def test_whoever_asks_first_waits_for_the_servers_and_the_others_with_him(office):
    waiting = [office.ready() for _ in range(3)]
    assert office.asked == [(0, "_ldap._tcp.example.org")]
    assert waiting == [[], [], []]
    office.answer(record("dc1.example.org"))
    assert waiting == [[None]] * 3
    assert office.found == [["ldap://dc1.example.org:389"]]
    assert office.ready() is None
    assert office.clock.getDelayedCalls() == []


def test_an_answer_that_is_there_already_is_not_waited_for(office):
    office.discovery._lookup = lambda name: succeed([record("dc1.example.org")])
    assert office.ready() is None
    assert len(office.found) == 1


def test_who_leaves_does_not_take_the_others_along(office):
    waiting = [office.discovery.ready() for _ in range(3)]
    results = []
    waiting[1].addErrback(lambda failure: results.append(failure.type))
    waiting[1].cancel()
    assert results == [CancelledError]
    office.answer(record("dc1.example.org"))
    assert [now(waiting[0]), now(waiting[2])] == [None, None]
    assert results == [CancelledError]


def test_who_is_told_may_make_others_leave(office):
    first, *others = [office.discovery.ready() for _ in range(4)]
    left = []
    for one in others[:2]:
        one.addErrback(lambda failure: left.append(failure.type))
    first.addCallback(lambda _: [one.cancel() for one in others[:2]])
    office.answer(record("dc1.example.org"))
    assert left == [CancelledError] * 2
    assert now(others[2]) is None


def test_who_leaves_does_not_end_the_lookup(office):
    waiting = office.discovery.ready()
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    office.answer(record("dc1.example.org"))
    assert office.ready() is None
    assert len(office.asked) == 1


def test_the_scheme_is_that_of_the_service_and_the_port_that_of_the_record():
    for service, server in (
        ("srv:example.org", "ldap://dc1.example.org:1389"),
        ("srv:_ldaps._tcp.example.org", "ldaps://dc1.example.org:1389"),
    ):
        office = Office(service)
        office.ready()
        office.answer(record("dc1.example.org", port=1389))
        assert office.found == [[server]]


# --- who counts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["DC1.Example.ORG", "dc1.example.org.", "dc1.example.org"])
def test_a_name_in_the_domain_counts_however_it_is_spelled(office, target):
    office.ready()
    office.answer(record(target))
    assert office.found == [["ldap://dc1.example.org:389"]]


@pytest.mark.parametrize("target", ["example.org", "a.b.c.example.org"])
def test_the_domain_itself_and_what_lies_deep_in_it_count(office, target):
    office.ready()
    office.answer(record(target))
    assert office.found == [[f"ldap://{target}:389"]]


STRANGERS = [
    "dc1.example.net", "evilexample.org", "example.org.evil.example", "org", "192.0.2.1", "::1",
    "dc1@evil.example", "evil.example/.example.org", "evil.example#.example.org",
    "evil.example:389/.example.org", "evil.example?.example.org", "a..example.org",
    "-dc1.example.org", "dc 1.example.org", "dc1\x1b.example.org", "dc\ufffd.example.org",
    "x" * 64 + ".example.org", "[::1",
]  # fmt: skip


@pytest.mark.parametrize("target", STRANGERS)
def test_a_name_outside_of_the_domain_is_not_asked_and_the_log_says_so(office, events, target):
    waiting = office.ready()
    office.answer(record("dc1.example.org"), record(target))
    assert waiting == [None]
    assert office.found == [["ldap://dc1.example.org:389"]]
    warnings = [event for event in events if event["log_level"].name == "warn"]
    assert [event["domain"] for event in warnings] == ["example.org"]
    assert "\x1b" not in warnings[0]["names"]


@pytest.mark.parametrize("target", STRANGERS)
def test_where_all_are_outside_of_the_domain_nobody_is_asked(office, target):
    waiting = office.ready()
    office.answer(record(target))
    fault = of(waiting)
    assert fault.reason is LOST
    assert fault.words.startswith("srv:_ldap._tcp.example.org: ")
    assert office.found == []


def test_what_was_found_is_told_in_words(office):
    assert office.discovery.found == ""
    office.ready()
    office.answer(record("dc1.example.org"), record("dc2.example.org", 1))
    assert office.discovery.found == (
        "srv:_ldap._tcp.example.org: ldap://dc1.example.org:389 ldap://dc2.example.org:389"
    )
    office.clock.advance(600)
    office.ready()
    office.answer(record("dc1.example.org"), record("dc1\x1b.example.net", 1))
    assert office.discovery.found == (
        "srv:_ldap._tcp.example.org: ldap://dc1.example.org:389; outside of example.org, not "
        "asked: dc1 .example.net"
    )


def test_a_service_in_a_part_of_the_domain_keeps_to_what_the_configuration_names():
    office = Office("srv:_ldap._tcp.berlin._sites.ad.example.org")
    office.ready()
    office.answer(record("dc1.example.org"), record("dc2.ad.example.org", 1))
    assert office.found == [["ldap://dc2.ad.example.org:389"]]


NOBODY = {
    "the root": record("."),
    "the root, as Twisted has it": record(""),
    "no port": record("dc2.example.org", port=0),
}


@pytest.mark.parametrize("nobody", NOBODY.values(), ids=NOBODY)
def test_a_server_that_is_said_not_to_be_there_is_left_out_without_a_word(office, events, nobody):
    office.ready()
    office.answer(record("dc1.example.org"), nobody)
    assert office.found == [["ldap://dc1.example.org:389"]]
    assert [event["log_level"].name for event in events] == ["info"]
    assert "outside" not in office.discovery.found


@pytest.mark.parametrize("nobody", NOBODY.values(), ids=NOBODY)
def test_a_service_that_is_said_not_to_be_there_has_no_servers(office, nobody):
    waiting = office.ready()
    office.answer(nobody)
    assert of(waiting).reason is LOST
    assert of(waiting).words == "srv:_ldap._tcp.example.org: DNS has no servers for it"


def test_a_server_that_is_there_twice_is_one(office):
    office.ready()
    office.answer(
        record("dc1.example.org", 1), record("DC1.example.org", 0), record("dc2.example.org", 2)
    )
    assert office.found == [["ldap://dc1.example.org:389", "ldap://dc2.example.org:389"]]


# --- the order ------------------------------------------------------------------------------------


def test_lower_priorities_come_first_whatever_the_weights(office):
    office.ready()
    office.answer(
        record("c.example.org", 20, 100), record("a.example.org", 0, 1), record("b.example.org", 10)
    )
    assert office.found == [[f"ldap://{name}.example.org:389" for name in "abc"]]


def test_among_equals_the_first_is_drawn_in_the_proportion_of_weights():
    chance = random.Random(7).random
    given = [record(name, 0, weight) for name, weight in (("a", 10), ("b", 30), ("c", 60))]
    drawn = [tuple(one.target for one in in_order(given, chance)) for _ in range(20_000)]
    first = Counter(order[0] for order in drawn)
    assert first["a"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert first["b"] / 20_000 == pytest.approx(0.3, abs=0.015)
    assert first["c"] / 20_000 == pytest.approx(0.6, abs=0.015)
    second = Counter(order[1] for order in drawn if order[0] == "c")
    assert second["b"] / first["c"] == pytest.approx(0.75, abs=0.015)


def test_without_weight_one_comes_behind_those_that_have_some():
    chance = random.Random(7).random
    given = [record("none", 0, 0), record("some", 0, 1)]
    drawn = Counter(in_order(given, chance)[0].target for _ in range(1000))
    assert drawn == {"some": 1000}
    assert [one.target for one in in_order(given[::-1], lambda: 0.0)] == ["none", "some"]  # hardly


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999999, 1.0, 1.5])
def test_whatever_the_chance_each_record_is_there_once(chance):
    given = [record(str(n), n % 3, n % 5) for n in range(30)]
    ordered = in_order(given, lambda: chance)
    assert sorted(ordered) == sorted(given)
    assert [one.priority for one in ordered] == sorted(one.priority for one in given)


def test_no_records_are_in_no_order():
    assert in_order([], lambda: 0.0) == []


# --- looking again --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ttls", "seconds"),
    [((600,), 600), ((600, 300, 900), 300), ((0,), 30), ((29,), 30), ((86400,), 3600)],
)
def test_records_are_looked_up_again_when_the_first_of_them_is_old(office, ttls, seconds):
    office.ready()
    office.answer(*(record(f"dc{n}.example.org", ttl=ttl) for n, ttl in enumerate(ttls)))
    office.clock.advance(seconds - 1)
    assert office.ready() is None
    assert office.times == [0]
    office.clock.advance(1)
    assert office.ready() is None  # in the background
    assert office.times == [0, seconds]
    for _ in range(3):
        assert office.ready() is None
    assert len(office.asked) == 2


def test_other_records_are_told_and_the_same_ones_keep_their_order():
    chances = iter([0.9, *[0.0] * 100])
    office = Office(chance=lambda: next(chances))
    equals = [record("a.example.org", 0, 1), record("b.example.org", 0, 1)]
    office.ready()
    office.answer(*equals)
    order = [["ldap://b.example.org:389", "ldap://a.example.org:389"]]
    assert office.found == order
    for ttl in (600, 30):
        office.clock.advance(600)
        office.ready()
        office.answer(*(one._replace(ttl=ttl) for one in reversed(equals)))
        assert office.found == order
    office.clock.advance(600)
    office.ready()
    office.answer(record("c.example.org"))
    assert office.found == [*order, ["ldap://c.example.org:389"]]


@pytest.mark.parametrize("fault", ["fails", "is silent", "has strangers", "has nobody"])
def test_servers_are_kept_where_dns_fails_later_and_it_is_asked_again_soon(office, events, fault):
    office.ready()
    office.answer(record("dc1.example.org"))
    for _ in range(3):
        office.clock.advance(600)
        assert office.ready() is None
        if fault == "fails":
            office.fail(error.DNSServerError())
        elif fault == "is silent":
            office.clock.advance(TIMEOUT)
        elif fault == "has strangers":
            office.answer(record("dc1.example.net"))
        else:
            office.answer()
        assert office.ready() is None
    assert len(office.found) == 1
    assert len([event for event in events if event["log_level"].name == "error"]) == 1
    asked = len(office.asked)
    office.clock.advance(29)
    office.ready()
    assert len(office.asked) == asked
    office.clock.advance(1)
    assert office.ready() is None
    office.answer(record("dc2.example.org"))
    assert office.found[1:] == [["ldap://dc2.example.org:389"]]


# --- faults ---------------------------------------------------------------------------------------

FAILURES = {
    "NXDOMAIN": (error.DNSNameError(), "DNS has no such name"),
    "SERVFAIL": (error.DNSServerError(), "DNS answers DNSServerError"),
    "REFUSED": (error.DNSQueryRefusedError(), "DNS answers DNSQueryRefusedError"),
    "no name server": (OSError("none"), "/etc/resolv.conf: there is no name server in it"),
    "no resolv.conf": (
        FileNotFoundError(2, "no"),
        "/etc/resolv.conf: there is no name server in it",
    ),
    "anything else": (ZeroDivisionError(), "DNS cannot answer"),
}


@pytest.mark.parametrize(("failure", "words"), FAILURES.values(), ids=FAILURES)
def test_whoever_waits_is_told_what_dns_says(office, failure, words):
    waiting = [office.ready() for _ in range(2)]
    office.fail(failure)
    for one in waiting:
        fault = of(one)
        assert fault.reason is LOST
        assert fault.words == f"srv:_ldap._tcp.example.org: {words}"


@pytest.mark.parametrize("failure", [defer.TimeoutError(), error.DNSQueryTimeoutError([1])])
def test_a_time_out_of_dns_itself_is_silence(office, failure):
    waiting = office.ready()
    office.fail(failure)
    assert of(waiting).reason is SILENT
    assert of(waiting).words == "srv:_ldap._tcp.example.org: DNS gave no answer"


@pytest.mark.parametrize("when", ["before there are servers", "later"])
def test_a_bug_while_looking_is_logged_and_not_for_ever(office, events, when):
    lookup, again = office.discovery._lookup, 1
    if when == "later":
        office.ready()
        office.answer(record("dc1.example.org"))
        office.clock.advance(600)
        events.clear()
        again = 30
    office.discovery._lookup = lambda name: 1 / 0
    if when == "later":
        assert office.ready() is None
    else:
        fault = refusal(office)
        assert (fault.reason, fault.words) == (Reason.INTERNAL_ERROR, "a fault in authbridge")
    assert events[0]["log_failure"].check(ZeroDivisionError)
    office.discovery._lookup = lookup
    office.clock.advance(again)
    office.ready()
    office.answer(record("dc2.example.org"))
    assert office.found[-1:] == [["ldap://dc2.example.org:389"]]
    assert office.ready() is None


def test_a_bug_in_what_was_answered_is_told_to_who_waits(office, events):
    waiting = office.ready()
    office.looking[-1].callback([None])
    assert of(waiting).reason is Reason.INTERNAL_ERROR
    assert events[0]["log_failure"].check(AttributeError)
    office.clock.advance(1)
    waiting = office.ready()
    office.answer(record("dc1.example.org"))
    assert waiting == [None]


def test_a_bug_of_who_is_told_of_servers_is_told_to_who_waits_and_not_for_ever(office, events):
    def broken(servers):
        raise ZeroDivisionError

    office.discovery._found = broken
    waiting = office.ready()
    office.answer(record("dc1.example.org"))
    assert of(waiting).reason is Reason.INTERNAL_ERROR
    assert [event["log_failure"].type for event in events if "log_failure" in event] == [
        ZeroDivisionError,
    ]
    office.discovery._found = office.took
    office.clock.advance(1)
    waiting = office.ready()
    office.answer(record("dc1.example.org"))
    assert waiting == [None]
    assert office.found == [["ldap://dc1.example.org:389"]]


def test_a_domain_without_servers_is_a_fault(office):
    waiting = office.ready()
    office.answer()
    assert of(waiting).words == "srv:_ldap._tcp.example.org: DNS has no servers for it"


def test_a_fault_of_the_lookup_is_passed_on(office):
    waiting = office.ready()
    office.fail(Fault(Reason.INTERNAL_ERROR, "its own words"))
    assert (of(waiting).reason, of(waiting).words) == (Reason.INTERNAL_ERROR, "its own words")


def test_a_dns_that_is_silent_is_given_up_in_time(office):
    waiting = office.ready()
    office.clock.advance(TIMEOUT - 0.001)
    assert waiting == []
    office.clock.advance(0.001)
    fault = of(waiting)
    assert fault.reason is SILENT
    assert fault.words == "srv:_ldap._tcp.example.org: DNS gave no answer"
    assert office.clock.getDelayedCalls() == []


def test_each_who_waits_has_a_fault_of_his_own(office):
    """It would keep the frames of each in its traceback."""
    waiting = [office.ready() for _ in range(2)]
    office.fail(error.DNSServerError())
    assert of(waiting[0]) is not of(waiting[1])
    assert refusal(office) is not refusal(office)


def test_for_a_second_nobody_waits_for_what_has_just_failed_and_then_it_is_tried_again(office):
    waiting = office.ready()
    office.fail(error.DNSServerError())
    assert of(waiting).words == refusal(office).words
    office.clock.advance(0.999)
    refusal(office)
    assert office.times == [0]
    office.clock.advance(0.001)
    waiting = office.ready()
    assert office.times == [0, 1]
    office.answer(record("dc1.example.org"))
    assert waiting == [None]
    assert office.ready() is None


def test_a_lookup_that_fails_at_once_is_told_at_once(office):
    office.discovery._lookup = lambda name: defer.fail(error.DNSNameError())
    assert refusal(office).words.endswith("DNS has no such name")


def test_one_outage_of_dns_is_one_line_and_another_one_another(office, events):
    for failure in (error.DNSServerError(), error.DNSServerError(), error.DNSNameError()):
        assert office.ready() == []
        office.fail(failure)
        office.clock.advance(1)
    assert [event["words"].partition(": ")[2] for event in events] == [
        "DNS answers DNSServerError", "DNS has no such name",
    ]  # fmt: skip
    waiting = office.ready()
    office.answer(record("dc1.example.org"))
    assert waiting == [None]
    office.clock.advance(600)
    office.ready()
    office.fail(error.DNSNameError())
    levels = [event["log_level"].name for event in events]
    assert levels == ["error", "error", "info", "error"]
    assert events[2]["servers"] == "ldap://dc1.example.org:389"


def test_a_stop_ends_a_lookup_without_a_word(office, events):
    waiting, ended = office.ready(), []
    office.looking[-1].addErrback(lambda failure: ended.append(failure.type))
    office.discovery.stop()
    assert ended == []  # the discovery has had it before us
    assert office.looking[-1].called
    assert waiting == []  # whose login ends with the daemon
    assert events == []
    assert office.clock.getDelayedCalls() == []
    office.discovery.stop()


def test_a_stop_while_nothing_is_looked_up_is_none(office, events):
    office.discovery.stop()
    office.ready()
    office.answer(record("dc1.example.org"))
    office.discovery.stop()
    assert office.ready() is None
    assert [event["log_level"].name for event in events] == ["info"]


# --- DNS itself -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers():
    """What a name server on loopback answers; see name_server."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.ldap.name_server"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def test_a_record_of_a_real_name_server_is_read(answers):
    assert answers["one"] == [[1, 100, 389, "dc1.one.test", 600]]


def test_only_records_of_the_service_are_read(answers):
    assert answers["two"] == [[2, 100, 389, "dc2.two.test", 30], [1, 100, 389, "dc1.two.test", 7]]


def test_a_service_that_is_decidedly_not_there_is_the_root(answers):
    assert answers["root"] == [[0, 0, 0, "", 600]]


def test_an_answer_that_is_too_long_for_a_datagram_comes_over_tcp_and_leaves_no_connection(answers):
    assert len(answers["long"]) == name_server.LONG
    assert answers["streams"] == 1


@pytest.mark.parametrize(
    ("zone", "answer"),
    [
        ("nobody", "DNSNameError"),
        ("broken", "DNSServerError"),
        ("silent", "TimeoutError"),
        ("empty", []),
    ],
)
def test_an_answer_that_is_none_is_what_it_is(answers, zone, answer):
    assert answers[zone] == answer


def test_where_the_first_name_server_is_silent_the_second_is_asked(answers):
    assert answers["second"] == answers["one"]


def test_the_machines_name_servers_are_read_each_time(tmp_path, monkeypatch):
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(discovery, "RESOLV_CONF", file)
    file.write_text(
        "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\n"
        "  nameserver\t2001:db8::1  \nnameserver nobody\noptions timeout:1\n"
    )
    assert name_servers() == [("192.0.2.1", 53), ("2001:db8::1", 53)]
    file.write_text("nameserver 192.0.2.2")
    assert name_servers() == [("192.0.2.2", dns.PORT)]


@pytest.mark.parametrize("content", [None, "", "search example.org\n"])
def test_without_a_name_server_the_lookup_fails_at_once(tmp_path, monkeypatch, content):
    monkeypatch.setattr(discovery, "RESOLV_CONF", tmp_path / "resolv.conf")
    if content is not None:
        (tmp_path / "resolv.conf").write_text(content)
    with pytest.raises(OSError, match=r"no name server|No such file"):
        now(ask_dns(Network())("_ldap._tcp.example.org"))
