"""The control socket: explain, for root and our own user."""

from __future__ import annotations

import base64
import json
import os
import socket

import pytest
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from authbridge import control, model
from authbridge.control import ControlFactory, Explainer
from authbridge.frontends.extauth import ExtauthSettings
from authbridge.model import Reason
from authbridge.secret import Secret
from authbridge.wire.extauth import ERROR, TRUE
from tests.doubles import House, ScriptedChecker, now

SETTINGS = ExtauthSettings((), frozenset(), 8.0, ERROR, TRUE)


def explainer(outcome):
    house = House(ScriptedChecker(outcome))
    return Explainer(house.authenticator, SETTINGS, 8.0), house


def test_a_login_is_told_step_by_step_with_every_front_ends_answer():
    explain, house = explainer(model.PASSWORD_MATCHES)
    told = now(explain.explain("Alice@example.org", Secret(b"wonderland")))
    assert told["jid"] == "Alice@example.org"
    assert told["login"]["verdict"] == "accepted"
    assert told["login"]["answers"] == {
        "extauth": "00 02 00 01",
        "http": "200 true",
        "basic": "200 true",
        "json": "200 true",
    }
    assert told["exists"]["answers"] == {"extauth": "00 02 00 01", "http": "200 true"}
    assert ("user", "prepared as alice@example.org") in told["login"]["steps"]
    assert told["exists"]["steps"]
    assert "wonderland" not in json.dumps(told)
    assert [line.split(" front_end=")[1].split()[0] for line in house.lines] == ["explain"] * 2


def test_the_ids_are_those_of_the_lines_in_the_log():
    explain, house = explainer(model.PASSWORD_MATCHES)
    house.check()  # somebody else's
    told = now(explain.explain("alice@example.org", Secret(b"wonderland")))
    assert [line.partition(" id=")[2].partition(" ")[0] for line in house.lines[1:]] == [
        told["login"]["id"],
        told["exists"]["id"],
    ]
    assert " operation=check_password " in house.lines[1]
    assert " operation=user_exists " in house.lines[2]
    told = now(explain.explain("alice@example.org", None))
    assert f" id={told['exists']['id']} " in house.lines[3]
    assert len({line.partition(" id=")[2].partition(" ")[0] for line in house.lines}) == 4


def test_a_refusal_is_a_no_in_each_dialect():
    explain, _ = explainer(model.PASSWORD_MISMATCH)
    told = now(explain.explain("alice@example.org", Secret(b"x")))
    assert told["login"]["answers"] == {
        "extauth": "00 02 00 00",
        "http": "200 false",
        "basic": "401 false",
        "json": "200 false",
    }


def test_an_outage_has_its_own_answers():
    explain, _ = explainer(model.unavailable(Reason.SOURCE_UNREADABLE))
    told = now(explain.explain("alice@example.org", Secret(b"x")))
    assert told["login"]["answers"] == {
        "extauth": "00 02 00 02",
        "http": "503 unavailable",
        "basic": "503 unavailable",
        "json": "503 false",
    }
    assert told["exists"]["answers"] == {"extauth": "00 02 00 01", "http": "503 unavailable"}
    assert told["login"]["words"] == "the users could not be read"


def test_without_a_password_only_the_user_is_asked_for():
    explain, _ = explainer(model.USER_EXISTS)
    told = now(explain.explain("alice@example.org", None))
    assert told["login"] is None
    assert told["exists"]["verdict"] == "accepted"


@pytest.mark.parametrize("jid", ["alice", "", "@", "a b@example.org", "\udcff@example.org"])
def test_what_is_no_user_is_explained_too(jid):
    explain, _ = explainer(model.PASSWORD_MATCHES)
    assert now(explain.explain(jid, Secret(b"x")))["login"]["verdict"] == "rejected"


class Line:
    def __init__(self, outcome=model.PASSWORD_MATCHES):
        self.transport = StringTransport()
        self.transport.socket, self.other = socket.socketpair(socket.AF_UNIX)
        self.protocol = ControlFactory(explainer(outcome)[0], None).buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def reply(self):
        reply = json.loads(self.transport.value())
        assert self.transport.value().endswith(b"\n")
        assert self.transport.disconnecting
        return reply

    def close(self):
        self.transport.socket.close()
        self.other.close()


@pytest.fixture
def line():
    line = Line()
    yield line
    line.close()


def test_a_command_is_answered_on_one_line(line):
    password = base64.b64encode(b"wonderland").decode()
    command = {"command": "explain", "jid": "alice@example.org", "password": password}
    line.protocol.dataReceived(json.dumps(command).encode() + b"\n")
    assert line.reply()["login"]["verdict"] == "accepted"


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"x", b"[]", b"\xff", b"{}", b'{"command": "explain"}',
        b'{"command": "flush", "jid": "a", "password": null}',
        b'{"command": "explain", "jid": 1, "password": null}',
        b'{"command": "explain", "jid": "a", "password": "!"}',
        b'{"command": "explain", "jid": "a", "password": 1}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_command_is_an_error(line, octets):
    line.protocol.dataReceived(octets + b"\n")
    assert "error" in line.reply()


def test_a_line_without_end_is_an_error(line):
    line.protocol.dataReceived(b"x" * (control.LONGEST_LINE + 1))
    assert line.reply() == {"error": "the command is too long"}


def test_a_fault_is_an_error_without_its_message(line):
    class Broken:
        async def explain(self, jid, password):
            raise ValueError("wonderland")

    line.protocol._explainer = Broken()
    events = []
    globalLogPublisher.addObserver(events.append)
    line.protocol.dataReceived(b'{"command": "explain", "jid": "a", "password": null}\n')
    globalLogPublisher.removeObserver(events.append)
    assert line.reply() == {"error": "the command failed; the daemon's log says where"}
    assert any("log_failure" in event for event in events)


def test_another_user_is_turned_away(monkeypatch):
    monkeypatch.setattr(control, "credentials", lambda sock: (1, os.geteuid() + 1))
    line = Line()
    assert line.transport.disconnecting
    assert line.transport.value() == b""
    line.close()
