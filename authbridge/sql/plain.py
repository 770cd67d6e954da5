"""Passwords in plain text, and what is none though it stands in their place."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field

from authbridge.password_hash import prepare

_HASHED = re.compile(
    r"\s*(\$[0-9A-Za-z-]+\$|\{[0-9A-Za-z.-]+\}|[0-9]\|\$"
    r"|(pbkdf2|argon2|bcrypt|scrypt|md5|sha1|crypt|unsalted)[0-9a-z_]*\$)"
)
"""How crypt's hashes begin, LDAP's, Nextcloud's, Django's."""
_DIGEST = re.compile(r"\s*([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{128})\s*")
"""One without a salt. Somebody's password may look so too, where no hashes are stored."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The password itself, compared as XMPP servers do (RFC 4013)."""

    password: bytes = field(repr=False)
    described: str = "plain text"

    def verify(self, password: bytes) -> bool:
        """See hashes.Stored."""
        return hmac.compare_digest(prepare(password), prepare(self.password))


def looks_hashed(text: str, *, beside_hashes: bool) -> bool:
    """Whether this is a hash, of whatever kind: taken for plain text, it would be a password for
    everybody who has read the table."""
    return bool(_HASHED.match(text) or (beside_hashes and _DIGEST.fullmatch(text)))
