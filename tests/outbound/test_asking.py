"""What may be asked twice is asked once more where the connection was stale, and not otherwise."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from authbridge.outbound.asking import request_again
from authbridge.outbound.web_server import Response, Unreached
from tests.doubles import now

ANSWER = Response(200, b"", b"")


class Scripted:
    """A server that answers in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def request(self, *question, timeout):  # noqa: ASYNC109 - as WebServer has it
        self.asked.append((*question, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(web):
    question = request_again(web, b"POST", {"A": "b"}, b"body", timeout=3.0)
    return now(Deferred.fromCoroutine(question))


def test_an_answer_is_the_answer():
    web = Scripted(ANSWER)
    assert ask(web) is ANSWER
    assert web.asked == [(b"POST", {"A": "b"}, b"body", 3.0)]


def test_over_a_stale_connection_it_is_asked_once_more_and_no_more():
    web = Scripted(Unreached("it is closed", stale=True), ANSWER)
    assert ask(web) is ANSWER
    assert web.asked == 2 * [(b"POST", {"A": "b"}, b"body", 3.0)]
    web = Scripted(Unreached("it is closed", stale=True), Unreached("again", stale=True))
    with pytest.raises(Unreached, match="again"):
        ask(web)
    assert len(web.asked) == 2


def test_whatever_else_has_failed_may_have_been_heard():
    web = Scripted(Unreached("no whole answer in 3 s"))
    with pytest.raises(Unreached, match="no whole answer"):
        ask(web)
    assert len(web.asked) == 1
