"""The connections of one listener: who keeps us waiting for longer than it may."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tests.guests import Guest, Place


def test_guests_are_overdue_at_their_time_and_in_their_order():
    place = Place()
    place.enter("slow", seconds=75.0)
    place.enter("first", seconds=15.0)
    place.clock.advance(2.5)
    place.enter("second", seconds=15.0)
    place.enter("third", seconds=15.0)
    place.enter("at once", seconds=0.25)
    place.clock.pump([0.25] * 400)
    assert place.told == [
        (2.75, "overdue", "at once"),
        (15.0, "overdue", "first"),
        (17.5, "overdue", "second"),
        (17.5, "overdue", "third"),
        (75.0, "overdue", "slow"),
    ]
    assert place.alarms() == []


def test_nobody_is_overdue_a_moment_too_early():
    place = Place()
    place.enter("first", seconds=15.0)
    place.clock.advance(14.999)
    assert place.told == []
    place.clock.advance(0.001)
    assert place.who("overdue") == ["first"]


def test_there_is_one_alarm_for_all():
    place = Place()
    place.enter("slow", seconds=75.0)
    assert place.alarms() == [75.0]
    guests = [place.enter(str(number), seconds=15.0) for number in range(50)]
    assert place.alarms() == [15.0]
    for guest in guests:
        place.room.served(guest)
    place.clock.advance(15)
    assert place.told == []
    assert place.alarms() == [75.0]
    place.clock.advance(60)
    assert place.told == [(75.0, "overdue", "slow")]


def test_who_is_served_or_has_left_or_is_not_expected_is_not_overdue():
    place = Place()
    place.enter("not expected")
    place.room.served(place.enter("served", seconds=1.0))
    place.room.leave(place.enter("gone", seconds=1.0))
    place.clock.advance(100)
    assert place.told == []
    assert place.alarms() == []


class LastMoment(Guest):
    """Is given another moment, as a connection to which an answer is still written."""

    def overdue(self):
        super().overdue()
        if len(self.told) < 4:
            self.room.expect(self, 5.0)


def test_a_guest_may_be_given_a_last_moment_when_it_is_overdue():
    place = Place()
    place.enter("first", seconds=15.0, kind=LastMoment)
    place.enter("second", seconds=15.0)
    place.clock.pump([0.5] * 100)
    assert place.told == [
        (15.0, "overdue", "first"),
        (15.0, "overdue", "second"),
        (20.0, "overdue", "first"),
        (25.0, "overdue", "first"),
    ]


class Leaving(Guest):
    """Goes when it is overdue, and takes somebody along."""

    companion = None

    def overdue(self):
        super().overdue()
        self.room.leave(self)
        if self.companion is not None:
            self.room.leave(self.companion)


def test_a_guest_may_leave_when_it_is_overdue():
    place = Place(most=1)
    place.enter("first", seconds=15.0, kind=Leaving)
    place.clock.advance(15)
    place.enter("second", seconds=15.0)
    place.clock.advance(15)
    assert place.who("overdue") == ["first", "second"]
    assert place.who("make way") == []


def test_who_has_left_while_another_was_told_is_not_told():
    place = Place()
    first = place.enter("first", seconds=15.0, kind=Leaving)
    first.companion = place.enter("second", seconds=15.0)
    place.clock.advance(15)
    assert place.who("overdue") == ["first"]


class Broken(Guest):
    """Has a fault."""

    def overdue(self):
        raise RuntimeError("a fault")


def test_a_fault_of_one_guest_keeps_no_other_from_being_overdue():
    """Else the listener would keep every idle connection from then on."""
    place = Place()
    place.enter("broken", seconds=15.0, kind=Broken)
    place.enter("second", seconds=15.0)
    place.enter("third", seconds=20.0)
    place.clock.pump([1.0] * 30)
    assert place.who("overdue") == ["second", "third"]


# --- whatever happens -----------------------------------------------------------------------------


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "expect", "expect", "served", "leave", "wait"]),
        st.integers(0, 7),
        st.integers(1, 4),
    ),
    max_size=80,
)


class Model:
    """What should be so, told by the simplest means: who is there, and who is expected when."""

    def __init__(self, most, most_of_a_peer):
        self.place = Place(most, most_of_a_peer)
        self.most = most
        self.most_of_a_peer = most_of_a_peer
        self.there = {}
        self.expected = {}
        self.seen = 0
        self.names = itertools.count()

    def enter(self, which, _):
        guest, peer = self.place.guest(f"guest {next(self.names)}"), "abc"[which % 3]
        mine = [one for one, whose in self.there.items() if whose == peer]
        crowded = len(mine) >= self.most_of_a_peer
        idle = [one for one in (mine if crowded else self.there) if one in self.expected]
        if not crowded and len(self.there) < self.most:
            assert self.place.room.enter(guest, peer)
            assert self.news() == []
        elif idle:
            assert self.place.room.enter(guest, peer)
            ((_, what, name),) = self.news()
            assert what == "make way"
            (gone,) = [one for one in idle if one.name == name]
            since = min(self.expected[one][0] for one in idle)
            assert self.expected[gone][0] == since
            self.forget(gone)
        else:
            assert not self.place.room.enter(guest, peer)
            assert self.news() == []
            return
        self.there[guest] = peer

    def expect(self, which, seconds):
        if guest := self.pick(which):
            self.place.room.expect(guest, seconds)
            now = self.place.clock.seconds()
            self.expected[guest] = (now, now + seconds)

    def served(self, which, _):
        if guest := self.pick(which):
            self.place.room.served(guest)
            self.expected.pop(guest, None)

    def leave(self, which, _):
        if guest := self.pick(which):
            self.place.room.leave(guest)
            self.forget(guest)

    def wait(self, _, seconds):
        """One second after the other: whoever is overdue is told at its second, once."""
        for _ in range(seconds):
            self.place.clock.advance(1)
            now = self.place.clock.seconds()
            due = [guest for guest, (_, until) in self.expected.items() if until == now]
            for guest in due:
                del self.expected[guest]
            told = self.news()
            assert sorted(told) == sorted((now, "overdue", guest.name) for guest in due)

    def pick(self, which):
        return list(self.there)[which % len(self.there)] if self.there else None

    def forget(self, guest):
        del self.there[guest]
        self.expected.pop(guest, None)

    def news(self):
        told = self.place.told[self.seen :]
        self.seen = len(self.place.told)
        return told

    def check(self):
        peers = list(self.there.values())
        assert len(peers) <= self.most
        assert all(peers.count(peer) <= self.most_of_a_peer for peer in "abc")
        assert len(self.place.alarms()) <= 1
        earliest = min((until for _, until in self.expected.values()), default=None)
        assert earliest is None or self.place.alarms()[0] <= earliest


@given(st.integers(1, 5), st.integers(1, 4), STEPS)
def test_the_caps_hold_and_nobody_is_forgotten(most, most_of_a_peer, steps):
    """Whatever the order of coming, asking, being answered and leaving."""
    model = Model(most, most_of_a_peer)
    for step, which, seconds in steps:
        getattr(model, step)(which, seconds)
        model.check()
    model.wait(0, 5)
    assert model.expected == {}
    for guest in list(model.there):
        model.place.room.leave(guest)
    assert not model.place.room._peers
    assert not model.place.room._of_a_peer
    assert not model.place.room._given
    assert not any(model.place.room._expected.values())
