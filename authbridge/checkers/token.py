"""Tokens in the place of passwords: signed ones, of the [issuers], and temporary ones of our own.

A token is decided here and nowhere else. What looks like one, good or broken, is recognised, so
that no directory counts it as a wrong password, or gets to read it; what does not is somebody
else's. The directory is not asked: a token works while it is down, and for whom it has disabled.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from authbridge import model, preparation
from authbridge.checkers import Surroundings
from authbridge.issuers.issuers import Issuers, KeysUnavailable
from authbridge.issuers.settings import KINDS
from authbridge.issuers.signed import SignedTokens
from authbridge.model import JID, NOT_A_TOKEN, Identity, Outcome, Reason, Trace
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.stores.ledger import Ledger, StoreUnavailable, ask
from authbridge.stores.operations import Admit, Claim, Consume, Find, Peek
from authbridge.tokens import temporary
from authbridge.tokens.forms import Form, recognise
from authbridge.tokens.refusals import Refused, Unfit

TEMPORARY = Form.TEMPORARY.value
ACCEPTED_KINDS = (*KINDS, TEMPORARY)
NOT_USED = "is looked at, and not used up by this"


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """[checkers.NAME] with kind = "token"."""

    accept: frozenset[str]
    """Kinds of tokens."""
    knows_users: bool = False
    recognises: bool = True


def read_settings(table: Table) -> TokenSettings:
    """Read the table, and close it."""
    accept = table.texts("accept")
    if table.data.get("accept") == []:
        table.wrong("accept", "names no kind of token, so that none would be accepted")
    for kind in accept:
        if kind not in ACCEPTED_KINDS:
            table.wrong("accept", f'"{kind}" is not known{did_you_mean(kind, ACCEPTED_KINDS)}')
    table.close()
    return TokenSettings(frozenset(accept))


def make_checker(settings: TokenSettings, surroundings: Surroundings) -> TokenChecker:
    """A checker that takes tokens of these kinds."""
    issuers, never = surroundings.issuers, surroundings.never_token
    signed = SignedTokens(issuers, never, surroundings.wall)
    return TokenChecker(settings.accept, issuers, signed, never, surroundings.ledger)


class TokenChecker:
    """Judges tokens. Of signed ones nothing is waited for, unless their issuer's may be used once
    or be revoked; or for the sake of `explain`, by which no token is used up."""

    every_form = True
    """See `chains.NamedChecker`."""

    def __init__(
        self,
        accept: frozenset[str],
        issuers: Issuers,
        signed: SignedTokens,
        never: Callable[[JID], bool],
        ledger: Ledger | None,
    ) -> None:
        """`ledger`: None in a command that is not the daemon, which alone has a state in a file."""
        self._accept = accept
        self._issuers = issuers
        self._signed = signed
        self._never = never
        self._ledger = ledger

    def recognises(self, password: Secret) -> bool:
        """See `model.Recognising`."""
        self._issuers.refresh()
        return recognise(password.reveal(), self._issuers.xcauth_key_ids) is not None

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        self._issuers.refresh()
        token = password.reveal()
        form = recognise(token, self._issuers.xcauth_key_ids)
        if form is None:
            if trace is not None:
                trace.step("token", "does not look like one")
            return NOT_A_TOKEN
        if trace is not None:
            trace.step("token", f"looks like one of kind {form.value}, {len(token)} octets")
        try:
            return await self._judge(form, token, jid, trace)
        except Refused as refused:
            if trace is not None:
                trace.step("refused", refused.words)
            return model.rejected(refused.reason, refused.signer)
        except KeysUnavailable as error:
            if trace is not None:
                trace.step("keys", str(error))
            return model.unavailable(Reason.KEYS_UNAVAILABLE)
        except StoreUnavailable as error:
            if trace is not None:
                trace.step("state", str(error))
            return model.unavailable(Reason.STATE_UNAVAILABLE)

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`. Tokens tell nothing of users who do not show one."""
        return NOT_A_TOKEN

    async def identify(self, password: Secret, domain: str) -> Identity | Outcome:
        """See `model.Identifying`."""
        self._issuers.refresh()
        token = password.reveal()
        form = recognise(token, self._issuers.xcauth_key_ids)
        if form is None:
            return NOT_A_TOKEN
        try:
            self._check_kind(form)
            if form is Form.TEMPORARY:
                return await self._find(token)
            return self._read(form, token, domain)
        except Refused as refused:
            return model.rejected(refused.reason, refused.signer)
        except KeysUnavailable:
            return model.unavailable(Reason.KEYS_UNAVAILABLE)
        except StoreUnavailable:
            return model.unavailable(Reason.STATE_UNAVAILABLE)

    async def _find(self, token: bytes) -> Identity | Outcome:
        """Whose temporary token it is. Raises Refused, StoreUnavailable."""
        digest = temporary.digest(token)
        record = await ask(self._ledger, Find(temporary.id_of(digest)))
        if record is None or not hmac.compare_digest(record.digest, digest):
            return model.rejected(Reason.TOKEN_UNKNOWN)
        assert self._ledger is not None  # `ask` has raised
        return Identity(preparation.jid(record.jid), record.expires - self._ledger.ahead())

    def _read(self, form: Form, token: bytes, domain: str) -> Identity:
        """Whose signed token it is, by what is signed. Raises Refused, KeysUnavailable."""
        subject = self._signed.subject(form, token)
        if subject is None:
            raise Unfit(Reason.TOKEN_CLAIM_MISSING, "the token does not say whose it is")
        try:
            if "@" in subject:
                jid = preparation.jid(subject)
            else:
                jid = JID(preparation.local(subject.encode()), domain)
        except (preparation.Unprepared, UnicodeEncodeError):
            raise Unfit(Reason.TOKEN_USER_WRONG, "whose it is cannot be a JID") from None
        return Identity(jid, self._signed.judge(form, token, jid, None).dates.expires)

    def _check_kind(self, form: Form) -> None:
        """Raises Refused."""
        # .value is a property call on an enum; _value_ is the same as an attribute.
        if form._value_ not in self._accept:
            words = "no kind that this version knows" if form is Form.RESERVED else form.value
            raise Refused(Reason.TOKEN_NOT_ACCEPTED, f"`accept` does not name it: {words}")

    async def _judge(self, form: Form, token: bytes, jid: JID, trace: Trace | None) -> Outcome:
        """Raises Refused, KeysUnavailable, StoreUnavailable."""
        self._check_kind(form)
        if form is Form.TEMPORARY:
            return await self._use(token, jid, trace)
        try:
            good = self._signed.judge(form, token, jid, trace)
        except KeysUnavailable as error:
            if trace is None:
                raise
            trace.step("keys", str(error))
            await error.settled()  # who asks for the reasons can wait for the keys
            good = self._signed.judge(form, token, jid, trace)
        if good.admit is None:
            return good.accepted
        return await self._admit(good.admit, good.accepted, trace)

    async def _use(self, token: bytes, jid: JID, trace: Trace | None) -> Outcome:
        """Use up a temporary token. Raises Refused, StoreUnavailable."""
        digest = temporary.digest(token)
        if self._never(jid):  # before it is used up for nothing
            raise Unfit(Reason.TOKEN_NEVER, f"`never` of {jid.domain} names {jid.local}")
        use = Consume if trace is None else Peek
        reason = await ask(self._ledger, use(digest, f"{jid.local}@{jid.domain}"))
        signer = "" if reason is Reason.TOKEN_UNKNOWN else f"temporary#{temporary.id_of(digest)}"
        if trace is not None and signer:
            trace.step("id", temporary.id_of(digest))
            trace.step("use", NOT_USED)
        if reason is not Reason.TOKEN_VALID:
            return model.rejected(reason, signer)
        return Outcome(model.Verdict.ACCEPTED, reason, signer)

    async def _admit(self, admit: Admit, accepted: Outcome, trace: Trace | None) -> Outcome:
        """Accept a signed token that was not revoked, and not used where it may be once. Raises
        StoreUnavailable."""
        if admit.once is not None:
            if trace is None:
                admit = Claim(admit.subjects, admit.issued, admit.expires, admit.until, admit.once)
            else:
                trace.step("use", NOT_USED)
        reason = await ask(self._ledger, admit)
        return accepted if reason is Reason.TOKEN_VALID else model.rejected(reason, accepted.signer)
