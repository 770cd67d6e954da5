"""Changes of passwords and registrations: whose the user is, who decides, and nothing guessed."""

from __future__ import annotations

import itertools

import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.model import Outcome, Reason, Registry, Trace, Verdict
from authbridge.secret import Secret
from tests.doubles import House, ScriptedChecker, ScriptedRegistry, now, silent_registry

CHANGED = model.PASSWORD_CHANGED
MADE = model.USER_REGISTERED
POOR = model.rejected(Reason.PASSWORD_UNACCEPTABLE)
UNKNOWN = model.USER_UNKNOWN
OFF = Outcome(Verdict.NOT_APPLICABLE, Reason.NOT_SUPPORTED)
DOWN = model.unavailable(Reason.DIRECTORY_SILENT)
THERE = model.USER_EXISTS
DISABLED = model.rejected(Reason.ACCOUNT_DISABLED)
NOT_SUPPORTED = model.rejected(Reason.NOT_SUPPORTED)


def test_the_doubles_are_what_the_model_says():
    assert isinstance(ScriptedRegistry(CHANGED), Registry)
    assert not isinstance(ScriptedChecker(CHANGED), Registry)


@pytest.mark.parametrize(
    "answers", list(itertools.chain.from_iterable(
        itertools.product([CHANGED, POOR, UNKNOWN, OFF, DOWN], repeat=n) for n in range(4)
    ))
)  # fmt: skip
def test_the_first_that_knows_the_user_or_cannot_tell_decides_on_a_change(answers):
    checkers = [ScriptedRegistry(answer) for answer in answers]
    outcome = now(House(*checkers).change())
    ends = next((n for n, a in enumerate(answers) if a not in (UNKNOWN, OFF)), len(answers))
    if ends < len(answers):
        assert outcome is answers[ends]
    else:
        known = Reason.USER_UNKNOWN if UNKNOWN in answers else Reason.NOT_SUPPORTED
        assert outcome == model.rejected(known)
    assert [len(checker.written) for checker in checkers] == [
        1 if n <= ends else 0 for n in range(len(answers))
    ]


def test_a_change_has_one_line_with_everything_but_the_password():
    house = House(checker := ScriptedRegistry(CHANGED))
    assert now(house.change(user="ALICE", password="wonder land")) is CHANGED
    assert checker.asked == [("set_password", "alice@example.org", b"wonder land")]
    assert house.lines == [
        "2023-11-14T22:13:20.250Z login id=boot-1 front_end=test operation=set_password "
        "jid=alice@example.org checker=c0 verdict=accepted reason=password_changed ms=0.00"
    ]


def test_a_registration_has_one_line_with_everything_but_the_password():
    house = House(checker := ScriptedRegistry(MADE))
    assert now(house.register(user="ALICE", password="wonder land")) is MADE
    assert checker.asked == [
        ("user_exists", "alice@example.org", None),
        ("register", "alice@example.org", b"wonder land"),
    ]
    assert house.lines == [
        "2023-11-14T22:13:20.250Z login id=boot-1 front_end=test operation=register "
        "jid=alice@example.org checker=c0 verdict=accepted reason=user_registered ms=0.00"
    ]


@pytest.mark.parametrize("operation", [House.change, House.register])
def test_where_nobody_can_write_nobody_is_asked(operation):
    house = House(checker := ScriptedChecker(THERE))
    assert now(operation(house)) == NOT_SUPPORTED
    assert checker.asked == []
    assert "jid=alice@example.org checker=- verdict=rejected reason=not_supp" in house.lines[0]


@pytest.mark.parametrize("operation", [House.change, House.register])
@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", Reason.PASSWORD_BLANK),
        (" \u00ad", Reason.PASSWORD_BLANK),
        ("a\0", Reason.PASSWORD_HAS_NUL),
    ],
)
def test_an_impossible_password_is_not_set(operation, password, reason):
    house = House(checker := ScriptedRegistry(CHANGED))
    assert now(operation(house, password=password)) == model.rejected(reason)
    assert checker.asked == []


@pytest.mark.parametrize("operation", [House.change, House.register])
@pytest.mark.parametrize("password", ["½", "a\u00a0b", "e\u0301", "a\tb", "x\x7f", "é" * 512])
def test_a_password_that_prosody_would_hand_over_in_another_form_is_not_set(operation, password):
    """Or not at all: it refuses control characters, and 1024 octets."""
    house = House(checker := ScriptedRegistry(CHANGED))
    assert now(operation(house, password=password)) == POOR
    assert checker.asked == []


def test_octets_that_are_no_text_are_not_set():
    house = House(checker := ScriptedRegistry(CHANGED))
    for operation in (house.authenticator.set_password, house.authenticator.register):
        assert now(operation("t", b"alice", b"example.org", Secret(b"\xff"), 8.0)) == POOR
    assert checker.asked == []


@pytest.mark.parametrize("password", ["pässwörd ✓ 密码 🔑", " x ", "x" * 1023, "a:b&c\\"])
def test_a_password_of_one_form_is_set_octet_by_octet(password):
    house = House(checker := ScriptedRegistry(CHANGED))
    assert now(house.change(password=password)) is CHANGED
    assert checker.asked == [("set_password", "alice@example.org", password.encode())]


@pytest.mark.parametrize("operation", [House.change, House.register])
def test_a_malformed_user_reaches_no_checker(operation):
    house = House(checker := ScriptedRegistry(CHANGED))
    assert now(operation(house, user="a@b")) == model.rejected(Reason.USER_MALFORMED)
    assert checker.asked == []


def test_a_domain_that_is_not_served_is_refused():
    house = House(checker := ScriptedRegistry(CHANGED))
    for operation in (house.authenticator.set_password, house.authenticator.register):
        outcome = now(operation("t", b"alice", b"elsewhere.test", Secret(b"x"), 8.0))
        assert outcome == model.rejected(Reason.DOMAIN_UNKNOWN)
    assert checker.asked == []


@pytest.mark.parametrize("first", [ScriptedChecker, lambda exists: ScriptedRegistry(OFF, exists)])
@pytest.mark.parametrize(
    ("exists", "outcome"),
    [
        (THERE, NOT_SUPPORTED),
        (DISABLED, NOT_SUPPORTED),
        (DOWN, DOWN),
        (RuntimeError("wonderland"), model.unavailable(Reason.INTERNAL_ERROR)),
        (UNKNOWN, CHANGED),
        (model.rejected(Reason.USER_UNKNOWN), CHANGED),
        (OFF, CHANGED),
    ],
)
def test_nobodys_password_is_changed_behind_one_whose_password_counts(
    first, exists, outcome, events
):
    """Two authorities may have a user of this name; the first one's password logs in."""
    before, behind = first(exists), ScriptedRegistry(CHANGED)
    assert now(House(before, behind).change()) == outcome
    assert ("user_exists", "alice@example.org", None) in before.asked
    assert behind.written == (["set_password"] if outcome is CHANGED else [])


def test_who_stands_behind_is_not_asked_about_a_change():
    behind = ScriptedChecker(THERE)
    assert now(House(ScriptedRegistry(CHANGED, THERE), behind).change()) is CHANGED
    assert behind.asked == []


@pytest.mark.parametrize("found", [THERE, DISABLED, model.rejected(Reason.NOT_IN_GROUP)])
@pytest.mark.parametrize("where", [0, 1])
def test_a_user_who_is_there_anywhere_is_not_registered_again(found, where):
    registry = ScriptedRegistry(MADE)
    checkers = [registry, registry]
    checkers.insert(where, ScriptedChecker(found))
    house = House(*checkers)
    assert now(house.register()) == model.rejected(Reason.USER_EXISTS)
    assert registry.written == []
    assert f"checker=c{where} verdict=rejected reason=user_exists" in house.lines[0]


class Kept(ScriptedRegistry):
    """Answers what it has kept, as it may where there is no trace; and then finds out."""

    async def user_exists(self, jid, trace):
        await super().user_exists(jid, trace)
        return UNKNOWN if trace is None else THERE


@pytest.mark.parametrize("trace", [None, Trace()])
def test_nobody_is_registered_or_passed_over_for_what_was_kept(trace):
    registry = Kept(MADE)
    assert now(House(registry).register(trace=trace)) == model.rejected(Reason.USER_EXISTS)
    assert registry.written == []
    behind = ScriptedRegistry(CHANGED)
    assert now(House(Kept(OFF), behind).change(trace=trace)) == NOT_SUPPORTED
    assert behind.written == []


def test_a_question_may_be_answered_with_what_was_kept():
    assert now(House(Kept(MADE)).exists()) == model.rejected(Reason.USER_UNKNOWN)


def test_the_registry_itself_may_have_the_user():
    registry = ScriptedRegistry(MADE, THERE)
    assert now(House(registry).register()) == model.rejected(Reason.USER_EXISTS)
    assert registry.written == []


def test_nobody_is_registered_while_one_cannot_tell():
    registry = ScriptedRegistry(MADE)
    assert now(House(ScriptedChecker(DOWN), registry).register()) is DOWN
    assert now(House(registry, ScriptedChecker(DOWN)).register()) is DOWN
    assert registry.written == []


@pytest.mark.parametrize("answer", [UNKNOWN, model.rejected(Reason.USER_UNKNOWN), OFF])
def test_a_user_whom_nobody_knows_is_registered(answer):
    assert now(House(ScriptedChecker(answer), ScriptedRegistry(MADE)).register()) is MADE


def test_a_stranger_cannot_register_the_name_of_a_user_whom_exists_leaves_out():
    """Whoever is asked about passwords is asked: the name would log in with the new password."""
    for exists in (False, (), (ScriptedChecker(UNKNOWN),)):
        registry = ScriptedRegistry(MADE)
        house = House(registry, ScriptedChecker(THERE), exists=exists)
        assert now(house.register()) == model.rejected(Reason.USER_EXISTS)
        assert registry.written == []


def test_those_of_exists_are_asked_first_and_everybody_once():
    registry, elsewhere = ScriptedRegistry(MADE), ScriptedChecker(UNKNOWN)
    assert now(House(registry, exists=(elsewhere,)).register()) is MADE
    assert len(elsewhere.asked) == 1
    registry = ScriptedRegistry(MADE)
    assert now(House(registry).register()) is MADE
    assert [operation for operation, _, _ in registry.asked] == ["user_exists", "register"]


def test_where_everybody_exists_nobody_is_registered():
    registry = ScriptedRegistry(MADE)
    trace = Trace()
    outcome = now(House(registry, exists=True).register(trace=trace))
    assert outcome == model.rejected(Reason.USER_EXISTS)
    assert registry.asked == []
    assert trace.steps[-1] == ("exists", "always")


@pytest.mark.parametrize(
    "answers", list(itertools.chain.from_iterable(
        itertools.product([MADE, POOR, model.rejected(Reason.USER_EXISTS), OFF, DOWN], repeat=n)
        for n in range(1, 4)
    ))
)  # fmt: skip
def test_the_first_that_registers_anybody_decides(answers):
    checkers = [ScriptedRegistry(answer) for answer in answers]
    outcome = now(House(ScriptedChecker(UNKNOWN), *checkers).register())
    decider = next((n for n, answer in enumerate(answers) if answer is not OFF), len(answers))
    assert outcome == (*answers, NOT_SUPPORTED)[decider]
    assert [len(checker.written) for checker in checkers] == [
        1 if n <= decider else 0 for n in range(len(answers))
    ]


@pytest.mark.parametrize("operation", [House.change, House.register])
def test_a_change_that_is_not_answered_in_time_is_unavailable_and_dropped(operation):
    """It may have been made: neither a yes nor a no would be the truth."""
    house = House(registry := silent_registry())
    answers: list[Outcome] = []
    operation(house).addCallback(answers.append)
    house.clock.advance(7.9)
    assert answers == []
    house.clock.advance(0.1)
    assert answers == [model.unavailable(Reason.DEADLINE_PASSED)]
    assert registry.cancelled
    assert len(house.lines) == 1
    assert "verdict=unavailable reason=deadline_passed" in house.lines[0]


@pytest.mark.parametrize("operation", [House.change, House.register])
def test_a_change_made_behind_the_deadline_says_nothing_more(operation):
    class Stubborn(ScriptedRegistry):
        async def _answer(self, trace):
            try:
                await Deferred()
            except BaseException:
                return CHANGED

    house = House(Stubborn(CHANGED))
    answers: list[Outcome] = []
    operation(house).addCallback(answers.append)
    house.clock.advance(8)
    assert answers == [model.unavailable(Reason.DEADLINE_PASSED)]
    assert len(house.lines) == 1


@pytest.mark.parametrize("operation", [House.change, House.register])
def test_a_registry_that_raises_ends_it(operation, events):
    """It may have been made before it raised; the next would make it twice."""
    second = ScriptedRegistry(CHANGED)
    house = House(ScriptedRegistry(RuntimeError("wonderland")), second)
    assert now(operation(house)) == model.unavailable(Reason.INTERNAL_ERROR)
    assert second.written == []
    assert any("log_failure" in event for event in events)


@pytest.mark.parametrize("operation", [House.change, House.register])
def test_a_trace_tells_every_step(operation):
    trace = Trace()
    now(operation(House(ScriptedChecker(UNKNOWN), ScriptedRegistry(CHANGED)), trace=trace))
    named = [name for name, _ in trace.steps]
    assert named[:2] == ["domain", "user"]
    assert named[-2:] == ["scripted", "checker c1"]
    assert "checker c0" in named
