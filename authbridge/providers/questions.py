"""What a provider is asked about tokens: introspection, userinfo, and a token for a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from authbridge.model import Reason, Trace
from authbridge.providers import claims as access
from authbridge.providers.claims import ClaimRules
from authbridge.providers.endpoints import Answer, Endpoints
from authbridge.providers.findings import Found
from authbridge.tokens.refusals import Malformed, Refused, Unfit, Untrusted, quoted
from authbridge.wire import oauth_answers
from authbridge.wire.oauth_answers import OF_THE_CLIENT, Unusable


class Asked(Protocol):
    """A way to ask about a token."""

    async def judge(self, token: bytes, trace: Trace | None) -> Found:
        """Whose it is. Raises Refused, ProviderFault. Safe to cancel."""
        ...


class Introspection:
    """RFC 7662."""

    setting = "introspection_url"

    def __init__(
        self,
        endpoints: Endpoints,
        issuer: str,
        rules: ClaimRules,
        wall: Callable[[], float],
        *,
        typed: bool,
    ) -> None:
        """`wall`: seconds since the epoch. `typed`: an answer has to say what the token is."""
        self._endpoints = endpoints
        self._issuer = issuer
        self._rules = rules
        self._wall = wall
        self._typed = typed

    async def judge(self, token: bytes, trace: Trace | None) -> Found:
        """See `Asked`."""
        fields: dict[str, str | bytes] = {"token": token, "token_type_hint": "access_token"}
        answer = await self._endpoints.post(self.setting, fields)
        if trace is not None:
            trace.step("introspection", f"answered with {answer.status}")
        members = _read(answer)
        try:
            active = oauth_answers.read_active(members)
        except Unusable as error:
            raise answer.failed(f"answers that {error}") from None
        if not active:
            raise Untrusted(Reason.TOKEN_INACTIVE, "`active` is false")
        return self._check(answer, members)

    def _check(self, answer: Answer, members: dict[str, Any]) -> Found:
        said = members.get("iss", self._issuer)
        try:
            if said != self._issuer:
                words = f"`iss` is {quoted(said)}, and not `issuer`"
                raise Unfit(Reason.TOKEN_ISSUER_UNKNOWN, words)
            if self._typed:
                access.check_typed(members)
            now, issuer = self._wall(), self._issuer
            return access.check(members, self._rules, now, signer=issuer, must_end=False)
        except Malformed as malformed:  # the answer, and not the token
            raise answer.failed(f"answers that {malformed.words}") from None
        except Refused as refused:
            refused.signer = self._issuer
            raise


class Userinfo:
    """OpenID Connect Core 1.0, 5.3: who shows the token is told whose it is."""

    setting = "userinfo_url"

    def __init__(self, endpoints: Endpoints, issuer: str, rules: ClaimRules) -> None:
        self._endpoints = endpoints
        self._issuer = issuer
        self._rules = rules

    async def judge(self, token: bytes, trace: Trace | None) -> Found:
        """See `Asked`."""
        answer = await self._endpoints.get(self.setting, f"Bearer {token.decode('ascii')}")
        if trace is not None:
            trace.step("userinfo", f"answered with {answer.status}")
        if answer.status == 401:
            raise Untrusted(Reason.TOKEN_INACTIVE, "the provider answers 401")
        if answer.status == 403:
            if answer.error() == "insufficient_scope":
                raise Unfit(Reason.TOKEN_SCOPE_MISSING, "it may not be used to ask whose it is")
            raise answer.refused(answer.error())
        if answer.status != 200:
            raise answer.unexpected()
        return Found(access.read_user(answer.members(), self._rules.user), None, self._issuer)


class PasswordGrant:
    """A token for a user's password (RFC 6749, 4.3): it shows that the password is right."""

    setting = "token_url"

    def __init__(self, endpoints: Endpoints, scopes: str) -> None:
        """`scopes`: what the token is to be good for."""
        self._endpoints = endpoints
        self._scopes = scopes

    async def token(self, user: str, password: bytes, trace: Trace | None) -> bytes:
        """The access token. Raises Refused: the password is wrong; ProviderFault."""
        fields: dict[str, str | bytes] = {
            "grant_type": "password",
            "username": user,
            "password": password,
            "scope": self._scopes,
        }
        answer = await self._endpoints.post(self.setting, fields)
        if trace is not None:
            trace.step("password grant", f"answered with {answer.status}")
        if answer.status == 200:
            try:
                return oauth_answers.read_granted(answer.members())
            except Unusable as trouble:
                raise answer.failed(f"answers that {trouble}") from None
        # Keycloak says "invalid_grant" with a 401; the error counts, not the status.
        error = answer.error() if 400 <= answer.status < 500 else ""
        if error == "invalid_grant":
            raise Refused(Reason.PASSWORD_MISMATCH, "the provider answers invalid_grant")
        if error in OF_THE_CLIENT:
            raise answer.refused(error)
        raise answer.unexpected()


def _read(answer: Answer) -> dict[str, Any]:
    """The members of an answer about a token. Raises ProviderFault."""
    if answer.status == 200:
        return answer.members()
    error = answer.error()
    if answer.status in (401, 403) or (answer.status == 400 and error in OF_THE_CLIENT):
        raise answer.refused(error)
    raise answer.unexpected()
