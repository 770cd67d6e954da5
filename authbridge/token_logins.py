"""Logins by a credential that says whose it is, for callers that name no user: one outcome, one
deadline and one line in the log each, as of every login.

Whose it is is asked first, by which nothing is used up; then it is judged as the password of that
user. Where a caller does not say of which domain the user is either, the credential has to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred

from authbridge import model
from authbridge.authenticator import Authenticator, impossible
from authbridge.domain_names import ANY_DOMAIN
from authbridge.logins import Login
from authbridge.model import JID, Identity, Outcome, Reason, Verdict
from authbridge.secret import Secret

LONGEST = 8192
"""Octets of a credential that somebody is asked about: no checker takes a longer token, and each of
many domains would look at the whole of it."""
Found = tuple[Outcome, "Identity | None"]
"""What was judged; whose it is where it is accepted, otherwise None."""


class TokenLogins:
    """Asks the authenticator."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def check(
        self,
        front_end: str,
        operation: str,
        credential: Secret,
        domains: Iterable[str],
        refusal: Callable[[JID], Reason | None],
        deadline: float,
        *,
        number: str,
        caller: str,
        address: str,
    ) -> Deferred[Found]:
        """Whose it is, of one of these domains (prepared, or "*"), and whether he is let in by it.
        `refusal`: why the caller is not told of a user; None: he is. Fires within `deadline`
        seconds, never fails."""
        logins = self._authenticator.logins
        login = logins.begin(front_end, operation, None, number, caller, address)
        whose: list[Identity] = []
        judged = logins.run(
            login, self._judge(login, credential, domains, refusal, whose), deadline
        )
        found: Deferred[Found] = Deferred()
        judged.addCallback(
            lambda outcome: found.callback(
                (outcome, whose[0] if outcome.verdict is Verdict.ACCEPTED else None)
            )
        )
        return found

    async def _judge(
        self,
        login: Login,
        credential: Secret,
        domains: Iterable[str],
        refusal: Callable[[JID], Reason | None],
        whose: list[Identity],
    ) -> Outcome:
        wrong = impossible(credential)
        if wrong is not None:
            return model.rejected(wrong)
        if len(credential.reveal()) > LONGEST:
            return model.rejected(Reason.TOKEN_MALFORMED)
        identity = await self._identify(login, credential, domains)
        if isinstance(identity, Outcome):
            return identity
        login.jid = identity.jid
        wrong = refusal(identity.jid)
        if wrong is not None:
            return model.rejected(wrong)
        whose.append(identity)
        user, domain = identity.jid.local.encode(), identity.jid.domain.encode()
        return await self._authenticator.judge(login, user, domain, credential)

    async def _identify(
        self, login: Login, credential: Secret, domains: Iterable[str]
    ) -> Identity | Outcome:
        """The one user whose it is."""
        found: dict[JID, Identity] = {}
        # An XMPP server's users may send what they like: whoever keeps a token is not to be asked
        # about it as often as there are domains.
        said: dict[str, Outcome] = {}
        cannot_tell: Outcome | None = None
        refused: Outcome | None = None
        for domain in domains:
            told = await self._authenticator.identify(login, domain, credential, said)
            if isinstance(told, Identity) and told.jid.domain == ANY_DOMAIN:
                told = model.rejected(Reason.TOKEN_CLAIM_MISSING)  # nobody says of which domain
            if isinstance(told, Identity):
                if told.jid.domain != domain:
                    return told  # it names the domain itself, whichever is asked
                found[told.jid] = told
                if len(found) > 1:
                    return model.rejected(Reason.USER_AMBIGUOUS)
            elif told.verdict is Verdict.UNAVAILABLE:
                cannot_tell = cannot_tell or told
            elif refused is None or refused.reason is Reason.NO_CHECKER:
                refused = told
        for identity in found.values():
            return identity
        return cannot_tell or refused or model.rejected(Reason.DOMAIN_UNKNOWN)
