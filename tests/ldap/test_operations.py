"""Operations and who waits for them."""

from __future__ import annotations

import gc
import traceback

import pytest
from twisted.internet.defer import CancelledError

from authbridge.ldap import codec, ppolicy
from authbridge.ldap.ber import Malformed
from authbridge.ldap.codec import Inbox
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import (
    Bind,
    Conversation,
    Extended,
    LastBind,
    Operation,
    Probe,
    Search,
    Write,
)
from authbridge.ldap.ppolicy import Error, Policy
from authbridge.model import Reason
from tests.doubles import now
from tests.ldap import server
from tests.ldap.asking import Asked, Line
from tests.ldap.server import bound, done, entry, policy, reference

PASSWORD = b"a password of this test alone"
SILENT = Fault(Reason.DIRECTORY_SILENT, "no answer")


class Carrier:
    """Keeps what it is given."""

    def __init__(self):
        self.submitted, self.withdrawn = [], []

    def submit(self, operation):
        self.submitted.append(operation)

    def withdraw(self, operation):
        self.withdrawn.append(operation)


class Refuser(Carrier):
    """Has no room."""

    def submit(self, operation):
        operation.fail(SILENT)


@pytest.fixture
def carrier():
    return Carrier()


def reply(octets):
    (one,) = Inbox().feed(octets)
    return one


# --- conversations --------------------------------------------------------------------------------


def test_a_conversation_goes_on_with_each_result_and_ends_with_its_own(carrier):
    async def talk():
        first = await Bind(b"one", carrier)
        second = await Bind(b"two", carrier)
        return first.request, second.request, "end"

    outcome = Conversation(talk()).outcome
    for expected in (b"one", b"two"):
        assert not outcome.called
        assert carrier.submitted[-1].request == expected
        carrier.submitted[-1].finish()
    assert now(outcome) == (b"", b"", "end")
    assert len(carrier.submitted) == 2


def test_a_conversation_that_asks_nothing_has_ended_at_once():
    async def talk():
        return 7

    assert now(Conversation(talk()).outcome) == 7


def test_a_fault_is_raised_where_it_was_awaited(carrier):
    async def talk():
        try:
            await Bind(b"one", carrier)
        except Fault as fault:
            return fault
        return None

    outcome = Conversation(talk()).outcome
    carrier.submitted[0].fail(SILENT)
    found = now(outcome)
    assert (found.reason, found.words) == (SILENT.reason, SILENT.words)


def test_a_fault_that_ends_many_keeps_nothing_of_theirs():
    """It would keep the frames of each in its traceback, and the passwords in them."""
    for _ in range(3):
        Asked(Bind(b"one", Refuser()))
    assert SILENT.__traceback__ is None


def test_a_fault_that_nobody_takes_is_the_outcome():
    assert Asked(Bind(b"one", Refuser())).fault.words == SILENT.words


def test_a_bug_is_the_outcome_too(carrier):
    async def talk():
        await Bind(b"one", carrier)
        raise ZeroDivisionError

    outcome = Conversation(talk()).outcome
    carrier.submitted[0].finish()
    with pytest.raises(ZeroDivisionError):
        now(outcome)


def test_many_that_fail_at_once_in_a_row_do_not_pile_up():
    async def talk():
        failures = 0
        for _ in range(200):
            try:
                await Bind(b"one", Refuser())
            except Fault:
                failures += 1
        return failures

    assert now(Conversation(talk()).outcome) == 200


def test_cancelling_withdraws_what_is_under_way_and_runs_what_comes_finally(carrier):
    ended = []

    async def talk():
        try:
            await Bind(b"one", carrier)
        finally:
            ended.append(True)

    outcome = Conversation(talk()).outcome
    outcome.cancel()
    (operation,) = carrier.submitted
    assert carrier.withdrawn == [operation]
    assert ended == [True]
    with pytest.raises(CancelledError):
        now(outcome)
    operation.finish()  # too late
    operation.fail(SILENT)


def test_what_has_ended_is_not_withdrawn(carrier):
    asked = Asked(Bind(b"one", carrier))
    carrier.submitted[0].finish()
    asked.cancel()
    assert carrier.withdrawn == []
    asked = Asked(Bind(b"two", carrier))
    carrier.submitted[1].ended = True
    asked.cancel()
    assert asked.cancelled
    assert carrier.withdrawn == []


def test_an_operation_that_nobody_awaits_may_end():
    for end in (lambda one: one.finish(), lambda one: one.fail(SILENT)):
        operation = Bind(b"x", Carrier())
        end(operation)
        assert operation.ended


# --- replies --------------------------------------------------------------------------------------


def test_a_bind_takes_its_result_and_its_policy(carrier):
    bind = Bind(b"", carrier)
    assert bind.take(reply(bound(1, 49, b"no", policy(error=1))))
    assert (bind.result.code, bind.policy) == (49, Policy(Error.ACCOUNT_LOCKED, None, None))
    assert bind.take(reply(bound(1)))
    assert bind.policy is None


def test_a_bind_whose_policy_is_odd_is_malformed(carrier):
    control = server.tlv(0x30, server.tlv(4, server.PPOLICY), server.tlv(4, b"\x31\x00"))
    with pytest.raises(Malformed):
        Bind(b"", carrier).take(reply(bound(1, 0, b"", control)))


@pytest.mark.parametrize("code", [0, 19, 49, 53])
def test_a_refused_bind_is_the_last_where_a_server_may_end_its_connection(carrier, code):
    for kind in (Bind, LastBind):
        line = Line()
        asked = Asked(kind(codec.bind_request(b"uid=a", PASSWORD), line.carrier))
        line.network.settle()
        line.say(bound(1, code, b"", policy(error=1)))
        assert asked.code == code
        assert asked.operation.policy == Policy(Error.ACCOUNT_LOCKED, None, None)
        assert line.connection.retiring is (kind is LastBind and code != 0)
    unsent = LastBind(b"", carrier)
    assert unsent.take(reply(bound(1, code)))


def test_a_search_takes_entries_until_its_result(carrier):
    search = Search(b"", carrier, 2)
    assert not search.take(reply(entry(1, b"uid=a")))
    assert not search.take(reply(reference(1)))
    assert not search.take(reply(entry(1, b"uid=b")))
    assert search.take(reply(done(1, 4)))
    assert [found.dn for found in search.entries] == [b"uid=a", b"uid=b"]
    assert search.result.code == 4


def test_a_search_that_is_asked_again_begins_anew(carrier):
    search = Search(b"request", carrier, 1)
    for _ in range(2):
        for _ in range(100):
            assert not search.take(reply(reference(1)))
        for _ in range(101):
            assert not search.take(reply(entry(1, b"uid=a")))
        search.reset()
    assert search.repeated
    assert search.entries == []
    assert search.request == b"request"


OF_A_BIND, OF_A_SEARCH, OF_STARTTLS = bound(1), done(1), server.extended(1)


@pytest.mark.parametrize(
    ("kind", "octets"),
    [
        *((Bind, octets) for octets in (OF_A_SEARCH, OF_STARTTLS, entry(1, b"x"), reference(1))),
        *((Search, octets) for octets in (OF_A_BIND, OF_STARTTLS)),
        *((Extended, octets) for octets in (OF_A_BIND, OF_A_SEARCH, entry(1, b"x"), reference(1))),
        *((Probe, octets) for octets in (OF_A_BIND, OF_STARTTLS)),
    ],
)
def test_the_answer_to_another_kind_of_request_is_malformed(carrier, kind, octets):
    if kind is Probe:
        operation = Probe(carrier)
    else:
        operation = Search(b"", carrier, 2) if kind is Search else kind(b"", carrier)
    with pytest.raises(Malformed, match="answers another request"):
        operation.take(reply(octets))


def test_entries_beyond_the_limit_are_left_out_and_a_hundred_and_one_are_malformed(carrier):
    """Samba has no ear for size limits."""
    search = Search(b"", carrier, 2)
    for number in range(2 + 100):
        assert not search.take(reply(entry(1, b"uid=%d" % number)))
    assert [found.dn for found in search.entries] == [b"uid=0", b"uid=1"]
    with pytest.raises(Malformed, match="no end of entries"):
        search.take(reply(entry(1, b"uid=x")))


def test_a_search_may_bear_more_that_was_not_asked_for(carrier):
    search = Search(b"", carrier, 1, 150)
    for _ in range(1 + 150):
        assert not search.take(reply(entry(1, b"uid=a")))
    with pytest.raises(Malformed, match="no end of entries"):
        search.take(reply(entry(1, b"uid=x")))


@pytest.mark.parametrize(
    ("found", "code", "cut"), [(0, 0, False), (2, 0, False), (2, 4, True), (3, 0, True)]
)
def test_a_search_knows_whether_there_is_more_than_was_asked_for(carrier, found, code, cut):
    search = Search(b"", carrier, 2)
    for _ in range(found):
        search.take(reply(entry(1, b"uid=a")))
    search.take(reply(done(1, code)))
    assert search.cut is cut


def test_what_was_cut_before_it_was_asked_again_does_not_count(carrier):
    search = Search(b"", carrier, 1)
    for _ in range(3):
        search.take(reply(entry(1, b"uid=a")))
    search.reset()
    search.take(reply(entry(1, b"uid=a")))
    search.take(reply(done(1)))
    assert not search.cut


def test_a_hundred_references_are_ignored_and_one_more_is_malformed(carrier):
    search = Search(b"", carrier, 1)
    for _ in range(100):
        assert not search.take(reply(reference(1)))
    with pytest.raises(Malformed, match="no end of references"):
        search.take(reply(reference(1)))


def test_only_searches_are_repeated_and_only_they_share():
    others = (Bind, LastBind, Extended, Write, Probe)
    assert (Search.repeatable, Search.exclusive) == (True, False)
    assert {(kind.repeatable, kind.exclusive) for kind in others} == {(False, True)}


def test_a_probe_asks_for_no_attribute_of_the_root(carrier):
    request = server.read_request(codec.message(1, Probe(carrier).request))
    assert (request.kind, request.name, request.scope) == ("search", b"", 0)
    assert (request.filter, request.attributes) == (("present", b"objectClass"), (b"1.1",))
    assert request.limits == (1, 1)


@pytest.mark.parametrize("code", [0, 1, 10, 32, 50, 51, 53])
def test_a_probe_takes_any_result_and_whatever_is_found(carrier, code):
    probe = Probe(carrier)
    for _ in range(3):
        assert not probe.take(reply(entry(1, b"")))
        assert not probe.take(reply(reference(1)))
    assert probe.take(reply(done(1, code)))
    assert probe.result.code == code


@pytest.mark.parametrize("kind", [codec.MODIFY_RESPONSE, codec.ADD_RESPONSE, codec.DELETE_RESPONSE])
def test_a_change_takes_the_result_of_its_own_kind_and_its_policy(carrier, kind):
    write = Write(b"", carrier, kind)
    assert write.take(reply(server.reply(1, server.result(kind, 19, b"no"), policy(error=8))))
    assert write.result.code == 19
    assert write.policy == Policy(Error.PASSWORD_IN_HISTORY, None, None)
    with pytest.raises(Malformed, match="answers another request"):
        write.take(reply(bound(1)))


def test_an_operation_waits_for_a_slow_server_unless_it_is_told_of_another(carrier):
    assert Bind(b"", carrier).patient


def test_an_operation_of_no_kind_takes_nothing(carrier):
    with pytest.raises(NotImplementedError):
        Operation(b"", carrier).take(reply(done(1)))


# --- secrets --------------------------------------------------------------------------------------


def test_an_operation_that_has_ended_holds_no_password(carrier):
    for end in (lambda one: one.finish(), lambda one: one.fail(SILENT)):
        bind = Bind(codec.bind_request(b"uid=a", b"wonderland", ppolicy.REQUEST), carrier)
        end(bind)
        assert bind.request == b""


def test_no_repr_tells_a_password(carrier):
    bind = Bind(codec.bind_request(b"uid=a", b"wonderland"), carrier)
    asked = Asked(bind)
    for thing in (bind, asked.outcome, asked.outcome.__dict__):
        assert "wonderland" not in repr(thing)


def test_no_traceback_of_a_fault_tells_a_password():
    line = Line()
    asked = line.bind(b"wonderland")
    line.say(b"\x31")
    told = "".join(traceback.format_exception(asked.fault))
    assert "wonderland" not in told + asked.fault.words + repr(vars(asked.fault))


def test_a_connection_that_ended_keeps_no_password():
    line = Line()
    line.bind(PASSWORD)
    line.connection.transport.drop()
    gc.collect()
    kept = [one.request for one in gc.get_objects() if isinstance(one, Bind)]
    assert not any(PASSWORD in request for request in kept)


def test_where_an_operation_was_sent_can_be_told(carrier):
    assert Bind(b"", carrier).describe_link() == "none"
    line = Line()
    assert line.bind().operation.describe_link() == "ldap://x:389, not encrypted"
