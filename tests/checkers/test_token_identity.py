"""Whose a token is, by its own words and by what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from authbridge.issuers.issuers import Issuer, Issuers, KeysUnavailable
from authbridge.model import NOT_A_TOKEN, Identifying, Identity, Outcome, Reason, Verdict
from authbridge.secret import Secret
from authbridge.stores.operations import Find
from authbridge.tokens import temporary
from tests.checkers.token_house import (
    ADMIN,
    ALICE,
    NOW,
    ONCE,
    REVOCABLE,
    THERE,
    House,
    id_of,
    jwt,
)
from tests.doubles import now
from tests.issuers.folders import SECRETS, settings
from tests.tokens import mint

HERE, ELSEWHERE = "example.org", "example.net"


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


class Signed:
    """Signed tokens of this subject, the keys of which are not there."""

    def __init__(self, subject):
        self._subject = subject

    def subject(self, _form, _token):
        return self._subject

    def judge(self, *_asked):
        raise KeysUnavailable("they are being fetched", Deferred)


def identify(house, secret, domain=HERE, checker=None):
    checker = checker or house.checker(house.ledger)
    assert isinstance(checker, Identifying)
    return now(checker.identify(Secret(secret.encode()), domain))


def reason(house, secret, domain=HERE, checker=None):
    """Of a refusal, which is the same for who names the user, where the token is nobody's."""
    found = identify(house, secret, domain, checker)
    assert isinstance(found, Outcome)
    assert found.verdict is Verdict.REJECTED
    return found.reason


def test_a_temporary_token_is_whose_it_was_issued_for(house):
    secret = house.issue(ttl=60.0)
    for domain in (HERE, ELSEWHERE, "*"):
        assert identify(house, secret, domain) == Identity(ALICE, NOW + 60.0)
    assert identify(house, house.issue(THERE)).jid == THERE


def test_a_temporary_token_is_not_used_up_by_it(house):
    secret = house.issue()
    identify(house, secret)
    assert house.left(secret) == 1
    assert {type(one) for one in house.ledger.asked[-1:]} == {Find}
    assert house.login(secret).verdict is Verdict.ACCEPTED


def test_its_end_is_by_the_machines_clock(house):
    house.ledger.by = 5.0
    assert identify(house, house.issue(ttl=60.0)).expires == NOW + 60.0


def test_a_temporary_token_that_there_is_not_is_nobodys(house):
    made = temporary.make(bytes(32))
    assert reason(house, made) is Reason.TOKEN_UNKNOWN
    assert reason(house, made[:-1]) is Reason.TOKEN_MALFORMED


def test_an_id_alone_finds_nobody(house):
    record = now(house.ledger.ask(Find(id_of(house.issue()))))

    class Other:
        """A store with a token whose hash begins alike."""

        def ask(self, _operation):
            return succeed(replace(record, digest=record.digest[:16] + bytes(16)))

    checker = house.checker(Other())
    assert reason(house, temporary.make((1).to_bytes(32, "big")), HERE, checker) is (
        Reason.TOKEN_UNKNOWN
    )


def test_the_state_that_cannot_be_asked_is_an_outage(house):
    secret = house.issue()
    for checker in (house.checker(house.ledger), house.checker(None)):
        house.ledger.down = "a full disk"
        found = identify(house, secret, checker=checker)
        assert (found.verdict, found.reason) == (Verdict.UNAVAILABLE, Reason.STATE_UNAVAILABLE)


def test_a_signed_token_is_its_subjects(house):
    for subject in ("alice@example.org", "Alice@EXAMPLE.org", "alice", "ALICE"):
        assert identify(house, jwt(sub=subject)) == Identity(ALICE, NOW + 60)
    assert identify(house, jwt(sub="alice@example.org"), ELSEWHERE).jid == ALICE


@pytest.fixture
def everywhere(house, tmp_path):
    """A checker whose issuer signs for every domain."""
    anywhere = settings(tmp_path, name="anywhere", keys=["www.pem"], domains=["*"])
    house.issuers = Issuers([Issuer(anywhere)], Clock().seconds)
    return house.checker(house.ledger)


def test_a_subject_alone_is_of_the_domain_that_it_is_for(house, everywhere):
    for aud, subject in (("xmpp:example.net", "alice"), ("xmpp:example.net", "alice@example.net")):
        secret = jwt("anywhere", sub=subject, aud=aud)
        assert identify(house, secret, ELSEWHERE, everywhere).jid == THERE
    secret = jwt("anywhere", sub="alice")
    assert identify(house, secret, HERE, everywhere).jid == ALICE
    assert reason(house, secret, ELSEWHERE, everywhere) is Reason.TOKEN_AUDIENCE_WRONG
    assert reason(house, secret, "*", everywhere) is Reason.TOKEN_AUDIENCE_WRONG


def test_a_signed_token_of_single_use_is_not_used_up_by_it(house):
    secret = jwt(ONCE)
    for _ in range(2):
        assert identify(house, secret).jid == ALICE
    assert house.ledger.asked == []
    assert house.login(secret).verdict is Verdict.ACCEPTED
    assert house.reason(secret) is Reason.TOKEN_USED


def test_what_is_revoked_is_the_judges_to_say(house):
    assert identify(house, jwt(REVOCABLE)).jid == ALICE


def test_a_signed_token_that_is_no_good_is_nobodys(house):
    forged = mint.jwt({"iss": "plain", "sub": "alice"}, mint.key("ES256", "other"), kid="www")
    for secret, why in (
        (jwt(exp=NOW - 60), Reason.TOKEN_EXPIRED),
        (jwt(aud="xmpp:example.com"), Reason.TOKEN_AUDIENCE_WRONG),
        (jwt(iss="stranger"), Reason.TOKEN_ISSUER_UNKNOWN),
        (jwt(sub="admin"), Reason.TOKEN_NEVER),
        (forged, Reason.TOKEN_SIGNATURE_WRONG),
        (jwt()[:-1], Reason.TOKEN_MALFORMED),
    ):
        assert reason(house, secret) is why


def test_a_refusal_has_who_has_signed(house):
    assert identify(house, jwt(exp=NOW - 60)).signer == "plain#www"


def test_a_token_that_does_not_say_whose_it_is_is_nobodys(house):
    for secret in (
        jwt(sub=None),
        jwt(sub=7),
        mint.compact(SECRETS[0], str(ALICE), NOW + 60),
        mint.xcauth(SECRETS[1], str(ALICE), NOW + 60),
    ):
        assert reason(house, secret) is Reason.TOKEN_CLAIM_MISSING


def test_a_subject_that_can_be_no_jid_is_nobodys(house):
    for subject in ("al ice", "alice@", "@example.org", "alice@exa mple", "a/b@example.org", ""):
        assert reason(house, jwt(sub=subject)) is Reason.TOKEN_USER_WRONG
    # JSON can spell what is no character.
    checker = house.checker(house.ledger)
    for subject in ("\ud800", "\ud800@example.org", "alice@\ud800"):
        checker._signed = Signed(subject)
        assert reason(house, jwt(), checker=checker) is Reason.TOKEN_USER_WRONG


def test_keys_that_are_not_there_yet_are_an_outage(house):
    checker = house.checker(house.ledger)
    checker._signed = Signed("alice")
    found = identify(house, jwt(), checker=checker)
    assert (found.verdict, found.reason) == (Verdict.UNAVAILABLE, Reason.KEYS_UNAVAILABLE)


def test_a_kind_that_is_not_accepted_is_nobodys(house):
    checker = house.checker(house.ledger, frozenset({"compact"}))
    for secret in (jwt(), house.issue(), "abto1_" + "A" * 43):
        assert reason(house, secret, checker=checker) is Reason.TOKEN_NOT_ACCEPTED
    assert reason(house, "abto1_" + "A" * 43) is Reason.TOKEN_NOT_ACCEPTED


def test_what_does_not_look_like_a_token_is_somebody_elses(house):
    assert identify(house, "wonderland") is NOT_A_TOKEN


def test_whom_never_names_is_known_and_not_let_in(house):
    secret = house.issue(ADMIN)
    assert identify(house, secret).jid == ADMIN
    assert house.reason(secret, ADMIN) is Reason.TOKEN_NEVER
