"""One login: the domain's checkers in order, their verdicts folded, one deadline, one line.

A change of a password and a registration walk the same way. A front end asks here and gets exactly
one Outcome, whatever the checkers do. Names are prepared here, once; a password that can be
nobody's is refused here, before anybody is asked.
"""

from __future__ import annotations

import stringprep
from collections.abc import Collection, Iterable, Mapping

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from authbridge import model, password_hash, preparation
from authbridge.chains import Domain, NamedChecker
from authbridge.domain_names import ANY_DOMAIN
from authbridge.log import LoginLog
from authbridge.logins import Login, Logins
from authbridge.model import (
    JID,
    Identifying,
    Identity,
    Outcome,
    Reason,
    Registry,
    Trace,
    Verdict,
)
from authbridge.secret import Secret


class Authenticator:
    """The only way from a front end to the checkers."""

    def __init__(
        self, domains: Mapping[str, Domain], login_log: LoginLog, clock: IReactorTime, boot: str
    ) -> None:
        """`domains` by prepared name, "*" for any other. `boot` starts every request id, and tells
        this process's from those of the one before."""
        self._domains = domains
        self._spelled = {name.encode(): name for name in domains if name != ANY_DOMAIN}
        self.logins = Logins(login_log, clock, boot)
        """Those under way; a front end may have others than this one's among them."""

    def check_password(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        password: Secret,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
        address: str = "",
    ) -> Deferred[Outcome]:
        """Whether this is the user's password. Fires within `deadline` seconds, never fails."""
        login = self.logins.begin(front_end, "check_password", trace, number, caller, address)
        return self.logins.run(login, self._check_password(login, user, domain, password), deadline)

    def user_exists(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
        address: str = "",
    ) -> Deferred[Outcome]:
        """Whether there is such a user: ACCEPTED is yes. Fires within `deadline`, never fails."""
        login = self.logins.begin(front_end, "user_exists", trace, number, caller, address)
        return self.logins.run(login, self._user_exists(login, user, domain), deadline)

    def set_password(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        password: Secret,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
        address: str = "",
    ) -> Deferred[Outcome]:
        """Give the user another password: ACCEPTED is done. Fires within `deadline`, never fails.

        UNAVAILABLE may have been done all the same: a change on its way cannot be called back.
        """
        login = self.logins.begin(front_end, "set_password", trace, number, caller, address)
        return self.logins.run(login, self._set_password(login, user, domain, password), deadline)

    def register(
        self,
        front_end: str,
        user: bytes,
        domain: bytes,
        password: Secret,
        deadline: float,
        *,
        trace: Trace | None = None,
        number: str = "",
        caller: str = "",
        address: str = "",
    ) -> Deferred[Outcome]:
        """Make a user who exists nowhere: ACCEPTED is done. Otherwise as `set_password`."""
        login = self.logins.begin(front_end, "register", trace, number, caller, address)
        return self.logins.run(login, self._register(login, user, domain, password), deadline)

    @property
    def served(self) -> Collection[str]:
        """The domains that there are users of, as they are configured."""
        return self._domains.keys()

    async def identify(
        self, login: Login, domain: str, credential: Secret, said: dict[str, Outcome]
    ) -> Identity | Outcome:
        """Whose credential it is, by the domain's checkers (`model.Identifying`); for a front end
        that asks `judge` next, as one login.

        `said`: what checkers, by name, have said of it that is so in each domain; they are not
        asked again, and what is found out here is added.
        """
        rule = self._rule(domain)
        if rule is None:
            return model.rejected(Reason.DOMAIN_UNKNOWN)
        cannot_tell: Outcome | None = None
        for named in rule.asked(credential):
            if not isinstance(named.checker, Identifying):
                continue
            found: Identity | Outcome | None = said.get(named.name)
            if found is None:
                ask = named.checker.identify
                found = await named.ask(login, named.turns, ask, credential, domain)
            if isinstance(found, Identity):
                if found.jid.domain != domain and not self._is_kept(found.jid.domain, credential):
                    return model.rejected(Reason.NO_CHECKER)
                return found
            if model.is_for_all_domains(found):
                said[named.name] = found
            if found.verdict is Verdict.UNAVAILABLE:
                cannot_tell = cannot_tell or found
            elif found.verdict is not Verdict.NOT_APPLICABLE:
                return cannot_tell or found
        return cannot_tell or model.rejected(Reason.NO_CHECKER)

    def _rule(self, domain: str) -> Domain | None:
        return self._domains.get(domain) or self._domains.get(ANY_DOMAIN)

    def _is_kept(self, domain: str, credential: Secret) -> bool:
        """Whether somebody there recognises it: it must not be judged as a user's password by who
        takes it for one."""
        rule = self._rule(domain)
        return rule is None or any(named.keeps(credential) for named in rule.check)

    async def judge(self, login: Login, user: bytes, domain: bytes, password: Secret) -> Outcome:
        """What `check_password` finds, for a login that has begun already (`logins`)."""
        return await self._check_password(login, user, domain, password)

    def has_logged_in(self, jid: JID) -> None:
        """This user has, by what no checker is asked about; for `exists = "seen"`."""
        rule = self._rule(jid.domain)
        if rule is not None and rule.seen is not None:
            rule.seen(jid)

    def refuse(
        self,
        front_end: str,
        operation: str,
        user: bytes,
        domain: bytes,
        reason: Reason,
        *,
        number: str = "",
        caller: str = "",
        address: str = "",
    ) -> Outcome:
        """Refuse what nobody is asked about, such as a removal; it has its line like a login."""
        login = self.logins.begin(front_end, operation, None, number, caller, address)
        self._admit(login, user, domain)
        outcome = model.rejected(reason)
        self.logins.settle(login, outcome)
        return outcome

    async def _check_password(
        self, login: Login, user: bytes, domain: bytes, password: Secret
    ) -> Outcome:
        rule = self._admit(login, user, domain, impossible(password))
        if isinstance(rule, Outcome):
            return rule
        cannot_tell: tuple[Outcome, str] | None = None
        reason = Reason.NO_CHECKER
        for named in rule.asked(password):
            ask = named.checker.check_password
            outcome = await named.ask(login, named.turns, ask, _jid(login), password, login.trace)
            if outcome.verdict is Verdict.ACCEPTED:
                if rule.seen is not None and login.trace is None:
                    rule.seen(_jid(login))
                return outcome
            if outcome.verdict is Verdict.REJECTED:
                if cannot_tell is None:
                    return outcome
                break  # whose user it is could not be told before, so this no is not the answer
            if outcome.verdict is Verdict.NOT_APPLICABLE:
                continue
            if outcome.verdict is Verdict.UNAVAILABLE:
                cannot_tell = cannot_tell or (outcome, named.name)
            else:
                reason = Reason.USER_UNKNOWN
            if named.keeps(password):
                break
        return self._nobody_left(login, cannot_tell, reason)

    async def _user_exists(self, login: Login, user: bytes, domain: bytes) -> Outcome:
        rule = self._admit(login, user, domain)
        if isinstance(rule, Outcome):
            return rule
        if isinstance(rule.exists, bool):
            login.step("exists", "always" if rule.exists else "never")
            return model.USER_EXISTS if rule.exists else model.rejected(Reason.USER_UNKNOWN)
        cannot_tell: tuple[Outcome, str] | None = None
        reason = Reason.USER_UNKNOWN
        for named in rule.exists:
            login.checker = named.name
            outcome = None if login.trace else named.remembered(_jid(login))
            if outcome is None:
                outcome = await named.look_up(login, _jid(login), login.trace)
            if outcome.verdict is Verdict.ACCEPTED:
                return outcome
            if outcome.verdict is Verdict.UNAVAILABLE:
                cannot_tell = cannot_tell or (outcome, named.name)
            elif outcome.verdict is Verdict.REJECTED:
                reason = outcome.reason
        return self._nobody_left(login, cannot_tell, reason)

    async def _set_password(
        self, login: Login, user: bytes, domain: bytes, password: Secret
    ) -> Outcome:
        rule = self._admit(login, user, domain, unusable(password))
        if isinstance(rule, Outcome):
            return rule
        if rule.is_token(password):
            login.step("password", "looks like a token, so that it would be refused at a login")
            return model.rejected(Reason.PASSWORD_UNACCEPTABLE)
        reason = Reason.NOT_SUPPORTED
        ahead: list[NamedChecker] = []  # those before the next that may change it, and cannot
        for named in rule.check:
            if not isinstance(named.checker, Registry):
                ahead.append(named)
                continue
            # Another user of this name may be behind the one whose password is judged: that one's
            # would be changed, and this one told that his is.
            refusal = await self._unless_there(login, ahead, Reason.NOT_SUPPORTED)
            if refusal is not None:
                return refusal
            ahead.clear()
            ask = named.checker.set_password
            outcome = await named.ask(login, named.turns, ask, _jid(login), password, login.trace)
            if outcome.verdict is Verdict.UNKNOWN_USER:
                reason = Reason.USER_UNKNOWN
            elif outcome.verdict is Verdict.NOT_APPLICABLE:
                ahead.append(named)
            else:  # UNAVAILABLE too: nothing is changed on a guess whose the user is
                return outcome
        return model.rejected(reason)

    async def _register(
        self, login: Login, user: bytes, domain: bytes, password: Secret
    ) -> Outcome:
        rule = self._admit(login, user, domain, unusable(password))
        if isinstance(rule, Outcome):
            return rule
        if rule.is_token(password):
            login.step("password", "looks like a token, so that it would be refused at a login")
            return model.rejected(Reason.PASSWORD_UNACCEPTABLE)
        if not any(isinstance(named.checker, Registry) for named in rule.check):
            return model.rejected(Reason.NOT_SUPPORTED)
        if rule.exists is True:
            login.step("exists", "always")
            return model.rejected(Reason.USER_EXISTS)
        # Those of `check` too: `exists` may name fewer, and a stranger who registers the name of a
        # user of theirs would be let in as that user.
        known = rule.exists or ()
        everybody = (*known, *(named for named in rule.check if named not in known))
        refusal = await self._unless_there(login, everybody, Reason.USER_EXISTS)
        if refusal is not None:
            return refusal
        for named in rule.check:
            if isinstance(named.checker, Registry):
                ask = named.checker.register
                outcome = await named.ask(
                    login, named.turns, ask, _jid(login), password, login.trace
                )
                if outcome.verdict is Verdict.ACCEPTED and rule.seen is not None:
                    rule.seen(_jid(login))
                if outcome.verdict is not Verdict.NOT_APPLICABLE:
                    return outcome
        return model.rejected(Reason.NOT_SUPPORTED)

    async def _unless_there(
        self, login: Login, checkers: Iterable[NamedChecker], reason: Reason
    ) -> Outcome | None:
        """None where none of them has the user; REJECTED for `reason` where the first that has an
        answer has him, UNAVAILABLE where it cannot tell.

        A user who is refused, as one whose account is disabled, is there all the same.
        """
        trace = login.trace or Trace()  # with one, nobody answers from what is kept
        for named in checkers:
            outcome = await named.look_up(login, _jid(login), trace)
            if outcome.verdict is Verdict.UNAVAILABLE:
                return outcome
            refused = outcome.verdict is Verdict.REJECTED
            if outcome.verdict is Verdict.ACCEPTED or (
                refused and outcome.reason is not Reason.USER_UNKNOWN
            ):
                return model.rejected(reason)
        return None

    def _admit(
        self, login: Login, user: bytes, domain: bytes, wrong: Reason | None = None
    ) -> Domain | Outcome:
        """Prepare both names, and find who is asked; an Outcome where that ends it, or where
        something is `wrong` with the password."""
        host = self._spelled.get(domain)
        if host is None:
            try:
                host = preparation.domain(domain)
            except preparation.Unprepared as error:
                login.step("domain", str(error))
                return model.rejected(Reason.DOMAIN_UNKNOWN)
        rule = self._rule(host)
        if rule is None:
            login.step("domain", f'{host} has no [domains."{host}"], and there is none for "*"')
            return model.rejected(Reason.DOMAIN_UNKNOWN)
        if login.trace is not None:
            login.step("domain", f"{host} asks {', '.join(named.name for named in rule.check)}")
        try:
            login.jid = JID(preparation.local(user), host)
        except preparation.Unprepared as error:
            login.step("user", str(error))
            return model.rejected(Reason.USER_MALFORMED)
        if login.trace is not None:
            login.step("user", f"prepared as {login.jid}")
        return rule if wrong is None else model.rejected(wrong)

    def _nobody_left(
        self, login: Login, cannot_tell: tuple[Outcome, str] | None, reason: Reason
    ) -> Outcome:
        if cannot_tell is None:
            return model.rejected(reason)
        outcome, login.checker = cannot_tell
        return outcome


def impossible(password: Secret) -> Reason | None:
    """Why this can be nobody's password. A directory takes a bind with an empty one for an
    anonymous one, and says yes (RFC 4513, 5.1.2); such a password reaches no checker."""
    octets = password.reveal()
    if not octets.strip() or (not octets.isascii() and _leaves_nothing(octets)):
        return Reason.PASSWORD_BLANK
    return Reason.PASSWORD_HAS_NUL if b"\0" in octets else None


def unusable(password: Secret) -> Reason | None:
    """Why this can be nobody's new password. Prosody sets the octets that were typed and logs in
    with their SASLprep form, which not all have; ejabberd logs in with what was typed. Where the
    two differ, the user would be told that it is done, and locked out."""
    reason = impossible(password)
    if reason is None and not password_hash.is_prepared(password.reveal()):
        return Reason.PASSWORD_UNACCEPTABLE
    return reason


def _leaves_nothing(octets: bytes) -> bool:
    """Whether it is made of blanks and of what SASLprep deletes: a server that prepares passwords
    would see an empty one."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return False
    return all(one.isspace() or stringprep.in_table_b1(one) for one in text)


def _jid(login: Login) -> JID:
    assert login.jid is not None  # _admit has set it
    return login.jid
