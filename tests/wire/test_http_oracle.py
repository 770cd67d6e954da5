"""What we take for a request, h11 takes for the same request: a second reader of the same octets.

The other way round it need not be: h11 is generous where the RFC lets it be (folded headers, blanks
around names of codings, trailers), and a proxy in front of us may be so too, or not.
"""

from __future__ import annotations

import random

import h11
import pytest

from authbridge.wire.http_requests import Refused, RequestReader

MUTATIONS = 20_000
SEEDS = (
    b"GET /auth/check_password?user=a&server=b&pass=c%3a HTTP/1.1\r\nHost: h:9281\r\nA: b\r\n\r\n",
    b"POST /auth/json HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nX: y\r\n\r\nhello world",
    b"POST /a HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    b"GET /auth/basic?server=e.org HTTP/1.0\r\nAuthorization: Basic YTpi\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close, TE\r\nExpect: 100-continue\r\n\r\n",
)
TOKENS = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"0", b"1", b"5", b"11", b"+", b"-", b";",
    b"HTTP/1.1", b"HTTP/1.0", b"Content-Length: 11\r\n", b"Content-Length: 3\r\n", b"chunked",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding : chunked\r\n", b"identity", b"\r\n\r\n",
    b"Host: h\r\n", b"X: y\r\n z\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\xff", b"\x0b", b"/",
)  # fmt: skip


def ours(octets):
    """The requests: method, target, body, and how many octets are left."""
    reader, found = RequestReader(), []
    reader.feed(octets)
    try:
        while (request := reader.take()) is not None:
            found.append((request.method, request.target, request.body))
            if not request.persistent:
                break
    except Refused:
        pass
    return found


def theirs(octets, count):
    """The first requests as h11 reads them."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(octets)
    found = []
    for _ in range(count):
        request = connection.next_event()
        assert isinstance(request, h11.Request)
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        found.append((request.method, request.target, body))
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        if len(found) < count:
            connection.start_next_cycle()
    return found


def mutate(chance, octets):
    """The octets with a few changes."""
    for _ in range(chance.randint(1, 4)):
        at, end = sorted(chance.randrange(len(octets) + 1) for _ in range(2))
        kind = chance.randrange(5)
        if kind == 0:
            octets = octets[:at] + chance.choice(TOKENS) + octets[at:]
        elif kind == 1:
            octets = octets[:at] + octets[min(end, at + 3) :]
        elif kind == 2:
            octets = octets[:at] + bytes([chance.randrange(256)]) + octets[at + 1 :]
        elif kind == 3:
            octets = octets[:at] + octets[at:end] + octets[at:]
        else:
            octets = octets + chance.choice(SEEDS)
        if not octets:
            return chance.choice(SEEDS)
    return octets


@pytest.mark.parametrize("seed", range(4))
def test_whatever_we_take_h11_takes_for_the_same(seed):
    chance = random.Random(seed)
    taken = 0
    for _ in range(MUTATIONS // 4):
        octets = mutate(chance, chance.choice(SEEDS))
        found = ours(octets)
        # h11 takes no target beyond ASCII, and no blank line before a request.
        if not found or not octets.isascii() or b"\r\n" * 3 in b"\r\n\r\n" + octets:
            continue
        assert theirs(octets, len(found)) == found, octets
        taken += 1
    assert taken > MUTATIONS // 40
