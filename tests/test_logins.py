"""Questions on their way: one outcome, in time, and one line."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from authbridge import model
from authbridge.log import LoginLog, LogSettings
from authbridge.logins import Logins
from authbridge.model import JID, Reason, Trace
from tests.doubles import now

ACCEPTED = model.Outcome(model.Verdict.ACCEPTED, Reason.SESSION_VALID)
LATE = model.unavailable(Reason.DEADLINE_PASSED)


class Desk:
    """Logins with their clock and their log at hand."""

    def __init__(self, settings=LogSettings(), write=None):  # noqa: B008 - it is frozen
        self.clock = Clock()
        self.lines = []
        log = LoginLog(settings, write or self.lines.append, lambda: 0.0)
        self.logins = Logins(log, self.clock, "boot")

    def begin(self, **more):
        return self.logins.begin("web", "prebind", **more)

    def run(self, judging, deadline=8.0, **more):
        """The outcomes so far of a login that is judged so."""
        outcomes = []
        self.logins.run(self.begin(**more), judging, deadline).addCallback(outcomes.append)
        return outcomes


@pytest.fixture
def desk():
    return Desk()


async def at_once(outcome=ACCEPTED):
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def after(*waiting, outcome=ACCEPTED):
    for one in waiting:
        await one
    return outcome


def failures(events):
    return [event["log_format"] for event in events if "log_failure" in event]


# --- one outcome ----------------------------------------------------------------------------------


def test_what_waits_for_nobody_is_judged_at_once(desk):
    assert desk.run(at_once()) == [ACCEPTED]
    assert desk.clock.calls == []
    assert now(desk.logins.idle()) is None


def test_what_waits_is_judged_when_all_have_answered(desk):
    waiting = [Deferred(), Deferred()]
    outcomes = desk.run(after(*waiting))
    for one in waiting:
        assert (outcomes, desk.lines) == ([], [])
        one.callback(None)
    assert outcomes == [ACCEPTED]
    assert desk.clock.calls == []


def test_what_waits_for_what_is_there_already_is_judged_at_once(desk):
    class Fired:
        """Something to wait for that hands over a Deferred with a result in it."""

        def __await__(self):
            return (yield succeed(None))

    assert desk.run(after(Fired())) == [ACCEPTED]
    assert desk.clock.calls == []
    assert now(desk.logins.idle()) is None


def test_an_error_that_is_waited_for_is_the_judges_to_handle(desk):
    async def judge():
        try:
            await waiting
        except KeyError:
            return await after(another, outcome=model.USER_UNKNOWN)

    waiting, another = Deferred(), Deferred()
    outcomes = desk.run(judge())
    waiting.errback(KeyError())
    another.callback(None)
    assert outcomes == [model.USER_UNKNOWN]


@pytest.mark.parametrize("late", [False, True])
def test_a_fault_is_cannot_tell_and_logged(desk, events, late):
    waiting = Deferred()
    outcomes = desk.run(after(waiting) if late else at_once(KeyError("wonderland")))
    if late:
        waiting.errback(KeyError("wonderland"))
    assert outcomes == [model.unavailable(Reason.INTERNAL_ERROR)]
    assert failures(events) == ["a login failed"]
    assert "reason=internal_error" in desk.lines[0]
    assert "wonderland" not in repr(desk.lines)


# --- in time --------------------------------------------------------------------------------------


def test_at_its_deadline_it_is_cannot_tell_and_cancelled(desk, events):
    cancelled = []
    outcomes = desk.run(after(waiting := Deferred(cancelled.append)), 2.5)
    desk.clock.advance(2.25)
    assert (outcomes, cancelled) == ([], [])
    desk.clock.advance(0.25)
    assert (outcomes, cancelled) == ([LATE], [waiting])
    assert " ms=2500.00" in desk.lines[0]
    assert failures(events) == []
    assert now(desk.logins.idle()) is None


def test_what_comes_late_counts_for_nothing(desk, events):
    async def stubborn():
        try:
            await Deferred()
        except CancelledError:
            return ACCEPTED

    outcomes = desk.run(stubborn())
    desk.clock.advance(8)
    assert outcomes == [LATE]
    assert len(desk.lines) == 1
    assert failures(events) == []


def test_a_fault_that_comes_late_is_logged_all_the_same(desk, events):
    async def faulty():
        try:
            await Deferred()
        except CancelledError:
            raise KeyError from None

    outcomes = desk.run(faulty())
    desk.clock.advance(8)
    assert outcomes == [LATE]
    assert failures(events) == ["a login failed"]


def test_who_cancels_himself_in_time_has_a_fault(desk, events):
    outcomes = desk.run(at_once(CancelledError()))
    assert outcomes == [model.unavailable(Reason.INTERNAL_ERROR)]
    assert failures(events) == ["a login failed"]


def test_at_a_stop_nobody_is_waited_for_any_more(desk):
    waiting = [Deferred() for _ in range(3)]
    outcomes = [desk.run(after(one)) for one in waiting]
    idle = []
    desk.logins.idle().addCallback(idle.append)
    waiting[0].callback(None)
    assert idle == []
    desk.logins.end()
    assert outcomes == [[ACCEPTED], *[[model.unavailable(Reason.STOPPING)]] * 2]
    assert (idle, desk.clock.calls) == ([None], [])
    desk.logins.end()  # there is nobody left


def test_all_who_wait_for_the_end_of_all_hear_of_it(desk):
    waiting = [Deferred(), Deferred()]
    for one in waiting:
        desk.run(after(one))
    idle = []
    for _ in range(2):
        desk.logins.idle().addCallback(idle.append)
    waiting[1].callback(None)
    assert idle == []
    waiting[0].callback(None)
    assert idle == [None, None]


# --- one line -------------------------------------------------------------------------------------


def test_a_line_has_what_is_known_of_the_login(desk):
    login = desk.begin(number="boot-7", caller="site:www", address="192.0.2.9")
    login.jid, login.checker = JID("alice", "example.org"), "site:www"
    desk.clock.advance(0.25)
    desk.logins.settle(login, ACCEPTED)
    assert desk.lines == [
        "1970-01-01T00:00:00.000Z login id=boot-7 front_end=web operation=prebind "
        "jid=alice@example.org checker=site:www verdict=accepted reason=session_valid "
        "ms=250.00 caller=site:www address=192.0.2.9"
    ]


def test_of_what_is_not_known_there_is_a_dash_or_nothing(desk):
    assert desk.run(at_once(model.USER_UNKNOWN)) == [model.USER_UNKNOWN]
    outcome = model.USER_UNKNOWN
    assert desk.lines == [
        "1970-01-01T00:00:00.000Z login id=boot-1 front_end=web operation=prebind jid=- checker=- "
        f"verdict={outcome.verdict.value} reason={outcome.reason.value} ms=0.00"
    ]


def test_in_json_it_has_the_same():
    desk = Desk(LogSettings(json=True))
    desk.logins.settle(desk.begin(caller="website", address="2001:db8::1"), ACCEPTED)
    told = json.loads(desk.lines[0])
    assert (told["caller"], told["address"], told["jid"]) == ("website", "2001:db8::1", "-")


def test_who_is_turned_away_has_a_line(desk):
    desk.logins.turn_away("web", "-", Reason.HOST_FOREIGN, number="boot-9", caller="192.0.2.9")
    desk.logins.turn_away("web", "-", Reason.HOST_FOREIGN)
    assert " id=boot-9 front_end=web operation=- jid=- " in desk.lines[0]
    assert "verdict=rejected reason=host_foreign ms=0.00 caller=192.0.2.9" in desk.lines[0]
    assert " id=boot-1 " in desk.lines[1]


def test_where_only_refusals_are_wanted_who_is_let_in_has_none():
    desk = Desk(LogSettings(logins="refused"))
    assert desk.run(at_once()) == [ACCEPTED]
    assert desk.lines == []
    desk.run(at_once(model.USER_UNKNOWN))
    assert len(desk.lines) == 1


def test_a_log_that_fails_keeps_nobody_out(events):
    def fail(line):
        raise OSError

    assert Desk(write=fail).run(at_once()) == [ACCEPTED]
    assert failures(events) == ["a login has no line"]


def test_every_request_has_an_id_of_its_own(desk):
    assert [desk.logins.number() for _ in range(17)][::16] == ["boot-1", "boot-11"]


def test_steps_are_noted_for_who_wants_to_know(desk):
    trace = Trace()
    desk.begin(trace=trace).step("site", "was asked")
    desk.begin().step("site", "was asked")
    assert trace.steps == [("site", "was asked")]
