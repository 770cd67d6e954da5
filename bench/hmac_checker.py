"""A kind of checker, `kind = "bench.hmac_checker"`: as cheap as a real one can be."""

from __future__ import annotations

from authbridge import model
from authbridge.checkers import Surroundings
from authbridge.model import JID, Outcome, Trace
from authbridge.secret import Secret
from authbridge.settings import Table
from bench.hmac_token import password as password_of


def read_settings(table: Table) -> bytes:
    """The key."""
    key = table.text("key").encode()
    table.close()
    return key


class HmacChecker:
    """Every user exists, and has the HMAC of the name as password."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """One HMAC, compared in constant time."""
        if password.matches(password_of(f"{jid.local}@{jid.domain}", self._key)):
            return model.PASSWORD_MATCHES
        return model.PASSWORD_MISMATCH

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """Everybody does."""
        return model.USER_EXISTS


def make_checker(settings: bytes, surroundings: Surroundings) -> HmacChecker:
    """A checker with this key."""
    return HmacChecker(settings)
