"""One connection: which replies count, and what ends it."""

from __future__ import annotations

import pytest

from authbridge.ldap import codec
from authbridge.ldap import connection as connections
from authbridge.ldap.connection import SILENCE, Connection
from authbridge.ldap.deadlines import Deadlines
from authbridge.ldap.faults import Fault
from authbridge.ldap.operations import Bind, Probe, Search
from authbridge.model import Reason
from tests.ldap import asking, server
from tests.ldap.asking import ANYTHING, SECONDS, Asked, Line
from tests.ldap.server import Network, Server, bound, done, entry, extended, goodbye, reference, tlv

MOST_ABANDONED = 32
FAILED, SILENT, LOST = (
    Reason.DIRECTORY_FAILED,
    Reason.DIRECTORY_SILENT,
    Reason.DIRECTORY_UNREACHABLE,
)


@pytest.fixture
def line():
    return Line()


# --- answers --------------------------------------------------------------------------------------


def test_requests_are_numbered_and_answers_are_theirs_in_any_order(line):
    first, second, third = (line.search() for _ in range(3))
    assert [request.id for request in line.server.requests] == [1, 2, 3]
    line.say(entry(3, b"uid=c"), entry(1, b"uid=a"), done(3), done(2))
    assert [found.dn for found in third.entries] == [b"uid=c"]
    assert second.entries == []
    assert first.pending
    line.say(done(1))
    assert [found.dn for found in first.entries] == [b"uid=a"]


def test_an_answer_may_come_in_any_pieces(line):
    octets = entry(1, b"uid=a", {"cn": [b"x" * 200]}) + reference(1) + done(1)
    asked = line.search()
    for at in range(len(octets)):
        assert asked.pending
        line.say(octets[at : at + 1])
    assert asked.entries[0].attributes == {b"cn": [b"x" * 200]}


def test_one_bind_after_another_goes_over_the_same_connection(line):
    for number, code in enumerate((0, 49, 0), 1):
        asked = line.bind()
        line.say(bound(number, code))
        assert asked.code == code
    assert line.server.kinds == ["bind"] * 3


def test_whoever_is_told_may_ask_again_at_once(line):
    codes = []

    def again(_):
        asking.bind(line.carrier).outcome.addCallback(lambda _: codes.append("second"))

    line.bind().outcome.addCallback(again)
    line.say(bound(1))
    line.say(bound(2))
    assert codes == ["second"]


def test_a_bind_has_its_connection_to_itself(line):
    def send(kind):
        more = (1,) if kind is Search else ()
        line.connection.send(kind(ANYTHING, line.carrier, *more))

    line.bind()
    for kind in (Search, Bind):
        with pytest.raises(RuntimeError, match="to itself"):
            send(kind)
    line.say(bound(1))
    line.search()
    with pytest.raises(RuntimeError, match="to itself"):
        send(Bind)
    assert line.server.kinds == ["bind", "search"]


# --- answers ahead of their questions -------------------------------------------------------------

AHEAD = {
    "in the same segment": bound(2),
    "in the same segment, twice": bound(2) + bound(3),
    "half of it behind": bound(2)[:8],
    "one octet of it behind": bound(2)[:1],
    "with a guessed id": bound(9),
    "with the id of the answer before": bound(1),
}


@pytest.mark.parametrize("ahead", AHEAD.values(), ids=AHEAD)
def test_a_success_ahead_of_its_bind_spoils_the_answer_that_it_came_with(line, ahead):
    asked = line.bind()
    line.say(bound(1), ahead)
    assert asked.reason is FAILED
    assert line.dropped


@pytest.mark.parametrize("ahead", [bound(2), bound(2)[:8], bound(2)[:1], bound(1), done(2)])
def test_a_success_between_two_binds_ends_the_connection(line, ahead):
    line.bind()
    line.say(bound(1))
    line.say(ahead)
    assert line.dropped


def test_what_began_ahead_of_a_search_is_no_answer_to_it(line):
    first = line.search()
    line.say(done(2)[:6])
    second = line.search()
    line.say(done(2)[6:])
    assert (first.reason, second.reason) == (FAILED, FAILED)
    assert line.dropped


def test_what_began_ahead_and_trickles_is_no_answer_either(line):
    first = line.search()
    octets = done(2)
    line.say(octets[:1])
    second = line.search()
    for at in range(1, len(octets)):
        line.say(octets[at : at + 1])
    assert (first.reason, second.reason) == (FAILED, FAILED)


def test_what_began_while_it_was_asked_is_an_answer(line):
    first = line.search()
    line.say(done(1)[:6])
    second = line.search()
    line.say(done(1)[6:] + entry(2, b"uid=b"))
    assert first.code == 0
    line.say(done(2)[:3])
    third = line.search()
    line.say(done(2)[3:], done(3))
    assert (second.code, third.code) == (0, 0)


# --- bad answers ----------------------------------------------------------------------------------

GARBAGE = {
    "no SEQUENCE": b"\x16\x03\x01",
    "a length that cannot be": b"\x30\x80",
    "a header of 2 GiB": b"\x30\x84\x7f\xff\xff\xff",
    "an answer with more behind": tlv(0x30, b"\x02\x01\x01", tlv(0x61, b"\x0a\x01\x00"), b"\0\0"),
    "a request": server.reply(1, tlv(0x60)),
    "an unknown id": bound(7),
    "the id 0": server.reply(0, server.result(0x61, 0)),
    "a negative id": tlv(0x30, server.number(-1), server.result(0x61, 0)),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_nothing_of_a_bad_batch_counts(line, garbage):
    asked = line.bind()
    line.say(bound(1), garbage)
    assert asked.reason is FAILED
    assert line.dropped


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_of_a_bad_batch_no_search_has_a_result(line, garbage):
    asked = [line.search() for _ in range(3)]
    line.say(done(1), entry(2, b"uid=a"), done(2), garbage)
    assert [one.reason for one in asked] == [FAILED] * 3


@pytest.mark.parametrize(
    "octets",
    [done(1), extended(1), entry(1, b"x"), reference(1), extended(1, 0, b"", server.DISCONNECTION)],
)
def test_no_answer_to_something_else_is_one_to_a_bind(line, octets):
    asked = line.bind()
    line.say(octets)
    assert asked.reason is FAILED
    assert line.dropped


@pytest.mark.parametrize("octets", [bound(1), extended(1)])
def test_no_answer_to_something_else_is_one_to_a_search(line, octets):
    asked = line.search()
    line.say(octets)
    assert asked.reason is FAILED
    assert line.dropped


@pytest.mark.parametrize(("count", "good"), [(102, True), (103, False)])
def test_entries_beyond_the_limit_are_left_out_up_to_a_hundred(line, count, good):
    asked, other = line.search(size_limit=2), line.search()
    for number in range(count):
        line.server.say(entry(1, b"uid=%d" % number))
    line.say(done(1))
    if good:
        assert [found.dn for found in asked.entries] == [b"uid=0", b"uid=1"]
    else:
        assert (asked.reason, other.reason) == (FAILED, FAILED)
        assert line.dropped


@pytest.mark.parametrize(("count", "good"), [(100, True), (101, False)])
def test_references_are_ignored_up_to_a_hundred(line, count, good):
    asked = line.search()
    for _ in range(count):
        line.server.say(reference(1))
    line.say(done(1))
    assert asked.code == 0 if good else asked.reason is FAILED
    assert line.connection.gone is not good


def test_a_large_message_is_dropped_before_it_is_there(line):
    asked = line.search()
    line.say(b"\x30\x83\x04\x00\x01")
    assert asked.reason is FAILED
    assert line.dropped


def test_the_words_of_a_fault_name_the_server_and_not_what_it_sent(line):
    asked = line.bind()
    line.say(server.reply(1, tlv(0x61, b"wonderland")))
    assert asked.fault.words.startswith("ldap://x:389: ")
    assert "wonderland" not in asked.fault.words


# --- the end --------------------------------------------------------------------------------------


def test_a_notice_of_disconnection_ends_the_connection_with_the_servers_words(line):
    asked = line.search()
    line.say(goodbye(52, b"going\ndown"))
    assert asked.reason is LOST
    assert asked.fault.words == ("ldap://x:389 ended the connection: 52 unavailable, 'going down'")
    assert line.dropped


def test_what_was_answered_before_a_notice_counts(line):
    first, second = line.search(), line.search()
    line.say(done(1), goodbye())
    assert first.code == 0
    assert second.reason is LOST


def test_a_notice_counts_whatever_comes_with_it(line):
    abandoned, other = line.search(), line.search()
    abandoned.cancel()
    line.say(goodbye(), done(1))
    assert other.reason is LOST
    assert line.dropped


def test_a_notice_while_nothing_is_asked_ends_it_too(line):
    line.say(goodbye())
    assert line.dropped


def test_a_connection_that_breaks_fails_what_is_awaited(line):
    asked = [line.search(), line.search()]
    line.server.transport.drop()
    line.connection.transport.drop()
    assert [one.reason for one in asked] == [LOST, LOST]
    assert asked[0].fault.words == "ldap://x:389 ended the connection"
    assert line.connection.gone


def test_nothing_is_heard_of_a_connection_that_is_gone(line):
    asked = line.bind()
    line.connection.close(Fault(LOST, "enough"))
    line.connection.dataReceived(bound(1))
    assert asked.fault.words == "enough"
    line.connection.close()
    line.connection.close(Fault(FAILED, "again"))
    line.network.settle()
    assert asked.fault.words == "enough"


def test_a_connection_ends_with_a_word_of_goodbye(line):
    line.connection.close()
    assert line.connection.gone
    line.network.settle()
    assert line.server.kinds == ["unbind"]
    assert line.server.lost
    assert not line.dropped


def test_a_connection_that_was_not_made_yet_is_closed_without_a_word():
    connection = Connection("ldap://x", Deadlines(Network(), SECONDS))
    connection.close()
    assert connection.gone


def test_a_connection_is_worn_out_when_its_ids_are(line, monkeypatch):
    monkeypatch.setattr(connections, "LAST_ID", 2)
    for number in (1, 2):
        assert not line.connection.worn_out
        line.bind()
        line.say(bound(number))
    assert line.connection.worn_out


# --- deadlines ------------------------------------------------------------------------------------


def test_a_server_that_is_silent_is_dropped_on_the_deadline(line):
    asked = [line.search(), line.search()]
    line.network.settle(SECONDS - 0.001)
    assert asked[0].pending
    line.network.settle(0.001)
    assert [one.reason for one in asked] == [SILENT, SILENT]
    assert asked[0].fault.words == "ldap://x:389 gave no answer in 4 s"
    assert line.dropped


def test_a_server_that_trickles_has_its_search_abandoned_and_nothing_else(line):
    first = line.search(size_limit=10)
    line.network.settle(1)
    second = line.search()
    octets = entry(1, b"uid=a")
    for at in range(len(octets)):
        line.say(octets[at : at + 1], after=3 / len(octets) - 1e-9)
    line.network.settle(1e-6)
    assert first.reason is SILENT
    assert line.server.last.kind == "abandon"
    assert line.server.last.abandoned == 1
    assert second.pending
    assert not line.connection.gone
    line.say(done(2))
    assert second.code == 0


def test_a_trickled_bind_has_its_connection_dropped(line):
    asked = line.bind()
    octets = bound(1)
    for at in range(len(octets) - 1):
        line.say(octets[at : at + 1], after=0.2)
    line.network.settle(SECONDS)
    assert asked.reason is SILENT
    assert line.dropped
    assert line.server.kinds == ["bind"]


def test_a_reply_a_second_is_no_way_round_the_deadline(line):
    asked = line.search(size_limit=100)
    for number in range(10):
        line.say(entry(1, b"uid=%d" % number), after=1)
    assert asked.reason is SILENT
    assert not line.connection.gone


class Hurried:
    """Carries what has less time than others."""

    def __init__(self, connection, deadlines):
        self.connection, self.deadlines = connection, deadlines

    def submit(self, operation):
        self.connection.send(operation, self.deadlines)


def abandon(line, count=1):
    for _ in range(count):
        line.search().cancel()
    line.network.settle()


def test_cancelling_a_search_abandons_it(line):
    asked = line.search()
    asked.cancel()
    line.network.settle()
    assert asked.cancelled
    assert [(request.kind, request.id, request.abandoned) for request in line.server.requests] == [
        ("search", 1, 0),
        ("abandon", 2, 1),
    ]
    later = line.search()
    line.say(done(3))
    assert later.code == 0


def test_a_search_that_was_given_up_has_no_deadline_any_more(line):
    asked = line.search()
    line.network.settle(SILENCE / 2)
    asked.cancel()
    line.network.settle(SECONDS - 1 - SILENCE / 2)
    other = line.search()
    line.network.settle(1)  # the first one's deadline, and not a word from the server
    assert not line.connection.gone
    line.say(done(3))
    assert other.code == 0


def test_the_late_answers_to_an_abandoned_search_are_nobodys(line):
    abandon(line)
    other = line.search()
    line.say(entry(1, b"uid=late"), reference(1), entry(1, b"uid=later"))
    line.say(done(1, 4), entry(3, b"uid=a"), done(3))
    assert [found.dn for found in other.entries] == [b"uid=a"]


def test_half_of_a_late_answer_may_come_while_nothing_is_asked(line):
    abandon(line)
    line.say(done(1)[:5])
    line.say(done(1)[5:])
    assert not line.connection.gone


@pytest.mark.parametrize("octets", [bound(1), extended(1), done(1) + done(1), bound(2), done(2)])
def test_what_is_no_late_answer_ends_the_connection(line, octets):
    abandon(line)
    other = line.search()
    line.say(octets)
    assert other.reason is FAILED
    assert line.dropped


def test_a_connection_that_owes_more_than_thirty_two_searches_is_to_be_closed(line):
    abandon(line, MOST_ABANDONED)
    assert not line.connection.retiring
    other = line.search()
    abandon(line)
    assert line.connection.retiring
    assert not line.dropped
    line.say(done(2 * MOST_ABANDONED + 1))
    assert other.code == 0


def test_a_search_whose_login_waited_in_silence_takes_its_connection_along(line):
    asked, other = line.search(), line.search()
    line.network.settle(SILENCE / 2)
    late = line.search()
    line.network.settle(SILENCE / 2 + 0.01)
    asked.cancel()
    assert line.connection.gone
    assert other.reason is SILENT
    assert late.reason is LOST  # a pool sends it again


@pytest.mark.parametrize(
    ("kind", "seconds", "heard", "silent"),
    [
        ("search", SILENCE, False, True),
        ("search", SILENCE - 0.01, False, False),
        ("search", SILENCE, True, False),
        ("bind", SILENCE, False, True),
        ("bind", SILENCE - 0.01, False, False),
    ],
)
def test_who_leaves_is_told_whether_the_server_was_silent(line, kind, seconds, heard, silent):
    asked = getattr(line, kind)()
    line.network.settle(seconds)
    if heard:
        line.say(entry(1, b"uid=a"))
    assert line.connection.withdraw(asked.operation) is silent
    assert asked.operation.ended
    assert line.connection.gone is (silent or kind == "bind")
    assert line.connection.withdraw(asked.operation) is False  # it has left


def test_what_is_sent_on_a_connection_that_is_gone_fails(line):
    line.connection.close(Fault(LOST, "goodbye"))
    assert line.search().reason is LOST
    assert line.bind().reason is LOST


def test_what_was_owed_and_came_is_not_counted(line):
    for number in range(1, 4 * MOST_ABANDONED, 2):
        abandon(line)
        line.say(done(number))
    assert not line.connection.gone


def test_cancelling_a_bind_drops_its_connection(line):
    asked = line.bind()
    asked.cancel()
    line.network.settle()
    assert asked.cancelled
    assert line.dropped
    assert line.server.kinds == ["bind"]


def test_who_is_told_may_give_up_another_that_was_answered_with_it(line):
    bugs = []
    first, second = line.search(), line.search()
    first.outcome.addCallback(lambda _: second.cancel()).addErrback(bugs.append)
    line.say(done(1), done(2))
    assert bugs == []
    assert second.cancelled
    assert not line.connection.gone


@pytest.mark.parametrize("code", [0, 2, 118])
def test_who_answers_an_abandon_as_lldap_does_is_heard_out(line, code):
    abandon(line)
    other = line.search()
    line.say(extended(2, code), done(1, 4))
    line.say(done(3))
    assert other.code == 0
    assert not line.connection.gone


@pytest.mark.parametrize("octets", [bound(2), done(2), extended(2) + extended(2), extended(1)])
def test_what_is_no_answer_to_an_abandon_ends_the_connection(line, octets):
    abandon(line)
    other = line.search()
    line.say(octets)
    assert other.reason is FAILED
    assert line.dropped


def test_an_operation_may_have_a_deadline_of_its_own(line):
    quick = Deadlines(line.network, 0.5)
    asked = Asked(Probe(Hurried(line.connection, quick)))
    line.network.settle()
    line.network.settle(0.499)
    assert asked.pending
    line.network.settle(0.001)
    assert asked.reason is SILENT
    assert line.dropped


def test_a_connection_knows_when_something_was_sent_last(line):
    line.network.settle(7)
    line.search()
    assert line.connection.sent_at == 7
    line.say(done(1), after=2)
    assert line.connection.sent_at == 7
    Asked(Probe(Hurried(line.connection, Deadlines(line.network, 0.5))))
    assert line.connection.sent_at == 9


def test_a_connection_knows_how_late_was_asked_what_it_has_answered(line):
    first = line.search()
    line.network.settle(1)
    second = line.search()
    assert line.connection.answered == 0
    line.say(done(2))
    assert line.connection.answered == second.operation.due == 1 + SECONDS
    line.say(done(1))
    assert line.connection.answered == first.operation.due == SECONDS


def test_an_idle_connection_is_not_dropped_for_its_silence(line):
    asked = line.search()
    line.say(done(1))
    line.network.settle(100)
    assert asked.code == 0
    assert not line.connection.gone


def test_a_connection_tells_what_it_is(line):
    assert line.connection.describe() == "ldap://x:389, not encrypted"
    assert codec.LARGEST_REPLY == 262144
    assert isinstance(line.server, Server)
