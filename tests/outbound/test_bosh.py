"""Logins by BOSH: what is handed over, what is a no, and that no session is left over."""

from __future__ import annotations

import base64

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel

from authbridge.model import JID
from authbridge.outbound import bosh, bosh_login, web_server
from authbridge.outbound.bosh import BoshRefused, BoshServer, BoshUnreachable
from authbridge.secret import Secret
from authbridge.wire import bosh as wire
from tests.doubles import now
from tests.ldap.certificates import ADDRESS, NAME, OTHER, OURS
from tests.outbound import chat, web
from tests.outbound.chat import PASSWORD, Chat

URL = f"https://{NAME}/http-bind"
ROMEO = JID("romeo", "example.org")
RANDOM = bytes(range(8))
FIRST = wire.LEAST_RID + int.from_bytes(RANDOM, "big") % (wire.MOST_RID - wire.LEAST_RID)
LOGIN = ["create", "auth", "restart", "bind"]


@pytest.fixture
def server():
    """The XMPP server."""
    return Chat()


@pytest.fixture
def made(network, trust, server):
    """Makes the one who logs in there; closed afterwards."""
    makers = []

    def make(at_once=5, random=RANDOM, tls=None):
        context = tls or OURS.issue(NAME)
        network.places[ADDRESS, 443] = lambda: web.WebServer(server.answer, context)
        maker = BoshServer(URL, trust, network, lambda size: random[:size], at_once=at_once)
        makers.append(maker)
        return maker

    yield make
    for maker in makers:
        maker.close()


@pytest.fixture
def log_in(network, made):
    """Begins a login, and lets everything happen that can."""

    def begin(resource="chat", jid=ROMEO, password=PASSWORD, maker=None):
        maker = maker or made()
        begun = Deferred.fromCoroutine(maker.log_in(jid, Secret(password), resource))
        network.settle()
        return begun

    return begin


def words(login, kind):
    with pytest.raises(kind) as raised:
        now(login)
    assert str(raised.value) == raised.value.words
    return raised.value.words


# --- what is handed over --------------------------------------------------------------------------


def test_a_session_is_handed_over_with_the_next_rid(server, log_in):
    session = now(log_in())
    assert server.kinds == LOGIN
    assert server.rids == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert (session.jid, session.sid) == ("romeo@example.org/chat", "sid-0")
    assert session.rid == FIRST + 4


def test_nothing_is_under_way_then(network, server, log_in):
    now(log_in())
    (connection,) = network.servers
    assert len(connection.requests) == len(server.asked)


def test_whoever_is_asked_for_is_told_to_the_server(server, log_in):
    now(log_in(jid=JID("rómeo", "example.org")))
    assert [one.element.get("to") for one in server.asked] == [
        "example.org", None, "example.org", None,
    ]  # fmt: skip
    assert [one.element.get("sid") for one in server.asked] == [None, "sid-0", "sid-0", "sid-0"]
    initial = base64.b64decode(server.of("auth")[0].element[0].text)
    assert initial == "\0rómeo\0".encode() + PASSWORD


def test_a_session_does_not_show_what_makes_one_the_user(log_in):
    shown = repr(now(log_in()))
    assert "romeo@example.org/chat" in shown
    assert "sid-0" not in shown
    assert str(FIRST)[:6] not in shown


@pytest.mark.parametrize(
    ("random", "first"),
    [
        (bytes(8), wire.LEAST_RID),
        (b"\xff" * 8, wire.LEAST_RID + (2**64 - 1) % (wire.MOST_RID - wire.LEAST_RID)),
        ((wire.MOST_RID - wire.LEAST_RID - 1).to_bytes(8, "big"), wire.MOST_RID - 1),
    ],
)
def test_the_first_rid_is_far_from_all_limits(server, made, log_in, random, first):
    now(log_in(maker=made(random=random)))
    assert server.rids[0] == first


def test_without_a_resource_it_is_a_random_one(server, log_in):
    assert now(log_in(None)).jid == f"romeo@example.org/web-{RANDOM.hex()}"


@pytest.mark.parametrize("resource", ["a/b@c", "<&'\">", "é 𝄞", "x" * 1023])
def test_a_resource_is_asked_for_as_it_is(server, log_in, resource):
    now(log_in(resource))
    assert server.of("bind")[0].element.findtext(f".//{{{chat.BIND}}}resource") == resource


@pytest.mark.parametrize("resource", ["", "x" * 1024, "a\0b", "\r"])
def test_what_is_no_resource_is_refused_before_anybody_is_asked(network, log_in, resource):
    assert "no resource" in words(log_in(resource), BoshRefused)
    assert network.attempts == []


def test_the_jid_is_that_which_the_server_says(server, log_in):
    server.instead["bind"] = [chat.bound("romeo@EXAMPLE.org/its own/choice")]
    assert now(log_in()).jid == "romeo@EXAMPLE.org/its own/choice"


@pytest.mark.parametrize(
    "jid",
    [
        "juliet@example.org/chat",
        "romeo@example.net/chat",
        "romeo@example.org",
        "romeo@example.org/",
        "example.org/romeo@example.org",
        "r\u200bo meo@example.org/chat",
        "",
        f"romeo@example.org/{'x' * 3071}",
    ],
)
def test_another_jid_is_refused_and_the_session_ended(server, log_in, jid):
    server.instead["bind"] = [chat.bound(jid)]
    assert words(log_in(), BoshRefused) == "the server has bound another user"
    assert server.kinds == [*LOGIN, "terminate"]


def test_a_session_of_old_is_asked_for_where_it_is_not_optional(server, log_in):
    server.offers = [chat.OFFER_BIND, chat.REQUIRED]
    session = now(log_in())
    assert server.kinds == [*LOGIN, "session"]
    assert session.rid == FIRST + 5


def test_what_is_not_there_yet_is_asked_for_again(network, server, log_in):
    """The features, the verdict, and the resource."""
    offered = chat.features(chat.mechanisms("PLAIN"))
    accepted = f"<success xmlns='{chat.SASL}'/>"
    server.instead = {
        "create": [chat.body(sid="sid-0")],
        "auth": [chat.body()],
        "restart": [chat.body()],
        "bind": [chat.body("<message xmlns='jabber:client' id='bind'/>")],
        "empty": [
            chat.body(offered), chat.body(), chat.body(accepted),
            chat.body(chat.features(chat.OFFER_BIND)), chat.bound("romeo@example.org/chat"),
        ],
    }  # fmt: skip
    login = log_in()
    network.settle(bosh_login.FIRST_POLL)
    assert now(login).rid == FIRST + 9
    assert server.kinds == [
        "create", "empty", "auth", "empty", "empty", "restart", "empty", "bind", "empty",
    ]  # fmt: skip
    assert server.rids == list(range(FIRST, FIRST + 9))


def test_a_server_that_never_has_it_is_not_asked_for_ever(network, server, log_in):
    server.instead["auth"] = [chat.body()]
    login = log_in()
    while not login.called:
        network.settle(bosh_login.LAST_POLL)
    assert network.seconds() > bosh_login.MOST_POLLS / 2
    assert "nothing to say" in words(login, BoshUnreachable)
    assert server.kinds.count("empty") == bosh_login.MOST_POLLS
    assert server.kinds[-1] == "terminate"


def test_it_is_not_asked_all_the_time(network, server, log_in):
    server.instead["auth"] = [chat.body()]
    login = log_in()
    counts = []
    for _ in range(40):
        network.settle(0.1)
        counts.append(server.kinds.count("empty"))
    assert counts[-1] <= 10
    give_up(login)
    network.settle()


def test_a_login_is_nothing_for_the_log(log_in, events):
    now(log_in())
    assert [event for event in events if event["log_level"] is not LogLevel.debug] == []


# --- a pause --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ({"inactivity": 30, "maxpause": 120}, "120"),
        ({"inactivity": 30, "maxpause": 3600}, "120"),
        ({"inactivity": 30, "maxpause": 31}, "31"),
        ({"maxpause": 60}, "60"),
    ],
)
def test_a_session_is_paused_where_that_is_offered(network, server, log_in, created, seconds):
    server.created = created
    login = log_in()
    network.settle(bosh_login.SILENCE - 0.01)
    assert not login.called
    network.settle(0.01)
    assert now(login).rid == FIRST + 5
    assert server.kinds == [*LOGIN, "pause"]
    assert server.of("pause")[0].element.get("pause") == seconds
    network.settle(web_server.GOODBYE)
    assert network.open == []


@pytest.mark.parametrize(
    "created", [{"inactivity": 60}, {"inactivity": 120, "maxpause": 120}, {"maxpause": 0}]
)
def test_it_is_not_where_that_would_be_worth_nothing(server, log_in, created):
    server.created = created
    assert now(log_in()).rid == FIRST + 4
    assert server.kinds == LOGIN


@pytest.fixture
def pausing(server):
    server.created = {"inactivity": 30, "maxpause": 120}


def test_a_pause_that_is_answered_needs_no_more_time(pausing, server, log_in):
    server.instead["pause"] = [chat.body()]
    assert now(log_in()).rid == FIRST + 5


def test_a_pause_that_ends_the_session_is_a_failure(pausing, server, log_in):
    server.instead["pause"] = [chat.end("item-not-found")]
    assert "item-not-found" in words(log_in(), BoshUnreachable)
    assert server.kinds == [*LOGIN, "pause"]


def leave(connection):
    """End the connection in place of an answer."""
    connection.transport.loseConnection()


def test_a_pause_over_a_connection_that_was_stale_is_sent_again(network, pausing, server, log_in):
    server.instead["pause"] = [leave]
    login = log_in()
    network.settle(bosh_login.SILENCE)
    assert now(login).rid == FIRST + 5
    first, second = server.of("pause")
    assert first.rid == second.rid
    assert first.connection is not second.connection


def test_a_pause_of_which_nobody_knows_whether_it_arrived_ends_the_login(
    network, pausing, server, log_in
):
    server.instead["pause"] = [leave, leave]
    assert "without an answer" in words(log_in(), BoshUnreachable)
    assert server.kinds == [*LOGIN, "pause", "pause", "terminate"]
    assert server.asked[-1].rid == FIRST + 5


def test_a_pause_that_is_cut_within_its_answer_ends_the_login(network, pausing, server, log_in):
    server.instead["pause"] = [chat.body()[:-1]]
    login = log_in()
    network.settle(bosh_login.SILENCE)
    server.asked[-1].connection.transport.loseConnection()
    network.settle()
    assert "cut" in words(login, BoshUnreachable)
    assert server.kinds == [*LOGIN, "pause", "terminate"]


# --- what is a no, and what is none ---------------------------------------------------------------


def test_a_wrong_password_is_refused_and_the_session_ended(server, log_in):
    assert words(log_in(password=b"wrong"), BoshRefused) == (
        "the server refuses the login: not-authorized"
    )
    assert server.kinds == ["create", "auth", "terminate"]
    assert server.asked[-1].rid == FIRST + 2
    assert server.asked[-1].element.get("sid") == "sid-0"


def test_a_server_that_could_not_look_at_the_password_cannot_tell(server, log_in):
    server.instead["auth"] = [chat.failure("temporary-auth-failure")]
    assert "temporary-auth-failure" in words(log_in(), BoshUnreachable)
    assert server.kinds == ["create", "auth", "terminate"]


def test_without_plain_nobody_is_let_in(server, log_in):
    offered = chat.features(chat.mechanisms("SCRAM-SHA-1"))
    server.instead["create"] = [chat.body(offered, sid="sid-0")]
    assert words(log_in(), BoshRefused) == (
        "the server offers no PLAIN: is consider_bosh_secure set?"
    )
    assert server.kinds == ["create", "terminate"]


def test_without_a_resource_there_is_no_session(server, log_in):
    server.offers = []
    assert "offers no resource" in words(log_in(), BoshUnreachable)
    assert server.kinds == ["create", "auth", "restart", "terminate"]


@pytest.mark.parametrize("kind", [*LOGIN, "session"])
@pytest.mark.parametrize(
    ("condition", "refusal"),
    [
        ("improper-addressing", BoshRefused),
        ("host-unknown", BoshRefused),
        ("not-authorized", BoshRefused),
        ("internal-server-error", BoshUnreachable),
        ("item-not-found", BoshUnreachable),
        ("system-shutdown", BoshUnreachable),
        ("what they have thought of", BoshUnreachable),
    ],
)
def test_a_session_that_the_server_ends_is_not_ended_again(
    server, log_in, kind, condition, refusal
):
    server.offers = [chat.OFFER_BIND, chat.REQUIRED]
    server.instead[kind] = [chat.end(condition)]
    said = words(log_in(), refusal)
    named = "undefined-condition" if " " in condition else condition
    assert said == f"the server ends the session: {named}"
    assert server.kinds[-1] == kind


@pytest.mark.parametrize(
    ("kind", "condition", "refusal"),
    [
        ("bind", "conflict", BoshRefused),
        ("bind", "bad-request", BoshRefused),
        ("bind", "resource-constraint", BoshUnreachable),
        ("session", "forbidden", BoshRefused),
        ("session", "internal-server-error", BoshUnreachable),
    ],
)
def test_a_resource_that_is_refused_ends_the_session(server, log_in, kind, condition, refusal):
    server.offers = [chat.OFFER_BIND, chat.REQUIRED]
    server.instead[kind] = [chat.error(kind, condition)]
    assert words(log_in(), refusal) == f"the server refuses to {kind}: {condition}"
    assert server.kinds[-1] == "terminate"


@pytest.mark.parametrize("sid", ["", "x" * 256])
def test_a_session_without_an_id_is_none(server, log_in, sid):
    server.instead["create"] = [chat.body(sid=sid)]
    assert words(log_in(), BoshUnreachable) == "the server gives its session no id"
    assert server.kinds == ["create"]


@pytest.mark.parametrize("kind", LOGIN)
@pytest.mark.parametrize(
    ("says", "said"),
    [
        (web.answer(b"", "404 Not Found"), "the server answers 404: is bosh_url right?"),
        (web.answer(b"", "301 Moved", "Location: https://secret/"), "the server answers 301"),
        (web.answer(b"<html>secret</html>"), "not BOSH, its XML is no body of BOSH"),
        (web.answer(b"<html>secret"), "not BOSH, it is no XML: is bosh_url right?"),
        (b"220 secret\r\n", "what the server answers is not HTTP"),
        (web.answer(bytes(wire.MOST_OCTETS + 1)), "larger than"),
    ],
)
def test_what_is_no_answer_of_bosh_cannot_tell(server, log_in, kind, says, said):
    server.instead[kind] = [says]
    found = words(log_in(), BoshUnreachable)
    assert said in found
    assert "secret" not in found
    assert server.kinds[-1] == (kind if kind == "create" else "terminate")


def test_a_server_that_nobody_trusts_is_told_nothing(network, made, log_in):
    found = words(log_in(maker=made(tls=OTHER.issue(NAME))), BoshUnreachable)
    assert "authority" in found
    assert [one.heard for one in network.servers] == [b""]


# --- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOGIN[1:])
def test_over_a_connection_that_was_stale_the_same_is_sent_again(server, log_in, kind):
    server.instead[kind] = [leave]
    assert now(log_in()).rid == FIRST + 4
    first, second = server.of(kind)
    assert first.rid == second.rid
    assert first.element.attrib == second.element.attrib
    assert first.connection is not second.connection


def test_so_is_the_first_of_a_login(made, server, log_in):
    maker = made()
    now(log_in(maker=maker))
    server.instead["create"] = [leave]
    now(log_in(maker=maker))
    first, second = server.of("create")[1:]
    assert first.rid == second.rid


def test_it_is_sent_again_once(server, log_in):
    server.instead["auth"] = [leave, leave]
    assert "without an answer" in words(log_in(), BoshUnreachable)
    assert server.kinds == ["create", "auth", "auth", "terminate"]


def test_over_a_new_connection_nothing_is_sent_again(server, log_in):
    server.instead["create"] = [leave]
    assert "without an answer" in words(log_in(), BoshUnreachable)
    assert server.kinds == ["create"]


def test_so_many_log_in_at_once_and_the_others_in_their_order(network, made, server):
    maker = made(at_once=20)
    users = [JID(f"user{number}", "example.org") for number in range(100)]
    server.instead["auth"] = [None] * 20
    begun = [Deferred.fromCoroutine(maker.log_in(user, Secret(PASSWORD), None)) for user in users]
    network.settle()
    assert server.kinds == ["create"] * 20 + ["auth"] * 20
    for number, asked in enumerate(server.of("auth")):
        server.users[f"sid-{number}"] = f"user{number}"
        asked.connection.transport.write(chat.body(f"<success xmlns='{chat.SASL}'/>"))
    network.settle()
    assert [now(login).jid.partition("/")[0] for login in begun] == [str(user) for user in users]
    assert len(network.servers) <= 20


def test_no_more_wait_than_there_is_room_for(monkeypatch, made, server, log_in):
    monkeypatch.setattr(bosh, "MOST_WAITING", 1)
    maker = made(at_once=1)
    server.instead["create"] = [None]
    begun = [log_in(maker=maker) for _ in range(2)]
    assert words(log_in(maker=maker), BoshUnreachable) == "too many logins wait for this server"
    for login in begun:
        login.cancel()
        with pytest.raises(CancelledError):
            now(login)


# --- when nobody wants it any more ----------------------------------------------------------------


def give_up(login):
    login.cancel()
    with pytest.raises(CancelledError):
        now(login)


def test_a_login_that_waits_for_its_turn_asks_for_nothing_when_it_is_given_up(
    network, made, server, log_in
):
    maker = made(at_once=1)
    server.instead["create"] = [None]
    first, second = log_in(maker=maker), log_in(maker=maker)
    give_up(second)
    give_up(first)
    network.settle()
    assert server.kinds == ["create"]


def test_a_login_that_is_given_up_before_there_is_a_session_leaves_none(network, server, log_in):
    server.instead["create"] = [None]
    give_up(log_in())
    network.settle()
    assert server.kinds == ["create"]
    assert network.open == []


@pytest.mark.parametrize("kind", LOGIN[1:])
def test_a_login_that_is_given_up_later_ends_its_session(network, server, log_in, kind):
    server.instead[kind] = [None]
    login = log_in()
    rid = server.rids[-1]
    give_up(login)
    network.settle()
    assert server.kinds[-2:] == [kind, "terminate"]
    assert server.rids[-1] == rid + 1


def test_a_login_that_is_given_up_within_the_silence_of_its_pause_ends_its_session(
    network, pausing, server, log_in
):
    give_up(log_in())
    network.settle()
    assert server.kinds == [*LOGIN, "pause", "terminate"]
    assert server.rids[-1] == FIRST + 5


def test_a_login_that_is_given_up_between_two_requests_ends_its_session(network, server, log_in):
    server.instead["auth"] = [chat.body()]
    give_up(log_in())
    network.settle()
    assert server.kinds == ["create", "auth", "empty", "terminate"]
    assert server.rids[-1] == FIRST + 3


def test_a_request_that_may_not_have_arrived_is_stood_in_for(network, server, log_in):
    """The server waits for it, and has put the end aside till then."""
    server.instead = {"auth": [None], "terminate": [None]}
    give_up(log_in())
    network.settle()
    network.settle(bosh.END_TIME)
    assert server.kinds == ["create", "auth", "terminate", "terminate"]
    assert server.rids == [FIRST, FIRST + 1, FIRST + 2, FIRST + 1]


def test_a_server_that_hangs_is_not_waited_for(network, server, log_in):
    server.instead = {"auth": [None], "terminate": [None] * 9}
    give_up(log_in())
    network.settle()
    network.settle(bosh.END_TIME)
    network.settle(bosh.END_TIME)
    assert server.kinds.count("terminate") == 2
    assert network.open == []


def test_where_all_was_answered_one_request_is_enough(network, server, log_in):
    server.instead["terminate"] = [None] * 9
    session = now(log_in())
    session.end()
    network.settle()
    network.settle(bosh.END_TIME)
    network.settle(bosh.END_TIME)
    assert server.kinds == [*LOGIN, "terminate"]


def test_a_session_that_was_handed_over_can_be_ended(network, server, log_in):
    session = now(log_in())
    session.end()
    session.end()
    network.settle()
    assert server.kinds == [*LOGIN, "terminate"]
    assert server.asked[-1].rid == session.rid


def test_an_end_over_a_connection_that_was_stale_is_sent_again(network, made, server, log_in):
    maker = made()
    first, second = (now(log_in(maker=maker)) for _ in range(2))
    first.end()
    network.settle()
    server.instead["terminate"] = [leave]
    second.end()
    network.settle()
    assert [one.rid for one in server.of("terminate")] == [first.rid, second.rid, second.rid]


def test_so_many_are_ended_at_once(network, made, server, log_in):
    maker = made()
    server.instead["terminate"] = [None] * 100
    sessions = [now(log_in(maker=maker)) for _ in range(2 * bosh.ENDS_AT_ONCE)]
    for session in sessions:
        session.end()
    network.settle()
    assert len(server.of("terminate")) == bosh.ENDS_AT_ONCE
    now(log_in(maker=maker))  # behind which nobody waits
    network.settle(bosh.END_TIME)
    assert len(server.of("terminate")) <= 2 * bosh.ENDS_AT_ONCE


def test_what_is_too_many_is_left_to_the_server(monkeypatch, network, made, server, log_in):
    monkeypatch.setattr(bosh, "MOST_ENDS", 2)
    maker = made()
    server.instead["terminate"] = [None, None]
    for session in [now(log_in(maker=maker)) for _ in range(3)]:
        session.end()
    network.settle()
    network.settle(bosh.END_TIME)
    assert len(server.of("terminate")) == 2


def test_a_daemon_that_stops_can_wait_for_the_ends(network, made, server, log_in):
    maker = made()
    server.instead["terminate"] = [None]
    now(log_in(maker=maker)).end()
    network.settle()
    ended = Deferred.fromCoroutine(maker.ended())
    assert not ended.called
    server.asked[-1].connection.transport.write(chat.body(type="terminate"))
    network.settle()
    assert now(ended) is None
    assert now(maker.ended()) is None


def test_a_daemon_that_stops_gives_up_what_is_under_way(network, made, server, log_in):
    maker = made()
    server.instead["terminate"] = [None]
    now(log_in(maker=maker)).end()
    server.instead["auth"] = [None]
    login = log_in(maker=maker)
    maker.close()
    assert "the daemon stops" in words(login, BoshUnreachable)
    network.settle()
    assert network.open == []
    assert now(maker.ended()) is None
    assert "the daemon stops" in words(log_in(maker=maker), BoshUnreachable)


# --- what check-config asks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "said"),
    [
        ({"inactivity": 60}, "offers PLAIN, sessions of 60 s"),
        (
            {"inactivity": 30, "maxpause": 120},
            "offers PLAIN, sessions of 30 s, and pauses of 120 s",
        ),
    ],
)
def test_what_a_server_offers_is_told_and_no_session_left(network, made, server, created, said):
    server.created = created
    probing = Deferred.fromCoroutine(made().probe("example.org"))
    network.settle()
    assert now(probing) == said
    assert server.kinds == ["create", "terminate"]


def test_a_server_that_offers_nothing_of_use_is_told(network, made, server):
    server.instead["create"] = [chat.body(chat.features(), sid="sid-0")]
    probing = Deferred.fromCoroutine(made().probe("example.org"))
    network.settle()
    assert "no PLAIN" in words(probing, BoshRefused)
    assert server.kinds == ["create", "terminate"]


def test_a_server_that_says_nothing_is_told(network, made, server):
    server.instead["create"] = [None]
    probing = Deferred.fromCoroutine(made().probe("example.org"))
    network.settle()
    network.settle(bosh.PROBE_TIME)
    assert words(probing, BoshUnreachable) == f"no answer in {bosh.PROBE_TIME:g} s"
