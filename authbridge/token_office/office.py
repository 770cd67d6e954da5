"""Issues, lists and revokes tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from twisted.internet.defer import CancelledError

from authbridge import preparation
from authbridge.domain_names import ANY_DOMAIN
from authbridge.issuers.issuers import KeysUnavailable
from authbridge.issuers.settings import IssuerSettings
from authbridge.issuers.signed import SignedTokens, latest_end
from authbridge.log import LoginLog
from authbridge.model import JID, Outcome, Reason, Verdict
from authbridge.rate import Rate
from authbridge.secret import Secret
from authbridge.stores.ledger import Ledger, StoreUnavailable
from authbridge.stores.operations import (
    EVER,
    MOST_LIVE,
    Find,
    Issue,
    List,
    Record,
    Revoke,
    RevokeAll,
    Withdraw,
    subject_of_issuer,
    subject_of_jti,
    subject_of_user,
)
from authbridge.token_office.grants import (
    TTL,
    Grant,
    Issued,
    Kept,
    Refusal,
    Wanted,
    check_wanted,
    nothing,
)
from authbridge.token_office.lookup import Kinds, Lookup
from authbridge.tokens import temporary
from authbridge.tokens.forms import Form
from authbridge.wire.token_api import LONGEST_TEXT

LEAST_KEPT = 86400.0
"""Seconds for which a revocation is remembered, however short its issuer's tokens live: should
`max_lifetime` be raised meanwhile, one that was refused as too long may become good, and its `iat`
or `jti` tells that it is revoked. (Of one without either, `Withdraw.ends` decides, which is that of
the day: it needs no such time.)"""


class TokenOffice:
    """Issues, lists, introspects and revokes.

    Raises Refusal, and StoreUnavailable or KeysUnavailable where it cannot be told. Who cancels
    does not know whether it was done. `number` is the request's id.
    """

    def __init__(
        self,
        ledger: Ledger,
        signed: SignedTokens,
        issuers: Mapping[str, IssuerSettings],
        kinds: Kinds,
        never: Callable[[JID], bool],
        login_log: LoginLog,
        wall: Callable[[], float],
        seconds: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        """`issuers` by name. `never`: for whom no token is issued. `wall`: seconds since the epoch;
        `seconds`: of a clock that nobody sets. `random`: so many octets that nobody guesses."""
        self._ledger = ledger
        self.lookup = Lookup(ledger, signed, kinds, never)
        """Introspects."""
        self._issuers = issuers
        self._kinds = kinds
        self._never = never
        self._log = login_log
        self._wall = wall
        self._seconds = seconds
        self._random = random
        self._rates: dict[tuple[str, str], Rate] = {}

    async def issue(self, grant: Grant, wanted: Wanted, *, front_end: str, number: str) -> Issued:
        """A new temporary token; it can be used from now on."""
        with self._line("issue_token", grant, front_end, number) as facts:
            jid = self._user(grant, wanted.jid, facts)
            ttl = min(TTL, grant.max_lifetime) if wanted.ttl is None else wanted.ttl
            check_wanted(grant, wanted, ttl)
            self._check_issue(grant, jid)
            token = temporary.make(self._random(temporary.RANDOM))
            digest = temporary.digest(token.encode())
            facts |= {"token": temporary.id_of(digest), "ttl": f"{ttl:g}"}
            facts["uses"] = "any" if wanted.uses is None else str(wanted.uses)
            issue = Issue(
                digest, str(jid), ttl, wanted.uses, grant.name, wanted.device, wanted.note
            )
            record = await self._ledger.ask(issue)
            if record is None:
                del facts["token"]
                words = f"{jid} has {MOST_LIVE} tokens already; revoke some"
                raise Refusal(Reason.TOKENS_TOO_MANY, words)
            expires = self.lookup.as_wall(record.expires)
            return Issued(jid, Secret(token.encode()), facts["token"], expires, record.uses)

    async def list(self, grant: Grant, jid: str) -> tuple[Kept, ...]:
        """The temporary tokens of a user that can still be used, the oldest first."""
        user = self._user(grant, jid, {})
        records = await self._ledger.ask(List(str(user)))
        return tuple(map(self._as_kept, records))

    async def revoke(self, grant: Grant, token_id: str, *, front_end: str, number: str) -> None:
        """Revoke one temporary token; not an error where it is over already."""
        with self._line("revoke_token", grant, front_end, number) as facts:
            record = await self._ledger.ask(Find(token_id))
            if record is None or not grant.covers(preparation.jid(record.jid)):
                raise nothing()
            facts |= {"jid": record.jid, "token": record.id}
            await self._ledger.ask(Revoke(record.id))

    async def revoke_user(self, grant: Grant, jid: str, *, front_end: str, number: str) -> int:
        """Revoke a user's temporary tokens, and what revocable issuers have signed for him up to
        now: how many of the first could still be used."""
        with self._line("revoke_user", grant, front_end, number) as facts:
            user = self._user(grant, jid, facts)
            self._check_rate(grant, "revoke")
            now = self._wall()
            for issuer in self._issuers.values():
                if issuer.revocable and issuer.may_sign_for_domain(user.domain):
                    subject = subject_of_user(issuer.name, str(user))
                    await self._ledger.ask(_withdraw(subject, issuer, now, now))
            count = await self._ledger.ask(RevokeAll(str(user)))
            facts["count"] = str(count)
            return count

    async def revoke_signed(
        self,
        grant: Grant,
        issuer: str,
        jti: str | None,
        before: float | None,
        *,
        front_end: str,
        number: str,
    ) -> None:
        """Revoke the one signed token of this `jti`, or, without one, all that the issuer has
        signed `before` a moment (seconds since the epoch; None: now)."""
        with self._line("revoke_signed", grant, front_end, number) as facts:
            facts["issuer"] = quote(issuer[:LONGEST_TEXT].encode("utf-8", "replace"), safe=":/@")
            settings = self._revocable(grant, issuer)
            self._check_rate(grant, "revoke")
            now = self._wall()
            if jti is not None:
                facts["jti"] = quote(jti[:LONGEST_TEXT].encode("utf-8", "replace"), safe="")
                withdraw = _withdraw(subject_of_jti(issuer, jti), settings, EVER, now)
            else:
                moment = now if before is None else before
                if not 0 <= moment <= now:
                    raise Refusal(Reason.REQUEST_MALFORMED, "`before` is no moment up to now")
                withdraw = _withdraw(subject_of_issuer(issuer), settings, moment, now)
            await self._ledger.ask(withdraw)

    async def revoke_token(
        self, grant: Grant, token: bytes, username: str | None, *, front_end: str, number: str
    ) -> None:
        """Revoke this token. Refusal with TOKEN_UNKNOWN: there is nothing to be revoked, which
        RFC 7009 takes for done; with NOT_SUPPORTED: its kind is not revoked singly."""
        with self._line("revoke_token", grant, front_end, number) as facts:
            form = self.lookup.form(token)
            if form is Form.TEMPORARY:
                record = await self.lookup.find(grant, token, username)
                if record is None:
                    raise nothing()
                facts |= {"jid": record.jid, "token": record.id}
                await self._ledger.ask(Revoke(record.id))
                return
            good = self.lookup.judge(grant, form, token, username)
            if good is None:
                raise nothing()
            facts |= {"jid": str(good.jid), "signer": good.accepted.signer}
            if not (good.issuer.revocable and good.dates.jti):
                raise Refusal(Reason.NOT_SUPPORTED, "a token of this kind is not revoked by itself")
            self._check_rate(grant, "revoke")
            subject = subject_of_jti(good.issuer.name, good.dates.jti)
            await self._ledger.ask(_withdraw(subject, good.issuer, EVER, self._wall()))

    @contextmanager
    def _line(
        self, operation: str, grant: Grant, front_end: str, number: str
    ) -> Iterator[dict[str, str]]:
        """The line of one request, however it ends; its facts are filled in on the way."""
        facts: dict[str, str] = {"jid": "-"}
        outcome = Outcome(Verdict.UNAVAILABLE, Reason.INTERNAL_ERROR)
        try:
            yield facts
            done = Reason.TOKEN_ISSUED if operation == "issue_token" else Reason.TOKENS_WITHDRAWN
            outcome = Outcome(Verdict.ACCEPTED, done)
        except Refusal as no:
            outcome = Outcome(Verdict.REJECTED, no.reason)
            raise
        except StoreUnavailable:
            outcome = Outcome(Verdict.UNAVAILABLE, Reason.STATE_UNAVAILABLE)
            raise
        except KeysUnavailable:
            outcome = Outcome(Verdict.UNAVAILABLE, Reason.KEYS_UNAVAILABLE)
            raise
        except CancelledError:
            outcome = Outcome(Verdict.UNAVAILABLE, Reason.DEADLINE_PASSED)
            raise
        finally:
            who = {"front_end": front_end, "caller": grant.name}
            self._log.token(number, operation, outcome, who | facts)

    def _user(self, grant: Grant, text: str, facts: dict[str, str]) -> JID:
        """The user that somebody asks about. Raises Refusal."""
        try:
            jid = preparation.jid(text)
        except (preparation.Unprepared, UnicodeEncodeError):
            raise Refusal(Reason.USER_MALFORMED, "`jid` is no user@domain") from None
        facts["jid"] = str(jid)
        if not grant.covers(jid):
            raise Refusal(Reason.CALLER_NOT_ALLOWED, f"{grant.name} may not ask about this user")
        return jid

    def _check_issue(self, grant: Grant, jid: JID) -> None:
        """Whether a temporary token would be accepted, and may be issued now. Raises Refusal."""
        kinds = self._kinds(jid.domain)
        if kinds is None:
            raise Refusal(Reason.DOMAIN_UNKNOWN, f"{jid.domain} is not served")
        if Form.TEMPORARY.value not in kinds:
            raise Refusal(
                Reason.TOKEN_NOT_ACCEPTED, f"no checker of {jid.domain} accepts temporary tokens"
            )
        if self._never(jid):
            raise Refusal(Reason.TOKEN_NEVER, f"`never` of {jid.domain} names this user")
        self._check_rate(grant, "issue")

    def _check_rate(self, grant: Grant, job: str) -> None:
        """Whether he may do this now. Raises Refusal."""
        if grant.rate is None:
            return
        rate = self._rates.get((grant.name, job))
        if rate is None:
            rate = self._rates[grant.name, job] = Rate(*grant.rate, self._seconds)
        if seconds := rate.take():
            raise Refusal(Reason.RATE_EXCEEDED, f"{grant.name} asks too often", seconds)

    def _revocable(self, grant: Grant, name: str) -> IssuerSettings:
        """An issuer whose tokens this grant may revoke, whoever they are for. Raises Refusal."""
        issuer = self._issuers.get(name)
        everywhere = ANY_DOMAIN in grant.domains
        if (
            issuer is None
            or grant.users is not None
            or not (everywhere or issuer.domains.issubset(grant.domains))
        ):
            words = f"there is no such issuer, or {grant.name} may not ask about all its users"
            raise Refusal(Reason.CALLER_NOT_ALLOWED, words)
        if not issuer.revocable:
            words = "its tokens are not looked up: see `revocable` of the issuer"
            raise Refusal(Reason.NOT_SUPPORTED, words)
        return issuer

    def _as_kept(self, record: Record) -> Kept:
        last = record.last_used
        return Kept(
            id=record.id,
            issued_at=self.lookup.as_wall(record.issued),
            expires_at=self.lookup.as_wall(record.expires),
            uses_left=record.uses,
            last_used_at=None if last is None else self.lookup.as_wall(last),
            client=record.client,
            device=record.device,
            note=record.note,
        )


def _withdraw(subject: bytes, issuer: IssuerSettings, before: float, now: float) -> Withdraw:
    """Remembered until all tokens that the issuer has signed up to now are over."""
    until = max(now + LEAST_KEPT, latest_end(issuer, now) + 2 * issuer.rules.leeway)
    if before == EVER:
        return Withdraw(subject, EVER, EVER, until)
    # Its clock may be ahead: what it has dated a little later was issued before. That is settled
    # here, by the settings of today, so that other ones tomorrow take nothing back.
    return Withdraw(subject, before + issuer.rules.leeway, latest_end(issuer, before), until)
