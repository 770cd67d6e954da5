"""Who gets a temporary token, which, and what is written down of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import CancelledError

from authbridge.localparts import Localparts
from authbridge.model import JID, Reason
from authbridge.stores.ledger import StoreUnavailable
from authbridge.stores.operations import MOST_LIVE, Consume, Revoke, StoreFault
from authbridge.token_office.grants import TTL, Grant, Wanted, check_wanted, prepared
from authbridge.tokens import temporary
from tests.doubles import now
from tests.token_office.offices import ALICE, BOB, MEMBERS, NOW, SITE, WHERE, refused


def no(office, jid=ALICE, grant=SITE, **more):
    """Why somebody gets none."""
    refusal = refused(office.office.issue(grant, Wanted(jid, **more), **WHERE))
    line = office.facts()
    assert (line["verdict"], line["reason"]) == ("rejected", refusal.reason.value)
    assert (line["operation"], line["caller"]) == ("issue_token", grant.name)
    assert "token" not in line
    assert office.ledger.asked == []
    return refusal


def test_a_token_is_shown_once_and_is_good_for_a_minute_and_one_login(office):
    issued = office.issue()
    assert issued.token.reveal().decode() == temporary.make((1).to_bytes(32, "big"))
    assert (issued.jid, issued.uses) == (JID("alice", "example.org"), 1)
    assert issued.expires_at == NOW + 60
    record = office.find(issued)
    assert record.id == issued.id
    assert (record.client, record.device, record.note) == ("website", "", "")
    assert issued.token.reveal() not in repr((issued, record)).encode()
    assert office.use(issued) is Reason.TOKEN_VALID
    assert office.use(issued) is Reason.TOKEN_USED


def test_each_token_is_another(office):
    issued = [office.issue() for _ in range(5)]
    assert len({one.token.reveal() for one in issued}) == 5
    assert len({one.id for one in issued}) == 5


def test_one_line_says_who_has_got_which_for_whom(office):
    issued = office.issue(device="Phone", note="by the shop", ttl=90.5, uses=2)
    assert office.facts() == {
        "id": "boot-1", "operation": "issue_token", "verdict": "accepted", "reason": "token_issued",
        "front_end": "http", "caller": "website", "jid": ALICE, "token": issued.id, "ttl": "90.5",
        "uses": "2",
    }  # fmt: skip
    office.issue(grant=replace(SITE, max_uses=None), uses=None)
    assert office.facts()["uses"] == "any"
    assert not any(issued.token.reveal().decode()[6:] in line for line in office.lines)


def test_what_is_asked_for_is_kept(office):
    record = office.find(office.issue(ttl=3600.0, uses=5, device="Phöne", note="✓ 密码"))
    assert (record.uses, record.device, record.note) == (5, "Phöne", "✓ 密码")
    assert record.expires - record.issued == 3600


def test_the_user_is_prepared(office):
    assert str(office.issue("ALICE@Example.ORG").jid) == ALICE
    assert office.facts()["jid"] == ALICE


@pytest.mark.parametrize(("most", "ttl"), [(3600.0, TTL), (TTL, TTL), (10.0, 10.0), (1.0, 1.0)])
def test_without_a_ttl_it_lives_for_a_minute_or_as_long_as_may_be(office, most, ttl):
    issued = office.issue(grant=replace(SITE, max_lifetime=most))
    assert issued.expires_at == NOW + ttl


def test_the_end_is_told_by_the_machines_clock(office):
    office.ledger.by = 3600.0
    issued = office.issue()
    assert issued.expires_at == NOW + 60
    assert office.find(issued).expires == NOW + 3660


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "jid",
    ["", "alice", "@example.org", "alice@", "alice@example.org/phone", "a@b@c", "alice@exa mple",
     "alice\ud800@example.org", "al ice@example.org", "alice@example.org\n", "a" * 2000 + "@b"],
)  # fmt: skip
def test_what_is_no_user_gets_none(office, jid):
    assert no(office, jid).reason is Reason.USER_MALFORMED


@pytest.mark.parametrize(
    ("jid", "grant"),
    [
        ("alice@example.net", SITE),
        ("alice@sub.example.org", SITE),
        (BOB, replace(SITE, users=MEMBERS)),
        ("amember-1@example.org", replace(SITE, users=MEMBERS)),
        (ALICE, replace(SITE, users=Localparts())),
        (ALICE, replace(SITE, domains=frozenset())),
    ],
)
def test_a_user_whom_the_grant_does_not_cover_gets_none(office, jid, grant):
    refusal = no(office, jid, grant)
    assert refusal.reason is Reason.CALLER_NOT_ALLOWED
    assert grant.name in refusal.words


def test_a_grant_covers_its_users_and_domains(office):
    grant = replace(SITE, users=MEMBERS)
    for jid in (ALICE, "member-1@example.org", "member-@example.org"):
        assert str(office.issue(jid, grant).jid) == jid
    anywhere = replace(SITE, domains=frozenset({"*"}))
    assert str(office.issue(ALICE, anywhere).jid) == ALICE


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"ttl": 0.0}, Reason.REQUEST_MALFORMED),
        ({"ttl": 0.999}, Reason.REQUEST_MALFORMED),
        ({"ttl": -60.0}, Reason.REQUEST_MALFORMED),
        ({"ttl": float("nan")}, Reason.REQUEST_MALFORMED),
        ({"ttl": float("inf")}, Reason.CALLER_NOT_ALLOWED),
        ({"ttl": 3600.001}, Reason.CALLER_NOT_ALLOWED),
        ({"uses": 0}, Reason.REQUEST_MALFORMED),
        ({"uses": -1}, Reason.REQUEST_MALFORMED),
        ({"uses": 1_000_001}, Reason.REQUEST_MALFORMED),
        ({"uses": 6}, Reason.CALLER_NOT_ALLOWED),
        ({"uses": None}, Reason.CALLER_NOT_ALLOWED),
        ({"device": "x" * 101}, Reason.REQUEST_MALFORMED),
        ({"device": "a\nb"}, Reason.REQUEST_MALFORMED),
        ({"device": "\x1b[31m"}, Reason.REQUEST_MALFORMED),
        ({"note": "x" * 101}, Reason.REQUEST_MALFORMED),
        ({"note": "\ud800"}, Reason.REQUEST_MALFORMED),
        ({"note": "\u202e"}, Reason.REQUEST_MALFORMED),
    ],
)
def test_what_may_not_be_asked_for_is_refused(office, wanted, reason):
    assert no(office, **wanted).reason is reason


def test_the_limits_may_be_reached():
    grant = Grant("control", frozenset({"*"}), None, 1e9, None, None)
    for uses in (1, 1_000_000, None):
        check_wanted(grant, Wanted(ALICE, 1.0, uses, "x" * 100, "x" * 100), 1.0)
    check_wanted(SITE, Wanted(ALICE, 3600.0, 5), 3600.0)


def test_a_domain_that_is_not_served_has_none(office):
    grant = replace(SITE, domains=frozenset({"*"}))
    assert no(office, "alice@example.com", grant).reason is Reason.DOMAIN_UNKNOWN
    assert no(office, "alice@example.net", grant).reason is Reason.TOKEN_NOT_ACCEPTED


def test_who_never_logs_in_by_token_gets_none(office):
    assert no(office, "admin@example.org").reason is Reason.TOKEN_NEVER
    assert no(office, "ADMIN@example.org").reason is Reason.TOKEN_NEVER


# --- rates ----------------------------------------------------------------------------------------


def test_who_asks_too_often_is_told_when_to_come_again(office):
    grant = replace(SITE, rate=(3, 60.0))
    for _ in range(3):
        office.issue(grant=grant)
    office.lines.clear()
    office.ledger.asked.clear()
    refusal = no(office, grant=grant)
    assert (refusal.reason, refusal.retry_after) == (Reason.RATE_EXCEEDED, 20.0)
    office.clock.advance(20)
    office.issue(grant=grant)
    office.lines.clear()
    office.ledger.asked.clear()
    assert no(office, grant=grant).reason is Reason.RATE_EXCEEDED


def test_each_client_has_a_rate_of_its_own(office):
    one, other = (replace(SITE, name=name, rate=(1, 60.0)) for name in ("one", "other"))
    for grant in (one, other):
        office.issue(grant=grant)
        office.lines.clear()
        office.ledger.asked.clear()
        assert no(office, grant=grant).reason is Reason.RATE_EXCEEDED
    for _ in range(100):
        office.issue()


def test_what_is_refused_does_not_count(office):
    grant = replace(SITE, rate=(1, 60.0))
    for wanted in ({"ttl": 0.0}, {"uses": 6}, {"jid": "alice"}, {"jid": "admin@example.org"}):
        no(office, grant=grant, **wanted)
    assert office.issue(grant=grant).uses == 1


# --- how many -------------------------------------------------------------------------------------


def one_too_many(office, grant=SITE):
    """That Alice gets no other, and what is written down of it."""
    office.lines.clear()
    refusal = refused(office.office.issue(grant, Wanted(ALICE), **WHERE))
    assert refusal.reason is Reason.TOKENS_TOO_MANY
    assert (refusal.words, refusal.retry_after) == (
        f"{ALICE} has 1000 tokens already; revoke some", 0.0,
    )  # fmt: skip
    facts = office.facts()
    assert (facts["operation"], facts["verdict"], facts["reason"], facts["jid"]) == (
        "issue_token", "rejected", "tokens_too_many", ALICE,
    )  # fmt: skip


def use_up(office, digest):
    for _ in range(2):
        one_too_many(office)
        assert now(office.ledger.ask(Consume(digest, ALICE))) is Reason.TOKEN_VALID


def revoke(office, digest):
    assert now(office.ledger.ask(Revoke(temporary.id_of(digest)))) is True


def revoke_all(office, _digest):
    assert now(office.office.revoke_user(SITE, ALICE, **WHERE)) == MOST_LIVE


def wait(office, _digest):
    office.clock.advance(3599)
    one_too_many(office)
    office.clock.advance(1)


@pytest.mark.parametrize(("end", "room"), [(use_up, 1), (revoke, 1), (revoke_all, 2), (wait, 2)])
def test_who_has_a_thousand_gets_no_other_until_one_is_over(office, end, room):
    *_, digest = office.fill()
    one_too_many(office)
    end(office, digest)
    for _ in range(room):
        assert office.use(office.issue(ttl=60.0, uses=2)) is Reason.TOKEN_VALID
    if room == 1:
        one_too_many(office)


def test_each_user_may_have_as_many_whoever_had_them_issued(office):
    office.fill()
    office.issue(BOB)
    one_too_many(office, replace(SITE, name="another"))
    assert office.use(office.issue(BOB)) is Reason.TOKEN_VALID


# --- the state ------------------------------------------------------------------------------------


def test_without_the_state_there_are_none(office):
    office.ledger.down = "was lost"
    with pytest.raises(StoreUnavailable):
        office.issue()
    facts = office.facts()
    assert (facts["verdict"], facts["reason"]) == ("unavailable", "state_unavailable")
    assert facts["token"]  # it may have been kept


def test_a_fault_of_ours_has_its_line_too(office):
    office.issue()
    office.lines.clear()
    office.octets = 0  # the same again
    with pytest.raises(StoreFault):
        office.issue()
    assert office.facts()["reason"] == "internal_error"


def test_who_gives_up_has_a_line(office):
    office.ledger.silent = True
    begun = office.begin()
    assert office.lines == []
    begun.cancel()
    with pytest.raises(CancelledError):
        now(begun)
    facts = office.facts()
    assert (facts["verdict"], facts["reason"]) == ("unavailable", "deadline_passed")


def test_a_refusal_that_escapes_says_no_more_than_its_reason(office):
    refusal = no(office, "alice@example.net")
    assert str(refusal) == "caller_not_allowed"


@pytest.mark.parametrize("text", ["", "alice", "a@b@c", "alice\ud800@example.org"])
def test_what_is_no_user_is_none(text):
    assert prepared(text) is None
    assert prepared("Alice@example.org") == JID("alice", "example.org")
