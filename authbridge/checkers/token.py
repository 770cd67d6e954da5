"""Signed tokens in the place of passwords: who signs is in [issuers], what is checked in `tokens`.

A token is decided here and nowhere else. What looks like one, good or broken, is recognised, so
that no directory counts it as a wrong password, or gets to read it; what does not is somebody
else's. The directory is not asked: a token works while it is down, and for whom it has disabled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from authbridge import model, preparation
from authbridge.checkers import Surroundings
from authbridge.issuers.issuers import Issuer, Issuers, KeysUnavailable
from authbridge.issuers.keyring import MacKey
from authbridge.issuers.settings import KINDS, IssuerSettings
from authbridge.model import JID, NOT_A_TOKEN, Outcome, Reason, Trace
from authbridge.secret import Secret
from authbridge.settings import Table, did_you_mean
from authbridge.tokens import compact, jws, jwt, xcauth
from authbridge.tokens.forms import Form, recognise
from authbridge.tokens.refusals import Refused, Unfit, Untrusted, quoted

LEAST_SLACK = 30.0
"""Seconds that an issuer's clock may be ahead of ours when it gives a token its full lifetime."""

NeverToken = Callable[[JID], bool]
Signed = tuple[Issuer, Outcome, Callable[[], None]]
"""Who has signed a token, the outcome where all else is right, and what has to be looked at for
that; it raises Refused."""


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
        if kind not in KINDS:
            table.wrong("accept", f'"{kind}" is not known{did_you_mean(kind, KINDS)}')
    table.close()
    return TokenSettings(frozenset(accept))


def make_checker(settings: TokenSettings, surroundings: Surroundings) -> TokenChecker:
    """A checker that takes tokens of these kinds."""
    return TokenChecker(
        settings.accept, surroundings.issuers, surroundings.never_token, surroundings.wall
    )


class TokenChecker:
    """Judges tokens. Nothing is waited for, but for the sake of `explain`."""

    def __init__(
        self,
        accept: frozenset[str],
        issuers: Issuers,
        never: NeverToken,
        wall: Callable[[], float],
    ) -> None:
        """`wall`: seconds since the epoch."""
        self._accept = accept
        self._issuers = issuers
        self._never = never
        self._wall = wall

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
            try:
                return self._judge(form, token, jid, trace)
            except KeysUnavailable as error:
                if trace is None:
                    raise
                trace.step("keys", str(error))
                await error.settled()  # who asks for the reasons can wait for the keys
                return self._judge(form, token, jid, trace)
        except Refused as refused:
            if trace is not None:
                trace.step("refused", refused.words)
            return model.rejected(refused.reason, refused.signer)
        except KeysUnavailable as error:
            if trace is not None:
                trace.step("keys", str(error))
            return model.unavailable(Reason.KEYS_UNAVAILABLE)

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`. Tokens tell nothing of users who do not show one."""
        return NOT_A_TOKEN

    def _judge(self, form: Form, token: bytes, jid: JID, trace: Trace | None) -> Outcome:
        """ACCEPTED. Raises Refused, KeysUnavailable."""
        # .value is a property call on an enum; _value_ is the same as an attribute.
        if form._value_ not in self._accept:
            words = "no kind that this version knows" if form is Form.RESERVED else form.value
            raise Refused(Reason.TOKEN_NOT_ACCEPTED, f"`accept` does not name it: {words}")
        judge = self._read_jwt if form is Form.JWT else self._read_mac
        issuer, accepted, check = judge(form, token, jid, trace)
        if trace is not None:
            trace.step("issuer", issuer.settings.name)
            trace.step("signature", "is right")
        try:
            check()
            self._check_rights(issuer.settings, jid)
        except Refused as refused:
            refused.signer = accepted.signer
            raise
        return accepted

    def _read_jwt(self, _form: Form, token: bytes, jid: JID, trace: Trace | None) -> Signed:
        read = jws.read(token)
        claims = jwt.read_claims(read)
        name = jwt.read_issuer(claims)
        issuer = self._issuers.jwt(name)
        if issuer is None:
            # Anybody can send such a one: what is nearest is looked for where somebody asks.
            near = "" if trace is None else did_you_mean(name, self._issuers.jwt_names())
            raise Untrusted(Reason.TOKEN_ISSUER_UNKNOWN, f"`iss` is {quoted(name)}{near}")
        try:
            key = jws.verify(read, issuer.keys().set, trace)
        except Untrusted as refused:
            if refused.reason is Reason.TOKEN_KEY_UNKNOWN:
                issuer.misses_a_key()
            raise
        check = partial(self._check_claims, issuer.settings, read.header, claims, jid)
        return issuer, issuer.accepted(key), check

    def _read_mac(self, form: Form, token: bytes, jid: JID, trace: Trace | None) -> Signed:
        kind = compact if form is Form.COMPACT else xcauth
        read = kind.read(token)
        text = f"{jid.local}@{jid.domain}"
        found: tuple[Issuer, MacKey] | None = None
        possible = self._issuers.signers(form._value_, read.key_id)
        for pair in possible:
            if kind.is_signed(read, pair[1].keyed, text):
                # Issuers may have one secret, for some domains and users each.
                settings = pair[0].settings
                if settings.may_sign_for_domain(jid.domain) and settings.may_sign_for_user(jid):
                    found = pair
                    break
                found = found or pair
        if found is None:
            key_id = read.key_id.hex()
            if possible:
                words = f"key {key_id} has not signed this for {text}"
                raise Untrusted(Reason.TOKEN_SIGNATURE_WRONG, words)
            raise Untrusted(Reason.TOKEN_KEY_UNKNOWN, f"there is no key of the key id {key_id}")
        issuer, key = found
        if trace is not None:
            trace.step("key", f"{quoted(key.kid)} is {key.source}")
        return issuer, issuer.accepted(key), partial(self._check_expiry, read.expiry, issuer)

    def _check_claims(
        self, settings: IssuerSettings, header: dict[str, Any], claims: dict[str, Any], jid: JID
    ) -> None:
        audiences = [one.replace("{domain}", jid.domain) for one in settings.audiences]
        subject = jwt.check(header, claims, settings.rules, audiences, self._wall())
        if not _is_user(subject, jid):
            words = f"`{settings.rules.subject}` is {quoted(subject)}, and the login is for {jid}"
            raise Unfit(Reason.TOKEN_USER_WRONG, words)

    def _check_expiry(self, expiry: int, issuer: Issuer) -> None:
        """Of a token that says nothing but when it ends."""
        now, rules = self._wall(), issuer.settings.rules
        if expiry + rules.leeway < now:
            raise Unfit(Reason.TOKEN_EXPIRED, f"it expired {now - expiry:.0f} s ago")
        if expiry > now + rules.max_lifetime + max(rules.leeway, LEAST_SLACK):
            raise Unfit(
                Reason.TOKEN_LIFETIME_TOO_LONG,
                f"it is good for {expiry - now:.0f} s more, and may be for {rules.max_lifetime:g}",
            )

    def _check_rights(self, settings: IssuerSettings, jid: JID) -> None:
        """Whether this issuer may sign for this user, and anybody may."""
        if not settings.may_sign_for_domain(jid.domain):
            words = f"`domains` of {settings.name} lack {jid.domain}"
            raise Unfit(Reason.TOKEN_DOMAIN_REFUSED, words)
        if not settings.may_sign_for_user(jid):
            raise Unfit(Reason.TOKEN_USER_REFUSED, f"`users` of {settings.name} lack {jid.local}")
        if self._never(jid):
            raise Unfit(Reason.TOKEN_NEVER, f"`never` of {jid.domain} names {jid.local}")


def _is_user(subject: str, jid: JID) -> bool:
    """Whether a subject is this JID: as a bare JID, or as the user of the domain asked for."""
    if subject in (jid.local, f"{jid.local}@{jid.domain}"):
        return True
    try:
        octets = subject.encode()  # JSON can spell what is no character: halves of a surrogate
        if "@" in subject:
            return preparation.jid(subject) == jid
        return preparation.local(octets) == jid.local
    except (preparation.Unprepared, UnicodeEncodeError):
        return False
