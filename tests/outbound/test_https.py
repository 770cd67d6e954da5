"""One GET over HTTPS: whom it is sent to, what is taken for an answer, and when it is over."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, UserError
from twisted.internet.protocol import Protocol
from twisted.logger import LogLevel

from authbridge import client_tls
from authbridge.outbound import https, links
from authbridge.outbound.https import FetchFailed
from tests.doubles import now
from tests.ldap.certificates import ADDRESS, BAD, GOOD, NAME, OURS
from tests.ldap.server import ServerTls
from tests.outbound import loopback

ROOT = Path(__file__).parents[2]
URL = f"https://{NAME}/keys?of=us"
TIMEOUT, MOST = 4.0, 1 << 16
KEYS = b'{"keys": []}'


def answer(body=KEYS, status="200 OK", *headers, length=True):
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*chunks):
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return answer(body, "200 OK", "Transfer-Encoding: chunked", length=False)


class WebServer(Protocol):
    """One connection, as the server sees it. Answers a request with `says`."""

    def __init__(self, says=None, tls=None):
        self.heard = b""
        self.lost = False
        self.says = says
        self.tls = tls

    def connectionMade(self):
        if self.tls is not None:
            self.transport.startTLS(ServerTls(self.tls))

    def dataReceived(self, data):
        self.heard += data
        if self.says is not None and self.heard.endswith(b"\r\n\r\n"):
            self.transport.write(self.says)

    def connectionLost(self, reason):
        self.lost = True


@pytest.fixture
def fetch(network, trust):
    """Begins a fetch from a server that says this, and lets everything happen that can."""

    def begin(says=None, url=URL, *, tls=None, kind=WebServer, most_octets=MOST):
        context = OURS.issue(NAME, ADDRESS) if tls is None else tls
        network.places.setdefault((ADDRESS, 443), lambda: kind(says, context))
        fetching = Deferred.fromCoroutine(
            https.get(url, trust, network, timeout=TIMEOUT, most_octets=most_octets)
        )
        network.settle()
        return fetching

    return begin


def words(fetching):
    with pytest.raises(FetchFailed) as raised:
        now(fetching)
    return str(raised.value)


# --- what is asked --------------------------------------------------------------------------------


def test_what_the_server_sends_is_what_is_fetched(network, fetch):
    assert now(fetch(answer())) == KEYS
    (server,) = network.servers
    assert server.lost


def test_a_fetch_is_nothing_for_the_log(fetch, events):
    now(fetch(answer()))
    assert [event for event in events if event["log_level"] is not LogLevel.debug] == []


def test_a_request_says_no_more_than_it_must(network, fetch):
    now(fetch(answer()))
    first, *headers = network.servers[0].heard.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert first == "GET /keys?of=us HTTP/1.1"
    assert sorted(headers) == [
        "Accept-Encoding: identity",
        "Accept: application/jwk-set+json, application/json",
        "Connection: close",
        f"Host: {NAME}",
        "User-Agent: authbridge",
    ]


@pytest.mark.parametrize(
    ("url", "place", "host"),
    [
        (f"https://{NAME}", (ADDRESS, 443), NAME),
        (f"https://{NAME.upper()}/", (ADDRESS, 443), NAME),
        (f"https://{NAME}./", (ADDRESS, 443), f"{NAME}."),
        (f"https://{NAME}:8443/", (ADDRESS, 8443), f"{NAME}:8443"),
        (f"https://{ADDRESS}/", (ADDRESS, 443), ADDRESS),
    ],
)
def test_a_server_is_called_where_the_url_says_and_by_that_name(network, fetch, url, place, host):
    context = OURS.issue(NAME, ADDRESS)
    network.places = {place: lambda: WebServer(answer(), context)}
    now(fetch(url=url))
    (attempt,) = network.attempts
    assert (attempt.host, attempt.port) == place
    assert f"\r\nhost: {host}\r\n" in network.servers[0].heard.decode().lower()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "printable"),
        ("https://bücher.example/", "printable"),
        (f"https://{NAME}/a b", "printable"),
        (f"https://{NAME}/\r\nHost: other", "printable"),
        (f"https://{NAME}/{'a' * 2000}", "2000"),
        (f"http://{NAME}/", "https://"),
        (f"HTTPS://{NAME}/", "https://"),
        (f"ftp://{NAME}/", "https://"),
        ("file:///etc/passwd", "https://"),
        (NAME, "https://"),
        ("https://[::1/", "no URL"),
        (f"https://{NAME}:port/", "no URL"),
        (f"https://{NAME}:65536/", "no URL"),
        ("https://xn--0/", "no URL"),
        ("https://ab--c.example/", "no URL"),
        ("https://[2001:db8::1]/", "IPv6"),
        (f"https://{NAME}:0/", "names no host"),
        ("https://", "names no host"),
        ("https:///keys", "names no host"),
        ("https://a..example/", "no URL"),
        ("https://*.example/", "no URL"),
        ("https://a.example\\b/", "no URL"),
        ("https://1.2.3.4,5/", "no URL"),
        ("https://-a.example/", "no URL"),
        ("https://a_b.example/", "no URL"),
        ("https://a%2eexample/", "no URL"),
        (f"https://me:secret@{NAME}/", "no place in it"),
        (f"https://other@{NAME}/", "no place in it"),
        (f"https://{NAME}/#keys", "not sent"),
    ],
)
def test_what_is_no_url_of_https_is_not_called(network, fetch, url, said):
    assert said in https.url_trouble(url)
    assert said in words(fetch(answer(), url))
    assert network.attempts == []


def test_a_proxy_of_the_environment_is_not_asked(network, fetch, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.99:3128")
    now(fetch(answer()))
    assert [attempt.host for attempt in network.attempts] == [ADDRESS]


def test_a_cookie_is_not_brought_back(network, fetch):
    for _ in range(2):
        now(fetch(answer(KEYS, "200 OK", "Set-Cookie: a=b; Path=/")))
    assert b"ookie" not in network.servers[1].heard


# --- who is asked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_a_server_with_a_good_certificate_is_asked(fetch, make):
    assert now(fetch(answer(), tls=make())) == KEYS


@pytest.mark.parametrize(("make", "how", "said"), BAD.values(), ids=BAD)
def test_a_server_with_a_bad_one_gets_no_request(network, fetch, make, how, said):
    url = f"https://{how.get('host', NAME)}/keys"
    assert said in words(fetch(answer(), url, tls=make()))
    (server,) = network.servers
    assert server.heard == b""
    assert server.lost


def test_what_verification_raises_is_a_refusal(network, fetch, monkeypatch):
    def broken(certificate, host):
        raise MemoryError

    monkeypatch.setattr(client_tls, "verify_certificate_hostname", broken)
    assert words(fetch(answer())) == "the names in the certificate cannot be read"
    assert network.servers[0].heard == b""


def test_what_a_server_says_before_it_is_verified_counts_for_nothing(network, fetch):
    """With the end of its handshake, as TLS lets it."""

    class Hasty(WebServer):
        def connectionMade(self):
            super().connectionMade()
            self.transport.write(answer())

    assert "is not for" in words(fetch(tls=OURS.issue("other.example.org"), kind=Hasty))
    assert network.servers[0].heard == b""


class Plain(WebServer):
    """Speaks no TLS."""

    greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"

    def connectionMade(self):
        pass

    def dataReceived(self, data):
        self.heard += data
        if len(self.heard) == len(data):
            self.transport.write(self.greeting)


class Confident(Plain):
    """Answers whatever is asked."""

    greeting = answer()


@pytest.mark.parametrize("kind", [Plain, Confident])
def test_a_server_that_speaks_no_tls_is_told_nothing(network, fetch, kind):
    assert words(fetch(kind=kind)).startswith("TLS failed (")
    assert b"GET" not in network.servers[0].heard


def test_a_server_that_leaves_in_place_of_tls_is_said_to_do_so(fetch):
    class Leaving(WebServer):
        def connectionMade(self):
            self.transport.loseConnection()

    assert words(fetch(kind=Leaving)) == "the server ended the connection in place of TLS"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectError(111), "connection refused"),
        (UserError(), "user aborted connection"),
        (OSError(24, "Too many open files"), "too many open files"),
        (OSError(), "no connection can be made"),
    ],
)
def test_a_server_that_cannot_be_reached_is_said_to_be_so(network, fetch, error, said):
    network.places[ADDRESS, 443] = error
    fetching = fetch()
    network.settle(0.3)  # for which Twisted waits before it looks for another address
    assert said in words(fetching)


def test_a_name_that_nobody_knows_is_said_to_be_one(network, fetch):
    assert words(fetch(url="https://nobody.example/")) == "the host's name cannot be resolved"


# --- what is an answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says",
    [
        answer(),
        chunked(KEYS[:3], KEYS[3:], b""),
        answer().replace(b"\r\n", b"\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
        answer() + b"and more",
    ],
    ids=["length", "chunks", "newlines", "continue", "more"],
)
def test_an_answer_is_taken_as_it_comes_whole_or_octet_by_octet(network, fetch, says):
    assert now(fetch(says)) == KEYS
    fetching = fetch()
    network.settle()
    for place in range(len(says)):
        network.servers[-1].transport.write(says[place : place + 1])
        network.settle()
    assert now(fetching) == KEYS


def test_a_page_of_html_is_for_the_parser_to_refuse(fetch):
    page = b"<!DOCTYPE html><title>Log in</title>"
    assert now(fetch(answer(page, "200 OK", "Content-Type: text/html"))) == page


def test_an_empty_answer_is_one(fetch):
    assert now(fetch(answer(b""))) == b""


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "303 A", "307 B", "308 C"]
)
def test_a_redirect_is_not_followed(network, fetch, status):
    said = words(fetch(answer(b"", status, f"Location: https://{NAME}/elsewhere")))
    code = status.split()[0]
    assert said == f"the server answers {code} (it points elsewhere, and is not followed)"
    assert len(network.attempts) == 1


@pytest.mark.parametrize("code", [201, 204, 206, 300, 304, 400, 401, 403, 404, 500, 503, 999])
def test_nothing_but_200_is_an_answer(fetch, code):
    assert words(fetch(answer(KEYS, f"{code} Whatever secret"))) == f"the server answers {code}"


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, gzip"])
def test_what_is_compressed_is_refused_unopened(fetch, coding):
    bomb = gzip.compress(bytes(1 << 20))
    said = words(fetch(answer(bomb, "200 OK", f"Content-Encoding: {coding}")))
    assert said == "the answer is compressed, which was not asked for"


def test_what_is_said_not_to_be_compressed_is_taken(fetch):
    assert now(fetch(answer(KEYS, "200 OK", "Content-Encoding: identity"))) == KEYS


LARGE = f"the answer is larger than {MOST} octets"


@pytest.mark.parametrize("make", [answer, chunked, lambda body: chunked(*[body[:9000]] * 7, body)])
def test_an_answer_that_is_too_large_is_refused(fetch, make):
    assert words(fetch(make(bytes(MOST + 1)))) == LARGE


@pytest.mark.parametrize("make", [answer, chunked])
def test_an_answer_as_large_as_it_may_be_is_taken(fetch, make):
    whole = make(bytes(MOST)) if make is answer else make(bytes(MOST), b"")
    assert now(fetch(whole)) == bytes(MOST)


def test_an_answer_that_is_said_to_be_too_large_is_not_read(network, fetch):
    start = answer(bytes(MOST + 1))[:200]
    assert words(fetch(start)) == LARGE


@pytest.mark.parametrize(
    "endless",
    [b"A: b\r\n", b" folded\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["headers", "a header", "promises"],
)
def test_headers_without_an_end_are_refused_too(network, fetch, endless):
    start = endless if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\nA: b\r\n"
    fetching = fetch(start)
    sent = 0
    while not fetching.called:
        network.servers[0].transport.write(endless * 100)
        sent += 100 * len(endless)
        network.settle()
    assert words(fetching) == LARGE
    assert sent < 2 * (MOST + links.MOST_FRAMING)


def test_a_line_without_an_end_is_refused(network, fetch):
    fetching = fetch(b"HTTP/1.1 200 OK\r\nA: " + bytes(1 << 18))
    assert words(fetching) == LARGE


@pytest.mark.parametrize(
    "says",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"220 mail.example.org ESMTP secret\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/x.y 200 OK\r\n\r\n",
        answer(KEYS, "200 OK", "no header"),
        answer(KEYS, "200 OK", "Content-Length: -1"),
        answer(KEYS, "200 OK", "Content-Length: 3"),
        answer(KEYS, "200 OK", "Transfer-Encoding: secret", length=False),
        answer(b"secret\r\n", "200 OK", "Transfer-Encoding: chunked", length=False),
    ],
)
def test_what_is_not_http_is_no_answer(fetch, says):
    assert words(fetch(says)) == "what the server answers is not HTTP"


CUT = "the connection was cut before the answer was whole"


@pytest.mark.parametrize("goodbye", [False, True], ids=["cut", "closed"])
@pytest.mark.parametrize(
    ("says", "said"),
    [
        (b"", "the server ended the connection without an answer"),
        (b"HTTP/1.1 200", CUT),
        (answer()[:30], CUT),
        (answer()[:-1], CUT),
        (chunked(KEYS), CUT),
        (chunked(KEYS, b"")[:-1], CUT),
    ],
    ids=["nothing", "status", "headers", "body", "chunks", "end of chunks"],
)
def test_an_answer_that_is_not_whole_is_none(network, fetch, says, said, goodbye):
    fetching = fetch(says)
    assert not fetching.called
    end(network, goodbye)
    assert words(fetching) == said


def end(network, goodbye):
    """The server ends the connection: as it should, or as if somebody had cut it."""
    (server,) = network.servers
    if goodbye:
        server.transport.loseConnection()
    else:
        server.transport.raw.loseConnection()
    network.settle()


def test_an_answer_without_a_length_ends_with_the_goodbye_of_tls(network, fetch):
    fetching = fetch(answer(length=False))
    assert not fetching.called
    end(network, goodbye=True)
    assert now(fetching) == KEYS


def test_without_the_goodbye_somebody_may_have_cut_it(network, fetch):
    """Whoever is in between can end TCP, but not TLS."""
    fetching = fetch(answer(length=False))
    end(network, goodbye=False)
    assert words(fetching) == CUT


# --- when it is over ------------------------------------------------------------------------------


def nobody_answers(network):
    network.places[ADDRESS, 443] = None


def nobody_resolves(network):
    network.resolveHostName = lambda receiver, *_, **__: receiver.resolutionBegan(None)


class Mute(WebServer):
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
def test_where_it_hangs_it_is_over_at_the_deadline(network, fetch, prepare, said):
    prepare(network)
    fetching = fetch()
    network.settle(TIMEOUT - 0.01)
    assert not fetching.called
    network.settle(0.01)
    assert words(fetching) == said


@pytest.mark.parametrize("start", [b"", answer(bytes(1000))[:40], answer(bytes(1000))[:-1000]])
def test_an_answer_that_trickles_in_has_no_more_time(network, fetch, start):
    fetching = fetch(start)
    for _ in range(15):
        network.settle(0.25)
        assert not fetching.called
        network.servers[0].transport.write(b"a")
    network.settle(0.25)
    assert words(fetching) == "no whole answer in 4 s"
    assert network.servers[0].lost


def test_a_server_that_never_says_goodbye_is_not_waited_for(network, fetch):
    fetching = fetch()
    network.servers[0].transport.write(answer())
    network.servers[0].transport.deaf = True
    network.settle()
    assert now(fetching) == KEYS
    assert network.servers[0].lost


@pytest.mark.parametrize(("prepare", "said"), STAGES.values(), ids=STAGES)
def test_a_fetch_can_be_cancelled_wherever_it_is(network, fetch, prepare, said):
    prepare(network)
    fetching = fetch()
    fetching.cancel()
    with pytest.raises(CancelledError):
        now(fetching)


@pytest.mark.parametrize("start", [answer()[:40], answer()[:-1]], ids=["headers", "body"])
def test_a_fetch_can_be_cancelled_while_it_is_answered(network, fetch, start):
    fetching = fetch(start)
    fetching.cancel()
    with pytest.raises(CancelledError):
        now(fetching)


# --- on a real network ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcomes():
    """What comes of fetches from servers on loopback; see `loopback`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.outbound.loopback"],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", loopback.EXPECTED)
def test_on_loopback_it_is_the_same(outcomes, case):
    outcome, heard = loopback.EXPECTED[case]
    assert outcome in outcomes[case]["outcome"]
    assert outcomes[case]["heard"].startswith("GET /") == heard
    assert not outcomes[case]["open"], "the connection is not closed"
