"""Answers go out at once, whole and in order, or through the transport."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.tcp import Connection
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from authbridge.direct import Writer


class Reactor:
    """Remembers who waits to write."""

    def __init__(self):
        self.writers = set()

    def addReader(self, reader):
        pass

    removeReader = addReader

    def addWriter(self, writer):
        self.writers.add(writer)

    def removeWriter(self, writer):
        self.writers.discard(writer)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    reactor = Reactor()
    connection = Connection(ours, None, reactor)
    connection.connected = True
    yield connection, theirs, reactor
    ours.close()
    theirs.close()


def test_what_the_socket_takes_is_written_at_once(pair):
    connection, theirs, reactor = pair
    Writer(connection).write(b"answer")
    assert theirs.recv(100) == b"answer"
    assert reactor.writers == set()


def test_what_it_does_not_take_goes_through_the_transport_and_all_behind_it_too(pair):
    connection, theirs, reactor = pair
    writer = Writer(connection)
    large = bytes(range(256)) * 40_000
    writer.write(large)
    writer.write(b"behind")
    assert reactor.writers == {connection}
    received = b""
    while len(received) < len(large) + 6:
        try:
            received += theirs.recv(1 << 20)
        except BlockingIOError:
            connection.doWrite()
    assert received == large + b"behind"
    writer.write(b"later")
    connection.doWrite()
    assert theirs.recv(100) == b"later"


def test_a_broken_connection_is_the_transports_to_find_out(pair):
    connection, theirs, reactor = pair
    theirs.close()
    Writer(connection).write(b"answer")
    assert reactor.writers == {connection}


def test_what_wraps_a_connection_is_never_bypassed(pair):
    """As TLS does it: its wrapper hands out the attributes of what it wraps."""
    connection, theirs, _ = pair
    wrapper = ProtocolWrapper(WrappingFactory(None), None)
    wrapper.transport = connection
    written = []
    wrapper.write = written.append
    assert wrapper.writeSomeData
    Writer(wrapper).write(b"secret")
    assert written == [b"secret"]
    with pytest.raises(BlockingIOError):
        theirs.recv(100)
    Writer(transport := StringTransport()).write(b"x")
    assert transport.value() == b"x"
