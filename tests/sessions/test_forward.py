"""The site is asked who somebody is: with what, and what its answers mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.logger import LogLevel

from authbridge.model import Reason
from authbridge.outbound.web_server import Response, Unreached
from authbridge.sessions.forward import SAID_AGAIN
from authbridge.sessions.questions import KNOWN, NEW
from authbridge.sessions.shown import CannotTell, Nobody, Probed
from authbridge.troubles import QUIET, SETTLED
from tests.doubles import now
from tests.issuers.folders import said
from tests.sessions.sites import ALICE, NOBODY, URL, Asked, says, shown

JSON = b"application/json"


def nobody(asked):
    with pytest.raises(Nobody) as caught:
        now(asked.user())
    return caught.value.reason


def fault(asked):
    with pytest.raises(CannotTell) as caught:
        now(asked.user())
    return caught.value


# --- what the site is asked -----------------------------------------------------------------------


def test_the_site_gets_the_one_cookie_and_nothing_else_of_the_browsers():
    asked = Asked(ALICE)
    request = shown(
        b"other=secret; sessionid=abc", b"more=1",
        headers=[(b"authorization", b"Basic eDp5"), (b"user-agent", b"Mozilla/5.0")],
    )  # fmt: skip
    evidence = asked.session.evidence(request)
    assert evidence == b"abc"
    assert now(asked.user(evidence)) == "alice"
    ((method, headers, body, timeout),) = asked.web.asked
    assert (method, body, timeout) == (b"GET", b"", 3.0)
    assert headers == {
        "Accept": "application/json", "Cookie": "sessionid=abc", "User-Agent": "authbridge",
    }  # fmt: skip


def test_the_site_may_go_by_another_name_and_the_cookie_be_in_quotes():
    asked = Asked(ALICE, host="www.example.org:8443", cookie="__Host-s", timeout=1.5)
    evidence = asked.session.evidence(shown(b'__Host-s="abc"; sessionid=no'))
    assert now(asked.user(evidence)) == "alice"
    ((_, headers, _, timeout),) = asked.web.asked
    assert (headers["Host"], headers["Cookie"]) == ("www.example.org:8443", '__Host-s="abc"')
    assert timeout == 1.5


@pytest.mark.parametrize(
    ("cookies", "reason"),
    [
        ([], Reason.SESSION_MISSING),
        ([b"other=1"], Reason.SESSION_MISSING),
        ([b"sessionid=a; sessionid=b"], Reason.SESSION_MALFORMED),
        ([b"sessionid=a\xe4"], Reason.SESSION_MALFORMED),
    ],
)
def test_without_the_cookie_the_site_is_not_asked(cookies, reason):
    asked = Asked(ALICE)
    with pytest.raises(Nobody) as caught:
        asked.session.evidence(shown(*cookies))
    assert caught.value.reason is reason
    assert asked.web.asked == []


def test_it_is_of_cookies_and_can_be_probed():
    asked = Asked()
    assert asked.session.of_cookies is True
    assert isinstance(asked.session, Probed)


# --- what it answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["alice", "Alice", "älice", "alice@example.org", "a" * 1023, "a b"]
)
def test_the_member_of_the_answer_is_the_user(name):
    assert now(Asked(says({"user": name, "id": 7, "more": {"a": [1]}})).user()) == name


def test_the_member_may_have_another_name():
    assert now(Asked(says({"login name": "alice"}), user="login name").user()) == "alice"


@pytest.mark.parametrize(
    "answer",
    [NOBODY, says(b"", 401), says(b"", 403, b""), says({"user": "alice"}, 401)]
    + [says(b"<html>", status, b"text/html") for status in (300, 301, 302, 303, 304, 307, 308)],
)
def test_an_answer_that_says_nobody_is_a_definite_no(answer):
    assert nobody(Asked(answer)) is Reason.SESSION_UNKNOWN


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says({"user": "alice"}, 201), "answers 201"),
        (says(b"", 204, b""), "answers 204"),
        (says({"user": "alice"}, 206), "answers 206"),
        (says(b"", 400), "answers 400"),
        (says(b"", 404), "answers 404"),
        (says(b"", 429), "answers 429"),
        (says({"user": "alice"}, 500), "answers 500"),
        (says(b"", 503), "answers 503"),
        (says({"user": "alice"}, content=b"text/html"), "not application/json"),
        (says({"user": "alice"}, content=b""), "not application/json"),
        (says({"user": "alice"}, content=b"application/problem+json"), "not application/json"),
        (says(b"<html>"), "answers what is no JSON"),
        (says(b""), "answers what is no JSON"),
        (says(b'\xef\xbb\xbf{"user":"alice"}'), "answers what is no JSON"),
        (says(b'{"user":"\xff"}'), "answers what is not UTF-8"),
        (says('{"user":"alice"}'.encode("utf-16")), "answers what is not UTF-8"),
        (says(b'{"user":"alice","user":"bob"}'), "a member that is given twice"),
        (says(b'{"user":"alice","n":NaN}'), "NaN"),
        (says(b'{"user":"alice"} x'), "answers what is no JSON"),
        (says(["alice"]), "answers what is no JSON object"),
        (says("alice"), "answers what is no JSON object"),
        (says(None), "answers what is no JSON object"),
        (says(b'{"user":"alice","n":' + b"[" * 9 + b"]" * 9 + b"}"), "nested deeper"),
        (says({}), "without the member `user`"),
        (says({"User": "alice"}), "without the member `user`"),
        (says({"user": 7}), "neither a string nor null"),
        (says({"user": True}), "neither a string nor null"),
        (says({"user": ["alice"]}), "neither a string nor null"),
        (says({"user": False}), "neither a string nor null"),
        (says({"user": ""}), "`user` that is empty; who is nobody is null"),
        (says({"user": " \t"}), "`user` that is empty"),
    ],
)  # fmt: skip
def test_any_other_answer_says_nothing(answer, words):
    found = fault(Asked(answer))
    assert found.reason is Reason.SITE_FAILED
    assert words in found.words
    assert found.words.startswith(f"{URL} answers")
    assert "alice" not in found.words


UNFIT = [
    says({"user": "a" * 1024}), says({"user": "é" * 512}), says({"user": "alice\n"}),
    says({"user": "a\0"}), says({"user": "\x7f"}), says({"user": "a\x85"}),
    says(b'{"user":"a\\ud800"}'),
]  # fmt: skip
"""Answers with a name that can be nobody's: of more than 1023 octets, or with what is no text."""


@pytest.mark.parametrize("answer", UNFIT)
def test_a_name_that_can_be_nobodys_is_a_definite_no_and_asked_for_once(events, answer):
    """It is the user who has chosen it, and no trouble of the site's."""
    asked = Asked(answer)
    for _ in range(3):
        assert nobody(asked) is Reason.SITE_USER_UNFIT
    assert len(asked.web.asked) == 1
    assert events == []


@pytest.mark.parametrize("name", ["", " ", "\t", "\n", "\u3000"])
def test_a_name_that_is_empty_is_a_fault_of_the_sites_and_not_kept(name):
    asked = Asked(says({"user": name}))
    for _ in range(2):
        assert fault(asked).reason is Reason.SITE_FAILED
    assert len(asked.web.asked) == 2


@given(st.binary(max_size=200), st.integers(100, 999), st.sampled_from([JSON, b"", b"text/html"]))
def test_whatever_is_answered_there_is_a_user_or_a_reason(body, status, content):
    try:
        user = now(Asked(Response(status, content, body)).user())
    except (Nobody, CannotTell) as refused:
        reason = refused.reason
        is_no = status in (401, 403) or 300 <= status < 400
        assert (reason is Reason.SESSION_UNKNOWN) == is_no
    else:
        assert (status, content) == (200, JSON)
        assert user.encode() in body


def test_a_site_that_does_not_answer_is_unreachable_and_asked_again_next_time():
    asked = Asked(Unreached("connection refused"))
    for _ in range(2):
        found = fault(asked)
        assert found.reason is Reason.SITE_UNREACHABLE
        assert found.words == f"{URL}: connection refused"
    assert len(asked.web.asked) == 2


def test_a_fault_of_ours_is_nobodys_answer():
    asked = Asked(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        now(asked.user())


# --- how often it is asked ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [ALICE, NOBODY, says(b"", 401), says(b"", 302)])
def test_an_answer_counts_for_five_seconds_for_that_cookie_alone(answer):
    asked = Asked(answer)
    for evidence in (b"abc", b"abc", b"abd", b'"abc"', b"abc"):
        asked.user(evidence).addErrback(lambda _: None)
    assert asked.web.cookies == ["sessionid=abc", "sessionid=abd", 'sessionid="abc"']
    asked.clock.advance(5.0)
    asked.user(b"abc").addErrback(lambda _: None)
    assert len(asked.web.asked) == 4


def test_the_five_seconds_begin_when_the_site_is_asked():
    asked = Asked()
    first = asked.user()
    asked.clock.advance(2.5)
    asked.web.reply(ALICE)
    assert now(first) == "alice"
    asked.clock.advance(2.5)
    second = asked.user()
    asked.web.reply(NOBODY)
    with pytest.raises(Nobody):
        now(second)


def test_sessions_that_the_site_knows_wait_in_a_line_of_their_own():
    asked = Asked(ALICE, cache=0.0)
    for evidence in (b"abc", b"abc", b"abd"):
        now(asked.user(evidence))
    assert asked.web.lines == [NEW, KNOWN, NEW]


def test_a_probe_waits_in_neither():
    asked = Asked(NOBODY)
    now(asked.session.probe())
    assert asked.web.lines == [""]


def test_who_waits_together_is_answered_together():
    asked = Asked()
    both = asked.user(), asked.user()
    assert len(asked.web.asked) == 1
    asked.web.reply(ALICE)
    assert [now(one) for one in both] == ["alice", "alice"]


def test_a_site_is_left_alone_when_nobody_waits_for_it():
    asked = Asked()
    one = asked.user()
    one.cancel()
    assert asked.web.cancelled == 1
    with pytest.raises(CancelledError):
        now(one)


def test_at_the_end_who_waits_is_told_and_the_connections_are_closed():
    asked = Asked()
    asked.session.start()
    one = asked.user()
    asked.session.stop()
    assert (asked.web.cancelled, asked.web.closed) == (1, True)
    with pytest.raises(CannotTell) as caught:
        now(one)
    assert caught.value.reason is Reason.STOPPING
    assert fault(asked).reason is Reason.STOPPING


# --- what the log has -----------------------------------------------------------------------------


def test_the_log_has_a_redirect_once_a_minute(events):
    asked = Asked(says(b"", 302), cache=0.0)
    for _ in range(3):
        nobody(asked)
        asked.clock.advance(1.0)
    (line,) = said(events, LogLevel.warn)
    assert line.startswith(f"site www: {URL} answers 302, a redirect")
    asked.clock.advance(SAID_AGAIN - 3.0)
    nobody(asked)
    assert len(said(events, LogLevel.warn)) == 2


NO_CONNECTION = Unreached("no connection in 3 s")


def try_with(asked, answer):
    asked.web.answer = answer
    try:
        now(asked.user())
    except (Nobody, CannotTell) as refused:
        return refused.reason
    return None


def test_the_log_has_a_site_in_trouble_once_a_minute_whatever_the_words(events):
    asked = Asked(cache=0.0)
    answers = (NO_CONNECTION, says(b"", 500), says({}), NO_CONNECTION)
    for answer in answers:
        assert try_with(asked, answer) in (Reason.SITE_FAILED, Reason.SITE_UNREACHABLE)
        asked.clock.advance(QUIET / len(answers))
    assert said(events, LogLevel.warn) == [f"site www: {URL}: no connection in 3 s"]
    try_with(asked, says(b"", 500))
    assert said(events, LogLevel.warn)[1:] == [f"site www: {URL} answers 500 (since 60 s)"]
    assert said(events, LogLevel.info) == []


@pytest.mark.parametrize("answer", [ALICE, NOBODY, says(b"", 401), *UNFIT[:1]])
def test_it_is_well_again_when_it_has_answered_for_a_while(events, answer):
    asked = Asked(NO_CONNECTION, cache=0.0)
    try_with(asked, NO_CONNECTION)
    asked.clock.advance(SETTLED - 0.5)
    try_with(asked, answer)
    assert said(events, LogLevel.info) == []
    asked.clock.advance(0.5)
    for _ in range(2):
        try_with(asked, answer)
    assert said(events, LogLevel.info) == ["site www: well again, after 5 s"]


def test_a_refusal_that_is_none_of_a_redirect_is_not_in_the_log(events):
    nobody(Asked(says(b"", 401)))
    nobody(Asked(NOBODY))
    assert events == []


@pytest.mark.parametrize(
    "answer", [says(b"", 500), says(b"", 302), Unreached("no connection"), NOBODY]
)
def test_no_words_hold_the_cookie(events, answer):
    asked = Asked(answer)
    with pytest.raises((Nobody, CannotTell)) as caught:
        now(asked.user(b"c4n4ry"))
    assert "c4n4ry" not in f"{caught.value!r} {caught.value}"
    assert "c4n4ry" not in repr(events)
    assert "c4n4ry" not in repr(asked.session)


# --- probing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(b"", 401), "answers a made-up cookie with 401"),
        (says(b"", 403), "answers a made-up cookie with 403"),
        (says(b"", 302), "answers a made-up cookie with 302"),
        (NOBODY, "answers a made-up cookie with 200 and a `user` of null"),
    ],
)
def test_a_site_that_does_not_know_a_made_up_cookie_is_well(events, answer, words):
    asked = Asked(answer)
    assert now(asked.session.probe()) == f"{URL} {words}"
    assert asked.web.cookies == ["sessionid=authbridge-probe-" + "72" * 16]
    assert events == []


@pytest.mark.parametrize("answer", [ALICE, *UNFIT])
def test_a_site_that_knows_a_made_up_cookie_is_not(answer):
    with pytest.raises(CannotTell) as caught:
        now(Asked(answer).session.probe())
    assert caught.value.reason is Reason.SITE_FAILED
    assert caught.value.words == f"{URL} names a user whatever the cookie is"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Unreached("no connection in 3 s"), Reason.SITE_UNREACHABLE),
        (says(b"", 404), Reason.SITE_FAILED),
        (says(b"<html>", content=b"text/html"), Reason.SITE_FAILED),
        (says({}), Reason.SITE_FAILED),
    ],
)
def test_a_probe_says_what_is_wrong(answer, reason):
    with pytest.raises(CannotTell) as caught:
        now(Asked(answer).session.probe())
    assert caught.value.reason is reason
    assert URL in caught.value.words


def test_a_probe_leaves_nothing_behind():
    asked = Asked(NOBODY)
    now(asked.session.probe())
    asked.web.answer = ALICE
    assert now(asked.user()) == "alice"
