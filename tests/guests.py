"""Guests of a room, and what they were told."""

from __future__ import annotations

from twisted.internet.task import Clock

from authbridge.rooms import Room


class Guest:
    """Remembers what it is told, in the record that all share."""

    def __init__(self, name, room, clock, told):
        self.name = name
        self.room = room
        self.clock = clock
        self.told = told

    def overdue(self):
        self.told.append((self.clock.seconds(), "overdue", self.name))

    def make_way(self):
        self.told.append((self.clock.seconds(), "make way", self.name))
        self.room.leave(self)  # as a connection that is aborted is lost, then or a little later


class Place:
    """A room, its clock, and what its guests were told."""

    def __init__(self, most=100, most_of_a_peer=100):
        self.clock = Clock()
        self.room = Room("tcp:9281", self.clock, most, most_of_a_peer)
        self.told = []

    def guest(self, name, kind=Guest):
        return kind(name, self.room, self.clock, self.told)

    def enter(self, name, peer="a", seconds=None, kind=Guest):
        """A guest that came in, and that we wait for from now on if `seconds` are given."""
        guest = self.guest(name, kind)
        assert self.room.enter(guest, peer)
        if seconds is not None:
            self.room.expect(guest, seconds)
        return guest

    def alarms(self):
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def who(self, what):
        return [name for _, told, name in self.told if told == what]
