"""The vocabulary."""

from __future__ import annotations

import pytest

from authbridge import model
from authbridge.model import JID, Reason, Trace, Verdict


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


def test_a_trace_keeps_its_steps_in_order():
    trace = Trace()
    trace.step("a", "1")
    trace.step("b", "2")
    assert trace.steps == [("a", "1"), ("b", "2")]
