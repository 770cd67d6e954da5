"""The operations as commands to Redis, and its replies as what comes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from authbridge.model import Reason
from authbridge.stores import operations as ops
from authbridge.stores import redis_scripts as scripts
from authbridge.stores.operations import KEPT, Operation, Record, StoreFault
from authbridge.stores.redis_link import Command
from authbridge.tokens.temporary import id_of

Call = tuple[scripts.Script, tuple[bytes, ...], tuple[bytes | int, ...]]
"""A script, with the keys and the arguments that are its own."""
Say = Callable[[Any], Call]
Hear = Callable[[Any, Any], Any]
_REASONS = {reason.value.encode(): reason for reason in Reason}


def say(operation: Operation[Any], now: bytes, epoch: bytes) -> Command:
    """The command; `now` as `number` has it."""
    return _command(_SPEECH[type(operation)][0](operation), now, epoch)


def say_sweep(now: bytes, wall: bytes, epoch: bytes) -> Command:
    """The same for a sweep."""
    keys = (scripts.HORIZON, scripts.WITHDRAWN_WHAT, scripts.CLAIMS, scripts.WITHDRAWN)
    return _command((scripts.SWEEP, keys, (wall,)), now, epoch)


def _command(call: Call, now: bytes, epoch: bytes) -> Command:
    script, keys, arguments = call
    shared = (scripts.CLOCK, scripts.EPOCH)
    return (b"EVALSHA", script.sha, 2 + len(keys), *shared, *keys, now, epoch, *arguments)


def hear(operation: Operation[Any], reply: Any) -> Any:
    """What has come of it. Raises StoreFault."""
    return _SPEECH[type(operation)][1](operation, reply)


def number(value: float) -> bytes:
    """Exactly this one, as the scripts read it."""
    return repr(value).encode()


def _octets(text: str) -> bytes:
    # JSON can spell what is no character, such as half of a surrogate pair.
    return text.encode("utf-8", "surrogatepass")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogatepass")


def _issue(issue: ops.Issue) -> Call:
    id_ = id_of(issue.digest).encode()
    life = math.ceil((issue.ttl + KEPT + scripts.SLACK) * 1000)
    fields: list[bytes | int] = [b"digest", issue.digest, b"jid", _octets(issue.jid)]
    fields += [b"client", _octets(issue.client), b"device", _octets(issue.device)]
    fields += [b"note", _octets(issue.note)]
    if issue.uses is not None:
        fields += [b"uses", issue.uses]
    keys = (scripts.TOKEN + id_, scripts.USER + _octets(issue.jid))
    return scripts.ISSUE, keys, (id_, number(issue.ttl), life, *fields)


def _issued(issue: ops.Issue, reply: bytes) -> Record | None:
    if reply == scripts.TOO_MANY:
        return None
    if reply == scripts.ID_THERE:
        raise StoreFault("has a token of an id that was to be new")
    return issue.record(float(reply))


def _consume(consume: ops.Consume) -> Call:
    id_ = id_of(consume.digest).encode()
    jid = _octets(consume.jid)
    keys = (scripts.TOKEN + id_, scripts.USER + jid)
    return scripts.CONSUME, keys, (consume.digest, jid, id_)


def _peek(peek: ops.Peek) -> Call:
    keys = (scripts.TOKEN + id_of(peek.digest).encode(),)
    return scripts.PEEK, keys, (peek.digest, _octets(peek.jid))


def _reason(_operation: Operation[Reason], reply: bytes) -> Reason:
    return _REASONS[reply]


def _find(find: ops.Find) -> Call:
    return scripts.FIND, (scripts.TOKEN + _octets(find.id),), ()


def _found(_find: ops.Find, reply: list[bytes]) -> Record | None:
    return _record(reply) if reply else None


def _list(asked: ops.List) -> Call:
    return scripts.LIST, (scripts.USER + _octets(asked.jid),), (scripts.TOKEN,)


def _listed(_list: ops.List, reply: list[list[bytes]]) -> tuple[Record, ...]:
    return tuple(sorted(map(_record, reply), key=lambda one: (one.issued, one.digest)))


def _record(reply: list[bytes]) -> Record:
    values: Iterator[bytes] = iter(reply)
    fields = dict(zip(values, values, strict=True))
    uses, used = fields.get(b"uses"), fields.get(b"last_used")
    return Record(
        digest=fields[b"digest"],
        jid=_text(fields[b"jid"]),
        issued=float(fields[b"issued"]),
        expires=float(fields[b"expires"]),
        uses=None if uses is None else int(uses),
        client=_text(fields[b"client"]),
        device=_text(fields[b"device"]),
        note=_text(fields[b"note"]),
        last_used=None if used is None else float(used),
        revoked=b"revoked" in fields,
    )


def _revoke(revoke: ops.Revoke) -> Call:
    id_ = _octets(revoke.id)
    return scripts.REVOKE, (scripts.TOKEN + id_,), (id_, scripts.USER)


def _revoke_all(revoke: ops.RevokeAll) -> Call:
    return scripts.REVOKE_ALL, (scripts.USER + _octets(revoke.jid),), (scripts.TOKEN,)


def _truth(_operation: Operation[bool], reply: int) -> bool:
    return bool(reply)


def _count(_operation: Operation[int], reply: int) -> int:
    return reply


def _nothing(_operation: Operation[None], _reply: int) -> None:
    return None


def _withdraw(withdraw: ops.Withdraw) -> Call:
    keys = (scripts.WITHDRAWN, scripts.WITHDRAWN_WHAT)
    moments = (withdraw.before, withdraw.ends, withdraw.until)
    return scripts.WITHDRAW, keys, (withdraw.subject, *map(number, moments))


def _admit(admit: ops.Admit) -> Call:
    how = b"no" if admit.once is None else b"make" if admit.WRITES else b"look"
    keys = (scripts.HORIZON, scripts.WITHDRAWN_WHAT, scripts.CLAIMS)
    issued = b"" if admit.issued is None else number(admit.issued)
    moments = (issued, number(admit.expires), number(admit.until))
    return scripts.ADMIT, keys, (*moments, how, admit.once or b"", *admit.subjects)


def _note_seen(seen: ops.NoteSeen) -> Call:
    return scripts.NOTE_SEEN, *_seen_where(seen.jid)


def _seen(seen: ops.Seen) -> Call:
    return scripts.SEEN, *_seen_where(seen.jid)


def _seen_where(jid: str) -> tuple[tuple[bytes], tuple[bytes]]:
    local, _, domain = jid.rpartition("@")
    return (scripts.SEEN_IN + _octets(domain),), (_octets(local),)


_SPEECH: dict[type[Operation[Any]], tuple[Say, Hear]] = {
    ops.Issue: (_issue, _issued),
    ops.Consume: (_consume, _reason),
    ops.Peek: (_peek, _reason),
    ops.Find: (_find, _found),
    ops.List: (_list, _listed),
    ops.Revoke: (_revoke, _truth),
    ops.RevokeAll: (_revoke_all, _count),
    ops.Withdraw: (_withdraw, _nothing),
    ops.Admit: (_admit, _reason),
    ops.Claim: (_admit, _reason),
    ops.NoteSeen: (_note_seen, _truth),
    ops.Seen: (_seen, _truth),
}
