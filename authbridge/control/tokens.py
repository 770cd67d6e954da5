"""The commands about tokens. Whoever may use the control socket may ask about everybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from authbridge.control import members as read
from authbridge.control.members import BadCommand, Members
from authbridge.domain_names import ANY_DOMAIN
from authbridge.frontends import http_token_bodies as bodies
from authbridge.issuers.issuers import KeysUnavailable
from authbridge.model import Reason
from authbridge.settings import LONGEST
from authbridge.stores.ledger import StoreUnavailable
from authbridge.token_office.grants import Grant, Refusal, Wanted
from authbridge.token_office.office import TokenOffice
from authbridge.tokens.temporary import is_id

CONTROL = "control"
"""Who asks, and where, in the log and beside the tokens."""
GRANT = Grant(CONTROL, frozenset({ANY_DOMAIN}), None, LONGEST, None, None)
NOTHING_KEEPS = 'nothing in the configuration keeps tokens: see accept = ["temporary"]'

Reply = dict[str, Any]
Line = dict[str, str]
"""What the office writes down beside what it finds out."""

_CANNOT_TELL: Mapping[type[Exception], Reason] = {
    StoreUnavailable: Reason.STATE_UNAVAILABLE,
    KeysUnavailable: Reason.KEYS_UNAVAILABLE,
}


async def _issue(office: TokenOffice, members: Members, line: Line) -> Reply:
    read.expect(members, ("jid", "ttl", "uses", "device", "note"))
    wanted = Wanted(
        jid=read.text(members, "jid"),
        ttl=read.optional_number(members, "ttl"),
        uses=read.uses(members, "uses"),
        device=read.text(members, "device"),
        note=read.text(members, "note"),
    )
    return bodies.issued(await office.issue(GRANT, wanted, **line))


async def _list(office: TokenOffice, members: Members, _line: Line) -> Reply:
    read.expect(members, ("jid",))
    jid = read.text(members, "jid")
    kept = await office.list(GRANT, jid)
    return {"jid": jid, "tokens": [bodies.kept(one) for one in kept]}


async def _revoke(office: TokenOffice, members: Members, line: Line) -> Reply:
    revoke = _REVOKE.get(frozenset(members))
    if revoke is None:
        raise BadCommand
    return {"revoked": await revoke(office, members, line)}


async def _revoke_one(office: TokenOffice, members: Members, line: Line) -> int:
    token_id = read.text(members, "id")
    if not is_id(token_id):
        raise BadCommand
    await office.revoke(GRANT, token_id, **line)
    return 1


async def _revoke_user(office: TokenOffice, members: Members, line: Line) -> int:
    return await office.revoke_user(GRANT, read.text(members, "jid"), **line)


async def _revoke_signed(office: TokenOffice, members: Members, line: Line) -> int:
    issuer, jti = read.text(members, "issuer"), read.text(members, "jti")
    await office.revoke_signed(GRANT, issuer, jti, None, **line)
    return 1


async def _revoke_issuer(office: TokenOffice, members: Members, line: Line) -> None:
    issuer, before = read.text(members, "issuer"), read.optional_number(members, "before")
    await office.revoke_signed(GRANT, issuer, None, before, **line)


async def _revoke_shown(office: TokenOffice, members: Members, line: Line) -> int:
    token, jid = read.secret(members, "token"), read.optional_text(members, "jid")
    await office.revoke_token(GRANT, token.reveal(), jid, **line)
    return 1


_REVOKE: Mapping[frozenset[str], Callable[[TokenOffice, Members, Line], Awaitable[int | None]]] = {
    frozenset({"id"}): _revoke_one,
    frozenset({"jid"}): _revoke_user,
    frozenset({"issuer", "jti"}): _revoke_signed,
    frozenset({"issuer", "before"}): _revoke_issuer,
    frozenset({"token", "jid"}): _revoke_shown,
}
COMMANDS: Mapping[str, Callable[[TokenOffice, Members, Line], Awaitable[Reply]]] = {
    "token-issue": _issue,
    "token-list": _list,
    "token-revoke": _revoke,
}


async def answer(office: TokenOffice | None, name: str, members: Members, number: str) -> Reply:
    """What comes of the command of this name. `number` is the request's id. Raises BadCommand."""
    if office is None:
        return _refusal(Reason.NOT_SUPPORTED, NOTHING_KEEPS)
    try:
        return await COMMANDS[name](office, members, {"front_end": CONTROL, "number": number})
    except Refusal as no:
        return _refusal(no.reason, no.words)
    except (StoreUnavailable, KeysUnavailable) as error:
        reason = _CANNOT_TELL[type(error)]
        return _refusal(reason, f"{reason.words}: {error}")


def _refusal(reason: Reason, words: str) -> Reply:
    return {"error": words, "reason": reason.value, "unavailable": reason in _CANNOT_TELL.values()}
