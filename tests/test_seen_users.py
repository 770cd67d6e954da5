"""exists = "seen": who has logged in before exists."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge import model, seen_users
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain
from authbridge.log import LoginLog, LogSettings
from authbridge.model import JID, Reason, Trace, Verdict
from authbridge.secret import Secret
from authbridge.seen_users import SeenUsers
from authbridge.stores.ledger import NOT_OURS
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import NoteSeen, Seen
from tests.doubles import (
    House,
    InlineLedger,
    ScriptedChecker,
    ScriptedRegistry,
    named_checker,
    now,
)

ALICE, BOB, EVE, FRED = (JID(name, "example.org") for name in ("alice", "bob", "eve", "fred"))


@pytest.fixture
def ledger():
    return InlineLedger(MemoryStore(), lambda: 1_800_000_000.0)


@pytest.fixture
def users(ledger):
    return SeenUsers(ledger)


def exists(users, jid=ALICE, trace=None):
    return now(users.user_exists(jid, trace))


def told(ledger):
    return [one.jid for one in ledger.asked if isinstance(one, NoteSeen)]


def test_who_has_never_logged_in_does_not_exist(users):
    assert exists(users) == model.USER_UNKNOWN
    assert users.remembered(ALICE) is None


def test_who_has_logged_in_exists_for_ever(users, ledger):
    users.note(ALICE)
    assert exists(users) == users.remembered(ALICE) == model.USER_EXISTS
    assert exists(users, BOB) == model.USER_UNKNOWN
    assert exists(users, JID("alice", "example.net")) == model.USER_UNKNOWN
    assert exists(SeenUsers(ledger)) == model.USER_EXISTS


def test_the_state_is_told_once_and_asked_once(users, ledger):
    for _ in range(3):
        users.note(ALICE)
        exists(users)
    assert ledger.asked == [NoteSeen(str(ALICE))]
    another = SeenUsers(ledger)
    for _ in range(3):
        assert exists(another) == model.USER_EXISTS
        another.note(ALICE)
    assert ledger.asked == [NoteSeen(str(ALICE)), Seen(str(ALICE))]


def test_who_does_not_exist_is_asked_about_each_time(users, ledger):
    """Another daemon may have let him in meanwhile."""
    assert exists(users) == model.USER_UNKNOWN
    SeenUsers(ledger).note(ALICE)
    assert exists(users) == model.USER_EXISTS


def test_while_the_state_is_away_strangers_cannot_be_told(users, ledger):
    users.note(ALICE)
    ledger.down = "was lost"
    assert exists(users) == model.USER_EXISTS
    assert exists(users, BOB) == model.unavailable(Reason.STATE_UNAVAILABLE)
    assert users.remembered(BOB) is None


def test_who_wants_the_reasons_gets_what_the_state_says(users, ledger):
    users.note(ALICE)
    ledger.asked.clear()
    for jid, words in (
        (ALICE, "has logged in before"),
        (BOB, "has never logged in"),
    ):
        trace = Trace()
        exists(users, jid, trace)
        assert trace.steps == [("seen", words)]
    ledger.down = "was lost"
    trace = Trace()
    assert exists(users, ALICE, trace).reason is Reason.STATE_UNAVAILABLE
    assert trace.steps == [("state", "was lost")]
    assert len(ledger.asked) == 3


def test_what_the_state_has_missed_it_is_told_later(users, ledger):
    ledger.down = "was lost"
    users.note(ALICE)
    users.note(BOB)
    assert exists(users) == model.USER_EXISTS
    ledger.down = ""
    assert exists(SeenUsers(ledger)) == model.USER_UNKNOWN
    users.note(EVE)
    for jid in (ALICE, BOB, EVE):
        assert exists(SeenUsers(ledger), jid) == model.USER_EXISTS
    ledger.asked.clear()
    for jid in (ALICE, BOB, EVE):
        users.note(jid)
    assert ledger.asked == []


class SlowLedger(InlineLedger):
    """Answers when it is told to."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.waiting = []

    def ask(self, operation):
        done = Deferred()
        self.waiting.append((operation, done))
        return done

    def answer(self):
        """Answer what has waited for longest: for whom it was."""
        operation, done = self.waiting.pop(0)
        super().ask(operation).chainDeferred(done)
        return operation.jid


@pytest.fixture
def slow():
    return SlowLedger(MemoryStore(), lambda: 1_800_000_000.0)


def fail_for(slow, *jids):
    """A house whose state is away while these log in."""
    users = SeenUsers(slow)
    slow.down = "was lost"
    for jid in jids:
        users.note(jid)
    while slow.waiting:
        slow.answer()
    slow.down = ""
    return users


def test_it_is_told_of_one_after_the_other(slow):
    """Thousands of them do not keep everybody else waiting."""
    users = fail_for(slow, ALICE, BOB)
    users.note(EVE)
    for jid in (EVE, ALICE, BOB):
        assert len(slow.waiting) == 1
        assert slow.answer() == str(jid)
    assert slow.waiting == []


def test_an_outage_on_the_way_loses_nobody(slow):
    users = fail_for(slow, ALICE, BOB)
    users.note(EVE)
    slow.answer()
    slow.down = "was lost"
    assert slow.answer() == str(ALICE)
    assert slow.waiting == []  # it is not tried with the next one
    slow.down = ""
    users.note(FRED)
    assert [slow.answer() for _ in range(3)] == [str(FRED), str(BOB), str(ALICE)]
    assert slow.waiting == []


def test_who_logs_in_while_the_state_is_told_of_him_is_told_once(slow):
    users = SeenUsers(slow)
    users.note(ALICE)
    users.note(ALICE)
    slow.answer()
    assert slow.waiting == []


def test_who_is_not_remembered_any_more_is_not_told_later(slow, monkeypatch):
    """What is owed has a bound as well."""
    monkeypatch.setattr(seen_users, "MOST_REMEMBERED", 2)
    users = fail_for(slow, ALICE, BOB, EVE)
    assert users.remembered(ALICE) is None
    assert set(users._owed) == {BOB, EVE}
    users.note(FRED)
    assert [slow.answer() for _ in range(2)] == [str(FRED), str(EVE)]
    assert slow.waiting == []
    assert not users._owed


def test_who_logs_in_again_is_told_as_well(users, ledger):
    """There may be nobody else."""
    ledger.down = "was lost"
    users.note(ALICE)
    users.note(ALICE)
    ledger.down = ""
    users.note(ALICE)
    assert exists(SeenUsers(ledger)) == model.USER_EXISTS
    users.note(ALICE)
    assert told(ledger) == [str(ALICE)] * 3


def test_those_who_were_here_last_are_remembered(users, ledger, monkeypatch):
    monkeypatch.setattr(seen_users, "MOST_REMEMBERED", 2)
    ledger.down = "was lost"
    for jid in (ALICE, BOB, EVE):
        users.note(jid)
    assert users.remembered(ALICE) is None
    assert users.remembered(BOB) == users.remembered(EVE) == model.USER_EXISTS
    ledger.down = ""
    ledger.asked.clear()
    users.note(FRED)
    assert told(ledger) == ["fred@example.org", "eve@example.org"]


def test_a_command_has_no_state_to_ask():
    users = SeenUsers(None)
    trace = Trace()
    users.note(ALICE)
    assert exists(users, BOB, trace) == model.unavailable(Reason.STATE_UNAVAILABLE)
    assert trace.steps == [("state", NOT_OURS)]


def test_no_password_is_judged(users, ledger):
    assert now(users.check_password(ALICE, Secret(b"wonderland"), None)) is model.NOT_A_TOKEN
    assert ledger.asked == []


# --- with logins ----------------------------------------------------------------------------------


class Domains:
    """A domain with one checker, in which those who were seen exist."""

    def __init__(self, users, answer):
        self.checker = ScriptedRegistry(answer)
        named = named_checker("corp", self.checker)
        rule = Domain((named,), (named_checker("seen", users),), seen=users.note)
        log = LoginLog(LogSettings(), lambda _line: None, lambda: 0.0)
        self.clock = Clock()
        self.authenticator = Authenticator({"example.org": rule}, log, self.clock, "boot")

    def ask(self, operation, *password, trace=None):
        what = getattr(self.authenticator, operation)
        secrets = [Secret(one) for one in password]
        return now(what("test", b"alice", b"example.org", *secrets, 8.0, trace=trace)).verdict

    def exists(self):
        return self.ask("user_exists") is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("check_password", model.PASSWORD_MATCHES),
        ("register", model.USER_REGISTERED),
    ],
)
def test_who_has_got_in_exists_from_now_on(users, operation, answer):
    domains = Domains(users, answer)
    assert not domains.exists()
    assert domains.ask(operation, b"wonderland") is Verdict.ACCEPTED
    assert domains.exists()


def test_who_has_got_in_without_a_password_exists_too(users):
    domains = Domains(users, model.PASSWORD_MISMATCH)
    domains.authenticator.has_logged_in(ALICE)
    assert domains.exists()


def test_where_nobody_keeps_who_was_seen_nobody_is_told(users):
    domains = Domains(users, model.PASSWORD_MISMATCH)
    domains.authenticator.has_logged_in(JID("alice", "other.example"))
    House(ScriptedChecker(model.PASSWORD_MISMATCH)).authenticator.has_logged_in(ALICE)
    assert not domains.exists()


@pytest.mark.parametrize("answer", [model.PASSWORD_MISMATCH, model.unavailable(Reason.OVERLOADED)])
def test_who_has_tried_does_not_exist(users, answer):
    domains = Domains(users, answer)
    domains.ask("check_password", b"wonderland")
    assert not domains.exists()


def test_to_be_explained_is_not_to_log_in(users):
    domains = Domains(users, model.PASSWORD_MATCHES)
    assert domains.ask("check_password", b"wonderland", trace=Trace()) is Verdict.ACCEPTED
    assert not domains.exists()


def test_a_login_does_not_fail_of_the_state(users, ledger):
    ledger.down = "was lost"
    domains = Domains(users, model.PASSWORD_MATCHES)
    assert domains.ask("check_password", b"wonderland") is Verdict.ACCEPTED
    assert domains.exists()


def test_a_login_does_not_wait_for_the_state(users, ledger):
    ledger.silent = True
    domains = Domains(users, model.PASSWORD_MATCHES)
    assert domains.ask("check_password", b"wonderland") is Verdict.ACCEPTED
