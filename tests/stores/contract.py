"""What every store does. An implementation's tests are a class that inherits this one, and the
fixture `new_store` (`examples.NewStore`)."""

from __future__ import annotations

import random

import pytest
from hypothesis import strategies as st

from authbridge.model import Reason
from authbridge.stores.operations import (
    EVER,
    KEPT,
    MOST_LIVE,
    Admit,
    Claim,
    Consume,
    Find,
    Issue,
    List,
    NoteSeen,
    Operation,
    Peek,
    Record,
    Revoke,
    RevokeAll,
    Seen,
    Store,
    StoreFault,
    Withdraw,
    subject_of_issuer,
    subject_of_jti,
    subject_of_user,
)
from tests.stores.examples import ALICE, BOB, T0, ask, consume, digest, id_, issue, sweep

VALID = Reason.TOKEN_VALID
UNKNOWN = Reason.TOKEN_UNKNOWN
WRONG_USER = Reason.TOKEN_USER_WRONG
REVOKED = Reason.TOKEN_REVOKED
EXPIRED = Reason.TOKEN_EXPIRED
USED = Reason.TOKEN_USED

SITE = subject_of_issuer("site")
SITE_ALICE = subject_of_user("site", ALICE)
JTI = subject_of_jti("site", "1")
ENDS = T0 + 50
"""When a signed token ends: of no matter where it says when it was issued."""


def fill(store: Store, count: int) -> None:
    """As many tokens for Alice: t0, t1, …"""
    for first in range(0, count, 250):
        batch = [issue(f"t{n}") for n in range(first, min(first + 250, count))]
        assert None not in store.run(batch, T0)


class StoreContract:
    @pytest.fixture
    def store(self, new_store):
        store = new_store()
        store.open()
        yield store
        store.close()

    # Issue, Find

    def test_a_token_is_found_as_it_was_issued(self, store):
        asked = Issue(digest("t"), ALICE, 60.0, 3, "website", "Ælice’s phone", "for\nthe 'chat'")
        record = ask(store, asked, T0 + 0.5)
        assert record == Record(
            digest("t"),
            ALICE,
            T0 + 0.5,
            T0 + 60.5,
            3,
            "website",
            "Ælice’s phone",
            "for\nthe 'chat'",
        )
        assert ask(store, Find(id_("t"))) == record

    def test_an_empty_device_and_note_are_kept_as_such(self, store):
        assert ask(store, issue("t", uses=None)) == ask(store, Find(id_("t")))

    def test_an_id_that_is_none_is_not_found(self, store):
        ask(store, issue("t"))
        for wrong in (
            id_("u"),
            "",
            "x",
            "ä" * 32,
            id_("t").upper(),
            id_("t")[:-2],
            id_("t") + "00",
        ):
            assert ask(store, Find(wrong)) is None
            assert ask(store, Revoke(wrong)) is False
        assert ask(store, consume("t")) is VALID

    @pytest.mark.parametrize("between", [0, 1])
    def test_an_id_is_given_out_once(self, store, between):
        ask(store, issue("t"))
        same_id = Issue(digest("t")[:16] + digest("u")[16:], BOB, 60.0, 1, "website")
        for again in (issue("t", BOB), same_id):
            batch = [issue("v"), again]
            batch.insert(between, NoteSeen(BOB))
            with pytest.raises(StoreFault) as caught:
                store.run(batch, T0)
            assert not caught.value.lost
            assert not caught.value.refused
        assert ask(store, Find(id_("t"))).jid == ALICE
        # Nothing else of those batches has happened.
        assert ask(store, Find(id_("v"))) is None
        assert ask(store, Seen(BOB)) is False
        assert ask(store, consume("t")) is VALID

    def test_an_id_is_given_out_once_in_a_batch(self, store):
        with pytest.raises(StoreFault):
            store.run([issue("t"), issue("t", BOB)], T0)
        assert ask(store, Find(id_("t"))) is None

    def test_of_a_user_s_usable_tokens_there_is_a_largest_number(self, store):
        fill(store, MOST_LIVE)
        assert store.run([issue("u"), issue("v"), Find(id_("u"))], T0) == [None] * 3
        assert len(ask(store, List(ALICE))) == MOST_LIVE
        assert ask(store, issue("bob", BOB)).jid == BOB
        for new, over in (("new0", Revoke(id_("t0"))), ("new1", consume("t1"))):
            found = store.run([over, issue(new), issue("u"), Find(id_(new))], T0)
            assert found[0] in (True, VALID)
            assert found[1] == found[3]
            assert found[2] is None
        assert ask(store, issue("u"), T0 + 59) is None
        assert ask(store, issue("u"), T0 + 60) == ask(store, Find(id_("u")))  # all have expired

    def test_tokens_that_are_over_do_not_count_however_many_they_are(self, store):
        for round_ in range(3):
            names = [f"{round_} {n}" for n in range(400)]
            store.run([issue(name, ttl=1e6) for name in names], T0)
            store.run([consume(name) for name in names[:200]], T0)
            store.run([Revoke(id_(name)) for name in names[200:]], T0)
        fill(store, MOST_LIVE)
        assert ask(store, RevokeAll(ALICE)) == MOST_LIVE
        assert ask(store, issue("u")) == ask(store, List(ALICE))[0]

    def test_a_token_that_can_be_used_again_counts(self, store):
        fill(store, MOST_LIVE - 1)
        assert store.run([issue("u", uses=2), consume("u"), issue("v")], T0)[1:] == [VALID, None]
        assert (
            store.run([consume("u"), issue("v", uses=None), consume("v")], T0)[::2] == [VALID] * 2
        )
        assert ask(store, issue("w")) is None

    def test_an_id_is_given_out_once_however_many_tokens_there_are(self, store):
        fill(store, MOST_LIVE)
        for jid in (ALICE, BOB):
            with pytest.raises(StoreFault):
                ask(store, issue("t0", jid))

    # Consume, Peek

    def test_a_token_is_good_once(self, store):
        ask(store, issue("t"))
        assert ask(store, consume("t")) is VALID
        assert ask(store, consume("t")) is USED
        assert ask(store, consume("t")) is USED

    def test_a_token_is_good_as_often_as_was_said(self, store):
        ask(store, issue("t", uses=3))
        assert [ask(store, consume("t")) for _ in range(5)] == [VALID] * 3 + [USED] * 2
        assert ask(store, Find(id_("t"))).uses == 0

    def test_a_token_may_be_good_for_any_number_of_uses(self, store):
        ask(store, issue("t", uses=None))
        assert store.run([consume("t")] * 50, T0) == [VALID] * 50
        assert ask(store, Find(id_("t"))).uses is None

    def test_a_million_uses_are_counted(self, store):
        ask(store, issue("t", uses=1_000_000))
        ask(store, consume("t"))
        assert ask(store, Find(id_("t"))).uses == 999_999

    def test_a_use_notes_its_moment_and_nothing_else_does(self, store):
        record = ask(store, issue("t", uses=2))
        ask(store, consume("t", BOB), T0 + 1)
        ask(store, Peek(digest("t"), ALICE), T0 + 1)
        assert ask(store, Find(id_("t")), T0 + 1) == record
        ask(store, consume("t"), T0 + 2.5)
        assert ask(store, Find(id_("t")), T0 + 3) == record.used(T0 + 2.5)

    def test_of_a_hundred_uses_in_one_batch_one_is_good(self, store):
        ask(store, issue("t"))
        assert store.run([consume("t")] * 100, T0) == [VALID] + [USED] * 99

    def test_a_token_is_used_in_the_batch_that_issues_it(self, store):
        found = store.run([consume("t"), issue("t"), consume("t"), Find(id_("t"))], T0)
        assert found[0] is UNKNOWN
        assert found[2] is VALID
        assert found[3] == found[1].used(T0)

    def test_nobody_else_s_try_uses_a_token_up(self, store):
        ask(store, issue("t"))
        guess = Consume(digest("t")[:16] + digest("u")[16:], ALICE)
        assert store.run([consume("t", BOB), guess, consume("u")], T0) == [
            WRONG_USER,
            UNKNOWN,
            UNKNOWN,
        ]
        assert ask(store, consume("t")) is VALID

    def test_a_jid_is_compared_octet_by_octet(self, store):
        ask(store, issue("t"))
        for other in ("Alice@example.org", ALICE + " ", "alice@example.com", "", "%", ALICE + "\0"):
            assert ask(store, consume("t", other)) is WRONG_USER
        assert ask(store, consume("t")) is VALID

    def test_a_token_is_good_until_the_moment_of_its_end(self, store):
        store.run([issue("t", uses=None), issue("u")], T0)
        assert ask(store, consume("t"), T0 + 59.5) is VALID
        assert ask(store, consume("t"), T0 + 60) is EXPIRED
        assert ask(store, consume("u"), T0 + 60) is EXPIRED

    def test_reasons_have_an_order(self, store):
        """Unknown, somebody else's, revoked, expired, used."""
        store.run([issue("used"), issue("revoked", uses=2), issue("good")], T0)
        store.run([consume("used"), consume("revoked"), Revoke(id_("revoked"))], T0)
        names = ("none", "used", "revoked", "good")

        def answers(jid, now):
            peeked = store.run([Peek(digest(name), jid) for name in names], now)
            if peeked[-1] is not VALID:
                assert store.run([consume(name, jid) for name in names], now) == peeked
            return peeked

        assert answers(BOB, T0) == [UNKNOWN, WRONG_USER, WRONG_USER, WRONG_USER]
        assert answers(ALICE, T0) == [UNKNOWN, USED, REVOKED, VALID]
        assert answers(ALICE, T0 + 60) == [UNKNOWN, EXPIRED, REVOKED, EXPIRED]
        assert answers(BOB, T0 + 60) == [UNKNOWN, WRONG_USER, WRONG_USER, WRONG_USER]

    def test_to_peek_uses_nothing(self, store):
        ask(store, issue("t"))
        assert store.run([Peek(digest("t"), ALICE)] * 3, T0) == [VALID] * 3
        assert ask(store, consume("t")) is VALID
        assert ask(store, Peek(digest("t"), ALICE)) is USED

    # List, Revoke, RevokeAll

    def test_a_user_s_usable_tokens_are_listed_the_oldest_first(self, store):
        for moment, name in enumerate(("a", "b", "c", "d", "e")):
            ask(store, issue(name, uses=2), T0 + moment)
        store.run([issue("short", ttl=1.0), issue("bob", BOB), issue("f", uses=1)], T0 + 5)
        store.run([consume("f"), consume("c"), Revoke(id_("b"))], T0 + 5)
        listed = ask(store, List(ALICE), T0 + 6)
        assert [one.digest for one in listed] == [digest(name) for name in ("a", "c", "d", "e")]
        assert listed[1] == ask(store, Find(id_("c")), T0 + 6)
        assert ask(store, List("carol@example.org"), T0 + 6) == ()

    def test_a_revoked_token_is_refused(self, store):
        record = ask(store, issue("t", uses=2))
        assert ask(store, Revoke(id_("t"))) is True
        assert ask(store, consume("t")) is REVOKED
        found = ask(store, Find(id_("t")))
        assert found.revoked is True
        assert (found.digest, found.uses, found.last_used) == (record.digest, 2, None)

    def test_to_revoke_what_is_over_changes_nothing(self, store):
        store.run([issue("used"), issue("expired", ttl=1.0), issue("revoked")], T0)
        store.run([consume("used"), Revoke(id_("revoked"))], T0)
        names = ("used", "expired", "revoked", "none")
        before = store.run([Find(id_(name)) for name in names], T0 + 1)
        assert store.run([Revoke(id_(name)) for name in names], T0 + 1) == [False] * 4
        assert ask(store, RevokeAll(ALICE), T0 + 1) == 0
        assert store.run([Find(id_(name)) for name in names], T0 + 1) == before

    def test_all_tokens_of_one_user_are_revoked(self, store):
        store.run([issue(f"t{n}", uses=None) for n in range(300)], T0)
        store.run([issue("bob", BOB), issue("used"), consume("used")], T0)
        assert ask(store, RevokeAll(ALICE)) == 300
        assert ask(store, RevokeAll(ALICE)) == 0
        assert store.run([consume("t0"), consume("t299"), consume("used")], T0) == [
            REVOKED,
            REVOKED,
            USED,
        ]
        assert ask(store, List(ALICE)) == ()
        assert ask(store, consume("bob", BOB)) is VALID

    def test_a_token_that_is_issued_afterwards_is_good(self, store):
        store.run([issue("t"), RevokeAll(ALICE), issue("u")], T0)
        assert store.run([consume("t"), consume("u")], T0) == [REVOKED, VALID]

    # Withdraw, Admit, Claim

    def test_a_signed_token_is_admitted_as_often_as_one_likes(self, store):
        asked = Admit((SITE, SITE_ALICE, JTI), T0, ENDS, T0 + 60, None)
        assert store.run([asked, asked, Admit((), T0, ENDS, T0 + 60, None)], T0) == [VALID] * 3

    def test_a_signed_token_is_claimed_once(self, store):
        asked = Claim((SITE, JTI), T0, ENDS, T0 + 60, JTI)
        looked = Admit((SITE, JTI), T0, ENDS, T0 + 60, JTI)
        assert store.run([looked, asked, looked, asked], T0) == [VALID, VALID, USED, USED]
        assert ask(store, asked, T0 + 59) is USED
        assert ask(store, Admit((), T0, ENDS, T0 + 60, SITE)) is VALID

    def test_to_claim_nothing_claims_nothing(self, store):
        assert store.run([Claim((SITE,), T0, ENDS, T0 + 60, None)] * 3, T0) == [VALID] * 3

    def test_a_signed_token_that_is_refused_is_not_claimed(self, store):
        ask(store, Withdraw(SITE, T0, ENDS, T0 + 60))
        assert ask(store, Claim((SITE,), T0 - 1, ENDS, T0 + 60, JTI)) is REVOKED
        assert ask(store, Claim((), T0 - 1, ENDS, T0 + 60, JTI)) is VALID

    def test_a_signed_token_issued_before_the_moment_is_withdrawn(self, store):
        ask(store, Withdraw(SITE_ALICE, T0, ENDS, T0 + 60))
        for subjects in ((SITE_ALICE,), (SITE, SITE_ALICE), (SITE_ALICE, JTI)):
            asked = [
                Admit(subjects, issued, ends, T0 + 50, None)
                for issued in (T0 - 0.5, T0, T0 + 1)
                for ends in (ENDS, ENDS + 1)
            ]
            assert store.run(asked, T0 + 1) == [REVOKED] * 2 + [VALID] * 4
        assert ask(store, Admit((SITE, JTI), T0 - 1, ENDS, T0 + 50, None)) is VALID

    def test_a_signed_token_that_does_not_say_when_it_was_issued_is_withdrawn_by_its_end(
        self, store
    ):
        ask(store, Withdraw(SITE_ALICE, EVER, ENDS, T0 + 60))
        for kind in (Admit, Claim):
            for subjects in ((SITE_ALICE,), (SITE, SITE_ALICE), (SITE_ALICE, JTI)):
                asked = [
                    kind(subjects, None, ends, T0 + 70, None)
                    for ends in (ENDS - 1, ENDS, ENDS + 0.5)
                ]
                assert store.run(asked, T0) == [REVOKED, REVOKED, VALID]
            assert ask(store, kind((SITE, JTI), None, T0, T0 + 70, None)) is VALID
            assert ask(store, kind((), None, T0, T0 + 70, None)) is VALID

    def test_a_signed_token_without_a_moment_of_issue_is_claimed_once(self, store):
        asked = Claim((SITE, JTI), None, ENDS, T0 + 60, JTI)
        looked = Admit((SITE, JTI), None, ENDS, T0 + 60, JTI)
        assert store.run([looked, asked, looked, asked], T0) == [VALID, VALID, USED, USED]
        ask(store, Withdraw(SITE, T0, ENDS, T0 + 60))
        assert store.run([looked, asked], T0) == [REVOKED, REVOKED]
        sweep(store, T0 + 60 + KEPT)
        assert store.run([looked, asked], T0) == [EXPIRED, EXPIRED]

    def test_a_signed_token_can_be_withdrawn_whenever_it_was_issued(self, store):
        ask(store, Withdraw(JTI, EVER, ENDS, T0 + 60))
        assert ask(store, Admit((SITE, JTI), T0 + 1e9, ENDS, T0 + 60, None)) is REVOKED

    @pytest.mark.parametrize("first", [0, 1])
    def test_of_two_withdrawals_the_later_moments_count(self, store, first):
        both = [Withdraw(SITE, T0 + 5, ENDS, T0 + 60), Withdraw(SITE, T0 + 2, ENDS, T0 + 90)]
        store.run([both[first], both[1 - first]], T0)
        sweep(store, T0 + KEPT + 80)
        asked = [Admit((SITE,), issued, ENDS, T0 + 500, None) for issued in (T0 + 4, T0 + 5)]
        assert store.run(asked, T0 + KEPT + 80) == [REVOKED, VALID]
        sweep(store, T0 + KEPT + 91)
        assert store.run(asked, T0 + KEPT + 91) == [VALID, VALID]

    @pytest.mark.parametrize(
        "other",
        [
            Withdraw(SITE, T0 + 1, ENDS + 5, T0 + 60),
            Withdraw(SITE, T0 + 9, ENDS + 5, T0 + 60),
            Withdraw(SITE, T0 + 1, ENDS + 5, T0 + 90),
            Withdraw(SITE, T0 + 9, ENDS + 5, T0 + 90),
        ],
    )
    @pytest.mark.parametrize("first", [0, 1])
    def test_of_two_withdrawals_the_later_end_counts_whichever_else_is_later(
        self, store, other, first
    ):
        both = [Withdraw(SITE, T0 + 5, ENDS, T0 + 70), other]
        store.run([both[first], both[1 - first]], T0)
        asked = [Admit((SITE,), None, ends, T0 + 500, None) for ends in (ENDS + 5, ENDS + 6)]
        assert store.run(asked, T0) == [REVOKED, VALID]
        last = max(one.before for one in both)
        asked = [Admit((SITE,), issued, ENDS, T0 + 500, None) for issued in (last - 1, last)]
        assert store.run(asked, T0) == [REVOKED, VALID]

    def test_reasons_of_signed_tokens_have_an_order(self, store):
        """Behind the horizon, revoked, used."""
        ask(store, Claim((), T0, ENDS, T0 + 1, SITE))
        sweep(store, T0 + 1 + KEPT)
        ask(store, Claim((), T0, ENDS, T0 + 60, JTI))
        ask(store, Withdraw(SITE, T0 + 1, ENDS, T0 + 90))
        for kind in (Admit, Claim):
            assert ask(store, kind((), T0, ENDS, T0 + 60, JTI)) is USED
            assert ask(store, kind((SITE,), T0, ENDS, T0 + 60, JTI)) is REVOKED
            assert ask(store, kind((SITE,), T0, ENDS, T0 + 1, JTI)) is EXPIRED

    def test_the_dates_of_a_signed_token_are_not_the_stores_to_judge(self, store):
        """They are by another clock, which may go back."""
        assert ask(store, Claim((), T0, ENDS, T0 + 60, JTI), T0 + 1e6) is VALID
        assert ask(store, Claim((), T0, ENDS, T0 + 60, JTI), T0 + 1e6) is USED

    def test_what_was_forgotten_of_a_signed_token_is_never_taken_for_nothing(self, store):
        """However the clock is set: up to the horizon it cannot be told, and so is refused."""
        used = Claim((), T0, ENDS, T0 + 60, JTI)
        ask(store, used)
        ask(store, Withdraw(SITE, EVER, ENDS, T0 + 90))
        sweep(store, T0 + 59 + KEPT)
        assert ask(store, used) is USED
        sweep(store, T0 + 61 + KEPT)
        assert ask(store, used) is EXPIRED
        assert ask(store, Claim((), T0, ENDS, T0 + 61, JTI)) is VALID
        assert ask(store, Admit((SITE,), T0, ENDS, T0 + 90, None)) is REVOKED
        sweep(store, T0 + 91 + KEPT)
        assert ask(store, Admit((SITE,), T0, ENDS, T0 + 90, None)) is EXPIRED
        assert ask(store, Admit((SITE,), T0, ENDS, T0 + 91, None)) is VALID

    def test_signed_tokens_end_by_the_machines_clock_however_wrong_it_was_once(self, store):
        """The store's own moment stays where that clock was at its latest."""
        ahead = T0 + 1e6
        asked = Claim((), T0, ENDS, T0 + 60, JTI)
        assert ask(store, asked, ahead) is VALID
        assert store.sweep(ahead, T0) is False
        assert ask(store, asked, ahead) is USED
        assert ask(store, Claim((), T0, ENDS, T0 + 59, SITE), ahead) is VALID
        assert store.sweep(ahead, T0 + 60 + KEPT) is False
        assert ask(store, asked, ahead) is EXPIRED

    # NoteSeen, Seen

    def test_who_was_seen_is_remembered(self, store):
        assert ask(store, Seen(ALICE)) is False
        assert store.run([NoteSeen(ALICE), NoteSeen(ALICE), Seen(ALICE)], T0) == [True, False, True]
        assert ask(store, NoteSeen(ALICE)) is False
        sweep(store, T0 + 1e9)
        assert ask(store, Seen(ALICE), T0 + 1e9) is True
        assert store.run([Seen(BOB), Seen("Alice@example.org")], T0) == [False, False]

    # Batches

    def test_an_empty_batch_is_a_batch(self, store):
        assert store.run([], T0) == []

    def test_operations_of_a_batch_are_done_in_their_order(self, store):
        batch = [
            issue("t", uses=2),
            Peek(digest("t"), ALICE),
            consume("t"),
            Revoke(id_("t")),
            consume("t"),
            List(ALICE),
            Find(id_("t")),
            Claim((), T0, ENDS, T0 + 1, JTI),
            Withdraw(SITE, T0 + 1, ENDS, T0 + 9),
            Admit((SITE,), T0, ENDS, T0 + 1, None),
        ]
        record, *others = store.run(batch, T0)
        revoked = others.pop(5)
        assert revoked.revoked
        assert revoked.uses == record.uses - 1
        assert others == [VALID, VALID, True, REVOKED, (), VALID, None, REVOKED]

    # Sweep, the moment

    def test_a_token_that_is_over_is_known_for_an_hour(self, store):
        names = ("expired", "used", "revoked")
        store.run([issue(name) for name in names], T0)
        store.run([consume("used"), Revoke(id_("revoked"))], T0)
        peeks = [Peek(digest(name), ALICE) for name in names]
        sweep(store, T0 + KEPT - 1)
        assert store.run(peeks, T0 + KEPT - 1) == [EXPIRED, EXPIRED, REVOKED]
        sweep(store, T0 + 60 + KEPT - 1)
        assert ask(store, peeks[0], T0 + 60 + KEPT - 1) is EXPIRED
        sweep(store, T0 + 60 + KEPT + 1)
        assert store.run(peeks, T0 + 60 + KEPT + 1) == [UNKNOWN] * 3
        assert store.run([Find(id_(name)) for name in names], T0 + 60 + KEPT + 1) == [None] * 3

    def test_a_revoked_token_is_forgotten_an_hour_later_however_long_it_was_good_for(self, store):
        store.run([issue("t", ttl=1e6), issue("u", ttl=1e6), Revoke(id_("t"))], T0)
        sweep(store, T0 + KEPT - 1)
        assert ask(store, consume("t"), T0 + KEPT - 1) is REVOKED
        sweep(store, T0 + KEPT + 1)
        assert store.run([consume("t"), consume("u")], T0 + KEPT + 1) == [UNKNOWN, VALID]

    def test_a_sweep_forgets_all_that_is_over_but_not_at_once(self, store):
        count = 2000
        for first in range(0, count, 250):
            batch: list[Operation] = []
            for n in range(first, first + 250):
                batch += [
                    issue(f"e{n}", f"{first}@example.org"),
                    issue(f"r{n}", ttl=1e6),
                    Revoke(id_(f"r{n}")),
                    Claim((), T0, ENDS, T0 + 60, digest(f"c{n}")),
                    Withdraw(digest(f"w{n}"), EVER, ENDS, T0 + 60),
                ]
            store.run(batch, T0)
        store.run([issue("good", ttl=1e6), NoteSeen(ALICE)], T0)
        later = T0 + KEPT + 61
        assert sweep(store, later) > 1
        for n in range(0, count, 7):
            asked = [
                Find(id_(f"e{n}")),
                Find(id_(f"r{n}")),
                Admit((digest(f"w{n}"),), T0, ENDS, later + 1, digest(f"c{n}")),
            ]
            assert store.run(asked, later) == [None, None, VALID]
        assert store.run([consume("good"), Seen(ALICE)], later) == [VALID, True]
        assert sweep(store, later) == 1

    def test_what_ends_at_one_moment_is_not_forgotten_at_once_either(self, store):
        """As with a site whose tokens are good until the end of the hour."""
        count = 3000
        for first in range(0, count, 250):
            claims = [
                Claim((), T0, ENDS, T0 + 60, digest(f"c{n}")) for n in range(first, first + 250)
            ]
            assert set(store.run(claims, T0)) == {VALID}
        later = T0 + KEPT + 61
        assert store.sweep(later, later)
        again = [Claim((), T0, ENDS, T0 + 60, digest(f"c{n}")) for n in range(0, count, 7)]
        assert VALID not in store.run(again, T0)
        assert sweep(store, later) > 1

    def test_a_clock_set_back_revives_nothing(self, store):
        store.run([issue("t", ttl=60.0), issue("u", ttl=600.0)], T0)
        assert ask(store, Peek(digest("t"), ALICE), T0 + 60) is EXPIRED
        assert ask(store, consume("t"), T0) is EXPIRED
        assert ask(store, issue("v"), T0).issued == T0 + 60
        assert store.sweep(T0 + 600, T0 + 600) is False
        assert ask(store, consume("u"), T0) is EXPIRED

    # Open, close

    def test_a_store_is_closed_twice_and_before_it_is_opened(self, new_store):
        store = new_store()
        store.close()
        store.open()
        store.close()
        store.close()

    def test_a_store_is_opened_again(self, store):
        ask(store, issue("t", uses=2), T0)
        store.close()
        store.open()
        assert store.mark >= T0
        assert ask(store, consume("t")) is VALID

    def test_the_latest_moment_is_known_after_opening_and_sweeping(self, new_store):
        store = new_store()
        assert store.mark == 0.0
        store.open()
        assert store.mark < T0
        ask(store, issue("t"))
        store.sweep(T0 + 5, T0)
        assert T0 + 5 <= store.mark <= T0 + 6
        store.sweep(T0 + 2, T0 + 1e6)  # the machine's clock is another one
        assert T0 + 5 <= store.mark <= T0 + 6
        store.close()
        store.open()
        assert T0 + 5 <= store.mark <= T0 + 6
        store.close()

    def test_a_store_has_a_name_for_people(self, store):
        assert store.name


class DurableContract(StoreContract):
    """Of a store that outlives the process."""

    def test_all_is_there_when_the_place_is_opened_again(self, new_store):
        store = new_store()
        store.open()
        record = ask(store, issue("t", uses=2))
        batch = [
            issue("u"),
            consume("t"),
            consume("u"),
            issue("r"),
            Revoke(id_("r")),
            Claim((), T0, ENDS, T0 + 60, JTI),
            Withdraw(SITE, T0, ENDS, T0 + 60),
            NoteSeen(ALICE),
        ]
        store.run(batch, T0 + 1)
        store.close()
        store = new_store()
        store.open()
        assert T0 + 1 <= store.mark <= T0 + 2
        asked = [
            Find(id_("t")),
            consume("u"),
            consume("r"),
            Claim((), T0, ENDS, T0 + 60, JTI),
            Admit((SITE,), T0 - 1, ENDS, T0 + 60, None),
            Seen(ALICE),
        ]
        found = store.run(asked, T0 + 1)
        assert found == [record.used(T0 + 1), USED, REVOKED, USED, REVOKED, True]
        store.close()

    def test_what_expired_before_a_restart_stays_expired_when_the_clock_is_set_back(
        self, new_store
    ):
        store = new_store()
        store.open()
        store.run([issue("t", ttl=60.0), issue("u", ttl=600.0)], T0)
        store.sweep(T0 + 60, T0 + 60)
        store.close()
        store = new_store()
        store.open()
        assert store.mark >= T0 + 60
        assert ask(store, consume("t"), T0) is EXPIRED
        assert ask(store, consume("u"), T0) is VALID
        store.close()

    def test_what_was_refused_as_expired_is_so_after_a_restart_with_the_clock_set_back(
        self, new_store
    ):
        store = new_store()
        store.open()
        ask(store, issue("t", ttl=60.0))
        assert ask(store, consume("t"), T0 + 61) is EXPIRED
        store.close()
        store = new_store()
        store.open()
        assert ask(store, consume("t"), T0) is EXPIRED
        store.close()

    def test_what_was_forgotten_before_a_restart_does_not_become_new_when_the_clock_is_set_back(
        self, new_store
    ):
        store = new_store()
        store.open()
        ask(store, Claim((), T0, ENDS, T0 + 60, JTI))
        sweep(store, T0 + 61 + KEPT)
        store.close()
        store = new_store()
        store.open()
        assert ask(store, Claim((), T0, ENDS, T0 + 60, JTI), T0) is EXPIRED
        store.close()


class Course:
    """A random course of operations, for two stores at once."""

    names = st.sampled_from(("a", "b", "c", "d"))
    jids = st.sampled_from((ALICE, BOB))
    ids = names.map(id_)
    subjects = st.sampled_from((SITE, SITE_ALICE, JTI))
    # Few moments, so that they meet.
    moments = st.sampled_from((0.0, 0.5, 1.0, 2.0, 3.0, 60.0, KEPT, EVER)).map(lambda s: T0 + s)
    signed = st.tuples(
        st.lists(subjects, max_size=3).map(tuple),
        st.none() | moments,
        moments,
        moments,
        st.none() | subjects,
    )
    operations = st.one_of(
        st.builds(
            issue,
            names,
            jids,
            st.sampled_from((0.0, 0.5, 1.0, 3.0, 60.0)),
            st.sampled_from((1, 2, None)),
        ),
        st.builds(consume, names, jids),
        st.builds(lambda name, jid: Peek(digest(name), jid), names, jids),
        st.builds(Find, ids),
        st.builds(List, jids),
        st.builds(Revoke, ids),
        st.builds(RevokeAll, jids),
        st.builds(Withdraw, subjects, moments, moments, moments),
        signed.map(lambda one: Admit(*one)),
        signed.map(lambda one: Claim(*one)),
        st.builds(NoteSeen, jids),
        st.builds(Seen, jids),
    )
    # The clock goes on, and back.
    steps = st.sampled_from((-5.0, 0.0, 0.5, 1.0, 30.0, KEPT))
    events = st.lists(st.tuples(steps, st.none() | st.lists(operations, max_size=8)), max_size=30)
    """None: a sweep."""

    @staticmethod
    def check(store: Store, model: Store, events, reopen) -> None:
        """Both answer alike. `reopen`: what is done before each sweep, to get to `store` anew."""
        now = T0
        for step, batch in events:
            now += step
            if batch is None:
                store = reopen(store)
                sweep(store, now)
                sweep(model, now)
            else:
                assert _tried(store, batch, now) == _tried(model, batch, now)


def _tried(store, batch, now):
    try:
        return store.run(batch, now)
    except StoreFault as fault:
        return (fault.lost, fault.refused)


def long_course(seed: int, count: int):
    """Events as above, many of them, out of one seed: what has to be met late."""
    dice = random.Random(seed)
    names = [f"t{n}" for n in range(60)]
    jids = [ALICE, BOB]

    def operation():
        name, jid = dice.choice(names), dice.choice(jids)
        once = dice.choice([None, digest(name)])
        issued, ends, until = (T0 + dice.randrange(9000) for _ in range(3))
        said = dice.choice([None, issued])
        return dice.choice(
            [
                lambda: issue(name, jid, dice.choice([1.0, 60.0, 9e4]), dice.choice([1, 3, None])),
                lambda: consume(name, jid),
                lambda: consume(name, jid),
                lambda: Peek(digest(name), jid),
                lambda: Find(id_(name)),
                lambda: List(jid),
                lambda: Revoke(id_(name)),
                lambda: RevokeAll(jid),
                lambda: Withdraw(digest(name), issued, ends, until),
                lambda: Claim((digest(name), SITE), said, ends, until, once),
                lambda: Admit((digest(name), SITE), said, ends, until, once),
                lambda: NoteSeen(f"{name}@example.org"),
                lambda: Seen(f"{name}@example.org"),
            ]
        )()

    for _ in range(count):
        step = dice.choice([-100.0, 0.0, 1.0, 1.0, 59.0, 600.0])
        # Most batches issue nothing, or all would fault once the names are taken.
        batch = [operation() for _ in range(dice.randrange(12))]
        if dice.random() < 0.7:
            batch = [one for one in batch if not isinstance(one, Issue)]
        yield step, None if dice.random() < 0.05 else batch
