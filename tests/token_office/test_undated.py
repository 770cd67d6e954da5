"""Revoked tokens that do not say when they were issued, so that when they end has to tell whether
they may have been there; or that say so by a clock that is ahead."""

from __future__ import annotations

import pytest

from authbridge.model import Reason
from authbridge.stores.operations import EVER
from tests.doubles import now
from tests.issuers.folders import SECRETS
from tests.token_office.offices import ALICE, NOW, Office, jwt
from tests.token_office.test_revoking import revoke_signed, revoke_token, revoke_user
from tests.tokens import mint
from tests.tokens.mint import NOT_THERE

LAST = 300 + 30
"""Seconds after a revocation at which the last token ends that can have been there before it."""


def undated(kind, end):
    """A token of Alice's that does not say when it was issued."""
    if kind == "jwt":
        return jwt(iat=NOT_THERE, exp=NOW + end)
    return mint.compact(SECRETS[0], ALICE, NOW + end).encode()


REVOCATIONS = {
    "user": lambda office, _issuer: revoke_user(office),
    "issuer": revoke_signed,
    "before": lambda office, issuer: revoke_signed(office, issuer, before=float(NOW)),
}
each_kind = pytest.mark.parametrize(
    ("kind", "issuer"), [("jwt", "https://www"), ("compact", "forum")]
)
each_way = pytest.mark.parametrize("way", REVOCATIONS)


@each_kind
@each_way
def test_what_may_have_been_there_is_revoked_and_what_ends_later_is_good(office, kind, issuer, way):
    now(REVOCATIONS[way](office, issuer))
    for end in (60, LAST):
        assert office.admits(undated(kind, end), form=kind) is Reason.TOKEN_REVOKED
    office.clock.advance(1)
    assert office.admits(undated(kind, LAST), form=kind) is Reason.TOKEN_REVOKED
    assert office.admits(undated(kind, LAST + 1), form=kind) is Reason.TOKEN_VALID


@each_kind
@each_way
@pytest.mark.parametrize(
    "changes", [{"max_lifetime": "60s"}, {"leeway": "0s"}, {"max_lifetime": "60s", "leeway": "0s"}]
)
def test_what_was_revoked_stays_so_when_its_issuer_may_sign_for_less(
    office, tmp_path, kind, issuer, way, changes
):
    """Its `max_lifetime` is lowered because something has happened, as likely as not."""
    now(REVOCATIONS[way](office, issuer))
    again = Office(tmp_path, office, **changes)
    assert again.admits(undated(kind, 60), form=kind) is Reason.TOKEN_REVOKED
    again.clock.advance(LAST - 60)
    assert again.admits(undated(kind, LAST), form=kind) is Reason.TOKEN_REVOKED
    again.clock.advance(1)
    assert again.admits(undated(kind, LAST + 1), form=kind) is Reason.TOKEN_VALID


def test_what_was_dated_ahead_stays_revoked_when_its_issuer_has_less_leeway(office, tmp_path):
    ahead = jwt(iat=NOW + 10, exp=NOW + 70)
    now(revoke_user(office))
    assert office.admits(ahead) is Reason.TOKEN_REVOKED
    again = Office(tmp_path, office, leeway="0s")
    again.clock.advance(15)
    assert again.admits(ahead) is Reason.TOKEN_REVOKED
    again.clock.advance(16)
    assert again.admits(jwt(iat=NOW + 31, exp=NOW + 91)) is Reason.TOKEN_VALID


def test_a_token_that_was_revoked_by_its_jti_stays_so_whenever_it_ends(office, tmp_path):
    now(revoke_token(office, undated("jwt", 60)))
    (told,) = office.ledger.asked
    assert (told.before, told.ends) == (EVER, EVER)
    longer = Office(tmp_path, office, max_lifetime="2d")
    shorter = Office(tmp_path, office, max_lifetime="60s", leeway="0s")
    for one in (office, longer, shorter):
        assert one.admits(undated("jwt", 60)) is Reason.TOKEN_REVOKED
    assert longer.admits(undated("jwt", 86_400)) is Reason.TOKEN_REVOKED


def test_a_later_revocation_takes_nothing_back(office):
    office.clock.advance(60)
    now(revoke_signed(office))
    now(revoke_signed(office, before=NOW - 3600.0))
    assert office.admits(undated("jwt", 60 + LAST)) is Reason.TOKEN_REVOKED
    assert office.admits(jwt(iat=NOW + 60, exp=NOW + 120)) is Reason.TOKEN_REVOKED
