"""What a token is, to who may ask about its user."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authbridge.issuers.issuers import KeysUnavailable
from authbridge.model import JID, Reason
from authbridge.stores.ledger import StoreUnavailable
from authbridge.stores.operations import Claim, Consume, Record, Revoke
from authbridge.token_office.grants import Introspection
from authbridge.tokens import temporary
from tests.doubles import now
from tests.token_office.offices import (
    ALICE,
    BOB,
    MEMBERS,
    NOW,
    SITE,
    WHERE,
    Office,
    compact,
    jwt,
    without_keys,
)
from tests.tokens.mint import NOT_THERE

USER = JID("alice", "example.org")
ALL = replace(SITE, domains=frozenset({"*"}))


def ask(office, token, username=None, grant=SITE):
    return now(office.office.lookup.introspect(grant, token, username))


def test_a_temporary_token_is_told(office):
    issued = office.issue(uses=2, ttl=600.0)
    office.clock.advance(5)
    for username in (None, ALICE, "ALICE@Example.org"):
        assert ask(office, issued.token.reveal(), username) == Introspection(
            kind="temporary", jid=USER, id=issued.id, issuer=None, client="website",
            issued_at=NOW, expires_at=NOW + 600,
        )  # fmt: skip
    assert office.find(issued).uses == 2


def test_its_times_are_by_the_machines_clock(office):
    office.ledger.by = 3600.0
    found = ask(office, office.issue().token.reveal())
    assert (found.issued_at, found.expires_at) == (NOW, NOW + 60)


def test_what_cannot_be_used_any_more_is_not_active(office):
    used, revoked, over = office.issue(), office.issue(), office.issue(ttl=1.0)
    office.use(used)
    now(office.ledger.ask(Revoke(revoked.id)))
    office.clock.advance(1)
    for issued in (used, revoked, over):
        assert ask(office, issued.token.reveal()) is None


def test_nor_is_what_there_is_not(office):
    for token in (temporary.make(bytes(32)).encode(), b"abtt1_", b"wonderland", b"", b"abtz9_x"):
        assert ask(office, token) is None


def test_nor_is_anothers(office):
    token = office.issue(BOB).token.reveal()
    assert ask(office, token) is not None
    assert ask(office, token, ALICE) is None
    assert ask(office, token, "no user") is None
    assert ask(office, token, grant=replace(SITE, users=MEMBERS)) is None
    assert ask(office, token, grant=replace(SITE, domains=frozenset({"example.net"}))) is None


def test_nor_is_one_that_has_the_id_of_another(office, monkeypatch):
    """128 bits alone let nobody in."""
    issued = office.issue()
    record = office.find(issued)
    other = Record(record.digest[:16] + bytes(16), ALICE, NOW, NOW + 60, 1, "website")
    monkeypatch.setitem(office.ledger.store._tokens, issued.id, other)
    assert ask(office, issued.token.reveal()) is None


def test_nor_is_what_would_be_refused_at_the_login(tmp_path):
    """`never` and `accept` may have changed since it was issued."""
    office = Office(tmp_path)
    token = office.issue().token.reveal()
    lookup = office.office.lookup
    for kinds in (lambda _domain: frozenset({"jwt"}), lambda _domain: None):
        lookup._kinds, before = kinds, lookup._kinds
        assert ask(office, token) is None
        assert ask(office, jwt("forum")) is None
        lookup._kinds = before
    assert ask(office, token) is not None
    lookup._never = lambda _jid: True
    assert ask(office, token) is None


@pytest.mark.parametrize("issuer", ["plain", "https://www", "once"])
def test_a_signed_token_is_told_and_not_used_up(office, issuer):
    for username in (None, ALICE, None):
        assert ask(office, jwt(issuer), username) == Introspection(
            kind="jwt", jid=USER, id="j1", issuer=issuer, client=None, issued_at=NOW,
            expires_at=NOW + 60,
        )  # fmt: skip
    assert not any(isinstance(one, Consume | Claim) for one in office.ledger.asked)
    assert (office.ledger.asked == []) == (issuer == "plain")


def test_what_it_does_not_say_is_not_told(office):
    found = ask(office, jwt("plain", iat=NOT_THERE, jti=None, exp=NOW + 60.5))
    assert (found.issued_at, found.id, found.expires_at) == (None, None, NOW + 60)
    assert ask(office, jwt("plain", jti=["j1"])).id is None


def test_one_without_claims_needs_a_name_beside_it(office):
    assert ask(office, compact()) is None
    found = ask(office, compact(), ALICE)
    assert (found.kind, found.jid, found.issuer, found.id) == ("compact", USER, "forum", None)
    assert (found.issued_at, found.expires_at) == (None, NOW + 60)
    assert ask(office, compact(), BOB) is None


def test_a_user_without_domain_needs_one_beside_it(office):
    assert ask(office, jwt("plain", sub="alice")) is None
    assert ask(office, jwt("plain", sub="alice"), ALICE).jid == USER


@pytest.mark.parametrize(
    ("token", "username", "grant"),
    [
        (jwt(exp=NOW - 60), None, SITE),
        (jwt(sub=BOB), ALICE, SITE),
        (jwt(sub=BOB), None, replace(SITE, users=MEMBERS)),
        (jwt(), None, replace(SITE, domains=frozenset({"example.net"}))),
        (jwt(iss="nobody"), None, SITE),
        (jwt(sub=None), None, SITE),
        (jwt(sub="admin@example.org"), None, SITE),
        (jwt(aud="xmpp:example.com", sub="alice@example.com"), None, ALL),
        (mac := compact("alice@example.net"), "alice@example.net", ALL),
        (mac, "", ALL),
        (b"eyJhbGciOiJFUzI1NiJ9.e30.AA", None, SITE),
    ],
)
def test_a_signed_token_that_is_not_good_is_not_active(office, token, username, grant):
    assert ask(office, token, username, grant) is None


def test_a_signed_token_that_was_used_or_revoked_is_not_active(office):
    good = office.office.lookup.judge(
        SITE, office.office.lookup.form(jwt("once")), jwt("once"), None
    )
    admit = good.admit
    claim = Claim(admit.subjects, admit.issued, admit.expires, admit.until, admit.once)
    assert now(office.ledger.ask(claim)) is Reason.TOKEN_VALID
    assert ask(office, jwt("once")) is None
    now(office.office.revoke_signed(SITE, "https://www", "j1", None, **WHERE))
    assert ask(office, jwt()) is None


def test_without_the_state_it_cannot_be_told(office):
    issued = office.issue()
    office.ledger.down = "was lost"
    for token in (issued.token.reveal(), jwt(), jwt("once")):
        with pytest.raises(StoreUnavailable):
            ask(office, token)
    assert ask(office, jwt("plain")) is not None


def test_without_the_keys_it_cannot_be_told_either(office, monkeypatch):
    without_keys(office, monkeypatch)
    with pytest.raises(KeysUnavailable, match="are being fetched"):
        ask(office, jwt())


def test_to_ask_leaves_no_line(office):
    ask(office, jwt())
    assert office.lines == []
