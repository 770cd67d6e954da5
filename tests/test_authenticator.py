"""One login: folding, the deadline, the line, and what no checker may do to it."""

from __future__ import annotations

import gc
import itertools

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from authbridge import model
from authbridge.log import LoginLog, LogSettings
from authbridge.model import Outcome, Reason, Trace, Verdict
from authbridge.secret import Secret
from tests.doubles import House, ScriptedChecker, now, silent_checker

YES = model.PASSWORD_MATCHES
NO = model.PASSWORD_MISMATCH
UNKNOWN = model.USER_UNKNOWN
NOT_MINE = Outcome(Verdict.NOT_APPLICABLE, Reason.NO_CHECKER)
DOWN = model.unavailable(Reason.SOURCE_UNREADABLE)


def fold_by_the_book(answers):
    """INTERFACE 6, as a sentence: what a chain of verdicts is worth."""
    down = False
    for answer in answers:
        if answer is YES:
            return Verdict.ACCEPTED
        if answer is NO:
            return Verdict.UNAVAILABLE if down else Verdict.REJECTED
        down = down or answer is DOWN
    return Verdict.UNAVAILABLE if down else Verdict.REJECTED


@pytest.mark.parametrize(
    "answers", list(itertools.chain.from_iterable(
        itertools.product([YES, NO, UNKNOWN, NOT_MINE, DOWN], repeat=n) for n in range(4)
    ))
)  # fmt: skip
def test_every_chain_of_three_is_folded_by_the_book(answers):
    checkers = [ScriptedChecker(answer) for answer in answers]
    outcome = now(House(*checkers).check())
    assert outcome.verdict is fold_by_the_book(answers)
    ends = next((n for n, a in enumerate(answers) if a in (YES, NO)), len(answers))
    assert [len(checker.asked) for checker in checkers] == [
        1 if n <= ends else 0 for n in range(len(answers))
    ]


@pytest.mark.parametrize(
    "answers", list(itertools.product([model.USER_EXISTS, NO, UNKNOWN, NOT_MINE, DOWN], repeat=2))
)
def test_one_yes_wins_for_existence_then_unavailable_then_no(answers):
    outcome = now(House(*map(ScriptedChecker, answers)).exists())
    if model.USER_EXISTS in answers:
        assert outcome is model.USER_EXISTS
    elif DOWN in answers:
        assert outcome is DOWN
    else:  # and where somebody had a reason of its own, it is told
        reason = NO.reason if NO in answers else Reason.USER_UNKNOWN
        assert outcome == model.rejected(reason)


@pytest.mark.parametrize(
    ("exists", "verdict"), [(True, Verdict.ACCEPTED), (False, Verdict.REJECTED)]
)
def test_always_and_never_ask_nobody(exists, verdict):
    checker = ScriptedChecker(DOWN)
    trace = Trace()
    assert now(House(checker, exists=exists).exists(trace=trace)).verdict is verdict
    assert checker.asked == []
    assert trace.steps[-1][0] == "exists"


def test_existence_is_asked_of_its_own_checkers():
    check, exists = ScriptedChecker(NO), ScriptedChecker(model.USER_EXISTS)
    assert now(House(check, exists=(exists,)).exists()) is model.USER_EXISTS
    assert check.asked == []


def test_reasons_tell_an_unknown_user_from_nobody_responsible():
    assert now(House(ScriptedChecker(UNKNOWN)).check()).reason is Reason.USER_UNKNOWN
    assert now(House(ScriptedChecker(NOT_MINE)).check()).reason is Reason.NO_CHECKER
    assert now(House().check()).reason is Reason.NO_CHECKER


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", Reason.PASSWORD_BLANK),
        (" \t\n", Reason.PASSWORD_BLANK),
        ("a\0b", Reason.PASSWORD_HAS_NUL),
        ("\0", Reason.PASSWORD_HAS_NUL),
    ],
)
def test_an_impossible_password_reaches_no_checker(password, reason):
    checker = ScriptedChecker(YES)
    assert now(House(checker).check(password=password)) == model.rejected(reason)
    assert checker.asked == []


@pytest.mark.parametrize("user", ["", "a b", "a@b", "a/b", "x" * 1024])
def test_a_malformed_user_reaches_no_checker(user):
    checker = ScriptedChecker(YES)
    house = House(checker)
    trace = Trace()
    assert now(house.check(user=user, trace=trace)) == model.rejected(Reason.USER_MALFORMED)
    assert now(house.exists(user=user)) == model.rejected(Reason.USER_MALFORMED)
    assert checker.asked == []
    assert "jid=- " in house.lines[0]
    assert trace.steps[-1][0] == "user"


@pytest.mark.parametrize("domain", [b"example.com", b"", b"a..b", b"\xff", b"sub.example.org"])
def test_a_domain_that_is_not_served_is_refused(domain):
    house = House(checker := ScriptedChecker(YES))
    authenticator = house.authenticator
    trace = Trace()
    outcome = now(
        authenticator.check_password("t", b"alice", domain, Secret(b"x"), 8.0, trace=trace)
    )
    assert outcome == model.rejected(Reason.DOMAIN_UNKNOWN)
    assert now(authenticator.user_exists("t", b"alice", domain, 8.0)) == outcome
    assert checker.asked == []
    assert [name for name, _ in trace.steps] == ["domain"]


def test_both_names_are_prepared_before_anybody_is_asked():
    house = House(checker := ScriptedChecker(YES))
    now(house.authenticator.check_password("t", b"ALICE", b"Example.ORG.", Secret(b"x"), 8.0))
    assert checker.asked == [("check_password", "alice@example.org", b"x")]


def test_a_star_serves_every_domain_that_is_not_named():
    house = House(checker := ScriptedChecker(YES), domain="*")
    now(house.authenticator.check_password("t", b"alice", b"anywhere.test", Secret(b"x"), 8.0))
    assert checker.asked == [("check_password", "alice@anywhere.test", b"x")]
    outcome = now(house.authenticator.check_password("t", b"alice", b"*", Secret(b"x"), 8.0))
    assert outcome.reason is Reason.DOMAIN_UNKNOWN


def test_a_checker_that_raises_cannot_tell_and_the_next_is_asked(events):
    house = House(ScriptedChecker(RuntimeError("wonderland")), ScriptedChecker(YES))
    assert now(house.check()) is YES
    assert any("log_failure" in event for event in events)
    house = House(ScriptedChecker(RuntimeError()))
    assert now(house.check()) == model.unavailable(Reason.INTERNAL_ERROR)


def test_the_deadline_answers_once_cancels_and_drops_what_comes_late():
    checker = silent_checker()
    house = House(checker)
    answers = []
    house.check().addCallback(answers.append)
    house.clock.advance(7.9)
    assert answers == []
    house.clock.advance(0.2)
    assert answers == [model.unavailable(Reason.DEADLINE_PASSED)]
    assert checker.cancelled
    assert len(house.lines) == 1
    assert "checker=c0 verdict=unavailable reason=deadline_passed ms=8100.00" in house.lines[0]


def test_a_checker_that_will_not_be_cancelled_changes_nothing():
    class Stubborn(ScriptedChecker):
        async def _answer(self, trace):
            try:
                await Deferred()
            except BaseException:
                return YES

    house = House(Stubborn(YES))
    answers = []
    house.check().addCallback(answers.append)
    house.clock.advance(8)
    assert answers == [model.unavailable(Reason.DEADLINE_PASSED)]
    assert len(house.lines) == 1


def test_an_answer_in_time_ends_the_deadline():
    house = House(ScriptedChecker(waiting := Deferred()))
    answer = house.check()
    waiting.callback(YES)
    assert now(answer) is YES
    assert house.clock.getDelayedCalls() == []


def test_a_cancellation_that_is_not_the_deadlines_is_a_fault(events):
    waiting: Deferred[Outcome] = Deferred()
    house = House(ScriptedChecker(waiting))
    answer = house.check()
    waiting.cancel()
    assert now(answer) == model.unavailable(Reason.INTERNAL_ERROR)
    assert any("log_failure" in event for event in events)


def test_a_cancellation_out_of_nowhere_is_a_fault_too(events):
    house = House(ScriptedChecker(CancelledError()))
    assert now(house.check()) == model.unavailable(Reason.INTERNAL_ERROR)
    assert any("log_failure" in event for event in events)


def test_whatever_a_checker_awaits_it_is_answered_once():
    class Ready:
        """Hands out a Deferred that has its result already, as Deferred itself would not."""

        def __await__(self):
            result = yield succeed(YES)
            return result

    class Waiting(ScriptedChecker):
        async def _answer(self, trace):
            return await Ready()

    house = House(Waiting(YES))
    assert now(house.check()) is YES
    assert now(house.authenticator.logins.idle()) is None
    assert house.clock.getDelayedCalls() == []


def test_a_fault_behind_the_deadline_is_logged_and_not_answered_again(events):
    class Worse(ScriptedChecker):
        async def _answer(self, trace):
            try:
                await Deferred()
            finally:
                raise BaseException("worse")  # noqa: TRY002

    house = House(Worse(YES))
    answer = house.check()
    house.clock.advance(8)
    assert now(answer).reason is Reason.DEADLINE_PASSED
    assert len(house.lines) == 1
    assert any("log_failure" in event for event in events)


def test_a_no_behind_a_cannot_tell_names_who_could_not_tell():
    house = House(ScriptedChecker(DOWN), ScriptedChecker(NO))
    assert now(house.check()) is DOWN
    assert "checker=c0 verdict=unavailable reason=source_unreadable" in house.lines[0]


def test_a_login_has_one_line_with_everything_but_the_password():
    house = House(ScriptedChecker(YES))
    now(house.check(password="wonderland"))
    assert house.lines == [
        "2023-11-14T22:13:20.250Z login id=boot-1 front_end=test operation=check_password "
        "jid=alice@example.org checker=c0 verdict=accepted reason=password_matches ms=0.00"
    ]


def test_a_log_that_fails_keeps_nobody_out():
    def full(line):
        raise ValueError("I/O operation on closed file")

    house = House(ScriptedChecker(YES))
    house.authenticator._login_log = LoginLog(LogSettings(), full, lambda: 0.0)
    assert now(house.check()) is YES
    gc.collect()


def test_refused_alone_are_logged_where_that_is_asked_for():
    house = House(ScriptedChecker(YES), log=LogSettings(logins="refused"))
    now(house.check())
    now(house.check(password=" "))
    assert len(house.lines) == 1
    assert "password_blank" in house.lines[0]


def test_what_nobody_is_asked_is_refused_with_a_line():
    house = House(checker := ScriptedChecker(YES))
    outcome = house.authenticator.refuse(
        "test", "remove_user", b"alice", b"example.org", Reason.NOT_SUPPORTED
    )
    assert outcome == model.rejected(Reason.NOT_SUPPORTED)
    house.authenticator.logins.turn_away("test", "-", Reason.REQUEST_MALFORMED)
    assert checker.asked == []
    assert "operation=remove_user jid=alice@example.org" in house.lines[0]
    assert "operation=- jid=- checker=- verdict=rejected reason=request_malformed" in house.lines[1]


def test_a_trace_tells_every_step():
    trace = Trace()
    now(House(ScriptedChecker(UNKNOWN), ScriptedChecker(YES)).check(trace=trace))
    assert [name for name, _ in trace.steps] == [
        "domain", "user", "scripted", "checker c0", "scripted", "checker c1",
    ]  # fmt: skip


def test_idle_fires_when_the_last_login_has_its_answer():
    house = House(ScriptedChecker(waiting := Deferred()))
    assert now(house.authenticator.logins.idle()) is None
    house.check()
    second = house.check()
    idle = []
    house.authenticator.logins.idle().addCallback(idle.append)
    assert idle == []
    waiting.callback(YES)
    house.clock.advance(8)
    assert second.called
    assert idle == [None]


def test_whoever_is_under_way_at_the_end_cannot_be_told():
    house = House(silent := silent_checker())
    outcomes = []
    house.check().addCallback(outcomes.append)
    house.authenticator.logins.end()
    assert outcomes == [model.unavailable(Reason.STOPPING)]
    assert silent.cancelled
    assert house.authenticator.logins.idle().called
    house.authenticator.logins.end()
    assert len(house.lines) == 1
