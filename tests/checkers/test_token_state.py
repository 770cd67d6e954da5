"""Tokens of which something is kept: temporary ones, and signed ones of single use or revocable."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from authbridge.model import Reason, Trace, Verdict
from authbridge.stores.ledger import NOT_OURS
from authbridge.stores.operations import (
    Admit,
    Claim,
    Consume,
    Issue,
    Peek,
    Revoke,
    subject_of_issuer,
    subject_of_jti,
    subject_of_user,
)
from authbridge.tokens import temporary
from tests.checkers.token_house import (
    ADMIN,
    ALICE,
    ALL,
    BOB,
    BOTH,
    NOW,
    ONCE,
    PLAIN,
    REVOCABLE,
    THERE,
    House,
    id_of,
    jwt,
)
from tests.doubles import now
from tests.issuers.folders import SECRETS
from tests.tokens import mint


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


# --- temporary ------------------------------------------------------------------------------------


def test_a_temporary_token_is_accepted_once(house):
    secret = house.issue()
    outcome = house.login(secret)
    assert (outcome.verdict, outcome.reason) == (Verdict.ACCEPTED, Reason.TOKEN_VALID)
    assert outcome.signer == f"temporary#{id_of(secret)}"
    assert secret not in repr(outcome)
    assert house.reason(secret) is Reason.TOKEN_USED
    assert house.login(secret).signer == outcome.signer


@pytest.mark.parametrize("uses", [2, 5])
def test_or_as_often_as_it_may_be(house, uses):
    secret = house.issue(uses=uses)
    assert [house.login(secret).verdict for _ in range(uses)] == [Verdict.ACCEPTED] * uses
    assert house.reason(secret) is Reason.TOKEN_USED


def test_or_as_often_as_one_likes(house):
    secret = house.issue(uses=None)
    assert {house.login(secret).verdict for _ in range(20)} == {Verdict.ACCEPTED}


def test_a_wrong_user_uses_nothing_up(house):
    secret = house.issue()
    for jid in (BOB, THERE):
        assert house.reason(secret, jid) is Reason.TOKEN_USER_WRONG
    assert house.left(secret) == 1
    assert house.login(secret).verdict is Verdict.ACCEPTED


def test_a_guess_uses_nothing_up(house):
    secret = house.issue()
    guess = temporary.make(b"\1" + bytes(30) + b"\1")
    assert house.reason(guess) is Reason.TOKEN_UNKNOWN
    assert house.login(guess).signer == ""
    assert house.login(secret).verdict is Verdict.ACCEPTED


def test_no_token_is_used_up_for_who_never_logs_in_by_one(house):
    secret = house.issue(ADMIN)
    house.ledger.asked.clear()
    assert house.reason(secret, ADMIN) is Reason.TOKEN_NEVER
    assert house.ledger.asked == []
    assert house.left(secret) == 1


def test_a_temporary_token_ends(house):
    secret, longer = house.issue(ttl=60.0), house.issue(ttl=61.0)
    house.wall += 60
    assert house.reason(secret) is Reason.TOKEN_EXPIRED
    assert house.login(longer).verdict is Verdict.ACCEPTED
    house.wall -= 3600
    assert house.reason(secret) is Reason.TOKEN_EXPIRED


def test_a_revoked_one_is_refused(house):
    secret = house.issue(uses=None)
    assert house.login(secret).verdict is Verdict.ACCEPTED
    now(house.ledger.ask(Revoke(id_of(secret))))
    assert house.reason(secret) is Reason.TOKEN_REVOKED


def test_what_is_out_of_form_is_not_looked_for(house):
    secret = house.issue()
    house.ledger.asked.clear()
    for damaged in (secret[:-1], secret + "A", f" {secret}", f"Bearer {secret}", secret + "="):
        assert house.reason(damaged) is Reason.TOKEN_MALFORMED
    assert house.ledger.asked == []


def test_where_they_are_not_accepted_nobody_is_asked(house):
    secret = house.issue()
    house.ledger.asked.clear()
    outcome = house.login(secret, checker=house.checker(house.ledger, ALL - {"temporary"}))
    assert outcome.reason is Reason.TOKEN_NOT_ACCEPTED
    assert house.ledger.asked == []


def test_who_asks_for_the_reasons_uses_nothing_up(house):
    secret = house.issue()
    trace = Trace()
    assert house.login(secret, trace=trace).verdict is Verdict.ACCEPTED
    assert trace.steps == [
        ("token", "looks like one of kind temporary, 49 octets"),
        ("id", id_of(secret)),
        ("use", "is looked at, and not used up by this"),
    ]
    asked = [type(one) for one in house.ledger.asked]
    assert asked == [Issue, Peek]
    assert house.login(secret).verdict is Verdict.ACCEPTED
    assert type(house.ledger.asked[-1]) is Consume


def test_of_an_unknown_token_there_is_no_id_to_be_told(house):
    trace = Trace()
    house.login(temporary.make(bytes(32)), trace=trace)
    assert "id" not in dict(trace.steps)


def test_while_the_state_is_away_it_cannot_be_told(house):
    secret = house.issue()
    house.ledger.down = "was lost"
    trace = Trace()
    for outcome in (house.login(secret), house.login(secret, trace=trace)):
        assert outcome.verdict is Verdict.UNAVAILABLE
        assert outcome.reason is Reason.STATE_UNAVAILABLE
    assert trace.steps[-1] == ("state", "was lost")
    house.ledger.down = ""
    assert house.login(secret).verdict is Verdict.ACCEPTED


def test_a_command_that_is_not_the_daemon_cannot_tell(house):
    trace = Trace()
    outcome = house.login(house.issue(), trace=trace, checker=house.checker())
    assert outcome.reason is Reason.STATE_UNAVAILABLE
    assert trace.steps[-1] == ("state", NOT_OURS)


def test_a_login_that_is_given_up_ends(house):
    secret = house.issue()
    house.ledger.silent = True
    login = house.begin(secret)
    login.cancel()
    with pytest.raises(CancelledError):
        now(login)


# --- signed ---------------------------------------------------------------------------------------


def test_of_issuers_without_these_settings_nothing_is_asked(house):
    house.ledger.down = "was lost"
    for _ in range(2):
        assert house.login(jwt()).verdict is Verdict.ACCEPTED
    assert house.ledger.asked == []


@pytest.mark.parametrize("issuer", [ONCE, BOTH])
def test_a_token_of_single_use_is_accepted_once(house, issuer):
    outcome = house.login(jwt(issuer))
    assert (outcome.verdict, outcome.signer) == (Verdict.ACCEPTED, f"{issuer}#www")
    assert house.reason(jwt(issuer)) is Reason.TOKEN_USED
    assert house.login(jwt(issuer)).signer == outcome.signer
    assert house.login(jwt(issuer, "j2")).verdict is Verdict.ACCEPTED


def test_one_jti_is_one_token_whatever_else_it_says(house):
    assert house.login(jwt(ONCE)).verdict is Verdict.ACCEPTED
    assert house.reason(jwt(ONCE, exp=NOW + 90)) is Reason.TOKEN_USED
    bobs = jwt(ONCE, sub="bob")
    assert house.reason(bobs, BOB) is Reason.TOKEN_USED


def test_issuers_may_use_the_same_jti(house):
    assert house.login(jwt(ONCE)).verdict is Verdict.ACCEPTED
    assert house.login(jwt(BOTH)).verdict is Verdict.ACCEPTED


def test_a_token_for_another_uses_nothing_up(house):
    assert house.reason(jwt(ONCE), BOB) is Reason.TOKEN_USER_WRONG
    assert house.reason(jwt(ONCE, exp=NOW - 60)) is Reason.TOKEN_EXPIRED
    assert house.ledger.asked == []
    assert house.login(jwt(ONCE)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("jti", [mint.NOT_THERE, "", None])
def test_without_jti_it_cannot_be_accepted_once(house, jti):
    for issuer in (ONCE, BOTH):
        assert house.reason(jwt(issuer, jti)) is Reason.TOKEN_CLAIM_MISSING
    for issuer in (REVOCABLE, PLAIN):
        assert house.login(jwt(issuer, jti)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("jti", [1, ["j1"], {"j": 1}, True, 1.5])
def test_a_jti_that_is_no_string_is_malformed_where_it_matters(house, jti):
    for issuer in (ONCE, BOTH, REVOCABLE):
        assert house.reason(jwt(issuer, jti)) is Reason.TOKEN_MALFORMED
    assert house.login(jwt(PLAIN, jti)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("jti", ["\ud800", "é", "x" * 4000, "\0", " "])
def test_any_string_is_a_jti(house, jti):
    octets = mint.json.dumps(
        {"iss": BOTH, "sub": "alice", "aud": "xmpp:example.org", "iat": NOW, "exp": NOW + 60,
         "jti": jti}
    ).encode()  # fmt: skip
    secret = mint.jwt(octets, mint.key("ES256", "www"), kid="www")
    assert house.login(secret).verdict is Verdict.ACCEPTED
    assert house.reason(secret) is Reason.TOKEN_USED


@pytest.mark.parametrize("issuer", [REVOCABLE, BOTH])
@pytest.mark.parametrize(
    "subject",
    [
        lambda issuer: subject_of_jti(issuer, "j1"),
        lambda issuer: subject_of_user(issuer, "alice@example.org"),
        subject_of_issuer,
    ],
)
def test_a_token_that_was_revoked_is_refused(house, issuer, subject):
    house.withdraw(subject(issuer))
    outcome = house.login(jwt(issuer))
    assert (outcome.reason, outcome.signer) == (Reason.TOKEN_REVOKED, f"{issuer}#www")
    assert house.reason(jwt(issuer)) is Reason.TOKEN_REVOKED


def test_of_others_nothing_is_revoked_with_it(house):
    house.withdraw(subject_of_jti(BOTH, "j2"))
    house.withdraw(subject_of_user(BOTH, "bob@example.org"))
    house.withdraw(subject_of_issuer(REVOCABLE))
    assert house.login(jwt(BOTH)).verdict is Verdict.ACCEPTED
    assert house.login(jwt(ONCE)).verdict is Verdict.ACCEPTED


def test_a_revoked_token_that_was_used_is_revoked(house):
    assert house.login(jwt(BOTH)).verdict is Verdict.ACCEPTED
    house.withdraw(subject_of_jti(BOTH, "j1"))
    assert house.reason(jwt(BOTH)) is Reason.TOKEN_REVOKED


def test_where_tokens_are_not_looked_up_nothing_is_revoked(house):
    for issuer in (ONCE, PLAIN):
        house.withdraw(subject_of_issuer(issuer))
        assert house.login(jwt(issuer)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_tokens_without_claims_are_revoked_by_user_and_issuer(house, kind):
    make = {"compact": mint.compact, "xcauth": mint.xcauth}[kind]
    secret = SECRETS[["compact", "xcauth"].index(kind)]
    ours, bobs = (make(secret, str(jid), NOW + 60) for jid in (ALICE, BOB))
    assert house.login(ours).verdict is Verdict.ACCEPTED
    house.withdraw(subject_of_user(kind, "alice@example.org"), NOW, NOW + 59)
    assert house.login(ours).verdict is Verdict.ACCEPTED  # it ends later
    house.withdraw(subject_of_user(kind, "alice@example.org"), NOW, NOW + 60)
    assert house.reason(ours) is Reason.TOKEN_REVOKED
    assert house.login(bobs, BOB).verdict is Verdict.ACCEPTED
    house.withdraw(subject_of_issuer(kind), NOW, NOW + 60)
    assert house.reason(bobs, BOB) is Reason.TOKEN_REVOKED


@pytest.mark.parametrize("issuer", [REVOCABLE, BOTH])
def test_a_jwt_is_revoked_by_its_date_or_without_one_by_its_end(house, issuer):
    house.withdraw(subject_of_issuer(issuer), NOW - 30, NOW + 60)
    undated = {"iat": mint.NOT_THERE}
    for refused in (jwt(issuer, iat=NOW - 31), jwt(issuer, **undated)):
        assert house.reason(refused) is Reason.TOKEN_REVOKED
    for accepted in (jwt(issuer), jwt(issuer, "j2", exp=NOW + 61, **undated)):
        assert house.login(accepted).verdict is Verdict.ACCEPTED


def test_who_asks_for_the_reasons_claims_nothing(house):
    for issuer in (ONCE, BOTH):
        assert house.login(jwt(issuer), trace=Trace()).verdict is Verdict.ACCEPTED
        assert type(house.ledger.asked[-1]) is Admit
        assert house.login(jwt(issuer)).verdict is Verdict.ACCEPTED
        assert type(house.ledger.asked[-1]) is Claim


def test_what_is_revocable_alone_is_never_written_down(house):
    assert house.login(jwt(REVOCABLE)).verdict is Verdict.ACCEPTED
    assert type(house.ledger.asked[-1]) is Admit


@pytest.mark.parametrize("issuer", [ONCE, REVOCABLE, BOTH])
def test_without_the_state_such_tokens_cannot_be_told(house, issuer):
    house.ledger.down = "was lost"
    for trace in (None, Trace()):
        assert house.login(jwt(issuer), trace=trace).reason is Reason.STATE_UNAVAILABLE
    # What is wrong by itself is still a no.
    assert house.reason(jwt(issuer, sub="bob")) is Reason.TOKEN_USER_WRONG
    house.ledger.down = ""
    assert house.login(jwt(issuer)).verdict is Verdict.ACCEPTED
    trace = Trace()
    outcome = house.login(jwt(issuer), trace=trace, checker=house.checker())
    assert outcome.reason is Reason.STATE_UNAVAILABLE
    assert trace.steps[-1] == ("state", NOT_OURS)
