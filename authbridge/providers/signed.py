"""Access tokens that are JSON Web Tokens, judged here by the provider's keys (RFC 9068, 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authbridge.issuers.issuers import Issuer, KeysUnavailable
from authbridge.model import Reason, Trace
from authbridge.providers import claims as access
from authbridge.providers.claims import ClaimRules
from authbridge.providers.findings import Found, ProviderFault
from authbridge.providers.presets import ACCESS_TOKEN
from authbridge.tokens import jws, jwt
from authbridge.tokens.refusals import Malformed, Refused, Unfit, Untrusted, quoted


def issuer_of(token: bytes) -> str | None:
    """Who says that he has issued it, true or not; None where that cannot be read."""
    try:
        return jwt.read_issuer(jwt.read_claims(jws.read(token)))
    except Refused:
        return None


class SignedAccess:
    """Judges them. Nothing is waited for, but for the sake of `explain`."""

    def __init__(self, issuer: Issuer, rules: ClaimRules, wall: Callable[[], float]) -> None:
        """`issuer`: the provider with its keys. `wall`: seconds since the epoch."""
        self._issuer = issuer
        self._rules = rules
        self._wall = wall

    def start(self) -> None:
        """Begin to fetch keys."""
        assert self._issuer.fetched is not None
        self._issuer.fetched.start()

    def stop(self) -> None:
        """End it."""
        assert self._issuer.fetched is not None
        self._issuer.fetched.stop()

    async def ready(self) -> list[str]:
        """The names of the keys, when they are fetched. Raises ProviderFault."""
        assert self._issuer.fetched is not None
        await self._issuer.fetched.ready()
        try:
            return self._issuer.keys().names()
        except KeysUnavailable as error:
            raise ProviderFault(Reason.KEYS_UNAVAILABLE, str(error)) from None

    async def judge(self, token: bytes, trace: Trace | None) -> Found:
        """Raises Refused, ProviderFault."""
        try:
            try:
                return self._judge(token, trace)
            except KeysUnavailable as error:
                if trace is None:
                    raise
                trace.step("keys", str(error))
                await error.settled()  # who asks for the reasons can wait for the keys
                return self._judge(token, trace)
        except KeysUnavailable as error:
            raise ProviderFault(Reason.KEYS_UNAVAILABLE, str(error)) from None

    def _judge(self, token: bytes, trace: Trace | None) -> Found:
        """Raises Refused, KeysUnavailable."""
        read = jws.read(token)
        claims = jwt.read_claims(read)
        try:
            key = jws.verify(read, self._issuer.keys().set, trace)
        except Untrusted as refused:
            if refused.reason is Reason.TOKEN_KEY_UNKNOWN:
                self._issuer.misses_a_key()
            raise
        signer = self._issuer.accepted(key).signer
        if trace is not None:
            trace.step("signature", "is right")
        try:
            self._check_issuer(claims)
            self._check_type(read.header, claims)
            return access.check(claims, self._rules, self._wall(), signer=signer, must_end=True)
        except Refused as refused:
            refused.signer = signer
            raise

    def _check_issuer(self, claims: dict[str, Any]) -> None:
        """Several issuers may have the same keys: those of one house."""
        said = jwt.read_issuer(claims)
        if said != self._issuer.settings.name:
            words = f"`iss` is {quoted(said)}, and not `issuer`"
            raise Unfit(Reason.TOKEN_ISSUER_UNKNOWN, words)

    def _check_type(self, header: dict[str, Any], claims: dict[str, Any]) -> None:
        typ = header.get("typ", "JWT")
        if not isinstance(typ, str):
            raise Malformed("the header's `typ` is no string")
        plain, expected = jwt.plain_type(typ), self._rules.dates.typ
        if plain == ACCESS_TOKEN:
            return  # whatever older ones look like
        if plain != expected:
            said = quoted(typ) if "typ" in header else "missing"
            raise Unfit(Reason.TOKEN_TYPE_WRONG, f"`typ` is {said}, and should be {expected}")
        access.check_untyped(claims, self._rules)
