"""The body of an answer: all of it, or none."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import UNKNOWN_LENGTH

from authbridge.outbound.body import TooLarge, read_body
from tests.doubles import now

MOST = 10
DONE, CLOSED = ResponseDone(), PotentialDataLoss()


class Answer:
    """See IResponse: of a length that it says or does not say."""

    def __init__(self, length):
        self.length = length
        self.reader = None

    def deliverBody(self, reader):
        self.reader = reader

    def end(self, why):
        self.reader.connectionLost(Failure(why))


def reading(length, *pieces):
    """An answer, and the body that is being read, of which these pieces have come."""
    answer = Answer(length)
    body = Deferred.fromCoroutine(read_body(answer, MOST))
    for piece in pieces:
        answer.reader.dataReceived(piece)
    return answer, body


PIECES = [(), (b"",), (b"x" * MOST,), (b"x" * 4, b"y" * 6), (b"x",) * MOST, (b"x", b"", b"y")]


@pytest.mark.parametrize("pieces", PIECES)
@pytest.mark.parametrize("end", [DONE, CLOSED])
def test_up_to_its_limit_it_is_there_when_it_ends(pieces, end):
    whole = b"".join(pieces)
    for length in (len(whole), UNKNOWN_LENGTH):
        answer, body = reading(length, *pieces)
        assert not body.called
        answer.end(end)
        assert now(body) == whole


@pytest.mark.parametrize("length", [MOST + 1, 1 << 40])
def test_what_says_that_it_is_too_large_is_not_read(length):
    answer, body = reading(length)
    with pytest.raises(TooLarge):
        now(body)
    assert answer.reader is None


@pytest.mark.parametrize(
    "pieces", [(b"x" * (MOST + 1),), (b"x" * MOST, b"y"), (b"x",) * (MOST + 1)]
)
def test_one_octet_too_many_is_too_many_at_once(pieces):
    _, body = reading(UNKNOWN_LENGTH, *pieces)
    with pytest.raises(TooLarge):
        now(body)


@pytest.mark.parametrize("end", [DONE, CLOSED, ConnectionLost()])
def test_what_comes_after_that_is_thrown_away(end):
    answer, body = reading(UNKNOWN_LENGTH, b"x" * 9, b"yy", b"z", b"", b"z" * 99)
    with pytest.raises(TooLarge):
        now(body)
    assert answer.reader._octets == []
    answer.end(end)
    assert answer.reader._octets == []


@pytest.mark.parametrize("end", [ConnectionLost(), ResponseFailed([])])
@pytest.mark.parametrize("pieces", PIECES)
def test_what_is_cut_is_none(pieces, end):
    answer, body = reading(UNKNOWN_LENGTH, *pieces)
    answer.end(end)
    with pytest.raises(type(end)):
        now(body)
