"""What is listed of a user's temporary tokens, and to whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authbridge.model import Reason
from authbridge.stores.ledger import StoreUnavailable
from authbridge.stores.operations import MOST_LIVE
from tests.doubles import now
from tests.token_office.offices import ALICE, BOB, MEMBERS, NOW, SITE, refused

OTHER = replace(SITE, name="other", domains=frozenset({"example.net"}))


def listed(office, jid=ALICE, grant=SITE):
    return now(office.office.list(grant, jid))


def test_a_list_has_what_can_still_be_used_the_oldest_first(office):
    once = office.issue(ttl=1800.0)
    office.clock.advance(1)
    phone = office.issue(ttl=3600.0, uses=5, device="Phone", note="lost?")
    office.clock.advance(1)
    used, over = office.issue(), office.issue(ttl=1.0)
    office.use(phone)
    office.use(used)
    office.clock.advance(1)
    office.issue(BOB)
    first, second = listed(office, "Alice@example.org")
    assert (first.id, second.id, len({once.id, phone.id, over.id})) == (once.id, phone.id, 3)
    assert (second.issued_at, second.expires_at) == (NOW + 1, NOW + 3601)
    assert (first.uses_left, first.last_used_at) == (1, None)
    assert (second.uses_left, second.last_used_at) == (4, NOW + 2)
    assert (second.client, second.device, second.note) == ("website", "Phone", "lost?")
    for one in (once, phone):
        assert one.token.reveal().decode()[6:] not in repr((first, second))


def test_times_are_by_the_machines_clock(office):
    office.ledger.by = 3600.0
    office.use(office.issue(uses=2))
    (kept,) = listed(office)
    assert (kept.issued_at, kept.expires_at, kept.last_used_at) == (NOW, NOW + 60, NOW)


def test_a_list_is_whole(office):
    """There are no more than one may have."""
    digests = office.fill()
    found = listed(office)
    assert {one.id for one in found} == {digest[:16].hex() for digest in digests}
    assert len(found) == MOST_LIVE


def test_to_list_leaves_no_line(office):
    listed(office)
    assert office.lines == []


@pytest.mark.parametrize(
    ("jid", "grant", "reason"),
    [
        ("alice", SITE, Reason.USER_MALFORMED),
        (ALICE, OTHER, Reason.CALLER_NOT_ALLOWED),
        (BOB, replace(SITE, users=MEMBERS), Reason.CALLER_NOT_ALLOWED),
    ],
)
def test_who_may_not_ask_gets_no_list(office, jid, grant, reason):
    office.issue(BOB)
    assert refused(office.office.list(grant, jid)).reason is reason


def test_without_the_state_there_is_no_list(office):
    office.ledger.down = "was lost"
    with pytest.raises(StoreUnavailable):
        listed(office)
