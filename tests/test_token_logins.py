"""Logins by a credential that says whose it is."""

from __future__ import annotations

import re

from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.model import JID, Identity, Outcome, Reason, Verdict
from authbridge.secret import Secret
from authbridge.token_logins import LONGEST, TokenLogins
from authbridge.turns import LineFull
from tests.doubles import ScriptedChecker, now, silent_checker
from tests.knowing import ENDS, TOKEN, Knowing, ManyDomains, whose

HERE, THERE = "example.org", "example.net"
ALICE, THERES = Identity(JID("alice", HERE), ENDS), Identity(JID("alice", THERE), None)
DOWN = model.unavailable(Reason.PROVIDER_UNREACHABLE)
BAD = model.rejected(Reason.TOKEN_INACTIVE)


def check(house, *domains, token=TOKEN, refusal=lambda _jid: None):
    return TokenLogins(house.authenticator).check(
        "http", "oauth", Secret(token.encode()), domains or (HERE,), refusal, 8.0,
        number="boot-1", caller="prosody", address="192.0.2.1",
    )  # fmt: skip


def found(house, *domains, **more):
    return now(check(house, *domains, **more))


def reason(house, *domains, **more):
    """Why nobody is let in."""
    outcome, identity = found(house, *domains, **more)
    assert outcome.verdict is not Verdict.ACCEPTED
    assert identity is None
    return outcome.reason


def line_of(house):
    (line,) = house.lines
    return re.sub(r"^\S+ login | ms=[0-9.]+", "", line)


def test_whose_it_is_is_asked_and_then_it_is_judged():
    checker = Knowing()
    house = ManyDomains(example_org=checker)
    assert found(house) == (model.TOKEN_VALID, ALICE)
    assert checker.asked == [
        ("identify", HERE, TOKEN.encode()),
        ("check_password", "alice@example.org", TOKEN.encode()),
    ]
    assert line_of(house) == (
        "id=boot-1 front_end=http operation=oauth jid=alice@example.org checker=c0-0 "
        "verdict=accepted reason=token_valid caller=prosody address=192.0.2.1"
    )


def test_who_is_known_and_not_let_in_stays_out():
    house = ManyDomains(example_org=Knowing(answer=model.rejected(Reason.TOKEN_USED)))
    assert reason(house) is Reason.TOKEN_USED
    assert "jid=alice@example.org" in line_of(house)


def test_an_outage_at_the_judging_is_one():
    house = ManyDomains(example_org=Knowing(answer=DOWN))
    outcome, identity = found(house)
    assert (outcome, identity) == (DOWN, None)


def test_whose_is_not_known_is_not_judged():
    for told in (BAD, DOWN, model.NOT_A_TOKEN, RuntimeError("a fault")):
        checker = Knowing(told)
        house = ManyDomains(example_org=checker)
        outcome, identity = found(house)
        expected = {
            RuntimeError: model.unavailable(Reason.INTERNAL_ERROR),
            Outcome: model.rejected(Reason.NO_CHECKER) if told is model.NOT_A_TOKEN else told,
        }
        assert (outcome, identity) == (expected[type(told)], None)
        assert [asked[0] for asked in checker.asked] == ["identify"]
        assert "jid=- " in line_of(house)


def test_a_checker_that_cannot_identify_never_sees_it():
    directory = ScriptedChecker(model.PASSWORD_MATCHES)
    house = ManyDomains(example_org=(Knowing(model.NOT_A_TOKEN, mine=b"other"), directory))
    assert reason(house) is Reason.NO_CHECKER
    assert directory.asked == []


def test_an_outage_is_not_forgotten_over_what_others_say():
    for other in (model.NOT_A_TOKEN, BAD):
        house = ManyDomains(example_org=(Knowing(DOWN, mine=b"x"), Knowing(other, mine=b"y")))
        assert reason(house) is Reason.PROVIDER_UNREACHABLE


def test_the_next_checker_is_asked_where_one_does_not_judge_it():
    knows = Knowing()
    house = ManyDomains(example_org=(Knowing(model.NOT_A_TOKEN), knows))
    assert found(house)[1] == ALICE


def test_what_can_be_nobodys_password_is_nobodys_token():
    checker = Knowing(mine=b"")
    house = ManyDomains(example_org=checker)
    for token, why in (("", Reason.PASSWORD_BLANK), ("a\0b", Reason.PASSWORD_HAS_NUL)):
        assert reason(house, token=token) is why
    assert checker.asked == []


def test_what_is_too_long_for_a_token_is_shown_to_nobody():
    checker = Knowing(mine=b"x")
    house = ManyDomains(example_org=checker)
    assert found(house, token="x" * LONGEST)[0] is model.TOKEN_VALID
    checker.asked.clear()
    assert reason(house, token="x" * (LONGEST + 1)) is Reason.TOKEN_MALFORMED
    assert checker.asked == []


def test_whom_the_caller_may_not_be_told_of_is_not_judged():
    checker = Knowing()
    house = ManyDomains(example_org=checker)
    assert reason(house, refusal=lambda _: Reason.CALLER_NOT_ALLOWED) is Reason.CALLER_NOT_ALLOWED
    assert [asked[0] for asked in checker.asked] == ["identify"]
    assert "jid=alice@example.org" in line_of(house)


def test_a_domain_that_nobody_serves_has_nobody():
    house = ManyDomains(example_org=Knowing())
    assert reason(house, THERE) is Reason.DOMAIN_UNKNOWN
    assert found(house, THERE, HERE)[1] == ALICE
    assert now(TokenLogins(house.authenticator).check(
        "http", "oauth", Secret(b"x"), (), lambda _: None, 8.0, number="", caller="", address=""
    )) == (model.rejected(Reason.DOMAIN_UNKNOWN), None)  # fmt: skip


def test_a_token_that_names_its_domain_is_of_that_one():
    here = Knowing(THERES)
    house = ManyDomains(example_org=here, example_net=Knowing(THERES))
    assert found(house, HERE, THERE) == (model.TOKEN_VALID, THERES)
    assert [asked[0] for asked in here.asked] == ["identify"]


def test_a_token_that_names_a_domain_where_it_would_be_a_password_is_judged_by_nobody():
    directory = ScriptedChecker(model.PASSWORD_MATCHES)
    for checkers in (directory, (directory, Knowing(mine=b"another"))):
        house = ManyDomains(example_org=Knowing(THERES), example_net=checkers)
        assert reason(house) is Reason.NO_CHECKER
        house = ManyDomains(any=Knowing(THERES), example_net=checkers)
        assert reason(house, "*") is Reason.NO_CHECKER
    assert directory.asked == []
    assert reason(ManyDomains(example_org=Knowing(THERES))) is Reason.DOMAIN_UNKNOWN


def test_a_token_that_is_good_in_two_domains_is_nobodys():
    house = ManyDomains(example_org=Knowing(), example_net=Knowing())
    assert reason(house, HERE, THERE) is Reason.USER_AMBIGUOUS


def test_a_token_of_one_domain_is_found_among_others():
    for other in (BAD, DOWN, model.NOT_A_TOKEN):
        house = ManyDomains(example_org=Knowing(), example_net=Knowing(other))
        for domains in ((HERE, THERE), (THERE, HERE)):
            assert found(house, *domains) == (model.TOKEN_VALID, ALICE)


def test_where_nobody_knows_it_the_outage_counts_and_then_the_best_reason():
    for one, other, why in (
        (BAD, DOWN, Reason.PROVIDER_UNREACHABLE),
        (DOWN, model.unavailable(Reason.KEYS_UNAVAILABLE), Reason.PROVIDER_UNREACHABLE),
        (model.NOT_A_TOKEN, BAD, Reason.TOKEN_INACTIVE),
        (BAD, model.NOT_A_TOKEN, Reason.TOKEN_INACTIVE),
        (BAD, model.rejected(Reason.TOKEN_EXPIRED), Reason.TOKEN_INACTIVE),
    ):
        house = ManyDomains(example_org=Knowing(one), example_net=Knowing(other))
        assert reason(house, HERE, THERE) is why


def test_a_checker_of_many_domains_is_asked_again_only_where_the_domain_counts():
    for told, times in (
        (BAD, 1),
        (DOWN, 1),
        (model.NOT_A_TOKEN, 1),
        (RuntimeError("a fault"), 1),
        (model.rejected(Reason.TOKEN_AUDIENCE_WRONG), 3),
        (model.rejected(Reason.TOKEN_NEVER), 3),
    ):
        checker = Knowing(told)
        house = ManyDomains(example_org=checker, example_net=checker, example_com=checker)
        (named,) = house.domains[HERE].check
        for rule in house.domains.values():
            rule.check[0].name = named.name
        found(house, HERE, THERE, "example.com")
        assert len(checker.asked) == times
    checker = Knowing(DOWN, mine=b"x")
    house = ManyDomains(example_org=checker, example_net=(checker, Knowing(mine=b"y")))
    house.domains[THERE].check[0].name = house.domains[HERE].check[0].name
    assert found(house, HERE, THERE)[1] == Identity(JID("alice", THERE), ENDS)
    assert [asked[1] for asked in checker.asked if asked[0] == "identify"] == [HERE]


def test_nobody_else_is_asked_about_a_token_that_is_good_in_two_domains():
    last = Knowing()
    house = ManyDomains(example_org=Knowing(), example_net=Knowing(), example_com=last)
    assert reason(house, HERE, THERE, "example.com") is Reason.USER_AMBIGUOUS
    assert last.asked == []


def test_a_token_is_of_any_domain_where_it_says_which():
    house = ManyDomains(any=Knowing(THERES))
    assert found(house, "*") == (model.TOKEN_VALID, THERES)
    house = ManyDomains(any=Knowing(whose))
    assert reason(house, "*") is Reason.TOKEN_CLAIM_MISSING
    house = ManyDomains(any=Knowing(whose))
    assert found(house, HERE) == (model.TOKEN_VALID, ALICE)


def test_it_has_one_deadline():
    silent = silent_checker()

    class Slow(Knowing):
        async def identify(self, password, domain):
            return await silent.check_password(JID("a", "b"), password, None)

    house = ManyDomains(example_org=Slow())
    results = []
    check(house).addCallback(results.append)
    house.clock.advance(7.9)
    assert results == []
    house.clock.advance(0.1)
    assert results == [(model.unavailable(Reason.DEADLINE_PASSED), None)]
    assert silent.cancelled


def test_who_identifies_waits_for_his_turn():
    house = ManyDomains(example_org=Knowing())
    (named,) = house.domains[HERE].check

    class Full:
        def take(self, _front_end):
            raise LineFull

    named.turns = Full()
    assert reason(house) is Reason.OVERLOADED
    turn: Deferred[None] = Deferred()

    class Busy:
        def take(self, _front_end):
            return turn

        def leave(self):
            pass

    named.turns = Busy()
    results = []
    check(house).addCallback(results.append)
    assert results == []
    turn.callback(None)
    assert results == [(model.TOKEN_VALID, ALICE)]
