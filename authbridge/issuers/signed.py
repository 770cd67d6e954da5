"""Whether a signed token is good: for this user, at this moment, by an issuer who may say so."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from typing import Any

from authbridge import preparation
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.issuers.keyring import MacKey
from authbridge.issuers.settings import IssuerSettings
from authbridge.model import JID, Outcome, Reason, Trace
from authbridge.settings import did_you_mean
from authbridge.stores.operations import (
    Admit,
    subject_of_issuer,
    subject_of_jti,
    subject_of_user,
)
from authbridge.tokens import compact, jws, jwt, xcauth
from authbridge.tokens.forms import Form
from authbridge.tokens.refusals import Malformed, Refused, Unfit, Untrusted, quoted

LEAST_SLACK = 30.0
"""Seconds that an issuer's clock may be ahead of ours when it gives a token its full lifetime."""


@dataclass(frozen=True, slots=True)
class Dates:
    """What a token says of itself beside whom it is for. Times in seconds since the epoch."""

    expires: float
    issued: float | None = None
    jti: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A token whose signature is right."""

    issuer: IssuerSettings
    accepted: Outcome
    """What is answered where all else is right."""
    check: Callable[[], Dates]
    """Looks at all else. Raises Refused."""


@dataclass(frozen=True, slots=True)
class Good:
    """A token that nothing is to be said against, as far as it can be told without a store."""

    jid: JID
    issuer: IssuerSettings
    accepted: Outcome
    dates: Dates
    admit: Admit | None
    """What has to be asked of the store before it is accepted; None: nothing."""


class SignedTokens:
    """Judges signed tokens. Nothing is waited for."""

    def __init__(
        self, issuers: Issuers, never: Callable[[JID], bool], wall: Callable[[], float]
    ) -> None:
        """`never`: whether no token is accepted for a user. `wall`: seconds since the epoch."""
        self._issuers = issuers
        self._never = never
        self._wall = wall

    def judge(self, form: Form, token: bytes, jid: JID, trace: Trace | None) -> Good:
        """Raises Refused, KeysUnavailable."""
        read = self._read_jwt if form is Form.JWT else self._read_mac
        signed = read(form, token, jid, trace)
        issuer = signed.issuer
        if trace is not None:
            trace.step("issuer", issuer.name)
            trace.step("signature", "is right")
        try:
            dates = signed.check()
            self._check_rights(issuer, jid)
            admit = _admit(issuer, dates, jid) if issuer.needs_state else None
        except Refused as refused:
            refused.signer = signed.accepted.signer
            raise
        return Good(jid, issuer, signed.accepted, dates, admit)

    @property
    def xcauth_key_ids(self) -> Container[bytes]:
        """What tells xcauth tokens from passwords (`tokens.forms`)."""
        self._issuers.refresh()
        return self._issuers.xcauth_key_ids

    def subject(self, form: Form, token: bytes) -> str | None:
        """Whom a token is for by its own words, true or not; None where it says nothing. Raises
        Refused."""
        if form is not Form.JWT:
            return None
        claims = jwt.read_claims(jws.read(token))
        issuer = self._issuers.jwt(jwt.read_issuer(claims))
        subject = claims.get("sub" if issuer is None else issuer.settings.rules.subject)
        return subject if isinstance(subject, str) else None

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
        return Signed(issuer.settings, issuer.accepted(key), check)

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
        check = partial(self._check_expiry, issuer.settings, read.expiry)
        return Signed(issuer.settings, issuer.accepted(key), check)

    def _check_claims(
        self, settings: IssuerSettings, header: dict[str, Any], claims: dict[str, Any], jid: JID
    ) -> Dates:
        audiences = [one.replace("{domain}", jid.domain) for one in settings.audiences]
        subject = jwt.check(header, claims, settings.rules, audiences, self._wall())
        if not _is_user(subject, jid):
            words = f"`{settings.rules.subject}` is {quoted(subject)}, and the login is for {jid}"
            raise Unfit(Reason.TOKEN_USER_WRONG, words)
        jti = claims.get("jti")
        if not isinstance(jti, str | None):
            if settings.needs_state:
                raise Malformed("`jti` is no string")
            jti = None
        return Dates(claims["exp"], jwt.read_date(claims, "iat"), jti)

    def _check_expiry(self, settings: IssuerSettings, expiry: int) -> Dates:
        """Of a token that says nothing but when it ends."""
        now, rules = self._wall(), settings.rules
        if expiry + rules.leeway < now:
            raise Unfit(Reason.TOKEN_EXPIRED, f"it expired {now - expiry:.0f} s ago")
        if expiry > now + rules.max_lifetime + max(rules.leeway, LEAST_SLACK):
            raise Unfit(
                Reason.TOKEN_LIFETIME_TOO_LONG,
                f"it is good for {expiry - now:.0f} s more, and may be for {rules.max_lifetime:g}",
            )
        return Dates(expiry)

    def _check_rights(self, settings: IssuerSettings, jid: JID) -> None:
        """Whether this issuer may sign for this user, and anybody may."""
        if not settings.may_sign_for_domain(jid.domain):
            words = f"`domains` of {settings.name} lack {jid.domain}"
            raise Unfit(Reason.TOKEN_DOMAIN_REFUSED, words)
        if not settings.may_sign_for_user(jid):
            raise Unfit(Reason.TOKEN_USER_REFUSED, f"`users` of {settings.name} lack {jid.local}")
        if self._never(jid):
            raise Unfit(Reason.TOKEN_NEVER, f"`never` of {jid.domain} names {jid.local}")


def _admit(issuer: IssuerSettings, dates: Dates, jid: JID) -> Admit:
    """What is asked about it. Raises Refused."""
    once = None
    if issuer.single_use:
        if not dates.jti:
            words = "there is no `jti`, and its issuer's tokens are accepted once (single_use)"
            raise Unfit(Reason.TOKEN_CLAIM_MISSING, words)
        once = subject_of_jti(issuer.name, dates.jti)
    subjects: tuple[bytes, ...] = ()
    if issuer.revocable:
        subjects = (subject_of_issuer(issuer.name), subject_of_user(issuer.name, str(jid)))
        if dates.jti:
            subjects += (once or subject_of_jti(issuer.name, dates.jti),)
    # A moment after which it is refused by its dates, in whatever way they are rounded.
    until = dates.expires + issuer.rules.leeway + 1
    return Admit(subjects, dates.issued, dates.expires, until, once)


def latest_end(issuer: IssuerSettings, issued: float) -> float:
    """When a token ends at the latest that the issuer has signed up to a moment, whatever its clock
    says."""
    rules = issuer.rules
    return issued + rules.max_lifetime + max(rules.leeway, LEAST_SLACK)


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
