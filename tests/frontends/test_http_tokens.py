"""`/tokens`, `/introspect` and `/revoke` of `listen.http`: octets in, octets out."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from http import HTTPStatus

import pytest
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.frontends import http_tokens
from authbridge.issuers.issuers import Issuer, KeysUnavailable
from authbridge.model import JID, Reason
from authbridge.stores.ledger import StoreUnavailable
from authbridge.stores.operations import MOST_LIVE, Consume
from authbridge.token_office.grants import Refusal
from authbridge.tokens import temporary
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import CLIENT, SECRET, Server
from tests.frontends.offices import ALICE, CREDENTIALS, NOW, SITE, ScriptedOffice, Site, ask
from tests.issuers.folders import NAME, SECRETS, pem, settings, write
from tests.tokens import mint

PASSWORD = "abtt1_" + "A" * 42 + "E"
ID = "0123456789abcdef" * 2
CALLS = {
    "issue": ("POST", "/tokens", ALICE),
    "list": ("GET", "/tokens?jid=alice%40example.org"),
    "revoke one": ("DELETE", f"/tokens/{ID}"),
    "revoke many": ("POST", "/tokens/revoke", ALICE),
    "introspect": ("POST", "/introspect", {"token": PASSWORD}),
    "revoke": ("POST", "/revoke", {"token": PASSWORD}),
}
STANDARD = ("introspect", "revoke")
"""Those with errors as in RFC 6749."""
VERBS = {name: name if name in STANDARD else "tokens" for name in CALLS}
each_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def signing(tmp_path):
    """A website whose issuer's tokens can be revoked, and another's, which cannot."""
    write(tmp_path / "www.pem", pem("www"))
    write(tmp_path / "secret", SECRETS[0])
    return Site(
        issuers=(
            Issuer(settings(tmp_path, name=NAME, keys=["www.pem"], revocable=True)),
            Issuer(
                settings(tmp_path, "compact", name="shop", secret_file="secret", keys=None)
            ),
        )
    )  # fmt: skip


def jwt(**changes):
    claims = {"iss": NAME, "sub": "alice@example.org", "aud": "xmpp:example.org", "iat": NOW - 5,
              "exp": NOW + 55, "jti": "one"}  # fmt: skip
    return mint.jwt(claims | changes, mint.key("ES256", "www"), kid="www", typ="JWT")


def served(call, answer=None, *, client=SITE, headers=None, **more):
    """What is answered to a call by an office that says this."""
    office = ScriptedOffice(answer)
    server = Server(
        ScriptedChecker(model.PASSWORD_MATCHES), clients=(client,), office=office, **more
    )
    octets = ask(*call) if headers is None else ask(*call, headers=headers)
    return server.ask(octets), office, server


def told(reply, call):
    """The code of a refusal, in the form of the call's dialect."""
    found = json.loads(reply.body)
    if call in STANDARD:
        assert reply.headers["Content-Type"] == "application/json"
        assert found.keys() == {"error", "error_description"}
        return found["error"]
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert (found["type"], found["status"]) == ("about:blank", reply.status)
    assert found["title"] == HTTPStatus(reply.status).phrase
    assert found["detail"]
    return found["reason"]


# --- what is done ---------------------------------------------------------------------------------


def test_a_token_is_issued_and_can_be_used_once(site):
    reply = site.ask("POST", "/tokens", ALICE)
    found = json.loads(reply.body)
    password = found.pop("password").encode()
    digest = temporary.digest(password)
    assert found == {
        "jid": "alice@example.org",
        "expires_at": NOW + 60,
        "id": temporary.id_of(digest),
        "uses": 1,
    }
    assert (reply.status, reply.headers) == (
        201,
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(reply.body)),
            "Cache-Control": "no-store",
            "X-Request-Id": reply.id,
            "Location": f"/tokens/{found['id']}",
        },
    )
    use = Consume(digest, "alice@example.org")
    reasons = site.ledger.store.run([use, use], site.wall())
    assert reasons == [Reason.TOKEN_VALID, Reason.TOKEN_USED]
    (line,) = site.lines
    assert f"token id={reply.id} operation=issue_token verdict=accepted" in line
    assert "caller=website" in line
    assert site.server.lines == []
    assert password.decode() not in line


def test_lifetime_uses_device_and_note_are_those_asked_for(site):
    asked = {"jid": "ALICE@Example.org", "ttl": "15m", "uses": 5, "device": "phone", "note": "né 1"}
    first = site.issue(**asked)
    assert (first["jid"], first["expires_at"], first["uses"]) == (ALICE["jid"], NOW + 900, 5)
    site.clock.advance(1)
    second = site.issue(ttl=10.5)
    reply = site.ask("GET", "/tokens?jid=Alice%40example.org")
    assert reply.headers["Content-Type"] == "application/json"
    common = {"last_used_at": None, "client": "website"}
    assert json.loads(reply.body) == {
        "jid": "alice@example.org",
        "tokens": [
            {"id": first["id"], "issued_at": NOW, "expires_at": NOW + 900, "uses_left": 5,
             "device": "phone", "note": "né 1", **common},
            {"id": second["id"], "issued_at": NOW + 1, "expires_at": NOW + 11, "uses_left": 1,
             "device": "", "note": "", **common},
        ],
    }  # fmt: skip
    assert first["password"].encode() not in reply.body


def test_a_token_may_be_good_for_any_number_of_uses():
    site = Site(replace(SITE, max_uses=None))
    found = site.issue(uses="any")
    assert found["uses"] == "any"
    listed = json.loads(site.ask("GET", "/tokens?jid=alice@example.org").body)
    assert listed["tokens"][0]["uses_left"] == "any"


def test_a_token_is_revoked_by_its_id(site):
    found = site.issue()
    reply = site.ask("DELETE", f"/tokens/{found['id']}")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers == {"Cache-Control": "no-store", "X-Request-Id": reply.id}
    assert json.loads(site.ask("GET", "/tokens?jid=alice@example.org").body)["tokens"] == []
    assert len(site.lines) == 2
    assert "operation=revoke_token verdict=accepted reason=tokens_withdrawn" in site.lines[1]


def test_a_connection_goes_on_behind_an_answer_without_a_body(site):
    """There is no length that would say where it ends."""
    found = site.issue()
    octets = ask("DELETE", f"/tokens/{found['id']}") + ask("GET", "/tokens?jid=a@example.org")
    site.server.send(octets)
    site.server.clock.advance(0)
    assert [reply.status for reply in site.server.answers()] == [204, 200]


def test_what_another_client_may_not_ask_about_is_not_there(site):
    found = site.issue()
    other = replace(SITE, domains=frozenset({"example.net"}))
    site.server.front_end._tokens._credentials = http_tokens.Credentials({"website": other})
    reply = site.ask("DELETE", f"/tokens/{found['id']}")
    assert (reply.status, told(reply, "")) == (404, "token_unknown")


def test_all_tokens_of_a_user_are_revoked_at_once(signing):
    for _ in range(2):
        signing.issue()
    assert active(signing, jwt())["active"]
    reply = signing.ask("POST", "/tokens/revoke", ALICE)
    assert (reply.status, json.loads(reply.body)) == (200, {"revoked": 2})
    assert active(signing, jwt()) == {"active": False}
    assert len(signing.lines) == 3


@pytest.mark.parametrize("more", [{"jti": "one"}, {}, {"before": NOW - 4}, {"before": NOW - 4.5}])
def test_signed_tokens_are_revoked_by_their_issuer(signing, more):
    signing.clock.advance(40)
    token = jwt()
    assert active(signing, token)["active"]
    reply = signing.ask("POST", "/tokens/revoke", {"issuer": NAME} | more)
    assert (reply.status, json.loads(reply.body)) == (200, {"revoked": None})
    assert active(signing, token) == {"active": False}
    assert active(signing, jwt(jti="two", iat=NOW + 39))["active"] == bool(more)


def active(site, token, **more):
    reply = site.ask("POST", "/introspect", {"token": token} | more)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    return json.loads(reply.body)


def test_a_temporary_token_is_introspected_and_not_used(site):
    found = site.issue()
    for more in ({}, {"username": "alice@example.org"}, {"token_type_hint": "whatever"}):
        assert active(site, found["password"], **more) == {
            "active": True,
            "token_type": "temporary",
            "username": "alice",
            "sub": "alice@example.org",
            "client_id": "website",
            "iat": NOW,
            "exp": NOW + 60,
            "jti": found["id"],
        }
    assert active(site, found["password"], username="bob@example.org") == {"active": False}
    assert len(site.lines) == 1  # who only asks has none
    site.clock.advance(60)
    assert active(site, found["password"]) == {"active": False}


def test_signed_tokens_are_introspected(signing):
    assert active(signing, jwt()) == {
        "active": True,
        "token_type": "jwt",
        "username": "alice",
        "sub": "alice@example.org",
        "iat": NOW - 5,
        "exp": NOW + 55,
        "jti": "one",
        "iss": NAME,
    }
    token = mint.compact(SECRETS[0], "alice@example.org", NOW + 60, "login")
    assert active(signing, token) == {"active": False}
    found = active(signing, token, username="alice@example.org")
    assert found == {
        "active": True,
        "token_type": "compact",
        "username": "alice",
        "sub": "alice@example.org",
        "exp": NOW + 60,
        "iss": "shop",
    }


@pytest.mark.parametrize("token", ["nothing", PASSWORD, "abtt1_", "abtx1_" + "A" * 43, "é"])
def test_what_is_no_token_is_not_active_and_is_revoked_all_the_same(site, token):
    assert active(site, token) == {"active": False}
    reply = site.ask("POST", "/revoke", {"token": token})
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["Content-Length"] == "0"


def test_a_token_is_revoked_by_itself(signing):
    temporary_one = signing.issue()["password"]
    for token in (temporary_one, jwt()):
        assert active(signing, token)["active"]
        reply = signing.ask("POST", "/revoke", {"token": token})
        assert (reply.status, reply.body) == (200, b"")
        assert active(signing, token) == {"active": False}


def test_a_signed_token_that_cannot_be_revoked_is_told(signing):
    token = mint.compact(SECRETS[0], "alice@example.org", NOW + 60, "login")
    shown = {"token": token, "username": "alice@example.org"}
    reply = signing.ask("POST", "/revoke", shown)
    assert (reply.status, told(reply, "revoke")) == (400, "unsupported_token_type")


# --- who may not ----------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Authorization: Basic " + base64.b64encode(b"website:wrong") + b"\r\n",
        b"Authorization: Basic " + base64.b64encode(b"nobody:down-the-hole") + b"\r\n",
        b"Authorization: Bearer down-the-hole\r\n",
    ],
)
@pytest.mark.parametrize("anonymous", [False, True])
def test_without_the_credentials_of_a_client_it_is_401(call, headers, anonymous):
    reply, office, server = served(CALLS[call], headers=headers, anonymous=anonymous)
    assert reply.status == 401
    assert told(reply, call) == ("invalid_client" if call in STANDARD else "caller_unknown")
    assert reply.headers["WWW-Authenticate"] == 'Basic realm="authbridge"'
    assert office.asked == []
    assert server.line.half_closed
    (line,) = server.lines
    assert f"operation={VERBS[call]} jid=- checker=- verdict=rejected reason=caller_unk" in line


@each_call
def test_a_client_needs_the_verb(call):
    client = replace(SITE, may=SITE.may - {VERBS[call]})
    reply, office, server = served(CALLS[call], client=client)
    assert (reply.status, office.asked) == (403, [])
    expected = "unauthorized_client" if call in STANDARD else "caller_not_allowed"
    assert told(reply, call) == expected
    (line,) = server.lines
    assert "reason=caller_not_allowed" in line
    assert "caller=website" in line


@each_call
def test_a_client_for_logins_may_not_ask(call):
    reply, office, _ = served(CALLS[call], client=CLIENT, headers=SECRET)
    assert (reply.status, office.asked) == (403, [])


def test_a_client_for_tokens_may_not_ask_about_logins(site):
    query = "user=alice&server=example.org&pass=wonderland"
    assert site.ask("GET", f"/auth/check_password?{query}").status == 403


@each_call
def test_a_foreign_host_is_421(call):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(SITE,), office=ScriptedOffice)
    reply = server.ask(ask(*CALLS[call]).replace(b"Host: h\r\n", b"Host: evil.example\r\n"))
    assert reply.status == 421


# --- what is not asked as it should be ------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/tokens", "GET, POST"),
        ("HEAD", "/tokens", "GET, POST"),
        ("DELETE", "/tokens/revoke", "POST"),
        ("GET", "/tokens/revoke", "POST"),
        ("GET", f"/tokens/{ID}", "DELETE"),
        ("GET", "/introspect", "POST"),
        ("GET", "/revoke", "POST"),
    ],
)
def test_another_method_is_405(method, path, allow):
    reply, office, server = served((method, path)) if method != "HEAD" else head(path)
    assert (reply.status, reply.headers["Allow"], office.asked) == (405, allow, [])
    assert "reason=request_malformed" in server.lines[0]


def head(path):
    server = Server(
        ScriptedChecker(model.PASSWORD_MATCHES),
        clients=(SITE,),
        office=(office := ScriptedOffice()),
    )
    server.send(ask("HEAD", path))
    return server.answer(head=True), office, server


@pytest.mark.parametrize(
    "path",
    ["/tokens/", "/tokens/x", f"/tokens/{ID}0", f"/tokens/{ID.upper()}", f"/tokens/{ID}/x",
     "/tokens/revoke/", "/tokens/%72evoke"],
)  # fmt: skip
def test_a_path_below_tokens_that_is_none_is_404_in_the_form_of_the_others(path):
    reply, office, server = served(("DELETE", path))
    assert (reply.status, office.asked) == (404, [])
    assert told(reply, "") == "request_malformed"
    assert len(server.lines) == 1


@pytest.mark.parametrize(
    "path", ["/token", "/tokensx", "/introspect/", "/Tokens", "/revoke/x", "/"]
)
def test_any_other_path_is_404(path):
    reply, _, server = served(("GET", path))
    assert (reply.status, reply.body) == (404, b"no such path")
    assert "operation=- jid=- checker=- verdict=rejected reason=request_malf" in server.lines[0]


POSTS = [name for name in CALLS if CALLS[name][0] == "POST"]


@pytest.mark.parametrize("call", POSTS)
@pytest.mark.parametrize(
    "content", [b"text/plain", b"", b"application/jsonx", b"multipart/form-data"]
)
def test_another_type_of_body_is_415(call, content):
    method, path, body = CALLS[call]
    server = Server(
        ScriptedChecker(model.PASSWORD_MATCHES),
        clients=(SITE,),
        office=(office := ScriptedOffice()),
    )
    octets = ask(method, path, body, content=b"#").replace(b": #", b": " + content)
    reply = server.ask(octets)
    assert (reply.status, office.asked) == (415, [])
    assert told(reply, call) == ("invalid_request" if call in STANDARD else "request_malformed")


@pytest.mark.parametrize(
    "content", [None, b"application/json;charset=utf-8", b"Application/JSON ;x"]
)
def test_the_type_of_a_body_may_have_parameters_or_be_missing(site, content):
    assert site.ask("POST", "/tokens", json.dumps(ALICE).encode(), content=content).status == 201


def test_two_types_are_none(site):
    octets = ask("POST", "/tokens", ALICE)
    line = b"Content-Type: application/json\r\n"
    assert site.server.ask(octets.replace(line, line * 2)).status == 415


@pytest.mark.parametrize(
    "call",
    [
        ("POST", "/tokens", {}),
        ("POST", "/tokens", b""),
        ("POST", "/tokens", ALICE | {"x": 1}),
        ("POST", "/tokens", ALICE | {"ttl": 0}),
        ("POST", "/tokens?x=1", ALICE),
        ("GET", "/tokens"),
        ("GET", "/tokens?user=alice"),
        ("GET", "/tokens?jid="),
        ("DELETE", f"/tokens/{ID}?x"),
        ("POST", "/tokens/revoke", ALICE | {"issuer": "x"}),
        ("POST", "/introspect", {"token": ""}),
        ("POST", "/introspect?token=x", {"token": "x"}),
        ("POST", "/introspect", {"token": "x", "client_secret": "y"}),
        ("POST", "/revoke", b""),
        ("POST", "/revoke", b"token=a&token=b"),
    ],
)
def test_what_breaks_the_rules_is_400_and_asks_nobody(call):
    reply, office, server = served(call)
    assert (reply.status, office.asked) == (400, [])
    name = call[1].partition("?")[0].strip("/")
    assert told(reply, name) == ("invalid_request" if name in STANDARD else "request_malformed")
    assert server.line.half_closed
    (line,) = server.lines
    assert "jid=- checker=- verdict=rejected reason=request_malformed" in line
    assert "caller=website" in line


def test_nothing_of_a_request_is_repeated():
    canary = b"zqcanaryqz"
    for path in ("/tokens", "/tokens/revoke", "/introspect", "/revoke"):
        for body in (canary, b'{"%b":1}' % canary, b'{"jid":["%b"]}' % canary, b"%b=1" % canary):
            for content in (b"application/json", b"application/x-www-form-urlencoded", canary):
                reply, _, server = served(("POST", path, body, CREDENTIALS, content))
                assert reply.status in (400, 415)
                assert canary not in reply.body
                assert canary.decode() not in repr(server.lines)


# --- what the office refuses, and what it cannot tell ---------------------------------------------


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.REQUEST_MALFORMED, 400),
        (Reason.USER_MALFORMED, 400),
        (Reason.CALLER_NOT_ALLOWED, 403),
        (Reason.DOMAIN_UNKNOWN, 403),
        (Reason.TOKEN_NEVER, 403),
        (Reason.TOKEN_UNKNOWN, 404),
        (Reason.TOKENS_TOO_MANY, 409),
        (Reason.NOT_SUPPORTED, 501),
        (Reason.TOKEN_NOT_ACCEPTED, 501),
    ],
)
@pytest.mark.parametrize("call", [name for name in CALLS if name not in STANDARD])
def test_a_refusal_has_its_status_and_reason(call, reason, status):
    reply, office, server = served(CALLS[call], Refusal(reason, "that is why"))
    assert (reply.status, told(reply, call), len(office.asked)) == (status, reason.value, 1)
    assert json.loads(reply.body)["detail"] == "that is why"
    assert "Retry-After" not in reply.headers
    assert server.line.open
    # The office has written a line, but for who only asks.
    assert len(server.lines) == (call == "list")


@pytest.mark.parametrize("call", STANDARD)
def test_a_refusal_in_the_standards_form(call):
    refusal = Refusal(Reason.CALLER_NOT_ALLOWED, "that is why")
    reply, _, server = served(CALLS[call], refusal)
    assert (reply.status, told(reply, call)) == (403, "unauthorized_client")
    assert json.loads(reply.body)["error_description"] == "that is why"
    assert len(server.lines) == (call == "introspect")


def test_who_asks_too_often_is_told_when_to_come_again(site):
    for _ in range(3):
        site.issue()
    reply = site.ask("POST", "/tokens", ALICE)
    assert (reply.status, told(reply, ""), reply.headers["Retry-After"]) == (
        429,
        "rate_exceeded",
        "20",
    )
    assert len(site.lines) == 4
    site.clock.advance(20)
    site.issue()


@pytest.mark.parametrize("what", [ALICE, {"issuer": NAME}, {"issuer": NAME, "jti": "one"}])
def test_and_so_is_who_revokes_too_often(signing, what):
    for _ in range(3):
        assert signing.ask("POST", "/tokens/revoke", what).status == 200
    reply = signing.ask("POST", "/tokens/revoke", what)
    assert (reply.status, told(reply, ""), reply.headers["Retry-After"]) == (
        429,
        "rate_exceeded",
        "20",
    )
    assert len(signing.lines) == 4
    assert "verdict=rejected reason=rate_exceeded front_end=http caller=web" in signing.lines[-1]
    signing.issue()  # which is counted apart
    signing.clock.advance(20)
    assert signing.ask("POST", "/tokens/revoke", what).status == 200


def test_a_user_who_has_too_many_gets_no_other(site):
    site.fill()
    reply = site.ask("POST", "/tokens", ALICE)
    assert (reply.status, told(reply, "")) == (409, "tokens_too_many")
    assert "Retry-After" not in reply.headers
    assert "revoke some" in json.loads(reply.body)["detail"]
    (line,) = site.lines
    assert "operation=issue_token verdict=rejected reason=tokens_too_many" in line
    assert site.server.line.open
    listed = json.loads(site.ask("GET", "/tokens?jid=alice%40example.org").body)["tokens"]
    assert len(listed) == MOST_LIVE
    assert site.ask("DELETE", f"/tokens/{listed[0]['id']}").status == 204
    site.issue()
    assert site.ask("POST", "/tokens", ALICE).status == 409


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"jid": "alice@example.net"}, 403),
        ({"jid": "admin@example.org"}, 403),
        ({"ttl": 3601}, 403),
        ({"uses": 6}, 403),
        ({"uses": "any"}, 403),
        ({"jid": "alice"}, 400),
        ({"jid": "a b@example.org"}, 400),
    ],
)
def test_a_client_gets_nothing_beyond_its_grant(site, more, status):
    reply = site.ask("POST", "/tokens", ALICE | more)
    assert reply.status == status
    told(reply, "")
    assert len(site.lines + site.server.lines) == 1
    assert site.server.line.open


def test_a_refused_list_has_its_line_too(site):
    assert site.ask("GET", "/tokens?jid=alice%40example.net").status == 403
    assert site.lines == []
    (line,) = site.server.lines
    assert "operation=tokens jid=- checker=- verdict=rejected reason=caller_not_allowed" in line


@each_call
@pytest.mark.parametrize(
    ("outage", "reason"),
    [
        (StoreUnavailable("was lost"), "state_unavailable"),
        (KeysUnavailable("its keys are being fetched", Deferred), "keys_unavailable"),
    ],
)
def test_an_outage_is_503_with_a_time_to_come_again(call, outage, reason):
    reply, _, server = served(CALLS[call], outage)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert told(reply, call) == ("temporarily_unavailable" if call in STANDARD else reason)
    assert server.line.open
    assert server.lines == []


def test_nothing_is_issued_while_the_store_is_away(site):
    site.ledger.down = True
    assert site.ask("POST", "/tokens", ALICE).status == 503
    (line,) = site.lines
    assert "verdict=unavailable reason=state_unavailable" in line


@each_call
def test_where_nothing_keeps_tokens_it_is_501(call):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(SITE,), office=None)
    reply = server.ask(ask(*CALLS[call]))
    assert reply.status == 501
    assert b"no checker accepts temporary tokens" in reply.body
    assert told(reply, call) == ("server_error" if call in STANDARD else "not_supported")
    assert "reason=not_supported" in server.lines[0]


@each_call
def test_a_fault_of_the_office_is_503_and_logged(call, events):
    reply, _, server = served(CALLS[call], ValueError(PASSWORD))
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    expected = "temporarily_unavailable" if call in STANDARD else "internal_error"
    assert told(reply, call) == expected
    assert server.line.open
    (event,) = [event for event in events if "log_failure" in event]
    assert event["log_format"] == "an HTTP call failed"


@each_call
@pytest.mark.parametrize(("own", "seconds"), [(2.0, 2.0), (None, 8.0)])
def test_at_the_deadline_it_is_503_and_the_office_is_told(call, own, seconds):
    cancelled = []
    waiting = Deferred(cancelled.append)
    office = ScriptedOffice(waiting)
    client = replace(SITE, deadline=own)
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(client,), office=office)
    server.send(ask(*CALLS[call]))
    server.clock.advance(seconds - 0.25)
    assert (server.answers(), cancelled) == ([], [])
    server.clock.advance(0.25)
    reply = server.answer()
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    expected = "temporarily_unavailable" if call in STANDARD else "deadline_passed"
    assert told(reply, call) == expected
    assert cancelled == [waiting]
    assert server.line.open
    assert server.lines == []


def test_an_office_that_does_not_end_at_the_deadline_is_answered_for_once(events):
    class Stubborn(ScriptedOffice):
        async def list(self, *_):
            try:
                await Deferred()
            except BaseException:
                raise StoreUnavailable("late") from None

    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(SITE,), office=Stubborn())
    server.send(ask(*CALLS["list"]))
    server.clock.advance(2)
    assert json.loads(server.answer().body)["reason"] == "deadline_passed"
    assert [event for event in events if "log_failure" in event] == []


def test_an_answer_in_time_ends_the_deadline():
    waiting = Deferred()
    office = ScriptedOffice(waiting)
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(SITE,), office=office)
    server.send(ask(*CALLS["list"]))
    waiting.callback(())
    assert server.answer().status == 200
    server.clock.advance(2)
    assert server.answers() == []


@pytest.mark.parametrize("late", [(), StoreUnavailable("was lost"), RuntimeError("no")])
def test_a_caller_who_left_is_not_answered(late, events):
    waiting = Deferred()
    office = ScriptedOffice(waiting)
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(SITE,), office=office)
    server.send(ask(*CALLS["list"]))
    server.leave()
    waiting.errback(late) if isinstance(late, Exception) else waiting.callback(late)
    assert server.answers() == []
    failures = [event for event in events if "log_failure" in event]
    assert len(failures) == isinstance(late, RuntimeError)


# --- what the office is asked ---------------------------------------------------------------------


def test_the_office_is_asked_with_the_clients_grant_and_the_calls_id():
    _, office, _ = served(CALLS["revoke one"])
    assert office.asked == [("revoke", SITE.grant, ID, "http", "boot-1")]
    _, office, _ = served(("POST", "/tokens/revoke", {"issuer": "x", "before": 7}))
    assert office.asked == [("revoke_signed", SITE.grant, "x", None, 7.0, "http", "boot-1")]
    _, office, _ = served(("POST", "/revoke", {"token": "ü", "username": "a@b"}))
    assert office.asked == [("revoke_token", SITE.grant, "ü".encode(), "a@b", "http", "boot-1")]


def test_what_is_asked_does_not_show_itself():
    office = ScriptedOffice()
    asked = http_tokens.Question(
        office, SITE.grant, "1", "", b"", PASSWORD.encode(), "http", None, None, "", lambda: False
    )  # fmt: skip
    assert PASSWORD not in repr(asked)


def test_who_is_asked_about_is_prepared_in_the_answer():
    reply, _, _ = served(("GET", "/tokens?jid=ALICE%40Example.ORG"), ())
    assert json.loads(reply.body) == {"jid": str(JID("alice", "example.org")), "tokens": []}
