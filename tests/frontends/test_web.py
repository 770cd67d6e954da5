"""`/credentials` of `listen.web`: octets in, octets out."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from authbridge.frontends.web import USERS_REMEMBERED, OpenSite, WebSettings
from authbridge.log import EventLog, LogSettings
from authbridge.model import Reason
from authbridge.sessions.shown import CannotTell, Nobody
from authbridge.settings import Mistakes, Table
from authbridge.stores.operations import Consume
from authbridge.token_office.grants import Refusal
from authbridge.tokens import temporary
from tests.frontends.offices import ScriptedOffice
from tests.frontends.pages import (
    COOKIE,
    DEADLINE,
    FROM_ORIGIN,
    HOST,
    INTRANET,
    ORIGIN,
    SITE,
    Pages,
    ScriptedSession,
    no_secret_in,
)

PATHS = ("/credentials", "/prebind")
each_path = pytest.mark.parametrize("path", PATHS)
SAME_ORIGIN = b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
ALWAYS = {
    "Cache-Control": "no-store",
    "Vary": "Origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
READABLE = {
    "Access-Control-Allow-Origin": ORIGIN,
    "Access-Control-Allow-Credentials": "true",
}


@pytest.fixture
def pages():
    return Pages()


def headers_of(reply):
    """Those of an answer that are not of its body's length, or of this one call."""
    return {
        name: value
        for name, value in reply.headers.items()
        if name not in ("Content-Length", "X-Request-Id", "Connection")
    }


def told(reply, status):
    """The code of a refusal."""
    found = json.loads(reply.body)
    assert found.keys() == {"type", "title", "status", "detail", "reason"}
    assert (reply.status, found["status"]) == (status, status)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert ALWAYS.items() <= reply.headers.items()
    return found["reason"]


def line_of(pages):
    """The one line of a login."""
    (line,) = pages.login_lines
    return re.sub(r"^\S+ login id=boot-\d+ | ms=[0-9.]+", "", line)


# --- what is given --------------------------------------------------------------------------------


def test_a_page_gets_the_users_jid_and_a_password_for_one_login(pages):
    reply = pages.ask()
    found = json.loads(reply.body)
    assert found.keys() == {"jid", "password"}
    assert found["jid"] == "alice@example.org"
    assert (reply.status, headers_of(reply)) == (200, ALWAYS | {"Content-Type": "application/json"})
    digest = temporary.digest(found["password"].encode())
    use = Consume(digest, "alice@example.org")
    reasons = pages.ledger.store.run([use, use], pages.wall())
    assert reasons == [Reason.TOKEN_VALID, Reason.TOKEN_USED]


def test_the_password_lives_as_long_as_the_site_says():
    pages = Pages(site=replace(SITE, token_ttl=90.0))
    pages.ask()
    assert " ttl=90 uses=1" in pages.token_lines[0]
    assert "caller=site:www" in pages.token_lines[0]


def test_it_has_a_line_of_the_login_and_one_of_the_token(pages):
    reply = pages.ask()
    assert line_of(pages) == (
        "front_end=web operation=credentials jid=alice@example.org checker=- "
        "verdict=accepted reason=token_issued caller=site:www"
    )
    (token,) = pages.token_lines
    assert "operation=issue_token verdict=accepted reason=token_issued" in token
    assert all(f" id={reply.id} " in line for line in pages.lines)


def test_the_site_is_asked_with_its_own_cookie_alone(pages):
    pages.ask(headers=b"Cookie: tracking=1; sessionid=9f3c-secret-of-alice\r\n")
    assert pages.session.asked == [b"9f3c-secret-of-alice"]
    (shown,) = pages.session.shown
    assert shown.address == "127.0.0.1"
    assert set(shown.names) == {b"host", b"cookie"}


def test_what_a_query_says_counts_for_nothing(pages):
    """jQuery and others add one against caches."""
    assert json.loads(pages.ask("/credentials?_=1700000000&user=mallory").body)["jid"] == (
        "alice@example.org"
    )


def test_two_pages_at_once_get_a_password_each():
    waiting = [Deferred(), Deferred()]
    pages = Pages()
    callers = []
    for one in waiting:
        pages.session.answer = one
        callers.append(pages.send())
    assert [caller.answers() for caller in callers] == [[], []]
    for one in reversed(waiting):
        one.callback("alice")
    passwords = {json.loads(caller.answer().body)["password"] for caller in callers}
    assert len(passwords) == 2


def test_two_calls_of_one_connection_are_answered_in_turn(pages):
    caller = pages.send()
    first = caller.answer()
    second = caller.ask(
        b"GET /credentials HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (HOST.encode(), COOKIE)
    )
    assert json.loads(first.body)["password"] != json.loads(second.body)["password"]
    assert first.id != second.id


def test_a_localpart_is_made_of_the_sites_name_for_the_user():
    pages = Pages(ScriptedSession("alice"), site=replace(SITE, jid=("web-", ".guest")))
    assert json.loads(pages.ask().body)["jid"] == "web-alice.guest@example.org"


# --- which pages may read it ----------------------------------------------------------------------


@each_path
def test_a_page_of_a_listed_origin_may_read_the_answer_with_cookies(pages, path):
    reply = pages.ask(path, COOKIE + FROM_ORIGIN)
    assert reply.status == 200
    assert headers_of(reply) == ALWAYS | READABLE | {"Content-Type": "application/json"}


@each_path
@pytest.mark.parametrize("headers", [b"", SAME_ORIGIN])
def test_a_page_of_the_same_origin_needs_no_leave_of_its_browser(pages, path, headers):
    reply = pages.ask(path, COOKIE + headers)
    assert reply.status == 200
    assert not any(name.startswith("Access-Control") for name in reply.headers)


FOREIGN = [
    b"Origin: https://evil.example\r\n",
    b"Origin: null\r\n",
    b"Origin: \r\n",
    b"Origin: https://pages.example.org.evil.example\r\n",
    b"Origin: http://pages.example.org\r\n",
    b"Origin: https://pages.example.org:8443\r\n",
    b"Origin: HTTPS://PAGES.EXAMPLE.ORG\r\n",
    b"Origin: https://www.example.org\r\n",
    b"Origin: https://pages.example.org\r\nOrigin: https://pages.example.org\r\n",
    b"Sec-Fetch-Site: same-site\r\n",
    b"Sec-Fetch-Site: cross-site\r\n",
    b"Sec-Fetch-Site: none\r\n",
    b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n",
    b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n",
    FROM_ORIGIN + b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n",
    FROM_ORIGIN + b"Sec-Fetch-Dest: script\r\n",
]


@each_path
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_anybody_else_gets_nothing_and_nothing_is_made(pages, path, method, headers):
    reply = pages.ask(path, COOKIE + headers, method=method)
    assert told(reply, 403) == "origin_foreign"
    assert not any(name.startswith("Access-Control") for name in reply.headers)
    assert (pages.session.shown, pages.ledger.asked, pages.bosh.asked) == ([], [], [])
    assert line_of(pages) == (
        f"front_end=web operation={path[1:]} jid=- checker=- "
        "verdict=rejected reason=origin_foreign caller=site:www"
    )


def test_the_origins_of_another_site_are_foreign():
    pages = Pages(others={INTRANET: ScriptedSession()})
    assert pages.ask(headers=COOKIE + FROM_ORIGIN).status == 200
    assert told(pages.ask(headers=COOKIE + FROM_ORIGIN, host="intranet"), 403) == "origin_foreign"


@pytest.mark.parametrize(
    "trouble",
    [
        {"session": ScriptedSession(Nobody(Reason.SESSION_UNKNOWN))},
        {"session": ScriptedSession(CannotTell(Reason.SITE_FAILED, "answers 500"))},
        {"session": ScriptedSession(trouble=Nobody(Reason.SESSION_MISSING))},
        {"session": ScriptedSession(trouble=Nobody(Reason.SESSION_FORGED))},
        {"office": ScriptedOffice(Refusal(Reason.TOKEN_NEVER, "no"))},
        {"site": replace(SITE, rate=(1, 60.0))},
    ],
)
def test_it_may_read_what_it_is_refused_for_too(trouble):
    """Or its script could not tell a refusal from a network that is down."""
    pages = Pages(**trouble)
    if "site" in trouble:
        pages.ask()
    reply = pages.ask(headers=COOKIE + FROM_ORIGIN)
    assert reply.status >= 400
    assert READABLE.items() <= reply.headers.items()
    assert ALWAYS.items() <= reply.headers.items()


def test_no_answer_is_for_any_origin():
    for path in (*PATHS, "/", "/healthz"):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            for headers in (b"", COOKIE, FROM_ORIGIN, COOKIE + FROM_ORIGIN, *FOREIGN):
                caller = Pages().send(path, headers, method=method)
                reply = caller.answer(head=method == "HEAD")
                allowed = reply.headers.get("Access-Control-Allow-Origin")
                assert allowed in (None, ORIGIN)
                assert (allowed is None) == (
                    "Access-Control-Allow-Credentials" not in reply.headers
                )


# --- preflights -----------------------------------------------------------------------------------


@each_path
def test_a_script_of_a_listed_origin_is_told_that_it_may_ask(pages, path):
    asked = b"Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: accept\r\n"
    reply = pages.ask(path, FROM_ORIGIN + asked, method="OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert headers_of(reply) == ALWAYS | READABLE | {
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "Accept, Content-Type, X-Requested-With",
        "Access-Control-Max-Age": "600",
    }
    assert pages.lines == []
    assert pages.session.shown == []


@each_path
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE"])
def test_another_method_is_405(pages, path, method):
    reply = pages.ask(path, method=method)
    assert told(reply, 405) == "request_malformed"
    assert reply.headers["Allow"] == "GET, OPTIONS"
    assert (pages.lines, pages.session.shown) == ([], [])


@each_path
def test_a_head_is_none_of_them_and_makes_nothing(pages, path):
    reply = pages.send(path, method="HEAD").answer(head=True)
    assert (reply.status, reply.headers["Allow"], reply.body) == (405, "GET, OPTIONS", b"")
    assert pages.lines == []


@each_path
def test_a_post_of_a_listed_origin_is_none_either(pages, path):
    """A form of its page could send one without a preflight."""
    assert pages.ask(path, COOKIE + FROM_ORIGIN, method="POST").status == 405
    assert pages.lines == []


# --- to whom it is addressed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/credentials/", "/Credentials", "/prebind/x", "/%63redentials", "//credentials",
     "/auth/check_password", "/tokens", "/openapi.json"],
)  # fmt: skip
def test_any_other_path_is_404_without_a_line(pages, path):
    reply = pages.ask(path)
    assert told(reply, 404) == "request_malformed"
    assert (pages.lines, pages.session.shown) == ([], [])


@each_path
@pytest.mark.parametrize(
    "host", [HOST, f"{HOST}:443", f"{HOST}:9282", "WWW.Example.ORG", "192.0.2.7", "192.0.2.7:80"]
)
def test_a_site_is_called_by_any_of_its_names_whatever_the_port(pages, path, host):
    assert pages.ask(path, host=host).status == 200


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "www.example.org.evil.example", "example.org", "localhost", "127.0.0.1",
     "192.0.2.8", "intranet", "a b", "", "www.example.org:99999", "www.example.org.",
     "user@www.example.org"],
)  # fmt: skip
def test_any_other_host_is_421(pages, path, host):
    reply = pages.ask(path, host=host)
    assert told(reply, 421) == "host_foreign"
    assert pages.session.shown == []
    assert line_of(pages) == (
        "front_end=web operation=- jid=- checker=- verdict=rejected reason=host_foreign caller=-"
    )


def test_who_names_no_host_is_at_none(pages):
    reply = pages.ask(host=None, version="1.0")
    assert told(reply, 421) == "host_foreign"
    assert pages.session.shown == []
    assert pages.ask(version="1.0").status == 200


def test_each_site_has_its_users_and_its_session():
    there = ScriptedSession("bob")
    pages = Pages(others={INTRANET: there})
    assert json.loads(pages.ask(host="intranet").body)["jid"] == "bob@example.org"
    assert json.loads(pages.ask().body)["jid"] == "alice@example.org"
    assert [len(session.asked) for session in (pages.session, there)] == [1, 1]
    callers = [line.rpartition("caller=")[2] for line in pages.login_lines]
    assert callers == ["site:intranet", "site:www"]


def test_who_breaks_the_rules_of_http_has_his_line(pages):
    caller = pages.caller()
    caller.send(b"GET /credentials HTTP/1.1\r\n\r\n")
    reply = caller.answer()
    assert told(reply, 400) == "request_malformed"
    assert (reply.headers["Cache-Control"], reply.headers["Vary"]) == ("no-store", "Origin")
    assert line_of(pages) == (
        "front_end=web operation=- jid=- checker=- "
        "verdict=rejected reason=request_malformed caller=127.0.0.1"
    )


@pytest.mark.parametrize(
    ("octets", "status", "reason"),
    [
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414, "request_malformed"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 99_999, 431, "request_malformed"),
        (b"GET / HTTP/9.1\r\n\r\n", 400, "request_malformed"),
        (b"no words of HTTP\r\n\r\n", 400, "request_malformed"),
    ],
)
def test_every_refusal_of_broken_http_is_a_problem_in_json(pages, octets, status, reason):
    caller = pages.caller()
    caller.send(octets)
    assert told(caller.answer(), status) == reason
    assert len(pages.login_lines) == 1


def test_and_so_is_that_of_a_call_that_is_never_complete(pages):
    caller = pages.caller()
    caller.send(b"GET /credentials HTTP/1.1\r\n")
    pages.clock.advance(15)
    reply = caller.answer()
    assert told(reply, 408) == "request_incomplete"
    assert "15 seconds" in json.loads(reply.body)["detail"]
    assert "reason=request_incomplete" in line_of(pages)


# --- who has no session ---------------------------------------------------------------------------


@each_path
@pytest.mark.parametrize("headers", [b"", b"Cookie: other=1\r\n", b"Cookie: sessionid=\r\n"])
def test_who_shows_no_session_is_refused_without_a_line(pages, path, headers):
    """A page asks every two seconds until its user has logged in."""
    reply = pages.ask(path, headers)
    assert told(reply, 401) == "session_missing"
    assert "Retry-After" not in reply.headers
    assert "WWW-Authenticate" not in reply.headers  # a browser would ask its user for a password
    assert (pages.lines, pages.session.asked) == ([], [])


@each_path
@pytest.mark.parametrize(
    ("reason", "status"),
    [(Reason.SESSION_FORGED, 403), (Reason.SESSION_MALFORMED, 401), (Reason.TOKEN_MALFORMED, 401)],
)
def test_what_is_no_session_by_itself_is_refused_with_a_line(path, reason, status):
    pages = Pages(ScriptedSession(trouble=Nobody(reason)))
    assert told(pages.ask(path), status) == reason.value
    assert pages.session.asked == []
    assert line_of(pages) == (
        f"front_end=web operation={path[1:]} jid=- checker=- "
        f"verdict=rejected reason={reason.value} caller=site:www"
    )


def test_a_cookie_that_is_there_twice_is_nobodys(pages):
    reply = pages.ask(headers=COOKIE + b"Cookie: sessionid=another\r\n")
    assert told(reply, 401) == "session_malformed"
    assert pages.session.asked == []


@each_path
@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.SESSION_UNKNOWN, 401),
        (Reason.TOKEN_EXPIRED, 401),
        (Reason.TOKEN_KEY_UNKNOWN, 401),
        (Reason.TOKEN_TYPE_WRONG, 401),
        (Reason.USER_MALFORMED, 403),
    ],
)
def test_whose_session_is_nobodys_is_refused_with_a_line(path, reason, status):
    pages = Pages(ScriptedSession(Nobody(reason)))
    assert told(pages.ask(path), status) == reason.value
    assert (pages.ledger.asked, pages.bosh.asked) == ([], [])
    assert line_of(pages) == (
        f"front_end=web operation={path[1:]} jid=- checker=- "
        f"verdict=rejected reason={reason.value} caller=site:www"
    )


@each_path
@pytest.mark.parametrize(
    "name",
    ["", "a b", "alice@example.org", "a/b", "x" * 1024, "\0", "\ud800", "\u200e", "@", "Alice",
     "al\u00adice", "\u212aate"],
)  # fmt: skip
def test_a_name_that_no_jid_can_have_or_that_is_anothers_there_is_refused(path, name):
    pages = Pages(ScriptedSession(name))
    assert told(pages.ask(path), 403) == "site_user_unfit"
    assert "jid=- checker=- verdict=rejected reason=site_user_unfit" in line_of(pages)
    assert (pages.ledger.asked, pages.bosh.asked) == ([], [])


@each_path
def test_a_user_whom_no_token_lets_in_gets_none(path):
    pages = Pages(ScriptedSession("admin"))
    assert told(pages.ask(path), 403) == "token_never"
    assert "jid=admin@example.org checker=- verdict=rejected reason=token_never" in line_of(pages)
    assert (pages.ledger.asked, pages.bosh.asked) == ([], [])


@each_path
def test_a_user_who_has_too_many_tokens_gets_no_other(pages, path):
    pages.fill()
    assert told(pages.ask(path), 429) == "tokens_too_many"
    assert "verdict=rejected reason=tokens_too_many" in line_of(pages)


# --- who comes too often --------------------------------------------------------------------------


@each_path
def test_who_comes_too_often_is_told_when_to_come_again_and_nobody_else_is(path):
    pages = Pages(ScriptedSession("alice"), others={INTRANET: ScriptedSession("alice")})
    for _ in range(3):
        assert pages.ask(path).status == 200
    reply = pages.ask(path)
    assert told(reply, 429) == "rate_exceeded"
    assert reply.headers["Retry-After"] == "20"
    assert line_of_last(pages).endswith(
        "jid=alice@example.org checker=- verdict=rejected reason=rate_exceeded caller=site:www"
    )
    assert len(pages.token_lines) == 3
    assert pages.ask(path, host="intranet").status == 200
    pages.session.answer = "bob"
    assert pages.ask(path).status == 200
    pages.session.answer = "alice"
    assert pages.ask(path).status == 429
    pages.clock.advance(19)
    assert pages.ask(path).headers["Retry-After"] == "1"
    pages.clock.advance(1)
    assert pages.ask(path).status == 200


def test_of_one_user_all_spellings_are_counted_together():
    pages = Pages(site=replace(SITE, ignore_case=True))
    for name in ("alice", "Alice", "ALICE"):
        pages.session.answer = name
        assert json.loads(pages.ask().body)["jid"] == "alice@example.org"
    pages.session.answer = "aLice"
    assert pages.ask().status == 429


def line_of_last(pages):
    return re.sub(r" ms=[0-9.]+", "", pages.login_lines[-1])


def test_both_paths_count(pages):
    for path in ("/credentials", "/prebind", "/credentials"):
        assert pages.ask(path).status == 200
    assert [pages.ask(path).status for path in PATHS] == [429, 429]


@each_path
def test_an_outage_of_the_state_costs_nothing_of_a_users_rate(pages, path):
    pages.ledger.down = "was lost"
    assert [pages.ask(path).status for _ in range(9)] == [503] * 9
    pages.ledger.down = ""
    assert [pages.ask(path).status for _ in range(4)] == [200, 200, 200, 429]


@each_path
def test_a_refusal_costs_as_much_as_a_login(path):
    """Who is refused, and asks on and on, is as much work as anybody."""
    pages = Pages(ScriptedSession("admin"))
    assert [pages.ask(path).status for _ in range(5)] == [403] * 3 + [429] * 2


def test_who_is_nobody_is_not_counted(pages):
    pages.session.answer = Nobody(Reason.SESSION_UNKNOWN)
    assert [pages.ask().status for _ in range(9)] == [401] * 9
    pages.session.answer = "alice"
    assert pages.ask().status == 200


def test_of_a_site_with_very_many_users_the_oldest_are_forgotten(pages):
    at = OpenSite(SITE, ScriptedSession(), pages.clock.seconds)
    assert USERS_REMEMBERED == 10_000
    for _ in range(3):
        assert at.rates.take("alice") == 0
    assert at.rates.take("alice") > 0
    for user in range(USERS_REMEMBERED):
        at.rates.take(f"user-{user}")
    assert at.rates.take("alice") == 0


# --- what cannot be told --------------------------------------------------------------------------


@each_path
@pytest.mark.parametrize(
    "reason",
    [Reason.SITE_UNREACHABLE, Reason.SITE_FAILED, Reason.KEYS_UNAVAILABLE, Reason.OVERLOADED],
)
def test_a_site_that_does_not_tell_is_503_with_a_time_to_come_again(path, reason):
    pages = Pages(ScriptedSession(CannotTell(reason, "https://www.example.org answers 500")))
    reply = pages.ask(path)
    assert told(reply, 503) == reason.value
    assert reply.headers["Retry-After"] == "5"
    assert b"answers 500" not in reply.body
    assert line_of(pages) == (
        f"front_end=web operation={path[1:]} jid=- checker=- "
        f"verdict=unavailable reason={reason.value} caller=site:www"
    )
    assert (pages.ledger.asked, pages.bosh.asked) == ([], [])


@each_path
def test_a_state_that_is_away_is_503(pages, path):
    pages.ledger.down = "was lost"
    reply = pages.ask(path)
    assert (told(reply, 503), reply.headers["Retry-After"]) == ("state_unavailable", "5")
    assert "jid=alice@example.org checker=- verdict=unavailable reason=state_unav" in line_of(pages)
    assert pages.bosh.asked == []


@each_path
def test_a_site_that_keeps_silent_is_waited_for_until_the_deadline(path):
    cancelled = []
    waiting = Deferred(cancelled.append)
    pages = Pages(ScriptedSession(waiting))
    caller = pages.send(path)
    pages.clock.advance(DEADLINE - 0.25)
    assert (caller.answers(), cancelled, pages.lines) == ([], [], [])
    pages.clock.advance(0.25)
    reply = caller.answer()
    assert (told(reply, 503), reply.headers["Retry-After"]) == ("deadline_passed", "5")
    assert cancelled == [waiting]
    assert "jid=- checker=- verdict=unavailable reason=deadline_passed" in line_of(pages)
    assert caller.line.open


def test_a_state_that_keeps_silent_too(pages):
    pages.ledger.silent = True
    caller = pages.send()
    assert caller.answers() == []
    pages.clock.advance(DEADLINE)
    assert told(caller.answer(), 503) == "deadline_passed"


@each_path
def test_at_a_stop_who_still_waits_is_answered(path):
    pages = Pages(ScriptedSession(Deferred()))
    caller = pages.send(path)
    ended = []
    pages.logins.idle().addCallback(ended.append)
    pages.front_end.idle().addCallback(ended.append)
    assert ended == [None]  # of the front end itself there is nothing to wait for
    pages.front_end.end()
    pages.logins.end()
    assert told(caller.answer(), 503) == "stopping"
    assert ended == [None, None]


def test_a_page_that_is_gone_is_not_answered():
    waiting = Deferred()
    pages = Pages(ScriptedSession(waiting))
    caller = pages.send()
    caller.leave()
    waiting.callback("alice")
    assert caller.answers() == []
    assert "reason=token_issued" in line_of(pages)


# --- faults ---------------------------------------------------------------------------------------


def written(events):
    """What the daemon's log has of these events."""
    lines = []
    observer = EventLog(LogSettings(), lines.append)
    for event in events:
        observer(event)
    return lines


@each_path
@pytest.mark.parametrize("late", [False, True])
def test_a_fault_of_ours_is_503_and_logged_without_a_secret(path, late, events):
    fault = RuntimeError("9f3c-secret-of-alice")
    waiting = Deferred()
    pages = Pages(ScriptedSession(waiting if late else fault))
    caller = pages.send(path)
    if late:
        waiting.errback(fault)
    reply = caller.answer()
    assert (told(reply, 503), reply.headers["Retry-After"]) == ("internal_error", "5")
    assert "verdict=unavailable reason=internal_error caller=site:www" in line_of(pages)
    (failure,) = [event for event in events if "log_failure" in event]
    assert failure["log_format"] == "a login failed"
    no_secret_in(written(events), pages.lines, [reply.body])
    assert caller.line.open


@each_path
def test_a_fault_before_anybody_is_asked_is_503_and_logged_without_a_secret(path, events):
    pages = Pages(ScriptedSession(trouble=RuntimeError("9f3c-secret-of-alice")))
    reply = pages.ask(path)
    assert told(reply, 503) == "internal_error"
    assert reply.headers["Retry-After"] == "5"
    assert len([event for event in events if "log_failure" in event]) == 1
    no_secret_in(written(events), pages.lines, [reply.body])


def test_a_fault_in_answering_is_logged(pages, events, monkeypatch):
    caller = pages.caller()
    answer = caller.channel.answer

    def broken(octets, *, persistent):
        answer(octets, persistent=persistent)
        raise RuntimeError(COOKIE)

    monkeypatch.setattr(caller.channel, "answer", broken)
    caller.send(b"GET /credentials HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (HOST.encode(), COOKIE))
    assert caller.answer().status == 200
    assert [event["log_format"] for event in events if "log_failure" in event] == [
        "an HTTP call failed"
    ]
    no_secret_in(written(events), pages.lines)


@pytest.mark.parametrize("json_lines", [False, True])
def test_no_log_holds_a_secret(events, json_lines):
    for session in (
        ScriptedSession(),
        ScriptedSession("admin"),
        ScriptedSession(Nobody(Reason.SESSION_UNKNOWN)),
        ScriptedSession(CannotTell(Reason.SITE_FAILED, "answers 500")),
        ScriptedSession(trouble=Nobody(Reason.SESSION_FORGED)),
        ScriptedSession(RuntimeError("9f3c-secret-of-alice")),
    ):
        for origin in (b"", FROM_ORIGIN, FOREIGN[0]):
            for path in (*PATHS, "/nothing"):
                pages = Pages(session, log=LogSettings(json=json_lines))
                for host in (HOST, "evil.example"):
                    pages.ask(path, COOKIE + origin, host=host)
                no_secret_in(pages.lines)
    no_secret_in(written(events))


def test_what_a_page_asks_shows_no_secret(pages):
    caller = pages.send()
    assert "secret" not in repr(caller.channel)
    assert pages.front_end.number().startswith("boot-")


# --- [web] ----------------------------------------------------------------------------------------


def settings(data, tmp_path):
    mistakes = Mistakes()
    read = WebSettings.read(Table(data, "web", mistakes, tmp_path), 8.0)
    return read, list(mistakes)


def test_the_deadline_is_the_daemons_unless_pages_have_their_own(tmp_path):
    assert settings({}, tmp_path) == (WebSettings(8.0), [])
    own = {"deadline": "2s", "connections": 7, "peer_connections": 7}
    assert settings(own, tmp_path) == (WebSettings(2.0, 7, 7), [])


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ({"deadline": "11m"}, "web.deadline: should be between 0.1 and 600 seconds"),
        ({"deadline": 0.01}, "web.deadline: should be between 0.1 and 600 seconds"),
        ({"connections": 0}, "web.connections: should be a whole number between 1 and 1000000"),
        ({"peer_connections": True}, "web.peer_connections: should be a whole number between 1"),
        ({"hosts": ["x"]}, "web.hosts: there is no such setting; there is "),
        ({"anonymous": True}, "web.anonymous: there is no such setting; there is "),
    ],
)
def test_a_mistake_in_web_is_one_line(data, mistake, tmp_path):
    (line,) = settings(data, tmp_path)[1]
    assert line.startswith(mistake)


def test_a_site_is_granted_its_own_domain_one_use_and_its_ttl():
    grant = replace(SITE, name="w.w-w_1", token_ttl=5.0).grant
    assert (grant.name, grant.domains, grant.users) == ("site:w.w-w_1", {"example.org"}, None)
    assert (grant.max_lifetime, grant.max_uses, grant.rate) == (5.0, 1, None)
