"""Connectors in memory, and a front end whose answers the test gives."""

from __future__ import annotations

import os
import socket

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from authbridge.frontends.extauth import ConnectorFactory, ExtauthFrontEnd, ExtauthSettings
from authbridge.rooms import Room
from authbridge.wire import extauth
from authbridge.wire.extauth import ERROR, FALSE, TRUE
from tests.doubles import House, ScriptedChecker

ME = os.geteuid()


class UnixTransport(StringTransport):
    """A transport whose socket says who is at the other end."""

    def __init__(self):
        super().__init__()
        self.socket, self.other = socket.socketpair(socket.AF_UNIX)

    def close(self):
        self.socket.close()
        self.other.close()


class Turning(Clock):
    """A clock whose reactor makes one turn at a time."""

    def turn(self):
        """What is due, and not yet what that has called for."""
        for call in [call for call in self.calls if call.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


class Listener:
    """What makes the connections of one listener, with its clock and its room."""

    def __init__(self, front_end, uids=(ME,), most=100):
        self.clock = Turning()
        settings = ExtauthSettings(("x",), frozenset(uids), 8.0, ERROR, TRUE)
        if isinstance(front_end, ScriptedChecker):
            front_end = ExtauthFrontEnd(House(front_end).authenticator, settings)
        self.room = Room("unix:/s", self.clock, most, most)
        self.factory = ConnectorFactory(front_end, settings, self.clock, self.room)
        self.transports = []

    def connect(self, transport=None):
        """A new connection."""
        if transport is None:
            transport = UnixTransport()
            self.transports.append(transport)
        connector = self.factory.buildProtocol(None)
        connector.makeConnection(transport)
        return connector

    def close(self):
        for transport in self.transports:
            transport.close()


def answers(connector):
    """What was written since the last time."""
    found = extauth.take_answers(bytearray(connector.transport.value()))
    connector.transport.clear()
    return found


def greeted(connector):
    """Whether it was told that it is served."""
    admitted = extauth.take_hello(bytearray(connector.transport.value())).admitted
    connector.transport.clear()
    return admitted


class Asked:
    """A front end whose answers the test gives; at once those that it is told to."""

    def __init__(self, at_once=lambda number: False):
        self.at_once = at_once
        self.asked = []
        self.waiting = {}

    def ask(self, frame, answered):
        number = int(frame)
        self.asked.append(number)
        if self.at_once(number):
            answered(TRUE)
        else:
            self.waiting[number] = answered

    def answer(self, *numbers):
        for number in numbers:
            self.waiting.pop(number)(FALSE)


def questions(*numbers):
    return b"".join(extauth.question(number, b"%d" % number) for number in numbers)
