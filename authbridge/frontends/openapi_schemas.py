"""What stands in the bodies that `openapi` documents (JSON Schema 2020-12)."""

from __future__ import annotations

from typing import Any

from authbridge.tokens import temporary
from authbridge.wire import oauth_api
from authbridge.wire.token_api import (
    ANY,
    LAST_MOMENT,
    LONGEST_LIFE,
    LONGEST_TEXT,
    MOST_USES,
    SHORTEST_LIFE,
)

Schema = dict[str, Any]


def _object(properties: Schema, optional: tuple[str, ...] = (), **more: Any) -> Schema:
    """With these members and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
        **more,
    }


_JID = {
    "type": "string",
    "description": "A bare JID, user@domain.",
    "minLength": 3,
    "examples": ["romeo@example.org"],
}
_TEXT = {"type": "string", "maxLength": LONGEST_TEXT, "description": "Printable; for people."}
_MOMENT = {"type": "integer", "description": "Seconds since 1970, UTC."}
_SOME_TEXT = {"type": "string", "minLength": 1}
_ISSUER = _SOME_TEXT | {"description": "The NAME of an [issuers.NAME] of the configuration."}
_ID = {"$ref": "#/components/schemas/TokenId"}


def _uses(least: int) -> Schema:
    number = {"type": "integer", "minimum": least, "maximum": MOST_USES}
    return {"description": "How often it may be used.", "anyOf": [number, {"const": ANY}]}


_LIFE = {
    "description": 'Seconds, or a duration such as "60s", "15m", "12h" or "90d".',
    "anyOf": [
        {"type": "number", "minimum": SHORTEST_LIFE, "maximum": LONGEST_LIFE},
        {"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"},
    ],
    "default": 60,
}

SCHEMAS: dict[str, Schema] = {
    "Login": _object({"username": {"type": "string"}, "password": {"type": "string"}}),
    "NewSession": _object(
        {
            "jid": _JID,
            "resource": _SOME_TEXT | {"description": "Printable, up to 1023 octets of UTF-8."},
        },
        optional=("resource",),
    ),
    "Session": _object(
        {
            "jid": _SOME_TEXT | {"description": "The full JID that the server has bound."},
            "sid": _SOME_TEXT,
            "rid": {"type": "integer", "description": "Of the next request.", "minimum": 1},
        }
    ),
    "TokenId": {
        "type": "string",
        "pattern": f"^{temporary.ID}$",
        "description": "What a token is called; it lets nobody in.",
    },
    "NewToken": _object(
        {
            "jid": _JID,
            "ttl": _LIFE,
            "uses": _uses(1) | {"default": 1},
            "device": _TEXT,
            "note": _TEXT,
        },
        ("ttl", "uses", "device", "note"),
    ),
    "IssuedToken": _object(
        {
            "jid": _JID,
            "password": {"type": "string", "description": "The token, shown this once."},
            "expires_at": _MOMENT,
            "id": _ID,
            "uses": _uses(1),
        }
    ),
    "Tokens": _object(
        {
            "jid": _JID,
            "tokens": {
                "type": "array",
                "items": _object(
                    {
                        "id": _ID,
                        "issued_at": _MOMENT,
                        "expires_at": _MOMENT,
                        "uses_left": _uses(1),
                        "last_used_at": _MOMENT | {"type": ["integer", "null"]},
                        "client": {"type": "string", "description": "Who has asked for it."},
                        "device": _TEXT,
                        "note": _TEXT,
                    }
                ),
            },
        }
    ),
    "WhatToRevoke": {
        "oneOf": [
            _object({"jid": _JID}, description="All tokens of a user."),
            _object({"issuer": _ISSUER, "jti": _SOME_TEXT}, description="One signed token."),
            _object(
                {
                    "issuer": _ISSUER,
                    "before": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": LAST_MOMENT,
                        "description": "Seconds since 1970, UTC; without it: now.",
                    },
                },
                ("before",),
                description="All that an issuer has signed before a moment.",
            ),
        ]
    },
    "Revoked": _object(
        {
            "revoked": {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": "How many temporary tokens; null where that is not counted.",
            }
        }
    ),
    "ShownToken": _object(
        {
            "token": _SOME_TEXT,
            "token_type_hint": {"type": "string", "description": "Not looked at."},
            "username": _JID
            | {
                "description": "The bare JID that it is for: compact and xcauth tokens do not "
                "say it."
            },
        },
        ("token_type_hint", "username"),
    ),
    "Introspection": {
        "oneOf": [
            _object({"active": {"const": False}}),
            _object(
                {
                    "active": {"const": True},
                    "token_type": {"enum": ["temporary", "jwt", "compact", "xcauth"]},
                    "username": {"type": "string", "description": "The localpart of the JID."},
                    "sub": _JID,
                    "client_id": {"type": "string", "description": "Who has asked for it."},
                    "iat": _MOMENT,
                    "exp": _MOMENT,
                    "jti": {"type": "string"},
                    "iss": _ISSUER,
                },
                ("client_id", "iat", "jti", "iss"),
            ),
        ]
    },
    "PasswordGrant": _object(
        {
            "grant_type": {"const": "password"},
            "username": _SOME_TEXT
            | {"description": "The localpart, without the escapes of XEP-0106."},
            "password": {"type": "string"},
            "client_id": {"type": "string", "description": "In place of Basic credentials."},
            "client_secret": {"type": "string"},
            "scope": {"type": "string", "description": "Not looked at."},
        },
        ("client_id", "client_secret", "scope"),
        description="RFC 6749, 4.3.2.",
        dependentRequired={"client_secret": ["client_id"]},
    ),
    "Ticket": _object(
        {
            "access_token": {"type": "string", "description": "For /oauth/userinfo, once."},
            "token_type": {"const": "bearer"},
            "expires_in": {"type": "integer", "description": "Seconds.", "minimum": 1},
        },
        description="RFC 6749, 5.1.",
    ),
    "UserInfo": _object(
        {
            "sub": _JID,
            "preferred_username": _SOME_TEXT
            | {"description": "The localpart, without the escapes of XEP-0106."},
        }
    ),
    "TokenStatus": _object(
        {"status": {"enum": ["invalid_token", "server_error"]}}, description="RFC 7628, 3.2.2."
    ),
    "TokenToLookUp": _object({"token": {"type": "string"}}),
    "TokenLookedUp": _object(
        {
            "user": _JID,
            "scope": {"const": [oauth_api.SCOPE]},
            "expire": _MOMENT | {"description": "Until when the answer may be relied upon."},
        }
    ),
    "Nobody": _object({}),
    "Problem": _object(
        {
            "type": {"const": "about:blank"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "For people."},
            "reason": {"type": "string", "description": "For programs; the log has it too."},
        },
        description="RFC 9457.",
    ),
    "Error": _object(
        {
            "error": {
                "enum": [
                    "invalid_client",
                    "invalid_grant",
                    "invalid_request",
                    "server_error",
                    "temporarily_unavailable",
                    "unauthorized_client",
                    "unsupported_grant_type",
                    "unsupported_token_type",
                ]
            },
            "error_description": {"type": "string"},
        },
        description="RFC 6749, 5.2.",
    ),
}
