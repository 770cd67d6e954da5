"""What a token is, for whoever may ask about its user; nothing is used up by it."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable

from authbridge import preparation
from authbridge.issuers.signed import Good, SignedTokens
from authbridge.model import JID, Reason
from authbridge.stores.ledger import Ledger
from authbridge.stores.operations import Find, Peek, Record
from authbridge.token_office.grants import Grant, Introspection, prepared
from authbridge.tokens import temporary
from authbridge.tokens.forms import Form, recognise
from authbridge.tokens.refusals import Malformed, Refused

Kinds = Callable[[str], "frozenset[str] | None"]
"""The kinds of tokens that a domain accepts; None where the domain is not served."""


class Lookup:
    """Looks tokens up. Raises StoreUnavailable, KeysUnavailable where it cannot be told."""

    def __init__(
        self, ledger: Ledger, signed: SignedTokens, kinds: Kinds, never: Callable[[JID], bool]
    ) -> None:
        self._ledger = ledger
        self._signed = signed
        self._kinds = kinds
        self._never = never

    def form(self, token: bytes) -> Form | None:
        """What it looks like."""
        return recognise(token, self._signed.xcauth_key_ids)

    def as_wall(self, moment: float) -> int:
        """A moment of the store's clock by the machine's, in whole seconds since the epoch."""
        return math.floor(moment - self._ledger.ahead())

    async def introspect(
        self, grant: Grant, token: bytes, username: str | None
    ) -> Introspection | None:
        """What a token is, which is not used by it; None where it is not active, or nothing that
        this grant covers. `username`: the bare JID that it is for, where it does not say so."""
        form = self.form(token)
        if form is Form.TEMPORARY:
            return await self._introspect_temporary(grant, token, username)
        good = self.judge(grant, form, token, username)
        if good is None:
            return None
        if good.admit is not None:
            reason = await self._ledger.ask(good.admit)
            if reason is not Reason.TOKEN_VALID:
                return None
        dates = good.dates
        issued = None if dates.issued is None else int(dates.issued)
        return Introspection(
            kind=good.issuer.kind,
            jid=good.jid,
            id=dates.jti,
            issuer=good.issuer.name,
            client=None,
            issued_at=issued,
            expires_at=int(dates.expires),
        )

    async def find(self, grant: Grant, token: bytes, username: str | None) -> Record | None:
        """A temporary token that this grant covers, whatever it is good for."""
        try:
            digest = temporary.digest(token)
        except Malformed:
            return None
        record = await self._ledger.ask(Find(temporary.id_of(digest)))
        if record is None or not hmac.compare_digest(record.digest, digest):
            return None
        jid = preparation.jid(record.jid)
        if username is not None and prepared(username) != jid:
            return None
        return record if grant.covers(jid) else None

    async def _introspect_temporary(
        self, grant: Grant, token: bytes, username: str | None
    ) -> Introspection | None:
        record = await self.find(grant, token, username)
        if record is None:
            return None
        jid = preparation.jid(record.jid)
        kinds = self._kinds(jid.domain) or frozenset()
        if Form.TEMPORARY.value not in kinds or self._never(jid):
            return None
        if await self._ledger.ask(Peek(record.digest, record.jid)) is not Reason.TOKEN_VALID:
            return None
        return Introspection(
            kind=Form.TEMPORARY.value,
            jid=jid,
            id=record.id,
            issuer=None,
            client=record.client,
            issued_at=self.as_wall(record.issued),
            expires_at=self.as_wall(record.expires),
        )

    def judge(
        self, grant: Grant, form: Form | None, token: bytes, username: str | None
    ) -> Good | None:
        """A signed token that is good, for a user whom this grant covers. Raises
        KeysUnavailable."""
        if form is None or form is Form.RESERVED:
            return None
        try:
            jid = prepared(username or self._signed.subject(form, token) or "")
            if jid is None or not grant.covers(jid):
                return None
            if form.value not in (self._kinds(jid.domain) or ()):
                return None
            return self._signed.judge(form, token, jid, None)
        except Refused:
            return None
