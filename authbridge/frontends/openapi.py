"""The OpenAPI document of `listen.http`: what programs may ask, for whoever writes one."""

from __future__ import annotations

import functools

from authbridge import __version__
from authbridge.frontends import openapi_oauth
from authbridge.frontends.openapi_parts import (
    FORM,
    MESSAGES,
    Part,
    as_json,
    as_text,
    body,
    errors,
    in_query,
    problems,
    ref,
    responses,
    texts,
)
from authbridge.frontends.openapi_schemas import SCHEMAS
from authbridge.wire import token_api
from authbridge.wire.http import JSON, Answer

PATH = b"/openapi.json"
METHODS = (b"GET", b"HEAD")

_LOGIN = ("user", "server", "pass")
_USER = ("user", "server")
_EVERYWHERE = (
    "Every answer has an X-Request-Id, by which the log knows it. What is no good HTTP, too long, "
    "too slow or not addressed to us is answered with 400, 408, 413, 414, 417, 421 or 431 and a "
    "word in text/plain; another method than these with 405."
)


@functools.cache
def answer() -> Answer:
    """The document, as it is served."""
    return Answer(200, token_api.write(document()), (), JSON)


@functools.cache
def document() -> Part:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "authbridge",
            "version": __version__,
            "summary": "Logins and tokens of XMPP users, for XMPP servers and web back ends.",
            "description": _EVERYWHERE,
        },
        "servers": [{"url": "/"}],
        "security": [{"client": []}],
        "paths": {
            **_logins(),
            **_tokens(),
            **openapi_oauth.paths(),
            PATH.decode(): {"get": _of_this_document()},
        },
        "components": {
            "securitySchemes": {
                "client": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Name and secret of a [clients.NAME] of the configuration.",
                },
                "user": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Name and password of a user; the client is known by its "
                    "address.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A ticket of /oauth/token, or a token of a user; the client is "
                    "known by its address.",
                },
            },
            "schemas": SCHEMAS,
        },
    }


def _logins() -> Part:
    """The paths below /auth/."""
    verdict = {200: as_text("Yes or no.", "true", "false")}
    done = {200: as_text("It is done.", "true")}
    by_address: Part = {"security": [{"client": []}, {}]}
    return {
        **_login("check_password", "Is this the user's password?", _LOGIN, verdict, get=True),
        **_login("user_exists", "Is there such a user?", _USER, verdict, get=True),
        **_login("set_password", "Give a user another password.", _LOGIN, done | texts(501)),
        **_login(
            "register",
            "Make a user.",
            _LOGIN,
            {201: as_text("The user is made.", "true")} | texts(409, 501),
        ),
        **_login("remove_user", "Remove a user: nobody here can.", _USER, texts(501)),
        **_login("remove_user_validate", "Not supported.", _LOGIN, texts(501), get=True),
        **_login("get_password", "Not supported.", _USER, texts(501), get=True),
        **_login("get_certs", "Not supported.", _USER, texts(501), get=True),
        "/auth/basic": {
            method: {
                "operationId": f"{method}_basic",
                "summary": "Are these credentials a user's? For proxies, known by their address.",
                "security": [{"user": []}],
                "parameters": [in_query("server")],
                "responses": responses(
                    {200: as_text("Yes.", "true"), 401: as_text("No.", "false")}
                    | texts(400, 403, 404, 503)
                ),
            }
            for method in ("get", "head")
        },
        "/auth/json": {
            "post": {
                "operationId": "json",
                "summary": "Is this the user's password? Asked in JSON.",
                **by_address,
                "parameters": [in_query("server")],
                "requestBody": body(JSON.decode(), ref("Login")),
                "responses": responses(
                    verdict | texts(400, 401, 403) | {503: as_text(MESSAGES[503], "false")}
                ),
            }
        },
        "/auth/cookie": {
            "get": {
                "operationId": "cookie",
                "summary": "Whose browser is it, by the Cookie header that it sent?",
                **by_address,
                "parameters": [in_query("server"), in_query("user", required=False)],
                "responses": responses(
                    {
                        200: as_text('His localpart; without `user` also "@", for nobody.'),
                        401: as_text("With `user`: it is not his; or who asks is not known."),
                    }
                    | texts(400, 403, 503)
                ),
            }
        },
    }


def _login(
    verb: str, summary: str, names: tuple[str, ...], found: dict[int, Part], *, get: bool = False
) -> Part:
    """A path that is asked by a form, or also by a query."""
    found = found | texts(400, 401, 403, 503)
    common: Part = {"summary": summary, "responses": responses(found)}
    form = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }
    path = {"post": {"operationId": f"post_{verb}", **common, "requestBody": body(FORM, form)}}
    if get:
        parameters = [in_query(name) for name in names]
        path["get"] = {"operationId": f"get_{verb}", **common, "parameters": parameters}
    return {f"/auth/{verb}": path}


def _tokens() -> Part:
    """The paths for tokens."""
    known = (400, 401, 403)
    return {
        "/tokens": {
            "get": {
                "operationId": "list_tokens",
                "summary": "The temporary tokens of a user that can still be used.",
                "parameters": [in_query("jid")],
                "responses": responses(
                    {200: as_json("They are.", "Tokens")} | problems(*known, 501, 503)
                ),
            },
            "post": {
                "operationId": "issue_token",
                "summary": "A temporary token, to log a user in with: the answer alone has it.",
                "requestBody": body(JSON.decode(), ref("NewToken")),
                "responses": responses(
                    {201: _issued()} | problems(*known, 409, 415, 429, 501, 503)
                ),
            },
        },
        "/tokens/{id}": {
            "delete": {
                "operationId": "revoke_token",
                "summary": "Revoke one temporary token.",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": ref("TokenId")}
                ],
                "responses": responses(
                    {204: {"description": "It is revoked."}} | problems(*known, 404, 501, 503)
                ),
            }
        },
        "/tokens/revoke": {
            "post": {
                "operationId": "revoke_tokens",
                "summary": "Revoke the tokens of a user, or of an issuer.",
                "requestBody": body(JSON.decode(), ref("WhatToRevoke")),
                "responses": responses(
                    {200: as_json("They are revoked.", "Revoked")}
                    | problems(*known, 415, 429, 501, 503)
                ),
            }
        },
        "/prebind": {
            "post": {
                "operationId": "prebind",
                "summary": "Log a user in over BOSH, for a page that takes the session over.",
                "requestBody": body(JSON.decode(), ref("NewSession")),
                "responses": responses(
                    {200: as_json("He is logged in.", "Session")}
                    | problems(*known, 409, 415, 429, 501, 503)
                ),
            }
        },
        "/introspect": {
            "post": {
                "operationId": "introspect",
                "summary": "What a token is (RFC 7662). It is not used by this.",
                "requestBody": body(FORM, ref("ShownToken")),
                "responses": responses(
                    {200: as_json("It is.", "Introspection")} | errors(*known, 415, 501, 503)
                ),
            }
        },
        "/revoke": {
            "post": {
                "operationId": "revoke",
                "summary": "Revoke this token (RFC 7009).",
                "requestBody": body(FORM, ref("ShownToken")),
                "responses": responses(
                    {200: {"description": "It is revoked, or was none."}}
                    | errors(*known, 415, 429, 501, 503)
                ),
            }
        },
    }


def _of_this_document() -> Part:
    return {
        "operationId": "openapi",
        "summary": "This document.",
        "security": [{}],
        "responses": {
            "200": {
                "description": "OpenAPI 3.1.",
                "content": {JSON.decode(): {"schema": {"type": "object"}}},
            }
        },
    }


def _issued() -> Part:
    location = {"description": "To revoke it: /tokens/ID.", "schema": {"type": "string"}}
    return as_json("The token.", "IssuedToken") | {"headers": {"Location": location}}
