"""What stores are asked: what a token is good for, and what signed tokens are called."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.model import Reason
from authbridge.stores import operations
from authbridge.stores.operations import (
    EVER,
    Operation,
    Record,
    StoreFault,
    subject_of_issuer,
    subject_of_jti,
    subject_of_user,
)
from tests.stores.examples import ALICE, BOB, T0, digest, id_


def record(**changes):
    fields = {
        "digest": digest("t"),
        "jid": ALICE,
        "issued": T0,
        "expires": T0 + 60,
        "uses": 1,
        "client": "website",
    }
    return Record(**(fields | changes))


@pytest.mark.parametrize(
    ("wrong", "revoked", "expired", "used"), list(itertools.product((False, True), repeat=4))
)
def test_the_first_reason_in_order_is_given(wrong, revoked, expired, used):
    one = record(revoked=revoked, uses=0 if used else 1)
    expected = Reason.TOKEN_VALID
    if used:
        expected = Reason.TOKEN_USED
    if expired:
        expected = Reason.TOKEN_EXPIRED
    if revoked:
        expected = Reason.TOKEN_REVOKED
    if wrong:
        expected = Reason.TOKEN_USER_WRONG
    assert one.judge(BOB if wrong else ALICE, T0 + (60 if expired else 59.9)) is expected


def test_a_record_s_id_is_that_of_its_token():
    assert record().id == id_("t")


def test_a_use_is_one_less_and_has_its_moment():
    assert record(uses=3).used(T0 + 1) == record(uses=2, last_used=T0 + 1)


def test_any_number_of_uses_stays_any_number():
    one = record(uses=None).used(T0 + 1)
    assert one == record(uses=None, last_used=T0 + 1)
    assert one.judge(ALICE, T0) is Reason.TOKEN_VALID


def test_what_may_change_something_says_so():
    kinds = {
        one
        for one in vars(operations).values()
        if isinstance(one, type) and issubclass(one, Operation) and one is not Operation
    }
    assert {one.__name__ for one in kinds if one.WRITES} == {
        "Claim",
        "Consume",
        "Issue",
        "NoteSeen",
        "Revoke",
        "RevokeAll",
        "Withdraw",
    }
    assert {one.__name__ for one in kinds if not one.WRITES} == {
        "Admit",
        "Find",
        "List",
        "Peek",
        "Seen",
    }


def test_a_fault_is_neither_lost_nor_refused_unless_it_says_so():
    fault = StoreFault("the disk is full")
    assert (fault.words, str(fault)) == ("the disk is full", "the disk is full")
    assert (fault.lost, fault.refused) == (False, False)
    fault = StoreFault("x", lost=True, refused=True)
    assert (fault.lost, fault.refused) == (True, True)


# Any text that JSON can spell, half of a surrogate pair too.
texts = st.text(st.characters(), max_size=5)


@given(texts, texts, texts, texts)
def test_subjects_are_the_same_for_the_same_alone(issuer, name, other_issuer, other_name):
    same = (issuer, name) == (other_issuer, other_name)
    for subject_of in (subject_of_jti, subject_of_user):
        assert (subject_of(issuer, name) == subject_of(other_issuer, other_name)) is same
    assert (subject_of_issuer(issuer) == subject_of_issuer(other_issuer)) is (
        issuer == other_issuer
    )


@given(texts, texts)
def test_subjects_of_different_kinds_differ(issuer, name):
    kinds = {subject_of_jti(issuer, name), subject_of_user(issuer, name)}
    kinds |= {subject_of_issuer(issuer), subject_of_jti(issuer, ""), subject_of_user(issuer, "")}
    assert len(kinds) == (5 if name else 3)


def test_half_a_surrogate_pair_is_a_name_as_well():
    assert len(subject_of_jti("site", "\ud800")) == 32
    assert subject_of_jti("site", "\ud800") != subject_of_jti("site", "\ud801")


def test_a_boundary_cannot_be_moved():
    assert subject_of_jti("ab", "c") != subject_of_jti("a", "bc")


def test_ever_is_later_than_any_date():
    assert EVER > 253402300800  # the year 10000
