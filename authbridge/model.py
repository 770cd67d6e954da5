"""The words that every part of authbridge speaks: who asks, what was found, and why.

A verdict is never a bool: "no" and "cannot tell" are different answers, and a value that a caller
may forget to compare is how a stranger gets in. The words are those of Dovecot's passdb
(`src/auth/passdb.h`) where it has one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, Protocol, runtime_checkable

from authbridge.secret import Secret


@dataclass(frozen=True, slots=True)
class JID:
    """A bare JID, prepared (see `preparation`): equal users are equal strings."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


class Verdict(enum.Enum):
    """What an authority says of a login, of a user's existence, or of a change."""

    ACCEPTED = "accepted"
    """The password is right; the user exists; the change is made."""
    REJECTED = "rejected"
    """A definite no that nobody else may overrule."""
    UNKNOWN_USER = "unknown_user"
    """This authority does not know the user; another may."""
    NOT_APPLICABLE = "not_applicable"
    """This authority does not judge credentials of this kind, or changes nothing."""
    UNAVAILABLE = "unavailable"
    """It cannot tell now. Never to be shown as a wrong password; a change may have been made."""

    def __bool__(self) -> NoReturn:
        raise TypeError("a Verdict is compared, never tested for truth")


class Reason(enum.Enum):
    """Why: the closed set of codes that appear in the log, in `explain` and in the docs."""

    PASSWORD_MATCHES = "password_matches"
    USER_EXISTS = "user_exists"
    PASSWORD_MATCHES_GRACE = "password_matches_grace"
    PASSWORD_MISMATCH = "password_mismatch"
    PASSWORD_BLANK = "password_blank"
    PASSWORD_HAS_NUL = "password_has_nul"
    PASSWORD_UNUSABLE = "password_unusable"
    USER_UNKNOWN = "user_unknown"
    USER_MALFORMED = "user_malformed"
    USER_AMBIGUOUS = "user_ambiguous"
    NOT_CANONICAL = "not_canonical"
    NOT_IN_GROUP = "not_in_group"
    ACCOUNT_LOCKED = "account_locked"
    ACCOUNT_EXPIRED = "account_expired"
    PASSWORD_EXPIRED = "password_expired"
    PASSWORD_MUST_CHANGE = "password_must_change"
    ACCOUNT_DISABLED = "account_disabled"
    LOGON_HOURS = "logon_hours"
    LOGON_WORKSTATION = "logon_workstation"
    LOGON_REFUSED = "logon_refused"
    SERVICE_ACCOUNT = "service_account"
    PASSWORD_CHANGED = "password_changed"
    USER_REGISTERED = "user_registered"
    PASSWORD_UNACCEPTABLE = "password_unacceptable"
    DOMAIN_UNKNOWN = "domain_unknown"
    NO_CHECKER = "no_checker"
    CALLER_UNKNOWN = "caller_unknown"
    CALLER_NOT_ALLOWED = "caller_not_allowed"
    CALLER_NOT_A_PEER = "caller_not_a_peer"
    HOST_FOREIGN = "host_foreign"
    CREDENTIALS_MISSING = "credentials_missing"
    NOT_SUPPORTED = "not_supported"
    REQUEST_MALFORMED = "request_malformed"
    REQUEST_INCOMPLETE = "request_incomplete"
    DEADLINE_PASSED = "deadline_passed"
    OVERLOADED = "overloaded"
    STOPPING = "stopping"
    SOURCE_UNREADABLE = "source_unreadable"
    DIRECTORY_UNREACHABLE = "directory_unreachable"
    DIRECTORY_UNTRUSTED = "directory_untrusted"
    DIRECTORY_SILENT = "directory_silent"
    DIRECTORY_REFUSED = "directory_refused"
    DIRECTORY_FAILED = "directory_failed"
    SERVICE_ACCOUNT_REFUSED = "service_account_refused"
    TOKEN_VALID = "token_valid"
    TOKEN_NOT_ACCEPTED = "token_not_accepted"
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_ISSUER_UNKNOWN = "token_issuer_unknown"
    TOKEN_KEY_UNKNOWN = "token_key_unknown"
    TOKEN_ALGORITHM_REFUSED = "token_algorithm_refused"
    TOKEN_SIGNATURE_WRONG = "token_signature_wrong"
    TOKEN_TYPE_WRONG = "token_type_wrong"
    TOKEN_CLAIM_MISSING = "token_claim_missing"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"
    TOKEN_LIFETIME_TOO_LONG = "token_lifetime_too_long"
    TOKEN_AUDIENCE_WRONG = "token_audience_wrong"
    TOKEN_USER_WRONG = "token_user_wrong"
    TOKEN_DOMAIN_REFUSED = "token_domain_refused"
    TOKEN_USER_REFUSED = "token_user_refused"
    TOKEN_NEVER = "token_never"
    TOKEN_UNKNOWN = "token_unknown"
    TOKEN_USED = "token_used"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_INACTIVE = "token_inactive"
    TOKEN_SCOPE_MISSING = "token_scope_missing"
    TOKEN_ISSUED = "token_issued"
    TOKENS_TOO_MANY = "tokens_too_many"
    TOKENS_WITHDRAWN = "tokens_withdrawn"
    RATE_EXCEEDED = "rate_exceeded"
    ORIGIN_FOREIGN = "origin_foreign"
    SESSION_MISSING = "session_missing"
    SESSION_MALFORMED = "session_malformed"
    SESSION_FORGED = "session_forged"
    SESSION_UNKNOWN = "session_unknown"
    SESSION_USER_WRONG = "session_user_wrong"
    SITE_USER_UNFIT = "site_user_unfit"
    SITE_UNREACHABLE = "site_unreachable"
    SITE_FAILED = "site_failed"
    PREBIND_DONE = "prebind_done"
    PREBIND_ABANDONED = "prebind_abandoned"
    BOSH_UNREACHABLE = "bosh_unreachable"
    BOSH_REFUSED = "bosh_refused"
    SESSION_VALID = "session_valid"
    STATE_UNAVAILABLE = "state_unavailable"
    KEYS_UNAVAILABLE = "keys_unavailable"
    WEBSITE_UNREACHABLE = "website_unreachable"
    WEBSITE_FAILED = "website_failed"
    PROVIDER_UNREACHABLE = "provider_unreachable"
    PROVIDER_FAILED = "provider_failed"
    PROVIDER_REFUSED = "provider_refused"
    DATABASE_UNREACHABLE = "database_unreachable"
    DATABASE_FAILED = "database_failed"
    HASH_UNKNOWN = "hash_unknown"
    INTERNAL_ERROR = "internal_error"

    @property
    def words(self) -> str:
        """The same in a sentence for the administrator who reads it at midnight."""
        return _WORDS[self]


_WORDS = {
    Reason.PASSWORD_MATCHES: "the password is right",
    Reason.PASSWORD_MATCHES_GRACE: "the password is right, and has expired: grace logins are left",
    Reason.USER_EXISTS: "the user exists",
    Reason.PASSWORD_MISMATCH: "the password is wrong",
    Reason.PASSWORD_BLANK: "the password is empty or blank",
    Reason.PASSWORD_HAS_NUL: "the password holds a NUL octet",
    Reason.PASSWORD_UNUSABLE: "the account has no password that could be right",
    Reason.USER_UNKNOWN: "nobody asked knows this user",
    Reason.USER_MALFORMED: "the user's name is not a valid localpart of a JID",
    Reason.USER_AMBIGUOUS: "the authority has more than one entry for this user",
    Reason.NOT_CANONICAL: "the authority's entry is found by this name, and has another",
    Reason.NOT_IN_GROUP: "the user is in none of `require_groups`",
    Reason.ACCOUNT_LOCKED: "the account is locked",
    Reason.ACCOUNT_EXPIRED: "the account has expired",
    Reason.PASSWORD_EXPIRED: "the password has expired",
    Reason.PASSWORD_MUST_CHANGE: "the password has to be changed before it can be used",
    Reason.ACCOUNT_DISABLED: "the account is disabled",
    Reason.LOGON_HOURS: "the user may not log in at this hour",
    Reason.LOGON_WORKSTATION: "the user may log in at some workstations alone, not at this one",
    Reason.LOGON_REFUSED: "the directory refuses this user for a reason that has no name here",
    Reason.SERVICE_ACCOUNT: "this is bind_dn, which searches and is nobody's to log in with",
    Reason.PASSWORD_CHANGED: "the password was changed",
    Reason.USER_REGISTERED: "the user was registered",
    Reason.PASSWORD_UNACCEPTABLE: "the new password breaks the directory's rules, or has two forms",
    Reason.DOMAIN_UNKNOWN: 'no [domains."…"] of the configuration serves this domain',
    Reason.NO_CHECKER: "no checker judges credentials of this kind",
    Reason.CALLER_UNKNOWN: "the calling program's credentials are wrong or missing",
    Reason.CALLER_NOT_ALLOWED: "the calling client's `may` or `domains` do not name this",
    Reason.CALLER_NOT_A_PEER: "the caller's address is in no client's `peers` for this path",
    Reason.HOST_FOREIGN: "the request names a host that is not ours: see [http] `hosts`",
    Reason.CREDENTIALS_MISSING: "there is no name and password in the request",
    Reason.NOT_SUPPORTED: "no checker of this domain can do that",
    Reason.REQUEST_MALFORMED: "the request breaks the rules of its protocol",
    Reason.REQUEST_INCOMPLETE: "the request was not complete in time",
    Reason.DEADLINE_PASSED: "no answer came within the deadline",
    Reason.OVERLOADED: "too many logins are waiting already",
    Reason.STOPPING: "the daemon was stopped before there was an answer",
    Reason.SOURCE_UNREADABLE: "the users could not be read",
    Reason.DIRECTORY_UNREACHABLE: "there is no connection to the directory",
    Reason.DIRECTORY_UNTRUSTED: "the directory's TLS could not be verified; nothing was sent to it",
    Reason.DIRECTORY_SILENT: "the directory gave no answer in time",
    Reason.DIRECTORY_REFUSED: "the directory refuses what it was asked: see base, rights, settings",
    Reason.DIRECTORY_FAILED: "the directory has a fault, or answered what is no LDAP",
    Reason.SERVICE_ACCOUNT_REFUSED: "the directory refuses bind_dn and its password",
    Reason.TOKEN_VALID: "the token is good",
    Reason.TOKEN_NOT_ACCEPTED: "a token of a kind that the token checker's `accept` does not name",
    Reason.TOKEN_MALFORMED: "this looks like a token, and breaks the rules of its form",
    Reason.TOKEN_ISSUER_UNKNOWN: "no [issuers.…] of the configuration has the token's `iss`",
    Reason.TOKEN_KEY_UNKNOWN: "the token's issuer has no such key",
    Reason.TOKEN_ALGORITHM_REFUSED: "the token's algorithm is not that of its key",
    Reason.TOKEN_SIGNATURE_WRONG: "the token's signature is wrong: another key, or it was changed",
    Reason.TOKEN_TYPE_WRONG: "the token is of another type (`typ`), for another purpose",
    Reason.TOKEN_CLAIM_MISSING: "the token lacks a claim that it must have",
    Reason.TOKEN_EXPIRED: "the token has expired",
    Reason.TOKEN_NOT_YET_VALID: "the token is not valid yet; are the clocks right?",
    Reason.TOKEN_LIFETIME_TOO_LONG: "the token lives longer than its issuer's `max_lifetime`",
    Reason.TOKEN_AUDIENCE_WRONG: "the token is for another audience (`aud`)",
    Reason.TOKEN_USER_WRONG: "the token is for another user",
    Reason.TOKEN_DOMAIN_REFUSED: "the token's issuer may not sign for this domain: see `domains`",
    Reason.TOKEN_USER_REFUSED: "the token's issuer may not sign for this user: see `users`",
    Reason.TOKEN_NEVER: "the domain's `never` names this user: no token is accepted",
    Reason.TOKEN_UNKNOWN: "there is no such temporary token: over and forgotten, or never issued",
    Reason.TOKEN_USED: "the token was used as often as it may be",
    Reason.TOKEN_REVOKED: "the token was revoked",
    Reason.TOKEN_INACTIVE: "the provider says that the token is not, or no longer, in force",
    Reason.TOKEN_SCOPE_MISSING: "the token lacks a scope that it must have: see `scope`",
    Reason.TOKEN_ISSUED: "a temporary token was issued",
    Reason.TOKENS_TOO_MANY: "the user has as many temporary tokens as one may have",
    Reason.TOKENS_WITHDRAWN: "tokens were revoked",
    Reason.RATE_EXCEEDED: "more is asked for than `rate` allows at the moment",
    Reason.ORIGIN_FOREIGN: "a page that may not read the answer asks: see `origins` of the site",
    Reason.SESSION_MISSING: "the request shows no session of the site",
    Reason.SESSION_MALFORMED: "the session's cookie or header is there twice, or is none",
    Reason.SESSION_FORGED: "the identity header does not come from the site's proxy",
    Reason.SESSION_UNKNOWN: "the site knows no such session: it is over, or never was",
    Reason.SESSION_USER_WRONG: "the session is another user's",
    Reason.SESSION_VALID: "the site knows whose session this is",
    Reason.SITE_USER_UNFIT: "the site's name of the user cannot be his JID's: see `ignore_case`",
    Reason.SITE_UNREACHABLE: "the site could not be asked whose session this is",
    Reason.SITE_FAILED: "the site did not say whose session this is",
    Reason.PREBIND_DONE: "the user is logged in, and the session is handed over",
    Reason.PREBIND_ABANDONED: "who asked for the session is gone; it was ended",
    Reason.BOSH_UNREACHABLE: "the XMPP server could not be asked at `bosh_url`",
    Reason.BOSH_REFUSED: "the XMPP server at `bosh_url` did not let the user in",
    Reason.STATE_UNAVAILABLE: "[authbridge] `state`, where tokens are kept, cannot be used now",
    Reason.KEYS_UNAVAILABLE: "the issuer's keys could not be fetched, or are being fetched now",
    Reason.WEBSITE_UNREACHABLE: "the website could not be asked",
    Reason.WEBSITE_FAILED: "the website answered what says neither yes nor no",
    Reason.PROVIDER_UNREACHABLE: "the OAuth provider could not be asked",
    Reason.PROVIDER_FAILED: "the OAuth provider answered what says neither yes nor no",
    Reason.PROVIDER_REFUSED: "the OAuth provider refuses client_id or its secret, or the question",
    Reason.DATABASE_UNREACHABLE: "there is no connection to the database, or no answer in time",
    Reason.DATABASE_FAILED: "the database refuses the query, or its answer is not what is needed",
    Reason.HASH_UNKNOWN: "the stored password is of a kind that `hashes` does not name, or damaged",
    Reason.INTERNAL_ERROR: "a fault in authbridge itself; the log has its traceback",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict and its reason."""

    verdict: Verdict
    reason: Reason
    signer: str = field(default="", compare=False)
    """Of a token whose signature is right: its issuer and key, for the log."""


PASSWORD_MATCHES = Outcome(Verdict.ACCEPTED, Reason.PASSWORD_MATCHES)
PASSWORD_MISMATCH = Outcome(Verdict.REJECTED, Reason.PASSWORD_MISMATCH)
TOKEN_VALID = Outcome(Verdict.ACCEPTED, Reason.TOKEN_VALID)
NOT_A_TOKEN = Outcome(Verdict.NOT_APPLICABLE, Reason.NO_CHECKER)
SESSION_VALID = Outcome(Verdict.ACCEPTED, Reason.SESSION_VALID)
USER_EXISTS = Outcome(Verdict.ACCEPTED, Reason.USER_EXISTS)
USER_UNKNOWN = Outcome(Verdict.UNKNOWN_USER, Reason.USER_UNKNOWN)
PASSWORD_CHANGED = Outcome(Verdict.ACCEPTED, Reason.PASSWORD_CHANGED)
USER_REGISTERED = Outcome(Verdict.ACCEPTED, Reason.USER_REGISTERED)


def rejected(reason: Reason, signer: str = "") -> Outcome:
    """A definite no."""
    return Outcome(Verdict.REJECTED, reason, signer)


def unavailable(reason: Reason) -> Outcome:
    """Cannot tell."""
    return Outcome(Verdict.UNAVAILABLE, reason)


@dataclass(slots=True)
class Trace:
    """The steps of one login in words, for `explain`. Ordinary logins carry none."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def step(self, name: str, found: str) -> None:
        """Add one step: what was looked at and what was found. Never a secret."""
        self.steps.append((name, found))


class Checker(Protocol):
    """An authority that is asked about passwords and users.

    Both methods are safe to cancel; a wrong password is a value, an outage another value, and an
    exception a bug (logged with its traceback, counted as UNAVAILABLE).
    """

    async def check_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """Whether this is the user's password. The password is neither blank nor holds NUL."""
        ...

    async def user_exists(self, jid: JID, trace: Trace | None) -> Outcome:
        """ACCEPTED where there is such a user, REJECTED or UNKNOWN_USER where there is none. An
        answer may be one that was kept, but not where there is a trace."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A checker that keeps what it has found out about users, for a while."""

    def remembered(self, jid: JID) -> Outcome | None:
        """What `user_exists` would answer from what is kept; None: it has to ask."""
        ...


@runtime_checkable
class Recognising(Protocol):
    """A checker with credentials of its own, such as tokens, that nobody else may see."""

    def recognises(self, password: Secret) -> bool:
        """Whether this is one of them, good or bad: `check_password` has the last word on it, and
        a directory would count it as a wrong password, and could read it."""
        ...


class Identity(NamedTuple):
    """Whose credential it says it is, and until when (seconds since 1970; None: that is not known).
    Nobody is let in by it: `check_password` has the last word."""

    jid: JID
    expires: float | None


_OF_THE_CREDENTIAL = frozenset(
    {
        Reason.TOKEN_NOT_ACCEPTED,
        Reason.TOKEN_MALFORMED,
        Reason.TOKEN_ISSUER_UNKNOWN,
        Reason.TOKEN_KEY_UNKNOWN,
        Reason.TOKEN_ALGORITHM_REFUSED,
        Reason.TOKEN_SIGNATURE_WRONG,
        Reason.TOKEN_TYPE_WRONG,
        Reason.TOKEN_CLAIM_MISSING,
        Reason.TOKEN_EXPIRED,
        Reason.TOKEN_NOT_YET_VALID,
        Reason.TOKEN_LIFETIME_TOO_LONG,
        Reason.TOKEN_UNKNOWN,
        Reason.TOKEN_INACTIVE,
        Reason.TOKEN_SCOPE_MISSING,
    }
)


def is_for_all_domains(told: Outcome) -> bool:
    """Whether a checker that says this of whose a credential is (`Identifying`) would say the same
    if it were asked for another domain."""
    if told.verdict is Verdict.REJECTED:
        return told.reason in _OF_THE_CREDENTIAL
    return True  # it is none of this checker's, or cannot be told now


@runtime_checkable
class Identifying(Protocol):
    """A checker whose credentials say whose they are, to who does not know the user yet."""

    async def identify(self, password: Secret, domain: str) -> Identity | Outcome:
        """Whose it is. Nothing is used up by it. `domain` is the user's where the credential does
        not name one itself: a prepared name, or "*" where none is known, as whose user nobody is
        let in.

        An Outcome where it is not known whose it is: NOT_APPLICABLE for what is none of this
        checker's, REJECTED for what is no good or names nobody, UNAVAILABLE for what cannot be told
        now. The rules are those of `Checker`.
        """
        ...


@runtime_checkable
class Registry(Protocol):
    """A checker that can also change what it knows: passwords, and who there is.

    The rules are those of `Checker`; the password is neither blank nor holds NUL. A change is made
    as a whole or not at all, and is not repeated: whoever is cancelled, or loses the authority's
    answer, does not know whether it was.
    """

    async def set_password(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """Give the user another password.

        ACCEPTED: it is the password from now on. REJECTED: it is not, as for
        PASSWORD_UNACCEPTABLE or ACCOUNT_DISABLED. UNKNOWN_USER: the user may be somebody else's.
        NOT_APPLICABLE: no password is changed here. UNAVAILABLE: it may have been changed.
        """
        ...

    async def register(self, jid: JID, password: Secret, trace: Trace | None) -> Outcome:
        """Make a user who was not there.

        ACCEPTED: there is one from now on, with this password. REJECTED: there is none of our
        making, as for USER_EXISTS or PASSWORD_UNACCEPTABLE. NOT_APPLICABLE: nobody is registered
        here. UNAVAILABLE: the user may have been made.
        """
        ...
