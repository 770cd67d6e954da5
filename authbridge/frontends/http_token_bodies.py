"""What the token office says, in the JSON of `listen.http` (`wire.token_api`)."""

from __future__ import annotations

from typing import Any

from authbridge.frontends.http_answers import Headers
from authbridge.outbound.bosh import BoshSession
from authbridge.token_office.grants import Introspection, Issued, Kept
from authbridge.wire import token_api
from authbridge.wire.http import JSON, Answer


def answer(found: dict[str, Any], status: int = 200, headers: Headers = ()) -> Answer:
    """An answer with this in its body."""
    return Answer(status, token_api.write(found), headers, JSON)


def issued(new: Issued) -> dict[str, Any]:
    """A new token, in the one answer that has it."""
    return {
        "jid": str(new.jid),
        "password": new.token.reveal().decode(),
        "expires_at": new.expires_at,
        "id": new.id,
        "uses": token_api.uses_text(new.uses),
    }


def handed_over(session: BoshSession) -> dict[str, str | int]:
    """A session as Converse and Strophe take it."""
    return {"jid": session.jid, "sid": session.sid, "rid": session.rid}


def kept(one: Kept) -> dict[str, Any]:
    """A token that can still be used."""
    return {
        "id": one.id,
        "issued_at": one.issued_at,
        "expires_at": one.expires_at,
        "uses_left": token_api.uses_text(one.uses_left),
        "last_used_at": one.last_used_at,
        "client": one.client,
        "device": one.device,
        "note": one.note,
    }


def active(found: Introspection) -> dict[str, Any]:
    """A token that is good for something (RFC 7662, 2.2)."""
    told: dict[str, Any] = {
        "active": True,
        "token_type": found.kind,
        "username": found.jid.local,
        "sub": str(found.jid),
        "client_id": found.client,
        "iat": found.issued_at,
        "exp": found.expires_at,
        "jti": found.id,
        "iss": found.issuer,
    }
    return {name: value for name, value in told.items() if value is not None}
