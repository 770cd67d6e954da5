"""The OpenAPI document of `listen.http`: it is one, it is whole, and the answers are as it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from ipaddress import ip_network
from urllib.parse import urlencode

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from authbridge import __version__, model
from authbridge.frontends import http_logins, http_oauth, openapi
from authbridge.frontends.clients import Client
from authbridge.frontends.http_cookie import CookieSite
from authbridge.frontends.http_tokens import ONE_TOKEN, PATHS
from authbridge.model import Reason
from authbridge.outbound.bosh import BoshRefused
from authbridge.prebind import Prebind
from authbridge.sessions.shown import CannotTell, Nobody
from authbridge.token_office.grants import Refusal
from authbridge.wire import oauth_api
from authbridge.wire.http import BadRequest
from tests.doubles import ScriptedChecker, ScriptedRegistry
from tests.frontends.http_client import ALICE as USER
from tests.frontends.http_client import CLIENT, LOGIN, SECRET, Server
from tests.frontends.offices import ALICE, FORM, JSON, SITE, ScriptedOffice, Site, ask
from tests.frontends.pages import COOKIE, ScriptedBosh, ScriptedSession
from tests.frontends.pages import SITE as OF_PAGES
from tests.knowing import Knowing

DOCUMENT = openapi.document()
METHODS = {"get", "head", "post", "put", "delete"}
ID = "/tokens/{id}"


def test_it_is_openapi_3_1():
    validate(json.loads(json.dumps(DOCUMENT)))
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__


def test_every_path_and_method_is_documented_and_there_are_no_others():
    documented = {
        (path, method.upper())
        for path, item in DOCUMENT["paths"].items()
        for method in item.keys() & METHODS
    }
    there = {
        (path.decode(), method.decode())
        for paths in (http_logins.PATHS, PATHS, {ID.encode(): ONE_TOKEN})
        for path, found in paths.items()
        for method in found.methods
    }
    there |= {(path.decode(), method.decode()) for path, (method, _) in http_oauth.PATHS.items()}
    there.add((openapi.PATH.decode(), "GET"))
    assert documented == there
    assert all(item.keys() <= METHODS for item in DOCUMENT["paths"].values())


def test_every_operation_has_a_name_of_its_own_and_a_summary():
    operations = [one for item in DOCUMENT["paths"].values() for one in item.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert all(one["summary"].endswith((".", "?")) for one in operations)


def test_every_schema_is_used():
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert used == DOCUMENT["components"]["schemas"].keys()


def test_it_is_served_to_anybody():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(ask("GET", "/openapi.json", headers=b""))
    assert (reply.status, json.loads(reply.body)) == (200, DOCUMENT)
    assert reply.headers["Content-Type"] == "application/json"
    server.send(ask("HEAD", "/openapi.json", headers=b""))
    assert server.answer(head=True).headers["Content-Length"] == str(len(reply.body))
    assert server.lines == []
    assert server.line.open


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_only_read(method):
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    reply = server.ask(ask(method, "/openapi.json"))
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


def test_a_foreign_host_does_not_get_it():
    server = Server(ScriptedChecker(model.PASSWORD_MATCHES))
    octets = ask("GET", "/openapi.json", headers=b"").replace(b"Host: h", b"Host: evil.example")
    assert server.ask(octets).status == 421


# --- the answers ----------------------------------------------------------------------------------


def validator(schema):
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def check(method, path, reply):
    """Whether this is an answer that the document has."""
    path = path.partition("?")[0]
    if path not in DOCUMENT["paths"]:
        path = ID
    documented = DOCUMENT["paths"][path][method.lower()]["responses"][str(reply.status)]
    for name in documented.get("headers", ()):
        assert name in reply.headers
    if "content" not in documented:
        assert reply.body == b""
        return
    kind = reply.headers["Content-Type"].partition(";")[0]
    body = reply.body.decode() if kind == "text/plain" else json.loads(reply.body)
    validator(documented["content"][kind]["schema"]).validate(body)


def check_body(path, body):
    (content,) = DOCUMENT["paths"][path]["post"]["requestBody"]["content"].values()
    return validator(content["schema"]).is_valid(body)


def ask_and_check(site, method, path, body=None, **more):
    reply = site.ask(method, path, body, **more)
    check(method, path, reply)
    if method == "POST" and isinstance(body, dict) and reply.status < 300:
        assert check_body(path, body)
    return reply


def test_what_is_done_is_answered_as_it_says():
    site = Site(replace(SITE, max_uses=None))
    full = ALICE | {"ttl": "1h", "uses": "any", "device": "d", "note": "n"}
    found = [json.loads(ask_and_check(site, "POST", "/tokens", one).body) for one in (ALICE, full)]
    ask_and_check(site, "GET", "/tokens?jid=alice%40example.org")
    for token in (found[0]["password"], "nothing"):
        ask_and_check(site, "POST", "/introspect", {"token": token})
    ask_and_check(site, "POST", "/revoke", {"token": found[0]["password"], "username": "a@b"})
    assert ask_and_check(site, "DELETE", f"/tokens/{found[1]['id']}").status == 204
    assert ask_and_check(site, "POST", "/tokens/revoke", ALICE).status == 200
    for path in ("/tokens", "/tokens/revoke"):
        for _ in range(3):
            last = ask_and_check(site, "POST", path, ALICE)
        assert last.status == 429


def test_a_user_who_has_too_many_is_answered_as_it_says():
    site = Site()
    site.fill()
    assert ask_and_check(site, "POST", "/tokens", ALICE).status == 409
    ask_and_check(site, "GET", "/tokens?jid=alice%40example.org")


def test_a_session_is_answered_as_it_says():
    site = Site()
    for body in (ALICE, ALICE | {"resource": "web"}):
        assert ask_and_check(site, "POST", "/prebind", body).status == 200
    for more, status in (({"jid": "admin@example.org"}, 403), ({"jid": "alice@example.net"}, 501)):
        assert ask_and_check(site, "POST", "/prebind", ALICE | more).status == status
    site.bosh.answer = BoshRefused("not-authorized")
    assert ask_and_check(site, "POST", "/prebind", ALICE).status == 503
    assert ask_and_check(site, "POST", "/prebind", ALICE).status == 429


CALLS = [
    ("POST", "/tokens", ALICE),
    ("POST", "/prebind", ALICE),
    ("GET", "/tokens?jid=alice%40example.org"),
    ("DELETE", f"/tokens/{'0' * 32}"),
    ("POST", "/tokens/revoke", ALICE),
    ("POST", "/introspect", {"token": "x"}),
    ("POST", "/revoke", {"token": "x"}),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_refused_is_answered_as_it_says(call):
    site = Site()
    assert ask_and_check(site, *call, headers=b"").status == 401
    site.ledger.down = True
    assert ask_and_check(site, *call).status in (200, 503)
    if call[0] == "POST":
        assert ask_and_check(site, *call[:2], b"").status == 400
        assert ask_and_check(site, *call[:2], b"", content=b"text/plain").status == 415
    for client, office in (
        (replace(SITE, may=frozenset()), ScriptedOffice()),
        (SITE, ScriptedOffice(Refusal(Reason.TOKEN_NEVER, "no"))),
        (SITE, ScriptedOffice(Refusal(Reason.NOT_SUPPORTED, "no"))),
        (SITE, ScriptedOffice(RuntimeError())),
        (SITE, None),
    ):
        server = Server(ScriptedChecker(model.PASSWORD_MATCHES), clients=(client,), office=office)
        reply = server.ask(ask(*call))
        assert reply.status >= 400
        check(call[0], call[1], reply)


def test_a_token_that_is_not_there_is_answered_as_it_says():
    assert ask_and_check(Site(), "DELETE", f"/tokens/{'0' * 32}").status == 404


@pytest.mark.parametrize(
    ("path", "body", "good"),
    [
        ("/tokens", {}, False),
        ("/tokens", ALICE | {"x": 1}, False),
        ("/tokens", ALICE | {"ttl": 0}, False),
        ("/tokens", ALICE | {"ttl": 1.5}, True),
        ("/tokens", ALICE | {"ttl": "60"}, False),
        ("/tokens", ALICE | {"uses": 0}, False),
        ("/tokens", ALICE | {"uses": "all"}, False),
        ("/tokens", ALICE | {"uses": 1_000_001}, False),
        ("/tokens", ALICE | {"note": "x" * 101}, False),
        ("/tokens", ALICE | {"note": "x" * 100}, True),
        ("/tokens/revoke", {"issuer": "x"}, True),
        ("/tokens/revoke", {"issuer": "x", "jti": "y"}, True),
        ("/tokens/revoke", {"issuer": "x", "before": 1.5}, True),
        ("/tokens/revoke", {"issuer": "x", "jti": "y", "before": 1}, False),
        ("/tokens/revoke", ALICE | {"issuer": "x"}, False),
        ("/prebind", {}, False),
        ("/prebind", ALICE, True),
        ("/prebind", ALICE | {"resource": "web"}, True),
        ("/prebind", ALICE | {"resource": ""}, False),
        ("/prebind", ALICE | {"resource": 1}, False),
        ("/prebind", ALICE | {"ttl": 60}, False),
        ("/introspect", {"token": ""}, False),
        ("/revoke", {"token": "x", "x": "y"}, False),
    ],
)
def test_the_schemas_take_what_the_codec_takes(path, body, good):
    assert check_body(path, body) == good
    office = ScriptedOffice(Refusal(Reason.TOKEN_NEVER, "it was asked"))
    server = Server(
        ScriptedChecker(model.PASSWORD_MATCHES),
        clients=(SITE,),
        office=office,
        prebind=Prebind(office, {"example.org": ScriptedBosh()}, lambda: 0.0),
    )
    assert server.ask(ask("POST", path, body)).status == (403 if good else 400)


LOGINS = [path.decode() for path in http_logins.PATHS]
EVERYTHING = frozenset(path.rpartition("/")[2] for path in LOGINS)
WHOSE = {
    model.PASSWORD_MATCHES: "alice",
    model.rejected(Reason.ACCOUNT_LOCKED): Nobody(Reason.SESSION_UNKNOWN),
    model.unavailable(Reason.DIRECTORY_SILENT): CannotTell(Reason.SITE_FAILED, "answers 500"),
}
"""What is found of a cookie, where this is found of a password."""


@pytest.mark.parametrize(
    ("outcome", "exists"),
    [
        (model.PASSWORD_MATCHES, model.USER_UNKNOWN),
        (model.PASSWORD_MATCHES, model.USER_EXISTS),
        (model.rejected(Reason.ACCOUNT_LOCKED), model.USER_UNKNOWN),
        (model.unavailable(Reason.DIRECTORY_SILENT), model.USER_UNKNOWN),
    ],
)
@pytest.mark.parametrize("headers", [SECRET, SECRET + COOKIE, USER, COOKIE])
@pytest.mark.parametrize("anonymous", [False, True])
def test_logins_are_answered_as_it_says(outcome, exists, headers, anonymous):
    registry = ScriptedRegistry(outcome, exists)
    client = replace(CLIENT, may=EVERYTHING)
    for path in LOGINS:
        for method in DOCUMENT["paths"][path]:
            for parameters in (
                {**LOGIN, "pass": "new"},
                {"user": "alice"},
                {"user": "alice", "server": "example.org"},
                {"server": "example.org"},
            ):
                at = CookieSite("site:www", ScriptedSession(WHOSE[outcome]), OF_PAGES.user)
                server = Server(
                    registry,
                    client=client,
                    anonymous=anonymous,
                    cookie_sites={"example.org": at},
                )
                reply = answer(server, method.upper(), path, parameters, headers)
                if method == "head":
                    assert str(reply.status) in DOCUMENT["paths"][path]["head"]["responses"]
                else:
                    check(method, path, reply)


OAUTH = replace(CLIENT, may=frozenset({"oauth"}))
AT_ADDRESS = Client("peer", None, OAUTH.may, OAUTH.domains, (ip_network("127.0.0.0/8"),))
GRANT = {"grant_type": "password", "username": "alice", "password": "wonderland"}
ASKED_BY_OAUTH = [
    ("POST", "/oauth/token?server=example.org", urlencode(GRANT).encode()),
    ("POST", "/oauth/token?server=example.net", urlencode(GRANT).encode()),
    ("POST", "/oauth/token?server=example.org", b"grant_type=x"),
    ("POST", "/oauth/token", b""),
    ("GET", "/oauth/userinfo?server=example.org", None),
    ("GET", "/oauth/userinfo?server=example.net", None),
    ("GET", "/oauth/userinfo", None),
    ("POST", "/oauth/lookup", b'{"token":"a-token-of-alice"}'),
    ("POST", "/oauth/lookup", b"{}"),
    *(("POST", path.decode(), b"{}") for path in http_oauth.OTHERS),
]


def test_oauth_is_answered_as_it_says():
    bearer = b"Authorization: Bearer a-token-of-alice\r\n"
    statuses = set()
    for outcome in (
        model.TOKEN_VALID,
        model.rejected(Reason.TOKEN_USED),
        model.unavailable(Reason.STATE_UNAVAILABLE),
    ):
        for client in (OAUTH, AT_ADDRESS, replace(OAUTH, may=frozenset())):
            for method, path, body in ASKED_BY_OAUTH:
                form = FORM if path.startswith("/oauth/token") else JSON
                for headers in (SECRET, bearer, b""):
                    for content in (form, b"text/plain"):
                        server = Server(Knowing(answer=outcome), client=client)
                        octets = ask(method, path, body, headers=headers, content=content)
                        reply = server.ask(octets)
                        check(method, path, reply)
                        statuses.add(reply.status)
    assert statuses == {200, 400, 401, 403, 404, 415, 501, 503}


@pytest.mark.parametrize(
    ("path", "body", "good"),
    [
        ("/oauth/token", GRANT, True),
        ("/oauth/token", GRANT | {"client_id": "a", "client_secret": "b", "scope": "c"}, True),
        ("/oauth/token", GRANT | {"client_secret": "b"}, False),
        ("/oauth/token", GRANT | {"grant_type": "implicit"}, False),
        ("/oauth/token", GRANT | {"username": ""}, False),
        ("/oauth/token", GRANT | {"x": "y"}, False),
        ("/oauth/lookup", {"token": "x"}, True),
        ("/oauth/lookup", {}, False),
        ("/oauth/lookup", {"token": 1}, False),
        ("/oauth/lookup", {"token": "x", "user": "y"}, False),
    ],
)
def test_the_schemas_take_what_oauth_takes(path, body, good):
    assert check_body(path, body) == good
    form = path == "/oauth/token"
    octets = (urlencode(body) if form else json.dumps(body)).encode()
    try:
        (oauth_api.read_grant if form else oauth_api.read_lookup)(octets)
    except BadRequest:
        assert not good
    else:
        assert good


def answer(server, method, path, parameters, headers):
    query = "?" + urlencode(parameters)
    if path in ("/auth/basic", "/auth/json"):
        query = "?server=example.org" if "server" in parameters else ""
        octets = b'{"username":"a","password":"b"}' if method == "POST" else None
        server.send(ask(method, path + query, octets, headers=headers))
    elif method == "GET":
        server.send(ask(method, path + query, headers=headers))
    else:
        server.send(ask(method, path, query[1:].encode(), headers=headers))
    return server.answer(head=method == "HEAD")
