"""What the OpenAPI document of `listen.http` is made of."""

from __future__ import annotations

from typing import Any

from authbridge.wire import http
from authbridge.wire.http import JSON, PROBLEM, TEXT

Part = dict[str, Any]

FORM = http.FORM.decode()
RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
MESSAGES = {
    400: "The request breaks the rules.",
    401: "The credentials of the client are wrong or missing.",
    403: "The client may not ask that.",
    404: "There is no such token, or none that the client may ask about.",
    409: "There is such a user already, or the user has as many tokens as one may have.",
    415: "The body is of another type.",
    429: "The client asks too often.",
    501: "Nobody here can do that.",
    503: "It cannot be told now.",
}


def in_query(name: str, *, required: bool = True) -> Part:
    """A parameter of the query."""
    return {"name": name, "in": "query", "required": required, "schema": {"type": "string"}}


def body(content: str, schema: Part) -> Part:
    """What is posted, and has to be."""
    return {"required": True, "content": {content: {"schema": schema}}}


def ref(name: str) -> Part:
    """One of `openapi_schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def as_json(description: str, schema: str) -> Part:
    """An answer in JSON."""
    return {"description": description, "content": {JSON.decode(): {"schema": ref(schema)}}}


def as_text(description: str, *words: str) -> Part:
    """A text, one of these if any are given."""
    schema: Part = {"type": "string"} | ({"enum": list(words)} if words else {})
    return {"description": description, "content": {media_type(TEXT): {"schema": schema}}}


def texts(*statuses: int) -> dict[int, Part]:
    """Refusals in a word."""
    return {status: as_text(MESSAGES[status]) for status in statuses}


def problems(*statuses: int) -> dict[int, Part]:
    """RFC 9457."""
    content = {PROBLEM.decode(): {"schema": ref("Problem")}}
    return {one: {"description": MESSAGES[one], "content": content} for one in statuses}


def errors(*statuses: int) -> dict[int, Part]:
    """RFC 6749, 5.2."""
    return {status: as_json(MESSAGES[status], "Error") for status in statuses}


def responses(found: dict[int, Part]) -> Part:
    """By status; those that say when to come again with that header."""
    return {
        str(status): part | ({"headers": RETRY} if status in (429, 503) else {})
        for status, part in sorted(found.items())
    }


def media_type(content: bytes) -> str:
    """Without its parameters."""
    return content.decode().partition(";")[0]
