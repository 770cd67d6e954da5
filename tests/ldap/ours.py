"""What our codec makes of octets, in the shape that the oracle gives its own."""

from __future__ import annotations

from collections.abc import Iterable

from authbridge.ldap import codec
from authbridge.ldap.codec import Entry, Inbox, Reply, Result
from tests.ldap.oracle import Meaning


def meaning(reply: Reply) -> Meaning:
    """One reply."""
    content = reply.content
    if isinstance(content, Result):
        texts = content.matched_dn, content.text
        plain = (content.code, *texts, content.referral, content.name)
        return reply.message_id, reply.operation, plain, dict(reply.controls)
    if isinstance(content, Entry):
        entry = content.dn, dict(content.attributes)
        return reply.message_id, reply.operation, entry, dict(reply.controls)
    assert content is None
    return reply.message_id, reply.operation, None, dict(reply.controls)


def read(*pieces: bytes, largest: int = codec.LARGEST_REPLY) -> tuple[list[Meaning], bool]:
    """All that these pieces hold, and whether something is not whole yet. Raises Malformed."""
    inbox = Inbox(largest)
    found = [meaning(reply) for piece in pieces for reply in inbox.feed(piece)]
    return found, inbox.partial


def single(octets: bytes) -> Iterable[bytes]:
    """Octet by octet."""
    return (octets[at : at + 1] for at in range(len(octets)))
