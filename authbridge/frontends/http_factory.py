"""Makes the connections of `listen.http`, and knows them until they end."""

from __future__ import annotations

from weakref import WeakSet

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory

from authbridge.frontends.http_server import Channel, Serving
from authbridge.rooms import Room


class HttpFactory(Factory):
    """Makes the channels of one listener."""

    noisy = False

    def __init__(self, front_end: Serving, clock: IReactorTime, room: Room) -> None:
        self._front_end = front_end
        self._clock = clock
        self._room = room
        self._channels: WeakSet[Channel] = WeakSet()

    def stopFactory(self) -> None:
        """The listener is closed: what was asked over its connections is answered, and no more."""
        for channel in tuple(self._channels):
            channel.retire()

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        """A channel; HTTP/1.1 only."""
        channel = Channel(self._front_end, self._clock, self._room)
        self._channels.add(channel)
        channel.factory = self
        return channel
