"""The vocabulary."""

from __future__ import annotations

import pytest

from authbridge import model
from authbridge.model import JID, Reason, Registry, Trace, Verdict


@pytest.mark.parametrize("verdict", Verdict)
def test_no_verdict_can_be_taken_for_a_bool(verdict):
    with pytest.raises(TypeError):
        bool(verdict)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_words(reason):
    assert len(reason.words) > 10


def test_a_jid_is_written_with_an_at():
    assert str(JID("alice", "example.org")) == "alice@example.org"


def test_the_short_ways_make_what_they_say():
    assert model.rejected(Reason.PASSWORD_BLANK).verdict is Verdict.REJECTED
    assert model.unavailable(Reason.OVERLOADED).verdict is Verdict.UNAVAILABLE


def test_what_a_registry_says_when_it_is_done_is_a_yes():
    for done in (model.PASSWORD_CHANGED, model.USER_REGISTERED):
        assert done.verdict is Verdict.ACCEPTED


def test_a_registry_is_known_by_what_it_can_do():
    class Half:
        async def set_password(self, jid, password, trace):
            return model.PASSWORD_CHANGED

    class Whole(Half):
        async def register(self, jid, password, trace):
            return model.USER_REGISTERED

    assert not isinstance(Half(), Registry)
    assert isinstance(Whole(), Registry)


def test_a_trace_keeps_its_steps_in_order():
    trace = Trace()
    trace.step("a", "1")
    trace.step("b", "2")
    assert trace.steps == [("a", "1"), ("b", "2")]
