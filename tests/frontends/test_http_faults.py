"""Faults of ours behind `listen.http`: answered, logged, and without a word of the request."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail

from authbridge import model
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import Server, get


@pytest.fixture
def server():
    return Server(ScriptedChecker(model.PASSWORD_MATCHES))


class Broken:
    """An authenticator with a fault, and its logins."""

    def __init__(self):
        self.logins = self

    def number(self):
        return "boot-9"

    def check_password(self, *arguments):
        raise ValueError("wonderland")

    def user_exists(self, *arguments):
        return fail(ValueError("wonderland"))


def failures(events):
    return [event for event in events if "log_failure" in event]


@pytest.mark.parametrize("path", ["/auth/check_password", "/auth/user_exists"])
def test_a_fault_is_503_and_the_connection_goes_on(server, events, path):
    server.front_end._authenticator = Broken()
    for _ in range(2):
        reply = server.ask(get(path))
        assert (reply.status, reply.body, reply.id) == (503, b"unavailable", "boot-9")
    assert [event["log_format"] for event in failures(events)] == ["an HTTP call failed"] * 2


def test_a_fault_behind_the_answer_is_logged_and_not_answered_again(server, events, monkeypatch):
    answer = server.channel.answer

    def broken(octets, *, persistent):
        answer(octets, persistent=persistent)
        raise RuntimeError("wonderland")

    monkeypatch.setattr(server.channel, "answer", broken)
    server.send(get())
    assert server.answer().body == b"true"
    (told,) = failures(events)
    assert told["log_format"] == "an HTTP call failed"


def test_a_fault_for_a_caller_who_left_is_logged_alone(server, events):
    outcome: Deferred[model.Outcome] = Deferred()
    broken = Broken()
    broken.user_exists = lambda *arguments, **more: outcome
    server.front_end._authenticator = broken
    server.send(get("/auth/user_exists"))
    server.leave()
    outcome.errback(ValueError("wonderland"))
    assert server.answers() == []
    assert len(failures(events)) == 1


def test_no_url_is_logged(server, events):
    server.factory.startFactory()
    assert server.ask(get()).status == 200
    assert server.ask(get("/nothing")).status == 404
    server.factory.stopFactory()
    assert events == []
    assert "wonderland" not in repr(server.lines)
