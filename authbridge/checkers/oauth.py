"""Users of an OAuth 2.0 or OpenID Connect provider, who show its access tokens in the place of
passwords; or, where that is switched on, their passwords (RFC 6749, 4.3).

A token is judged by the provider's keys, or by asking it. A token that says for whom it was issued
and what it may be used for is good here where that is what the settings ask for: any other
application of the provider has tokens of the same users.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NamedTuple

from authbridge import model, preparation
from authbridge.checkers import Surroundings
from authbridge.domain_names import ANY_DOMAIN
from authbridge.jid_templates import folded, localpart, name_within
from authbridge.model import JID, NOT_A_TOKEN, Identity, Outcome, Reason, Trace, Verdict
from authbridge.providers.findings import Found, No
from authbridge.providers.kept import Finding
from authbridge.providers.provider import Provider
from authbridge.providers.settings import JWT, OAuthSettings
from authbridge.providers.signed import issuer_of
from authbridge.secret import Secret
from authbridge.settings import Table
from authbridge.tokens.forms import Form, recognise
from authbridge.tokens.refusals import Malformed, quoted


def read_settings(table: Table) -> OAuthSettings:
    """Read the table, and close it."""
    return OAuthSettings.read(table)


def make_checker(settings: OAuthSettings, surroundings: Surroundings) -> OAuthChecker:
    """A checker that asks this provider. Nothing is connected before the daemon starts."""
    reactor = surroundings.reactor
    provider = Provider(
        settings,
        reactor,
        surroundings.chance,
        surroundings.wall,
        surroundings.seconds,
        surroundings.random,
        lambda url: settings.connect(url, reactor),
    )
    surroundings.at_start.append(provider.start)
    surroundings.at_stop.append(provider.stop)
    key_ids = surroundings.issuers.xcauth_key_ids
    return OAuthChecker(settings, provider, surroundings.never_token, key_ids)


class _Looks(NamedTuple):
    """What a password looks like."""

    form: Form | None
    owned: bool
    """It is one of the provider's tokens, good or bad."""
    readable: bool = True
    """It is no JSON Web Token of which nobody can say whose it is."""


class OAuthChecker:
    """Judges the tokens of one provider, and passwords where it may."""

    def __init__(
        self,
        settings: OAuthSettings,
        provider: Provider,
        never: Callable[[JID], bool],
        xcauth_key_ids: Container[bytes],
    ) -> None:
        """`never`: whether no token is accepted for a user. `xcauth_key_ids`: what tells xcauth
        tokens, which are none of this provider's, from passwords."""
        self._settings = settings
        self._provider = provider
        self._never = never
        self._xcauth_key_ids = xcauth_key_ids

    def recognises(self, password: Secret) -> bool:
        """See `model.Recognising`."""
        return self._look(password.reveal()).owned

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """See `model.Checker`."""
        octets = password.reveal()
        looks = self._look(octets)
        if looks.owned:
            if trace is not None:
                trace.step("token", f"is taken for one of {self._settings.issuer}")
            if self._never(jid):  # before the provider is shown it for nothing
                _tell(trace, f"`never` of {jid.domain} names {jid.local}")
                return model.rejected(Reason.TOKEN_NEVER)
            found = self._judge(await self._whose(octets, looks, trace), jid, trace)
            return found if isinstance(found, Outcome) else _valid(found)
        if looks.form is not None or not self._settings.password_grant:
            if trace is not None:
                trace.step("token", f"does not look like one of {self._settings.issuer}")
            return NOT_A_TOKEN
        return await self._check_grant(jid, octets, trace)

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """See `model.Checker`. A provider tells nothing of users who do not show a token."""
        return NOT_A_TOKEN

    async def identify(self, password: Secret, domain: str) -> Identity | Outcome:
        """See `model.Identifying`."""
        octets = password.reveal()
        looks = self._look(octets)
        if not looks.owned:
            return NOT_A_TOKEN
        found = await self._whose(octets, looks, None)
        if isinstance(found, No):
            return found.outcome
        try:
            return Identity(self._jid(found.user, domain), found.expires)
        except preparation.Unprepared:
            return model.rejected(Reason.TOKEN_USER_WRONG, found.signer)

    async def probe(self, trace: Trace) -> Outcome:
        """See `checkers.Probed`."""
        return await self._provider.probe(trace) or model.TOKEN_VALID

    async def _check_grant(self, jid: JID, password: bytes, trace: Trace | None) -> Outcome:
        name = name_within(self._settings.jid, jid.local)
        if name is None or not _is_plain(jid.local):
            if trace is not None:
                trace.step("user", f"{jid.local} is made of nobody's name by `jid`")
            return model.USER_UNKNOWN
        if self._settings.user_domain:
            name = f"{name}@{jid.domain}"
        found = self._judge(await self._provider.password(name, password, trace), jid, trace)
        return found if isinstance(found, Outcome) else model.PASSWORD_MATCHES

    def _look(self, octets: bytes) -> _Looks:
        """What it looks like, and whose it is by that."""
        form = recognise(octets, self._xcauth_key_ids)
        if form is Form.JWT:
            issuer = issuer_of(octets)
            # One that cannot be read is anybody's: it must not be shown to a directory; nor to the
            # provider (`_whose`).
            return _Looks(form, issuer in (self._settings.issuer, None), issuer is not None)
        if form is not None or self._settings.jwt_alone:
            return _Looks(form, owned=False)
        shape = self._settings.shape
        return _Looks(form, owned=shape is None or shape.matches(octets))

    async def _whose(self, octets: bytes, looks: _Looks, trace: Trace | None) -> Finding:
        if not looks.readable and self._settings.tokens != JWT:
            return No.refused(Malformed("it cannot be read whose it is, so that nobody is asked"))
        return await self._provider.whose(octets, trace)

    def _judge(self, finding: Finding, jid: JID, trace: Trace | None) -> Outcome | Found:
        """Whether what was found is this user's."""
        if isinstance(finding, No):
            unknown = finding.outcome.verdict is Verdict.UNAVAILABLE
            _tell(trace, finding.words, "fault" if unknown else "refused")
            return finding.outcome
        if trace is not None:
            trace.step("provider's user", quoted(finding.user))
        try:
            if self._jid(finding.user, jid.domain) == jid:
                return finding
            words = f"it is another user's than {jid}"
        except preparation.Unprepared as error:
            words = f"whose it is cannot be a JID of {jid.domain}: {error}"
        _tell(trace, words)
        return model.rejected(Reason.TOKEN_USER_WRONG, finding.signer)

    def _jid(self, user: str, domain: str) -> JID:
        """The JID of the provider's user, of this domain or, where his name has one and this is
        "*", of that. Raises preparation.Unprepared."""
        template, ignore_case = self._settings.jid, self._settings.ignore_case
        if self._settings.user_domain:
            user, at, host = user.rpartition("@")
            spelled = folded(host, ignore_case=ignore_case)
            own = preparation.domain(spelled.encode(errors="surrogatepass"))
            if not at or own != (own if domain == ANY_DOMAIN else domain):
                raise preparation.Unprepared("the name has another domain at its end, or none")
            if own != spelled:  # who has such a name need not be who has the usual one
                raise preparation.Unprepared("the domain at its end is another one to XMPP")
            domain = own
        local = localpart(template, user, ignore_case=ignore_case)
        if not _is_plain(local):
            raise preparation.Unprepared("the name stands for another one (XEP-0106)")
        return JID(local, domain)


def _is_plain(local: str) -> bool:
    r"""Whether a localpart stands for itself: `o\27brien` is o'brien's, as other checkers have it,
    and not his whom the provider calls that."""
    try:
        return preparation.unescape(local) == local
    except preparation.Unprepared:
        return False


def _valid(found: Found) -> Outcome:
    return Outcome(Verdict.ACCEPTED, Reason.TOKEN_VALID, found.signer)


def _tell(trace: Trace | None, words: str, step: str = "refused") -> None:
    if trace is not None:
        trace.step(step, words)
