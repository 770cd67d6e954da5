"""A website is asked: who is let in, who is not, and what says nothing."""

from __future__ import annotations

import random

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel

from authbridge import model
from authbridge.checkers import CheckerSettings, Probed, Surroundings, http, kinds
from authbridge.checkers.http import NOT_ASKED
from authbridge.checkers.http.site import PROVEN
from authbridge.issuers.issuers import Issuer
from authbridge.model import JID, NOT_A_TOKEN, Reason, Recognising, Trace, Verdict
from authbridge.outbound.web_server import Response
from authbridge.secret import Secret
from authbridge.troubles import QUIET, SETTLED
from tests.checkers.website import (
    ADMIN,
    ALICE,
    BASIC,
    EMPTY,
    EXISTS_URL,
    JSON_RULES,
    NO,
    STRANGER,
    UNAUTHORISED,
    URL,
    YES,
    Asked,
    secret_file,
    settings,
    unreached,
)
from tests.doubles import now
from tests.issuers.folders import SECRETS, said, write
from tests.issuers.folders import settings as issuer_settings
from tests.sessions.sites import says
from tests.tokens import mint

FAILED = model.unavailable(Reason.WEBSITE_FAILED)
NOT_CANONICAL = model.rejected(Reason.NOT_CANONICAL)
USER_RULES = {**JSON_RULES, "user_member": "user"}
PROOF = "a yes may be said to anybody here: what does a stranger get?"
TOKEN = "sess_" + "a" * 27
TOKENS = {**JSON_RULES, "token_prefix": "sess_", "token_length": 32}


@pytest.fixture
def folder(tmp_path):
    return tmp_path


# --- who is let in --------------------------------------------------------------------------------


def test_answers_are_three(folder):
    rules = {**JSON_RULES, "unknown_value": "who?", "unknown": [404]}
    for answer, outcome in (
        (YES, model.PASSWORD_MATCHES),
        (NO, model.PASSWORD_MISMATCH),
        (UNAUTHORISED, model.PASSWORD_MISMATCH),
        (says({"ok": "who?"}), model.USER_UNKNOWN),
        (says(b"", 404), model.USER_UNKNOWN),
    ):
        asked = Asked(folder, rules, answer)
        assert asked.login() == outcome
        assert asked.login(trace=Trace()) == outcome
        assert asked.web.bodies[0] == {"username": "alice", "password": "wonderland"}
        ((method, headers, _, timeout),) = asked.web.asked[:1]
        assert (method, timeout) == (b"POST", 5.0)
        assert "Host" not in headers


def test_what_says_neither_yes_nor_no_is_an_outage(folder):
    for answer, words in (
        (says({"ok": True}, 201), "answers 201"),
        (says({"ok": True}, 403), "answers 403"),
        (says({"ok": True}, 404), "answers 404"),
        (says({"ok": True}, 429), "answers 429"),
        (says({"ok": True}, 500), "answers 500"),
        (says({"ok": True}, 503), "answers 503"),
        (says(b"", 302, b""), "answers 302: it points elsewhere, to a login page perhaps"),
        (says(b"<form>", 200, b"text/html"), "answers 200, and what is there is not application"),
        (says({"ok": True}, content=b"text/html"), "not application/json"),
        (says({"ok": True}, content=b""), "not application/json"),
        (says(b""), "answers what is no JSON"),
        (says(b"<form>"), "answers what is no JSON"),
        (says([True]), "answers what is no JSON object"),
        (says(b'{"ok": true, "ok": true}'), "answers what is a member that is given twice"),
        (says(b'{"ok": true'), "answers what is no JSON"),
        (says({"OK": True}), "without the member `ok`"),
        (says({"ok": 1}), "none of the values"),
        (says({"ok": "true"}), "none of the values"),
        (says({"ok": None}), "none of the values"),
    ):  # fmt: skip
        trace = Trace()
        assert Asked(folder, JSON_RULES, answer).login(trace=trace) == FAILED
        step, found = trace.steps[-1]
        assert step == "fault"
        assert found.startswith("answers ")
        assert words in found


def test_no_connection_is_an_outage(folder):
    trace = Trace()
    asked = Asked(folder, JSON_RULES, unreached())
    assert asked.login(trace=trace) == model.unavailable(Reason.WEBSITE_UNREACHABLE)
    assert trace.steps[-1] == ("fault", "connection refused")
    assert len(asked.web.asked) == 1


def test_what_was_sent_on_a_dead_connection_is_sent_once_more(folder):
    asked = Asked(folder, JSON_RULES, unreached(stale=True), YES)
    assert asked.login() == model.PASSWORD_MATCHES
    first, second = asked.web.asked
    assert first == second
    asked = Asked(folder, JSON_RULES, unreached(stale=True))
    assert asked.login() == model.unavailable(Reason.WEBSITE_UNREACHABLE)
    assert len(asked.web.asked) == 2


def test_site_may_go_by_another_name(folder):
    asked = Asked(folder, {**JSON_RULES, "host": "www.example.org:8443", "timeout": 1.5}, YES)
    assert asked.login() == model.PASSWORD_MATCHES
    ((_, headers, _, timeout),) = asked.web.asked
    assert (headers["Host"], timeout) == ("www.example.org:8443", 1.5)


def test_name_that_the_site_answers_is_the_users_or_nobody_is_let_in(folder):
    one_case = {**USER_RULES, "ignore_case": True}
    for rules, name in ((USER_RULES, "alice"), (one_case, "alice"), (one_case, "ALICE")):
        assert Asked(folder, rules, says({"ok": True, "user": name})).login() == (
            model.PASSWORD_MATCHES
        )
    assert Asked(folder, one_case, says({"ok": True, "user": "ＡLICE"})).login() == NOT_CANONICAL
    for name in (
        "Alice", "ＡLICE", "al\u00adice", "älice", "alice ", " alice", "alice@example.org",
        "bob", "", "alice\x00", "alice\n", "\ud800", "alice\u0301", "a" * 2000, "alicе",
    ):  # fmt: skip
        asked = Asked(folder, USER_RULES, says({"ok": True, "user": name}))
        trace = Trace()
        assert asked.login() == asked.login(trace=trace) == NOT_CANONICAL
        (found,) = [words for step, words in trace.steps if step == "name"]
        assert found.startswith("the website has let in ")
        assert found.isprintable()
    for answer in (says({"ok": True}), says({"ok": True, "user": None})):
        assert Asked(folder, USER_RULES, answer).login() == FAILED
    # Who is not let in needs no name.
    assert Asked(folder, USER_RULES, NO).login() == model.PASSWORD_MISMATCH


def test_site_may_know_users_by_their_jids(folder):
    rules = {**USER_RULES, "user": "jid"}
    asked = Asked(folder, rules, says({"ok": True, "user": "alice@Example.org"}))
    assert asked.login() == model.PASSWORD_MATCHES
    assert asked.web.bodies == [{"username": "alice@example.org", "password": "wonderland"}]
    for name in (
        "alice", "alice@example.net", "älice@example.org", "Alice@example.org", "alice@",
        "alice@a b", "\ud800@example.org", "alice@\ud800",
    ):  # fmt: skip
        asked = Asked(folder, rules, says({"ok": True, "user": name}))
        assert asked.login() == NOT_CANONICAL
    # Halves of surrogate pairs are no octets of UTF-8.
    asked = Asked(folder, rules, says({"ok": True, "user": "\udcc3\udca4lice@example.org"}))
    assert asked.login(jid=JID("älice", "example.org")) == NOT_CANONICAL


def test_site_knows_users_by_what_their_localparts_stand_for(folder):
    asked = Asked(folder, USER_RULES, says({"ok": True, "user": "o'brien"}))
    assert asked.login(jid=JID(r"o\27brien", "example.org")) == model.PASSWORD_MATCHES
    assert asked.web.bodies == [{"username": "o'brien", "password": "wonderland"}]
    rules = {**JSON_RULES, "exists_url": EXISTS_URL}
    asked, trace = Asked(folder, rules, YES, exists=YES), Trace()
    nobody = JID(r"\20brien", "example.org")
    assert asked.login(jid=nobody, trace=trace) == model.USER_UNKNOWN
    assert asked.exists(jid=nobody, trace=trace) == asked.exists(jid=nobody) == model.USER_UNKNOWN
    assert (asked.web.asked, asked.exists_web.asked) == ([], [])
    assert {step for step, _ in trace.steps} == {"website"}


def test_password_that_is_no_text_is_nobodys(folder):
    asked, trace = Asked(folder, JSON_RULES, YES), Trace()
    assert asked.login(b"\xff\xfe") == asked.login(b"\xff\xfe", trace=trace)
    assert asked.login(b"\xff\xfe") == model.PASSWORD_MISMATCH
    assert trace.steps == [("website", "is not asked: the password is not UTF-8")]
    assert asked.web.asked == []


def test_text_that_breaks_further_down_is_a_fault_and_no_wrong_password(folder):
    asked = Asked(folder, JSON_RULES, UnicodeDecodeError("ascii", b"", 0, 1, "not from the user"))
    with pytest.raises(UnicodeDecodeError):
        asked.login()


def test_name_that_basic_has_no_place_for_is_not_asked_about(folder):
    asked, trace = Asked(folder, {**BASIC, "user": "jid"}, EMPTY), Trace()
    jid = JID("alice", "[::1]")
    assert asked.login(jid=jid) == asked.login(jid=jid, trace=trace) == model.USER_UNKNOWN
    assert "has no place in Basic" in trace.steps[0][1]
    assert asked.web.asked == []


# --- where a status alone is a yes ----------------------------------------------------------------


def test_yes_counts_where_strangers_get_a_no(folder):
    asked = Asked(folder, BASIC, EMPTY, UNAUTHORISED, EMPTY)
    assert asked.login() == model.PASSWORD_MATCHES
    assert len(asked.web.asked) == 2
    assert len({headers["Authorization"] for _, headers, _, _ in asked.web.asked}) == 2
    for _ in range(3):  # which is known then
        assert asked.login() == model.PASSWORD_MATCHES
    assert len(asked.web.asked) == 5
    asked.clock.advance(PROVEN)
    assert asked.login() == FAILED  # everybody gets a yes by now
    assert len(asked.web.asked) == 7


def test_no_needs_no_proof(folder):
    asked = Asked(folder, BASIC, UNAUTHORISED)
    assert asked.login() == model.PASSWORD_MISMATCH
    assert len(asked.web.asked) == 1


def test_page_that_greets_everybody_lets_in_nobody(folder, events):
    asked, trace = Asked(folder, BASIC, says(b"<html>", 200, b"text/html")), Trace()
    for _ in range(2):
        assert asked.login() == FAILED
    assert asked.login(trace=trace) == FAILED
    assert ("proof", PROOF) in trace.steps
    words = "says yes to a made-up user with a made-up password"
    assert trace.steps[-1] == ("fault", words)
    (line,) = said(events, LogLevel.warn)
    assert line == f"website {URL}, asked about a stranger: {words}"


def test_page_that_says_the_name_back_lets_in_nobody(folder):
    def echo(name):
        return says({"error": "no such password", "user": name})

    rules = {"url": URL, "request": "json", "user_member": "user"}
    asked = Asked(folder, rules, echo("alice"), echo(STRANGER))
    assert asked.login() == FAILED
    asked = Asked(folder, rules, echo("alice"), UNAUTHORISED)
    assert asked.login() == model.PASSWORD_MATCHES
    assert asked.web.bodies[1]["username"] == STRANGER


def test_stranger_is_of_the_users_domain_where_the_site_is_told_of_it(folder):
    rules = {"url": URL, "request": "json", "accepted": [204]}
    bob = JID("bob", "example.net")
    for more, member, domains in (
        ({}, "username", [""]),
        ({"domain_field": "domain"}, "domain", ["example.org", "example.net"]),
        ({"user": "jid"}, "username", [f"{STRANGER}@example.org", f"{STRANGER}@example.net"]),
    ):
        proofs = [says(b"", 204), UNAUTHORISED] * len(domains)
        asked = Asked(folder, {**rules, **more}, *proofs, says(b"", 204))
        for jid in (ALICE, bob, ALICE, bob):
            assert asked.login(jid=jid) == model.PASSWORD_MATCHES
        strangers = [body for body in asked.web.bodies if STRANGER in body["username"]]
        assert len(strangers) == len(domains)
        if more:
            assert [body[member] for body in strangers] == domains


def test_many_who_come_at_once_wait_for_one_answer_about_a_stranger(folder):
    answer: Deferred[Response] = Deferred()
    asked = Asked(folder, BASIC, EMPTY, answer, EMPTY)
    password = Secret(b"wonderland")
    first, given_up, *others = (
        Deferred.fromCoroutine(asked.checker.check_password(ALICE, password, None))
        for _ in range(1000)
    )
    assert len(asked.web.asked) == 1000 + 1
    given_up.cancel()
    with pytest.raises(CancelledError):
        now(given_up)
    answer.callback(UNAUTHORISED)
    assert {now(login) for login in (first, *others)} == {model.PASSWORD_MATCHES}
    assert len(asked.web.asked) == 1000 + 1


def test_who_waits_for_it_asks_himself_where_the_one_before_got_none(folder):
    answer: Deferred[Response] = Deferred()
    asked = Asked(folder, BASIC, EMPTY, answer, EMPTY, UNAUTHORISED)
    password = Secret(b"wonderland")
    first, second = (
        Deferred.fromCoroutine(asked.checker.check_password(ALICE, password, None))
        for _ in range(2)
    )
    first.cancel()
    with pytest.raises(CancelledError):
        now(first)
    assert now(second) == model.PASSWORD_MATCHES
    assert len(asked.web.asked) == 4


def test_after_an_outage_it_has_to_be_shown_again(folder):
    """Pages about repairs, which greet everybody, come with one."""
    for trouble in (unreached(), says(b"", 503), says(b"", 302)):
        asked = Asked(folder, BASIC, EMPTY, UNAUTHORISED, EMPTY, trouble, EMPTY)
        assert asked.login() == asked.login() == model.PASSWORD_MATCHES
        assert asked.login().verdict is Verdict.UNAVAILABLE
        assert asked.login() == FAILED


def test_stranger_who_is_let_in_is_told_of_until_he_is_not(folder, events):
    asked = Asked(folder, BASIC, EMPTY)
    assert asked.login() == FAILED
    asked.clock.advance(SETTLED)
    asked.web.answers = [EMPTY, UNAUTHORISED]
    assert asked.login() == model.PASSWORD_MATCHES
    assert said(events, LogLevel.info) == [
        f"website {URL}, asked about a stranger: well again, after 5 s"
    ]


def test_where_the_proof_fails_for_another_reason_that_is_the_reason(folder):
    asked = Asked(folder, BASIC, EMPTY, unreached())
    assert asked.login() == model.unavailable(Reason.WEBSITE_UNREACHABLE)


# --- tokens of the site's own ---------------------------------------------------------------------


def test_own_token_is_recognised_by_its_looks(folder):
    asked = Asked(folder, TOKENS, YES)
    assert isinstance(asked.checker, Recognising)
    for secret, own in (
        (TOKEN, True), (TOKEN[:-1], False), ("x" + TOKEN[1:], False), (TOKEN[:-1] + " ", False),
        ("wonderland", False),
    ):  # fmt: skip
        assert asked.checker.recognises(Secret(secret.encode())) is own
        assert Asked(folder, JSON_RULES, YES).checker.recognises(Secret(secret.encode())) is False


def test_own_token_is_asked_about_as_a_password_is(folder):
    for answer, outcome in (
        (YES, model.TOKEN_VALID),
        (NO, model.rejected(Reason.TOKEN_INACTIVE)),
        (UNAUTHORISED, model.rejected(Reason.TOKEN_INACTIVE)),
        (says(b"", 500), FAILED),
    ):
        asked = Asked(folder, TOKENS, answer)
        assert asked.login(TOKEN) == outcome
        assert asked.web.bodies == [{"username": "alice", "password": TOKEN}]


def test_nobody_else_is_asked_about_an_own_token_whose_user_is_unknown(folder):
    """Who stands behind would be shown it."""
    unknown = model.rejected(Reason.USER_UNKNOWN)
    asked = Asked(folder, {**TOKENS, "unknown": [404]}, says(b"", 404))
    assert asked.login(TOKEN) == unknown
    assert asked.login() == model.USER_UNKNOWN
    shape = {"token_prefix": "sess_", "token_length": 32}
    asked = Asked(folder, {**BASIC, **shape, "user": "jid"}, EMPTY)
    assert asked.login(TOKEN, JID("alice", "[::1]")) == unknown
    assert asked.web.asked == []


def test_whom_no_token_is_accepted_for_has_passwords(folder):
    asked = Asked(folder, TOKENS, YES)
    assert asked.login(TOKEN, ADMIN) == model.rejected(Reason.TOKEN_NEVER)
    assert asked.web.asked == []
    assert asked.login("wonderland", ADMIN) == model.PASSWORD_MATCHES


def test_site_may_be_asked_about_its_tokens_alone(folder):
    asked, trace = Asked(folder, {**TOKENS, "passwords": False}, YES), Trace()
    assert asked.login() == asked.login(trace=trace) == NOT_A_TOKEN
    assert trace.steps == [("website", "is not asked: this is no credential of its own")]
    assert asked.login(TOKEN) == model.TOKEN_VALID
    assert len(asked.web.asked) == 1


def test_no_token_of_ours_or_of_an_issuers_is_shown_to_the_site(folder):
    write(folder / "xcauth", SECRETS[1])
    given = issuer_settings(folder, "xcauth", name="nextcloud", keys=None, secret_file="xcauth")
    jwt = mint.jwt({"iss": "https://www.example.org"}, mint.key("ES256", "www"))
    ours = [
        "abtt1_" + "a" * 43, "abto1_" + "a" * 43, "abtz9_" + "a" * 20, jwt, f" {jwt}",
        mint.xcauth(SECRETS[1], str(ALICE), 1_800_000_000),
    ]  # fmt: skip
    for rules in (JSON_RULES, {**JSON_RULES, "token_length": [20, 4096]}):
        asked = Asked(folder, rules, YES, issuers=(Issuer(given),))
        for token in ours:
            octets = token if isinstance(token, bytes) else token.encode()
            assert asked.checker.recognises(Secret(octets)) is False
            assert asked.login(octets) == NOT_A_TOKEN
        assert asked.web.asked == []


# --- who exists -----------------------------------------------------------------------------------


def test_site_tells_who_exists(folder):
    rules = {**JSON_RULES, "exists_url": EXISTS_URL, "unknown": [404]}
    for answer, outcome in (
        (says({"exists": True}), model.USER_EXISTS),
        (says({"exists": False}), model.USER_UNKNOWN),
        (says(b"", 404), model.USER_UNKNOWN),
        (UNAUTHORISED, FAILED),
        (says({"exists": "yes"}), FAILED),
        (YES, FAILED),
        (unreached(), model.unavailable(Reason.WEBSITE_UNREACHABLE)),
    ):
        asked = Asked(folder, rules, YES, exists=answer)
        assert asked.exists() == asked.exists(trace=Trace()) == outcome
        assert asked.exists_web.bodies[0] == {"username": "alice"}
        assert asked.web.asked == []


def test_site_that_cannot_tell_is_not_asked(folder):
    asked = Asked(folder, JSON_RULES, YES)
    assert asked.exists() == NOT_ASKED
    assert asked.exists_web.asked == []


# --- presets --------------------------------------------------------------------------------------


def test_xcauth_reads_what_jsxc_answers(folder):
    rules = {"preset": "xcauth", "url": URL, "secret_file": secret_file(folder)}
    for answer, outcome in (
        (says({"result": "success", "data": {"uid": "alice"}}), model.PASSWORD_MATCHES),
        (says({"result": "success", "data": {"uid": "Alice"}}), model.PASSWORD_MATCHES),
        (says({"result": "success", "data": {"uid": "alice@example.org"}}), NOT_CANONICAL),
        (says({"result": "success", "data": {"uid": "bob"}}), NOT_CANONICAL),
        (says({"result": "success"}), FAILED),
        (says({"result": "noauth"}), model.PASSWORD_MISMATCH),
        (says({"result": "error", "data": {"msg": "Signature does not match."}}, 500), FAILED),
        (says({"result": "error"}), FAILED),
        (UNAUTHORISED, FAILED),
    ):
        assert Asked(folder, rules, answer).login() == outcome
    for answer, outcome in (
        (says({"result": "success", "data": {"isUser": True}}), model.USER_EXISTS),
        (says({"result": "success", "data": {"isUser": False}}), model.USER_UNKNOWN),
        (says({"result": "error", "data": {"msg": "?"}}), FAILED),
    ):
        asked = Asked(folder, rules, YES, exists=answer)
        assert asked.exists() == outcome
        assert asked.exists_web.asked[0][2] == (
            b"operation=isuser&username=alice&domain=example.org"
        )
    trace = Trace()
    assert Asked(folder, rules, says(b"", 500)).login(trace=trace) == FAILED
    assert trace.steps[-1][1].endswith("answers 500: is secret_file right?")


def test_nextcloud_names_the_account_that_was_let_in(folder):
    rules = {"preset": "nextcloud", "url": URL}

    def account(name):
        return says({"ocs": {"meta": {"statuscode": 200}, "data": {"id": name}}})

    asked = Asked(folder, rules, account("Alice"))
    assert asked.login() == model.PASSWORD_MATCHES
    ((method, headers, body, _),) = asked.web.asked
    assert (method, body, headers["OCS-APIRequest"]) == (b"GET", b"", "true")
    assert headers["Authorization"].startswith("Basic ")
    assert Asked(folder, rules, account("bob")).login() == NOT_CANONICAL
    assert Asked(folder, rules, says({"ocs": {}}, 401)).login() == model.PASSWORD_MISMATCH
    assert Asked(folder, rules, says({"ocs": {}}, 429)).login() == FAILED
    assert Asked(folder, rules, says(b"<?xml", 200, b"text/xml")).login() == FAILED


def test_django_is_the_examples_view(folder):
    rules = {
        "preset": "django", "url": URL, "exists_url": EXISTS_URL,
        "secret_file": secret_file(folder),
    }  # fmt: skip
    asked = Asked(folder, rules, says({"accepted": True, "user": "alice"}))
    assert asked.login() == model.PASSWORD_MATCHES
    assert asked.web.asked[0][1]["Authorization"] == "Bearer between-us"
    answer = says({"accepted": False, "user": None})
    assert Asked(folder, rules, answer).login() == model.PASSWORD_MISMATCH
    assert Asked(folder, rules, UNAUTHORISED).login() == FAILED
    assert Asked(folder, rules, YES, exists=says({"exists": True})).exists() == model.USER_EXISTS


# --- what is told ---------------------------------------------------------------------------------


def test_trace_has_every_step_and_no_secret(folder):
    trace = Trace()
    Asked(folder, USER_RULES, says({"ok": True, "user": "alice"})).login(trace=trace)
    Asked(folder, JSON_RULES, UNAUTHORISED).login(trace=trace)
    Asked(folder, BASIC, EMPTY, says(b"", 401, b"te\x1bxt")).login(trace=trace)
    assert trace.steps == [
        ("website", f"POST {URL}, json"),
        ("answer", "200, application/json, 29 octets"),
        ("rule", "ok: yes"),
        ("website", f"POST {URL}, json"),
        ("answer", "401, text/html, 0 octets"),
        ("rule", "401: no"),
        ("website", f"GET {URL}, basic"),
        ("answer", "200, no single type, 0 octets"),
        ("rule", "200: yes"),
        ("proof", PROOF),
        ("website", f"GET {URL}, basic"),
        ("answer", "401, te xt, 0 octets"),
        ("rule", "401: no"),
    ]


def test_outage_is_told_once_a_minute_and_at_its_end(folder, events):
    asked = Asked(folder, JSON_RULES, unreached())
    for _ in range(3):
        asked.login()
    asked.clock.advance(QUIET)
    asked.login()
    asked.web.answers = [YES]
    asked.clock.advance(SETTLED)
    asked.login()
    name = f"website {URL}"
    assert said(events, LogLevel.warn) == [
        f"{name}: connection refused", f"{name}: connection refused (since 60 s)",
    ]  # fmt: skip
    assert said(events, LogLevel.info) == [f"{name}: well again, after 65 s"]
    assert not [event for event in events if event["log_level"] is LogLevel.critical]


# --- the probe ------------------------------------------------------------------------------------


def test_site_that_says_no_to_a_stranger_is_well(folder):
    rules = {**JSON_RULES, "exists_url": EXISTS_URL}
    asked, trace = Asked(folder, rules, NO, exists=says({"exists": False})), Trace()
    assert isinstance(asked.checker, Probed)
    assert now(asked.checker.probe(trace)) == model.USER_EXISTS
    assert asked.web.bodies == [{"username": STRANGER, "password": b"r".hex() * 16}]
    assert asked.exists_web.bodies == [{"username": STRANGER}]
    assert ("rule", "ok: no") in trace.steps
    asked = Asked(folder, JSON_RULES, NO)
    assert now(asked.checker.probe(Trace())) == model.USER_EXISTS
    assert asked.exists_web.asked == []


def test_site_that_says_anything_else_is_not(folder):
    rules = {**USER_RULES, "exists_url": EXISTS_URL}
    for answer, exists, words in (
        (says({"ok": True, "user": STRANGER}), YES, "says yes to a made-up user"),
        (says({"ok": True, "user": "bob"}), YES, "says yes to a made-up user"),
        (NO, says({"exists": True}), "says that there is a user whose name is made up"),
        (NO, UNAUTHORISED, "answers 401"),
        (says(b"", 302), YES, "answers 302"),
    ):
        trace = Trace()
        asked = Asked(folder, rules, answer, exists=exists)
        assert now(asked.checker.probe(trace)) == FAILED
        assert words in trace.steps[-1][1]


# --- how it is made -------------------------------------------------------------------------------


def test_what_a_site_has_proven_ends_by_a_clock_that_nobody_sets(folder):
    """With the reactor's, which is the machine's, it would count until it is that late again."""
    clock, reactor = Clock(), MemoryReactorClock()
    surroundings = Surroundings(reactor, None, lambda: 0.0, random.random, clock.seconds)
    checker = CheckerSettings(http, settings(folder, BASIC)).make(surroundings)
    website = checker._website
    website._proven = {"authbridge.invalid": clock.seconds()}
    reactor.advance(PROVEN)
    assert website._is_proven("authbridge.invalid")
    clock.advance(PROVEN)
    assert not website._is_proven("authbridge.invalid")


def test_kind_makes_checkers_that_end_with_the_daemon(folder):
    assert "http" in kinds()
    for data, servers in (
        (JSON_RULES, 1),
        ({**JSON_RULES, "exists_url": EXISTS_URL}, 2),
        ({**JSON_RULES, "exists_url": URL}, 1),
        ({"preset": "xcauth", "url": URL, "secret_file": secret_file(folder)}, 1),
    ):
        own = settings(folder, data)
        surroundings = Surroundings(
            MemoryReactorClock(), None, lambda: 0.0, random.random, never_token=lambda _: False
        )
        checker = CheckerSettings(http, own).make(surroundings)
        assert len(surroundings.at_stop) == servers
        for stop in surroundings.at_stop:
            stop()
        outcome = now(checker.check_password(ALICE, Secret(b"wonderland"), None))
        assert outcome == model.unavailable(Reason.WEBSITE_UNREACHABLE)
        assert outcome.verdict is Verdict.UNAVAILABLE
