"""Tickets: what a right password is worth for half a minute."""

from __future__ import annotations

import os

import pytest
from twisted.internet.task import Clock

from authbridge.frontends import http_tickets
from authbridge.frontends.http_tickets import LIFE, Tickets
from authbridge.model import JID
from authbridge.tokens.forms import Form, recognise

ALICE, BOB = JID("alice", "example.org"), JID("bob", "example.org")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tickets(clock):
    return Tickets(clock.seconds, os.urandom)


def test_a_ticket_is_good_once(tickets):
    one, other = tickets.issue(ALICE), tickets.issue(BOB)
    assert tickets.take(other.encode()) == BOB
    assert tickets.take(one.encode()) == ALICE
    assert tickets.take(one.encode()) is None


def test_a_ticket_has_256_random_bits_and_looks_like_no_password(tickets):
    made = {tickets.issue(ALICE) for _ in range(100)}
    assert len(made) == 100
    for one in made:
        octets = one.encode()
        assert len(octets) == 49
        assert http_tickets.is_one(octets)
        assert recognise(octets, ()) is Form.RESERVED


def test_what_was_never_issued_is_nobodys(tickets):
    ticket = tickets.issue(ALICE).encode()
    for other in (b"", b"abto1_", ticket[:-1], ticket + b"A", ticket.swapcase()):
        assert tickets.take(other) is None
    assert tickets.take(ticket) == ALICE


def test_a_ticket_is_over_after_its_life(tickets, clock):
    one, other = (tickets.issue(ALICE).encode() for _ in range(2))
    clock.advance(LIFE - 0.001)
    assert tickets.take(one) == ALICE
    clock.advance(0.001)
    assert tickets.take(other) is None


def test_what_is_over_is_forgotten_at_the_next(tickets, clock):
    for _ in range(10):
        tickets.issue(ALICE)
    clock.advance(LIFE / 2)
    ticket = tickets.issue(ALICE).encode()
    clock.advance(LIFE / 2)
    tickets.issue(ALICE)
    assert len(tickets._kept) == 2
    assert tickets.take(ticket) == ALICE


def test_the_oldest_makes_way_where_there_are_too_many(tickets, monkeypatch):
    monkeypatch.setattr(http_tickets, "MOST", 3)
    first, second, third, fourth = (tickets.issue(ALICE).encode() for _ in range(4))
    assert tickets.take(first) is None
    assert [tickets.take(one) for one in (second, third, fourth)] == [ALICE] * 3


def test_no_ticket_is_kept(tickets):
    ticket = tickets.issue(ALICE)
    assert ticket not in repr(tickets._kept)
