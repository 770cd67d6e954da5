"""The paths below `/oauth/` of `listen.http`: whom they know, and what Prosody and ejabberd are
told."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from urllib.parse import urlencode

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.frontends import http_oauth
from authbridge.frontends.clients import Client
from authbridge.frontends.http_tickets import LIFE
from authbridge.log import EventLog, LogSettings
from authbridge.model import JID, Identity, Reason
from authbridge.secret import Secret
from tests.doubles import ScriptedChecker
from tests.frontends.http_client import WALL, Line, Server
from tests.knowing import TOKEN, Knowing, ManyDomains

MAY = frozenset({"oauth"})
HERE = (ipaddress.ip_network("127.0.0.0/8"),)
DOMAINS = frozenset({"example.org"})
EJABBERD = Client("ejabberd", Secret(b"down-the-hole"), MAY, DOMAINS, deadline=2.0)
PROSODY = Client("prosody", None, MAY, DOMAINS, HERE)
BASIC = b"Authorization: Basic " + base64.b64encode(b"ejabberd:down-the-hole") + b"\r\n"
FORM, JSON = b"application/x-www-form-urlencoded; charset=utf-8", b"application/json"
GRANT = {"grant_type": "password", "username": "alice", "password": "wonderland"}
IN_FORM = {"client_id": "ejabberd", "client_secret": "down-the-hole", "scope": "openid"}
AT = "?server=example.org"
ELSEWHERE = IPv4Address("TCP", "192.0.2.7", 50000)
SECRETS = ("wonderland", "down-the-hole", TOKEN, "abto1_")
DOWN = model.unavailable(Reason.DIRECTORY_SILENT)


def server(checker=None, *clients, peer=None, **more):
    checker = checker or ScriptedChecker(model.PASSWORD_MATCHES)
    line = Line(peer=peer)
    first, *others = clients or (PROSODY, EJABBERD)
    return Server(checker, client=first, clients=tuple(others), line=line, **more)


def post(path, body, headers=b"", content=None):
    form = path.startswith("/oauth/token")
    if isinstance(body, dict):
        body = (urlencode(body) if form else json.dumps(body)).encode()
    content = content or (FORM if form else JSON)
    return (
        b"POST %b HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n%bContent-Type: %b\r\n"
        b"Content-Length: %d\r\n\r\n%b"
    ) % (path.encode(), headers, content, len(body), body)


def log_in(there, form=GRANT, headers=b"", at=AT):
    return there.ask(post("/oauth/token" + at, form, headers))


def userinfo(there, token=TOKEN, at=AT):
    headers = b"" if token is None else b"Authorization: Bearer %b\r\n" % token.encode()
    head = b"GET /oauth/userinfo%b HTTP/1.1\r\nHost: h\r\n%b\r\n"
    return there.ask(head % (at.encode(), headers))


def look_up(there, token=TOKEN, headers=b"", body=None):
    return there.ask(post("/oauth/lookup", body or {"token": token}, headers))


def ticket(there, **more):
    reply = log_in(there, **more)
    assert reply.status == 200
    return json.loads(reply.body)["access_token"]


def line_of(there):
    """The last line of the log."""
    line = there.lines[-1]
    assert not any(secret in line for secret in SECRETS)
    return re.sub(r"^\S+ login id=boot-[0-9a-f]+ | ms=[0-9.]+", "", line)


def reason(there):
    return re.search(r"reason=(\w+)", line_of(there))[1]


def error(reply):
    return json.loads(reply.body)["error"]


# --- a password -----------------------------------------------------------------------------------


def test_a_right_password_gets_a_ticket_and_the_ticket_the_user():
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    there = server(checker)
    reply = log_in(there)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    assert (reply.headers["Cache-Control"], reply.headers["Pragma"]) == ("no-store", "no-cache")
    said = json.loads(reply.body)
    assert said.pop("access_token").startswith("abto1_")
    assert said == {"token_type": "bearer", "expires_in": 30}
    assert checker.asked == [("check_password", "alice@example.org", b"wonderland")]
    assert line_of(there) == (
        "front_end=http operation=check_password jid=alice@example.org checker=c0 "
        "verdict=accepted reason=password_matches caller=prosody"
    )
    reply = userinfo(there, json.loads(reply.body)["access_token"])
    assert (reply.status, json.loads(reply.body)) == (
        200,
        {"sub": "alice@example.org", "preferred_username": "alice"},
    )
    assert line_of(there) == (
        "front_end=http operation=oauth jid=alice@example.org checker=- "
        "verdict=accepted reason=token_valid caller=prosody"
    )
    assert len(checker.asked) == 1
    assert there.line.open


def test_a_ticket_is_good_once_here_and_for_half_a_minute():
    there = server(None, Client("p", None, MAY, frozenset({"*"}), HERE))
    good = ticket(there)
    assert userinfo(there, good).status == 200
    assert (userinfo(there, good).status, reason(there)) == (401, "token_unknown")
    late = ticket(there)
    there.clock.advance(LIFE)
    assert userinfo(there, late).status == 401
    foreign = ticket(there)
    assert userinfo(there, foreign, "?server=example.net").status == 401
    assert reason(there) == "token_user_wrong"
    assert userinfo(there, foreign).status == 401  # it was shown where it does not belong


def test_a_wrong_password_is_an_invalid_grant_whatever_the_reason():
    bodies = set()
    for why in (Reason.PASSWORD_MISMATCH, Reason.USER_UNKNOWN, Reason.ACCOUNT_LOCKED):
        there = server(ScriptedChecker(model.rejected(why)))
        reply = log_in(there)
        assert (reply.status, error(reply), reason(there)) == (400, "invalid_grant", why.value)
        assert there.line.open
        bodies.add(reply.body)
    assert len(bodies) == 1


def test_an_outage_is_no_wrong_password():
    there = server(ScriptedChecker(DOWN))
    reply = log_in(there)
    assert (reply.status, error(reply)) == (503, "temporarily_unavailable")
    assert reply.headers["Retry-After"] == "5"


def test_a_login_that_is_late_is_an_outage():
    waiting: Deferred[model.Outcome] = Deferred()
    there = server(ScriptedChecker(waiting), EJABBERD)
    there.send(post("/oauth/token" + AT, GRANT | IN_FORM))
    there.house.clock.advance(1.9)
    assert there.answers() == []
    there.house.clock.advance(0.1)
    assert there.answer().status == 503


def test_prosody_takes_the_escapes_from_a_name_and_puts_them_in_again():
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    there = server(checker)
    for name, local in (
        ("o'brien", r"o\27brien"),
        ("a@b", r"a\40b"),
        (r"c:\27", r"c\3a\5c27"),
        ("älice", "älice"),
        ("d\\x", "d\\x"),
    ):
        good = ticket(there, form=GRANT | {"username": name})
        assert checker.asked[-1][1] == f"{local}@example.org"
        said = json.loads(userinfo(there, good).body)
        assert said == {"sub": f"{local}@example.org", "preferred_username": name}


def test_a_name_that_would_come_out_as_another_is_refused():
    checker = ScriptedChecker(model.PASSWORD_MATCHES)
    there = server(checker)
    for name in (
        " alice",
        "alice ",
        "a\x00b",
        "x" * 1024,
        "x" * 1020 + r"\27",  # too long with its backslash escaped, and without it somebody else
        # nodeprep makes of these what Prosody would not have sent.
        r"a\5Cb",
        r"o\2Fx",
        "o\N{FULLWIDTH REVERSE SOLIDUS}27brien",
    ):
        reply = log_in(there, GRANT | {"username": name})
        assert (reply.status, reason(there)) == (400, "user_malformed")
    body = urlencode(GRANT).encode().replace(b"alice", b"%e4lice")
    assert there.ask(post("/oauth/token" + AT, body)).status == 400
    assert checker.asked == []


def test_a_grant_that_is_none_says_what_is_wrong():
    there = server()
    for form, expected in (
        (GRANT | {"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "invalid_request"),
        (GRANT | {"x": "y"}, "invalid_request"),
    ):
        caller = there.caller()
        reply = caller.ask(post("/oauth/token" + AT, form))
        assert (reply.status, error(reply), reason(there)) == (400, expected, "request_malformed")
        assert not caller.line.open
    for at in ("", "?server=", "?domain=example.org", AT + "&server=b"):
        assert there.caller().ask(post("/oauth/token" + at, GRANT)).status == 400


# --- who asks -------------------------------------------------------------------------------------


def test_a_client_shows_its_secret_in_the_header_or_in_the_form():
    there = server(peer=ELSEWHERE)
    for form, headers in ((GRANT, BASIC), (GRANT | IN_FORM, b"")):
        assert log_in(there, form, headers).status == 200
        assert "caller=ejabberd" in line_of(there)
    caller = there.caller(Line(peer=ELSEWHERE))
    reply = log_in(caller, GRANT | IN_FORM, BASIC)
    assert (reply.status, error(reply)) == (400, "invalid_request")


def test_who_is_not_known_gets_nothing():
    there = server(peer=ELSEWHERE)
    wrong = b"Authorization: Basic " + base64.b64encode(b"ejabberd:wrong") + b"\r\n"
    for octets in (
        post("/oauth/token" + AT, GRANT),
        post("/oauth/token" + AT, GRANT, wrong),
        post("/oauth/token" + AT, GRANT | {"client_id": "ejabberd"}),
        post("/oauth/token" + AT, GRANT | {"client_id": "ejabberd", "client_secret": ""}),
        post("/oauth/token" + AT, GRANT | {"client_id": "prosody", "client_secret": ""}),
        post("/oauth/token" + AT, GRANT | {"client_id": "ejabberd", "client_secret": "wrong"}),
        post("/oauth/lookup", {"token": TOKEN}),
        post("/oauth/lookup", {"token": TOKEN}, wrong),
        *(post(path.decode(), {}) for path in http_oauth.OTHERS),
    ):
        caller = there.caller(Line(peer=ELSEWHERE))
        reply = caller.ask(octets)
        assert (reply.status, error(reply), reason(there)) == (
            401,
            "invalid_client",
            "caller_unknown",
        )
        assert reply.headers["WWW-Authenticate"].startswith("Basic")
        assert not caller.line.open
        assert "caller=192.0.2.7" in line_of(there)


def test_the_secret_of_a_client_with_an_address_is_none():
    there = server(None, PROSODY)
    reply = log_in(there, GRANT | {"client_id": "prosody", "client_secret": ""})
    assert reply.status == 401


def test_userinfo_is_for_peers_and_others_do_not_find_it():
    there = server(Knowing(), peer=ELSEWHERE)
    reply = userinfo(there)
    assert (reply.status, reply.body, reason(there)) == (404, b"no such path", "caller_not_a_peer")
    there = server(Knowing(), EJABBERD)
    assert userinfo(there).status == 404


def test_anonymous_is_nobody_here():
    there = server(Knowing(), EJABBERD, anonymous=True)
    assert log_in(there).status == 401
    assert userinfo(there.caller()).status == 404
    assert look_up(there.caller()).status == 401


def test_a_client_needs_the_verb_and_the_domain():
    mute = Client("ejabberd", EJABBERD.secret, frozenset({"tokens"}), DOMAINS)
    for client, at in ((mute, AT), (EJABBERD, "?server=example.net")):
        there = server(Knowing(), client)
        reply = log_in(there, GRANT, BASIC, at)
        assert (reply.status, error(reply)) == (403, "unauthorized_client")
        assert reason(there) == "caller_not_allowed"
        assert "caller=ejabberd" in line_of(there)
    there = server(Knowing(), mute)
    assert look_up(there, headers=BASIC).status == 403
    for path in http_oauth.OTHERS:
        assert there.caller().ask(post(path.decode(), {}, BASIC)).status == 403
    there = server(Knowing(), PROSODY)
    assert userinfo(there, at="?server=example.net").status == 403


def test_a_client_id_without_a_secret_is_one_of_those_at_the_address():
    other = Client("other", None, MAY, frozenset({"example.net"}), HERE)
    there = server(None, other, PROSODY)
    assert log_in(there, GRANT | {"client_id": "prosody"}).status == 200
    assert "caller=prosody" in line_of(there)
    assert log_in(there, GRANT).status == 200
    assert "caller=prosody" in line_of(there)
    assert log_in(there.caller(), GRANT | {"client_id": "other"}).status == 403
    assert log_in(there.caller(), GRANT | {"client_id": "nobody"}).status == 401


def test_the_address_of_the_user_is_noted_of_who_has_a_secret():
    there = server(Knowing())
    forwarded = b"X-Forwarded-For: 198.51.100.9\r\n"
    log_in(there, GRANT, BASIC + forwarded)
    assert line_of(there).endswith(" address=198.51.100.9")
    look_up(there, headers=BASIC + forwarded)
    assert line_of(there).endswith(" address=198.51.100.9")
    log_in(there, GRANT, forwarded)
    assert line_of(there).endswith(" caller=prosody")


def test_the_method_and_the_type_have_to_be_right():
    there = server()
    for octets, status, more in (
        (b"GET /oauth/token?server=a HTTP/1.1\r\nHost: h\r\n\r\n", 405, "POST"),
        (b"GET /oauth/lookup HTTP/1.1\r\nHost: h\r\n\r\n", 405, "POST"),
        (post("/oauth/userinfo" + AT, {}), 405, "GET"),
        (post("/oauth/token" + AT, GRANT, content=JSON), 415, None),
        (post("/oauth/lookup", {"token": "x"}, content=FORM), 415, None),
        (post("/oauth/lookup?x=y", {"token": "x"}), 400, None),
    ):
        reply = there.caller().ask(octets)
        assert (reply.status, reply.headers.get("Allow")) == (status, more)
        assert error(reply) == "invalid_request"
        assert reason(there) == "request_malformed"


def test_no_other_path_is_there():
    there = server()
    for path in ("/oauth", "/oauth/", "/oauth/revoke", "/oauth/token/"):
        assert there.caller().ask(post(path, {})).status == 404


# --- a token at Prosody ---------------------------------------------------------------------------


def test_a_token_tells_whose_it_is_and_is_judged():
    checker = Knowing()
    there = server(checker)
    reply = userinfo(there)
    assert (reply.status, json.loads(reply.body)["preferred_username"]) == (200, "alice")
    assert [asked[0] for asked in checker.asked] == ["identify", "check_password"]
    assert line_of(there) == (
        "front_end=http operation=oauth jid=alice@example.org checker=c0 "
        "verdict=accepted reason=token_valid caller=prosody"
    )


def test_a_token_that_is_no_good_is_invalid_whatever_the_reason():
    bodies = set()
    for checker in (
        Knowing(model.rejected(Reason.TOKEN_EXPIRED)),
        Knowing(answer=model.rejected(Reason.TOKEN_USED)),
        Knowing(model.NOT_A_TOKEN),
        Knowing(Identity(JID("alice", "example.net"), None)),
        Knowing(Identity(JID(r"a\5cb", "example.org"), None)),
        ScriptedChecker(model.PASSWORD_MATCHES),
    ):
        there = server(checker)
        reply = userinfo(there)
        assert (reply.status, json.loads(reply.body)) == (401, {"status": "invalid_token"})
        assert reply.headers["WWW-Authenticate"].startswith("Bearer ")
        assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
        assert there.line.open
        bodies.add(reply.body)
    assert len(bodies) == 1


def test_a_token_for_another_domain_is_not_used_up():
    checker = Knowing(Identity(JID("alice", "example.net"), None))
    there = server(checker)
    userinfo(there)
    assert [asked[0] for asked in checker.asked] == ["identify"]
    assert reason(there) == "token_user_wrong"


def test_an_outage_is_no_invalid_token():
    for checker in (Knowing(DOWN), Knowing(answer=DOWN)):
        there = server(checker)
        reply = userinfo(there)
        assert (reply.status, json.loads(reply.body)) == (503, {"status": "server_error"})
        assert reply.headers["Retry-After"] == "5"


def test_without_a_token_one_is_asked_for():
    there = server(Knowing())
    for headers in (b"", BASIC, b"Authorization: Bearer a b\r\n", b"Authorization: Bearer\r\n"):
        reply = there.ask(
            b"GET /oauth/userinfo?server=example.org HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n"
        )
        assert (reply.status, json.loads(reply.body)) == (401, {"status": "invalid_token"})
        assert reply.headers["WWW-Authenticate"] == 'Bearer realm="authbridge"'
        assert reason(there) == "credentials_missing"
        assert there.line.open


def test_a_domain_that_is_none_is_a_bad_request():
    there = server(Knowing(), Client("p", None, MAY, frozenset({"*"}), HERE))
    assert userinfo(there, at="?server=a..b").status == 400


def test_a_fault_of_ours_is_an_outage(events):
    there = server(Knowing())
    there.tickets.issue = None
    assert log_in(there).status == 503
    assert [event for event in events if event["log_level"].name == "critical"]
    text = []
    for event in events:
        EventLog(LogSettings(), text.append)(event)
    assert not any(secret in line for line in text for secret in SECRETS)


# --- a token at ejabberd --------------------------------------------------------------------------


def house(**domains):
    return ManyDomains(**domains)


def test_a_token_is_looked_up_and_judged():
    checker = Knowing()
    there = server(checker, EJABBERD)
    reply = look_up(there, headers=BASIC)
    assert reply.status == 200
    assert json.loads(reply.body) == {
        "user": "alice@example.org",
        "scope": ["sasl_auth"],
        "expire": 1_800_000_040,
    }
    assert [asked[0] for asked in checker.asked] == ["identify", "check_password"]
    assert line_of(there) == (
        "front_end=http operation=oauth jid=alice@example.org checker=c0 "
        "verdict=accepted reason=token_valid caller=ejabberd"
    )


def test_an_answer_is_relied_on_for_a_minute_at_most():
    alice = JID("alice", "example.org")
    for expires, expected in (
        (WALL + 3600, 60),
        (None, 60),
        (WALL + 59.9, 59),
        (WALL + 0.5, 2),
        (WALL - 20, 2),  # good all the same: clocks differ
    ):
        there = server(Knowing(Identity(alice, expires)))
        assert json.loads(look_up(there).body)["expire"] == WALL + expected


def test_a_token_that_is_no_good_is_nobodys():
    for checker in (
        Knowing(model.rejected(Reason.TOKEN_EXPIRED)),
        Knowing(answer=model.rejected(Reason.TOKEN_USED)),
        Knowing(model.NOT_A_TOKEN),
        ScriptedChecker(model.PASSWORD_MATCHES),
    ):
        there = server(checker)
        reply = look_up(there)
        assert (reply.status, reply.body) == (404, b"{}")
        assert there.line.open
    there = server(Knowing(mine=b""))
    assert (look_up(there, "").status, reason(there)) == (404, "password_blank")


def test_an_outage_is_not_nobodys():
    for checker in (Knowing(DOWN), Knowing(answer=DOWN)):
        reply = look_up(server(checker))
        assert (reply.status, error(reply)) == (503, "temporarily_unavailable")
        assert reply.headers["Retry-After"] == "5"


def test_a_ticket_is_nothing_that_can_be_looked_up():
    there = server(ScriptedChecker(model.PASSWORD_MATCHES))
    good = ticket(there)
    assert look_up(there, good).status == 404
    assert userinfo(there, good).status == 200


def test_a_token_is_looked_for_in_the_domains_of_the_client():
    here, there_, other = Knowing(), Knowing(model.NOT_A_TOKEN), Knowing(mine=b"other")
    many = house(example_org=here, example_net=there_, example_com=other)
    client = Client("all", None, MAY, frozenset({"example.org", "example.net", "x.org"}), HERE)
    there = server(None, client, house=many)
    assert json.loads(look_up(there).body)["user"] == "alice@example.org"
    assert [asked[1] for asked in there_.asked] == ["example.net"]
    assert other.asked == []
    there = server(None, Client("all", None, MAY, frozenset({"*"}), HERE), house=many)
    assert look_up(there).status == 404  # it is good in two
    assert reason(there) == "user_ambiguous"
    assert other.asked != []


def test_several_clients_at_an_address_have_the_domains_of_all():
    many = house(example_org=Knowing(model.NOT_A_TOKEN), example_net=Knowing())
    other = Client("other", None, MAY, frozenset({"example.net"}), HERE)
    there = server(None, PROSODY, other, house=many)
    assert json.loads(look_up(there).body)["user"] == "alice@example.net"


def test_a_domain_that_the_rule_for_all_others_serves_is_looked_in():
    many = house(any=Knowing())
    there = server(None, PROSODY, house=many)
    assert json.loads(look_up(there).body)["user"] == "alice@example.org"
    many = house(any=Knowing(Identity(JID("alice", "example.com"), None)))
    there = server(None, Client("all", None, MAY, frozenset({"*"}), HERE), house=many)
    assert json.loads(look_up(there).body)["user"] == "alice@example.com"


def test_a_token_of_a_domain_that_is_not_the_clients_is_nobodys_and_not_used_up():
    checker = Knowing(Identity(JID("alice", "example.net"), None))
    there = server(None, PROSODY, house=house(example_org=checker, example_net=checker))
    assert (look_up(there).status, reason(there)) == (404, "caller_not_allowed")
    assert [asked[0] for asked in checker.asked] == ["identify"]


def test_what_is_no_look_up_is_refused():
    for body in (b"", b"{}", b'{"token":1}', b'{"token":"x","user":"y"}'):
        there = server(Knowing())
        reply = there.ask(post("/oauth/lookup", body))
        assert (reply.status, error(reply)) == (400, "invalid_request")


def test_what_else_ejabberd_would_keep_is_not_supported():
    there = server(Knowing())
    for path in http_oauth.OTHERS:
        reply = there.caller().ask(post(path.decode(), {"token": TOKEN, "user": "a@b"}))
        assert (reply.status, error(reply), reason(there)) == (501, "server_error", "not_supported")


@pytest.mark.parametrize("path", sorted(http_oauth.PATHS))
def test_no_secret_gets_into_the_log(path, events):
    there = server(Knowing())
    for octets in (
        post(path.decode() + AT, GRANT, BASIC),
        post(path.decode(), {"token": TOKEN}, BASIC),
        b"GET %b%b HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\n\r\n"
        % (path, AT.encode(), TOKEN.encode()),
    ):
        there.caller().ask(octets)
        line_of(there)
    text = []
    for event in events:
        EventLog(LogSettings(), text.append)(event)
    assert not any(secret in line for line in text for secret in SECRETS)
