"""One provider: whose its tokens are, and whether a password is right there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authbridge.issuers.issuers import Issuer
from authbridge.model import Outcome, Reason, Trace
from authbridge.outbound.asking import Asks
from authbridge.providers.discovery import Published
from authbridge.providers.endpoints import Endpoints
from authbridge.providers.findings import No, ProviderFault
from authbridge.providers.kept import Finding, Kept
from authbridge.providers.questions import Asked, Introspection, PasswordGrant, Userinfo
from authbridge.providers.settings import (
    INTROSPECTION,
    JWT,
    OF_USERINFO,
    OAuthSettings,
)
from authbridge.providers.signed import SignedAccess
from authbridge.tokens.refusals import Malformed, Refused
from authbridge.troubles import Troubles
from authbridge.wire.http import B64TOKEN

MOST_OCTETS = 8192
"""Of a token: more than any provider makes, and what a JSON Web Token may have here."""
MADE_UP = "authbridge-probe-"
_FAULTS_OF_A_GRANT = frozenset(
    {
        Reason.TOKEN_MALFORMED,
        Reason.TOKEN_ISSUER_UNKNOWN,
        Reason.TOKEN_KEY_UNKNOWN,
        Reason.TOKEN_ALGORITHM_REFUSED,
        Reason.TOKEN_SIGNATURE_WRONG,
        Reason.TOKEN_TYPE_WRONG,
        Reason.TOKEN_EXPIRED,
        Reason.TOKEN_NOT_YET_VALID,
        Reason.TOKEN_LIFETIME_TOO_LONG,
    }
)
"""Of a token that is given for a right password: what a provider, or a clock, does to everybody is
no user's wrong password."""


class Provider:
    """Asks it, or judges what it has signed."""

    def __init__(
        self,
        settings: OAuthSettings,
        reactor: Any,
        chance: Callable[[], float],
        wall: Callable[[], float],
        seconds: Callable[[], float],
        random: Callable[[int], bytes],
        connect: Callable[[str], Asks],
    ) -> None:
        """`chance`: numbers from 0 to 1; `wall`: seconds since the epoch; `seconds`: of a clock
        that nobody sets. `random` gives so many octets. `connect` makes the server of a URL."""
        self._settings = settings
        self._random = random
        published = Published(settings, reactor, chance)
        asked = [setting for setting in settings.needed if setting != "jwks_url"]
        discovered = all(setting in settings.urls for setting in asked)
        urls = None if discovered else published.urls()
        self._endpoints = Endpoints(settings, urls, connect, reactor)
        self._signed: SignedAccess | None = None
        self._asked: Asked
        if settings.tokens == JWT:
            issuer = Issuer(settings.as_issuer, published.keys())
            self._asked = self._signed = SignedAccess(issuer, settings.rules, wall)
        elif settings.tokens == INTROSPECTION:
            typed, issuer_name = not settings.untyped_answers, settings.issuer
            self._asked = Introspection(
                self._endpoints, issuer_name, settings.rules, wall, typed=typed
            )
        else:
            self._asked = Userinfo(self._endpoints, settings.issuer, settings.rules)
        self._grant: PasswordGrant | None = None
        if settings.password_grant:
            scopes = sorted(settings.rules.scopes) or OF_USERINFO
            self._grant = PasswordGrant(self._endpoints, " ".join(scopes))
        self._kept = Kept(self._ask, seconds, wall, random, keep=settings.cache)
        self._troubles = Troubles(seconds)
        self._name = f"provider {settings.issuer}"

    def start(self) -> None:
        """Begin to fetch what the provider publishes."""
        self._endpoints.start()
        if self._signed is not None:
            self._signed.start()

    def stop(self) -> None:
        """End; who still waits for an answer is told that there is none."""
        self._endpoints.stop()
        if self._signed is not None:
            self._signed.stop()

    async def whose(self, token: bytes, trace: Trace | None) -> Finding:
        """Whose this token is. With a trace nothing is answered from what is kept."""
        if trace is None and self._signed is None:
            return await self._kept.answer(token)
        return await self._ask(token, trace)

    async def password(self, user: str, password: bytes, trace: Trace | None) -> Finding:
        """Whether this is the user's password: whose the token is that the provider gives for it.
        The token is judged like one that somebody shows, and thrown away."""
        assert self._grant is not None  # nobody asks where there is none
        try:
            token = await self._grant.token(user, password, trace)
        except Refused as refused:
            self._troubles.over(self._name)
            return No.refused(refused)
        except ProviderFault as fault:
            return self._cannot_tell(fault)
        found = await self._ask(token, trace)
        if isinstance(found, No) and found.outcome.reason in _FAULTS_OF_A_GRANT:
            words = f"the token that it gives for a password: {found.words}"
            return self._cannot_tell(ProviderFault(Reason.PROVIDER_FAILED, words))
        if self._signed is not None:
            self._troubles.over(self._name)
        return found

    async def probe(self, trace: Trace) -> Outcome | None:
        """Try everything with what nobody has; None where all is well. The steps tell what was
        found."""
        try:
            if self._signed is not None:
                names = await self._signed.ready()
                trace.step("keys", ", ".join(map(ascii, names)))
            else:
                await self._probe_token(trace)
            if self._grant is not None:
                await self._probe_password(self._grant, trace)
        except ProviderFault as fault:
            trace.step("fault", fault.words)
            return No.cannot_tell(fault.reason, fault.words).outcome
        return None

    async def _probe_token(self, trace: Trace) -> None:
        """Raises ProviderFault."""
        way = self._settings.tokens
        try:
            found = await self._asked.judge(self._made_up(), trace)
        except Refused as refused:
            if refused.reason is Reason.TOKEN_INACTIVE:
                trace.step(way, "a made-up token is none")
                return
            words = f"{way} of a made-up token says: {refused.words}"
            raise ProviderFault(Reason.PROVIDER_FAILED, words) from None
        words = f"{way} names a user whatever the token is: {found.user!a}"
        raise ProviderFault(Reason.PROVIDER_FAILED, words)

    async def _probe_password(self, grant: PasswordGrant, trace: Trace) -> None:
        """Raises ProviderFault."""
        made_up = self._made_up()
        try:
            await grant.token(made_up.decode(), made_up, trace)
        except Refused:
            trace.step("password grant", "a made-up user is nobody")
            return
        words = "the password grant takes any password of a user that there is not"
        raise ProviderFault(Reason.PROVIDER_FAILED, words)

    def _made_up(self) -> bytes:
        return MADE_UP.encode() + self._random(16).hex().encode()

    async def _ask(self, token: bytes, trace: Trace | None = None) -> Finding:
        try:
            if self._signed is None:
                _check_form(token)
            found = await self._asked.judge(token, trace)
        except Refused as refused:
            self._judged(refused.reason)
            return No.refused(refused)
        except ProviderFault as fault:
            return self._cannot_tell(fault)
        self._judged(Reason.TOKEN_VALID)
        return found

    def _judged(self, reason: Reason) -> None:
        """A token was, by an answer of the provider's or without one."""
        if self._signed is None and reason is not Reason.TOKEN_MALFORMED:
            self._troubles.over(self._name)

    def _cannot_tell(self, fault: ProviderFault) -> No:
        if fault.reason is not Reason.KEYS_UNAVAILABLE:  # of which the log has heard already
            self._troubles.met(self._name, fault.words)
        return No.cannot_tell(fault.reason, fault.words)


def _check_form(token: bytes) -> None:
    """Whether it can be shown to the provider. Raises Malformed."""
    if len(token) > MOST_OCTETS:
        raise Malformed(f"it is longer than {MOST_OCTETS} octets")
    if not B64TOKEN.fullmatch(token):
        raise Malformed("it has characters that no access token has (RFC 6750, 2.1)")
