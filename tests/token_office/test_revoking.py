"""What is revoked, by whom, and what is written down of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authbridge.issuers.issuers import KeysUnavailable
from authbridge.model import Reason
from authbridge.stores.ledger import StoreUnavailable
from authbridge.stores.operations import Revoke, RevokeAll, Withdraw
from tests.doubles import now
from tests.token_office.offices import (
    ALICE,
    BOB,
    MEMBERS,
    NOW,
    SITE,
    WHERE,
    compact,
    jwt,
    refused,
    without_keys,
)

OTHER = replace(SITE, name="other", domains=frozenset({"example.net"}))
ALL = replace(SITE, domains=frozenset({"*"}))
BOTH = frozenset({"example.org", "example.net"})


def revoke(office, token_id, grant=SITE):
    return office.office.revoke(grant, token_id, **WHERE)


def revoke_user(office, jid=ALICE, grant=SITE):
    return office.office.revoke_user(grant, jid, **WHERE)


def revoke_signed(office, issuer="https://www", jti=None, before=None, grant=SITE):
    return office.office.revoke_signed(grant, issuer, jti, before, **WHERE)


def revoke_token(office, token, username=None, grant=SITE):
    return office.office.revoke_token(grant, token, username, **WHERE)


# --- one ------------------------------------------------------------------------------------------


def test_a_token_is_revoked_by_its_id(office):
    issued, another = office.issue(), office.issue()
    office.lines.clear()
    now(revoke(office, issued.id))
    assert office.facts() == {
        "id": "boot-1", "operation": "revoke_token", "verdict": "accepted",
        "reason": "tokens_withdrawn", "front_end": "http", "caller": "website", "jid": ALICE,
        "token": issued.id,
    }  # fmt: skip
    assert office.use(issued) is Reason.TOKEN_REVOKED
    assert office.use(another) is Reason.TOKEN_VALID


def test_of_one_that_is_over_it_is_no_mistake(office):
    issued = office.issue()
    office.use(issued)
    now(revoke(office, issued.id))
    now(revoke(office, issued.id))


@pytest.mark.parametrize("token_id", ["0" * 32, "", "nothing", "é"])
def test_there_is_nothing_to_revoke(office, token_id):
    assert refused(revoke(office, token_id)).reason is Reason.TOKEN_UNKNOWN
    facts = office.facts()
    assert (facts["verdict"], facts["reason"], facts["jid"]) == ("rejected", "token_unknown", "-")


def test_what_a_grant_does_not_cover_is_unknown_to_it(office):
    issued = office.issue(BOB)
    for grant in (OTHER, replace(SITE, users=MEMBERS)):
        office.lines.clear()
        assert refused(revoke(office, issued.id, grant)).reason is Reason.TOKEN_UNKNOWN
        facts = office.facts()
        assert "token" not in facts
        assert facts["jid"] == "-"
    assert office.use(issued) is Reason.TOKEN_VALID


# --- a user ---------------------------------------------------------------------------------------


def test_all_of_a_user_are_revoked(office):
    ours, bobs = [office.issue(uses=2) for _ in range(3)], office.issue(BOB)
    office.lines.clear()
    assert now(revoke_user(office, "ALICE@example.org")) == 3
    facts = office.facts()
    assert (facts["operation"], facts["jid"], facts["count"]) == ("revoke_user", ALICE, "3")
    assert {office.use(one) for one in ours} == {Reason.TOKEN_REVOKED}
    assert office.use(bobs) is Reason.TOKEN_VALID
    assert now(revoke_user(office)) == 0


def test_and_what_was_signed_for_him_up_to_now(office):
    office.clock.advance(10)
    now(revoke_user(office))
    for iss in ("https://www", "everywhere", "two"):
        assert office.admits(jwt(iss)) is Reason.TOKEN_REVOKED
        assert office.admits(jwt(iss, iat=NOW + 40)) is Reason.TOKEN_VALID
        assert office.admits(jwt(iss, sub=BOB), BOB) is Reason.TOKEN_VALID
    assert office.admits(compact(), form="compact") is Reason.TOKEN_REVOKED
    assert office.admits(compact(BOB), BOB, form="compact") is Reason.TOKEN_VALID
    for iss in ("plain", "once"):
        assert office.admits(jwt(iss)) is Reason.TOKEN_VALID
    told = [one for one in office.ledger.asked if isinstance(one, Withdraw)]
    assert len(told) == 5  # not of who signs for other domains alone


def test_a_revocation_is_remembered_longer_than_any_token_lives(office):
    now(revoke_user(office))
    untils = {one.until - NOW for one in office.ledger.asked if isinstance(one, Withdraw)}
    assert untils == {86_400.0, 2 * 86_400.0 + 180}


def test_signed_ones_are_revoked_first(office):
    """Were it not for an outage in between, the count would tell of all."""
    now(revoke_user(office))
    assert type(office.ledger.asked[-1]) is RevokeAll


def test_who_may_not_ask_about_a_user_revokes_nothing(office):
    for grant in (OTHER, replace(SITE, users=MEMBERS)):
        assert refused(revoke_user(office, BOB, grant)).reason is Reason.CALLER_NOT_ALLOWED
        facts = office.facts()
        assert (facts["reason"], facts["jid"]) == ("caller_not_allowed", BOB)
    assert office.ledger.asked == []


# --- signed ---------------------------------------------------------------------------------------


def test_a_signed_token_is_revoked_by_its_jti(office):
    now(revoke_signed(office, jti="j1"))
    facts = office.facts()
    assert (facts["operation"], facts["issuer"], facts["jti"]) == (
        "revoke_signed", "https://www", "j1",
    )  # fmt: skip
    assert office.admits(jwt()) is Reason.TOKEN_REVOKED
    assert office.admits(jwt(iat=NOW + 20)) is Reason.TOKEN_REVOKED
    assert office.admits(jwt(jti="j2")) is Reason.TOKEN_VALID
    assert office.admits(jwt("two")) is Reason.TOKEN_VALID


def test_or_all_that_its_issuer_has_signed_before_a_moment(office):
    office.clock.advance(60)
    now(revoke_signed(office, before=NOW - 60.0))
    assert "jti" not in office.facts()
    assert office.admits(jwt(iat=NOW - 31, exp=NOW + 40)) is Reason.TOKEN_REVOKED
    assert office.admits(jwt(iat=NOW - 29, exp=NOW + 40)) is Reason.TOKEN_VALID
    now(revoke_signed(office))
    assert office.admits(jwt(iat=NOW + 60, exp=NOW + 100)) is Reason.TOKEN_REVOKED


@pytest.mark.parametrize("before", [-1.0, 1.0 + NOW, 9e12, float("nan"), float("inf")])
def test_what_is_to_come_is_not_revoked(office, before):
    refusal = refused(revoke_signed(office, before=before))
    assert refusal.reason is Reason.REQUEST_MALFORMED
    assert office.facts()["verdict"] == "rejected"
    assert office.ledger.asked == []


@pytest.mark.parametrize(
    ("issuer", "grant", "reason"),
    [
        ("nobody", SITE, Reason.CALLER_NOT_ALLOWED),
        ("", SITE, Reason.CALLER_NOT_ALLOWED),
        ("two", SITE, Reason.CALLER_NOT_ALLOWED),
        ("everywhere", SITE, Reason.CALLER_NOT_ALLOWED),
        ("everywhere", replace(SITE, domains=BOTH), Reason.CALLER_NOT_ALLOWED),
        ("https://www", replace(SITE, users=MEMBERS), Reason.CALLER_NOT_ALLOWED),
        ("https://www", OTHER, Reason.CALLER_NOT_ALLOWED),
        ("plain", SITE, Reason.NOT_SUPPORTED),
        ("once", ALL, Reason.NOT_SUPPORTED),
    ],
)
def test_who_may_not_ask_about_all_of_an_issuer_revokes_nothing(office, issuer, grant, reason):
    for jti in ("j1", None):
        assert refused(revoke_signed(office, issuer, jti, grant=grant)).reason is reason
        assert office.facts()["reason"] == reason.value
    assert office.ledger.asked == []


def test_who_may_ask_about_all_of_an_issuer(office):
    now(revoke_signed(office, "two", grant=replace(SITE, domains=BOTH)))
    now(revoke_signed(office, "everywhere", grant=ALL))
    now(revoke_signed(office, "forum", grant=ALL))
    assert office.admits(compact(), form="compact") is Reason.TOKEN_REVOKED


@pytest.mark.parametrize("text", ["a b\nlogin id=1", "\ud800", "x" * 5000, "é%=&"])
def test_what_stands_in_the_line_makes_no_other(office, text):
    now(revoke_signed(office, jti=text))
    assert len(office.facts()["jti"]) < 1000
    refused(revoke_signed(office, text))
    assert len(office.facts()["issuer"]) < 1000


# --- rates ----------------------------------------------------------------------------------------

SELDOM = replace(SITE, rate=(2, 60.0))
COUNTED = {
    "revoke_user": lambda office: revoke_user(office, grant=SELDOM),
    "revoke_signed": lambda office: revoke_signed(office, jti="j1", grant=SELDOM),
}


@pytest.mark.parametrize("operation", COUNTED)
def test_who_revokes_too_often_is_told_when_to_come_again(office, operation):
    for _ in range(2):
        now(COUNTED[operation](office))
    office.lines.clear()
    office.ledger.asked.clear()
    refusal = refused(COUNTED[operation](office))
    assert (refusal.reason, refusal.retry_after) == (Reason.RATE_EXCEEDED, 30.0)
    facts = office.facts()
    assert (facts["operation"], facts["verdict"], facts["reason"], facts["caller"]) == (
        operation, "rejected", "rate_exceeded", "website",
    )  # fmt: skip
    assert office.ledger.asked == []
    office.clock.advance(30)
    now(COUNTED[operation](office))


def test_all_revocations_of_a_client_are_counted_as_one(office):
    for revocation in COUNTED.values():
        now(revocation(office))
    for revocation in COUNTED.values():
        assert refused(revocation(office)).reason is Reason.RATE_EXCEEDED
    now(revoke_user(office, grant=replace(SELDOM, name="another")))
    for _ in range(100):
        now(revoke_user(office))  # who has no rate may do as he likes


def test_to_issue_and_to_revoke_are_counted_apart(office):
    """Whoever issues all that he may can still revoke it, and the other way round."""
    issue = {"grant": SELDOM}
    for _ in range(2):
        office.issue(**issue)
    assert refused(office.begin(grant=SELDOM)).reason is Reason.RATE_EXCEEDED
    for _ in range(2):
        now(revoke_user(office, grant=SELDOM))
    assert refused(revoke_user(office, grant=SELDOM)).reason is Reason.RATE_EXCEEDED
    office.clock.advance(30)
    office.issue(**issue)
    now(revoke_user(office, grant=SELDOM))


def test_who_may_not_ask_is_not_counted(office):
    for _ in range(3):
        assert refused(revoke_user(office, "alice@example.net", SELDOM)).reason is (
            Reason.CALLER_NOT_ALLOWED
        )
        refused(revoke_signed(office, "plain", "j1", grant=SELDOM))
    for _ in range(2):
        now(revoke_user(office, grant=SELDOM))


# --- by the token ---------------------------------------------------------------------------------


def test_a_temporary_token_is_revoked_by_itself(office):
    issued = office.issue()
    office.lines.clear()
    now(revoke_token(office, issued.token.reveal(), "Alice@example.org"))
    facts = office.facts()
    assert (facts["operation"], facts["jid"], facts["token"]) == ("revoke_token", ALICE, issued.id)
    assert office.use(issued) is Reason.TOKEN_REVOKED


def test_and_so_is_a_signed_one(office):
    now(revoke_token(office, jwt()))
    facts = office.facts()
    assert (facts["jid"], facts["signer"]) == (ALICE, "https://www#www")
    assert office.admits(jwt()) is Reason.TOKEN_REVOKED
    assert office.admits(jwt(jti="j2")) is Reason.TOKEN_VALID


@pytest.mark.parametrize("token", [jwt("plain"), jwt(jti=None), jwt("once"), compact()])
def test_what_is_not_revoked_singly_is_not_supported(office, token):
    assert refused(revoke_token(office, token, ALICE)).reason is Reason.NOT_SUPPORTED
    assert office.facts()["reason"] == "not_supported"
    assert not any(isinstance(one, Withdraw) for one in office.ledger.asked)


@pytest.mark.parametrize(
    ("token", "username"),
    [
        (b"wonderland", None), (b"", None), (b"abtt1_", None), (b"abtx9_" + b"A" * 43, None),
        (jwt(exp=NOW - 60), None), (jwt(sub=BOB), ALICE), (compact(), None), (compact(), BOB),
        (jwt(sub="admin@example.org"), None), (jwt(sub="a b@example.org"), None),
        (jwt() + b"A", None), (jwt(iss="nobody"), None), (jwt("elsewhere"), None),
    ],
)  # fmt: skip
def test_of_what_is_not_good_there_is_nothing_to_revoke(office, token, username):
    assert refused(revoke_token(office, token, username)).reason is Reason.TOKEN_UNKNOWN
    assert office.facts()["reason"] == "token_unknown"
    assert office.ledger.asked == []


def test_nor_of_what_the_grant_does_not_cover(office):
    issued = office.issue()
    for token in (issued.token.reveal(), jwt()):
        assert refused(revoke_token(office, token, None, OTHER)).reason is Reason.TOKEN_UNKNOWN
    refusal = refused(revoke_token(office, issued.token.reveal(), BOB))
    assert refusal.reason is Reason.TOKEN_UNKNOWN
    assert office.use(issued) is Reason.TOKEN_VALID


# --- the state ------------------------------------------------------------------------------------


def test_without_the_state_nothing_is_revoked(office):
    issued = office.issue()
    office.lines.clear()
    office.ledger.down = "was lost"
    for asked in (
        revoke(office, issued.id), revoke_user(office), revoke_signed(office),
        revoke_token(office, issued.token.reveal()), revoke_token(office, jwt()),
    ):  # fmt: skip
        with pytest.raises(StoreUnavailable):
            now(asked)
        assert office.facts()["reason"] == "state_unavailable"
    assert not any(isinstance(one, Revoke) for one in office.ledger.asked)


def test_without_the_keys_a_signed_token_is_not_revoked(office, monkeypatch):
    without_keys(office, monkeypatch)
    with pytest.raises(KeysUnavailable):
        now(revoke_token(office, jwt()))
    facts = office.facts()
    assert (facts["verdict"], facts["reason"]) == ("unavailable", "keys_unavailable")
    assert office.ledger.asked == []
