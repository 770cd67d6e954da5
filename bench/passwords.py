"""The password of every benchmark: a compact token, so that checking one costs next to nothing.

Made and judged here by the description in docs/tokens.md, and with nothing but the standard
library: the bare programs are to stay bare, and do for a login what the daemon's checker has to do.
"""

import base64
import hmac
import time

KEY = b"a key of the benchmarks, and of nobody else"
XCAUTH_KEY = b"another for the tokens of xmpp-cloud-auth"
HS256_KEY = b"a third for tokens as websites make them"
LIFETIME = 3000
"""Seconds: longer than a benchmark runs, and less than the hour of `max_lifetime` there."""

_PREFIX = b"abtc1_"
_KEY_ID = hmac.digest(KEY, b"authbridge compact key id", "sha256")[:4]


def password(jid: str) -> bytes:
    """A token of this user."""
    head = _KEY_ID + expiry().to_bytes(6, "big")
    return _PREFIX + base64.urlsafe_b64encode(head + _mac(head, jid.encode()))


def expiry() -> int:
    """When the tokens that are made now end, in seconds since the epoch."""
    return int(time.time()) + LIFETIME


def is_right(frame: bytes) -> bool:
    """Judge an extauth request, "auth:USER:DOMAIN:PASSWORD", without any care for odd ones."""
    _, user, domain, given = frame.split(b":", 3)
    token = base64.urlsafe_b64decode(given.removeprefix(_PREFIX))
    head = token[:10]
    right = hmac.compare_digest(token[10:], _mac(head, user + b"@" + domain))
    return right and int.from_bytes(token[4:10], "big") > time.time()


def _mac(head: bytes, jid: bytes) -> bytes:
    return hmac.digest(KEY, b"authbridge compact 1\0login\0" + head + jid, "sha256")
