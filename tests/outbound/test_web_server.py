"""Requests over connections that are kept: whom they are sent to, when they are repeated, and when
they are over."""

from __future__ import annotations

import gzip

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.logger import LogLevel

from authbridge.outbound import links, web_server
from authbridge.outbound.web_server import Unreached, url_trouble
from tests.doubles import now
from tests.ldap.certificates import ADDRESS, BAD, GOOD, NAME, OURS
from tests.outbound import web
from tests.outbound.web import answer

URL, PLAIN_URL = f"https://{NAME}/ask?of=us", f"http://{ADDRESS}/ask?of=us"
TIMEOUT, MOST = 4.0, 1 << 12
DONE = answer(b"done")


@pytest.fixture
def made(network, trust):
    """Makes the server of a URL, and lets one answer at its place; closed afterwards."""
    servers = []

    def make(says=None, url=URL, *, tls=None, kind=web.WebServer, at_once=2):
        context = tls or OURS.issue(NAME, ADDRESS)
        network.places.setdefault((ADDRESS, 443), lambda: kind(says, context))
        network.places.setdefault((ADDRESS, 80), lambda: kind(says))
        given = trust if url.startswith("https") else None
        server = web_server.WebServer(url, given, network, most_octets=MOST, at_once=at_once)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def ask(network):
    """Begins a request, and lets everything happen that can."""

    def begin(
        server, body=b"", *, method=None, headers=None, timeout=TIMEOUT, silence=None, line=""
    ):
        method = method or (b"POST" if body else b"GET")
        headers = headers or {}
        asking = (
            server.request(method, headers, body, timeout=timeout, line=line)
            if silence is None
            else server.tell(method, headers, body, timeout=timeout, silence=silence)
        )
        asking = Deferred.fromCoroutine(asking)
        network.settle()
        return asking

    return begin


def always(said):
    return lambda server, request: said


def words(asking):
    with pytest.raises(Unreached) as raised:
        now(asking)
    return str(raised.value)


# --- what is asked and answered -------------------------------------------------------------------


def test_a_get_says_what_it_was_told_to_and_no_more_than_it_must(network, made, ask):
    now(ask(made(always(DONE)), headers={"Cookie": "a=b", "Accept": "application/json"}))
    ((request,),) = (server.requests for server in network.servers)
    assert request.first == "GET /ask?of=us HTTP/1.1"
    assert request.headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "cookie": "a=b",
        "host": NAME,
        "user-agent": "authbridge",
    }
    assert request.body == b""


def test_a_post_has_a_length_and_a_body(network, made, ask):
    now(ask(made(always(DONE)), "wörter".encode(), headers={"Content-Type": "text/plain"}))
    (request,) = network.servers[0].requests
    assert request.first == "POST /ask?of=us HTTP/1.1"
    assert request.headers["content-length"] == "7"
    assert request.headers["content-type"] == "text/plain"
    assert request.body == "wörter".encode()


def test_a_host_that_was_told_stands_for_that_of_the_url(network, made, ask):
    now(ask(made(always(DONE)), headers={"Host": "www.example.org"}))
    assert network.servers[0].requests[0].headers["host"] == "www.example.org"


@pytest.mark.parametrize("status", [200, 204, 301, 302, 401, 403, 404, 500, 503, 999])
def test_every_status_is_an_answer_and_no_redirect_is_followed(network, made, ask, status):
    body = b"" if status == 204 else b"body"
    server = made(always(answer(body, f"{status} Whatever", f"Location: https://{NAME}/else")))
    found = now(ask(server))
    assert (found.status, found.body) == (status, body)
    assert len(network.attempts) == len(network.servers[0].requests) == 1


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ((), b""),
        (("Content-Type: application/json",), b"application/json"),
        (("Content-Type: Application/JSON ; charset=utf-8",), b"application/json"),
        (("Content-Type: ",), b""),
        (("Content-Type: application/json", "Content-Type: text/html"), b""),
    ],
)
def test_the_media_type_is_told_where_there_is_one(made, ask, headers, content):
    assert now(ask(made(always(answer(b"{}", "200 OK", *headers))))).content == content


def test_an_answer_does_not_show_its_body(made, ask):
    assert "done" not in repr(now(ask(made(always(DONE)))))


def test_a_request_is_nothing_for_the_log(made, ask, events):
    now(ask(made(always(DONE))))
    assert [event for event in events if event["log_level"] is not LogLevel.debug] == []


def test_a_cookie_is_not_brought_back(network, made, ask):
    server = made(always(answer(b"", "200 OK", "Set-Cookie: a=b; Path=/")))
    for _ in range(2):
        now(ask(server))
    assert b"ookie" not in network.servers[0].heard


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_what_is_compressed_is_refused_unopened(network, made, ask, coding):
    bomb = gzip.compress(bytes(1 << 20))
    asking = ask(made(always(answer(bomb, "200 OK", f"Content-Encoding: {coding}"))))
    assert words(asking) == "the answer is compressed, which was not asked for"
    network.settle()
    assert network.open == []


@pytest.mark.parametrize("said", [answer(bytes(MOST + 1)), answer(bytes(MOST + 1))[:100]])
def test_an_answer_that_is_too_large_is_refused(made, ask, said):
    assert words(ask(made(always(said)))) == links.too_large(MOST)


def test_each_answer_on_a_kept_connection_may_be_as_large(network, made, ask):
    server = made(always(answer(bytes(MOST))))
    for _ in range(3 * (links.MOST_FRAMING + MOST) // MOST):
        assert len(now(ask(server)).body) == MOST
    assert len(network.servers) == 1


def test_an_answer_on_a_kept_connection_that_is_too_large_is_refused(network, made, ask):
    says = [answer(bytes(MOST + 1)), DONE]
    server = made(lambda *_: says.pop())
    now(ask(server))
    assert words(ask(server, b"body")) == links.too_large(MOST)
    network.settle()
    assert network.open == []


def test_chunks_without_an_end_are_refused(network, made, ask):
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    asking = ask(made(always(start)))
    while not asking.called:
        network.servers[0].transport.write(b"400\r\n" + bytes(1024) + b"\r\n")
        network.settle()
    assert words(asking) == links.too_large(MOST)


def test_what_is_not_http_is_no_answer(made, ask):
    assert (
        words(ask(made(always(b"220 secret ESMTP\r\n")))) == "what the server answers is not HTTP"
    )


def test_an_answer_that_is_cut_is_none(network, made, ask):
    asking = ask(made(always(answer(b"done")[:-1])))
    network.servers[0].transport.loseConnection()
    network.settle()
    assert words(asking) == links.CUT


@pytest.mark.parametrize(("goodbye", "whole"), [(True, True), (False, False)])
def test_an_answer_without_a_length_ends_with_the_goodbye_of_tls(
    network, made, ask, goodbye, whole
):
    asking = ask(made(always(b"HTTP/1.1 200 OK\r\n\r\ndone")))
    transport = network.servers[0].transport
    (transport if goodbye else transport.raw).loseConnection()
    network.settle()
    if whole:
        assert now(asking).body == b"done"
    else:
        assert words(asking) == links.CUT


def test_after_such_an_answer_there_is_nothing_to_keep(network, made, ask):
    def says(server, request):
        server.transport.write(b"HTTP/1.0 200 OK\r\n\r\ndone")
        server.transport.loseConnection()

    server = made(says)
    for _ in range(2):
        assert now(ask(server)).body == b"done"
    assert len(network.servers) == 2


# --- who is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_server_with_a_good_certificate_is_asked(made, ask, make):
    assert now(ask(made(always(DONE), tls=make()), b"secret")).body == b"done"


@pytest.mark.parametrize(("make", "how", "said"), BAD.values(), ids=BAD)
def test_a_server_with_a_bad_one_is_told_nothing(network, made, ask, make, how, said):
    url = f"https://{how.get('host', NAME)}/ask"
    assert said in words(ask(made(always(DONE), url, tls=make()), b"secret"))
    (server,) = network.servers
    assert server.heard == b""
    assert server.lost


def test_a_server_of_https_needs_a_context(network):
    with pytest.raises(ValueError, match="context"):
        web_server.WebServer(URL, None, network, most_octets=1, at_once=1)


def test_a_server_of_http_is_asked_without_tls(network, made, ask):
    assert now(ask(made(always(DONE), PLAIN_URL), b"body")).body == b"done"
    assert network.servers[0].requests[0].headers["host"] == ADDRESS


def test_an_address_of_ipv6_is_called(network, made, ask):
    network.names["::1"] = ["::1"]
    network.places["::1", 5280] = lambda: web.WebServer(always(DONE))
    assert now(ask(made(url="http://[::1]:5280/http-bind"))).body == b"done"
    (request,) = network.servers[0].requests
    assert request.headers["host"] == "[::1]:5280"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectError(111), "connection refused"),
        (OSError(24, "Too many open files"), "too many open files"),
        (OSError(), "no connection can be made"),
    ],
)
def test_a_server_that_cannot_be_reached_is_said_to_be_so(network, made, ask, error, said):
    network.places[ADDRESS, 443] = error
    asking = ask(made())
    network.settle(0.3)  # for which Twisted waits before it looks for another address
    assert said in words(asking)


def test_a_name_that_nobody_knows_is_said_to_be_one(made, ask):
    assert words(ask(made(url="https://nobody.example/"))) == "the host's name cannot be resolved"


IN_CLEAR = "without protection"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://www.example.org/whoami", ""),
        ("https://[2001:db8::1]:8443/", ""),
        ("http://127.0.0.1:5280/http-bind", ""),
        ("http://127.9.9.9", ""),
        ("http://localhost:5280/http-bind", ""),
        ("http://localhost./", ""),
        ("http://[::1]:5280/", ""),
        ("http://www.example.org/", IN_CLEAR),
        ("http://192.0.2.1/", IN_CLEAR),
        ("http://0.0.0.0/", IN_CLEAR),
        ("http://127.0.0.1.example.org/", IN_CLEAR),
        ("http://localhost.example.org/", IN_CLEAR),
        ("http://127.1/", IN_CLEAR),
        ("http://[2001:db8::1]/", IN_CLEAR),
        ("http://[fe80::1%25eth0]/", "no URL"),
        ("http://[fe80::1%eth0]/", "no URL"),
        ("http://[::1/", "no URL"),
        ("http://[localhost]/", "no URL"),
        ("http://127.0.0.1@www.example.org/", "no place in it"),
        ("http://127.0.0.1:0/", "names no host"),
        ("http://127.0.0.1/#a", "not sent"),
        ("http:///whoami", "names no host"),
        ("ftp://127.0.0.1/", "https://"),
        ("127.0.0.1", "https://"),
        ("", "printable"),
        ("http://127.0.0.1/a b", "printable"),
    ],
)
def test_http_goes_to_this_machine_alone(url, said):
    found = url_trouble(url, clear_text=False)
    assert said in found
    assert bool(said) == bool(found)


def test_http_goes_anywhere_where_that_was_said():
    assert url_trouble("http://www.example.org/", clear_text=True) == ""
    assert url_trouble("http://www.example.org/#a", clear_text=True) != ""


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_kept_for_the_next_request(network, made, ask):
    server = made(always(DONE))
    for _ in range(3):
        now(ask(server, b"body"))
        network.settle(web_server.KEPT / 2)
    assert [len(one.requests) for one in network.servers] == [3]


def test_a_connection_is_kept_for_a_while(network, made, ask):
    now(ask(made(always(DONE))))
    network.settle(web_server.KEPT - 0.01)
    assert network.open != []
    network.settle(0.01)
    assert network.open == []


@pytest.mark.parametrize("body", [b"", b"done"])
def test_a_connection_that_the_server_closes_is_not_kept(network, made, ask, body):
    server = made(always(answer(body, "200 OK", "Connection: close")))
    for _ in range(2):
        now(ask(server, b"body"))
        assert network.open == []
    assert [len(one.requests) for one in network.servers] == [1, 1]


def test_one_that_was_closed_meanwhile_is_not_taken(network, made, ask):
    server = made(always(DONE))
    now(ask(server))
    network.servers[0].transport.loseConnection()
    network.settle()
    now(ask(server, b"body"))
    assert [len(one.requests) for one in network.servers] == [1, 1]


def test_one_on_which_something_comes_that_was_not_asked_for_is_closed(network, made, ask):
    server = made(always(DONE))
    now(ask(server))
    network.servers[0].transport.write(answer(b"forged"))
    network.settle()
    assert network.open == []
    assert now(ask(server)).body == b"done"


def test_one_that_is_being_closed_is_not_taken(network, made, ask):
    server = made(always(DONE), PLAIN_URL)
    now(ask(server))
    network.servers[0].transport.peer.protocol.dataReceived(answer(b"forged"))
    assert now(ask(server, b"body")).body == b"done"
    assert [len(one.requests) for one in network.servers] == [1, 1]


@pytest.mark.parametrize("empty", [b"", b"done"])
def test_what_comes_behind_an_answer_is_not_the_next_one(network, made, ask, empty):
    server = made(lambda one, _: answer(empty) + answer(b"forged"))
    for _ in range(2):
        assert now(ask(server)).body == empty


def test_so_many_are_asked_at_once_and_the_others_in_their_order(network, made, ask):
    server = made(at_once=2)
    waiting = [ask(server, b"%d" % number) for number in range(6)]
    order = []
    for number, asking in enumerate(waiting):
        asking.addCallback(lambda _, number=number: order.append(number))
    for _ in range(3):
        assert len(network.open) == 2
        for one in network.open:
            one.transport.write(DONE)
        network.settle()
    assert order == list(range(6))
    assert sorted(len(one.requests) for one in network.servers) == [3, 3]


def test_two_lines_take_turns(network, made, ask):
    server = made(at_once=1)
    order = []

    def stand(name, line):
        ask(server, line=line).addCallback(lambda _: order.append(name))

    stand("first", "flood")
    for number in range(5):
        stand(f"flood-{number}", "flood")
    for number in range(2):
        stand(f"calm-{number}", "calm")
    for _ in range(8):
        (one,) = network.open
        one.transport.write(DONE)
        network.settle()
    assert order == [
        "first", "flood-0", "calm-0", "flood-1", "calm-1", "flood-2", "flood-3", "flood-4",
    ]  # fmt: skip


def test_each_line_has_room_of_its_own(network, made, ask, monkeypatch):
    monkeypatch.setattr(web_server, "MOST_WAITING", 1)
    server = made(at_once=1)
    waiting = [ask(server, line="flood") for _ in range(2)]
    assert words(ask(server, line="flood")) == "too many requests wait for this server"
    waiting.append(ask(server, line="calm"))
    for _ in waiting:
        network.open[0].transport.write(DONE)
        network.settle()
    assert [now(asking).body for asking in waiting] == [b"done"] * 3


def test_the_wait_for_a_turn_is_part_of_the_time(network, made, ask):
    server = made(at_once=1)
    first, second = ask(server, timeout=60), ask(server)
    network.settle(TIMEOUT)
    assert words(second) == "no connection in 4 s"
    network.servers[0].transport.write(DONE)
    network.settle()
    assert now(first).body == b"done"


def test_whoever_gives_up_waiting_leaves_the_others_their_turn(network, made, ask):
    server = made(at_once=1)
    first, second, third = (ask(server) for _ in range(3))
    second.cancel()
    with pytest.raises(CancelledError):
        now(second)
    for _ in range(2):
        network.servers[0].transport.write(DONE)
        network.settle()
    assert now(first).body == now(third).body == b"done"


def test_no_more_wait_than_there_is_room_for(network, made, ask, monkeypatch):
    monkeypatch.setattr(web_server, "MOST_WAITING", 1)
    server = made(at_once=1)
    waiting = [ask(server) for _ in range(2)]
    assert words(ask(server)) == "too many requests wait for this server"
    for asking in waiting:
        asking.cancel()
        with pytest.raises(CancelledError):
            now(asking)


# --- stale ones -----------------------------------------------------------------------------------


class Leaving(web.WebServer):
    """Answers once on each connection, and closes it at the next request."""

    goodbye = True

    def dataReceived(self, data):
        if not self.requests:
            super().dataReceived(data)
        elif self.goodbye:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()


class Cutting(Leaving):
    goodbye = False


@pytest.mark.parametrize("kind", [Leaving, Cutting])
@pytest.mark.parametrize("url", [URL, PLAIN_URL])
def test_a_get_is_repeated_once_on_another_connection(network, made, ask, kind, url):
    server = made(always(DONE), url, kind=kind)
    for _ in range(2):
        assert now(ask(server)).body == b"done"
    assert [len(one.requests) for one in network.servers] == [1, 1]


@pytest.mark.parametrize("kind", [Leaving, Cutting])
def test_a_post_is_not_repeated_but_the_caller_is_told(network, made, ask, kind):
    server = made(always(DONE), kind=kind)
    now(ask(server, b"body"))
    with pytest.raises(Unreached) as raised:
        now(ask(server, b"body"))
    assert raised.value.stale
    assert str(raised.value) == "the server ended the connection without an answer"
    assert len(network.servers) == 1
    assert now(ask(server, b"body")).body == b"done"


def test_the_others_that_are_kept_are_closed_with_a_stale_one(network, made, ask):
    server = made(kind=Leaving)
    asking = [ask(server), ask(server)]
    for one in network.servers:
        one.transport.write(DONE)
    network.settle()
    assert [now(one).body for one in asking] == [b"done", b"done"]
    again = ask(server)
    assert [one.lost for one in network.servers] == [True, True, False]
    network.servers[2].transport.write(DONE)
    network.settle()
    assert now(again).body == b"done"


def test_a_new_connection_that_is_closed_is_not_stale(network, made, ask):
    asking = ask(made())
    network.servers[0].transport.loseConnection()
    network.settle()
    with pytest.raises(Unreached) as raised:
        now(asking)
    assert not raised.value.stale
    assert len(network.attempts) == 1


def test_a_kept_one_that_is_closed_within_an_answer_is_not_stale(network, made, ask):
    says = [DONE[:20], DONE]
    server = made(lambda *_: says.pop())
    now(ask(server))
    asking = ask(server)
    network.servers[0].transport.loseConnection()
    network.settle()
    with pytest.raises(Unreached) as raised:
        now(asking)
    assert not raised.value.stale


# --- when it is over ------------------------------------------------------------------------------


def nobody_answers(network):
    network.places[ADDRESS, 443] = None


def nobody_resolves(network):
    network.resolveHostName = lambda receiver, *_, **__: receiver.resolutionBegan(None)


class Mute(web.WebServer):
    """Takes everything, and does not even speak TLS."""

    def connectionMade(self):
        pass


def mute(network):
    network.places[ADDRESS, 443] = Mute


def silent(network):
    """TLS, and not a word of HTTP."""


STAGES = {
    "name": (nobody_resolves, "no connection in 4 s"),
    "TCP": (nobody_answers, "no connection in 4 s"),
    "TLS": (mute, "no connection in 4 s"),
    "HTTP": (silent, "no whole answer in 4 s"),
}


@pytest.mark.parametrize(("prepare", "said"), STAGES.values(), ids=STAGES)
def test_where_it_hangs_it_is_over_at_the_deadline(network, made, ask, prepare, said):
    prepare(network)
    asking = ask(made(), b"body")
    network.settle(TIMEOUT - 0.01)
    assert not asking.called
    network.settle(0.01)
    assert words(asking) == said
    assert network.open == []


@pytest.mark.parametrize(("prepare", "said"), STAGES.values(), ids=STAGES)
def test_it_can_be_cancelled_wherever_it_is(network, made, ask, prepare, said):
    prepare(network)
    asking = ask(made(), b"body")
    asking.cancel()
    with pytest.raises(CancelledError):
        now(asking)
    network.settle()
    assert network.open == []


@pytest.mark.parametrize(("prepare", "said"), STAGES.values(), ids=STAGES)
def test_it_is_over_when_nobody_asks_any_more(network, made, ask, prepare, said):
    prepare(network)
    server = made(at_once=1)
    asking = [ask(server, b"body") for _ in range(3)]
    server.close()
    for one in asking:
        assert words(one) == "no more is asked of this server: the daemon stops"
    network.settle()
    assert network.open == []
    assert words(ask(server)) == "no more is asked of this server: the daemon stops"


def test_what_is_kept_is_closed_when_nobody_asks_any_more(network, made, ask):
    server = made(always(DONE))
    now(ask(server))
    server.close()
    network.settle()
    assert network.open == []


def test_a_request_that_is_cancelled_while_it_is_answered_leaves_no_connection(network, made, ask):
    asking = ask(made(always(DONE[:-1])))
    asking.cancel()
    with pytest.raises(CancelledError):
        now(asking)
    network.settle()
    assert network.open == []


# --- what need not be answered --------------------------------------------------------------------


def test_silence_is_no_failure_of_what_need_not_be_answered(network, made, ask):
    asking = ask(made(), b"body", silence=0.25)
    network.settle(0.24)
    assert not asking.called
    network.settle(0.01)
    assert now(asking) is None
    assert network.servers[0].requests[0].body == b"body"


def test_who_is_silent_has_time_to_read_what_was_sent(network, made, ask):
    """Of a connection that is aborted nothing may be read any more."""
    asking = ask(made(), b"body", silence=0.25)
    network.settle(0.25)
    assert now(asking) is None
    network.settle(web_server.GOODBYE - 0.01)
    assert len(network.open) == 1
    network.settle(0.01)
    assert network.open == []


def test_of_many_that_are_silent_the_first_makes_way(network, made, ask, monkeypatch):
    monkeypatch.setattr(web_server, "MOST_LEFT", 2)
    server = made()
    for count in (1, 2, 2):
        asking = ask(server, b"body", silence=0.25)
        network.settle(0.25)
        assert now(asking) is None
        assert len(network.open) == count
    assert [web.lost for web in network.servers] == [True, False, False]
    server.close()
    network.settle()


@pytest.mark.parametrize("url", [URL, PLAIN_URL])
def test_what_the_silent_one_says_in_the_end_is_nobodys(network, made, ask, url):
    server = made(url=url)
    asking = ask(server, b"body", silence=0.25)
    network.settle(0.25)
    assert now(asking) is None
    network.servers[0].transport.write(DONE)
    network.servers[0].transport.loseConnection()
    network.settle()
    assert network.open == []
    network.settle(web_server.GOODBYE)


def test_without_tls_it_is_told_at_once_that_nobody_listens(network, made, ask):
    asking = ask(made(url=PLAIN_URL), b"body", silence=0.25)
    network.settle(0.25)
    network.settle()
    assert now(asking) is None
    assert network.servers[0].requests[0].body == b"body"
    assert network.open == []


def test_silence_begins_when_the_request_is_sent(network, made, ask):
    network.places[ADDRESS, 443] = None
    asking = ask(made(), b"body", silence=0.25)
    network.settle(1)
    assert not asking.called
    network.places[ADDRESS, 443] = lambda: web.WebServer(None, OURS.issue(NAME))
    network.settle()
    network.settle(0.24)
    assert not asking.called
    network.settle(0.01)
    assert now(asking) is None


def test_an_answer_is_taken_all_the_same(network, made, ask):
    assert now(ask(made(always(DONE)), b"body", silence=0.25)).body == b"done"


def test_an_answer_that_has_begun_is_waited_for(network, made, ask):
    asking = ask(made(always(DONE[:-1])), b"body", silence=0.25)
    network.settle(0.25)
    assert not asking.called
    network.servers[0].transport.write(DONE[-1:])
    network.settle()
    assert now(asking).body == b"done"


def test_a_connection_that_is_lost_is_no_silence(network, made, ask):
    asking = ask(made(), b"body", silence=0.25)
    network.servers[0].transport.loseConnection()
    network.settle()
    assert words(asking) == "the server ended the connection without an answer"
