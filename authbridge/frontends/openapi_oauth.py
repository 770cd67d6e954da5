"""The paths below `/oauth/` in the OpenAPI document (`http_oauth`)."""

from __future__ import annotations

from authbridge.frontends import http_oauth
from authbridge.frontends.openapi_parts import (
    FORM,
    MESSAGES,
    Part,
    as_json,
    body,
    errors,
    in_query,
    ref,
    responses,
    texts,
)
from authbridge.wire.http import JSON

_BY_ADDRESS: Part = {"security": [{"client": []}, {}]}


def paths() -> Part:
    """As OpenAPI has them."""
    refused = errors(400, 401, 403, 415, 503)
    return {
        "/oauth/token": {
            "post": {
                "operationId": "oauth_token",
                "summary": "A ticket for a user's password, as Prosody asks for one (RFC 6749, "
                "4.3). The client's secret may also be in the form.",
                **_BY_ADDRESS,
                "parameters": [in_query("server")],
                "requestBody": body(FORM, ref("PasswordGrant")),
                "responses": responses({200: as_json("It is right.", "Ticket")} | refused),
            }
        },
        "/oauth/userinfo": {
            "get": {
                "operationId": "oauth_userinfo",
                "summary": "Whose is this ticket, or this token? It is used up by this.",
                "security": [{"token": []}],
                "parameters": [in_query("server")],
                "responses": responses(
                    {
                        200: as_json("His.", "UserInfo"),
                        401: as_json("It is not good for this domain.", "TokenStatus"),
                        503: as_json(MESSAGES[503], "TokenStatus"),
                    }
                    | errors(400, 403)
                    | texts(404)
                ),
            }
        },
        "/oauth/lookup": {
            "post": {
                "operationId": "oauth_lookup",
                "summary": "Whose is this token? As ejabberd asks; it is used up by this.",
                **_BY_ADDRESS,
                "requestBody": body(JSON.decode(), ref("TokenToLookUp")),
                "responses": responses(
                    {
                        200: as_json("His.", "TokenLookedUp"),
                        404: as_json("It is not good.", "Nobody"),
                    }
                    | refused
                ),
            }
        },
        **{path.decode(): {"post": _unsupported(path.decode())} for path in http_oauth.OTHERS},
    }


def _unsupported(path: str) -> Part:
    return {
        "operationId": path[1:].replace("/", "_"),
        "summary": "Not supported.",
        **_BY_ADDRESS,
        "responses": responses(errors(400, 401, 403, 415, 501)),
    }
